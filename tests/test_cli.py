"""The command `workbook`: what it prints, what it writes, and its exit codes 0, 1 and 2."""

import ast
import contextlib
import csv
import json
import os
import pty
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from workbook import course
from workbook.cli import main
from workbook.grading import sandbox
from workbook.grading.judge import examination
from workbook.grading.submission import pack
from workbook.reset import replace_function
from workbook.specs import specs
from workbook.specs.stubs import function_source, topic_source

MASKED_MEAN = "padding.masked_mean"
FUNCTIONS = [spec.name for spec in specs()]
ISOLATION = "sandbox" if sandbox.why_not() is None else "processes"


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Workbook = Callable[..., Ran]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of its own with untouched exercises; the current folder is another one, which is empty."""
    root = tmp_path / "project"
    exercises = root / "workbook" / "exercises"
    exercises.mkdir(parents=True)
    for topic in course.TOPICS:
        (exercises / f"{topic}.py").write_text(topic_source(topic), encoding="utf-8")
    shutil.copytree(course.SOLUTIONS, root / "solutions", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "notebooks").mkdir()
    monkeypatch.setattr(course, "PROJECT", root)
    monkeypatch.setattr(course, "EXERCISES", exercises)
    monkeypatch.setattr(course, "SOLUTIONS", root / "solutions")
    monkeypatch.setattr(course, "NOTEBOOKS", root / "notebooks")
    for variable in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE", "JUPYTER_CONFIG_PATH"):
        monkeypatch.delenv(variable, raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return root


@pytest.fixture
def workbook(project: Path, capsys: pytest.CaptureFixture[str]) -> Workbook:
    """Run the command in this process, in a project of its own."""

    def run(*arguments: str | Path) -> Ran:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(code, *capsys.readouterr())

    return run


def outside(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run the installed command as a user does."""
    command = [str(Path(sys.executable).with_name("workbook")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, **options)


def files_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def solve(project: Path, *topics: str) -> None:
    for topic in topics:
        shutil.copy(course.SOLUTIONS / f"{topic}.py", course.EXERCISES / f"{topic}.py")


def with_solution(function: str) -> bytes:
    """Return the learner's padding.py with one function solved."""
    answer = ast.parse((course.SOLUTIONS / "padding.py").read_bytes())
    (body,) = [node for node in answer.body if isinstance(node, ast.FunctionDef) and node.name == function]
    return replace_function(topic_source("padding").encode(), function, "@exercise\n" + ast.unparse(body), "", "")


# What every command has in common


def test_help_names_every_command_and_nothing_means_wrong_usage(workbook: Workbook) -> None:
    ran = workbook("--help")
    assert (ran.code, ran.err) == (0, "")
    for command in ("lab", "check", "status", "hint", "reset", "submit", "grade", "notebooks"):
        assert command in ran.out
        assert workbook(command, "--help").code == 0
    assert (workbook().code, workbook().out) == (2, "")
    assert "Usage: workbook" in workbook().err


def test_version(workbook: Workbook) -> None:
    assert workbook("--version") == (0, f"workbook {course.VERSION}\n", "")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("nope", "No such command 'nope'"),
        ("check --nope", "No such option: --nope"),
        ("check nope", "there is no exercise 'nope'"),
        ("check --watch nope", "there is no exercise 'nope'"),
        ("check padding.paddin_mask", "did you mean padding.padding_mask"),
        ("check warmup padding.nope", "there is no exercise 'padding.nope'"),
        ("status padding", "padding"),
        ("hint", "Missing argument"),
        ("hint nope", "there is no exercise 'nope'"),
        ("hint padding", "'padding' is a topic; name one of its functions, such as padding.padding_mask"),
        ("hint padding_mask --level 0", "'--level'"),
        ("hint padding_mask --level 4", "'--level'"),
        ("hint padding_mask --level two", "'--level'"),
        ("reset", "Missing argument"),
        ("reset nope", "there is no exercise 'nope'"),
        ("submit", "who submits? Give --student NAME"),
        ("submit --student=", "the student's name is empty"),
        ("submit --student A\x1b[31mB", "holds a character that cannot be printed"),
        ("submit --student Ada --out nowhere/ada.zip", "the folder nowhere is not there"),
        ("submit --student Ada --out .", ". is a folder"),
        ("submit --student Ada --out text", "text is there and is no submission; it is not overwritten"),
        ("grade", "Missing argument"),
        ("grade text", "Missing option '--out'"),
        ("grade nowhere --out grades", "nowhere is not there"),
        ("grade text nowhere.zip --out grades", "nowhere.zip is not there"),
        ("grade empty --out grades", "empty is a folder without a submission"),
        ("grade text --out text", "text is a file; --out is the folder for the grades"),
        ("grade text --out text/grades", "the folder text/grades cannot be made"),
        ("grade text --out grades --topic paddin", "there is no topic 'paddin'; did you mean 'padding'?"),
        ("grade text --out grades --topic padding.masked_mean", "there is no topic 'padding.masked_mean'"),
        ("grade text --out grades --seed x", "'--seed'"),
        ("grade text --out grades --seed -1", "'--seed'"),
        ("grade text --out grades --jobs 0", "'--jobs'"),
        ("grade text --out grades --cases 5", "'--cases'"),
        ("grade text --out grades --jobs 2 --dask tcp://127.0.0.1:1", "--jobs is for this machine"),
        ("grade text --out grades --dask nonsense://x", "there is no Dask scheduler at nonsense://x"),
        ("notebooks --device gpu", "'gpu' is not one of 'cpu', 'cuda', 'mps', 'auto'"),
    ],
)
def test_wrong_usage_is_one_sentence_and_nothing_is_written(
    workbook: Workbook, tmp_path: Path, arguments: str, sentence: str
) -> None:
    Path("text").write_text("hello")
    Path("empty").mkdir()
    before = files_below(tmp_path)
    ran = workbook(*arguments.split(" "))
    assert (ran.code, ran.out) == (2, "")
    assert sentence in ran.err
    assert ran.err.startswith("workbook: ")
    assert ran.err.count("\n") == 1
    assert files_below(tmp_path) == before
    assert not Path("grades").exists()


