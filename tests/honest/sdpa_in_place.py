"""Right answers, written otherwise: one tensor of scores, changed in place; the inputs are left alone."""

import math

import torch


def _scores(query, key, scale=None):
    return torch.matmul(query, key.transpose(-2, -1)).mul(query.shape[-1] ** -0.5 if scale is None else scale)


def sdpa_reference(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if is_causal and attn_mask is not None:
        raise ValueError("is_causal=True leaves no room for attn_mask")
    scores = _scores(query, key, scale)
    if is_causal:
        scores.masked_fill_(torch.ones_like(scores, dtype=torch.bool).triu_(1), -math.inf)
    elif attn_mask is not None and attn_mask.dtype == torch.bool:
        scores.masked_fill_(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores += attn_mask
    return torch.softmax(scores, dim=-1).matmul(value)


def safe_sdpa(query, key, value, allowed):
    scores = _scores(query, key)
    forbidden = ~allowed.expand(scores.shape)
    scores[forbidden] = torch.finfo(scores.dtype).min
    output = scores.softmax(-1) @ value
    empty = forbidden.all(-1)
    output[empty] = 0.0
    return output


def mha_to_sdpa_mask(key_padding_mask, attn_mask):
    if key_padding_mask is None:
        return attn_mask if attn_mask is None else attn_mask ^ True
    allowed = (key_padding_mask ^ True)[:, None, None, :]
    if attn_mask is not None:
        allowed = allowed.repeat(1, 1, attn_mask.shape[0], 1)
        allowed &= ~attn_mask
    return allowed


def cached_causal_attention(query, key, value):
    scores = _scores(query, key)
    past = key.shape[2] - query.shape[2]
    scores.masked_fill_(torch.ones(scores.shape[-2:], device=scores.device).triu(past + 1).bool(), -math.inf)
    return scores.softmax(-1) @ value


def choose_sdpa_arguments(attention_mask, query_length, key_length):
    causal = query_length == key_length
    if (attention_mask is None or attention_mask.all()) and (causal or query_length == 1):
        return None, causal
    where = {} if attention_mask is None else {"device": attention_mask.device}
    batch = 1 if attention_mask is None else attention_mask.shape[0]
    allowed = torch.ones(batch, 1, query_length, key_length, dtype=torch.bool, **where)
    allowed.tril_(key_length - query_length)
    if attention_mask is not None:
        allowed &= attention_mask.bool()[:, None, None]
    # What an empty row says is free: here it sees everything.
    allowed |= ~allowed.any(-1, keepdim=True)
    return allowed, False


def combine_additive(first, second):
    total = first + second
    total[total == -math.inf] = torch.finfo(total.dtype).min
    return total


def grouped_query_attention(query, key, value, allowed):
    if query.shape[1] % key.shape[1] > 0:
        raise ValueError("query")
    shared = query.shape[1] // key.shape[1]
    key = torch.stack([key] * shared, dim=2).flatten(1, 2)
    value = torch.stack([value] * shared, dim=2).flatten(1, 2)
    scores = _scores(query, key)
    scores.masked_fill_(~allowed, -math.inf)
    return scores.softmax(-1) @ value
