"""This project's own grading of the same submissions: a ``Worker`` each, one or several at once."""

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.benchmarks.others.work import EXERCISES, IMPORTS, SEED, Handed, check_marks
from workbook.grading.worker import Worker
from workbook.specs import spec


@dataclass(frozen=True)
class Graded:
    """How long a run took from nothing to the last verdict, how long of it the grading itself, and where code ran."""

    whole: float
    grading: float
    isolation: str


def grade(handed_in: Sequence[Handed]) -> tuple[float, str]:
    """Start a worker, grade with it, see that the marks are right; return the seconds of grading and the isolation."""
    chosen = [spec(exercise) for exercise in EXERCISES]
    with Worker() as worker:
        start = time.perf_counter()
        verdicts = [worker.grade(_files(handed), chosen, SEED) for handed in handed_in]
        seconds = time.perf_counter() - start
        isolation = worker.isolation
    for handed, found in zip(handed_in, verdicts, strict=True):
        check_marks("workbook", handed, {verdict.exercise: verdict.points / verdict.max_points for verdict in found})
    return seconds, isolation


def _files(handed: Handed) -> dict[str, bytes]:
    return {name.partition(".")[0]: f"{IMPORTS}\n\n\n{code}\n".encode() for name, code in handed.code.items()}


def grade_class(handed_in: Sequence[Handed], jobs: int) -> Graded:
    """Grade a class with ``jobs`` workers, each with a fresh process of its own that judges."""
    start = time.perf_counter()
    # A fresh process, so that nothing is warm that a command would have to warm: it imports torch, and so does its worker.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as executor:
        results = list(executor.map(grade, [handed_in[number::jobs] for number in range(jobs)]))
    whole = time.perf_counter() - start
    return Graded(whole, max(seconds for seconds, _ in results), results[0][1])
