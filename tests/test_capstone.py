"""The functions of `capstone`: oracle and solution on drawn inputs, torch and Transformers as judges, and the faults given."""

import inspect
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from workbook.grading import judge as judging
from workbook.grading.judge import Here, answer, difference, examination, examine
from workbook.grading.runner import Returned, as_function
from workbook.grading.worker import Worker
from workbook.specs import Spec, capstone, specs
from workbook.specs.capstone import MultiheadWeights, attention
from workbook.specs.specification import attention_mask as mask_of
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution

ORACLES = {spec.function: spec.oracle for spec in specs(["capstone"])}
SOLUTIONS = {name: getattr(load_solution("capstone"), name) for name in ORACLES}
BUGGY = {spec.function: spec.given for spec in specs(["capstone"]) if spec.given is not None}
#: Both must answer to torch and Transformers: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])
EVERY_BUG = pytest.mark.parametrize(
    "spec", [spec for spec in specs(["capstone"]) if spec.given], ids=lambda spec: spec.name
)
LOWEST = torch.finfo(torch.float16).min

some = st.integers(1, 4)
seeds = st.integers(0, 2**31)
sides = st.sampled_from(["right", "left"])


def exam_of(name: str) -> judging.Examination:
    return examination(f"capstone.{name}", 0)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@st.composite
def masks(draw: st.DrawFn, batch: int | None = None, width: int | None = None, side: str | None = None) -> Tensor:
    """A tokenizer's mask, padded on one side; no sentence is empty."""
    batch, width = batch or draw(some), width or draw(st.integers(1, 6))
    lengths = draw(st.lists(st.integers(1, width), min_size=batch, max_size=batch))
    return mask_of(lengths, width, side or draw(sides))


def layer_of(rng: torch.Generator, dim: int, num_heads: int) -> tuple[MultiheadWeights, nn.MultiheadAttention]:
    """Drawn weights, and torch's own module that holds them."""
    module = nn.MultiheadAttention(dim, num_heads, batch_first=True).eval()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=rng) * 0.4)
    weights = MultiheadWeights(
        module.in_proj_weight.detach(),
        module.in_proj_bias.detach(),
        module.out_proj.weight.detach(),
        module.out_proj.bias.detach(),
    )
    return weights, module


@st.composite
def encoders(draw: st.DrawFn) -> tuple[tuple[Tensor, Tensor, list[MultiheadWeights], int], list[nn.MultiheadAttention]]:
    """What `encoder_forward` takes, and torch's modules of the same weights."""
    rng, mask, heads = generator(draw(seeds)), draw(masks()), draw(st.sampled_from([1, 2, 3]))
    layers = [layer_of(rng, 6, heads) for _ in range(draw(st.integers(1, 3)))]
    hidden = torch.randn(*mask.shape, 6, generator=rng)
    return (hidden, mask, [weights for weights, _ in layers], heads), [module for _, module in layers]


@st.composite
def crossings(draw: st.DrawFn) -> tuple[tuple[Any, ...], nn.MultiheadAttention]:
    """What `cross_attention` takes, of equal widths and of others, and torch's module of the same weights."""
    rng, source, heads = generator(draw(seeds)), draw(masks()), draw(st.sampled_from([1, 2, 3]))
    target = draw(masks(len(source), draw(st.sampled_from([source.shape[1], draw(st.integers(1, 6))]))))
    query, memory = (torch.randn(*mask.shape, 6, generator=rng) for mask in (target, source))
    weights, module = layer_of(rng, 6, heads)
    return (query, memory, source, target, weights, heads), module


