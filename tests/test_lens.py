"""The mask lens without a browser: what its controls do, whose functions make its masks, and how it is stored."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

import workbook.exercises.causal
import workbook.exercises.modern
import workbook.exercises.padding  # noqa: F401  (imported before any test keeps a copy of what is registered)
from workbook import course, graded
from workbook import running_example as example
from workbook.figures import Picture, mask_lens
from workbook.figures.flow import attend
from workbook.lens_controls import Lens
from workbook.mask_lens import lens
from workbook.specs import spec
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_topic

NINE = ("I", "like", "coffee", "<eos>", "you", "like", "green", "tea", "<eos>")
REAL = torch.tensor([[1, 1, 1, 0]])
WIDGET = "application/vnd.jupyter.widget-view+json"


@pytest.fixture(autouse=True)
def _own_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graded, "_WRITTEN", dict(graded._WRITTEN))
    for name in ("WORKBOOK_IMPLEMENTATION", "WORKBOOK_WIDGETS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Saves the learner's ``padding.py`` with a body for ``padding_mask``, as an editor would."""
    monkeypatch.setattr(course, "EXERCISES", tmp_path)
    file, saves = tmp_path / "padding.py", iter(range(1, 1000))
    stub = topic_source("padding")

    def save(body: str) -> None:
        first = not file.exists()
        file.write_text(stub.replace('raise NotImplementedError("padding.padding_mask")', body), encoding="utf-8")
        os.utime(file, ns=(0, next(saves) * 1_000_000_000))
        if first:
            load_topic(file)

    return save


def opened(*arguments: Any, **keywords: Any) -> Lens:
    shown = lens(*arguments, **keywords)
    assert isinstance(shown, Lens)
    return shown


def drawn(shown: Lens) -> str:
    return " ".join("".join("■" if may else "⬚" for may in row) for row in shown.view.state["allowed"])


def move(shown: Lens, **values: Any) -> None:
    for name, value in values.items():
        shown.controls[name].value = value


def click(shown: Lens, query: int, key: int, may: bool) -> None:
    """What the browser sends."""
    shown.view._handle_custom_msg({"kind": "click", "row": query, "column": key, "may": may}, [])


# ---- what the controls do ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moves", "mask"),
    [
        ({}, "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"),
        ({"padding": "none"}, "■■■■ ■■■■ ■■■■ ■■■■"),
        ({"padding": "left"}, "⬚■■■ ⬚■■■ ⬚■■■ ⬚■■■"),
        ({"padded": 3}, "■⬚⬚⬚ ■⬚⬚⬚ ■⬚⬚⬚ ■⬚⬚⬚"),
        ({"pattern": "causal"}, "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"),
        ({"pattern": "causal", "padding": "left"}, "⬚⬚⬚⬚ ⬚■⬚⬚ ⬚■■⬚ ⬚■■■"),
        ({"window": 1}, "■⬚⬚⬚ ⬚■⬚⬚ ⬚⬚■⬚ ⬚⬚⬚⬚"),
        ({"prefix": 3}, "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"),
        ({"pattern": "prefix", "padding": "none"}, "■■⬚⬚ ■■⬚⬚ ■■■⬚ ■■■■"),
        ({"second_text": 1}, "■⬚⬚⬚ ⬚■■⬚ ⬚■■⬚ ⬚■■⬚"),
        ({"flip_polarity": True}, "⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■"),
        ({"swap_axes": True}, "■■■■ ■■■■ ■■■■ ⬚⬚⬚⬚"),
        ({"flip_polarity": True, "swap_axes": True}, "⬚⬚⬚⬚ ⬚⬚⬚⬚ ⬚⬚⬚⬚ ■■■■"),
    ],
)
def test_each_control_changes_the_mask(moves: dict[str, Any], mask: str) -> None:
    shown = opened()
    move(shown, **moves)
    assert drawn(shown) == mask
    assert shown.view.state["problem"] == ""


@pytest.mark.parametrize("window", range(1, 10))
def test_a_window_inside_the_second_of_two_texts(window: int) -> None:
    shown = opened(tokens=NINE, second_text=4)
    move(shown, pattern="window", window=window)
    near = spec("causal.sliding_window_mask").oracle(9, 9, window)
    text = torch.tensor([0] * 4 + [1] * 5)
    assert torch.tensor(shown.view.state["allowed"]).equal(near & (text[:, None] == text[None, :]))


