"""Measures nbgrader, otter-grader and this project's grading side by side: ``python -m tests.benchmarks.others``.

Run it from the project's folder. The first run makes a virtual environment for each of the two in ``.venv-others``, which
takes some minutes; a run takes about three. The table is kept in ``tests/benchmarks/OTHERS.md``.
"""

import argparse
import platform
import shutil
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from tests.benchmarks.others import nbgrader_course, otter_course, ours
from tests.benchmarks.others.environments import CommandFailed, environment, version
from tests.benchmarks.others.work import WrongMarks, submissions
from workbook.grading.executors import usable_cores

RESULTS = Path(__file__).parents[1] / "OTHERS.md"
CLASS = 200  # submissions of the class that all are compared on
TARGET = 100  # times as many submissions a second as the faster of the others


@dataclass(frozen=True)
class Row:
    """A way of grading: seconds before the first submission, seconds of each, and how many were graded to know it.

    ``whole`` is what a class of ``CLASS`` took, where it was measured and not calculated from the two.
    """

    what: str
    graded: int
    start: float
    each: float
    whole: float | None = None

    @property
    def rate(self) -> float:
        return 1 / self.each

    @property
    def class_seconds(self) -> float:
        return self.start + CLASS * self.each if self.whole is None else self.whole


def several(what: str, count: int, whole: float, between: float) -> Row:
    """Tell start and submissions apart: ``count`` took ``whole`` seconds, ``between`` of them after the first was done."""
    each = between / (count - 1)
    return Row(what, count, whole - count * each, each)


def nbgrader_rows(scratch: Path, count: int, singly: int) -> list[Row]:
    """Measure nbgrader: the class by one command, and students by a command each."""
    place = environment("nbgrader", scratch)
    handed_in = submissions(count)
    course, copy = scratch / "course", scratch / "copy"
    nbgrader_course.make_course(course, place, handed_in)
    shutil.copytree(course, copy)
    nbgrader_course.grade_one(copy, place, handed_in[-1])  # its first run writes what Python compiles
    ones = [nbgrader_course.grade_one(copy, place, handed) for handed in handed_in[:singly]]
    whole, between = nbgrader_course.grade_class(course, place)
    nbgrader_course.check(copy, place, [*handed_in[:singly], handed_in[-1]])
    nbgrader_course.check(course, place, handed_in)
    name = f"nbgrader {version('nbgrader', 'nbgrader')}, `nbgrader autograde`"
    return [
        several(f"{name}, a class", count, whole, between),
        Row(f"{name}, a command each", singly, 0.0, statistics.mean(ones)),
    ]


def otter_rows(scratch: Path, count: int, singly: int) -> list[Row]:
    """Measure otter-grader: students by a command each, and the class in one process through its API."""
    place = environment("otter", scratch)
    handed_in = submissions(count)
    course = scratch / "course"
    otter_course.make_course(course, place, handed_in)  # has run the instructor's notebook, too
    ones = [otter_course.grade_one(course, place, handed) for handed in handed_in[:singly]]
    whole, between = otter_course.grade_class(course, place, handed_in)
    name = f"otter-grader {version('otter', 'otter-grader')}"
    return [
        several(f"{name}, `otter.api.grade_submission`, a class", count, whole, between),
        Row(f"{name}, `otter run`, a command each", singly, 0.0, statistics.mean(ones)),
    ]


def our_rows() -> list[Row]:
    """Measure this project: a class with one worker and with two."""
    rows = []
    for jobs in (1, 2):
        run = ours.grade_class(submissions(CLASS), jobs)
        where = "in the sandbox" if run.isolation == "sandbox" else f"NOT in the sandbox ({run.isolation})"
        what = f"this project, {where}, {jobs} worker{'s' if jobs > 1 else ''}"
        rows.append(Row(what, CLASS, run.whole - run.grading, run.grading / CLASS, run.whole))
    return rows


def table(own: list[Row], others: list[Row]) -> str:
    """Return the rows as a markdown table; the ratios are to the fastest way of the others."""
    fastest = max(others, key=lambda row: row.rate)
    quickest = min(others, key=lambda row: row.class_seconds)
    lines = [
        f"| grader | graded | start | each | submissions a second | × | class of {CLASS} | × |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in (*others, *own):
        whole = f"{'≈ ' if row.whole is None else ''}{row.class_seconds:.1f} s"
        ratios = (row.rate / fastest.rate, quickest.class_seconds / row.class_seconds)
        marks = ["" if row in others else " ✓" if ratio >= TARGET else " ✗" for ratio in ratios]
        lines.append(
            f"| {row.what} | {row.graded} | {row.start:.1f} s | {row.each:.3f} s | {row.rate:.2f} "
            f"| {ratios[0]:.1f}{marks[0]} | {whole} | {ratios[1]:.1f}{marks[1]} |"
        )
    return "\n".join(lines)


def report(own: list[Row], others: list[Row]) -> str:
    """Return the whole page."""
    cores = usable_cores()
    machine = f"{cores} cores, Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
    return f"""# Beside other graders

Measured by `python -m tests.benchmarks.others` in one run, on {machine}.

{table(own, others)}

Two exercises, `padding.padding_mask` and `causal.causal_mask`, with the cases and expected values of this project for all;
all submissions are distinct, all right, half right or all wrong in turns, and every mark of every grader was checked. *Each*
is what every further submission adds, *start* what the run takes beside; a command for each has its start in it. A class
marked ≈ is calculated from the two. × is how many times as many submissions a second as the fastest of the others
(target: {TARGET}). The others grade in the process that runs the learner's code, by equality alone; this project also
measures properties (no loop, device, inputs unchanged) and recognises misconceptions. Neither of the others uses a second
core by itself, unless otter has containers.
"""


def main() -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.others", description=__doc__.partition("\n")[0])
    parser.add_argument("--class-size", type=int, default=4, help="submissions that the others grade as a class")
    parser.add_argument("--singly", type=int, default=3, help="submissions that the others grade by a command each")
    options = parser.parse_args()
    if not 1 <= options.singly < options.class_size:
        parser.error("--class-size has to be greater than --singly, and --singly at least 1")
    with tempfile.TemporaryDirectory(prefix="others-") as name:
        scratch = Path(name)
        for part in ("nbgrader", "otter"):
            (scratch / part).mkdir()
        try:
            others = nbgrader_rows(scratch / "nbgrader", options.class_size, options.singly)
            own = our_rows()
            others += otter_rows(scratch / "otter", options.class_size, options.singly)
        except (CommandFailed, WrongMarks) as error:
            sys.exit(str(error))
    text = report(own, others)
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
