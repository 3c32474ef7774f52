"""Right answers, written otherwise: computed in float32 or float64, and cast back at the end."""

import torch


def multihead(query, memory, weights, num_heads, ignored):
    dim = query.shape[-1]
    in_weight, in_bias, out_weight, out_bias = (parameter.double() for parameter in weights)
    parts = []
    for number, x in enumerate((query, memory, memory)):
        rows = slice(number * dim, (number + 1) * dim)
        parts.append((x.double() @ in_weight[rows].T + in_bias[rows]).unflatten(2, (num_heads, -1)).movedim(2, 1))
    heads = []
    for q, k, v in zip(*(part.unbind(1) for part in parts), strict=True):
        scores = (q @ k.mT) / q.shape[-1] ** 0.5
        scores = torch.where(ignored[:, None, :], torch.finfo(torch.float64).min, scores)
        heads.append(scores.softmax(-1) @ v)
    return (torch.cat(heads, -1) @ out_weight.T + out_bias).to(query.dtype)


def encoder_forward(hidden, attention_mask, layers, num_heads):
    is_padding = attention_mask < 1
    for weights in layers:
        hidden = hidden + multihead(hidden, hidden, weights, num_heads, is_padding)
    return hidden


def cross_attention(query, memory, source_mask, target_mask, weights, num_heads):
    return multihead(query, memory, weights, num_heads, source_mask < 1)


def half_precision_scores(scores, allowed, bias):
    # float32 holds all these sums, and the lowest float16: held there, the way back rounds nothing away.
    total = scores.float() + bias.float()
    total = total.masked_fill(~allowed, -1e9)
    return total.clamp(min=torch.finfo(torch.float16).min).half()


def decode_step(query, key_cache, value_cache, attention_mask):
    scores = query.double() @ key_cache.double().mT / query.shape[-1] ** 0.5
    weights = scores.masked_fill(attention_mask[:, None, None, :] == 0, -1e300).softmax(-1)
    return (weights @ value_cache.double()).to(query.dtype)


def left_padded_positions(attention_mask, new_tokens):
    count = attention_mask.double().cumsum(1).long()
    prompt = torch.where(count > 0, count - 1, 0)
    steps = count[:, -1, None] + torch.arange(new_tokens, device=count.device)[None]
    return prompt, steps


def packed_loss(logits, input_ids, document_ids):
    scores = logits[:, :-1].double()
    chosen = scores.gather(2, input_ids[:, 1:].unsqueeze(2)).squeeze(2)
    losses = scores.logsumexp(2) - chosen
    fair = (document_ids[:, 1:] - document_ids[:, :-1] == 0) & ~(document_ids[:, 1:] == -1)
    return torch.where(fair, losses, 0).sum().div(fair.sum()).to(logits.dtype)


def batch_equals_single(model, rows, pad_token_id, padding_side):
    longest = max(row.numel() for row in rows)
    ids, masks = [], []
    for row in rows:
        gap = longest - row.numel()
        sides = {"left": (gap, 0), "right": (0, gap)}[padding_side]
        ids.append(torch.nn.functional.pad(row, sides, value=pad_token_id))
        masks.append(torch.nn.functional.pad(row * 0 + 1, sides))
    together = model(torch.stack(ids), torch.stack(masks)).double()
    for row, mask, logits in zip(rows, masks, together, strict=True):
        alone = model(row[None], row[None] * 0 + 1).double()[0]
        largest = (logits[mask.nonzero()[:, 0]] - alone).abs().amax()
        if not largest <= 1e-4:
            return False
    return True
