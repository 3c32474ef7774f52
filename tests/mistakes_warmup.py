"""Wrong answers that nobody wrote into the specification: other spellings of its mistakes, and mistakes of their own."""

import torch

MISTAKES = {
    "invert_mask": [
        ("returns its input", lambda mask: mask.bool()),
        ("returns its input", lambda mask: ~~mask),
        ("returns its input", lambda mask: torch.where(mask, True, False)),
        ("1 - mask on a bool", lambda mask: torch.sub(1, mask)),
        ("1 - mask on a bool", lambda mask: mask - 1),
        ("1 - mask on a bool", lambda mask: 1 - mask.clone()),
        ("numbers instead of bools", lambda mask: torch.where(mask, 0, 1)),
        ("numbers instead of bools", lambda mask: torch.where(mask, 0.0, 1.0)),
        ("numbers instead of bools", lambda mask: 1.0 - mask.float()),
        ("numbers instead of bools", lambda mask: 1 - mask.to(torch.uint8)),
        ("~ on integers", lambda mask: ~mask.to(torch.int64)),
        ("~ on integers", lambda mask: torch.bitwise_not(mask.int()).bool()),
        ("mask changed in place", lambda mask: mask.bitwise_not_()),
        ("mask changed in place", lambda mask: torch.logical_not(mask, out=mask)),
        (None, lambda mask: torch.zeros_like(mask)),
        ("~ on integers", lambda mask: torch.ones_like(mask)),  # the very answer of `(~mask.long()).bool()`
        (None, lambda mask: mask.flip(-1) if mask.dim() else mask),
        (None, lambda mask: (~mask).tolist()),
        (None, lambda mask: (~mask)[None]),
        (None, lambda mask: None),
        (None, lambda mask: not mask.any()),
        (None, lambda mask: (~mask,)),
    ]
}
