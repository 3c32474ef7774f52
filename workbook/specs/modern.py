"""Mask functions: a mask as a question `(b, h, q, k)`, packed documents, blocks and trees."""

import functools
import operator
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbook.specs.specification import (
    ALWAYS,
    DEVICE,
    DEVICE_OF_BOTH,
    VMAP,
    Case,
    FunctionArgument,
    Misconception,
    Spec,
    attention_mask,
    coin,
    every_index,
    fill,
    index_grid,
    integer,
    lengths,
    misconception,
)

HEADER = '''"""Notebook 06. Mask functions: a mask as a question, packed documents, blocks and trees."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from workbook import exercise

#: `mask_mod(b, h, q_idx, kv_idx)`: in sentence b and head h, may query q_idx attend to key kv_idx? Four tensors of whole
#: numbers (int64 or int32) that broadcast to one shape go in, a bool tensor of that shape (or one that broadcasts to it)
#: comes out. Tensor operations alone count: no Python loop over cells, since `torch.vmap` asks about one cell at a time.
MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Bool[Tensor, "..."]]
'''

MaskFunction = Callable[[Tensor, Tensor, Tensor, Tensor], Bool[Tensor, "..."]]


def _place(device: torch.device | str | None) -> torch.device | str:
    return torch.get_default_device() if device is None else device


def _any(answers: list[Tensor]) -> Tensor:
    return functools.reduce(torch.logical_or, answers)


def _read(table: Tensor, b: Tensor, position: Tensor) -> Tensor:
    """What stands in ``table`` at ``[b, position]``, looked up entry by entry: in grids of indices, and under vmap."""
    rows, found = table.tolist(), torch.zeros_like(b + position)
    for row, column in every_index(table.shape):
        found = torch.where((b == row) & (position == column), rows[row][column], found)
    return found


# --- what mask functions and masks get wrong, whatever they are about -------------------------------------------------

Form = Callable[[Any], Any]
#: A rule about the four indices and the arguments of the function that makes a mask function of it.
Rule = Callable[..., Any]


def _asked(rule: Rule) -> Callable[..., Any]:
    """The function that returns a mask function of that rule."""
    return lambda *arguments: lambda b, h, q, k: rule(b, h, q, k, *arguments)


#: What is owed for a mask function; and for what is made by going through nodes or functions one by one.
MASK_FUNCTION: dict[str, Any] = {"reading": "allowed", "properties": (*ALWAYS, VMAP)}
LOOPED_MASK: dict[str, Any] = {"reading": "allowed", "properties": (DEVICE,)}
LOOPED_MASK_FUNCTION: dict[str, Any] = {"reading": "allowed", "properties": (DEVICE_OF_BOTH, VMAP)}


def _spec(oracle: Any, points: int, cases: Any, sizes: Any, **more: Any) -> Callable[..., Spec]:
    """A specification that waits for its misconceptions."""
    return lambda *misconceptions: Spec("modern", oracle, points, cases, sizes, misconceptions, **more)


GRIDS = index_grid(2, 3, 4, 5), index_grid(3, 4, 7, 9)


def _far(past: int, first_key: int, *grid: int) -> tuple[Tensor, ...]:
    """A grid whose queries stand behind ``past`` positions, and whose keys are those from ``first_key`` on."""
    b, h, q, k = index_grid(*grid)  # type: ignore[arg-type]
    return b, h, q + past, k + first_key


