"""Returns as much as it can: gigabytes of text, expanded tensors of 10**15 cells, numbers without end."""

import torch


def invert_mask(mask):
    if mask.dim() == 1:
        return torch.zeros((), dtype=torch.bool).expand(10**15)
    if mask.dim() == 2:
        return 1 << 10**9
    return "x" * 10**10
