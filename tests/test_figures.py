"""Figures: what the words say, what the pixels show, and that making one leaves the reader's session alone."""

import base64
import io
import math
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import matplotlib.image
import numpy
import pytest
import torch
from matplotlib.text import Text

from workbook import figures
from workbook.figures import style
from workbook.figures.picture import Picture

TOKENS_A = ["I", "like", "coffee", "<pad>"]
TOKENS_B = ["you", "like", "green", "tea"]
PADDING_A = torch.tensor([[True, True, True, False]] * 4)
CAUSAL = torch.ones(4, 4, dtype=torch.bool).tril()
SCORES_A = torch.tensor([[1, 2, 1, 4], [2, 1, 1, 4], [1, 1, 2, 4], [1, 3, 4, 8]]).log()
VALUES_A = [[1, 0], [0, 1], [1, 1], [8, 8]]
LEGEND = "■ may attend   ⬚ may not attend   (rows: query, who asks; columns: key, who is asked)"


# ---- reading pixels ---------------------------------------------------------------------------------------------

COLOURS = {
    "allowed": style.ALLOWED,
    "forbidden": style.FORBIDDEN,
    "leaking": style.LEAKING,
    "missing": style.MISSING,
    "right": style.RIGHT_ALLOWED,
    "right, forbidden": style.RIGHT_FORBIDDEN,
}
LEGEND_PIXELS = 44 * 2


def pixels(picture: Picture) -> numpy.ndarray:
    """[height, width, 3] bytes of the PNG."""
    image = matplotlib.image.imread(io.BytesIO(picture.png), format="png")
    return (image[..., :3] * 255).round().astype(int)


def where(image: numpy.ndarray, colour: str) -> numpy.ndarray:
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return (image == wanted).all(axis=-1)


def stretches(line: numpy.ndarray, gap: int) -> list[tuple[int, int]]:
    """Begin and end of the runs of True, where holes narrower than `gap` are bridged."""
    places = numpy.flatnonzero(line)
    cuts = numpy.flatnonzero(numpy.diff(places) > gap)
    begins, ends = [0, *(cuts + 1)], [*cuts, len(places) - 1]
    return [(int(places[begin]), int(places[end]) + 1) for begin, end in zip(begins, ends, strict=True)]


def drawn_cells(picture: Picture, rows: int, columns: int, panel: int = 0) -> list[list[str]]:
    """What colour each cell of a panel has, found from the picture alone: the colour most of its pixels have."""
    image = pixels(picture)[:-LEGEND_PIXELS]
    masks = {name: where(image, colour) for name, colour in COLOURS.items()}
    cells = numpy.any(list(masks.values()), axis=0)
    left, right = stretches(cells.any(axis=0), gap=30)[panel]
    top, bottom = stretches(cells[:, left:right].any(axis=1), gap=30)[0]
    width, height = (right - left) / columns, (bottom - top) / rows
    found: list[list[str]] = []
    for row in range(rows):
        found.append([])
        for column in range(columns):
            box = (
                slice(round(top + row * height), round(top + (row + 1) * height)),
                slice(round(left + column * width), round(left + (column + 1) * width)),
            )
            found[-1].append(max(masks, key=lambda name: masks[name][box].sum()))
    return found


def as_words(mask: torch.Tensor) -> list[list[str]]:
    return [["allowed" if may else "forbidden" for may in row] for row in mask.tolist()]


# ---- mask_grid --------------------------------------------------------------------------------------------------


def test_mask_grid_text_is_drawn_with_tokens():
    picture = figures.mask_grid(PADDING_A, TOKENS_A, TOKENS_A, title="Sentence A")
    assert str(picture) == "\n".join(
        [
            "Sentence A",
            "         I like coffee <pad>",
            "I        ■  ■     ■      ⬚",
            "like     ■  ■     ■      ⬚",
            "coffee   ■  ■     ■      ⬚",
            "<pad>    ■  ■     ■      ⬚",
            LEGEND,
        ]
    )


def test_mask_grid_text_has_bare_indices_without_tokens():
    assert figures.mask_grid([[True, False, False], [True, True, False]]).text == "\n".join(
        ["    0 1 2", "0   ■ ⬚ ⬚", "1   ■ ■ ⬚", LEGEND]
    )


