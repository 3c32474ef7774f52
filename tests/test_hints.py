"""Hints: three levels for every function, none of which gives the code."""

import ast
import re
import tomllib

import pytest

from workbook import course, hint
from workbook.hints import LEVELS, hints
from workbook.specs import Spec, UnknownExercise, specs

EVERY = pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)


def tight(text: str) -> str:
    return re.sub(r"\s", "", text)


def solution_statements(found: Spec) -> list[str]:
    """The solution's statements and what it assigns or returns, as code without blanks."""
    source = (course.SOLUTIONS / f"{found.topic}.py").read_text(encoding="utf-8")
    function = next(
        node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name == found.function
    )
    lines = source.splitlines()[function.body[0].lineno - 1 : function.end_lineno]
    code = [line.partition("#")[0] for line in lines if not line.strip().startswith(("#", "@"))]
    values = [node.value for node in ast.walk(function) if isinstance(node, ast.Return | ast.Assign)]
    # A single name or call of one word is no code to keep secret.
    return [tight(text) for text in code if len(tight(text)) >= 8] + [
        tight(ast.unparse(value)) for value in values if value is not None and len(tight(ast.unparse(value))) >= 12
    ]


@EVERY
def test_every_function_has_a_hint_of_each_level(found: Spec) -> None:
    texts = hints(found.name)
    assert len(texts) == len(LEVELS) == 3
    assert all(len(text.strip()) >= 20 for text in texts)
    assert len(set(texts)) == 3
    assert "?" in texts[0], "the first hint asks"


@EVERY
def test_no_hint_gives_the_code(found: Spec) -> None:
    statements = solution_statements(found)
    assert statements
    for text in hints(found.name):
        for statement in statements:
            assert statement not in tight(text)


@pytest.mark.parametrize("topic", course.TOPICS)
def test_there_are_hints_for_nothing_else(topic: str) -> None:
    written = tomllib.loads((course.HINTS / f"{topic}.toml").read_text(encoding="utf-8"))
    assert list(written) == [found.function for found in specs([topic])]


@EVERY
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_hint_is_printed_with_the_way_to_the_next(
    found: Spec, level: int, capsys: pytest.CaptureFixture[str]
) -> None:
    hint(found.name, level)
    printed = capsys.readouterr().out
    assert printed.startswith(f"Hint {level} of 3 for {found.name}, {LEVELS[level - 1]}:\n")
    assert " ".join(hints(found.name)[level - 1].split()) in " ".join(printed.split())
    assert all(len(line) <= 100 for line in printed.splitlines())
    assert (f'hint("{found.name}", level={level + 1})' in printed) is (level < 3)


@pytest.mark.parametrize("level", [0, 4, -1, None, "1", 1.5])
def test_another_level_is_refused(level: object) -> None:
    with pytest.raises(ValueError, match="there are hints of level 1 to 3"):
        hint("padding_mask", level)  # type: ignore[arg-type]


def test_a_hint_for_nothing_is_refused() -> None:
    with pytest.raises(UnknownExercise, match="did you mean"):
        hint("pading_mask")
