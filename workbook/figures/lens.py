"""The mask lens: one query row, from the mask to the words that can move its output."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import style
from .flow import Attention, attend
from .inputs import is_padding, row_index, told_apart
from .picture import Picture
from .texttable import padded, text_cells

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .canvas import Canvas

LARGEST = 16  # queries and keys
WIDTH = 1000
_BODY = 250  # height of a panel's drawing, pixels


def score_word(score: float) -> str:
    """A score, and as a logarithm where it is one of a whole number: the running example's scores are."""
    whole = round(math.exp(score)) if -0.1 < score < math.log(64.5) else 0
    return f"ln {whole}" if whole >= 1 and abs(math.log(whole) - score) < 1e-5 else style.number(score)


def mask_lens(
    scores: Any,
    allowed: Any,
    values: Any,
    queries: Any = None,
    keys: Any = None,
    row: int = 0,
    mask_shape: str = "(B, 1, 1, K) → (B, H, Q, K)",
    title: str | None = None,
    *,
    as_fractions: bool = False,
) -> Picture:
    """Draw what a mask does to one query row: mask, scores, weights, output. True = may attend.

    Args:
        scores: numbers [query, key], before the mask.
        allowed: bool [query, key].
        values: numbers [key, dim].
        row: the index of the query row to look at.
        mask_shape: how the mask came to this shape, for the badge; an empty string leaves it out.
        as_fractions: write weights and output as fractions with denominators up to 64.

    Raises:
        TypeError, ValueError: naming the argument that does not fit.
    """
    attention = attend(scores, allowed, values, queries, keys, LARGEST)
    index = row_index(row, len(attention.queries), "row")
    if index is None:
        raise TypeError("row is None; it must be the index of a query row")
    seen = movers(attention, index)
    write = style.fraction if as_fractions else style.number
    output = f"({', '.join(write(value) for value in attention.output[index])})"
    alt = sentence(attention, index, seen, output, title)
    text = _text(attention, index, seen, output, mask_shape, title, as_fractions)
    drawn = with_short_names(attention)
    return Picture(lambda: _draw(drawn, index, mask_shape, title, as_fractions), text, alt)


def with_short_names(attention: Attention) -> Attention:
    """The same with names that leave room for what is drawn beside them."""
    letters = 12 if len(attention.keys) <= 6 else 8
    return replace(
        attention,
        queries=[style.shortened(name, letters) for name in attention.queries],
        keys=[style.shortened(name, letters) for name in attention.keys],
    )


def movers(attention: Attention, row: int) -> list[str]:
    """The tokens whose values can reach the row's output."""
    names = told_apart(attention.keys)
    return [name for name, may in zip(names, attention.allowed[row], strict=True) if may]


def sentence(attention: Attention, row: int, seen: list[str], output: str, title: str | None) -> str:
    """What a row's picture shows, for those who hear it."""
    name = attention.queries[row]
    lead = style.lead(title)
    if not seen:
        return f"{lead}Mask lens of row {name}: no key is allowed, so its weights and its output are NaN."
    names = told_apart(attention.keys)
    hidden = [key for key, may in zip(names, attention.allowed[row], strict=True) if not may]
    rest = f"; {', '.join(hidden)} {'is' if len(hidden) == 1 else 'are'} hidden" if hidden else ""
    return f"{lead}Mask lens of row {name}: it sees {', '.join(seen)}{rest}. Its output is {output}."


def _text(
    attention: Attention,
    row: int,
    seen: list[str],
    output: str,
    mask_shape: str,
    title: str | None,
    as_fractions: bool,
) -> str:
    write = style.fraction if as_fractions else style.number
    mask, scores, weights = attention.allowed[row], attention.scores[row], attention.weights[row]
    rows = {
        "key": list(attention.keys),
        "mask": [style.MAY_ATTEND if may else style.MAY_NOT_ATTEND for may in mask],
        "score": [score_word(score) for score in scores],
        "masked": [score_word(score) if may else "−∞" for score, may in zip(scores, mask, strict=True)],
        "weight": [write(weight) for weight in weights],
        "value": [style.vector(value, as_fractions, 4) for value in attention.values],
    }
    widths = [max(text_cells(words[key]) for words in rows.values()) for key in range(len(attention.keys))]
    lines = [title] if title else []
    lines.append(f"row {attention.queries[row]} (query {row})" + (f", mask {mask_shape}" if mask_shape else ""))
    for name, words in rows.items():
        line = padded(name, 9) + "  ".join(padded(word, width) for word, width in zip(words, widths, strict=True))
        lines.append(line.rstrip() + (f"   sum {write(sum(weights))}" if name == "weight" else ""))
    lines.append(
        f"output   {output}, moved by {style.listing(seen)}"
        if seen
        else f"output   {output}: no key is allowed, 0 ÷ 0; every weight is NaN"
    )
    return "\n".join(lines)


