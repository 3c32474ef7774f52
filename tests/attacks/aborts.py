"""Aborts the process that runs it."""

import os


def invert_mask(mask):
    os.abort()
