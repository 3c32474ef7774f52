"""Loads topic files, the learner's and the solutions', straight from disk."""

import functools
from pathlib import Path
from types import ModuleType

from workbook import course
from workbook.graded import implementation
from workbook.grading import runner


def topic_file(topic: str) -> Path:
    """Return the file that is graded now: the learner's, or the solution under ``WORKBOOK_IMPLEMENTATION=solutions``."""
    folder = course.SOLUTIONS if implementation() == "solutions" else course.EXERCISES
    return folder / f"{topic}.py"


def load_topic(path: Path) -> ModuleType:
    """Execute a topic file afresh, so that what is checked is what is saved, whatever a notebook has imported.

    Raises:
        FileNotFoundError: there is no such file.
        Exception: whatever the file raises while it is imported.
    """
    # A solution under a name of its own, or it would stand in for what a notebook has imported.
    room = "solutions" if path.parent == course.SOLUTIONS else "exercises"
    return runner.load(f"workbook.{room}.{path.stem}", path.read_bytes(), str(path))


def fault(error: BaseException, path: Path) -> str:
    """Say in one sentence why a topic file cannot be executed, and where."""
    return f"{path.name} could not be imported: {runner.import_fault(runner.raised(error, str(path)))}"


def load_solution(topic: str) -> ModuleType:
    """Return ``solutions/<topic>.py``, executed again only when it has changed.

    Raises:
        FileNotFoundError: this edition of the course has no solutions.
    """
    path = course.SOLUTIONS / f"{topic}.py"
    if not path.exists():
        raise FileNotFoundError(f"WORKBOOK_IMPLEMENTATION is 'solutions', but solutions/{topic}.py is not there")
    return _loaded(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _loaded(path: Path, modified: int) -> ModuleType:
    return load_topic(path)
