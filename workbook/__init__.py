"""How attention masks really work: graded functions, figures and probes for the notebooks.

In this course a mask is ``allowed[batch, head, query, key]``, bool, ``True`` = may attend. Importing the package is cheap:
torch, matplotlib and the specifications are loaded when something first needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from workbook import course
from workbook.device import device
from workbook.graded import exercise

__version__ = course.VERSION

if TYPE_CHECKING:
    from workbook.environment import environment
    from workbook.grading.checking import check, progress
    from workbook.hints import hint
    from workbook.mask_lens import lens
    from workbook.predictions import predict
    from workbook.printing import show
    from workbook.probes import who_moved

# `device` and `exercise` are bound above because modules of those names, or next to them, would shadow a lazy attribute.
_LAZY = {
    "check": "workbook.grading.checking",
    "environment": "workbook.environment",
    "hint": "workbook.hints",
    "lens": "workbook.mask_lens",
    "predict": "workbook.predictions",
    "progress": "workbook.grading.checking",
    "show": "workbook.printing",
    "who_moved": "workbook.probes",
}

__all__ = [
    "__version__",
    "check",
    "device",
    "environment",
    "exercise",
    "hint",
    "lens",
    "predict",
    "progress",
    "show",
    "who_moved",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'workbook' has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
