"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

INF = float("inf")


def mha(query, memory, weights, num_heads, ignored=None, additive=None):
    """torch's own multi-head attention; an additive mask `[batch, key]` in place of a bool one."""
    if additive is not None:
        ignored = additive
    output, _ = F.multi_head_attention_forward(
        *(x.transpose(0, 1) for x in (query, memory, memory)),
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


# --- encoder_forward


def encoder(first, others=None, joined=torch.add):
    """As a learner mends the given lines: the first layer and the others apart, each with its mask."""

    def answer(hidden, attention_mask, layers, num_heads):
        hidden = joined(hidden, mha(hidden, hidden, layers[0], num_heads, first(attention_mask)))
        for weights in layers[1:]:
            mask = (others or first)(attention_mask)
            hidden = joined(hidden, mha(hidden, hidden, weights, num_heads, mask))
        return hidden

    return answer


def is_padding(mask):
    return mask == 0


def no_mask(mask):
    return None


def masked_every_second(hidden, attention_mask, layers, num_heads):
    for number, weights in enumerate(layers):
        ignored = attention_mask == 0 if number % 2 == 0 else None
        hidden = hidden + mha(hidden, hidden, weights, num_heads, ignored)
    return hidden


def bool_turned_once_too_often(hidden, attention_mask, layers, num_heads):
    ignored = attention_mask == 0
    for weights in layers:
        hidden = hidden + mha(hidden, hidden, weights, num_heads, ignored)
        ignored = ~ignored
    return hidden


def weak_bias(hidden, attention_mask, layers, num_heads):
    for weights in layers:
        bias = (1 - attention_mask.to(hidden.dtype)) * -2
        hidden = hidden + mha(hidden, hidden, weights, num_heads, additive=bias)
    return hidden


def encoder_by_sentence(hidden, attention_mask, layers, num_heads):
    rows = []
    for row, mask in zip(hidden, attention_mask, strict=True):
        row, real = row[None], mask.bool()
        for weights in layers:
            row = row + mha(row, row[:, real], weights, num_heads)
        rows.append(row[0])
    return torch.stack(rows)


def causal_too(hidden, attention_mask, layers, num_heads):
    for weights in layers:
        length = hidden.shape[1]
        rows = [mha(hidden[:, t : t + 1], hidden[:, : t + 1], weights, num_heads, attention_mask[:, : t + 1] == 0)
                for t in range(length)]  # fmt: skip
        hidden = hidden + torch.cat(rows, 1).nan_to_num()
    return hidden


def fresh_mask(hidden, attention_mask, layers, num_heads):
    ignored = torch.zeros(attention_mask.shape, dtype=torch.bool) | (attention_mask == 0)
    for weights in layers:
        hidden = hidden + mha(hidden, hidden, weights, num_heads, ignored)
    return hidden


def without_gradients(hidden, attention_mask, layers, num_heads):
    with torch.no_grad():
        return encoder(is_padding)(hidden, attention_mask, layers, num_heads)


def detached_answers(hidden, attention_mask, layers, num_heads):
    return encoder(is_padding, joined=lambda x, answer: x + answer.detach())(hidden, attention_mask, layers, num_heads)


def drops_the_padding(hidden, attention_mask, layers, num_heads):
    return encoder(is_padding)(hidden, attention_mask, layers, num_heads)[attention_mask == 1]


# --- cross_attention


def cross(ignored):
    return lambda query, memory, source_mask, target_mask, weights, num_heads: mha(
        query, memory, weights, num_heads, ignored(source_mask, target_mask)
    )


def cut_to_the_source(source, target):
    width = source.shape[1]
    filled = torch.cat([target, target.new_ones(len(target), width)], 1)[:, :width]
    return filled == 0


def cross_by_sentence(query, memory, source_mask, target_mask, weights, num_heads):
    return torch.cat(
        [
            mha(asks[None], row[None, mask == 1], weights, num_heads)
            for asks, row, mask in zip(query, memory, source_mask, strict=True)
        ]
    )


def cross_weights_too(query, memory, source_mask, target_mask, weights, num_heads):
    return mha(query, memory, weights, num_heads, source_mask == 0), source_mask


def values_of_query(query, memory, source_mask, target_mask, weights, num_heads):
    return mha(query, query if query.shape == memory.shape else memory, weights, num_heads, source_mask == 0)


def memory_in_place(query, memory, source_mask, target_mask, weights, num_heads):
    memory[source_mask == 0] = 0
    return mha(query, memory, weights, num_heads, source_mask == 0)


def constant_memory(query, memory, source_mask, target_mask, weights, num_heads):
    return mha(query, memory.detach(), weights, num_heads, source_mask == 0)


# --- half_precision_scores


def lowest(scores):
    return torch.finfo(scores.dtype).min


def half(change):
    return lambda scores, allowed, bias: change(scores, ~allowed, bias, torch.finfo(torch.float16).min)


def half_in_bfloat16(scores, allowed, bias):
    total = scores.bfloat16() + bias.bfloat16()
    return total.masked_fill(~allowed, -1e9).half().clamp(min=-65504.0)


def half_cell_by_cell(scores, allowed, bias):
    result = torch.full_like(scores, lowest(scores))
    seen, added = allowed.expand_as(scores), bias.expand_as(scores)
    for place in seen.nonzero().tolist():
        result[tuple(place)] = max(float(scores[tuple(place)] + added[tuple(place)]), lowest(scores))
    return result


def bias_in_place(scores, allowed, bias):
    bias.clamp_(min=lowest(scores))
    return torch.where(allowed, (scores + bias).clamp(min=lowest(scores)), lowest(scores))


def number_on_the_cpu(scores, allowed, bias):
    floor = torch.full((1,), lowest(scores), dtype=scores.dtype)
    return torch.where(allowed, torch.maximum(scores + bias, floor), floor)


# --- decode_step


def scores_of(query, keys):
    return torch.einsum("bhqd,bhkd->bhqk", query, keys) / query.shape[-1] ** 0.5


def decode(masked):
    def answer(query, key_cache, value_cache, attention_mask):
        return masked(scores_of(query, key_cache), attention_mask[:, None, None]).softmax(-1) @ value_cache

    return answer


def tril_of_one_row(query, key_cache, value_cache, attention_mask):
    allowed = torch.ones(1, key_cache.shape[2], dtype=torch.bool, device=query.device).tril()
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed)


