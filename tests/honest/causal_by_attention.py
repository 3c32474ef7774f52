"""Right answers, written otherwise: what torch itself sees, by `scaled_dot_product_attention` of an identity; `vmap` of `vjp`."""

from typing import NamedTuple

import torch
import torch.nn.functional as F


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    words = torch.eye(sequence_length, device=device)
    zeros = torch.zeros_like(words)[None, None]
    return F.scaled_dot_product_attention(zeros, zeros, words[None, None], is_causal=True)[0, 0] > 0


def causal_mask_with_past(query_length, key_length, device=None):
    if key_length - query_length < 0:
        raise ValueError("fewer keys than queries")
    mask = torch.zeros(query_length, key_length, device=device).fill_(float("-inf"))
    return torch.triu(mask, diagonal=key_length - query_length + 1) == 0


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError("the window is empty")
    newest = torch.arange(key_length - query_length, key_length, device=device)[:, None]
    oldest = (newest - sliding_window + 1).clamp(min=0)
    key = torch.arange(key_length, device=device)
    return (oldest <= key) * (key <= newest)


def prefix_lm_mask(prefix_lengths, sequence_length):
    position = torch.arange(sequence_length, device=prefix_lengths.device)
    of_suffix = position.view(1, 1, 1, -1) >= prefix_lengths.view(-1, 1, 1, 1)
    future = position.view(1, 1, 1, -1) > position.view(1, 1, -1, 1)
    return ~(of_suffix & future)


def decoder_attention_mask(attention_mask, dtype):
    sequence, device = attention_mask.shape[1], attention_mask.device
    future = torch.ones(sequence, sequence, dtype=torch.bool, device=device).triu(1)
    hidden = future.logical_or(attention_mask.logical_not()[:, None, None, :])
    total = torch.zeros(hidden.shape, dtype=dtype, device=device)
    total = total.masked_fill(hidden, float("-inf"))
    return total.clamp(min=torch.finfo(dtype).min)


def encoder_decoder_masks(source_mask, target_mask):
    source = source_mask.eq(1)[:, None, None, :]
    length = target_mask.shape[1]
    future = torch.ones(length, length, device=target_mask.device).triu(1).bool()
    decoder = ~(future[None, None] | target_mask.eq(0)[:, None, None, :])
    return EncoderDecoderMasks(encoder_self=source, decoder_self=decoder, cross=source)


def position_ids(attention_mask):
    return (attention_mask.cumsum(dim=-1) - 1).clamp(min=0) * attention_mask


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    real = F.pad(attention_mask, (0, 1))
    ids = F.pad(input_ids, (0, 1), value=ignore_index)
    asked = (real[:, :-1] + real[:, 1:]) == 2
    return ids[:, 1:].masked_fill(~asked, ignore_index)


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    labels = next_token_labels(input_ids, attention_mask, ignore_index)
    return labels.masked_fill(F.pad(assistant_mask, (0, 1))[:, 1:] == 0, ignore_index)


def dependency_matrix(function, inputs):
    with torch.enable_grad():
        output, pull = torch.func.vjp(function, inputs)
    each = torch.eye(output.numel(), dtype=output.dtype, device=output.device).unflatten(1, output.shape)
    (gradients,) = torch.vmap(pull)(each)
    return gradients.unflatten(0, output.shape).ne(0).any(-1).any(1)
