"""The instructor reads what a submission imports; nothing of it is run, and no source can make the reading fail or last."""

import sys
from pathlib import Path

import pytest

from workbook import course
from workbook.grading.screening import SCREENED_BYTES, noted_imports
from workbook.specs.stubs import topic_source

UNREAD = ("(padding.py:not-screened)",)


def noted(source: str | bytes) -> tuple[str, ...]:
    return noted_imports({"padding": source if isinstance(source, bytes) else source.encode()})


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import os", ("os",)),
        ("import os.path as p, subprocess", ("os", "subprocess")),
        ("from urllib.request import urlopen", ("urllib",)),
        ("def f():\n    if 0:\n        import ctypes", ("ctypes",)),
        ("try:\n    import gc\nexcept ImportError:\n    import socket", ("gc", "socket")),
        ("class A:\n    from sys import modules", ("sys",)),
        ("from . import causal", (".",)),
        ("from ..specs import padding", (".specs",)),
        ("import numpy, os\nimport os", ("numpy", "os")),
        ("import solutions.padding", ("solutions",)),
        ('__import__("os").system("true")', ("os",)),
        ('import importlib\nimportlib.import_module("os.path")', ("importlib", "os")),
        ('from importlib import import_module\nimport_module("gc")', ("gc", "importlib")),
        ('__builtins__.__import__("o" + "s")', ("__import__",)),
        ("__import__(name=x)", ("__import__",)),
        ('__ｉmport__("os")', ("os",)),
        ("x = 1 # coding\nfrom math import pi; import os", ("os",)),
        ("import math as m, os", ("os",)),
        ("import mathematics", ("mathematics",)),
        ("import math, \\\n os", ("os",)),
        ("from math import pi #\rimport os", ("os",)),
        ("from math import pi #\u2028import os", ()),
        ('eval("1")\nf()()\n(lambda: 1)()', ()),
        ('"import os"  # import sys', ()),
        ("import os\nreturn return", ()),
        (b"import os\n\xff", ()),
        (b"# coding: nonsense\nimport os", ()),
        (b"import os\0", ()),
        (b"", ()),
    ],
)
def test_what_is_noted(source: str | bytes, expected: tuple[str, ...]) -> None:
    assert noted(source) == expected


def test_the_plain_tools_are_not_noted() -> None:
    plain = "import torch.nn.functional as F, jaxtyping, workbook, math, typing, collections.abc, itertools, functools"
    rest = "from dataclasses import dataclass\nfrom typing import Literal\nfrom torch import nn\n"
    assert noted(f"from __future__ import annotations\n{plain}\n{rest}") == ()


def test_the_answers_and_the_untouched_files_are_not_noted() -> None:
    solutions = {path.stem: path.read_bytes() for path in course.SOLUTIONS.glob("*.py")}
    untouched = {topic: topic_source(topic).encode() for topic in course.TOPICS}
    assert set(solutions) == set(untouched)
    assert noted_imports(solutions) == noted_imports(untouched) == ()
    assert max(map(len, untouched.values())) < SCREENED_BYTES / 2


def test_several_files_are_noted_together_and_one_that_does_not_parse_hides_no_other() -> None:
    files = {"warmup": b"import sys, os", "padding": b"(", "causal": b"import gc", "sdpa": b"-" * 60_000 + b"import"}
    assert noted_imports(files) == ("(sdpa.py:not-screened)", "gc", "os", "sys")


def test_nothing_is_run(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    trace = tmp_path / "ran"
    source = f'import workbook_no_such_module\nopen({str(trace)!r}, "w")\nprint("\\d")\n'
    assert noted(source) == ("workbook_no_such_module",)
    assert not trace.exists()
    assert "workbook_no_such_module" not in sys.modules
    assert list(recwarn) == []  # "\d" would warn


@pytest.mark.parametrize(
    "source",
    [
        b"import os\nx = " + b"-" * 50_000 + b"1",
        b"import os\nx = " + b"1+" * 30_000 + b"1",
        b"import os\nx = a" + b".a" * 30_000,
        b"import os\nx = " + b"lambda:" * 9_000 + b"1",
        b"import os\nif 1: pass\n" + b"elif 1: pass\n" * 4_000,
        b"import os\n#" + b" " * SCREENED_BYTES,
        b'import os\nx = f"' + b"{a}" * 300_000 + b'"',  # of this one Python alone takes a minute
    ],
    ids=["minus", "plus", "dots", "lambda", "elif", "long", "f-string"],
)
def test_what_cannot_be_read_in_no_time_is_noted_as_such(source: bytes) -> None:
    assert noted(source) == UNREAD


def test_the_longest_file_that_is_read_is_read_whole() -> None:
    source = b"a\n" * ((SCREENED_BYTES - 9) // 2) + b"import os"
    assert len(source) <= SCREENED_BYTES < len(source) + 2
    assert noted(source) == ("os",)
