"""Putting a function, or a whole topic, back to its untouched text, without git; the old text is kept beside it."""

import ast
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from workbook import course
from workbook.files import keep_beside, shown, write_atomically


class CannotReset(ValueError):
    """The file is such that one function cannot be put back in it; the text says why and what to do."""


@dataclass(frozen=True)
class Reset:
    """What was done: ``written`` is ``False`` when there was nothing to do, ``kept`` when there was no old text."""

    path: Path
    written: bool
    kept: Path | None = None


def reset_topic(topic: str, untouched: str) -> Reset:
    """Write the untouched file of a topic.

    Raises:
        OSError: the file or its folder cannot be read or written.
    """
    return _rewrite(topic, lambda old: untouched.encode())


def reset_function(topic: str, function: str, stub: str, untouched: str) -> Reset:
    """Replace the text of one function, decorators included, by its stub; append the stub where the function is gone.

    Args:
        topic: the topic's name.
        function: the function's name.
        stub: its untouched text.
        untouched: the topic's untouched file, written when the file itself is gone.

    Raises:
        CannotReset: the file does not parse, so that nobody can say where the function is.
        OSError: the file or its folder cannot be read or written.
    """

    def rewritten(old: bytes | None) -> bytes:
        return (
            untouched.encode()
            if old is None
            else replace_function(old, function, stub, shown(course.EXERCISES / f"{topic}.py"), topic)
        )

    return _rewrite(topic, rewritten)


def replace_function(source: bytes, function: str, stub: str, shown: str, topic: str) -> bytes:
    """Return ``source`` with ``stub`` in place of the top-level definitions of ``function``, or at its end.

    All other bytes stay as they are. Of several definitions the last one counts in Python, so the stub goes there.

    Raises:
        CannotReset: ``source`` does not parse; ``shown`` and ``topic`` name it in the sentence.
    """
    advice = f"mend that, or start the whole file anew with `workbook reset {topic}`"
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        where = f"line {error.lineno} of {shown}" if isinstance(error, SyntaxError) and error.lineno else shown
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise CannotReset(f"{function} cannot be found, because {where} does not parse ({reason}): {advice}") from None
    encoding, _ = tokenize.detect_encoding(BytesIO(source).readline)
    lines = source.splitlines(keepends=True)  # bytes: str.splitlines would also break at a form feed
    newline = "\r\n" if lines and lines[0].endswith(b"\r\n") else "\n"
    text = (stub.strip() + "\n").replace("\n", newline)
    try:
        replacement = text.encode("utf-8" if encoding == "utf-8-sig" else encoding)
    except UnicodeEncodeError:
        raise CannotReset(f"{function} cannot be written, because {shown} is in {encoding}: {advice}") from None
    spans = [_span(node, lines) for node in tree.body if _defines(node, function)]
    if not spans:
        end = b"" if not lines or lines[-1].endswith((b"\n", b"\r")) else newline.encode()
        return source + end + (newline * 2).encode() + replacement
    kept: list[bytes] = []
    position = 0
    for number, (start, stop) in enumerate(spans, start=1):
        kept += lines[position:start]
        kept += [replacement] if number == len(spans) else []
        position = stop
    return b"".join(kept + lines[position:])


def _defines(node: ast.stmt, function: str) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == function


def _span(node: ast.stmt, lines: list[bytes]) -> tuple[int, int]:
    """Return the lines of a definition, as a slice: from its first decorator to the indented comments that end it."""
    decorators = getattr(node, "decorator_list", [])
    start = min([node.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    stop = node.end_lineno or node.lineno
    for number in range(stop, len(lines)):
        if re.match(rb"[ \t]+#", lines[number]):
            stop = number + 1
        elif lines[number].strip():
            break
    return start, stop


def _rewrite(topic: str, rewritten: Callable[[bytes | None], bytes]) -> Reset:
    path = course.EXERCISES / f"{topic}.py"
    old = path.read_bytes() if path.exists() else None
    new = rewritten(old)
    if new == old:
        return Reset(path, written=False)
    kept = None if old is None else keep_beside(path, old)
    write_atomically(path, new)
    return Reset(path, written=True, kept=kept)
