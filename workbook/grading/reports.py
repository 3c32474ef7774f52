"""Reports of a class: a page per student, ``class.html`` for the instructor, and ``results.json`` for Gradescope.

Everything is made from the rows of the gradebook. Nothing here grades, and no page needs a network or a script.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import accumulate
from pathlib import Path
from statistics import mean, median
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from workbook import course
from workbook.figures import difference_svg, difference_text
from workbook.files import write_changed
from workbook.grading.gradebook import GradedSubmission, json_names
from workbook.grading.submission import printable
from workbook.grading.verdict import Grids, Verdict
from workbook.printing import code_spans

if TYPE_CHECKING:
    from workbook.specs import Spec

CLASS_PAGE = "class.html"
STUDENTS, RESULTS = "students", "results"
#: Stands near the start of every file written here: only such files are cleared away when their submission is gone.
MARK = f"{course.COURSE} report"
MOST_BARS = 20
SHOWN_IDEAS = 24  # the commonest; the rest is folded
SHOWN_REASONS = 3
SHOWN_RETURNING = 8
WRITERS = 8


@dataclass(frozen=True)
class Kind:
    """How a verdict is shown: a mark and a word, so that no page depends on colour; ``css`` is its class."""

    css: str
    mark: str
    words: str


PASSED = Kind("p", "✓", "passed")
KNOWN = Kind("k", "◆", "a known wrong idea")
WRONG = Kind("w", "✗", "wrong in another way")
BROKEN = Kind("b", "~", "right values, but a property is broken")
RAISED = Kind("r", "!", "raised an error")
TIMED_OUT = Kind("t", "∞", "stopped after the time limit")
UNTRIED = Kind("n", "·", "not attempted, or still as it was given")
KINDS = (PASSED, KNOWN, WRONG, BROKEN, RAISED, TIMED_OUT, UNTRIED)
_KIND_OF = {
    "passed": PASSED,
    "wrong": WRONG,
    "property broken": BROKEN,
    "raised": RAISED,
    "timed out": TIMED_OUT,
    "not attempted": UNTRIED,
}


@dataclass(frozen=True)
class Row:
    """A submission as the reports show it: ``stem`` names its files, ``kinds`` has one kind per graded function."""

    graded: GradedSubmission
    stem: str
    verdicts: tuple[Verdict | None, ...]
    kinds: tuple[Kind, ...]

    @property
    def student(self) -> str:
        return self.graded.student or self.graded.name

    @property
    def link(self) -> str:
        return f"{STUDENTS}/{quote(self.stem)}.html"


@dataclass(frozen=True)
class Idea:
    """A known wrong idea in one exercise, and who had it."""

    exercise: str
    name: str
    advice: str
    who: tuple[Row, ...]
    attempted: int


@dataclass(frozen=True)
class Returning:
    """An idea that goes by one name in several exercises; a student who has it in several of them is counted once."""

    name: str
    students: int
    exercises: tuple[str, ...]


@dataclass(frozen=True)
class Reason:
    """What went wrong in an exercise without being recognised, in the judge's words, and who had it."""

    words: str
    who: tuple[Row, ...]


@dataclass(frozen=True)
class Exercise:
    """What the class did in one exercise; ``reasons`` are the answers that failed and were not recognised."""

    spec: "Spec"
    attempted: int
    passed: int
    trouble: str
    trouble_count: int
    reasons: tuple[Reason, ...]

    @property
    def unrecognised(self) -> int:
        return sum(len(reason.who) for reason in self.reasons)

    def others(self, shown: int) -> tuple[Row, ...]:
        """Return who failed for other reasons than the first ones, which are shown."""
        return _by_name(row for reason in self.reasons[shown:] for row in reason.who)


@dataclass(frozen=True)
class Bar:
    """A bar of the histogram: so many students have ``first`` to ``last`` points."""

    first: int
    last: int
    count: int