@st.composite
def halves(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """What `half_precision_scores` takes; biases from small to −∞, in shapes that broadcast."""
    rng, shape = generator(draw(seeds)), [draw(some) for _ in range(4)]
    scores = (torch.randn(shape, generator=rng) * draw(st.sampled_from([1.0, 50.0, 2e4]))).clamp(-6e4, 6e4).half()
    allowed = torch.rand([draw(st.sampled_from([size, 1])) for size in shape], generator=rng) < 0.6
    shape = [draw(st.sampled_from([size, 1])) for size in shape][draw(st.integers(0, 3)) :]
    bias = -torch.rand(shape, generator=rng).mul(draw(st.sampled_from([1.0, 100.0, 6e4]))).half()
    kind = torch.randint(0, 5, shape, generator=rng)
    return scores, allowed, bias.masked_fill(kind == 0, LOWEST).masked_fill(kind == 1, -torch.inf)


@st.composite
def steps(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    rng, mask, heads = generator(draw(seeds)), draw(masks()), draw(some)
    sizes = [(len(mask), heads, length, 4) for length in (1, mask.shape[1], mask.shape[1])]
    query, key, value = (torch.randn(size, generator=rng) for size in sizes)
    return query, key, value, mask


@st.composite
def packings(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor]:
    """What `packed_loss` takes: runs of documents and of padding; some token is asked for."""
    rng, length = generator(draw(seeds)), draw(st.integers(2, 9))
    rows = [[3] * length]
    for _ in range(draw(st.integers(0, 2))):
        runs = draw(st.lists(st.tuples(st.integers(-1, 3), st.integers(1, 4)), min_size=length, max_size=length))
        rows.append([document for document, size in runs for _ in range(size)][:length])
    documents = torch.tensor(rows)
    ids = torch.randint(0, 5, documents.shape, generator=rng)
    return torch.randn(*documents.shape, 5, generator=rng), ids, documents


def close(one: Tensor, other: Tensor, tolerance: float = 2e-5) -> None:
    torch.testing.assert_close(one, other, rtol=tolerance, atol=tolerance)


def agree(name: str, *arguments: Any) -> None:
    found = difference(ORACLES[name](*arguments), SOLUTIONS[name](*arguments), tolerance=1e-4)
    assert found is None, found


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(encoders())
def test_encoder_forward_agrees_with_its_oracle(drawn: Any) -> None:
    agree("encoder_forward", *drawn[0])


@given(crossings())
def test_cross_attention_agrees_with_its_oracle(drawn: Any) -> None:
    agree("cross_attention", *drawn[0])


@given(halves())
def test_half_precision_scores_agrees_with_its_oracle(call: Any) -> None:
    one, other = (functions["half_precision_scores"](*call) for functions in (ORACLES, SOLUTIONS))
    assert difference(one, other, reading="additive") is None


@given(steps())
def test_decode_step_agrees_with_its_oracle(call: Any) -> None:
    agree("decode_step", *call)


@given(masks(side="left"), some)
def test_left_padded_positions_agrees_with_its_oracle(mask: Tensor, new_tokens: int) -> None:
    agree("left_padded_positions", mask, new_tokens)


@given(packings())
def test_packed_loss_agrees_with_its_oracle(call: Any) -> None:
    agree("packed_loss", *call)


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=6), min_size=1, max_size=4), sides, seeds)
def test_batch_equals_single_agrees_with_its_oracle(rows: list[list[int]], side: str, seed: int) -> None:
    words = torch.randn(6, 4, generator=generator(seed))

    def blind(ids: Tensor, mask: Tensor) -> Tensor:
        return words[ids].cumsum(1) @ words.T

    def sharp(ids: Tensor, mask: Tensor) -> Tensor:
        return (words[ids] * mask[:, :, None]).cumsum(1) @ words.T

    sentences = [torch.tensor(row) for row in rows]
    for model in (blind, sharp):
        agree("batch_equals_single", model, sentences, 3, side)
    assert SOLUTIONS["batch_equals_single"](sharp, sentences, 3, side) is True
    padded_on_the_left = side == "left" and len({len(row) for row in rows}) > 1
    assert SOLUTIONS["batch_equals_single"](blind, sentences, 3, side) is not padded_on_the_left


# --- encoder and decoder: torch's modules are the judges --------------------------------------------------------------


