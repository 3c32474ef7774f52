"""What right means, topic by topic, and the known ways to be wrong."""

import difflib
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from typing import Any

from workbook.course import TOPICS
from workbook.specs.specification import Spec

__all__ = ["Spec", "UnknownExercise", "given", "select", "spec", "specs"]


class UnknownExercise(ValueError):
    """No exercise or topic has this name."""


@cache
def _topic(topic: str) -> tuple[Spec, ...]:
    specifications: tuple[Spec, ...] = import_module(f"workbook.specs.{topic}").SPECS
    return specifications


def specs(topics: Iterable[str] | None = None) -> tuple[Spec, ...]:
    """Return the specifications of ``topics``, or all of them, in teaching order.

    Raises:
        UnknownExercise: a topic is not one of the course's.
    """
    chosen = TOPICS if topics is None else tuple(topics)
    for topic in chosen:
        if topic not in TOPICS:
            raise UnknownExercise(f"there is no topic {topic!r}; {_suggest(topic, TOPICS)}")
    return tuple(spec for topic in TOPICS if topic in chosen for spec in _topic(topic))


@cache
def _named() -> dict[str, list[Spec]]:
    found: dict[str, list[Spec]] = {}
    for each in specs():
        for name in (each.name, each.function):
            found.setdefault(name, []).append(each)
    return found


def spec(name: str) -> Spec:
    """Return the specification of ``"topic.function"``, or of ``"function"`` where only one topic has it.

    Raises:
        UnknownExercise: there is none; the sentence suggests the nearest names.
    """
    if not isinstance(name, str):
        raise UnknownExercise(f"an exercise is named by a text such as 'padding.padding_mask', not by {name!r}")
    matches = _named().get(name, [])
    if len(matches) == 1:
        return matches[0]
    names = [spec.name for spec in specs()]
    topic, dot, _ = name.partition(".")
    if near := _near(name, names if dot else [*names, *TOPICS]):
        advice = f"did you mean {' or '.join(near)}?"
    elif topic in TOPICS:
        advice = f"there are {', '.join(spec.name for spec in specs([topic]))}"
    else:
        advice = f"the topics are {', '.join(TOPICS)}"
    raise UnknownExercise(f"there is no exercise {name!r}; {advice}")


def given(name: str) -> Callable[..., Any]:
    """Return the wrong code that a function of ``capstone`` is given with, whatever has been mended since.

    Raises:
        UnknownExercise: there is no such function, or it is given as an empty stub.
    """
    found = spec(name)
    if found.given is None:
        raise UnknownExercise(f"{found.name} is given empty; there is no wrong code of it to look at")
    return found.given


def select(names: Iterable[str]) -> tuple[Spec, ...]:
    """Return the specifications that ``names`` name, topics or functions, each once, in teaching order; all for none.

    Raises:
        UnknownExercise: a name is neither.
    """
    chosen: set[str] = set()
    for name in names:
        chosen |= {found.name for found in (specs([name]) if name in TOPICS else (spec(name),))}
    return tuple(found for found in specs() if not chosen or found.name in chosen)


def _suggest(name: str, names: Iterable[str]) -> str:
    names = list(names)
    near = _near(name, names)
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}"


def _near(name: str, names: Iterable[str]) -> list[str]:
    """Return the names, two at most, whose last word is like that of ``name``."""
    short = {known.rpartition(".")[2]: known for known in names}
    return [short[match] for match in difflib.get_close_matches(name.rpartition(".")[2], short, n=2, cutoff=0.5)]
