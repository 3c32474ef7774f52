"""The reference answer to compare one's own with, for a learner whose function has passed."""

import ast
import inspect
import textwrap
from dataclasses import dataclass

from workbook import course
from workbook.specs import Spec


@dataclass(frozen=True)
class Reference:
    """The source of an answer, without its docstring, and in a few words where it comes from."""

    source: str
    origin: str


def reference(found: Spec) -> Reference:
    """Return the model solution where this edition has one, else the function that every check compares with."""
    path = course.SOLUTIONS / f"{found.topic}.py"
    if path.is_file():
        text = path.read_text(encoding="utf-8")
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and node.name == found.function:
                lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
                return Reference("\n".join(lines), f"the solution in solutions/{path.name}")
    source = _without_docstring(textwrap.dedent(inspect.getsource(found.oracle)))
    return Reference(source, f"what the check compares with, slow and plain, in workbook/specs/{path.name}")


def _without_docstring(source: str) -> str:
    """Leave out what the learner's own file shows already, and the decorators, which are the course's."""
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.FunctionDef)
    lines = source.rstrip().splitlines()
    if ast.get_docstring(definition) is not None:
        documentation = definition.body[0]
        del lines[documentation.lineno - 1 : documentation.end_lineno]
    return "\n".join(lines[definition.lineno - 1 :])
