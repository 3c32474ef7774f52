"""``lens(...)``: the mask lens to play with, made by the learner's own functions.

It lives outside ``figures/``, which knows nothing of exercises: here masks are asked for, there they are drawn.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, get_args

import torch
from torch import Tensor

from workbook import running_example as example
from workbook.figures import mask_lens
from workbook.figures.inputs import names_for, number_grid, row_index, shape_of
from workbook.figures.lens import LARGEST
from workbook.figures.style import PADDING_TOKEN
from workbook.figures.widget import widgets_are_off
from workbook.lens_masks import Pattern, Sentence, Settings, Side, make_first, mask_shape, place

if TYPE_CHECKING:
    from workbook.figures import Picture
    from workbook.lens_controls import Lens


def lens(
    scores: Any = None,
    values: Any = None,
    tokens: Sequence[str] | None = None,
    *,
    row: int = 0,
    head: int = 0,
    padding: Side | None = None,
    padded: int | None = None,
    pattern: Pattern = "everyone",
    window: int = 2,
    prefix: int = 2,
    second_text: int = 0,
    flip_polarity: bool = False,
    swap_axes: bool = False,
    as_fractions: bool | None = None,
    title: str | None = None,
) -> "Lens | Picture":
    """Open the mask lens: what a mask does to one row, True = may attend. Masks are made by your own functions.

    Without arguments it shows the course's sentence A. What comes after `tokens` says how it opens.

    Args:
        scores: numbers [query, key] or [head, query, key], as many queries as keys; 0 everywhere if there are only tokens.
        values: numbers [key, dim]; each token's place in the sentence if there are none.
        tokens: the names of the positions; `<pad>` at an end is padding.
        padding: "right", "left", or "none" for a mask that knows of no padding; as `tokens` have it if `None`.
        padded: how many positions are padding.
        pattern: "everyone", "causal", "window" or "prefix".
        window: how many keys a row sees at most under "window", its own included.
        prefix: how many tokens are read both ways under "prefix".
        second_text: where the second of two texts in one row begins; 0 for one text.
        flip_polarity, swap_axes: break the mask on purpose.
        as_fractions: write weights and output as fractions with denominators up to 64; so it is where no scores are given.

    Returns:
        The lens; where `WORKBOOK_WIDGETS` is `off`, its first state as a picture.

    Raises:
        TypeError, ValueError: naming the argument that does not fit.
    """
    sentence = _sentence(scores, values, tokens, as_fractions, title)
    length = sentence.length
    side, own_padding = _padding_of(sentence.tokens)
    settings = Settings(
        row=_within(row_index(row, length, "row"), 0, length - 1, "row"),
        head=_within(row_index(head, sentence.heads, "head"), 0, sentence.heads - 1, "head"),
        padding=_one_of(side if padding is None else padding, get_args(Side), "padding"),
        padded=_within(own_padding or 1 if padded is None else padded, max(own_padding, 1), length, "padded"),
        pattern=_one_of(pattern, get_args(Pattern), "pattern"),
        window=_within(window if pattern == "window" else min(window, length), 1, length, "window"),
        prefix=_within(prefix if pattern == "prefix" else min(prefix, length), 0, length, "prefix"),
        second_text=_within(second_text, 0, length - 1, "second_text"),
        flip_polarity=bool(flip_polarity),
        swap_axes=bool(swap_axes),
    )
    made = make_first(sentence, settings)
    placed = place(sentence, settings)
    picture = mask_lens(
        placed.scores,
        made.allowed,
        placed.values,
        placed.tokens,
        placed.tokens,
        settings.row,
        mask_shape(settings),
        title,
        as_fractions=sentence.as_fractions,
    )
    if widgets_are_off():
        if made.problem:
            print(made.problem)
        return picture
    from workbook.lens_controls import Lens  # ipywidgets and anywidget: only where they are wanted

    return Lens(sentence, settings, made, picture)


def _sentence(
    scores: Any, values: Any, tokens: Sequence[str] | None, as_fractions: bool | None, title: str | None
) -> Sentence:
    if scores is None and values is None and tokens is None:
        fractions = True if as_fractions is None else as_fractions
        return Sentence(example.SCORES_A[None].double(), example.VALUES_A.double(), example.TOKENS_A, fractions, title)
    if scores is None and tokens is None:
        raise ValueError("values are given without scores and without tokens; give one of these, too")
    heads = torch.zeros(1, len(tokens), len(tokens)) if scores is None and tokens is not None else _heads(scores)
    length = heads.shape[1]
    if not 1 <= length <= LARGEST:
        raise ValueError(f"the sentence has {length} tokens; the lens shows 1 to {LARGEST}. Cut it.")
    numbers = [[float(place)] for place in range(length)] if values is None else number_grid(values, "values", length)
    names = tuple(names_for(tokens, length, "tokens", "keys"))
    fractions = scores is None if as_fractions is None else as_fractions  # equal scores give shares such as ⅓
    return Sentence(heads.double(), torch.tensor(numbers, dtype=torch.float64), names, fractions, title)


def _heads(scores: Any) -> Tensor:
    """Scores as [head, query, key]."""
    grids = [number_grid(head, "scores") for head in (scores if len(shape_of(scores)) == 3 else [scores])]
    sizes = {(len(grid), len(grid[0]) if grid else 0) for grid in grids}
    if len(sizes) != 1 or any(queries != keys for queries, keys in sizes):
        raise ValueError(
            f"scores have shape {shape_of(scores)}; they must be [query, key] or [head, query, key], with as many queries "
            "as keys, since the lens shows a sentence that looks at itself"
        )
    return torch.tensor(grids, dtype=torch.float64)


def _padding_of(tokens: Sequence[str]) -> tuple[Side, int]:
    """On which side a sentence's own `<pad>` stand, and how many."""
    real = [place for place, token in enumerate(tokens) if token != PADDING_TOKEN]
    if len(real) == len(tokens):
        return "none", 0
    return ("left", real[0]) if real and real[-1] == len(tokens) - 1 else ("right", len(tokens) - len(real))


def _one_of(value: Any, choices: tuple[Any, ...], argument: str) -> Any:
    if value not in choices:
        listed = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f"{argument} is {value!r}; it can be {listed}")
    return value


def _within(value: Any, low: int, high: int, argument: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{argument} is {value!r}; it must be a whole number")
    if not low <= value <= high:
        raise ValueError(f"{argument} is {value}; it can be {low} to {high} here")
    return value
