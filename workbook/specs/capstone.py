"""A transformer to mend: six functions that run without an error and are wrong, and the test that would have told."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook.specs.specification import (
    ALWAYS,
    DEVICE,
    Case,
    FunctionArgument,
    Spec,
    attention_mask,
    coin,
    every_index,
    fill,
    gradients,
    integer,
    lengths,
    lowest_number,
    misconception,
    normal,
    wide,
)


class MultiheadWeights(NamedTuple):
    """The parameters of one `nn.MultiheadAttention`: three projections in one (query, key, value), and the last one."""

    in_proj_weight: Float[Tensor, "3*dim dim"]
    in_proj_bias: Float[Tensor, " 3*dim"]
    out_proj_weight: Float[Tensor, "dim dim"]
    out_proj_bias: Float[Tensor, " dim"]


def attention(
    query: Float[Tensor, "batch target dim"],
    memory: Float[Tensor, "batch source dim"],
    weights: MultiheadWeights,
    num_heads: int,
    key_padding_mask: Bool[Tensor, "batch source"] | None = None,
) -> Float[Tensor, "batch target dim"]:
    """True = ignore in `key_padding_mask`: `nn.MultiheadAttention`, with `memory` as key and value. There is no bug here."""
    parts = zip((query, memory, memory), weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3), strict=True)
    q, k, v = (F.linear(x, w, b).unflatten(-1, (num_heads, -1)).transpose(1, 2) for x, w, b in parts)
    allowed = None if key_padding_mask is None else ~key_padding_mask[:, None, None, :]
    heads = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return F.linear(heads.transpose(1, 2).flatten(2), weights.out_proj_weight, weights.out_proj_bias)


HEADER = '''"""Notebook 07. A transformer to mend: the first six functions run without an error, and each of them is wrong.

Still no Python loop over sentences, heads or positions. One over `layers` is fine, and in `batch_equals_single` one over rows.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


