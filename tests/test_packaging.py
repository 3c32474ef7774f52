"""The files a fresh machine installs from say the same thing, and nothing is installed that is not used."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workbook import cli, course

PYPROJECT = tomllib.loads((course.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
MAKEFILE = (course.PROJECT / "Makefile").read_text(encoding="utf-8")
README = (course.PROJECT / "README.md").read_text(encoding="utf-8")
RUNTIME = [Requirement(line) for line in PYPROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["dev"]]
DASK = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["dask"]]
MODELS = [Requirement(line) for line in PYPROJECT["project"]["optional-dependencies"]["models"]]


def pins() -> dict[str, str]:
    lines = (course.PROJECT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pinned}


def imported(*folders: str) -> set[str]:
    """Return the top-level modules that Python files and notebooks below ``folders`` import."""
    modules: set[str] = set()
    for source in sources(*folders):
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                modules.add(node.module.partition(".")[0])
    return modules


def sources(*folders: str) -> Iterator[str]:
    for folder in folders:
        for path in sorted((course.PROJECT / folder).rglob("*.py")):
            if ".kept-" not in path.name and path.parent != course.EXERCISES:  # a learner's file may not parse
                yield path.read_text(encoding="utf-8")
        for path in sorted((course.PROJECT / folder).rglob("*.ipynb")):
            if ".ipynb_checkpoints" in path.parts:
                continue
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                if cell["cell_type"] == "code":
                    lines = "".join(cell["source"]).splitlines()
                    yield "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in lines)


def modules_of(requirement: Requirement) -> set[str]:
    """Return the names under which a distribution is imported."""
    name = canonicalize_name(requirement.name)
    found = importlib.metadata.packages_distributions().items()
    return {module for module, owners in found if name in map(canonicalize_name, owners)} | {name.replace("-", "_")}


def test_the_version_is_one() -> None:
    assert PYPROJECT["project"]["version"] == course.VERSION
    assert PYPROJECT["project"]["name"] == course.COURSE
    assert f"## {course.VERSION}" in (course.PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_every_pin_is_one_version_that_any_machine_can_get() -> None:
    for name, version in pins().items():
        assert re.fullmatch(r"[\w.]+", version), f"{name}=={version}: a local version or a path is on no other machine"


def test_what_is_declared_is_pinned_within_its_range() -> None:
    for requirement in [*RUNTIME, *DEVELOPMENT, *MODELS]:
        version = pins()[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} does not allow the pinned {version}"


def test_the_course_is_pinned_to_what_its_facts_were_verified_with_and_accepts_a_range() -> None:
    assert (pins()["torch"], pins()["transformers"]) == ("2.13.0", "5.23.0")
    ranges = {requirement.name: requirement.specifier for requirement in RUNTIME}
    assert ranges["torch"].contains("2.6.0")
    assert ranges["transformers"].contains("5.0.0")


def test_conda_installs_the_same() -> None:
    environment = yaml.safe_load((course.PROJECT / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == course.COURSE
    assert environment["channels"] == ["conda-forge"]
    *conda, pip = environment["dependencies"]
    assert conda == [f"python{PYPROJECT['project']['requires-python']}", "pip"]
    assert pip == {"pip": ["-c constraints.txt", f"torch=={pins()['torch']}", "-e .[dev]"]}
    assert "dev" in PYPROJECT["project"]["optional-dependencies"]


def test_every_dependency_is_imported_or_a_tool_that_make_or_the_command_runs() -> None:
    modules = imported("workbook", "solutions", "tests", "notebooks") | {"pytest"}
    site = (course.PROJECT / "docs" / "conf.py").read_text(encoding="utf-8")
    tools = MAKEFILE + Path(cli.__file__).read_text(encoding="utf-8") + site.replace("_", "-")
    unused = [
        requirement.name
        for requirement in [*RUNTIME, *DEVELOPMENT]
        if not modules_of(requirement) & modules and not re.search(rf"\b{re.escape(requirement.name)}\b", tools)
    ]
    assert unused == []


def test_every_import_is_declared() -> None:
    own = {"workbook", "solutions", "tests", "conftest"} | set(sys.stdlib_module_names)
    runtime = set().union(*map(modules_of, RUNTIME))
    assert imported("workbook", "solutions", "notebooks") - own - runtime.union(*map(modules_of, DASK)) == set()
    local = {path.stem for path in (course.PROJECT / "tests").rglob("*.py")}
    assert imported("tests") - own - local - runtime - set().union(*map(modules_of, DEVELOPMENT)) == set()


def test_every_package_and_its_data_are_installed() -> None:
    packages = {path.parent.relative_to(course.PROJECT) for path in course.PACKAGE.rglob("__init__.py")}
    assert {".".join(path.parts) for path in packages} == set(PYPROJECT["tool"]["setuptools"]["packages"])
    data = PYPROJECT["tool"]["setuptools"]["package-data"]
    kinds = {path for path in course.PACKAGE.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc")}
    listed = {
        path
        for package, patterns in data.items()
        for pattern in patterns
        for path in course.PROJECT.joinpath(*package.split(".")).glob(pattern)
    }
    assert {path for path in kinds if path.suffix in (".toml", ".json", ".js", ".css", ".html")} == listed


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(course.PROJECT / name, folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)


@needs_make
def test_make_help_lists_every_target(tmp_path: Path) -> None:
    targets = re.findall(r"^\.PHONY: (.*)", MAKEFILE, re.MULTILINE)[0].split()
    shown = re.findall(r"^  make (\S+) ", make(tmp_path, "help").stdout, re.MULTILINE)
    assert sorted(shown) == sorted(targets)
    assert make(tmp_path).stdout == make(tmp_path, "help").stdout


@needs_make
def test_the_trained_models_come_without_what_they_would_bring_along(tmp_path: Path) -> None:
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").write_text('#!/bin/sh\necho "$@" >> calls\n')
    (tools / "python").chmod(0o755)
    make(tmp_path, "setup")
    (tmp_path / ".venv" / ".ready").touch()
    assert make(tmp_path, "models").returncode == 0
    last = (tmp_path / "calls").read_text().splitlines()[-1]
    installed = last.partition(" --no-deps ")[2].split()
    assert sorted(installed) == sorted(requirement.name for requirement in MODELS)
    assert "-c constraints.txt" in last


@needs_make
def test_an_old_python_is_told_so_and_nothing_is_made(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    old.write_text('#!/bin/sh\nif [ "$1" = --version ]; then echo "Python 3.10.1"; else exit 1; fi\n')
    old.chmod(0o755)
    ran = make(tmp_path, "setup", f"PYTHON={old}")
    assert ran.returncode != 0
    assert ran.stderr.startswith(f"Python 3.11 or newer is needed, and {old} is Python 3.10.1")
    ran = make(tmp_path, "setup", "PYTHON=no-such-python")
    assert ran.returncode != 0
    assert ran.stderr.startswith("There is no no-such-python here")
    assert not (tmp_path / ".venv").exists()


@needs_make
def test_setup_happens_once_until_what_is_installed_changes(tmp_path: Path) -> None:
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "python").write_text('#!/bin/sh\necho "$@" >> calls\n')
    (tools / "python").chmod(0o755)
    first = make(tmp_path, "setup")
    assert first.returncode == 0
    assert "Installing torch==2.13.0" in first.stdout
    calls = [line for line in (tmp_path / "calls").read_text().splitlines() if line.startswith("-m pip")]
    assert [line.split("-qq -c constraints.txt ")[1] for line in calls] == [
        "--upgrade pip",
        "torch==2.13.0",
        "-e .[dev]",
    ]
    (tmp_path / ".venv" / ".ready").touch()
    before = (tmp_path / "calls").read_text()
    stamp = (tmp_path / ".venv" / ".ready").stat().st_mtime_ns
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(tmp_path / name, ns=(stamp - 10**9, stamp - 10**9))
    again = subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (again.returncode, (tmp_path / "calls").read_text()) == (0, before)
    os.utime(tmp_path / "constraints.txt", ns=(stamp + 10**9, stamp + 10**9))
    subprocess.run(["make", "setup"], cwd=tmp_path, capture_output=True, timeout=60, check=True)
    assert (tmp_path / "calls").read_text() != before


def test_ci_is_a_script_that_lints_and_tests() -> None:
    script = course.PROJECT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    called = re.findall(r"(?m)^\s*(make .*)$", script.read_text())
    assert called == ["make lint", "make test", "make test-models", "make test-browser"]
    assert subprocess.run(["bash", "-n", script]).returncode == 0


def test_what_a_learner_makes_is_not_committed() -> None:
    ignored = (course.PROJECT / ".gitignore").read_text().split()
    assert {".venv/", ".workbook.toml", "/submission*.zip", "/grades/", "*.kept-*.py"} <= set(ignored)


def test_the_readme_leads_nowhere_that_is_not_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert links
    assert [link for link in links if not (course.PROJECT / link).exists()] == []
    assert len(README.splitlines()) <= 85


def test_the_readme_maps_every_notebook() -> None:
    assert [path.stem for path in sorted(course.NOTEBOOKS.glob("*.ipynb")) if f"`{path.stem}`" not in README] == []
