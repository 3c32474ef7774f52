"""The whole of attention on one sentence, from scores to output, as linked grids of numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import style
from .inputs import BoolGrid, bool_grid, is_padding, names_for, number_grid, row_index
from .picture import Picture
from .texttable import grid_lines, who_sees_whom

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST = 8  # queries and keys of a pipeline: more numbers than that, nobody reads


@dataclass(frozen=True)
class Attention:
    """Scores, mask, weights and output of one head, computed in float64."""

    scores: list[list[float]]
    allowed: BoolGrid
    weights: list[list[float]]
    values: list[list[float]]
    output: list[list[float]]
    queries: list[str]
    keys: list[str]


def attend(scores: Any, allowed: Any, values: Any, queries: Any, keys: Any, largest: int) -> Attention:
    """Check the inputs and compute softmax(scores where allowed, −∞ elsewhere) @ values. True = may attend."""
    import torch

    mask = bool_grid(allowed, "allowed")
    rows, columns = len(mask), len(mask[0]) if mask else 0
    if not rows or not columns:
        raise ValueError(f"allowed has shape ({rows}, {columns}); it must have at least one query and one key")
    if max(rows, columns) > largest:
        raise ValueError(
            f"allowed has shape ({rows}, {columns}); this figure shows at most {largest} queries and keys. Cut it."
        )
    score_grid = number_grid(scores, "scores", rows, columns)
    value_grid = number_grid(values, "values", columns)
    if keys is None and queries is not None and rows == columns:
        keys = queries
    masked = torch.tensor(score_grid, dtype=torch.float64).masked_fill(~torch.tensor(mask), float("-inf"))
    weights = torch.softmax(masked, dim=-1)  # a row of nothing but −∞ is NaN, and is to be seen as such
    output = weights @ torch.tensor(value_grid, dtype=torch.float64)
    return Attention(
        scores=score_grid,
        allowed=mask,
        weights=weights.tolist(),
        values=value_grid,
        output=output.tolist(),
        queries=names_for(queries, rows, "queries", "rows"),
        keys=names_for(keys, columns, "keys", "columns"),
    )


def share(score: float) -> str:
    """exp(score): the share a score stands for before it is divided by its row's sum."""
    return style.number(float("inf") if score > 700 else math.exp(score))


@dataclass(frozen=True)
class Stage:
    """One grid of the pipeline."""

    title: str
    subtitle: str
    words: list[list[str]]
    names: list[str]
    before: str  # what is written on the way to it
    kind: str  # "numbers", "mask", "weights"


def _stages(attention: Attention, as_fractions: bool, as_shares: bool) -> list[Stage]:
    write = style.fraction if as_fractions else style.number
    score = share if as_shares else style.number
    scores = [[score(value) for value in row] for row in attention.scores]
    none = "0" if as_shares else "−∞"
    masked = [
        [word if may else none for word, may in zip(words, mask, strict=True)]
        for words, mask in zip(scores, attention.allowed, strict=True)
    ]
    keys, dims = attention.keys, [str(index) for index in range(len(attention.values[0]))]
    glyphs = [[style.MAY_ATTEND if may else style.MAY_NOT_ATTEND for may in row] for row in attention.allowed]
    return [
        Stage(
            "shares" if as_shares else "scores", "e^score" if as_shares else "query · key", scores, keys, "", "numbers"
        ),
        Stage("mask", "may attend?", glyphs, keys, "×" if as_shares else "+", "mask"),
        Stage(
            "masked shares" if as_shares else "masked scores",
            "forbidden: 0" if as_shares else "forbidden: −∞",
            masked,
            keys,
            "=",
            "numbers",
        ),
        Stage(
            "weights",
            "each row sums to 1",
            [[write(value) for value in row] for row in attention.weights],
            keys,
            "÷ sum" if as_shares else "softmax",
            "weights",
        ),
        Stage(
            "output",
            "weights × values",
            [[write(value) for value in row] for row in attention.output],
            dims,
            "× values",
            "numbers",
        ),
    ]


