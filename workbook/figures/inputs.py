"""What the figures accept: tensors or nested lists, checked at the door and turned into plain lists.

A mask here is always `allowed[query][key]`, bool, True = may attend. Nothing is guessed: a mask of another dtype is
refused, since whether its 1 means "may" or "may not" is the very thing this course is about.
"""

from collections.abc import Sequence
from typing import Any

from .style import PADDING_TOKEN

BoolGrid = list[list[bool]]
Grid = list[list[Any]]


def plain(values: Any) -> Any:
    """Nested lists of a tensor, an array or nested sequences."""
    if hasattr(values, "detach"):
        values = values.detach()
    return values.tolist() if hasattr(values, "tolist") else values


def shape_of(values: Any) -> tuple[int, ...]:
    """Shape of a tensor or of nested sequences."""
    if hasattr(values, "shape"):
        return tuple(int(size) for size in values.shape)
    shape: list[int] = []
    while isinstance(values, Sequence) and not isinstance(values, str):
        shape.append(len(values))
        if not values:
            break
        values = values[0]
    return tuple(shape)


def bool_values(values: Any, argument: str) -> Any:
    """Nested lists of bool of any rank, or a TypeError that says what came."""
    dtype = getattr(values, "dtype", None)
    if dtype is not None and str(dtype) not in ("torch.bool", "bool"):
        raise TypeError(
            f"{argument} has dtype {dtype}; it must be bool, True = may attend. Convert it first: "
            "a 1/0 mask of Hugging Face by `mask.bool()`, an additive one by `mask == 0`."
        )
    nested = plain(values)
    _check_leaves(nested, argument)
    return nested


def _check_leaves(nested: Any, argument: str) -> None:
    if isinstance(nested, (list, tuple)):
        for part in nested:
            _check_leaves(part, argument)
    elif not isinstance(nested, bool):
        raise TypeError(f"{argument} contains {nested!r}; its values must be bool, True = may attend")


def bool_grid(values: Any, argument: str) -> BoolGrid:
    """`allowed[query][key]` as lists of bool."""
    shape = shape_of(values)
    nested = bool_values(values, argument)
    if len(shape) != 2:
        advice = " Choose one slice, such as allowed[0, 0]." if len(shape) > 2 else ""
        raise ValueError(f"{argument} has shape {shape}; it must have two axes (query, key).{advice}")
    return _rectangle(nested, argument)


def number_grid(values: Any, argument: str, rows: int | None = None, columns: int | None = None) -> list[list[float]]:
    """Numbers in two axes, of a given size where one is given."""
    shape = shape_of(values)
    if len(shape) != 2:
        raise ValueError(f"{argument} has shape {shape}; it must have two axes")
    grid = _rectangle(plain(values), argument)
    for row in grid:
        for value in row:
            if isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
                raise TypeError(f"{argument} contains {value!r}; its values must be numbers")
    _check_size(shape, argument, rows, columns)
    return [[float(value) for value in row] for row in grid]


def cell_grid(values: Any, argument: str, rows: int, columns: int) -> Grid:
    """What is written into cells: numbers or strings."""
    shape = shape_of(values)
    if len(shape) != 2:
        raise ValueError(f"{argument} has shape {shape}; it must have two axes (query, key), as the mask has")
    grid = _rectangle(plain(values), argument)
    _check_size(shape, argument, rows, columns)
    return grid


def _check_size(shape: tuple[int, ...], argument: str, rows: int | None, columns: int | None) -> None:
    if (rows is not None and shape[0] != rows) or (columns is not None and len(shape) > 1 and shape[1] != columns):
        wanted = f"({'any' if rows is None else rows}, {'any' if columns is None else columns})"
        raise ValueError(f"{argument} has shape {shape}; it must have shape {wanted}")


def _rectangle(nested: Any, argument: str) -> Grid:
    rows = [list(row) for row in nested]
    lengths = {len(row) for row in rows}
    if len(lengths) > 1:
        raise ValueError(f"{argument} has rows of lengths {sorted(lengths)}; all rows must be equally long")
    return rows


def number_list(values: Any, argument: str) -> list[float]:
    """Numbers in one axis."""
    nested = plain(values)
    if not isinstance(nested, (list, tuple, range)):
        raise TypeError(f"{argument} is {nested!r}; it must be a list or a tensor of one axis")
    items = [plain(value) for value in nested]
    for value in items:
        if isinstance(value, (str, bool)) or not isinstance(value, (int, float)):
            raise TypeError(f"{argument} contains {value!r}; its values must be numbers")
    return [float(value) for value in items]


def names_for(tokens: Any, count: int, argument: str, axis: str) -> list[str]:
    """The names along an axis: tokens, or bare indices where none are given."""
    if tokens is None:
        return [str(index) for index in range(count)]
    if isinstance(tokens, str):
        raise TypeError(f"{argument} is the string {tokens!r}; it must be a list of tokens")
    names = [printable(str(token)) for token in tokens]
    if len(names) != count:
        raise ValueError(f"{argument} has {len(names)} names {names}; the mask has {count} {axis}, so give {count}")
    return names


def printable(token: str) -> str:
    """A token on one line."""
    return token.replace("\n", "\\n").replace("\t", "\\t") or "∅"


def row_index(row: int | None, count: int, argument: str) -> int | None:
    """A row's index, counted from the end when negative."""
    if row is None:
        return None
    if isinstance(row, bool) or not isinstance(row, int):
        raise TypeError(f"{argument} is {row!r}; it must be the index of a query row")
    if not -count <= row < count:
        raise ValueError(f"{argument} is {row}; there are {count} query rows, 0 to {count - 1}")
    return row % count


def is_padding(token: str) -> bool:
    return token == PADDING_TOKEN


def told_apart(names: Sequence[str]) -> list[str]:
    """Names for a sentence: a name that occurs twice gets its position, `<pad> (3)`."""
    return [f"{name} ({index})" if list(names).count(name) > 1 else name for index, name in enumerate(names)]
