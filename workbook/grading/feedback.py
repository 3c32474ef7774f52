"""Shows verdicts: as text for a terminal, as HTML for a notebook. It reads a verdict and judges nothing.

Hints, the next exercise and the reference answer are the learner's own; reports of grading show none of them.
"""

import html
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from workbook.exercise_order import following, in_order, number
from workbook.figures import difference_image, difference_text
from workbook.graded import implementation
from workbook.grading.verdict import Grids, Verdict
from workbook.hints import LEVELS, hints
from workbook.printing import code_spans
from workbook.references import reference
from workbook.specs import Spec, spec

if TYPE_CHECKING:
    from workbook.grading.checking import Progress

# Of each status: its mark, its colour in a terminal, and one for HTML on which white can be read.
MARKS = {
    "passed": ("✓", "green", "#1a7f37"),
    "wrong": ("✗", "red", "#c62828"),
    "property broken": ("✗", "red", "#c62828"),
    "raised": ("✗", "red", "#c62828"),
    "timed out": ("✗", "red", "#c62828"),
    "not attempted": ("○", "yellow", "#8a6100"),
}

NOTHING_MENDED = "nothing mended"  # what specs call the given wrong code
LONGEST_LIST = 3  # functions that progress names one by one, in a topic


# --- a terminal ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hanging:
    """A text whose lines all begin under each other, ``margin`` columns in; ``label`` stands before the first."""

    text: Text
    margin: int = 2
    label: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        lines = self.text.wrap(console, max(options.max_width - self.margin, 20))
        for place, line in enumerate(lines):
            yield Text.assemble((f"{'' if place else self.label:{self.margin}}", "dim"), line)


@dataclass(frozen=True)
class _Drawn:
    """Wanted, came and the difference, side by side where there is room."""

    grids: Grids

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Hanging]:
        lines = _typed(self.grids, options.max_width - 4).splitlines()
        for line in [*lines, f"■ {self.grids.shown}   ⬚ {self.grids.hidden}"]:
            yield Hanging(Text(line), 4)


def as_text(verdict: Verdict) -> RenderableType:
    """Return the verdict for a terminal, with the command for a hint."""
    if verdict.passed or verdict.status == "not attempted":
        return told(verdict)
    return Group(told(verdict), Hanging(Text(f"A hint: workbook hint {verdict.exercise}", style="dim")))


def told(verdict: Verdict) -> RenderableType:
    """Return what a verdict says, for a terminal."""
    mark, colour, _ = MARKS[verdict.status]
    head = Text.assemble((f"{mark} {verdict.exercise}", f"bold {colour}"), f"   {_points(verdict)}")
    if verdict.passed:
        return head
    lines: list[RenderableType] = [head, Hanging(Text(verdict.reason))]
    if verdict.status == "not attempted":
        where = Hanging(Text(f"Write it in {_file(verdict.exercise)}."))
        return Group(*lines, *([] if _is_gone(verdict) else [where]))
    lines += [Hanging(Text(text), 9, f"  {label}") for label, text in _called(verdict)]
    if verdict.grids is not None:
        lines.append(_Drawn(verdict.grids))
    if verdict.misconception is not None:
        known = Text.assemble("Known as ", (f"“{verdict.misconception}”", "bold"), f". {verdict.advice}")
        lines.append(Hanging(known))
    return Group(*lines)


def as_plain_text(verdict: Verdict) -> str:
    """Return the verdict as text without colours, with the call for a hint and the next exercise: the twin of its HTML."""
    tail = f'  A hint: hint("{verdict.exercise}")'
    if verdict.passed:
        tail = f"  {_next(verdict.exercise)}"
    return f"{_plain(told(verdict))}\n{tail}"


def _typed(grids: Grids, width: int) -> str:
    text = difference_text(grids.wanted, grids.came, width=width)
    return text.partition("\n")[2]  # the reason has the counts already


