"""The functions of `multihead`: oracle and solution on drawn inputs, and torch and Transformers as the judges."""

import inspect
import math
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from workbook import conventions
from workbook.grading.judge import difference
from workbook.specs import multihead, specs
from workbook.specs.specification import attention_mask as mask_of
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
ORACLES = {spec.function: spec.oracle for spec in specs(["multihead"])}
SOLUTIONS = {name: getattr(load_solution("multihead"), name) for name in ORACLES}
#: Both must answer to torch and Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])
EVERY_CONVENTION = pytest.mark.parametrize("convention", conventions.CONVENTIONS)

sizes = st.integers(0, 4)
some = st.integers(1, 4)
dtypes = st.sampled_from(FLOATS)
seeds = st.integers(0, 2**31)
sides = st.sampled_from(["right", "left"])


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lowest(dtype: torch.dtype) -> float:
    return torch.finfo(dtype).min


@st.composite
def bools(draw: st.DrawFn, max_axes: int = 4) -> Tensor:
    return torch.rand(draw(st.lists(sizes, max_size=max_axes)), generator=generator(draw(seeds))) < 0.5


@st.composite
def additives(draw: st.DrawFn, dtype: torch.dtype | None = None) -> Tensor:
    """Biases of all sizes of a dtype, what hides among them, and both neighbours of the border."""
    dtype = draw(dtypes) if dtype is None else dtype
    border = torch.tensor(lowest(dtype) / 2, dtype=dtype)
    step = torch.finfo(dtype).eps
    special = st.sampled_from(
        [0.0, -math.inf, lowest(dtype), *(float(border * factor) for factor in (0.5, 1 - step, 1, 1 + step))]
    )
    number = special | st.floats(lowest(dtype), 100.0, width=16 if dtype == torch.float16 else 32)
    return torch.tensor(draw(st.lists(number, max_size=6)), dtype=torch.float64).to(dtype)


@st.composite
def paddings(draw: st.DrawFn, batch: Any = sizes, keys: Any = sizes, scattered: bool = True) -> Tensor:
    """True = padding: at an end or anywhere; the first key is never padding unless the rows are ``scattered``."""
    rows, width, rng = draw(batch), draw(keys), generator(draw(seeds))
    padding = torch.rand(rows, width, generator=rng) < 0.4
    if not scattered:
        padding[:, :1] = False
    return padding


@st.composite
def attended(draw: st.DrawFn, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """A call of multi-head attention with every combination of masks; the first key is never hidden.

    In float64, so that a difference is a mistake and no rounding, unless another dtype is asked for.
    """
    rng = generator(draw(seeds))
    batch, query_length, key_length, num_heads, head_dim = (draw(some) for _ in range(5))
    dim = num_heads * head_dim
    query = torch.randn(batch, query_length, dim, generator=rng).to(dtype)
    key, value = (torch.randn(batch, key_length, dim, generator=rng).to(dtype) for _ in range(2))
    padding = draw(st.none() | paddings(st.just(batch), st.just(key_length), scattered=False))
    kind = draw(st.sampled_from(["none", "bool", "float"]))
    shape = (*((batch * num_heads,) if draw(st.booleans()) else ()), query_length, key_length)
    hidden = torch.rand(shape, generator=rng) < 0.4
    hidden[..., :1] = False
    mask: Tensor | None = None
    if kind == "bool":
        mask = hidden
    elif kind == "float":
        fill = draw(st.sampled_from([-math.inf, lowest(torch.float32)]))
        mask = torch.randn(shape, generator=rng).masked_fill(hidden, fill).to(dtype)
    return {"inputs": (query, key, value), "num_heads": num_heads, "padding": padding, "mask": mask}


@st.composite
def masks(draw: st.DrawFn) -> tuple[Tensor | None, Tensor | None, int]:
    """What `merge_masks` takes: each mask or none, bool or float of any dtype, for all or per head, any length."""
    batch, num_heads, query_length, key_length = draw(sizes), draw(some), draw(sizes), draw(sizes)
    padding = draw(st.none() | paddings(st.just(batch), st.just(key_length)))
    shape = (*((batch * num_heads,) if draw(st.booleans()) else ()), query_length, key_length)
    rng = generator(draw(seeds))
    hidden = torch.rand(shape, generator=rng) < 0.4
    biases = torch.randn(shape, generator=rng).masked_fill(hidden, -math.inf)
    return padding, draw(st.sampled_from([None, hidden, biases.to(draw(dtypes))])), num_heads


def agree(name: str, *arguments: Any) -> None:
    """The solution gives the oracle's answer: structure, shape, dtype and values, in the judge's own tolerance."""
    found = difference(ORACLES[name](*arguments), SOLUTIONS[name](*arguments))
    assert found is None, found


def module_of(dim: int, num_heads: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> nn.MultiheadAttention:
    """A module whose biases are not 0, as a fresh one's are: a forgotten bias would not show."""
    module = nn.MultiheadAttention(dim, num_heads, batch_first=True, dtype=dtype)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)) * 0.7)
    return module


