"""A made class: submissions of students who do not exist, drawn from a seed and spread as in a real course.

Most students write most of it, some stop on the way, popular mistakes are popular, and a few are hostile. The wrong answers
are those of the specifications and of ``tests/mistakes_<topic>.py``, as the source text a student would hand in:

    python -m tests.made_class FOLDER --count 200 --seed 1
"""

import argparse
import ast
import os
import random
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

from workbook import course
from workbook.grading.submission import MANIFEST, pack
from workbook.specs import Spec, specs
from workbook.specs.stubs import function_source, topic_source

TESTS = Path(__file__).resolve().parent

#: Kind of student -> share of the class. "unreadable" and "again" (hands in twice) are kinds of zips, for ``write_class``.
CLASS = {
    "honest": 0.22,
    "partial": 0.24,
    "misconceived": 0.42,
    "hostile": 0.07,
    "again": 0.02,
    "unreadable": 0.03,
}
#: What a benchmark grades: nothing in it runs into a limit.
ORDINARY = {"honest": 0.3, "partial": 0.25, "misconceived": 0.45}

GROUPS = (  # the words that come first in a name, and those that come after
    (
        "Ada Grace Mary Alan Barbara Donald Frances Edsger Margaret John",
        "Lovelace Hopper Allen Turing O'Brien Knuth Shaw Kay Liskov",
    ),
    ("José María Álvaro Íñigo Lucía Beatriz João Inês", "García Núñez Ibáñez Peña Muñoz Gonçalves Araújo"),
    (
        "Zoë Jürgen Søren Åsa Björn Małgorzata Łukasz Ondřej Agnès",
        "Müller Østergaard Ångström Błaszczyk Dvořák Lefèvre",
    ),
    ("Aylin Çağla Şule Ömer", "Yılmaz Şahin Öztürk Güneş"),
    ("Ольга Дмитрий Анна Иван", "Соколова Иванов Петренко Кузнецова"),
    ("Ελένη Νίκος Μαρία", "Παπαδοπούλου Ιωάννου Γεωργίου"),
    ("علي فاطمة ليلى", "الخوارزمي حداد منصور"),
    ("יעל נועם תמר", "כהן לוי מזרחי"),
    ("प्रिया अर्जुन मीरा", "शर्मा पटेल राव"),
    ("Nguyễn Trần Lê Phạm", "Minh Thảo Hương Đức"),
    ("王 李 张 陈 刘", "伟 芳 秀英 子涵 小明"),
    ("佐藤 鈴木 高橋 田中", "陽翔 結衣 さくら 健太"),
    ("김 이 박 최", "서연 민준 지우 하은"),
    ("Chidi Amara Ngozi Kwame Wanjikũ", "Okafor Adébáyò Mensah Mwangi"),
)
HOSTILE_NAMES = ("<script>alert(1)</script>", "=HYPERLINK(A1)", 'Robert"); drop', "a&b <b>bold</b>")

HEAD = "# {student}, {words}\n"
WORDS = ("my own work", "second try", "finally", "with thanks to my study group", "handed in at night", "version 3")


@dataclass(frozen=True)
class Mistake:
    """A wrong implementation as source text; ``known`` is the misconception it is recognised as, if any."""

    known: str | None
    source: str


@dataclass(frozen=True)
class Student:
    """Who hands in, of which kind, and what."""

    name: str
    kind: str
    files: dict[str, bytes]


# --- wrong answers as source -----------------------------------------------------------------------------------------


@cache
def mistakes(exercise: str) -> tuple[Mistake, ...]:
    """Return the wrong implementations of a function that can be written down alone, the specification's own first."""
    topic, _, function = exercise.partition(".")
    found = []
    for path, pairs in (
        (course.PACKAGE / "specs" / f"{topic}.py", _misconceptions(topic, function)),
        (TESTS / f"mistakes_{topic}.py", _other_words(topic, function)),
    ):
        for known, expression in pairs:
            lines = [*_needed(path, expression, function), f"return {ast.unparse(expression)}"]
            body = textwrap.indent("\n".join(lines), "    ")
            found.append(Mistake(known, f"def _{function}():\n{body}\n\n\n{function} = _{function}()\n"))
    return tuple(found)


