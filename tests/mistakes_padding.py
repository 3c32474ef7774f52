"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import math

import torch
import torch.nn.functional as F

LOWEST = torch.finfo(torch.float32).min


def lowest(dtype):
    return torch.finfo(dtype).min


# --- padding_mask


def compare_rows(input_ids, pad_token_id):
    return input_ids[:, -1:] == pad_token_id


def pads_by_truth(input_ids, pad_token_id):
    return ~input_ids.bool()


# --- attention_mask_from_lengths


def lengths_table(compare, side_matters=True, checked=True, dtype=torch.long, flip=True):
    """How most people write it, with what goes wrong as arguments."""

    def answer(lengths, max_length=None, padding_side="right"):
        width = int(lengths.max()) if max_length is None else max_length
        if checked and (padding_side not in ("left", "right") or (lengths > width).any() or (lengths < 0).any()):
            raise ValueError
        mask = compare(torch.arange(width, device=lengths.device)[None, :], lengths[:, None])
        if side_matters and padding_side == "left":
            mask = mask.flip(1) if flip else compare(mask.shape[1] - 1 - torch.arange(width)[None, :], lengths[:, None])
        return mask.to(dtype)

    return answer


def none_by_truth(lengths, max_length=None, padding_side="right"):
    width = max_length or int(lengths.max())  # a max_length of 0 is a length too
    if padding_side not in ("left", "right") or (lengths > width).any() or (lengths < 0).any():
        raise ValueError
    mask = (torch.arange(width, device=lengths.device) < lengths[:, None]).long()
    return mask.flip(1) if padding_side == "left" else mask


def one_side_off(lengths, max_length=None, padding_side="right"):
    width = int(lengths.max()) if max_length is None else max_length
    if padding_side not in ("left", "right") or (lengths > width).any() or (lengths < 0).any():
        raise ValueError
    position = torch.arange(width, device=lengths.device)
    if padding_side == "left":
        return (position > width - lengths[:, None]).long()
    return (position < lengths[:, None]).long()


def counted_from_one(lengths, max_length=None, padding_side="right"):
    width = int(lengths.max()) if max_length is None else max_length
    if padding_side not in ("left", "right") or (lengths > width).any() or (lengths < 0).any():
        raise ValueError
    position = torch.arange(1, width + 1, device=lengths.device)
    mask = (position < lengths[:, None]).long()
    return mask.flip(1) if padding_side == "left" else mask


def errors_as(kind, error=KeyError):
    def answer(lengths, max_length=None, padding_side="right"):
        try:
            return lengths_table(torch.lt)(lengths, max_length, padding_side)
        except ValueError:
            if kind == "raises another":
                raise error("padding_side") from None
            return torch.zeros(len(lengths), max_length or 0, dtype=torch.long)

    return answer


def asserts(lengths, max_length=None, padding_side="right"):
    assert padding_side in ("left", "right")
    assert max_length is None or (lengths <= max_length).all()
    assert (lengths >= 0).all()
    return lengths_table(torch.lt)(lengths, max_length, padding_side)


def rows_one_by_one(lengths, max_length=None, padding_side="right"):
    width = int(lengths.max()) if max_length is None else max_length
    if padding_side not in ("left", "right") or (lengths > width).any() or (lengths < 0).any():
        raise ValueError
    mask = torch.zeros(len(lengths), width, dtype=torch.long, device=lengths.device)
    for row, length in enumerate(lengths.tolist()):
        if padding_side == "left":
            mask[row, width - length :] = 1
        else:
            mask[row, :length] = 1
    return mask


# --- expand_padding_mask


def expanded(mask, heads, queries):
    return mask.bool()[:, None, None, :].expand(-1, heads, queries, -1)


def by_multiplying(mask, heads, queries):
    return (
        torch.ones(mask.shape[0], heads, queries, 1, dtype=torch.bool, device=mask.device) & mask.bool()[:, None, None]
    )


def axes_swapped(mask, heads, queries):
    return mask.bool()[:, None, None, :].expand(-1, queries, heads, -1)


