"""The judge: what counts as a difference, in which order, and what a verdict says of it."""

import math
from collections import namedtuple
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook.grading import judge as judging
from workbook.grading.judge import TOLERANCE, Answer, Here, answer, difference, examination, examine, judge, reads
from workbook.grading.runner import Ended, Measured, Raised, Returned, Unfit, Unwritten, fresh, leaves
from workbook.grading.verdict import Grids, Verdict
from workbook.specs import spec, specs
from workbook.topic_files import load_solution

Pair = namedtuple("Pair", "first second")
Other = namedtuple("Other", "first second")
ONE = torch.tensor([1.0, 2.0])


def aspect(wanted: Any, came: Any) -> str | None:
    found = difference(wanted, came)
    return None if found is None else found.aspect


def answers(name: str, function: Callable[..., Any], seed: int = 0) -> Verdict:
    return examine(spec(name), seed, Here(function))


# --- what differs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("came", "wanted_aspect"),
    [
        (ONE.tolist(), "structure"),
        (None, "structure"),
        (1.0, "structure"),
        ((ONE,), "structure"),
        (Unfit("why", "object"), "structure"),
        (torch.tensor([[1, 2]]), "shape"),  # the dtype is wrong too
        (torch.tensor(1.0), "shape"),
        (Unfit("sparse", "Tensor", (1, 2), "int64", "meta"), "shape"),
        (torch.tensor([7, 8]), "dtype"),  # the values are wrong too
        (torch.tensor([1.0, 2.0], dtype=torch.float64), "dtype"),
        (Unfit("meta", "Tensor", (2,), "float64", "meta"), "dtype"),
        (Unfit("meta", "Tensor", (2,), "float32", "meta"), "device"),
        (Unfit("sparse", "Tensor", (2,), "float32", "cpu"), "values"),
        (torch.tensor([1.0, 2.1]), "values"),
        (ONE.clone(), None),
    ],
)
def test_structure_comes_before_shape_before_dtype_before_device_before_values(
    came: Any, wanted_aspect: str | None
) -> None:
    assert aspect(ONE, came) == wanted_aspect


@pytest.mark.parametrize(
    ("wanted", "came"),
    [
        ((ONE, ONE), [ONE, ONE]),
        ([ONE], (ONE,)),
        ((ONE, ONE), (ONE,)),
        ({"a": ONE}, {"b": ONE}),
        ({"a": ONE}, {"a": ONE, "b": ONE}),
        (Pair(ONE, ONE), (ONE, ONE)),
        ((ONE, ONE), Pair(ONE, ONE)),
        (Pair(ONE, ONE), Other(ONE, ONE)),
        (1, 1.0),
        (1, True),
        (None, False),
        (ONE, 1.0),
        ("text", None),
    ],
)
def test_another_structure_is_no_answer(wanted: Any, came: Any) -> None:
    assert aspect(wanted, came) == "structure"


@pytest.mark.parametrize(
    ("wanted", "came", "wanted_aspect"),
    [
        (3, 3, None),
        (3, 4, "values"),
        (True, False, "values"),
        ("right", "right", None),
        ("right", "left", "values"),
        (None, None, None),
        (math.nan, math.nan, None),
        (math.nan, 0.0, "values"),
        (torch.float16, torch.float16, None),
        (torch.float16, torch.float32, "values"),
    ],
)
def test_plain_values_are_compared_exactly(wanted: Any, came: Any, wanted_aspect: str | None) -> None:
    assert aspect(wanted, came) == wanted_aspect


@given(st.integers(0, 3), st.integers(0, 2**31))
def test_the_worst_leaf_decides_the_aspect(leaf: int, seed: int) -> None:
    """A wrong shape in the last of four results is told before wrong values in the first."""
    wanted = list(torch.randn(4, 2, 3, generator=torch.Generator().manual_seed(seed)))
    came = [tensor + 1 for tensor in wanted]
    came[leaf] = came[leaf][:, :2]
    found = difference(wanted, came)
    assert found is not None
    assert (found.aspect, found.leaf, found.leaves) == ("shape", leaf, 4)


def test_among_equal_differences_the_telling_leaf_is_reported() -> None:
    found = difference((ONE, ONE), (ONE + 1, ONE + 2), telling=1)
    assert found is not None
    assert found.leaf == 1
    found = difference((ONE, ONE), (ONE + 1, ONE), telling=1)
    assert found is not None
    assert found.leaf == 0


