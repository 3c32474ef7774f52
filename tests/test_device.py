"""``device()``: the one place that chooses a device."""

import pytest
import torch

from workbook import device


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
