"""What is called straight without being measured: where bytecode proves it, and never where a loop hides."""

import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

from workbook.grading import runner
from workbook.grading.judge import examination
from workbook.grading.runner import Call
from workbook.specs import Spec, spec, specs
from workbook.topic_files import load_solution

straight = runner.beside("straight")

PREAMBLE = """
import functools
import math
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int
from torch import Tensor
"""
SMALL: Call = ((torch.tensor([[3, 0, 1], [0, 0, 2]]), 0), {}, ())
LARGE: Call = ((torch.tensor([[3, 0, 1, 0]] * 4), 0), {}, ())


def written(source: str) -> Callable[..., Any]:
    """Return the function ``f`` of a topic file."""
    module = runner.load("workbook.exercises.x", (PREAMBLE + textwrap.dedent(source)).encode(), "x.py")
    found: Callable[..., Any] = module.f
    return found


STRAIGHT = {
    "a comparison": "def f(x, pad): return x == pad",
    "annotations": """
        def f(x: Int[Tensor, "B S"], pad: int = 0) -> Bool[Tensor, "B S"]:
            return x != pad
    """,
    "methods and operators": "def f(x, pad): return (x[:, None, :] != pad).float().cumsum(-1).mT @ x.float()[..., None]",
    "a tensor that is made": "def f(x, pad): return torch.arange(x.shape[-1], device=x.device)[None] < x.sum(-1, True)",
    "a chain of choices": """
        def f(x, pad):
            if x.dim() == 3 and x.is_floating_point():
                x = x[0]
            elif not isinstance(x, Tensor):
                x = torch.tensor(x)
            return x == pad if pad is not None else x
    """,
    "an error": """
        def f(x, pad):
            if x.dim() != 2:
                raise ValueError(f"two axes are wanted, not {x.dim()}: {x.shape}")
            return x == pad
    """,
    "an assertion": """
        def f(x, pad):
            assert len(x.shape) == 2, "two axes are wanted"
            return x == pad
    """,
    "a helper of the same file": """
        def f(x, pad): return negated(x == pad)
        def negated(mask): return ~mask
    """,
    "a helper's helper, twice": """
        def f(x, pad): return negated(negated(x == pad)) & real(x, pad)
        def real(x, pad=0, *, dtype=torch.bool): return negated(x == pad).to(dtype)
        def negated(mask): return ~mask
    """,
    "a mask function": "def f(window): return lambda b, h, q, k: (q >= k) & (q - k < window)",
    "a mask function of another name": """
        def f(window):
            def near(b, h, q, k):
                return causal(b, h, q, k) & (q - k < window)
            return near
        def causal(b, h, q, k): return q >= k
    """,
    "a NamedTuple of the file": """
        class Batch(NamedTuple):
            values: Tensor
            shape: tuple
        def f(x, pad):
            batch = Batch(x, x.shape)
            return Batch(values=batch.values == pad, shape=batch.shape)
    """,
    "math": "def f(x, pad): return (x / math.sqrt(x.shape[-1])).masked_fill(x == pad, -math.inf)",
    "finfo": "def f(x, pad): return torch.where(x == pad, torch.finfo(torch.float32).min, 0.0)",
    "functional": "def f(x, pad): return F.softmax(F.pad(x.float(), (1, 0), value=pad), dim=-1)",
    "einsum": "def f(x, pad): return torch.einsum('bi,bj->bij', x, x)",
    "constants of the file": """
        PAD, LOW, KIND, NAME = 0, -1e9, torch.float32, "ids"
        def f(x, pad): return (x == PAD).to(KIND) * LOW
    """,
    "unpacking": """
        def f(x, pad):
            batch, *rest = x.shape
            return x.new_zeros(batch, *rest, 1)
    """,
}


@pytest.mark.parametrize("how", STRAIGHT)
def test_what_cannot_loop_is_seen_to_be_straight(how: str) -> None:
    assert straight.is_straight(written(STRAIGHT[how]))


