"""What a cheating or broken learner may hand in: it gets what its honest part deserves, and nobody else notices.

Each file in ``attacks/`` is one, handed in as ``warmup.py`` beside an honest ``padding.py``. The table says against which
law of isolation it is, and how it ends. A file that looks for something tells what it found: "worked: []" is nothing.
"""

import builtins
import contextlib
import csv
import io
import json
import os
import re
import socket
import struct
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from workbook import course
from workbook.cli import main
from workbook.grading import gradebook, judge, runner, sandbox, worker
from workbook.grading.judge import Examination, examination
from workbook.grading.submission import pack
from workbook.grading.verdict import Verdict
from workbook.grading.worker import Worker
from workbook.specs import Spec, spec, specs

ATTACKS = Path(__file__).parent / "attacks"
SEED = 20_260
NOTHING = re.escape("worked: []")
#: No file with this line is ever executed in the process that grades, and no child of another submission knows of it.
MARK = "import builtins; builtins.attack_was_executed = True\n"
UNMARKED = 'import builtins; assert not hasattr(builtins, "attack_was_executed")\n'

ISOLATIONS = ("sandbox", "processes")
#: What holds an attack off: the sandbox alone, so that in plain processes it finds what it looks for and still gets no
#: marks for it; the filter of system calls, which plain processes of Linux have, too; or the other process itself.
SANDBOX, FILTER, PROCESS = "sandbox", "filter", "process"


@dataclass(frozen=True)
class Attack:
    """How an attack ends: the status of its first function, and words of the reason, as regular expressions.

    It is handed in for the topic of each function that it attacks. ``spares`` says whether the honest function of the same
    submission keeps its marks, or the attack breaks the process that runs both.
    """

    status: str
    words: str = ""
    held_by: str = PROCESS
    spares: bool = True
    attacked: tuple[str, ...] = ("warmup.invert_mask",)


LAWS = {
    "the parent judges: whatever the child says or patches, a wrong value is a wrong value": {
        "patches_comparisons": Attack("wrong", spares=False),
        "patches_the_runner": Attack("wrong", spares=False),
        "finds_the_runner": Attack("wrong"),
        "patches_the_wire": Attack("raised", "is no answer"),
        "plays_with_the_tracer": Attack("wrong"),
        "hides_its_loop": Attack("property broken", "work grows"),
        "edits_its_inputs": Attack("wrong", spares=False),
        "knows_the_visible_cases": Attack("wrong"),
        "returns_nan": Attack("wrong", attacked=("warmup.invert_mask", "padding.masked_mean")),
        "returns_its_input": Attack("wrong"),
        "raises_lookalikes": Attack("raised", attacked=("warmup.invert_mask", "padding.attention_mask_from_lengths")),
        "plays_the_stub": Attack("raised"),
    },
    "nothing to find: expected values, specifications and the seed are never in the child": {
        "searches_frames": Attack("wrong"),
        "searches_memory": Attack("wrong"),
        "reads_the_questions": Attack("wrong"),
        "guesses_the_seed": Attack("raised", NOTHING),
    },
    "nothing to read: of the machine, the project and the class": {
        "reads_the_project": Attack("raised", NOTHING, SANDBOX),
        "reads_the_class": Attack("raised", NOTHING, SANDBOX),
        "reads_the_machine": Attack("raised", NOTHING, SANDBOX),
        "reads_the_environment": Attack("raised", NOTHING, SANDBOX),
    },
    "nothing to write: not the class, not the code that runs next": {
        "writes_the_class": Attack("raised", NOTHING, FILTER),
        "writes_the_package": Attack("raised", NOTHING, FILTER),
        "hogs_the_disk": Attack("raised", NOTHING, FILTER),
    },
    "nothing outlives: no process, no thread, no late answer": {
        "forks": Attack("raised", NOTHING, FILTER),
        "leaves_a_daemon": Attack("raised", "PermissionError", FILTER),
        "starts_threads": Attack("wrong"),
        "answers_late": Attack("wrong|raised", spares=False),
    },
    "nobody else: not the warm process, not the machine, not the network": {
        "signals": Attack("raised", NOTHING, FILTER),
        "kills_the_warm_process": Attack("wrong|raised"),
        "signals_through_a_descriptor": Attack("raised", NOTHING, FILTER),
        "traces": Attack("raised", NOTHING, FILTER),
        "opens_other_processes": Attack("raised", NOTHING, SANDBOX),
        "limits_other_processes": Attack("raised", NOTHING, FILTER),
        "wants_more_powers": Attack("raised", NOTHING, FILTER),
        "uses_the_network": Attack("raised", NOTHING, FILTER),
    },
    "one function pays: whatever dies, hangs or floods costs the functions that do it": {
        "exits": Attack("raised", "ended before it answered"),
        "exits_when_imported": Attack("raised", "ended before it answered"),
        "aborts": Attack("raised", "SIGABRT"),
        "segfaults": Attack("raised", "SIGSEGV"),
        "loops": Attack("timed out", "endless loop"),
        "computes_for_ever": Attack("timed out", "endless loop"),
        "recurses": Attack("raised|timed out"),
        "prints": Attack("timed out", "endless loop"),
        "hogs_memory": Attack("raised|timed out", f"{NOTHING}|stopped after"),
        "raises_exits": Attack("raised"),
        "raises_something_hostile": Attack("raised"),
        "says_hostile_things": Attack("raised", "HYPERLINK"),
    },
    "only bytes cross: JSON and safetensors of bounded length, in time, never an object": {
        "writes_guesses": Attack("wrong", spares=False),
        "writes_measurements": Attack("raised", "is no answer", spares=False),
        "answers_before_it_is_asked": Attack("wrong", spares=False),
        "serves_itself": Attack("wrong", spares=False),
        "drips": Attack("timed out"),
        "floods_kinds_of_tuples": Attack("wrong|raised", spares=False),
        "returns_a_subclass": Attack("wrong", "a subclass of torch.Tensor"),
        "returns_a_torch_function": Attack("wrong"),
        "returns_a_pickle": Attack("wrong", "Trap"),
        "returns_a_shape_shifter": Attack("raised"),
        "returns_a_hostile_named_tuple": Attack("raised"),
        "returns_hostile_keys": Attack("wrong|raised"),
        "returns_a_million_words": Attack(
            "wrong|raised", attacked=("warmup.invert_mask", "multihead.nn_transformer_masks")
        ),
        "returns_nested_lists": Attack("wrong"),
        "returns_gigabytes": Attack("wrong"),
        "returns_odd_tensors": Attack("wrong"),
    },
}
TABLE = {name: attack for law in LAWS.values() for name, attack in law.items()}

