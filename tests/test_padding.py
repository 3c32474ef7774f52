"""The functions of `padding`: oracle and solution on drawn inputs, and torch and Transformers as the judges."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook.grading.judge import difference
from workbook.specs import specs
from workbook.specs.specification import attention_mask as mask_of
from workbook.topic_files import load_solution

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
ORACLES = {spec.function: spec.oracle for spec in specs(["padding"])}
SOLUTIONS = {name: getattr(load_solution("padding"), name) for name in ORACLES}
#: Both must answer to torch and Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])

sizes = st.integers(0, 5)
sides = st.sampled_from(["right", "left"])
dtypes = st.sampled_from(FLOATS)
seeds = st.integers(0, 2**31)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def attention_masks(draw: st.DrawFn, shortest: int = 0, batch: Any = sizes, sequence: Any = sizes) -> Tensor:
    """1 = real token: rows of their own lengths, each padded on a side of its own."""
    rows, width = draw(batch), draw(sequence)
    mask = mask_of([draw(st.integers(min(shortest, width), width)) for _ in range(rows)], width)
    flipped = torch.tensor([draw(sides) == "left" for _ in range(rows)], dtype=torch.bool)
    return torch.where(flipped[:, None], mask.flip(1), mask)


@st.composite
def bools(draw: st.DrawFn, max_axes: int = 4) -> Tensor:
    return torch.rand(draw(st.lists(sizes, max_size=max_axes)), generator=generator(draw(seeds))) < 0.5


@st.composite
def scored(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Scores and what is allowed of them, in every shape that broadcasts, each row with an allowed key."""
    batch, heads, query = draw(sizes), draw(sizes), draw(sizes)
    key = draw(st.integers(1, 5))
    rng, spread = generator(draw(seeds)), draw(st.sampled_from([1.0, 30.0, 1e3]))
    dtype = draw(dtypes)
    scores = (torch.randn(batch, heads, query, key, generator=rng) * spread).to(dtype)
    shape = (*(size if draw(st.booleans()) else 1 for size in (batch, heads, query)), key)
    shape = shape[draw(st.integers(0, 3)) :]
    allowed = torch.rand(shape, generator=rng) < 0.5
    if allowed.numel():
        allowed |= torch.rand(shape, generator=rng).argsort(-1) == 0
    return scores, allowed


