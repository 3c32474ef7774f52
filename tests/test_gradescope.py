"""The autograder for Gradescope: its zip is unpacked as Gradescope does it, and its `run_autograder` is run on submissions."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workbook import course
from workbook.cli import main
from workbook.grading import sandbox
from workbook.grading.gradescope import CONFIG, REQUIREMENTS, uploaded, uploader
from workbook.grading.submission import Unreadable, pack
from workbook.specs import specs
from workbook.specs.stubs import topic_source

TOPICS = ("warmup", "padding")
SEED = 7_349_113_052_208_513
SPECS = specs(TOPICS)
POINTS = sum(spec.points for spec in SPECS)
RIGHT = {topic: (course.SOLUTIONS / f"{topic}.py").read_bytes() for topic in TOPICS}
#: Prints, tries to tell the seed, and ends its process when it is called.
HOSTILE = """
import glob, os
from workbook import exercise
print("SHOUTED", flush=True)
os.write(1, b"SHOUTED")
told = [open(path).read() for path in glob.glob({pattern!r})]
def additive_mask(*arguments): raise ValueError(f"TOLD {{told}}")
def padding_mask(*arguments): os._exit(0)
def masked_mean(*arguments):
    with open({results!r}, "w") as file:
        file.write('{{"score": 1000}}')