@given(crossings())
def test_the_helper_is_multihead_attention(drawn: Any) -> None:
    (query, memory, source, _, weights, heads), module = drawn
    theirs = module(query, memory, memory, key_padding_mask=source == 0, need_weights=False)[0]
    close(attention(query, memory, weights, heads, source == 0), theirs)
    theirs = module(query, memory, memory, need_weights=False)[0]
    close(attention(query, memory, weights, heads), theirs)


def test_the_helper_of_the_learners_file_and_of_the_solution_is_that_of_the_specification() -> None:
    source = inspect.getsource(attention)
    assert source in topic_source("capstone")
    assert source in inspect.getsource(load_solution("capstone"))


@BOTH
@given(drawn=encoders())
def test_encoder_forward_is_a_loop_over_multihead_attention(functions: Any, drawn: Any) -> None:
    call, modules = drawn
    hidden, mask = call[0], call[1]
    for module in modules:
        hidden = hidden + module(hidden, hidden, hidden, key_padding_mask=mask == 0, need_weights=False)[0]
    close(functions["encoder_forward"](*call), hidden.detach())


@BOTH
@given(drawn=encoders(), seed=seeds)
@settings(max_examples=50)
def test_padding_never_reaches_a_real_token_however_many_layers(functions: Any, drawn: Any, seed: int) -> None:
    (hidden, mask, *more), _ = drawn
    noise = torch.randn(hidden.shape, generator=generator(seed)) * 9
    before = functions["encoder_forward"](hidden, mask, *more)
    after = functions["encoder_forward"](torch.where(mask[:, :, None] == 1, hidden, noise), mask, *more)
    close(before[mask == 1], after[mask == 1])


@BOTH
@given(drawn=encoders())
@settings(max_examples=50)
def test_no_gradient_comes_from_a_real_row_to_the_padding(functions: Any, drawn: Any) -> None:
    (hidden, mask, *more), _ = drawn
    leaf = hidden.clone().requires_grad_()
    functions["encoder_forward"](leaf, mask, *more)[mask == 1].square().sum().backward()
    assert leaf.grad is not None
    assert bool(leaf.grad.isfinite().all())
    assert bool((leaf.grad[mask == 0] == 0).all())
    assert bool((leaf.grad[mask == 1] != 0).any())


@BOTH
@given(drawn=crossings())
def test_cross_attention_is_multihead_attention_over_the_source(functions: Any, drawn: Any) -> None:
    call, module = drawn
    query, memory, source = call[:3]
    theirs = module(query, memory, memory, key_padding_mask=source == 0, need_weights=False)[0].detach()
    close(functions["cross_attention"](*call), theirs)


@BOTH
@given(drawn=crossings(), seed=seeds)
@settings(max_examples=50)
def test_neither_source_padding_nor_the_targets_mask_moves_the_translation(
    functions: Any, drawn: Any, seed: int
) -> None:
    (query, memory, source, target, *more), _ = drawn
    noise = torch.randn(memory.shape, generator=generator(seed)) * 9
    other = torch.where(source[:, :, None] == 1, memory, noise)
    before = functions["cross_attention"](query, memory, source, target, *more)
    close(functions["cross_attention"](query, other, source, 1 - target, *more), before)


# --- half precision --------------------------------------------------------------------------------------------------


@BOTH
@given(call=halves())
def test_half_precision_scores_are_finite_and_what_float64_says(functions: Any, call: Any) -> None:
    scores, allowed, bias = call
    found = functions["half_precision_scores"](scores, allowed, bias)
    assert found.dtype == torch.float16
    assert bool(found.isfinite().all())
    exact = (scores.double() + bias.double()).clamp(min=LOWEST).half()
    assert torch.equal(found, torch.where(allowed, exact, LOWEST))


@BOTH
@given(call=halves())
@settings(max_examples=50)
def test_their_softmax_is_a_number_in_every_row_and_0_where_hidden(functions: Any, call: Any) -> None:
    scores, allowed, bias = call
    found = functions["half_precision_scores"](scores, allowed, bias)
    shares = found.softmax(-1)
    assert bool(shares.isfinite().all())
    seen = torch.broadcast_to(allowed, scores.shape)
    leads = found.amax(-1, keepdim=True) > LOWEST + 64  # some allowed key of the row is above the floor
    assert bool((shares[~seen & leads] == 0).all())


