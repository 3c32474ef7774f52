"""Expected, yours, and the difference: cells that leak and cells that are missing, told apart and counted."""

import base64
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import TYPE_CHECKING, Any

from . import style
from .inputs import BoolGrid, bool_values, is_padding, names_for, shape_of
from .picture import Picture
from .texttable import DIFFERENCE_LEGEND, beside, grid_lines, text_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EXPECTED, YOURS, DIFFERENCE = "expected", "yours", "difference"


@dataclass(frozen=True)
class Comparison:
    """Two masks, cell by cell, cut to what is shown; `leaking` and `missing` count the whole masks."""

    expected: BoolGrid
    received: BoolGrid
    queries: list[str]
    keys: list[str]
    leaking: int
    missing: int
    note: str

    @property
    def summary(self) -> str:
        if not self.leaking and not self.missing:
            return "no difference"
        leaking = f"{self.leaking} leaking (seen but forbidden)"
        missing = f"{self.missing} missing (allowed but not seen)"
        return ", ".join([leaking] * bool(self.leaking) + [missing] * bool(self.missing))

    def kind(self, query: int, key: int) -> str:
        """The glyph of a cell of the difference."""
        expected, received = self.expected[query][key], self.received[query][key]
        if received and not expected:
            return style.LEAKING_GLYPH
        return style.MISSING_GLYPH if expected and not received else style.RIGHT_GLYPH

    def words(self, part: str) -> list[list[str]]:
        """The glyphs of one of the three grids."""
        if part == DIFFERENCE:
            return [[self.kind(query, key) for key in range(len(self.keys))] for query in range(len(self.queries))]
        grid = self.expected if part == EXPECTED else self.received
        return [[style.MAY_ATTEND if may else style.MAY_NOT_ATTEND for may in row] for row in grid]

    @property
    def alt(self) -> str:
        """Says which cells differ, up to eight of each kind."""
        sentences = [f"Expected, yours and the difference: {self.summary}"]
        for glyph, verb in (
            (style.LEAKING_GLYPH, "sees {key} and must not"),
            (style.MISSING_GLYPH, "does not see {key} and may"),
        ):
            places = [
                (query, key)
                for query, key in product(range(len(self.queries)), range(len(self.keys)))
                if self.kind(query, key) == glyph
            ]
            said = [f"row {self.queries[query]} " + verb.format(key=self.keys[key]) for query, key in places[:8]]
            if said:
                sentences.append("; ".join(said) + (" and so on" if len(places) > 8 else ""))
        return ". ".join(sentences) + "."


def compare(expected: Any, received: Any, queries: Any = None, keys: Any = None) -> Comparison:
    """Check and cut two masks of one shape: [query, key], [key], or with axes in front, of which one slice is shown.

    Raises:
        TypeError: when one is not bool.
        ValueError: when the shapes differ or have no axis.
    """
    shape = shape_of(expected)
    if shape != shape_of(received):
        raise ValueError(f"received has shape {shape_of(received)}; it must have the shape of expected, {shape}")
    if not shape:
        raise ValueError("expected is a single value; it must have at least one axis, (key) or (query, key)")
    wanted, came = bool_values(expected, "expected"), bool_values(received, "received")
    notes = []
    one_row = len(shape) == 1
    if one_row:
        wanted, came, shape = [wanted], [came], (1, *shape)
    pairs = [
        (index, _slice(wanted, index), _slice(came, index)) for index in product(*(range(size) for size in shape[:-2]))
    ]
    counts = [_count(left, right) for _, left, right in pairs]
    leaking, missing = sum(count[0] for count in counts), sum(count[1] for count in counts)
    shown = next((index for index, count in enumerate(counts) if sum(count)), 0)
    where, left, right = pairs[shown] if pairs else ((), [], [])
    rows, columns = (shape[-2], shape[-1]) if pairs else (0, 0)
    if len(shape) > 2:
        first = "the first that differs" if leaking or missing else "the first"
        notes.append(f"slice {list(where)} of shape {list(shape)}, {first}" if pairs else f"shape {list(shape)}")
    query_names = [""] if one_row and queries is None else names_for(queries, rows, "queries", "rows")
    if keys is None and queries is not None and rows == columns:
        keys = queries
    key_names = names_for(keys, columns, "keys", "columns")
    differing = [
        (row, column) for row in range(rows) for column in range(columns) if left[row][column] != right[row][column]
    ]
    limit = style.LARGEST_LETTERED
    # The first sixteen, as long as they hold a difference; else the sixteen that begin at the first one.
    visible = any(row < limit and column < limit for row, column in differing)
    top, start = (0, 0) if visible or not differing else _start(differing[0], rows, columns, limit)
    for axis, begin, total in (("rows", top, rows), ("columns", start, columns)):
        if total > limit and begin == 0:
            notes.append(f"first {limit} of {total} {axis}")
        elif total > limit:
            notes.append(f"{axis} {begin} to {begin + limit - 1} of {total}")
    return Comparison(
        expected=[list(row[start : start + limit]) for row in left[top : top + limit]],
        received=[list(row[start : start + limit]) for row in right[top : top + limit]],
        queries=query_names[top : top + limit],
        keys=key_names[start : start + limit],
        leaking=leaking,
        missing=missing,
        note="; ".join(notes),
    )


