"""The runner: what it says of a function, which properties it measures, and the frames that carry both."""

import json
import math
import socket
import struct
from collections import namedtuple
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workbook.grading import runner
from workbook.grading.judge import difference, examination
from workbook.grading.runner import (
    DTYPES,
    Call,
    Malformed,
    Measured,
    Raised,
    Returned,
    Unfit,
    Unwritten,
    decode,
    encode,
    fresh,
    leaves,
    measure,
    named,
    plain,
    receive,
)
from workbook.specs import spec
from workbook.specs.specification import FunctionArgument, index_grid

Pair = namedtuple("Pair", "first second")
NAME = "padding.padding_mask"
IDS = torch.tensor([[3, 5, 0], [4, 0, 0]])
CALL: Call = ((IDS, 0), {}, ())


def run(function: Callable[..., Any], name: str, call: Call) -> runner.Outcome:
    """Try a call once, as a file without classes of its own does."""
    return runner.run(function, name, runner.Trial(call), {})


# --- arguments that are functions -----------------------------------------------------------------------------------


def test_an_argument_may_be_a_function_of_the_fixed_list_with_its_tensors() -> None:
    weight = torch.tensor([[0.5, 2.0, -1.0]])
    call: Call = ((FunctionArgument("word by word", (weight,)), torch.ones(4, 1)), {}, ())

    def apply(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return function(x)

    outcome = run(apply, NAME, call)
    assert isinstance(outcome, Returned)
    assert torch.equal(outcome.value, torch.tanh(torch.ones(4, 1) @ weight))
    assert outcome.changed is None
    sent = encode({}, list(call[0]))
    _, came = decode(*parts(sent))
    assert torch.equal(runner.as_function(came[0])(torch.ones(4, 1)), outcome.value)
    assert measure(apply, "device", {}, call, None).broken is None
    assert measure(lambda function, x: function(x) + torch.ones(4, 1), "device", {}, call, None).broken is not None


def test_a_function_that_is_not_on_the_list_cannot_be_handed_over() -> None:
    with pytest.raises(KeyError):
        runner.as_function(FunctionArgument("os.system"))


# --- mask functions that are returned ---------------------------------------------------------------------------------

GRID = index_grid(2, 3, 4, 5)


def asking(*arguments: Any) -> Call:
    return (arguments, {}, GRID)


def test_a_returned_mask_function_is_asked_about_every_cell() -> None:
    outcome = run(lambda size: lambda b, h, q, k: q - k < size, NAME, asking(2))
    assert isinstance(outcome, Returned)
    assert outcome.value.shape == (2, 3, 4, 5)
    for b, h, q, k in ((0, 0, 0, 0), (1, 2, 3, 0), (1, 0, 3, 2)):
        assert bool(outcome.value[b, h, q, k]) is (q - k < 2)
    sent = decode(*parts(encode({}, list(asking(2)))))[1]
    again = run(lambda size: lambda b, h, q, k: q - k < size, NAME, tuple(sent))  # type: ignore[arg-type]
    assert isinstance(again, Returned)
    assert torch.equal(again.value, outcome.value)


@pytest.mark.parametrize("value", [torch.ones(4, 5, dtype=torch.bool), True, None])
def test_what_is_no_mask_function_is_a_sentence(value: Any) -> None:
    outcome = run(lambda: value, NAME, asking())
    assert isinstance(outcome, Raised)
    assert outcome.types[0] == "TypeError"
    assert "a mask function of (b, h, q_idx, kv_idx) was to be returned" in outcome.message


def test_an_answer_that_is_no_tensor_stays_what_it_is() -> None:
    assert run(lambda: lambda b, h, q, k: True, NAME, asking()) == Returned(True)


@pytest.mark.parametrize("name", [name for name in runner.MASK_FUNCTIONS if name != "everything"])
def test_mask_functions_of_the_fixed_list_answer_for_grids_and_for_cells(name: str) -> None:
    bound = {
        "window": (torch.tensor(2),),
        "first keys": (torch.tensor(2),),
        "padding": (torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1]]),),
        "table": (torch.rand(2, 3, 4, 5) < 0.5,),
    }.get(name, ())
    call = asking(FunctionArgument(name, bound))
    at_once = run(lambda mask_function: mask_function, NAME, call)
    assert isinstance(at_once, Returned)
    assert at_once.value.dtype == torch.bool
    assert at_once.value.any()
    assert not at_once.value.all()
    assert measure(lambda mask_function: mask_function, "vmap", {}, call, None).broken is None
    assert measure(lambda mask_function: mask_function, "device", {}, call, None).broken is None


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda: lambda b, h, q, k: q >= k, None),
        (
            lambda: lambda b, h, q, k: torch.tensor(q.tolist()) >= torch.tensor(k.tolist()),
            "under `torch.vmap`, as `create_block_mask` asks it, it raises RuntimeError: ",
        ),
        (lambda: lambda b, h, q, k: (q >= k) | (q.dim() == 0), "under `torch.vmap`, as"),
        (lambda: lambda *cell: cell[2] >= cell[3], "it takes 0 arguments by name"),
        (lambda: lambda b, h, q, k, window: q >= k, "it takes 5 arguments by name"),
        (lambda: lambda b, h, q, k, window=2: q - k < window, None),
        (lambda: partial(lambda size, b, h, q, k: q - k < size, 2), None),
    ],
)
def test_a_mask_function_has_to_answer_under_vmap_too(function: Any, told: str | None) -> None:
    broken_by = measure(function, "vmap", {}, asking(), None).broken
    assert broken_by is None if told is None else broken_by is not None and broken_by.startswith(told)


def test_a_mask_function_has_to_answer_more_than_once() -> None:
    def only_once() -> Any:
        rules = iter([lambda b, h, q, k: q >= k])

        def joined(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            allowed = torch.ones_like(q, dtype=torch.bool)
            for rule in rules:
                allowed = allowed & rule(b, h, q, k)
            return allowed

        return joined

    first = run(only_once, NAME, asking())
    assert isinstance(first, Returned)
    assert first.value.shape == (2, 3, 4, 5)
    assert (
        measure(only_once, "vmap", {}, asking(), None).broken == "it says something else when it is asked a second time"
    )


def test_an_answer_that_does_not_broadcast_is_a_sentence() -> None:
    outcome = run(lambda: lambda b, h, q, k: torch.ones(3, 3, dtype=torch.bool), NAME, asking())
    assert isinstance(outcome, Raised)
    assert (
        outcome.message == "the mask function's answer has the shape [3, 3], which does not broadcast to [2, 3, 4, 5]"
    )
    everything = run(lambda rule: rule, NAME, asking(FunctionArgument("everything")))
    assert isinstance(everything, Returned)
    assert everything.value.shape == (2, 3, 4, 5)
    assert everything.value.all()


def test_devices_can_be_judged_on_both_calls() -> None:
    def forgets(count: int) -> Tensor:
        return torch.ones(2) if count else torch.ones(())

    zero: Call = ((0,), {}, ())
    one: Call = ((1,), {}, ())
    assert measure(forgets, "device", {}, zero, one).broken is None
    assert measure(forgets, "device", {"both": True}, zero, one).broken is not None
    assert measure(forgets, "device", {"both": True}, one, zero).broken is not None
    assert measure(lambda count: torch.ones(()), "device", {"both": True}, one, zero).broken is None


def test_a_mask_function_that_is_handed_over_takes_four_arguments_as_torch_counts_them() -> None:
    from torch.nn.attention.flex_attention import create_mask

    for name, bound in (("causal", ()), ("window", (torch.tensor(2),)), ("everything", ())):
        rule = runner.as_function(FunctionArgument(name, bound))
        assert create_mask(rule, 2, 3, 4, 5, device="cpu").shape == (2, 3, 4, 5)


def test_a_mask_function_may_not_change_its_indices_nor_make_tensors_elsewhere_nor_loop() -> None:
    assert changed(lambda: lambda b, h, q, k: q.sub_(1) >= k, asking()) == 3
    elsewhere = measure(lambda: lambda b, h, q, k: torch.arange(5) <= q, "device", {}, asking(), None)
    assert elsewhere.broken is not None
    larger: Call = ((), {}, index_grid(2, 3, 6, 7))

    def loops() -> Any:
        return lambda b, h, q, k: torch.stack([q[0, 0, row, 0] >= k[0, 0, 0] for row in range(q.shape[2])], 1)

    assert measure(loops, "no loop", {}, asking(), larger).broken is not None
    assert measure(lambda: lambda b, h, q, k: q >= k, "no loop", {}, asking(), larger).broken is None


# --- copies ----------------------------------------------------------------------------------------------------------


def test_fresh_copies_tensors_at_any_depth_and_keeps_the_structure() -> None:
    value = (torch.ones(2), [torch.zeros(1), {"a": Pair(torch.ones(1), None)}], "text", 3)
    copy = fresh(value)
    assert difference(value, copy) is None
    for one, other in zip(leaves(value), leaves(copy), strict=True):
        if isinstance(one, Tensor):
            assert one.data_ptr() != other.data_ptr()
    moved = fresh(value, "meta")
    assert {leaf.device.type for leaf in leaves(moved) if isinstance(leaf, Tensor)} == {"meta"}


# --- running ---------------------------------------------------------------------------------------------------------


def test_a_function_cannot_change_what_the_caller_holds() -> None:
    ids = IDS.clone()
    run(lambda ids, pad: ids.zero_(), NAME, ((ids, 0), {}, ()))
    assert torch.equal(ids, IDS)


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (NotImplementedError(NAME), Unwritten()),
        (NotImplementedError("padding.masked_mean"), Raised),
        (NotImplementedError(), Raised),
        (NotImplementedError(NAME, 1), Raised),
        (type("Mine", (NotImplementedError,), {})(NAME), Raised),
        (RuntimeError(NAME), Raised),
    ],
)
def test_only_the_stubs_own_error_means_not_written(error: Exception, outcome: Any) -> None:
    def function(ids: Tensor, pad: int) -> None:
        raise error

    came = run(function, NAME, CALL)
    assert came == outcome if isinstance(outcome, Unwritten) else isinstance(came, outcome)


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), BaseException("x"), RecursionError("deep"), MemoryError()]
)
def test_whatever_is_raised_is_described(error: BaseException) -> None:
    def function(ids: Tensor, pad: int) -> None:
        raise error

    came = run(function, NAME, CALL)
    assert isinstance(came, Raised)
    assert came.types[0] == type(error).__name__
    assert came.types[-1] == "BaseException"


def test_ctrl_c_is_the_learners_own() -> None:
    def function(ids: Tensor, pad: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(function, NAME, CALL)


def test_an_error_is_told_with_its_line_in_the_functions_own_file() -> None:
    def function(ids: Tensor, pad: int) -> None:
        torch.zeros(2).reshape(
            3  # raised inside torch, called from this file
        )

    came = run(function, NAME, CALL)
    assert isinstance(came, Raised)
    first = function.__code__.co_firstlineno
    assert came.line is not None
    assert first < came.line <= first + 3
    assert "shape '[3]' is invalid" in came.message


def test_an_exception_without_a_readable_message_is_described() -> None:
    class Rude(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def function(ids: Tensor, pad: int) -> None:
        raise Rude

    came = run(function, NAME, CALL)
    assert isinstance(came, Raised)
    assert came.message == "(its message cannot be read)"


# --- what may travel -------------------------------------------------------------------------------------------------


class Special(Tensor):
    pass


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (torch.ones(2).as_subclass(Special), "a subclass"),
        (torch.ones(2, 2).to_sparse(), "not a dense tensor"),
        (torch.ones(2, device="meta"), "the meta device"),
        (torch.zeros(1).expand(1_000_001), "1,000,001 elements"),
        (torch.zeros(2, dtype=torch.complex64), "a kind that this course does not use"),
        (torch.zeros(2).to(torch.float8_e5m2), "a kind that this course does not use"),
        (object(), "nothing that this course returns"),
        (len, "nothing that this course returns"),
        ({1, 2}, "nothing that this course returns"),
        (1j, "nothing that this course returns"),
        (1 << 300, "too long"),
    ],
)
def test_what_may_not_travel_is_described_instead(value: Any, why: str) -> None:
    came = plain(value)
    assert isinstance(came, Unfit)
    assert why in came.why
    if isinstance(value, Tensor):
        assert came.shape == tuple(value.shape)
    assert plain((1, value))[0] == 1


