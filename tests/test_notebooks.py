"""What holds for every notebook as it is stored: pictures in words, headings in order, predictions, progress, devices."""

import ast
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from workbook import course

PATHS = sorted(course.NOTEBOOKS.glob("*.ipynb"))
Cell = dict[str, Any]

every_notebook = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)


def cells(path: Path, kind: str) -> list[Cell]:
    return [cell for cell in json.loads(path.read_bytes())["cells"] if cell["cell_type"] == kind]


def source(cell: Cell) -> str:
    return "".join(cell["source"])


def ignored(cell: Cell) -> bool:
    return "nbval-ignore-output" in cell["metadata"].get("tags", [])


def calls(cell: Cell) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(source(cell))) if isinstance(node, ast.Call)]


def called(cell: Cell, name: str) -> list[ast.Call]:
    """The calls of a function or method of that name."""
    return [call for call in calls(cell) if ast.unparse(call.func).rpartition(".")[2] == name]


def headings(path: Path) -> list[tuple[int, str]]:
    prose = re.sub(r"```.*?```", "", "\n\n".join(source(cell) for cell in cells(path, "markdown")), flags=re.S)
    return [(len(marks), words) for marks, words in re.findall(r"^(#+) +(.*)$", prose, re.M)]


def sections(path: Path) -> dict[str, list[Cell]]:
    """The code cells under each numbered heading, such as `## 3 · Columns`."""
    found: dict[str, list[Cell]] = {}
    current: list[Cell] = []
    for cell in json.loads(path.read_bytes())["cells"]:
        if cell["cell_type"] == "code":
            current.append(cell)
        for words in re.findall(r"^## +(.*)$", source(cell), re.M) if cell["cell_type"] == "markdown" else ():
            current = []
            if re.match(r"\d+ · ", words):
                found[words] = current
    return found


def test_there_are_nine() -> None:
    assert [path.name[:2] for path in PATHS] == [f"{number:02}" for number in range(9)]


@every_notebook
def test_every_picture_is_also_in_words(path: Path) -> None:
    pictures = [
        (cell["id"], output["metadata"])
        for cell in cells(path, "code")
        for output in cell["outputs"]
        if any(kind.startswith("image/") for kind in output.get("data", {}))
    ]
    assert pictures
    assert [name for name, said in pictures if not said.get("image/png", {}).get("alt", "").strip()] == []
    prose = "\n".join(source(cell) for cell in cells(path, "markdown"))
    assert re.findall(r"!\[\s*\]\(|<img(?![^>]*\balt=\"[^\"]+\")", prose) == []


@every_notebook
def test_no_widget_is_stored(path: Path) -> None:
    """Its id is drawn anew in each session, and names what no reader has."""
    kinds = {kind for cell in cells(path, "code") for output in cell["outputs"] for kind in output.get("data", {})}
    assert {kind for kind in kinds if "widget" in kind} == set()
    assert "widgets" not in json.loads(path.read_bytes())["metadata"]


@every_notebook
def test_headings_are_in_order(path: Path) -> None:
    levels = [level for level, _ in headings(path)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    jumps = [words for (above, _), (below, words) in pairwise(headings(path)) if below > above + 1]
    assert jumps == []


@every_notebook
def test_links_say_where_they_lead(path: Path) -> None:
    prose = "\n".join(source(cell) for cell in cells(path, "markdown"))
    words = [text.strip().strip("`*") for text, _ in re.findall(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)[^)]*\)", prose)]
    assert [text for text in words if text.lower() in ("", "here", "link", "this", "more") or "://" in text] == []
    assert re.findall(r"(?<![(<`\w])https?://\S+", prose) == []


@every_notebook
def test_no_sentence_rests_on_a_colour(path: Path) -> None:
    names = "blue|orange|red|purple|violet|yellow|grey|gray|dark|light"
    colour = rf"\b(?:the|any|some|a|in) (?:{names})\b(?! tea)"
    assert [cell["id"] for cell in cells(path, "markdown") if re.search(colour, source(cell), re.I)] == []


@every_notebook
def test_progress_closes_a_notebook_and_counts_predictions(path: Path) -> None:
    everything = json.loads(path.read_bytes())["cells"]
    code = [place for place, cell in enumerate(everything) if cell["cell_type"] == "code"]
    last = everything[code[-1]]
    assert re.fullmatch(r'progress\((?:"\w+")?\)', source(last))
    assert ignored(last)
    before = everything[code[-1] - 1]
    assert before["cell_type"] == "markdown"
    assert re.search(r"predictions in\s+this session", source(before))


@every_notebook
def test_every_section_asks_for_a_prediction(path: Path) -> None:
    without = [name for name, code in sections(path).items() if not any(called(cell, "predict") for cell in code)]
    assert without == (["5 · Where your work lives"] if path.name.startswith("00") else [])


@every_notebook
def test_every_prediction_is_made_alone_and_revealed_later(path: Path) -> None:
    asked: dict[str, str] = {}
    for cell in cells(path, "code"):
        for reveal in called(cell, "reveal"):
            name = ast.unparse(reveal.func).rpartition(".")[0]
            assert name in asked, f"{cell['id']} reveals {name}, which nothing waits for"
            del asked[name]
        for node in ast.parse(source(cell)).body:
            if isinstance(node, ast.Assign) and called({"source": [ast.unparse(node)]}, "predict"):
                name = ast.unparse(node.targets[0])
                assert name not in asked, f"{asked.get(name)} is never revealed"
                assert source(cell).endswith(f"\n{name}"), f"{cell['id']} does not show its question"
                asked[name] = cell["id"]
    assert asked == {}


@every_notebook
def test_what_depends_on_the_device_is_not_compared(path: Path) -> None:
    beside = [cell for cell in cells(path, "code") if called(cell, "devices")]
    assert [cell["id"] for cell in beside if not ignored(cell)] == []
    silent = [cell["id"] for cell in beside for call in called(cell, "devices") if not call.args]
    assert silent == [], "on a machine without a GPU a cell says what it leaves out"


@every_notebook
def test_only_the_workbook_names_a_device(path: Path) -> None:
    named = r"""["'](?:cuda|mps)\b|\.cuda\(|\btorch\.device\("""
    code = [cell for cell in cells(path, "code") if re.search(named, source(cell))]
    asked = [cell for cell in code if called(cell, "predict")]  # notebook 00 asks which one it will be
    assert [cell["id"] for cell in code if cell not in asked] == []


def test_timings_kernels_and_half_precision_stand_side_by_side() -> None:
    beside = {path.name[:2] for path in PATHS for cell in cells(path, "code") if called(cell, "devices")}
    assert beside >= {"01", "03", "05", "06", "07", "08"}