def test_mask_grid_writes_cells_beside_their_glyphs():
    picture = figures.mask_grid([[True, False]], ["I"], ["I", "<pad>"], cells=[[0.25, float("-inf")]])
    assert picture.text.splitlines()[:2] == ["      I     <pad>", "I   ■ 0.25  ⬚ −∞"]


def test_mask_grid_panels_have_names_and_their_own_tokens():
    picture = figures.mask_grid({"A": PADDING_A, "B": CAUSAL}, queries={"A": TOKENS_A, "B": TOKENS_B})
    assert [line for line in picture.text.splitlines() if line.startswith("[")] == ["[A]", "[B]"]
    assert "A: rows I, like, coffee, <pad> see I, like, coffee; <pad> is hidden." in picture.alt
    assert "B: row you sees you; row like sees you, like;" in picture.alt
    assert drawn_cells(picture, 4, 4, panel=0) == as_words(PADDING_A)
    assert drawn_cells(picture, 4, 4, panel=1) == as_words(CAUSAL)


def test_slices_become_panels():
    picture = figures.mask_grid(torch.stack([PADDING_A, CAUSAL]))
    assert picture.text.count("[slice ") == 2


@pytest.mark.parametrize(
    ("allowed", "tokens", "alt"),
    [
        (
            CAUSAL,
            TOKENS_A,
            "row I sees I; row like sees I, like; row coffee sees I, like, coffee; "
            "row <pad> sees I, like, coffee, <pad>.",
        ),
        (
            PADDING_A,
            None,
            "rows 0 to 3 see keys 0 to 2; key 3 is hidden.",
        ),
        (
            [[True, True], [False, False]],
            ["a", "a"],
            "row a (0) sees a (0), a (1); row a (1) sees nothing.",
        ),
    ],
)
def test_alt_says_who_sees_whom(allowed, tokens, alt):
    assert figures.mask_grid(allowed, tokens).alt == alt


@pytest.mark.parametrize("mask", [PADDING_A, PADDING_A.T, CAUSAL, CAUSAL.T, ~CAUSAL, CAUSAL[-2:]])
def test_each_cell_has_the_colour_of_its_value(mask):
    assert drawn_cells(figures.mask_grid(mask), *mask.shape) == as_words(mask)


def test_cells_with_numbers_keep_their_colours():
    picture = figures.mask_grid(CAUSAL, TOKENS_B, cells=SCORES_A)
    assert drawn_cells(picture, 4, 4) == as_words(CAUSAL)


def test_large_masks_are_cropped_and_say_so():
    picture = figures.mask_grid(torch.ones(40, 130, dtype=torch.bool).tril())
    assert "(first 32 of 40 rows, first 32 of 130 columns)" in picture.text
    assert "upper left corner of a mask of 40 queries and 130 keys" in picture.alt
    assert drawn_cells(picture, 40, 96) == as_words(torch.ones(40, 96, dtype=torch.bool).tril())


def test_highlight_row_outlines_that_row_only():
    plain, outlined = figures.mask_grid(CAUSAL), figures.mask_grid(CAUSAL, highlight_row=1)
    ink = (where(pixels(outlined), style.INK) & ~where(pixels(plain), style.INK)).any(axis=1)
    cells = where(pixels(plain)[:-LEGEND_PIXELS], style.ALLOWED)
    top, bottom = numpy.flatnonzero(cells.any(axis=1))[[0, -1]]
    height = (bottom - top) / 4
    changed = numpy.flatnonzero(ink)
    assert top + height - 12 < changed[0] < changed[-1] < top + 2 * height + 12
    assert changed[-1] - changed[0] > height - 4
    assert outlined.text.splitlines()[2].startswith("1 ◂")


def test_empty_masks_are_drawn_as_such():
    picture = figures.mask_grid(torch.zeros(0, 4, dtype=torch.bool))
    assert "(no cells: 0 queries, 4 keys)" in picture.text
    assert picture.png.startswith(b"\x89PNG")


