"""What the lens shows: a sentence with its padding in place, and the mask that the learner's own functions make of it.

A mask is bool [query, key], True = may attend.
"""

import contextlib
import functools
import io
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from workbook.figures.style import PADDING_TOKEN, listing
from workbook.graded import implementation, is_unwritten, without_reference

Side = Literal["none", "right", "left"]
Pattern = Literal["everyone", "causal", "window", "prefix"]
_PADDING_ID = 0


@dataclass(frozen=True)
class Sentence:
    """Numbers and names, before any mask."""

    scores: Tensor  # [head, query, key]
    values: Tensor  # [key, dim]
    tokens: tuple[str, ...]
    as_fractions: bool
    title: str | None

    @property
    def heads(self) -> int:
        return self.scores.shape[0]

    @property
    def length(self) -> int:
        return self.scores.shape[1]


@dataclass(frozen=True)
class Settings:
    """Where the sliders and switches stand."""

    row: int
    head: int
    padding: Side
    padded: int  # how many positions are padding, where there is any
    pattern: Pattern
    window: int
    prefix: int
    second_text: int  # where the second text begins; 0 = there is one text
    flip_polarity: bool
    swap_axes: bool


@dataclass(frozen=True)
class Placed:
    """One head of a sentence, with its padding where the settings want it."""

    scores: Tensor  # [query, key]
    values: Tensor  # [key, dim]
    tokens: tuple[str, ...]


@dataclass
class Asked:
    """Which functions made a mask, and what they said on the way."""

    reference_alone: bool = False
    own: list[str] = field(default_factory=list)
    reference: list[str] = field(default_factory=list)
    topics: set[str] = field(default_factory=set)
    printed: str = ""

    def __str__(self) -> str:
        whose = "the solutions'" if implementation() == "solutions" else "your"
        made = f"made by {whose} {listing(self.own)}" if self.own else ""
        lent = f"the reference answers for {listing(self.reference)} (not written yet)" if self.reference else ""
        if not made and not lent:
            return "no function was needed: everyone may look at everyone."
        return "; ".join(filter(None, (made, lent))) + "."


@dataclass(frozen=True)
class Made:
    """A mask, if the learner's functions gave one, and what there is to say about it."""

    allowed: Tensor | None
    functions: str
    problem: str = ""
    printed: str = ""


class WrongMask(Exception):
    """A learner's function gave no mask; the message is the sentence to show."""


def place(sentence: Sentence, settings: Settings) -> Placed:
    """Put the padding where the settings want it: the sentence's first tokens stay, its last places become filler."""
    scores, tokens = sentence.scores[settings.head], sentence.tokens
    if settings.padding == "none":
        return Placed(scores, sentence.values, tokens)
    own = [at for at, token in enumerate(tokens) if token == PADDING_TOKEN]
    order = [at for at in range(sentence.length) if at not in own] + own
    real, filler = order[: sentence.length - settings.padded], order[sentence.length - settings.padded :]
    order = filler + real if settings.padding == "left" else real + filler
    names = tuple(PADDING_TOKEN if at in filler else tokens[at] for at in order)
    return Placed(scores[order][:, order], sentence.values[order], names)


def mask_shape(settings: Settings, by_hand: bool = False) -> str:
    """How the mask comes to its shape: padding alone is the same for every query, all else (``by_hand``, too) is not."""
    if by_hand or settings.pattern != "everyone" or settings.second_text:
        axes = "Q, K"
    else:
        axes = "Q, 1" if settings.swap_axes else "1, K"
    return f"(B, 1, {axes}) → (B, H, Q, K)"


def make(sentence: Sentence, settings: Settings) -> Made:
    """Make the mask by the learner's functions as they stand in the files now."""
    asked = Asked()
    try:
        allowed, problems = _mask(sentence, settings, asked), []
    except WrongMask as error:
        allowed, problems = None, [str(error)]
    # Of a file that cannot be read an older version has answered: what that did wrong stands in it no more.
    return Made(allowed, str(asked), " ".join(_file_faults(asked) or problems), asked.printed)


def make_first(sentence: Sentence, settings: Settings) -> Made:
    """The same for a lens that opens, with no good mask to keep: where the learner's fails, the reference shows one."""
    made = make(sentence, settings)
    if made.allowed is not None:
        return made
    asked = Asked(reference_alone=True)
    return replace(made, allowed=_mask(sentence, settings, asked), functions="the reference shows the mask.")


def _mask(sentence: Sentence, settings: Settings, asked: Asked) -> Tensor:
    length = sentence.length
    square = (length, length)
    allowed = torch.ones(square, dtype=torch.bool)
    if settings.padding != "none":
        allowed = _padding(place(sentence, settings).tokens, sentence.heads, asked)[settings.head]
    if settings.pattern == "causal":
        allowed = allowed & _ask(asked, "causal.causal_mask", length, shape=square)
    elif settings.pattern == "window":
        allowed = allowed & _ask(asked, "causal.sliding_window_mask", length, length, settings.window, shape=square)
    elif settings.pattern == "prefix":
        prefixes = torch.tensor([settings.prefix])
        allowed = allowed & _ask(asked, "causal.prefix_lm_mask", prefixes, length, shape=(1, 1, *square))[0, 0]
    if settings.second_text:
        allowed = allowed & _documents(settings.second_text, length, asked)
    if settings.swap_axes:
        allowed = allowed.T
    return ~allowed if settings.flip_polarity else allowed


def _file_faults(asked: Asked) -> list[str]:
    """Say why a needed file cannot be executed; its last good version, or the reference, has answered."""
    from workbook.topic_files import topic_file

    paths = [topic_file(topic) for topic in sorted(asked.topics)]
    return [fault for path in paths if path.exists() and (fault := _fault(path, path.stat().st_mtime_ns))]


def _padding(tokens: Sequence[str], heads: int, asked: Asked) -> Tensor:
    length = len(tokens)
    ids = torch.tensor([[_PADDING_ID if token == PADDING_TOKEN else 1 + at for at, token in enumerate(tokens)]])
    is_padding = _ask(asked, "padding.padding_mask", ids, _PADDING_ID, shape=(1, length))
    attention_mask = (~is_padding).long()
    shape = (1, heads, length, length)
    return _ask(asked, "padding.expand_padding_mask", attention_mask, heads, length, shape=shape)[0]


def _documents(border: int, length: int, asked: Asked) -> Tensor:
    borders = torch.tensor([0, border, length])
    ids = _ask(asked, "modern.document_ids", borders, length, shape=(length,), dtype=torch.int64)
    mask_mod = _ask(asked, "modern.document_mod", ids[None])
    # All cells at once, as FlexAttention and Transformers ask; the reference for `materialize` would go cell by cell.
    first, places = torch.tensor([[0]]), torch.arange(length)
    with _watched("modern.document_mod", asked):
        allowed = mask_mod(first, first, places[:, None], places[None, :])
    return _checked(allowed, "document_mod", (length, length), torch.bool)


def _ask(
    asked: Asked, name: str, *arguments: Any, shape: tuple[int, ...] | None = None, dtype: torch.dtype = torch.bool
) -> Any:
    """Call a graded function as it stands in the learner's file now, or the reference while it is not written."""
    topic, _, function = name.partition(".")
    asked.topics.add(topic)
    try:
        if asked.reference_alone:
            raise _NotWritten
        with without_reference(), _watched(name, asked):
            answer = getattr(_topic(topic), function)(*arguments)
    except _NotWritten:
        from workbook.specs import spec

        asked.reference.append(function)
        return spec(name).oracle(*arguments)
    asked.own.append(function)
    return answer if shape is None else _checked(answer, function, shape, dtype)


class _NotWritten(Exception):
    """There is nothing yet that could be called."""


def _topic(topic: str) -> Any:
    """The module of a topic; a file that could never be executed holds nothing, and ``file_faults`` says why."""
    try:
        return import_module(f"workbook.exercises.{topic}")
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _NotWritten from error


@contextlib.contextmanager
def _watched(name: str, asked: Asked) -> Iterator[None]:
    """Catch what a learner's function prints (a widget's prints go to a log), and say what it raises in one sentence."""
    from workbook.grading import runner
    from workbook.topic_files import topic_file

    topic, _, function = name.partition(".")
    printed = io.StringIO()
    # Prints are redirected for all threads: in one beside a running cell, they would be that cell's.
    alone = threading.current_thread() is threading.main_thread()
    try:
        with contextlib.redirect_stdout(printed) if alone else contextlib.nullcontext():
            yield
    except (_NotWritten, KeyboardInterrupt):
        raise
    except BaseException as error:  # exit() of a learner's must not end the kernel
        if is_unwritten(error, name):
            raise _NotWritten from error
        found = runner.raised(error, str(topic_file(topic)))
        where = f" in line {found.line} of {topic}.py" if found.line else ""
        message = f": {found.message.rstrip('.')}." if found.message else "."
        raise WrongMask(f"{function} raised {found.types[0]}{where}{message}") from error
    finally:
        asked.printed += printed.getvalue()


def _checked(answer: Any, function: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    wanted = f"{str(dtype).removeprefix('torch.')} of shape {shape} is wanted."
    if not isinstance(answer, Tensor):
        kind = "None (is there a return?)" if answer is None else f"an object of type {type(answer).__name__}"
        raise WrongMask(f"{function} gave {kind}; a tensor, {wanted}")
    if tuple(answer.shape) != shape or answer.dtype != dtype:
        came = f"{str(answer.dtype).removeprefix('torch.')} of shape {tuple(answer.shape)}"
        raise WrongMask(f"{function} gave {came}; {wanted}")
    return answer.detach().cpu()


@functools.lru_cache(maxsize=32)
def _fault(path: Path, modified: int) -> str | None:
    """Why a topic file as it was saved at that moment cannot be executed."""
    from workbook.topic_files import fault, load_topic

    try:
        with contextlib.redirect_stdout(io.StringIO()):
            load_topic(path)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return fault(error, path)
    return None