SOLUTIONS = {
    topic: (course.SOLUTIONS / f"{topic}.py").read_bytes() for topic in ("warmup", "padding", "causal", "multihead")
}
HONEST_PART = "padding.padding_mask"


# --- the class, the machine and the worker that an attack meets -------------------------------------------------------


@dataclass(frozen=True)
class World:
    """What lies about while a class is graded: a folder with everybody's work, and two servers that nobody should call."""

    folder: Path
    servers: tuple[socket.socket, ...]

    def known(self) -> dict[str, str]:
        """Return what a well-informed attacker knows, under the placeholders of the attack files."""
        return {
            "<project>": str(course.PROJECT),
            "<class>": str(self.folder),
            "<port>": str(self.servers[0].getsockname()[1]),
            "<socket>": self.servers[1].getsockname()[1:].decode(),
            "<answers>": json.dumps(answers_by_heart(), separators=(",", ":")),
        }

    def state(self) -> object:
        """Return all that an attack could have changed in the files of the class and of the project."""
        files = [
            self.folder,
            *self.folder.rglob("*"),
            course.PACKAGE / "grading" / "judge.py",
            *course.SOLUTIONS.glob("*.py"),
        ]
        listed = {str(path): (path.lstat().st_mode, path.lstat().st_mtime_ns) for path in files}
        return listed, {str(path): path.read_bytes() for path in files if path.is_file()}

    def calls(self) -> list[int]:
        """Return which servers were called."""
        called = []
        for number, server in enumerate(self.servers):
            with contextlib.suppress(BlockingIOError):
                server.accept()
                called.append(number)
        return called


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("class")
    (folder / "gradebook.csv").write_text("anna,50\n", encoding="utf-8")
    (folder / "gradebook.sqlite").write_bytes(b"SQLite format 3\0")
    (folder / "submissions" / "bert").mkdir(parents=True)
    (folder / "submissions" / "anna.zip").write_bytes(pack("anna", SOLUTIONS))
    (folder / "submissions" / "bert" / "warmup.py").write_bytes(SOLUTIONS["warmup"])
    with contextlib.ExitStack() as stack:
        loopback = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        named = stack.enter_context(socket.socket(socket.AF_UNIX))
        named.bind(f"\0attacked-{os.getpid()}")
        named.listen()
        for server in (loopback, named):
            server.setblocking(False)
        yield World(folder, (loopback, named))