def _start(place: tuple[int, int], rows: int, columns: int, limit: int) -> tuple[int, int]:
    row, column = place
    return max(min(row, rows - limit), 0), 0 if column < limit else max(min(column, columns - limit), 0)


def _slice(nested: Any, index: tuple[int, ...]) -> Any:
    for place in index:
        nested = nested[place]
    return nested


def _count(expected: BoolGrid, received: BoolGrid) -> tuple[int, int]:
    pairs = [pair for left, right in zip(expected, received, strict=True) for pair in zip(left, right, strict=True)]
    return sum(came and not want for want, came in pairs), sum(want and not came for want, came in pairs)


# ---- the terminal -----------------------------------------------------------------------------------------------


def difference_text(
    expected: Any,
    received: Any,
    queries: Any = None,
    keys: Any = None,
    *,
    names: tuple[str, str] = (EXPECTED, YOURS),
    width: int = 110,
) -> str:
    """The three grids for a terminal: `!` leaks, `?` is missing, `·` is as it should be; `names` head the first two.

    They stand side by side where a line has room for them, else one under the other.
    """
    return _as_text(compare(expected, received, queries, keys), names, width)


def _as_text(comparison: Comparison, names: tuple[str, str], width: int = 110) -> str:
    lines = [comparison.summary]
    if comparison.note:
        lines.append(f"({comparison.note})")
    if not comparison.queries or not comparison.keys:
        return "\n".join([*lines, "(no cells)"])
    blocks = [
        [f"[{name}]", *grid_lines(comparison.words(part), comparison.queries, comparison.keys)]
        for part, name in zip((EXPECTED, YOURS, DIFFERENCE), (*names, DIFFERENCE), strict=True)
    ]
    wide = sum(max(text_cells(line) for line in block) for block in blocks) + 8
    lines += beside(blocks) if wide <= width else [line for block in blocks for line in block]
    return "\n".join([*lines, DIFFERENCE_LEGEND])


# ---- the notebook -----------------------------------------------------------------------------------------------


def difference(
    expected: Any,
    received: Any,
    queries: Any = None,
    keys: Any = None,
    *,
    title: str | None = None,
    names: tuple[str, str] = (EXPECTED, YOURS),
    means: tuple[str, str] = ("may attend", "may not"),
) -> Picture:
    """Draw expected / yours / difference. True = may attend.

    Leaking cells (received True, expected False) and missing cells (expected True, received False) differ in colour
    and in glyph, and are counted. Masks with axes in front of (query, key) are counted whole; one slice is shown.

    Args:
        expected: bool [..., query, key] or [key].
        received: bool, of the same shape.
        names: what stands over the first two grids.
        means: what the legend says of True and of False.

    Raises:
        TypeError: when one is not bool.
        ValueError: when the shapes differ.
    """
    comparison = compare(expected, received, queries, keys)
    text = "\n".join(([title] if title else []) + [_as_text(comparison, names)])
    alt = style.lead(title) + comparison.alt
    return Picture(lambda: _draw(comparison, title, names, means), text, alt)


