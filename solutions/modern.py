"""Notebook 06, answered, with the reason for each choice."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor

#: `mask_mod(b, h, q_idx, kv_idx)`: in sentence b and head h, may query q_idx attend to key kv_idx? Four tensors of whole
#: numbers (int64 or int32) that broadcast to one shape go in, a bool tensor of that shape (or one that broadcasts to it)
#: comes out. Tensor operations alone count: no Python loop over cells, since `torch.vmap` asks about one cell at a time.
MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Bool[Tensor, "..."]]


def materialize(
    mask_mod: MaskFunction,
    batch_size: int,
    num_heads: int,
    query_length: int,
    key_length: int,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch heads query key"]:
    shape = (batch_size, num_heads, query_length, key_length)
    b, h, q, k = (torch.arange(length, device=device) for length in shape)
    allowed = mask_mod(b[:, None, None, None], h[:, None, None], q[:, None], k)
    # A mask function that does not look at b or h answers with fewer axes: expanded, each sentence and head gets its own.
    return allowed.expand(shape)


def and_masks(*mask_mods: MaskFunction) -> MaskFunction:
    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        # The loop runs inside, over the tuple that this call of and_masks holds: functions made in a loop would all look
        # its variable up when they are asked, and find the last one.
        allowed = torch.ones_like(q_idx, dtype=torch.bool)
        for mask_mod in mask_mods:
            allowed = allowed & mask_mod(b, h, q_idx, kv_idx)
        return allowed

    return mask_function


def or_masks(*mask_mods: MaskFunction) -> MaskFunction:
    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        # Whoever starts at False is left with what the others say: of none, nothing is allowed.
        allowed = torch.zeros_like(q_idx, dtype=torch.bool)
        for mask_mod in mask_mods:
            allowed = allowed | mask_mod(b, h, q_idx, kv_idx)
        return allowed

    return mask_function


def sliding_window_mod(sliding_window: int) -> MaskFunction:
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; a query sees at least itself, so it is 1 or more")

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        # One distance decides both ends; `&`, since Python's `and` asks a tensor for one truth value.
        steps_back = q_idx - kv_idx
        return (steps_back >= 0) & (steps_back < sliding_window)

    return mask_function


def padding_mod(attention_mask: Int[Tensor, "batch sequence"]) -> MaskFunction:
    is_real = attention_mask == 1

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        # The key is looked up in its own sentence, and the query is not asked: a padding row stays a row like any other.
        return is_real[b, kv_idx]

    return mask_function


def document_mod(document_ids: Int[Tensor, "batch sequence"]) -> MaskFunction:
    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        asking, asked = document_ids[b, q_idx], document_ids[b, kv_idx]
        # Padding has a number of its own, so that it would be a document; where the two are equal, one test rules it out.
        return (asking == asked) & (asking != -1)

    return mask_function


def attention_sink_mod(sliding_window: int, num_sinks: int) -> MaskFunction:
    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        in_window = q_idx - kv_idx < sliding_window
        # Causal is asked outside the brackets: the first queries would else see sinks that come after them.
        return (kv_idx <= q_idx) & (in_window | (kv_idx < num_sinks))

    return mask_function


def document_ids(cumulative_lengths: Int[Tensor, " borders"], total_length: int) -> Int[Tensor, " total"]:
    position = torch.arange(total_length, device=cumulative_lengths.device)
    # right=True counts the borders at or before a position: one that starts a document belongs to it, and of the equal
    # borders around an empty document all are passed. The first border is 0, hence - 1.
    document = torch.searchsorted(cumulative_lengths, position, right=True) - 1
    return torch.where(position < cumulative_lengths[-1], document, -1)


def packed_position_ids(document_ids: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    position = torch.arange(document_ids.shape[1], device=document_ids.device)
    starts = torch.ones_like(document_ids, dtype=torch.bool)
    starts[:, 1:] = document_ids[:, 1:] != document_ids[:, :-1]
    # The running maximum of the starts is where the document that a position is of began.
    start = torch.where(starts, position, 0).cummax(dim=1).values
    return (position - start).masked_fill(document_ids == -1, 0)


def block_map(allowed: Bool[Tensor, "query key"], block_size: int) -> Int[Tensor, "query_blocks key_blocks"]:
    rows, columns = (-(-length // block_size) for length in allowed.shape)
    edges = (0, columns * block_size - allowed.shape[1], 0, rows * block_size - allowed.shape[0])

    # What is added at the edge must not count: False where one cell has to be allowed, True where all of them have to.
    def blocks(filler: bool) -> Bool[Tensor, "query_blocks key_blocks cells"]:
        padded = F.pad(allowed, edges, value=filler)
        return padded.unflatten(1, (columns, block_size)).unflatten(0, (rows, block_size)).transpose(1, 2).flatten(2)

    return blocks(False).any(dim=2).long() + blocks(True).all(dim=2).long()


def tree_attention_mask(parents: Int[Tensor, " nodes"]) -> Bool[Tensor, "nodes nodes"]:
    allowed = torch.eye(len(parents), dtype=torch.bool, device=parents.device)
    for node, parent in enumerate(parents.tolist()):
        # Parents come first, so that a parent's row is finished: a node sees what its parent sees, and itself.
        if parent != -1:
            allowed[node] |= allowed[parent]
    return allowed
