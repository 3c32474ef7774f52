"""Answers at once and leaves a thread, an exit handler and a finalizer behind that write into the next answers."""

import atexit
import os
import sys
import threading
import time
import weakref
from typing import Any

program: Any = sys.modules["__main__"]
noise = program.encode({}, program.Returned(None))


class Left:
    pass


def write():
    os.write(3, noise)


def late():
    for _ in range(100):
        time.sleep(0.005)
        write()


left = Left()
atexit.register(write)
weakref.finalize(left, write)


def invert_mask(mask):
    threading.Thread(target=late).start()
    return mask
