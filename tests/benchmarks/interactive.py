"""How long a learner waits, in JupyterLab: ``python -m tests.benchmarks.interactive`` from the project's folder.

From the key press, click or save to the last change that follows from it, drawn; in headless chromium. The yardstick, in
the same run, is a plain ``ipywidgets.interact`` slider that draws the same kind of grid by matplotlib.
"""

import os
import platform
import pty
import re
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
from playwright.sync_api import Locator

from tests.browser.learner import HEIGHT, PATIENCE, WIDTH, Lab, Learner, chromium, find_chromium, jupyterlab, wait_until
from workbook.grading.executors import usable_cores

RESULTS = Path(__file__).with_name("INTERACTIVE.md")
ROUNDS = 24
PADDING = "workbook/exercises/padding.py"
NOT_WRITTEN = 'raise NotImplementedError("padding.padding_mask")'
RIGHT, WRONG = "return input_ids == pad_token_id", "return input_ids == 0"

YARDSTICK = """import ipywidgets
import matplotlib.pyplot as plt
import torch

@ipywidgets.interact(row=ipywidgets.IntSlider(0, 0, 100))
def draw(row):
    fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3))
    left.imshow(torch.ones(4, 4).tril(row % 4))
    right.bar(range(4), torch.rand(4))
    plt.show()"""
LENS = "import workbook.mask_lens\nworkbook.mask_lens.lens()"
CHOICE = 'from workbook import predict\npredict("How many?", [0, 1, 2, 4])'
CELLS = 'from workbook import predict as ask\nask("Which?", cells=(["A", "B"], ["0", "1"]), means=("yes", "no"))'
CHECK = 'from workbook import check\ncheck("padding.padding_mask")'

# Start the clock at the next event of this type; note when what an element shows has changed, pictures decoded and drawn.
_WATCH = """(root, type) => {
    const clock = window.clock = { start: null, last: null, changes: 0 };
    let before = root.innerHTML;
    document.addEventListener(type, event => { clock.start = performance.now(); }, { capture: true, once: true });
    clock.observer = new MutationObserver(async () => {
        if (clock.start === null || root.innerHTML === before) return;
        before = root.innerHTML;
        const change = ++clock.changes;
        await Promise.all([...root.querySelectorAll('img')].map(image => image.decode().catch(() => null)));
        requestAnimationFrame(() => setTimeout(() => { if (change === clock.changes) clock.last = performance.now(); }));
    });
    clock.observer.observe(root, { subtree: true, childList: true, attributes: true, characterData: true });
}"""
_QUIET = "() => window.clock.last !== null && performance.now() - window.clock.last > 400"
_READ = "() => { window.clock.observer.disconnect(); return (window.clock.last - window.clock.start) / 1000; }"


@dataclass(frozen=True)
class Row:
    """One line of the table: the seconds of each round, and what TEACHING.md and the issue ask for."""

    what: str
    seconds: list[float]
    target: float | None = None


def timed(learner: Learner, root: Locator, event: str, act: Callable[[int], object]) -> list[float]:
    """Return how long each ``act(round)`` takes, from its ``event`` to the last change in ``root``; the first not counted."""
    times = []
    for number in range(-1, ROUNDS):
        root.evaluate(_WATCH, event)
        act(number)
        learner.page.wait_for_function(_QUIET)
        times.append(learner.page.evaluate(_READ))
    return times[1:]


def rows(learner: Learner) -> Iterator[Row]:
    """Measure in JupyterLab, the yardstick first."""
    press = learner.page.keyboard.press
    yield Row("a plain `interact` slider redraws by matplotlib (the yardstick)", _slider(learner, "interact(", 0))

    lens = learner.run(LENS).locator(".jp-OutputArea")
    lens.locator(".workbook-lens").wait_for()
    step = "lens: {}, from the key press".format
    row, pattern, window = (lens.get_by_label(name, exact=True) for name in ("row", "who is seen", "window"))
    row.focus()
    yield Row(step("another row"), timed(learner, lens, "keydown", _to_and_fro(learner)), 0.15)
    patterns = ("causal", "everyone")
    choose = timed(learner, lens, "change", lambda n: pattern.select_option(patterns[n % 2 - 1]))
    yield Row("lens: another pattern of the mask, from the choice", choose, 0.15)
    window.focus()
    press("ArrowLeft")
    yield Row(step("a wider or narrower window"), timed(learner, lens, "keydown", _to_and_fro(learner)), 0.15)
    lens.locator('button[data-row="0"][data-column="0"]').focus()
    yield Row(step("one cell toggled"), timed(learner, lens, "keydown", lambda n: press("Space")), 0.15)
    flip = lens.get_by_label("flip polarity")
    yield Row("lens: a switch, from the click", timed(learner, lens, "click", lambda n: flip.click()), 0.15)

    choice = learner.run(CHOICE).locator(".jp-OutputArea")
    answers = choice.get_by_role("radio")
    answers.first.wait_for()
    pick = timed(learner, choice, "click", lambda n: answers.nth((n + 1) % 4).check())
    yield Row("prediction: an answer picked, from the click", pick, 0.15)
    cells = learner.run(CELLS).locator(".jp-OutputArea")
    cell = cells.locator("button[data-row]").first
    cell.wait_for()
    yield Row(
        "prediction: a cell changed, from the click", timed(learner, cells, "click", lambda n: cell.click()), 0.15
    )

    for body, mark in ((RIGHT, "✓"), (WRONG, "✗")):
        _save(learner.folder, body)
        checked = learner.run(CHECK)
        assert mark in learner.output(checked)
        shown = checked.locator(".jp-Cell-outputWrapper")
        words = {"✓": "passed", "✗": "wrong, with grids and advice"}[mark]
        yield Row(f"`check(...)`, {words}, from Shift+Enter", timed(learner, shown, "keydown", _run_anew(learner)), 1.0)
        assert mark in learner.output(checked)