# ---- drawing ----------------------------------------------------------------------------------------------------


def _draw(attention: Attention, row: int, mask_shape: str, title: str | None, as_fractions: bool) -> "Figure":
    from .canvas import Canvas

    head = 46 if title else 10
    height = head + 66 + _BODY + 66
    canvas = Canvas(WIDTH, height)
    if title:
        canvas.text(20, 27, title, size=17, bold=True, across="left")
    name = attention.queries[row]
    top = head + 66
    # Four columns; the arrows of the joints stand in the gaps between them.
    columns = ((20, 242), (302, 210), (552, 192), (784, 196))  # left and width, inside the panels
    headings = (
        ("1", "mask", f"row “{name}” asks"),
        ("2", "scores", "forbidden ones fall to −∞"),
        ("3", "weights", "softmax of what is left"),
        ("4", "output", "who can move it"),
    )
    for (left, width), (figure, word, below) in zip(columns, headings, strict=True):
        canvas.rectangle(left - 6, head, width + 12, height - head - 14, fill="white", edge=style.BORDER, radius=8)
        canvas.disc(left + 15, head + 22, 11, style.INK)
        canvas.text(left + 15, head + 22, figure, size=13, bold=True, colour="white")
        canvas.text(left + 33, head + 22, word, size=15, bold=True, across="left")
        canvas.text(left + 6, head + 46, below, size=12, colour=style.GREY, across="left")
    for (left, width), (right, _) in pairwise(columns):
        middle = top + _BODY / 2
        canvas.arrow((left + width + 10, middle), (right - 9, middle), colour=style.INK, width=2.2, head=10)
    _draw_mask_panel(canvas, attention, row, mask_shape, *columns[0], top)
    _draw_scores(canvas, attention, row, *columns[1], top)
    _draw_weights(canvas, attention, row, *columns[2], top, as_fractions)
    _draw_output(canvas, attention, row, *columns[3], top, as_fractions)
    return canvas.figure


def _draw_mask_panel(
    canvas: "Canvas", attention: Attention, row: int, mask_shape: str, left: float, width: float, top: float
) -> None:
    from .canvas import text_width
    from .grids import Layout, draw_mask, draw_names

    queries, keys = attention.queries, attention.keys
    largest = max(len(queries), len(keys))
    size = 12.0 if largest <= 8 else 11 if largest <= 11 else 9.5
    names = max(text_width(name, size, bold=True, italic=True) for name in queries) + 12
    cell = min(46.0, (width - names - 8) / len(keys))
    key_width = max(text_width(name, size, italic=True) for name in keys)
    turned = key_width > cell - 1
    room = key_width * 0.75 + 14 if turned else 22
    if turned:  # the last name leans out to the right
        cell = min(46.0, (width - names - 8 - key_width * 0.6) / len(keys))
    height = min(cell, 40.0, (_BODY - room) / len(queries))
    layout = Layout(cell, height, names, room, turned, size)
    x = left + names + max((width - names - cell * len(keys) - (key_width * 0.6 if turned else 0)) / 2, 0)
    y = top + room + max((_BODY - room - height * len(queries)) / 2 - 6, 0)
    draw_names(canvas, layout, x, y, keys, "key")
    draw_names(canvas, layout, x, y, queries, "query", strong=row)
    draw_mask(canvas, layout, x, y, attention.allowed, row=row)
    if mask_shape:
        badge = text_width(mask_shape, 12.5, bold=True) + 22
        middle = left + width / 2
        canvas.rectangle(middle - badge / 2, top + _BODY + 12, badge, 26, fill=style.RIGHT_ALLOWED, radius=12)
        canvas.text(middle, top + _BODY + 25, mask_shape, size=12.5, bold=True, colour=style.ALLOWED)


