"""The grid of a scored prediction as HTML: what was right, and what was said and is not so, or is so and was not said."""

import html
from collections.abc import Sequence

# Styles are inline, since scripts and style sheets are stripped where a notebook is only read; the glyphs alone say it all.
# Glyphs and colours are those of the widget's grid (figures/static/grid.css), which need no theme.
_TABLE = "border-collapse:separate;border-spacing:2px;border:none;margin:4px 0"
_HEAD = "background:none;border:none;padding:2px 6px;font-weight:500;max-width:none"
_CELL = "min-width:28px;height:26px;padding:0 4px;text-align:center;border-radius:3px"
_HATCH = "repeating-linear-gradient(-45deg,#f7e8cf 0 5px,#efd9b3 5px 7px)"
# By kind and by what was said, in the order of the legend.
_LOOKS = {
    ("right", True): ("■", "background:#1f4e8c;color:#a9c6ec;border:1px solid #1f4e8c"),
    ("right", False): ("⬚", f"background:{_HATCH};color:#75592b;border:1px solid #dfc498"),
    ("leaking", True): ("!", "background:#e66100;color:#1f1000;border:1px solid #8f3c00;font-weight:700"),
    ("missing", False): ("?", "background:#e3d3f1;color:#3d2370;border:2px dashed #5d3a9b;font-weight:700"),
}


def marked_grid(
    rows: Sequence[str],
    columns: Sequence[str],
    said: Sequence[Sequence[bool]],
    marks: Sequence[Sequence[str]],
    means: tuple[str, str],
) -> str:
    """Return what was said, cell by cell, with its marks ("right", "leaking", "missing"), and a legend in words."""
    kinds = [list(zip(*pair, strict=True)) for pair in zip(marks, said, strict=True)]
    head = "".join(f'<th scope="col" style="{_HEAD};text-align:center">{html.escape(name)}</th>' for name in columns)
    lines = [f'<tr style="background:none"><td style="{_HEAD}"></td>{head}</tr>']
    for name, row in zip(rows, kinds, strict=True):
        cells = "".join(_cell(kind, f"{name}, {column}", means) for kind, column in zip(row, columns, strict=True))
        side = f'<th scope="row" style="{_HEAD};text-align:right">{html.escape(name)}</th>'
        lines.append(f'<tr style="background:none">{side}{cells}</tr>')
    there = {kind for row in kinds for kind in row}
    legend = "".join(_explained(kind, means) for kind in _LOOKS if kind in there)
    # A wide grid is scrolled sideways, with the arrow keys, too.
    room = 'tabindex="0" role="group" aria-label="Your prediction, marked" style="overflow-x:auto"'
    return f'<div {room}><table style="{_TABLE}">{"".join(lines)}</table></div><div>{legend}</div>'


def _cell(kind: tuple[str, bool], place: str, means: tuple[str, str]) -> str:
    glyph, look = _LOOKS[kind]
    title = html.escape(f"{place}: {_words(kind, means)}", quote=True)
    return f'<td title="{title}" style="{look};{_CELL}">{glyph}</td>'


def _explained(kind: tuple[str, bool], means: tuple[str, str]) -> str:
    glyph, look = _LOOKS[kind]
    swatch = f'<span style="{look};display:inline-block;width:22px;text-align:center;border-radius:3px">{glyph}</span>'
    words = html.escape(_words(kind, means))
    return f'<span style="display:inline-block;margin:2px 20px 2px 0">{swatch} {words}</span> '


def _words(kind: tuple[str, bool], means: tuple[str, str]) -> str:
    yes, no = means
    name, said = kind
    if name == "right":
        return f"{yes if said else no}, as you said"
    return f"you said {yes}, the run says {no}" if said else f"you said {no}, the run says {yes}"