def weights_of(module: nn.MultiheadAttention) -> multihead.MultiheadWeights:
    weight, bias = module.in_proj_weight, module.in_proj_bias
    return multihead.MultiheadWeights(weight, bias, module.out_proj.weight, module.out_proj.bias)


@pytest.fixture(autouse=True)
def mixed_masks_are_fine() -> Iterator[None]:
    """torch calls a bool beside a float mask deprecated, and still merges them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask and attn_mask")
        yield


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(bools(), st.sampled_from(["allowed", "ignore"]))
def test_to_allowed_agrees_with_its_oracle_on_bools(mask: Tensor, convention: str) -> None:
    agree("to_allowed", mask, convention)


@given(bools(), st.sampled_from([torch.long, torch.int32, torch.uint8]))
def test_to_allowed_agrees_with_its_oracle_on_whole_numbers(mask: Tensor, dtype: torch.dtype) -> None:
    agree("to_allowed", mask.to(dtype), "attention_mask")


@given(additives())
def test_to_allowed_agrees_with_its_oracle_on_floats(mask: Tensor) -> None:
    agree("to_allowed", mask, "additive")


@given(bools(), st.sampled_from(conventions.CONVENTIONS), st.sampled_from([*FLOATS, torch.float64]))
def test_from_allowed_agrees_with_its_oracle(allowed: Tensor, convention: str, dtype: torch.dtype) -> None:
    agree("from_allowed", allowed, convention, dtype)


@given(paddings(), some, sizes)
def test_key_padding_to_attn_mask_agrees_with_its_oracle(padding: Tensor, heads: int, queries: int) -> None:
    agree("key_padding_to_attn_mask", padding, heads, queries)


@given(masks())
def test_merge_masks_agrees_with_its_oracle(arguments: Any) -> None:
    agree("merge_masks", *arguments)


@given(sizes, sizes, st.lists(st.integers(1, 6), min_size=1, max_size=4))
def test_per_head_windows_agrees_with_its_oracle(batch: int, length: int, windows: list[int]) -> None:
    agree("per_head_windows", batch, length, windows)
    agree("per_head_windows", batch, length, tuple(windows), "cpu")


@given(sizes, sizes, sizes, st.integers(-1, 3), seeds)
def test_nn_transformer_masks_agrees_with_its_oracle(batch: int, source: int, target: int, pad: int, seed: int) -> None:
    rng = generator(seed)
    ids = [torch.randint(-1, 4, (batch, length), generator=rng) for length in (source, target)]
    agree("nn_transformer_masks", *ids, pad)


@given(attended())
def test_multi_head_attention_agrees_with_its_oracle(call: dict[str, Any]) -> None:
    weights = weights_of(module_of(call["inputs"][0].shape[-1], call["num_heads"]))
    agree("multi_head_attention", *call["inputs"], weights, call["num_heads"], call["padding"], call["mask"])


@BOTH
@pytest.mark.parametrize("convention", ["padding", "additve", "", "mask"])
@pytest.mark.parametrize("mask", [torch.tensor([True]), torch.tensor([0.0]), torch.tensor([1])])
def test_to_allowed_refuses_another_convention_by_its_name(functions: Any, mask: Tensor, convention: str) -> None:
    with pytest.raises(ValueError, match=f"convention is '{convention}'"):
        functions["to_allowed"](mask, convention)


def test_the_given_tuple_is_the_same_everywhere() -> None:
    source = inspect.getsource(multihead.MultiheadWeights)
    assert source in topic_source("multihead")
    assert source in inspect.getsource(load_solution("multihead"))
    fields = multihead.MultiheadWeights._fields
    assert fields == ("in_proj_weight", "in_proj_bias", "out_proj_weight", "out_proj_bias")


# --- the four conventions --------------------------------------------------------------------------------------------


@BOTH
@EVERY_CONVENTION
@given(allowed=bools(), dtype=dtypes)
def test_there_and_back_is_nothing_done(functions: Any, convention: str, allowed: Tensor, dtype: torch.dtype) -> None:
    there = functions["from_allowed"](allowed, convention, dtype)
    assert torch.equal(functions["to_allowed"](there, convention), allowed)


@BOTH
@EVERY_CONVENTION
@given(allowed=bools(), dtype=dtypes)
def test_the_conventions_are_the_courses_own(functions: Any, convention: str, allowed: Tensor, dtype: Any) -> None:
    ours = functions["from_allowed"](allowed, convention, dtype)
    theirs = conventions.from_allowed(allowed, convention, dtype)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)
    assert torch.equal(functions["to_allowed"](theirs, convention), conventions.to_allowed(theirs, convention))


@BOTH
@given(mask=additives())
def test_ignored_is_what_lies_at_or_below_half_of_the_minimum(functions: Any, mask: Tensor) -> None:
    ignored = [number <= lowest(mask.dtype) / 2 for number in mask.double().tolist()]
    assert functions["to_allowed"](mask, "additive").tolist() == [not hidden for hidden in ignored]


@BOTH
@pytest.mark.parametrize(
    ("number", "dtype", "seen"),
    [
        (-1e4, torch.float32, True),
        (-1e4, torch.float16, True),
        (-65504.0, torch.float32, True),
        (-65504.0, torch.float16, False),
        (lowest(torch.bfloat16), torch.bfloat16, False),
        (lowest(torch.bfloat16), torch.float32, False),
        (-math.inf, torch.float16, False),
        (-100.0, torch.bfloat16, True),
    ],
)
def test_how_much_is_minus_infinity_depends_on_the_dtype(functions: Any, number: float, dtype: Any, seen: bool) -> None:
    assert functions["to_allowed"](torch.tensor(number, dtype=dtype), "additive").item() is seen


@BOTH
@pytest.mark.parametrize("length", [0, 1, 4])
def test_to_allowed_reads_torchs_own_causal_mask(functions: Any, length: int) -> None:
    theirs = nn.Transformer.generate_square_subsequent_mask(length)
    assert torch.equal(functions["to_allowed"](theirs, "additive"), torch.ones(length, length, dtype=torch.bool).tril())


@BOTH
@pytest.mark.parametrize("dtype", FLOATS)
def test_from_allowed_writes_the_eager_mask_of_transformers(functions: Any, dtype: torch.dtype) -> None:
    from transformers import BertConfig
    from transformers.masking_utils import create_bidirectional_mask

    mask = mask_of([2, 4], 4)
    config = BertConfig(hidden_size=12, num_attention_heads=4, num_hidden_layers=1, intermediate_size=12)
    config._attn_implementation = "eager"
    embeddings = torch.zeros(2, 4, 12, dtype=dtype)
    theirs = create_bidirectional_mask(config=config, inputs_embeds=embeddings, attention_mask=mask)
    assert isinstance(theirs, Tensor)
    allowed = functions["to_allowed"](mask, "attention_mask")[:, None, None, :].expand(-1, 1, 4, -1)
    assert torch.equal(theirs.expand(2, 1, 4, 4), functions["from_allowed"](allowed, "additive", dtype))


@BOTH
@given(seed=seeds)
def test_one_mask_in_four_conventions_gives_one_answer(functions: Any, seed: int) -> None:
    """`allowed` and `additive` as SDPA takes them, `ignore` as `nn.MultiheadAttention` does, 1/0 counted by hand."""
    rng = generator(seed)
    allowed = torch.rand(3, 4, generator=rng) < 0.5
    allowed[:, 0] = True
    scores = torch.randn(3, 4, generator=rng)
    write = functions["from_allowed"]
    one = scores.masked_fill(~write(allowed, "allowed"), -math.inf).softmax(-1)
    two = scores.masked_fill(write(allowed, "ignore"), -math.inf).softmax(-1)
    three = scores.exp() * write(allowed, "attention_mask")
    four = (scores + write(allowed, "additive")).softmax(-1)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(one, three / three.sum(-1, keepdim=True))
    torch.testing.assert_close(one, four)


# --- nn.MultiheadAttention as the judge ------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 5e-4)])
@given(data=st.data(), seed=seeds)
def test_multi_head_attention_is_nn_multihead_attention(
    functions: Any, dtype: torch.dtype, tolerance: float, data: st.DataObject, seed: int
) -> None:
    call = data.draw(attended(dtype))
    query, key, value = call["inputs"]
    module = module_of(query.shape[-1], call["num_heads"], seed, dtype)
    theirs = module(query, key, value, key_padding_mask=call["padding"], attn_mask=call["mask"])
    ours = functions["multi_head_attention"](
        query, key, value, weights_of(module), call["num_heads"], call["padding"], call["mask"]
    )
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)
    if dtype == torch.float64:  # in float32, a very small share may be 0 for one of them
        assert torch.equal(ours[1] == 0, theirs[1] == 0)


@BOTH
@given(call=attended())
@settings(max_examples=30)
def test_the_gradients_are_those_of_nn_multihead_attention(functions: Any, call: dict[str, Any]) -> None:
    module = module_of(call["inputs"][0].shape[-1], call["num_heads"])
    found = []
    for attend in (
        lambda *inputs: module(*inputs, key_padding_mask=call["padding"], attn_mask=call["mask"]),
        lambda *inputs: functions["multi_head_attention"](
            *inputs, weights_of(module), call["num_heads"], call["padding"], call["mask"]
        ),
    ):
        module.zero_grad()
        inputs = [vectors.clone().requires_grad_() for vectors in call["inputs"]]
        output, mean = attend(*inputs)
        ((output**2).sum() + (mean**2).sum()).backward()
        found.append([tensor.grad for tensor in (*inputs, *module.parameters())])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@BOTH
@given(arguments=masks())
def test_merge_masks_is_the_mask_inside_nn_multihead_attention(functions: Any, arguments: Any) -> None:
    """What torch adds to its scores is caught on the way; where it is −∞, and its biases, are what we merged."""
    padding, mask, num_heads = arguments
    if padding is None and mask is None:
        assert functions["merge_masks"](None, None, num_heads) is None
        return
    key_length = padding.shape[1] if padding is not None else mask.shape[-1]
    query_length = mask.shape[-2] if mask is not None else 3
    per_head = mask is not None and mask.dim() == 3
    batch = padding.shape[0] if padding is not None else mask.shape[0] // num_heads if per_head else 2
    module = nn.MultiheadAttention(2 * num_heads, num_heads, batch_first=True)
    caught: list[Tensor] = []
    baddbmm = torch.baddbmm

    def catch(added: Tensor, *factors: Tensor) -> Tensor:
        caught.append(added)
        return baddbmm(added, *factors)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "baddbmm", catch)
        query, key = (torch.zeros(batch, length, 2 * num_heads) for length in (query_length, key_length))
        theirs = mask.float() if mask is not None and mask.is_floating_point() else mask
        module(query, key, key, key_padding_mask=padding, attn_mask=theirs)
    merged = functions["merge_masks"](*arguments)
    as_floats = (
        merged.float() if merged.is_floating_point() else torch.zeros(merged.shape).masked_fill(merged, -math.inf)
    )
    assert merged.dtype == (mask.dtype if mask is not None else torch.bool)
    assert torch.equal(as_floats.reshape(caught[0].shape), caught[0])


@BOTH
@given(call=attended())
def test_a_merged_mask_does_what_the_two_did(functions: Any, call: dict[str, Any]) -> None:
    query, key, value = call["inputs"]
    module = module_of(query.shape[-1], call["num_heads"])
    merged = functions["merge_masks"](call["padding"], call["mask"], call["num_heads"])
    if merged is not None and merged.dim() == 3:
        merged = merged.expand(-1, query.shape[1], -1)
    one = module(query, key, value, key_padding_mask=call["padding"], attn_mask=call["mask"])
    other = module(query, key, value, attn_mask=merged)
    for this, that in zip(one, other, strict=True):
        torch.testing.assert_close(this, that)


@BOTH
@given(batch=some, queries=some, keys=some, heads=some, data=st.data())
def test_a_3d_attn_mask_does_what_key_padding_mask_does(
    functions: Any, batch: int, queries: int, keys: int, heads: int, data: st.DataObject
) -> None:
    padding = data.draw(paddings(st.just(batch), st.just(keys), scattered=False))
    module = module_of(2 * heads, heads)
    query, key = (torch.randn(batch, length, 2 * heads, generator=generator(1)).double() for length in (queries, keys))
    emulated = functions["key_padding_to_attn_mask"](padding, heads, queries)
    one = module(query, key, key, key_padding_mask=padding)
    other = module(query, key, key, attn_mask=emulated)
    for this, that in zip(one, other, strict=True):
        torch.testing.assert_close(this, that)


@BOTH
@given(padding=paddings(), heads=some, queries=sizes)
def test_a_row_of_the_3d_mask_is_b_times_heads_plus_h(
    functions: Any, padding: Tensor, heads: int, queries: int
) -> None:
    mask = functions["key_padding_to_attn_mask"](padding, heads, queries)
    assert mask.shape == (len(padding) * heads, queries, padding.shape[1])
    for b in range(len(padding)):
        for h in range(heads):
            assert torch.equal(mask[b * heads + h], padding[b].expand(queries, -1))


@BOTH
def test_slice_1_of_6_belongs_to_sentence_0_and_head_1(functions: Any) -> None:
    module = module_of(24, 3)
    words = torch.randn(2, 4, 24, generator=generator(3)).double()
    mask = torch.zeros(6, 4, 4, dtype=torch.bool)
    mask[1, :, 2] = True
    weights = module(words, words, words, attn_mask=mask, average_attn_weights=False)[1]
    assert (weights == 0).nonzero()[:, :2].unique(dim=0).tolist() == [[0, 1]]
    mean = functions["multi_head_attention"](words, words, words, weights_of(module), 3, None, mask)[1]
    torch.testing.assert_close(mean, weights.mean(1), rtol=2e-5, atol=2e-5)


@BOTH
@given(batch=some, length=some, windows=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_each_head_looks_through_its_own_window(functions: Any, batch: int, length: int, windows: list[int]) -> None:
    heads = len(windows)
    mask = functions["per_head_windows"](batch, length, windows)
    module = module_of(2 * heads, heads)
    words = torch.randn(batch, length, 2 * heads, generator=generator(4)).double()
    weights = module(words, words, words, attn_mask=mask, average_attn_weights=False)[1]
    for h, window in enumerate(windows):
        for query in range(length):
            seen = weights[:, h, query].nonzero()[:, 1].unique().tolist()
            assert seen == list(range(max(0, query - window + 1), query + 1))


@BOTH
@given(batch=sizes, length=sizes, windows=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_a_window_is_that_of_transformers(functions: Any, batch: int, length: int, windows: list[int]) -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    mask = functions["per_head_windows"](batch, length, windows)
    position = torch.arange(length)
    for row, own in enumerate(mask):
        sees = sliding_window_causal_mask_function(windows[row % len(windows)])
        assert torch.equal(~own, sees(None, None, position[:, None], position[None, :]).expand(length, length))


@BOTH
@given(call=attended(), seed=seeds)
def test_padding_never_reaches_an_output(functions: Any, call: dict[str, Any], seed: int) -> None:
    query, key, value = call["inputs"]
    if call["padding"] is None:
        return
    weights = weights_of(module_of(query.shape[-1], call["num_heads"]))
    noise = torch.randn(key.shape, generator=generator(seed)) * 20 * call["padding"][:, :, None]
    rest = (weights, call["num_heads"], call["padding"], call["mask"])
    before = functions["multi_head_attention"](query, key, value, *rest)
    after = functions["multi_head_attention"](query, key + noise, value + noise, *rest)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@BOTH
def test_a_bias_of_ln_half_halves_the_odds_and_hides_nothing(functions: Any) -> None:
    """¼ ½ ¼ with the last word's odds halved is 2/7 4/7 1/7."""
    weights = multihead.MultiheadWeights(torch.zeros(3, 1), torch.zeros(3), torch.eye(1), torch.zeros(1))
    words = torch.zeros(1, 3, 1)
    bias = torch.tensor([1.0, 2.0, 0.5]).log().expand(3, 3)
    mean = functions["multi_head_attention"](words, words, words, weights, 1, None, bias)[1]
    torch.testing.assert_close(mean[0, 0], torch.tensor([2 / 7, 4 / 7, 1 / 7]))


