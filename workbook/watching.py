"""``workbook check --watch``: checks again at every save, and leads from one exercise to the next.

Everything happens in one thread, step by step: wait for a save or a key, check, show. Only the listening for saves has a
thread of its own. The terminal reads single keys only while it waits, so that a check that ends badly cannot leave it so,
and a learner's ``breakpoint()`` finds it as always.
"""

import contextlib
import os
import queue
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import watchfiles
from pygments.token import Comment, Keyword
from rich.console import Console
from rich.style import Style
from rich.syntax import ANSISyntaxTheme, Syntax
from rich.text import Text

from workbook.exercise_order import in_order, number
from workbook.files import shown
from workbook.graded import implementation, without_reference
from workbook.grading.checking import judge_saved, load_saved
from workbook.grading.feedback import Hanging, bar, told
from workbook.grading.verdict import Verdict
from workbook.hints import LEVELS, hints
from workbook.references import reference
from workbook.specs import Spec
from workbook.topic_files import topic_file

T = TypeVar("T")

#: Between two looks for a save or a key.
TICK_SECONDS = 0.05
#: A save is often several writes; this long after the last of them it is taken to be over.
QUIET_MILLISECONDS = 50
#: A folder in which something is written without end is looked at this often all the same.
LONGEST_MILLISECONDS = 300

#: Without colours: what can be read on a dark terminal cannot on a light one.
CODE = ANSISyntaxTheme({Keyword: Style(bold=True), Comment: Style(dim=True)})

Key = Callable[[float], str]


class CannotWatch(RuntimeError):
    """Saves cannot be heard of here, and there is no keyboard to ask for a check."""


def watch(chosen: Iterable[Spec], console: Console) -> int:
    """Check the chosen functions at every save until the learner ends it; return 0 if all of them pass then, else 1.

    Raises:
        CannotWatch: neither a save nor a key could ever bring the next check.
    """
    desk = Desk(_core_first(chosen), console, keys=sys.stdin is not None and sys.stdin.isatty())
    saves = Saves(desk.topics)
    before = signal.signal(signal.SIGTERM, _terminate)  # else the terminal would be left as it is for keys
    try:
        _follow(desk, saves)
    except (KeyboardInterrupt, EOFError):
        pass
    finally:
        signal.signal(signal.SIGTERM, before)
        saves.close()
    console.print(f"\n{desk.summary()}", soft_wrap=True)
    passed = sum(verdict.passed for verdict in desk.verdicts.values())
    return 0 if passed == len(desk.chosen) else 1


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends the command; it goes where Ctrl-C goes, so that no verdict is made of it."""


def _terminate(signal_number: int, frame: Any) -> None:
    raise Terminated


def _core_first(chosen: Iterable[Spec]) -> tuple[Spec, ...]:
    """Return the chosen functions as the notebooks have them, each topic's practice after its core."""
    names = {found.name for found in chosen}
    ordered = [found for found in in_order() if found.name in names]
    topics = list(dict.fromkeys(found.topic for found in ordered))
    return tuple(sorted(ordered, key=lambda found: (topics.index(found.topic), found.practice)))


def _follow(desk: "Desk", saves: "Saves") -> None:
    """Show, wait, check, and so on."""
    desk.start()
    while True:
        with single_keys() if desk.keys else contextlib.nullcontext(_no_key) as key:
            event = _event(saves, key)
        if isinstance(event, set):
            desk.saved(event)
        elif isinstance(event, Deaf):
            desk.say(event)
        elif not desk.press(event):
            return


def _event(saves: "Saves", key: Key) -> "set[str] | Deaf | str":
    """Wait for the topics that were saved, bad news from the watching, or a key."""
    while True:
        news = saves.news()
        if news is not None:
            return news
        pressed = key(TICK_SECONDS)
        if pressed:
            return pressed


# --- saves -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deaf:
    """Why saves cannot be heard of as they should be; ``entirely`` if not at all."""

    reason: str
    entirely: bool


