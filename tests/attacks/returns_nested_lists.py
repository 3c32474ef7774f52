"""Returns lists in lists in lists, and a list that holds itself."""


def invert_mask(mask):
    deep = []
    if mask.dim() == 1:
        deep.append(deep)
    for _ in range(50_000):
        deep = [deep]
    return deep
