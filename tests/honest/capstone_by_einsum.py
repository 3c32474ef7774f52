"""Right answers, written otherwise: attention by einsum, sums and counts by multiplying with the mask."""

import math

import torch


def asked_of(query, memory, weights, num_heads, real):
    dim = query.shape[-1]
    projections = weights.in_proj_weight.reshape(3, num_heads, dim // num_heads, dim)
    biases = weights.in_proj_bias.reshape(3, num_heads, 1, dim // num_heads)
    q, k, v = (
        torch.einsum("b l e, h d e -> b h l d", x, projections[part]) + biases[part]
        for part, x in enumerate((query, memory, memory))
    )
    scores = torch.einsum("b h q d, b h k d -> b h q k", q, k) / math.sqrt(dim // num_heads)
    scores = scores.masked_fill(real[:, None, None, :] == 0, -math.inf)
    heads = torch.einsum("b h q k, b h k d -> b q h d", scores.softmax(-1), v)
    return (
        torch.einsum("b q e, f e -> b q f", heads.reshape(*query.shape), weights.out_proj_weight)
        + weights.out_proj_bias
    )


def encoder_forward(hidden, attention_mask, layers, num_heads):
    states = [hidden]
    for weights in layers:
        states.append(states[-1] + asked_of(states[-1], states[-1], weights, num_heads, attention_mask))
    return states[-1]


def cross_attention(query, memory, source_mask, target_mask, weights, num_heads):
    return asked_of(query, memory, weights, num_heads, source_mask)


def half_precision_scores(scores, allowed, bias):
    lowest = torch.finfo(torch.float16).min
    total = (scores + bias).masked_fill(torch.logical_not(allowed), lowest)
    return total.clamp_min(lowest)


def decode_step(query, key_cache, value_cache, attention_mask):
    scores = torch.einsum("bhqd, bhkd -> bhk", query, key_cache).float() / math.sqrt(query.shape[-1])
    scores = scores + torch.where(attention_mask == 1, 0.0, -math.inf)[:, None, :]
    return torch.einsum("bhk, bhkd -> bhd", scores.softmax(-1).to(query.dtype), value_cache)[:, :, None, :]


def left_padded_positions(attention_mask, new_tokens):
    columns = torch.arange(attention_mask.shape[1] + new_tokens, device=attention_mask.device)
    padding = (1 - attention_mask).sum(dim=1)
    places = (columns - padding[:, None]).clamp(min=0)
    return places[:, : attention_mask.shape[1]], places[:, attention_mask.shape[1] :]


def packed_loss(logits, input_ids, document_ids):
    log_probabilities = logits[:, :-1].log_softmax(dim=-1)
    losses = -log_probabilities.gather(-1, input_ids[:, 1:, None])[..., 0]
    fair = (document_ids[:, 1:] == document_ids[:, :-1]) * (document_ids[:, :-1] != -1)
    return (losses * fair).sum() / fair.sum()


def batch_equals_single(model, rows, pad_token_id, padding_side):
    width = max(row.shape[0] for row in rows)
    ids = rows[0].new_full((len(rows), width), pad_token_id)
    mask = torch.zeros_like(ids)
    slices = []
    for number, row in enumerate(rows):
        size = row.shape[0]
        slices.append(slice(width - size, width) if padding_side == "left" else slice(0, size))
        ids[number, slices[-1]] = row
        mask[number, slices[-1]] = 1
    together = model(ids, mask)
    worst = 0.0
    for number, row in enumerate(rows):
        alone = model(row.reshape(1, -1), torch.ones_like(row).reshape(1, -1))
        apart = (together[number, slices[number]] - alone[0]).abs().max().item()
        worst = math.inf if math.isnan(apart) else max(worst, apart)
    return worst <= 1e-4
