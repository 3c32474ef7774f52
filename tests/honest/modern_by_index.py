"""Right answers, written otherwise: views and one-hot rows, comparisons by their functions' names."""

import torch


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    b = torch.arange(batch_size, device=device).view(-1, 1, 1, 1)
    h = torch.arange(num_heads, device=device).view(1, -1, 1, 1)
    q_idx = torch.arange(query_length, device=device).view(1, 1, -1, 1)
    kv_idx = torch.arange(key_length, device=device).view(1, 1, 1, -1)
    return torch.broadcast_to(
        mask_mod(b, h, q_idx, kv_idx), (batch_size, num_heads, query_length, key_length)
    ).contiguous()


def and_masks(*mask_mods):
    if not mask_mods:
        return lambda b, h, q_idx, kv_idx: torch.logical_or(b == 0, b != 0)
    first, *others = mask_mods
    rest = and_masks(*others)
    return lambda b, h, q_idx, kv_idx: torch.logical_and(first(b, h, q_idx, kv_idx), rest(b, h, q_idx, kv_idx))


def or_masks(*mask_mods):
    if not mask_mods:
        return lambda b, h, q_idx, kv_idx: torch.logical_and(b == 0, b != 0)
    first, *others = mask_mods
    rest = or_masks(*others)
    return lambda b, h, q_idx, kv_idx: torch.logical_or(first(b, h, q_idx, kv_idx), rest(b, h, q_idx, kv_idx))


def sliding_window_mod(sliding_window):
    def mask_mod(b, h, q_idx, kv_idx):
        return torch.logical_and(torch.ge(q_idx, kv_idx), torch.lt(q_idx - sliding_window, kv_idx))

    if sliding_window < 1:
        raise ValueError(f"a window of {sliding_window}")
    return mask_mod


def padding_mod(attention_mask):
    class Words:
        def __call__(self, b, h, q_idx, kv_idx):
            return attention_mask[b, kv_idx].to(torch.bool)

    return Words()


def document_mod(document_ids):
    shifted = document_ids + 1  # padding is 0 now, so that a product with it is 0, too

    def mask_mod(b, h, q_idx, kv_idx):
        query, key = shifted[b, q_idx], shifted[b, kv_idx]
        return torch.logical_and(query == key, query * key > 0)

    return mask_mod


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        evicted = (q_idx - kv_idx >= sliding_window) & (kv_idx >= num_sinks)
        return ~evicted & ~(kv_idx > q_idx)

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    position = torch.arange(total_length, device=cumulative_lengths.device)[:, None]
    inside = (cumulative_lengths[:-1] <= position) & (position < cumulative_lengths[1:])
    number = torch.arange(len(cumulative_lengths) - 1, device=cumulative_lengths.device)
    return (inside * (number + 1)).sum(dim=1) - 1


def packed_position_ids(document_ids):
    ends = document_ids[:, :-1] != document_ids[:, 1:]
    column = torch.arange(document_ids.shape[1], device=document_ids.device)
    start = torch.zeros_like(document_ids)
    start[:, 1:] = torch.where(ends, column[1:], 0)
    start = torch.cummax(start, dim=-1)[0]
    return torch.where(document_ids.eq(-1), torch.zeros_like(start), column - start)


def block_map(allowed, block_size):
    queries, keys = allowed.shape
    rows, columns = (queries + block_size - 1) // block_size, (keys + block_size - 1) // block_size
    # 0 forbidden, 1 allowed, 2 not there at all: neither counts as the one nor as the other.
    cells = torch.full((rows * block_size, columns * block_size), 2, device=allowed.device)
    cells[:queries, :keys] = allowed.long()
    blocks = cells.reshape(rows, block_size, columns, block_size)
    yes, no = (blocks == 1).any(dim=3).any(dim=1), (blocks == 0).any(dim=3).any(dim=1)
    return torch.where(yes & no, 1, torch.where(yes, 2, 0))


def tree_attention_mask(parents):
    allowed = torch.zeros(len(parents), len(parents), dtype=torch.bool, device=parents.device)
    for node in range(len(parents)):
        walker = node
        while walker != -1:
            allowed[node, walker] = True
            walker = int(parents[walker])
    return allowed
