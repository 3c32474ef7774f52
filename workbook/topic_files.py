"""Loads topic files, the learner's and the solutions', straight from disk."""

import functools
import sys
from pathlib import Path
from types import ModuleType

from workbook import course
from workbook.graded import implementation
from workbook.grading.runner import raised


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
    # A solution under a name of its own, or it would take the place of what a notebook has imported.
    room = "solutions" if path.parent == course.SOLUTIONS else "exercises"
    module = ModuleType(f"workbook.{room}.{path.stem}")
    module.__file__ = str(path)
    # Dataclasses look their module up there while it is executed. What a notebook has imported stays what it is: its
    # functions find the newest ones themselves.
    before = sys.modules.get(module.__name__)
    sys.modules[module.__name__] = module
    try:
        exec(compile(path.read_bytes(), str(path), "exec", dont_inherit=True), module.__dict__)
    finally:
        del sys.modules[module.__name__]
        if before is not None:
            sys.modules[module.__name__] = before
    return module


def fault(error: BaseException, path: Path) -> str:
    """Say in one sentence why a topic file cannot be executed, and where."""
    found = raised(error, str(path))
    where = f" in line {found.line}" if found.line else ""
    return f"{path.name} could not be imported: {found.types[0]}{where}: {found.message}."


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
