"""The gradebook of a class: ``gradebook.csv`` with a row a submission, and one JSON a submission with every verdict."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workbook import course
from workbook.files import write_atomically, write_changed
from workbook.grading.submission import Submission, Unreadable

if TYPE_CHECKING:
    from workbook.grading.verdict import Verdict
    from workbook.specs import Spec

COLUMNS = ("student", "submission", "status", "points", "max_points", "counts", "isolation", "imports")
GRADEBOOK = "gradebook.csv"


class Grader(Protocol):
    """What grades the files of one submission: ``workbook.grading.worker.Worker``."""

    def grade(self, files: Mapping[str, bytes], specs: "Sequence[Spec]", seed: int) -> "list[Verdict]":
        """Return one verdict per spec, in order; raise for nothing that a submission does."""


@dataclass(frozen=True)
class GradedSubmission:
    """One row of the gradebook: the verdicts of a submission, or why it could not be read (then there are none).

    ``isolation`` says where its code ran ("sandbox", "processes", or "" where none ran); ``imports`` are what it imports
    beyond torch and the plain standard library, for the instructor to read; ``counts`` is false for a submission that a
    later one of the same student replaces.
    """

    name: str
    student: str
    status: str
    readable: bool
    verdicts: "tuple[Verdict, ...]"
    max_points: int
    isolation: str = ""
    imports: tuple[str, ...] = ()
    counts: bool = True

    @property
    def points(self) -> int | None:
        """The sum of the points, ``None`` for a submission that could not be read."""
        return sum(verdict.points for verdict in self.verdicts) if self.readable else None

    @property
    def passed(self) -> bool:
        """Whether every graded function passed."""
        return self.readable and all(verdict.passed for verdict in self.verdicts)

    def to_json(self) -> dict[str, object]:
        """Return what the submission's JSON file holds."""
        return {
            "course": course.COURSE,
            "version": course.VERSION,
            "student": self.student,
            "submission": self.name,
            "status": self.status,
            "points": self.points,
            "max_points": self.max_points,
            "isolation": self.isolation,
            "imports": list(self.imports),
            "counts": self.counts,
            "verdicts": [verdict.to_json() for verdict in self.verdicts],
        }


def grade_submission(submission: Submission, specs: "Sequence[Spec]", seed: int, worker: Grader) -> GradedSubmission:
    """Grade one submission that could be read."""
    return replace(ungraded_submission(submission, specs), verdicts=tuple(worker.grade(submission.files, specs, seed)))


def ungraded_submission(submission: Submission, specs: "Sequence[Spec]") -> GradedSubmission:
    """Return the row of a submission that could be read, still without its verdicts."""
    return GradedSubmission(
        name=submission.name,
        student=submission.student,
        status="; ".join(("graded", *submission.notes)),
        readable=True,
        verdicts=(),
        max_points=_max_points(specs),
    )


def unreadable_submission(name: str, reason: Unreadable, specs: "Sequence[Spec]") -> GradedSubmission:
    """Return the row of a submission that could not be read."""
    return GradedSubmission(
        name=name,
        student=reason.student,
        status=f"unreadable: {reason}",
        readable=False,
        verdicts=(),
        max_points=_max_points(specs),
    )


def write_gradebook(folder: Path, graded: Sequence[GradedSubmission], specs: "Sequence[Spec]") -> Path:
    """Write ``gradebook.csv`` into ``folder`` and return its path.

    Raises:
        OSError: the folder cannot be written.
    """
    functions = [spec.name for spec in specs]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*COLUMNS, *functions])
    for each in graded:
        points = {verdict.exercise: verdict.points for verdict in each.verdicts}
        writer.writerow(
            [
                *(_neutral(text) for text in (each.student, each.name, each.status)),
                "" if each.points is None else each.points,
                each.max_points,
                "yes" if each.counts else "no",
                each.isolation,
                _neutral(" ".join(each.imports)),
                *(points.get(function, "") for function in functions),
            ]
        )
    path = folder / GRADEBOOK
    write_atomically(path, buffer.getvalue().encode())
    return path


def write_verdicts(folder: Path, file_name: str, graded: GradedSubmission) -> Path:
    """Write a submission's JSON into ``folder``, unless it is there already, and return its path.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / file_name
    text = json.dumps(graded.to_json(), ensure_ascii=False, indent=2)
    # A learner's error message may hold half a surrogate pair; written \udcff it is still JSON.
    write_changed(path, text.encode("utf-8", "backslashreplace") + b"\n")
    return path


def json_names(submissions: Sequence[str]) -> list[str]:
    """Return a file name for each submission's JSON, no two alike even where case does not count."""
    taken: set[str] = set()
    names = []
    for submission in submissions:
        stem = re.sub(r'[\\/:*?"<>|]', "_", submission)
        while len(stem.encode()) > 200:  # file systems allow 255 bytes a name
            stem = stem[:-1]
        name, number = f"{stem}.json", 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}.json"
        taken.add(name.casefold())
        names.append(name)
    return names


def _max_points(specs: "Sequence[Spec]") -> int:
    return sum(spec.points for spec in specs)


def _neutral(text: str) -> str:
    """Return ``text`` so that no spreadsheet takes it for a formula (a cell may start with blanks before the sign)."""
    return f"'{text}" if text.lstrip()[:1] in ("=", "+", "-", "@") else text
