"""Grades a submission in a child process: inputs go out, tensors come back, and the judge stays here.

A warm process has torch imported and forks a child per submission. Specifications, expected values and the seed are never in
it. How the warm process is started is the seam for a sandbox: ``Worker(launch=...)``.
"""

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from workbook.grading import confinement, runner, sandbox
from workbook.grading.judge import Answer, Examination, examination, judge, judge_values
from workbook.grading.runner import COMMAND, Ended, Frame, Malformed, Measured, Outcome, Raised, Returned
from workbook.grading.verdict import Verdict
from workbook.specs.specification import Spec

TIME_LIMIT = 10.0  # seconds of wall-clock for one request about one function
PATIENCE = 1.0  # seconds without any answer from several functions, after which each is asked alone, and has its time
MEMORY_LIMIT = 2 << 30  # bytes beyond what torch itself maps
KEPT_VERDICTS = 10_000  # of about 2 KB
START_LIMIT = 120.0  # seconds for the warm process to import torch


def launch(control: socket.socket) -> subprocess.Popen[bytes]:
    """Start the warm process as a plain child, holding its end of ``control`` and nothing else of ours.

    On Linux its children are filtered nearly as in the sandbox, where libseccomp is there, and cannot look into this process,
    which knows the seed.
    """
    filtered: list[str] = []
    if sys.platform == "linux":
        confinement.hide()
        with contextlib.suppress(ImportError, RuntimeError, OSError):  # no pyseccomp or no libseccomp
            filtered = ["--filtered", confinement.program(writes=False)]
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-P", "-s", str(Path(runner.__file__)), str(control.fileno()), *filtered],
        pass_fds=[control.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**environment, "OMP_NUM_THREADS": "1"},
        cwd="/",
    )


def best_launch() -> Callable[[socket.socket], subprocess.Popen[bytes]]:
    """Return how to start the warm process here: in the sandbox where there can be one."""
    return sandbox.launch if sandbox.why_not() is None else launch


class WorkerLost(RuntimeError):
    """The warm process could not be started, or has gone."""


