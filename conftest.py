"""What every test and every notebook under nbval runs with, however pytest was started."""

import os

import pytest


def pytest_configure(config: pytest.Config) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"  # a model that is not there fails at once
    # All tensors are small: a second thread only waits, and on a busy machine it waits long.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["WORKBOOK_FALLBACK"] = "silent"  # a notebook prints the same untouched and solved
    os.environ.pop("MPLBACKEND", None)  # a kernel chooses the one that stores pictures in the notebook
    if not config.getoption("nbval", False):
        # Under nbval they say which state and device the notebooks are run in, and reach the kernels.
        os.environ.pop("WORKBOOK_IMPLEMENTATION", None)
        os.environ.pop("WORKBOOK_DEVICE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if not marked:
        return
    import torch  # only here: it takes seconds

    if not torch.cuda.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=f"torch {torch.__version__} sees no CUDA device here"))
