"""Grades a class: submissions are read here, run by worker processes, and recorded as their results come.

The work goes to any ``concurrent.futures.Executor``: processes of this machine, or those of a Dask cluster. A task is plain
data, settings and one submission's files; in each worker process one warm ``Worker`` waits for the next. A worker process
that is killed costs nobody anything: what was under way is graded once more, each submission alone.
"""

import hashlib
import json
import os
import stat
import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from dataclasses import dataclass, field, replace
from functools import cache
from multiprocessing import util
from pathlib import Path
from typing import Literal

import torch

from workbook import course
from workbook.grading import sandbox
from workbook.grading.executors import CannotGrade, Staff
from workbook.grading.gradebook import (
    json_names,
    ungraded_submission,
    unreadable_submission,
    write_gradebook,
    write_verdicts,
)
from workbook.grading.records import Record, Records, now, rows
from workbook.grading.reports import write_reports
from workbook.grading.screening import noted_imports
from workbook.grading.submission import ZIP_LIMIT, Unreadable, modified, printable, read_submission
from workbook.grading.verdict import Verdict
from workbook.grading.worker import MEMORY_LIMIT, TIME_LIMIT, Worker, WorkerLost
from workbook.specs import Spec
from workbook.specs import spec as find_spec

#: What decides a mark besides the submission; ``grader_version`` is made of these files.
SOURCES = (
    "conventions.py",
    *(f"specs/{name}.py" for name in ("__init__", "specification", "telling", *course.TOPICS)),
    *(f"grading/{name}.py" for name in ("judge", "verdict", "runner", "worker", "sandbox", "confinement", "straight")),
)


@cache
def grader_version() -> str:
    """Return the version of the course, of torch and of every file that decides marks."""
    digest = hashlib.sha256()
    for name in SOURCES:
        source = (course.PACKAGE / name).read_bytes()
        digest.update(f"{name} {len(source)} ".encode() + source)
    return f"{course.VERSION}+{digest.hexdigest()[:16]}+torch-{torch.__version__}"


@dataclass(frozen=True)
class Settings:
    """What decides a result besides the submission; it travels with each task."""

    seed: int = field(repr=False)
    functions: tuple[str, ...]
    require_sandbox: bool = False
    version: str = field(default_factory=grader_version)
    time_limit: float = TIME_LIMIT
    memory_limit: int = MEMORY_LIMIT
    #: How many cases each function is asked, the most telling ones; all, if ``None``.
    cases: int | None = None

    @property
    def grader(self) -> str:
        """Return what two results have in common that may be compared: grader, seed, functions, limits and cases."""
        parts = [self.version, self.seed, self.functions, self.time_limit, self.memory_limit, self.cases]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# --- in a worker process ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """What a task returns. ``unsandboxed`` says why its worker has no sandbox, if it has none."""

    verdicts: tuple[Verdict, ...]
    isolation: str
    imports: tuple[str, ...]
    unsandboxed: str | None = None


_worker: Worker | None = None
_one_at_a_time = threading.Lock()  # a Dask worker may run several tasks at once, in threads


def grade_files(settings: Settings, files: Mapping[str, bytes]) -> Result:
    """Grade one submission with this process's worker; the task that is sent to an executor.

    Raises:
        CannotGrade: there is no worker to be had in this process.
        WorkerLost: the worker was lost over this submission.
    """
    if settings.version != grader_version():
        raise CannotGrade(
            f"a worker's course or torch is another than here: {grader_version()}, not {settings.version}"
        )
    specs = [find_spec(name) for name in settings.functions]
    with _one_at_a_time:
        worker = _warm_worker(settings)
        try:
            verdicts = worker.grade(files, specs, settings.seed)
        except BaseException:
            _end_worker()
            raise
        unsandboxed = None if worker.isolation == "sandbox" else sandbox.why_not()
        return Result(tuple(verdicts), worker.isolation, noted_imports(files), unsandboxed)


def _warm_worker(settings: Settings) -> Worker:
    """Return this process's worker, started by its first task and kept until the process ends."""
    global _worker
    wanted = (settings.time_limit, settings.memory_limit, settings.cases)
    if _worker is not None and (_worker.time_limit, _worker.memory_limit, _worker.cases) != wanted:
        _end_worker()
    if _worker is None:
        torch.set_num_threads(1)
        reason = sandbox.why_not() if settings.require_sandbox else None
        if reason is not None:
            raise CannotGrade(f"there is no sandbox: {reason}")
        try:
            _worker = Worker(settings.time_limit, settings.memory_limit, cases=settings.cases).__enter__()
        except WorkerLost as error:
            raise CannotGrade(str(error)) from None
        util.Finalize(None, _end_worker, exitpriority=1)  # atexit is not run in a process of a pool
    return _worker


def _end_worker() -> None:
    global _worker
    if _worker is not None:
        worker, _worker = _worker, None
        worker.__exit__(None, None, None)


# --- in the command --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A submission to be graded: its record, whose row has no verdicts yet, and its topic files."""

    record: Record
    files: Mapping[str, bytes] = field(repr=False)


@dataclass(frozen=True)
class Step:
    """A submission that is settled; ``unsandboxed`` says why its code ran without a sandbox, if it did."""

    kind: Literal["unreadable", "unchanged", "graded", "failed"]
    record: Record
    unsandboxed: str | None = None


