"""Every specification of the course, whatever the topic: who passes, who fails, and under which name."""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from workbook import course
from workbook.grading import judge as judging
from workbook.grading.judge import Answer, Examination, Here, answer, examination, examine, judge
from workbook.grading.runner import Outcome, Raised, undecorated
from workbook.grading.worker import Worker
from workbook.specs import Spec, specs
from workbook.specs.specification import Case, misconception
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution, load_topic

EVERY = pytest.mark.parametrize("spec", specs(), ids=lambda spec: spec.name)
SEEDS = range(3)
#: What a case that never changes tells apart needs no seeds; these are for what only drawn cases tell apart.
MANY_SEEDS = range(60)
#: Complete files of right answers, written otherwise than the solution: ``<topic>_<how>.py``.
HONEST = sorted((Path(__file__).parent / "honest").glob("*_*.py"))
HONEST_SEEDS = range(12)


def topic_of(path: Path) -> str:
    return path.stem.partition("_")[0]


def undecorated_of(module: ModuleType, spec: Spec) -> Any:
    function = undecorated(module, spec.function)
    assert function is not None, f"{module.__file__} lacks {spec.function}"
    return function


@cache
def module_of(path: Path) -> ModuleType:
    return load_topic(path)


# --- solutions, stubs, oracles ---------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("seed", SEEDS)
def test_a_solution_gets_full_marks(spec: Spec, seed: int) -> None:
    function = undecorated_of(load_solution(spec.topic), spec)
    verdict = examine(spec, seed, Here(function))
    assert (verdict.status, verdict.points, verdict.reason) == ("passed", spec.points, "")


@EVERY
@pytest.mark.parametrize("seed", SEEDS)
def test_an_untouched_stub_gets_nothing(spec: Spec, seed: int, tmp_path: Path) -> None:
    file = tmp_path / f"{spec.topic}.py"
    file.write_text(topic_source(spec.topic), encoding="utf-8")
    verdict = examine(spec, seed, Here(undecorated_of(load_topic(file), spec)))
    if spec.given is None:
        assert (verdict.status, verdict.points) == ("not attempted", 0)
    else:
        assert not verdict.passed
        assert verdict.points == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_solutions_get_full_marks_and_stubs_none_in_the_child_process(worker: Worker, seed: int) -> None:
    solved = {topic: (course.SOLUTIONS / f"{topic}.py").read_bytes() for topic in course.TOPICS}
    untouched = {topic: topic_source(topic).encode() for topic in course.TOPICS}
    for spec, right, empty in zip(
        specs(), worker.grade(solved, specs(), seed), worker.grade(untouched, specs(), seed), strict=True
    ):
        assert (right.exercise, right.status, right.points) == (spec.name, "passed", spec.points), right.reason
        assert (empty.exercise, empty.passed, empty.points) == (spec.name, False, 0)


@EVERY
@pytest.mark.parametrize("seed", SEEDS)
def test_an_oracle_is_refused_as_a_loop_and_for_nothing_else(spec: Spec, seed: int) -> None:
    """It is the reference that learners could copy: right in all cases, on every device, and slow."""
    exam = examination(spec.name, seed)
    assert list(judging._wrong(exam, answer(exam, Here(spec.oracle)))) == []
    every = [Here(spec.oracle).measured(spec, [wanted], exam.small, exam.large)[0] for wanted in spec.properties]
    owed = {wanted.kind for wanted in spec.properties}
    broken = {found.kind for found in every if found.broken is not None}
    assert broken - {"view"} == owed & {"no loop"}  # cell by cell there is no view to return
    verdict = examine(spec, seed, Here(spec.oracle))
    assert verdict.passed is ("no loop" not in owed)
    if "no loop" in owed:
        assert (verdict.status, verdict.aspect, verdict.points) == ("property broken", "no loop", 0)


# --- honest answers --------------------------------------------------------------------------------------------------


def test_every_topic_has_several_honest_variants() -> None:
    for topic in course.TOPICS:
        assert sum(topic_of(path) == topic for path in HONEST) >= 4


@pytest.mark.parametrize("seed", HONEST_SEEDS)
def test_honest_variants_pass_here_and_in_the_child_process(worker: Worker, seed: int) -> None:
    for path in HONEST:
        chosen = specs([topic_of(path)])
        here = [examine(spec, seed, Here(undecorated_of(module_of(path), spec))) for spec in chosen]
        there = worker.grade({topic_of(path): path.read_bytes()}, chosen, seed)
        for verdict in [*here, *there]:
            assert verdict.passed, f"{path.stem}, {verdict.exercise}: {verdict.reason}"


# --- misconceptions --------------------------------------------------------------------------------------------------


@EVERY
def test_a_misconception_is_named_and_advised_once(spec: Spec) -> None:
    names = [known.name for known in spec.misconceptions]
    advice = [known.advice for known in spec.misconceptions]
    assert len(names) >= 2
    assert len(set(names)) == len(names)
    assert len(set(advice)) == len(advice)
    for known in spec.misconceptions:
        assert known.implementations, known.name
        assert known.advice.endswith("."), known.advice


@EVERY
@pytest.mark.parametrize("seed", SEEDS)
def test_a_misconception_is_rejected_under_its_own_name(spec: Spec, seed: int) -> None:
    for known in spec.misconceptions:
        for implementation in known.implementations:
            verdict = examine(spec, seed, Here(implementation))
            assert not verdict.passed
            assert verdict.points == 0
            assert (verdict.misconception, verdict.advice) == (known.name, known.advice), verdict.reason