# --- nn.Transformer as the judge -------------------------------------------------------------------------------------


def translator(num_heads: int = 2) -> tuple[nn.Transformer, nn.Embedding]:
    torch.manual_seed(0)
    model = nn.Transformer(
        d_model=8, nhead=num_heads, num_encoder_layers=2, num_decoder_layers=2, dim_feedforward=8, dropout=0.0,
        batch_first=True,
    )  # fmt: skip
    return model, nn.Embedding(20, 8)


@BOTH
@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("pad", [0, 7])
@given(data=st.data())
@settings(max_examples=25)
def test_a_padded_batch_is_translated_as_its_sentences_are_one_by_one(
    functions: Any, training: bool, pad: int, data: st.DataObject
) -> None:
    batch = data.draw(st.integers(1, 3))
    rng = generator(data.draw(seeds))
    lengths = [[data.draw(some) for _ in range(batch)] for _ in range(2)]
    width = [max(sizes) + data.draw(st.integers(0, 2)) for sizes in lengths]
    ids = [
        torch.where(mask_of(sizes, wide) == 1, torch.randint(8, 20, (batch, wide), generator=rng), pad)
        for sizes, wide in zip(lengths, width, strict=True)
    ]
    model, embedding = translator()
    model.train(training)
    with torch.set_grad_enabled(training):
        together = model(*map(embedding, ids), **functions["nn_transformer_masks"](*ids, pad))
        for row in range(batch):
            source, target = (part[row : row + 1, : sizes[row]] for part, sizes in zip(ids, lengths, strict=True))
            triangle = nn.Transformer.generate_square_subsequent_mask(target.shape[1])
            alone = model(embedding(source), embedding(target), tgt_mask=triangle)
            torch.testing.assert_close(together[row : row + 1, : target.shape[1]], alone, rtol=1e-4, atol=1e-4)


