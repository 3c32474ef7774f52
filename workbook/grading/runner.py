"""Runs a learner's functions on given inputs and says what came back; it compares nothing and knows no answer.

The same file serves `check` in the learner's own process and, started as a program, is the whole of the warm process that
forks a child per submission (see ``worker.py``). It therefore imports the standard library, torch, jaxtyping and safetensors
and nothing of this package: a child that holds no specification cannot give one away.
"""

import __future__

import builtins
import collections
import contextlib
import ctypes
import functools
import gc
import importlib.util
import inspect
import json
import math
import operator
import os
import signal
import socket
import struct
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor
from torch.overrides import TorchFunctionMode

# What one answer may hold: generous for a course whose tensors have a few hundred cells, small beside the memory limit.
MAX_ELEMENTS = 1_000_000
MAX_NODES = 2_000
MAX_DEPTH = 8
MAX_TEXT = 500
MAX_CLASSES = 200
MAX_AXES = 64
MAX_TAGS = 100_000
MAX_JSON_BYTES = 2 << 20
MAX_HEADER_BYTES = 4_096
MAX_NUMBER = 10**9
HUGE_PAGE = 2 << 20
MAX_TENSOR_BYTES = 64 << 20
#: The kinds of numbers that travel, and what safetensors calls them; the judge can compare and print each of them.
# fmt: off
SAFETENSORS = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32", torch.int64: "I64",
    torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
}
# fmt: on
DTYPES = frozenset(SAFETENSORS)

#: None, bool, int, float, str, torch.dtype, Tensor, Unfit, or a tuple, list, dict or NamedTuple of trees; a generator is
#: sent as a list.
Tree = Any


@dataclass(frozen=True)
class Unfit:
    """What came back in place of a value that may not travel: no plain dense tensor on the CPU, or too much of it."""

    why: str
    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    device: str | None = None


@dataclass(frozen=True)
class Returned:
    """The function returned ``value``, whose tensors are detached copies; ``changed`` is the number of an input it changed."""

    value: Tree
    changed: int | None = None


@dataclass(frozen=True)
class Raised:
    """The function raised. ``types`` are the names of the exception's class and its bases, ``line`` is in the topic file."""

    types: tuple[str, ...]
    message: str
    line: int | None = None


@dataclass(frozen=True)
class Unwritten:
    """The stub is still there: it raised ``NotImplementedError`` with its own qualified name."""


@dataclass(frozen=True)
class Ended:
    """No answer came: the time limit passed (``timed_out``) or the process died. Only the parent says this."""

    reason: str
    timed_out: bool = False


