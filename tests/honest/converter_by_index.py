"""Right answers, written otherwise: one strip of numbers that is looked up by distance, sizes taken from shapes, no class."""

import torch


def strip(query, past, sliding_window, dtype, device):
    """Row q of the mask is this strip, shifted by q: the number of a key depends on its distance alone."""
    if sliding_window is not None and not sliding_window >= 1:
        raise ValueError(f"sliding_window must be positive, got {sliding_window}")
    key = past + query
    distance = torch.arange(-key, key + 1, device=device)
    too_far = distance > (key if sliding_window is None else sliding_window)
    numbers = torch.zeros(len(distance), dtype=dtype, device=device)
    numbers[(distance < 0) | too_far] = torch.finfo(dtype).min
    q = torch.arange(past, key, device=device)
    k = torch.arange(key, device=device)
    return numbers[q[:, None] - k[None, :] + key]


def make_causal_mask(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    rows = strip(input_ids_shape[1], past_key_values_length, sliding_window, dtype, device)
    return torch.stack([rows]).unsqueeze(0).repeat(input_ids_shape[0], 1, 1, 1)


def expand_mask(attention_mask, dtype, target_length=None):
    numbers = torch.tensor([torch.finfo(dtype).min, 0.0], dtype=dtype, device=attention_mask.device)
    row = numbers[attention_mask][:, None, None]
    queries = target_length if target_length is not None else attention_mask.shape[-1]
    return row.expand(-1, -1, queries, -1)


def to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    mask = strip(query_length, key_value_length - query_length, sliding_window, dtype, device)
    if sliding_window is None and mask.shape[0] == 1:
        return None
    return torch.broadcast_to(mask, (batch_size, 1, query_length, key_value_length))


def to_4d(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    device = attention_mask.device
    if is_causal and key_value_length is None:
        raise ValueError("pass key_value_length to a causal mask")
    if is_causal:
        order = strip(query_length, key_value_length - query_length, sliding_window, dtype, device)
    elif sliding_window is None:
        order = torch.zeros(query_length, attention_mask.shape[1], dtype=dtype, device=device)
    else:
        raise NotImplementedError("Sliding windows exist for causal masks.")
    lowest = torch.tensor(torch.finfo(dtype).min, dtype=dtype, device=device)
    return torch.where((attention_mask != 0)[:, None, None, :], order, lowest)


def unmask_unattended(expanded_mask, min_dtype):
    opened = expanded_mask.clone()
    rows = (expanded_mask > min_dtype).sum(-1) == 0
    opened[rows] = 0
    return opened


def ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window=None):
    reasons = [
        sliding_window is not None and key_value_length >= sliding_window,
        query_length > 1 and query_length != key_value_length,
        attention_mask is not None and attention_mask.dim() > 2,
        attention_mask is not None and bool((attention_mask != 1).any()),
    ]
    return not any(reasons)


def create_4d_causal_attention_mask(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    mask = make_causal_mask(input_shape, dtype, past_key_values_length, sliding_window, device)
    return None if mask.shape[2] == 1 and sliding_window is None else mask


def prepare_4d_causal_attention_mask(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    batch, query = input_shape
    key = past_key_values_length + query
    match None if attention_mask is None else attention_mask.dim():
        case None:
            return to_causal_4d(batch, query, key, dtype, sliding_window)
        case 2:
            return to_4d(attention_mask, query, dtype, key, sliding_window=sliding_window)
        case _:
            if list(attention_mask.shape) != [batch, 1, query, key]:
                raise ValueError(attention_mask.shape)
            numbers = torch.tensor([torch.finfo(dtype).min, 0.0], dtype=dtype, device=attention_mask.device)
            return numbers[attention_mask]


def extend_attention_mask(attention_mask, new_tokens):
    batch, length = attention_mask.shape
    extended = attention_mask.new_ones(batch, length + new_tokens)
    extended[:, :length] = attention_mask
    return extended
