"""Submissions: the zip that a learner hands in, and reading one that may be broken or hostile.

A zip holds ``manifest.json`` (course, version, student, the SHA-256 of each file) and ``exercises/<topic>.py``. Nothing
is unpacked to disk, no size written in the zip is trusted, and nothing of a submission is run here.
"""

import hashlib
import io
import json
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from workbook import course

MANIFEST = "manifest.json"
SIZE_LIMIT = 1 << 20  # bytes of one file of a submission, unpacked
ZIP_LIMIT = 32 << 20  # bytes of the zip itself: far above every honest one
ENTRY_LIMIT = 1_000
NAME_LIMIT = 200  # characters of a student's name


class WrongPath(ValueError):
    """A path given to the command that can be no submission; the text says which and why."""


class WrongStudent(ValueError):
    """A student's name that cannot stand in a gradebook; the text says why."""


class Unreadable(ValueError):
    """A submission that cannot be read; the text is the reason, ``student`` the name if that much could be read."""

    def __init__(self, reason: str, student: str = "") -> None:
        super().__init__(reason)
        self.student = student


@dataclass(frozen=True)
class Submission:
    """A submission that could be read: whose it is, the source of each topic, and what the gradebook should note."""

    name: str
    student: str
    files: Mapping[str, bytes] = field(repr=False)
    notes: tuple[str, ...] = ()


def printable(text: str) -> str:
    """Return ``text`` with every character that cannot be printed or encoded replaced by ``?``."""
    return "".join(character if character.isprintable() else "?" for character in text)


def valid_student(name: str) -> str:
    """Return the student's name without surrounding blanks.

    Raises:
        WrongStudent: it is empty, longer than 200 characters, or holds a character that cannot be printed.
    """
    name = name.strip()
    if not name:
        raise WrongStudent("the student's name is empty")
    if len(name) > NAME_LIMIT:
        raise WrongStudent(f"the student's name has {len(name)} characters; {NAME_LIMIT} are allowed")
    if not name.isprintable():
        raise WrongStudent(f"the student's name {printable(name)!r} holds a character that cannot be printed")
    return name


def topic_entry(topic: str) -> str:
    """Return the name of a topic's file inside the zip."""
    return f"exercises/{topic}.py"


def check_encoding(data: bytes, name: str, student: str = "") -> str:
    """Return ``data`` as text.

    Raises:
        Unreadable: it is not UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable(f"{name} is not UTF-8 (byte 0x{data[error.start]:02x} at {error.start})", student) from None


def pack(student: str, files: Mapping[str, bytes]) -> bytes:
    """Return the zip of a submission; the same student and files give the same bytes on every machine.

    Args:
        student: the name or id, as ``valid_student`` returns it.
        files: topic -> source.
    """
    entries = {topic_entry(topic): files[topic] for topic in sorted(files)}
    manifest = {
        "course": course.COURSE,
        "version": course.VERSION,
        "student": student,
        "files": {name: hashlib.sha256(data).hexdigest() for name, data in entries.items()},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {MANIFEST: json.dumps(manifest, ensure_ascii=False, indent=2).encode(), **entries}.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # else Windows and Linux write different bytes
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def find_submissions(paths: Sequence[Path], skip: Path | None = None) -> dict[Path, str]:
    """Return the submissions that ``paths`` name, each once and in their order, with a name that no two have.

    A folder of submissions gives each child, by name. A child without topic files that holds zips is a student's folder
    in a download of Moodle's: it gives its zips, named ``folder/zip``.

    Args:
        paths: zips, folders that directly hold a topic file, or folders of submissions.
        skip: a folder that is no submission wherever it lies: where the grades go.

    Raises:
        WrongPath: a path is not there, cannot be listed, or is a folder without any submission.
    """
    found: dict[Path, int] = {}  # how many parts of the path are its name
    for path in paths:
        if not path.exists():
            raise WrongPath(f"{path} is not there")
        if not path.is_dir() or _holds_topic_file(path):
            found[path] = 1
            continue
        children = [child for child in _children(path) if skip is None or child.resolve() != skip.resolve()]
        if not children:
            raise WrongPath(f"{path} is a folder without a submission in it: no topic file, no zip, no folder")
        for child in children:
            zips = _zips(child)
            found |= dict.fromkeys(zips, 2) if zips else {child: 1}
    once = {os.path.abspath(path): path for path in reversed(found)}
    return _unique_names({path: parts for path, parts in found.items() if once[os.path.abspath(path)] is path})


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(child for child in folder.iterdir() if not child.name.startswith("."))
    except OSError as error:
        raise WrongPath(f"{folder} cannot be listed ({error.strerror})") from None


def _zips(folder: Path) -> list[Path]:
    """Return the zips of a folder that is no submission itself, and none of what is no such folder."""
    if not folder.is_dir() or _holds_topic_file(folder):
        return []
    try:
        children = _children(folder)
    except WrongPath:  # it gets its row as what it is: a folder that cannot be read
        return []
    return [child for child in children if child.suffix.lower() == ".zip" and not child.is_dir()]


def _unique_names(found: dict[Path, int]) -> dict[Path, str]:
    """Name each path by as many of its last parts as are asked for, and more where two names would be the same."""
    parts = {path: Path(os.path.abspath(path)).parts for path in found}
    while True:
        names = {path: printable("/".join(parts[path][-number:])) for path, number in found.items()}
        often = Counter(names.values())
        alike = [path for path, name in names.items() if often[name] > 1 and found[path] < len(parts[path])]
        if not alike:
            return names
        found = found | {path: found[path] + 1 for path in alike}


def submission_name(path: Path) -> str:
    """Return the whole name of a submission's zip or folder, fit to print."""
    return printable(Path(os.path.abspath(path)).name or str(path))