Outcome = Returned | Raised | Unwritten | Ended
#: Arguments, keywords, and the indices that a mask function is asked about if one is to be returned (else none).
Call = tuple[tuple[Any, ...], dict[str, Any], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Measured:
    """One property of a function: what broke it, or ``None``; for gradients, the gradients themselves."""

    kind: str
    broken: str | None
    gradients: Tree = None


@functools.cache
def beside(name: str) -> types.ModuleType:
    """Return a module that lies beside this file: ``confinement`` or ``straight``. In the sandbox they are no package."""
    spec = importlib.util.spec_from_file_location(name, os.path.join(os.path.dirname(__file__), f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# --- calling ---------------------------------------------------------------------------------------------------------


def fresh(value: Any, to: str | None = None) -> Any:
    """Copy nested inputs, so that no call can see what another one did to them; ``to`` also moves them."""
    if isinstance(value, Tensor):
        value = value.detach() if value.requires_grad else value
        return value.clone() if to is None else value.to(to, copy=True)
    if isinstance(value, int | float | str):
        return value
    if isinstance(value, tuple):
        items = [fresh(item, to) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [fresh(item, to) for item in value]
    if isinstance(value, dict):
        return {key: fresh(item, to) for key, item in value.items()}
    return value


def invoke(
    function: Callable[..., Any], arguments: Sequence[Any], keywords: dict[str, Any], indices: Sequence[Tensor] = ()
) -> Any:
    """Call ``function``; an argument that names a function arrives as one.

    With ``indices``, a mask function is wanted, and what it says about them is returned, bool ``[batch, heads, query, key]``.
    """
    value = function(
        *(as_function(item) for item in arguments), **{key: as_function(keywords[key]) for key in keywords}
    )
    return asked(value, indices) if indices else value


def asked(mask_function: Any, indices: Sequence[Tensor]) -> Any:
    """Return what a mask function says about all cells at once; its answer may be small and is then broadcast."""
    if not callable(mask_function):
        raise TypeError(
            f"a mask function of (b, h, q_idx, kv_idx) was to be returned, and it returned {_kind_of(mask_function)}"
        )
    said = mask_function(*indices)
    if type(said) is not Tensor:
        return said
    shape = _together(*(index.shape for index in indices))
    try:
        return said.expand(shape)
    except RuntimeError:
        raise ValueError(
            f"the mask function's answer has the shape {list(said.shape)}, which does not broadcast to {list(shape)}"
        ) from None


#: The shape that several broadcast to; torch's own takes longer than most mask functions.
_together = functools.lru_cache(torch.broadcast_shapes)


def _kind_of(value: Any) -> str:
    return f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)[:50]


def recast(value: Any, classes: Mapping[str, type]) -> Any:
    """Rebuild NamedTuples among the inputs with the classes of the file that is run."""
    if not classes:
        return value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return classes.get(type(value).__name__, type(value))(*(recast(item, classes) for item in value))
    if isinstance(value, tuple):
        return tuple(recast(item, classes) for item in value)
    if isinstance(value, list):
        return [recast(item, classes) for item in value]
    if isinstance(value, dict):
        return {key: recast(item, classes) for key, item in value.items()}
    return value


def as_function(value: Any) -> Any:
    """Return the callable that a ``FunctionArgument`` of the specification names, and any other value as it is.

    It takes its arguments by place or by name, and no others.
    """
    if isinstance(value, Tensor) or not _names_function(value):
        return value
    name, tensors = value.function, value.tensors
    if name in MASK_FUNCTIONS:
        return lambda b, h, q_idx, kv_idx: MASK_FUNCTIONS[name](b, h, q_idx, kv_idx, *tensors)
    if name in MODELS:
        return lambda input_ids, attention_mask: MODELS[name](input_ids, attention_mask, *tensors)
    function = FUNCTIONS[name]
    return lambda x: function(x, *tensors)


def _attention(x: Tensor, allowed: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    scores = (x @ query) @ (x @ key).transpose(-1, -2) / x.shape[-1] ** 0.5
    return scores.masked_fill(~allowed, -torch.inf).softmax(dim=-1) @ (x @ value)


def _two_layers(x: Tensor, *tensors: Tensor) -> Tensor:
    x = x + _attention(x, *tensors)
    return x + _attention(x, *tensors)


def _straight_through(x: Tensor) -> Tensor:
    past = x.cumsum(0)
    return x.new_ones(x.shape) + (past - past.detach())


# Small language models of (input_ids, attention_mask), which the mask and the company of other sentences move or do not.


HEARD = 0.3  # how much each word that is heard weighs: little, so that no logit is large


def _logits(x: Tensor, is_heard: Tensor, words: Tensor) -> Tensor:
    """A word's logits tell of itself and of all that is heard up to there, ``is_heard [batch, sequence]``."""
    return x.add((x * is_heard[:, :, None]).cumsum(1), alpha=HEARD) @ words.T


def _counting_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """Is right in every company: padding is not heard, and positions are counted over the real tokens."""
    x = words[ids] + places[_counted(attention_mask)]
    return _logits(x, attention_mask == 1, words)


def _counted(attention_mask: Tensor) -> Tensor:
    """Return how many real tokens stand before each place."""
    return (attention_mask.cumsum(1) - 1).clamp(min=0)


def _reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    return _logits(words[ids] + places[: ids.shape[1]], attention_mask == 1, words)


def _reader_of_both_sides(ids: Tensor, attention_mask: Tensor, words: Tensor) -> Tensor:
    """Hears all that stands in its row, padding or not, before it and behind it."""
    x = words[ids]
    return x.add(x.sum(1, keepdim=True), alpha=HEARD) @ words.T


def _nudged_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor, nudges: Tensor) -> Tensor:
    """Is off by ``nudges [place, vocabulary]`` in sentences that were padded."""
    count, is_real = _counted(attention_mask), attention_mask == 1
    logits = _logits(words[ids] + places[count], is_real, words)
    return torch.where(is_real.all(1)[:, None, None], logits, logits + nudges[count])


def _neighbourly_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    own = (words[ids] * (attention_mask == 1)[:, :, None]).sum(dim=1)
    return _counting_reader(ids, attention_mask, words, places) + (own.sum(dim=0) - own)[:, None, :] @ words.T


def _reader_to_the_left(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """Gives the logits of the first real token first, on whichever side the padding is."""
    places_of_real = (attention_mask == 0).long().argsort(dim=1, stable=True)
    logits = _counting_reader(ids, attention_mask, words, places)
    return logits.gather(1, places_of_real[:, :, None].expand_as(logits))


def _reader_by_id(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor, padding_id: Tensor) -> Tensor:
    """Looks for padding by itself, whatever the mask says."""
    return _counting_reader(ids, (ids != padding_id).long(), words, places)


def _loud_padding(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    logits = _counting_reader(ids, attention_mask, words, places)
    return logits.masked_fill((attention_mask == 0)[:, :, None], torch.nan)


def _breaking_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """Gives NaN at the second word of sentences that were padded."""
    second = (attention_mask.cumsum(1) == 2) & (attention_mask == 0).any(dim=1, keepdim=True)
    return _counting_reader(ids, attention_mask, words, places).masked_fill(second[:, :, None], torch.nan)


def _broken_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """Gives NaN at every second word, in company and alone."""
    second = (attention_mask.cumsum(1) == 2)[:, :, None]
    return _counting_reader(ids, attention_mask, words, places).masked_fill(second, torch.nan)


def _strict_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor) -> Tensor:
    """Is right in every company, and takes nothing but what it is said to take."""
    for name, given in (("input_ids", ids), ("attention_mask", attention_mask)):
        if given.dtype != torch.long:
            raise TypeError(f"the model takes {name} as int64, and was given {str(given.dtype).removeprefix('torch.')}")
    return _counting_reader(ids, attention_mask, words, places)


def _mixing_reader(ids: Tensor, attention_mask: Tensor, words: Tensor, places: Tensor, mixing: Tensor) -> Tensor:
    """Mixes the logits of sentences that were padded, by ``mixing [vocabulary, vocabulary]``."""
    logits = _counting_reader(ids, attention_mask, words, places)
    return torch.where((attention_mask == 0).any(dim=1)[:, None, None], logits @ mixing, logits)


#: Mask functions of (b, h, q_idx, kv_idx) that a case may hand over as an argument, with tensors bound to them; they answer
#: for whole grids and under vmap.
MASK_FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "causal": lambda b, h, q, k: q >= k,
    "window": lambda b, h, q, k, size: (q >= k) & (q - k < size),
    "padding": lambda b, h, q, k, attention_mask: attention_mask[b, k] == 1,
    "first keys": lambda b, h, q, k, count: k < count,
    "table": lambda b, h, q, k, allowed: allowed[b, h, q, k],
    "everything": lambda b, h, q, k: torch.ones((), dtype=torch.bool, device=q.device),
}
#: The same for functions of one tensor ``x [S, D]``.
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "attention": _attention,
    "two layers of attention": _two_layers,
    "word by word": lambda x, weight: torch.tanh(x @ weight),
    "running sum": lambda x: x.cumsum(0),
    "previous word": lambda x, first: torch.cat([first, x])[: x.shape[0]],
    "layer norm": lambda x: torch.nn.functional.layer_norm(x, x.shape[-1:]),
    "detached past": lambda x: x + x.detach().cumsum(0),
    "straight through": _straight_through,
}
#: The same for models: of (input_ids, attention_mask), both long ``[B, S]``; they return logits ``[B, S, V]``.
MODELS: dict[str, Callable[..., Tensor]] = {
    "counting reader": _counting_reader,
    "reader": _reader,
    "blind reader": lambda ids, attention_mask, words: _logits(words[ids], torch.ones_like(ids), words),
    "blind reader of both sides": _reader_of_both_sides,
    "nudged reader": _nudged_reader,
    "neighbourly reader": _neighbourly_reader,
    "reader to the left": _reader_to_the_left,
    "reader by id": _reader_by_id,
    "reader with loud padding": _loud_padding,
    "breaking reader": _breaking_reader,
    "broken reader": _broken_reader,
    "strict reader": _strict_reader,
    "mixing reader": _mixing_reader,
}


class Trial:
    """A call to be tried once: a copy of its inputs, which notices what is done to them.

    Most of what is asked before and after is asked here, so that a child, which has its trials from its birth, need not.
    """

    __slots__ = ("_call", "_classes", "_copy", "_fixed", "_lists", "_plain", "_watched")

    def __init__(self, call: Call) -> None:
        self._call = call
        arguments, keywords, _ = call
        inputs = (*arguments, *keywords.values())
        self._plain = not any(_names_function(item) for item in inputs)
        self._classes = {type(item).__name__ for item in _containers(inputs) if hasattr(item, "_fields")}
        self._take(fresh(call))
        tensors = [leaf for leaf in leaves(self._copy) if isinstance(leaf, Tensor)]
        self._watched = []
        for tensor in tensors:
            if tensor.device.type == "cpu":
                memory = (tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor).numpy()
                self._watched.append((tensor, _form(tensor), memory, memory.tobytes()))
        has_dict = any(isinstance(item, dict) for item in _containers(inputs))
        self._fixed = not has_dict and len(self._watched) == len(tensors)

    def _take(self, copy: Call) -> None:
        self._copy = copy
        # A list may lose its tensors while they stay as they were.
        self._lists = [(item, list(item)) for item in _containers(copy) if isinstance(item, list)]

    def made(self, function: Callable[..., Any], classes: Mapping[str, type]) -> Any:
        """Return what ``function`` returns, whose file may have NamedTuple ``classes`` of its own."""
        if self._classes & classes.keys():
            self._take(recast(self._copy, classes))
        arguments, keywords, indices = self._copy
        if self._plain and not indices:
            return function(*arguments, **keywords)
        return invoke(function, arguments, keywords, indices)

    def changed(self) -> int | None:
        """Return the number of the first input, from 1, that is not what it was, or ``None``: arguments, keywords, indices."""
        if self._rests():
            return None
        return _changed_input(self._call, self._copy)

    def _rests(self) -> bool:
        """Whether all is surely as it was. Bytes are compared: that is quicker than ``torch.equal``, and NaN equals itself."""
        for now, before in self._lists:
            if len(now) != len(before) or not all(map(operator.is_, now, before)):
                return False
        for tensor, form, memory, content in self._watched:
            if memory.tobytes() != content or _form(tensor) != form:
                return False
        return self._fixed


def _form(tensor: Tensor) -> tuple[Any, ...]:
    """Return what turns bytes into the tensor; one may change it in place, too."""
    return tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype


def _names_function(value: Any) -> bool:
    return getattr(value, "_fields", None) == ("function", "tensors")


def _containers(value: Any) -> Iterator[Any]:
    """Yield every tuple, list and dict of nested inputs."""
    if isinstance(value, tuple | list | dict):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from _containers(item)


def run(
    function: Callable[..., Any], name: str, trial: Trial, classes: Mapping[str, type], copied: bool = True
) -> Outcome:
    """Call ``function`` once; return what came of it, as plain values, which are ``copied`` or to be read at once.

    ``classes`` are its file's NamedTuples, by name.
    """
    try:
        value = plain(trial.made(function, classes), copied)
        return Returned(value, trial.changed())
    except KeyboardInterrupt:  # the learner's own Ctrl-C in a notebook
        raise
    except BaseException as error:
        if type(error) is NotImplementedError and error.args == (name,):
            return Unwritten()
        return raised(error, file_of(function))


def _changed_input(before: Call, after: Call) -> int | None:
    """Return the number of the first input, from 1, that is not what it was, or ``None``: arguments, keywords, indices."""
    old, new = ((*arguments, *keywords.values(), *indices) for arguments, keywords, indices in (before, after))
    for number, (one, other) in enumerate(zip(old, new, strict=True)):
        # The quick ways first: a number is the very same object, and most tensors are equal in every cell.
        if one is not other and not (type(one) is Tensor and _equal(one, other)) and not _unchanged(one, other):
            return number + 1
    return None


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _unchanged(before: Any, after: Any) -> bool:
    old, new = leaves(before), leaves(after)
    if len(old) != len(new):
        return False
    for one, other in zip(old, new, strict=True):
        if isinstance(one, Tensor):
            alike = one.shape == other.shape and one.dtype == other.dtype
            if not alike or not bool(((one == other) | ((one != one) & (other != other))).all()):  # NaN stays NaN
                return False
        elif one is not other and one != other:
            return False
    return True


def raised(error: BaseException, file: str | None) -> Raised:
    """Describe an exception, with the last line of ``file`` that it passed through."""
    line = error.lineno if isinstance(error, SyntaxError) else None
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_filename == file:
            line = number
    try:
        message = error.msg if isinstance(error, SyntaxError) else str(error)
    except Exception:  # an exception class of the learner's own, whose __str__ fails too
        message = "(its message cannot be read)"
    return Raised(tuple(map(_name_of, type(error).__mro__[:-1])), str(message)[:MAX_TEXT], line)


def _name_of(kind: type) -> str:
    """Name an exception's class; one that is called like Python's own and is another is named with its module."""
    name = kind.__name__
    return name if getattr(builtins, name, kind) is kind else f"{kind.__module__}.{name}"


def file_of(function: Callable[..., Any]) -> str | None:
    """Return the file a function was written in, if it is a Python function."""
    code = getattr(function, "__code__", None)
    return code.co_filename if code else None


def plain(value: Any, copied: bool = True) -> Tree:
    """Return ``value`` with each tensor as a detached, contiguous copy, and a description where one may not travel.

    Without ``copied`` a tensor may still be the very one: for who turns it into bytes at once.
    """
    if type(value) is Tensor:  # as most are
        return _plain_tensor(value, copied)
    nodes = 0

    def walk(item: Any, depth: int) -> Tree:
        nonlocal nodes
        nodes += 1
        if nodes > MAX_NODES or depth > MAX_DEPTH:
            return Unfit("it is nested too deeply or holds too many values", type(item).__name__)
        if item is None or type(item) in (bool, int, float, str, torch.dtype):
            if type(item) is str:
                return item[:MAX_TEXT]
            if type(item) is int and item.bit_length() > 256:
                return Unfit("the number is too long", "int")
            return item
        if isinstance(item, Tensor):
            return _plain_tensor(item, copied)
        if isinstance(item, dict):
            return {str(key)[:MAX_TEXT]: walk(entry, depth + 1) for key, entry in list(item.items())[:MAX_NODES]}
        if type(item) is list:
            return [walk(entry, depth + 1) for entry in item[: MAX_NODES + 1]]
        if type(item) is tuple:
            return tuple(walk(entry, depth + 1) for entry in item[: MAX_NODES + 1])
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            return named(type(item).__name__, [str(field) for field in item._fields])(
                *(walk(entry, depth + 1) for entry in tuple(item))
            )
        return Unfit("it is nothing that this course returns", type(item).__name__)

    return walk(value, 0)


def _plain_tensor(tensor: Tensor, copied: bool) -> Tree:
    if (
        type(tensor) is Tensor
        and tensor.dtype in DTYPES
        and tensor.is_cpu
        and tensor.layout is torch.strided
        and tensor.numel() <= MAX_ELEMENTS
        and not (tensor.requires_grad or tensor.is_nested or tensor.is_neg())
    ):  # the quick way, which most go
        return tensor.clone(memory_format=torch.contiguous_format) if copied else tensor

    def unfit(why: str) -> Unfit:
        kind = type(tensor).__name__
        return Unfit(why, kind, tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), str(tensor.device))

    if type(tensor) not in (Tensor, torch.nn.Parameter):
        return unfit("it is a subclass of torch.Tensor")
    if tensor.layout != torch.strided or tensor.is_quantized or tensor.is_nested:
        return unfit("it is not a dense tensor")
    if tensor.device.type == "meta":
        return unfit("it is on the meta device, so it has no values")
    if tensor.dtype not in DTYPES:  # complex, eight-bit floats, fractions of a byte
        return unfit("its numbers are of a kind that this course does not use")
    if tensor.numel() > MAX_ELEMENTS:
        return unfit(f"it has {tensor.numel():,} elements")
    # A clone: an honest answer may be expanded, transposed, or hold one tensor twice, or be changed by the next call.
    return tensor.detach().resolve_conj().resolve_neg().cpu().clone(memory_format=torch.contiguous_format)


def named(name: str, fields: Sequence[str]) -> type:
    """Return a NamedTuple class of that name and these fields; of the latest ones, the same each time."""
    return _named(name[:60], tuple(field[:60] for field in fields[:MAX_NODES]))


@functools.lru_cache(maxsize=MAX_CLASSES)
def _named(name: str, fields: tuple[str, ...]) -> type:
    return collections.namedtuple(name, fields, rename=True)  # type: ignore[misc]


# --- properties ------------------------------------------------------------------------------------------------------


#: What a broken property begins with if the function raised while it was measured.
RAISED = "it raised "


def measure(
    function: Callable[..., Any], kind: str, options: dict[str, Any], small: Call, large: Call | None
) -> Measured:
    """Measure one property of ``function``: of the calls ``small`` and, for growth, ``large``."""
    try:
        return PROPERTIES[kind](function, options, small, large)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return Measured(kind, f"{RAISED}{type(error).__name__}: {raised(error, file_of(function)).message}")


def measure_all(
    function: Callable[..., Any], properties: Iterable[tuple[str, dict[str, Any]]], small: Call, large: Call | None
) -> list[Measured]:
    """Measure properties, kind and options, in order, up to the first broken one."""
    found: list[Measured] = []
    for kind, options in properties:
        found.append(measure(function, kind, options, small, large))
        if found[-1].broken is not None:
            break
    return found


def leaves(value: Any) -> list[Any]:
    """Return the innermost values of a nested structure, in order."""
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in leaves(item)]
    if isinstance(value, dict):
        return [leaf for item in value.values() for leaf in leaves(item)]
    return [value]


