"""The answer that a learner compares a passed function with."""

import ast
from pathlib import Path

import pytest

from workbook import course
from workbook.references import reference
from workbook.specs import Spec, spec, specs

EVERY = pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)


@EVERY
@pytest.mark.parametrize("edition", ["instructor", "learner"])
def test_every_function_has_one_and_it_is_that_function_alone(
    found: Spec, edition: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if edition == "learner":
        monkeypatch.setattr(course, "SOLUTIONS", tmp_path / "none")
    answer = reference(found)
    (function,) = ast.parse(answer.source).body
    assert isinstance(function, ast.FunctionDef)
    assert function.name == found.function
    assert not function.decorator_list
    assert ast.get_docstring(function) is None
    assert f"{found.topic}.py" in answer.origin
    assert ("solutions/" in answer.origin) is (edition == "instructor")


def test_the_comments_of_a_solution_are_kept() -> None:
    assert "# The id is an argument because vocabularies differ" in reference(spec("padding_mask")).source


def test_a_function_that_the_solutions_lack_is_taken_from_the_specification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "padding.py").write_text("def another():\n    pass\n")
    monkeypatch.setattr(course, "SOLUTIONS", tmp_path)
    assert "workbook/specs/padding.py" in reference(spec("padding_mask")).origin
