"""Gradescope: the zip that it makes an autograder of, and the run of that autograder on one submission.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/. Gradescope unpacks the zip into source/, runs
setup.sh once, and run_autograder on each submission, which lies unpacked in submission/; what run_autograder prints is for
instructors alone, what results/results.json says is for the student, too.
"""

import contextlib
import dataclasses
import json
import os
import shlex
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbook import course
from workbook.files import write_atomically
from workbook.grading.gradebook import GradedSubmission, grade_submission, unreadable_submission
from workbook.grading.screening import noted_imports
from workbook.grading.submission import NAME_LIMIT, Submission, Unreadable, printable, read_submission
from workbook.release import package, zipped

if TYPE_CHECKING:
    from workbook.specs import Spec

CONFIG = "config.json"
RUN = "run_autograder"
SETUP = "setup.sh"
#: What grading imports beside torch; the rest of the course's dependencies would take Gradescope many minutes.
REQUIREMENTS = ("numpy", "jaxtyping", "safetensors", "jinja2", "packaging", "rich", "pyseccomp")
#: Seconds a function may take here: with every function hanging, a run still ends within Gradescope's ten minutes.
TIME_LIMIT = 5.0

SETUP_TEXT = """\
#!/usr/bin/env bash
# Gradescope runs this once, as root, when it builds the autograder.
set -euo pipefail
cd "${AUTOGRADER_ROOT:-/autograder}/source"
chmod 600 config.json  # the seed of the cases

export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends bubblewrap libseccomp2 ||
    echo "There is no bubblewrap here: submissions will run in processes of their own, without a sandbox."

suits() { "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }
python=
for candidate in python3.11 python3.12 python3.13 python3; do
    if suits "$candidate"; then python=$candidate; break; fi
done
if [ -z "$python" ]; then
    apt-get install -qq --no-install-recommends python3.11 python3.11-venv
    python=python3.11
fi
"$python" -m venv .venv

install() { .venv/bin/python -m pip install --quiet --constraint constraints.txt "$@"; }
install --upgrade pip
install TORCH
install REQUIREMENTS
# What is missing fails here and not at the first submission.
.venv/bin/python -c 'import workbook.grading.gradescope, workbook.grading.worker, workbook.specs'
"""

RUN_TEXT = """\
#!/bin/sh
# Gradescope runs this on every submission. The two variables are there to try it elsewhere.
root="${AUTOGRADER_ROOT:-/autograder}"
cd "$root/source" && exec "${AUTOGRADER_PYTHON:-$root/source/.venv/bin/python}" -m workbook.grading.gradescope "$root"
"""


class CannotWrite(ValueError):
    """The autograder cannot be made, or not there; the text says why."""


def write_autograder(path: Path, topics: Sequence[str], seed: int, torch_index: str | None = None) -> None:
    """Write the zip to upload to Gradescope.

    Args:
        path: the zip; an earlier autograder there is overwritten, and nothing else.
        topics: the topics to grade; none for all.
        seed: what the cases are drawn from. It lies in the zip, which is for instructors.
        torch_index: a package index that has torch built for the CPU alone; ``None`` takes it from the usual one.

    Raises:
        CannotWrite: the path is wrong or cannot be written, or the course's own folder is not there.
    """
    constraints = course.PROJECT / "constraints.txt"
    if path.is_dir():
        raise CannotWrite(f"{path} is a folder; --out is the zip file to write")
    if not path.parent.is_dir():
        raise CannotWrite(f"the folder {path.parent} is not there; {path.name} would be written into it")
    if path.exists() and not _is_autograder(path):
        raise CannotWrite(f"{path} is there and is no autograder; it is not overwritten")
    if not constraints.is_file():
        raise CannotWrite(f"{constraints} is not there; an autograder is made from the course's whole folder")
    try:
        write_atomically(path, _autograder(constraints.read_bytes(), topics, seed, torch_index))
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written ({error.strerror or error})") from None


def _autograder(constraints: bytes, topics: Sequence[str], seed: int, torch_index: str | None) -> bytes:
    (torch,) = (line for line in constraints.decode().splitlines() if line.startswith("torch=="))
    if torch_index is not None:
        torch = f"{torch} --index-url {shlex.quote(torch_index)}"
    setup = SETUP_TEXT.replace("REQUIREMENTS", " ".join(REQUIREMENTS)).replace("TORCH", torch)
    files = {
        SETUP: setup.encode(),
        RUN: RUN_TEXT.encode(),
        CONFIG: (json.dumps({"seed": seed, "topics": list(topics)}) + "\n").encode(),
        "constraints.txt": constraints,
        **package(),
    }
    return zipped(files, programs=(SETUP, RUN))


