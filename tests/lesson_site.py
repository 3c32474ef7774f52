"""Builds the lesson site as `make site` does, and reads its pages."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from workbook import course

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


def build(folder: Path) -> Path:
    """Build the site below ``folder`` and return where its pages are; a warning is an error."""
    pages = folder / "html"
    options = ["-q", "-W", "--keep-going", "-c", "docs", "-d", str(folder / "doctrees")]
    command = [sys.executable, "-m", "sphinx", *options, ".", str(pages)]
    ran = subprocess.run(command, cwd=course.PROJECT, capture_output=True, text=True, timeout=300)
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    return pages


class Page(HTMLParser):
    """One page: its anchors, what it refers to and how, its pictures, and its text with the language it is said to be in."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.references: list[tuple[str, str]] = []  # (tag, address)
        self.relations: dict[str, str] = {}  # of <link>: rel -> address
        self.pictures: list[dict[str, str]] = []
        self.texts: list[tuple[str, str, str]] = []  # (innermost tag, language, text)
        self._open: list[tuple[str, str]] = [("", "")]
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        self.references += [
            (tag, given[name]) for name in ("href", "src", "srcset", "data", "poster") if given.get(name)
        ]
        if tag == "link":
            self.relations[given.get("rel", "")] = given.get("href", "")
        if tag == "img":
            self.pictures.append(given)
        if tag == "meta" and given.get("http-equiv") == "refresh":
            self.references.append(("a", given["content"].partition("url=")[2]))
        if tag not in VOID:
            self._open.append((tag, given.get("lang", self._open[-1][1])))

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        while self._open[-1][0] not in (tag, ""):
            self._open.pop()
        if len(self._open) > 1:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        tag, language = self._open[-1]
        self.texts.append((tag, language, data))

    @property
    def text(self) -> str:
        return "".join(text for tag, _, text in self.texts if tag not in ("script", "style"))

    def local(self, address: str) -> tuple[Path, str]:
        """Return the file that a local address leads to, and the anchor in it."""
        parts = urlsplit(address)
        path = (self.path.parent / unquote(parts.path)).resolve() if parts.path else self.path
        return path, unquote(parts.fragment)
