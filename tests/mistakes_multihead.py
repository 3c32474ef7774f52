"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import math

import torch
import torch.nn.functional as F


def lowest(dtype):
    return torch.finfo(dtype).min


# --- to_allowed


def reader(allowed=None, ignore=None, attention_mask=None, additive=None, otherwise=None):
    """How most people write it, a chain of ifs, with what goes wrong as arguments."""

    def answer(mask, convention):
        if convention == "allowed":
            return (allowed or (lambda m: m))(mask)
        elif convention == "ignore":
            return (ignore or torch.logical_not)(mask)
        elif convention == "attention_mask":
            return (attention_mask or (lambda m: m.bool()))(mask)
        elif convention == "additive":
            return (additive or (lambda m: m > lowest(m.dtype) / 2))(mask)
        if otherwise:
            return otherwise(mask)
        raise ValueError(f"unknown convention {convention}")

    return answer


def raises_type_error(mask, convention):
    if convention not in ("allowed", "ignore", "attention_mask", "additive"):
        raise TypeError("convention")
    return reader()(mask, convention)


def cell_by_cell(mask, convention):
    flat = [reader()(cell, convention) for cell in mask.reshape(-1)]
    if not flat:
        return reader()(mask, convention)
    return torch.stack(flat).reshape(mask.shape)


def changes_floats(mask, convention):
    if convention == "additive":
        mask.masked_fill_(mask == -math.inf, lowest(mask.dtype))
    return reader()(mask, convention)


# --- from_allowed


def writer(allowed=None, ignore=None, attention_mask=None, additive=None):
    def answer(mask, convention, dtype=torch.float32):
        if convention == "allowed":
            return allowed(mask, dtype) if allowed else mask
        if convention == "ignore":
            return ignore(mask, dtype) if ignore else mask.logical_not()
        if convention == "attention_mask":
            return attention_mask(mask, dtype) if attention_mask else mask.long()
        if convention == "additive":
            zeros = torch.zeros_like(mask, dtype=dtype)
            return additive(mask, dtype) if additive else zeros.masked_fill(mask.logical_not(), lowest(dtype))
        raise ValueError(convention)

    return answer


def flattens(mask, convention, dtype=torch.float32):
    return writer()(mask, convention, dtype).reshape(-1)


def detours_over_meta(mask, convention, dtype=torch.float32):
    made = writer()(mask, convention, dtype)
    return torch.tensor(made.tolist(), dtype=made.dtype).reshape(mask.shape)  # always on the CPU


# --- key_padding_to_attn_mask


def view_order(padding, heads, queries):
    batch, keys = padding.shape
    mask = padding[None, :, None, :].expand(heads, batch, queries, keys)
    return mask.reshape(heads * batch, queries, keys)


def loop_over_sentences(padding, heads, queries):
    rows = [row.expand(heads, queries, -1) for row in padding]
    return torch.cat(rows)


def outer(padding, heads, queries):
    square = padding[:, :, None] | padding[:, None, :]
    return square.repeat_interleave(heads, 0)


def right(padding, heads, queries):
    return padding.repeat_interleave(heads, 0).unsqueeze(1).repeat(1, queries, 1)


# --- merge_masks


def merge(both, alone=None, spread=None):
    """torch's own lines, with what goes wrong as arguments."""

    def answer(padding, mask, heads):
        if padding is None:
            return mask
        batch, keys = padding.shape
        if spread is None:
            rows = padding.view(batch, 1, 1, keys).expand(-1, heads, -1, -1).reshape(batch * heads, 1, keys)
        else:
            rows = spread(padding, heads)
        if mask is None:
            return (alone or (lambda rows: rows))(rows)
        return both(rows, mask)

    return answer


def union(rows, mask):
    return torch.logical_or(rows, mask) if mask.dtype == torch.bool else mask.masked_fill(rows, -math.inf)


def tiled(padding, heads):
    return padding.tile(heads, 1).unsqueeze(1)


def nan_by_minus(rows, mask):
    if mask.dtype == torch.bool:
        return rows | mask
    return mask - torch.where(rows, math.inf, math.nan).to(mask.dtype)


def empty_for_none(padding, mask, heads):
    if padding is None and mask is None:
        return torch.zeros(1, dtype=torch.bool)
    return merge(union)(padding, mask, heads)


def unpacks_nothing(padding, mask, heads):
    _ = padding.shape
    return merge(union)(padding, mask, heads)


def only_two_axes(padding, mask, heads):
    if padding is not None and mask is not None and mask.dim() == 3:
        mask = mask[0]
    return merge(union)(padding, mask, heads)


def overwrites_biases(rows, mask):
    return rows | mask if mask.dtype == torch.bool else torch.where(rows, -math.inf, 0.0).to(mask.dtype) + 0 * mask


