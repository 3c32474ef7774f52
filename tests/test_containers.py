"""The dev container and Binder start what is there."""

import json
import re

import yaml  # type: ignore[import-untyped]

from workbook import course

CONTAINER = json.loads((course.PROJECT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
MAKEFILE = (course.PROJECT / "Makefile").read_text(encoding="utf-8")


def test_the_container_is_a_public_image_with_a_python_that_the_course_accepts() -> None:
    image = re.fullmatch(r"mcr\.microsoft\.com/devcontainers/python:3\.(\d+)-\w+", CONTAINER["image"])
    assert image is not None
    assert int(image[1]) >= 11


def test_the_container_is_made_by_make_setup_with_the_programs_that_the_tests_use() -> None:
    # Not "&&": without the sandbox and the browser the course still runs.
    *install, setup = CONTAINER["postCreateCommand"].split("; ")
    program, target = setup.split()
    assert program == "make"
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
    packages = {word for word in install[-1].split() if not word.startswith("--")} - {"sudo", "apt-get", "install"}
    assert packages == {"bubblewrap", "chromium", "libseccomp2"}
    in_ci = (course.PROJECT / ".ci" / "run").read_text(encoding="utf-8")
    assert [package for package in packages if package not in in_ci] == []


def test_the_container_uses_the_environment_that_make_setup_makes() -> None:
    (folder,) = re.findall(r"^VENV := (.*)$", MAKEFILE, re.MULTILINE)
    place = f"${{containerWorkspaceFolder}}/{folder}/bin"
    assert CONTAINER["customizations"]["vscode"]["settings"] == {"python.defaultInterpreterPath": f"{place}/python"}
    assert CONTAINER["remoteEnv"]["PATH"].split(":")[0] == place


def test_the_container_hands_on_the_port_of_jupyterlab() -> None:
    assert CONTAINER["forwardPorts"] == [8888]  # JupyterLab's own
    label = CONTAINER["portsAttributes"]["8888"]["label"]
    (command,) = re.findall(r"\((.*)\)", label)
    assert command == "make lab ARGS=--no-browser"
    assert "lab $(ARGS)" in MAKEFILE


def test_binder_installs_the_course_and_opens_its_first_notebook() -> None:
    environment = yaml.safe_load((course.PROJECT / "environment.yml").read_text(encoding="utf-8"))
    assert "-e .[dev]" in environment["dependencies"][-1]["pip"]
    readme = (course.PROJECT / "README.md").read_text(encoding="utf-8")
    opened = re.findall(r"lab/tree/([\w/.-]+\.ipynb)", readme)
    assert opened, "the README tells how to open the course on Binder"
    assert set(opened) == {f"{course.NOTEBOOKS.name}/00_start_here.ipynb"}
