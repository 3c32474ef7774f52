"""Right answers, written otherwise: masks are added and multiplied, axes are named in einsum."""

import torch


def padding_mask(input_ids, pad_token_id):
    return (input_ids - pad_token_id).logical_not()


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    sequence_length = int(torch.max(lengths)) if max_length is None else max_length
    if padding_side != "right" and padding_side != "left":
        raise ValueError("padding_side")
    if torch.any(lengths > sequence_length) or torch.any(lengths < 0):
        raise ValueError("lengths")
    # Row n of the triangle has n ones.
    triangle = torch.ones(sequence_length + 1, sequence_length, dtype=torch.long, device=lengths.device).tril(-1)
    mask = triangle[lengths]
    return mask.flip(-1) if padding_side == "left" else mask


def expand_padding_mask(attention_mask, num_heads, query_length):
    real = attention_mask.to(torch.bool)
    return real[:, None, None].expand(real.size(0), num_heads, query_length, real.size(1))


def additive_mask(allowed, dtype):
    return (1.0 - allowed.to(dtype)) * torch.finfo(dtype).min


def masked_softmax(scores, allowed):
    return torch.softmax(scores + (~allowed).to(scores.dtype) * torch.finfo(scores.dtype).min, -1)


def padded_attention(query, key, value, attention_mask):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * query.shape[-1] ** -0.5
    scores = scores + extended_attention_mask(attention_mask, scores.dtype)
    weights = torch.softmax(scores, dim=-1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value), weights


def masked_mean(hidden, attention_mask):
    mask = attention_mask.to(hidden.dtype)
    return (
        torch.einsum("bsd,bs->bd", hidden, mask)
        / torch.maximum(mask.sum(1), torch.ones_like(mask[:, 0:1]).sum(1).clamp(min=1))[:, None]
    )


def last_token_pool(hidden, attention_mask):
    counted = attention_mask.cumsum(1)
    is_last = (counted == counted[:, -1:]) & (attention_mask == 1)
    return torch.einsum("bsd,bs->bd", hidden, is_last.to(hidden.dtype))


def extended_attention_mask(attention_mask, dtype):
    extended = attention_mask[:, None, None, :].to(dtype=dtype)
    return (1.0 - extended) * torch.finfo(dtype).min