@st.composite
def attended(draw: st.DrawFn, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mask = draw(attention_masks(shortest=1, sequence=st.integers(1, 5)))
    batch, key_length = mask.shape
    heads, query_length, dim, value_dim = draw(sizes), draw(sizes), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    rng = generator(draw(seeds))
    query = torch.randn(batch, heads, query_length, dim, generator=rng)
    key = torch.randn(batch, heads, key_length, dim, generator=rng)
    value = torch.randn(batch, heads, key_length, value_dim, generator=rng)
    return query.to(dtype), key.to(dtype), value.to(dtype), mask


@st.composite
def pooled(draw: st.DrawFn, shortest_sequence: int = 0) -> tuple[Tensor, Tensor]:
    mask = draw(attention_masks(sequence=st.integers(shortest_sequence, 5)))
    hidden = torch.randn(*mask.shape, draw(st.integers(1, 3)), generator=generator(draw(seeds)))
    return hidden.to(draw(dtypes)), mask


def agree(name: str, *arguments: Any) -> None:
    """The solution gives the oracle's answer: structure, shape, dtype and values, in the judge's own tolerance."""
    found = difference(ORACLES[name](*arguments), SOLUTIONS[name](*arguments))
    assert found is None, found


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(attention_masks(), st.integers(-2, 9), seeds)
def test_padding_mask_agrees_with_its_oracle(mask: Tensor, pad: int, seed: int) -> None:
    words = torch.randint(-3, 10, mask.shape, generator=generator(seed))
    agree("padding_mask", torch.where(mask == 1, words, pad), pad)


@given(st.lists(sizes, min_size=1, max_size=5), st.none() | sizes, sides)
def test_attention_mask_from_lengths_agrees_with_its_oracle(
    lengths: list[int], max_length: int | None, side: str
) -> None:
    arguments = (torch.tensor(lengths), max_length, side)
    if max_length is not None and max(lengths) > max_length:
        for functions in (ORACLES, SOLUTIONS):
            with pytest.raises(ValueError, match="lengths"):
                functions["attention_mask_from_lengths"](*arguments)
    else:
        agree("attention_mask_from_lengths", *arguments)


@BOTH
@pytest.mark.parametrize(
    "arguments",
    [([1, -1], 3, "right"), ([-1], None, "left"), ([1], 3, "middle"), ([1], 3, "RIGHT"), ([4], 3, "left"), ([1], 0)],
)
def test_attention_mask_from_lengths_refuses_what_is_no_length_or_side(functions: Any, arguments: Any) -> None:
    with pytest.raises(ValueError, match=r"lengths|padding_side"):
        functions["attention_mask_from_lengths"](torch.tensor(arguments[0]), *arguments[1:])


@given(attention_masks(), sizes, sizes)
def test_expand_padding_mask_agrees_with_its_oracle(mask: Tensor, heads: int, queries: int) -> None:
    agree("expand_padding_mask", mask, heads, queries)


@given(bools(), st.sampled_from([*FLOATS, torch.float64]))
def test_additive_mask_agrees_with_its_oracle(allowed: Tensor, dtype: torch.dtype) -> None:
    agree("additive_mask", allowed, dtype)


@given(scored())
def test_masked_softmax_agrees_with_its_oracle(inputs: tuple[Tensor, Tensor]) -> None:
    agree("masked_softmax", *inputs)


@given(attended())
def test_padded_attention_agrees_with_its_oracle(inputs: tuple[Tensor, ...]) -> None:
    agree("padded_attention", *inputs)


@given(pooled())
def test_masked_mean_agrees_with_its_oracle(inputs: tuple[Tensor, Tensor]) -> None:
    agree("masked_mean", *inputs)


@given(pooled(shortest_sequence=1))
def test_last_token_pool_agrees_with_its_oracle(inputs: tuple[Tensor, Tensor]) -> None:
    agree("last_token_pool", *inputs)


@given(attention_masks(), st.sampled_from([*FLOATS, torch.float64]))
def test_extended_attention_mask_agrees_with_its_oracle(mask: Tensor, dtype: torch.dtype) -> None:
    agree("extended_attention_mask", mask, dtype)


# --- torch and Transformers as the judges ----------------------------------------------------------------------------


@BOTH
@given(lengths=st.lists(st.integers(0, 6), min_size=1, max_size=5), side=sides)
def test_attention_mask_from_lengths_is_pad_sequence_of_ones(functions: Any, lengths: list[int], side: str) -> None:
    ones = [torch.ones(length, dtype=torch.long) for length in lengths]
    padded = torch.nn.utils.rnn.pad_sequence(ones, batch_first=True, padding_side=side)
    assert torch.equal(functions["attention_mask_from_lengths"](torch.tensor(lengths), None, side), padded)


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_padding_mask_and_lengths_are_what_a_tokenizers_pad_gives(functions: Any, side: str) -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    words = WordLevel({"<pad>": 7, "I": 3, "like": 0, "tea": 5}, unk_token="<pad>")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), pad_token="<pad>", padding_side=side)
    batch = tokenizer.pad({"input_ids": [[3, 0, 5], [3], [5, 0]]}, return_tensors="pt")
    assert torch.equal(functions["padding_mask"](batch["input_ids"], 7), batch["attention_mask"] == 0)
    lengths = torch.tensor([3, 1, 2])
    assert torch.equal(functions["attention_mask_from_lengths"](lengths, None, side), batch["attention_mask"])


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_expand_padding_mask_is_the_bidirectional_mask_of_transformers(functions: Any, side: str) -> None:
    from transformers import BertConfig
    from transformers.masking_utils import create_bidirectional_mask

    mask = mask_of([2, 5, 1], 5, side)
    config = BertConfig(hidden_size=12, num_attention_heads=4, num_hidden_layers=1, intermediate_size=12)
    config._attn_implementation = "sdpa"
    theirs = create_bidirectional_mask(config=config, inputs_embeds=torch.zeros(3, 5, 12), attention_mask=mask)
    assert isinstance(theirs, Tensor)
    assert theirs.dtype == torch.bool
    ours = functions["expand_padding_mask"](mask, 4, 5)
    assert torch.equal(theirs.expand(3, 4, 5, 5), ours)