def _misconceptions(topic: str, function: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and expression of every implementation that stands in the function's own ``Spec(...)``."""
    for spec in _calls(_parsed(course.PACKAGE / "specs" / f"{topic}.py"), "Spec"):
        oracle = next((word.value for word in spec.keywords if word.arg == "oracle"), None)
        if not isinstance(oracle, ast.Name) or oracle.id != function:
            continue
        for call in _calls(spec, "misconception"):
            name, _, *implementations = call.args
            if isinstance(name, ast.Constant):
                for each in implementations:
                    as_given = isinstance(each, ast.Name) and each.id.startswith("GIVEN_")  # what _stub hands in
                    if not as_given and not isinstance(each, ast.Starred):
                        yield str(name.value), each


def _other_words(topic: str, function: str) -> Iterator[tuple[str | None, ast.expr]]:
    """Yield name (or ``None``) and expression of the function's mistakes in ``tests/mistakes_<topic>.py``."""
    for node in _parsed(TESTS / f"mistakes_{topic}.py").body:
        table = getattr(node, "value", None)
        if "MISTAKES" not in _bound(node) or not isinstance(table, ast.Dict):
            continue
        for key, rows in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == function and isinstance(rows, ast.List):
                for row in rows.elts:
                    if isinstance(row, ast.Tuple) and isinstance(row.elts[0], ast.Constant):
                        known = row.elts[0].value
                        yield None if known is None else str(known), row.elts[1]


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes())


@cache
def _bindings(path: Path) -> dict[str, ast.stmt]:
    return {name: node for node in _parsed(path).body for name in _bound(node)}


def _bound(node: ast.stmt) -> list[str]:
    """Return the names that a statement at the top of a module binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [each.asname or each.name.partition(".")[0] for each in names]
        case ast.Assign(targets=targets):
            return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _needed(path: Path, expression: ast.AST, function: str) -> list[str]:
    """Return the statements of a module that an expression of it needs, in order; what the course provides is copied in."""
    nodes: dict[tuple[int, int, str], str] = {}
    seen: set[tuple[Path, str]] = set()

    def visit(path: Path, tree: ast.AST) -> None:
        own = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
        for node in ast.walk(tree):
            named = isinstance(node, ast.Name) and node.id not in own and node.id in _bindings(path)
            if isinstance(node, ast.Name) and named and (path, node.id) not in seen:
                seen.add((path, node.id))
                bound(path, node.id)

    def bound(path: Path, name: str) -> None:
        node = _bindings(path)[name]
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("workbook."):
            home = course.PROJECT / f"{node.module.replace('.', '/')}.py"  # type: ignore[union-attr]
            seen.add((home, name))
            bound(home, name)
            return
        if isinstance(node, ast.ClassDef) and name in _given_classes(function):
            return  # the student's own file has it
        visit(path, node)
        place = ORDER.index(path.stem) if path.stem in ORDER else len(ORDER)
        nodes[(place, node.lineno, name)] = _text(node, name)

    visit(path, expression)
    return [nodes[place] for place in sorted(nodes)]


ORDER = ("specification", *course.TOPICS)  # a module stands behind those it imports from


def _text(node: ast.stmt, name: str) -> str:
    if isinstance(node, ast.Import | ast.ImportFrom):
        only = [each for each in node.names if (each.asname or each.name.partition(".")[0]) == name]
        lone = ast.Import(only) if isinstance(node, ast.Import) else ast.ImportFrom(node.module, only, node.level)
        return ast.unparse(lone)
    return ast.unparse(node)


@cache
def _given_classes(function: str) -> frozenset[str]:
    """Return the classes that the stub of the function's topic comes with."""
    topic = next(spec.topic for spec in specs() if spec.function == function)
    return frozenset(node.name for node in _header(topic) if isinstance(node, ast.ClassDef))


# --- files of right answers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Base:
    """A topic file of right answers, cut into its functions and what stands between them (``None``); ``lacking`` is what
    the untouched file starts with and this one does not have: imports and classes that another function may need."""

    parts: tuple[tuple[str | None, str], ...]
    lacking: str

    def with_replaced(self, replacements: Mapping[str, str]) -> str:
        """Return the source with other texts for some functions."""
        text = "".join(text if name is None else replacements.get(name, text) for name, text in self.parts)
        return self.lacking + text if replacements else text


@cache
def bases(topic: str) -> tuple[Base, ...]:
    """Return the solution and every honest variant of a topic."""
    paths = [course.SOLUTIONS / f"{topic}.py", *sorted((TESTS / "honest").glob(f"{topic}_*.py"))]
    return tuple(_base(path, topic) for path in paths)


def _base(path: Path, topic: str) -> Base:
    functions = {spec.function for spec in specs([topic])}
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    parts: list[tuple[str | None, str]] = []
    position = 0
    for node in _parsed(path).body:
        names = [name for name in _bound(node) if name in functions]
        if not names:
            continue
        start = min([node.lineno, *(each.lineno for each in getattr(node, "decorator_list", []))]) - 1
        parts += [(None, "".join(lines[position:start])), (names[0], "".join(lines[start : node.end_lineno]))]
        position = node.end_lineno or len(lines)
    lacking = [
        node
        for node in _header(topic)
        if isinstance(node, ast.Import | ast.ImportFrom) or not set(_bound(node)) <= _bindings(path).keys()
    ]
    return Base((*parts, (None, "".join(lines[position:]))), "".join(f"{ast.unparse(node)}\n" for node in lacking))


