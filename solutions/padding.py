"""Notebook 01, answered, with the reason for each choice."""

import math
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def padding_mask(input_ids: Int[Tensor, "batch sequence"], pad_token_id: int) -> Bool[Tensor, "batch sequence"]:
    # The id is an argument because vocabularies differ: 0 is a word in some, and <pad> is <eos> in others.
    return input_ids == pad_token_id


def attention_mask_from_lengths(
    lengths: Int[Tensor, " batch"],
    max_length: int | None = None,
    padding_side: Literal["right", "left"] = "right",
) -> Int[Tensor, "batch sequence"]:
    # `is None`, not `or`: a max_length of 0 is a length.
    sequence_length = int(lengths.max()) if max_length is None else max_length
    if padding_side not in ("right", "left"):
        raise ValueError(f"padding_side is {padding_side!r}; it can be 'right' or 'left'")
    if (lengths < 0).any() or (lengths > sequence_length).any():
        raise ValueError(f"lengths is {lengths.tolist()}; each must be between 0 and max_length = {sequence_length}")
    position = torch.arange(sequence_length, device=lengths.device)
    if padding_side == "left":
        # Counted from the right end the sentence looks right-padded.
        position = sequence_length - 1 - position
    return (position < lengths[:, None]).long()


def expand_padding_mask(
    attention_mask: Int[Tensor, "batch key"], num_heads: int, query_length: int
) -> Bool[Tensor, "batch heads query key"]:
    # The key axis stays last; `expand` repeats it over heads and queries with stride 0, so nothing is stored twice.
    return attention_mask.bool()[:, None, None, :].expand(-1, num_heads, query_length, -1)


def additive_mask(allowed: Bool[Tensor, "*axes"], dtype: torch.dtype) -> Float[Tensor, "*axes"]:
    # Filled, not multiplied: 0 × −∞ would be NaN. finfo(dtype).min is the one number that exists in every dtype.
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)


def masked_softmax(
    scores: Float[Tensor, "batch heads query key"], allowed: Bool[Tensor, "*#axes"]
) -> Float[Tensor, "batch heads query key"]:
    # −∞ is safe here because every row has an allowed key; no finite number is low enough for all scores.
    return scores.masked_fill(~allowed, -math.inf).softmax(dim=-1)


def padded_attention(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    attention_mask: Int[Tensor, "batch key"],
) -> tuple[Float[Tensor, "batch heads query dim"], Float[Tensor, "batch heads query key"]]:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    # Only the columns of the padding are hidden. Its rows stay: nobody reads them, and an empty row would be NaN.
    weights = scores.masked_fill(attention_mask[:, None, None, :] == 0, -math.inf).softmax(dim=-1)
    return weights @ value, weights


def masked_mean(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    real = attention_mask.to(hidden.dtype)[:, :, None]
    # The clamp keeps an empty sentence from dividing 0 by 0.
    return (hidden * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)


def last_token_pool(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    position = torch.arange(attention_mask.shape[1], device=attention_mask.device)
    # The highest position that is real, wherever the padding stands; `sum - 1` would hold for right padding only.
    last = (position * attention_mask).argmax(dim=1)
    sentence = torch.arange(attention_mask.shape[0], device=attention_mask.device)
    return torch.where(attention_mask.any(dim=1)[:, None], hidden[sentence, last], 0.0)


def extended_attention_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 1 key"]:
    # Converted before the subtraction: 1 - mask raises on a bool mask. The 0 times the minimum is a harmless -0.0.
    return (1.0 - attention_mask[:, None, None, :].to(dtype)) * torch.finfo(dtype).min
