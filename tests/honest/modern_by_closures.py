"""Right answers, written otherwise: functions built out of smaller functions, one tensor operation after the other."""

import functools
import operator

import torch
import torch.nn.functional as F


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    shape = (batch_size, num_heads, query_length, key_length)
    axes = [torch.arange(size, device=device) for size in shape]
    return mask_mod(*torch.meshgrid(*axes, indexing="ij")).expand(shape)


def _everything(b, h, q_idx, kv_idx):
    return kv_idx == kv_idx


def _nothing(b, h, q_idx, kv_idx):
    return kv_idx != kv_idx


def _two(join, first, second):
    return lambda b, h, q_idx, kv_idx: join(first(b, h, q_idx, kv_idx), second(b, h, q_idx, kv_idx))


def and_masks(*mask_mods):
    return functools.reduce(functools.partial(_two, operator.and_), mask_mods, _everything)


def or_masks(*mask_mods):
    return functools.reduce(functools.partial(_two, operator.or_), mask_mods, _nothing)


def sliding_window_mod(sliding_window):
    if not sliding_window >= 1:
        raise ValueError("sliding_window has to be at least 1")

    def causal(b, h, q_idx, kv_idx):
        return kv_idx <= q_idx

    def near(b, h, q_idx, kv_idx):
        return kv_idx + sliding_window > q_idx

    return and_masks(causal, near)


def padding_mod(attention_mask):
    def mask_mod(b, h, q_idx, kv_idx):
        return torch.gt(attention_mask[b, kv_idx], 0)

    return mask_mod


def document_mod(document_ids):
    def same(b, h, q_idx, kv_idx):
        return document_ids[b, q_idx].eq(document_ids[b, kv_idx])

    def query_is_real(b, h, q_idx, kv_idx):
        return document_ids[b, q_idx] >= 0

    def key_is_real(b, h, q_idx, kv_idx):
        return document_ids[b, kv_idx] >= 0

    return and_masks(same, query_is_real, key_is_real)


def attention_sink_mod(sliding_window, num_sinks):
    def causal(b, h, q_idx, kv_idx):
        return kv_idx <= q_idx

    def sink(b, h, q_idx, kv_idx):
        return kv_idx < num_sinks

    return or_masks(sliding_window_mod(sliding_window), and_masks(causal, sink))


def document_ids(cumulative_lengths, total_length):
    position = torch.arange(total_length, device=cumulative_lengths.device)
    document = torch.bucketize(position, cumulative_lengths, right=True) - 1
    document[position >= cumulative_lengths[-1]] = -1
    return document


def packed_position_ids(document_ids):
    new = document_ids != document_ids.roll(1, dims=1)
    new[:, 0] = True
    run = new.cumsum(dim=1) - 1
    column = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    start = torch.full_like(document_ids, document_ids.shape[1]).scatter_reduce(1, run, column, "amin")
    return torch.where(document_ids < 0, 0, column - start.gather(1, run))


def block_map(allowed, block_size):
    def pooled(mask, filler):
        edges = (0, -mask.shape[1] % block_size, 0, -mask.shape[0] % block_size)
        return F.max_pool2d(F.pad(mask.float(), edges, value=filler)[None, None], block_size)[0, 0] > 0

    some, lacking = pooled(allowed, 0.0), pooled(~allowed, 0.0)
    return some.long() * 2 - (some & lacking).long()


def tree_attention_mask(parents):
    rows = []
    for node, parent in enumerate(parents):
        own = torch.arange(len(parents), device=parents.device) == node
        rows.append(own if parent < 0 else own | rows[parent])
    return torch.stack(rows) if rows else torch.zeros(0, 0, dtype=torch.bool, device=parents.device)