def _draw(comparison: Comparison, title: str | None, names: tuple[str, str], means: tuple[str, str]) -> "Figure":
    from .canvas import Canvas, text_width
    from .grids import draw_mask, draw_names, layout_for

    queries, keys = comparison.queries, comparison.keys
    layout = layout_for(queries, keys, widest=290)
    rows = max(len(queries), 1)
    longest = max(text_width(name, 14, bold=True) for name in names) + layout.left
    width = max(layout.width_of(keys), 150, longest)
    margin, gap = 20, 30
    heading = f"{title}: {comparison.summary}" if title else comparison.summary
    legend = (
        (style.ALLOWED, "", means[0]),
        (style.FORBIDDEN, "", means[1]),
        (style.LEAKING, style.LEAKING_GLYPH, "leaking: seen but forbidden"),
        (style.MISSING, style.MISSING_GLYPH, "missing: allowed but not seen"),
    )
    legend_width = sum(28 + text_width(words, 12) + 20 for _, _, words in legend) - 20
    inner = max(3 * width + 2 * gap, text_width(heading, 16, bold=True), legend_width)
    head = 44 + (18 if comparison.note else 0)
    canvas = Canvas(inner + 2 * margin, head + 26 + layout.height_of(rows) + 60)
    canvas.text(margin, 26, heading, size=16, bold=True, across="left")
    if comparison.note:
        canvas.text(margin, 50, f"({comparison.note})", size=12, colour=style.GREY, across="left")
    y = head + 28 + layout.top
    for index, part in enumerate((EXPECTED, YOURS, DIFFERENCE)):
        x = margin + (inner - 3 * width - 2 * gap) / 2 + index * (width + gap) + layout.left
        canvas.text(x, head + 14, (*names, part)[index], size=14, bold=True, across="left")
        draw_names(canvas, layout, x, y, keys, "key")
        draw_names(canvas, layout, x, y, queries, "query")
        if part == DIFFERENCE:
            _draw_difference(canvas, layout, x, y, comparison)
        else:
            draw_mask(canvas, layout, x, y, comparison.expected if part == EXPECTED else comparison.received)
        if not queries or not keys:
            canvas.text(x, y + 16, "no cells", size=12, colour=style.GREY, italic=True, across="left")
    x = margin + (inner - legend_width) / 2
    for fill, glyph, words in legend:
        _draw_kind(canvas, x, canvas.height - 33, 18, 18, fill, glyph)
        canvas.text(x + 25, canvas.height - 24, words, size=12, across="left")
        x += 28 + text_width(words, 12) + 20
    return canvas.figure


def _draw_kind(canvas: Any, x: float, y: float, width: float, height: float, fill: str, glyph: str) -> None:
    """One cell of the difference, or of its legend."""
    canvas.cells([(x, y)], width, height, fill)
    if fill == style.FORBIDDEN:
        canvas.hatch([(x, y)], width, height)
    if glyph == style.MISSING_GLYPH:  # a hole: an outline that is not filled with the colour
        canvas.rectangle(x + 1, y + 1, width - 2, height - 2, edge=style.MISSING_EDGE, line=2)
    if glyph:
        canvas.text(
            x + width / 2,
            y + height / 2,
            glyph,
            size=min(height * 0.72, 20),
            bold=True,
            colour=style.MISSING_EDGE if glyph == style.MISSING_GLYPH else style.INK,
        )


def _draw_difference(canvas: Any, layout: Any, x: float, y: float, comparison: Comparison) -> None:
    gap = 2
    for query, key in product(range(len(comparison.queries)), range(len(comparison.keys))):
        corner = (x + key * layout.cell + gap / 2, y + query * layout.height + gap / 2)
        size = (layout.cell - gap, layout.height - gap)
        kind = comparison.kind(query, key)
        if kind == style.RIGHT_GLYPH:
            canvas.cells(
                [corner], *size, style.RIGHT_ALLOWED if comparison.expected[query][key] else style.RIGHT_FORBIDDEN
            )
        elif kind == style.LEAKING_GLYPH:
            _draw_kind(canvas, *corner, *size, style.LEAKING, kind)
        else:
            _draw_kind(canvas, *corner, *size, style.MISSING, kind)