NAMES = "\n".join(f"            x.{name}" for name in sorted(straight._ATTRIBUTES)[:300])
MADE = "\n".join(f"        G{number} = 1" for number in range(300))
GLOBALS = "\n".join(f"            G{number}" for number in range(300))

NOT_STRAIGHT = {
    "an inner function that is called": """
        def f(x, pad):
            def is_real(ids):
                return ids != pad
            return is_real(x) | is_real(x)
    """,
    "a for loop": """
        def f(x, pad):
            rows = ()
            for row in x:
                rows = (*rows, row == pad)
            return torch.stack(rows)
    """,
    "a loop of fixed length": """
        def f(x, pad):
            for _ in (1, 2):
                x = x == pad
            return x
    """,
    "a while loop": """
        def f(x, pad):
            place = 0
            while place < len(x):
                place += 1
            return x == pad
    """,
    "a while loop with a break": """
        def f(x, pad):
            place = 0
            while True:
                if place == len(x):
                    break
                place += 1
            return x == pad
    """,
    "a comprehension": "def f(x, pad): return torch.stack([row == pad for row in x])",
    "a comprehension of a set": "def f(x, pad): return len({row for row in x})",
    "a comprehension of a dict": "def f(x, pad): return len({row: pad for row in x})",
    "a generator expression": "def f(x, pad): return torch.stack(tuple(row == pad for row in x))",
    "a generator": """
        def rows(x, pad):
            yield x[0] == pad
        def f(x, pad): return torch.stack((*rows(x, pad),))
    """,
    "being a generator": """
        def f(x, pad):
            yield x == pad
    """,
    "async": """
        async def f(x, pad):
            return x == pad
    """,
    "a loop in an inner function": """
        def f(x, pad):
            def rows():
                return torch.stack([row == pad for row in x])
            return rows()
    """,
    "a loop in a mask function": """
        def f(window):
            return lambda b, h, q, k: torch.stack([row >= k[0, 0, 0] for row in q.flatten()])
    """,
    "a loop two functions deep": """
        def f(x, pad):
            return lambda: lambda: [row == pad for row in x]
    """,
    "recursion": """
        def f(x, pad):
            if len(x) <= 1:
                return x == pad
            return torch.cat([x[:1] == pad, f(x[1:], pad)])
    """,
    "a helper's recursion": """
        def f(x, pad): return rows(x, pad)
        def rows(x, pad):
            return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, rows(x[1:], pad)])
    """,
    "recursion through two helpers": """
        def f(x, pad): return head(x, pad)
        def head(x, pad): return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, tail(x, pad)])
        def tail(x, pad): return head(x[1:], pad)
    """,
    "recursion from an inner function": """
        def f(x, pad):
            return (lambda: x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, f(x[1:], pad)]))()
    """,
    "an inner function that calls itself": """
        def f(x, pad):
            def rows(x):
                return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, rows(x[1:])])
            return rows(x)
    """,
    "a lambda that calls itself": """
        def f(x, pad):
            rows = lambda x: x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, rows(x[1:])])
            return rows(x)
    """,
    "a helper with a loop": """
        def f(x, pad): return rows(x, pad)
        def rows(x, pad): return torch.stack([row == pad for row in x])
    """,
    "a helper's helper with a loop": """
        def f(x, pad): return rows(x, pad)
        def rows(x, pad): return cells(x, pad)
        def cells(x, pad): return torch.stack([row == pad for row in x])
    """,
    "a helper with a loop that is handed on": """
        def f(x, pad): return call(rows, x, pad)
        def call(function, x, pad): return function(x, pad)
        def rows(x, pad): return torch.stack([row == pad for row in x])
    """,
    "sum": "def f(x, pad): return sum(x)",
    "map": "def f(x, pad): return torch.stack((*map(torch.neg, x),))",
    "any": "def f(x, pad): return any(x[0])",
    "all": "def f(x, pad): return all(x[0])",
    "max": "def f(x, pad): return max(x[0])",
    "min": "def f(x, pad): return min(x[0])",
    "sorted": "def f(x, pad): return sorted(x[0])",
    "filter": "def f(x, pad): return (*filter(torch.is_nonzero, x[0]),)",
    "getattr": "def f(x, pad): return getattr(x, 'apply_')(lambda cell: cell == pad)",
    "eval": "def f(x, pad): return eval('[row == pad for row in x]', {'x': x, 'pad': pad})",
    "apply_": "def f(x, pad): return x.clone().apply_(lambda cell: cell == pad)",
    "map_": "def f(x, pad): return x.clone().map_(x, lambda one, other: one == pad)",
    "vmap": "def f(x, pad): return torch.vmap(lambda row: row == pad)(x)",
    "reduce": "def f(x, pad): return functools.reduce(torch.add, x)",
    "math.prod": "def f(x, pad): return math.prod(x[0])",
    "math.fsum": "def f(x, pad): return math.fsum(x[0])",
    "math.prod by another name": """
        from math import prod
        import math as numbers
        def f(x, pad): return prod(x[0]) + numbers.sqrt(pad)
    """,
    "numpy": "def f(x, pad): return torch.from_numpy(np.vectorize(lambda cell: cell == pad)(x.numpy()))",
    "a tensor of the file": """
        HELD = torch.zeros(3)
        def f(x, pad): return x == HELD
    """,
    "functions of the file in a list": """
        def rows(x, pad): return torch.stack([row == pad for row in x])
        ALL = [rows]
        def f(x, pad): return ALL[0](x, pad)
    """,
    "functions of the file in a tuple": """
        def rows(x, pad): return torch.stack([row == pad for row in x])
        ALL = (rows,)
        def f(x, pad): return ALL[0](x, pad)
    """,
    "a default that is a function": """
        def rows(x, pad): return torch.stack([row == pad for row in x])
        def f(x, pad, function=rows): return function(x, pad)
    """,
    "a keyword's default that is a function": """
        def rows(x, pad): return torch.stack([row == pad for row in x])
        def f(x, pad, *, function=rows): return function(x, pad)
    """,
    "an object that can be called": """
        class Rows:
            def __call__(self, x, pad): return torch.stack([row == pad for row in x])
        rows = Rows()
        def f(x, pad): return rows(x, pad)
    """,
    "being an object that can be called": """
        class Rows:
            def __call__(self, x, pad): return torch.stack([row == pad for row in x])
        f = Rows()
    """,
    "partial": """
        def rows(pad, x): return torch.stack([row == pad for row in x])
        of_zero = functools.partial(rows, 0)
        def f(x, pad): return of_zero(x)
    """,
    "being a partial": "f = functools.partial(lambda pad, x, _: torch.stack([row == pad for row in x]), 0)",
    "a cached helper": """
        @functools.cache
        def rows(x, pad): return torch.stack([row == pad for row in x])
        def f(x, pad): return rows(x, pad)
    """,
    "a decorated helper": """
        def row_by_row(function):
            @functools.wraps(function)
            def wrapped(x, pad): return torch.stack([function(row, pad) for row in x])
            return wrapped
        @row_by_row
        def rows(x, pad): return x == pad
        def f(x, pad): return rows(x, pad)
    """,
    "being decorated": """
        def row_by_row(function):
            return lambda x, pad: torch.stack([function(row, pad) for row in x])
        @row_by_row
        def f(x, pad): return x == pad
    """,
    "a class of the file": """
        class Rows:
            def mean(self, x, pad): return torch.stack([row == pad for row in x])
        def f(x, pad): return Rows().mean(x, pad)
    """,
    "a class that is written inside": """
        def f(x, pad):
            class Rows:
                def mean(self): return x == pad
            return Rows().mean()
    """,
    "a tensor class of the file": """
        class Mine(torch.Tensor):
            def mean(self): return [row == 0 for row in self]
        def f(x, pad): return x.as_subclass(Mine).mean()
    """,
    "a NamedTuple whose name for a method is no tensor's": """
        class Batch(NamedTuple):
            ids: Tensor
            def is_real(self): return [row == 0 for row in self.ids]
        def f(x, pad): return Batch(x).is_real()
    """,
    "an error of the file": """
        class Mine(ValueError):
            def __init__(self, x): [row for row in x]
        def f(x, pad): raise Mine(x)
    """,
    "an import inside": """
        def f(x, pad):
            import itertools
            return (*itertools.accumulate(x),)
    """,
    "an import from torch inside": """
        def f(x, pad):
            from torch import vmap
            return vmap(torch.neg)(x)
    """,
    "a name that is not there": "def f(x, pad): return undefined(x)",
    "a module of torch's": "from torch import func\ndef f(x, pad): return func.vmap(torch.neg)(x)",
    "more names than one byte can count": f"""
        def f(x, pad):
{NAMES}
            return x == pad
    """,
    "more globals than one byte can count": f"""
{MADE}
        def f(x, pad):
{GLOBALS}
            return rows(x, pad)
        def rows(x, pad): return torch.stack([row == pad for row in x])
    """,
}


