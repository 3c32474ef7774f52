"""The four conventions: one mask, said in four ways, none of which is taken for another."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook.conventions import CONVENTIONS, from_allowed, to_allowed

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
conventions = st.sampled_from(CONVENTIONS)


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    return torch.rand(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**31)))) < 0.5


@given(masks(), conventions, st.sampled_from(DTYPES))
def test_a_mask_comes_back_from_every_convention(allowed: Tensor, convention: str, dtype: torch.dtype) -> None:
    there = from_allowed(allowed, convention, dtype)
    back = to_allowed(there, convention)
    assert back.dtype == torch.bool
    assert there.shape == allowed.shape
    assert torch.equal(back, allowed)


@pytest.mark.parametrize("dtype", DTYPES)
def test_each_convention_says_it_in_its_own_values(dtype: torch.dtype) -> None:
    allowed = torch.tensor([True, False])
    said = {convention: from_allowed(allowed, convention, dtype) for convention in CONVENTIONS}
    assert said["allowed"].tolist() == [True, False]
    assert said["ignore"].tolist() == [False, True]
    assert said["ignore"].dtype == torch.bool
    assert said["attention_mask"].tolist() == [1, 0]
    assert said["attention_mask"].dtype == torch.int64
    assert said["additive"].tolist() == [0, torch.finfo(dtype).min]
    assert said["additive"].dtype == dtype


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_bias_stays_allowed_and_infinity_does_not(dtype: torch.dtype) -> None:
    lowest = torch.finfo(dtype).min
    values = torch.tensor([0.0, -0.0, 3.0, -100.0, -1e4, lowest, -math.inf, lowest / 2], dtype=dtype)
    assert to_allowed(values, "additive").tolist() == [True] * 5 + [False] * 3


def test_any_kind_of_number_serves_as_an_attention_mask() -> None:
    for dtype in (torch.int64, torch.int32, torch.uint8, torch.bool, torch.float32):
        assert to_allowed(torch.tensor([1, 0, 1]).to(dtype), "attention_mask").tolist() == [True, False, True]


@given(masks(), conventions)
def test_the_result_is_a_tensor_of_its_own(allowed: Tensor, convention: str) -> None:
    before = allowed.clone()
    from_allowed(allowed, convention).fill_(0)
    assert torch.equal(allowed, before)


@pytest.mark.parametrize("convention", ["", "Allowed", "key_padding_mask", "none"])
def test_an_unknown_convention_is_named_with_the_known_ones(convention: str) -> None:
    mask = torch.tensor([True])
    for convert in (to_allowed, from_allowed):
        with pytest.raises(
            ValueError, match=f"convention is '{convention}'; it can be allowed, ignore, attention_mask or"
        ):
            convert(mask, convention)