# ---- the page of a check ----------------------------------------------------------------------------------------

# JupyterLab's own ink follows its theme; elsewhere the words take the colour of the text around them. Cell colours are
# middle tones, to be told apart on white and on black; no letter has one of them. No ids: a page may hold many of these.
_SVG_INK = "var(--jp-ui-font-color1, currentColor)"
_SVG_GREY = "var(--jp-ui-font-color2, currentColor)"
_SVG_ALLOWED = "#3F7CC4"
_SVG_LINE = "#B08D57"
_SVG_LEAKING = "#F0742A"
_SVG_MISSING = "#A77BD6"
_CELL, _GAP, _TEXT = 20, 24, 12
_WIDEST = 720  # wider grids stand one under the other, so that a narrow page need not make them small


def difference_svg(expected: Any, received: Any, queries: Any = None, keys: Any = None) -> str:
    """The same three grids as one inline SVG, readable on a light and on a dark page."""
    comparison = compare(expected, received, queries, keys)
    # An inline SVG cannot measure words; 0.62 em is a little more than a letter of a common font needs on average.
    letter = _TEXT * 0.62
    names = max([text_cells(name) for name in comparison.keys] + [1]) * letter + 4
    turned = names > _CELL and (names > 56 or len(comparison.keys) > 8)
    cell = _CELL if turned else max(_CELL, names)
    left = max([text_cells(name) for name in comparison.queries] + [0]) * letter + 8
    longest = max([text_cells(name) for name in comparison.keys] + [1]) * letter
    top = 22 + (longest * 0.75 + 12 if turned else 18)
    tail = longest * 0.7 if turned else 0
    panel = max(left + cell * len(comparison.keys) + tail, 90)
    head = 20 + (18 if comparison.note else 0)
    tall = top + _CELL * max(len(comparison.queries), 1)
    stacked = 3 * panel + 2 * _GAP > _WIDEST
    bottom = head + (3 * tall + _GAP if stacked else tall)
    words = [comparison.summary, comparison.note, "! leaking: seen but forbidden   ? missing: allowed but not seen"]
    width = round(max(panel if stacked else 3 * panel + 2 * _GAP, max(len(line) for line in words) * letter) + 4)
    height = round(bottom + 30)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label="{escape(comparison.alt, quote=True)}" '
        f'style="max-width:100%;height:auto;font-family:var(--jp-ui-font-family, sans-serif);font-size:{_TEXT}px">',
        _svg_text(0, 13, comparison.summary, _SVG_INK, bold=True),
    ]
    if comparison.note:
        parts.append(_svg_text(0, 31, f"({comparison.note})", _SVG_GREY))
    for index, part in enumerate((EXPECTED, YOURS, DIFFERENCE)):
        across, down = (0, index * (tall + _GAP / 2)) if stacked else (index * (panel + _GAP), 0)
        parts += _svg_grid(comparison, part, across + left, head + down, head + down + top, cell, turned)
    glyph = f'<tspan style="fill:{_SVG_INK};font-weight:bold">'
    parts.append(
        f'<text x="0" y="{_at(bottom + 22)}" style="fill:{_SVG_GREY}">'
        f"{glyph}!</tspan> leaking: seen but forbidden &#160; {glyph}?</tspan> missing: allowed but not seen</text>"
    )
    return "".join([*parts, "</svg>"])


def difference_image(expected: Any, received: Any, queries: Any = None, keys: Any = None) -> str:
    """The same drawing as an `<img>` with its own background.

    JupyterLab strips inline SVG from the stored outputs of a notebook it does not trust yet; a picture it leaves alone.
    """
    drawing = difference_svg(expected, received, queries, keys)
    width, height = (int(drawing.partition(f'{name}="')[2].partition('"')[0]) for name in ("width", "height"))
    card = f'<rect x="-10" y="-8" width="{width + 20}" height="{height + 12}" rx="6" fill="{style.CARD}"/>'
    start = drawing.index(">") + 1
    root = drawing[:start].replace(f'viewBox="0 0 {width} {height}"', f'viewBox="-10 -8 {width + 20} {height + 12}"')
    root = root.replace(f'width="{width}" height="{height}"', f'width="{width + 20}" height="{height + 12}"', 1)
    themed = root + card + drawing[start:]
    fixed = themed.replace(_SVG_INK, style.INK).replace(_SVG_GREY, style.GREY)
    fixed = fixed.replace("var(--jp-ui-font-family, sans-serif)", "sans-serif")
    alt = compare(expected, received, queries, keys).alt
    data = base64.b64encode(fixed.encode()).decode("ascii")
    return f'<img alt="{escape(alt, quote=True)}" src="data:image/svg+xml;base64,{data}">'