class Saves:
    """Hears, in a thread of its own, which topic files are saved."""

    def __init__(self, topics: Iterable[str]) -> None:
        self._files = [topic_file(topic) for topic in topics]
        self._news: queue.SimpleQueue[set[str] | Deaf] = queue.SimpleQueue()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="saves", daemon=True)
        self._thread.start()

    def news(self) -> set[str] | Deaf | None:
        """Return the topics that were saved since the last time, or what is wrong, or ``None``."""
        with contextlib.suppress(queue.Empty):
            return self._news.get_nowait()
        return None

    def close(self) -> None:
        self._end.set()
        self._thread.join(timeout=2)

    def _listen(self) -> None:
        # A file may be a link to one elsewhere, and it is there that it is written. Folders are watched, not files: many
        # editors save by renaming a new file to the old name.
        files = {place for file in self._files for place in (file, file.resolve())}
        names = {file.name: topic.stem for topic in self._files for file in (topic, topic.resolve())}
        for polling in (None, True):  # None: as the system can, but by looking again and again on WSL
            try:
                for changes in watchfiles.watch(
                    *{file.parent for file in files},
                    watch_filter=lambda _, path: Path(path).name in names,
                    step=QUIET_MILLISECONDS,
                    debounce=LONGEST_MILLISECONDS,
                    stop_event=self._end,
                    force_polling=polling,
                    recursive=False,
                    raise_interrupt=False,
                ):
                    self._news.put({names[Path(path).name] for _, path in changes})
                return
            except (OSError, RuntimeError) as error:  # no folder; too many watches; what the library calls internal
                self._news.put(Deaf(str(error), entirely=polling is True))


# --- keys ------------------------------------------------------------------------------------------------------------


def _no_key(seconds: float) -> str:
    time.sleep(seconds)
    return ""


if sys.platform == "win32":

    @contextlib.contextmanager
    def single_keys() -> Iterator[Key]:
        """Yield what waits some seconds for a key, without Enter, and returns it, or nothing."""
        import msvcrt

        def key(seconds: float) -> str:
            if not msvcrt.kbhit():
                time.sleep(seconds)
                return ""
            pressed = msvcrt.getwch()
            if pressed in ("\x00", "\xe0"):  # an arrow or the like, which is two
                msvcrt.getwch()
                return ""
            return pressed

        yield key

else:
    import select
    import termios
    import tty

    @contextlib.contextmanager
    def single_keys() -> Iterator[Key]:
        """Yield what waits some seconds for a key, without Enter, and returns it, or nothing.

        Raises:
            EOFError: the terminal is gone.
        """
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)

        def listen(*_: Any) -> None:
            tty.setcbreak(terminal, termios.TCSANOW)  # Ctrl-C still interrupts, and what was typed meanwhile is kept

        def key(seconds: float) -> str:
            if not select.select([terminal], [], [], seconds)[0]:
                return ""
            typed = os.read(terminal, 1)
            if not typed:
                raise EOFError
            if typed == b"\x1b":  # an arrow or the like, which is several bytes
                while select.select([terminal], [], [], 0)[0]:
                    os.read(terminal, 1)
                return ""
            return typed.decode("ascii", "ignore")

        continued = signal.signal(signal.SIGCONT, listen)  # Ctrl-Z and fg: the shell has set the terminal for itself
        try:
            listen()
            yield key
        finally:
            signal.signal(signal.SIGCONT, continued)
            termios.tcsetattr(terminal, termios.TCSANOW, before)


# --- the desk --------------------------------------------------------------------------------------------------------


