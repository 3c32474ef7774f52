"""``device()``, the one place that chooses a device; and every graded function on one."""

import inspect

import pytest
import torch
from torch import Tensor

from workbook import device
from workbook.grading import judge as judging
from workbook.grading.judge import examination
from workbook.grading.runner import Returned, fresh, invoke, leaves, plain
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


@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
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
