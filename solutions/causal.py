"""Notebook 02, answered, with the reason for each choice."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


class EncoderDecoderMasks(NamedTuple):
    """The masks of a translator's three attentions, bool, True = may attend."""

    encoder_self: Bool[Tensor, "batch 1 1 source"]
    decoder_self: Bool[Tensor, "batch 1 target target"]
    cross: Bool[Tensor, "batch 1 1 source"]


def causal_mask(sequence_length: int, device: torch.device | str | None = None) -> Bool[Tensor, "sequence sequence"]:
    # Made bool from the start: a triangle of floats would be added to the scores. The diagonal stays, a word sees itself.
    return torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).tril()


def causal_mask_with_past(
    query_length: int, key_length: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    if key_length < query_length:
        raise ValueError(f"key_length is {key_length}; it has to be at least query_length = {query_length}")
    # The queries are the last positions, so the diagonal starts after the past; tril() alone would start at key 0.
    past = key_length - query_length
    return torch.ones(query_length, key_length, dtype=torch.bool, device=device).tril(diagonal=past)


def sliding_window_mask(
    query_length: int, key_length: int, sliding_window: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; a query sees at least itself, so it is 1 or more")
    # One distance decides both ends: below 0 is the future, the window or more is too far back. Two triangles with two
    # diagonals are where the extra key of so many code bases comes from.
    query = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    steps_back = query - torch.arange(key_length, device=device)
    return (steps_back >= 0) & (steps_back < sliding_window)


def prefix_lm_mask(
    prefix_lengths: Int[Tensor, " batch"], sequence_length: int
) -> Bool[Tensor, "batch 1 sequence sequence"]:
    position = torch.arange(sequence_length, device=prefix_lengths.device)
    causal = position <= position[:, None]
    # Only the key is asked whether it is of the prefix: a query after the prefix sees all of it by the triangle anyway.
    return causal | (position < prefix_lengths[:, None, None, None])


def decoder_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 sequence sequence"]:
    position = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    # Joined as bools and filled once: two additive masks would sum to −∞ where both hide.
    allowed = (position <= position[:, None]) & (attention_mask == 1)[:, None, None, :]
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)


def encoder_decoder_masks(
    source_mask: Int[Tensor, "batch source"], target_mask: Int[Tensor, "batch target"]
) -> EncoderDecoderMasks:
    # Cross-attention has the source's words as keys, so it shares the encoder's mask; one row serves every query.
    source_keys = (source_mask == 1)[:, None, None, :]
    position = torch.arange(target_mask.shape[1], device=target_mask.device)
    target_keys = (target_mask == 1)[:, None, None, :] & (position <= position[:, None])
    return EncoderDecoderMasks(encoder_self=source_keys, decoder_self=target_keys, cross=source_keys)


def position_ids(attention_mask: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    # The running count is 1 at the first real token, hence − 1; times the mask, since it also goes on over the padding.
    return (attention_mask.cumsum(dim=1) - 1) * attention_mask


def next_token_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    real = attention_mask == 1
    labels = torch.full_like(input_ids, ignore_index)
    # Both ends of the step have to be real: a padding row would else be asked for the first word, the last for padding.
    asked = real[:, :-1] & real[:, 1:]
    labels[:, :-1] = torch.where(asked, input_ids[:, 1:], ignore_index)
    return labels


def assistant_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    assistant_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    real = attention_mask == 1
    labels = torch.full_like(input_ids, ignore_index)
    # The assistant's mask is shifted along with the labels: who wrote the *next* token decides, so that the question's
    # last token learns how an answer begins.
    asked = real[:, :-1] & real[:, 1:] & (assistant_mask[:, 1:] == 1)
    labels[:, :-1] = torch.where(asked, input_ids[:, 1:], ignore_index)
    return labels


def dependency_matrix(
    function: Callable[[Float[Tensor, "sequence dim"]], Float[Tensor, "sequence output_dim"]],
    inputs: Float[Tensor, "sequence dim"],
) -> Bool[Tensor, "query key"]:
    # The Jacobian keeps every output component apart: in a sum, those of a layer norm would cancel.
    jacobian = torch.autograd.functional.jacobian(function, inputs)
    return (jacobian != 0).any(dim=3).any(dim=1)
