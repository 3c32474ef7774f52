"""What a specification is: an oracle, cases, properties and the known ways to be wrong. Nothing here shows or grades anything."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

#: How a result hides and shows cells, so that a verdict can count leaking and missing ones; see workbook/conventions.py.
#: "weights" are attention weights: above 0 is seen. "padding" is an "ignore" that tells of words, not of what they see. A
#: float result of "ignore" is additive, as PyTorch's ``attn_mask`` is.
Reading = Literal["allowed", "padding", "ignore", "attention_mask", "additive", "weights"]


@dataclass(frozen=True)
class Case:
    """One call: its arguments in order, its keywords, and in a few words what it is there for.

    ``tolerance`` is for floats where rounding is large for every right answer too. Where a mask function is to be
    returned, ``indices`` are what it is then asked about, as ``index_grid`` makes them: what it says is the result.
    """

    about: str
    arguments: tuple[Any, ...]
    keywords: dict[str, Any] = field(default_factory=dict)
    tolerance: float | None = None
    indices: tuple[Tensor, ...] = ()

    @property
    def call(self) -> tuple[tuple[Any, ...], dict[str, Any], tuple[Tensor, ...]]:
        return self.arguments, self.keywords, self.indices


class FunctionArgument(NamedTuple):
    """An argument that is a function: ``function`` is a name from the fixed lists in grading/runner.py.

    Whoever is graded gets a callable; its ``tensors`` (weights, a mask) are bound to it as its last arguments. Functions do
    not travel to the process that runs a submission, so that only names and tensors do.
    """

    function: str
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Property:
    """Something that must hold beyond equal values; ``kind`` and ``options`` are what ``grading.runner.measure`` takes."""

    kind: Literal["device", "no loop", "view", "without", "gradients", "vmap"]
    options: dict[str, Any] = field(default_factory=dict)


DEVICE = Property("device")
#: The same, measured on both sizes: where the second one takes another branch.
DEVICE_OF_BOTH = Property("device", {"both": True})
NO_LOOP = Property("no loop")
#: What every function owes; the order is the order of measuring, and the first broken one is reported. That its inputs are
#: unchanged is seen after every case.
ALWAYS = (DEVICE, NO_LOOP)


#: A mask function answers under ``torch.vmap``, one cell at a time, what it answers for whole grids of indices.
VMAP = Property("vmap")


def view(*axes: int) -> Property:
    """The result repeats its values along ``axes`` without copying them: their stride is 0."""
    return Property("view", {"axes": list(axes)})


def without(*functions: str) -> Property:
    """None of torch's ``functions`` is called: the exercise is to replace them."""
    return Property("without", {"functions": list(functions)})


def gradients(*arguments: int) -> Property:
    """Gradients reach the inputs number ``arguments``, are finite and equal the oracle's."""
    return Property("gradients", {"arguments": list(arguments)})


@dataclass(frozen=True)
class Misconception:
    """A known way to be wrong: wrong implementations that learners write, and one sentence of advice.

    An implementation that raises on a case says nothing about that case, so that an answer may do there what it likes;
    one that does nothing wrong but raise is recognised by type and message of what it raises.
    """

    name: str
    advice: str
    implementations: tuple[Callable[..., Any], ...]


def misconception(name: str, advice: str, *implementations: Callable[..., Any]) -> Misconception:
    """Write a misconception down in one line."""
    return Misconception(name, advice, implementations)