@BOTH
@pytest.mark.parametrize("missing", ["src_key_padding_mask", "memory_key_padding_mask", "tgt_mask"])
def test_each_mask_of_a_right_padded_batch_is_needed(functions: Any, missing: str) -> None:
    """All but the target's padding, which the triangle hides from every real word when it stands on the right."""
    source = torch.tensor([[9, 10, 11, 0], [12, 13, 14, 15]])
    target = torch.tensor([[9, 10, 11, 12, 0], [13, 14, 15, 16, 17]])
    model, embedding = translator()
    masks = functions["nn_transformer_masks"](source, target, 0)
    right = model(embedding(source), embedding(target), **masks)[0, :4]
    without = model(embedding(source), embedding(target), **{**masks, missing: None})[0, :4]
    assert float((right - without).detach().abs().max()) > 1e-3
    same = model(embedding(source), embedding(target), **{**masks, "tgt_key_padding_mask": None})[0, :4]
    torch.testing.assert_close(right, same, rtol=1e-5, atol=1e-5)


@BOTH
@given(length=sizes)
def test_the_triangle_is_torchs_own_as_bools(functions: Any, length: int) -> None:
    masks = functions["nn_transformer_masks"](torch.zeros(2, 3, dtype=torch.long), torch.ones(2, length).long(), 0)
    theirs = nn.Transformer.generate_square_subsequent_mask(length)
    assert torch.equal(masks["tgt_mask"], theirs == -math.inf)
    assert set(masks) <= set(inspect.signature(nn.Transformer.forward).parameters)


@BOTH
def test_the_two_sentences_of_the_course(functions: Any) -> None:
    from workbook.running_example import ATTENTION_MASK

    padding = ATTENTION_MASK == 0
    triangle = torch.ones(4, 4, dtype=torch.bool).triu(1)
    merged = functions["merge_masks"](padding, triangle, 3)
    assert (~merged).sum((1, 2)).tolist() == [9, 9, 9, 10, 10, 10]
    output = F.scaled_dot_product_attention(*(torch.eye(4).expand(6, -1, -1),) * 3, attn_mask=~merged)
    assert torch.equal(output != 0, ~merged)
