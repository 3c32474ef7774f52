"""The functions of `converter`: oracle and solution on drawn inputs, and Transformers, live or recorded, as the judge."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook import course, graded
from workbook.exercises import converter as exercises
from workbook.grading import runner
from workbook.grading.judge import Here, difference, examination, examine
from workbook.specs import spec, specs
from workbook.specs.specification import attention_mask as mask_of
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution, load_topic

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
ORACLES = {spec.function: spec.oracle for spec in specs(["converter"])}
SOLUTIONS = {name: getattr(load_solution("converter"), name) for name in ORACLES}
#: Both must answer to Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])

reference = import_module("reference.make_converter_reference")
outcome = reference.outcome
THEIRS = reference.transformers_answers()
#: What is recorded takes their place where these are skipped.
LIVE = pytest.mark.skipif(THEIRS is None, reason="this transformers no longer has modeling_attn_mask_utils")

sizes = st.integers(0, 5)
windows = st.none() | st.integers(1, 9)
dtypes = st.sampled_from(FLOATS)
seeds = st.integers(0, 2**31)
LEFT = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
RIGHT = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lowest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).min


@st.composite
def attention_masks(draw: st.DrawFn, sequence: Any = sizes) -> Tensor:
    """1 = real token: padding on either side, or anywhere."""
    rows, width = draw(st.integers(1, 4)), draw(sequence)
    if draw(st.booleans()):
        side = draw(st.sampled_from(["right", "left"]))
        return mask_of([draw(st.integers(0, width)) for _ in range(rows)], width, side)
    return (torch.rand(rows, width, generator=generator(draw(seeds))) < 0.6).long()


@st.composite
def masks_and_queries(draw: st.DrawFn) -> tuple[Tensor, int]:
    mask = draw(attention_masks(st.integers(1, 6)))
    return mask, draw(st.integers(0, mask.shape[1]))


@st.composite
def additive_masks(draw: st.DrawFn, number: float | None = None) -> Tensor:
    """Biases, hidden keys, and rows that are empty, with the dtype's minimum or another ``number`` as what hides."""
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(sizes), draw(st.integers(1, 5)))
    dtype, rng = draw(dtypes), generator(draw(seeds))
    hidden = torch.rand(shape, generator=rng) < draw(st.sampled_from([0.0, 0.5, 0.9, 1.0]))
    biases = torch.randn(shape, generator=rng) * draw(st.sampled_from([0.0, 3.0]))
    return biases.to(dtype).masked_fill(hidden, lowest(dtype) if number is None else number)


def agree(name: str, *arguments: Any, **keywords: Any) -> Any:
    """The solution gives the oracle's answer, to the bit, or its error; return it."""
    wanted, came = (
        outcome(lambda functions=functions: functions[name](*arguments, **keywords), {})
        for functions in (ORACLES, SOLUTIONS)
    )
    assert same(wanted, came), (wanted, came)
    return wanted


def same(wanted: Any, came: Any) -> bool:
    """Equal as EXERCISES.md says it: `torch.equal`, -0.0 equal to 0.0, of one dtype."""
    return difference(wanted, came, reading="additive") is None


def judged(name: str, **arguments: Any) -> None:
    """Transformers gives oracle's and solution's answer, too."""
    assert THEIRS is not None
    assert same(outcome(THEIRS[name], arguments), agree(name, **arguments))


def grid(mask: Tensor) -> list[str]:
    """Each row of the first sentence as a text: `0` is kept, `-` is hidden, and nothing else is there."""
    assert bool(((mask == 0) | (mask == lowest(mask.dtype))).all())
    return ["".join("0" if cell == 0 else "-" for cell in row) for row in mask[0, 0].tolist()]


# --- recorded answers ------------------------------------------------------------------------------------------------


@BOTH
def test_the_recorded_answers_of_transformers_are_those_of_the_course(functions: Any) -> None:
    asked = set()
    for name, arguments, wanted in reference.recorded():
        asked.add(name)
        came = outcome(functions[name], arguments)
        assert same(wanted, came), (name, arguments, wanted, came)
    assert asked == set(ORACLES) - {"extend_attention_mask"}


