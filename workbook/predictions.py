"""``predict(...)``: an answer given before the run, scored when the run shows the truth.

The learner clicks it (``prediction_widget``) or, where there is no front end, writes ``guess=...`` into the cell. The truth is
never stored in the notebook; the cell that runs the experiment hands it to ``reveal``. The first run after an answer was
committed gives the score; later runs, of a changed experiment say, show what they show and leave the score alone.
"""

import html
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from workbook.figures.widget import widgets_are_off
from workbook.prediction_grid import marked_grid
from workbook.printing import code_spans

if TYPE_CHECKING:
    from workbook.prediction_widget import ChoiceWidget

Grid = tuple[tuple[bool, ...], ...]

#: What was predicted in this session, for the summary at the end of a notebook: question -> (right, of).
made: dict[str, tuple[int, int]] = {}

_LETTERS = "abcdefgh"
_UNEXPECTED = "If you have changed the experiment, that is fine; else run the checks of the functions it uses."
_TOO_EARLY = "A prediction made first is worth more. To make one after all, run {0} again, answer, and run {1} again."
_NOT_COMMITTED = (
    "You had clicked cells, but not committed them. To do so after all, run {0} again, commit, and run {1} again."
)


@dataclass
class Answer:
    """How things stand with one question. It outlives the question's cell being run again.

    ``given`` and ``run`` are the place of a choice or a grid: what was answered (or clicked so far, until it is committed), and
    what the latest run said.
    """

    given: Any = None
    committed: bool = False
    run: Any = None
    score: tuple[int, int] | None = None
    widget: "ChoiceWidget | None" = None

    @property
    def guess(self) -> Any:
        return self.given if self.committed else None

    def commit(self, given: Any) -> None:
        self.given, self.committed = given, True


# The answers of this session. Two questions of one wording ("Who may look at whom?") are told apart by what can be answered.
_answers: dict[tuple[Any, ...], Answer] = {}


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
        guess: the learner's answer, where it is not clicked; ``None`` leaves what was answered in this session.

    Raises:
        ValueError: neither or both of ``choices`` and ``cells`` are given, there is one choice or more than eight, or
            ``guess`` is no answer to the question.
    """
    if (choices is None) == (cells is None):
        raise ValueError("predict needs either choices or cells")
    prediction: Prediction
    if choices is not None:
        if not 2 <= len(choices) <= len(_LETTERS):
            raise ValueError(f"predict has {len(choices)} choices; it can have 2 to {len(_LETTERS)}")
        answer = _answers.setdefault((question, *map(str, choices)), Answer())
        prediction = Choice(question, answer, tuple(choices))
    else:
        assert cells is not None
        rows, columns = (tuple(map(str, names)) for names in cells)
        answer = _answers.setdefault((question, rows, columns), Answer())
        prediction = Cells(question, answer, rows, columns, means)
    if guess is not None:
        answer.commit(prediction.read_guess(guess))
    if answer.score is None:
        answer.run = None  # asked anew, it may be answered anew
    prediction.show_state()
    return prediction


@dataclass(frozen=True)
class Prediction:
    """A question, and the answer that was given before the run."""

    question: str
    answer: Answer = field(compare=False)

    def reveal(self, truth: Any, *, nearest: bool = False) -> "Revealed":
        """Score the prediction against what the run showed, and show both.

        Args:
            truth: for choices a number, a text or a tensor of one number; for cells a tensor or nested list of bools, of the
                grid's shape.
            nearest: for measured numbers: the choice that comes closest counts, in proportion.
        """
        run = self._read_truth(truth, nearest)
        if isinstance(run, str):  # not what the question is about: nothing is scored, and the question stays open
            return Revealed(self.question, (run, _UNEXPECTED), None)
        answer = self.answer
        answer.run = run
        if answer.committed and answer.score is None:
            answer.score = self._count()
            made[_unused(self.question)] = answer.score
        self.show_state()
        seen = answer.widget is not None and answer.widget.seen
        aside = self._aside("the question's cell", "this one") if seen and not answer.committed else ""
        return Revealed(self.question, tuple(self._outcome()), self._right(), self._picture(), aside)

    def _aside(self, question: str, experiment: str) -> str:
        """What to say where the run came before an answer."""
        return (_TOO_EARLY if self.answer.given is None else _NOT_COMMITTED).format(question, experiment)

    def _with_mark(self, lines: list[str]) -> str:
        """The lines of a run as one sentence for the widget."""
        right = self._right()
        early = [self._aside("this cell", "the experiment")] if right is None else []
        return " ".join([_MARKS[right], *lines, *early])

    def take(self, given: Any, committed: bool) -> None:
        """Take an answer that was clicked, unless the run has been."""
        if self.answer.run is None:
            self.answer.given = None if given is None else self._clicked(given)
            self.answer.committed = committed and given is not None
        self.show_state()

    def show_state(self) -> None:
        """Bring the widget up to date, where there is one."""
        if self.answer.widget is not None:
            self.answer.widget.show(self)

    def state(self) -> dict[str, Any]:
        """What the widget shows."""
        outcome = {True: "right", False: "wrong", None: ""}[self._right()]
        return {
            "asked": {"question": self.question} | self._asked(),
            "given": self.answer.given,
            "committed": self.answer.committed,
            "run": self.answer.run,
            "marks": None,
            "outcome": outcome,
            "status": self._status(),
        }

    def read_guess(self, guess: Any) -> Any:
        """Return an answer as ``Answer.given`` holds it, or raise ValueError."""
        raise NotImplementedError

    def _clicked(self, given: Any) -> Any:
        """Return what the browser sent in the same form."""
        raise NotImplementedError

    def _read_truth(self, truth: Any, nearest: bool) -> Any:
        """Return the truth in the same form, or a sentence where it is no answer to the question."""
        raise NotImplementedError

    def _count(self) -> tuple[int, int]:
        """How many of how many are right."""
        raise NotImplementedError

    def _body(self) -> list[str]:
        """The lines under the question."""
        raise NotImplementedError

    def _outcome(self) -> list[str]:
        """The lines that a run gives rise to."""
        raise NotImplementedError

    def _asked(self) -> dict[str, Any]:
        """What can be answered, for the widget."""
        raise NotImplementedError

    def _status(self) -> str:
        """The sentence under the widget."""
        raise NotImplementedError

    def _picture(self) -> str:
        """HTML that takes the place of the outcome's lines, if any."""
        return ""

    def _right(self) -> bool | None:
        """Whether what was predicted is what the latest run said."""
        if self.answer.run is None or not self.answer.committed:
            return None
        return bool(self.answer.given == self.answer.run)

    def _first_run(self) -> list[str]:
        """A line for a run that says something else than the one that was scored."""
        if self.answer.score is None or self.answer.score == self._count():
            return []
        right, of = self.answer.score
        return [f"What counts is the first run: {right} of {of} right."]

    def __str__(self) -> str:
        return "\n".join([f"Predict: {self.question}", *self._body()])

    def _html(self) -> str:
        """The same lines as HTML."""
        return _lines(self._body()[:-1])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        tail = f'<div style="font-style:italic">{code_spans(self._body()[-1])}</div>'
        static = {
            "text/plain": str(self),
            "text/html": _card("Predict.", self.question, self._html() + tail, "#0a6ebd"),
        }
        return static | self._widget_view() if _in_a_notebook() else static

    def _widget_view(self) -> dict[str, Any]:
        # Made when first displayed, and once a question: the same question run again is the same widget.
        from workbook.prediction_widget import CellsWidget, ChoiceWidget

        if self.answer.widget is None:
            self.answer.widget = (CellsWidget if isinstance(self, Cells) else ChoiceWidget)(self)
        model = {"version_major": 2, "version_minor": 0, "model_id": self.answer.widget.model_id}
        return {"application/vnd.jupyter.widget-view+json": model}