def test_what_the_given_code_makes_of_such_scores() -> None:
    scores, bias = torch.zeros(1, 1, 2, 2).half(), torch.tensor([0.0, LOWEST]).half()
    allowed = torch.tensor([[False, False], [True, True]])
    found = BUGGY["half_precision_scores"](scores, allowed, bias)
    assert bool((found[0, 0, 0] == -torch.inf).all())
    assert bool(found.softmax(-1)[0, 0, 0].isnan().all())
    half_mended = BUGGY["half_precision_scores"](scores - 40, torch.ones_like(allowed), bias)
    assert half_mended[0, 0, 0, 1] == -torch.inf  # allowed, and no mask at work but the bias


# --- decoding --------------------------------------------------------------------------------------------------------


@BOTH
@given(call=steps(), seed=seeds)
def test_decode_step_is_the_last_row_of_the_whole_causal_pass(functions: Any, call: Any, seed: int) -> None:
    query, key, value, mask = call
    length = key.shape[2]
    earlier = torch.randn(*key.shape[:2], length - 1, 4, generator=generator(seed))
    mask = mask.flip(1) if bool((mask[:, -1] == 0).any()) else mask  # the newest position is a word
    allowed = torch.ones(length, length, dtype=torch.bool).tril() & (mask == 1)[:, None, None, :]
    whole = F.scaled_dot_product_attention(torch.cat([earlier, query], 2), key, value, attn_mask=allowed)
    close(functions["decode_step"](query, key, value, mask), whole[:, :, -1:])


@BOTH
@given(call=steps(), seed=seeds)
@settings(max_examples=50)
def test_what_the_cache_holds_at_padding_is_never_read(functions: Any, call: Any, seed: int) -> None:
    query, key, value, mask = call
    noise = torch.randn(key.shape, generator=generator(seed)) * 9
    real = mask[:, None, :, None] == 1
    before = functions["decode_step"](query, key, value, mask)
    close(functions["decode_step"](query, torch.where(real, key, noise), torch.where(real, value, noise), mask), before)


def test_the_given_step_reads_the_first_key_alone() -> None:
    query, key, value = (torch.randn(2, 3, length, 4, generator=generator(length)) for length in (1, 5, 5))
    found = BUGGY["decode_step"](query, key, value, torch.ones(2, 5, dtype=torch.long))
    close(found, value[:, :, :1])


# --- positions -------------------------------------------------------------------------------------------------------


@BOTH
@given(mask=masks(side="left"), new_tokens=some)
def test_positions_are_those_that_transformers_generates_with(functions: Any, mask: Tensor, new_tokens: int) -> None:
    from transformers.generation import GenerationMixin

    def theirs(mask: Tensor) -> Tensor:
        nobody: Any = None  # the method asks nothing of the model it belongs to
        return GenerationMixin._prepare_position_ids_for_generation(nobody, mask, {"attention_mask": mask})

    prompt, steps = functions["left_padded_positions"](mask, new_tokens)
    assert torch.equal(prompt, theirs(mask))
    grown = torch.cat([mask, torch.ones(len(mask), new_tokens, dtype=torch.long)], 1)
    assert torch.equal(steps, theirs(grown)[:, -new_tokens:])


@BOTH
@given(mask=masks(side="left"), new_tokens=some)
def test_a_padded_sentence_has_the_positions_that_it_has_alone(functions: Any, mask: Tensor, new_tokens: int) -> None:
    prompt, steps = functions["left_padded_positions"](mask, new_tokens)
    for row, is_real, later in zip(prompt, mask == 1, steps, strict=True):
        counted = torch.cat([row[is_real], later])
        assert counted.tolist() == list(range(int(is_real.sum()) + new_tokens))


# --- packed documents ------------------------------------------------------------------------------------------------


