"""The four conventions for one idea, by name, and converting between them: for figures and notebooks."""

from typing import Literal, get_args

import torch
from torch import Tensor

#: ``allowed``: bool, True = may attend. ``ignore``: bool, True = ignore (``key_padding_mask``, bool ``attn_mask`` of
#: ``nn.MultiheadAttention``). ``attention_mask``: whole numbers, 1 = real token. ``additive``: float, 0 = keep.
Convention = Literal["allowed", "ignore", "attention_mask", "additive"]
CONVENTIONS: tuple[str, ...] = get_args(Convention)


def to_allowed(mask: Tensor, convention: str) -> Tensor:
    """Return ``mask`` as this course has it: bool of the same shape, ``True`` = may attend.

    An additive value at or below half of the dtype's minimum hides its cell; milder biases leave it allowed.

    Raises:
        ValueError: ``convention`` is none of ``CONVENTIONS``.
    """
    match _known(convention):
        case "allowed":
            return mask.bool()
        case "ignore":
            return ~mask.bool()
        case "attention_mask":
            return mask != 0
    return mask > torch.finfo(mask.dtype).min / 2


def from_allowed(allowed: Tensor, convention: str, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the mask ``allowed`` (bool, ``True`` = may attend) in another convention; ``dtype`` is for the additive one.

    Raises:
        ValueError: ``convention`` is none of ``CONVENTIONS``.
    """
    match _known(convention):
        case "allowed":
            return allowed.clone()
        case "ignore":
            return ~allowed
        case "attention_mask":
            return allowed.long()
    return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, torch.finfo(dtype).min)


def _known(convention: str) -> str:
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is {convention!r}; it can be {', '.join(CONVENTIONS[:-1])} or {CONVENTIONS[-1]}")
    return convention