@pytest.fixture(scope="module")
def grader(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """A worker with little patience and little memory, in the sandbox or without."""
    launch = worker.launch if request.param == "processes" else None
    if request.param == "sandbox" and sandbox.why_not() is not None:
        pytest.skip(str(sandbox.why_not()))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{os.environ['PATH']}:/attacked-{os.getpid()}")  # every process of it is known by this
        with Worker(time_limit=1, memory_limit=300 << 20, launch=launch) as warm:
            assert warm.isolation == request.param
            yield warm


def processes_of(warm: Worker) -> set[int]:
    """Return the warm process, all that descend from it, and all that have its environment, whoever adopted them."""
    assert warm._process is not None
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(path.parent.name)] = int(parent)
    found = {warm._process.pid}
    for pid in parents:
        with contextlib.suppress(OSError):
            if f":/attacked-{os.getpid()}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                found.add(pid)
    while True:
        children = {pid for pid, parent in parents.items() if parent in found} - found
        if not children:
            return found
        found |= children


JUDGES: tuple[tuple[object, str], ...] = tuple(
    (place, name)
    for place, names in {
        torch: "equal allclose isclose eq ne all any zeros ones tensor",
        torch.Tensor: "__eq__ __ne__ eq ne equal allclose all any",
        torch.testing: "assert_close",
        builtins: "all any isinstance type print open",
        json: "dumps loads",
        judge: "judge examine difference",
        runner: "run measure plain encode receive",
        gradebook: "grade_submission write_gradebook",
    }.items()
    for name in names.split()
)


def parent_state() -> object:
    """Return what an attack that ran in this process would have changed."""
    assert not hasattr(builtins, "attack_was_executed")
    assert "TRAPPED" not in os.environ
    return [(place, name, id(getattr(place, name))) for place, name in JUDGES]


def grade(warm: Worker, files: Mapping[str, bytes], chosen: Sequence[Spec]) -> dict[str, Verdict]:
    """Grade a submission whose every verdict is all or nothing, and short enough to be read."""
    verdicts = warm.grade({**SOLUTIONS, **files}, chosen, SEED)
    assert [verdict.exercise for verdict in verdicts] == [found.name for found in chosen]
    for verdict in verdicts:
        assert verdict.points == (verdict.max_points if verdict.passed else 0)
        assert len(json.dumps(verdict.to_json())) < 20_000
    return {verdict.exercise: verdict for verdict in verdicts}


def neighbour_passes(warm: Worker, chosen: Sequence[Spec]) -> None:
    honest = {topic: UNMARKED.encode() + source for topic, source in SOLUTIONS.items()}
    verdicts = warm.grade(honest, chosen, SEED)
    assert [(verdict.exercise, verdict.reason) for verdict in verdicts if not verdict.passed] == []


@contextlib.contextmanager
def nobody_notices(warm: Worker, world: World, chosen: Sequence[Spec]) -> Iterator[None]:
    """Whatever happens inside, an honest neighbour passes before and after, and nothing else is changed or left."""
    neighbour_passes(warm, chosen)
    before, processes = (parent_state(), world.state()), len(processes_of(warm))
    yield
    assert (parent_state(), world.state()) == before
    assert world.calls() == []
    deadline = time.monotonic() + 10
    while len(processes_of(warm)) > processes and time.monotonic() < deadline:  # the system takes a moment to end one
        time.sleep(0.02)
    assert len(processes_of(warm)) == processes
    neighbour_passes(warm, chosen)


PROBE = b"raise RuntimeError([line for line in open('/proc/self/status') if line.startswith('Seccomp:')])"


def needs_filter(warm: Worker) -> None:
    """Skip where plain processes have no filter, so that an attack is let loose on nothing but what should hold it."""
    (verdict,) = warm.grade({"warmup": PROBE}, [spec("warmup.invert_mask")], SEED)
    if "Seccomp:\\t2" not in verdict.reason:
        assert warm.isolation == "processes", verdict.reason
        pytest.skip("plain processes have no filter of system calls here")


def attack_source(name: str, world: World) -> bytes:
    text = MARK + (ATTACKS / f"{name}.py").read_text(encoding="utf-8")
    for placeholder, known in world.known().items():
        text = text.replace(placeholder, known)
    return text.encode()


# --- the attacks ------------------------------------------------------------------------------------------------------


def test_every_attack_is_in_a_test() -> None:
    elsewhere = {"leaves_answers", "finds_answers", "writes_a_frame"}
    assert {path.stem for path in ATTACKS.glob("*.py")} == set(TABLE) | elsewhere


