"""The learner's files: what a stub says, and that it is what the specification says."""

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from workbook import course
from workbook.specs import Spec, UnknownExercise, given, select, spec, specs
from workbook.specs.stubs import function_source, topic_source
from workbook.topic_files import load_solution

EVERY = pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)
TOPICS = pytest.mark.parametrize("topic", course.TOPICS)
#: What a learner's file may import, and a solution's: no topic ever another, so that one mistake costs one exercise.
MAY_IMPORT = {"torch", "torch.nn.functional", "jaxtyping", "math", "typing", "collections.abc"}
MAY_IMPORT |= {"dataclasses", "functools", "itertools"}


def functions(source: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


def graded(source: str) -> list[str]:
    """The functions under `@exercise`; a file may hold given helpers beside them."""
    return [
        name
        for name, function in functions(source).items()
        if "exercise" in [ast.unparse(decorator) for decorator in function.decorator_list]
    ]


def heading(function: ast.FunctionDef) -> str:
    """The signature as it is written, annotations and defaults included."""
    assert function.returns is not None, f"{function.name} does not say what it returns"
    return f"({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}"


def solution_source(topic: str) -> str:
    return (course.SOLUTIONS / f"{topic}.py").read_text(encoding="utf-8")


@TOPICS
def test_the_repositorys_exercises_are_the_untouched_ones(topic: str) -> None:
    assert (course.EXERCISES / f"{topic}.py").read_text(encoding="utf-8") == topic_source(topic)


@TOPICS
def test_a_topic_has_its_functions_in_the_order_of_teaching_everywhere(topic: str) -> None:
    names = [found.function for found in specs([topic])]
    assert graded(topic_source(topic)) == names
    assert [name for name in functions(solution_source(topic)) if name in names] == names


@EVERY
def test_a_stub_has_the_oracles_signature_and_docstring(found: Spec) -> None:
    stub = functions(function_source(found))[found.function]
    oracle = functions(inspect.getsource(found.oracle))[found.function]
    assert heading(stub) == heading(oracle)
    if found.given is None:
        assert ast.get_docstring(stub) == inspect.getdoc(found.oracle)
        assert ast.unparse(stub.body[1:]) == f"raise NotImplementedError('{found.name}')"  # type: ignore[arg-type]
        assert len(stub.body) == 2
    assert [ast.unparse(decorator) for decorator in stub.decorator_list] == ["exercise"]


@EVERY
def test_a_solution_has_the_stubs_signature(found: Spec) -> None:
    stub = functions(topic_source(found.topic))[found.function]
    assert heading(functions(solution_source(found.topic))[found.function]) == heading(stub)


@EVERY
def test_a_stub_says_first_what_true_or_one_means(found: Spec) -> None:
    documentation = inspect.getdoc(found.oracle)
    assert documentation is not None
    first, *rest = documentation.splitlines()
    assert "True" in first or "1 =" in first or "1 goes" in first or "0 =" in first, first
    assert first.endswith((".", ")")), first
    assert len(first) <= 120
    assert "Returns:" in documentation
    assert any(mark in "\n".join(rest) for mark in "■⬚→↑¼0"), "no drawn example"


@EVERY
def test_every_argument_is_explained(found: Spec) -> None:
    explained = (inspect.getdoc(found.oracle) or "").partition("Args:")[2].partition("Returns:")[0]
    for argument in inspect.signature(found.oracle).parameters:
        assert argument in explained, argument


@TOPICS
def test_a_topic_file_imports_no_other_topic_and_nothing_of_the_course_but_exercise(topic: str) -> None:
    for source, more in ((topic_source(topic), {"workbook"}), (solution_source(topic), set())):
        nodes = list(ast.walk(ast.parse(source)))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "." for node in nodes if isinstance(node, ast.ImportFrom)}
        assert imported <= MAY_IMPORT | more
        taken = {alias.name for node in nodes if isinstance(node, ast.ImportFrom) and node.module == "workbook"
                 for alias in node.names}  # fmt: skip
        assert taken <= {"exercise"}


