"""The mask lens in JupyterLab: it moves, it is moved, and it can be used without a mouse and without eyes."""

import re
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from playwright.sync_api import Locator, expect

if TYPE_CHECKING:
    from tests.browser.learner import Learner, Theme

PADDING = "workbook/exercises/padding.py"
STUB = 'raise NotImplementedError("padding.padding_mask")'
expect.set_options(timeout=60_000)  # a shared machine can be slow

SHOW = "from workbook.mask_lens import lens\n\nlens()"


class LensOnPage:
    """The lens below a notebook's first cell."""

    def __init__(self, learner: "Learner", output: Locator) -> None:
        self.learner = learner
        self.output = output
        self.card = output.locator(".workbook-lens")
        self.sentence = output.locator(".workbook-lens-sentence")
        self.problem = output.locator(".workbook-lens-problem")
        self.broken = output.locator(".workbook-lens-broken")

    def cell(self, query: int, key: int) -> Locator:
        return self.output.locator(f'button[data-row="{query}"][data-column="{key}"]')

    def slider(self, name: str) -> Locator:
        return self.output.get_by_role("slider", name=name, exact=True)

    def mask(self) -> str:
        """What the grid's cells say to a screen reader, row by row."""
        pressed = self.output.locator(".workbook-grid tbody button").evaluate_all(
            "cells => cells.map(cell => [cell.dataset.row, cell.getAttribute('aria-pressed') === 'true' ? '■' : '⬚'])"
        )
        rows: dict[str, str] = {}
        for row, glyph in pressed:
            rows[row] = rows.get(row, "") + glyph
        return " ".join(rows.values())

    def press(self, *keys: str) -> None:
        for key in keys:
            self.learner.page.keyboard.press(key)


def open_lens(learner: "Learner", source: str = SHOW) -> LensOnPage:
    cell = nbformat.v4.new_code_cell(source, id="lens")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, learner.folder / "notebooks" / "lens.ipynb")
    learner.open("lens")
    shown = LensOnPage(learner, learner.run("lens()").locator(".jp-OutputArea"))
    shown.card.wait_for()
    return shown


@pytest.fixture
def shown(learner: "Learner") -> LensOnPage:
    return open_lens(learner)


def test_the_lens_is_moved_and_its_picture_changes(shown: LensOnPage):
    expect(shown.sentence).to_have_text(
        "Mask lens of row I: it sees I, like, coffee; <pad> is hidden. Its output is (½, ¾)."
    )
    assert shown.mask() == "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"
    shown.learner.screenshot("lens_first", shown.output)

    shown.slider("row").focus()
    shown.press("ArrowRight", "ArrowRight")
    expect(shown.sentence).to_contain_text("row coffee")
    expect(shown.output.locator(".workbook-lens-output")).to_have_text("¾¾")

    shown.output.get_by_label("who is seen").select_option("causal")
    expect(shown.cell(0, 1)).to_have_attribute("aria-pressed", "false")
    assert shown.mask() == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"

    shown.slider("window").focus()  # its slider switches it on
    shown.press("ArrowLeft")
    expect(shown.cell(1, 0)).to_have_attribute("aria-pressed", "false")
    assert shown.mask() == "■⬚⬚⬚ ⬚■⬚⬚ ⬚⬚■⬚ ⬚⬚⬚⬚"

    shown.output.get_by_label("hide padding").select_option("left")
    expect(shown.output.locator(".workbook-grid thead th").nth(1)).to_have_text("<pad>")
    shown.cell(0, 0).focus()
    expect(shown.sentence).to_contain_text("no key is allowed")
    expect(shown.output.locator(".workbook-lens-weights")).to_contain_text("NaN")
    shown.learner.screenshot("lens_nan", shown.output)


def test_cells_are_changed_by_click_and_keys_and_the_focus_stays(shown: LensOnPage):
    shown.cell(0, 3).click()
    expect(shown.sentence).to_contain_text("sees I, like, coffee, <pad>")
    expect(shown.cell(0, 3)).to_be_focused()
    expect(shown.cell(0, 3)).to_have_attribute("aria-label", re.compile("may attend.*changed by you"))

    shown.press("ArrowDown", "ArrowLeft", " ")
    expect(shown.cell(1, 2)).to_be_focused()
    expect(shown.sentence).to_contain_text("row like: it sees I, like; coffee, <pad> are hidden")
    expect(shown.slider("row")).to_have_attribute("aria-valuenow", "1.0")
    assert shown.mask() == "■■■■ ■■⬚⬚ ■■■⬚ ■■■⬚"

    shown.output.get_by_label("who is seen").select_option("causal")  # a layer over whatever mask there is
    expect(shown.cell(0, 1)).to_have_attribute("aria-pressed", "false")
    assert shown.mask() == "■⬚⬚■ ■■⬚⬚ ■■■⬚ ■■■⬚"
    shown.learner.screenshot("lens_clicked", shown.output)

    shown.output.get_by_role("button", name="clear my clicks").click()
    expect(shown.cell(0, 3)).to_have_attribute("aria-pressed", "false")
    assert shown.mask() == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"