class Worker:
    """One warm process, and the grading of submissions through it; a context manager.

    Args:
        time_limit: seconds that one function may take for all its cases.
        memory_limit: bytes a submission may use beyond what torch itself maps.
        launch: starts the warm process with its end of the control socket; in the sandbox, if it is not given and can be.
        cases: how many cases each function is asked, the most telling ones; all, if it is not given.
    """

    #: "sandbox" where bubblewrap and the filter of system calls both hold, else "processes".
    isolation: str

    def __init__(
        self,
        time_limit: float = TIME_LIMIT,
        memory_limit: int = MEMORY_LIMIT,
        launch: Callable[[socket.socket], subprocess.Popen[bytes]] | None = None,
        cases: int | None = None,
    ) -> None:
        self.time_limit = time_limit
        self.memory_limit = memory_limit
        self.cases = cases
        self._launch = launch or best_launch()
        self.isolation = "sandbox" if self._launch is sandbox.launch else "processes"
        self._questions: dict[str, tuple[int, bytes]] = {}  # of each function: its seed and the frame
        self.verdicts: OrderedDict[bytes, Verdict | None] = OrderedDict()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def __enter__(self) -> "Worker":
        if not hasattr(os, "fork"):
            raise WorkerLost("grading submissions needs a system with fork: Linux, macOS or WSL")
        self._start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def grade(self, files: Mapping[str, bytes], specs: Sequence[Spec], seed: int) -> list[Verdict]:
        """Return one verdict per specification, in order.

        Args:
            files: the submission's topic files, topic name to source.
            specs: the functions to grade.
            seed: what the cases are drawn from; it stays in this process.
        """
        self._prepare([spec for spec in specs if spec.topic in files], seed)
        with Submission(self, files) as submission:
            return [
                verdict
                for _, one_topic in groupby(specs, lambda spec: spec.topic)
                for verdict in submission.verdicts(list(one_topic), seed)
            ]

    # --- the warm process

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = self._launch(theirs)
        self._answer()
        self._send([frame for _, frame in self._questions.values()])

    def _prepare(self, specs: Sequence[Spec], seed: int) -> None:
        """See that the warm process knows what these functions are asked, so that no submission waits for it."""
        new = []
        for spec in specs:
            own = function_seed(seed, spec)
            if self._questions.get(spec.name, (None, b""))[0] != own:
                self._questions[spec.name] = (own, _question(examination(spec.name, own, self.cases)))
                new.append(spec.name)
        try:
            self._send([self._questions[name][1] for name in new])
        except WorkerLost:
            self._restart()

    def _send(self, frames: Sequence[bytes]) -> None:
        if not frames:
            return
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._tell(COMMAND.pack(b"p", 0, 0, 0), theirs.fileno())
            ours.settimeout(START_LIMIT)
            with contextlib.suppress(OSError):  # it has gone, and does not answer either
                ours.sendall(b"".join(frames))
        self._answer()

    def _restart(self) -> None:
        self._stop()
        self._start()

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        self._process = self._control = None

    def _tell(self, message: bytes, descriptor: int | None = None) -> None:
        assert self._control is not None
        self._control.settimeout(START_LIMIT)
        try:
            socket.send_fds(self._control, [message], [] if descriptor is None else [descriptor])
        except OSError as error:
            raise WorkerLost("the grading process has ended") from error

    def _answer(self) -> tuple[bytes, int, int, int]:
        """Wait for the warm process to answer the last command; it says by itself when it is ready."""
        assert self._control is not None
        self._control.settimeout(START_LIMIT)
        try:
            answer = runner.exactly(self._control, COMMAND.size)
        except (EOFError, OSError) as error:
            raise WorkerLost("the grading process has ended or does not answer") from error
        return COMMAND.unpack(answer)

    def fork(self) -> "Child":
        """Fork a child for a submission; a warm process that has gone is started once more.

        Raises:
            WorkerLost: that failed too.
        """
        for attempt in (1, 2):
            ours, theirs = socket.socketpair()
            seconds = int(10 * self.time_limit) + 10
            try:
                with theirs:
                    self._tell(COMMAND.pack(b"f", 0, self.memory_limit, seconds), theirs.fileno())
                return Child(self, self._answer()[1], ours)
            except WorkerLost:
                ours.close()
                if attempt == 2:
                    raise
                self._restart()
        raise AssertionError("unreachable")

    def end(self, pid: int) -> int | None:
        """Kill a child with its session; return its wait status, or ``None`` if the warm process has gone."""
        try:
            self._tell(COMMAND.pack(b"e", pid, 0, 0))
            return self._answer()[2]
        except WorkerLost:
            return None


class Child:
    """A forked child and the connection to it."""

    def __init__(self, worker: Worker, pid: int, connection: socket.socket) -> None:
        self._worker = worker
        self._pid = pid
        self._connection = connection
        self._inbox = _Inbox(connection)
        self.alive = True

    def ask(self, message: dict[str, Any], tree: Any, limit: float) -> Frame | Ended:
        """Send one frame and return the one that comes back, as ``send`` and ``answer`` do."""
        self.send(runner.encode(message, tree), limit)
        return self.answer(limit)

    def send(self, frame: bytes, limit: float) -> None:
        """Send a frame, which asks for one or several; who has gone is found out when those are waited for."""
        self._connection.settimeout(limit)
        with contextlib.suppress(OSError):
            self._connection.sendall(frame)

    def answer(self, limit: float) -> Frame | Ended:
        """Return the next frame that comes back, or ``Ended`` if none does in time, after which the child is gone."""
        try:
            self._inbox.deadline = time.monotonic() + limit
            return runner.receive(self._inbox)  # type: ignore[arg-type]
        except TimeoutError:
            self.end()
            return Ended(f"It was stopped after {limit:g} seconds: is there an endless loop?", timed_out=True)
        except Malformed as error:
            self.end()
            return _no_answer(error)
        except (EOFError, OSError):
            return Ended(f"Its process ended before it answered ({_why(self.end())}).")

    def end(self) -> int | None:
        """End the child, if it is not already gone, and return its wait status."""
        if not self.alive:
            return None
        self.alive = False
        self._connection.close()
        return self._worker.end(self._pid)