def test_what_is_recorded_is_what_would_be_asked() -> None:
    def text(arguments: dict[str, Any]) -> Any:
        return {name: reference.written(value) for name, value in arguments.items()}

    kept = [(name, text(arguments)) for name, arguments, _ in reference.recorded()]
    assert kept == [(name, text(arguments)) for name, arguments in reference.calls()]


@LIVE
def test_the_recorded_answers_are_those_of_the_transformers_at_hand() -> None:
    assert THEIRS is not None
    for name, arguments, wanted in reference.recorded():
        assert same(wanted, outcome(THEIRS[name], arguments)), (name, arguments)


# --- Transformers itself ---------------------------------------------------------------------------------------------


@LIVE
@given(st.tuples(st.integers(1, 4), sizes), dtypes, sizes, windows)
def test_make_causal_mask_is_that_of_transformers(shape: Any, dtype: Any, past: int, window: int | None) -> None:
    arguments = {"dtype": dtype, "past_key_values_length": past, "sliding_window": window}
    judged("make_causal_mask", input_ids_shape=shape, **arguments)
    judged("create_4d_causal_attention_mask", input_shape=shape, **arguments)
    judged("prepare_4d_causal_attention_mask", attention_mask=None, input_shape=shape, **arguments)


@LIVE
@given(attention_masks(), dtypes, st.none() | sizes)
def test_expand_mask_is_that_of_transformers(mask: Tensor, dtype: torch.dtype, target_length: int | None) -> None:
    judged("expand_mask", attention_mask=mask, dtype=dtype, target_length=target_length)


@LIVE
@given(st.integers(1, 4), sizes, sizes, dtypes, windows)
def test_to_causal_4d_is_that_of_transformers(
    batch: int, query: int, past: int, dtype: torch.dtype, window: int | None
) -> None:
    lengths = {"batch_size": batch, "query_length": query, "key_value_length": past + query}
    judged("to_causal_4d", **lengths, dtype=dtype, sliding_window=window)


@LIVE
@given(masks_and_queries(), dtypes, st.booleans(), st.booleans(), windows)
def test_to_4d_is_that_of_transformers(
    inputs: tuple[Tensor, int], dtype: torch.dtype, keys_given: bool, is_causal: bool, window: int | None
) -> None:
    mask, query = inputs
    key = mask.shape[1] if keys_given else None
    arguments = {"key_value_length": key, "is_causal": is_causal, "sliding_window": window}
    judged("to_4d", attention_mask=mask, query_length=query, dtype=dtype, **arguments)


@LIVE
@given(additive_masks())
def test_unmask_unattended_is_that_of_transformers_on_finite_masks(mask: Tensor) -> None:
    judged("unmask_unattended", expanded_mask=mask, min_dtype=lowest(mask.dtype))


@LIVE
def test_unmask_unattended_of_transformers_makes_nan_of_infinity() -> None:
    assert THEIRS is not None
    infinite = torch.tensor([[[[-torch.inf, -torch.inf], [0.0, -torch.inf]]]])
    theirs = THEIRS["unmask_unattended"](expanded_mask=infinite, min_dtype=-torch.inf)
    assert bool(theirs[0, 0, 0].isnan().all())
    ours = agree("unmask_unattended", infinite, lowest(torch.float32))
    assert ours.tolist() == [[[[0.0, 0.0], [0.0, -torch.inf]]]]


@LIVE
@given(
    st.none() | attention_masks(st.integers(1, 5)) | st.just(torch.ones(2, 4)),
    st.booleans(),
    st.integers(1, 5),
    windows,
)
def test_ignore_causal_mask_sdpa_is_that_of_transformers(
    mask: Tensor | None, four_axes: bool, query: int, window: int | None
) -> None:
    key = 4 if mask is None else mask.shape[1]
    if four_axes and mask is not None:
        mask = mask[:, None, None, :].expand(-1, 1, key, -1)
    arguments = {"query_length": min(query, key), "key_value_length": key, "sliding_window": window}
    judged("ignore_causal_mask_sdpa", attention_mask=mask, **arguments)


