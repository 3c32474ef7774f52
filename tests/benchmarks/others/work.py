"""The work that every grader gets: two exercises, the same cases, the same submissions, and the marks that are right."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbook.grading.judge import examination
from workbook.grading.runner import Returned
from workbook.grading.worker import function_seed
from workbook.specs import spec

SEED = 2026
EXERCISES = ("padding.padding_mask", "causal.causal_mask")
#: What the other graders are told they are worth: the sum that nbgrader gives says which of the two were right.
POINTS = {"padding.padding_mask": 1, "causal.causal_mask": 2}

IMPORTS = "import torch"
SIGNATURES = {
    "padding.padding_mask": "def padding_mask(input_ids, pad_token_id):",
    "causal.causal_mask": "def causal_mask(sequence_length, device=None):",
}
RIGHT = {
    "padding.padding_mask": ("return input_ids == pad_token_id", "return input_ids.eq(pad_token_id)"),
    "causal.causal_mask": (
        "return torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).tril()",
        "position = torch.arange(sequence_length, device=device)\n    return position <= position[:, None]",
    ),
}
WRONG = {
    "padding.padding_mask": ("return input_ids != pad_token_id", "return input_ids == 0"),
    "causal.causal_mask": (
        "return torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).triu()",
        "return torch.ones(sequence_length, sequence_length, device=device).tril()",
    ),
}


@dataclass(frozen=True)
class Handed:
    """A submission: who handed it in, the code of each exercise, and of each the part of the marks that is due: 0 or 1."""

    student: str
    code: dict[str, str]
    due: dict[str, float]


def submissions(count: int) -> list[Handed]:
    """Return ``count`` submissions, no two the same: all right, half right (each half) and all wrong, in turns."""
    return list(itertools.islice(_submissions(), count))


def _submissions() -> Iterator[Handed]:
    for number in itertools.count():
        code, due = {}, {}
        for place, exercise in enumerate(EXERCISES):
            wrong = number >> place & 1
            bodies = (WRONG if wrong else RIGHT)[exercise]
            body = bodies[number // 4 % 2]
            code[exercise] = f"{SIGNATURES[exercise]}  # attempt {number}\n    {body}"
            due[exercise] = 0.0 if wrong else 1.0
        yield Handed(f"student{number:04}", code, due)


def function(exercise: str) -> str:
    """Return an exercise's name without its topic, which the other graders take as the name of a question."""
    return exercise.partition(".")[2]


def solution(exercise: str) -> str:
    """Return a right answer, which the other two ask for in an instructor's notebook."""
    return f"{SIGNATURES[exercise]}\n    {RIGHT[exercise][0]}"


def tests(exercise: str) -> str:
    """Return the exercise's cases as statements: this project's own cases and expected values, written out."""
    exam = examination(exercise, function_seed(SEED, spec(exercise)))
    lines = [
        "def same(came, wanted):",
        "    return came.shape == wanted.shape and came.dtype == wanted.dtype and torch.equal(came, wanted)",
    ]
    for case, expected in zip(exam.cases, exam.expected, strict=True):
        if not isinstance(expected, Returned):
            raise TypeError(f"{exercise}: a case that is to raise cannot be written out here")
        arguments = [_code(value) for value in case.arguments]
        arguments += [f"{name}={_code(value)}" for name, value in case.keywords.items()]
        call = f"{function(exercise)}({', '.join(arguments)})"
        lines.append(f"assert same({call}, {_code(expected.value)})")
    return "\n".join(lines)


def _code(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"torch.tensor({value.tolist()}, dtype={value.dtype}).reshape({tuple(value.shape)})"
    return f"torch.device({str(value)!r})" if isinstance(value, torch.device) else repr(value)


class WrongMarks(AssertionError):
    """A grader gave other marks than a submission deserves, so that its speed means nothing."""


def check_marks(grader: str, handed: Handed, given: dict[str, float]) -> None:
    """See that a grader gave, of each exercise, the part of the marks that is due.

    Raises:
        WrongMarks: it did not.
    """
    if given != handed.due:
        raise WrongMarks(f"{grader} gave {handed.student} {given} of the marks; right is {handed.due}")
