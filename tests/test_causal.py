"""The functions of `causal`: oracle and solution on drawn inputs, and torch and Transformers as the judges."""

import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor

from workbook.grading.judge import difference, examination
from workbook.grading.runner import FUNCTIONS, as_function
from workbook.probes import who_moved
from workbook.specs import causal as specification
from workbook.specs import specs
from workbook.specs.specification import FunctionArgument
from workbook.specs.specification import attention_mask as mask_of
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution

FLOATS = (torch.float32, torch.float16, torch.bfloat16)
ORACLES = {spec.function: spec.oracle for spec in specs(["causal"])}
SOLUTIONS = {name: getattr(load_solution("causal"), name) for name in ORACLES}
#: Both must answer to torch and Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])

sizes = st.integers(0, 6)
sides = st.sampled_from(["right", "left"])
dtypes = st.sampled_from(FLOATS)
seeds = st.integers(0, 2**31)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def attention_masks(draw: st.DrawFn, batch: Any = sizes, sequence: Any = sizes) -> Tensor:
    """1 = real token: padding on either side, or anywhere."""
    rows, width = draw(batch), draw(sequence)
    if draw(st.booleans()):
        return mask_of([draw(st.integers(0, width)) for _ in range(rows)], width, draw(sides))
    return (torch.rand(rows, width, generator=generator(draw(seeds))) < 0.6).long()


@st.composite
def queries_and_keys(draw: st.DrawFn) -> tuple[int, int]:
    query_length = draw(sizes)
    return query_length, query_length + draw(sizes)


@st.composite
def prefixes(draw: st.DrawFn) -> tuple[Tensor, int]:
    sequence = draw(sizes)
    lengths = draw(st.lists(st.integers(0, sequence), max_size=4))
    return torch.tensor(lengths, dtype=torch.long), sequence