def test_a_slider_switches_on_what_it_belongs_to() -> None:
    shown = opened(padding="none")
    for slider, value, switch, choice in (
        ("window", 3, "pattern", "window"),
        ("prefix", 3, "pattern", "prefix"),
        ("padded", 2, "padding", "right"),
    ):
        move(shown, **{slider: value})
        assert shown.controls[switch].value == choice


def test_padding_moves_scores_values_and_names_together() -> None:
    shown = opened(padding="left", row=1)
    state = shown.view.state
    assert state["keys"] == ["<pad>", "I", "like", "coffee"]
    assert state["values"] == ["(8, 8)", "(1, 0)", "(0, 1)", "(1, 1)"]
    assert state["rows"][1]["score_words"] == ["ln 4", "ln 1", "ln 2", "ln 1"]
    assert state["rows"][1]["output"] == ["½", "¾"]  # what row I gets with its padding on the right
    move(shown, padded=2)
    assert shown.view.state["keys"] == ["<pad>", "<pad>", "I", "like"]


def test_each_head_has_scores_of_its_own() -> None:
    scores = torch.stack([torch.zeros(3, 3), torch.eye(3) * 5])
    shown = opened(scores, torch.eye(3), ["a", "b", "c"])
    assert shown.view.state["rows"][0]["weight_words"] == ["0.333"] * 3
    move(shown, head=1)
    assert shown.view.state["rows"][0]["score_words"] == ["5", "ln 1", "ln 1"]


@pytest.mark.parametrize(
    ("moves", "shape"),
    [
        ({}, "(B, 1, 1, K)"),
        ({"swap_axes": True}, "(B, 1, Q, 1)"),
        ({"pattern": "causal"}, "(B, 1, Q, K)"),
        ({"second_text": 2}, "(B, 1, Q, K)"),
    ],
)
def test_the_badge_says_which_axes_the_mask_tells_apart(moves: dict[str, Any], shape: str) -> None:
    shown = opened()
    move(shown, **moves)
    assert shown.view.state["shape"] == f"{shape} → (B, H, Q, K)"
    click(shown, 0, 0, False)
    assert shown.view.state["shape"] == "(B, 1, Q, K) → (B, H, Q, K)"


def test_a_long_name_leaves_room_for_the_panels() -> None:
    name = "antidisestablishmentarianism"
    state = opened(tokens=["a", name, "c"], row=1).view.state
    assert state["keys"] == state["queries"] == ["a", "antidisesta…", "c"]
    assert state["rows"][1]["name"] == name


def test_every_row_holds_the_words_of_the_static_picture() -> None:
    state = opened(pattern="causal").view.state
    allowed = torch.ones(4, 4).tril().bool() & REAL.bool()
    attention = attend(example.SCORES_A, allowed, example.VALUES_A, example.TOKENS_A, None, 4)
    for row in range(4):
        picture = mask_lens(example.SCORES_A, allowed, example.VALUES_A, example.TOKENS_A, row=row, as_fractions=True)
        shown = state["rows"][row]
        assert shown["sentence"] == picture.alt
        assert f"({', '.join(shown['output'])})" in picture.text
        assert shown["weights"] == attention.weights[row]


def test_a_row_without_keys_is_no_number_in_words_and_json() -> None:
    shown = opened(padding="left", pattern="causal")
    row = shown.view.state["rows"][0]
    assert row["broken"]
    assert row["weight_words"] == ["NaN"] * 4
    assert row["output"] == ["NaN", "NaN"]
    assert row["sum"].startswith("NaN")
    json.dumps(shown.view.state, allow_nan=False)


def test_infinite_scores_are_words_and_no_bars() -> None:
    scores = torch.tensor([[float("-inf"), 0.0], [float("inf"), float("nan")]])
    state = opened(scores).view.state
    assert state["rows"][0]["scores"] == [None, 0.0]
    assert state["rows"][1]["score_words"] == ["∞", "NaN"]
    json.dumps(state, allow_nan=False)


# ---- clicks -----------------------------------------------------------------------------------------------------


