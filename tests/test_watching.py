"""``workbook check --watch``: the real command on a copy of the course, on a terminal and without one."""

import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from workbook import course
from workbook.exercise_order import number
from workbook.figures.texttable import text_cells
from workbook.specs import spec, specs
from workbook.specs.stubs import topic_source
from workbook.watching import Deaf, Saves, _core_first

PATIENCE = 120  # seconds; a shared machine can be slow
STUB = 'raise NotImplementedError("{}")'
READY = "q quit"  # the end of the line of keys: it waits
FOREVER = "while True: pass"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the course with untouched exercises."""
    for name in ("workbook", "notebooks", "solutions"):
        ignored = shutil.ignore_patterns("__pycache__", "*.kept-*")
        shutil.copytree(course.PROJECT / name, tmp_path / name, ignore=ignored)
    for topic in course.TOPICS:
        (tmp_path / "workbook" / "exercises" / f"{topic}.py").write_text(topic_source(topic), encoding="utf-8")
    return tmp_path


class Watched:
    """A running ``workbook check --watch``, what it has printed and not been asked about yet, and its exercises."""

    def __init__(self, folder: Path, arguments: tuple[str, ...], terminal: bool, **environment: str) -> None:
        self.exercises = folder / "workbook" / "exercises"
        self.printed = self.everything = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._output, output = pty.openpty() if terminal else os.pipe()
        self.settings = termios.tcgetattr(output) if terminal else None
        self._terminal = os.dup(output) if terminal else None
        settings = {"PYTHONPATH": str(folder), "TERM": "xterm", "COLUMNS": "80", "LINES": "40", "OMP_NUM_THREADS": "1"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("WORKBOOK_", "WATCHFILES_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "workbook.cli", "check", "--watch", *arguments],
            cwd=folder,
            env=kept | settings | environment,
            stdin=output if terminal else subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: _as_a_shell_starts(terminal),
        )
        os.close(output)

    def expect(self, words: str) -> str:
        """Wait until ``words`` are printed; return what came up to their end, which counts as read."""
        end = time.monotonic() + PATIENCE
        while words not in self.printed:
            assert time.monotonic() < end, f"{words!r} never came; there was {self.printed!r}"
            if not select.select([self._output], [], [], 0.2)[0]:
                continue
            try:
                data = os.read(self._output, 65536)
            except OSError:  # a terminal that nobody has open any more
                data = b""
            assert data, f"it ended without {words!r}; there was {self.printed!r}"
            text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._decoder.decode(data)).replace("\r", "")
            self.printed += text
            self.everything += text
        before, _, self.printed = self.printed.partition(words)
        return " ".join((before + words).split())

    def press(self, key: str) -> None:
        os.write(self._output, key.encode())

    def write(self, topic: str, **bodies: str) -> None:
        """Save a topic file with some functions written."""
        source = topic_source(topic)
        for function, body in bodies.items():
            stub = STUB.format(f"{topic}.{function}")
            assert stub in source
            source = source.replace(stub, body)
        (self.exercises / f"{topic}.py").write_text(source, encoding="utf-8")

    def code(self) -> int:
        """Wait for the end and return the exit code; the terminal is as it was."""
        code = self.process.wait(PATIENCE)
        if self._terminal is not None:
            assert termios.tcgetattr(self._terminal) == self.settings
        return code

    def reads_single_keys(self) -> bool:
        assert self._terminal is not None
        return not termios.tcgetattr(self._terminal)[3] & termios.ICANON

    def wait_until_it_reads_keys(self) -> None:
        end = time.monotonic() + PATIENCE
        while not self.reads_single_keys():
            assert time.monotonic() < end, "it never read keys"
            time.sleep(0.02)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for handle in (self._output, self._terminal):
            if handle is not None:
                os.close(handle)


def _as_a_shell_starts(terminal: bool) -> None:
    if terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # so that the terminal turns a typed Ctrl-C into a signal
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # what runs in a shell's background, as tests may, ignores it


Watch = Callable[..., Watched]


@pytest.fixture
def watch(folder: Path) -> Iterator[Watch]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: str, terminal: bool = True, **environment: str) -> Watched:
            watched = Watched(folder, arguments, terminal, **environment)
            stack.callback(watched.close)
            return watched

        yield start


# --- on a terminal ---------------------------------------------------------------------------------------------------


def test_it_leads_from_one_exercise_to_the_next(watch: Watch) -> None:
    watched = watch("warmup", "padding")
    first = watched.expect(READY)
    assert "Exercise 0.1 · workbook/exercises/warmup.py:10" in first
    assert "○ warmup.invert_mask 0 of 1 point" in first
    assert "0 of 10 passed" in first
    assert "c compare" not in first

    watched.write("warmup", invert_mask="return mask")
    wrong = watched.expect(READY)
    assert "✗ warmup.invert_mask" in wrong
    assert "1 leaking (seen but forbidden), 3 missing (allowed but not seen)" in wrong
    assert "Known as “returns its input”" in wrong

    for words in ("1 of 3, a question", "2 of 3, a pointer", "3 of 3, pseudocode", "1 of 3, a question"):
        watched.press("h")
        assert f"Hint {words}:" in watched.expect(READY)
    watched.press("c")
    refused = watched.expect(READY)
    assert "The reference can be compared with once your own has passed." in refused
    assert "return ~mask" not in refused

    watched.write("warmup", invert_mask="return ~mask")
    passed = watched.expect(READY)
    assert "✓ warmup.invert_mask 1 of 1 point" in passed
    assert "n goes on to padding.padding_mask" in passed
    assert "1 of 10 passed warmup ████████████████████ 1 of 1" in passed
    watched.press("c")
    compared = watched.expect(READY)
    assert "The reference: the solution in solutions/warmup.py" in compared
    assert "return ~mask" in compared

    watched.press("n")
    assert "Exercise 1.1 · workbook/exercises/padding.py" in watched.expect(READY)
    watched.press("p")
    assert "✓ warmup.invert_mask" in watched.expect(READY)
    watched.press("p")  # there is none before the first
    assert "✓ warmup.invert_mask" in watched.expect(READY)
    watched.press("q")
    watched.expect("1 of 10 passed, 1 of 18 points")
    assert watched.code() == 1
    lines = watched.everything.splitlines()[1:]  # after the spinner of the start, which is drawn over itself
    assert max(map(text_cells, lines)) <= 80


def test_every_kind_of_save_and_the_key_check_again(watch: Watch) -> None:
    watched = watch("warmup", "padding")
    watched.expect(READY)
    # A change to another function: it goes there. In another file, and then in the same one.
    watched.write("padding", masked_mean="return hidden_states")
    assert "✗ padding.masked_mean" in watched.expect(READY)
    watched.write("padding", masked_mean="return hidden_states", padding_mask="return input_ids == 0")
    assert "✗ padding.padding_mask" in watched.expect(READY)
    # As many editors save: a new file takes the old one's name.
    new = watched.exercises / "padding.py.new"
    new.write_text(topic_source("padding").replace(STUB.format("padding.padding_mask"), "return input_ids"))
    os.replace(new, watched.exercises / "padding.py")
    assert "✗ padding.padding_mask" in watched.expect(READY)
    for key in ("r", "\n", "R"):
        watched.press(key)
        assert "checking workbook/exercises/padding.py" in watched.expect(READY)
    watched.press("\x1b[A")  # an arrow is no letter A and does nothing
    watched.write("padding", padding_mask="return input_ids == (0")
    assert "padding.py could not be imported: SyntaxError in line" in watched.expect(READY)
    (watched.exercises / "padding.py").unlink()
    assert "padding.py is not there; `workbook reset padding` brings it back." in watched.expect(READY)
    watched.write("padding", padding_mask="return input_ids == pad_token_id")
    assert "✓ padding.padding_mask" in watched.expect(READY)
    watched.wait_until_it_reads_keys()  # before that, Ctrl-D is the terminal's own business
    watched.press("\x04")
    watched.expect("1 of 10 passed")
    assert watched.code() == 1


def test_it_follows_the_learner_although_line_numbers_move(watch: Watch) -> None:
    watched = watch("padding")
    watched.expect(READY)
    watched.write("padding", masked_softmax="raise KeyError")
    assert "it raised KeyError in line" in watched.expect(READY)
    watched.write("padding", masked_softmax="raise KeyError", attention_mask_from_lengths="pass\n    return lengths")
    assert "✗ padding.attention_mask_from_lengths" in watched.expect(READY)


def test_ended_before_anything_was_checked_nothing_has_passed(watch: Watch, folder: Path) -> None:
    file = folder / "workbook" / "exercises" / "warmup.py"
    file.write_text(f"print('begun', flush=True)\n{FOREVER}\n")
    watched = watch("warmup")
    watched.expect("begun")
    watched.process.terminate()
    watched.expect("0 of 1 passed")
    assert watched.code() == 1


def test_ctrl_c_stops_a_check_that_hangs_and_then_the_command(watch: Watch) -> None:
    watched = watch("padding")
    watched.expect(READY)
    hangs = f"print('begun', flush=True)\n    {FOREVER}"
    watched.write("padding", padding_mask=hangs)
    watched.expect("begun")
    assert not watched.reads_single_keys()  # a breakpoint() in there would have the terminal as always
    watched.press("\x03")
    assert "You stopped checking padding.padding_mask with Ctrl-C after" in watched.expect(READY)
    watched.press("n")
    assert "○ padding.attention_mask_from_lengths" in watched.expect(READY)
    watched.write("padding", padding_mask=hangs, attention_mask_from_lengths="return lengths")
    shown = watched.expect(READY)  # the other one is not asked again
    assert "✗ padding.attention_mask_from_lengths" in shown
    assert "begun" not in shown
    (watched.exercises / "padding.py").write_text(f"print('begun', flush=True)\n{FOREVER}\n")
    watched.expect("begun")
    watched.press("\x03")
    assert "You stopped loading padding.py with Ctrl-C after" in watched.expect(READY)
    watched.wait_until_it_reads_keys()
    watched.press("\x03")
    watched.expect("0 of 9 passed")
    assert watched.code() == 1


@pytest.mark.parametrize("hanging", [False, True])
def test_sigterm_ends_it_and_puts_the_terminal_back(watch: Watch, hanging: bool) -> None:
    watched = watch("warmup")
    watched.expect(READY)
    watched.wait_until_it_reads_keys()
    if hanging:
        watched.write("warmup", invert_mask=f"print('begun', flush=True)\n    {FOREVER}")
        watched.expect("begun")
    watched.process.terminate()
    watched.expect("0 of 1 passed")
    assert watched.code() == 1


@pytest.mark.parametrize("polling", ["", "1"])
def test_a_save_in_the_file_that_a_link_leads_to_counts(watch: Watch, folder: Path, polling: str) -> None:
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    file = folder / "workbook" / "exercises" / "warmup.py"
    shutil.move(file, elsewhere / "mine.py")
    file.symlink_to(elsewhere / "mine.py")
    watched = watch("warmup", WATCHFILES_FORCE_POLLING=polling)
    watched.expect(READY)
    text = topic_source("warmup").replace(STUB.format("warmup.invert_mask"), "return ~mask")
    (elsewhere / "mine.py").write_text(text)
    assert "✓ warmup.invert_mask" in watched.expect(READY)


def test_where_nothing_can_be_watched_the_key_still_works(watch: Watch, folder: Path) -> None:
    exercises = folder / "workbook" / "exercises"
    away = exercises.rename(folder / "away")
    watched = watch("warmup")
    assert "Saves cannot be watched here (" in watched.expect("press r after saving.")
    away.rename(exercises)
    watched.write("warmup", invert_mask="return ~mask")
    watched.press("r")
    watched.expect("✓ warmup.invert_mask")
    watched.press("q")
    assert watched.code() == 0


# --- without a terminal ----------------------------------------------------------------------------------------------


def test_without_a_terminal_it_prints_each_verdict_and_goes_on_by_itself(watch: Watch, folder: Path) -> None:
    shutil.copy(folder / "solutions" / "warmup.py", folder / "workbook" / "exercises" / "warmup.py")
    watched = watch("warmup", "padding.padding_mask", "padding.masked_mean", terminal=False)
    first = watched.expect("0 of 2\n")
    assert "○ padding.padding_mask" in first  # what has passed already is not shown
    assert "✓" not in first
    watched.write("padding", padding_mask="return input_ids == 0")
    assert "Known as “padding id fixed at 0”" in watched.expect("0 of 2\n")
    right = "return input_ids == pad_token_id"
    watched.write("padding", padding_mask=right)
    passed = watched.expect("1 of 2\n")
    assert "✓ padding.padding_mask" in passed
    assert "○ padding.masked_mean" in passed
    shutil.copy(folder / "solutions" / "padding.py", watched.exercises / "padding.py")
    assert "Everything has passed." in watched.expect("2 of 2\n")
    watched.process.send_signal(signal.SIGINT)
    watched.expect("3 of 3 passed, 4 of 4 points")
    assert watched.code() == 0
    assert "\x1b" not in watched.everything
    assert READY not in watched.everything


def test_where_neither_saves_nor_keys_can_come_it_says_so(watch: Watch, folder: Path) -> None:
    (folder / "workbook" / "exercises").rename(folder / "away")
    watched = watch("warmup", terminal=False)
    assert "workbook: saves cannot be watched here (" in watched.expect("no key can be read")
    assert watched.code() == 2


# --- what it needs ---------------------------------------------------------------------------------------------------


def test_the_order_is_the_notebooks_with_practice_after_the_core() -> None:
    ordered = _core_first(specs())
    assert sorted(ordered, key=lambda found: (course.TOPICS.index(found.topic), found.practice)) == list(ordered)
    padding = [found.name for found in ordered if found.topic == "padding"]
    assert [number(spec(name)) for name in padding] == ["1.1", "1.2", "1.3", "1.4", "1.5", "1.6", "1.8", "1.9", "1.7"]
    assert [found.name for found in _core_first([spec("masked_mean"), spec("invert_mask")])] == [
        "warmup.invert_mask",
        "padding.masked_mean",
    ]


def test_where_the_system_refuses_to_watch_the_files_are_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*folders: Path, force_polling: bool | None, **_: Any) -> Iterator[set[tuple[int, str]]]:
        if force_polling is None:
            raise OSError("OS file watch limit reached")
        yield {(1, str(course.EXERCISES / "warmup.py"))}

    monkeypatch.setattr("watchfiles.watch", refuses)
    saves = Saves(["warmup"])
    saves.close()
    assert [saves.news() for _ in range(3)] == [Deaf("OS file watch limit reached", entirely=False), {"warmup"}, None]