def _as_int32(indices: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The same indices as FlexAttention's own."""
    return tuple(index.int() for index in indices)


def _backwards(*grid: int) -> tuple[Tensor, ...]:
    """The same cells, asked about from the last to the first."""
    return tuple(index.flip(place) for place, index in enumerate(index_grid(*grid)))  # type: ignore[arg-type]


def _sizes(small: Any, large: Any, grids: Any = ((), ()), **keywords: Any) -> Callable[..., tuple[Case, Case]]:
    """Two calls of different sizes; where a mask function comes back, it is asked about ``grids``."""
    return lambda rng: (
        Case("small", small, keywords, indices=grids[0]),
        Case("large", large, keywords, indices=grids[1]),
    )


def _in_place(rule: Rule) -> Rule:
    """Starts from a tensor of the shape of the indices, which under vmap is that of one cell, and changes it."""

    def answer(b: Tensor, h: Tensor, q: Tensor, k: Tensor, *arguments: Any) -> Tensor:
        shape = torch.broadcast_shapes(b.shape, h.shape, q.shape, k.shape)
        allowed = torch.ones(shape, dtype=torch.bool, device=q.device)
        allowed &= rule(b, h, q, k, *arguments)
        return allowed

    return answer


def _nothing(*arguments: Any) -> None:
    """Makes a mask function and forgets to return it."""


def _cast(dtype: torch.dtype, invert: bool = False) -> Form:
    return lambda allowed: (~allowed if invert else allowed).to(dtype)


def _as_mask(changed: Callable[[Form], Callable[..., Any]]) -> tuple[Misconception, ...]:
    """The mistakes that any mask can hold; ``changed`` gives the right one in another form."""
    return (
        misconception(
            "inverted",
            "This says True where a query may *not* look; here True = may attend.",
            *(changed(_cast(dtype, invert=True)) for dtype in (torch.bool, torch.long, torch.float)),
        ),
        misconception(
            "not bool",
            "The answers are right, but they are numbers, which attention adds to the scores: True and False are wanted.",
            *(changed(_cast(dtype)) for dtype in (torch.long, torch.float, torch.int, torch.uint8)),
        ),
        misconception(
            "device forgotten",
            "The answers are right, but a tensor was made on the default device: make it where the inputs are.",
            changed(lambda allowed: torch.zeros(allowed.shape, dtype=torch.bool) | allowed),
        ),
    )


def _as_function(
    rule: Rule,
    wrap: Callable[[Rule], Callable[..., Any]] = _asked,
    truths: tuple[Callable[..., Any], ...] = (),
    returned: tuple[Callable[..., Any], ...] = (_nothing,),
) -> tuple[Misconception, ...]:
    """The mistakes that any mask function can hold, made of the right rule.

    ``wrap`` makes the exercise's function of a rule; ``truths`` are its own ways to ask tensors for one truth value,
    ``returned`` those to return something else than a function.
    """
    return (
        *_as_mask(lambda form: wrap(lambda *arguments: form(rule(*arguments)))),
        misconception(
            "`and` between tensors",
            "`and`, `or`, `not`, `if` and chained comparisons want one truth value: use `&`, `|`, `~` and brackets.",
            wrap(lambda *arguments: rule(*arguments) and rule(*arguments)),
            *truths,
        ),
        misconception(
            "not as FlexAttention asks",
            "It is asked more than once, cell by cell, with four named indices: read no shapes, change nothing, keep nothing.",
            wrap(_in_place(rule)),
        ),
        misconception(
            "no function returned",
            "What comes back is to be the inner function itself, which is asked later: `return` its name, without brackets.",
            *returned,
        ),
    )


def _as_numbers(right: Callable[..., Tensor]) -> tuple[Misconception, ...]:
    """The mistakes that any result of whole numbers can hold."""
    return (
        misconception(
            "not long",
            "The numbers are right, but they are to be of dtype long.",
            *(lambda *given, to=to: right(*given).to(to) for to in (torch.int, torch.uint8, torch.float, torch.double)),
        ),
        misconception(
            "device forgotten",
            "The numbers are right, but a tensor was made on the default device: make it where the input is.",
            lambda *given: right(*given) + torch.zeros(right(*given).shape, dtype=torch.long),
        ),
    )


# --- materialize ------------------------------------------------------------------------------------------------------


def materialize(
    mask_mod: MaskFunction,
    batch_size: int,
    num_heads: int,
    query_length: int,
    key_length: int,
    device: torch.device | str | None = None,
) -> Bool[Tensor, "batch heads query key"]:
    """True = may attend: asks `mask_mod` about every cell and writes the answers down as one tensor.

        def causal(b, h, q_idx, kv_idx):          materialize(causal, 2, 3, 3, 4)[0, 0]:
            return kv_idx <= q_idx
                                                               keys
                                                            0  1  2  3
        at query 2, key 1:  True                         0  ■  ⬚  ⬚  ⬚         ■ may attend
        at query 0, key 1:  False               queries  1  ■  ■  ⬚  ⬚         ⬚ may not
                                                         2  ■  ■  ■  ⬚

    Args:
        mask_mod: a mask function, asked with tensors of whole numbers on `device`: all at once, of shapes that broadcast,
            or under `torch.vmap`. Its answer may have fewer axes, or axes of length 1, where an index does not matter.
        batch_size: how many sentences; b runs from 0 to `batch_size - 1`.
        num_heads: how many heads, h.
        query_length: how many queries; `q_idx` runs from 0, whatever the number of keys.
        key_length: how many keys, `kv_idx`; 0 is allowed, as everywhere here.
        device: where the indices and the mask are made; torch's default if `None`.

    Returns:
        bool, `[batch_size, num_heads, query_length, key_length]`.

    Source: `create_mask` of `torch.nn.attention.flex_attention`.
    """
    place = _place(device)

    def cell(b: int, h: int, q: int, k: int) -> bool:
        return bool(mask_mod(*(torch.tensor(index, device=place) for index in (b, h, q, k))))

    return fill((batch_size, num_heads, query_length, key_length), cell, torch.bool, place)


CAUSAL, EVERYTHING = FunctionArgument("causal"), FunctionArgument("everything")
FIRST_KEY = FunctionArgument("first keys", (torch.tensor(1),))


def _table(rng: torch.Generator, *shape: int) -> FunctionArgument:
    """A mask function that looks its answers up: each cell has one of its own."""
    return FunctionArgument("table", (coin(rng, *shape),))


def _window(size: int) -> FunctionArgument:
    return FunctionArgument("window", (torch.tensor(size),))


def _padding(rng: torch.Generator, batch: int, sequence: int) -> FunctionArgument:
    return FunctionArgument("padding", (attention_mask(lengths(rng, batch, sequence), sequence),))


def _materialize_cases(rng: torch.Generator) -> list[Case]:
    query, key = integer(rng, 3, 4), integer(rng, 5, 6)
    return [
        Case("causal, three queries and four keys", (CAUSAL, 2, 3, 3, 4)),
        Case("every cell an answer of its own", (_table(rng, 2, 3, query, key), 2, 3, query, key)),
        Case("padding, a row per sentence", (_padding(rng, 2, key), 2, 3, query, key)),
        Case("as many sentences as heads, queries and keys", (_table(rng, 3, 3, 3, 3), 3, 3, 3, 3)),
        Case("only the key matters", (FIRST_KEY, 2, 3, query, key)),
        Case("a window of 2, more keys than queries", (_window(2), 1, 2, 3, 6)),
        Case("causal, more queries than keys", (CAUSAL, 2, 1, 5, 3)),
        Case("one query sees the first key", (CAUSAL, 2, 3, 1, 5)),
        Case("one key", (CAUSAL, 2, 3, 4, 1)),
        Case("a single cell", (CAUSAL, 1, 1, 1, 1)),
        Case("with a device", (_window(3), 2, 3, 4, 5), {"device": "cpu"}),
        Case("everything, an answer without axes", (EVERYTHING, 2, 3, query, key)),
        Case("no keys", (CAUSAL, 2, 3, 4, 0)),
    ]


def _grid(
    ask: Callable[..., Any] = lambda mask_mod, b, h, q, k: mask_mod(b, h, q, k),
    form: Form = lambda allowed: allowed,
    expand: bool = True,
) -> Callable[..., Any]:
    """Asks about a grid, with how it is asked and what is made of the answer as arguments."""

    def answer(mask_mod: Any, batch: int, heads: int, queries: int, keys: int, device: Any = None) -> Any:
        indices = (index.to(_place(device)) for index in index_grid(batch, heads, queries, keys))
        allowed = ask(mask_mod, *indices)
        return form(allowed.expand(batch, heads, queries, keys) if expand else allowed)

    return answer


def _cell_by_cell(mask_mod: Any, *sizes: int) -> list[bool]:
    return [bool(mask_mod(*map(torch.tensor, cell))) for cell in every_index(sizes)]


def _side_by_side(expand: bool) -> Callable[..., Any]:
    return _grid(lambda mask_mod, *grid: mask_mod(*(index.flatten() for index in grid)), expand=expand)


#: A mask function with a tensor of its own, which does not meet indices of another device.
MATERIALIZE_SIZES = _sizes((_window(2), 2, 3, 4, 5), (_window(2), 3, 4, 7, 9), device="cpu")

MATERIALIZE = _spec(materialize, 2, _materialize_cases, MATERIALIZE_SIZES, reading="allowed")(
    misconception(
        "axes swapped",
        "Sentences, heads, queries, keys: the rows ask and the columns are asked, so the shape is [B, H, Q, K].",
        _grid(form=lambda allowed: allowed.mT),
        _grid(form=lambda allowed: allowed.permute(3, 2, 1, 0)),
        _grid(form=lambda allowed: allowed.permute(2, 3, 0, 1)),
    ),
    misconception(
        "sentences and heads swapped",
        "b is the sentence and comes first, h the head: in the call and in the shape, [B, H, Q, K].",
        _grid(form=lambda allowed: allowed.transpose(0, 1)),
        _grid(lambda mask_mod, b, h, q, k: mask_mod(h, b, q, k)),
    ),
    misconception(
        "query and key swapped in the call",
        "A mask function takes (b, h, q_idx, kv_idx) in this order: here the query is handed over as the key.",
        _grid(lambda mask_mod, b, h, q, k: mask_mod(b, h, k, q)),
    ),
    misconception(
        "not expanded",
        "The answer has only the axes that the mask function looks at: expand it to all four, [B, H, Q, K].",
        _grid(expand=False),
        _grid(lambda mask_mod, b, h, q, k: mask_mod(b, h, q[0, 0], k[0, 0, 0]), expand=False),
        _grid(form=lambda allowed: allowed[0, 0]),
        _grid(form=lambda allowed: allowed[:, 0]),
    ),
    misconception(
        "the first sentence and head for all",
        "Each sentence and each head is to be asked about: b and h run over all of their numbers, too.",
        _grid(lambda mask_mod, b, h, q, k: mask_mod(b[:1], h[:, :1], q, k)),
        _grid(lambda mask_mod, b, h, q, k: mask_mod(b[:1], h, q, k)),
        _grid(lambda mask_mod, b, h, q, k: mask_mod(b, h[:, :1], q, k)),
    ),
    misconception(
        "indices side by side",
        "Four lists are walked through in step; give each an axis of its own, so that every combination is asked about.",
        _side_by_side(True),
        _side_by_side(False),
    ),
    misconception(
        "asked in a loop",
        "This asks again and again in a Python loop; a list of no cells is not even bool. Ask once, about the whole grid.",
        lambda mask_mod, *sizes, device=None: torch.tensor(_cell_by_cell(mask_mod, *sizes)).reshape(sizes),
        lambda mask_mod, *sizes, device=None: torch.tensor(
            _cell_by_cell(mask_mod, *sizes), dtype=torch.bool, device=device
        ).reshape(sizes),
    ),
    *_as_mask(lambda form: _grid(form=form)),
)


# --- and_masks --------------------------------------------------------------------------------------------------------


def and_masks(*mask_mods: MaskFunction) -> MaskFunction:
    """True = may attend: a mask function that says True where each of `mask_mods` does.

        causal          no padding (key 2)      and_masks(causal, no padding)

        ■  ⬚  ⬚  ⬚      ■  ■  ⬚  ■              ■  ⬚  ⬚  ⬚
        ■  ■  ⬚  ⬚      ■  ■  ⬚  ■              ■  ■  ⬚  ⬚         ■ may attend
        ■  ■  ■  ⬚      ■  ■  ⬚  ■              ■  ■  ⬚  ⬚         ⬚ may not
        ■  ■  ■  ■      ■  ■  ⬚  ■              ■  ■  ⬚  ■

    Args:
        mask_mods: mask functions, any number of them. Each is asked when the new one is.

    Returns:
        A mask function. Of no mask functions at all, it is one that allows everything: nobody says no.

    Source: `and_masks` of `torch.nn.attention.flex_attention` and of Transformers' `masking_utils`.
    """

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        allowed = torch.ones_like(b + h + q_idx + kv_idx, dtype=torch.bool)
        for mask_mod in mask_mods:
            allowed = allowed & mask_mod(b, h, q_idx, kv_idx)
        return allowed

    return mask_function


def _one_cell(allowed: bool, *place: int) -> FunctionArgument:
    """A mask function that says ``allowed`` in one cell of ``[2, 3, 4, 5]`` and the opposite everywhere else."""
    table = torch.full((2, 3, 4, 5), not allowed)
    table[place] = allowed
    return FunctionArgument("table", (table,))


def _joined_cases(rng: torch.Generator) -> list[Case]:
    grid, square = (2, 3, integer(rng, 3, 4), integer(rng, 5, 6)), (3, 3, 4, 4)
    padding, places = _padding(rng, 2, grid[3]), ((0, 1, 2, 3), (1, 0, 0, 4), (1, 2, 3, 0), (0, 0, 1, 1))
    one_cell = tuple(torch.tensor(index) for index in (1, 2, 3, 0))  # without axes

    def case(about: str, *mask_mods: FunctionArgument, grid: tuple[int, int, int, int] = grid) -> Case:
        return Case(about, mask_mods, indices=index_grid(*grid))

    return [
        case("a window of 2 and the first key", _window(2), FIRST_KEY, grid=(1, 1, 4, 4)),
        case("a causal mask and padding", CAUSAL, padding),
        case("three mask functions", padding, _window(3), _table(rng, *grid)),
        case("four tables", *(_table(rng, *grid) for _ in range(4))),
        case("as many sentences as heads", *(_table(rng, *square) for _ in range(3)), grid=square),
        case("each forbids a cell of its own", *(_one_cell(False, *place) for place in places), grid=(2, 3, 4, 5)),
        case("each allows a cell of its own", *(_one_cell(True, *place) for place in places), grid=(2, 3, 4, 5)),
        case("two of three are alike", CAUSAL, CAUSAL, FIRST_KEY),
        case("only one", _table(rng, *grid)),
        case("only one, which looks at the key alone", FIRST_KEY),
        case("none at all"),
        Case("none at all, asked about one cell as vmap does", (), indices=one_cell),
        Case("two, asked about one cell as vmap does", (CAUSAL, FIRST_KEY), indices=one_cell),
        case("a single cell", CAUSAL, FIRST_KEY, _window(1), grid=(1, 1, 1, 1)),
    ]


def _asking_itself(join: "Join", of_none: bool) -> Callable[..., Any]:
    """Joins one by one under a single name, which means the newest rule by the time that it is asked."""

    def joined(*mask_mods: Any) -> Callable[..., Any]:
        name: dict[str, Callable[..., Any]] = {"rule": lambda b, h, q, k: (q >= 0) & of_none}
        for mask_mod in mask_mods:
            name["rule"] = lambda *cell, mask_mod=mask_mod: join((name["rule"](*cell), mask_mod(*cell)))
        return name["rule"]

    return joined


Answers = tuple[Tensor, ...]
Join = Callable[[Answers], Any]


def _joined(join: Join, of_none: bool | None = None) -> Callable[..., Any]:
    """Joins the answers of mask functions; of none, ``join`` is asked, or ``of_none`` is said everywhere."""

    def rule(b: Tensor, h: Tensor, q: Tensor, k: Tensor, *mask_mods: Any) -> Any:
        if not mask_mods and of_none is not None:
            return (q >= 0) & of_none
        return join(tuple(mask_mod(b, h, q, k) for mask_mod in mask_mods))

    return _asked(rule)


def _joins(oracle: Callable[..., Any], join: Join, of_none: bool, *own: Misconception) -> Spec:
    """The specification of `and_masks` and of `or_masks`, which are right and wrong in the same ways."""
    three = (FIRST_KEY, CAUSAL, _window(2))
    word, builtin = ("and", all) if of_none else ("or", any)
    of_two: Callable[[Any, Any], Any] = operator.and_ if of_none else operator.or_
    # The second call is of none, which a function may answer in a branch of its own.
    return _spec(oracle, 1, _joined_cases, _sizes(three, (), GRIDS), **LOOPED_MASK_FUNCTION)(
        *own,
        misconception(
            "binds only two",
            "Any number of mask functions may come: go through all of `mask_mods`, not through two of them.",
            *(_joined(lambda answers: join((answers[0], answers[1])), none) for none in (None, of_none)),
            _joined(lambda answers: join(answers[:2]), of_none),
            _joined(lambda answers: join((answers[0], answers[-1])), of_none),
        ),
        misconception(
            "the new one asks itself",
            "A name is looked up when the rule is asked, and by then it is the new rule's own: keep a list of `mask_mods`.",
            _asking_itself(join, of_none),
        ),
        misconception(
            "only the first counts",
            "Only the first is asked: a `return` inside the loop ends it in its first round. Return behind the loop.",
            *(_joined(lambda answers: answers[0], none) for none in (of_none, not of_none, None)),
        ),
        misconception(
            "query and key swapped in the call",
            "Each mask function takes (b, h, q_idx, kv_idx) in this order: here the query is handed over as the key.",
            lambda *mask_mods: lambda b, h, q, k: _joined(join, of_none)(*mask_mods)(b, h, k, q),
        ),
        misconception(
            "sentences and heads swapped",
            "b is the sentence and comes first, h the head: hand the four over in the order in which they came.",
            lambda *mask_mods: lambda b, h, q, k: _joined(join, of_none)(*mask_mods)(h, b, q, k),
        ),
        misconception(
            "only the last counts",
            "Only the last is asked: functions made in a loop look its variable up when they are called, and find the last.",
            *(_joined(lambda answers: answers[-1], none) for none in (of_none, not of_none, None)),
        ),
        misconception(
            "wrong for none",
            f"Of no mask functions at all, `{word}` is {of_none} everywhere: start from that, and join the answers to it.",
            _joined(join, not of_none),
            _joined(join),
            _joined(lambda answers: join((answers[0], *answers[1:]))),
            _joined(lambda answers: join(answers) if answers else torch.stack(answers)),
            *(_joined(lambda answers, none=none: join(answers) if answers else none) for none in (None, True, False)),  # type: ignore[misc]
        ),
        misconception(
            "votes counted",
            "This says how many say yes: a bool is wanted. `&` and `|` keep bools bool.",
            _joined(sum),
            lambda *mask_mods: lambda b, h, q, k: sum((m(b, h, q, k) for m in mask_mods), torch.zeros_like(q)),
            *(_joined(lambda answers, to=to: sum(map(to, answers))) for to in (Tensor.long, Tensor.int, Tensor.float)),  # type: ignore[misc]
        ),
        misconception(
            "functions joined in place of answers",
            "Functions cannot be joined, their answers can: call each inside the function that comes back.",
            lambda *mask_mods: functools.reduce(of_two, mask_mods),
        ),
        *_as_function(
            lambda b, h, q, k, *mask_mods: _joined(join, of_none)(*mask_mods)(b, h, q, k),
            truths=(_joined(builtin),),
        ),
    )


EVERY: Join = functools.partial(functools.reduce, operator.and_)
SOME: Join = functools.partial(functools.reduce, operator.or_)


AND_MASKS = _joins(
    and_masks,
    EVERY,
    True,
    misconception(
        "or for and",
        "A cell is allowed when all of them say yes: one no is enough to hide it. Join with `&`.",
        *(_joined(SOME, none) for none in (True, False, None)),
    ),
)


# --- or_masks ---------------------------------------------------------------------------------------------------------


def or_masks(*mask_mods: MaskFunction) -> MaskFunction:
    """True = may attend: a mask function that says True where at least one of `mask_mods` does.

        a window of 2    the first key          or_masks(a window of 2, the first key)

        ■  ⬚  ⬚  ⬚       ■  ⬚  ⬚  ⬚             ■  ⬚  ⬚  ⬚
        ■  ■  ⬚  ⬚       ■  ⬚  ⬚  ⬚             ■  ■  ⬚  ⬚         ■ may attend
        ⬚  ■  ■  ⬚       ■  ⬚  ⬚  ⬚             ■  ■  ■  ⬚         ⬚ may not
        ⬚  ⬚  ■  ■       ■  ⬚  ⬚  ⬚             ■  ⬚  ■  ■

    Args:
        mask_mods: mask functions, any number of them. Each is asked when the new one is.

    Returns:
        A mask function. Of no mask functions at all, it is one that allows nothing: nobody says yes.

    Source: `or_masks` of `torch.nn.attention.flex_attention` and of Transformers' `masking_utils`.
    """

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        allowed = torch.zeros_like(b + h + q_idx + kv_idx, dtype=torch.bool)
        for mask_mod in mask_mods:
            allowed = allowed | mask_mod(b, h, q_idx, kv_idx)
        return allowed

    return mask_function


OR_MASKS = _joins(
    or_masks,
    SOME,
    False,
    misconception(
        "and for or",
        "A cell is allowed when at least one of them says yes. Join with `|`.",
        *(_joined(EVERY, none) for none in (True, False, None)),
    ),
    misconception(
        "starts from True",
        "What starts at True stays True, whatever is joined with `|`: start from False.",
        _joined(lambda answers: SOME(answers) | True, True),
    ),
    misconception(
        "either, but not both",
        "`^` is False again where two say yes; one yes is enough, and more do no harm: use `|`.",
        _joined(lambda answers: functools.reduce(operator.xor, answers), False),
        _joined(lambda answers: sum(answer.long() for answer in answers) == 1, False),
    ),
)


# --- sliding_window_mod -----------------------------------------------------------------------------------------------


def sliding_window_mod(sliding_window: int) -> MaskFunction:
    """True = may attend: a mask function that shows each query itself and the `sliding_window - 1` keys before it.

        a window of 2

                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚
        like       ■    ■     ⬚     ⬚          ■ may attend
        green      ⬚    ■     ■     ⬚          ⬚ may not
        tea        ⬚    ⬚     ■     ■

    It compares places, `q_idx` with `kv_idx`, and knows of no lengths: where queries stand behind a cache, whoever asks
    adds the past to `q_idx`.

    Args:
        sliding_window: how many keys a query sees at most, its own included.

    Returns:
        A mask function; no key after the query is seen.

    Raises:
        ValueError: the window is below 1.

    Source: Mistral 7B (2023); counted as `sliding_window_overlay` of Transformers' `masking_utils` counts it.
    """
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; a query sees at least itself, so it is 1 or more")

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        return _any([kv_idx == q_idx - steps_back for steps_back in range(sliding_window)])

    return mask_function


def _window_cases(rng: torch.Generator) -> list[Case]:
    query, key, window = integer(rng, 4, 6), integer(rng, 7, 8), integer(rng, 3, 4)
    larger, past = integer(rng, 2, 9), integer(rng, 10, 60)

    def case(about: str, window: int, *grid: int, past: int = 0, first_key: int = 0) -> Case:
        return Case(about, (window,), indices=_far(past, first_key, *grid))

    return [
        case("a window of 2 on four words", 2, 1, 1, 4, 4),
        case("a window of 3 on six words", 3, 2, 3, 6, 6),
        case("drawn sizes", window, 2, 3, query, key),
        case("more queries than keys", 3, 2, 3, 6, 4),
        case("two new words behind a cache of three", 3, 2, 3, 2, 5, past=3),
        case("one query behind a cache", 2, 2, 3, 1, 6, past=5),
        case("queries from 7 on, keys from 5 on", 3, 2, 3, 2, 4, past=7, first_key=5),
        case("two words five thousand on", 300, 1, 2, 2, 320, past=5000, first_key=4684),
        Case("indices as FlexAttention's, int32", (3,), indices=_as_int32(_far(5000, 4996, 2, 3, 4, 7))),
        case("a window of 1", 1, 1, 2, 3, 5),
        case("as wide as the queries", 4, 1, 2, 4, 6),
        case("as wide as the keys", 5, 1, 2, 6, 5),
        case("wider than the keys", 9, 1, 2, 4, 5),
        case("as many sentences as heads, queries and keys", 2, 3, 3, 3, 3),
        case("a single word", 1, 1, 1, 1, 1),
        case("a window of 0", 0, 1, 1, 3, 4),
        case("a negative window", -1, 1, 1, 3, 4),
        case("larger sizes, drawn", integer(rng, 2, past), 1, 2, larger, past + larger, past=past),
    ]


def _windowed(rule: Rule, lowest: int | None = 1) -> Callable[[int], Any]:
    """Refuses windows below ``lowest`` and returns a mask function of the rule."""

    def answer(sliding_window: int) -> Any:
        if lowest is not None and sliding_window < lowest:
            raise ValueError
        return _asked(rule)(sliding_window)

    return answer


def _steps(rule: Callable[[Tensor, int], Any]) -> Callable[[int], Any]:
    """A rule about how many steps the key lies back."""
    return _windowed(lambda b, h, q, k, window: rule(q - k, window))


def _in_window(b: Tensor, h: Tensor, q: Tensor, k: Tensor, window: int) -> Tensor:
    return (q - k >= 0) & (q - k < window)


def _refuses(which: Callable[[int], bool], error: type[Exception] = ValueError, returns: bool = True) -> Any:
    def answer(sliding_window: int) -> Any:
        if which(sliding_window):
            raise error
        return _asked(_in_window)(sliding_window) if returns else None

    return answer


SLIDING_WINDOW_MOD = _spec(
    sliding_window_mod, 1, _window_cases, _sizes((2,), (4,), GRIDS), practice=True, **MASK_FUNCTION
)(
    misconception(
        "window + 1",
        "The query itself counts: a window of 2 shows it and one key before it, so the distance stays below the window.",
        _steps(lambda steps, window: (steps >= 0) & (steps <= window)),
    ),
    misconception(
        "window - 1",
        "One key too few: `sliding_window` counts the query itself and `sliding_window - 1` keys before it.",
        _steps(lambda steps, window: (steps >= 0) & (steps < window - 1)),
        _steps(lambda steps, window: (steps >= 0) & (steps < max(window - 1, 1))),
    ),
    misconception(
        "not causal",
        "This window looks ahead: besides the distance, no key after the query may be seen.",
        _steps(lambda steps, window: steps.abs() < window),
        _steps(lambda steps, window: steps.abs() <= window),
        _steps(lambda steps, window: steps < window),
        _steps(lambda steps, window: steps <= window),
        _steps(lambda steps, window: (steps <= 0) & (steps > -window)),
        _steps(lambda steps, window: (steps >= 0) | (steps < window)),
    ),
    misconception(
        "no window",
        "This is the causal triangle: keys further back than the window have to be hidden, too.",
        _steps(lambda steps, window: steps >= 0),
    ),
    misconception(
        "itself left out",
        "A query sees itself first; a window of 1 is exactly that.",
        _steps(lambda steps, window: (steps > 0) & (steps <= window)),
        _steps(lambda steps, window: (steps > 0) & (steps < window)),
    ),
    misconception(
        "no ValueError",
        "With a window below 1, a query would not even see itself: raise a ValueError that names the value.",
        _refuses(lambda window: False),
        _refuses(lambda window: window < 0),
        _refuses(lambda window: window == 0),
        _refuses(lambda window: window < 1, AssertionError),
        lambda window: _asked(_in_window)(max(window, 1)),
    ),
    *_as_function(_in_window, _windowed, returned=(_refuses(lambda window: window < 1, returns=False),)),
)


# --- padding_mod ------------------------------------------------------------------------------------------------------


def padding_mod(attention_mask: Int[Tensor, "batch sequence"]) -> MaskFunction:
    """1 = real token goes in, True = may attend comes out: a mask function that hides the keys that are padding.

        attention mask  1 1 1 0                I  like  coffee  <pad>
                                     I         ■   ■      ■       ⬚
                                     like      ■   ■      ■       ⬚          ■ may attend
                                     coffee    ■   ■      ■       ⬚          ⬚ may not
                                     <pad>     ■   ■      ■       ⬚

    Only the key is asked, in its own sentence: the row of a padding query is as every other one.

    Args:
        attention_mask: 1 = real token, 0 = padding, wherever it stands; its second axis is the keys'.

    Returns:
        A mask function for these sentences.

    Source: `padding_mask_function` of Transformers' `masking_utils`.
    """

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        return _read(attention_mask, b, kv_idx) == 1

    return mask_function


def _second_row_of(*grid: int) -> tuple[Tensor, ...]:
    """A grid that asks about the second sentence alone."""
    b, h, q, k = index_grid(*grid)  # type: ignore[arg-type]
    return b[1:2], h, q, k


def _padding_cases(rng: torch.Generator) -> list[Case]:
    key, query = integer(rng, 6, 7), integer(rng, 4, 5)
    sentences, gaps = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1]])

    def case(about: str, mask: Tensor, heads: int, queries: int) -> Case:
        return Case(about, (mask,), indices=index_grid(mask.shape[0], heads, queries, mask.shape[1]))

    return [
        case("the two sentences", sentences, 3, 4),
        case("the two sentences, padded on the left", sentences.flip(1), 3, 4),
        case("padding between", gaps, 3, 5),
        case("fewer queries than keys", attention_mask(lengths(rng, 2, key), key), 3, query),
        case("more queries than keys", attention_mask([2, 3, 1, 4], 4, "left"), 3, 6),
        case("as many sentences as heads", attention_mask([4, 2, 3], 5), 3, 4),
        case("as many sentences as positions", attention_mask([1, 4, 2, 3], 4), 4, 4),
        case("padding anywhere", coin(rng, 3, key).long(), 2, query),
        case("an empty sentence", attention_mask([0, 3], 4), 3, 4),
        case("no padding", torch.ones(2, key, dtype=torch.long), 3, 2),
        case("a single word", torch.tensor([[1]]), 1, 1),
        case("a single position of padding", torch.tensor([[0]]), 1, 1),
        case("sentences of one position", torch.tensor([[0], [1]]), 3, 2),
        Case("asked about the second sentence alone", (gaps,), indices=_second_row_of(2, 3, 4, 5)),
        Case("asked about the first three keys", (gaps.flip(0),), indices=index_grid(2, 3, 4, 3)),
        Case("asked about the last three keys", (gaps,), indices=_far(1, 2, 2, 3, 4, 3)),
        Case("asked backwards", (gaps,), indices=_backwards(2, 3, 5, 5)),
        Case("indices as FlexAttention's, int32", (gaps,), indices=_as_int32(index_grid(2, 3, 4, 5))),
    ]


def _as_bool_or_number(rule: Rule) -> tuple[Callable[..., Any], ...]:
    """What is looked up, compared with 1 and as it is."""
    return _asked(lambda *indices: rule(*indices) == 1), _asked(rule)


PADDING_SIZES = _sizes((attention_mask([3, 5], 5),), (attention_mask([3, 9, 1], 9),), GRIDS)

PADDING_MOD = _spec(padding_mod, 1, _padding_cases, PADDING_SIZES, practice=True, **MASK_FUNCTION)(
    misconception(
        "masks queries",
        "It is the key that may be padding: look `kv_idx` up; the rows of padding queries stay as they are.",
        *_as_bool_or_number(lambda b, h, q, k, mask: mask[b, q]),
    ),
    misconception(
        "masks queries and keys",
        "Only the key is asked: a padding query may look at words, and nobody reads its row.",
        *_as_bool_or_number(lambda b, h, q, k, mask: mask[b, q] * mask[b, k]),
    ),
    misconception(
        "the first sentence for all",
        "Each sentence has padding of its own: look up row `b`, not row 0.",
        *_as_bool_or_number(lambda b, h, q, k, mask: mask[0, k]),
    ),
    misconception(
        "indexed twice",
        "`[b][kv_idx]` takes rows and then rows of these: index once, with both, `[b, kv_idx]`.",
        *_as_bool_or_number(lambda b, h, q, k, mask: mask[b][k]),
    ),
    misconception(
        "indices unused",
        "This answers about all sentences and places, whatever was asked: look up `b` and `kv_idx`.",
        _asked(lambda b, h, q, k, mask: mask[:, None, None] == 1),
    ),
    misconception(
        "~ on whole numbers",
        "`~` turns 1 into −2 and 0 into −1: compare with 1, or make it bool first.",
        _asked(lambda b, h, q, k, mask: ~mask[b, k]),
        _asked(lambda b, h, q, k, mask: (~mask[b, k]).bool()),
    ),
    *_as_function(
        lambda b, h, q, k, mask: mask[b, k] == 1,
        truths=(_asked(lambda b, h, q, k, mask: not mask[b, k]),),
        returned=(_nothing, lambda mask: mask == 1, lambda mask: (mask == 1)[:, None, None]),
    ),
)


