"""``device()``, the one place that chooses a device; and what computes, draws and prints on one."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from workbook import check, device, figures, predict, show
from workbook.conventions import CONVENTIONS, from_allowed, to_allowed
from workbook.device import devices
from workbook.grading import judge as judging
from workbook.grading.judge import examination
from workbook.grading.runner import Returned, fresh, invoke, leaves, plain
from workbook.printing import largest_difference
from workbook.specs import Spec, specs
from workbook.topic_files import load_solution


@pytest.fixture
def having(monkeypatch: pytest.MonkeyPatch) -> "pytest.MonkeyPatch":
    def present(*names: str) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in names)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in names)

    return present  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("present", "chosen"), [((), "cpu"), (("mps",), "mps"), (("cuda",), "cuda"), (("mps", "cuda"), "cuda")]
)
@pytest.mark.parametrize("choice", [None, "", "auto", " AUTO "])
def test_auto_takes_the_fastest_that_is_there(
    having, monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...], chosen: str, choice: str | None
) -> None:
    having(*present)
    if choice is None:
        monkeypatch.delenv("WORKBOOK_DEVICE", raising=False)
    else:
        monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    assert device() == torch.device(chosen)


@pytest.mark.parametrize("choice", ["cpu", "cuda", "mps", "CPU", " cuda "])
def test_a_device_that_is_there_is_chosen_by_name(having, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    having("cuda", "mps")
    monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    assert device().type == choice.strip().lower()


@pytest.mark.parametrize("choice", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_an_error(having, monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    having()
    monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    with pytest.raises(RuntimeError, match=f"WORKBOOK_DEVICE is '{choice}', but torch .* sees no such device here"):
        device()


@pytest.mark.parametrize("choice", ["gpu", "cuda:1", "tpu"])
def test_another_word_is_an_error(monkeypatch: pytest.MonkeyPatch, choice: str) -> None:
    monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    with pytest.raises(ValueError, match=f"WORKBOOK_DEVICE is '{choice}'; it can be cpu, cuda, mps or auto"):
        device()


@pytest.mark.parametrize(
    ("there", "choice", "both"),
    [
        ((), "auto", ["cpu"]),
        (("cuda",), "cpu", ["cpu"]),
        (("cuda",), "auto", ["cpu", "cuda"]),
        (("cuda", "mps"), "mps", ["cpu", "mps"]),
    ],
)
def test_the_chosen_device_stands_beside_the_cpu_where_it_is_another(
    having,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    there: tuple[str, ...],
    choice: str,
    both: list[str],
) -> None:
    having(*there)
    monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    assert devices() == [torch.device(name) for name in both]
    assert capsys.readouterr().out == ""
    assert devices("its times") == [torch.device(name) for name in both]
    said = "Only the CPU is used here; a GPU would put its times beside the CPU's.\n"
    assert capsys.readouterr().out == (said if both == ["cpu"] else "")


EVERYWHERE = pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])


@EVERYWHERE
@pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)
def test_oracle_and_solution_answer_on_every_device_as_on_the_cpu(found: Spec, where: str) -> None:
    exam = examination(found.name, 0)
    for function in (found.oracle, getattr(load_solution(found.topic), found.function)):
        for case, expected in zip(exam.cases, exam.expected, strict=True):
            if not isinstance(expected, Returned):
                continue
            arguments, keywords, indices = fresh(case.call, where)
            if "device" in inspect.signature(function).parameters:
                keywords["device"] = where
            result = invoke(function, arguments, keywords, indices)
            assert {leaf.device.type for leaf in leaves(result) if isinstance(leaf, Tensor)} <= {where}
            came = judging.observed(found, case, Returned(plain(result)))
            difference = judging.outcome_difference(expected, came, tolerance=case.tolerance)
            assert difference is None, case.about


WORDS = ["I", "like", "tea"]
MASK = torch.ones(3, 3, dtype=torch.bool).tril()
SCORES = torch.tensor([[0.0, 0.5, -0.5], [1.0, 0.0, 0.25], [0.5, -1.0, 0.0]], requires_grad=True)
VALUES = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
DRAWN: dict[str, Callable[[Tensor, Tensor, Tensor], figures.Picture]] = {
    "mask_grid": lambda mask, scores, values: figures.mask_grid({"one": mask, "other": mask.T}, WORDS, cells=None),
    "mask_grid, cells": lambda mask, scores, values: figures.mask_grid(mask, WORDS, cells=scores),
    "difference": lambda mask, scores, values: figures.difference(mask, ~mask, WORDS),
    "pipeline": lambda mask, scores, values: figures.pipeline(scores, mask, values, WORDS),
    "mask_lens": lambda mask, scores, values: figures.mask_lens(scores, mask, values, WORDS, row=1),
    "tokens_moved": lambda mask, scores, values: figures.tokens_moved({"some": scores[0]}, WORDS),
    "bars": lambda mask, scores, values: figures.bars(scores[0], WORDS),
    "lines": lambda mask, scores, values: figures.lines(values[:, 0], {"some": scores[1]}, "x", "y"),
    "lines, of numbers": lambda mask, scores, values: figures.lines([1, 2, 3], {"some": list(scores[1])}, "x", "y"),
    "histogram": lambda mask, scores, values: figures.histogram(scores[0], bins=2, xlabel="x"),
}


def test_every_figure_that_takes_tensors_is_drawn_on_every_device() -> None:
    functions = set(figures.__all__) - {
        "Picture",
        "batch_grid",
        "difference_image",
        "difference_svg",
        "difference_text",
    }
    assert functions == {name.partition(",")[0] for name in DRAWN}


@EVERYWHERE
@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_of_tensors_on_a_device_is_the_cpus(name: str, where: str) -> None:
    def shown(mask: Tensor, scores: Tensor, values: Tensor) -> Any:
        data, metadata = DRAWN[name](mask, scores, values)._repr_mimebundle_()
        return data["text/plain"], metadata["image/png"]["alt"]

    assert shown(MASK.to(where), SCORES.to(where), VALUES.to(where)) == shown(MASK, SCORES, VALUES)


@EVERYWHERE
@pytest.mark.parametrize(
    "values", [MASK, SCORES, SCORES.half(), VALUES.long(), VALUES[0, 0]], ids=["bool", "float", "half", "long", "one"]
)
def test_numbers_on_a_device_are_printed_as_the_cpus(
    values: Tensor, where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show({"here": values, "beside": (VALUES[1], "a word")})
    wanted = capsys.readouterr().out
    show({"here": values.to(where), "beside": (VALUES[1].to(where), "a word")})
    assert capsys.readouterr().out == wanted


@EVERYWHERE
def test_tensors_on_a_device_are_compared(where: str) -> None:
    there = SCORES.to(where)
    assert largest_difference(there, there.clone()) == "0"
    assert largest_difference(there, there + 1e-6) == "< 1e-5"
    assert largest_difference(there, there + 0.5) == "0.5"


@EVERYWHERE
def test_a_prediction_is_scored_against_tensors_on_a_device(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbook.predictions.made", {})
    row = predict("Which?", cells=(["like"], WORDS), guess=["■■⬚"])
    assert row.reveal(MASK[1].to(where)).right is True
    grid = predict("Which ones?", cells=(WORDS, WORDS), guess=["■⬚⬚", "■■⬚", "■■⬚"])
    assert grid.reveal(MASK.to(where)).right is False
    number = predict("How many?", [1, 2, 3], guess="c")
    assert number.reveal(MASK.to(where).sum(dim=-1)[2]).right is True
    nested = predict("And here?", cells=(["a", "b"], ["x"]), guess=["■", "⬚"])
    assert nested.reveal([[MASK.to(where)[1, 0]], [MASK.to(where)[0, 1]]]).right is True


@EVERYWHERE
def test_a_check_judges_an_answer_that_computes_on_a_device(where: str) -> None:
    def there_and_back(mask: Tensor) -> Tensor:
        return (~mask.to(where)).to(mask.device)

    assert check("warmup.invert_mask", there_and_back).passed
    stays = check("warmup.invert_mask", lambda mask: ~mask.to(where))
    # That "cpu" was written out is only seen on inputs that are elsewhere; on a GPU the values are in the wrong place.
    assert (stays.status, stays.aspect) == ("property broken" if where == "cpu" else "wrong", "device")


@EVERYWHERE
@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_mask_is_spelled_and_read_where_it_is(name: str, where: str) -> None:
    spelled = from_allowed(MASK.to(where), name)
    read = to_allowed(spelled, name)
    assert (spelled.device.type, read.device.type) == (where, where)
    assert torch.equal(read.cpu(), MASK)