@BOTH
@given(mask=attention_masks(), heads=sizes, queries=sizes)
def test_expand_padding_mask_hides_columns_only(functions: Any, mask: Tensor, heads: int, queries: int) -> None:
    allowed = functions["expand_padding_mask"](mask, heads, queries)
    assert allowed.shape == (mask.shape[0], heads, queries, mask.shape[1])
    assert torch.equal(allowed, (mask == 1)[:, None, None, :].expand_as(allowed))


@BOTH
@pytest.mark.parametrize("dtype", FLOATS)
def test_additive_mask_is_the_eager_mask_of_transformers(functions: Any, dtype: torch.dtype) -> None:
    from transformers import BertConfig
    from transformers.masking_utils import create_bidirectional_mask

    mask = mask_of([2, 4], 4)
    config = BertConfig(hidden_size=12, num_attention_heads=4, num_hidden_layers=1, intermediate_size=12)
    config._attn_implementation = "eager"
    embeddings = torch.zeros(2, 4, 12, dtype=dtype)
    theirs = create_bidirectional_mask(config=config, inputs_embeds=embeddings, attention_mask=mask)
    assert isinstance(theirs, Tensor)
    allowed = functions["expand_padding_mask"](mask, 1, 4)
    assert torch.equal(theirs.expand(2, 1, 4, 4), functions["additive_mask"](allowed, dtype))


@BOTH
@given(allowed=bools(), dtype=dtypes)
def test_an_additive_mask_holds_two_finite_numbers_of_its_dtype(
    functions: Any, allowed: Tensor, dtype: torch.dtype
) -> None:
    additive = functions["additive_mask"](allowed, dtype)
    assert additive.dtype == dtype
    assert bool(additive.isfinite().all())
    assert bool((additive[allowed] == 0).all())
    assert bool((additive[~allowed] == torch.finfo(dtype).min).all())


@BOTH
@given(inputs=scored())
def test_masked_softmax_is_sdpa_of_the_identity(functions: Any, inputs: tuple[Tensor, Tensor]) -> None:
    """The scores come from `scores @ identity`, the weights go through `weights @ identity`: what is left is softmax."""
    scores, allowed = inputs[0].float(), inputs[1]
    identity = torch.eye(scores.shape[-1]).expand(*scores.shape[:2], -1, -1)
    theirs = F.scaled_dot_product_attention(scores, identity, identity, attn_mask=allowed.expand_as(scores), scale=1.0)
    torch.testing.assert_close(functions["masked_softmax"](scores, allowed), theirs, rtol=2e-5, atol=2e-5)


@BOTH
@given(inputs=scored())
def test_masked_softmax_shares_out_one_among_the_allowed(functions: Any, inputs: tuple[Tensor, Tensor]) -> None:
    scores, allowed = inputs
    weights = functions["masked_softmax"](scores, allowed)
    assert weights.dtype == scores.dtype
    assert bool((weights[~allowed.expand_as(scores)] == 0).all())
    total = weights.double().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=2e-2)


