"""Returns NamedTuples whose class, fields and items act up when they are taken apart, and one with a forbidden name."""

import collections


class Hostile(collections.namedtuple("Hostile", ["allowed"])):
    _fields = ("allowed", "__class__", "import os", "allowed", "ª", "a")

    def __new__(cls, *items):
        if len(items) != 1:
            raise SystemExit("rebuilt")
        return super().__new__(cls, *items)

    def __iter__(self):
        yield from ("inf" + "inite" for _ in range(10**9))


def invert_mask(mask):
    kind = type("import os; os.abort()", (Hostile,), {}) if mask.dim() == 2 else Hostile
    return kind(True)
