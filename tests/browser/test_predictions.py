"""Predictions as a learner makes them in JupyterLab: with the mouse or the keyboard, before the experiment is run."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, expect

from tests.browser.learner import Learner, Theme

CHOICES, CHOICES_RUN = "how many of the 8 cells of this batch", "prediction.reveal(sum("
CELLS, CELLS_RUN = "We nudge `coffee`. Whose outputs move?", "prediction.reveal(torch.stack(list(moved"

expect.set_options(timeout=30_000)


@pytest.fixture
def prepared(learner: Learner) -> Learner:
    """In notebook 01, with its imports run."""
    return start(learner)


def start(learner: Learner) -> Learner:
    learner.open("01_padding_masks")
    learner.run("from workbook import check, figures, lens, predict")
    learner.run("device = workbook.device()")
    return learner


def status(cell: Locator) -> Locator:
    return cell.get_by_role("status")


def grid_cell(cell: Locator, row: int, column: int) -> Locator:
    return cell.locator(f'.workbook-grid button[data-row="{row}"][data-column="{column}"]')


def step_into(learner: Learner, cell: Locator, what: str) -> None:
    """Press the tab key until the focus is on ``what`` in a cell."""
    cell.locator(".jp-InputPrompt").click()
    for _ in range(30):
        learner.page.keyboard.press("Tab")
        if cell.locator(f"{what}:focus").count():
            return
    pytest.fail(f"the tab key does not reach {what}")


def test_predictions_are_made_by_mouse_scored_and_counted(prepared: Learner) -> None:
    choices = prepared.run(CHOICES)
    expect(status(choices)).to_have_text("Choose one before you run on.")
    choices.get_by_role("radio", name="c) 2").check()
    choices.get_by_role("radio", name="b) 1").check()
    expect(status(choices)).to_contain_text("Committed: b) 1.")
    assert "You had it." in prepared.output(prepared.run(CHOICES_RUN))
    expect(status(choices)).to_have_text("✓ The run says b) 1. You had it.")
    expect(choices.get_by_role("radio", name="c) 2")).to_be_disabled()

    cells = prepared.run(CELLS)
    for row, column in ((0, 2), (1, 2), (2, 2), (3, 0), (3, 1), (3, 2), (3, 3), (0, 0)):
        grid_cell(cells, row, column).click()
    grid_cell(cells, 0, 0).click()  # on second thoughts
    grid_cell(cells, 1, 1).click()  # and a mistake
    cells.get_by_role("button", name="That is my prediction").click()
    expect(status(cells)).to_contain_text("Committed.")
    run = prepared.run(CELLS_RUN)
    expect(status(cells)).to_have_text("✗ 12 of 16 cells as you said.")
    said_and_not_so = "LayerNorm, like: you said moves, the run says stays"
    expect(grid_cell(cells, 1, 1)).to_have_text("!")
    expect(grid_cell(cells, 1, 1)).to_have_attribute("aria-label", said_and_not_so)
    expect(grid_cell(cells, 2, 3)).to_have_text("?")
    expect(run.get_by_title(said_and_not_so)).to_have_text("!")
    expect(cells.get_by_role("button", name="That is my prediction")).to_be_hidden()
    grid_cell(cells, 0, 0).click(force=True)
    expect(grid_cell(cells, 0, 0)).to_have_attribute("aria-pressed", "false")
    assert "13 of 17 answers and cells right, in 2 questions" in prepared.output(prepared.run('progress("padding")'))
    prepared.screenshot("predictions")


def test_predictions_are_made_by_keyboard(prepared: Learner) -> None:
    press = prepared.page.keyboard.press
    number_of_cells = len(prepared.cells())
    choices = prepared.run(CHOICES)
    step_into(prepared, choices, "input")
    press("Space")
    press("ArrowRight")
    expect(status(choices)).to_contain_text("Committed: b) 1.")
    press("d")
    expect(status(choices)).to_contain_text("Committed: d) 4.")
    press("b")
    expect(status(choices)).to_contain_text("Committed: b) 1.")
    assert "You had it." in prepared.output(prepared.run(CHOICES_RUN))

    cells = prepared.run(CELLS)
    step_into(prepared, cells, ".workbook-grid button")
    for key in ("ArrowRight", "ArrowRight", "Space", "ArrowDown", "Enter", "ArrowLeft"):
        press(key)
    for row, column, on in ((0, 2, "true"), (1, 2, "true"), (1, 1, "false"), (2, 2, "false")):
        expect(grid_cell(cells, row, column)).to_have_attribute("aria-pressed", on)
    expect(grid_cell(cells, 1, 1)).to_be_focused()
    press("Tab")
    expect(cells.get_by_role("button", name="That is my prediction")).to_be_focused()
    press("Enter")
    expect(status(cells)).to_contain_text("Committed.")
    expect(cells.get_by_role("button", name="That is my prediction")).to_be_focused()
    prepared.run(CELLS_RUN)
    expect(status(cells)).to_have_text("✗ 8 of 16 cells as you said.")
    assert len(prepared.cells()) == number_of_cells, "a key has reached JupyterLab's own commands"


def test_a_question_run_again_keeps_its_answer(prepared: Learner) -> None:
    choices = prepared.run(CHOICES)
    choices.get_by_role("radio", name="c) 2").check()
    expect(status(choices)).to_contain_text("Committed: c) 2.")
    prepared.page.keyboard.press("Shift+Enter")  # runs the cell that was clicked into
    prepared.wait_for_the_kernel()
    expect(choices.get_by_role("radio", name="c) 2")).to_be_checked()
    assert "You had said c) 2." in prepared.output(prepared.run(CHOICES_RUN))
    prepared.run(CHOICES)
    expect(status(choices)).to_have_text("✗ The run says b) 1. You had said c) 2.")


def test_a_run_before_the_answer_scores_nothing(prepared: Learner) -> None:
    choices = prepared.run(CHOICES)
    assert "is worth more" in prepared.output(prepared.run(CHOICES_RUN))
    expect(status(choices)).to_contain_text("run this cell again, answer, and run the experiment again.")
    expect(choices.get_by_role("radio", name="b) 1")).to_be_disabled()
    prepared.run(CHOICES)
    choices.get_by_role("radio", name="b) 1").check()
    expect(status(choices)).to_contain_text("Committed: b) 1.")
    assert "You had it." in prepared.output(prepared.run(CHOICES_RUN))
    assert "1 of 1 answers and cells right, in 1 question" in prepared.output(prepared.run('progress("padding")'))


def open_without_its_kernel(learner: Learner) -> None:
    """Save the notebook, end its kernel, and open it again."""
    learner.wait_for_the_kernel()
    learner.save()
    learner.page.goto("about:blank")
    for session in learner.lab.ask("/api/sessions"):
        learner.lab.ask(f"/api/sessions/{session['id']}", method="DELETE")
    learner.open("01_padding_masks")


def test_a_saved_notebook_shows_predictions_without_its_kernel(prepared: Learner) -> None:
    prepared.command(
        "notebook:clear-all-cell-outputs"
    )  # of others, which JupyterLab does not trust, as on the next day
    prepared.run(CHOICES).get_by_role("radio", name="c) 2").check()
    expect(status(prepared.cell(CHOICES))).to_contain_text("Committed: c) 2.")
    prepared.run(CHOICES_RUN)
    grid_cell(prepared.run(CELLS), 1, 1).click()
    open_without_its_kernel(prepared)
    expect(status(prepared.cell(CHOICES))).to_have_text("✗ The run says b) 1. You had said c) 2.")
    cells = prepared.cell(CELLS)
    expect(grid_cell(cells, 1, 1)).to_have_attribute("aria-pressed", "true")
    cells.get_by_role("button", name="That is my prediction").click()
    expect(status(cells)).to_have_text("No answer from the kernel yet: if it is not busy, run this cell again.")


def test_a_notebook_that_is_not_trusted_shows_the_static_form(prepared: Learner) -> None:
    prepared.run(CHOICES)
    open_without_its_kernel(prepared)
    shown = prepared.cell(CHOICES).locator(".jp-OutputArea-output")
    expect(shown).to_contain_text('Commit yourself: write guess="a"')
    expect(shown).to_have_count(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_predictions_are_accessible(theme: Theme, learner: Learner) -> None:
    learner.set_theme(theme)
    start(learner)
    choices, cells = learner.run(CHOICES), learner.run(CELLS)
    for moment in ("open", "revealed"):
        if moment == "revealed":
            choices.get_by_role("radio", name="c) 2").check()
            grid_cell(cells, 0, 0).click()
            cells.get_by_role("button", name="That is my prediction").click()
            expect(status(cells)).to_contain_text("Committed.")
            learner.run(CELLS_RUN)
        found = Axe().run(learner.page, context={"include": [[".workbook-prediction"], [".jp-RenderedHTML"]]})
        assert found.response["passes"]
        assert found.violations_count == 0, found.generate_report()
    learner.screenshot(f"prediction_{theme}", cells)
