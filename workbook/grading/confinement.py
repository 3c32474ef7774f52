"""What the child of a submission may still ask of Linux: no other process, no network, no capability.

``program`` is built once, where submissions are graded, and needs pyseccomp and libseccomp; ``install`` needs the standard
library alone. The warm process loads this file by its path, since ``workbook`` is a shim there.
"""

import base64
import ctypes
import errno
import functools
import importlib.util
import os
import sys
import tempfile

CLONE_THREAD = 0x10000
CAP_DAC_READ_SEARCH = 2  # reading what root may read; Python imports torch's rarer modules when they are first used
SIZE_OF_INSTRUCTION = 8
#: Stands for the child's own process id in the program, which is built before that id is known.
OWN_PID = 0x5EC0C091

FORBIDDEN = """
fork vfork execve execveat
ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp migrate_pages move_pages
pidfd_open pidfd_getfd pidfd_send_signal tkill rt_sigqueueinfo rt_tgsigqueueinfo
socket socketpair connect bind listen accept accept4 io_uring_setup io_uring_enter io_uring_register
shmget shmat shmdt shmctl semget semop semtimedop semctl msgget msgsnd msgrcv msgctl
mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr add_key request_key keyctl
unshare setns mount umount2 pivot_root chroot mount_setattr move_mount open_tree open_tree_attr fsopen fsconfig fsmount fspick
name_to_handle_at open_by_handle_at fanotify_init fanotify_mark inotify_init inotify_init1
bpf perf_event_open userfaultfd personality memfd_secret quotactl quotactl_fd lookup_dcookie
ioprio_set flock acct swapon swapoff reboot syslog vhangup kexec_load kexec_file_load
init_module finit_module delete_module iopl ioperm modify_ldt sethostname setdomainname
settimeofday clock_settime clock_adjtime adjtimex
"""
# Every file system is read-only. Inside bubblewrap it truly is; without bubblewrap this is what protects the disk.
READ_ONLY = """
mkdir mkdirat mknod mknodat symlink symlinkat link linkat rename renameat renameat2 unlink unlinkat rmdir creat truncate
chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat utimensat
setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat file_setattr
"""
# Asked of a structure that a filter cannot look into: "not implemented" makes the C library use the older call.
UNKNOWN = "clone3 openat2"
#: Newer than many a libseccomp. From number 424 on, all of Linux's machines number alike.
NUMBERS = {
    **{"process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "process_mrelease": 448},
    **{"fchmodat2": 452, "setxattrat": 463, "removexattrat": 466, "open_tree_attr": 467, "file_setattr": 469},
}
OWN_ONLY = ("kill", "tgkill")  # raise() and abort() signal the process itself
#: Calls about a process that say 0 for the caller.
CALLER_ONLY = ("prlimit64", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler")
#: Signals to others when a descriptor is ready, and locks that make another process wait.
FCNTL = (8, 15, 10, 6, 7, 37, 38, 1024)  # F_SETOWN, _OWN_EX, _SIG, F_SETLK, _LKW, F_OFD_SETLK, _LKW, F_SETLEASE
IOCTL = (0x8901, 0x8902, 0x5412, 0x541C)  # FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX


def program(writes: bool) -> str:
    """Return the filter for ``install``, as text that fits a command line.

    Args:
        writes: whether files may be opened for writing. They may where every file system is read-only: /dev/null is none.

    Raises:
        ImportError, RuntimeError, OSError: pyseccomp or libseccomp are missing.
    """
    import pyseccomp as seccomp

    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)  # the 32-bit and x32 ways in

    def deny(name: str, error: int, *when: seccomp.Arg) -> None:
        number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
        if number == -1:  # unknown to this libseccomp; below -1 are calls that this machine does not have
            number = NUMBERS.get(name, -1)
        if number == -1:
            raise RuntimeError(f"it is too old to know {name}")
        rules.add_rule(seccomp.ERRNO(error), number, *when)

    def low_word(place: int, value: int) -> seccomp.Arg:
        return seccomp.Arg(place, seccomp.MASKED_EQ, 0xFFFFFFFF, value)  # the kernel takes 32 bits of these arguments

    for name in FORBIDDEN.split():
        deny(name, errno.EPERM)
    for name in READ_ONLY.split():
        deny(name, errno.EROFS)
    for name in UNKNOWN.split():
        deny(name, errno.ENOSYS)
    deny("clone", errno.EPERM, seccomp.Arg(0, seccomp.MASKED_EQ, CLONE_THREAD, 0))
    for name in OWN_ONLY:
        deny(name, errno.EPERM, seccomp.Arg(0, seccomp.NE, OWN_PID))
    for name in CALLER_ONLY:
        deny(name, errno.EPERM, seccomp.Arg(0, seccomp.NE, 0))
    for place in (0, 1):  # PRIO_PROCESS and the caller, both 0
        deny("setpriority", errno.EPERM, seccomp.Arg(place, seccomp.NE, 0))
    for name, requests in (("fcntl", FCNTL), ("ioctl", IOCTL)):
        for request in requests:
            deny(name, errno.EPERM, low_word(1, request))
    if not writes:
        for name, place in (("open", 1), ("openat", 2)):
            for flag in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC):
                deny(name, errno.EROFS, seccomp.Arg(place, seccomp.MASKED_EQ, flag, flag))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return base64.b64encode(file.read()).decode()


class _Program(ctypes.Structure):
    """Linux's ``struct sock_fprog``."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def install(text: str) -> None:
    """Put this process under the filter, for good; its later threads, too.

    Raises:
        OSError: the kernel refuses.
    """
    anyones, own = (number.to_bytes(4, sys.byteorder) for number in (OWN_PID, os.getpid()))
    instructions = base64.b64decode(text).replace(anyones, own)
    loaded = _Program(len(instructions) // SIZE_OF_INSTRUCTION, instructions)
    _prctl(38, 1)  # PR_SET_NO_NEW_PRIVS
    _prctl(22, 2, ctypes.byref(loaded))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def hide() -> None:
    """Close this process's memory, descriptors and environment in /proc to other processes of the same user."""
    _prctl(4, 0)  # PR_SET_DUMPABLE


def drop_capabilities() -> None:
    """Take from root what makes it more than an ordinary user, except for reading files.

    Raises:
        OSError: the kernel refuses.
    """
    # Version 3 of the header, this process; effective, permitted and inheritable, low and high words.
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    _checked(_libc().capget(header, data))
    kept = data[1] & (1 << CAP_DAC_READ_SEARCH)
    data[:] = [kept, kept, 0, 0, 0, 0]
    _checked(_libc().capset(header, data))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, *arguments: object) -> None:
    numbers = [ctypes.c_ulong(item) if isinstance(item, int) else item for item in arguments]
    _checked(_libc().prctl(option, *numbers, *[ctypes.c_ulong(0)] * (4 - len(numbers))))


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def main(filter_program: str, *modules: str) -> str | None:
    """Try the filter in this process and look for modules, and say what is wrong: the probe of ``sandbox.why_not``."""
    for name in modules:
        found = importlib.util.find_spec(name)
        if found is None or not os.access(found.origin or "", os.R_OK):
            return f"{name} cannot be read there"
    install(filter_program)
    for attempt in (os.fork, lambda: os.kill(-1, 0)):
        try:
            attempt()
        except PermissionError:
            continue
        return "the filter lets a forbidden call pass"
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
