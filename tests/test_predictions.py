"""``predict``: an answer given before the run, scored when the run shows the truth."""

import re
from typing import Any

import nbformat
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from nbclient import NotebookClient

from workbook import predictions
from workbook.predictions import predict

QUESTION = "How much weight does the padding get?"
CHOICES = (0, 0.25, "it depends")
GRID = (("I", "like"), ("I", "like", "<pad>"))


@pytest.fixture(autouse=True)
def _nothing_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "made", {})
    monkeypatch.setattr(predictions, "_answers", {})


@pytest.mark.parametrize(
    ("guess", "right"), [("a", False), ("b", True), (" B ", True), (0.25, True), ("it depends", False)]
)
def test_a_choice_is_scored_against_what_the_run_gave(guess: Any, right: bool) -> None:
    revealed = predict(QUESTION, CHOICES, guess=guess).reveal(torch.tensor(0.2501))
    assert revealed.right is right
    assert predictions.made == {QUESTION: (int(right), 1)}
    assert str(revealed).startswith("The run says b) 0.25.")
    assert ("You had it." in str(revealed)) is right


def test_the_truth_may_be_a_number_a_text_or_a_tensor() -> None:
    for truth in (0.25, torch.tensor(0.25), torch.tensor([[0.25]])):
        assert predict(QUESTION, CHOICES, guess="b").reveal(truth).right
    assert predict(QUESTION, CHOICES, guess="c").reveal("it depends").right
    assert predict("Is it?", (True, False), guess="a").reveal(torch.tensor(True)).right
    assert predict("Is it?", (True, False), guess=False).reveal(torch.tensor(True)).right is False


@pytest.mark.parametrize(("truth", "nearest"), [(0.9, "1"), (1.3, "1"), (1.6, "2"), (9.0, "16"), (1000.0, "16")])
def test_a_measured_number_is_scored_by_the_nearest_choice_in_proportion(truth: float, nearest: str) -> None:
    revealed = predict("How many times slower?", (1, 2, 4, 16), guess=int(nearest)).reveal(truth, nearest=True)
    assert revealed.right is True
    assert f") {nearest}." in str(revealed)


@pytest.mark.parametrize("truth", [torch.tensor(float("nan")), float("inf"), 0.0, -0.3])
def test_what_is_no_measure_is_near_to_no_choice_and_scores_nothing(truth: Any) -> None:
    revealed = predict("Its cosine?", (0.98, 0.67), guess="a").reveal(truth, nearest=True)
    assert "none of the choices" in str(revealed)
    assert predictions.made == {}


def test_without_a_guess_nothing_is_scored() -> None:
    asked = predict(QUESTION, CHOICES)
    assert 'write `guess="a"`' in str(asked)
    revealed = asked.reveal(0)
    assert revealed.right is None
    assert str(revealed) == "The run says a) 0."
    assert predictions.made == {}


def test_a_truth_that_is_no_choice_points_to_the_learners_functions() -> None:
    revealed = predict(QUESTION, CHOICES, guess="a").reveal(0.7)
    assert revealed.right is None
    assert "none of the choices" in str(revealed)
    assert "run the checks of the functions it uses" in str(revealed)
    assert predictions.made == {}


@pytest.mark.parametrize("guess", ["d", "", "ab", 0.5, object()])
def test_a_guess_that_is_no_answer_is_refused(guess: Any) -> None:
    with pytest.raises(ValueError, match=r"guess is .*; it can be a, b or c"):
        predict(QUESTION, CHOICES, guess=guess)


def test_a_question_has_choices_or_cells() -> None:
    for both_or_none in ({}, {"choices": CHOICES, "cells": GRID}):
        with pytest.raises(ValueError, match="either choices or cells"):
            predict(QUESTION, **both_or_none)  # type: ignore[arg-type]


def test_the_first_run_after_the_answer_counts() -> None:
    asked = predict(QUESTION, CHOICES, guess="a")
    first = asked.reveal(0)
    assert first.right
    assert str(asked.reveal(0)) == str(first)
    later = asked.reveal(0.25)
    assert later.right is False
    assert str(later).splitlines() == [
        "The run says b) 0.25.",
        "You had said a) 0.",
        "What counts is the first run: 1 of 1 right.",
    ]
    assert predict(QUESTION, CHOICES, guess="b").reveal(0.25).right
    assert predictions.made == {QUESTION: (1, 1)}


