"""In a JupyterLab terminal: check, hand in, grade."""

import csv
import re

from tests.browser.learner import Learner, wait_until

PADDING = "workbook/exercises/padding.py"
# The terminal draws on a canvas; its text is kept by xterm.js, whose lines may be parts of longer ones.
_TEXT = """() => {
    const buffer = window.jupyterapp.shell.currentWidget.content._term.buffer.active;
    let text = '';
    for (let row = 0; row < buffer.length; row++) {
        const line = buffer.getLine(row);
        text += (line.isWrapped || !row ? '' : '\\n') + line.translateToString(true);
    }
    return text;
}"""


def test_from_the_terminal_to_a_grade(learner: Learner):
    stub = (learner.folder / PADDING).read_text(encoding="utf-8")
    learner.open("01_padding_masks")
    not_written = 'raise NotImplementedError("padding.padding_mask")'
    learner.write(PADDING, stub.replace(not_written, "return input_ids == pad_token_id"))

    learner.page.get_by_role("menuitem", name="File", exact=True).click()
    learner.page.get_by_text("New", exact=True).first.hover()
    learner.page.get_by_role("menuitem", name="Terminal", exact=True).click()
    learner.page.locator(".jp-Terminal .xterm-screen").wait_for()

    checked = _type(learner, "workbook check warmup")
    assert "○ warmup." in checked
    assert re.search(r"0 of \d+ passed, 0 of \d+ points?\b", checked)

    assert "submission-ada.zip is ready to hand in" in _type(learner, "workbook submit --student ada")
    graded = _type(learner, "workbook grade submission-ada.zip --out grades --topic padding")
    assert re.search(r"submission-ada\.zip \(ada\): 1 of \d+ passed, 1 of \d+ points?\b", graded)
    learner.screenshot("terminal")
    with open(learner.folder / "grades" / "gradebook.csv", newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["student"], row["points"], row["padding.padding_mask"]) == ("ada", "1", "1")


def _type(learner: Learner, command: str) -> str:
    """Type a command and return what it shows, once it has ended."""
    learner.page.locator(".jp-Terminal .xterm-screen").click()
    # What is typed does not hold what is waited for, nor does what is left of the command before.
    learner.page.keyboard.type(f"clear; {command}; echo 'end'' of' {command}")
    learner.page.keyboard.press("Enter")
    wait_until(lambda: f"\nend of {command}" in learner.page.evaluate(_TEXT), f"{command!r} to end")
    text: str = learner.page.evaluate(_TEXT)
    return text