def _slider(learner: Learner, text: str, number: int) -> list[float]:
    output = learner.run(text).locator(".jp-OutputArea").first
    output.locator("img").wait_for()
    output.get_by_role("slider").nth(number).focus()
    return timed(learner, output, "keydown", lambda n: learner.page.keyboard.press("ArrowRight"))


def _to_and_fro(learner: Learner) -> Callable[[int], None]:
    return lambda number: learner.page.keyboard.press(("ArrowRight", "ArrowLeft")[number % 2 - 1])


def _run_anew(learner: Learner) -> Callable[[int], None]:
    def act(number: int) -> None:
        learner.cell(CHECK).locator(".jp-InputPrompt").click()
        learner.page.keyboard.press("Shift+Enter")

    return act


def watched(lab: Lab) -> Iterator[Row]:
    """Measure ``workbook check --watch`` in a terminal of its own, from the save to the verdict."""
    _save(lab.folder, WRONG)
    with terminal(lab, "check", "--watch", "padding") as read_until:
        read_until("padding id fixed at 0")
        times: dict[str, list[float]] = {"wrong": [], "passed": []}
        for number in range(2 * ROUNDS):
            body, mark, kind = ((RIGHT, "✓", "passed"), (WRONG, "✗", "wrong"))[number % 2]
            _save(lab.folder, body)
            saved = time.perf_counter()
            read_until(f"{mark} .*padding.padding_mask")
            times[kind].append(time.perf_counter() - saved)
    for kind, seconds in times.items():
        yield Row(f"`workbook check --watch`: {kind}, from the save", seconds, 1.0)


@contextmanager
def terminal(lab: Lab, *arguments: str) -> Iterator[Callable[[str], None]]:
    """Run ``workbook`` in a terminal; yield what waits until it has shown what fits a pattern, since the last time."""
    ours, theirs = pty.openpty()
    environment = os.environ | {
        "PYTHONPATH": str(lab.folder),
        "TERM": "xterm-256color",
        "COLUMNS": "120",
        "LINES": "50",
    }
    command = [sys.executable, "-m", "workbook.cli", *arguments]
    process = subprocess.Popen(
        command, cwd=lab.folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)

    def read_until(pattern: str) -> None:
        shown = ""

        def has_come() -> bool:
            nonlocal shown
            if select.select([ours], [], [], 0.5)[0]:
                shown += os.read(ours, 1 << 16).decode(errors="replace")
            return bool(re.search(pattern, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)))

        wait_until(has_come, pattern)

    try:
        yield read_until
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(ours)


def _save(folder: Path, body: str) -> None:
    path = folder / PADDING
    stub = (folder / "stub.py").read_text(encoding="utf-8")
    path.write_text(stub.replace(NOT_WRITTEN, body), encoding="utf-8")


def table(measured: list[Row]) -> str:
    """Return the rows as a markdown table, each median also as a multiple of the first."""
    yardstick = statistics.median(measured[0].seconds)
    lines = ["| what | median | worst | × yardstick | target |", "| --- | ---: | ---: | ---: | ---: |"]
    for row in measured:
        median, worst = statistics.median(row.seconds), max(row.seconds)
        target = "" if row.target is None else f"{row.target * 1000:.0f} ms {'✓' if median < row.target else '✗'}"
        times = f"{median * 1000:.0f} ms | {worst * 1000:.0f} ms | {median / yardstick:.2f}"
        lines.append(f"| {row.what} | {times} | {target} |")
    return "\n".join(lines)


def measure() -> list[Row]:
    """Start JupyterLab and chromium and measure everything."""
    path = find_chromium()
    assert path is not None, "no chromium here; on Debian and Ubuntu: apt install chromium"
    with tempfile.TemporaryDirectory() as folder, jupyterlab(Path(folder)) as lab, chromium(path) as browser:
        lab.restore()
        (lab.folder / "stub.py").write_bytes((lab.folder / PADDING).read_bytes())
        cells = [nbformat.v4.new_code_cell(source) for source in (YARDSTICK, LENS, CHOICE, CELLS, CHECK)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(notebook, lab.folder / "notebooks" / "latency.ipynb")
        learner = Learner(lab, browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}), Path(folder))
        learner.open("latency")
        measured = []
        for row in rows(learner):
            print(f"{statistics.median(row.seconds) * 1000:6.0f} ms  {row.what}", flush=True)
            measured.append(row)
        learner.page.close()
        for row in watched(lab):
            print(f"{statistics.median(row.seconds) * 1000:6.0f} ms  {row.what}", flush=True)
            measured.append(row)
    return measured


def main() -> None:
    """Measure, print and keep the table."""
    cores = usable_cores()
    machine = f"{cores} cores, Python {platform.python_version()}, headless chromium"
    head = f"Measured by `python -m tests.benchmarks.interactive` on {machine}; {ROUNDS} times each."
    text = f"# How long a learner waits\n\n{head}\n\n{table(measure())}\n"
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
