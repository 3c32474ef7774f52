"""Notebook 04, answered, with the reason for each choice."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


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


def make_causal_mask(
    input_ids_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    if sliding_window is not None and sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; it has to be 1 or more, or None")
    batch_size, query_length = input_ids_shape
    key_length = past_key_values_length + query_length
    # One table of distances serves triangle, past and window: the queries are the last of the keys.
    position = torch.arange(key_length, device=device)
    steps_back = position[past_key_values_length:, None] - position
    allowed = steps_back >= 0
    if sliding_window is not None:
        # <=, not <: this window counts the keys before the query, whose own comes on top.
        allowed = allowed & (steps_back <= sliding_window)
    mask = torch.zeros(allowed.shape, dtype=dtype, device=device).masked_fill(~allowed, torch.finfo(dtype).min)
    return mask.expand(batch_size, 1, query_length, key_length)


def expand_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype, target_length: int | None = None
) -> Float[Tensor, "batch 1 query key"]:
    batch_size, key_length = attention_mask.shape
    # `is None`, not `or`: a target length of 0 is a length.
    query_length = key_length if target_length is None else target_length
    padding = (attention_mask == 0)[:, None, None, :].expand(batch_size, 1, query_length, key_length)
    return torch.zeros(padding.shape, dtype=dtype, device=padding.device).masked_fill(padding, torch.finfo(dtype).min)


def to_causal_4d(
    batch_size: int,
    query_length: int,
    key_value_length: int,
    dtype: torch.dtype,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    # One query is the last position and sees every key, unless a window takes the old ones away again. Without queries
    # Transformers has no mask either.
    if query_length <= 1 and sliding_window is None:
        return None
    past = key_value_length - query_length
    return make_causal_mask((batch_size, query_length), dtype, past, sliding_window, device)


def to_4d(
    attention_mask: Int[Tensor, "batch key"],
    query_length: int,
    dtype: torch.dtype,
    key_value_length: int | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    if sliding_window is not None and not is_causal:
        raise NotImplementedError(f"sliding_window is {sliding_window}; there are windows for causal masks only")
    batch_size, key_length = attention_mask.shape
    if is_causal and (query_length > 1 or sliding_window is not None):
        if key_value_length is None:
            raise ValueError("key_value_length is None; a causal mask needs it to know where the queries stand")
        past, device = key_value_length - query_length, attention_mask.device
        mask = make_causal_mask((batch_size, query_length), dtype, past, sliding_window, device)
    else:
        # Nothing comes after the last position, and nothing is hidden by order in a mask that is not causal.
        mask = torch.zeros(batch_size, 1, query_length, key_length, dtype=dtype, device=attention_mask.device)
    # Filled, not added: where triangle and padding both hide, two minima would sum to −∞.
    return mask.masked_fill((attention_mask == 0)[:, None, None, :], torch.finfo(dtype).min)


def unmask_unattended(
    expanded_mask: Float[Tensor, "batch heads query key"], min_dtype: float
) -> Float[Tensor, "batch heads query key"]:
    # <= finds −∞ as well, and a fill instead of a product, since −∞ × 0 would be NaN.
    return expanded_mask.masked_fill((expanded_mask <= min_dtype).all(dim=-1, keepdim=True), 0.0)


def ignore_causal_mask_sdpa(
    attention_mask: Int[Tensor, "*axes"] | None,
    query_length: int,
    key_value_length: int,
    sliding_window: int | None = None,
) -> bool:
    if sliding_window is not None and key_value_length >= sliding_window:
        return False
    # SDPA's own triangle starts in the top left corner: right for as many queries as keys, and not asked for by one.
    if query_length not in (1, key_value_length):
        return False
    # The mask comes last: looking at its values makes a GPU wait. One with four axes is somebody's own choice of cells.
    return attention_mask is None or (attention_mask.dim() != 4 and bool((attention_mask == 1).all()))


def create_4d_causal_attention_mask(
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    batch_size, query_length = input_shape
    # The front door speaks of the past, the converter of all keys: the new words are keys, too.
    key_value_length = past_key_values_length + query_length
    return to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window, device)


def prepare_4d_causal_attention_mask(
    attention_mask: Int[Tensor, "batch key"] | Int[Tensor, "batch 1 query key"] | None,
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    batch_size, query_length = input_shape
    key_value_length = past_key_values_length + query_length
    if attention_mask is None:
        return to_causal_4d(batch_size, query_length, key_value_length, dtype, sliding_window, "cpu")
    if attention_mask.dim() == 2:
        return to_4d(attention_mask, query_length, dtype, key_value_length, sliding_window=sliding_window)
    wanted = (batch_size, 1, query_length, key_value_length)
    if tuple(attention_mask.shape) != wanted:
        raise ValueError(f"attention_mask has the shape {tuple(attention_mask.shape)}; wanted is {wanted}")
    # Zeros of dtype, not 1.0 - mask, which would make float32 of whole numbers.
    zeros = torch.zeros(wanted, dtype=dtype, device=attention_mask.device)
    return zeros.masked_fill(attention_mask == 0, torch.finfo(dtype).min)


def extend_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> Int[Tensor, "batch longer_sequence"]:
    # new_ones takes over dtype and device; torch.ones would turn the whole mask into floats.
    return torch.cat([attention_mask, attention_mask.new_ones(len(attention_mask), new_tokens)], dim=1)
