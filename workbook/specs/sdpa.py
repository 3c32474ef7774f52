"""`F.scaled_dot_product_attention`: what it computes, and where it is silently wrong."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook.specs.specification import (
    ALWAYS,
    HALVES,
    Case,
    Spec,
    attention_mask,
    coin,
    every_index,
    fill,
    gradients,
    integer,
    lengths,
    lowest_number,
    misconception,
    normal,
    wide,
    without,
)

HEADER = '''"""Notebook 05. SDPA: its contract, its empty rows, its shapes, and which arguments to choose."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise
'''

#: Rounding in half precision, where right answers round at different steps.
ROUNDING: dict[torch.dtype, float | None] = {torch.float32: None, torch.float16: 1e-2, torch.bfloat16: 8e-2}


# --- attention, row by row: what the oracles share --------------------------------------------------------------------


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    may: Callable[[int, int, int, int], bool],
    scale: float | None = None,
    bias: Tensor | None = None,
    key_head: Callable[[int], int] = lambda h: h,
) -> Tensor:
    """Softmax attention of each query over the keys it ``may(b, h, q, k)`` see; a row that may see nothing gives 0."""
    batch, heads, query_length, dim = query.shape
    key_length, value_dim = value.shape[2:]
    scale = 1 / math.sqrt(dim) if scale is None else scale
    rows = []
    for b, h, q in every_index((batch, heads, query_length)):
        seen = [k for k in range(key_length) if may(b, h, q, k)]
        asked = wide(query[b, h, q])
        if not seen:
            rows.append(asked.new_zeros(value_dim) + asked.sum() * 0)  # a zero that gradients pass through
            continue
        keys, values = (wide(tensor[b, key_head(h)][seen]) for tensor in (key, value))
        scores = (keys * asked).sum(-1) * scale
        if bias is not None:
            scores = scores + wide(bias[b, h, q][seen])
        rows.append((scores.softmax(-1)[:, None] * values).sum(0))
    shape = (batch, heads, query_length, value_dim)
    return torch.stack(rows).to(query.dtype).reshape(shape) if rows else query.new_zeros(shape)


def _score_shape(query: Tensor, key: Tensor) -> tuple[int, int, int, int]:
    return (*query.shape[:3], key.shape[2])


# --- the course's sentences and drawn inputs --------------------------------------------------------------------------

#: "I like coffee <pad>": whole numbers whose shares are plain to see, a row for each word that asks; the padding is loud.
SHARES = torch.tensor([[1.0, 2, 1, 4], [2, 1, 1, 4], [1, 1, 2, 4], [1, 3, 4, 8]])
WORDS = torch.tensor([[True, True, True, False]])


def _sentence(queries: int = 4, keys: int = 4, first: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value that give ``SHARES`` before the mask: dim 4, value = identity, so that outputs are weights."""
    query = 2 * torch.eye(4)[first : first + queries]
    key = SHARES.log().T.contiguous()[:keys]
    return query[None, None], key[None, None], torch.eye(4)[None, None, :keys]


def _inputs(
    rng: torch.Generator,
    sizes: tuple[int, int, int, int],
    dim: int = 4,
    dtype: torch.dtype = torch.float32,
    key_heads: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw query, key and value for ``sizes`` batch, heads, query and key length."""
    batch, heads, query_length, key_length = sizes
    query = normal(rng, batch, heads, query_length, dim, dtype=dtype)
    key_heads = heads if key_heads is None else key_heads
    return query, *(normal(rng, batch, key_heads, key_length, dim, dtype=dtype) for _ in range(2))  # type: ignore[return-value]


def _unchanging() -> torch.Generator:
    """What draws the same inputs under every seed: for cases that alone tell two mistakes apart."""
    return torch.Generator().manual_seed(0)


def _allowed(rng: torch.Generator, *shape: int) -> Tensor:
    """Draw what is allowed: in each row at least one key, and (if there are two) at least one forbidden."""
    allowed = coin(rng, *shape)
    if shape[-1] == 1:
        return torch.ones(shape, dtype=torch.bool)
    order = torch.rand(shape, generator=rng).argsort(-1)
    return torch.where(order == 0, True, torch.where(order == 1, False, allowed))


def _biases(rng: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32, hide: float = -math.inf) -> Tensor:
    """Draw a float mask: positive and negative biases beside cells that are hidden, never a whole row of them."""
    return normal(rng, *shape).masked_fill(~_allowed(rng, *shape), hide).to(dtype)


def _far(hidden: Tensor, real: float = -32_768.0, loud: float = 65_536.0) -> tuple[Tensor, Tensor, Tensor]:
    """Real keys score below -100,000 and the hidden ones lead by more: only −∞, or a format's minimum, hides them.

    Quarters throughout (dim 16 is scaled by ¼): no right answer has to round these scores. ``hidden`` is `[batch, key]`.
    """
    batch, key_length = hidden.shape
    rng = _unchanging()
    key = torch.randint(0, 3, (batch, 2, key_length, 16), generator=rng) + real
    key = torch.where(hidden[:, None, :, None], key + loud, key)
    return torch.ones(batch, 2, 3, 16), key, normal(rng, batch, 2, key_length, 16)


# --- attention as learners write it -----------------------------------------------------------------------------------


def _scores(query: Tensor, key: Tensor, scale: float | None = None) -> Tensor:
    return query @ key.mT * (query.shape[-1] ** -0.5 if scale is None else scale)


def _triangle(query_length: int, key_length: int, diagonal: int = 0) -> Tensor:
    """True up to the diagonal; 0 is top-left, ``key_length - query_length`` bottom-right."""
    return torch.ones(query_length, key_length, dtype=torch.bool).tril(diagonal)


def _over(scores: Tensor, diagonal: int = 0) -> Tensor:
    """The triangle of the shape of scores, or of a bias."""
    return _triangle(scores.shape[-2], scores.shape[-1], diagonal)


def _additive(mask: Tensor, number: float, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, number)


def _attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, number: float | None = -math.inf) -> Tensor:
    """Softmax attention by hand, forbidden scores filled with ``number``, `None` for the dtype's lowest."""
    number = lowest_number(query.dtype) if number is None else number
    return _scores(query, key).masked_fill(~allowed, number).softmax(-1) @ value


def _attend_lowest(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Tensor:
    return _attend(query, key, value, allowed, None)


# --- sdpa_reference ---------------------------------------------------------------------------------------------------


def sdpa_reference(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    attn_mask: Bool[Tensor, "*#axes"] | Float[Tensor, "*#axes"] | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Float[Tensor, "batch heads query dim"]:
    """True = may attend in a bool mask, a float mask is added: what `F.scaled_dot_product_attention` returns.

        bool     True  True  False      scores   1.0   2.0   −∞           is_causal, 2 queries, 4 keys:
        float     0.0  −2.0   −inf      scores   1.0   0.0   −∞             ■ ⬚ ⬚ ⬚      ■ may attend
        none                            scores   1.0   2.0   3.0            ■ ■ ⬚ ⬚      ⬚ may not

    Args:
        query, key, value: what attention works on; the number of queries need not be that of keys.
        attn_mask: bool or of the dtype of `query`, broadcastable to `[batch, heads, query, key]`; or `None`. Every query
            has a key it may attend to.
        is_causal: query q attends to the keys 0 to q, counted from the first key: the triangle stands at the top left.
        scale: what the products of query and key are multiplied with; 1/√dim if `None`.

    Returns:
        The output, of the dtype of `query`. Written without calling `F.scaled_dot_product_attention`.

    Raises:
        ValueError: there is an `attn_mask` and `is_causal` is True, too.

    Source: `torch.nn.functional.scaled_dot_product_attention`.
    """
    if attn_mask is not None and is_causal:
        raise ValueError(f"is_causal is {is_causal} and attn_mask is given; only one of them may be")
    seen, bias = None, None
    if attn_mask is not None:
        everywhere = torch.broadcast_to(attn_mask, _score_shape(query, key))
        seen, bias = (everywhere.tolist(), None) if attn_mask.dtype == torch.bool else (None, everywhere)

    def may(b: int, h: int, q: int, k: int) -> bool:
        return (seen is None or seen[b][h][q][k]) and (not is_causal or k <= q)

    return _attention(query, key, value, may, scale, bias)


def _reference_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = 2, 3, integer(rng, 3, 4), integer(rng, 5, 6)
    none_equal = (batch, heads, query, key)
    columns, nudges = WORDS.expand(4, 4), torch.tensor([[1.0, 3, 2, 1], [2, 1, 1, 1], [1, 1, 1, 3], [4, 1, 2, 1]]).log()
    hidden = torch.tensor([[False, False, True, True], [False, True, False, False]])
    same = _unchanging()

    def case(about: str, sizes: tuple[int, int, int, int] = none_equal, dim: int = 4, **keywords: Any) -> Case:
        return Case(about, _inputs(rng, sizes, dim), keywords)

    def half(dtype: torch.dtype, about: str, **keywords: Any) -> Case:
        name = f"in {str(dtype)[6:]}, {about}"
        return Case(name, _inputs(same, (2, 2, 3, 4), dtype=dtype), keywords, tolerance=ROUNDING[dtype])

    return [
        Case("the first sentence of the course, a bool mask", _sentence(), {"attn_mask": columns}),
        Case(
            "the same as a float mask", _sentence(), {"attn_mask": torch.zeros(4, 4).masked_fill(~columns, -math.inf)}
        ),
        Case("a float mask of biases", _sentence(), {"attn_mask": nudges}),
        Case(
            "biases and finfo.min",
            _sentence(),
            {"attn_mask": nudges.masked_fill(~columns, lowest_number(torch.float32))},
        ),
        Case("is_causal, two queries over four keys", _sentence(2, 4), {"is_causal": True}),
        Case("is_causal, four queries over two keys", _sentence(4, 2), {"is_causal": True}),
        Case("is_causal, as many queries as keys", _sentence(), {"is_causal": True}),
        Case("no mask", _sentence()),
        Case("a scale of its own", _sentence(), {"scale": 0.25}),
        Case("a scale of 0", _sentence(), {"scale": 0.0}),
        Case("is_causal and a bool mask at once", _sentence(), {"attn_mask": columns, "is_causal": True}),
        Case("is_causal and a float mask at once", _sentence(), {"attn_mask": nudges, "is_causal": True}),
        case("a mask of queries and keys", attn_mask=_allowed(rng, query, key)),
        case("a mask per sentence", attn_mask=_allowed(rng, batch, 1, 1, key)),
        case("a mask per sentence, head and query", attn_mask=_allowed(rng, batch, heads, query, key)),
        case("as many sentences as heads, queries and keys", (3, 3, 3, 3), attn_mask=_allowed(rng, 3, 1, 3, 3)),
        case("a float mask per head, and a scale", attn_mask=_biases(rng, 1, heads, query, key), scale=0.8),
        case("one query and one key more, is_causal", (2, 2, 1, 2), is_causal=True),
        case(
            "a bool mask, one head of one number", (1, 1, 2, 3), dim=1, attn_mask=_allowed(rng, 2, 3), is_causal=False
        ),
        Case("hidden keys that lead by far", _far(hidden), {"attn_mask": ~hidden[:, None, None, :]}),
        *(half(dtype, "a bool mask", attn_mask=_allowed(same, 2, 1, 3, 4)) for dtype in HALVES),
        *(half(dtype, "a float mask", attn_mask=_biases(same, 3, 4, dtype=dtype)) for dtype in HALVES),
        half(torch.float16, "is_causal", is_causal=True),
    ]


def _reference_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    causal = {"is_causal": True}  # the one branch in which a mask has to be made, on the right device
    return Case("small", _inputs(rng, (2, 3, 4, 5)), causal), Case("large", _inputs(rng, (3, 5, 7, 9)), causal)


def _masked(scores: Tensor, mask: Tensor, number: float | None = -math.inf) -> Tensor:
    """A bool mask hides, a float mask is added: the right way, unless ``number`` is a weak one."""
    if mask.dtype != torch.bool:
        return scores + mask
    return scores.masked_fill(~mask, lowest_number(scores.dtype) if number is None else number)


def _top_left(scores: Tensor, diagonal: int = 0, number: float | None = -math.inf) -> Tensor:
    return _masked(scores, _over(scores, diagonal), number)


def _refuse(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Any:
    raise ValueError("attn_mask and is_causal")


def _reference(
    *,
    scaled: Callable[[int, float | None], float] = lambda dim, scale: dim**-0.5 if scale is None else scale,
    masked: Callable[[Tensor, Tensor], Tensor] = _masked,
    triangle: Callable[[Tensor], Tensor] = _top_left,
    both: Callable[..., Any] | None = _refuse,
    share: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(-1),
) -> Callable[..., Any]:
    """SDPA by hand, with the parts that go wrong as arguments; without ``both``, both masks are applied."""

    def answer(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Any:
        if attn_mask is not None and is_causal and both is not None:
            return both(query, key, value, attn_mask)
        scores = query @ key.mT * scaled(query.shape[-1], scale)
        scores = scores if attn_mask is None else masked(scores, attn_mask)
        scores = triangle(scores) if is_causal else scores
        return share(scores) @ value

    return answer


def _bottom_right(number: float | None) -> Callable[[Tensor], Tensor]:
    return lambda scores: _top_left(scores, scores.shape[-1] - scores.shape[-2], number)


def _inverted(number: float | None) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, mask: _masked(scores, ~mask if mask.dtype == torch.bool else mask, number)


def _float_read(hidden: Callable[[Tensor], Tensor], number: float | None) -> Callable[[Tensor, Tensor], Tensor]:
    """Reads a float mask as one that only hides."""
    return lambda scores, mask: _masked(scores, mask if mask.dtype == torch.bool else ~hidden(mask), number)


def _masked_in_float32(scores: Tensor, mask: Tensor) -> Tensor:
    return scores + (_additive(mask, -math.inf) if mask.dtype == torch.bool else mask)


def _scaled_with_the_mask(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    unscaled = _reference(scaled=lambda dim, _: 1.0, share=lambda scores: (scores * scale).softmax(-1))
    if scale == 0:
        raise NotImplementedError("0 × −∞: nothing to say")
    return unscaled(query, key, value, attn_mask, is_causal)


def _assertion(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor) -> Any:
    raise AssertionError


def _documentation(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """The lines that torch's documentation prints: the mask is filled into a tensor of two axes."""
    bias = torch.zeros(query.size(-2), key.size(-2), dtype=query.dtype)
    if is_causal:
        if attn_mask is not None:
            raise AssertionError
        bias.masked_fill_(_over(bias).logical_not(), -math.inf)
    if attn_mask is not None:
        if attn_mask.dtype == torch.bool:
            bias.masked_fill_(attn_mask.logical_not(), -math.inf)
        else:
            bias = attn_mask + bias
    return (_scores(query, key, scale) + bias).softmax(-1) @ value


FILLS = (-math.inf, None)

SDPA_REFERENCE = Spec(
    topic="sdpa",
    oracle=sdpa_reference,
    points=2,
    cases=_reference_cases,
    sizes=_reference_sizes,
    properties=(*ALWAYS, without("scaled_dot_product_attention"), gradients(0, 1, 2)),
    misconceptions=(
        misconception(
            "calls SDPA",
            "That is the function this exercise rebuilds: products, scale, mask, softmax, and a product with the values.",
            lambda query, key, value, attn_mask=None, is_causal=False, scale=None: (
                _refuse(query, key, value, attn_mask)
                if is_causal and attn_mask is not None
                else F.scaled_dot_product_attention(query, key, value, attn_mask, 0.0, is_causal, scale=scale)
            ),
        ),
        misconception(
            "bottom-right",
            "SDPA counts from the top left: query 0 sees key 0 alone, however many keys there are: `tril(diagonal=0)`.",
            *(_reference(triangle=_bottom_right(number)) for number in (*FILLS, -1e9)),
        ),
        misconception(
            "another triangle",
            "Query q sees the keys 0 to q, itself included: the lower triangle with its diagonal.",
            *(
                _reference(triangle=lambda scores, lost=lost, fill=fill: scores.masked_fill(lost(scores), fill))  # type: ignore[misc]
                for fill in (-math.inf, lowest_number(torch.float16))
                for lost in (
                    lambda scores: _over(scores),
                    lambda scores: _over(scores, -1),
                    lambda scores: ~_over(scores, -1),
                    lambda scores: ~_over(scores, 1),
                )
            ),
        ),
        misconception(
            "is_causal ignored",
            "`is_causal=True` changes nothing here: without a mask, it has to make one.",
            _reference(triangle=lambda scores: scores),
        ),
        misconception(
            "bool inverted",
            "For SDPA True means may attend: `masked_fill(~attn_mask, −∞)`. It is `nn.MultiheadAttention` that ignores True.",
            *(_reference(masked=_inverted(number)) for number in FILLS),
        ),
        misconception(
            "float mask as bool",
            "A float mask is added, every number of it: 0.0 is not False, and −2 is a bias and not a wall.",
            *(
                _reference(masked=_float_read(hidden, number))
                for number in FILLS
                for hidden in (
                    lambda mask: ~mask.bool(),
                    lambda mask: mask.bool(),
                    lambda mask: mask < 0,
                    lambda mask: mask < -1e3,
                    lambda mask: mask == -math.inf,
                )
            ),
        ),
        misconception(
            "bool added as 1",
            "True adds 1 and False 0, a nudge to the allowed keys: where the mask is False the score has to become −∞.",
            _reference(masked=lambda scores, mask: scores + mask),
        ),
        misconception(
            "mask ignored",
            "`attn_mask` changes nothing here: a bool one hides, a float one is added, before the softmax.",
            _reference(masked=lambda scores, mask: scores),
        ),
        misconception(
            "-100 for minus infinity",
            "−100, −1e4 or −65504 is only a number: a hidden key that leads by more wins all the same. Fill with −∞.",
            *(
                _reference(
                    masked=lambda scores, mask, number=number: _masked(scores, mask, number),  # type: ignore[misc]
                    triangle=lambda scores, number=number: _top_left(scores, 0, number),  # type: ignore[misc]
                )
                for number in (-100.0, -1e4, -65504.0)
            ),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: fill with −∞ or `torch.finfo(scores.dtype).min`.",
            _reference(masked=lambda scores, mask: _masked(scores, mask, -1e9)),
            _reference(
                masked=lambda scores, mask: _masked(scores, mask, -1e9),
                triangle=lambda scores: _top_left(scores, 0, -1e9),
            ),
        ),
        misconception(
            "float32 beside half precision",
            "A mask made without `dtype=` is float32 and lifts the scores to it: make it of `query.dtype`, or fill.",
            *(
                _reference(masked=masked, triangle=triangle)
                for masked in (_masked, _masked_in_float32)
                for triangle in (_top_left, lambda scores: _masked_in_float32(scores, _over(scores)))
                if masked is not _masked or triangle is not _top_left
            ),
        ),
        misconception(
            "another default scale",
            "Without `scale` the products are multiplied with 1/√dim, dim being the last axis of the query.",
            _reference(scaled=lambda dim, scale: 1.0 if scale is None else scale),
            _reference(scaled=lambda dim, scale: 1 / dim if scale is None else scale),
        ),
        misconception(
            "scale misused",
            "`scale` takes the place of 1/√dim, and it multiplies; a scale of 0 is a scale: ask `is None`.",
            _reference(scaled=lambda dim, scale: dim**-0.5),
            _reference(scaled=lambda dim, scale: dim**-0.5 if scale is None else 1 / scale if scale else 0.0),
            _reference(scaled=lambda dim, scale: dim**-0.5 * (1.0 if scale is None else scale)),
            _reference(scaled=lambda dim, scale: scale or dim**-0.5),
        ),
        misconception(
            "mask scaled too",
            "The scale belongs to the products of query and key alone: multiply first, then add the mask.",
            _scaled_with_the_mask,
        ),
        misconception(
            "both at once without an error",
            "Some kernels apply both, others refuse: `attn_mask` together with `is_causal=True` has to be a ValueError.",
            _reference(both=None),
            lambda query, key, value, attn_mask=None, is_causal=False, scale=None: F.scaled_dot_product_attention(
                query, key, value, attn_mask, 0.0, is_causal, scale=scale
            ),
            _reference(both=lambda query, key, value, mask: _reference()(query, key, value, mask)),
            _reference(both=lambda query, key, value, mask: _reference()(query, key, value, None, True)),
            _reference(both=_assertion),
        ),
        misconception(
            "as the documentation prints it",
            "Those lines fill a mask of four axes into a bias of two, in place, and they assert: broadcast, raise ValueError.",
            _documentation,
        ),
    ),
)


# --- safe_sdpa --------------------------------------------------------------------------------------------------------


def safe_sdpa(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
    allowed: Bool[Tensor, "*#axes"],
) -> Float[Tensor, "batch heads query dim"]:
    """True = may attend: attention whose output is 0 where a row may attend to nothing, with finite gradients everywhere.

                    <pad>   I   like                     output       what comes back to query, key, value
        <pad>         ⬚     ⬚    ⬚     →   weights  0 0 0     0            0
        I             ⬚     ■    ⬚     →            0 1 0     value of I   finite
        like          ⬚     ■    ■     →            0 ¼ ¾     a mixture    finite

    Args:
        query, key, value: what attention works on; the number of queries need not be that of keys.
        allowed: bool, broadcastable to `[batch, heads, query, key]`; a row may be False throughout.

    Returns:
        The output, of the dtype of `query`; scores are divided by √dim. Written with a softmax and not with SDPA, so that
        it holds whatever a version, a device or a kernel makes of such rows.
    """
    seen = torch.broadcast_to(allowed, _score_shape(query, key)).tolist()
    return _attention(query, key, value, lambda b, h, q, k: seen[b][h][q][k])


def _some_empty(rng: torch.Generator, *shape: int) -> Tensor:
    """Draw what is allowed, the first row of all nothing and the last row something."""
    allowed = _allowed(rng, *shape)
    rows = allowed.view(-1, shape[-1])
    rows[0] = False
    return allowed


def _safe_cases(rng: torch.Generator) -> list[Case]:
    batch, heads, query, key = 2, 3, integer(rng, 3, 4), integer(rng, 5, 6)
    none_equal = (batch, heads, query, key)
    left_padded = _triangle(4, 4) & torch.tensor([False, True, True, True])
    hidden = torch.tensor([[False, False, True, True], [True, True, True, True]])
    same = _unchanging()

    def case(about: str, allowed: Tensor, sizes: tuple[int, int, int, int] = none_equal, dim: int = 4) -> Case:
        return Case(about, (*_inputs(rng, sizes, dim), allowed))

    return [
        Case("the first sentence of the course", (*_sentence(), WORDS)),
        Case("left padding and a causal mask: the first row is empty", (*_sentence(), left_padded)),
        Case("a row of four that may see nothing", (*_sentence(), WORDS & torch.tensor([[1], [1], [0], [1]]).bool())),
        case("a mask of queries and keys, one row empty", _some_empty(rng, query, key)),
        case("an empty sentence beside a full one", attention_mask([0, key], key).bool()[:, None, None, :]),
        case("a mask per sentence, head and query", _some_empty(rng, batch, heads, query, key)),
        case("as many sentences as heads", _some_empty(rng, 3, 1, query, key), (3, 3, query, key)),
        case("as many heads, queries and keys as sentences", _some_empty(rng, 3, 1, 3, 3), (3, 3, 3, 3)),
        case("no row empty", _allowed(rng, batch, 1, query, key)),
        case("all allowed", torch.ones(1, 1, 1, key, dtype=torch.bool)),
        case("nothing allowed", torch.zeros(query, key, dtype=torch.bool)),
        case("one query, an empty row in one sentence", _some_empty(rng, batch, 1, 1, key), (batch, heads, 1, key)),
        case("one key, hidden from one query", torch.tensor([[True], [False], [True]]), (batch, heads, 3, 1)),
        case("heads of one number", _some_empty(rng, 3, 4), (1, 2, 3, 4), dim=1),
        Case("hidden keys that lead by far", (*_far(hidden, real=0.0), ~hidden[:, None, None, :])),
        Case("hidden keys that lead by 60", (*_far(hidden, real=0.0, loud=15.0), ~hidden[:, None, None, :])),
        Case("scores below -100,000", (*_far(hidden, loud=0.0), ~hidden[:, None, None, :])),
        *(
            Case(
                f"in {str(dtype)[6:]}",
                (*_inputs(same, (2, 2, 3, 4), dtype=dtype), _some_empty(same, 2, 1, 3, 4)),
                tolerance=ROUNDING[dtype],
            )
            for dtype in HALVES
        ),
    ]


def _safe_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (*_inputs(rng, (2, 3, 4, 5)), _some_empty(rng, 2, 1, 4, 5))
    large = (*_inputs(rng, (3, 5, 7, 9)), _some_empty(rng, 3, 1, 7, 9))
    return Case("small", small), Case("large", large)


def _lowest_filled(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores.masked_fill(~allowed, lowest_number(scores.dtype))


def _zeroed(shares: Tensor, allowed: Tensor) -> Tensor:
    return shares.masked_fill(~allowed, 0.0)


def _safe(
    *,
    scale: Callable[[int], float] = lambda dim: dim**-0.5,
    hide: Callable[[Tensor, Tensor], Tensor] = _lowest_filled,
    share: Callable[[Tensor], Tensor] = lambda scores: scores.softmax(-1),
    weights: Callable[[Tensor, Tensor], Tensor] = _zeroed,
    finished: Callable[[Tensor, Tensor], Any] = lambda output, allowed: output,
) -> Callable[..., Any]:
    """Attention that survives empty rows, with the parts that go wrong as arguments."""

    def answer(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Any:
        scores = hide(_scores(query, key, scale(query.shape[-1])), allowed)
        return finished(weights(share(scores), allowed) @ value, allowed)

    return answer


def _kept(shares: Tensor, allowed: Tensor) -> Tensor:
    return shares


def _with_infinity(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores.masked_fill(~allowed, -math.inf)


def _plus_infinity(scores: Tensor, allowed: Tensor) -> Tensor:
    return scores + torch.zeros(allowed.shape, dtype=scores.dtype).masked_fill(~allowed, -math.inf)


def _some(allowed: Tensor) -> Tensor:
    return allowed.any(-1, keepdim=True)


def _where_some(output: Tensor, allowed: Tensor) -> Tensor:
    return torch.where(_some(allowed), output, 0.0)


def _plus(number: float | None) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, allowed: (
        scores + (~allowed).to(scores.dtype) * (lowest_number(scores.dtype) if number is None else number)
    )


def _filled(number: float) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda scores, allowed: scores.masked_fill(~allowed, number)


def _shared_out(shares: Tensor, allowed: Tensor) -> Tensor:
    shares = shares * allowed
    return shares / shares.sum(-1, keepdim=True).clamp(min=1e-9 if shares.dtype != torch.float16 else 1e-7)


def _one_more(scores: Tensor) -> Tensor:
    """A softmax whose sum counts one score of 0 too, so that a row of −∞ comes out as 0."""
    return F.pad(scores, (0, 1)).softmax(-1)[..., :-1]


SAFE_SDPA = Spec(
    topic="sdpa",
    oracle=safe_sdpa,
    points=3,
    cases=_safe_cases,
    sizes=_safe_sizes,
    properties=(*ALWAYS, without("scaled_dot_product_attention"), gradients(0, 1, 2)),
    misconceptions=(
        misconception(
            "NaN rows",
            "A row of −∞ has no largest score, and its softmax is 0/0: fill with a finite number, then zero the empty rows.",
            _safe(hide=_with_infinity, weights=_kept),
            _safe(hide=_with_infinity, weights=lambda shares, allowed: shares * allowed),
            _safe(hide=_with_infinity, weights=_kept, finished=lambda output, allowed: output * _some(allowed)),
        ),
        misconception(
            "NaN gradients",
            "Clean outputs, but NaN went through the softmax, and its gradients are NaN too: keep it out of the scores.",
            _safe(hide=_with_infinity, weights=_kept, finished=lambda output, allowed: output.nan_to_num(0.0)),
            _safe(hide=_with_infinity, weights=_kept, finished=_where_some),
            _safe(hide=_plus_infinity),
        ),
        misconception(
            "uniform rows",
            "A finite minimum in every cell is a row of equal scores: the empty row takes the mean. Its weights must be 0.",
            *(_safe(hide=hide, weights=_kept) for hide in (_lowest_filled, _plus(None), _filled(-1e9), _plus(-1e9))),
            _safe(
                hide=_with_infinity,
                weights=lambda shares, allowed: shares.where(_some(allowed), 1 / shares.shape[-1]),
            ),
        ),
        misconception(
            "unmasked rows",
            "Opening the empty rows keeps NaN away, but now they see everything: set their output to 0 afterwards.",
            _safe(hide=lambda scores, allowed: _with_infinity(scores, allowed | ~_some(allowed)), weights=_kept),
        ),
        misconception(
            "calls SDPA",
            "SDPA gives 0 there in this version, on this device; the exercise is to have it everywhere, with a softmax.",
            lambda query, key, value, allowed: F.scaled_dot_product_attention(query, key, value, allowed),
        ),
        misconception(
            "-100 for minus infinity",
            "−100, −1e4 or −65504 is only a number: a hidden key that leads by more wins all the same. Fill with `finfo.min`.",
            *(
                _safe(hide=way(number), weights=weights)
                for number in (-100.0, -1e4, -65504.0)
                for way in (_filled, _plus)
                for weights in (_kept, lambda shares, allowed: shares * _some(allowed))
            ),
            *(_safe(hide=way(number)) for number in (-100.0, -1e4, -65504.0) for way in (_filled, _plus)),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: ask `torch.finfo(scores.dtype).min`.",
            _safe(hide=_filled(-1e9)),
            _safe(hide=_filled(lowest_number(torch.float32))),
        ),
        misconception(
            "float32 beside half precision",
            "A mask made without `dtype=` is float32 and lifts the scores to it: make it of `scores.dtype`, or fill.",
            _safe(hide=lambda scores, allowed: scores + _additive(allowed, lowest_number(torch.float32))),
        ),
        misconception(
            "zeroed after the softmax",
            "The hidden keys had their share before you took it away: the rows no longer sum to 1. Mask the scores.",
            _safe(hide=lambda scores, allowed: scores),
        ),
        misconception(
            "renormalised after the softmax",
            "Right until a hidden score leads by far: then 0 is all that is left to share out. Mask before the softmax.",
            _safe(hide=lambda scores, allowed: scores, weights=_shared_out),
            _safe(
                hide=lambda scores, allowed: scores,
                weights=lambda shares, allowed: _where_some(
                    (shares * allowed) / (shares * allowed).sum(-1, True), allowed
                ),
            ),
        ),
        misconception(
            "one more in the sum",
            "A sum with one more score in it makes an empty row 0, but takes weight from all the other rows, too.",
            _safe(hide=_with_infinity, share=_one_more, weights=_kept),
        ),
        misconception(
            "inverted",
            "True means may attend: here the allowed keys are the hidden ones.",
            *(
                lambda query, key, value, allowed, form=form: form(query, key, value, ~allowed)
                for form in (_safe(), _attend, _safe(weights=_kept))
            ),
        ),
        misconception(
            "another scale",
            "The products of query and key are divided by √dim, dim being the last axis of the query.",
            _safe(scale=lambda dim: 1.0),
            _safe(scale=lambda dim: 1 / dim),
        ),
        misconception(
            "whole sentence emptied",
            "One row that may see nothing empties only itself: ask `any` over the keys, `dim=-1, keepdim=True`.",
            _safe(finished=lambda output, allowed: output * _some(allowed).all()),
            _safe(
                finished=lambda output, allowed: (
                    output * _some(allowed).expand(*output.shape[:3], 1).all(2, keepdim=True)
                )
            ),
        ),
    ),
)


# --- mha_to_sdpa_mask -------------------------------------------------------------------------------------------------


def mha_to_sdpa_mask(
    key_padding_mask: Bool[Tensor, "batch key"] | None, attn_mask: Bool[Tensor, "query key"] | None
) -> Bool[Tensor, "*axes"] | None:
    """True = ignore in the two masks that come in, True = may attend in the one that goes out to SDPA.

        key_padding_mask   ⬚ ⬚ ■        attn_mask   ⬚ ■ ■              ■ ⬚ ⬚
                           True = ignore            ⬚ ⬚ ■      →       ■ ■ ⬚      True = may attend
                                                    ⬚ ⬚ ⬚              ■ ■ ⬚

    Args:
        key_padding_mask: bool, True = padding, or `None`.
        attn_mask: bool, True = this query must ignore this key, or `None`.

    Returns:
        bool, True = may attend: `[batch, 1, 1, key]` of padding alone, `[query, key]` of `attn_mask` alone,
        `[batch, 1, query, key]` of both; `None` if there is neither.
    """
    if key_padding_mask is None and attn_mask is None:
        return None
    padding = None if key_padding_mask is None else key_padding_mask.tolist()
    ruled = None if attn_mask is None else attn_mask.tolist()

    def may(b: int, _: int, q: int, k: int) -> bool:
        return not (padding is not None and padding[b][k]) and not (ruled is not None and ruled[q][k])

    if key_padding_mask is None:
        assert attn_mask is not None
        return fill(attn_mask.shape, lambda q, k: may(0, 0, q, k), torch.bool, attn_mask.device)
    batch, key_length = key_padding_mask.shape
    query_length = 1 if attn_mask is None else attn_mask.shape[0]
    return fill((batch, 1, query_length, key_length), may, torch.bool, key_padding_mask.device)


def _mha_cases(rng: torch.Generator) -> list[Case]:
    def padding(batch: int, keys: int, side: str = "right", shortest: int = 1) -> Tensor:
        return attention_mask(lengths(rng, batch, keys, shortest), keys, side) == 0

    def rules(queries: int, keys: int) -> Tensor:
        return ~_allowed(rng, queries, keys)

    first, later = torch.tensor([[0, 0, 0, 1], [0, 0, 0, 0]]).bool(), ~_triangle(4, 4)
    return [
        Case("the two sentences of the course and a causal mask", (first, later)),
        Case("the two sentences alone", (first, None)),
        Case("the causal mask alone", (None, later)),
        Case("neither", (None, None)),
        Case("two queries that are the newest", (first, ~_triangle(2, 4, 2))),
        Case("no two sizes equal", (padding(2, 5), rules(3, 5))),
        Case("padding on the left", (padding(2, 5, "left"), rules(4, 5))),
        Case("as many sentences as queries", (padding(3, 5), rules(3, 5))),
        Case("as many sentences as keys", (padding(4, 4), None)),
        Case("sentences, queries and keys all three", (padding(3, 3), rules(3, 3))),
        Case("padding anywhere", (coin(rng, 3, 5), rules(2, 5))),
        Case("an empty sentence", (attention_mask([0, 3], 4) == 0, rules(4, 4))),
        Case("one query", (padding(2, 4), rules(1, 4))),
        Case("one sentence", (padding(1, 4), None)),
        Case("one key", (torch.tensor([[False], [True]]), torch.tensor([[False], [False], [True]]))),
        Case("more queries than keys", (None, rules(5, 3))),
        Case("no queries", (padding(2, 4), rules(0, 4))),
    ]


def _mha_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (attention_mask([3, 5], 5) == 0, ~_allowed(rng, 4, 5))
    large = (attention_mask([3, 9, 1], 9) == 0, ~_allowed(rng, 7, 9))
    return Case("small", small), Case("large", large)


Turn = Callable[[Tensor], Tensor]


def _turned(
    padding: Turn = torch.logical_not,
    ruled: Turn = torch.logical_not,
    place: Turn = lambda mask: mask[:, None, None, :],
    join: Callable[[Tensor, Tensor], Tensor] = torch.logical_and,
    alone: Turn = lambda mask: mask,
    last: Turn = lambda mask: mask,
) -> Callable[..., Any]:
    """From the module's convention to SDPA's, with the parts that go wrong as arguments."""

    def answer(key_padding_mask: Tensor | None, attn_mask: Tensor | None) -> Any:
        parts = []
        if key_padding_mask is not None:
            parts.append(place(padding(key_padding_mask)))
        if attn_mask is not None:
            parts.append(ruled(attn_mask) if parts else alone(ruled(attn_mask)))
        return None if not parts else last(parts[0] if len(parts) == 1 else join(*parts))

    return answer


def _same(mask: Tensor) -> Tensor:
    return mask


def _one_of_them(keep_padding: bool) -> Callable[..., Any]:
    def answer(key_padding_mask: Tensor | None, attn_mask: Tensor | None) -> Any:
        if key_padding_mask is not None and attn_mask is not None:
            return ~key_padding_mask[:, None, None, :] if keep_padding else ~attn_mask
        return _turned()(key_padding_mask, attn_mask)

    return answer


def _ones_for_none(key_padding_mask: Tensor | None, attn_mask: Tensor | None) -> Any:
    if key_padding_mask is None and attn_mask is None:
        return torch.ones(1, dtype=torch.bool)
    return _turned()(key_padding_mask, attn_mask)


MHA_TO_SDPA_MASK = Spec(
    topic="sdpa",
    oracle=mha_to_sdpa_mask,
    points=2,
    practice=True,
    cases=_mha_cases,
    sizes=_mha_sizes,
    reading="allowed",
    misconceptions=(
        misconception(
            "not inverted",
            "This is still True = ignore; for SDPA True means may attend. Turn each mask over with `~`.",
            _turned(_same, _same, join=torch.logical_or),
            _turned(_same, _same),
        ),
        misconception(
            "only one of them inverted",
            "Both masks say ignore, so both have to be turned over before they are joined.",
            *(
                _turned(padding, ruled, join=join)
                for padding, ruled in ((torch.logical_not, _same), (_same, torch.logical_not))
                for join in (torch.logical_and, torch.logical_or)
            ),
        ),
        misconception(
            "or after inverting",
            "May attend needs both permissions: `~a & ~b`. With `|`, the padding comes back wherever the triangle allows it.",
            _turned(join=torch.logical_or),
        ),
        misconception(
            "padding on too few axes",
            "SDPA broadcasts from the right: `(B, S)` lands on queries, `(B, 1, S)` on heads. `[:, None, None, :]` it is.",
            *(
                _turned(place=lambda mask, places=places: mask[places])  # type: ignore[misc]
                for places in (
                    slice(None),
                    (slice(None), None),
                    (slice(None), slice(None), None),
                    (None, None),
                )
            ),
        ),
        misconception(
            "query rows masked",
            "The padding is not to be looked at, so it belongs on the key axis, the last one: `[:, None, None, :]`.",
            _turned(place=lambda mask: mask[:, None, :, None]),
            _turned(place=lambda mask: mask[:, :, None, None]),
            _turned(place=lambda mask: mask[:, None, :, None] & mask[:, None, None, :]),
        ),
        misconception(
            "an axis too many, or expanded",
            "Right cells, another shape: `attn_mask` alone stays `[L, S]`, and padding alone keeps 1 for heads and queries.",
            _turned(alone=lambda mask: mask[None, None]),
            _turned(alone=lambda mask: mask[None]),
            _turned(last=lambda mask: mask if mask.dim() == 2 else mask.expand(-1, -1, mask.shape[-1], -1)),
        ),
        misconception(
            "additive or 0/1 instead of bool",
            "Right cells, wrong kind: a float mask is added and whole numbers are refused; a bool one works in every dtype.",
            *(
                _turned(last=lambda mask, number=number: _additive(mask, number))  # type: ignore[misc]
                for number in (-math.inf, lowest_number(torch.float32), -1e9)
            ),
            *(
                _turned(last=lambda mask, dtype=dtype: mask.to(dtype))  # type: ignore[misc]
                for dtype in (torch.long, torch.int, torch.float)
            ),
        ),
        misconception(
            "one of two masks dropped",
            "When both are there, both count: a key is allowed if neither the padding nor the `attn_mask` hides it.",
            _one_of_them(True),
            _one_of_them(False),
        ),
        misconception(
            "no mask for None",
            "Each of the two may be `None`, and so may both: then SDPA needs no mask either, and gets `None`.",
            lambda padding, rule: ~(padding[:, None, None, :] | rule),
            lambda padding, rule: ~padding[:, None, None, :] & ~rule,
            lambda padding, rule: ~padding[:, None, None, :] if rule is None else ~padding[:, None, None, :] & ~rule,
            lambda padding, rule: ~rule if padding is None else ~padding[:, None, None, :] & ~rule,
            _ones_for_none,
        ),
        misconception(
            "attn_mask transposed",
            "Rows ask, columns are asked, for SDPA as for the module: `attn_mask` keeps its axes.",
            _turned(ruled=lambda mask: ~mask.T),
        ),
    ),
)


# --- cached_causal_attention ------------------------------------------------------------------------------------------


def cached_causal_attention(
    query: Float[Tensor, "batch heads query dim"],
    key: Float[Tensor, "batch heads key dim"],
    value: Float[Tensor, "batch heads key dim"],
) -> Float[Tensor, "batch heads query dim"]:
    """True = may attend is yours to make: causal attention of the newest L positions over all S keys of a cache.

        L = 2, S = 5      I  like  green  tea   .              L = 1       ■ ■ ■ ■ ■
                   tea    ■   ■      ■     ■    ⬚              L = S       the triangle
                   .      ■   ■      ■     ■    ■              ■ may attend

    Args:
        query: the last positions, L of them.
        key, value: all positions up to the last one, S of them, those of the queries included; L ≤ S.

    Returns:
        The output, of the dtype of `query`: what a pass over the whole text gives at its last L positions. Scores are
        divided by √dim; `F.scaled_dot_product_attention` may do the work.
    """
    past = key.shape[2] - query.shape[2]
    return _attention(query, key, value, lambda b, h, q, k: k <= past + q)


def _cached_cases(rng: torch.Generator) -> list[Case]:
    query, key = integer(rng, 2, 4), integer(rng, 6, 7)

    def case(about: str, *sizes: int, dim: int = 4, dtype: torch.dtype = torch.float32) -> Case:
        return Case(about, _inputs(rng, sizes, dim, dtype), tolerance=ROUNDING[dtype])  # type: ignore[arg-type]

    return [
        Case("two new words over four keys", _sentence(2, 4, first=2)),
        Case("one new word over four keys", _sentence(1, 4, first=3)),
        Case("the whole sentence", _sentence()),
        Case("three new words over four keys", _sentence(3, 4, first=1)),
        case("a chunk of a drawn length", 2, 3, query, key),
        case("one query over one cached key and its own", 2, 3, 1, 2),
        case("one query", 2, 3, 1, key),
        case("no cache", 2, 3, key, key),
        case("all but one position are new", 2, 3, key - 1, key),
        case("a single word, no cache", 2, 3, 1, 1),
        case("as many sentences as heads and queries", 3, 3, 3, 5),
        case("one sentence, one head of one number", 1, 1, 2, 4, dim=1),
        *(case(f"a chunk in {str(dtype)[6:]}", 2, 2, 2, 4, dtype=dtype) for dtype in HALVES),
    ]


def _cached_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", _inputs(rng, (2, 3, 3, 5))), Case("large", _inputs(rng, (3, 5, 6, 9)))


def _diagonal(place: Callable[[int, int], int], number: float | None = -math.inf) -> Callable[..., Any]:
    """Attention under the triangle with that diagonal."""

    def answer(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query_length, key_length = query.shape[2], key.shape[2]
        return _attend(query, key, value, _triangle(query_length, key_length, place(query_length, key_length)), number)

    return answer


def _except(usual: Callable[..., Any], when: Callable[[int, int], bool]) -> Callable[..., Any]:
    """The right answer, except ``when`` it is the usual wrong one."""

    def answer(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        wrong = when(query.shape[2], key.shape[2])
        return (usual if wrong else _diagonal(lambda new, all_keys: all_keys - new))(query, key, value)

    return answer


_TOP_LEFT = _diagonal(lambda new, all_keys: 0)


CACHED_CAUSAL_ATTENTION = Spec(
    topic="sdpa",
    oracle=cached_causal_attention,
    points=2,
    cases=_cached_cases,
    sizes=_cached_sizes,
    properties=(*ALWAYS, gradients(0, 1, 2)),
    misconceptions=(
        misconception(
            "`is_causal=True` with a cache",
            "`is_causal` counts from the first key, so the newest words see only the oldest: shift the triangle by S − L.",
            _TOP_LEFT,
        ),
        misconception(
            "only the single query cured",
            "One query needs no mask, true; but a chunk of several under `is_causal=True` still counts from the first key.",
            _except(_TOP_LEFT, lambda new, all_keys: new > 1),
        ),
        misconception(
            "a chunk sees its own future",
            "A single query may see every key; of several, all but the last would see words that come after them.",
            _diagonal(lambda new, all_keys: all_keys),
            _except(_diagonal(lambda new, all_keys: all_keys), lambda new, all_keys: new < all_keys),
        ),
        misconception(
            "one key too many",
            "Each position sees one key after itself: the last query, and only that one, sees the last key.",
            _diagonal(lambda new, all_keys: all_keys - new + 1),
        ),
        misconception(
            "itself left out",
            "Each position sees its own key, too: the last query sees all S keys.",
            *(_diagonal(lambda new, all_keys: all_keys - new - 1, number) for number in (-math.inf, None)),
            lambda query, key, value: F.scaled_dot_product_attention(
                query, key, value, _triangle(query.shape[2], key.shape[2], key.shape[2] - query.shape[2] - 1)
            ),
        ),
        misconception(
            "the cache dropped",
            "The new words see only each other here: every one of the S − L keys before them is allowed, too.",
            lambda query, key, value: _TOP_LEFT(
                query, key[:, :, key.shape[2] - query.shape[2] :], value[:, :, key.shape[2] - query.shape[2] :]
            ),
        ),
        misconception(
            "the wrong way round",
            "The difference S − L moves the triangle to the right, `tril(diagonal=S - L)`; its opposite hides every key.",
            *(_diagonal(lambda new, all_keys: new - all_keys, number) for number in (-math.inf, None)),
            lambda query, key, value: F.scaled_dot_product_attention(
                query, key, value, _triangle(query.shape[2], key.shape[2], query.shape[2] - key.shape[2])
            ),
        ),
        misconception(
            "inverted",
            "For SDPA True means may attend: this mask is the one `nn.MultiheadAttention` would want.",
            *(
                lambda query, key, value, form=form: form(
                    query, key, value, ~_triangle(query.shape[2], key.shape[2], key.shape[2] - query.shape[2])
                )
                for form in (
                    F.scaled_dot_product_attention,
                    _attend,
                    _attend_lowest,
                )
            ),
        ),
        misconception(
            "upper triangle",
            "`triu` lets each word see itself and what comes after it: the lower triangle is wanted, `tril`.",
            lambda query, key, value: _attend(
                query,
                key,
                value,
                torch.ones(query.shape[2], key.shape[2]).triu(key.shape[2] - query.shape[2]).bool(),
            ),
        ),
        misconception(
            "triangle added as 0 and 1",
            "A float mask is added, and 1 is only a nudge: give SDPA a bool mask, or 0 and −∞.",
            lambda query, key, value: F.scaled_dot_product_attention(
                query,
                key,
                value,
                _triangle(query.shape[2], key.shape[2], key.shape[2] - query.shape[2]).to(query.dtype),
            ),
        ),
        misconception(
            "another scale",
            "The products of query and key are divided by √dim, as SDPA does it by itself.",
            *(
                lambda query, key, value, power=power: _diagonal(lambda new, all_keys: all_keys - new)(
                    query * query.shape[-1] ** power, key, value
                )
                for power in (0.5, -0.5)
            ),
        ),
    ),
)


# --- choose_sdpa_arguments --------------------------------------------------------------------------------------------


def choose_sdpa_arguments(
    attention_mask: Int[Tensor, "batch key"] | None, query_length: int, key_length: int
) -> tuple[torch.Tensor | None, bool]:
    """1 = real token, 0 = padding goes in; what SDPA gets as `attn_mask` (True = may attend) and `is_causal` comes out.

        causal attention of the last `query_length` of `key_length` positions:

        no padding, 4 queries, 4 keys     →   None, True           the fastest way
        no padding, 1 query,   4 keys     →   None, False          the newest word may see all
        no padding, 2 queries, 4 keys     →   ■ ■ ■ ⬚  , False     is_causal counts from the first key
                                              ■ ■ ■ ■
        padding, however many queries     →   a mask per sentence, False

    Args:
        attention_mask: 1 = real token, 0 = padding, for all keys; `None` if nothing is padding.
        query_length: how many queries, the newest positions, at least 1.
        key_length: how many keys, those of a cache included, at least `query_length`.

    Returns:
        The mask, broadcastable to `[batch, heads, query, key]` for any number of heads, or `None`; and `is_causal`, a
        bool, never True beside a mask. `None` exactly when no key is padding and the query length is 1 or the key length.
        What the mask says of a row that may attend to nothing is free.
    """
    real = None if attention_mask is None else attention_mask.tolist()
    if real is None or all(word == 1 for sentence in real for word in sentence):
        if query_length == key_length:
            return None, True
        if query_length == 1:
            return None, False
    past = key_length - query_length
    batch = 1 if real is None else len(real)
    device = torch.get_default_device() if attention_mask is None else attention_mask.device

    def may(b: int, _: int, q: int, k: int) -> bool:
        return k <= past + q and (real is None or real[b][k] == 1)

    return fill((batch, 1, query_length, key_length), may, torch.bool, device), False


def _choose_cases(rng: torch.Generator) -> list[Case]:
    query, key = integer(rng, 2, 3), integer(rng, 5, 6)

    def padded(batch: int, keys: int, side: str = "left") -> Tensor:
        return attention_mask(lengths(rng, batch, keys), keys, side)

    def ones(batch: int, keys: int) -> Tensor:
        return torch.ones(batch, keys, dtype=torch.long)

    first = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]])
    middle = torch.tensor([[1, 0, 1, 1, 1], [1, 1, 1, 0, 1]])
    return [
        Case("the two sentences of the course", (first, 4, 4)),
        Case("no padding, the whole sentence", (ones(2, 4), 4, 4)),
        Case("no padding, one query and a cache", (ones(2, 4), 1, 4)),
        Case("no padding, two queries and a cache", (ones(2, 4), 2, 4)),
        Case("padding on the left, one query and a cache", (first.flip(1), 1, 4)),
        Case("padding on the left, two queries and a cache", (first.flip(1), 2, 4)),
        Case("padding in the last sentence only", (first.flip(0), 4, 4)),
        Case("None, the whole sentence", (None, 4, 4)),
        Case("None, one query and a cache", (None, 1, 4)),
        Case("None, two queries and a cache", (None, 2, 4)),
        Case("padding on the left, the whole sentence", (padded(3, key), key, key)),
        Case("padding on the right, a chunk of a drawn length", (padded(3, key, "right"), query, key)),
        Case("padding on the left, all but one position are new", (padded(2, key), key - 1, key)),
        Case("no padding, all but one position are new", (ones(3, key), key - 1, key)),
        Case("as many sentences as queries", (padded(2, 5), 2, 5)),
        Case("as many sentences as queries and keys", (padded(4, 4, "right"), 4, 4)),
        Case("padding in the middle, one query", (middle, 1, 5)),
        Case("padding in the middle, a chunk", (middle, 3, 5)),
        Case("an empty sentence beside a full one", (attention_mask([0, 4], 4), 4, 4)),
        Case("one word, no padding", (ones(2, 1), 1, 1)),
        Case("one position, padding in one sentence", (torch.tensor([[0], [1]]), 1, 1)),
        Case("one sentence, padding on the left", (padded(1, 4), 4, 4)),
    ]


def _choose_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    return Case("small", (attention_mask([3, 5], 5, "left"), 2, 5)), Case(
        "large", (attention_mask([3, 9, 5], 9, "left"), 4, 9)
    )


def _given_to_sdpa(case: Case, returned: Any) -> dict[str, Any]:
    """What SDPA gives with the two returned values on rows that have an allowed key, and whether there is a mask.

    Several masks are right: bool or float, of two axes or four, with any content where a row may attend to nothing.
    """
    mask_of_words, query_length, key_length = case.arguments
    if not isinstance(returned, tuple) or len(returned) != 2:
        size = f" of {len(returned)}" if isinstance(returned, tuple) else ""
        return _told("no two values", f"nothing: a tuple of 2 is wanted, not {type(returned).__name__}{size}")
    attn_mask, is_causal = returned
    mask = "no mask" if attn_mask is None else "a mask"
    if attn_mask is not None and is_causal is True:
        return _told(mask, "nothing: beside a mask, is_causal=True is refused")
    real = torch.ones(2, key_length, dtype=torch.bool) if mask_of_words is None else mask_of_words == 1
    query, key, value = _loud_where_padded(real, query_length)
    try:
        output = F.scaled_dot_product_attention(query, key, value, attn_mask, 0.0, is_causal)
    except Exception as error:  # a mask of another shape or kind, a number for a bool: SDPA says what is wrong
        return _told(mask, f"nothing: {type(error).__name__}, {str(error).splitlines()[0][:200]}")
    allowed = real[:, None, None, :] & _triangle(query_length, key_length, key_length - query_length)
    return _told(mask, torch.where(allowed.any(-1, keepdim=True), output, 0.0))


def _told(mask: str, gives: Tensor | str) -> dict[str, Any]:
    return {"attn_mask": mask, "what SDPA gives": gives}


def _loud_where_padded(real: Tensor, query_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs in which the padding's scores lead by far, with a number of heads that is not the number of sentences."""
    batch, key_length = real.shape
    rng = torch.Generator().manual_seed(0)
    query, key, value = _inputs(rng, (batch, 3 if batch != 3 else 2, query_length, key_length))
    query[..., 0] = 100.0
    key[..., 0] = torch.where(real, 0.0, 6000.0)[:, None, :]
    return query, key, value


def _unpadded(mask: Tensor | None) -> bool:
    return mask is None or bool((mask == 1).all())


def _right_mask(
    mask: Tensor | None,
    query_length: int,
    key_length: int,
    diagonal: Callable[[int, int], int] = lambda new, all_keys: all_keys - new,
    padding: Callable[[Tensor], Tensor] = lambda mask: mask.bool()[:, None, None, :],
) -> Tensor:
    ruled = _triangle(query_length, key_length, diagonal(query_length, key_length))
    return ruled if mask is None else ruled & padding(mask)


def _may_go(mask: Tensor | None, query_length: int, key_length: int) -> bool:
    return _unpadded(mask) and query_length in (1, key_length)


def _chosen(
    without_mask: Callable[[Tensor | None, int, int], bool] = _may_go,
    causal: Callable[[int, int], bool] = lambda new, all_keys: new == all_keys,
    build: Callable[..., Any] = _right_mask,
    beside: Callable[[int, int], Any] = lambda new, all_keys: False,
) -> Callable[..., Any]:
    """The choice with the parts that go wrong as arguments: when `None`, `is_causal` then, which mask, `is_causal` beside it."""

    def answer(mask: Tensor | None, query_length: int, key_length: int) -> Any:
        if without_mask(mask, query_length, key_length):
            return None, causal(query_length, key_length)
        return build(mask, query_length, key_length), beside(query_length, key_length)

    return answer


def _with_padding(place: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda mask, new, all_keys: _right_mask(mask, new, all_keys, padding=place)


def _with_diagonal(place: Callable[[int, int], int]) -> Callable[..., Tensor]:
    return lambda mask, new, all_keys: _right_mask(mask, new, all_keys, diagonal=place)


def _as(kind: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    return lambda mask, new, all_keys: kind(_right_mask(mask, new, all_keys))


def _when_padded(build: Callable[..., Any]) -> Callable[..., Any]:
    """Goes wrong only where something is padding."""
    return lambda mask, new, all_keys: (_right_mask if _unpadded(mask) else build)(mask, new, all_keys)


def _looking(look: Callable[[Any], Any]) -> Callable[..., Any]:
    """Looks into the mask without asking whether it is there."""

    def answer(mask: Any, query_length: int, key_length: int) -> Any:
        look(mask)
        return _chosen()(mask, query_length, key_length)

    return answer


CHOOSE_SDPA_ARGUMENTS = Spec(
    topic="sdpa",
    oracle=choose_sdpa_arguments,
    points=3,
    cases=_choose_cases,
    sizes=_choose_sizes,
    observe=_given_to_sdpa,
    misconceptions=(
        misconception(
            "`is_causal` with a cache",
            "`is_causal` counts from the first key: with fewer queries than keys it hides the newest. Build the mask then.",
            _chosen(lambda mask, new, all_keys: _unpadded(mask), lambda new, all_keys: True),
            _chosen(causal=lambda new, all_keys: True),
            _chosen(lambda mask, new, all_keys: _unpadded(mask), lambda new, all_keys: new > 1),
        ),
        misconception(
            "mask dropped under padding",
            "A single `None` is only right when no key is padding: look into `attention_mask` before you leave the mask out.",
            _chosen(lambda mask, new, all_keys: new in (1, all_keys)),
            _chosen(lambda mask, new, all_keys: new == 1 or (_unpadded(mask) and new == all_keys)),
            _chosen(lambda mask, new, all_keys: new == all_keys or (_unpadded(mask) and new == 1)),
            _chosen(lambda mask, new, all_keys: True),
            _chosen(lambda mask, new, all_keys: True, lambda new, all_keys: True),
            _chosen(lambda mask, new, all_keys: True, lambda new, all_keys: new > 1),
            _chosen(build=lambda mask, new, all_keys: _right_mask(None, new, all_keys)),
        ),
        misconception(
            "mask always built",
            "The outputs are right, but the mask is not needed: without padding, one query or L = S do without, and faster.",
            _chosen(lambda mask, new, all_keys: False),
            _chosen(lambda mask, new, all_keys: mask is None and new in (1, all_keys)),
            _chosen(lambda mask, new, all_keys: _unpadded(mask) and new == all_keys),
            _chosen(lambda mask, new, all_keys: _unpadded(mask) and new == 1),
        ),
        misconception(
            "a chunk without a mask",
            "Of several new queries over a cache, all but the last would see their own future: they need the mask.",
            _chosen(lambda mask, new, all_keys: _unpadded(mask)),
            _chosen(lambda mask, new, all_keys: _unpadded(mask), lambda new, all_keys: False),
        ),
        misconception(
            "nothing is causal",
            "With as many queries as keys and no mask, `is_causal` has to be True, or every word sees its future.",
            _chosen(causal=lambda new, all_keys: False),
        ),
        misconception(
            "padding without the triangle",
            "The mask hides the padding and nothing else: with several queries the future has to be hidden, too.",
            _chosen(build=_when_padded(lambda mask, new, all_keys: mask.bool()[:, None, None, :])),
            _chosen(build=_with_diagonal(lambda new, all_keys: all_keys)),
        ),
        misconception(
            "both at once",
            "`is_causal=True` beside a mask is refused by some kernels and obeyed by others: the mask has to say it all.",
            _chosen(beside=lambda new, all_keys: True),
            _chosen(beside=lambda new, all_keys: new == all_keys),
            _chosen(beside=lambda new, all_keys: new > 1),
            _chosen(
                build=_when_padded(lambda mask, new, all_keys: mask.bool()[:, None, None, :]),
                beside=lambda new, all_keys: new == all_keys,
            ),
        ),
        misconception(
            "triangle at the top left",
            "The newest query sees every key: shift the triangle, `tril(diagonal=key_length - query_length)`.",
            _chosen(build=_with_diagonal(lambda new, all_keys: 0)),
        ),
        misconception(
            "inverted",
            "For SDPA True means may attend: this mask, or one half of it, says what to ignore.",
            _chosen(build=_as(torch.logical_not)),
            _chosen(build=_with_padding(lambda mask: ~mask.bool()[:, None, None, :])),
            _chosen(build=_as(lambda allowed: _additive(~allowed, -math.inf))),
        ),
        misconception(
            "padding on too few axes",
            "SDPA broadcasts from the right: `(B, S)` lands on queries, `(B, 1, S)` on heads. Use `[:, None, None, :]`.",
            *(
                _chosen(build=_with_padding(lambda mask, places=places: mask.bool()[places]))  # type: ignore[misc]
                for places in ((slice(None), None), slice(None), (slice(None), slice(None), None))
            ),
        ),
        misconception(
            "query rows masked",
            "The padding is not to be looked at: it belongs on the key axis, the last one, and rows stay as they are.",
            *(
                _chosen(build=_with_padding(place))
                for place in (
                    lambda mask: mask.bool()[:, None, :, None],
                    lambda mask: mask.bool()[:, None, :, None] & mask.bool()[:, None, None, :],
                )
            ),
        ),
        misconception(
            "0 and 1 as a mask",
            "Whole numbers are refused, and 0.0 and 1.0 are added, which hides nothing: give SDPA a bool mask.",
            _chosen(build=_as(torch.Tensor.long)),
            _chosen(build=_as(torch.Tensor.int)),
            _chosen(build=_as(torch.Tensor.float)),
        ),
        misconception(
            "judged by one sentence",
            "Padding may stand in any sentence: ask whether *all* tokens of the batch are real.",
            _chosen(lambda mask, new, all_keys: _may_go(None if mask is None else mask[:1], new, all_keys)),
            _chosen(lambda mask, new, all_keys: _may_go(None if mask is None else mask[:, -1:], new, all_keys)),
            _chosen(lambda mask, new, all_keys: _may_go(None if mask is None else mask[:, :1], new, all_keys)),
        ),
        misconception(
            "None not handled",
            "`attention_mask` may be `None`: then nothing is padding, and a chunk over a cache still needs its triangle.",
            *(
                _looking(look)
                for look in (
                    lambda mask: mask.all(),
                    lambda mask: (mask == 1).all(),
                    lambda mask: (mask == 0).any(),
                    lambda mask: mask.bool(),
                    lambda mask: mask.min(),
                    lambda mask: mask.sum(),
                    lambda mask: mask.shape,
                    lambda mask: mask[:, None, None, :],
                )
            ),
            _chosen(lambda mask, new, all_keys: mask is None or _may_go(mask, new, all_keys)),
            _chosen(
                lambda mask, new, all_keys: mask is None or _may_go(mask, new, all_keys), lambda new, all_keys: new > 1
            ),
        ),
        misconception(
            "swapped",
            "The mask comes first and `is_causal` second.",
            lambda mask, new, all_keys: _chosen()(mask, new, all_keys)[::-1],
        ),
    ),
)


# --- combine_additive -------------------------------------------------------------------------------------------------


def combine_additive(first: Float[Tensor, "*#axes"], second: Float[Tensor, "*#axes"]) -> Float[Tensor, "*axes"]:
    """0 = keep, the lowest number = ignore: two additive masks, or biases, as one that never falls below `finfo.min`.

        first      0.0   −2.0    min    min   −inf
        second     1.0    min    0.0    min    0.0
                   1.0    min    min    min    min          min = torch.finfo(dtype).min, the lowest finite number

    Args:
        first, second: of one floating dtype, broadcastable to each other; 0, a bias of either sign, the lowest number of
            the dtype, or −∞.

    Returns:
        Their sum, held at the lowest number of the dtype, in that dtype: no −∞ and no NaN.
    """
    lowest = torch.finfo(first.dtype).min
    one, other = torch.broadcast_tensors(first, second)
    cells = []
    for place in every_index(one.shape):
        total = wide(one[place]) + wide(other[place])
        cells.append(total if float(total.detach()) > lowest else torch.full_like(total, lowest))
    return torch.stack(cells).to(first.dtype).reshape(one.shape) if cells else first.new_zeros(one.shape)


def _additive_drawn(rng: torch.Generator, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Draw an additive mask: biases of both signs, 0, the lowest number, and −∞, in any cell."""
    kind = torch.randint(0, 4, shape, generator=rng)
    biases = (normal(rng, *shape) * 3).clamp(-8, 8).to(dtype)
    biases = torch.where(kind == 0, 0.0, biases)
    return biases.masked_fill(kind == 2, lowest_number(dtype)).masked_fill(kind == 3, -math.inf)


def _combine_cases(rng: torch.Generator) -> list[Case]:
    def lowest(words: list[list[int]], dtype: torch.dtype = torch.float32) -> Tensor:
        return _additive(torch.tensor(words).bool(), lowest_number(dtype), dtype)

    def drawn(about: str, one: tuple[int, ...], other: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Case:
        return Case(about, (_additive_drawn(rng, *one, dtype=dtype), _additive_drawn(rng, *other, dtype=dtype)))

    low, inf = lowest_number(torch.float32), math.inf
    padding = lowest([[1, 1, 1, 0], [1, 1, 1, 1]])[:, None, None, :]
    triangle = _additive(_triangle(4, 4), low)
    position = torch.arange(4)
    distance = (position - position[:, None]).clamp(max=0)
    alibi = torch.tensor([0.5, 0.25, 0.125])[:, None, None] * distance
    half = lowest_number(torch.float16)
    return [
        Case(
            "every pair of cells",
            (
                torch.tensor([0.0, -2, low, low, -inf, -inf, 3, -1.5]),
                torch.tensor([1.0, low, 0, low, 0, -inf, -1, 1.5]),
            ),
        ),
        Case("padding and the triangle", (padding, triangle)),
        Case("the triangle and padding", (triangle, padding)),
        Case("a bias by distance and padding", (alibi, padding)),
        Case(
            "positive biases and both kinds of hiding",
            (torch.tensor([[3.0, 5, 2, 4], [1, 0, -inf, 7]]), torch.tensor([[2.0, low, -inf, -1], [0, 2, 1, -inf]])),
        ),
        Case("−∞ in both", (_additive(_triangle(3, 3), -inf), _additive(_triangle(3, 3), -inf))),
        Case(
            "two strong biases whose sum falls below",
            (torch.tensor([low * 0.75, -1e30]), torch.tensor([low / 2, -1e30])),
        ),
        Case(
            "float16: −100 upon the lowest number",
            (
                torch.tensor([-100.0, -2, 0, 4], dtype=torch.float16),
                torch.tensor([half, half, -inf, 1.5], dtype=torch.float16),
            ),
        ),
        Case(
            "float16: two biases that add up beyond it",
            (
                torch.tensor([-40000.0, -20000, 6], dtype=torch.float16),
                torch.tensor([-40000.0, -20000, 5], dtype=torch.float16),
            ),
        ),
        drawn("a drawn bias per head and a mask per sentence", (1, 3, 4, 5), (2, 1, 1, 5)),
        drawn("of one shape", (2, 1, 3, 4), (2, 1, 3, 4)),
        drawn("as many sentences as queries and keys", (3, 1, 3, 3), (3, 3)),
        drawn("a single cell", (1,), (1,)),
        drawn("nothing", (0,), (0,)),
        *(drawn(f"in {str(dtype)[6:]}", (2, 1, 1, 6), (2, 1, 4, 6), dtype) for dtype in HALVES),
        Case("biases only", (normal(rng, 3, 4), normal(rng, 3, 4))),
    ]


def _combine_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (_additive_drawn(rng, 2, 1, 1, 5), _additive_drawn(rng, 1, 3, 4, 5))
    large = (_additive_drawn(rng, 3, 1, 1, 9), _additive_drawn(rng, 1, 5, 7, 9))
    return Case("small", small), Case("large", large)


def _hides(mask: Tensor) -> Tensor:
    return mask <= lowest_number(mask.dtype) / 2


def _either_hides(first: Tensor, second: Tensor) -> Tensor:
    return _hides(first) | _hides(second)


def _held(mask: Tensor) -> Tensor:
    return mask.clamp(min=lowest_number(mask.dtype))


def _in_place(first: Tensor, second: Tensor) -> Tensor:
    """Writes into its first argument where the shapes allow it."""
    if first.shape != torch.broadcast_shapes(first.shape, second.shape):
        return _held(first + second)
    first += second
    return first.clamp_(min=lowest_number(first.dtype))


COMBINE_ADDITIVE = Spec(
    topic="sdpa",
    oracle=combine_additive,
    points=2,
    cases=_combine_cases,
    sizes=_combine_sizes,
    reading="additive",
    misconceptions=(
        misconception(
            "plain sum",
            "The lowest number twice is −∞, and a row of −∞ is NaN after the softmax: hold the sum at `finfo.min`.",
            lambda first, second: first + second,
        ),
        misconception(
            "minimum of the two",
            "The smaller of the two hides what it should, but a bias beside another is lost: biases add up.",
            torch.minimum,
            lambda first, second: _held(torch.minimum(first, second)),
            lambda first, second: torch.where(first < second, first, second.expand_as(torch.minimum(first, second))),
        ),
        misconception(
            "held before the sum only",
            "Each of the two is finite now, and their sum is −∞ again: hold the sum itself.",
            lambda first, second: _held(first) + _held(second),
        ),
        misconception(
            "−∞ let through",
            "An −∞ that comes in has to become `finfo.min`, too, not only one that the sum makes.",
            lambda first, second: torch.where(first.isinf() | second.isinf(), -math.inf, _held(first + second)),
            lambda first, second: torch.where(
                _either_hides(first, second), torch.minimum(first, second), first + second
            ),
        ),
        misconception(
            "biases lost",
            "Only what is hidden has survived: the biases, positive and negative, belong into the result.",
            lambda first, second: _additive(~_either_hides(first, second), lowest_number(first.dtype), first.dtype),
            lambda first, second: _additive(~((first < 0) | (second < 0)), lowest_number(first.dtype), first.dtype),
        ),
        misconception(
            "positive biases lost",
            "A bias may lift a score as well as lower it: the sum has a floor and no ceiling.",
            lambda first, second: (first + second).clamp(min=lowest_number(first.dtype), max=0),
            lambda first, second: _held(first.clamp(max=0) + second.clamp(max=0)),
        ),
        misconception(
            "a fixed floor",
            "The floor is the lowest number of this very dtype, `torch.finfo(first.dtype).min`; −1e9 is none of them.",
            *(
                lambda first, second, floor=floor: (first + second).clamp(min=floor)
                for floor in (-1e9, -1e4, -65504.0, lowest_number(torch.float32))
            ),
        ),
        misconception(
            "NaN",
            "−∞ + ∞, 0 × −∞ and the like are NaN: hold the plain sum at `finfo.min`, with `clamp` or `maximum`.",
            lambda first, second: (
                first + second - (first + second).clamp(max=lowest_number(first.dtype)) + lowest_number(first.dtype)
            ),
            lambda first, second: torch.where(
                (first + second).isinf(), (first + second) * 0 + lowest_number(first.dtype), first + second
            ),
        ),
        misconception(
            "maximum of the two",
            "The larger of the two lets a key be seen that only one mask hides: one reason to hide it is enough.",
            torch.maximum,
            lambda first, second: _held(torch.maximum(first, second)),
        ),
        misconception(
            "mean or product",
            "Additive masks are added: their mean halves every bias, their product turns 0 and `finfo.min` into 0.",
            lambda first, second: first / 2 + second / 2,
            lambda first, second: _held(first / 2 + second / 2),
            lambda first, second: _held((first + second) / 2),
            lambda first, second: first * second,
            lambda first, second: _held(first * second),
        ),
        misconception(
            "another dtype",
            "Summed in a wider format and not brought back: the result has the dtype of the two, held at its lowest number.",
            *(
                lambda first, second, dtype=dtype, floor=floor: (first.to(dtype) + second.to(dtype)).clamp(
                    min=floor(first.dtype, dtype)
                )
                for dtype in (torch.float32, torch.float64)
                for floor in (lambda narrow, wider: lowest_number(narrow), lambda narrow, wider: lowest_number(wider))
            ),
            lambda first, second: (
                (first.float() + second.float()).clamp(min=lowest_number(torch.float32)).to(first.dtype)
            ),
            lambda first, second: (
                (first.double() + second.double()).clamp(min=lowest_number(torch.float32)).to(first.dtype)
            ),
            lambda first, second: _either_hides(first, second),
            lambda first, second: ~_either_hides(first, second),
        ),
        misconception(
            "added in place",
            "The sum is right, but it was written into the caller's mask: `+`, not `+=` or `add_`.",
            _in_place,
        ),
    ),
)


# --- grouped_query_attention ------------------------------------------------------------------------------------------


def grouped_query_attention(
    query: Float[Tensor, "batch query_heads query dim"],
    key: Float[Tensor, "batch key_heads key dim"],
    value: Float[Tensor, "batch key_heads key dim"],
    allowed: Bool[Tensor, "*#axes"],
) -> Float[Tensor, "batch query_heads query dim"]:
    """True = may attend: attention in which several query heads share one head of keys and values.

        6 query heads         0  1  2     3  4  5
        2 key heads           └─ 0 ─┘     └─ 1 ─┘          neighbours share: query head h asks key head h // 3

    Args:
        query: the queries of all query heads.
        key, value: with fewer heads, of which each serves as many query heads in a row as the others.
        allowed: bool, broadcastable to `[batch, query_heads, query, key]`; every row has an allowed key here.

    Returns:
        The output, of the dtype of `query`. Scores are divided by √dim; `F.scaled_dot_product_attention` may do the work.

    Raises:
        ValueError: the number of query heads is no multiple of that of key heads.

    Source: Ainslie et al., "GQA: Training Generalized Multi-Query Transformer Models" (2023).
    """
    query_heads, key_heads = query.shape[1], key.shape[1]
    if query_heads % key_heads != 0:
        raise ValueError(f"query has {query_heads} heads; it must be a multiple of the {key_heads} heads of key")
    shared_by = query_heads // key_heads
    seen = torch.broadcast_to(allowed, _score_shape(query, key)).tolist()
    return _attention(query, key, value, lambda b, h, q, k: seen[b][h][q][k], key_head=lambda h: h // shared_by)


def _grouped_cases(rng: torch.Generator) -> list[Case]:
    query, key = integer(rng, 3, 4), integer(rng, 5, 6)
    same = _unchanging()

    def case(
        about: str,
        heads: tuple[int, int],
        allowed: tuple[int, ...],
        batch: int = 2,
        lengths: tuple[int, int] = (query, key),
        dtype: torch.dtype = torch.float32,
        rng: torch.Generator = rng,
    ) -> Case:
        inputs = _inputs(rng, (batch, heads[0], *lengths), dtype=dtype, key_heads=heads[1])
        return Case(about, (*inputs, _allowed(rng, *allowed)), tolerance=ROUNDING[dtype])

    asked, keys, values = _sentence()
    first = (
        asked.expand(1, 4, 4, 4).clone(),
        torch.cat([keys, keys * 2], 1),
        torch.cat([values, values * 3], 1),
        WORDS,
    )
    hidden = torch.tensor([[False, False, True, True], [False, True, False, False]])
    far_query, far_key, far_value = _far(hidden)
    return [
        Case("the first sentence of the course, four heads over two", first),
        case("six query heads over two", (6, 2), (3, 5), lengths=(3, 5), rng=same),
        case("six query heads over three", (6, 3), (2, 1, 1, key)),
        case("a mask per query head", (4, 2), (2, 4, query, key)),
        case("a mask per sentence and query", (4, 2), (2, 1, query, key)),
        case("one key head for all", (3, 1), (1, 3, query, key)),
        case("as many key heads as query heads", (3, 3), (query, key)),
        case("as many sentences as key heads", (4, 2), (2, 1, 2, 2), lengths=(2, 2)),
        case("as many sentences as query heads", (4, 2), (4, 1, 1, key), batch=4),
        case("one query", (4, 2), (2, 1, 1, key), lengths=(1, key)),
        case("one key", (4, 2), (1, 1), lengths=(3, 1)),
        Case(
            "hidden keys that lead by far",
            (far_query.repeat(1, 2, 1, 1), far_key, far_value, ~hidden[:, None, None, :]),
        ),
        case("three query heads over two", (3, 2), (3, 5), lengths=(3, 5), rng=same),
        case("four query heads over three", (4, 3), (3, 5), lengths=(3, 5), rng=same),
        case("two query heads over four", (2, 4), (3, 5), lengths=(3, 5), rng=same),
        *(
            case(f"in {str(dtype)[6:]}", (4, 2), (2, 1, 3, 4), lengths=(3, 4), dtype=dtype, rng=same)
            for dtype in HALVES
        ),
    ]


def _grouped_sizes(rng: torch.Generator) -> tuple[Case, Case]:
    small = (*_inputs(rng, (2, 4, 3, 5), key_heads=2), _allowed(rng, 2, 1, 3, 5))
    large = (*_inputs(rng, (3, 9, 6, 9), key_heads=3), _allowed(rng, 3, 1, 6, 9))
    return Case("small", small), Case("large", large)


def _neighbours(heads: Tensor, query_heads: int) -> Tensor:
    return heads.repeat_interleave(query_heads // heads.shape[1], 1)


def _in_turn(heads: Tensor, query_heads: int) -> Tensor:
    return heads.repeat(1, query_heads // heads.shape[1], 1, 1)


def _checked(query_heads: int, key_heads: int) -> None:
    if query_heads % key_heads:
        raise ValueError("query heads")


def _asserted(query_heads: int, key_heads: int) -> None:
    if query_heads % key_heads:
        raise AssertionError


def _unchecked(query_heads: int, key_heads: int) -> None:
    pass


def _grouped(
    *,
    check: Callable[[int, int], None] = _checked,
    keys: Callable[[Tensor, int], Tensor] = _neighbours,
    values: Callable[[Tensor, int], Tensor] | None = None,
    attend: Callable[..., Any] = _attend,
    returned: Callable[[Tensor, int], Any] = lambda output, key_heads: output,
) -> Callable[..., Any]:
    """Grouped attention with the parts that go wrong as arguments."""

    def answer(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Any:
        query_heads, key_heads = query.shape[1], key.shape[1]
        check(query_heads, key_heads)
        spread = keys(key, query_heads), (values or keys)(value, query_heads)
        return returned(attend(query, *spread, allowed), key_heads)

    return answer


def _picked(which: Callable[[Tensor, int, int], Tensor]) -> Callable[[Tensor, int], Tensor]:
    """Spreads heads by an index of which key head each query head asks."""
    return lambda heads, query_heads: heads[:, which(torch.arange(query_heads), query_heads, heads.shape[1])]


def _viewed_in_turn(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Any:
    """Cuts the query heads into [group, key head] for [key head, group]; broadcasting does the rest."""
    batch, query_heads, query_length, dim = query.shape
    key_heads = key.shape[1]
    _checked(query_heads, key_heads)
    cut = query.view(batch, query_heads // key_heads, key_heads, query_length, dim)
    scores = _scores(cut, key[:, None]).flatten(1, 2).masked_fill(~allowed, -math.inf)
    return (scores.softmax(-1).view(batch, -1, key_heads, query_length, key.shape[2]) @ value[:, None]).flatten(1, 2)


def _averaged_queries(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Any:
    query_heads, key_heads = query.shape[1], key.shape[1]
    _checked(query_heads, key_heads)
    merged = query.unflatten(1, (key_heads, -1)).mean(2)
    merged, key, value = (_neighbours(heads, query_heads) for heads in (merged, key, value))
    return _attend(merged, key, value, allowed)


def _built_in(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor) -> Any:
    return F.scaled_dot_product_attention(query, key, value, allowed, enable_gqa=True)


GROUPED_QUERY_ATTENTION = Spec(
    topic="sdpa",
    oracle=grouped_query_attention,
    points=2,
    practice=True,
    cases=_grouped_cases,
    sizes=_grouped_sizes,
    properties=(*ALWAYS, gradients(0, 1, 2)),
    misconceptions=(
        misconception(
            "repeat for repeat_interleave",
            "`repeat` gives the key heads 0 1 0 1; neighbouring query heads share one: 0 0 1 1, `repeat_interleave`.",
            _grouped(keys=_in_turn),
            _grouped(keys=_in_turn, check=_unchecked),
            _grouped(keys=_picked(lambda h, query_heads, key_heads: h % key_heads)),
            _grouped(keys=_picked(lambda h, query_heads, key_heads: h % key_heads), check=_unchecked),
            _viewed_in_turn,
        ),
        misconception(
            "keys and values shared differently",
            "A query head looks its values up where it found its keys: spread both in the same order, 0 0 1 1.",
            _grouped(values=_in_turn),
            _grouped(keys=_in_turn, values=_neighbours),
        ),
        misconception(
            "no ValueError",
            "3 query heads cannot share 2 key heads evenly: check `query_heads % key_heads` first and raise a ValueError.",
            _grouped(check=_unchecked),
            _grouped(check=_asserted),
            _grouped(check=_unchecked, attend=F.scaled_dot_product_attention),
            _built_in,
            _grouped(check=_unchecked, keys=_picked(lambda h, query_heads, key_heads: h * key_heads // query_heads)),
            _grouped(
                check=_unchecked,
                keys=_picked(lambda h, query_heads, key_heads: h // max(query_heads // key_heads, 1)),
            ),
            _grouped(
                check=_unchecked,
                keys=_picked(
                    lambda h, query_heads, key_heads: (h // max(query_heads // key_heads, 1)).clamp(max=key_heads - 1)
                ),
            ),
        ),
        misconception(
            "the first key head for all",
            "All query heads ask key head 0 here: with several key heads, each serves its own group.",
            _grouped(keys=_picked(lambda h, query_heads, key_heads: h * 0)),
        ),
        misconception(
            "key heads averaged",
            "A group shares one key head as it is; a mean over the key heads is a head that nobody trained.",
            _grouped(keys=lambda heads, query_heads: heads.mean(1, keepdim=True).expand(-1, query_heads, -1, -1)),
        ),
        misconception(
            "query heads averaged",
            "The keys are shared, the queries are not: each query head keeps its own output.",
            _averaged_queries,
            _grouped(returned=lambda output, key_heads: output.unflatten(1, (key_heads, -1)).mean(2)),
            lambda query, key, value, allowed: _averaged_queries(query, key, value, allowed)[
                :, :: query.shape[1] // key.shape[1]
            ],
        ),
        misconception(
            "groups in reverse",
            "Query head 0 asks key head 0: the groups stand in the order of the key heads.",
            _grouped(keys=lambda heads, query_heads: _neighbours(heads.flip(1), query_heads)),
        ),
        misconception(
            "inverted",
            "True means may attend: here the allowed keys are the hidden ones.",
            *(
                _grouped(attend=lambda query, key, value, allowed, form=form: form(query, key, value, ~allowed))  # type: ignore[misc]
                for form in (_attend, F.scaled_dot_product_attention, _attend_lowest)
            ),
        ),
        misconception(
            "no mask",
            "`allowed` changes nothing here: fill the scores with −∞ where it is False, or hand it to SDPA.",
            _grouped(attend=lambda query, key, value, allowed: F.scaled_dot_product_attention(query, key, value)),
        ),
        misconception(
            "-100 for minus infinity",
            "−100, −1e4 or −65504 is only a number: a hidden key that leads by more wins all the same. Fill with −∞.",
            *(
                _grouped(
                    attend=lambda query, key, value, allowed, number=number: _attend(query, key, value, allowed, number)  # type: ignore[misc]
                )
                for number in (-100.0, -1e4, -65504.0)
            ),
        ),
        misconception(
            "-1e9 in half precision",
            "float16 ends at −65504, so filling it with −1e9 is an error: fill with −∞ or `torch.finfo(scores.dtype).min`.",
            _grouped(attend=lambda query, key, value, allowed: _attend(query, key, value, allowed, -1e9)),
        ),
        misconception(
            "another scale",
            "The products of query and key are divided by √dim, however many heads share the keys.",
            *(
                _grouped(
                    attend=lambda query, key, value, allowed, power=power: _attend(  # type: ignore[misc]
                        query * query.shape[-1] ** power, key, value, allowed
                    )
                )
                for power in (0.5, -0.5)
            ),
        ),
    ),
)


SPECS = (
    SDPA_REFERENCE,
    SAFE_SDPA,
    MHA_TO_SDPA_MASK,
    CACHED_CAUSAL_ATTENTION,
    CHOOSE_SDPA_ARGUMENTS,
    COMBINE_ADDITIVE,
    GROUPED_QUERY_ATTENTION,
)
