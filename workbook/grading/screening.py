"""What a submission imports beyond the plain tools of the course: a note for the instructor, which never decides a mark."""

import ast
import re
import unicodedata
import warnings
from collections.abc import Iterator, Mapping

#: Top-level modules that every answer may import without a note. ``__future__`` is a switch of the compiler.
PLAIN = frozenset(
    "torch jaxtyping workbook math typing collections itertools functools dataclasses __future__".split()  # noqa: SIM905
)

#: Bytes of a topic file that are read: far above every honest one. Python needs a minute for some of 1 MB.
SCREENED_BYTES = 1 << 16

_NAME = rf"(?:{'|'.join(sorted(PLAIN))})(?:\.\w+)*"
_ALIAS = r"(?: +as +\w+)?"
#: A whole line that imports nothing but plain tools.
_PLAIN_LINE = re.compile(
    rf" *(?:import +{_NAME}{_ALIAS}(?:, *{_NAME}{_ALIAS})*|from +{_NAME} +import +[\w, ]+) *(?:#.*)?", re.ASCII
)
#: What a line has in it that imports, or that may hide it: a declared encoding.
_SUSPECT = re.compile(r"\bimport\b|__import__|import_module|coding")


def noted_imports(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Return the top-level names that topic files import outside ``PLAIN``, sorted; nothing of them is run.

    ``__import__("x")`` and ``importlib.import_module("x")`` count as imports of x; with anything but a literal text they are
    noted under their own names. A file that does not parse gives nothing: it cannot run either. One that is too long or
    too deeply nested to be read in no time is noted as such, or it would be the way around this.

    Args:
        files: topic -> source.
    """
    noted: set[str] = set()
    for topic, source in files.items():
        try:
            noted.update(_imported(source))
        except (RecursionError, MemoryError):
            noted.add(f"({topic}.py:not-screened)")
    return tuple(sorted(noted - PLAIN))


def _imported(source: bytes) -> Iterator[str]:
    if len(source) > SCREENED_BYTES:
        raise MemoryError
    if _is_plain(source):
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about escape sequences, say: they would be shown to the instructor
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # A relative import would be one of the course's own modules.
            yield "." + (node.module or "") if node.level else (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call):
            yield from _called(node)


def _is_plain(source: bytes) -> bool:
    """Whether the text alone shows that nothing can be noted, as for most: a tree takes fifty times as long."""
    try:
        text = unicodedata.normalize("NFKC", source.decode())  # Python reads letters so, too
    except UnicodeDecodeError:
        return False
    text = text.replace("\r\n", "\n")
    return "\r" not in text and all(_PLAIN_LINE.fullmatch(line) for line in _lines_with(_SUSPECT, text))


def _lines_with(pattern: re.Pattern[str], text: str) -> Iterator[str]:
    """Yield the lines of ``text`` in which ``pattern`` is found, some more than once."""
    for found in pattern.finditer(text):
        end = text.find("\n", found.end())
        yield text[text.rfind("\n", 0, found.start()) + 1 : end if end >= 0 else len(text)]


def _called(node: ast.Call) -> Iterator[str]:
    """Yield what a call imports, if it is one of the two functions that import by name."""
    function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if function not in ("__import__", "import_module"):
        return
    name = node.args[0] if node.args else None
    if isinstance(name, ast.Constant) and isinstance(name.value, str):
        yield name.value.partition(".")[0]
    else:
        yield function
