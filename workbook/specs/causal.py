"""Causal masks: what a word may know of what comes after it, which is nothing, and who else decides what it sees."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook.specs.specification import (
    DEVICE,
    Case,
    FunctionArgument,
    Spec,
    attention_mask,
    coin,
    fill,
    integer,
    lengths,
    lowest_number,
    misconception,
    normal,
)

HEADER = '''"""Notebook 02. Causal masks: the triangle, its cousins with a past, a window or a prefix, and the loss beside it."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


class EncoderDecoderMasks(NamedTuple):
    """The masks of a translator's three attentions, bool, True = may attend."""

    encoder_self: Bool[Tensor, "batch 1 1 source"]
    decoder_self: Bool[Tensor, "batch 1 target target"]
    cross: Bool[Tensor, "batch 1 1 source"]
'''


class EncoderDecoderMasks(NamedTuple):
    """The masks of a translator's three attentions, bool, True = may attend."""

    encoder_self: Bool[Tensor, "batch 1 1 source"]
    decoder_self: Bool[Tensor, "batch 1 target target"]
    cross: Bool[Tensor, "batch 1 1 source"]


NUMBERS = (torch.long, torch.float)
#: Calls of the constructors name the device as text; the property passes `torch.device` objects.
ON_CPU = {"device": "cpu"}


def _place(device: torch.device | str | None) -> torch.device | str:
    return torch.get_default_device() if device is None else device


# --- causal_mask -----------------------------------------------------------------------------------------------------


def causal_mask(sequence_length: int, device: torch.device | str | None = None) -> Bool[Tensor, "sequence sequence"]:
    """True = may attend: each word sees itself and what stands before it, nothing after it.

                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚          rows ask, columns are asked
        like       ■    ■     ⬚     ⬚          ■ may attend
        green      ■    ■     ■     ⬚          ⬚ may not
        tea        ■    ■     ■     ■

    Args:
        sequence_length: how many words; 0 is allowed.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[sequence_length, sequence_length]`.
    """
    shape = (sequence_length, sequence_length)
    return fill(shape, lambda q, k: k <= q, torch.bool, _place(device))


def _causal_cases(rng: torch.Generator) -> list[Case]:
    return [
        Case("you like green tea", (4,)),
        Case("two words", (2,)),
        Case("a drawn length", (integer(rng, 5, 9),)),
        Case("with a device", (5,), ON_CPU),
        Case("a single word", (1,)),
        Case("no words", (0,)),
        # There is only a length to draw: it takes several to be unlike what another seed draws.
        *(Case(f"a larger length, drawn ({number} of 3)", (integer(rng, 9, 128),)) for number in (1, 2, 3)),
    ]


def _causal_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (4,), ON_CPU), Case("large", (9,), ON_CPU)


Rule = Callable[[Tensor, Tensor], Tensor]


def _square(rule: Rule, dtype: torch.dtype = torch.bool) -> Any:
    """The mask of a rule about queries `[S, 1]` and keys `[S]`."""

    def answer(sequence_length: int, device: Any = None) -> Tensor:
        position = torch.arange(sequence_length, device=device)
        return rule(position[:, None], position).to(dtype)

    return answer


def _square_added(number: float) -> Any:
    def answer(sequence_length: int, device: Any = None) -> Tensor:
        future = ~_square(torch.ge)(sequence_length, device)
        return torch.zeros(future.shape, device=device).masked_fill(future, number)

    return answer


CAUSAL_MASK = Spec(
    topic="causal",
    oracle=causal_mask,
    points=1,
    cases=_causal_cases,
    sizes=_causal_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "upper triangle",
            "Rows ask, columns are asked: here each word sees what comes after it. The lower triangle is wanted, `tril`.",
            *(_square(torch.le, dtype) for dtype in (torch.bool, *NUMBERS)),
        ),
        misconception(
            "diagonal excluded",
            "A word may look at itself, and the first word has nobody else: its row must not be empty.",
            *(_square(torch.gt, dtype) for dtype in (torch.bool, *NUMBERS)),
        ),
        misconception(
            "inverted",
            "This says True where a word may *not* look, as `nn.MultiheadAttention` wants it; here True = may attend.",
            *(_square(torch.lt, dtype) for dtype in (torch.bool, *NUMBERS)),
        ),
        misconception(
            "not bool",
            "The triangle is right, but its cells are numbers, which attention adds to the scores: make it bool.",
            *(_square(torch.ge, dtype) for dtype in (*NUMBERS, torch.int, torch.uint8, torch.double)),
        ),
        misconception(
            "additive mask",
            "0 and −∞ are what is added to the scores; here True and False are asked for, True = may attend.",
            *(_square_added(number) for number in (-math.inf, torch.finfo(torch.float32).min, -1e9)),
        ),
        misconception(
            "one word ahead",
            "Each word sees its successor, too, which is what it has to guess: the triangle ends on the diagonal.",
            _square(lambda q, k: k <= q + 1),
        ),
        misconception(
            "no triangle",
            "Everybody sees everybody: this is the mask of an encoder. The cells above the diagonal have to be False.",
            _square(lambda q, k: (k >= 0).expand(len(q), -1)),
        ),
        misconception(
            "only itself",
            "Each word sees itself alone: what stands before it belongs to the triangle, too.",
            _square(torch.eq),
        ),
        misconception(
            "axes for batch and heads",
            "The triangle is right; the axes of batch and heads come by broadcasting, so two axes are enough.",
            lambda sequence_length, device=None: _square(torch.ge)(sequence_length, device)[None, None],
            lambda sequence_length, device=None: _square(torch.ge)(sequence_length, device)[None],
        ),
        misconception(
            "device forgotten",
            "The triangle is right, but `device` was not passed on to where the tensor is made.",
            lambda sequence_length, device=None: _square(torch.ge)(sequence_length),
        ),
    ),
)


# --- causal_mask_with_past -------------------------------------------------------------------------------------------


def causal_mask_with_past(
    query_length: int, key_length: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True = may attend: the queries are the last of the keys, each sees the keys up to its own place.

        two words are new, two stand in the cache:

                  you  like  green  tea
        green      ■    ■     ■     ⬚          ■ may attend
        tea        ■    ■     ■     ■          ⬚ may not

    Args:
        query_length: how many queries, the newest positions.
        key_length: how many keys, those of the past included.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[query_length, key_length]`, aligned to the bottom right: the last query sees every key.

    Raises:
        ValueError: there are fewer keys than queries.

    Source: the alignment of `torch.nn.attention.bias.causal_lower_right`.
    """
    if key_length < query_length:
        raise ValueError(f"key_length is {key_length}; it has to be at least query_length = {query_length}")
    past = key_length - query_length
    return fill((query_length, key_length), lambda q, k: k <= past + q, torch.bool, _place(device))


def _past_cases(rng: torch.Generator) -> list[Case]:
    query = integer(rng, 3, 5)
    past = integer(rng, 2, 4)
    larger, longer = integer(rng, 2, 12), integer(rng, 10, 109)
    return [
        Case("two new words after two", (2, 4)),
        Case("no past", (4, 4)),
        Case("a past of one", (3, 4)),
        Case("one query, as in decoding", (1, 5)),
        Case("a past longer than the queries", (2, 7)),
        Case("a drawn past", (query, query + past)),
        Case("with a device", (3, 5), ON_CPU),
        Case("a single word", (1, 1)),
        Case("fewer keys than queries", (4, 2)),
        Case("no keys for a query", (1, 0)),
        Case("one key too few", (query, query - 1)),
        Case("larger sizes, drawn", (larger, larger + longer)),
    ]


def _past_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (3, 5), ON_CPU), Case("large", (7, 11), ON_CPU)


PastRule = Callable[[Tensor, Tensor, int], Tensor]


def _rectangle(rule: PastRule, dtype: torch.dtype = torch.bool, checked: bool = True) -> Any:
    """The mask of a rule about queries `[Q, 1]`, keys `[K]` and how many keys are of the past."""

    def answer(query_length: int, key_length: int, device: Any = None) -> Tensor:
        if checked and key_length < query_length:
            raise ValueError
        query = torch.arange(query_length, device=device)[:, None]
        key = torch.arange(key_length, device=device)
        return rule(query, key, key_length - query_length).to(dtype)

    return answer


def _with_past(q: Tensor, k: Tensor, past: int) -> Tensor:
    return k <= q + past


def _rectangle_added(number: float) -> Any:
    def answer(query_length: int, key_length: int, device: Any = None) -> Tensor:
        allowed = _rectangle(_with_past)(query_length, key_length, device)
        return torch.zeros(allowed.shape, device=device).masked_fill(~allowed, number)

    return answer


def _triangle_of(size: Callable[[int, int], int]) -> Any:
    """A square triangle of one of the two lengths."""

    def answer(query_length: int, key_length: int, device: Any = None) -> Tensor:
        if key_length < query_length:
            raise ValueError
        mask: Tensor = _square(torch.ge)(size(query_length, key_length), device)
        return mask

    return answer


CAUSAL_MASK_WITH_PAST = Spec(
    topic="causal",
    oracle=causal_mask_with_past,
    points=2,
    cases=_past_cases,
    sizes=_past_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "top-left alignment",
            "The queries are the *last* positions: query 0 stands at place key_length − query_length, not at 0.",
            *(_rectangle(lambda q, k, past: k <= q, dtype) for dtype in (torch.bool, *NUMBERS)),
        ),
        misconception(
            "own key excluded",
            "Each query stops one key short of itself: with the past as offset, the diagonal belongs to the mask.",
            _rectangle(lambda q, k, past: k < q + past),
        ),
        misconception(
            "one key ahead",
            "Each query sees the key after its own, which it has to guess: the offset is key_length − query_length.",
            _rectangle(lambda q, k, past: k <= q + past + 1),
        ),
        misconception(
            "offset the wrong way",
            "query_length − key_length moves the triangle out to the left: the past is key_length − query_length keys.",
            _rectangle(lambda q, k, past: k <= q - past),
        ),
        misconception(
            "past hidden",
            "The triangle of the new words is right, but the past is what they may see, all of it.",
            _rectangle(lambda q, k, past: (k >= past) & (k <= q + past)),
        ),
        misconception(
            "no triangle",
            "Every query sees every key: new words must not see each other's future, only the last one sees all.",
            _rectangle(lambda q, k, past: (k >= 0).expand(len(q), -1)),
        ),
        misconception(
            "upper triangle",
            "The offset is right, but each query sees what comes after it: `tril` is wanted.",
            *(_rectangle(lambda q, k, past: k >= q + past, dtype) for dtype in (torch.bool, torch.float)),
        ),
        misconception(
            "inverted",
            "This says True where a query may *not* look; here True = may attend.",
            *(_rectangle(lambda q, k, past: k > q + past, dtype) for dtype in (torch.bool, *NUMBERS)),
        ),
        misconception(
            "not bool",
            "The cells are right, but they are numbers, which attention adds to the scores: make the mask bool.",
            *(_rectangle(_with_past, dtype) for dtype in (*NUMBERS, torch.int, torch.uint8, torch.double)),
        ),
        misconception(
            "additive mask",
            "0 and −∞ are what is added to the scores; here True and False are asked for, True = may attend.",
            *(_rectangle_added(number) for number in (-math.inf, torch.finfo(torch.float32).min, -1e9)),
        ),
        misconception(
            "axes swapped",
            "Queries are the rows, keys the columns: the shape is [query_length, key_length].",
            lambda query_length, key_length, device=None: _rectangle(_with_past)(query_length, key_length, device).T,
            lambda query_length, key_length, device=None: _square(torch.ge)(key_length, device)[:, :query_length],
            lambda query_length, key_length, device=None: _square(torch.ge)(key_length, device)[
                :, key_length - query_length :
            ],
        ),
        misconception(
            "every key asks",
            "The triangle has a row for each key; only the last query_length rows are asking.",
            _triangle_of(lambda query_length, key_length: key_length),
        ),
        misconception(
            "no columns for the past",
            "The keys of the past are keys, too: the mask has key_length columns.",
            _triangle_of(lambda query_length, key_length: query_length),
        ),
        misconception(
            "fewer keys not refused",
            "The queries are among the keys, so fewer keys than queries is a mistake of the caller: raise a ValueError.",
            _rectangle(_with_past, checked=False),
            _rectangle(lambda q, k, past: k <= q + max(past, 0), checked=False),
        ),
        misconception(
            "device forgotten",
            "The mask is right, but `device` was not passed on to where the tensor is made.",
            lambda query_length, key_length, device=None: _rectangle(_with_past)(query_length, key_length),
        ),
    ),
)


# --- sliding_window_mask ---------------------------------------------------------------------------------------------


def sliding_window_mask(
    query_length: int, key_length: int, sliding_window: int, device: torch.device | str | None = None
) -> Bool[Tensor, "query key"]:
    """True = may attend: each query sees itself and the `sliding_window - 1` keys before it.

        a window of 2                          and with two words in the cache

                  you  like  green  tea                  you  like  green  tea
        you        ■    ⬚     ⬚     ⬚          green      ⬚    ■     ■     ⬚
        like       ■    ■     ⬚     ⬚          tea        ⬚    ⬚     ■     ■
        green      ⬚    ■     ■     ⬚
        tea        ⬚    ⬚     ■     ■          ■ may attend   ⬚ may not

    Args:
        query_length: how many queries, the last positions.
        key_length: how many keys, at least as many.
        sliding_window: how many keys a query sees at most, its own included.
        device: where the mask is made; torch's default if `None`.

    Returns:
        bool, `[query_length, key_length]`, aligned to the bottom right.

    Raises:
        ValueError: the window is below 1.

    Source: Mistral 7B (2023); counted as `sliding_window_overlay` of Transformers' `masking_utils` counts it.
    """
    if sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; a query sees at least itself, so it is 1 or more")
    past = key_length - query_length

    def seen(q: int, k: int) -> bool:
        steps_back = past + q - k
        return 0 <= steps_back < sliding_window

    return fill((query_length, key_length), seen, torch.bool, _place(device))


def _window_cases(rng: torch.Generator) -> list[Case]:
    query, past, window = integer(rng, 4, 6), integer(rng, 1, 3), integer(rng, 2, 4)
    larger, longer = integer(rng, 2, 9), integer(rng, 10, 60)
    return [
        Case("a window of 2 on four words", (4, 4, 2)),
        Case("a window of 3 on six words", (6, 6, 3)),
        Case("two new words after two", (2, 4, 2)),
        Case("fewer queries than keys", (4, 7, 3)),
        Case("drawn sizes", (query, query + past, window)),
        Case("a window of 1", (3, 5, 1)),
        Case("as wide as the queries", (3, 5, 3)),
        Case("as wide as the keys", (5, 5, 5)),
        Case("wider than the keys", (3, 5, 9)),
        Case("one query, as in decoding", (1, 6, 3)),
        Case("with a device", (4, 5, 2), ON_CPU),
        Case("a single word", (1, 1, 1)),
        Case("a window of 0", (3, 4, 0)),
        Case("a negative window", (3, 4, -1)),
        Case("larger sizes, drawn", (larger, larger + longer, integer(rng, 2, longer))),
    ]


def _window_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (3, 5, 2), ON_CPU), Case("large", (8, 11, 4), ON_CPU)


WindowRule = Callable[[Tensor, Tensor, int, int], Tensor]


def _windowed(rule: WindowRule, dtype: torch.dtype = torch.bool, lowest: int | None = 1) -> Any:
    """The mask of a rule about queries `[Q, 1]`, keys `[K]`, the past and the window, which is refused below ``lowest``."""

    def answer(query_length: int, key_length: int, sliding_window: int, device: Any = None) -> Tensor:
        if lowest is not None and sliding_window < lowest:
            raise ValueError
        query = torch.arange(query_length, device=device)[:, None]
        key = torch.arange(key_length, device=device)
        return rule(query, key, key_length - query_length, sliding_window).to(dtype)

    return answer


def _in_window(q: Tensor, k: Tensor, past: int, window: int) -> Tensor:
    return (k <= q + past) & (q + past - k < window)


def _windowed_added(number: float) -> Any:
    def answer(query_length: int, key_length: int, sliding_window: int, device: Any = None) -> Tensor:
        allowed = _windowed(_in_window)(query_length, key_length, sliding_window, device)
        return torch.zeros(allowed.shape, device=device).masked_fill(~allowed, number)

    return answer


def _zero_means_no_window(q: Tensor, k: Tensor, past: int, window: int) -> Tensor:
    return _in_window(q, k, past, window if window > 0 else 10**6)


def _only_0_refused(query_length: int, key_length: int, sliding_window: int, device: Any = None) -> Tensor:
    if sliding_window == 0:
        raise ValueError
    mask: Tensor = _windowed(_in_window, lowest=None)(query_length, key_length, sliding_window, device)
    return mask


SLIDING_WINDOW_MASK = Spec(
    topic="causal",
    oracle=sliding_window_mask,
    points=2,
    cases=_window_cases,
    sizes=_window_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "window + 1",
            "The query itself counts: a window of 2 shows it and one key before it, so the distance stays below the window.",
            _windowed(lambda q, k, past, window: (k <= q + past) & (q + past - k <= window)),
        ),
        misconception(
            "window - 1",
            "One key too few: `sliding_window` counts the query itself and `sliding_window - 1` keys before it.",
            _windowed(lambda q, k, past, window: (k <= q + past) & (q + past - k < window - 1)),
            _windowed(lambda q, k, past, window: (k <= q + past) & (q + past - k < max(window - 1, 1))),
        ),
        misconception(
            "not causal",
            "This window looks ahead: besides the distance, no key after the query may be seen.",
            _windowed(lambda q, k, past, window: (q + past - k).abs() < window),
            _windowed(lambda q, k, past, window: (q + past - k).abs() <= window),
            _windowed(lambda q, k, past, window: q + past - k < window),
            _windowed(lambda q, k, past, window: q + past - k <= window),
            _windowed(lambda q, k, past, window: (q + past - k).abs() <= window // 2),
            _windowed(lambda q, k, past, window: (k >= q + past) & (k - q - past < window)),
        ),
        misconception(
            "top-left alignment",
            "The queries are the *last* positions: count them from key_length − query_length, for both ends of the window.",
            _windowed(lambda q, k, past, window: (k <= q) & (q - k < window)),
            _windowed(lambda q, k, past, window: (k <= q + past) & (q - k < window)),
            _windowed(lambda q, k, past, window: (k <= q) & (q + past - k < window)),
            # With a second mistake at the window's other end: where the queries stand comes first.
            _windowed(lambda q, k, past, window: (k <= q) & (q - k <= window)),
            _windowed(lambda q, k, past, window: (q - k).abs() < window),
            _windowed(lambda q, k, past, window: q - k < window),
        ),
        misconception(
            "no window",
            "This is the causal triangle: keys further back than the window have to be hidden, too.",
            _windowed(lambda q, k, past, window: k <= q + past),
        ),
        misconception(
            "itself left out",
            "A query sees itself first; a window of 1 is exactly that.",
            _windowed(lambda q, k, past, window: (k < q + past) & (q + past - k <= window)),
            _windowed(lambda q, k, past, window: (k < q + past) & (q + past - k < window)),
        ),
        misconception(
            "one window for all",
            "The window slides: each query counts back from its own place, not from the last key.",
            _windowed(lambda q, k, past, window: (k <= q + past) & (k >= len(k) - window)),
        ),
        misconception(
            "blocks instead of a window",
            "These are blocks that begin anew at each multiple of the window; a sliding window moves along with the query.",
            _windowed(
                lambda q, k, past, window: (
                    (k <= q + past) & ((q + past).div(window, rounding_mode="floor") == k // window)
                )
            ),
        ),
        misconception(
            "inverted",
            "This says True where a query may *not* look; here True = may attend.",
            *(
                _windowed(lambda q, k, past, window: ~_in_window(q, k, past, window), dtype)
                for dtype in (torch.bool, torch.long, torch.float)
            ),
        ),
        misconception(
            "not bool",
            "The cells are right, but they are numbers, which attention adds to the scores: make the mask bool.",
            *(_windowed(_in_window, dtype) for dtype in (*NUMBERS, torch.int, torch.uint8)),
        ),
        misconception(
            "additive mask",
            "0 and −∞ are what is added to the scores; here True and False are asked for, True = may attend.",
            *(_windowed_added(number) for number in (-math.inf, torch.finfo(torch.float32).min)),
        ),
        misconception(
            "axes swapped",
            "Queries are the rows, keys the columns: the shape is [query_length, key_length].",
            lambda query_length, key_length, sliding_window, device=None: (
                _windowed(_in_window)(query_length, key_length, sliding_window, device).T
            ),
        ),
        misconception(
            "a window below 1 not refused",
            "A window of 0 or less hides every key from every query: raise a ValueError that names `sliding_window`.",
            _windowed(_in_window, lowest=None),
            _windowed(_in_window, lowest=0),
            _windowed(lambda q, k, past, window: _in_window(q, k, past, max(window, 1)), lowest=None),
            _windowed(_zero_means_no_window, lowest=None),
            _windowed(_zero_means_no_window, lowest=0),
            _only_0_refused,
        ),
        misconception(
            "device forgotten",
            "The mask is right, but `device` was not passed on to where the tensor is made.",
            lambda query_length, key_length, sliding_window, device=None: _windowed(_in_window)(
                query_length, key_length, sliding_window
            ),
        ),
    ),
)


# --- prefix_lm_mask --------------------------------------------------------------------------------------------------


def prefix_lm_mask(
    prefix_lengths: Int[Tensor, " batch"], sequence_length: int
) -> Bool[Tensor, "batch 1 sequence sequence"]:
    """True = may attend: the prefix is read both ways, what follows it is written one way.

        a question of two words, an answer of two:

                  you  like  green  tea
        you        ■    ■     ⬚     ⬚          ■ may attend
        like       ■    ■     ⬚     ⬚          ⬚ may not
        green      ■    ■     ■     ⬚
        tea        ■    ■     ■     ■

    Args:
        prefix_lengths: how many positions of each sentence are its prefix, from 0 to `sequence_length`.
        sequence_length: how many positions each sentence has.

    Returns:
        bool, `[batch, 1, sequence_length, sequence_length]`: the axis of length 1 is for the heads.

    Source: the prefix language model of "Exploring the Limits of Transfer Learning" (T5, 2020).
    """
    prefix = prefix_lengths.tolist()

    def seen(b: int, head: int, q: int, k: int) -> bool:
        both_in_the_prefix = q < prefix[b] and k < prefix[b]
        return both_in_the_prefix or k <= q

    return fill((len(prefix), 1, sequence_length, sequence_length), seen, torch.bool, prefix_lengths.device)


def _prefix_cases(rng: torch.Generator) -> list[Case]:
    sequence = integer(rng, 5, 7)
    drawn = torch.tensor([2, *(integer(rng, 0, sequence) for _ in range(2)), sequence - 2])
    larger = integer(rng, 12, 26)
    prefixes = torch.tensor([integer(rng, 1, larger - 1) for _ in range(2)])
    return [
        Case("a question of two words, an answer of two", (torch.tensor([2]), 4)),
        Case("a prefix of its own for each sentence", (torch.tensor([2, 3, 4]), 6)),
        Case("drawn prefixes", (drawn, sequence)),
        Case("no prefix and nothing but prefix", (torch.tensor([0, 5]), 5)),
        Case("a prefix of one word", (torch.tensor([1, 3]), 5)),
        Case("as many sentences as positions", (torch.tensor([3, 0, 2, 4]), 4)),
        Case("all but the last word", (torch.tensor([3, 3]), 4)),
        Case("a single word", (torch.tensor([0, 1]), 1)),
        Case("sequence length 0", (torch.tensor([0, 0]), 0)),
        Case("larger sizes, drawn", (prefixes, larger)),
    ]


def _prefix_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (torch.tensor([2, 3]), 5)), Case("large", (torch.tensor([2, 5, 7]), 9))


PrefixRule = Callable[[Tensor, Tensor, Tensor], Tensor]


def _prefixed(rule: PrefixRule, dtype: torch.dtype = torch.bool) -> Any:
    """The mask of a rule about queries `[S, 1]`, keys `[S]` and prefix lengths `[B, 1, 1, 1]`."""

    def answer(prefix_lengths: Tensor, sequence_length: int) -> Tensor:
        position = torch.arange(sequence_length, device=prefix_lengths.device)
        allowed = rule(position[:, None], position, prefix_lengths[:, None, None, None])
        return allowed.expand(len(prefix_lengths), 1, sequence_length, sequence_length).to(dtype)

    return answer


def _prefix_rule(q: Tensor, k: Tensor, prefix: Tensor) -> Tensor:
    return (k <= q) | (k < prefix)


PREFIX_LM_MASK = Spec(
    topic="causal",
    oracle=prefix_lm_mask,
    points=2,
    practice=True,
    cases=_prefix_cases,
    sizes=_prefix_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "prefix sees the suffix",
            "A question that sees the answer gives it away: inside the prefix the *key* has to be of the prefix, too.",
            _prefixed(lambda q, k, prefix: (k <= q) | (q < prefix)),
        ),
        misconception(
            "causal inside the prefix",
            "This is the plain triangle: the prefix is there in full from the start, so its words see each other both ways.",
            _prefixed(lambda q, k, prefix: (k <= q).expand(prefix.shape[0], 1, -1, -1)),
        ),
        misconception(
            "suffix does not see the prefix",
            "Two blocks apart: the answer has to see the question, all of it, and itself up to its own place.",
            _prefixed(lambda q, k, prefix: ((q < prefix) & (k < prefix)) | ((k <= q) & (k >= prefix))),
        ),
        misconception(
            "suffix reads both ways",
            "After the prefix the triangle holds: a word of the answer must not see the words after it.",
            _prefixed(lambda q, k, prefix: (k < prefix) | (q >= prefix)),
            _prefixed(lambda q, k, prefix: ((q < prefix) & (k < prefix)) | ((q >= prefix) & (k >= prefix))),
        ),
        misconception(
            "nothing but the prefix",
            "The keys of the prefix are seen by all, but a word after it sees itself and its own past, too.",
            _prefixed(lambda q, k, prefix: (k < prefix).expand(-1, -1, len(q), -1)),
            _prefixed(lambda q, k, prefix: (k < prefix) & (q < prefix)),
            _prefixed(lambda q, k, prefix: (k < prefix) & (k <= q)),
        ),
        misconception(
            "off by one",
            "A prefix of length 2 fills positions 0 and 1: compare with `<`.",
            _prefixed(lambda q, k, prefix: (k <= q) | (k <= prefix)),
            _prefixed(lambda q, k, prefix: (k <= q) | (k < prefix - 1)),
        ),
        misconception(
            "one prefix for all",
            "Each sentence has a prefix of its own: give `prefix_lengths` the axes of heads, queries and keys.",
            _prefixed(lambda q, k, prefix: _prefix_rule(q, k, prefix[:1])),
            _prefixed(lambda q, k, prefix: _prefix_rule(q, k, prefix.amax(0, keepdim=True))),
            _prefixed(lambda q, k, prefix: _prefix_rule(q, k, prefix.amin(0, keepdim=True))),
        ),
        misconception(
            "diagonal excluded",
            "A word may look at itself: compare positions with `<=`.",
            _prefixed(lambda q, k, prefix: (k < q) | (k < prefix)),
        ),
        misconception(
            "transposed",
            "Rows ask, columns are asked: queries run along the last axis but one, keys along the last.",
            _prefixed(lambda q, k, prefix: (q <= k) | (q < prefix)),
        ),
        misconception(
            "inverted",
            "This says True where a word may *not* look; here True = may attend.",
            *(_prefixed(lambda q, k, prefix: ~_prefix_rule(q, k, prefix), dtype) for dtype in (torch.bool, torch.long)),
        ),
        misconception(
            "not bool",
            "The cells are right, but they are numbers, which attention adds to the scores: make the mask bool.",
            *(_prefixed(_prefix_rule, dtype) for dtype in (*NUMBERS, torch.int)),
        ),
        misconception(
            "no axis for the heads",
            "Broadcasting counts from the right: without the axis of length 1 the batch would land on the heads.",
            lambda prefix_lengths, sequence_length: _prefixed(_prefix_rule)(prefix_lengths, sequence_length)[:, 0],
        ),
        misconception(
            "batch on the wrong axis",
            "The batch comes first: [batch, 1, query, key].",
            lambda prefix_lengths, sequence_length: _prefixed(_prefix_rule)(prefix_lengths, sequence_length)[
                None, :, 0
            ],
            lambda prefix_lengths, sequence_length: _prefixed(_prefix_rule)(prefix_lengths, sequence_length).transpose(
                1, 2
            ),
        ),
    ),
)


# --- decoder_attention_mask ------------------------------------------------------------------------------------------


def decoder_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], dtype: torch.dtype
) -> Float[Tensor, "batch 1 sequence sequence"]:
    """1 = real token goes in; what to *add* to a decoder's scores comes out: 0, or `finfo(dtype).min` where hidden.

        padding on the left, 0 1 1 1:

                  <pad>  I  like  coffee
        <pad>       ⬚    ⬚   ⬚      ⬚          ■ 0
        I           ⬚    ■   ⬚      ⬚          ⬚ -3.4028e+38 in float32
        like        ⬚    ■   ■      ⬚
        coffee      ⬚    ■   ■      ■          (the padding's own row may be empty)

    A key is seen if it is a real token *and* does not stand after the query.

    Args:
        attention_mask: 1 = real token, 0 = padding, on either side.
        dtype: the floating dtype of the scores.

    Returns:
        `dtype`, `[batch, 1, sequence, sequence]`, of two finite values: never -inf, never a sum of two minima.

    Source: the mask that Transformers' `create_causal_mask` gives to eager attention.
    """
    real, (batch, sequence) = attention_mask.tolist(), attention_mask.shape
    lowest = torch.finfo(dtype).min

    def added(b: int, head: int, q: int, k: int) -> float:
        return 0.0 if real[b][k] == 1 and k <= q else lowest

    return fill((batch, 1, sequence, sequence), added, dtype, attention_mask.device)


GAPS = ((1, 0, 1, 1, 0, 1), (0, 1, 0, 0, 1, 1), (1, 1, 0, 1, 0, 0))


def _gaps() -> Tensor:
    """Padding at the ends and in the middle, as when sentences are cut out of a packed batch."""
    return torch.tensor(GAPS)


def _decoder_cases(rng: torch.Generator) -> list[Case]:
    sequence = integer(rng, 5, 6)
    drawn = lengths(rng, 3, sequence)
    larger = integer(rng, 12, 26)
    return [
        Case("the two sentences", (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), torch.float32)),
        Case("the two sentences, padded on the left", (torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]), torch.float32)),
        Case("padding on the right in float16", (attention_mask(drawn, sequence), torch.float16)),
        Case("padding on the left in bfloat16", (attention_mask(drawn, sequence, "left"), torch.bfloat16)),
        Case("padding in the middle", (_gaps(), torch.float32)),
        Case("padding on the left in float16", (attention_mask([2, 4, 1], 4, "left"), torch.float16)),
        Case("as many sentences as positions", (attention_mask([1, 4, 2, 3], 4), torch.float32)),
        Case("an empty sentence", (attention_mask([0, 3], 3), torch.bfloat16)),
        Case("no padding", (torch.ones(2, 5, dtype=torch.long), torch.float32)),
        Case("a single word", (torch.tensor([[1], [0]]), torch.float32)),
        Case("sequence length 0", (attention_mask([0, 0], 0), torch.float32)),
        Case("larger sizes, drawn", (attention_mask(lengths(rng, 2, larger), larger, "left"), torch.float32)),
    ]


def _decoder_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 4], 5), torch.float16)), Case(
        "large", (attention_mask([3, 9, 1], 9, "left"), torch.float16)
    )


DecoderRule = Callable[[Tensor, Tensor], Tensor]


def _triangle(mask: Tensor) -> Tensor:
    position = torch.arange(mask.shape[-1], device=mask.device)
    return position <= position[:, None]


def _columns(mask: Tensor) -> Tensor:
    return mask.bool()[:, None, None, :]


def _rows(mask: Tensor) -> Tensor:
    return mask.bool()[:, None, :, None]


def _both(mask: Tensor) -> Tensor:
    return _triangle(mask) & _columns(mask)


def _added(allowed: Tensor, dtype: torch.dtype, number: float | None = None) -> Tensor:
    """0 where allowed; elsewhere ``number``, which may overflow on its way into ``dtype``."""
    hidden = torch.full((), lowest_number(dtype) if number is None else number, device=allowed.device).to(dtype)
    return torch.where(allowed, torch.zeros((), dtype=dtype, device=allowed.device), hidden)


def _decoded(rule: Callable[[Tensor], Tensor]) -> Any:
    """The additive mask of what ``rule`` makes of the attention mask."""
    return lambda mask, dtype: _added(rule(mask), dtype)


def _in_float32(rule: Callable[[Tensor], Tensor]) -> tuple[Any, ...]:
    """The same where `dtype` is forgotten, or comes last, when float32's minimum no longer fits."""
    return (
        lambda mask, dtype: _added(rule(mask), torch.float32),
        lambda mask, dtype: _added(rule(mask), torch.float32).to(dtype),
        lambda mask, dtype: _added(rule(mask), torch.float32, lowest_number(dtype)),
    )


def _fixed(number: float) -> tuple[Any, ...]:
    return (
        lambda mask, dtype: _added(_both(mask), dtype, number),
        lambda mask, dtype: torch.zeros_like(_both(mask), dtype=dtype).masked_fill(~_both(mask), number),
    )


def _summed(mask: Tensor, dtype: torch.dtype, number: float | None = None) -> Tensor:
    return _added(_triangle(mask), dtype, number) + _added(_columns(mask), dtype, number)


def _two_minima(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """One mask of the dtype, one of float32: the sum is of float32."""
    return _added(_triangle(mask), dtype) + _added(_columns(mask), torch.float32)


def _two_kinds(endless: Callable[[Tensor], Tensor], lowest: Callable[[Tensor], Tensor]) -> tuple[Any, ...]:
    """The sum of a mask of −∞ and one of the minimum: of `dtype` or of float32, whose minimum may not fit later on."""

    def summed(mask: Tensor, dtype: torch.dtype, minimum: float) -> Tensor:
        return _added(endless(mask), dtype, -math.inf) + _added(lowest(mask), dtype, minimum)

    return (
        lambda mask, dtype: summed(mask, dtype, lowest_number(dtype)),
        lambda mask, dtype: summed(mask, torch.float32, lowest_number(dtype)),
        lambda mask, dtype: summed(mask, torch.float32, lowest_number(torch.float32)),
        lambda mask, dtype: summed(mask, torch.float32, lowest_number(torch.float32)).to(dtype),
    )


def _opened(mask: Tensor) -> Tensor:
    allowed = _both(mask)
    return allowed | ~allowed.any(-1, keepdim=True)


def _itself(mask: Tensor) -> Tensor:
    return _both(mask) | (_triangle(mask) & _triangle(mask).T)


DECODER_ATTENTION_MASK = Spec(
    topic="causal",
    oracle=decoder_attention_mask,
    points=2,
    cases=_decoder_cases,
    sizes=_decoder_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "two masks summed",
            "Where both hide, two minima add up to −∞: join the two as bools with `&`, then fill once.",
            _summed,
            lambda mask, dtype: _summed(mask, torch.float32),
            lambda mask, dtype: _summed(mask, torch.float32).to(dtype),
            lambda mask, dtype: _summed(mask, torch.float32, lowest_number(dtype)),
            _two_minima,
            lambda mask, dtype: _added(_triangle(mask), torch.float32) + _added(_columns(mask), dtype),
        ),
        misconception(
            "two additive masks summed",
            "−∞ from one mask, `finfo.min` from the other: join the two as bools with `&`, then fill once, with the minimum.",
            *_two_kinds(_triangle, _columns),
            *_two_kinds(_columns, _triangle),
        ),
        misconception(
            "no causal part",
            "The padding is hidden, but every word sees the words after it: the triangle is missing.",
            _decoded(lambda mask: _columns(mask).expand(-1, 1, mask.shape[1], -1)),
            _decoded(_columns),
            *_in_float32(lambda mask: _columns(mask).expand(-1, 1, mask.shape[1], -1)),
            *_in_float32(_columns),
        ),
        misconception(
            "no padding part",
            "The triangle is there, but real words see the padding, which stands before them when it is on the left.",
            _decoded(lambda mask: _triangle(mask).expand(len(mask), 1, -1, -1)),
            _decoded(lambda mask: _triangle(mask)[None, None]),
            _decoded(_triangle),
            *_in_float32(lambda mask: _triangle(mask).expand(len(mask), 1, -1, -1)),
            *_in_float32(lambda mask: _triangle(mask)[None, None]),
            *_in_float32(_triangle),
        ),
        misconception(
            "-inf",
            "−∞ works until a row has no allowed key, as under padding on the left: then softmax gives NaN.",
            *_fixed(-math.inf)[:1],
            lambda mask, dtype: _added(_both(mask), torch.float32, -math.inf),
        ),
        misconception(
            "0 times -inf",
            "0 × −∞ is NaN, and it lands on the cells you wanted to keep: choose with `torch.where` or `masked_fill`.",
            lambda mask, dtype: (~_both(mask)).to(dtype) * -math.inf,
        ),
        misconception(
            "a fixed number",
            "−1e9 overflows in float16 and is not the minimum elsewhere: ask `torch.finfo(dtype).min`.",
            *_fixed(-1e9),
            *(_fixed(number)[0] for number in (-1e10, -1e30, -1e4, -65504.0)),
            *(lambda mask, dtype, number=number: _summed(mask, dtype, number) for number in (-1e9, -1e4)),
        ),
        misconception(
            "float32's minimum in every dtype",
            "Each dtype has its own most negative number: float32's becomes −∞ in float16 and bfloat16.",
            *_fixed(lowest_number(torch.float32)),
        ),
        misconception(
            "dtype ignored",
            "The mask has to be of `dtype`, the dtype of the scores, or the sum changes theirs.",
            lambda mask, dtype: _added(_both(mask), torch.float32),
            lambda mask, dtype: torch.where(_both(mask), 0.0, lowest_number(dtype)),
        ),
        misconception(
            "inverted",
            "0 keeps and the large negative number hides: here the allowed cells are the hidden ones.",
            _decoded(lambda mask: ~_both(mask)),
        ),
        misconception(
            "padding inverted",
            "1 is a real token: here the triangle holds, but the real keys are hidden and the padding is seen.",
            _decoded(lambda mask: _triangle(mask) & ~_columns(mask)),
        ),
        misconception(
            "upper triangle",
            "Each word sees what comes after it: the lower triangle is wanted, k ≤ q.",
            _decoded(lambda mask: _triangle(mask).T & _columns(mask)),
            _decoded(lambda mask: ~_triangle(mask) & _columns(mask)),
        ),
        misconception(
            "diagonal excluded",
            "A word may look at itself: compare positions with `<=`.",
            _decoded(lambda mask: ~_triangle(mask).T & _columns(mask)),
        ),
        misconception(
            "query rows instead of key columns",
            "Padding must not be looked at: hide its column, `[:, None, None, :]`, not its row.",
            _decoded(lambda mask: _triangle(mask) & _rows(mask)),
        ),
        misconception(
            "query rows and key columns",
            "The padding's columns are hidden, which is enough: leave its rows as the triangle has them.",
            _decoded(lambda mask: _both(mask) & _rows(mask)),
        ),
        misconception(
            "or for and",
            "A key has to be real *and* not after the query: with `|` one of the two is enough.",
            _decoded(lambda mask: _triangle(mask) | _columns(mask)),
        ),
        misconception(
            "empty rows opened",
            "A row that may see nothing is the minimum throughout here: nothing is opened, not even its own key.",
            _decoded(_opened),
            _decoded(_itself),
        ),
        misconception(
            "no axis for the heads",
            "The shape is [batch, 1, sequence, sequence]: without the 1, the batch would land on the heads.",
            _decoded(lambda mask: _both(mask)[:, 0]),
        ),
        misconception(
            "1 - mask on a bool",
            "Bools do not subtract: `1 - allowed` raises. Turn them over with `~`, or choose with `torch.where`.",
            lambda mask, dtype: (1 - _both(mask)) * lowest_number(dtype),
            lambda mask, dtype: (1.0 - _both(mask)) * lowest_number(dtype),
        ),
        misconception(
            "whole numbers for bools",
            "1 and 0 are no choice for `masked_fill` and `where`, and `~1` is −2: `.bool()` or `== 1` makes them one.",
            lambda mask, dtype: _added(_triangle(mask), dtype).masked_fill(
                ~mask[:, None, None, :], lowest_number(dtype)
            ),
            lambda mask, dtype: torch.where(_triangle(mask) & mask[:, None, None, :], 0.0, lowest_number(dtype)),
        ),
        misconception(
            "0 and 1 instead of what is added",
            "These are 1 and 0 (or True and False), which attention would add: hidden is the most negative number.",
            lambda mask, dtype: _both(mask),
            lambda mask, dtype: ~_both(mask),
            lambda mask, dtype: _both(mask).to(dtype),
            lambda mask, dtype: (~_both(mask)).to(dtype),
            lambda mask, dtype: _both(mask).long(),
        ),
    ),
)


# --- encoder_decoder_masks -------------------------------------------------------------------------------------------


def encoder_decoder_masks(
    source_mask: Int[Tensor, "batch source"], target_mask: Int[Tensor, "batch target"]
) -> EncoderDecoderMasks:
    """1 = real token goes in, True = may attend comes out: the masks of a translator's three attentions.

                          queries  keys     hidden                           shape
        encoder_self      source   source   the source's padding             [batch, 1, 1, source]
        decoder_self      target   target   the target's padding, future     [batch, 1, target, target]
        cross             target   source   the source's padding             [batch, 1, 1, source]

        source 1 1 1 0   →   encoder_self  ■ ■ ■ ⬚   cross  ■ ■ ■ ⬚        ■ may attend
        target 1 1 0     →   decoder_self  ■ ⬚ ⬚                           ⬚ may not
                                           ■ ■ ⬚
                                           ■ ■ ⬚

    Args:
        source_mask: 1 = real token, 0 = padding, of the sentence that is read.
        target_mask: the same for the sentence that is written.

    Returns:
        `EncoderDecoderMasks`, bool, ready to broadcast over heads (and over queries, where that axis is 1).
    """
    source, target = source_mask.tolist(), target_mask.tolist()
    (batch, source_length), target_length = source_mask.shape, target_mask.shape[1]

    def of_the_source(b: int, head: int, q: int, k: int) -> bool:
        return source[b][k] == 1

    def of_the_target(b: int, head: int, q: int, k: int) -> bool:
        return target[b][k] == 1 and k <= q

    device = source_mask.device
    return EncoderDecoderMasks(
        encoder_self=fill((batch, 1, 1, source_length), of_the_source, torch.bool, device),
        decoder_self=fill((batch, 1, target_length, target_length), of_the_target, torch.bool, device),
        cross=fill((batch, 1, 1, source_length), of_the_source, torch.bool, device),
    )


def _translator_cases(rng: torch.Generator) -> list[Case]:
    source, target = integer(rng, 5, 6), integer(rng, 3, 4)
    drawn = (lengths(rng, 3, source), lengths(rng, 3, target))
    story = (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]), torch.tensor([[1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 1]]))
    return [
        Case("the two sentences and their translations", story),
        Case("source and target of one width", (attention_mask([2, 5], 5), attention_mask([4, 3], 5))),
        Case("a longer source", (attention_mask(drawn[0], source), attention_mask(drawn[1], target))),
        Case("padding on the left", (attention_mask([3, 1], 4, "left"), attention_mask([2, 4], 5, "left"))),
        Case("padding in the middle", (_gaps(), _gaps().roll(1, 0)[:, 1:])),
        Case("as many sentences as positions", (attention_mask([1, 3, 2], 3), attention_mask([2, 1, 3], 3))),
        Case("an empty source", (attention_mask([0, 2], 3), attention_mask([3, 2], 4))),
        Case("an empty target", (attention_mask([3, 2], 3), attention_mask([0, 2], 4))),
        Case("no padding", (torch.ones(2, 3, dtype=torch.long), torch.ones(2, 4, dtype=torch.long))),
        Case("a target of one word", (attention_mask([3, 2], 4), attention_mask([1, 1], 1))),
        Case("nothing written yet", (attention_mask([2, 1], 2), attention_mask([0, 0], 0))),
    ]


def _translator_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 2], 4), attention_mask([2, 3], 3))), Case(
        "large", (attention_mask([3, 9, 1], 9), attention_mask([7, 5, 4], 7))
    )


Part = Callable[..., Tensor]


def _translated(encoder_self: Part | None = None, decoder_self: Part | None = None, cross: Part | None = None) -> Any:
    """The three masks, with some made by another rule of the two attention masks."""

    def answer(source_mask: Tensor, target_mask: Tensor) -> EncoderDecoderMasks:
        return EncoderDecoderMasks(
            _columns(source_mask) if encoder_self is None else encoder_self(source_mask, target_mask),
            _both(target_mask) if decoder_self is None else decoder_self(source_mask, target_mask),
            _columns(source_mask) if cross is None else cross(source_mask, target_mask),
        )

    return answer


def _each(form: Callable[..., Tensor]) -> Any:
    return lambda source_mask, target_mask: EncoderDecoderMasks(*map(form, _translated()(source_mask, target_mask)))


def _lower_triangle(queries: Tensor, keys: Tensor) -> Tensor:
    """`tril` of the two lengths."""
    rows = torch.arange(queries.shape[1], device=queries.device)[:, None]
    return torch.arange(keys.shape[1], device=keys.device) <= rows


def _cross_triangle(source: Tensor, target: Tensor, bottom_right: bool) -> Tensor:
    """Which of the source's keys do not stand "after" the target's queries, as if the two were one sentence."""
    queries = torch.arange(target.shape[1], device=source.device)[:, None]
    offset = source.shape[1] - target.shape[1] if bottom_right else 0
    triangle = torch.arange(source.shape[1], device=source.device) <= queries + offset
    return triangle.expand(len(source), 1, -1, -1)


#: What a decoder without padding is made of, with all, some and none of the axes.
TRIANGLES_ALONE: tuple[Part, ...] = (
    lambda source, target: _triangle(target).expand(len(target), 1, -1, -1),
    lambda source, target: _triangle(target)[None, None],
    lambda source, target: _triangle(target)[None],
    lambda source, target: _triangle(target),
)


ENCODER_DECODER_MASKS = Spec(
    topic="causal",
    oracle=encoder_decoder_masks,
    points=2,
    cases=_translator_cases,
    sizes=_translator_sizes,
    reading="allowed",
    reading_leaf=None,
    misconceptions=(
        misconception(
            "cross uses the target's mask",
            "In cross-attention the keys are the source's words, so it is the source's padding that has to be hidden.",
            _translated(cross=lambda source, target: _columns(target)),
            _translated(cross=lambda source, target: _both(target)),
            _translated(cross=lambda source, target: _columns(target).expand(-1, 1, target.shape[1], -1)),
            _translated(cross=lambda source, target: _columns(target).expand(-1, 1, source.shape[1], -1)),
            _translated(cross=lambda source, target: _columns(source) & _columns(target)),  # lengths that fit by chance
            *(
                _translated(decoder_self=triangle, cross=cross)
                for triangle in TRIANGLES_ALONE
                for cross in (
                    lambda source, target: _columns(target),
                    lambda source, target: _columns(target).expand(-1, 1, target.shape[1], -1),
                    lambda source, target: _both(target),
                )
            ),
        ),
        misconception(
            "causal cross",
            "The source is there in full: no word of it is the future, so cross-attention needs no triangle.",
            *(
                _translated(
                    cross=lambda source, target, corner=corner: (
                        _cross_triangle(source, target, corner) & _columns(source)
                    )
                )
                for corner in (False, True)
            ),
            *(
                _translated(cross=lambda source, target, corner=corner: _cross_triangle(source, target, corner))
                for corner in (False, True)
            ),
            _translated(
                encoder_self=lambda source, target: _columns(source).expand(-1, 1, source.shape[1], -1),
                cross=lambda source, target: _cross_triangle(source, target, False) & _columns(source),
            ),
            # A square triangle fits where the two sentences happen to be of one length; elsewhere it raises.
            _translated(cross=lambda source, target: _columns(source) & _triangle(target)),
            _translated(cross=lambda source, target: _both(source)),
            _translated(cross=lambda source, target: _columns(source) & _lower_triangle(source, target)),
            *(
                _translated(cross=lambda source, target, form=form: form(_lower_triangle(target, source), len(source)))
                for form in (lambda triangle, batch: triangle[None, None], lambda triangle, batch: triangle)
            ),
            *(
                _translated(cross=lambda source, target, form=form: form(_lower_triangle(source, target), len(source)))
                for form in (
                    lambda triangle, batch: triangle.expand(batch, 1, -1, -1),
                    lambda triangle, batch: triangle[None, None],
                    lambda triangle, batch: triangle,
                )
            ),
        ),
        misconception(
            "padding rows in cross",
            "Rows ask, columns are asked: the target's padding asks in cross-attention, and rows need no hiding.",
            _translated(cross=lambda source, target: _rows(target) & _columns(source)),
            _translated(cross=lambda source, target: _rows(target).expand(-1, 1, -1, source.shape[1])),
            _translated(cross=lambda source, target: _rows(target)),
        ),
        misconception(
            "cross spelled out",
            "The cells are right, but all queries see the same keys: an axis of length 1 is asked for, it broadcasts.",
            _translated(cross=lambda source, target: _columns(source).expand(-1, 1, target.shape[1], -1)),
            _translated(
                encoder_self=lambda source, target: _columns(source).expand(-1, 1, source.shape[1], -1),
                cross=lambda source, target: _columns(source).expand(-1, 1, target.shape[1], -1),
            ),
        ),
        misconception(
            "decoder without padding",
            "`decoder_self` is the triangle alone: the padding of the target has to be hidden, too.",
            *(_translated(decoder_self=triangle) for triangle in TRIANGLES_ALONE),
        ),
        misconception(
            "decoder without triangle",
            "`decoder_self` hides the padding alone: a word must not see the words after it, which it has to guess.",
            _translated(decoder_self=lambda source, target: _columns(target)),
            _translated(decoder_self=lambda source, target: _columns(target).expand(-1, 1, target.shape[1], -1)),
        ),
        misconception(
            "causal encoder",
            "The encoder reads the whole source at once, both ways: only its padding is hidden.",
            _translated(encoder_self=lambda source, target: _both(source)),
            _translated(
                encoder_self=lambda source, target: _both(source),
                cross=lambda source, target: _both(source),
            ),
        ),
        misconception(
            "encoder uses the target's mask",
            "The encoder's keys are the source's words: `encoder_self` and `cross` both come from `source_mask`.",
            _translated(encoder_self=lambda source, target: _columns(target)),
            _translated(
                encoder_self=lambda source, target: _columns(target), cross=lambda source, target: _columns(target)
            ),
        ),
        misconception(
            "source and target swapped",
            "The encoder reads the source and the decoder writes the target: here the two masks have changed places.",
            lambda source, target: _translated()(target, source),
            _translated(
                encoder_self=lambda source, target: _columns(target),
                decoder_self=lambda source, target: _both(source),
            ),
        ),
        misconception(
            "inverted",
            "True has to mean may attend: these masks say True where nothing may be seen, as `nn.Transformer` has it.",
            _each(torch.logical_not),
            _translated(
                encoder_self=lambda source, target: ~_columns(source), cross=lambda source, target: ~_columns(source)
            ),
            _translated(
                encoder_self=lambda source, target: ~_columns(source),
                decoder_self=lambda source, target: _triangle(target) & ~_columns(target),
                cross=lambda source, target: ~_columns(source),
            ),
        ),
        misconception(
            "upper triangle",
            "In `decoder_self` each word sees what comes after it: the lower triangle is wanted, k ≤ q.",
            _translated(decoder_self=lambda source, target: _triangle(target).T & _columns(target)),
            _translated(decoder_self=lambda source, target: ~_triangle(target) & _columns(target)),
        ),
        misconception(
            "diagonal excluded",
            "In `decoder_self` a word may look at itself: compare positions with `<=`.",
            _translated(decoder_self=lambda source, target: ~_triangle(target).T & _columns(target)),
        ),
        misconception(
            "or for and",
            "In `decoder_self` a key has to be real *and* not after the query: with `|` one of the two is enough.",
            _translated(decoder_self=lambda source, target: _triangle(target) | _columns(target)),
        ),
        misconception(
            "padding rows in the decoder",
            "In `decoder_self` the padding's *columns* are hidden; its rows stay as the triangle has them.",
            _translated(decoder_self=lambda source, target: _triangle(target) & _rows(target)),
            _translated(decoder_self=lambda source, target: _both(target) & _rows(target)),
        ),
        misconception(
            "not bool",
            "The cells are right, but they are numbers, which attention adds to the scores: make the masks bool.",
            *(_each(lambda mask, dtype=dtype: mask.to(dtype)) for dtype in NUMBERS),
            _translated(
                encoder_self=lambda source, target: source[:, None, None, :],
                cross=lambda source, target: source[:, None, None, :],
            ),
        ),
        misconception(
            "no axes for heads and queries",
            "The axes of length 1 are needed: [batch, 1, 1, source] broadcasts, [batch, source] lands on the queries.",
            _each(lambda mask: mask[:, 0]),
            _translated(encoder_self=lambda source, target: source.bool(), cross=lambda source, target: source.bool()),
            _translated(
                encoder_self=lambda source, target: source.bool(),
                decoder_self=lambda source, target: _both(target)[:, 0],
                cross=lambda source, target: source.bool(),
            ),
        ),
        misconception(
            "another container",
            "The masks are right, but return them by name: `EncoderDecoderMasks(encoder_self=…, decoder_self=…, cross=…)`.",
            lambda source, target: tuple(_translated()(source, target)),
            lambda source, target: list(_translated()(source, target)),
            lambda source, target: _translated()(source, target)._asdict(),
        ),
        misconception(
            "fields in another order",
            "The masks are right and stand in the wrong fields: name them, `EncoderDecoderMasks(encoder_self=…)`.",
            _translated(
                decoder_self=lambda source, target: _columns(source), cross=lambda source, target: _both(target)
            ),
            _translated(
                encoder_self=lambda source, target: _both(target), decoder_self=lambda source, target: _columns(source)
            ),
        ),
    ),
)


# --- position_ids ----------------------------------------------------------------------------------------------------


def position_ids(attention_mask: Int[Tensor, "batch sequence"]) -> Int[Tensor, "batch sequence"]:
    """1 = real token goes in; each real token's place among the real ones comes out, from 0.

        attention mask  1 1 1 0   →   0 1 2 0          (0 at padding, wherever it stands)
                        0 1 1 1   →   0 0 1 2

    Args:
        attention_mask: 1 = real token, 0 = padding, on either side or between.

    Returns:
        long, of the shape of `attention_mask`: 0, 1, 2, … over the real tokens, 0 at padding.
    """
    rows = attention_mask.tolist()

    def place(b: int, t: int) -> int:
        return sum(rows[b][:t]) if rows[b][t] == 1 else 0

    return fill(attention_mask.shape, place, torch.long, attention_mask.device)


def _position_cases(rng: torch.Generator) -> list[Case]:
    sequence = integer(rng, 5, 7)
    drawn = lengths(rng, 3, sequence)
    return [
        Case("the two sentences", (torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]),)),
        Case("the two sentences, padded on the left", (torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]]),)),
        Case("padding on the left by more than one", (attention_mask([2, 4, 5], 6, "left"),)),
        Case("padding on the right by more than one", (attention_mask([3, 2, 5], 6),)),
        Case("padding in the middle", (_gaps(),)),
        Case("a drawn batch, padded on the right", (attention_mask(drawn, sequence),)),
        Case("a drawn batch, padded on the left", (attention_mask(drawn, sequence, "left"),)),
        Case("padding anywhere", (coin(rng, 4, sequence).long(),)),
        Case("as many sentences as positions", (attention_mask([1, 4, 2, 3], 4, "left"),)),
        Case("an empty sentence", (attention_mask([0, 3], 4),)),
        Case("no padding", (torch.ones(2, sequence, dtype=torch.long),)),
        Case("a single position", (torch.tensor([[1], [0]]),)),
        Case("sequence length 0", (attention_mask([0, 0], 0),)),
    ]


def _position_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 4], 5, "left"),)), Case("large", (attention_mask([3, 9, 1], 9, "left"),))


def _counted(mask: Tensor) -> Tensor:
    return mask.cumsum(-1)


def _places(mask: Tensor) -> Tensor:
    return torch.arange(mask.shape[1], device=mask.device).expand_as(mask)


def _from_the_first(mask: Tensor) -> Tensor:
    """How far each position is from the first real one, as if the sentence had no gaps."""
    return _places(mask) - (_counted(mask) == 0).sum(-1, keepdim=True)


POSITION_IDS = Spec(
    topic="causal",
    oracle=position_ids,
    points=2,
    cases=_position_cases,
    sizes=_position_sizes,
    misconceptions=(
        misconception(
            "arange",
            "These are the columns' numbers: the first real token is at 0 wherever it starts, so count the real ones.",
            _places,
            lambda mask: _places(mask)[:1],
            lambda mask: _places(mask)[0],
            lambda mask: _places(mask) * mask,
        ),
        misconception(
            "starts at 1",
            "The running count of real tokens is 1 at the first of them, which has position 0: take 1 off.",
            lambda mask: _counted(mask) * mask,
            _counted,
            lambda mask: _counted(mask).masked_fill(mask == 0, 1),
            lambda mask: _counted(mask).clamp(min=1),
        ),
        misconception(
            "-1 at padding",
            "Padding has position 0. The running count less 1 is −1 in front of the first word, and goes on behind the last.",
            lambda mask: (_counted(mask) - 1).masked_fill(mask == 0, -1),
            lambda mask: _counted(mask) - 1,
        ),
        misconception(
            "1 at padding",
            "Some of Transformers' models put a 1 at padding, which is the second word's position; here it is 0.",
            lambda mask: (_counted(mask) - 1).masked_fill(mask == 0, 1),
        ),
        misconception(
            "counts on over padding on the right",
            "After the last real token the count stays where it is, so padding on the right is not at 0: set it there.",
            lambda mask: (_counted(mask) - 1).clamp(min=0),
            lambda mask: _from_the_first(mask).clamp(min=0),
            lambda mask: (_places(mask) - mask.argmax(1, keepdim=True)).clamp(min=0),
        ),
        misconception(
            "counts the padding between",
            "Padding between two real tokens is no step: the position is how many *real* tokens stand before.",
            lambda mask: _from_the_first(mask).clamp(min=0) * mask,
            lambda mask: (_places(mask) - mask.argmax(1, keepdim=True)) * mask,
        ),
        misconception(
            "one padding side for all",
            "Each sentence starts at a place of its own: the offset is counted for each row.",
            lambda mask: (_places(mask) - (_counted(mask) == 0).sum(-1).amin(0)).clamp(min=0) * mask,
            lambda mask: (_places(mask) - (_counted(mask) == 0).sum(-1).amax(0)).clamp(min=0) * mask,
            lambda mask: (_places(mask) - (_counted(mask) == 0).sum(-1)[:1]).clamp(min=0) * mask,
        ),
        misconception(
            "counted over the batch",
            "The count runs along the sequence, the last axis, not from sentence to sentence.",
            lambda mask: (mask.cumsum(0) - 1).clamp(min=0),
            lambda mask: (mask.cumsum(0) - 1) * mask,
        ),
        misconception(
            "counted from the end",
            "The last real token has the highest position: count from the left.",
            lambda mask: (mask.flip(1).cumsum(1).flip(1) - 1) * mask,
            lambda mask: (mask.flip(1).cumsum(1).flip(1) - 1).clamp(min=0),
        ),
        misconception(
            "not long",
            "The numbers are right, but an embedding is asked with whole numbers of 64 bits: make them long.",
            *(
                lambda mask, dtype=dtype: ((_counted(mask) - 1) * mask).to(dtype)
                for dtype in (torch.int, torch.float, torch.int16)
            ),
        ),
    ),
)


# --- next_token_labels -----------------------------------------------------------------------------------------------


def next_token_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    """1 = real token: at each of them stands the token to be guessed there, the next one, elsewhere `ignore_index`.

        I like coffee <pad>        ids  3 5 6 0    mask  1 1 1 0    →    5 6 -100 -100
        <pad> I like coffee        ids  0 3 5 6    mask  0 1 1 1    →    -100 5 6 -100

    Nobody asks a padding position for the first word, nor the last word for the padding.

    Args:
        input_ids: token ids.
        attention_mask: 1 = real token, 0 = padding; the padding's id may be that of a real token.
        ignore_index: the label that a loss passes over, -100 in `F.cross_entropy`.

    Returns:
        long, of the shape of `input_ids`, already shifted.
    """
    ids, real = input_ids.tolist(), attention_mask.tolist()

    def label(b: int, t: int) -> int:
        asked = t + 1 < len(ids[b]) and real[b][t] == 1 and real[b][t + 1] == 1
        return ids[b][t + 1] if asked else ignore_index

    return fill(input_ids.shape, label, torch.long, input_ids.device)


def _words(rng: torch.Generator, mask: Tensor, padding: int | None = 0) -> Tensor:
    """Draw ids from 0 to 19 for the real tokens, never equal to a neighbour's; ``None`` draws the padding's too."""
    steps = torch.randint(1, 19, mask.shape, generator=rng)
    ids = steps.cumsum(1) % 20
    return ids if padding is None else torch.where(mask == 1, ids, padding)


STORY_IDS = ((3, 5, 6, 0), (4, 5, 7, 8))


def _label_cases(rng: torch.Generator) -> list[Case]:
    def drawn(mask: Tensor, padding: int | None = 0) -> tuple[Tensor, Tensor]:
        return _words(rng, mask, padding), mask

    sequence = integer(rng, 5, 7)
    sizes = lengths(rng, 3, sequence, 2)
    full = torch.ones(2, sequence, dtype=torch.long)
    # <eos> is 2 and serves as padding: id 2 is a word here and none there.
    one_id = torch.tensor([[3, 5, 6, 2, 2, 2], [2, 4, 2, 7, 8, 2]])
    eos = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]])
    # The first sentence begins and ends with a word, and 0 is a word.
    zero_is_a_word = torch.tensor([[0, 5, 0, 6, 0], [9, 9, 4, 0, 3]])
    return [
        Case("the two sentences", (torch.tensor(STORY_IDS), torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]))),
        Case(
            "the two sentences, padded on the left",
            (torch.tensor([[0, 3, 5, 6], [4, 5, 7, 8]]), torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])),
        ),
        Case("padding on the left", drawn(attention_mask([3, 5, 2], 6, "left"), 11)),
        Case("another ignore_index", (*drawn(attention_mask(sizes, sequence)), -1)),
        Case("ignore_index by name", drawn(attention_mask(sizes, sequence, "left")), {"ignore_index": 50}),
        Case("padding in the middle", drawn(_gaps(), 4)),
        Case("the padding's id is a word's", (one_id, eos)),
        Case("0 is a word and 9 the padding", (zero_is_a_word, torch.tensor([[1] * 5, [0, 0, 1, 1, 1]]))),
        Case("padding of any id", drawn(attention_mask(sizes, sequence), None)),
        Case("as many sentences as positions", drawn(attention_mask([1, 4, 2, 3], 4), 7)),
        Case("no padding", drawn(full)),
        Case("an empty sentence and one of a word", drawn(attention_mask([0, 1], 4))),
        Case("a single position", drawn(attention_mask([1, 0], 1))),
    ]


def _label_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = attention_mask([3, 4], 5), attention_mask([3, 9, 1], 9, "left")
    return Case("small", (_words(rng, small), small)), Case("large", (_words(rng, large), large))


def _after(tensor: Tensor, last: int = 0) -> Tensor:
    """What stands one position later; ``last`` at the end."""
    following = tensor.roll(-1, 1)
    following[:, -1:] = last
    return following


def _before(tensor: Tensor, first: int = 0) -> Tensor:
    previous = tensor.roll(1, 1)
    previous[:, :1] = first
    return previous


def _not_last(mask: Tensor) -> Tensor:
    return _after(torch.ones_like(mask)).bool()


LabelRule = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _labelled(rule: LabelRule, ignored: int | None = None) -> Any:
    """The labels of a rule that says which token is asked for and where; ``ignored`` in place of ``ignore_index``."""

    def answer(input_ids: Tensor, attention_mask: Tensor, ignore_index: int = -100) -> Tensor:
        labels, asked = rule(input_ids, attention_mask == 1)
        return torch.where(asked, labels, ignore_index if ignored is None else ignored)

    return answer


def _right_labels(ids: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
    return _after(ids), real & _after(real)


def _own_at_the_end(ids: Tensor) -> Tensor:
    return torch.cat([ids[:, 1:], ids[:, -1:]], 1)


def _own_at_the_start(ids: Tensor) -> Tensor:
    return torch.cat([ids[:, :1], ids[:, :-1]], 1)


def _overwritten(input_ids: Tensor, attention_mask: Tensor, ignore_index: int = -100) -> Tensor:
    return input_ids.copy_(_labelled(_right_labels)(input_ids, attention_mask, ignore_index))


def _labels_as(dtype: torch.dtype) -> Any:
    return lambda input_ids, attention_mask, ignore_index=-100: _labelled(_right_labels)(
        input_ids, attention_mask, ignore_index
    ).to(dtype)


NEXT_TOKEN_LABELS = Spec(
    topic="causal",
    oracle=next_token_labels,
    points=2,
    cases=_label_cases,
    sizes=_label_sizes,
    misconceptions=(
        misconception(
            "not shifted",
            "Each position is asked for its own token, which it can see; Transformers' models shift inside, here you do.",
            _labelled(lambda ids, real: (ids, real)),
            _labelled(lambda ids, real: (ids, real | True)),
            _labelled(lambda ids, real: (ids, real & _after(real))),
            _labelled(lambda ids, real: (ids, _not_last(real))),
            _labelled(lambda ids, real: (ids, real & _not_last(real))),
        ),
        misconception(
            "shifted the wrong way",
            "Position t is asked for token t − 1, which it has seen: the label is token t + 1.",
            _labelled(lambda ids, real: (_before(ids), real & _before(real))),
            _labelled(lambda ids, real: (_before(ids), _before(real))),
            _labelled(lambda ids, real: (_before(ids), real & _before(torch.ones_like(real)))),
            _labelled(lambda ids, real: (_before(ids), _before(torch.ones_like(real)))),
            _labelled(lambda ids, real: (_own_at_the_start(ids), real)),
            _labelled(lambda ids, real: (_own_at_the_start(ids), real | True)),
            _labelled(lambda ids, real: (_own_at_the_start(ids), _own_at_the_start(real))),
            _labelled(lambda ids, real: (ids.roll(1, 1), real)),
            _labelled(lambda ids, real: (ids.roll(1, 1), real & real.roll(1, 1))),
            _labelled(lambda ids, real: (ids.roll(1, 1), real | True)),
        ),
        misconception(
            "padding kept as a label",
            "The last word is asked for the padding: a label has to be a real token, on a real position.",
            _labelled(lambda ids, real: (_after(ids), _not_last(real))),
            _labelled(lambda ids, real: (_after(ids), real & _not_last(real))),
        ),
        misconception(
            "a padding position asked for the first word",
            "Under padding on the left, a padding position stands before the first word: it must not be asked.",
            _labelled(lambda ids, real: (_after(ids), _after(real))),
        ),
        misconception(
            "the last position not ignored",
            "Nothing comes after the last position: its label is `ignore_index` (`roll` brings the first token round).",
            _labelled(lambda ids, real: (ids.roll(-1, 1), real & real.roll(-1, 1))),
            _labelled(lambda ids, real: (ids.roll(-1, 1), real.roll(-1, 1))),
            _labelled(lambda ids, real: (ids.roll(-1, 1), real)),
            _labelled(lambda ids, real: (ids.roll(-1, 1), real | True)),
            _labelled(lambda ids, real: (_own_at_the_end(ids), real & _own_at_the_end(real))),
            _labelled(lambda ids, real: (_own_at_the_end(ids), _own_at_the_end(real))),
            _labelled(lambda ids, real: (_own_at_the_end(ids), real)),
            _labelled(lambda ids, real: (_own_at_the_end(ids), real | True)),
            _labelled(lambda ids, real: (_after(ids), real & (_after(real) | ~_not_last(real)))),
        ),
        misconception(
            "ignore_index fixed",
            "−100 is the default only: use `ignore_index`, everywhere.",
            _labelled(_right_labels, ignored=-100),
        ),
        misconception(
            "0 for ignored",
            "0 is a token's id like any other, and the loss would ask for it: `ignore_index` stands where nothing is asked.",
            _labelled(_right_labels, ignored=0),
        ),
        misconception(
            "one column short",
            "As many labels as tokens: the last column belongs to it, filled with `ignore_index`.",
            lambda input_ids, attention_mask, ignore_index=-100: _labelled(_right_labels)(
                input_ids, attention_mask, ignore_index
            )[:, :-1],
            lambda input_ids, attention_mask, ignore_index=-100: _labelled(lambda ids, real: (ids, real))(
                input_ids, attention_mask, ignore_index
            )[:, 1:],
            lambda input_ids, attention_mask, ignore_index=-100: input_ids[:, 1:],
        ),
        misconception(
            "padding told by its id",
            "0, or the padding's id, may be a word, too (GPT-2 pads with <eos>): only `attention_mask` tells padding.",
            _labelled(lambda ids, real: (_after(ids), _after(ids) != 0)),
            _labelled(lambda ids, real: (_after(ids), (_after(ids) != 0) & (ids != 0))),
            _labelled(lambda ids, real: (_after(ids), real & _after(real) & (_after(ids) != 0))),
            _labelled(lambda ids, real: (_after(ids), real & (_after(ids) != 0))),
        ),
        misconception(
            "inverted",
            "1 is a real token: here the padding is asked and the words are not.",
            _labelled(lambda ids, real: (_after(ids), ~real & _after(~real))),
            _labelled(lambda ids, real: (_after(ids), ~(real & _after(real)))),
            _labelled(lambda ids, real: (_after(ids), ~(real & _after(real)) & _not_last(real))),
            _labelled(lambda ids, real: (_after(ids), _after(~real))),
            _labelled(lambda ids, real: (ids, ~real)),
        ),
        misconception(
            "not long",
            "The labels are right, but `F.cross_entropy` wants whole numbers of 64 bits: keep them long.",
            *(_labels_as(dtype) for dtype in (torch.int, torch.float)),
        ),
        misconception(
            "the ids overwritten",
            "The labels are right, but the caller's `input_ids` were changed: `labels = input_ids` is no copy, `clone()` is.",
            _overwritten,
        ),
    ),
)


# --- assistant_labels ------------------------------------------------------------------------------------------------


def assistant_labels(
    input_ids: Int[Tensor, "batch sequence"],
    attention_mask: Int[Tensor, "batch sequence"],
    assistant_mask: Int[Tensor, "batch sequence"],
    ignore_index: int = -100,
) -> Int[Tensor, "batch sequence"]:
    """1 = real token, 1 = the assistant's: only the assistant's tokens are to be guessed, all of them are read.

        ids              1     3     5     9    11     2          (<bos> I like, then me gusta <eos>)
        assistant_mask   0     0     0     1     1     1
        labels        -100  -100     9    11     2  -100
                                     ↑ the question's last token is asked for the answer's first

    Args:
        input_ids: token ids.
        attention_mask: 1 = real token, 0 = padding.
        assistant_mask: 1 = a token that the assistant wrote; there may be several turns.
        ignore_index: the label that a loss passes over.

    Returns:
        long, as `next_token_labels`, kept only where the token t + 1 is the assistant's.

    Source: the masks of `apply_chat_template(..., return_assistant_tokens_mask=True)` in Transformers.
    """
    ids, real, written = input_ids.tolist(), attention_mask.tolist(), assistant_mask.tolist()

    def label(b: int, t: int) -> int:
        asked = t + 1 < len(ids[b]) and real[b][t] == 1 and real[b][t + 1] == 1
        return ids[b][t + 1] if asked and written[b][t + 1] == 1 else ignore_index

    return fill(input_ids.shape, label, torch.long, input_ids.device)


def _turns(rng: torch.Generator, mask: Tensor) -> Tensor:
    """Draw who wrote what: two turns of the assistant in each row, each of one token or more, as far as there is room."""
    batch, sequence = mask.shape
    rows = []
    for _ in range(batch):
        question, answer, again = (integer(rng, 1, 2) for _ in range(3))
        row = [0] * question + [1] * answer + [0] * again + [1] * sequence
        rows.append(row[:sequence])
    return torch.tensor(rows, dtype=torch.long).reshape(batch, sequence) * mask


def _assistant_cases(rng: torch.Generator) -> list[Case]:
    def drawn(mask: Tensor, padding: int | None = 0) -> tuple[Tensor, Tensor, Tensor]:
        return _words(rng, mask, padding), mask, _turns(rng, mask)

    def written(mask: Tensor, assistant: list[list[int]], padding: int | None = 0) -> tuple[Tensor, Tensor, Tensor]:
        return _words(rng, mask, padding), mask, torch.tensor(assistant)

    sequence = integer(rng, 6, 8)
    sizes = lengths(rng, 3, sequence, 4)
    chat = torch.tensor([[1, 3, 5, 6, 2, 9, 11, 12, 13, 2]])
    turns = [[0, 0, 1, 1, 0, 0, 1, 1], [0, 1, 0, 1, 1, 0, 0, 1]]
    # <eos> is 2 and serves as padding: the answer's own <eos> is to be learned.
    one_id, eos = torch.tensor([[3, 4, 5, 2, 2, 2], [3, 2, 4, 0, 2, 5]]), attention_mask([4, 6], 6)
    return [
        Case("a question and its answer", (chat, torch.ones_like(chat), torch.tensor([[0] * 5 + [1] * 5]))),
        Case("two turns", written(torch.ones(2, 8, dtype=torch.long), turns)),
        Case("padding on the right", drawn(attention_mask([5, 7, 4], 7))),
        Case("padding on the left", drawn(attention_mask([5, 7, 4], 7, "left"), 11)),
        Case(
            "padding on the left of an answer",
            written(attention_mask([2, 3], 5, "left"), [[0, 0, 0, 1, 1], [0, 0, 1, 0, 1]], 5),
        ),
        Case(
            "padding in the middle", written(_gaps(), [[1, 0, 1, 1, 0, 1], [0, 1, 0, 0, 1, 1], [1, 1, 0, 1, 0, 0]], 4)
        ),
        Case(
            "another ignore_index",
            (*written(attention_mask([3, 5], 6, "left"), [[0, 0, 0, 1, 0, 1], [0, 0, 1, 1, 0, 1]]), -1),
        ),
        Case("ignore_index by name", drawn(attention_mask(sizes, sequence, "left")), {"ignore_index": 50}),
        Case("the padding's id is a word's", (one_id, eos, torch.tensor([[0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 1, 1]]))),
        # A template that marks to the end of the row: the padding behind the answer is still no token to learn.
        Case(
            "padding marked as the assistant's",
            written(attention_mask([3, 5], 5), [[0, 1, 1, 1, 1], [0, 0, 1, 0, 1]], 6),
        ),
        Case("as many sentences as positions", drawn(attention_mask([1, 4, 2, 3], 4), 7)),
        Case("no answer", written(attention_mask([3, 5], 5), [[0] * 5, [0] * 5])),
        Case("a single position", written(attention_mask([1, 0], 1), [[1], [0]])),
    ]


def _assistant_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = attention_mask([3, 4], 5), attention_mask([3, 9, 1], 9, "left")
    return (
        Case("small", (_words(rng, small), small, _turns(rng, small))),
        Case("large", (_words(rng, large), large, _turns(rng, large))),
    )


AssistantRule = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def _assisted(rule: AssistantRule, ignored: int | None = None) -> Any:
    """The labels of a rule that says which token is asked for and where; ``ignored`` in place of ``ignore_index``."""

    def answer(input_ids: Tensor, attention_mask: Tensor, assistant_mask: Tensor, ignore_index: int = -100) -> Tensor:
        labels, asked = rule(input_ids, attention_mask == 1, assistant_mask == 1)
        return torch.where(asked, labels, ignore_index if ignored is None else ignored)

    return answer


def _right_answers(ids: Tensor, real: Tensor, written: Tensor) -> tuple[Tensor, Tensor]:
    return _after(ids), real & _after(real & written)


def _answers_as(form: Callable[..., Tensor]) -> Any:
    return lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: form(
        _assisted(_right_answers)(input_ids, attention_mask, assistant_mask, ignore_index)
    )


def _answers_overwritten(
    input_ids: Tensor, attention_mask: Tensor, assistant_mask: Tensor, ignore_index: int = -100
) -> Tensor:
    return input_ids.copy_(_assisted(_right_answers)(input_ids, attention_mask, assistant_mask, ignore_index))


ASSISTANT_LABELS = Spec(
    topic="causal",
    oracle=assistant_labels,
    points=2,
    cases=_assistant_cases,
    sizes=_assistant_sizes,
    misconceptions=(
        misconception(
            "judged by token t",
            "One too late: the answer's first token is asked of the question's last. Judge by who wrote token t + 1.",
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real) & written)),
            _assisted(lambda ids, real, written: (_after(ids), written & _not_last(real))),
            _assisted(lambda ids, real, written: (_after(ids), real & written & _not_last(real))),
            _assisted(lambda ids, real, written: (_after(ids), _after(real) & written)),
        ),
        misconception(
            "judged by both tokens",
            "The answer's first token is lost: only token t + 1 has to be the assistant's, token t need not be.",
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real) & written & _after(written))),
            _assisted(lambda ids, real, written: (_after(ids), written & _after(written))),
        ),
        misconception(
            "judged by either token",
            "The user's token after an answer is asked for, too: token t + 1 alone decides.",
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real) & (written | _after(written)))),
        ),
        misconception(
            "not shifted",
            "Each position is asked for its own token, which it can see: the label at t is token t + 1.",
            _assisted(lambda ids, real, written: (ids, real & written)),
            _assisted(lambda ids, real, written: (ids, written)),
            _assisted(lambda ids, real, written: (ids, real & _after(real & written))),
            _assisted(lambda ids, real, written: (ids, real & _after(real) & written)),
            _assisted(lambda ids, real, written: (ids, _after(written))),
            _assisted(lambda ids, real, written: (ids, real & _after(written))),
            _assisted(lambda ids, real, written: (ids, _after(real & written))),
            _assisted(lambda ids, real, written: (ids, written.roll(-1, 1))),
            _assisted(lambda ids, real, written: (ids, (real & written).roll(-1, 1))),
            _assisted(lambda ids, real, written: (ids, real & (real & written).roll(-1, 1))),
            _assisted(lambda ids, real, written: (ids, written & _not_last(real))),
            _assisted(lambda ids, real, written: (ids, real & written & _not_last(real))),
        ),
        misconception(
            "the question's tokens kept",
            "These are the labels of the whole dialogue: only what the assistant wrote is to be learned.",
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real))),
            _assisted(lambda ids, real, written: (_after(ids), _not_last(real))),
            _assisted(lambda ids, real, written: (_after(ids), real & _not_last(real))),
            _assisted(lambda ids, real, written: (_after(ids), _after(real))),
            _assisted(lambda ids, real, written: (ids, real)),
            _assisted(lambda ids, real, written: (ids, real | True)),
        ),
        misconception(
            "shifted the wrong way",
            "Position t is asked for token t − 1, which it has seen: the label is token t + 1.",
            _assisted(lambda ids, real, written: (_before(ids), real & _before(real & written))),
            _assisted(lambda ids, real, written: (_before(ids), real & _before(real) & written)),
            _assisted(lambda ids, real, written: (_before(ids), written & _before(torch.ones_like(real)))),
            _assisted(lambda ids, real, written: (_before(ids), real & written & _before(torch.ones_like(real)))),
            _assisted(lambda ids, real, written: (_before(ids), _before(written))),
            _assisted(lambda ids, real, written: (_before(ids), _before(real & written))),
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real) & _before(written))),
        ),
        misconception(
            "inverted",
            "1 is the assistant's: here the question is learned and the answer is not.",
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real & ~written))),
            _assisted(lambda ids, real, written: (_after(ids), real & _after(real) & ~written)),
        ),
        misconception(
            "padding kept as a label",
            "A padding position must not be asked, nor anybody for the padding: `attention_mask` decides, too, twice.",
            _assisted(lambda ids, real, written: (_after(ids), _after(written))),
            _assisted(lambda ids, real, written: (_after(ids), real & _after(written))),
            _assisted(lambda ids, real, written: (_after(ids), _after(real & written))),
        ),
        misconception(
            "the last position not ignored",
            "Nothing comes after the last position: its label is `ignore_index` (`roll` brings the first token round).",
            _assisted(lambda ids, real, written: (ids.roll(-1, 1), real & (real & written).roll(-1, 1))),
            _assisted(lambda ids, real, written: (ids.roll(-1, 1), (real & written).roll(-1, 1))),
            _assisted(lambda ids, real, written: (ids.roll(-1, 1), written.roll(-1, 1))),
            _assisted(
                lambda ids, real, written: (
                    _own_at_the_end(ids),
                    real & _own_at_the_end(real) & _own_at_the_end(written),
                )
            ),
        ),
        misconception(
            "ignore_index fixed",
            "−100 is the default only: use `ignore_index`, everywhere.",
            _assisted(_right_answers, ignored=-100),
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                _after(assistant_mask) == 1, _labelled(_right_labels)(input_ids, attention_mask, ignore_index), -100
            ),
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: torch.where(
                _after(assistant_mask) == 1, _labelled(_right_labels)(input_ids, attention_mask, -100), ignore_index
            ),
        ),
        misconception(
            "0 for ignored",
            "0 is a token's id like any other, and the loss would ask for it: `ignore_index` stands where nothing is asked.",
            _assisted(_right_answers, ignored=0),
            lambda input_ids, attention_mask, assistant_mask, ignore_index=-100: (
                _labelled(_right_labels)(input_ids, attention_mask, ignore_index) * _after(assistant_mask)
            ),
        ),
        misconception(
            "one column short",
            "As many labels as tokens: the last column belongs to it, filled with `ignore_index`.",
            _answers_as(lambda labels: labels[:, :-1]),
        ),
        misconception(
            "padding told by its id",
            "0, or the padding's id, may be a word, too (the answer's own <eos>): only `attention_mask` tells padding.",
            _assisted(lambda ids, real, written: (_after(ids), _after(written) & (_after(ids) != 0) & (ids != 0))),
            _assisted(lambda ids, real, written: (_after(ids), _after(written) & (_after(ids) != 0))),
        ),
        misconception(
            "not long",
            "The labels are right, but `F.cross_entropy` wants whole numbers of 64 bits: keep them long.",
            *(_answers_as(lambda labels, dtype=dtype: labels.to(dtype)) for dtype in (torch.int, torch.float)),
        ),
        misconception(
            "the ids overwritten",
            "The labels are right, but the caller's `input_ids` were changed: `labels = input_ids` is no copy, `clone()` is.",
            _answers_overwritten,
        ),
    ),
)


# --- dependency_matrix -----------------------------------------------------------------------------------------------


def dependency_matrix(
    function: Callable[[Float[Tensor, "sequence dim"]], Float[Tensor, "sequence output_dim"]],
    inputs: Float[Tensor, "sequence dim"],
) -> Bool[Tensor, "query key"]:
    """True at [q, k] = output q depends on input k: some gradient of output q reaches input k.

        a running sum of three                     a function of each word alone

               0  1  2                                    0  1  2
            0  ■  ⬚  ⬚        ■ a gradient arrives     0  ■  ⬚  ⬚
            1  ■  ■  ⬚        ⬚ none does              1  ⬚  ■  ⬚
            2  ■  ■  ■                                 2  ⬚  ⬚  ■

    Autograd is asked, not the values: each component of output q counts for itself, for a sum of them may cancel; and what
    `function` has detached does not count, though its value moves (`who_moved` is the tool that watches values).

    Args:
        function: takes `inputs` and returns one vector a position; differentiable.
        inputs: float, one vector a position; left as they are.

    Returns:
        bool, `[sequence, sequence]`: rows are outputs, columns inputs.
    """
    sequence, _ = inputs.shape
    with torch.enable_grad():
        leaf = inputs.detach().clone().requires_grad_(True)
        outputs = [list(row.reshape(-1)) for row in function(leaf)]
    matrix = torch.zeros(sequence, sequence, dtype=torch.bool, device=inputs.device)
    for q, components in enumerate(outputs):
        for component in components:
            if component.requires_grad:  # else it is a constant
                (gradient,) = torch.autograd.grad(component, leaf, retain_graph=True, materialize_grads=True)
                for k in range(sequence):
                    matrix[q, k] |= (gradient[k] != 0).any()
    return matrix


def _dependency_cases(rng: torch.Generator) -> list[Case]:
    # Tame numbers: no softmax is so sure of itself that a gradient comes near 0.
    def weights() -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = (normal(rng, 2, 2).clamp(-2, 2) / 4 for _ in range(3))
        return query, key, value + torch.eye(2)

    def case(about: str, function: str, x: Tensor, *tensors: Tensor) -> Case:
        return Case(about, (FunctionArgument(function, tensors), x))

    def words(sequence: int, dim: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return normal(rng, sequence, dim, dtype=dtype).clamp(-1.5, 1.5)

    triangle = torch.ones(4, 4, dtype=torch.bool).tril()
    holes = torch.tensor([[1, 0, 0, 1, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 1], [0, 1, 0, 1, 0], [0, 0, 1, 1, 1]]).bool()
    # Query 1 does not see itself, but it asks with its own vector. Query 0 has one key: how it asks changes nothing.
    strangers = torch.tensor([[0, 1, 0], [1, 0, 1], [0, 0, 1]]).bool()
    axes = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    window = triangle & ~torch.ones(4, 4, dtype=torch.bool).tril(-2)
    steps = torch.tensor([[1.0, 2, -1], [-2, 1, 3], [3, -1, 1], [1, 1, -3]]) / 4
    # A layer norm's components sum to 0. In steps of 1/4, each with its negative, not even rounding is left of the sum.
    centred = torch.tensor([[1.0, -1, 3, -3], [2, -2, 5, -5], [3, -3, 4, -4], [1, -1, 6, -6]]) / 4
    # At 0, the slope of tanh is 1: what weights add up to is what gradients add up to.
    rows_cancel = torch.tensor([[1.0, 1, -2], [2, -1, -1], [-1, 2, -1], [4, -2, -2]])
    middle = torch.zeros(4, 3)
    middle[1:3, 1] = torch.tensor([0.5, -1.0])
    return [
        case("attention that skips the word itself", "attention", axes, strangers, *(torch.eye(2),) * 3),
        case("a past that is detached", "detached past", steps[:3]),
        case("a value that hides its gradient", "straight through", steps[:3].flip(0)),
        case("output components that cancel", "word by word", torch.zeros(3, 4), rows_cancel),
        case("input components that cancel", "word by word", torch.zeros(3, 3), rows_cancel[:2].T.contiguous()),
        case("layer norm", "layer norm", centred[:3]),
        case("one component of three", "word by word", words(2, 4), middle),
        case("a faint dependence", "word by word", steps[:3], torch.full((3, 2), 6e-5)),
        case("negative weights", "word by word", steps[:3], torch.full((3, 2), -0.5)),
        case("causal attention", "attention", words(3, 2), triangle[:3, :3], *weights()),
        case("attention with holes", "attention", words(5, 2), holes, *weights()),
        case("two layers with a window of 2", "two layers of attention", words(4, 2), window, *weights()),
        case("the previous word", "previous word", words(4, 2), normal(rng, 1, 2)),
        case("a running sum in float64", "running sum", words(3, 2, torch.float64)),
        case("a single position", "running sum", words(1, 3)),
    ]


def _dependency_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return (
        Case("small", (FunctionArgument("running sum"), normal(rng, 3, 2))),
        Case("large", (FunctionArgument("running sum"), normal(rng, 5, 3))),
    )


Words = Callable[[Tensor], Tensor]


def _gradients(function: Words, inputs: Tensor, seeds: Callable[[Tensor], Tensor]) -> Tensor:
    """The gradients `[N, S, D]` of the outputs `[S, E]`, weighed by each of the ``seeds`` `[N, S, E]` of them."""
    with torch.enable_grad():
        leaf = inputs.detach().clone().requires_grad_(True)
        output = function(leaf)
        (gradients,) = torch.autograd.grad(output, leaf, seeds(output.detach()), is_grads_batched=True)
    return gradients


def _jacobian(function: Words, inputs: Tensor) -> Tensor:
    """The gradient of each component of each output, `[S, E, S, D]`."""

    def each(output: Tensor) -> Tensor:
        return torch.eye(output.numel(), dtype=output.dtype, device=output.device).reshape(-1, *output.shape)

    return _gradients(function, inputs, each).reshape(len(inputs), -1, *inputs.shape)


def _by_sums(form: Callable[[Tensor], Tensor]) -> Any:
    """What ``form`` makes of the gradient of each output's sum, `[S, S, D]`."""

    def rows(output: Tensor) -> Tensor:
        one = torch.eye(len(output), dtype=output.dtype, device=output.device)
        return one[:, :, None].expand(-1, -1, output.shape[1]).contiguous()

    return lambda function, inputs: form(_gradients(function, inputs, rows))


def _by_gradients(form: Callable[..., Tensor]) -> Any:
    return lambda function, inputs: form(_jacobian(function, inputs))


def _depends(jacobian: Tensor) -> Tensor:
    return (jacobian != 0).any(3).any(1)


def _nudged(form: Callable[[Tensor], Tensor]) -> Any:
    """What ``form`` makes of which outputs have another value after input k was changed.

    It speaks only where that is not what the gradients say, for there every way to change an input tells the same. Where
    the two agree, what a change brings to light is a matter of its size and of how values are compared.
    """

    def answer(function: Words, inputs: Tensor) -> Tensor:
        columns, before = [], function(inputs)
        change = torch.linspace(0.7, 1.3, inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        for k in range(len(inputs)):
            other = inputs.clone()
            other[k] += change
            columns.append(((function(other) - before).abs() > 1e-6).any(-1))
        moved = torch.stack(columns, 1)
        if torch.equal(moved, _depends(_jacobian(function, inputs))):
            raise _Silent
        return form(moved)

    return answer


class _Silent(Exception):
    """This case is not one to recognise the mistake by."""


def _coarse(sizes: Callable[[Tensor], Tensor]) -> Any:
    """Which ``sizes`` `[S, S, ...]` of a Jacobian are above a threshold, where all thresholds from 0.0002 to 0.1 agree."""

    def answer(function: Words, inputs: Tensor) -> Tensor:
        size = sizes(_jacobian(function, inputs)).abs()
        fine, coarse = ((size > threshold).flatten(2).any(2) for threshold in (2e-4, 0.1))
        if not torch.equal(fine, coarse):
            raise _Silent
        return coarse

    return answer


def _by_values(form: Callable[[Tensor, Tensor], Tensor]) -> Any:
    """What ``form`` makes of outputs `[S, 1, E]` and inputs `[1, S, D]`."""
    return lambda function, inputs: form(function(inputs)[:, None], inputs[None])


def _of_the_total(form: Callable[[Tensor], Tensor]) -> Any:
    """What ``form`` makes of which inputs the gradient of the sum of all outputs reaches, `[S]`."""

    def answer(function: Words, inputs: Tensor) -> Tensor:
        total = _gradients(function, inputs, lambda output: torch.ones_like(output)[None])[0]
        return form((total != 0).any(-1))

    return answer


def _once(function: Words, inputs: Tensor) -> Tensor:
    leaf = inputs.clone().requires_grad_(True)
    output = function(leaf)
    rows = [[torch.autograd.grad(component, leaf)[0] for component in row] for row in output]
    return _depends(torch.stack([torch.stack(row) for row in rows]))


DEPENDENCY_MATRIX = Spec(
    topic="causal",
    oracle=dependency_matrix,
    points=3,
    cases=_dependency_cases,
    sizes=_dependency_sizes,
    reading="allowed",
    properties=(DEVICE,),
    misconceptions=(
        misconception(
            "transposed",
            "Rows are outputs, columns inputs: cell [q, k] is about output q and input k.",
            _by_gradients(lambda jacobian: _depends(jacobian).T),
            _by_sums(lambda gradients: (gradients.abs() > 1e-6).any(-1).T),
            _nudged(lambda moved: moved.T),
        ),
        misconception(
            "values compared instead of dependence",
            "That compares values, which can move or rest whatever the gradient: ask `torch.autograd.grad`.",
            _nudged(lambda moved: moved),
            _by_values(lambda output, inputs: (output == inputs).all(-1)),
            _by_values(lambda output, inputs: (output != inputs).any(-1)),
            _by_values(lambda output, inputs: (output[:, 0] != inputs[0]).any(-1)[:, None].expand(-1, inputs.shape[1])),
            _by_values(lambda output, inputs: (output * inputs).sum(-1) != 0),
            _by_values(lambda output, inputs: (output != 0).any(-1).expand(-1, inputs.shape[1])),
        ),
        misconception(
            "summed before the gradient",
            "The components of an output can cancel in a sum (a layer norm's always do): take each one's gradient.",
            _by_sums(lambda gradients: (gradients.abs() > 1e-6).any(-1)),
        ),
        misconception(
            "gradients summed with their signs",
            "Gradients of both signs cancel in a sum over the input's components: take `abs()` first, or ask for `any`.",
            _by_gradients(lambda jacobian: (jacobian.sum(3) != 0).any(1)),
            _by_gradients(lambda jacobian: jacobian.sum((1, 3)) != 0),
            _by_gradients(lambda jacobian: jacobian.sum((1, 3)).abs() > 1e-6),
        ),
        misconception(
            "one component only",
            "Each component of the output, and of the input, counts: a dependence may run through any one of them.",
            _by_gradients(lambda jacobian: (jacobian[:, 0] != 0).any(-1)),
            _by_gradients(lambda jacobian: (jacobian[:, -1] != 0).any(-1)),
        ),
        misconception(
            "negative gradients passed over",
            "A negative gradient is a dependence as well: ask whether it differs from 0, not whether it is above.",
            _by_gradients(lambda jacobian: (jacobian > 0).any(3).any(1)),
            _by_sums(lambda gradients: (gradients > 0).any(-1)),
            _by_gradients(lambda jacobian: jacobian.sum((1, 3)) > 0),
        ),
        misconception(
            "too coarse a threshold",
            "A faint gradient is a dependence as well: compare with 0, or leave no more room than rounding needs.",
            _coarse(lambda jacobian: jacobian.transpose(1, 2)),
            _coarse(lambda jacobian: jacobian.sum(1)),
            _coarse(lambda jacobian: jacobian.abs().sum((1, 3))[:, :, None]),
        ),
        misconception(
            "gradient of the whole output",
            "One gradient of the sum of all outputs cannot tell them apart: each output needs a row of its own.",
            _of_the_total(lambda seen: seen.expand(len(seen), -1)),
            _of_the_total(lambda seen: seen[:, None].expand(-1, len(seen))),
            _of_the_total(lambda seen: seen),
        ),
        misconception(
            "gradients accumulated",
            "`backward()` adds to what is in `.grad`: set it to None before each output, or use `torch.autograd.grad`.",
            _by_gradients(lambda jacobian: _depends(jacobian.cumsum(0))),
            _by_sums(lambda gradients: (gradients.cumsum(0) != 0).any(-1)),
        ),
        misconception(
            "always a triangle",
            "Not every function is causal: look at this one's gradients.",
            lambda function, inputs: _square(torch.ge)(len(inputs), inputs.device),
            lambda function, inputs: _square(torch.ge, torch.long)(len(inputs), inputs.device),
        ),
        misconception(
            "not bool",
            "The cells are right, but True and False are asked for, not numbers.",
            *(_by_gradients(lambda jacobian, dtype=dtype: _depends(jacobian).to(dtype)) for dtype in NUMBERS),
        ),
        misconception(
            "the gradients themselves",
            "These are the sizes of the gradients; the question is only whether there is one: compare with 0.",
            _by_gradients(lambda jacobian: jacobian.abs().sum((1, 3))),
            _by_gradients(lambda jacobian: jacobian.square().sum((1, 3)).sqrt()),
            _by_gradients(lambda jacobian: jacobian),
        ),
        misconception(
            "inputs without gradients",
            "`inputs` arrive as plain numbers: autograd follows what comes after `inputs.clone().requires_grad_(True)`.",
            lambda function, inputs: torch.autograd.grad(function(inputs)[0, 0], inputs),
            lambda function, inputs: function(inputs)[0, 0].backward(),
        ),
        misconception(
            "graph freed after the first gradient",
            "The graph is thrown away after the first backward pass: say `retain_graph=True` while more are to come.",
            _once,
        ),
        misconception(
            "components kept",
            "One cell for each output and input *position*: bring the axes of the components down with `any`.",
            _by_gradients(lambda jacobian: jacobian != 0),
            _by_gradients(lambda jacobian: (jacobian != 0).any(-1)),
            _by_gradients(lambda jacobian: (jacobian != 0).any(1)),
        ),
    ),
)


SPECS = (
    CAUSAL_MASK,
    CAUSAL_MASK_WITH_PAST,
    SLIDING_WINDOW_MASK,
    PREFIX_LM_MASK,
    DECODER_ATTENTION_MASK,
    ENCODER_DECODER_MASKS,
    POSITION_IDS,
    NEXT_TOKEN_LABELS,
    ASSISTANT_LABELS,
    DEPENDENCY_MATRIX,
)