def _plain(shown: RenderableType) -> str:
    console = Console(width=120, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip()


# --- a notebook ------------------------------------------------------------------------------------------------------

# Words keep the page's own ink, which is readable in every theme; colour is for a mark's ground and an edge. Where a page
# strips styles, as GitHub does, marks, glyphs and words say the same, and <details> still opens.
_BUTTON = (
    "display:inline-block;cursor:pointer;padding:2px 10px;border:1px solid #767676;border-radius:4px;"
    "background-color:rgba(127,127,127,0.12)"
)
_OPENED = "margin:4px 0 8px 0;padding:4px 12px;border-left:2px solid #767676"
_CODE = (
    "font-family:monospace;white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere;margin:0;"
    "background-color:transparent;color:inherit"
)


def as_html(verdict: Verdict) -> str:
    """Return the verdict for a notebook, readable in a light and a dark theme; without scripts, ids or outside files."""
    mark, _, colour = MARKS[verdict.status]
    badge = f'<span style="background-color:{colour};color:#ffffff;padding:0 6px;border-radius:4px">{mark}</span>'
    state = "" if verdict.passed else f" · {verdict.status}"
    parts = [f"<div><b>{badge} {html.escape(verdict.exercise)}</b> · {_points(verdict)}{state}</div>"]
    if verdict.passed:
        parts += [f"<div>{code_spans(_next(verdict.exercise, quoted=True))}</div>", _comparison(spec(verdict.exercise))]
    else:
        parts += [f'<div style="margin:4px 0">{code_spans(verdict.reason)}</div>', *_explained(verdict)]
        parts.append(f'<div style="margin-top:8px">{"".join(_hint_buttons(verdict.exercise))}</div>')
    return f'<div style="border-left:4px solid {colour};padding:4px 12px;margin:4px 0">{"".join(parts)}</div>'


def _explained(verdict: Verdict) -> Iterator[str]:
    if verdict.status == "not attempted" and not _is_gone(verdict):
        yield f"<div>Write it in <code>{html.escape(_file(verdict.exercise))}</code>, save, and run this cell again.</div>"
        return
    rows = "".join(
        '<tr style="background-color:transparent">'
        f'<th scope="row" style="text-align:left;vertical-align:top;padding:2px 12px 2px 0">{label}</th>'
        f'<td style="text-align:left;padding:2px 0"><code style="{_CODE};padding:0">{html.escape(text)}</code></td></tr>'
        for label, text in _called(verdict)
    )
    if rows:
        yield f'<table style="margin:6px 0;border:none">{rows}</table>'
    if verdict.grids is not None:
        yield f"<div>{difference_image(verdict.grids.wanted, verdict.grids.came)}</div>"
        part = "the first slice that differs: " if _differing(verdict.grids) < verdict.leaking + verdict.missing else ""
        words = f"{part}filled = {verdict.grids.shown}, hatched = {verdict.grids.hidden}"
        text = f"{_typed(verdict.grids, 76)}\n■ {verdict.grids.shown}   ⬚ {verdict.grids.hidden}"
        as_letters = _details("The grids as text", f'<pre style="{_CODE}">{html.escape(text)}</pre>')
        yield f'<div style="margin:4px 0">{html.escape(words)} &nbsp; {as_letters}</div>'
    if verdict.misconception is not None:
        name, advice = html.escape(verdict.misconception), code_spans(verdict.advice or "")
        yield f'<div style="margin-top:6px">Known as <b>“{name}”</b>. {advice}</div>'


def _is_gone(verdict: Verdict) -> bool:
    """Whether the function stands in its file no more; the reason says how it comes back."""
    return "workbook reset" in verdict.reason


def _differing(grids: Grids) -> int:
    rows = zip(grids.wanted, grids.came, strict=True)
    return sum(one != other for wanted, came in rows for one, other in zip(wanted, came, strict=True))


def _hint_buttons(name: str) -> Iterator[str]:
    """A button for each level: <details> works without a kernel, by keyboard, and where the page is only read."""
    for level, (kind, text) in enumerate(zip(LEVELS, hints(name), strict=True), start=1):
        text = text.strip()
        body = f"<div>{code_spans(text)}</div>"
        if kind == "pseudocode":
            body = f'<pre style="{_CODE}">{html.escape(text)}</pre>'
        yield _details(f"Hint {level}: {kind}", body)


def _comparison(found: Spec) -> str:
    """The reference to compare with; where the solutions are what is checked there is nothing to compare."""
    if implementation() == "solutions":
        return ""
    answer = reference(found)
    body = f'<div>{html.escape(answer.origin)}</div><pre style="{_CODE}">{html.escape(answer.source)}</pre>'
    return f'<div style="margin-top:8px">{_details("Compare with the reference", body)}</div>'


def _details(summary: str, body: str) -> str:
    look = "display:block;margin:0 0 4px 0"  # one below the other: opening one moves none of the others sideways
    return (
        f'<details style="{look}"><summary style="{_BUTTON}">{html.escape(summary)}</summary>'
        f'<div style="{_OPENED}">{body}</div></details> '
    )


# --- how far one is --------------------------------------------------------------------------------------------------


def progress_text(progress: "Progress") -> str:
    """Return a line a topic with a bar, and the functions that are still open."""
    lines = []
    for topic, verdicts in by_topic(progress.verdicts).items():
        done = sum(verdict.passed for verdict in verdicts)
        points, whole = _sums(verdicts)
        lines.append(
            f"{topic:12} {bar(verdicts)} {done:2} of {len(verdicts):2} functions, {points:2} of {whole:2} points"
        )
        lines += [f"    {words}" for words in _all_open(verdicts)]
    return "\n".join([*lines, *_predicted(progress.predictions)])


def progress_html(progress: "Progress") -> str:
    """Return the progress as a table with bars, which are letters: they stay where styles are stripped."""
    topics = by_topic(progress.verdicts)
    rows = [_progress_row(topic, verdicts, _all_open(verdicts)) for topic, verdicts in topics.items()]
    if len(topics) > 1:
        rows.append(_progress_row("all", progress.verdicts, []))
    heads = "".join(
        f'<th scope="col" style="text-align:left">{words}</th>'
        for words in ("topic", "so far", "functions", "points", "still open")
    )
    tail = "".join(f"<div>{html.escape(line.capitalize())}</div>" for line in _predicted(progress.predictions))
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    # Where it is wider than the window it is scrolled sideways, by the arrow keys, too.
    room = 'tabindex="0" role="group" aria-label="How far you are" style="overflow-x:auto"'
    return f"<div><div {room}>{table}</div>{tail}</div>"


def bar(verdicts: list[Verdict], width: int = 20) -> str:
    """Return how many have passed, drawn; full only when all have."""
    full = width * sum(verdict.passed for verdict in verdicts) // len(verdicts)
    return "█" * full + "░" * (width - full)


def by_topic(verdicts: list[Verdict]) -> dict[str, list[Verdict]]:
    """Return the verdicts of each topic."""
    topics: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        topics.setdefault(verdict.exercise.split(".")[0], []).append(verdict)
    return topics


def _progress_row(topic: str, verdicts: list[Verdict], still_open: list[str]) -> str:
    points, whole = _sums(verdicts)
    done = sum(verdict.passed for verdict in verdicts)
    cells = (
        f'<span aria-hidden="true" style="font-family:monospace;white-space:nowrap">{bar(verdicts)}</span>',
        f"{done} of {len(verdicts)}",
        f"{points} of {whole}",
        "<br>".join(html.escape(words) for words in still_open) or ("all passed" if done == len(verdicts) else ""),
    )
    look = "text-align:left;vertical-align:top"
    rest = "".join(f'<td style="{look}">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row" style="{look}">{html.escape(topic)}</th>{rest}</tr>'


def _sums(verdicts: list[Verdict]) -> tuple[int, int]:
    return sum(verdict.points for verdict in verdicts), sum(verdict.max_points for verdict in verdicts)


def _predicted(made: dict[str, tuple[int, int]]) -> list[str]:
    if not made:
        return []
    right, asked = (sum(pair[place] for pair in made.values()) for place in (0, 1))
    questions = f"{len(made)} question{'s' if len(made) > 1 else ''}"
    return [f"predictions: {right} of {asked} answers and cells right, in {questions}"]


def _all_open(verdicts: list[Verdict]) -> list[str]:
    """The functions that are still open: the first few that were tried one by one, the others by their number."""
    order = [found.name for found in in_order()]
    verdicts = sorted(verdicts, key=lambda verdict: order.index(verdict.exercise))
    tried = [verdict for verdict in verdicts if not verdict.passed and not _untouched(verdict)]
    untouched = [verdict for verdict in verdicts if _untouched(verdict)]
    if len(tried) + len(untouched) <= LONGEST_LIST:
        return [_open(verdict) for verdict in verdicts if not verdict.passed]
    lines = [_open(verdict) for verdict in tried[:LONGEST_LIST]]
    if len(tried) > LONGEST_LIST:
        lines.append(f"✗ and {len(tried) - LONGEST_LIST} more")
    if untouched:
        lines.append(f"○ {len(untouched)} not attempted, the first: {untouched[0].exercise.partition('.')[2]}")
    return lines


def _untouched(verdict: Verdict) -> bool:
    """Whether nothing has been done yet; what is given as wrong code that runs is judged all the same."""
    return verdict.status == "not attempted" or verdict.misconception == NOTHING_MENDED


def _open(verdict: Verdict) -> str:
    mark = MARKS["not attempted" if _untouched(verdict) else verdict.status][0]
    return f"{mark} {verdict.exercise.partition('.')[2]}: {verdict.misconception or verdict.status}"


# --- words -----------------------------------------------------------------------------------------------------------


def _points(verdict: Verdict) -> str:
    practice = " (practice)" if verdict.practice else ""
    unit = "point" if verdict.max_points == 1 else "points"
    return f"{verdict.points} of {verdict.max_points} {unit}{practice}"


def _called(verdict: Verdict) -> list[tuple[str, str]]:
    said = (("called", verdict.call), ("wanted", verdict.wanted), ("came", verdict.came))
    return [(label, text) for label, text in said if text is not None]


def _file(name: str) -> str:
    return f"workbook/exercises/{name.split('.')[0]}.py"


def _next(name: str, quoted: bool = False) -> str:
    """The sentence that leads on, with names between back-ticks where they will be set as code."""
    found = following(name)
    if found is None:
        return "That was the last exercise of the course."
    tick = "`" if quoted else ""
    place = number(found)
    which = f"exercise {place}, " if place else ""
    return f"Next: {which}{tick}{found.name}{tick} in {tick}{_file(found.name)}{tick}"
