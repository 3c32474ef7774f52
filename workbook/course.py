"""What the course is called, which topics it has, and where their files lie."""

from pathlib import Path

COURSE = "attention-mask-workbook"
VERSION = "0.1.0"

#: Topics in teaching order; one module of this name stands in exercises/, specs/, hints/, solutions/ and tests/.
TOPICS = ("warmup", "padding", "causal", "multihead", "converter", "sdpa", "modern", "capstone")

PACKAGE = Path(__file__).resolve().parent
PROJECT = PACKAGE.parent
EXERCISES = PACKAGE / "exercises"
HINTS = PACKAGE / "hints"
SOLUTIONS = PROJECT / "solutions"
NOTEBOOKS = PROJECT / "notebooks"
