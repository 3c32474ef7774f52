"""The records of a class: one SQLite file in the folder of the grades, from which everything readable is made.

Each result is one transaction, so that Ctrl-C, a kill or a power cut loses at most the submissions that were running. The
rollback journal, not WAL: grades often lie on a network drive, where WAL does not work. ``synchronous = EXTRA`` has a
commit wait for the disk, the folder's entry included. The file stays locked while it is open: one run a folder.
"""

import json
import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from unicodedata import normalize

from workbook.grading.gradebook import GradedSubmission
from workbook.grading.verdict import Verdict

RECORDS = "grades.sqlite"
APPLICATION = 0x574B4D42  # SQLite's application_id: these are a workbook's records and nobody else's
LAYOUT = 1  # SQLite's user_version: grows with the table below

_TABLES = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {LAYOUT};
CREATE TABLE secret (seed INTEGER NOT NULL);
CREATE TABLE submission (
    name TEXT NOT NULL, student TEXT NOT NULL, status TEXT NOT NULL, readable INTEGER NOT NULL, verdicts TEXT NOT NULL,
    max_points INTEGER NOT NULL, isolation TEXT NOT NULL, imports TEXT NOT NULL,
    digest TEXT NOT NULL, path TEXT NOT NULL, modified INTEGER NOT NULL, grader TEXT NOT NULL, final INTEGER NOT NULL,
    graded_at TEXT NOT NULL, runs INTEGER NOT NULL, replaced INTEGER NOT NULL,
    PRIMARY KEY (name, digest)
);
COMMIT;
"""


class Unusable(RuntimeError):
    """Records that cannot be used: locked, damaged, of another layout, not to be written; the text says which."""


@dataclass(frozen=True)
class Record:
    """What is kept of one submission: its row of the gradebook, and what tells whether that still holds.

    A submission is its name and the ``digest`` of whose it is and what is in it; ``path`` is where it was found last,
    ``modified`` when it was changed last (nanoseconds). ``grader`` identifies all else that decides a result. A record
    that is not ``final`` is graded again by the next run. ``runs`` counts how often its code was run. A ``replaced`` one
    is no row of the gradebook any more: something else lies at its path.
    """

    row: GradedSubmission
    digest: str
    path: str
    modified: int
    grader: str
    final: bool = True
    graded_at: str = ""
    runs: int = 0
    replaced: bool = False


_ROW = tuple(field.name for field in fields(GradedSubmission) if field.name != "counts")  # depends on the other rows
_COLUMNS = (*_ROW, *(field.name for field in fields(Record) if field.name != "row"))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM submission"
_UPSERT = (
    f"INSERT INTO submission ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    f"ON CONFLICT DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in _COLUMNS)}"
)


class Records:
    """The records in ``folder``, locked for this run; a context manager.

    Raises:
        Unusable: they cannot be opened, now or later.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / RECORDS
        with self._usable():
            if not self.path.exists():  # SQLite would let everyone read what holds the seed and the marks
                os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
            self._connection = sqlite3.connect(self.path, timeout=0)
        try:
            with self._usable():
                self._open()
        except BaseException:
            self._connection.close()
            raise

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._connection.close()

    def seed(self, given: int | None = None) -> int:
        """Return the seed kept here: the one ``given``, which then replaces it, or one made in secret the first time."""
        with self._usable(), self._connection:
            kept = self._connection.execute("SELECT seed FROM secret").fetchone()
            if given is None:
                given = kept[0] if kept else secrets.randbits(63)
            if kept != (given,):
                self._connection.execute("DELETE FROM secret")
                self._connection.execute("INSERT INTO secret VALUES (?)", (given,))
        return given

    def find(self, name: str, digest: str) -> Record | None:
        """Return what is kept of a submission."""
        with self._usable():
            row = self._connection.execute(f"{_SELECT} WHERE name = ? AND digest = ?", (name, digest)).fetchone()
            return _record(row) if row else None

    def keep(self, record: Record) -> None:
        """Write one record; what was found at its path before is no longer a row of the gradebook, and stays here."""
        with self._usable(), self._connection:
            self._connection.execute(_UPSERT, _values(record))
            self._connection.execute(
                "UPDATE submission SET replaced = 1 WHERE path = ? AND NOT (name = ? AND digest = ?)",
                (record.path, record.row.name, record.digest),
            )

    def all(self) -> list[Record]:
        """Return what makes the gradebook, by name."""
        with self._usable():
            kept = [_record(row) for row in self._connection.execute(f"{_SELECT} WHERE NOT replaced")]
        return sorted(kept, key=lambda record: (record.row.name.casefold(), record.row.name, record.modified))

    def graded_otherwise(self, grader: str) -> int:
        """Return how many rows of the gradebook were graded by another ``grader``."""
        with self._usable():
            question = "SELECT count(*) FROM submission WHERE NOT replaced AND grader NOT IN ('', ?)"
            count: int = self._connection.execute(question, (grader,)).fetchone()[0]
        return count

    def _open(self) -> None:
        self._connection.executescript("PRAGMA synchronous = EXTRA; PRAGMA locking_mode = EXCLUSIVE;")
        self._connection.executescript("BEGIN EXCLUSIVE; COMMIT;")  # takes the lock, and keeps it
        application, layout, tables = (
            self._connection.execute(question).fetchone()[0]
            for question in ("PRAGMA application_id", "PRAGMA user_version", "SELECT count(*) FROM sqlite_schema")
        )
        if not tables:
            self._connection.executescript(_TABLES)
        elif application != APPLICATION:
            raise Unusable(f"{self.path} is a database of something else; give another folder with --out")
        elif layout != LAYOUT:
            raise Unusable(
                f"{self.path} was written by another version of `workbook grade` (layout {layout}, this is {LAYOUT}); "
                "grade with that version, or give another folder with --out"
            )
        # The same records can be read without it; it is for writing each of a thousand as fast as the first.
        self._connection.execute("CREATE INDEX IF NOT EXISTS submission_path ON submission (path)")
        found = self._connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise sqlite3.DatabaseError(found)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Turn what SQLite says into one sentence about the file."""
        try:
            yield
        except OSError as error:
            raise Unusable(f"{self.path} cannot be opened ({error.strerror or error})") from None
        except sqlite3.OperationalError as error:  # locked, a full disk, a folder that cannot be written
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise Unusable(
                    f"another `workbook grade` is at work in {self.path.parent}; wait for it, or give another --out"
                ) from None
            raise Unusable(f"{self.path} cannot be used ({error})") from None
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError) as error:  # the latter: JSON that is none
            raise Unusable(
                f"{self.path} is damaged ({' '.join(str(error).split())}); move it away to grade everything anew"
            ) from None


def now() -> str:
    """Return the time as it is written into a record."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def rows(records: Sequence[Record]) -> list[GradedSubmission]:
    """Return the rows of the gradebook, with one that counts for each student: the latest that has been graded.

    Of two with the same time, the later name counts. Where none of a student's submissions could be graded, the latest
    counts; where the student is not known, every one does.
    """
    counting: dict[str, Record] = {}
    for record in records:
        student = _same(record.row.student)
        if student and (student not in counting or _precedence(counting[student]) < _precedence(record)):
            counting[student] = record
    return [replace(record.row, counts=counting.get(_same(record.row.student), record) is record) for record in records]


def _same(student: str) -> str:
    """Return a student's name as it is compared: however it is encoded, in whatever case."""
    return normalize("NFC", normalize("NFC", student).casefold())


def _precedence(record: Record) -> tuple[bool, int, str, str]:
    return record.row.readable, record.modified, record.row.name, record.digest


def _values(record: Record) -> tuple[object, ...]:
    packed = {
        "imports": json.dumps(record.row.imports),
        "verdicts": json.dumps([verdict.to_json() for verdict in record.row.verdicts]),
    }
    values = vars(record) | vars(record.row) | packed
    return tuple(values[name] for name in _COLUMNS)


def _record(values: Sequence[Any]) -> Record:
    named = dict(zip(_COLUMNS, values, strict=True))
    named |= {name: bool(named[name]) for name in ("readable", "final", "replaced")}
    named["imports"] = tuple(json.loads(named["imports"]))
    named["verdicts"] = tuple(Verdict.from_json(verdict) for verdict in json.loads(named["verdicts"]))
    row = GradedSubmission(**{name: named.pop(name) for name in _ROW})
    return Record(row, **named)