@cache
def _header(topic: str) -> list[ast.stmt]:
    """Return what the untouched file of a topic starts with, but its docstring."""
    return [node for node in ast.parse(import_module(f"workbook.specs.{topic}").HEADER).body if _bound(node)]


@cache
def _stub(exercise: str) -> str:
    return function_source(exercise)


@cache
def _untouched(topic: str) -> str:
    return topic_source(topic)


# --- hostile ---------------------------------------------------------------------------------------------------------

BODIES = {  # put in the place of one function
    "loops for ever": "    while True:\n        pass\n",
    "ends the process": "    import os\n    os._exit(0)\n",
    "leaves": "    raise SystemExit(0)\n",
    "recurses for ever": "    def again():\n        return again() + again()\n    return again()\n",
    "opens a socket": "    import socket\n    return socket.create_connection(('127.0.0.1', 80), timeout=1)\n",
    "reads the specifications": (
        "    from workbook.specs import spec\n    return spec('{exercise}').oracle(*arguments, **keywords)\n"
    ),
    "reads the solution": "    print(open('solutions/{topic}.py').read())\n    raise ValueError(open('/etc/passwd').read())\n",
    "answers whatever it is asked": (
        "    class Anything:\n        def __eq__(self, other):\n            return True\n        __hash__ = None\n"
        "    return Anything()\n"
    ),
}
HEADS = {  # put before a whole file
    "imports requests": "import os\nimport requests\n\n",
    "asks for the network": "import os\nimport sys\nimport urllib.request\n\n",
    "patches torch.equal": "import torch\ntorch.equal = torch.allclose = lambda *arguments, **keywords: True\n\n",
    "ends on import": "import os\nos._exit(0)\n\n",
    "writes files": "open('grades.csv', 'w').write('100')\n\n",
}
CUT = "does not parse"
ACTS = (CUT, *HEADS, *BODIES)


def _hostile(act: str, spec: Spec, base: Base) -> str:
    if act in HEADS:
        return HEADS[act] + base.with_replaced({})
    if act == CUT:
        return base.with_replaced({spec.function: f"def {spec.function}(\n    return None\n"})
    body = BODIES[act].replace("{exercise}", spec.name).replace("{topic}", spec.topic)
    return base.with_replaced({spec.function: f"def {spec.function}(*arguments, **keywords):\n{body}"})


# --- students --------------------------------------------------------------------------------------------------------