@st.composite
def sentences(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    mask = draw(attention_masks())
    return torch.randint(0, 9, mask.shape, generator=generator(draw(seeds))), mask


def agree(name: str, *arguments: Any) -> None:
    """The solution gives the oracle's answer: structure, shape, dtype and values, in the judge's own tolerance."""
    found = difference(ORACLES[name](*arguments), SOLUTIONS[name](*arguments))
    assert found is None, found


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(sizes)
def test_causal_mask_agrees_with_its_oracle(sequence_length: int) -> None:
    agree("causal_mask", sequence_length)


@given(queries_and_keys())
def test_causal_mask_with_past_agrees_with_its_oracle(lengths: tuple[int, int]) -> None:
    agree("causal_mask_with_past", *lengths)


@given(queries_and_keys(), st.integers(1, 14))
def test_sliding_window_mask_agrees_with_its_oracle(lengths: tuple[int, int], window: int) -> None:
    agree("sliding_window_mask", *lengths, window)


@given(prefixes())
def test_prefix_lm_mask_agrees_with_its_oracle(inputs: tuple[Tensor, int]) -> None:
    agree("prefix_lm_mask", *inputs)


@given(attention_masks(), st.sampled_from([*FLOATS, torch.float64]))
def test_decoder_attention_mask_agrees_with_its_oracle(mask: Tensor, dtype: torch.dtype) -> None:
    agree("decoder_attention_mask", mask, dtype)


@given(st.data(), st.integers(1, 4))
def test_encoder_decoder_masks_agrees_with_its_oracle(data: st.DataObject, batch: int) -> None:
    source, target = (data.draw(attention_masks(batch=st.just(batch))) for _ in range(2))
    agree("encoder_decoder_masks", source, target)


@given(attention_masks())
def test_position_ids_agrees_with_its_oracle(mask: Tensor) -> None:
    agree("position_ids", mask)


@given(sentences(), st.sampled_from([-100, -1, 0, 7]))
def test_next_token_labels_agrees_with_its_oracle(inputs: tuple[Tensor, Tensor], ignore_index: int) -> None:
    agree("next_token_labels", *inputs, ignore_index)


@given(sentences(), st.sampled_from([-100, -1, 0, 7]), seeds)
def test_assistant_labels_agrees_with_its_oracle(inputs: tuple[Tensor, Tensor], ignore_index: int, seed: int) -> None:
    written = (torch.rand(inputs[1].shape, generator=generator(seed)) < 0.5).long()
    agree("assistant_labels", *inputs, written, ignore_index)


@pytest.mark.parametrize("seed", range(20))
def test_dependency_matrix_agrees_with_its_oracle(seed: int) -> None:
    for case in examination("causal.dependency_matrix", seed).cases:
        named, inputs = case.arguments
        agree("dependency_matrix", as_function(named), inputs)


@BOTH
@pytest.mark.parametrize("lengths", [(1, 0), (4, 2), (5, 4)])
def test_causal_mask_with_past_refuses_fewer_keys_than_queries(functions: Any, lengths: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"key_length is {lengths[1]}"):
        functions["causal_mask_with_past"](*lengths)


@BOTH
@pytest.mark.parametrize("window", [0, -1, -5])
def test_sliding_window_mask_refuses_a_window_below_1(functions: Any, window: int) -> None:
    with pytest.raises(ValueError, match=f"sliding_window is {window}"):
        functions["sliding_window_mask"](3, 5, window)


@BOTH
@pytest.mark.parametrize("device", [None, "cpu", torch.device("cpu"), "meta"])
def test_the_constructors_make_their_mask_where_they_are_told(functions: Any, device: Any) -> None:
    wanted = "cpu" if device is None else torch.device(device).type
    for name, lengths in (("causal_mask", (3,)), ("causal_mask_with_past", (3, 5)), ("sliding_window_mask", (3, 5, 2))):
        assert functions[name](*lengths, device=device).device.type == wanted
        assert functions[name](*lengths, device).device.type == wanted


def test_the_three_files_define_one_named_tuple() -> None:
    learners: dict[str, Any] = {"__name__": "workbook.exercises.causal"}
    exec(specification.HEADER, learners)
    classes = (
        specification.EncoderDecoderMasks,
        load_solution("causal").EncoderDecoderMasks,
        learners["EncoderDecoderMasks"],
    )
    assert len({kind.__name__ for kind in classes}) == 1
    assert len({kind._fields for kind in classes}) == 1
    assert len({inspect.getdoc(kind) for kind in classes}) == 1
    assert inspect.getsource(specification.EncoderDecoderMasks).strip() in topic_source("causal")


# --- torch and Transformers as the judges ----------------------------------------------------------------------------


def seen_by_sdpa(query_length: int, key_length: int, **masked: Any) -> Tensor:
    """Which keys each query of SDPA sees: with scores of 0 and an identity as values, the weights come out."""
    query, key = torch.zeros(1, 1, query_length, key_length), torch.zeros(1, 1, key_length, key_length)
    return F.scaled_dot_product_attention(query, key, torch.eye(key_length)[None, None], **masked)[0, 0] > 0


def seen_by_transformers(query_length: int, key_length: int, rule: Any = None) -> Tensor:
    from transformers.masking_utils import causal_mask_function, sdpa_mask

    mask = sdpa_mask(
        batch_size=1,
        q_length=query_length,
        kv_length=key_length,
        q_offset=key_length - query_length,
        mask_function=rule or causal_mask_function,
        allow_is_causal_skip=False,
    )
    assert isinstance(mask, Tensor)
    return mask[0, 0]


def decoder_config(attention: str = "eager") -> Any:
    from transformers import LlamaConfig

    config = LlamaConfig(
        vocab_size=16,
        hidden_size=12,
        intermediate_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
    )
    config._attn_implementation = attention
    return config


@BOTH
@pytest.mark.parametrize("length", [1, 2, 5])
def test_causal_mask_is_what_is_causal_does(functions: Any, length: int) -> None:
    mask = functions["causal_mask"](length)
    assert torch.equal(mask, seen_by_sdpa(length, length, is_causal=True))
    added = torch.nn.Transformer.generate_square_subsequent_mask(length)
    assert torch.equal(mask, added == 0)


@BOTH
@given(lengths=queries_and_keys())
def test_causal_mask_with_past_is_the_causal_mask_of_transformers(functions: Any, lengths: tuple[int, int]) -> None:
    assume(min(lengths) > 0)
    assert torch.equal(functions["causal_mask_with_past"](*lengths), seen_by_transformers(*lengths))


@BOTH
@pytest.mark.parametrize("lengths", [(1, 5), (2, 5), (3, 3), (2, 4)])
def test_causal_mask_with_past_is_torchs_lower_right_and_not_is_causal(
    functions: Any, lengths: tuple[int, int]
) -> None:
    from torch.nn.attention.bias import causal_lower_right

    mask = functions["causal_mask_with_past"](*lengths)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = causal_lower_right(*lengths)
    assert torch.equal(mask, seen_by_sdpa(*lengths, attn_mask=theirs))
    top_left = seen_by_sdpa(*lengths, is_causal=True)
    assert torch.equal(mask, top_left) is (lengths[0] == lengths[1])


@BOTH
@given(lengths=queries_and_keys())
def test_a_cached_chunk_is_the_last_rows_of_the_whole(functions: Any, lengths: tuple[int, int]) -> None:
    query_length, key_length = lengths
    whole = functions["causal_mask"](key_length)
    assert torch.equal(functions["causal_mask_with_past"](*lengths), whole[key_length - query_length :])


@BOTH
@given(lengths=queries_and_keys(), window=st.integers(1, 9))
def test_sliding_window_mask_is_the_overlay_of_transformers(
    functions: Any, lengths: tuple[int, int], window: int
) -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    assume(min(lengths) > 0)
    theirs = seen_by_transformers(*lengths, sliding_window_causal_mask_function(window))
    assert torch.equal(functions["sliding_window_mask"](*lengths, window), theirs)


@BOTH
@given(lengths=queries_and_keys(), window=st.integers(1, 14))
def test_a_window_shows_so_many_keys_and_a_wide_one_all(functions: Any, lengths: tuple[int, int], window: int) -> None:
    query_length, key_length = lengths
    mask = functions["sliding_window_mask"](query_length, key_length, window)
    place = torch.arange(key_length - query_length, key_length)
    assert torch.equal(mask.sum(1), (place + 1).clamp(max=window))
    assert bool(mask[torch.arange(query_length), place].all())
    if window >= key_length:
        assert torch.equal(mask, functions["causal_mask_with_past"](query_length, key_length))


@BOTH
@given(inputs=prefixes())
def test_prefix_lm_mask_is_transformers_triangle_or_the_prefix(functions: Any, inputs: tuple[Tensor, int]) -> None:
    from transformers.masking_utils import causal_mask_function, or_masks

    prefix_lengths, sequence = inputs
    assume(sequence > 0)
    mask = functions["prefix_lm_mask"](prefix_lengths, sequence)
    assert mask.shape == (len(prefix_lengths), 1, sequence, sequence)
    for row, prefix in zip(mask, prefix_lengths.tolist(), strict=True):
        rule = or_masks(causal_mask_function, lambda b, h, q, k, prefix=prefix: k < prefix)
        assert torch.equal(row[0], seen_by_transformers(sequence, sequence, rule))


@BOTH
@given(mask=attention_masks(batch=st.integers(1, 3), sequence=st.integers(1, 6)), dtype=dtypes)
def test_decoder_attention_mask_is_the_eager_mask_of_transformers(
    functions: Any, mask: Tensor, dtype: torch.dtype
) -> None:
    from transformers.masking_utils import create_causal_mask

    theirs = create_causal_mask(
        config=decoder_config(),
        inputs_embeds=torch.zeros(*mask.shape, 12, dtype=dtype),
        attention_mask=mask,
        past_key_values=None,
    )
    assert isinstance(theirs, Tensor)
    ours = functions["decoder_attention_mask"](mask, dtype)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


@BOTH
@given(mask=attention_masks(), dtype=dtypes)
def test_a_decoder_mask_holds_two_finite_numbers_of_its_dtype(functions: Any, mask: Tensor, dtype: torch.dtype) -> None:
    added = functions["decoder_attention_mask"](mask, dtype)
    assert bool(added.isfinite().all())
    assert set(added.unique().tolist()) <= {0.0, torch.finfo(dtype).min}
    # What must not be done: where both hide, two minima are no number any more.
    lowest = torch.full((), torch.finfo(dtype).min, dtype=dtype)
    assert bool((lowest + lowest).isinf())


@BOTH
def test_rows_before_the_first_real_token_are_the_minimum_throughout(functions: Any) -> None:
    added = functions["decoder_attention_mask"](mask_of([2], 4, "left"), torch.float32)[0, 0]
    assert torch.equal(added[:2], torch.full((2, 4), torch.finfo(torch.float32).min))


@BOTH
@given(mask=attention_masks(batch=st.integers(1, 3), sequence=st.integers(1, 5)), seed=seeds)
def test_real_tokens_of_a_decoder_see_neither_padding_nor_future(functions: Any, mask: Tensor, seed: int) -> None:
    """Rows of a softmax over noise: weight only where the key is real and not later, and 1 in all."""
    added = functions["decoder_attention_mask"](mask, torch.float32)
    scores = torch.randn(mask.shape[0], 1, mask.shape[1], mask.shape[1], generator=generator(seed))
    weights = (scores + added).softmax(-1)
    rows = (mask == 1)[:, None, :, None]
    hidden = (mask == 0)[:, None, None, :] | functions["causal_mask"](mask.shape[1]).logical_not()
    assert bool((weights.masked_fill(~rows, 0)[hidden.expand_as(weights)] == 0).all())


@BOTH
def test_the_three_masks_serve_an_nn_transformer(functions: Any) -> None:
    """`nn.Transformer` wants True = ignore: turned over, our masks give what its own arguments give."""
    torch.manual_seed(0)
    model = torch.nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True)
    source_mask, target_mask = mask_of([3, 4], 4), mask_of([5, 6], 6)
    source, target = torch.randn(2, 4, 8), torch.randn(2, 6, 8)
    masks = functions["encoder_decoder_masks"](source_mask, target_mask)
    assert type(masks).__name__ == "EncoderDecoderMasks"
    assert [tuple(mask.shape) for mask in masks] == [(2, 1, 1, 4), (2, 1, 6, 6), (2, 1, 1, 4)]
    theirs = model(
        source,
        target,
        tgt_mask=~functions["causal_mask"](6),
        src_key_padding_mask=source_mask == 0,
        tgt_key_padding_mask=target_mask == 0,
        memory_key_padding_mask=source_mask == 0,
    )
    encoder, decoder = model.encoder.layers[0], model.decoder.layers[0]

    def spread(mask: Tensor, queries: int) -> Tensor:
        return ~mask.expand(-1, 2, queries, -1).flatten(0, 1)

    memory = encoder.norm1(source + _attention(encoder.self_attn, source, source, spread(masks.encoder_self, 4)))
    memory = model.encoder.norm(encoder.norm2(memory + encoder._ff_block(memory)))
    ours = decoder.norm1(target + _attention(decoder.self_attn, target, target, spread(masks.decoder_self, 6)))
    ours = decoder.norm2(ours + _attention(decoder.multihead_attn, ours, memory, spread(masks.cross, 6)))
    ours = model.decoder.norm(decoder.norm3(ours + decoder._ff_block(ours)))
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def _attention(module: torch.nn.MultiheadAttention, query: Tensor, key: Tensor, ignored: Tensor) -> Tensor:
    output: Tensor = module(query, key, key, attn_mask=ignored, need_weights=False)[0]
    return output


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_position_ids_are_those_of_transformers_generation_but_at_padding(functions: Any, side: str) -> None:
    """GPT-2 puts 1 at padding while generating; where there is a token, the two agree."""
    mask = mask_of([3, 5, 1], 5, side)
    theirs = mask.long().cumsum(-1) - 1
    theirs.masked_fill_(mask == 0, 1)
    ours = functions["position_ids"](mask)
    assert torch.equal(ours[mask == 1], theirs[mask == 1])
    assert bool((ours[mask == 0] == 0).all())


