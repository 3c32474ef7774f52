"""Reads address 0."""

import ctypes


def invert_mask(mask):
    ctypes.string_at(0)