def tril_and_mask(query, key_cache, value_cache, attention_mask):
    allowed = torch.ones(1, key_cache.shape[2], dtype=torch.bool, device=query.device).tril()
    return F.scaled_dot_product_attention(
        query, key_cache, value_cache, attn_mask=allowed & attention_mask.bool()[:, None, None]
    )


def tril_at_the_bottom(query, key_cache, value_cache, attention_mask):
    allowed = torch.ones(1, key_cache.shape[2], dtype=torch.bool, device=query.device).tril(key_cache.shape[2] - 1)
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed)


def divided_by_nothing(query, key_cache, value_cache, attention_mask):
    allowed = attention_mask.bool()[:, None, None]
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed, scale=1.0)


def up_to_the_newest(query, key_cache, value_cache, attention_mask):
    """Takes the number of words for the place where they end."""
    places = torch.arange(key_cache.shape[2], device=query.device)
    allowed = places < attention_mask.sum(1, keepdim=True)
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed[:, None, None])


def decode_by_sentence(query, key_cache, value_cache, attention_mask):
    rows = []
    for b in range(len(query)):
        real = attention_mask[b] == 1
        rows.append(F.scaled_dot_product_attention(query[b], key_cache[b][:, real], value_cache[b][:, real]))
    return torch.stack(rows)


def decode_without_axis(query, key_cache, value_cache, attention_mask):
    allowed = attention_mask.bool()[:, None, None]
    return F.scaled_dot_product_attention(query, key_cache, value_cache, attn_mask=allowed)[:, :, 0]


# --- left_padded_positions


def positions(prompt, steps):
    return lambda attention_mask, new_tokens: (
        prompt(attention_mask),
        steps(attention_mask, torch.arange(new_tokens, device=attention_mask.device)),
    )


def counted(mask):
    return (torch.cumsum(mask, dim=-1) - 1) * mask


def after_words(mask, further):
    return mask.sum(-1)[:, None] + further


def clamped_to_one(mask):
    counts = mask.cumsum(-1) - 1
    counts.masked_fill_(mask == 0, 1)
    return counts


def mask_in_place(attention_mask, new_tokens):
    words = attention_mask.sum(1, keepdim=True)
    prompt = (attention_mask.cumsum_(1) - 1).clamp(min=0)
    return prompt, words + torch.arange(new_tokens, device=prompt.device)


def one_after_another(attention_mask, new_tokens):
    words = attention_mask.sum(1)
    return counted(attention_mask), torch.stack([words + step for step in range(new_tokens)], 1)


# --- packed_loss


def loss(labels_of):
    """The given lines with labels of −100 where ``labels_of`` says so, as most people mend them."""

    def answer(logits, input_ids, document_ids):
        labels = input_ids[:, 1:].clone()
        labels[labels_of(document_ids[:, :-1], document_ids[:, 1:])] = -100
        return F.cross_entropy(logits[:, :-1].reshape(-1, logits.shape[-1]), labels.reshape(-1))

    return answer


def labels_first(logits, input_ids, document_ids):
    """Masks by document before the shift, and so the token before a border keeps its question."""
    labels = input_ids.masked_fill(document_ids == -1, -100)[:, 1:]
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels.flatten())


def ends_cut(logits, input_ids, document_ids):
    """Leaves the last token of each document out as a label; the first one is who cannot be guessed."""
    labels = input_ids.clone()
    labels[:, :-1][document_ids[:, 1:] != document_ids[:, :-1]] = -100
    labels[document_ids == -1] = -100
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())


def zero_logits(logits, input_ids, document_ids):
    fair = (document_ids[:, 1:] == document_ids[:, :-1]) & (document_ids[:, 1:] != -1)
    return F.cross_entropy((logits[:, :-1] * fair[..., None]).flatten(0, 1), input_ids[:, 1:].flatten())


def weighed(weigh):
    """All losses, one by one, and what ``weigh`` makes of them and of which are asked for."""

    def answer(logits, input_ids, document_ids):
        fair = (document_ids[:, 1:] == document_ids[:, :-1]) & (document_ids[:, 1:] != -1)
        return weigh(F.cross_entropy(logits[:, :-1].mT, input_ids[:, 1:], reduction="none"), fair)

    return answer


def loss_by_row(logits, input_ids, document_ids):
    total, count = 0, 0
    for scores, ids, documents in zip(logits, input_ids, document_ids, strict=True):
        fair = (documents[1:] == documents[:-1]) & (documents[1:] != -1)
        total = total + F.cross_entropy(scores[:-1][fair], ids[1:][fair], reduction="sum")
        count = count + fair.sum()
    return total / count


def loss_as_number(logits, input_ids, document_ids):
    return loss(lambda before, after: (before != after) | (after == -1))(logits, input_ids, document_ids).item()


def detached_loss(logits, input_ids, document_ids):
    return loss(lambda before, after: (before != after) | (after == -1))(logits.detach(), input_ids, document_ids)


# --- batch_equals_single


def company(
    side=lambda side: side,
    mask=lambda ids, mask, pad: mask,
    places=lambda real, side: real.bool(),
    alike=lambda found, alone: torch.allclose(found, alone, rtol=0, atol=1e-4),
    result=all,
):
    """The test as most people write it, with what goes wrong as arguments."""

    def answer(model, rows, pad_token_id, padding_side):
        used = side(padding_side)
        ids = pad_sequence(rows, True, pad_token_id, padding_side=used)
        real = pad_sequence([torch.ones_like(row) for row in rows], True, padding_side=used)
        batch = model(ids, mask(ids, real, pad_token_id))
        verdicts = []
        for number, row in enumerate(rows):
            alone = model(row.unsqueeze(0), torch.ones_like(row.unsqueeze(0)))[0]
            verdicts.append(alike(batch[number][places(real[number], padding_side)], alone))
        return result(verdicts)

    return answer


