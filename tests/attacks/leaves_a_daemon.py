"""Forks twice, with a session of its own each time, deaf to every signal, and answers from there as well."""

import os
import signal
import time


def invert_mask(mask):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(number, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
    return mask