@BOTH
@given(call=packings())
def test_packed_loss_is_the_loss_of_the_separated_documents(functions: Any, call: Any) -> None:
    logits, ids, documents = call
    total, asked = torch.tensor(0.0), 0
    for scores, tokens, row in zip(logits, ids, documents, strict=True):
        borders = [0, *(t for t in range(1, len(row)) if row[t] != row[t - 1]), len(row)]
        for start, end in pairwise(borders):
            if row[start] != -1 and end - start > 1:
                alone = F.cross_entropy(scores[start : end - 1], tokens[start + 1 : end])
                total, asked = total + alone * (end - start - 1), asked + end - start - 1
    close(functions["packed_loss"](logits, ids, documents), total / asked)


@BOTH
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4).filter(lambda sizes: max(sizes) > 1), seeds)
def test_packed_loss_is_that_of_transformers_collator(functions: Any, sizes: list[int], seed: int) -> None:
    from transformers.data import DataCollatorWithFlattening
    from transformers.loss.loss_utils import ForCausalLMLoss

    rng = generator(seed)
    texts = [torch.randint(0, 5, (size,), generator=rng).tolist() for size in sizes]
    batch = DataCollatorWithFlattening()([{"input_ids": text} for text in texts])
    logits = torch.randn(1, sum(sizes), 5, generator=rng)
    documents = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))[None]
    theirs = ForCausalLMLoss(logits, batch["labels"], 5)
    close(functions["packed_loss"](logits, batch["input_ids"], documents), theirs)


@BOTH
@given(call=packings(), seed=seeds)
@settings(max_examples=50)
def test_no_padding_and_no_border_has_a_say_in_the_loss(functions: Any, call: Any, seed: int) -> None:
    logits, ids, documents = call
    noise = torch.randn(logits.shape, generator=generator(seed))
    asks = (F.pad(documents[:, 1:], (0, 1), value=-1) == documents) & (documents != -1)
    other_ids = torch.where(documents == -1, 4 - ids, ids)
    before = functions["packed_loss"](logits, ids, documents)
    close(functions["packed_loss"](torch.where(asks[:, :, None], logits, noise), other_ids, documents), before)


# --- batch against single --------------------------------------------------------------------------------------------


def tiny(family: str) -> Callable[[Tensor, Tensor], Tensor]:
    """A random model of Transformers, called with ids and mask alone, as the exercise calls it."""
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        BertConfig,
        GPT2Config,
        LlamaConfig,
        PreTrainedConfig,
    )

    sizes: dict[str, Any] = {"vocab_size": 16, "hidden_size": 12, "intermediate_size": 16, "num_hidden_layers": 2}
    configs: dict[str, Callable[[], PreTrainedConfig]] = {
        "llama": lambda: LlamaConfig(**sizes, num_attention_heads=3),
        "gpt2": lambda: GPT2Config(vocab_size=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2),
        "bert": lambda: BertConfig(**sizes, num_attention_heads=3),
    }
    torch.manual_seed(0)
    config = configs[family]()
    config.initializer_range = 0.5  # random models of small weights hardly look at their words
    model = (AutoModelForMaskedLM if family == "bert" else AutoModelForCausalLM).from_config(config).eval()

    def call(ids: Tensor, attention_mask: Tensor) -> Tensor:
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=attention_mask).logits

    return call


ROWS = [torch.tensor(row) for row in ([3, 4, 5], [6, 3, 7, 4, 8], [9, 5])]


@BOTH
@pytest.mark.parametrize(
    ("family", "side", "equal"),
    [
        ("llama", "right", True),
        ("llama", "left", True),
        ("gpt2", "right", True),
        ("gpt2", "left", False),  # it has learned positions and does not count them over the mask
        ("bert", "right", True),
        ("bert", "left", False),
    ],
)
def test_models_of_transformers_in_company(functions: Any, family: str, side: str, equal: bool) -> None:
    model = tiny(family)
    assert functions["batch_equals_single"](model, ROWS, 0, side) is equal
    assert functions["batch_equals_single"](model, [row[:2] for row in ROWS], 0, side) is True
    assert functions["batch_equals_single"](model, ROWS[:1], 0, side) is True


