"""Records what Transformers' deprecated mask converter answers, for the day when it is gone.

    python tests/reference/make_converter_reference.py

writes ``converter_reference.json`` beside this file: one call to a line, under the names and arguments of `converter`. The
tests compare with the recorded answers always, and with Transformers itself wherever it still has them.
"""

import json
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle, product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

RECORDED = Path(__file__).with_name("converter_reference.json")
FLOATS = (torch.float32, torch.float16, torch.bfloat16)
MASKS = (
    ((0, 1, 1, 1), (1, 1, 1, 1)),
    ((1, 1, 0, 0), (1, 1, 1, 0)),
    ((1, 0, 1, 1, 0), (0, 0, 1, 0, 1), (0, 0, 0, 0, 0)),
)

Answers = dict[str, Callable[..., Any]]


def transformers_answers() -> Answers | None:
    """Return Transformers' functions under the course's names and arguments, or ``None`` where they are gone."""
    try:
        from transformers import modeling_attn_mask_utils as theirs
    except ImportError:
        return None
    converter = theirs.AttentionMaskConverter

    def embeddings(batch: int, query: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return torch.zeros(batch, query, 1, dtype=dtype)

    def make_causal_mask(
        input_ids_shape: Any, dtype: Any, past_key_values_length: int = 0, sliding_window: int | None = None
    ) -> Any:
        # The window is checked where a converter is made, which is how everybody gets to this method.
        made = converter(True, sliding_window)
        return made._make_causal_mask(
            input_ids_shape, dtype, torch.device("cpu"), past_key_values_length, sliding_window
        )

    def expand_mask(attention_mask: Any, dtype: Any, target_length: int | None = None) -> Any:
        return converter._expand_mask(attention_mask, dtype, target_length)

    def to_causal_4d(
        batch_size: int, query_length: int, key_value_length: int, dtype: Any, sliding_window: int | None = None
    ) -> Any:
        return converter(True, sliding_window).to_causal_4d(batch_size, query_length, key_value_length, dtype)

    def to_4d(
        attention_mask: Any,
        query_length: int,
        dtype: Any,
        key_value_length: int | None = None,
        is_causal: bool = True,
        sliding_window: int | None = None,
    ) -> Any:
        return converter(is_causal, sliding_window).to_4d(attention_mask, query_length, dtype, key_value_length)

    def unmask_unattended(expanded_mask: Tensor, min_dtype: float) -> Any:
        return converter._unmask_unattended(expanded_mask, min_dtype)

    def ignore_causal_mask_sdpa(
        attention_mask: Any, query_length: int, key_value_length: int, sliding_window: int | None = None
    ) -> Any:
        past = key_value_length - query_length
        return converter._ignore_causal_mask_sdpa(attention_mask, embeddings(1, query_length), past, sliding_window)

    def create_4d_causal_attention_mask(
        input_shape: Any, dtype: Any, past_key_values_length: int = 0, sliding_window: int | None = None
    ) -> Any:
        return theirs._create_4d_causal_attention_mask(
            input_shape, dtype, torch.device("cpu"), past_key_values_length, sliding_window
        )

    def prepare_4d_causal_attention_mask(
        attention_mask: Any,
        input_shape: Any,
        dtype: Any,
        past_key_values_length: int = 0,
        sliding_window: int | None = None,
    ) -> Any:
        embedded = embeddings(input_shape[0], input_shape[1], dtype)
        mask = theirs._prepare_4d_causal_attention_mask(
            attention_mask, input_shape, embedded, past_key_values_length, sliding_window
        )
        # Theirs is float32 for whole numbers with four axes, but of the numbers of dtype: the course promises dtype.
        return None if mask is None else mask.to(dtype)

    def quietly(function: Callable[..., Any]) -> Callable[..., Any]:
        def answer(**arguments: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)
                return function(**arguments)

        return answer

    functions = (
        make_causal_mask,
        expand_mask,
        to_causal_4d,
        to_4d,
        unmask_unattended,
        ignore_causal_mask_sdpa,
        create_4d_causal_attention_mask,
        prepare_4d_causal_attention_mask,
    )
    return {function.__name__: quietly(function) for function in functions}


def outcome(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Return what a call gives, or ``{"raises": name}``."""
    try:
        return function(**arguments)
    except (ValueError, NotImplementedError) as error:
        return {"raises": type(error).__name__}


def calls() -> Iterator[tuple[str, dict[str, Any]]]:
    """All that is recorded: a function of the course and its arguments."""
    dtypes = cycle(FLOATS)
    masks = [torch.tensor(mask) for mask in MASKS]
    for shape, past, window in product(((1, 1), (2, 3), (3, 3), (1, 5)), (0, 1, 4), (None, 1, 2, 9)):
        arguments = {"dtype": next(dtypes), "past_key_values_length": past, "sliding_window": window}
        yield "make_causal_mask", {"input_ids_shape": shape, **arguments}
        yield "create_4d_causal_attention_mask", {"input_shape": shape, **arguments}
    yield "make_causal_mask", {"input_ids_shape": (2, 3), "dtype": torch.float32, "sliding_window": 0}
    yield "create_4d_causal_attention_mask", {"input_shape": (2, 3), "dtype": torch.float32, "sliding_window": -1}

    for mask, target in product(masks, (None, 1, 2)):
        yield "expand_mask", {"attention_mask": mask, "dtype": next(dtypes), "target_length": target}

    for (query, key), window in product(((1, 1), (1, 4), (2, 4), (4, 4), (3, 5)), (None, 0, 1, 3, 9)):
        lengths = {"query_length": query, "key_value_length": key}
        yield "to_causal_4d", {"batch_size": 2, **lengths, "dtype": next(dtypes), "sliding_window": window}

    for mask, past, window in product(masks, (0, 1, 3), (None, -1, 1, 2, 9)):
        queries, keys = mask.shape[1] - past, mask.shape[1]
        whole = {"attention_mask": mask, "query_length": queries, "dtype": next(dtypes), "sliding_window": window}
        yield "to_4d", {**whole, "key_value_length": keys}
        if window is None:
            yield "to_4d", {**whole, "is_causal": False}
            yield "to_4d", {**whole, "is_causal": False, "key_value_length": keys}
        if window == 2:
            yield "to_4d", {**whole, "is_causal": False}
            yield "to_4d", whole
    yield "to_4d", {"attention_mask": masks[0], "query_length": 4, "dtype": torch.float32}

    for mask, dtype in product(masks, FLOATS):
        allowed = mask.bool()[:, None, None, :] & torch.ones(mask.shape[1], mask.shape[1], dtype=torch.bool).tril()
        lowest = torch.finfo(dtype).min
        hidden = torch.zeros(allowed.shape, dtype=dtype).masked_fill(~allowed, lowest)
        slope = torch.arange(-mask.shape[1] + 1.0, 1.0).to(dtype) / 2
        for expanded in (hidden, torch.where(allowed, slope, hidden)):
            yield "unmask_unattended", {"expanded_mask": expanded, "min_dtype": lowest}

    ones = torch.ones(2, 4, dtype=torch.long)
    four_axes = torch.ones(2, 1, 4, 4, dtype=torch.long)
    for looked_at, query, window in product((None, ones, masks[0], masks[1], four_axes), (4, 1, 2), (None, 3, 4, 5)):
        lengths = {"query_length": query, "key_value_length": 4}
        yield "ignore_causal_mask_sdpa", {"attention_mask": looked_at, **lengths, "sliding_window": window}

    every_cell = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [1, 1, 0, 1]])[None, None].repeat(2, 1, 1, 1)
    of_any_kind: tuple[Tensor | None, ...] = (
        None,
        masks[0],
        every_cell,
        every_cell[:1],
        every_cell[..., :3],
        every_cell[:, :, :2],
    )
    for prepared, window, dtype in product(of_any_kind, (None, 1, 9), FLOATS):
        arguments = {"attention_mask": prepared, "input_shape": (2, 3), "dtype": dtype}
        yield (
            "prepare_4d_causal_attention_mask",
            {**arguments, "past_key_values_length": 1, "sliding_window": window},
        )
    for prepared, window in product(of_any_kind[:2], (0, 2)):
        arguments = {"attention_mask": prepared, "input_shape": (2, 4), "dtype": torch.float32}
        yield "prepare_4d_causal_attention_mask", {**arguments, "sliding_window": window}


# --- JSON ------------------------------------------------------------------------------------------------------------


def written(value: Any) -> Any:
    """Return a value as JSON holds it; in a tensor's cells, `-` is the most negative number of its dtype."""
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, Tensor):
        lowest = torch.finfo(value.dtype).min if value.is_floating_point() else None
        cells = ["-" if cell == lowest else f"{cell + 0:g}" for cell in value.flatten().tolist()]
        return {"tensor": " ".join(cells), "shape": list(value.shape), **written(value.dtype)}
    return list(value) if isinstance(value, tuple) else value


def read(value: Any) -> Any:
    """Return what ``written`` wrote, a list as a tuple."""
    if isinstance(value, dict) and "tensor" in value:
        dtype = getattr(torch, value["dtype"])
        lowest = torch.finfo(dtype).min if dtype.is_floating_point else None
        cells = [lowest if cell == "-" else float(cell) for cell in value["tensor"].split()]
        return torch.tensor(cells, dtype=dtype).reshape(value["shape"])
    if isinstance(value, dict) and "dtype" in value:
        return getattr(torch, value["dtype"])
    return tuple(value) if isinstance(value, list) else value


def recorded() -> list[tuple[str, dict[str, Any], Any]]:
    """Return the recorded calls: function, arguments, and what came of it."""
    entries = json.loads(RECORDED.read_text(encoding="utf-8"))["calls"]
    return [
        (name, {key: read(value) for key, value in arguments.items()}, read(result))
        for name, arguments, result in entries
    ]


def main() -> None:
    """Ask Transformers and write down what it answers."""
    import transformers

    theirs = transformers_answers()
    if theirs is None:
        raise SystemExit(f"transformers {transformers.__version__} has no modeling_attn_mask_utils: nothing to record")
    lines = []
    for name, arguments in calls():
        result = written(outcome(theirs[name], arguments))
        lines.append(json.dumps([name, {key: written(value) for key, value in arguments.items()}, result]))
    versions = json.dumps({"transformers": transformers.__version__, "torch": torch.__version__.partition("+")[0]})
    text = f'{{"made with": {versions},\n"calls": [\n' + ",\n".join(lines) + "\n]}\n"
    RECORDED.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
