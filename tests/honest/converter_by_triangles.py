"""Right answers, written otherwise: square triangles with the past put in front, and two diagonals for a window."""

import torch


def make_causal_mask(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    if sliding_window is not None and sliding_window <= 0:
        raise ValueError(f"a window of {sliding_window}")
    batch, size = input_ids_shape
    lowest = torch.finfo(dtype).min
    mask = torch.full((size, size), lowest, dtype=dtype, device=device).triu(1)
    if past_key_values_length > 0:
        past = torch.zeros(size, past_key_values_length, dtype=dtype, device=device)
        mask = torch.cat((past, mask), dim=1)
    if sliding_window is not None:
        too_old = torch.ones_like(mask, dtype=torch.bool).tril(past_key_values_length - sliding_window - 1)
        mask = torch.where(too_old, torch.full_like(mask, lowest), mask)
    return mask.view(1, 1, size, -1 if size else past_key_values_length).repeat(batch, 1, 1, 1)


def expand_mask(attention_mask, dtype, target_length=None):
    batch, keys = attention_mask.size()
    if target_length is None:
        target_length = keys
    inverted = 1.0 - attention_mask[:, None, None, :].expand(batch, 1, target_length, keys).to(dtype)
    return inverted.masked_fill(inverted.bool(), torch.finfo(dtype).min)


def to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    if sliding_window is None and query_length == 1:
        return None
    return make_causal_mask(
        (batch_size, query_length), dtype, key_value_length - query_length, sliding_window=sliding_window, device=device
    )


def to_4d(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    batch = attention_mask.size(0)
    if not is_causal:
        if sliding_window is not None:
            raise NotImplementedError
        return expand_mask(attention_mask, dtype, query_length)
    if key_value_length is None:
        raise ValueError("a causal mask needs key_value_length")
    causal = to_causal_4d(batch, query_length, key_value_length, dtype, sliding_window, attention_mask.device)
    padding = expand_mask(attention_mask, dtype, query_length)
    if causal is None:
        return padding
    return causal.masked_fill(padding.bool(), torch.finfo(dtype).min)


def unmask_unattended(expanded_mask, min_dtype):
    hidden = (expanded_mask == min_dtype) | torch.isinf(expanded_mask)
    nobody = torch.all(hidden, dim=3, keepdim=True)
    return torch.where(nobody, torch.zeros_like(expanded_mask), expanded_mask)


def ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window=None):
    if attention_mask is None:
        unpadded = True
    elif len(attention_mask.shape) == 4:
        return False
    else:
        unpadded = torch.all(attention_mask == 1).item()
    short = sliding_window is None or key_value_length < sliding_window
    return unpadded and short and (query_length == 1 or key_value_length == query_length)


def create_4d_causal_attention_mask(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    return to_causal_4d(
        input_shape[0], input_shape[-1], input_shape[-1] + past_key_values_length, dtype, sliding_window, device
    )


def prepare_4d_causal_attention_mask(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    batch, query = input_shape
    key = query + past_key_values_length
    if attention_mask is not None and len(attention_mask.shape) == 2:
        return to_4d(attention_mask, query, dtype, key_value_length=key, sliding_window=sliding_window)
    if attention_mask is not None and len(attention_mask.shape) == 4:
        if attention_mask.shape != (batch, 1, query, key):
            raise ValueError(f"wrong shape {attention_mask.shape}")
        inverted = 1 - attention_mask.to(dtype)
        return inverted.masked_fill(inverted.to(torch.bool), torch.finfo(dtype).min)
    return to_causal_4d(batch, query, key, dtype, sliding_window)


def extend_attention_mask(attention_mask, new_tokens):
    new = torch.ones(attention_mask.shape[0], new_tokens, dtype=torch.long, device=attention_mask.device)
    return torch.cat((attention_mask, new), dim=-1)