@TOPICS
def test_an_untouched_file_can_be_imported_and_a_solution_too(topic: str) -> None:
    names: dict[str, Any] = {"__name__": f"workbook.exercises.{topic}"}
    from workbook import graded

    before = dict(graded._WRITTEN)
    try:
        exec(compile(topic_source(topic), topic, "exec"), names)
    finally:
        graded._WRITTEN.clear()
        graded._WRITTEN.update(before)
    for found in specs([topic]):
        assert callable(names[found.function])
        assert callable(getattr(load_solution(topic), found.function))


@EVERY
def test_a_solution_gives_its_reason_in_a_comment(found: Spec) -> None:
    source = solution_source(found.topic)
    function = functions(source)[found.function]
    body = source.splitlines()[function.lineno : function.end_lineno]
    assert any(line.strip().startswith("#") for line in body)


# --- the registry ----------------------------------------------------------------------------------------------------


def test_every_topic_has_its_file_in_every_room() -> None:
    for topic in course.TOPICS:
        assert (course.EXERCISES / f"{topic}.py").exists()
        assert (course.SOLUTIONS / f"{topic}.py").exists()
        assert (course.HINTS / f"{topic}.toml").exists()
        assert (course.PACKAGE / "specs" / f"{topic}.py").exists()
        assert (Path(__file__).parent / f"test_{topic}.py").exists()


@EVERY
def test_a_specification_is_found_by_its_name(found: Spec) -> None:
    assert spec(found.name) is found
    assert found.points >= 1
    if sum(other.function == found.function for other in specs()) == 1:
        assert spec(found.function) is found


@EVERY
def test_every_property_is_one_that_can_be_measured(found: Spec) -> None:
    from workbook.grading.judge import _PROPERTY_SENTENCES
    from workbook.grading.runner import PROPERTIES

    kinds = [wanted.kind for wanted in found.properties]
    assert len(set(kinds)) == len(kinds)
    assert set(kinds) <= set(PROPERTIES)
    assert set(kinds) <= set(_PROPERTY_SENTENCES)
    assert "device" in kinds


@EVERY
def test_every_case_says_what_it_is_there_for(found: Spec) -> None:
    from workbook.grading.judge import examination

    about = [case.about for case in examination(found.name, 0).cases]
    assert len(about) >= 5
    assert len(set(about)) == len(about)
    assert all(about)


def test_specifications_come_in_teaching_order_whatever_is_asked_first() -> None:
    names = [found.name for found in specs()]
    assert len(set(names)) == len(names)
    assert [found.name for found in specs(reversed(course.TOPICS))] == names
    assert [found.name for found in select([])] == names
    assert [found.name for found in select(reversed(names))] == names
    assert [found.name for found in select(["padding.masked_mean", "warmup", "masked_mean"])] == [
        "warmup.invert_mask",
        "padding.masked_mean",
    ]


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("padding.pading_mask", "padding.padding_mask"),
        ("masked_means", "padding.masked_mean"),
        ("warmup.padding_mask", "padding.padding_mask"),
        ("inverted_mask", "warmup.invert_mask"),
    ],
)
def test_an_unknown_name_suggests_the_nearest(name: str, suggested: str) -> None:
    for ask in (spec, lambda name: select([name])):
        with pytest.raises(UnknownExercise, match=f"there is no exercise '{name}'; did you mean .*{suggested}"):
            ask(name)


def test_an_unknown_topic_names_the_known_ones() -> None:
    with pytest.raises(UnknownExercise, match="there is no topic 'zzz'; there are warmup, padding"):
        specs(["zzz"])
    with pytest.raises(UnknownExercise, match="did you mean padding"):
        specs(["pading"])


def test_given_code_is_the_untouched_wrong_one_whatever_has_been_mended() -> None:
    for found in specs():
        if found.given is None:
            with pytest.raises(UnknownExercise, match=f"{found.name} is given empty"):
                given(found.name)
        else:
            source = function_source(found)
            assert source == "@exercise\n" + inspect.getsource(given(found.name))
            assert source.strip() in (course.EXERCISES / f"{found.topic}.py").read_text(encoding="utf-8")
    assert sum(found.given is not None for found in specs()) == 6


@pytest.mark.parametrize("name", [None, 3, ["padding"], len])
def test_a_name_that_is_no_text_is_refused(name: Any) -> None:
    with pytest.raises(UnknownExercise, match="is named by a text"):
        spec(name)


def test_a_topic_without_specification_is_unknown() -> None:
    with pytest.raises(UnknownExercise):
        topic_source("nothing")