def test_a_field_or_key_is_told_by_its_name_and_every_leaf_may_be_a_mask() -> None:
    Pair = namedtuple("Pair", "encoder decoder")
    zeros = torch.zeros(2)
    for wanted, came in (
        (Pair(zeros, zeros), Pair(zeros, zeros - 1e-6)),
        ({"encoder": zeros, "decoder": zeros}, {"encoder": zeros, "decoder": zeros - 1e-6}),
    ):
        assert difference(wanted, came, telling=0, reading="additive") is None  # the second leaf within the tolerance
        found = difference(wanted, came, telling=None, reading="additive")
        assert found is not None
        assert (found.aspect, found.leaf, found.name) == ("values", 1, "decoder")


def test_a_dict_is_told_by_the_keys_that_differ() -> None:
    masks = spec("multihead.nn_transformer_masks")

    def said(change: Callable[[dict], dict]) -> str:
        return examine(masks, 0, Here(lambda *arguments: change(masks.oracle(*arguments)))).reason

    assert "the dict lacks `tgt_mask`." in said(lambda found: {k: v for k, v in found.items() if k != "tgt_mask"})
    assert "the dict has `src_mask` besides." in said(lambda found: {**found, "src_mask": found["tgt_mask"]})
    assert "under `tgt_mask` stands None, and a bool tensor of shape" in said(lambda found: {**found, "tgt_mask": None})


def test_an_argument_that_was_changed_is_told_by_its_name() -> None:
    attention = spec("multihead.multi_head_attention")
    solution = load_solution("multihead").multi_head_attention

    def spoils_a_weight(query: Tensor, key: Tensor, value: Tensor, weights: Any, *rest: Any, **masks: Any) -> Any:
        result = solution(query, key, value, weights, *rest, **masks)
        weights.in_proj_bias.add_(1)
        return result

    def spoils_a_keyword(*arguments: Any, key_padding_mask: Any = None, attn_mask: Any = None) -> Any:
        result = solution(*arguments, key_padding_mask=key_padding_mask, attn_mask=attn_mask)
        if key_padding_mask is not None:
            key_padding_mask.logical_not_()
        return result

    def spoils_what_it_was_given(function: Any, inputs: Tensor) -> Any:
        result = load_solution("causal").dependency_matrix(function, inputs)
        inputs.add_(1)
        return result

    assert "`weights` was changed in place" in examine(attention, 0, Here(spoils_a_weight)).reason
    assert "`key_padding_mask` was changed in place" in examine(attention, 0, Here(spoils_a_keyword)).reason
    found = examine(spec("causal.dependency_matrix"), 0, Here(spoils_what_it_was_given))
    assert "`inputs` was changed in place" in found.reason


# --- exactness and tolerance -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int32, torch.int64])
def test_masks_and_integers_are_compared_exactly(dtype: torch.dtype) -> None:
    wanted = torch.tensor([[1, 0, 1]]).to(dtype)
    assert aspect(wanted, wanted.clone()) is None
    for cell in range(3):
        came = wanted.clone()
        came[0, cell] = not came[0, cell]
        assert aspect(wanted, came) == "values"


def test_large_integers_differ_by_one() -> None:
    assert aspect(torch.tensor([2**60]), torch.tensor([2**60 + 1])) == "values"


def test_the_tolerances_are_those_the_course_states() -> None:
    assert {torch.float64: 2e-5, torch.float32: 2e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2} == TOLERANCE


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
@pytest.mark.parametrize("size", [0.0, 1.0, 50.0])
def test_floats_may_differ_by_the_tolerance_of_their_dtype(dtype: torch.dtype, size: float) -> None:
    wanted = torch.full((3,), size, dtype=dtype)
    room = TOLERANCE[dtype] * (1 + size)
    inside, outside = ((wanted.double() + sign * share * room).to(dtype) for sign, share in ((1, 0.4), (-1, 2.5)))
    assert aspect(wanted, inside) is None
    assert aspect(wanted, outside) == "values"


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_nan_equals_nan_and_minus_zero_equals_zero(dtype: torch.dtype) -> None:
    special = torch.tensor([math.nan, 0.0, math.inf, -math.inf], dtype=dtype)
    assert aspect(special, torch.tensor([math.nan, -0.0, math.inf, -math.inf], dtype=dtype)) is None
    for other in ([0.0, 0.0, math.inf, -math.inf], [math.nan, math.nan, math.inf, -math.inf]):
        assert aspect(special, torch.tensor(other, dtype=dtype)) == "values"
    assert aspect(special, torch.tensor([math.nan, 0.0, -math.inf, -math.inf], dtype=dtype)) == "values"