def test_pointing_at_a_cell_tells_its_numbers(shown: LensOnPage):
    shown.cell(1, 3).hover()
    line = shown.output.locator(".workbook-lens-cell")
    expect(line).to_have_text("Query like (1), key <pad> (3): may not attend, score ln 4, weight 0")
    expect(shown.sentence).to_contain_text("row I")  # pointing chooses no row
    shown.output.locator(".workbook-grid tbody th").nth(2).click()
    expect(shown.sentence).to_contain_text("row coffee")


def test_the_switches_break_the_mask_on_purpose(shown: LensOnPage):
    shown.output.get_by_label("flip polarity").check()
    expect(shown.broken).to_contain_text("polarity flipped")
    assert shown.mask() == "⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■"
    shown.output.get_by_label("swap axes").check()
    expect(shown.broken).to_contain_text("axes swapped")
    assert shown.mask() == "⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚⬚ ■■■■"
    shown.learner.screenshot("lens_broken", shown.output)


def test_it_shows_the_learners_own_functions_as_they_are_saved(shown: LensOnPage):
    functions = shown.output.locator(".workbook-lens-functions").first
    expect(functions).to_contain_text("the reference answers for padding_mask")
    file = shown.learner.folder / PADDING
    stub = file.read_text(encoding="utf-8")

    def save_and_move(body: str, pattern: str) -> None:
        file.write_text(stub.replace(STUB, body), encoding="utf-8")
        shown.output.get_by_label("who is seen").select_option(pattern)

    save_and_move("return input_ids != pad_token_id", "causal")
    expect(functions).to_contain_text("made by your padding_mask")
    assert shown.mask() == "⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚■"
    save_and_move("return input_ids.no_such_thing", "everyone")
    expect(shown.problem).to_contain_text(re.compile(r"padding_mask raised AttributeError in line \d+ of padding.py"))
    assert shown.mask() == "⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚■"
    shown.learner.screenshot("lens_problem", shown.output)
    save_and_move("print('ids', input_ids); return input_ids == pad_token_id", "causal")
    expect(shown.problem).to_be_empty()
    assert shown.mask() == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"
    expect(shown.output.locator("pre.workbook-lens-functions")).to_contain_text("Printed: ids tensor([[1, 2, 3, 0]])")
    # One that takes long, or for ever: the silence is remarked upon until the answer comes.
    save_and_move("__import__('time').sleep(6); return input_ids == pad_token_id", "everyone")
    expect(shown.problem).to_contain_text("No answer from the kernel yet")
    expect(shown.problem).to_be_empty()
    assert shown.mask() == "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"


def test_a_notebook_opened_again_shows_the_lens_and_says_that_it_is_not_connected(shown: LensOnPage):
    shown.output.get_by_label("who is seen").select_option("causal")
    expect(shown.cell(0, 1)).to_have_attribute("aria-pressed", "false")
    learner = shown.learner
    learner.save()
    learner.page.goto("about:blank")
    for session in learner.lab.ask("/api/sessions"):
        learner.lab.ask(f"/api/sessions/{session['id']}", method="DELETE")
    learner.open("lens")
    again = LensOnPage(learner, learner.page.locator(".jp-OutputArea"))
    again.card.wait_for()
    assert again.mask() == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"
    expect(again.problem).to_contain_text("run this cell again")
    learner.screenshot("lens_restored", again.output)
    again.cell(2, 0).focus()  # rows need no kernel
    expect(again.sentence).to_contain_text("row coffee")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_stands_in_the_way_of_who_cannot_see_or_point(learner: "Learner", theme: "Theme"):
    learner.set_theme(theme)
    shown = open_lens(learner)
    shown.cell(0, 3).click()
    expect(shown.sentence).to_contain_text("<pad>")
    assert findings(learner) == []
    learner.screenshot(f"lens_{theme}", shown.output)
    learner.page.set_viewport_size({"width": 700, "height": 1000})
    learner.command("application:toggle-left-area")
    learner.page.wait_for_timeout(500)
    learner.screenshot(f"lens_{theme}_narrow", shown.output)
    sizes = shown.card.evaluate("card => [card.scrollWidth, card.clientWidth]")
    assert sizes[0] <= sizes[1], "the card is wider than its room"


def findings(learner: "Learner") -> list[dict[str, Any]]:
    """What axe-core holds against the cell's output, if it is serious."""
    from axe_playwright_python.sync_playwright import Axe

    result = Axe().run(learner.page, context=".jp-OutputArea-output")
    return [
        {"rule": found["id"], "where": [node["html"] for node in found["nodes"]]}
        for found in result.response["violations"]
        if found["impact"] in ("serious", "critical")
    ]
