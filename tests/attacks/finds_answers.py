"""The second of two that work together: looks for what the first has left, and takes it away if it is there."""

import contextlib
import ctypes
import os
import platform
import sys

FOLDERS = (
    "/",
    "/tmp",
    "/var/tmp",
    "/dev/shm",
    "/dev/mqueue",
    "/dev",
    "/run",
    "/home",
    "/root",
    "/proc/self/cwd",
    os.path.expanduser("~"),
)
libc = ctypes.CDLL(None, use_errno=True)
KEYCTL, SEARCH, UNLINK = {"x86_64": 250, "aarch64": 219}[platform.machine()], 10, 9
KEY = 0x41545441


def found():
    yield from ("module " + name for name in ("answers", "finds_answers") if name in sys.modules)
    yield from ("variable " + name for name in ("ANSWERS",) if name in os.environ)
    for folder in FOLDERS:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name.startswith("attack-"):
                    yield f"{folder}/{name}"
                    os.rmdir(f"{folder}/{name}") if name.endswith("folder") else os.remove(f"{folder}/{name}")
    for name, remove in (
        ("shm", libc.shmctl),
        ("msg", libc.msgctl),
        ("sem", lambda number, *rest: libc.semctl(number, 0, 0)),
    ):
        number = getattr(libc, name + "get")(KEY, 0, 0) if name != "msg" else libc.msgget(KEY, 0)
        if number >= 0:
            remove(number, 0, None)
            yield f"a System V {name}"
    for keyring in (-4, -5):
        number = libc.syscall(KEYCTL, SEARCH, keyring, b"user", b"attack-answers", 0)
        if number >= 0:
            libc.syscall(KEYCTL, UNLINK, number, keyring)
            yield f"a key in keyring {keyring}"
    with contextlib.suppress(AttributeError):
        if libc.mq_open(b"/attack-answers", os.O_RDWR) >= 0:
            libc.mq_unlink(b"/attack-answers")
            yield "a message queue"


def invert_mask(mask):
    raise RuntimeError(f"worked: {list(found())}")
