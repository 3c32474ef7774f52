"""A class is graded once, whatever happens in between: nothing is lost, nothing runs twice, every input is a row."""

import csv
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import CancelledError, Executor, Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_class import mistakes

from workbook import course
from workbook.cli import main
from workbook.grading import classroom
from workbook.grading.classroom import CannotGrade, Result, Settings, Step, grade_class, publish
from workbook.grading.executors import Staff
from workbook.grading.gradebook import GradedSubmission
from workbook.grading.records import RECORDS, Record, Records, Unusable, rows
from workbook.grading.submission import find_submissions, pack
from workbook.grading.verdict import Verdict
from workbook.grading.worker import Worker, WorkerLost
from workbook.specs import specs

WARMUP = (course.SOLUTIONS / "warmup.py").read_bytes()
PADDING = (course.SOLUTIONS / "padding.py").read_bytes()
SPECS = specs(["warmup"])
SLOW = b"import time\ntime.sleep(0.3)\n" + WARMUP


def hand_in(folder: Path, *students: str, source: bytes = WARMUP, minute: int = 0) -> None:
    """Write a zip for each student, no two alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for student in students:
        path = folder / f"{student.lower()}.zip"
        path.write_bytes(pack(student, {"warmup": source + f"# {student} {minute}\n".encode()}))
        os.utime(path, (60 * minute,) * 2)


def gradebook(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        return {row["submission"]: row for row in csv.DictReader(file)}


def kept(folder: Path) -> dict[str, tuple[int, str]]:
    """Return of each submission how often it ran, and when last."""
    connection = sqlite3.connect(folder / RECORDS)
    try:
        found = connection.execute("SELECT name, runs, graded_at FROM submission").fetchall()
    finally:
        connection.close()
    assert len({name for name, _, _ in found}) == len(found)
    return {name: (runs, graded_at) for name, runs, graded_at in found}


# --- with executors that run nothing, to see what is asked of them ----------------------------------------------------


class Clerk(Executor):
    """Passes everything at once; what is named in ``trouble`` raises that instead."""

    def __init__(self, trouble: dict[str, list[Exception]]) -> None:
        self.trouble = trouble
        self.asked: list[str] = []

    def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
        assert function is classroom.grade_files
        _settings, files = arguments
        student = files["warmup"].decode().split("# ")[-1].split()[0]
        self.asked.append(student)
        future: Future[Any] = Future()
        if self.trouble.get(student):
            future.set_exception(self.trouble[student].pop(0))
        else:
            verdicts = tuple(Verdict(spec.name, "passed", spec.points, spec.points) for spec in SPECS)
            future.set_result(Result(verdicts, "sandbox", ("numpy",)))
        return future


class Class(NamedTuple):
    """A class, and its grading by a clerk."""

    folder: Path
    clerk: Clerk

    @property
    def out(self) -> Path:
        return self.folder / "grades"

    @contextmanager
    def steps(self, *paths: Path, **options: Any) -> Iterator[Iterator[Step]]:
        """Grade step by step; the clerk forgets what it was asked before."""
        self.clerk.asked.clear()

        @contextmanager
        def executor() -> Iterator[Executor]:
            yield self.clerk

        self.out.mkdir(exist_ok=True)
        with Records(self.out) as records:
            functions = tuple(spec.name for spec in SPECS)
            seed, required = options.pop("seed", None), options.pop("require_sandbox", False)
            chosen = Settings(records.seed(seed), functions, required, **options.pop("limits", {}))
            inputs = find_submissions(paths or [self.folder / "hand"], skip=self.out)
            staff = Staff(executor, options.pop("ahead", 3), (BrokenProcessPool,))
            yield grade_class(inputs, SPECS, chosen, records, staff, **options)
            publish(self.out, records, SPECS)

    def grade(self, *paths: Path, **options: Any) -> dict[str, Step]:
        """Grade and return what was settled, by name."""
        with self.steps(*paths, **options) as steps:
            settled = list(steps)
        named = {step.record.row.name: step for step in settled}
        assert len(named) == len(settled)
        return named

    def kinds(self, *paths: Path, **options: Any) -> dict[str, str]:
        return {name: step.kind for name, step in self.grade(*paths, **options).items()}


@pytest.fixture
def lesson(tmp_path: Path) -> Class:
    return Class(tmp_path, Clerk({}))


def test_what_has_not_changed_is_not_run_again(lesson: Class) -> None:
    hand_in(lesson.folder / "hand", "Ada", "Ben")
    (lesson.folder / "hand" / "cyd.zip").write_bytes(b"no zip")
    assert lesson.kinds() == {"ada.zip": "graded", "ben.zip": "graded", "cyd.zip": "unreadable"}
    before = kept(lesson.out)
    hand_in(lesson.folder / "hand", "Dan")
    os.utime(lesson.folder / "hand" / "ada.zip", (99, 99))
    assert lesson.kinds() == {
        "ada.zip": "unchanged",
        "ben.zip": "unchanged",
        "cyd.zip": "unreadable",
        "dan.zip": "graded",
    }
    assert lesson.clerk.asked == ["Dan"]
    after = kept(lesson.out)
    assert {name: after[name] for name in before} == before
    read = gradebook(lesson.out)
    assert list(read) == ["ada.zip", "ben.zip", "cyd.zip", "dan.zip"]
    assert {
        (read[name]["points"], read[name]["isolation"], read[name]["imports"]) for name in ("ada.zip", "dan.zip")
    } == {("1", "sandbox", "numpy")}


def test_all_is_run_again_when_asked_or_under_another_seed_or_limit(lesson: Class) -> None:
    hand_in(lesson.folder / "hand", "Ada", "Ben")
    everything = {"ada.zip": "graded", "ben.zip": "graded"}
    assert lesson.kinds() == everything
    assert lesson.kinds(regrade=True) == everything
    assert lesson.kinds(seed=5) == everything
    assert set(lesson.kinds(seed=5).values()) == set(lesson.kinds().values()) == {"unchanged"}  # 5 is kept
    assert lesson.kinds(seed=6) == everything
    assert lesson.kinds(limits={"time_limit": 3.0}) == everything
    assert lesson.kinds(limits={"version": "another"}) == everything
    assert lesson.kinds(limits={"cases": 6}) == everything
    assert {runs for runs, _ in kept(lesson.out).values()} == {7}


def test_a_secret_seed_is_made_once_and_lies_where_only_its_owner_reads(tmp_path: Path) -> None:
    with Records(tmp_path) as records:
        seed = records.seed()
    with Records(tmp_path) as records:
        assert records.seed() == seed != 0
    (tmp_path / "other").mkdir()
    with Records(tmp_path / "other") as records:
        assert records.seed() != seed
    assert (tmp_path / RECORDS).stat().st_mode & 0o777 == 0o600
    assert str(seed) not in repr(Settings(seed, ()))


def test_a_result_without_the_sandbox_does_not_do_where_one_is_required(
    lesson: Class, monkeypatch: pytest.MonkeyPatch
) -> None:
    hand_in(lesson.folder / "hand", "Ada")
    lesson.grade()
    assert lesson.kinds(require_sandbox=True) == {"ada.zip": "unchanged"}
    connection = sqlite3.connect(lesson.out / RECORDS)
    connection.execute("UPDATE submission SET isolation = 'processes'")
    connection.commit()
    connection.close()
    assert lesson.kinds() == {"ada.zip": "unchanged"}
    assert lesson.kinds(require_sandbox=True) == {"ada.zip": "graded"}


def test_late_submissions_from_another_folder_add_to_the_gradebook(lesson: Class) -> None:
    hand_in(lesson.folder / "hand", "Ada", "Ben")
    lesson.grade()
    hand_in(lesson.folder / "late", "Cyd")
    hand_in(lesson.folder / "late", "Ben", minute=5)
    assert lesson.kinds(lesson.folder / "late") == {"ben.zip": "graded", "cyd.zip": "graded"}
    with (lesson.out / "gradebook.csv").open(encoding="utf-8", newline="") as file:
        read = [(row["student"], row["counts"]) for row in csv.DictReader(file)]
    assert read == [("Ada", "yes"), ("Ben", "no"), ("Ben", "yes"), ("Cyd", "yes")]


def test_a_file_that_has_changed_replaces_what_it_was(lesson: Class) -> None:
    hand = lesson.folder / "hand"
    hand_in(hand, "Ada", minute=1)
    (hand / "ben.zip").write_bytes(b"")
    lesson.grade()
    first = (hand / "ada.zip").read_bytes()
    hand_in(hand, "Ada", "Ben", minute=2)
    assert lesson.kinds() == {"ada.zip": "graded", "ben.zip": "graded"}
    assert {name: row["status"] for name, row in gradebook(lesson.out).items()} == {
        "ada.zip": "graded",
        "ben.zip": "graded",
    }
    with Records(lesson.out) as records:
        assert len(records.all()) == 2
    (hand / "ada.zip").write_bytes(first)  # what it was is known
    assert lesson.kinds() == {"ada.zip": "unchanged", "ben.zip": "unchanged"}
    with Records(lesson.out) as records:
        assert len(records.all()) == 2


def test_a_download_that_lies_elsewhere_now_is_the_same(lesson: Class) -> None:
    hand_in(lesson.folder / "hand", "Ada", "Ben")
    (lesson.folder / "hand" / "cyd.zip").write_bytes(b"no zip")
    lesson.grade()
    (lesson.folder / "hand").rename(lesson.folder / "hand again")
    assert lesson.kinds(lesson.folder / "hand again") == {
        "ada.zip": "unchanged",
        "ben.zip": "unchanged",
        "cyd.zip": "unreadable",
    }
    assert len(gradebook(lesson.out)) == 3


def test_few_submissions_are_read_ahead_of_time(lesson: Class) -> None:
    """So that a class of thousands is never in memory."""
    hand_in(lesson.folder / "hand", *"ABCDEFGHIJ")
    with lesson.steps(ahead=2) as steps:
        for settled, _ in enumerate(steps):
            assert len(lesson.clerk.asked) <= settled + 2
    assert len(lesson.clerk.asked) == 10


def test_one_name_for_two_students_is_two_rows(lesson: Class) -> None:
    """The same files, called the same, handed in by two: the names of their folders are not part of the command."""
    for student in ("Ada", "Ben"):
        (lesson.folder / student).mkdir()
        (lesson.folder / student / "hw.zip").write_bytes(pack(student, {"warmup": WARMUP + b"# Ada 0"}))
        assert lesson.kinds(lesson.folder / student / "hw.zip") == {"hw.zip": "graded"}
    with Records(lesson.out) as records:
        assert {record.row.student for record in records.all()} == {"Ada", "Ben"}


def test_of_a_students_submissions_the_latest_that_could_be_graded_counts() -> None:
    def record(name: str, student: str, minute: int, readable: bool = True) -> Record:
        row = GradedSubmission(name, student, "graded", readable, (), 1)
        return Record(row, digest=name, path=name, modified=minute, grader="")

    records = [
        record("a1", "Zoë", 1),
        record("a2", "ZOE\N{COMBINING DIAERESIS}", 3),  # the same name, in another case and another encoding
        record("a3", "Zoë", 2),
        record("a4", "Zoë", 4, readable=False),
        record("b1", "Ben", 1),
        record("b2", "Ben", 1),
        record("c1", "Cyd", 1, readable=False),
        record("c2", "Cyd", 2, readable=False),
        record("d1", "", 1, readable=False),
        record("d2", "", 2, readable=False),
        record("e1", "Zoe", 9),
    ]
    for ordered in (records, records[::-1]):
        counting = {row.name for row in rows(ordered) if row.counts}
        assert counting == {"a2", "b2", "c2", "d1", "d2", "e1"}
        assert [row.name for row in rows(ordered)] == [each.row.name for each in ordered]


# --- lost processes ---------------------------------------------------------------------------------------------------


def test_what_a_lost_process_took_along_is_graded_once_more(lesson: Class) -> None:
    hand_in(lesson.folder / "hand", *"ABCDEFG")
    for student in "ABC":  # all that were under way
        lesson.clerk.trouble[student] = [BrokenProcessPool("killed")]
    steps = lesson.grade()
    assert {step.kind for step in steps.values()} == {"graded"}
    asked = lesson.clerk.asked
    assert [asked[:3], sorted(asked[3:6]), asked[6:]] == [["A", "B", "C"], ["A", "B", "C"], ["D", "E", "F", "G"]]
    assert {runs for runs, _ in kept(lesson.out).values()} == {1}


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        ([BrokenProcessPool("killed"), BrokenProcessPool("killed again")], "could not be graded: killed again"),
        ([WorkerLost("gone"), WorkerLost("gone\nagain")], "could not be graded: gone again"),
        ([ZeroDivisionError("a fault of ours")], "could not be graded: ZeroDivisionError: a fault of ours"),
    ],
)
def test_what_cannot_be_graded_is_a_row_that_says_so_and_comes_again(
    lesson: Class, trouble: list[Exception], sentence: str
) -> None:
    hand_in(lesson.folder / "hand", *"ABCDE")
    lesson.clerk.trouble["C"] = list(trouble)
    kinds = lesson.kinds()
    assert kinds.pop("c.zip") == "failed"
    assert set(kinds.values()) == {"graded"}
    row = gradebook(lesson.out)["c.zip"]
    assert (row["student"], row["status"], row["points"]) == ("C", sentence, "")
    again = lesson.kinds()
    assert again.pop("c.zip") == "graded"
    assert set(again.values()) == {"unchanged"}
    assert lesson.clerk.asked == ["C"]
    assert gradebook(lesson.out)["c.zip"]["status"] == "graded"


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (CannotGrade("no fork"), "no fork"),
        (CancelledError(), "those who grade are gone; what they have graded is kept"),
    ],
)
def test_where_nobody_can_grade_the_run_ends_and_keeps_what_there_is(
    lesson: Class, trouble: Exception, sentence: str
) -> None:
    hand_in(lesson.folder / "hand", *"ABC")
    lesson.clerk.trouble["C"] = [trouble]
    with pytest.raises(CannotGrade, match=sentence):
        lesson.grade(ahead=1)
    assert {name: runs for name, (runs, _) in kept(lesson.out).items()} == {"a.zip": 1, "b.zip": 1}


def test_a_worker_of_another_course_is_refused() -> None:
    with pytest.raises(CannotGrade, match="another"):
        classroom.grade_files(Settings(1, (), version="of last year"), {})


# --- records that cannot be used --------------------------------------------------------------------------------------


def grade_here(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """Run the command in this process on one topic and one process."""
    capsys.readouterr()
    arguments = ["grade", str(folder / "hand"), "--out", str(folder / "grades"), "--topic", "warmup", "--jobs", "1"]
    code = main([*arguments, *options])
    return code, *capsys.readouterr()


def foreign(path: Path, script: str) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_records_that_cannot_be_used_are_one_sentence_and_stay_as_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hand_in(tmp_path / "hand", "Ada")
    out = tmp_path / "grades"
    out.mkdir()
    with Records(out) as records:
        records.seed(1)
        code, _, err = grade_here(tmp_path, capsys)
    assert code == 2
    assert err.splitlines()[-1] == (
        f"workbook: another `workbook grade` is at work in {out}; wait for it, or give another --out"
    )
    whole = (out / RECORDS).read_bytes()
    for spoil, sentence in {
        "PRAGMA user_version = 9": "was written by another version of `workbook grade` (layout 9, this is 1)",
        "PRAGMA application_id = 9": "is a database of something else",
        "DROP TABLE secret": "no such table: secret",
        None: "is damaged (file is not a database)",
        "": "is damaged (",
    }.items():
        (out / RECORDS).write_bytes(whole)
        if spoil:
            foreign(out / RECORDS, spoil)
        else:
            (out / RECORDS).write_bytes(b"no database" * 500 if spoil is None else whole[:9000] + b"\xff" * 2000)
        before = (out / RECORDS).read_bytes()
        code, printed, err = grade_here(tmp_path, capsys)
        assert (code, printed) == (2, "")
        assert sentence in err.splitlines()[-1]
        assert str(out / RECORDS) in err.splitlines()[-1]
        assert (out / RECORDS).read_bytes() == before
    (out / RECORDS).unlink()
    (out / RECORDS).mkdir()
    code, _, err = grade_here(tmp_path, capsys)
    assert code == 2
    assert f"{out / RECORDS} cannot be" in err.splitlines()[-1]


def test_a_run_that_ended_before_its_first_result_leaves_records_that_are_used(tmp_path: Path) -> None:
    (tmp_path / RECORDS).touch()
    with Records(tmp_path) as records:
        assert records.all() == []
        with pytest.raises(Unusable, match="at work"):
            Records(tmp_path)


# --- real processes ---------------------------------------------------------------------------------------------------


def start(folder: Path, *options: str, jobs: int = 2) -> "subprocess.Popen[str]":
    """Start the installed command on ``hand`` as a user does, in a process group of its own, as a terminal would."""
    command = [str(Path(sys.executable).with_name("workbook")), "grade", "hand", "--out", "grades", "--topic", "warmup"]
    return subprocess.Popen(
        [*command, "--jobs", str(jobs), *options],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell's job in the background ignores Ctrl-C, and hands that down to what the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def lines(command: "subprocess.Popen[str]", count: int) -> list[str]:
    assert command.stdout is not None
    return [command.stdout.readline() for _ in range(count)]


def below(command: "subprocess.Popen[str]") -> list[psutil.Process]:
    return psutil.Process(command.pid).children(recursive=True)


def test_a_run_that_is_stopped_midway_is_gone_on_with(tmp_path: Path) -> None:
    students = [f"S{number:02}" for number in range(30)]
    hand_in(tmp_path / "hand", *students, source=SLOW)
    before: dict[str, tuple[int, str]] = {}
    for ended_by in (signal.SIGKILL, signal.SIGINT):
        command = start(tmp_path)
        lines(command, 3)
        started = below(command)
        assert len(started) >= 4  # what forks, two processes, and what each of them has warm
        if ended_by is signal.SIGINT:
            os.killpg(command.pid, ended_by)  # Ctrl-C goes to all of them
        else:
            os.kill(command.pid, ended_by)
        _, err = command.communicate(timeout=120)
        assert psutil.wait_procs(started, timeout=60)[1] == []  # nothing of it is left
        now = kept(tmp_path / "grades")
        assert len(before) + 3 <= len(now) < 30
        assert {name: now[name] for name in before} == before
        before = now
    assert command.returncode == 1
    assert re.fullmatch(r"stopped after \d+ of 30; the same command goes on from there", err.splitlines()[-1])
    assert "Traceback" not in err
    assert len(gradebook(tmp_path / "grades")) == len(before)
    again = start(tmp_path)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    left = 30 - len(before)
    assert out.splitlines()[-1].startswith(
        f"{left} submission{'s' if left > 1 else ''} graded, {len(before)} unchanged, 0 unreadable in"
    )
    after = kept(tmp_path / "grades")
    assert {runs for runs, _ in after.values()} == {1}
    assert {name: after[name] for name in before} == before
    assert sorted(gradebook(tmp_path / "grades")) == [f"{student.lower()}.zip" for student in students]


def test_a_process_that_is_killed_midway_costs_nobody_anything(tmp_path: Path) -> None:
    hand_in(tmp_path / "hand", *(f"S{number:02}" for number in range(12)), source=SLOW)
    command = start(tmp_path)
    lines(command, 3)
    warm = [process for process in below(command) if "runner.py" in " ".join(process.cmdline())]
    grading = {
        parent.pid: parent for process in warm for parent in process.parents() if "forkserver" in str(parent.cmdline())
    }
    victims = [process for process in grading.values() if process.ppid() in grading]
    assert len(victims) == 2  # their parent is the process that they were forked from
    victims[0].kill()
    out, err = command.communicate(timeout=120)
    assert (command.returncode, "Traceback" in err) == (0, False)
    assert out.splitlines()[-1].startswith("12 submissions graded, 0 unreadable in")
    assert {runs for runs, _ in kept(tmp_path / "grades").values()} == {1}
    assert all(row["points"] == "1" for row in gradebook(tmp_path / "grades").values())


# --- fairness ---------------------------------------------------------------------------------------------------------

FAIR = specs(["warmup", "padding"])
HOSTILE = b"import torch\ntorch.equal = torch.allclose = lambda *a, **k: True\ntorch.set_default_dtype(torch.float64)\n"


def _submissions() -> dict[str, dict[str, bytes]]:
    """Return honest submissions, some with a misconception, and some that do harm."""
    made = {
        "honest": {"warmup": WARMUP, "padding": PADDING},
        "half": {"padding": PADDING},
        "hostile": {"warmup": HOSTILE + WARMUP, "padding": HOSTILE + PADDING},
        "ends": {"warmup": WARMUP, "padding": PADDING + b"\nimport os\ndef padding_mask(*a):\n    os._exit(0)\n"},
    }
    for function in ("warmup.invert_mask", "padding.padding_mask", "padding.additive_mask"):
        topic = function.partition(".")[0]
        source = made["honest"][topic] + f"\n{mistakes(function)[0].source}".encode()
        made[function] = made["honest"] | {topic: source}
    return made


SUBMISSIONS = _submissions()


def test_nobodys_marks_depend_on_who_was_graded_before(worker: Worker) -> None:
    alone = {}
    for name, files in SUBMISSIONS.items():
        with Worker() as unused:
            alone[name] = unused.grade(files, FAIR, 3)
    points = {name: sum(verdict.points for verdict in verdicts) for name, verdicts in alone.items()}
    assert points["honest"] == points["hostile"] == sum(spec.points for spec in FAIR)
    alike = [name for name, verdicts in alone.items() if verdicts == alone["honest"]]
    assert sorted(alike) == ["honest", "hostile"]  # else what follows would show little
    assert sum(verdict.misconception is not None for verdicts in alone.values() for verdict in verdicts) >= 3

    @given(st.lists(st.sampled_from(sorted(SUBMISSIONS)), min_size=2, max_size=6))
    @settings(max_examples=20)
    def same_in_any_order(order: list[str]) -> None:
        for name in order:
            assert worker.grade(SUBMISSIONS[name], FAIR, 3) == alone[name]

    same_in_any_order()
