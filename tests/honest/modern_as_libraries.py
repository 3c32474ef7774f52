"""Right answers, written otherwise: as FlexAttention, Transformers and attention-gym write them."""

import torch


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    """FlexAttention's `create_mask`: vmap over all four, from the innermost axis."""
    b, h, m, n = (torch.arange(0, size, device=device) for size in (batch_size, num_heads, query_length, key_length))
    for dimensions in ((None, None, None, 0), (None, None, 0, None), (None, 0, None, None), (0, None, None, None)):
        mask_mod = torch.vmap(mask_mod, in_dims=dimensions, out_dims=0)
    return mask_mod(b, h, m, n)


def and_masks(*mask_mods):
    if not all(callable(arg) for arg in mask_mods):
        raise RuntimeError("all inputs should be callable mask_mods")

    def and_mask(b, h, q_idx, kv_idx):
        result = b.new_ones((), dtype=torch.bool)
        for mask in mask_mods:
            result = result & mask(b, h, q_idx, kv_idx).to(result.device)
        return result

    return and_mask


def or_masks(*mask_mods):
    def or_mask(b, h, q_idx, kv_idx):
        result = q_idx.new_zeros((), dtype=torch.bool)
        for mask in mask_mods:
            result = result | mask(b, h, q_idx, kv_idx).to(result.device)
        return result

    return or_mask


def causal_mask_function(batch_idx, head_idx, q_idx, kv_idx):
    return kv_idx <= q_idx


def sliding_window_overlay(sliding_window):
    def inner_mask(batch_idx, head_idx, q_idx, kv_idx):
        return kv_idx > q_idx - sliding_window

    return inner_mask


def sliding_window_mod(sliding_window):
    if sliding_window < 1:
        raise ValueError(f"{sliding_window=}")
    return and_masks(sliding_window_overlay(sliding_window), causal_mask_function)


def padding_mod(padding_mask):
    padding_mask = padding_mask.bool()

    def inner_mask(batch_idx, head_idx, q_idx, kv_idx):
        return padding_mask[batch_idx, kv_idx]

    return inner_mask


def document_mod(packed_sequence_mask):
    def inner_mask(batch_idx, head_idx, q_idx, kv_idx):
        return packed_sequence_mask[batch_idx, q_idx] == packed_sequence_mask[batch_idx, kv_idx]

    return and_masks(inner_mask, padding_mod(packed_sequence_mask + 1))


def attention_sink_mod(sliding_window, num_sinks):
    def sinks(batch_idx, head_idx, q_idx, kv_idx):
        return kv_idx < num_sinks

    return and_masks(causal_mask_function, or_masks(sliding_window_overlay(sliding_window), sinks))


def document_ids(offsets, total_length):
    device = offsets.device
    counts = torch.cat([offsets[1:] - offsets[:-1], (total_length - offsets[-1])[None]])
    numbers = torch.arange(len(counts), device=device)
    numbers[-1] = -1
    return torch.repeat_interleave(numbers, counts, output_size=total_length)


def packed_position_ids(document_ids):
    changes = torch.diff(document_ids, prepend=document_ids[:, :1] - 1) != 0
    index = torch.arange(document_ids.shape[-1], device=document_ids.device)
    starts = torch.where(changes, index, 0).cummax(dim=-1).values
    return (index - starts) * (document_ids != -1)


def block_map(allowed, block_size):
    """FlexAttention's `_convert_mask_to_block_mask` counts the cells of a block; its edge is filled with what is not there."""
    queries, keys = allowed.shape
    padding = (0, -keys % block_size, 0, -queries % block_size)
    count, there = (
        torch.nn.functional.pad(mask, padding, value=False)
        .view(-(-queries // block_size), block_size, -(-keys // block_size), block_size)
        .permute(0, 2, 1, 3)
        .sum(dim=[-2, -1])
        for mask in (allowed, torch.ones_like(allowed))
    )
    partial = (count > 0) & (count < there)
    return partial.long() + 2 * (count == there).long()


def tree_attention_mask(parents):
    """As Medusa builds it: one row per path from the root."""
    paths = []
    for node, parent in enumerate(parents.tolist()):
        paths.append([*(paths[parent] if parent >= 0 else []), node])
    mask = torch.eye(len(paths), dtype=torch.bool)
    for node, path in enumerate(paths):
        mask[node, path] = True
    return mask.to(parents.device)
