"""``predict(...)``: an answer given before the run, scored when the run shows the truth.

This is the static form, which needs no widget: the learner writes ``guess=...`` into the cell. The truth is never stored; the
cell that runs the experiment hands it to ``reveal``.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbook.printing import code_spans

#: What was predicted in this session, for the summary at the end of a notebook: question -> (right, of).
made: dict[str, tuple[int, int]] = {}

_LETTERS = "abcdefgh"
_UNEXPECTED = "If you have changed the experiment, that is fine; else run the checks of the functions it uses."


def predict(
    question: str,
    choices: Sequence[Any] | None = None,
    *,
    cells: tuple[Sequence[str], Sequence[str]] | None = None,
    means: tuple[str, str] = ("yes", "no"),
    guess: Any = None,
) -> "Prediction":
    """Ask for a prediction; display what is returned, and call its ``reveal`` in the cell that runs the experiment.

    Args:
        question: one sentence.
        choices: the answers to pick from; ``guess`` is then the letter of one (or the answer itself).
        cells: instead of ``choices``, the words down the side and across the top of a grid; ``guess`` is then one text of
            ■ (or 1) and ⬚ (or 0) a row, blanks ignored.
        means: what ■ and ⬚ say in the grid.
        guess: the learner's answer; ``None`` means that none was made.

    Raises:
        ValueError: neither or both of ``choices`` and ``cells`` are given, or ``guess`` is no answer to the question.
    """
    if (choices is None) == (cells is None):
        raise ValueError("predict needs either choices or cells")
    if choices is not None:
        return Choice(question, tuple(choices), None if guess is None else _picked(tuple(choices), guess))
    assert cells is not None
    rows, columns = tuple(cells[0]), tuple(cells[1])
    return Cells(question, rows, columns, means, None if guess is None else _grid(guess, rows, columns))


@dataclass(frozen=True)
class Prediction:
    """A question, and the answer that was given before the run."""

    question: str

    def reveal(self, truth: Any, *, nearest: bool = False) -> "Revealed":
        """Score the prediction against what the run showed; ``nearest`` takes the choice that comes closest to a number."""
        raise NotImplementedError

    def _body(self) -> list[str]:
        """The lines under the question."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join([f"Predict: {self.question}", *self._body()])

    def _html(self) -> str:
        """The same lines as HTML."""
        return _lines(self._body()[:-1])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        tail = f'<div style="font-style:italic">{code_spans(self._body()[-1])}</div>'
        return {"text/plain": str(self), "text/html": _card("Predict.", self.question, self._html() + tail, "#0a6ebd")}


@dataclass(frozen=True)
class Choice(Prediction):
    """A prediction that is one of several answers."""

    choices: tuple[Any, ...]
    guess: int | None

    def _body(self) -> list[str]:
        listed = "    ".join(self._named(place) for place in range(len(self.choices)))
        if self.guess is None:
            return [listed, 'Commit yourself: write `guess="a"` (or b, …) into this cell and run it before you go on.']
        return [listed, f"Your prediction: {self._named(self.guess)}"]

    def reveal(self, truth: Any, *, nearest: bool = False) -> "Revealed":
        """Score the prediction; ``truth`` is what the run gave: a number, a text or a tensor of one number.

        ``nearest`` is for measured numbers: the choice that comes closest counts, in proportion.
        """
        truth = truth.item() if isinstance(truth, Tensor) else truth
        if nearest:
            truth = min(self.choices, key=lambda choice: abs(math.log(choice / truth)))
        found = next((place for place, choice in enumerate(self.choices) if _same(choice, truth)), None)
        if found is None:
            lines = [
                f"The run gives {truth}, which is none of the choices.",
                _UNEXPECTED,
            ]
            return Revealed(self.question, tuple(lines), None)
        lines = [f"The run says {self._named(found)}."]
        if self.guess is not None:
            made[self.question] = (int(self.guess == found), 1)
            lines.append("You had it." if self.guess == found else f"You had said {self._named(self.guess)}.")
        return Revealed(self.question, tuple(lines), None if self.guess is None else self.guess == found)

    def _html(self) -> str:
        spans = (
            f'<span style="margin-right:28px"><b>{_LETTERS[place]})</b>&nbsp;{html.escape(str(choice))}</span> '
            for place, choice in enumerate(self.choices)
        )
        return f'<div style="margin:4px 0">{"".join(spans)}</div>'

    def _named(self, place: int) -> str:
        return f"{_LETTERS[place]}) {self.choices[place]}"


