"""Shows verdicts: as text for a terminal, as HTML for a notebook. It reads a verdict and judges nothing."""

import html
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from workbook.figures import difference_image, difference_text
from workbook.grading.verdict import Verdict
from workbook.printing import code_spans

if TYPE_CHECKING:
    from workbook.grading.checking import Progress

MARKS = {
    "passed": ("✓", "green", "#2e9e4f"),
    "wrong": ("✗", "red", "#d64545"),
    "property broken": ("✗", "red", "#d64545"),
    "raised": ("✗", "red", "#d64545"),
    "timed out": ("✗", "red", "#d64545"),
    "not attempted": ("○", "yellow", "#b58900"),
}


def as_text(verdict: Verdict) -> RenderableType:
    """Return the verdict for a terminal."""
    mark, colour, _ = MARKS[verdict.status]
    lines = [Text.assemble((f"{mark} {verdict.exercise}", f"bold {colour}"), f"   {_points(verdict)}")]
    if verdict.passed:
        return lines[0]
    lines.append(Text(f"  {verdict.reason}"))
    if verdict.status == "not attempted":
        lines.append(Text(f"  Write it in workbook/exercises/{verdict.exercise.split('.')[0]}.py."))
        return Group(*lines)
    for label, told in _told(verdict):
        lines.append(Text.assemble((f"  {label:7}", "dim"), told))
    if verdict.grids is not None:
        text = difference_text(verdict.grids.wanted, verdict.grids.came)
        lines += [Text("    " + line) for line in text.splitlines()[1:]]  # the reason has the counts already
        lines.append(Text(f"    ■ {verdict.grids.shown}   ⬚ {verdict.grids.hidden}"))
    if verdict.misconception is not None:
        lines.append(Text.assemble(("  Known as ", ""), (f"“{verdict.misconception}”", "bold"), f". {verdict.advice}"))
    lines.append(Text(f"  A hint: workbook hint {verdict.exercise}", style="dim"))
    return Group(*lines)


def as_plain_text(verdict: Verdict) -> str:
    """Return the verdict as text without colours: the twin of its HTML."""
    return _plain(as_text(verdict)).replace(f"workbook hint {verdict.exercise}", f'hint("{verdict.exercise}")')


def as_html(verdict: Verdict) -> str:
    """Return the verdict for a notebook, readable in a light and a dark theme; without scripts, ids or outside files."""
    mark, _, colour = MARKS[verdict.status]
    # Words keep the page's own ink, which is readable in every theme; colour is for the mark and the edge.
    name = f'<b><span style="color:{colour}">{mark}</span> {html.escape(verdict.exercise)}</b>'
    parts = [f"{name} &nbsp; {_points(verdict)}"]
    if not verdict.passed:
        parts.append(f"<div>{code_spans(verdict.reason)}</div>")
    if verdict.status == "not attempted":
        topic = html.escape(verdict.exercise.split(".")[0])
        parts.append(
            f"<div>Write it in <code>workbook/exercises/{topic}.py</code>, save, and run this cell again.</div>"
        )
    elif not verdict.passed:
        rows = "".join(
            f'<tr><td style="text-align:left;vertical-align:top;padding:2px 12px 2px 0">{label}</td>'
            f'<td style="text-align:left"><code style="white-space:pre-wrap">{html.escape(told)}</code></td></tr>'
            for label, told in _told(verdict)
        )
        if rows:
            parts.append(f'<table style="margin:6px 0;border:none">{rows}</table>')
        if verdict.grids is not None:
            parts.append(difference_image(verdict.grids.wanted, verdict.grids.came))
            words = f"drawn: filled = {verdict.grids.shown}, hatched = {verdict.grids.hidden}"
            parts.append(f"<div><small>{html.escape(words)}</small></div>")
        if verdict.misconception is not None:
            name, advice = html.escape(verdict.misconception), code_spans(verdict.advice or "")
            parts.append(f'<div style="margin-top:6px">Known as <b>“{name}”</b>. {advice}</div>')
        parts.append(f'<div style="margin-top:6px">A hint: <code>hint("{html.escape(verdict.exercise)}")</code></div>')
    return f'<div style="border-left:4px solid {colour};padding:4px 12px;margin:4px 0">{"".join(parts)}</div>'


