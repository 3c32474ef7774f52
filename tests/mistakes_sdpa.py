"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import math

import torch
import torch.nn.functional as F

INF = float("inf")


def lowest(dtype):
    return torch.finfo(dtype).min


def products(query, key):
    return torch.einsum("bhqd,bhkd->bhqk", query, key) / math.sqrt(query.shape[-1])


# --- sdpa_reference


def reference(mask=None, causal=None, both=ValueError, scale=None, end=None):
    """The documentation's lines as most people mend them, with what goes wrong as arguments."""

    def answer(query, key, value, attn_mask=None, is_causal=False, scale_=None, **keywords):
        given = keywords.get("scale", scale_)
        if attn_mask is not None and is_causal and both is not None:
            raise both("attn_mask and is_causal cannot be given together")
        factor = 1 / math.sqrt(query.size(-1)) if given is None else given
        scores = query @ key.transpose(-2, -1) * (scale(query, key, given) if scale else factor)
        length, source = scores.shape[-2:]
        if is_causal:
            ones = torch.ones(length, source, dtype=torch.bool)
            bias = (causal or top_left)(ones, length, source)
            scores = scores + bias.to(scores.dtype)
        if attn_mask is not None:
            scores = (mask or masked)(scores, attn_mask)
        weights = torch.softmax(scores, -1)
        return (end or (lambda weights, value: weights @ value))(weights, value)

    return answer


def filled(forbidden):
    return torch.zeros(forbidden.shape).masked_fill(forbidden, -INF)


def top_left(ones, length, source):
    return filled(~ones.tril())


def masked(scores, mask):
    return scores.masked_fill(mask.logical_not(), -INF) if mask.dtype == torch.bool else scores + mask


def mha_sign(scores, mask):
    if mask.dtype == torch.bool:
        return scores + torch.zeros(mask.shape, dtype=scores.dtype).masked_fill(mask, -INF)
    return scores + mask


def only_where_needed(query, key, value, attn_mask=None, is_causal=False, scale=None):
    """Causal by default when there are as many queries as keys."""
    if attn_mask is None and query.shape[2] == key.shape[2]:
        is_causal = True
    return reference()(query, key, value, attn_mask, is_causal, scale)


def changes_the_query(query, key, value, attn_mask=None, is_causal=False, scale=None):
    query *= 1 / math.sqrt(query.size(-1)) if scale is None else scale
    return reference()(query, key, value, attn_mask, is_causal, 1.0)


def row_by_row(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if attn_mask is not None and is_causal:
        raise ValueError
    if attn_mask is not None:
        attn_mask = attn_mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    rows = []
    for q in range(query.shape[2]):
        rule = None if attn_mask is None else attn_mask[:, :, q : q + 1]
        seen = q + 1 if is_causal else key.shape[2]
        part = reference()(query[:, :, q : q + 1], key[:, :, :seen], value[:, :, :seen], rule, False, scale)
        rows.append(part)
    return torch.cat(rows, 2) if rows else torch.zeros_like(query)


def calls_sdpa(query, key, value, attn_mask=None, is_causal=False, scale=None):
    if attn_mask is not None and is_causal:
        raise ValueError("one of them")
    return F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask, is_causal=is_causal, scale=scale)


# --- safe_sdpa


def safe(hide, weights=None, end=None):
    def answer(query, key, value, allowed):
        shares = hide(products(query, key), allowed).softmax(dim=-1)
        shares = weights(shares, allowed) if weights else shares
        return end(shares @ value, allowed) if end else shares @ value

    return answer


def infinite(scores, allowed):
    return scores.masked_fill(allowed.logical_not(), -INF)


def finite(scores, allowed):
    return torch.where(allowed, scores, lowest(scores.dtype))


def infinite_where(scores, allowed):
    return torch.where(allowed, scores, -INF)


def clean_in_place(output, allowed):
    output[output.isnan()] = 0
    return output


def first_key_decides(output, allowed):
    return output * allowed[..., :1]


def by_multihead(query, key, value, allowed):
    """Hands over to SDPA, and mends what other versions give."""
    return torch.nan_to_num(F.scaled_dot_product_attention(query, key, value, attn_mask=allowed))


