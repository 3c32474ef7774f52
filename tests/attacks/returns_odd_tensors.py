"""Returns, case by case, another kind of tensor that has no plain values: meta, sparse, quantized, nested, complex."""

import torch

KINDS = (
    lambda mask: mask.to("meta"),
    lambda mask: mask.float().to_sparse(),
    lambda mask: torch.quantize_per_tensor(mask.float(), 0.1, 0, torch.quint8),
    lambda mask: torch.nested.nested_tensor([mask.float()]),
    lambda mask: mask.to(torch.complex64).conj(),
    lambda mask: mask.to(torch.float8_e4m3fn),
    lambda mask: torch._C._functorch._wrap_for_grad(mask.float(), 1) if mask.dim() else mask,
    lambda mask: torch.empty(mask.shape, dtype=torch.bool).set_(torch.UntypedStorage(0), 0, (2**40,), (0,)),
)
calls = [0]


def invert_mask(mask):
    calls[0] += 1
    return KINDS[calls[0] % len(KINDS)](mask)
