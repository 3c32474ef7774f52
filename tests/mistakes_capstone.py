"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import torch
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

from workbook.specs.capstone import attention

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


def mended_layer_by_layer(mask_of):
    """``mask_of(mask, layer, last)``: a mask of its own for each layer."""

    def answer(hidden, attention_mask, layers, num_heads):
        for layer, weights in enumerate(layers):
            ignored = mask_of(attention_mask, layer, len(layers) - 1)
            hidden = hidden + mha(hidden, hidden, weights, num_heads, ignored)
        return hidden

    return answer


def encoder_with_bias(number):
    """Adds a number to the padding's scores."""

    def answer(hidden, attention_mask, layers, num_heads):
        for weights in layers:
            bias = (1 - attention_mask.to(hidden.dtype)) * number
            hidden = hidden + mha(hidden, hidden, weights, num_heads, additive=bias)
        return hidden

    return answer


def memory_zeroed(hidden, attention_mask, layers, num_heads):
    for weights in layers:
        hidden = hidden + mha(hidden, hidden * attention_mask.unsqueeze(-1), weights, num_heads)
    return hidden


def given_helper(ignored):
    """The file's own `attention`, handed what is no bool."""

    def answer(hidden, attention_mask, layers, num_heads):
        for weights in layers:
            hidden = hidden + attention(hidden, hidden, weights, num_heads, ignored(attention_mask))
        return hidden

    return answer


def layers_used_up(hidden, attention_mask, layers, num_heads):
    hidden = hidden + mha(hidden, hidden, layers.pop(0), num_heads, attention_mask == 0)
    for weights in layers:
        hidden = hidden + mha(hidden, hidden, weights, num_heads, attention_mask == 0)
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


def cross_keeping_the_query(query, memory, source_mask, target_mask, weights, num_heads):
    output = mha(query, memory, weights, num_heads, source_mask == 0).clone()
    output[target_mask == 0] = query[target_mask == 0]
    return output


def cross_with_bias(query, memory, source_mask, target_mask, weights, num_heads):
    return mha(query, memory, weights, num_heads, additive=(1 - source_mask.to(query.dtype)) * -100)


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


def loss_of_one_long_row(logits, input_ids, document_ids):
    """Runs the rows together, and takes padding's −1 for a document."""
    documents, labels = document_ids.reshape(-1), input_ids.reshape(-1)[1:].clone()
    labels[documents[1:] != documents[:-1]] = -100
    return F.cross_entropy(logits.reshape(-1, logits.shape[-1])[:-1], labels)


def documents_in_place(logits, input_ids, document_ids):
    fair = (document_ids[:, 1:] == document_ids[:, :-1]) & (document_ids[:, 1:] != -1)
    document_ids[document_ids == -1] = 9
    return F.cross_entropy(logits[:, :-1][fair], input_ids[:, 1:][fair])


def divided_by_all_words(logits, input_ids, document_ids):
    fair = (document_ids[:, 1:] == document_ids[:, :-1]) & (document_ids[:, 1:] != -1)
    total = F.cross_entropy(logits[:, :-1][fair], input_ids[:, 1:][fair], reduction="sum")
    return total / (document_ids[:, :-1] != -1).sum()


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
    pad=lambda pad: pad,
    places=lambda real, side: real.bool(),
    alike=lambda found, alone: torch.allclose(found, alone, rtol=0, atol=1e-4),
    result=all,
):
    """The test as most people write it, with what goes wrong as arguments."""

    def answer(model, rows, pad_token_id, padding_side):
        used = side(padding_side)
        ids = pad_sequence(rows, True, pad(pad_token_id), padding_side=used)
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


