"""Never ends, catches what would end it, and is deaf to signals."""

import signal


def invert_mask(mask):
    for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass
