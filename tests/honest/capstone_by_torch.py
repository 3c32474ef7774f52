"""Right answers, written otherwise: torch's own multi-head attention, padding and comparisons do the work."""

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence


def mha(query, memory, weights, num_heads, ignored):
    output, _ = F.multi_head_attention_forward(
        query.transpose(0, 1),
        memory.transpose(0, 1),
        memory.transpose(0, 1),
        query.shape[-1],
        num_heads,
        weights.in_proj_weight,
        weights.in_proj_bias,
        None,
        None,
        False,
        0.0,
        weights.out_proj_weight,
        weights.out_proj_bias,
        training=False,
        key_padding_mask=ignored,
        need_weights=False,
    )
    return output.transpose(0, 1)


def encoder_forward(hidden, attention_mask, layers, num_heads):
    for weights in layers:
        hidden = torch.add(hidden, mha(hidden, hidden, weights, num_heads, attention_mask.eq(0)))
    return hidden


def cross_attention(query, memory, source_mask, target_mask, weights, num_heads):
    return mha(query, memory, weights, num_heads, source_mask.logical_not())


def half_precision_scores(scores, allowed, bias):
    lowest = torch.full_like(scores, torch.finfo(scores.dtype).min)
    return torch.where(allowed, torch.maximum(scores + bias, lowest), lowest)


def decode_step(query, key_cache, value_cache, attention_mask):
    additive = torch.zeros_like(attention_mask, dtype=query.dtype).masked_fill(attention_mask == 0, -torch.inf)
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=additive[:, None, None, :])


def left_padded_positions(attention_mask, new_tokens):
    prompt = attention_mask.cumsum(-1).sub(1).masked_fill(attention_mask.eq(0), 0)
    last = prompt.amax(dim=-1, keepdim=True)
    return prompt, last + torch.arange(1, new_tokens + 1, device=attention_mask.device)


def packed_loss(logits, input_ids, document_ids):
    before, after = document_ids[:, :-1], document_ids[:, 1:]
    fair = before.eq(after).logical_and(after.ge(0))
    labels = torch.where(fair, input_ids[:, 1:], -100)
    return F.cross_entropy(logits[:, :-1].transpose(1, 2), labels, ignore_index=-100)


def batch_equals_single(model, rows, pad_token_id, padding_side):
    ids = pad_sequence(rows, batch_first=True, padding_value=pad_token_id, padding_side=padding_side)
    ones = [torch.ones_like(row) for row in rows]
    mask = pad_sequence(ones, batch_first=True, padding_side=padding_side)
    with torch.no_grad():
        together = model(input_ids=ids, attention_mask=mask)
        alone = [model(row.unsqueeze(0), one.unsqueeze(0)).squeeze(0) for row, one in zip(rows, ones, strict=True)]
    return torch.allclose(together[mask.bool()], torch.cat(alone), rtol=0, atol=1e-4)