@dataclass(frozen=True)
class Spec:
    """All that grading needs to know of one function.

    ``oracle`` is the obviously right, slow answer; its signature and docstring are what the learner's stub shows.
    ``cases(rng)`` draws the calls to compare on; ``sizes(rng)`` two calls of different size for the properties, the first
    of which serves those that need only one. ``observe(case, value)``, where several answers are right, turns a returned
    value into what is compared. ``reading`` tells how the result number ``reading_leaf`` is read as a mask, or every
    result if that is ``None``. ``given`` is code that a learner's file starts with in place of a bare stub.
    """

    topic: str
    oracle: Callable[..., Any]
    points: int
    cases: Callable[[torch.Generator], Iterable[Case]]
    sizes: Callable[[torch.Generator], tuple[Case, Case]]
    misconceptions: tuple[Misconception, ...]
    practice: bool = False
    reading: Reading | None = None
    reading_leaf: int | None = 0
    properties: tuple[Property, ...] = ALWAYS
    observe: Callable[[Case, Any], Any] | None = None
    given: Callable[..., Any] | None = None

    @property
    def function(self) -> str:
        return self.oracle.__name__

    @property
    def name(self) -> str:
        return f"{self.topic}.{self.function}"


#: The half-precision formats, in which a fill of -1e9 overflows or float32's minimum does not fit.
HALVES = (torch.float16, torch.bfloat16)


def lowest_number(dtype: torch.dtype) -> float:
    """Return the most negative finite number of ``dtype``, what an additive mask hides with."""
    return torch.finfo(dtype).min


# --- drawing inputs --------------------------------------------------------------------------------------------------


def integer(rng: torch.Generator, low: int, high: int) -> int:
    """Draw a whole number from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=rng))


def normal(rng: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw normal numbers in float32 and round them to ``dtype``, so that every dtype sees the same ones."""
    return torch.randn(shape, generator=rng).to(dtype)


def coin(rng: torch.Generator, *shape: int, heads: float = 0.5) -> Tensor:
    """Draw bools, ``True`` with probability ``heads``."""
    return torch.rand(shape, generator=rng) < heads


def attention_mask(lengths: Sequence[int], sequence_length: int, padding_side: str = "right") -> Tensor:
    """Return ``long [len(lengths), sequence_length]``, 1 = real token, filled in row by row."""
    rows = []
    for length in lengths:
        real, padding = [1] * length, [0] * (sequence_length - length)
        rows.append(real + padding if padding_side == "right" else padding + real)
    return torch.tensor(rows, dtype=torch.long).reshape(len(lengths), sequence_length)


def lengths(rng: torch.Generator, batch: int, sequence_length: int, shortest: int = 1) -> list[int]:
    """Draw a length per row; the first row is never full, so that some padding is always there (if there is room)."""
    drawn = [integer(rng, shortest, sequence_length) for _ in range(batch)]
    if drawn and sequence_length > shortest:
        drawn[0] = integer(rng, shortest, sequence_length - 1)
    return drawn


def index_grid(batch: int, heads: int, query_length: int, key_length: int) -> tuple[Tensor, ...]:
    """Return the indices b, h, q, k of every cell, long, each along its own axis: they broadcast to all four."""
    shape = (batch, heads, query_length, key_length)
    return tuple(
        torch.arange(size).reshape([size if axis == place else 1 for axis in range(4)])
        for place, size in enumerate(shape)
    )


def fill(
    shape: Sequence[int], cell: Callable[..., Any], dtype: torch.dtype, device: torch.device | str = "cpu"
) -> Tensor:
    """Return a tensor whose every cell is ``cell(*index)``, asked one by one: the way an oracle writes a mask."""
    flat = [cell(*index) for index in every_index(shape)]
    return torch.tensor(flat, dtype=dtype, device=device).reshape(tuple(shape))


def wide(tensor: Tensor) -> Tensor:
    """Return floats in the widest format of their device, in which an oracle computes: Apple's MPS has no float64."""
    return tensor.to(torch.float32 if tensor.device.type == "mps" else torch.float64)


def every_index(shape: Sequence[int]) -> Iterable[tuple[int, ...]]:
    """Count through all indices of ``shape``, the last axis fastest."""
    if not shape:
        yield ()
        return
    for first in range(shape[0]):
        for rest in every_index(shape[1:]):
            yield (first, *rest)
