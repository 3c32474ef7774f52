"""Padding masks: what the filler of a batch may do, which is nothing."""

import math
from collections.abc import Iterator
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook.specs.specification import (
    ALWAYS,
    HALVES,
    Case,
    Spec,
    attention_mask,
    coin,
    fill,
    gradients,
    integer,
    lengths,
    lowest_number,
    misconception,
    normal,
    view,
    wide,
)

HEADER = '''"""Notebook 01. Padding masks: from token ids to attention that never looks at the filler, and what comes after it."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise
'''

NO_AXES: tuple[int, ...] = ()


# --- padding_mask ----------------------------------------------------------------------------------------------------


def padding_mask(input_ids: Int[Tensor, "batch sequence"], pad_token_id: int) -> Bool[Tensor, "batch sequence"]:
    """True = padding: the cells to ignore (the one function of this course that says it this way round).

        I  like  coffee  <pad>              3 5 6 0   →   ⬚ ⬚ ⬚ ■          ■ True
        you like green   tea                4 5 7 8   →   ⬚ ⬚ ⬚ ⬚          ⬚ False

    Args:
        input_ids: token ids.
        pad_token_id: the id of `<pad>`; any number, 0 or not.

    Returns:
        bool, of the shape of `input_ids`.
    """
    ids = input_ids.tolist()
    return fill(input_ids.shape, lambda b, k: ids[b][k] == pad_token_id, torch.bool, input_ids.device)


def _padding_mask_cases(rng: torch.Generator) -> list[Case]:
    def ids(batch: int, sequence: int, pad: int, shortest: int = 1) -> Tensor:
        words = torch.randint(0, 50, (batch, sequence), generator=rng)
        words[words == pad] = 51
        words[:, :1] = 1  # a word, beside a padding of -1 too
        for row, length in enumerate(lengths(rng, batch, sequence, shortest)):
            words[row, length:] = pad
        return words

    batch, sequence, pad = integer(rng, 2, 4), integer(rng, 5, 7), integer(rng, 2, 49)
    zero_is_a_word = ids(batch, sequence, pad)
    zero_is_a_word[:, 0] = 0  # id 0 is a real token here, as in many vocabularies
    return [
        Case("the two sentences of the course", (torch.tensor([[3, 5, 6, 0], [4, 5, 7, 8]]), 0)),
        Case("a padding id other than 0, where 0 is a word", (zero_is_a_word, pad)),
        Case("a drawn batch", (ids(batch, sequence, 0), 0)),
        Case("padding on the left", (ids(batch, sequence, pad).flip(1), pad)),
        Case("an empty sentence", (ids(batch, sequence, pad, shortest=0) * 0 + pad, pad)),
        Case("no padding at all", (torch.randint(60, 90, (batch, sequence), generator=rng), pad)),
        Case("a single token", (torch.tensor([[pad]]), pad)),
        Case("sequence length 0", (ids(batch, 0, pad, shortest=0), pad)),
        Case("padding id -1", (ids(batch, sequence, -1), -1)),
        Case("large ids, as GPT-2's", (torch.randint(50_240, 50_257, (batch, 12), generator=rng), 50_256)),
    ]


def _padding_mask_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = (torch.randint(0, 4, shape, generator=rng) for shape in ((2, 5), (5, 11)))
    return Case("small", (small, 3)), Case("large", (large, 3))


PADDING_MASK = Spec(
    topic="padding",
    oracle=padding_mask,
    points=1,
    cases=_padding_mask_cases,
    sizes=_padding_mask_sizes,
    reading="padding",
    misconceptions=(
        misconception(
            "inverted",
            "This is the mask of the real tokens. Here True has to mean padding; `invert_mask` makes the other one.",
            lambda input_ids, pad_token_id: input_ids != pad_token_id,
        ),
        misconception(
            "padding id fixed at 0",
            "0 is not always the padding: compare with `pad_token_id`, or a real token of id 0 is hidden.",
            lambda input_ids, pad_token_id: input_ids == 0,
        ),
        misconception(
            "integer result",
            "Right cells, wrong kind: a comparison is bool already, and 0 and 1 would be added where True is ignored.",
            *(
                lambda input_ids, pad_token_id, dtype=dtype: (input_ids == pad_token_id).to(dtype)
                for dtype in (torch.long, torch.int, torch.uint8, torch.int8, torch.float, torch.double)
            ),
        ),
        misconception(
            "attention mask instead",
            "1 for real and 0 for padding is the tokenizer's `attention_mask`; here True has to mean padding.",
            *(
                lambda input_ids, pad_token_id, dtype=dtype: (input_ids != pad_token_id).to(dtype)
                for dtype in (torch.long, torch.int, torch.uint8, torch.int8, torch.float, torch.double)
            ),
        ),
    ),
)


# --- attention_mask_from_lengths -------------------------------------------------------------------------------------


def attention_mask_from_lengths(
    lengths: Int[Tensor, " batch"],
    max_length: int | None = None,
    padding_side: Literal["right", "left"] = "right",
) -> Int[Tensor, "batch sequence"]:
    """1 = real token, 0 = padding: the mask that no ids can give when `<pad>` and `<eos>` are one.

        lengths [3, 4], max_length 5:   right  1 1 1 0 0      left  0 0 1 1 1
                                               1 1 1 1 0            0 1 1 1 1

    Args:
        lengths: how many real tokens each sentence has; 0 is allowed.
        max_length: the sequence length; the longest sentence's if `None`.
        padding_side: where the padding stands, `"right"` or `"left"`.

    Returns:
        long, `[batch, max_length]`.

    Raises:
        ValueError: a length is negative or over `max_length`, or `padding_side` is neither word.
    """
    sizes = lengths.tolist()
    sequence_length = max(sizes) if max_length is None else max_length
    if padding_side not in ("right", "left"):
        raise ValueError(f"padding_side is {padding_side!r}; it can be 'right' or 'left'")
    for size in sizes:
        if not 0 <= size <= sequence_length:
            raise ValueError(f"lengths holds {size}; it must be between 0 and max_length = {sequence_length}")

    def real(b: int, k: int) -> int:
        return int(k < sizes[b] if padding_side == "right" else k >= sequence_length - sizes[b])

    return fill((len(sizes), sequence_length), real, torch.long, lengths.device)


def _from_lengths_cases(rng: torch.Generator) -> list[Case]:
    batch, longest = integer(rng, 3, 5), integer(rng, 4, 7)
    drawn = torch.tensor([*lengths(rng, batch, longest), longest])
    room = longest + integer(rng, 1, 3)
    return [
        Case("the two sentences, padded to 5", (torch.tensor([3, 4]), 5)),
        Case("no max_length: the longest decides", (drawn,)),
        Case("room to spare", (drawn, room)),
        Case("padding on the left", (drawn, room, "left")),
        Case("on the left, the longest decides", (drawn,), {"padding_side": "left"}),
        Case("an empty sentence and a full one", (torch.tensor([0, room]), room)),
        Case("the same on the left", (torch.tensor([0, room]), room, "left")),
        Case("as many sentences as positions", (torch.arange(longest), longest)),
        Case("one token", (torch.tensor([1]),)),
        Case("nothing but empty sentences", (torch.zeros(batch, dtype=torch.long),)),
        Case("max_length 0", (torch.zeros(batch, dtype=torch.long), 0)),
        Case("a length over max_length", (torch.tensor([2, longest + 1]), longest)),
        Case("a length over a max_length of 0", (torch.tensor([0, 1]), 0)),  # 0 is a length: `or` would pass it over
        Case("a negative length", (torch.tensor([2, -1]), longest)),
        Case("a padding side that is none", (drawn, room), {"padding_side": "both"}),
    ]