# --- document_mod -----------------------------------------------------------------------------------------------------


def document_mod(document_ids: Int[Tensor, "batch sequence"]) -> MaskFunction:
    """True = may attend: a mask function that lets a position see its own document only, and padding (-1) nothing.

        document ids  0 0 1 1 1 -1             I  like  you  like   tea  <pad>
                                     I         ■   ■     ⬚     ⬚     ⬚     ⬚
                                     like      ■   ■     ⬚     ⬚     ⬚     ⬚
                                     you       ⬚   ⬚     ■     ■     ■     ⬚         ■ may attend
                                     like      ⬚   ⬚     ■     ■     ■     ⬚         ⬚ may not
                                     tea       ⬚   ⬚     ■     ■     ■     ⬚
                                     <pad>     ⬚   ⬚     ⬚     ⬚     ⬚     ⬚

    The same number in the same row is the same document, wherever it stands. It is not causal: for that, join it with a
    causal mask function.

    Args:
        document_ids: for each row of the batch, which document each position is of: 0 or more, in any order; -1 where it
            is padding.

    Returns:
        A mask function for these rows; `q_idx` and `kv_idx` are both places in a row.

    Source: `packed_sequence_mask_function` of Transformers' `masking_utils`, which does not know of padding.
    """

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        asking, asked = _read(document_ids, b, q_idx), _read(document_ids, b, kv_idx)
        return (asking == asked) & (asking != -1)

    return mask_function


#: "I like coffee <eos> you like green tea <eos>", and a row that is padded in front, between and behind.
PACKED = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1], [-1, 2, 2, -1, 0, 0, 0, -1, -1]])