@pytest.mark.parametrize(
    "arguments", [["check", "nope"], ["grade", "/nowhere", "--out", "x"], ["submit", "--out", "/"]]
)
def test_the_installed_command_shows_no_traceback(arguments: list[str], tmp_path: Path) -> None:
    ran = outside(*arguments, cwd=tmp_path)
    assert (ran.returncode, ran.stdout, ran.stderr.count("\n")) == (2, "", 1)
    assert "Traceback" not in ran.stderr
    assert not list(tmp_path.iterdir())


def test_help_waits_for_no_heavy_library() -> None:
    code = "import sys; from workbook.cli import main; main(['--help']); print(sorted(sys.modules), file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(ran.stderr)
    assert "typer" in loaded
    assert not {"torch", "numpy", "matplotlib", "ipywidgets", "transformers", "IPython"} & set(loaded)


# lab


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What the process would have turned into."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def execve(path: str, arguments: Sequence[str], environment: dict[str, str]) -> None:
        calls.append((list(arguments), environment))
        raise SystemExit(0)

    monkeypatch.setattr(os, "execve", execve)
    return calls


def test_lab_opens_the_first_notebook_and_hands_every_argument_on(
    workbook: Workbook, project: Path, became: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "notebooks" / "00_start_here.ipynb").touch()
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", "/mine")
    with pytest.raises(SystemExit):
        workbook("lab", "--no-browser", "--port=1234", "-y", "word")
    ((command, environment),) = became
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb" in command
    assert f"--ServerApp.root_dir={project}" in command
    assert command[-4:] == ["--no-browser", "--port=1234", "-y", "word"]
    assert Path.cwd() == project
    ours, theirs = environment["JUPYTER_CONFIG_PATH"].split(os.pathsep)
    assert theirs == "/mine"
    defaults = json.loads((Path(ours) / "labconfig" / "default_setting_overrides.json").read_text())
    assert defaults["@jupyterlab/apputils-extension:notification"]["fetchNews"] == "false"
    # A widget answers between cells, not in a thread of its own while one runs.
    assert defaults["@jupyterlab/apputils-extension:kernels-settings"]["commsOverSubshells"] == "disabled"