@BOTH
@given(mask=attention_masks())
def test_position_ids_count_each_row_as_if_it_had_no_padding(functions: Any, mask: Tensor) -> None:
    ours = functions["position_ids"](mask)
    assert ours.dtype == torch.long
    for row, real in zip(ours, mask.bool(), strict=True):
        assert torch.equal(row[real], torch.arange(int(real.sum())))
        assert bool((row[~real] == 0).all())


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_a_padded_batch_answers_as_each_sentence_alone_with_these_positions_and_masks(
    functions: Any, side: str
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=16, n_positions=8, n_embd=8, n_layer=2, n_head=2)
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()
    mask = mask_of([3, 4], 4, side)
    ids = torch.where(mask == 1, torch.tensor([[3, 5, 6, 6], [4, 5, 7, 8]]), 0)
    with torch.no_grad():
        added = functions["decoder_attention_mask"](mask, torch.float32)
        batch = model(ids, attention_mask=added, position_ids=functions["position_ids"](mask)).logits
        for row in range(2):
            alone = model(ids[row : row + 1, mask[row] == 1]).logits[0]
            torch.testing.assert_close(batch[row, mask[row] == 1], alone, rtol=1e-4, atol=1e-4)


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_next_token_labels_give_the_loss_of_each_sentence_alone(functions: Any, side: str) -> None:
    mask = mask_of([3, 5, 2], 5, side)
    ids = torch.randint(0, 9, mask.shape, generator=generator(1))
    logits = torch.randn(*mask.shape, 9, generator=generator(2))
    labels = functions["next_token_labels"](ids, mask)
    ours = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
    alone = sum(
        F.cross_entropy(row[real][:-1], words[real][1:], reduction="sum")
        for row, words, real in zip(logits, ids, mask.bool(), strict=True)
    )
    torch.testing.assert_close(ours, alone)


