"""The functions of `modern`: oracle and solution on drawn inputs, and FlexAttention and Transformers as the judges."""

import inspect
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.attention import flex_attention as flex
from transformers import masking_utils

from workbook.grading.judge import difference
from workbook.specs import causal, modern, padding, specs
from workbook.specs.specification import attention_mask as mask_of
from workbook.specs.specification import index_grid
from workbook.specs.stubs import topic_source
from workbook.topic_files import load_solution

ORACLES = {spec.function: spec.oracle for spec in specs(["modern"])}
SOLUTIONS = {name: getattr(load_solution("modern"), name) for name in ORACLES}
#: Both must answer to the libraries: the oracle is what learners are compared with.
BOTH = pytest.mark.parametrize("functions", [ORACLES, SOLUTIONS], ids=["oracles", "solutions"])
#: The oracles ask cell by cell, and FlexAttention calls them once for each mask.
few = settings(max_examples=25, deadline=None)

sizes = st.integers(1, 4)
lengths = st.integers(1, 7)
windows = st.integers(1, 9)
seeds = st.integers(0, 2**31)


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn_mask(batch: int, sequence: int, seed: int) -> Tensor:
    return (torch.rand(batch, sequence, generator=generator(seed)) < 0.6).long()


def table(seed: int, *shape: int) -> Any:
    """A mask function that looks its answers up: each cell has one of its own."""
    answers = torch.rand(shape, generator=generator(seed)) < 0.5
    return lambda b, h, q, k: answers[b, h, q, k]


def causal_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
    return q >= k


def asked(mask_mod: Any, batch: int, heads: int, query_length: int, key_length: int, past: int = 0) -> Tensor:
    """What a mask function says about a grid whose queries stand behind ``past`` positions."""
    b, h, q, k = index_grid(batch, heads, query_length, key_length)
    allowed: Tensor = mask_mod(b, h, q + past, k)
    assert allowed.dtype == torch.bool
    return allowed.expand(batch, heads, query_length, key_length)


def asked_by_flex(mask_mod: Any, batch: int, heads: int, query_length: int, key_length: int) -> Tensor:
    """The same under nested vmap, as FlexAttention asks."""
    allowed = flex.create_mask(mask_mod, batch, heads, query_length, key_length, "cpu")
    assert allowed.dtype == torch.bool
    return allowed


def asked_by_transformers(mask_mod: Any, batch: int, query_length: int, key_length: int, **more: Any) -> Tensor:
    """The mask that Transformers' SDPA models make of a mask function, ``[batch, 1, query, key]``."""
    mask = masking_utils.sdpa_mask(
        batch_size=batch,
        q_length=query_length,
        kv_length=key_length,
        mask_function=mask_mod,
        allow_is_causal_skip=False,
        **more,
    )
    assert isinstance(mask, Tensor)
    return mask


def numbered(documents: list[int], names: list[int]) -> list[int]:
    """The documents' names, each as often as its length says."""
    return [name for name, length in zip(names, documents, strict=True) for _ in range(length)]


@st.composite
def packed_rows(draw: st.DrawFn, padded: bool = True) -> Tensor:
    """Rows of documents in any order of their numbers, padded in front, between and behind."""
    rows = []
    for _ in range(draw(st.integers(1, 3))):
        row: list[int] = []
        for name in draw(st.permutations(range(4))):
            row += [-1] * (draw(st.integers(0, 2)) if padded else 0) + [name] * draw(st.integers(0, 3))
        rows.append(row)
    width = max(1, *map(len, rows))
    if not padded:  # the last document fills the row
        return torch.tensor([row + [9] * (width - len(row)) for row in rows])
    return torch.tensor([row + [-1] * (width - len(row)) for row in rows])


@st.composite
def trees(draw: st.DrawFn) -> Tensor:
    nodes = draw(st.integers(0, 8))
    return torch.tensor([draw(st.integers(-1, node - 1)) for node in range(nodes)], dtype=torch.long)


