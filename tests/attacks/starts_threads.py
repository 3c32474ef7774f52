"""Starts as many threads as it is given, none of which ends, and says afterwards that its answer is another one."""

import threading
import time


def for_ever():
    while True:
        time.sleep(0.01)


def invert_mask(mask):
    for _ in range(1_000):
        try:
            threading.Thread(target=for_ever, daemon=False).start()
        except RuntimeError:
            break
    return mask