''' + "\n\n".join(inspect.getsource(given) for given in (MultiheadWeights, attention))


def _as_given(given: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Describes an oracle as the wrong code is described that a learner's file starts with: what is wanted is the same."""

    def described(oracle: Callable[..., Any]) -> Callable[..., Any]:
        oracle.__doc__ = given.__doc__
        return oracle

    return described


# --- the course's sentences and drawn inputs --------------------------------------------------------------------------

#: "I like coffee <pad>" and "you like green tea".
SENTENCES = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])


def _unchanging() -> torch.Generator:
    """What draws the same inputs under every seed: for cases that alone tell two mistakes apart."""
    return torch.Generator().manual_seed(7)


def _layer(rng: torch.Generator, dim: int) -> MultiheadWeights:
    """Draw weights that make attention choosy, and its answers smaller than what they are added to: nothing grows wild."""
    in_weight, in_bias = normal(rng, 3 * dim, dim) * dim**-0.5, normal(rng, 3 * dim) / 2
    return MultiheadWeights(in_weight, in_bias, normal(rng, dim, dim) * dim**-0.5 / 2, normal(rng, dim) / 2)


def _vectors(rng: torch.Generator, mask: Tensor, dim: int) -> Tensor:
    """Draw a vector for each position; the padding's are larger, so that a leak is heard."""
    drawn = normal(rng, *mask.shape, dim)
    return torch.where(mask[:, :, None] == 1, drawn, drawn * 2 + 1)


def _far(rng: torch.Generator, mask: Tensor) -> tuple[Tensor, MultiheadWeights]:
    """Vectors, and a layer of two heads in which padding leads by 82 and says so much that a share of e⁻²⁰ is heard.

    It is no lead of thousands: a right answer may take the largest of all scores away, and float32 ends at e⁻¹⁰³.
    """
    dim, drawn = 4, _layer(rng, 4)
    in_weight, in_bias = drawn.in_proj_weight.clone(), torch.zeros(3 * dim)
    in_weight[: 2 * dim], in_weight[dim : 2 * dim, 0] = 0, 1
    in_bias[:dim] = 80 / 2**0.5  # all queries are alike, and the score of a key is 80 times its first number
    vectors, is_real = normal(rng, *mask.shape, dim), mask == 1
    first = torch.where(is_real, vectors[..., 0] / 100 - 1, 1 / 40)
    rest = torch.where(is_real[:, :, None], vectors[..., 1:], vectors[..., 1:] * 1e8)
    return torch.cat([first[:, :, None], rest], -1), drawn._replace(in_proj_weight=in_weight, in_proj_bias=in_bias)


def _by_hand(hides: Callable[[Tensor, Tensor], Tensor]) -> Callable[..., Tensor]:
    """`attention` with the scores in between: ``hides(scores, ignored)`` makes of them what the softmax gets."""

    def answer(query: Tensor, memory: Tensor, weights: MultiheadWeights, num_heads: int, ignored: Tensor) -> Tensor:
        parts = zip((query, memory, memory), *(parameter.chunk(3) for parameter in weights[:2]), strict=True)
        q, k, v = (F.linear(x, w, b).unflatten(-1, (num_heads, -1)).transpose(1, 2) for x, w, b in parts)
        scores = hides(q @ k.mT * q.shape[-1] ** -0.5, ignored[:, None, None, :])
        return F.linear((scores.softmax(-1) @ v).transpose(1, 2).flatten(2), *weights[2:])

    return answer


#: What takes −100 for −∞.
_MINUS_100 = (
    _by_hand(lambda scores, ignored: scores.masked_fill(ignored, -100)),
    _by_hand(lambda scores, ignored: scores - 100 * ignored),
)


# --- encoder_forward -------------------------------------------------------------------------------------------------


def encoder_forward(
    hidden: Float[Tensor, "batch sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
    layers: list[MultiheadWeights],
    num_heads: int,
) -> Float[Tensor, "batch sequence dim"]:
    """1 = real token in `attention_mask`: in every layer each position asks the real tokens, and adds what they answer.

        attention mask   1 1 1 0        who is asked, in every layer:    ■ ■ ■ ⬚    ■ asked
                                                                         ■ ■ ■ ⬚    ⬚ not asked
        hidden → + attention → + attention → … → returned                ■ ■ ■ ⬚
                   layer 0       layer 1                                 ■ ■ ■ ⬚

    Args:
        hidden: the vectors that enter the first layer.
        attention_mask: 1 = real token, 0 = padding, on either side; at least one sentence, and none is empty.
        layers: the weights of each layer, at least one.
        num_heads: how many heads share dim.

    Returns:
        What leaves the last layer. Each layer adds its self-attention to its own input; a padding position asks, too.

    Source: `src_key_padding_mask` of `nn.TransformerEncoder`; the mix-up is that of facebookresearch/detr, issue 96.
    """
    key_padding_mask = attention_mask.bool()
    first, *others = layers
    hidden = hidden + attention(hidden, hidden, first, num_heads, key_padding_mask)
    for weights in others:
        hidden = hidden + attention(hidden, hidden, weights, num_heads)
    return hidden


GIVEN_ENCODER_FORWARD = encoder_forward


@_as_given(GIVEN_ENCODER_FORWARD)  # type: ignore[no-redef]
def encoder_forward(
    hidden: Float[Tensor, "batch sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
    layers: list[MultiheadWeights],
    num_heads: int,
) -> Float[Tensor, "batch sequence dim"]:
    real = _real_places(attention_mask)
    for weights in layers:
        hidden = hidden + torch.cat(
            [
                attention(row[None], row[None, places], weights, num_heads)
                for row, places in zip(hidden, real, strict=True)
            ]
        )
    return hidden


def _real_places(attention_mask: Tensor) -> list[list[int]]:
    """Where the real tokens stand, row by row: an oracle takes them out, so that there is nothing left to mask."""
    return [[place for place, one in enumerate(row) if one == 1] for row in attention_mask.tolist()]


def _encoder_case(
    rng: torch.Generator, about: str, mask: Tensor, number_of_layers: int = 2, dim: int = 6, num_heads: int = 2
) -> Case:
    layers = [_layer(rng, dim) for _ in range(number_of_layers)]
    return Case(about, (_vectors(rng, mask, dim), mask, layers, num_heads))


def _encoder_cases(rng: torch.Generator) -> list[Case]:
    same, sequence = _unchanging(), integer(rng, 5, 6)
    left, (loud, far) = attention_mask([2, 4, 3], 4, "left"), _far(_unchanging(), SENTENCES)
    return [
        _encoder_case(same, "the two sentences, two layers", SENTENCES),
        _encoder_case(same, "three layers, padding on the left", left, 3),
        _encoder_case(same, "four layers, padding on the right", attention_mask([3, 2, 4], 5), 4, 8, 4),
        _encoder_case(same, "one layer", SENTENCES, 1),
        _encoder_case(same, "no padding, two layers", torch.ones(2, 3, dtype=torch.long)),
        _encoder_case(same, "as many sentences as positions", attention_mask([1, 3, 2], 3), 2, 3, 3),
        _encoder_case(rng, "a drawn batch, padded on the right", attention_mask(lengths(rng, 3, sequence), sequence)),
        _encoder_case(
            rng, "a drawn batch, padded on the left", attention_mask(lengths(rng, 3, sequence), sequence, "left"), 3
        ),
        _encoder_case(rng, "one head", attention_mask([2, 4], 4), 2, 4, 1),
        Case("padding that leads by far", (loud, SENTENCES, [far], 2), tolerance=1e-3),
        _encoder_case(rng, "a single position", torch.ones(2, 1, dtype=torch.long)),
    ]


def _encoder_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = _encoder_case(rng, "small", attention_mask([2, 4], 4))
    return small, _encoder_case(rng, "large", attention_mask([3, 7, 5], 7), 2, 8)


#: Which keys layer number ``layer`` of ``last`` ignores, made of the tokenizer's mask.
Ignores = Callable[[Tensor, int, int], Tensor | None]


def _encoder(
    ignores: Ignores = lambda mask, layer, last: mask == 0,
    *,
    enters: Callable[[Tensor, Tensor], Tensor] = lambda x, mask: x,
    answers: Callable[[Tensor, Tensor], Tensor] = lambda x, mask: x,
    attend: Callable[..., Tensor] = attention,
    joined: Callable[[Tensor, Tensor], Tensor] = torch.add,
    leaves: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda x, mask, hidden: x,
) -> Callable[..., Any]:
    """The encoder with the parts that go wrong as arguments: the mask, who asks and answers and how, what is added and left."""

    def answer(hidden: Tensor, attention_mask: Tensor, layers: list[MultiheadWeights], num_heads: int) -> Any:
        x, is_real = hidden, attention_mask[:, :, None]
        for layer, weights in enumerate(layers):
            asks = enters(x, is_real)
            padding = ignores(attention_mask, layer, len(layers) - 1)
            x = joined(x, attend(asks, answers(asks, is_real), weights, num_heads, padding))
        return leaves(x, is_real, hidden)

    return answer


def _unmasked(mask: Tensor, layer: int, last: int) -> None:
    return None


def _hidden_in_place(hidden: Tensor, attention_mask: Tensor, layers: list[MultiheadWeights], num_heads: int) -> Any:
    for weights in layers:
        hidden += attention(hidden, hidden, weights, num_heads, attention_mask == 0)
    return hidden


ENCODER_FORWARD = Spec(
    topic="capstone",
    oracle=encoder_forward,
    given=GIVEN_ENCODER_FORWARD,
    points=3,
    cases=_encoder_cases,
    sizes=_encoder_sizes,
    properties=(*ALWAYS, gradients(0)),
    misconceptions=(
        misconception(
            "nothing mended",
            "Two faults in one place: ask what True means to `key_padding_mask`, and which layers get one at all.",
            GIVEN_ENCODER_FORWARD,
        ),
        misconception(
            "only polarity mended",
            "The first layer is right now; the later ones get no mask, and there the padding comes back in.",
            _encoder(lambda mask, layer, last: mask == 0 if layer == 0 else None),
        ),
        misconception(
            "only layers mended",
            "Every layer has the mask now, upside down: a tokenizer's 1 is a real token, True here is a key to ignore.",
            _encoder(lambda mask, layer, last: mask.bool()),
        ),
        misconception(
            "mended in some layers only",
            "The first layer, or the later ones, still get the mask upside down: make it once, before the loop, for all.",
            _encoder(lambda mask, layer, last: mask == (0 if layer == 0 else 1)),
            _encoder(lambda mask, layer, last: mask == (1 if layer == 0 else 0)),
        ),
        misconception(
            "not every layer",
            "Some layer still gets no mask, and what it lets in stays in the vectors: every one of them needs it.",
            _encoder(lambda mask, layer, last: None if layer == 0 else mask == 0),
            _encoder(lambda mask, layer, last: mask == 0 if layer == last else None),
            _encoder(lambda mask, layer, last: mask == 0 if layer < last else None),
            _encoder(lambda mask, layer, last: mask == 0 if layer < max(last, 1) else None),
        ),
        misconception(
            "no mask",
            "No layer gets a mask here, so that padding is asked like any word.",
            _encoder(_unmasked),
        ),
        misconception(
            "padding zeroed instead",
            "A vector of zeros is still a key, and gets its share of the attention: only a mask takes it out.",
            _encoder(_unmasked, enters=lambda x, is_real: x * is_real),
            lambda hidden, mask, *more: _encoder(_unmasked)(hidden * mask[:, :, None], mask, *more),
            _encoder(_unmasked, answers=lambda x, is_real: x * is_real),
        ),
        misconception(
            "whole numbers for a mask",
            "A mask of whole numbers is no bool, and `~` makes it none: ~1 is −2, ~0 is −1, and both are true. Compare with 0.",
            _encoder(lambda mask, layer, last: (~mask).bool()),
            _encoder(lambda mask, layer, last: ~mask),
        ),
        misconception(
            "one sentence's mask for all",
            "Each sentence has a padding of its own: the mask has a row for each of them.",
            _encoder(lambda mask, layer, last: mask[:1] == 0),
            _encoder(lambda mask, layer, last: mask[-1:] == 0),
        ),
        misconception(
            "-100 for minus infinity",
            "−100 is only a number: padding that leads by almost as much gets a share. Fill with −∞, or leave it to SDPA.",
            *(_encoder(attend=attend) for attend in _MINUS_100),
        ),
        misconception(
            "padding does not ask",
            "The keys are right. Padding positions ask as well: only keys are masked; nobody reads those rows or clears them.",
            _encoder(leaves=lambda x, is_real, hidden: x * is_real),
            _encoder(leaves=lambda x, is_real, hidden: torch.where(is_real == 1, x, hidden)),
        ),
        misconception(
            "the input not added",
            "The masks are right; each layer still has to add its answer to its input, as the given code does.",
            _encoder(joined=lambda x, answer: answer),
            _encoder(joined=lambda x, answer: answer, leaves=lambda x, is_real, hidden: hidden + x),
        ),
        misconception(
            "inputs changed in place",
            "The answer is right, but the caller's tensors or list were changed for it: no `+=` on them, and no `pop`.",
            _hidden_in_place,
        ),
    ),
)


# --- cross_attention -------------------------------------------------------------------------------------------------


def cross_attention(
    query: Float[Tensor, "batch target dim"],
    memory: Float[Tensor, "batch source dim"],
    source_mask: Int[Tensor, "batch source"],
    target_mask: Int[Tensor, "batch target"],
    weights: MultiheadWeights,
    num_heads: int,
) -> Float[Tensor, "batch target dim"]:
    """1 = real token in both masks: each target position asks the real tokens of the source sentence.

        source   1 1 1 0        who is asked:    ■ ■ ■ ⬚    ■ asked
        target   1 1 0 0                         ■ ■ ■ ⬚    ⬚ not asked
                                                 ■ ■ ■ ⬚
        the rows are the target's positions      ■ ■ ■ ⬚    the columns are the source's

    Args:
        query: the decoder's vectors, one for each target position.
        memory: the encoder's vectors, one for each source position; as many as in `query`, or more, or fewer.
        source_mask: 1 = real token, 0 = padding, in the source sentence; no source sentence is empty.
        target_mask: 1 = real token, 0 = padding, in the target sentence.
        weights: the parameters of this attention.
        num_heads: how many heads share dim.

    Returns:
        The output, without the input added. A padding position of the target asks like any other.

    Source: `memory_key_padding_mask` of `nn.TransformerDecoder`, beside `tgt_key_padding_mask`.
    """
    return attention(query, memory, weights, num_heads, key_padding_mask=target_mask == 0)


GIVEN_CROSS_ATTENTION = cross_attention


@_as_given(GIVEN_CROSS_ATTENTION)  # type: ignore[no-redef]
def cross_attention(
    query: Float[Tensor, "batch target dim"],
    memory: Float[Tensor, "batch source dim"],
    source_mask: Int[Tensor, "batch source"],
    target_mask: Int[Tensor, "batch target"],
    weights: MultiheadWeights,
    num_heads: int,
) -> Float[Tensor, "batch target dim"]:
    sentences = zip(query, memory, _real_places(source_mask), strict=True)
    return torch.cat([attention(asks[None], row[None, places], weights, num_heads) for asks, row, places in sentences])


def _cross_case(
    rng: torch.Generator, about: str, source_mask: Tensor, target_mask: Tensor, dim: int = 6, num_heads: int = 2
) -> Case:
    query, memory = _vectors(rng, target_mask, dim), _vectors(rng, source_mask, dim)
    return Case(about, (query, memory, source_mask, target_mask, _layer(rng, dim), num_heads))


def _cross_cases(rng: torch.Generator) -> list[Case]:
    same, source, target = _unchanging(), integer(rng, 4, 5), integer(rng, 6, 7)
    loud, far = _far(_unchanging(), SENTENCES)

    def drawn(length: int, side: str = "right") -> Tensor:
        return attention_mask(lengths(rng, 2, length), length, side)

    return [
        _cross_case(same, "both of one width", SENTENCES, attention_mask([2, 3], 4)),
        _cross_case(same, "one width, the target without padding", SENTENCES, torch.ones_like(SENTENCES)),
        _cross_case(same, "one width, the source without padding", torch.ones_like(SENTENCES), SENTENCES),
        _cross_case(same, "one width, the source padded on the left", attention_mask([2, 3, 1], 4, "left"),
                    attention_mask([1, 2, 4], 4)),
        _cross_case(same, "as many sentences as positions and heads", attention_mask([1, 3, 2], 3),
                    attention_mask([2, 2, 3], 3), 6, 3),
        _cross_case(rng, "a drawn batch of one width", drawn(source), drawn(source)),
        _cross_case(rng, "a longer target", drawn(source), drawn(target)),
        _cross_case(same, "a longer source", attention_mask([3, 5], 6), attention_mask([2, 4], 4)),
        _cross_case(same, "one target position", attention_mask([2, 4], 4), torch.ones(2, 1, dtype=torch.long)),
        _cross_case(rng, "one source position", torch.ones(2, 1, dtype=torch.long), drawn(target), 4, 1),
        Case("padding that leads by far", (normal(same, 2, 3, 4), loud, SENTENCES, attention_mask([2, 3], 3), far, 2),
             tolerance=1e-3),
    ]  # fmt: skip


def _cross_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = _cross_case(rng, "small", attention_mask([2, 4], 4), attention_mask([3, 1], 4))
    large = attention_mask([3, 7, 5], 7), attention_mask([6, 2, 7], 7)
    return small, _cross_case(rng, "large", *large, 8)


def _cross(
    ignores: Callable[[Tensor, Tensor], Tensor | None], attend: Callable[..., Tensor] = attention
) -> Callable[..., Any]:
    """Cross-attention that ignores the keys that ``ignores(source_mask, target_mask)`` names."""
    return lambda query, memory, source_mask, target_mask, weights, num_heads: attend(
        query, memory, weights, num_heads, ignores(source_mask, target_mask)
    )


def _fitted(target_mask: Tensor, source_length: int, number: int) -> Tensor:
    """The target's mask cut or filled up to the length of the source, so that nothing raises."""
    return F.pad(target_mask, (0, source_length - target_mask.shape[1]), value=number)


_right_keys = _cross(lambda source, target: source == 0)

CROSS_ATTENTION = Spec(
    topic="capstone",
    oracle=cross_attention,
    given=GIVEN_CROSS_ATTENTION,
    points=2,
    cases=_cross_cases,
    sizes=_cross_sizes,
    properties=(*ALWAYS, gradients(0, 1)),
    misconceptions=(
        misconception(
            "nothing mended",
            "Whose positions are the keys here? The mask still tells of the target, and the keys are the source's.",
            GIVEN_CROSS_ATTENTION,
            _cross(lambda source, target: target.view_as(source) == 0),  # refuses other widths, as torch's module does
            _cross(lambda source, target: _fitted(target, source.shape[1], 0) == 0),
            _cross(lambda source, target: _fitted(target, source.shape[1], 1) == 0),
        ),
        misconception(
            "the right mask upside down",
            "It is the source's mask now, but True has to be the padding: compare with 0.",
            _cross(lambda source, target: source.bool()),
        ),
        misconception(
            "the wrong mask upside down",
            "Turning the target's mask over does not make it the source's: it is another sentence's padding.",
            _cross(lambda source, target: target.bool()),
            _cross(lambda source, target: _fitted(target, source.shape[1], 0) == 1),
            _cross(lambda source, target: _fitted(target, source.shape[1], 1) == 1),
        ),
        misconception(
            "both masks",
            "The target's padding says nothing about the source's keys: the source's mask alone decides.",
            _cross(lambda source, target: (source == 0) | (target == 0)),
            _cross(lambda source, target: (source == 0) | (_fitted(target, source.shape[1], 1) == 0)),
            _cross(lambda source, target: (source == 0) | (_fitted(target, source.shape[1], 0) == 0)),
            _cross(lambda source, target: (source == 0) & (target == 0)),
            _cross(lambda source, target: (source == 0) & (_fitted(target, source.shape[1], 1) == 0)),
            _cross(lambda source, target: (source == 0) & (_fitted(target, source.shape[1], 0) == 0)),
        ),
        misconception(
            "no mask",
            "The target's mask is gone, and nothing stands in its place: the source has padding of its own.",
            _cross(lambda source, target: None),
        ),
        misconception(
            "one sentence's mask for all",
            "Each source sentence has a padding of its own: the mask has a row for each of them.",
            _cross(lambda source, target: source[:1] == 0),
            _cross(lambda source, target: source[-1:] == 0),
        ),
        misconception(
            "whole numbers for a mask",
            "A mask of whole numbers is no bool, and `~` makes it none: ~1 is −2, ~0 is −1, and both are true. Compare with 0.",
            _cross(lambda source, target: (~source).bool()),
            _cross(lambda source, target: ~source),
        ),
        misconception(
            "-100 for minus infinity",
            "−100 is only a number: padding that leads by almost as much gets a share. Fill with −∞, or leave it to SDPA.",
            *(_cross(lambda source, target: source == 0, attend) for attend in _MINUS_100),
        ),
        misconception(
            "source padding zeroed instead",
            "A vector of zeros is still a key, and gets its share of the attention: only a mask takes it out.",
            lambda query, memory, source, *more: _cross(lambda source, target: None)(
                query, memory * source[:, :, None], source, *more
            ),
        ),
        misconception(
            "target padding does not ask",
            "The keys are right. A padding position of the target asks as well: nobody reads it, and nobody clears it.",
            lambda *call: _right_keys(*call) * call[3][:, :, None],
            lambda query, *more: _right_keys(query * more[2][:, :, None], *more),
            lambda *call: torch.where(call[3][:, :, None] == 1, _right_keys(*call), call[0]),
        ),
        misconception(
            "the input added",
            "The mask is right; the input is not to be added here, as the given code does not.",
            lambda query, *more: query + _right_keys(query, *more),
        ),
        misconception(
            "the target asks itself",
            "With `query` as memory this is self-attention, for which the target's mask would do: ask `memory`.",
            lambda query, memory, source, target, *more: _right_keys(query, query, target, target, *more),
        ),
    ),
)


# --- half_precision_scores -------------------------------------------------------------------------------------------


def half_precision_scores(
    scores: Float[Tensor, "batch heads query key"],
    allowed: Bool[Tensor, "*#axes"],
    bias: Float[Tensor, "*#axes"],
) -> Float[Tensor, "batch heads query key"]:
    """True = may attend in `allowed`: such a score gets its bias, every other one is float16's lowest number.

        scores    1.0    2.0       -40.0    4.0        ■ may attend, ⬚ may not
        bias      0.0   -0.5    -65504.0   64.0
        allowed    ■      ■         ■        ⬚         no float16 lies between -65504 and −∞
        result    1.0    1.5    -65504.0  -65504.0

    Args:
        scores: float16, finite, before any mask.
        allowed: bool, True = may attend, broadcastable to `scores`.
        bias: float16, broadcastable to `scores`: penalties, or an additive mask of its own, hiding with -65504 or −∞; no sum
            is above the highest float16.

    Returns:
        float16. Where allowed, `scores + bias`, held at `torch.finfo(torch.float16).min` if the sum falls below; that same
        number where not allowed. Everything is finite.

    Source: how -1e9 and then two additive masks overflowed is told in huggingface/transformers, pull request 17306.
    """
    hidden = (1 - allowed.half()) * -1e9
    return scores + hidden + bias


GIVEN_HALF_PRECISION_SCORES = half_precision_scores


@_as_given(GIVEN_HALF_PRECISION_SCORES)  # type: ignore[no-redef]
def half_precision_scores(
    scores: Float[Tensor, "batch heads query key"],
    allowed: Bool[Tensor, "*#axes"],
    bias: Float[Tensor, "*#axes"],
) -> Float[Tensor, "batch heads query key"]:
    lowest = lowest_number(scores.dtype)
    seen, biases = torch.broadcast_to(allowed, scores.shape).tolist(), torch.broadcast_to(bias, scores.shape)
    cells = []
    for b, h, q, k in every_index(scores.shape):
        total = wide(scores[b, h, q, k]) + wide(biases[b, h, q, k])
        cells.append(total.clamp(min=lowest) if seen[b][h][q][k] else torch.full_like(total, lowest))
    return torch.stack(cells).to(scores.dtype).reshape(scores.shape)


def _quarters(rng: torch.Generator, *shape: int, within: int = 8) -> Tensor:
    """Draw multiples of ¼, whose sums float16 holds exactly: right answers need not round."""
    return (torch.randint(-4 * within, 4 * within + 1, shape, generator=rng) / 4).half()


def _half_cases(rng: torch.Generator) -> list[Case]:
    lowest, same = lowest_number(torch.float16), _unchanging()
    batch, heads, query, key = 2, 2, integer(rng, 2, 3), integer(rng, 4, 5)
    sizes = (batch, heads, query, key)
    words = torch.tensor([[True, True, True, False]])
    triangle = torch.ones(4, 4, dtype=torch.bool).tril()
    steep = -24 * (torch.arange(4)[:, None] - torch.arange(4)).half()  # a penalty by distance; ahead it is a bonus

    def additive(allowed: Tensor, number: float) -> Tensor:
        return torch.zeros(allowed.shape, dtype=torch.float16).masked_fill(~allowed, number)

    def case(about: str, allowed: Tensor, bias: Tensor, rng: torch.Generator = same) -> Case:
        return Case(about, (_quarters(rng, 2, 2, 4, 4), allowed, bias))

    far = torch.tensor([[[[-40000.0, -40000, 1000, hidden] for hidden in (-40, 512, 64)]]]).half()
    return [
        Case("the example", (
            torch.tensor([[[[1.0, 2.0, -40.0, 4.0]]]]).half(), words.new_tensor([[1, 1, 1, 0]]),
            torch.tensor([0, -0.5, lowest, 64]).half(),
        )),
        case("padding, and a bias of 0", words, torch.zeros(1, 1, 4, 4).half()),
        case("padding, and a penalty by distance", words, steep),
        case("padding, and an additive triangle of the lowest number", words, additive(triangle, lowest)),
        case("padding, and an additive triangle of −∞", words, additive(triangle, -torch.inf)),
        case("padding per sentence, and a triangle with a penalty", torch.tensor([[1, 1, 0, 0], [0, 1, 1, 1]]).bool()[
            :, None, None], additive(triangle, lowest) + steep.clamp(max=0)),
        Case("scores and biases that add up to less than the lowest number", (
            far, words, torch.tensor([-30000.0, 30000, lowest, 0]).half())),
        case("rows that may see nothing", torch.tensor([[True] * 4, [False] * 4, [True] * 4, [False] * 4]), steep),
        case("nothing hidden, and a bias", torch.ones(4, 4, dtype=torch.bool), steep),
        Case("a drawn rule for each head, a drawn bias", (
            _quarters(rng, *sizes), coin(rng, *sizes), _quarters(rng, heads, query, key, within=48))),
        Case("a drawn rule for all heads, a bias for each key", (
            _quarters(rng, *sizes), coin(rng, batch, 1, query, key), _quarters(rng, key, within=48))),
        Case("one score", (_quarters(rng, 1, 1, 1, 1), torch.tensor([[True]]), _quarters(rng, 1, 1))),
    ]  # fmt: skip


def _half_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = (
        Case(about, (_quarters(rng, *sizes), coin(rng, sizes[0], 1, *sizes[2:]), _quarters(rng, *sizes[1:], within=48)))
        for about, sizes in (("small", (2, 3, 4, 5)), ("large", (3, 5, 7, 9)))
    )
    return small, large


def _lowest(scores: Tensor) -> float:
    return lowest_number(scores.dtype)


def _held(scores: Tensor, bias: Tensor) -> Tensor:
    return (scores + bias).clamp(min=_lowest(scores))


def _hidden_cells(allowed: Tensor, number: float) -> Tensor:
    """An additive mask as the given code makes it, by multiplying."""
    return (1 - allowed.half()) * number


def _half_in_place(scores: Tensor, allowed: Tensor, bias: Tensor) -> Any:
    scores += bias
    return scores.clamp_(min=_lowest(scores)).masked_fill_(~allowed, _lowest(scores))


HALF_PRECISION_SCORES = Spec(
    topic="capstone",
    oracle=half_precision_scores,
    given=GIVEN_HALF_PRECISION_SCORES,
    points=2,
    practice=True,
    reading="additive",  # floats that are compared exactly: right answers need not round, see `_quarters`
    cases=_half_cases,
    sizes=_half_sizes,
    misconceptions=(
        misconception(
            "nothing mended",
            "float16 ends at −65504: times −1e9 is −∞ without a word, and a second mask on top falls below the end, too.",
            GIVEN_HALF_PRECISION_SCORES,
        ),
        misconception(
            "only the number mended",
            "`finfo.min` fits, but it is still *added*: with a score or a bias on top it moves, or falls to −∞. Fill last.",
            lambda scores, allowed, bias: scores + _hidden_cells(allowed, _lowest(scores)) + bias,
            lambda scores, allowed, bias: (scores + bias) + _hidden_cells(allowed, _lowest(scores)),
            lambda scores, allowed, bias: scores.masked_fill(~allowed, _lowest(scores)) + bias,
            lambda scores, allowed, bias: scores + torch.where(allowed, bias, _lowest(scores)),
            lambda scores, allowed, bias: scores + _held(_hidden_cells(allowed, _lowest(scores)), bias),
        ),
        misconception(
            "only hidden scores mended",
            "Hidden scores are right; an allowed one can still fall to −∞ with its bias: hold the sum at `finfo.min`.",
            lambda scores, allowed, bias: (scores + bias).masked_fill(~allowed, _lowest(scores)),
            lambda scores, allowed, bias: (scores + bias.clamp(min=_lowest(scores))).masked_fill(
                ~allowed, _lowest(scores)
            ),
        ),
        misconception(
            "only allowed scores mended",
            "Allowed scores are held now; hidden ones are still −∞, and a row of them gives NaN: fill with `finfo.min`.",
            lambda scores, allowed, bias: _held(scores, bias).masked_fill(~allowed, -torch.inf),
            lambda scores, allowed, bias: _held(scores, bias) + _hidden_cells(allowed, -1e9),
        ),
        misconception(
            "what is hidden moves",
            "Everything is finite, but a hidden score has to *be* the lowest number: fill it last, after score and bias.",
            lambda scores, allowed, bias: _held(scores.masked_fill(~allowed, _lowest(scores)), bias),
            lambda scores, allowed, bias: _held(scores + _hidden_cells(allowed, _lowest(scores)), bias),
            lambda scores, allowed, bias: _held(scores, _held(_hidden_cells(allowed, _lowest(scores)), bias)),
            lambda scores, allowed, bias: _held(_held(scores, bias), _hidden_cells(allowed, _lowest(scores))),
            lambda scores, allowed, bias: _held(scores, torch.where(allowed, bias, _lowest(scores))),
        ),
        misconception(
            "0 times −∞",
            "0 · −∞ is NaN, and so every allowed score is lost: fill instead of multiplying.",
            lambda scores, allowed, bias: scores + _hidden_cells(allowed, -torch.inf) + bias,
            lambda scores, allowed, bias: _held(scores + _hidden_cells(allowed, -torch.inf), bias),
        ),
        misconception(
            "another low number",
            "Other scores can fall below this number, and then padding leads: the lowest is `torch.finfo(scores.dtype).min`.",
            *(
                lambda scores, allowed, bias, number=number: _held(scores, bias).masked_fill(~allowed, number)  # type: ignore[misc]
                for number in (-65000.0, -6e4, -3e4, -1e4, -1e3, -100.0)
            ),
        ),
        misconception(
            "a number that float16 has not",
            "As a fill, −1e9 or float32's minimum is an error here: take `torch.finfo(scores.dtype).min`.",
            lambda scores, allowed, bias: _held(scores, bias).masked_fill(~allowed, -1e9),
            lambda scores, allowed, bias: _held(scores, bias).masked_fill(~allowed, lowest_number(torch.float32)),
        ),
        misconception(
            "upside down",
            "True may attend: here the allowed scores are the hidden ones.",
            lambda scores, allowed, bias: _held(scores, bias).masked_fill(allowed, _lowest(scores)),
        ),
        misconception(
            "no mask",
            "The bias is there and held; `allowed` changes nothing here.",
            lambda scores, allowed, bias: _held(scores, bias),
        ),
        misconception(
            "float32 comes back",
            "The values are right and in float32: float16 came in, and float16 has to go out.",
            lambda scores, allowed, bias: _held(scores, bias).masked_fill(~allowed, _lowest(scores)).float(),
            lambda scores, allowed, bias: torch.where(
                allowed, _held(scores.float(), bias).clamp(min=_lowest(scores)), _lowest(scores)
            ),
        ),
        misconception(
            "inputs changed in place",
            "The answer is right, but it was written into the caller's tensors: no `+=`, no operation that ends with `_`.",
            _half_in_place,
        ),
    ),
)


# --- decode_step -----------------------------------------------------------------------------------------------------


def decode_step(
    query: Float[Tensor, "batch heads 1 dim"],
    key_cache: Float[Tensor, "batch heads sequence dim"],
    value_cache: Float[Tensor, "batch heads sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
) -> Float[Tensor, "batch heads 1 dim"]:
    """1 = real token in `attention_mask`: the newest position attends to every real key of the cache, however many.

        attention mask   0 1 1 1 1   →   ⬚ ■ ■ ■ ■    one row: the newest position asks     ■ asked
                         1 1 1 1 1   →   ■ ■ ■ ■ ■                                          ⬚ not asked

    Args:
        query: the newest position's, one for each sentence and head.
        key_cache, value_cache: of all positions so far, the newest position's own last; finite at padding, too.
        attention_mask: 1 = real token, 0 = padding, for every position of the cache; no sentence is empty.

    Returns:
        The output at the newest position.

    Source: pytorch/pytorch, issue 144858.
    """
    return F.scaled_dot_product_attention(query, key_cache, value_cache, is_causal=True)


GIVEN_DECODE_STEP = decode_step


@_as_given(GIVEN_DECODE_STEP)  # type: ignore[no-redef]
def decode_step(
    query: Float[Tensor, "batch heads 1 dim"],
    key_cache: Float[Tensor, "batch heads sequence dim"],
    value_cache: Float[Tensor, "batch heads sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
) -> Float[Tensor, "batch heads 1 dim"]:
    rows, real = [], _real_places(attention_mask)
    for b, h in every_index(query.shape[:2]):
        keys, values = (wide(cache[b, h][real[b]]) for cache in (key_cache, value_cache))
        shares = ((keys * wide(query[b, h, 0])).sum(-1) * query.shape[-1] ** -0.5).softmax(-1)
        rows.append((shares[:, None] * values).sum(0))
    return torch.stack(rows).to(query.dtype).reshape(query.shape)


def _decode_case(
    rng: torch.Generator, about: str, mask: Tensor, heads: int = 2, dim: int = 4, dtype: torch.dtype = torch.float32
) -> Case:
    batch, length = mask.shape
    query, key, value = (normal(rng, batch, heads, size, dim, dtype=dtype) for size in (1, length, length))
    value = torch.where(mask[:, None, :, None] == 1, value, value * 2 + 3)
    return Case(about, (query, key, value, mask), tolerance=None if dtype == torch.float32 else 1e-2)


def _decode_far(rng: torch.Generator) -> Case:
    """The real keys score below -100,000 and the padding's lead by more: only −∞, or a format's minimum, hides it."""
    mask = torch.tensor([[0, 1, 1], [0, 0, 1]])
    key = torch.randint(0, 3, (2, 2, 3, 4), generator=rng) - 65_536.0
    key = torch.where(mask[:, None, :, None] == 0, torch.tensor(65_536.0), key)
    return Case("padding that leads by far", (torch.ones(2, 2, 1, 4), key, normal(rng, 2, 2, 3, 4), mask))


def _decode_cases(rng: torch.Generator) -> list[Case]:
    same, length = _unchanging(), integer(rng, 5, 7)
    return [
        _decode_case(same, "the two sentences, padded on the left", attention_mask([3, 4], 4, "left")),
        _decode_case(
            same, "the first key is real, some in between are not", torch.tensor([[1, 0, 0, 1], [1, 1, 0, 1]])
        ),
        _decode_case(same, "no padding", torch.ones(2, 4, dtype=torch.long)),
        _decode_case(same, "as many sentences as heads and keys", attention_mask([1, 3, 2], 3, "left"), 3),
        _decode_case(same, "a sentence that has ended: its newest position is padding", attention_mask([3, 5], 5)),
        _decode_case(rng, "a drawn batch", attention_mask(lengths(rng, 3, length), length, "left"), 2),
        _decode_case(rng, "one sentence, one head, one number", attention_mask([3], 5, "left"), 1, 1),
        _decode_case(rng, "a single key", torch.ones(2, 1, dtype=torch.long)),
        _decode_far(same),
        _decode_case(same, "in float16", attention_mask([2, 4], 4, "left"), dtype=torch.float16),
    ]


def _decode_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = _decode_case(rng, "small", attention_mask([2, 4], 4, "left"))
    return small, _decode_case(rng, "large", attention_mask([3, 7, 5], 7, "left"), 4, 6)


def _columns(mask: Tensor) -> Tensor:
    """bool [batch, 1, 1, key]: the same for each head, and for the one query."""
    return mask.bool()[:, None, None, :]


def _decode(allowed: Callable[[Tensor], Tensor | None], number: float | None = None) -> Callable[..., Any]:
    """One step with the mask that ``allowed`` makes, by SDPA, or by hand with ``number`` in hidden scores."""

    def answer(query: Tensor, key_cache: Tensor, value_cache: Tensor, attention_mask: Tensor) -> Any:
        mask = allowed(attention_mask)
        if number is None:
            return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=mask)
        scores = query @ key_cache.mT * query.shape[-1] ** -0.5
        scores = scores if mask is None else scores.masked_fill(~mask, number)
        return scores.softmax(-1) @ value_cache

    return answer


def _rows_of(mask: Tensor, cache: Tensor) -> Tensor:
    return mask[:, None, :, None].to(cache.dtype)


def _and_the_first(mask: Tensor) -> Tensor:
    """What a triangle of one row leaves of a mask: the first key."""
    return _columns(mask) & (torch.arange(mask.shape[1], device=mask.device) == 0)


def _but_the_newest(mask: Tensor) -> Tensor:
    return _columns(mask) & (torch.arange(mask.shape[1], device=mask.device) < mask.shape[1] - 1)


DECODE_STEP = Spec(
    topic="capstone",
    oracle=decode_step,
    given=GIVEN_DECODE_STEP,
    points=1,
    cases=_decode_cases,
    sizes=_decode_sizes,
    misconceptions=(
        misconception(
            "nothing mended",
            "With one query, `is_causal` leaves the first key alone: its triangle starts there. And the mask waits unused.",
            GIVEN_DECODE_STEP,
            lambda query, key_cache, value_cache, attention_mask: value_cache[:, :, :1],
        ),
        misconception(
            "only is_causal mended",
            "The newest position sees the whole cache now, the padding in it, too: hand the mask over.",
            _decode(lambda mask: None),
        ),
        misconception(
            "only the mask mended",
            "The mask is there, and `is_causal` still cuts it down to the first key: the newest position has no future to hide.",
            _decode(_and_the_first),
            _decode(_and_the_first, -torch.inf),
            _decode(_and_the_first, lowest_number(torch.float16)),
        ),
        misconception(
            "the mask upside down",
            "For SDPA True may attend: here the padding is seen and the words are hidden.",
            _decode(lambda mask: _columns(mask == 0)),
            _decode(lambda mask: _columns(mask == 0), -torch.inf),
        ),
        misconception(
            "1 and 0 added",
            "A mask of numbers is added to the scores, and 0 hides nothing: make it bool.",
            lambda query, key_cache, value_cache, attention_mask: F.scaled_dot_product_attention(
                query, key_cache, value_cache, attn_mask=attention_mask[:, None, None, :].to(query.dtype)
            ),
        ),
        misconception(
            "sentences for heads",
            "[batch, 1, key] is read as [heads, 1, key]: put the two axes of length 1 between batch and key.",
            _decode(lambda mask: mask.bool()[:, None, :]),
        ),
        misconception(
            "one sentence's mask for all",
            "Each sentence has a padding of its own: the mask has a row for each of them.",
            _decode(lambda mask: _columns(mask[:1])),
            _decode(lambda mask: _columns(mask[-1:])),
        ),
        misconception(
            "the newest position does not see itself",
            "Its own key is the last of the cache, and it may attend to it like to any other real one.",
            _decode(_but_the_newest),
            _decode(_but_the_newest, -torch.inf),
        ),
        misconception(
            "padding zeroed instead",
            "A key, a score or a value of 0 still has a share of the attention: only a mask takes it out.",
            lambda query, key, value, mask: F.scaled_dot_product_attention(query, key, value * _rows_of(mask, value)),
            lambda query, key, value, mask: F.scaled_dot_product_attention(query, key * _rows_of(mask, key), value),
            lambda query, key, value, mask: F.scaled_dot_product_attention(
                query, key * _rows_of(mask, key), value * _rows_of(mask, value)
            ),
        ),
        misconception(
            "-100 for minus infinity",
            "−100, −1e4 or −65504 is only a number: padding that leads by more wins all the same. Fill with −∞.",
            *(_decode(_columns, number) for number in (-100.0, -1e4, lowest_number(torch.float16))),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: a bool mask needs no number at all.",
            _decode(_columns, -1e9),
        ),
    ),
)


# --- left_padded_positions -------------------------------------------------------------------------------------------


def left_padded_positions(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> tuple[Int[Tensor, "batch sequence"], Int[Tensor, "batch new_tokens"]]:
    """1 = real token in `attention_mask`: each one's place among the real ones, in the prompt and in the steps after it.

        attention mask        positions of the prompt        of 3 new tokens
          0 0 1 1 1     →          0 0 0 1 2           →          3 4 5
          1 1 1 1 1     →          0 1 2 3 4           →          5 6 7

    Args:
        attention_mask: 1 = real token, 0 = padding, which stands on the left; no sentence is empty.
        new_tokens: how many tokens are written after the prompt, one by one; at least one.

    Returns:
        Both long: the positions of the prompt, counted over the real tokens from 0 (and 0 at padding), and those of the new
        tokens, which go on counting. A model looks its learned position vectors up by them.

    Source: huggingface/transformers, issue 21080.
    """
    batch, prompt_length = attention_mask.shape
    prompt = torch.arange(prompt_length, device=attention_mask.device).expand(batch, -1)
    real_length = attention_mask.sum(dim=1, keepdim=True)
    steps = real_length + torch.arange(new_tokens, device=attention_mask.device)
    return prompt, steps


GIVEN_LEFT_PADDED_POSITIONS = left_padded_positions


@_as_given(GIVEN_LEFT_PADDED_POSITIONS)  # type: ignore[no-redef]
def left_padded_positions(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> tuple[Int[Tensor, "batch sequence"], Int[Tensor, "batch new_tokens"]]:
    rows, device = attention_mask.tolist(), attention_mask.device

    def place(b: int, t: int) -> int:
        return sum(rows[b][:t]) if rows[b][t] == 1 else 0

    prompt = fill(attention_mask.shape, place, torch.long, device)
    return prompt, fill((len(rows), new_tokens), lambda b, step: sum(rows[b]) + step, torch.long, device)


def _left_cases(rng: torch.Generator) -> list[Case]:
    length, new = integer(rng, 5, 7), integer(rng, 2, 4)
    return [
        Case("the two sentences, two new tokens", (attention_mask([3, 4], 4, "left"), 2)),
        Case("padding by more than one, three new tokens", (attention_mask([3, 5, 2], 5, "left"), 3)),
        Case("every sentence shorter than the batch is wide", (attention_mask([2, 3], 5, "left"), 2)),
        Case("no padding", (torch.ones(2, 4, dtype=torch.long), 3)),
        Case("one new token", (attention_mask([1, 4, 3], 4, "left"), 1)),
        Case("as many sentences as positions and new tokens", (attention_mask([1, 3, 2], 3, "left"), 3)),
        Case("one sentence", (attention_mask([2], 4, "left"), 4)),
        Case("a drawn batch", (attention_mask(lengths(rng, 3, length), length, "left"), new)),
    ]


def _left_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = attention_mask([2, 4], 4, "left")
    return Case("small", (small, 2)), Case("large", (attention_mask([3, 7, 5], 7, "left"), 2))


def _counted(mask: Tensor) -> Tensor:
    return (mask.cumsum(1) - 1).clamp(min=0)


def _from_the_edge(mask: Tensor) -> Tensor:
    return torch.arange(mask.shape[1], device=mask.device).expand_as(mask)


def _number_of_words(mask: Tensor) -> Tensor:
    return mask.sum(1, keepdim=True)


def _left(
    prompt: Callable[[Tensor], Tensor] = _counted, first_step: Callable[[Tensor], Tensor | int] = _number_of_words
) -> Callable[..., Any]:
    """Both positions, with the count of the prompt and the first of the steps as arguments."""

    def answer(attention_mask: Tensor, new_tokens: int) -> Any:
        further = torch.arange(new_tokens, device=attention_mask.device).expand(len(attention_mask), -1)
        return prompt(attention_mask), first_step(attention_mask) + further

    return answer


LEFT_PADDED_POSITIONS = Spec(
    topic="capstone",
    oracle=left_padded_positions,
    given=GIVEN_LEFT_PADDED_POSITIONS,
    points=2,
    practice=True,
    cases=_left_cases,
    sizes=_left_sizes,
    misconceptions=(
        misconception(
            "nothing mended",
            "The prompt counts its padding, the steps do not: the same word has one place here and another one there.",
            GIVEN_LEFT_PADDED_POSITIONS,
        ),
        misconception(
            "the steps moved instead",
            "Now both count the padding and agree, and both are wrong: alone, the sentence would start at 0.",
            _left(_from_the_edge, lambda mask: mask.shape[1]),
        ),
        misconception(
            "the steps count the padding",
            "The prompt is right now; the steps go on from the number of its real tokens, not from its width.",
            _left(first_step=lambda mask: mask.shape[1]),
            lambda mask, new_tokens: (_counted(mask), mask.shape[1] + torch.arange(new_tokens)),
        ),
        misconception(
            "an axis too few",
            "`sum(1)` is [batch], and adding [new_tokens] pairs sentences with steps: `keepdim=True` keeps a row for each.",
            lambda mask, new_tokens: (_counted(mask), mask.sum(1) + torch.arange(new_tokens)),
        ),
        misconception(
            "-1 at padding",
            "Where nothing real has come yet, the count minus one is −1: a table of positions has no such row. 0 is wanted.",
            _left(lambda mask: mask.cumsum(1) - 1),
        ),
        misconception(
            "1 at padding",
            "Nobody reads the padding's position, and libraries differ in it; here it is 0.",
            _left(lambda mask: (mask.cumsum(1) - 1).masked_fill(mask == 0, 1)),
        ),
        misconception(
            "counted from 1",
            "The first real token stands at 0: the running count is one too much.",
            _left(lambda mask: mask.cumsum(1)),
            _left(lambda mask: mask.cumsum(1), lambda mask: _number_of_words(mask) + 1),
        ),
        misconception(
            "steps one too late",
            "The last word of a prompt of n has place n − 1, and so the first new token has n.",
            _left(first_step=lambda mask: _number_of_words(mask) + 1),
        ),
        misconception(
            "steps one too early",
            "The first new token stands after the last word of the prompt, not on its place.",
            _left(first_step=lambda mask: _number_of_words(mask) - 1),
        ),
        misconception(
            "steps that do not go on",
            "Each new token stands one place further than the one before it.",
            lambda mask, new_tokens: (_counted(mask), _number_of_words(mask).expand(-1, new_tokens)),
        ),
        misconception(
            "one sentence's steps for all",
            "Each sentence goes on from its own length: `steps` has a row for each.",
            _left(first_step=lambda mask: _number_of_words(mask).max()),
            _left(first_step=lambda mask: _number_of_words(mask)[:1]),
            lambda mask, new_tokens: (_counted(mask), torch.arange(new_tokens) + mask.sum(1).max()),
        ),
    ),
)


# --- packed_loss -----------------------------------------------------------------------------------------------------


def packed_loss(
    logits: Float[Tensor, "batch sequence vocabulary"],
    input_ids: Int[Tensor, "batch sequence"],
    document_ids: Int[Tensor, "batch sequence"],
) -> Float[Tensor, ""]:
    """-1 = padding in `document_ids`: the mean loss over the tokens that follow a token of their own document.

        tokens         I    like   tea   you   like  <pad>
        documents      0     0      0     1     1     -1
        asks for      like  tea     -   like    -      -     →   the mean over the 3 tokens that are asked for

    Args:
        logits: at each position, for the token that follows it.
        input_ids: several documents one after another in each row, and padding.
        document_ids: which document each token is of; -1 = padding. Some token of the batch is asked for.

    Returns:
        The cross entropy, a scalar: the mean over the tokens that are asked for, wherever in the batch they stand.

    Source: borders as labels: pytorch/torchtitan, pull request 4075.
    """
    predictions, labels = logits[:, :-1], input_ids[:, 1:]
    return F.cross_entropy(predictions.flatten(0, 1), labels.flatten())


GIVEN_PACKED_LOSS = packed_loss


@_as_given(GIVEN_PACKED_LOSS)  # type: ignore[no-redef]
def packed_loss(
    logits: Float[Tensor, "batch sequence vocabulary"],
    input_ids: Int[Tensor, "batch sequence"],
    document_ids: Int[Tensor, "batch sequence"],
) -> Float[Tensor, ""]:
    tokens, documents, losses = input_ids.tolist(), document_ids.tolist(), []
    for b, t in every_index((len(tokens), len(tokens[0]) - 1)):
        if documents[b][t] == documents[b][t + 1] != -1:
            losses.append(-wide(logits[b, t]).log_softmax(-1)[tokens[b][t + 1]])
    return torch.stack(losses).mean().to(logits.dtype)


def _packed_case(rng: torch.Generator, about: str, documents: Tensor, vocabulary: int = 6) -> Case:
    ids = torch.randint(0, vocabulary, documents.shape, generator=rng)
    ids = ids.masked_fill(documents == -1, 0)  # a real token, too: only the documents tell what is padding
    return Case(about, (normal(rng, *documents.shape, vocabulary) * 2, ids, documents))


def _documents(rng: torch.Generator, batch: int, length: int) -> Tensor:
    """Draw rows of two or three documents, then padding; the numbers of documents are no order."""
    rows = []
    for _ in range(batch):
        borders = sorted(integer(rng, 2, length) for _ in range(3))
        names = torch.randperm(5, generator=rng).tolist()
        rows.append([names[sum(place >= border for border in borders)] for place in range(length)])
        rows[-1] = [name if place < borders[-1] else -1 for place, name in enumerate(rows[-1])]
    return torch.tensor(rows)


def _packed_cases(rng: torch.Generator) -> list[Case]:
    same, length = _unchanging(), integer(rng, 7, 9)

    def case(about: str, *rows: list[int]) -> Case:
        return _packed_case(same, about, torch.tensor(rows))

    return [
        case("the example", [0, 0, 0, 1, 1, -1]),
        case("two rows, borders and padding", [0, 0, 0, 1, 1, -1, -1], [0, 0, 1, 1, 1, 1, 2]),
        case("one document in each row, padding", [0, 0, 0, -1, -1], [0, 0, 0, 0, -1]),
        case("borders and no padding", [0, 0, 0, 1, 1], [0, 1, 1, 1, 1]),
        case("neither borders nor padding", [0, 0, 0, 0], [0, 0, 0, 0]),
        case("padding on the left", [-1, -1, 3, 3, 3, 1], [-1, 2, 2, 0, 0, 0]),
        case("padding between the documents", [4, 4, -1, -1, 4, 4, 4], [1, 1, 1, -1, 2, 2, -1]),
        case("documents of one token", [0, 1, 2, 2, 2, 3], [0, 0, 1, 2, 3, -1]),
        case("a row in which nothing is asked", [0, 1, -1, -1], [0, 0, 0, 1]),
        _packed_case(rng, "a drawn batch", _documents(rng, 3, length)),
        _packed_case(rng, "as many rows as positions", torch.tensor([[2, 2, 0], [1, 1, 1], [0, 0, -1]]), 3),
    ]


def _packed_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = torch.tensor([[0, 0, 0, 1, 1, -1], [0, 0, 1, 1, 1, 1]])
    return _packed_case(rng, "small", small), _packed_case(rng, "large", small.repeat(2, 2), 9)


Asked = Callable[[Tensor], Tensor]


def _same_document(documents: Tensor) -> Tensor:
    return documents[:, 1:] == documents[:, :-1]


def _asked(documents: Tensor) -> Tensor:
    """bool [batch, sequence - 1]: is the token at t + 1 asked for, at t?"""
    return _same_document(documents) & (documents[:, 1:] != -1)


def _each(logits: Tensor, input_ids: Tensor) -> Tensor:
    """The loss of each next token."""
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), input_ids[:, 1:], reduction="none")


def _packed(
    asked: Asked = _asked,
    mean: Callable[[Tensor, Tensor], Tensor] = lambda each, asked: each[asked].mean(),
    each: Callable[[Tensor, Tensor], Tensor] = _each,
) -> Callable[..., Any]:
    """The loss with the parts that go wrong as arguments: what is asked for, over what is averaged, what each loss is."""
    return lambda logits, input_ids, document_ids: mean(each(logits, input_ids), asked(document_ids))


def _mean_of_documents(logits: Tensor, input_ids: Tensor, document_ids: Tensor) -> Any:
    each, asked = _each(logits, input_ids), _asked(document_ids)
    means = []
    for losses, row, is_asked in zip(each, document_ids[:, 1:], asked, strict=True):
        means += [losses[is_asked & (row == one)].mean() for one in row[is_asked].unique()]
    return torch.stack(means).mean()


def _run_together(asked: Asked) -> Callable[..., Any]:
    """All rows as one long row, and then the shift."""
    return lambda logits, input_ids, document_ids: _packed(asked)(
        logits.flatten(0, 1)[None], input_ids.flatten()[None], document_ids.flatten()[None]
    )


def _with_labels(number: int) -> Callable[..., Any]:
    """Puts another number than cross entropy's −100 where nothing is asked."""
    return lambda logits, input_ids, document_ids: F.cross_entropy(
        logits[:, :-1].transpose(1, 2), input_ids[:, 1:].masked_fill(~_asked(document_ids), number)
    )


def _labels_in_place(logits: Tensor, input_ids: Tensor, document_ids: Tensor) -> Any:
    labels = input_ids[:, 1:]
    labels[~_asked(document_ids)] = -100
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())


PACKED_LOSS = Spec(
    topic="capstone",
    oracle=packed_loss,
    given=GIVEN_PACKED_LOSS,
    points=2,
    cases=_packed_cases,
    sizes=_packed_sizes,
    properties=(*ALWAYS, gradients(0)),
    misconceptions=(
        misconception(
            "nothing mended",
            "Every next token is asked for here, the first word of another document and the padding, too.",
            GIVEN_PACKED_LOSS,
        ),
        misconception(
            "only borders mended",
            "Padding is followed by padding, and −1 equals −1: it is still asked for, as a document of its own.",
            _packed(_same_document),
            _run_together(_same_document),
        ),
        misconception(
            "only padding mended",
            "No padding is asked for now; the last word of a document still has to guess the first one of the next.",
            _packed(lambda documents: documents[:, 1:] != -1),
            _packed(lambda documents: (documents[:, 1:] != -1) & (documents[:, :-1] != -1)),
        ),
        misconception(
            "padding looked for on the other side",
            "What is asked for stands at t + 1: it is that token that may not be padding.",
            _packed(lambda documents: documents[:, :-1] != -1),
        ),
        misconception(
            "document 0 taken for padding",
            "0 is the number of a document like any other: padding is −1.",
            _packed(lambda documents: _same_document(documents) & (documents[:, 1:] > 0)),
            _packed(lambda documents: _same_document(documents) & (documents[:, 1:] != 0)),
        ),
        misconception(
            "divided by all",
            "The mean is over the tokens that are asked for: the others add nothing, and they do not count either.",
            _packed(mean=lambda each, asked: (each * asked).mean()),
            _packed(mean=lambda each, asked: (each * asked).sum() / (each.numel() + len(each))),
        ),
        misconception(
            "divided by all words",
            "The first word of a document is asked of nobody: divide by how many *are* asked for.",
            *(
                lambda logits, input_ids, document_ids, words=words: (  # type: ignore[misc]
                    (_each(logits, input_ids) * _asked(document_ids)).sum() / (document_ids[:, words] != -1).sum()
                )
                for words in (slice(None), slice(1, None), slice(-1))
            ),
        ),
        misconception(
            "the mean of the rows' means",
            "A row with two tokens to guess would weigh as much as one with six: one mean over the whole batch.",
            _packed(mean=lambda each, asked: ((each * asked).sum(1) / asked.sum(1)).mean()),
            _packed(mean=lambda each, asked: ((each * asked).sum(1) / asked.sum(1)).nanmean()),
            _packed(mean=lambda each, asked: ((each * asked).sum(1) / asked.sum(1).clamp(min=1)).mean()),
        ),
        misconception(
            "the mean of the documents' means",
            "A short document would weigh as much as a long one: one mean over all tokens that are asked for.",
            _mean_of_documents,
        ),
        misconception(
            "not shifted",
            "The token at t is asked for the one at t + 1, not for itself: it is in the input.",
            _packed(
                lambda documents: documents != -1,
                each=lambda logits, ids: F.cross_entropy(logits.transpose(1, 2), ids, reduction="none"),
            ),
            _packed(
                each=lambda logits, ids: F.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, :-1], reduction="none")
            ),
            _packed(
                each=lambda logits, ids: F.cross_entropy(logits[:, 1:].transpose(1, 2), ids[:, 1:], reduction="none")
            ),
        ),
        misconception(
            "shifted the wrong way",
            "Logits look ahead: those at t go with the token at t + 1, not with the one before.",
            _packed(
                each=lambda logits, ids: F.cross_entropy(logits[:, 1:].transpose(1, 2), ids[:, :-1], reduction="none")
            ),
        ),
        misconception(
            "token 0 asked for instead",
            "0 is a token like any other: where nothing is asked, the label is −100, which `cross_entropy` leaves out.",
            _with_labels(0),
        ),
        misconception(
            "-1 as a label",
            "`cross_entropy` leaves out −100 unless it is told another number; −1 is an error to it.",
            _with_labels(-1),
        ),
        misconception(
            "rows run together",
            "Shift first and flatten afterwards, or the last token of a row is asked for the first one of the next.",
            _run_together(_asked),
        ),
        misconception(
            "inputs changed in place",
            "The loss is right, but it was prepared in the caller's tensors: a slice is a view, so change a copy of it.",
            _labels_in_place,
        ),
    ),
)


# --- batch_equals_single ---------------------------------------------------------------------------------------------


def batch_equals_single(
    model: Callable[
        [Int[Tensor, "batch sequence"], Int[Tensor, "batch sequence"]], Float[Tensor, "batch sequence vocabulary"]
    ],
    rows: list[Int[Tensor, " length"]],
    pad_token_id: int,
    padding_side: Literal["left", "right"],
) -> bool:
    """True if company changes nothing: each sentence of a padded batch gets the logits that it gets alone.

        alone     I like tea             1 1 1         a b c
        batch     I like tea <pad>       1 1 1 0   →   a b c ?     a b c are compared, ? is nobody's business
                  you like green tea     1 1 1 1       d e f g

    Args:
        model: called as `model(input_ids, attention_mask)`, both long, 1 = real token; returns logits.
        rows: the sentences, of one or several lengths, each with at least one token.
        pad_token_id: what the batch is padded with; it may be the id of a real token, too.
        padding_side: `"left"` or `"right"`, where the padding goes.

    Returns:
        A plain bool: True if at each real position of each sentence every logit of the batch is within 1e-4 of the logit
        that this sentence gets alone, with a mask of ones. Logits are finite or NaN, and NaN is within 1e-4 of nothing.
    """
    width = max(len(row) for row in rows)
    ids, mask, starts = [], [], []
    for row in rows:
        padding = width - len(row)
        left, right = (padding, 0) if padding_side == "left" else (0, padding)
        ids.append([pad_token_id] * left + row.tolist() + [pad_token_id] * right)
        mask.append([0] * left + [1] * len(row) + [0] * right)
        starts.append(left)
    together = model(*(torch.tensor(table, dtype=torch.long, device=rows[0].device) for table in (ids, mask)))
    for row, start, logits in zip(rows, starts, together, strict=True):
        alone = model(row[None], torch.ones_like(row[None]))[0]
        for place in range(len(row)):
            if not bool(((logits[start + place] - alone[place]).abs() <= 1e-4).all()):
                return False
    return True


def _vocabulary(rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Vectors of six words and eight places, small enough that no logit is large: the border stays at 1e-4."""
    return normal(rng, 6, 4) * 0.6, normal(rng, 8, 4) * 0.6


def _nudges(places: Sequence[int], nudges: dict[int, float]) -> Tensor:
    """What the logits of some words of the vocabulary are off by, at some places of the sentence."""
    table = torch.zeros(8, 6)
    for word, nudge in nudges.items():
        table[list(places), word] = nudge
    return table


def _company_cases(rng: torch.Generator) -> list[Case]:
    same = _unchanging()
    words, places = _vocabulary(same)
    rows = [[2, 3, 4], [5, 3, 2, 4], [4, 2]]

    def case(
        about: str, model: str, side: str = "right", sentences: Sequence[list[int]] = rows, pad: int = 0, **more: Tensor
    ) -> Case:
        tensors = (words,) if model.startswith("blind") else (words, places)
        named = FunctionArgument(model, (*tensors, *more.values()))
        return Case(f"{about}, padding on the {side}", (named, [torch.tensor(row) for row in sentences], pad, side))

    def off(by: str, side: str, sentences: list[list[int]], places: Sequence[int], nudges: dict[int, float]) -> Case:
        return case(f"off by {by}", "nudged reader", side, sentences, nudges=_nudges(places, nudges))

    drawn = [torch.randint(1, 6, (integer(rng, 1, 5),), generator=rng).tolist() for _ in range(3)] + [[1] * 6]
    five, both, every = [[2, 3, 4, 2, 5], [5, 3, 2, 4, 5, 2]], ("right", "left"), range(8)
    return [
        *(case("positions counted over the words", "strict reader", side) for side in both),
        *(case("positions from the left edge", "reader", side) for side in both),
        case("positions from the left edge, one length", "reader", "left", [[1, 2, 3], [3, 4, 5]]),
        *(case("a causal model without a mask", "blind reader", side) for side in both),
        case("a model without any mask", "blind reader of both sides"),
        case("a model without any mask, longest first", "blind reader of both sides", sentences=[[5, 3, 2, 4], [2, 4]]),
        case("a model without any mask, one word", "blind reader of both sides", "left", [[3]]),
        case("NaN at the padding", "reader with loud padding", "left"),
        case("a model that hears its neighbours", "neighbourly reader"),
        case("a model that hears its neighbours, one sentence", "neighbourly reader", "left", rows[:1]),
        case("a model that hears its neighbours, one length", "neighbourly reader", "left", [[1, 2, 3], [3, 4, 5]]),
        case("the words' logits moved to the left", "reader to the left", "left"),
        *(case("a word with the padding's id", "counting reader", side, [[2, 0, 4], [5, 3, 2, 0], [0]]) for side in both),
        *(
            case(f"a model that looks for padding {pad}", "reader by id", "left", [[3, 4, 5], [5, 3]], pad,
                 padding_id=torch.tensor(pad))
            for pad in (1, 2)
        ),
        off("5e-5 at one logit", "left", five, [2], {1: 5e-5}),
        off("5e-5 at every word, down and up", "right", five, every, {1: -5e-5, 4: 5e-5}),
        off("2e-4 at one logit, the middle word of five", "left", five, [2], {1: 2e-4}),
        off("4e-4 at one logit, the middle word of five", "right", five, [2], {1: -4e-4}),
        off("3e-4 at every logit", "right", five, every, dict.fromkeys(range(6), 3e-4)),
        off("6e-4 at the first word", "right", rows[1::-1], [0], {1: -6e-4, 4: 6e-4}),
        off("6e-4 at every word", "left", rows, every, {1: -6e-4, 4: 6e-4}),
        off("2e-3 at the last of five words", "right", five, [4], {1: -2e-3}),
        off("0.3, up and down, at the second word", "right", rows, [1], {1: -0.3, 4: 0.3}),
        off("0.3, down, at the second word", "right", rows, [1], {1: -0.3}),
        off("0.3, up, at the second word of five", "right", five, [1], {1: 0.3}),
        off("0.3, only the middle sentence padded", "right", [[5, 3, 2, 4], [4, 2], [2, 3, 4, 5]], [0], {1: 0.3}),
        off("0.3, only the last sentence padded", "left", [[5, 3, 2, 4], [2, 3, 4, 5], [4, 2]], [0], {1: 0.3}),
        off("0.3 at every logit", "left", rows, every, dict.fromkeys(range(6), 0.3)),
        case("twice the logits", "mixing reader", "left", mixing=2 * torch.eye(6)),
        case("the logits with the other sign", "mixing reader", mixing=-torch.eye(6)),
        case("the logits in another order", "mixing reader", mixing=torch.eye(6).flip(1)),
        case("NaN at the second word of padded sentences", "breaking reader"),
        case("NaN at the second word, alone as well", "broken reader"),
        case("a drawn batch, positions counted", "counting reader", "left", drawn),
        case("a drawn batch, no mask", "blind reader of both sides", "right", drawn),
    ]  # fmt: skip


def _company_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    def case(about: str, *lengths: int) -> Case:
        rows = [torch.randint(1, 6, (length,), generator=rng) for length in lengths]
        return Case(about, (FunctionArgument("counting reader", _vocabulary(rng)), rows, 0, "left"))

    return case("small", 2, 3), case("large", 4, 6, 3)


Padded = tuple[Tensor, Tensor]


def _padded(rows: list[Tensor], pad_token_id: int, padding_side: str) -> Padded:
    width = max(len(row) for row in rows)

    def table(each: list[Tensor], number: int) -> Tensor:
        gaps = [(width - len(row), 0) if padding_side == "left" else (0, width - len(row)) for row in rows]
        return torch.stack([F.pad(row, gap, value=number) for row, gap in zip(each, gaps, strict=True)])

    return table(rows, pad_token_id), table([torch.ones_like(row) for row in rows], 0)


def _mask_of_ids(ids: Tensor, pad_token_id: int) -> Padded:
    return ids, (ids != pad_token_id).long()


def _close(together: Tensor, alone: Tensor) -> bool:
    return bool(((together - alone).abs() <= 1e-4).all())


def _company(
    *,
    pads: Callable[[list[Tensor], int, str], Padded] = _padded,
    tells: Callable[[Tensor, Tensor, int], Tensor] = lambda mask, ids, pad: mask,
    finds: Callable[[Tensor, Tensor, str], Tensor] = lambda logits, is_real, side: logits[is_real],
    alike: Callable[[Tensor, Tensor], Any] = _close,
    every: Callable[[Any], Any] = all,
) -> Callable[..., Any]:
    """The test with the parts that go wrong as arguments: how it pads, what it tells, where it looks, how it compares."""

    def answer(model: Any, rows: list[Tensor], pad_token_id: int, padding_side: str) -> Any:
        ids, mask = pads(rows, pad_token_id, padding_side)
        together, verdicts = model(ids, tells(mask, ids, pad_token_id)), []
        for row, logits, is_real in zip(rows, together, mask == 1, strict=True):
            alone = model(row[None], torch.ones_like(row)[None])[0]
            verdicts.append(alike(finds(logits, is_real, padding_side), alone))
        return every(verdicts)

    return answer


def _first_places(logits: Tensor, is_real: Tensor, side: str) -> Tensor:
    return logits[: int(is_real.sum())]


def _last_places(logits: Tensor, is_real: Tensor, side: str) -> Tensor:
    return logits[len(logits) - int(is_real.sum()) :]


def _padding_compared(model: Any, rows: list[Tensor], pad_token_id: int, padding_side: str) -> bool:
    """Fills what the sentence gets alone up with zeros, and compares whole rows."""
    together = model(*_padded(rows, pad_token_id, padding_side))
    for row, logits in zip(rows, together, strict=True):
        alone, gap = model(row[None], torch.ones_like(row)[None])[0], len(logits) - len(row)
        if not _close(logits, F.pad(alone, (0, 0, gap, 0) if padding_side == "left" else (0, 0, 0, gap))):
            return False
    return True


def _alone_with_padding(places: bool) -> Callable[..., Any]:
    """Pads the single sentence, too; compares it whole, or at the words (``places``)."""

    def answer(model: Any, rows: list[Tensor], pad_token_id: int, padding_side: str) -> bool:
        ids, mask = _padded(rows, pad_token_id, padding_side)
        together = model(ids, mask)
        singles = [model(ids[number : number + 1], mask[number : number + 1])[0] for number in range(len(rows))]
        kept = mask == 1 if places else torch.ones_like(mask).bool()
        return all(_close(logits[keep], one[keep]) for logits, one, keep in zip(together, singles, kept, strict=True))

    return answer


def _never_together(model: Any, rows: list[Tensor], pad_token_id: int, padding_side: str) -> bool:
    """Pads each sentence, but asks for one at a time."""
    ids, mask = _padded(rows, pad_token_id, padding_side)
    return all(
        _close(model(one[None], real[None])[0, real == 1], model(row[None], torch.ones_like(row)[None])[0])
        for row, one, real in zip(rows, ids, mask, strict=True)
    )


BATCH_EQUALS_SINGLE = Spec(
    topic="capstone",
    oracle=batch_equals_single,
    points=2,
    cases=_company_cases,
    sizes=_company_sizes,
    properties=(DEVICE,),
    misconceptions=(
        misconception(
            "compared from the left edge",
            "Under left padding the words stand at the end of their row: compare where the mask is 1.",
            _company(finds=_first_places),
        ),
        misconception(
            "compared from the right edge",
            "Under right padding the words stand at the start of their row: compare where the mask is 1.",
            _company(finds=_last_places),
        ),
        misconception(
            "only the shapes compared",
            "Logits of the right shape can hold anything: compare the numbers.",
            _company(alike=lambda together, alone: together.shape == alone.shape),
        ),
        misconception(
            "the padding compared too",
            "What a model says at padding is nobody's business, and alone there is nothing to compare it with: words only.",
            _padding_compared,
        ),
        misconception(
            "alone with its padding",
            "Alone means without padding: the row itself, and a mask of ones. This only tells whether neighbours are heard.",
            _alone_with_padding(places=False),
            _alone_with_padding(places=True),
        ),
        misconception(
            "never together",
            "A sentence padded, but without company, cannot show what its neighbours do to it: ask for the whole batch at once.",
            _never_together,
        ),
        misconception(
            "one padding side for both",
            "`padding_side` changes nothing here: some models are right on one side and wrong on the other.",
            _company(pads=lambda rows, pad, side: _padded(rows, pad, "right")),
            _company(pads=lambda rows, pad, side: _padded(rows, pad, "left")),
        ),
        misconception(
            "the mask not handed over",
            "With a mask of ones the model takes the padding for words: give it the batch's own mask.",
            _company(tells=lambda mask, ids, pad: torch.ones_like(mask)),
        ),
        misconception(
            "the mask upside down",
            "The model reads 1 as a real token: here it is told that the words are padding.",
            _company(tells=lambda mask, ids, pad: 1 - mask),
            _company(pads=lambda rows, pad, side: (_padded(rows, pad, side)[0], 1 - _padded(rows, pad, side)[1])),
        ),
        misconception(
            "the mask read off the ids",
            "The padding's id can be a word's as well, so `ids != pad_token_id` loses words: take the lengths.",
            _company(tells=lambda mask, ids, pad: (ids != pad).long()),
            _company(pads=lambda rows, pad, side: _mask_of_ids(_padded(rows, pad, side)[0], pad)),
        ),
        misconception(
            "padded with another id",
            "The padding is to be `pad_token_id`: some models look for that id, whatever the mask says.",
            _company(pads=lambda rows, pad, side: _padded(rows, 0, side)),
            _company(pads=lambda rows, pad, side: _padded(rows, 1, side)),
            _company(pads=lambda rows, pad, side: _padded(rows, pad + 1, side)),
        ),
        misconception(
            "no tolerance",
            "Sums in another order round otherwise: equal means within 1e-4, not to the last bit.",
            _company(alike=torch.equal),
            _company(alike=lambda together, alone: torch.allclose(together, alone)),
        ),
        misconception(
            "too much tolerance",
            "Each logit may be off by 1e-4 and no more: 2e-4 is far more than rounding, and a leak.",
            *(
                _company(alike=lambda together, alone, by=by: torch.allclose(together, alone, **by))  # type: ignore[misc]
                for by in (
                    *({"rtol": 0, "atol": atol} for atol in (2.5e-4, 5e-4, 1e-3, 1e-2, 0.5)),
                    *({"rtol": rtol, "atol": 1e-4} for rtol in (1e-3, 1e-2)),
                )
            ),
            _company(alike=lambda together, alone: bool((F.cosine_similarity(together, alone, -1) > 0.9999).all())),
        ),
        misconception(
            "only the best token compared",
            "All logits can be wrong and the same token be the best: compare the numbers.",
            _company(alike=lambda together, alone: torch.equal(together.argmax(-1), alone.argmax(-1))),
        ),
        misconception(
            "probabilities compared",
            "Softmax does not notice when all logits rise alike, and makes differences smaller: compare the logits.",
            _company(alike=lambda together, alone: _close(together.softmax(-1), alone.softmax(-1))),
            _company(alike=lambda together, alone: _close(together.log_softmax(-1), alone.log_softmax(-1))),
        ),
        misconception(
            "the mean difference",
            "One wrong logit among many right ones hardly moves a mean: *every* difference has to be small.",
            *(
                _company(alike=lambda together, alone, mean=mean: bool(mean((together - alone).abs()) <= 1e-4))  # type: ignore[misc]
                for mean in (
                    torch.mean,
                    lambda apart: apart.square().mean().sqrt(),
                    lambda apart: apart.mean(-1).max(),
                    lambda apart: apart.amax(-1).mean(),
                    lambda apart: apart.sum(-1).mean(),
                )
            ),
        ),
        misconception(
            "the differences added up",
            "Many tiny differences have a large sum, and a norm is a sum, too: ask each of them whether it is small.",
            _company(alike=lambda together, alone: bool((together - alone).abs().sum() <= 1e-4)),
            _company(alike=lambda together, alone: bool((together - alone).norm() <= 1e-4)),
        ),
        misconception(
            "differences with their sign",
            "A large negative difference is below 1e-4 as well: take the absolute value first.",
            _company(alike=lambda together, alone: bool(((together - alone) <= 1e-4).all())),
            _company(alike=lambda together, alone: bool(((alone - together) <= 1e-4).all())),
            _company(alike=lambda together, alone: bool((together - alone).mean().abs() <= 1e-4)),
            _company(alike=lambda together, alone: bool((together - alone).sum().abs() <= 1e-4)),
        ),
        misconception(
            "blind for NaN",
            "NaN is close to nothing, not to NaN either: ask whether all are *within* 1e-4, not whether one is beyond.",
            _company(alike=lambda together, alone: not bool(((together - alone).abs() > 1e-4).any())),
            _company(alike=lambda together, alone: torch.allclose(together, alone, rtol=0, atol=1e-4, equal_nan=True)),
            _company(alike=lambda together, alone: _close(together[~together.isnan()], alone[~together.isnan()])),
            _company(alike=lambda together, alone: _close(torch.where(together.isnan(), alone, together), alone)),
        ),
        misconception(
            "not every word",
            "The last word can be right and others not, or the first: compare at every real position.",
            *(
                _company(alike=lambda together, alone, words=words: _close(together[words], alone[words]))  # type: ignore[misc]
                for words in (-1, 0, [0, -1])
            ),
        ),
        misconception(
            "not every sentence",
            "Which sentences are padded is not known beforehand: compare each of them, and all have to come out as alone.",
            _company(every=lambda verdicts: verdicts[0]),
            _company(every=lambda verdicts: verdicts[-1]),
            _company(every=lambda verdicts: verdicts[0] and verdicts[-1]),
            _company(every=lambda verdicts: all(verdicts[:2])),
            _company(every=lambda verdicts: sum(verdicts) * 2 > len(verdicts)),
        ),
        misconception(
            "one right sentence is enough",
            "`any` is content with one: *all* sentences have to come out as alone.",
            _company(every=any),
        ),
        misconception(
            "always False",
            "It says False to a model that is right in company, too: look at two numbers that it finds unlike.",
            lambda model, rows, pad_token_id, padding_side: False,
        ),
        misconception(
            "a tensor for a bool",
            "The answer is right and a tensor: `bool(…)` or `.item()` makes it a plain True or False.",
            _company(every=lambda verdicts: torch.tensor(verdicts).all()),
            _company(every=lambda verdicts: torch.tensor(float(all(verdicts)))),
        ),
    ),
)


SPECS = (
    ENCODER_FORWARD,
    CROSS_ATTENTION,
    HALF_PRECISION_SCORES,
    DECODE_STEP,
    LEFT_PADDED_POSITIONS,
    PACKED_LOSS,
    BATCH_EQUALS_SINGLE,
)