def ids_as_int32(model, rows, pad_token_id, padding_side):
    return company()(lambda ids, mask: model(ids.int(), mask), rows, pad_token_id, padding_side)


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
        ("mended in some layers only", encoder(is_padding, lambda mask: mask.bool())),
        ("mended in some layers only", encoder(lambda mask: mask.bool(), is_padding)),
        ("not every layer", encoder(no_mask, is_padding)),
        ("not every layer", mended_layer_by_layer(lambda mask, layer, last: mask < 1 if layer == last else None)),
        ("not every layer", mended_layer_by_layer(lambda mask, layer, last: None if layer == last else mask < 1)),
        ("not every layer", mended_layer_by_layer(lambda mask, layer, last: None if 0 < layer == last else mask < 1)),
        ("padding zeroed instead", memory_zeroed),
        ("one sentence's mask for all", encoder(lambda mask: (mask[-1] == 0).expand(len(mask), -1))),
        ("whole numbers for a mask", given_helper(lambda mask: ~mask)),
        ("whole numbers for a mask", given_helper(lambda mask: 1 - mask)),
        ("inputs changed in place", layers_used_up),
        (None, encoder(lambda mask: (mask == 0).any(0).expand_as(mask))),
        (None, encoder(lambda mask: (mask == 0).all(0).expand_as(mask))),
        ("no mask", encoder(lambda mask: torch.zeros_like(mask).bool())),
        ("the input not added", encoder(is_padding, joined=lambda x, answer: answer)),
        (None, masked_every_second),
        (None, bool_turned_once_too_often),
        (None, encoder_with_bias(-2)),
        ("-100 for minus infinity", encoder_with_bias(-100)),
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
        ("both masks", cross(lambda source, target: (source + target) == 0)),
        ("no mask", cross(lambda source, target: None)),
        ("whole numbers for a mask", cross(lambda source, target: torch.bitwise_not(source).bool())),
        ("one sentence's mask for all", cross(lambda source, target: (source[-1] == 0).expand(len(source), -1))),
        ("target padding does not ask", cross_keeping_the_query),
        ("-100 for minus infinity", cross_with_bias),
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
        ("only the number mended", half(lambda s, hidden, b, low: s + torch.where(hidden, low, b))),
        ("only the number mended", half(lambda s, hidden, b, low: (hidden.half() * low + b).clamp(low) + s)),
        ("only hidden scores mended", half(lambda s, hidden, b, low: torch.where(hidden, low, s + b))),
        ("only allowed scores mended", half(lambda s, hidden, b, low: torch.where(hidden, -INF, (s + b).clamp(low)))),
        ("what is hidden moves", half(lambda s, hidden, b, low: (torch.where(hidden, low, s) + b).clamp(low))),
        ("another low number", half(lambda s, hidden, b, low: (s + b).clamp(low).masked_fill(hidden, -10_000))),
        *(
            ("another low number", half(lambda s, hidden, b, low, fill=fill: torch.where(hidden, fill, (s + b).clamp(low))))
            for fill in (-3e4, -6e4, -65000.0)
        ),
        ("what is hidden moves", half(lambda s, hidden, b, low: (s + torch.where(hidden, low, b)).clamp(low))),
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
        ("padding zeroed instead", decode(torch.mul)),
        ("padding zeroed instead", lambda query, keys, values, mask: F.scaled_dot_product_attention(
            query, keys.masked_fill(mask[:, None, :, None] == 0, 0), values)),
        ("padding zeroed instead", lambda query, keys, values, mask: F.scaled_dot_product_attention(
            query, *(cache.masked_fill(mask[:, None, :, None] == 0, 0) for cache in (keys, values)))),
        ("one sentence's mask for all", decode(lambda scores, mask: scores.masked_fill(mask[-1:] == 0, -INF))),
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
        ("the steps count the padding", positions(counted, lambda mask, further: mask.shape[1] + further)),
        ("an axis too few", positions(counted, lambda mask, further: mask.sum(dim=-1) + further)),
        ("one sentence's steps for all", positions(counted, lambda mask, further: (mask[0].sum() + further).repeat(
            len(mask), 1))),
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
    ],
    "packed_loss": [
        ("nothing mended", loss(lambda before, after: torch.zeros_like(after).bool())),
        ("only borders mended", loss(lambda before, after: before != after)),
        ("only borders mended", loss_of_one_long_row),
        ("document 0 taken for padding", loss(lambda before, after: (before != after) | (after <= 0))),
        ("document 0 taken for padding", loss(lambda before, after: (before != after) | (after == 0))),
        ("only padding mended", loss(lambda before, after: after == -1)),
        ("only padding mended", labels_first),
        ("padding looked for on the other side", loss(lambda before, after: before < 0)),
        ("token 0 asked for instead", lambda *call: F.cross_entropy(
            call[0][:, :-1].mT, call[1][:, 1:] * ((call[2][:, 1:] == call[2][:, :-1]) & (call[2][:, 1:] >= 0)))),
        ("divided by all", weighed(lambda each, fair: torch.where(fair, each, 0).mean())),
        ("the mean of the rows' means", weighed(lambda each, fair: ((each * fair).sum(1) / fair.sum(1).clamp(min=1)).mean())),
        ("the mean of the rows' means", weighed(lambda each, fair: torch.where(fair, each, torch.nan).nanmean(1).nanmean())),
        ("divided by all words", divided_by_all_words),
        ("inputs changed in place", documents_in_place),
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
        ("one padding side for both", company(side=lambda side: "right")),
        ("one padding side for both", company(side=lambda side: "left")),
        ("padded with another id", company(pad=lambda pad: 1)),
        ("always False", lambda model, rows, pad_token_id, padding_side: not rows),
        ("the mask not handed over", company(mask=lambda ids, mask, pad: torch.ones_like(ids))),
        ("the mask upside down", company(mask=lambda ids, mask, pad: (mask == 0).long())),
        ("the mask read off the ids", company(mask=lambda ids, mask, pad: ids.ne(pad).long())),
        ("no tolerance", company(alike=lambda found, alone: bool((found == alone).all()))),
        ("too much tolerance", company(alike=lambda found, alone: bool((found - alone).abs().max() < 5e-3))),
        ("the mean difference", company(alike=lambda found, alone: F.l1_loss(found, alone).item() < 1e-4)),
        *(("the mean difference", company(alike=lambda found, alone, mean=mean: bool(mean(found - alone) <= 1e-4)))
          for mean in (lambda apart: apart.square().mean() ** 0.5, lambda apart: apart.abs().mean(1).max(),
                       lambda apart: apart.abs().max(1).values.mean(), lambda apart: apart.abs().sum(1).mean(),
                       lambda apart: 1e4 * apart.square().mean())),
        ("the differences added up", company(alike=lambda found, alone: torch.linalg.norm(found - alone).item() <= 1e-4)),
        ("the differences added up", company(alike=lambda found, alone: F.l1_loss(found, alone, reduction="sum") < 1e-4)),
        *(("too much tolerance", company(alike=lambda found, alone, by=by: torch.allclose(found, alone, *by)))
          for by in ((0, 5e-4), (1e-3, 1e-4), (1e-4, 1e-4))),
        ("too much tolerance", company(
            alike=lambda found, alone: torch.equal(found.round(decimals=3), alone.round(decimals=3)))),
        ("too much tolerance", company(
            alike=lambda found, alone: F.cosine_similarity(found, alone, -1).min().item() > 0.9999)),
        ("only the best token compared", company(alike=lambda found, alone: found.argmax(-1).equal(alone.argmax(-1)))),
        ("probabilities compared", company(
            alike=lambda found, alone: torch.allclose(F.softmax(found, -1), F.softmax(alone, -1), 0, 1e-4))),
        ("probabilities compared", company(
            alike=lambda found, alone: torch.allclose(F.log_softmax(found, -1), F.log_softmax(alone, -1), 0, 1e-4))),
        ("differences with their sign", company(alike=lambda found, alone: (found - alone).max().item() < 1e-4)),
        ("differences with their sign", company(alike=lambda found, alone: bool((alone - found <= 1e-4).all()))),
        ("differences with their sign", company(alike=lambda found, alone: (alone - found).max().item() < 1e-4)),
        ("blind for NaN", company(
            alike=lambda found, alone: torch.allclose(torch.where(found == found, found, alone), alone, 0, 1e-4))),
        ("blind for NaN", company(
            alike=lambda found, alone: torch.isclose(found, alone, 0, 1e-4, equal_nan=True).all().item())),
        *(("not every word", company(
            alike=lambda found, alone, words=words: torch.allclose(found[words], alone[words], 0, 1e-4)))
          for words in (slice(-1, None), slice(1), [0, -1])),
        *(("not every sentence", company(result=result)) for result in (
            lambda verdicts: verdicts[0], lambda verdicts: verdicts[-1], lambda verdicts: all(verdicts[:2]),
            lambda verdicts: verdicts[0] and verdicts[-1], lambda verdicts: verdicts.count(True) > len(verdicts) / 2)),
        ("one right sentence is enough", company(result=any)),
        ("a tensor for a bool", company(result=lambda verdicts: torch.tensor(all(verdicts)))),
        (None, company(mask=lambda ids, mask, pad: mask.bool())),
        (None, company(mask=lambda ids, mask, pad: mask.int())),
        (None, ids_as_int32),
        (None, company(alike=lambda found, alone: torch.allclose(found.abs(), alone.abs(), 0, 1e-4))),
        (None, company(alike=lambda found, alone: torch.allclose(found.sort()[0], alone.sort()[0], 0, 1e-4))),
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