@dataclass(frozen=True)
class ClassReport:
    """What ``class.html`` says. ``counted`` are the readable submissions that count, best first."""

    rows: tuple[Row, ...]
    counted: tuple[Row, ...]
    max_points: int
    bars: tuple[Bar, ...]
    ideas: tuple[Idea, ...]
    exercises: tuple[Exercise, ...]

    @property
    def returning(self) -> list[Returning]:
        """The names that stand in three exercises and more, had by most students first."""
        names: dict[str, list[Idea]] = {}
        for idea in self.ideas:
            names.setdefault(idea.name, []).append(idea)
        found = [
            Returning(
                name, len({row.student for idea in ideas for row in idea.who}), tuple(idea.exercise for idea in ideas)
            )
            for name, ideas in names.items()
            if len(ideas) >= 3
        ]
        return sorted(found, key=lambda each: (-each.students, each.name))

    @property
    def points(self) -> list[int]:
        return [row.graded.points or 0 for row in self.counted]

    @property
    def unreadable(self) -> list[Row]:
        return [row for row in self.rows if not row.graded.readable]

    @property
    def replaced(self) -> list[Row]:
        return [row for row in self.rows if row.graded.readable and not row.graded.counts]

    @property
    def unconfined(self) -> list[Row]:
        return [row for row in self.rows if row.graded.isolation not in ("", "sandbox")]

    @property
    def importing(self) -> list[Row]:
        return [row for row in self.rows if row.graded.imports]


# --- what is counted -------------------------------------------------------------------------------------------------


def class_report(graded: Sequence[GradedSubmission], specs: "Sequence[Spec]") -> ClassReport:
    """Count what the rows hold. Those that do not count stand in no statistic, nor do unreadable ones."""
    as_given = _as_given(specs)
    rows = tuple(
        _row(each, name.removesuffix(".json"), specs, as_given)
        for each, name in zip(graded, json_names([each.name for each in graded]), strict=True)
    )
    counted = sorted(
        (row for row in rows if row.graded.readable and row.graded.counts),
        key=lambda row: (-(row.graded.points or 0), row.student.casefold(), row.stem),
    )
    max_points = sum(spec.points for spec in specs)
    exercises = tuple(_exercise(spec, place, counted) for place, spec in enumerate(specs))
    return ClassReport(
        rows=rows,
        counted=tuple(counted),
        max_points=max_points,
        bars=_bars([row.graded.points or 0 for row in counted], max_points),
        ideas=_ideas(counted, {exercise.spec.name: exercise.attempted for exercise in exercises}),
        exercises=exercises,
    )


def _as_given(specs: "Sequence[Spec]") -> frozenset[tuple[str, str]]:
    """Return (exercise, misconception) of code that was left as the file gives it: nobody has written it."""
    return frozenset(
        (spec.name, known.name)
        for spec in specs
        if spec.given is not None
        for known in spec.misconceptions
        if spec.given in known.implementations
    )


def _row(graded: GradedSubmission, stem: str, specs: "Sequence[Spec]", as_given: frozenset[tuple[str, str]]) -> Row:
    by_name = {verdict.exercise: verdict for verdict in graded.verdicts}
    verdicts = tuple(by_name.get(spec.name) for spec in specs)
    return Row(graded, stem, verdicts, tuple(_kind(verdict, as_given) for verdict in verdicts))


def _kind(verdict: Verdict | None, as_given: frozenset[tuple[str, str]]) -> Kind:
    if verdict is None:
        return UNTRIED
    if verdict.misconception is not None:
        return UNTRIED if (verdict.exercise, verdict.misconception) in as_given else KNOWN
    return _KIND_OF[verdict.status]


