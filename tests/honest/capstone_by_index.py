"""Right answers, written otherwise: what is real is picked out by index, and nothing else is touched."""

import torch
import torch.nn.functional as F


def attend(query, memory, weights, num_heads, real):
    batch, length, dim = query.shape
    w_q, w_k, w_v = weights.in_proj_weight.split(dim)
    b_q, b_k, b_v = weights.in_proj_bias.split(dim)

    def heads(x, w, b):
        return (x @ w.T + b).reshape(batch, -1, num_heads, dim // num_heads).permute(0, 2, 1, 3)

    scores = heads(query, w_q, b_q) @ heads(memory, w_k, b_k).transpose(2, 3) * (dim // num_heads) ** -0.5
    # Shares by hand: powers of e, those of the padding taken away, divided by what is left.
    powers = (scores - scores.amax(-1, keepdim=True).detach()).exp() * real[:, None, None, :]
    shares = powers / powers.sum(-1, keepdim=True)
    joined = (shares @ heads(memory, w_v, b_v)).permute(0, 2, 1, 3).reshape(batch, length, dim)
    return joined @ weights.out_proj_weight.T + weights.out_proj_bias


def encoder_forward(hidden, attention_mask, layers, num_heads):
    for layer in range(len(layers)):
        hidden = attend(hidden, hidden, layers[layer], num_heads, attention_mask) + hidden
    return hidden


def cross_attention(query, memory, source_mask, target_mask, weights, num_heads):
    return attend(query, memory, weights, num_heads, source_mask)


def half_precision_scores(scores, allowed, bias):
    lowest = torch.finfo(torch.float16).min
    result = torch.full_like(scores, lowest)
    seen = allowed.expand_as(scores)
    result[seen] = (scores[seen] + bias.expand_as(scores)[seen]).clamp(lowest)
    return result


def decode_step(query, key_cache, value_cache, attention_mask):
    # All real keys in front: the order of keys does not matter, and the rest is cut off by the mask of the sorted row.
    order = attention_mask.argsort(dim=1, descending=True, stable=True)
    keys, values = (
        cache.gather(2, order[:, None, :, None].expand_as(cache)) for cache in (key_cache, value_cache)
    )  # fmt: skip
    real = attention_mask.gather(1, order).bool()
    return F.scaled_dot_product_attention(query, keys, values, real.unflatten(0, (-1, 1, 1)))


def left_padded_positions(attention_mask, new_tokens):
    batch, length = attention_mask.shape
    extended = torch.cat([attention_mask, attention_mask.new_ones(batch, new_tokens)], dim=1)
    counted = extended.cumsum(1) - extended
    return counted[:, :length] * attention_mask, counted[:, length:]


def packed_loss(logits, input_ids, document_ids):
    fair = (document_ids[:, 1:] == document_ids[:, :-1]) & (document_ids[:, 1:] > -1)
    return F.cross_entropy(logits[:, :-1][fair], input_ids[:, 1:][fair])


def batch_equals_single(model, rows, pad_token_id, padding_side):
    lengths = torch.stack([row.new_tensor(len(row)) for row in rows])
    columns = torch.arange(int(lengths.max()), device=lengths.device)
    real = columns < lengths[:, None]
    if padding_side == "left":
        real = real.flip(1)
    ids = torch.full(real.shape, pad_token_id, dtype=torch.long, device=lengths.device)
    ids[real] = torch.cat(rows)
    together = model(ids, real.long())[real]
    alone = torch.cat([model(row[None], torch.ones_like(row[None]))[0] for row in rows])
    return not bool(torch.logical_not((together - alone).abs() < 1e-4).any())
