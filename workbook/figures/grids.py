"""Grids: a mask as cells of two colours, and a batch as a grid of words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import style
from .inputs import BoolGrid, Grid, bool_grid, cell_grid, is_padding, names_for, printable, row_index, shape_of
from .picture import Picture
from .texttable import LEGEND, TEXT_LIMIT, grid_lines, padded, text_cells, who_sees_whom

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .canvas import Canvas

LARGEST_DRAWN = 96  # rows and columns; more is cropped, and says so
AXIS_QUERY = "query (who asks)"
AXIS_KEY = "key (who is asked)"
MEANS = ("may attend", "may not attend")
AXES = (AXIS_QUERY, AXIS_KEY)


@dataclass(frozen=True)
class Panel:
    """One mask with its names, ready to draw."""

    name: str
    allowed: BoolGrid
    queries: list[str]
    keys: list[str]
    cells: Grid | None = None
    shape: tuple[int, int] = (0, 0)  # of the whole mask, of which `allowed` may be the upper left corner


def cell_words(value: Any) -> str:
    """What is written into a cell."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    return style.number(value)


def _panel(name: str, allowed: Any, queries: Any, keys: Any, cells: Any, argument: str) -> Panel:
    grid = bool_grid(allowed, argument)
    rows, columns = len(grid), shape_of(allowed)[1]
    if keys is None and queries is not None and rows == columns:
        keys = queries  # self-attention: the same words ask and are asked
    query_names = names_for(queries, rows, "queries", "rows")
    key_names = names_for(keys, columns, "keys", "columns")
    written = None if cells is None else cell_grid(cells, "cells", rows, columns)
    return Panel(
        name=name,
        allowed=[row[:LARGEST_DRAWN] for row in grid[:LARGEST_DRAWN]],
        queries=query_names[:LARGEST_DRAWN],
        keys=key_names[:LARGEST_DRAWN],
        cells=None if written is None else [row[:LARGEST_DRAWN] for row in written[:LARGEST_DRAWN]],
        shape=(rows, columns),
    )


def _of_panel(value: Any, name: str, argument: str) -> Any:
    if not isinstance(value, Mapping):
        return value
    if name not in value:
        raise ValueError(f"{argument} has no entry for the panel {name!r}; it has {list(value)}")
    return value[name]


def mask_grid(
    allowed: Any,
    queries: Any = None,
    keys: Any = None,
    *,
    title: str | None = None,
    highlight_row: int | None = None,
    cells: Any = None,
    means: tuple[str, str] = MEANS,
    axes: tuple[str, str] = AXES,
) -> Picture:
    """Draw who may look at whom. True = may attend; queries run down, keys across.

             I like coffee <pad>
    I        ■  ■     ■      ⬚

    Args:
        allowed: bool [query, key]; or [slice, query, key]; or a dict from a panel's name to a mask [query, key].
        queries: tokens of the rows; bare indices when not given. A dict gives each panel its own.
        keys: tokens of the columns; the same as `queries` when left out and the mask is square.
        highlight_row: the index of a query row to outline.
        cells: numbers or strings [query, key], written into the cells in place of the glyphs; a dict for panels.
        means: what True and False say, for a grid of bools that is no attention mask.
        axes: what runs down and what runs across.

    Raises:
        TypeError: when the mask is not bool.
        ValueError: when a shape does not fit, or names are too few or too many.
    """
    if isinstance(allowed, Mapping):
        masks = {str(name): mask for name, mask in allowed.items()}
        if not masks:
            raise ValueError("allowed is an empty dict; it must hold at least one mask")
    elif len(shape_of(allowed)) == 3:
        masks = {f"slice {index}": mask for index, mask in enumerate(allowed)}
        if not masks:
            raise ValueError(f"allowed has shape {shape_of(allowed)}; it must hold at least one slice")
        if cells is not None and not isinstance(cells, Mapping):
            cells = {f"slice {index}": part for index, part in enumerate(cells)}
    else:
        masks = {"": allowed}
    panels = [
        _panel(
            name,
            mask,
            _of_panel(queries, name, "queries"),
            _of_panel(keys, name, "keys"),
            _of_panel(cells, name, "cells"),
            f"allowed[{name!r}]" if name else "allowed",
        )
        for name, mask in masks.items()
    ]
    row = None
    if highlight_row is not None:
        row = row_index(highlight_row, min(panel.shape[0] for panel in panels), "highlight_row")
    text = "\n".join(([title] if title else []) + _text_of(panels, row) + [legend(means, axes)])
    alt = ". ".join((f"{panel.name}: " if panel.name else "") + _alt_of(panel, means) for panel in panels) + "."
    return Picture(lambda: draw_panels(panels, title, row, means, axes), text, style.lead(title) + alt)


