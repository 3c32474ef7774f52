"""The lesson site builds without a warning, holds what the notebooks hold, and leads nowhere that is not there."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.lesson_site import Page, build
from workbook import course

NOTEBOOKS = {path.stem: path for path in sorted(course.NOTEBOOKS.glob("*.ipynb"))}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
# What a learner will look for, as it must be found in the glossary.
ENGLISH = """token; batch; embedding; self-attention; cross-attention; query; key; value; score; attention weight; softmax;
scaled dot-product attention; SDPA; head; multi-head attention; grouped-query attention; GQA; encoder; decoder; attention sink;
mask; attention mask; padding mask; causal mask; look-ahead mask; sliding window; prefix LM; soft prompt; tree attention;
loss mask; polarity; boolean mask; additive mask; bias; negative infinity; key_padding_mask; attn_mask; is_causal;
mask function; dense mask; broadcast; left padding; right padding; position ids; KV cache; packed documents; cu_seqlens;
nested tensor; teacher forcing; backend; kernel; FlashAttention; FlexAttention; block mask; fully masked row; NaN; leaking;
missing; perturbation; oracle; misconception"""
CHINESE_TERMS = (
    "掩码 注意力掩码 填充掩码 键填充掩码 因果掩码 前瞻掩码 损失掩码 加性掩码 布尔掩码 块掩码 词元 查询 键 值 注意力分数 "
    "注意力权重 缩放点积注意力 多头注意力 分组查询注意力 交叉注意力 自注意力 滑动窗口 前缀语言模型 打包的文档 广播 键值缓存 "
    "左填充 右填充 极性 全掩码行 泄漏 扰动"
)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def pages(site: Path) -> dict[str, Page]:
    return {path.relative_to(site).as_posix(): Page(path) for path in sorted(site.rglob("*.html"))}


def outputs(name: str) -> Iterator[dict]:
    for cell in json.loads(NOTEBOOKS[name].read_text(encoding="utf-8"))["cells"]:
        yield from cell.get("outputs", [])


def words(text: str) -> str:
    return " ".join(text.split())


def test_make_builds_it_with_warnings_as_errors_where_git_does_not_look() -> None:
    recipe = (course.PROJECT / "Makefile").read_text(encoding="utf-8").partition("\nsite:")[2].partition("\n\n")[0]
    assert re.search(r"-m sphinx .*-W .*-c docs .* \. docs/_build/html$", recipe, re.MULTILINE), recipe
    assert "docs/_build/" in (course.PROJECT / ".gitignore").read_text(encoding="utf-8").split()


def test_each_notebook_is_a_page_reached_by_next_from_the_first_page_in_order(
    pages: dict[str, Page], site: Path
) -> None:
    seen = [site / "docs" / "index.html"]
    while following := pages[seen[-1].relative_to(site).as_posix()].relations.get("next"):
        seen.append((seen[-1].parent / following).resolve())
    assert [path.stem for path in seen] == ["index", *NOTEBOOKS, "glossary", "running"]


def test_each_page_leads_to_every_other_by_the_list_at_its_side(pages: dict[str, Page], site: Path) -> None:
    wanted = {f"notebooks/{name}.html" for name in NOTEBOOKS} | {"docs/glossary.html", "docs/running.html"}
    for name in wanted | {"docs/index.html", "search.html"}:
        linked = {pages[name].local(address)[0] for tag, address in pages[name].references if tag == "a"}
        assert wanted <= {path.relative_to(site).as_posix() for path in linked if path.is_relative_to(site)}, name


def test_the_first_page_says_of_each_notebook_what_it_is_for(pages: dict[str, Page]) -> None:
    index = words(pages["docs/index.html"].text)
    rows = re.findall(
        r"^\| `(\d\d_\w+)` \| (.*?) \|", (course.PROJECT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert [name for name, _ in rows] == list(NOTEBOOKS)
    for name, purpose in rows:
        title = next(text for tag, _, text in pages[f"notebooks/{name}.html"].texts if tag == "h1")
        assert title in index
        assert purpose.replace("`", "").replace("'", "’") in index


def test_every_address_on_the_site_leads_somewhere_and_nothing_is_fetched_from_elsewhere(
    pages: dict[str, Page], site: Path
) -> None:
    broken, elsewhere, odd = [], [], []
    for name, page in pages.items():
        for tag, address in page.references:
            parts = urlsplit(address)
            if parts.scheme == "data" and tag == "img":
                continue
            if parts.scheme or parts.netloc:
                elsewhere += [] if tag == "a" else [(name, tag, address)]
                well_formed = parts.scheme == "https" and re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc)
                odd += [] if well_formed and not re.search(r"\s", address) else [(name, address)]
                continue
            path, anchor = page.local(address)
            there = path.is_file() and path.is_relative_to(site)
            if there and anchor and path.suffix == ".html":
                there = anchor in pages[path.relative_to(site).as_posix()].anchors
            broken += [] if there else [(name, address)]
    assert (broken, elsewhere, odd) == ([], [], [])


def test_style_sheets_fetch_nothing_from_elsewhere(site: Path) -> None:
    sheets = sorted(site.rglob("*.css"))
    assert sheets
    for sheet in sheets:
        style = sheet.read_text(encoding="utf-8")
        assert "@import" not in style, sheet
        for address in re.findall(r"url\(\s*[\"']?([^\"')]+)", style):
            assert address.startswith(("data:", "#")) or (sheet.parent / address.partition("?")[0]).is_file(), address


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_picture_has_its_alternative_text_and_its_size(name: str, pages: dict[str, Page]) -> None:
    stored = [output["metadata"]["image/png"] for output in outputs(name) if "image/png" in output.get("data", {})]
    shown = [picture for picture in pages[f"notebooks/{name}.html"].pictures if not picture["src"].startswith("data:")]
    assert stored
    assert [picture["alt"] for picture in shown] == [described["alt"] for described in stored]
    for side in ("width", "height"):
        assert [picture[side] for picture in shown] == [str(described[side]) for described in stored]


def test_no_picture_is_without_a_text(pages: dict[str, Page]) -> None:
    assert [
        (name, picture["src"][:60])
        for name, page in pages.items()
        for picture in page.pictures
        if not picture.get("alt")
    ] == []


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_what_the_cells_said_is_on_the_page(name: str, pages: dict[str, Page]) -> None:
    page = pages[f"notebooks/{name}.html"]
    printed = [line for output in outputs(name) if "text" in output for line in "".join(output["text"]).splitlines()]
    assert printed
    assert [line for line in printed if line not in page.text] == []
    assert "nbval" not in page.text
    assert "application/vnd.jupyter" not in page.path.read_text(encoding="utf-8")


def entries(page: Page) -> list[tuple[list[tuple[str, str]], str]]:
    """Return each entry of the glossary: its terms, each with its language, and what it says."""
    found = []
    source = page.path.read_text(encoding="utf-8")
    for terms, said in re.findall(r'((?:<dt id="term-.*?</dt>\s*)+)<dd>(.*?)</dd>', source, re.DOTALL):
        named = re.findall(r'<dt [^>]*>(?:<span lang="(\w+)">)?([^<]+)', terms)
        found.append(([(language or "en", term.strip()) for language, term in named], said))
    return found


def test_the_glossary_has_every_term_once_in_both_languages_and_says_where_it_is_taught(pages: dict[str, Page]) -> None:
    glossary = entries(pages["docs/glossary.html"])
    terms = [term for named, _ in glossary for term in named]
    assert len(terms) == len(set(terms))
    assert {("en", words(term)) for term in ENGLISH.split(";")} <= set(terms)
    assert {("zh", term) for term in CHINESE_TERMS.split()} <= set(terms)
    for named, said in glossary:
        assert "zh" in dict(named) or "untranslated" in said, named
        assert re.search(r'href="\.\./notebooks/\w+\.html#[\w-]+"', said), named


def test_chinese_is_said_to_be_chinese(pages: dict[str, Page]) -> None:
    spoken = [
        (name, language) for name, page in pages.items() for _, language, text in page.texts if CHINESE.search(text)
    ]
    assert len(spoken) > 60
    assert {language for _, language in spoken} == {"zh"}


def test_search_knows_a_chinese_word_inside_a_longer_one(site: Path) -> None:
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    found = json.loads(re.fullmatch(r"Search\.setIndex\((.*)\)", index, re.DOTALL)[1])  # type: ignore[index]
    glossary = found["docnames"].index("docs/glossary")
    for word in ("掩码", "填充", "窗口", "填充掩码"):
        assert found["terms"][word] == glossary, word
    assert len(found["terms"]["polar"]) > 2  # polarity, stemmed: in the glossary and in notebooks


def test_it_is_small(site: Path) -> None:
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 30e6
