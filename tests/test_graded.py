"""``@exercise``: where a call goes, and what is said about it."""

import os
import sys
import types
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from workbook import course, graded
from workbook.specs import Spec, spec, specs
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution, load_topic, topic_file

IDS = torch.tensor([[3, 5, 6, 0], [4, 5, 7, 8]])
IS_PADDING = IDS == 0
STUB = topic_source("padding")
BODY = 'raise NotImplementedError("padding.padding_mask")'
LINE = "(padding.padding_mask is not written yet, so the reference answers here: workbook/exercises/padding.py)\n"


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test starts with nothing announced, and leaves the learner's functions as they were."""
    monkeypatch.setattr(graded, "_WRITTEN", dict(graded._WRITTEN))
    monkeypatch.setattr(graded, "_announced", set())
    monkeypatch.setenv("WORKBOOK_FALLBACK", "visible")
    monkeypatch.delenv("WORKBOOK_IMPLEMENTATION", raising=False)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)


@pytest.fixture
def learner(tmp_path: Path) -> Callable[..., types.ModuleType]:
    """Saves a version of padding.py, with a body for `padding_mask`, and executes it."""

    def save(body: str = BODY) -> types.ModuleType:
        file = tmp_path / "padding.py"
        file.write_text(STUB.replace(BODY, body), encoding="utf-8")
        return load_topic(file)

    return save


