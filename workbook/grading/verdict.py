"""What is said of one answer. Everything that shows a verdict takes this value, and nothing else compares tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["passed", "wrong", "property broken", "raised", "timed out", "not attempted"]


@dataclass(frozen=True)
class Grids:
    """Two masks to draw side by side, ``True`` = seen: what was wanted, what came, and what the two kinds of cells are."""

    wanted: list[list[bool]]
    came: list[list[bool]]
    shown: str = "seen"
    hidden: str = "hidden"


@dataclass(frozen=True)
class Verdict:
    """The judgement on one function of one submission.

    ``reason`` is a sentence (empty when passed); ``aspect`` the first thing that differs (structure, shape, dtype, device,
    values) or the property that is broken; ``call``, ``wanted`` and ``came`` show the first failing case. A leaking cell is
    seen but forbidden, a missing one allowed but not seen; both are counted in that case. ``misconception`` is the known
    wrong idea that gives this very answer in every case, with its advice.
    """

    exercise: str
    status: Status
    points: int
    max_points: int
    practice: bool = False
    reason: str = ""
    aspect: str | None = None
    call: str | None = None
    wanted: str | None = None
    came: str | None = None
    leaking: int = 0
    missing: int = 0
    grids: Grids | None = None
    misconception: str | None = None
    advice: str | None = None
    failed_cases: int = 0
    cases: int = 0

    @property
    def passed(self) -> bool:
        return self.status == "passed"

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as plain values."""
        return {**vars(self), "grids": None if self.grids is None else dict(vars(self.grids))}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Verdict":
        """Return the verdict that ``to_json`` wrote."""
        grids = values["grids"]
        return cls(**{**values, "grids": None if grids is None else Grids(**grids)})

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from workbook.grading.feedback import as_html, as_plain_text

        return {"text/html": as_html(self), "text/plain": as_plain_text(self)}
