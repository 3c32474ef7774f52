"""The warm-up: one idea, two polarities."""

import torch
from jaxtyping import Bool
from torch import Tensor

from workbook.specs.specification import Case, Spec, coin, fill, integer, misconception

HEADER = '''"""Notebook 00. The first function: turn "may attend" into "must be ignored", and back."""

from jaxtyping import Bool
from torch import Tensor

from workbook import exercise
'''


def invert_mask(mask: Bool[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """True = ignore becomes True = may attend, and the other way round.

    The padding of "I like coffee <pad>", once as a mask of what to ignore, once as a mask of what may be attended to:

        ignore    ⬚ ⬚ ⬚ ■          ■ True
        allowed   ■ ■ ■ ⬚          ⬚ False

    Args:
        mask: bool, of any shape.

    Returns:
        A new bool tensor of the same shape, every cell turned over.
    """
    flat = mask.reshape(-1).tolist()
    return fill([len(flat)], lambda i: flat[i] is False, torch.bool, mask.device).reshape(mask.shape)


def _cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = (integer(rng, low, low + 2) for low in (2, 3, 4, 5))
    return [
        Case("the padding of one sentence", (torch.tensor([False, False, False, True]),)),
        Case("a batch", (coin(rng, batch, key),)),
        Case("four axes", (coin(rng, batch, heads, query, key),)),
        Case("all True", (torch.ones(query, key, dtype=torch.bool),)),
        Case("all False", (torch.zeros(query, key, dtype=torch.bool),)),
        Case("axes of length 1", (coin(rng, 1, 1, key),)),
        Case("a single value", (torch.tensor(True),)),
        Case("no cells at all", (coin(rng, batch, 0),)),
    ]


def _sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (coin(rng, 2, 3, 4, 5),)), Case("large", (coin(rng, 3, 5, 7, 9),))


SPECS = (
    Spec(
        topic="warmup",
        oracle=invert_mask,
        points=1,
        cases=_cases,
        sizes=_sizes,
        reading="allowed",
        misconceptions=(
            misconception(
                "returns its input",
                "The mask came back as it went in: every True must become False, and every False True.",
                lambda mask: mask,
                lambda mask: mask.clone(),
            ),
            misconception(
                "1 - mask on a bool",
                "Bools do not subtract: `1 - mask` raises on a bool tensor. Use `~mask` or `torch.logical_not(mask)`.",
                lambda mask: 1 - mask,
                lambda mask: True - mask,
                lambda mask: torch.ones_like(mask) - mask,
                lambda mask: torch.tensor(1, device=mask.device) - mask,
                lambda mask: -mask,
            ),
            misconception(
                "numbers instead of bools",
                "The cells are turned over, but they are numbers now: 0 and 1 are a different convention. Return bool.",
                lambda mask: 1 - mask.long(),
                lambda mask: 1 - mask.int(),
                lambda mask: 1 - mask.float(),
                lambda mask: 1 - mask.to(torch.uint8),
                lambda mask: (~mask).long(),
                lambda mask: (~mask).int(),
                lambda mask: (~mask).float(),
            ),
            misconception(
                "~ on integers",
                "`~` on whole numbers flips their bits: ~1 is -2, which counts as True. Keep the mask bool.",
                lambda mask: ~mask.long(),
                lambda mask: ~mask.int(),
                lambda mask: (~mask.long()).bool(),
            ),
            misconception(
                "mask changed in place",
                "The answer is right, but the caller's own mask was turned over too: return a new tensor.",
                lambda mask: mask.logical_not_(),
            ),
        ),
    ),
)