def test_an_inner_function_that_is_never_made_is_no_trouble() -> None:
    function = written("def f(x, pad): return x == pad")
    # Some Pythons keep the code of what stands behind a return.
    consts = (*function.__code__.co_consts, (lambda cell: cell).__code__)
    function.__code__ = function.__code__.replace(co_consts=consts)
    assert runner.measure(function, "no loop", {}, SMALL, LARGE).broken is None


@pytest.mark.parametrize("how", NOT_STRAIGHT)
def test_what_may_loop_or_is_not_understood_is_left_to_be_measured(how: str) -> None:
    assert not straight.is_straight(written(NOT_STRAIGHT[how]))


#: Nothing here jumps back, and each does more for a larger input.
HIDDEN = {
    "sorting a list by a function": """
        def f(x, pad):
            rows = x.tolist()
            rows.sort(key=lambda row: row[0] == pad)
            return torch.tensor(rows)
    """,
    "sorting a list of tensors": """
        def f(x, pad):
            cells = [*x.flatten()]
            cells.sort()
            return torch.stack(cells)
    """,
    "looking for a tensor in a tuple": "def f(x, pad): return torch.tensor(99 in x.flatten().unbind())",
    "comparing two tuples of tensors": "def f(x, pad): return x.flatten().unbind() == x.clone().flatten().unbind()",
    "math.hypot": "def f(x, pad): return torch.tensor(math.hypot(*x.flatten()))",
    "math.gcd": "def f(x, pad): return torch.tensor(math.gcd(*x.flatten()))",
    "math.prod beside a function prod": """
        def prod(x): return x
        def f(x, pad): return torch.as_tensor(prod(math.prod(x.flatten())))
    """,
    "apply_ beside a function apply_": """
        def apply_(x): return x
        def f(x, pad):
            def is_pad(cell):
                return cell == pad
            return apply_(x).clone().apply_(is_pad)
    """,
    "a NamedTuple's method with a tensor's name": """
        class Batch(NamedTuple):
            ids: Tensor
            def mean(self): return torch.stack([row == 0 for row in self.ids])
        def f(x, pad): return Batch(x).mean()
    """,
    "a NamedTuple's operator": """
        class Batch(NamedTuple):
            ids: Tensor
            def __invert__(self): return torch.stack([row == 0 for row in self.ids])
        def f(x, pad): return ~Batch(x)
    """,
    "a NamedTuple's default": """
        class Rules(NamedTuple):
            mean: Any = lambda x: torch.stack([row == 0 for row in x])
        def f(x, pad): return Rules().mean(x)
    """,
    "an inner function that is handed itself": """
        def f(x, pad):
            def rows(again, x):
                return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, again(again, x[1:])])
            return rows(rows, x)
    """,
    "a helper that is handed itself": """
        def f(x, pad): return rows(rows, x, pad)
        def rows(again, x, pad):
            return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, again(again, x[1:], pad)])
    """,
    "recursion through a parameter": """
        def f(x, pad, again=None):
            def rows(x):
                return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, again(x[1:])])
            again = rows
            return again(x)
    """,
    "recursion through a parameter set from inside": """
        def f(x, pad, again=None):
            def rows(x):
                return x == pad if len(x) <= 1 else torch.cat([x[:1] == pad, again(x[1:])])
            def remember():
                nonlocal again
                again = rows
            remember()
            return rows(x)
    """,
    "recursion through a tensor's attribute": """
        def f(x, pad):
            x.mean = lambda count: x == pad if count <= 1 else x.mean(count - 1)
            return x.mean(len(x))
    """,
    "what torch holds under a name in a text": """
        def f(x, pad): return torch.__dict__["builtins"].__dict__["sum"](x)
    """,
}


