"""What the browser tests share: one chromium and one JupyterLab for all of them, a fresh course for each.

``learner`` is somebody in JupyterLab; ``open_page`` gives a page for anything else, such as the lesson site. Both fail
when a page writes an error on its console or asks anything of another machine.
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from tests.browser.learner import Lab, Learner, Theme


def pytest_configure() -> None:
    """Say what is missing. Nobody runs these tests but who asks for them, so that skipping them all would be no answer."""
    if importlib.util.find_spec("playwright") is None:
        raise pytest.UsageError("the browser tests need Playwright: pip install -e '.[dev]'")
    from tests.browser.learner import find_chromium

    if find_chromium() is None:
        raise pytest.UsageError(
            "the browser tests need chromium: apt install chromium (Debian), or else .venv/bin/playwright install chromium"
        )


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """Chromium without a window."""
    from tests.browser.learner import chromium, find_chromium

    path = find_chromium()
    assert path is not None
    with chromium(path) as started:
        yield started


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Lab]":
    """One JupyterLab for all tests; ``learner`` makes its course fresh."""
    from tests.browser.learner import jupyterlab

    with jupyterlab(tmp_path_factory.mktemp("lab")) as started:
        yield started


@pytest.fixture
def screenshots(tmp_path: Path) -> Path:
    """The folder for screenshots: what WORKBOOK_SCREENSHOTS names, or the test's own."""
    folder = Path(os.environ.get("WORKBOOK_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def open_page(browser: "Browser") -> "Iterator[Callable[..., Page]]":
    """``open_page(theme="light", width=1400, height=1000)`` returns a new page, as the system's theme would have it."""
    from tests.browser.learner import HEIGHT, PATIENCE, WIDTH, Complaints

    contexts = []
    complaints = Complaints()

    def opened(theme: "Theme" = "light", width: int = WIDTH, height: int = HEIGHT) -> "Page":
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        complaints.listen(page)
        return page

    yield opened
    for context in contexts:
        context.close()
    complaints.assert_none()


@pytest.fixture
def learner(lab: "Lab", open_page: "Callable[..., Page]", screenshots: Path) -> "Iterator[Learner]":
    """Somebody in JupyterLab, on a fresh course; kernels and terminals are ended afterwards."""
    from tests.browser.learner import Learner

    lab.restore()
    page = open_page()
    yield Learner(lab, page, screenshots)
    page.goto("about:blank")  # nothing on the page shall miss its kernel
    lab.restore()
