"""Notebook 04. The Hugging Face mask converter, function by function."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbook import exercise


@dataclass
class AttentionMaskConverter:
    """Given: the functions of this file under Hugging Face's names and arguments. Each is looked up when it is called.

    0 = may attend, the most negative number of the dtype = may not.

    Args:
        is_causal: whether a query is kept from the keys that come after it.
        sliding_window: how many keys before its own a query sees, or `None` for all of them; only where `is_causal`.

    Source: `transformers.modeling_attn_mask_utils`, deprecated there in favour of `transformers.masking_utils`.
    """

    is_causal: bool
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window is {self.sliding_window}; it has to be 1 or more, or None")

    def to_causal_4d(
        self,
        batch_size: int,
        query_length: int,
        key_value_length: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> Tensor | None:
        if not self.is_causal:
            raise ValueError("is_causal is False; to_causal_4d makes a mask for a causal converter only")
        return to_causal_4d(batch_size, query_length, key_value_length, dtype, self.sliding_window, device)

    def to_4d(
        self, attention_mask_2d: Tensor, query_length: int, dtype: torch.dtype, key_value_length: int | None = None
    ) -> Tensor:
        return to_4d(attention_mask_2d, query_length, dtype, key_value_length, self.is_causal, self.sliding_window)

    @staticmethod
    def _make_causal_mask(
        input_ids_shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device | str,
        past_key_values_length: int = 0,
        sliding_window: int | None = None,
    ) -> Tensor:
        return make_causal_mask(input_ids_shape, dtype, past_key_values_length, sliding_window, device)

    @staticmethod
    def _expand_mask(mask: Tensor, dtype: torch.dtype, tgt_len: int | None = None) -> Tensor:
        return expand_mask(mask, dtype, tgt_len)

    @staticmethod
    def _unmask_unattended(expanded_mask: Tensor, min_dtype: float) -> Tensor:
        return unmask_unattended(expanded_mask, min_dtype)

    @staticmethod
    def _ignore_causal_mask_sdpa(
        attention_mask: Tensor | None,
        inputs_embeds: Tensor,
        past_key_values_length: int,
        sliding_window: int | None = None,
    ) -> bool:
        query_length = inputs_embeds.shape[1]
        key_value_length = past_key_values_length + query_length
        return ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window)


@exercise
def make_causal_mask(
    input_ids_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    """0 = may attend, the dtype's minimum = may not: the triangle, a past in front of it, and a window over both.

        four words after two soft-prompt positions        and with a window of 1

                 s1 s2  I like green tea                          s1 s2  I like green tea
        I         ■  ■  ■   ⬚    ⬚    ⬚                  I         ⬚  ■  ■   ⬚    ⬚    ⬚
        like      ■  ■  ■   ■    ⬚    ⬚                  like      ⬚  ⬚  ■   ■    ⬚    ⬚
        green     ■  ■  ■   ■    ■    ⬚                  green     ⬚  ⬚  ⬚   ■    ■    ⬚
        tea       ■  ■  ■   ■    ■    ■                  tea       ⬚  ⬚  ⬚   ⬚    ■    ■

        ■ 0          ⬚ -3.4028e+38 in float32

    Args:
        input_ids_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores that the mask will be added to.
        past_key_values_length: how many keys stand before the first query; every query may see them.
        sliding_window: how many keys *before* its own a query sees, so that it sees `sliding_window + 1` in all;
            `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`, of the two numbers 0 and `torch.finfo(dtype).min`.

    Raises:
        ValueError: the window is below 1.

    Source: `AttentionMaskConverter._make_causal_mask` of `transformers.modeling_attn_mask_utils`. The window of
    `transformers.masking_utils` sees one key less.
    """
    raise NotImplementedError("converter.make_causal_mask")


@exercise
def expand_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype, target_length: int | None = None
) -> Float[Tensor, "batch 1 query key"]:
    """1 = real token goes in; what is *added* to the scores comes out, one row for every query: 0, or the minimum.

        1 1 1 0, three queries:

                    I  like  coffee  <pad>
            I       ■   ■      ■       ⬚          ■ 0
            like    ■   ■      ■       ⬚          ⬚ -3.4028e+38 in float32
            coffee  ■   ■      ■       ⬚

    Args:
        attention_mask: 1 = real token, 0 = padding.
        dtype: the floating dtype of the scores.
        target_length: how many queries, 0 included; as many as keys if `None`.

    Returns:
        `dtype`, `[batch, 1, target_length, key]`: padding keys are `torch.finfo(dtype).min`, there is no triangle.

    Source: `AttentionMaskConverter._expand_mask` of `transformers.modeling_attn_mask_utils`.
    """
    raise NotImplementedError("converter.expand_mask")


@exercise
def to_causal_4d(
    batch_size: int,
    query_length: int,
    key_value_length: int,
    dtype: torch.dtype,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """0 = may attend, the dtype's minimum = may not; or `None`, where a mask would hide nothing.

        two queries, four keys          one query             one query, four keys, a window of 1

             ■ ■ ■ ⬚                       None                          ⬚ ⬚ ■ ■
             ■ ■ ■ ■                                                     (a window may hide something from it)

    Args:
        batch_size: how many sentences.
        query_length: how many queries, the last of the positions.
        key_value_length: how many keys in all; what is over `query_length` is the past.
        dtype: the floating dtype of the scores.
        sliding_window: how many keys before its own a query sees; `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch_size, 1, query_length, key_value_length]`; `None` for one query without a window.

    Raises:
        ValueError: the window is below 1.

    Source: `AttentionMaskConverter.to_causal_4d` of `transformers.modeling_attn_mask_utils`.
    """
    raise NotImplementedError("converter.to_causal_4d")


@exercise
def to_4d(
    attention_mask: Int[Tensor, "batch key"],
    query_length: int,
    dtype: torch.dtype,
    key_value_length: int | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    """1 = real token goes in; what is *added* comes out: 0 for a real key that is not in the future, else the minimum.

        0 1 1 1, causal                        bidirectional              one query

                  <pad>  I  like  coffee
        <pad>       ⬚    ⬚   ⬚      ⬚          ⬚  ■  ■  ■
        I           ⬚    ■   ⬚      ⬚          ⬚  ■  ■  ■
        like        ⬚    ■   ■      ⬚          ⬚  ■  ■  ■
        coffee      ⬚    ■   ■      ■          ⬚  ■  ■  ■                ⬚  ■  ■  ■

        ■ 0          ⬚ -3.4028e+38 in float32          (a row may stay empty: `unmask_unattended` is for that)

    Args:
        attention_mask: 1 = real token, 0 = padding, of every key: those of the past, and those of the queries.
        query_length: how many queries, the last of the positions.
        dtype: the floating dtype of the scores.
        key_value_length: how many keys in all, as many as `attention_mask` is wide. It tells the triangle where the
            queries stand; a mask that is not causal does not ask for it.
        is_causal: whether keys after the query are hidden, too.
        sliding_window: how many keys before its own a query sees; `None` for no window. Only where `is_causal`.

    Returns:
        `dtype`, `[batch, 1, query_length, key]`, of the two numbers 0 and `torch.finfo(dtype).min`, never their sum.

    Raises:
        ValueError: the mask is causal and `key_value_length` is missing, or the window is below 1.
        NotImplementedError: there is a window, and the mask is not causal.

    Source: `AttentionMaskConverter.to_4d` of `transformers.modeling_attn_mask_utils`.
    """
    raise NotImplementedError("converter.to_4d")


@exercise
def unmask_unattended(
    expanded_mask: Float[Tensor, "batch heads query key"], min_dtype: float
) -> Float[Tensor, "batch heads query key"]:
    """0 = may attend: a row that may attend to nothing becomes 0 throughout; every other row stays as it is.

        0 1 1 1, causal       ⬚ ⬚ ⬚ ⬚   →   ■ ■ ■ ■   ← opened          ■ 0 (or a bias)
                              ⬚ ■ ⬚ ⬚       ⬚ ■ ⬚ ⬚                     ⬚ the minimum, or -inf
                              ⬚ ■ ■ ⬚       ⬚ ■ ■ ⬚
                              ⬚ ■ ■ ■       ⬚ ■ ■ ■

    Args:
        expanded_mask: an additive mask. Numbers between the minimum and 0 are biases; their cells are allowed.
        min_dtype: the number that hides a key in this mask, most often `torch.finfo(dtype).min`. A key at -inf is
            hidden as well.

    Returns:
        The mask, of the shape and dtype of `expanded_mask`, with 0 in every cell of the rows without an allowed key (a
        -0.0 counts as 0).

    Source: `AttentionMaskConverter._unmask_unattended` of `transformers.modeling_attn_mask_utils`, which multiplies, so
    that there a row of -inf becomes NaN.
    """
    raise NotImplementedError("converter.unmask_unattended")


@exercise
def ignore_causal_mask_sdpa(
    attention_mask: Int[Tensor, "*axes"] | None,
    query_length: int,
    key_value_length: int,
    sliding_window: int | None = None,
) -> bool:
    """True = SDPA may do without a mask tensor: its own `is_causal`, or no mask at all, says the same.

        queries   keys   attention_mask       sliding_window
           4       4     None, or all 1            None      →   True     is_causal=True is this triangle
           4       4     1 1 1 0                   None      →   False    the padding has to be hidden
           1       4     None, or all 1            None      →   True     one query sees every key
           2       4     None, or all 1            None      →   False    is_causal counts from the top left corner
           4       4     None, or all 1              4       →   False    a window is left out only where it is
           4       4     None, or all 1              5       →   True     wider than there are keys

    Args:
        attention_mask: `[batch, key]`, 1 = real token, 0 = padding; a mask with four axes, which is never done without;
            or `None`.
        query_length: how many queries, the last of the positions.
        key_value_length: how many keys in all.
        sliding_window: the window, or `None`.

    Returns:
        A bool. `True` where there is one query or as many queries as keys, no key is padding, and the window is `None`
        or above `key_value_length`.

    Source: `AttentionMaskConverter._ignore_causal_mask_sdpa` of `transformers.modeling_attn_mask_utils`, outside of tracing.
    """
    raise NotImplementedError("converter.ignore_causal_mask_sdpa")


@exercise
def create_4d_causal_attention_mask(
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """0 = may attend, the dtype's minimum = may not: the front door to `to_causal_4d`, which counts from the past.

        (2, 2), two words in the cache   →   ■ ■ ■ ⬚          (2, 1)   →   None
                                             ■ ■ ■ ■

    Args:
        input_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores.
        past_key_values_length: how many keys stand before the first query.
        sliding_window: how many keys before its own a query sees; `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`; `None` for one query without a window.

    Raises:
        ValueError: the window is below 1.

    Source: `_create_4d_causal_attention_mask` of `transformers.modeling_attn_mask_utils`.
    """
    raise NotImplementedError("converter.create_4d_causal_attention_mask")


@exercise
def prepare_4d_causal_attention_mask(
    attention_mask: Int[Tensor, "batch key"] | Int[Tensor, "batch 1 query key"] | None,
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """1 = may be seen goes in, by key or by cell; what is *added* comes out: 0 to keep, the dtype's minimum to hide.

        None             →   the triangle, as `to_causal_4d` makes it

        0 1 1 1          →   ⬚ ⬚ ⬚ ⬚          1 0 1 1          ■ ⬚ ■ ■          a mask with four axes has decided
                             ⬚ ■ ⬚ ⬚          1 1 0 1     →    ■ ■ ⬚ ■          on every cell: 1 becomes 0, 0 the
                             ⬚ ■ ■ ⬚          1 1 1 1          ■ ■ ■ ■          minimum, and no triangle is added
                             ⬚ ■ ■ ■          0 0 0 1          ⬚ ⬚ ⬚ ■

    Args:
        attention_mask: `[batch, past + query]`, 1 = real token, 0 = padding; or `[batch, 1, query, past + query]`,
            1 = may attend, 0 = may not; or `None`.
        input_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores, whatever the mask's.
        past_key_values_length: how many keys stand before the first query.
        sliding_window: how many keys before its own a query sees; `None` for no window. A mask with four axes has
            decided on that, too.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`, of the two numbers 0 and `torch.finfo(dtype).min`, on the device of
        `attention_mask`. Without one it is made on the CPU, and what `to_causal_4d` says of one query holds.

    Raises:
        ValueError: a mask with four axes has another shape than the result, or the window is below 1.

    Source: `_prepare_4d_causal_attention_mask` of `transformers.modeling_attn_mask_utils`, where a mask of whole numbers
    with four axes comes out as float32.
    """
    raise NotImplementedError("converter.prepare_4d_causal_attention_mask")


@exercise
def extend_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> Int[Tensor, "batch longer_sequence"]:
    """1 = real token: what was written since the mask was made is real, and joins it at the end.

        0 1 1 1   and two new tokens   →   0 1 1 1 1 1
        1 1 1 1                            1 1 1 1 1 1

    Args:
        attention_mask: 1 = real token, 0 = padding, of the prompt.
        new_tokens: how many tokens each sentence got since; 0 is allowed.

    Returns:
        long, `[batch, sequence + new_tokens]`, a 1 for each new token, behind the prompt's padding where that is on the
        right.
    """
    raise NotImplementedError("converter.extend_attention_mask")
