"""Notebook 00, answered."""

from jaxtyping import Bool
from torch import Tensor


def invert_mask(mask: Bool[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    # `~` is the logical not on bools. `1 - mask` raises on them, and `~` on integers would flip bits instead.
    return ~mask
