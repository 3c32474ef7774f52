"""In which order a learner meets the exercises: that of the notebooks, which also number them."""

import json
import re
from functools import cache
from pathlib import Path

from workbook import course
from workbook.specs import Spec, spec, specs

_HEADING = re.compile(r"\*\*Exercise (\d+\.\d+)\*\*")
_CHECK = re.compile(r'check\("([\w.]+)"\)')


def number(found: Spec) -> str | None:
    """Return the number that an exercise has in its notebook, such as ``"1.4"``, or ``None`` where no notebook has it."""
    return _numbers(course.NOTEBOOKS).get(found.name)


def in_order() -> tuple[Spec, ...]:
    """Return all specifications in the order of the notebooks; those in no notebook come last in their topic."""
    places = {name: place for place, name in enumerate(_numbers(course.NOTEBOOKS))}
    return tuple(
        found
        for topic in course.TOPICS
        for found in sorted(specs([topic]), key=lambda found: places.get(found.name, len(places)))
    )


def following(name: str) -> Spec | None:
    """Return the exercise after ``name``, or ``None`` after the last.

    Raises:
        UnknownExercise: there is no such exercise.
    """
    ordered = in_order()
    place = ordered.index(spec(name)) + 1
    return ordered[place] if place < len(ordered) else None


@cache
def _numbers(folder: Path) -> dict[str, str]:
    """Name -> number, in the order in which the notebooks of ``folder`` check the functions."""
    found: dict[str, str] = {}
    for path in sorted(folder.glob("*.ipynb")):
        latest = None
        for source in _sources(path):
            heading, checked = _HEADING.search(source), _CHECK.match(source)
            latest = heading[1] if heading else latest
            if checked and latest:
                found.setdefault(checked[1], latest)
    return found


def _sources(path: Path) -> list[str]:
    """Return the cells of a notebook; none of one that is being written or was spoilt, which is no reason to stop a check."""
    try:
        return ["".join(cell["source"]) for cell in json.loads(path.read_bytes())["cells"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []
