"""Notebook 06. Mask functions: a mask as a question, packed documents, blocks and trees."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbook import exercise

#: `mask_mod(b, h, q_idx, kv_idx)`: in sentence b and head h, may query q_idx attend to key kv_idx? Four tensors of whole
#: numbers (int64 or int32) that broadcast to one shape go in, a bool tensor of that shape (or one that broadcasts to it)
#: comes out. Tensor operations alone count: no Python loop over cells, since `torch.vmap` asks about one cell at a time.
MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Bool[Tensor, "..."]]


@exercise
def materialize(
    mask_mod: MaskFunction,
    batch_size: int,
    num_heads: int,
    query_length: int,
    key_length: int,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch heads query key"]:
    """True = may attend: asks `mask_mod` about every cell and writes the answers down as one tensor.

        def causal(b, h, q_idx, kv_idx):          materialize(causal, 2, 3, 3, 4)[0, 0]:
            return kv_idx <= q_idx
                                                               keys
                                                            0  1  2  3
        at query 2, key 1:  True                         0  ■  ⬚  ⬚  ⬚         ■ may attend
        at query 0, key 1:  False               queries  1  ■  ■  ⬚  ⬚         ⬚ may not
                                                         2  ■  ■  ■  ⬚

    Args:
        mask_mod: a mask function, asked with tensors of whole numbers on `device`: all at once, of shapes that broadcast,
            or under `torch.vmap`. Its answer may have fewer axes, or axes of length 1, where an index does not matter.
        batch_size: how many sentences; b runs from 0 to `batch_size - 1`.
        num_heads: how many heads, h.
        query_length: how many queries; `q_idx` runs from 0, whatever the number of keys.
        key_length: how many keys, `kv_idx`; 0 is allowed, as everywhere here.
        device: where the indices and the mask are made; torch's default if `None`.

    Returns:
        bool, `[batch_size, num_heads, query_length, key_length]`.

    Source: `create_mask` of `torch.nn.attention.flex_attention`.
    """
    raise NotImplementedError("modern.materialize")


@exercise
def and_masks(*mask_mods: MaskFunction) -> MaskFunction:
    """True = may attend: a mask function that says True where each of `mask_mods` does.

        causal          no padding (key 2)      and_masks(causal, no padding)

        ■  ⬚  ⬚  ⬚      ■  ■  ⬚  ■              ■  ⬚  ⬚  ⬚
        ■  ■  ⬚  ⬚      ■  ■  ⬚  ■              ■  ■  ⬚  ⬚         ■ may attend
        ■  ■  ■  ⬚      ■  ■  ⬚  ■              ■  ■  ⬚  ⬚         ⬚ may not
        ■  ■  ■  ■      ■  ■  ⬚  ■              ■  ■  ⬚  ■

    Args:
        mask_mods: mask functions, any number of them. Each is asked when the new one is.

    Returns:
        A mask function. Of no mask functions at all, it is one that allows everything: nobody says no.

    Source: `and_masks` of `torch.nn.attention.flex_attention` and of Transformers' `masking_utils`.
    """
    raise NotImplementedError("modern.and_masks")


@exercise
def or_masks(*mask_mods: MaskFunction) -> MaskFunction:
    """True = may attend: a mask function that says True where at least one of `mask_mods` does.

        a window of 2    the first key          or_masks(a window of 2, the first key)

        ■  ⬚  ⬚  ⬚       ■  ⬚  ⬚  ⬚             ■  ⬚  ⬚  ⬚
        ■  ■  ⬚  ⬚       ■  ⬚  ⬚  ⬚             ■  ■  ⬚  ⬚         ■ may attend
        ⬚  ■  ■  ⬚       ■  ⬚  ⬚  ⬚             ■  ■  ■  ⬚         ⬚ may not
        ⬚  ⬚  ■  ■       ■  ⬚  ⬚  ⬚             ■  ⬚  ■  ■

    Args:
        mask_mods: mask functions, any number of them. Each is asked when the new one is.

    Returns:
        A mask function. Of no mask functions at all, it is one that allows nothing: nobody says yes.

    Source: `or_masks` of `torch.nn.attention.flex_attention` and of Transformers' `masking_utils`.
    """
    raise NotImplementedError("modern.or_masks")


@exercise
def sliding_window_mod(sliding_window: int) -> MaskFunction:
    """True = may attend: a mask function that shows each query itself and the `sliding_window - 1` keys before it.

        a window of 2

                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚
        like       ■    ■     ⬚     ⬚          ■ may attend
        green      ⬚    ■     ■     ⬚          ⬚ may not
        tea        ⬚    ⬚     ■     ■

    It compares places, `q_idx` with `kv_idx`, and knows of no lengths: where queries stand behind a cache, whoever asks
    adds the past to `q_idx`.

    Args:
        sliding_window: how many keys a query sees at most, its own included.

    Returns:
        A mask function; no key after the query is seen.

    Raises:
        ValueError: the window is below 1.

    Source: Mistral 7B (2023); counted as `sliding_window_overlay` of Transformers' `masking_utils` counts it.
    """
    raise NotImplementedError("modern.sliding_window_mod")


@exercise
def padding_mod(attention_mask: Int[Tensor, "batch sequence"]) -> MaskFunction:
    """1 = real token goes in, True = may attend comes out: a mask function that hides the keys that are padding.

        attention mask  1 1 1 0                I  like  coffee  <pad>
                                     I         ■   ■      ■       ⬚
                                     like      ■   ■      ■       ⬚          ■ may attend
                                     coffee    ■   ■      ■       ⬚          ⬚ may not
                                     <pad>     ■   ■      ■       ⬚

    Only the key is asked, in its own sentence: the row of a padding query is as every other one.

    Args:
        attention_mask: 1 = real token, 0 = padding, wherever it stands; its second axis is the keys'.

    Returns:
        A mask function for these sentences.

    Source: `padding_mask_function` of Transformers' `masking_utils`.
    """
    raise NotImplementedError("modern.padding_mod")


@exercise
def document_mod(document_ids: Int[Tensor, "batch sequence"]) -> MaskFunction:
    """True = may attend: a mask function that lets a position see its own document only, and padding (-1) nothing.

        document ids  0 0 1 1 1 -1             I  like  you  like   tea  <pad>
                                     I         ■   ■     ⬚     ⬚     ⬚     ⬚
                                     like      ■   ■     ⬚     ⬚     ⬚     ⬚
                                     you       ⬚   ⬚     ■     ■     ■     ⬚         ■ may attend
                                     like      ⬚   ⬚     ■     ■     ■     ⬚         ⬚ may not
                                     tea       ⬚   ⬚     ■     ■     ■     ⬚
                                     <pad>     ⬚   ⬚     ⬚     ⬚     ⬚     ⬚

    The same number in the same row is the same document, wherever it stands. It is not causal: for that, join it with a
    causal mask function.

    Args:
        document_ids: for each row of the batch, which document each position is of: 0 or more, in any order; -1 where it
            is padding.

    Returns:
        A mask function for these rows; `q_idx` and `kv_idx` are both places in a row.

    Source: `packed_sequence_mask_function` of Transformers' `masking_utils`, which does not know of padding.
    """
    raise NotImplementedError("modern.document_mod")


@exercise
def attention_sink_mod(sliding_window: int, num_sinks: int) -> MaskFunction:
    """True = may attend: a mask function with a sliding window that never loses the first `num_sinks` keys.

        a window of 2, one sink

                  <bos>  you  like  green  tea
        <bos>       ■     ⬚    ⬚     ⬚     ⬚
        you         ■     ■    ⬚     ⬚     ⬚          ■ may attend
        like        ■     ■    ■     ⬚     ⬚          ⬚ may not
        green       ■     ⬚    ■     ■     ⬚
        tea         ■     ⬚    ⬚     ■     ■

    Args:
        sliding_window: how many keys the window shows a query, its own included; 1 or more.
        num_sinks: how many of the first keys stay in sight, besides the window; 0 for none.

    Returns:
        A mask function; no key after the query is seen, be it a sink.

    Source: Efficient Streaming Language Models with Attention Sinks (2023).
    """
    raise NotImplementedError("modern.attention_sink_mod")


@exercise
def document_ids(cumulative_lengths: Int[Tensor, " borders"], total_length: int) -> Int[Tensor, " total"]:
    """-1 = no document, 0, 1, 2, … = the first, second, third: which document each position of a packed row is of.

        cumulative lengths  0 2 5   →   0 0 1 1 1 -1 -1        total length 7
        cumulative lengths  0 2 2 5 →   0 0 2 2 2 -1 -1        document 1 is empty

    Document n begins at `cumulative_lengths[n]` and ends before `cumulative_lengths[n + 1]`.

    Args:
        cumulative_lengths: long, `[documents + 1]`: 0, then the sum of the lengths so far; equal neighbours are an empty
            document. `[0]` stands for no document at all.
        total_length: how many positions the row has, at least as many as the documents fill.

    Returns:
        long, `[total_length]`, on the device of `cumulative_lengths`; what lies behind the last document is -1.

    Source: `cu_seqlens` of FlashAttention's kernels for variable lengths.
    """
    raise NotImplementedError("modern.document_ids")


@exercise
def packed_position_ids(document_ids: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    """-1 = padding goes in: each token's place in its own document comes out, from 0, and 0 at padding.

        document ids   0  0  1  1  1 -1   →   0 1 0 1 2 0
                      -1  7  7  7  2  2   →   0 0 1 2 0 1

    Args:
        document_ids: for each row, which document each position is of: 0 or more, in any order; -1 where it is padding,
            in front, behind or between. The tokens of one document stand side by side.

    Returns:
        long, of the shape of `document_ids`: 0, 1, 2, … in each document, 0 at padding.
    """
    raise NotImplementedError("modern.packed_position_ids")


@exercise
def block_map(allowed: Bool[Tensor, "query key"], block_size: int) -> Int[Tensor, "query_blocks key_blocks"]:
    """True = may attend goes in; for each block of cells comes out 0 = none of them may, 1 = some may, 2 = all may.

        causal, 5 queries, 5 keys           in blocks of 2

              0  1   2  3   4
        0     ■  ⬚ │ ⬚  ⬚ │ ⬚
        1     ■  ■ │ ⬚  ⬚ │ ⬚                1  0  0         0 is skipped,
             ──────┼──────┼───
        2     ■  ■ │ ■  ⬚ │ ⬚                2  1  0         1 needs the mask,
        3     ■  ■ │ ■  ■ │ ⬚
             ──────┼──────┼───
        4     ■  ■ │ ■  ■ │ ■                2  2  2         2 needs none

    Where `block_size` does not divide a length, the last blocks have fewer cells; only cells that are there count, so that
    a block at the edge is full when all of its own cells are allowed. Tensor operations alone count: no loop over blocks or
    cells.

    Args:
        allowed: bool, True = may attend, at least one query and one key.
        block_size: how many queries and how many keys a block has, 1 or more; it may be larger than the mask.

    Returns:
        long, `[⌈query / block_size⌉, ⌈key / block_size⌉]`: 0 empty, 1 partial, 2 full.

    Source: `BlockMask` of `torch.nn.attention.flex_attention`, which counts a full block at a ragged edge as partial.
    """
    raise NotImplementedError("modern.block_map")


@exercise
def tree_attention_mask(parents: Int[Tensor, " nodes"]) -> Bool[Tensor, "nodes nodes"]:
    """True = may attend: in a tree of drafted tokens, each node sees itself and its ancestors up to the root.

        like ─┬─ green ─── tea             parents  -1 0 0 1 2
              └─ coffee ── <eos>
                                      like  green  coffee  tea  <eos>
                               like     ■     ⬚      ⬚      ⬚     ⬚
                              green     ■     ■      ⬚      ⬚     ⬚          ■ may attend
                             coffee     ■     ⬚      ■      ⬚     ⬚          ⬚ may not
                                tea     ■     ■      ⬚      ■     ⬚
                              <eos>     ■     ⬚      ■      ⬚     ■

    Args:
        parents: long, the node that each node continues, which comes before it; -1 for a root. There may be several
            roots, and no node at all.

    Returns:
        bool, `[nodes, nodes]`: rows ask, columns are asked. A loop is allowed here.

    Source: SpecInfer (2023), Medusa (2024).
    """
    raise NotImplementedError("modern.tree_attention_mask")