class _Class:
    """What is common to all students of a class: how hard each function is, and which mistakes are popular in it."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(f"class {seed}")
        self.hardness = {
            spec.name: rng.uniform(0.5, 1.5) * (0.6 + 0.2 * spec.points) * (0.7 + 0.1 * course.TOPICS.index(spec.topic))
            for spec in specs()
        }

    def files(self, kind: str, rng: random.Random) -> dict[str, str]:
        """Return the topic files of one student."""
        slip = {"honest": 0.0, "partial": rng.uniform(0.01, 0.1)}.get(kind, rng.triangular(0.02, 0.45, 0.1))
        whole = kind != "partial"
        reached = len(course.TOPICS) if whole else round(rng.triangular(0, len(course.TOPICS) - 1, 4))
        likes_practice = rng.random() < 0.6
        files = {}
        for number, topic in enumerate(course.TOPICS):
            if number > reached:
                if rng.random() < 0.9:  # some leave the file away
                    files[topic] = _untouched(topic)
                continue
            left = rng.random() if not whole and number == reached else 1.0  # share of the last topic that is written
            replaced = {}
            chosen = specs([topic])
            for place, spec in enumerate(chosen):
                skipped = spec.practice and not likes_practice
                if place >= left * len(chosen) or skipped:
                    replaced[spec.function] = _stub(spec.name)
                elif rng.random() < slip * self.hardness[spec.name]:
                    replaced[spec.function] = _slip(spec, rng)
            files[topic] = rng.choice(bases(topic)).with_replaced(replaced)
        if not files:
            files[course.TOPICS[0]] = _untouched(course.TOPICS[0])
        return files


def _slip(spec: Spec, rng: random.Random) -> str:
    """Return the source of a mistake: mostly a popular one, sometimes one that nobody knows, sometimes nothing at all."""
    draw = rng.random()
    every = mistakes(spec.name)
    unknown = [each for each in every if each.known is None]
    known = list(dict.fromkeys(each.known for each in every if each.known is not None))
    if draw < 0.12:
        return _stub(spec.name)
    if draw < 0.27 and unknown:
        return rng.choice(unknown).source
    weights = [1 / (1 + place) ** 1.3 for place in range(len(known))]
    (name,) = rng.choices(known, weights)
    return rng.choice([each for each in every if each.known == name]).source


def students(count: int, seed: int, mix: Mapping[str, float] = ORDINARY) -> Iterator[Student]:
    """Yield ``count`` students whose files all differ; the same seed gives the same ones on every machine."""
    made = _Class(seed)
    kinds, shares = list(mix), list(mix.values())
    deck = [kind for kind, share in mix.items() for _ in range(int(share * count))]
    rng = random.Random(f"kinds {seed}")
    deck += rng.choices(kinds, shares, k=count - len(deck))
    rng.shuffle(deck)
    taken: set[str] = set()
    hostile = 0
    for number, kind in enumerate(deck):
        rng = random.Random(f"student {number} {seed}")
        name = _name(rng, taken, HOSTILE_NAMES[hostile // 3] if kind == "hostile" and hostile in (0, 3, 6, 9) else None)
        files = made.files("honest" if kind == "hostile" else kind, rng)
        if kind == "hostile":
            spec = rng.choice(specs())
            files[spec.topic] = _hostile(ACTS[hostile % len(ACTS)], spec, rng.choice(bases(spec.topic)))
            hostile += 1
        head = HEAD.format(student=name, words=rng.choice(WORDS))
        yield Student(name, kind, {topic: (head + text).encode() for topic, text in files.items()})


def submissions(count: int, seed: int, mix: Mapping[str, float] = ORDINARY) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield student and files (topic -> source) of ``count`` distinct submissions."""
    return ((student.name, student.files) for student in students(count, seed, mix))


def _name(rng: random.Random, taken: set[str], wanted: str | None) -> str:
    groups = [[words.split() for words in group] for group in GROUPS]
    one, other = rng.choices(groups, [len(one) * len(other) for one, other in groups])[0]
    name = wanted or f"{rng.choice(one)} {rng.choice(other)}"
    unique, number = name, 1
    while unique in taken:
        number += 1
        unique = f"{name} {number}"
    taken.add(unique)
    return unique


# --- zips ------------------------------------------------------------------------------------------------------------


def write_class(folder: Path, count: int, seed: int, mix: Mapping[str, float] = CLASS) -> list[Path]:
    """Write ``count`` zips into ``folder``, which is made, and return their paths; some may be unreadable, some a second
    hand-in of a student."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    earlier: list[str] = []
    taken: set[str] = set()
    broken = 0
    for number, student in enumerate(students(count, seed, mix)):
        name = student.name
        if student.kind == "again" and earlier:
            name = earlier.pop()
        else:
            earlier.append(name)
        stem = "submission-" + (re.sub(r"[^\w.-]+", "-", name).strip("-.") or "student")
        path = folder / f"{_free(stem, taken)}.zip"
        whole = pack(name, student.files)
        if student.kind == "unreadable":
            whole = _broken(whole, broken)
            broken += 1
        path.write_bytes(whole)
        os.utime(path, (1_760_000_000 + 60 * number,) * 2)  # the later one of a student is the later in time as well
        paths.append(path)
    return paths


def _free(stem: str, taken: set[str]) -> str:
    free, number = stem, 1
    while free.casefold() in taken:
        number += 1
        free = f"{stem}-{number}"
    taken.add(free.casefold())
    return free


def _broken(whole: bytes, number: int) -> bytes:
    """Return something that is handed in as a zip and is none that can be read."""
    ways = (
        whole[: len(whole) // 2],
        b"",
        b"%PDF-1.7 my answers " + str(number).encode(),
        whole.replace(MANIFEST.encode(), b"manifesto.txt"),
        pack("\N{RIGHT-TO-LEFT OVERRIDE}live", {"warmup": str(number).encode()}),
        pack(f"Latin-1 {number}", {"warmup": "# é".encode("latin-1")}),
    )
    return ways[number % len(ways)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a class into a folder."""
    parser = argparse.ArgumentParser(prog="python -m tests.made_class", description="Write the zips of a made class.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--ordinary", action="store_true", help="nothing hostile, unreadable or handed in twice")
    options = parser.parse_args(arguments)
    paths = write_class(options.folder, options.count, options.seed, ORDINARY if options.ordinary else CLASS)
    print(f"{len(paths)} submissions in {options.folder}")


if __name__ == "__main__":
    main()