def legend(means: tuple[str, str], axes: tuple[str, str]) -> str:
    """The line under a text twin that says what its glyphs and axes are."""
    if (means, axes) == (MEANS, AXES):
        return LEGEND
    glyphs = f"{style.MAY_ATTEND} {means[0]}   {style.MAY_NOT_ATTEND} {means[1]}"
    return f"{glyphs}   (rows: {axes[0]}; columns: {axes[1]})" if any(axes) else glyphs


def _alt_of(panel: Panel, means: tuple[str, str]) -> str:
    if means != MEANS and len(panel.allowed) <= style.LARGEST_LETTERED and len(panel.keys) <= style.LARGEST_LETTERED:
        rows = []
        for name, row in zip(panel.queries, panel.allowed, strict=True):
            true = [key for key, yes in zip(panel.keys, row, strict=True) if yes]
            rows.append(f"{name}: {means[0]} {style.listing(true)}" if true else f"{name}: all {means[1]}")
        return "; ".join(rows)
    if len(panel.allowed) > style.LARGEST_LETTERED or len(panel.keys) > style.LARGEST_LETTERED:
        cells = panel.shape[0] * panel.shape[1]
        seen = sum(sum(row) for row in panel.allowed)
        if panel.shape == (len(panel.allowed), len(panel.keys)):
            return f"a mask of {panel.shape[0]} queries and {panel.shape[1]} keys, {seen} of {cells} cells may attend"
        return f"the upper left corner of a mask of {panel.shape[0]} queries and {panel.shape[1]} keys"
    return who_sees_whom(panel.allowed, panel.queries, panel.keys)


def _text_of(panels: Sequence[Panel], row: int | None) -> list[str]:
    lines: list[str] = []
    for panel in panels:
        if panel.name:
            lines.append(f"[{panel.name}]")
        queries, keys = panel.queries[:TEXT_LIMIT], panel.keys[:TEXT_LIMIT]
        if not queries or not keys:
            lines.append(f"(no cells: {panel.shape[0]} queries, {panel.shape[1]} keys)")
            continue
        written = [
            [
                cell_words(panel.cells[query][key])
                if panel.cells is not None
                else style.MAY_ATTEND
                if panel.allowed[query][key]
                else style.MAY_NOT_ATTEND
                for key in range(len(keys))
            ]
            for query in range(len(queries))
        ]
        if panel.cells is not None:  # both facts: the number, and whether it may be seen
            written = [
                [
                    f"{style.MAY_ATTEND if may else style.MAY_NOT_ATTEND} {word}"
                    for may, word in zip(mask, words, strict=True)
                ]
                for mask, words in zip(panel.allowed, written, strict=False)
            ]
        names = [f"{name} ◂" if index == row else name for index, name in enumerate(queries)]
        # Names of several words need more room between them, or nobody sees where one ends.
        gap = 3 if any(" " in key for key in keys) else 1 if panel.cells is None else 2
        lines += grid_lines(written, names, keys, gap=gap)
        if (len(queries), len(keys)) != panel.shape:
            lines.append(crop_note((len(queries), len(keys)), panel.shape))
    return lines


