"""Text twins: columns of words and glyphs that line up, and sentences that say who sees whom."""

import unicodedata
from collections.abc import Sequence

from .inputs import BoolGrid, told_apart
from .style import LEAKING_GLYPH, MAY_ATTEND, MAY_NOT_ATTEND, MISSING_GLYPH

TEXT_LIMIT = 32  # rows and columns of a text twin
LEGEND = (
    f"{MAY_ATTEND} may attend   {MAY_NOT_ATTEND} may not attend   (rows: query, who asks; columns: key, who is asked)"
)
DIFFERENCE_LEGEND = (
    f"{LEAKING_GLYPH} leaking: seen but forbidden   {MISSING_GLYPH} missing: allowed but not seen   · as it should be"
)


def text_cells(words: str) -> int:
    """Columns of a terminal: wide characters take two, combining ones none."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in words
    )


def padded(words: str, width: int, where: str = "left") -> str:
    room = max(width - text_cells(words), 0)
    left = {"left": 0, "right": room, "center": room // 2}[where]
    return " " * left + words + " " * (room - left)


def grid_lines(
    cells: Sequence[Sequence[str]], row_names: Sequence[str], column_names: Sequence[str], gap: int = 1
) -> list[str]:
    """A table with names above and on the left; each column as wide as its widest word, words centred."""
    margin = max((text_cells(name) for name in row_names), default=0) + 3
    widths = [
        max([text_cells(name)] + [text_cells(row[column]) for row in cells]) for column, name in enumerate(column_names)
    ]
    # An odd room beside a centred word goes to the right, so a one-letter glyph stands under the name's middle.
    lines = [
        " " * margin
        + (" " * gap).join(padded(name, width, "center") for name, width in zip(column_names, widths, strict=True))
    ]
    for name, row in zip(row_names, cells, strict=True):
        body = (" " * gap).join(padded(cell, width, "center") for cell, width in zip(row, widths, strict=True))
        lines.append(padded(name, margin) + body)
    return [line.rstrip() for line in lines]


def beside(blocks: Sequence[Sequence[str]], gap: int = 4) -> list[str]:
    """Blocks of lines side by side."""
    height = max(len(block) for block in blocks)
    widths = [max((text_cells(line) for line in block), default=0) for block in blocks]
    lines = []
    for index in range(height):
        parts = [
            padded(block[index] if index < len(block) else "", width)
            for block, width in zip(blocks, widths, strict=True)
        ]
        lines.append((" " * gap).join(parts).rstrip())
    return lines


def runs(indices: Sequence[int], names: Sequence[str], bare: bool) -> list[str]:
    """The names of positions; bare indices in a row become `0 to 3`."""
    if not bare:
        return [names[index] for index in indices]
    groups: list[list[int]] = []
    for index in indices:
        if groups and groups[-1][-1] == index - 1:
            groups[-1].append(index)
        else:
            groups.append([index])
    words: list[str] = []
    for group in groups:
        if len(group) > 2:
            words.append(f"{names[group[0]]} to {names[group[-1]]}")
        else:
            words.extend(names[index] for index in group)
    return words


def who_sees_whom(allowed: BoolGrid, queries: Sequence[str], keys: Sequence[str]) -> str:
    """`row I sees I, like; rows like, coffee see I, like, coffee; <pad> is hidden`."""
    if not allowed or not keys:
        return f"an empty mask of {len(queries)} queries and {len(keys)} keys"
    query_words, key_words = told_apart(queries), told_apart(keys)
    bare_queries = list(queries) == [str(index) for index in range(len(queries))]
    bare_keys = list(keys) == [str(index) for index in range(len(keys))]
    asked: dict[tuple[int, ...], list[int]] = {}
    for query, row in enumerate(allowed):
        asked.setdefault(tuple(key for key, may in enumerate(row) if may), []).append(query)
    sentences = []
    for seen, rows in asked.items():
        names = runs(rows, query_words, bare_queries)
        subject, verb = ("row", "sees") if len(rows) == 1 else ("rows", "see")
        objects = ", ".join(runs(seen, key_words, bare_keys)) if seen else "nothing"
        if seen and bare_keys:
            objects = ("keys " if len(seen) > 1 else "key ") + objects
        sentences.append(f"{subject} {', '.join(names)} {verb} {objects}")
    hidden = [key for key in range(len(keys)) if not any(row[key] for row in allowed)]
    if hidden and len(hidden) < len(keys):
        names = runs(hidden, key_words, bare_keys)
        word = ("keys " if len(hidden) > 1 else "key ") if bare_keys else ""
        sentences.append(f"{word}{', '.join(names)} {'is' if len(hidden) == 1 else 'are'} hidden")
    return "; ".join(sentences)
