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
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from workbook import course

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from workbook.grading.classroom import Settings
    from workbook.grading.executors import Staff
    from workbook.grading.gradebook import GradedSubmission
    from workbook.grading.records import Records
    from workbook.grading.verdict import Verdict
    from workbook.specs import Spec

START = "00_start_here.ipynb"
PIPED_WIDTH = 100
PROGRESS_SECONDS = 10  # between two lines of progress where there is no terminal

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
    if os.name != "nt":
        # A server without a terminal would give its own terminals login shells, and a profile takes the PATH below away.
        shell = os.environ.get("SHELL") or "sh"
        command.append(f"--ServerApp.terminado_settings={{'shell_command': [{shell!r}]}}")
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
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Check again at every save.")] = False,
) -> int:
    """Check what you have written.

    Name topics and functions to check only these. Exits with 1 unless all of
    them pass.

    With --watch it shows the first that has not passed, checks again whenever
    you save, and leads from one to the next. If you save a change to another
    function, it goes there. Keys, without Enter:

    r or Enter checks now, where saves are not noticed (network drives);
    h shows a hint, and then the next one; c compares yours with the
    reference, once it has passed; n goes on to the next open one; p goes back
    by one; q or Ctrl-C ends. Ctrl-C during a check stops only that check.

    Without a terminal, as in an editor's output panel, no keys are read: it
    prints each verdict, goes on by itself, and ends with Ctrl-C or SIGTERM.
    """
    specs = _select(names or [])
    _require_implementation()
    console = _console()
    if watch:
        with console.status("starting: torch takes a few seconds to import"):
            from workbook import watching
        try:
            return watching.watch(specs, console)
        except watching.CannotWatch as error:
            raise Refusal(str(error)) from None
    from workbook.grading.checking import check_all
    from workbook.grading.feedback import as_text

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
    submissions: Annotated[list[Path], typer.Argument(help="Zips, folders with topic files, or folders of these.")],
    out: Annotated[Path, typer.Option(help="The folder for the grades; it is made.")],
    topic: Annotated[list[str] | None, typer.Option(help="Grade this topic only; can be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Draw the cases from it; else secret.")] = None,
    jobs: Annotated[int | None, typer.Option(metavar="N", min=1, help="Use N processes; else one per core.")] = None,
    dask: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Use the Dask cluster of this scheduler.")] = None,
    cases: Annotated[int | None, typer.Option(metavar="N", min=6, help="Ask N cases of each; else all.")] = None,
    regrade: Annotated[bool, typer.Option("--regrade", help="Run again what has not changed, too.")] = False,
    require_sandbox: Annotated[bool, typer.Option("--require-sandbox", help="Refuse to grade without one.")] = False,
) -> int:
    """Grade submissions into a gradebook.

    OUT gets gradebook.csv, class.html with the misconceptions of the class,
    and for each submission a page in students, Gradescope's results.json in
    results, and its verdicts as JSON. Exits with 1 unless all passed.

    On Linux with bubblewrap, submissions run in a sandbox. Elsewhere they can
    do whatever you can, and a warning says so; see --require-sandbox.

    Each result is kept in OUT/grades.sqlite as it comes: stop with Ctrl-C, and
    the same command goes on from there. What has not changed is not run again,
    unless the course, torch, the seed or the topics have.

    Late submissions can come from another folder, with the same --out: the
    gradebook keeps what earlier runs graded. A file that has changed replaces
    what it was. Of a student's submissions the one changed last counts; all
    are kept.

    The cases are drawn from a secret seed, the same for everyone. The first
    run makes it and keeps it in OUT/grades.sqlite; it is never shown. With
    another --seed, submissions are graded anew.

    For a first look at a large class, --cases 6 asks only the six cases of each
    function that tell most wrong answers from right ones. Marks are for all.
    """
    # Lines this short since rich keeps their ends: longer ones come out ragged on a terminal of 80 columns.
    from workbook.grading.executors import CannotGrade
    from workbook.grading.records import Records, Unusable
    from workbook.grading.submission import WrongPath, find_submissions

    if dask is not None and jobs is not None:
        raise Refusal("--jobs is for this machine; with --dask it is the cluster that has workers")
    topics = [_topic(name) for name in topic or []]
    told: set[str] = set()
    try:
        inputs = find_submissions(submissions, skip=out)
        with _staff(jobs, dask, require_sandbox, told) as staff:
            from workbook.grading.classroom import Settings

            specs = _select(topics)
            _make_folder(out)
            with Records(out) as records:
                functions = tuple(spec.name for spec in specs)
                settings = Settings(records.seed(seed), functions, require_sandbox, cases=cases)
                return _grade(inputs, specs, settings, records, staff, regrade, told, seed)
    except (WrongPath, CannotGrade, Unusable) as error:
        raise Refusal(str(error)) from None


