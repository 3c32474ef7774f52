"""Right answers, written otherwise: new tensors filled by slices and in place, every mask from one door."""

import torch


def prepare_4d_causal_attention_mask(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    if sliding_window is not None and sliding_window < 1:
        raise ValueError(f"Make sliding_window 1 or more, not {sliding_window}")
    batch, query = input_shape
    key = past_key_values_length + query
    device = torch.device("cpu") if attention_mask is None else attention_mask.device
    lowest = torch.finfo(dtype).min
    mask = torch.empty(batch, 1, query, key, dtype=dtype, device=device).fill_(0)
    if attention_mask is not None and attention_mask.dim() == 4:
        if attention_mask.shape != mask.shape:
            raise ValueError("The 4-D mask does not fit")
        return mask.masked_fill_(attention_mask == 0, lowest)
    if attention_mask is None and query == 1 and sliding_window is None:
        return None
    everywhere = torch.ones(query, key, dtype=torch.bool, device=device)
    mask.masked_fill_(everywhere.triu(past_key_values_length + 1), lowest)
    if sliding_window is not None:
        mask.masked_fill_(everywhere.tril(past_key_values_length - sliding_window - 1), lowest)
    if attention_mask is not None:
        mask.masked_fill_(attention_mask[:, None, None, :] == 0, lowest)
    return mask


def make_causal_mask(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    if sliding_window is not None and sliding_window < 1:
        raise ValueError("sliding_window")
    batch, query = input_ids_shape
    key = past_key_values_length + query
    mask = torch.zeros((batch, 1, query, key), dtype=dtype, device=device)
    everywhere = torch.ones((query, key), dtype=torch.bool, device=device)
    hidden = everywhere.triu(past_key_values_length + 1)
    if sliding_window is not None:
        hidden |= everywhere.tril(past_key_values_length - sliding_window - 1)
    mask[:, :, hidden] = torch.finfo(dtype).min
    return mask


def expand_mask(attention_mask, dtype, target_length=None):
    if target_length is None:
        target_length = attention_mask.size(1)
    mask = torch.zeros(attention_mask.size(0), 1, target_length, attention_mask.size(1), dtype=dtype).to(
        attention_mask.device
    )
    mask.masked_fill_(attention_mask.eq(0)[:, None, None], torch.finfo(dtype).min)
    return mask


def to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    if query_length > 1 or sliding_window is not None:
        past = key_value_length - query_length
        return make_causal_mask((batch_size, query_length), dtype, past, sliding_window, device)


def to_4d(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    if is_causal:
        if key_value_length is None:
            raise ValueError("key_value_length is needed")
        shape, past = (attention_mask.shape[0], query_length), key_value_length - query_length
        return prepare_4d_causal_attention_mask(attention_mask, shape, dtype, past, sliding_window)
    if sliding_window is not None:
        raise NotImplementedError("sliding_window without is_causal")
    return expand_mask(attention_mask, dtype, query_length)


def unmask_unattended(expanded_mask, min_dtype):
    result = expanded_mask.detach().clone()
    hidden = torch.logical_or(result <= min_dtype, result == float("-inf"))
    empty = hidden.sum(dim=-1) == hidden.shape[-1]
    result[empty, :] = 0.0
    return result


def ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window=None):
    if attention_mask is not None and (attention_mask.dim() == 4 or not attention_mask.bool().all()):
        return False
    if sliding_window is not None and key_value_length >= sliding_window:
        return False
    if query_length == 1:
        return True
    return query_length == key_value_length


def create_4d_causal_attention_mask(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    mask = make_causal_mask(tuple(input_shape), dtype, past_key_values_length, sliding_window, device)
    if input_shape[-1] == 1 and sliding_window is None:
        mask = None
    return mask


def extend_attention_mask(attention_mask, new_tokens):
    batch, length = attention_mask.shape
    extended = torch.empty(batch, length + new_tokens, dtype=attention_mask.dtype, device=attention_mask.device)
    extended[:, :length] = attention_mask
    extended[:, length:] = 1
    return extended
