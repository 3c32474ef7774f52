"""Right answers, written otherwise: every choice is a ``torch.where``, every scalar a tensor of its own."""

import math

import torch
import torch.nn.functional as F


def padding_mask(input_ids, pad_token_id):
    yes = torch.ones_like(input_ids, dtype=torch.bool)
    return torch.where(input_ids == pad_token_id, yes, ~yes)


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    if padding_side not in {"left", "right"}:
        raise ValueError(f"padding_side must be left or right, not {padding_side}")
    longest = lengths.max().item()
    if max_length is None:
        max_length = longest
    if longest > max_length:
        raise ValueError(f"a length of {longest} does not fit into {max_length}")
    if lengths.min() < 0:
        raise ValueError("negative length")
    position = torch.arange(max_length, device=lengths.device).unsqueeze(0)
    one, zero = torch.ones_like(position), torch.zeros_like(position)
    if padding_side == "left":
        return torch.where(position >= max_length - lengths.unsqueeze(1), one, zero)
    return torch.where(position < lengths.unsqueeze(1), one, zero)


def expand_padding_mask(attention_mask, num_heads, query_length):
    batch, key_length = attention_mask.shape
    real = torch.where(attention_mask > 0, torch.tensor(True), torch.tensor(False))
    return torch.broadcast_to(real.view(batch, 1, 1, key_length), (batch, num_heads, query_length, key_length))


def additive_mask(allowed, dtype):
    zero = torch.tensor(0.0, dtype=dtype, device=allowed.device)
    lowest = torch.tensor(torch.finfo(dtype).min, dtype=dtype, device=allowed.device)
    return torch.where(allowed, zero, lowest)


def masked_softmax(scores, allowed):
    return F.softmax(torch.where(allowed, scores, torch.tensor(-math.inf, dtype=scores.dtype)), dim=-1)


def padded_attention(query, key, value, attention_mask):
    scores = torch.matmul(query, key.mT) / query.size(-1) ** 0.5
    real = attention_mask.unsqueeze(1).unsqueeze(2) != 0
    weights = F.softmax(torch.where(real, scores, torch.tensor(float("-inf"), dtype=scores.dtype)), dim=-1)
    return torch.matmul(weights, value), weights


def masked_mean(hidden, attention_mask):
    real = attention_mask.bool()
    total = torch.where(real.unsqueeze(-1), hidden, torch.zeros_like(hidden)).sum(1)
    count = real.sum(1, keepdim=True)
    mean = total / torch.where(count == 0, torch.ones_like(count), count)
    return torch.where(count == 0, torch.zeros_like(mean), mean)


def last_token_pool(hidden, attention_mask):
    last = attention_mask.shape[1] - 1 - attention_mask.flip(1).argmax(1)
    index = last[:, None, None].expand(-1, 1, hidden.shape[-1])
    picked = hidden.gather(1, index).squeeze(1)
    return torch.where(attention_mask.sum(1, keepdim=True) > 0, picked, torch.zeros_like(picked))


def extended_attention_mask(attention_mask, dtype):
    zero = torch.zeros((), dtype=dtype, device=attention_mask.device)
    lowest = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=attention_mask.device)
    return torch.where(attention_mask.bool(), zero, lowest).unsqueeze(1).unsqueeze(1)
