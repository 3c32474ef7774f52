"""Measures the grading of a made class, prints a table and keeps it: ``python -m tests.benchmarks.classroom [--count N]``.

Every submission is another one, written out as a zip and graded as ``workbook grade`` does it, in the sandbox, with the
results recorded one by one. The time of one plain call of all the solutions on all their cases, in the same run, is the
measure that two machines can be compared by.
"""

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from tests.benchmarks.__main__ import median, plain_calls
from tests.made_class import ORDINARY, write_class
from tests.telling_cases import COUNT
from workbook.grading import executors, sandbox
from workbook.grading.classroom import Settings, grade_class, publish
from workbook.grading.judge import examination
from workbook.grading.records import Records
from workbook.grading.submission import find_submissions
from workbook.specs import Spec, specs

RESULTS = Path(__file__).with_name("CLASS.md")
TARGET = 15.0  # submissions a second, on two cores, with at least six cases of each function
ALL_RIGHT = {"honest": 1.0}


@dataclass(frozen=True)
class Run:
    """One class graded: when each submission was done, in seconds from the start, the memory then, and the passed ones."""

    times: tuple[float, ...]
    memory: tuple[int, ...]
    passed: float
    published: float

    @property
    def rate(self) -> float:
        """Submissions a second, with the start of everything."""
        return len(self.times) / self.times[-1]

    @property
    def steady(self) -> float:
        """Submissions a second between the first and the last tenth: without the start."""
        first = len(self.times) // 10
        return (len(self.times) - first - 1) / (self.times[-1] - self.times[first])


def grade(
    count: int,
    jobs: int,
    chosen: Sequence[Spec] = (),
    mix: Mapping[str, float] = ORDINARY,
    cases: int | None = None,
) -> Run:
    """Grade a made class of ``count`` with ``jobs`` processes, with so many ``cases`` of each function or with all."""
    chosen = chosen or specs()
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "submissions", Path(name) / "grades"
        out.mkdir()
        write_class(folder, count, seed=1, mix=mix)
        times, memory, passed = [], [], 0
        start = time.perf_counter()
        executors.start_importing()
        inputs = find_submissions([folder])
        with Records(out) as records:
            settings = Settings(records.seed(None), tuple(spec.name for spec in chosen), cases=cases)
            steps = grade_class(inputs, chosen, settings, records, executors.local_processes(jobs))
            with closing(steps):
                for step in steps:
                    assert step.kind == "graded", step
                    times.append(time.perf_counter() - start)
                    passed += sum(verdict.passed for verdict in step.record.row.verdicts)
                    if len(times) % max(1, count // 20) == 0:
                        memory.append(resident())
            publishing = time.perf_counter()
            publish(out, records, chosen)
        return Run(tuple(times), tuple(memory), passed / (count * len(chosen)), time.perf_counter() - publishing)


def resident() -> int:
    """Return the memory of this process and all below it, in bytes; what they share is counted in each."""
    processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
    total = 0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:  # the child of a submission, done meanwhile
            continue
    return total


def rows(count: int, baseline: float) -> list[tuple[str, str]]:
    """Measure everything: what, and how much; ``baseline`` are the seconds of the first row."""
    cores = executors.usable_cores()
    asked = sum(len(examination(spec.name, 0).cases) for spec in specs())
    found = []
    whole, few = grade(count, cores), grade(count, cores, cases=COUNT)
    for run, cases in ((few, f"{COUNT} cases of each (`--cases {COUNT}`)"), (whole, f"all {asked} cases")):
        found += [
            (f"{count} distinct submissions of {len(specs())} functions, {cases}, start included",
             f"**{run.rate:.1f} a second** (wanted: {TARGET:.0f}), {run.times[-1]:.0f} s"),
            ("… without the start (the first tenth)", f"{run.steady:.1f} a second"),
            ("… seconds of all processes for one of them, in plain calls (the first row)",
             f"{cores / run.steady / baseline:.1f}"),
            ("… functions that passed", f"{run.passed:.0%}"),
        ]  # fmt: skip
    found += growth(whole)
    fewer = max(50, count // 5)
    all_right = grade(fewer, cores, mix=ALL_RIGHT)
    found.append((f"{fewer} submissions with every function right", f"{all_right.steady:.1f} a second"))
    for jobs in sorted({1, cores}):
        run = grade(fewer, jobs)
        words = "1 process" if jobs == 1 else f"{jobs} processes"
        found.append((f"{fewer} submissions, {words}", f"{run.steady:.1f} a second"))
    for topics in (["padding"], ["padding", "causal", "multihead"]):
        chosen = specs(topics)
        run = grade(fewer, cores, chosen)
        found.append((f"{fewer} submissions of {len(chosen)} functions", f"{run.steady:.1f} a second"))
    return found


def growth(whole: Run) -> list[tuple[str, str]]:
    """Say how time and memory grow with the submissions."""
    count = len(whole.times)
    early, late = (statistics.mean(part) for part in (whole.memory[2:6], whole.memory[-4:]))
    return [
        *(
            (f"… until the first {count // part} are graded", f"{whole.times[count // part - 1]:.1f} s")
            for part in (8, 4, 2)
        ),
        ("… memory of all processes after a fifth, and at the end", f"{early / 2**20:.0f} MB, {late / 2**20:.0f} MB"),
        ("… gradebook, class report, and a page and two JSON files for each student", f"{whole.published:.1f} s"),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="submissions in the class")
    count = parser.parse_args(arguments).count
    where = "in the sandbox" if sandbox.why_not() is None else f"without a sandbox: {sandbox.why_not()}"
    machine = f"{executors.usable_cores()} cores, Python {platform.python_version()}, torch {torch.__version__.partition('+')[0]}"
    baseline = median(plain_calls(0))
    lines = [
        "| what | measured |",
        "| --- | ---: |",
        f"| one plain call of all solutions on all their cases | {baseline * 1000:.0f} ms |",
    ]
    lines += [f"| {what} | {much} |" for what, much in rows(count, baseline)]
    text = (
        f"# How fast a class is graded\n\nMeasured by `python -m tests.benchmarks.classroom` on {machine}, {where}.\n\n"
    )
    text += "\n".join(lines) + "\n"
    print(text)
    RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