class _Inbox:
    """What a child sends, read in large pieces. Every read ends at one deadline: bytes sent one by one win no time."""

    deadline = 0.0

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._piece = memoryview(b"")

    def recv(self, length: int) -> memoryview:
        if not self._piece:
            left = self.deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(left)
            self._piece = memoryview(self._connection.recv(1 << 18))
        part, self._piece = self._piece[:length], self._piece[length:]
        return part


def function_seed(seed: int, spec: Spec) -> int:
    """Return the seed of one function's cases: no two functions draw alike, so that no input is another one's answer."""
    return _function_seed(seed, spec.name)


@lru_cache
def _function_seed(seed: int, name: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {name}".encode()).digest()[:8]) >> 1


def _question(exam: Examination) -> bytes:
    """Return the frame that tells the warm process what one function is asked."""
    tree = {
        "cases": [case.call for case in exam.cases],
        "properties": [(wanted.kind, wanted.options) for wanted in exam.spec.properties],
        "small": exam.small.call,
        "large": exam.large.call,
    }
    return runner.encode({"name": exam.spec.name}, tree)


def _why(status: int | None) -> str:
    if status is None:
        return "no reason is known"
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return "it closed its connection"
        return f"signal {signal.Signals(number).name}"
    return f"exit code {os.WEXITSTATUS(status)}"


class Submission:
    """One submission while it is graded: its child, and which topics that child has loaded."""

    def __init__(self, worker: Worker, files: Mapping[str, bytes]) -> None:
        self._worker = worker
        self._files = files
        self._child: Child | None = None
        self._loaded: set[str] = set()
        self._unloadable: dict[str, Raised | Ended] = {}

    def __enter__(self) -> "Submission":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._child is not None:
            self._child.end()

    def verdicts(self, specs: Sequence[Spec], seed: int) -> list[Verdict]:
        """Grade functions of one topic, in order."""
        topic = specs[0].topic
        if topic not in self._files:
            return [_without_answer(spec, "not attempted", f"The submission has no {topic}.py.") for spec in specs]
        failed = self._load(topic)
        if failed is not None:
            status = "timed out" if isinstance(failed, Ended) and failed.timed_out else "raised"
            reason = f"{topic}.py could not be imported: {_import_fault(failed)}"
            return [_without_answer(spec, status, reason) for spec in specs]
        ran: dict[str, Frame | Ended] = {}
        found: dict[str, Verdict | None] = {}
        for spec, said in self._asked("run", specs):
            ran[spec.name] = said
            found[spec.name] = self._judged(spec, function_seed(seed, spec), said)
        for spec, said in self._asked("measure", [spec for spec in specs if found[spec.name] is None]):
            found[spec.name] = self._judged(spec, function_seed(seed, spec), ran[spec.name], said)
        return [verdict for verdict in found.values() if verdict is not None]

    def _judged(
        self,
        spec: Spec,
        seed: int,
        ran: Frame | Ended,
        measured: Frame | Ended | None = None,
    ) -> Verdict | None:
        """Judge what the child said; ``None`` if its values are right and it was not yet asked for the properties.

        Many say the same, to the byte; the same questions and the same bytes have the same verdict.
        """
        if isinstance(ran, Ended) or isinstance(measured, Ended):
            return self._verdict(spec, seed, ran, measured)
        key = _digest(f"{spec.name} {seed}".encode(), *ran, *(measured or ()))
        known = self._worker.verdicts
        if key not in known:
            try:
                known[key] = self._verdict(spec, seed, ran, measured)
            except Malformed as error:
                assert self._child is not None
                self._child.end()
                fault = _no_answer(error)
                faulty = (fault, None) if measured is None else (ran, fault)
                return self._verdict(spec, seed, *faulty)
        known.move_to_end(key)
        if len(known) > KEPT_VERDICTS:
            known.popitem(last=False)
        return known[key]

    def _verdict(
        self,
        spec: Spec,
        seed: int,
        ran: Frame | Ended,
        measured: Frame | Ended | None = None,
    ) -> Verdict | None:
        """Judge what a child said of the cases and, where it was asked, of the properties.

        What it says of properties can take points and never give them.

        Raises:
            Malformed: a frame holds no tree.
        """
        count = self._worker.cases
        outcomes = _outcomes(ran, len(examination(spec.name, seed, count).cases))
        answer = Answer(spec.name, seed, outcomes, cases=count)
        if measured is None:
            return judge_values(spec, answer)
        return judge(spec, replace(answer, measured=_measurements(measured)))

    def _asked(self, what: str, specs: Sequence[Spec]) -> Iterator[tuple[Spec, Frame | Ended]]:
        """Yield what the child says of each function.

        It is asked all at once, and answers several together. If it is lost over them, whose fault that was is found out by
        asking the others one at a time.
        """
        left, at_once = list(specs), True
        while left:
            failed = self._load(left[0].topic)
            if failed is not None:  # it was loaded once, and will not load again in the child that replaces the first
                yield left.pop(0), failed if isinstance(failed, Ended) else Ended(_import_fault(failed))
                continue
            child = self._child
            assert child is not None
            asked = left[:] if at_once else left[:1]
            message = {"do": what, "topic": asked[0].topic, "functions": [spec.function for spec in asked]}
            child.send(runner.encode(message), self._worker.time_limit)
            for spec in asked:
                several = spec is not asked[-1]
                said = child.answer(min(self._worker.time_limit, PATIENCE) if several else self._worker.time_limit)
                if isinstance(said, Ended) and several:
                    at_once = False
                    break
                yield left.pop(0), said
                if not child.alive:
                    break

    def _load(self, topic: str) -> Raised | Ended | None:
        """See that a living child has loaded the topic; a file that fails costs its functions once, not once each."""
        if topic in self._unloadable:
            return self._unloadable[topic]
        fresh = self._child is None or not self._child.alive
        if fresh:
            self._child = self._worker.fork()
            self._loaded = set()
        if topic in self._loaded:
            return None
        reply = self._load_into_child(topic)
        if isinstance(reply, Ended) and not fresh:
            return self._load(topic)  # what an earlier topic did to its child is not this one's fault
        if isinstance(reply, Returned):
            self._loaded.add(topic)
            return None
        self._unloadable[topic] = reply
        return reply

    def _load_into_child(self, topic: str) -> Returned | Raised | Ended:
        assert self._child is not None
        source = torch.frombuffer(bytearray(self._files[topic] or b"\n"), dtype=torch.uint8)
        said = self._child.ask({"do": "load", "topic": topic}, {"source": source}, self._worker.time_limit)
        if isinstance(said, Ended):
            return said
        try:
            reply = runner.decode(*said)[1]
            if not isinstance(reply, Returned | Raised):
                raise Malformed("not what was asked")
        except Malformed as error:
            self._child.end()
            return _no_answer(error)
        return reply


_OUTCOMES = (Returned, Raised, runner.Unwritten)


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8) + part)
    return digest.digest()


