"""The functions of `warmup`: oracle and solution on drawn inputs, and torch as the judge."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook.specs import spec
from workbook.topic_files import load_solution

SHAPES = st.lists(st.integers(0, 4), max_size=4)
solution = load_solution("warmup").invert_mask
oracle = spec("warmup.invert_mask").oracle


@st.composite
def masks(draw: st.DrawFn) -> Tensor:
    shape = draw(SHAPES)
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**31)))) < 0.5
    return mask.transpose(0, -1) if draw(st.booleans()) and mask.dim() > 1 else mask


@given(masks())
def test_the_solution_of_invert_mask_is_its_oracle(mask: Tensor) -> None:
    assert solution(mask).dtype == torch.bool
    assert torch.equal(solution(mask), oracle(mask))


@given(masks())
def test_invert_mask_is_the_logical_not_and_its_own_inverse(mask: Tensor) -> None:
    assert torch.equal(oracle(mask), torch.logical_not(mask))
    assert torch.equal(oracle(oracle(mask)), mask)