def modified(path: Path) -> int:
    """Return when a submission was changed last, in nanoseconds: the zip, or the newest of the folder's topic files."""
    try:
        times = [
            (path / f"{topic}.py").lstat().st_mtime_ns
            for topic in course.TOPICS
            if os.path.lexists(path / f"{topic}.py")
        ]
        return max(times, default=path.lstat().st_mtime_ns)
    except OSError:
        return 0  # what cannot be looked at is older than everything else


def read_submission(path: Path) -> Submission:
    """Read a zip that ``workbook submit`` made, or a folder that directly holds topic files.

    Raises:
        Unreadable: it is neither, or unsafe to read; the text is the reason, fit for a row of the gradebook.
    """
    try:
        return _read_folder(path) if path.is_dir() else _read_zip(path)
    except OSError as error:
        raise Unreadable(f"cannot be opened ({error.strerror or error})") from None


def _holds_topic_file(folder: Path) -> bool:
    return any(os.path.lexists(folder / f"{topic}.py") for topic in course.TOPICS)


def _read_folder(folder: Path) -> Submission:
    if not _holds_topic_file(folder):
        raise Unreadable(f"a folder that holds none of {', '.join(f'{topic}.py' for topic in course.TOPICS)}")
    student = submission_name(folder)
    files = {}
    for topic in course.TOPICS:
        path = folder / f"{topic}.py"
        if not os.path.lexists(path):
            continue
        if not stat.S_ISREG(path.lstat().st_mode):  # a link may lead to a device or to someone else's file
            raise Unreadable(f"{path.name} is no plain file", student)
        with path.open("rb") as file:
            data = file.read(SIZE_LIMIT + 1)
        if len(data) > SIZE_LIMIT:
            raise Unreadable(f"{path.name} is larger than {SIZE_LIMIT:,} bytes", student)
        check_encoding(data, path.name, student)
        files[topic] = data
    return Submission(student, student, files)


def _read_zip(path: Path) -> Submission:
    if not stat.S_ISREG(path.stat().st_mode):
        raise Unreadable("neither a zip nor a folder")
    with path.open("rb") as file:
        data = file.read(ZIP_LIMIT + 1)
    if len(data) > ZIP_LIMIT:
        raise Unreadable(f"larger than {ZIP_LIMIT:,} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_archive(archive, submission_name(path))
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, NotImplementedError, OSError) as error:
        raise Unreadable(f"not a zip file that can be read ({printable(str(error)) or type(error).__name__})") from None
    except Unreadable:
        raise
    except (ValueError, RuntimeError, OverflowError) as error:  # what zipfile raises on some damaged headers
        raise Unreadable(f"not a zip file that can be read ({printable(str(error))})") from None


