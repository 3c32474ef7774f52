"""Is this machine ready for the course? One line for each thing that matters, and what to do when one is off."""

import platform
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement
from packaging.version import Version

from workbook.course import COURSE, PROJECT
from workbook.device import device

CHECKED = ("torch", "transformers", "jupyterlab", "matplotlib")


@dataclass(frozen=True)
class Finding:
    """One line of the check."""

    what: str
    found: str
    good: bool
    advice: str = ""

    def __str__(self) -> str:
        line = f"{'✓' if self.good else '✗'} {self.what:13} {self.found}"
        return f"{line}\n  → {self.advice}" if self.advice else line


def findings() -> list[Finding]:
    """Return what this machine has: Python, the libraries against the ranges of pyproject.toml, and the device."""
    python = Version(platform.python_version())
    old = (
        ""
        if python >= Version("3.11")
        else "the course needs Python 3.11 or later: remove .venv and make setup with it"
    )
    found = [Finding("Python", str(python), not old, old)]
    ranges = {wanted.name: wanted for wanted in map(Requirement, requires(COURSE) or ()) if wanted.marker is None}
    pins = _pins()
    for name in CHECKED:
        try:
            present = version(name)
        except PackageNotFoundError:
            found.append(Finding(name, "missing", False, "run `make setup` in the project's folder"))
            continue
        specifier = ranges[name].specifier if name in ranges else None
        good = specifier is None or specifier.contains(present.partition("+")[0], prereleases=True)
        advice = "" if good else f"the course needs {name}{specifier}: run `make setup` in the project's folder"
        if good and name in pins and Version(present).public != pins[name]:
            advice = f"the pages were written with {pins[name]}; where yours differs, a cell says so"
        found.append(Finding(name, present, good, advice))
    return [*found, _device()]


def environment() -> None:
    """Print the findings."""
    lines = findings()
    print("\n".join(str(line) for line in lines))
    print("All is ready." if all(line.good for line in lines) else "Mend the lines with ✗ first.")


def _device() -> Finding:
    try:
        chosen = device()
    except (ValueError, RuntimeError) as error:
        return Finding("device", "none", False, f"{error}; unset WORKBOOK_DEVICE to use what is there")
    if chosen.type == "cpu":
        advice = "everything in this course runs on a CPU; a GPU is used when torch sees one"
    else:
        advice = f"{_card(chosen.type)}where a result depends on the device, it is shown beside the CPU's"
    return Finding("device", chosen.type, True, advice)


def _card(device_type: str) -> str:
    if device_type != "cuda":
        return ""
    import torch

    return f"{torch.cuda.get_device_name()}; "


def _pins() -> dict[str, str]:
    """Return the versions that constraints.txt names, or none if the file did not come along."""
    path = PROJECT / "constraints.txt"
    if not path.exists():
        return {}
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return dict(line.split("==", 1) for line in lines if "==" in line)


if __name__ == "__main__":
    environment()
    sys.exit(not all(line.good for line in findings()))
