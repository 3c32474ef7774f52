"""Returns, where a dict is wanted, one of many long keys, and elsewhere texts of many megabytes."""


def nn_transformer_masks(*arguments, **keywords):
    return {f"{number:04}" + "x" * 490: None for number in range(500)}


def invert_mask(mask):
    return ["x" * 10**7] * 10 if mask.dim() == 1 else nn_transformer_masks()