class Separated:
    """Remembers which case told one implementation from another last time: most often it does so again."""

    def __init__(self) -> None:
        self.case: dict[tuple[int, int], int] = {}

    def told_apart(
        self, exam: Examination, pair: tuple[int, int], first: frozenset[int], seen: dict[int, "Seen"]
    ) -> int:
        """By which case is the first of the pair not taken for what the second answered? The cases ``first`` are tried
        first; ``OTHERWISE`` if no single case tells them apart, ``NEVER`` if nothing does."""
        known, other = (seen[place] for place in pair)
        remembered = self.case.get(pair)
        if remembered is not None and known.differs(other, remembered):
            return remembered
        for case in (*sorted(first), *(case for case in range(len(exam.cases)) if case not in first)):
            if known.differs(other, case):
                self.case[pair] = case
                return case
        its = judging.Known(exam, misconception("its name", "Its advice."), Given(exam, known.answer))
        return NEVER if judging._is(exam, its, other.answer, other.outcomes) else OTHERWISE


OTHERWISE, NEVER = -1, -2


class Given:
    """Who answers as an answer that is there already."""

    def __init__(self, exam: Examination, answer: Answer) -> None:
        self._exam = exam
        self._answer = answer

    def outcomes(self, spec: Spec, cases: Sequence[Case]) -> tuple[Outcome, ...]:
        places = [next(place for place, other in enumerate(self._exam.cases) if other is case) for case in cases]
        return tuple(self._answer.outcomes[place] for place in places)

    def measured(self, *asked: Any) -> tuple[Any, ...]:
        return self._answer.measured or ()


class Seen:
    """An answer as the judge compares it."""

    def __init__(self, exam: Examination, answer: Answer) -> None:
        self.answer = answer
        self.outcomes: tuple[Outcome, ...] = tuple(
            judging.observed(exam.spec, case, outcome)
            for case, outcome in zip(exam.cases, answer.outcomes, strict=True)
        )

    def differs(self, other: "Seen", case: int) -> bool:
        said = self.outcomes[case]
        return not isinstance(said, Raised) and judging.outcome_difference(said, other.outcomes[case]) is not None

    def wrong_in(self, exam: Examination) -> set[int]:
        """The numbers of the cases that it gets wrong."""
        return {place for place, _ in judging._wrong(exam, self.answer)}


def unchanging_cases(spec: Spec) -> frozenset[int]:
    """The cases that every seed draws alike, and expects alike: what they tell apart, they tell apart under every seed."""
    first, *others = (Examination(spec, seed) for seed in MANY_SEEDS)
    unchanging = set(range(len(first.cases)))
    for exam in others:
        assert len(exam.cases) == len(first.cases)
        for place in sorted(unchanging):
            one, other = first.cases[place], exam.cases[place]
            if (one.about, one.tolerance) != (other.about, other.tolerance) or not same(one.call, other.call):
                unchanging.discard(place)
    return frozenset(unchanging)


def same(one: Any, other: Any) -> bool:
    return judging.difference(one, other, telling=None, reading="additive") is None  # floats exactly


@EVERY
def test_no_two_misconceptions_coincide_nor_any_with_the_oracle(spec: Spec) -> None:
    settled: set[tuple[int, int]] = set()
    unchanging, memory = unchanging_cases(spec), Separated()
    for seed in MANY_SEEDS:
        exam = Examination(spec, seed)
        implementations = [(known.name, one) for known in spec.misconceptions for one in known.implementations]
        open_pairs = [
            (number, place)
            for place, (name, _) in enumerate(implementations)
            for number, (other_name, _) in enumerate(implementations)
            if name != other_name and (number, place) not in settled
        ]
        needed = {place for pair in open_pairs for place in pair}
        needed |= {place for place in range(len(implementations)) if (place, place) not in settled}
        seen = {place: Seen(exam, answer(exam, Here(implementations[place][1]))) for place in sorted(needed)}
        for place, one in seen.items():
            name = implementations[place][0]
            right = one.answer.measured is not None and judging._broken(exam, one.answer) is None
            assert not right, f"{name!r} gives the oracle's answer under seed {seed}"
            if one.wrong_in(exam) & unchanging:
                settled.add((place, place))
        for number, place in open_pairs:
            if (number, place) in settled:
                continue
            case = memory.told_apart(exam, (number, place), unchanging, seen)
            assert case != NEVER, (
                f"{implementations[place][0]!r} is taken for {implementations[number][0]!r} under seed {seed}"
            )
            if case in unchanging:
                settled.add((number, place))


def mistakes() -> list[Any]:
    """The wrong answers of ``tests/mistakes_<topic>.py``, none of which stands in a specification."""
    found = []
    for topic in course.TOPICS:
        by_function = import_module(f"mistakes_{topic}").MISTAKES
        for spec in specs([topic]):
            for number, (known, function) in enumerate(by_function[spec.function]):
                found.append(pytest.param(spec, known, function, id=f"{spec.name}-{number}-{known}"))
    return found


@pytest.mark.parametrize(("spec", "known", "function"), mistakes())
def test_a_mistake_in_other_words_is_rejected_and_recognised(spec: Spec, known: str | None, function: Any) -> None:
    assert known is None or known in {misconception.name for misconception in spec.misconceptions}
    for seed in SEEDS:
        exam = examination(spec.name, seed)
        verdict = judge(spec, answer(exam, Here(function)))
        assert not verdict.passed
        assert verdict.points == 0
        assert verdict.reason
        assert verdict.misconception == known, verdict.reason
