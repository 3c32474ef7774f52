"""Leaks seen from outside: nudge one input position and look which outputs move."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

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


# --- every layer of a model ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Audit:
    """Which positions move in each module of a model when one token is changed, and where a forbidden one moves first.

    ``moved`` has, in the order in which modules finish, a bool ``[S, S]`` for each that returns one vector a position:
    ``True`` at ``[q, k]`` if its output at ``q`` moved when token ``k`` was changed. ``first`` names the innermost first
    module that is handed nothing forbidden and hands something forbidden on; ``None`` if there is none.
    """

    allowed: Tensor
    moved: dict[str, Tensor]
    first: str | None

    def leaks(self, module: str) -> list[tuple[int, int]]:
        """Return the forbidden cells (q, k) of a module: q moved when k was changed, and may not."""
        return [(q, k) for q, k in (self.moved[module] & ~self.allowed).nonzero().tolist()]

    def __str__(self) -> str:
        if self.first is None:
            return f"No leak: in none of {len(self.moved)} modules did a forbidden position move."
        cells = self.leaks(self.first)
        others = f", and {len(cells) - 1} cells more" if len(cells) > 1 else ""
        q, k = cells[0]
        return f"{self.first} leaks first: position {q} moves when token {k} is changed{others}."


#: What the model itself is called among its modules.
WHOLE_MODEL = "(the model)"


def audit(model: nn.Module, input_ids: Tensor, allowed: Tensor, **inputs: Any) -> Audit:
    """Find the first module of ``model`` in which a position moves that may not.

    The model runs once on the sentence and once for each token with another one in its place; hooks keep what every module
    took and gave. A module is to blame if what it took kept to ``allowed`` and what it gave does not. Prefix invariance is
    one such law: with the causal triangle as ``allowed``, no change of a token may move what stands before it. Padding is
    another: with its columns forbidden to all rows but padding, no filler may move a word.

    Args:
        model: called as ``model(input_ids, **inputs)``; in ``eval()``, for with dropout nothing can be compared.
        input_ids: long ``[1, S]``, one sentence.
        allowed: bool ``[S, S]``, ``True`` where output q may depend on token k, over all layers together.
        inputs: whatever else the model takes, such as ``attention_mask``; held fixed.

    Returns:
        What moved in each module that returns float ``[1, S, ...]`` (or a structure whose first such tensor is looked at).

    Raises:
        ValueError: a shape is another one, the model is in training, or no module returns one vector a position.

    Source: the check by two passes that differ in one token, as in "prefix invariance" of arXiv 2608.22876.
    """
    length = input_ids.shape[-1]
    if input_ids.shape != (1, length) or input_ids.is_floating_point():
        raise ValueError(
            f"input_ids has to be one sentence of whole numbers, [1, S]; its shape is {list(input_ids.shape)}"
        )
    if allowed.shape != (length, length) or allowed.dtype != torch.bool:
        raise ValueError(f"allowed has to be bool [{length}, {length}]; it is {allowed.dtype} {list(allowed.shape)}")
    if any(module.training for module in model.modules()):
        raise ValueError("the model is in training, where dropout would move everything; call eval() first")
    before = _passage(model, input_ids, inputs)
    took, gave = ({name: torch.zeros_like(allowed) for name in before} for _ in range(2))
    for position in range(length):
        changed = input_ids.clone()
        token = int(changed[0, position])
        changed[0, position] = token - 1 if token > 0 else 1  # another token that every vocabulary has
        after = _passage(model, changed, inputs)
        for name, passed in before.items():
            for cells, one, other in zip((took[name], gave[name]), passed, after[name], strict=True):
                for tensor, nudged in zip(one, other, strict=True):
                    cells[:, position] |= _moved(_positions(tensor[0]), _positions(nudged[0])).to(cells.device)
    moved = {name: gave[name] for name, (_, outputs) in before.items() if outputs}
    if not moved:
        raise ValueError(f"no module of {type(model).__name__} returns a float tensor [1, {length}, ...]")
    clean = (name for name in moved if bool((took[name] <= allowed).all()))
    return Audit(allowed, moved, next((name for name in clean if bool((gave[name] & ~allowed).any())), None))


#: What one module took and gave in one run: the tensors that have one vector a position.
Passed = tuple[list[Tensor], list[Tensor]]


def _passage(model: nn.Module, input_ids: Tensor, inputs: dict[str, Any]) -> dict[str, Passed]:
    """Run the model once and return what passed through each module, in the order in which they finish."""
    length, passed = input_ids.shape[1], dict[str, Passed]()

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, keywords: Any, output: Any) -> None:
            calls = sum(known == name or known.startswith(f"{name} (call ") for known in passed)
            called = f"{name} (call {calls + 1})" if calls else name  # a module may be used more than once
            taken = [tensor for tensor in _tensors((arguments, keywords)) if _is_a_sequence(tensor, length)]
            given = [tensor for tensor in _tensors(output) if _is_a_sequence(tensor, length)][:1]
            passed[called] = ([tensor.clone() for tensor in taken], [tensor.clone() for tensor in given])

        return hook

    with torch.no_grad(), _hooks(model, keep):
        model(input_ids, **inputs)
    return passed


@contextmanager
def _hooks(model: nn.Module, keep: Callable[[str], Callable[..., None]]) -> Iterator[None]:
    handles = [
        module.register_forward_hook(keep(name or WHOLE_MODEL), with_kwargs=True)
        for name, module in model.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterable[Tensor]:
    """Yield the tensors of a structure: of tuples, lists, dicts, and what behaves like a dict, as outputs of models do."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _is_a_sequence(tensor: Tensor, length: int) -> bool:
    return tensor.dim() >= 3 and tensor.shape[:2] == (1, length) and tensor.is_floating_point()


def _positions(output: Tensor) -> Tensor:
    if output.dim() == 0:
        raise ValueError("function has to return one row a position; it returned a single number")
    return output.reshape(output.shape[0], -1)


def _moved(before: Tensor, after: Tensor) -> Tensor:
    scale = before.nan_to_num().abs().amax().clamp(min=1.0)
    return ((after - before).abs() > ROUNDING * scale).any(1) | (after.isnan() & ~before.isnan()).any(1)
