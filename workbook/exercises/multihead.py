"""Notebook 03. The two masks of `nn.MultiheadAttention`, where True means ignore, and the module itself."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from workbook import exercise


class MultiheadWeights(NamedTuple):
    """The parameters of one `nn.MultiheadAttention`: three projections in one (query, key, value), and the last one."""

    in_proj_weight: Float[Tensor, "3*dim dim"]
    in_proj_bias: Float[Tensor, " 3*dim"]
    out_proj_weight: Float[Tensor, "dim dim"]
    out_proj_bias: Float[Tensor, " dim"]


@exercise
def to_allowed(
    mask: Shaped[Tensor, "*axes"], convention: Literal["allowed", "ignore", "attention_mask", "additive"]
) -> Bool[Tensor, "*axes"]:
    """True = may attend comes out, in whichever of the four conventions the mask goes in.

        "I like coffee <pad>"    allowed           ■ ■ ■ ⬚        ■ True     →   ■ ■ ■ ⬚
                                 ignore            ⬚ ⬚ ⬚ ■        ⬚ False    →   ■ ■ ■ ⬚
                                 attention_mask    1 1 1 0                   →   ■ ■ ■ ⬚
                                 additive          0 0 -2 -3.4028e+38        →   ■ ■ ■ ⬚

    Args:
        mask: bool for `"allowed"` (True = may attend) and `"ignore"` (True = ignore), whole numbers 1 and 0 for
            `"attention_mask"`, floats for `"additive"`; of any shape.
        convention: how `mask` is to be read.

    Returns:
        bool, of the shape of `mask`. An additive number is ignored at or below half of the most negative number of its
        dtype, `torch.finfo(mask.dtype).min / 2`; every other one is a bias, and its cell stays allowed.

    Raises:
        ValueError: `convention` is none of the four.
    """
    raise NotImplementedError("multihead.to_allowed")


@exercise
def from_allowed(
    allowed: Bool[Tensor, "*axes"],
    convention: Literal["allowed", "ignore", "attention_mask", "additive"],
    dtype: torch.dtype = torch.float32,
) -> Shaped[Tensor, "*axes"]:
    """True = may attend goes in; the same mask comes out in the convention that somebody else expects.

        ■ ■ ■ ⬚   →   allowed           ■ ■ ■ ⬚                    ■ True, ⬚ False
                      ignore            ⬚ ⬚ ⬚ ■
                      attention_mask    1 1 1 0
                      additive          0 0 0 -3.4028e+38          in float16: 0 0 0 -65504

    Args:
        allowed: bool, of any shape.
        convention: the convention wanted.
        dtype: the floating dtype of an additive mask; no other convention looks at it.

    Returns:
        bool for `"allowed"`, bool turned over for `"ignore"`, long 1 and 0 for `"attention_mask"`, and for `"additive"`
        `dtype`: 0 where allowed, `torch.finfo(dtype).min` elsewhere (a -0.0 counts as 0).
    """
    raise NotImplementedError("multihead.from_allowed")


@exercise
def key_padding_to_attn_mask(
    key_padding_mask: Bool[Tensor, "batch key"], num_heads: int, target_length: int
) -> Bool[Tensor, "batch*heads query key"]:
    """True = ignore, in and out: what `key_padding_mask` says, said as a 3-D `attn_mask`.

        ⬚ ⬚ ⬚ ■   sentence 0           row 0  sentence 0, head 0        each row: target_length times
        ⬚ ⬚ ⬚ ⬚   sentence 1     →     row 1  sentence 0, head 1        the same line of keys, as
                                       row 2  sentence 1, head 0            ⬚ ⬚ ⬚ ■     ■ True
        (two heads)                    row 3  sentence 1, head 1            ⬚ ⬚ ⬚ ■     ⬚ False

    Args:
        key_padding_mask: bool, True = padding.
        num_heads: the number of heads.
        target_length: how many queries there are; it need not be the number of keys.

    Returns:
        bool, `[batch * num_heads, target_length, key]`; row `b * num_heads + h` is for head h of sentence b.
    """
    raise NotImplementedError("multihead.key_padding_to_attn_mask")


@exercise
def merge_masks(
    key_padding_mask: Bool[Tensor, "batch key"] | None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None,
    num_heads: int,
) -> Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None:
    """True = ignore, in and out: a key is hidden if it is padding *or* `attn_mask` hides it (−∞ in a float mask).

        key_padding_mask        attn_mask          merged                attn_mask as floats    merged
            ⬚ ⬚ ⬚ ■             ⬚ ■ ■ ■            ⬚ ■ ■ ■               0 -∞ -∞ -∞             0 -∞ -∞ -∞
                                ⬚ ⬚ ■ ■      →     ⬚ ⬚ ■ ■              -1  0 -∞ -∞       →    -1  0 -∞ -∞
                                ⬚ ⬚ ⬚ ■            ⬚ ⬚ ⬚ ■              -2 -1  0 -∞            -2 -1  0 -∞
                                ⬚ ⬚ ⬚ ⬚            ⬚ ⬚ ⬚ ■              -3 -2 -1  0            -3 -2 -1 -∞

    Args:
        key_padding_mask: bool, True = padding, or `None`.
        attn_mask: `[query, key]` for all, or `[batch * heads, query, key]` with head h of sentence b in row
            `b * num_heads + h`; bool (True = ignore), or float (added to the scores); or `None`.
        num_heads: the number of heads.

    Returns:
        `None` for two `None`s. With `attn_mask` alone, what came in. With `key_padding_mask` alone, bool
        `[batch * heads, 1, key]`. With both, `[batch * heads, query, key]`: bool stays bool; a float mask keeps its dtype
        and its biases, and gets −∞ where the key is padding.

    Source: `torch.nn.functional.multi_head_attention_forward`.
    """
    raise NotImplementedError("multihead.merge_masks")


@exercise
def per_head_windows(
    batch_size: int,
    sequence_length: int,
    windows: Sequence[int],
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch*heads query key"]:
    """True = ignore: a 3-D `attn_mask` in which every head looks back as far as its own causal window reaches.

        windows [1, 2, 4]:   head 0  ⬚ ■ ■ ■    head 1  ⬚ ■ ■ ■    head 2  ⬚ ■ ■ ■      ■ True
                                     ■ ⬚ ■ ■            ⬚ ⬚ ■ ■            ⬚ ⬚ ■ ■      ⬚ False
                                     ■ ■ ⬚ ■            ■ ⬚ ⬚ ■            ⬚ ⬚ ⬚ ■
                                     ■ ■ ■ ⬚            ■ ■ ⬚ ⬚            ⬚ ⬚ ⬚ ⬚

    All heads at once: as everywhere in this course, no Python loop over sentences, heads or positions.

    Args:
        batch_size: how many sentences.
        sequence_length: how many positions; they are queries and keys.
        windows: one for each head, so there are `len(windows)` heads: in head h a position sees itself and the
            `windows[h] - 1` positions before it.
        device: where the mask is made.

    Returns:
        bool, `[batch_size * len(windows), sequence_length, sequence_length]`; row `b * len(windows) + h` is for head h of
        sentence b.
    """
    raise NotImplementedError("multihead.per_head_windows")


@exercise
def nn_transformer_masks(
    source_ids: Int[Tensor, "batch source"], target_ids: Int[Tensor, "batch target"], pad_token_id: int
) -> dict[str, Bool[Tensor, "..."]]:
    """True = ignore: the four masks with which a padded batch goes through `nn.Transformer`, under its own names.

        source   I like coffee <pad>          src_key_padding_mask     ⬚ ⬚ ⬚ ■       ■ True, ⬚ False
        target   <bos> me gusta <pad>         memory_key_padding_mask  ⬚ ⬚ ⬚ ■       (the decoder asks the source)
                                              tgt_key_padding_mask     ⬚ ⬚ ⬚ ■
                                              tgt_mask                 ⬚ ■ ■ ■  →  no word sees a later one
                                                                       ⬚ ⬚ ■ ■
                                                                       ⬚ ⬚ ⬚ ■
                                                                       ⬚ ⬚ ⬚ ⬚

    Args:
        source_ids: what the encoder reads.
        target_ids: what the decoder reads; as many sentences, not as many positions.
        pad_token_id: the id of `<pad>` in both.

    Returns:
        A dict of bool tensors with exactly the keys `src_key_padding_mask` `[batch, source]`, `tgt_mask`
        `[target, target]`, `tgt_key_padding_mask` `[batch, target]` and `memory_key_padding_mask` `[batch, source]`, so
        that `transformer(source, target, **masks)` takes it.
    """
    raise NotImplementedError("multihead.nn_transformer_masks")


@exercise
def multi_head_attention(
    query: Float[Tensor, "batch query dim"],
    key: Float[Tensor, "batch key dim"],
    value: Float[Tensor, "batch key dim"],
    weights: MultiheadWeights,
    num_heads: int,
    key_padding_mask: Bool[Tensor, "batch key"] | None = None,
    attn_mask: Bool[Tensor, "*slices query key"] | Float[Tensor, "*slices query key"] | None = None,
) -> tuple[Float[Tensor, "batch query dim"], Float[Tensor, "batch query key"]]:
    """True = ignore in both masks: all that `nn.MultiheadAttention(batch_first=True)` does, from projection to projection.

        dim 24, 3 heads of 8     query  →  in_proj[ 0:24]  →  q  head 0 | head 1 | head 2    (8 numbers each)
                                 key    →  in_proj[24:48]  →  k  head 0 | head 1 | head 2
                                 value  →  in_proj[48:72]  →  v  head 0 | head 1 | head 2

        in each head    softmax(q · k / √8, masked) · v   →   the heads side by side   →   out_proj   →   output

    Args:
        query, key, value: the vectors before any projection; `key` and `value` may be longer or shorter than `query`.
        weights: the four parameters; rows 0 to dim of `in_proj_weight` project the query, the next dim rows the key, the
            last dim rows the value (a projection is `vector @ weight.T + bias`).
        num_heads: how many heads share dim.
        key_padding_mask: bool, True = padding, or `None`.
        attn_mask: `[query, key]`, or `[batch * heads, query, key]` with head h of sentence b in row `b * num_heads + h`;
            bool (True = ignore), or float (added to the scaled scores); or `None`. Both masks may come at once; every
            query has a key that neither hides.

    Returns:
        The output, and the weights as the mean over the heads.
    """
    raise NotImplementedError("multihead.multi_head_attention")
