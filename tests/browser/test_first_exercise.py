"""An exercise as a learner does it, in JupyterLab's own editor: a mistake, its advice, mended, passed, in one kernel."""

from tests.browser.learner import Learner

PADDING = "workbook/exercises/padding.py"
CAUSAL = "workbook/exercises/causal.py"


def test_from_a_mistake_to_a_pass(learner: Learner):
    check = 'check("padding.padding_mask")'
    stub = (learner.folder / PADDING).read_text(encoding="utf-8")
    learner.open("01_padding_masks")
    learner.run("from workbook import check")
    assert "Nothing is written here yet" in learner.output(learner.run(check))
    kernel = _kernel(learner)

    learner.write(PADDING, _written(stub, "padding.padding_mask", "return input_ids == 0"))
    red = learner.output(learner.run(check))
    assert "✗ padding.padding_mask" in red
    assert "padding id fixed at 0" in red
    assert "leaking" in red
    learner.screenshot("a_mistake")

    learner.write(PADDING, _written(stub, "padding.padding_mask", "return input_ids =="))
    assert "padding.py could not be imported: SyntaxError in line" in learner.output(learner.run(check))

    learner.write(PADDING, _written(stub, "padding.padding_mask", "return input_ids == pad_token_id"))
    assert "✓ padding.padding_mask" in learner.output(learner.run(check))
    learner.screenshot("mended")
    assert _kernel(learner) == kernel


def test_the_notebook_uses_what_has_been_saved(learner: Learner):
    """A cell that calls the function goes from the reference to the learner's own, right or wrong, at the next run."""
    check, demo = 'check("causal.causal_mask")', "triangle.reveal(causal_mask(4, device=device))"
    stub = (learner.folder / CAUSAL).read_text(encoding="utf-8")
    right = "return torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).tril()"
    learner.open("02_causal_masks")
    for cell in ("from workbook import check", "device = workbook.device()", "triangle = predict("):
        learner.run(cell)
    learner.run(demo)
    untouched = _texts(learner, demo)
    assert "causal.causal_mask is not written yet" in untouched
    assert _rows(untouched) == ["■⬚⬚⬚", "■■⬚⬚", "■■■⬚", "■■■■"]
    kernel = _kernel(learner)

    learner.write(CAUSAL, _written(stub, "causal.causal_mask", right.replace("tril", "triu")))
    learner.run(demo)
    mine = _texts(learner, demo)
    assert "not written yet" not in mine
    assert _rows(mine) == ["■■■■", "⬚■■■", "⬚⬚■■", "⬚⬚⬚■"]
    assert "✗ causal.causal_mask" in learner.output(learner.run(check))

    learner.write(CAUSAL, _written(stub, "causal.causal_mask", right))
    learner.run(demo)
    assert _rows(_texts(learner, demo)) == ["■⬚⬚⬚", "■■⬚⬚", "■■■⬚", "■■■■"]
    assert "✓ causal.causal_mask" in learner.output(learner.run(check))
    assert _kernel(learner) == kernel


def _written(stub: str, name: str, body: str) -> str:
    not_written = f'raise NotImplementedError("{name}")'
    assert stub.count(not_written) == 1
    return stub.replace(not_written, body)


def _kernel(learner: Learner) -> str:
    (session,) = learner.lab.ask("/api/sessions")
    kernel: str = session["kernel"]["id"]
    return kernel


def _texts(learner: Learner, text: str) -> str:
    """What a cell has put out, its pictures and widgets by their text."""
    (cell,) = [cell for cell in learner.cells() if text in cell["source"]]
    return "\n".join(output.get("text") or output["data"]["text/plain"] for output in cell["outputs"])


def _rows(text: str) -> list[str]:
    """The rows of the mask in a text, without their names."""
    cells = ["".join(mark for mark in line if mark in "■⬚") for line in text.splitlines()]
    return [row for row in cells if len(row) == 4]
