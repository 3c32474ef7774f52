"""What several tests share: one warm grading process, and how Hypothesis searches."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from workbook.grading.worker import Worker

# No test asserts a time, and a first call of torch takes longer than Hypothesis likes.
settings.register_profile("course", deadline=None)
settings.load_profile("course")


@pytest.fixture(scope="session")
def worker() -> "Iterator[Worker]":
    """A grading process with the limits of real grading."""
    from workbook.grading.worker import Worker

    with Worker() as warm:
        yield warm