def _from_lengths_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (torch.tensor([3, 4]), 5)), Case("large", (torch.tensor([7, 4, 1, 9, 2]), 11))


def _positions(sizes: Tensor, max_length: int | None, padding_side: str) -> tuple[Tensor, Tensor]:
    """What a tidy learner starts from: positions `[1, S]` and lengths `[B, 1]`, after checking the arguments."""
    width = int(sizes.max()) if max_length is None else max_length
    if padding_side not in ("right", "left") or bool((sizes < 0).any()) or bool((sizes > width).any()):
        raise ValueError
    return torch.arange(width, device=sizes.device)[None, :], sizes[:, None]


def _off_by_one(right: int, left: int) -> Any:
    """Right padding counts ``right`` too many, left padding ``left`` too many."""

    def answer(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
        position, size = _positions(lengths, max_length, padding_side)
        if padding_side == "left":
            return (position >= position.shape[1] - size - left).long()
        return (position < size + right).long()

    return answer


def _one_sided(side: str) -> Any:
    def answer(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
        position, size = _positions(lengths, max_length, padding_side)
        return (position < size if side == "right" else position >= position.shape[1] - size).long()

    return answer


def _from_lengths_as(dtype: torch.dtype) -> Any:
    def answer(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
        return attention_mask_from_lengths(lengths, max_length, padding_side).to(dtype)  # type: ignore[arg-type]

    return answer


def _from_lengths_inverted(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
    return 1 - attention_mask_from_lengths(lengths, max_length, padding_side)  # type: ignore[arg-type]


def _sides_swapped(lengths: Tensor, max_length: int | None = None, padding_side: str = "right") -> Tensor:
    return attention_mask_from_lengths(lengths, max_length, padding_side).flip(1)  # type: ignore[arg-type]


ATTENTION_MASK_FROM_LENGTHS = Spec(
    topic="padding",
    oracle=attention_mask_from_lengths,
    points=2,
    cases=_from_lengths_cases,
    sizes=_from_lengths_sizes,
    reading="attention_mask",
    misconceptions=(
        misconception(
            "off by one",
            "A sentence of length 3 fills positions 0, 1 and 2: compare with `<`, not `<=`, and count the left side too.",
            *(_off_by_one(right, left) for right in (-1, 0, 1) for left in (-1, 0, 1) if (right, left) != (0, 0)),
        ),
        misconception(
            "padding_side ignored",
            "The padding stands on one side whatever `padding_side` says; on the left, the last `length` cells are real.",
            _one_sided("right"),
            _one_sided("left"),
        ),
        misconception(
            "sides swapped",
            "`padding_side` says where the padding stands, not where the words stand.",
            _sides_swapped,
        ),
        misconception(
            "bool result",
            "The cells are right, but an `attention_mask` holds whole numbers: `.long()` turns True into 1.",
            _from_lengths_as(torch.bool),
        ),
        misconception(
            "inverted",
            "1 has to stand on the real tokens: this mask says 1 where the padding is.",
            _from_lengths_inverted,
        ),
    ),
)


# --- expand_padding_mask ---------------------------------------------------------------------------------------------


def expand_padding_mask(
    attention_mask: Int[Tensor, "batch key"], num_heads: int, query_length: int
) -> Bool[Tensor, "batch heads query key"]:
    """True = may attend: hides padding *keys* from every head and every query, without a copy.

        attention_mask 1 1 1 0, one head, four queries:

                       I  like  coffee  <pad>
            I          ■   ■      ■       ⬚          ■ may attend
            like       ■   ■      ■       ⬚          ⬚ may not
            coffee     ■   ■      ■       ⬚
            <pad>      ■   ■      ■       ⬚          (a padding query still looks; nobody reads it)

    Args:
        attention_mask: 1 = real token, 0 = padding.
        num_heads: how many heads share it.
        query_length: how many queries; need not be the number of keys.

    Returns:
        bool `[batch, num_heads, query_length, key]`, an expanded view (stride 0 over heads and queries).
    """
    real = attention_mask.tolist()
    shape = (attention_mask.shape[0], num_heads, query_length, attention_mask.shape[1])
    return fill(shape, lambda b, h, q, k: real[b][k] == 1, torch.bool, attention_mask.device)


def _expand_cases(rng: torch.Generator) -> list[Case]:
    def mask(batch: int, sequence: int, side: str = "right", shortest: int = 1) -> Tensor:
        return attention_mask(lengths(rng, batch, sequence, shortest), sequence, side)

    other = integer(rng, 3, 5)
    return [
        Case("the two sentences, two heads", (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), 2, 4)),
        Case("no two sizes equal", (mask(2, 5), 3, 4)),
        Case("as many sentences as heads", (mask(3, 5), 3, 4)),
        Case("as many sentences as positions", (mask(4, 4), 3, 4)),
        Case("as many queries as keys", (mask(2, 5, "left"), 3, 5)),
        Case("one query, as in decoding", (mask(2, 6, "left"), 3, 1)),
        Case("one head", (mask(2, 4), 1, other)),
        Case("one sentence", (mask(1, 5), 2, 5)),
        Case("an empty sentence", (attention_mask([0, 4, 2], 4), 2, 4)),
        Case("a single token", (attention_mask([1], 1), 1, 1)),
        Case("no queries", (mask(2, 4), 3, 0)),
        Case("sequence length 0", (attention_mask([0, 0], 0), 3, 2)),
    ]


def _expand_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = attention_mask([3, 5], 5), attention_mask([3, 9, 1], 9)
    return Case("small", (small, 3, 4)), Case("large", (large, 5, 7))


def _rows_hidden(keys_too: bool, square: bool) -> Any:
    """Hides padding queries; ``square`` forgets that the number of queries is given, and takes that of the keys."""

    def answer(attention_mask: Tensor, num_heads: int, query_length: int) -> Tensor:
        real = attention_mask.bool()
        batch, key_length = real.shape
        allowed = real[:, None, :, None].expand(batch, 1, key_length, key_length)
        if keys_too:
            allowed = allowed & real[:, None, None, :]
        return allowed.expand(batch, num_heads, key_length if square else query_length, key_length)

    return answer


def _expanded(attention_mask: Tensor, num_heads: int, query_length: int) -> Tensor:
    batch, key_length = attention_mask.shape
    return attention_mask[:, None, None, :].expand(batch, num_heads, query_length, key_length)


def _on_heads(attention_mask: Tensor, num_heads: int, query_length: int) -> Tensor:
    batch, key_length = attention_mask.shape
    return attention_mask.bool()[:, None, :].expand(batch, num_heads, query_length, key_length)


def _on_queries(attention_mask: Tensor, num_heads: int, query_length: int) -> Tensor:
    batch, key_length = attention_mask.shape
    return attention_mask.bool().expand(batch, num_heads, query_length, key_length)


EXPAND_PADDING_MASK = Spec(
    topic="padding",
    oracle=expand_padding_mask,
    points=2,
    cases=_expand_cases,
    sizes=_expand_sizes,
    reading="allowed",
    properties=(*ALWAYS, view(1, 2)),
    misconceptions=(
        misconception(
            "query rows instead of key columns",
            "Rows ask, columns are asked: padding must not be looked at, so hide its column, `mask[:, None, None, :]`.",
            _rows_hidden(keys_too=False, square=False),
            _rows_hidden(keys_too=False, square=True),
        ),
        misconception(
            "query rows and key columns",
            "Hide the columns only: a padding row that may see nothing turns into NaN or a uniform mix, and helps nobody.",
            _rows_hidden(keys_too=True, square=False),
            _rows_hidden(keys_too=True, square=True),
        ),
        misconception(
            "repeat instead of expand",
            "The cells are right, but each got a copy of its own: `.bool()` first and `expand` last, with nothing after it.",
            lambda mask, heads, queries: mask.bool()[:, None, None, :].repeat(1, heads, queries, 1),
        ),
        misconception(
            "inverted",
            "True has to mean may attend: this mask shows the padding and hides the words.",
            lambda mask, heads, queries: ~_expanded(mask, heads, queries).bool(),
        ),
        misconception(
            "not bool",
            "The cells are right, but 1 and 0 are numbers: attention would add them to the scores. `.bool()` first.",
            _expanded,
            lambda mask, heads, queries: _expanded(mask, heads, queries).float(),
            lambda mask, heads, queries: _expanded(mask, heads, queries).int(),
        ),
        misconception(
            "(B, 1, S) lands on heads",
            "Broadcasting counts from the right: with three axes the batch axis meets the heads. Use `[:, None, None, :]`.",
            _on_heads,
        ),
        misconception(
            "(B, S) lands on queries",
            "Broadcasting counts from the right: with two axes the batch axis meets the queries. Use `[:, None, None, :]`.",
            _on_queries,
        ),
        misconception(
            "left to broadcasting",
            "The shape [B, 1, 1, S] would broadcast later, but here the heads and queries are asked for: `expand` it.",
            lambda mask, heads, queries: mask.bool()[:, None, None, :],
        ),
    ),
)


# --- additive_mask ---------------------------------------------------------------------------------------------------


def additive_mask(allowed: Bool[Tensor, "*axes"], dtype: torch.dtype) -> Float[Tensor, "*axes"]:
    """True = may attend goes in; a mask to *add* to the scores comes out: 0 or the most negative finite number.

        allowed  ■ ■ ■ ⬚      float32    0  0  0  -3.4028e+38
                              float16    0  0  0  -65504
                              bfloat16   0  0  0  -3.3895e+38

    Args:
        allowed: bool, of any shape.
        dtype: the floating dtype of the scores that the mask will be added to.

    Returns:
        `dtype`, of the shape of `allowed`: 0 where allowed, `torch.finfo(dtype).min` elsewhere (a -0.0 counts as 0).
    """
    flat = allowed.reshape(-1).tolist()
    lowest = torch.finfo(dtype).min
    return fill([len(flat)], lambda i: 0.0 if flat[i] else lowest, dtype, allowed.device).reshape(allowed.shape)


def _additive_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = (integer(rng, low, low + 2) for low in (2, 3, 4, 5))
    sentence = torch.tensor([True, True, True, False])
    return [
        Case("one sentence", (sentence, torch.float32)),
        Case("one sentence in half precision", (sentence, torch.float16)),
        Case("one sentence in bfloat16", (sentence, torch.bfloat16)),
        Case("queries and keys", (coin(rng, query, key), torch.bfloat16)),
        Case("four axes", (coin(rng, batch, heads, query, key), torch.float32)),
        Case("four axes in half precision", (coin(rng, batch, 1, 1, key), torch.float16)),
        Case("nothing allowed", (torch.zeros(query, key, dtype=torch.bool), torch.float16)),
        Case("all allowed", (torch.ones(query, key, dtype=torch.bool), torch.bfloat16)),
        Case("a single value", (torch.tensor(False), torch.float32)),
        Case("no cells at all", (coin(rng, batch, 0), torch.float32)),
    ]


def _additive_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = coin(rng, 2, 3, 4, 5), coin(rng, 3, 5, 7, 9)
    return Case("small", (small, torch.float16)), Case("large", (large, torch.float16))


def _additive_forms(value: Any) -> tuple[Any, ...]:
    """Return the spellings of an additive mask whose fill is ``value(dtype)``.

    The first two differ where the fill overflows (−∞, or an error), the third also where it is infinite (0 × −∞ is NaN).
    """

    def cast_at_the_end(allowed: Tensor, dtype: torch.dtype) -> Tensor:
        zero, fill = (torch.tensor(number, device=allowed.device) for number in (0.0, value(dtype)))
        return torch.where(allowed, zero, fill).to(dtype)

    def filled(allowed: Tensor, dtype: torch.dtype) -> Tensor:
        return torch.zeros(allowed.shape, dtype=dtype, device=allowed.device).masked_fill(~allowed, value(dtype))

    def multiplied(allowed: Tensor, dtype: torch.dtype) -> Tensor:
        return (1 - allowed.to(dtype)) * value(dtype)

    return cast_at_the_end, filled, multiplied


def _fixed_fills() -> Iterator[Any]:
    """The additive masks of a fill that does not ask for the dtype; one spelling will do where every dtype holds it."""
    for number in (-1e2, -1e3, -1e4, -65504.0):
        yield _additive_forms(lambda dtype, number=number: number)[0]
    for number in (-1e5, -1e6, -1e8, -1e9, -1e10, -1e12, -9e15, -1e20, -1e30):
        yield from _additive_forms(lambda dtype, number=number: number)[:2]


ADDITIVE_MASK = Spec(
    topic="padding",
    oracle=additive_mask,
    points=2,
    cases=_additive_cases,
    sizes=_additive_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "0 times -inf",
            "0 × −∞ is NaN, and it lands on the cells you wanted to keep: choose with `torch.where` or `masked_fill`.",
            *_additive_forms(lambda dtype: -math.inf)[2:],
        ),
        misconception(
            "-inf",
            "−∞ works until a row has no allowed key: then softmax gives NaN. `torch.finfo(dtype).min` is finite.",
            *_additive_forms(lambda dtype: -math.inf)[:2],
        ),
        misconception(
            "a fixed number",
            "−1e9 does not exist in float16 (it overflows) and smaller ones are too weak: ask `torch.finfo(dtype).min`.",
            *_fixed_fills(),
            *(lambda allowed, dtype, number=number: (1.0 - allowed.float()) * number for number in (-1e9, -1e4)),
        ),
        misconception(
            "float32's minimum in every dtype",
            "Each dtype has its own most negative number: float32's becomes −∞ in float16. Ask `torch.finfo(dtype).min`.",
            *_additive_forms(lambda dtype: torch.finfo(torch.float32).min)[:2],
        ),
        misconception(
            "inverted",
            "0 keeps and the large negative number hides: here the allowed cells are the hidden ones.",
            lambda allowed, dtype: additive_mask(~allowed, dtype),
        ),
        misconception(
            "the smallest positive number",
            "`torch.finfo(dtype).tiny` and `eps` are next to 0 and hide nothing; `min` is the most negative number.",
            *_additive_forms(lambda dtype: torch.finfo(dtype).tiny)[:1],
            *_additive_forms(lambda dtype: torch.finfo(dtype).eps)[:1],
        ),
        misconception(
            "dtype ignored",
            "The mask has to be of `dtype`, the dtype of the scores, or the sum changes theirs.",
            lambda allowed, dtype: torch.where(allowed, 0.0, lowest_number(dtype)),
            lambda allowed, dtype: additive_mask(allowed, torch.float32),
            lambda allowed, dtype: (1 - allowed.long()) * lowest_number(dtype),
        ),
        misconception(
            "1 - mask on a bool",
            "Bools do not subtract: `1 - allowed` raises. Turn them over with `~`, or choose with `torch.where`.",
            lambda allowed, dtype: (1 - allowed) * lowest_number(dtype),
            lambda allowed, dtype: (True - allowed) * lowest_number(dtype),
            lambda allowed, dtype: (torch.ones_like(allowed) - allowed) * lowest_number(dtype),
        ),
    ),
)


# --- masked_softmax --------------------------------------------------------------------------------------------------


def masked_softmax(
    scores: Float[Tensor, "batch heads query key"], allowed: Bool[Tensor, "*#axes"]
) -> Float[Tensor, "batch heads query key"]:
    """True = may attend: each row shares out 1 among its allowed keys, and forbidden keys get exactly 0.

        row "I" of the course, its scores as shares (eˢᶜᵒʳᵉ) 1 2 1 4, its mask ■ ■ ■ ⬚:

            ¼ ½ ¼ 0

    Args:
        scores: attention scores, already scaled.
        allowed: bool, broadcastable to `scores`; every row has at least one allowed key here.

    Returns:
        The weights, of the shape and dtype of `scores`; `scores` itself is left as it was.
    """
    seen = torch.broadcast_to(allowed, scores.shape)
    rows = []
    for row, row_seen in zip(
        scores.reshape(-1, scores.shape[-1]), seen.reshape(-1, seen.shape[-1]).tolist(), strict=True
    ):
        highest = max(float(score.detach()) for score, may in zip(row, row_seen, strict=True) if may)
        shares = [
            (wide(score) - highest).exp() if may else wide(score) * 0 for score, may in zip(row, row_seen, strict=True)
        ]
        rows.append(torch.stack(shares) / sum(shares))
    weights = torch.stack(rows) if rows else scores.reshape(0, scores.shape[-1])
    return weights.to(scores.dtype).reshape(scores.shape)


def _allowed(rng: torch.Generator, *shape: int) -> Tensor:
    """Draw what is allowed: each row at least one key, and (if there are two) at least one forbidden."""
    allowed = coin(rng, *shape)
    keys = shape[-1]
    if keys > 1 and allowed.numel():
        order = torch.rand(shape, generator=rng).argsort(-1)
        allowed = torch.where(order == 0, True, torch.where(order == 1, False, allowed))
    elif keys == 1:
        allowed = torch.ones_like(allowed)
    return allowed


def _softmax_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = 2, 3, integer(rng, 3, 4), integer(rng, 5, 6)
    sentence = torch.tensor([[[[1.0, 2, 1, 4], [2, 1, 1, 4], [1, 1, 2, 4], [1, 3, 4, 8]]]]).log()
    columns = torch.tensor([True, True, True, False])
    low = normal(rng, batch, heads, query, key) - 160  # every score below -100: a fill of -100 would win
    far = normal(rng, 1, 1, 2, 4)
    far[..., 0] += 140.0  # the hidden key leads by more than 100: an added -100 is not enough
    very_low = normal(rng, 1, 2, query, key) - 3e4
    very_far = normal(rng, 1, 1, 2, 4)
    very_far[..., 3] += 3e4
    return [
        Case("the first sentence of the course", (sentence, columns)),
        Case("a mask per sentence", (normal(rng, batch, heads, query, key), _allowed(rng, batch, 1, 1, key))),
        Case("a mask per head", (normal(rng, batch, heads, query, key), _allowed(rng, batch, heads, query, key))),
        Case("a mask of queries and keys", (normal(rng, batch, heads, query, key), _allowed(rng, query, key))),
        Case("as many queries as keys", (normal(rng, batch, heads, key, key), _allowed(rng, batch, 1, key, key))),
        Case("scores below -100", (low, _allowed(rng, batch, 1, 1, key)), tolerance=1e-3),
        Case("a hidden key that leads by more than 100", (far, torch.tensor([False, True, True, True]))),
        Case("a hidden key that leads by 30,000", (very_far, torch.tensor([True, True, True, False]))),
        # float32 counts in steps of 0.002 there, so that right answers differ, too.
        Case("scores below -10,000", (very_low, _allowed(rng, 1, 1, 1, key)), tolerance=2e-2),
        Case("all allowed", (normal(rng, batch, heads, query, key), torch.ones(1, 1, 1, key, dtype=torch.bool))),
        Case("one key", (normal(rng, batch, heads, query, 1), torch.ones(1, dtype=torch.bool))),
        Case("one query", (normal(rng, batch, heads, 1, key), _allowed(rng, batch, 1, 1, key))),
        Case("no queries", (normal(rng, batch, heads, 0, key), torch.ones(key, dtype=torch.bool))),
        *(
            Case(f"in {str(dtype)[6:]}", (normal(rng, 2, 2, 3, 4, dtype=dtype), _allowed(rng, 2, 1, 1, 4)))
            for dtype in (torch.float16, torch.bfloat16)
        ),
    ]


def _softmax_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (normal(rng, 2, 3, 4, 5), _allowed(rng, 2, 3, 4, 5))
    large = (normal(rng, 3, 5, 7, 9), _allowed(rng, 3, 5, 7, 9))
    return Case("small", small), Case("large", large)


def _filled_softmax(number: float, axis: int = -1) -> tuple[Any, ...]:
    """Return the ways to put ``number`` on forbidden scores: in their place, or added to them, with or without a cast."""
    return (
        lambda scores, allowed: scores.masked_fill(~allowed, number).softmax(axis),
        lambda scores, allowed: (scores + (~allowed).to(scores.dtype) * number).softmax(axis),
        lambda scores, allowed: (scores + ~allowed * number).softmax(axis),
    )


def _lowest_softmax(scores: Tensor, allowed: Tensor, axis: int) -> Tensor:
    return scores.masked_fill(~allowed, lowest_number(scores.dtype)).softmax(axis)


def _axis_misconception(axis: int) -> tuple[Any, ...]:
    return (
        lambda scores, allowed: scores.masked_fill(~allowed, -math.inf).softmax(axis),
        lambda scores, allowed: _lowest_softmax(scores, allowed, axis),
        lambda scores, allowed: (scores + additive_mask(allowed, scores.dtype)).softmax(axis),
        lambda scores, allowed: torch.nan_to_num(scores.masked_fill(~allowed, -math.inf).softmax(axis)),
    )


def _share_out(shares: Tensor, tiny: float = 0.0) -> Tensor:
    return shares / (shares.sum(-1, keepdim=True) + tiny)


MASKED_SOFTMAX = Spec(
    topic="padding",
    oracle=masked_softmax,
    points=2,
    cases=_softmax_cases,
    sizes=_softmax_sizes,
    reading="weights",
    properties=(*ALWAYS, gradients(0)),
    misconceptions=(
        misconception(
            "softmax over the query axis",
            "Each query shares out its attention among the keys: the softmax runs over the last axis, `dim=-1`.",
            *_axis_misconception(-2),
        ),
        misconception(
            "softmax over the heads or the batch",
            "Heads and sentences know nothing of each other: the softmax runs over the keys, the last axis, `dim=-1`.",
            *_axis_misconception(1),
            *_axis_misconception(0),
        ),
        misconception(
            "zeroed after the softmax",
            "The forbidden keys had their share before you took it away: the rows no longer sum to 1. Mask the scores.",
            lambda scores, allowed: scores.softmax(-1) * allowed,
            lambda scores, allowed: scores.softmax(-1).masked_fill(~allowed, 0.0),
        ),
        misconception(
            "renormalised after the softmax",
            "Right until a hidden score leads by far: then 0 is all that is left to share out. Mask before the softmax.",
            lambda scores, allowed: _share_out(scores.softmax(-1) * allowed),
            lambda scores, allowed: _share_out(scores.softmax(-1) * allowed, 1e-9),
            lambda scores, allowed: _share_out((scores - scores.amax(-1, keepdim=True)).exp() * allowed),
            lambda scores, allowed: _share_out(scores.exp() * allowed),
        ),
        misconception(
            "forbidden scores set to 0",
            "A score of 0 is a score like any other: e⁰ = 1 is a share. Nothing is −∞, not 0.",
            lambda scores, allowed: scores.masked_fill(~allowed, 0.0).softmax(-1),
            lambda scores, allowed: (scores * allowed).softmax(-1),
        ),
        misconception(
            "0/1 mask added",
            "Adding 1 to the allowed scores is a nudge, not a wall: the forbidden keys keep a share.",
            lambda scores, allowed: (scores + allowed).softmax(-1),
            lambda scores, allowed: (scores + allowed.to(scores.dtype)).softmax(-1),
        ),
        misconception(
            "-100 for minus infinity",
            "−100 (and −1e4) is only a number: a score that leads by more wins all the same. Fill with −∞ or `finfo.min`.",
            *(form for number in (-100.0, -1e3, -1e4) for form in _filled_softmax(number)),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: fill with −∞ or `torch.finfo(scores.dtype).min`.",
            lambda scores, allowed: scores.masked_fill(~allowed, -1e9).softmax(-1),
        ),
        misconception(
            "scores changed in place",
            "The weights are right, but the caller's scores were overwritten: `masked_fill`, without the underscore.",
            lambda scores, allowed: scores.masked_fill_(~allowed, -math.inf).softmax(-1),
        ),
        misconception(
            "0 times -inf",
            "0 × −∞ is NaN, and it lands on the keys you wanted to keep: choose with `torch.where` or `masked_fill`.",
            lambda scores, allowed: (scores + (~allowed) * -math.inf).softmax(-1),
        ),
        misconception(
            "no mask",
            "The mask changes nothing here: the forbidden keys have to get exactly 0.",
            lambda scores, allowed: scores.softmax(-1),
        ),
        misconception(
            "inverted",
            "True means may attend: here the allowed keys are the hidden ones.",
            lambda scores, allowed: scores.masked_fill(allowed, -math.inf).softmax(-1),
            lambda scores, allowed: scores.masked_fill(allowed, lowest_number(scores.dtype)).softmax(-1),
        ),
    ),
)


# --- padded_attention ------------------------------------------------------------------------------------------------


def padded_attention(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    attention_mask: Int[Tensor, "batch key"],
) -> tuple[Float[Tensor, "batch heads query dim"], Float[Tensor, "batch heads query key"]]:
    """1 = real key, 0 = padding key: scaled dot-product attention in which nobody looks at the padding.

        weights of "I like coffee <pad>":     I  like  coffee  <pad>
                                       I      ¼   ½      ¼       0
                                       …      (every row: 0 in the padding's column; the padding's row stays)

    Args:
        query, key, value: what attention works on; the number of queries need not be that of keys.
        attention_mask: 1 = real token, 0 = padding; every sentence has a real token here.

    Returns:
        The output and the weights. Scores are divided by √dim.
    """
    batch, heads, query_length, dim = query.shape
    key_length = key.shape[2]
    outputs, weights = [], []
    for b in range(batch):
        real = [k for k in range(key_length) if int(attention_mask[b, k]) == 1]
        for h in range(heads):
            q, k, v = (wide(tensor[b, h]) for tensor in (query, key, value))
            for row in range(query_length):
                shares = ((k[real] * q[row]).sum(-1) / math.sqrt(dim)).softmax(-1)
                weights.append(shares.new_zeros(key_length).index_copy(0, torch.tensor(real, device=q.device), shares))
                outputs.append((shares[:, None] * v[real]).sum(0))
    shape = (batch, heads, query_length)
    if not outputs:
        return query.new_zeros(*shape, value.shape[-1]), query.new_zeros(*shape, key_length)
    return (
        torch.stack(outputs).to(query.dtype).reshape(*shape, value.shape[-1]),
        torch.stack(weights).to(query.dtype).reshape(*shape, key_length),
    )


def _attention_inputs(
    rng: torch.Generator,
    sizes: tuple[int, int, int, int, int],
    mask: Tensor,
    dtype: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    batch, heads, query_length, key_length, dim = sizes
    query = normal(rng, batch, heads, query_length, dim, dtype=dtype)
    key, value = (normal(rng, batch, heads, key_length, dim, dtype=dtype) for _ in range(2))
    return query, key, value, mask


def _attention_cases(rng: torch.Generator) -> list[Case]:
    def case(
        about: str, sizes: tuple[int, int, int, int, int], side: str = "right", dtype: torch.dtype = torch.float32
    ):
        batch, key_length = sizes[0], sizes[3]
        mask = attention_mask(lengths(rng, batch, key_length), key_length, side)
        query, key, value, mask = _attention_inputs(rng, sizes, mask, dtype)
        value = torch.where(mask[:, None, :, None] == 1, value, value + 8)  # loud padding: a leak is heard
        return Case(about, (query, key, value, mask))

    full = _attention_inputs(rng, (2, 3, 4, 5, 8), torch.ones(2, 5, dtype=torch.long))
    return [
        case("two sentences", (2, 3, 4, 4, 8)),
        case("no two sizes equal", (2, 3, 4, 5, 8)),
        case("padding on the left", (2, 3, 5, 5, 8), "left"),
        case("as many sentences as heads", (3, 3, 4, 5, 8)),
        case("as many sentences as queries", (4, 3, 4, 5, 2)),
        case("as many sentences as keys", (4, 2, 3, 4, 2)),
        case("one query, as in decoding", (2, 3, 1, 6, 4), "left"),
        Case("no padding", full),
        case("one head, one sentence", (1, 1, 3, 4, 4)),
        case("one key", (2, 2, 3, 1, 4)),
        case("dim 1", (2, 3, 4, 4, 1)),
        case("no queries", (2, 3, 0, 4, 8)),
        _far_apart(rng),
        case("in float16", (2, 2, 3, 4, 4), dtype=torch.float16),
        case("in bfloat16", (2, 2, 3, 4, 4), dtype=torch.bfloat16),
    ]


def _far_apart(rng: torch.Generator) -> Case:
    """Real keys score below -10,000 and the padding's lead by more: only −∞, or a format's minimum, hides it.

    All numbers are whole, so that every right answer computes these scores without rounding.
    """
    mask = attention_mask([2, 3], 4)
    real = torch.randint(0, 3, (2, 2, 4, 4), generator=rng) - 8192.0
    key = torch.where(mask[:, None, :, None] == 1, real, torch.tensor(8192.0))
    return Case("padding that leads by far", (torch.ones(2, 2, 3, 4), key, normal(rng, 2, 2, 4, 4), mask))


def _attention_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = _attention_inputs(rng, (2, 3, 4, 5, 8), attention_mask([3, 4], 5))
    large = _attention_inputs(rng, (3, 5, 7, 9, 8), attention_mask([3, 8, 5], 9))
    return Case("small", small), Case("large", large)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None, scale: float | None = None, number: Any = None
) -> Any:
    """Plain attention, as a learner writes it, with the parts that go wrong as arguments."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ key.transpose(-2, -1) * scale
    if allowed is not None:
        scores = scores.masked_fill(~allowed, lowest_number(scores.dtype) if number is None else number)
    weights = scores.softmax(-1)
    return weights @ value, weights


def _columns(mask: Tensor) -> Tensor:
    return mask.bool()[:, None, None, :]


def _rows(mask: Tensor) -> Tensor:
    return mask.bool()[:, None, :, None]


def _rows_too(number: Any, zeroed: bool = False) -> Any:
    def answer(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
        output, weights = _attend(query, key, value, _columns(mask) & _rows(mask), number=number)
        return (torch.nan_to_num(output), torch.nan_to_num(weights)) if zeroed else (output, weights)

    return answer


def _zeroed_after(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
    output, weights = _attend(query, key, value, _columns(mask))
    return output * mask[:, None, :, None], weights


def _zeroed_padding(keys_too: bool) -> Any:
    def answer(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
        real = mask[:, None, :, None].to(value.dtype)
        return _attend(query, key * real if keys_too else key, value * real, None)

    return answer


def _weights_times_mask(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
    weights = _attend(query, key, value, None)[1] * _columns(mask)
    return weights @ value, weights


def _attend_adding(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> Any:
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = (scores + bias[:, None, None, :].to(scores.dtype)).softmax(-1)
    return weights @ value, weights


def _renormalised(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Any:
    weights = _share_out(_attend(query, key, value, None)[1] * _columns(mask))
    return weights @ value, weights


PADDED_ATTENTION = Spec(
    topic="padding",
    oracle=padded_attention,
    points=3,
    cases=_attention_cases,
    sizes=_attention_sizes,
    properties=(*ALWAYS, gradients(0, 1, 2)),
    reading="weights",
    reading_leaf=1,  # the output is no mask, the weights are
    misconceptions=(
        misconception(
            "no scaling by √dim",
            "The scores are not divided by √dim, so the softmax is too sharp; the wider the heads, the sharper.",
            lambda query, key, value, mask: _attend(query, key, value, _columns(mask), scale=1.0),
        ),
        misconception(
            "scaled by dim",
            "The scores are divided by dim; the spread of a dot product grows with √dim.",
            lambda query, key, value, mask: _attend(query, key, value, _columns(mask), scale=1 / query.shape[-1]),
        ),
        misconception(
            "query rows masked too",
            "Hide the padding's columns only: its rows, with nothing left to see, become uniform mixes or NaN.",
            _rows_too(None),
            _rows_too(-math.inf),
            _rows_too(-math.inf, zeroed=True),
            _zeroed_after,
        ),
        misconception(
            "query rows instead of key columns",
            "Rows ask, columns are asked: here the padding is forbidden to ask, and everybody still looks at it.",
            lambda query, key, value, mask: _attend(query, key, value, _rows(mask)),
            lambda query, key, value, mask: _attend(query, key, value, _rows(mask), number=-math.inf),
        ),
        misconception(
            "inverted",
            "1 is a real token: here everything looks at the padding and at nothing else.",
            lambda query, key, value, mask: _attend(query, key, value, ~_columns(mask)),
            lambda query, key, value, mask: _attend(query, key, value, ~_columns(mask), number=-math.inf),
        ),
        misconception(
            "no mask",
            "`attention_mask` is not used: the padding takes its share of every row.",
            lambda query, key, value, mask: _attend(query, key, value, None),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: fill with −∞ or `torch.finfo(scores.dtype).min`.",
            lambda query, key, value, mask: _attend(query, key, value, _columns(mask), number=-1e9),
        ),
        misconception(
            "-100 for minus infinity",
            "−100 (and −1e4) is only a number: a score that leads by more wins all the same. Fill with −∞ or `finfo.min`.",
            *(
                lambda query, key, value, mask, number=number: _attend(query, key, value, _columns(mask), number=number)
                for number in (-20.0, -30.0, -50.0, -100.0, -1e3, -1e4)
            ),
            *(
                lambda query, key, value, mask, number=number: _attend_adding(query, key, value, (1 - mask) * number)
                for number in (-100.0, -1e3, -1e4)
            ),
        ),
        misconception(
            "renormalised after the softmax",
            "Right until the padding's score leads by far: then 0 is all that is left to share out. Mask before the softmax.",
            _renormalised,
        ),
        misconception(
            "0/1 mask added",
            "Adding 1 to the real keys' scores is a nudge, not a wall: the padding keeps a share.",
            lambda query, key, value, mask: _attend_adding(query, key, value, mask),
        ),
        misconception(
            "padding scores set to 0",
            "A score of 0 is a score like any other: e⁰ = 1 is a share. Nothing is −∞, not 0.",
            lambda query, key, value, mask: _attend(query, key, value, _columns(mask), number=0.0),
        ),
        misconception(
            "output and weights swapped",
            "Both are right, but the output comes first and the weights second.",
            lambda query, key, value, mask: _attend(query, key, value, _columns(mask))[::-1],
        ),
        misconception(
            "padding values zeroed instead of masked",
            "A zero vector is not nothing: its score is a score, and it takes weight from the words. Mask the scores.",
            _zeroed_padding(keys_too=False),
            _zeroed_padding(keys_too=True),
        ),
        misconception(
            "weights zeroed after the softmax",
            "The padding had its share before you took it away: the rows no longer sum to 1. Mask the scores.",
            _weights_times_mask,
        ),
        misconception(
            "(B, 1, S) lands on heads",
            "Broadcasting counts from the right: (B, 1, S) puts sentence 1's mask on head 1. Use `[:, None, None, :]`.",
            lambda query, key, value, mask: _attend(query, key, value, mask.bool()[:, None, :]),
            lambda query, key, value, mask: _attend(query, key, value, mask.bool()[:, None, :], number=-math.inf),
        ),
        misconception(
            "(B, S) lands on queries",
            "Broadcasting counts from the right: (B, S) puts sentence 1's mask on query 1. Use `[:, None, None, :]`.",
            lambda query, key, value, mask: _attend(query, key, value, mask.bool()),
            lambda query, key, value, mask: _attend(query, key, value, mask.bool(), number=-math.inf),
        ),
    ),
)


# --- masked_mean -----------------------------------------------------------------------------------------------------


def masked_mean(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    """1 = real token, 0 = padding: the mean over the real tokens, one vector a sentence.

        values  (1,0) (0,1) (1,1) (8,8)     mask  1 1 1 0     →     (⅔, ⅔)

    Args:
        hidden: one vector a token.
        attention_mask: 1 = real token, 0 = padding; on either side.

    Returns:
        The means, in the dtype of `hidden`; zeros for a sentence without a real token.
    """
    batch, sequence, dim = hidden.shape
    means = []
    for b in range(batch):
        real = [wide(hidden[b, s]) for s in range(sequence) if int(attention_mask[b, s]) == 1]
        means.append(sum(real, wide(hidden.new_zeros(dim))) / max(len(real), 1))
    return torch.stack(means).to(hidden.dtype) if means else hidden.new_zeros(0, dim)


def _pool_case(
    rng: torch.Generator,
    about: str,
    sizes: list[int],
    sequence: int,
    side: str = "right",
    dtype: torch.dtype = torch.float32,
) -> Case:
    mask = attention_mask(sizes, sequence, side)
    hidden = normal(rng, len(sizes), sequence, 3, dtype=dtype)
    return Case(about, (torch.where(mask[..., None] == 1, hidden, hidden + 8), mask))  # loud padding


def _mean_cases(rng: torch.Generator) -> list[Case]:
    batch, sequence = integer(rng, 2, 4), integer(rng, 5, 7)
    drawn = lengths(rng, batch, sequence)
    values = torch.tensor([[[1.0, 0], [0, 1], [1, 1], [8, 8]]])
    return [
        Case("the first sentence of the course", (values, torch.tensor([[1, 1, 1, 0]]))),
        _pool_case(rng, "a drawn batch", drawn, sequence),
        _pool_case(rng, "padding on the left", drawn, sequence, "left"),
        _pool_case(rng, "no padding", [sequence] * batch, sequence),
        _pool_case(rng, "as many sentences as positions", [1, 4, 2, 3], 4),
        _pool_case(rng, "a sentence of one token", [1, sequence], sequence),
        _pool_case(rng, "an empty sentence", [2, 0, sequence], sequence),
        _pool_case(rng, "an empty sentence among left-padded ones", [0, 3], sequence, "left"),
        _pool_case(rng, "a single position", [1, 0], 1),
        _pool_case(rng, "sequence length 0", [0, 0], 0),
        *(_pool_case(rng, f"in {str(dtype)[6:]}", [2, 4, 0], 4, dtype=dtype) for dtype in HALVES),
    ]


def _pool_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return _pool_case(rng, "small", [3, 5], 5), _pool_case(rng, "large", [3, 9, 1], 9)


def _real(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden * mask[..., None].to(hidden.dtype)


MASKED_MEAN = Spec(
    topic="padding",
    oracle=masked_mean,
    points=2,
    cases=_mean_cases,
    sizes=_pool_sizes,
    properties=(*ALWAYS, gradients(0)),
    misconceptions=(
        misconception(
            "divides by the padded length",
            "The padding is left out of the sum but still counted: divide by the number of real tokens.",
            lambda hidden, mask: _real(hidden, mask).mean(1),
            lambda hidden, mask: _real(hidden, mask).sum(1) / max(hidden.shape[1], 1),
        ),
        misconception(
            "padding included",
            "This is the mean over all positions: the padding's vectors are in it.",
            lambda hidden, mask: hidden.mean(1),
            lambda hidden, mask: hidden.sum(1) / max(hidden.shape[1], 1),
            lambda hidden, mask: torch.where(mask.sum(1, keepdim=True) > 0, hidden.mean(1), 0.0),
            lambda hidden, mask: hidden.sum(1) / mask.sum(1, keepdim=True).clamp(min=1),
        ),
        misconception(
            "NaN on an empty sentence",
            "A sentence without a real token divides 0 by 0 (1e-9 is 0 in float16): `clamp(min=1)` the count.",
            lambda hidden, mask: _real(hidden, mask).sum(1) / mask.sum(1, keepdim=True).to(hidden.dtype),
            lambda hidden, mask: (
                _real(hidden, mask).sum(1) / mask.sum(1, keepdim=True).to(hidden.dtype).clamp(min=1e-9)
            ),
        ),
        misconception(
            "sum instead of mean",
            "The real tokens are added up, but not divided by how many there are.",
            lambda hidden, mask: _real(hidden, mask).sum(1),
        ),
        misconception(
            "inverted",
            "1 is a real token: this is the mean over the padding.",
            lambda hidden, mask: masked_mean(hidden, 1 - mask),
            lambda hidden, mask: _real(hidden, 1 - mask).sum(1) / (1 - mask).sum(1, keepdim=True),
        ),
    ),
)


# --- last_token_pool -------------------------------------------------------------------------------------------------


def last_token_pool(
    hidden: Float[Tensor, "batch sequence dim"], attention_mask: Int[Tensor, "batch sequence"]
) -> Float[Tensor, "batch dim"]:
    """1 = real token, 0 = padding: the vector of each sentence's last real token, whichever side is padded.

        right   I    like  coffee  <pad>        left   <pad>  I  like  coffee
                1     1      1       0                   0    1    1     1
                             ↑                                           ↑

    Args:
        hidden: one vector a token, at least one position.
        attention_mask: 1 = real token, 0 = padding; each sentence may be padded on either side.

    Returns:
        One vector a sentence; zeros for a sentence without a real token.
    """
    batch, sequence, dim = hidden.shape
    rows = []
    for b in range(batch):
        real = [s for s in range(sequence) if int(attention_mask[b, s]) == 1]
        rows.append(hidden[b, real[-1]] if real else hidden.new_zeros(dim))
    return torch.stack(rows) if rows else hidden.new_zeros(0, dim)


def _last_cases(rng: torch.Generator) -> list[Case]:
    batch, sequence = integer(rng, 2, 4), integer(rng, 5, 7)
    drawn = lengths(rng, batch, sequence)
    both = attention_mask([2, 3], sequence)
    both[1] = both[1].flip(0)
    return [
        Case(
            "the first sentence of the course",
            (torch.tensor([[[1.0, 0], [0, 1], [1, 1], [8, 8]]]), torch.tensor([[1, 1, 1, 0]])),
        ),
        _pool_case(rng, "padding on the right", drawn, sequence),
        _pool_case(rng, "padding on the left", drawn, sequence, "left"),
        _pool_case(rng, "no padding", [sequence] * batch, sequence),
        Case("one sentence padded on each side", (normal(rng, 2, sequence, 3), both)),
        _pool_case(rng, "as many sentences as positions", [1, 4, 2, 3], 4),
        _pool_case(rng, "a sentence of one token", [1, sequence], sequence),
        _pool_case(rng, "the same on the left", [1, sequence], sequence, "left"),
        _pool_case(rng, "an empty sentence", [2, 0, sequence], sequence),
        _pool_case(rng, "an empty sentence among left-padded ones", [0, 3], sequence, "left"),
        _pool_case(rng, "a single position", [1, 0], 1),
        *(_pool_case(rng, f"in {str(dtype)[6:]}", [2, 4, 0], 4, dtype=dtype) for dtype in HALVES),
    ]


def _take(hidden: Tensor, index: Tensor, mask: Tensor, zeroed: bool) -> Tensor:
    picked = hidden[torch.arange(hidden.shape[0], device=hidden.device), index]
    return torch.where(mask.any(1)[:, None], picked, 0.0) if zeroed else picked


LAST_TOKEN_POOL = Spec(
    topic="padding",
    oracle=last_token_pool,
    points=2,
    cases=_last_cases,
    sizes=_pool_sizes,
    properties=(*ALWAYS, gradients(0)),
    misconceptions=(
        misconception(
            "the last column",
            "`hidden[:, -1]` is the last position, which is padding when the padding stands on the right.",
            lambda hidden, mask: hidden[:, -1],
            lambda hidden, mask: torch.where(mask.any(1)[:, None], hidden[:, -1], 0.0),
            lambda hidden, mask: _real(hidden, mask)[:, -1],
        ),
        misconception(
            "the number of tokens as index",
            "`mask.sum(1) - 1` is the last token's place only when the padding stands on the right.",
            *(
                lambda hidden, mask, zeroed=zeroed, lowest=lowest: _take(
                    hidden, (mask.sum(1) - 1).clamp(min=lowest), mask, zeroed
                )
                for zeroed in (False, True)
                for lowest in (-1, 0)
            ),
            lambda hidden, mask: _one_side_for_all(hidden, mask, zeroed=False),
            lambda hidden, mask: _one_side_for_all(hidden, mask, zeroed=True),
        ),
        misconception(
            "an empty sentence gives a vector",
            "A sentence without a real token has no last one: its row has to be zeros.",
            lambda hidden, mask: _take(hidden, _last_index(mask), mask, zeroed=False),
            lambda hidden, mask: _take(hidden, _last_index(mask).where(mask.any(1), -1), mask, zeroed=False),
        ),
        misconception(
            "the first real token",
            "This is the first real token of each sentence; the last one has seen the whole sentence.",
            lambda hidden, mask: _take(hidden, mask.argmax(1), mask, zeroed=True),
            lambda hidden, mask: _take(hidden, mask.argmax(1), mask, zeroed=False),
        ),
        misconception(
            "the first column",
            "`hidden[:, 0]` suits a BERT, whose first token sums up the sentence; here the last real token is asked for.",
            lambda hidden, mask: hidden[:, 0],
            lambda hidden, mask: torch.where(mask.any(1)[:, None], hidden[:, 0], 0.0),
        ),
    ),
)


def _one_side_for_all(hidden: Tensor, mask: Tensor, zeroed: bool) -> Tensor:
    """The way of E5's model card: left padding if the last column is all real, else right padding, for every sentence."""
    if bool(mask[:, -1].all()):
        return hidden[:, -1]
    return _take(hidden, mask.sum(1) - 1, mask, zeroed)


def _last_index(mask: Tensor) -> Tensor:
    return (mask * torch.arange(mask.shape[1], device=mask.device)).argmax(1)


# --- extended_attention_mask -----------------------------------------------------------------------------------------


def extended_attention_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 1 key"]:
    """1 = real token goes in; what to *add* to the scores of every head and query comes out: 0 or `finfo(dtype).min`.

        1 1 1 0 0   →   [[[0, 0, 0, -3.4028e+38, -3.4028e+38]]]

    Args:
        attention_mask: 1 = real token, 0 = padding.
        dtype: the floating dtype of the scores.

    Returns:
        `dtype`, `[batch, 1, 1, key]`, ready to broadcast over heads and queries.

    Source: what `get_extended_attention_mask` of Transformers 4.51 made for an encoder; removed since.
    """
    real, (batch, key_length) = attention_mask.tolist(), attention_mask.shape
    lowest = torch.finfo(dtype).min
    cell = fill((batch, key_length), lambda b, k: 0.0 if real[b][k] == 1 else lowest, dtype, attention_mask.device)
    return cell.reshape(batch, 1, 1, key_length)


def _extended_cases(rng: torch.Generator) -> list[Case]:
    def mask(batch: int, sequence: int, side: str = "right") -> Tensor:
        return attention_mask(lengths(rng, batch, sequence), sequence, side)

    return [
        Case("the sentence of the old documentation", (torch.tensor([[1, 1, 1, 0, 0]]), torch.float32)),
        Case("a drawn batch", (mask(3, 5), torch.float32)),
        Case("padding on the left", (mask(2, 6, "left"), torch.float32)),
        Case("as many sentences as positions", (mask(4, 4), torch.float32)),
        Case("half precision", (mask(2, 5), torch.float16)),
        Case("bfloat16", (mask(3, 4), torch.bfloat16)),
        Case("an empty sentence", (attention_mask([0, 3], 4), torch.float32)),
        Case("no padding", (torch.ones(2, 4, dtype=torch.long), torch.float16)),
        Case("one token", (attention_mask([1], 1), torch.float32)),
        Case("sequence length 0", (attention_mask([0, 0], 0), torch.float32)),
    ]


def _extended_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 4], 5), torch.float16)), Case(
        "large", (attention_mask([3, 9, 1], 9), torch.float16)
    )


