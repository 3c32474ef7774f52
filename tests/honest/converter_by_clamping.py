"""Right answers, written otherwise: additive masks that are summed after all, and then held at the minimum."""

import torch
import torch.nn.functional as F


def hidden_where(hidden, dtype):
    return hidden.to(dtype) * torch.finfo(dtype).min


def held(mask):
    return mask.clamp(min=torch.finfo(mask.dtype).min)


def check(sliding_window):
    if sliding_window is not None and sliding_window < 1:
        raise ValueError("sliding_window")


def make_causal_mask(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    check(sliding_window)
    batch, query = input_ids_shape
    q = torch.arange(query, device=device).unsqueeze(1) + past_key_values_length
    k = torch.arange(query + past_key_values_length, device=device).unsqueeze(0)
    mask = hidden_where(k > q, dtype)
    if sliding_window is not None:
        mask = mask + hidden_where(k < q - sliding_window, dtype)
    return held(mask)[None, None].expand(batch, -1, -1, -1)


def expand_mask(attention_mask, dtype, target_length=None):
    rows = attention_mask.shape[1] if target_length is None else target_length
    padding = hidden_where(attention_mask != 1, dtype)
    return padding.unsqueeze(1).unsqueeze(1).repeat(1, 1, rows, 1)


def to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    check(sliding_window)
    if query_length == 1 and sliding_window is None:
        return None
    offset = key_value_length - query_length
    window = key_value_length if sliding_window is None else sliding_window
    steps = torch.arange(key_value_length, device=device)
    distance = steps[offset:, None] - steps[None, :]
    in_sight = distance.clamp(0, window) == distance
    return hidden_where(~in_sight, dtype).expand(batch_size, 1, query_length, key_value_length)


def to_4d(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    check(sliding_window)
    if sliding_window is not None and not is_causal:
        raise NotImplementedError("windows are causal")
    batch, keys = attention_mask.shape
    padding = hidden_where(1 - attention_mask, dtype)[:, None, None, :].expand(batch, 1, query_length, keys)
    if not is_causal:
        return padding
    if key_value_length is None:
        raise ValueError("key_value_length")
    past = key_value_length - query_length
    shape = (batch, query_length)
    return held(padding + make_causal_mask(shape, dtype, past, sliding_window, attention_mask.device))


def unmask_unattended(expanded_mask, min_dtype):
    best = expanded_mask.amax(dim=-1, keepdim=True)
    return torch.where(best > min_dtype, expanded_mask, 0.0)


def ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window=None):
    if sliding_window is not None and sliding_window <= key_value_length:
        return False
    if query_length != 1 and query_length != key_value_length:
        return False
    if attention_mask is None:
        return True
    return attention_mask.ndim != 4 and int((attention_mask == 0).sum()) == 0


def create_4d_causal_attention_mask(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    check(sliding_window)
    batch, query = input_shape
    if query == 1 and sliding_window is None:
        return None
    return make_causal_mask((batch, query), dtype, past_key_values_length, sliding_window, device)


def prepare_4d_causal_attention_mask(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    check(sliding_window)
    wanted = torch.Size([input_shape[0], 1, input_shape[1], past_key_values_length + input_shape[1]])
    if attention_mask is None:
        return make_causal_mask(input_shape, dtype, past_key_values_length, sliding_window, "cpu")
    if attention_mask.ndim == 4:
        if attention_mask.shape != wanted:
            raise ValueError(f"{attention_mask.shape} is not {wanted}")
        return hidden_where(attention_mask == 0, dtype)
    return to_4d(attention_mask, wanted[2], dtype, wanted[3], True, sliding_window)


def extend_attention_mask(attention_mask, new_tokens):
    return F.pad(attention_mask, (0, new_tokens), value=1)
