"""Right answers, written otherwise: copies of the inputs, changed step by step."""

import torch
import torch.nn.functional as F
from torch import nn


def module_of(weights, num_heads):
    module = nn.MultiheadAttention(weights.in_proj_weight.shape[1], num_heads, batch_first=True, device="meta").eval()
    names = ("in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias")
    return lambda *inputs: torch.func.functional_call(module, dict(zip(names, weights, strict=True)), inputs)[0]


def encoder_forward(hidden, attention_mask, layers, num_heads):
    x = hidden.clone()
    ignored = attention_mask != 1
    for weights in layers:
        x = x + module_of(weights, num_heads)(x, x, x, ignored)
    return x


def cross_attention(query, memory, source_mask, target_mask, weights, num_heads):
    return module_of(weights, num_heads)(query, memory, memory, source_mask != 1)


def half_precision_scores(scores, allowed, bias):
    result = scores.clone()
    result += bias
    result.masked_fill_(~allowed, -torch.inf)
    lowest = torch.finfo(result.dtype).min
    result[result < lowest] = lowest
    return result


def decode_step(query, key_cache, value_cache, attention_mask):
    scores = torch.matmul(query.clone(), key_cache.transpose(-2, -1))
    scores.mul_(query.shape[-1] ** -0.5)
    scores.masked_fill_((attention_mask == 0)[:, None, None], -torch.inf)
    return F.softmax(scores, dim=-1).matmul(value_cache)


def left_padded_positions(attention_mask, new_tokens):
    prompt = attention_mask.clone().cumsum_(1)
    newest, steps = prompt[:, -1] - 1, []
    for _ in range(new_tokens):  # as they are written, one by one
        newest = newest + 1
        steps.append(newest)
    steps = torch.stack(steps, dim=1)
    prompt -= 1
    prompt[prompt < 0] = 0
    return prompt, steps


def packed_loss(logits, input_ids, document_ids):
    labels = input_ids.clone()
    labels[:, 1:][document_ids[:, 1:] != document_ids[:, :-1]] = -100
    labels[document_ids == -1] = -100
    labels[:, 0] = -100
    return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels[:, 1:].reshape(-1))


def batch_equals_single(model, rows, pad_token_id, padding_side):
    longest = max(len(row) for row in rows)
    lists = [row.tolist() for row in rows]
    masks = [[1] * len(row) for row in lists]
    for row, mask in zip(lists, masks, strict=True):
        while len(row) < longest:
            place = 0 if padding_side == "left" else len(row)
            row.insert(place, pad_token_id)
            mask.insert(place, 0)
    device = rows[0].device
    ids, mask = torch.tensor(lists, device=device), torch.tensor(masks, device=device)
    together, equal = model(ids, mask), []
    for row, logits, real in zip(rows, together, mask, strict=True):
        alone = model(row[None], row.new_ones(1, len(row)))[0]
        kept = torch.masked_select(logits, real[:, None] == 1).reshape(alone.shape)
        equal.append(bool(torch.isclose(kept, alone, rtol=0.0, atol=1e-4).all()))
    return all(equal)