@LIVE
@given(masks_and_queries(), dtypes, windows, st.sampled_from(["2-D", "4-D", "too wide", "two heads"]), seeds)
def test_prepare_4d_causal_attention_mask_is_that_of_transformers(
    inputs: tuple[Tensor, int], dtype: torch.dtype, window: int | None, kind: str, seed: int
) -> None:
    mask, query = inputs
    batch, key = mask.shape
    if kind != "2-D":
        shape = (batch, 1 + (kind == "two heads"), query, key + (kind == "too wide"))
        mask = (torch.rand(shape, generator=generator(seed)) < 0.5).long()
    arguments = {"past_key_values_length": key - query, "sliding_window": window}
    judged(
        "prepare_4d_causal_attention_mask", attention_mask=mask, input_shape=(batch, query), dtype=dtype, **arguments
    )


@LIVE
@pytest.mark.parametrize("seed", range(20))
def test_two_thousand_drawn_configurations_are_answered_as_by_transformers(seed: int) -> None:
    """A hundred a seed, each put to the three functions that take all of the configuration; the solution answers."""
    assert THEIRS is not None
    rng = generator(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=rng))

    for _ in range(100):
        batch, query, past, dtype = draw(1, 4), draw(1, 7), draw(0, 5), FLOATS[draw(0, 2)]
        window = draw(1, 9) if draw(0, 1) else None
        mask = (torch.rand(batch, past + query, generator=rng) < (0.5, 0.8, 1.0)[draw(0, 2)]).long()
        shape, options = (batch, query), {"past_key_values_length": past, "sliding_window": window}
        given = [None, mask, mask[:, None, None].expand(batch, 1, query, past + query)][draw(0, 2)]
        asked: list[tuple[str, dict[str, Any]]] = [
            ("make_causal_mask", {"input_ids_shape": shape, "dtype": dtype, **options}),
            ("to_4d", {"attention_mask": mask, "query_length": query, "dtype": dtype,
                       "key_value_length": past + query, "sliding_window": window}),
            ("prepare_4d_causal_attention_mask", {"attention_mask": given, "input_shape": shape, "dtype": dtype, **options}),
        ]  # fmt: skip
        for name, arguments in asked:
            assert same(outcome(THEIRS[name], arguments), outcome(SOLUTIONS[name], arguments)), (name, arguments)


@LIVE
@BOTH
def test_a_whole_number_mask_with_four_axes_keeps_float16_unlike_theirs(functions: Any) -> None:
    from transformers.modeling_attn_mask_utils import _prepare_4d_causal_attention_mask as theirs

    mask = torch.tensor([[[[1, 0], [1, 1]]]])
    with pytest.warns(FutureWarning, match="deprecated"):
        made = theirs(mask, (1, 2), torch.zeros(1, 2, 3, dtype=torch.float16), 0)
    ours = functions["prepare_4d_causal_attention_mask"](mask, (1, 2), torch.float16)
    assert (made.dtype, ours.dtype) == (torch.float32, torch.float16)
    assert torch.equal(made.half(), ours)


# --- what replaced it, and torch -------------------------------------------------------------------------------------


@BOTH
@given(query=sizes, past=sizes, window=st.integers(1, 8))
def test_the_window_sees_one_key_more_than_that_of_masking_utils(
    functions: Any, query: int, past: int, window: int
) -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    nowhere, key = torch.tensor(0), torch.arange(past + query)
    theirs = sliding_window_causal_mask_function(window + 1)(nowhere, nowhere, key[past:, None], key)
    ours = functions["make_causal_mask"]((1, query), torch.float32, past, window)
    assert torch.equal(theirs, ours[0, 0] == 0)


@BOTH
@given(inputs=masks_and_queries(), dtype=dtypes)
def test_to_4d_is_the_eager_mask_of_masking_utils(functions: Any, inputs: tuple[Tensor, int], dtype: Any) -> None:
    from transformers.masking_utils import eager_mask

    mask, query = inputs
    key = mask.shape[1]
    theirs = eager_mask(len(mask), query, key, q_offset=key - query, attention_mask=mask.bool(), dtype=dtype)
    assert same(theirs, functions["to_4d"](mask, query, dtype, key))


