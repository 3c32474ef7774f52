"""The two masks of `nn.MultiheadAttention`: which keys exist, and which query may ask which key."""

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from workbook.specs.specification import (
    ALWAYS,
    HALVES,
    Case,
    Spec,
    attention_mask,
    coin,
    fill,
    gradients,
    integer,
    lengths,
    lowest_number,
    misconception,
    normal,
    wide,
)


class MultiheadWeights(NamedTuple):
    """The parameters of one `nn.MultiheadAttention`: three projections in one (query, key, value), and the last one."""

    in_proj_weight: Float[Tensor, "3*dim dim"]
    in_proj_bias: Float[Tensor, " 3*dim"]
    out_proj_weight: Float[Tensor, "dim dim"]
    out_proj_bias: Float[Tensor, " dim"]


HEADER = '''"""Notebook 03. The two masks of `nn.MultiheadAttention`, where True means ignore, and the module itself."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from workbook import exercise


''' + inspect.getsource(MultiheadWeights)

FLOATS = (torch.float32, *HALVES)
CONVENTIONS = ("allowed", "ignore", "attention_mask", "additive")


# --- to_allowed ------------------------------------------------------------------------------------------------------


def to_allowed(
    mask: Shaped[Tensor, "*axes"], convention: Literal["allowed", "ignore", "attention_mask", "additive"]
) -> Bool[Tensor, "*axes"]:
    """True = may attend comes out, in whichever of the four conventions the mask goes in.

        "I like coffee <pad>"    allowed           ■ ■ ■ ⬚        ■ True     →   ■ ■ ■ ⬚
                                 ignore            ⬚ ⬚ ⬚ ■        ⬚ False    →   ■ ■ ■ ⬚
                                 attention_mask    1 1 1 0                   →   ■ ■ ■ ⬚
                                 additive          0 0 -2 -3.4028e+38        →   ■ ■ ■ ⬚

    Args:
        mask: bool for `"allowed"` (True = may attend) and `"ignore"` (True = ignore), whole numbers 1 and 0 for
            `"attention_mask"`, floats for `"additive"`; of any shape.
        convention: how `mask` is to be read.

    Returns:
        bool, of the shape of `mask`. An additive number is ignored at or below half of the most negative number of its
        dtype, `torch.finfo(mask.dtype).min / 2`; every other one is a bias, and its cell stays allowed.

    Raises:
        ValueError: `convention` is none of the four.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; it can be one of {', '.join(CONVENTIONS)}")
    cells = mask.reshape(-1).tolist()

    def may_attend(i: int) -> bool:
        if convention == "additive":
            return bool(cells[i] > lowest_number(mask.dtype) / 2)
        return bool(cells[i]) is (convention != "ignore")

    return fill([len(cells)], may_attend, torch.bool, mask.device).reshape(mask.shape)


def _biases(dtype: torch.dtype) -> Tensor:
    """What an additive mask of a dtype may hold: biases of all sizes, what hides, and both neighbours of the border."""
    lowest, step = lowest_number(dtype), torch.finfo(dtype).eps
    # Between the numbers that people compare with, so that it does not matter whether they write > or >=.
    biases = [0.0, -0.0, 1.0, 3.0, -0.5, -2.0, -20.0, -150.0, -1.1e3, -2e4]
    biases += [-3e4] if dtype == torch.float16 else [-2e9, -1e20]
    border = [lowest / 2 * (1 - step), lowest / 2, lowest / 2 * (1 + step)]
    return torch.tensor([*biases, *border, lowest / 4, lowest * 0.75, lowest, -math.inf], dtype=torch.float64).to(dtype)


def _shuffled(rng: torch.Generator, tensor: Tensor) -> Tensor:
    return tensor[torch.randperm(len(tensor), generator=rng)]


def _to_allowed_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = (integer(rng, low, low + 2) for low in (2, 3, 4, 5))

    def additive(dtype: torch.dtype, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=dtype).masked_fill(coin(rng, *shape), lowest_number(dtype))

    triangle = torch.zeros(4, 4).masked_fill(torch.ones(4, 4, dtype=torch.bool).triu(1), -math.inf)
    sentence = torch.tensor([True, True, True, False])
    return [
        Case("allowed: one sentence", (sentence, "allowed")),
        Case("ignore: one sentence", (~sentence, "ignore")),
        Case("attention_mask: one sentence", (sentence.long(), "attention_mask")),
        Case(
            "additive: one sentence with a bias",
            (torch.tensor([0.0, 0.0, -2.0, lowest_number(torch.float32)]), "additive"),
        ),
        Case("allowed: four axes", (coin(rng, batch, heads, query, key), "allowed")),
        Case("ignore: queries and keys", (coin(rng, query, key), "ignore")),
        Case("attention_mask: left padding", (attention_mask([1, 2, 3], 3, "left"), "attention_mask")),
        Case("attention_mask: 32-bit integers", (coin(rng, batch, key).int(), "attention_mask")),
        Case("additive: a triangle of -inf", (triangle, "additive")),
        Case("additive: four axes", (additive(torch.float16, batch, 1, query, key), "additive")),
        *(
            Case(f"additive: numbers of all sizes in {str(dtype)[6:]}", (_shuffled(rng, _biases(dtype)), "additive"))
            for dtype in FLOATS
        ),
        Case("ignore: a single value", (torch.tensor(True), "ignore")),
        Case("additive: a single value", (torch.tensor(-math.inf), "additive")),
        Case("attention_mask: no cells at all", (coin(rng, batch, 0).long(), "attention_mask")),
        Case("additive: no cells at all", (torch.zeros(0, key), "additive")),
        Case("a convention that is none, with a bool mask", (sentence, "padding")),
        Case("a convention that is none, with a float mask", (torch.tensor([0.0, -math.inf]), "float")),
    ]


def _to_allowed_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = (
        torch.zeros(shape, dtype=torch.float16).masked_fill(coin(rng, *shape), -math.inf)
        for shape in ((2, 3, 4, 5), (3, 5, 7, 9))
    )
    return Case("small", (small, "additive")), Case("large", (large, "additive"))


Read = Callable[[Tensor], Any]
_READS: dict[str, Read] = {
    "allowed": lambda mask: mask,
    "ignore": lambda mask: ~mask,
    "attention_mask": lambda mask: mask == 1,
    "additive": lambda mask: mask > lowest_number(mask.dtype) / 2,
}


def _reads(**wrong: Read) -> Callable[..., Any]:
    """Reads some conventions wrongly and the others as they are."""
    table = {**_READS, **wrong}

    def answer(mask: Tensor, convention: str) -> Any:
        if convention not in table:
            raise ValueError
        return table[convention](mask)

    return answer


def _falls_to(last: str) -> Callable[..., Any]:
    """Ends in an `else`, and so takes every unknown convention for the ``last`` one."""
    return lambda mask, convention: _READS[convention if convention in _READS else last](mask)


def _returns_none(mask: Tensor, convention: str) -> Any:
    return _READS[convention](mask) if convention in _READS else None


def _asserts(mask: Tensor, convention: str) -> Any:
    assert convention in _READS
    return _READS[convention](mask)


def _additive_reads(read: Read) -> Callable[..., Any]:
    return _reads(additive=read)


TO_ALLOWED = Spec(
    topic="multihead",
    oracle=to_allowed,
    points=2,
    cases=_to_allowed_cases,
    sizes=_to_allowed_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "ignore not inverted",
            "In `ignore`, True is what nobody may look at: turn every cell over with `~`.",
            _reads(ignore=lambda mask: mask),
        ),
        misconception(
            "allowed inverted",
            "`allowed` is the course's own convention already: True may attend, so the mask stays as it is.",
            _reads(allowed=lambda mask: ~mask),
        ),
        misconception(
            "allowed and ignore swapped",
            "The two bool conventions are exchanged: `allowed` stays as it is, `ignore` has to be turned over.",
            _reads(allowed=lambda mask: ~mask, ignore=lambda mask: mask),
        ),
        misconception(
            "attention_mask inverted",
            "A tokenizer's 1 is a real token, so 1 has to become True: `mask == 1`, not `mask == 0`.",
            _reads(attention_mask=lambda mask: mask == 0),
        ),
        misconception(
            "additive inverted",
            "0 leaves a score as it is, and the most negative number hides it: here the hidden cells came out as True.",
            _additive_reads(lambda mask: mask <= lowest_number(mask.dtype) / 2),
            _additive_reads(lambda mask: mask == -math.inf),
            _additive_reads(lambda mask: mask < 0),
            _additive_reads(lambda mask: mask == lowest_number(mask.dtype)),
        ),
        misconception(
            "additive read as 1 and 0",
            "A float mask is added: 0 keeps its cell. As a bool it says the opposite, since every number but 0 is True.",
            _additive_reads(lambda mask: mask.bool()),
            _additive_reads(lambda mask: mask > 0),
        ),
        misconception(
            "everything inverted",
            "Each mask came out upside down: True has to mean may attend, whichever convention it came from.",
            _reads(
                allowed=lambda mask: ~mask,
                ignore=lambda mask: mask,
                attention_mask=lambda mask: mask == 0,
                additive=lambda mask: mask <= lowest_number(mask.dtype) / 2,
            ),
        ),
        misconception(
            "only -inf is ignored",
            "Many models add `torch.finfo(dtype).min` and not −∞: ignore everything down from half of that number.",
            _additive_reads(lambda mask: mask > -math.inf),
        ),
        misconception(
            "only the minimum is ignored",
            "Equal to `finfo.min` is too narrow: −∞ hides, and so does a minimum that a bias was added to.",
            _additive_reads(lambda mask: mask != lowest_number(mask.dtype)),
            _additive_reads(lambda mask: mask > lowest_number(mask.dtype)),
        ),
        misconception(
            "every bias is ignored",
            "A float mask is a bias: −2 makes a key less likely and does not hide it. Only huge negative numbers do.",
            _additive_reads(lambda mask: mask == 0),
            _additive_reads(lambda mask: mask >= 0),
        ),
        misconception(
            "a fixed threshold",
            "How negative is huge depends on the dtype: compare with `torch.finfo(mask.dtype).min / 2`.",
            *(
                _additive_reads(lambda mask, number=number: mask > number)  # type: ignore[misc]
                for number in (-1.0, -100.0, -1e3, -1e4, -65504.0, -1e9, -1e10)
            ),
        ),
        misconception(
            "float32's minimum in every dtype",
            "Each dtype has its own most negative number, float16's is −65504: ask `torch.finfo(mask.dtype)`.",
            _additive_reads(lambda mask: mask > lowest_number(torch.float32) / 2),
        ),
        misconception(
            "half of the minimum still allowed",
            "Ignored is at *or* below half of the minimum: `>` keeps what is above it, `>=` keeps one number too many.",
            _additive_reads(lambda mask: mask >= lowest_number(mask.dtype) / 2),
        ),
        misconception(
            "attention_mask stays a number",
            "The cells are right, but 1 and 0 are numbers: attention adds them to the scores. Compare, and get bools.",
            _reads(attention_mask=lambda mask: mask),
            _reads(attention_mask=lambda mask: mask.long()),
            _reads(attention_mask=lambda mask: mask.float()),
        ),
        misconception(
            "~ on integers",
            "`~` on whole numbers flips their bits: ~1 is −2, ~0 is −1, and both count as True.",
            _reads(attention_mask=lambda mask: ~mask),
            _reads(attention_mask=lambda mask: (~mask).bool()),
        ),
        misconception(
            "another convention goes through",
            "A misspelt convention must not be read as some other one: end with `raise ValueError`.",
            *(_falls_to(last) for last in CONVENTIONS),
            _returns_none,
        ),
        misconception(
            "no ValueError",
            "It stops at an unknown convention, but with another error: the caller expects a `ValueError`.",
            lambda mask, convention: _READS[convention](mask),
            _asserts,
        ),
        misconception(
            "mask changed in place",
            "The answer is right, but the caller's own mask was changed too: no operation here may end with an underscore.",
            _reads(ignore=lambda mask: mask.logical_not_()),
        ),
    ),
)


# --- from_allowed ----------------------------------------------------------------------------------------------------


def from_allowed(
    allowed: Bool[Tensor, "*axes"],
    convention: Literal["allowed", "ignore", "attention_mask", "additive"],
    dtype: torch.dtype = torch.float32,
) -> Shaped[Tensor, "*axes"]:
    """True = may attend goes in; the same mask comes out in the convention that somebody else expects.

        ■ ■ ■ ⬚   →   allowed           ■ ■ ■ ⬚                    ■ True, ⬚ False
                      ignore            ⬚ ⬚ ⬚ ■
                      attention_mask    1 1 1 0
                      additive          0 0 0 -3.4028e+38          in float16: 0 0 0 -65504

    Args:
        allowed: bool, of any shape.
        convention: the convention wanted.
        dtype: the floating dtype of an additive mask; no other convention looks at it.

    Returns:
        bool for `"allowed"`, bool turned over for `"ignore"`, long 1 and 0 for `"attention_mask"`, and for `"additive"`
        `dtype`: 0 where allowed, `torch.finfo(dtype).min` elsewhere (a -0.0 counts as 0).
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; it can be one of {', '.join(CONVENTIONS)}")
    may_attend = allowed.reshape(-1).tolist()
    seen, hidden, kind = {
        "allowed": (True, False, torch.bool),
        "ignore": (False, True, torch.bool),
        "attention_mask": (1, 0, torch.long),
        "additive": (0.0, lowest_number(dtype), dtype),
    }[convention]
    cells = fill([len(may_attend)], lambda i: seen if may_attend[i] else hidden, kind, allowed.device)
    return cells.reshape(allowed.shape)