def test_a_dollar_sign_is_a_token_and_no_formula():
    # matplotlib would read $_{$ as mathematics, and fail
    assert figures.mask_grid(CAUSAL, ["$_{$", "_{", "^$", "\\"]).png.startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: figures.mask_grid(PADDING_A.long()), TypeError, "allowed has dtype torch.int64; it must be bool"),
        (lambda: figures.mask_grid([[1, 0]]), TypeError, "allowed contains 1"),
        (lambda: figures.mask_grid(PADDING_A[0]), ValueError, r"allowed has shape \(4,\).*two axes"),
        (lambda: figures.mask_grid(PADDING_A[None, None]), ValueError, r"allowed\[0, 0\]"),
        (lambda: figures.mask_grid([[True], [True, False]]), ValueError, "equally long"),
        (lambda: figures.mask_grid(PADDING_A, ["I"]), ValueError, "queries has 1 names .* 4 rows"),
        (lambda: figures.mask_grid(PADDING_A, "abcd"), TypeError, "queries is the string"),
        (lambda: figures.mask_grid(PADDING_A, highlight_row=4), ValueError, "highlight_row is 4"),
        (lambda: figures.mask_grid(PADDING_A, cells=[[1, 2]]), ValueError, r"cells has shape \(1, 2\).*\(4, 4\)"),
        (lambda: figures.mask_grid({}), ValueError, "empty dict"),
        (lambda: figures.difference(CAUSAL, CAUSAL[:2]), ValueError, r"received has shape \(2, 4\).*\(4, 4\)"),
        (lambda: figures.difference(CAUSAL, CAUSAL.float()), TypeError, "received has dtype torch.float32"),
        (lambda: figures.batch_grid(["I like"]), TypeError, "list of lists of tokens"),
        (lambda: figures.pipeline(SCORES_A[:2], CAUSAL, VALUES_A), ValueError, r"scores has shape \(2, 4\)"),
        (lambda: figures.pipeline(SCORES_A, CAUSAL, VALUES_A[:3]), ValueError, r"values has shape \(3, 2\)"),
        (lambda: figures.mask_lens(SCORES_A, CAUSAL, VALUES_A, row=7), ValueError, "row is 7"),
        (lambda: figures.mask_lens([["a"] * 4] * 4, CAUSAL, VALUES_A), TypeError, "scores contains 'a'"),
        (lambda: figures.tokens_moved({"x": [1.0]}, ["a", "b"]), ValueError, "changes.'x'. has 1 numbers"),
        (lambda: figures.tokens_moved([1.0], ["a"]), TypeError, "changes is"),  # type: ignore[arg-type]
        (lambda: figures.bars([1.0], ["a", "b"]), ValueError, "labels has 2 names"),
        (lambda: figures.lines([1, 2], {"a": [1]}), ValueError, r"series\['a'\] has 1 numbers"),
        (lambda: figures.histogram([]), ValueError, "values is empty"),
    ],
)
def test_errors_name_the_argument_and_what_would_be_right(call, error, words):
    with pytest.raises(error, match=words):
        call()


# ---- difference -------------------------------------------------------------------------------------------------


def leaking_and_missing() -> torch.Tensor:
    """Sentence A's mask with two leaking cells and one missing."""
    received = PADDING_A.clone()
    received[0, 3] = received[3, 3] = True
    received[2, 1] = False
    return received


def test_difference_text_tells_leaking_from_missing():
    assert figures.difference_text(PADDING_A, leaking_and_missing(), TOKENS_A) == "\n".join(
        [
            "2 leaking (seen but forbidden), 1 missing (allowed but not seen)",
            "[expected]                      [yours]                         [difference]",
            "         I like coffee <pad>             I like coffee <pad>             I like coffee <pad>",
            "I        ■  ■     ■      ⬚      I        ■  ■     ■      ■      I        ·  ·     ·      !",
            "like     ■  ■     ■      ⬚      like     ■  ■     ■      ⬚      like     ·  ·     ·      ·",
            "coffee   ■  ■     ■      ⬚      coffee   ■  ⬚     ■      ⬚      coffee   ·  ?     ·      ·",
            "<pad>    ■  ■     ■      ⬚      <pad>    ■  ■     ■      ■      <pad>    ·  ·     ·      !",
            "! leaking: seen but forbidden   ? missing: allowed but not seen   · as it should be",
        ]
    )


