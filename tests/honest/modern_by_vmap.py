"""Right answers, written otherwise: vmap over single cells, precomputed tables, lengths in place of borders, unfold."""

import torch
import torch.nn.functional as F


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    over_keys = torch.vmap(mask_mod, in_dims=(None, None, None, 0))
    over_queries = torch.vmap(over_keys, in_dims=(None, None, 0, None))
    over_heads = torch.vmap(over_queries, in_dims=(None, 0, None, None))
    over_all = torch.vmap(over_heads, in_dims=(0, None, None, None))
    return over_all(*(torch.arange(size, device=device) for size in (batch_size, num_heads, query_length, key_length)))


def and_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        answers = [mask_mod(b, h, q_idx, kv_idx) for mask_mod in mask_mods]
        if not answers:
            return b.new_ones((), dtype=torch.bool)
        return torch.stack(torch.broadcast_tensors(*answers)).all(dim=0)

    return mask_mod


def or_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        answers = [mask_mod(b, h, q_idx, kv_idx) for mask_mod in mask_mods]
        if not answers:
            return b.new_zeros((), dtype=torch.bool)
        return torch.stack(torch.broadcast_tensors(*answers)).any(dim=0)

    return mask_mod


def sliding_window_mod(sliding_window):
    if sliding_window <= 0:
        raise ValueError(f"sliding_window={sliding_window}")
    return lambda b, h, q_idx, kv_idx: (kv_idx <= q_idx) & (kv_idx > q_idx - sliding_window)


def padding_mod(attention_mask):
    words = attention_mask.bool()
    return lambda b, h, q_idx, kv_idx: words[b, kv_idx]


def document_mod(document_ids):
    same = document_ids[:, :, None] == document_ids[:, None, :]
    same = same & (document_ids >= 0)[:, :, None]
    return lambda b, h, q_idx, kv_idx: same[b, q_idx, kv_idx]


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        causal = q_idx >= kv_idx
        return (causal & (q_idx - kv_idx < sliding_window)) | (causal & (kv_idx < num_sinks))

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    lengths = cumulative_lengths.diff()
    numbers = torch.arange(lengths.numel(), device=lengths.device).repeat_interleave(lengths)
    return F.pad(numbers, (0, total_length - numbers.numel()), value=-1)


def packed_position_ids(document_ids):
    earlier = torch.ones(document_ids.shape[1], document_ids.shape[1], device=document_ids.device).tril(-1).bool()
    same = document_ids[:, :, None] == document_ids[:, None, :]
    return ((same & earlier).sum(dim=-1)) * (document_ids != -1)


def block_map(allowed, block_size):
    edges = (0, -allowed.shape[1] % block_size, 0, -allowed.shape[0] % block_size)
    cells = (
        F.pad(allowed.float(), edges).unfold(0, block_size, block_size).unfold(1, block_size, block_size).sum((2, 3))
    )
    real = F.pad(torch.ones_like(allowed).float(), edges)
    real = real.unfold(0, block_size, block_size).unfold(1, block_size, block_size).sum((2, 3))
    return torch.where(cells == real, 2, torch.where(cells > 0, 1, 0))


def tree_attention_mask(parents):
    nodes = torch.arange(len(parents), device=parents.device)
    step = (parents[:, None] == nodes).float()
    reached = torch.eye(len(parents), device=parents.device)
    for _ in range(len(parents)):
        reached = torch.eye(len(parents), device=parents.device) + reached @ step
    return reached > 0
