"""Three hints for each function, from a question to pseudocode; never the code."""

import textwrap
import tomllib
from functools import cache

from workbook import course
from workbook.specs import spec

WIDTH = 88  # a notebook's output breaks longer lines in the middle of a word
LEVELS = ("a question", "a pointer", "pseudocode")


def hints(name: str) -> tuple[str, ...]:
    """Return the hints of one function, level 1 to 3.

    Raises:
        UnknownExercise: there is no such exercise.
    """
    found = spec(name)
    return tuple(_topic(found.topic)[found.function]["hints"])


def hint(name: str, level: int = 1) -> None:
    """Print one hint: level 1 asks a question, 2 points somewhere, 3 is pseudocode.

    Raises:
        UnknownExercise: there is no such exercise.
        ValueError: ``level`` is not 1, 2 or 3.
    """
    texts = hints(name)
    if level not in range(1, len(texts) + 1):
        raise ValueError(f"level is {level!r}; there are hints of level 1 to {len(texts)}")
    lines = texts[level - 1].strip().splitlines()
    wrapped = "\n".join(line if len(line) <= WIDTH else textwrap.fill(line, WIDTH) for line in lines)
    print(f"Hint {level} of {len(texts)} for {spec(name).name}, {LEVELS[level - 1]}:\n{wrapped}")
    if level < len(texts):
        print(f'Still stuck? hint("{spec(name).name}", level={level + 1})')


@cache
def _topic(topic: str) -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((course.HINTS / f"{topic}.toml").read_text(encoding="utf-8"))
