"""Handing in: the learner's files, who the learner is, and the zip made of both."""

import re
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workbook import course
from workbook.files import shown, write_atomically
from workbook.grading.submission import (
    MANIFEST,
    SIZE_LIMIT,
    Unreadable,
    WrongStudent,
    check_encoding,
    pack,
    valid_student,
)


class CannotHandIn(ValueError):
    """No submission can be made; the text says why and what to do."""


@dataclass(frozen=True)
class HandedIn:
    """What was written: the zip, the files in it, for whom, and what the learner should know."""

    path: Path
    names: tuple[str, ...]
    student: str
    warnings: tuple[str, ...]


def hand_in(path: Path | None, student: str | None, ask: Callable[[], str]) -> HandedIn:
    """Write the learner's submission, and remember who the learner is once it is written.

    Args:
        path: the zip to write; ``None`` is ``submission-<student>.zip`` in the current folder.
        student: the name or id; ``None`` is the remembered one, or else what ``ask()`` returns.
        ask: asks the learner.

    Raises:
        CannotHandIn: a file, the name or the path is wrong; nothing was written.
    """
    if path is not None:
        _check_path(path)  # before the learner is asked for anything
    files = _learner_files()
    if student is None:
        student = _remembered() or ask()
    try:
        student = valid_student(student)
    except WrongStudent as error:
        raise CannotHandIn(str(error)) from None
    if path is None:
        path = Path("submission-" + (re.sub(r"[^\w.-]+", "-", student).strip("-.") or "student") + ".zip")
        _check_path(path)
    _write(path, pack(student, files))
    quoted = student.replace("\\", "\\\\").replace('"', '\\"')
    _write(_settings(), f'student = "{quoted}"\n'.encode())
    return HandedIn(path, tuple(f"{topic}.py" for topic in files), student, tuple(_warnings(files)))


def _settings() -> Path:
    return course.PROJECT / ".workbook.toml"


def _remembered() -> str | None:
    path = _settings()
    if not path.exists():
        return None
    try:
        student = tomllib.loads(path.read_text(encoding="utf-8")).get("student")
    except ValueError as error:  # tomllib.TOMLDecodeError and UnicodeDecodeError are both ValueErrors
        raise CannotHandIn(f"{path} cannot be read ({error}); give --student NAME to write it anew") from None
    if student is not None and not isinstance(student, str):
        raise CannotHandIn(f"student in {path} is no text; give --student NAME to write it anew")
    return student


def _learner_files() -> dict[str, bytes]:
    """Return topic -> source, refusing what no grader could read."""
    files = {}
    for topic in course.TOPICS:
        path = course.EXERCISES / f"{topic}.py"
        if not path.exists():
            continue
        data = path.read_bytes()
        try:
            check_encoding(data, shown(path))
        except Unreadable as error:
            raise CannotHandIn(f"{error}; save it as UTF-8 and submit again") from None
        if len(data) > SIZE_LIMIT:
            raise CannotHandIn(f"{shown(path)} has {len(data):,} bytes; a submitted file may have {SIZE_LIMIT:,}")
        files[topic] = data
    if not files:
        anew = f"`workbook reset {course.TOPICS[0]}`"
        raise CannotHandIn(f"there is no topic file in {course.EXERCISES}; {anew} makes one")
    return files


def _warnings(files: Mapping[str, bytes]) -> Iterator[str]:
    for topic in course.TOPICS:
        path = course.EXERCISES / f"{topic}.py"
        if topic not in files:
            yield f"{shown(path)} is not there; it is not handed in"
            continue
        try:
            compile(files[topic], str(path), "exec", dont_inherit=True)
        except SyntaxError as error:
            yield f"line {error.lineno} of {shown(path)} does not parse ({error.msg}); it is handed in as it is"
        except (ValueError, RecursionError, MemoryError) as error:
            yield f"{shown(path)} does not parse ({error}); it is handed in as it is"


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise CannotHandIn(f"{path} is a folder; --out is the zip file to write")
    if not path.parent.is_dir():
        raise CannotHandIn(f"the folder {path.parent} is not there; {path.name} would be written into it")
    if path.exists() and not _is_submission(path):
        raise CannotHandIn(f"{path} is there and is no submission; it is not overwritten")


def _write(path: Path, data: bytes) -> None:
    try:
        write_atomically(path, data)
    except OSError as error:
        raise CannotHandIn(f"{path} cannot be written ({error.strerror or error})") from None


def _is_submission(path: Path) -> bool:
    """Tell an earlier submission from other files, many of which are zips, too: documents, archives of tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MANIFEST in archive.namelist()