def everything_float(rows, mask):
    return mask.float() + rows.float()


def added_to_zeros(rows, mask):
    return torch.zeros(rows.shape).masked_fill(rows, -math.inf) + mask


# --- per_head_windows


def windows_of(hidden, order="tile", dtype=torch.bool):
    def answer(batch_size, sequence_length, windows, device=None):
        q = torch.arange(sequence_length, device=device).view(1, -1, 1)
        k = torch.arange(sequence_length, device=device).view(1, 1, -1)
        w = torch.tensor(windows, device=device).view(-1, 1, 1)
        mask = hidden(q, k, w).expand(len(windows), sequence_length, sequence_length)
        if order == "tile":
            mask = mask.tile(batch_size, 1, 1)
        elif order == "interleave":
            mask = mask[:, None].expand(-1, batch_size, -1, -1).flatten(0, 1)
        return mask.to(dtype)

    return answer


def head_by_head(batch_size, sequence_length, windows, device=None):
    heads = []
    for window in windows:
        seen = torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).tril()
        heads.append(~(seen & ~seen.tril(-window)))
    return torch.stack(heads).repeat(batch_size, 1, 1)


def device_forgotten(batch_size, sequence_length, windows, device=None):
    return windows_of(lambda q, k, w: (k > q) | (q - k >= w))(batch_size, sequence_length, windows)


def mean_window(batch_size, sequence_length, windows, device=None):
    windows = [round(sum(windows) / len(windows))] * len(windows)
    return windows_of(lambda q, k, w: (k > q) | (q - k >= w))(batch_size, sequence_length, windows, device)


def list_of(hidden, batch_first=True):
    """Slice by slice, in a list: a loop, and wrong besides."""

    def answer(batch_size, sequence_length, windows, device=None):
        position = torch.arange(sequence_length, device=device)
        back = position[:, None] - position
        if batch_first:
            return torch.stack([hidden(back, window, windows) for _ in range(batch_size) for window in windows])
        return torch.stack([hidden(back, window, windows) for window in windows for _ in range(batch_size)])

    return answer


# --- nn_transformer_masks


def translated(source, target, pad):
    return {
        "src_key_padding_mask": source.eq(pad),
        "tgt_mask": torch.triu(torch.ones(target.size(1), target.size(1), device=target.device), 1).bool(),
        "tgt_key_padding_mask": target.eq(pad),
        "memory_key_padding_mask": source.eq(pad),
    }


def but(**wrong):
    def answer(source, target, pad):
        masks = translated(source, target, pad)
        for name, make in wrong.items():
            if make is None:
                del masks[name]
            else:
                masks[name] = make(source, target, pad)
        return masks

    return answer


def renamed(source, target, pad):
    masks = translated(source, target, pad)
    return {name.replace("src", "source").replace("tgt", "target"): mask for name, mask in masks.items()}


def under(**names):
    def answer(source, target, pad):
        return {names.get(name, name): mask for name, mask in translated(source, target, pad).items()}

    return answer


def inverted_from_the_target(triangle):
    def answer(source, target, pad):
        masks = translated(source, target, pad)
        words = target != pad
        return {
            "src_key_padding_mask": source.ne(pad),
            "tgt_mask": masks["tgt_mask"].logical_not() if triangle else masks["tgt_mask"],
            "tgt_key_padding_mask": words,
            "memory_key_padding_mask": words,
        }

    return answer


def as_tuple(source, target, pad):
    return tuple(translated(source, target, pad).values())


# --- multi_head_attention


def attention(
    query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None, *,
    scale=None, fill=-math.inf, order="bh", mean=True, heads="blhd", out=True, bias=True,
    flip_mask=False, flip_padding=False, axis=-1, chunks=(0, 1, 2), hide_padding=True, hide_mask=True,
):  # fmt: skip
    """By bmm over flat heads, the way of torch's own module, with what goes wrong as keywords."""
    batch, queries, dim = query.shape
    head_dim = dim // num_heads
    parts = []
    for vectors, chunk in zip((query, key, value), chunks, strict=True):
        weight = weights.in_proj_weight[chunk * dim : (chunk + 1) * dim]
        in_bias = weights.in_proj_bias[chunk * dim : (chunk + 1) * dim]
        part = torch.einsum("bse,fe->bsf", vectors, weight) + (in_bias if bias else 0)
        length = vectors.shape[1]
        if heads == "blhd":
            part = part.view(batch, length, num_heads, head_dim).transpose(1, 2).reshape(-1, length, head_dim)
        elif heads == "bhld":
            part = part.reshape(batch * num_heads, length, head_dim)
        elif heads == "bldh":
            part = part.view(batch, length, head_dim, num_heads).permute(0, 3, 1, 2).reshape(-1, length, head_dim)
        parts.append(part)
    q, k, v = parts
    scores = torch.bmm(q, k.transpose(1, 2)) * (head_dim**-0.5 if scale is None else scale)
    if attn_mask is not None and hide_mask:
        if attn_mask.dtype == torch.bool:
            scores = scores.masked_fill(~attn_mask if flip_mask else attn_mask, fill)
        else:
            scores = scores + attn_mask
    if key_padding_mask is not None and hide_padding:
        padding = ~key_padding_mask if flip_padding else key_padding_mask
        rows = padding.repeat_interleave(num_heads, 0) if order == "bh" else padding.repeat(num_heads, 1)
        scores = scores.masked_fill(rows[:, None, :], fill)
    shares = torch.softmax(scores, axis)
    joined = torch.bmm(shares, v).view(batch, num_heads, queries, head_dim)
    if heads == "bldh":
        joined = joined.permute(0, 2, 3, 1).reshape(batch, queries, dim)
    else:
        joined = joined.transpose(1, 2).reshape(batch, queries, dim)
    if out:
        joined = torch.einsum("bqe,fe->bqf", joined, weights.out_proj_weight) + (weights.out_proj_bias if bias else 0)
    shares = shares.view(batch, num_heads, queries, -1)
    return joined, shares.mean(1) if mean else shares


