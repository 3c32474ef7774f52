"""The README's picture: `python -m workbook.figures docs/mask_lens.png` draws the mask lens of the running example."""

import math
import sys
from pathlib import Path

from .lens import mask_lens

TOKENS = ["I", "like", "coffee", "<pad>"]
SHARES = [[1, 2, 1, 4], [2, 1, 1, 4], [1, 1, 2, 4], [1, 3, 4, 8]]
VALUES = [[1, 0], [0, 1], [1, 1], [8, 8]]


def main(arguments: list[str]) -> None:
    if len(arguments) != 1 or not arguments[0].endswith(".png"):
        sys.exit("usage: python -m workbook.figures FILE.png")
    path = Path(arguments[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = mask_lens(
        [[math.log(share) for share in row] for row in SHARES],
        [[True, True, True, False]] * 4,
        VALUES,
        TOKENS,
        row=0,
        title="Hiding a key: what a padding mask does to the row of “I”",
    )
    picture.save(path)
    print(picture)


if __name__ == "__main__":
    main(sys.argv[1:])
