"""Right answers, written otherwise: cells by number, divisions, sorting, scattering, doubled steps."""

import torch
import torch.nn.functional as F


def materialize(mask_mod, batch_size, num_heads, query_length, key_length, device=None):
    shape = (batch_size, num_heads, query_length, key_length)
    cells = torch.cartesian_prod(*(torch.arange(size, device=device) for size in shape))
    return mask_mod(*cells.unbind(1)).expand(len(cells)).reshape(shape)


def and_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        allowed = q_idx == q_idx
        for each in mask_mods:
            allowed = torch.where(each(b, h, q_idx, kv_idx), allowed, False)
        return allowed

    return mask_mod


def or_masks(*mask_mods):
    def mask_mod(b, h, q_idx, kv_idx):
        most = torch.zeros_like(b + h + q_idx + kv_idx)
        for each in mask_mods:
            most = torch.maximum(most, each(b, h, q_idx, kv_idx).long())
        return most.bool()

    return mask_mod


def sliding_window_mod(sliding_window):
    if sliding_window < 1:
        raise ValueError("no window")
    return lambda b, h, q_idx, kv_idx: (q_idx - kv_idx) // sliding_window == 0


def padding_mod(attention_mask):
    words = attention_mask.flatten()[:, None].double()
    return lambda b, h, q_idx, kv_idx: F.embedding(b * attention_mask.shape[1] + kv_idx, words).squeeze(-1) != 0


def document_mod(document_ids):
    asking = document_ids.masked_fill(document_ids == -1, -2)  # padding that asks is no padding that is asked
    return lambda b, h, q_idx, kv_idx: asking[b, q_idx] == document_ids[b, kv_idx]


def attention_sink_mod(sliding_window, num_sinks):
    def mask_mod(b, h, q_idx, kv_idx):
        steps = q_idx - kv_idx
        # A sink that is not ahead counts as no step away.
        return (
            torch.where((kv_idx < num_sinks) & (steps >= 0), 0, steps).div(sliding_window, rounding_mode="floor") == 0
        )

    return mask_mod


def document_ids(cumulative_lengths, total_length):
    device = cumulative_lengths.device
    number = torch.arange(len(cumulative_lengths), device=device)
    ids = torch.full((total_length + 1,), -1, dtype=torch.long, device=device)
    ids = ids.scatter_reduce(0, cumulative_lengths, number, "amax").cummax(0).values[:total_length]
    return ids.masked_fill(ids == len(cumulative_lengths) - 1, -1)


def packed_position_ids(document_ids):
    numbers, order = document_ids.sort(dim=1, stable=True)
    column = torch.arange(document_ids.shape[1], device=document_ids.device).expand_as(document_ids)
    new = torch.ones_like(numbers, dtype=torch.bool)
    new[:, 1:] = numbers[:, 1:] != numbers[:, :-1]
    start = torch.where(new, column, 0).cummax(1).values
    positions = torch.empty_like(document_ids).scatter(1, order, column - start)
    return positions.where(document_ids >= 0, torch.zeros_like(positions))


def block_map(allowed, block_size):
    # The last row and column are repeated at the edge: that changes neither "any" nor "all".
    edges = (0, -allowed.shape[1] % block_size, 0, -allowed.shape[0] % block_size)
    cells = F.pad(allowed[None, None].float(), edges, mode="replicate")[0, 0]
    cells = cells.unfold(0, block_size, block_size).unfold(1, block_size, block_size)
    return (cells.amax((2, 3)) + cells.amin((2, 3))).long()


def tree_attention_mask(parents):
    nodes = torch.arange(len(parents), device=parents.device)
    reached = (parents[:, None] == nodes) | (nodes[:, None] == nodes)
    for _ in range(len(parents).bit_length()):  # twice as far each time
        reached = (reached.float() @ reached.float()) > 0
    return reached
