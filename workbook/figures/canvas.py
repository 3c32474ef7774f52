"""A page measured in pixels, y downwards, on which the figures draw rectangles, words, lines and arrows.

Nothing here touches pyplot, and the reader's own matplotlib settings neither change a figure nor are changed by one.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import text_to_path

from .picture import PIXELS_PER_INCH
from .style import BORDER, CARD, FORBIDDEN_HATCH, GREY, INK

POINTS_PER_PIXEL = 72 / PIXELS_PER_INCH
FONT = "DejaVu Sans"  # comes with matplotlib, and has ■ ⬚ − → ∞ ⅛
_NOT_STYLE = ("backend", "interactive", "toolbar", "timezone", "webagg", "docstring", "keymap", "savefig.directory")


@contextmanager
def house_style() -> Iterator[None]:
    """matplotlib's defaults with the course's font, whatever style sheet the notebook has chosen."""
    current: Any = matplotlib.rcParams
    style = {name: value for name, value in matplotlib.rcParamsDefault.items() if not name.startswith(_NOT_STYLE)}
    with matplotlib.rc_context():
        # dict.update skips matplotlib's validation of three hundred values that are its own defaults.
        dict.update(current, style)
        dict.update(current, {"font.family": [FONT], "axes.unicode_minus": True})
        yield


@cache
def font(size: float, bold: bool = False, italic: bool = False) -> FontProperties:
    """The font at a size in pixels."""
    return FontProperties(
        family=FONT,
        size=size * POINTS_PER_PIXEL,
        weight="bold" if bold else "normal",
        style="italic" if italic else "normal",
    )


def text_width(words: str, size: float, bold: bool = False, italic: bool = False) -> float:
    """Width in pixels."""
    if not words:
        return 0.0
    width, _, _ = text_to_path.get_text_width_height_descent(words, font(size, bold, italic), False)
    return width / POINTS_PER_PIXEL


class Canvas:
    """One page. Later drawing covers earlier drawing."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = round(width), round(height)
        self.figure = Figure(
            figsize=(self.width / PIXELS_PER_INCH, self.height / PIXELS_PER_INCH),
            dpi=PIXELS_PER_INCH,
            facecolor=CARD,
        )
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set_xlim(0, self.width)
        self.axes.set_ylim(self.height, 0)
        self.axes.set_axis_off()
        self._order = 1
        self.rectangle(0.5, 0.5, self.width - 1, self.height - 1, fill=None, edge=BORDER)

    def _add(self, artist: Any) -> None:
        artist.set_zorder(self._order)
        self._order += 1

    def rectangle(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fill: str | None = None,
        edge: str | None = None,
        line: float = 1,
        dashed: bool = False,
        radius: float = 0,
    ) -> None:
        """Line widths are in pixels."""
        style: dict[str, Any] = {
            "facecolor": fill or "none",
            "edgecolor": edge or "none",
            "linewidth": line * POINTS_PER_PIXEL if edge else 0,
            "linestyle": (0, (3, 2)) if dashed else "solid",
        }
        patch: Any
        if radius:
            patch = FancyBboxPatch((x, y), width, height, boxstyle=f"round,pad=0,rounding_size={radius}", **style)
        else:
            patch = Rectangle((x, y), width, height, **style)
        self.axes.add_patch(patch)
        self._add(patch)

    def cells(self, corners: Sequence[tuple[float, float]], side: float, height: float, fill: str) -> None:
        """Many cells of one colour, at their upper left corners."""
        shapes = [[(x, y), (x + side, y), (x + side, y + height), (x, y + height)] for x, y in corners]
        collection = PolyCollection(shapes, facecolors=fill, edgecolors="none")
        self.axes.add_collection(collection, autolim=False)
        self._add(collection)

    def hatch(
        self,
        corners: Sequence[tuple[float, float]],
        width: float,
        height: float,
        colour: str = FORBIDDEN_HATCH,
        step: float = 7,
        line: float = 1.1,
    ) -> None:
        """Rising diagonals in each cell; drawn by hand, since matplotlib's own hatch does not start at the cell."""
        segments = []
        count = max(1, round((width + height) / step))
        for x, y in corners:
            for index in range(count):
                reach = (index + 0.5) * (width + height) / count
                segments.append(
                    [
                        (x + min(reach, width), y + max(reach - width, 0)),
                        (x + max(reach - height, 0), y + min(reach, height)),
                    ]
                )
        collection = LineCollection(segments, colors=colour, linewidths=line * POINTS_PER_PIXEL, capstyle="butt")
        self.axes.add_collection(collection, autolim=False)
        self._add(collection)

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: float = 13,
        colour: str = INK,
        bold: bool = False,
        italic: bool = False,
        across: str = "center",
        up: str = "center",
        turned: float = 0,
        behind: str | None = None,
    ) -> None:
        """`across` and `up` say which point of the words stands at (x, y); `behind` paints a ground under them."""
        drawn = self.axes.text(
            x,
            y,
            words,
            fontproperties=font(size, bold, italic),
            color=colour,
            horizontalalignment=across,
            # center_baseline: words with and without descenders stand on one line
            verticalalignment="center_baseline" if up == "center" and not turned else up,
            rotation=turned,
            rotation_mode="anchor",
            parse_math=False,  # a token may be a dollar sign
        )
        if behind is not None:
            drawn.set_bbox({"facecolor": behind, "edgecolor": "none", "pad": 1.2})
        self._add(drawn)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str = INK,
        width: float = 1.2,
        dashed: bool = False,
    ) -> None:
        collection = LineCollection(
            [list(points)],
            colors=colour,
            linewidths=width * POINTS_PER_PIXEL,
            linestyles=[(0, (3, 2.5))] if dashed else "solid",
            capstyle="butt" if dashed else "round",
        )
        self.axes.add_collection(collection, autolim=False)
        self._add(collection)

    def curve(
        self, start: tuple[float, float], end: tuple[float, float], colour: str, width: float, opacity: float = 1.0
    ) -> None:
        """An S from left to right."""
        middle = (start[0] + end[0]) / 2
        path = Path(
            [start, (middle, start[1]), (middle, end[1]), end], [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
        )
        patch = PathPatch(
            path,
            facecolor="none",
            edgecolor=colour,
            linewidth=width * POINTS_PER_PIXEL,
            alpha=opacity,
            capstyle="butt",
        )
        self.axes.add_patch(patch)
        self._add(patch)

    def arrow(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        colour: str = GREY,
        width: float = 1.6,
        head: float = 7,
        dashed: bool = False,
    ) -> None:
        """A straight arrow with a filled head."""
        length = ((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5
        along = ((end[0] - start[0]) / length, (end[1] - start[1]) / length)
        neck = (end[0] - along[0] * head, end[1] - along[1] * head)
        self.line([start, neck], colour, width, dashed)
        side = (-along[1] * head * 0.55, along[0] * head * 0.55)
        patch = Polygon(
            [end, (neck[0] + side[0], neck[1] + side[1]), (neck[0] - side[0], neck[1] - side[1])],
            closed=True,
            facecolor=colour,
            edgecolor="none",
        )
        self.axes.add_patch(patch)
        self._add(patch)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        patch = Circle((x, y), radius, facecolor=fill, edgecolor="none")
        self.axes.add_patch(patch)
        self._add(patch)