def test_clicks_lie_over_whatever_mask_there_is_until_they_are_cleared() -> None:
    shown = opened()
    assert shown.clear.disabled
    click(shown, 0, 3, True)
    assert drawn(shown) == "■■■■ ■■■⬚ ■■■⬚ ■■■⬚"
    assert shown.view.state["clicked"][0] == [False, False, False, True]
    move(shown, pattern="causal")
    assert drawn(shown) == "■⬚⬚■ ■■⬚⬚ ■■■⬚ ■■■⬚"
    assert not shown.clear.disabled
    shown.clear.click()
    assert drawn(shown) == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■⬚"
    assert shown.clear.disabled


def test_a_click_back_to_what_the_mask_says_is_forgotten() -> None:
    shown = opened()
    click(shown, 0, 3, True)
    click(shown, 0, 3, False)
    assert shown.clear.disabled
    move(shown, flip_polarity=True)
    assert drawn(shown) == "⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■"


# ---- whose functions --------------------------------------------------------------------------------------------


def test_it_says_whose_functions_made_the_mask(monkeypatch: pytest.MonkeyPatch, write: Callable[..., None]) -> None:
    write("return input_ids == pad_token_id")
    shown = opened()
    assert shown.view.state["functions"] == (
        "The mask: made by your padding_mask; the reference answers for expand_padding_mask (not written yet)."
    )
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    move(shown, second_text=2)
    assert shown.view.state["functions"] == (
        "The mask: made by the solutions' padding_mask, expand_padding_mask, document_ids and document_mod."
    )


def test_a_wrong_mask_is_shown_as_it_is(write: Callable[..., None]) -> None:
    write("return input_ids != pad_token_id")
    assert drawn(opened()) == "⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■ ⬚⬚⬚■"


def test_a_saved_file_counts_at_the_next_move(write: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    write("return input_ids == pad_token_id")
    shown = opened()
    write("print('looking at', input_ids.tolist()); return input_ids == 99")
    move(shown, pattern="causal")
    assert drawn(shown) == "■⬚⬚⬚ ■■⬚⬚ ■■■⬚ ■■■■"
    assert shown.view.state["printed"] == "looking at [[1, 2, 3, 0]]"
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("raise KeyError('x')", "padding_mask raised KeyError in line 26 of padding.py: 'x'."),
        ("raise SystemExit(3)", "padding_mask raised SystemExit in line 26 of padding.py: 3."),
        ("raise NotImplementedError", "padding_mask raised NotImplementedError in line 26 of padding.py."),
        ("pass", "padding_mask gave None (is there a return?); a tensor, bool of shape (1, 4) is wanted."),
        ("return [True]", "padding_mask gave an object of type list; a tensor, bool of shape (1, 4) is wanted."),
        (
            "return (input_ids == pad_token_id).long()",
            "padding_mask gave int64 of shape (1, 4); bool of shape (1, 4) is wanted.",
        ),
        (
            "return input_ids[0] == pad_token_id",
            "padding_mask gave bool of shape (4,); bool of shape (1, 4) is wanted.",
        ),
    ],
)
def test_a_function_that_gives_no_mask_is_told_and_the_picture_stays(
    write: Callable[..., None], body: str, sentence: str
) -> None:
    write("return input_ids == pad_token_id")
    shown = opened()
    before = dict(shown.view.state)
    write(body)
    move(shown, padded=2)
    assert shown.view.state == {**before, "problem": f"{sentence} The picture is still the one before."}
    write("return input_ids == pad_token_id")
    move(shown, padded=1)
    assert shown.view.state == before


def test_a_file_that_cannot_be_read_is_told_as_long_as_it_is_so(write: Callable[..., None]) -> None:
    write("return input_ids == pad_token_id")
    shown = opened()
    write("return input_ids ==")
    for pattern in ("causal", "everyone"):
        move(shown, pattern=pattern)
        assert shown.view.state["problem"].startswith("padding.py could not be imported: SyntaxError in line 26")
    assert drawn(shown) == "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"  # its last good version has answered
    write("return input_ids == pad_token_id")
    move(shown, pattern="causal")
    assert shown.view.state["problem"] == ""


