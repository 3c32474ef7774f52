"""A right answer, written otherwise: there and back through whole numbers, or by an exclusive or."""


def _numbers(mask):
    return mask.int()


def invert_mask(mask):
    return (1 - _numbers(mask)).bool() & (mask ^ True)