class _Bars:
    """Places of the bars of a panel, one for each key, in the order of the mask's columns."""

    def __init__(self, attention: Attention, left: float, width: float, words: list[str], large: float = 12.5) -> None:
        from .canvas import text_width

        self.keys = attention.keys
        self.step = width / len(self.keys)
        self.left = left
        self.width = min(self.step * 0.62, 34)
        self.size = 12.5 if len(self.keys) <= 4 else 11.5 if len(self.keys) == 5 else 10.5
        widest = max(text_width(name, self.size, italic=is_padding(name)) for name in self.keys)
        self.turned = widest > self.step + 1
        self.large = large
        self.upright = max(text_width(word, large) for word in words) > self.step - 2

    def middle(self, key: int) -> float:
        return self.left + (key + 0.5) * self.step

    def number(self, canvas: "Canvas", key: int, y: float, word: str, colour: str) -> None:
        """A number that stands on a bar; turned upright where it is wider than its place."""
        if not self.upright:
            canvas.text(self.middle(key), y - 12, word, size=self.large, colour=colour)
        else:
            canvas.text(
                self.middle(key) + 3.5, y - 5, word, size=10, colour=colour, turned=90, across="left", up="baseline"
            )

    def name(self, canvas: "Canvas", key: int, y: float) -> None:
        word = self.keys[key]
        grey = is_padding(word)
        colour = style.GREY if grey else style.INK
        if self.turned:
            canvas.text(
                self.middle(key) + 3,
                y - 5,
                word,
                size=self.size,
                colour=colour,
                italic=grey,
                turned=45,
                across="right",
                up="center",
            )
        else:
            canvas.text(self.middle(key), y, word, size=self.size, colour=colour, italic=grey)


def _draw_scores(canvas: "Canvas", attention: Attention, row: int, left: float, width: float, top: float) -> None:
    scores, mask = attention.scores[row], attention.allowed[row]
    bars = _Bars(attention, left, width, [score_word(score) for score in scores])
    finite = [score for score in scores if math.isfinite(score)]
    high, low = max([*finite, 0.0]), min([*finite, 0.0])
    if high == low:
        high = 1.0  # all scores are 0: they lie on the floor
    reach = high - low
    above = 46 if bars.upright else 28  # room for the numbers on the bars
    room = _BODY - 68 - above
    zero = top + above + room * high / reach
    floor = top + above + room
    bottom = floor + (96 if bars.turned else 62)
    canvas.line([(left, zero), (left + width, zero)], colour=style.FAINT, width=1.2)
    for key, (score, may) in enumerate(zip(scores, mask, strict=True)):
        x, middle = bars.middle(key) - bars.width / 2, bars.middle(key)
        end = zero - room * (score if math.isfinite(score) else low) / reach
        upper, lower = min(zero, end), max(zero, end)
        if may:
            canvas.rectangle(
                x, upper - 1.5 * (lower - upper < 3), bars.width, max(lower - upper, 3), fill=style.ALLOWED
            )
            bars.number(canvas, key, upper, score_word(score), style.INK)
            continue
        canvas.rectangle(x, upper, bars.width, max(lower - upper, 1), edge=style.FORBIDDEN_GLYPH, line=1.4, dashed=True)
        bars.number(canvas, key, upper, score_word(score), style.GREY)
        # The fall goes behind the name, so it is drawn in two pieces: inside the bar, and below the name.
        if lower - upper > 16:
            canvas.line([(middle, upper + 8), (middle, lower - 4)], style.NOT_A_NUMBER, 1.8)
        canvas.arrow((middle, bottom - 34), (middle, bottom - 12), colour=style.NOT_A_NUMBER, width=1.8, head=9)
        canvas.text(middle, bottom, "−∞", size=15 if len(scores) <= 8 else 11, bold=True, colour=style.NOT_A_NUMBER)
    for key in range(len(scores)):
        bars.name(canvas, key, floor + 16)


def _draw_weights(
    canvas: "Canvas", attention: Attention, row: int, left: float, width: float, top: float, as_fractions: bool
) -> None:
    from .canvas import text_width

    write = style.fraction if as_fractions else style.number
    weights = attention.weights[row]
    bars = _Bars(attention, left, width, [write(weight) for weight in weights], 15 if as_fractions else 12.5)
    broken = any(math.isnan(weight) for weight in weights)
    above = 46 if bars.upright else 28
    room = _BODY - 68 - above
    zero = top + above + room
    scale = max([weight for weight in weights if not math.isnan(weight)] + [0.0]) or 1.0
    canvas.line([(left, zero), (left + width, zero)], colour=style.FAINT, width=1.2)
    size = 12.5 if len(weights) <= 6 else 8
    for key, weight in enumerate(weights):
        middle = bars.middle(key)
        if broken:
            canvas.text(middle, zero - 14, "NaN", size=size, bold=True, colour=style.NOT_A_NUMBER)
        else:
            tall = room * weight / scale
            if tall > 0:
                canvas.rectangle(middle - bars.width / 2, zero - tall, bars.width, tall, fill=style.ALLOWED)
            bars.number(canvas, key, zero - tall, write(weight), style.INK if weight else style.GREY)
        bars.name(canvas, key, zero + 16)
    words = "NaN: 0 ÷ 0, no key left" if broken else f"sum = {write(sum(weights))}"
    badge = text_width(words, 12.5, bold=True) + 22
    middle, y = left + width / 2, top + _BODY + 12
    fill = style.NOT_A_NUMBER if broken else style.RIGHT_ALLOWED
    canvas.rectangle(middle - badge / 2, y, badge, 26, fill=fill, radius=12)
    canvas.text(middle, y + 13, words, size=12.5, bold=True, colour="white" if broken else style.ALLOWED)


