"""Calls itself without end, with Python's own limit lifted."""

import sys

sys.setrecursionlimit(10**9)


def invert_mask(mask):
    return invert_mask(mask)