@pytest.mark.parametrize("grader", ISOLATIONS, indirect=True)
@pytest.mark.parametrize("name", TABLE)
def test_an_attack_gets_what_its_honest_part_deserves_and_nobody_notices(
    grader: Worker, name: str, world: World
) -> None:
    attack = TABLE[name]
    if attack.held_by == FILTER:
        needs_filter(grader)
    chosen = [spec(each) for each in (*attack.attacked, HONEST_PART)]
    source = attack_source(name, world)
    with nobody_notices(grader, world, chosen):
        verdicts = grade(grader, {found.partition(".")[0]: source for found in attack.attacked}, chosen)
    honest = verdicts.pop(HONEST_PART)
    assert [verdict for verdict in verdicts.values() if verdict.passed] == []
    first = verdicts[attack.attacked[0]]
    assert re.fullmatch(attack.status, first.status), (first.status, first.reason)
    if attack.held_by != SANDBOX or grader.isolation == "sandbox":
        assert re.search(attack.words, first.reason), first.reason
    if attack.spares:
        assert honest.passed, honest.reason


@pytest.mark.parametrize("grader", ISOLATIONS, indirect=True)
def test_nothing_that_one_submission_leaves_is_found_by_the_next(grader: Worker, world: World) -> None:
    """Against two who work together: files, names, links, shared memory, queues, keys, variables, modules."""
    needs_filter(grader)
    chosen = [spec("warmup.invert_mask"), spec(HONEST_PART)]
    with nobody_notices(grader, world, chosen):
        left, found = (
            grade(grader, {"warmup": attack_source(name, world)}, chosen)
            for name in ("leaves_answers", "finds_answers")
        )
    assert "left" in left["warmup.invert_mask"].reason
    assert re.search(NOTHING, found["warmup.invert_mask"].reason), found


# --- sources that are attacks by how they are written ------------------------------------------------------------------

WRONG = "def invert_mask(mask):\n    return mask\n"
RIGHT = "def invert_mask(mask):\n    return ~mask\n"
SOURCES: dict[str, tuple[bytes, str]] = {
    "a right answer after a byte order mark": (b"\xef\xbb\xbf" + RIGHT.encode(), "passed"),
    "a right answer in Latin-1, as it says": (
        "# -*- coding: latin-1 -*-\n# déjà vu\n".encode("latin-1") + RIGHT.encode(),
        "passed",
    ),
    "a wrong answer in UTF-7": (b"# -*- coding: utf-7 -*-\n" + WRONG.encode("utf-7"), "wrong"),
    "code hidden in a comment by UTF-7": (
        b"# -*- coding: utf-7 -*-\n# +AAo-raise SystemExit(0)\n" + RIGHT.encode(),
        "raised",
    ),
    "an encoding that is none": (b"# -*- coding: rot13 -*-\n" + RIGHT.encode(), "raised"),
    "bytes that are no text": (b"\xff\xfe" + RIGHT.encode("utf-16-le"), "raised"),
    "a null byte": (RIGHT.encode() + b"\0", "raised"),
    "a null byte that says it is UTF-16": (b"# -*- coding: utf-16 -*-\n" + RIGHT.encode(), "raised"),
    "a text of ten thousand millions of letters": (b"x = 'a' * 10**10\n" + RIGHT.encode(), "raised"),
    "a power that is folded when compiled": (
        b"def x(): return ((2 ** 9999) ** 9999) << 9999999\n" + RIGHT.encode(),
        "passed",
    ),
    "a tuple folded over and over": (
        b"def x(): return " + b"((" * 20 + b"0," + b") * 99)" * 20 + b"\n" + RIGHT.encode(),
        "passed",
    ),
    "parentheses in parentheses": (b"x = " + b"(" * 100_000 + b")" * 100_000 + b"\n" + RIGHT.encode(), "raised"),
    "a sign before a sign": (b"x = " + b"-" * 500_000 + b"1\n" + RIGHT.encode(), "raised"),
    "an attribute of an attribute": (b"x = a" + b".a" * 300_000 + b"\n" + RIGHT.encode(), "raised"),
    "a block in a block": (
        b"".join(b" " * n + b"if 1:\n" for n in range(500)) + b" " * 500 + b"pass\n" + RIGHT.encode(),
        "raised",
    ),
    "a number of half a million digits": (b"x = " + b"9" * 500_000 + b"\n" + RIGHT.encode(), "raised"),
    "half a million names": (b"".join(b"a%d=" % n for n in range(100_000)) + b"1\n" + RIGHT.encode(), "any"),
    "a text that is formatted in itself": (b"x = f'" + b'{f"' * 100 + b'"}' * 100 + b"'\n" + RIGHT.encode(), "raised"),
    "an annotation that ends the process": (
        b"def invert_mask(mask: __import__('os')._exit(0)): return ~mask\n",
        "passed",  # it is never looked at
    ),
    "a decorator that ends the process": (b"@__import__('os')._exit\n" + RIGHT.encode(), "raised"),
    "a module that answers for every name": (b"def __getattr__(name): return lambda mask: mask\n", "wrong"),
    "another class for the module": (
        b"import sys, types\nclass M(types.ModuleType):\n    invert_mask = property(lambda self: 1 / 0)\n"
        b"sys.modules[__name__].__class__ = M\n",
        "raised",
    ),
    "a right answer behind a mark of the course": (
        b"def invert_mask(mask): return mask\ninvert_mask.__graded__ = type('C', (), {'__call__': lambda self, mask: mask})()\n",
        "wrong",
    ),
}


