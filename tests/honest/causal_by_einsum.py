"""Right answers, written otherwise: products of 0 and 1, minima and clamps, `torch.vmap`, and all gradients in one batch."""

from typing import NamedTuple

import torch


class EncoderDecoderMasks(NamedTuple):
    encoder_self: torch.Tensor
    decoder_self: torch.Tensor
    cross: torch.Tensor


def causal_mask(sequence_length, device=None):
    return torch.eye(sequence_length, device=device).cumsum(0).T.cumsum(0).T.cumsum(0).bool().tril().clone()


def causal_mask_with_past(query_length, key_length, device=None):
    if not key_length >= query_length:
        raise ValueError(f"key_length is {key_length}")
    query, key = torch.meshgrid(
        torch.arange(query_length, device=device) + key_length - query_length,
        torch.arange(key_length, device=device),
        indexing="ij",
    )
    return key <= query


def sliding_window_mask(query_length, key_length, sliding_window, device=None):
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}")
    past = key_length - query_length
    distance = past + torch.arange(query_length, device=device)[:, None] - torch.arange(key_length, device=device)
    return distance.clamp(0, sliding_window - 1) == distance


def prefix_lm_mask(prefix_lengths, sequence_length):
    position = torch.arange(sequence_length, device=prefix_lengths.device)

    def one(prefix):
        query, key = position[:, None], position[None, :]
        return torch.where((query < prefix) & (key < prefix), True, key <= query)[None]

    return torch.vmap(one)(prefix_lengths)


def decoder_attention_mask(attention_mask, dtype):
    sequence = attention_mask.shape[1]
    lowest = torch.finfo(dtype).min
    causal = torch.full((sequence, sequence), lowest, dtype=dtype, device=attention_mask.device).triu(diagonal=1)
    padding = (attention_mask == 0).to(dtype) * lowest
    return torch.minimum(causal, padding[:, None, None, :])


def encoder_decoder_masks(source_mask, target_mask):
    batch, target_length = target_mask.shape
    triangle = torch.ones(target_length, target_length, dtype=torch.long, device=target_mask.device).tril()
    decoder = torch.einsum("bk,qk->bqk", target_mask, triangle).bool().reshape(batch, 1, target_length, target_length)
    source = torch.einsum("bk->bk", source_mask).bool()[:, None, None, :]
    return EncoderDecoderMasks(source, decoder, source)


def position_ids(attention_mask):
    counted = torch.cumsum(attention_mask, dim=1)
    return (counted - attention_mask) * attention_mask


def next_token_labels(input_ids, attention_mask, ignore_index=-100):
    batch = len(input_ids)
    ignored = input_ids.new_full((batch, 1), ignore_index)
    nothing = attention_mask.new_zeros(batch, 1)
    following = torch.cat((input_ids, ignored), dim=1)[:, 1:]
    asked = attention_mask * torch.cat((attention_mask, nothing), dim=1)[:, 1:]
    return following * asked + ignore_index * (1 - asked)


def assistant_labels(input_ids, attention_mask, assistant_mask, ignore_index=-100):
    labels = next_token_labels(input_ids, attention_mask, ignore_index)
    batch = len(input_ids)
    following = torch.cat((assistant_mask, assistant_mask.new_zeros(batch, 1)), dim=1)[:, 1:]
    return torch.where(following.bool(), labels, torch.full_like(labels, ignore_index))


def dependency_matrix(function, inputs):
    leaf = inputs.clone().requires_grad_()
    output = function(leaf)
    each = torch.eye(output.numel(), dtype=output.dtype, device=output.device).view(-1, *output.shape)
    (gradients,) = torch.autograd.grad(output, leaf, each, is_grads_batched=True)
    size = gradients.pow(2).sum(-1).sqrt().view(*output.shape, len(inputs)).amax(1)
    return size > 1e-8