"""


class Ran(NamedTuple):
    results: dict[str, Any]
    out: str
    imported: set[str]

    @property
    def passed(self) -> set[str]:
        return {test["name"].split()[0] for test in self.results["tests"] if test["status"] == "passed"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upload") / "autograder.zip"
    topics = [word for topic in TOPICS for word in ("--topic", topic)]
    assert main(["gradescope", "--out", str(path), "--seed", str(SEED), *topics]) == 0
    return path


@pytest.fixture
def root(archive: Path, tmp_path: Path) -> Path:
    """The folders that Gradescope makes; the autograder runs with the interpreter of this test."""
    root = tmp_path / "autograder"
    (root / "submission").mkdir(parents=True)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(archive), str(root / "source")], check=True)
    shutil.copy(root / "source" / "run_autograder", root)
    (root / "run_autograder").chmod(0o755)
    (root / "submission_metadata.json").write_text(json.dumps({"users": [{"name": "Ada Lovelace"}]}))
    return root


@pytest.fixture
def run(root: Path) -> Callable[..., Ran]:
    """Run the autograder in a clean environment."""

    def run(path: str = os.defpath) -> Ran:
        python = root / "python"  # notes on the side what is imported
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -X importtime "$@" 2> "{root}/imports"\n')
        python.chmod(0o755)
        ran = subprocess.run(
            [root / "run_autograder"],
            cwd=root,
            env={"PATH": path, "AUTOGRADER_ROOT": str(root), "AUTOGRADER_PYTHON": str(python), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
            timeout=240,
        )
        said = (root / "imports").read_text()
        assert ran.returncode == 0, said[-2000:]
        assert json.loads((root / "source" / CONFIG).read_text()) == {"seed": SEED, "topics": list(TOPICS)}
        text = (root / "results" / "results.json").read_text(encoding="utf-8")
        assert str(SEED) not in text + ran.stdout
        results = json.loads(text)
        assert results["stdout_visibility"] == "hidden"
        assert sum(test["max_score"] for test in results["tests"]) in (0, POINTS)
        assert sum(test["score"] for test in results["tests"]) == results["score"]
        return Ran(results, ran.stdout, set(re.findall(r"\| +([\w]+)(?:\.\S+)?$", said, re.MULTILINE)))

    return run


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def installed(names: tuple[str, ...]) -> set[str]:
    """Return the distributions that pip installs for ``names``."""
    found: set[str] = set()
    wanted = list(names)
    while wanted:
        name = canonicalize_name(wanted.pop())
        if name in found:
            continue
        try:
            requirements = map(Requirement, importlib.metadata.requires(name) or ())
        except importlib.metadata.PackageNotFoundError:
            continue  # a part of CUDA
        found.add(name)
        wanted += [item.name for item in requirements if item.marker is None or item.marker.evaluate({"extra": ""})]
    return found


def assert_setup_installs(imported: set[str]) -> None:
    owners = importlib.metadata.packages_distributions()
    there = installed(("torch", *REQUIREMENTS))
    others = {name for name in imported if name not in sys.stdlib_module_names and name in owners}
    assert {"torch", "numpy"} <= others
    missing = {name for name in others if not there & set(map(canonicalize_name, owners[name]))}
    assert missing - {"workbook", "tqdm"} == set()  # torch takes tqdm where it is there, and does without


# Its run


def test_what_workbook_submit_makes_gets_its_points(run: Callable[..., Ran], root: Path, tmp_path: Path) -> None:
    (tmp_path / "ada.zip").write_bytes(pack("someone else", RIGHT))
    with zipfile.ZipFile(tmp_path / "ada.zip") as submission:
        submission.extractall(root / "submission")  # as Gradescope does
    ran = run()
    assert ran.results["score"] == POINTS
    assert ran.passed == {spec.name for spec in SPECS}
    assert ran.out.startswith("Ada Lovelace: graded; imports to look at: none\n") or sandbox.why_not() is not None
    assert_setup_installs(ran.imported)


def test_hostile_and_wrong_answers_without_a_sandbox(run: Callable[..., Ran], root: Path) -> None:
    """Gradescope's containers may have no sandbox; here there is none, since no program is on the path."""
    wrong = b"from workbook import exercise\n@exercise\ndef invert_mask(mask):\n    return mask\n"
    right = b"\n".join(line for line in RIGHT["padding"].splitlines() if not line.startswith(b"from workbook"))
    pattern, results = f"{root}/source/*.json", str(root / "results" / "results.json")
    hostile = right.replace(b"@exercise\n", b"") + HOSTILE.format(pattern=pattern, results=results).encode()
    write(root / "submission", {"homework/exercises/padding.py": hostile, "homework/warmup.txt": wrong})
    write(root / "submission" / "homework" / "exercises", {"warmup.py": wrong})
    ran = run(path="/nonexistent")
    spoiled = {"warmup.invert_mask", "padding.padding_mask", "padding.additive_mask", "padding.masked_mean"}
    assert ran.passed == {spec.name for spec in SPECS} - spoiled
    assert "TOLD []" in json.dumps(ran.results)
    assert "SHOUTED" not in ran.out + json.dumps(ran.results)
    assert "without a sandbox. bubblewrap is not installed" in ran.out
    assert "Ada Lovelace: graded; imports to look at: glob, os\n" in ran.out
    assert "sandbox" not in json.dumps(ran.results)
    assert_setup_installs(ran.imported)


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "no topic file in it; hand in the zip that `workbook submit` makes"),
        ({"exercises/padding.py": b"\xff", "manifest.json": b"{}"}, "padding.py is not UTF-8"),
    ],
    ids=["empty", "unreadable"],
)
def test_what_cannot_be_read_gets_a_reason_and_no_points(
    run: Callable[..., Ran], root: Path, files: dict[str, bytes], reason: str
) -> None:
    write(root / "submission", files)
    (root / "submission_metadata.json").unlink()
    ran = run()
    assert (ran.results["score"], ran.results["tests"]) == (0, [])
    assert reason in ran.results["output"]
    assert ran.out.startswith("unknown: unreadable: ")


# What students upload


@pytest.mark.parametrize(
    "room", ["", "exercises", "workbook/exercises", "homework", "homework/exercises", "ada/workbook/exercises"]
)
def test_topic_files_are_found(tmp_path: Path, room: str) -> None:
    write(tmp_path / room, {f"{topic}.py": data for topic, data in RIGHT.items()})
    write(tmp_path, {"__MACOSX/exercises/padding.py": b"1/0", ".git/padding.py": b"1/0", "notes.txt": b""})
    submission = uploaded(tmp_path, "Ada")
    assert (submission.name, submission.student, submission.files) == ("submission", "Ada", RIGHT)


