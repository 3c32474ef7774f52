"""Right answers, written otherwise: torch's own functions do the work, its triangle and its whole multi-head attention."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn


def to_allowed(mask, convention):
    match convention:
        case "allowed":
            return torch.eq(mask, True)
        case "ignore":
            return torch.eq(mask, False)
        case "attention_mask":
            return torch.ne(mask, 0)
        case "additive":
            return torch.gt(mask, 0.5 * torch.finfo(mask.dtype).min)
        case _:
            raise ValueError(convention)


def from_allowed(allowed, convention, dtype=torch.float32):
    match convention:
        case "allowed":
            return allowed
        case "ignore":
            return allowed.logical_not()
        case "attention_mask":
            return allowed.to(torch.int64)
        case "additive":
            return (1.0 - allowed.to(dtype)) * torch.finfo(dtype).min
        case _:
            raise ValueError(convention)


def key_padding_to_attn_mask(key_padding_mask, num_heads, target_length):
    line = key_padding_mask.unsqueeze(1).repeat(1, target_length, 1)
    return torch.repeat_interleave(line, num_heads, dim=0)


def merge_masks(key_padding_mask, attn_mask, num_heads):
    """As it stands in torch.nn.functional, where float masks are added."""
    if key_padding_mask is None:
        return attn_mask.unsqueeze(0) if attn_mask is not None and attn_mask.dim() == 2 else attn_mask
    bsz, src_len = key_padding_mask.shape
    padding = key_padding_mask.view(bsz, 1, 1, src_len)
    padding = padding.expand(-1, num_heads, -1, -1).reshape(bsz * num_heads, 1, src_len)
    if attn_mask is None:
        return padding
    if attn_mask.dtype == torch.bool:
        return attn_mask.logical_or(padding)
    as_float = torch.zeros_like(padding, dtype=attn_mask.dtype).masked_fill_(padding, float("-inf"))
    return attn_mask + as_float


def per_head_windows(batch_size, sequence_length, windows, device=None):
    later = torch.ones(sequence_length, sequence_length, dtype=torch.bool, device=device).triu(1)
    count = (
        torch.ones(sequence_length, sequence_length, dtype=torch.long, device=device).tril().flip(1).cumsum(1).flip(1)
    )
    # From a key to its query, both included, lie `count` positions.
    too_far = count[None] > torch.tensor(windows, device=device).reshape(-1, 1, 1)
    return (later | too_far).tile(batch_size, 1, 1)


def nn_transformer_masks(source_ids, target_ids, pad_token_id):
    triangle = nn.Transformer.generate_square_subsequent_mask(target_ids.size(1), device=target_ids.device)
    source_padding = source_ids == pad_token_id
    return {
        "src_key_padding_mask": source_padding,
        "tgt_mask": triangle.isinf(),
        "tgt_key_padding_mask": target_ids == pad_token_id,
        "memory_key_padding_mask": source_padding.clone(),
    }


def multi_head_attention(query, key, value, weights, num_heads, key_padding_mask=None, attn_mask=None):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        output, mean = F.multi_head_attention_forward(
            query.transpose(0, 1),
            key.transpose(0, 1),
            value.transpose(0, 1),
            embed_dim_to_check=query.shape[-1],
            num_heads=num_heads,
            in_proj_weight=weights.in_proj_weight,
            in_proj_bias=weights.in_proj_bias,
            bias_k=None,
            bias_v=None,
            add_zero_attn=False,
            dropout_p=0.0,
            out_proj_weight=weights.out_proj_weight,
            out_proj_bias=weights.out_proj_bias,
            key_padding_mask=key_padding_mask,
            attn_mask=attn_mask,
        )
    return output.transpose(0, 1), mean
