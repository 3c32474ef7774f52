"""Raises in each case another of the exceptions that are no errors."""

EXITS = (SystemExit(0), KeyboardInterrupt(), GeneratorExit(), BaseException("x"), StopIteration(), MemoryError())
calls = [0]


def invert_mask(mask):
    calls[0] += 1
    raise EXITS[calls[0] % len(EXITS)]