@dataclass
class Desk:
    """The chosen functions, what is known of each, which one is shown, and the screen it is shown on."""

    chosen: tuple[Spec, ...]
    console: Console
    keys: bool
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    place: int = 0
    hinted: int = 0

    @property
    def current(self) -> Spec:
        return self.chosen[self.place]

    @property
    def verdict(self) -> Verdict:
        return self.verdicts[self.current.name]

    @property
    def topics(self) -> list[str]:
        return list(dict.fromkeys(found.topic for found in self.chosen))

    # What happens

    def start(self) -> None:
        """Check everything once and go to the first that has not passed."""
        self._clear()
        self._note("what you have written")
        self.check(self.topics, ask_all=True)
        self.go(self.next_open(-1))

    def saved(self, topics: set[str]) -> None:
        """Check what was saved, and follow the learner to another function if that is where something has changed."""
        self._clear()
        files = [shown(topic_file(topic)) for topic in self.topics if topic in topics]
        self._note(" and ".join(files) if len(files) < 3 else f"{len(files)} files")
        before = [_without_lines(self.verdicts[each.name]) for each in self.chosen]
        self.check([topic for topic in self.topics if topic in topics])
        after = [_without_lines(self.verdicts[each.name]) for each in self.chosen]
        changed = [place for place in range(len(self.chosen)) if before[place] != after[place]]
        if changed and self.place not in changed:
            self.place, self.hinted = changed[0], 0
        self.show()

    def press(self, key: str) -> bool:
        """Do what a key asks for; return whether to go on."""
        actions: dict[str, Callable[[], None]] = {
            "r": lambda: self.saved({self.current.topic}),
            "h": self.hint,
            "c": self.compare,
            "n": lambda: self.go(self.next_open(self.place)),
            "p": lambda: self.go(max(self.place - 1, 0)),
        }
        if key in ("q", "\x03", "\x04"):
            return False
        action = actions.get("r" if key in "\r\n" else key.lower())
        if action is not None:
            action()
        return True

    def go(self, place: int) -> None:
        """Show another function."""
        self.place, self.hinted = place, 0
        self._clear()
        self.show()

    def next_open(self, place: int) -> int:
        """Return the place of the next function that has not passed, from the beginning after the end; else the next."""
        ahead = [(place + step) % len(self.chosen) for step in range(1, len(self.chosen) + 1)]
        return next((each for each in ahead if not self.verdicts[self.chosen[each].name].passed), ahead[0])

    # Checking

    def check(self, topics: Sequence[str], ask_all: bool = False) -> None:
        """Judge the functions of some topics; one that was stopped is asked again only while it is the one shown."""
        for topic in topics:
            with without_reference():
                module = _unless_stopped(partial(load_saved, topic), f"loading {topic}.py")
                for found in self.chosen:
                    known = self.verdicts.get(found.name)
                    hung = known is not None and known.status == "timed out"
                    if found.topic == topic and (ask_all or not hung or found == self.current):
                        self.verdicts[found.name] = _judged(found, module)

    # Showing

    def show(self) -> None:
        """Print where the learner is, the verdict, how far everything is, and the keys."""
        following = self.next_open(self.place)
        if not self.keys and self.verdict.passed and not self.verdicts[self.chosen[following].name].passed:
            self.console.print(told(self.verdict))  # nobody can press n, so that the next one comes at once
            self.place = following
        self.console.print(self._where(), soft_wrap=True)
        self.console.print(told(self.verdict))
        if self.verdict.passed:
            self.console.print(Hanging(Text(self._lead_on())))
        self.console.print()
        self.console.print(self._how_far(), soft_wrap=True)
        self._footer()

    def hint(self) -> None:
        """Print the next hint of the function shown; after the last comes the first again."""
        level = self.hinted % len(LEVELS) + 1
        self.hinted = level
        self.console.print(f"\nHint {level} of {len(LEVELS)}, {LEVELS[level - 1]}:", style="bold")
        for line in hints(self.current.name)[level - 1].strip().splitlines():
            self.console.print(_indented(Text(line)))
        self._footer()

    def compare(self) -> None:
        """Print the reference, once the learner's own function has passed."""
        if not self.verdict.passed:
            self.console.print("\nThe reference can be compared with once your own has passed.")
        else:
            answer = reference(self.current)
            self.console.print(f"\nThe reference: {answer.origin}", style="bold")
            for line in Syntax("", "python", theme=CODE).highlight(answer.source).split("\n"):
                self.console.print(_indented(line))
        self._footer()

    def say(self, news: Deaf) -> None:
        """Print what is wrong with the watching."""
        if news.entirely and not self.keys:
            raise CannotWatch(
                f"saves cannot be watched here ({news.reason}), and without a terminal no key can be read"
            )
        if news.entirely:
            self.console.print(f"\nSaves cannot be watched here ({news.reason}); press r after saving.")
        else:
            self.console.print(f"\nThe system cannot tell of saves here ({news.reason}); the files are polled instead.")
        self._footer()

    def summary(self) -> str:
        points, whole = (
            sum(getattr(each, name) for each in self.verdicts.values()) for name in ("points", "max_points")
        )
        return f"{self._passed()}, {points} of {whole} point{'' if whole == 1 else 's'}"

    def _passed(self) -> str:
        return f"{sum(each.passed for each in self.verdicts.values())} of {len(self.chosen)} passed"

    def _clear(self) -> None:
        if self.keys:
            self.console.clear()

    def _note(self, what: str) -> None:
        """Say what is being checked before it is: what the learner's functions print comes below."""
        sentence = f"{time.strftime('%H:%M:%S')} checking {what} …"
        self.console.print(f"{sentence} (Ctrl-C stops it)\n", style="dim")

    def _where(self) -> Text:
        path = topic_file(self.current.topic)
        place = number(self.current)
        words = [f"Exercise {place}"] if place else []
        return Text(" · ".join([*words, f"{shown(path)}{_line_of(path, self.current.function)}"]), style="dim")

    def _lead_on(self) -> str:
        following = self.chosen[self.next_open(self.place)]
        if self.verdicts[following.name].passed:
            return "Everything has passed." + " q ends." * self.keys
        compare = "c compares it with the reference; " * self._comparable()
        return f"Passed. {compare}n goes on to {following.name}."

    def _comparable(self) -> bool:
        """Whether there is something to compare; not where the solutions are what is checked."""
        return self.verdict.passed and implementation() != "solutions"

    def _how_far(self) -> Text:
        mine = [self.verdicts[found.name] for found in self.chosen if found.topic == self.current.topic]
        done = sum(verdict.passed for verdict in mine)
        return Text(f"{self._passed()}   {self.current.topic} {bar(mine)} {done} of {len(mine)}")

    def _footer(self) -> None:
        if not self.keys:
            self.console.print()
            return
        keys = [
            "save or r: check",
            f"h hint {self.hinted % len(LEVELS) + 1}",
            "c compare",
            "n next open",
            "p previous",
            "q quit",
        ]
        if not self._comparable():
            keys.remove("c compare")
        self.console.print("   ".join(keys), style="dim", soft_wrap=True)