@BOTH
@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_a_mask_that_is_not_handed_on_is_found_out(functions: Any, family: str) -> None:
    model = tiny(family)
    side = "right" if family == "bert" else "left"
    assert not functions["batch_equals_single"](lambda ids, mask: model(ids, torch.ones_like(mask)), ROWS, 0, side)


@BOTH
def test_gpt2_equals_itself_left_padded_once_it_is_told_the_positions(functions: Any) -> None:
    from transformers import AutoModelForCausalLM, GPT2Config

    torch.manual_seed(0)
    config = GPT2Config(vocab_size=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2)
    model = AutoModelForCausalLM.from_config(config).eval()

    def told(ids: Tensor, mask: Tensor) -> Tensor:
        with torch.no_grad():
            places = SOLUTIONS["left_padded_positions"](mask, 1)[0]
            return model(input_ids=ids, attention_mask=mask, position_ids=places).logits

    assert functions["batch_equals_single"](told, ROWS, 0, "left") is True


def test_a_model_that_is_told_with_other_numbers_says_so() -> None:
    named, rows, pad, side = exam_of("batch_equals_single").cases[0].arguments
    model = as_function(named)
    assert ORACLES["batch_equals_single"](model, rows, pad, side) is True
    for told in (lambda ids, mask: model(ids, mask.bool()), lambda ids, mask: model(ids.int(), mask)):
        with pytest.raises(TypeError, match=r"takes (attention_mask|input_ids) as int64, and was given (bool|int32)"):
            ORACLES["batch_equals_single"](told, rows, pad, side)


# --- what the sizes leave free, and what the padding may say ------------------------------------------------------------


def test_a_loop_over_heads_layers_or_new_tokens_is_no_loop() -> None:
    for name, free in (("encoder_forward", -1), ("cross_attention", -1), ("left_padded_positions", -1)):
        exam = exam_of(name)
        assert exam.small.arguments[free] == exam.large.arguments[free]
    small, large = (size.arguments[2] for size in (exam_of("encoder_forward").small, exam_of("encoder_forward").large))
    assert len(small) == len(large)


@pytest.mark.parametrize("name", ["encoder_forward", "cross_attention"])
def test_padding_that_leads_by_far_is_no_matter_of_numerics(name: str) -> None:
    """Right answers in float32 and float64 agree there, and −∞, −1e9 and exact zeros hide alike; −100 does not."""
    case = next(case for case in exam_of(name).cases if case.about == "padding that leads by far")
    wanted = ORACLES[name](*case.arguments)
    wide = [[MultiheadWeights(*(x.double() for x in item[0]))] if isinstance(item, list)
            else MultiheadWeights(*(x.double() for x in item)) if isinstance(item, tuple)
            else item.double() if isinstance(item, Tensor) and item.is_floating_point() else item
            for item in case.arguments]  # fmt: skip
    assert difference(SOLUTIONS[name](*wide).float(), wanted, tolerance=1e-4) is None

    def hidden_by(hides: Callable[[Tensor, Tensor], Tensor]) -> Any:
        attend = capstone._by_hand(hides)
        encoder = capstone._encoder(attend=attend)
        cross = capstone._cross(lambda source, target: source == 0, attend)
        found = {"encoder_forward": encoder, "cross_attention": cross}[name](*case.arguments)
        return difference(wanted, found, tolerance=case.tolerance)

    for number in (-torch.inf, -1e9, -1e4):
        assert hidden_by(lambda scores, ignored, number=number: scores.masked_fill(ignored, number)) is None  # type: ignore[misc]
    assert (
        hidden_by(lambda scores, ignored: (scores.exp() * ~ignored).log()) is None
    )  # powers, multiplied with the mask
    assert hidden_by(lambda scores, ignored: scores.masked_fill(ignored, -100)) is not None
    assert hidden_by(lambda scores, ignored: scores - 100 * ignored) is not None