def _is_autograder(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {SETUP, RUN, CONFIG} <= set(archive.namelist())


def run(root: Path) -> Path:
    """Grade the submission below ``root`` and return the path of its results.

    What the grader itself does wrong is raised: without results Gradescope tells the student to ask, and gives no mark.
    """
    from workbook.grading.reports import gradescope_results
    from workbook.specs import select

    with _config() as config:
        specs = select(config["topics"])
        student = uploader(root / "submission_metadata.json")
        try:
            submission = uploaded(root / "submission", student)
        except Unreadable as reason:
            graded = unreadable_submission("submission", Unreadable(str(reason), student), specs)
        else:
            graded = _graded(submission, specs, config["seed"])
    print(f"{student}: {graded.status}; imports to look at: {', '.join(graded.imports) or 'none'}")
    results = json.dumps(gradescope_results(graded, specs), ensure_ascii=False)
    path = root / "results" / "results.json"
    path.parent.mkdir(exist_ok=True)
    # Half a surrogate pair, which a learner's error message may hold, would be no UTF-8.
    write_atomically(path, results.encode("utf-8", "replace"))
    return path


@contextlib.contextmanager
def _config() -> Iterator[dict[str, Any]]:
    """Yield the configuration, of which nothing is on disk meanwhile.

    Without a sandbox a submission may read files. It could say the seed in an error message, which its author reads, and
    the next one would know every case.
    """
    path = course.PROJECT / CONFIG
    text = path.read_bytes()
    path.unlink()
    try:
        yield json.loads(text)
    finally:
        path.touch(mode=0o600)
        path.write_bytes(text)


def _graded(submission: Submission, specs: "tuple[Spec, ...]", seed: int) -> GradedSubmission:
    from workbook.grading import sandbox
    from workbook.grading.worker import Worker

    with Worker(time_limit=TIME_LIMIT) as worker:
        graded = grade_submission(submission, specs, seed, worker)
        graded = dataclasses.replace(graded, isolation=worker.isolation, imports=noted_imports(submission.files))
    if graded.isolation != "sandbox":
        print(f"The submission ran in processes of its own, without a sandbox. {sandbox.why_not()}")
    return graded


def uploader(path: Path) -> str:
    """Return who handed in, as Gradescope's ``submission_metadata.json`` says; several for a group."""
    try:
        users = json.loads(path.read_bytes())["users"]
        names = [str(user["name"]) for user in users]
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"
    return printable(", ".join(names))[:NAME_LIMIT] or "unknown"


def uploaded(folder: Path, student: str) -> Submission:
    """Read what a student uploaded: the zip of ``workbook submit``, which Gradescope has unpacked, or topic files alone.

    Raises:
        Unreadable: it is neither; the text is the reason, fit for the student.
    """
    rooms = [room for room in _rooms(folder) if any(os.path.lexists(room / f"{topic}.py") for topic in course.TOPICS)]
    if len(rooms) > 1:
        where = " and ".join(printable(str(room.relative_to(folder))) for room in rooms[:2])
        raise Unreadable(f"topic files lie in {where}; hand in one of these folders")
    zips = sorted(folder.glob("*.zip"))
    if not rooms and len(zips) != 1:
        topics = ", ".join(f"{topic}.py" for topic in course.TOPICS)
        raise Unreadable(f"no topic file in it; hand in the zip that `workbook submit` makes, or any of {topics}")
    return dataclasses.replace(read_submission(rooms[0] if rooms else zips[0]), name="submission", student=student)


def _rooms(folder: Path) -> Iterator[Path]:
    """Yield the folders in which topic files may lie, also where all was put into one folder before it was zipped."""
    inner = [path for path in folder.iterdir() if path.is_dir() and not path.name.startswith((".", "__"))]
    roots = [folder, *inner] if len(inner) == 1 and inner[0].name not in ("exercises", "workbook") else [folder]
    for root in roots:
        for room in (root, root / "exercises", root / "workbook" / "exercises"):
            # No link, nor anything below one: it may lead to the grader's own files.
            if room.is_dir() and room.resolve() == folder.resolve() / room.relative_to(folder):
                yield room


if __name__ == "__main__":
    run(Path(sys.argv[1]))