def _read_archive(archive: zipfile.ZipFile, name: str) -> Submission:
    wanted = {topic_entry(topic): topic for topic in course.TOPICS}
    entries, ignored = _safe_entries(archive, {MANIFEST, *wanted})
    if MANIFEST not in entries:
        raise Unreadable(f"no {MANIFEST} in it; was it made with `workbook submit`?")
    version, student, hashes = _read_manifest(_read_entry(archive, entries.pop(MANIFEST)))
    if not entries:
        raise Unreadable(f"no {topic_entry('<topic>')} in it", student)
    files = {}
    for entry_name, entry in entries.items():
        data = _read_entry(archive, entry, student)
        check_encoding(data, entry_name, student)
        files[wanted[entry_name]] = data
    notes = [] if version == course.VERSION else [f"made with course version {version}, this is {course.VERSION}"]
    notes += _hash_notes(hashes, {topic_entry(topic): data for topic, data in files.items()})
    if ignored:
        more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
        notes.append(f"ignored: {', '.join(printable(each)[:80] for each in ignored[:3])}{more}")
    return Submission(name, student, files, tuple(notes))


def _safe_entries(archive: zipfile.ZipFile, wanted: set[str]) -> tuple[dict[str, zipfile.ZipInfo], list[str]]:
    """Return the entries that a submission has, by name, and the names of all others."""
    if len(archive.infolist()) > ENTRY_LIMIT:
        raise Unreadable(f"the zip has more than {ENTRY_LIMIT:,} entries")
    entries: dict[str, zipfile.ZipInfo] = {}
    ignored = []
    for entry in archive.infolist():
        shown = printable(entry.orig_filename)[:80]
        # orig_filename: zipfile itself cuts a name at its first NUL and turns the system's separators into "/".
        path = PurePosixPath(entry.orig_filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or "\0" in entry.orig_filename or entry.orig_filename[1:2] == ":":
            raise Unreadable(f"the zip names a path outside itself: {shown}")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise Unreadable(f"the zip holds a symbolic link: {shown}")
        if entry.filename not in wanted:
            if not entry.is_dir():
                ignored.append(entry.filename)
        elif entry.filename in entries:
            raise Unreadable(f"the zip holds {shown} twice")
        else:
            entries[entry.filename] = entry
    return entries, ignored


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, student: str = "") -> bytes:
    if entry.flag_bits & 1:
        raise Unreadable(f"{entry.filename} is encrypted", student)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        # Only for these two does zipfile bound the memory that one read may take.
        raise Unreadable(f"{entry.filename} is packed in an unusual way", student)
    with archive.open(entry) as file:
        data = file.read(SIZE_LIMIT + 1)  # the size in the header may lie
    if len(data) > SIZE_LIMIT:
        raise Unreadable(f"{entry.filename} is larger than {SIZE_LIMIT:,} bytes", student)
    return data


def _read_manifest(data: bytes) -> tuple[str, str, dict[str, str]]:
    """Return the course version, the student and name -> SHA-256."""
    text = check_encoding(data, MANIFEST)
    try:
        manifest = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"{MANIFEST} is not JSON") from None
    if not isinstance(manifest, dict):
        raise Unreadable(f"{MANIFEST} is not a JSON object")
    for key, kind in {"course": str, "version": str, "student": str, "files": dict}.items():
        if not isinstance(manifest.get(key), kind):
            raise Unreadable(f"{MANIFEST} has no valid {key!r}")
    if manifest["course"] != course.COURSE:
        raise Unreadable(f"{MANIFEST} is of the course {printable(manifest['course'])[:80]!r}, not {course.COURSE!r}")
    if not all(isinstance(value, str) for value in manifest["files"].values()):
        raise Unreadable(f"{MANIFEST} has no valid 'files'")
    try:
        student = valid_student(manifest["student"])
    except WrongStudent as error:
        raise Unreadable(f"{MANIFEST}: {error}") from None
    return printable(manifest["version"])[:40], student, manifest["files"]


def _hash_notes(hashes: Mapping[str, str], files: Mapping[str, bytes]) -> Iterator[str]:
    for name, data in files.items():
        if name not in hashes:
            yield f"{name} is not in {MANIFEST}"
        elif hashes[name].lower() != hashlib.sha256(data).hexdigest():
            yield f"{name} does not match its SHA-256 in {MANIFEST}"
    for topic in course.TOPICS:
        if topic_entry(topic) in hashes and topic_entry(topic) not in files:
            yield f"{topic_entry(topic)} is in {MANIFEST} but not in the zip"
