"""Leaves by sys.exit where it is called, and by os._exit at the second call."""

import os
import sys

calls = [0]


def invert_mask(mask):
    calls[0] += 1
    if calls[0] > 1:
        os._exit(0)
    sys.exit(0)
