"""``predict``: an answer given before the run, scored when the run shows the truth."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbook import predictions
from workbook.predictions import predict

QUESTION = "How much weight does the padding get?"
CHOICES = (0, 0.25, "it depends")
GRID = (("I", "like"), ("I", "like", "<pad>"))


@pytest.fixture(autouse=True)
def _nothing_predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predictions, "made", {})


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


def test_the_last_answer_to_a_question_counts() -> None:
    for guess in ("a", "b"):
        predict(QUESTION, CHOICES, guess=guess).reveal(0.25)
    assert predictions.made == {QUESTION: (1, 1)}


@given(st.lists(st.lists(st.booleans(), min_size=3, max_size=3), min_size=2, max_size=2), st.integers(0, 63))
def test_cells_are_scored_one_by_one(truth: list[list[bool]], guessed: int) -> None:
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
    asked = predict(QUESTION, cells=(["I"], ["I", "like"]), guess="■⬚")
    assert asked.reveal(torch.tensor([True, False])).right
    assert '["■⬚"]' in str(predict(QUESTION, cells=(["I"], ["I", "like"])))


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


def test_a_question_and_its_answer_show_themselves_and_are_escaped() -> None:
    asked = predict("Is <pad> seen?", ("<pad>", "no"), guess="a")
    for shown in (asked, asked.reveal("no")):
        bundle = shown._repr_mimebundle_()
        assert bundle["text/plain"] == str(shown)
        assert "&lt;pad&gt;" in bundle["text/html"]
        assert "<pad>" not in bundle["text/html"]
        assert "<script" not in bundle["text/html"]