@pytest.mark.parametrize("dtype", list(TOLERANCE), ids=str)
def test_minus_infinity_is_not_the_smallest_number(dtype: torch.dtype) -> None:
    lowest = torch.full((2,), torch.finfo(dtype).min, dtype=dtype)
    assert aspect(lowest, torch.full_like(lowest, -math.inf)) == "values"
    assert aspect(torch.full_like(lowest, -math.inf), lowest) == "values"


def test_empty_tensors_are_equal_if_their_shapes_are() -> None:
    assert aspect(torch.zeros(2, 0), torch.zeros(2, 0)) is None
    assert aspect(torch.zeros(2, 0), torch.zeros(0, 2)) == "shape"


# --- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "wanted_aspect", "words"),
    [
        (lambda ids, pad: (ids == pad).tolist(), "structure", "a bool tensor of shape [2, 4] was wanted"),
        (lambda ids, pad: None, "structure", "it returned None"),
        (lambda ids, pad: ((ids == pad), 1), "structure", "a tuple of 2"),
        (lambda ids, pad: (ids == pad)[None].long(), "shape", "the shape is [1, 2, 4], and [2, 4] was wanted"),
        (lambda ids, pad: (ids != pad).double(), "dtype", "the dtype is float64, and bool was wanted"),
        (lambda ids, pad: (ids == pad).to("meta"), "device", "on the meta device"),
        (lambda ids, pad: (ids == pad).to_sparse(), "values", "it is not a dense tensor"),
        (lambda ids, pad: ids == 0, "values", "leaking"),
    ],
)
def test_a_wrong_answer_is_told_by_what_differs_first(
    function: Callable[..., Any], wanted_aspect: str, words: str
) -> None:
    verdict = answers("padding.padding_mask", function)
    assert (verdict.status, verdict.points, verdict.aspect) == ("wrong", 0, wanted_aspect)
    assert words in verdict.reason
    assert verdict.call is not None
    assert verdict.call.startswith("padding_mask(input_ids=int64[")
    assert verdict.wanted is not None
    assert verdict.came is not None
    assert 0 < verdict.failed_cases <= verdict.cases


def test_the_first_failing_case_is_shown_and_all_are_counted() -> None:
    first = examination("padding.padding_mask", 0).cases[0].arguments[0]
    verdict = answers("padding.padding_mask", lambda ids, pad: ids == (pad if ids.equal(first) else pad + 1))
    assert examination("padding.padding_mask", 0).cases[1].about in verdict.reason
    assert 1 <= verdict.failed_cases < verdict.cases == len(examination("padding.padding_mask", 0).cases)


def test_leaking_and_missing_cells_are_counted_and_drawn() -> None:
    """In an ignore mask a True too few leaks, and a True too many hides a word."""

    def off(ids: Tensor, pad: int) -> Tensor:
        mask = ids == pad
        mask[0, 3], mask[1, 0], mask[1, 1] = False, True, True  # sentence A's padding is seen, two words of B are not
        return mask

    verdict = answers("padding.padding_mask", lambda ids, pad: off(ids, pad) if ids.shape == (2, 4) else ids == pad)
    assert (verdict.leaking, verdict.missing) == (1, 2)
    assert "1 leaking (seen but forbidden), 2 missing (allowed but not seen)" in verdict.reason
    assert verdict.grids == Grids(
        wanted=[[True, True, True, False], [True] * 4],
        came=[[True] * 4, [False, False, True, True]],
        shown="taken for a word",
        hidden="taken for padding",
    )


def test_of_four_axes_the_first_sentence_and_head_that_differ_are_drawn() -> None:
    def off(attention_mask: Tensor, num_heads: int, query_length: int) -> Tensor:
        batch, key_length = attention_mask.shape
        allowed = attention_mask.bool()[:, None, None].expand(batch, num_heads, query_length, key_length).clone()
        if batch == 2 and num_heads == 2:
            allowed[1, 1, 2, 0] = False
        return allowed

    verdict = answers("padding.expand_padding_mask", off)
    assert (verdict.leaking, verdict.missing) == (0, 1)
    assert verdict.grids is not None
    assert (verdict.grids.shown, verdict.grids.hidden) == ("seen", "hidden")
    assert verdict.grids.wanted == [[True] * 4] * 4
    assert verdict.grids.came == [[True] * 4, [True] * 4, [False, True, True, True], [True] * 4]


