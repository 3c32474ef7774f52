"""Notebook 05. SDPA: its contract, its empty rows, its shapes, and which arguments to choose."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from workbook import exercise


@exercise
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
    raise NotImplementedError("sdpa.sdpa_reference")


@exercise
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
    raise NotImplementedError("sdpa.safe_sdpa")


@exercise
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
    raise NotImplementedError("sdpa.mha_to_sdpa_mask")


@exercise
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
    raise NotImplementedError("sdpa.cached_causal_attention")


@exercise
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
    raise NotImplementedError("sdpa.choose_sdpa_arguments")


@exercise
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
    raise NotImplementedError("sdpa.combine_additive")


@exercise
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
    raise NotImplementedError("sdpa.grouped_query_attention")