def pipeline(
    scores: Any,
    allowed: Any,
    values: Any,
    queries: Any = None,
    keys: Any = None,
    row: int | None = None,
    *,
    as_fractions: bool = False,
    as_shares: bool = False,
    title: str | None = None,
) -> Picture:
    """Draw scores → + mask → masked scores → softmax → weights → × values → output. True = may attend.

    Args:
        scores: numbers [query, key].
        allowed: bool [query, key].
        values: numbers [key, dim].
        row: the index of a query row to outline from end to end.
        as_fractions: write weights and output as fractions with denominators up to 64.
        as_shares: write e^score for each score; a row's weights are its shares divided by their sum.

    Raises:
        TypeError, ValueError: naming the argument that does not fit.
    """
    attention = attend(scores, allowed, values, queries, keys, LARGEST)
    outlined = row_index(row, len(attention.queries), "row")
    stages = _stages(attention, as_fractions, as_shares)
    lines = [title] if title else []
    names = [f"{name} ◂" if index == outlined else name for index, name in enumerate(attention.queries)]
    for stage in stages:
        lead = f"{stage.before} → " if stage.before in ("softmax", "÷ sum", "× values") else ""
        lines.append(f"[{lead}{stage.title}]")
        lines += grid_lines(stage.words, names, stage.names, gap=1 if stage.kind == "mask" else 2)
    write = style.fraction if as_fractions else style.number
    rows = [outlined] if outlined is not None else range(len(attention.queries))
    results = "; ".join(
        f"row {attention.queries[index]} gives ({', '.join(write(value) for value in attention.output[index])})"
        for index in rows
    )
    seen = who_sees_whom(attention.allowed, attention.queries, attention.keys)
    alt = f"{style.lead(title)}From scores to output: {seen}. {results}."
    return Picture(lambda: _draw(attention, stages, outlined, title, as_fractions), "\n".join(lines), alt)


def _draw(
    attention: Attention, stages: Sequence[Stage], row: int | None, title: str | None, as_fractions: bool
) -> "Figure":
    from .canvas import Canvas, text_width
    from .grids import Layout, draw_mask, draw_names

    queries = attention.queries
    every = [word for stage in stages for words in stage.words for word in words]
    size = 12.0
    widest = max(text_width(word, size) for word in every)
    names = [name for stage in stages for name in stage.names]
    name_width = max(text_width(name, 11.5, italic=is_padding(name)) for name in names)
    cell = max(min(name_width + 4, 44), widest + 8, 30)
    turned = name_width > cell - 2
    left = max(text_width(name, 12, bold=True, italic=True) for name in queries) + 10
    layout = Layout(cell, 34, left, name_width * 0.75 + 14 if turned else 22, turned, 11.5)
    margin = 18
    widths = [
        max(len(stage.names) * cell, text_width(stage.title, 14, bold=True), text_width(stage.subtitle, 11.5))
        for stage in stages
    ]
    value_rows = [style.vector(value, as_fractions, 4) for value in attention.values]
    value_width = max([text_width(words, 11.5) for words in value_rows] + [40])
    gaps = [0.0, 32.0, 32.0, 62.0, value_width + 66]
    inner = layout.left + sum(widths) + sum(gaps)
    head = (42 if title else 6) + 50
    body = len(queries) * layout.height
    canvas = Canvas(max(inner, text_width(title or "", 16, bold=True)) + 2 * margin, head + layout.top + body + 34)
    if title:
        canvas.text(margin, 26, title, size=16, bold=True, across="left")
    y = head + layout.top
    x = margin + layout.left
    draw_names(canvas, layout, x, y, queries, "query", strong=row)
    for stage, width, before in zip(stages, widths, gaps, strict=True):
        x += before
        if before:
            _draw_link(canvas, stage, attention, value_rows, x - before, before, y, body, row, layout.height)
        canvas.text(x, head - 36, stage.title, size=14, bold=True, across="left")
        canvas.text(x, head - 16, stage.subtitle, size=11.5, colour=style.GREY, across="left")
        draw_names(canvas, layout, x, y, stage.names, "key")
        if stage.kind == "mask":
            draw_mask(canvas, layout, x, y, attention.allowed)
        else:
            _draw_numbers(canvas, layout, x, y, stage, attention.allowed, size)
        if row is not None:
            canvas.rectangle(
                x - 2,
                y + row * layout.height - 2,
                len(stage.names) * layout.cell + 4,
                layout.height + 4,
                edge=style.INK,
                line=2.2,
                radius=4,
            )
        x += width
    return canvas.figure


