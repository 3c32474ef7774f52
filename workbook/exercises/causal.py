"""Notebook 02. Causal masks: the triangle, its cousins with a past, a window or a prefix, and the loss beside it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


class EncoderDecoderMasks(NamedTuple):
    """The masks of a translator's three attentions, bool, True = may attend."""

    encoder_self: Bool[Tensor, "batch 1 1 source"]
    decoder_self: Bool[Tensor, "batch 1 target target"]
    cross: Bool[Tensor, "batch 1 1 source"]


@exercise
def causal_mask(sequence_length: int, device: torch.device | str | None = None) -> Bool[Tensor, "sequence sequence"]:
    """True = may attend: each word sees itself and what stands before it, nothing after it.

                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚          rows ask, columns are asked
        like       ■    ■     ⬚     ⬚          ■ may attend
        green      ■    ■     ■     ⬚          ⬚ may not
        tea        ■    ■     ■     ■

    Args:
        sequence_length: how many words; 0 is allowed.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[sequence_length, sequence_length]`.
    """
    raise NotImplementedError("causal.causal_mask")


@exercise
def causal_mask_with_past(
    query_length: int, key_length: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True = may attend: the queries are the last of the keys, each sees the keys up to its own place.

        two words are new, two stand in the cache:

                  you  like  green  tea
        green      ■    ■     ■     ⬚          ■ may attend
        tea        ■    ■     ■     ■          ⬚ may not

    Args:
        query_length: how many queries, the newest positions.
        key_length: how many keys, those of the past included.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[query_length, key_length]`, aligned to the bottom right: the last query sees every key.

    Raises:
        ValueError: there are fewer keys than queries.

    Source: the alignment of `torch.nn.attention.bias.causal_lower_right`.
    """
    raise NotImplementedError("causal.causal_mask_with_past")


@exercise
def sliding_window_mask(
    query_length: int, key_length: int, sliding_window: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True = may attend: each query sees itself and the `sliding_window - 1` keys before it.

        a window of 2                          and with two words in the cache

                  you  like  green  tea                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚          green      ⬚    ■     ■     ⬚
        like       ■    ■     ⬚     ⬚          tea        ⬚    ⬚     ■     ■
        green      ⬚    ■     ■     ⬚
        tea        ⬚    ⬚     ■     ■          ■ may attend   ⬚ may not

    Args:
        query_length: how many queries, the last positions.
        key_length: how many keys, at least as many.
        sliding_window: how many keys a query sees at most, its own included.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[query_length, key_length]`, aligned to the bottom right.

    Raises:
        ValueError: the window is below 1.

    Source: Mistral 7B (2023); counted as `sliding_window_overlay` of Transformers' `masking_utils` counts it.
    """
    raise NotImplementedError("causal.sliding_window_mask")


@exercise
def prefix_lm_mask(
    prefix_lengths: Int[Tensor, " batch"], sequence_length: int
) -> Bool[Tensor, "batch 1 sequence sequence"]:
    """True = may attend: the prefix is read both ways, what follows it is written one way.

        a question of two words, an answer of two:

                  you  like  green  tea
        you        ■    ■     ⬚     ⬚          ■ may attend
        like       ■    ■     ⬚     ⬚          ⬚ may not
        green      ■    ■     ■     ⬚
        tea        ■    ■     ■     ■

    Args:
        prefix_lengths: how many positions of each sentence are its prefix, from 0 to `sequence_length`.
        sequence_length: how many positions each sentence has.

    Returns:
        bool, `[batch, 1, sequence_length, sequence_length]`: the axis of length 1 is for the heads.

    Source: the prefix language model of "Exploring the Limits of Transfer Learning" (T5, 2020).
    """
    raise NotImplementedError("causal.prefix_lm_mask")


@exercise
def decoder_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 sequence sequence"]:
    """1 = real token goes in; what to *add* to a decoder's scores comes out: 0, or `finfo(dtype).min` where hidden.

        padding on the left, 0 1 1 1:

                  <pad>  I  like  coffee
        <pad>       ⬚    ⬚   ⬚      ⬚          ■ 0
        I           ⬚    ■   ⬚      ⬚          ⬚ -3.4028e+38 in float32
        like        ⬚    ■   ■      ⬚
        coffee      ⬚    ■   ■      ■          (the padding's own row may be empty)

    A key is seen if it is a real token *and* does not stand after the query.

    Args:
        attention_mask: 1 = real token, 0 = padding, on either side.
        dtype: the floating dtype of the scores.

    Returns:
        `dtype`, `[batch, 1, sequence, sequence]`, of two finite values: never -inf, never a sum of two minima.

    Source: the mask that Transformers' `create_causal_mask` gives to eager attention.
    """
    raise NotImplementedError("causal.decoder_attention_mask")


@exercise
def encoder_decoder_masks(
    source_mask: Int[Tensor, "batch source"], target_mask: Int[Tensor, "batch target"]
) -> EncoderDecoderMasks:
    """1 = real token goes in, True = may attend comes out: the masks of a translator's three attentions.

                          queries  keys     hidden                           shape
        encoder_self      source   source   the source's padding             [batch, 1, 1, source]
        decoder_self      target   target   the target's padding, future     [batch, 1, target, target]
        cross             target   source   the source's padding             [batch, 1, 1, source]

        source 1 1 1 0   →   encoder_self  ■ ■ ■ ⬚   cross  ■ ■ ■ ⬚        ■ may attend
        target 1 1 0     →   decoder_self  ■ ⬚ ⬚                           ⬚ may not
                                           ■ ■ ⬚
                                           ■ ■ ⬚

    Args:
        source_mask: 1 = real token, 0 = padding, of the sentence that is read.
        target_mask: the same for the sentence that is written.

    Returns:
        `EncoderDecoderMasks`, bool, ready to broadcast over heads (and over queries, where that axis is 1).
    """
    raise NotImplementedError("causal.encoder_decoder_masks")


@exercise
def position_ids(attention_mask: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    """1 = real token goes in; each real token's place among the real ones comes out, from 0.

        attention mask  1 1 1 0   →   0 1 2 0          (0 at padding, wherever it stands)
                        0 1 1 1   →   0 0 1 2

    Args:
        attention_mask: 1 = real token, 0 = padding, on either side or between.

    Returns:
        long, of the shape of `attention_mask`: 0, 1, 2, … over the real tokens, 0 at padding.
    """
    raise NotImplementedError("causal.position_ids")


@exercise
def next_token_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    """1 = real token: at each of them stands the token to be guessed there, the next one, elsewhere `ignore_index`.

        I like coffee <pad>        ids  3 5 6 0    mask  1 1 1 0    →    5 6 -100 -100
        <pad> I like coffee        ids  0 3 5 6    mask  0 1 1 1    →    -100 5 6 -100

    Nobody asks a padding position for the first word, nor the last word for the padding.

    Args:
        input_ids: token ids.
        attention_mask: 1 = real token, 0 = padding; the padding's id may be that of a real token.
        ignore_index: the label that a loss passes over, -100 in `F.cross_entropy`.

    Returns:
        long, of the shape of `input_ids`, already shifted.
    """
    raise NotImplementedError("causal.next_token_labels")


@exercise
def assistant_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    assistant_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    """1 = real token, 1 = the assistant's: only the assistant's tokens are to be guessed, all of them are read.

        ids              1     3     5     9    11     2          (<bos> I like, then me gusta <eos>)
        assistant_mask   0     0     0     1     1     1
        labels        -100  -100     9    11     2  -100
                                     ↑ the question's last token is asked for the answer's first

    Args:
        input_ids: token ids.
        attention_mask: 1 = real token, 0 = padding.
        assistant_mask: 1 = a token that the assistant wrote; there may be several turns.
        ignore_index: the label that a loss passes over.

    Returns:
        long, as `next_token_labels`, kept only where the token t + 1 is the assistant's.

    Source: the masks of `apply_chat_template(..., return_assistant_tokens_mask=True)` in Transformers.
    """
    raise NotImplementedError("causal.assistant_labels")


@exercise
def dependency_matrix(
    function: Callable[[Float[Tensor, "sequence dim"]], Float[Tensor, "sequence output_dim"]],
    inputs: Float[Tensor, "sequence dim"],
) -> Bool[Tensor, "query key"]:
    """True at [q, k] = output q depends on input k: some gradient of output q reaches input k.

        a running sum of three                     a function of each word alone

               0  1  2                                    0  1  2
            0  ■  ⬚  ⬚        ■ a gradient arrives     0  ■  ⬚  ⬚
            1  ■  ■  ⬚        ⬚ none does              1  ⬚  ■  ⬚
            2  ■  ■  ■                                 2  ⬚  ⬚  ■

    Autograd is asked, not the values: each component of output q counts for itself, for a sum of them may cancel; and what
    `function` has detached does not count, though its value moves (`who_moved` is the tool that watches values).

    Args:
        function: takes `inputs` and returns one vector a position; differentiable.
        inputs: float, one vector a position; left as they are.

    Returns:
        bool, `[sequence, sequence]`: rows are outputs, columns inputs.
    """
    raise NotImplementedError("causal.dependency_matrix")