def _from_allowed_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = (integer(rng, low, low + 2) for low in (2, 3, 4, 5))
    sentence = torch.tensor([True, True, True, False])
    nothing, everything = torch.zeros(query, key, dtype=torch.bool), torch.ones(query, key, dtype=torch.bool)
    return [
        *(Case(f"{convention}: one sentence", (sentence, convention)) for convention in CONVENTIONS),
        Case("additive: in half precision", (coin(rng, query, key), "additive", torch.float16)),
        Case("additive: in bfloat16", (coin(rng, batch, 1, 1, key), "additive", torch.bfloat16)),
        Case("additive: in bfloat16, by keyword", (sentence, "additive"), {"dtype": torch.bfloat16}),
        Case("allowed: four axes", (coin(rng, batch, heads, query, key), "allowed")),
        Case("ignore: queries and keys", (coin(rng, query, key), "ignore")),
        Case("ignore: the dtype does not matter", (sentence, "ignore", torch.float16)),
        Case("attention_mask: the dtype does not matter", (sentence, "attention_mask", torch.bfloat16)),
        Case("additive: nothing allowed", (nothing, "additive", torch.float16)),
        Case("additive: all allowed", (everything, "additive", torch.bfloat16)),
        Case("ignore: a single value", (torch.tensor(False), "ignore")),
        Case("additive: a single value", (torch.tensor(False), "additive")),
        Case("attention_mask: no cells at all", (coin(rng, batch, 0), "attention_mask")),
        Case("additive: no cells at all", (coin(rng, 0, key), "additive", torch.float16)),
    ]


def _from_allowed_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = coin(rng, 2, 3, 4, 5), coin(rng, 3, 5, 7, 9)
    return Case("small", (small, "additive", torch.float16)), Case("large", (large, "additive", torch.float16))


Write = Callable[[Tensor, torch.dtype], Any]
_WRITES: dict[str, Write] = {
    "allowed": lambda allowed, dtype: allowed,
    "ignore": lambda allowed, dtype: ~allowed,
    "attention_mask": lambda allowed, dtype: allowed.long(),
    "additive": lambda allowed, dtype: _filled(allowed, dtype, lowest_number(dtype)),
}


def _filled(allowed: Tensor, dtype: torch.dtype, number: float) -> Tensor:
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, number)


def _cast(allowed: Tensor, dtype: torch.dtype, number: float) -> Tensor:
    """As ``_filled``, but a number that the dtype cannot hold becomes −∞ instead of an error."""
    return torch.zeros(allowed.shape, device=allowed.device).masked_fill(~allowed, number).to(dtype)


def _float32(allowed: Tensor, dtype: torch.dtype, number: float) -> Tensor:
    """As ``_filled``, but for the dtype that was asked for."""
    return _filled(allowed, torch.float32, number)


def _writes(**wrong: Write) -> Callable[..., Any]:
    """Writes some conventions wrongly and the others as they are."""
    table = {**_WRITES, **wrong}
    return lambda allowed, convention, dtype=torch.float32: table[convention](allowed, dtype)


def _additive_writes(write: Write) -> Callable[..., Any]:
    return _writes(additive=write)


FROM_ALLOWED = Spec(
    topic="multihead",
    oracle=from_allowed,
    points=2,
    cases=_from_allowed_cases,
    sizes=_from_allowed_sizes,
    misconceptions=(
        misconception(
            "ignore not inverted",
            "Who reads True as ignore would hide every word of this mask: `ignore` is `~allowed`.",
            _writes(ignore=lambda allowed, dtype: allowed),
        ),
        misconception(
            "allowed inverted",
            "`allowed` is what came in: nothing is to be turned over.",
            _writes(allowed=lambda allowed, dtype: ~allowed),
        ),
        misconception(
            "allowed and ignore swapped",
            "The two bool conventions are exchanged: `allowed` stays as it came, `ignore` is turned over.",
            _writes(allowed=lambda allowed, dtype: ~allowed, ignore=lambda allowed, dtype: allowed),
        ),
        misconception(
            "attention_mask inverted",
            "In an `attention_mask`, 1 is a token to look at: what is allowed has to become 1.",
            _writes(attention_mask=lambda allowed, dtype: (~allowed).long()),
        ),
        misconception(
            "additive inverted",
            "0 keeps a score and the huge negative number hides it: here the allowed cells are the hidden ones.",
            _additive_writes(lambda allowed, dtype: _filled(~allowed, dtype, lowest_number(dtype))),
            _additive_writes(lambda allowed, dtype: _filled(~allowed, dtype, -math.inf)),
        ),
        misconception(
            "everything inverted",
            "Each mask came out upside down: True goes in as may attend, and has to stay so in every convention.",
            lambda allowed, convention, dtype=torch.float32: _WRITES[convention](~allowed, dtype),
        ),
        misconception(
            "bool where a model adds it",
            "A model adds this mask to its scores, and a True adds 1: 0 has to keep, `torch.finfo(dtype).min` to hide.",
            _additive_writes(lambda allowed, dtype: allowed),
            _additive_writes(lambda allowed, dtype: ~allowed),
        ),
        misconception(
            "1 and 0 where a model adds them",
            "Adding 1 to a score is a nudge, not a wall: 0 has to keep, `torch.finfo(dtype).min` to hide.",
            _additive_writes(lambda allowed, dtype: allowed.to(dtype)),
            _additive_writes(lambda allowed, dtype: (~allowed).to(dtype)),
            _additive_writes(lambda allowed, dtype: -(~allowed).to(dtype)),
            *(
                _additive_writes(lambda allowed, dtype, kind=kind, turn=turn: turn(allowed).to(kind))  # type: ignore[misc]
                for kind in (torch.float, torch.long)
                for turn in (torch.clone, torch.logical_not)
            ),
        ),
        misconception(
            "-inf",
            "−∞ works until a row has no allowed key: then softmax gives NaN. `torch.finfo(dtype).min` is finite.",
            _additive_writes(lambda allowed, dtype: _filled(allowed, dtype, -math.inf)),
            _additive_writes(lambda allowed, dtype: _filled(allowed, torch.float32, -math.inf)),
        ),
        misconception(
            "0 times -inf",
            "0 × −∞ is NaN, and it lands on the cells you wanted to keep: choose with `torch.where` or `masked_fill`.",
            _additive_writes(lambda allowed, dtype: (~allowed).to(dtype) * -math.inf),
            _additive_writes(lambda allowed, dtype: ~allowed * -math.inf),
        ),
        misconception(
            "a fixed number",
            "−1e9 does not exist in float16 and smaller ones are too weak for float32: ask `torch.finfo(dtype).min`.",
            *(
                _additive_writes(lambda allowed, dtype, form=form, number=number: form(allowed, dtype, number))  # type: ignore[misc]
                for form, number in (
                    (_filled, -100.0),
                    (_filled, -1e4),
                    *((form, number) for number in (-1e5, -1e9, -1e10) for form in (_filled, _cast)),
                    *((_float32, number) for number in (-1e4, -1e5, -1e9, -1e10)),
                )
            ),
        ),
        misconception(
            "float32's minimum in every dtype",
            "Each dtype has its own most negative number: float32's becomes −∞ in float16. Ask `torch.finfo(dtype).min`.",
            _additive_writes(lambda allowed, dtype: _cast(allowed, dtype, lowest_number(torch.float32))),
            _additive_writes(lambda allowed, dtype: _filled(allowed, dtype, lowest_number(torch.float32))),
        ),
        misconception(
            "dtype ignored",
            "The additive mask has to be of `dtype`, that of the scores it is added to, with that dtype's own minimum.",
            _additive_writes(lambda allowed, dtype: _filled(allowed, torch.float32, lowest_number(torch.float32))),
            _additive_writes(lambda allowed, dtype: torch.where(allowed, 0.0, lowest_number(dtype))),
            _additive_writes(lambda allowed, dtype: (~allowed) * lowest_number(dtype)),
        ),
        misconception(
            "dtype for whole numbers too",
            "`dtype` is for the additive mask alone: an `attention_mask` holds whole numbers, `long`.",
            _writes(attention_mask=lambda allowed, dtype: allowed.to(dtype)),
        ),
        misconception(
            "attention_mask not long",
            "An `attention_mask` holds whole numbers as a tokenizer gives them: `long` (int64), 1 and 0.",
            _writes(attention_mask=lambda allowed, dtype: allowed),
            _writes(attention_mask=lambda allowed, dtype: allowed.int()),
            _writes(attention_mask=lambda allowed, dtype: allowed.float()),
            _writes(attention_mask=lambda allowed, dtype: allowed.to(torch.uint8)),
        ),
        misconception(
            "1 - mask on a bool",
            "Bools do not subtract: `1 - allowed` raises. Turn them over with `~`, or choose with `torch.where`.",
            _additive_writes(lambda allowed, dtype: (1 - allowed) * lowest_number(dtype)),
            _additive_writes(lambda allowed, dtype: (1.0 - allowed) * lowest_number(dtype)),
            _writes(ignore=lambda allowed, dtype: 1 - allowed),
            _writes(
                ignore=lambda allowed, dtype: 1 - allowed,
                additive=lambda allowed, dtype: (1 - allowed) * lowest_number(dtype),
            ),
        ),
        misconception(
            "mask changed in place",
            "The answer is right, but the caller's own mask was turned over too: `~allowed`, without the underscore.",
            _writes(ignore=lambda allowed, dtype: allowed.logical_not_()),
        ),
    ),
)


# --- key_padding_to_attn_mask ----------------------------------------------------------------------------------------