def crop_note(shown: tuple[int, int], whole: tuple[int, int]) -> str:
    """`first 16 of 40 rows, first 16 of 40 columns`."""
    parts = [
        f"first {part} of {total} {axis}"
        for part, total, axis in zip(shown, whole, ("rows", "columns"), strict=True)
        if part < total
    ]
    return f"({', '.join(parts)})"


# ---- drawing ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Sizes of a grid in pixels: a cell, and the room for the names."""

    cell: float
    height: float
    left: float
    top: float
    turned: bool
    size: float  # of the names

    def width_of(self, keys: Sequence[str]) -> float:
        """The width of names and cells; a turned name may reach beyond the last cell."""
        from .canvas import text_width

        cells = len(keys) * self.cell
        if self.turned:
            ends = [(place + 0.5) * self.cell + 0.75 * text_width(key, self.size) for place, key in enumerate(keys)]
            cells = max([cells, *ends])
        return self.left + cells

    def height_of(self, rows: int) -> float:
        return self.top + rows * self.height


def layout_for(
    queries: Sequence[str], keys: Sequence[str], words: Sequence[str] = (), widest: float = 420, lettered: float = 40
) -> Layout:
    """A cell that holds its words, names that do not overlap."""
    from .canvas import text_width

    largest = max(len(queries), len(keys), 1)
    cell = min(lettered, max(widest / largest, 5))
    size = 13 if cell >= 26 else 11 if cell >= 15 else 10
    key_width = max((text_width(name, size, italic=True) for name in keys), default=0)
    written = max((text_width(word, 13) for word in words), default=0)
    if len(keys) <= 8:
        cell = max(cell, min(key_width + 8, 64), written + 12)
    elif words:
        cell = max(cell, written + 12)
    turned = key_width > cell - 3 and cell >= 11
    return Layout(
        cell=cell,
        height=max(min(cell, 44), 5),
        left=max((text_width(name, size, italic=True) for name in queries), default=0) + 10,
        top=(key_width * 0.75 + 14) if turned else 22,
        turned=turned,
        size=size,
    )


def draw_names(
    canvas: "Canvas",
    layout: Layout,
    x: float,
    y: float,
    names: Sequence[str],
    axis: str,
    strong: int | None = None,
) -> None:
    """Names of an axis: (x, y) is the upper left corner of the cells."""
    sparse = (
        1 if layout.cell >= 11 or len(names) <= style.LARGEST_LETTERED else 8
    )  # more names than that could only be too small to read
    for index, name in enumerate(names):
        if index % sparse:
            continue
        look: dict[str, Any] = {
            "size": layout.size,
            "colour": style.GREY if is_padding(name) else style.INK,
            "italic": is_padding(name),
            "bold": index == strong,
        }
        if axis == "query":
            canvas.text(x - 8, y + (index + 0.5) * layout.height, name, across="right", **look)
        elif layout.turned:
            canvas.text(x + (index + 0.5) * layout.cell, y - 7, name, across="left", up="baseline", turned=45, **look)
        else:
            canvas.text(x + (index + 0.5) * layout.cell, y - 11, name, **look)


