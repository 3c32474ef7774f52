"""The lesson site in a browser: it loads, finds, is readable in light and dark, wide and narrow, and asks nobody else."""

import functools
import http.server
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.learner import PATIENCE
from tests.lesson_site import build
from workbook import course

OpenPage = Callable[..., Page]
LESSONS = [f"notebooks/{path.stem}.html" for path in sorted(course.NOTEBOOKS.glob("*.ipynb"))]
PAGES = ["docs/index.html", *LESSONS, "docs/glossary.html", "docs/running.html", "search.html?q=mask"]
WIDE, NARROW = 1400, 390


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def site(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def search(page: Page, words: str) -> list[str]:
    """Type into the box at the side, and return the titles of what is found."""
    box = page.get_by_role("textbox", name="Search")
    box.fill(words)
    box.press("Enter")
    expect(page.locator(".search-summary")).to_have_text(re.compile("found|did not match"), timeout=1000 * PATIENCE)
    return page.locator("#search-results li > a").all_inner_texts()


def severe(page: Page, *rules: str, code: bool = True) -> list[tuple[str, list[str], str]]:
    """Return what axe finds serious or critical: the rule, where, and the element; by all its rules unless some are named.

    Without ``code`` it does not look into code and printed text, which takes most of the time.
    """
    options: dict[str, object] = {
        "resultTypes": ["violations"]
    }  # all that passes, written out, takes five times as long
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    context = None if code else {"exclude": [[".highlight"]]}
    found = Axe().run(page, context=context, options=options).response
    assert found["passes"]
    serious = [finding for finding in found["violations"] if finding["impact"] in ("serious", "critical")]
    return [(finding["id"], node["target"], node["html"][:200]) for finding in serious for node in finding["nodes"]]


@pytest.mark.parametrize("name", PAGES)
def test_everybody_can_read_it(name: str, site: str, open_page: OpenPage) -> None:
    page = open_page("light", WIDE)
    page.goto(f"{site}/{name}", wait_until="networkidle")
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    code = name not in LESSONS[1:-1]  # the first and the last lesson have nearly every colour of it
    assert severe(page, code=code) == []
    page.emulate_media(color_scheme="dark")
    page.wait_for_function("light => getComputedStyle(document.body).backgroundColor != light", arg=light)
    assert severe(page, "color-contrast", "link-in-text-block", code=code) == []
    page.set_viewport_size({"width": NARROW, "height": 1000})
    assert severe(page, "scrollable-region-focusable", "target-size") == []


@pytest.mark.parametrize("name", PAGES)
def test_a_narrow_window_shows_all_of_it(name: str, site: str, open_page: OpenPage) -> None:
    page = open_page("light", NARROW)
    page.goto(f"{site}/{name}", wait_until="networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    shapes = page.locator("article img").evaluate_all(
        "all => all.map(img => [img.alt, img.width / img.height, img.naturalWidth / img.naturalHeight])"
    )
    assert [alt for alt, shown, stored in shapes if abs(shown / stored - 1) > 0.02] == []


def test_the_top_leads_to_the_first_page(site: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(site)
    page.wait_for_url("**/docs/index.html")
    page.locator("article").get_by_role("link", name="01 · Padding masks").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("01 · Padding masks")


def test_search_finds_a_word_of_a_notebook_and_a_chinese_one(site: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{site}/docs/index.html")
    assert search(page, "Megatron") == ["02 · Causal masks"]
    page.locator("#search-results li > a").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("02 · Causal masks")
    for word in ("掩码", "填充", "滑动窗口"):
        assert search(page, word)[0].startswith("Glossary"), word
    page.locator("#search-results li > a").first.click()
    expect(page.get_by_text("滑动窗口").first).to_be_visible()
    assert search(page, "xyzzy") == []


def test_it_works_from_a_folder_too(folder: Path, open_page: OpenPage) -> None:
    page = open_page()
    page.goto((folder / "index.html").as_uri())
    page.wait_for_url("**/docs/index.html")
    assert "02 · Causal masks" in search(page, "Megatron")
    assert search(page, "填充掩码")[0].startswith("Glossary")


def test_formulas_are_drawn(site: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{site}/notebooks/01_padding_masks.html")
    expect(page.locator("mjx-container").first).to_be_visible()
    assert page.locator("mjx-container").count() == page.locator("span.math").count() >= 3


def test_next_and_previous_by_keyboard(site: str, open_page: OpenPage) -> None:
    page = open_page()
    page.goto(f"{site}/docs/running.html")
    _tab_to(page, "a.prev-page")
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/glossary.html")
    page.goto(f"{site}/docs/index.html")
    _tab_to(page, "a.next-page")
    page.keyboard.press("Enter")
    page.wait_for_url("**/notebooks/00_start_here.html")


def _tab_to(page: Page, selector: str) -> None:
    for _ in range(100):
        page.keyboard.press("Tab")
        if page.evaluate("selector => document.activeElement.matches(selector)", selector):
            break
    expect(page.locator(selector)).to_be_focused()
    drawn = page.locator(selector).evaluate("link => getComputedStyle(link).outlineStyle")
    assert drawn != "none"


def test_the_theme_can_be_chosen(site: str, open_page: OpenPage) -> None:
    page = open_page("light", WIDE)
    page.goto(f"{site}/{LESSONS[0]}")
    seen = set()
    for _ in range(3):  # as the system has it, light, dark
        seen.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.get_by_role("button", name="Toggle Light / Dark / Auto color theme").locator("visible=true").click()
    assert len(seen) == 2


def test_what_is_too_wide_scrolls_by_keyboard(site: str, open_page: OpenPage) -> None:
    page = open_page("light", NARROW)
    page.goto(f"{site}/{LESSONS[0]}", wait_until="networkidle")
    block = page.locator("article pre[tabindex='0']").first
    expect(block).to_be_attached(timeout=30_000)
    block.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("block => block.scrollLeft > 0", arg=block.element_handle())


def test_pictures_of_it(site: str, open_page: OpenPage, screenshots: Path) -> None:
    for theme in ("light", "dark"):
        for width in (WIDE, NARROW):
            page = open_page(theme, width)
            for name in (
                "docs/index.html",
                "notebooks/01_padding_masks.html",
                "docs/glossary.html",
                "search.html?q=padding",
            ):
                page.goto(f"{site}/{name}", wait_until="networkidle")
                file = screenshots / f"site-{name.partition('.')[0].replace('/', '-')}-{theme}-{width}.png"
                page.screenshot(path=file)
                assert file.stat().st_size > 10_000