@pytest.mark.parametrize("grader", ISOLATIONS, indirect=True)
def test_a_hostile_source_costs_its_own_file(grader: Worker, world: World) -> None:
    chosen = [spec("warmup.invert_mask"), spec(HONEST_PART)]
    ends = {}
    with nobody_notices(grader, world, chosen):
        for about, (source, status) in SOURCES.items():
            verdicts = grade(grader, {"warmup": source}, chosen)
            assert verdicts[HONEST_PART].passed, about
            ends[about] = verdicts["warmup.invert_mask"].status if status != "any" else "any"
    assert ends == {about: status for about, (_, status) in SOURCES.items()}


# --- frames ------------------------------------------------------------------------------------------------------------


def framed(text: bytes, blob: bytes = b"", text_length: int | None = None, blob_length: int | None = None) -> bytes:
    lengths = (len(text) if text_length is None else text_length, len(blob) if blob_length is None else blob_length)
    return struct.pack("!II", *lengths) + text + blob


def tensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    """Return bytes as safetensors lays them out: the header's length, the header, the numbers."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


GENUINE = runner.encode({}, [runner.Returned(torch.ones(4, dtype=torch.bool))] * 8)
TEXT_LENGTH, BLOB_LENGTH = struct.unpack("!II", GENUINE[:8])
TEXT, BLOB = GENUINE[8 : 8 + TEXT_LENGTH], GENUINE[8 + TEXT_LENGTH :]
BOOL = {"dtype": "BOOL", "shape": [4], "data_offsets": [0, 4]}
FRAMES: dict[str, bytes] = {
    "a length of four gigabytes": framed(TEXT, BLOB, text_length=2**32 - 1),
    "tensors of four gigabytes": framed(TEXT, BLOB, blob_length=2**32 - 1),
    "one byte more than is allowed": framed(b" ", text_length=runner.MAX_JSON_BYTES + 1),
    "tensors of one byte more than is allowed": framed(TEXT, blob_length=runner.MAX_TENSOR_BYTES + 1),
    "a header alone": struct.pack("!II", 8, 8),
    "half a header": b"\0\0\0",
    "a frame cut short": GENUINE[:-1],
    "tensors cut short": framed(TEXT, BLOB[:-1]),
    "tensors without their numbers": framed(TEXT, BLOB[:20]),
    "tensors that are missing": framed(TEXT),
    "tensors that are text": framed(TEXT, TEXT),
    "tensors that are a pickle": framed(TEXT, b"\x80\x04cos\nabort\n(tR."),
    "a pickle": framed(b"\x80\x04cos\nabort\n(tR."),
    "a header longer than the tensors": framed(TEXT, tensors({"bool": BOOL}, b"\1" * 4, length=10**6)),
    "a header without end": framed(TEXT, tensors({"bool": BOOL}, b"\1" * 4, length=2**64 - 1)),
    "a shape that does not fit its numbers": framed(TEXT, tensors({"bool": {**BOOL, "shape": [2**62, 4]}}, b"\1" * 4)),
    "a shape that overflows": framed(TEXT, tensors({"bool": {**BOOL, "shape": [2**63, 2]}}, b"\1" * 4)),
    "a negative shape": framed(TEXT, tensors({"bool": {**BOOL, "shape": [-4]}}, b"\1" * 4)),
    "places outside the tensors": framed(
        TEXT, tensors({"bool": {**BOOL, "data_offsets": [10**9, 10**9 + 4]}}, b"\1" * 4)
    ),
    "places that overlap": framed(TEXT, tensors({"bool": BOOL, "more": BOOL}, b"\1" * 4)),
    "numbers of an unknown kind": framed(TEXT, tensors({"bool": {**BOOL, "dtype": "PICKLE"}}, b"\1" * 4)),
    "complex numbers": framed(
        TEXT, tensors({"bool": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\1" * 8)
    ),
    "two hundred thousand tensors": framed(
        b'{"tree": null}',
        tensors({str(n): {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]} for n in range(200_000)}),
    ),
    "one long tensor, seen eight times": framed(
        json.dumps({"tree": {"list": [{"returned": [{"tensor": ["bool", 0, [1_000]]}, None]}] * 8}}).encode(),
        tensors({"bool": {"dtype": "BOOL", "shape": [1_000], "data_offsets": [0, 1_000]}}, b"\1" * 1_000),
    ),
    "text that is not UTF-8": framed(b"\xff" * 100),
    "text that is not JSON": framed(b"{'tree': __import__('os').abort()}"),
    "no tree": framed(b"{}"),
    "no object": framed(b"[]"),
    "lists without end": framed(b"[" * 1_000_000),
    "objects without end": framed(b'{"tree":' * 500_000),
    "tags without end": framed(b'{"tree": ' + b'{"list": [' * 5_000 + b"]}" * 5_000 + b"}"),
    "more tags than are allowed": framed(b'{"tree": {"list": [' + b"null, " * 200_000 + b"null]}}"),
    "an unknown tag": framed(b'{"tree": {"pickle": "x"}}'),
    "a number of a million digits": framed(b'{"tree": {"int": "' + b"9" * 1_000_000 + b'"}}'),
    "a number of a million digits without a tag": framed(b'{"tree": ' + b"9" * 1_000_000 + b"}"),
    "a number that is none": framed(b'{"tree": {"int": [1]}}'),
    "numbers as text": framed(b'{"tree": {"float": "__import__"}}'),
    "a tensor that is not there": framed(b'{"tree": {"tensor": ["bool", 99, [4]]}}', BLOB),
    "a tensor of a negative number": framed(b'{"tree": {"tensor": -1}}', BLOB),
    "a tuple of no name": framed(b'{"tree": {"named": ["import os", ["a"], [null]]}}'),
    "a tuple of a hostile field": framed(b'{"tree": {"named": ["T", ["a", "\\u00aa"], [null, null]]}}'),
    "a tuple of other fields": framed(b'{"tree": {"named": ["T", ["a"], [null, null]]}}'),
    "an error without a type": framed(b'{"tree": {"raised": [[], "", null]}}'),
    "an error in a line that is none": framed(b'{"tree": {"raised": [["E"], "", 1e999]}}'),
}


@pytest.mark.parametrize("grader", ISOLATIONS, indirect=True)
def test_a_frame_that_is_none_costs_the_function_that_sent_it(grader: Worker, world: World) -> None:
    chosen = [spec("warmup.invert_mask"), spec(HONEST_PART)]
    source = attack_source("writes_a_frame", world)
    ends = {}
    with nobody_notices(grader, world, chosen):
        for about, frame in FRAMES.items():
            verdicts = grade(grader, {"warmup": source.replace(b"<frame>", frame.hex().encode())}, chosen)
            came = verdicts["warmup.invert_mask"]
            told = re.search(r"that is no answer \(|ended before it answered", came.reason)
            ends[about] = (came.status, "no answer" if told else came.reason, verdicts[HONEST_PART].status)
    assert ends == dict.fromkeys(FRAMES, ("raised", "no answer", "passed"))


def test_no_flood_of_kinds_of_tuples_takes_the_room_of_honest_ones() -> None:
    """Whatever a submission has sent, the NamedTuple that an honest neighbour returns still arrives."""

    def sent(names: Sequence[str]) -> Any:
        text = json.dumps({"tree": {"list": [{"named": [name, ["allowed"], [True]]} for name in names]}})
        return runner.decode(text.encode(), b"")[1]

    for flood in range(5):
        with contextlib.suppress(runner.Malformed):
            sent([f"Kind{flood}of{number}" for number in range(150)])
    (came,) = sent(["NeverSeenBefore"])
    assert (type(came).__name__, came._fields, [*came]) == ("NeverSeenBefore", ("allowed",), [True])


#: Well-formed, and lies: what is told in place of the answers of all eight cases.
LIES: dict[str, object] = {
    "True": runner.Returned(True),
    "one": runner.Returned(torch.ones(4, dtype=torch.bool)),
    "a broken property of no function": runner.Measured("no loop", None),
    "nothing written": runner.Unwritten(),
    "an error that is wanted elsewhere": runner.Raised(("ValueError", "TypeError", "Malformed"), "", 10**90),
    "half a surrogate pair": runner.Raised(("\ud800",), "\ud800\0\x1b[2J\n=1+1", None),
    "what is unfit, but like a tensor": runner.Returned(runner.Unfit("", "Tensor", (4,), "bool", "cpu")),
    "what is unfit, and is nowhere": runner.Returned(runner.Unfit("\ud800", "", (-1, 10**80), "", "")),
    "an input that is not there was changed": runner.Returned(torch.ones(4, dtype=torch.bool), changed=-5),
}


@pytest.mark.parametrize("grader", ISOLATIONS, indirect=True)
def test_a_well_formed_lie_is_a_wrong_answer(grader: Worker, world: World) -> None:
    chosen = [spec("warmup.invert_mask"), spec(HONEST_PART)]
    source = attack_source("writes_a_frame", world)
    ends = {}
    with nobody_notices(grader, world, chosen):
        for about, lie in LIES.items():
            frame = runner.encode({}, [lie] * len(examination("warmup.invert_mask", 0).cases))
            verdicts = grade(grader, {"warmup": source.replace(b"<frame>", frame.hex().encode())}, chosen)
            ends[about] = (verdicts["warmup.invert_mask"].passed, verdicts[HONEST_PART].status)
    assert ends == dict.fromkeys(LIES, (False, "passed"))


# --- submissions that are attacks by how they are packed ----------------------------------------------------------------

WARMUP = "exercises/warmup.py"


def zipped(entries: Mapping[str, bytes], student: str = "mallory", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip with a valid manifest and any entries."""
    manifest = {"course": course.COURSE, "version": course.VERSION, "student": student, "files": {}}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in [("manifest.json", json.dumps(manifest).encode()), *entries.items()]:
            archive.writestr(name, data)
    return buffer.getvalue()


