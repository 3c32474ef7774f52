"""Raises, where an error is wanted and everywhere else, classes that are only called like the errors of Python."""

import torch


class ValueError(Exception):
    pass


class NotImplementedError(Exception):
    pass


def attention_mask_from_lengths(lengths, max_length=None, padding_side="right"):
    width = int(lengths.max()) if max_length is None else max_length
    if padding_side not in ("right", "left") or (lengths < 0).any() or (lengths > width).any():
        raise ValueError("what nobody who catches Python's ValueError would catch")
    position = torch.arange(width, device=lengths.device)
    position = position if padding_side == "right" else width - 1 - position
    return (position < lengths[:, None]).long()


def invert_mask(mask):
    raise NotImplementedError("warmup.invert_mask")


def padding_mask(input_ids, pad_token_id):
    return input_ids == pad_token_id
