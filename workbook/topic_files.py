"""Loads topic files, the learner's and the solutions', straight from disk."""

import ast
import functools
import sys
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


def reaches_into_the_course(path: Path) -> str | None:
    """Say in one sentence that a file takes more of the course than ``exercise``, which is not there in grading.

    A name that the package itself exports may stand among the imports, left over from trying things out.
    """
    for node in ast.walk(ast.parse(path.read_bytes())):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        modules += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        for module in modules:
            if module.startswith("workbook.") or module.partition(".")[0] == "solutions":
                line = f"line {node.lineno}"  # type: ignore[attr-defined]
                return f"{path.name} imports {module} in {line}, which is not there when a submission is graded."
    return None


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
    module = load_topic(path)
    # torch.compile, and FlexAttention with it, finds a function's globals through the module of its name.
    sys.modules[module.__name__] = module
    return module