def rows_by_transposing(mask, heads, queries):
    return expanded(mask, heads, mask.shape[1]).transpose(-1, -2)


def outer_product(mask, heads, queries):
    both = torch.einsum("bq,bk->bqk", mask, mask).bool()
    return both[:, None].expand(-1, heads, -1, -1)


# --- masked_softmax


def filled(number, axis=-1):
    return lambda scores, allowed: F.softmax(scores.masked_fill(allowed.logical_not(), number), dim=axis)


def overflowing(scores, allowed):
    shares = scores.exp() * allowed
    return shares / shares.sum(-1, keepdim=True)


def shifted_by_the_hidden_maximum(scores, allowed):
    shares = (scores - scores.amax(-1, keepdim=True)).exp() * allowed
    return shares / shares.sum(-1, keepdim=True)


def epsilon_softmax(scores, allowed):
    shares = torch.where(allowed, scores.double(), -math.inf).softmax(-1) + 1e-3
    return shares.to(scores.dtype)


def in_place(scores, allowed):
    scores[~allowed.expand_as(scores)] = -math.inf
    return scores.softmax(-1)


def added_in_place(scores, allowed):
    scores += (~allowed).to(scores.dtype) * torch.finfo(scores.dtype).min
    return scores.softmax(-1)


def detached(scores, allowed):
    return torch.softmax(scores.detach().masked_fill(~allowed, -math.inf), -1)


def through_numpy(scores, allowed):
    return torch.tensor(scores.masked_fill(~allowed, -math.inf).softmax(-1).tolist(), dtype=scores.dtype)


# --- padded_attention


