"""The mask lens in a browser: everything it shows, computed and written here, and the widget that draws it.

The browser writes no number by itself: each row of `lens_state` holds the very words of `mask_lens`, the static picture.
"""

import math
from typing import Any

import anywidget
import traitlets

from . import style
from .flow import Attention
from .inputs import told_apart
from .lens import movers, score_word, sentence, with_short_names
from .widget import STATIC, joined

_OUTPUT_NUMBERS = 6  # of the output vector; more are an ellipsis, as in the picture


class LensWidget(anywidget.AnyWidget):
    """The card with the grid and the linked panels.

    A step in Python sets `state` once. `row` is shared with a slider, so that a change of row needs no kernel at all.
    """

    _esm = joined(STATIC / "widget.js", STATIC / "grid.js", STATIC / "lens.js")
    _css = joined(STATIC / "grid.css", STATIC / "lens.css")
    state = traitlets.Dict().tag(sync=True)
    row = traitlets.Int(0).tag(sync=True)


def lens_state(attention: Attention, mask_shape: str, as_fractions: bool, title: str | None = None) -> dict[str, Any]:
    """What the browser needs to draw any row: names, cells, and for each row its bars, words and sentence."""
    drawn = with_short_names(attention)
    return {
        "title": title or "",
        "queries": drawn.queries,
        "keys": drawn.keys,
        "allowed": attention.allowed,
        "values": [style.vector(value, as_fractions, 3) for value in attention.values],
        "shape": mask_shape,
        "rows": [_row(attention, row, as_fractions) for row in range(len(attention.queries))],
    }


def _row(attention: Attention, row: int, as_fractions: bool) -> dict[str, Any]:
    write = style.fraction if as_fractions else style.number
    weights, output = attention.weights[row], attention.output[row]
    seen = movers(attention, row)
    written = f"({', '.join(write(value) for value in output)})"
    broken = any(math.isnan(weight) for weight in weights)
    return {
        "name": told_apart(attention.queries)[row],
        "scores": [_drawable(score) for score in attention.scores[row]],
        "score_words": [score_word(score) for score in attention.scores[row]],
        "weights": [_drawable(weight) for weight in weights],
        "weight_words": [write(weight) for weight in weights],
        "sum": "NaN: 0 ÷ 0, no key left" if not seen else f"sum = {write(sum(weights))}",
        "output": [write(value) for value in output[:_OUTPUT_NUMBERS]] + ["…"] * (len(output) > _OUTPUT_NUMBERS),
        "broken": broken,
        "moved_by": f"moved by {style.listing(seen)}" if seen else "nothing can move it",
        "sentence": sentence(attention, row, seen, written, None),
    }


def _drawable(value: float) -> float | None:
    """A number for a bar; JSON knows neither NaN nor ∞, and no bar is as long as that."""
    return value if math.isfinite(value) else None