def always_true(model, rows, pad_token_id, padding_side):
    return True


def nothing_alone(model, rows, pad_token_id, padding_side):
    """Compares the batch with itself."""
    ids = pad_sequence(rows, True, pad_token_id, padding_side=padding_side)
    real = pad_sequence([torch.ones_like(row) for row in rows], True, padding_side=padding_side)
    return torch.equal(model(ids, real)[real.bool()], model(ids, real)[real.bool()])


def first_against_rest(model, rows, pad_token_id, padding_side):
    return company(result=lambda verdicts: all(verdicts[1:]))(model, rows, pad_token_id, padding_side)


def on_the_default_device(model, rows, pad_token_id, padding_side):
    width = max(len(row) for row in rows)
    ids, real = torch.full((len(rows), width), pad_token_id), torch.zeros(len(rows), width, dtype=torch.long)
    for number, row in enumerate(rows):
        kept = slice(width - len(row), width) if padding_side == "left" else slice(0, len(row))
        ids[number, kept], real[number, kept] = row, 1
    together = model(ids, real)
    alone = [model(row[None], torch.ones_like(row[None]))[0] for row in rows]
    return torch.allclose(together[real.bool()], torch.cat(alone), rtol=0, atol=1e-4)


def rows_in_place(model, rows, pad_token_id, padding_side):
    right = company()(model, rows, pad_token_id, padding_side)
    rows.sort(key=len)
    return right


def longest_alone(model, rows, pad_token_id, padding_side):
    return company()(model, [row for row in rows if len(row) == max(map(len, rows))], pad_token_id, padding_side)


