"""A right answer, written otherwise: a comparison with a bool."""


def invert_mask(mask):
    return mask == False  # noqa: E712