def progress_text(progress: "Progress") -> str:
    """Return a line a topic with a bar, and the functions that are still open."""
    lines = []
    for topic, verdicts in _by_topic(progress.verdicts).items():
        done = sum(verdict.passed for verdict in verdicts)
        bar = "█" * round(20 * done / len(verdicts))
        points, whole = (sum(getattr(verdict, name) for verdict in verdicts) for name in ("points", "max_points"))
        lines.append(f"{topic:12} {bar:░<20} {done:2} of {len(verdicts):2} functions, {points:2} of {whole:2} points")
        lines += [f"    {words}" for words in _all_open(verdicts)]
    if progress.predictions:
        right, cells = (sum(pair[place] for pair in progress.predictions.values()) for place in (0, 1))
        lines.append(f"predictions: {right} of {cells} right, in {len(progress.predictions)} questions")
    return "\n".join(lines)


def progress_html(progress: "Progress") -> str:
    """Return the progress as a table with bars."""
    rows = []
    for topic, verdicts in _by_topic(progress.verdicts).items():
        done = sum(verdict.passed for verdict in verdicts)
        points, whole = (sum(getattr(verdict, name) for verdict in verdicts) for name in ("points", "max_points"))
        todo = "<br>".join(html.escape(words) for words in _all_open(verdicts))
        bar = f'<progress value="{done}" max="{len(verdicts)}" style="width:160px"></progress>'
        cells = (
            f"<b>{html.escape(topic)}</b>",
            bar,
            f"{done} of {len(verdicts)} functions",
            f"{points} of {whole} points",
        )
        rows.append("".join(f'<td style="text-align:left">{cell}</td>' for cell in (*cells, todo)))
    table = "".join(f"<tr>{row}</tr>" for row in rows)
    tail = ""
    if progress.predictions:
        right, cells_asked = (sum(pair[place] for pair in progress.predictions.values()) for place in (0, 1))
        tail = f"<div>Predictions: {right} of {cells_asked} right, in {len(progress.predictions)} questions</div>"
    return f"<div><table>{table}</table>{tail}</div>"


def _points(verdict: Verdict) -> str:
    practice = " (practice)" if verdict.practice else ""
    unit = "point" if verdict.max_points == 1 else "points"
    return f"{verdict.points} of {verdict.max_points} {unit}{practice}"


def _told(verdict: Verdict) -> list[tuple[str, str]]:
    told = (("called", verdict.call), ("wanted", verdict.wanted), ("came", verdict.came))
    return [(label, text) for label, text in told if text is not None]


def _all_open(verdicts: list[Verdict]) -> list[str]:
    """The functions that are still open: those that were tried one by one, the others by their number."""
    tried = [verdict for verdict in verdicts if not verdict.passed and verdict.status != "not attempted"]
    untouched = [verdict for verdict in verdicts if verdict.status == "not attempted"]
    if len(untouched) <= 3:
        return [_open(verdict) for verdict in verdicts if not verdict.passed]
    first = untouched[0].exercise.partition(".")[2]
    return [*(_open(verdict) for verdict in tried), f"○ {len(untouched)} not attempted, the first: {first}"]


def _open(verdict: Verdict) -> str:
    name = verdict.exercise.partition(".")[2]
    return f"{MARKS[verdict.status][0]} {name}: {verdict.misconception or verdict.status}"


def _by_topic(verdicts: list[Verdict]) -> dict[str, list[Verdict]]:
    topics: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        topics.setdefault(verdict.exercise.split(".")[0], []).append(verdict)
    return topics


def _plain(shown: RenderableType) -> str:
    console = Console(width=120, color_system=None, force_terminal=False, force_jupyter=False)
    with console.capture() as capture:
        console.print(shown)
    return capture.get().rstrip()
