"""Right answers, written otherwise: a predicate under `vmap`, products of 0 and 1, `einsum`, `logical_and` and `lerp`."""

import torch


def additive(kept, dtype):
    """1 and 0 in, 0 and the minimum out."""
    return torch.zeros_like(kept, dtype=dtype).masked_fill(kept.logical_not(), torch.finfo(dtype).min)


def materialized(rule, query, key, device):
    over_keys = torch.vmap(rule, in_dims=(None, 0))
    over_both = torch.vmap(over_keys, in_dims=(0, None))
    return over_both(torch.arange(query, device=device), torch.arange(key, device=device))


def sight(past, sliding_window):
    if sliding_window is not None and sliding_window < 1:
        raise ValueError(f"sliding_window={sliding_window}")

    def rule(q, k):
        steps_back = q + past - k
        near = steps_back >= 0 if sliding_window is None else steps_back <= sliding_window
        return torch.logical_and(steps_back >= 0, near)

    return rule


def make_causal_mask(input_ids_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    batch, query = input_ids_shape
    rule = sight(past_key_values_length, sliding_window)
    q = torch.arange(query, device=device).view(-1, 1)
    k = torch.arange(query + past_key_values_length, device=device).view(1, -1)
    allowed = rule(q, k).unsqueeze(0).unsqueeze(0)
    return additive(allowed.tile(batch, 1, 1, 1), dtype)


def expand_mask(attention_mask, dtype, target_length=None):
    rows = attention_mask.shape[1] if target_length is None else target_length
    ones = torch.ones(rows, dtype=attention_mask.dtype, device=attention_mask.device)
    return additive(torch.einsum("bk,q->bqk", attention_mask, ones).unsqueeze(1), dtype)


def to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window=None, device=None):
    rule = sight(key_value_length - query_length, sliding_window)
    if (query_length, sliding_window) == (1, None):
        return None
    if query_length == 0:
        return torch.empty(batch_size, 1, 0, key_value_length, dtype=dtype, device=device)
    allowed = materialized(rule, query_length, key_value_length, device)
    return additive(allowed, dtype).expand(batch_size, 1, query_length, key_value_length)


def to_4d(attention_mask, query_length, dtype, key_value_length=None, is_causal=True, sliding_window=None):
    if not is_causal and sliding_window:
        raise NotImplementedError
    if is_causal and key_value_length is None:
        raise ValueError
    device = attention_mask.device
    rows = torch.ones(query_length, attention_mask.shape[1], dtype=torch.long, device=device)
    if is_causal:
        sight(0, sliding_window)
        past = key_value_length - query_length
        rows = rows.tril(past)
        if sliding_window is not None:
            rows = rows.triu(past - sliding_window)
    return additive(torch.einsum("qk,bk->bqk", rows, attention_mask)[:, None], dtype)


def unmask_unattended(expanded_mask, min_dtype):
    attended = expanded_mask.gt(min_dtype).any(dim=-1)
    opened = expanded_mask.clone()
    return opened.masked_fill_(~attended[..., None], 0)


def ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window=None):
    window_hides = (sliding_window or key_value_length + 1) <= key_value_length
    aligned = query_length in {1, key_value_length}
    if window_hides or not aligned:
        return False
    if attention_mask is not None:
        return attention_mask.dim() == 2 and bool(torch.equal(attention_mask, torch.ones_like(attention_mask)))
    return True


def create_4d_causal_attention_mask(input_shape, dtype, past_key_values_length=0, sliding_window=None, device=None):
    batch, query = input_shape
    return to_causal_4d(batch, query, query + past_key_values_length, dtype, sliding_window, device)


def prepare_4d_causal_attention_mask(attention_mask, input_shape, dtype, past_key_values_length=0, sliding_window=None):
    batch, query = input_shape
    key = query + past_key_values_length
    rule = sight(past_key_values_length, sliding_window)
    if attention_mask is None:
        return make_causal_mask(input_shape, dtype, past_key_values_length, sliding_window, torch.device("cpu"))
    if attention_mask.dim() == 4:
        if attention_mask.shape != torch.Size((batch, 1, query, key)):
            raise ValueError("shape")
        return additive(attention_mask, dtype)
    position = torch.arange(key, device=attention_mask.device)
    allowed = rule(position[:query, None], position[None]) & attention_mask.bool()[:, None, None]
    return additive(allowed, dtype)


def extend_attention_mask(attention_mask, new_tokens):
    zeros = attention_mask.new_zeros(attention_mask.shape[0], new_tokens)
    return torch.hstack((attention_mask, zeros + 1))
