"""What ``check`` and ``progress`` show in a notebook: for every eye, with and without styles, by mouse and by keyboard."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="Playwright is not installed; pip install -e '.[dev]'")
pytest.importorskip("axe_playwright_python", reason="axe is not installed; pip install -e '.[dev]'")

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.learner import Theme
from workbook import check, course
from workbook.grading.checking import Progress
from workbook.grading.feedback import as_html
from workbook.grading.verdict import Verdict
from workbook.hints import hints
from workbook.specs import specs

OpenPage = Callable[..., Page]

# What JupyterLab sets an output in, and its table's stripes, in its two themes.
LOOKS = {
    "light": "body{background:#fff;color:rgba(0,0,0,.87)} tr:nth-child(odd){background:#f5f5f5}",
    "dark": "body{background:#111;color:#fff} tr:nth-child(odd){background:#212121}",
}
STYLE = "body{font:14px/1.43 sans-serif} code,pre{font:13px monospace} img{max-width:100%} td,th{padding:.5em}"


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """HTML of each kind of verdict, and of progress."""

    def wrong(attention_mask, num_heads, query_length):
        return attention_mask.bool()[:, None, :, None].expand(-1, num_heads, -1, attention_mask.shape[1])

    verdicts = {
        "wrong": check("padding.expand_padding_mask", function=wrong),
        "passed": check("warmup.invert_mask", function=lambda mask: ~mask),
        "raised": check("warmup.invert_mask", function=lambda mask: 1 - mask),
        "not attempted": Verdict("causal.causal_mask", "not attempted", 0, 1, reason="Nothing is written here yet."),
        "timed out": Verdict("causal.causal_mask", "timed out", 0, 1, reason="You stopped it."),
    }
    assert all(verdict.status == status for status, verdict in verdicts.items())
    every = [Verdict(found.name, "not attempted", 0, found.points, found.practice) for found in specs()]
    every[1:3] = [verdicts["passed"], verdicts["raised"]]
    progress = Progress(every, {"How much?": (3, 4), "Which cells?": (9, 16)})
    found = {status: as_html(verdict) for status, verdict in verdicts.items()}
    return found | {"progress": progress._repr_mimebundle_()["text/html"]}


def page_of(shown: dict[str, str], theme: Theme = "light") -> str:
    body = "".join(f"<section>{html}</section>" for html in shown.values())
    style = f"{STYLE} section{{margin:18px 0}} {LOOKS[theme]}"
    head = f"<head><title>Verdicts</title><style>{style}</style></head>"
    return f"<!doctype html><html lang=en>{head}<body><main><h1>Verdicts</h1>{body}</main></body></html>"


@pytest.mark.parametrize("width", [1400, 700])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(
    shown: dict[str, str], open_page: OpenPage, screenshots: Path, theme: Theme, width: int
) -> None:
    page = open_page(theme=theme, width=width)
    page.set_content(page_of(shown, theme))
    for opened in (False, True):
        page.evaluate("opened => document.querySelectorAll('details').forEach(each => each.open = opened)", opened)
        page.screenshot(path=screenshots / f"check-{theme}-{width}{'-open' * opened}.png", full_page=True)
        found = Axe().run(page).response
        assert {finding["id"] for finding in found["passes"]} >= {"color-contrast", "image-alt"}
        assert [(finding["id"], [node["html"] for node in finding["nodes"]]) for finding in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_a_hint_opens_by_keyboard_and_shows_where_the_focus_is(shown: dict[str, str], open_page: OpenPage) -> None:
    page = open_page()
    page.set_content(page_of({"raised": shown["raised"]}))
    level = hints("warmup.invert_mask")
    expect(page.get_by_text(level[0])).to_be_hidden()
    page.keyboard.press("Tab")
    focused = page.locator("summary:focus")
    expect(focused).to_have_text("Hint 1: a question")
    assert focused.evaluate("each => getComputedStyle(each).outlineStyle") != "none"
    page.keyboard.press("Enter")
    expect(page.get_by_text(level[0])).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator("summary:focus")).to_have_text("Hint 2: a pointer")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.locator("pre")).to_be_visible()
    assert page.locator("pre").inner_text().strip() == level[2].strip()


def test_where_styles_are_stripped_everything_is_still_said(shown: dict[str, str], open_page: OpenPage) -> None:
    page = open_page()
    page.set_content(re.sub(r' style="[^"]*"', "", page_of({"wrong": shown["wrong"], "passed": shown["passed"]})))
    assert page.locator("[style]").count() == 0
    page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    text = page.locator("main").inner_text()
    assert "✗ padding.expand_padding_mask · 0 of 2 points · wrong" in text
    assert "[expected]     [yours]        [difference]" in text
    assert "! leaking: seen but forbidden   ? missing: allowed but not seen" in text
    assert "✓ warmup.invert_mask · 1 of 1 point" in text
    assert "Next: exercise 1.1, padding.padding_mask in workbook/exercises/padding.py" in text
    assert "return ~mask" in text
    picture = page.get_by_role("img")
    assert (picture.get_attribute("alt") or "").startswith("Expected, yours and the difference: 3 leaking")
    assert picture.evaluate("each => each.complete && each.naturalWidth > 300")


def test_the_wrong_cells_can_be_told_apart_without_colour(
    shown: dict[str, str], open_page: OpenPage, screenshots: Path
) -> None:
    """Grey, a leaking cell is dark with a ``!``, a missing one light with a ``?`` and an outline."""
    page = open_page()
    page.set_content(page_of({"wrong": shown["wrong"]}).replace("</style>", " html{filter:grayscale(1)}</style>"))
    page.screenshot(path=screenshots / "check-grey.png", full_page=True)
    source = page.get_by_role("img").get_attribute("src") or ""
    page.goto(source)
    cells = {glyph: page.locator(f"text=/^\\{glyph}$/") for glyph in "!?"}
    assert {glyph: found.count() for glyph, found in cells.items()} == {"!": 3 + 1, "?": 3 + 1}  # and one in the legend
    outlined = page.locator("rect[style*='stroke-width']").count()
    assert outlined == 3, "the missing cells alone are outlined"


def test_the_page_of_a_passed_function_needs_no_solutions(
    shown: dict[str, str], open_page: OpenPage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(course, "SOLUTIONS", tmp_path)
    page = open_page()
    page.set_content(page_of({"passed": as_html(check("warmup.invert_mask", function=lambda mask: ~mask))}))
    page.get_by_text("Compare with the reference").click()
    expect(page.get_by_text("workbook/specs/warmup.py")).to_be_visible()