def test_a_zip_that_was_not_unpacked_is_read(tmp_path: Path) -> None:
    (tmp_path / "any.zip").write_bytes(pack("someone else", RIGHT))
    submission = uploaded(tmp_path, "Ada")
    assert (submission.student, submission.files) == ("Ada", RIGHT)


def test_two_folders_with_topic_files_are_not_guessed_between(tmp_path: Path) -> None:
    write(tmp_path, {"padding.py": b"", "exercises/padding.py": b""})
    with pytest.raises(Unreadable, match=r"^topic files lie in \. and exercises; hand in one of these folders$"):
        uploaded(tmp_path, "Ada")


def test_no_link_leads_out_of_a_submission(tmp_path: Path) -> None:
    write(tmp_path / "grader" / "exercises", {f"{topic}.py": data for topic, data in RIGHT.items()})
    for name, target in {"exercises": "grader/exercises", "workbook": "grader", "homework": "grader"}.items():
        folder = tmp_path / f"by-{name}"
        folder.mkdir()
        (folder / name).symlink_to(tmp_path / target, target_is_directory=True)
        with pytest.raises(Unreadable, match="no topic file"):
            uploaded(folder, "Ada")
    folder = tmp_path / "by-file"
    folder.mkdir()
    (folder / "padding.py").symlink_to(tmp_path / "grader" / "exercises" / "padding.py")
    with pytest.raises(Unreadable, match="no plain file"):
        uploaded(folder, "Ada")


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"users": [{"name": "Ada Lovelace", "email": "ada@example.org"}]}, "Ada Lovelace"),
        ({"users": [{"name": "Ada"}, {"name": "Грейс"}]}, "Ada, Грейс"),
        ({"users": [{"name": "A\x1b[31m\n"}]}, "A?[31m?"),
        ({"users": [{"name": "A" * 999}]}, "A" * 200),
        ({"users": []}, "unknown"),
        ({"users": [{}]}, "unknown"),
        ({"users": 1}, "unknown"),
        ([], "unknown"),
    ],
)
def test_who_hands_in_is_what_gradescope_says(tmp_path: Path, metadata: Any, expected: str) -> None:
    path = tmp_path / "submission_metadata.json"
    path.write_text(json.dumps(metadata))
    assert uploader(path) == expected


def test_without_metadata_nobody_is_named(tmp_path: Path) -> None:
    assert uploader(tmp_path / "nowhere.json") == "unknown"
    (tmp_path / "broken.json").write_bytes(b"\xff{")
    assert uploader(tmp_path / "broken.json") == "unknown"


# Its zip


def test_the_zip_holds_the_package_and_neither_solutions_nor_tests(archive: Path) -> None:
    with zipfile.ZipFile(archive) as upload:
        names = set(upload.namelist())
        modes = {entry.filename: entry.external_attr >> 16 & 0o777 for entry in upload.infolist()}
        untouched = {topic: upload.read(f"workbook/exercises/{topic}.py").decode() for topic in course.TOPICS}
    assert {name for name in names if not name.startswith("workbook/")} == {
        *("setup.sh", "run_autograder", CONFIG, "constraints.txt")
    }
    assert {"workbook/grading/gradescope.py", "workbook/specs/padding.py"} <= names
    assert modes["run_autograder"] == modes["setup.sh"] == 0o755
    assert untouched == {topic: topic_source(topic) for topic in course.TOPICS}


def test_the_seed_is_secret_unless_it_is_given(tmp_path: Path) -> None:
    seeds = set()
    for name in ("first.zip", "second.zip"):
        assert main(["gradescope", "--out", str(tmp_path / name)]) == 0
        with zipfile.ZipFile(tmp_path / name) as upload:
            config = json.loads(upload.read(CONFIG))
        assert config["topics"] == []
        seeds.add(config["seed"])
    assert len(seeds) == 2