@BOTH
@given(inputs=masks_and_queries(), window=windows)
def test_sdpa_may_do_without_a_mask_where_it_is_said_to(
    functions: Any, inputs: tuple[Tensor, int], window: int | None
) -> None:
    mask, query_length = inputs
    key_length = mask.shape[1]
    if not query_length or not functions["ignore_causal_mask_sdpa"](mask, query_length, key_length, window):
        return
    rng = generator(0)
    query = torch.randn(len(mask), 2, query_length, 4, generator=rng)
    key, value = torch.randn(2, len(mask), 2, key_length, 4, generator=rng)
    additive = functions["to_4d"](mask, query_length, torch.float32, key_length, True, window)
    with_mask = F.scaled_dot_product_attention(query, key, value, attn_mask=additive)
    without = F.scaled_dot_product_attention(query, key, value, is_causal=query_length > 1)
    torch.testing.assert_close(with_mask, without)


@BOTH
@given(mask=attention_masks(), new=sizes)
def test_extend_attention_mask_is_padding_with_1(functions: Any, mask: Tensor, new: int) -> None:
    extended = functions["extend_attention_mask"](mask, new)
    assert extended.dtype == torch.long
    assert torch.equal(extended, F.pad(mask, (0, new), value=1))


@BOTH
def test_a_mask_that_is_not_extended_hides_the_newest_word_from_itself(functions: Any) -> None:
    from transformers.masking_utils import sdpa_mask

    def seen(mask: Tensor) -> Any:
        # Transformers fills a mask that is too short up with False.
        return sdpa_mask(1, 1, 5, q_offset=4, attention_mask=mask.bool(), allow_is_causal_skip=False)

    prompt = torch.tensor([[0, 1, 1, 1]])
    assert seen(prompt).flatten().tolist() == [False, True, True, True, False]
    assert seen(functions["extend_attention_mask"](prompt, 1)).flatten().tolist() == [False, True, True, True, True]


# --- the matrices of the notebook ------------------------------------------------------------------------------------


@BOTH
def test_triangle_past_and_window_are_the_four_matrices(functions: Any) -> None:
    make = functions["make_causal_mask"]
    assert grid(make((2, 4), torch.float32)) == ["0---", "00--", "000-", "0000"]
    assert grid(make((2, 2), torch.float32, 2)) == ["000-", "0000"]
    assert grid(make((2, 4), torch.float16, 2)) == ["000---", "0000--", "00000-", "000000"]
    assert grid(make((2, 4), torch.float32, 2, 1)) == ["-00---", "--00--", "---00-", "----00"]


@BOTH
@pytest.mark.parametrize(("window", "keys"), [(1, [1, 2, 2, 2, 2]), (2, [1, 2, 3, 3, 3]), (3, [1, 2, 3, 4, 4])])
def test_a_window_shows_that_many_keys_and_the_query_itself(functions: Any, window: int, keys: list[int]) -> None:
    mask = functions["make_causal_mask"]((1, 5), torch.float32, 0, window)
    assert (mask[0, 0] == 0).sum(-1).tolist() == keys


@BOTH
def test_to_4d_gives_the_four_matrices(functions: Any) -> None:
    to_4d = functions["to_4d"]
    assert grid(to_4d(LEFT, 4, torch.float32, 4)) == ["----", "-0--", "-00-", "-000"]
    assert grid(to_4d(LEFT, 1, torch.float16, 4)) == ["-000"]
    prompted = torch.cat([torch.ones(2, 2, dtype=torch.long), LEFT], 1)
    assert grid(to_4d(prompted, 4, torch.float32, 6)) == ["00----", "00-0--", "00-00-", "00-000"]
    assert grid(to_4d(LEFT, 4, torch.bfloat16, is_causal=False)) == ["-000"] * 4


