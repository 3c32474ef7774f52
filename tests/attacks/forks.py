"""Starts processes that start processes, by every way to start one."""

import ctypes
import multiprocessing
import os
import platform
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)
#: fork and vfork, where the machine has them; clone without threads; clone3.
CALLS = {
    "x86_64": {"fork": (57,), "clone": (56, 17, 0, 0, 0, 0), "clone3": (435, 0, 0)},
    "aarch64": {"clone": (220, 17, 0, 0, 0, 0), "clone3": (435, 0, 0)},
}[platform.machine()]


def for_ever():
    try:
        for _ in range(5):
            os.fork()
    finally:
        time.sleep(600)
        os._exit(0)


def by_fork():
    if os.fork() == 0:
        for_ever()


def by_system_call(name):
    number = libc.syscall(*CALLS[name])
    if number == 0:
        for_ever()
    if number < 0 and name != "clone3":  # with no arguments at all clone3 fails anyway: what counts is how
        raise OSError(ctypes.get_errno(), name)
    if number < 0 and ctypes.get_errno() in (1, 38):
        raise OSError(ctypes.get_errno(), name)


def by_subprocess():
    subprocess.Popen(["/bin/sh", "-c", "sleep 600"], start_new_session=True)


def by_spawn():
    os.posix_spawn("/proc/self/exe", ["python", "-c", "import time; time.sleep(600)"], {})


def by_multiprocessing():
    multiprocessing.get_context("fork").Process(target=for_ever).start()


def by_exec():
    os.execv("/proc/self/exe", ["python", "-c", "import time; time.sleep(600)"])


WAYS = {
    "os.fork": by_fork,
    **{name: lambda name=name: by_system_call(name) for name in CALLS},
    "subprocess": by_subprocess,
    "posix_spawn": by_spawn,
    "multiprocessing": by_multiprocessing,
    "system": lambda: os.system("sleep 600 &") and 1 / 0,
    "exec": by_exec,
}


def invert_mask(mask):
    worked = []
    for name, way in WAYS.items():
        try:
            way()
            worked.append(name)
        except (OSError, ZeroDivisionError):
            pass
    raise RuntimeError(f"worked: {worked}")
