"""What widgets of this course share: whether they are wanted, and how their scripts are put together."""

import os
from pathlib import Path

STATIC = Path(__file__).parent / "static"


def widgets_are_off() -> bool:
    """Whether ``WORKBOOK_WIDGETS`` is ``off``, as for notebooks that are stored: pictures and text stand for widgets."""
    return os.environ.get("WORKBOOK_WIDGETS", "").strip().lower() == "off"


def joined(*files: Path) -> str:
    """One text of several files: a widget's script or style sheet has to be a single one."""
    return "\n".join(file.read_text(encoding="utf-8") for file in files)
