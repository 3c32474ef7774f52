"""Right answers, written otherwise: rows cut off the end with `[-n:]`, last columns overwritten, a little room for rounding."""

from typing import NamedTuple

import torch


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    mask = torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device)
    mask[tuple(torch.triu_indices(sequence_length, sequence_length, 1, device=device))] = False
    return mask


def causal_mask_with_past(query_length, key_length, device=None):
    if query_length > key_length:
        raise ValueError(f"{query_length} queries, {key_length} keys")
    return causal_mask(key_length, device)[-query_length:]


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError(sliding_window)
    keys = torch.arange(key_length, device=device)
    queries = keys[-query_length:, None]
    return (keys <= queries) & (keys > queries - sliding_window)


def prefix_lm_mask(prefix_lengths, sequence_length):
    mask = causal_mask(sequence_length, prefix_lengths.device)[None, None].repeat(len(prefix_lengths), 1, 1, 1)
    inside = torch.arange(sequence_length, device=prefix_lengths.device) < prefix_lengths[:, None]
    mask[(inside[:, :, None] & inside[:, None, :])[:, None]] = True
    return mask


def decoder_attention_mask(attention_mask, dtype):
    lowest = torch.finfo(dtype).min
    length = attention_mask.shape[1]
    causal = torch.full((length, length), lowest, dtype=dtype, device=attention_mask.device).triu(1)
    padding = (1.0 - attention_mask[:, None, None, :].to(dtype)) * lowest
    return (causal + padding).clamp(min=lowest)


def encoder_decoder_masks(source_mask, target_mask):
    source = source_mask[:, None, None] == 1
    target = (target_mask[:, None, None] == 1).repeat(1, 1, target_mask.shape[1], 1)
    target[:, :, ~causal_mask(target_mask.shape[1], target.device)] = False
    return EncoderDecoderMasks(encoder_self=source, decoder_self=target, cross=source)


def position_ids(attention_mask):
    ids = attention_mask.cumsum(1)
    ids -= 1
    ids[attention_mask == 0] = 0
    return ids


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    labels = input_ids.roll(-1, dims=1)
    labels[attention_mask == 0] = ignore_index
    labels[attention_mask.roll(-1, dims=1) == 0] = ignore_index
    labels[:, -1] = ignore_index
    return labels


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    asked = attention_mask * (attention_mask * assistant_mask).roll(-1, dims=1)
    asked[:, -1] = 0
    labels = input_ids.roll(-1, dims=1)
    labels[asked == 0] = ignore_index
    return labels


def dependency_matrix(function, inputs):
    jacobian = torch.autograd.functional.jacobian(function, inputs)
    return (jacobian.abs() > 1e-6).any(dim=3).any(dim=1)
