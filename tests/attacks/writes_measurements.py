"""Answers nonsense, and says "measured, nothing is broken" on every open descriptor before it is asked."""

import contextlib
import os
import sys
from typing import Any

program: Any = sys.modules["__main__"]
frame = program.encode({}, [program.Measured(kind, None) for kind in program.PROPERTIES])


def invert_mask(mask):
    for descriptor in range(1024):
        with contextlib.suppress(OSError):
            os.write(descriptor, frame)
    return mask