def _draw_link(
    canvas: Any,
    stage: Stage,
    attention: Attention,
    value_rows: Sequence[str],
    x: float,
    room: float,
    y: float,
    body: float,
    row: int | None,
    height: float,
) -> None:
    """The sign or the arrow between two grids; before the output also the value rows that are mixed."""
    middle = y + body / 2 if row is None else y + (row + 0.5) * height
    if stage.before in ("+", "×", "="):
        canvas.text(x + room / 2, middle, stage.before, size=20, bold=True, colour=style.GREY)
        return
    if stage.before != "× values":
        canvas.text(x + room / 2, middle - 13, stage.before, size=11.5, colour=style.GREY)
        canvas.arrow((x + 10, middle), (x + room - 8, middle))
        return
    # A value belongs to a key, not to a query: its row is named, so that nobody reads it across.
    left, right = x + 20, x + room - 34
    centre = (left + right) / 2
    canvas.text(x + 10, middle, "×", size=18, bold=True, colour=style.GREY)
    line = 17
    both = 2 * line * len(value_rows)
    top = y + body / 2 - both / 2 if both <= body + 60 else y
    canvas.rectangle(left, top - 26, right - left, both + 32, fill=style.PANEL, radius=6)
    canvas.text(centre, top - 14, "values", size=11.5, bold=True)
    for index, words in enumerate(value_rows):
        name = attention.keys[index]
        grey = is_padding(name)
        canvas.text(
            centre,
            top + 2 * line * index + 8,
            name,
            size=10.5,
            colour=style.GREY,
            italic=grey,
        )
        canvas.text(centre, top + 2 * line * index + 8 + line - 2, words, size=11.5)
    canvas.arrow((right + 8, middle), (x + room - 6, middle))


def _draw_numbers(canvas: Any, layout: Any, x: float, y: float, stage: Stage, allowed: BoolGrid, size: float) -> None:
    """Numbers; weights are tinted by how large they are, −∞ stands on the forbidden hatch."""
    for query, words in enumerate(stage.words):
        for key, word in enumerate(words):
            corner = (x + key * layout.cell + 1, y + query * layout.height + 1)
            width, height = layout.cell - 2, layout.height - 2
            forbidden = stage.before in ("=", "softmax", "÷ sum") and not allowed[query][key]
            behind = None
            colour = style.INK
            if word == "NaN":
                canvas.rectangle(*corner, width, height, fill="#FBE3E0")
                colour = style.NOT_A_NUMBER
            elif forbidden:
                canvas.cells([corner], width, height, style.FORBIDDEN)
                canvas.hatch([corner], width, height)
                behind, colour = style.FORBIDDEN, style.FORBIDDEN_GLYPH
            elif stage.kind == "weights":
                canvas.rectangle(*corner, width, height, fill=style.RIGHT_ALLOWED)
            else:
                canvas.rectangle(*corner, width, height, fill="white", edge=style.FAINT, line=0.8)
            canvas.text(
                corner[0] + width / 2,
                corner[1] + height / 2,
                word,
                size=size + 3 if len(word) == 1 and not word.isdigit() and word not in "∞" else size,
                colour=colour,
                bold=word == "NaN",
                behind=behind,
            )