@BOTH
def test_next_token_labels_are_what_transformers_shifts_inside_under_padding_on_the_right(functions: Any) -> None:
    from transformers.loss.loss_utils import ForCausalLMLoss

    mask = mask_of([3, 5, 2], 5)
    ids = torch.randint(0, 9, mask.shape, generator=generator(3))
    logits = torch.randn(*mask.shape, 9, generator=generator(4))
    theirs = ForCausalLMLoss(logits, ids.masked_fill(mask == 0, -100), vocab_size=9)
    labels = functions["next_token_labels"](ids, mask)
    torch.testing.assert_close(F.cross_entropy(logits.flatten(0, 1), labels.flatten()), theirs)


@BOTH
@given(inputs=sentences(), ignore_index=st.sampled_from([-100, -1]), seed=seeds)
def test_assistant_labels_are_some_of_the_next_token_labels(
    functions: Any, inputs: tuple[Tensor, Tensor], ignore_index: int, seed: int
) -> None:
    ids, mask = inputs
    written = (torch.rand(mask.shape, generator=generator(seed)) < 0.5).long()
    every = functions["next_token_labels"](ids, mask, ignore_index)
    ours = functions["assistant_labels"](ids, mask, written, ignore_index)
    rest = functions["assistant_labels"](ids, mask, 1 - written, ignore_index)
    assert torch.equal(functions["assistant_labels"](ids, mask, torch.ones_like(mask), ignore_index), every)
    # Each label is learned from the assistant or from the other, from one of the two exactly.
    assert torch.equal(torch.where(ours == ignore_index, rest, ours), every)
    assert not bool(((ours != ignore_index) & (rest != ignore_index)).any())


