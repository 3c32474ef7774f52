"""Numbers in the notebooks: short, and the same on every device and in every state."""

import math
import unicodedata
from fractions import Fraction
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workbook.printing import largest_difference, number, show


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (-0.0000001, "≈0"),
        (0.25, "0.25"),
        (1.0, "1"),
        (0.12345, "0.123"),
        (-2.5, "−2.5"),
        (1e5, "1e5"),
        (-3.4028234663852886e38, "−3.403e38"),
        (99999.0, "99999"),
        (math.nan, "NaN"),
        (math.inf, "∞"),
        (-math.inf, "−∞"),
        (True, "■"),
        (False, "⬚"),
        (7, "7"),
        (-2, "−2"),
        (123456789, "123456789"),
    ],
)
def test_a_number_is_short(value: Any, text: str) -> None:
    assert number(value) == text


@given(st.floats(-1e9, 1e9, width=32))
def test_a_number_can_be_read_back_to_three_decimals(value: float) -> None:
    text = number(value)
    assert text not in ("−0", "−0.0")
    assert float(text.replace("−", "-").replace("≈", "")) == pytest.approx(value, rel=1e-3, abs=6e-4)


@given(st.integers(0, 64), st.integers(1, 64))
def test_a_small_fraction_is_written_as_one(top: int, bottom: int) -> None:
    text = number(float(torch.tensor(top / bottom)), fractions=True)
    value = unicodedata.numeric(text) if len(text) == 1 else Fraction(text)
    assert float(value) == pytest.approx(top / bottom, abs=1e-6)
    assert "." not in text


def test_what_is_no_fraction_stays_a_number() -> None:
    assert number(math.pi, fractions=True) == "3.142"
    assert number(math.nan, fractions=True) == "NaN"


def test_a_row_is_printed_behind_its_label(capsys: pytest.CaptureFixture[str]) -> None:
    show("weights", torch.tensor([0.25, 0.5, -0.0]), fractions=True)
    show("mask", torch.tensor([True, False]), 3, "text", torch.tensor(0.5))
    assert capsys.readouterr().out == "weights   ¼  ½  0\nmask   ■  ⬚  3  text  0.5\n"


def test_a_table_is_printed_beside_its_label_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    show("scores", torch.tensor([[1.0, -10.25], [100.0, 0.5]]))
    assert capsys.readouterr().out == "scores   1    −10.25\n         100  0.5\n"


def test_several_labels_are_printed_as_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    show({"a": torch.tensor([1, 200]), "longer": (torch.tensor([30, 4]), "text")})
    assert capsys.readouterr().out == "a        1   200\nlonger   30  4    text\n"
    show({"grid": torch.tensor([[True, False], [False, True]]), "row": torch.tensor([True, True])})
    assert capsys.readouterr().out == "grid   ■  ⬚\n       ⬚  ■\nrow    ■  ■\n"


def test_nothing_is_said_to_be_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    show("empty", torch.zeros(2, 0))
    assert capsys.readouterr().out == "empty   (nothing, shape (2, 0))\n"


@given(
    st.lists(st.integers(1, 3), max_size=4), st.sampled_from([torch.float32, torch.float16, torch.int64, torch.bool])
)
def test_neither_device_nor_dtype_nor_the_graph_is_printed(shape: list[int], dtype: torch.dtype) -> None:
    import contextlib
    import io

    value = torch.ones(shape, dtype=dtype)
    printed = []
    for form in (value, value.clone().requires_grad_() if dtype.is_floating_point else value):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            show("x", form)
        printed.append(out.getvalue())
    assert printed[0] == printed[1]
    for word in ("tensor", "device", "dtype", "grad"):
        assert word not in printed[0]


def test_a_difference_is_zero_or_rounding_or_a_number() -> None:
    one = torch.tensor([1.0, 2.0])
    assert largest_difference(one, one.clone()) == "0"
    assert largest_difference(torch.tensor([0.0]), torch.tensor([-0.0])) == "0"
    assert largest_difference(one, one + 1e-6) == "< 1e-5"
    assert largest_difference(one, torch.tensor([1.0, 2.25])) == "0.25"
    assert largest_difference(torch.tensor([True]), torch.tensor([False])) == "1"
    assert largest_difference(one, torch.tensor([1.0, 2.0002])) == "2e-04"
    assert largest_difference(one, torch.tensor([1.0, math.nan])) == "NaN"


def test_a_difference_of_two_shapes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(1, 2\)"):
        largest_difference(torch.ones(2), torch.ones(1, 2))
