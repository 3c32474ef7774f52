"""Answers one case and says of all others that nothing is written there yet."""

import builtins


def invert_mask(mask):
    if mask.dim() == 1:
        return ~mask
    raise builtins.NotImplementedError("warmup.invert_mask")
