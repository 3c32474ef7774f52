"""nbgrader as its documentation has it: a course folder, ``generate_assignment``, ``autograde``, ``export``."""

import csv
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

from tests.benchmarks.others.environments import Environment
from tests.benchmarks.others.work import (
    EXERCISES,
    IMPORTS,
    POINTS,
    Handed,
    WrongMarks,
    check_marks,
    function,
    solution,
    tests,
)

ASSIGNMENT = "masks"
#: Of each exercise the part of the marks that a sum of points tells of: they are worth 1 and 2.
_MEANING = {0.0: (0.0, 0.0), 1.0: (1.0, 0.0), 2.0: (0.0, 1.0), 3.0: (1.0, 1.0)}


def _cell(name: str, source: str, points: int | None = None) -> NotebookNode:
    """A cell that the learner writes or, with points, a locked one that grades."""
    metadata = {"schema_version": 3, "grade_id": name, "task": False}
    if points is None:
        metadata |= {"grade": False, "solution": True, "locked": False, "cell_type": "code"}
    else:
        metadata |= {"grade": True, "solution": False, "locked": True, "cell_type": "code", "points": points}
    return new_code_cell(source, metadata={"nbgrader": metadata})


def make_course(course: Path, environment: Environment, handed_in: Sequence[Handed]) -> None:
    """Write the instructor's notebook, have it made into the learners' one, and hand in what they wrote."""
    cells = [new_code_cell(IMPORTS)]
    for exercise in EXERCISES:
        answer = f"### BEGIN SOLUTION\n{solution(exercise)}\n### END SOLUTION"
        hidden = f"### BEGIN HIDDEN TESTS\n{tests(exercise)}\n### END HIDDEN TESTS"
        cells += [_cell(function(exercise), answer), _cell(f"test-{function(exercise)}", hidden, POINTS[exercise])]
    _write(course / "source" / ASSIGNMENT / "masks.ipynb", cells)
    (course / "nbgrader_config.py").write_text('get_config().CourseDirectory.course_id = "course"\n')
    environment.run("nbgrader", "generate_assignment", ASSIGNMENT, cwd=course)
    released = nbformat.read(course / "release" / ASSIGNMENT / "masks.ipynb", as_version=4)
    for handed in handed_in:
        filled = nbformat.from_dict(released)
        places = [cell for cell in filled.cells if cell.metadata.get("nbgrader", {}).get("solution")]
        for cell, exercise in zip(places, EXERCISES, strict=True):
            cell.source = handed.code[exercise]
        _write(course / "submitted" / handed.student / ASSIGNMENT / "masks.ipynb", filled.cells)


def _write(path: Path, cells: list[NotebookNode]) -> None:
    path.parent.mkdir(parents=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def grade_class(course: Path, environment: Environment) -> tuple[float, float]:
    """Grade all that was handed in, by one command; return its seconds and those from the first one done to the last."""
    seconds = environment.run("nbgrader", "autograde", ASSIGNMENT, cwd=course)
    written = [path.stat().st_mtime for path in (course / "autograded").glob(f"*/{ASSIGNMENT}/masks.ipynb")]
    return seconds, max(written) - min(written)


def grade_one(course: Path, environment: Environment, handed: Handed) -> float:
    """Grade one student's work by a command of its own; return its seconds."""
    return environment.run("nbgrader", "autograde", ASSIGNMENT, "--student", handed.student, cwd=course)


def check(course: Path, environment: Environment, handed_in: Sequence[Handed]) -> None:
    """See that each submission got the marks that it deserves, and was graded at all."""
    environment.run("nbgrader", "export", "--to", "grades.csv", cwd=course)
    with (course / "grades.csv").open(encoding="utf-8", newline="") as file:
        scores = {row["student_id"]: row for row in csv.DictReader(file)}
    for handed in handed_in:
        if not (course / "autograded" / handed.student / ASSIGNMENT / "masks.ipynb").exists():
            raise WrongMarks(f"nbgrader did not grade {handed.student}")
        score = float(scores[handed.student]["score"])
        if score not in _MEANING:
            raise WrongMarks(f"nbgrader gave {handed.student} {score} points")
        check_marks("nbgrader", handed, dict(zip(EXERCISES, _MEANING[score], strict=True)))
