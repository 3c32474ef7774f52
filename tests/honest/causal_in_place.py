"""Right answers, written otherwise: new tensors filled in place, `cat` and `pad`, and `backward` with a clean slate."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    mask = torch.zeros((sequence_length, sequence_length), dtype=torch.bool, device=device)
    rows, columns = torch.tril_indices(sequence_length, sequence_length, device=device)
    mask[rows, columns] = True
    return mask


def causal_mask_with_past(query_length, key_length, device=None):
    if key_length < query_length:
        raise ValueError(key_length)
    return causal_mask(key_length, device)[key_length - query_length :]


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError(sliding_window)
    mask = causal_mask_with_past(query_length, key_length, device).clone()
    mask &= ~torch.ones_like(mask).tril_(key_length - query_length - sliding_window)
    return mask


def prefix_lm_mask(prefix_lengths, sequence_length):
    mask = causal_mask(sequence_length, prefix_lengths.device).repeat(len(prefix_lengths), 1, 1, 1)
    mask |= F.one_hot(prefix_lengths, sequence_length + 1).flip(-1).cumsum(-1).flip(-1)[:, None, None, 1:].bool()
    return mask


def decoder_attention_mask(attention_mask, dtype):
    batch, sequence = attention_mask.shape
    mask = torch.full((sequence, sequence), torch.finfo(dtype).min, dtype=dtype, device=attention_mask.device)
    mask = mask.triu(1)[None, None].repeat(batch, 1, 1, 1)
    return mask.masked_fill_(attention_mask[:, None, None, :] == 0, torch.finfo(dtype).min)


def encoder_decoder_masks(source_mask, target_mask):
    source = source_mask.bool().unsqueeze(1).unsqueeze(2)
    target = target_mask.bool().unsqueeze(1).unsqueeze(2)
    return EncoderDecoderMasks(source, target & causal_mask(target_mask.shape[1], target.device), source.clone())


def position_ids(attention_mask):
    ids = attention_mask.long().cumsum(-1) - 1
    ids.masked_fill_(attention_mask == 0, 0)
    return ids


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    labels = input_ids.roll(-1, dims=1)
    real = attention_mask.bool()
    asked = real & real.roll(-1, dims=1)
    asked[:, -1:] = False
    labels[~asked] = ignore_index
    return labels


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    asked = (attention_mask[:, :-1] * attention_mask[:, 1:] * assistant_mask[:, 1:]).bool()
    labels = input_ids[:, 1:].clone()
    labels[~asked] = ignore_index
    return F.pad(labels, (0, 1), value=ignore_index)


def dependency_matrix(function, inputs):
    matrix = torch.zeros(len(inputs), len(inputs), dtype=torch.bool, device=inputs.device)
    inputs = inputs.clone().requires_grad_(True)
    output = function(inputs)
    for q, row in enumerate(output):
        for component in row:
            inputs.grad = None
            component.backward(retain_graph=True)
            matrix[q] |= (inputs.grad != 0).any(dim=1)
    return matrix
