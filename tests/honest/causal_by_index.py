"""Right answers, written otherwise: index arithmetic, `where`, and the Jacobian of `torch.func`."""

from typing import NamedTuple

import torch


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    position = torch.arange(sequence_length, device=device)
    return position[None, :] <= position[:, None]


def causal_mask_with_past(query_length, key_length, device=None):
    past = key_length - query_length
    if past < 0:
        raise ValueError(f"key_length {key_length} is below query_length {query_length}")
    query = torch.arange(past, key_length, device=device).unsqueeze(-1)
    key = torch.arange(key_length, device=device).unsqueeze(0)
    return torch.ge(query, key)


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window <= 0:
        raise ValueError(f"sliding_window: {sliding_window}")
    query = torch.arange(query_length, device=device).add(key_length - query_length).view(-1, 1)
    key = torch.arange(key_length, device=device).view(1, -1)
    return key.le(query).logical_and(key.gt(query - sliding_window))


def prefix_lm_mask(prefix_lengths, sequence_length):
    position = torch.arange(sequence_length, device=prefix_lengths.device)
    # A query of the prefix reaches as far as the prefix's last key, any other as far as itself.
    reach = torch.maximum(position, prefix_lengths[:, None] - 1)
    return (position <= reach[:, :, None])[:, None]


def decoder_attention_mask(attention_mask, dtype):
    position = torch.arange(attention_mask.size(1), device=attention_mask.device)
    hidden = (position > position[:, None]) | (attention_mask[:, None, :] == 0)
    zero = torch.zeros((), dtype=dtype, device=attention_mask.device)
    lowest = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=attention_mask.device)
    return torch.where(hidden, lowest, zero).unsqueeze(1)


def encoder_decoder_masks(source_mask, target_mask):
    source, target = source_mask > 0, target_mask > 0
    length = target.size(1)
    steps = torch.arange(length, device=target.device)
    decoder = torch.where(steps.view(1, length, 1) >= steps, target.unsqueeze(1), False)
    return EncoderDecoderMasks(source[:, None, None], decoder.unsqueeze(1), source[:, None, None])


def position_ids(attention_mask):
    return torch.where(attention_mask == 1, attention_mask.cumsum(-1) - 1, 0)


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    position = torch.arange(input_ids.shape[1], device=input_ids.device)
    following = (position + 1).clamp(max=max(input_ids.shape[1] - 1, 0))
    asked = (attention_mask == 1) & (attention_mask[:, following] == 1) & (position < input_ids.shape[1] - 1)
    return torch.where(asked, input_ids[:, following], ignore_index)


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    position = torch.arange(input_ids.shape[1], device=input_ids.device)
    following = (position + 1).clamp(max=max(input_ids.shape[1] - 1, 0))
    asked = (attention_mask == 1) & (attention_mask[:, following] == 1) & (position < input_ids.shape[1] - 1)
    return torch.where(asked & (assistant_mask[:, following] == 1), input_ids[:, following], ignore_index)


def dependency_matrix(function, inputs):
    jacobian = torch.func.jacrev(function)(inputs)
    return jacobian.abs().amax(dim=(1, 3)) > 0