@pytest.mark.parametrize("how", HIDDEN)
def test_more_work_without_a_jump_back_is_left_to_be_measured(how: str) -> None:
    function = written(HIDDEN[how])
    small, large = runner.work(function, SMALL), runner.work(function, LARGE)
    assert large[0] > small[0] or large[1] > small[1], "it is no example"
    assert not straight.is_straight(function)


def test_a_straight_function_is_called_once_and_another_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, equal = [], torch.eq

    def counted(*arguments: Any) -> torch.Tensor:
        calls.append(arguments)
        return equal(*arguments)

    monkeypatch.setattr(torch, "eq", counted)
    once = runner.measure(written("def f(x, pad): return torch.eq(x, pad)"), "no loop", {}, SMALL, LARGE)
    assert (len(calls), once.broken) == (1, None)
    by_row = written("def f(x, pad): return torch.stack([torch.eq(row, pad) for row in x])")
    assert runner.measure(by_row, "no loop", {}, SMALL, LARGE).broken is not None
    assert len(calls) > 5


def test_a_straight_function_that_fails_on_the_large_call_is_reported() -> None:
    function = written("""
        def f(x, pad):
            if len(x) > 2:
                raise ValueError("too many rows")
            return x == pad
    """)
    assert straight.is_straight(function)
    found = runner.measure(function, "no loop", {}, SMALL, LARGE)
    assert found.broken == f"{runner.RAISED}ValueError: too many rows"


