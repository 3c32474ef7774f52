"""The reports of a class: their numbers are those of the rows, and nothing of a submission is more than text."""

import json
import random
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_class import CLASS, bases, mistakes, students, write_class

from workbook.grading.gradebook import GradedSubmission, unreadable_submission
from workbook.grading.judge import Here, examine
from workbook.grading.reports import (
    KINDS,
    class_page,
    class_report,
    drawing,
    gradescope_results,
    student_page,
    write_reports,
)
from workbook.grading.runner import load, undecorated
from workbook.grading.submission import Unreadable, read_submission
from workbook.grading.verdict import Grids, Verdict
from workbook.specs import Spec, spec, specs

SPECS = specs()
MOST = sum(each.points for each in SPECS)
OVERRIDE = "\N{RIGHT-TO-LEFT OVERRIDE}"
GIVEN = {(each.name, "nothing mended") for each in SPECS if each.given is not None}
VOID = {"meta", "input", "rect", "line", "path", "br"}


# --- reading a page --------------------------------------------------------------------------------------------------


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    text: str = ""
    parents: list["Element"] = field(default_factory=list)

    def within(self, css: str) -> bool:
        return any(css in (parent.attributes.get("class") or "").split() for parent in self.parents)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append(Element(tag, dict(attributes), parents=list(self.open)))
        if tag not in VOID:
            self.open.append(self.elements[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop().tag == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


class Page:
    """A page as its elements, each with the whole text inside it; refuses one whose tags do not match."""

    def __init__(self, html: str) -> None:
        reader = _Reader()
        reader.feed(html)
        reader.close()
        assert not reader.open
        self.html = html
        self.elements = reader.elements

    def all(self, tag: str, within: str = "") -> list[Element]:
        return [each for each in self.elements if each.tag == tag and (not within or each.within(within))]

    def children(self, parent: Element, tag: str) -> list[Element]:
        return [each for each in self.elements if each.tag == tag and any(parent is above for above in each.parents)]

    @property
    def tiles(self) -> dict[str, str]:
        names, numbers = self.all("dt", "tiles"), self.all("dd", "tiles")
        return {name.text: number.text for name, number in zip(names, numbers, strict=True)}

    @property
    def ideas(self) -> Iterator[tuple[str, str, int, list[str]]]:
        """Exercise, name, count and students of each entry of the map of misconceptions."""
        for item in [each for each in self.all("li", "ideas") if not each.within("who")]:
            (heading,) = self.children(item, "h3")
            exercise = self.children(heading, "code")[-1].text
            name = heading.text.removesuffix(f" in {exercise}")
            number = int(self.children(item, "b")[0].text)
            yield exercise, name, number, [each.text for each in self.children(item, "bdi")]

    @property
    def map(self) -> dict[str, list[str]]:
        """Student -> the marks of the heat map."""
        found = {}
        for row in [each for each in self.all("tr", "heat") if each.parents[-1].tag == "tbody"]:
            (name,) = self.children(row, "bdi")
            found[name.text] = [cell.text for cell in self.children(row, "td")][1:]
        return found


# --- rows ------------------------------------------------------------------------------------------------------------


def passed(exercise: Spec) -> Verdict:
    return Verdict(exercise.name, "passed", exercise.points, exercise.points, exercise.practice, cases=8)


def failed(exercise: Spec, status: Any = "wrong", misconception: str | None = None, **more: Any) -> Verdict:
    advice = next((known.advice for known in exercise.misconceptions if known.name == misconception), None)
    told = {"reason": f"It is {status}.", "misconception": misconception, "advice": advice, **more}
    return Verdict(exercise.name, status, 0, exercise.points, exercise.practice, **told)


def graded(student: str, verdicts: Sequence[Verdict], name: str = "", **more: Any) -> GradedSubmission:
    most = sum(verdict.max_points for verdict in verdicts)
    return GradedSubmission(name or f"{student}.zip", student, "graded", True, tuple(verdicts), most, **more)


def unreadable(name: str, reason: str = "not a zip file", student: str = "") -> GradedSubmission:
    return unreadable_submission(name, Unreadable(reason, student), SPECS)


def drawn_verdict(exercise: Spec, rng: random.Random) -> Verdict:
    draw = rng.random()
    if draw < 0.6:
        return passed(exercise)
    if draw < 0.8:
        return failed(exercise, "wrong", rng.choice(exercise.misconceptions[:3]).name)
    status = rng.choice(["wrong", "raised", "timed out", "property broken", "not attempted"])
    return failed(exercise, status, reason=f"It is {status} in line {rng.randrange(9)}.")


def drawn_class(count: int, seed: int) -> list[GradedSubmission]:
    """Rows of which some are unreadable and some replaced by a later one."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        row = graded(f"Student {number}", [drawn_verdict(each, rng) for each in SPECS], isolation="sandbox")
        rows.append(row)
        if number % 9 == 3:
            rows.append(replace(row, name=f"first try {number}", counts=False, verdicts=row.verdicts[::-1]))
        if number % 11 == 5:
            rows.append(unreadable(f"broken {number}"))
    return rows


def known_in(row: GradedSubmission) -> set[tuple[str, str]]:
    found = {(each.exercise, each.misconception) for each in row.verdicts if each.misconception is not None}
    return found - GIVEN  # type: ignore[operator]


# --- the class -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_the_numbers_of_the_class_page_are_those_of_the_rows(seed: int) -> None:
    rows = drawn_class(25, seed)
    counted = [row for row in rows if row.readable and row.counts]
    points = [row.points or 0 for row in counted]
    page = Page(class_page(rows, SPECS))
    assert page.tiles == {
        "students counted": str(len(counted)),
        "mean points": f"{statistics.mean(points):.1f}",
        "median points": f"{statistics.median(points):g}",
        "full marks": str(sum(number == MOST for number in points)),
        "unreadable": str(sum(not row.readable for row in rows)),
        "replaced by a later one": str(sum(not row.counts for row in rows)),
    }
    verdicts = {each.name: [v for row in counted for v in row.verdicts if v.exercise == each.name] for each in SPECS}
    listed = [row for row in page.all("tr", "list") if page.children(row, "td") and page.children(row, "code")]
    for each, line in zip(SPECS, listed[: len(SPECS)], strict=True):
        untried = sum(
            v.status == "not attempted" or (v.exercise, v.misconception) in GIVEN for v in verdicts[each.name]
        )
        numbers = [int(cell.text) for cell in page.children(line, "td")[:3]]
        assert page.children(line, "code")[0].text == each.function
        assert numbers == [each.points, len(counted) - untried, sum(v.passed for v in verdicts[each.name])]


@pytest.mark.parametrize("seed", range(2))
def test_the_map_shows_every_counted_student_and_what_became_of_every_exercise(seed: int) -> None:
    rows = drawn_class(25, seed)
    counted = {row.student: row for row in rows if row.readable and row.counts}
    shown = Page(class_page(rows, SPECS)).map
    by_points = [row.student for row in sorted(counted.values(), key=lambda row: -(row.points or 0))]
    assert [counted[name].points for name in shown] == [counted[name].points for name in by_points]
    marks = {"passed": "✓", "wrong": "✗", "property broken": "~", "raised": "!", "timed out": "∞", "not attempted": "·"}
    assert shown.keys() == counted.keys()
    for student, cells in shown.items():
        for verdict, mark in zip(counted[student].verdicts, cells, strict=True):
            if verdict.misconception is None:
                assert mark == marks[verdict.status]
            else:
                assert mark == ("·" if (verdict.exercise, verdict.misconception) in GIVEN else "◆")


@pytest.mark.parametrize("seed", range(2))
def test_a_misconception_is_counted_once_for_a_student_and_an_exercise(seed: int) -> None:
    rows = drawn_class(25, seed)
    rows += [replace(row, name=f"again {row.name}") for row in rows if row.readable and row.counts][:5]
    who = Counter(pair for pair, _ in {(pair, row.student) for row in rows if row.counts for pair in known_in(row)})
    ideas = list(Page(class_page(rows, SPECS)).ideas)
    shown = {(exercise, name.replace("`", "")): count for exercise, name, count, _ in ideas}
    assert len(shown) == len(ideas)
    assert shown == {(exercise, name.replace("`", "")): count for (exercise, name), count in who.items()}
    assert all(len(set(names)) == len(names) == count for _, _, count, names in ideas)
    assert [count for _, _, count, _ in ideas] == sorted(who.values(), reverse=True)


def test_the_bars_hold_every_counted_student_once() -> None:
    for most in (1, 2, 7, 19, 20, 21, 123, 1_000):
        lone = replace(SPECS[0], points=most)
        rows = [
            graded(f"s{have}", [Verdict(lone.name, "passed", have, most)], f"s{have}")
            for have in {0, 1, most // 2, most}
        ]
        bars = class_report(rows, [lone]).bars
        assert len(bars) <= 21
        assert [bar.first for bar in bars[1:]] == [bar.last + 1 for bar in bars[:-1]]
        assert (bars[0].first, bars[-1].last) == (0, most)
        for bar in bars:
            assert bar.count == sum(bar.first <= (row.points or 0) <= bar.last for row in rows)


def test_code_left_as_it_was_given_is_not_attempted_and_no_misconception() -> None:
    given_one = spec("capstone.cross_attention")
    row = graded("Ada", [failed(given_one, "wrong", "nothing mended")])
    page = Page(class_page([row], [given_one]))
    assert list(page.ideas) == []
    assert page.map == {"Ada": ["·"]}


def test_failures_that_nobody_knows_are_grouped_wherever_they_stand_in_the_file() -> None:
    one = spec("padding.masked_mean")
    rows = [
        graded(f"Student {line}", [failed(one, "raised", reason=f"It raised ValueError in line {line}: no.")])
        for line in (3, 7, 11)
    ]
    (exercise,) = class_report([*rows, graded("Ada", [passed(one)])], [one]).exercises
    assert [(reason.words, len(reason.who)) for reason in exercise.reasons] == [("It raised ValueError: no.", 3)]
    assert (exercise.attempted, exercise.passed, exercise.trouble, exercise.trouble_count) == (
        4,
        1,
        "raised an error",
        3,
    )


def test_rows_that_do_not_count_are_listed_and_stand_in_no_statistic() -> None:
    one = spec("warmup.invert_mask")
    late, early = graded("Ada", [passed(one)], "late.zip"), graded("Ada", [failed(one)], "early.zip", counts=False)
    page = Page(class_page([early, late], [one]))
    assert page.tiles["students counted"] == page.tiles["full marks"] == page.tiles["replaced by a later one"] == "1"
    assert page.map == {"Ada": ["✓"]}
    assert [each.text for each in page.all("li", "who")] == ["early.zip, 0 points"]


def test_what_an_instructor_should_know_of_the_submissions_is_listed() -> None:
    one = spec("warmup.invert_mask")
    rows = [
        graded("Ada", [passed(one)], isolation="processes", imports=("os", "requests")),
        replace(graded("Bo", [passed(one)], isolation="sandbox", imports=("os",)), status="graded; ignored: a.txt"),
        unreadable("c.zip", "no manifest.json in it; was it made with `workbook submit`?"),
    ]
    page = Page(class_page(rows, [one]))
    text = " ".join(page.html.split())
    assert "1 submission ran without the sandbox" in text
    assert "was it made with <code>workbook submit</code>?" in text
    assert [each.text for each in page.all("summary")][-2:] == ["requests: 1 submission", "os: 2 submissions"]
    assert "Bo.zip: ignored: a.txt" in [each.text for each in page.all("li", "who")]
    assert "without the sandbox" not in class_page([replace(rows[0], isolation="sandbox")], [one])


@pytest.mark.parametrize(
    "rows", [[], [unreadable("a.zip"), unreadable("b.zip", "empty", "Bo")]], ids=["none", "broken"]
)
def test_a_class_without_anything_to_grade_has_its_pages(rows: list[GradedSubmission], tmp_path: Path) -> None:
    written = write_reports(tmp_path, rows, SPECS)
    assert len(written) == 1 + 2 * len(rows)
    page = Page((tmp_path / "class.html").read_text(encoding="utf-8"))
    assert (page.tiles["students counted"], page.tiles["mean points"]) == ("0", "–")
    assert page.tiles["unreadable"] == str(len(rows))
    assert [each.text for each in page.all("bdi", "list")] == [text for row in rows for text in (row.name, row.student)]
    assert "No submission that counts could be read." in page.html


# --- a student -------------------------------------------------------------------------------------------------------


def graded_for_real(source: str, exercise: Spec) -> Verdict:
    module = load(f"workbook.exercises.{exercise.topic}", source.encode(), f"{exercise.topic}.py")
    function = undecorated(module, exercise.function)
    assert function is not None
    return examine(exercise, 1, Here(function))


def test_a_student_page_shows_what_failed_and_what_leaked() -> None:
    one = spec("padding.padding_mask")
    verdict = graded_for_real("def padding_mask(input_ids, pad_token_id):\n    return input_ids == 0\n", one)
    rest = [passed(each) for each in specs(["padding"]) if each is not one]
    page = Page(student_page(graded("Ada", [verdict, *rest]), specs(["padding"])))
    (card,) = page.all("article")
    assert verdict.misconception == "padding id fixed at 0"
    for told in (verdict.reason, verdict.call, verdict.wanted, verdict.came, verdict.misconception):
        assert told is not None
        assert told in card.text
    assert (verdict.advice or "").replace("`", "") in card.text
    signs = Counter(each.text for each in page.all("text", "drawn"))
    assert (signs["!"] > 0) is (verdict.leaking > 0)
    assert (signs["?"] > 0) is (verdict.missing > 0)
    assert "masked_mean" in page.html
    assert "masked_mean" not in card.text


GRID = st.integers(1, 6).flatmap(
    lambda keys: st.lists(
        st.lists(st.tuples(st.booleans(), st.booleans()), min_size=keys, max_size=keys), min_size=1, max_size=6
    )
)


@given(GRID)
def test_the_drawing_marks_the_leaking_and_the_missing_cells_and_no_other(cells: list[list[tuple[bool, bool]]]) -> None:
    wanted = [[pair[0] for pair in row] for row in cells]
    came = [[pair[1] for pair in row] for row in cells]
    places = {
        sign: {
            (row, column)
            for row, pairs in enumerate(cells)
            for column, (want, got) in enumerate(pairs)
            if want is not got and got is (sign == "!")
        }
        for sign in "!?"
    }
    page = Page(str(drawing(Grids(wanted, came))))
    # Every cell of the difference is 20 pixels wide and high: places are compared from the first marked one on.
    marked = {
        sign: [
            (float(each.attributes["y"] or 0) / 20, float(each.attributes["x"] or 0) / 20)
            for each in page.all("text")
            if each.text == sign
        ]
        for sign in "!?"
    }
    every = [place for found in marked.values() for place in found]
    assert {sign: len(found) for sign, found in marked.items()} == {sign: len(found) for sign, found in places.items()}
    if every:
        top, left = min(row for row, _ in every), min(column for _, column in every)
        first_row = min(row for found in places.values() for row, _ in found)
        first_column = min(column for found in places.values() for _, column in found)
        for sign, found in marked.items():
            assert {
                (round(row - top) + first_row, round(column - left) + first_column) for row, column in found
            } == places[sign]


def test_functions_that_fail_because_their_file_does_not_load_are_told_once() -> None:
    reason = "padding.py could not be imported: SyntaxError in line 3."
    row = graded("Ada", [failed(each, "raised", reason=reason) for each in specs(["padding"])])
    page = Page(student_page(row, specs(["padding"])))
    (card,) = page.all("article")
    assert all(each.function in card.text for each in specs(["padding"]))
    assert page.html.count(reason) == 1


def test_a_drawing_of_one_sheet_says_that_it_is_a_part() -> None:
    one = spec("padding.expand_padding_mask")
    grids = Grids([[True, False]], [[True, True]])
    part, whole = (failed(one, grids=grids, leaking=leaking, reason="It leaks.") for leaking in (4, 1))
    assert "The first sheet" in student_page(graded("Ada", [part]), [one])
    assert "The first sheet" not in student_page(graded("Ada", [whole]), [one])


def test_a_student_page_stands_alone_and_tells_of_nobody_else(tmp_path: Path) -> None:
    rows = drawn_class(12, 1)
    write_reports(tmp_path, rows, SPECS)
    names = {row.student for row in rows if row.student}
    for row in rows:
        html = (tmp_path / "students" / f"{row.name}.html").read_text(encoding="utf-8")
        page = Page(html)
        assert not page.all("script")
        assert not page.all("a")
        assert not page.all("img")
        assert "class.html" not in html
        others = {name for name in names if name != row.student and not row.student.startswith(name)}
        assert not [name for name in others if f">{name}<" in html]
        for element in page.elements:
            assert not {"src", "href"} & element.attributes.keys()


# --- hostile text ----------------------------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '" onmouseover="alert(1)" x=\'',
    "</bdi></a></th></table></main><img src=x onerror=alert(1)>",
    f"{OVERRIDE}gpj.exe \N{LEFT-TO-RIGHT ISOLATE}\N{ARABIC LETTER MARK}",
    "{{ 7 * 7 }}{% raw %}",
    "a\ud83d half a pair, \x1b[31m red and \x00 null",
    "&lt;b&gt; <!-- ]]> ${x}",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text(text: str, tmp_path: Path) -> None:
    one = spec("padding.padding_mask")
    verdict = failed(one, call=text, wanted=text, came=text, reason=text, misconception=text)
    unknown = failed(one, reason=f"`{text}`")
    rows = [
        replace(graded(text, [verdict], "a.zip", imports=(text,)), status=f"graded; ignored: {text}"),
        graded(f"{text}2", [unknown], "b.zip"),
        unreadable("c.zip", text, text),
    ]
    for path in write_reports(tmp_path, rows, [one]):
        written = path.read_bytes().decode()
        assert not set(written) & {OVERRIDE, "\N{LEFT-TO-RIGHT ISOLATE}", "\N{ARABIC LETTER MARK}", "\x1b", "\x00"}
        if path.suffix == ".json":
            json.loads(written)
            continue
        page = Page(written)
        assert len(page.all("script")) == (path.name == "class.html")
        assert not page.all("img")
        assert not [name for each in page.elements for name in each.attributes if name.startswith("on")]
        shown = "".join(letter if letter.isprintable() else "?" for letter in text)
        if path.name[0] in "ab":
            assert shown in page.all("title")[0].text
        elif path.name == "class.html":
            assert shown in page.map


def test_links_lead_to_pages_whatever_a_submission_is_called(tmp_path: Path) -> None:
    names = ["a#b?c=d%20.zip", "A#B?C=D%20.zip", "a/b\\c.zip", "王伟 é.zip", '".zip', "x" * 300 + ".zip", "a_b_c.zip"]
    one = spec("padding.padding_mask")
    rows = [graded(f"Student {number}", [passed(one)], name) for number, name in enumerate(names)]
    write_reports(tmp_path, rows, [one])
    links = Page((tmp_path / "class.html").read_text(encoding="utf-8")).all("a", "heat")
    assert len({each.attributes["href"] for each in links}) == len(names)
    for link in links:
        linked = tmp_path / unquote(link.attributes["href"] or "")
        assert link.text in Page(linked.read_text(encoding="utf-8")).all("title")[0].text


# --- Gradescope ------------------------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
def test_the_scores_of_the_tests_are_the_points(seed: int) -> None:
    rng = random.Random(seed)
    row = graded("Ada", [drawn_verdict(each, rng) for each in SPECS])
    results = json.loads(json.dumps(gradescope_results(row, SPECS), allow_nan=False))
    assert results["score"] == sum(test["score"] for test in results["tests"]) == row.points
    assert sum(test["max_score"] for test in results["tests"]) == MOST
    for test, verdict, each in zip(results["tests"], row.verdicts, SPECS, strict=True):
        assert test["name"] == each.name + (" (practice)" if each.practice else "")
        assert test["status"] == ("passed" if verdict.passed else "failed")
        assert test["score"] == (test["max_score"] if verdict.passed else 0)
        assert (test["output"] == "") is verdict.passed


def test_results_have_the_keys_and_values_that_gradescope_documents() -> None:
    grids = Grids([[True, False, True]], [[True, True, False]], "seen", "hidden")
    one = spec("padding.padding_mask")
    verdict = failed(one, misconception="inverted", call="f(\n1)", wanted="a", came="b", grids=grids)
    results = gradescope_results(graded("Ada", [verdict]), [one])
    # https://gradescope-autograders.readthedocs.io/en/latest/specs/
    assert results.keys() <= {
        *("score", "execution_time", "output", "output_format", "test_output_format", "test_name_format"),
        *("visibility", "stdout_visibility", "extra_data", "tests", "leaderboard"),
    }
    assert {results[key] for key in ("output_format", "test_output_format", "test_name_format")} == {"text"}
    assert (results["visibility"], results["stdout_visibility"]) == ("visible", "hidden")
    (test,) = results["tests"]
    assert test.keys() <= {
        *("score", "max_score", "status", "name", "name_format", "number", "output", "output_format"),
        *("tags", "visibility", "extra_data"),
    }
    assert "Known as “inverted”" in test["output"]
    assert "(0)" not in test["output"]
    (line,) = [line for line in test["output"].splitlines() if "■" in line and "⬚" in line and "!" in line]
    assert (line.count("!"), line.count("?")) == (1, 1)


def test_an_unreadable_submission_gets_no_score_and_its_reason() -> None:
    results = gradescope_results(unreadable("a.zip", "the zip holds a symbolic link"), SPECS)
    assert (results["score"], results["tests"]) == (0, [])
    assert results["output"] == "Nothing was graded: the zip holds a symbolic link."


# --- files -----------------------------------------------------------------------------------------------------------


def test_reports_of_submissions_that_are_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    rows = drawn_class(4, 1)
    first = write_reports(tmp_path, rows, SPECS)
    foreign = [tmp_path / "students" / "notes.html", tmp_path / "results" / "other.json", tmp_path / "gradebook.csv"]
    for path in foreign:
        path.write_text("mine", encoding="utf-8")
    second = write_reports(tmp_path, rows[1:], SPECS)
    gone = set(first) - set(second)
    assert {path.parent.name for path in gone} == {"students", "results"}
    assert not [path for path in gone if path.exists()]
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == sorted([*second, *foreign])


def test_a_report_that_would_not_change_is_left_alone(tmp_path: Path) -> None:
    rows = drawn_class(5, 1)
    before = {path: path.stat().st_ino for path in write_reports(tmp_path, rows, SPECS)}
    changed = [replace(rows[0], student="Another"), *rows[1:]]
    after = {path: path.stat().st_ino for path in write_reports(tmp_path, changed, SPECS)}
    renewed = {path.relative_to(tmp_path).as_posix() for path in after if after[path] != before[path]}
    assert renewed == {"class.html", f"students/{rows[0].name}.html"}


def test_a_class_of_a_thousand_has_a_page_that_opens() -> None:
    rows = drawn_class(1_000, 1)
    html = class_page(rows, SPECS)
    assert len(html.encode()) < 6_000_000
    assert html.count("<td class=") >= 1_000 * len(SPECS)


def test_pages_are_whole_without_a_network_and_legible_without_colour() -> None:
    html = class_page(drawn_class(10, 1), SPECS)
    page = Page(html)
    for element in page.elements:
        for name in ("src", "href"):
            address = element.attributes.get(name) or "#"
            assert address.startswith(("#", "students/")), address
    assert "http" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert len({kind.mark for kind in KINDS}) == len({kind.words for kind in KINDS}) == len(KINDS)
    legend = [each.text for each in page.all("li", "legend")]
    assert legend == [f"{kind.mark} {kind.words}" for kind in KINDS]


def test_one_topic_alone_can_be_reported(tmp_path: Path) -> None:
    chosen = specs(["padding"])
    rows = [graded("Ada", [passed(each) for each in chosen]), graded("Bo", [passed(chosen[0])])]
    write_reports(tmp_path, rows, chosen)
    page = Page((tmp_path / "class.html").read_text(encoding="utf-8"))
    assert page.map == {"Ada": ["✓"] * 9, "Bo": ["✓", *"·" * 8]}


# --- the made class --------------------------------------------------------------------------------------------------


def test_the_submissions_of_a_made_class_differ_and_repeat_with_their_seed() -> None:
    made = list(students(50, 4, CLASS))
    assert made == list(students(50, 4, CLASS))
    assert len({student.name for student in made}) == len(made)
    assert len({tuple(sorted(student.files.items())) for student in made}) == len(made)
    assert [student.files for student in made] != [student.files for student in students(50, 5, CLASS)]


@pytest.mark.parametrize("exercise", SPECS, ids=lambda exercise: exercise.name)
def test_the_mistakes_of_a_made_class_are_what_they_are_called(exercise: Spec) -> None:
    every = mistakes(exercise.name)
    known = [mistake for mistake in every if mistake.known is not None]
    assert len({mistake.known for mistake in known}) >= 2
    sample = random.Random(exercise.name).sample(every, 3)
    for number, mistake in enumerate([known[0], *sample]):
        source = bases(exercise.topic)[number % len(bases(exercise.topic))]
        verdict = graded_for_real(source.with_replaced({exercise.function: mistake.source}), exercise)
        assert not verdict.passed
        assert verdict.misconception == mistake.known, verdict.reason


def test_the_zips_of_a_made_class_can_be_read_but_for_those_meant_not_to(tmp_path: Path) -> None:
    paths = write_class(tmp_path, 60, 2)
    kinds = Counter(student.kind for student in students(60, 2, CLASS))
    assert len(set(paths)) == len(list(tmp_path.iterdir())) == 60
    names: Counter[str] = Counter()
    broken = 0
    for path in paths:
        try:
            names[read_submission(path).student] += 1
        except Unreadable:
            broken += 1
    assert broken == kinds["unreadable"] > 0
    assert sum(count - 1 for count in names.values()) == kinds["again"] > 0
