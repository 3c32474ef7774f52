"""The first of two that work together: leaves answers in every place that the second could look in."""

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
ADD_KEY = {"x86_64": 248, "aarch64": 217}[platform.machine()]
KEY, CREATE = 0x41545441, 0o1666

sys.modules["answers"] = sys
os.environ["ANSWERS"] = "right"
for folder in FOLDERS:
    for way in (
        lambda path: os.mkdir(path + "folder"),
        lambda path: os.symlink("the answers", path + "link"),
        lambda path: os.mkfifo(path + "pipe"),
        lambda path: os.close(os.open(path + "file", os.O_CREAT | os.O_WRONLY)),
    ):
        with contextlib.suppress(OSError):
            way(f"{folder}/attack-answers-")
libc.shmget(KEY, 4096, CREATE)
libc.msgget(KEY, CREATE)
libc.semget(KEY, 1, CREATE)
for keyring in (-4, -5):
    libc.syscall(ADD_KEY, b"user", b"attack-answers", b"right", 5, keyring)
with contextlib.suppress(AttributeError):
    libc.mq_open(b"/attack-answers", os.O_CREAT | os.O_RDWR, 0o666, None)


def invert_mask(mask):
    raise RuntimeError("left")
