"""Right answers, written otherwise: SDPA attends, with value = identity for the weights; masks become one additive mask."""

import math
from functools import partial

import torch
import torch.nn.functional as F

_READ = {
    "allowed": lambda mask: mask.bool(),
    "ignore": lambda mask: ~mask.bool(),
    "attention_mask": lambda mask: mask > 0,
    "additive": lambda mask: mask > torch.finfo(mask.dtype).min / 2,
}


def to_allowed(mask, convention):
    try:
        read = _READ[convention]
    except KeyError:
        raise ValueError(f"convention {convention!r}") from None
    return read(mask)


def from_allowed(allowed, convention, dtype=torch.float32):
    write = {
        "allowed": torch.clone,
        "ignore": torch.bitwise_not,
        "attention_mask": partial(torch.mul, other=1),
        "additive": lambda seen: torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, torch.finfo(dtype).min),
    }
    return write[convention](allowed)


def _index(batch, num_heads, device):
    """Which sentence a row of [batch * heads, …] belongs to."""
    return torch.arange(batch * num_heads, device=device) // num_heads


def key_padding_to_attn_mask(key_padding_mask, num_heads, target_length):
    rows = key_padding_mask[_index(len(key_padding_mask), num_heads, key_padding_mask.device)]
    return torch.stack([rows] * 1, dim=1).expand(rows.shape[0], target_length, rows.shape[1]).contiguous()


def merge_masks(key_padding_mask, attn_mask, num_heads):
    if key_padding_mask is None:
        return attn_mask
    if attn_mask is None:
        return key_padding_to_attn_mask(key_padding_mask, num_heads, 1)
    padding = key_padding_to_attn_mask(key_padding_mask, num_heads, attn_mask.shape[-2])
    if not attn_mask.is_floating_point():
        return attn_mask + padding  # of two bools this is "or"
    merged = attn_mask.expand(padding.shape).clone()
    merged[padding] = -math.inf
    return merged


def per_head_windows(batch_size, sequence_length, windows, device=None):
    ones = torch.ones(sequence_length, sequence_length, device=device)
    windows = torch.tensor(windows * batch_size, device=device, dtype=torch.long).reshape(-1, 1, 1)
    steps = torch.cumsum(ones, 0) - torch.cumsum(ones, 1)  # query minus key
    return torch.logical_or(steps.lt(0), steps.ge(windows))


def nn_transformer_masks(source_ids, target_ids, pad_token_id):
    length = target_ids.shape[1]
    keep = torch.tril(torch.ones(length, length, device=target_ids.device)).bool()
    masks = {"tgt_mask": ~keep, "src_key_padding_mask": source_ids == pad_token_id}
    masks["tgt_key_padding_mask"] = ~(target_ids != pad_token_id)
    masks["memory_key_padding_mask"] = masks["src_key_padding_mask"]
    return masks


def multi_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    in_proj_weight, in_proj_bias, out_proj_weight, out_proj_bias = weights
    batch, query_length, dim = query.shape
    key_length = key.shape[1]

    def heads_of(vectors, place):
        rows = slice(place * dim, (place + 1) * dim)
        projected = vectors @ in_proj_weight[rows].t() + in_proj_bias[rows]
        return projected.view(batch, -1, num_heads, dim // num_heads).permute(0, 2, 1, 3)

    bias = torch.zeros(batch, num_heads, query_length, key_length, dtype=query.dtype, device=query.device)
    if attn_mask is not None:
        if attn_mask.dim() == 3:
            attn_mask = attn_mask.view(batch, num_heads, query_length, key_length)
        bias = bias.masked_fill(attn_mask, -math.inf) if attn_mask.dtype == torch.bool else bias + attn_mask
    if key_padding_mask is not None:
        bias = bias.masked_fill(key_padding_mask.view(batch, 1, 1, key_length), -math.inf)
    attend = partial(F.scaled_dot_product_attention, heads_of(query, 0), heads_of(key, 1), attn_mask=bias)
    joined = attend(heads_of(value, 2)).permute(0, 2, 1, 3).reshape(batch, query_length, dim)
    identity = torch.eye(key_length, dtype=query.dtype, device=query.device).expand(batch, num_heads, -1, -1)
    return joined @ out_proj_weight.t() + out_proj_bias, attend(identity).mean(1)