def test_difference_draws_three_grids():
    picture = figures.difference(PADDING_A, leaking_and_missing(), TOKENS_A)
    assert drawn_cells(picture, 4, 4, panel=0) == as_words(PADDING_A)
    assert drawn_cells(picture, 4, 4, panel=1) == as_words(leaking_and_missing())
    faint = ["right", "right", "right", "right, forbidden"]
    assert drawn_cells(picture, 4, 4, panel=2) == [
        [*faint[:3], "leaking"],
        faint,
        ["right", "missing", "right", "right, forbidden"],
        [*faint[:3], "leaking"],
    ]
    assert "row I sees <pad> and must not; row <pad> sees <pad> and must not" in picture.alt
    assert "row coffee does not see like and may" in picture.alt


def test_the_name_of_a_single_panel_has_room_above_the_axis():
    bare, named = (figures.mask_grid(drawn, TOKENS_B).figure for drawn in (CAUSAL, {"one": CAUSAL}))
    height = {text.get_text(): text.get_position()[1] for text in named.findobj(Text)}
    assert abs(height["one"] - height["key (who is asked) →"]) > 20
    assert named.get_figheight() > bare.get_figheight()


def test_the_legend_of_a_difference_says_what_is_compared():
    words = [
        [str(text.get_text()) for text in figures.difference(CAUSAL, PADDING_A, **said).figure.findobj(Text)]
        for said in ({}, {"means": ("moves", "stays")})
    ]
    assert {"may attend", "may not"} <= set(words[0])
    assert {"moves", "stays"} <= set(words[1])
    assert not {"may attend", "may not"} & set(words[1])


def test_difference_of_equal_masks_says_so():
    assert figures.difference_text(CAUSAL, CAUSAL.clone()).splitlines()[0] == "no difference"


def test_difference_shows_the_slice_and_the_rows_that_differ():
    expected = torch.zeros(2, 1, 40, 4, dtype=torch.bool)
    received = expected.clone()
    received[1, 0, 30, 2] = True
    text = figures.difference_text(expected, received)
    assert "slice [1, 0] of shape [2, 1, 40, 4], the first that differs; rows 24 to 39 of 40" in text
    assert text.count("!") == 2  # one cell, and the legend
    received[0, 0, 2, 2] = True
    text = figures.difference_text(expected, received)
    assert text.splitlines()[0] == "2 leaking (seen but forbidden)"  # all slices are counted
    assert "first 16 of 40 rows" in text


@pytest.mark.parametrize("shape", [(4,), (0, 4), (4, 0), (0, 2, 2), (2, 3, 4)])
def test_difference_takes_every_shape_a_mask_may_have(shape):
    mask = torch.ones(shape, dtype=torch.bool)
    assert figures.difference(mask, mask).png.startswith(b"\x89PNG")
    assert ElementTree.fromstring(figures.difference_svg(mask, mask)).tag.endswith("svg")


def test_difference_svg_counts_cells_and_carries_no_id():
    drawing = figures.difference_svg(PADDING_A, leaking_and_missing(), TOKENS_A)
    root = ElementTree.fromstring(drawing)
    boxes = [element.get("style", "") for element in root.iter() if element.tag.endswith("rect")]
    assert len(boxes) == 3 * 16
    assert sum("fill:#F0742A" in box for box in boxes) == 2
    assert sum("stroke:#A77BD6" in box for box in boxes) == 1
    assert sum(box == "fill:#3F7CC4" for box in boxes) == PADDING_A.sum() + leaking_and_missing().sum()
    letters = "".join(element.text or "" for element in root if element.get("style", "").endswith("bold"))
    assert letters.count("!") == 2
    assert letters.count("?") == 1
    assert "row I sees <pad> and must not" in root.get("aria-label", "")
    assert not any(element.get("id") for element in root.iter())
    assert "var(--jp-ui-font-color1, currentColor)" in drawing
    assert drawing == figures.difference_svg(PADDING_A, leaking_and_missing(), TOKENS_A)