@BOTH
def test_the_answers_first_token_is_asked_of_the_questions_last(functions: Any) -> None:
    chat = torch.tensor([[1, 3, 5, 6, 2, 9, 11, 12, 13, 2]])
    written = torch.tensor([[0] * 5 + [1] * 5])
    labels = functions["assistant_labels"](chat, torch.ones_like(chat), written)
    assert labels.tolist() == [[-100] * 4 + [9, 11, 12, 13, 2, -100]]


# --- dependency_matrix -----------------------------------------------------------------------------------------------


@BOTH
@given(mask=st.integers(1, 6), dim=st.integers(1, 4), seed=seeds)
def test_dependency_of_causal_attention_is_the_causal_mask(functions: Any, mask: int, dim: int, seed: int) -> None:
    rng = generator(seed)
    weights = tuple(torch.randn(dim, dim, generator=rng) / 4 + torch.eye(dim) for _ in range(3))
    attention = as_function(FunctionArgument("attention", (functions["causal_mask"](mask), *weights)))
    inputs = torch.rand(mask, dim, generator=rng)
    assert torch.equal(functions["dependency_matrix"](attention, inputs), functions["causal_mask"](mask))


@BOTH
@pytest.mark.parametrize("layers", [1, 2, 3])
def test_a_window_reaches_further_with_every_layer(functions: Any, layers: int) -> None:
    rng = generator(0)
    weights = tuple(torch.randn(4, 4, generator=rng) / 4 + torch.eye(4) for _ in range(3))
    attention = as_function(FunctionArgument("attention", (functions["sliding_window_mask"](8, 8, 3), *weights)))

    def stack(x: Tensor) -> Tensor:
        for _ in range(layers):
            x = x + attention(x)
        return x

    seen = functions["dependency_matrix"](stack, torch.rand(8, 4, generator=rng))
    assert torch.equal(seen, functions["sliding_window_mask"](8, 8, layers * 2 + 1))