def _at(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _svg_text(
    x: float, y: float, words: str, fill: str, bold: bool = False, anchor: str = "start", extra: str = ""
) -> str:
    weight = ";font-weight:bold" if bold else ""
    look = f'text-anchor="{anchor}"{extra} style="fill:{fill}{weight}"'
    return f'<text x="{_at(x)}" y="{_at(y)}" {look}>{escape(words)}</text>'


def _svg_name(x: float, y: float, name: str, anchor: str, extra: str = "") -> str:
    slant = ' font-style="italic"' if is_padding(name) else ""
    return _svg_text(x, y, name, _SVG_GREY if is_padding(name) else _SVG_INK, anchor=anchor, extra=slant + extra)


def _svg_grid(
    comparison: Comparison, part: str, x: float, head: float, y: float, cell: float, turned: bool
) -> list[str]:
    pieces = [_svg_text(x, head + 16, part, _SVG_INK, bold=True)]
    for index, name in enumerate(comparison.keys):
        middle = x + (index + 0.5) * cell
        spot = f' transform="rotate(-45 {_at(middle)} {_at(y - 6)})"' if turned else ""
        pieces.append(_svg_name(middle, y - 6, name, "start" if turned else "middle", spot))
    for index, name in enumerate(comparison.queries):
        pieces.append(_svg_name(x - 6, y + (index + 0.5) * _CELL + 4, name, "end"))
    for (query, row), key in product(enumerate(comparison.words(part)), range(len(comparison.keys))):
        corner = (x + key * cell + 1, y + query * _CELL + 1)
        pieces.append(_svg_cell(row[key], *corner, cell - 2, comparison.expected[query][key]))
    return pieces


def _svg_cell(glyph: str, x: float, y: float, width: float, expected: bool) -> str:
    height = _CELL - 2.0
    box = f'x="{_at(x)}" y="{_at(y)}" width="{_at(width)}" height="{_at(height)}" rx="1.5"'
    if glyph == style.MAY_ATTEND:
        return f'<rect {box} style="fill:{_SVG_ALLOWED}"/>'
    if glyph == style.MAY_NOT_ATTEND:
        strokes = "".join(
            f"M{_at(x + max(reach - height, 0))} {_at(y + min(reach, height))}"
            f"L{_at(x + min(reach, width))} {_at(y + max(reach - width, 0))}"
            for reach in range(6, round(width + height) - 2, 6)
        )
        return (
            f'<rect {box} style="fill:{_SVG_LINE};fill-opacity:.16"/>'
            f'<path d="{strokes}" style="stroke:{_SVG_LINE};stroke-opacity:.75;stroke-width:1;fill:none"/>'
        )
    if glyph == style.RIGHT_GLYPH:
        colour = _SVG_ALLOWED if expected else _SVG_LINE
        return f'<rect {box} style="fill:{colour};fill-opacity:{".22" if expected else ".1"}"/>'
    middle, foot = x + width / 2, y + height / 2 + 5
    if glyph == style.LEAKING_GLYPH:
        letter = _svg_text(middle, foot, glyph, "#1F1300", bold=True, anchor="middle")
        return f'<rect {box} style="fill:{_SVG_LEAKING}"/>{letter}'
    inner = f'x="{_at(x + 1)}" y="{_at(y + 1)}" width="{_at(width - 2)}" height="{_at(height - 2)}" rx="1.5"'
    letter = _svg_text(middle, foot, glyph, _SVG_INK, bold=True, anchor="middle")
    return f'<rect {inner} style="fill:{_SVG_MISSING};fill-opacity:.2;stroke:{_SVG_MISSING};stroke-width:2"/>{letter}'
