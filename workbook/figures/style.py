"""The visual language of all figures: palette, glyphs, and how a number is written."""

import math
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

PADDING_TOKEN = "<pad>"
LARGEST_LETTERED = 16  # glyphs are drawn, and differences shown, up to 16 x 16 cells

# An opaque, warm off-white card with a border reads well on a light page and on a dark one.
CARD = "#FBFAF6"
BORDER = "#DCD6C8"
PANEL = "#F1EEE6"
INK = "#1F2933"
GREY = "#6B7280"
FAINT = "#C9C4B8"

# Colour-blind safe: deep blue and warm light differ in lightness as well as in hue; the hatch makes it safe in grey.
ALLOWED = "#1F4E8C"
ALLOWED_GLYPH = "#A9C6EC"
FORBIDDEN = "#F7E8CF"
FORBIDDEN_HATCH = "#DFC498"
FORBIDDEN_GLYPH = "#75592B"
LEAKING = "#E66100"
MISSING = "#E3D3F1"
MISSING_EDGE = "#5D3A9B"
RIGHT_ALLOWED = "#D5DEEA"
RIGHT_FORBIDDEN = "#F6F1E7"
NOT_A_NUMBER = "#B3261E"
SERIES = ("#1F4E8C", "#E66100", "#5D3A9B", "#0F7B6C", "#B08900", "#7A7F87")

MAY_ATTEND = "■"
MAY_NOT_ATTEND = "⬚"
LEAKING_GLYPH = "!"
MISSING_GLYPH = "?"
RIGHT_GLYPH = "·"

VULGAR_FRACTIONS = {
    Fraction(1, 2): "½",
    Fraction(1, 3): "⅓",
    Fraction(2, 3): "⅔",
    Fraction(1, 4): "¼",
    Fraction(3, 4): "¾",
    Fraction(1, 5): "⅕",
    Fraction(2, 5): "⅖",
    Fraction(3, 5): "⅗",
    Fraction(4, 5): "⅘",
    Fraction(1, 6): "⅙",
    Fraction(5, 6): "⅚",
    Fraction(1, 7): "⅐",
    Fraction(1, 8): "⅛",
    Fraction(3, 8): "⅜",
    Fraction(5, 8): "⅝",
    Fraction(7, 8): "⅞",
}


def number(value: float) -> str:
    """A number as every figure writes it: at most three decimals, a true minus, never a minus zero.

    ≈0 is not zero, only too small to write; numbers from a hundred thousand up are written as 3.403e38.
    """
    value = float(value)
    if math.isnan(value):
        return "NaN"
    sign = "−" if value < 0 else ""
    if math.isinf(value):
        return sign + "∞"
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 99999.5:
        mantissa, exponent = f"{size:.3e}".split("e")
        return f"{sign}{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"
    # Six decimals first: 4.3125 is exactly between two, and must not be written one way here and another there because
    # a machine computed 4.31249999.
    rounded = Decimal(repr(round(size, 6))).quantize(Decimal("0.001"), ROUND_HALF_UP)
    if rounded == 0:
        return "≈0"
    return sign + f"{rounded:f}".rstrip("0").rstrip(".")


def fraction(value: float) -> str:
    """A number as a fraction with a denominator up to 64 (¼, 3/11), or as `number` writes it where it is none."""
    value = float(value)
    if not math.isfinite(value):
        return number(value)
    nearest = Fraction(value).limit_denominator(64)
    if abs(float(nearest) - value) > 1e-6 or nearest.denominator == 1:
        return number(value)
    if nearest in VULGAR_FRACTIONS:
        return VULGAR_FRACTIONS[nearest]
    return f"{'−' if nearest < 0 else ''}{abs(nearest.numerator)}/{nearest.denominator}"


def vector(values: list[float], as_fractions: bool = False, limit: int = 8) -> str:
    """`(0.5, 0.75)`; one longer than `limit` ends in an ellipsis."""
    write = fraction if as_fractions else number
    written = [write(value) for value in values]
    if len(values) > limit:
        written = [*written[: limit - 1], "…"]
    return f"({', '.join(written)})"


def listing(words: list[str]) -> str:
    """`I, like and coffee`."""
    if not words:
        return "nothing"
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def lead(title: str | None) -> str:
    """A title as the beginning of a sentence."""
    if not title:
        return ""
    return f"{title} " if title.endswith((".", "?", "!", ":")) else f"{title}: "


def shortened(name: str, letters: int) -> str:
    """A name of at most so many letters."""
    return name if len(name) <= letters else name[: letters - 1] + "…"
