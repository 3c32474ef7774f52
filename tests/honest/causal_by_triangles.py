"""Right answers, written otherwise: triangles cut, joined and multiplied; one gradient at a time."""

from typing import NamedTuple

import torch


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    return ~torch.triu(torch.ones(sequence_length, sequence_length, device=device), diagonal=1).bool()


def causal_mask_with_past(query_length, key_length, device=None):
    if query_length > key_length:
        raise ValueError("query_length")
    past = torch.ones(query_length, key_length - query_length, dtype=torch.bool, device=device)
    return torch.cat([past, causal_mask(query_length, device)], dim=1)


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError("sliding_window")
    past = key_length - query_length
    full = torch.ones(query_length, key_length, dtype=torch.bool, device=device)
    return torch.tril(full, past) & torch.triu(full, past - sliding_window + 1)


def prefix_lm_mask(prefix_lengths, sequence_length):
    lower = torch.ones(sequence_length, sequence_length, dtype=torch.long, device=prefix_lengths.device).tril()
    inside = (torch.arange(sequence_length, device=prefix_lengths.device) < prefix_lengths[:, None]).long()
    block = inside[:, :, None] * inside[:, None, :]
    return (lower + block).unsqueeze(1) > 0


def decoder_attention_mask(attention_mask, dtype):
    sequence = attention_mask.shape[1]
    kept = attention_mask[:, None, None, :] * causal_mask(sequence, attention_mask.device)
    return (1.0 - kept.to(dtype)) * torch.finfo(dtype).min


def encoder_decoder_masks(source_mask, target_mask):
    source = (
        source_mask.view(source_mask.shape[0], 1, 1, -1).bool()
        if source_mask.numel()
        else (source_mask[:, None, None].bool())
    )
    target = torch.tril(target_mask[:, None, None, :].expand(-1, 1, target_mask.shape[1], -1)).bool()
    return EncoderDecoderMasks(cross=source, decoder_self=target, encoder_self=source)


def position_ids(attention_mask):
    # How many real tokens stand strictly before each position, by a product with the strict triangle.
    before = torch.ones(*attention_mask.shape[-1:] * 2, device=attention_mask.device).triu(1)
    return (attention_mask.float() @ before).long() * attention_mask


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    labels = input_ids.masked_fill(attention_mask == 0, ignore_index)
    labels = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], ignore_index)], dim=1)
    return labels.masked_fill(attention_mask == 0, ignore_index)


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    labels = input_ids.masked_fill((attention_mask * assistant_mask) == 0, ignore_index)
    labels = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], ignore_index)], dim=1)
    return labels.masked_fill(attention_mask == 0, ignore_index)


def dependency_matrix(function, inputs):
    leaf = inputs.detach().clone().requires_grad_(True)
    output = function(leaf)
    rows = []
    for q in range(output.shape[0]):
        size = torch.zeros(len(inputs), device=inputs.device, dtype=inputs.dtype)
        for component in range(output.shape[1]):
            (gradient,) = torch.autograd.grad(output[q, component], leaf, retain_graph=True)
            size = size + gradient.abs().sum(-1)
        rows.append(size > 1e-6)
    return torch.stack(rows)
