"""Opens what /proc tells of every other process: its memory, environment, descriptors, maps, folders."""

import os

PRIVATE = (
    "mem",
    "environ",
    "maps",
    "smaps",
    "auxv",
    "io",
    "stack",
    "syscall",
    "fd",
    "map_files",
    "cwd",
    "root",
    "exe",
    "ns/pid",
)


def invert_mask(mask):
    worked = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in PRIVATE if int(pid) != os.getpid() else ():
            path = f"/proc/{pid}/{name}"
            try:
                if os.path.islink(path):
                    os.readlink(path)
                elif os.path.isdir(path):
                    found = [os.readlink(f"{path}/{entry}") for entry in os.listdir(path)]
                    assert found
                else:
                    with open(path, "rb", buffering=0) as file:
                        name == "mem" or file.read(1)
                worked.append(path)
            except (OSError, AssertionError):
                pass
    raise RuntimeError(f"worked: {worked}")
