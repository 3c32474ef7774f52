"""A right answer, written otherwise: the function that says what it does."""

import torch


def invert_mask(mask):
    return torch.logical_not(mask)