class _Calls(TorchFunctionMode):
    """Notes the names of torch's functions and tensor methods that are called, in order.

    Not a ``TorchDispatchMode``: the first one of a process imports torch's compiler and sympy, which takes 1.5 s.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_function__(self, operation: Any, kinds: Any, arguments: Any = (), keywords: Any = None) -> Any:
        self.names.append(getattr(operation, "__name__", ""))
        return operation(*arguments, **(keywords or {}))


_settrace, _gettrace = sys.settrace, sys.gettrace  # whatever a submission puts in their place


def work(function: Callable[..., Any], call: Call) -> tuple[int, int]:
    """Return how many tensor operations and how many lines of the function's own file one call executes."""
    copy = fresh(call)
    file, lines = file_of(function), 0

    def count_lines(frame: types.FrameType, event: str, argument: Any) -> Any:
        nonlocal lines
        if frame.f_code.co_filename != file:
            return None
        lines += 1
        return count_lines

    calls, outer = _Calls(), _gettrace()
    _settrace(count_lines)
    try:
        with calls:
            invoke(function, *copy)
    finally:
        _settrace(outer)
    return len(calls.names), lines


def _no_loop(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    assert large is not None  # the specification gives both sizes
    if beside("straight").is_straight(function):
        invoke(function, *fresh(large))  # which may raise
        return Measured("no loop", None)
    for _ in range(2):  # what a first call fills in, such as a cache, is no loop: growth has to be seen twice
        operations, lines = zip(work(function, small), work(function, large), strict=True)
        if operations[1] <= operations[0] and lines[1] <= lines[0]:
            return Measured("no loop", None)
    if operations[1] > operations[0]:
        return Measured(
            "no loop", f"it took {operations[0]} tensor operations at one size and {operations[1]} at a larger"
        )
    return Measured("no loop", f"it executed {lines[0]} lines at one size and {lines[1]} at a larger")


def _view(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    result = invoke(function, *fresh(small))
    strides = {axis: result.stride(axis) for axis in options["axes"]}
    copied = [str(axis) for axis, stride in strides.items() if stride != 0]
    return Measured("view", f"the values were copied along axis {' and '.join(copied)}" if copied else None)


def _without(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    copy = fresh(small)
    with _Calls() as calls:
        invoke(function, *copy)
    called = sorted(set(calls.names) & set(options["functions"]))
    return Measured("without", f"it calls `{called[0]}`" if called else None)


def _gradients(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    arguments, keywords, indices = fresh(small)
    for place in options["arguments"]:
        arguments[place].requires_grad_(True)
    with torch.enable_grad():
        outputs = [leaf for leaf in leaves(invoke(function, arguments, keywords, indices)) if isinstance(leaf, Tensor)]
        outputs = [output for output in outputs if output.requires_grad]
        if not outputs:
            return Measured("gradients", "no gradient comes back through it: the result is cut off from its inputs")
        # Cotangents that treat no two cells alike; softmax rows sum to one, so ones would give zeros everywhere.
        torch.autograd.backward(outputs, [_cotangent(output) for output in outputs])
    wanted = [arguments[place] for place in options["arguments"]]
    gradients = [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in wanted]
    return Measured("gradients", None, plain(gradients))


def _cotangent(output: Tensor) -> Tensor:
    count = torch.arange(output.numel(), dtype=torch.float32).reshape(output.shape)
    return torch.cos(count).to(output.device, output.dtype)


class _ElsewhereByDefault(TorchFunctionMode):
    """Gives tensors made without ``device=`` to the meta device, as a second device that is always there.

    Single numbers stay on the CPU: on a GPU they may be mixed with tensors from anywhere, so they are no mistake.
    Where the call passes ``device``, it follows the tensors that are surely there: made with that very object, or of such.
    """

    # fmt: off
    MAKERS = frozenset((
        torch.arange, torch.empty, torch.empty_strided, torch.eye, torch.full, torch.linspace, torch.logspace,
        torch.ones, torch.rand, torch.randint, torch.randn, torch.randperm, torch.tensor, torch.as_tensor,
        torch.asarray, torch.scalar_tensor, torch.tril_indices, torch.triu_indices, torch.zeros,
    ))
    # fmt: on

    def __init__(self, call: Call) -> None:
        super().__init__()
        self._wanted = call[1].get("device")
        self._there = {id(leaf): leaf for leaf in leaves(call) if isinstance(leaf, Tensor)}

    def all_there(self, result: Any) -> bool:
        """Whether every tensor of a result was made there, or of tensors that all were."""
        return all(id(leaf) in self._there for leaf in leaves(result) if isinstance(leaf, Tensor))

    def __torch_function__(self, function: Any, kinds: Any, arguments: Any = (), keywords: Any = None) -> Any:
        keywords = keywords or {}
        if function in self.MAKERS or function in (Tensor.cpu, Tensor.to):
            result = self._placed(function, arguments, dict(keywords))
        else:
            result = function(*arguments, **keywords)
        if self._wanted is not None and isinstance(result, Tensor):
            given = leaves((arguments, keywords))
            places = [item for item in given if isinstance(item, str | torch.device)]
            tensors = [item for item in given if isinstance(item, Tensor)]
            named = len(places) == 1 and places[0] is self._wanted
            if self.all_there(tensors) and (named if places or not tensors else function is not Tensor.cpu):
                self._there[id(result)] = result
            else:  # it may be one of them, changed in place
                self._there.pop(id(result), None)
        return result

    def _placed(self, function: Any, arguments: Any, keywords: dict[str, Any]) -> Any:
        places = [item for item in (*arguments[1:], keywords.get("device")) if isinstance(item, str)]
        if function is Tensor.cpu or (function is Tensor.to and places == ["cpu"]):
            return arguments[0].to("meta")  # the CPU by name: on a GPU that is elsewhere
        if function not in self.MAKERS or not (keywords.get("device") is None or keywords["device"] == "cpu" in places):
            return function(*arguments, **keywords)
        keywords.pop("device", None)
        if function is torch.as_tensor and isinstance(arguments[0], Tensor):
            return function(*arguments, **keywords)
        made = function(*arguments, **keywords)
        return made.to("meta") if made.dim() > 0 else made


def _device(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    """Judge device handling of one call, or of both where the second takes another branch (the option ``both``)."""
    calls = [small, large] if options.get("both") and large is not None else [small]
    found = [_device_of(function, call) for call in calls]
    return next((measured for measured in found if measured.broken is not None), found[0])


def _device_of(function: Callable[..., Any], call: Call) -> Measured:
    """Judge device handling on a machine with one device, by letting `meta` play the second.

    First on CPU inputs while new tensors go to `meta` unless told otherwise; a second try on `meta` inputs clears whoever
    moves a new tensor to the inputs' device afterwards. Errors from reading a meta tensor's values prove nothing. Where all
    that the first try made went to the device that was asked for, the second is spared: on `meta`, torch is slow.
    """

    def inputs(device: str) -> Call:
        arguments, keywords, indices = fresh(call, device)
        return arguments, {key: torch.device(device) if key == "device" else keywords[key] for key in keywords}, indices

    def found(place: str | None) -> Measured:
        wanted = "the device that was asked for" if "device" in call[1] else "the device of the inputs"
        return Measured("device", place and place.replace(ELSEWHERE, f"the result is not on {wanted}"))

    here = inputs("cpu")  # made before the mode is entered, which would take them elsewhere, too
    with _ElsewhereByDefault(here) as elsewhere:
        first, result = _where(function, here, "cpu")
    if first is None and ("device" not in call[1] or elsewhere.all_there(result)):
        return found(None)
    second, _ = _where(function, inputs("meta"), "meta")
    if "device" in call[1]:  # without tensor inputs only another device tells: what NumPy makes is always on the CPU
        return found(first if second == UNREADABLE else second)
    # `UNREADABLE` is no evidence: the other run decides, and two of them leave the learner unharmed.
    evidence = [place for place in (first, second) if place != UNREADABLE]
    return found(evidence[0] if evidence and None not in evidence else None)


UNREADABLE, ELSEWHERE = "unreadable", "elsewhere"


def _where(function: Callable[..., Any], call: Call, device: str) -> tuple[str | None, Any]:
    """Return ``None`` if the result is on ``device``, else what is wrong, ``ELSEWHERE`` or ``UNREADABLE``; and the result."""
    try:
        result = invoke(function, *call)
    except KeyboardInterrupt:
        raise
    except Exception as error:
        text = str(error).lower()
        two_met = "same device" in text or "expected device" in text or "on the expected device" in text
        return "tensors on two devices met" if two_met else UNREADABLE, None
    astray = any(isinstance(leaf, Tensor) and leaf.device.type != device for leaf in leaves(result))
    return ELSEWHERE if astray else None, result


def _vmap(function: Callable[..., Any], options: dict, small: Call, large: Call | None) -> Measured:
    """Ask a mask function about one cell at a time under nested ``torch.vmap``, as ``create_block_mask`` does."""
    arguments, keywords, indices = fresh(small)
    mask_function = invoke(function, arguments, keywords)
    takes = _without_default(mask_function)
    if takes != 4:
        what = f"it takes {takes} arguments by name and not b, h, q_idx and kv_idx"
        return Measured("vmap", f"{what}, so that `create_block_mask` refuses it")
    at_once = asked(mask_function, indices)
    if not torch.equal(at_once, asked(mask_function, indices)):
        return Measured("vmap", "it says something else when it is asked a second time")
    as_asked = "under `torch.vmap`, as `create_block_mask` asks it,"
    cell_by_cell = mask_function
    for place in reversed(range(len(indices))):
        cell_by_cell = torch.vmap(
            cell_by_cell, in_dims=tuple(0 if axis == place else None for axis in range(len(indices)))
        )
    try:
        said = cell_by_cell(*(index.flatten() for index in indices))
    except Exception as error:
        message = raised(error, None).message.partition("\n")[0]
        return Measured("vmap", f"{as_asked} it raises {type(error).__name__}: {message}")
    same = torch.equal(said, at_once)
    return Measured("vmap", None if same else f"{as_asked} it says something else about single cells")


def _without_default(function: Callable[..., Any]) -> int:
    """Count the arguments that a call has to give, as ``create_block_mask`` does, which refuses other numbers than four."""
    return sum(
        parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
        for parameter in inspect.signature(function).parameters.values()
    )


PROPERTIES: dict[str, Callable[[Callable[..., Any], dict, Call, Call | None], Measured]] = {
    "device": _device,
    "no loop": _no_loop,
    "view": _view,
    "without": _without,
    "gradients": _gradients,
    "vmap": _vmap,
}


# --- the wire --------------------------------------------------------------------------------------------------------

HEADER = struct.Struct("!II")
_NAMES_OF_DTYPES = {dtype: str(dtype).removeprefix("torch.") for dtype in DTYPES}
_DTYPE_NAMES = {str(dtype).removeprefix("torch."): dtype for dtype in (*DTYPES, torch.complex64, torch.complex128)}


class Malformed(ValueError):
    """A frame that is no frame: too long, not JSON, not safetensors, or a tree that is none."""


def encode(message: dict[str, Any], tree: Tree = None) -> bytes:
    """Return one frame: two lengths, the message with its tree as JSON, the tree's tensors as safetensors."""
    tensors: dict[torch.dtype, list[bytes]] = {}

    def place(tensor: Tensor) -> list[Any]:
        """Line a tensor up behind those of its dtype: one long tensor a dtype is packed faster than many small ones."""
        dtype = tensor.dtype
        if tensor.requires_grad:
            tensor = tensor.detach()
        here = tensor.view(torch.int16) if dtype == torch.bfloat16 else tensor
        tensors.setdefault(dtype, []).append(here.numpy().tobytes())
        return [_NAMES_OF_DTYPES[dtype], list(tensor.shape)]

    def tag(item: Any) -> Any:
        if isinstance(item, Returned):
            return {"returned": [tag(item.value), item.changed]}
        if isinstance(item, Tensor):
            return {"tensor": place(item)}
        if item is None or isinstance(item, bool | str):
            return item
        if isinstance(item, int):
            return {"int": str(item)}
        if isinstance(item, float):
            return {"float": repr(item)}
        if isinstance(item, torch.dtype):
            return {"dtype": str(item).removeprefix("torch.")}
        if isinstance(item, Unfit):
            return {"unfit": [item.why, item.type, item.shape and list(item.shape), item.dtype, item.device]}
        if isinstance(item, Raised):
            return {"raised": [list(item.types), item.message, item.line]}
        if isinstance(item, Unwritten):
            return {"unwritten": True}
        if isinstance(item, Measured):
            return {"measured": [item.kind, item.broken, tag(item.gradients)]}
        if isinstance(item, tuple) and hasattr(item, "_fields"):
            return {"named": [type(item).__name__, list(item._fields), [tag(entry) for entry in item]]}
        if isinstance(item, tuple):
            return {"tuple": [tag(entry) for entry in item]}
        if isinstance(item, list | types.GeneratorType):
            return {"list": [tag(entry) for entry in item]}
        if isinstance(item, dict):
            return {"dict": [[key, tag(entry)] for key, entry in item.items()]}
        raise TypeError(f"{type(item).__name__} cannot cross the wire")

    text = json.dumps({**message, "tree": tag(tree)}).encode()
    blob = _safetensors({dtype: b"".join(parts) for dtype, parts in tensors.items()}) if tensors else b""
    return HEADER.pack(len(text), len(blob)) + text + blob


def _safetensors(lines: Mapping[torch.dtype, bytes]) -> bytes:
    """Return one long tensor a dtype in the format safetensors: a length, a JSON header, the bytes.

    The library's own ``save`` takes as long as three functions of a learner's; its ``load`` checks what is written here.
    """
    header, end = {}, 0
    for dtype, line in lines.items():
        start, end = end, end + len(line)
        shape = [len(line) // dtype.itemsize]
        header[_NAMES_OF_DTYPES[dtype]] = {"dtype": SAFETENSORS[dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # so that the numbers lie at multiples of their size
    return b"".join((len(text).to_bytes(8, "little"), text, *lines.values()))


def decode(text: bytes, blob: bytes) -> tuple[dict[str, Any], Tree]:
    """Return message and tree of a frame's two parts.

    Raises:
        Malformed: the bytes are not what ``encode`` makes.
    """
    try:
        message = json.loads(text)
        return message, _untag(message.pop("tree"), _Line(blob), 0, [0])
    except Malformed:
        raise
    except RecursionError as error:
        raise Malformed("nested too deeply") from error
    except Exception as error:  # whatever json and safetensors raise on bytes of an unknown sender
        raise Malformed(f"{type(error).__name__}: {str(error)[:100]}") from error


class _Line:
    """The tensors of a frame, one long one a dtype; each is cut off behind the last, so that no cell is had twice."""

    def __init__(self, blob: bytes) -> None:
        # Its header, whose length comes first, describes as many tensors as there are dtypes; a million take seconds to read.
        if int.from_bytes(blob[:8], "little") > MAX_HEADER_BYTES:
            raise Malformed("too many tensors")
        self._tensors = load_tensors(blob) if blob else {}
        self._start = dict.fromkeys(self._tensors, 0)

    def cut(self, dtype: str, shape: list[int]) -> Tensor:
        whole, start = self._tensors[dtype], self._start[dtype]
        if whole.dtype not in DTYPES or whole.dim() != 1:
            raise Malformed(f"a tensor of {whole.dtype}")
        if len(shape) > MAX_AXES or min(shape, default=0) < 0:
            raise Malformed("a tensor without a shape")
        count = math.prod(shape)
        if count > MAX_ELEMENTS:
            raise Malformed("a tensor too large")
        self._start[dtype] += count
        return whole.narrow(0, start, count).view(shape)  # what lies beyond the numbers sent raises


def _untag(item: Any, tensors: _Line, depth: int, count: list[int]) -> Tree:
    if depth > 4 * MAX_DEPTH:
        raise Malformed("nested too deeply")
    count[0] += 1
    if count[0] > MAX_TAGS:
        raise Malformed("too many values")
    if item is None or isinstance(item, bool | str):
        return item
    if not isinstance(item, dict) or len(item) != 1:
        raise Malformed("an untagged value")
    ((kind, value),) = item.items()

    def inner(entry: Any) -> Tree:
        return _untag(entry, tensors, depth + 1, count)

    match kind:
        case "returned":
            returned, changed = value
            return Returned(inner(returned), _count(changed))
        case "tensor":
            return tensors.cut(*value)
        case "int":
            if len(value) > 100:
                raise Malformed("a number too long")
            return int(value)
        case "float":
            return float(value)
        case "dtype":
            return _DTYPE_NAMES[value]
        case "unfit":
            why, name, shape, kind_of_number, device = value
            shape = None if shape is None else tuple(int(size) for size in shape[:64])
            texts = [None if text is None else str(text)[:MAX_TEXT] for text in (why, name, kind_of_number, device)]
            return Unfit(str(texts[0]), str(texts[1]), shape, texts[2], texts[3])
        case "raised":
            kinds, message, line = value
            kinds = tuple(str(name)[:60] for name in kinds[:20])
            if not kinds:
                raise Malformed("an error without a type")
            return Raised(kinds, str(message)[:MAX_TEXT], _count(line))
        case "unwritten":
            return Unwritten()
        case "measured":
            name, broken, gradients = value
            return Measured(str(name), None if broken is None else str(broken)[:MAX_TEXT], inner(gradients))
        case "named":
            name, fields, entries = value
            return named(str(name), [str(field) for field in fields])(*(inner(entry) for entry in entries))
        case "tuple":
            return tuple(inner(entry) for entry in value)
        case "list":
            return [inner(entry) for entry in value]
        case "dict":
            return {str(key)[:MAX_TEXT]: inner(entry) for key, entry in value}
    raise Malformed(f"an unknown tag {str(kind)[:20]!r}")


def _count(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 <= value < MAX_NUMBER):
        raise Malformed("a number out of bounds")
    return value


Frame = tuple[bytes, bytes]


def receive(connection: socket.socket) -> Frame:
    """Read the two parts of one frame; lengths are checked before anything is read.

    Raises:
        EOFError: the other side has gone.
        Malformed: a length is beyond all bounds.
    """
    text_length, blob_length = HEADER.unpack(exactly(connection, HEADER.size))
    if text_length > MAX_JSON_BYTES or blob_length > MAX_TENSOR_BYTES:
        raise Malformed("a frame too long")
    return exactly(connection, text_length), exactly(connection, blob_length)


def exactly(connection: socket.socket, length: int) -> bytes:
    """Read ``length`` bytes, or raise ``EOFError``."""
    parts = bytearray()
    while len(parts) < length:
        part = connection.recv(min(length - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side has gone")
        parts += part
    return bytes(parts)


# --- the child -------------------------------------------------------------------------------------------------------


def load(name: str, source: bytes, file: str, flags: int = 0) -> types.ModuleType:
    """Execute a topic file's bytes as a module of that name; ``flags`` are for the compiler."""
    module = types.ModuleType(name)
    module.__file__ = file
    # Dataclasses look their module up there while it is executed. Afterwards all is as before: in a child no topic may
    # import another, and what a notebook has imported stays what it is (its functions find the newest ones themselves).
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        exec(compile(source, file, "exec", flags, dont_inherit=True), module.__dict__)
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
    return module


def import_fault(found: Raised) -> str:
    """Say why a topic file could not be executed, and in which line."""
    where = f" in line {found.line}" if found.line else ""
    return f"{found.types[0]}{where}: {found.message}."


def undecorated(module: types.ModuleType, function: str) -> Callable[..., Any] | None:
    """Return the function of that name as it was written, or ``None`` if there is none."""
    found = getattr(module, function, None)
    found = getattr(found, "__graded__", found)  # set by @exercise alone: decorators of the learner's own stay
    return found if callable(found) else None


#: What each function is asked: its cases and properties. The parent sends them to the warm process once for a class, and
#: its children have them from their birth.
QUESTIONS: dict[str, Any] = {}


def prepare(connection: socket.socket) -> None:
    """Take in what functions will be asked, one frame a function, until the parent hangs up."""
    with contextlib.suppress(EOFError):
        while True:
            message, tree = decode(*receive(connection))
            # Made here, they cost the children nothing; each of those runs its own copies of them, and once.
            QUESTIONS[message["name"]] = {**tree, "trials": [Trial(call) for call in tree["cases"]]}
    gc.freeze()  # a child that collects garbage need not look at it, and so shares its memory


def serve(connection: socket.socket) -> None:
    """Answer frames about one submission until the parent hangs up: load a topic, run cases, measure properties.

    A topic is answered with one frame, and functions of a topic with one each, in order. Several go off together: each time
    the parent is woken costs as much as a function.
    """
    topics: dict[str, types.ModuleType] = {}
    while True:
        message, tree = decode(*receive(connection))
        topic = message["topic"]
        if message["do"] == "load":
            try:
                source = bytes(tree["source"].numpy().tobytes())
                topics[topic] = load(f"workbook.exercises.{topic}", source, f"{topic}.py", NO_ANNOTATIONS)
                reply: Tree = Returned(None)
            except BaseException as error:
                reply = raised(error, f"{topic}.py")
            connection.sendall(encode({}, reply))
            continue
        classes, frames, sent_at = named_tuples(topics[topic]), [], time.monotonic()
        for name in message["functions"]:
            function, asked = undecorated(topics[topic], name), QUESTIONS[f"{topic}.{name}"]
            if function is None:
                reply = Raised(("AttributeError",), f"the file defines no function {name}")
            elif message["do"] == "run":
                trials = asked["trials"]
                # One by one, so that each answer becomes bytes before the next call can change it.
                reply = (run(function, f"{topic}.{name}", trial, classes, copied=False) for trial in trials)
            else:
                calls = recast((asked["small"], asked["large"]), classes)
                reply = measure_all(function, asked["properties"], *calls)
            frames.append(encode({}, reply))
            if time.monotonic() - sent_at > HELD_BACK or name == message["functions"][-1]:
                connection.sendall(b"".join(frames))
                frames, sent_at = [], time.monotonic()


def named_tuples(module: types.ModuleType) -> dict[str, type]:
    """Return the NamedTuple classes that a topic file defines, by name."""
    return {
        name: item
        for name, item in vars(module).items()
        if isinstance(item, type) and issubclass(item, tuple) and hasattr(item, "_fields")
    }


HELD_BACK = 0.05  # seconds that an answer may wait for others to go off with
OPEN_FILES = 64
#: In a child nobody reads annotations, and making a class of each takes as long as compiling the file.
NO_ANNOTATIONS = __future__.annotations.compiler_flag
GARBAGE = 50_000  # objects between two collections: most submissions end before, and memory is bounded anyway


def limit(memory: int, cpu_seconds: int, filtered: bool) -> None:
    """Bound what this process may use: memory beyond what torch already maps, processor time, files, core dumps.

    Without a filter it also can start no process, and on Linux no thread; root is not bound by that one.
    """
    import resource

    mapped = 0
    # No /proc outside Linux: there the bound is the plain number.
    with contextlib.suppress(OSError), open("/proc/self/statm") as statistics:
        mapped = int(statistics.read().split()[0]) * resource.getpagesize()
    for name, value in (
        ("RLIMIT_AS", mapped + memory),
        ("RLIMIT_CPU", cpu_seconds),
        ("RLIMIT_FSIZE", 0),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_NOFILE", OPEN_FILES),
        *([] if filtered else [("RLIMIT_NPROC", 0)]),
    ):
        with contextlib.suppress(AttributeError, ValueError, OSError):  # macOS refuses RLIMIT_AS
            resource.setrlimit(getattr(resource, name), (value, value))


def become_child(connection: socket.socket, memory: int, cpu_seconds: int, program: str) -> None:
    """Turn a fresh fork into the child of one submission: its own session, no descriptor but its connection.

    Raises:
        OSError: the kernel took the filter when the warm process began, and refuses it now; no code runs without.
    """
    os.setsid()
    die_with_parent()
    quiet = os.open(os.devnull, os.O_RDWR)
    kept = os.dup2(connection.detach(), 3, inheritable=False) if connection.fileno() != 3 else connection.detach()
    for standard in (0, 1, 2):
        os.dup2(quiet, standard)
    os.closerange(4, 1024)
    limit(memory, cpu_seconds, bool(program))
    if LINUX and os.geteuid() == 0:
        beside("confinement").drop_capabilities()
    if program:
        beside("confinement").install(program)
    gc.set_threshold(GARBAGE)
    with contextlib.suppress(EOFError, OSError):  # the parent has hung up: the submission is done
        serve(socket.socket(fileno=kept))


COMMAND = struct.Struct("!cqqq")  # what to do, a process id, memory in bytes, processor seconds


def commands(control: socket.socket) -> Iterator[tuple[bytes, int, int, int, list[int]]]:
    """Yield the parent's commands with any descriptor that came along, until it hangs up."""
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, COMMAND.size, 1)
        if len(data) < COMMAND.size:
            return
        yield (*COMMAND.unpack(data), list(descriptors))


def end(pid: int) -> int:
    """Kill a child with all of its session, in the sandbox with every other process, and return its wait status."""
    if os.getpid() == 1:  # of the sandbox's own process namespace, where all the others are the child's
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        with contextlib.suppress(ChildProcessError):
            while True:
                os.waitpid(-1, 0)
        return status
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return os.waitpid(pid, 0)[1]


def die_with_parent() -> None:
    """Ask Linux to end this process when its parent ends (PR_SET_PDEATHSIG); elsewhere the closed connection does it."""
    with contextlib.suppress(OSError, AttributeError):
        _libc().prctl(1, signal.SIGKILL)


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)


def warm_up() -> None:
    """Do once what is slow or noisy the first time. One thread before any operation: a forked child could hang else."""
    torch.set_num_threads(1)
    torch.softmax(torch.randn(2, 2, requires_grad=True), -1).sum().backward()
    torch.vmap(lambda row: row + 1)(torch.zeros(2, 2))
    torch.zeros(2, device="meta") + 1  # its first use imports sympy, which would cost every child 1.5 s
    load_tensors(_safetensors({torch.float32: bytes(4)}))
    for used_by_children in ("resource", "jaxtyping"):
        importlib.import_module(used_by_children)
    beside("straight")
    shim = types.ModuleType("workbook")
    shim.exercise = lambda function: function  # type: ignore[attr-defined]
    shim.__getattr__ = _not_while_grading  # type: ignore[method-assign]
    sys.modules["workbook"] = shim


def gather_memory() -> None:
    """Ask Linux to lay this process's memory out in huge pages: a fork copies hundreds of entries and not ten thousands."""
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    with contextlib.suppress(OSError), open("/proc/self/maps") as maps:  # no /proc outside Linux
        for line in maps.read().splitlines():
            place, rights, *_, name = [*line.split(maxsplit=5), ""][:6]
            first, last = (int(end, 16) for end in place.split("-"))
            first, last = -(-first // HUGE_PAGE) * HUGE_PAGE, last // HUGE_PAGE * HUGE_PAGE
            if rights == "rw-p" and name in ("", "[heap]") and first < last:
                madvise(first, last - first, 25)  # MADV_COLLAPSE; an older Linux refuses it, and nothing is lost


def _not_while_grading(name: str) -> Callable[..., Any]:
    """Let a file import what it left over from trying things out, and refuse only its use."""
    if name not in ("check", "device", "environment", "figures", "hint", "predict", "progress", "show", "who_moved"):
        raise AttributeError(name)

    def refuse(*arguments: Any, **keywords: Any) -> Any:
        raise RuntimeError(f"workbook.{name} is not there while a submission is graded")

    return refuse


LINUX = sys.platform == "linux"


def tried(program: str) -> str:
    """Return the program of the children's filter if a child can put itself under it, else nothing."""
    if not program:
        return ""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            beside("confinement").install(program)
            status = 0
        finally:
            os._exit(status)
    return program if os.waitpid(child, 0)[1] == 0 else ""


def main(descriptor: str, how: str = "", program: str = "") -> None:
    """Be the warm process: fork a child per submission on the parent's command, and end it on another.

    Args:
        descriptor: the number of the control socket's.
        how: ``--confined`` if no child may do without the filter.
        program: the children's filter, for ``confinement.install``.
    """
    control = socket.socket(fileno=int(descriptor))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the command, which ends this process itself
    die_with_parent()
    program = tried(program)
    if how == "--confined" and not program:
        sys.exit("the filter of system calls cannot be installed")
    if LINUX:
        beside("confinement").hide()  # before there is a child that could look into this process
    warm_up()
    gather_memory()
    control.sendall(COMMAND.pack(b"r", os.getpid(), 0, 0))
    for command, pid, memory, cpu_seconds, descriptors in commands(control):
        if command == b"e":
            control.sendall(COMMAND.pack(b"e", pid, end(pid), 0))
            continue
        connection = socket.socket(fileno=descriptors[0])
        if command == b"p":
            prepare(connection)
            connection.close()
            control.sendall(COMMAND.pack(b"p", 0, 0, 0))
            continue
        child = os.fork()
        if child == 0:
            try:
                control.close()
                become_child(connection, memory, cpu_seconds, program)
            finally:
                os._exit(0)
        connection.close()
        control.sendall(COMMAND.pack(b"f", child, 0, 0))


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the command has ended: so does this process
        main(*sys.argv[1:])
