"""Right answers, written otherwise: sentences and heads in one axis throughout, as torch has them inside."""

import torch
import torch.nn.functional as F


def to_allowed(mask, convention):
    if convention in ("allowed", "ignore"):
        return mask ^ (convention == "ignore")
    if convention == "attention_mask":
        return mask.to(torch.bool)
    if convention == "additive":
        hidden = mask.isneginf() | (mask.double() <= torch.finfo(mask.dtype).min / 2)
        return hidden.logical_not()
    raise ValueError("convention")


def from_allowed(allowed, convention, dtype=torch.float32):
    if convention in ("allowed", "ignore"):
        return allowed ^ (convention == "ignore")
    if convention == "attention_mask":
        return torch.ones_like(allowed, dtype=torch.long) * allowed
    if convention == "additive":
        mask = torch.full(allowed.shape, torch.finfo(dtype).min, dtype=dtype, device=allowed.device)
        mask[allowed] = 0
        return mask
    raise ValueError("convention")


def key_padding_to_attn_mask(key_padding_mask, num_heads, target_length):
    batch, key_length = key_padding_mask.shape
    index = torch.arange(batch, device=key_padding_mask.device).repeat_interleave(num_heads)
    nothing = torch.zeros(target_length, key_length, dtype=torch.bool, device=key_padding_mask.device)
    return nothing | key_padding_mask[index].unsqueeze(-2)


def merge_masks(key_padding_mask, attn_mask, num_heads):
    if key_padding_mask is None:
        return attn_mask
    padding = key_padding_mask.unsqueeze(1).repeat(1, num_heads, 1).flatten(0, 1).unsqueeze(1)
    if attn_mask is None:
        return padding
    if attn_mask.dtype == torch.bool:
        return ~(~attn_mask & ~padding)
    bias = padding.to(attn_mask.dtype).masked_fill(padding, float("-inf"))
    return torch.minimum(attn_mask, bias.masked_fill(~padding, float("inf")))


def per_head_windows(batch_size, sequence_length, windows, device=None):
    num_heads = len(windows)
    row = torch.arange(batch_size * num_heads, device=device)
    window = torch.tensor(windows, device=device)[row % num_heads]
    q = torch.arange(sequence_length, device=device)[None, :, None]
    k = torch.arange(sequence_length, device=device)[None, None, :]
    return (k > q) | (k + window[:, None, None] <= q)


def nn_transformer_masks(source_ids, target_ids, pad_token_id):
    names = ("src_key_padding_mask", "tgt_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
    source, target = (
        torch.isin(ids, torch.tensor(pad_token_id, device=ids.device)) for ids in (source_ids, target_ids)
    )
    length = target_ids.shape[-1]
    triangle = torch.full((length, length), True, device=target_ids.device).triu(diagonal=1)
    return dict(zip(names, (source, triangle, target, source), strict=True))


def multi_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    batch, query_length, dim = query.shape
    weight_q, weight_k, weight_v = torch.split(weights.in_proj_weight, dim)
    bias_q, bias_k, bias_v = torch.split(weights.in_proj_bias, dim)
    head_dim = dim // num_heads

    def flat(vectors):
        length = vectors.shape[1]
        split = vectors.reshape(batch, length, num_heads, head_dim).transpose(1, 2)
        return split.reshape(batch * num_heads, length, head_dim)

    q = flat(F.linear(query, weight_q, bias_q)) / head_dim**0.5
    k = flat(F.linear(key, weight_k, bias_k))
    v = flat(F.linear(value, weight_v, bias_v))
    scores = torch.bmm(q, k.transpose(1, 2))
    mask = merge_masks(key_padding_mask, attn_mask, num_heads)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(mask, torch.finfo(scores.dtype).min)
    elif mask is not None:
        scores = scores + mask
    shares = F.softmax(scores, dim=-1)
    joined = torch.bmm(shares, v).view(batch, num_heads, query_length, head_dim).permute(0, 2, 1, 3)
    output = F.linear(
        joined.contiguous().view(batch, query_length, dim), weights.out_proj_weight, weights.out_proj_bias
    )
    return output, shares.view(batch, num_heads, query_length, -1).mean(1)