def key_padding_to_attn_mask(
    key_padding_mask: Bool[Tensor, "batch key"], num_heads: int, target_length: int
) -> Bool[Tensor, "batch*heads query key"]:
    """True = ignore, in and out: what `key_padding_mask` says, said as a 3-D `attn_mask`.

        ⬚ ⬚ ⬚ ■   sentence 0           row 0  sentence 0, head 0        each row: target_length times
        ⬚ ⬚ ⬚ ⬚   sentence 1     →     row 1  sentence 0, head 1        the same line of keys, as
                                       row 2  sentence 1, head 0            ⬚ ⬚ ⬚ ■     ■ True
        (two heads)                    row 3  sentence 1, head 1            ⬚ ⬚ ⬚ ■     ⬚ False

    Args:
        key_padding_mask: bool, True = padding.
        num_heads: the number of heads.
        target_length: how many queries there are; it need not be the number of keys.

    Returns:
        bool, `[batch * num_heads, target_length, key]`; row `b * num_heads + h` is for head h of sentence b.
    """
    padding = key_padding_mask.tolist()
    batch, key_length = key_padding_mask.shape
    return fill(
        (batch * num_heads, target_length, key_length),
        lambda row, query, key: padding[row // num_heads][key],
        torch.bool,
        key_padding_mask.device,
    )


def _padding(rng: torch.Generator, batch: int, key_length: int, side: str = "right", shortest: int = 1) -> Tensor:
    """Draw a key padding mask, True = padding: the first sentence has some, the second always has other keys."""
    sizes = lengths(rng, batch, key_length, shortest)
    if batch > 1 and key_length > shortest:
        sizes[1] = integer(rng, sizes[0] + 1, key_length)
    return attention_mask(sizes, key_length, side) == 0


def _key_padding_cases(rng: torch.Generator) -> list[Case]:
    # No axis of length 0, here and in `merge_masks`: `reshape(-1, …)` is a fair way to write them, and stops there.
    middle = torch.tensor([[False, True, False, False, True], [False, False, True, True, False]])
    return [
        Case("the two sentences, two heads", (torch.tensor([[False] * 3 + [True], [False] * 4]), 2, 4)),
        Case("no two sizes equal", (_padding(rng, 2, 5), 3, 4)),
        Case("padding on the left", (_padding(rng, 3, 4, "left"), 2, 5)),
        Case("padding in the middle", (middle, 3, 4)),
        Case("as many sentences as heads", (_padding(rng, 3, 5), 3, 4)),
        Case("as many sentences as keys", (_padding(rng, 4, 4), 2, 3)),
        Case("as many queries as keys", (_padding(rng, 2, 5, "left"), 3, 5)),
        Case("one query", (_padding(rng, 2, 4), 3, 1)),
        Case("one head", (_padding(rng, 3, 4), 1, 2)),
        Case("one sentence", (_padding(rng, 1, 4), 3, 2)),
        Case("a sentence of nothing", (attention_mask([0, 3], 3) == 0, 4, 2)),
        Case("no padding", (torch.zeros(2, 3, dtype=torch.bool), 2, 4)),
        Case("one key", (torch.tensor([[False], [True], [False]]), 2, 4)),
    ]


def _key_padding_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (_padding(rng, 2, 4), 3, 3)), Case("large", (_padding(rng, 3, 7), 5, 6))


def _keys(padding: Tensor, num_heads: int, target_length: int) -> Tensor:
    return padding.repeat_interleave(num_heads, 0)[:, None, :].expand(-1, target_length, -1)


KEY_PADDING_TO_ATTN_MASK = Spec(
    topic="multihead",
    oracle=key_padding_to_attn_mask,
    points=3,
    cases=_key_padding_cases,
    sizes=_key_padding_sizes,
    reading="ignore",
    misconceptions=(
        misconception(
            "row h*B + b",
            "The heads of one sentence stand together, row b·H + h: `repeat_interleave` (0 0 1 1), not `repeat` (0 1 0 1).",
            lambda padding, heads, queries: padding[:, None, :].expand(-1, queries, -1).repeat(heads, 1, 1),
        ),
        misconception(
            "transposed",
            "The last axis is the keys, the one before it the queries: here they are exchanged.",
            lambda padding, heads, queries: _keys(padding, heads, queries).mT,
        ),
        misconception(
            "query rows instead of key columns",
            "Rows ask, columns are asked: padding must not be looked at, so its column is True in every row.",
            lambda padding, heads, queries: _keys(padding, heads, padding.shape[1]).mT,
            lambda padding, heads, queries: _at_queries(padding, heads, queries),
        ),
        misconception(
            "query rows and key columns",
            "Hide the columns only: a padding row that may see nothing turns into NaN.",
            lambda padding, heads, queries: (
                _keys(padding, heads, padding.shape[1]) | _keys(padding, heads, padding.shape[1]).mT
            ),
            lambda padding, heads, queries: _keys(padding, heads, queries) | _at_queries(padding, heads, queries),
        ),
        misconception(
            "number of keys for the number of queries",
            "There are `target_length` queries: in cross-attention that is not the number of keys.",
            lambda padding, heads, queries: _keys(padding, heads, padding.shape[1]),
        ),
        misconception(
            "no heads",
            "A 3-D `attn_mask` has one slice for each head of each sentence: batch · num_heads of them.",
            lambda padding, heads, queries: _keys(padding, 1, queries),
        ),
        misconception(
            "heads in an axis of their own",
            "The cells are right, but sentences and heads share the first axis: `flatten(0, 1)`.",
            lambda padding, heads, queries: _keys(padding, heads, queries).unflatten(0, (-1, heads)),
            lambda padding, heads, queries: padding[:, None, None, :].expand(-1, heads, queries, -1),
        ),
        misconception(
            "left to broadcasting",
            "`nn.MultiheadAttention` refuses a mask with a query axis of length 1: expand it to `target_length`.",
            lambda padding, heads, queries: _keys(padding, heads, 1),
            lambda padding, heads, queries: padding[:, None, None, :],
            lambda padding, heads, queries: padding[:, None, :],
            lambda padding, heads, queries: padding.repeat_interleave(heads, 0),
        ),
        misconception(
            "inverted",
            "True means ignore in both masks: nothing is to be turned over.",
            lambda padding, heads, queries: ~_keys(padding, heads, queries),
        ),
        misconception(
            "additive",
            "−∞ where the padding stands would be added; here the bool mask is asked for, True = ignore.",
            *(
                lambda padding, heads, queries, number=number: torch.zeros(
                    _keys(padding, heads, queries).shape, device=padding.device
                ).masked_fill(_keys(padding, heads, queries), number)
                for number in (-math.inf, lowest_number(torch.float32), -1e9)
            ),
        ),
        misconception(
            "not bool",
            "The cells are right, but 1 and 0 are numbers: as floats they are added, as integers they are refused.",
            *(
                lambda padding, heads, queries, dtype=dtype: _keys(padding, heads, queries).to(dtype)
                for dtype in (torch.long, torch.float, torch.int, torch.uint8)
            ),
        ),
    ),
)


def _at_queries(padding: Tensor, num_heads: int, target_length: int) -> Tensor:
    """The padding of the keys laid on the queries, in the right shape: the rows past the number of keys are no padding."""
    room = max(target_length - padding.shape[1], 0)
    rows = F.pad(padding, (0, room))[:, :target_length]
    return rows.repeat_interleave(num_heads, 0)[:, :, None].expand(-1, -1, padding.shape[1])


# --- merge_masks -----------------------------------------------------------------------------------------------------


