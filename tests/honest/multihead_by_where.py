"""Right answers, written otherwise: every choice is a ``torch.where``, heads are named by einsum."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class MultiheadWeights(NamedTuple):
    in_proj_weight: Tensor
    in_proj_bias: Tensor
    out_proj_weight: Tensor
    out_proj_bias: Tensor


def to_allowed(mask, convention):
    if convention not in ("allowed", "ignore", "attention_mask", "additive"):
        raise ValueError(f"unknown convention {convention}")
    if convention == "allowed":
        return mask.clone()
    if convention == "ignore":
        return torch.logical_not(mask)
    if convention == "attention_mask":
        return mask.bool()
    return ~(mask <= torch.finfo(mask.dtype).min / 2)


def from_allowed(allowed, convention, dtype=torch.float32):
    if convention == "allowed":
        return torch.where(allowed, True, False)
    if convention == "ignore":
        return torch.where(allowed, False, True)
    if convention == "attention_mask":
        return torch.where(allowed, 1, 0)
    zero = torch.zeros((), dtype=dtype, device=allowed.device)
    return torch.where(allowed, zero, torch.full_like(zero, torch.finfo(dtype).min))


def key_padding_to_attn_mask(key_padding_mask, num_heads, target_length):
    batch, key_length = key_padding_mask.shape
    mask = key_padding_mask.view(batch, 1, 1, key_length).expand(batch, num_heads, target_length, key_length)
    return mask.reshape(batch * num_heads, target_length, key_length)


def merge_masks(key_padding_mask, attn_mask, num_heads):
    if key_padding_mask is None and attn_mask is None:
        return None
    if key_padding_mask is None:
        return attn_mask.clone()
    batch, key_length = key_padding_mask.shape
    padding = key_padding_mask[:, None, None, :].expand(-1, num_heads, -1, -1).reshape(batch * num_heads, 1, key_length)
    if attn_mask is None:
        return padding
    if attn_mask.dtype == torch.bool:
        return torch.where(padding, torch.ones_like(padding), attn_mask)
    return torch.where(padding, torch.tensor(-math.inf, dtype=attn_mask.dtype, device=attn_mask.device), attn_mask)


def per_head_windows(batch_size, sequence_length, windows, device=None):
    query = torch.arange(sequence_length, device=device).view(1, 1, -1, 1)
    key = torch.arange(sequence_length, device=device).view(1, 1, 1, -1)
    window = torch.as_tensor(list(windows), device=device).view(1, -1, 1, 1)
    allowed = (key <= query) & (key > query - window)
    return ~allowed.expand(batch_size, -1, -1, -1).reshape(-1, sequence_length, sequence_length)


def nn_transformer_masks(source_ids, target_ids, pad_token_id):
    position = torch.arange(target_ids.shape[1], device=target_ids.device)
    return {
        "tgt_mask": position[None, :] > position[:, None],
        "memory_key_padding_mask": source_ids.eq(pad_token_id),
        "tgt_key_padding_mask": target_ids.eq(pad_token_id),
        "src_key_padding_mask": source_ids.eq(pad_token_id),
    }


def multi_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    batch, query_length, dim = query.shape
    key_length, head_dim = key.shape[1], dim // num_heads
    in_weight = weights.in_proj_weight.reshape(3, num_heads, head_dim, dim)
    in_bias = weights.in_proj_bias.reshape(3, 1, num_heads, 1, head_dim)
    q, k, v = (
        torch.einsum("ble,hde->bhld", vectors, weight) + bias
        for vectors, weight, bias in zip((query, key, value), in_weight, in_bias, strict=True)
    )
    scores = torch.einsum("bhqd,bhkd->bhqk", q, k) * head_dim**-0.5
    if attn_mask is not None:
        by_head = attn_mask.reshape(-1, query_length, key_length)
        if len(by_head) == 1:
            by_head = by_head.expand(batch * num_heads, -1, -1)
        by_head = by_head.reshape(scores.shape)
        scores = torch.where(by_head, -math.inf, scores) if by_head.dtype == torch.bool else scores + by_head
    if key_padding_mask is not None:
        scores = torch.where(key_padding_mask[:, None, None], -math.inf, scores)
    shares = torch.softmax(scores, -1)
    out_weight = weights.out_proj_weight.reshape(dim, num_heads, head_dim)
    output = torch.einsum("bhqk,bhkd,ehd->bqe", shares, v, out_weight) + weights.out_proj_bias
    return output, torch.einsum("bhqk->bqk", shares) / num_heads
