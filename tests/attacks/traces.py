"""Takes hold of the warm process as a debugger does: attaches, reads and writes its memory, takes its descriptors."""

import ctypes
import os
import platform

libc = ctypes.CDLL(None, use_errno=True)
parent = os.getppid()
CALLS = {
    "x86_64": {
        "ptrace": 101,
        "process_vm_readv": 310,
        "process_vm_writev": 311,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
        "kcmp": 312,
    },
    "aarch64": {
        "ptrace": 117,
        "process_vm_readv": 270,
        "process_vm_writev": 271,
        "pidfd_open": 434,
        "pidfd_getfd": 438,
        "kcmp": 272,
    },
}[platform.machine()]
# A forked child has its parent's layout: what it had before its birth lies at one address in both.
KIND_OF_NONE = id(None) + 8
word = ctypes.create_string_buffer(ctypes.string_at(KIND_OF_NONE, 8), 8)


class Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


def call(name, *arguments):
    result = libc.syscall(CALLS[name], *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), name)
    return result


def vector(address):
    return ctypes.byref(Vector(address, 8))


def vectors():
    return vector(ctypes.addressof(word)), 1, vector(KIND_OF_NONE), 1, 0


WAYS = {
    "seize": lambda: call("ptrace", 0x4206, parent, None, None),
    "read memory": lambda: call("process_vm_readv", parent, *vectors()),
    "write memory": lambda: call("process_vm_writev", parent, *vectors()),
    "take a descriptor": lambda: call("pidfd_getfd", call("pidfd_open", parent, 0), 0, 0),
    "compare": lambda: call("kcmp", parent, os.getpid(), 1, 0, 0),
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
