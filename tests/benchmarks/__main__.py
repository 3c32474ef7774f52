"""Measures and prints a table, and keeps it: ``python -m tests.benchmarks`` from the project's folder.

Every time stands beside the time of one plain call of all the solutions on the same cases in the same run, so that two
machines can be compared.
"""

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ["WORKBOOK_IMPLEMENTATION"] = "solutions"  # what is measured is a learner's work once it is right

import torch

from workbook import check, course
from workbook.grading import runner
from workbook.grading.executors import usable_cores
from workbook.grading.judge import Here, examination, examine
from workbook.grading.worker import Worker
from workbook.specs import Spec, specs
from workbook.topic_files import load_solution

RESULTS = Path(__file__).with_name("RESULTS.md")
ROUNDS = 15


@dataclass(frozen=True)
class Row:
    """One line of the table; ``target`` is in seconds."""

    what: str
    seconds: float
    target: float | None = None


def median(action: Callable[[int], object], rounds: int = ROUNDS) -> float:
    """Return the median of how long ``action(round)`` takes, after one call that is not counted."""
    action(-1)
    times = []
    for number in range(rounds):
        start = time.perf_counter()
        action(number)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def imported(statement: str, rounds: int = 7) -> list[float]:
    """Return how long a fresh interpreter takes for the second of two statements, each time."""
    first, second = statement.split("; ")
    program = f"{first}\nimport time\nstart = time.perf_counter()\n{second}\nprint(time.perf_counter() - start)"
    command = [sys.executable, "-c", program]
    return [float(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(rounds + 1)][1:]


def plain_calls(seed: int) -> Callable[[int], None]:
    """The baseline: every solution called on every case of one seed, with nothing around it."""
    calls = [
        (getattr(load_solution(found.topic), found.function), runner.fresh(case.call))
        for found in specs()
        for case, expected in zip(
            examination(found.name, seed).cases, examination(found.name, seed).expected, strict=True
        )
        if isinstance(expected, runner.Returned)
    ]

    def call(number: int) -> None:
        for function, copy in calls:
            runner.invoke(function, *copy)

    return call


def first_mistake(found: Spec) -> Here:
    """The first listed misconception, as somebody's answer."""
    return Here(found.misconceptions[0].implementations[0])


def rows() -> list[Row]:
    """Measure everything."""
    baseline = median(plain_calls(0))
    checks = {found.name: median(lambda number, name=found.name: check(name)) for found in specs()}  # type: ignore[misc]
    slowest = max(checks, key=lambda name: checks[name])
    wrong = {found.name: median(lambda number, found=found: examine(found, 2000 + number, first_mistake(found)))  # type: ignore[misc]
             for found in specs()}  # fmt: skip
    slowest_wrong = max(wrong, key=lambda name: wrong[name])
    files = {topic: (course.SOLUTIONS / f"{topic}.py").read_bytes() for topic in course.TOPICS}
    chosen = specs()

    def start(number: int) -> None:
        with Worker():
            pass

    found = [
        Row("one plain call of all solutions on all their cases (the baseline)", baseline),
        Row("`check()` of a function, the median of them all", statistics.median(checks.values()), 0.1),
        Row(f"`check()` of the slowest of them, `{slowest}`", checks[slowest], 0.1),
        Row(f"a wrong answer under a fresh seed, oracle and advice included: the slowest, `{slowest_wrong}`",
            wrong[slowest_wrong], 0.1),
        Row("`import workbook` after `import torch`", statistics.median(imported("import torch; import workbook")), 0.1),
        Row("`from workbook import check` after `import torch`",
            statistics.median(imported("import torch; from workbook import check"))),
        Row("`import torch`, for comparison", statistics.median(imported("import sys; import torch"))),
    ]  # fmt: skip
    with Worker() as worker:
        same = median(lambda number: worker.grade(files, chosen, 0))
        fresh = median(lambda number: worker.grade(files, chosen, 1000 + number))
    count = len(chosen)
    found += [
        Row(f"one submission of {count} functions in a warm worker, expected values known", same, 0.2),
        Row("the same under a fresh seed, oracles included", fresh),
        Row("starting a worker (once for a class)", median(start, rounds=3)),
    ]
    return found


def table(measured: list[Row]) -> str:
    """Return the rows as a markdown table, each also as a multiple of the first."""
    lines = ["| what | median | × baseline | target |", "| --- | ---: | ---: | ---: |"]
    for row in measured:
        target = "" if row.target is None else f"{row.target * 1000:.0f} ms {'✓' if row.seconds < row.target else '✗'}"
        lines.append(
            f"| {row.what} | {row.seconds * 1000:.1f} ms | {row.seconds / measured[0].seconds:.1f} | {target} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and keep the table."""
    cores = usable_cores()
    machine = f"{cores} cores, Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
    text = f"# How fast\n\nMeasured by `python -m tests.benchmarks` on {machine}; medians.\n\n{table(rows())}\n"
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
