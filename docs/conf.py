"""The lesson site: the executed notebooks as static pages that need no network. `make site` builds it.

The source is the project's folder, of which only docs/*.md and notebooks/*.ipynb are pages:

    python -m sphinx -c docs . docs/_build/html

The notebooks' stored outputs are shown, nothing is run.
"""

import base64
import hashlib
import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

PROJECT = Path(__file__).resolve().parent.parent
CHINESE = re.compile(r"[\u4e00-\u9fff]+")

project = "Attention masks, worked through"
version = release = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
language = "en"
extensions = ["myst_nb", "sphinx.ext.mathjax"]
include_patterns = ["docs/*.md", "notebooks/*.ipynb"]
exclude_patterns = [".*", "*.egg-info", "workbook", "solutions", "tests", "docs/_build"]  # folders not even looked into
root_doc = "docs/index"
nitpicky = True

nb_execution_mode = "off"
nb_merge_streams = True
nb_ipywidgets_js: dict[str, Any] = {}  # a page shows a widget's picture or text
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "text/html", 1)]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # recall questions stand one level lower than what follows them, in every notebook

html_theme = "furo"
html_title = project
html_favicon = "_static/icon.svg"
html_extra_path = ["index.html"]  # at the top, leads to docs/index.html
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_copy_source = False
html_use_index = False
html_scaled_image_link = False
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"

# MathJax from its package, and of it the one file that needs no other: all of it would be 24 MB.
_mathjax = importlib.util.find_spec("sphinx-mathjax-offline")
if _mathjax is None or _mathjax.origin is None:
    raise ModuleNotFoundError("the site needs sphinx-mathjax-offline; run: make setup")
mathjax_path = "tex-svg.js"
html_static_path = ["_static", str(Path(_mathjax.origin).parent / "static" / "mathjax" / mathjax_path)]


class SearchEnglishAndChinese(SearchEnglish):
    """Finds a Chinese word inside a longer one: Chinese is written without spaces, and each pair of characters counts."""

    lang = "en"

    def split(self, input: str) -> list[str]:
        pairs = [run[place : place + 2] for run in CHINESE.findall(input) for place in range(len(run) - 1)]
        return super().split(input) + pairs


def describe_pictures(app: Sphinx, document: nodes.document) -> None:
    """Give each picture of a notebook the alt text that is stored beside it; myst-nb names a picture's file by its hash."""
    source = PROJECT / f"{app.env.docname}.ipynb"
    if not source.exists():
        return
    told = {}
    for cell in json.loads(source.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                picture = base64.b64decode("".join(output["data"]["image/png"]))
                told[hashlib.sha256(picture).hexdigest()] = alt
    for image in document.findall(nodes.image):
        image["alt"] = told.get(Path(image["uri"]).stem) or image.get("alt", "")


def mark_chinese(app: Sphinx, document: nodes.document) -> None:
    """Say of Chinese words that they are Chinese, so that a screen reader reads them aloud as such."""
    for text in list(document.findall(nodes.Text)):
        if CHINESE.search(text) and not isinstance(text.parent, nodes.literal):
            parts = re.split(f"({CHINESE.pattern})", text)
            spoken = [nodes.inline("", part, classes=["language-zh"]) for part in parts[1::2]]
            plain = [nodes.Text(part) for part in parts[0::2]]
            mixed = [node for pair in zip(plain, [*spoken, nodes.Text("")], strict=True) for node in pair]
            text.parent.replace(text, mixed)


def link_notebooks(app: Sphinx, document: nodes.document) -> None:
    """Make `00_start_here`, as the README's table of notebooks has it, the title of that page and a link to it."""
    for literal in list(document.findall(nodes.literal)):
        page = f"notebooks/{literal.astext()}"
        if page in app.env.found_docs:
            link = addnodes.pending_xref("", refdomain="std", reftype="doc", reftarget=f"/{page}", refexplicit=False)
            link["refdoc"] = app.env.docname
            link += nodes.inline("", literal.astext())  # the page's title comes here
            literal.replace_self(link)


def setup(app: Sphinx) -> None:
    app.add_search_language(SearchEnglishAndChinese)
    for change in (describe_pictures, mark_chinese, link_notebooks):
        app.connect("doctree-read", change)
