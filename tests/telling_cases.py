"""Finds the cases of each function that tell most wrong answers from right ones: ``python -m tests.telling_cases``.

It writes ``workbook/specs/telling.py``'s table anew; to be run after cases or misconceptions have changed.
"""

import re
from collections.abc import Iterable, Sequence

import torch

from workbook.grading.judge import examination
from workbook.specs import Spec, specs, telling

COUNT = 6


def caught(spec: Spec, seed: int, places: Iterable[int] | None = None) -> list[set[int]]:
    """Return for each wrong implementation with wrong values the cases, of ``places`` or all, in which they are wrong."""
    exam = examination(spec.name, seed)
    places = range(len(exam.cases)) if places is None else places
    found = [{place for place in places if known.outcome(place)[1]} for known in exam.misconceptions]
    return [cases for cases in found if cases]


def most_telling(spec: Spec, seeds: Sequence[int] = (0, 1), count: int = COUNT) -> tuple[int, ...]:
    """Return the numbers of the most telling cases, the one that catches most first, then those that catch most others."""
    everything = [wrong for seed in seeds for wrong in caught(spec, seed)]
    left = everything
    chosen: list[int] = []
    places = list(range(len(examination(spec.name, 0).cases)))
    while len(chosen) < min(count, len(places)):
        left = left or everything  # all are caught once: now let them be caught again
        best = max(
            (place for place in places if place not in chosen), key=lambda place: sum(place in it for it in left)
        )
        chosen.append(best)
        left = [wrong for wrong in left if best not in wrong]
    return tuple(chosen)


def main() -> None:
    """Write the table."""
    torch.set_num_threads(1)
    table = "".join(f'    "{spec.name}": {most_telling(spec)},\n' for spec in specs())
    with open(telling.__file__, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"(?s)(TELLING[^{]*\{\n).*?(\}\n)", lambda found: found[1] + table + found[2], text)
    with open(telling.__file__, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
