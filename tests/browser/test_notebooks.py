"""Every notebook runs to its end in JupyterLab as a learner first has it, without an error, and its pictures are there."""

import pytest

from tests.browser.learner import Learner
from workbook import course

NOTEBOOKS = sorted(path.stem for path in course.NOTEBOOKS.glob("*.ipynb"))
_WIDGET = "application/vnd.jupyter.widget-view+json"
_PICTURES = """images => images.map(image => ({
    width: image.naturalWidth, alt: image.alt.trim(), html: image.outerHTML.replace(/base64,[^"]*/, 'base64,…')
}))"""


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_a_notebook_runs_to_its_end(learner: Learner, notebook: str):
    learner.open(notebook)
    code = learner.run_all()
    learner.screenshot(notebook)

    outputs = [(cell["source"], output) for cell in code for output in cell["outputs"]]
    assert not [
        output for output in outputs if output[1]["output_type"] == "error" or output[1].get("name") == "stderr"
    ]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))

    # A lens and a prediction are shown as the widgets that they are, beside which the picture is only stored.
    widgets = [output["data"] for _, output in outputs if _WIDGET in output.get("data", {})]
    lenses = sum("image/png" in data for data in widgets)
    assert learner.page.locator(".jp-Notebook .workbook-lens").count() == lenses
    assert learner.page.locator(".jp-Notebook .workbook-prediction").count() == len(widgets) - lenses
    kinds = [(source, output.get("data", {}).keys()) for source, output in outputs]
    drawn = [source for source, kind in kinds if "image/png" in kind and _WIDGET not in kind]
    shown = learner.page.locator(".jp-Notebook .jp-OutputArea img").evaluate_all(_PICTURES)
    assert drawn
    assert len(shown) >= len(drawn)
    assert not [picture["html"] for picture in shown if not picture["width"]], "pictures that did not load"
    assert not [picture["html"] for picture in shown if not picture["alt"]], "pictures without an alternative text"