@pytest.mark.parametrize(
    ("reading", "value", "seen"),
    [
        ("allowed", [True, False], [True, False]),
        ("ignore", [True, False], [False, True]),
        ("attention_mask", [1, 0], [True, False]),
        ("additive", [0.0, -1e30], [True, False]),
        ("additive", [0.0, -100.0], [True, True]),
        ("additive", [-0.0, -3.4e38], [True, False]),
        ("additive", [5.0, -math.inf], [True, False]),
        ("weights", [0.2, 0.0], [True, False]),
        ("weights", [math.nan, 0.0], [True, False]),
    ],
)
def test_each_kind_of_mask_is_read_in_its_own_way(reading: str, value: list[Any], seen: list[bool]) -> None:
    assert reads(reading, torch.tensor(value)).tolist() == seen


def test_attention_is_read_by_its_weights() -> None:
    def unmasked(query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor) -> Any:
        weights = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1)
        return weights @ value, weights

    verdict = answers("padding.padded_attention", unmasked)
    assert "in result 2 of 2" in verdict.reason
    assert verdict.leaking > 0
    assert verdict.missing == 0


# --- what an answer can be -------------------------------------------------------------------------------------------


def given_answer(name: str, outcome: Any, **more: Any) -> Verdict:
    cases = len(examination(name, 0).cases)
    return judge(spec(name), Answer(name, 0, (outcome,) * cases, **more))


def test_a_stub_is_not_attempted() -> None:
    verdict = given_answer("padding.padding_mask", Unwritten())
    assert (verdict.status, verdict.points, verdict.max_points) == ("not attempted", 0, 1)


def test_a_function_that_raises_is_told_with_type_message_and_line() -> None:
    verdict = given_answer("padding.padding_mask", Raised(("KeyError", "LookupError", "Exception"), "'pad'", 12))
    assert (verdict.status, verdict.points) == ("raised", 0)
    assert "KeyError in line 12: 'pad'" in verdict.reason


def test_a_function_that_is_written_for_some_inputs_only_is_an_attempt() -> None:
    name = "padding.padding_mask"
    exam = examination(name, 0)
    outcomes = (*answer(exam, Here(spec(name).oracle)).outcomes[:-1], Unwritten())
    verdict = judge(spec(name), Answer(name, 0, outcomes))
    assert (verdict.status, verdict.points, verdict.failed_cases) == ("raised", 0, 1)


@pytest.mark.parametrize(("timed_out", "status"), [(True, "timed out"), (False, "raised")])
def test_a_process_that_ended_is_told_with_its_reason(timed_out: bool, status: str) -> None:
    verdict = given_answer("padding.padding_mask", Ended("It was stopped.", timed_out))
    assert (verdict.status, verdict.points, verdict.reason) == (status, 0, "It was stopped.")


LENGTHS = "padding.attention_mask_from_lengths"


class TooLong(ValueError):
    """A learner's own exception is a ValueError all the same."""