def merge_masks(
    key_padding_mask: Bool[Tensor, "batch key"] | None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None,
    num_heads: int,
) -> Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None:
    """True = ignore, in and out: a key is hidden if it is padding *or* `attn_mask` hides it (−∞ in a float mask).

        key_padding_mask        attn_mask          merged                attn_mask as floats    merged
            ⬚ ⬚ ⬚ ■             ⬚ ■ ■ ■            ⬚ ■ ■ ■               0 -∞ -∞ -∞             0 -∞ -∞ -∞
                                ⬚ ⬚ ■ ■      →     ⬚ ⬚ ■ ■              -1  0 -∞ -∞       →    -1  0 -∞ -∞
                                ⬚ ⬚ ⬚ ■            ⬚ ⬚ ⬚ ■              -2 -1  0 -∞            -2 -1  0 -∞
                                ⬚ ⬚ ⬚ ⬚            ⬚ ⬚ ⬚ ■              -3 -2 -1  0            -3 -2 -1 -∞

    Args:
        key_padding_mask: bool, True = padding, or `None`.
        attn_mask: `[query, key]` for all, or `[batch * heads, query, key]` with head h of sentence b in row
            `b * num_heads + h`; bool (True = ignore), or float (added to the scores); or `None`.
        num_heads: the number of heads.

    Returns:
        `None` for two `None`s. With `attn_mask` alone, what came in. With `key_padding_mask` alone, bool
        `[batch * heads, 1, key]`. With both, `[batch * heads, query, key]`: bool stays bool; a float mask keeps its dtype
        and its biases, and gets −∞ where the key is padding.

    Source: `torch.nn.functional.multi_head_attention_forward`.
    """
    if key_padding_mask is None:
        return attn_mask
    batch, key_length = key_padding_mask.shape
    padding = key_padding_mask.tolist()
    if attn_mask is None:
        shape = (batch * num_heads, 1, key_length)
        return fill(shape, lambda row, _, k: padding[row // num_heads][k], torch.bool, key_padding_mask.device)
    hidden = torch.tensor(True if attn_mask.dtype == torch.bool else -math.inf).to(attn_mask)
    rows = []
    for row in range(batch * num_heads):
        own = attn_mask if attn_mask.dim() == 2 else attn_mask[row]
        for q in range(own.shape[0]):
            rows += [hidden if padding[row // num_heads][k] else own[q, k] for k in range(key_length)]
    merged = torch.stack(rows) if rows else attn_mask.new_zeros(0)
    return merged.reshape(batch * num_heads, *attn_mask.shape[-2:])


def _triangle(query_length: int, key_length: int) -> Tensor:
    return torch.ones(query_length, key_length, dtype=torch.bool).triu(1)


def _float_mask(rng: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw biases with some −∞ among them; the first key is always visible, and its first bias is 0."""
    biases = normal(rng, *shape, dtype=dtype)
    hidden = coin(rng, *shape, heads=0.3)
    hidden[..., 0] = False
    if shape[-1] > 1:
        hidden[..., -1, 1] = True
        biases[..., 0, 0] = 0.0
    return biases.masked_fill(hidden, -math.inf)


def _bool_mask(rng: torch.Generator, *shape: int) -> Tensor:
    """Draw what is ignored; the first key never is, the second by the last query always."""
    hidden = coin(rng, *shape)
    hidden[..., 0] = False
    if shape[-1] > 1:
        hidden[..., -1, 1] = True
    return hidden


def _merge_cases(rng: torch.Generator) -> list[Case]:
    course = torch.tensor([[False] * 3 + [True], [False] * 4])
    low = torch.zeros(3, 5).masked_fill(_triangle(3, 5), lowest_number(torch.float32))
    middle = torch.tensor([[False, True, False, True, False], [False, False, True, False, True]])
    # Alike under every seed: they tell most misconceptions apart, so that no seed has to be tried for those.
    fixed = torch.Generator().manual_seed(2017)
    return [
        Case("neither mask", (None, None, 3)),
        Case("padding and triangle of the course", (course, _triangle(4, 4), 2)),
        Case("padding alone", (_padding(fixed, 2, 5), None, 3)),
        Case("padding alone, on the left, as many sentences as heads", (_padding(rng, 3, 4, "left"), None, 3)),
        Case("bool attn_mask alone", (None, _bool_mask(fixed, 4, 5), 3)),
        Case("bool attn_mask alone, for each head", (None, _bool_mask(rng, 6, 4, 5), 3)),
        Case("float attn_mask alone", (None, _float_mask(rng, 4, 5), 2)),
        Case("float16 attn_mask alone, for each head", (None, _float_mask(rng, 6, 3, 4, dtype=torch.float16), 2)),
        Case("no two sizes equal, bool", (_padding(rng, 2, 5), _bool_mask(rng, 4, 5), 3)),
        Case("a bool mask for each head", (_padding(fixed, 2, 5), _bool_mask(fixed, 6, 4, 5), 3)),
        Case("as many sentences as heads", (_padding(rng, 3, 4, "left"), _bool_mask(rng, 9, 2, 4), 3)),
        Case("padding in the middle, bool", (middle, _bool_mask(rng, 4, 5), 3)),
        Case("no two sizes equal, float", (_padding(rng, 2, 5), _float_mask(rng, 4, 5), 3)),
        Case("a float mask for each head", (_padding(rng, 3, 5, "left"), _float_mask(rng, 6, 4, 5), 2)),
        Case("a float mask with finfo.min", (middle, low, 2)),
        *(
            Case(f"in {str(dtype)[6:]}", (_padding(fixed, 2, 4), _float_mask(fixed, 3, 4, dtype=dtype), 3))
            for dtype in HALVES
        ),
        Case("as many queries as keys and sentences", (_padding(rng, 4, 4), _triangle(4, 4), 2)),
        Case("one head", (_padding(rng, 2, 4), _bool_mask(rng, 3, 4), 1)),
        Case("one sentence", (_padding(rng, 1, 4), _float_mask(rng, 3, 4), 2)),
        Case("one query", (_padding(rng, 3, 4), _bool_mask(rng, 1, 4), 2)),
        Case("one key", (torch.tensor([[False], [True]]), torch.tensor([[False], [False], [True]]), 3)),
        Case("a sentence of nothing", (attention_mask([0, 3], 3) == 0, _triangle(2, 3), 3)),
        Case("no padding", (torch.zeros(2, 4, dtype=torch.bool), _float_mask(rng, 3, 4), 3)),
    ]


def _merge_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (_padding(rng, 2, 4), _float_mask(rng, 6, 3, 4, dtype=torch.float16), 3)
    return Case("small", small), Case("large", (_padding(rng, 3, 7), _float_mask(rng, 15, 5, 7).half(), 5))


def _one_axis_of_one(case: Case, value: Any) -> Any:
    """With a 2-D `attn_mask` alone, `[L, S]` as it came and `[1, L, S]` as torch has it inside are one answer."""
    padding, mask, _ = case.arguments
    alone = padding is None and mask is not None and mask.dim() == 2
    if alone and isinstance(value, Tensor) and value.dim() == 3 and value.shape[0] == 1:
        return value[0]
    return value


Merge = Callable[[Tensor, Tensor], Any]


def _mixed(padding: Tensor, mask: Tensor, number: float = -math.inf) -> Tensor:
    """The union, once the two broadcast."""
    return mask | padding if mask.dtype == torch.bool else mask.masked_fill(padding, number)


def _undecided(padding: Tensor, mask: Tensor) -> Tensor:
    """A misconception that has nothing to say here: an answer may do what it likes."""
    raise NotImplementedError("undecided")


def _rows_of_heads(padding: Tensor, num_heads: int) -> Tensor:
    return padding.repeat_interleave(num_heads, 0)[:, None, :]


def _merges(
    both: Merge = _mixed,
    *,
    spread: Callable[[Tensor, int], Tensor] = _rows_of_heads,
    alone: Callable[[Tensor, int], Any] | None = None,
    mask_alone: Callable[[Tensor], Any] = lambda mask: mask,
    of_bool: Merge | None = None,
    of_float: Merge | None = None,
) -> Callable[..., Any]:
    """Merges as `merge_masks` does, but for the parts that are given."""

    def answer(padding: Tensor | None, mask: Tensor | None, num_heads: int) -> Any:
        if padding is None:
            return None if mask is None else mask_alone(mask)
        if mask is None:
            return (alone or spread)(padding, num_heads)
        merge = of_bool if mask.dtype == torch.bool else of_float
        return (merge or both)(spread(padding, num_heads), mask)

    return answer


def _four_axes(padding: Tensor, mask: Tensor | None, num_heads: int) -> Any:
    if padding is None:
        return mask
    keys = padding[:, None, None, :]
    if mask is None:
        return keys.expand(-1, num_heads, -1, -1)
    if mask.dim() == 3:
        mask = mask.unflatten(0, (-1, num_heads))
    return _mixed(keys.expand(-1, num_heads, -1, -1), mask)


def _no_heads(padding: Tensor, mask: Tensor | None, num_heads: int) -> Any:
    if padding is None:
        return mask
    if mask is None:
        return padding[:, None, :]
    if mask.dim() == 3:
        raise NotImplementedError("undecided")
    return _mixed(padding[:, None, :], mask)


def _other_order_inside(padding: Tensor, mask: Tensor | None, num_heads: int) -> Any:
    """Takes row `h * B + b` of a 3-D `attn_mask` for head h of sentence b."""
    if padding is not None and mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (num_heads, -1)).transpose(0, 1).flatten(0, 1)
    return _merges()(padding, mask, num_heads)


def _in_place(padding: Tensor, mask: Tensor | None, num_heads: int) -> Any:
    if padding is None or mask is None:
        return _merges()(padding, mask, num_heads)
    hidden = _rows_of_heads(padding, num_heads)
    if mask.dim() == 2:
        return _mixed(hidden, mask)
    if mask.dtype == torch.bool:
        return mask.logical_or_(hidden)
    return mask.masked_fill_(hidden, -math.inf)


def _in_place_of_float(padding: Tensor, mask: Tensor | None, num_heads: int) -> Any:
    if mask is not None and mask.dtype == torch.bool:
        mask = mask.clone()
    return _in_place(padding, mask, num_heads)


def _as_float(mask: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros(mask.shape, device=mask.device).masked_fill(mask, -math.inf)


def _float_rows(padding: Tensor, num_heads: int) -> Tensor:
    return _as_float(_rows_of_heads(padding, num_heads))


def _shaped_as_merged(padding: Tensor, mask: Tensor) -> Tensor:
    return mask.expand(len(padding), -1, -1)


MERGE_MASKS = Spec(
    topic="multihead",
    oracle=merge_masks,
    points=3,
    cases=_merge_cases,
    sizes=_merge_sizes,
    reading="ignore",
    observe=_one_axis_of_one,
    misconceptions=(
        misconception(
            "and for or",
            "True hides in both masks, and one reason to hide is enough: the union is `|`, not `&`.",
            _merges(of_bool=lambda padding, mask: padding & mask, of_float=_undecided),
        ),
        misconception(
            "wrong head order",
            "The heads of one sentence stand together, row b·H + h: `repeat_interleave` (0 0 1 1), not `repeat` (0 1 0 1).",
            _merges(spread=lambda padding, heads: padding.repeat(heads, 1)[:, None, :]),
            _merges(
                spread=lambda padding, heads: padding.repeat(heads, 1)[:, None, :],
                alone=_rows_of_heads,
            ),
            _merges(spread=lambda padding, heads: padding.repeat(heads, 1)[:, None, :], of_float=_undecided),
            _merges(alone=lambda padding, heads: padding.repeat(heads, 1)[:, None, :]),
        ),
        misconception(
            "3-D mask in the order h*B + b",
            "A 3-D `attn_mask` comes with row b·H + h for head h of sentence b: it needs no reordering.",
            _other_order_inside,
        ),
        misconception(
            "bool + float added",
            "A True that is added counts as 1 and favours its key: join bools with `|`, put −∞ into floats by `masked_fill`.",
            _merges(lambda padding, mask: mask + padding),
            _merges(lambda padding, mask: mask + padding.float()),
            _merges(lambda padding, mask: mask - padding.float()),
            _merges(of_float=lambda padding, mask: mask + padding.float()),
            _merges(of_float=lambda padding, mask: mask - padding.float()),
            _merges(lambda padding, mask: mask + _as_float(padding)),
            _merges(lambda padding, mask: mask + _as_float(padding), alone=_float_rows),
            _merges(of_bool=lambda padding, mask: mask + _as_float(padding)),
            _merges(of_bool=lambda padding, mask: mask + _as_float(padding), alone=_float_rows),
            _merges(of_float=lambda padding, mask: mask + padding, of_bool=_undecided),
            _merges(of_float=lambda padding, mask: mask - padding.to(mask.dtype)),
            _merges(of_float=lambda padding, mask: mask.masked_fill(padding, 1.0)),
        ),
        misconception(
            "or on a float mask",
            "`|` joins bools only; a float `attn_mask` gets its −∞ by `masked_fill(padding, -math.inf)`.",
            _merges(of_float=lambda padding, mask: mask | padding),
        ),
        misconception(
            "finite for -inf",
            "`nn.MultiheadAttention` puts −∞ where a key is padding: a finite number can be lifted by a bias or a score.",
            *(
                _merges(of_float=form)
                for form in (
                    lambda padding, mask: _mixed(padding, mask, lowest_number(mask.dtype)),
                    lambda padding, mask: mask + padding.to(mask.dtype) * lowest_number(mask.dtype),
                )
            ),
            *(
                _merges(of_float=lambda padding, mask, number=number: _mixed(padding, mask, number))  # type: ignore[misc]
                for number in (-1e4, -1e9)
            ),
            _merges(of_float=lambda padding, mask: mask + padding.to(mask.dtype) * -1e9),
        ),
        misconception(
            "0 times -inf",
            "0 × −∞ is NaN, and it lands on the keys you wanted to keep: choose with `torch.where` or `masked_fill`.",
            _merges(of_float=lambda padding, mask: mask + padding.to(mask.dtype) * -math.inf),
            _merges(of_float=lambda padding, mask: mask + padding * -math.inf),
            _merges(lambda padding, mask: mask + padding * -math.inf),
            _merges(
                lambda padding, mask: mask + padding * -math.inf,
                alone=lambda padding, heads: _rows_of_heads(padding, heads) * -math.inf,
            ),
        ),
        misconception(
            "attn_mask forgotten",
            "With both masks given, `attn_mask` has no say here: a key is hidden if either of the two hides it.",
            _merges(lambda padding, mask: padding),
            _merges(lambda padding, mask: padding.expand(-1, mask.shape[-2], -1)),
            _merges(
                of_bool=lambda padding, mask: padding.expand(-1, mask.shape[-2], -1),
                of_float=lambda padding, mask: _mixed(padding, torch.zeros_like(mask)),
            ),
        ),
        misconception(
            "padding forgotten",
            "With both masks given, the padding is visible here: a key is hidden if either of the two hides it.",
            _merges(lambda padding, mask: mask),
            _merges(_shaped_as_merged),
            _merges(of_float=_shaped_as_merged),
            _merges(of_float=lambda padding, mask: mask),
        ),
        misconception(
            "attn_mask taken as allowed",
            "In `nn.MultiheadAttention` a True of `attn_mask` hides: nothing is to be turned over before the union.",
            _merges(of_bool=lambda padding, mask: padding | ~mask, of_float=_undecided),
            _merges(of_bool=lambda padding, mask: padding | ~mask, mask_alone=lambda mask: ~mask, of_float=_undecided),
        ),
        misconception(
            "padding taken as words",
            "True is padding in `key_padding_mask`: here the words are hidden and the padding is seen.",
            _merges(spread=lambda padding, heads: ~_rows_of_heads(padding, heads)),
            _merges(spread=lambda padding, heads: ~_rows_of_heads(padding, heads), alone=_rows_of_heads),
        ),
        misconception(
            "inverted",
            "The result is an `attn_mask` again: True has to mean ignore.",
            _merges(
                of_bool=lambda padding, mask: ~(padding | mask),
                of_float=_undecided,
                alone=lambda padding, heads: ~_rows_of_heads(padding, heads),
            ),
            _merges(of_bool=lambda padding, mask: ~(padding | mask), of_float=_undecided),
            _merges(
                of_bool=lambda padding, mask: ~(padding | mask),
                of_float=_undecided,
                alone=lambda padding, heads: ~_rows_of_heads(padding, heads),
                mask_alone=lambda mask: ~mask if mask.dtype == torch.bool else mask,
            ),
        ),
        misconception(
            "always float",
            "torch turns masks to floats inside; the merged mask here stays bool where bools came in.",
            *(
                _merges(both, **others)  # type: ignore[arg-type]
                for both in (
                    lambda padding, mask: _mixed(padding, _as_float(mask)),
                    lambda padding, mask: _as_float(mask) + _as_float(padding),
                )
                for others in ({"alone": _float_rows, "mask_alone": _as_float}, {"alone": _float_rows}, {})
            ),
            _merges(alone=_float_rows),
        ),
        misconception(
            "float turned into bool",
            "A float mask holds biases, which a bool cannot: keep its numbers, and put −∞ where the key is padding.",
            *(
                _merges(of_float=lambda padding, mask, hides=hides: padding | hides(mask))  # type: ignore[misc]
                for hides in (
                    lambda mask: mask == -math.inf,
                    lambda mask: mask.bool(),
                    lambda mask: mask < 0,
                    lambda mask: mask <= lowest_number(mask.dtype) / 2,
                )
            ),
        ),
        misconception(
            "float32 in every dtype",
            "A float16 mask has to stay float16: fill it with `masked_fill`, or give new tensors its dtype.",
            _merges(of_float=lambda padding, mask: _mixed(padding, mask.float())),
            _merges(of_float=lambda padding, mask: _mixed(padding, mask.float()), mask_alone=lambda mask: mask.float()),
        ),
        misconception(
            "no heads",
            "The merged mask has one slice for each head of each sentence: batch · num_heads of them.",
            _no_heads,
        ),
        misconception(
            "heads in an axis of their own",
            "The cells are right, but sentences and heads share the first axis: `flatten(0, 1)`.",
            _four_axes,
        ),
        misconception(
            "padding alone in another shape",
            "Without `attn_mask` the result is [batch · heads, 1, key]: its query axis of length 1 will broadcast.",
            _merges(alone=lambda padding, heads: padding),
            _merges(alone=lambda padding, heads: padding[:, None, :]),
            _merges(alone=lambda padding, heads: padding[:, None, None, :].expand(-1, heads, -1, -1)),
            _merges(alone=lambda padding, heads: padding.repeat_interleave(heads, 0)),
            _merges(alone=lambda padding, heads: _keys(padding, heads, padding.shape[1])),
        ),
        misconception(
            "query rows instead of key columns",
            "Rows ask, columns are asked: padding must not be looked at, so its column is hidden in every row.",
            _merges(
                spread=lambda padding, heads: padding.repeat_interleave(heads, 0)[:, :, None],
                alone=_rows_of_heads,
            ),
            _merges(spread=lambda padding, heads: padding.repeat_interleave(heads, 0)[:, :, None]),
        ),
        misconception(
            "attn_mask changed in place",
            "The answer is right, but the caller's own `attn_mask` was overwritten: leave out the underscore.",
            _in_place,
            _in_place_of_float,
        ),
    ),
)


# --- per_head_windows ------------------------------------------------------------------------------------------------


def per_head_windows(
    batch_size: int,
    sequence_length: int,
    windows: Sequence[int],
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch*heads query key"]:
    """True = ignore: a 3-D `attn_mask` in which every head looks back as far as its own causal window reaches.

        windows [1, 2, 4]:   head 0  ⬚ ■ ■ ■    head 1  ⬚ ■ ■ ■    head 2  ⬚ ■ ■ ■      ■ True
                                     ■ ⬚ ■ ■            ⬚ ⬚ ■ ■            ⬚ ⬚ ■ ■      ⬚ False
                                     ■ ■ ⬚ ■            ■ ⬚ ⬚ ■            ⬚ ⬚ ⬚ ■
                                     ■ ■ ■ ⬚            ■ ■ ⬚ ⬚            ⬚ ⬚ ⬚ ⬚

    All heads at once: as everywhere in this course, no Python loop over sentences, heads or positions.

    Args:
        batch_size: how many sentences.
        sequence_length: how many positions; they are queries and keys.
        windows: one for each head, so there are `len(windows)` heads: in head h a position sees itself and the
            `windows[h] - 1` positions before it.
        device: where the mask is made.

    Returns:
        bool, `[batch_size * len(windows), sequence_length, sequence_length]`; row `b * len(windows) + h` is for head h of
        sentence b.
    """
    num_heads = len(windows)
    return fill(
        (batch_size * num_heads, sequence_length, sequence_length),
        lambda row, query, key: not 0 <= query - key < windows[row % num_heads],
        torch.bool,
        torch.get_default_device() if device is None else device,
    )


def _windows_cases(rng: torch.Generator) -> list[Case]:
    length = integer(rng, 5, 6)
    drawn = [integer(rng, 1, length) for _ in range(3)]
    # At least one sentence: `torch.cat([mask] * batch_size)` is a fair way to write it, and stops at none.
    return [
        Case("windows of 1, 2 and all", (2, 4, [1, 2, 4])),
        Case("no order in the windows", (2, 5, [2, 1, 4, 3])),
        Case("drawn windows", (2, length, drawn)),
        Case("as many sentences as heads", (3, 5, [3, 1, 2])),
        Case("as many sentences as positions", (4, 4, [2, 3])),
        Case("a window longer than the sequence", (2, 3, [7, 1])),
        Case("one window for all heads", (2, 5, [3, 3, 3])),
        Case("one head", (3, 4, [2])),
        Case("one sentence", (1, 5, [4, 2, 1])),
        Case("one position", (2, 1, [1, 2, 3])),
        Case("windows in a tuple", (2, 4, (3, 1))),
        Case("on a device by name", (2, 4, [1, 3]), {"device": "cpu"}),
    ]


def _windows_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    on_cpu = {"device": "cpu"}
    return Case("small", (2, 4, [1, 2, 3]), on_cpu), Case("large", (3, 7, [2, 4, 1, 9, 5]), on_cpu)


def _windowed(
    hidden: Callable[[Tensor, Any], Tensor] = lambda back, window: (back < 0) | (back >= window),
    *,
    one_for_all: Callable[[Sequence[int]], int] | None = None,
    batch_of: Callable[[Tensor, int], Tensor] = lambda mask, batch: mask.repeat(batch, 1, 1),
) -> Callable[..., Any]:
    """Windows as most people write them; ``hidden(back, window)`` knows how far back a key lies."""

    def answer(batch_size: int, sequence_length: int, windows: Sequence[int], device: Any = None) -> Any:
        if one_for_all is not None:
            windows = [one_for_all(windows)] * len(windows)
        position = torch.arange(sequence_length, device=device)
        back = position[:, None] - position
        window = torch.tensor(windows, device=device)[:, None, None]
        return batch_of(hidden(back, window).expand(len(windows), -1, -1), batch_size)

    return answer


PER_HEAD_WINDOWS = Spec(
    topic="multihead",
    oracle=per_head_windows,
    points=3,
    practice=True,
    cases=_windows_cases,
    sizes=_windows_sizes,
    reading="ignore",
    misconceptions=(
        misconception(
            "head order",
            "The heads of one sentence stand together, row b·H + h: the windows run 0 1 2 0 1 2, not 0 0 1 1 2 2.",
            _windowed(batch_of=lambda mask, batch: mask.repeat_interleave(batch, 0)),
        ),
        misconception(
            "inverted",
            "True means ignore in `attn_mask`: this is the mask of what may be attended to.",
            _windowed(lambda back, window: (back >= 0) & (back < window)),
        ),
        misconception(
            "one window for all",
            "Every head has a window of its own: head h looks back over `windows[h]` positions.",
            *(_windowed(one_for_all=choose) for choose in (lambda windows: windows[0], max, min, sum)),
            _windowed(one_for_all=lambda windows: windows[-1]),
            _windowed(one_for_all=lambda windows: sum(windows) // len(windows)),
            _windowed(one_for_all=lambda windows: round(sum(windows) / len(windows))),
        ),
        misconception(
            "no window",
            "This is the causal triangle for every head: the keys that lie too far back have to be hidden as well.",
            _windowed(lambda back, window: back < 0),
        ),
        misconception(
            "not causal",
            "The window looks back only: what comes later is hidden, however near it is.",
            _windowed(lambda back, window: back.abs() >= window),
            _windowed(lambda back, window: back >= window),
        ),
        misconception(
            "window + 1",
            "A window of 3 is the position itself and two before it: one key too many is seen here.",
            _windowed(lambda back, window: (back < 0) | (back > window)),
        ),
        misconception(
            "window - 1",
            "A window of 3 is the position itself and two before it: one key too few is seen here.",
            _windowed(lambda back, window: (back < 0) | (back >= window - 1)),
        ),
        misconception(
            "itself hidden",
            "A position belongs to its own window: hide only what comes later, not the diagonal.",
            _windowed(lambda back, window: (back <= 0) | (back >= window)),
            _windowed(lambda back, window: (back <= 0) | (back > window)),
        ),
        misconception(
            "queries and keys swapped",
            "Rows are queries, columns keys: here every position looks ahead instead of back.",
            _windowed(lambda back, window: (back > 0) | (back <= -window)),
        ),
        misconception(
            "and for or",
            "Too late or too far back, one reason is enough to hide a key: join the two with `|`.",
            _windowed(lambda back, window: (back < 0) & (back >= window)),
            _windowed(lambda back, window: (back >= 0) | (back < window)),
        ),
        misconception(
            "no batch",
            "Each sentence needs its own slices: the first axis is batch_size · heads long.",
            _windowed(batch_of=lambda mask, batch: mask),
        ),
        misconception(
            "heads in an axis of their own",
            "The cells are right, but sentences and heads share the first axis: `flatten(0, 1)`.",
            _windowed(batch_of=lambda mask, batch: mask.expand(batch, -1, -1, -1)),
            _windowed(batch_of=lambda mask, batch: mask[None]),
        ),
        misconception(
            "additive",
            "−∞ would be added; here the bool mask is asked for, True = ignore.",
            *(
                _windowed(
                    batch_of=lambda mask, batch, number=number: (  # type: ignore[misc]
                        torch.zeros(mask.shape, device=mask.device).masked_fill(mask, number).repeat(batch, 1, 1)
                    )
                )
                for number in (-math.inf, lowest_number(torch.float32), -1e9)
            ),
        ),
        misconception(
            "not bool",
            "The cells are right, but 1 and 0 are numbers: as floats they are added, as integers they are refused.",
            *(
                _windowed(batch_of=lambda mask, batch, dtype=dtype: mask.repeat(batch, 1, 1).to(dtype))  # type: ignore[misc]
                for dtype in (torch.long, torch.float, torch.int)
            ),
        ),
    ),
)


# --- nn_transformer_masks --------------------------------------------------------------------------------------------


def nn_transformer_masks(
    source_ids: Int[Tensor, "batch source"], target_ids: Int[Tensor, "batch target"], pad_token_id: int
) -> dict[str, Bool[Tensor, "..."]]:
    """True = ignore: the four masks with which a padded batch goes through `nn.Transformer`, under its own names.

        source   I like coffee <pad>          src_key_padding_mask     ⬚ ⬚ ⬚ ■       ■ True, ⬚ False
        target   <bos> me gusta <pad>         memory_key_padding_mask  ⬚ ⬚ ⬚ ■       (the decoder asks the source)
                                              tgt_key_padding_mask     ⬚ ⬚ ⬚ ■
                                              tgt_mask                 ⬚ ■ ■ ■  →  no word sees a later one
                                                                       ⬚ ⬚ ■ ■
                                                                       ⬚ ⬚ ⬚ ■
                                                                       ⬚ ⬚ ⬚ ⬚

    Args:
        source_ids: what the encoder reads.
        target_ids: what the decoder reads; as many sentences, not as many positions.
        pad_token_id: the id of `<pad>` in both.

    Returns:
        A dict of bool tensors with exactly the keys `src_key_padding_mask` `[batch, source]`, `tgt_mask`
        `[target, target]`, `tgt_key_padding_mask` `[batch, target]` and `memory_key_padding_mask` `[batch, source]`, so
        that `transformer(source, target, **masks)` takes it.
    """
    source, target, length = source_ids.tolist(), target_ids.tolist(), target_ids.shape[1]

    def is_padding(ids: list[list[int]], like: Tensor) -> Tensor:
        return fill(like.shape, lambda b, k: ids[b][k] == pad_token_id, torch.bool, like.device)

    return {
        "src_key_padding_mask": is_padding(source, source_ids),
        "tgt_mask": fill((length, length), lambda q, k: k > q, torch.bool, target_ids.device),
        "tgt_key_padding_mask": is_padding(target, target_ids),
        "memory_key_padding_mask": is_padding(source, source_ids),
    }


def _ids(
    rng: torch.Generator, batch: int, length: int, pad: int, side: str = "right", sizes: Sequence[int] | None = None
) -> Tensor:
    """Draw sentences of words from 50 up, where the padding's id is none of them, padded to ``length``."""
    words = torch.randint(50, 90, (batch, length), generator=rng)
    real = attention_mask(lengths(rng, batch, length) if sizes is None else sizes, length, side)
    return torch.where(real == 1, words, pad)


def _transformer_cases(rng: torch.Generator) -> list[Case]:
    pad = integer(rng, 2, 40)
    source = torch.tensor([[3, 5, 6, 0], [4, 5, 7, 8]])
    target = torch.tensor([[1, 9, 11, 12, 13, 0], [1, 10, 11, 12, 14, 15]])
    zero_is_a_word = [_ids(rng, 3, length, pad) for length in (5, 4)]
    for ids in zero_is_a_word:
        ids[:, 0] = 0
    return [
        Case("the two sentences of the course", (source, target, 0)),
        Case("a padding id other than 0, where 0 is a word", (*zero_is_a_word, pad)),
        Case("a longer source", (_ids(rng, 2, 6, pad), _ids(rng, 2, 4, pad), pad)),
        Case(
            "source and target of one length",
            (_ids(rng, 3, 5, 0, sizes=[2, 5, 4]), _ids(rng, 3, 5, 0, sizes=[4, 3, 5]), 0),
        ),
        Case("padding on the left", (_ids(rng, 2, 4, pad, "left"), _ids(rng, 2, 5, pad, "left"), pad)),
        Case("as many sentences as words", (_ids(rng, 4, 4, 0), _ids(rng, 4, 4, 0), 0)),
        Case("no padding", (_ids(rng, 2, 3, 1, sizes=[3, 3]), _ids(rng, 2, 4, 1, sizes=[4, 4]), 1)),
        Case("nothing but padding in one", (_ids(rng, 2, 4, pad, sizes=[0, 3]), _ids(rng, 2, 3, pad), pad)),
        Case("one word each", (_ids(rng, 2, 1, 0), _ids(rng, 2, 1, 0), 0)),
        Case("one sentence", (_ids(rng, 1, 4, pad), _ids(rng, 1, 3, pad), pad)),
        Case("a target of length 0", (_ids(rng, 2, 4, 0), _ids(rng, 2, 0, 0, sizes=[0, 0]), 0)),
    ]


def _transformer_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (_ids(rng, 2, 4, 7), _ids(rng, 2, 5, 7), 7)), Case(
        "large", (_ids(rng, 4, 9, 7), _ids(rng, 4, 8, 7), 7)
    )


Make = Callable[[Tensor, Tensor, int], Any]


def _later(ids: Tensor, diagonal: int = 1) -> Tensor:
    length = ids.shape[1]
    return torch.ones(length, length, dtype=torch.bool, device=ids.device).triu(diagonal)


_MASKS: dict[str, Make] = {
    "src_key_padding_mask": lambda source, target, pad: source == pad,
    "tgt_mask": lambda source, target, pad: _later(target),
    "tgt_key_padding_mask": lambda source, target, pad: target == pad,
    "memory_key_padding_mask": lambda source, target, pad: source == pad,
}
_INVERTED: dict[str, Make] = {
    name: lambda source, target, pad, make=make: ~make(source, target, pad)  # type: ignore[misc]
    for name, make in _MASKS.items()
}
_PADDING = [name for name in _MASKS if name != "tgt_mask"]


def _masks(missing: Sequence[str] = (), /, **wrong: Make) -> Callable[..., Any]:
    """The four masks, some wrong, some missing, some too many."""
    makers = {name: make for name, make in {**_MASKS, **wrong}.items() if name not in missing}
    return lambda source, target, pad: {name: make(source, target, pad) for name, make in makers.items()}


def _renamed(names: dict[str, str]) -> Callable[..., Any]:
    """The right masks, some under another name."""
    return lambda source, target, pad: {
        names.get(name, name): mask for name, mask in _masks()(source, target, pad).items()
    }


def _respelt(old: str, new: str) -> dict[str, str]:
    return {name: name.replace(old, new) for name in _MASKS}


_SPELLINGS: tuple[dict[str, str], ...] = (
    {"memory_key_padding_mask": "memory_mask"},
    {"src_key_padding_mask": "src_mask"},
    {"src_key_padding_mask": "src_mask", "memory_key_padding_mask": "memory_mask"},
    {"memory_key_padding_mask": "mem_key_padding_mask"},
    {"memory_key_padding_mask": "memory_padding_mask"},
    {"src_key_padding_mask": "src_padding_mask", "tgt_key_padding_mask": "tgt_padding_mask"},
    _respelt("key_padding_mask", "padding_mask"),
    _respelt("key_padding_mask", "key_padding"),
    {**_respelt("src", "source"), "tgt_mask": "target_mask", "tgt_key_padding_mask": "target_key_padding_mask"},
    *({"tgt_mask": name} for name in ("tgt_attn_mask", "attn_mask", "target_mask", "causal_mask")),
)


def _none(source: Tensor, target: Tensor, pad: int) -> Any:
    return None


NN_TRANSFORMER_MASKS = Spec(
    topic="multihead",
    oracle=nn_transformer_masks,
    points=2,
    cases=_transformer_cases,
    sizes=_transformer_sizes,
    reading="ignore",
    reading_leaf=None,
    misconceptions=(
        misconception(
            "inverted",
            "`nn.Transformer` ignores where a key padding mask is True: compare with `==`, so that padding is True.",
            _masks(**{name: _INVERTED[name] for name in _PADDING}),
        ),
        misconception(
            "triangle inverted",
            "`nn.Transformer` ignores where `tgt_mask` is True: the later words, the strict upper triangle.",
            _masks(tgt_mask=_INVERTED["tgt_mask"]),
        ),
        misconception(
            "everything inverted",
            "All four masks say what may be attended to; `nn.Transformer` ignores where a mask is True.",
            _masks(**_INVERTED),
        ),
        misconception(
            "one padding mask inverted",
            "One key padding mask is turned over: in all three, True is the padding.",
            *(_masks(**{name: _INVERTED[name]}) for name in _PADDING),
        ),
        misconception(
            "memory mask from the target",
            "The memory is what the encoder made of the source: its keys are the source's, and so is their padding.",
            _masks(memory_key_padding_mask=_MASKS["tgt_key_padding_mask"]),
        ),
        misconception(
            "inverted, and memory from the target",
            "Two things at once: True has to mean ignore, and the memory's padding is the source's, not the target's.",
            *(
                _masks(
                    **{name: _INVERTED[name] for name in names},
                    memory_key_padding_mask=_INVERTED["tgt_key_padding_mask"],
                )
                for names in (
                    ["src_key_padding_mask", "tgt_key_padding_mask"],
                    ["src_key_padding_mask", "tgt_key_padding_mask", "tgt_mask"],
                )
            ),
        ),
        misconception(
            "source and target swapped",
            "`src` is what the encoder reads, `tgt` what the decoder reads: here each has the other's masks.",
            lambda source, target, pad: _masks()(target, source, pad),
            _masks(
                src_key_padding_mask=_MASKS["tgt_key_padding_mask"],
                tgt_key_padding_mask=_MASKS["src_key_padding_mask"],
            ),
            _masks(
                src_key_padding_mask=_MASKS["tgt_key_padding_mask"],
                tgt_key_padding_mask=_MASKS["src_key_padding_mask"],
                memory_key_padding_mask=_MASKS["tgt_key_padding_mask"],
            ),
        ),
        misconception(
            "missing key",
            "Three attentions need four masks: `src_` and `tgt_key_padding_mask`, `tgt_mask`, `memory_key_padding_mask`.",
            *(
                _masks(missing)
                for count in (1, 2)
                for missing in itertools.combinations(sorted(_MASKS, reverse=True), count)
            ),
        ),
        misconception(
            "misspelt key",
            "The masks are right, one name is not: `nn.Transformer` knows padding as `src_`, `tgt_`, `memory_key_padding_mask`.",
            *(_renamed(names) for names in _SPELLINGS),
        ),
        misconception(
            "more keys than asked",
            "Exactly four keys are asked for: what `nn.Transformer` may do without stays out.",
            *(
                _masks(**dict.fromkeys(names, _none))
                for names in (("src_mask",), ("memory_mask",), ("src_mask", "memory_mask"))
            ),
            _masks(src_mask=lambda source, target, pad: torch.zeros_like(_later(source))),
            _masks(
                src_mask=lambda source, target, pad: torch.zeros_like(_later(source)),
                memory_mask=_none,
            ),
            _masks(tgt_is_causal=lambda source, target, pad: True),
        ),
        misconception(
            "a mask left None",
            "`None` hides nothing: all four masks are needed here, the memory's and the target's padding too.",
            *(_masks(**{name: _none}) for name in _MASKS),
        ),
        misconception(
            "float triangle",
            "`generate_square_subsequent_mask` gives floats; beside bool padding, make it bool: True above the diagonal.",
            _masks(
                tgt_mask=lambda source, target, pad: torch.zeros(
                    _later(target).shape, device=target.device
                ).masked_fill(_later(target), -math.inf)
            ),
        ),
        misconception(
            "diagonal hidden",
            "Every word may look at itself, the first at nothing else: `triu(1)` leaves the diagonal out.",
            _masks(tgt_mask=lambda source, target, pad: _later(target, 0)),
        ),
        misconception(
            "earlier words hidden",
            "Row asks, column is asked: a word may see what came before it, so True belongs above the diagonal.",
            _masks(tgt_mask=lambda source, target, pad: _later(target).mT),
        ),
        misconception(
            "triangle of the source's length",
            "`tgt_mask` is for the decoder's self-attention: as many queries and keys as the *target* has positions.",
            _masks(tgt_mask=lambda source, target, pad: _later(source)),
        ),
        misconception(
            "padding id fixed at 0",
            "0 is not always the padding: compare with `pad_token_id`, or a real token of id 0 is hidden.",
            lambda source, target, pad: _masks()(source, target, 0),
        ),
        misconception(
            "padding in the triangle too",
            "`tgt_mask` is [target, target], for all sentences alike: the padding goes into `tgt_key_padding_mask`.",
            _masks(tgt_mask=lambda source, target, pad: _later(target) | (target == pad)[:, None, :]),
            _masks(tgt_mask=lambda source, target, pad: _later(target).expand(len(target), -1, -1)),
        ),
        misconception(
            "not bool",
            "The cells are right, but 1 and 0 are numbers: as floats they are added, as integers they are refused.",
            *(
                _masks(
                    **{
                        name: lambda source, target, pad, name=name, dtype=dtype: _MASKS[name](source, target, pad).to(
                            dtype
                        )  # type: ignore[misc]
                        for name in names
                    }
                )
                for dtype in (torch.long, torch.float)
                for names in (list(_MASKS), _PADDING)
            ),
        ),
    ),
)


# --- multi_head_attention --------------------------------------------------------------------------------------------


def multi_head_attention(
    query: Float[Tensor, "batch query dim"],
    key: Float[Tensor, "batch key dim"],
    value: Float[Tensor, "batch key dim"],
    weights: MultiheadWeights,
    num_heads: int,
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None = None,
) -> tuple[Float[Tensor, "batch query dim"], Float[Tensor, "batch query key"]]:
    """True = ignore in both masks: all that `nn.MultiheadAttention(batch_first=True)` does, from projection to projection.

        dim 24, 3 heads of 8     query  →  in_proj[ 0:24]  →  q  head 0 | head 1 | head 2    (8 numbers each)
                                 key    →  in_proj[24:48]  →  k  head 0 | head 1 | head 2
                                 value  →  in_proj[48:72]  →  v  head 0 | head 1 | head 2

        in each head    softmax(q · k / √8, masked) · v   →   the heads side by side   →   out_proj   →   output

    Args:
        query, key, value: the vectors before any projection; `key` and `value` may be longer or shorter than `query`.
        weights: the four parameters; rows 0 to dim of `in_proj_weight` project the query, the next dim rows the key, the
            last dim rows the value (a projection is `vector @ weight.T + bias`).
        num_heads: how many heads share dim.
        key_padding_mask: bool, True = padding, or `None`.
        attn_mask: `[query, key]`, or `[batch * heads, query, key]` with head h of sentence b in row `b * num_heads + h`;
            bool (True = ignore), or float (added to the scaled scores); or `None`. Both masks may come at once; every
            query has a key that neither hides.

    Returns:
        The output, and the weights as the mean over the heads.
    """
    batch, query_length, dim = query.shape
    key_length, head_dim = key.shape[1], dim // num_heads
    padding = None if key_padding_mask is None else key_padding_mask.tolist()
    in_weight, in_bias, out_weight, out_bias = (wide(parameter) for parameter in weights)
    q, k, v = (
        wide(vectors) @ in_weight[i * dim : (i + 1) * dim].T + in_bias[i * dim : (i + 1) * dim]
        for i, vectors in enumerate((query, key, value))
    )
    outputs, means = [], []
    for b in range(batch):
        for row in range(query_length):
            joined, shared = [], []
            for h in range(num_heads):
                head = slice(h * head_dim, (h + 1) * head_dim)
                scores = (k[b, :, head] * q[b, row, head]).sum(-1) / math.sqrt(head_dim)
                if attn_mask is not None:
                    rule = (attn_mask if attn_mask.dim() == 2 else attn_mask[b * num_heads + h])[row]
                    scores = scores.masked_fill(rule, -math.inf) if rule.dtype == torch.bool else scores + wide(rule)
                if padding is not None:
                    scores = torch.where(torch.tensor(padding[b], device=scores.device), -math.inf, scores)
                shares = scores.softmax(-1)
                joined.append((shares[:, None] * v[b, :, head]).sum(0))
                shared.append(shares)
            outputs.append(torch.cat(joined) @ out_weight.T + out_bias)
            means.append(torch.stack(shared).mean(0))
    if not outputs:
        return query.new_zeros(batch, query_length, dim), query.new_zeros(batch, query_length, key_length)
    return (
        torch.stack(outputs).to(query.dtype).reshape(batch, query_length, dim),
        torch.stack(means).to(query.dtype).reshape(batch, query_length, key_length),
    )


class _Sizes(NamedTuple):
    batch: int
    query: int
    key: int
    dim: int
    heads: int


def _parameters(rng: torch.Generator, dim: int) -> MultiheadWeights:
    return MultiheadWeights(
        normal(rng, 3 * dim, dim) * dim**-0.5 * 1.5, normal(rng, 3 * dim), normal(rng, dim, dim), normal(rng, dim)
    )


def _mha_call(
    rng: torch.Generator,
    sizes: _Sizes,
    padding: str | None = None,
    mask: str | None = None,
    self_attention: bool = False,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Draw one call; ``mask`` is "bool" or "float", with " per head" for the 3-D one.

    The first key is never hidden from anybody (the last one if the padding stands on the left): every row sees a key.
    """
    query = normal(rng, sizes.batch, sizes.query, sizes.dim)
    key = query if self_attention else normal(rng, sizes.batch, sizes.key, sizes.dim)
    value = query if self_attention else normal(rng, sizes.batch, sizes.key, sizes.dim)
    keywords: dict[str, Any] = {}
    if padding is not None:
        keywords["key_padding_mask"] = _padding(rng, sizes.batch, sizes.key, padding)
        if not self_attention:  # loud padding: a leak is heard
            value = torch.where(keywords["key_padding_mask"][:, :, None], value + 8, value)
    if mask is not None:
        kind, _, per_head = mask.partition(" ")
        shape = (*((sizes.batch * sizes.heads,) if per_head else ()), sizes.query, sizes.key)
        drawn = _bool_mask(rng, *shape) if kind == "bool" else _float_mask(rng, *shape)
        keywords["attn_mask"] = drawn.flip(-1) if padding == "left" else drawn
    return (query, key, value, _parameters(rng, sizes.dim), sizes.heads), keywords


def _mha_cases(rng: torch.Generator) -> list[Case]:
    def case(
        about: str,
        sizes: tuple[int, int, int, int, int],
        padding: str | None = None,
        mask: str | None = None,
        itself: bool = False,
        rng: torch.Generator = rng,
    ) -> Case:
        return Case(about, *_mha_call(rng, _Sizes(*sizes), padding, mask, itself))

    # Alike under every seed: they tell most misconceptions apart, so that no seed has to be tried for those.
    fixed = torch.Generator().manual_seed(2017)
    return [
        case("a sentence asks itself, no mask", (2, 4, 4, 6, 3), itself=True, rng=fixed),
        case(
            "all sizes equal, padding and a bool mask for each head",
            (3, 3, 3, 6, 3),
            "left",
            "bool per head",
            rng=fixed,
        ),
        case("padding and a float mask for each head", (2, 3, 4, 6, 2), "right", "float per head", rng=fixed),
        case("no two sizes equal, padding", (2, 4, 5, 24, 3), "right"),
        case("a bool mask, one head", (2, 3, 4, 4, 1), None, "bool"),
        case("a bool mask for each head", (2, 3, 4, 6, 3), None, "bool per head"),
        case("a float mask, one query, one number for each head", (2, 1, 4, 3, 3), None, "float"),
        case("a float mask for each head", (2, 3, 4, 6, 3), None, "float per head"),
        case("padding and a bool mask", (2, 4, 4, 6, 3), "right", "bool", itself=True),
        case("all sizes equal, padding and a bool mask", (3, 3, 3, 6, 3), "left", "bool"),
        case("as many queries as keys, padding and a float mask", (3, 4, 4, 6, 2), "left", "float"),
        case("one key", (2, 3, 1, 6, 3)),
        _mha_far_apart(fixed),
    ]


def _mha_far_apart(rng: torch.Generator) -> Case:
    """Real keys score below -10,000 and the padding's lead by more: only −∞, or a format's minimum, hides it.

    Heads of one number and whole numbers throughout: no right answer has to round these scores.
    """
    padding = torch.tensor([[False, False, True], [False, True, False]])
    real = torch.randint(0, 3, (2, 3, 3), generator=rng) - 16_384.0
    key = torch.where(padding[:, :, None], torch.tensor(16_384.0), real)
    weights = MultiheadWeights(torch.eye(3).repeat(3, 1), torch.zeros(9), normal(rng, 3, 3), normal(rng, 3))
    call = (torch.ones(2, 2, 3), key, normal(rng, 2, 3, 3), weights, 3)
    return Case("padding that leads by far", call, {"key_padding_mask": padding})


def _mha_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = _mha_call(rng, _Sizes(2, 3, 4, 6, 2), "right", "bool per head")
    large = _mha_call(rng, _Sizes(3, 5, 7, 12, 4), "right", "bool per head")
    return Case("small", *small), Case("large", *large)


def _projected(vectors: Tensor, part: int, weights: MultiheadWeights) -> Tensor:
    return F.linear(vectors, weights.in_proj_weight.chunk(3)[part], weights.in_proj_bias.chunk(3)[part])


def _split(vectors: Tensor, num_heads: int) -> Tensor:
    return vectors.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def _joined(vectors: Tensor) -> Tensor:
    return vectors.transpose(1, 2).flatten(2)


def _by_head(mask: Tensor, scores: Tensor) -> Tensor:
    return mask.unflatten(0, scores.shape[:2]) if mask.dim() == 3 else mask


def _ruled(scores: Tensor, mask: Tensor | None, number: float = -math.inf) -> Tensor:
    if mask is None:
        return scores
    mask = _by_head(mask, scores)
    return scores.masked_fill(mask, number) if mask.dtype == torch.bool else scores + mask


def _unpadded(scores: Tensor, padding: Tensor | None, number: float = -math.inf) -> Tensor:
    return scores if padding is None else scores.masked_fill(padding[:, None, None, :], number)


def _hidden(scores: Tensor, padding: Tensor | None, mask: Tensor | None, number: float = -math.inf) -> Tensor:
    return _unpadded(_ruled(scores, mask, number), padding, number)


def _mha(
    *,
    inputs: Callable[..., tuple[Tensor, Tensor, Tensor]] = lambda query, key, value, padding: (query, key, value),
    project: Callable[[Tensor, int, MultiheadWeights], Tensor] = _projected,
    silence: Callable[[Tensor, Tensor | None], Tensor] = lambda vectors, padding: vectors,
    split: Callable[[Tensor, int], Tensor] = _split,
    scale: Callable[[int, int], float] = lambda dim, heads: (dim // heads) ** -0.5,
    hide: Callable[[Tensor, Tensor | None, Tensor | None], Tensor] = _hidden,
    share: Callable[..., Tensor] = lambda scores, padding, mask: scores.softmax(-1),
    join: Callable[[Tensor], Tensor] = _joined,
    out: Callable[[Tensor, MultiheadWeights], Tensor] = lambda vectors, weights: F.linear(
        vectors, weights.out_proj_weight, weights.out_proj_bias
    ),
    told: Callable[[Tensor, Tensor], Tensor] = lambda shares, scores: shares.mean(1),
    returned: Callable[[Tensor, Tensor], Any] = lambda output, shares: (output, shares),
) -> Callable[..., Any]:
    """Multi-head attention as most people write it, with the parts that go wrong as arguments."""

    def answer(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weights: MultiheadWeights,
        num_heads: int,
        key_padding_mask: Tensor | None = None,
        attn_mask: Tensor | None = None,
    ) -> Any:
        dim = query.shape[-1]
        vectors = inputs(query, key, value, key_padding_mask)
        q, k, v = (project(vectors[part], part, weights) for part in range(3))
        q, k, v = (split(part, num_heads) for part in (q, silence(k, key_padding_mask), silence(v, key_padding_mask)))
        scores = hide(q @ k.mT * scale(dim, num_heads), key_padding_mask, attn_mask)
        shares = share(scores, key_padding_mask, attn_mask)
        return returned(out(join(shares @ v), weights), told(shares, scores))

    return answer


def _unsplit(vectors: Tensor, num_heads: int) -> Tensor:
    """`view(B, H, L, D)` straight away: right in shape, wrong in every cell."""
    batch, length, dim = vectors.shape
    return vectors.reshape(batch, num_heads, length, dim // num_heads)


def _split_into_columns(vectors: Tensor, num_heads: int) -> Tensor:
    batch, length, dim = vectors.shape
    return vectors.reshape(batch, num_heads, dim // num_heads, length).mT


def _split_of_transposed(vectors: Tensor, num_heads: int) -> Tensor:
    batch, length, dim = vectors.shape
    return vectors.mT.reshape(batch, num_heads, length, dim // num_heads)


def _split_batch_last(vectors: Tensor, num_heads: int) -> Tensor:
    """What is right for vectors [length, batch, dim]."""
    batch, length, dim = vectors.shape
    return vectors.reshape(length, batch, num_heads, dim // num_heads).permute(1, 2, 0, 3)


def _joined_batch_last(vectors: Tensor) -> Tensor:
    batch, heads, length, head_dim = vectors.shape
    return vectors.permute(2, 0, 1, 3).reshape(batch, length, heads * head_dim)


def _interleaved(vectors: Tensor, num_heads: int) -> Tensor:
    return vectors.unflatten(-1, (-1, num_heads)).permute(0, 3, 1, 2)


def _joined_without_transposing(vectors: Tensor) -> Tensor:
    batch, heads, length, dim = vectors.shape
    return vectors.reshape(batch, length, heads * dim)


def _joined_interleaved(vectors: Tensor) -> Tensor:
    return vectors.permute(0, 2, 3, 1).flatten(2)


def _zeroed(*places: int, number: float = 0.0) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """Sets the padding of some inputs to 0, or to another number, before they are projected."""

    def inputs(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> Any:
        if padding is None:
            return query, key, value
        vectors = [query, key, value]
        for place in places:
            vectors[place] = vectors[place].masked_fill(padding[:, :, None], number)
        return tuple(vectors)

    return inputs


def _only_ruled(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
    return _ruled(scores, mask)


def _flat_padding(order: Callable[[Tensor, int], Tensor]) -> Callable[..., Tensor]:
    """Spreads the padding over the heads in another order."""

    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        scores = _ruled(scores, mask)
        if padding is None:
            return scores
        heads = scores.shape[1]
        return scores.flatten(0, 1).masked_fill(order(padding, heads)[:, None, :], -math.inf).view_as(scores)

    return hide


def _other_order(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
    batch, heads = scores.shape[:2]
    if mask is not None and mask.dim() == 3:
        mask = mask.unflatten(0, (heads, batch)).transpose(0, 1).flatten(0, 1)
    return _hidden(scores, padding, mask)


def _turned(mask: Tensor | None) -> Tensor | None:
    return ~mask if mask is not None and mask.dtype == torch.bool else mask


def _turned_over(padding_too: bool, mask_too: bool, number: Any) -> Callable[..., Tensor]:
    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        padding = _turned(padding) if padding_too else padding
        return _hidden(scores, padding, _turned(mask) if mask_too else mask, number)

    return hide


def _bools_added(padding_too: bool, mask_too: bool) -> Callable[..., Tensor]:
    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        if mask is not None:
            scores = scores + _by_head(mask, scores) if mask_too else _ruled(scores, mask)
        if padding is not None:
            scores = scores + padding[:, None, None, :] if padding_too else _unpadded(scores, padding)
        return scores

    return hide


def _by_intersection(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
    if padding is None or mask is None:
        return _hidden(scores, padding, mask)
    if mask.dtype != torch.bool:
        raise NotImplementedError("undecided")
    return scores.masked_fill(_by_head(mask, scores) & padding[:, None, None, :], -math.inf)


def _rows_hidden(number: float, keys_too: bool) -> Callable[..., Tensor]:
    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        scores = _hidden(scores, padding if keys_too else None, mask, number)
        return scores if padding is None else scores.masked_fill(padding[:, None, :, None], number)

    return hide


def _landing(places: Any) -> Callable[..., Tensor]:
    """Leaves too few axes to the padding, so that its batch axis meets another one."""

    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        scores = _ruled(scores, mask)
        return scores if padding is None else scores.masked_fill(padding[places], -math.inf)

    return hide


def _float_as_bool(hides: Callable[[Tensor], Tensor], number: float = -math.inf) -> Callable[..., Tensor]:
    def hide(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
        if mask is not None and mask.dtype != torch.bool:
            mask = hides(mask)
        return _hidden(scores, padding, mask, number)

    return hide


def _zeroed_shares(scores: Tensor, padding: Tensor | None, mask: Tensor | None) -> Tensor:
    """Hides after the softmax; a float mask's biases were added before."""
    if mask is not None and mask.dtype != torch.bool:
        return _unpadded((scores + _by_head(mask, scores)).softmax(-1), padding, 0.0)
    return _hidden(scores.softmax(-1), padding, mask, 0.0)


def _part(change: Callable[[int], int]) -> Callable[..., Tensor]:
    return lambda vectors, part, weights: _projected(vectors, change(part), weights)


def _all_from(*places: int) -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    def inputs(query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None) -> Any:
        return tuple((query, key, value)[place] for place in places)

    return inputs


MULTI_HEAD_ATTENTION = Spec(
    topic="multihead",
    oracle=multi_head_attention,
    points=3,
    cases=_mha_cases,
    sizes=_mha_sizes,
    reading="weights",
    reading_leaf=1,  # the output is no mask, the weights are
    properties=(*ALWAYS, gradients(0, 1, 2)),
    misconceptions=(
        misconception(
            "heads split wrongly",
            "`view(B, H, L, D)` mixes positions: first `view(B, L, H, D)`, then `transpose(1, 2)`.",
            _mha(split=_unsplit),
            _mha(split=_unsplit, join=_joined_without_transposing),
            _mha(split=_split_into_columns),
            _mha(split=_split_of_transposed),
            _mha(
                split=_split_of_transposed,
                join=lambda vectors: vectors.flatten(1).unflatten(1, (-1, vectors.shape[2])).mT,
            ),
            _mha(split=_split_batch_last),
            _mha(split=_split_batch_last, join=_joined_batch_last),
        ),
        misconception(
            "heads interleaved",
            "Head h owns D numbers in a row, from h·D on: `view(B, L, H, D)`, with the heads before D.",
            _mha(split=_interleaved, join=_joined_interleaved),
            _mha(split=_interleaved),
        ),
        misconception(
            "heads joined wrongly",
            "Bring the heads back beside their positions before you join them: `transpose(1, 2)`, then reshape to dim.",
            _mha(join=_joined_without_transposing),
            _mha(join=_joined_interleaved),
        ),
        misconception(
            "scale of E for D",
            "A head's dot product runs over D numbers, not over all E: divide by √(dim / num_heads).",
            _mha(scale=lambda dim, heads: dim**-0.5),
            _mha(scale=lambda dim, heads: 1 / dim),
            _mha(scale=lambda dim, heads: (dim * heads) ** -0.5),
        ),
        misconception(
            "no scaling",
            "The scores are not divided by √D, so the softmax is too sharp; the wider the heads, the sharper.",
            _mha(scale=lambda dim, heads: 1.0),
        ),
        misconception(
            "scaled by D",
            "The scores are divided by D; the spread of a dot product grows with √D.",
            _mha(scale=lambda dim, heads: heads / dim),
        ),
        misconception(
            "mask before projection",
            "Zeroed inputs are keys all the same: the projection's bias fills them again. Hide scores, not vectors.",
            _mha(inputs=_zeroed(1, 2), hide=_only_ruled),
            _mha(inputs=_zeroed(2), hide=_only_ruled),
            _mha(inputs=_zeroed(1), hide=_only_ruled),
            *(
                _mha(inputs=_zeroed(*places, number=number), hide=_only_ruled)
                for places in ((1,), (1, 2))
                for number in (-1e9, -math.inf)
            ),
        ),
        misconception(
            "projected padding zeroed",
            "A zero vector scores 0, and e⁰ = 1 is a share like any other: put −∞ into the scores of the padding.",
            _mha(
                silence=lambda vectors, padding: (
                    vectors if padding is None else vectors.masked_fill(padding[:, :, None], 0.0)
                ),
                hide=_only_ruled,
            ),
        ),
        misconception(
            "hidden scores set to 0",
            "A score of 0 is a score like any other: e⁰ = 1 is a share. Nothing is −∞, not 0.",
            _mha(hide=lambda scores, padding, mask: _hidden(scores, padding, mask, 0.0)),
        ),
        misconception(
            "-100 for minus infinity",
            "−100 (and −1e4) is only a number: a score that leads by more wins all the same. Fill with −∞.",
            *(
                _mha(hide=lambda scores, padding, mask, number=number: _hidden(scores, padding, mask, number))  # type: ignore[misc]
                for number in (-100.0, -1e4)
            ),
        ),
        misconception(
            "zeroed after the softmax",
            "The hidden keys had their share before you took it away: the rows no longer sum to 1. Mask the scores.",
            _mha(
                hide=lambda scores, padding, mask: scores,
                share=_zeroed_shares,
            ),
        ),
        misconception(
            "weights not averaged",
            "The second result is the mean over the heads, [batch, query, key]: `.mean(dim=1)`.",
            *(
                _mha(told=lambda shares, scores, tell=tell: tell(shares))  # type: ignore[misc]
                for tell in (
                    lambda shares: shares,
                    lambda shares: shares.squeeze(1),
                    lambda shares: shares.flatten(0, 1),
                    lambda shares: shares.transpose(0, 1),
                    lambda shares: shares.mean(1, keepdim=True),
                    lambda shares: shares.amax(1),
                    lambda shares: shares.median(1).values,
                )
            ),
        ),
        misconception(
            "weights summed",
            "The mean over the heads is asked for, so that each row sums to 1 and not to the number of heads.",
            _mha(told=lambda shares, scores: shares.sum(1)),
        ),
        misconception(
            "weights of one head",
            "These are the weights of one head; the mean over all of them is asked for.",
            _mha(told=lambda shares, scores: shares[:, 0]),
            _mha(told=lambda shares, scores: shares[:, -1]),
        ),
        misconception(
            "averaged before the softmax",
            "The mean of the heads' weights is not the softmax of their mean scores: softmax first, then the mean.",
            _mha(told=lambda shares, scores: scores.mean(1).softmax(-1)),
        ),
        misconception(
            "key padding forgotten",
            "`key_padding_mask` changes nothing here: the padding takes its share of every row.",
            _mha(hide=_only_ruled),
        ),
        misconception(
            "attn_mask forgotten",
            "`attn_mask` changes nothing here: it belongs on the scores, before the softmax.",
            _mha(hide=lambda scores, padding, mask: _unpadded(scores, padding)),
        ),
        misconception(
            "no mask",
            "Neither `key_padding_mask` nor `attn_mask` is used: both belong on the scores, before the softmax.",
            _mha(hide=lambda scores, padding, mask: scores),
        ),
        misconception(
            "masks taken as allowed",
            "In this module True means ignore: fill where the mask *is* True, or turn it over before SDPA sees it.",
            *(
                _mha(hide=_turned_over(padding_too, mask_too, number))
                for padding_too, mask_too, number in (
                    (True, True, -math.inf),
                    (True, False, -math.inf),
                    (False, True, -math.inf),
                )
            ),
        ),
        misconception(
            "True added as 1",
            "A bool mask that is added adds 1, which favours what it should hide: fill with −∞ where it is True.",
            *(_mha(hide=_bools_added(*which)) for which in ((True, True), (True, False), (False, True))),
        ),
        misconception(
            "and for or",
            "With both masks, one reason to hide a key is enough: join them with `|`.",
            _mha(hide=_by_intersection),
        ),
        misconception(
            "float mask taken for a bool",
            "A float mask is a bias: it is added to the scores, all of it, and not only its −∞.",
            _mha(hide=_float_as_bool(lambda mask: mask == -math.inf)),
            _mha(hide=_float_as_bool(lambda mask: mask.bool())),
        ),
        misconception(
            "3-D mask in the order h*B + b",
            "Row b·H + h of a 3-D mask is for head h of sentence b: `view(B, H, L, S)`, the batch first.",
            _mha(hide=_other_order),
        ),
        misconception(
            "another sentence's padding",
            "Each head needs its own sentence's padding: `[:, None, None, :]`, or `repeat_interleave`, never `repeat`.",
            _mha(hide=_flat_padding(lambda padding, heads: padding.repeat(heads, 1))),
            _mha(hide=_landing((slice(None), None))),
            _mha(hide=_landing(slice(None))),
        ),
        misconception(
            "query rows masked",
            "Rows ask, columns are asked: hide the padding's columns in `[:, None, None, :]`, and leave the rows.",
            *(
                _mha(hide=_rows_hidden(number, keys_too))
                for number, keys_too in ((-math.inf, True), (lowest_number(torch.float32), True), (-math.inf, False))
            ),
        ),
        misconception(
            "no out projection",
            "The heads side by side are not the end: `out_proj_weight` and `out_proj_bias` mix them.",
            _mha(out=lambda vectors, weights: vectors),
        ),
        misconception(
            "biases forgotten",
            "Both projections have a bias: `in_proj_bias` in three parts, `out_proj_bias` at the end.",
            _mha(
                project=lambda vectors, part, weights: F.linear(vectors, weights.in_proj_weight.chunk(3)[part]),
            ),
            _mha(out=lambda vectors, weights: F.linear(vectors, weights.out_proj_weight)),
            _mha(
                project=lambda vectors, part, weights: F.linear(vectors, weights.in_proj_weight.chunk(3)[part]),
                out=lambda vectors, weights: F.linear(vectors, weights.out_proj_weight),
            ),
        ),
        misconception(
            "weight not transposed",
            "A torch weight is [out, in]: project with `F.linear`, or with `vectors @ weight.T`.",
            _mha(
                project=lambda vectors, part, weights: (
                    vectors @ weights.in_proj_weight.chunk(3)[part] + weights.in_proj_bias.chunk(3)[part]
                ),
                out=lambda vectors, weights: vectors @ weights.out_proj_weight + weights.out_proj_bias,
            ),
            _mha(out=lambda vectors, weights: vectors @ weights.out_proj_weight + weights.out_proj_bias),
            _mha(
                project=lambda vectors, part, weights: (
                    vectors @ weights.in_proj_weight.chunk(3)[part] + weights.in_proj_bias.chunk(3)[part]
                ),
            ),
        ),
        misconception(
            "projection slices swapped",
            "`in_proj_weight` holds the rows of query, key and value in this order: `chunk(3)`, and use each for its own.",
            *(
                _mha(project=_part(lambda part, order=order: order[part]))  # type: ignore[misc]
                for order in ((1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 1, 1))
            ),
            _mha(project=_part(lambda part: 0)),
            _mha(
                project=lambda vectors, part, weights: F.linear(
                    vectors, weights.in_proj_weight[part::3], weights.in_proj_bias[part::3]
                )
            ),
        ),
        misconception(
            "everything from the query",
            "In cross-attention the keys come from `key` and the values from `value`: project each input by itself.",
            _mha(inputs=_all_from(0, 0, 0)),
            _mha(inputs=_all_from(0, 1, 1)),
        ),
        misconception(
            "softmax over the queries",
            "Each query shares out its attention among the keys: the softmax runs over the last axis, `dim=-1`.",
            _mha(share=lambda scores, padding, mask: scores.softmax(-2)),
        ),
        misconception(
            "softmax over the heads",
            "Heads know nothing of each other: the softmax runs over the keys, the last axis, `dim=-1`.",
            _mha(share=lambda scores, padding, mask: scores.softmax(1)),
        ),
        misconception(
            "only one result",
            "Two results are asked for, as a tuple: the output, and the mean weights.",
            _mha(returned=lambda output, shares: output),
            _mha(returned=lambda output, shares: (output, None)),
        ),
        misconception(
            "results exchanged",
            "The output comes first, the mean weights second.",
            _mha(returned=lambda output, shares: (shares, output)),
        ),
    ),
)


SPECS = (
    TO_ALLOWED,
    FROM_ALLOWED,
    KEY_PADDING_TO_ATTN_MASK,
    MERGE_MASKS,
    PER_HEAD_WINDOWS,
    NN_TRANSFORMER_MASKS,
    MULTI_HEAD_ATTENTION,
)
