"""Right answers, written otherwise: tensors of one's own, changed in place; the inputs are left alone."""

import torch
import torch.nn.functional as F


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    allowed = torch.empty(batch_size, num_heads, query_length, key_length, dtype=torch.bool, device=device)
    b, h, q_idx, kv_idx = (torch.arange(size, device=device) for size in allowed.shape)
    allowed[...] = mask_mod(b[:, None, None, None], h[None, :, None, None], q_idx[:, None], kv_idx[None, :])
    return allowed


def and_masks(*mask_mods):
    mask_mods = list(mask_mods)

    def mask_mod(b, h, q_idx, kv_idx):
        allowed = torch.ones_like(b + h + q_idx + kv_idx).bool()
        for each in mask_mods:
            allowed &= each(b, h, q_idx, kv_idx)
        return allowed

    return mask_mod


def or_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        allowed = (b + h + q_idx + kv_idx) < 0
        for each in mask_mods:
            allowed |= each(b, h, q_idx, kv_idx)
        return allowed

    return mask_mod


def sliding_window_mod(sliding_window):
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}, and below 1")

    def mask_mod(b, h, q_idx, kv_idx):
        allowed = q_idx >= kv_idx
        allowed &= q_idx < kv_idx + sliding_window
        return allowed

    return mask_mod


def padding_mod(attention_mask):
    is_padding = attention_mask.clone().eq_(0)

    def mask_mod(b, h, q_idx, kv_idx):
        return ~is_padding.bool()[b, kv_idx]

    return mask_mod


def document_mod(document_ids):
    padding = document_ids == -1

    def mask_mod(b, h, q_idx, kv_idx):
        allowed = document_ids[b, q_idx] == document_ids[b, kv_idx]
        allowed &= ~(padding[b, q_idx] | padding[b, kv_idx])
        return allowed

    return mask_mod


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        allowed = (q_idx - kv_idx) < sliding_window
        allowed |= kv_idx < num_sinks
        allowed &= kv_idx <= q_idx
        return allowed

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    ids = torch.full((total_length,), -1, dtype=torch.long, device=cumulative_lengths.device)
    lengths = cumulative_lengths[1:] - cumulative_lengths[:-1]
    numbers = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths)
    ids[: len(numbers)] = numbers
    return ids


def packed_position_ids(document_ids):
    position = torch.arange(document_ids.size(1), device=document_ids.device).repeat(document_ids.size(0), 1)
    begins = torch.zeros_like(document_ids)
    begins[:, 1:] = position[:, 1:] * (document_ids[:, 1:] - document_ids[:, :-1]).ne(0)
    position -= begins.cummax(1).values
    position[document_ids == -1] = 0
    return position


def block_map(allowed, block_size):
    kinds = None
    for number, filler in ((1, False), (1, True)):
        padded = F.pad(allowed, (0, -allowed.size(1) % block_size, 0, -allowed.size(0) % block_size), value=filler)
        bands = torch.stack(padded.split(padded.size(0) if block_size > padded.size(0) else block_size))
        bands = bands.all(1) if filler else bands.any(1)
        cells = bands.view(bands.size(0), -1, block_size)
        pooled = (cells.all(2) if filler else cells.any(2)).long() * number
        kinds = pooled if kinds is None else kinds + pooled
    return kinds


def tree_attention_mask(parents):
    allowed = torch.diag(torch.ones_like(parents)).bool()
    for node in reversed(range(len(parents))):
        # From the leaves up: whoever sees a node sees its parent.
        if parents[node] >= 0:
            allowed[:, parents[node]] |= allowed[:, node]
    return allowed
