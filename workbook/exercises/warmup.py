"""Notebook 00. The first function: turn "may attend" into "must be ignored", and back."""

from jaxtyping import Bool
from torch import Tensor

from workbook import exercise


@exercise
def invert_mask(mask: Bool[Tensor, "*axes"]) -> Bool[Tensor, "*axes"]:
    """True = ignore becomes True = may attend, and the other way round.

    The padding of "I like coffee <pad>", once as a mask of what to ignore, once as a mask of what may be attended to:

        ignore    ⬚ ⬚ ⬚ ■          ■ True
        allowed   ■ ■ ■ ⬚          ⬚ False

    Args:
        mask: bool, of any shape.

    Returns:
        A new bool tensor of the same shape, every cell turned over.
    """
    raise NotImplementedError("warmup.invert_mask")