def test_a_lens_that_opens_on_a_broken_function_shows_the_reference(write: Callable[..., None]) -> None:
    write("return 1 / 0")
    shown = opened()
    assert drawn(shown) == "■■■⬚ ■■■⬚ ■■■⬚ ■■■⬚"
    assert shown.view.state["problem"].startswith("padding_mask raised ZeroDivisionError")
    assert shown.view.state["functions"] == "The mask: the reference shows the mask."


# ---- what is stored ---------------------------------------------------------------------------------------------


def test_its_display_is_the_static_picture_beside_the_widget() -> None:
    picture = mask_lens(
        example.SCORES_A,
        REAL.bool().expand(4, 4),
        example.VALUES_A,
        example.TOKENS_A,
        example.TOKENS_A,
        as_fractions=True,
    )
    shown = opened()
    data, metadata = shown._repr_mimebundle_()
    wanted, wanted_metadata = picture._repr_mimebundle_()
    assert {key: data[key] for key in wanted} == wanted
    assert metadata == wanted_metadata
    assert data[WIDGET]["model_id"] == shown.model_id
    assert repr(shown) == picture.text
    move(shown, pattern="causal")
    assert shown._repr_mimebundle_()[0]["text/plain"] == picture.text  # its first state, whatever has been tried


def test_it_is_a_picture_where_widgets_are_off(
    monkeypatch: pytest.MonkeyPatch, write: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORKBOOK_WIDGETS", "off")
    write("return 1 / 0")
    shown = lens(padding="left", pattern="causal", row=2)
    assert isinstance(shown, Picture)
    assert "row like (query 2), mask (B, 1, Q, K) → (B, H, Q, K)" in shown.text
    assert "ZeroDivisionError" in capsys.readouterr().out


@pytest.mark.parametrize("widgets", ["", "off"])
def test_it_runs_in_a_kernel_without_a_front_end(widgets: str, tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("from workbook.mask_lens import lens\nlens()")]
    )
    path = tmp_path / "lens.ipynb"
    nbformat.write(notebook, path)
    options = ["--to", "notebook", "--execute", "--inplace", "--ExecutePreprocessor.kernel_name=python3"]
    environment = {**os.environ, "WORKBOOK_WIDGETS": widgets, "PYTHONPATH": str(course.PROJECT)}
    subprocess.run([sys.executable, "-m", "nbconvert", *options, str(path)], env=environment, check=True)
    (output,) = nbformat.read(path, 4).cells[0].outputs
    assert (WIDGET in output.data) == (widgets == "")
    assert output.data["text/plain"].startswith("row I (query 0)")
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert output.metadata["image/png"]["alt"].startswith("Mask lens of row I")


# ---- what is given to it ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "keywords", "sentence"),
    [
        ((torch.zeros(2, 3),), {}, "scores have shape (2, 3); they must be [query, key] or [head, query, key]"),
        ((torch.zeros(17, 17),), {}, "the sentence has 17 tokens; the lens shows 1 to 16. Cut it."),
        ((torch.zeros(2, 2), torch.zeros(3, 1)), {}, "values has shape (3, 1); it must have shape (2, any)"),
        ((None, torch.zeros(3, 1)), {}, "values are given without scores and without tokens"),
        ((), {"row": 4}, "row is 4; there are 4 query rows, 0 to 3"),
        ((), {"padding": "top"}, 'padding is \'top\'; it can be "none", "right", "left"'),
        ((), {"pattern": "random"}, "pattern is 'random'; it can be \"everyone\""),
        ((), {"pattern": "window", "window": 0}, "window is 0; it can be 1 to 4 here"),
        ((), {"second_text": 4}, "second_text is 4; it can be 0 to 3 here"),
        ((), {"padded": 0}, "padded is 0; it can be 1 to 4 here"),
    ],
)
def test_what_does_not_fit_is_named(arguments: tuple[Any, ...], keywords: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        lens(*arguments, **keywords)


def test_one_token_is_enough_and_sixteen_are_not_too_many() -> None:
    assert drawn(opened(tokens=["alone"])) == "■"
    shown = opened(tokens=[f"w{place}" for place in range(16)], row=-1)
    assert shown.view.row == 15
    assert shown.view.state["rows"][15]["output"] == ["15/2"]  # the mean of the places