def with_symbolic_link() -> bytes:
    buffer = io.BytesIO(zipped({}))
    with zipfile.ZipFile(buffer, "a") as archive:
        entry = zipfile.ZipInfo(WARMUP)
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, str(course.SOLUTIONS / "warmup.py"))
    return buffer.getvalue()


def with_a_name_twice() -> bytes:
    other = "exercises/warmuq.py"
    return zipped({WARMUP: RIGHT.encode(), other: WRONG.encode()}).replace(other.encode(), WARMUP.encode())


def lying_about_its_size() -> bytes:
    """Return a zip whose directory says that 50 MB are 10 bytes."""
    size = 50 << 20
    return zipped({WARMUP: b"#" * size}).replace(struct.pack("<I", size), struct.pack("<I", 10))


ZIPS: dict[str, Callable[[], bytes]] = {
    "a bomb": lambda: zipped({WARMUP: b"\n" * (100 << 20)}),
    "a bomb beside": lambda: zipped({WARMUP: WRONG.encode(), "exercises/padding.py": b"\0" * (100 << 20)}),
    "a source of 100 MB": lambda: zipped({WARMUP: b"#" * (100 << 20)}, method=zipfile.ZIP_STORED),
    "a lie about its size": lying_about_its_size,
    "a zip in a zip": lambda: zipped({WARMUP: zipped({WARMUP: b"\xff" * 1_000})}),
    "a path upwards": lambda: zipped({"../../attacked.py": RIGHT.encode()}),
    "a path upwards in the middle": lambda: zipped({"exercises/../../attacked.py": RIGHT.encode()}),
    "a path upwards on Windows": lambda: zipped({"..\\attacked.py": RIGHT.encode()}),
    "an absolute path": lambda: zipped({"/tmp/attacked.py": RIGHT.encode()}),
    "a drive": lambda: zipped({"C:/attacked.py": RIGHT.encode()}),
    "a symbolic link": with_symbolic_link,
    "a name twice": with_a_name_twice,
    "a name that ends early": lambda: zipped({WARMUP: RIGHT.encode()}).replace(
        WARMUP.encode(), b"exercises/warm\0p.py"
    ),
    "bytes that are no text": lambda: zipped({WARMUP: RIGHT.encode("utf-16")}),
    "a folder for a file": lambda: zipped({WARMUP + "/": b""}),
    "two thousand entries": lambda: zipped({f"exercises/{number}.py": b"" for number in range(2_000)}),
    "half a zip": lambda: zipped({WARMUP: RIGHT.encode()})[:-40],
    "no zip": lambda: b"PK\x03\x04" * 1_000,
    "nothing": lambda: b"",
    "a student who is a path": lambda: zipped({WARMUP: WRONG.encode()}, student="../../anna"),
    "a student who is a formula": lambda: zipped({WARMUP: WRONG.encode()}, student='=HYPERLINK("x")'),
    "a student who is a script": lambda: zipped(
        {WARMUP: WRONG.encode()}, student="<script>alert(3)</script>{{ 7 * 7 }}"
    ),
    "a student who cannot be printed": lambda: zipped({WARMUP: WRONG.encode()}, student="anna\u202e\0\n"),
    "a student of a million letters": lambda: zipped({WARMUP: WRONG.encode()}, student="x" * 1_000_000),
}