@dataclass(frozen=True)
class Choice(Prediction):
    """A prediction that is one of several answers."""

    choices: tuple[Any, ...]

    def _body(self) -> list[str]:
        listed = "    ".join(self._named(place) for place in range(len(self.choices)))
        if not self.answer.committed:
            return [listed, 'Commit yourself: write `guess="a"` (or b, …) into this cell and run it before you go on.']
        return [listed, f"Your prediction: {self._named(self.answer.given)}"]

    def read_guess(self, guess: Any) -> int:
        return _picked(self.choices, guess)

    def _clicked(self, given: Any) -> int:
        return range(len(self.choices))[given]  # the place, which may look like another of the choices

    def _read_truth(self, truth: Any, nearest: bool) -> int | str:
        truth = truth.item() if isinstance(truth, Tensor) else truth
        if nearest and 0 < truth < math.inf:  # NaN, say, is near to none of them
            truth = min(self.choices, key=lambda choice: abs(math.log(choice / truth)))
        found = next((place for place, choice in enumerate(self.choices) if _same(choice, truth)), None)
        return f"The run gives {truth}, which is none of the choices." if found is None else found

    def _count(self) -> tuple[int, int]:
        return int(self.answer.given == self.answer.run), 1

    def _outcome(self) -> list[str]:
        lines = [f"The run says {self._named(self.answer.run)}."]
        if self.answer.committed:
            lines.append("You had it." if self._right() else f"You had said {self._named(self.answer.given)}.")
        return lines + self._first_run()

    def _picture(self) -> str:
        if not self.answer.committed:
            return ""
        return "".join(f'<div style="margin:4px 0">{code_spans(line)}</div>' for line in self._outcome())

    def _asked(self) -> dict[str, Any]:
        return {"choices": [str(choice) for choice in self.choices]}

    def _status(self) -> str:
        if self.answer.run is not None:
            return self._with_mark(self._outcome())
        if self.answer.committed:
            return f"Committed: {self._named(self.answer.given)}. Run on; until the run you can change it."
        return "Choose one before you run on."

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

    def _body(self) -> list[str]:
        axes = [f"rows:    {' | '.join(self.rows)}", f"columns: {' | '.join(self.columns)}"]
        if self.answer.committed:
            drawn = ["".join("■" if cell else "⬚" for cell in row) for row in self.answer.given]
            return [*axes, *drawn, "That is your prediction. Run on."]
        example = "■" + "⬚" * (len(self.columns) - 1)
        how = f'["{example}", …]' if len(self.rows) > 1 else f'["{example}"]'
        marks = f"■ for {self.means[0]} and ⬚ for {self.means[1]}"
        return [*axes, f"Commit yourself: write `guess={how}` into this cell, {marks}, one text a row."]

    def read_guess(self, guess: Any) -> Grid:
        return _grid(guess, self.rows, self.columns)

    def _clicked(self, given: Any) -> Grid:
        return self.read_guess(given)

    def _read_truth(self, truth: Any, nearest: bool) -> Grid | str:
        cells = torch.as_tensor(truth).bool().cpu()
        cells = cells[None] if cells.dim() == 1 else cells
        wanted = (len(self.rows), len(self.columns))
        if tuple(cells.shape) != wanted:
            return f"The run gives a grid of {list(cells.shape)}, and the question has {list(wanted)}."
        return tuple(tuple(row) for row in cells.tolist())

    def _count(self) -> tuple[int, int]:
        kinds = [kind for row in self._marks() for kind in row]
        return kinds.count("right"), len(kinds)

    def _marks(self) -> list[list[str]]:
        """Each cell's kind, in the words of grid.js: said but not so is "leaking", so but not said is "missing"."""
        names = {(True, False): "leaking", (False, True): "missing"}
        return [
            [names.get((said, is_so), "right") for said, is_so in zip(*pair, strict=True)]
            for pair in zip(self.answer.given, self.answer.run, strict=True)
        ]

    def _outcome(self) -> list[str]:
        from workbook.figures import difference_text, mask_grid

        run = torch.tensor(self.answer.run)
        if not self.answer.committed:
            picture = mask_grid(run, queries=self.rows, keys=self.columns, means=self.means, axes=("", ""))
            return ["The run says:", *str(picture).splitlines()]
        lines = [self._summary()]
        if not self._right():
            guess = torch.tensor(self.answer.given)
            lines += difference_text(run, guess, self.rows, self.columns, names=("the run", "you")).splitlines()[1:-1]
            lines.append(f"! you said {self.means[0]}, the run says {self.means[1]}   ? the other way round   · right")
        return lines + self._first_run()

    def _summary(self) -> str:
        right, of = self._count()
        return f"{right} of {of} cells as you said."

    def _picture(self) -> str:
        if not self.answer.committed or self._right():
            return ""
        grid = marked_grid(self.rows, self.columns, self.answer.given, self._marks(), self.means)
        return _lines([self._summary()]) + grid + "".join(_lines([line]) for line in self._first_run())

    def _asked(self) -> dict[str, Any]:
        return {"rows": list(self.rows), "columns": list(self.columns), "means": list(self.means)}

    def state(self) -> dict[str, Any]:
        given, run = ([list(row) for row in grid] if grid else None for grid in (self.answer.given, self.answer.run))
        marks = self._marks() if self._right() is not None else None
        return super().state() | {"given": given, "run": run, "marks": marks}

    def _status(self) -> str:
        if self.answer.run is not None:
            lines = [self._summary(), *self._first_run()] if self.answer.committed else ["This is what the run says."]
            return self._with_mark(lines)
        if self.answer.committed:
            return "Committed. Run on; until the run you can change cells."
        return f"Click the cells that you expect to be ■ {self.means[0]} (or arrow keys and space bar), then commit."


@dataclass(frozen=True)
class Revealed:
    """What the run showed, beside what had been predicted; ``right`` is ``None`` without a prediction."""

    question: str
    lines: tuple[str, ...]
    right: bool | None
    picture: str = ""  # HTML in place of the lines
    aside: str = ""  # only beside a widget

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        colour = {True: "#1a7f37", False: "#b35900", None: "#0a6ebd"}[self.right]
        body = self.picture or _lines(self.lines)
        if self.aside:
            body += f'<div style="font-style:italic">{html.escape(self.aside)}</div>'
        return {"text/plain": str(self), "text/html": _card(_MARKS[self.right], self.question, body, colour)}


_MARKS = {True: "✓", False: "✗", None: "→"}


def _unused(question: str) -> str:
    """The question's name in the summary; another of the same wording gets a number."""
    names = [question, *(f"{question} ({number})" for number in range(2, len(made) + 2))]
    return next(name for name in names if name not in made)


def _in_a_notebook() -> bool:
    """Whether there is a kernel, to which a front end can be connected, and widgets are wanted."""
    if widgets_are_off() or "IPython" not in sys.modules:
        return False
    return getattr(sys.modules["IPython"].get_ipython(), "kernel", None) is not None


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