@BOTH
def test_one_query_has_no_mask_unless_there_is_a_window(functions: Any) -> None:
    assert functions["to_causal_4d"](2, 1, 4, torch.float32) is None
    assert grid(functions["to_causal_4d"](2, 1, 4, torch.float32, 1)) == ["--00"]
    assert functions["create_4d_causal_attention_mask"]((2, 1), torch.float32, 3) is None
    assert grid(functions["create_4d_causal_attention_mask"]((2, 1), torch.float32, 3, 1)) == ["--00"]


@BOTH
def test_two_and_four_axes_give_one_matrix(functions: Any) -> None:
    prepare = functions["prepare_4d_causal_attention_mask"]
    of_words = prepare(LEFT, (2, 4), torch.float32)
    of_cells = prepare((of_words == 0).long(), (2, 4), torch.float32)
    assert grid(of_words) == ["----", "-0--", "-00-", "-000"]
    assert torch.equal(of_words, of_cells)
    opened = functions["unmask_unattended"](of_words, lowest(torch.float32))
    assert grid(opened) == ["0000", "-0--", "-00-", "-000"]


@BOTH
def test_the_truth_table_of_ten_calls(functions: Any) -> None:
    ignore, ones = functions["ignore_causal_mask_sdpa"], torch.ones(2, 4, dtype=torch.long)
    table = [
        ignore(None, 4, 4),
        ignore(ones, 4, 4),
        ignore(RIGHT, 4, 4),
        ignore(ones, 2, 4),
        ignore(ones, 1, 4),
        ignore(LEFT, 1, 4),
        ignore(None, 2, 4),
        ignore(ones, 4, 4, 4),
        ignore(ones, 4, 4, 5),
        ignore(torch.ones(2, 1, 4, 4, dtype=torch.long), 4, 4),
    ]
    assert table == [True, True, False, False, True, False, False, False, True, False]
    assert all(type(answer) is bool for answer in table)


# --- laws ------------------------------------------------------------------------------------------------------------


@BOTH
@given(inputs=masks_and_queries(), dtype=dtypes, is_causal=st.booleans())
def test_a_mask_holds_two_finite_numbers_of_its_dtype(functions: Any, inputs: Any, dtype: Any, is_causal: bool) -> None:
    mask, query = inputs
    made = functions["to_4d"](mask, query, dtype, mask.shape[1], is_causal)
    assert made.dtype == dtype
    assert bool(((made == 0) | (made == lowest(dtype))).all())
    assert bool((made[(mask == 0)[:, None, None, :].expand_as(made)] == lowest(dtype)).all())


@BOTH
@given(inputs=masks_and_queries(), dtype=dtypes, window=windows)
def test_to_4d_of_no_padding_is_the_triangle(functions: Any, inputs: Any, dtype: Any, window: int | None) -> None:
    mask, query = inputs
    batch, key = mask.shape
    made = functions["to_4d"](torch.ones_like(mask), query, dtype, key, True, window)
    assert same(functions["make_causal_mask"]((batch, query), dtype, key - query, window), made)


@BOTH
@given(mask=additive_masks())
def test_unmask_unattended_opens_empty_rows_and_touches_no_other(functions: Any, mask: Tensor) -> None:
    before = mask.clone()
    opened = functions["unmask_unattended"](mask, lowest(mask.dtype))
    assert torch.equal(mask, before)
    empty = (mask == lowest(mask.dtype)).all(-1)
    assert bool((opened[empty] == 0).all())
    assert torch.equal(opened[~empty], mask[~empty])
    assert torch.equal(functions["unmask_unattended"](opened, lowest(mask.dtype)), opened)


@BOTH
@given(mask=additive_masks(number=-torch.inf))
def test_unmask_unattended_opens_rows_of_infinity_for_the_softmax(functions: Any, mask: Tensor) -> None:
    opened = functions["unmask_unattended"](mask, lowest(mask.dtype))
    empty = mask.isneginf().all(-1)
    assert bool((opened[empty] == 0).all())
    assert torch.equal(opened[~empty], mask[~empty])
    assert not bool(opened.float().softmax(-1).isnan().any())


