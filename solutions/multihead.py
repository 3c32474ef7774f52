"""Notebook 03, answered, with the reason for each choice."""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


class MultiheadWeights(NamedTuple):
    """The parameters of one `nn.MultiheadAttention`: three projections in one (query, key, value), and the last one."""

    in_proj_weight: Float[Tensor, "3*dim dim"]
    in_proj_bias: Float[Tensor, " 3*dim"]
    out_proj_weight: Float[Tensor, "dim dim"]
    out_proj_bias: Float[Tensor, " dim"]


def to_allowed(
    mask: Shaped[Tensor, "*axes"], convention: Literal["allowed", "ignore", "attention_mask", "additive"]
) -> Bool[Tensor, "*axes"]:
    if convention == "allowed":
        return mask
    if convention == "ignore":
        return ~mask
    if convention == "attention_mask":
        # A comparison, not ~: on whole numbers ~ flips bits.
        return mask == 1
    if convention == "additive":
        # Half of the minimum lies between all biases and all that is meant as −∞, even after a bias was added to it.
        return mask > torch.finfo(mask.dtype).min / 2
    # No `else` that guesses: a misspelt name would turn the mask upside down.
    raise ValueError(f"convention is {convention!r}; it can be 'allowed', 'ignore', 'attention_mask' or 'additive'")


def from_allowed(
    allowed: Bool[Tensor, "*axes"],
    convention: Literal["allowed", "ignore", "attention_mask", "additive"],
    dtype: torch.dtype = torch.float32,
) -> Shaped[Tensor, "*axes"]:
    if convention == "allowed":
        return allowed
    if convention == "ignore":
        return ~allowed
    if convention == "attention_mask":
        return allowed.long()
    if convention == "additive":
        # A finite minimum, not −∞: a row without any allowed key stays a number after the softmax.
        zeros = torch.zeros(allowed.shape, dtype=dtype, device=allowed.device)
        return zeros.masked_fill(~allowed, torch.finfo(dtype).min)
    raise ValueError(f"convention is {convention!r}; it can be 'allowed', 'ignore', 'attention_mask' or 'additive'")


def key_padding_to_attn_mask(
    key_padding_mask: Bool[Tensor, "batch key"], num_heads: int, target_length: int
) -> Bool[Tensor, "batch*heads query key"]:
    # repeat_interleave keeps the heads of one sentence together (0 0 1 1), which is torch's order, b·H + h.
    per_head = key_padding_mask.repeat_interleave(num_heads, dim=0)
    # The keys stay the last axis: padding is not looked at, whoever asks.
    return per_head[:, None, :].expand(-1, target_length, -1)


def merge_masks(
    key_padding_mask: Bool[Tensor, "batch key"] | None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None,
    num_heads: int,
) -> Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None:
    if key_padding_mask is None:
        return attn_mask
    # An axis of length 1 for the queries: both a 2-D and a 3-D attn_mask broadcast against it.
    padding = key_padding_mask.repeat_interleave(num_heads, dim=0)[:, None, :]
    if attn_mask is None:
        return padding
    if attn_mask.dtype == torch.bool:
        return attn_mask | padding
    # Filled, not added: bool + float would add 1. −∞ swallows whatever bias stood there.
    return attn_mask.masked_fill(padding, -math.inf)


def per_head_windows(
    batch_size: int,
    sequence_length: int,
    windows: Sequence[int],
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch*heads query key"]:
    position = torch.arange(sequence_length, device=device)
    steps_back = position[:, None] - position
    window = torch.tensor(windows, device=device)[:, None, None]
    # True = ignore: what comes later, or lies too far back.
    ignored = (steps_back < 0) | (steps_back >= window)
    # Here repeat is right: the heads stand together already, and the whole set comes once for each sentence.
    return ignored.repeat(batch_size, 1, 1)


def nn_transformer_masks(
    source_ids: Int[Tensor, "batch source"], target_ids: Int[Tensor, "batch target"], pad_token_id: int
) -> dict[str, Bool[Tensor, "..."]]:
    target_length = target_ids.shape[1]
    source_is_padding = source_ids == pad_token_id
    return {
        "src_key_padding_mask": source_is_padding,
        # Strictly above the diagonal: with the diagonal, the first word could see nothing, and NaN would spread.
        "tgt_mask": torch.ones(target_length, target_length, dtype=torch.bool, device=target_ids.device).triu(1),
        "tgt_key_padding_mask": target_ids == pad_token_id,
        # The keys of cross-attention are the encoder's outputs, so their padding is the source's. It is not inherited.
        "memory_key_padding_mask": source_is_padding,
    }


def multi_head_attention(
    query: Float[Tensor, "batch query dim"],
    key: Float[Tensor, "batch key dim"],
    value: Float[Tensor, "batch key dim"],
    weights: MultiheadWeights,
    num_heads: int,
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None = None,
) -> tuple[Float[Tensor, "batch query dim"], Float[Tensor, "batch query key"]]:
    # Each input has its own third of the rows: only in self-attention would one product do for all three.
    projections = zip(weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3), strict=True)
    projected = [x @ w.T + b for x, (w, b) in zip((query, key, value), projections, strict=True)]
    # The model axis is cut into heads before the transpose; a bare view(B, H, L, D) would cut the positions.
    q, k, v = (x.unflatten(-1, (num_heads, -1)).transpose(1, 2) for x in projected)
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
    if attn_mask is not None:
        # Row b·H + h of a 3-D mask is for head h of sentence b.
        attn_mask = attn_mask.unflatten(0, scores.shape[:2]) if attn_mask.dim() == 3 else attn_mask
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(attn_mask, -math.inf) if is_bool else scores + attn_mask
    if key_padding_mask is not None:
        scores = scores.masked_fill(key_padding_mask[:, None, None, :], -math.inf)
    attention = scores.softmax(dim=-1)
    heads_side_by_side = (attention @ v).transpose(1, 2).flatten(2)
    return heads_side_by_side @ weights.out_proj_weight.T + weights.out_proj_bias, attention.mean(dim=1)