def test_what_is_no_python_function_is_not_straight() -> None:
    for found in (len, torch.neg, torch.nn.ReLU(), torch.Tensor.neg, int, None, 3):
        assert not straight.is_straight(found)


# --- the course ------------------------------------------------------------------------------------------------------


@cache
def solution(name: str) -> Callable[..., Any]:
    found = spec(name)
    function = runner.undecorated(load_solution(found.topic), found.function)
    assert function is not None
    return function


@pytest.mark.parametrize("name", [found.name for found in specs() if straight.is_straight(solution(found.name))])
def test_a_straight_solution_does_as_much_for_a_larger_input(name: str) -> None:
    exam = examination(name, 0)
    small, large = runner.work(solution(name), exam.small.call), runner.work(solution(name), exam.large.call)
    assert large[0] <= small[0]
    assert large[1] <= small[1]


def test_most_solutions_are_seen_to_be_straight() -> None:
    """Else all that it spares is lost, and nobody notices."""
    assert sum(straight.is_straight(solution(found.name)) for found in specs()) >= 40


@pytest.mark.parametrize("found", specs(), ids=lambda found: found.name)
def test_no_misconception_with_a_loop_is_called_straight(found: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    exam = examination(found.name, 0)
    wrong = [function for mistake in found.misconceptions for function in mistake.implementations]
    called_straight = [function for function in wrong if straight.is_straight(function)]
    monkeypatch.setattr(straight, "is_straight", lambda function: False)
    for function in called_straight:
        broken = runner.measure(function, "no loop", {}, exam.small.call, exam.large.call).broken
        # One that fails while it is measured fails unmeasured, too.
        assert broken is None or broken.startswith(runner.RAISED), broken