def agree(name: str, *arguments: Any, grid: tuple[int, int, int, int] | None = None) -> None:
    """The solution gives the oracle's answer, where that is a mask function on a grid."""
    ours, theirs = ORACLES[name](*arguments), SOLUTIONS[name](*arguments)
    if grid is not None:
        ours, theirs = asked(ours, *grid), asked(theirs, *grid)
    found = difference(ours, theirs)
    assert found is None, found


# --- oracle and solution ---------------------------------------------------------------------------------------------


@given(sizes, sizes, st.integers(0, 4), st.integers(0, 4), seeds)
def test_materialize_agrees_with_its_oracle(batch: int, heads: int, query: int, key: int, seed: int) -> None:
    agree("materialize", table(seed, batch, heads, query, key), batch, heads, query, key)
    agree("materialize", causal_mod, batch, heads, query, key)


@pytest.mark.parametrize("name", ["and_masks", "or_masks"])
@given(st.lists(seeds, max_size=4))
def test_joining_agrees_with_its_oracle(name: str, seeds: list[int]) -> None:
    agree(name, *(table(seed, 2, 3, 4, 5) for seed in seeds), grid=(2, 3, 4, 5))


@given(windows, lengths, lengths)
def test_sliding_window_mod_agrees_with_its_oracle(window: int, query: int, key: int) -> None:
    agree("sliding_window_mod", window, grid=(1, 2, query, key))


@given(sizes, lengths, lengths, seeds)
def test_padding_mod_agrees_with_its_oracle(batch: int, query: int, key: int, seed: int) -> None:
    agree("padding_mod", drawn_mask(batch, key, seed), grid=(batch, 2, query, key))


@given(packed_rows())
def test_document_mod_agrees_with_its_oracle(ids: Tensor) -> None:
    agree("document_mod", ids, grid=(len(ids), 2, ids.shape[1], ids.shape[1]))


@given(windows, st.integers(0, 8), lengths, lengths)
def test_attention_sink_mod_agrees_with_its_oracle(window: int, num_sinks: int, query: int, key: int) -> None:
    agree("attention_sink_mod", window, num_sinks, grid=(1, 2, query, key))


@given(st.lists(st.integers(0, 4), max_size=5), st.integers(0, 4))
def test_document_ids_agrees_with_its_oracle(documents: list[int], rest: int) -> None:
    agree("document_ids", torch.tensor([0, *documents]).cumsum(0), sum(documents) + rest)


@given(packed_rows())
def test_packed_position_ids_agrees_with_its_oracle(ids: Tensor) -> None:
    agree("packed_position_ids", ids)


@given(lengths, lengths, st.integers(1, 9), seeds, st.sampled_from([0.2, 0.8, 0.97]))
def test_block_map_agrees_with_its_oracle(query: int, key: int, size: int, seed: int, share: float) -> None:
    agree("block_map", torch.rand(query, key, generator=generator(seed)) < share, size)


@given(trees())
def test_tree_attention_mask_agrees_with_its_oracle(parents: Tensor) -> None:
    agree("tree_attention_mask", parents)


@BOTH
@pytest.mark.parametrize("window", [0, -1, -5])
def test_sliding_window_mod_refuses_a_window_below_1(functions: Any, window: int) -> None:
    with pytest.raises(ValueError, match=f"sliding_window is {window}"):
        functions["sliding_window_mod"](window)


