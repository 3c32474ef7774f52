"""Writing a file whole or not at all, and naming one to the user."""

import os
import secrets
import shutil
from pathlib import Path

from workbook import course


def shown(path: Path) -> str:
    """Return ``path`` as the user should read it: from the project's folder on where it lies in there."""
    return str(path.relative_to(course.PROJECT)) if path.is_relative_to(course.PROJECT) else str(path)


def write_atomically(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``: a reader sees the old text or the new one, and an error leaves the old one.

    A symbolic link keeps pointing where it points, and an existing file keeps its permissions.

    Raises:
        OSError: the folder is not there or cannot be written.
    """
    path = path.resolve()
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")  # beside it: os.replace cannot cross file systems
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_changed(path: Path, data: bytes) -> None:
    """Write ``data`` as ``write_atomically`` does, unless it stands there already: waiting for the disk is dear.

    Raises:
        OSError: the folder is not there or cannot be written.
    """
    if not path.is_file() or path.read_bytes() != data:
        write_atomically(path, data)


def keep_beside(path: Path, data: bytes) -> Path:
    """Write ``data`` to the first free ``<stem>.kept-<number><suffix>`` beside ``path`` and return that path.

    Raises:
        OSError: the folder cannot be written.
    """
    number = 1
    while True:
        kept = path.with_name(f"{path.stem}.kept-{number}{path.suffix}")
        try:
            file = kept.open("xb")  # exclusive: an earlier kept text is never overwritten
        except FileExistsError:
            number += 1
            continue
        try:
            with file:
                file.write(data)
        except BaseException:
            kept.unlink(missing_ok=True)
            raise
        return kept