def with_fault(**fault):
    def answer(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
        return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask, **fault)

    return answer


def zeroes_first(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    if key_padding_mask is not None:
        real = (~key_padding_mask).unsqueeze(-1).float()
        key, value = key * real, value * real
    return attention(query, key, value, weights, num_heads, None, attn_mask)


def zeroes_in_place(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    if key_padding_mask is not None:
        value[key_padding_mask] = 0.0  # no harm done to the result: nobody looks there
    return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask)


def detached(query, key, value, *rest, **masks):
    return attention(query.detach(), key.detach(), value.detach(), *rest, **masks)


def values_detached(query, key, value, *rest, **masks):
    return attention(query, key, value.detach(), *rest, **masks)


def head_by_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    size = query.shape[-1] // num_heads
    outputs, shares = [], []
    projected = [
        F.linear(x, w, b)
        for x, w, b in zip(
            (query, key, value), weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3), strict=True
        )
    ]
    for h in range(num_heads):
        q, k, v = (x[..., h * size : (h + 1) * size] for x in projected)
        scores = q @ k.mT / math.sqrt(size)
        if attn_mask is not None:
            own = attn_mask[h::num_heads] if attn_mask.dim() == 3 else attn_mask
            scores = scores.masked_fill(own, -math.inf) if own.dtype == torch.bool else scores + own
        if key_padding_mask is not None:
            scores = scores.masked_fill(key_padding_mask[:, None], -math.inf)
        shares.append(scores.softmax(-1))
        outputs.append(shares[-1] @ v)
    output = F.linear(torch.cat(outputs, -1), weights.out_proj_weight, weights.out_proj_bias)
    return output, torch.stack(shares).mean(0)


def first_slice_for_all(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask[0]
    return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask)


def one_mask_or_the_other(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    if attn_mask is not None:
        key_padding_mask = None
    return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask)


def adds_bools(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    if attn_mask is not None:
        attn_mask = attn_mask.float()
    return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask)


def as_list(*arguments, **masks):
    return list(attention(*arguments, **masks))