@BOTH
@pytest.mark.parametrize("window", [0, -1])
def test_a_window_below_1_is_refused_by_every_constructor(functions: Any, window: int) -> None:
    for call in (
        lambda: functions["make_causal_mask"]((1, 2), torch.float32, 0, window),
        lambda: functions["to_causal_4d"](1, 1, 2, torch.float32, window),
        lambda: functions["to_4d"](LEFT, 4, torch.float32, 4, True, window),
        lambda: functions["create_4d_causal_attention_mask"]((1, 1), torch.float32, 0, window),
        lambda: functions["prepare_4d_causal_attention_mask"](None, (1, 2), torch.float32, 0, window),
    ):
        with pytest.raises(ValueError, match=f"sliding_window is {window}"):
            call()


@BOTH
def test_errors_name_what_is_wrong(functions: Any) -> None:
    with pytest.raises(ValueError, match="key_value_length is None"):
        functions["to_4d"](LEFT, 4, torch.float32)
    with pytest.raises(NotImplementedError, match=r"sliding_window is 2; .* causal masks only"):
        functions["to_4d"](LEFT, 4, torch.float32, 4, False, 2)
    with pytest.raises(ValueError, match=re.escape("has the shape (2, 1, 4, 4); wanted is (2, 1, 3, 4)")):
        functions["prepare_4d_causal_attention_mask"](LEFT[:, None, None].expand(2, 1, 4, 4), (2, 3), torch.float32, 1)


# --- an error that is an answer --------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [(), ("not yet",), ("converter.to_4d", 2), ("converter.make_causal_mask",)])
def test_a_not_implemented_error_of_ones_own_is_an_answer(arguments: tuple[Any, ...]) -> None:
    def to_4d(
        attention_mask: Any,
        query_length: int,
        dtype: Any,
        key_value_length: int | None = None,
        is_causal: bool = True,
        sliding_window: int | None = None,
    ) -> Any:
        if sliding_window is not None and not is_causal:
            raise NotImplementedError(*arguments)
        return SOLUTIONS["to_4d"](attention_mask, query_length, dtype, key_value_length, is_causal, sliding_window)

    assert examine(spec("converter.to_4d"), 0, Here(to_4d)).passed


def test_the_stubs_own_error_is_no_answer() -> None:
    def to_4d(*arguments: Any, **keywords: Any) -> Any:
        raise NotImplementedError("converter.to_4d")

    verdict = examine(spec("converter.to_4d"), 0, Here(to_4d))
    assert (verdict.status, verdict.points) == ("not attempted", 0)

    def half_written(attention_mask: Any, query_length: int, dtype: Any, *rest: Any, **keywords: Any) -> Any:
        try:
            return SOLUTIONS["to_4d"](attention_mask, query_length, dtype, *rest, **keywords)
        except NotImplementedError:
            return to_4d()

    verdict = examine(spec("converter.to_4d"), 0, Here(half_written))
    assert (verdict.passed, verdict.points) == (False, 0)


def test_the_wrapper_lets_an_answer_pass_that_is_an_error(tmp_path: Path) -> None:
    call = "to_4d(torch.ones(1, 2), 2, torch.float32, is_causal=False, sliding_window=1)"
    stub = 'raise NotImplementedError("converter.to_4d")'
    source = topic_source("converter")
    for body in (stub, 'raise NotImplementedError("no window here")'):
        module = written_to(tmp_path, source.replace(stub, body))
        with pytest.raises(NotImplementedError, match="causal masks only" if body == stub else "no window here"):
            eval(call, vars(module))


def written_to(folder: Path, source: str) -> ModuleType:
    """Execute a learner's file of its own."""
    file = folder / "converter.py"
    file.write_text(source, encoding="utf-8")
    return load_topic(file)


@pytest.fixture(autouse=True)
def _the_courses_functions_stay_registered() -> Iterator[None]:
    before = dict(graded._WRITTEN)
    yield
    graded._WRITTEN.clear()
    graded._WRITTEN.update(before)


# --- the class that is given -----------------------------------------------------------------------------------------


def classes(source: str) -> list[str]:
    return [ast.unparse(node) for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]


