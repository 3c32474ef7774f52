"""The Hugging Face mask converter: one additive 4-D mask per forward pass, rebuilt function by function."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbook.specs.specification import (
    Case,
    Misconception,
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

HEADER = '''"""Notebook 04. The Hugging Face mask converter, function by function."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from workbook import exercise


@dataclass
class AttentionMaskConverter:
    """Given: the functions of this file under Hugging Face's names and arguments. Each is looked up when it is called.

    0 = may attend, the most negative number of the dtype = may not.

    Args:
        is_causal: whether a query is kept from the keys that come after it.
        sliding_window: how many keys before its own a query sees, or `None` for all of them; only where `is_causal`.

    Source: `transformers.modeling_attn_mask_utils`, deprecated there in favour of `transformers.masking_utils`.
    """

    is_causal: bool
    sliding_window: int | None = None

    def __post_init__(self) -> None:
        if self.sliding_window is not None and self.sliding_window < 1:
            raise ValueError(f"sliding_window is {self.sliding_window}; it has to be 1 or more, or None")

    def to_causal_4d(
        self,
        batch_size: int,
        query_length: int,
        key_value_length: int,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
    ) -> Tensor | None:
        if not self.is_causal:
            raise ValueError("is_causal is False; to_causal_4d makes a mask for a causal converter only")
        return to_causal_4d(batch_size, query_length, key_value_length, dtype, self.sliding_window, device)

    def to_4d(
        self, attention_mask_2d: Tensor, query_length: int, dtype: torch.dtype, key_value_length: int | None = None
    ) -> Tensor:
        return to_4d(attention_mask_2d, query_length, dtype, key_value_length, self.is_causal, self.sliding_window)

    @staticmethod
    def _make_causal_mask(
        input_ids_shape: tuple[int, int],
        dtype: torch.dtype,
        device: torch.device | str,
        past_key_values_length: int = 0,
        sliding_window: int | None = None,
    ) -> Tensor:
        return make_causal_mask(input_ids_shape, dtype, past_key_values_length, sliding_window, device)

    @staticmethod
    def _expand_mask(mask: Tensor, dtype: torch.dtype, tgt_len: int | None = None) -> Tensor:
        return expand_mask(mask, dtype, tgt_len)

    @staticmethod
    def _unmask_unattended(expanded_mask: Tensor, min_dtype: float) -> Tensor:
        return unmask_unattended(expanded_mask, min_dtype)

    @staticmethod
    def _ignore_causal_mask_sdpa(
        attention_mask: Tensor | None,
        inputs_embeds: Tensor,
        past_key_values_length: int,
        sliding_window: int | None = None,
    ) -> bool:
        query_length = inputs_embeds.shape[1]
        key_value_length = past_key_values_length + query_length
        return ignore_causal_mask_sdpa(attention_mask, query_length, key_value_length, sliding_window)
