"""A right answer, written otherwise: a choice between two given numbers, on the mask's device."""

import torch


def invert_mask(mask):
    yes, no = torch.tensor(True, device=mask.device), torch.tensor(False)  # a single number may live on the CPU
    return torch.where(mask, no, yes)