def test_a_terminal_in_jupyterlab_is_no_login_shell(
    workbook: Workbook, became: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile would take away the PATH on which `workbook` stands."""
    monkeypatch.setenv("SHELL", "/bin/zsh")
    with pytest.raises(SystemExit):
        workbook("lab")
    ((command, environment),) = became
    assert "--ServerApp.terminado_settings={'shell_command': ['/bin/zsh']}" in command
    assert environment["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)


@pytest.mark.parametrize(("user", "allowed"), [(0, True), (1000, False)])
def test_lab_runs_as_root_only_for_root(
    workbook: Workbook, became: list[Any], monkeypatch: pytest.MonkeyPatch, user: int, allowed: bool
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    with pytest.raises(SystemExit):
        workbook("lab")
    assert ("--allow-root" in became[0][0]) == allowed


# check and status


def test_check_passes_the_solutions_and_no_stub(workbook: Workbook, project: Path) -> None:
    solve(project, "warmup")
    assert workbook("check", "warmup").code == 0
    assert workbook("check", "invert_mask").code == 0
    ran = workbook("check")
    assert ran.code == 1
    assert f"1 of {len(FUNCTIONS)} passed" in ran.out
    for name in FUNCTIONS:
        assert name in ran.out
    solve(project, *course.TOPICS)
    ran = workbook("check")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1].startswith(f"{len(FUNCTIONS)} of {len(FUNCTIONS)} passed, ")
    assert "\x1b" not in ran.out


def test_check_takes_functions_and_topics_together(workbook: Workbook, project: Path) -> None:
    (course.EXERCISES / "padding.py").write_bytes(with_solution("masked_mean"))
    ran = workbook("check", "warmup", "masked_mean")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("1 of 2 passed, ")
    assert workbook("check", MASKED_MEAN).code == 0


def test_a_wrong_setting_is_wrong_usage(workbook: Workbook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "mine")
    for command in ("check", "status"):
        ran = workbook(command)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert "WORKBOOK_IMPLEMENTATION is 'mine'" in ran.err


def test_a_file_that_does_not_parse_fails_its_functions_only(workbook: Workbook, project: Path) -> None:
    solve(project, *course.TOPICS)
    (course.EXERCISES / "padding.py").write_text("def padding_mask(:\n")
    ran = workbook("check", MASKED_MEAN, "warmup")
    assert (ran.code, ran.err) == (1, "")
    assert ran.out.splitlines()[-1].startswith("1 of 2 passed, ")
    assert "Traceback" not in ran.out


def test_status_draws_progress(workbook: Workbook, project: Path) -> None:
    ran = workbook("status")
    assert (ran.code, ran.err) == (0, "")
    assert "0/1" in ran.out
    assert "padding.padding_mask (not attempted)" in ran.out
    solve(project, "warmup")
    warmup = next(line for line in workbook("status").out.splitlines() if line.startswith("warmup"))
    assert "█" * 20 in warmup
    assert "1/1" in warmup
    assert "done" in warmup
    assert "\x1b" not in workbook("status").out


# hint


def test_hints_grow_and_are_shown_plainly(workbook: Workbook) -> None:
    for name in FUNCTIONS:
        shown = [workbook("hint", name, "--level", str(level)) for level in (1, 2, 3)]
        assert [ran.code for ran in shown] == [0, 0, 0]
        assert len({ran.out for ran in shown}) == 3
        assert workbook("hint", name) == shown[0]
        assert f"workbook hint {name} --level 2" in shown[0].out
        assert "\x1b" not in "".join(ran.out for ran in shown)


# reset


def test_reset_puts_one_function_back_and_touches_no_other_byte(workbook: Workbook, project: Path) -> None:
    path = course.EXERCISES / "padding.py"
    for spec in specs(["padding"]):
        path.write_bytes(with_solution(spec.function))
        assert path.read_text() != topic_source("padding")
        ran = workbook("reset", spec.name)
        assert (ran.code, ran.err) == (0, "")
        assert path.read_text() == topic_source("padding")


def test_reset_keeps_every_old_text_beside_the_file(workbook: Workbook, project: Path) -> None:
    path = course.EXERCISES / "padding.py"
    texts = [with_solution("masked_mean"), with_solution("padding_mask")]
    for text in texts:
        path.write_bytes(text)
        assert workbook("reset", "padding").code == 0
        assert path.read_text() == topic_source("padding")
    assert (course.EXERCISES / "padding.kept-1.py").read_bytes() == texts[0]
    assert (course.EXERCISES / "padding.kept-2.py").read_bytes() == texts[1]
    ran = workbook("reset", MASKED_MEAN)
    assert ran == (0, f"{MASKED_MEAN} is untouched already; nothing was changed\n", "")
    assert len(list(course.EXERCISES.iterdir())) == len(course.TOPICS) + 2


def test_reset_appends_a_function_that_was_deleted(workbook: Workbook, project: Path) -> None:
    path = course.EXERCISES / "warmup.py"
    path.write_bytes(b"import torch\nmine = 1")
    assert workbook("reset", "invert_mask").code == 0
    stub = function_source("warmup.invert_mask")
    assert path.read_text() == f"import torch\nmine = 1\n\n\n{stub}"
    path.unlink()
    assert workbook("reset", "invert_mask").code == 0
    assert path.read_text() == topic_source("warmup")


def test_reset_of_a_function_in_a_file_that_does_not_parse_offers_the_topic(workbook: Workbook, project: Path) -> None:
    path = course.EXERCISES / "padding.py"
    for broken in (b"x = 1\ndef padding_mask(:\n", b"x = '\0'\n", b"\xff = 1\n", b"(" * 10_000):
        path.write_bytes(broken)
        ran = workbook("reset", MASKED_MEAN)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert "masked_mean cannot be found" in ran.err
        assert "does not parse" in ran.err
        assert "`workbook reset padding`" in ran.err
        assert path.read_bytes() == broken
    assert len(list(course.EXERCISES.iterdir())) == len(course.TOPICS)
    assert workbook("reset", "padding").code == 0
    assert path.read_text() == topic_source("padding")


STUB = '@exercise\ndef f(x):\n    raise NotImplementedError("a.f")\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a = 1\n\n@exercise\n@other(\n  1)\ndef f(x):\n    return 1\n\nb = 2\n", "a = 1\n\n{}\nb = 2\n"),
        ("def f(x): return 1", "{}"),
        ("def f(x):\n    return 1\n    # a thought\n\n    # another\n\n# not mine\n", "{}\n# not mine\n"),
        (
            "def f(x):\n    return 1\n\ndef g(x):\n    return 2\n\ndef f(x):\n    return 3\n",
            "\ndef g(x):\n    return 2\n\n{}",
        ),
        ("def g(x):\n    def f(x):\n        return 1\n", "def g(x):\n    def f(x):\n        return 1\n\n\n{}"),
        ("a = '''\n\x0c\u2028@exercise\ndef f(x):'''\ndef f(x):\n    return '''\n'''\nb = 2\n", None),
        ("async def f(x):\n    return 1\nb = 2\n", "{}b = 2\n"),
        ("", "\n\n{}"),
    ],
)
def test_only_the_functions_own_lines_are_replaced(before: str, after: str | None) -> None:
    after = after or "a = '''\n\x0c\u2028@exercise\ndef f(x):'''\n{}b = 2\n"
    assert replace_function(before.encode(), "f", STUB, "a.py", "a").decode() == after.replace("{}", STUB)
    windows = before.replace("\n", "\r\n")
    expected = after.replace("{}", STUB).replace("\n", "\r\n" if "\n" in before else "\n")
    assert replace_function(windows.encode(), "f", STUB, "a.py", "a").decode() == expected


def test_reset_follows_a_link_and_keeps_permissions(workbook: Workbook, project: Path, tmp_path: Path) -> None:
    path, real = course.EXERCISES / "warmup.py", tmp_path / "elsewhere.py"
    shutil.copy(course.SOLUTIONS / "warmup.py", real)
    real.chmod(0o640)
    path.unlink()
    path.symlink_to(real)
    assert workbook("reset", "warmup").code == 0
    assert path.is_symlink()
    assert real.read_text() == topic_source("warmup")
    assert real.stat().st_mode & 0o777 == 0o640


# submit


def test_submit_packs_the_learners_files_and_remembers_the_student(workbook: Workbook, project: Path) -> None:
    ran = workbook("submit", "--student", 'Ada "L" Løve\\lace')
    assert (ran.code, ran.err) == (0, "")
    (path,) = Path().iterdir()
    assert path.name == "submission-Ada-L-Løve-lace.zip"
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("manifest.json"))["student"] == 'Ada "L" Løve\\lace'
        for topic in course.TOPICS:
            assert archive.read(f"exercises/{topic}.py") == (course.EXERCISES / f"{topic}.py").read_bytes()
    first = path.read_bytes()
    ran = workbook("submit", "--out", "again.zip")
    assert (ran.code, ran.err) == (0, "")
    assert Path("again.zip").read_bytes() == first
    assert workbook("submit", "--out", "again.zip", "--student", "Grace").code == 0
    assert workbook("submit", "--out", "again.zip").out.endswith("for Grace\n")


def test_submit_warns_of_what_is_missing_or_does_not_parse(workbook: Workbook, project: Path) -> None:
    (course.EXERCISES / "warmup.py").unlink()
    (course.EXERCISES / "padding.py").write_text("x = 1\ndef padding_mask(:\n")
    ran = workbook("submit", "--student", "Ada", "--out", "ada.zip")
    assert ran.code == 0
    assert "workbook/exercises/warmup.py is not there" in ran.err
    assert "line 2 of workbook/exercises/padding.py does not parse" in ran.err
    with zipfile.ZipFile("ada.zip") as archive:
        kept = [f"exercises/{topic}.py" for topic in course.TOPICS if topic != "warmup"]
        assert archive.namelist() == ["manifest.json", *sorted(kept)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"\xe9", "workbook/exercises/padding.py is not UTF-8 (byte 0xe9 at 0); save it as UTF-8"),
        (b" " * (2**20 + 1), "workbook/exercises/padding.py has 1,048,577 bytes"),
    ],
)
def test_submit_refuses_what_no_grader_could_read(
    workbook: Workbook, project: Path, data: bytes, sentence: str
) -> None:
    (course.EXERCISES / "padding.py").write_bytes(data)
    ran = workbook("submit", "--student", "Ada")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert sentence in ran.err
    assert not list(Path().iterdir())
    assert not (project / ".workbook.toml").exists()


def test_submit_without_any_file_or_with_broken_settings_is_wrong_usage(workbook: Workbook, project: Path) -> None:
    settings = project / ".workbook.toml"
    for text in ("student =", "student = 1", "student = '\xff'"):
        settings.write_bytes(text.encode("latin-1"))
        ran = workbook("submit")
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert str(settings) in ran.err
    assert workbook("submit", "--student", "Ada").code == 0  # writes them anew
    assert workbook("submit").code == 0
    for topic in course.TOPICS:
        (course.EXERCISES / f"{topic}.py").unlink()
    assert "there is no topic file" in workbook("submit").err


def test_submit_asks_once_on_a_terminal(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import pathlib, sys; from workbook import course; from workbook.cli import main; "
        f"course.PROJECT = pathlib.Path({str(project)!r}); course.EXERCISES = course.PROJECT / 'workbook/exercises'; "
        "sys.exit(main(['submit']))"
    )
    controller, terminal = pty.openpty()
    try:
        os.write(controller, b"Ada Lovelace\n")
        first = subprocess.run([sys.executable, "-c", code], stdin=terminal, capture_output=True, text=True, timeout=60)
    finally:
        os.close(terminal)
        os.close(controller)
    assert (first.returncode, first.stderr) == (0, "")
    assert "Your name or student id" in first.stdout
    assert Path("submission-Ada-Lovelace.zip").exists()
    assert (project / ".workbook.toml").read_text() == 'student = "Ada Lovelace"\n'


# grade


def gradebook(folder: str) -> list[dict[str, str]]:
    with (Path(folder) / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_on_a_terminal_no_result_is_written_into_the_bar(project: Path) -> None:
    command = [sys.executable, "-m", "workbook.cli", "grade", str(project / "solutions"), "--out", "grades"]
    controller, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
    options: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": terminal, "stderr": terminal, "env": environment}
    with subprocess.Popen([*command, "--topic", "warmup", "--jobs", "1"], **options) as grading:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # Linux's way of saying that the other end is closed
            while piece := os.read(controller, 65536):
                shown += piece
    os.close(controller)
    assert grading.returncode == 0
    before, result, _ = shown.partition(b"solutions: 1 of 1 passed")
    assert "━".encode() in before
    assert result
    assert before.endswith((b"\n", b"\x1b[2K"))  # on a line of its own, or on one that was wiped


def test_the_solutions_are_the_perfect_submission(workbook: Workbook, project: Path) -> None:
    ran = workbook("grade", project / "solutions", "--out", "some/new/grades", "--jobs", "1")
    assert ran.code == 0
    (row,) = gradebook("some/new/grades")
    assert (row["student"], row["submission"], row["status"]) == ("solutions", "solutions", "graded")
    assert (row["counts"], row["isolation"], row["imports"]) == ("yes", ISOLATION, "")
    assert row["points"] == row["max_points"] == str(sum(spec.points for spec in specs()))
    assert list(row)[8:] == FUNCTIONS
    written = json.loads(Path("some/new/grades/solutions.json").read_bytes())
    assert [verdict["status"] for verdict in written["verdicts"]] == ["passed"] * len(FUNCTIONS)
    files = files_below(Path("some/new/grades"))
    assert {"class.html", "gradebook.csv", "grades.sqlite", "solutions.json"} <= set(files)
    assert Path("some/new/grades").stat().st_mode & 0o777 == 0o700
    assert Path("some/new/grades/grades.sqlite").stat().st_mode & 0o777 == 0o600


def test_a_class_with_every_kind_of_submission(workbook: Workbook, project: Path) -> None:
    hand = Path("class")
    hand.mkdir()
    solution = (course.SOLUTIONS / "padding.py").read_bytes()
    (hand / "ada.zip").write_bytes(pack("Ada", {"padding": b"import numpy\n" + solution}))
    (hand / "bob.zip").write_bytes(pack("=Bob", {"padding": b"def padding_mask(:\n"}))
    (hand / "cyd.zip").write_bytes(b"no zip")
    (hand / "dan").mkdir()
    (hand / "dan" / "padding.py").write_bytes(with_solution("masked_mean"))
    (hand / ".DS_Store").touch()
    arguments = ("grade", hand, "--out", hand / "grades", "--topic", "padding", "--seed", "7", "--jobs", "2")
    ran = workbook(*arguments)
    assert ran.code == 1
    assert {line.partition(":")[0] for line in ran.out.splitlines()[:-1]} == {
        "ada.zip (Ada)",
        "bob.zip (=Bob)",
        "cyd.zip",
        "dan",
    }
    last = ran.out.splitlines()[-1]
    assert last.startswith("3 submissions graded, 1 unreadable in ")
    assert last.endswith(" a second (seed 7): class/grades/gradebook.csv")
    ada, bob, cyd, dan = gradebook("class/grades")
    assert "warmup.invert_mask" not in ada
    assert ada["points"] == ada["max_points"] != "0"
    assert ada["imports"] == "numpy"
    assert (bob["student"], bob["points"], bob["status"]) == ("'=Bob", "0", "graded")
    assert (cyd["submission"], cyd["points"], cyd["padding.masked_mean"]) == ("cyd.zip", "", "")
    assert (cyd["isolation"], cyd["counts"]) == ("", "yes")
    assert cyd["status"].startswith("unreadable: not a zip")
    assert dan["points"] == dan[MASKED_MEAN] != "0"
    for name in ("ada.zip.json", "bob.zip.json", "cyd.zip.json", "dan.json", "gradebook.csv", "class.html"):
        assert (hand / "grades" / name).is_file()
    before = files_below(hand / "grades")
    again = workbook(*arguments)  # the grades among the submissions are none of them, and nothing has changed
    assert again.code == 1
    assert again.out.splitlines() == [
        next(line for line in ran.out.splitlines() if line.startswith("cyd.zip")),
        "0 submissions graded, 3 unchanged, 1 unreadable (seed 7): class/grades/gradebook.csv",
    ]
    assert files_below(hand / "grades") == before


def test_only_full_marks_are_exit_code_0(workbook: Workbook, project: Path) -> None:
    Path("ada.zip").write_bytes(pack("Ada", {"warmup": (course.SOLUTIONS / "warmup.py").read_bytes()}))
    assert workbook("grade", "ada.zip", "--out", "grades", "--topic", "warmup").code == 0
    assert workbook("grade", "ada.zip", "--out", "grades").code == 1
    Path("none.zip").touch()
    assert workbook("grade", "ada.zip", "none.zip", "--out", "grades", "--topic", "warmup").code == 1
    assert [row["submission"] for row in gradebook("grades")] == ["ada.zip", "none.zip"]


def test_a_first_look_asks_some_cases_and_says_so_and_the_marks_ask_all(workbook: Workbook, project: Path) -> None:
    Path("ada.zip").write_bytes(pack("Ada", {"warmup": (course.SOLUTIONS / "warmup.py").read_bytes()}))
    arguments = ("grade", "ada.zip", "--out", "grades", "--topic", "warmup")

    def asked() -> int:
        cases: int = json.loads(Path("grades/ada.zip.json").read_text())["verdicts"][0]["cases"]
        return cases

    look = workbook(*arguments, "--cases", "6")
    assert (look.code, asked()) == (0, 6)
    assert look.err == (
        "warning: only the 6 most telling of each function's cases were asked; for marks, grade again without --cases\n"
    )
    marks = workbook(*arguments)
    assert (marks.code, marks.err, asked()) == (0, "", len(examination("warmup.invert_mask", 0).cases))
    assert marks.out.splitlines()[-1].startswith("1 submission graded")


def test_grading_without_a_sandbox_says_so_every_time_or_is_refused(
    workbook: Workbook, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "why_not", lambda: "The sandbox needs Linux.")
    Path("ada.zip").write_bytes(pack("Ada", {"warmup": (course.SOLUTIONS / "warmup.py").read_bytes()}))
    ran = workbook("grade", "ada.zip", "--out", "grades", "--topic", "warmup", "--require-sandbox")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.endswith("The sandbox needs Linux.\n")
    assert not Path("grades").exists()
    for _ in range(2):
        ran = workbook("grade", "ada.zip", "--out", "grades", "--topic", "warmup")
        assert (ran.code, ran.err.count("\n")) == (0, 1), ran.err
        assert ran.err.startswith("warning: submissions run without a sandbox")
        assert ran.err.endswith("The sandbox needs Linux.\n")


# notebooks


@pytest.fixture
def nbval(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """What would have been run; it fails with pytest's "no tests collected" where `code` says so."""
    calls: list[tuple[list[str], dict[str, str]]] = []

    def run(command: list[str], cwd: Path, env: dict[str, str]) -> "subprocess.CompletedProcess[bytes]":
        assert cwd == course.PROJECT
        calls.append((command, env))
        return subprocess.CompletedProcess(command, int(env.get("PYTEST_WILL_EXIT_WITH", "0")))

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def test_notebooks_run_in_the_state_and_on_the_device_asked_for(
    workbook: Workbook, project: Path, nbval: list[tuple[list[str], dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    assert workbook("notebooks").code == 0
    assert workbook("notebooks", "--solved", "--device", "cpu").code == 0
    monkeypatch.setenv("WORKBOOK_DEVICE", "cpu")
    assert workbook("notebooks").code == 0
    command = [sys.executable, "-m", "pytest", "--nbval", "-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
    assert nbval[0][0] == [*command, str(project / "notebooks")]
    assert [
        (environment["WORKBOOK_IMPLEMENTATION"], environment["WORKBOOK_DEVICE"], environment["HF_HUB_OFFLINE"])
        for _, environment in nbval
    ] == [("exercises", "auto", "1"), ("solutions", "cpu", "1"), ("exercises", "cpu", "1")]


def test_notebooks_run_those_that_are_named(
    workbook: Workbook, project: Path, nbval: list[tuple[list[str], dict[str, str]]]
) -> None:
    paths = [
        project / "notebooks" / f"{name}.ipynb" for name in ("00_start_here", "01_padding_masks", "08_real_models")
    ]
    for path in paths:
        path.touch()
    assert workbook("notebooks", "08", "01_padding_masks.ipynb", "--solved").code == 0
    assert nbval[0][0][-2:] == [str(paths[2]), str(paths[1])]
    ran = workbook("notebooks", "09")
    assert (ran.code, ran.err) == (
        2,
        "workbook: there is no notebook '09'; there are 00_start_here, 01_padding_masks, 08_real_models\n",
    )
    assert len(nbval) == 1


@pytest.mark.parametrize(("pytest_code", "code"), [(0, 0), (1, 1), (2, 1), (5, 1)])
def test_notebooks_that_fail_or_are_none_are_exit_code_1(
    workbook: Workbook, nbval: list[Any], monkeypatch: pytest.MonkeyPatch, pytest_code: int, code: int
) -> None:
    monkeypatch.setenv("PYTEST_WILL_EXIT_WITH", str(pytest_code))
    assert workbook("notebooks").code == code


def test_notebooks_without_their_folder_or_device_are_wrong_usage(
    workbook: Workbook, project: Path, nbval: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    ran = workbook("notebooks", "--device", "cuda")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "'cuda'" in ran.err
    (project / "notebooks").rmdir()
    ran = workbook("notebooks")
    assert (ran.code, ran.err) == (2, f"workbook: {project / 'notebooks'} is not there\n")
    assert nbval == []