def draw_mask(
    canvas: "Canvas",
    layout: Layout,
    x: float,
    y: float,
    allowed: BoolGrid,
    words: Sequence[Sequence[str]] | None = None,
    row: int | None = None,
    word_size: float = 13,
) -> None:
    """The cells: (x, y) is their upper left corner; `words` take the place of the glyphs."""
    gap = 2 if layout.cell >= 15 else 0.5
    width, height = layout.cell - gap, layout.height - gap
    corner = {
        (query, key): (x + key * layout.cell + gap / 2, y + query * layout.height + gap / 2)
        for query, cells in enumerate(allowed)
        for key, _ in enumerate(cells)
    }
    seen = [place for (query, key), place in corner.items() if allowed[query][key]]
    hidden = [place for (query, key), place in corner.items() if not allowed[query][key]]
    if seen:
        canvas.cells(seen, width, height, style.ALLOWED)
    if hidden:
        canvas.cells(hidden, width, height, style.FORBIDDEN)
        canvas.hatch(hidden, width, height, step=7 if layout.cell >= 15 else 4, line=1.1 if layout.cell >= 15 else 0.7)
    lettered = max(len(allowed), len(allowed[0]) if allowed else 0) <= style.LARGEST_LETTERED
    for (query, key), (left, top) in corner.items():
        middle = (left + width / 2, top + height / 2)
        may = allowed[query][key]
        if words is not None:
            canvas.text(
                *middle,
                words[query][key],
                size=word_size,
                colour="white" if may else style.INK,
                behind=None if may else style.FORBIDDEN,
            )
        elif lettered and may:
            draw_glyph(canvas, middle, min(width, height), True)
        elif lettered:
            draw_glyph(canvas, middle, min(width, height), False)
    if row is not None and allowed:
        outline_row(canvas, layout, x, y, row, len(allowed[0]))


def draw_glyph(canvas: "Canvas", middle: tuple[float, float], room: float, may: bool) -> None:
    """■ or ⬚, drawn as shapes so that both have the same size in every cell."""
    side = min(room * 0.36, 13)
    left, top = middle[0] - side / 2, middle[1] - side / 2
    dashed = side >= 9  # a smaller outline would be all gaps
    if may:
        canvas.rectangle(left, top, side, side, fill=style.ALLOWED_GLYPH)
    else:
        canvas.rectangle(
            left,
            top,
            side,
            side,
            fill=style.FORBIDDEN,
            edge=style.FORBIDDEN_GLYPH,
            line=1.2 if dashed else 0.9,
            dashed=dashed,
        )


def outline_row(canvas: "Canvas", layout: Layout, x: float, y: float, row: int, columns: int) -> None:
    canvas.rectangle(
        x - 2,
        y + row * layout.height - 2,
        columns * layout.cell + 4,
        layout.height + 4,
        edge=style.INK,
        line=2.4,
        radius=4,
    )


def draw_axis_titles(
    canvas: "Canvas",
    layout: Layout,
    x: float,
    y: float,
    rows: int,
    columns: int,
    axes: tuple[str, str] = AXES,
) -> None:
    """Words for both axes around the cells whose upper left corner is (x, y); an axis without a word gets no arrow."""
    look: dict[str, Any] = {"size": 11.5, "colour": style.GREY}
    if axes[1]:
        canvas.text(x + columns * layout.cell / 2, y - layout.top - 10, f"{axes[1]} →", **look)
    if axes[0]:
        middle = y + rows * layout.height / 2
        canvas.text(x - layout.left - 10, middle, f"← {axes[0]}", **look, turned=90, up="center")


def legend_start(means: tuple[str, str]) -> float:
    """How far to the right of the legend's first entry its second one begins."""
    from .canvas import text_width

    return max(112.0, 25 + text_width(means[0], 12) + 18)


def draw_mask_legend(canvas: "Canvas", x: float, y: float, means: tuple[str, str] = MEANS) -> None:
    """The two colours in words."""
    for may, words, start in ((True, means[0], x), (False, means[1], x + legend_start(means))):
        canvas.cells([(start, y - 9)], 18, 18, style.ALLOWED if may else style.FORBIDDEN)
        if not may:
            canvas.hatch([(start, y - 9)], 18, 18)
        draw_glyph(canvas, (start + 9, y), 18, may)
        canvas.text(start + 25, y, words, size=12, across="left")