EXTENDED_ATTENTION_MASK = Spec(
    topic="padding",
    oracle=extended_attention_mask,
    points=1,
    practice=True,
    cases=_extended_cases,
    sizes=_extended_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "wrong axes",
            "The keys belong last: `attention_mask[:, None, None, :]` broadcasts over heads and queries.",
            *(
                lambda mask, dtype, places=places: additive_mask(mask.bool(), dtype)[places]
                for places in (
                    (slice(None), None, slice(None), None),
                    (slice(None), slice(None), None, None),
                    (slice(None), None, slice(None)),
                    (None, None, slice(None), slice(None)),
                    (slice(None), slice(None)),
                )
            ),
        ),
        misconception(
            "inverted",
            "`(1 - mask)` is what meets the large negative number: 1 is a real token and has to become 0.",
            lambda mask, dtype: additive_mask(~mask.bool(), dtype)[:, None, None, :],
            lambda mask, dtype: mask[:, None, None, :].to(dtype) * lowest_number(dtype),
        ),
        misconception(
            "-inf",
            "−∞ gives NaN in an empty row, and 0 × −∞ is NaN at once: use the most negative finite number.",
            *(
                lambda mask, dtype, form=form: form(mask.bool(), dtype)[:, None, None, :]
                for form in _additive_forms(lambda dtype: -math.inf)
            ),
        ),
        misconception(
            "a fixed number",
            "−1e9 does not exist in float16 (it overflows), and smaller ones are too weak: ask `torch.finfo(dtype).min`.",
            *(lambda mask, dtype, form=form: form(mask.bool(), dtype)[:, None, None, :] for form in _fixed_fills()),
        ),
        misconception(
            "float32's minimum in every dtype",
            "The mask has to be of `dtype`, with that dtype's own minimum: `torch.finfo(dtype).min`.",
            lambda mask, dtype: (1 - mask[:, None, None, :]) * lowest_number(torch.float32),
            *(
                lambda mask, dtype, form=form: form(mask.bool(), dtype)[:, None, None, :]
                for form in _additive_forms(lambda dtype: lowest_number(torch.float32))[:2]
            ),
        ),
        misconception(
            "0 and 1 in the new shape",
            "The axes are right, but 1 and 0 would be added to the scores: 0 has to become the most negative number.",
            lambda mask, dtype: mask[:, None, None, :].to(dtype),
            lambda mask, dtype: (1 - mask[:, None, None, :]).to(dtype),
            lambda mask, dtype: mask[:, None, None, :],
        ),
    ),
)


SPECS = (
    PADDING_MASK,
    ATTENTION_MASK_FROM_LENGTHS,
    EXPAND_PADDING_MASK,
    ADDITIVE_MASK,
    MASKED_SOFTMAX,
    PADDED_ATTENTION,
    MASKED_MEAN,
    LAST_TOKEN_POOL,
    EXTENDED_ATTENTION_MASK,
)
