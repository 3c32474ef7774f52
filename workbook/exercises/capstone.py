"""Notebook 07. A transformer to mend: the first six functions run without an error, and each of them is wrong.

Still no Python loop over sentences, heads or positions. One over `layers` is fine, and in `batch_equals_single` one over rows.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


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


@exercise
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


@exercise
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


@exercise
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


@exercise
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


@exercise
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


@exercise
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


@exercise
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
    raise NotImplementedError("capstone.batch_equals_single")