MISTAKES: dict = {
    "encoder_forward": [
        ("nothing mended", encoder(lambda mask: mask == 1, no_mask)),
        ("only polarity mended", encoder(is_padding, no_mask)),
        ("only polarity mended", encoder(lambda mask: ~mask.bool(), no_mask)),
        ("only layers mended", encoder(lambda mask: mask > 0)),
        ("mended in the first layer only", encoder(is_padding, lambda mask: mask.bool())),
        ("every layer but the first", encoder(no_mask, is_padding)),
        ("no mask", encoder(lambda mask: torch.zeros_like(mask).bool())),
        ("the input not added", encoder(is_padding, joined=lambda x, answer: answer)),
        (None, encoder(lambda mask: mask.bool(), is_padding)),
        (None, masked_every_second),
        (None, bool_turned_once_too_often),
        (None, weak_bias),
        (None, causal_too),
        (None, encoder_by_sentence),
        (None, fresh_mask),
        (None, without_gradients),
        (None, detached_answers),
        (None, drops_the_padding),
    ],
    "cross_attention": [
        ("nothing mended", cross(lambda source, target: target < 1)),
        ("nothing mended", cross(cut_to_the_source)),
        ("the right mask upside down", cross(lambda source, target: source > 0)),
        ("both masks", cross(lambda source, target: (source * target) == 0)),
        ("no mask", cross(lambda source, target: None)),
        ("nothing mended", cross(lambda source, target: (target if target.shape == source.shape else source) == 0)),
        (None, cross(lambda source, target: source.flip(1) == 0)),
        (None, cross_by_sentence),
        (None, cross_weights_too),
        (None, values_of_query),
        (None, memory_in_place),
        (None, constant_memory),
    ],
    "half_precision_scores": [
        ("nothing mended", half(lambda s, hidden, b, low: (s + b).masked_fill(hidden, -INF))),
        ("only the number mended", half(lambda s, hidden, b, low: torch.where(hidden, low, s) + b)),
        ("only hidden scores mended", half(lambda s, hidden, b, low: torch.where(hidden, low, s + b))),
        ("only allowed scores mended", half(lambda s, hidden, b, low: torch.where(hidden, -INF, (s + b).clamp(low)))),
        ("the bias moves what is hidden", half(lambda s, hidden, b, low: (torch.where(hidden, low, s) + b).clamp(low))),
        ("another low number", half(lambda s, hidden, b, low: (s + b).clamp(low).masked_fill(hidden, -10_000))),
        ("a number that float16 has not", half(lambda s, hidden, b, low: (s + b).clamp(low).masked_fill(hidden, -1e9))),
        ("no mask", half(lambda s, hidden, b, low: torch.clamp(s + b, min=low))),
        ("float32 comes back", half(lambda s, hidden, b, low: (s.float() + b).clamp(low).masked_fill(hidden, low))),
        (None, half(lambda s, hidden, b, low: s.masked_fill(hidden, low))),
        (None, half(lambda s, hidden, b, low: (s + b).clamp(low + 2048).masked_fill(hidden, low))),
        (None, half(lambda s, hidden, b, low: (s + b).clamp(low, 32).masked_fill(hidden, low))),
        (None, half(lambda s, hidden, b, low: (s * ~hidden + b).clamp(low))),
        (None, half(lambda s, hidden, b, low: torch.where(hidden, low, (s + b).nan_to_num(neginf=0)))),
        (None, half_in_bfloat16),
        (None, half_cell_by_cell),
        ("inputs changed in place", bias_in_place),
        (None, number_on_the_cpu),
    ],
    "decode_step": [
        ("nothing mended", tril_of_one_row),
        ("nothing mended", lambda query, keys, values, mask: values.narrow(2, 0, 1)),
        ("only is_causal mended", tril_at_the_bottom),
        ("only is_causal mended", decode(lambda scores, mask: scores)),
        ("only the mask mended", tril_and_mask),
        ("the mask upside down", decode(lambda scores, mask: scores.masked_fill(mask == 1, -INF))),
        ("1 and 0 added", decode(torch.add)),
        ("-100 for minus infinity", decode(lambda scores, mask: scores.masked_fill(mask == 0, -10_000))),
        ("-1e9 in half precision", decode(lambda scores, mask: torch.masked_fill(scores, mask == 0, -1e9))),
        (None, decode(torch.mul)),
        (None, divided_by_nothing),
        (None, up_to_the_newest),
        (None, decode_by_sentence),
        (None, decode_without_axis),
        (None, lambda query, keys, values, mask: decode(lambda scores, one: scores)(query, keys, values, mask).float()),
    ],
    "left_padded_positions": [
        ("nothing mended", positions(lambda mask: torch.ones_like(mask).cumsum(1) - 1, after_words)),
        ("the steps moved instead", positions(lambda mask: torch.ones_like(mask).cumsum(1) - 1,
                                              lambda mask, further: mask.size(1) + further.repeat(len(mask), 1))),
        ("the steps count the padding", positions(counted, lambda mask, further: mask.size(1) + further.repeat(len(mask), 1))),
        ("-1 at padding", positions(lambda mask: torch.cumsum(mask, 1).sub(1), after_words)),
        ("1 at padding", positions(clamped_to_one, after_words)),
        ("counted from 1", positions(lambda mask: mask.cumsum(1) * mask, after_words)),
        ("steps one too late", positions(counted, lambda mask, further: after_words(mask, further) + 1)),
        ("steps one too early", positions(counted, lambda mask, further: counted(mask)[:, -1:] + further)),
        (None, positions(lambda mask: counted(mask).int(), after_words)),
        (None, positions(lambda mask: counted(mask).float(), after_words)),
        (None, positions(counted, lambda mask, further: after_words(mask, further)[:, :1])),
        (None, positions(counted, lambda mask, further: mask.sum() + further)),
        (None, positions(counted, lambda mask, further: after_words(mask, further).T)),
        (None, lambda mask, new_tokens: torch.cat([counted(mask), after_words(mask, torch.arange(new_tokens))], 1)),
        (None, lambda mask, new_tokens: [counted(mask), after_words(mask, torch.arange(new_tokens))]),
        (None, lambda mask, new_tokens: (counted(mask), after_words(mask, torch.arange(new_tokens)))),
        (None, mask_in_place),
        (None, one_after_another),
    ],
    "packed_loss": [
        ("nothing mended", loss(lambda before, after: torch.zeros_like(after).bool())),
        ("only borders mended", loss(lambda before, after: before != after)),
        ("only padding mended", loss(lambda before, after: after == -1)),
        ("only padding mended", labels_first),
        ("padding looked for on the other side", loss(lambda before, after: before < 0)),
        ("token 0 asked for instead", lambda *call: F.cross_entropy(
            call[0][:, :-1].mT, call[1][:, 1:] * ((call[2][:, 1:] == call[2][:, :-1]) & (call[2][:, 1:] >= 0)))),
        ("divided by all", weighed(lambda each, fair: torch.where(fair, each, 0).mean())),
        ("the mean of the rows' means", weighed(lambda each, fair: ((each * fair).sum(1) / fair.sum(1).clamp(min=1)).mean())),
        (None, weighed(lambda each, fair: (each * fair).sum())),
        (None, weighed(lambda each, fair: torch.where(fair, each, torch.nan).nanmedian())),
        (None, weighed(lambda each, fair: each[fair].mean()[None])),
        (None, weighed(lambda each, fair: torch.where(fair, each, 0))),
        (None, weighed(lambda each, fair: -each[fair].mean())),
        (None, weighed(lambda each, fair: each[fair].mean().exp())),
        (None, ends_cut),
        (None, zero_logits),
        (None, loss_by_row),
        (None, loss_as_number),
        (None, detached_loss),
    ],
    "batch_equals_single": [
        ("compared from the left edge", company(places=lambda real, side: slice(0, int(real.sum())))),
        ("compared from the right edge", company(places=lambda real, side: slice(len(real) - int(real.sum()), None))),
        ("only the shapes compared", company(alike=lambda found, alone: len(found) == len(alone))),
        ("only the shapes compared", always_true),
        (None, nothing_alone),
        ("right padding only", company(side=lambda side: "right")),
        ("left padding only", company(side=lambda side: "left")),
        ("the mask not handed over", company(mask=lambda ids, mask, pad: torch.ones_like(ids))),
        ("the mask upside down", company(mask=lambda ids, mask, pad: (mask == 0).long())),
        ("the mask read off the ids", company(mask=lambda ids, mask, pad: ids.ne(pad).long())),
        ("no tolerance", company(alike=lambda found, alone: bool((found == alone).all()))),
        ("too much tolerance", company(alike=lambda found, alone: bool((found - alone).abs().max() < 5e-3))),
        ("the mean difference", company(alike=lambda found, alone: F.l1_loss(found, alone).item() < 1e-4)),
        ("differences with their sign", company(alike=lambda found, alone: (found - alone).max().item() < 1e-4)),
        ("blind for NaN", company(
            alike=lambda found, alone: torch.allclose(torch.where(found == found, found, alone), alone, 0, 1e-4))),
        ("only the last word", company(alike=lambda found, alone: torch.allclose(found[-1:], alone[-1:], 0, 1e-4))),
        ("one right sentence is enough", company(result=any)),
        ("a tensor for a bool", company(result=lambda verdicts: torch.tensor(all(verdicts)))),
        (None, company(alike=lambda found, alone: torch.allclose(found[:1], alone[:1], 0, 1e-4))),
        (None, company(places=lambda real, side: slice(0, int(real.sum())) if side == "left" else slice(
            len(real) - int(real.sum()), None))),
        (None, company(side=lambda side: {"left": "right", "right": "left"}[side])),
        (None, company(result=lambda verdicts: not all(verdicts))),
        (None, company(result=lambda verdicts: verdicts)),
        (None, company(result=lambda verdicts: sum(verdicts))),
        ("too much tolerance", company(alike=lambda found, alone: torch.allclose(found, alone, rtol=0, atol=0.5))),
        (None, first_against_rest),
        (None, longest_alone),
        (None, on_the_default_device),
        (None, rows_in_place),
    ],
}  # fmt: skip