# --- the faults that are given ----------------------------------------------------------------------------------------


def silently_wrong(spec: Spec, function: Any) -> list[str]:
    """The cases in which a function returns something, of the right shape and dtype, and it is wrong."""
    exam = examination(spec.name, 0)
    outcomes = answer(exam, Here(function)).outcomes
    found = []
    for case, expected, outcome in zip(exam.cases, exam.expected, outcomes, strict=True):
        wrong = judging.outcome_difference(expected, outcome, spec.reading_leaf, spec.reading, case.tolerance)
        if isinstance(outcome, Returned) and wrong is not None:
            assert wrong.aspect == "values"
            found.append(case.about)
    return found


@EVERY_BUG
def test_the_given_code_runs_without_an_error_and_is_wrong(spec: Spec) -> None:
    assert len(silently_wrong(spec, spec.given)) >= 5
    if spec.function != "cross_attention":  # where the two widths differ, its mistake is an error
        outcomes = answer(examination(spec.name, 0), Here(spec.given)).outcomes  # type: ignore[arg-type]
        assert all(isinstance(outcome, Returned) for outcome in outcomes)


@EVERY_BUG
@pytest.mark.parametrize("seed", range(3))
def test_the_given_code_gets_no_points_and_its_own_name(spec: Spec, seed: int) -> None:
    verdict = examine(spec, seed, Here(spec.given))  # type: ignore[arg-type]
    assert (verdict.status, verdict.points, verdict.misconception) == ("wrong", 0, "nothing mended")


@pytest.mark.parametrize("seed", range(3))
def test_an_untouched_file_gets_no_points_in_the_child_process_either(worker: Worker, seed: int) -> None:
    chosen = specs(["capstone"])
    verdicts = worker.grade({"capstone": topic_source("capstone").encode()}, chosen, seed)
    assert [verdict.points for verdict in verdicts] == [0] * len(chosen)
    assert [verdict.misconception for verdict in verdicts] == ["nothing mended"] * 6 + [None]
    assert verdicts[-1].status == "not attempted"


@EVERY_BUG
def test_each_half_of_a_mend_shows_in_cases_that_run_without_an_error(spec: Spec) -> None:
    halves = [known for known in spec.misconceptions if known.name.startswith("only ") and "mended" in known.name]
    if spec.function in ("cross_attention", "left_padded_positions"):  # one fault each, to be mended at one place
        assert not halves
    else:
        assert len(halves) >= 2
    for known in halves:
        for implementation in known.implementations:
            assert silently_wrong(spec, implementation), known.name


def test_the_learners_file_starts_with_the_given_code() -> None:
    source = topic_source("capstone")
    for function in BUGGY.values():
        assert "@exercise\n" + inspect.getsource(function) in source
    assert source.count("NotImplementedError") == 1


def test_the_wanted_is_described_alike_in_the_learners_file_and_the_reference() -> None:
    for name, function in BUGGY.items():
        assert ORACLES[name].__doc__ == function.__doc__
        assert str(inspect.signature(ORACLES[name])) == str(inspect.signature(function))


def test_the_given_encoder_lets_padding_through_from_the_first_layer_on() -> None:
    """Fault by fault: with the polarity mended, the padding still comes in through the second layer."""
    (hidden, mask, layers, heads), _ = examination("capstone.encoder_forward", 0).cases[0].call[:2]
    louder = torch.where(mask[:, :, None] == 1, hidden, hidden * 5)

    def moved(function: Any, number_of_layers: int) -> bool:
        one, other = (function(x, mask, layers[:number_of_layers], heads)[mask == 1] for x in (hidden, louder))
        return not torch.allclose(one, other, atol=1e-4)

    polarity = next(known for known in capstone.ENCODER_FORWARD.misconceptions if known.name == "only polarity mended")
    assert moved(BUGGY["encoder_forward"], 1)
    assert not moved(polarity.implementations[0], 1)
    assert moved(polarity.implementations[0], 2)
    assert not moved(SOLUTIONS["encoder_forward"], 2)
