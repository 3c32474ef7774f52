"""Right answers, written otherwise: the library's own create_mask, one-hot rows, matrix products, sums over rectangles."""

import functools

import torch
import torch.nn.functional as F
from torch.nn.attention.flex_attention import create_mask


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    device = torch.get_default_device() if device is None else device
    return create_mask(mask_mod, batch_size, num_heads, query_length, key_length, device=device)


def and_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        noes = torch.zeros((), dtype=torch.bool, device=b.device)
        for each in mask_mods:
            noes = noes | ~each(b, h, q_idx, kv_idx)
        return ~noes

    return mask_mod


def or_masks(*mask_mods):
    def ask(mask_mods, b, h, q_idx, kv_idx):
        answers = (each(b, h, q_idx, kv_idx) for each in mask_mods)
        return functools.reduce(torch.logical_or, answers, b.new_full((), False, dtype=torch.bool))

    return functools.partial(ask, mask_mods)


def sliding_window_mod(sliding_window):
    if sliding_window < 1:

        class WindowError(ValueError):
            """A window that shows nothing."""

        raise WindowError

    def mask_mod(b, h, q_idx, kv_idx):
        steps = torch.arange(sliding_window, device=q_idx.device)
        return ((q_idx - kv_idx).unsqueeze(-1) == steps).any(dim=-1)

    return mask_mod


def _row(numbers, index, size):
    return (index.unsqueeze(-1) == torch.arange(size, device=index.device)).to(numbers.dtype)


def padding_mod(attention_mask):
    words = attention_mask.float()

    def mask_mod(b, h, q_idx, kv_idx):
        rows, columns = _row(words, b, words.shape[0]), _row(words, kv_idx, words.shape[1])
        return torch.einsum("...r,rc,...c->...", rows, words, columns) > 0.5

    return mask_mod


def document_mod(document_ids):
    own = F.one_hot(document_ids + 1)[..., 1:].float()  # padding is in no column
    same = (own @ own.mT) > 0

    def mask_mod(batch, head, query, key):
        return same[batch, query, key]

    return mask_mod


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        later = (kv_idx > q_idx).int()
        evicted = ((q_idx - kv_idx >= sliding_window) & (kv_idx >= num_sinks)).int()
        return later + evicted == 0

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    position = torch.arange(total_length, device=cumulative_lengths.device)
    inside = (position[:, None] >= cumulative_lengths[:-1]) & (position[:, None] < cumulative_lengths[1:])
    numbers = torch.arange(1, len(cumulative_lengths), device=position.device)
    return (inside.double() @ numbers.double()).round().long() - 1


def packed_position_ids(document_ids):
    same = (document_ids.unsqueeze(2) == document_ids.unsqueeze(1)).double()
    earlier = torch.ones_like(same[0]).tril(-1)
    return torch.einsum("bqk,qk->bq", same, earlier).long().masked_fill(document_ids == -1, 0)


def block_map(allowed, block_size):
    rows, columns = (
        F.one_hot(torch.arange(length, device=allowed.device) // block_size).double() for length in allowed.shape
    )
    count = torch.einsum("qr,qk,kc->rc", rows, allowed.double(), columns)
    return (count > 0).long() + (count == torch.outer(rows.sum(0), columns.sum(0))).long()


def tree_attention_mask(parents):
    nodes = torch.arange(len(parents), device=parents.device)
    step = (parents[:, None] == nodes).double()
    # All steps up together, 1 + P + P² + …, are the inverse of 1 - P.
    return torch.linalg.inv(torch.eye(len(parents), device=parents.device, dtype=torch.double) - step) > 0.5