@dataclass(frozen=True)
class Cells(Prediction):
    """A prediction of a whole mask, cell by cell."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    means: tuple[str, str]
    guess: tuple[tuple[bool, ...], ...] | None

    def _body(self) -> list[str]:
        axes = [f"rows:    {' | '.join(self.rows)}", f"columns: {' | '.join(self.columns)}"]
        if self.guess is not None:
            drawn = ["".join("■" if cell else "⬚" for cell in row) for row in self.guess]
            return [*axes, *drawn, "That is your prediction. Run on."]
        example = "■" + "⬚" * (len(self.columns) - 1)
        how = f'["{example}", …]' if len(self.rows) > 1 else f'["{example}"]'
        marks = f"■ for {self.means[0]} and ⬚ for {self.means[1]}"
        return [*axes, f"Commit yourself: write `guess={how}` into this cell, {marks}, one text a row."]

    def reveal(self, truth: Any, *, nearest: bool = False) -> "Revealed":
        """Score the prediction cell by cell; ``truth`` is a bool tensor or nested list of the grid's shape."""
        from workbook.figures import difference_text, mask_grid

        cells = torch.as_tensor(truth).bool().cpu()
        cells = cells[None] if cells.dim() == 1 else cells
        wanted = (len(self.rows), len(self.columns))
        if tuple(cells.shape) != wanted:
            lines = [
                f"The run gives a grid of {list(cells.shape)}, and the question has {list(wanted)}.",
                _UNEXPECTED,
            ]
            return Revealed(self.question, tuple(lines), None)
        if self.guess is None:
            picture = mask_grid(cells, queries=self.rows, keys=self.columns, means=self.means, axes=("", ""))
            return Revealed(self.question, ("The run says:", *str(picture).splitlines()), None)
        guess = torch.tensor(self.guess)
        right = int((guess == cells).sum())
        made[self.question] = (right, cells.numel())
        lines = [f"{right} of {cells.numel()} cells as you said."]
        if right < cells.numel():
            lines += difference_text(cells, guess, self.rows, self.columns, names=("the run", "you")).splitlines()[1:-1]
            lines.append(f"! you said {self.means[0]}, the run says {self.means[1]}   ? the other way round   · right")
        return Revealed(self.question, tuple(lines), right == cells.numel())


@dataclass(frozen=True)
class Revealed:
    """What the run showed, beside what had been predicted; ``right`` is ``None`` without a prediction."""

    question: str
    lines: tuple[str, ...]
    right: bool | None

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        mark = {True: "✓", False: "✗", None: "→"}[self.right]
        colour = {True: "#1a7f37", False: "#b35900", None: "#0a6ebd"}[self.right]
        return {"text/plain": str(self), "text/html": _card(mark, self.question, _lines(self.lines), colour)}


def _card(mark: str, question: str, body: str, colour: str) -> str:
    """HTML with inline styles only: scripts and style sheets are stripped where a notebook is only read."""
    head = f"<b>{mark}</b> {code_spans(question)}"
    return f'<div style="border-left:4px solid {colour};padding:4px 12px;margin:4px 0">{head}{body}</div>'


def _lines(lines: Sequence[str]) -> str:
    """Lines as they are: where there is more than one they are a grid, whose columns stay under each other."""
    look = "margin:4px 0;" + ("font-family:monospace;white-space:pre-wrap" if len(lines) > 1 else "")
    return f'<div style="{look}">{html.escape(chr(10).join(lines))}</div>'


def _picked(choices: tuple[Any, ...], guess: Any) -> int:
    letters = _LETTERS[: len(choices)]
    if isinstance(guess, str) and guess.strip().lower() in tuple(letters):
        return letters.index(guess.strip().lower())
    for place, choice in enumerate(choices):
        if _same(choice, guess):
            return place
    raise ValueError(f"guess is {guess!r}; it can be {', '.join(letters[:-1])} or {letters[-1]}")


def _same(choice: Any, truth: Any) -> bool:
    if isinstance(choice, int | float) and isinstance(truth, int | float) and not isinstance(truth, bool):
        return abs(choice - truth) <= 5e-3 * max(1.0, abs(choice))
    return bool(str(choice) == str(truth))


def _grid(guess: Any, rows: tuple[str, ...], columns: tuple[str, ...]) -> tuple[tuple[bool, ...], ...]:
    lines = [guess] if isinstance(guess, str) else list(guess)
    grid = []
    for line in lines:
        marks = [mark for mark in line if not str(mark).isspace()] if isinstance(line, str) else list(line)
        if any(str(mark) not in ("■", "1", "True", "⬚", "0", "False") for mark in marks):
            raise ValueError(f"guess holds {line!r}; a row is written with ■ and ⬚, or with 1 and 0")
        grid.append(tuple(str(mark) in ("■", "1", "True") for mark in marks))
    if len(grid) != len(rows) or any(len(row) != len(columns) for row in grid):
        raise ValueError(f"guess needs {len(rows)} rows of {len(columns)} cells")
    return tuple(grid)
