"""The learner's edition: it works by itself, and nothing of the instructor's is in it."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from workbook import course
from workbook.cli import main
from workbook.release import EDITION, FILES, edition, package
from workbook.specs import specs
from workbook.specs.stubs import topic_source

SECRET = "the-instructors-own-attempt"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course in which an instructor has worked: everything marked SECRET is theirs."""
    root = tmp_path_factory.mktemp("instructor") / "project"
    ignore = shutil.ignore_patterns("__pycache__", ".*", "*.kept-*")
    for room in ("workbook", "notebooks", "docs", "solutions"):
        shutil.copytree(course.PROJECT / room, root / room, ignore=ignore)
    for name in FILES:
        shutil.copy(course.PROJECT / name, root)
    for topic in course.TOPICS:
        with (root / "workbook" / "exercises" / f"{topic}.py").open("a") as file:
            file.write(f"# {SECRET}\n")
    for name in (
        "workbook/exercises/mine.py",
        "workbook/exercises/padding.kept-1.py",
        "workbook/hints/hints.kept-1.py",
        "workbook/specs/__pycache__/secret.py",
        "workbook/.secret/secret.py",
        "workbook/notes.txt",
        "notebooks/.ipynb_checkpoints/01-checkpoint.ipynb",
        "notebooks/marks.csv",
        "docs/marks.csv",
        "grades/gradebook.csv",
        "submissions/ada.zip",
        "tests/test_secret.py",
        ".git/config",
        ".venv/secret.py",
        ".workbook.toml",
        "submission-Ada.zip",
        "autograder.zip",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(SECRET)
    return root


@pytest.fixture
def instructor(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(course, "PROJECT", project)
    monkeypatch.setattr(course, "PACKAGE", project / "workbook")
    monkeypatch.setattr(course, "EXERCISES", project / "workbook" / "exercises")
    monkeypatch.setattr(course, "NOTEBOOKS", project / "notebooks")
    return project


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command and return the one sentence with which it refuses."""

    def run(*arguments: str | Path) -> str:
        capsys.readouterr()
        assert main([str(argument) for argument in arguments]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("workbook: ")
        return err

    return run


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def squeezed(text: str) -> str:
    """Return ``text`` without line ends, indents and the quotes of JSON, which is how a notebook holds code."""
    return re.sub(r'(\\n|[\s",\\])+', " ", text).strip()


# What is in it


def test_nothing_of_the_instructors_is_in_it(instructor: Path, tmp_path: Path) -> None:
    assert main(["release", "--out", str(tmp_path / "edition")]) == 0
    files = files_below(tmp_path / "edition")
    assert [name for name, data in files.items() if SECRET.encode() in data] == []
    assert {name.partition("/")[0] for name in files} == {*FILES, EDITION, "workbook", "notebooks", "docs"}
    assert {name: files[name].decode() for name in files if name.startswith("workbook/exercises/")} == {
        "workbook/exercises/__init__.py": (course.EXERCISES / "__init__.py").read_text(),
        **{f"workbook/exercises/{topic}.py": topic_source(topic) for topic in course.TOPICS},
    }


def test_no_solution_stands_in_it_anywhere() -> None:
    text = squeezed(b"\n".join(edition().values()).decode(errors="replace"))
    graded = {spec.name for spec in specs()}
    found = set()
    for path in course.SOLUTIONS.glob("*.py"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.parse("\n".join(lines)).body:
            if isinstance(node, ast.FunctionDef):
                first = node.body[1 if ast.get_docstring(node) else 0]
                body = lines[first.lineno - 1 : node.end_lineno]
                if len(body) > 2 and squeezed("\n".join(body)) in text:
                    found.add(f"{path.stem}.{node.name}")
    assert "capstone.attention" in found  # given code: the search finds what is there
    assert found & graded == set()


def test_the_package_is_whole(instructor: Path) -> None:
    real = Path(sys.modules["workbook"].__file__ or "").parent
    there = {
        f"workbook/{path.relative_to(real).as_posix()}"
        for path in real.rglob("*")
        if path.is_file() and path.suffix != ".pyc" and ".kept-" not in path.name
    }
    assert set(package()) == there


def test_notebooks_are_as_they_are_kept_but_for_verdicts() -> None:
    files = edition()
    for path in course.NOTEBOOKS.glob("*.ipynb"):
        kept, learners = json.loads(path.read_bytes()), json.loads(files[f"notebooks/{path.name}"])
        verdicts = 0
        for ours, theirs in zip(kept["cells"], learners["cells"], strict=True):
            if ours != theirs:
                verdicts += 1
                assert re.match(r"(check|progress)\(", "".join(ours["source"]))
                assert "nbval-ignore-output" in ours["metadata"]["tags"]
                assert (theirs["outputs"], theirs["execution_count"]) == ([], None)
                assert {**ours, "outputs": [], "execution_count": None} == theirs
        assert verdicts >= 2
        assert {**kept, "cells": []} == {**learners, "cells": []}
        shown = json.dumps([cell.get("outputs") for cell in learners["cells"]], ensure_ascii=False)
        assert not re.search(r"✓ \w+\.\w+ {3}\d", shown)


def test_readme_and_makefile_name_nothing_that_is_not_there(tmp_path: Path) -> None:
    files = edition()
    readme, makefile = files["README.md"].decode(), files["Makefile"].decode()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert (
        targets
        == {"help", "setup", "lab", "models", "test"}
        == set(re.findall(r"^\.PHONY: (.*)", makefile, re.M)[0].split())
    )
    assert set(re.findall(r"\bmake ([a-z-]+)", readme.replace("`make` ", ""))) <= targets
    assert not re.search(
        r"workbook (grade|release|gradescope)|solutions|tests/|nbval", readme + makefile.replace("nbconvert", "")
    )
    links = re.findall(r"\]\((?!https?:)([^)#]+)", readme)
    assert links
    assert set(links) <= set(files)
    (tmp_path / "Makefile").write_text(makefile)
    if shutil.which("make") is not None:
        # By itself, whatever make runs the tests.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        command = ["make", "-n", "-o", ".venv/.ready", "test"]
        ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert ran.stdout == ".venv/bin/workbook notebooks --device auto\n"


# It works by itself

SESSION = """
import os, sys
import workbook
from workbook.cli import main
print("package", workbook.__file__)
for command in (["check", "warmup"], ["status"], ["hint", "invert_mask"], ["submit", "--student", "Ada"], ["check", "warmup"],
                ["notebooks", "--solved"]):
    if command[0] == "submit":
        with open(sys.argv[1], "w") as file:
            file.write("from workbook import exercise\\n@exercise\\ndef invert_mask(mask):\\n    return ~mask\\n")
    print("code", main(command), *command)
os.environ["WORKBOOK_IMPLEMENTATION"] = "solutions"
print("code", main(["check", "warmup"]), "solutions")
"""


def test_it_works_by_itself(instructor: Path, tmp_path: Path) -> None:
    folder = tmp_path / "edition"
    assert main(["release", "--out", str(folder)]) == 0
    here = tmp_path / "here"
    here.mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WORKBOOK_")}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", SESSION, folder / "workbook" / "exercises" / "warmup.py"],
        cwd=here,
        env={**environment, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = ran.stdout.splitlines()
    assert lines[0] == f"package {folder / 'workbook' / '__init__.py'}"
    assert [line for line in lines if line.startswith("code ")] == [
        "code 1 check warmup",
        "code 0 status",
        "code 0 hint invert_mask",
        "code 0 submit --student Ada",
        "code 0 check warmup",
        "code 2 notebooks --solved",
        "code 2 solutions",
    ]
    assert "0 of 1 passed, 0 of 1 point" in lines
    assert "1 of 1 passed, 1 of 1 point" in lines
    assert ran.stderr.splitlines() == [
        f"workbook: {folder}/solutions is not there, and --solved needs it",
        f"workbook: WORKBOOK_IMPLEMENTATION is 'solutions', and {folder}/solutions is not there",
    ]
    with zipfile.ZipFile(here / "submission-Ada.zip") as archive:
        assert b"return ~mask" in archive.read("exercises/warmup.py")


def test_help_tells_that_the_references_are_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert re.search(r"gradescope +Make the autograder.*\n.*release +Make the edition", capsys.readouterr().out)
    assert main(["release", "--help"]) == 0
    assert "references are in it" in " ".join(capsys.readouterr().out.split())


# Where it is written


def test_the_zip_holds_the_folder(instructor: Path, tmp_path: Path) -> None:
    assert main(["release", "--out", str(tmp_path / "course"), "--zip"]) == 0
    first = (tmp_path / "course.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "course.zip") as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    assert held == {f"course/{name}": data for name, data in files_below(tmp_path / "course").items()}
    assert main(["release", "--out", str(tmp_path / "course"), "--zip"]) == 0
    assert (tmp_path / "course.zip").read_bytes() == first


def test_an_edition_is_made_anew_and_what_is_no_longer_in_it_goes(
    instructor: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "edition"
    assert main(["release", "--out", str(folder)]) == 0
    (folder / "theirs.txt").write_text("kept")
    (folder / "README.md").unlink()
    manifest = json.loads((folder / EDITION).read_text())
    old = folder / "notebooks" / "old.ipynb"
    old.write_text("{}")
    manifest["files"]["notebooks/old.ipynb"] = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
    (folder / EDITION).write_text(json.dumps(manifest))
    assert main(["release", "--out", str(folder)]) == 0
    assert not old.exists()
    assert (folder / "README.md").exists()
    assert (folder / "theirs.txt").read_text() == "kept"


def test_it_never_overwrites_what_it_did_not_make(
    instructor: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years")
    other = {"course": "another", "files": {}}
    outside = {"course": course.COURSE, "files": {"../thesis.txt": ""}}
    for marker in (None, "", "[]", "{}", '{"files": 1}', json.dumps(other), json.dumps(outside)):
        if marker is not None:
            (folder / EDITION).write_text(marker)
        before = files_below(tmp_path)
        assert f"{folder} is not empty and no edition of the course" in refused("release", "--out", folder)
        assert files_below(tmp_path) == before
    assert f"{folder / 'thesis.txt'} is a file" in refused("release", "--out", folder / "thesis.txt")
    assert "lies inside what is released" in refused("release", "--out", course.NOTEBOOKS / "edition")
    assert "is not empty" in refused("release", "--out", instructor)
    assert "cannot be written" in refused("release", "--out", folder / "thesis.txt" / "edition")


def test_what_was_changed_in_an_edition_is_not_lost(
    instructor: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    folder = tmp_path / "edition"
    assert main(["release", "--out", str(folder)]) == 0
    answer = folder / "workbook" / "exercises" / "padding.py"
    answer.write_text("my answer")
    before = files_below(folder)
    assert f"{answer} was changed since the edition was made" in refused("release", "--out", folder)
    assert files_below(folder) == before


def test_a_zip_of_something_else_is_not_overwritten(
    instructor: Path, tmp_path: Path, refused: Callable[..., str]
) -> None:
    for data in (b"text", b""):
        (tmp_path / "course.zip").write_bytes(data)
        assert "course.zip is there and is no edition" in refused("release", "--out", tmp_path / "course", "--zip")
    with zipfile.ZipFile(tmp_path / "course.zip", "w") as archive:
        archive.writestr("thesis.txt", "years")
    assert "course.zip is there and is no edition" in refused("release", "--out", tmp_path / "course", "--zip")
    assert not (tmp_path / "course").exists()


def test_an_installed_package_alone_makes_no_edition(
    instructor: Path, tmp_path: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "PROJECT", tmp_path)
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path / "notebooks")
    assert f"{tmp_path / 'notebooks'} is not there" in refused("release", "--out", tmp_path / "edition")
    assert list(tmp_path.iterdir()) == []
