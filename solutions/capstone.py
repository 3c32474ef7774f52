"""Notebook 07, mended, with the reason for each change."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


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


def encoder_forward(
    hidden: Float[Tensor, "batch sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
    layers: list[MultiheadWeights],
    num_heads: int,
) -> Float[Tensor, "batch sequence dim"]:
    # The tokenizer's 1 is a real token, key_padding_mask's True is one to ignore: compare with 0, do not cast.
    key_padding_mask = attention_mask == 0
    for weights in layers:
        # In every layer: padding that the first one hides comes back in the second, with what it has read meanwhile.
        hidden = hidden + attention(hidden, hidden, weights, num_heads, key_padding_mask)
    return hidden


def cross_attention(
    query: Float[Tensor, "batch target dim"],
    memory: Float[Tensor, "batch source dim"],
    source_mask: Int[Tensor, "batch source"],
    target_mask: Int[Tensor, "batch target"],
    weights: MultiheadWeights,
    num_heads: int,
) -> Float[Tensor, "batch target dim"]:
    # The keys are the source's, so the mask is, too. That it has the target's width now and then proves nothing.
    return attention(query, memory, weights, num_heads, key_padding_mask=source_mask == 0)


def half_precision_scores(
    scores: Float[Tensor, "batch heads query key"],
    allowed: Bool[Tensor, "*#axes"],
    bias: Float[Tensor, "*#axes"],
) -> Float[Tensor, "batch heads query key"]:
    lowest = torch.finfo(scores.dtype).min
    # Held after the sum: two additive masks at one place, or one and a low score, fall below the last finite number.
    held = (scores + bias).clamp(min=lowest)
    # Filled last, and not added: so no bias can move a hidden score, and nothing overflows.
    return held.masked_fill(~allowed, lowest)


def decode_step(
    query: Float[Tensor, "batch heads 1 dim"],
    key_cache: Float[Tensor, "batch heads sequence dim"],
    value_cache: Float[Tensor, "batch heads sequence dim"],
    attention_mask: Int[Tensor, "batch sequence"],
) -> Float[Tensor, "batch heads 1 dim"]:
    # No is_causal: its triangle starts at the first key, and the newest position has no future to hide. The padding is
    # all there is to hide, the same for each head and for the one query.
    allowed = (attention_mask == 1)[:, None, None, :]
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed)


def left_padded_positions(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> tuple[Int[Tensor, "batch sequence"], Int[Tensor, "batch new_tokens"]]:
    # One count for both: the running number of real tokens, from 0. At padding it would be -1, no row of any table.
    prompt = (attention_mask.cumsum(dim=1) - 1).clamp(min=0)
    # The steps were right: they go on from the number of real tokens, where the prompt's count now ends.
    real_length = attention_mask.sum(dim=1, keepdim=True)
    steps = real_length + torch.arange(new_tokens, device=attention_mask.device)
    return prompt, steps


def packed_loss(
    logits: Float[Tensor, "batch sequence vocabulary"],
    input_ids: Int[Tensor, "batch sequence"],
    document_ids: Int[Tensor, "batch sequence"],
) -> Float[Tensor, ""]:
    predictions, labels = logits[:, :-1], input_ids[:, 1:]
    before, after = document_ids[:, :-1], document_ids[:, 1:]
    # Two conditions: padding is equal to padding, so that comparing neighbours alone would leave it in.
    asked = (before == after) & (after != -1)
    # cross_entropy leaves -100 out of the sum and of what it divides by.
    labels = labels.masked_fill(~asked, -100)
    return F.cross_entropy(predictions.flatten(0, 1), labels.flatten())


def batch_equals_single(
    model: Callable[
        [Int[Tensor, "batch sequence"], Int[Tensor, "batch sequence"]], Float[Tensor, "batch sequence vocabulary"]
    ],
    rows: list[Int[Tensor, " length"]],
    pad_token_id: int,
    padding_side: Literal["left", "right"],
) -> bool:
    width = max(len(row) for row in rows)

    def padded(row: Tensor, number: int) -> Tensor:
        missing = width - len(row)
        return F.pad(row, (missing, 0) if padding_side == "left" else (0, missing), value=number)

    input_ids = torch.stack([padded(row, pad_token_id) for row in rows])
    # The mask is padded like the ids, not read off them: pad_token_id may be a word as well.
    attention_mask = torch.stack([padded(torch.ones_like(row), 0) for row in rows])
    together = model(input_ids, attention_mask)
    for row, is_real, logits in zip(rows, attention_mask == 1, together, strict=True):
        alone = model(row[None], torch.ones_like(row)[None])[0]
        # Chosen by the mask, whichever side the padding is on. `<=` is False for NaN, and so one NaN is enough.
        if not bool(((logits[is_real] - alone).abs() <= 1e-4).all()):
            return False
    return True