@pytest.mark.parametrize("value", [nested(1_000), endless(), [0] * 5_000, {str(i): i for i in range(5_000)}])
def test_nesting_and_number_are_bounded(value: Any) -> None:
    assert any(isinstance(leaf, Unfit) for leaf in leaves(plain(value)))
    assert len(leaves(plain(value))) <= runner.MAX_NODES + 1


def test_long_texts_are_cut() -> None:
    assert len(plain("x" * 10_000)) == runner.MAX_TEXT


@pytest.mark.parametrize(
    "view",
    [
        lambda base: base.expand(3, 4, 5),
        lambda base: base.expand(3, 4, 5).transpose(0, 2),
        lambda base: torch.stack([base, base]).T,
        lambda base: base.flip(-1)[..., ::2],
        lambda base: base.as_strided((2, 2), (0, 1)),
        lambda base: torch.nn.Parameter(base),
        lambda base: base.requires_grad_() * 1,
        lambda base: torch.complex(base, base).conj().imag,
    ],
)
def test_a_view_travels_as_a_plain_copy(view: Callable[[Tensor], Tensor]) -> None:
    value = view(torch.arange(5.0))
    came = plain(value)
    assert type(came) is Tensor
    assert came.is_contiguous()
    assert not came.requires_grad
    assert torch.equal(came, value.detach())


# --- properties ------------------------------------------------------------------------------------------------------

SMALL: Call = ((torch.tensor([[3, 0, 1], [0, 0, 2]]), 0), {}, ())
LARGE: Call = ((torch.tensor([[3, 0, 1, 0]] * 4), 0), {}, ())


def broken(
    function: Callable[..., Any], kind: str, small: Any = SMALL, large: Any = LARGE, **options: Any
) -> str | None:
    return measure(function, kind, options, small, large).broken


def changed(function: Callable[..., Any], call: Any = SMALL) -> int | None:
    outcome = run(function, NAME, call)
    assert isinstance(outcome, Returned)
    return outcome.changed


def by_row(ids: Tensor, pad: int) -> Tensor:
    return torch.stack([row == pad for row in ids])


def by_cell(ids: Tensor, pad: int) -> Tensor:
    cells = ids.tolist()
    table = [
        [
            cell == pad  # one line per cell
            for cell in row
        ]
        for row in cells
    ]
    return torch.tensor(table)


def by_counting(ids: Tensor, pad: int) -> Tensor:
    place = 0
    while place < ids.shape[0]:
        place += 1
    return ids == pad


def by_map(ids: Tensor, pad: int) -> Tensor:
    return torch.stack(list(map(partial(torch.eq, other=pad), ids)))  # more operations, no more lines


def by_recursion(ids: Tensor, pad: int) -> Tensor:
    if ids.shape[0] <= 1:
        return ids == pad
    return torch.cat([ids[:1] == pad, by_recursion(ids[1:], pad)])


@pytest.mark.parametrize("function", [by_row, by_cell, by_counting, by_map, by_recursion])
def test_a_loop_over_rows_is_found(function: Callable[..., Any]) -> None:
    assert broken(function, "no loop") is not None


def test_a_helper_and_a_loop_of_fixed_length_are_no_loop() -> None:
    def helper(mask: Tensor) -> Tensor:
        return ~mask

    def function(ids: Tensor, pad: int) -> Tensor:
        mask = ids == pad
        for _ in range(4):
            mask = helper(mask)
        return mask

    assert broken(function, "no loop") is None


def test_counting_lines_gives_a_debugger_its_tracer_back() -> None:
    import sys

    def mine(*arguments: Any) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(mine)
    try:
        assert broken(lambda ids, pad: ids == pad, "no loop") is None
        assert sys.gettrace() is mine
        assert broken(lambda ids, pad: ids.nothing, "no loop") is not None
        assert sys.gettrace() is mine
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(
    "edit",
    [
        lambda ids: ids.add_(1),
        lambda ids: ids.fill_(0),
        lambda ids: ids.resize_(1, 1),
        lambda ids: ids.t_(),
        lambda ids: ids.__setitem__((0, 0), 7),
        lambda ids: ids.data.mul_(2),
        lambda ids: ids[0].zero_(),
    ],
)
def test_an_input_changed_in_place_is_reported(edit: Callable[[Tensor], Any]) -> None:
    def function(ids: Tensor, pad: int) -> Tensor:
        mask = ids == pad
        edit(ids)
        return mask

    assert changed(function) == 1


def test_lists_and_dicts_among_the_inputs_count_too() -> None:
    def function(rows: list[Tensor], options: dict[str, int]) -> None:
        rows.append(torch.zeros(1))

    assert changed(function, (([torch.ones(1)], {"a": 1}), {}, ())) == 1


def test_an_input_with_nan_is_unchanged() -> None:
    assert changed(lambda x: x * 2, ((torch.tensor([math.nan, 1.0]),), {}, ())) is None


def only(edited: Any) -> None:
    """Return nothing, whatever an edit returned."""