def swapped_3d(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    batch = query.shape[0]
    if attn_mask is not None and attn_mask.dim() == 3:
        attn_mask = attn_mask.view(num_heads, batch, *attn_mask.shape[1:]).transpose(0, 1).reshape(attn_mask.shape)
    return attention(query, key, value, weights, num_heads, key_padding_mask, attn_mask)


def as_written(split=None, join=None, told=None, rows=None, scale=None, before=None):
    """By four axes and `@`, with what goes wrong as arguments."""

    def answer(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
        batch, queries, dim = query.shape
        head_dim = dim // num_heads
        if before and key_padding_mask is not None:
            key, value = before(key, value, key_padding_mask[..., None])
        q, k, v = (
            x @ (weights.in_proj_weight[rows(i, dim)] if rows else weights.in_proj_weight.view(3, dim, dim)[i]).T
            + (weights.in_proj_bias[rows(i, dim)] if rows else weights.in_proj_bias.view(3, dim)[i])
            for i, x in enumerate((query, key, value))
        )
        if split:
            q, k, v = (split(x, batch, num_heads, head_dim) for x in (q, k, v))
        else:
            q, k, v = (x.view(batch, -1, num_heads, head_dim).transpose(1, 2) for x in (q, k, v))
        scores = q @ k.transpose(-2, -1) * (scale(dim, num_heads) if scale else head_dim**-0.5)
        if attn_mask is not None:
            if attn_mask.dim() == 3:
                attn_mask = attn_mask.view(batch, num_heads, queries, -1)
            bool_mask = attn_mask.dtype == torch.bool
            scores = scores.masked_fill(attn_mask, -math.inf) if bool_mask else scores + attn_mask
        if key_padding_mask is not None and not before:
            scores = scores.masked_fill(key_padding_mask[:, None, None], -math.inf)
        shares = scores.softmax(-1)
        joined = shares @ v
        joined = join(joined, batch, queries, dim) if join else joined.transpose(1, 2).reshape(batch, queries, dim)
        output = joined @ weights.out_proj_weight.T + weights.out_proj_bias
        return output, told(shares) if told else shares.mean(1)

    return answer


def only_output(*arguments, **masks):
    return attention(*arguments, **masks)[0]


MISTAKES = {
    "to_allowed": [
        ("ignore not inverted", reader(ignore=lambda mask: mask.bool())),
        ("allowed inverted", reader(allowed=torch.logical_not)),
        ("attention_mask inverted", reader(attention_mask=lambda mask: ~mask.bool())),
        ("attention_mask inverted", reader(attention_mask=lambda mask: mask < 1)),
        ("additive inverted", reader(additive=lambda mask: ~(mask > lowest(mask.dtype) / 2))),
        ("additive read as 1 and 0", reader(additive=lambda mask: mask != 0)),
        ("only -inf is ignored", reader(additive=lambda mask: ~torch.isinf(mask))),
        ("only -inf is ignored", reader(additive=lambda mask: mask != -math.inf)),
        ("only -inf is ignored", reader(additive=torch.isfinite)),
        ("only the minimum is ignored", reader(additive=lambda mask: ~(mask == lowest(mask.dtype)))),
        ("every bias is ignored", reader(additive=lambda mask: ~mask.bool())),
        ("every bias is ignored", reader(additive=lambda mask: ~(mask < 0))),
        ("a fixed threshold", reader(additive=lambda mask: ~(mask <= -1e4))),
        ("a fixed threshold", reader(additive=lambda mask: mask.double() > -1e9)),
        ("float32's minimum in every dtype", reader(additive=lambda mask: mask.float() > lowest(torch.float32) / 2)),
        ("half of the minimum still allowed", reader(additive=lambda mask: ~(mask < lowest(mask.dtype) / 2))),
        ("attention_mask stays a number", reader(attention_mask=lambda mask: mask.clone())),
        ("~ on integers", reader(attention_mask=lambda mask: (-1 - mask).bool())),
        ("another convention goes through", reader(otherwise=lambda mask: mask.clone())),
        ("another convention goes through", reader(otherwise=lambda mask: mask > lowest(mask.dtype) / 2)),
        ("mask changed in place", reader(ignore=lambda mask: mask.bitwise_not_())),
        (None, raises_type_error),
        (None, cell_by_cell),
        ("mask changed in place", changes_floats),
        (None, reader(additive=lambda mask: mask.abs() < 1)),
        (None, reader(additive=lambda mask: mask > lowest(mask.dtype) / 4)),
        (None, reader(attention_mask=lambda mask: mask[:, None, None, :] == 1 if mask.dim() == 2 else mask == 1)),
    ],
    "from_allowed": [
        ("ignore not inverted", writer(ignore=lambda mask, dtype: mask.clone())),
        ("allowed inverted", writer(allowed=lambda mask, dtype: mask == 0)),
        ("attention_mask inverted", writer(attention_mask=lambda mask, dtype: 1 - mask.long())),
        ("attention_mask inverted", writer(attention_mask=lambda mask, dtype: torch.where(mask, 0, 1))),
        ("additive inverted", writer(additive=lambda mask, dtype: mask.to(dtype) * lowest(dtype))),
        ("bool where a model adds it", writer(additive=lambda mask, dtype: mask.clone())),
        (
            "1 and 0 where a model adds them",
            writer(additive=lambda mask, dtype: torch.ones_like(mask, dtype=dtype) * mask),
        ),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: 1 - mask.to(dtype))),
        ("-inf", writer(additive=lambda mask, dtype: torch.where(mask, 0.0, -math.inf).to(dtype))),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: mask.float())),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: (~mask).float())),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: 1.0 - mask.float())),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: mask.long())),
        ("1 and 0 where a model adds them", writer(additive=lambda mask, dtype: 1 - mask.long())),
        ("-inf", writer(additive=lambda mask, dtype: mask.to(dtype).log())),
        ("-inf", writer(additive=lambda mask, dtype: torch.where(mask, 0.0, -math.inf))),
        ("-inf", writer(additive=lambda mask, dtype: torch.zeros(mask.shape).masked_fill(~mask, -math.inf))),
        ("-inf", writer(additive=lambda mask, dtype: torch.log(mask.float()))),
        ("0 times -inf", writer(additive=lambda mask, dtype: (~mask).float() * -math.inf)),
        ("a fixed number", writer(additive=lambda mask, dtype: (1.0 - mask.float()) * -1e9)),
        ("a fixed number", writer(additive=lambda mask, dtype: torch.where(mask, 0.0, -1e10))),
        ("0 times -inf", writer(additive=lambda mask, dtype: (1 - mask.to(dtype)) * -math.inf)),
        ("a fixed number", writer(additive=lambda mask, dtype: torch.where(mask, 0.0, -1e9).to(dtype))),
        ("a fixed number", writer(additive=lambda mask, dtype: (1 - mask.to(dtype)) * -1e4)),
        ("a fixed number", writer(additive=lambda mask, dtype: (1.0 - mask.float()).mul(-1e10).to(dtype))),
        (
            "float32's minimum in every dtype",
            writer(additive=lambda mask, dtype: torch.where(mask, 0.0, lowest(torch.float32)).to(dtype)),
        ),
        ("dtype ignored", writer(additive=lambda mask, dtype: (1.0 - mask.float()) * lowest(torch.float32))),
        (
            "dtype for whole numbers too",
            writer(attention_mask=lambda mask, dtype: torch.ones_like(mask, dtype=dtype) * mask),
        ),
        ("attention_mask not long", writer(attention_mask=lambda mask, dtype: mask.to(torch.int32))),
        ("attention_mask not long", writer(attention_mask=lambda mask, dtype: mask.clone())),
        ("1 - mask on a bool", writer(additive=lambda mask, dtype: (1 - mask) * torch.finfo(dtype).min)),
        ("mask changed in place", writer(ignore=lambda mask, dtype: mask.logical_not_())),
        (None, flattens),
        (None, detours_over_meta),
        (None, writer(additive=lambda mask, dtype: (~mask).to(dtype) * torch.finfo(dtype).max)),
        (None, writer(attention_mask=lambda mask, dtype: mask.to(torch.int8))),
    ],
    "key_padding_to_attn_mask": [
        ("row h*B + b", view_order),
        ("row h*B + b", lambda padding, heads, queries: torch.cat([padding] * heads)[:, None].expand(-1, queries, -1)),
        ("transposed", lambda padding, heads, queries: right(padding, heads, queries).transpose(1, 2)),
        (
            "transposed",
            lambda padding, heads, queries: padding.repeat_interleave(heads, 0)[:, :, None].expand(-1, -1, queries),
        ),
        ("query rows and key columns", outer),
        (
            "number of keys for the number of queries",
            lambda padding, heads, queries: right(padding, heads, padding.size(1)),
        ),
        ("no heads", lambda padding, heads, queries: padding.unsqueeze(1).repeat(1, queries, 1)),
        (
            "heads in an axis of their own",
            lambda padding, heads, queries: padding[:, None, None].repeat(1, heads, queries, 1),
        ),
        ("left to broadcasting", lambda padding, heads, queries: padding.repeat_interleave(heads, 0).unsqueeze(1)),
        ("inverted", lambda padding, heads, queries: right(~padding, heads, queries)),
        ("additive", lambda padding, heads, queries: torch.where(right(padding, heads, queries), -math.inf, 0.0)),
        ("not bool", lambda padding, heads, queries: right(padding, heads, queries) * 1),
        ("not bool", lambda padding, heads, queries: right(padding.float(), heads, queries)),
        (None, loop_over_sentences),
        (None, lambda padding, heads, queries: right(padding, queries, heads)),
        (None, lambda padding, heads, queries: right(padding[:1].expand_as(padding), heads, queries)),
        (None, lambda padding, heads, queries: view_order(~padding, heads, queries)),
    ],
    "merge_masks": [
        ("and for or", merge(lambda rows, mask: rows & mask if mask.dtype == torch.bool else union(rows, mask))),
        (
            "and for or",
            merge(
                lambda rows, mask: (
                    rows & mask if mask.dtype == torch.bool else mask.masked_fill(rows & (mask < 0), -math.inf)
                )
            ),
        ),
        ("wrong head order", merge(union, spread=tiled)),
        (
            "wrong head order",
            lambda padding, mask, heads: (
                tiled(padding, heads) if mask is None and padding is not None else merge(union)(padding, mask, heads)
            ),
        ),
        ("bool + float added", merge(torch.add)),
        ("bool + float added", merge(everything_float)),
        ("bool + float added", merge(added_to_zeros)),
        ("bool + float added", merge(lambda rows, mask: torch.where(rows, -math.inf, 0.0) + mask)),
        ("bool + float added", merge(added_to_zeros, alone=lambda rows: torch.where(rows, -math.inf, 0.0))),
        (
            "bool + float added",
            merge(lambda rows, mask: mask - rows.float() if mask.dtype != torch.bool else rows | mask),
        ),
        (
            "bool + float added",
            merge(lambda rows, mask: union(rows, mask) if mask.dtype != torch.bool else added_to_zeros(rows, mask)),
        ),
        ("or on a float mask", merge(torch.bitwise_or)),
        ("or on a float mask", merge(lambda rows, mask: rows | mask)),
        ("or on a float mask", merge(lambda rows, mask: mask.__or__(rows))),
        ("bool + float added", merge(lambda rows, mask: rows + mask)),
        (
            "finite for -inf",
            merge(
                lambda rows, mask: (
                    rows | mask
                    if mask.dtype == torch.bool
                    else torch.where(rows, torch.tensor(lowest(mask.dtype), dtype=mask.dtype), mask)
                )
            ),
        ),
        (
            "finite for -inf",
            merge(lambda rows, mask: rows | mask if mask.dtype == torch.bool else mask.masked_fill(rows, -1e4)),
        ),
        (
            "0 times -inf",
            merge(
                lambda rows, mask: rows | mask if mask.dtype == torch.bool else rows.to(mask.dtype) * -math.inf + mask
            ),
        ),
        ("0 times -inf", merge(lambda rows, mask: mask + rows * -math.inf)),
        (
            "0 times -inf",
            merge(lambda rows, mask: rows | mask if mask.dtype == torch.bool else rows * -math.inf + mask),
        ),
        (
            "0 times -inf",
            merge(lambda rows, mask: mask + rows.float() * -math.inf, alone=lambda rows: rows * -math.inf),
        ),
        (
            "attn_mask forgotten",
            lambda padding, mask, heads: merge(union)(padding, None if padding is not None else mask, heads),
        ),
        (
            "padding forgotten",
            lambda padding, mask, heads: mask if mask is not None else merge(union)(padding, None, heads),
        ),
        (
            "attn_mask taken as allowed",
            merge(lambda rows, mask: ~(~rows & mask) if mask.dtype == torch.bool else union(rows, mask)),
        ),
        (
            "padding taken as words",
            lambda padding, mask, heads: merge(union)(None if padding is None else ~padding, mask, heads),
        ),
        (
            "inverted",
            merge(
                lambda rows, mask: ~rows & ~mask if mask.dtype == torch.bool else union(rows, mask),
                alone=torch.logical_not,
            ),
        ),
        (
            "always float",
            merge(
                lambda rows, mask: added_to_zeros(
                    rows, torch.where(mask, -math.inf, 0.0) if mask.dtype == torch.bool else mask
                )
            ),
        ),
        (
            "always float",
            merge(
                lambda rows, mask: (
                    torch.zeros_like(rows | mask.bool(), dtype=torch.float).masked_fill(rows | mask, -math.inf)
                    if mask.dtype == torch.bool
                    else union(rows, mask)
                )
            ),
        ),
        ("float turned into bool", merge(lambda rows, mask: torch.logical_or(rows, mask))),
        (
            "float32 in every dtype",
            merge(
                lambda rows, mask: (
                    rows | mask
                    if mask.dtype == torch.bool
                    else mask + torch.zeros(rows.shape).masked_fill(rows, -math.inf)
                )
            ),
        ),
        (
            "no heads",
            lambda padding, mask, heads: (
                mask if padding is None else padding[:, None] if mask is None else union(padding[:, None], mask)
            ),
        ),
        ("padding alone in another shape", merge(union, alone=lambda rows: rows.squeeze(1))),
        ("padding alone in another shape", merge(union, alone=lambda rows: rows.expand(-1, rows.shape[-1], -1))),
        (
            "query rows instead of key columns",
            merge(
                union,
                spread=lambda padding, heads: padding.repeat_interleave(heads, 0)[..., None],
                alone=lambda rows: rows.mT,
            ),
        ),
        (None, merge(overwrites_biases)),
        ("0 times -inf", merge(nan_by_minus)),
        (None, empty_for_none),
        (None, unpacks_nothing),
        (None, only_two_axes),
        (None, merge(lambda rows, mask: rows ^ mask if mask.dtype == torch.bool else union(rows, mask))),
    ],
    "per_head_windows": [
        ("head order", windows_of(lambda q, k, w: (k > q) | (q - k >= w), order="interleave")),
        ("inverted", windows_of(lambda q, k, w: (k <= q) & (q - k < w))),
        ("inverted", windows_of(lambda q, k, w: ~((k > q) | (k <= q - w)))),
        (
            "one window for all",
            lambda batch, length, windows, device=None: windows_of(lambda q, k, w: (k > q) | (q - k >= windows[0]))(
                batch, length, windows, device
            ),
        ),
        ("no window", windows_of(lambda q, k, w: k > q)),
        ("not causal", windows_of(lambda q, k, w: (q - k).abs() >= w)),
        ("not causal", windows_of(lambda q, k, w: k <= q - w)),
        ("window + 1", windows_of(lambda q, k, w: (k > q) | (k < q - w))),
        ("window - 1", windows_of(lambda q, k, w: (k > q) | (q - k > w - 2))),
        ("itself hidden", windows_of(lambda q, k, w: (k >= q) | (q - k >= w))),
        ("queries and keys swapped", windows_of(lambda q, k, w: (q > k) | (k - q >= w))),
        ("and for or", windows_of(lambda q, k, w: (k > q) & (q - k >= w))),
        ("no batch", windows_of(lambda q, k, w: (k > q) | (q - k >= w), order="none")),
        ("not bool", windows_of(lambda q, k, w: (k > q) | (q - k >= w), dtype=torch.long)),
        (None, head_by_head),
        (None, device_forgotten),
        ("one window for all", mean_window),
        ("one window for all", list_of(lambda back, window, windows: (back < 0) | (back >= windows[0]))),
        ("one window for all", list_of(lambda back, window, windows: (back < 0) | (back >= max(windows)))),
        ("one window for all", list_of(lambda back, window, windows: (back < 0) | (back >= sum(windows)))),
        (
            "one window for all",
            list_of(lambda back, window, windows: (back < 0) | (back >= sum(windows) // len(windows))),
        ),
        ("inverted", list_of(lambda back, window, windows: (back >= 0) & (back < window))),
        ("head order", list_of(lambda back, window, windows: (back < 0) | (back >= window), batch_first=False)),
        (None, list_of(lambda back, window, windows: (back < 0) | (back >= window))),
        (None, windows_of(lambda q, k, w: (k > q) | (q - k >= w.flip(0)))),
        (None, windows_of(lambda q, k, w: (k > q) | (q - k >= w), dtype=torch.int8)),
    ],
    "nn_transformer_masks": [
        (
            "inverted",
            but(
                **{
                    name: lambda s, t, p, name=name: ~translated(s, t, p)[name]
                    for name in ("src_key_padding_mask", "tgt_key_padding_mask", "memory_key_padding_mask")
                }
            ),
        ),
        (
            "triangle inverted",
            but(tgt_mask=lambda s, t, p: torch.ones(t.shape[1], t.shape[1]).to(t.device).tril().bool()),
        ),
        ("everything inverted", lambda s, t, p: {name: ~mask for name, mask in translated(s, t, p).items()}),
        ("one padding mask inverted", but(memory_key_padding_mask=lambda s, t, p: s != p)),
        ("memory mask from the target", but(memory_key_padding_mask=lambda s, t, p: t == p)),
        ("source and target swapped", lambda s, t, p: translated(t, s, p)),
        ("missing key", but(memory_key_padding_mask=None)),
        ("missing key", but(memory_key_padding_mask=None, tgt_mask=None)),
        ("missing key", but(tgt_key_padding_mask=None, memory_key_padding_mask=None)),
        ("more keys than asked", but(src_mask=lambda s, t, p: None, memory_mask=lambda s, t, p: None)),
        ("a mask left None", but(memory_key_padding_mask=lambda s, t, p: None)),
        (
            "float triangle",
            but(tgt_mask=lambda s, t, p: torch.nn.Transformer.generate_square_subsequent_mask(t.shape[1])),
        ),
        ("diagonal hidden", but(tgt_mask=lambda s, t, p: torch.ones(t.shape[1], t.shape[1]).triu().bool())),
        ("earlier words hidden", but(tgt_mask=lambda s, t, p: torch.ones(t.shape[1], t.shape[1]).tril(-1).bool())),
        (
            "triangle of the source's length",
            but(tgt_mask=lambda s, t, p: torch.ones(s.shape[1], s.shape[1]).triu(1).bool()),
        ),
        ("padding id fixed at 0", lambda s, t, p: translated(s, t, 0)),
        ("not bool", lambda s, t, p: {name: mask.float() for name, mask in translated(s, t, p).items()}),
        ("misspelt key", renamed),
        ("misspelt key", under(memory_key_padding_mask="memory_mask")),
        ("misspelt key", under(src_key_padding_mask="src_mask")),
        ("misspelt key", under(src_key_padding_mask="src_padding_mask", tgt_key_padding_mask="tgt_padding_mask")),
        ("misspelt key", under(tgt_mask="tgt_attn_mask")),
        ("inverted, and memory from the target", inverted_from_the_target(triangle=False)),
        ("inverted, and memory from the target", inverted_from_the_target(triangle=True)),
        (None, as_tuple),
        (None, but(memory_key_padding_mask=lambda s, t, p: (s == p)[:, None, :])),
        (None, but(tgt_mask=lambda s, t, p: torch.ones(t.shape[1], t.shape[1], dtype=torch.bool).triu(1))),  # no device
        (None, but(tgt_key_padding_mask=lambda s, t, p: torch.zeros_like(t, dtype=torch.bool))),
    ],
    "multi_head_attention": [
        ("heads split wrongly", with_fault(heads="bhld")),
        ("heads interleaved", with_fault(heads="bldh")),
        (
            "scale of E for D",
            lambda q, k, v, w, h, key_padding_mask=None, attn_mask=None: attention(
                q, k, v, w, h, key_padding_mask, attn_mask, scale=1 / math.sqrt(q.shape[-1])
            ),
        ),
        ("no scaling", with_fault(scale=1.0)),
        ("scale of E for D", as_written(scale=lambda dim, heads: 1 / dim)),
        ("scale of E for D", as_written(scale=lambda dim, heads: 1 / math.sqrt(dim * heads))),
        ("heads split wrongly", as_written(split=lambda x, b, h, d: x.view(b, h, d, -1).transpose(2, 3))),
        ("heads split wrongly", as_written(split=lambda x, b, h, d: x.transpose(1, 2).reshape(b, h, -1, d))),
        (
            "heads split wrongly",
            as_written(
                split=lambda x, b, h, d: x.transpose(1, 2).reshape(b, h, -1, d),
                join=lambda x, b, queries, dim: x.reshape(b, dim, queries).transpose(1, 2),
            ),
        ),
        ("heads split wrongly", as_written(split=lambda x, b, h, d: x.view(-1, b, h, d).permute(1, 2, 0, 3))),
        (
            "heads split wrongly",
            as_written(
                split=lambda x, b, h, d: x.view(-1, b * h, d).transpose(0, 1).view(b, h, -1, d),
                join=lambda x, b, queries, dim: x.flatten(0, 1).transpose(0, 1).reshape(b, queries, dim),
            ),
        ),
        ("heads interleaved", as_written(split=lambda x, b, h, d: x.view(b, -1, d, h).permute(0, 3, 1, 2))),
        ("projection slices swapped", as_written(rows=lambda i, dim: slice(i, None, 3))),
        ("projection slices swapped", as_written(rows=lambda i, dim: slice(min(i, 1) * dim, (min(i, 1) + 1) * dim))),
        ("mask before projection", zeroes_first),
        *(
            ("mask before projection", as_written(before=before))
            for before in (
                lambda key, value, padding: (key * ~padding, value),
                lambda key, value, padding: (key.masked_fill(padding, -1e9), value),
                lambda key, value, padding: (key.masked_fill(padding, -1e9), value.masked_fill(padding, -1e9)),
                lambda key, value, padding: (torch.where(padding, -math.inf, key), value),
            )
        ),
        ("-100 for minus infinity", with_fault(fill=-1e4)),
        ("hidden scores set to 0", with_fault(fill=0.0)),
        ("weights not averaged", with_fault(mean=False)),
        *(
            ("weights not averaged", as_written(told=told))
            for told in (
                lambda shares: shares.max(1).values,
                lambda shares: shares.median(dim=1)[0],
                lambda shares: shares.reshape(-1, *shares.shape[2:]),
                lambda shares: shares.mean(1).unsqueeze(1),
                lambda shares: shares.permute(1, 0, 2, 3),
                lambda shares: shares.squeeze(1),
            )
        ),
        ("weights of one head", as_written(told=lambda shares: shares[:, -1])),
        ("key padding forgotten", with_fault(hide_padding=False)),
        ("attn_mask forgotten", with_fault(hide_mask=False)),
        ("no mask", with_fault(hide_mask=False, hide_padding=False)),
        ("masks taken as allowed", with_fault(flip_mask=True)),
        ("masks taken as allowed", with_fault(flip_padding=True, flip_mask=True)),
        ("True added as 1", adds_bools),
        ("3-D mask in the order h*B + b", swapped_3d),
        ("another sentence's padding", with_fault(order="hb")),
        ("no out projection", with_fault(out=False)),
        ("biases forgotten", with_fault(bias=False)),
        ("projection slices swapped", with_fault(chunks=(1, 0, 2))),
        ("projection slices swapped", with_fault(chunks=(0, 0, 0))),
        ("softmax over the queries", with_fault(axis=1)),
        ("only one result", only_output),
        ("results exchanged", lambda *arguments, **masks: attention(*arguments, **masks)[::-1]),
        (None, zeroes_in_place),
        (None, detached),
        (None, values_detached),
        (None, head_by_head_attention),
        (None, first_slice_for_all),
        (None, one_mask_or_the_other),
        (None, as_list),
        (None, with_fault(scale=2.0)),
        (None, with_fault(axis=0)),
        (None, with_fault(heads="bhld", scale=1.0)),
    ],
}