def test_difference_image_is_the_drawing_on_a_card_of_its_own():
    tag = figures.difference_image(PADDING_A, leaking_and_missing(), TOKENS_A)
    element = ElementTree.fromstring(tag.replace('">', '"/>'))
    drawing = base64.b64decode(element.get("src", "").partition("base64,")[2]).decode()
    root = ElementTree.fromstring(drawing)
    boxes = [box for box in root.iter() if box.tag.endswith("rect")]
    assert len(boxes) == 3 * 16 + 1
    assert boxes[0].get("fill") == style.CARD
    assert boxes[0].get("width") == root.get("width")
    assert "var(" not in drawing
    assert element.get("alt") == root.get("aria-label")


# ---- batch, pipeline, lens --------------------------------------------------------------------------------------


def test_a_turned_name_ends_inside_the_figure():
    eight = torch.ones(8, 8, dtype=torch.bool)
    picture = figures.mask_grid(eight, keys=["a"] * 7 + ["a name that is very long"], queries=["a"] * 8, axes=("", ""))
    drawn = pixels(picture)
    background = drawn[2, 2]
    edge = drawn[4:-4, -12:-4]  # inside the card's frame
    assert (edge == background).all()


def test_batch_grid_lists_words_and_counts_padding():
    picture = figures.batch_grid([TOKENS_A, TOKENS_B], names=["A", "B"])
    assert picture.text == "A   I    like  coffee  <pad>\nB   you  like  green   tea\n1 of 8 cells are padding"
    assert "sentence A: I like coffee <pad>" in picture.alt
    assert where(pixels(picture), style.FORBIDDEN).sum() > 1000
    assert where(pixels(figures.batch_grid([TOKENS_B])), style.FORBIDDEN).sum() == 0
    labels = figures.batch_grid([["I", "like"], ["like", "–"]], names=["input", "asked for"], count_padding=False)
    assert labels.text == "input       I     like\nasked for   like  –"
    assert labels.alt == "input: I like; asked for: like –."


def test_pipeline_shows_shares_and_fractions():
    picture = figures.pipeline(
        SCORES_A[:1], PADDING_A[:1], VALUES_A, ["I"], TOKENS_A, row=0, as_fractions=True, as_shares=True
    )
    assert picture.text == "\n".join(
        [
            "[shares]",
            "      I  like  coffee  <pad>",
            "I ◂   1   2      1       4",
            "[mask]",
            "      I like coffee <pad>",
            "I ◂   ■  ■     ■      ⬚",
            "[masked shares]",
            "      I  like  coffee  <pad>",
            "I ◂   1   2      1       0",
            "[÷ sum → weights]",
            "      I  like  coffee  <pad>",
            "I ◂   ¼   ½      ¼       0",
            "[× values → output]",
            "      0  1",
            "I ◂   ½  ¾",
        ]
    )
    assert picture.alt == "From scores to output: row I sees I, like, coffee; <pad> is hidden. row I gives (½, ¾)."
    assert picture.png.startswith(b"\x89PNG")


def test_pipeline_without_a_mask_gives_the_padding_half():
    picture = figures.pipeline(SCORES_A, torch.ones(4, 4, dtype=torch.bool), VALUES_A, TOKENS_A, row=0)
    assert "I ◂      0.125  0.25   0.125    0.5" in picture.text
    assert picture.alt.endswith("row I gives (4.25, 4.375).")


def test_mask_lens_lists_the_row():
    picture = figures.mask_lens(SCORES_A, PADDING_A, VALUES_A, TOKENS_A, row=0)
    assert picture.text == "\n".join(
        [
            "row I (query 0), mask (B, 1, 1, K) → (B, H, Q, K)",
            "key      I       like    coffee  <pad>",
            "mask     ■       ■       ■       ⬚",
            "score    ln 1    ln 2    ln 1    ln 4",
            "masked   ln 1    ln 2    ln 1    −∞",
            "weight   0.25    0.5     0.25    0   sum 1",
            "value    (1, 0)  (0, 1)  (1, 1)  (8, 8)",
            "output   (0.5, 0.75), moved by I, like and coffee",
        ]
    )
    assert picture.alt == "Mask lens of row I: it sees I, like, coffee; <pad> is hidden. Its output is (0.5, 0.75)."
    assert picture.size[0] == 1000


def weights_panel(picture: Picture) -> numpy.ndarray:
    return pixels(picture)[:, 2 * 546 : 2 * 750]