@pytest.mark.parametrize(
    "edit",
    [
        lambda rows: rows.pop(),
        lambda rows: rows.pop(0),
        lambda rows: rows.reverse(),
        lambda rows: rows.clear(),
        lambda rows: rows.append(rows[0]),
        lambda rows: rows.__setitem__(0, rows[0] + 1),
        lambda rows: rows[1].zero_(),
        lambda rows: rows.__setitem__(slice(None), rows[:1]),
    ],
)
@pytest.mark.parametrize("classes", [{}, {"Pair": Pair}, {"Pair": namedtuple("Pair", "first second")}])
def test_a_list_that_is_changed_is_noticed_whatever_classes_its_file_has(
    edit: Callable[[Any], Any], classes: dict[str, type]
) -> None:
    """With a class of its own the file is given another copy of the inputs than the one that was made beforehand."""
    rows = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    call: Call = ((0, Pair(rows, None)), {}, ())
    came = runner.run(lambda count, pair: only(edit(pair.first)), NAME, runner.Trial(call), classes)
    assert came == Returned(None, 2)
    came = runner.run(lambda count, pair: pair.first[0] * 2, NAME, runner.Trial(call), classes)
    assert isinstance(came, Returned)
    assert came.changed is None


def test_another_tensor_of_the_same_numbers_in_a_list_is_no_change() -> None:
    rows = [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]
    call: Call = ((rows,), {}, ())
    assert changed(lambda rows: rows.__setitem__(0, rows[0].clone()), call) is None
    assert changed(lambda rows: rows.__setitem__(0, rows[0].double()), call) == 1
    # The new one takes the place of the old one, whose numbers stay what they were.
    assert changed(lambda rows: rows.__setitem__(0, rows[0].clone().mul_(2)), call) == 1


@pytest.mark.parametrize(
    "edit",
    [
        lambda x: x.data.add_(1),
        lambda x: x.data.__setitem__((0, 0), 7),
        lambda x: x.numpy().fill(7),
        lambda x: numpy.asarray(x).__setitem__((0, 0), 7),
        lambda x: x.detach().zero_(),
        lambda x: x.view(-1)[-1:].add_(1),
        lambda x: x.t_(),
        lambda x: x.unsqueeze_(0),
        lambda x: x.squeeze_(0),
        lambda x: x.set_(x.clone() + 1),
        lambda x: x.resize_(1, 2),
        lambda x: setattr(x, "data", x + 1),
        lambda x: setattr(x, "data", x.mT.contiguous()),
        lambda x: setattr(x, "data", x[:, :2]),
        lambda x: setattr(x, "data", x.double()),
    ],
)
@pytest.mark.parametrize("shape", [(1, 3), (3, 3)], ids=["row", "square"])
def test_an_input_is_watched_on_every_way_into_it(edit: Callable[[Tensor], Any], shape: tuple[int, int]) -> None:
    x = torch.arange(1.0, 1 + math.prod(shape)).reshape(shape)
    before, copy = x.clone(), x.clone()
    edit(copy)
    same_tensor = copy.shape == x.shape and copy.dtype == x.dtype and torch.equal(copy, x)
    assert changed(lambda y, x: only(edit(x)), ((0, x), {}, ())) == (None if same_tensor else 2)
    assert changed(lambda y, *, x: only(edit(x)), ((0,), {"x": x}, ())) == (None if same_tensor else 2)
    assert torch.equal(x, before)


LEFT_ALONE = {
    "NaN": torch.tensor([math.nan, -math.nan, math.inf, -0.0]),
    "NaN alone": torch.tensor(math.nan),
    "bfloat16": torch.tensor([[1.5, math.nan]], dtype=torch.bfloat16),
    "a bfloat16 number": torch.tensor(0.1, dtype=torch.bfloat16),
    "float16": torch.tensor([math.nan, 1.0], dtype=torch.float16),
    "no dimension": torch.tensor(3),
    "a truth value": torch.tensor(True),
    "no number": torch.empty(0, 3),
    "transposed": torch.arange(6.0).reshape(2, 3).mT,
    "expanded": torch.ones(1, 3).expand(4, 3),
    "with gradients": torch.ones(3, requires_grad=True),
}


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_an_input_that_is_left_alone_is_never_reported(kind: str) -> None:
    x = LEFT_ALONE[kind]
    for argument in (x, [x, x], Pair(x, {"a": x})):
        call: Call = ((argument,), {}, ())
        assert changed(lambda x: None, call) is None
        came = runner.run(lambda x: None, NAME, runner.Trial(call), {"Pair": Pair})
        assert came == Returned(None)


@pytest.mark.parametrize("kind", [kind for kind, x in LEFT_ALONE.items() if x.numel()])
def test_an_input_of_any_kind_that_is_changed_is_reported(kind: str) -> None:
    def flips(x: Tensor) -> None:
        x.copy_((x == 0).to(x.dtype))

    assert changed(flips, ((LEFT_ALONE[kind],), {}, ())) == 1


def test_measuring_a_property_leaves_the_inputs_as_they_were() -> None:
    def edits(ids: Tensor, pad: int) -> Tensor:
        return ids.fill_(9) == pad

    before = fresh(SMALL)
    for kind in ("device", "no loop"):
        assert measure(edits, kind, {}, SMALL, LARGE).broken is None
    assert torch.equal(SMALL[0][0], before[0][0])


LENGTHS: Call = ((torch.tensor([3, 1]), 4), {}, ())


