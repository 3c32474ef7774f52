"""Right answers, written otherwise: heads folded into the batch, rows and heads picked by index, queries padded in front."""

import math

import torch
import torch.nn.functional as F


def _folded(tensor):
    return tensor.flatten(0, 1)


def _unfolded(tensor, like):
    return tensor.unflatten(0, like.shape[:2])


def sdpa_reference(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if attn_mask is not None and is_causal:
        raise ValueError("both")
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[-1])
    scores = _unfolded(torch.bmm(_folded(query), _folded(key).transpose(1, 2)), query) * scale
    if is_causal:
        row, column = torch.triu_indices(query.shape[2], key.shape[2], offset=1, device=query.device)
        bias = torch.zeros(query.shape[2], key.shape[2], dtype=query.dtype, device=query.device)
        bias[row, column] = -math.inf
        attn_mask = bias
    elif attn_mask is not None and attn_mask.dtype is torch.bool:
        attn_mask = torch.log(attn_mask.to(query.dtype))
    if attn_mask is not None:
        scores = scores + attn_mask
    return _unfolded(torch.bmm(_folded(scores.softmax(-1)), _folded(value)), query)


def safe_sdpa(query, key, value, allowed):
    some = allowed.any(dim=-1, keepdim=True)
    # Empty rows see everything first, so that nothing is NaN, and are then replaced by 0.
    scores = (query / math.sqrt(query.shape[-1])) @ key.mT
    output = scores.masked_fill(~(allowed | ~some), -math.inf).softmax(-1) @ value
    return torch.where(some, output, torch.zeros_like(output))


def mha_to_sdpa_mask(key_padding_mask, attn_mask):
    ignored = [] if key_padding_mask is None else [key_padding_mask[:, None, None]]
    ignored += [] if attn_mask is None else [attn_mask]
    if len(ignored) == 2:
        return ~ignored[0] & ~ignored[1]
    return ~ignored[0] if ignored else None


def cached_causal_attention(query, key, value):
    # With empty queries in front there are as many as keys, and the two alignments are one.
    past = key.shape[2] - query.shape[2]
    padded = F.pad(query, (0, 0, past, 0))
    return F.scaled_dot_product_attention(padded, key, value, is_causal=True)[:, :, past:]


def choose_sdpa_arguments(attention_mask, query_length, key_length):
    if attention_mask is None:
        attention_mask = torch.ones(1, key_length, dtype=torch.long)
    if bool(attention_mask.min() == 1):
        if query_length == key_length:
            return None, True
        if query_length == 1:
            return None, False
    square = torch.ones(key_length, key_length, dtype=torch.bool, device=attention_mask.device).tril()
    rows = square[key_length - query_length :]
    return (rows[None] & (attention_mask[:, None] > 0)).unsqueeze(1), False


def combine_additive(first, second):
    total = torch.add(first, second)
    return total.masked_fill(total < torch.finfo(total.dtype).min, torch.finfo(total.dtype).min)


def grouped_query_attention(query, key, value, allowed):
    group, rest = divmod(query.shape[1], key.shape[1])
    if rest:
        raise ValueError(f"{query.shape[1]} is no multiple of {key.shape[1]}")
    asked = torch.arange(query.shape[1], device=query.device) // max(group, 1)
    scores = query @ key[:, asked].mT / math.sqrt(query.shape[-1])
    return scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) @ value[:, asked]
