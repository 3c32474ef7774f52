"""Right answers, written otherwise: halves are computed in float32, steps are helper functions, softmax is by hand."""

from functools import partial

import torch
import torch.nn.functional as F

_reals = partial(torch.ne, other=0)


def _check_lengths(lengths, width, side):
    problems = {
        "padding_side": side not in ("left", "right"),
        "lengths": bool((lengths < 0).any() | (lengths > width).any()),
    }
    if any(problems.values()):
        raise ValueError(str(problems))


def padding_mask(input_ids, pad_token_id):
    return torch.isin(input_ids, pad_token_id)


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    width = max_length if max_length is not None else int(lengths.amax())
    _check_lengths(lengths, width, padding_side)
    ends = F.one_hot(lengths, width + 1)[:, 1:]  # one at the last real position
    mask = ends.flip(1).cumsum(1)
    return mask if padding_side == "left" else mask.flip(1)


def expand_padding_mask(attention_mask, num_heads, query_length):
    real = _reals(attention_mask)
    real = real.unsqueeze(1).expand(-1, query_length, -1)
    return real.unsqueeze(1).expand(-1, num_heads, -1, -1)


def additive_mask(allowed, dtype):
    return torch.full(allowed.shape, torch.finfo(dtype).min, dtype=dtype, device=allowed.device).masked_fill(allowed, 0)


def masked_softmax(scores, allowed):
    wide = scores.float().masked_fill(~allowed, float("-inf"))
    shares = torch.exp(wide - wide.amax(-1, keepdim=True))
    return (shares / shares.sum(-1, keepdim=True)).to(scores.dtype)


def padded_attention(query, key, value, attention_mask):
    allowed = _reals(attention_mask)[:, None, None, :]
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed)
    scores = query.float() @ key.float().transpose(-1, -2) / query.shape[-1] ** 0.5
    weights = masked_softmax(scores, allowed).to(query.dtype)
    return output, weights


def masked_mean(hidden, attention_mask):
    mask = attention_mask.unsqueeze(-1).expand(hidden.size()).float()
    return ((hidden.float() * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)).to(hidden.dtype)


def last_token_pool(hidden, attention_mask):
    position = torch.arange(1, attention_mask.shape[1] + 1, device=attention_mask.device)
    last = (attention_mask * position).max(dim=1).values  # 0 on an empty row
    padded = F.pad(hidden, (0, 0, 1, 0))  # a zero vector in front, for those
    return torch.take_along_dim(padded, last[:, None, None], dim=1).squeeze(1)


def extended_attention_mask(attention_mask, dtype):
    return additive_mask(_reals(attention_mask), dtype).reshape(attention_mask.shape[0], 1, 1, -1)