def draw_panels(
    panels: Sequence[Panel],
    title: str | None,
    row: int | None,
    means: tuple[str, str] = MEANS,
    axes: tuple[str, str] = AXES,
) -> "Figure":
    """Masks side by side, with one legend."""
    from .canvas import Canvas, text_width

    legend_width = legend_start(means) + 25 + text_width(means[1], 12) + 8

    many = len(panels) > 1
    name_room = 28 if any(panel.name for panel in panels) else 0
    layouts = [
        layout_for(
            panel.queries,
            panel.keys,
            [cell_words(value) for cells in panel.cells for value in cells] if panel.cells is not None else [],
            widest=300 if many else 480,
        )
        for panel in panels
    ]
    axis_room = 24
    needed = text_width(axes[0] + " →", 11.5) + 6
    widths = [
        max(
            axis_room + layout.width_of(panel.keys),
            axis_room + layout.left + text_width(axes[1], 11.5) + 20 if not panel.keys else 0,
            text_width(panel.name, 14, bold=True) + axis_room + layout.left,
            axis_room + layout.left + layout.cell * len(panel.keys) / 2 + text_width(axes[1] + " →", 11.5) / 2,
        )
        for panel, layout in zip(panels, layouts, strict=True)
    ]
    # Panels wrap into as few shelves as keep the page near a thousand pixels, filled evenly: four make 4 or 2 + 2.
    per_shelf = len(panels)
    while per_shelf > 1 and any(
        sum(widths[start : start + per_shelf]) + 36 * (per_shelf - 1) > 1080
        for start in range(0, len(panels), per_shelf)
    ):
        per_shelf = math.ceil(len(panels) / (math.ceil(len(panels) / per_shelf) + 1))
    shelves = [list(range(len(panels)))[start : start + per_shelf] for start in range(0, len(panels), per_shelf)]
    notes = [
        crop_note((len(panel.allowed), len(panel.keys)), panel.shape)
        if (len(panel.allowed), len(panel.keys)) != panel.shape
        else ""
        for panel in panels
    ]
    shelf_tops = []
    heights = []
    for shelf in shelves:
        top = max(layouts[index].top for index in shelf)
        body = max(max(layouts[index].height * len(panels[index].queries), needed) for index in shelf)
        shelf_tops.append(top)
        heights.append(name_room + 22 + top + body + (22 if any(notes[index] for index in shelf) else 0) + 16)
    margin, head = 20, 36 if title else 8
    inner = max(
        [sum(widths[index] for index in shelf) + 36 * (len(shelf) - 1) for shelf in shelves]
        + [legend_width, text_width(title or "", 16, bold=True)]
    )
    canvas = Canvas(inner + 2 * margin, head + sum(heights) + 44)
    if title:
        canvas.text(margin, 26, title, size=16, bold=True, across="left")
    shelf_y: float = head
    for shelf, top, height in zip(shelves, shelf_tops, heights, strict=True):
        left = margin + (inner - sum(widths[index] for index in shelf) - 36 * (len(shelf) - 1)) / 2
        for index in shelf:
            panel, layout = panels[index], layouts[index]
            x = left + axis_room + layout.left
            y = shelf_y + name_room + 26 + top
            if panel.name:
                canvas.text(x, shelf_y + 16, panel.name, size=14, bold=True, across="left")
            columns = max(len(panel.keys), 1)
            draw_axis_titles(canvas, layout, x, y, max(len(panel.queries), 1), columns, axes)
            draw_names(canvas, layout, x, y, panel.keys, "key")
            draw_names(canvas, layout, x, y, panel.queries, "query", strong=row)
            words = None
            if panel.cells is not None:
                words = [[cell_words(value) for value in cells] for cells in panel.cells]
            draw_mask(canvas, layout, x, y, panel.allowed, words, row)
            if not panel.queries or not panel.keys:
                canvas.text(x, y + 20, "no cells", size=12, colour=style.GREY, italic=True, across="left")
            if notes[index]:
                canvas.text(
                    x,
                    y + layout.height * len(panel.queries) + 14,
                    notes[index],
                    size=11.5,
                    colour=style.GREY,
                    across="left",
                )
            left += widths[index] + 36
        shelf_y += height
    draw_mask_legend(canvas, margin + max((inner - legend_width) / 2, 0), canvas.height - 26, means)
    return canvas.figure