def _document_cases(rng: torch.Generator) -> list[Case]:
    def case(about: str, ids: Any, heads: int = 1) -> Case:
        ids = torch.as_tensor(ids)
        batch, sequence = ids.shape
        return Case(about, (ids,), indices=index_grid(batch, heads, sequence, sequence))

    return [
        case("two sentences in a row, and padding behind them", [[0, 0, 1, 1, 1, -1]]),
        case("the course's row, and one with padding everywhere", PACKED),
        case("a row for each sentence", [[0, 0, 1, 1, 1], [0, 1, 1, 2, -1], [3, 3, 3, 3, 0]], heads=2),
        case("as many rows as heads", [[0, 1, 1, -1], [-1, 0, 0, 0], [2, 2, 0, 0]], heads=3),
        case("as many rows as positions", [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, -1], [-1, 0, 0, 1]], heads=4),
        case("numbers in any order, and one that returns", [[7, 7, 2, 2, 1000, 7], [5, 4, 4, -1, 4, 0]]),
        case("drawn numbers", torch.randint(-1, 3, (3, integer(rng, 5, 7)), generator=rng), heads=2),
        case("one document", torch.zeros(2, 4, dtype=torch.long)),
        case("a document for each position", [[0, 1, 2, 3]]),
        case("nothing but padding in one row", [[-1, -1, -1], [0, 0, 1]]),
        case("a single word", [[0]]),
        case("a single position of padding", [[-1], [3]], heads=2),
        Case("asked about the second row alone", (PACKED,), indices=_second_row_of(2, 1, 9, 9)),
        Case("asked by the last three", (PACKED,), indices=_far(6, 0, 2, 2, 3, 9)),
        Case("asked about the first four keys", (PACKED,), indices=index_grid(2, 1, 9, 4)),
        Case("asked about the last five keys", (PACKED,), indices=_far(2, 4, 2, 2, 4, 5)),
        Case("asked backwards", (PACKED,), indices=_backwards(2, 2, 9, 9)),
        Case("indices as FlexAttention's, int32", (PACKED,), indices=_as_int32(index_grid(2, 2, 9, 9))),
        case("large numbers", [[7, 7, 263, 263, 2048, 2049, 2049], [1000, 1001, 1000, -1, 255, 256, 0]]),
    ]


def _one_document(asking: Tensor, asked: Tensor) -> Tensor:
    return (asking == asked) & (asking != -1)


#: Two numbers compared, with padding left out or not.
SAME: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (_one_document, torch.eq)


def _documents(rule: Callable[[Tensor, Tensor], Any], row: Callable[..., Any] = lambda b, h: b) -> Callable[..., Any]:
    """A rule about the documents of query and key, in the row that ``row`` picks."""
    return _asked(lambda b, h, q, k, ids: rule(ids[row(b, h), q], ids[row(b, h), k]))


#: The larger one has more documents, too: whoever goes through them one by one does more work.
FEW, MANY = torch.tensor([[0, 0, 1, -1], [1, 1, 0, 0]]), torch.tensor([[0, 1, 2, 3, 4, 5, -1, 6, 6]] * 3)
DOCUMENT_SIZES = _sizes((FEW,), (MANY,), (index_grid(2, 3, 4, 4), index_grid(3, 4, 9, 9)))

DOCUMENT_MOD = _spec(document_mod, 2, _document_cases, DOCUMENT_SIZES, **MASK_FUNCTION)(
    misconception(
        "first row's documents for all",
        "Each row is packed in its own way: look both places up in row `b`, not in row 0.",
        _documents(_one_document, lambda b, h: 0),
        _documents(torch.eq, lambda b, h: 0),
    ),
    misconception(
        "padding sees padding",
        "−1 equals −1, but it is no document: ask besides that the number is not −1.",
        _documents(torch.eq),
    ),
    misconception(
        "padding sees or is seen",
        "Padding is of no document: it sees nothing, and nobody sees it. Equal numbers are wanted, without exception.",
        _documents(lambda asking, asked: (asking == asked) | (asked == -1)),
        _documents(lambda asking, asked: (asking == asked) & (asking != -1) | (asked == -1)),
        _documents(lambda asking, asked: (asking == asked) | (asking == -1)),
        _documents(lambda asking, asked: (asking == asked) | (asking == -1) | (asked == -1)),
    ),
    misconception(
        "padding sees itself",
        "Not even itself is what padding sees here: its row is empty.",
        _asked(lambda b, h, q, k, ids: _one_document(ids[b, q], ids[b, k]) | (q == k)),
    ),
    misconception(
        "document 0 taken for padding",
        "0 is the first document; padding is −1. Compare with −1, or ask whether the number is at least 0.",
        _documents(lambda asking, asked: (asking == asked) & (asking > 0)),
    ),
    misconception(
        "earlier documents seen",
        "A later document must not see an earlier one either: the two numbers have to be equal.",
        _documents(lambda asking, asked: (asking >= asked) & (asked != -1)),
        _documents(torch.ge),
    ),
    misconception(
        "documents not compared",
        "This hides padding alone: the documents of query and key have to be the same one.",
        _documents(lambda asking, asked: asked != -1),
        _documents(lambda asking, asked: (asking != -1) & (asked != -1)),
    ),
    misconception(
        "causal, too",
        "Inside a document, everybody sees everybody: `and_masks` joins a causal mask function where one is wanted.",
        _asked(lambda b, h, q, k, ids: _one_document(ids[b, q], ids[b, k]) & (k <= q)),
    ),
    misconception(
        "indices unused",
        "This answers about all rows and places, whatever was asked: look up `[b, q_idx]` and `[b, kv_idx]`.",
        *(_asked(lambda b, h, q, k, ids, same=same: same(ids[:, None, :, None], ids[:, None, None])) for same in SAME),  # type: ignore[misc]
    ),
    misconception(
        "indexed twice",
        "`[b][q_idx]` takes rows and then rows of these: index once, with both, `[b, q_idx]`.",
        *(_asked(lambda b, h, q, k, ids, same=same: same(ids[b][q], ids[b][k])) for same in SAME),  # type: ignore[misc]
    ),
    *_as_function(
        lambda b, h, q, k, ids: _one_document(ids[b, q], ids[b, k]),
        returned=(_nothing, lambda ids: ids[:, :, None] == ids[:, None]),
    ),
)


# --- attention_sink_mod -----------------------------------------------------------------------------------------------


def attention_sink_mod(sliding_window: int, num_sinks: int) -> MaskFunction:
    """True = may attend: a mask function with a sliding window that never loses the first `num_sinks` keys.

        a window of 2, one sink

                  <bos>  you  like  green  tea
        <bos>       ■     ⬚    ⬚     ⬚     ⬚
        you         ■     ■    ⬚     ⬚     ⬚          ■ may attend
        like        ■     ■    ■     ⬚     ⬚          ⬚ may not
        green       ■     ⬚    ■     ■     ⬚
        tea         ■     ⬚    ⬚     ■     ■

    Args:
        sliding_window: how many keys the window shows a query, its own included; 1 or more.
        num_sinks: how many of the first keys stay in sight, besides the window; 0 for none.

    Returns:
        A mask function; no key after the query is seen, be it a sink.

    Source: Efficient Streaming Language Models with Attention Sinks (2023).
    """

    def mask_function(b: Tensor, h: Tensor, q_idx: Tensor, kv_idx: Tensor) -> Tensor:
        window = [kv_idx == q_idx - steps_back for steps_back in range(sliding_window)]
        sinks = [(kv_idx == sink) & (q_idx >= sink) for sink in range(num_sinks)]
        return _any([*window, *sinks])

    return mask_function


def _sink_cases(rng: torch.Generator) -> list[Case]:
    window, sinks = integer(rng, 2, 3), integer(rng, 1, 2)
    larger, longer, wider, more = integer(rng, 2, 9), integer(rng, 30, 60), integer(rng, 2, 20), integer(rng, 3, 9)

    def case(about: str, window: int, sinks: int, *grid: int, past: int = 0, first_key: int = 0) -> Case:
        return Case(about, (window, sinks), indices=_far(past, first_key, *grid))

    b, h, q, _ = _far(5000, 0, 2, 3, 2, 1)
    ends = b, h, q, torch.tensor([0, 1, 2, 3, 4, 60, 4998, 4999, 5000, 5001, 5002])[None, None, None]

    return [
        case("a window of 2, one sink", 2, 1, 1, 1, 5, 5),
        case("a window of 3, two sinks", 3, 2, 2, 3, 7, 7),
        case("drawn sizes", window, sinks, 2, 3, 7, 8),
        case("more sinks than the first query has keys", 2, 3, 1, 2, 6, 6),
        case("more sinks than keys", 2, 9, 1, 2, 5, 5),
        case("no sinks", 3, 0, 2, 1, 6, 6),
        case("a window of 1", 1, 2, 1, 2, 5, 6),
        case("as wide as the queries", 5, 1, 1, 2, 5, 7),
        case("wider than the keys", 9, 1, 1, 2, 4, 4),
        case("more queries than keys", 2, 1, 1, 2, 7, 4),
        case("two queries behind a cache of six", 2, 1, 2, 3, 2, 8, past=6),
        case("one query behind a cache", 3, 2, 2, 3, 1, 9, past=8),
        case("queries from 7 on, keys from 5 on", 2, 6, 2, 3, 3, 5, past=7, first_key=5),
        Case("queries 5000 and 5001, keys 0 to 4, 60 and 4998 to 5002", (3, 2), indices=ends),
        Case("a wide window five thousand on", (300, 40), indices=_far(5000, 4684, 1, 2, 2, 320)),
        Case("indices as FlexAttention's, int32", (2, 4), indices=_as_int32(ends)),
        case("as many sentences as heads, queries and keys", 1, 1, 4, 4, 4, 4),
        case("a single word", 1, 1, 1, 1, 1, 1),
        case("larger sizes, drawn", wider, more, 1, 2, larger, longer + larger, past=longer),
    ]


def _sinks(rule: Callable[[Tensor, Tensor, int, int], Any]) -> Callable[..., Any]:
    """A rule about how many steps the key lies back, its place, the window and the number of sinks."""
    return _asked(lambda b, h, q, k, window, sinks: rule(q - k, k, window, sinks))