@app.command()
def gradescope(
    out: Annotated[Path, typer.Option(help="The zip to write, such as autograder.zip.")],
    topic: Annotated[list[str] | None, typer.Option(help="Grade this topic only; can be repeated.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=2**63 - 1, help="Draw the cases from it; else random.")] = None,
    torch_index: Annotated[str | None, typer.Option(metavar="URL", help="Take torch from this index.")] = None,
) -> int:
    """Make the autograder for Gradescope.

    Upload the zip there as the autograder of a programming assignment. By our
    estimate, 1 CPU and 1.5 GB of memory are enough. Students hand in the zip
    of `workbook submit`, or their topic files.

    The autograder's zip holds the seed of the cases: keep it to yourself.

    With --torch-index, torch is installed from that package index. One with
    builds for the CPU alone saves gigabytes of CUDA.
    """
    from workbook.grading.gradescope import CannotWrite, write_autograder

    specs = _select([_topic(name) for name in topic or []])
    seed = secrets.randbits(63) if seed is None else seed
    try:
        write_autograder(out, topic or [], seed, torch_index)
    except CannotWrite as error:
        raise Refusal(str(error)) from None
    points = _count(sum(spec.points for spec in specs), "point")
    _say(f"{out} is ready to upload: {_count(len(specs), 'function')}, {points} (seed {seed})")
    return 0


@app.command()
def release(
    out: Annotated[Path, typer.Option(help="The folder for the edition; it is made.")],
    archive: Annotated[bool, typer.Option("--zip", help="Write it as OUT.zip, too, beside the folder.")] = False,
) -> int:
    """Make the edition for learners.

    It is this course without solutions, tests and what you have written in
    the exercises. The references are in it, since a check on the learner's
    machine compares with them.

    An edition that is in OUT already is brought up to date. If OUT holds
    anything else, nothing is written.
    """
    from workbook.release import CannotRelease
    from workbook.release import release as write_edition

    try:
        with _writing(out):
            done = write_edition(out, archive)
    except CannotRelease as error:
        raise Refusal(str(error)) from None
    _say(f"{done.folder} is the learners' edition: {_count(done.files, 'file')}")
    if done.archive is not None:
        _say(f"{done.archive} holds the same")
    return 0


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
        chosen = implementation()
    except ValueError as error:
        raise Refusal(str(error)) from None
    if chosen == "solutions" and not course.SOLUTIONS.is_dir():
        raise Refusal(f"WORKBOOK_IMPLEMENTATION is 'solutions', and {course.SOLUTIONS} is not there")


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
        path.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold marks and the seed
    except OSError as error:
        raise Refusal(f"the folder {path} cannot be made ({error.strerror})") from None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turn a full disk or a forbidden folder into the one sentence about ``path``."""
    try:
        yield
    except OSError as error:
        raise Refusal(f"{path} cannot be written ({error.strerror or error})") from None


@contextmanager
def _staff(jobs: int | None, dask: str | None, require_sandbox: bool, told: set[str]) -> "Iterator[Staff]":
    """Yield who grades; say of this machine that it has no sandbox."""
    from workbook.grading import executors

    if dask is not None:
        with executors.dask_cluster(dask) as staff:
            yield staff
        return
    executors.start_importing()  # while this process does the same: torch takes seconds
    from workbook.grading import sandbox

    reason = sandbox.why_not()
    if reason is not None and require_sandbox:
        raise Refusal(f"--require-sandbox: there is none here. {reason}")
    _tell_of_no_sandbox(reason, told)
    yield executors.local_processes(jobs or executors.usable_cores())


def _tell_of_no_sandbox(reason: str | None, told: set[str]) -> None:
    if reason is not None and reason not in told:
        told.add(reason)
        _say(f"warning: submissions run without a sandbox and can do here whatever you can. {reason}", error=True)


def _grade(
    inputs: dict[Path, str],
    specs: "tuple[Spec, ...]",
    settings: "Settings",
    records: "Records",
    staff: "Staff",
    regrade: bool,
    told: set[str],
    shown_seed: int | None,
) -> int:
    """Grade, show how it goes, write what is read, and return the exit code."""
    from workbook.grading.classroom import grade_class, publish

    counts: Counter[str] = Counter()
    all_passed = True
    started = time.monotonic()
    try:
        steps = grade_class(inputs, specs, settings, records, staff, regrade)
        with closing(steps), _progress(len(inputs)) as (console, advance):
            for step in steps:
                counts[step.kind] += 1
                all_passed &= step.record.row.passed
                _tell_of_no_sandbox(step.unsandboxed, told)
                if step.kind != "unchanged":
                    console.print(_summary(step.record.row), soft_wrap=True)  # above the bar, not into it
                advance(counts)
    except KeyboardInterrupt:  # what has been graded is kept
        further = "it begins anew with --regrade" if regrade else "the same command goes on from there"
        _say(f"stopped after {counts.total()} of {len(inputs)}; {further}", error=True)
    seconds = time.monotonic() - started
    stopped = counts.total() < len(inputs)
    if not stopped and (earlier := records.graded_otherwise(settings.grader)):
        _say(
            f"warning: {_count(earlier, 'row')} of the gradebook {'is' if earlier == 1 else 'are'} of an earlier run with "
            "another seed, course, torch, choice of topics or number of cases; give these submissions again to grade them alike",
            error=True,
        )
    if settings.cases is not None:
        _say(
            f"warning: only the {settings.cases} most telling of each function's cases were asked; for marks, grade again "
            "without --cases",
            error=True,
        )
    with _writing(records.path.parent):
        gradebook = publish(records.path.parent, records, specs)
    seed = "" if shown_seed is None else f" (seed {shown_seed})"
    pace = f" in {seconds:.1f} s, {_rate(counts, seconds)}" if counts["graded"] else ""
    _say(f"{_tally(counts)}{pace}{seed}: {gradebook}")
    return 1 if stopped or not all_passed else 0


@contextmanager
def _progress(total: int) -> "Iterator[tuple[Console, Callable[[Counter[str]], None]]]":
    """Show how many are graded, how fast and how long it takes: a bar on a terminal, else a line every ten seconds.

    Yields the console that knows of the bar, and what moves it.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = _console()
    columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn()
    started = said = time.monotonic()
    first = None  # when the first was graded: until then torch is imported, which says nothing of the rest
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, rate="")

        def advance(counts: "Counter[str]") -> None:
            nonlocal said, first
            now = time.monotonic()
            # What is only looked up takes no time, and would have the remaining time look short.
            done, left = counts["graded"] + counts["failed"], total - counts.total()
            first = now if first is None and done else first
            bar.update(task, completed=done, total=done + left, rate=_rate(counts, now - started))
            if first is not None and done > 1 and not console.is_terminal and now - said >= PROGRESS_SECONDS:
                said = now
                remaining = f"about {(now - first) / (done - 1) * left:.0f} s left"
                _say(f"{done} of {done + left}, {_rate(counts, now - started)}, {remaining}", error=True)

        yield console, advance


def _rate(counts: "Counter[str]", seconds: float) -> str:
    return f"{(counts['graded'] + counts['failed']) / max(seconds, 1e-3):.1f} a second"


def _tally(counts: "Counter[str]") -> str:
    parts = [f"{_count(counts['graded'], 'submission')} graded", f"{counts['unreadable']} unreadable"]
    if counts["unchanged"]:
        parts.insert(1, f"{counts['unchanged']} unchanged")
    if counts["failed"]:
        parts.append(f"{counts['failed']} could not be graded: run the command again")
    return ", ".join(parts)


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
