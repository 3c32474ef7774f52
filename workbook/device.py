"""The one place that chooses a device, and says which ones are to stand side by side."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

CHOICES = ("cpu", "cuda", "mps", "auto")


def device() -> "torch.device":
    """Return the device that every notebook and graded function runs on.

    ``WORKBOOK_DEVICE`` chooses it: ``cpu``, ``cuda``, ``mps`` or ``auto`` (the default: CUDA if there is one, else Apple's
    MPS, else the CPU).

    Raises:
        ValueError: ``WORKBOOK_DEVICE`` is none of the four words.
        RuntimeError: it names a device that this machine does not have.
    """
    import torch  # here, so that `import workbook` and `workbook --help` do not wait for it

    choice = os.environ.get("WORKBOOK_DEVICE", "auto").strip().lower() or "auto"
    if choice not in CHOICES:
        raise ValueError(f"WORKBOOK_DEVICE is {choice!r}; it can be {', '.join(CHOICES[:-1])} or {CHOICES[-1]}")
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if choice == "auto":
        return torch.device(next(name for name, there in present.items() if there))
    if not present[choice]:
        raise RuntimeError(f"WORKBOOK_DEVICE is {choice!r}, but torch {torch.__version__} sees no such device here")
    return torch.device(choice)


def devices(compared: str = "") -> "list[torch.device]":
    """Return the CPU and, where it is another, the chosen device, on which to run what depends on the device.

    Args:
        compared: what a GPU would add to the cell, such as ``"its times"``. Where there is only the CPU, one line says so.
    """
    import torch

    both = list(dict.fromkeys([torch.device("cpu"), device()]))
    if compared and len(both) == 1:
        print(f"Only the CPU is used here; a GPU would put {compared} beside the CPU's.")
    return both