ATTENTION_SINK_MOD = _spec(attention_sink_mod, 1, _sink_cases, _sizes((2, 1), (3, 4), GRIDS), **MASK_FUNCTION)(
    misconception(
        "not causal",
        'Nobody sees what comes after it: "not after the query" holds for window and sinks, outside the brackets.',
        _sinks(lambda steps, k, window, sinks: (steps < window) | (k < sinks)),
        _sinks(lambda steps, k, window, sinks: (steps.abs() < window) | (k < sinks)),
        _sinks(lambda steps, k, window, sinks: (steps.abs() < window) | (k < sinks) & (steps >= 0)),
        _sinks(lambda steps, k, window, sinks: (steps < window) | (k < sinks) & (steps >= 0)),
    ),
    misconception(
        "sinks not causal",
        "The first queries see sinks that come after them: a sink, too, must not stand after the query.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & (steps < window) | (k < sinks)),
    ),
    misconception(
        "sinks only",
        "The sinks stay in sight *besides* the window: a key is seen when it is of the one or of the other.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & (k < sinks)),
        _sinks(lambda steps, k, window, sinks: k < sinks),
    ),
    misconception(
        "window only",
        "The first `num_sinks` keys have to stay in sight when the window has moved on.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & (steps < window)),
    ),
    misconception(
        "window + 1",
        "The query itself counts: a window of 2 shows it and one key before it, so the distance stays below the window.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps <= window) | (k < sinks))),
    ),
    misconception(
        "window - 1",
        "One key too few: `sliding_window` counts the query itself and `sliding_window - 1` keys before it.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window - 1) | (k < sinks))),
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < max(window - 1, 1)) | (k < sinks))),
    ),
    misconception(
        "one sink for all",
        "This keeps the first key alone, whatever `num_sinks` says: compare the key's place with that number.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (k == 0))),
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (k < min(sinks, 1)))),
    ),
    misconception(
        "one sink too many",
        "Keys are counted from 0: the first `num_sinks` of them are those *below* `num_sinks`.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (k <= sinks))),
    ),
    misconception(
        "one sink too few",
        "Key 0 is the first sink: the first `num_sinks` keys are 0 to `num_sinks - 1`.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (k < sinks - 1))),
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (k > 0) & (k < sinks))),
    ),
    misconception(
        "queries for keys",
        "A sink is a key that all later queries see; here the first queries see more.",
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & ((steps < window) | (steps + k < sinks))),
        _sinks(lambda steps, k, window, sinks: (steps >= 0) & (steps < window) | (steps + k < sinks)),
    ),
    *_as_function(lambda b, h, q, k, window, sinks: (k <= q) & ((q - k < window) | (k < sinks))),
)


# --- document_ids -----------------------------------------------------------------------------------------------------


def document_ids(cumulative_lengths: Int[Tensor, " borders"], total_length: int) -> Int[Tensor, " total"]:
    """-1 = no document, 0, 1, 2, … = the first, second, third: which document each position of a packed row is of.

        cumulative lengths  0 2 5   →   0 0 1 1 1 -1 -1        total length 7
        cumulative lengths  0 2 2 5 →   0 0 2 2 2 -1 -1        document 1 is empty

    Document n begins at `cumulative_lengths[n]` and ends before `cumulative_lengths[n + 1]`.

    Args:
        cumulative_lengths: long, `[documents + 1]`: 0, then the sum of the lengths so far; equal neighbours are an empty
            document. `[0]` stands for no document at all.
        total_length: how many positions the row has, at least as many as the documents fill.

    Returns:
        long, `[total_length]`, on the device of `cumulative_lengths`; what lies behind the last document is -1.

    Source: `cu_seqlens` of FlashAttention's kernels for variable lengths.
    """
    borders = cumulative_lengths.tolist()

    def document(position: int) -> int:
        for number in range(len(borders) - 1):
            if borders[number] <= position < borders[number + 1]:
                return number
        return -1

    return fill((total_length,), document, torch.long, cumulative_lengths.device)


def _ids_cases(rng: torch.Generator) -> list[Case]:
    drawn = torch.tensor([0, *(integer(rng, 1, 4) for _ in range(4))]).cumsum(0)

    def case(about: str, borders: list[int], total: int) -> Case:
        return Case(about, (torch.tensor(borders), total))

    return [
        case("the course's two sentences", [0, 4, 9], 9),
        case("the course's two sentences, and padding", [0, 4, 9], 12),
        case("an empty document between", [0, 2, 2, 5], 7),
        case("two empty documents between, nothing left", [0, 3, 3, 3, 5], 5),
        case("an empty document in front", [0, 0, 3, 4], 6),
        case("an empty document behind", [0, 2, 4, 4], 6),
        case("an empty document behind, nothing left", [0, 3, 4, 4], 4),
        case("one document", [0, 5], 5),
        case("one document, and padding", [0, 3], 5),
        case("documents of one word", [0, 1, 2, 3], 4),
        Case("drawn lengths", (drawn, int(drawn[-1]) + integer(rng, 1, 3))),
        Case("drawn lengths, nothing left", (drawn, int(drawn[-1]))),
        case("forty documents of two words, and padding", list(range(0, 81, 2)), 83),
        case("no document", [0], 3),
        case("empty documents alone", [0, 0, 0], 2),
        case("a single position", [0, 1], 1),
    ]


def _counted(
    count: Callable[[Tensor, Tensor], Tensor], end: Callable[[Tensor, Tensor], Tensor] | None = torch.ge, rest: int = -1
) -> Callable[..., Any]:
    """Counts borders for each position; ``rest`` is written where ``end`` says that the last document is over."""

    def answer(cumulative_lengths: Tensor, total_length: int) -> Tensor:
        positions = torch.arange(total_length, device=cumulative_lengths.device)
        ids = count(cumulative_lengths, positions)
        return ids if end is None else ids.masked_fill(end(positions, cumulative_lengths[-1]), rest)

    return answer


def _at_or_before(borders: Tensor, positions: Tensor) -> Tensor:
    return (borders <= positions[:, None]).sum(1)


def _document(borders: Tensor, positions: Tensor) -> Tensor:
    return _at_or_before(borders, positions) - 1


def _late(borders: Tensor, positions: Tensor) -> Tensor:
    return (borders < positions[:, None]).sum(1) - 1


def _marked_once(borders: Tensor, positions: Tensor) -> Tensor:
    """The running sum of marks at the borders inside, where equal borders leave one mark."""
    return (borders[1:-1] == positions[:, None]).any(1).cumsum(0)


BORDER_SIZES = _sizes((torch.tensor([0, 2, 4]), 5), (torch.tensor([0, 3, 3, 8, 10]), 13))

DOCUMENT_IDS = _spec(document_ids, 2, _ids_cases, BORDER_SIZES)(
    misconception(
        "off by one at the border",
        "A border is where the next document begins, so its position belongs there: count the borders at *or* before it.",
        *(_counted(_late, end) for end in (torch.ge, torch.gt, None)),
        *(_counted(lambda borders, at: _late(borders, at).clamp(min=0), end) for end in (torch.ge, torch.gt, None)),
    ),
    misconception(
        "counted from 1",
        "The first border is 0 and is counted at every position: take 1 off, so that the first document is 0.",
        _counted(_at_or_before),
        _counted(_at_or_before, None),
        _counted(_at_or_before, rest=0),
    ),
    misconception(
        "the rest numbered on",
        "What lies at or behind the last border is of no document: −1, not one number more.",
        _counted(_document, None),
        _counted(_document, torch.gt),
    ),
    misconception(
        "the rest counted as the last document",
        "What lies behind the last border is padding, −1, and not the last document's.",
        _counted(lambda borders, at: _document(borders, at).clamp(max=len(borders) - 2), None),
        _counted(lambda borders, at: _document(borders[:-1], at), None),
        _counted(lambda borders, at: _at_or_before(borders[1:-1], at), None),
    ),
    misconception(
        "the rest numbered 0",
        "0 is the first document; what lies behind the last border is −1.",
        _counted(_document, rest=0),
    ),
    misconception(
        "the rest left out",
        "The row has `total_length` positions: those behind the last document are −1, not missing.",
        lambda borders, total: document_ids(borders, int(borders[-1])),
    ),
    misconception(
        "borders taken for lengths",
        "`cumulative_lengths` are running sums: a document's length is the difference of two neighbours.",
        *(
            lambda borders, total, which=which: torch.arange(len(borders[which])).repeat_interleave(borders[which])
            for which in (slice(None), slice(1, None))
        ),
    ),
    misconception(
        "empty documents not counted",
        "An empty document has a number, though no position: two equal borders are two steps, not one.",
        _counted(_marked_once),
        _counted(_marked_once, None),
        _counted(lambda borders, at: _document(borders.unique(), at)),
    ),
    *_as_numbers(_counted(_document)),
)


# --- packed_position_ids ----------------------------------------------------------------------------------------------