def test_an_answer_before_the_run_may_be_changed() -> None:
    for guess in ("a", "b"):
        asked = predict(QUESTION, CHOICES, guess=guess)
    asked.reveal(0.25)
    assert predictions.made == {QUESTION: (1, 1)}


def test_an_unexpected_truth_scores_nothing_and_a_later_run_does() -> None:
    asked = predict(QUESTION, CHOICES, guess="b")
    asked.reveal(7)
    assert predictions.made == {}
    asked.reveal(0.25)
    assert predictions.made == {QUESTION: (1, 1)}


def test_a_question_asked_again_keeps_its_answer() -> None:
    predict(QUESTION, CHOICES, guess="b")
    assert "Your prediction: b) 0.25" in str(predict(QUESTION, CHOICES))
    assert predict(QUESTION, CHOICES).reveal(0.25).right
    assert "Commit yourself" in str(predict(QUESTION, (*CHOICES, "never")))


def test_two_questions_of_one_wording_are_two_questions() -> None:
    predict("Who may look?", cells=GRID, guess=["110", "110"]).reveal([[1, 1, 0], [1, 1, 0]])
    predict("Who may look?", cells=(["I"], ["like"]), guess="1").reveal([[0]])
    assert predictions.made == {"Who may look?": (6, 6), "Who may look? (2)": (0, 1)}


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=2), st.integers(0, 63))
def test_cells_are_scored_one_by_one(truth: list[list[bool]], guessed: int) -> None:
    predictions.made.clear()
    predictions._answers.clear()
    guess = [[bool(guessed >> (3 * row + column) & 1) for column in range(3)] for row in range(2)]
    right = sum(
        one == other for row, line in zip(truth, guess, strict=True) for one, other in zip(row, line, strict=True)
    )
    revealed = predict(QUESTION, cells=GRID, guess=["".join("⬚■"[cell] for cell in row) for row in guess]).reveal(
        torch.tensor(truth)
    )
    assert predictions.made[QUESTION] == (right, 6)
    assert str(revealed).startswith(f"{right} of 6 cells as you said.")
    assert revealed.right is (right == 6)


@pytest.mark.parametrize(
    "guess", [["■■⬚", "■ ■ ⬚"], ["110", "1 1 0"], [[True, True, False], [1, 1, 0]], [("■", "■", "⬚"), "110"]]
)
def test_a_grid_may_be_written_in_several_ways(guess: Any) -> None:
    assert predict(QUESTION, cells=GRID, guess=guess).reveal([[1, 1, 0], [1, 1, 0]]).right


def test_one_row_may_be_one_text() -> None:
    asked = predict(QUESTION, cells=(["I"], ["I", "like"]))
    assert '["■⬚"]' in str(asked)
    assert predict(QUESTION, cells=(["I"], ["I", "like"]), guess="■⬚").reveal(torch.tensor([True, False])).right