def test_mask_lens_marks_a_row_without_keys():
    allowed = PADDING_A.clone()
    allowed[1] = False
    broken = figures.mask_lens(SCORES_A, allowed, VALUES_A, TOKENS_A, row=1)
    whole = figures.mask_lens(SCORES_A, allowed, VALUES_A, TOKENS_A, row=0)
    assert "sum NaN" in broken.text
    assert broken.text.endswith("output   (NaN, NaN): no key is allowed, 0 ÷ 0; every weight is NaN")
    assert broken.alt == "Mask lens of row like: no key is allowed, so its weights and its output are NaN."
    assert where(weights_panel(broken), style.NOT_A_NUMBER).sum() > 5000  # the badge
    assert where(weights_panel(broken), style.ALLOWED).sum() == 0  # and no bar
    assert where(weights_panel(whole), style.NOT_A_NUMBER).sum() == 0
    assert where(weights_panel(whole), style.ALLOWED).sum() > 5000


def test_mask_lens_bars_are_as_tall_as_the_weights():
    bars = where(weights_panel(figures.mask_lens(SCORES_A, PADDING_A, VALUES_A, TOKENS_A)), style.ALLOWED)
    bars = bars[: 2 * 290]  # above the badge
    heights = [
        int(bars[:, begin:end].any(axis=1).sum())
        for begin, end in stretches(bars.any(axis=0), gap=8)
        if end - begin > 40  # a bar, not a letter
    ]
    assert len(heights) == 3
    assert [round(height / heights[0], 1) for height in heights] == [1.0, 2.0, 1.0]


# ---- charts -----------------------------------------------------------------------------------------------------


def test_tokens_moved_tells_moved_from_unmoved():
    picture = figures.tokens_moved({"linear": [0, 0, -1.25, 1e-9], "attention": [0.0001, 0.1, 0.5, 0.25]}, TOKENS_A)
    assert picture.text == "\n".join(
        [
            "              I     like  coffee  <pad>",
            "linear        0      0     1.25     0",
            "attention   <0.001  0.1    0.5    0.25",
        ]
    )
    assert picture.alt == "linear: coffee moves; attention: I, like, coffee and <pad> move."


def test_tokens_moved_draws_a_bar_for_each_that_moved():
    image = pixels(figures.tokens_moved({"x": [0, 0.5, 0, 1.0]}, TOKENS_A))
    bars = where(image, style.LEAKING)[: -2 * 40]
    assert len(stretches(bars.any(axis=0), gap=8)) == 2


def test_bars_write_their_numbers():
    picture = figures.bars([0.125, -0.0, math.nan], ["I", "like", "<pad>"], title="Shares", ylabel="weight")
    assert picture.text == "Shares (bars, weight)\nI       0.125\nlike    0\n<pad>   NaN"
    assert picture.png.startswith(b"\x89PNG")


def test_measured_numbers_stay_out_of_the_text_unless_asked_for():
    one = figures.lines([8, 64], {"bool": [1.5, 2.5]}, "length", "milliseconds", "Time", logx=True, logy=True)
    other = figures.lines([8, 64], {"bool": [1.75, 9.5]}, "length", "milliseconds", "Time", logx=True, logy=True)
    assert one.text == other.text == "Time (lines, milliseconds over length)\n2 points each: bool"
    assert one.png != other.png
    assert "1.5" in figures.lines([8, 64], {"bool": [1.5, 2.5]}, numbers_in_text=True).text
    floored = figures.lines([8, 64], {"bool": [1.5, 2.5]}, levels={"floor": 2.0})
    assert floored.text.splitlines()[1] == "2 points each: bool; across at 2: floor"
    assert floored.png != figures.lines([8, 64], {"bool": [1.5, 2.5]}).png
    assert figures.histogram([1, 2, 2], bins=2).text == "histogram, how many\n3 values in 2 bins"
    counted = figures.histogram([1, 2, 2], bins=2, numbers_in_text=True)
    assert counted.text.splitlines()[2:] == ["1 to 1.5   1", "1.5 to 2   2"]
    assert counted.png.startswith(b"\x89PNG")


