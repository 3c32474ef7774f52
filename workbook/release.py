"""The learner's edition: the course as its learners get it, without solutions, tests and an instructor's own attempts.

It is made from a short list of rooms, never from whatever lies in the project's folder. The references are in it: a check
on the learner's own machine compares with them (``workbook/specs``).
"""

import hashlib
import io
import json
import re
import stat
import zipfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workbook import course
from workbook.files import write_atomically

#: What a learner gets beside the package, the notebooks and the pictures.
FILES = (
    *("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "pyproject.toml", "constraints.txt", "environment.yml"),
    *("conftest.py", ".gitignore"),
)
SUFFIXES = (".py", ".toml", ".json", ".html", ".css", ".js")  # what the package consists of
INSTRUCTORS_TARGETS = (
    *("test-models", "test-browser", "nbval", "notebooks", "site", "lint", "benchmark", "benchmark-others"),
)
INSTRUCTORS_SECTION = "## Teaching"

#: Lies in every edition that was made here, with the SHA-256 of each of its files.
EDITION = ".edition.json"


class CannotRelease(ValueError):
    """No edition can be made, or not there; the text says why."""


@dataclass(frozen=True)
class Released:
    """What was written: the folder, how many files are in it, and the zip of it if one was wanted."""

    folder: Path
    files: int
    archive: Path | None = None


def release(folder: Path, archive: bool = False) -> Released:
    """Write the learner's edition into ``folder``, and with ``archive`` a zip of it beside it.

    Raises:
        CannotRelease: ``folder`` holds something else, or the course's own folder is not there.
        OSError: something cannot be written.
    """
    before = _made_before(folder)
    zip_path = folder.resolve().with_name(f"{folder.resolve().name}.zip") if archive else None
    if zip_path is not None and zip_path.exists() and not _holds_edition(zip_path):
        raise CannotRelease(f"{zip_path} is there and is no edition of the course; it is not overwritten")
    files = edition()
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    # First of all, so that a folder that was left half written is known again.
    manifest = {"course": course.COURSE, "version": course.VERSION, "files": hashes}
    files = {EDITION: (json.dumps(manifest, indent=2) + "\n").encode(), **files}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    for name in before - set(files):
        (folder / name).unlink(missing_ok=True)
    if zip_path is not None:
        write_atomically(zip_path, zipped({f"{zip_path.stem}/{name}": data for name, data in files.items()}))
    return Released(folder, len(files), zip_path)


def edition() -> dict[str, bytes]:
    """Return the files of the learner's edition, path -> content.

    Raises:
        CannotRelease: the course's own folder is not there, as in an installed copy of the package alone.
    """
    for path in (course.NOTEBOOKS, *(course.PROJECT / name for name in FILES)):
        if not path.exists():
            raise CannotRelease(f"{path} is not there; an edition is made from the course's whole folder")
    files = {name: (course.PROJECT / name).read_bytes() for name in FILES}
    files["Makefile"] = learners_makefile(files["Makefile"].decode()).encode()
    files["README.md"] = learners_readme(files["README.md"].decode()).encode()
    for path in sorted((course.PROJECT / "docs").glob("*.png")):
        files[f"docs/{path.name}"] = path.read_bytes()
    for path in sorted(course.NOTEBOOKS.glob("*.ipynb")):
        files[f"notebooks/{path.name}"] = without_verdicts(path.read_bytes())
    return files | package()


def package() -> dict[str, bytes]:
    """Return the files of the package, path -> content, with the exercises untouched, whatever has been written there."""
    from workbook.specs.stubs import topic_source

    files = {}
    for path in sorted(course.PACKAGE.rglob("*")):
        within = path.relative_to(course.PACKAGE)
        ours = path.suffix in SUFFIXES and ".kept-" not in path.name and within.parts[0] != course.EXERCISES.name
        if ours and path.is_file() and not any(part.startswith((".", "__pycache__")) for part in within.parts):
            files[f"workbook/{within.as_posix()}"] = path.read_bytes()
    files["workbook/exercises/__init__.py"] = (course.PACKAGE / "exercises" / "__init__.py").read_bytes()
    for topic in course.TOPICS:
        files[f"workbook/exercises/{topic}.py"] = topic_source(topic).encode()
    return files


def without_verdicts(notebook: bytes) -> bytes:
    """Return a notebook without the outputs of its checks: it is kept solved, and nothing of a learner has passed yet."""
    content = json.loads(notebook)
    for cell in content["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "nbval-ignore-output" in tags and re.match(r"(check|progress)\(", "".join(cell["source"])):
            cell["outputs"], cell["execution_count"] = [], None
    return (json.dumps(content, ensure_ascii=False, indent=1) + "\n").encode()


def learners_makefile(text: str) -> str:
    """Return the Makefile without the targets that need tests or solutions; `make test` is left, and runs the notebooks."""
    gone = "|".join(INSTRUCTORS_TARGETS)
    names = rf"(?<![\w-])(?:{gone})(?![\w-])"

    def kept(rule: re.Match[str]) -> str:
        targets = re.sub(names, "", rule["targets"]).split()
        if targets == ["test"] and not rule["rest"].lstrip().startswith("export"):
            return (
                "test: $(READY)  ## Run every notebook with what you have written (DEVICE=cpu, cuda, mps or auto)\n"
                "\t$(VENV)/bin/workbook notebooks --device $(DEVICE)\n"
            )
        return f"{rule['comment']}{' '.join(targets)}:{rule['rest']}" if targets else ""

    rule = r"^(?P<comment>(?:#.*\n)*)(?P<targets>[a-z][a-z -]*):(?P<rest>(?!=).*\n(?:\t.*\n)*)"
    text = re.sub(rule, kept, text, flags=re.MULTILINE)
    text = re.sub(r"^\.PHONY:.*$", lambda line: re.sub(" " + names, "", line[0]), text, flags=re.MULTILINE)
    text = re.sub(r"^(?:#.*\n)*PARALLEL :=.*\n", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).rstrip("\n") + "\n"


def learners_readme(text: str) -> str:
    """Return the README without the instructor's section and commands."""
    sections = re.split(r"(?m)^(?=## )", text)
    text = "".join(section for section in sections if not section.startswith(INSTRUCTORS_SECTION))
    text = text.replace("runs every test and every notebook", "runs every notebook with what you have written")
    return text.replace("`make nbval ", "`make test ")


def zipped(files: Mapping[str, bytes], programs: Collection[str] = ()) -> bytes:
    """Return a zip of ``files``, the same bytes on every machine; ``programs`` are those that may be executed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix: else the permissions do not count
            entry.external_attr = (stat.S_IFREG | (0o755 if name in programs else 0o644)) << 16
            archive.writestr(entry, data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _made_before(folder: Path) -> set[str]:
    """Return the files of the edition that ``folder`` holds, after seeing that nothing in there would be lost."""
    if folder.exists() and not folder.is_dir():
        raise CannotRelease(f"{folder} is a file; --out is the folder for the edition")
    rooms = (course.PACKAGE, course.NOTEBOOKS, course.PROJECT / "docs")
    if any(folder.resolve().is_relative_to(room.resolve()) for room in rooms):
        raise CannotRelease(f"{folder} lies inside what is released; choose a folder outside of it")
    if not folder.exists() or not any(folder.iterdir()):
        return set()
    hashes = _recorded(folder / EDITION)
    if hashes is None:
        raise CannotRelease(f"{folder} is not empty and no edition of the course; choose another folder")
    for name, digest in hashes.items():
        path = folder / name
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise CannotRelease(f"{path} was changed since the edition was made; choose another folder")
    return set(hashes)


def _recorded(path: Path) -> dict[str, str] | None:
    """Return the files that an edition lists, with their hashes, or ``None`` if it lists none."""
    try:
        manifest = json.loads(path.read_bytes())
        names = {str(name): str(digest) for name, digest in manifest["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    inside = all(not PurePosixPath(name).is_absolute() and ".." not in PurePosixPath(name).parts for name in names)
    return names if inside and manifest.get("course") == course.COURSE else None


def _holds_edition(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(PurePosixPath(name).parts[1:] == (EDITION,) for name in archive.namelist())