@BOTH
@pytest.mark.parametrize(
    "name", ["attention", "two layers of attention", "word by word", "running sum", "previous word"]
)
def test_dependency_matrix_and_a_nudge_say_the_same_of_a_smooth_function(functions: Any, name: str) -> None:
    for case in examination("causal.dependency_matrix", 0).cases:
        named, inputs = case.arguments
        if named.function == name:
            function = as_function(named)
            assert torch.equal(functions["dependency_matrix"](function, inputs), who_moved(function, inputs))


@BOTH
def test_dependency_matrix_and_a_nudge_differ_where_something_is_detached(functions: Any) -> None:
    inputs = torch.randn(4, 3, generator=generator(0))
    by_gradient, by_nudge = functions["dependency_matrix"], who_moved
    triangle, diagonal = functions["causal_mask"](4), torch.eye(4, dtype=torch.bool)
    assert torch.equal(by_gradient(FUNCTIONS["detached past"], inputs), diagonal)
    assert torch.equal(by_nudge(FUNCTIONS["detached past"], inputs), triangle)
    assert torch.equal(by_gradient(FUNCTIONS["straight through"], inputs), triangle)
    assert not bool(by_nudge(FUNCTIONS["straight through"], inputs).any())


@BOTH
def test_dependency_matrix_sees_a_layer_norm_whose_sum_has_no_gradient(functions: Any) -> None:
    inputs = torch.randn(4, 5, generator=generator(0), requires_grad=True)
    (of_the_sum,) = torch.autograd.grad(FUNCTIONS["layer norm"](inputs).sum(), inputs)
    assert bool((of_the_sum.abs() < 1e-5).all())
    seen = functions["dependency_matrix"](FUNCTIONS["layer norm"], inputs.detach())
    assert torch.equal(seen, torch.eye(4, dtype=torch.bool))


@BOTH
@pytest.mark.parametrize("seed", range(20))
def test_gradients_are_clearly_zero_or_clearly_not(functions: Any, seed: int) -> None:
    """A learner may compare with 0 or with a small number, up to 1e-5: no case lies between, and one lies not far above."""
    for case in examination("causal.dependency_matrix", seed).cases:
        named, inputs = case.arguments
        function = as_function(named)
        size = torch.autograd.functional.jacobian(function, inputs).abs().amax((1, 3))
        faint = case.about == "a faint dependence"
        assert bool(((size == 0) | (size > (2e-5 if faint else 1e-2))).all()), case.about
        assert bool((size < 1e-4).all()) == faint
        assert torch.equal(functions["dependency_matrix"](function, inputs), size > 1e-5)


@BOTH
def test_dependency_matrix_leaves_its_inputs_alone_and_works_under_no_grad(functions: Any) -> None:
    inputs = torch.randn(3, 2, generator=generator(0))
    kept = inputs.clone()
    with torch.no_grad():
        seen = functions["dependency_matrix"](FUNCTIONS["running sum"], inputs)
    assert torch.equal(seen, functions["causal_mask"](3))
    assert torch.equal(inputs, kept)
    assert not inputs.requires_grad
