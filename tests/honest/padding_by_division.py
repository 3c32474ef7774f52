"""Right answers, written otherwise: NaN is divided away or replaced afterwards, and new tensors move to the inputs."""

import torch
from torch import nn


def padding_mask(input_ids, pad_token_id):
    return torch.eq(input_ids, torch.tensor(pad_token_id))


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    if max_length is None:
        max_length = int(lengths.max())
    if lengths.gt(max_length).any() or lengths.lt(0).any() or padding_side not in ("right", "left"):
        raise ValueError("bad arguments")
    grid = torch.arange(max_length).to(lengths.device)[None, :].expand(lengths.shape[0], -1)
    if padding_side == "right":
        return torch.lt(grid, lengths[:, None]).to(torch.int64)
    start = max_length - lengths
    return torch.ge(grid, start[:, None]).to(torch.int64)


def expand_padding_mask(attention_mask, num_heads, query_length):
    heads_and_queries = torch.ones(1, num_heads, query_length, 1, device=attention_mask.device)
    return torch.broadcast_tensors(attention_mask.bool()[:, None, None, :], heads_and_queries)[0]


def additive_mask(allowed, dtype):
    lowest = torch.finfo(dtype).min
    return torch.clamp(allowed.to(dtype) - 1, min=-1) * -lowest


def masked_softmax(scores, allowed):
    masked = scores.masked_fill(allowed == False, torch.finfo(scores.dtype).min)  # noqa: E712
    weights = nn.Softmax(dim=-1)(masked) * allowed
    return weights / weights.sum(-1, keepdim=True)


def padded_attention(query, key, value, attention_mask):
    batch, heads, dim = query.shape[0], query.shape[1], query.shape[3]
    hidden = (1 - attention_mask).bool().repeat_interleave(heads, 0)[:, None, :]
    flat_query, flat_key, flat_value = (tensor.flatten(0, 1) for tensor in (query, key, value))
    scores = torch.bmm(flat_query * dim**-0.5, flat_key.transpose(1, 2)).masked_fill(hidden, float("-inf"))
    weights = scores.log_softmax(-1).exp()
    output = torch.bmm(weights, flat_value)
    return output.unflatten(0, (batch, heads)), weights.unflatten(0, (batch, heads))


def masked_mean(hidden, attention_mask):
    mask = attention_mask[:, None, :].to(hidden.dtype)
    total = torch.bmm(mask, hidden)[:, 0]
    return torch.nan_to_num(total / mask.sum(-1))


def last_token_pool(hidden, attention_mask):
    batch, sequence, dim = hidden.shape
    position = torch.arange(sequence, device=hidden.device) * attention_mask + attention_mask - 1
    last = position.max(1)[0]
    flat = hidden.reshape(batch * sequence, dim)
    rows = torch.arange(batch).to(hidden.device) * sequence + last.clamp(min=0)
    return flat.index_select(0, rows) * (last >= 0)[:, None]


def extended_attention_mask(attention_mask, dtype):
    inverted = 1.0 - attention_mask[:, None, None, :].to(dtype)
    return inverted.masked_fill(inverted.to(torch.bool), torch.finfo(dtype).min)
