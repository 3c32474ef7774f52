"""The learner's untouched files, rebuilt from the specifications: signature and docstring of the oracle, and no body."""

import ast
import inspect
import textwrap
from importlib import import_module

from workbook.specs import spec, specs
from workbook.specs.specification import Spec


def topic_source(topic: str) -> str:
    """Return the untouched ``workbook/exercises/<topic>.py``.

    Raises:
        UnknownExercise: the course has no such topic.
    """
    functions = [function_source(found) for found in specs([topic])]
    header: str = import_module(f"workbook.specs.{topic}").HEADER
    return "\n\n\n".join([header.strip(), *(function.strip() for function in functions)]) + "\n"


def function_source(found: Spec | str) -> str:
    """Return the untouched stub of one function, decorator included, or the wrong code it was given with."""
    found = spec(found) if isinstance(found, str) else found
    if found.given is not None:
        return "@exercise\n" + textwrap.dedent(inspect.getsource(found.given))
    source = textwrap.dedent(inspect.getsource(found.oracle))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    documentation = definition.body[0]  # an oracle without a docstring would be a stub without one: tests refuse it
    lines = source.splitlines()[: documentation.end_lineno]
    return "\n".join(["@exercise", *lines, f'    raise NotImplementedError("{found.name}")']) + "\n"
