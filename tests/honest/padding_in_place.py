"""Right answers, written otherwise: new tensors made from the inputs and filled in place."""

import math

import torch


def padding_mask(input_ids, pad_token_id):
    mask = input_ids.new_zeros(input_ids.shape, dtype=torch.bool)
    mask[input_ids == pad_token_id] = True
    return mask


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    if padding_side not in ("left", "right"):
        raise ValueError(padding_side)
    if max_length is None:
        max_length = max(lengths.tolist())
    if bool(((lengths < 0) | (lengths > max_length)).any()):
        raise ValueError(lengths)
    mask = lengths.new_zeros(len(lengths), max_length)
    position = torch.arange(max_length).to(lengths.device)
    mask[position < lengths.reshape(-1, 1)] = 1
    if padding_side == "left":
        mask = torch.flip(mask, dims=[1])
    return mask


def expand_padding_mask(attention_mask, num_heads, query_length):
    real = attention_mask.bool().contiguous()
    batch, key_length = real.shape
    return real.as_strided((batch, num_heads, query_length, key_length), (key_length, 0, 0, 1))


def additive_mask(allowed, dtype):
    mask = torch.zeros_like(allowed, dtype=dtype)
    mask[~allowed] = torch.finfo(dtype).min
    return mask


def masked_softmax(scores, allowed):
    masked = scores.clone()
    masked.masked_fill_(allowed.logical_not(), -math.inf)
    return masked.softmax(-1)


def padded_attention(query, key, value, attention_mask):
    scores = query @ key.transpose(2, 3)
    scores /= math.sqrt(query.shape[3])
    scores.masked_fill_(attention_mask.eq(0)[:, None, None, :], float("-inf"))
    weights = scores.softmax(3)
    return weights @ value, weights


def masked_mean(hidden, attention_mask):
    kept = hidden.clone()
    kept[attention_mask == 0] = 0
    count = attention_mask.sum(dim=-1, keepdim=True)
    count[count == 0] = 1
    return kept.sum(dim=1) / count


def last_token_pool(hidden, attention_mask):
    batch, sequence = attention_mask.shape
    position = torch.arange(sequence, device=hidden.device).expand(batch, sequence).clone()
    position[attention_mask == 0] = -1
    last = position.amax(1)
    picked = hidden[range(batch), last].clone()
    picked[last < 0] = 0.0
    return picked


def extended_attention_mask(attention_mask, dtype):
    batch, key_length = attention_mask.shape
    extended = torch.zeros(batch, 1, 1, key_length, device=attention_mask.device, dtype=dtype)
    extended.masked_fill_(attention_mask.view(batch, 1, 1, key_length) == 0, torch.finfo(dtype).min)
    return extended
