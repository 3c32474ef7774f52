"""otter-grader as its documentation has it: ``otter assign``, then ``otter run``, which needs no container, or its API."""

import json
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_raw_cell

from tests.benchmarks.others.environments import Environment
from tests.benchmarks.others.work import EXERCISES, IMPORTS, POINTS, Handed, check_marks, function, solution, tests

#: The documented way to grade many in one process.
CLASS_PROGRAM = """
import json, pathlib, sys, time
from otter.api import grade_submission
autograder, out, *notebooks = sys.argv[1:]
marks, done = {}, []
for notebook in notebooks:
    results = grade_submission(notebook, autograder, quiet=True)
    marks[pathlib.Path(notebook).stem] = {name: result.score for name, result in results.results.items()}
    done.append(time.monotonic())
pathlib.Path(out).write_text(json.dumps({"marks": marks, "between": done[-1] - done[0]}))
"""


def _question(exercise: str) -> list[NotebookNode]:
    """A question in the format of ``otter assign``: its answer and its tests."""
    return [
        new_raw_cell(f"# BEGIN QUESTION\nname: {function(exercise)}\npoints: {POINTS[exercise]}"),
        new_raw_cell("# BEGIN SOLUTION"),
        new_code_cell(f"# BEGIN SOLUTION\n{solution(exercise)}\n# END SOLUTION"),
        new_raw_cell("# END SOLUTION"),
        new_raw_cell("# BEGIN TESTS"),
        new_code_cell(f"# HIDDEN\n{tests(exercise)}"),
        new_raw_cell("# END TESTS"),
        new_raw_cell("# END QUESTION"),
    ]


def make_course(course: Path, environment: Environment, handed_in: Sequence[Handed]) -> None:
    """Write the instructor's notebook, have it made into the learners' one and the autograder, and hand work in."""
    config = "# ASSIGNMENT CONFIG\ngenerate: true\ninit_cell: true\ncheck_all_cell: false\nexport_cell: false"
    cells = [new_raw_cell(config), new_code_cell(IMPORTS)]
    for exercise in EXERCISES:
        cells += _question(exercise)
    course.mkdir(parents=True)
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), course / "masks.ipynb")
    environment.run("otter", "assign", "--no-pdfs", "masks.ipynb", "dist", cwd=course)
    (zipped,) = (course / "dist" / "autograder").glob("*.zip")
    zipped.rename(course / "autograder.zip")
    released = nbformat.read(course / "dist" / "student" / "masks.ipynb", as_version=4)
    (course / "submitted").mkdir()
    for handed in handed_in:
        filled = nbformat.from_dict(released)
        places = [cell for cell in filled.cells if cell.cell_type == "code" and "..." in cell.source]
        for cell, exercise in zip(places, EXERCISES, strict=True):
            cell.source = handed.code[exercise]
        nbformat.write(filled, course / "submitted" / f"{handed.student}.ipynb")


def grade_one(course: Path, environment: Environment, handed: Handed) -> float:
    """Grade one student's work by a command of its own; return its seconds."""
    out = course / "graded" / handed.student
    out.mkdir(parents=True)
    notebook = f"submitted/{handed.student}.ipynb"
    seconds = environment.run("otter", "run", "-a", "autograder.zip", "-o", str(out), notebook, cwd=course)
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))["tests"]
    scores = {test["name"]: test["score"] for test in found if "score" in test}
    check_marks(
        "otter run", handed, {exercise: scores[function(exercise)] / POINTS[exercise] for exercise in EXERCISES}
    )
    return seconds


def grade_class(course: Path, environment: Environment, handed_in: Sequence[Handed]) -> tuple[float, float]:
    """Grade many in one process through otter's API; return its seconds and those from the first one done to the last."""
    notebooks = [f"submitted/{handed.student}.ipynb" for handed in handed_in]
    seconds = environment.run("python", "-c", CLASS_PROGRAM, "autograder.zip", "found.json", *notebooks, cwd=course)
    found = json.loads((course / "found.json").read_text(encoding="utf-8"))
    for handed in handed_in:
        scores = found["marks"][handed.student]
        check_marks("otter's API", handed, {name: scores[function(name)] / POINTS[name] for name in EXERCISES})
    return seconds, found["between"]