def _bars(points: Sequence[int], max_points: int) -> tuple[Bar, ...]:
    """Return at most twenty bars of equal width, in a width that reads well; the last one ends with full marks."""
    width = next(width for width in (1, 2, 5, 10, 20, 50, 10**9) if max_points / width < MOST_BARS or width == 10**9)
    counts = Counter(min(number, max_points) // width for number in points)
    return tuple(
        Bar(place * width, min((place + 1) * width - 1, max_points), counts[place])
        for place in range(max_points // width + 1)
    )


def _ideas(counted: Sequence[Row], attempted: Mapping[str, int]) -> tuple[Idea, ...]:
    """Return every known wrong idea that occurs, the commonest first; a student has each at most once."""
    who: dict[tuple[str, str], dict[str, Row]] = {}
    advice: dict[tuple[str, str], str] = {}
    for row in counted:
        for verdict, kind in zip(row.verdicts, row.kinds, strict=True):
            if verdict is not None and verdict.misconception is not None and kind is KNOWN:
                key = (verdict.exercise, verdict.misconception)
                who.setdefault(key, {}).setdefault(row.student, row)
                advice[key] = verdict.advice or ""
    ideas = [Idea(*key, advice[key], _by_name(rows.values()), attempted[key[0]]) for key, rows in who.items()]
    return tuple(sorted(ideas, key=lambda idea: (-len(idea.who), idea.exercise, idea.name)))


def _exercise(spec: "Spec", place: int, counted: Sequence[Row]) -> Exercise:
    troubles: Counter[str] = Counter()
    reasons: dict[str, list[Row]] = {}
    kinds = Counter(row.kinds[place] for row in counted)
    for row in counted:
        verdict, kind = row.verdicts[place], row.kinds[place]
        if verdict is None or kind in (PASSED, UNTRIED):
            continue
        troubles[f"“{verdict.misconception}”" if kind is KNOWN else kind.words] += 1
        if kind is not KNOWN:
            reasons.setdefault(_LINE.sub("", verdict.reason), []).append(row)
    trouble, count = min(troubles.items(), key=lambda pair: (-pair[1], pair[0]), default=("", 0))
    found = [Reason(words, _by_name(rows)) for words, rows in reasons.items()]
    return Exercise(
        spec=spec,
        attempted=len(counted) - kinds[UNTRIED],
        passed=kinds[PASSED],
        trouble=trouble,
        trouble_count=count,
        reasons=tuple(sorted(found, key=lambda reason: (-len(reason.who), reason.words))),
    )


_LINE = re.compile(r" in line \d+")  # where it went wrong in a student's own file makes no other reason


def _by_name(rows: Any) -> tuple[Row, ...]:
    return tuple(sorted(rows, key=lambda row: (row.student.casefold(), row.stem)))


# --- pages -----------------------------------------------------------------------------------------------------------


def class_page(graded: Sequence[GradedSubmission], specs: "Sequence[Spec]") -> str:
    """Return ``class.html``: what an instructor acts on. It links to the student pages and is not for students."""
    return _class_page(class_report(graded, specs))


def student_page(graded: GradedSubmission, specs: "Sequence[Spec]") -> str:
    """Return the page of one submission, to be given to its student: it tells of nobody else, and not the seed."""
    return _student_page(_row(graded, "", specs, _as_given(specs)), specs)


def _class_page(report: ClassReport) -> str:
    points = report.points
    topics = _by_topic(report.exercises)
    template = _environment().get_template(CLASS_PAGE)
    return template.render(
        report=report,
        kinds=KINDS,
        average=mean(points) if points else None,
        middle=median(points) if points else None,
        complete=sum(number == report.max_points for number in points),
        histogram=_histogram(report.bars),
        topics=topics,
        firsts=_first_columns(topics),
        cells=_cells,
        unrecognised=sorted((each for each in report.exercises if each.reasons), key=lambda each: -each.unrecognised),
        noted=[(row, notes) for row in report.rows if (notes := _notes(row.graded))],
        imports=_imports(report.rows),
        returning=report.returning[:SHOWN_RETURNING],
        shown_ideas=SHOWN_IDEAS,
        shown_reasons=SHOWN_REASONS,
    )


def _by_topic(exercises: Sequence[Exercise]) -> dict[str, list[Exercise]]:
    topics: dict[str, list[Exercise]] = {}
    for exercise in exercises:
        topics.setdefault(exercise.spec.topic, []).append(exercise)
    return topics


def _first_columns(topics: Mapping[str, Sequence[Exercise]]) -> list[int]:
    """Return which columns of the heat map begin a topic, counted from 1 as CSS does; two stand before the first."""
    return [3 + before for before in accumulate((len(each) for each in topics.values()), initial=0)][:-1]


def _cells(row: Row) -> Markup:
    """Return the cells of a student's row; written by hand, since a large class has a hundred thousand."""
    cells = []
    for verdict, kind in zip(row.verdicts, row.kinds, strict=True):
        title = (
            f' title="{escape(clean(verdict.misconception or ""))}"' if kind is KNOWN and verdict is not None else ""
        )
        cells.append(f"<td class={kind.css}{title}>{kind.mark}</td>")
    return Markup("".join(cells))


def _imports(rows: Sequence[Row]) -> list[tuple[str, tuple[Row, ...]]]:
    """Return who imports what, the rarest first: what everyone imports is hardly worth a look."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        for name in row.graded.imports:
            found.setdefault(name, []).append(row)
    return sorted(((name, _by_name(who)) for name, who in found.items()), key=lambda pair: (len(pair[1]), pair[0]))


def _histogram(bars: Sequence[Bar]) -> dict[str, Any]:
    """Return where the bars stand, in the units of the drawing."""
    slot, most = (28 if len(bars) > 12 else 44), max((bar.count for bar in bars), default=0)
    every = 1 if slot > 28 else 2  # there is no room for each label
    drawn = [
        {
            "x": place * slot + 2,
            "middle": place * slot + slot / 2,
            "width": slot - 4,
            "height": round(130 * bar.count / most, 1) if most else 0,
            "count": bar.count,
            "first": bar.first,
            "labelled": place % every == 0,
        }
        for place, bar in enumerate(bars)
    ]
    return {"width": slot * len(bars), "bars": drawn, "step": bars[0].last - bars[0].first + 1 if bars else 1}


@dataclass(frozen=True)
class Card:
    """A failed function of a student page, or several that failed for one reason, such as a file that does not load."""

    kind: Kind
    verdict: Verdict
    specs: "tuple[Spec, ...]"

    @property
    def max_points(self) -> int:
        return sum(spec.points for spec in self.specs)

    @property
    def practice(self) -> bool:
        return all(spec.practice for spec in self.specs)

    @property
    def part(self) -> bool:
        """Whether the drawing shows only a part of what leaks or is missing."""
        grids, verdict = self.verdict.grids, self.verdict
        if grids is None:
            return False
        pairs = [pair for rows in zip(grids.wanted, grids.came, strict=True) for pair in zip(*rows, strict=True)]
        return sum(wanted != came for wanted, came in pairs) != verdict.leaking + verdict.missing


@dataclass(frozen=True)
class Topic:
    """A topic of a student page."""

    name: str
    cards: tuple[Card, ...]
    done: "tuple[Spec, ...]"
    left: "tuple[Spec, ...]"
    points: int

    @property
    def specs(self) -> "list[Spec]":
        return [*self.done, *self.left, *(spec for card in self.cards for spec in card.specs)]

    @property
    def max_points(self) -> int:
        return sum(spec.points for spec in self.specs)


def _student_page(row: Row, specs: "Sequence[Spec]") -> str:
    template = _environment().get_template("student.html")
    topics = _topics(row, specs) if row.graded.readable else []
    return template.render(
        row=row, graded=row.graded, topics=topics, notes=_notes(row.graded), drawing=drawing, told=_told
    )


def _topics(row: Row, specs: "Sequence[Spec]") -> list[Topic]:
    entries = list(zip(specs, row.verdicts, row.kinds, strict=True))
    return [
        Topic(
            name=topic,
            cards=_cards([entry for entry in entries if entry[0].topic == topic]),
            done=tuple(spec for spec, _, kind in entries if spec.topic == topic and kind is PASSED),
            left=tuple(spec for spec, _, kind in entries if spec.topic == topic and kind is UNTRIED),
            points=sum(verdict.points for spec, verdict, _ in entries if spec.topic == topic and verdict is not None),
        )
        for topic in dict.fromkeys(spec.topic for spec in specs)
    ]


def _cards(entries: "Sequence[tuple[Spec, Verdict | None, Kind]]") -> tuple[Card, ...]:
    cards: list[Card] = []
    for spec, verdict, kind in entries:
        if verdict is None or kind in (PASSED, UNTRIED):
            continue
        last = cards[-1] if cards else None
        if (
            last is not None
            and verdict.call is None
            and last.verdict.call is None
            and _says(last.verdict) == _says(verdict)
        ):
            cards[-1] = Card(last.kind, last.verdict, (*last.specs, spec))
        else:
            cards.append(Card(kind, verdict, (spec,)))
    return tuple(cards)


def _says(verdict: Verdict) -> tuple[str, str, str | None]:
    return verdict.status, verdict.reason, verdict.misconception


def drawing(grids: Grids) -> Markup:
    """Return wanted, came and the difference as an SVG: marked cells leak (!) or are missing (?)."""
    return Markup(_drawn(*(tuple(map(tuple, grid)) for grid in (grids.wanted, grids.came))))


@lru_cache(maxsize=4096)
def _drawn(wanted: tuple[tuple[bool, ...], ...], came: tuple[tuple[bool, ...], ...]) -> str:
    """The same mistake gives the same drawing for everyone, since a class is asked the same cases."""
    return difference_svg(wanted, came)


@lru_cache(maxsize=4096)
def _typed(wanted: tuple[tuple[bool, ...], ...], came: tuple[tuple[bool, ...], ...]) -> str:
    return difference_text(wanted, came)


def _told(verdict: Verdict) -> list[tuple[str, str]]:
    told = (("called", verdict.call), ("wanted", verdict.wanted), ("came", verdict.came))
    return [(label, text) for label, text in told if text is not None]


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.globals.update(course=course.COURSE, version=course.VERSION, mark=MARK)
    environment.filters["sentence"] = lambda text: Markup(code_spans(clean(text)))
    environment.filters["count"] = _counted
    return environment


def _counted(things: Any, noun: str) -> str:
    """Return "1 student" or "1,000 students", for a number or for what has a length."""
    number = things if isinstance(things, int) else len(things)
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _shown(value: Any) -> Any:
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def clean(text: str) -> str:
    """Return a text of a student's fit to show: what cannot be printed, or turns the direction of writing, is a ``?``."""
    lines = text.expandtabs(4).split("\n")
    return "\n".join(line if line.isprintable() else printable(line) for line in lines)


# --- Gradescope ------------------------------------------------------------------------------------------------------


def gradescope_results(graded: GradedSubmission, specs: "Sequence[Spec]") -> dict[str, Any]:
    """Return what Gradescope reads as ``results.json``: a test per function, whose scores sum up to the points.

    Every text is plain ("text", which Gradescope sets in a ``<pre>``), so that nothing of a submission is taken for HTML or
    Markdown. What the grading printed stays hidden from students.

    Source: https://gradescope-autograders.readthedocs.io/en/latest/specs/, "Output format".
    """
    verdicts = {verdict.exercise: verdict for verdict in graded.verdicts}
    tests = [_test(spec, verdicts.get(spec.name), str(place)) for place, spec in enumerate(specs, start=1)]
    return {
        "extra_data": {"made_by": MARK, "version": course.VERSION},
        "score": graded.points or 0,
        "output": _overall(graded),
        "output_format": "text",
        "test_output_format": "text",
        "test_name_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": tests if graded.readable else [],
    }


def _test(spec: "Spec", verdict: Verdict | None, number: str) -> dict[str, Any]:
    return {
        "name": f"{spec.name} (practice)" if spec.practice else spec.name,
        "number": number,
        "score": 0 if verdict is None else verdict.points,
        "max_score": spec.points,
        "status": "passed" if verdict is not None and verdict.passed else "failed",
        "output": "Not graded." if verdict is None else clean(_output(verdict)),
        "visibility": "visible",
        "tags": [spec.topic],
    }


def _overall(graded: GradedSubmission) -> str:
    if not graded.readable:
        return clean(f"Nothing was graded: {graded.status.removeprefix('unreadable: ')}.")
    passed = sum(verdict.passed for verdict in graded.verdicts)
    lines = [f"{passed} of {len(graded.verdicts)} functions passed: {graded.points} of {graded.max_points} points."]
    return clean("\n".join([*lines, *_notes(graded)]))


def _notes(graded: GradedSubmission) -> list[str]:
    """Return what the gradebook notes beside "graded"."""
    return [note for note in graded.status.split("; ") if note != "graded"] if graded.readable else []


def _output(verdict: Verdict) -> str:
    """Return the verdict as text of one width of letters."""
    if verdict.passed:
        return ""
    lines = [verdict.reason.replace("`", "")]
    lines += [f"{label:7} " + text.replace("\n", "\n        ") for label, text in _told(verdict)]
    if verdict.grids is not None:
        typed = _typed(*(tuple(map(tuple, grid)) for grid in (verdict.grids.wanted, verdict.grids.came)))
        lines += ["", *typed.splitlines()[1:], f"■ {verdict.grids.shown}   ⬚ {verdict.grids.hidden}"]
    if verdict.misconception is not None:
        lines += ["", f"Known as “{verdict.misconception}”. {(verdict.advice or '').replace('`', '')}"]
    return "\n".join(lines)


# --- files -----------------------------------------------------------------------------------------------------------


def write_reports(folder: Path, graded: Sequence[GradedSubmission], specs: "Sequence[Spec]") -> list[Path]:
    """Write ``students/*.html``, ``results/*.json`` and ``class.html`` into ``folder``, and return their paths.

    Files of an earlier run whose submission is no longer there are removed; a file that would not change is left alone.

    Raises:
        OSError: the folder cannot be written.
    """
    report = class_report(graded, specs)
    for name in (STUDENTS, RESULTS):
        (folder / name).mkdir(parents=True, exist_ok=True)
    # Each file waits until the disk has it; side by side they wait together.
    with ThreadPoolExecutor(WRITERS) as writers:
        written = list(writers.map(lambda file: _write(*file), _files(folder, report, specs)))
    page = _write(folder / CLASS_PAGE, _class_page(report))  # last: what it links to is there
    _remove_stale(folder, {path.name for path in written})
    return [*written, page]


def _files(folder: Path, report: ClassReport, specs: "Sequence[Spec]") -> Iterator[tuple[Path, str]]:
    for row in report.rows:
        yield folder / STUDENTS / f"{row.stem}.html", _student_page(row, specs)
        results = gradescope_results(row.graded, specs)
        yield folder / RESULTS / f"{row.stem}.json", json.dumps(results, ensure_ascii=False) + "\n"


def _write(path: Path, text: str) -> Path:
    write_changed(path, text.encode())
    return path


def _remove_stale(folder: Path, kept: set[str]) -> None:
    for path in (*(folder / STUDENTS).glob("*.html"), *(folder / RESULTS).glob("*.json")):
        if path.name not in kept and path.is_file():
            with path.open("rb") as file:
                ours = MARK.encode() in file.read(400)
            if ours:
                path.unlink()
