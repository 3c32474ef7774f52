"""Right answers, written otherwise: votes, marks and sums in place of logic."""

import torch
import torch.nn.functional as F


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    total = batch_size * num_heads * query_length * key_length
    cell = torch.arange(total, device=device)
    kv_idx = cell % max(key_length, 1)
    q_idx = cell // max(key_length, 1) % max(query_length, 1)
    row = cell // max(key_length * query_length, 1)
    answers = mask_mod(row // max(num_heads, 1), row % max(num_heads, 1), q_idx, kv_idx)
    return answers.expand(total).view(batch_size, num_heads, query_length, key_length)


def and_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        votes = torch.zeros_like(b)
        for each in mask_mods:
            votes = votes + each(b, h, q_idx, kv_idx)
        return votes == len(mask_mods)

    return mask_mod


def or_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        return sum((each(b, h, q_idx, kv_idx).long() for each in mask_mods), torch.zeros_like(b)) > 0

    return mask_mod


def sliding_window_mod(sliding_window):
    if sliding_window < 1:
        raise ValueError(sliding_window)

    def mask_mod(b, h, q_idx, kv_idx):
        steps = q_idx - kv_idx
        return steps == steps.clamp(0, sliding_window - 1)

    return mask_mod


def padding_mod(attention_mask):
    def mask_mod(b, h, q_idx, kv_idx):
        return attention_mask.flatten()[b * attention_mask.shape[1] + kv_idx] != 0

    return mask_mod


def document_mod(document_ids):
    numbers = document_ids.double().masked_fill(document_ids == -1, float("nan"))  # NaN equals nothing, not even itself

    def mask_mod(b, h, q_idx, kv_idx):
        return numbers[b, q_idx] == numbers[b, kv_idx]

    return mask_mod


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        oldest = torch.where(kv_idx < num_sinks, 0, q_idx - sliding_window + 1)
        return (oldest <= kv_idx) & (kv_idx <= q_idx)

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    marks = torch.zeros(total_length + 1, dtype=torch.long, device=cumulative_lengths.device)
    marks.index_add_(0, cumulative_lengths, torch.ones_like(cumulative_lengths))
    passed = marks.cumsum(0)[:total_length]
    return torch.where(passed == len(cumulative_lengths), -1, passed - 1)


def packed_position_ids(document_ids):
    same_as_before = document_ids[:, 1:] == document_ids[:, :-1]
    run = F.pad((~same_as_before).cumsum(dim=1), (1, 0))
    before = (run[:, :, None] == run[:, None, :]).long().tril(-1)
    return before.sum(dim=2) * (document_ids != -1).long()


def block_map(allowed, block_size):
    # Sums over rectangles from the top left corner; four of them give the sum over any block.
    queries, keys = allowed.shape
    table = F.pad(allowed.long().cumsum(0).cumsum(1), (1, 0, 1, 0))
    top = torch.arange(0, queries, block_size, device=allowed.device)
    left = torch.arange(0, keys, block_size, device=allowed.device)
    bottom, right = (top + block_size).clamp(max=queries), (left + block_size).clamp(max=keys)
    count = table[bottom][:, right] - table[top][:, right] - table[bottom][:, left] + table[top][:, left]
    cells = (bottom - top)[:, None] * (right - left)
    return (count > 0).long() + (count == cells).long()


def tree_attention_mask(parents):
    nodes = len(parents)
    seen = torch.eye(nodes, dtype=torch.bool, device=parents.device)
    ancestor = parents.clone()
    for _ in range(nodes):
        has_one = ancestor >= 0
        seen[has_one.nonzero()[:, 0], ancestor[has_one]] = True
        ancestor = torch.where(has_one, parents[ancestor.clamp(min=0)], -1)
    return seen