def lengths_mask(error: type[BaseException] | None) -> Callable[..., Any]:
    def function(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
        try:
            mask: Tensor = load_solution("padding").attention_mask_from_lengths(lengths, max_length, padding_side)
        except ValueError:
            if error is None:
                return torch.zeros(len(lengths), max_length or 0, dtype=torch.long)
            raise error("no") from None
        return mask

    return function


@pytest.mark.parametrize("error", [ValueError, TooLong, UnicodeError])
def test_an_owed_error_may_be_a_subclass(error: type[BaseException]) -> None:
    assert answers(LENGTHS, lengths_mask(error)).passed


@pytest.mark.parametrize("error", [TypeError, Exception, AssertionError, KeyError, NotImplementedError, SystemExit])
def test_another_error_than_the_owed_one_is_wrong(error: type[BaseException]) -> None:
    verdict = answers(LENGTHS, lengths_mask(error))
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert f"it raised {error.__name__}" in verdict.reason
    assert "a ValueError was wanted" in verdict.reason


def test_a_value_where_an_error_is_owed_is_wrong() -> None:
    verdict = answers(LENGTHS, lengths_mask(None))
    assert (verdict.status, verdict.points) == ("wrong", 0)
    assert "a ValueError was wanted, and it returned a value" in verdict.reason


@pytest.mark.parametrize("error", [ValueError, ArithmeticError, SystemExit, GeneratorExit])
def test_an_error_where_a_value_is_owed_is_told_as_raised(error: type[BaseException]) -> None:
    def raises(*arguments: Any) -> Any:
        raise error("no")

    verdict = answers("padding.padding_mask", raises)
    assert (verdict.status, verdict.points) == ("raised", 0)
    assert error.__name__ in verdict.reason


# --- properties ------------------------------------------------------------------------------------------------------


def right(name: str) -> Answer:
    solution = getattr(load_solution(spec(name).topic), spec(name).function)
    return answer(examination(name, 0), Here(solution))


@pytest.mark.parametrize("name", [spec.name for spec in specs()])
def test_every_owed_property_has_to_be_measured(name: str) -> None:
    """What a child leaves out is broken: silence takes points and never gives them."""
    whole = right(name)
    assert judge(spec(name), whole).passed
    assert whole.measured is not None
    for place, left_out in enumerate(whole.measured):
        assert isinstance(left_out, Measured)
        verdict = judge(spec(name), replace(whole, measured=whole.measured[:place] + whole.measured[place + 1 :]))
        assert (verdict.status, verdict.points, verdict.aspect) == ("property broken", 0, left_out.kind)
    for nothing in ((), None):
        assert judge(spec(name), replace(whole, measured=nothing)).status == "property broken"


@pytest.mark.parametrize("name", [spec.name for spec in specs()])
def test_the_first_broken_property_in_the_specifications_order_is_told(name: str) -> None:
    whole = right(name)
    assert whole.measured is not None
    kinds = [found.kind for found in whole.measured if isinstance(found, Measured)]
    broken = tuple(Measured(kind, f"{kind} is off") for kind in reversed(kinds))
    verdict = judge(spec(name), replace(whole, measured=broken))
    assert (verdict.status, verdict.aspect) == ("property broken", spec(name).properties[0].kind)
    assert f"{spec(name).properties[0].kind} is off" in verdict.reason


def test_right_properties_do_not_mend_wrong_values() -> None:
    name = "padding.padding_mask"
    wrong = answer(examination(name, 0), Here(lambda ids, pad: ids != pad))
    assert wrong.measured is None
    assert judge(spec(name), replace(wrong, measured=right(name).measured)).status == "wrong"


@pytest.mark.parametrize(
    "gradients",
    [None, [], [torch.zeros(2, 3, 4, 5)], [torch.full((2, 3, 4, 5), math.nan)], [Unfit("sparse", "Tensor")], "all"],
)
def test_gradients_that_a_child_sends_are_judged_here(gradients: Any) -> None:
    whole = right("padding.masked_softmax")
    assert whole.measured is not None
    forged = tuple(
        replace(found, gradients=gradients) if isinstance(found, Measured) and found.kind == "gradients" else found
        for found in whole.measured
    )
    verdict = judge(spec("padding.masked_softmax"), replace(whole, measured=forged))
    assert (verdict.status, verdict.aspect) == ("property broken", "gradients")


# --- purity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [spec.name for spec in specs()])
def test_the_same_answer_gives_the_same_verdict_and_stays_as_it_was(name: str) -> None:
    for known in spec(name).misconceptions:
        its_answer = answer(examination(name, 3), Here(known.implementations[0]))
        before = fresh([outcome.value for outcome in its_answer.outcomes if isinstance(outcome, Returned)])
        first, second = (judge(spec(name), its_answer) for _ in range(2))
        judging._examination.cache_clear()
        assert first == second == judge(spec(name), its_answer)
        after = [outcome.value for outcome in its_answer.outcomes if isinstance(outcome, Returned)]
        for one, other in zip(leaves(before), leaves(after), strict=True):
            assert difference(one, other) is None


@pytest.mark.parametrize("name", [spec.name for spec in specs()])
def test_grading_leaves_the_inputs_as_they_were_drawn(name: str) -> None:
    """An answer that overwrites all it is given spoils neither the next case nor the next submission."""
    found = spec(name)

    def vandal(*arguments: Any, **keywords: Any) -> Any:
        for leaf in leaves((arguments, keywords)):
            if isinstance(leaf, Tensor):
                leaf.zero_()
        raise RuntimeError("done")

    exam = examination(name, 5)
    before = fresh([case.call for case in exam.cases])
    examine(found, 5, Here(vandal))
    for one, other in zip(leaves(before), leaves([case.call for case in exam.cases]), strict=True):
        assert difference(one, other) is None


@pytest.mark.parametrize("name", [spec.name for spec in specs()])
def test_a_seed_draws_the_same_cases_each_time_and_another_seed_others(name: str) -> None:
    def drawn(seed: int) -> list[Any]:
        exam = judging.Examination(spec(name), seed)
        return leaves([case.call for case in (*exam.cases, exam.small, exam.large)])

    def same(one: list[Any], other: list[Any]) -> bool:
        return len(one) == len(other) and all(difference(a, b) is None for a, b in zip(one, other, strict=True))

    assert same(drawn(1), drawn(1))
    assert not all(same(drawn(1), drawn(seed)) for seed in range(2, 6))


def test_a_verdict_is_a_value_and_travels_as_plain_json() -> None:
    import json

    verdict = answers("padding.padding_mask", lambda ids, pad: ids != pad)
    assert json.loads(json.dumps(verdict.to_json()))["misconception"] == "inverted"
    with pytest.raises(FrozenInstanceError):
        verdict.points = 3  # type: ignore[misc]


#: Almost the most negative number of each format.
FAR = {dtype: torch.finfo(dtype).min * 0.99 for dtype in (torch.float16, torch.bfloat16, torch.float32)}


@pytest.mark.parametrize(
    ("name", "function", "aspect"),
    [
        ("padding.masked_softmax", lambda s, a: s.masked_fill(~a, -math.inf).softmax(-1).clamp(min=1e-6), "values"),
        ("padding.additive_mask", lambda a, t: torch.zeros(a.shape, dtype=t).masked_fill(~a, FAR[t]), "values"),
        ("warmup.invert_mask", lambda mask: (~mask).cpu(), "device"),
        ("warmup.invert_mask", lambda mask: mask.logical_not_() if mask.dim() == 2 else ~mask, "inputs unchanged"),
    ],
)
def test_nearly_right_is_wrong(name: str, function: Any, aspect: str) -> None:
    """A forbidden weight is exactly 0, a mask is exact, the inputs stay as they were in every case."""
    verdict = answers(name, function)
    assert (verdict.points, verdict.aspect) == (0, aspect)


def test_an_error_that_speaks_like_the_grader_is_told_as_it_is() -> None:
    calls = []

    def late(mask: Tensor) -> Tensor:
        calls.append(1)
        if len(calls) > len(examination("warmup.invert_mask", 0).cases):
            raise ValueError("input number 99 is odd")
        return ~mask

    verdict = answers("warmup.invert_mask", late)
    assert verdict.status == "property broken"
    assert "it raised ValueError: input number 99 is odd" in verdict.reason


def test_a_first_call_that_fills_a_cache_is_no_loop() -> None:
    cache: dict[int, Tensor] = {}

    def cached(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
        width = int(lengths.max()) if max_length is None else max_length
        if padding_side not in ("right", "left") or bool((lengths < 0).any() | (lengths > width).any()):
            raise ValueError
        if width not in cache:
            cache[width] = torch.arange(width, device=lengths.device)
        position = cache[width] if padding_side == "right" else width - 1 - cache[width]
        return (position < lengths[:, None]).long()

    assert answers("padding.attention_mask_from_lengths", cached).passed


def test_a_call_is_told_so_that_it_can_be_repeated() -> None:
    from workbook.grading.judge import _call_text
    from workbook.specs.specification import Case, FunctionArgument, index_grid

    window = FunctionArgument("window", (torch.tensor(2),))
    padding = FunctionArgument("padding", (torch.tensor([[1, 1, 0]]),))
    b, h, q, k = index_grid(1, 1, 2, 3)
    joined = Case("two rules", (window, padding), indices=(b, h, q + 1, k))
    told = "and_masks(<window 2>, <padding int64[1, 3] [[1, 1, 0]]>), asked for [1, 1, 2, 3], q_idx from 1"
    assert _call_text(spec("modern.and_masks"), joined) == told
    small = examination("capstone.encoder_forward", 0).small
    assert "layers=a list of " in _call_text(spec("capstone.encoder_forward"), small)
    assert "MultiheadWeights, num_heads=" in _call_text(spec("capstone.encoder_forward"), small)
