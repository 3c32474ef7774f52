"""A picture: a drawing, its text twin, and a sentence that says what is to be seen."""

import base64
import html
import io
import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image

PIXELS_PER_INCH = 100  # a unit of the page
COLOURS = 200  # of the file's palette
SHARPNESS = 2  # pixels of the file per pixel of the page, so that it is crisp on a dense screen


class Picture:
    """What every function of `workbook.figures` returns.

    Attributes:
        text: the text twin: the same facts, the same on every machine. `str(picture)` and a terminal show it.
        alt: one or two sentences for those who hear the page.
        figure: the `matplotlib.figure.Figure`, drawn when first asked for.
    """

    def __init__(self, draw: Callable[[], "Figure"], text: str, alt: str) -> None:
        self._draw = draw
        self.text = text
        self.alt = alt

    @cached_property
    def figure(self) -> "Figure":
        from .canvas import house_style

        with house_style():
            return self._draw()

    @cached_property
    def png(self) -> bytes:
        """The picture as PNG bytes; the same bytes each time, without date or version."""
        from .canvas import house_style

        drawn, file = io.BytesIO(), io.BytesIO()
        dots = PIXELS_PER_INCH * SHARPNESS
        with house_style():
            self.figure.savefig(drawn, format="png", dpi=dots, facecolor=self.figure.get_facecolor())
        _with_palette(drawn).save(file, format="png", optimize=True)
        return file.getvalue()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height on the page, in pixels."""
        width, height = self.figure.get_size_inches()
        return round(width * PIXELS_PER_INCH), round(height * PIXELS_PER_INCH)

    def save(self, path: str | Path) -> None:
        """Write the picture as a PNG file."""
        Path(path).write_bytes(self.png)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, str], dict[str, Any]]:
        width, height = self.size
        data = {"image/png": base64.b64encode(self.png).decode("ascii"), "text/plain": self.text}
        if "JPY_SESSION_NAME" in os.environ:  # JupyterLab drops the alternative text of an image, but not HTML's
            source = f"data:image/png;base64,{data['image/png']}"
            data["text/html"] = f'<img src="{source}" alt="{html.escape(self.alt)}" width="{width}" height="{height}">'
        return data, {"image/png": {"alt": self.alt, "width": width, "height": height}}


def _with_palette(drawn: io.BytesIO) -> "Image.Image":
    """The drawing with its commonest colours as they are and the soft edges between them at the nearest of those.

    A figure is a handful of flat colours, so this makes the file, and with it the notebook, a third of the size.
    """
    import numpy
    from PIL import Image

    pixels = numpy.asarray(Image.open(drawn).convert("RGB")).astype(numpy.int64)
    packed = (pixels[..., 0] << 16) + (pixels[..., 1] << 8) + pixels[..., 2]
    colours, place, count = numpy.unique(packed, return_inverse=True, return_counts=True)
    channels = numpy.stack([colours >> 16, (colours >> 8) & 255, colours & 255], axis=1)
    palette = channels[numpy.argsort(-count, kind="stable")[:COLOURS]]
    nearest = ((channels[:, None] - palette[None]) ** 2).sum(axis=2).argmin(axis=1).astype(numpy.uint8)
    picture = Image.fromarray(nearest[place].reshape(packed.shape))
    picture.putpalette(palette.astype(numpy.uint8).tobytes())
    return picture
