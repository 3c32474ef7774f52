"""Right answers, written otherwise: products by einsum, the softmax by its formula, masks by comparing positions."""

import torch


def _positions(length, device):
    return torch.arange(length, device=device)


def sdpa_reference(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if is_causal and attn_mask is not None:
        raise ValueError("give attn_mask or is_causal, not both")
    scale = query.size(-1) ** -0.5 if scale is None else scale
    scores = torch.einsum("bhqd,bhkd->bhqk", query * scale, key)
    if is_causal:
        queries, keys = (_positions(length, query.device) for length in scores.shape[-2:])
        attn_mask = keys <= queries[:, None]
    if attn_mask is None:
        weights = torch.softmax(scores, -1)
    elif attn_mask.is_floating_point():
        weights = torch.softmax(scores + attn_mask, -1)
    else:
        weights = torch.softmax(torch.where(attn_mask, scores, float("-inf")), -1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)


def safe_sdpa(query, key, value, allowed):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * query.shape[-1] ** -0.5
    scores = torch.where(allowed, scores, torch.finfo(scores.dtype).min)
    shares = torch.exp(scores - scores.amax(-1, keepdim=True).detach()) * allowed
    total = shares.sum(-1, keepdim=True)
    weights = shares / torch.where(total > 0, total, 1.0)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value)


def mha_to_sdpa_mask(key_padding_mask, attn_mask):
    match key_padding_mask, attn_mask:
        case None, None:
            return None
        case None, ignored:
            return ignored == False  # noqa: E712
        case padding, None:
            return padding.logical_not()[:, None, None]
        case padding, ignored:
            batch, keys = padding.shape
            return torch.logical_not(padding.view(batch, 1, 1, keys) | ignored.view(1, 1, -1, keys))


def cached_causal_attention(query, key, value):
    queries, keys = query.size(-2), key.size(-2)
    position = _positions(queries, query.device) + (keys - queries)
    later = _positions(keys, query.device) > position[:, None]
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) / query.size(-1) ** 0.5
    return torch.einsum("bhqk,bhkd->bhqd", scores.masked_fill(later, float("-inf")).softmax(-1), value)


def choose_sdpa_arguments(attention_mask, query_length, key_length):
    padded = attention_mask is not None and not attention_mask.bool().all()
    if not padded and query_length == 1:
        return None, False
    if not padded and query_length == key_length:
        return None, True
    device = attention_mask.device if attention_mask is not None else None
    position = _positions(query_length, device) + key_length - query_length
    allowed = (_positions(key_length, device) <= position.unsqueeze(-1))[None, None]
    if padded:
        allowed = torch.einsum("bijk,bk->bijk", allowed.long(), attention_mask.long()).bool()
    return allowed, False


def combine_additive(first, second):
    lowest = torch.tensor(torch.finfo(first.dtype).min, dtype=first.dtype, device=first.device)
    return torch.maximum(first + second, lowest)


def grouped_query_attention(query, key, value, allowed):
    batch, query_heads, length, dim = query.shape
    key_heads = key.shape[1]
    if query_heads % key_heads:
        raise ValueError(f"{query_heads} query heads over {key_heads}")
    groups = query.reshape(batch, key_heads, query_heads // key_heads, length, dim)
    scores = torch.einsum("bngqd,bnkd->bngqk", groups, key) * dim**-0.5
    allowed = allowed.expand(batch, query_heads, length, key.shape[2]).reshape(scores.shape)
    weights = scores.masked_fill(~allowed, float("-inf")).softmax(-1)
    return torch.einsum("bngqk,bnkd->bngqd", weights, value).reshape(batch, query_heads, length, dim)
