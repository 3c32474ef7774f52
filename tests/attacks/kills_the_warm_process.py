"""Kills the process that it was forked from."""

import os
import signal


def invert_mask(mask):
    os.kill(os.getppid(), signal.SIGKILL)
    return mask
