"""The command ``workbook``: open the course, check, hint, reset, hand in, grade.

Exit codes: 0 all passed, 1 something failed, 2 wrong usage, in one sentence. torch takes seconds to import, so that a
subcommand imports what it needs when it runs.
"""

import difflib
import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbook import course

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from workbook.grading.gradebook import GradedSubmission
    from workbook.grading.verdict import Verdict
    from workbook.specs import Spec

START = "00_start_here.ipynb"
PIPED_WIDTH = 100

app = typer.Typer(
    name="workbook",
    help="How attention masks really work: check your functions, get hints, hand in, grade.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Refusal(Exception):
    """Wrong usage; the text is the one sentence that the user reads."""


class Device(StrEnum):
    """Where the notebooks compute; the words of ``WORKBOOK_DEVICE``."""

    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"
    AUTO = "auto"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without ✓ shows ? instead of a traceback
    app.rich_markup_mode = "rich" if sys.stdout.isatty() else None
    try:
        code = app(list(sys.argv[1:] if arguments is None else arguments), prog_name="workbook", standalone_mode=False)
    except typer.Abort:
        return _refuse("stopped")
    except (Refusal, typer.TyperException) as error:
        return _refuse(str(error) if isinstance(error, Refusal) else error.format_message())
    except OSError as error:
        if error.filename is None:
            raise
        return _refuse(f"{error.filename}: {error.strerror}")
    return code if isinstance(code, int) else 0


@app.callback(invoke_without_command=True)
def _common(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the course's version.", is_eager=True)] = False,
) -> None:
    if version:
        print(f"workbook {course.VERSION}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        raise typer.Exit(2)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def lab(context: typer.Context) -> int:
    """Open the course in JupyterLab.

    Everything after `lab` goes to JupyterLab.
    """
    _require("jupyterlab", "JupyterLab")
    command = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={course.PROJECT}"]
    if (course.NOTEBOOKS / START).exists():
        command.append(f"--LabApp.default_url=/lab/tree/{course.NOTEBOOKS.name}/{START}")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")  # else JupyterLab refuses to start, as in most containers
    environment = dict(os.environ)
    # A further folder of defaults, which turns the question about Jupyter news off; the user's own settings win.
    folders = [str(course.PACKAGE / "jupyter"), *filter(None, [environment.get("JUPYTER_CONFIG_PATH")])]
    environment["JUPYTER_CONFIG_PATH"] = os.pathsep.join(folders)
    # So that `workbook` is there in JupyterLab's terminals and after a notebook's "!", too.
    environment["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), environment.get("PATH", os.defpath)])
    return _hand_over([*command, *context.args], environment)


@app.command()
def check(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME", help="Topics or functions.")] = None,
) -> int:
    """Check what you have written.

    Name topics and functions to check only these. Exits with 1 unless all of them pass.
    """
    specs = _select(names or [])
    _require_implementation()
    from workbook.grading.checking import check_all
    from workbook.grading.feedback import as_text

    console = _console()
    verdicts: list[Verdict] = []
    for spec in specs:
        verdicts += check_all([spec])  # one at a time, so that each verdict is seen as soon as it is there
        console.print(as_text(verdicts[-1]))
    passed = sum(verdict.passed for verdict in verdicts)
    _say(f"{passed} of {len(verdicts)} passed, {_points(verdicts)}")
    return 0 if passed == len(verdicts) else 1


@app.command()
def status() -> int:
    """Draw how far you are."""
    from rich.table import Table

    from workbook.grading.checking import check_all

    _require_implementation()
    console = _console()
    specs = _select([])
    with console.status("checking what you have written …"):
        verdicts = check_all(specs)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("topic", "", "passed", "points"):
        table.add_column(column, justify="right" if column in ("passed", "points") else "left", no_wrap=True)
    table.add_column("next")
    for topic in course.TOPICS:
        mine = [verdict for spec, verdict in zip(specs, verdicts, strict=True) if spec.topic == topic]
        if mine:
            table.add_row(topic, _bar(mine), *_counts(mine), _next(mine))
    table.add_section()
    table.add_row("all", _bar(verdicts), *_counts(verdicts), "")
    console.print(table)
    return 0


@app.command()
def hint(
    name: Annotated[str, typer.Argument(help="A function, such as padding.padding_mask.")],
    level: Annotated[int, typer.Option(min=1, max=3, help="1 a question, 2 the idea, 3 the way; never the code.")] = 1,
) -> int:
    """Get a hint."""
    spec = _function(name)
    from workbook.hints import hints

    console = _console()
    console.print(f"Hint {level} of 3 for {spec.name}", style="bold", soft_wrap=True)
    console.print(hints(spec.name)[level - 1].strip())
    if level < 3:
        console.print(f"More: workbook hint {spec.name} --level {level + 1}", style="dim", soft_wrap=True)
    return 0


@app.command()
def reset(name: Annotated[str, typer.Argument(help="A function, or a topic for its whole file.")]) -> int:
    """Put a function or a topic back.

    Your own text is kept beside it, as padding.kept-1.py.
    """
    from workbook.files import shown
    from workbook.reset import CannotReset, reset_function, reset_topic
    from workbook.specs.stubs import function_source, topic_source

    if name in course.TOPICS:
        done, what = reset_topic(name, topic_source(name)), name
    else:
        spec = _function(name)
        what = spec.name
        try:
            done = reset_function(spec.topic, spec.function, function_source(spec), topic_source(spec.topic))
        except CannotReset as error:
            raise Refusal(str(error)) from None
    if not done.written:
        _say(f"{what} is untouched already; nothing was changed")
        return 0
    _say(f"{what} is back to its untouched text in {shown(done.path)}")
    if done.kept is not None:
        _say(f"your text is kept in {shown(done.kept)}")
    return 0


@app.command()
def submit(
    out: Annotated[Path | None, typer.Option(help="The zip to write; else submission-STUDENT.zip right here.")] = None,
    student: Annotated[str | None, typer.Option(help="Your name or student id; asked for once.")] = None,
) -> int:
    """Pack your answers into a zip to hand in."""
    from workbook.handing_in import CannotHandIn, hand_in

    def ask() -> str:
        if not sys.stdin.isatty():
            raise Refusal("who submits? Give --student NAME; it is remembered for the next time")
        answer: str = typer.prompt("Your name or student id (remembered for the next time)")
        return answer

    try:
        done = hand_in(out, student, ask)
    except CannotHandIn as error:
        raise Refusal(str(error)) from None
    for warning in done.warnings:
        _say(f"warning: {warning}", error=True)
    _say(f"{done.path} is ready to hand in: {', '.join(done.names)}, for {done.student}")
    return 0


@app.command()
def grade(
    submissions: Annotated[list[Path], typer.Argument(help="Zips, folders with topic files, folders of these.")],
    out: Annotated[Path, typer.Option(help="The folder for gradebook.csv and the verdicts; it is made.")],
    topic: Annotated[list[str] | None, typer.Option(help="Grade this topic only; can be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Draw the cases from it; else secret.")] = None,
) -> int:
    """Grade submissions into a gradebook."""
    from workbook.grading.gradebook import json_names, write_gradebook, write_verdicts
    from workbook.grading.submission import WrongPath, find_submissions, submission_name

    topics = [_topic(name) for name in topic or []]
    try:
        paths = find_submissions(submissions, skip=out)
    except WrongPath as error:
        raise Refusal(str(error)) from None
    _make_folder(out)
    specs = _select(topics)
    seed = secrets.randbits(63) if seed is None else seed  # one for all: everyone is asked the same
    names = [submission_name(path) for path in paths]
    graded: list[GradedSubmission] = []
    try:
        for each, json_name in zip(_graded(paths, specs, seed), json_names(names), strict=True):
            graded.append(each)
            with _writing(out):
                write_verdicts(out, json_name, each)
            _say(_summary(each))
    except KeyboardInterrupt:  # what has been graded is not lost
        _say(f"stopped: {len(graded)} of {len(paths)} submissions are graded", error=True)
    with _writing(out):
        gradebook = write_gradebook(out, graded, specs)
    unreadable = sum(not each.readable for each in graded)
    _say(f"{_count(len(graded) - unreadable, 'submission')} graded, {unreadable} unreadable (seed {seed}): {gradebook}")
    return 0 if len(graded) == len(paths) and all(each.passed for each in graded) else 1


@app.command()
def notebooks(
    names: Annotated[list[str] | None, typer.Argument(help="Such as 08_real_models, or 08; all if none.")] = None,
    *,
    solved: Annotated[bool, typer.Option("--solved", help="With the solutions, not what you have written.")] = False,
    device: Annotated[Device, typer.Option(envvar="WORKBOOK_DEVICE", help="Where they compute.")] = Device.AUTO,
) -> int:
    """Run every notebook, or those named, and compare outputs.

    What a cell prints is compared with what is stored in the notebook (nbval).
    """
    _require("pytest", "pytest")
    _require("nbval", "nbval")
    _require("xdist", "pytest-xdist")
    if not course.NOTEBOOKS.is_dir():
        raise Refusal(f"{course.NOTEBOOKS} is not there")
    chosen = [str(_notebook(name)) for name in names or ()] or [str(course.NOTEBOOKS)]
    if solved and not course.SOLUTIONS.is_dir():
        raise Refusal(f"{course.SOLUTIONS} is not there, and --solved needs it")
    environment = os.environ | {
        "WORKBOOK_IMPLEMENTATION": "solutions" if solved else "exercises",
        "WORKBOOK_DEVICE": device.value,
        "HF_HUB_OFFLINE": "1",
    }
    if device in (Device.CUDA, Device.MPS):
        _require_device(device)
    # Side by side, each notebook in one process: a kernel mostly waits for one core. Four at most, each imports torch.
    side_by_side = ["-n", "auto", "--maxprocesses", "4", "--dist", "loadfile"]
    command = [sys.executable, "-m", "pytest", "--nbval", *side_by_side, *chosen]
    return 0 if subprocess.run(command, cwd=course.PROJECT, env=environment).returncode == 0 else 1


def _refuse(sentence: str) -> int:
    _say(f"workbook: {' '.join(sentence.split())}", error=True)
    return 2


def _console(error: bool = False) -> "Console":
    from rich.console import Console

    # Made anew each time, so that it writes to the sys.stdout of now. Piped, rich would fold everything at 80 columns.
    console = Console(stderr=error, highlight=False, markup=False, emoji=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPED_WIDTH
    return console


def _say(sentence: str, error: bool = False) -> None:
    """Print one sentence as one line, whatever the width: it may hold a path to copy."""
    _console(error).print(sentence, soft_wrap=True)


def _require(module: str, name: str) -> None:
    if importlib.util.find_spec(module) is None:
        raise Refusal(f"{name} is not installed here; `make setup`, or pip install -e '.[dev]' in the course's folder")


def _require_implementation() -> None:
    from workbook.graded import implementation

    try:
        implementation()
    except ValueError as error:
        raise Refusal(str(error)) from None


def _require_device(device: Device) -> None:
    from workbook.device import device as chosen

    before = os.environ.get("WORKBOOK_DEVICE")
    os.environ["WORKBOOK_DEVICE"] = device.value
    try:
        chosen()
    except RuntimeError as error:
        raise Refusal(str(error)) from None
    finally:
        if before is None:
            del os.environ["WORKBOOK_DEVICE"]
        else:
            os.environ["WORKBOOK_DEVICE"] = before


def _hand_over(command: list[str], environment: dict[str, str]) -> int:
    """Become ``command``, so that Ctrl-C and signals reach it alone; Windows cannot and waits for it."""
    os.chdir(course.PROJECT)
    sys.stdout.flush()
    if os.name == "nt":
        return subprocess.run(command, env=environment).returncode
    os.execve(command[0], command, environment)


def _select(names: Sequence[str]) -> "tuple[Spec, ...]":
    from workbook.specs import UnknownExercise, select

    try:
        return select(names)
    except UnknownExercise as error:
        raise Refusal(str(error)) from None


def _function(name: str) -> "Spec":
    if name in course.TOPICS:
        example = _select([name])[0].name
        raise Refusal(f"{name!r} is a topic; name one of its functions, such as {example}")
    return _select([name])[0]


def _notebook(name: str) -> Path:
    there = sorted(course.NOTEBOOKS.glob("*.ipynb"))
    for path in there:
        if name.removesuffix(".ipynb") in (path.stem, path.stem.partition("_")[0]):
            return path
    raise Refusal(f"there is no notebook {name!r}; there are {', '.join(path.stem for path in there)}")


def _topic(name: str) -> str:
    if name in course.TOPICS:
        return name
    near = difflib.get_close_matches(name, course.TOPICS, n=1)
    suggestion = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(course.TOPICS)}"
    raise Refusal(f"there is no topic {name!r}; {suggestion}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _points(verdicts: "Sequence[Verdict]") -> str:
    have, most = (sum(getattr(verdict, name) for verdict in verdicts) for name in ("points", "max_points"))
    return f"{have} of {_count(most, 'point')}"


def _bar(verdicts: "Sequence[Verdict]") -> "Text":
    from rich.text import Text

    width = 20
    full = width * sum(verdict.passed for verdict in verdicts) // len(verdicts)
    return Text.assemble(("█" * full, "green"), ("░" * (width - full), "dim"))


def _counts(verdicts: "Sequence[Verdict]") -> tuple[str, str]:
    passed = sum(verdict.passed for verdict in verdicts)
    points = sum(verdict.points for verdict in verdicts)
    return f"{passed}/{len(verdicts)}", f"{points}/{sum(verdict.max_points for verdict in verdicts)}"


def _next(verdicts: "Sequence[Verdict]") -> str:
    """Name the first function that has not passed, those of the core path before those for practice."""
    for verdict in sorted(verdicts, key=lambda verdict: verdict.practice):
        if not verdict.passed:
            return f"{verdict.exercise} ({'practice, ' if verdict.practice else ''}{verdict.status})"
    return "done"


def _make_folder(path: Path) -> None:
    if path.exists() and not path.is_dir():
        raise Refusal(f"{path} is a file; --out is the folder for the grades")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Refusal(f"the folder {path} cannot be made ({error.strerror})") from None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into the one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror or error})") from None


def _graded(paths: Sequence[Path], specs: "tuple[Spec, ...]", seed: int) -> "Iterator[GradedSubmission]":
    """Grade one submission after the other with one warm worker."""
    from workbook.grading.gradebook import grade_submission, unreadable_submission
    from workbook.grading.submission import Unreadable, read_submission, submission_name
    from workbook.grading.worker import Worker

    with Worker() as worker:
        for path in paths:
            try:
                submission = read_submission(path)
            except Unreadable as reason:
                yield unreadable_submission(submission_name(path), reason, specs)
            else:
                yield grade_submission(submission, specs, seed, worker)


def _summary(graded: "GradedSubmission") -> str:
    if not graded.readable:
        return f"{graded.name}: {graded.status}"
    notes = graded.status.removeprefix("graded")
    passed = sum(verdict.passed for verdict in graded.verdicts)
    who = "" if graded.student == graded.name else f" ({graded.student})"
    return f"{graded.name}{who}: {passed} of {len(graded.verdicts)} passed, {_points(graded.verdicts)}{notes}"


def _exit() -> NoReturn:
    """What the installed command runs."""
    sys.exit(main())


if __name__ == "__main__":
    _exit()