def test_the_class_is_the_same_in_both_files() -> None:
    solution = (course.SOLUTIONS / "converter.py").read_text(encoding="utf-8")
    assert classes(topic_source("converter")) == classes(solution)
    assert len(classes(solution)) == 1


@pytest.mark.parametrize("module", [exercises, load_solution("converter")], ids=["exercises", "solutions"])
def test_the_class_has_every_method_of_the_functions(module: Any) -> None:
    """In an untouched exercise file the reference answers, so that the class works before anything is written."""
    converter = module.AttentionMaskConverter(True, sliding_window=2)
    assert repr(converter) == "AttentionMaskConverter(is_causal=True, sliding_window=2)"
    float32 = torch.float32
    assert same(ORACLES["to_causal_4d"](2, 3, 5, float32, 2), converter.to_causal_4d(2, 3, 5, float32))
    assert same(ORACLES["to_4d"](LEFT, 3, float32, 4, True, 2), converter.to_4d(LEFT, 3, float32, key_value_length=4))
    made = converter._make_causal_mask((2, 3), float32, torch.device("cpu"), past_key_values_length=2, sliding_window=1)
    assert same(ORACLES["make_causal_mask"]((2, 3), float32, 2, 1), made)
    assert same(ORACLES["expand_mask"](LEFT, float32, 2), converter._expand_mask(LEFT, float32, tgt_len=2))
    assert converter._unmask_unattended(torch.tensor([[[[-1.0]]]]), -1.0).tolist() == [[[[0.0]]]]
    assert converter._ignore_causal_mask_sdpa(None, torch.zeros(2, 3, 8), 0) is True
    assert converter._ignore_causal_mask_sdpa(None, torch.zeros(2, 3, 8), 2) is False
    assert module.AttentionMaskConverter(True).to_causal_4d(2, 1, 5, float32) is None


@pytest.mark.parametrize("module", [exercises, load_solution("converter")], ids=["exercises", "solutions"])
def test_the_class_refuses_what_transformers_refuses(module: Any) -> None:
    for window in (0, -3):
        with pytest.raises(ValueError, match=f"sliding_window is {window}"):
            module.AttentionMaskConverter(True, window)
    with pytest.raises(ValueError, match="is_causal is False"):
        module.AttentionMaskConverter(False).to_causal_4d(1, 2, 2, torch.float32)
    with pytest.raises(ValueError, match="key_value_length is None"):
        module.AttentionMaskConverter(True).to_4d(LEFT, 4, torch.float32)
    with pytest.raises(NotImplementedError, match="causal masks only"):
        module.AttentionMaskConverter(False, 2).to_4d(LEFT, 4, torch.float32)


@LIVE
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("seed", range(20))
def test_the_class_answers_the_same_calls_as_that_of_transformers(seed: int) -> None:
    from transformers.modeling_attn_mask_utils import AttentionMaskConverter as Theirs

    rng = generator(seed)

    def draw(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=rng))

    batch, query, past = draw(1, 3), draw(1, 5), draw(0, 3)
    key, dtype = query + past, FLOATS[draw(0, 2)]
    mask = (torch.rand(batch, key, generator=rng) < 0.7).long()
    embeddings = torch.zeros(batch, query, 2)
    window = draw(1, 6)
    calls: list[Callable[[Any], Any]] = [
        lambda made: made(True).to_causal_4d(batch, query, key, dtype),
        lambda made: made(True, window).to_causal_4d(batch, query, key, dtype, device="cpu"),
        lambda made: made(True, sliding_window=window).to_4d(mask, query, dtype, key),
        lambda made: made(True).to_4d(mask, query, key_value_length=key, dtype=dtype),
        lambda made: made(False).to_4d(mask, query, dtype=dtype),
        lambda made: made._make_causal_mask((batch, query), dtype, torch.device("cpu"), past, window),
        lambda made: made._expand_mask(mask, dtype, tgt_len=query),
        lambda made: made._unmask_unattended(made(True).to_4d(mask, query, dtype, key), lowest(dtype)),
        lambda made: made._ignore_causal_mask_sdpa(mask, embeddings, past),
        lambda made: made._ignore_causal_mask_sdpa(None, embeddings, past, sliding_window=window),
    ]
    for call in calls:
        assert same(call(Theirs), call(exercises.AttentionMaskConverter))