def attention(query, key, value, mask, scale=None, weights_of=None, fill=-math.inf):
    scores = torch.einsum("bhqd,bhkd->bhqk", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if mask is not None:
        scores = torch.where(mask, scores, torch.tensor(fill, dtype=scores.dtype))
    weights = torch.softmax(scores, -1)
    return torch.einsum("bhqk,bhkd->bhqd", weights, value), weights


def columns(mask):
    return (mask == 1)[:, None, None, :]


def rows(mask):
    return (mask == 1)[:, None, :, None]


def additive_hidden(query, key, value, mask, fill):
    scores = query @ key.mT / math.sqrt(query.shape[-1]) + (1.0 - mask[:, None, None, :].to(query.dtype)) * fill
    weights = scores.softmax(-1)
    return weights @ value, weights


def mask_added(query, key, value, mask):
    scores = query @ key.mT / math.sqrt(query.shape[-1]) + mask[:, None, None, :]
    weights = scores.softmax(-1)
    return weights @ value, weights


def mask_multiplied(query, key, value, mask):
    scores = query @ key.mT / math.sqrt(query.shape[-1]) * mask[:, None, None, :]
    weights = scores.softmax(-1)
    return weights @ value, weights


def scaled_after_masking(query, key, value, mask):
    scores = (query @ key.mT).masked_fill(~columns(mask), -1.0) / math.sqrt(query.shape[-1])
    weights = scores.softmax(-1)
    return weights @ value, weights


def sdpa_unmasked(query, key, value, mask):
    return F.scaled_dot_product_attention(query, key, value), attention(query, key, value, None)[1]


def sdpa_only_output(query, key, value, mask):
    return F.scaled_dot_product_attention(query, key, value, attn_mask=columns(mask))


def key_length_scale(query, key, value, mask):
    return attention(query, key, value, columns(mask), scale=1 / math.sqrt(key.shape[2]))


def over_queries(query, key, value, mask):
    scores = (query @ key.mT / math.sqrt(query.shape[-1])).masked_fill(~columns(mask), -math.inf)
    weights = scores.softmax(-2)
    return weights @ value, weights


def output_first(query, key, value, mask):
    return attention(query, key, value, columns(mask))[::-1]


def only_weights_masked(query, key, value, mask):
    return attention(query, key, value, None)[0], attention(query, key, value, columns(mask))[1]


def as_list(query, key, value, mask):
    return list(attention(query, key, value, columns(mask)))


def values_masked(query, key, value, mask):
    weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
    return weights @ value.masked_fill(mask[:, None, :, None] == 0, 0.0), weights


def head_loop(query, key, value, mask):
    parts = [
        attention(query[:, h : h + 1], key[:, h : h + 1], value[:, h : h + 1], columns(mask))
        for h in range(query.shape[1])
    ]
    return torch.cat([part[0] for part in parts], 1), torch.cat([part[1] for part in parts], 1)


# --- masked_mean


def real(hidden, mask):
    return hidden * mask.unsqueeze(-1)


def epsilon_in_half(hidden, mask):
    mask = mask.unsqueeze(-1).expand(hidden.size()).to(hidden.dtype)
    return (hidden * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)


def sentence_transformers_unadapted(hidden, mask):
    mask = mask.unsqueeze(-1).expand(hidden.size()).float()
    return (hidden * mask).sum(1) / torch.clamp(mask.sum(1), min=1e-9)  # float32, whatever hidden is


def count_plus_one(hidden, mask):
    return real(hidden, mask).sum(1) / (mask.sum(1, keepdim=True) + 1)


def flattened_mean(hidden, mask):
    return hidden[mask.bool()].mean(0, keepdim=True).expand(hidden.shape[0], -1)


def nan_mean(hidden, mask):
    return torch.where(mask[..., None] == 1, hidden, math.nan).nanmean(1)


# --- last_token_pool


def sentence(hidden):
    return torch.arange(hidden.shape[0], device=hidden.device)


def all_left_or_all_right(hidden, mask):
    """E5's own: left padding if the last column is all real, else right padding for every sentence."""
    if mask[:, -1].sum() == mask.shape[0]:
        return hidden[:, -1]
    return hidden[sentence(hidden), mask.sum(1) - 1]


def by_counting(hidden, mask):
    count = mask.sum(1)
    return torch.where((count > 0)[:, None], hidden[sentence(hidden), count - 1], torch.zeros((), dtype=hidden.dtype))


def count_without_minus_one(hidden, mask):
    return hidden[sentence(hidden), mask.sum(1).clamp(max=mask.shape[1] - 1)]


def last_of_cumsum(hidden, mask):
    return hidden[sentence(hidden), mask.cumsum(1).argmax(1)]


def last_real_of_all(hidden, mask):
    picked = hidden[sentence(hidden), mask.shape[1] - 1 - mask.flip(1).argmax(1)]
    return picked


def zeroed_last(hidden, mask):
    return real(hidden, mask)[:, -1]


def one_before(hidden, mask):
    last = (mask * torch.arange(mask.shape[1])).argmax(1)
    return torch.where(mask.any(1)[:, None], hidden[sentence(hidden), (last - 1).clamp(min=0)], 0.0)


MISTAKES = {
    "padding_mask": [
        ("inverted", lambda ids, pad: ~(ids == pad)),
        ("inverted", lambda ids, pad: (ids - pad).bool()),
        ("padding id fixed at 0", pads_by_truth),
        ("padding id fixed at 0", lambda ids, pad: ids.eq(0)),
        ("integer result", lambda ids, pad: torch.where(ids == pad, 1, 0)),
        ("integer result", lambda ids, pad: (ids == pad) * 1),
        ("integer result", lambda ids, pad: (ids == pad).to(torch.int8)),
        ("integer result", lambda ids, pad: (ids == pad).double()),
        ("attention mask instead", lambda ids, pad: torch.where(ids == pad, 0, 1)),
        ("attention mask instead", lambda ids, pad: 1 - (ids == pad).long()),
        ("attention mask instead", lambda ids, pad: (ids != pad).to(torch.uint8)),
        (None, lambda ids, pad: ids != 0),
        (None, lambda ids, pad: ids <= pad),
        (None, lambda ids, pad: (ids == pad)[:, None, None, :]),
        (None, lambda ids, pad: torch.tensor([[cell == pad for cell in row] for row in ids.tolist()])),
        (None, compare_rows),
    ],
    "attention_mask_from_lengths": [
        ("off by one", lengths_table(torch.le)),
        ("off by one", one_side_off),
        ("off by one", counted_from_one),
        ("off by one", lengths_table(lambda position, length: position < length - 1)),
        ("padding_side ignored", lengths_table(torch.lt, side_matters=False)),
        ("padding_side ignored", lengths_table(torch.lt, side_matters=False, checked=False)),
        ("bool result", lengths_table(torch.lt, dtype=torch.bool)),
        ("inverted", lengths_table(torch.ge)),
        (None, lengths_table(torch.lt, dtype=torch.float32)),
        (None, lengths_table(torch.lt, dtype=torch.int32)),
        (None, lengths_table(torch.lt, checked=False)),
        (None, none_by_truth),
        (None, errors_as("returns")),
        (None, errors_as("raises another")),
        (None, errors_as("raises another", NotImplementedError)),
        (None, asserts),
        (None, rows_one_by_one),
    ],
    "expand_padding_mask": [
        ("query rows instead of key columns", rows_by_transposing),
        ("query rows and key columns", outer_product),
        ("repeat instead of expand", lambda mask, heads, queries: expanded(mask, heads, queries).contiguous()),
        ("repeat instead of expand", lambda mask, heads, queries: expanded(mask, heads, queries).clone()),
        ("repeat instead of expand", by_multiplying),
        ("inverted", lambda mask, heads, queries: expanded(1 - mask, heads, queries)),
        ("inverted", lambda mask, heads, queries: ~expanded(mask, heads, queries)),
        ("inverted", lambda mask, heads, queries: expanded(mask == 0, heads, queries)),
        ("not bool", lambda mask, heads, queries: mask[:, None, None].repeat(1, heads, queries, 1)),
        (None, lambda mask, heads, queries: expanded(mask, heads, queries).to(torch.half)),
        (
            "(B, 1, S) lands on heads",
            lambda mask, heads, queries: mask.bool().unsqueeze(1).expand(len(mask), heads, queries, -1),
        ),
        ("left to broadcasting", lambda mask, heads, queries: (mask == 1).unsqueeze(1).unsqueeze(1)),
        (None, axes_swapped),
        (None, lambda mask, heads, queries: mask.bool()[:, None, :].expand(-1, queries, -1)),
        (None, lambda mask, heads, queries: expanded(torch.ones_like(mask), heads, queries)),
    ],
    "additive_mask": [
        ("0 times -inf", lambda allowed, dtype: (~allowed).to(dtype) * -math.inf),
        ("0 times -inf", lambda allowed, dtype: (1 - allowed.to(dtype)) * float("-inf")),
        ("0 times -inf", lambda allowed, dtype: (allowed == 0) * torch.tensor(-math.inf, dtype=dtype)),
        ("-inf", lambda allowed, dtype: torch.where(allowed, 0.0, -math.inf).to(dtype)),
        ("-inf", lambda allowed, dtype: torch.full(allowed.shape, -math.inf, dtype=dtype).masked_fill(allowed, 0)),
        ("-inf", lambda allowed, dtype: allowed.to(dtype).log()),
        ("a fixed number", lambda allowed, dtype: torch.where(allowed, 0.0, -1e9).to(dtype)),
        ("a fixed number", lambda allowed, dtype: torch.full(allowed.shape, -1e9, dtype=dtype) * ~allowed),
        ("a fixed number", lambda allowed, dtype: (~allowed).to(dtype) * -1e9),
        ("a fixed number", lambda allowed, dtype: torch.full_like(allowed, -1e9, dtype=dtype).masked_fill(allowed, 0)),
        (
            "a fixed number",
            lambda allowed, dtype: torch.where(
                allowed, torch.tensor(0.0, dtype=dtype), torch.tensor(-1e9, dtype=dtype)
            ),
        ),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -10000.0),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -65504.0),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -1e12),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -1e20),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -1e6),
        ("a fixed number", lambda allowed, dtype: (1 - allowed.to(dtype)) * -1000),
        ("float32's minimum in every dtype", lambda allowed, dtype: torch.where(allowed, 0.0, LOWEST).to(dtype)),
        ("float32's minimum in every dtype", lambda allowed, dtype: (~allowed).to(dtype) * LOWEST),
        ("float32's minimum in every dtype", lambda allowed, dtype: (~allowed).float().mul(LOWEST).to(dtype)),
        ("inverted", lambda allowed, dtype: allowed.to(dtype) * lowest(dtype)),
        (
            "inverted",
            lambda allowed, dtype: torch.zeros(allowed.shape, dtype=dtype).masked_fill(allowed, lowest(dtype)),
        ),
        ("the smallest positive number", lambda allowed, dtype: (~allowed).to(dtype) * torch.finfo(dtype).tiny),
        (
            "the smallest positive number",
            lambda allowed, dtype: (~allowed).to(dtype) * torch.finfo(dtype).smallest_normal,
        ),
        ("dtype ignored", lambda allowed, dtype: (~allowed) * lowest(dtype)),
        ("dtype ignored", lambda allowed, dtype: torch.zeros(allowed.shape).masked_fill(~allowed, LOWEST)),
        ("1 - mask on a bool", lambda allowed, dtype: (1 - allowed).to(dtype) * lowest(dtype)),
        (None, lambda allowed, dtype: (~allowed).to(dtype) * torch.finfo(dtype).max),
        (None, lambda allowed, dtype: (~allowed).to(dtype)),
        (None, lambda allowed, dtype: allowed.to(dtype)),
        (None, lambda allowed, dtype: torch.where(allowed, 1.0, lowest(torch.float16)).to(dtype)),
        (None, lambda allowed, dtype: (~allowed).to(dtype) * lowest(dtype) / 2),
    ],
    "masked_softmax": [
        ("softmax over the query axis", filled(-math.inf, axis=-2)),
        ("softmax over the query axis", filled(-math.inf, axis=2)),
        (None, filled(-1e30, axis=2)),  # two mistakes at once
        ("softmax over the heads or the batch", filled(-math.inf, axis=1)),
        ("zeroed after the softmax", lambda scores, allowed: F.softmax(scores, -1) * allowed.to(scores.dtype)),
        ("zeroed after the softmax", lambda scores, allowed: torch.where(allowed, scores.softmax(-1), 0.0)),
        ("forbidden scores set to 0", lambda scores, allowed: torch.where(allowed, scores, 0.0).softmax(-1)),
        ("forbidden scores set to 0", filled(0)),
        ("0/1 mask added", lambda scores, allowed: (scores + allowed.float().to(scores.dtype)).softmax(-1)),
        ("0/1 mask added", lambda scores, allowed: (scores + allowed.long()).softmax(-1)),
        ("-100 for minus infinity", filled(-100)),
        ("-100 for minus infinity", filled(-1e4)),
        ("-100 for minus infinity", lambda scores, allowed: (scores + (~allowed) * -100.0).softmax(-1)),
        ("-100 for minus infinity", filled(-50.0)),
        ("-100 for minus infinity", filled(-99.0)),
        ("-100 for minus infinity", filled(-999.0)),
        ("-100 for minus infinity", filled(-9999.0)),
        (
            "-100 for minus infinity",
            lambda scores, allowed: (scores + (1.0 - allowed.to(scores.dtype)) * -10000.0).softmax(-1),
        ),
        ("scores changed in place", in_place),
        ("scores changed in place", added_in_place),
        ("no mask", lambda scores, allowed: torch.softmax(scores, dim=-1)),
        ("inverted", lambda scores, allowed: torch.where(allowed, -math.inf, scores).softmax(-1)),
        ("inverted", lambda scores, allowed: (scores + allowed.to(scores.dtype) * lowest(scores.dtype)).softmax(-1)),
        ("-1e9 in half precision", filled(-1e9)),
        ("-1e9 in half precision", filled(-1e20)),
        ("forbidden scores set to 0", filled(1e-9)),
        ("renormalised after the softmax", overflowing),
        ("renormalised after the softmax", shifted_by_the_hidden_maximum),
        (None, epsilon_softmax),
        (None, detached),
        (None, through_numpy),
        (None, lambda scores, allowed: torch.where(allowed, scores.float(), -math.inf).softmax(-1)),
        (None, lambda scores, allowed: scores.masked_fill(~allowed, -math.inf)),
        (None, lambda scores, allowed: scores.masked_fill(~allowed, -math.inf).log_softmax(-1)),
        (None, lambda scores, allowed: scores.masked_fill(~allowed, -math.inf).sigmoid()),
    ],
    "padded_attention": [
        ("no scaling by √dim", lambda q, k, v, mask: attention(q, k, v, columns(mask), scale=1.0)),
        ("no scaling by √dim", lambda q, k, v, mask: attention(q, k, v, columns(mask), scale=1.0, fill=-1e30)),
        ("scaled by dim", lambda q, k, v, mask: attention(q / q.shape[-1], k, v, columns(mask), scale=1.0)),
        ("query rows masked too", lambda q, k, v, mask: attention(q, k, v, columns(mask) & rows(mask))),
        (
            "query rows masked too",
            lambda q, k, v, mask: attention(q, k, v, columns(mask) & rows(mask), fill=lowest(q.dtype)),
        ),
        (
            "query rows masked too",
            lambda q, k, v, mask: attention(q, k, v, torch.einsum("bq,bk->bqk", mask, mask)[:, None].bool(), fill=-1e9),
        ),
        (
            "query rows instead of key columns",
            lambda q, k, v, mask: attention(q, k, v, rows(mask), fill=lowest(q.dtype)),
        ),
        ("query rows instead of key columns", lambda q, k, v, mask: attention(q, k, v, rows(mask))),
        ("inverted", lambda q, k, v, mask: attention(q, k, v, ~columns(mask))),
        ("inverted", lambda q, k, v, mask: additive_hidden(q, k, v, 1 - mask, lowest(q.dtype))),
        ("no mask", lambda q, k, v, mask: attention(q, k, v, None)),
        ("no mask", sdpa_unmasked),
        ("padding values zeroed instead of masked", values_masked),
        (
            "weights zeroed after the softmax",
            lambda q, k, v, mask: (
                (attention(q, k, v, None)[1] * columns(mask)) @ v,
                attention(q, k, v, None)[1] * columns(mask),
            ),
        ),
        ("(B, 1, S) lands on heads", lambda q, k, v, mask: attention(q, k, v, mask.bool().unsqueeze(1))),
        ("(B, S) lands on queries", lambda q, k, v, mask: attention(q, k, v, mask == 1)),
        ("0/1 mask added", mask_added),
        ("padding scores set to 0", mask_multiplied),
        (None, scaled_after_masking),
        (None, sdpa_only_output),
        (None, key_length_scale),
        (None, over_queries),
        ("output and weights swapped", output_first),
        (None, only_weights_masked),
        (None, as_list),
        (None, head_loop),
        ("0/1 mask added", lambda q, k, v, mask: additive_hidden(q, k, v, mask, -1.0)),
        ("padding scores set to 0", lambda q, k, v, mask: attention(q, k, v, columns(mask), fill=-1e-9)),
    ],
    "masked_mean": [
        ("divides by the padded length", lambda hidden, mask: torch.mean(real(hidden, mask), dim=1)),
        ("divides by the padded length", lambda hidden, mask: hidden.masked_fill(mask[..., None] == 0, 0).mean(1)),
        ("padding included", lambda hidden, mask: torch.mean(hidden, 1)),
        ("padding included", lambda hidden, mask: hidden.sum(1) / max(hidden.shape[1], 1)),
        ("NaN on an empty sentence", epsilon_in_half),
        (
            "NaN on an empty sentence",
            lambda hidden, mask: real(hidden, mask).sum(1) / (mask.sum(1, keepdim=True).to(hidden.dtype) + 1e-9),
        ),
        ("NaN on an empty sentence", nan_mean),
        ("NaN on an empty sentence", lambda hidden, mask: real(hidden, mask).sum(1) / mask.sum(1)[:, None]),
        ("sum instead of mean", lambda hidden, mask: torch.einsum("bsd,bs->bd", hidden, mask.to(hidden.dtype))),
        ("inverted", lambda hidden, mask: real(hidden, 1 - mask).sum(1) / (1 - mask).sum(1)[:, None].clamp(min=1)),
        ("inverted", lambda hidden, mask: real(hidden, mask == 0).sum(1) / (mask == 0).sum(1)[:, None]),
        (None, sentence_transformers_unadapted),
        (None, count_plus_one),
        (None, flattened_mean),
        (None, lambda hidden, mask: real(hidden, mask).sum(1, keepdim=True) / mask.sum(1).clamp(min=1)[:, None, None]),
        (None, lambda hidden, mask: real(hidden, mask).sum(-1)),
        (None, lambda hidden, mask: (real(hidden, mask).sum(1) / mask.sum(1, keepdim=True).clamp(min=1)).detach()),
    ],
    "last_token_pool": [
        ("the last column", lambda hidden, mask: hidden[:, mask.shape[1] - 1]),
        ("the last column", zeroed_last),
        ("the last column", lambda hidden, mask: hidden.select(1, -1)),
        ("the number of tokens as index", by_counting),
        ("the number of tokens as index", lambda hidden, mask: hidden[sentence(hidden), mask.sum(1) - 1]),
        ("the number of tokens as index", all_left_or_all_right),
        ("an empty sentence gives a vector", last_of_cumsum),
        ("an empty sentence gives a vector", last_real_of_all),
        ("the first real token", lambda hidden, mask: hidden[sentence(hidden), mask.argmax(1)]),
        ("the first column", lambda hidden, mask: hidden[:, 0]),
        ("the first column", lambda hidden, mask: torch.where(mask.any(1, keepdim=True), hidden[:, 0], 0.0)),
        (None, count_without_minus_one),
        (None, one_before),
        (None, lambda hidden, mask: hidden[sentence(hidden), mask.sum(1) - 1][:, None]),
        (None, lambda hidden, mask: hidden[mask.bool()]),
    ],
    "extended_attention_mask": [
        ("wrong axes", lambda mask, dtype: ((1.0 - mask.to(dtype)) * lowest(dtype))[:, None]),
        ("wrong axes", lambda mask, dtype: ((1.0 - mask.to(dtype)) * lowest(dtype))[None, None]),
        ("wrong axes", lambda mask, dtype: ((1.0 - mask.to(dtype)) * lowest(dtype))[:, None, :, None]),
        ("inverted", lambda mask, dtype: mask[:, None, None, :] * torch.tensor(lowest(dtype), dtype=dtype)),
        ("-inf", lambda mask, dtype: (1.0 - mask[:, None, None, :].to(dtype)) * -math.inf),
        ("-inf", lambda mask, dtype: mask[:, None, None, :].to(dtype).log()),
        ("-inf", lambda mask, dtype: torch.where(mask.bool(), 0.0, -math.inf).to(dtype)[:, None, None]),
        ("a fixed number", lambda mask, dtype: (1.0 - mask[:, None, None, :].to(dtype)) * -10000.0),
        ("a fixed number", lambda mask, dtype: (1.0 - mask[:, None, None, :].to(dtype)) * -1e9),
        ("a fixed number", lambda mask, dtype: torch.where(mask[:, None, None].bool(), 0.0, -1e9).to(dtype)),
        ("0 and 1 in the new shape", lambda mask, dtype: mask[:, None, None, :].to(dtype)),
        ("0 and 1 in the new shape", lambda mask, dtype: 1.0 - mask[:, None, None, :].to(dtype)),
        ("float32's minimum in every dtype", lambda mask, dtype: (1.0 - mask[:, None, None, :]) * LOWEST),
        (None, lambda mask, dtype: (1.0 - mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).tiny),
        (None, lambda mask, dtype: ((1.0 - mask.to(dtype)) * lowest(dtype))[:, None, None, :].expand(-1, 2, -1, -1)),
    ],
}