def never_sees_nothing(query, key, value, allowed):
    allowed = allowed.clone()
    allowed[..., 0] |= ~allowed.any(-1)
    return safe(infinite)(query, key, value, allowed)


def opens_in_place(query, key, value, allowed):
    some = allowed.any(-1, keepdim=True)
    allowed |= ~some
    return safe(infinite)(query, key, value, allowed) * some


# --- mha_to_sdpa_mask


def to_sdpa(padding=None, rule=None, both=None):
    def answer(key_padding_mask, attn_mask):
        if key_padding_mask is None and attn_mask is None:
            return None
        if attn_mask is None:
            return (padding or (lambda mask: ~mask.view(mask.shape[0], 1, 1, -1)))(key_padding_mask)
        if key_padding_mask is None:
            return (rule or torch.logical_not)(attn_mask)
        joined = both or (lambda padding, rule: ~(padding.view(padding.shape[0], 1, 1, -1) | rule))
        return joined(key_padding_mask, attn_mask)

    return answer


def xor_for_and(padding, rule):
    return ~padding[:, None, None, :] ^ rule


def both_must_hide(padding, rule):
    return ~(padding[:, None, None, :] & rule)


def three_axes(padding, rule):
    return ~(padding[:, None, :] | rule[None])


def asks_the_rows(padding, rule):
    return ~(padding[:, None, :, None] | rule)


# --- cached_causal_attention


def cached(allowed):
    def answer(query, key, value):
        length, source = query.shape[2], key.shape[2]
        mask = allowed(length, source)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)

    return answer


def half_of_the_cure(query, key, value):
    if query.shape[2] == 1:
        return F.scaled_dot_product_attention(query, key, value)
    return F.scaled_dot_product_attention(query, key, value, is_causal=True)


def hugging_face(query, key, value):
    """Their choice, where no mask was built."""
    return F.scaled_dot_product_attention(query, key, value, is_causal=query.shape[2] > 1)


def newest_keys_first(query, key, value):
    length = query.shape[2]
    return F.scaled_dot_product_attention(query, key[:, :, -length:], value[:, :, -length:], is_causal=True)


def the_first_outputs(query, key, value):
    past = key.shape[2] - query.shape[2]
    padded = F.pad(query, (0, 0, 0, past))
    return F.scaled_dot_product_attention(padded, key, value, is_causal=True)[:, :, : query.shape[2]]


def the_cache_only(query, key, value):
    past = key.shape[2] - query.shape[2]
    return F.scaled_dot_product_attention(query, key[:, :, :past], value[:, :, :past])


def word_by_word(query, key, value):
    past = key.shape[2] - query.shape[2]
    steps = [
        F.scaled_dot_product_attention(query[:, :, i : i + 1], key[:, :, : past + i + 1], value[:, :, : past + i + 1])
        for i in range(query.shape[2])
    ]
    return torch.cat(steps, dim=2) if steps else torch.zeros_like(query)


# --- choose_sdpa_arguments


def choose(padded=None, build=None, square=True, single=True):
    """A learner's chain of ifs; ``square`` and ``single`` are what is returned without padding for L = S and L = 1."""

    def answer(attention_mask, query_length, key_length):
        if padded is None:
            has_padding = attention_mask is not None and bool((attention_mask == 0).any())
        else:
            has_padding = padded(attention_mask)
        if not has_padding and query_length == key_length and square is not None:
            return None, square
        if not has_padding and query_length == 1 and single is not None:
            return None, False
        return (build or right_mask)(attention_mask, query_length, key_length), False

    return answer


def lower_right(query_length, key_length):
    return torch.ones(query_length, key_length, dtype=torch.bool).tril(key_length - query_length)


def right_mask(attention_mask, query_length, key_length):
    allowed = lower_right(query_length, key_length)
    return allowed if attention_mask is None else allowed & attention_mask[:, None, None, :].bool()


def hides_the_rows_of_padding(attention_mask, query_length, key_length):
    allowed = right_mask(attention_mask, query_length, key_length)
    return allowed if attention_mask is None else allowed & attention_mask[:, None, -query_length:, None].bool()


def weak_mask(attention_mask, query_length, key_length):
    allowed = right_mask(attention_mask, query_length, key_length)
    return torch.zeros(allowed.shape).masked_fill(~allowed, -1e4)