# ---- a batch of words -------------------------------------------------------------------------------------------


def batch_grid(
    rows: Any, title: str | None = None, names: Sequence[str] | None = None, *, count_padding: bool = True
) -> Picture:
    """A batch as a grid of words: one sentence a row, padding hatched.

    Args:
        rows: sentences as lists of tokens; shorter ones leave a gap at the end, which is what padding is there to fill.
        names: names of the sentences; bare indices when not given.
        count_padding: write under the grid how much of it is padding; False for rows that are no sentences of a batch.
    """
    if isinstance(rows, str) or not isinstance(rows, Sequence) or any(isinstance(row, str) for row in rows):
        raise TypeError(f"rows is {rows!r}; it must be a list of lists of tokens")
    words = [[printable(str(token)) for token in row] for row in rows]
    if not words:
        raise ValueError("rows is empty; it must hold at least one sentence")
    labels = names_for(names, len(words), "names", "rows")
    columns = max(len(row) for row in words)
    widths = [max([1] + [text_cells(row[place]) for row in words if place < len(row)]) for place in range(columns)]
    margin = max(text_cells(label) for label in labels) + 3
    lines = [
        (padded(label, margin) + "  ".join(padded(word, widths[place]) for place, word in enumerate(row))).rstrip()
        for label, row in zip(labels, words, strict=True)
    ]
    count = sum(is_padding(word) for row in words for word in row)
    total = sum(len(row) for row in words)
    tally = f"{count} of {total} cells are padding" if count_padding else ""
    text = "\n".join(([title] if title else []) + lines + ([tally] if tally else []))
    row_word = "sentence " if count_padding else ""
    said = "; ".join(f"{row_word}{label}: {' '.join(row)}" for label, row in zip(labels, words, strict=True))
    alt = f"{style.lead(title)}{said}." + (f" {tally}." if tally else "")
    return Picture(lambda: _draw_batch(words, labels, title, tally), text, alt)


def _draw_batch(words: list[list[str]], labels: list[str], title: str | None, tally: str) -> "Figure":
    from .canvas import Canvas, text_width

    columns = max(len(row) for row in words)
    cell = max([52.0] + [text_width(word, 14) + 22 for row in words for word in row])
    height, margin = 36, 20
    left = max(text_width(label, 13, bold=True) for label in labels) + 14
    head = 42 if title else 14
    width = max(left + columns * cell, text_width(title or "", 16, bold=True), 200)
    canvas = Canvas(width + 2 * margin, head + height * len(words) + (62 if tally else 36))
    if title:
        canvas.text(margin, 26, title, size=16, bold=True, across="left")
    x, y = margin + left, head + 18
    for place in range(columns):
        canvas.text(x + (place + 0.5) * cell, y - 10, str(place), size=11, colour=style.GREY)
    for index, (label, row) in enumerate(zip(labels, words, strict=True)):
        canvas.text(x - 10, y + (index + 0.5) * height, label, bold=True, across="right")
        for place, word in enumerate(row):
            corner = (x + place * cell + 1, y + index * height + 1)
            middle = (x + (place + 0.5) * cell, y + (index + 0.5) * height)
            if is_padding(word):
                canvas.cells([corner], cell - 2, height - 2, style.FORBIDDEN)
                canvas.hatch([corner], cell - 2, height - 2)
                canvas.text(*middle, word, size=14, colour=style.GREY, italic=True, behind=style.FORBIDDEN)
            else:
                canvas.rectangle(*corner, cell - 2, height - 2, fill="white", edge=style.FAINT)
                canvas.text(*middle, word, size=14)
    if tally:
        canvas.text(x, canvas.height - 22, tally, size=12, colour=style.GREY, across="left")
    return canvas.figure
