"""Notebook 01. Padding masks: from token ids to attention that never looks at the filler, and what comes after it."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


@exercise
def padding_mask(input_ids: Int[Tensor, "batch sequence"], pad_token_id: int) -> Bool[Tensor, "batch sequence"]:
    """True = padding: the cells to ignore (the one function of this course that says it this way round).

        I  like  coffee  <pad>              3 5 6 0   →   ⬚ ⬚ ⬚ ■          ■ True
        you like green   tea                4 5 7 8   →   ⬚ ⬚ ⬚ ⬚          ⬚ False

    Args:
        input_ids: token ids.
        pad_token_id: the id of `<pad>`; any number, 0 or not.

    Returns:
        bool, of the shape of `input_ids`.
    """
    raise NotImplementedError("padding.padding_mask")


@exercise
def attention_mask_from_lengths(
    lengths: Int[Tensor, " batch"],
    max_length: int | None = None,
    padding_side: Literal["right", "left"] = "right",
) -> Int[Tensor, "batch sequence"]:
    """1 = real token, 0 = padding: the mask that no ids can give when `<pad>` and `<eos>` are one.

        lengths [3, 4], max_length 5:   right  1 1 1 0 0      left  0 0 1 1 1
                                               1 1 1 1 0            0 1 1 1 1

    Args:
        lengths: how many real tokens each sentence has; 0 is allowed.
        max_length: the sequence length; the longest sentence's if `None`.
        padding_side: where the padding stands, `"right"` or `"left"`.

    Returns:
        long, `[batch, max_length]`.

    Raises:
        ValueError: a length is negative or over `max_length`, or `padding_side` is neither word.
    """
    raise NotImplementedError("padding.attention_mask_from_lengths")


@exercise
def expand_padding_mask(
    attention_mask: Int[Tensor, "batch key"], num_heads: int, query_length: int
) -> Bool[Tensor, "batch heads query key"]:
    """True = may attend: hides padding *keys* from every head and every query, without a copy.

        attention_mask 1 1 1 0, one head, four queries:

                       I  like  coffee  <pad>
            I          ■   ■      ■       ⬚          ■ may attend
            like       ■   ■      ■       ⬚          ⬚ may not
            coffee     ■   ■      ■       ⬚
            <pad>      ■   ■      ■       ⬚          (a padding query still looks; nobody reads it)

    Args:
        attention_mask: 1 = real token, 0 = padding.
        num_heads: how many heads share it.
        query_length: how many queries; need not be the number of keys.

    Returns:
        bool `[batch, num_heads, query_length, key]`, an expanded view (stride 0 over heads and queries).
    """
    raise NotImplementedError("padding.expand_padding_mask")


@exercise
def additive_mask(allowed: Bool[Tensor, "*axes"], dtype: torch.dtype) -> Float[Tensor, "*axes"]:
    """True = may attend goes in; a mask to *add* to the scores comes out: 0 or the most negative finite number.

        allowed  ■ ■ ■ ⬚      float32    0  0  0  -3.4028e+38
                              float16    0  0  0  -65504
                              bfloat16   0  0  0  -3.3895e+38

    Args:
        allowed: bool, of any shape.
        dtype: the floating dtype of the scores that the mask will be added to.

    Returns:
        `dtype`, of the shape of `allowed`: 0 where allowed, `torch.finfo(dtype).min` elsewhere (a -0.0 counts as 0).
    """
    raise NotImplementedError("padding.additive_mask")


@exercise
def masked_softmax(
    scores: Float[Tensor, "batch heads query key"], allowed: Bool[Tensor, "*#axes"]
) -> Float[Tensor, "batch heads query key"]:
    """True = may attend: each row shares out 1 among its allowed keys, and forbidden keys get exactly 0.

        row "I" of the course, its scores as shares (eˢᶜᵒʳᵉ) 1 2 1 4, its mask ■ ■ ■ ⬚:

            ¼ ½ ¼ 0

    Args:
        scores: attention scores, already scaled.
        allowed: bool, broadcastable to `scores`; every row has at least one allowed key here.

    Returns:
        The weights, of the shape and dtype of `scores`; `scores` itself is left as it was.
    """
    raise NotImplementedError("padding.masked_softmax")


@exercise
def padded_attention(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    attention_mask: Int[Tensor, "batch key"],
) -> tuple[Float[Tensor, "batch heads query dim"], Float[Tensor, "batch heads query key"]]:
    """1 = real key, 0 = padding key: scaled dot-product attention in which nobody looks at the padding.

        weights of "I like coffee <pad>":     I  like  coffee  <pad>
                                       I      ¼   ½      ¼       0
                                       …      (every row: 0 in the padding's column; the padding's row stays)

    Args:
        query, key, value: what attention works on; the number of queries need not be that of keys.
        attention_mask: 1 = real token, 0 = padding; every sentence has a real token here.

    Returns:
        The output and the weights. Scores are divided by √dim.
    """
    raise NotImplementedError("padding.padded_attention")


@exercise
def masked_mean(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    """1 = real token, 0 = padding: the mean over the real tokens, one vector a sentence.

        values  (1,0) (0,1) (1,1) (8,8)     mask  1 1 1 0     →     (⅔, ⅔)

    Args:
        hidden: one vector a token.
        attention_mask: 1 = real token, 0 = padding; on either side.

    Returns:
        The means, in the dtype of `hidden`; zeros for a sentence without a real token.
    """
    raise NotImplementedError("padding.masked_mean")


@exercise
def last_token_pool(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    """1 = real token, 0 = padding: the vector of each sentence's last real token, whichever side is padded.

        right   I    like  coffee  <pad>        left   <pad>  I  like  coffee
                1     1      1       0                   0    1    1     1
                             ↑                                           ↑

    Args:
        hidden: one vector a token, at least one position.
        attention_mask: 1 = real token, 0 = padding; each sentence may be padded on either side.

    Returns:
        One vector a sentence; zeros for a sentence without a real token.
    """
    raise NotImplementedError("padding.last_token_pool")


@exercise
def extended_attention_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 1 key"]:
    """1 = real token goes in; what to *add* to the scores of every head and query comes out: 0 or `finfo(dtype).min`.

        1 1 1 0 0   →   [[[0, 0, 0, -3.4028e+38, -3.4028e+38]]]

    Args:
        attention_mask: 1 = real token, 0 = padding.
        dtype: the floating dtype of the scores.

    Returns:
        `dtype`, `[batch, 1, 1, key]`, ready to broadcast over heads and queries.

    Source: what `get_extended_attention_mask` of Transformers 4.51 made for an encoder; removed since.
    """
    raise NotImplementedError("padding.extended_attention_mask")
