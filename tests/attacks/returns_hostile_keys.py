"""Returns dicts whose keys are not text: they raise, they never end, they are a hundred times the same."""


class Key:
    def __init__(self, number):
        self.number = number

    def __hash__(self):
        return 1

    def __eq__(self, other):
        return self is other

    def __str__(self):
        if self.number == 50:
            raise SystemExit("printed")
        return "same" * 10**self.number if self.number < 7 else "same"


def invert_mask(mask):
    return {Key(number): mask for number in range(100 if mask.dim() == 2 else 6)}
