"""Leaks seen from outside: nudge one input position and look which outputs move."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

#: A change below this share of the output's own size is rounding, not dependence.
ROUNDING = 1e-5


def who_moved(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return which output positions move when each input position is nudged.

    Args:
        function: takes ``x`` and returns a tensor whose first axis are positions too; it has to give the same answer
            twice for the same input (no dropout: put modules into ``eval()``).
        x: float ``[S, D]``, one vector a position.

    Returns:
        bool ``[positions of the output, S]``: ``True`` at ``[q, k]`` if output ``q`` moved when input ``k`` was nudged.
        For attention that is a mask in the course's own sense: rows ask, columns are asked.

    Raises:
        ValueError: ``x`` is not a float tensor of two axes, or the function answers the same question in two ways.
    """
    if x.dim() != 2 or not x.is_floating_point():
        raise ValueError(f"x has to be a float tensor [positions, dim]; it is {x.dtype} of shape {list(x.shape)}")
    with torch.no_grad():
        before = _positions(function(x.clone()))
        if not torch.equal(before.nan_to_num(), _positions(function(x.clone())).nan_to_num()):
            raise ValueError("function gives two answers for one input; is there dropout in it? eval() switches it off")
        blind = before.isnan().any(1)
        if blind.any():
            rows = ", ".join(str(row) for row in blind.nonzero().flatten().tolist())
            warnings.warn(f"output rows {rows} are NaN, so nothing can be seen to move them", stacklevel=2)
        size = x.abs().max().clamp(min=1.0)
        # Two nudges in unlike directions, drawn on the CPU: one alone could cancel out by accident.
        rng = torch.Generator().manual_seed(0)
        nudges = torch.randn(2, x.shape[1], generator=rng).to(x.device, x.dtype) * size
        columns = []
        for position in range(x.shape[0]):
            moved = torch.zeros(before.shape[0], dtype=torch.bool, device=before.device)
            for nudge in nudges:
                nudged = x.clone()
                nudged[position] += nudge
                moved |= _moved(before, _positions(function(nudged)))
            columns.append(moved)
    return torch.stack(columns, dim=1)


def how_far(function: Callable[[Tensor], Tensor], x: Tensor, position: int, nudge: Tensor | float = 1.0) -> Tensor:
    """Return how far each output position moves, float ``[positions of the output]``, when input ``position`` is nudged."""
    with torch.no_grad():
        nudged = x.clone()
        nudged[position] += nudge
        return (_positions(function(nudged)) - _positions(function(x))).abs().amax(1)


def _positions(output: Tensor) -> Tensor:
    if output.dim() == 0:
        raise ValueError("function has to return one row a position; it returned a single number")
    return output.reshape(output.shape[0], -1)


def _moved(before: Tensor, after: Tensor) -> Tensor:
    scale = before.nan_to_num().abs().amax().clamp(min=1.0)
    return ((after - before).abs() > ROUNDING * scale).any(1) | (after.isnan() & ~before.isnan()).any(1)
