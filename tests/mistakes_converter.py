"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import math

import torch


def lowest(dtype):
    return torch.finfo(dtype).min


def refuse(sliding_window):
    if sliding_window is not None and sliding_window <= 0:
        raise ValueError(f"sliding_window={sliding_window}")


# --- make_causal_mask


def as_transformers(
    past=lambda past: past,
    past_value=lambda dtype: 0.0,
    past_first=True,
    diagonal=lambda past, window: past - window - 1,
    triangle=lambda size, device: torch.ones(size, size, dtype=torch.bool, device=device).tril(),
    hidden=lowest,
    made_as=lambda dtype: dtype,
    windowed=True,
    checked=refuse,
    on=lambda device: device,
    shape=lambda mask, batch: mask[None, None].expand(batch, 1, -1, -1),
):
    """How most people write it after reading Transformers, with what goes wrong as arguments."""

    def answer(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
        checked(sliding_window)
        batch, size = input_ids_shape
        mask = torch.full((size, size), hidden(dtype), device=on(device)).masked_fill(triangle(size, on(device)), 0)
        mask = mask.to(made_as(dtype))
        columns = past(past_key_values_length)
        if columns > 0:
            before = torch.full((size, columns), past_value(dtype), device=on(device)).to(mask.dtype)
            mask = torch.cat([before, mask] if past_first else [mask, before], dim=-1)
        if sliding_window is not None and windowed:
            too_old = torch.ones_like(mask, dtype=torch.bool).tril(diagonal(past_key_values_length, sliding_window))
            mask = mask.masked_fill(too_old, hidden(dtype))
        return shape(mask, batch)

    return answer


def whole_triangle(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    """Rows for the past's keys, too."""
    size = input_ids_shape[1] + past_key_values_length
    return as_transformers()((input_ids_shape[0], size), dtype, 0, sliding_window, device)


def sizes_swapped(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    return as_transformers()(input_ids_shape[::-1], dtype, past_key_values_length, sliding_window, device)


def window_by_triu(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    refuse(sliding_window)
    batch, query = input_ids_shape
    allowed = torch.ones(query, query + past_key_values_length, dtype=torch.bool, device=device)
    allowed = allowed.tril(past_key_values_length)
    if sliding_window is not None:
        allowed = allowed.triu(past_key_values_length - sliding_window + 1)
    mask = torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill(~allowed, lowest(dtype))
    return mask.expand(batch, 1, -1, -1)


def window_for_the_past_only(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    mask = as_transformers()(input_ids_shape, dtype, past_key_values_length, None, device).clone()
    refuse(sliding_window)
    if sliding_window is not None:
        mask[..., : max(past_key_values_length - sliding_window, 0)] = lowest(dtype)
    return mask


def window_of_the_new_words(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    refuse(sliding_window)
    window = None if sliding_window is None else min(sliding_window, input_ids_shape[1])
    return as_transformers()(input_ids_shape, dtype, past_key_values_length, window or None, device)


def query_by_query(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    refuse(sliding_window)
    batch, query = input_ids_shape
    mask = torch.full((batch, 1, query, past_key_values_length + query), lowest(dtype), dtype=dtype, device=device)
    for q in range(query):
        last = past_key_values_length + q
        first = 0 if sliding_window is None else max(0, last - sliding_window)
        mask[:, :, q, first : last + 1] = 0
    return mask


def only_0_is_refused(sliding_window):
    if sliding_window == 0:
        raise ValueError


def refused_by_assertion(sliding_window):
    assert sliding_window is None or sliding_window > 0


def refused_as_type_error(sliding_window):
    if sliding_window is not None and sliding_window < 1:
        raise TypeError("sliding_window")


def half_of_the_minimum(dtype):
    return lowest(dtype) / 2


# --- expand_mask


def expanding(
    axes=lambda mask: mask[:, None, None, :],
    turned=lambda wide: 1.0 - wide,
    hidden=lowest,
    dtype_of=lambda dtype: dtype,
    length=lambda target, mask: mask.shape[1] if target is None else target,
):
    """How Transformers writes it, with what goes wrong as arguments."""

    def answer(attention_mask, dtype, target_length=None):
        wide = axes(attention_mask)
        wide = wide.expand(-1, 1, length(target_length, attention_mask), -1).to(dtype_of(dtype))
        wide = turned(wide)
        return wide.masked_fill(wide.bool(), hidden(dtype))

    return answer


def multiplied(number):
    return lambda attention_mask, dtype, target_length=None: (
        expanding(hidden=lambda dtype: 1.0)(attention_mask, dtype, target_length) * number(dtype)
    )


def one_sentence(attention_mask, dtype, target_length=None):
    return expanding()(attention_mask, dtype, target_length)[:1]


def sentence_by_sentence(attention_mask, dtype, target_length=None):
    return torch.cat([expanding()(row[None], dtype, target_length) for row in attention_mask])


def row_of_padding(attention_mask, dtype, target_length=None):
    queries = attention_mask.shape[1] if target_length is None else target_length
    hidden = (attention_mask == 0)[:, None, :, None]
    return torch.zeros(len(attention_mask), 1, queries, attention_mask.shape[1], dtype=dtype).masked_fill(
        hidden, lowest(dtype)
    )


def bitwise_not(attention_mask, dtype, target_length=None):
    return expanding(turned=lambda wide: (~wide.long()).to(wide.dtype))(attention_mask, dtype, target_length)


# --- to_causal_4d, create_4d_causal_attention_mask


def causal(needless=lambda query, window: query == 1 and window is None, past=None, early=False, keys=None, **wrong):
    """`to_causal_4d`; ``early`` decides on `None` before the window is checked."""

    def answer(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
        if not early:
            wrong.get("checked", refuse)(sliding_window)
        if needless(query_length, sliding_window):
            return None
        before = key_value_length - query_length if past is None else past(query_length, key_value_length)
        return as_transformers(**wrong)((batch_size, query_length), dtype, before, sliding_window, device)

    return answer


def created(keys=lambda query, past: query + past, **wrong):
    def answer(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
        batch, query = input_shape
        return causal(**wrong)(batch, query, keys(query, past_key_values_length), dtype, sliding_window, device)

    return answer


def empty_for_none(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    mask = causal()(batch_size, query_length, key_value_length, dtype, sliding_window, device)
    return torch.empty(0, dtype=dtype) if mask is None else mask


def false_for_none(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    return causal()(batch_size, query_length, key_value_length, dtype, sliding_window, device) or False


def created_with_window_as_past(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    """Passed on by position, in the wrong order."""
    batch, query = input_shape
    key = query + past_key_values_length
    return causal()(batch, key, query, dtype, sliding_window, device)


def created_without_device(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    return created()(input_shape, dtype, past_key_values_length, sliding_window)


def created_without_window(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    refuse(sliding_window)
    return created()(input_shape, dtype, past_key_values_length, device=device)


def created_without_past(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    return created()(input_shape, dtype, sliding_window=sliding_window, device=device)


def created_with_swapped_shape(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    return created()(input_shape[::-1], dtype, past_key_values_length, sliding_window, device)


# --- to_4d


def converted(
    join=lambda causal, padding, dtype: causal.masked_fill(padding.bool(), lowest(dtype)),
    expand=None,
    asks_for_keys=True,
    without_triangle=NotImplementedError,
    one_way=lambda is_causal: is_causal,
    needless=lambda query, window: query == 1 and window is None,
    **wrong,
):
    """How Transformers writes it, with what goes wrong as arguments."""

    def answer(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
        wrong.get("checked", refuse)(sliding_window)
        mask = None
        if one_way(is_causal) and not needless(query_length, sliding_window):
            if key_value_length is None:
                if asks_for_keys:
                    raise ValueError("key_value_length")
                key_value_length = attention_mask.shape[1]
            past = key_value_length - query_length
            shape = (len(attention_mask), query_length)
            mask = as_transformers(**wrong)(shape, dtype, past, sliding_window, attention_mask.device)
        elif sliding_window is not None and without_triangle is not None:
            raise without_triangle("sliding_window")
        padding = (expand or expanding())(attention_mask, dtype, query_length)
        return padding if mask is None else join(mask, padding, dtype)

    return answer


def added_then_filled(mask, padding, dtype):
    total = mask + padding
    return total.masked_fill(total.bool(), lowest(dtype))  # right: −∞ is overwritten


def minimum_of_both(mask, padding, dtype):
    return torch.maximum(mask, padding)  # only where both hide


def keys_raise_type_error(
    attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None
):
    past = key_value_length - query_length if is_causal else 0  # None minus a number
    key = past + query_length if is_causal else None
    return converted()(attention_mask, query_length, dtype, key, is_causal, sliding_window)


def first_rows_of_the_whole(
    attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None
):
    whole = converted()(attention_mask, attention_mask.shape[1], dtype, key_value_length, is_causal, sliding_window)
    return whole[:, :, :query_length]


def one_query_forgets_the_window(
    attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None
):
    right = converted()(attention_mask, query_length, dtype, key_value_length, is_causal, sliding_window)
    return expanding()(attention_mask, dtype, 1) if query_length == 1 and is_causal else right


def unmasked(mask, padding, dtype):
    filled = mask.masked_fill(padding.bool(), lowest(dtype))
    return filled.masked_fill((filled == lowest(dtype)).all(-1, keepdim=True), 0)


def padding_rows_too(mask, padding, dtype):
    filled = mask.masked_fill(padding.bool(), lowest(dtype))
    if padding.shape[2] == padding.shape[3]:
        filled = filled.masked_fill(padding.mT.bool(), lowest(dtype))
    return filled


def keys_by_truth(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    if is_causal and not key_value_length:  # 0 is a length
        raise ValueError("key_value_length")
    return converted()(attention_mask, query_length, dtype, key_value_length, is_causal, sliding_window)


def window_refused_for_several(
    attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None
):
    window = None if query_length == 1 and not is_causal else sliding_window
    return converted()(attention_mask, query_length, dtype, key_value_length, is_causal, window)


# --- unmask_unattended


def opening(question, value=0.0):
    return lambda expanded_mask, min_dtype: expanded_mask.masked_fill(question(expanded_mask, min_dtype), value)


def nan_to_num(expanded_mask, min_dtype):
    opened = expanded_mask * ~(expanded_mask <= min_dtype).all(-1, keepdim=True)
    return torch.nan_to_num(opened)  # opens rows of −∞, but makes a finite number of every other −∞, too


def first_sentence_only(expanded_mask, min_dtype):
    return expanded_mask.masked_fill((expanded_mask[:1] <= min_dtype).all(-1, keepdim=True), 0.0)


def first_key_opened(expanded_mask, min_dtype):
    opened = expanded_mask.clone()
    opened[..., :1].masked_fill_((expanded_mask <= min_dtype).all(-1, keepdim=True), 0.0)
    return opened


def in_place(expanded_mask, min_dtype):
    expanded_mask *= ~(expanded_mask <= min_dtype).all(-1, keepdim=True)
    return expanded_mask.masked_fill_(expanded_mask.isnan(), 0.0)


def in_place_by_index(expanded_mask, min_dtype):
    expanded_mask[(expanded_mask <= min_dtype).all(-1)] = 0.0
    return expanded_mask


def one_written_by_index(expanded_mask, min_dtype):
    opened = expanded_mask.clone()
    opened[(expanded_mask <= min_dtype).all(-1)] = 1
    return opened


def row_by_row(expanded_mask, min_dtype):
    opened = expanded_mask.clone()
    for sentence in opened:
        for head in sentence:
            for row in head:
                if bool((row <= min_dtype).all()):
                    row.zero_()
    return opened


def in_float32(expanded_mask, min_dtype):
    return opening(lambda mask, number: (mask <= number).all(-1, keepdim=True))(expanded_mask.float(), min_dtype)


# --- ignore_causal_mask_sdpa


def asked(*questions, kind=bool):
    """All questions have to be answered with yes."""
    return lambda attention_mask, query_length, key_value_length, sliding_window=None: kind(
        all(question(attention_mask, query_length, key_value_length, sliding_window) for question in questions)
    )


def unpadded(mask, query, key, window):
    return mask is None or (mask.dim() != 4 and bool(mask.all()))


def aligned(mask, query, key, window):
    return query == 1 or query == key


def wide(mask, query, key, window):
    return window is None or key < window


def fewer_or_as_many(mask, query, key, window):
    return query <= key


def last_token_real(mask, query, key, window):
    return mask is None or (mask.dim() != 4 and bool(mask[:, -1].all()))


def first_sentence_real(mask, query, key, window):
    return mask is None or (mask.dim() != 4 and bool(mask[0].all()))


def padding_on_the_right_forgiven(mask, query, key, window):
    return mask is None or (mask.dim() != 4 and bool(mask[:, 0].all()))


def all_per_sentence(mask, query, key, window):
    return mask is None or (mask.dim() != 4 and bool(mask.bool().all(1).any()))


def as_an_integer(attention_mask, query_length, key_value_length, sliding_window=None):
    return int(asked(unpadded, aligned, wide)(attention_mask, query_length, key_value_length, sliding_window))


def as_a_tensor(attention_mask, query_length, key_value_length, sliding_window=None):
    return torch.tensor(asked(unpadded, aligned, wide)(attention_mask, query_length, key_value_length, sliding_window))


def or_none(attention_mask, query_length, key_value_length, sliding_window=None):
    """Falls off the end where the answer is no."""
    if asked(unpadded, aligned, wide)(attention_mask, query_length, key_value_length, sliding_window):
        return True
    return None


def none_is_always_true(attention_mask, query_length, key_value_length, sliding_window=None):
    if attention_mask is None:
        return True
    return asked(unpadded, aligned, wide)(attention_mask, query_length, key_value_length, sliding_window)


# --- prepare_4d_causal_attention_mask


def prepared(four=None, two=None, nothing=None, checked=lambda found, wanted: tuple(found) == wanted):
    """How most people write it, with what goes wrong as arguments."""

    def answer(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
        refuse(sliding_window)
        batch, query = input_shape
        key = past_key_values_length + query
        if attention_mask is None:
            return (nothing or created())(input_shape, dtype, past_key_values_length, sliding_window)
        if attention_mask.dim() == 2:
            return (two or converted())(attention_mask, query, dtype, key, True, sliding_window)
        if not checked(attention_mask.shape, (batch, 1, query, key)):
            raise ValueError("shape")
        if four is None:
            return torch.zeros(attention_mask.shape, dtype=dtype).masked_fill(attention_mask == 0, lowest(dtype))
        return four(attention_mask, dtype)

    return answer


def right_four(mask, dtype):
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(mask == 0, lowest(dtype))


def four_as_transformers(mask, dtype):
    inverted = 1.0 - mask
    return inverted.masked_fill(inverted.to(torch.bool), lowest(dtype))


def four_with_triangle(mask, dtype):
    future = torch.ones(mask.shape[-2:], dtype=torch.bool).triu(1 + mask.shape[-1] - mask.shape[-2])
    return right_four(mask, dtype).masked_fill(future, lowest(dtype))


def four_summed_with_triangle(mask, dtype):
    future = torch.ones(mask.shape[-2:], dtype=torch.bool).triu(1 + mask.shape[-1] - mask.shape[-2])
    return right_four(mask, dtype) + torch.zeros(mask.shape, dtype=dtype).masked_fill(future, lowest(dtype))


def four_unmasked(mask, dtype):
    made = right_four(mask, dtype)
    return made.masked_fill((made == lowest(dtype)).all(-1, keepdim=True), 0)


def shape_by_assertion(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    if attention_mask is not None and attention_mask.dim() == 4:
        assert tuple(attention_mask.shape) == (
            input_shape[0],
            1,
            input_shape[1],
            past_key_values_length + input_shape[1],
        )
    return prepared()(attention_mask, input_shape, dtype, past_key_values_length, sliding_window)


def nothing_as_ones(input_shape, dtype, past_key_values_length=0, sliding_window=None):
    """The mask that is not there taken for one without padding, of the new words only."""
    batch, query = input_shape
    ones = torch.ones(batch, query, dtype=torch.long)
    return converted()(ones, query, dtype, query, True, sliding_window)


def without_past(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    return converted()(attention_mask, query_length, dtype, query_length, is_causal, sliding_window)


def without_window(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    return converted()(attention_mask, query_length, dtype, key_value_length, is_causal)


def both_ways(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    return converted()(attention_mask, query_length, dtype, key_value_length, False)


# --- extend_attention_mask


def joined(new, front=False, dim=1):
    def answer(attention_mask, new_tokens):
        more = new(attention_mask, new_tokens)
        return torch.cat([more, attention_mask] if front else [attention_mask, more], dim=dim)

    return answer


def rolled(attention_mask, new_tokens):
    """Of the old width: the oldest keys fall out."""
    width = attention_mask.shape[1]
    extended = torch.cat([attention_mask, attention_mask.new_ones(len(attention_mask), new_tokens)], 1)
    return extended[:, extended.shape[1] - width :]


def token_by_token(attention_mask, new_tokens):
    for _ in range(new_tokens):
        attention_mask = torch.cat([attention_mask, attention_mask.new_ones(len(attention_mask), 1)], 1)
    return attention_mask


def first_sentence(attention_mask, new_tokens):
    return torch.cat([attention_mask[:1], attention_mask.new_ones(1, new_tokens)], 1)


def on_the_cpu(attention_mask, new_tokens):
    return torch.cat([attention_mask.cpu(), torch.ones(len(attention_mask), new_tokens, dtype=torch.long)], 1)


NONE_FOR_ALL = {"needless": lambda query, window: window is None}

MISTAKES = {
    "make_causal_mask": [
        ("past not prepended", as_transformers(past=lambda past: 0, diagonal=lambda past, window: -window - 1)),
        ("window without the past", as_transformers(diagonal=lambda past, window: -window - 1)),
        ("window one off", as_transformers(diagonal=lambda past, window: past - window)),
        ("window one off", as_transformers(diagonal=lambda past, window: past - window - 2)),
        ("window one off", window_by_triu),
        ("window forgotten", as_transformers(windowed=False)),
        ("past hidden", as_transformers(past_value=lowest)),
        (
            "not causal",
            as_transformers(triangle=lambda size, device: torch.ones(size, size, device=device).triu().bool()),
        ),
        (
            "own key excluded",
            as_transformers(triangle=lambda size, device: torch.ones(size, size, device=device).tril(-1).bool()),
        ),
        ("another number than the minimum", as_transformers(hidden=lambda dtype: -math.inf)),
        ("another number than the minimum", as_transformers(hidden=lambda dtype: -1e9)),
        ("dtype ignored", as_transformers(made_as=lambda dtype: torch.float32)),
        ("left to broadcasting", as_transformers(shape=lambda mask, batch: mask)),
        ("left to broadcasting", as_transformers(shape=lambda mask, batch: mask[None, None])),
        ("left to broadcasting", as_transformers(shape=lambda mask, batch: mask.expand(batch, -1, -1))),
        ("a window below 1 not refused", as_transformers(checked=lambda window: None)),
        ("device forgotten", as_transformers(on=lambda device: None)),
        (None, as_transformers(past_first=False)),
        ("window forgotten", as_transformers(checked=only_0_is_refused, windowed=False)),
        ("a window below 1 not refused", as_transformers(checked=only_0_is_refused)),
        (None, as_transformers(checked=refused_by_assertion)),
        (None, as_transformers(checked=refused_as_type_error)),
        (None, as_transformers(hidden=half_of_the_minimum)),
        ("not causal", as_transformers(hidden=lambda dtype: torch.finfo(dtype).tiny)),
        (None, as_transformers(shape=lambda mask, batch: mask[None].expand(1, batch, -1, -1))),
        (None, whole_triangle),
        (None, sizes_swapped),
        (None, window_for_the_past_only),
        (None, window_of_the_new_words),
        (None, query_by_query),
    ],
    "expand_mask": [
        ("not inverted", expanding(turned=lambda wide: wide)),
        ("0 and 1 instead of what is added", expanding(hidden=lambda dtype: 1.0)),
        (
            "0 and 1 instead of what is added",
            lambda mask, dtype, target=None: 1.0 - expanding(hidden=lambda dtype: 1.0)(mask, dtype, target),
        ),
        ("target_length ignored", expanding(length=lambda target, mask: mask.shape[1])),
        ("0 queries taken for None", expanding(length=lambda target, mask: target or mask.shape[1])),
        ("left to broadcasting", expanding(length=lambda target, mask: 1)),
        ("another number than the minimum", expanding(hidden=lambda dtype: -math.inf)),
        ("another number than the minimum", expanding(hidden=lambda dtype: -1e9)),
        ("another number than the minimum", multiplied(lambda dtype: -math.inf)),
        ("dtype ignored", expanding(dtype_of=lambda dtype: torch.float32)),
        ("rows for columns", lambda mask, dtype, target=None: expanding()(mask, dtype, target).transpose(2, 3)),
        ("whole numbers for bools", bitwise_not),
        ("rows for columns", row_of_padding),
        (None, one_sentence),
        (None, sentence_by_sentence),
        (None, expanding(turned=lambda wide: torch.zeros_like(wide))),
        (None, expanding(hidden=half_of_the_minimum)),
    ],
    "to_causal_4d": [
        ("never None", causal(needless=lambda query, window: False)),
        ("None despite a window", causal(needless=lambda query, window: query == 1)),
        ("None despite a window", causal(needless=lambda query, window: query <= 1)),
        ("None for several queries", causal(**NONE_FOR_ALL)),
        ("past = key length", causal(past=lambda query, key: key)),
        ("past forgotten", causal(past=lambda query, key: 0, diagonal=lambda past, window: -window - 1)),
        ("window forgotten", causal(windowed=False)),
        ("window forgotten", causal(windowed=False, needless=lambda query, window: query == 1)),
        ("window one off", causal(diagonal=lambda past, window: past - window)),
        ("another number than the minimum", causal(hidden=lambda dtype: -math.inf)),
        ("dtype ignored", causal(made_as=lambda dtype: torch.float32)),
        ("left to broadcasting", causal(shape=lambda mask, batch: mask[None, None])),
        ("a window below 1 not refused", causal(checked=lambda window: None)),
        ("a window below 1 not refused", causal(early=True, needless=lambda query, window: query == 1 and not window)),
        ("device forgotten", causal(on=lambda device: None)),
        (None, empty_for_none),
        (None, false_for_none),
        (None, causal(needless=lambda query, window: query == 1 or window == 1)),
        (None, causal(past=lambda query, key: query - key)),
        (None, causal(needless=lambda query, window: query <= 2 and window is None)),
        (None, causal(checked=refused_as_type_error)),
    ],
    "to_4d": [
        ("sum to -inf", converted(join=lambda mask, padding, dtype: mask + padding)),
        (
            "sum to -inf",
            converted(join=lambda mask, padding, dtype: mask + padding, hidden=lambda dtype: lowest(dtype)),
        ),
        (
            "padding forgotten",
            converted(
                join=lambda mask, padding, dtype: mask,
                expand=lambda mask, dtype, query: torch.zeros(len(mask), 1, query, mask.shape[1], dtype=dtype),
            ),
        ),
        ("no causal part", converted(join=lambda mask, padding, dtype: padding)),
        ("causal when bidirectional", converted(one_way=lambda is_causal: True, needless=lambda query, window: False)),
        ("key_value_length not asked for", converted(asks_for_keys=False)),
        ("a window without a triangle", converted(without_triangle=None)),
        (None, converted(without_triangle=ValueError)),
        (None, converted(without_triangle=TypeError)),
        ("window forgotten", converted(windowed=False)),
        ("window one off", converted(diagonal=lambda past, window: past - window)),
        ("or for and", converted(join=minimum_of_both)),
        ("rows for columns", converted(join=padding_rows_too)),
        ("empty rows opened", converted(join=unmasked)),
        (
            "dtype ignored",
            converted(made_as=lambda dtype: torch.float32, expand=expanding(dtype_of=lambda dtype: torch.float32)),
        ),
        ("a window below 1 not refused", converted(checked=lambda window: None)),
        ("top-left alignment", first_rows_of_the_whole),
        ("padding inverted", converted(expand=expanding(turned=lambda wide: wide))),
        ("key_value_length not asked for", keys_raise_type_error),
        (None, keys_by_truth),
        (None, window_refused_for_several),
        (None, converted(diagonal=lambda past, window: past - min(window, 3) - 1)),
        (None, one_query_forgets_the_window),
        (None, converted(expand=expanding(length=lambda target, mask: 1))),
        (None, lambda *arguments, **keywords: converted()(*arguments, **keywords).expand(-1, 2, -1, -1)),
        (None, lambda *arguments, **keywords: converted()(*arguments, **keywords)[:, 0]),
        (None, converted(hidden=half_of_the_minimum)),
    ],
    "unmask_unattended": [
        (
            "all rows",
            lambda expanded_mask, min_dtype: (
                expanded_mask * 0 if bool(expanded_mask.isfinite().all()) else torch.zeros_like(expanded_mask)
            ),
        ),
        (
            "multiply leaves NaN",
            lambda expanded_mask, min_dtype: expanded_mask.mul((expanded_mask > min_dtype).any(-1, keepdim=True)),
        ),
        (
            "multiply leaves NaN",
            lambda expanded_mask, min_dtype: expanded_mask * (expanded_mask.amax(-1, keepdim=True) > min_dtype),
        ),
        (
            "rows of -inf left",
            lambda expanded_mask, min_dtype: expanded_mask.mul(
                ~torch.all(expanded_mask == min_dtype, dim=-1, keepdim=True)
            ),
        ),
        (
            "rows of -inf left",
            lambda expanded_mask, min_dtype: torch.where(
                (expanded_mask != min_dtype).any(-1, keepdim=True), expanded_mask, 0.0
            ),
        ),
        ("only rows of -inf", opening(lambda mask, number: mask.isinf().all(-1, keepdim=True))),
        ("column-wise", opening(lambda mask, number: (mask <= number).all(2, keepdim=True))),
        ("any for all", opening(lambda mask, number: (mask <= number).any(-1, keepdim=True))),
        (
            "any for all",
            opening(lambda mask, number: (mask.amin(-1, keepdim=True) <= number) if mask.numel() else mask.bool()),
        ),
        (
            "whole sentences only",
            opening(lambda mask, number: (mask <= number).all(3, keepdim=True).all(2, keepdim=True)),
        ),
        ("filled with 1", opening(lambda mask, number: (mask <= number).all(-1, keepdim=True), 1)),
        ("filled with 1", one_written_by_index),
        ("min_dtype ignored", opening(lambda mask, number: (mask <= lowest(mask.dtype)).all(-1, keepdim=True))),
        ("biases taken for hidden", opening(lambda mask, number: mask.bool().all(-1, keepdim=True))),
        ("changed in place", in_place),
        ("changed in place", in_place_by_index),
        (None, nan_to_num),
        (None, first_sentence_only),
        (None, first_key_opened),
        (None, row_by_row),
        (None, in_float32),
        (None, opening(lambda mask, number: (mask <= number).all(1, keepdim=True))),
        (None, lambda expanded_mask, min_dtype: expanded_mask),
    ],
    "ignore_causal_mask_sdpa": [
        ("ignores padding", asked(aligned, wide, lambda mask, query, key, window: mask is None or mask.dim() != 4)),
        ("ignores padding", asked(aligned, wide)),
        ("ignores past", asked(unpadded, wide)),
        ("ignores past", asked(unpadded, wide, fewer_or_as_many)),
        ("window ignored", asked(unpadded, aligned)),
        ("window boundary", asked(unpadded, aligned, lambda mask, query, key, window: window is None or key <= window)),
        ("any window needs a mask", asked(unpadded, aligned, lambda mask, query, key, window: window is None)),
        (
            "a mask with four axes looked into",
            asked(aligned, wide, lambda mask, *rest: mask is None or bool(mask.all())),
        ),
        ("one query forgotten", asked(unpadded, wide, lambda mask, query, key, window: query == key)),
        ("only one query", asked(unpadded, wide, lambda mask, query, key, window: query == 1)),
        ("no mask, no question", none_is_always_true),
        ("no mask, no question", asked(lambda mask, *rest: mask is not None, unpadded, aligned, wide)),
        ("None not handled", asked(lambda mask, *rest: mask.dim() != 4, unpadded, aligned, wide)),
        ("None not handled", asked(lambda mask, *rest: len(mask.shape) == 2, unpadded, aligned, wide)),
        ("None not handled", asked(lambda mask, *rest: (mask == 1).all(), unpadded, aligned, wide)),
        ("inverted", asked(unpadded, aligned, wide, kind=lambda answer: not answer)),
        (None, as_an_integer),
        (None, as_a_tensor),
        (None, or_none),
        (None, asked(last_token_real, aligned, wide)),
        (None, asked(first_sentence_real, aligned, wide)),
        (None, asked(padding_on_the_right_forgiven, aligned, wide)),
        ("ignores padding", asked(all_per_sentence, aligned, wide)),
        (None, lambda *arguments, **keywords: True),
        (None, lambda *arguments, **keywords: False),
    ],
    "create_4d_causal_attention_mask": [
        ("past forgotten", created_without_past),
        ("past forgotten", created(keys=lambda query, past: query)),
        ("window forgotten", created(windowed=False, needless=lambda query, window: query == 1)),
        ("window forgotten", created(windowed=False)),
        ("never None", created(needless=lambda query, window: False)),
        ("None despite a window", created(needless=lambda query, window: query == 1)),
        ("None for several queries", created(**NONE_FOR_ALL)),
        ("past counted twice", created(past=lambda query, key: key)),
        ("window one off", created(diagonal=lambda past, window: past - window)),
        ("device forgotten", created_without_device),
        ("another number than the minimum", created(hidden=lambda dtype: -math.inf)),
        ("a window below 1 not refused", created(checked=lambda window: None)),
        (None, created_with_window_as_past),
        (None, created_with_swapped_shape),
        ("window forgotten", created_without_window),
        (None, created(keys=lambda query, past: query + past + 1)),
        (None, created(checked=refused_by_assertion)),
    ],
    "prepare_4d_causal_attention_mask": [
        ("4-D not inverted", prepared(four=lambda mask, dtype: mask)),
        ("4-D not inverted", prepared(four=lambda mask, dtype: mask.to(dtype))),
        ("4-D not inverted", prepared(four=lambda mask, dtype: mask.to(dtype).masked_fill(mask == 1, lowest(dtype)))),
        ("4-D not inverted", prepared(four=lambda mask, dtype: mask.to(dtype) * lowest(dtype))),
        ("4-D made causal again", prepared(four=four_with_triangle)),
        ("4-D of another dtype", prepared(four=four_as_transformers)),
        ("None not handled", prepared(nothing=lambda *arguments: None)),
        (
            "None not handled",
            lambda attention_mask, *rest, **keywords: prepared()(
                attention_mask if attention_mask.dim() else None, *rest, **keywords
            ),
        ),
        ("wrong shape not refused", prepared(checked=lambda found, wanted: True)),
        ("wrong shape not refused", prepared(checked=lambda found, wanted: found[-2:] == wanted[-2:])),
        (
            "wrong shape not refused",
            prepared(checked=lambda found, wanted: (found[0], *found[2:]) == (wanted[0], *wanted[2:])),
        ),
        ("sum to -inf", prepared(two=converted(join=lambda mask, padding, dtype: mask + padding))),
        ("no causal part", prepared(two=both_ways)),
        (
            "padding forgotten",
            prepared(two=converted(join=lambda mask, padding, dtype: mask, needless=lambda query, window: False)),
        ),
        ("empty rows opened", prepared(two=converted(join=unmasked))),
        (
            "window one off",
            prepared(
                two=converted(diagonal=lambda past, window: past - window),
                nothing=created(diagonal=lambda past, window: past - window),
            ),
        ),
        ("window forgotten", prepared(two=without_window, nothing=created(windowed=False))),
        (
            "past overlooked",
            prepared(two=first_rows_of_the_whole, nothing=created(diagonal=lambda past, window: past - window - 1)),
        ),
        ("past overlooked", prepared(two=without_past)),
        ("window forgotten", prepared(two=without_window)),
        ("past overlooked", prepared(nothing=nothing_as_ones)),
        (None, prepared(four=four_summed_with_triangle)),
        (None, prepared(four=four_unmasked)),
        (
            "another number than the minimum",
            prepared(four=lambda mask, dtype: right_four(mask, dtype).masked_fill(mask == 0, -math.inf)),
        ),
        (None, shape_by_assertion),
        ("window forgotten", prepared(nothing=created(windowed=False))),
    ],
    "extend_attention_mask": [
        ("not extended", lambda attention_mask, new_tokens: attention_mask),
        ("extended with 0", joined(lambda mask, new: mask.new_zeros(len(mask), new))),
        ("extended with 0", lambda mask, new: torch.nn.functional.pad(mask, (0, new))),
        ("put in front", joined(lambda mask, new: mask.new_ones(len(mask), new), front=True)),
        ("put in front", lambda mask, new: torch.nn.functional.pad(mask, (new, 0), value=1)),
        ("0 in front", lambda mask, new: torch.nn.functional.pad(mask, (new, 0))),
        ("float result", joined(lambda mask, new: torch.ones(len(mask), new))),
        ("always one token", joined(lambda mask, new: mask.new_ones(len(mask), 1))),
        ("the last column repeated", joined(lambda mask, new: mask[:, -1:].repeat(1, new))),
        ("bool result", lambda mask, new: torch.nn.functional.pad(mask.bool(), (0, new), value=True)),
        ("padding forgotten", lambda mask, new: mask.new_ones(len(mask), mask.shape[1] + new)),
        ("new sentences", joined(lambda mask, new: mask.new_ones(new, mask.shape[1]), dim=0)),
        (None, rolled),
        (None, token_by_token),
        (None, first_sentence),
        (None, on_the_cpu),
        (None, joined(lambda mask, new: torch.arange(new).expand(len(mask), -1))),
        (None, joined(lambda mask, new: mask.new_ones(len(mask), new + 1))),
    ],
}
