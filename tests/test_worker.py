"""Grading in a child process: whatever a submission does costs it no more than the functions that do it."""

import json
import os
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from workbook import course
from workbook.grading import confinement, sandbox
from workbook.grading.verdict import Verdict
from workbook.grading.worker import Worker, WorkerLost, function_seed, launch
from workbook.specs import Spec, spec, specs
from workbook.specs.stubs import topic_source

PADDING = specs(["padding"])
SOLUTION = (course.SOLUTIONS / "padding.py").read_text(encoding="utf-8")
MASK = spec("padding.padding_mask")
MEAN = spec("padding.masked_mean")


def solved_but(function: str, body: str, before: str = "") -> bytes:
    """The solution with one function replaced; ``body`` says what it does with its arguments."""
    text = f"{before}\n{SOLUTION}\n\ndef {function}(*arguments, **keywords):\n{textwrap.indent(textwrap.dedent(body), '    ')}\n"
    return text.encode()


needs_sandbox = pytest.mark.skipif(sandbox.why_not() is not None, reason=sandbox.why_not() or "")


@pytest.fixture(
    scope="module", params=[pytest.param(sandbox.launch, marks=needs_sandbox), launch], ids=["sandbox", "plain"]
)
def quick(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker with little patience and little memory, in the sandbox and out of it."""
    with Worker(time_limit=1, memory_limit=300 << 20, launch=request.param) as warm:
        yield warm


def grade(worker: Worker, source: bytes, chosen: tuple[Spec, ...] = PADDING, seed: int = 0) -> dict[str, Verdict]:
    verdicts = worker.grade({"padding": source}, chosen, seed)
    assert [verdict.exercise for verdict in verdicts] == [found.name for found in chosen]
    for verdict in verdicts:
        json.dumps(verdict.to_json())
        assert verdict.points == (verdict.max_points if verdict.passed else 0)
    return {verdict.exercise: verdict for verdict in verdicts}


def test_a_missing_topic_is_not_attempted(worker: Worker) -> None:
    verdicts = worker.grade({"warmup": topic_source("warmup").encode()}, specs(), 0)
    assert {verdict.status for verdict in verdicts} == {"not attempted"}
    assert "The submission has no padding.py." in {verdict.reason for verdict in verdicts}


def test_the_child_says_of_a_function_what_is_said_here(worker: Worker) -> None:
    """One judge: a stub, a wrong answer and a right one get the same verdict on both ways."""
    from workbook.grading.judge import Here, examine

    wrong = {
        "padding_mask": "input_ids, pad_token_id: input_ids != pad_token_id",
        "masked_mean": "hidden, mask: hidden.mean(1)",
    }
    names: dict[str, Any] = {}
    source = "".join(f"{name} = lambda {body}\n" for name, body in wrong.items())
    exec(source, names)
    there = grade(worker, source.encode(), (MASK, MEAN), seed=7)
    for found in (MASK, MEAN):
        assert there[found.name] == examine(found, function_seed(7, found), Here(names[found.function]))
        assert there[found.name].misconception is not None


# --- one function misbehaves, the others keep their points ------------------------------------------------------------

DIES = {
    "an endless loop": ("while True: pass", "timed out", "endless loop"),
    "a sleep": ("import time; time.sleep(60)", "timed out", "1 second"),
    "an endless loop that catches everything": (
        """
        while True:
            try:
                while True: pass
            except BaseException: pass
        """,
        "timed out",
        "endless loop",
    ),
    "a deadlock": ("import threading; lock = threading.Lock(); lock.acquire(); lock.acquire()", "timed out", ""),
    "os._exit": ("import os; os._exit(7)", "raised", "exit code 7"),
    "a segmentation fault": ("import ctypes; ctypes.string_at(0)", "raised", "signal SIGSEGV"),
    "abort": ("import os; os.abort()", "raised", "signal SIGABRT"),
    "a kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "raised", "ended before it answered"),
    "stopping itself": ("import os, signal; os.kill(os.getpid(), signal.SIGSTOP)", "timed out", ""),
    "closing every descriptor": ("import os; os.closerange(0, 100)", "raised", ""),
    "recursion": ("return padding_mask(*arguments)", "raised", "RecursionError"),
    "recursion without end": (
        "import sys; sys.setrecursionlimit(10**9); return padding_mask(*arguments)",
        "raised",
        "",
    ),
    "a memory hog": ("hog = bytearray(10**10)", "raised", "MemoryError"),
    "a slow memory hog": ("hog = []\nwhile True: hog.append(torch.empty(10**7))", "raised", "RuntimeError"),
    "a tensor too big for the machine": ("return torch.ones(10**11)", "raised", "RuntimeError"),
    "SystemExit": ("raise SystemExit(0)", "raised", "SystemExit"),
    "KeyboardInterrupt": ("raise KeyboardInterrupt", "raised", ""),
    "a bare BaseException": ("raise BaseException('x')", "raised", "BaseException"),
    "a wrong signature": ("return arguments[5]", "raised", "IndexError"),
}


@pytest.mark.parametrize("how", DIES)
def test_a_function_that_dies_costs_that_function_only(quick: Worker, how: str) -> None:
    body, status, words = DIES[how]
    verdicts = grade(quick, solved_but("padding_mask", body))
    came = verdicts.pop(MASK.name)
    assert (came.status, words in came.reason) == (status, True), came.reason
    assert [verdict.exercise for verdict in verdicts.values() if not verdict.passed] == []


def test_a_submission_writes_nothing_to_the_disk(quick: Worker, tmp_path: Path) -> None:
    file = tmp_path / "written"
    body = f"with open({str(file)!r}, 'w') as file: file.write('x')"
    verdict = grade(quick, solved_but("padding_mask", body), (MASK,))[MASK.name]
    assert (verdict.status, verdict.points) == ("raised", 0)
    assert not file.exists() or file.read_text() == ""


def test_a_function_that_dies_only_when_it_is_measured_gets_nothing(quick: Worker) -> None:
    """All cases are right; the call under the tracer of the no-loop property never comes back."""
    body = """
        import sys
        while sys.gettrace(): pass
        return arguments[0] == arguments[1]
    """
    verdicts = grade(quick, solved_but("padding_mask", body))
    came = verdicts.pop(MASK.name)
    assert (came.status, came.points) == ("timed out", 0)
    assert "stopped after 1 second" in came.reason
    assert all(verdict.passed for verdict in verdicts.values())


def unfiltered(control: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the plain warm process as where libseccomp is missing."""

    def program(writes: bool) -> str:
        raise ImportError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(confinement, "program", program)
        return launch(control)


def test_processes_left_behind_are_ended_with_their_submission(tmp_path: Path) -> None:
    """Without the filter, root may start processes."""
    marker = tmp_path / "pid"
    marker.touch()
    # Files may not grow in the child: the number is told through the file's times instead.
    body = f"""
        import os, time
        child = os.fork()
        if child == 0:
            time.sleep(600)
        os.utime({str(marker)!r}, (child, child))
        return arguments[0] == arguments[1]
    """
    with Worker(time_limit=1, launch=unfiltered) as warm:
        verdict = grade(warm, solved_but("padding_mask", body), (MASK,))[MASK.name]
    if sys.platform == "linux" and os.geteuid() != 0:
        assert "BlockingIOError" in verdict.reason
        return
    pid = int(marker.stat().st_mtime)
    assert pid < 2**22, verdict.reason  # else it still is the time
    deadline = time.monotonic() + 10
    while _runs(pid) and time.monotonic() < deadline:  # the system takes a moment to end an orphan
        time.sleep(0.02)
    assert not _runs(pid)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_flood_of_output_goes_nowhere(worker: Worker, capfd: pytest.CaptureFixture[str]) -> None:
    body = """
        import os, sys
        for _ in range(2_000):
            print("x" * 1_000)
            print("y" * 1_000, file=sys.stderr)
        os.write(1, b"z" * 10_000)
        return arguments[0] == arguments[1]
    """
    flood = "for _ in range(10_000): print('x' * 100)"
    assert grade(worker, solved_but("padding_mask", body.replace("2_000", "50"), flood), (MASK, MEAN))[MEAN.name].passed
    assert capfd.readouterr() == ("", "")


# --- files that cannot be imported -----------------------------------------------------------------------------------

UNLOADABLE = {
    "SystemExit": ("import sys; sys.exit(0)", "raised", "SystemExit"),
    "a syntax error": ("def padding_mask(:\n", "raised", "SyntaxError in line 1"),
    "wrong indentation": ("if True:\nx = 1\n", "raised", "IndentationError in line 2"),
    "a null byte": ("x = '\0'", "raised", "null bytes"),  # a SyntaxError, or a ValueError until Python 3.11.3
    "a name error": ("\n\nx = undefined", "raised", "NameError in line 3"),
    "a missing library": ("import nothing_of_this_name", "raised", "ModuleNotFoundError in line 1"),
    "another topic": ("from workbook.exercises.warmup import invert_mask", "raised", "ModuleNotFoundError"),
    "the specifications": ("import workbook.specs", "raised", "ModuleNotFoundError"),
    "the solutions": ("import solutions.padding", "raised", "ModuleNotFoundError"),
    "an endless loop": ("while True: pass", "timed out", "endless loop"),
    "os._exit": ("import os; os._exit(0)", "raised", "ended before it answered"),
    "deep nesting": ("x = " + "(" * 10_000, "raised", ""),
    "a deep expression": ("x = " + "-" * 100_000 + "1", "raised", ""),
}


@pytest.mark.parametrize("how", UNLOADABLE)
def test_a_file_that_cannot_be_imported_costs_that_file_only(quick: Worker, how: str) -> None:
    source, status, words = UNLOADABLE[how]
    warmup = (course.SOLUTIONS / "warmup.py").read_bytes()
    verdicts = quick.grade({"padding": source.encode(), "warmup": warmup}, specs(["warmup", "padding"]), 0)
    for verdict in verdicts:
        if verdict.exercise.startswith("warmup."):
            assert verdict.passed
        else:
            assert (verdict.status, verdict.points) == (status, 0)
            assert verdict.reason.startswith("padding.py could not be imported: ")
            assert words in verdict.reason


@pytest.mark.parametrize("source", [b"\xff\xfe\x00", b"# coding: utf-8\nx = '\xe9'\n", b"# coding: nonsense\n"])
def test_bytes_that_are_no_text_are_a_file_that_cannot_be_imported(worker: Worker, source: bytes) -> None:
    verdict = grade(worker, source)[MASK.name]
    assert verdict.status == "raised"
    assert "could not be imported" in verdict.reason


@pytest.mark.parametrize("source", [b"", b"\n", b"# nothing\n", b"padding_mask = 3\n"])
def test_a_function_that_is_not_there_gets_nothing(worker: Worker, source: bytes) -> None:
    for verdict in grade(worker, source).values():
        assert not verdict.passed
        assert verdict.points == 0
        assert verdict.exercise.partition(".")[2] in verdict.reason


def test_a_deleted_function_costs_that_function_only(worker: Worker) -> None:
    verdicts = grade(worker, (SOLUTION + "\ndel padding_mask\n").encode())
    assert not verdicts.pop(MASK.name).passed
    assert all(verdict.passed for verdict in verdicts.values())


def test_a_half_written_file_gets_what_is_written(worker: Worker) -> None:
    source = topic_source("padding").replace(
        'raise NotImplementedError("padding.padding_mask")', "return input_ids == pad_token_id"
    )
    verdicts = grade(worker, source.encode())
    assert verdicts.pop(MASK.name).passed
    assert {verdict.status for verdict in verdicts.values()} == {"not attempted"}


# --- strange results -------------------------------------------------------------------------------------------------

RIGHT = "right = arguments[0] == arguments[1]\n"
RIGHT_WAYS = {
    "expanded": "return right.T.contiguous().T",
    "transposed twice": "return right.transpose(0, 1).clone().transpose(0, 1)",
    "a view into something larger": "return torch.cat([right, right], 1)[:, : right.shape[1]]",
    "a parameter's data": "return torch.nn.Parameter(right, requires_grad=False)",
    "flipped views": "return right.flip(0).flip(0)",
}
STRANGE = {
    "a tensor subclass": ("return right.as_subclass(type('Mine', (torch.Tensor,), {}))", "a subclass"),
    "a sparse tensor": ("return right.to_sparse()", "not a dense tensor"),
    "a meta tensor": ("return right.to('meta')", "the meta device"),
    "a huge tensor": ("return torch.zeros(1, dtype=torch.bool).expand(2_000_000)", "2,000,000 elements"),
    "a complex tensor": ("return right.to(torch.complex64)", "a kind that this course does not use"),
    "an eight-bit float": ("return right.to(torch.float8_e4m3fn)", "a kind that this course does not use"),
    "a list of lists": ("return right.tolist()", "it returned [[False"),
    "a deep list": ("value = []\nfor _ in range(100_000): value = [value]\nreturn value", ""),
    "a list that holds itself": ("value = []\nvalue.append(value)\nreturn value", ""),
    "a million numbers": ("return list(range(1_000_000))", ""),
    "a long text": ("return 'x' * 10**7", "was wanted"),
    "a number without end": ("return 10**100_000", "too long"),
    "a generator": ("return (row for row in right)", "generator"),
    "a module": ("return torch", "module"),
    "a class that lies about itself": (
        """
        class Liar:
            __class__ = torch.Tensor
            def __eq__(self, other): return True
            def __getattr__(self, name): return self
        return Liar()
        """,
        "",
    ),
    "a bool that is equal to all": ("return True", "True"),
    "nothing": ("pass", "None"),
}


@pytest.mark.parametrize("how", RIGHT_WAYS)
def test_a_right_result_passes_however_it_lies_in_memory(worker: Worker, how: str) -> None:
    verdict = grade(worker, solved_but("padding_mask", RIGHT + RIGHT_WAYS[how]), (MASK,))[MASK.name]
    assert verdict.passed, verdict.reason


@pytest.mark.parametrize("how", STRANGE)
def test_a_strange_result_is_a_wrong_one(worker: Worker, how: str) -> None:
    body, words = STRANGE[how]
    verdicts = grade(worker, solved_but("padding_mask", RIGHT + textwrap.dedent(body)), (MASK, MEAN))
    assert verdicts[MASK.name].status in ("wrong", "raised"), verdicts[MASK.name]
    assert words in verdicts[MASK.name].reason
    assert verdicts[MEAN.name].passed


def test_a_result_may_hold_one_tensor_twice(worker: Worker) -> None:
    """Two results that share their memory are compared like any others: right where both are right."""
    attention = spec("padding.padded_attention")
    verdict = grade(worker, solved_but("padded_attention", "x = arguments[0]\nreturn x, x"), (attention,))[
        attention.name
    ]
    assert verdict.status == "wrong"
    assert "result 2 of 2" in verdict.reason or verdict.aspect == "shape"


def test_an_input_edited_in_place_is_reported(worker: Worker) -> None:
    body = "right = arguments[0] == arguments[1]\narguments[0].zero_()\nreturn right"
    verdict = grade(worker, solved_but("padding_mask", body), (MASK,))[MASK.name]
    assert (verdict.status, verdict.aspect) == ("property broken", "inputs unchanged")


# --- cheating --------------------------------------------------------------------------------------------------------

CHEATS = {
    "comparisons patched": """
        import torch
        for name in ("equal", "allclose", "isclose", "ne", "eq", "any", "all"):
            setattr(torch, name, lambda *arguments, **keywords: torch.ones((), dtype=torch.bool))
        torch.Tensor.__eq__ = torch.Tensor.__ne__ = lambda self, other: torch.ones((), dtype=torch.bool)
        torch.Tensor.any = lambda *arguments: False
    """,
    "the runner patched": """
        import sys
        runner = sys.modules["__main__"]
        runner.plain = lambda value: value
        runner.measure = lambda function, kind, *more: runner.Measured(kind, None)
        runner.work = lambda *arguments: (0, 0)
    """,
    "the tracer patched": """
        import sys
        sys.settrace = lambda function: None
    """,
}


@pytest.mark.parametrize("how", CHEATS)
def test_a_wrong_answer_fails_whatever_is_patched(worker: Worker, how: str) -> None:
    source = (
        textwrap.dedent(CHEATS[how])
        + "\nimport torch\ndef padding_mask(ids, pad): return torch.zeros(ids.shape).bool()\n"
    )
    assert not grade(worker, source.encode(), (MASK,))[MASK.name].passed


def test_patches_of_one_submission_do_not_reach_the_next(worker: Worker) -> None:
    vandal = "import torch\ntorch.Tensor.softmax = None\ntorch.finfo = None\nraise RuntimeError\n"
    grade(worker, vandal.encode())
    assert all(verdict.passed for verdict in grade(worker, SOLUTION.encode()).values())


def forged(tree: Any, blob: bytes = b"") -> str:
    text = json.dumps({"tree": tree}).encode()
    return repr(struct.pack("!II", len(text), len(blob)) + text + blob)


LIES: list[Any] = [
    {"list": [{"raised": [[], "no type", None]}] * 9},
    {"list": [{"raised": [["E"], "x", 10**40]}] * 9},
    {"list": [{"returned": {"unfit": ["why", "T", [-1], "bool", "cpu"]}}] * 9},
    {"list": [{"returned": {"raised": [["E"], "", None]}}] * 9},
    {"list": [{"returned": {"measured": ["view", None, None]}}] * 9},
    {"list": [{"returned": {"float": "nan"}}] * 9},
    {"list": [{"unwritten": True}] * 8},
    {"list": [{"measured": ["device", None, None]}] * 3},
    {"raised": [["E"], "", None]},
    {"unwritten": True},
    {"pickle": "x"},
    {"list": []},
    None,
]


@pytest.mark.parametrize("lie", LIES, ids=lambda lie: json.dumps(lie)[:40])
@pytest.mark.parametrize("when", ["import", "call"])
def test_a_frame_written_by_the_submission_itself_gives_no_points(worker: Worker, lie: Any, when: str) -> None:
    writing = f"import os; os.write(3, {forged(lie)}); os._exit(0)"
    source = writing if when == "import" else f"def padding_mask(ids, pad):\n    {writing}"
    assert not grade(worker, source.encode(), (MASK,))[MASK.name].passed


@pytest.mark.parametrize("noise", [b"\0" * 100, b"\xff" * 100, b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\x05\0\0\0\0hello"])
def test_noise_on_the_wire_is_no_answer(quick: Worker, noise: bytes) -> None:
    body = f"import os\nos.write(3, {noise!r})\nreturn arguments[0] == arguments[1]"
    verdicts = grade(quick, solved_but("padding_mask", body), (MASK, MEAN))
    assert not verdicts[MASK.name].passed
    assert verdicts[MEAN.name].passed


def test_a_child_sees_neither_expected_values_nor_the_parents_environment(worker: Worker, monkeypatch: Any) -> None:
    monkeypatch.setenv("GRADING_SECRET", "x")
    source = """
        import os, sys
        found = [name for name in sys.modules if name.startswith(("workbook.", "solutions"))]
        found.remove("workbook.exercises.padding")  # this very file
        found += [name for name in os.environ if "SECRET" in name or name.startswith("WORKBOOK")]
        found += [path for path in sys.path if path in ("", ".")]
        raise RuntimeError(f"found {found}, descriptors {sorted(os.listdir('/proc/self/fd'))}")
    """
    reason = grade(worker, textwrap.dedent(source).encode(), (MASK,))[MASK.name].reason
    assert "found []" in reason
    descriptors = reason.partition("descriptors ")[2]
    assert all(f"'{number}'" in descriptors for number in range(4))
    assert not any(f"'{number}'" in descriptors for number in range(5, 30)), descriptors  # 4 lists the folder itself


def test_topics_of_one_submission_stay_apart(worker: Worker) -> None:
    """What one file defines, another does not see; what a mistake breaks is one exercise."""
    files = {"warmup": b"def invert_mask(mask): return ~mask\n", "padding": b"padding_mask = invert_mask\n"}
    first, second = worker.grade(files, (spec("invert_mask"), MASK), 0)
    assert first.passed
    assert "NameError" in second.reason


# --- the warm process ------------------------------------------------------------------------------------------------


def test_a_warm_process_that_was_killed_is_started_again() -> None:
    with Worker() as warm:
        assert warm._process is not None
        first = warm._process.pid
        os.kill(first, 9)
        assert all(verdict.passed for verdict in grade(warm, SOLUTION.encode()).values())
        assert warm._process.pid != first


def test_a_warm_process_that_cannot_start_is_said_so() -> None:
    def nothing(control: socket.socket) -> "subprocess.Popen[bytes]":
        return subprocess.Popen([sys.executable, "-c", "pass"])

    with pytest.raises(WorkerLost), Worker(launch=nothing):
        pass


def test_leaving_the_worker_ends_its_process() -> None:
    with Worker() as warm:
        process = warm._process
        assert process is not None
        assert process.poll() is None
    assert process.poll() is not None
    assert warm._process is None


# --- one function of a topic among the others ------------------------------------------------------------------------

PLACES = (0, len(PADDING) // 2, len(PADDING) - 1)
ENDS = {
    "hangs": ("while True: pass", "timed out", "stopped after 1 second"),
    "exits": ("import os; os._exit(3)", "raised", "exit code 3"),
    "kills its process": ("import os; os.kill(os.getpid(), 9)", "raised", "ended before it answered"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ENDS)
def test_the_others_of_a_topic_keep_their_marks_wherever_one_stands(quick: Worker, place: int, how: str) -> None:
    """They are asked together, and what one does is found out by asking each alone."""
    body, status, words = ENDS[how]
    found = PADDING[place]
    verdicts = grade(quick, solved_but(found.function, body))
    came = verdicts.pop(found.name)
    assert (came.status, came.points, words in came.reason) == (status, 0, True), came.reason
    assert [verdict.exercise for verdict in verdicts.values() if not verdict.passed] == []


@pytest.mark.parametrize("place", PLACES)
def test_one_that_hangs_on_some_calls_only_is_charged_alone(quick: Worker, place: int) -> None:
    """The first answers are long out when it is lost: those of other functions count, and its own do not."""
    found = PADDING[place]
    source = f"""
{SOLUTION}
_right, _calls = {found.function}, []

def {found.function}(*arguments, **keywords):
    _calls.append(1)
    while len(_calls) > 2:
        pass
    return _right(*arguments, **keywords)
"""
    verdicts = grade(quick, source.encode())
    assert (verdicts.pop(found.name).status, len(verdicts)) == ("timed out", len(PADDING) - 1)
    assert all(verdict.passed for verdict in verdicts.values())


def test_three_that_fail_in_three_ways_are_charged_and_no_others(quick: Worker) -> None:
    first, wrong, last = PADDING[0], PADDING[1], PADDING[-1]
    source = f"""
{SOLUTION}

def {first.function}(*arguments, **keywords):
    while True:
        pass

def {wrong.function}(*arguments, **keywords):
    return None

def {last.function}(*arguments, **keywords):
    import os
    os._exit(0)
"""
    verdicts = grade(quick, source.encode())
    assert verdicts.pop(first.name).status == "timed out"
    assert verdicts.pop(wrong.name).status == "wrong"
    assert verdicts.pop(last.name).status == "raised"
    assert all(verdict.passed for verdict in verdicts.values())


def test_a_topic_that_is_slow_and_right_is_passed(quick: Worker) -> None:
    """Each function has its time: together they take longer than one may."""
    slow = "".join(
        f"""
def _slowed(right):
    waited = []
    def slow(*arguments, **keywords):
        if not waited:
            waited.append(time.sleep(0.3))
        return right(*arguments, **keywords)
    return slow

{found.function} = _slowed({found.function})
"""
        for found in PADDING
    )
    assert 0.3 * len(PADDING) > quick.time_limit
    verdicts = grade(quick, f"import time\n{SOLUTION}\n{slow}".encode())
    assert [(verdict.exercise, verdict.reason) for verdict in verdicts.values() if not verdict.passed] == []
