"""Judges answers: one pure function, ``judge(spec, answer) -> Verdict``.

An answer is what came of every case and of every property measured. What it is compared with, the cases drawn from its seed
and what the oracle and the misconceptions make of them, is an ``Examination``, which is made once per seed.
"""

import contextlib
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from workbook.conventions import to_allowed
from workbook.grading import runner
from workbook.grading.runner import Ended, Measured, Outcome, Raised, Returned, Unfit, Unwritten
from workbook.grading.verdict import Grids, Verdict
from workbook.specs import spec as find_spec
from workbook.specs.specification import Case, FunctionArgument, Misconception, Property, Reading, Spec
from workbook.specs.telling import telling

#: Floats may differ by this much, absolutely and in proportion; everything else is compared exactly.
TOLERANCE = {torch.float64: 2e-5, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
#: Tensors with more cells than this are described by dtype and shape.
SHOWN_CELLS = 24
LONGEST_TEXT = 1_000
#: What a mask function is asked about.
INDEX_NAMES = ("b", "h", "q_idx", "kv_idx")
ASPECTS = ("structure", "shape", "dtype", "device", "values")


@dataclass(frozen=True)
class Answer:
    """What a function made of the cases drawn from ``seed``; ``measured`` is ``None`` until its values are right.

    ``cases`` is how many it was asked, the most telling ones, or ``None`` for all.
    """

    exercise: str
    seed: int
    outcomes: tuple[Outcome, ...]
    measured: tuple[Measured | Ended, ...] | None = None
    cases: int | None = None


@dataclass(frozen=True)
class Difference:
    """The first thing in which two values differ: the leaf of each, which leaf it is of how many, and its name."""

    aspect: str
    wanted: Any
    came: Any
    leaf: int = 0
    leaves: int = 1
    name: str = ""


class Respondent(Protocol):
    """Somebody who answers: this process, or a child that runs a submission."""

    def outcomes(self, spec: Spec, cases: Sequence[Case]) -> tuple[Outcome, ...]:
        """Run the cases."""

    def measured(
        self, spec: Spec, properties: Sequence[Property], small: Case, large: Case
    ) -> tuple[Measured | Ended, ...]:
        """Measure the properties in order, up to the first broken one."""


@dataclass(frozen=True)
class Here:
    """A function of this process as the respondent; ``classes`` are the NamedTuples of its own file."""

    function: Callable[..., Any]
    classes: Mapping[str, type] = field(default_factory=dict)

    def outcomes(self, spec: Spec, cases: Sequence[Case]) -> tuple[Outcome, ...]:
        return tuple(runner.run(self.function, spec.name, runner.Trial(case.call), self.classes) for case in cases)

    def measured(self, spec: Spec, properties: Sequence[Property], small: Case, large: Case) -> tuple[Measured, ...]:
        calls = runner.recast((small.call, large.call), self.classes)
        return tuple(runner.measure_all(self.function, [(each.kind, each.options) for each in properties], *calls))


class Examination:
    """The cases that one seed draws for one function, and what the oracle and the misconceptions answer.

    With ``count``, it is so many of the cases, the most telling ones.
    """

    def __init__(self, spec: Spec, seed: int, count: int | None = None) -> None:
        self.spec = spec
        self.seed = seed
        rng = torch.Generator().manual_seed(seed)
        with _torch_as_always():
            cases = tuple(spec.cases(rng))
            self.small, self.large = spec.sizes(rng)
        self.cases = cases if count is None else tuple(cases[place] for place in telling(spec.name, len(cases), count))

    @cached_property
    def expected(self) -> tuple[Outcome, ...]:
        with _torch_as_always():
            outcomes = Here(self.spec.oracle).outcomes(self.spec, self.cases)
        return tuple(observed(self.spec, case, outcome) for case, outcome in zip(self.cases, outcomes, strict=True))

    @cached_property
    def gradients(self) -> Any:
        """The oracle's gradients, if the specification judges them."""
        for wanted in self.spec.properties:
            if wanted.kind == "gradients":
                return Here(self.spec.oracle).measured(self.spec, [wanted], self.small, self.large)[0].gradients
        return None

    @cached_property
    def misconceptions(self) -> tuple["Known", ...]:
        """Each wrong implementation, which answers when it is asked."""
        return tuple(
            Known(self, misconception, Here(implementation))
            for misconception in self.spec.misconceptions
            for implementation in misconception.implementations
        )


class Known:
    """What one wrong implementation of a misconception answers, case by case: most are told from a learner's by the first."""

    def __init__(self, exam: Examination, misconception: Misconception, respondent: Respondent) -> None:
        self.misconception = misconception
        self._exam = exam
        self._respondent = respondent
        self._given: dict[int, tuple[Outcome, bool]] = {}

    def outcome(self, place: int) -> tuple[Outcome, bool]:
        """Return what it makes of one case, and whether that is wrong."""
        if place not in self._given:
            exam, case = self._exam, self._exam.cases[place]
            (outcome,) = self._respondent.outcomes(exam.spec, [case])
            difference = _outcome_difference(exam.spec, case, exam.expected[place], observed(exam.spec, case, outcome))
            self._given[place] = outcome, difference is not None
        return self._given[place]

    @cached_property
    def broken(self) -> str | None:
        """The kind of property that it breaks; ``None`` if a value is wrong already."""
        given = [self.outcome(place) for place in range(len(self._exam.cases))]
        if any(wrong for _, wrong in given):
            return None
        exam = self._exam
        measured = self._respondent.measured(exam.spec, exam.spec.properties, exam.small, exam.large)
        outcomes = tuple(outcome for outcome, _ in given)
        return _broken_kind(exam, Answer(exam.spec.name, exam.seed, outcomes, measured))


@contextlib.contextmanager
def _torch_as_always() -> Iterator[None]:
    """Undo for a while what a learner's file may have set: another default device, another default dtype."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.device("cpu"):
            yield
    finally:
        torch.set_default_dtype(dtype)


def examination(name: str, seed: int, count: int | None = None) -> Examination:
    """Return the examination of one function under one seed, of all cases or the ``count`` most telling; made once."""
    return _examination(name, seed, count)


@lru_cache(maxsize=256)
def _examination(name: str, seed: int, count: int | None) -> Examination:
    return Examination(find_spec(name), seed, count)


def examine(spec: Spec, seed: int, respondent: Respondent) -> Verdict:
    """Ask the respondent all that the seed draws and judge what it says."""
    exam = examination(spec.name, seed)
    return _judged(exam, *_collected(exam, respondent))


def answer(exam: Examination, respondent: Respondent) -> Answer:
    """Collect an answer: the cases, and the properties once the values are right."""
    return _collected(exam, respondent)[0]


def judge_values(spec: Spec, answer: Answer) -> Verdict | None:
    """Judge an answer whose properties were not measured; ``None`` if its values are right, so that they have to be."""
    exam = examination(spec.name, answer.seed, answer.cases)
    wrong = list(_wrong(exam, answer))
    return _judged(exam, answer, wrong) if wrong else None


def _collected(exam: Examination, respondent: Respondent) -> tuple[Answer, "Wrong"]:
    spec = exam.spec
    given = Answer(spec.name, exam.seed, respondent.outcomes(spec, exam.cases))
    wrong = list(_wrong(exam, given))
    if not wrong:
        given = replace(given, measured=respondent.measured(spec, spec.properties, exam.small, exam.large))
    return given, wrong


def judge(spec: Spec, answer: Answer) -> Verdict:
    """Say what an answer is worth and what is wrong with it.

    Args:
        spec: the specification of the function.
        answer: its outcomes on the cases of ``answer.seed``, and what was measured.
    """
    exam = examination(spec.name, answer.seed, answer.cases)
    return _judged(exam, answer, list(_wrong(exam, answer)))


#: The failing cases, in order: the number of each and what differs there.
Wrong = list[tuple[int, Difference]]


def _judged(exam: Examination, answer: Answer, wrong: Wrong) -> Verdict:
    spec = exam.spec
    base = Verdict(
        spec.name,
        "passed",
        spec.points,
        spec.points,
        spec.practice,
        cases=len(exam.cases),
        failed_cases=len(wrong),
    )
    if all(isinstance(outcome, Unwritten) for outcome in answer.outcomes):
        return replace(base, status="not attempted", points=0, reason="Nothing is written here yet.")
    given = (*answer.outcomes, *(answer.measured or ()))
    ended = next((outcome for outcome in given if isinstance(outcome, Ended)), None)
    if ended is not None:
        status = "timed out" if ended.timed_out else "raised"
        return replace(base, status=status, points=0, reason=ended.reason)  # type: ignore[arg-type]
    if wrong:
        place, difference = wrong[0]
        found = _explain_case(exam, place, difference, answer.outcomes[place])
        return _named(exam, answer, replace(base, points=0, **found))
    broken = _broken(exam, answer)
    if broken is not None:
        property_broken = replace(
            base,
            status="property broken",
            points=0,
            aspect=broken.kind,
            reason=_property_sentence(spec, exam.small, broken),
            call=_call_text(spec, exam.small),
        )
        return _named(exam, answer, property_broken)
    return base


# --- comparing -------------------------------------------------------------------------------------------------------


def _wrong(exam: Examination, answer: Answer) -> Iterator[tuple[int, Difference]]:
    """Yield the failing cases, in order, each with what differs there."""
    for place, (case, expected, outcome) in enumerate(zip(exam.cases, exam.expected, answer.outcomes, strict=True)):
        difference = _outcome_difference(exam.spec, case, expected, observed(exam.spec, case, outcome))
        if difference is not None:
            yield place, difference


def observed(spec: Spec, case: Case, outcome: Outcome) -> Outcome:
    """Turn what was returned into what is compared, where a specification says how."""
    if spec.observe is None or not isinstance(outcome, Returned):
        return outcome
    try:
        return replace(outcome, value=spec.observe(case, outcome.value))
    except Exception as error:  # a value that cannot even be observed is a wrong one, and says so
        return runner.raised(error, None)


def _outcome_difference(spec: Spec, case: Case, expected: Outcome, came: Outcome) -> Difference | None:
    return outcome_difference(expected, came, spec.reading_leaf, spec.reading, case.tolerance)


def outcome_difference(
    expected: Outcome,
    came: Outcome,
    telling: int | None = 0,
    reading: Reading | None = None,
    tolerance: float | None = None,
) -> Difference | None:
    """Compare two outcomes; an exception is right where one of its type is owed. The rest is as in ``difference``."""
    if isinstance(expected, Raised):
        if isinstance(came, Raised) and expected.types[0] in came.types:
            return None
        return Difference("structure", expected, came)
    if isinstance(came, Returned) and isinstance(expected, Returned):
        return difference(expected.value, came.value, telling, reading, tolerance)
    return Difference("structure", expected, came)


def difference(
    wanted: Any,
    came: Any,
    telling: int | None = 0,
    reading: Reading | None = None,
    tolerance: float | None = None,
) -> Difference | None:
    """Compare two values: the structure first, then over all leaves shape, dtype, device and values, in that order.

    Where several leaves differ in one aspect, the leaf number ``telling`` is reported if it is among them, else the first.
    That leaf, or every leaf for ``None``, is what ``reading`` is about: an additive mask is compared exactly, a weight of 0
    has to be 0.
    """
    if type(wanted) is Tensor and type(came) is Tensor and wanted.dtype == came.dtype and torch.equal(wanted, came):
        return None  # as most are, and this is the quick way to see it
    leaves: list[tuple[Any, Any, str]] = []
    if not _same_structure(wanted, came, leaves):
        return Difference("structure", wanted, came)
    pairs = [(one, other) for one, other, _ in leaves]
    for aspect in ASPECTS[1:]:
        different = [
            place
            for place, (one, other) in enumerate(pairs)
            if _differ(aspect, one, other, reading if telling in (place, None) else None, tolerance)
        ]
        if different:
            place = telling if telling in different else different[0]
            return Difference(aspect, *pairs[place], place, len(pairs), leaves[place][2])
    return None


def _same_structure(wanted: Any, came: Any, leaves: list[tuple[Any, Any, str]], name: str = "") -> bool:
    """Walk through two values side by side; collect pairs of leaves, each with the field or key that it stands under."""
    if isinstance(wanted, Tensor):
        leaves.append((wanted, came, name))
        return isinstance(came, Tensor) or (isinstance(came, Unfit) and came.shape is not None)
    if isinstance(wanted, tuple) and hasattr(wanted, "_fields"):
        if getattr(came, "_fields", None) != wanted._fields or type(came).__name__ != type(wanted).__name__:
            return False
    elif type(wanted) is not type(came):
        return False
    if isinstance(wanted, tuple | list):
        names = getattr(wanted, "_fields", (name,) * len(wanted))
        return len(wanted) == len(came) and all(
            _same_structure(one, other, leaves, field) for one, other, field in zip(wanted, came, names, strict=True)
        )
    if isinstance(wanted, dict):
        return wanted.keys() == came.keys() and all(
            _same_structure(wanted[key], came[key], leaves, str(key)) for key in wanted
        )
    leaves.append((wanted, came, name))
    return True


def _differ(aspect: str, wanted: Any, came: Any, reading: Reading | None, tolerance: float | None) -> bool:
    if not isinstance(wanted, Tensor):
        return aspect == "values" and not (wanted == came or (wanted != wanted and came != came))
    if aspect == "shape":
        return tuple(wanted.shape) != tuple(came.shape)
    if aspect == "dtype":
        return _dtype(wanted) != _dtype(came)
    if aspect == "device":
        return isinstance(came, Unfit) and came.device != "cpu"
    return isinstance(came, Unfit) or bool(_unequal(wanted, came, reading, tolerance).any())


def _dtype(value: Any) -> str:
    return str(value.dtype).removeprefix("torch.")


def _unequal(wanted: Tensor, came: Tensor, reading: Reading | None = None, tolerance: float | None = None) -> Tensor:
    """Return, cell by cell, where two tensors of one shape and dtype differ; NaN equals NaN, -0.0 equals 0.0."""
    if not wanted.dtype.is_floating_point:
        return wanted != came
    if reading == "additive":
        return (wanted != came) & ~(wanted.isnan() & came.isnan())
    tolerance = max(TOLERANCE[wanted.dtype], tolerance or 0.0)
    apart = ~torch.isclose(came, wanted, rtol=tolerance, atol=tolerance, equal_nan=True)
    return apart | ((wanted == 0) & (came != 0)) if reading == "weights" else apart


def _broken(exam: Examination, answer: Answer) -> Measured | None:
    """Return the first broken property; a property that was not measured although it should have been is broken."""
    for case, outcome in zip(exam.cases, answer.outcomes, strict=True):
        if isinstance(outcome, Returned) and outcome.changed is not None:
            detail = f"input number {outcome.changed} was changed in place"
            return Measured("inputs unchanged", _with_names(exam.spec, case, detail))
    measured = {found.kind: found for found in answer.measured or () if isinstance(found, Measured)}
    for wanted in exam.spec.properties:
        found = measured.get(wanted.kind, Measured(wanted.kind, "it could not be measured"))
        if found.broken is not None:
            return found
        if wanted.kind == "gradients":
            fault = _gradient_fault(exam.gradients, found.gradients)
            if fault is not None:
                return Measured(wanted.kind, fault)
    return None


def _gradient_fault(wanted: Any, came: Any) -> str | None:
    if difference(wanted, came) is None:
        return None
    tensors = [leaf for leaf in runner.leaves(came) if isinstance(leaf, Tensor)]
    if any(not bool(tensor.isfinite().all()) for tensor in tensors):
        return "the gradients hold NaN or infinity"
    return "the gradients are not those of this function"


# --- recognising -----------------------------------------------------------------------------------------------------


def _named(exam: Examination, answer: Answer, verdict: Verdict) -> Verdict:
    """Add the misconception whose own implementation gives this very answer."""
    outcomes = [observed(exam.spec, case, outcome) for case, outcome in zip(exam.cases, answer.outcomes, strict=True)]
    for known in exam.misconceptions:
        if _is(exam, known, answer, outcomes):
            return replace(verdict, misconception=known.misconception.name, advice=known.misconception.advice)
    return verdict


def _is(exam: Examination, known: Known, answer: Answer, outcomes: Sequence[Outcome]) -> bool:
    """Tell whether an answer agrees with a misconception wherever that one says anything, and in an error of its.

    Where an implementation raises it says nothing, unless raising is all that is wrong with it: then an answer is the
    same if it raises there too, the same type, and with the same words unless another error is due.

    Args:
        outcomes: those of the answer, as observed.
    """
    wrong_value, raises_alike = False, []
    for place, (case, came) in enumerate(zip(exam.cases, outcomes, strict=True)):
        its, wrong = known.outcome(place)
        if isinstance(its, Raised):
            if wrong:
                raises_alike.append(_raises_alike(exam.expected[place], its, answer.outcomes[place]))
            continue
        if not _alike(observed(exam.spec, case, its), came, case.tolerance):
            return False
        wrong_value = wrong_value or wrong
    broken = _broken_kind(exam, answer)
    if known.broken != broken:
        return False
    return wrong_value or broken is not None or (bool(raises_alike) and all(raises_alike))


def _alike(one: Outcome, other: Outcome, tolerance: float | None) -> bool:
    """Tell whether two outcomes are the same, though not to the bit."""
    if isinstance(one, Returned) and isinstance(other, Returned):
        # Most are told apart without looking for what it is that differs.
        first, second = one.value, other.value
        if type(first) is Tensor and type(second) is Tensor:
            if first.dtype != second.dtype or first.shape != second.shape:
                return False
            if not first.is_floating_point():
                return torch.equal(first, second)
    return outcome_difference(one, other, tolerance=tolerance) is None


def _raises_alike(expected: Outcome, known: Raised, outcome: Outcome) -> bool:
    """Tell whether an answer raises what a misconception raises: where another error is due, its words are free."""
    if not isinstance(outcome, Raised):
        return False
    if isinstance(expected, Raised):
        return outcome.types[0] == known.types[0]
    return replace(outcome, line=known.line) == known


def _broken_kind(exam: Examination, answer: Answer) -> str | None:
    found = None if answer.measured is None else _broken(exam, answer)
    return None if found is None else found.kind


# --- sentences -------------------------------------------------------------------------------------------------------

_PROPERTY_SENTENCES = {
    "inputs unchanged": "The values are right, but {detail}: return something new and leave the caller's tensors alone.",
    "device": "The values are right on the CPU, but {detail}: give every new tensor its `device=`.",
    "no loop": "The values are right, but the work grows with the sizes ({detail}): let one tensor operation do all cells.",
    "view": "The values are right, but {detail}: an expanded view shows one row many times without storing it.",
    "without": "The values are right, but {detail}, which this exercise is to replace: write it with softmax.",
    "gradients": "The values are right, but the way back is not: {detail}.",
    "vmap": "The values are right, but {detail}.",
}


def _explain_case(exam: Examination, place: int, difference: Difference, outcome: Outcome) -> dict[str, Any]:
    """Return the fields of a verdict that tell what went wrong in one case."""
    spec, case = exam.spec, exam.cases[place]
    told: dict[str, Any] = {"status": "wrong", "aspect": difference.aspect, "call": _call_text(spec, case)}
    told["wanted"], told["came"] = value_text(difference.wanted), value_text(difference.came)
    where = f"In the case “{case.about}”"
    if difference.name:
        where += f", in `{difference.name}`,"
    elif difference.leaves > 1:
        where += f", in result {difference.leaf + 1} of {difference.leaves},"
    if isinstance(outcome, Raised | Unwritten):
        kind = outcome.types[0] if isinstance(outcome, Raised) else "NotImplementedError"
        message = f": {outcome.message.rstrip('.')}" if isinstance(outcome, Raised) and outcome.message else ""
        line = f" in line {outcome.line}" if isinstance(outcome, Raised) and outcome.line else ""
        if isinstance(difference.wanted, Raised):
            owed = value_text(difference.wanted)
            return {**told, "reason": f"{where} it raised {kind}{message}{line}, and {owed} was wanted."}
        return {**told, "status": "raised", "reason": f"{where} it raised {kind}{line}{message}."}
    if isinstance(difference.wanted, Raised):
        return {**told, "reason": f"{where} {value_text(difference.wanted)} was wanted, and it returned a value."}
    if isinstance(difference.came, Unfit):
        return {
            **told,
            "reason": f"{where} it returned {difference.came.type}, which does not count: {difference.came.why}.",
        }
    if isinstance(difference.wanted, dict) and isinstance(difference.came, dict):
        return {**told, "reason": f"{where} {_keys_text(difference.wanted, difference.came)}."}
    if difference.aspect == "structure":
        return {
            **told,
            "reason": f"{where} it returned {told['came']}, and {_kind_text(difference.wanted)} was wanted.",
        }
    if difference.aspect in ("shape", "dtype"):
        one, other = (_aspect_text(difference.aspect, leaf) for leaf in (difference.came, difference.wanted))
        return {**told, "reason": f"{where} the {difference.aspect} is {one}, and {other} was wanted."}
    return {**told, **_explain_values(spec, difference, where, case.tolerance)}


def _explain_values(spec: Spec, difference: Difference, where: str, tolerance: float | None) -> dict[str, Any]:
    wanted, came = difference.wanted, difference.came
    if not isinstance(wanted, Tensor):
        return {"reason": f"{where} it returned {value_text(came)}, and {value_text(wanted)} was wanted."}
    reading = spec.reading if spec.reading_leaf in (difference.leaf, None) else None
    unequal = _unequal(wanted, came, reading, tolerance)
    reason = f"{where} {int(unequal.sum())} of {unequal.numel()} cells differ"
    if not came.isfinite().all() and wanted.isfinite().all():
        reason += ", and some are NaN or infinite"
    if wanted.numel() > SHOWN_CELLS:
        first = tuple(unequal.nonzero()[0].tolist())
        reason += (
            f"; the first is {list(first)}: {_numbers(came[first].item())} and not {_numbers(wanted[first].item())}"
        )
    if reading is None:
        return {"reason": reason + "."}
    seen = [reads(reading, tensor) for tensor in (wanted, came)]
    leaking, missing = int((seen[1] & ~seen[0]).sum()), int((seen[0] & ~seen[1]).sum())
    if not leaking and not missing:
        return {"reason": reason + "."}
    reason += f": {leaking} leaking (seen but forbidden), {missing} missing (allowed but not seen)."
    # Where True is a hidden cell, the words say which is which.
    said = {"padding": ("taken for a word", "taken for padding"), "ignore": ("seen (False)", "hidden (True)")}
    words = ("seen", "hidden") if wanted.is_floating_point() else said.get(reading, ("seen", "hidden"))
    grids = Grids(*_slices(*seen), *words) if wanted.dim() else None
    return {"reason": reason, "leaking": leaking, "missing": missing, "grids": grids}


def reads(reading: str | None, value: Tensor) -> Tensor:
    """Return which cells a result lets be seen, bool, ``True`` = seen."""
    if reading == "weights":
        return value.nan_to_num(1.0) > 0
    if reading in ("padding", "ignore") and not value.is_floating_point():
        return to_allowed(value, "ignore")
    if reading in ("additive", "ignore", "padding"):  # −1e9 is no finfo.min and wrong, but it does hide
        return value.nan_to_num(-math.inf) > -1e3
    return to_allowed(value, reading or "allowed")


def _slices(wanted: Tensor, came: Tensor) -> tuple[list[list[bool]], list[list[bool]]]:
    """Cut out of two masks the part to draw: the queries and keys of the first sentence and head that differ."""
    if wanted.dim() == 1:
        wanted, came = wanted[None], came[None]
    while wanted.dim() > 2:
        first = int((wanted != came).flatten(1).any(1).nonzero()[0])
        wanted, came = wanted[first], came[first]
    return wanted.tolist(), came.tolist()


def _property_sentence(spec: Spec, case: Case, broken: Measured) -> str:
    detail = broken.broken or ""
    if detail.startswith(runner.RAISED):
        return f"The values are right, but when it was called once more, to look at “{broken.kind}”, {detail}"
    return _PROPERTY_SENTENCES[broken.kind].format(detail=_with_names(spec, case, detail))


def _with_names(spec: Spec, case: Case, detail: str) -> str:
    """Put the argument's name where a property speaks of its number."""
    names = [*_argument_names(spec, case), *case.keywords, *INDEX_NAMES]

    def named(found: re.Match[str]) -> str:
        place = int(found[1][:9]) - 1
        return f"`{names[place]}`" if 0 <= place < len(names) else found[0]

    return re.sub(r"input number (\d+)", named, detail)


def _argument_names(spec: Spec, case: Case) -> list[str]:
    """Name the arguments that a case gives in order; those of ``*mask_mods`` are ``mask_mods[0]``, ``mask_mods[1]`` …"""
    parameters = list(inspect.signature(spec.oracle).parameters.values())
    if parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return [f"{parameters[0].name}[{place}]" for place in range(len(case.arguments))]
    return [parameter.name for parameter in parameters[: len(case.arguments)]]


def _call_text(spec: Spec, case: Case) -> str:
    names = _argument_names(spec, case)
    parts = [
        value_text(value) if "[" in name else f"{name}={value_text(value)}"
        for name, value in zip(names, case.arguments, strict=True)
    ]
    parts += [f"{name}={value_text(value)}" for name, value in case.keywords.items()]
    return f"{spec.function}({', '.join(parts)}){_asked_text(case)}"


def _asked_text(case: Case) -> str:
    """Say which cells a mask function is asked about: how many along each axis, and from where on if not from 0."""
    if not case.indices:
        return ""
    starts = [
        f"{name} from {int(index.min())}"
        for name, index in zip(INDEX_NAMES, case.indices, strict=True)
        if index.numel() and index.min() > 0
    ]
    shape = list(torch.broadcast_shapes(*(index.shape for index in case.indices)))
    return f", asked for {', '.join([str(shape), *starts])}"


def value_text(value: Any, cells: int = SHOWN_CELLS) -> str:
    """Write a value in a few words: small tensors in full, large ones by dtype and shape, at most 1,000 characters."""
    text = _value_text(value, cells)
    return text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …"


def _value_text(value: Any, cells: int) -> str:
    if isinstance(value, Tensor):
        shape = f"{_dtype(value)}{list(value.shape)}"
        return f"{shape} {_numbers(value.tolist())}" if 0 < value.numel() <= cells else shape
    if isinstance(value, Returned):
        return value_text(value.value)
    if isinstance(value, Raised):
        return f"{_article(value.types[0])} {value.types[0]}"
    if isinstance(value, Unfit):
        return f"{value.type}{list(value.shape) if value.shape is not None else ''}"
    if isinstance(value, Unwritten):
        return "nothing (not written yet)"
    if isinstance(value, FunctionArgument):
        bound = value.tensors if value.function in runner.MASK_FUNCTIONS else ()
        shown = [value_text(tensor) if tensor.dim() else str(tensor.item()) for tensor in bound]
        return f"<{' '.join([value.function, *shown])}>"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        inner = ", ".join(f"{field}: {value_text(item, 0)}" for field, item in zip(value._fields, value, strict=True))
        return f"{_article(type(value).__name__)} {type(value).__name__} ({inner})"
    if isinstance(value, dict):
        return "a dict {" + ", ".join(f"{key}: {value_text(item, 0)}" for key, item in value.items()) + "}"
    kinds = {type(item).__name__ for item in value if hasattr(item, "_fields")} if isinstance(value, list) else set()
    if len(kinds) == 1:
        return f"a list of {len(value)} {kinds.pop()}"
    if isinstance(value, tuple | list) and any(isinstance(item, Tensor) for item in value):
        return f"a {type(value).__name__} of {len(value)}: " + ", ".join(value_text(item, 0) for item in value)
    if isinstance(value, torch.dtype):
        return str(value)
    return repr(value)[:200]


def _article(word: str) -> str:
    return "an" if word[:1] in "AEIOUi" else "a"  # an int64, but a uint8


def _numbers(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_numbers(item) for item in value) + "]"
    if isinstance(value, bool | int):
        return str(value)
    if math.isnan(value) or math.isinf(value):
        return str(value)
    return f"{value:.4g}".replace("-0", "0") if value == 0 else f"{value:.4g}"


def _keys_text(wanted: dict, came: dict) -> str:
    """Say in which keys two dicts differ, or that one of their values is of another kind."""
    lacking, more = (
        _key_names(key for key in one if key not in other) for one, other in ((wanted, came), (came, wanted))
    )
    parts = [f"lacks {', '.join(lacking)}"] * bool(lacking) + [f"has {', '.join(more)} besides"] * bool(more)
    if parts:
        return f"the dict {' and '.join(parts)}"
    kinds = [key for key in wanted if not _same_structure(wanted[key], came[key], [])]
    return f"under `{kinds[0]}` stands {value_text(came[kinds[0]])}, and {_kind_text(wanted[kinds[0]])} was wanted"


def _key_names(keys: Iterable[Any]) -> list[str]:
    names = [f"`{str(key)[:40]}`" for key in keys]
    return [*names[:5], f"{len(names) - 5} more"] if len(names) > 5 else names


def _kind_text(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{_article(_dtype(value))} {_dtype(value)} tensor of shape {list(value.shape)}"
    return value_text(value)


def _aspect_text(aspect: str, leaf: Any) -> str:
    return str(list(leaf.shape)) if aspect == "shape" else _dtype(leaf)
