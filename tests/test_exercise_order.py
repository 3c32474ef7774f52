"""The order in which exercises are met is that of the notebooks, and so are their numbers."""

import json
from pathlib import Path

import pytest

from workbook import course
from workbook.exercise_order import following, in_order, number
from workbook.specs import UnknownExercise, spec, specs


def notebook(path: Path, *cells: str) -> None:
    path.write_text(json.dumps({"cells": [{"source": cell.splitlines(keepends=True)} for cell in cells]}))


def test_every_exercise_has_a_number_and_numbers_only_grow() -> None:
    ordered = in_order()
    assert sorted(found.name for found in ordered) == sorted(found.name for found in specs())
    places = [tuple(map(int, str(number(found)).split("."))) for found in ordered]
    assert places == sorted(places)


def test_each_leads_to_the_next_one_of_the_notebooks() -> None:
    after_softmax = following("padding.masked_softmax")
    assert after_softmax is not None
    assert (after_softmax.name, number(after_softmax)) == ("padding.expand_padding_mask", "1.4")
    assert following(in_order()[-1].name) is None
    with pytest.raises(UnknownExercise, match="did you mean"):
        following("pading_mask")


def test_the_notebooks_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook(
        tmp_path / "01.ipynb",
        "**Exercise 1.1** write it",
        'x = 1\ncheck("padding.masked_mean")',  # no check's own cell
        'check("padding.masked_mean")',
        "**Exercise 1.2** two at once",
        'check("padding.padding_mask")',
        'check("padding.additive_mask")\n',
    )
    (tmp_path / "02.ipynb").write_text("{ being written")
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path)
    padding = [found.function for found in in_order() if found.topic == "padding"]
    assert padding[:3] == ["masked_mean", "padding_mask", "additive_mask"]
    assert len(padding) == len(specs(["padding"]))
    assert [number(spec(name)) for name in ("masked_mean", "additive_mask", "causal_mask")] == ["1.1", "1.2", None]
    assert in_order()[0].name == "warmup.invert_mask"  # in no notebook, but its topic is the first


def test_without_notebooks_it_is_the_order_of_the_specifications(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "NOTEBOOKS", tmp_path / "none")
    assert in_order() == specs()