def packed_position_ids(document_ids: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    """-1 = padding goes in: each token's place in its own document comes out, from 0, and 0 at padding.

        document ids   0  0  1  1  1 -1   →   0 1 0 1 2 0
                      -1  7  7  7  2  2   →   0 0 1 2 0 1

    Args:
        document_ids: for each row, which document each position is of: 0 or more, in any order; -1 where it is padding,
            in front, behind or between. The tokens of one document stand side by side.

    Returns:
        long, of the shape of `document_ids`: 0, 1, 2, … in each document, 0 at padding.
    """
    rows = document_ids.tolist()

    def place(b: int, t: int) -> int:
        return rows[b][:t].count(rows[b][t]) if rows[b][t] != -1 else 0

    return fill(document_ids.shape, place, torch.long, document_ids.device)


def _packed_cases(rng: torch.Generator) -> list[Case]:
    def case(about: str, ids: Any) -> Case:
        return Case(about, (torch.as_tensor(ids),))

    def drawn(padding: int) -> list[int]:
        numbers = torch.randperm(4, generator=rng).tolist()
        documents = [number for number in numbers for _ in range(integer(rng, 1, 3))]
        return ([-1] * padding + documents + [-1] * 12)[:14]

    return [
        case("two sentences in a row, padded in front and behind", [[0, 0, 1, 1, 1, -1], [-1, 7, 7, 7, 2, 2]]),
        case("the course's row, and one with padding everywhere", PACKED),
        case("no padding", [[0, 0, 0, 1, 1], [0, 1, 1, 1, 1]]),
        case("numbers that fall", [[9, 9, 4, 4, 4, 0], [2, 1, 1, 0, 0, 0]]),
        case("a row goes on with the last number of the row before", [[0, 1, 1], [1, 1, 0], [0, 0, 0]]),
        case("large numbers", [[1000, 1000, 2000, 7, 7, 263], [263, 2049, 2048, 2048, 15, 16]]),
        case("padding between", [[0, 0, 0, -1, 1, 1], [1, -1, -1, 0, 0, 0]]),
        case("much padding in front", [[-1, -1, -1, 0, 0, 1], [0, 0, 1, 1, 1, 1]]),
        case("as many rows as positions", [[0, 0, 1, 1], [0, 1, 1, 1], [0, 0, 0, -1], [-1, 0, 0, 1]]),
        case("drawn documents", [drawn(padding) for padding in range(3)]),
        case("one document", [[3, 3, 3, 3]]),
        case("documents of one word", [[2, 0, 1, 3]]),
        case("nothing but padding in one row", [[-1, -1, -1], [0, 0, 1]]),
        case("a single word", [[0]]),
        case("a single position", [[-1], [4]]),
    ]


Positions = Callable[[Tensor], Tensor]


def _at(ids: Tensor) -> Tensor:
    return torch.arange(ids.shape[1], device=ids.device).expand_as(ids)


def _compared(ids: Tensor, edge: tuple[int, int] = (1, 0), differ: Any = torch.ne, first: bool = True) -> Tensor:
    """Which neighbours ``differ``, with the row's ``edge`` filled up by ``first``."""
    return torch.nn.functional.pad(differ(ids[:, 1:], ids[:, :-1]), edge, value=first)


def _since(starts: Tensor) -> Tensor:
    """How many positions each is behind the last start, or the row's first position."""
    at = _at(starts)
    return at - torch.where(starts, at, 0).cummax(1).values


def _restarted(ids: Tensor) -> Tensor:
    return _since(_compared(ids)).masked_fill(ids == -1, 0)


def _both_ways(positions: Positions) -> tuple[Positions, Positions]:
    """With padding set to 0, and as it comes."""
    return lambda ids: positions(ids).masked_fill(ids == -1, 0), positions


PACKED_POSITION_IDS = _spec(packed_position_ids, 2, _packed_cases, _sizes((FEW,), (MANY,)))(
    misconception(
        "never restarts",
        "Each document is a text of its own, whose first token has position 0: restart where the number changes.",
        *_both_ways(_at),
        *_both_ways(lambda ids: (ids != -1).cumsum(1) - 1),
    ),
    misconception(
        "restarts one late",
        "A new document's first token has to be 0 itself: compare each position with the one *before* it.",
        *_both_ways(lambda ids: _since(_compared(ids).roll(1, 1))),
    ),
    misconception(
        "restarts one early",
        "The last token of a document still counts on; 0 is the one after it. Compare with the position before.",
        *_both_ways(lambda ids: _since(_compared(ids, (0, 1), first=False))),
        *_both_ways(lambda ids: _since(_compared(ids, (0, 1)))),
    ),
    misconception(
        "starts at 1",
        "The first token of each document has position 0: take 1 off.",
        *_both_ways(lambda ids: _since(_compared(ids)) + 1),
        lambda ids: _restarted(ids) + 1,
    ),
    misconception(
        "starts added up",
        "The last start counts, not the sum of all so far: their running *maximum* (cummax) carries it to the right.",
        *_both_ways(lambda ids: _at(ids) - (_at(ids) * _compared(ids)).cumsum(1)),
        *_both_ways(lambda ids: (_at(ids) - (_at(ids) * _compared(ids)).cumsum(1)).clamp(min=0)),
    ),
    misconception(
        "runs through padding",
        "Padding is no document: its position is 0, however much of it stands together.",
        lambda ids: _since(_compared(ids)),
    ),
    misconception(
        "-1 at padding",
        "Padding has position 0; −1 is its document's number, and no model has an embedding for it.",
        lambda ids: _restarted(ids).masked_fill(ids == -1, -1),
    ),
    misconception(
        "restarts only where the numbers grow",
        "Documents come in any order of their numbers: a border is where two neighbours *differ*.",
        *_both_ways(lambda ids: _since(_compared(ids, differ=torch.gt))),
        *_both_ways(lambda ids: _since(_compared(ids, differ=lambda one, other: one - other == 1))),
    ),
    misconception(
        "first row's documents for all",
        "Each row is packed in its own way: find the borders in every row.",
        *_both_ways(lambda ids: _since(_compared(ids)[:1]).expand_as(ids)),
        lambda ids: _restarted(ids[:1]).expand_as(ids),
    ),
    misconception(
        "document 0 taken for padding",
        "0 is a document like any other; padding is −1.",
        lambda ids: _restarted(ids).masked_fill(ids <= 0, 0),
    ),
    *_as_numbers(_restarted),
)


# --- block_map --------------------------------------------------------------------------------------------------------


def block_map(allowed: Bool[Tensor, "query key"], block_size: int) -> Int[Tensor, "query_blocks key_blocks"]:
    """True = may attend goes in; for each block of cells comes out 0 = none of them may, 1 = some may, 2 = all may.

        causal, 5 queries, 5 keys           in blocks of 2

              0  1   2  3   4
        0     ■  ⬚ │ ⬚  ⬚ │ ⬚
        1     ■  ■ │ ⬚  ⬚ │ ⬚                1  0  0         0 is skipped,
             ──────┼──────┼───
        2     ■  ■ │ ■  ⬚ │ ⬚                2  1  0         1 needs the mask,
        3     ■  ■ │ ■  ■ │ ⬚
             ──────┼──────┼───
        4     ■  ■ │ ■  ■ │ ■                2  2  2         2 needs none

    Where `block_size` does not divide a length, the last blocks have fewer cells; only cells that are there count, so that
    a block at the edge is full when all of its own cells are allowed. Tensor operations alone count: no loop over blocks or
    cells.

    Args:
        allowed: bool, True = may attend, at least one query and one key.
        block_size: how many queries and how many keys a block has, 1 or more; it may be larger than the mask.

    Returns:
        long, `[⌈query / block_size⌉, ⌈key / block_size⌉]`: 0 empty, 1 partial, 2 full.

    Source: `BlockMask` of `torch.nn.attention.flex_attention`, which counts a full block at a ragged edge as partial.
    """
    rows = allowed.tolist()
    queries, keys = allowed.shape

    def kind(block_row: int, block_column: int) -> int:
        top, left = block_row * block_size, block_column * block_size
        cells = [rows[q][k] for q in range(top, min(top + block_size, queries))
                 for k in range(left, min(left + block_size, keys))]  # fmt: skip
        return 2 if all(cells) else 1 if any(cells) else 0

    blocks = [-(-length // block_size) for length in (queries, keys)]
    return fill(blocks, kind, torch.long, allowed.device)


def _causal(queries: int, keys: int, window: int = 99) -> Tensor:
    steps = torch.arange(queries)[:, None] - torch.arange(keys)
    return (steps >= 0) & (steps < window)


def _block_cases(rng: torch.Generator) -> list[Case]:
    block = integer(rng, 2, 4)
    packed = _one_document(PACKED[0, :, None], PACKED[0]) & _causal(9, 9)
    all_but_two = torch.ones(4, 6, dtype=torch.bool)
    all_but_two[1, 2] = all_but_two[3, 5] = False
    strips = torch.tensor([[1, 0, 1, 1, 0, 0, 1]]).bool().expand(5, 7)
    all_but_one = torch.ones(17, 17, dtype=torch.bool)
    all_but_one[3, 5] = False
    return [
        Case("causal, five words in blocks of 2", (_causal(5, 5), 2)),
        Case("causal, six words in blocks of 2", (_causal(6, 6), 2)),
        Case("the packed row in blocks of 4", (packed, 4)),
        Case("the packed row in blocks of 3", (packed, 3)),
        Case("a window of 3, more keys than queries", (_causal(4, 8, 3), 2)),
        Case("two blocks lack a cell", (all_but_two, 2)),
        Case("two blocks have a cell", (~all_but_two, 2)),
        Case("everything, ragged below and on the right", (torch.ones(5, 7, dtype=torch.bool), 3)),
        Case("nothing, ragged below and on the right", (torch.zeros(5, 7, dtype=torch.bool), 3)),
        Case("whole columns, ragged", (strips.contiguous(), 2)),
        Case("whole rows, ragged", (strips.T.contiguous(), 2)),
        Case("ragged on the right alone", (_causal(4, 5), 2)),
        Case("ragged below alone", (_causal(5, 4), 2)),
        Case("drawn cells", (coin(rng, 2 * block, 3 * block), block)),
        Case("drawn cells, ragged", (coin(rng, 2 * block + 1, 3 * block - 1, heads=0.8), block)),
        Case("blocks of 256 cells, full", (torch.ones(17, 17, dtype=torch.bool), 16)),
        Case("blocks of 256 cells, one of which lacks a cell", (all_but_one, 16)),
        Case("blocks of one cell", (coin(rng, 3, 4), 1)),
        Case("one block for all", (_causal(4, 4), 4)),
        Case("a block larger than the mask, full", (torch.ones(3, 2, dtype=torch.bool), 5)),
        Case("a block larger than the mask, partial", (_causal(3, 4), 8)),
        Case("a block larger than the mask, empty", (torch.zeros(2, 3, dtype=torch.bool), 4)),
        Case("a single cell", (torch.ones(1, 1, dtype=torch.bool), 1)),
    ]


Pool = Callable[[Tensor, int], Tensor]


def _cut(allowed: Tensor, size: int, filler: bool) -> Tensor:
    """The blocks `[rows, columns, size * size]`, filled up at the edges."""
    queries, keys = allowed.shape
    padded = torch.nn.functional.pad(allowed, (0, -keys % size, 0, -queries % size), value=filler)
    return padded.unflatten(1, (-1, size)).unflatten(0, (-1, size)).transpose(1, 2).flatten(2)


def _pooled(what: str, filler: bool) -> Pool:
    return lambda allowed, size: getattr(_cut(allowed, size, filler), what)(2)


ANY, ALL = _pooled("any", False), _pooled("all", True)


def _any_and_all(cells: Tensor) -> Tensor:
    return cells.any(2).long() + cells.all(2).long()


def _kinds(
    partial: int = 1,
    full: int = 2,
    some: Pool = ANY,
    every: Pool = ALL,
    mask: Pool = lambda allowed, size: allowed,
    form: Form = lambda kinds: kinds,
) -> Callable[..., Any]:
    """A block map with what goes wrong as arguments: two numbers, what counts as some and as all, the mask, the result."""

    def answer(allowed: Tensor, block_size: int) -> Any:
        seen = mask(allowed, block_size)
        kinds = some(seen, block_size).long() * partial
        return form(kinds.masked_fill(every(seen, block_size), full))

    return answer


BLOCK_MAP = _spec(block_map, 3, _block_cases, _sizes((_causal(5, 7), 3), (_causal(13, 17), 4)), practice=True)(
    misconception(
        "full and partial swapped",
        "2 is a full block, whose cells are all allowed; 1 is a partial one.",
        _kinds(partial=2, full=1),
    ),
    misconception(
        "ragged edge never full",
        "A block at the edge has fewer cells; what was added must not count: it is full when all of *its* are True.",
        _kinds(every=_pooled("all", False)),
    ),
    misconception(
        "ragged edge never empty",
        'What was added at the edge must not count: True is right there for "all", not for "any".',
        _kinds(some=_pooled("any", True)),
    ),
    misconception(
        "ragged edge cut off",
        "The cells that do not fill a block are there as well: round the number of blocks up.",
        _kinds(mask=lambda allowed, size: allowed[: len(allowed) // size * size, : allowed.shape[1] // size * size]),
        lambda allowed, size: _any_and_all(allowed.unfold(0, size, size).unfold(1, size, size).flatten(2)),
        lambda allowed, size: _any_and_all(
            allowed.view(len(allowed) // size, size, -1, size).transpose(1, 2).flatten(2)
        ),
        lambda allowed, size: _any_and_all(
            allowed.view(len(allowed) // size, size, allowed.shape[1] // size, size).transpose(1, 2).flatten(2)
        ),
    ),
    misconception(
        "axes swapped",
        "The rows of the map are blocks of queries, its columns blocks of keys, as in the mask.",
        _kinds(form=lambda kinds: kinds.T),
    ),
    misconception(
        "full not told from partial",
        "Two questions are asked of a block: is any cell allowed, and are all? A full block is 2.",
        _kinds(full=1),
        _kinds(full=1, form=lambda kinds: kinds.bool()),
    ),
    misconception(
        "partial taken for empty",
        "A block with a single allowed cell must not be skipped: it is 1. Empty is when *no* cell is allowed.",
        _kinds(partial=0),
        _kinds(partial=0, full=1),
        _kinds(partial=0, full=1, form=lambda kinds: kinds.bool()),
    ),
    misconception(
        "inverted",
        "0 is an empty block, in which nothing is allowed, and 2 a full one; in the mask, True = may attend.",
        _kinds(mask=lambda allowed, size: ~allowed),
    ),
    misconception(
        "cells counted",
        "Not how many cells are allowed, but which of three kinds the block is: none, some, all.",
        lambda allowed, size: _cut(allowed, size, False).sum(2),
        lambda allowed, size: _cut(allowed, size, False).float().mean(2),
    ),
    *_as_numbers(_kinds()),
)


# --- tree_attention_mask ----------------------------------------------------------------------------------------------


def tree_attention_mask(parents: Int[Tensor, " nodes"]) -> Bool[Tensor, "nodes nodes"]:
    """True = may attend: in a tree of drafted tokens, each node sees itself and its ancestors up to the root.

        like ─┬─ green ─── tea             parents  -1 0 0 1 2
              └─ coffee ── <eos>
                                      like  green  coffee  tea  <eos>
                               like     ■     ⬚      ⬚      ⬚     ⬚
                              green     ■     ■      ⬚      ⬚     ⬚          ■ may attend
                             coffee     ■     ⬚      ■      ⬚     ⬚          ⬚ may not
                                tea     ■     ■      ⬚      ■     ⬚
                              <eos>     ■     ⬚      ■      ⬚     ■

    Args:
        parents: long, the node that each node continues, which comes before it; -1 for a root. There may be several
            roots, and no node at all.

    Returns:
        bool, `[nodes, nodes]`: rows ask, columns are asked. A loop is allowed here.

    Source: SpecInfer (2023), Medusa (2024).
    """
    above = parents.tolist()

    def sees(q: int, k: int) -> bool:
        node = q
        while node not in (k, -1):
            node = above[node]
        return bool(node == k)

    return fill((len(above), len(above)), sees, torch.bool, parents.device)


def _tree_cases(rng: torch.Generator) -> list[Case]:
    def case(about: str, *parents: int) -> Case:
        return Case(about, (torch.tensor(parents, dtype=torch.long),))

    def drawn(nodes: int, roots: int) -> list[int]:
        return [-1 if node < roots else integer(rng, 0, node - 1) for node in range(nodes)]

    return [
        case("a draft after “like”", -1, 0, 0, 1, 2),
        case("a draft after “like”, branch by branch", -1, 0, 1, 0, 3),
        case("a chain", -1, 0, 1, 2, 3),
        case("a star", -1, 0, 0, 0, 0),
        case("two roots", -1, -1, 0, 1, 2, 3),
        case("a root in the middle", -1, 0, 1, -1, 3, 0, 4),
        case("roots alone", -1, -1, -1),
        case("a full binary tree", -1, 0, 0, 1, 1, 2, 2),
        case("a branch deep down", -1, 0, 1, 2, 2, 3, 4, 5),
        case("branches of three lengths", -1, 0, 0, 0, 1, 2, 4),
        case("a drawn tree", *drawn(integer(rng, 6, 9), 1)),
        case("a drawn wood", *drawn(integer(rng, 6, 9), 3)),
        case("a chain of forty", *range(-1, 39)),
        case("a drawn wood of thirty", *drawn(30, 2)),
        case("a single node", -1),
        case("two nodes", -1, 0),
        case("no node"),
    ]


def _self(parents: Tensor) -> Tensor:
    return torch.eye(len(parents), dtype=torch.bool, device=parents.device)


def _up(parents: Tensor, steps: int) -> Tensor:
    """True up to that many steps up, the node itself included."""
    above = (parents[:, None] == torch.arange(len(parents), device=parents.device)).float()
    reached = _self(parents)
    for _ in range(steps):
        reached = reached | (reached.float() @ above > 0)
    return reached


def _ancestors(parents: Tensor) -> Tensor:
    return _up(parents, len(parents))


def _earlier(parents: Tensor) -> Tensor:
    return torch.ones(len(parents), len(parents), dtype=torch.bool, device=parents.device).tril()


def _last_for_none(parents: Tensor) -> Tensor:
    """Row by row from the parent's row; a root's -1 is the last row, which so far holds the last node alone."""
    allowed = _self(parents)
    for node in range(len(parents)):
        allowed[node] |= allowed[parents[node]]
    return allowed


TREE_SIZES = _sizes((torch.tensor([-1, 0, 0, 1]),), (torch.tensor([-1, 0, 0, 1, 2, 2, -1, 6]),))

TREE_ATTENTION_MASK = _spec(tree_attention_mask, 3, _tree_cases, TREE_SIZES, practice=True, **LOOPED_MASK)(
    misconception(
        "not up to the root",
        "The parent has a parent, too: go on up until there is none, however many they are, and see all of them.",
        lambda parents: _up(parents, 1) & ~_self(parents),
        *(lambda parents, steps=steps: _up(parents, steps) for steps in (1, 2, 3, 4)),
    ),
    misconception(
        "root 0 left out",
        "0 is a node, the first root: go on up until the parent is −1, and not only while it is above 0.",
        lambda parents: _ancestors(parents) & (torch.arange(len(parents), device=parents.device) > 0) | _self(parents),
    ),
    misconception(
        "siblings seen",
        "A sibling has the same parent, but it is another continuation: only what lies on the way up is seen.",
        lambda parents: _ancestors(parents) | (parents[:, None] == parents),
        lambda parents: _ancestors(parents) | (parents[:, None] == parents) & (parents >= 0),
    ),
    misconception(
        "plain causal",
        "Earlier is not enough: a node of another branch came earlier, and is a continuation that did not happen.",
        _earlier,
    ),
    misconception(
        "itself left out",
        "A node sees itself, too: the diagonal is True.",
        lambda parents: _ancestors(parents) & ~_self(parents),
    ),
    misconception(
        "descendants for ancestors",
        "Rows ask, columns are asked: here each node sees what comes after it in the tree.",
        lambda parents: _ancestors(parents).T,
        lambda parents: _up(parents, 1).T,
    ),
    misconception(
        "-1 taken for an index",
        "A root has no parent: −1 as an index is the *last* node. Stop there.",
        _last_for_none,
    ),
    misconception(
        "the first node is everybody's root",
        "There may be several roots: −1 is no node, so neither is node 0 an ancestor of all.",
        lambda parents: _up(parents.clamp(min=0), len(parents)),
    ),
    *_as_mask(lambda form: lambda parents: form(_ancestors(parents))),
)


SPECS = (
    MATERIALIZE,
    AND_MASKS,
    OR_MASKS,
    SLIDING_WINDOW_MOD,
    PADDING_MOD,
    DOCUMENT_MOD,
    ATTENTION_SINK_MOD,
    DOCUMENT_IDS,
    PACKED_POSITION_IDS,
    BLOCK_MAP,
    TREE_ATTENTION_MASK,
)