def hand_in(folder: Path) -> None:
    """Fill a folder with honest submissions, first and last by name, and all that is hostile between them."""
    for student in ("aaron", "zoe"):
        (folder / f"{student}.zip").write_bytes(pack(student, {"warmup": SOLUTIONS["warmup"]}))
    for about, make in ZIPS.items():
        (folder / f"{about}.zip").write_bytes(make())
    for name in ("says_hostile_things", "exits_when_imported", "raises_exits"):
        (folder / f"{name}.zip").write_bytes(pack(name, {"warmup": (ATTACKS / f"{name}.py").read_bytes()}))
    for name in ("a folder in a folder", "a link", "a pipe", "=1+1", "<script>alert(4)<", "100 MB"):
        (folder / name).mkdir()
    (folder / "a folder in a folder" / "warmup.py").mkdir()
    (folder / "a link" / "warmup.py").symlink_to(course.SOLUTIONS / "warmup.py")
    os.mkfifo(folder / "a pipe" / "warmup.py")
    (folder / "=1+1" / "warmup.py").write_text(WRONG, encoding="utf-8")
    (folder / "<script>alert(4)<" / "warmup.py").write_text(WRONG, encoding="utf-8")
    with (folder / "100 MB" / "warmup.py").open("wb") as file:
        file.truncate(100 << 20)
    os.mkfifo(folder / "pipe.zip")
    (folder / "device.zip").symlink_to("/dev/zero")
    (folder / "nowhere.zip").symlink_to(folder / "nowhere")