def _draw_output(
    canvas: "Canvas", attention: Attention, row: int, left: float, width: float, top: float, as_fractions: bool
) -> None:
    from .canvas import text_width

    keys, weights = attention.keys, attention.weights[row]
    output = attention.output[row]
    step = min(_BODY / len(keys), 56.0)
    tall = min(step - 4, 42.0)
    size = 12.5 if len(keys) <= 8 else 10
    names_width = max([text_width(name, size, bold=True) for name in keys] + [36])
    # Under a name stands its value, as much of it as fits.
    for limit in (3, 2):
        words = [style.vector(value, as_fractions, limit) for value in attention.values]
        words_width = max(text_width(word, 10.5) for word in words)
        if words_width + 10 <= width * 0.5:
            break
    two_lines = tall >= 32 and words_width + 10 <= width * 0.5
    chip = min(max(names_width, words_width if two_lines else 0) + 14, width * 0.55)
    start = top + (_BODY - step * len(keys)) / 2
    middle = top + _BODY / 2
    write = style.fraction if as_fractions else style.number
    shown = [write(value) for value in output[:6]] + ["…"] * (len(output) > 6)
    box = max([text_width(word, 15, bold=True) for word in shown] + [30]) + 16
    box_left = left + width - box
    line = 26
    for key, (name, weight) in enumerate(zip(keys, weights, strict=True)):
        y = start + key * step + (step - tall) / 2
        may = attention.allowed[row][key]
        grey = is_padding(name)
        if may and weight > 0:
            canvas.curve(
                (left + chip, y + tall / 2), (box_left - 1, middle), style.ALLOWED, 1.2 + 13 * weight, opacity=0.55
            )
        elif not may:
            x = left + chip + 20
            canvas.line(
                [(left + chip + 2, y + tall / 2), (x - 6, y + tall / 2)], style.FORBIDDEN_GLYPH, 1.4, dashed=True
            )
            canvas.text(x + 2, y + tall / 2, "✕", size=12, colour=style.FORBIDDEN_GLYPH)
        if may:
            canvas.rectangle(left, y, chip, tall, fill=style.RIGHT_ALLOWED, edge=style.ALLOWED, line=1.2)
        else:
            canvas.cells([(left, y)], chip, tall, style.FORBIDDEN)
            canvas.hatch([(left, y)], chip, tall)
        canvas.text(
            left + chip / 2,
            y + (tall * 0.32 if two_lines else tall / 2),
            name,
            size=size,
            bold=not grey,
            italic=grey,
            colour=style.GREY if grey else style.INK,
            behind=None if may else style.FORBIDDEN,
        )
        if two_lines:
            canvas.text(
                left + chip / 2,
                y + tall * 0.74,
                words[key],
                size=10.5,
                colour=style.INK if may else style.GREY,
                behind=None if may else style.FORBIDDEN,
            )
    broken = any(math.isnan(value) for value in output)
    edge = style.NOT_A_NUMBER if broken else style.INK
    deep = line * len(shown) + 10
    canvas.rectangle(box_left, middle - deep / 2, box, deep, fill="#FBE3E0" if broken else "white", edge=edge, line=2)
    for index, word in enumerate(shown):
        canvas.text(
            box_left + box / 2, middle - deep / 2 + 5 + (index + 0.5) * line, word, size=15, bold=True, colour=edge
        )
    seen = movers(attention, row)
    effect = f"moved by {style.listing(seen)}" if seen else "nothing can move it"
    if text_width(effect, 12) > width:
        effect = f"moved by {len(seen)} of {len(keys)} tokens"
    canvas.text(left + width / 2, top + _BODY + 25, effect, size=12, colour=style.INK if seen else edge)
