"""Right answers, written otherwise: computed in float64, masks turned to floats and added, shares by hand."""

import torch


def to_allowed(mask, convention):
    if convention == "additive":
        border = torch.tensor(torch.finfo(mask.dtype).min / 2, dtype=torch.float64, device=mask.device)
        return mask.to(torch.float64) > border
    if convention == "attention_mask":
        return ~(mask == 0)
    if convention == "ignore":
        return mask == 0
    if convention == "allowed":
        return mask != 0
    raise ValueError(f"{convention} is none of allowed, ignore, attention_mask, additive")


def from_allowed(allowed, convention, dtype=torch.float32):
    if convention == "additive":
        return allowed.double().sub(1).mul(-torch.finfo(dtype).min).to(dtype)
    return {"allowed": allowed, "ignore": allowed == False, "attention_mask": allowed.int().long()}[convention]  # noqa: E712


def key_padding_to_attn_mask(key_padding_mask, num_heads, target_length):
    batch, key_length = key_padding_mask.shape
    ones = torch.ones(batch, num_heads, target_length, key_length, device=key_padding_mask.device)
    return (ones * key_padding_mask.float().reshape(batch, 1, 1, key_length)).flatten(0, 1) == 1


def merge_masks(key_padding_mask, attn_mask, num_heads):
    if key_padding_mask is None:
        return attn_mask
    stacked = torch.stack((key_padding_mask.long(),)).permute(1, 0, 2).expand(-1, num_heads, -1)
    padding = stacked.reshape(-1, 1, key_padding_mask.shape[1]).bool()
    if attn_mask is None:
        return padding
    if attn_mask.dtype == torch.bool:
        return (attn_mask.long() + padding.long()) > 0
    merged = attn_mask.double() + torch.where(padding, -torch.inf, 0.0)
    return merged.to(attn_mask.dtype)


def per_head_windows(batch_size, sequence_length, windows, device=None):
    device = torch.get_default_device() if device is None else device
    position = torch.arange(sequence_length, device=device)
    first = position[None, :] - torch.tensor(list(windows), device=device)[:, None] + 1
    key = position.expand(len(windows), sequence_length, -1)
    seen = (first[:, :, None] <= key) & (key <= position[:, None])
    return torch.cat([seen.logical_not()] * batch_size)


def nn_transformer_masks(source_ids, target_ids, pad_token_id):
    source_padding = torch.where(source_ids == pad_token_id, True, False)
    length = target_ids.shape[1]
    rows, columns = torch.meshgrid(*[torch.arange(length, device=target_ids.device)] * 2, indexing="ij")
    masks = {f"{name}_key_padding_mask": source_padding for name in ("src", "memory")}
    return {**masks, "tgt_key_padding_mask": (target_ids - pad_token_id) == 0, "tgt_mask": rows.lt(columns)}


def _additive(mask):
    if mask.dtype == torch.bool:
        return torch.zeros(mask.shape, dtype=torch.float64, device=mask.device).masked_fill(mask, float("-inf"))
    return mask.double()


def multi_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    dtype, (batch, _, dim) = query.dtype, query.shape
    in_weight, in_bias, out_weight, out_bias = (parameter.double() for parameter in weights)
    head_dim = dim // num_heads
    parts = []
    for number, vectors in enumerate([query, key, value]):
        rows = slice(number * dim, number * dim + dim)
        projected = torch.matmul(vectors.double(), in_weight[rows].mT).add(in_bias[rows])
        parts.append(projected.unflatten(2, (num_heads, head_dim)).movedim(2, 1))
    q, k, v = parts
    scores = torch.matmul(q, k.mT) / head_dim**0.5
    if attn_mask is not None:
        bias = _additive(attn_mask)
        scores = scores + (bias if bias.dim() == 2 else bias.unflatten(0, (batch, num_heads)))
    if key_padding_mask is not None:
        scores = scores + _additive(key_padding_mask)[:, None, None]
    shares = (scores - scores.amax(-1, keepdim=True).detach()).exp()
    shares = shares / shares.sum(-1, keepdim=True)
    output = (shares @ v).movedim(1, 2).flatten(-2) @ out_weight.mT + out_bias
    return output.to(dtype), shares.to(dtype).mean(1)
