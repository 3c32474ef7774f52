"""The functions of `sdpa`: oracle and solution on drawn inputs, and torch's own SDPA and Transformers as the judges."""

import inspect
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.bias import causal_lower_right

from workbook.grading.judge import Here, answer, difference, examination, examine
from workbook.grading.runner import Raised, Returned
from workbook.specs import sdpa, spec, specs
from workbook.specs.specification import Case
from workbook.specs.specification import attention_mask as mask_of
from workbook.topic_files import load_solution

HALVES = (torch.float16, torch.bfloat16)
FLOATS = (torch.float32, *HALVES)
#: How far two right answers may lie apart when each rounds at its own steps.
ROUNDING = {torch.float64: 1e-9, torch.float32: 5e-5, torch.float16: 2e-2, torch.bfloat16: 1.5e-1}
ORACLES = {spec.function: spec.oracle for spec in specs(["sdpa"])}
SOLUTIONS = {name: getattr(load_solution("sdpa"), name) for name in ORACLES}
SDPA: Any = F.scaled_dot_product_attention
#: Both must answer to torch and Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])
EVERY_DTYPE = pytest.mark.parametrize("dtype", [torch.float64, *FLOATS])

sizes = st.integers(0, 4)
some = st.integers(1, 4)
seeds = st.integers(0, 2**31)
dtypes = st.sampled_from([torch.float64, *FLOATS])
sides = st.sampled_from(["right", "left"])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lowest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).min


def qkv(rng: torch.Generator, sizes: tuple[int, ...], dtype: torch.dtype = torch.float64, key_heads: int = 0) -> Any:
    """Query, key and value for batch, heads, query length, key length and dim."""
    batch, heads, query, key, dim = sizes
    query_vectors = torch.randn(batch, heads, query, dim, generator=rng)
    others = (torch.randn(batch, key_heads or heads, key, dim, generator=rng) for _ in range(2))
    return tuple(vectors.to(dtype) for vectors in (query_vectors, *others))