# ---- numbers, and the picture itself ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.5, "0.5"),
        (1 / 3, "0.333"),
        (-0.0, "0"),
        (-1e-9, "≈0"),
        (-2.5, "−2.5"),
        (0.9999, "1"),
        (4.3125, "4.313"),
        (4.31249999, "4.313"),
        (float("-inf"), "−∞"),
        (math.nan, "NaN"),
        (-3.4028e38, "−3.403e38"),
    ],
)
def test_numbers_have_three_decimals_and_no_minus_zero(value, words):
    assert style.number(value) == words


@pytest.mark.parametrize(
    ("value", "words"), [(0.375, "⅜"), (3 / 11, "3/11"), (-1 / 3, "−1/3"), (2.0, "2"), (0.1234, "0.123")]
)
def test_fractions_are_written_where_there_is_one(value, words):
    assert style.fraction(value) == words


def test_a_picture_is_shown_with_its_text_and_alt():
    picture = figures.mask_grid(CAUSAL, TOKENS_B)
    data, metadata = picture._repr_mimebundle_()
    assert base64.b64decode(data["image/png"]) == picture.png
    assert data["text/plain"] == picture.text == str(picture)
    height, width, _ = pixels(picture).shape
    assert metadata["image/png"] == {"alt": picture.alt, "width": width // 2, "height": height // 2}


def test_jupyterlab_gets_the_alternative_text_as_html(monkeypatch: pytest.MonkeyPatch) -> None:
    """It shows an image without the `alt` of its metadata."""
    picture = figures.mask_grid([[True, False]], queries=["<s>"], keys=["<s>", 'a"b'])
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert set(picture._repr_mimebundle_()[0]) == {"image/png", "text/plain"}
    monkeypatch.setenv("JPY_SESSION_NAME", "a.ipynb")
    data = picture._repr_mimebundle_()[0]
    told = ElementTree.fromstring(data["text/html"].removesuffix(">") + "/>").attrib
    assert told["alt"] == picture.alt
    assert told["src"] == f"data:image/png;base64,{data['image/png']}"
    assert (int(told["width"]), int(told["height"])) == picture.size


def test_the_card_is_opaque(tmp_path):
    figures.mask_grid(CAUSAL).save(tmp_path / "mask.png")
    image = matplotlib.image.imread(tmp_path / "mask.png")
    assert image.shape[-1] == 3 or (image[..., 3] == 1).all()


def test_a_picture_is_the_same_bytes_each_time_whatever_the_readers_style():
    def draw() -> list[bytes]:
        return [
            figures.mask_grid(PADDING_A, TOKENS_A, highlight_row=0).png,
            figures.mask_lens(SCORES_A, PADDING_A, VALUES_A, TOKENS_A).png,
            figures.bars([1, 2], ["a", "b"], title="bars").png,
        ]

    before = draw()
    with matplotlib.rc_context(
        {"font.family": ["serif"], "savefig.dpi": 50, "axes.linewidth": 6, "patch.antialiased": False}
    ):
        mine = dict(matplotlib.rcParams)
        assert draw() == before
        assert dict(matplotlib.rcParams) == mine


def run_python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_figures_loads_neither_torch_nor_matplotlib():
    program = "import sys, workbook.figures; print([m for m in ('torch', 'matplotlib', 'numpy') if m in sys.modules])"
    assert run_python(program) == "[]"


def test_drawing_does_not_touch_pyplot():
    program = (
        "import sys; from workbook import figures as f; f.mask_grid([[True]]).png; f.bars([1], ['a']).png;"
        "f.lines([1, 2], {'a': [1, 2]}).png; f.histogram([1]).png;"
        "print('matplotlib.figure' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    assert run_python(program) == "True False"


def test_every_exported_name_is_there():
    for name in figures.__all__:
        assert callable(getattr(figures, name)), name
    with pytest.raises(AttributeError, match="no_such_figure"):
        figures.no_such_figure  # noqa: B018


def test_the_readme_picture_is_made_by_one_command(tmp_path):
    from workbook.figures.__main__ import main

    main([str(tmp_path / "docs" / "mask_lens.png")])
    assert (tmp_path / "docs" / "mask_lens.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(SystemExit, match="usage"):
        main([])
