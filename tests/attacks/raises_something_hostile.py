"""Raises an error whose class has a name of a million letters, whose text raises, and whose type lies."""


class Text(str):
    def __getitem__(self, place):
        raise SystemExit("cut")

    def __str__(self):
        return self


class Hostile(Exception):
    def __str__(self):
        if self.args[0] == 0:
            raise SystemExit("printed")
        return Text('=HYPERLINK("x") <script>\ud800\0\x1b[2J' * 100)

    @property
    def __traceback__(self):
        raise KeyboardInterrupt


Hostile.__name__ = "<script>" * 1_000_000


def invert_mask(mask):
    raise Hostile(mask.dim())