@pytest.mark.parametrize(
    ("guess", "words"),
    [
        (["■■"], "guess needs 2 rows of 3 cells"),
        (["■■", "■■"], "guess needs 2 rows of 3 cells"),
        (["■■⬚", "■■⬚", "■■⬚"], "guess needs 2 rows of 3 cells"),
        (["■■x", "■■⬚"], "a row is written with ■ and ⬚, or with 1 and 0"),
        (["■■2", "■■⬚"], "a row is written with"),
    ],
)
def test_a_grid_that_is_none_is_refused(guess: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        predict(QUESTION, cells=GRID, guess=guess)


def test_a_truth_of_another_shape_scores_nothing() -> None:
    revealed = predict(QUESTION, cells=GRID, guess=["110", "110"]).reveal(torch.ones(3, 3))
    assert revealed.right is None
    assert "a grid of [3, 3], and the question has [2, 3]" in str(revealed)
    assert predictions.made == {}


def test_cells_without_a_guess_show_what_the_run_says() -> None:
    revealed = predict(QUESTION, cells=GRID).reveal(torch.tensor([[1, 0, 0], [1, 1, 0]]))
    assert revealed.right is None
    assert "The run says:" in str(revealed)
    assert "■" in str(revealed)
    assert predictions.made == {}


def test_the_difference_is_drawn_cell_by_cell_with_glyphs_and_words() -> None:
    asked = predict(QUESTION, cells=GRID, means=("moves", "stays"), guess=["110", "100"])
    drawn = asked.reveal([[1, 0, 0], [1, 1, 0]])._repr_mimebundle_()["text/html"]
    assert "4 of 6 cells as you said." in drawn
    assert re.findall(r'<td title="([^"]*)" [^>]*>(.)</td>', drawn) == [
        ("I, I: moves, as you said", "■"),
        ("I, like: you said moves, the run says stays", "!"),
        ("I, &lt;pad&gt;: stays, as you said", "⬚"),
        ("like, I: moves, as you said", "■"),
        ("like, like: you said stays, the run says moves", "?"),
        ("like, &lt;pad&gt;: stays, as you said", "⬚"),
    ]
    for words in ("moves, as you said", "you said moves, the run says stays", "you said stays, the run says moves"):
        assert re.search(rf"</span> {words}</span>", drawn), "the legend"
    without_missing = predict("Again?", cells=GRID, guess=["111", "110"]).reveal([[1, 1, 0], [1, 1, 0]])
    assert "?</span>" not in without_missing._repr_mimebundle_()["text/html"]
    assert "<table" not in asked.reveal([[1, 1, 0], [1, 0, 0]])._repr_mimebundle_()["text/html"]


def test_a_question_and_its_answer_show_themselves_and_are_escaped() -> None:
    asked = predict("Is <pad> seen?", ("<pad>", "no"), guess="a")
    for shown in (asked, asked.reveal("no")):
        bundle = shown._repr_mimebundle_()
        assert bundle["text/plain"] == str(shown)
        assert "&lt;pad&gt;" in bundle["text/html"]
        assert "<pad>" not in bundle["text/html"]
        assert "<script" not in bundle["text/html"]


# ---------------------------------------------------------------------------------------------- the widget


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a kernel; a widget's messages then go nowhere."""
    monkeypatch.setattr(predictions, "_in_a_notebook", lambda: True)


def displayed(asked: predictions.Prediction) -> Any:
    """Display a question and return its widget."""
    bundle = asked._repr_mimebundle_()
    assert bundle["text/plain"] == str(asked)
    assert "Predict." in bundle["text/html"]
    widget = asked.answer.widget
    assert widget is not None
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == widget.model_id
    return widget


def click(widget: Any, given: Any, committed: bool = True) -> None:
    """What the browser sends for an answer."""
    widget.set_state({"given": given, "committed": committed})
    widget._handle_custom_msg({"answered": True}, [])


def test_without_a_kernel_there_is_no_widget() -> None:
    asked = predict(QUESTION, CHOICES)
    assert asked._repr_mimebundle_().keys() == {"text/plain", "text/html"}
    assert asked.answer.widget is None


@pytest.mark.usefixtures("notebook")
def test_a_clicked_choice_is_committed_scored_and_locked() -> None:
    asked = predict(QUESTION, CHOICES)
    widget = displayed(asked)
    assert widget.status == "Choose one before you run on."
    click(widget, 0)
    assert widget.status == "Committed: a) 0. Run on; until the run you can change it."
    click(widget, 1)
    assert "Your prediction: b) 0.25" in str(asked)
    assert asked.reveal(0.25).right
    assert (widget.run, widget.outcome, widget.status) == (1, "right", "✓ The run says b) 0.25. You had it.")
    click(widget, 2)
    assert (widget.given, asked.answer.given) == (1, 1), "the run has been"
    assert predictions.made == {QUESTION: (1, 1)}


@pytest.mark.usefixtures("notebook")
def test_a_click_is_a_place_and_not_a_number_among_the_choices() -> None:
    asked = predict("How many?", (2, 1, 0))
    click(displayed(asked), 0)
    assert "a) 2" in str(asked)


@pytest.mark.usefixtures("notebook")
def test_clicked_cells_count_once_they_are_committed() -> None:
    asked = predict(QUESTION, cells=GRID, means=("moves", "stays"))
    widget = displayed(asked)
    click(widget, [[True, True, False], [False, False, False]], committed=False)
    assert "Commit yourself" in str(asked)
    click(widget, [[True, True, False], [True, False, False]])
    assert widget.status == "Committed. Run on; until the run you can change cells."
    revealed = asked.reveal([[1, 0, 0], [1, 1, 0]])
    assert predictions.made == {QUESTION: (4, 6)}
    assert str(revealed).startswith("4 of 6 cells as you said.")
    assert widget.marks == [["right", "leaking", "right"], ["right", "missing", "right"]]
    assert (widget.outcome, widget.status) == ("wrong", "✗ 4 of 6 cells as you said.")
    asked.reveal([[1, 1, 0], [1, 0, 0]])
    assert widget.status == "✓ 6 of 6 cells as you said. What counts is the first run: 4 of 6 right."


@pytest.mark.usefixtures("notebook")
def test_clicked_but_uncommitted_cells_score_nothing() -> None:
    asked = predict(QUESTION, cells=GRID)
    widget = displayed(asked)
    click(widget, [[True, True, False], [True, True, False]], committed=False)
    assert asked.reveal([[1, 1, 0], [1, 1, 0]]).right is None
    assert predictions.made == {}
    assert widget.status.startswith("→ This is what the run says. You had clicked cells, but not committed them.")


@pytest.mark.usefixtures("notebook")
def test_an_answer_after_the_run_counts_only_when_question_and_run_are_run_again() -> None:
    asked = predict(QUESTION, CHOICES)
    widget = displayed(asked)
    asked.reveal(0.25)
    assert widget.status.startswith("→ The run says b) 0.25. A prediction made first is worth more.")
    click(widget, 1)
    assert not widget.committed
    assert asked.reveal(0.25).right is None
    asked = predict(QUESTION, CHOICES)
    assert displayed(asked) is widget, "one widget a question"
    assert widget.run is None
    click(widget, 1)
    assert asked.reveal(0.25).right
    assert predictions.made == {QUESTION: (1, 1)}


@pytest.mark.usefixtures("notebook")
def test_a_scored_question_stays_scored_when_asked_again() -> None:
    asked = predict(QUESTION, CHOICES)
    widget = displayed(asked)
    click(widget, 0)
    asked.reveal(0.25)
    again = predict(QUESTION, CHOICES)
    assert displayed(again) is widget
    click(widget, 1)
    assert (widget.given, widget.run, widget.status) == (0, 1, "✗ The run says b) 0.25. You had said a) 0.")
    again.reveal(0.25)
    assert predictions.made == {QUESTION: (0, 1)}


@pytest.mark.usefixtures("notebook")
def test_a_guess_in_the_cell_shows_in_the_widget() -> None:
    assert displayed(predict(QUESTION, CHOICES, guess="b")).given == 1
    widget = displayed(predict(QUESTION, cells=GRID, guess=["110", "110"]))
    assert (widget.given, widget.committed) == ([[True, True, False], [True, True, False]], True)


@pytest.mark.usefixtures("notebook")
@pytest.mark.parametrize("seen", [True, False])
def test_only_somebody_at_a_browser_is_told_to_predict_first(seen: bool) -> None:
    asked = predict(QUESTION, CHOICES)
    widget = displayed(asked)
    if seen:
        widget._handle_custom_msg({"seen": True}, [])
    revealed = asked.reveal(0)
    assert ("is worth more" in revealed._repr_mimebundle_()["text/html"]) is seen
    assert str(revealed) == "The run says a) 0.", "what notebooks have stored"


@pytest.mark.parametrize("widgets", ["on", "off"])
def test_a_kernel_shows_a_widget_over_the_static_form_unless_told_not_to(
    widgets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBOOK_WIDGETS", widgets)
    cells = (
        f"from workbook import predict\nasked = predict({QUESTION!r}, {CHOICES!r})\nasked",
        "asked.reveal(0.25)",
    )
    run = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(run, kernel_name="python3", store_widget_state=False).execute()
    question, outcome = (cell.outputs[0].data for cell in run.cells)
    assert ("application/vnd.jupyter.widget-view+json" in question) is (widgets == "on")
    static = predict(QUESTION, CHOICES)
    for shown, expected in ((question, static), (outcome, static.reveal(0.25))):
        for kind, text in expected._repr_mimebundle_().items():
            assert shown[kind] == text


@pytest.mark.parametrize("choices", [[], ["one"], list("abcdefghi")])
def test_there_are_two_to_eight_choices(choices: list[str]) -> None:
    with pytest.raises(ValueError, match=f"predict has {len(choices)} choices; it can have 2 to 8"):
        predict("Which?", choices)
