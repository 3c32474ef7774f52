"""Where there is no time for all cases, the most telling ones of each function tell nearly all known wrong answers."""

import pytest

from tests.telling_cases import COUNT, caught, most_telling
from workbook.grading.judge import examination
from workbook.grading.worker import Worker
from workbook.specs import Spec, spec, specs
from workbook.specs.telling import TELLING, telling

FRESH_SEED = 5  # not one of those that the table was made from


def test_the_table_names_six_cases_of_every_function() -> None:
    assert list(TELLING) == [each.name for each in specs()]
    for name, places in TELLING.items():
        count = len(examination(name, FRESH_SEED).cases)
        assert len(set(places)) == len(places) == COUNT
        assert all(0 <= place < count for place in places)


def test_six_cases_tell_nearly_all_known_wrong_answers_under_another_seed() -> None:
    wrong = {each.name: caught(each, FRESH_SEED, TELLING[each.name]) for each in specs()}
    everything = sum(len(caught(each, FRESH_SEED)) for each in specs())
    found = sum(len(cases) for cases in wrong.values())
    assert everything > 2_000
    assert found / everything > 0.99, f"{everything - found} are not found: run python -m tests.telling_cases"


def test_the_table_is_what_its_maker_makes() -> None:
    for name in ("padding.padding_mask", "sdpa.combine_additive"):
        assert most_telling(spec(name)) == TELLING[name]


@pytest.mark.parametrize(
    ("name", "cases", "count", "expected"),
    [
        ("padding.padding_mask", 10, 6, sorted(TELLING["padding.padding_mask"])),
        ("padding.padding_mask", 10, 10, list(range(10))),
        ("padding.padding_mask", 10, 99, list(range(10))),
        ("no.function_of_the_course", 4, 2, [0, 1]),
    ],
)
def test_cases_are_chosen_in_their_order(name: str, cases: int, count: int, expected: list[int]) -> None:
    assert telling(name, cases, count) == expected


def test_an_examination_of_some_cases_is_another_one_with_the_same_inputs() -> None:
    whole, some = examination("padding.padding_mask", 1), examination("padding.padding_mask", 1, 6)
    assert some is examination("padding.padding_mask", 1, 6) is not whole
    assert [case.about for case in some.cases] == [
        whole.cases[place].about for place in sorted(TELLING["padding.padding_mask"])
    ]


def test_a_worker_asks_so_many_cases_and_judges_by_them() -> None:
    chosen: Spec = spec("warmup.invert_mask")
    left_out = next(place for place in range(8) if place not in TELLING[chosen.name])
    about = examination(chosen.name, 0).cases[left_out].about
    with Worker(cases=6) as some, Worker() as all_cases:
        right = {"warmup": b"def invert_mask(mask):\n    return ~mask\n"}
        assert [(verdict.passed, verdict.cases) for verdict in some.grade(right, [chosen], 0)] == [(True, 6)]
        wrong = {"warmup": b"def invert_mask(mask):\n    return mask\n"}
        (verdict,) = some.grade(wrong, [chosen], 0)
        assert (verdict.passed, verdict.cases) == (False, 6)
        assert verdict.misconception is not None
        (verdict,) = all_cases.grade(wrong, [chosen], 0)
        assert verdict.cases == len(examination(chosen.name, 0).cases) > 6
    assert about not in {case.about for case in examination(chosen.name, 0, 6).cases}
