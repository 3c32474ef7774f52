"""Right answers, written otherwise: torch's own SDPA, its causal biases and its grouped heads, wherever they may be used."""

import torch
import torch.nn.functional as F
from torch.nn.attention.bias import causal_lower_right


def sdpa_reference(query, key, value, attn_mask=None, is_causal=False, scale=None):
    """The documentation's lines, mended: the bias broadcasts, and the error is a ValueError."""
    length, source = query.size(-2), key.size(-2)
    factor = 1 / query.size(-1) ** 0.5 if scale is None else scale
    bias = torch.zeros(length, source, dtype=query.dtype, device=query.device)
    if is_causal:
        if attn_mask is not None:
            raise ValueError("is_causal")
        triangle = torch.ones(length, source, dtype=torch.bool, device=query.device).tril(diagonal=0)
        bias = bias.masked_fill(triangle.logical_not(), float("-inf"))
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            bias = torch.zeros_like(attn_mask, dtype=query.dtype).masked_fill_(attn_mask.logical_not(), float("-inf"))
        else:
            bias = attn_mask + bias
    weights = query @ key.transpose(-2, -1) * factor
    return torch.softmax(weights + bias, dim=-1) @ value


def safe_sdpa(query, key, value, allowed):
    scores = torch.matmul(query, key.mT) / query.shape[-1] ** 0.5
    # NaN is replaced in the weights, and `masked_fill` sends no gradient back to where it filled.
    weights = F.softmax(scores.masked_fill(torch.logical_not(allowed), float("-inf")), dim=-1)
    return torch.matmul(torch.nan_to_num(weights, nan=0.0), value)


def mha_to_sdpa_mask(key_padding_mask, attn_mask):
    allowed = None if attn_mask is None else attn_mask.logical_not()
    if key_padding_mask is None:
        return allowed
    words = key_padding_mask.logical_not().unsqueeze(1).unsqueeze(1)
    return words if allowed is None else torch.logical_and(words, allowed)


def cached_causal_attention(query, key, value):
    return F.scaled_dot_product_attention(query, key, value, causal_lower_right(query.shape[2], key.shape[2]))


def choose_sdpa_arguments(attention_mask, query_length, key_length):
    no_padding = attention_mask is None or int(attention_mask.sum()) == attention_mask.numel()
    if no_padding and query_length in {1, key_length}:
        return None, query_length > 1
    if query_length == 1:
        return attention_mask.bool()[:, None, None, :], False
    device = "cpu" if attention_mask is None else attention_mask.device
    additive = torch.full((query_length, key_length), float("-inf"), device=device)
    additive = additive.triu(key_length - query_length + 1)
    if no_padding:
        return additive, False
    padding = torch.zeros(attention_mask.shape, device=device).masked_fill(attention_mask == 0, float("-inf"))
    return additive + padding[:, None, None, :], False


def combine_additive(first, second):
    return torch.nan_to_num(first + second)


def grouped_query_attention(query, key, value, allowed):
    if query.size(1) % key.size(1) != 0:
        raise ValueError("heads")
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, enable_gqa=True)