@pytest.mark.parametrize(
    "function",
    [
        lambda lengths, width: torch.arange(width, device=lengths.device) < lengths[:, None],
        lambda lengths, width: torch.arange(width).to(lengths.device) < lengths[:, None],
        lambda lengths, width: torch.arange(width).to(lengths) < lengths[:, None],
        lambda lengths, width: torch.arange(width).type_as(lengths) < lengths[:, None],
        lambda lengths, width: lengths.new_ones(width).cumsum(0) <= lengths[:, None],
        lambda lengths, width: torch.ones_like(lengths[:, None]).expand(-1, width).cumsum(1) <= lengths[:, None],
        lambda lengths, width: torch.where(lengths[:, None] > 2, torch.tensor(1), torch.tensor(0)),
        lambda lengths, width: torch.full((2, width), int(lengths.max()), device=lengths.device),
        lambda lengths, width: torch.zeros(2, width, device=lengths.device),
        lambda lengths, width: torch.tensor(lengths.tolist(), device=lengths.device),
        lambda lengths, width: torch.as_tensor(lengths),
        lambda lengths, width: torch.tensor([0, 1]).to(lengths.device)[lengths.clamp(max=1)],
        lambda lengths, width: (lengths, (torch.arange(width, device="cpu").to(lengths.device),)),
        lambda lengths, width: [width, None, "text"],
    ],
)
def test_a_result_on_the_inputs_device_is_right_however_it_came_there(function: Callable[..., Any]) -> None:
    assert broken(function, "device", small=LENGTHS) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda lengths, width: torch.arange(width) < lengths[:, None],
        lambda lengths, width: torch.zeros(2, width),
        lambda lengths, width: torch.ones(2, width) * lengths[:, None],
        lambda lengths, width: torch.eye(width)[lengths],
        lambda lengths, width: torch.tensor([[1, 0], [1, 1]]),
        lambda lengths, width: torch.full((2, width), 1),
        lambda lengths, width: torch.tensor(lengths.tolist()),
        lambda lengths, width: (lengths, torch.zeros(width)),
        lambda lengths, width: {"a": [torch.linspace(0, 1, width)]},
        lambda lengths, width: torch.where(lengths > 2, torch.tensor([1, 1]), 0),
    ],
)
def test_a_tensor_made_without_a_device_is_reported(function: Callable[..., Any]) -> None:
    assert broken(function, "device", small=LENGTHS) is not None


LENGTH_ALONE: Call = ((4,), {"device": "cpu"}, ())


@pytest.mark.parametrize(
    "function",
    [
        lambda length, device=None: torch.arange(length, device=device),
        lambda length, device=None: torch.arange(length).to(device),
        lambda length, device=None: torch.ones(length, length, device=device).tril().bool(),
        lambda length, device=None: torch.arange(length, device=device if device is not None else "cpu"),
    ],
)
def test_a_constructor_that_obeys_its_device_is_right(function: Callable[..., Any]) -> None:
    assert broken(function, "device", small=LENGTH_ALONE) is None


@pytest.mark.parametrize(
    "function",
    [
        lambda length, device=None: torch.arange(length),
        lambda length, device=None: torch.arange(length, device="cpu"),
        lambda length, device=None: torch.arange(length, device=device)[:, None] <= torch.arange(length),
        lambda length, device=None: torch.from_numpy(numpy.tri(length)),
        lambda length, device=None: torch.BoolTensor([True] * length),
    ],
)
def test_a_constructor_that_ignores_its_device_is_reported(function: Callable[..., Any]) -> None:
    assert broken(function, "device", small=LENGTH_ALONE) is not None


def places_asked(function: Callable[..., Any], call: Any = LENGTH_ALONE) -> tuple[list[str], str | None]:
    """On which devices a constructor was called to be judged, and what was found."""
    asked: list[str] = []

    def noted(*arguments: Any, device: Any = None) -> Any:
        asked.append(torch.device(device).type)
        return function(*arguments, device=device)

    return asked, broken(noted, "device", small=call)


def ones_and_zeros(length: int, device: Any = None) -> tuple[Tensor, Tensor]:
    return torch.ones(length, device=device), torch.zeros(length, length, device=device).bool()


def copied_from_elsewhere(length: int, device: Any = None) -> Tensor:
    mask = torch.zeros(length, device=device)
    return mask.copy_(torch.from_numpy(numpy.ones(length)))


def filled_from_elsewhere(length: int, device: Any = None) -> Tensor:
    mask = torch.zeros(length, device=device)
    mask[:] = torch.from_numpy(numpy.ones(length))
    return mask


@pytest.mark.parametrize(
    "function",
    [
        lambda length, device=None: torch.arange(length, device=device),
        lambda length, device=None: torch.ones(length, length, dtype=torch.bool, device=device).tril(),
        lambda length, device=None: torch.arange(length, device=device)[:, None] >= torch.arange(length, device=device),
        lambda length, device=None: torch.zeros(length, device=device).masked_fill(
            torch.ones(length, device=device) == 1, -math.inf
        ),
        ones_and_zeros,
        filled_from_elsewhere,  # which works on every device
    ],
)
def test_a_constructor_that_hands_its_device_on_is_judged_by_one_call(function: Callable[..., Any]) -> None:
    """On meta, torch is slow."""
    assert places_asked(function) == (["cpu"], None)


@pytest.mark.parametrize(
    ("function", "is_right"),
    [
        (lambda length, device=None: torch.from_numpy(numpy.tri(length)), False),
        (lambda length, device=None: torch.from_numpy(numpy.tri(length)).to(device), True),
        (lambda length, device=None: torch.ones(length).to(device), True),
        (lambda length, device=None: torch.ones(length, device=device).cpu(), False),
        (lambda length, device=None: torch.ones(length, device=device).to("cpu"), False),
        (lambda length, device=None: torch.ones(length, device=device) * torch.from_numpy(numpy.ones(length)), False),
        (lambda length, device=None: torch.ones(length, device="cpu"), False),
        (lambda length, device=None: torch.BoolTensor([True] * length), False),
        (lambda length, device=None: (torch.ones(length, device=device), torch.from_numpy(numpy.ones(2))), False),
        (copied_from_elsewhere, True),
    ],
)
def test_a_constructor_whose_tensors_may_lie_elsewhere_is_asked_on_meta_too(
    function: Callable[..., Any], is_right: bool
) -> None:
    asked, found = places_asked(function)
    if found is None:
        assert asked == ["cpu", "meta"]
    assert (found is None) is is_right


