"""Sees from a function's bytecode that it cannot hold a loop, which spares most right answers the measuring of one.

It has to be sure only when it says yes: where it does not understand, the function is measured. Like ``runner.py``, beside
which it lies in the sandbox, it imports nothing of this package.
"""

import builtins
import dis
import inspect
import math
import types
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch

_LOAD_GLOBAL, _MAKE_FUNCTION, _STORE_DEREF = (
    dis.opmap[name] for name in ("LOAD_GLOBAL", "MAKE_FUNCTION", "STORE_DEREF")
)
_CALLS = {number for name, number in dis.opmap.items() if name.startswith("CALL")}
#: Jumps back; what goes through a sequence item by item; what keeps a function for later; arguments that are read otherwise.
_UNKNOWN = {number for name, number in dis.opmap.items() if "BACKWARD" in name} | {
    dis.opmap[name] for name in ("CONTAINS_OP", "STORE_ATTR", "EXTENDED_ARG")
}
_GENERATORS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR

#: Written in C, so that no loop in Python is behind them.
_IN_C = (
    types.BuiltinFunctionType,
    types.MethodDescriptorType,
    types.WrapperDescriptorType,
    types.GetSetDescriptorType,
    torch.dtype,
    torch.layout,
    float,
)
#: Those that call a function again and again, that a list has too, or that give one, whose operators do item after item.
_LEFT_OUT = set("apply_ map_ map2_ fork wait sort unbind split chunk tensor_split hsplit vsplit dsplit".split())  # noqa: SIM905
_SPACES = (torch, torch.nn.functional, *torch.Tensor.__mro__[:-1])
#: Attributes that a function may ask of torch and of tensors.
_ATTRIBUTES = {
    name for space in _SPACES for name, item in vars(space).items() if isinstance(item, _IN_C) and name[0] != "_"
}
_ATTRIBUTES |= {"nn", "functional", "finfo", "iinfo", "einsum", "unflatten", "pad", "one_hot", "cross_entropy"}
_ATTRIBUTES -= _LEFT_OUT
_OTHER_NAMES = {name for space in (*_SPACES, math) for name in vars(space)} - _ATTRIBUTES
_MODULES = (torch, torch.nn, torch.nn.functional, math)
_MATHEMATICS = {"sqrt", "inf", "nan", "pi", "log", "exp", "floor", "ceil"}  # of one number; others go through several
_BUILTINS = {bool, float, int, isinstance, len, slice, tuple}
_CONSTANTS = (bool, int, float, complex, str, bytes, torch.dtype, types.NoneType, types.EllipsisType)


class _Fields(NamedTuple):
    """A NamedTuple has these names and its fields, unless there is more to it."""

    field: int


def is_straight(function: Callable[..., Any]) -> bool:
    """Return whether a call surely executes no line, and no tensor operation, more often for larger inputs.

    That is so where no code jumps back, nothing calls itself, and every name means something of torch, a constant or
    another such function of the same file.
    """
    return _READS_GLOBALS_RIGHTLY and isinstance(function, types.FunctionType) and _straight(function, [])


def _straight(function: types.FunctionType, callers: list[types.FunctionType]) -> bool:
    given = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    if (
        function in callers
        or function.__closure__ is not None
        or not all(isinstance(item, _CONSTANTS) for item in given)
    ):
        return False
    return all(
        _is_known(value, function, callers)
        for code in (function.__code__, *_nested(function.__code__))
        for value in _used(code, function.__globals__)
    )


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield constant
            yield from _nested(constant)


class _Unknown:
    """In place of what nothing is known of."""


def _used(code: types.CodeType, names: dict[str, Any]) -> Iterator[Any]:
    """Yield what the global names in ``code`` stand for, and ``_Unknown`` where it may hold a loop or another name."""
    operations, arguments = code.co_code[::2], code.co_code[1::2]
    if not _UNKNOWN.isdisjoint(operations) or code.co_flags & _GENERATORS:
        yield _Unknown
        return
    if any(_nested(code)):  # an inner function may only be returned: it could be handed itself, or find itself
        made = operations.rfind(_MAKE_FUNCTION)  # none where it is written behind a return
        if _STORE_DEREF in operations or not _CALLS.isdisjoint(operations[made:]):
            yield _Unknown
    attributes = set(code.co_names)
    for operation, argument in zip(operations, arguments, strict=True):
        if operation == _LOAD_GLOBAL:
            name, is_called = code.co_names[argument >> 1], argument & 1
            value = names[name] if name in names else getattr(builtins, name, _Unknown)
            attributes.discard(name)
            # A function as a value could be handed itself; one with a name of torch's hides what is asked of torch.
            is_function = isinstance(value, types.FunctionType)
            yield _Unknown if is_function and (not is_called or name in _OTHER_NAMES) else value
            if value is math and not _MATHEMATICS.issuperset({*code.co_names} & {*vars(math)} - {"math"}):
                yield _Unknown
    if not _ATTRIBUTES.issuperset(attributes):  # or imported here
        yield _Unknown


def _is_known(value: Any, function: types.FunctionType, callers: list[types.FunctionType]) -> bool:
    if isinstance(value, types.FunctionType):
        same_file = value.__globals__ is function.__globals__
        return same_file and _straight(value, [*callers, function])
    if isinstance(value, types.ModuleType):
        return value in _MODULES
    if isinstance(value, type):
        is_error = issubclass(value, BaseException) and value.__module__ == "builtins"
        is_named_tuple = (
            value.__bases__ == (tuple,)
            and hasattr(value, "_field_defaults")
            and vars(value).keys() <= vars(_Fields).keys() | set(getattr(value, "_fields", ()))
            and all(isinstance(item, _CONSTANTS) for item in value._field_defaults.values())
        )
        is_annotation = value.__module__.partition(".")[0] == "jaxtyping"
        return is_error or is_named_tuple or is_annotation or value is torch.Tensor or value in _BUILTINS
    return isinstance(value, _CONSTANTS) or (isinstance(value, types.BuiltinFunctionType) and value in _BUILTINS)


def _reads_globals_rightly() -> bool:
    """Whether this Python writes down the number of a global name as ``_used`` reads it."""
    try:
        return list(_used((lambda: torch).__code__, {"torch": _MODULES})) == [_MODULES]
    except IndexError:
        return False


_READS_GLOBALS_RIGHTLY = _reads_globals_rightly()