def half_mask(attention_mask, query_length, key_length):
    allowed = right_mask(attention_mask, query_length, key_length)
    return torch.zeros(allowed.shape, dtype=torch.float16).masked_fill(~allowed, -INF)


def for_four_heads(attention_mask, query_length, key_length):
    allowed = right_mask(attention_mask, query_length, key_length)
    return allowed if allowed.dim() == 2 else allowed.expand(-1, 4, -1, -1)


def window(attention_mask, query_length, key_length):
    return right_mask(attention_mask, query_length, key_length).triu(key_length - query_length - 2)


def only_a_mask(attention_mask, query_length, key_length):
    return choose()(attention_mask, query_length, key_length)[0]


def as_a_list(attention_mask, query_length, key_length):
    return list(choose()(attention_mask, query_length, key_length))


def as_keywords(attention_mask, query_length, key_length):
    mask, causal = choose()(attention_mask, query_length, key_length)
    return {"attn_mask": mask, "is_causal": causal}


def causal_as_a_number(attention_mask, query_length, key_length):
    mask, causal = choose()(attention_mask, query_length, key_length)
    return mask, int(causal)


def causal_as_a_tensor(attention_mask, query_length, key_length):
    mask, causal = choose()(attention_mask, query_length, key_length)
    return mask, torch.tensor(causal)


def causal_none(attention_mask, query_length, key_length):
    mask, causal = choose()(attention_mask, query_length, key_length)
    return mask, causal or None


def false_for_none(attention_mask, query_length, key_length):
    mask, causal = choose()(attention_mask, query_length, key_length)
    return (False if mask is None else mask), causal


# --- combine_additive


def cell_by_cell(first, second):
    one, other = torch.broadcast_tensors(first, second)
    cells = [a + b for a, b in zip(one.reshape(-1), other.reshape(-1), strict=True)]
    if not cells:
        return first + second
    return torch.stack(cells).clamp(min=lowest(first.dtype)).reshape(one.shape)


def only_equal_shapes(first, second):
    assert first.shape == second.shape, "shapes differ"
    return torch.clamp(first + second, min=lowest(first.dtype))


def always_four_axes(first, second):
    total = torch.clamp(first + second, min=lowest(first.dtype))
    return total.reshape((1,) * (4 - total.dim()) + tuple(total.shape))


# --- grouped_query_attention


def grouped(spread, check=True):
    def answer(query, key, value, allowed):
        query_heads, key_heads = query.shape[1], key.shape[1]
        if check and query_heads % key_heads:
            raise ValueError("not a multiple")
        times = query_heads // key_heads
        return F.scaled_dot_product_attention(query, spread(key, times), spread(value, times), attn_mask=allowed)

    return answer


def halves(heads, times):
    """`expand` before the heads instead of after them."""
    batch, count, length, dim = heads.shape
    return heads[:, None].expand(batch, times, count, length, dim).reshape(batch, times * count, length, dim)


def along_the_keys(heads, times):
    return heads.repeat_interleave(times, dim=2)


def along_the_batch(query, key, value, allowed):
    if query.shape[1] % key.shape[1]:
        raise ValueError
    times = query.shape[1] // key.shape[1]
    groups = [F.scaled_dot_product_attention(part, key, value) for part in query.chunk(times, dim=1)]
    return torch.cat(groups, dim=1)