def _outcomes(said: Frame | Ended, count: int) -> tuple[Outcome, ...]:
    reply = said if isinstance(said, Ended) else runner.decode(*said)[1]
    if isinstance(reply, Ended | Raised):
        return (_fault(reply),) * count
    if isinstance(reply, list) and len(reply) == count and all(isinstance(item, _OUTCOMES) for item in reply):
        return tuple(reply)
    raise Malformed("not what was asked")


def _measurements(said: Frame | Ended) -> tuple[Measured | Ended, ...]:
    reply = said if isinstance(said, Ended) else runner.decode(*said)[1]
    if isinstance(reply, Ended | Raised):
        return (_fault(reply),)
    if isinstance(reply, list) and all(isinstance(item, Measured) for item in reply):
        return tuple(reply)
    raise Malformed("not what was asked")


def _fault(reply: Ended | Raised) -> Ended:
    return reply if isinstance(reply, Ended) else Ended(f"{reply.types[0]}: {reply.message}.")


def _no_answer(error: Malformed) -> Ended:
    return Ended(f"Its process sent something that is no answer ({error}).")


def _import_fault(failed: Raised | Ended) -> str:
    return failed.reason if isinstance(failed, Ended) else runner.import_fault(failed)


def _without_answer(spec: Spec, status: Any, reason: str) -> Verdict:
    return Verdict(spec.name, status, 0, spec.points, spec.practice, reason)