def test_a_class_of_hostile_submissions_is_graded_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every one is a row, wrong or unreadable; the honest ones keep their marks; nothing is written but the grades."""
    folder, out = tmp_path / "submissions", tmp_path / "grades"
    folder.mkdir()
    hand_in(folder)
    handed_in = sorted(path.name for path in folder.iterdir())
    before = parent_state()
    ended = main(["grade", str(folder), "--out", str(out), "--topic", "warmup", "--seed", str(SEED), "--jobs", "1"])
    printed = capsys.readouterr()
    assert ended == 1, printed  # some could not be read
    assert parent_state() == before
    assert sorted(path.name for path in folder.iterdir()) == handed_in
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grades", "submissions"]
    assert not [path for path in out.rglob("*") if path.is_symlink() or "attacked" in path.name]

    rows = list(csv.DictReader(io.StringIO((out / "gradebook.csv").read_text(encoding="utf-8"), newline="")))
    points = {row["submission"].removeprefix("'"): row["points"] for row in rows}
    assert sorted(points) == handed_in
    full = str(spec("warmup.invert_mask").points)
    assert {name for name, got in points.items() if got == full} == {"aaron.zip", "zoe.zip"}
    assert set(points.values()) == {full, "0", ""}
    for cell in (cell for row in rows for cell in row.values()):
        assert cell.isprintable(), cell
        assert cell[:1] not in ("=", "+", "-", "@"), cell
    pages = [page.read_text(encoding="utf-8") for page in out.rglob("*.html")]
    assert not any(re.search(r"<script>alert|\x1b|\0|>49<", page) for page in pages)
    assert "\x1b[2J" not in printed.out + printed.err


# --- answers by heart ---------------------------------------------------------------------------------------------------


def answers_by_heart() -> dict[str, object]:
    """Return what is right for the inputs of the first seeds, as an attacker would write it down."""
    known = {}
    for seed in range(20):
        exam = examination("warmup.invert_mask", seed)
        for case in exam.cases:
            (mask,) = case.arguments
            known[json.dumps([list(mask.shape), mask.tolist()])] = (~mask).tolist()
    return known


def as_key(value: object) -> object:
    """Return nested inputs as something to look up."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), repr(value.tolist())
    if isinstance(value, dict):
        return tuple((name, as_key(item)) for name, item in value.items())
    if isinstance(value, tuple | list):
        return tuple(as_key(item) for item in value)
    return repr(value)


@pytest.mark.parametrize("name", [found.name for found in specs()])
def test_whoever_knows_the_cases_of_ten_seeds_by_heart_meets_new_ones_under_every_other(name: str) -> None:
    """Against hard-coded cases, those of the learner's own check and of the seeds that a cheat would try."""
    known = {as_key(case.call) for seed in range(10) for case in Examination(spec(name), seed).cases}
    met = {
        seed: sum(as_key(case.call) not in known for case in Examination(spec(name), seed).cases)
        for seed in range(SEED, SEED + 10)
    }
    assert min(met.values()) > 0, met
