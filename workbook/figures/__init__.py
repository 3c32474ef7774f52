"""Figures of masks: every function returns a `Picture`, which is a drawing and its text twin in one.

Importing this package is cheap: torch and matplotlib are loaded when a figure is made or drawn, not before.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .charts import bars, histogram, lines, tokens_moved
    from .differences import difference, difference_image, difference_svg, difference_text
    from .flow import pipeline
    from .grids import batch_grid, mask_grid
    from .lens import mask_lens
    from .picture import Picture

# No module is named like a function: importing a submodule sets an attribute of the package, which would hide the
# function of that name.
_HOMES = {
    "Picture": "picture",
    "mask_grid": "grids",
    "batch_grid": "grids",
    "difference": "differences",
    "difference_image": "differences",
    "difference_svg": "differences",
    "difference_text": "differences",
    "pipeline": "flow",
    "mask_lens": "lens",
    "tokens_moved": "charts",
    "bars": "charts",
    "lines": "charts",
    "histogram": "charts",
}

__all__ = [
    "Picture",
    "bars",
    "batch_grid",
    "difference",
    "difference_image",
    "difference_svg",
    "difference_text",
    "histogram",
    "lines",
    "mask_grid",
    "mask_lens",
    "pipeline",
    "tokens_moved",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