def test_reading_a_value_is_not_held_against_the_learner() -> None:
    def reads(lengths: Tensor, width: int) -> Tensor:
        if bool((lengths > width).any()):
            raise ValueError
        return torch.arange(int(lengths.max())).to(lengths.device)

    assert broken(reads, "device", small=LENGTHS) is None

    def reads_and_chooses(lengths: Tensor, width: int) -> Tensor:
        if bool((lengths > width).any()):
            raise ValueError
        return torch.where(lengths > 2, torch.tensor(1), torch.tensor(0))  # single numbers may live on the CPU

    assert broken(reads_and_chooses, "device", small=LENGTHS) is None


@pytest.mark.parametrize(
    ("function", "axes"),
    [
        (lambda x, pad: x[:, None].expand(-1, 4, -1), ""),
        (lambda x, pad: torch.broadcast_to(x[:, None], (2, 4, 3)), ""),
        (lambda x, pad: x.as_strided((2, 4, 3), (3, 0, 1)), ""),
        (lambda x, pad: x[:, None].repeat(1, 4, 1), "axis 1"),
        (lambda x, pad: x[:, None].expand(-1, 4, -1).clone(memory_format=torch.contiguous_format), "axis 1"),
    ],
)
def test_a_view_is_told_from_a_copy_by_its_stride(function: Callable[..., Any], axes: str) -> None:
    found = broken(function, "view", axes=[1])
    assert found is None if not axes else axes in (found or "")


def test_gradients_come_back_for_the_same_cotangent() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found = measure(lambda x: x.softmax(-1), "gradients", {"arguments": [0]}, ((x,), {}, ()), None)
    again = measure(
        lambda x: x.exp() / x.exp().sum(-1, keepdim=True), "gradients", {"arguments": [0]}, ((x,), {}, ()), None
    )
    assert found.broken is None
    assert found.gradients[0].abs().sum() > 0.1
    assert difference(found.gradients, again.gradients) is None
    assert not x.requires_grad


@pytest.mark.parametrize("function", [lambda x: x.detach() * 2, lambda x: torch.tensor(x.tolist()), lambda x: 3])
def test_a_result_cut_off_from_its_inputs_is_reported(function: Callable[..., Any]) -> None:
    found = measure(function, "gradients", {"arguments": [0]}, ((torch.ones(2),), {}, ()), None)
    assert "cut off" in (found.broken or "")


@pytest.mark.parametrize("kind", sorted(runner.PROPERTIES))
def test_an_error_while_measuring_is_described(kind: str) -> None:
    def function(*arguments: Any) -> None:
        raise SystemExit("no")

    options: dict[str, Any] = {"axes": [0], "arguments": []}
    found = measure(function, kind, options, SMALL, LARGE)
    assert found.kind == kind
    assert found.broken is not None or kind == "device"  # there an error proves nothing


def test_a_call_that_the_exercise_is_to_replace_is_reported() -> None:
    import torch.nn.functional as F

    query = torch.ones(1, 1, 2, 4)
    call: Call = ((query,), {}, ())
    options = {"functions": ["scaled_dot_product_attention"]}
    assert measure(lambda q: F.scaled_dot_product_attention(q, q, q), "without", options, call, None).broken is not None
    assert measure(lambda q: (q @ q.mT).softmax(-1) @ q, "without", options, call, None).broken is None


# --- the wire --------------------------------------------------------------------------------------------------------


@st.composite
def tensors(draw: st.DrawFn) -> Tensor:
    dtype = draw(st.sampled_from(sorted(DTYPES, key=str)))
    shape = draw(st.lists(st.integers(0, 3), max_size=3))
    values = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 2**31)))) * 50
    tensor = values.abs().to(dtype)
    return tensor.expand(2, *shape) if draw(st.booleans()) else tensor