def test_an_unwritten_function_answers_by_its_reference(learner: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert torch.equal(learner().padding_mask(IDS, 0), IS_PADDING)
    assert capsys.readouterr().out == LINE


def test_a_check_in_another_thread_leaves_the_reference_to_this_one(learner: Any) -> None:
    module = learner()
    with ThreadPoolExecutor(1) as other, graded.without_reference():
        assert torch.equal(other.submit(module.padding_mask, IDS, 0).result(), IS_PADDING)
        with pytest.raises(NotImplementedError):
            module.padding_mask(IDS, 0)
    assert torch.equal(module.padding_mask(IDS, 0), IS_PADDING)


def test_the_line_is_printed_once_for_each_function(learner: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module = learner()
    for _ in range(3):
        module.padding_mask(IDS, 0)
    assert capsys.readouterr().out == LINE
    module.masked_mean(torch.ones(1, 2, 3), torch.ones(1, 2).long())
    assert capsys.readouterr().out == LINE.replace("padding_mask", "masked_mean")


def test_the_line_is_printed_again_when_the_file_has_been_saved(
    learner: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    module = learner()
    for _ in range(3):
        module.padding_mask(IDS, 0)
    assert capsys.readouterr().out == LINE
    file = Path(module.__file__)
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1_000_000))
    for _ in range(2):
        module.padding_mask(IDS, 0)
    assert capsys.readouterr().out == LINE


def test_the_line_can_be_silenced(
    learner: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBOOK_FALLBACK", "silent")
    assert torch.equal(learner().padding_mask(IDS, 0), IS_PADDING)
    assert capsys.readouterr().out == ""


def test_a_written_function_answers_itself(learner: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert learner("return 'mine'").padding_mask(IDS, 0) == "mine"
    assert learner("return 'mine'").padding_mask(pad_token_id=0, input_ids=IDS) == "mine"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("raise NotImplementedError", NotImplementedError),
        ("raise NotImplementedError('a window needs is_causal')", NotImplementedError),
        ("raise NotImplementedError('padding.masked_mean')", NotImplementedError),
        ("raise NotImplementedError('padding.padding_mask', 2)", NotImplementedError),
        ("raise ValueError('padding.padding_mask')", ValueError),
        ("return undefined", NameError),
    ],
)
def test_any_other_error_is_the_learners_answer(
    learner: Any, capsys: pytest.CaptureFixture[str], body: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        learner(body).padding_mask(IDS, 0)
    assert capsys.readouterr().out == ""


def test_a_stub_called_with_wrong_arguments_is_an_error_as_any_function_is(learner: Any) -> None:
    with pytest.raises(TypeError):
        learner().padding_mask(IDS)


def test_an_old_wrapper_calls_the_newest_function(learner: Any) -> None:
    """Under %autoreload a notebook keeps the wrapper it imported; the file has moved on."""
    wrapper = learner().padding_mask
    assert torch.equal(wrapper(IDS, 0), IS_PADDING)
    learner("return 'first'")
    assert wrapper(IDS, 0) == "first"
    learner("return 'second'")
    assert wrapper(IDS, 0) == "second"
    learner()
    assert torch.equal(wrapper(IDS, 0), IS_PADDING)


def test_the_wrapper_looks_like_its_function(learner: Any) -> None:
    import inspect

    wrapper = learner("return 'mine'").padding_mask
    assert wrapper.__name__ == "padding_mask"
    assert wrapper.__doc__ == spec("padding_mask").oracle.__doc__
    assert str(inspect.signature(wrapper)) == str(inspect.signature(spec("padding_mask").oracle))
    assert wrapper.__wrapped__(IDS, 0) == "mine"


# --- solutions -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)
def test_under_solutions_every_graded_function_is_its_namesake(
    found: Spec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    calls: list[Any] = []

    def solution(*given: Any, **named: Any) -> str:
        calls.append((given, named))
        return "solution"

    monkeypatch.setattr(load_solution(found.topic), found.function, solution)
    wrapper = getattr(import_module(f"workbook.exercises.{found.topic}"), found.function)
    assert wrapper(1, two=2) == "solution"
    assert calls == [((1,), {"two": 2})]
    assert topic_file(found.topic) == course.SOLUTIONS / f"{found.topic}.py"
    assert capsys.readouterr().out == ""


def test_under_solutions_a_learners_code_is_not_called(learner: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrapper = learner("raise RuntimeError('mine')").padding_mask
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    assert torch.equal(wrapper(IDS, 0), IS_PADDING)


def test_an_edition_without_solutions_says_so(learner: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    wrapper = learner().padding_mask
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    monkeypatch.setattr(course, "SOLUTIONS", tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"solutions/padding\.py is not there"):
        wrapper(IDS, 0)


@pytest.mark.parametrize("choice", ["solution", "Solutions", "both"])
def test_an_unknown_implementation_is_named(learner: Any, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", choice)
    with pytest.raises(ValueError, match=f"WORKBOOK_IMPLEMENTATION is '{choice}'; it can be exercises or solutions"):
        learner().padding_mask(IDS, 0)


@pytest.mark.parametrize("choice", ["", "  ", "exercises", " exercises "])
def test_the_learners_files_are_the_default(learner: Any, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", choice)
    assert learner("return 'mine'").padding_mask(IDS, 0) == "mine"
    assert topic_file("padding") == course.EXERCISES / "padding.py"


# --- topic files -----------------------------------------------------------------------------------------------------


def test_a_topic_is_executed_afresh_each_time(tmp_path: Path) -> None:
    file = tmp_path / "padding.py"
    file.write_text("value = 1")
    first = load_topic(file)
    file.write_text("value = 2")
    assert (first.value, load_topic(file).value) == (1, 2)
    assert load_topic(file).__name__ == "workbook.exercises.padding"


def test_a_solution_is_executed_again_only_when_it_has_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr(course, "SOLUTIONS", tmp_path)
    file = tmp_path / "padding.py"
    file.write_text("value = 1")
    first = load_solution("padding")
    assert load_solution("padding") is first
    file.write_text("value = 2")
    os.utime(file, (2_000_000_000, 2_000_000_000))
    assert load_solution("padding").value == 2


def test_flex_attention_finds_the_globals_of_a_solution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    monkeypatch.setattr(course, "SOLUTIONS", tmp_path)
    # A name of its own: torch.compile remembers the module that it has once found under a name.
    monkeypatch.setitem(sys.modules, "workbook.solutions.rules", types.ModuleType("taken out afterwards"))
    (tmp_path / "rules.py").write_text("WINDOW = 2\ndef near(b, h, q, k):\n    return (q >= k) & (q - k < WINDOW)\n")
    rule = load_solution("rules").near
    query = torch.ones(1, 1, 4, 16)
    value = torch.eye(16)[None, None, :4]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not compiled
        weights = flex_attention(query, query, value, block_mask=create_block_mask(rule, 1, 1, 4, 4, device="cpu"))
    assert torch.equal(weights[0, 0, 3, :4], torch.tensor([0.0, 0.0, 0.5, 0.5]))


def test_what_is_saved_reaches_the_imported_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "padding.py"
    file.write_text(STUB)
    imported = load_topic(file)
    elsewhere = load_topic(file)
    monkeypatch.setitem(sys.modules, imported.__name__, imported)
    file.write_text(STUB.replace(BODY, "return input_ids == NEW\n\n\nNEW = 0"))
    os.utime(file, (2_000_000_000, 2_000_000_000))
    assert torch.equal(elsewhere.padding_mask(IDS, 0), IS_PADDING)
    assert imported.NEW == 0
    other = tmp_path / "elsewhere" / "padding.py"
    other.parent.mkdir()
    other.write_text(STUB)
    module = load_topic(other)
    other.write_text(STUB.replace(BODY, "return input_ids == NEW\n\n\nNEW = 1"))
    os.utime(other, (2_000_000_000, 2_000_000_000))
    assert torch.equal(module.padding_mask(IDS, 0), IDS == 1)
    assert imported.NEW == 0  # another file of that name is not what the notebook has imported


@pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)
def test_the_reference_keeps_the_graph_dtype_and_device_of_its_inputs(found: Spec) -> None:
    """It stands in for the learner's function under gradients and training."""
    from workbook.grading.judge import examination
    from workbook.grading.runner import fresh, invoke, leaves

    call = fresh(examination(found.name, 0).small.call)
    floats = [
        leaf.requires_grad_() for leaf in leaves(call) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point()
    ]
    for output in leaves(invoke(found.oracle, *call)):
        if not isinstance(output, torch.Tensor):
            continue
        assert output.device.type == "cpu"
        if floats and output.is_floating_point():
            assert output.requires_grad
            assert output.dtype == floats[0].dtype