def test_only_an_autograder_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "autograder.zip"
    assert main(["gradescope", "--out", str(path), "--topic", "warmup", "--seed", "1"]) == 0
    first = path.read_bytes()
    assert main(["gradescope", "--out", str(path), "--topic", "warmup", "--seed", "1"]) == 0
    assert path.read_bytes() == first
    assert capsys.readouterr().out.splitlines()[-1] == f"{path} is ready to upload: 1 function, 1 point (seed 1)"
    (tmp_path / "thesis.zip").write_bytes(pack("Ada", RIGHT))
    (tmp_path / "thesis.txt").write_text("years")
    for out, reason in {
        "thesis.zip": "is there and is no autograder; it is not overwritten",
        "thesis.txt": "is there and is no autograder; it is not overwritten",
        ".": "is a folder; --out is the zip file to write",
        "nowhere/autograder.zip": "is not there; autograder.zip would be written into it",
    }.items():
        assert main(["gradescope", "--out", str(tmp_path / out)]) == 2
        out_, err = capsys.readouterr()
        assert (out_, err.count("\n")) == ("", 1)
        assert reason in err
    assert main(["gradescope", "--out", str(path), "--topic", "paddin"]) == 2
    assert "did you mean 'padding'?" in capsys.readouterr().err
    assert path.read_bytes() == first
    assert (tmp_path / "thesis.txt").read_text() == "years"


def test_an_installed_package_alone_makes_no_autograder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(course, "PROJECT", tmp_path)
    assert main(["gradescope", "--out", str(tmp_path / "a.zip")]) == 2
    assert f"{tmp_path / 'constraints.txt'} is not there" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


# Its setup


@pytest.mark.parametrize("bubblewrap", [True, False])
def test_setup_installs_what_is_pinned(root: Path, tmp_path: Path, bubblewrap: bool) -> None:
    tools = tmp_path / "tools"
    write(
        tools,
        {
            "apt-get": f'#!/bin/sh\necho apt-get "$@" >> calls\n[ "$1" = update ] || exit {int(not bubblewrap)}\n'.encode(),
            "python3.11": b'#!/bin/sh\necho python "$@" >> calls\nexit 1\n',
            "python3.12": b"#!/bin/sh\n"
            b'if [ "$2" = venv ]; then mkdir -p .venv/bin; cp "$0" .venv/bin/python; fi\necho python "$@" >> calls\n',
        },
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    ran = subprocess.run(
        ["bash", "setup.sh"],
        cwd=root / "source",
        env={"PATH": f"{tools}{os.pathsep}{os.defpath}", "AUTOGRADER_ROOT": str(root)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ("no bubblewrap here" in ran.stdout) != bubblewrap
    assert (root / "source" / CONFIG).stat().st_mode & 0o777 == 0o600
    calls = (root / "source" / "calls").read_text().splitlines()
    pip = "python -m pip install --quiet --constraint constraints.txt"
    (torch,) = re.findall(r"^torch==.*", (course.PROJECT / "constraints.txt").read_text(), re.MULTILINE)
    assert [call for call in calls if " -m pip " in call] == [
        f"{pip} --upgrade pip",
        f"{pip} {torch}",
        f"{pip} {' '.join(REQUIREMENTS)}",
    ]
    assert calls[1] == "apt-get install -qq --no-install-recommends bubblewrap libseccomp2"
    assert calls[-1].startswith("python -c import workbook.grading.gradescope")


def test_what_setup_installs_is_declared_and_pinned() -> None:
    pinned = {
        canonicalize_name(line.partition("==")[0])
        for line in (course.PROJECT / "constraints.txt").read_text().splitlines()
        if "==" in line
    }
    project = tomllib.loads((course.PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}
    assert set(map(canonicalize_name, REQUIREMENTS)) <= pinned & declared


def test_another_index_serves_torch_alone_and_cannot_slip_a_command_in(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    assert main(["gradescope", "--out", str(path), "--torch-index", "https://example.org/cpu; rm -r '/'"]) == 0
    with zipfile.ZipFile(path) as upload:
        lines = [line for line in upload.read("setup.sh").decode().splitlines() if "--index-url" in line]
    assert len(lines) == 1
    assert re.fullmatch(
        r"install torch==[\d.]+ --index-url 'https://example\.org/cpu; rm -r '\"'\"'/'\"'\"''", lines[0]
    )
