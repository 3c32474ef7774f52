"""``@exercise``: what makes a function in ``workbook/exercises`` a graded one.

A call goes to whatever stands in the learner's file at that moment; while nothing is written there it goes to the reference,
with one line that says so, so that no notebook and no later exercise is ever blocked.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

#: Where graded functions lead: the learner's files, or their namesakes in ``solutions/``.
IMPLEMENTATIONS = ("exercises", "solutions")

# The latest undecorated function under each "topic.function". A wrapper looks itself up here at every call: a notebook
# keeps the wrapper it imported, under %autoreload too, and a plain closure in it would go on calling the old function.
_WRITTEN: dict[str, Callable[..., Any]] = {}
# When each topic file was last changed as far as has been read, so that a saved file counts at the next call, without
# %autoreload, whose answer to a missing bracket is two tracebacks.
_read: dict[str, int] = {}
_announced: set[tuple[int, str]] = set()
# Of this thread only: JupyterLab has a widget's messages answered in a thread of their own, while a cell runs.
_alone: ContextVar[bool] = ContextVar("_alone", default=False)


def exercise(function: Callable[P, R]) -> Callable[P, R]:
    """Mark ``function`` as graded under the name ``<module>.<function>``, as in ``padding.padding_mask``.

    The function as it was written stays in ``__graded__``; that is the one that is graded.
    """
    name = f"{function.__module__.rpartition('.')[2]}.{function.__name__}"
    _WRITTEN[name] = function
    file = _file(function)
    _read[file] = _changed(file)

    @functools.wraps(function)
    def call(*arguments: P.args, **keywords: P.kwargs) -> R:
        if implementation() == "solutions":
            return _solution(name)(*arguments, **keywords)
        _read_again_if_saved(_file(_WRITTEN[name]))
        try:
            return _WRITTEN[name](*arguments, **keywords)
        except NotImplementedError as error:
            if _alone.get() or not is_unwritten(error, name):
                raise
        _announce(name)
        return _reference(name)(*arguments, **keywords)

    call.__graded__ = function  # type: ignore[attr-defined]
    return call


@contextlib.contextmanager
def without_reference() -> Iterator[None]:
    """Let no reference answer in a learner's place, as in grading: what is checked stands on its own."""
    before = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(before)


def _file(function: Callable[..., Any]) -> str:
    """Return the file a function was written in, or nothing for a callable that is no Python function."""
    return getattr(getattr(function, "__code__", None), "co_filename", "")


def _changed(file: str) -> int:
    """Return when a file was last changed, or 0 if there is none."""
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0


def _read_again_if_saved(file: str) -> None:
    """Execute a topic file again if it has been saved since; if it cannot be, say so once and keep what there was."""
    changed = _changed(file)
    if changed in (0, _read.get(file)):
        return
    _read[file] = changed
    from workbook.topic_files import fault, load_topic

    try:
        saved = load_topic(Path(file))
    except Exception as error:
        print(f"({fault(error, Path(file))} Until it is mended, its last good version is used.)")
        return
    # torch.compile, and FlexAttention with it, finds a function's globals through the module of its name.
    imported = sys.modules.get(saved.__name__)
    if imported is not None and imported.__file__ == file:
        vars(imported).update(vars(saved))


def implementation() -> str:
    """Return ``exercises`` or ``solutions``, as ``WORKBOOK_IMPLEMENTATION`` says.

    Raises:
        ValueError: it says something else.
    """
    choice = os.environ.get("WORKBOOK_IMPLEMENTATION", "").strip() or "exercises"
    if choice not in IMPLEMENTATIONS:
        raise ValueError(f"WORKBOOK_IMPLEMENTATION is {choice!r}; it can be {' or '.join(IMPLEMENTATIONS)}")
    return choice


def is_unwritten(error: BaseException, name: str) -> bool:
    """Tell the stub's own ``NotImplementedError("topic.function")`` from one that is somebody's answer."""
    return type(error) is NotImplementedError and error.args == (name,)


def _reference(name: str) -> Callable[..., Any]:
    from workbook.specs import spec

    return spec(name).oracle


def _solution(name: str) -> Callable[..., Any]:
    from workbook.topic_files import load_solution

    topic, _, function = name.partition(".")
    return getattr(load_solution(topic), function)


def _announce(name: str) -> None:
    """Say that the reference answers in the learner's place: once, and again when the file has changed."""
    if os.environ.get("WORKBOOK_FALLBACK", "visible") == "silent":
        return
    moment = (_read.get(_file(_WRITTEN[name]), 0), name)
    if moment not in _announced:
        _announced.add(moment)
        print(f"({name} is not written yet, so the reference answers here: workbook/exercises/{name.split('.')[0]}.py)")