@BOTH
@pytest.mark.parametrize("device", [None, "cpu", torch.device("cpu")])
def test_materialize_asks_where_it_is_told(functions: Any, device: Any) -> None:
    devices: list[str] = []

    def notes(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
        devices.extend(index.device.type for index in (b, h, q, k))
        return q >= k

    assert functions["materialize"](notes, 1, 1, 2, 2, device=device).device.type == "cpu"
    assert set(devices) == {"cpu"}


def test_a_solution_materializes_on_another_device() -> None:
    assert SOLUTIONS["materialize"](causal_mod, 2, 3, 4, 5, device="meta").device.type == "meta"


def test_the_three_files_define_one_kind_of_function() -> None:
    line = next(line for line in inspect.getsource(modern).splitlines() if line.startswith("MaskFunction = "))
    assert line in topic_source("modern").splitlines()
    assert line in inspect.getsource(load_solution("modern")).splitlines()


# --- asking ----------------------------------------------------------------------------------------------------------


def every_mod(functions: Any) -> dict[str, Any]:
    """One mask function of each kind, for two rows of nine positions."""
    ids = modern.PACKED
    window, padded = functions["sliding_window_mod"](3), functions["padding_mod"]((ids != -1).long())
    return {
        "window": window,
        "padding": padded,
        "documents": functions["document_mod"](ids),
        "sinks": functions["attention_sink_mod"](2, 2),
        "and": functions["and_masks"](window, padded, functions["document_mod"](ids)),
        "or": functions["or_masks"](window, padded),
        "all": functions["and_masks"](),
        "nothing": functions["or_masks"](),
    }


@BOTH
@pytest.mark.parametrize("kind", list(every_mod(SOLUTIONS)))
def test_a_mask_function_is_taken_by_both_libraries_and_says_the_same(functions: Any, kind: str) -> None:
    mask_mod = every_mod(functions)[kind]
    wanted = functions["materialize"](mask_mod, 2, 3, 9, 9)
    assert torch.equal(wanted, asked_by_flex(mask_mod, 2, 3, 9, 9))
    assert torch.equal(wanted[:, :1], asked_by_transformers(mask_mod, 2, 9, 9))
    assert torch.equal(wanted[:, :1], asked_by_transformers(mask_mod, 2, 9, 9, use_vmap=True))
    block_mask = flex.create_block_mask(mask_mod, 2, 3, 9, 9, device="cpu", BLOCK_SIZE=3)
    assert block_mask.shape == (2, 3, 9, 9)


@BOTH
@pytest.mark.parametrize("kind", list(every_mod(SOLUTIONS)))
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_a_mask_function_says_the_same_of_a_part_of_the_cells(functions: Any, kind: str, dtype: torch.dtype) -> None:
    """Behind a cache, and with keys that have left it: what Transformers calls offsets."""
    mask_mod = every_mod(functions)[kind]
    whole = functions["materialize"](mask_mod, 2, 3, 9, 9)
    b, h, q, k = (index.to(dtype) for index in index_grid(2, 3, 4, 5))
    assert torch.equal(mask_mod(b, h, q + 5, k + 4).expand(2, 3, 4, 5), whole[:, :, 5:, 4:])
    theirs = asked_by_transformers(mask_mod, 2, 4, 5, q_offset=5, kv_offset=4)
    assert torch.equal(theirs, whole[:, :1, 5:, 4:])
    for cell in ((0, 1, 5, 4), (1, 2, 8, 3)):
        one = mask_mod(*(torch.tensor(index, dtype=dtype) for index in cell))
        assert (one.shape, one.dtype, bool(one)) == ((), torch.bool, bool(whole[cell]))


@BOTH
def test_an_answer_without_axes_is_one_for_all_cells(functions: Any) -> None:
    for said in (True, False):
        mask = functions["materialize"](lambda b, h, q, k, said=said: torch.tensor(said), 2, 3, 4, 5)
        assert torch.equal(mask, torch.full((2, 3, 4, 5), said))


@BOTH
@few
@given(batch=sizes, heads=sizes, query=lengths, key=lengths, seed=seeds)
def test_materialize_is_flexattentions_create_mask(
    functions: Any, batch: int, heads: int, query: int, key: int, seed: int
) -> None:
    grid = (batch, heads, query, key)
    for mask_mod in (table(seed, *grid), causal_mod, lambda b, h, q, k: k < 2, lambda b, h, q, k: b > h):
        assert torch.equal(functions["materialize"](mask_mod, *grid), asked_by_flex(mask_mod, *grid))


# --- joining ---------------------------------------------------------------------------------------------------------


@BOTH
@few
@given(drawn=st.lists(seeds, max_size=4))
def test_joining_is_what_flexattention_and_transformers_do(functions: Any, drawn: list[int]) -> None:
    grid = (2, 3, 4, 5)
    mask_mods = [table(seed, *grid) for seed in drawn]
    for library in (flex, masking_utils):
        for name in ("and_masks", "or_masks"):
            theirs = asked_by_flex(getattr(library, name)(*mask_mods), *grid)
            assert torch.equal(asked(functions[name](*mask_mods), *grid), theirs)


@BOTH
@given(drawn=st.lists(seeds, max_size=4))
def test_not_all_is_some_that_do_not(functions: Any, drawn: list[int]) -> None:
    grid = (2, 3, 4, 5)
    mask_mods = [table(seed, *grid) for seed in drawn]
    opposites = [lambda *cell, mask_mod=mask_mod: ~mask_mod(*cell) for mask_mod in mask_mods]
    assert torch.equal(
        ~asked(functions["and_masks"](*mask_mods), *grid), asked(functions["or_masks"](*opposites), *grid)
    )


@BOTH
def test_a_joined_function_can_be_joined_and_asked_again(functions: Any) -> None:
    window, first = functions["sliding_window_mod"](2), lambda b, h, q, k: k < 1
    joined = functions["and_masks"](functions["or_masks"](window, first), causal_mod)
    sinks = asked(functions["attention_sink_mod"](2, 1), 1, 1, 6, 6)
    assert torch.equal(asked(joined, 1, 1, 6, 6), sinks)
    assert torch.equal(asked(joined, 1, 1, 6, 6), sinks)


# --- the old masks as functions --------------------------------------------------------------------------------------


@BOTH
@given(query=lengths, past=st.integers(0, 4), window=windows)
def test_sliding_window_mod_is_the_window_of_notebook_02(functions: Any, query: int, past: int, window: int) -> None:
    mask = asked(functions["sliding_window_mod"](window), 1, 1, query, past + query, past)[0, 0]
    assert torch.equal(mask, causal.sliding_window_mask(query, past + query, window))


@BOTH
@given(query=lengths, key=lengths, window=windows)
def test_sliding_window_mod_is_transformers_overlay_on_a_causal_mask(
    functions: Any, query: int, key: int, window: int
) -> None:
    theirs = masking_utils.and_masks(masking_utils.sliding_window_overlay(window), masking_utils.causal_mask_function)
    mask = functions["materialize"](functions["sliding_window_mod"](window), 1, 1, query, key)
    assert torch.equal(mask, asked_by_transformers(theirs, 1, query, key))


@BOTH
@given(batch=sizes, heads=sizes, query=lengths, key=lengths, seed=seeds)
def test_padding_mod_is_the_padding_mask_of_notebook_01(
    functions: Any, batch: int, heads: int, query: int, key: int, seed: int
) -> None:
    mask = drawn_mask(batch, key, seed)
    ours = functions["materialize"](functions["padding_mod"](mask), batch, heads, query, key)
    assert torch.equal(ours, padding.expand_padding_mask(mask, heads, query))
    theirs = asked_by_transformers(
        masking_utils.bidirectional_mask_function, batch, query, key, attention_mask=mask.bool()
    )
    assert torch.equal(ours[:, :1], theirs)


@BOTH
@pytest.mark.parametrize("side", ["right", "left"])
def test_causal_and_padding_joined_are_transformers_decoder_mask(functions: Any, side: str) -> None:
    mask = mask_of([3, 5, 1], 5, side)
    joined = functions["and_masks"](causal_mod, functions["padding_mod"](mask))
    theirs = asked_by_transformers(masking_utils.causal_mask_function, 3, 5, 5, attention_mask=mask.bool())
    assert torch.equal(functions["materialize"](joined, 3, 1, 5, 5), theirs)


# --- sinks -----------------------------------------------------------------------------------------------------------


@BOTH
@given(window=windows, num_sinks=st.integers(0, 9), query=lengths, key=lengths)
def test_sinks_are_added_to_the_window_and_nothing_else(
    functions: Any, window: int, num_sinks: int, query: int, key: int
) -> None:
    mask = asked(functions["attention_sink_mod"](window, num_sinks), 1, 1, query, key)[0, 0]
    in_window = asked(functions["sliding_window_mod"](window), 1, 1, query, key)[0, 0]
    triangle = torch.ones(query, key, dtype=torch.bool).tril()
    assert torch.equal(mask[:, num_sinks:], in_window[:, num_sinks:])
    assert torch.equal(mask[:, :num_sinks], triangle[:, :num_sinks])


@BOTH
@given(window=windows, num_sinks=st.integers(0, 4), place=st.integers(0, 30))
def test_a_query_far_from_the_start_sees_window_and_sinks(
    functions: Any, window: int, num_sinks: int, place: int
) -> None:
    mask = asked(functions["attention_sink_mod"](window, num_sinks), 1, 1, 1, place + 1, past=place)
    assert int(mask.sum()) == min(place + 1, window + num_sinks)


# --- packing ---------------------------------------------------------------------------------------------------------


@BOTH
@given(ids=packed_rows(padded=False))
def test_document_mod_is_transformers_packed_sequence_mask(functions: Any, ids: Tensor) -> None:
    batch, sequence = ids.shape
    theirs = asked_by_transformers(masking_utils.packed_sequence_mask_function(ids), batch, sequence, sequence)
    assert torch.equal(functions["materialize"](functions["document_mod"](ids), batch, 1, sequence, sequence), theirs)


@BOTH
@given(ids=packed_rows())
def test_documents_are_blocks_and_padding_is_alone(functions: Any, ids: Tensor) -> None:
    batch, sequence = ids.shape
    mask = asked(functions["document_mod"](ids), batch, 1, sequence, sequence)[:, 0]
    assert torch.equal(mask, mask.mT)
    assert torch.equal(mask.diagonal(dim1=1, dim2=2), ids != -1)
    of_its_own = torch.stack([torch.stack([(row == name).sum() * (name != -1) for name in row]) for row in ids])
    assert torch.equal(mask.sum(2), of_its_own)
    assert torch.equal((mask.float() @ mask.float() > 0), mask)  # whom a neighbour sees, one sees oneself


@BOTH
@given(documents=st.lists(st.integers(0, 4), max_size=6), rest=st.integers(0, 4))
def test_document_ids_are_numbers_repeated(functions: Any, documents: list[int], rest: int) -> None:
    borders = torch.tensor([0, *documents]).cumsum(0)
    ids = functions["document_ids"](borders, sum(documents) + rest)
    assert ids.dtype == torch.long
    theirs = np.concatenate([np.repeat(np.arange(len(documents)), documents), np.full(rest, -1)])
    assert ids.tolist() == theirs.tolist()
    again = torch.bincount(ids[ids >= 0], minlength=len(documents)).cumsum(0)
    assert again.tolist() == borders[1:].tolist()


@BOTH
@given(ids=packed_rows(padded=False))
def test_transformers_finds_the_documents_again_by_the_positions(functions: Any, ids: Tensor) -> None:
    found = masking_utils.find_packed_sequence_indices(functions["packed_position_ids"](ids))
    borders = torch.nn.functional.pad(ids[:, 1:] != ids[:, :-1], (1, 0))
    if found is None:
        assert not bool(borders.any())
    else:
        assert torch.equal(found, borders.cumsum(1))


@BOTH
@given(batch=sizes, sequence=lengths, length=lengths, side=st.sampled_from(["right", "left"]))
def test_one_document_a_row_has_the_positions_of_notebook_02(
    functions: Any, batch: int, sequence: int, length: int, side: str
) -> None:
    assume(length <= sequence)
    mask = mask_of([length] * batch, sequence, side)
    ids = torch.where(mask == 1, 5, -1)
    assert torch.equal(functions["packed_position_ids"](ids), causal.position_ids(mask))


@BOTH
def test_the_courses_packed_row(functions: Any) -> None:
    ids = functions["document_ids"](torch.tensor([0, 4, 9]), 9)
    assert ids.tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert functions["packed_position_ids"](ids[None]).tolist() == [[0, 1, 2, 3, 0, 1, 2, 3, 4]]
    allowed = asked(functions["and_masks"](causal_mod, functions["document_mod"](ids[None])), 1, 1, 9, 9)[0, 0]
    assert torch.equal(allowed, torch.block_diag(torch.ones(4, 4).tril(), torch.ones(5, 5).tril()).bool())
    assert functions["block_map"](allowed, 4).tolist() == [[1, 0, 0], [0, 1, 0], [0, 2, 2]]


# --- blocks ----------------------------------------------------------------------------------------------------------


def kinds_of(block_mask: flex.BlockMask) -> Tensor:
    """0 empty, 1 partial, 2 full, as FlexAttention's lists of blocks have it, ``[batch, heads, rows, columns]``."""
    kinds = torch.zeros_like(block_mask.kv_indices)
    assert block_mask.full_kv_num_blocks is not None
    assert block_mask.full_kv_indices is not None
    for kind, counts, indices in (
        (1, block_mask.kv_num_blocks, block_mask.kv_indices),
        (2, block_mask.full_kv_num_blocks, block_mask.full_kv_indices),
    ):
        listed = torch.arange(indices.shape[-1]) < counts[..., None]
        for *row, place in listed.nonzero().tolist():
            kinds[(*row, int(indices[(*row, place)]))] = kind
    return kinds


@BOTH
@few
@given(rows=st.integers(1, 3), columns=st.integers(1, 3), size=st.integers(1, 4), seed=seeds, window=windows)
def test_block_map_is_flexattentions_block_mask(
    functions: Any, rows: int, columns: int, size: int, seed: int, window: int
) -> None:
    query, key = rows * size, columns * size
    for mask_mod in (table(seed, 1, 1, query, key), causal_mod, functions["sliding_window_mod"](window)):
        block_mask = flex.create_block_mask(mask_mod, 1, 1, query, key, device="cpu", BLOCK_SIZE=size)
        ours = functions["block_map"](functions["materialize"](mask_mod, 1, 1, query, key)[0, 0], size)
        assert torch.equal(ours, kinds_of(block_mask)[0, 0].long())
        assert torch.equal(ours > 0, block_mask.to_dense()[0, 0] > 0)


@BOTH
def test_at_a_ragged_edge_flexattention_calls_a_full_block_partial(functions: Any) -> None:
    everything = functions["and_masks"]()
    block_mask = flex.create_block_mask(everything, 1, 1, 5, 5, device="cpu", BLOCK_SIZE=2)
    assert kinds_of(block_mask)[0, 0].tolist() == [[2, 2, 1], [2, 2, 1], [1, 1, 1]]
    assert functions["block_map"](torch.ones(5, 5, dtype=torch.bool), 2).tolist() == [[2, 2, 2]] * 3


@BOTH
@given(query=lengths, key=lengths, size=st.integers(1, 9), seed=seeds)
def test_a_block_map_turned_over_is_that_of_the_opposite(
    functions: Any, query: int, key: int, size: int, seed: int
) -> None:
    allowed = torch.rand(query, key, generator=generator(seed)) < 0.7
    assert torch.equal(functions["block_map"](~allowed, size), 2 - functions["block_map"](allowed, size))


@BOTH
@given(query=lengths, key=lengths, seed=seeds)
def test_blocks_of_one_cell_are_the_mask_itself(functions: Any, query: int, key: int, seed: int) -> None:
    allowed = torch.rand(query, key, generator=generator(seed)) < 0.5
    assert torch.equal(functions["block_map"](allowed, 1), 2 * allowed.long())


# --- trees -----------------------------------------------------------------------------------------------------------


@BOTH
@given(parents=trees())
def test_a_node_sees_the_walk_up_from_it(functions: Any, parents: Tensor) -> None:
    mask = functions["tree_attention_mask"](parents)
    assert (mask.dtype, mask.shape) == (torch.bool, (len(parents), len(parents)))
    for node, row in enumerate(mask):
        walk, walker = [], node
        while walker != -1:
            walk.append(walker)
            walker = int(parents[walker])
        assert row.nonzero()[:, 0].tolist() == walk[::-1]


@BOTH
@given(parents=trees())
def test_ancestors_are_the_inverse_of_single_steps(functions: Any, parents: Tensor) -> None:
    """Of all steps up taken together, 1 + P + P² + … = (1 − P)⁻¹."""
    step = (parents[:, None] == torch.arange(len(parents))).double()
    assert torch.equal(
        functions["tree_attention_mask"](parents), torch.linalg.inv(torch.eye(len(parents)) - step) > 0.5
    )


@BOTH
@given(nodes=st.integers(0, 6))
def test_a_chain_is_causal_and_roots_are_alone(functions: Any, nodes: int) -> None:
    chain = torch.arange(-1, nodes - 1)
    assert torch.equal(functions["tree_attention_mask"](chain), causal.causal_mask(nodes))
    assert torch.equal(functions["tree_attention_mask"](torch.full((nodes,), -1)), torch.eye(nodes).bool())


@BOTH
@pytest.mark.parametrize("leaf", [3, 4])
def test_a_branch_of_a_tree_is_a_sentence_of_its_own(functions: Any, leaf: int) -> None:
    """Attention over the tree gives a leaf what attention over its own branch gives it."""
    parents = torch.tensor([-1, 0, 0, 1, 2])
    mask = functions["tree_attention_mask"](parents)
    branch = mask[leaf].nonzero()[:, 0]
    query, key, value = torch.randn(3, 5, 8, generator=generator(0))
    attention = torch.nn.functional.scaled_dot_product_attention
    together = attention(query[None], key[None], value[None], mask[None])[0]
    alone = attention(query[None, branch], key[None, branch], value[None, branch], is_causal=True)[0]
    assert torch.allclose(together[branch], alone, atol=1e-6)


# --- FlexAttention itself --------------------------------------------------------------------------------------------


@BOTH
def test_flex_attention_with_our_functions_is_a_masked_softmax(functions: Any) -> None:
    """Two packed rows, padding rows included, which FlexAttention answers with 0."""
    ids = torch.tensor([[0, 0, 0, 1, 1, 1, 1, -1], [2, 2, 0, 0, 0, 0, -1, -1]])
    mask_mod = functions["and_masks"](functions["attention_sink_mod"](2, 1), functions["document_mod"](ids))
    query, key, value = torch.randn(3, 2, 3, 8, 16, generator=generator(1))
    allowed = functions["materialize"](mask_mod, 2, 3, 8, 8)
    block_mask = flex.create_block_mask(mask_mod, 2, 3, 8, 8, device="cpu", BLOCK_SIZE=4)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is not compiled
        output = flex.flex_attention(query, key, value, block_mask=block_mask)
    scores = (query @ key.mT / 4).masked_fill(~allowed, -torch.inf)
    assert isinstance(output, Tensor)
    assert torch.allclose(output, scores.softmax(-1).nan_to_num(0) @ value, atol=1e-5)
    assert bool((output[0, :, 7] == 0).all())


@BOTH
def test_packed_documents_get_what_they_get_alone(functions: Any) -> None:
    """Causal attention over a packed row is causal attention over each of its documents."""
    ids = functions["document_ids"](torch.tensor([0, 3, 3, 7]), 8)[None]
    allowed = functions["materialize"](functions["and_masks"](causal_mod, functions["document_mod"](ids)), 1, 1, 8, 8)
    query, key, value = torch.randn(3, 1, 1, 8, 16, generator=generator(2))
    attention = torch.nn.functional.scaled_dot_product_attention
    packed = attention(query, key, value, allowed)
    for start, end in ((0, 3), (3, 7)):
        asking, asked_for, given_back = (each[:, :, start:end] for each in (query, key, value))
        alone = attention(asking, asked_for, given_back, is_causal=True)
        assert torch.allclose(packed[:, :, start:end], alone, atol=1e-6)