def head_by_head(query, key, value, allowed):
    if query.shape[1] % key.shape[1]:
        raise ValueError
    times = query.shape[1] // key.shape[1]
    allowed = allowed.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    heads = [
        F.scaled_dot_product_attention(query[:, h], key[:, h // times], value[:, h // times], attn_mask=allowed[:, h])
        for h in range(query.shape[1])
    ]
    return torch.stack(heads, dim=1)


def drops_the_rest(query, key, value, allowed):
    """Heads that have no key head of their own are left out."""
    times = max(query.shape[1] // key.shape[1], 1)
    key, value = (heads.repeat_interleave(times, dim=1)[:, : query.shape[1]] for heads in (key, value))
    query = query[:, : key.shape[1]]
    return F.scaled_dot_product_attention(query, key, value, attn_mask=allowed[:, : key.shape[1]])


def type_error(query, key, value, allowed):
    if query.shape[1] % key.shape[1]:
        raise TypeError("heads")
    return grouped(lambda heads, times: heads.repeat_interleave(times, dim=1))(query, key, value, allowed)


def wrong_way_of_the_error(query, key, value, allowed):
    if key.shape[1] % query.shape[1]:
        raise ValueError("heads")
    return grouped(lambda heads, times: heads.repeat_interleave(times, dim=1), False)(query, key, value, allowed)


MISTAKES: dict = {
    "sdpa_reference": [
        ("bool inverted", reference(mask=mha_sign)),
        ("bottom-right", reference(causal=lambda ones, length, source: filled(~ones.tril(source - length)))),
        (
            "bottom-right",
            reference(causal=lambda ones, length, source: filled(ones.triu(source - length + 1))),
        ),
        ("another triangle", reference(causal=lambda ones, length, source: filled(ones.tril()))),
        ("another triangle", reference(causal=lambda ones, length, source: filled(~ones.triu()))),
        ("another triangle", reference(causal=lambda ones, length, source: filled(ones.triu()))),
        ("another triangle", reference(causal=lambda ones, length, source: filled(~ones.tril(1)))),
        (None, reference(causal=lambda ones, length, source: ones.tril().float())),
        ("is_causal ignored", reference(causal=lambda ones, length, source: ones * 0)),
        ("bool added as 1", reference(mask=torch.add)),
        ("float mask as bool", reference(mask=lambda scores, mask: scores.masked_fill(mask == 0, -INF))),
        ("float mask as bool", reference(mask=lambda scores, mask: torch.where(mask.bool(), scores, -INF))),
        (None, reference(mask=lambda scores, mask: scores * mask)),
        ("mask ignored", reference(mask=lambda scores, mask: scores)),
        ("both at once without an error", reference(both=None)),
        (None, reference(both=RuntimeError)),
        (None, reference(both=TypeError)),
        ("scale misused", reference(scale=lambda query, key, given: given or 1 / math.sqrt(query.size(-1)))),
        ("another default scale", reference(scale=lambda query, key, given: 1.0 if given is None else given)),
        (
            None,
            reference(scale=lambda query, key, given: 1 / math.sqrt(key.size(-2)) if given is None else given),
        ),
        (None, reference(scale=lambda query, key, given: query.size(-1) ** 0.5 if given is None else given)),
        (None, reference(end=lambda weights, value: (weights @ value, weights))),
        (None, reference(end=lambda weights, value: weights)),
        (None, reference(end=lambda weights, value: (weights @ value).transpose(1, 2))),
        (None, reference(end=lambda weights, value: (weights @ value).float())),
        (None, reference(end=lambda weights, value: F.dropout(weights, 0.5) @ value)),
        (None, reference(end=lambda weights, value: (weights @ value).detach())),
        (None, only_where_needed),
        (None, changes_the_query),
        (None, row_by_row),
        ("both at once without an error", lambda *inputs, **named: F.scaled_dot_product_attention(*inputs, **named)),
        ("calls SDPA", calls_sdpa),
    ],
    "safe_sdpa": [
        ("NaN rows", safe(infinite)),
        ("NaN rows", safe(infinite_where)),
        ("NaN rows", safe(infinite, end=lambda output, allowed: output * allowed.any(-1, keepdim=True))),
        ("NaN gradients", safe(infinite_where, end=lambda output, allowed: output.nan_to_num())),
        ("NaN gradients", safe(infinite, end=clean_in_place)),
        ("NaN gradients", safe(infinite, end=lambda output, allowed: torch.where(output != output, 0.0, output))),
        (
            "NaN gradients",
            safe(infinite, end=lambda output, allowed: output.masked_fill(~allowed.any(-1, keepdim=True), 0)),
        ),
        (
            "NaN gradients",
            safe(
                lambda scores, allowed: scores + allowed.to(scores.dtype).log(),
                lambda shares, allowed: torch.where(allowed, shares, 0.0),
            ),
        ),
        ("uniform rows", safe(finite)),
        (
            "uniform rows",
            safe(lambda scores, allowed: scores.masked_fill(~allowed, -1e30).clamp(min=lowest(scores.dtype))),
        ),
        (
            "unmasked rows",
            safe(lambda scores, allowed: infinite(scores, allowed | (allowed.sum(-1, keepdim=True) == 0))),
        ),
        ("calls SDPA", by_multihead),
        (
            "calls SDPA",
            lambda q, k, v, allowed: F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, is_causal=False),
        ),
        (
            "zeroed after the softmax",
            safe(lambda scores, allowed: scores, lambda shares, allowed: torch.where(allowed, shares, 0.0)),
        ),
        (None, safe(lambda scores, allowed: scores * allowed)),
        (None, safe(finite, end=first_key_decides)),
        (None, safe(finite, weights=lambda shares, allowed: shares * allowed.any(-2, keepdim=True))),
        (None, never_sees_nothing),
        (None, opens_in_place),
        (
            None,
            lambda q, k, v, allowed: torch.stack(
                [
                    safe(finite, torch.mul)(
                        q[:, h : h + 1],
                        k[:, h : h + 1],
                        v[:, h : h + 1],
                        allowed[:, h : h + 1] if allowed.dim() == 4 and allowed.shape[1] > 1 else allowed,
                    )[:, 0]
                    for h in range(q.shape[1])
                ],
                1,
            ),
        ),
        (None, safe(finite, torch.mul, lambda output, allowed: output.float())),
        (None, safe(lambda scores, allowed: infinite(scores, allowed.mT))),
    ],
    "mha_to_sdpa_mask": [
        (
            "not inverted",
            to_sdpa(
                lambda mask: mask[:, None, None], lambda mask: mask, lambda padding, rule: padding[:, None, None] | rule
            ),
        ),
        ("or after inverting", to_sdpa(both=both_must_hide)),
        ("padding on too few axes", to_sdpa(lambda mask: ~mask[:, None], both=three_axes)),
        ("query rows masked", to_sdpa(lambda mask: ~mask[:, None, :, None], both=asks_the_rows)),
        (None, to_sdpa(both=xor_for_and)),
        (None, to_sdpa(padding=lambda mask: mask[:, None, None])),
        (None, to_sdpa(rule=lambda mask: mask)),
        (
            "additive or 0/1 instead of bool",
            lambda padding, rule: None if padding is None and rule is None else to_sdpa()(padding, rule).float(),
        ),
        (
            "additive or 0/1 instead of bool",
            lambda padding, rule: (
                None if padding is None and rule is None else torch.where(to_sdpa()(padding, rule), 0.0, -INF)
            ),
        ),
        ("one of two masks dropped", to_sdpa(both=lambda padding, rule: ~padding[:, None, None, :])),
        ("one of two masks dropped", to_sdpa(both=lambda padding, rule: ~rule)),
        (
            None,
            to_sdpa(both=lambda padding, rule: ~(padding[:1, None, None, :] | rule).expand(len(padding), -1, -1, -1)),
        ),
        ("no mask for None", lambda padding, rule: ~(padding[:, None, None, :] | rule)),
        (
            None,
            lambda padding, rule: (
                to_sdpa()(padding, rule) if padding is not None or rule is not None else torch.tensor(True)
            ),
        ),
        ("an axis too many, or expanded", to_sdpa(rule=lambda mask: ~mask[None, None])),
        ("an axis too many, or expanded", to_sdpa(rule=lambda mask: ~mask.unsqueeze(0))),
        (None, to_sdpa(padding=lambda mask: ~mask)),
        (None, to_sdpa(padding=lambda mask: (1 - mask.long())[:, None, None] == 0)),
        (
            None,
            lambda padding, rule: (
                torch.stack([to_sdpa()(row[None], rule)[0] for row in padding])
                if padding is not None
                else to_sdpa()(padding, rule)
            ),
        ),
    ],
    "cached_causal_attention": [
        ("`is_causal=True` with a cache", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)),
        ("`is_causal=True` with a cache", cached(lambda length, source: torch.ones(length, source).bool().tril())),
        ("`is_causal=True` with a cache", the_first_outputs),
        ("only the single query cured", half_of_the_cure),
        ("only the single query cured", hugging_face),
        ("a chunk sees its own future", lambda q, k, v: F.scaled_dot_product_attention(q, k, v)),
        (
            "a chunk sees its own future",
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=q.shape == k.shape),
        ),
        (
            "one key too many",
            cached(lambda length, source: torch.ones(length, source).tril(source - length + 1).bool()),
        ),
        ("itself left out", cached(lambda length, source: torch.ones(length, source).tril(source - length - 1).bool())),
        ("the cache dropped", newest_keys_first),
        ("the wrong way round", cached(lambda length, source: torch.ones(length, source).tril(length - source).bool())),
        ("inverted", cached(lambda length, source: torch.ones(length, source).triu(source - length + 1).bool())),
        ("upper triangle", cached(lambda length, source: torch.ones(length, source).triu(source - length).bool())),
        (
            "another scale",
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, lower_right(q.shape[2], k.shape[2]), scale=1.0),
        ),
        (
            "another scale",
            lambda q, k, v: (q @ k.mT).masked_fill(~lower_right(q.shape[2], k.shape[2]), -INF).softmax(-1) @ v,
        ),
        (None, the_cache_only),
        (None, word_by_word),
        (None, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, lower_right(k.shape[2], k.shape[2]))),
        (
            None,
            lambda q, k, v: F.scaled_dot_product_attention(q, k, v, lower_right(q.shape[2], k.shape[2]), dropout_p=0.3),
        ),
        (None, lambda q, k, v: F.scaled_dot_product_attention(q, k, v, lower_right(q.shape[2], k.shape[2])).mT),
    ],
    "choose_sdpa_arguments": [
        (
            "`is_causal` with a cache",
            lambda mask, new, keys: (None, True) if mask is None or mask.all() else choose()(mask, new, keys),
        ),
        (
            "`is_causal` with a cache",
            lambda mask, new, keys: (None, new > 1) if mask is None or mask.all() else choose()(mask, new, keys),
        ),
        ("mask dropped under padding", choose(padded=lambda mask: False)),
        ("mask dropped under padding", lambda mask, new, keys: (None, new == keys)),
        (
            "mask dropped under padding",
            lambda mask, new, keys: (None, False) if new == 1 else choose()(mask, new, keys),
        ),
        ("mask always built", lambda mask, new, keys: (right_mask(mask, new, keys), False)),
        ("mask always built", choose(single=None)),
        ("mask always built", choose(square=None)),
        ("mask always built", choose(padded=lambda mask: mask is not None)),
        ("nothing is causal", choose(square=False)),
        (
            "a chunk without a mask",
            lambda mask, new, keys: (None, new == keys) if mask is None or mask.all() else choose()(mask, new, keys),
        ),
        (
            "padding without the triangle",
            choose(
                build=lambda mask, new, keys: (
                    lower_right(new, keys) if mask is None or mask.all() else mask[:, None, None, :].bool()
                )
            ),
        ),
        ("both at once", lambda mask, new, keys: (choose()(mask, new, keys)[0], new == keys)),
        (
            "triangle at the top left",
            choose(
                build=lambda mask, new, keys: (
                    torch.ones(new, keys).tril().bool()
                    if mask is None
                    else torch.ones(new, keys).tril().bool() & mask.bool()[:, None, None]
                )
            ),
        ),
        ("inverted", choose(build=lambda mask, new, keys: ~right_mask(mask, new, keys))),
        (
            "padding on too few axes",
            choose(
                build=lambda mask, new, keys: (
                    lower_right(new, keys) if mask is None else lower_right(new, keys) & mask[:, None].bool()
                )
            ),
        ),
        ("0 and 1 as a mask", choose(build=lambda mask, new, keys: right_mask(mask, new, keys).float())),
        ("0 and 1 as a mask", choose(build=lambda mask, new, keys: right_mask(mask, new, keys).long())),
        ("judged by one sentence", choose(padded=lambda mask: mask is not None and 0 in mask[0])),
        ("None not handled", choose(padded=lambda mask: (mask == 0).any())),
        ("None not handled", choose(padded=lambda mask: not mask.all())),
        ("swapped", lambda mask, new, keys: tuple(reversed(choose()(mask, new, keys)))),
        (None, choose(build=hides_the_rows_of_padding)),
        (None, choose(build=weak_mask)),
        (None, choose(build=half_mask)),
        (None, choose(build=for_four_heads)),
        (None, choose(build=window)),
        (None, only_a_mask),
        (None, as_a_list),
        (None, as_keywords),
        (None, causal_as_a_number),
        (None, causal_as_a_tensor),
        (None, causal_none),
        (None, false_for_none),
        (None, lambda mask, new, keys: (*choose()(mask, new, keys), 0.0)),
        (None, lambda mask, new, keys: None),
    ],
    "combine_additive": [
        ("plain sum", torch.add),
        ("plain sum", lambda first, second: torch.stack(torch.broadcast_tensors(first, second)).sum(0)),
        ("minimum of the two", lambda first, second: torch.where(first <= second, first, second)),
        ("minimum of the two", lambda first, second: torch.minimum(first, second).clamp(min=lowest(first.dtype))),
        ("held before the sum only", lambda first, second: first.nan_to_num() + second.nan_to_num()),
        ("maximum of the two", lambda first, second: torch.where(first > second, first, second)),
        ("mean or product", lambda first, second: 0.5 * first + 0.5 * second),
        ("a fixed floor", lambda first, second: torch.maximum(first + second, torch.tensor(-1e9))),
        ("a fixed floor", lambda first, second: torch.clamp(first + second, -1e9)),
        ("a fixed floor", lambda first, second: (first + second).clamp_min(lowest(torch.float32))),
        ("another dtype", lambda first, second: (first.float() + second.float()).clamp(min=lowest(torch.float32))),
        ("positive biases lost", lambda first, second: (first + second).clamp(lowest(first.dtype), 0.0)),
        (
            "biases lost",
            lambda first, second: torch.where(
                (first <= lowest(first.dtype) / 2) | (second <= lowest(first.dtype) / 2),
                lowest(first.dtype),
                torch.zeros((), dtype=first.dtype),
            ),
        ),
        (None, lambda first, second: torch.logaddexp(first, second)),
        (None, lambda first, second: first.nan_to_num(0.0) + second),
        (None, lambda first, second: (first + second).clamp(max=lowest(first.dtype))),
        (None, lambda first, second: torch.where((first + second).isinf(), 0.0, first + second)),
        (None, lambda first, second: (first - second).clamp(min=lowest(first.dtype))),
        (None, lambda first, second: (first + second).clamp(min=lowest(first.dtype) / 2)),
        (None, cell_by_cell),
        (None, only_equal_shapes),
        (None, always_four_axes),
        (None, lambda first, second: first.clamp(min=lowest(first.dtype))),
    ],
    "grouped_query_attention": [
        ("repeat for repeat_interleave", grouped(lambda heads, times: heads.repeat(1, times, 1, 1))),
        ("repeat for repeat_interleave", grouped(lambda heads, times: torch.cat([heads] * times, dim=1))),
        ("repeat for repeat_interleave", grouped(halves)),
        ("no ValueError", grouped(lambda heads, times: heads.repeat_interleave(times, dim=1), check=False)),
        ("no ValueError", lambda q, k, v, allowed: F.scaled_dot_product_attention(q, k, v, allowed, enable_gqa=True)),
        (
            "no ValueError",
            lambda q, k, v, allowed: F.scaled_dot_product_attention(q, k, v, attn_mask=allowed, enable_gqa=True),
        ),
        (
            "the first key head for all",
            grouped(lambda heads, times: heads[:, :1].repeat(1, times * heads.shape[1], 1, 1)),
        ),
        (
            "inverted",
            lambda q, k, v, allowed: grouped(lambda heads, times: heads.repeat_interleave(times, 1))(
                q, k, v, allowed.logical_not()
            ),
        ),
        (None, along_the_batch),
        (None, grouped(along_the_keys)),
        (None, head_by_head),
        (None, drops_the_rest),
        (None, type_error),
        (None, wrong_way_of_the_error),
        (None, grouped(lambda heads, times: heads)),
        (None, grouped(lambda heads, times: heads.repeat_interleave(times, dim=0))),
        (
            None,
            lambda q, k, v, allowed: grouped(lambda heads, times: heads.repeat_interleave(times, 1))(
                q, k, v, allowed
            ).transpose(1, 2),
        ),
    ],
}