def trees() -> st.SearchStrategy[Any]:
    texts = st.text(st.characters(codec="utf-8"), max_size=20)
    floats = st.floats()
    dtypes = st.sampled_from(sorted(DTYPES, key=str))
    unfit = st.builds(
        Unfit, texts, texts, st.none() | st.tuples(st.integers(0, 9)), st.none() | texts, st.none() | texts
    )
    raised = st.builds(
        Raised, st.lists(texts, min_size=1, max_size=4).map(tuple), texts, st.none() | st.integers(0, 999)
    )
    whole = st.integers(-(2**200), 2**200)
    leaf = (
        st.none() | st.booleans() | whole | floats | texts | dtypes | tensors() | unfit | raised | st.just(Unwritten())
    )

    def branch(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        lists = st.lists(inner, max_size=3)
        measured = st.builds(Measured, texts, st.none() | texts, inner)
        pairs = st.builds(named("Pair", ["first", "second"]), inner, inner)
        return (
            lists
            | lists.map(tuple)
            | st.dictionaries(texts, inner, max_size=3)
            | pairs
            | measured
            | st.builds(Returned, inner)
        )

    return st.recursive(leaf, branch, max_leaves=12)


def kind(value: Any) -> Any:
    """The class; of a NamedTuple its name and fields, since on the other side there is a class of its own."""
    fields = getattr(value, "_fields", None)
    return (type(value).__name__, fields) if fields else type(value)


def same(one: Any, other: Any) -> bool:
    if kind(one) != kind(other):
        return False
    if isinstance(one, Returned):
        return same(one.value, other.value)
    if isinstance(one, Measured):
        return (one.kind, one.broken) == (other.kind, other.broken) and same(one.gradients, other.gradients)
    if isinstance(one, tuple | list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other or (one != one and other != other))


def parts(frame: bytes) -> tuple[bytes, bytes]:
    text, blob = runner.HEADER.unpack(frame[: runner.HEADER.size])
    assert len(frame) == runner.HEADER.size + text + blob
    return frame[runner.HEADER.size :][:text], frame[runner.HEADER.size + text :]


@given(trees())
def test_a_tree_comes_back_as_it_was_sent(tree: Any) -> None:
    message, came = decode(*parts(encode({"do": "run"}, tree)))
    assert message == {"do": "run"}
    assert same(tree, came)


SENT = {
    "bfloat16": torch.tensor([[0.1, -1.5], [3e38, 0.0]], dtype=torch.bfloat16),
    "bfloat16, transposed": torch.arange(6).reshape(2, 3).to(torch.bfloat16).mT,
    "bfloat16, expanded": torch.tensor([0.1], dtype=torch.bfloat16).expand(3),
    "a bfloat16 number": torch.tensor(0.1, dtype=torch.bfloat16),
    "bfloat16 with gradients": torch.ones(2, dtype=torch.bfloat16, requires_grad=True),
    "transposed": torch.arange(6.0).reshape(2, 3).mT,
    "every second": torch.arange(7)[::2],
    "expanded": torch.tensor([True, False])[:, None].expand(2, 3),
    "with gradients": torch.ones(2, requires_grad=True),
    "computed with gradients": torch.ones(2, requires_grad=True) * 2,
    "a parameter": torch.nn.Parameter(torch.ones(3)),
    "a number": torch.tensor(7, dtype=torch.int16),
    "a truth value": torch.tensor(True),
    "nothing": torch.empty(0, 3, dtype=torch.uint8),
    "infinite": torch.tensor([math.inf, -math.inf], dtype=torch.float64),
}


@pytest.mark.parametrize("kind", SENT)
def test_a_tensor_comes_back_however_it_lies_in_memory(kind: str) -> None:
    tensor = SENT[kind]
    message, came = decode(*parts(encode({}, Returned(tensor))))
    assert (message, type(came.value), came.value.dtype, came.value.shape) == ({}, Tensor, tensor.dtype, tensor.shape)
    assert torch.equal(came.value, tensor)
    assert came.value.is_contiguous()
    assert not came.value.requires_grad


def test_tensors_of_every_kind_come_back_from_one_frame() -> None:
    _, came = decode(*parts(encode({}, SENT)))
    assert all(torch.equal(came[kind], tensor) and came[kind].dtype == tensor.dtype for kind, tensor in SENT.items())


def test_tensors_are_sent_as_safetensors_itself_writes_and_reads_them() -> None:
    from safetensors.torch import load, save

    sent = {dtype: torch.arange(5).remainder(2).to(dtype) for dtype in sorted(DTYPES, key=str)}
    _, blob = parts(encode({}, [tensor for pair in sent.values() for tensor in (pair[:3], pair[3:])]))
    names = {str(dtype).removeprefix("torch."): tensor for dtype, tensor in sent.items()}
    came = load(blob)
    assert came.keys() == names.keys()
    for name, tensor in names.items():
        assert came[name].dtype == tensor.dtype
        assert torch.equal(came[name], tensor)

    def described(blob: bytes) -> dict[str, tuple[str, list[int], bytes]]:
        """Of each tensor what the header says, and its bytes; in which order they lie is the writer's."""
        length = int.from_bytes(blob[:8], "little")
        header = json.loads(blob[8:][:length])
        numbers = blob[8 + length :]
        return {
            name: (entry["dtype"], entry["shape"], numbers[slice(*entry["data_offsets"])])
            for name, entry in header.items()
        }

    assert described(blob) == described(save(names))
    assert int.from_bytes(blob[:8], "little") % 8 == 0
    assert encode({}, [1, "x"]).endswith(b"}")  # where no tensor is sent, there is nothing to read


def test_of_a_generator_each_item_is_sent_before_the_next_is_made() -> None:
    tensor, order = torch.zeros(2), []

    def made() -> Any:
        for number in range(3):
            order.append(number)
            yield Returned(tensor.fill_(number))  # the very same, which the next call changes

    _, came = decode(*parts(encode({}, made())))
    assert order == [0, 1, 2]
    assert isinstance(came, list)
    assert [item.value.tolist() for item in came] == [[0, 0], [1, 1], [2, 2]]


def test_one_tensor_held_twice_is_sent_twice() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    _, came = decode(*parts(encode({}, (tensor, tensor, tensor.T, tensor[:1].expand(4, 3)))))
    assert same((tensor, tensor, tensor.T.contiguous(), tensor[:1].expand(4, 3).contiguous()), came)


def test_a_named_tuple_keeps_its_name_and_fields() -> None:
    came = decode(*parts(encode({}, Pair(1, torch.ones(1)))))[1]
    assert (type(came).__name__, came._fields) == ("Pair", ("first", "second"))
    assert type(runner.recast(came, {"Pair": Pair})) is Pair


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_is_malformed(text: bytes, blob: bytes) -> None:
    with pytest.raises(Malformed):
        decode(text, blob)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["int", "float", "dtype", "tensor", "unfit", "raised", "returned", "measured", "named", "tuple",
                         "list", "dict", "unwritten", "pickle"]), inner, max_size=2),
    max_leaves=10,
))  # fmt: skip
def test_json_of_a_liar_is_a_tree_or_malformed(tree: Any) -> None:
    """Nothing else may come out of it, whatever tags are put where."""
    try:
        decode(json.dumps({"tree": tree}).encode(), b"")
    except Malformed:
        return


