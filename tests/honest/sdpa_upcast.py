"""Right answers, written otherwise: everything in float32 or wider and brought back, masks as numbers from end to end."""

import torch
import torch.nn.functional as F


def _wide(*tensors):
    return [tensor.double() for tensor in tensors]


def _softmax(scores):
    return torch.exp(scores - torch.logsumexp(scores, dim=-1, keepdim=True))


def sdpa_reference(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if is_causal:
        if attn_mask is not None:
            raise ValueError("attn_mask must be None when is_causal is True")
        attn_mask = query.new_ones(query.shape[-2], key.shape[-2]).tril().bool()
    q, k, v = _wide(query, key, value)
    scores = torch.matmul(q, k.transpose(-1, -2))
    scores = scores * (scale if scale is not None else q.shape[-1] ** -0.5)
    if attn_mask is not None:
        kinds = {True: lambda: torch.where(attn_mask, 0.0, -torch.inf), False: lambda: attn_mask.double()}
        scores = scores + kinds[attn_mask.dtype == torch.bool]()
    return torch.matmul(_softmax(scores), v).to(query.dtype)


def safe_sdpa(query, key, value, allowed):
    q, k, v = _wide(query, key, value)
    scores = q @ k.transpose(-1, -2) / q.size(-1) ** 0.5
    bias = torch.zeros(allowed.shape, dtype=scores.dtype, device=scores.device)
    bias.masked_fill_(~allowed, torch.finfo(torch.float32).min)
    output = F.softmax(scores + bias, dim=-1, dtype=torch.float64) @ v
    return (output * allowed.any(-1, keepdim=True)).type_as(query)


def mha_to_sdpa_mask(key_padding_mask, attn_mask):
    if key_padding_mask is None and attn_mask is None:
        return None
    total = 0
    if key_padding_mask is not None:
        total = total + key_padding_mask.int()[:, None, None, :]
    if attn_mask is not None:
        total = total + attn_mask.int()
    return total == 0


def cached_causal_attention(query, key, value):
    length, source = query.shape[-2], key.shape[-2]
    if length == source:
        return F.scaled_dot_product_attention(query, key, value, is_causal=True)
    if length == 1:
        return F.scaled_dot_product_attention(query, key, value)
    bias = torch.full((length, source), float("-inf"), device=query.device).triu(1 + source - length)
    return F.scaled_dot_product_attention(query, key, value, bias.to(query.dtype))


def choose_sdpa_arguments(attention_mask, query_length, key_length):
    if attention_mask is None or not (attention_mask == 0).any():
        if query_length == key_length:
            return (None, True)
        if query_length == 1:
            return (None, False)
    device = attention_mask.device if attention_mask is not None else None
    lowest = torch.finfo(torch.float32).min
    mask = torch.full((query_length, key_length), lowest, device=device)
    mask = torch.triu(mask, diagonal=key_length - query_length + 1)[None, None]
    if attention_mask is not None:
        mask = mask.masked_fill((attention_mask == 0)[:, None, None, :], lowest)
    return (mask, False)


def combine_additive(first, second):
    wide = torch.float64 if first.dtype in (torch.float32, torch.float64) else torch.float32
    total = first.to(wide) + second.to(wide)
    return total.clamp(min=torch.finfo(first.dtype).min).to(first.dtype)


def grouped_query_attention(query, key, value, allowed):
    n, h = query.shape[1], key.shape[1]
    if n // h * h != n:
        raise ValueError(n, h)

    def spread(heads):
        batch, _, length, dim = heads.shape
        return heads[:, :, None].expand(batch, h, n // h, length, dim).reshape(batch, n, length, dim)

    q, k, v = _wide(query, spread(key), spread(value))
    scores = q @ k.mT / q.size(-1) ** 0.5
    return (_softmax(scores.masked_fill(~allowed, -torch.inf)) @ v).to(query.dtype)