@st.composite
def mask_shapes(draw: st.DrawFn, sizes: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that broadcasts to `sizes` from the right: any axis of length 1, and the first ones left out."""
    shape = tuple(draw(st.sampled_from([size, 1])) for size in sizes[:-2]) + sizes[-2:]
    return shape[draw(st.integers(0, len(shape) - 2)) :]


@st.composite
def calls(draw: st.DrawFn, dtype: torch.dtype | None = None, empty_rows: bool = False) -> dict[str, Any]:
    """What SDPA takes: inputs, with a bool mask, a float one, the triangle or none, and a scale or none."""
    rng, dtype = generator(draw(seeds)), draw(dtypes) if dtype is None else dtype
    shape = (draw(some), draw(some), draw(sizes), draw(some), draw(some))
    kind = draw(st.sampled_from(["bool", "float", "causal", "none"]))
    call: dict[str, Any] = {"inputs": qkv(rng, shape, dtype), "attn_mask": None, "is_causal": kind == "causal"}
    if kind in ("bool", "float"):
        allowed = torch.rand(draw(mask_shapes(shape[:4])), generator=rng) < 0.6
        if not empty_rows:
            allowed[..., 0] = True
        biases = torch.randn(allowed.shape, generator=rng)
        fill = draw(st.sampled_from([-math.inf, lowest(dtype)]))
        call["attn_mask"] = allowed if kind == "bool" else biases.to(dtype).masked_fill(~allowed, fill)
    # A kernel of this torch multiplies its own triangle by the scale, and 0 × −∞ is NaN: no scale of 0 beside is_causal.
    call["scale"] = draw(st.sampled_from([None, 1.0, 0.3] + [0.0] * (kind != "causal")))
    return call


@st.composite
def emptied(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What `safe_sdpa` takes; rows without any allowed key are common."""
    rng = generator(draw(seeds))
    shape = (draw(some), draw(some), draw(some), draw(some), draw(some))
    allowed = torch.rand(draw(mask_shapes(shape[:4])), generator=rng) < draw(st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    return (*qkv(rng, shape, dtype), allowed)


@st.composite
def additives(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two additive masks of one dtype that broadcast against each other."""
    rng, dtype = generator(draw(seeds)), draw(dtypes)
    whole = draw(st.lists(sizes, max_size=4))
    masks = []
    for _ in range(2):
        shape = [draw(st.sampled_from([size, 1])) for size in whole][draw(st.integers(0, len(whole))) :]
        kind = torch.randint(0, 4, shape, generator=rng)
        biases = torch.randn(shape, generator=rng).mul(draw(st.sampled_from([1.0, 50.0, 2e4]))).to(dtype)
        biases = biases.masked_fill(kind == 1, 0.0).masked_fill(kind == 2, lowest(dtype))
        masks.append(biases.masked_fill(kind == 3, -math.inf))
    return masks[0], masks[1]


@st.composite
def chosen(draw: st.DrawFn) -> tuple[Tensor | None, int, int]:
    keys = draw(st.integers(1, 6))
    queries = draw(st.sampled_from(sorted({1, keys, draw(st.integers(1, keys))})))
    lengths = draw(st.lists(st.integers(0, keys) | st.just(keys), min_size=1, max_size=4))
    mask = draw(st.sampled_from([None, mask_of(lengths, keys, draw(sides)), mask_of([keys] * len(lengths), keys)]))
    return mask, queries, keys


def agree(name: str, *arguments: Any, **keywords: Any) -> None:
    """The solution gives the oracle's answer: structure, shape, dtype, and values within their rounding."""
    one, other = ORACLES[name](*arguments, **keywords), SOLUTIONS[name](*arguments, **keywords)
    tolerance = ROUNDING[arguments[0].dtype] if isinstance(one, Tensor) and one.is_floating_point() else None
    found = difference(one, other, tolerance=tolerance)
    assert found is None, found


def close(one: Tensor, other: Tensor) -> None:
    tolerance = ROUNDING[one.dtype]
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)


def gradients_of(function: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """What comes back to the inputs under a cotangent that treats no two cells alike."""
    leaves = [vectors.clone().requires_grad_() for vectors in inputs]
    output = function(*leaves)
    cotangent = torch.cos(torch.arange(output.numel(), dtype=torch.float64)).reshape(output.shape).to(output.dtype)
    (output * cotangent).sum().backward()
    return [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]


def weights_of(attend: Any, query: Tensor, key: Tensor) -> Tensor:
    """The shares, seen from outside: attention over the identity."""
    return attend(query, key, torch.eye(key.shape[2], dtype=key.dtype).expand(*key.shape[:2], -1, -1))


def triangle(query_length: int, key_length: int) -> Tensor:
    return torch.ones(query_length, key_length, dtype=torch.bool).tril(key_length - query_length)


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(calls())
def test_sdpa_reference_agrees_with_its_oracle(call: dict[str, Any]) -> None:
    agree("sdpa_reference", *call["inputs"], call["attn_mask"], call["is_causal"], call["scale"])


@given(st.data(), dtypes)
def test_safe_sdpa_agrees_with_its_oracle(data: st.DataObject, dtype: torch.dtype) -> None:
    agree("safe_sdpa", *data.draw(emptied(dtype)))


@given(st.data(), sizes, sizes, sizes, seeds)
def test_mha_to_sdpa_mask_agrees_with_its_oracle(
    data: st.DataObject, batch: int, query: int, key: int, seed: int
) -> None:
    rng = generator(seed)
    padding, rule = (torch.rand(shape, generator=rng) < 0.5 for shape in ((batch, key), (query, key)))
    agree("mha_to_sdpa_mask", data.draw(st.sampled_from([padding, None])), data.draw(st.sampled_from([rule, None])))


@given(some, some, sizes, sizes, dtypes, seeds)
def test_cached_causal_attention_agrees_with_its_oracle(
    batch: int, heads: int, new: int, past: int, dtype: torch.dtype, seed: int
) -> None:
    agree("cached_causal_attention", *qkv(generator(seed), (batch, heads, new, past + new, 3), dtype))


@given(chosen())
def test_choose_sdpa_arguments_agrees_with_its_oracle(arguments: Any) -> None:
    one, other = (
        sdpa._given_to_sdpa(Case("drawn", arguments), functions["choose_sdpa_arguments"](*arguments))
        for functions in (ORACLES, SOLUTIONS)
    )
    assert isinstance(one["what SDPA gives"], Tensor)
    assert difference(one, other) is None


@given(additives())
def test_combine_additive_agrees_with_its_oracle(masks: tuple[Tensor, Tensor]) -> None:
    one, other = (functions["combine_additive"](*masks) for functions in (ORACLES, SOLUTIONS))
    assert difference(one, other, reading="additive") is None


@given(st.data(), some, some, some, sizes, some, dtypes)
def test_grouped_query_attention_agrees_with_its_oracle(
    data: st.DataObject, batch: int, key_heads: int, share: int, query: int, key: int, dtype: torch.dtype
) -> None:
    rng = generator(data.draw(seeds))
    heads = key_heads * share
    allowed = torch.rand(data.draw(mask_shapes((batch, heads, query, key))), generator=rng) < 0.5
    allowed[..., 0] = True
    agree("grouped_query_attention", *qkv(rng, (batch, heads, query, key, 3), dtype, key_heads), allowed)


@BOTH
@pytest.mark.parametrize("mask", [torch.ones(2, 3, dtype=torch.bool), torch.zeros(2, 3)], ids=["bool", "float"])
def test_a_mask_and_is_causal_at_once_are_a_value_error(functions: Any, mask: Tensor) -> None:
    inputs = qkv(generator(0), (1, 2, 2, 3, 4), torch.float32)
    with pytest.raises(ValueError, match="is_causal is True and attn_mask"):
        functions["sdpa_reference"](*inputs, mask, is_causal=True)
    functions["sdpa_reference"](*inputs, mask, is_causal=False)
    functions["sdpa_reference"](*inputs, None, is_causal=True)


@BOTH
@pytest.mark.parametrize("heads", [(3, 2), (2, 4), (7, 3), (1, 2)])
def test_query_heads_that_are_no_multiple_are_a_value_error(functions: Any, heads: tuple[int, int]) -> None:
    inputs = qkv(generator(0), (1, heads[0], 2, 3, 4), torch.float32, heads[1])
    with pytest.raises(ValueError, match=f"query has {heads[0]} heads; .* {heads[1]} heads of key"):
        functions["grouped_query_attention"](*inputs, torch.ones(2, 3, dtype=torch.bool))


# --- sdpa_reference: torch's function is the judge --------------------------------------------------------------------


@BOTH
@given(call=calls())
@settings(max_examples=200)
def test_sdpa_reference_is_scaled_dot_product_attention(functions: Any, call: dict[str, Any]) -> None:
    keywords = {name: call[name] for name in ("attn_mask", "is_causal", "scale")}
    close(
        functions["sdpa_reference"](*call["inputs"], **keywords),
        SDPA(*call["inputs"], **keywords),
    )


@BOTH
@given(call=calls(torch.float64))
@settings(max_examples=50)
def test_its_gradients_are_those_of_scaled_dot_product_attention(functions: Any, call: dict[str, Any]) -> None:
    keywords = {name: call[name] for name in ("attn_mask", "is_causal", "scale")}
    if call["inputs"][0].numel() == 0:
        return
    found = [
        gradients_of(lambda *inputs, attend=attend: attend(*inputs, **keywords), call["inputs"])
        for attend in (functions["sdpa_reference"], SDPA)
    ]
    for one, other in zip(*found, strict=True):
        close(one, other)


@BOTH
@pytest.mark.parametrize("lengths", [(2, 5), (5, 2), (1, 5), (5, 1), (4, 4), (0, 3)])
@EVERY_DTYPE
def test_is_causal_stands_at_the_top_left_whichever_is_longer(
    functions: Any, lengths: tuple[int, int], dtype: torch.dtype
) -> None:
    inputs = qkv(generator(1), (2, 3, *lengths, 4), dtype)
    ours = functions["sdpa_reference"](*inputs, is_causal=True)
    close(ours, SDPA(*inputs, is_causal=True))
    allowed = torch.ones(lengths, dtype=torch.bool).tril()
    close(ours, SDPA(*inputs, allowed))


@BOTH
@pytest.mark.parametrize("backend", [SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], ids=["math", "flash"])
@EVERY_DTYPE
def test_every_kernel_of_this_machine_gives_the_references_answer(
    functions: Any, backend: SDPBackend, dtype: torch.dtype
) -> None:
    inputs = qkv(generator(2), (2, 3, 4, 5, 8), dtype)
    mask = torch.rand(2, 1, 4, 5, generator=generator(3)) < 0.5
    mask[..., 0] = True
    with sdpa_kernel(backend):
        theirs = SDPA(*inputs, mask)
    close(functions["sdpa_reference"](*inputs, mask), theirs)


@pytest.mark.parametrize("dtype", HALVES)
def test_the_reference_takes_a_float32_mask_beside_half_precision_as_torch_does_here(dtype: torch.dtype) -> None:
    inputs = qkv(generator(4), (2, 2, 3, 4, 4), dtype)
    bias = torch.randn(3, 4, generator=generator(5))
    ours = ORACLES["sdpa_reference"](*inputs, bias)
    assert ours.dtype == dtype
    close(ours, SDPA(*inputs, bias))


@BOTH
def test_values_may_have_another_width(functions: Any) -> None:
    query, key, _ = qkv(generator(6), (2, 3, 4, 5, 4))
    value = torch.randn(2, 3, 5, 7, generator=generator(7)).double()
    close(functions["sdpa_reference"](query, key, value), SDPA(query, key, value))


# --- safe_sdpa: rows that may see nothing ----------------------------------------------------------------------------


@BOTH
@given(data=st.data(), dtype=dtypes)
def test_safe_sdpa_is_sdpa_with_a_bool_mask(functions: Any, data: st.DataObject, dtype: torch.dtype) -> None:
    """On this device torch gives 0 in empty rows, and clean gradients: the oracle has to say the same."""
    *inputs, allowed = data.draw(emptied(dtype))
    close(functions["safe_sdpa"](*inputs, allowed), SDPA(*inputs, allowed))


@BOTH
@given(call=emptied())
def test_the_gradients_of_safe_sdpa_are_those_of_sdpa(functions: Any, call: Any) -> None:
    *inputs, allowed = call
    ours = gradients_of(lambda *vectors: functions["safe_sdpa"](*vectors, allowed), tuple(inputs))
    with sdpa_kernel(SDPBackend.MATH):
        theirs = gradients_of(lambda *vectors: SDPA(*vectors, allowed), tuple(inputs))
    for one, other in zip(ours, theirs, strict=True):
        close(one, other)


@BOTH
@EVERY_DTYPE
@given(data=st.data())
@settings(max_examples=30)
def test_empty_rows_give_exactly_zero_and_all_gradients_are_finite(
    functions: Any, dtype: torch.dtype, data: st.DataObject
) -> None:
    *inputs, allowed = data.draw(emptied(dtype))
    output = functions["safe_sdpa"](*inputs, allowed)
    empty = ~allowed.expand(*output.shape[:3], -1).any(-1)
    assert output.dtype == dtype
    assert bool((output[empty] == 0).all())
    assert bool(output.isfinite().all())
    query, key, value = gradients_of(lambda *vectors: functions["safe_sdpa"](*vectors, allowed), tuple(inputs))
    assert all(bool(gradient.isfinite().all()) for gradient in (query, key, value))
    assert bool((query[empty] == 0).all())


@BOTH
@given(call=emptied())
def test_an_empty_row_changes_no_other_row(functions: Any, call: Any) -> None:
    *inputs, allowed = call
    output = functions["safe_sdpa"](*inputs, allowed)
    opened = functions["safe_sdpa"](*inputs, allowed | ~allowed.any(-1, keepdim=True))
    full = allowed.expand(*output.shape[:3], -1).any(-1)
    close(output[full], opened[full])


#: Outputs as they should be; what comes back to the inputs named is NaN.
CLEAN_FORWARD = {
    "nan_to_num on the output": (lambda scores, allowed, value: (_infinite(scores, allowed) @ value).nan_to_num(), "v"),
    "where on the output": (
        lambda scores, allowed, value: torch.where(
            allowed.any(-1, keepdim=True), _infinite(scores, allowed) @ value, 0.0
        ),
        "v",
    ),
    "−∞ added, weights cleaned": (
        lambda scores, allowed, value: (scores + allowed.to(scores.dtype).log()).softmax(-1).nan_to_num() @ value,
        "qk",
    ),
    "−∞ filled, weights cleaned": (
        lambda scores, allowed, value: _infinite(scores, allowed).nan_to_num() @ value,
        "",
    ),
}


def _infinite(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores.masked_fill(~allowed, -math.inf).softmax(-1)


@pytest.mark.parametrize("name", CLEAN_FORWARD)
def test_a_clean_forward_may_hide_nan_gradients_and_grading_finds_them(name: str) -> None:
    way, poisoned = CLEAN_FORWARD[name]

    def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
        return way(query @ key.mT / math.sqrt(query.shape[-1]), allowed, value)

    query, key, value = inputs = qkv(generator(8), (1, 1, 3, 3, 4), torch.float32)
    allowed = triangle(3, 3) & torch.tensor([False, True, True])
    close(attend(query, key, value, allowed), ORACLES["safe_sdpa"](*inputs, allowed))
    gradients = gradients_of(lambda query, key, value: attend(query, key, value, allowed), inputs)
    nan = "".join(name for name, gradient in zip("qkv", gradients, strict=True) if gradient.isnan().any())
    assert nan == poisoned
    verdict = examine(spec("sdpa.safe_sdpa"), 0, Here(attend))
    assert verdict.passed is (poisoned == "")
    assert verdict.misconception == ("NaN gradients" if poisoned else None)


@pytest.mark.parametrize("seed", range(20))
def test_the_case_whose_gradients_are_judged_has_an_empty_row(seed: int) -> None:
    small = examination("sdpa.safe_sdpa", seed).small
    allowed = small.arguments[3]
    assert not allowed.any(-1).all()
    assert allowed.any()


# --- mha_to_sdpa_mask: nn.MultiheadAttention is the judge -------------------------------------------------------------


@BOTH
@given(data=st.data(), batch=some, heads=some, query=some, key=some, seed=seeds)
def test_sdpa_with_the_mask_does_what_the_module_does_with_both(
    functions: Any, data: st.DataObject, batch: int, heads: int, query: int, key: int, seed: int
) -> None:
    rng = generator(seed)
    padding, rule = torch.rand(batch, key, generator=rng) < 0.4, torch.rand(query, key, generator=rng) < 0.4
    padding[:, 0] = rule[:, 0] = False
    masks = (data.draw(st.sampled_from([padding, None])), data.draw(st.sampled_from([rule, None])))
    module = nn.MultiheadAttention(4 * heads, heads, batch_first=True, dtype=torch.float64)
    words, others = (torch.randn(batch, length, 4 * heads, generator=rng).double() for length in (query, key))
    theirs = module(words, others, others, key_padding_mask=masks[0], attn_mask=masks[1])[0]

    weights, biases = module.in_proj_weight.chunk(3), module.in_proj_bias.chunk(3)
    projected = [
        F.linear(vectors, weight, bias).unflatten(-1, (heads, -1)).transpose(1, 2)
        for vectors, weight, bias in zip((words, others, others), weights, biases, strict=True)
    ]
    mask = functions["mha_to_sdpa_mask"](*masks)
    ours = module.out_proj(SDPA(*projected, mask).transpose(1, 2).flatten(2))
    close(ours, theirs)


@BOTH
def test_the_shapes_are_those_that_broadcast_whatever_the_sizes(functions: Any) -> None:
    padding, rule = torch.zeros(3, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.bool)
    convert = functions["mha_to_sdpa_mask"]
    assert convert(None, None) is None
    assert convert(padding, None).shape == (3, 1, 1, 3)
    assert convert(None, rule).shape == (3, 3)
    assert convert(padding, rule).shape == (3, 1, 3, 3)


# --- cached_causal_attention ------------------------------------------------------------------------------------------


@BOTH
@given(batch=some, heads=some, key=st.integers(1, 7), data=st.data(), seed=seeds, dtype=dtypes)
def test_a_chunk_gives_the_last_rows_of_the_whole_pass(
    functions: Any, batch: int, heads: int, key: int, data: st.DataObject, seed: int, dtype: torch.dtype
) -> None:
    query, keys, values = qkv(generator(seed), (batch, heads, key, key, 4), dtype)
    whole = SDPA(query, keys, values, is_causal=True)
    new = data.draw(st.integers(0, key))
    close(functions["cached_causal_attention"](query[:, :, key - new :], keys, values), whole[:, :, key - new :])


@BOTH
@given(key=st.integers(1, 9), chunk=st.integers(1, 4), seed=seeds)
def test_prefill_in_chunks_of_any_size_is_one_pass(functions: Any, key: int, chunk: int, seed: int) -> None:
    query, keys, values = qkv(generator(seed), (2, 3, key, key, 4))
    parts = []
    for start in range(0, key, chunk):
        end = min(start + chunk, key)
        attend = functions["cached_causal_attention"]
        parts.append(attend(query[:, :, start:end], keys[:, :, :end], values[:, :, :end]))
    close(torch.cat(parts, 2), SDPA(query, keys, values, is_causal=True))


@BOTH
@pytest.mark.parametrize("lengths", [(1, 5), (2, 5), (5, 5), (4, 5), (1, 1)])
def test_it_is_torchs_own_lower_right_bias(functions: Any, lengths: tuple[int, int]) -> None:
    inputs = qkv(generator(9), (2, 3, *lengths, 4), torch.float32)
    close(
        functions["cached_causal_attention"](*inputs),
        SDPA(*inputs, causal_lower_right(*lengths)),
    )


@BOTH
@given(new=st.integers(1, 4), past=sizes, seed=seeds)
def test_nobody_sees_a_later_key_and_everybody_all_earlier_ones(functions: Any, new: int, past: int, seed: int) -> None:
    query, key, _ = qkv(generator(seed), (1, 1, new, past + new, 4))
    weights = weights_of(functions["cached_causal_attention"], query, key)
    assert torch.equal(weights[0, 0] > 0, triangle(new, past + new))


# --- choose_sdpa_arguments --------------------------------------------------------------------------------------------


@BOTH
@given(arguments=chosen(), seed=seeds, heads=some)
def test_the_choice_gives_causal_attention_over_real_words(
    functions: Any, arguments: tuple[Tensor | None, int, int], seed: int, heads: int
) -> None:
    mask, new, keys = arguments
    batch = 2 if mask is None else len(mask)
    inputs = qkv(generator(seed), (batch, heads, new, keys, 4))
    attn_mask, is_causal = functions["choose_sdpa_arguments"](*arguments)
    assert type(is_causal) is bool
    assert attn_mask is None or not is_causal
    allowed = triangle(new, keys) if mask is None else triangle(new, keys) & (mask == 1)[:, None, None, :]
    wanted = ORACLES["safe_sdpa"](*inputs, allowed)
    rows = allowed.expand(batch, heads, new, keys).any(-1)
    close(SDPA(*inputs, attn_mask, is_causal=is_causal)[rows], wanted[rows])


@BOTH
@given(arguments=chosen())
def test_there_is_no_mask_exactly_when_there_need_be_none(functions: Any, arguments: Any) -> None:
    mask, new, keys = arguments
    attn_mask, is_causal = functions["choose_sdpa_arguments"](*arguments)
    unpadded = mask is None or 0 not in mask
    assert (attn_mask is None) is (unpadded and (new == 1 or new == keys))
    if keys > 1:
        assert is_causal is (attn_mask is None and new == keys)


@BOTH
@given(arguments=chosen())
def test_transformers_chooses_none_where_we_do_and_the_same_mask_elsewhere(functions: Any, arguments: Any) -> None:
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    mask, new, keys = arguments
    attn_mask, _ = functions["choose_sdpa_arguments"](*arguments)
    batch = 2 if mask is None else len(mask)
    theirs = sdpa_mask(
        batch_size=batch,
        q_length=new,
        kv_length=keys,
        q_offset=keys - new,
        mask_function=causal_mask_function,
        attention_mask=None if mask is None else mask.bool(),
    )
    assert (theirs is None) is (attn_mask is None)
    if theirs is not None:
        assert torch.equal(theirs, attn_mask.expand(theirs.shape))


def observed(arguments: tuple[Any, ...], value: Any) -> dict[str, Any]:
    return sdpa._given_to_sdpa(Case("made by hand", arguments), value)


PADDED = (mask_of([2, 4], 4), 4, 4)
RIGHT = triangle(4, 4) & (PADDED[0] == 1)[:, None, None, :]
DECODING = (torch.ones(2, 4, dtype=torch.long), 1, 4)


@pytest.mark.parametrize(
    "mask",
    [
        RIGHT,
        RIGHT.expand(-1, 3, -1, -1),
        torch.zeros(RIGHT.shape).masked_fill(~RIGHT, -math.inf),
        torch.zeros(RIGHT.shape).masked_fill(~RIGHT, lowest(torch.float32)),
        torch.zeros(RIGHT.shape).masked_fill(~RIGHT, -1e9),
        torch.where(triangle(4, 4), 0.0, -1e30) + torch.where(RIGHT, 0.0, -1e30),
    ],
    ids=["bool", "for every head", "−∞", "finfo.min", "−1e9", "a sum"],
)
def test_every_mask_that_does_the_work_is_right(mask: Tensor) -> None:
    assert difference(observed(PADDED, (RIGHT, False)), observed(PADDED, (mask, False))) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ((RIGHT.long(), False), "dtype"),
        ((RIGHT.double(), False), "dtype"),
        ((torch.zeros(RIGHT.shape).half(), False), "dtype"),
        ((RIGHT[:, 0], False), "must match"),
        ((RIGHT, True), "beside a mask"),
        ((RIGHT, 0), "must be bool"),
        ((RIGHT, None), "must be bool"),
        ((RIGHT, torch.tensor(False)), "must be bool"),
        ((False, RIGHT), "attn_mask"),
        ([RIGHT, False], "not list"),
        (RIGHT, "not Tensor"),
        ((RIGHT,), "not tuple of 1"),
        ((RIGHT, False, None), "not tuple of 3"),
        (None, "not NoneType"),
        ({"attn_mask": RIGHT, "is_causal": False}, "not dict"),
    ],
)
def test_what_sdpa_cannot_take_is_told_and_never_right(value: Any, says: str) -> None:
    came = observed(PADDED, value)
    assert says in came["what SDPA gives"]
    assert difference(observed(PADDED, (RIGHT, False)), came) is not None


@pytest.mark.parametrize(
    "mask",
    [
        RIGHT.float(),
        ~RIGHT,
        triangle(4, 4),
        (PADDED[0] == 1)[:, None, None, :],
        RIGHT & (PADDED[0] == 1)[:, None, :, None],
        torch.zeros(RIGHT.shape).masked_fill(~RIGHT, -1e4),
    ],
    ids=["0 and 1", "inverted", "no padding", "no triangle", "rows too", "weak"],
)
def test_a_mask_that_leaks_or_hides_is_seen_in_what_sdpa_gives(mask: Tensor) -> None:
    found = difference(observed(PADDED, (RIGHT, False)), observed(PADDED, (mask, False)))
    assert found is not None
    assert (found.aspect, found.name) == ("values", "what SDPA gives")


def test_a_mask_where_none_is_needed_is_told_as_such() -> None:
    wanted, came = observed(DECODING, (None, False)), observed(DECODING, (torch.ones(1, 4).bool(), False))
    found = difference(wanted, came)
    assert found is not None
    assert (found.name, found.wanted, found.came) == ("attn_mask", "no mask", "a mask")
    found = difference(wanted, observed(DECODING, (None, True)))
    assert found is not None
    assert found.name == "what SDPA gives"


def test_rows_that_may_see_nothing_are_free() -> None:
    arguments = (mask_of([2], 4, "left"), 4, 4)
    allowed = triangle(4, 4) & (arguments[0] == 1)[:, None, None, :]
    opened = allowed | ~allowed.any(-1, keepdim=True)
    filled = torch.zeros(allowed.shape).masked_fill(~allowed, lowest(torch.float32))
    for mask in (opened, filled):
        assert difference(observed(arguments, (allowed, False)), observed(arguments, (mask, False))) is None


@pytest.mark.parametrize("seed", range(10))
def test_each_kind_of_answer_is_among_the_cases(seed: int) -> None:
    exam = examination("sdpa.choose_sdpa_arguments", seed)
    told = answer(exam, Here(sdpa.choose_sdpa_arguments)).outcomes
    kinds = {(outcome.value[0] is None, outcome.value[1]) for outcome in told if isinstance(outcome, Returned)}
    assert kinds == {(True, True), (True, False), (False, False)}


# --- combine_additive -------------------------------------------------------------------------------------------------


@BOTH
@given(masks=additives())
def test_the_sum_is_finite_and_of_the_same_dtype(functions: Any, masks: tuple[Tensor, Tensor]) -> None:
    combined = functions["combine_additive"](*masks)
    assert combined.dtype == masks[0].dtype
    assert combined.shape == torch.broadcast_shapes(*(mask.shape for mask in masks))
    assert bool((combined >= lowest(combined.dtype)).all())  # neither −∞ nor NaN
    assert torch.equal(combined, functions["combine_additive"](*reversed(masks)))


@BOTH
@given(masks=additives())
def test_where_the_plain_sum_is_finite_it_is_the_answer(functions: Any, masks: tuple[Tensor, Tensor]) -> None:
    combined, plain = functions["combine_additive"](*masks), masks[0] + masks[1]
    assert torch.equal(combined[plain.isfinite()], plain[plain.isfinite()])
    assert bool((combined[plain == -math.inf] == lowest(plain.dtype)).all())


@BOTH
@given(seed=seeds)
def test_two_masks_as_one_hide_what_either_hides_in_sdpa(functions: Any, seed: int) -> None:
    rng = generator(seed)
    inputs = qkv(rng, (2, 3, 4, 5, 4))
    allowed = [torch.rand(shape, generator=rng) < 0.7 for shape in ((2, 1, 1, 5), (4, 5))]
    for one in allowed:
        one[..., 0] = True
    additive = [
        torch.zeros(one.shape).double().masked_fill(~one, fill)
        for one, fill in zip(allowed, (-math.inf, lowest(torch.float64)), strict=True)
    ]
    ours = SDPA(*inputs, functions["combine_additive"](*additive))
    close(ours, SDPA(*inputs, allowed[0] & allowed[1]))


@BOTH
@pytest.mark.parametrize("dtype", FLOATS)
def test_the_lowest_number_twice_is_the_lowest_number(functions: Any, dtype: torch.dtype) -> None:
    low = torch.tensor([lowest(dtype)], dtype=dtype)
    assert (low + low).item() == -math.inf
    assert functions["combine_additive"](low, low).item() == lowest(dtype)
    assert functions["combine_additive"](low, torch.full_like(low, -math.inf)).item() == lowest(dtype)


@BOTH
@pytest.mark.parametrize(("bias", "falls"), [(-5.0, False), (-2.0, False), (-100.0, True)])
def test_in_float16_a_small_bias_is_swallowed_and_a_large_one_falls(functions: Any, bias: float, falls: bool) -> None:
    low, other = torch.tensor([-65504.0]).half(), torch.tensor([bias]).half()
    assert ((low + other).item() == -math.inf) is falls
    assert functions["combine_additive"](low, other).item() == -65504.0


# --- grouped_query_attention ------------------------------------------------------------------------------------------


@BOTH
@given(batch=some, key_heads=some, share=some, query=some, key=some, seed=seeds)
def test_grouped_query_attention_is_torchs_own(
    functions: Any, batch: int, key_heads: int, share: int, query: int, key: int, seed: int
) -> None:
    rng = generator(seed)
    inputs = qkv(rng, (batch, key_heads * share, query, key, 4), torch.float64, key_heads)
    allowed = torch.rand(batch, key_heads * share, query, key, generator=rng) < 0.5
    allowed[..., 0] = True
    theirs = SDPA(*inputs, allowed, enable_gqa=True)
    close(functions["grouped_query_attention"](*inputs, allowed), theirs)


@BOTH
@pytest.mark.parametrize(("key_heads", "share"), [(2, 3), (3, 2), (1, 4), (4, 1)])
def test_it_is_what_transformers_does_with_repeat_kv(functions: Any, key_heads: int, share: int) -> None:
    from transformers.models.llama.modeling_llama import repeat_kv

    query, key, value = qkv(generator(10), (2, key_heads * share, 3, 5, 4), torch.float64, key_heads)
    allowed = triangle(3, 5)
    theirs = SDPA(query, repeat_kv(key, share), repeat_kv(value, share), allowed)
    close(functions["grouped_query_attention"](query, key, value, allowed), theirs)


@BOTH
def test_six_query_heads_over_two_share_in_threes(functions: Any) -> None:
    query, key = torch.ones(1, 6, 1, 4), torch.zeros(1, 2, 1, 4)
    value = torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1)
    output = functions["grouped_query_attention"](query, key, value, torch.ones(1, 1, dtype=torch.bool))
    assert output.flatten().tolist() == [0, 0, 0, 1, 1, 1]


# --- what the notebook says of torch ----------------------------------------------------------------------------------


def row(mask: Tensor, dtype: torch.dtype = torch.float32) -> list[float]:
    """The shares of one query whose scores are 3, 2, 1 and 0, under a mask."""
    scores = torch.tensor([3.0, 2, 1, 0], dtype=dtype)
    query, key = torch.ones(1, 1, 1, 1, dtype=dtype), scores.reshape(1, 1, 4, 1)
    return weights_of(lambda *inputs: SDPA(*inputs, mask), query, key).flatten().tolist()


@pytest.mark.parametrize("dtype", FLOATS)
def test_an_empty_row_under_a_bool_mask_or_minus_infinity_is_zero_here(dtype: torch.dtype) -> None:
    assert row(torch.zeros(1, 4, dtype=torch.bool), dtype) == [0.0] * 4
    assert row(torch.full((1, 4), -math.inf, dtype=dtype), dtype) == [0.0] * 4


def test_a_finite_fill_makes_an_empty_row_uniform_and_a_weak_one_leaves_it_unmasked() -> None:
    unmasked = torch.tensor([3.0, 2, 1, 0]).softmax(0).tolist()
    assert row(torch.full((1, 4), lowest(torch.float32))) == pytest.approx([0.25] * 4)
    assert row(torch.full((1, 4), -1e9)) == pytest.approx([0.25] * 4)
    assert row(torch.full((1, 4), -1e4)) == pytest.approx(unmasked, abs=1e-3)
    assert row(torch.full((1, 4), 1.0)) == pytest.approx(unmasked)  # the check that hid its mistake
    assert row(torch.tensor([[1.0, 1, 0, 0]]))[2] > 0


def test_the_single_query_of_is_causal_sees_only_the_oldest_key() -> None:
    query, key, _ = qkv(generator(11), (1, 1, 1, 5, 4), torch.float32)
    assert weights_of(lambda *inputs: SDPA(*inputs, is_causal=True), query, key).tolist() == [[[[1, 0, 0, 0, 0]]]]


@pytest.mark.parametrize("dtype", [torch.long, torch.uint8, torch.float64, torch.float16])
def test_masks_of_another_dtype_are_refused(dtype: torch.dtype) -> None:
    inputs = qkv(generator(12), (2, 3, 4, 5, 4), torch.float32)
    with pytest.raises(RuntimeError, match="Expected attn_mask dtype to be bool or float or to match query dtype"):
        SDPA(*inputs, torch.ones(4, 5, dtype=dtype))


def test_too_few_axes_are_an_error_unless_two_sizes_agree() -> None:
    words = torch.ones(2, 4, dtype=torch.bool)
    words[0, 3] = False
    right = words[:, None, None, :]
    with pytest.raises(RuntimeError, match="must match"):
        SDPA(*qkv(generator(13), (2, 3, 3, 4, 4), torch.float32), words)
    for heads, new, mask in ((3, 2, words), (2, 3, words[:, None])):
        inputs = qkv(generator(13), (2, heads, new, 4, 4), torch.float32)
        silent = SDPA(*inputs, mask)
        assert not torch.allclose(silent, SDPA(*inputs, right))


def test_the_order_of_the_key_heads_is_the_difference_between_two_repeats() -> None:
    heads = torch.arange(2)
    assert heads.repeat(2).tolist() == [0, 1, 0, 1]
    assert heads.repeat_interleave(2).tolist() == [0, 0, 1, 1]


# --- what the cases hold ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("function", ["sdpa_reference", "grouped_query_attention"])
def test_every_row_of_every_case_has_an_allowed_key(function: str, seed: int) -> None:
    exam = examination(f"sdpa.{function}", seed)
    for case in (*exam.cases, exam.small, exam.large):
        mask = case.keywords.get("attn_mask") if function == "sdpa_reference" else case.arguments[3]
        if mask is not None:
            allowed = mask if mask.dtype == torch.bool else mask > lowest(mask.dtype) / 2
            assert bool(allowed.any(-1).all()), case.about


@pytest.mark.parametrize("seed", range(10))
def test_the_reference_s_own_cases_are_ones_that_torch_takes(seed: int) -> None:
    exam = examination("sdpa.sdpa_reference", seed)
    for case, expected in zip(exam.cases, exam.expected, strict=True):
        if isinstance(expected, Raised):
            assert expected.types[0] == "ValueError"
            continue
        assert isinstance(expected, Returned)
        close(expected.value, SDPA(*case.arguments, **case.keywords))


def test_the_order_is_that_of_teaching() -> None:
    assert list(ORACLES) == [
        "sdpa_reference",
        "safe_sdpa",
        "mha_to_sdpa_mask",
        "cached_causal_attention",
        "choose_sdpa_arguments",
        "combine_additive",
        "grouped_query_attention",
    ]
    assert [found.function for found in specs(["sdpa"]) if found.practice] == [
        "mha_to_sdpa_mask",
        "grouped_query_attention",
    ]
    assert "scaled_dot_product_attention" not in inspect.getsource(SOLUTIONS["safe_sdpa"])