@pytest.mark.parametrize(
    "tree",
    [
        {"pickle": "cos\nsystem\n."},
        {"int": "1", "float": "2"},
        {},
        [1],
        1,
        {"int": "9" * 200},
        {"int": "x"},
        {"float": "x"},
        {"dtype": "nn"},
        {"dtype": "nothing"},
        {"tensor": 0},
        {"tensor": "x"},
        {"raised": [[], "no type", None]},
        {"raised": [["E"]]},
        {"unfit": ["why"]},
        {"named": ["P", ["a", "b"], [None]]},
        {"named": ["class", ["a"], [None]]},
        {"named": [[], ["a"], [None]]},
        {"measured": []},
        {"dict": [["a"]]},
        {"list": None},
    ],
)
def test_an_unknown_or_incomplete_tag_is_malformed(tree: Any) -> None:
    with pytest.raises(Malformed):
        decode(json.dumps({"tree": tree}).encode(), b"")


@pytest.mark.parametrize("text", [b"", b"[]", b"3", b"{}", b"{", b"\xff\xfe", b"[" * 100_000, b'{"tree":' * 5_000])
def test_a_text_that_is_no_message_is_malformed(text: bytes) -> None:
    with pytest.raises(Malformed):
        decode(text, b"")


def test_deep_nesting_is_malformed() -> None:
    text = '{"list": [' * 100 + "null" + "]}" * 100
    with pytest.raises(Malformed, match="deep"):
        decode(b'{"tree": ' + text.encode() + b"}", b"")


def test_a_complex_tensor_is_malformed() -> None:
    from safetensors.torch import save

    with pytest.raises(Malformed, match="complex64"):
        decode(b'{"tree": {"tensor": ["complex64", [2]]}}', save({"complex64": torch.zeros(2, dtype=torch.complex64)}))


@pytest.mark.parametrize(
    "place",
    [["float32", [7]], ["float32", [-1]], ["float32", [2, -3]], ["float32", [0, 10**30]], ["float32", [1] * 65],
     ["float32", [1.5]], ["float32", {}], ["float32", "3"], ["float32"], ["float64", [1]], ["int64", [2, 1]]],
)  # fmt: skip
def test_a_tensor_out_of_place_is_malformed(place: Any) -> None:
    from safetensors.torch import save

    blob = save({"float32": torch.zeros(6), "int64": torch.zeros(2, 1, dtype=torch.long)})
    with pytest.raises(Malformed):
        decode(json.dumps({"tree": {"tensor": place}}).encode(), blob)


def test_no_cell_is_had_twice() -> None:
    from safetensors.torch import save

    tree = {"list": [{"tensor": ["float32", [4]]}, {"tensor": ["float32", [3]]}]}
    with pytest.raises(Malformed):
        decode(json.dumps({"tree": tree}).encode(), save({"float32": torch.zeros(6)}))
    _, came = decode(json.dumps({"tree": tree}).encode(), save({"float32": torch.arange(7.0)}))
    assert came[1].tolist() == [4, 5, 6]


def test_a_header_of_many_tensors_and_a_large_tensor_are_malformed() -> None:
    from safetensors.torch import save

    with pytest.raises(Malformed, match="too many tensors"):
        decode(b'{"tree": null}', save({str(number): torch.zeros(0) for number in range(200)}))
    size = runner.MAX_ELEMENTS + 1
    with pytest.raises(Malformed, match="too large"):
        decode(
            json.dumps({"tree": {"tensor": ["uint8", [size]]}}).encode(),
            save({"uint8": torch.zeros(size, dtype=torch.uint8)}),
        )


def test_any_number_of_kinds_of_tuples_may_come() -> None:
    for number in range(2 * runner.MAX_CLASSES):
        came = decode(json.dumps({"tree": {"named": [f"Kind{number}", ["a"], [None]]}}).encode(), b"")[1]
        assert type(came).__name__ == f"Kind{number}"


@given(st.integers(0, 400))
def test_a_frame_cut_short_or_changed_is_malformed_or_ends(cut: int) -> None:
    text, blob = parts(encode({}, (torch.ones(3), 5)))
    with pytest.raises(Malformed):
        decode(text[: min(cut, len(text) - 1)], blob)
    with pytest.raises(Malformed):
        decode(text, blob[: max(1, min(cut, len(blob) - 1))])


@pytest.mark.parametrize(
    "lengths", [(runner.MAX_JSON_BYTES + 1, 0), (2, runner.MAX_TENSOR_BYTES + 1), (2**32 - 1, 2**32 - 1)]
)
def test_a_frame_too_long_is_refused_before_it_is_read(lengths: tuple[int, int]) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(1)
        theirs.sendall(struct.pack("!II", *lengths))
        with pytest.raises(Malformed, match="too long"):
            receive(ours)


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", struct.pack("!II", 10, 0) + b"{}"])
def test_a_sender_that_hangs_up_is_noticed(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(sent)
        with pytest.raises(EOFError):
            receive(ours)


@pytest.mark.parametrize("value", [object(), 1j, {1}, b"bytes"])
def test_what_has_no_tag_is_not_sent(value: Any) -> None:
    with pytest.raises(TypeError, match="cannot cross the wire"):
        encode({}, [value])


def test_every_call_of_the_course_crosses_the_wire() -> None:
    from workbook.specs import specs

    for found in specs():
        exam = examination(found.name, 0)
        calls = [case.call for case in (*exam.cases, exam.small, exam.large)]
        assert same(calls, decode(*parts(encode({}, fresh(calls))))[1]), found.name


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_runner_imports_nothing_of_the_course() -> None:
    """A child that holds no specification cannot give one away."""
    import ast
    import sys
    from pathlib import Path

    allowed = {*sys.stdlib_module_names, "torch", "jaxtyping", "safetensors"}
    tree = ast.parse(Path(runner.__file__).read_text(encoding="utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= allowed


def test_undecorated_is_the_function_as_it_was_written() -> None:
    import types

    module = types.ModuleType("workbook.exercises.padding")
    written = spec(NAME).oracle
    module.__dict__.update(plain=written, constant=3)
    assert runner.undecorated(module, "plain") is written
    assert runner.undecorated(module, "constant") is None
    assert runner.undecorated(module, "missing") is None