def test_the_class_looks_its_functions_up_when_it_is_called(tmp_path: Path) -> None:
    module = written_to(tmp_path, topic_source("converter"))
    converter = module.AttentionMaskConverter(True)
    vars(module)["to_4d"] = lambda *arguments: arguments
    mask = torch.ones(1, 2)
    assert converter.to_4d(mask, 2, torch.float32, 2) == (mask, 2, torch.float32, 2, True, None)


# --- what is graded --------------------------------------------------------------------------------------------------


def test_no_core_function_needs_a_practice_one() -> None:
    module = load_topic(course.SOLUTIONS / "converter.py")

    def absent(*arguments: Any, **keywords: Any) -> Any:
        raise AssertionError("a practice function was called")

    practice = {found.function for found in specs(["converter"]) if found.practice}
    assert practice == {"expand_mask", "create_4d_causal_attention_mask"}
    for function in practice:
        vars(module)[function] = absent
    for found in specs(["converter"]):
        if not found.practice:
            assert examine(found, 0, Here(getattr(module, found.function))).passed


def changed(name: str, *, when: Callable[[dict[str, Any]], bool], to: Callable[[], Any]) -> Callable[..., Any]:
    """The solution, but for calls that nobody has settled."""
    signature = inspect.signature(SOLUTIONS[name])

    def answer(*arguments: Any, **keywords: Any) -> Any:
        bound = signature.bind(*arguments, **keywords)
        bound.apply_defaults()
        return to() if when(bound.arguments) else SOLUTIONS[name](*arguments, **keywords)

    return answer


def refusal() -> Any:
    raise ValueError("not this")


def mixed_rows_left(expanded_mask: Tensor, min_dtype: float) -> Tensor:
    empty = (expanded_mask == min_dtype).all(-1, keepdim=True) | expanded_mask.isneginf().all(-1, keepdim=True)
    return expanded_mask.masked_fill(empty, 0.0)


@pytest.mark.parametrize(
    ("name", "lenient"),
    [
        (
            "to_causal_4d",
            changed(
                "to_causal_4d",
                when=lambda call: call["query_length"] == 0 and call["sliding_window"] is None,
                to=lambda: torch.zeros(1),
            ),
        ),
        (
            "create_4d_causal_attention_mask",
            changed(
                "create_4d_causal_attention_mask",
                when=lambda call: call["input_shape"][1] == 0 and call["sliding_window"] is None,
                to=lambda: torch.zeros(1),
            ),
        ),
        (
            "to_4d",
            changed(
                "to_4d",
                when=lambda call: call["is_causal"] and call["key_value_length"] is None and call["query_length"] <= 1,
                to=refusal,
            ),
        ),
        (
            "prepare_4d_causal_attention_mask",
            changed(
                "prepare_4d_causal_attention_mask",
                when=lambda call: (
                    call["attention_mask"] is None and call["input_shape"][1] <= 1 and call["sliding_window"] is None
                ),
                to=lambda: torch.zeros(1),
            ),
        ),
        (
            "ignore_causal_mask_sdpa",
            changed(
                "ignore_causal_mask_sdpa",
                when=lambda call: call["sliding_window"] is not None and call["sliding_window"] < 1,
                to=refusal,
            ),
        ),
        ("unmask_unattended", mixed_rows_left),
    ],
)
def test_what_the_rows_leave_open_is_not_graded(name: str, lenient: Callable[..., Any]) -> None:
    for seed in range(10):
        assert examine(spec(f"converter.{name}"), seed, Here(lenient)).passed


def test_masks_of_the_cases_hold_whole_numbers_only() -> None:
    """1 and 0: neither bools nor floats are promised to anybody who writes `1 - attention_mask`."""
    for found in specs(["converter"]):
        if found.function == "unmask_unattended":
            continue
        for case in examination(found.name, 0).cases:
            for leaf in runner.leaves(case.call):
                assert not isinstance(leaf, Tensor) or leaf.dtype == torch.long
