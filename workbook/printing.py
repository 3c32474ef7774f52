"""The one way numbers are printed in the notebooks: short, the same on every device, comparable from run to run."""

import html
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from workbook.figures import style


def show(label: str | Mapping[str, Any], *values: Any, fractions: bool = False) -> None:
    """Print values short: tensors without device or dtype, at most three decimals, masks as ■ (True) and ⬚ (False).

    Args:
        label: what the values are; or a dict from label to value (or a tuple of values), printed as one aligned table.
        values: tensors of up to two axes (more are flattened to rows), numbers, texts.
        fractions: write numbers as fractions, as in ¼ ½ ¼ 0, where they are ones with a denominator of at most 64.
    """
    table = label if isinstance(label, Mapping) else {label: values}
    rows = [
        (name if first else "", cells)
        for name, value in table.items()
        for first, cells in _rows(value if isinstance(value, tuple) else (value,), fractions)
    ]
    margin = max(len(name) for name, _ in rows)
    columns = max(len(cells) for _, cells in rows)
    widths = [
        max((len(cells[place]) for _, cells in rows if place < len(cells)), default=0) for place in range(columns)
    ]
    for name, cells in rows:
        numbers = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=False))
        print(f"{name:{margin}}   {numbers}".rstrip())


def number(value: float | int | bool, fractions: bool = False) -> str:
    """Write one number as the figures do: three decimals at most, no minus zero; a bool as ■ or ⬚."""
    if isinstance(value, bool):
        return style.MAY_ATTEND if value else style.MAY_NOT_ATTEND
    if isinstance(value, int):
        return str(value).replace("-", "−")
    return style.fraction(value) if fractions else style.number(value)


def largest_difference(one: Tensor, other: Tensor) -> str:
    """Say how far two tensors of one shape are apart: ``0`` if equal, ``< 1e-5`` if equal to rounding, else the number.

    Raises:
        ValueError: the shapes differ, so that broadcasting would hide a mistake.
    """
    if one.shape != other.shape:
        raise ValueError(f"the shapes are {tuple(one.shape)} and {tuple(other.shape)}; they have to be the same")
    if torch.equal(one, other):
        return "0"
    difference = float((one.detach().cpu().double() - other.detach().cpu().double()).abs().max())
    if difference < 1e-5:
        return "< 1e-5"
    return f"{difference:.0e}" if difference < 1e-3 else number(difference)


def code_spans(text: str) -> str:
    """Return a sentence as HTML: escaped, and what stands between back-ticks set as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(text, quote=False))


def _rows(values: tuple[Any, ...], fractions: bool) -> list[tuple[bool, list[str]]]:
    """Return the cells of each row that the values of one label take, and whether it is the first of them."""
    if any(isinstance(value, Tensor) and value.dim() > 1 for value in values):
        rows = [cells for value in values for cells in _cells(value, fractions)]
    else:
        rows = [[cell for value in values for cells in _cells(value, fractions) for cell in cells]]
    return [(place == 0, cells) for place, cells in enumerate(rows)]


def _cells(value: Any, fractions: bool) -> list[list[str]]:
    if not isinstance(value, Tensor):
        return [[number(value, fractions) if isinstance(value, int | float) else str(value)]]
    value = value.detach().cpu()
    if value.numel() == 0:
        return [[f"(nothing, shape {tuple(value.shape)})"]]
    rows = value.reshape(-1, value.shape[-1] if value.dim() else 1).tolist()
    return [[number(cell, fractions) for cell in row] for row in rows]
