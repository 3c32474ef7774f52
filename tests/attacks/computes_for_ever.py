"""Starts one operation in C that ends in no lifetime, and that Python cannot interrupt."""


def invert_mask(mask):
    return 10 ** (10**10)
