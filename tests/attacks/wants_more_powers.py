"""Asks the kernel for what would undo the sandbox: namespaces, mounts, roots, users, rings, filters, devices."""

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
buffer = ctypes.create_string_buffer(4096)
NEWUSER, NEWNS = 0x10000000, 0x00020000
CALLS = {
    "x86_64": {"io_uring_setup": 425, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "setns": 308, "keyctl": 250,
               "pivot_root": 155, "open_by_handle_at": 304, "fsopen": 430, "open_tree": 428, "personality": 135},
    "aarch64": {"io_uring_setup": 425, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241, "setns": 268, "keyctl": 219,
                "pivot_root": 41, "open_by_handle_at": 265, "fsopen": 430, "open_tree": 428, "personality": 92},
}[platform.machine()]  # fmt: skip


def call(name, *arguments):
    if libc.syscall(CALLS[name], *arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")


WAYS = {
    "a user namespace": lambda: checked(libc.unshare(NEWUSER | NEWNS)),
    "a mount": lambda: checked(libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)),
    "an unmount": lambda: checked(libc.umount2(b"/tmp", 2)),
    "another root": lambda: os.chroot("/proc"),
    "a pivot": lambda: call("pivot_root", b".", b"."),
    "another user": lambda: os.setresuid(*(3 * [0 if os.getuid() else 12345])),
    "a ring": lambda: call("io_uring_setup", 1, buffer),
    "a program": lambda: call("bpf", 0, buffer, 72),
    "faults": lambda: call("userfaultfd", 0),
    "counters": lambda: call("perf_event_open", buffer, 0, -1, -1, 0),
    "a namespace": lambda: call("setns", os.open(f"/proc/{os.getppid()}/ns/user", os.O_RDONLY), 0),
    "a keyring": lambda: call("keyctl", 0, -5, 1),
    "a file system": lambda: call("fsopen", b"tmpfs", 0),
    "a tree": lambda: call("open_tree", -100, b"/", 1),
    "a file by number": lambda: call("open_by_handle_at", -100, buffer, 0),
    "a device": lambda: os.mknod("/tmp/attack-device", 0o020666, os.makedev(1, 1)),
    "the raw disk": lambda: os.open("/dev/vda", os.O_RDONLY),
    "the kernel's memory": lambda: os.open("/dev/mem", os.O_RDONLY),
    "a terminal": lambda: os.open("/dev/tty", os.O_RDWR),
    "a higher limit": lambda: __import__("resource").setrlimit(1, (1 << 30, 1 << 30)),
}


def invert_mask(mask):
    worked = []
    for name, way in WAYS.items():
        try:
            way()
            worked.append(name)
        except (OSError, ValueError):
            pass
    raise RuntimeError(f"worked: {worked}")