'''

#: Calls of the constructors name the device as text; the property passes `torch.device` objects.
ON_CPU = {"device": "cpu"}


# --- what the oracles ask of one cell --------------------------------------------------------------------------------


def _in_sight(steps_back: int, sliding_window: int | None) -> bool:
    """Is a key that stands ``steps_back`` before the query neither in its future nor behind its window?"""
    return steps_back >= 0 and (sliding_window is None or steps_back <= sliding_window)


def _refuse(sliding_window: int | None) -> None:
    if sliding_window is not None and sliding_window < 1:
        raise ValueError(f"sliding_window is {sliding_window}; it has to be 1 or more, or None")


def _fill_in(
    shape: tuple[int, ...], may_attend: Callable[..., bool], dtype: torch.dtype, device: torch.device | str | None
) -> Tensor:
    """The additive mask of a question about one cell ``(b, h, q, k)``."""
    lowest = torch.finfo(dtype).min
    place = torch.get_default_device() if device is None else device
    return fill(shape, lambda *cell: 0.0 if may_attend(*cell) else lowest, dtype, place)


# --- drawing inputs --------------------------------------------------------------------------------------------------


def _larger(rng: torch.Generator) -> tuple[int, int, int]:
    """Queries, past and a window that hides something from each query: 13,000 ways, too many to know by heart."""
    query, past = integer(rng, 2, 9), integer(rng, 10, 60)
    return query, past, integer(rng, 2, past - 1)


# --- how wrong answers are written -----------------------------------------------------------------------------------

#: Which keys `[K]` the queries `[Q, 1]` see, given the number of past keys and the window.
Rule = Callable[[Tensor, Tensor, int, int | None], Tensor]
#: Numbers for what is allowed.
Fill = Callable[[Tensor, torch.dtype], Tensor]


def _near(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return (k >= 0).expand(len(q), -1) if window is None else q + past - k <= window


def _seen(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return (k <= q + past) & _near(q, k, past, window)


def _added(allowed: Tensor, dtype: torch.dtype, number: float | None = None) -> Tensor:
    """0 where allowed; elsewhere ``number``, which may overflow on its way into ``dtype``."""
    hidden = torch.full((), lowest_number(dtype) if number is None else number, device=allowed.device).to(dtype)
    return torch.where(allowed, torch.zeros((), dtype=dtype, device=allowed.device), hidden)


class _SaysNothing(Exception):
    """Raised by a wrong answer in cases that its mistake is not about, so that others may do there what they like."""


def _below_1(window: int) -> bool:
    return window < 1


def _table(
    query: int,
    past: int,
    window: int | None,
    device: Any,
    rule: Rule = _seen,
    refused: Callable[[int], bool] | None = None,
) -> Tensor:
    """What a rule allows, `[Q, past + Q]`; a window that is ``refused`` is a ValueError."""
    if window is not None and (refused or _below_1)(window):
        raise ValueError
    q = torch.arange(query, device=device)[:, None]
    return rule(q, torch.arange(past + query, device=device), past, window)


def _made(fill: Fill = _added, device_given: bool = True, **wrong: Any) -> Any:
    """`make_causal_mask`, with what goes wrong as keywords."""

    def answer(shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None, device: Any = None) -> Tensor:
        allowed = _table(shape[1], past, sliding_window, device if device_given else None, **wrong)
        return fill(allowed, dtype).expand(shape[0], 1, *allowed.shape)

    return answer


def _needless(query: int, key: int, window: int | None) -> bool:
    return query == 1 and window is None


def _causal(
    needless: Callable[..., bool] = _needless,
    past: Callable[[int, int], int] | None = None,
    early: bool = False,
    **wrong: Any,
) -> Any:
    """`to_causal_4d`, with what goes wrong as keywords.

    ``needless`` decides on `None`, ``early`` before the window is checked; ``past`` is of query and key.
    """

    def answer(
        batch: int, query: int, key: int, dtype: Any, sliding_window: int | None = None, device: Any = None
    ) -> Tensor | None:
        if not early:
            _table(0, 0, sliding_window, device, refused=wrong.get("refused"))
        if needless(query, key, sliding_window):
            return None
        before = key - query if past is None else past(query, key)
        mask: Tensor = _made(**wrong)((batch, query), dtype, before, sliding_window, device)
        return mask

    return answer


def _columns(mask: Tensor) -> Tensor:
    return mask.bool()[:, None, None, :]


def _rows(mask: Tensor, query: int) -> Tensor:
    if query != mask.shape[1]:
        raise _SaysNothing
    return mask.bool()[:, None, :, None]


def _key_and_triangle(triangle: Tensor, mask: Tensor) -> Tensor:
    return triangle & _columns(mask)


def _joined(
    join: Callable[[Tensor, Tensor], Tensor] = _key_and_triangle,
    fill: Fill = _added,
    fill_both: Fill | None = None,
    one_way: Callable[[bool, int | None], bool] = lambda is_causal, window: is_causal,
    needs_keys: bool = True,
    needs_triangle: bool = True,
    **wrong: Any,
) -> Any:
    """`to_4d`, with what goes wrong as keywords: how padding and triangle are joined, and what is checked.

    A wrong ``join`` says nothing where there is no triangle, or no need of one.
    """

    def answer(
        mask: Tensor,
        query: int,
        dtype: Any,
        key: int | None = None,
        is_causal: bool = True,
        sliding_window: int | None = None,
    ) -> Tensor:
        _table(0, 0, sliding_window, mask.device, **wrong)  # for its refusal
        if sliding_window is not None and not is_causal and needs_triangle:
            raise NotImplementedError
        if key is None and is_causal and needs_keys:
            raise ValueError
        if join is not _key_and_triangle and (not is_causal or (query == 1 and sliding_window is None)):
            raise _SaysNothing
        triangle = torch.ones(query, mask.shape[1], dtype=torch.bool, device=mask.device)
        if one_way(is_causal, sliding_window):
            triangle = _table(query, mask.shape[1] - query, sliding_window, mask.device, **wrong)
        return (fill_both or fill)(join(triangle.expand(len(mask), 1, -1, -1), mask), dtype)

    return answer


def _of_4d(mask: Tensor) -> Tensor:
    return mask == 1


def _prepared(
    four: Callable[[Tensor], Tensor] = _of_4d,
    about: tuple[int, ...] = (0, 2, 4),
    fill: Fill = _added,
    checks_shape: bool = True,
    **wrong: Any,
) -> Any:
    """`prepare_4d_causal_attention_mask`, with what goes wrong as keywords.

    ``four`` is what a 4-D mask allows; ``about`` are the axes of the masks that this answer says anything about, 0 for
    `None`.
    """

    def answer(
        mask: Tensor | None, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None
    ) -> Tensor | None:
        batch, query = shape
        if (0 if mask is None else mask.dim()) not in about:
            raise _SaysNothing
        if mask is None:
            built: Tensor | None = _causal(fill=fill, **wrong)(batch, query, past + query, dtype, sliding_window, "cpu")
            return built
        if mask.dim() == 2:
            joined: Tensor = _joined(fill=fill, **wrong)(mask, query, dtype, past + query, True, sliding_window)
            return joined
        if checks_shape and tuple(mask.shape) != (batch, 1, query, past + query):
            raise ValueError
        return fill(four(mask), dtype)

    return answer


def _prepared_about(*about: int) -> Callable[..., Any]:
    return partial(_prepared, about=about)


# --- wrong answers that several functions share ----------------------------------------------------------------------


def _filled_with(number: float) -> Fill:
    return lambda allowed, dtype: _added(allowed, dtype, number)


def _masked_fill(number: float) -> Fill:
    """Unlike `_added`, refuses a number that overflows in `dtype`."""
    return lambda allowed, dtype: torch.zeros_like(allowed, dtype=dtype).masked_fill(~allowed, number)


#: The additive masks whose hidden number is not the dtype's minimum.
OTHER_FILLS: tuple[Fill, ...] = (
    *map(_filled_with, (-1e9, -1e10, -1e30, -1e4, -65504.0, torch.finfo(torch.float32).min, -math.inf)),
    *map(_masked_fill, (-1e9, torch.finfo(torch.float32).min)),
    lambda allowed, dtype: (~allowed).to(dtype) * -math.inf,
)


def _other_number(wrong: Callable[..., Any]) -> Misconception:
    return misconception(
        "another number than the minimum",
        "Hidden is exactly `torch.finfo(dtype).min`: −∞ makes an empty row NaN, and −1e9 overflows in float16.",
        *(wrong(fill=fill) for fill in OTHER_FILLS),
    )


def _dtype_ignored(wrong: Callable[..., Any]) -> Misconception:
    return misconception(
        "dtype ignored",
        "The mask has to be of `dtype`, the dtype of the scores, or the sum changes theirs.",
        wrong(fill=lambda allowed, dtype: _added(allowed, torch.float32)),
        wrong(fill=lambda allowed, dtype: torch.where(allowed, 0.0, lowest_number(dtype))),
    )


def _zero_and_one(wrong: Callable[..., Any]) -> Misconception:
    return misconception(
        "0 and 1 instead of what is added",
        "These are 0 and 1 (or bools), which attention would *add*: keep with 0, hide with `torch.finfo(dtype).min`.",
        wrong(fill=lambda allowed, dtype: allowed),
        wrong(fill=lambda allowed, dtype: ~allowed),
        wrong(fill=lambda allowed, dtype: allowed.to(dtype)),
        wrong(fill=lambda allowed, dtype: (~allowed).to(dtype)),
        wrong(fill=lambda allowed, dtype: allowed.long()),
    )


def _inverted(wrong: Callable[..., Any]) -> Misconception:
    return misconception(
        "inverted",
        "0 keeps and the minimum hides: what may be seen has to add 0, and here that is what is hidden.",
        wrong(fill=lambda allowed, dtype: _added(~allowed, dtype)),
    )


def _numbers(wrong: Callable[..., Any]) -> tuple[Misconception, ...]:
    """Right cells, wrong numbers; ``wrong(fill=...)`` builds the answer."""
    return _other_number(wrong), _dtype_ignored(wrong), _inverted(wrong), _zero_and_one(wrong)


def _anywhere_before(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return _seen(q, k, past, None)


def _windows(wrong: Callable[..., Any], *forgotten: Any) -> tuple[Misconception, ...]:
    """The window miscounted or forgotten; ``wrong(rule=...)`` builds the answer."""

    def counted(keys: int) -> Rule:
        return lambda q, k, past, window: _seen(q, k, past, None if window is None else window + keys)

    return (
        misconception(
            "window one off",
            "This window counts the keys *before* the query, and the query comes on top: window 1 shows two keys.",
            *(wrong(rule=counted(keys)) for keys in (-1, 1)),
        ),
        misconception(
            "window forgotten",
            "This is the whole triangle: keys more than `sliding_window` steps back have to be hidden, too.",
            wrong(rule=_anywhere_before),
            *forgotten,
        ),
    )


def _unrefused(wrong: Callable[..., Any], *more: Any) -> Misconception:
    def taken_as(number: Callable[[int], int | None]) -> Rule:
        return lambda q, k, past, window: _seen(q, k, past, None if window is None else number(window))

    def none_refused(window: int) -> bool:
        return False

    return misconception(
        "a window below 1 not refused",
        "A window below 1 is a ValueError, and so is 0, which `if sliding_window:` takes for no window.",
        wrong(refused=none_refused),
        wrong(refused=lambda window: window < 0),
        wrong(refused=lambda window: window == 0),
        *(
            wrong(refused=refused, rule=taken_as(number))
            for refused in (none_refused, lambda window: window < 0)
            for number in (lambda window: window or None, lambda window: window if window > 0 else None)
        ),
        wrong(refused=none_refused, rule=taken_as(lambda window: max(window, 1))),
        *more,
    )


def _top_left(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return _seen(q, k, 0, window)


def _only_the_triangle_top_left(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return (k <= q) & _near(q, k, past, window)


def _batch_left_to_broadcasting(right: Callable[..., Any]) -> Misconception:
    def shaped(shape: Callable[[Tensor], Tensor]) -> Any:
        def answer(*arguments: Any, **keywords: Any) -> Tensor | None:
            mask = right(*arguments, **keywords)
            return None if mask is None else shape(mask)

        return answer

    return misconception(
        "left to broadcasting",
        "The cells are right; the shape asked for is [batch, 1, query, key]: `expand` the batch axis.",
        shaped(lambda mask: mask[:1]),
        shaped(lambda mask: mask[0, 0]),
        shaped(lambda mask: mask[0]),
        shaped(lambda mask: mask[:, 0]),
    )


# --- make_causal_mask ------------------------------------------------------------------------------------------------


def make_causal_mask(
    input_ids_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    """0 = may attend, the dtype's minimum = may not: the triangle, a past in front of it, and a window over both.

        four words after two soft-prompt positions        and with a window of 1

                 s1 s2  I like green tea                          s1 s2  I like green tea
        I         ■  ■  ■   ⬚    ⬚    ⬚                  I         ⬚  ■  ■   ⬚    ⬚    ⬚
        like      ■  ■  ■   ■    ⬚    ⬚                  like      ⬚  ⬚  ■   ■    ⬚    ⬚
        green     ■  ■  ■   ■    ■    ⬚                  green     ⬚  ⬚  ⬚   ■    ■    ⬚
        tea       ■  ■  ■   ■    ■    ■                  tea       ⬚  ⬚  ⬚   ⬚    ■    ■

        ■ 0          ⬚ -3.4028e+38 in float32

    Args:
        input_ids_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores that the mask will be added to.
        past_key_values_length: how many keys stand before the first query; every query may see them.
        sliding_window: how many keys *before* its own a query sees, so that it sees `sliding_window + 1` in all;
            `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`, of the two numbers 0 and `torch.finfo(dtype).min`.

    Raises:
        ValueError: the window is below 1.

    Source: `AttentionMaskConverter._make_causal_mask` of `transformers.modeling_attn_mask_utils`. The window of
    `transformers.masking_utils` sees one key less.
    """
    _refuse(sliding_window)
    batch_size, query_length = input_ids_shape

    def may_attend(b: int, h: int, q: int, k: int) -> bool:
        return _in_sight(past_key_values_length + q - k, sliding_window)

    shape = (batch_size, 1, query_length, past_key_values_length + query_length)
    return _fill_in(shape, may_attend, dtype, device)


def _make_cases(rng: torch.Generator) -> list[Case]:
    query, past, window = integer(rng, 4, 5), integer(rng, 2, 4), integer(rng, 2, 3)
    larger, longer, wider = _larger(rng)
    return [
        Case("four words, two sentences", ((2, 4), torch.float32)),
        Case("after two soft-prompt positions", ((2, 4), torch.float32, 2)),
        Case("the same with a window of 1", ((2, 4), torch.float32, 2, 1)),
        Case("a window and no past", ((1, 5), torch.float16, 0, 2)),
        Case("a long past and a window", ((2, 3), torch.bfloat16, 4), {"sliding_window": 3}),
        Case("as many sentences as words", ((3, 3), torch.float16)),
        Case("drawn sizes", ((2, query), torch.float32, past)),
        Case("drawn sizes and a window", ((3, query), torch.float16, past, window)),
        Case("a past of one", ((2, 3), torch.bfloat16, 1)),
        Case("one query, as in decoding", ((2, 1), torch.float32, 3)),
        Case("one query with a window", ((2, 1), torch.float32, 4, 2)),
        Case("a window as wide as the queries", ((1, 3), torch.float32, 2, 3)),
        Case("a window wider than the queries", ((1, 2), torch.float32, 6, 4)),
        Case("a window wider than the keys", ((2, 3), torch.float32, 1, 9)),
        Case("with a device", ((2, 3), torch.float16, 1, 2), ON_CPU),
        Case("a single word", ((1, 1), torch.float32)),
        Case("a window of 0", ((2, 3), torch.float32, 1, 0)),
        Case("a negative window", ((2, 3), torch.float32, 0, -1)),
        Case("larger sizes, drawn", ((2, larger), torch.float32, longer, wider)),
    ]


def _make_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = ((2, 3), torch.float16, 2, 2), ((3, 7), torch.float16, 4, 5)
    return Case("small", small, ON_CPU), Case("large", large, ON_CPU)


def _past_behind(
    input_ids_shape: Any, dtype: Any, past_key_values_length: int = 0, sliding_window: Any = None, device: Any = None
) -> Tensor:
    """The columns of the past stand behind the triangle."""
    made: Tensor = _without_past(input_ids_shape, dtype, 0, sliding_window, device)
    return torch.nn.functional.pad(made, (0, past_key_values_length))


def _without_past(
    shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None, device: Any = None
) -> Tensor:
    mask: Tensor = _made()(shape, dtype, 0, sliding_window, device)
    return mask


def _from_its_own_key_on(q: Tensor, k: Tensor, past: int) -> Tensor:
    return k >= q + past


def _past_and_from_its_own_key_on(q: Tensor, k: Tensor, past: int) -> Tensor:
    return (k < past) | (k >= q + past)


def _anywhere(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return _near(q, k, past, None)


def _two_sided(q: Tensor, k: Tensor, past: int, window: int | None) -> Tensor:
    return _seen(q, k, past, None) if window is None else (q + past - k).abs() <= window


MAKE_CAUSAL_MASK = Spec(
    topic="converter",
    oracle=make_causal_mask,
    points=3,
    cases=_make_cases,
    sizes=_make_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "past not prepended",
            "The cached keys are keys, too: the mask has `past_key_values_length` more columns, in front of the triangle.",
            _without_past,
            _past_behind,
        ),
        misconception(
            "top-left alignment",
            "The columns of the past stand in *front*: query 0 is at place `past_key_values_length`, not at 0.",
            _made(rule=_top_left),
            _made(rule=_only_the_triangle_top_left),
        ),
        misconception(
            "past hidden",
            "The triangle is right, but the past is what every query may see: its columns are 0.",
            _made(rule=lambda q, k, past, window: (k >= past) & _seen(q, k, past, window)),
        ),
        *_windows(_made),
        misconception(
            "window without the past",
            "The window has to move along with the past: its diagonal counts from `past_key_values_length`, too.",
            _made(
                rule=lambda q, k, past, window: _seen(q, k, past, None) & ((window is None) | (q - k <= (window or 0)))
            ),
            _made(
                rule=lambda q, k, past, window: (
                    _seen(q, k, past, None) & ((window is None) | (k < past) | (q + past - k <= (window or 0)))
                )
            ),
        ),
        misconception(
            "not causal",
            "A query sees what comes after it, which it has to guess: in the triangle no key stands after its query.",
            *(
                _made(
                    rule=lambda q, k, past, window, order=order, near=near: order(q, k, past) & near(q, k, past, window)
                )
                for order in (_from_its_own_key_on, _past_and_from_its_own_key_on)
                for near in (_near, _anywhere)
            ),
            _made(rule=_anywhere),
            _made(rule=_near),
            _made(
                rule=lambda q, k, past, window: _seen(q, k, past, None) if window is None else _near(q, k, past, window)
            ),
            _made(rule=_two_sided),
        ),
        misconception(
            "own key excluded",
            "Each query may see itself, and the first one without a past has nobody else: the diagonal is 0.",
            _made(rule=lambda q, k, past, window: _seen(q, k, past, window) & (k < q + past)),
        ),
        *_numbers(_made),
        _batch_left_to_broadcasting(_made()),
        _unrefused(_made),
        misconception(
            "device forgotten",
            "The mask is right, but `device` was not passed on to where the tensors are made.",
            _made(device_given=False),
        ),
    ),
)


# --- expand_mask -----------------------------------------------------------------------------------------------------


def expand_mask(
    attention_mask: Int[Tensor, "batch key"], dtype: torch.dtype, target_length: int | None = None
) -> Float[Tensor, "batch 1 query key"]:
    """1 = real token goes in; what is *added* to the scores comes out, one row for every query: 0, or the minimum.

        1 1 1 0, three queries:

                    I  like  coffee  <pad>
            I       ■   ■      ■       ⬚          ■ 0
            like    ■   ■      ■       ⬚          ⬚ -3.4028e+38 in float32
            coffee  ■   ■      ■       ⬚

    Args:
        attention_mask: 1 = real token, 0 = padding.
        dtype: the floating dtype of the scores.
        target_length: how many queries, 0 included; as many as keys if `None`.

    Returns:
        `dtype`, `[batch, 1, target_length, key]`: padding keys are `torch.finfo(dtype).min`, there is no triangle.

    Source: `AttentionMaskConverter._expand_mask` of `transformers.modeling_attn_mask_utils`.
    """
    real, (batch_size, key_length) = attention_mask.tolist(), attention_mask.shape
    query_length = key_length if target_length is None else target_length
    shape = (batch_size, 1, query_length, key_length)
    return _fill_in(shape, lambda b, h, q, k: real[b][k] == 1, dtype, attention_mask.device)


GAPS = ((1, 0, 1, 1, 0, 1), (0, 1, 0, 0, 1, 1), (1, 1, 0, 1, 0, 0))
TWO_SENTENCES = ((1, 1, 1, 0), (1, 1, 1, 1))
ON_THE_LEFT = ((0, 1, 1, 1), (1, 1, 1, 1))


def _expand_cases(rng: torch.Generator) -> list[Case]:
    key, target = integer(rng, 5, 6), integer(rng, 2, 4)
    drawn = lengths(rng, 3, key)
    return [
        Case("the two sentences", (torch.tensor(TWO_SENTENCES), torch.float32)),
        Case("padding on the left, three queries", (torch.tensor(ON_THE_LEFT), torch.float32, 3)),
        Case("as many sentences as keys, in float16", (attention_mask([1, 4, 2, 3], 4), torch.float16)),
        Case("padding in the middle, in bfloat16", (torch.tensor(GAPS), torch.bfloat16, 4)),
        Case("a drawn batch", (attention_mask(drawn, key), torch.float16, target)),
        Case("more queries than keys", (torch.tensor([[1, 0]]), torch.float32, 5)),
        Case("one query, as in decoding", (attention_mask([2, 4], 5, "left"), torch.float32, 1)),
        Case("an empty sentence", (attention_mask([0, 3], 3), torch.float32)),
        Case("no padding", (torch.ones(2, 3, dtype=torch.long), torch.bfloat16, 2)),
        Case("a single word", (torch.tensor([[1]]), torch.float32)),
        Case("no queries", (attention_mask([2, 3], 3), torch.float32, 0)),
        Case("sequence length 0", (attention_mask([0, 0], 0), torch.float32, 2)),
    ]


def _expand_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 4], 5), torch.float16, 3)), Case(
        "large", (attention_mask([3, 9, 1], 9), torch.float16, 7)
    )


def _expanded(
    form: Callable[[Tensor, int], Tensor] = lambda mask, query: _columns(mask).expand(-1, 1, query, -1),
    query: Callable[[int | None, int], int] = lambda target, key: key if target is None else target,
    fill: Fill = _added,
) -> Any:
    """`expand_mask`, with what goes wrong as arguments: ``form`` is what may be seen by how many queries."""
    return lambda mask, dtype, target=None: fill(form(mask, query(target, mask.shape[1])), dtype)


EXPAND_MASK = Spec(
    topic="converter",
    oracle=expand_mask,
    points=1,
    practice=True,
    cases=_expand_cases,
    sizes=_expand_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "not inverted",
            "1 is a real token and adds 0; here the real keys are hidden and the padding is seen.",
            _expanded(fill=lambda allowed, dtype: _added(~allowed, dtype)),
        ),
        misconception(
            "rows for columns",
            "Padding must not be looked at: hide its column, `[:, None, None, :]`, not the row in which it looks.",
            _expanded(lambda mask, query: _rows(mask, query).expand(-1, 1, -1, mask.shape[1])),
            _expanded(lambda mask, query: _rows(mask, query) & _columns(mask)),
            lambda mask, dtype, target=None: _expanded()(mask, dtype, target).mT,
        ),
        misconception(
            "target_length ignored",
            "There is a row for every query: `target_length` of them, which need not be the number of keys.",
            _expanded(query=lambda target, key: key),
        ),
        misconception(
            "0 queries taken for None",
            "`target_length or …` passes 0 over: ask `is None`, for 0 is a length, too.",
            _expanded(query=lambda target, key: target or key),
        ),
        misconception(
            "left to broadcasting",
            "The shape [batch, 1, 1, key] would broadcast later, but here a row for every query is asked for: `expand`.",
            _expanded(lambda mask, query: _columns(mask)),
        ),
        misconception(
            "no axis for the heads",
            "The shape is [batch, 1, query, key]: without the 1, or with it in front, the batch would land on the heads.",
            _expanded(lambda mask, query: mask.bool()[:, None, :].expand(-1, query, -1)),
            _expanded(lambda mask, query: mask.bool()[None, :, None, :].expand(-1, -1, query, -1)),
        ),
        misconception(
            "a triangle, too",
            "Only the padding is hidden here: this function knows no order, the triangle comes from `make_causal_mask`.",
            _expanded(
                lambda mask, query: (
                    _columns(mask)
                    & (
                        torch.arange(mask.shape[1], device=mask.device)
                        <= torch.arange(query, device=mask.device)[:, None]
                    )
                )
            ),
            _expanded(
                lambda mask, query: _columns(mask).expand(-1, 1, query, -1).tril(max(mask.shape[1] - query, 0)),
            ),
        ),
        misconception(
            "whole numbers for bools",
            "`~1` is −2, and −2 is as true as −1: on whole numbers ask `attention_mask == 0`, which gives bools.",
            _expanded(lambda mask, query: ~(~mask).bool()[:, None, None, :].expand(-1, 1, query, -1)),
            lambda mask, dtype, target=None: torch.zeros(
                len(mask), 1, mask.shape[1] if target is None else target, mask.shape[1], dtype=dtype
            ).masked_fill(~mask[:, None, None, :], lowest_number(dtype)),
        ),
        _other_number(_expanded),
        _dtype_ignored(_expanded),
        _zero_and_one(_expanded),
    ),
)


# --- to_causal_4d ----------------------------------------------------------------------------------------------------


def to_causal_4d(
    batch_size: int,
    query_length: int,
    key_value_length: int,
    dtype: torch.dtype,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """0 = may attend, the dtype's minimum = may not; or `None`, where a mask would hide nothing.

        two queries, four keys          one query             one query, four keys, a window of 1

             ■ ■ ■ ⬚                       None                          ⬚ ⬚ ■ ■
             ■ ■ ■ ■                                                     (a window may hide something from it)

    Args:
        batch_size: how many sentences.
        query_length: how many queries, the last of the positions.
        key_value_length: how many keys in all; what is over `query_length` is the past.
        dtype: the floating dtype of the scores.
        sliding_window: how many keys before its own a query sees; `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch_size, 1, query_length, key_value_length]`; `None` for one query without a window.

    Raises:
        ValueError: the window is below 1.

    Source: `AttentionMaskConverter.to_causal_4d` of `transformers.modeling_attn_mask_utils`.
    """
    _refuse(sliding_window)
    if query_length <= 1 and sliding_window is None:
        return None
    past = key_value_length - query_length

    def may_attend(b: int, h: int, q: int, k: int) -> bool:
        return _in_sight(past + q - k, sliding_window)

    return _fill_in((batch_size, 1, query_length, key_value_length), may_attend, dtype, device)


def _causal_cases(rng: torch.Generator) -> list[Case]:
    query, past, window = integer(rng, 3, 5), integer(rng, 2, 4), integer(rng, 2, 3)
    larger, longer, wider = _larger(rng)
    return [
        Case("four words, two sentences", (2, 4, 4, torch.float32)),
        Case("two new words after two", (2, 2, 4, torch.float32)),
        Case("after two soft-prompt positions", (2, 4, 6, torch.float16)),
        Case("one query, as in decoding", (2, 1, 4, torch.float32)),
        Case("one query with a window", (2, 1, 4, torch.float32, 1)),
        Case("one query with a window wider than the keys", (2, 1, 3, torch.float16, 8)),
        Case("soft prompt and a window of 1", (1, 4, 6, torch.float32, 1)),
        Case("a window without a past", (2, 5, 5, torch.bfloat16, 2)),
        Case("as many sentences as queries", (3, 3, 5, torch.bfloat16)),
        Case("a past of one", (1, 3, 4, torch.float32)),
        Case("drawn sizes", (2, query, query + past, torch.float16)),
        Case("drawn sizes and a window", (3, query, query + past, torch.float32), {"sliding_window": window}),
        Case("a window as wide as the queries", (2, 3, 5, torch.float32, 3)),
        Case("a window wider than the queries", (1, 2, 8, torch.float32, 4)),
        Case("a window wider than the keys", (2, 3, 5, torch.float32, 9)),
        Case("a single word", (1, 1, 1, torch.float32)),
        Case("a single word with a window", (2, 1, 1, torch.float32, 1)),
        Case("with a device", (2, 3, 4, torch.float16, 2), ON_CPU),
        Case("a window of 0", (2, 3, 4, torch.float32, 0)),
        Case("a negative window", (2, 3, 3, torch.float32, -2)),
        Case("one query and a window of 0", (2, 1, 4, torch.float32, 0)),
        Case("larger sizes, drawn", (2, larger, larger + longer, torch.float32, wider)),
    ]


def _causal_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (2, 3, 5, torch.float16, 2), ON_CPU), Case("large", (3, 7, 11, torch.float16, 5), ON_CPU)


def _nones(wrong: Callable[..., Any]) -> tuple[Misconception, ...]:
    """`None` at the wrong time; ``wrong(needless=...)`` builds the answer."""
    return (
        misconception(
            "never None",
            "One query is the last position and may see every key: without a window give back `None`, no mask.",
            wrong(needless=lambda query, key, window: False),
        ),
        misconception(
            "None despite a window",
            "One query needs no triangle, but a window hides keys from it, too: `None` only where there is no window.",
            wrong(needless=lambda query, key, window: query == 1),
            wrong(needless=lambda query, key, window: query == 1 and (window is None or window >= key - 1)),
            wrong(needless=lambda query, key, window: query == 1 and (window is None or window >= key)),
            wrong(needless=lambda query, key, window: query <= 1),
        ),
        misconception(
            "None for several queries",
            "Several queries must not see each other's future: only one query, and without a window, goes without a mask.",
            wrong(needless=lambda query, key, window: window is None and (query == 1 or query == key)),
            wrong(needless=lambda query, key, window: window is None),
            wrong(needless=lambda query, key, window: query == 1 or window is None),
            wrong(needless=lambda query, key, window: query == key),
        ),
    )


def _forgets_the_window(wrong: Callable[..., Any]) -> Any:
    """Deaf to the window from the start, in the question of `None` as well."""
    return wrong(needless=lambda query, key, window: query == 1, rule=_anywhere_before)


def _takes_0_for_none(wrong: Callable[..., Any]) -> Any:
    return wrong(needless=lambda query, key, window: query == 1 and not window, early=True)


TO_CAUSAL_4D = Spec(
    topic="converter",
    oracle=to_causal_4d,
    points=2,
    cases=_causal_cases,
    sizes=_causal_sizes,
    reading="additive",
    misconceptions=(
        *_nones(_causal),
        misconception(
            "past = key length",
            "`key_value_length` counts all keys, the queries' own among them: the past is what is left without those.",
            _causal(past=lambda query, key: key),
        ),
        misconception(
            "past forgotten",
            "The mask has a column for every key: the past is `key_value_length - query_length` of them.",
            _causal(past=lambda query, key: 0),
        ),
        misconception(
            "top-left alignment",
            "The queries are the *last* positions: query 0 stands at place key_value_length − query_length, not at 0.",
            _causal(rule=_top_left),
        ),
        *_windows(_causal, _forgets_the_window(_causal)),
        *_numbers(_causal),
        _batch_left_to_broadcasting(_causal()),
        _unrefused(_causal, _takes_0_for_none(_causal)),
        misconception(
            "device forgotten",
            "The mask is right, but `device` was not passed on to where the tensors are made.",
            _causal(device_given=False),
        ),
    ),
)


# --- to_4d -----------------------------------------------------------------------------------------------------------


def to_4d(
    attention_mask: Int[Tensor, "batch key"],
    query_length: int,
    dtype: torch.dtype,
    key_value_length: int | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"]:
    """1 = real token goes in; what is *added* comes out: 0 for a real key that is not in the future, else the minimum.

        0 1 1 1, causal                        bidirectional              one query

                  <pad>  I  like  coffee
        <pad>       ⬚    ⬚   ⬚      ⬚          ⬚  ■  ■  ■
        I           ⬚    ■   ⬚      ⬚          ⬚  ■  ■  ■
        like        ⬚    ■   ■      ⬚          ⬚  ■  ■  ■
        coffee      ⬚    ■   ■      ■          ⬚  ■  ■  ■                ⬚  ■  ■  ■

        ■ 0          ⬚ -3.4028e+38 in float32          (a row may stay empty: `unmask_unattended` is for that)

    Args:
        attention_mask: 1 = real token, 0 = padding, of every key: those of the past, and those of the queries.
        query_length: how many queries, the last of the positions.
        dtype: the floating dtype of the scores.
        key_value_length: how many keys in all, as many as `attention_mask` is wide. It tells the triangle where the
            queries stand; a mask that is not causal does not ask for it.
        is_causal: whether keys after the query are hidden, too.
        sliding_window: how many keys before its own a query sees; `None` for no window. Only where `is_causal`.

    Returns:
        `dtype`, `[batch, 1, query_length, key]`, of the two numbers 0 and `torch.finfo(dtype).min`, never their sum.

    Raises:
        ValueError: the mask is causal and `key_value_length` is missing, or the window is below 1.
        NotImplementedError: there is a window, and the mask is not causal.

    Source: `AttentionMaskConverter.to_4d` of `transformers.modeling_attn_mask_utils`.
    """
    _refuse(sliding_window)
    real, (batch_size, key_length) = attention_mask.tolist(), attention_mask.shape
    if sliding_window is not None and not is_causal:
        raise NotImplementedError(f"sliding_window is {sliding_window}; there are windows for causal masks only")
    if is_causal and key_value_length is None:
        if query_length > 1 or sliding_window is not None:
            raise ValueError("key_value_length is None; a causal mask needs it to know where the queries stand")
        key_value_length = key_length  # one query is the last position, wherever that is
    past = key_length - query_length if key_value_length is None else key_value_length - query_length

    def may_attend(b: int, h: int, q: int, k: int) -> bool:
        return real[b][k] == 1 and (not is_causal or _in_sight(past + q - k, sliding_window))

    return _fill_in((batch_size, 1, query_length, key_length), may_attend, dtype, attention_mask.device)


def _to_4d_cases(rng: torch.Generator) -> list[Case]:
    left, gaps = torch.tensor(ON_THE_LEFT), torch.tensor(GAPS)
    query, past, window = integer(rng, 3, 4), integer(rng, 1, 3), integer(rng, 1, 3)
    key = query + past
    drawn = [attention_mask(lengths(rng, 3, key), key, side) for side in ("left", "right", "left")]
    return [
        Case("the two sentences, padded on the left", (left, 4, torch.float32, 4)),
        Case("padded on the right", (torch.tensor(TWO_SENTENCES), 4, torch.float32, 4)),
        Case("one query, as in decoding", (left, 1, torch.float32, 4)),
        Case(
            "soft prompt and padding on the left",
            (torch.cat([torch.ones_like(left[:, :2]), left], 1), 4, torch.float32, 6),
        ),
        Case("bidirectional", (left, 4, torch.float32), {"is_causal": False}),
        Case("bidirectional, and key_value_length given", (gaps, 3, torch.float16, 6, False)),
        Case("two queries, four keys", (left, 2, torch.float16, 4)),
        Case("as many sentences as positions", (attention_mask([1, 4, 2, 3], 4), 4, torch.bfloat16, 4)),
        Case("padding in the middle", (gaps, 6, torch.float32, 6)),
        Case("padding in the middle and a window of 1", (gaps, 6, torch.float32, 6, True, 1)),
        Case("a past and a window", (gaps, 3, torch.bfloat16, 6), {"sliding_window": 2}),
        Case("one query with a window", (gaps, 1, torch.float16, 6, True, 2)),
        Case("a window as wide as the queries", (gaps, 4, torch.float32, 6, True, 4)),
        Case(
            "a window wider than the queries", (torch.tensor([[0, 1, 1, 1, 1, 1, 0, 1]]), 2, torch.float32, 8, True, 5)
        ),
        Case("a window wider than the keys", (left, 3, torch.float32, 4, True, 9)),
        Case("drawn, with a past", (drawn[0], query, torch.float16, key)),
        Case("drawn, with a window", (drawn[1], query, torch.float32, key, True, window)),
        Case("drawn, bidirectional", (drawn[2], query, torch.bfloat16, None, False)),
        Case("an empty sentence", (attention_mask([0, 3], 3), 3, torch.float16, 3)),
        Case("no padding", (torch.ones(2, 5, dtype=torch.long), 3, torch.float32, 5)),
        Case("a single word", (torch.tensor([[1], [0]]), 1, torch.float32, 1)),
        Case("no keys either", (attention_mask([0, 0], 0), 0, torch.float32, 0)),
        Case("causal without key_value_length", (left, 4, torch.float32)),
        Case("one query with a window, without key_value_length", (left, 1, torch.float32, None, True, 2)),
        Case("a window on a bidirectional mask", (left, 4, torch.float32, None, False, 2)),
        Case("the same with key_value_length", (gaps, 3, torch.float32, 6, False, 1)),
        Case("the same with one query", (left, 1, torch.float32, 4, False, 2)),
        Case("a window of 0", (left, 4, torch.float32, 4, True, 0)),
        Case("a negative window", (left, 2, torch.float32, 4, True, -1)),
    ]


def _to_4d_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (attention_mask([3, 5], 5, "left"), 3, torch.float16, 5, True, 2)
    large = (attention_mask([3, 9, 7], 9, "left"), 6, torch.float16, 9, True, 4)
    return Case("small", small), Case("large", large)


def _summed(number: float | None = None) -> Any:
    """Triangle and padding turned into numbers one by one, and added."""

    def added(triangle: Tensor, mask: Tensor) -> Tensor:
        return torch.stack([triangle, _columns(mask).expand_as(triangle)])

    def fill(parts: Tensor, dtype: torch.dtype) -> Tensor:
        return _added(parts[0], dtype, number) + _added(parts[1], dtype, number)

    return {"join": added, "fill_both": fill}


def _opened(triangle: Tensor, mask: Tensor) -> Tensor:
    allowed = _key_and_triangle(triangle, mask)
    return allowed | ~allowed.any(-1, keepdim=True)


def _except_one_query(otherwise: Callable[..., Any]) -> Any:
    """Right but for one query without a window, where the triangle is `None`."""

    def answer(
        mask: Any, query: int, dtype: Any, key: Any = None, is_causal: bool = True, sliding_window: Any = None
    ) -> Any:
        right = _joined()(mask, query, dtype, key, is_causal, sliding_window)
        return otherwise(right) if query == 1 and sliding_window is None and is_causal else right

    return answer


def _always_causal(
    mask: Tensor,
    query: int,
    dtype: Any,
    key: int | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
) -> Any:
    if not is_causal and key is None:
        raise ValueError  # whoever forgets `is_causal` may ask for the keys here, or guess them
    if not is_causal and sliding_window is not None:
        raise NotImplementedError  # and may refuse the sliding_window, or not
    return _joined()(mask, query, dtype, key, True, sliding_window)


def _subtracts_from_none(
    mask: Tensor, query: int, dtype: Any, key: Any = None, is_causal: bool = True, sliding_window: int | None = None
) -> Any:
    if is_causal and (query > 1 or sliding_window is not None):
        _ = key - query
    return _joined(needs_keys=False)(mask, query, dtype, key, is_causal, sliding_window)


def _window_both_ways(
    mask: Tensor,
    query: int,
    dtype: Any,
    key: int | None = None,
    is_causal: bool = True,
    sliding_window: int | None = None,
) -> Any:
    if is_causal or sliding_window is None:
        return _joined()(mask, query, dtype, key, is_causal, sliding_window)

    def near(q: Tensor, k: Tensor, past: int, sliding_window: int | None) -> Tensor:
        return (q + past - k).abs() <= (sliding_window or 0)

    return _joined(rule=near)(mask, query, dtype, mask.shape[1], True, sliding_window)


def _joins(wrong: Callable[..., Any]) -> tuple[Misconception, ...]:
    """Padding and triangle joined wrongly; ``wrong(join=...)`` builds the answer."""
    return (
        misconception(
            "sum to -inf",
            "Where padding and triangle both hide, two minima add up to −∞: join what is allowed with `&`, then fill once.",
            *(wrong(**_summed(number)) for number in (None, -1e9, -1e4)),
        ),
        misconception(
            "padding forgotten",
            "The triangle is there, but the padding's columns are seen: a key has to be real, too.",
            wrong(join=lambda triangle, mask: triangle),
        ),
        misconception(
            "no causal part",
            "The padding is hidden, but the queries see what comes after them: the triangle is missing.",
            wrong(join=lambda triangle, mask: _columns(mask).expand_as(triangle)),
        ),
        misconception(
            "rows for columns",
            "Padding must not be looked at: hide its column, `[:, None, None, :]`, and leave its row alone.",
            wrong(join=lambda triangle, mask: triangle & _rows(mask, triangle.shape[2])),
            wrong(join=lambda triangle, mask: triangle & _rows(mask, triangle.shape[2]) & _columns(mask)),
            wrong(join=lambda triangle, mask: triangle & mask.bool()[:, None, -triangle.shape[2] :, None]),
        ),
        misconception(
            "padding inverted",
            "1 is a real token: here the triangle holds, but the real keys are hidden and the padding is seen.",
            wrong(join=lambda triangle, mask: triangle & ~_columns(mask)),
        ),
        misconception(
            "empty rows opened",
            "A row that may see nothing is the minimum throughout here; opening it is the work of `unmask_unattended`.",
            wrong(join=_opened),
        ),
    )


TO_4D = Spec(
    topic="converter",
    oracle=to_4d,
    points=3,
    cases=_to_4d_cases,
    sizes=_to_4d_sizes,
    reading="additive",
    misconceptions=(
        *_joins(_joined),
        misconception(
            "or for and",
            "A key has to be real *and* not after the query: with `|` one of the two is enough.",
            _joined(join=lambda triangle, mask: triangle | _columns(mask)),
        ),
        misconception(
            "causal when bidirectional",
            "With `is_causal=False` every real key is seen, those after the query as well: leave the triangle out.",
            _always_causal,
        ),
        misconception(
            "one query without its padding",
            "One query needs no triangle, but the padding must be hidden from it all the same.",
            _except_one_query(lambda mask: None),
            _except_one_query(torch.zeros_like),
        ),
        misconception(
            "top-left alignment",
            "The queries are the *last* positions: `key_value_length - query_length` keys stand before query 0.",
            _joined(rule=_top_left),
        ),
        misconception(
            "key_value_length not asked for",
            "A causal mask without `key_value_length` is a ValueError: what is past is nothing to be guessed.",
            _joined(needs_keys=False),
            _subtracts_from_none,
        ),
        misconception(
            "a window without a triangle",
            "A window is made for causal masks only: with `is_causal=False` it is a NotImplementedError.",
            _joined(needs_triangle=False),
            _joined(needs_triangle=False, one_way=lambda is_causal, window: is_causal or window is not None),
            _window_both_ways,
        ),
        *_windows(_joined),
        *_numbers(_joined),
        _unrefused(_joined),
    ),
)


# --- unmask_unattended -----------------------------------------------------------------------------------------------


def unmask_unattended(
    expanded_mask: Float[Tensor, "batch heads query key"], min_dtype: float
) -> Float[Tensor, "batch heads query key"]:
    """0 = may attend: a row that may attend to nothing becomes 0 throughout; every other row stays as it is.

        0 1 1 1, causal       ⬚ ⬚ ⬚ ⬚   →   ■ ■ ■ ■   ← opened          ■ 0 (or a bias)
                              ⬚ ■ ⬚ ⬚       ⬚ ■ ⬚ ⬚                     ⬚ the minimum, or -inf
                              ⬚ ■ ■ ⬚       ⬚ ■ ■ ⬚
                              ⬚ ■ ■ ■       ⬚ ■ ■ ■

    Args:
        expanded_mask: an additive mask. Numbers between the minimum and 0 are biases; their cells are allowed.
        min_dtype: the number that hides a key in this mask, most often `torch.finfo(dtype).min`. A key at -inf is
            hidden as well.

    Returns:
        The mask, of the shape and dtype of `expanded_mask`, with 0 in every cell of the rows without an allowed key (a
        -0.0 counts as 0).

    Source: `AttentionMaskConverter._unmask_unattended` of `transformers.modeling_attn_mask_utils`, which multiplies, so
    that there a row of -inf becomes NaN.
    """
    hidden = (expanded_mask.detach() <= min_dtype).tolist()
    empty = fill(
        expanded_mask.shape[:3],
        lambda b, h, q: False not in hidden[b][h][q],
        torch.bool,
        expanded_mask.device,
    )
    return torch.where(empty[..., None], torch.zeros_like(expanded_mask), expanded_mask)


def _additive(allowed: Tensor, dtype: torch.dtype, number: float | None = None) -> Tensor:
    lowest = lowest_number(dtype) if number is None else number
    return torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, lowest)


def _left_padded(mask: tuple[tuple[int, ...], ...] = ON_THE_LEFT) -> Tensor:
    real = torch.tensor(mask)
    size = real.shape[1]
    return torch.ones(size, size, dtype=torch.bool).tril() & _columns(real)


def _unmask_cases(rng: torch.Generator) -> list[Case]:
    full, half, brain = torch.float32, torch.float16, torch.bfloat16
    causal, gaps = _left_padded(), _left_padded(GAPS)
    either = _additive(causal.repeat(2, 1, 1, 1), full)
    either[2:] = _additive(causal, full, -math.inf)  # the same two sentences, once with each number
    slopes = torch.tensor([-0.5, -0.25, -0.125])[:, None, None] * torch.arange(4.0).flip(0)
    biased = _additive(_left_padded(((0, 0, 1, 1), (1, 1, 1, 1))), full).repeat(1, 3, 1, 1) + slopes
    biased = biased.clamp(min=lowest_number(full))
    drawn = coin(rng, 2, 3, 4, 5, heads=0.3)
    weak = normal(rng, 2, 1, 3, 4).masked_fill(~coin(rng, 2, 1, 3, 4, heads=0.4), -1e4)
    weak[0, 0, 1], weak[0, 0, 2, 0] = -1e4, 0.5
    distances = -torch.arange(1.0, 13.0).reshape(1, 1, 3, 4)  # no key of any row at 0, none hidden
    return [
        Case("padding on the left", (_additive(causal, full), lowest_number(full))),
        Case("the same made with -inf", (_additive(causal, full, -math.inf), lowest_number(full))),
        Case("some sentences with the minimum, some with -inf", (either, lowest_number(full))),
        Case("padding in the middle, in float16", (_additive(gaps, half), lowest_number(half))),
        Case("padding in the middle, in bfloat16", (_additive(gaps, brain), lowest_number(brain))),
        Case("-inf in float16", (_additive(gaps, half, -math.inf), lowest_number(half))),
        Case("biases of several heads", (biased, lowest_number(full))),
        Case("nothing but biases", (distances, lowest_number(full))),
        Case("nothing but biases, in float16", (distances.half() * 1000, lowest_number(half))),
        Case("hidden by -10,000", (weak, -1e4)),
        Case("queries and keys of other numbers", (_additive(drawn, full), lowest_number(full))),
        Case("no row is empty", (_additive(_left_padded(TWO_SENTENCES), full), lowest_number(full))),
        Case("every row is empty", (_additive(coin(rng, 2, 1, 3, 4, heads=0.0), brain), lowest_number(brain))),
        Case("one query", (_additive(drawn[:, :1, :1], half), lowest_number(half))),
        Case("a single hidden key", (torch.full((2, 1, 1, 1), lowest_number(full)), lowest_number(full))),
        Case("no queries", (torch.zeros(2, 1, 0, 5), lowest_number(full))),
    ]


def _unmask_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = coin(rng, 2, 2, 3, 4, heads=0.2), coin(rng, 3, 5, 7, 9, heads=0.2)
    return tuple(  # type: ignore[return-value]
        Case(name, (_additive(allowed, torch.float16), lowest_number(torch.float16)))
        for name, allowed in (("small", small), ("large", large))
    )


def _hidden(mask: Tensor, min_dtype: float) -> Tensor:
    return mask <= min_dtype


def _empty(mask: Tensor, min_dtype: float) -> Tensor:
    return _hidden(mask, min_dtype).all(-1, keepdim=True)


def _opening(empty: Callable[[Tensor, float], Tensor]) -> Any:
    return lambda mask, min_dtype: mask.masked_fill(empty(mask, min_dtype), 0.0)


def _in_place(mask: Tensor, min_dtype: float) -> Tensor:
    return mask.masked_fill_(_empty(mask, min_dtype), 0.0)


UNMASK_UNATTENDED = Spec(
    topic="converter",
    oracle=unmask_unattended,
    points=2,
    cases=_unmask_cases,
    sizes=_unmask_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "all rows",
            "Only a row without any allowed key is opened; this shows everything to everybody.",
            lambda mask, min_dtype: torch.zeros_like(mask),
            lambda mask, min_dtype: mask.masked_fill(_hidden(mask, min_dtype), 0.0),
        ),
        misconception(
            "any for all",
            "One hidden key makes no empty row: *all* keys of the row have to be hidden before it is opened.",
            _opening(lambda mask, min_dtype: _hidden(mask, min_dtype).any(-1, keepdim=True)),
            lambda mask, min_dtype: mask * ~_hidden(mask, min_dtype).any(-1, keepdim=True),
        ),
        misconception(
            "multiply leaves NaN",
            "−∞ × 0 is NaN, so a product cannot open a row of −∞: choose with `masked_fill` or `torch.where`.",
            lambda mask, min_dtype: mask * ~_empty(mask, min_dtype),
            lambda mask, min_dtype: (
                mask * ((mask == min_dtype).all(-1, keepdim=True) | mask.isneginf().all(-1, keepdim=True)).logical_not()
            ),
        ),
        misconception(
            "rows of -inf left",
            "A row of −∞ has no allowed key either, whatever `min_dtype` is: ask `<=`, not `==`.",
            _opening(lambda mask, min_dtype: (mask == min_dtype).all(-1, keepdim=True)),
            lambda mask, min_dtype: mask * ~(mask == min_dtype).all(-1, keepdim=True),
        ),
        misconception(
            "only rows of -inf",
            "The converter hides with `min_dtype`, a finite number: rows full of it have no allowed key, and stay closed here.",
            _opening(lambda mask, min_dtype: mask.isneginf().all(-1, keepdim=True)),
        ),
        misconception(
            "column-wise",
            "This opens the keys that nobody sees; a query that sees nobody is a *row*: reduce over the last axis.",
            _opening(lambda mask, min_dtype: _hidden(mask, min_dtype).all(-2, keepdim=True)),
            lambda mask, min_dtype: mask * ~_hidden(mask, min_dtype).all(-2, keepdim=True),
            lambda mask, min_dtype: mask * ~(mask == min_dtype).all(-2, keepdim=True),
        ),
        misconception(
            "whole sentences only",
            "Each row is judged by itself: with padding on the left only the first rows of a sentence are empty.",
            _opening(lambda mask, min_dtype: _hidden(mask, min_dtype).flatten(1).all(1)[:, None, None, None]),
            _opening(lambda mask, min_dtype: _hidden(mask, min_dtype).flatten(2).all(2)[:, :, None, None]),
        ),
        misconception(
            "filled with 1",
            "1 is what `attention_mask` says; in an additive mask it is a bias, and 0 is what lets a key be seen.",
            lambda mask, min_dtype: mask.masked_fill(_empty(mask, min_dtype), 1.0),
        ),
        misconception(
            "min_dtype ignored",
            "`min_dtype` says which number hides in this mask; it need not be the minimum of the mask's dtype.",
            _opening(lambda mask, min_dtype: _empty(mask, lowest_number(mask.dtype))),
            _opening(lambda mask, min_dtype: _empty(mask, lowest_number(torch.float32))),
        ),
        misconception(
            "biases taken for hidden",
            "A negative number above the minimum is a bias, such as ALiBi's: its key is allowed, and its row not empty.",
            _opening(lambda mask, min_dtype: (mask < 0).all(-1, keepdim=True)),
            _opening(lambda mask, min_dtype: (mask != 0).all(-1, keepdim=True)),
            _opening(lambda mask, min_dtype: ~(mask == 0).any(-1, keepdim=True)),
        ),
        misconception(
            "biases lost",
            "Rows that are not empty stay as they are, to the last number: do not write the mask anew.",
            lambda mask, min_dtype: _added(~_hidden(mask, min_dtype) | _empty(mask, min_dtype), mask.dtype, min_dtype),
            lambda mask, min_dtype: _added(~_hidden(mask, min_dtype) | _empty(mask, min_dtype), mask.dtype),
        ),
        misconception(
            "changed in place",
            "The opened mask is right, but the caller's was overwritten: `masked_fill` without the underscore makes a new one.",
            _in_place,
        ),
    ),
)


# --- ignore_causal_mask_sdpa -----------------------------------------------------------------------------------------


def ignore_causal_mask_sdpa(
    attention_mask: Int[Tensor, "*axes"] | None,
    query_length: int,
    key_value_length: int,
    sliding_window: int | None = None,
) -> bool:
    """True = SDPA may do without a mask tensor: its own `is_causal`, or no mask at all, says the same.

        queries   keys   attention_mask       sliding_window
           4       4     None, or all 1            None      →   True     is_causal=True is this triangle
           4       4     1 1 1 0                   None      →   False    the padding has to be hidden
           1       4     None, or all 1            None      →   True     one query sees every key
           2       4     None, or all 1            None      →   False    is_causal counts from the top left corner
           4       4     None, or all 1              4       →   False    a window is left out only where it is
           4       4     None, or all 1              5       →   True     wider than there are keys

    Args:
        attention_mask: `[batch, key]`, 1 = real token, 0 = padding; a mask with four axes, which is never done without;
            or `None`.
        query_length: how many queries, the last of the positions.
        key_value_length: how many keys in all.
        sliding_window: the window, or `None`.

    Returns:
        A bool. `True` where there is one query or as many queries as keys, no key is padding, and the window is `None`
        or above `key_value_length`.

    Source: `AttentionMaskConverter._ignore_causal_mask_sdpa` of `transformers.modeling_attn_mask_utils`, outside of tracing.
    """
    if attention_mask is not None:
        if attention_mask.dim() == 4:
            return False
        for row in attention_mask.tolist():
            for cell in row:
                if cell != 1:
                    return False
    if sliding_window is not None and key_value_length >= sliding_window:
        return False
    return query_length == 1 or query_length == key_value_length


def _ignore_cases(rng: torch.Generator) -> list[Case]:
    def real(key: int, batch: int = 2) -> Tensor:
        return torch.ones(batch, key, dtype=torch.long)

    query, past = integer(rng, 2, 5), integer(rng, 1, 4)
    key = query + past
    padded = attention_mask(lengths(rng, 3, key), key, "left")
    return [
        Case("no mask", (None, 4, 4)),
        Case("no padding", (real(4), 4, 4)),
        Case("the two sentences", (torch.tensor(TWO_SENTENCES), 4, 4)),
        Case("padding on the left", (torch.tensor(ON_THE_LEFT), 4, 4)),
        Case("padding in the middle of one sentence", (torch.tensor([[1, 1, 1, 1], [1, 0, 1, 1]]), 4, 4)),
        Case("padding in every sentence", (torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]), 4, 4)),
        Case("one query", (real(4), 1, 4)),
        Case("one query and padding", (torch.tensor(ON_THE_LEFT), 1, 4)),
        Case("one query, no mask", (None, 1, 5)),
        Case("two queries, four keys", (real(4), 2, 4)),
        Case("two queries, four keys, no mask", (None, 2, 4)),
        Case("two queries, four keys and padding", (torch.tensor(TWO_SENTENCES), 2, 4)),
        Case("a window narrower than the keys", (real(5), 5, 5, 3)),
        Case("a window as wide as the keys", (real(4), 4, 4, 4)),
        Case("a window wider than the keys", (real(4), 4, 4, 5)),
        Case("a window one key short", (real(4), 4, 4, 3)),
        Case("no mask, a window as wide as the keys", (None, 4, 4, 4)),
        Case("no mask, a wide window", (None, 4, 4, 5)),
        Case("no mask, a narrow window", (None, 4, 4, 2)),
        Case("one query in a narrow window", (real(5), 1, 5, 2)),
        Case("one query in a wide window", (real(5), 1, 5, 8)),
        Case("one query, no mask, a narrow window", (None, 1, 5), {"sliding_window": 2}),
        Case("a past and a wide window", (real(6), 3, 6, 9)),
        Case("padding and a wide window", (torch.tensor(TWO_SENTENCES), 4, 4, 9)),
        Case("a mask with four axes", (torch.ones(2, 1, 4, 4, dtype=torch.long), 4, 4)),
        Case("four axes, one query", (torch.ones(2, 1, 1, 4, dtype=torch.long), 1, 4)),
        Case("a triangle with four axes", (torch.ones(2, 1, 4, 4, dtype=torch.long).tril(), 4, 4)),
        Case("an empty sentence", (attention_mask([0, 3], 3), 3, 3)),
        Case("a single word", (real(1, 1), 1, 1)),
        Case("nothing but padding", (torch.zeros(2, 3, dtype=torch.long), 3, 3)),
        Case("drawn padding", (padded, key, key)),
        Case("drawn sizes, no padding", (real(key), query, key)),
        Case("drawn sizes, no mask", (None, key, key, key + 1)),
    ]


def _ignore_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = (torch.ones(shape, dtype=torch.long) for shape in ((2, 4), (5, 9)))
    return Case("small", (small, 4, 4)), Case("large", (large, 9, 9))


def _ignored(
    real: Callable[[Tensor], bool] = lambda mask: mask.dim() == 2 and bool((mask == 1).all()),
    lengths_fit: Callable[[int, int], bool] = lambda query, key: query in (1, key),
    window_fits: Callable[[int, int], bool] = lambda key, window: key < window,
    without_mask: bool | None = None,
) -> Any:
    """`ignore_causal_mask_sdpa`, with what goes wrong as arguments."""

    def answer(mask: Tensor | None, query: int, key: int, sliding_window: int | None = None) -> bool:
        if mask is None and without_mask is not None:
            return without_mask
        fits = lengths_fit(query, key) and (sliding_window is None or window_fits(key, sliding_window))
        return fits and (mask is None or real(mask))

    return answer


def _padding_overlooked_at_one_query(
    mask: Tensor | None, query: int, key: int, sliding_window: int | None = None
) -> bool:
    return True if query == 1 and sliding_window is None else _ignored()(mask, query, key, sliding_window)


def _as_tensor(mask: Any, query: int, key: int, sliding_window: Any = None) -> Any:
    """`all` without `bool`: a tensor wherever there is a mask to look at, or wherever the rest is true."""
    if mask is None or mask.dim() == 4:
        return _ignored()(mask, query, key, sliding_window)
    return (mask == 1).all() & bool(_ignored()(None, query, key, sliding_window))


def _as_tensor_last(mask: Any, query: int, key: int, sliding_window: Any = None) -> Any:
    fits = _ignored()(None, query, key, sliding_window)
    return fits and (mask is None or (mask.dim() != 4 and (mask == 1).all()))


def _as_tensor_first(mask: Any, query: int, key: int, sliding_window: Any = None) -> Any:
    return (mask is None or (mask.dim() != 4 and (mask == 1).all())) and _ignored()(None, query, key, sliding_window)


def _mask_not_optional(question: Callable[[Any], Any]) -> Any:
    """Asks the mask before it is known that there is one."""

    def answer(mask: Any, query: int, key: int, sliding_window: int | None = None) -> bool:
        return bool(question(mask)) and _ignored()(mask, query, key, sliding_window)

    return answer


IGNORE_CAUSAL_MASK_SDPA = Spec(
    topic="converter",
    oracle=ignore_causal_mask_sdpa,
    points=3,
    cases=_ignore_cases,
    sizes=_ignore_sizes,
    misconceptions=(
        misconception(
            "ignores padding",
            "SDPA knows nothing of padding: one 0 in `attention_mask`, and a mask has to be passed.",
            _ignored(real=lambda mask: mask.dim() == 2),
            _ignored(real=lambda mask: True),
            _ignored(real=lambda mask: bool((mask == 1).any())),
            _ignored(real=lambda mask: mask.dim() == 2 and bool((mask == 1).any())),
            _ignored(real=lambda mask: mask.dim() == 2 and bool((mask == 1).all(1).any())),
            _padding_overlooked_at_one_query,
        ),
        misconception(
            "ignores past",
            "With fewer queries than keys `is_causal` counts from the top left corner, which is wrong: a mask is needed.",
            _ignored(lengths_fit=lambda query, key: True),
        ),
        misconception(
            "one query forgotten",
            "One query is the last position and sees every key: no triangle is needed, however many keys there are.",
            _ignored(lengths_fit=lambda query, key: query == key),
        ),
        misconception(
            "only one query",
            "As many queries as keys need no mask tensor either: `is_causal=True` is exactly their triangle.",
            _ignored(lengths_fit=lambda query, key: query == 1),
        ),
        misconception(
            "window ignored",
            "SDPA has no windows: one that is not wider than there are keys has to come as a mask.",
            _ignored(window_fits=lambda key, window: True),
        ),
        misconception(
            "window boundary",
            "As in Transformers, a window is left out only where `key_value_length` is *below* it, not at it or above.",
            _ignored(window_fits=lambda key, window: key <= window),
            _ignored(window_fits=lambda key, window: key <= window + 1),
            _ignored(window_fits=lambda key, window: key < window - 1),
        ),
        misconception(
            "any window needs a mask",
            "A window wider than there are keys hides nothing: it can be left out like none.",
            _ignored(window_fits=lambda key, window: False),
        ),
        misconception(
            "a mask with four axes looked into",
            "Who passes a mask with four axes has decided on every cell: it is always used, all ones or not.",
            _ignored(real=lambda mask: bool((mask == 1).all())),
        ),
        misconception(
            "no mask, no question",
            "Without an `attention_mask` there is no padding, but lengths and window decide all the same.",
            _ignored(without_mask=True),
            _ignored(without_mask=False),
        ),
        misconception(
            "None not handled",
            "`attention_mask` may be `None`, and `None` has no `shape` and no `all`: ask `is None` first.",
            *(
                _mask_not_optional(question)
                for question in (
                    lambda mask: mask.dim() != 4,
                    lambda mask: mask.ndim != 4,
                    lambda mask: len(mask.shape) != 4,
                    lambda mask: mask.all(),
                    lambda mask: torch.all(mask == 1),
                    lambda mask: (mask == 1).all(),
                )
            ),
        ),
        misconception(
            "inverted",
            "True has to mean that SDPA may go *without* a mask; this says when one is needed.",
            lambda mask, query, key, sliding_window=None: not _ignored()(mask, query, key, sliding_window),
        ),
        misconception(
            "a tensor for a bool",
            "`all()` gives a tensor, and SDPA's `is_causal` takes a Python bool: put `bool(…)` around it.",
            _as_tensor,
            _as_tensor_last,
            _as_tensor_first,
        ),
    ),
)


# --- create_4d_causal_attention_mask ---------------------------------------------------------------------------------


def create_4d_causal_attention_mask(
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
    device: torch.device | str | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """0 = may attend, the dtype's minimum = may not: the front door to `to_causal_4d`, which counts from the past.

        (2, 2), two words in the cache   →   ■ ■ ■ ⬚          (2, 1)   →   None
                                             ■ ■ ■ ■

    Args:
        input_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores.
        past_key_values_length: how many keys stand before the first query.
        sliding_window: how many keys before its own a query sees; `None` for no window.
        device: where the mask is made; torch's default if `None`.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`; `None` for one query without a window.

    Raises:
        ValueError: the window is below 1.

    Source: `_create_4d_causal_attention_mask` of `transformers.modeling_attn_mask_utils`.
    """
    _refuse(sliding_window)
    batch_size, query_length = input_shape
    if query_length <= 1 and sliding_window is None:
        return None

    def may_attend(b: int, h: int, q: int, k: int) -> bool:
        return _in_sight(past_key_values_length + q - k, sliding_window)

    shape = (batch_size, 1, query_length, past_key_values_length + query_length)
    return _fill_in(shape, may_attend, dtype, device)


def _create_cases(rng: torch.Generator) -> list[Case]:
    query, past, window = integer(rng, 3, 5), integer(rng, 2, 4), integer(rng, 2, 3)
    larger, longer, wider = _larger(rng)
    return [
        Case("four words, two sentences", ((2, 4), torch.float32)),
        Case("two new words after two", ((2, 2), torch.float32, 2)),
        Case("after two soft-prompt positions", ((2, 4), torch.float16, 2)),
        Case("one query, as in decoding", ((2, 1), torch.float32, 3)),
        Case("one query with a window", ((2, 1), torch.float32, 3, 1)),
        Case("one query with a window wider than the keys", ((2, 1), torch.float16, 2, 8)),
        Case("soft prompt and a window of 1", ((1, 4), torch.float32, 2, 1)),
        Case("a window without a past", ((2, 5), torch.bfloat16, 0, 2)),
        Case("as many sentences as queries", ((3, 3), torch.bfloat16, 2)),
        Case("a past of one", ((1, 3), torch.float32, 1)),
        Case("drawn sizes", ((2, query), torch.float16, past)),
        Case("drawn sizes and a window", ((3, query), torch.float32, past), {"sliding_window": window}),
        Case("a window as wide as the queries", ((2, 3), torch.float32, 2, 3)),
        Case("a window wider than the queries", ((1, 2), torch.float32, 6, 4)),
        Case("a window wider than the keys", ((2, 3), torch.float32, 2, 9)),
        Case("a single word", ((1, 1), torch.float32)),
        Case("with a device", ((2, 3), torch.float16, 1, 2), ON_CPU),
        Case("a window of 0", ((2, 3), torch.float32, 1, 0)),
        Case("a negative window", ((2, 3), torch.float32, 0, -2)),
        Case("one query and a window of 0", ((2, 1), torch.float32, 3, 0)),
        Case("larger sizes, drawn", ((2, larger), torch.float32, longer, wider)),
    ]


def _create_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small, large = ((2, 3), torch.float16, 2, 2), ((3, 7), torch.float16, 4, 5)
    return Case("small", small, ON_CPU), Case("large", large, ON_CPU)


def _created(key: Callable[[int, int], int] = lambda query, past: past + query, **wrong: Any) -> Any:
    """`create_4d_causal_attention_mask`, with what goes wrong as keywords."""

    def answer(
        shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None, device: Any = None
    ) -> Tensor | None:
        mask: Tensor | None = _causal(**wrong)(shape[0], shape[1], key(shape[1], past), dtype, sliding_window, device)
        return mask

    return answer


CREATE_4D_CAUSAL_ATTENTION_MASK = Spec(
    topic="converter",
    oracle=create_4d_causal_attention_mask,
    points=1,
    practice=True,
    cases=_create_cases,
    sizes=_create_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "past forgotten",
            "The keys are the past *and* the new words: key_value_length is past_key_values_length + query_length.",
            _created(key=lambda query, past: query),
        ),
        misconception(
            "only the past",
            "The new words are keys, too: key_value_length is past_key_values_length plus the number of queries.",
            _created(key=lambda query, past: past),
        ),
        misconception(
            "top-left alignment",
            "The columns of the past stand in *front*: query 0 is at place `past_key_values_length`, not at 0.",
            _created(rule=_top_left),
        ),
        misconception(
            "past counted twice",
            "`to_causal_4d` takes the queries' keys out of key_value_length itself: hand it past + query, once.",
            _created(past=lambda query, key: key),
            _created(key=lambda query, past: 2 * past + query),
        ),
        *_nones(_created),
        *_windows(_created, _forgets_the_window(_created)),
        *_numbers(_created),
        _batch_left_to_broadcasting(_created()),
        _unrefused(_created, _takes_0_for_none(_created)),
        misconception(
            "device forgotten",
            "The mask is right, but `device` was not passed on to where the tensors are made.",
            _created(device_given=False),
        ),
    ),
)


# --- prepare_4d_causal_attention_mask --------------------------------------------------------------------------------


def prepare_4d_causal_attention_mask(
    attention_mask: Int[Tensor, "batch key"] | Int[Tensor, "batch 1 query key"] | None,
    input_shape: tuple[int, int],
    dtype: torch.dtype,
    past_key_values_length: int = 0,
    sliding_window: int | None = None,
) -> Float[Tensor, "batch 1 query key"] | None:
    """1 = may be seen goes in, by key or by cell; what is *added* comes out: 0 to keep, the dtype's minimum to hide.

        None             →   the triangle, as `to_causal_4d` makes it

        0 1 1 1          →   ⬚ ⬚ ⬚ ⬚          1 0 1 1          ■ ⬚ ■ ■          a mask with four axes has decided
                             ⬚ ■ ⬚ ⬚          1 1 0 1     →    ■ ■ ⬚ ■          on every cell: 1 becomes 0, 0 the
                             ⬚ ■ ■ ⬚          1 1 1 1          ■ ■ ■ ■          minimum, and no triangle is added
                             ⬚ ■ ■ ■          0 0 0 1          ⬚ ⬚ ⬚ ■

    Args:
        attention_mask: `[batch, past + query]`, 1 = real token, 0 = padding; or `[batch, 1, query, past + query]`,
            1 = may attend, 0 = may not; or `None`.
        input_shape: `(batch, query)`, the shape of the new token ids.
        dtype: the floating dtype of the scores, whatever the mask's.
        past_key_values_length: how many keys stand before the first query.
        sliding_window: how many keys before its own a query sees; `None` for no window. A mask with four axes has
            decided on that, too.

    Returns:
        `dtype`, `[batch, 1, query, past + query]`, of the two numbers 0 and `torch.finfo(dtype).min`, on the device of
        `attention_mask`. Without one it is made on the CPU, and what `to_causal_4d` says of one query holds.

    Raises:
        ValueError: a mask with four axes has another shape than the result, or the window is below 1.

    Source: `_prepare_4d_causal_attention_mask` of `transformers.modeling_attn_mask_utils`, where a mask of whole numbers
    with four axes comes out as float32.
    """
    _refuse(sliding_window)
    batch_size, query_length = input_shape
    shape = (batch_size, 1, query_length, past_key_values_length + query_length)

    def in_sight(q: int, k: int) -> bool:
        return _in_sight(past_key_values_length + q - k, sliding_window)

    if attention_mask is None:
        if query_length <= 1 and sliding_window is None:
            return None
        return _fill_in(shape, lambda b, h, q, k: in_sight(q, k), dtype, "cpu")
    cells, device = attention_mask.tolist(), attention_mask.device
    if attention_mask.dim() == 2:
        return _fill_in(shape, lambda b, h, q, k: cells[b][k] == 1 and in_sight(q, k), dtype, device)
    if tuple(attention_mask.shape) != shape:
        raise ValueError(f"attention_mask has the shape {tuple(attention_mask.shape)}; wanted is {shape}")
    return _fill_in(shape, lambda b, h, q, k: cells[b][h][q][k] == 1, dtype, device)


def _prepare_cases(rng: torch.Generator) -> list[Case]:
    left, gaps = torch.tensor(ON_THE_LEFT), torch.tensor(GAPS)
    query, past, window = integer(rng, 3, 4), integer(rng, 1, 3), integer(rng, 1, 3)
    key = query + past
    drawn = attention_mask(lengths(rng, 3, key), key, "left")
    both_ways = torch.tensor(
        [
            [[[1, 0, 1, 1], [1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 1]]],
            [[[0, 0, 0, 0], [0, 1, 1, 0], [1, 0, 0, 1], [1, 1, 1, 0]]],
        ]
    )
    soft_prompt = torch.tensor([[[[1, 1, 1, 0, 0], [1, 0, 1, 1, 0], [0, 1, 0, 1, 1]]]])
    ones = torch.ones(2, 1, 4, 4, dtype=torch.long)
    return [
        Case("the two sentences, padded on the left", (left, (2, 4), torch.float32)),
        Case("padded on the right", (torch.tensor(TWO_SENTENCES), (2, 4), torch.float32)),
        Case("no mask", (None, (2, 4), torch.float32)),
        Case("no mask, after two soft-prompt positions", (None, (2, 3), torch.float16, 2)),
        Case("no mask, a window and a past", (None, (2, 4), torch.bfloat16, 2, 1)),
        Case("no mask, one query with a window", (None, (2, 1), torch.float32, 4, 2)),
        Case("four axes", (both_ways, (2, 4), torch.float32)),
        Case("four axes in float16", (both_ways, (2, 4), torch.float16)),
        Case("four axes and a past, in bfloat16", (soft_prompt, (1, 3), torch.bfloat16, 2)),
        Case("four axes, the triangle of the left-padded sentences", (_left_padded().long(), (2, 4), torch.float32)),
        Case("four axes and a window", (both_ways, (2, 4), torch.float16, 0, 1)),
        Case("four axes, one query", (both_ways[:, :, 2:3], (2, 1), torch.float32, 3)),
        Case("padding in the middle and a past", (gaps, (3, 3), torch.float16, 3)),
        Case("padding in the middle and a window of 1", (gaps, (3, 6), torch.bfloat16, 0, 1)),
        Case("a past and a window", (gaps, (3, 4), torch.float32, 2), {"sliding_window": 2}),
        Case("one query, as in decoding", (left, (2, 1), torch.float32, 3)),
        Case("one query with a window", (gaps, (3, 1), torch.float32, 5, 2)),
        Case("a window wider than the keys", (left, (2, 3), torch.float32, 1, 9)),
        Case("as many sentences as positions", (attention_mask([1, 4, 2, 3], 4), (4, 4), torch.float16)),
        Case("drawn, with a past", (drawn, (3, query), torch.float32, past)),
        Case("drawn, with a window", (drawn, (3, query), torch.float16, past, window)),
        Case("drawn, four axes", (coin(rng, 2, 1, query, key).long(), (2, query), torch.float32, past)),
        Case("an empty sentence", (attention_mask([0, 3], 3), (2, 3), torch.bfloat16)),
        Case("a single word", (torch.tensor([[1], [0]]), (2, 1), torch.float32)),
        Case("four axes with too many keys", (ones, (2, 3), torch.float32)),
        Case("four axes, the past forgotten", (ones, (2, 4), torch.float32, 1)),
        Case("four axes with too few queries", (ones[:, :, :2], (2, 4), torch.float32)),
        Case("four axes for another batch", (ones[:1], (2, 4), torch.float32)),
        Case("four axes with a second head", (ones.expand(2, 2, 4, 4).clone(), (2, 4), torch.float32)),
        Case("a window of 0", (left, (2, 4), torch.float32, 0, 0)),
        Case("no mask, a negative window", (None, (2, 4), torch.float32, 0, -1)),
    ]


def _prepare_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (attention_mask([3, 5], 5, "left"), (2, 3), torch.float16, 2, 2)
    large = (attention_mask([3, 9, 7], 9, "left"), (3, 6), torch.float16, 3, 4)
    return Case("small", small), Case("large", large)


def _for_4d(otherwise: Callable[..., Tensor]) -> Any:
    """Says only what becomes of a mask with four axes of the right shape; ``otherwise`` is of mask, dtype and window."""

    def answer(mask: Any, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None) -> Any:
        right = _prepared(about=(4,))(mask, shape, dtype, past, sliding_window)
        return otherwise(mask, right.dtype, sliding_window)

    return answer


def _triangle_again(mask: Tensor, dtype: torch.dtype, window: int | None) -> Tensor:
    query, key = mask.shape[2:]
    return _added(_table(query, key - query, window, None) & (mask == 1), dtype)


def _none_by_mistake(question: Callable[[Any], Any]) -> Any:
    """Asks for the axes of a mask before it is known that there is one."""

    def answer(mask: Any, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None) -> Any:
        _refuse(sliding_window)
        question(mask)
        return _prepared()(mask, shape, dtype, past, sliding_window)

    return answer


def _without_mask(otherwise: Callable[[Tensor], Any]) -> Any:
    """Says only what becomes of `None`."""

    def answer(mask: Any, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None) -> Any:
        return otherwise(_prepared(about=(0,))(mask, shape, dtype, past, sliding_window))

    return answer


def _past_overlooked(mask: Any, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None) -> Any:
    """Hands the number of queries on as that of the keys, so that triangle and padding do not fit together."""
    if mask is None or mask.dim() == 4:
        return _prepared()(mask, shape, dtype, past, sliding_window)
    return _added(_table(shape[1], 0, sliding_window, mask.device) & _columns(mask), dtype)


def _checks_only(*axes: int) -> Any:
    """Looks at some axes of a mask with four."""

    def answer(mask: Any, shape: Any, dtype: Any, past: int = 0, sliding_window: int | None = None) -> Any:
        if mask is not None and mask.dim() == 4:
            wanted = (shape[0], 1, shape[1], past + shape[1])
            if any(mask.shape[axis] != wanted[axis] for axis in axes):
                raise ValueError
        return _prepared(checks_shape=False)(mask, shape, dtype, past, sliding_window)

    return answer


PREPARE_4D_CAUSAL_ATTENTION_MASK = Spec(
    topic="converter",
    oracle=prepare_4d_causal_attention_mask,
    points=2,
    cases=_prepare_cases,
    sizes=_prepare_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "4-D not inverted",
            "A mask with four axes holds 1 and 0, too: passed on as it is, 1 is a bias. 1 becomes 0, and 0 the minimum.",
            _for_4d(lambda mask, dtype, window: mask),
            _for_4d(lambda mask, dtype, window: mask.to(dtype)),
            _for_4d(lambda mask, dtype, window: mask.bool()),
            _for_4d(lambda mask, dtype, window: 1 - mask),
            _for_4d(lambda mask, dtype, window: 1.0 - mask),
            _for_4d(lambda mask, dtype, window: 1.0 - mask.to(dtype)),
            _for_4d(lambda mask, dtype, window: mask == 0),
            _for_4d(lambda mask, dtype, window: _added(mask == 0, dtype)),
        ),
        misconception(
            "4-D made causal again",
            "Whoever gives a mask with four axes has decided on every cell: no triangle and no window is added to it.",
            _for_4d(_triangle_again),
            _for_4d(lambda mask, dtype, window: _triangle_again(mask, dtype, None)),
            _for_4d(lambda mask, dtype, window: _added((mask == 1).tril(), dtype)),
            _for_4d(
                lambda mask, dtype, window: _added(mask == 1, dtype) + _triangle_again(mask * 0 + 1, dtype, window)
            ),
            _for_4d(
                lambda mask, dtype, window: _triangle_again(mask, dtype, window) if window else _added(mask == 1, dtype)
            ),
        ),
        misconception(
            "4-D of another dtype",
            "Whole numbers and a float scalar make float32: the result has to be of `dtype` for a mask with four axes, too.",
            _for_4d(lambda mask, dtype, window: (1.0 - mask).masked_fill(mask == 0, lowest_number(dtype))),
            _for_4d(lambda mask, dtype, window: _added(mask == 1, torch.float32)),
        ),
        misconception(
            "None not handled",
            "Without an `attention_mask` there is no padding, but the triangle is needed all the same: ask `is None` first.",
            _without_mask(lambda mask: None),
            _without_mask(torch.zeros_like),
            *(
                _none_by_mistake(question)
                for question in (
                    lambda mask: mask.dim(),
                    lambda mask: mask.ndim,
                    lambda mask: mask.shape,
                    lambda mask: mask.device,
                )
            ),
        ),
        misconception(
            "wrong shape not refused",
            "A mask with four axes has to be [batch, 1, query, past + query] to the last axis: else raise a ValueError.",
            *(_checks_only(*axes) for axes in ((), (3,), (0, 3), (2, 3), (0, 2, 3), (1, 2, 3))),
        ),
        misconception(
            "past overlooked",
            "The new words stand behind the past: there are past_key_values_length + query keys, the queries the last of them.",
            _past_overlooked,
            _prepared(about=(2,), rule=_top_left),
            _prepared(about=(0,), rule=_top_left),
            _prepared(about=(0,), past=lambda query, key: 0),
        ),
        *_joins(_prepared_about(2)),
        *_windows(_prepared_about(2), _prepared(about=(0,), rule=_anywhere_before)),
        _other_number(_prepared_about(4)),
        _unrefused(_prepared),
    ),
)


# --- extend_attention_mask -------------------------------------------------------------------------------------------


def extend_attention_mask(
    attention_mask: Int[Tensor, "batch sequence"], new_tokens: int
) -> Int[Tensor, "batch longer_sequence"]:
    """1 = real token: what was written since the mask was made is real, and joins it at the end.

        0 1 1 1   and two new tokens   →   0 1 1 1 1 1
        1 1 1 1                            1 1 1 1 1 1

    Args:
        attention_mask: 1 = real token, 0 = padding, of the prompt.
        new_tokens: how many tokens each sentence got since; 0 is allowed.

    Returns:
        long, `[batch, sequence + new_tokens]`, a 1 for each new token, behind the prompt's padding where that is on the
        right.
    """
    real, (batch_size, sequence_length) = attention_mask.tolist(), attention_mask.shape

    def cell(b: int, k: int) -> int:
        return real[b][k] if k < sequence_length else 1

    return fill((batch_size, sequence_length + new_tokens), cell, torch.long, attention_mask.device)


def _extend_cases(rng: torch.Generator) -> list[Case]:
    sequence, new = integer(rng, 4, 6), integer(rng, 2, 4)
    drawn = lengths(rng, 3, sequence)
    return [
        Case("the two sentences and one new token", (torch.tensor(ON_THE_LEFT), 1)),
        Case("three new tokens", (torch.tensor(ON_THE_LEFT), 3)),
        Case("padding on the right", (torch.tensor(TWO_SENTENCES), 2)),
        Case("padding in the middle", (torch.tensor(GAPS), 2)),
        Case("a drawn batch", (attention_mask(drawn, sequence, "left"), new)),
        Case("as many new tokens as old", (attention_mask([2, 3], 3), 3)),
        Case("more new tokens than old", (attention_mask([1, 2], 2, "left"), 5)),
        Case("as many sentences as positions", (attention_mask([1, 3, 2], 3), 1)),
        Case("an empty sentence", (attention_mask([0, 3], 3), 2)),
        Case("no padding", (torch.ones(2, 3, dtype=torch.long), 2)),
        Case("a single word", (torch.tensor([[1]]), 1)),
        Case("nothing new", (torch.tensor(TWO_SENTENCES), 0)),
    ]


def _extend_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 5], 5, "left"), 2)), Case("large", (attention_mask([3, 9, 1], 9), 7))


def _new(mask: Tensor, new: int, number: int = 1, dtype: torch.dtype = torch.long) -> Tensor:
    return torch.full((len(mask), new), number, dtype=dtype, device=mask.device)


def _behind_the_words(mask: Tensor, new: int) -> Tensor:
    """New tokens in the place of the padding on the right, which moves back."""
    padding_first = torch.cat([mask, _new(mask, new)], 1)
    to_the_front = padding_first.sum(1, keepdim=True)
    trailing = mask.flip(1).cumsum(1).flip(1) == 0
    position = torch.arange(mask.shape[1] + new, device=mask.device)
    moved = (position < to_the_front).long()
    return torch.where(trailing.any(1, keepdim=True), moved, padding_first)


EXTEND_ATTENTION_MASK = Spec(
    topic="converter",
    oracle=extend_attention_mask,
    points=1,
    cases=_extend_cases,
    sizes=_extend_sizes,
    reading="attention_mask",
    misconceptions=(
        misconception(
            "not extended",
            "The cache grows with every token, and so does the mask: it has `new_tokens` more columns than the prompt.",
            lambda mask, new: mask,
            lambda mask, new: mask.clone(),
        ),
        misconception(
            "extended with 0",
            "With a 0 the new token is padding and hides from itself: new tokens are real, 1.",
            lambda mask, new: torch.cat([mask, _new(mask, new, 0)], 1),
        ),
        misconception(
            "put in front",
            "New tokens come after the prompt: their columns are the last ones.",
            lambda mask, new: torch.cat([_new(mask, new), mask], 1),
        ),
        misconception(
            "0 in front",
            "These columns stand in front and say padding: new tokens stand behind the prompt and are real.",
            lambda mask, new: torch.cat([_new(mask, new, 0), mask], 1),
        ),
        misconception(
            "the last column repeated",
            "What the prompt ends with says nothing of the new tokens: behind padding on the right they are real, too.",
            lambda mask, new: torch.cat([mask, mask[:, -1:].expand(-1, new)], 1),
        ),
        misconception(
            "always one token",
            "`new_tokens` says how many columns to add; several at once is what chunks and drafts are.",
            lambda mask, new: torch.cat([mask, _new(mask, 1)], 1),
        ),
        misconception(
            "new_tokens taken for the length",
            "`new_tokens` counts what is added, not how long the mask becomes.",
            lambda mask, new: torch.cat([mask, _new(mask, max(new - mask.shape[1], 0))], 1),
            lambda mask, new: torch.cat([mask, _new(mask, new - mask.shape[1])], 1),
        ),
        misconception(
            "float result",
            "`torch.ones` makes floats, and `cat` then makes all of the mask float: give it the mask's dtype.",
            lambda mask, new: torch.cat([mask, _new(mask, new, dtype=torch.float32)], 1),
        ),
        misconception(
            "bool result",
            "The cells are right, but an `attention_mask` holds whole numbers: `.long()` turns True into 1.",
            lambda mask, new: torch.cat([mask, _new(mask, new)], 1).bool(),
        ),
        misconception(
            "padding forgotten",
            "The prompt's own padding stays padding: only what is new is 1 throughout.",
            lambda mask, new: _new(mask, mask.shape[1] + new),
        ),
        misconception(
            "padding pushed back",
            "The new tokens stand behind the padding, where the cache puts them: columns that are there stay in their place.",
            _behind_the_words,
        ),
        misconception(
            "new sentences",
            "These are new rows, sentences of their own; a new token is a new *column* of each sentence: `dim=1`.",
            lambda mask, new: torch.cat([mask, torch.ones(new, mask.shape[1], dtype=torch.long, device=mask.device)]),
        ),
    ),
)


SPECS: tuple[Spec, ...] = (
    MAKE_CAUSAL_MASK,
    EXPAND_MASK,
    TO_CAUSAL_4D,
    TO_4D,
    UNMASK_UNATTENDED,
    IGNORE_CAUSAL_MASK_SDPA,
    CREATE_4D_CAUSAL_ATTENTION_MASK,
    PREPARE_4D_CAUSAL_ATTENTION_MASK,
    EXTEND_ATTENTION_MASK,
)
