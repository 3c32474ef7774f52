"""The environment check: one line for each thing that matters, and what to do when one is off."""

from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import torch

from workbook import environment as shown
from workbook.course import COURSE

environment = __import__("workbook.environment", fromlist=["findings"])

RANGES = ["torch>=2.6", "transformers>=5.0", "jupyterlab>=4.4", "matplotlib>=3.9", "pytest>=8; extra == 'dev'"]
GOOD = {"torch": "2.13.0", "transformers": "5.23.0", "jupyterlab": "4.6.0", "matplotlib": "3.11.0"}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """A machine whose versions the test can change; what is missing in it is not installed."""
    installed = dict(GOOD)

    def version(name: str) -> str:
        if name not in installed:
            raise PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(environment, "version", version)
    monkeypatch.setattr(environment, "requires", lambda name: RANGES if name == COURSE else None)
    monkeypatch.setattr(environment, "PROJECT", tmp_path)
    monkeypatch.setattr(environment.platform, "python_version", lambda: "3.11.7")
    monkeypatch.setenv("WORKBOOK_DEVICE", "cpu")
    (tmp_path / "constraints.txt").write_text("# pinned\ntorch==2.13.0  # first\ntransformers==5.23.0\n\n--extra x\n")
    return installed


def lines() -> dict[str, Any]:
    return {finding.what: finding for finding in environment.findings()}


def test_a_machine_that_fits_is_ready(machine: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert all(finding.good for finding in environment.findings())
    assert {name: finding.advice for name, finding in lines().items() if name != "device"} == dict.fromkeys(
        ["Python", *GOOD], ""
    )
    shown()
    printed = capsys.readouterr().out
    assert printed.endswith("All is ready.\n")
    assert "✗" not in printed
    for name, version in GOOD.items():
        assert f"✓ {name:13} {version}" in printed


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_library_is_named_with_the_way_to_get_it(
    machine: dict[str, str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    del machine[name]
    finding = lines()[name]
    assert (finding.found, finding.good) == ("missing", False)
    assert "make setup" in finding.advice
    shown()
    assert capsys.readouterr().out.endswith("Mend the lines with ✗ first.\n")


@pytest.mark.parametrize(
    ("name", "version"), [("torch", "2.5.1"), ("torch", "2.5.1+cu121"), ("transformers", "4.51.3")]
)
def test_a_version_out_of_range_is_named_with_the_range(machine: dict[str, str], name: str, version: str) -> None:
    machine[name] = version
    finding = lines()[name]
    assert (finding.found, finding.good) == (version, False)
    assert f"the course needs {name}>=" in finding.advice


@pytest.mark.parametrize("version", ["2.13.0+cpu", "2.13.0+cu130"])
def test_a_local_build_of_the_pinned_version_is_the_pinned_version(machine: dict[str, str], version: str) -> None:
    machine["torch"] = version
    assert lines()["torch"].good
    assert lines()["torch"].advice == ""


@pytest.mark.parametrize("version", ["2.6.0", "2.12.1+cpu", "2.14.0.dev20270101"])
def test_another_version_in_range_is_good_with_a_word_of_warning(machine: dict[str, str], version: str) -> None:
    machine["torch"] = version
    finding = lines()["torch"]
    assert finding.good
    assert finding.advice.startswith("the pages were written with 2.13.0")


def test_without_constraints_nothing_is_said_of_pins(machine: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "constraints.txt").unlink()
    machine["torch"] = "2.12.0"
    assert lines()["torch"].advice == ""


def test_a_library_without_a_range_may_have_any_version(machine: dict[str, str], monkeypatch: Any) -> None:
    monkeypatch.setattr(environment, "requires", lambda name: None)
    machine["torch"] = "0.1"
    assert lines()["torch"].good


@pytest.mark.parametrize(("python", "good"), [("3.10.14", False), ("3.9.0", False), ("3.11.0", True), ("3.14.1", True)])
def test_an_old_python_is_named(machine: dict[str, str], monkeypatch: Any, python: str, good: bool) -> None:
    monkeypatch.setattr(environment.platform, "python_version", lambda: python)
    finding = lines()["Python"]
    assert (finding.found, finding.good) == (python, good)
    assert ("3.11 or later" in finding.advice) is not good


def test_a_machine_without_a_gpu_is_ready(machine: dict[str, str]) -> None:
    finding = lines()["device"]
    assert (finding.found, finding.good) == ("cpu", True)
    assert "everything in this course runs on a CPU" in finding.advice


def test_a_gpu_is_named_and_stands_beside_the_cpu(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setenv("WORKBOOK_DEVICE", "auto")
    finding = lines()["device"]
    assert (finding.found, finding.good) == ("cuda", True)
    assert finding.advice == "a card; where a result depends on the device, it is shown beside the CPU's"


def test_a_device_without_a_name_is_ready(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setenv("WORKBOOK_DEVICE", "mps")
    finding = lines()["device"]
    assert (finding.found, finding.good) == ("mps", True)
    assert finding.advice == "where a result depends on the device, it is shown beside the CPU's"


@pytest.mark.cuda
def test_on_a_gpu_its_name_is_shown(machine: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_DEVICE", "cuda")
    assert lines()["device"].advice.startswith(f"{torch.cuda.get_device_name()}; ")


@pytest.mark.parametrize("choice", ["cuda", "gpu"])
def test_a_device_that_is_not_there_is_named_with_the_way_out(
    machine: dict[str, str], monkeypatch: pytest.MonkeyPatch, choice: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("WORKBOOK_DEVICE", choice)
    finding = lines()["device"]
    assert (finding.found, finding.good) == ("none", False)
    assert choice in finding.advice
    assert "unset WORKBOOK_DEVICE" in finding.advice


def test_this_very_environment_is_ready() -> None:
    assert [str(finding) for finding in environment.findings() if not finding.good] == []