def grade_class(
    inputs: Mapping[Path, str],
    specs: Sequence[Spec],
    settings: Settings,
    records: Records,
    staff: Staff,
    regrade: bool = False,
) -> Generator[Step, None, None]:
    """Grade submissions, and yield each once it is settled and kept in ``records``.

    Args:
        inputs: where they lie and what they are called, as ``find_submissions`` returns them.
        specs: what to grade.
        settings: what else decides the results.
        records: what is known already, and takes what becomes known.
        staff: who runs them.
        regrade: run also what is known already.

    Raises:
        CannotGrade: nobody can run them.
        Unusable: the records cannot be written.
    """
    read = (_read(path, name, specs, settings) for path, name in inputs.items())
    tasks = (_settled(each, records, settings, regrade) for each in read)
    for step in _results(tasks, staff, settings):
        if step.record != records.find(step.record.row.name, step.record.digest):
            records.keep(step.record)
        yield step


def publish(folder: Path, records: Records, specs: Sequence[Spec]) -> Path:
    """Write all that is read by people from the records, and return the gradebook's path.

    Raises:
        OSError: the folder cannot be written.
    """
    graded = rows(records.all())
    for row, name in zip(graded, json_names([row.name for row in graded]), strict=True):
        write_verdicts(folder, name, row)
    write_reports(folder, graded, specs)
    return write_gradebook(folder, graded, specs)


def _read(path: Path, name: str, specs: Sequence[Spec], settings: Settings) -> Task | Step:
    """Read a submission; one that cannot be read is settled."""
    # A path may hold any byte but NUL; what SQLite keeps as text may not.
    place = os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")
    try:
        submission = replace(read_submission(path), name=name)
    except Unreadable as reason:
        record = Record(unreadable_submission(name, reason, specs), _content(path), place, modified(path), "")
        return Step("unreadable", record)
    digests = {topic: hashlib.sha256(data).hexdigest() for topic, data in sorted(submission.files.items())}
    digest = hashlib.sha256(json.dumps([submission.student, digests]).encode()).hexdigest()
    row = ungraded_submission(submission, specs)
    return Task(Record(row, digest, place, modified(path), settings.grader), submission.files)


def _content(path: Path) -> str:
    """Return the digest of a file that cannot be read as a submission; of other things, none."""
    try:
        if stat.S_ISREG(path.stat().st_mode):
            with path.open("rb") as file:
                return hashlib.sha256(file.read(ZIP_LIMIT)).hexdigest()
    except OSError:
        pass
    return ""


def _settled(task: Task | Step, records: Records, settings: Settings, regrade: bool) -> Task | Step:
    """Settle a task whose result is known; for one that has to run, put down how often it did."""
    kept = records.find(task.record.row.name, task.record.digest)
    if kept is None or isinstance(task, Step):
        return task
    holds = kept.final and kept.grader == settings.grader
    if settings.require_sandbox and kept.row.isolation != "sandbox":
        holds = False
    if regrade or not holds:
        return replace(task, record=replace(task.record, runs=kept.runs))
    row = replace(task.record.row, verdicts=kept.row.verdicts, isolation=kept.row.isolation, imports=kept.row.imports)
    return Step("unchanged", replace(task.record, row=row, graded_at=kept.graded_at, runs=kept.runs))


def _results(tasks: Iterator[Task | Step], staff: Staff, settings: Settings) -> Iterator[Step]:
    """Run tasks and yield what is settled; those that a lost process took along are run once more, each alone."""
    while lost := (yield from _until_lost(tasks, staff, staff.ahead, settings)):
        again = iter([task for task, _ in lost])
        while lost := (yield from _until_lost(again, staff, 1, settings)):
            for task, reason in lost:
                yield _failed(task, reason)


def _until_lost(
    tasks: Iterator[Task | Step], staff: Staff, ahead: int, settings: Settings
) -> Generator[Step, None, list[tuple[Task, str]]]:
    """Run tasks, at most ``ahead`` at a time, and yield what is settled; stop once some are lost, and return those."""
    under_way: dict[Future[Result], Task] = {}
    lost: list[tuple[Task, str]] = []
    losses: tuple[type[Exception], ...] = (WorkerLost, *staff.losses)
    with staff.executor() as executor:
        while True:
            while not lost and len(under_way) < ahead and (task := next(tasks, None)) is not None:
                if isinstance(task, Step):
                    yield task
                    continue
                try:
                    under_way[executor.submit(grade_files, settings, dict(task.files))] = task
                except losses as error:
                    lost.append((task, str(error)))
            if not under_way:
                return lost
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                task = under_way.pop(future)
                try:
                    yield _graded(task, future.result())
                except losses as error:
                    lost.append((task, str(error)))
                except CancelledError:
                    raise CannotGrade("those who grade are gone; what they have graded is kept") from None
                except CannotGrade:
                    raise
                except Exception as error:  # a fault of ours that one submission brings up must not stop a class
                    yield _failed(task, f"{type(error).__name__}: {error}")


def _graded(task: Task, result: Result) -> Step:
    row = replace(task.record.row, verdicts=result.verdicts, isolation=result.isolation, imports=result.imports)
    record = replace(task.record, row=row, graded_at=now(), runs=task.record.runs + 1)
    return Step("graded", record, result.unsandboxed)


def _failed(task: Task, reason: str) -> Step:
    status = f"could not be graded: {printable(' '.join(reason.split()))[:300]}"
    row = replace(task.record.row, status=status, readable=False)
    return Step("failed", replace(task.record, row=row, final=False, graded_at=now(), runs=task.record.runs + 1))
