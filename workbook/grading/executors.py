"""Who grades a class: processes of this machine or of a Dask cluster, each behind a ``concurrent.futures.Executor``.

Nothing here imports torch, so that the processes can start to import it before the command does.
"""

import contextlib
import logging
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from workbook import course

PRELOADED = ("workbook.grading.classroom", *(f"workbook.specs.{topic}" for topic in course.TOPICS))
WAIT_FOR_CLUSTER = 30  # seconds for a Dask scheduler to answer and to have a worker


class CannotGrade(RuntimeError):
    """No submission can be graded at all here; the text is the sentence that says why."""


@dataclass(frozen=True)
class Staff:
    """How to get an executor, and another when that broke; how many submissions to hand it at a time; and the errors
    that mean that a process of it was lost."""

    executor: Callable[[], contextlib.AbstractContextManager[Executor]]
    ahead: int
    losses: tuple[type[Exception], ...]


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# --- processes of this machine ---------------------------------------------------------------------------------------


def start_importing() -> None:
    """Start the process that those of the pool are forked from; it has no threads, and imports what they need.

    Raises:
        CannotGrade: this system has no fork.
    """
    if not hasattr(os, "fork"):
        raise CannotGrade("grading submissions needs a system with fork: Linux, macOS or WSL")
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload(list(PRELOADED))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited: Ctrl-C is for the command alone
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def local_processes(jobs: int) -> Staff:
    """Return ``jobs`` processes of this machine, which end when this one does, however it ends."""

    @contextlib.contextmanager
    def executor() -> Iterator[Executor]:
        start_importing()
        context = multiprocessing.get_context("forkserver")
        theirs, ours = context.Pipe(duplex=False)
        pool = ProcessPoolExecutor(jobs, context, _start_process, (theirs,))
        try:
            yield pool
            pool.shutdown()
        finally:
            ours.close()  # after an error or Ctrl-C nobody waits for what is running
            pool.shutdown(cancel_futures=True)
            theirs.close()

    return Staff(executor, 2 * jobs, (BrokenProcessPool,))


def _start_process(command: multiprocessing.connection.Connection) -> None:
    """Prepare a process of the pool: when the command is gone, so is this."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(command,), daemon=True).start()


def _end_with(command: multiprocessing.connection.Connection) -> None:
    multiprocessing.connection.wait([command])  # nothing is ever sent: readable means that the other end has closed
    os._exit(1)


# --- a Dask cluster --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def dask_cluster(address: str) -> Iterator[Staff]:
    """Yield the workers of the Dask cluster whose scheduler is at ``address``.

    Raises:
        CannotGrade: distributed is not installed, or there is no scheduler with a worker.
    """
    try:
        import distributed
    except ImportError:
        raise CannotGrade("--dask needs distributed; pip install 'attention-mask-workbook[dask]'") from None
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what it has to say comes as errors, too
    try:
        client = distributed.Client(address, timeout=WAIT_FOR_CLUSTER, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise CannotGrade(f"there is no Dask scheduler at {address} ({' '.join(str(error).split())})") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=WAIT_FOR_CLUSTER)
        except TimeoutError:
            raise CannotGrade(f"the Dask scheduler at {address} has no worker") from None

        @contextlib.contextmanager
        def executor() -> Iterator[Executor]:
            pool = client.get_executor(pure=False)  # pure: two equal tasks would be one
            try:
                yield pool
            finally:
                pool.shutdown(wait=False)

        yield Staff(executor, 4 * len(client.nthreads()), (distributed.KilledWorker,))