def _judged(found: Spec, module: Any) -> Verdict:
    judged = _unless_stopped(partial(judge_saved, found, module), f"checking {found.name}")
    if isinstance(judged, Verdict):
        return judged
    return Verdict(found.name, "timed out", 0, found.points, found.practice, reason=judged)


def _without_lines(verdict: Verdict) -> Verdict:
    """Leave out which lines are named: they move when something above them is edited, and nothing else has changed."""
    return replace(verdict, reason=re.sub(r"\bin line \d+", "in line", verdict.reason))


def _unless_stopped(work: Callable[[], T], what: str) -> T | str:
    """Return what ``work`` returns, or the sentence that says that the learner has stopped it."""
    started = time.monotonic()
    try:
        return work()
    except Terminated:
        raise
    except KeyboardInterrupt:
        seconds = time.monotonic() - started
        print()  # after the terminal's own ^C
        return f"You stopped {what} with Ctrl-C after {seconds:.0f} s. Is there a loop that never ends?"


def _indented(line: Text) -> Hanging:
    """Return a line of code whose wrapped rest begins under its first word, and not where a new statement would."""
    indent = len(line.plain) - len(line.plain.lstrip())
    return Hanging(line[indent:], indent)


def _line_of(path: Path, function: str) -> str:
    """Return ``:12`` for a function in line 12, which many terminals turn into a link; nothing if it is not there."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((f":{place}" for place, line in enumerate(lines, 1) if re.match(rf"def {function}\b", line)), "")