@BOTH
@given(inputs=attended())
def test_padded_attention_is_sdpa_with_a_bool_mask(functions: Any, inputs: tuple[Tensor, ...]) -> None:
    query, key, value, mask = inputs
    allowed = mask.bool()[:, None, None, :]
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    output, weights = functions["padded_attention"](query, key, value, mask)
    torch.testing.assert_close(output, theirs, rtol=2e-5, atol=2e-5)
    torch.testing.assert_close(weights @ value, theirs, rtol=2e-5, atol=2e-5)


@BOTH
@given(inputs=attended(), seed=seeds)
def test_padding_never_reaches_a_real_token(functions: Any, inputs: tuple[Tensor, ...], seed: int) -> None:
    query, key, value, mask = inputs
    noise = torch.randn(value.shape[0], 1, value.shape[2], 1, generator=generator(seed)) * 50
    padding = (mask == 0)[:, None, :, None]
    before = functions["padded_attention"](query, key, value, mask)
    after = functions["padded_attention"](query, key + padding * noise, value + padding * noise, mask)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


@BOTH
@given(inputs=pooled())
def test_masked_mean_is_the_mean_pooling_of_sentence_transformers(functions: Any, inputs: Any) -> None:
    hidden, mask = inputs
    expanded = mask.unsqueeze(-1).expand(hidden.size()).float()
    theirs = (hidden.float() * expanded).sum(1) / torch.clamp(expanded.sum(1), min=1e-9)
    assert difference(theirs.to(hidden.dtype), functions["masked_mean"](hidden, mask)) is None


@BOTH
@given(inputs=pooled(shortest_sequence=1))
def test_last_token_pool_is_the_row_alone_without_its_padding(functions: Any, inputs: Any) -> None:
    hidden, mask = inputs
    came = functions["last_token_pool"](hidden, mask)
    for row, real, pooled_row in zip(hidden, mask.bool(), came, strict=True):
        assert torch.equal(pooled_row, row[real][-1] if real.any() else torch.zeros_like(pooled_row))


@BOTH
@given(mask=attention_masks(), dtype=dtypes)
def test_extended_attention_mask_is_the_formula_of_transformers_4(functions: Any, mask: Tensor, dtype: Any) -> None:
    theirs = (1.0 - mask[:, None, None, :].to(dtype=dtype)) * torch.finfo(dtype).min
    ours = functions["extended_attention_mask"](mask, dtype)
    assert ours.dtype == dtype
    assert torch.equal(ours, theirs)


@BOTH
def test_extended_attention_mask_prints_as_the_old_documentation_had_it(functions: Any) -> None:
    extended = functions["extended_attention_mask"](torch.tensor([[1, 1, 1, 0, 0]]), torch.float32)
    assert extended.shape == (1, 1, 1, 5)
    assert [f"{number + 0.0:.4e}" for number in extended.flatten().tolist()] == ["0.0000e+00"] * 3 + ["-3.4028e+38"] * 2


@BOTH
def test_the_sentence_of_the_course_comes_out_in_quarters(functions: Any) -> None:
    from workbook.running_example import ATTENTION_MASK, SCORES_A, VALUES_A

    columns = functions["expand_padding_mask"](ATTENTION_MASK[:1], 1, 4)
    weights = functions["masked_softmax"](SCORES_A[None, None], columns)
    wanted = torch.tensor([[0.25, 0.5, 0.25, 0], [0.5, 0.25, 0.25, 0], [0.25, 0.25, 0.5, 0], [1 / 8, 3 / 8, 0.5, 0]])
    torch.testing.assert_close(weights[0, 0], wanted)
    mean = functions["masked_mean"](VALUES_A[None], ATTENTION_MASK[:1])
    torch.testing.assert_close(mean, torch.tensor([[2 / 3, 2 / 3]]))
    assert math.isclose(float(weights[0, 0, 0] @ VALUES_A[:, 0]), 0.5, rel_tol=1e-6)
