"""Notebook 05, answered, with the reason for each choice."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor


def sdpa_reference(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    attn_mask: Bool[Tensor, "*#axes"] | Float[Tensor, "*#axes"] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "batch heads query dim"]:
    if attn_mask is not None and is_causal:
        raise ValueError(f"is_causal is {is_causal} and attn_mask is given; only one of them may be")
    # `is None`, not `or`: a scale of 0 is a scale.
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * scale
    if is_causal:
        # Top left, as SDPA has it: the triangle starts at the first key, however many keys there are.
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        is_bool = attn_mask.dtype == torch.bool
        scores = scores.masked_fill(~attn_mask, -math.inf) if is_bool else scores + attn_mask
    return scores.softmax(dim=-1) @ value


def safe_sdpa(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    allowed: Bool[Tensor, "*#axes"],
) -> Float[Tensor, "batch heads query dim"]:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    # A finite minimum, not −∞: an empty row is uniform then and not NaN, so that its gradients are numbers, too.
    weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(dim=-1)
    # Empty rows lose their uniform weights; in all other rows the forbidden cells are 0 already.
    return weights.masked_fill(~allowed, 0.0) @ value


def mha_to_sdpa_mask(
    key_padding_mask: Bool[Tensor, "batch key"] | None, attn_mask: Bool[Tensor, "query key"] | None
) -> Bool[Tensor, "*axes"] | None:
    if key_padding_mask is None:
        return None if attn_mask is None else ~attn_mask
    # Two axes of length 1 for heads and queries: SDPA broadcasts from the right.
    is_word = ~key_padding_mask[:, None, None, :]
    # Turned over, "or" becomes "and": a key needs both permissions.
    return is_word if attn_mask is None else is_word & ~attn_mask


def cached_causal_attention(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
) -> Float[Tensor, "batch heads query dim"]:
    query_length, key_length = query.shape[2], key.shape[2]
    # Not is_causal=True: that triangle starts at the first key, this one ends at the last.
    allowed = torch.ones(query_length, key_length, dtype=torch.bool, device=query.device).tril(
        key_length - query_length
    )
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)


def choose_sdpa_arguments(
    attention_mask: Int[Tensor, "batch key"] | None, query_length: int, key_length: int
) -> tuple[torch.Tensor | None, bool]:
    if (attention_mask is None or bool((attention_mask == 1).all())) and query_length in (1, key_length):
        # Without a mask SDPA takes its fastest kernel. A single query is the newest position and may see every key.
        return None, query_length == key_length
    device = None if attention_mask is None else attention_mask.device
    ones = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    allowed = ones.tril(key_length - query_length)
    if attention_mask is not None:
        allowed = allowed & (attention_mask == 1)[:, None, None, :]
    # The mask says it all: is_causal=True beside it is an error on some kernels.
    return allowed, False


def combine_additive(first: Float[Tensor, "*#axes"], second: Float[Tensor, "*#axes"]) -> Float[Tensor, "*axes"]:
    # Held after the sum, since the sum is what falls to −∞; a floor and no ceiling, for biases may be positive.
    return (first + second).clamp(min=torch.finfo(first.dtype).min)


def grouped_query_attention(
    query: Float[Tensor, "batch query_heads query dim"],
    key: Float[Tensor, "batch key_heads key dim"],
    value: Float[Tensor, "batch key_heads key dim"],
    allowed: Bool[Tensor, "*#axes"],
) -> Float[Tensor, "batch query_heads query dim"]:
    query_heads, key_heads = query.shape[1], key.shape[1]
    if query_heads % key_heads != 0:
        raise ValueError(f"query has {query_heads} heads; it must be a multiple of the {key_heads} heads of key")
    # repeat_interleave, not repeat: neighbouring query heads share a key head (0 0 1 1), as the models were trained.
    key, value = (heads.repeat_interleave(query_heads // key_heads, dim=1) for heads in (key, value))
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
