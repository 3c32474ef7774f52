"""Bars, lines and histograms in the house style, each with a text twin."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import style
from .inputs import is_padding, names_for, number_list, told_apart
from .picture import Picture
from .texttable import grid_lines, padded, text_cells

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH, _HEIGHT = 640, 340  # of a simple chart, in pixels


def tokens_moved(
    changes: Mapping[str, Any], tokens: Sequence[str], title: str | None = None, threshold: float = 1e-6
) -> Picture:
    """Draw how far each position's output moved, one row of bars for each name. Unmoved ones are marked 0.

    Args:
        changes: from a name ("LayerNorm") to one number for each position.
        tokens: the tokens at the positions.
        threshold: a change up to this is rounding and counts as none.

    Raises:
        TypeError, ValueError: when changes is no dict, is empty, or a list does not fit the tokens.
    """
    if not isinstance(changes, Mapping):
        raise TypeError(f"changes is {changes!r}; it must be a dict from a name to one number for each token")
    if not changes:
        raise ValueError("changes is an empty dict; it must hold at least one list of numbers")
    if isinstance(tokens, str):
        raise TypeError(f"tokens is the string {tokens!r}; it must be a list of tokens")
    moved: dict[str, list[float]] = {}
    for name, values in changes.items():
        moved[str(name)] = [abs(value) for value in number_list(values, f"changes[{name!r}]")]
        if len(moved[str(name)]) != len(tokens):
            raise ValueError(
                f"changes[{name!r}] has {len(moved[str(name)])} numbers; there are {len(tokens)} tokens {list(tokens)}"
            )
    names = names_for(tokens, len(tokens), "tokens", "positions")
    words = {name: [_moved_word(value, threshold) for value in values] for name, values in moved.items()}
    lines = [title] if title else []
    lines += grid_lines(list(words.values()), list(words), names, gap=2)
    sentences = []
    for name, values in moved.items():
        apart = told_apart(names)
        movers = [token for token, value in zip(apart, values, strict=True) if not value <= threshold]
        verb = "moves" if len(movers) == 1 else "move"
        sentences.append(f"{name}: {style.listing(movers)} {verb}" if movers else f"{name}: nothing moves")
    alt = f"{style.lead(title)}{'; '.join(sentences)}."
    return Picture(lambda: _draw_moved(moved, words, names, title, threshold), "\n".join(lines), alt)


def _moved_word(value: float, threshold: float) -> str:
    if value <= threshold:
        return "0"
    word = style.number(value)
    return "<0.001" if word == "≈0" else word


def _draw_moved(
    moved: Mapping[str, Sequence[float]],
    words: Mapping[str, Sequence[str]],
    tokens: Sequence[str],
    title: str | None,
    threshold: float,
) -> "Figure":
    from .canvas import Canvas, text_width

    step = max([58.0 if len(tokens) <= 8 else 46.0] + [text_width(token, 13, italic=True) + 10 for token in tokens])
    panel = max(step * len(tokens), max(text_width(name, 14, bold=True) for name in moved)) + 20
    room = 96.0  # of the tallest bar
    tall = room + 84
    across = max(1, min(len(moved), int(960 // (panel + 20))))
    down = -(-len(moved) // across)
    across = -(-len(moved) // down)
    head, margin = (46 if title else 16), 18
    inner = max(across * (panel + 16) - 16, text_width(title or "", 16, bold=True), 330)
    canvas = Canvas(inner + 2 * margin, head + down * (tall + 14) + 34)
    if title:
        canvas.text(margin, 27, title, size=16, bold=True, across="left")
    for index, (name, values) in enumerate(moved.items()):
        left = margin + (index % across) * (panel + 16)
        top = head + (index // across) * (tall + 14)
        canvas.rectangle(left, top, panel, tall, fill="white", edge=style.BORDER, radius=8)
        canvas.text(left + 12, top + 18, name, size=14, bold=True, across="left")
        zero = top + tall - 30
        canvas.line([(left + 10, zero), (left + panel - 10, zero)], colour=style.FAINT)
        largest = max([value for value in values if value < float("inf")] + [threshold]) or 1.0
        for place, (value, token) in enumerate(zip(values, tokens, strict=True)):
            middle = left + 10 + (place + 0.5) * step
            grey = is_padding(token)
            colour = style.GREY if grey else style.INK
            canvas.text(middle, zero + 15, token, size=13, italic=grey, colour=colour)
            if value <= threshold:
                canvas.text(middle, zero - 12, "0", size=12.5, colour=style.GREY)
                continue
            # NaN moved, and has no height: it is written, in the colour of an error.
            height = room * min(value / largest, 1.0) if value == value else 0.0
            canvas.rectangle(middle - 14, zero - max(height, 2), 28, max(height, 2), fill=style.LEAKING)
            canvas.text(
                middle,
                zero - max(height, 2) - 12,
                words[name][place],
                size=12.5,
                bold=True,
                colour=style.INK if value == value else style.NOT_A_NUMBER,
            )
    y = canvas.height - 20
    canvas.rectangle(margin, y - 7, 14, 14, fill=style.LEAKING)
    canvas.text(margin + 22, y, "this output moved, by how much", size=12, across="left")
    canvas.text(margin + 245, y, "0", size=12.5, colour=style.GREY)
    canvas.text(margin + 256, y, "did not move", size=12, across="left")
    return canvas.figure


# ---- simple charts ----------------------------------------------------------------------------------------------


def _axes(title: str | None, width: float = _WIDTH, height: float = _HEIGHT, below: float = 58) -> "Axes":
    from .canvas import Canvas, font

    canvas = Canvas(width, height)
    if title:
        canvas.text(18, 26, title, size=16, bold=True, across="left")
    left, top, right = 78, 52 if title else 22, 24
    axes = canvas.figure.add_axes(
        (
            left / canvas.width,
            below / canvas.height,
            (canvas.width - left - right) / canvas.width,
            (canvas.height - top - below) / canvas.height,
        )
    )
    axes.set_facecolor("white")
    axes.grid(True, axis="y", color="#E9E5DB", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(style.FAINT)
    axes.tick_params(colors=style.INK, labelsize=font(12).get_size_in_points(), length=3, color=style.FAINT)
    return axes


def _label(axes: "Axes", xlabel: str | None, ylabel: str | None) -> None:
    from .canvas import font

    if xlabel:
        axes.set_xlabel(xlabel, fontproperties=font(12.5), color=style.GREY, parse_math=False)
    if ylabel:
        axes.set_ylabel(ylabel, fontproperties=font(12.5), color=style.GREY, parse_math=False)


def _heading(title: str | None, xlabel: str | None, ylabel: str | None, kind: str) -> str:
    what = f"{ylabel or 'value'} over {xlabel}" if xlabel else ylabel or ""
    said = ", ".join(part for part in (kind, what) if part)
    return f"{title} ({said})" if title else said


def bars(
    values: Any,
    labels: Sequence[str],
    title: str | None = None,
    ylabel: str | None = None,
    colors: Sequence[str] | None = None,
    *,
    numbers_in_text: bool = True,
) -> Picture:
    """Draw one bar for each label, with its number on top.

    Args:
        colors: one matplotlib colour for each bar; the course's blue when not given.
        numbers_in_text: False keeps measured numbers, which differ from run to run, out of the text twin.
    """
    heights = number_list(values, "values")
    if not heights:
        raise ValueError("values is empty; it must hold at least one number")
    names = names_for(labels, len(heights), "labels", "values")
    if colors is not None and len(colors) != len(heights):
        raise ValueError(f"colors has {len(colors)} entries; there are {len(heights)} values")
    fills = list(colors) if colors is not None else [style.ALLOWED] * len(heights)
    text = [_heading(title, None, ylabel, "bars")]
    alt = f"{text[0]}: {', '.join(names)}."
    if numbers_in_text:
        width = max(text_cells(name) for name in names) + 3
        text += [padded(name, width) + style.number(value) for name, value in zip(names, heights, strict=True)]
        pairs = [f"{name} {style.number(value)}" for name, value in zip(names, heights, strict=True)]
        alt = f"{text[0]}: {', '.join(pairs)}."
    else:
        text += names
    return Picture(lambda: _draw_bars(heights, names, title, ylabel, fills), "\n".join(text), alt)


def _draw_bars(
    heights: Sequence[float], names: Sequence[str], title: str | None, ylabel: str | None, fills: Sequence[str]
) -> "Figure":
    from .canvas import font, text_width

    widest = max(text_width(name, 12.5) for name in names)
    width = min(max(_WIDTH, 110 + len(names) * min(widest + 16, 150)), 1000)
    turned = widest + 8 > (width - 102) / len(names)
    axes = _axes(title, width, _HEIGHT + (widest * 0.7 if turned else 0), 48 + (widest * 0.72 if turned else 0))
    drawn = [height if math.isfinite(height) else 0.0 for height in heights]
    axes.bar(range(len(drawn)), drawn, width=0.62, color=list(fills))
    axes.set_xticks(range(len(names)))
    axes.set_xticklabels(
        names,
        fontproperties=font(12.5),
        rotation=35 if turned else 0,
        ha="right" if turned else "center",
        rotation_mode="anchor",
        parse_math=False,
    )
    for name, tick in zip(names, axes.get_xticklabels(), strict=True):
        if is_padding(name):
            tick.set_fontproperties(font(12.5, italic=True))
            tick.set_color(style.GREY)
    for place, (height, tall) in enumerate(zip(heights, drawn, strict=True)):
        axes.annotate(
            style.number(height),
            (place, tall),
            xytext=(0, 3 if tall >= 0 else -3),
            textcoords="offset points",
            ha="center",
            va="bottom" if tall >= 0 else "top",
            fontproperties=font(12),
            color=style.INK if math.isfinite(height) else style.NOT_A_NUMBER,
        )
    axes.margins(y=0.14)
    if min(drawn) >= 0:
        axes.set_ylim(bottom=0)
    else:
        axes.axhline(0, color=style.FAINT, linewidth=1)
    _label(axes, None, ylabel)
    return axes.figure  # type: ignore[return-value]


def lines(
    x: Any,
    series: Mapping[str, Any],
    xlabel: str | None = None,
    ylabel: str | None = None,
    title: str | None = None,
    logx: bool = False,
    logy: bool = False,
    *,
    levels: Mapping[str, float] | None = None,
    numbers_in_text: bool = False,
) -> Picture:
    """Draw one line for each name in `series`.

    Args:
        x: the numbers along the horizontal axis.
        series: from a name to one number for each x.
        levels: from a name to a height that is drawn across, dashed, such as a floor that no loss can pass.
        numbers_in_text: True writes the numbers into the text twin; leave it out for timings and random draws.
    """
    along = number_list(x, "x")
    if not isinstance(series, Mapping):
        raise TypeError(f"series is {series!r}; it must be a dict from a name to one number for each x")
    if not series or not along:
        raise ValueError(f"there are {len(along)} x and {len(series)} series; at least one of each is needed")
    values = {str(name): number_list(numbers, f"series[{name!r}]") for name, numbers in series.items()}
    for name, numbers in values.items():
        if len(numbers) != len(along):
            raise ValueError(f"series[{name!r}] has {len(numbers)} numbers; there are {len(along)} x")
    text = [_heading(title, xlabel, ylabel, "lines")]
    across = {str(name): float(height) for name, height in (levels or {}).items()}
    named_levels = "".join(f"; across at {style.number(height)}: {name}" for name, height in across.items())
    text.append(f"{len(along)} points each: {', '.join(values)}{named_levels}")
    alt = f"{text[0]}: {style.listing(list(values))}, {len(along)} points each{named_levels}."
    if numbers_in_text:
        cells = [[style.number(number) for number in numbers] for numbers in values.values()]
        text = [text[0], *grid_lines(cells, list(values), [style.number(value) for value in along], gap=2)]
    return Picture(lambda: _draw_lines(along, values, across, xlabel, ylabel, title, logx, logy), "\n".join(text), alt)


def _draw_lines(
    along: Sequence[float],
    values: Mapping[str, Sequence[float]],
    levels: Mapping[str, float],
    xlabel: str | None,
    ylabel: str | None,
    title: str | None,
    logx: bool,
    logy: bool,
) -> "Figure":
    from .canvas import font, text_width

    legend = max(text_width(name, 12.5) for name in (*values, *levels)) + 64
    axes = _axes(title, _WIDTH + legend, _HEIGHT + 20)
    place = axes.get_position()
    axes.set_position((place.x0, place.y0, place.width - legend / (_WIDTH + legend), place.height))
    markers = "osD^vP"
    for index, (name, numbers) in enumerate(values.items()):
        axes.plot(
            along,
            numbers,
            color=style.SERIES[index % len(style.SERIES)],
            marker=markers[index % len(markers)] if len(along) <= 40 else None,
            linestyle=("-", "--", "-.", ":")[index // len(style.SERIES) % 4],
            markersize=5,
            linewidth=1.8,
            label=name,
        )
    for name, height in levels.items():
        axes.axhline(height, color=style.INK, linestyle=(0, (5, 4)), linewidth=1.2, label=name)
    if logx:
        axes.set_xscale("log", base=2)
    if len(along) <= 12 and (logx or len(along) <= 6):
        axes.set_xticks(list(along), [style.number(value) for value in along])
        axes.minorticks_off()
    if logy:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, place: style.number(value) if value >= 0.001 else f"{value:.0e}")
        axes.yaxis.set_minor_formatter("")
    axes.grid(True, axis="x", color="#F1EEE6", linewidth=0.8)
    handles, names = axes.get_legend_handles_labels()
    drawn = axes.legend(
        handles,
        names,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        frameon=False,
        prop=font(12.5),
        labelcolor=style.INK,
    )
    for words in drawn.get_texts():
        words.set_parse_math(False)
    _label(axes, xlabel, ylabel)
    return axes.figure  # type: ignore[return-value]


def histogram(
    values: Any,
    bins: int | Sequence[float] = 20,
    xlabel: str | None = None,
    ylabel: str | None = "how many",
    title: str | None = None,
    *,
    numbers_in_text: bool = False,
) -> Picture:
    """Draw how often values fall into bins.

    Args:
        bins: how many, or their edges.
        numbers_in_text: True writes the counts into the text twin; leave it out for random draws and timings.
    """
    import numpy

    numbers = number_list(values, "values")
    if not numbers:
        raise ValueError("values is empty; it must hold at least one number")
    counts, edges = numpy.histogram(numbers, bins=bins)
    text = [_heading(title, xlabel, ylabel, "histogram"), f"{len(numbers)} values in {len(counts)} bins"]
    alt = f"{text[0]}: {text[1]}."
    if numbers_in_text:
        ranges = [f"{style.number(low)} to {style.number(high)}" for low, high in pairwise(edges)]
        width = max(text_cells(words) for words in ranges) + 3
        text += [padded(words, width) + str(int(count)) for words, count in zip(ranges, counts, strict=True)]

    def draw() -> "Figure":
        axes = _axes(title)
        axes.stairs(counts, edges, fill=True, facecolor=style.ALLOWED, edgecolor="white", linewidth=0.8)
        axes.set_ylim(bottom=0)
        _label(axes, xlabel, ylabel)
        return axes.figure  # type: ignore[return-value]

    return Picture(draw, "\n".join(text), alt)
