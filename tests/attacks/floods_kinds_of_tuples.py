"""Sends NamedTuples of ever new kinds, until whoever keeps a table of them has no room left for the honest ones."""

import collections
import os
import sys
from typing import Any

program: Any = sys.modules["__main__"]


def invert_mask(mask):
    kinds = [collections.namedtuple("Kind" + os.urandom(8).hex(), ["allowed"]) for _ in range(250)]
    os.write(3, program.encode({}, [program.Returned([kind(True) for kind in kinds])] * 8))
    return mask
