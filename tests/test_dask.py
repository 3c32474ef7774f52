"""A class graded on a Dask cluster: a real scheduler and two worker processes, one of which is killed midway."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from workbook import course
from workbook.cli import main
from workbook.grading.records import RECORDS
from workbook.grading.submission import pack

distributed = pytest.importorskip("distributed")

STUDENTS = 14
SLOW = b"import time\ntime.sleep(0.3)\n" + (course.SOLUTIONS / "warmup.py").read_bytes()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A scheduler and two workers on ports of the system's choosing, reachable from this machine alone."""
    options = {"host": "127.0.0.1", "dashboard_address": None, "worker_dashboard_address": None}
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, scheduler_port=0, **options
    ) as made:
        yield made


def grade(folder: Path, address: str) -> "subprocess.Popen[str]":
    command = [str(Path(sys.executable).with_name("workbook")), "grade", "hand", "--out", "grades", "--topic", "warmup"]
    return subprocess.Popen(
        [*command, "--dask", address],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_that_is_killed_midway_costs_nobody_anything(cluster: Any, tmp_path: Path) -> None:
    hand = tmp_path / "hand"
    hand.mkdir()
    for number in range(STUDENTS):
        source = SLOW + f"# {number}\n".encode()
        (hand / f"s{number:02}.zip").write_bytes(pack(f"S{number}", {"warmup": source}))
    command = grade(tmp_path, cluster.scheduler_address)
    assert command.stdout is not None
    for _ in range(4):
        assert command.stdout.readline()
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        victim, other = client.run(os.getpid).values()
    warm = psutil.Process(victim).children(recursive=True)
    assert warm
    os.kill(victim, 9)
    out, err = command.communicate(timeout=120)
    assert (command.returncode, "Traceback" in err) == (0, False), err
    assert out.splitlines()[-1].startswith(f"{STUDENTS} submissions graded, 0 unreadable in")
    connection = sqlite3.connect(tmp_path / "grades" / RECORDS)
    kept = connection.execute("SELECT name, runs, readable FROM submission ORDER BY name").fetchall()
    connection.close()
    assert kept == [(f"s{number:02}.zip", 1, 1) for number in range(STUDENTS)]
    assert psutil.pid_exists(other)
    assert psutil.wait_procs(warm, timeout=30)[1] == []
    again = grade(tmp_path, cluster.scheduler_address)
    assert again.communicate(timeout=120)[0].startswith(f"0 submissions graded, {STUDENTS} unchanged")


def test_where_no_scheduler_listens_one_sentence_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ada.zip").touch()
    monkeypatch.setattr("workbook.grading.executors.WAIT_FOR_CLUSTER", 0.5)
    arguments = ["grade", str(tmp_path / "ada.zip"), "--out", str(tmp_path / "grades"), "--dask"]
    assert main([*arguments, "tcp://127.0.0.1:1"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("workbook: there is no Dask scheduler at tcp://127.0.0.1:1 (")
    assert not (tmp_path / "grades").exists()
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main([*arguments, "tcp://127.0.0.1:1"]) == 2
    assert "--dask needs distributed; pip install" in capsys.readouterr().err


def test_a_cluster_without_workers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ada.zip").touch()
    monkeypatch.setattr("workbook.grading.executors.WAIT_FOR_CLUSTER", 1)
    with distributed.LocalCluster(n_workers=0, scheduler_port=0, host="127.0.0.1", dashboard_address=None) as empty:
        code = main(
            ["grade", str(tmp_path / "ada.zip"), "--out", str(tmp_path / "g"), "--dask", empty.scheduler_address]
        )
        assert code == 2
        assert f"the Dask scheduler at {empty.scheduler_address} has no worker" in capsys.readouterr().err
