"""``check`` and ``progress``: the learner's file as it is saved now, judged in this process and shown."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from workbook import check, course, predictions, progress
from workbook.exercise_order import in_order
from workbook.figures.texttable import text_cells
from workbook.grading import checking
from workbook.grading.feedback import MARKS, NOTHING_MENDED, as_html, as_plain_text, as_text, bar
from workbook.grading.gradebook import GradedSubmission
from workbook.grading.reports import write_reports
from workbook.grading.verdict import Verdict
from workbook.hints import LEVELS, hints
from workbook.specs import UnknownExercise, spec, specs
from workbook.specs.stubs import topic_source

WARMUP = "from workbook import exercise\n\n\n@exercise\ndef invert_mask(mask):\n    "


@pytest.fixture
def exercises(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of untouched exercises in place of the learner's own."""
    for topic in course.TOPICS:
        (tmp_path / f"{topic}.py").write_text(topic_source(topic), encoding="utf-8")
    monkeypatch.setattr(course, "EXERCISES", tmp_path)
    monkeypatch.delenv("WORKBOOK_IMPLEMENTATION", raising=False)
    monkeypatch.setattr(predictions, "made", {})
    return tmp_path


def test_a_check_judges_what_is_saved_now(exercises: Path) -> None:
    assert check("warmup.invert_mask").status == "not attempted"
    (exercises / "warmup.py").write_text(WARMUP + "return mask")
    assert check("warmup.invert_mask").misconception == "returns its input"
    (exercises / "warmup.py").write_text(WARMUP + "return ~mask")
    assert check("warmup.invert_mask").passed
    assert check("invert_mask").passed


@pytest.mark.parametrize(
    ("body", "module"),
    [
        (
            "from workbook.conventions import from_allowed\n    return from_allowed(mask, 'ignore')",
            "workbook.conventions",
        ),
        ("import workbook.specs.warmup as w\n    return w.invert_mask(mask)", "workbook.specs.warmup"),
        ("from workbook.exercises.padding import padding_mask\n    return ~mask", "workbook.exercises.padding"),
        ("from solutions.warmup import invert_mask as answer\n    return answer(mask)", "solutions.warmup"),
    ],
)
def test_a_check_refuses_what_a_submission_could_not_import(exercises: Path, body: str, module: str) -> None:
    (exercises / "warmup.py").write_text(WARMUP + body)
    verdict = check("warmup.invert_mask")
    assert (verdict.status, verdict.points) == ("raised", 0)
    assert verdict.reason == f"warmup.py imports {module} in line 6, which is not there when a submission is graded."


def test_a_check_hands_over_the_files_own_classes_as_grading_does(exercises: Path) -> None:
    source = topic_source("multihead").replace(
        'raise NotImplementedError("multihead.multi_head_attention")',
        "assert isinstance(weights, MultiheadWeights)\n    return query, key",
    )
    (exercises / "multihead.py").write_text(source)
    verdict = check("multihead.multi_head_attention")
    assert verdict.status == "wrong", verdict.reason


def test_what_a_file_sets_for_torch_does_not_reach_the_cases(exercises: Path) -> None:
    import torch

    source = "import torch\ntorch.set_default_dtype(torch.float16)\n"
    (exercises / "padding.py").write_text(source + (course.SOLUTIONS / "padding.py").read_text())
    try:
        assert all(verdict.passed for verdict in checking.check_all(specs(["padding"]), seed=4242))
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_check_draws_the_same_cases_each_time(exercises: Path) -> None:
    (exercises / "warmup.py").write_text(WARMUP + "return mask.flip(-1)")
    assert check("invert_mask") == check("invert_mask")


def test_under_solutions_a_check_judges_the_solutions(exercises: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    assert all(verdict.passed for verdict in checking.check_all())


@pytest.mark.parametrize("name", ["padding.nothing", "nothing", "padding", "", 3])
def test_an_unknown_exercise_is_one_clear_sentence(name: Any) -> None:
    with pytest.raises(UnknownExercise, match=r"exercise"):
        check(name)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def invert_mask(mask:\n", "warmup.py could not be imported: SyntaxError in line 1"),
        ("\nimport nothing_of_this_name\n", "ModuleNotFoundError in line 2"),
        ("raise SystemExit\n", "SystemExit in line 1"),
        ("x = 1\n  y = 2\n", "IndentationError in line 2"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_its_line(exercises: Path, source: str, words: str) -> None:
    (exercises / "warmup.py").write_text(source)
    verdict = check("invert_mask")
    assert (verdict.status, verdict.points) == ("raised", 0)
    assert words in verdict.reason
    assert check("padding_mask").status == "not attempted"  # the other file is as it was


def test_a_missing_file_or_function_names_the_command_that_brings_it_back(exercises: Path) -> None:
    (exercises / "warmup.py").write_text("invert = 3\n")
    verdict = check("invert_mask")
    assert verdict.status == "not attempted"
    assert "workbook reset warmup.invert_mask" in verdict.reason
    (exercises / "warmup.py").unlink()
    assert "`workbook reset warmup` brings it back" in check("invert_mask").reason


def test_ctrl_c_while_a_file_is_imported_is_the_learners_own(exercises: Path) -> None:
    (exercises / "warmup.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        check("invert_mask")


def test_a_file_is_executed_once_for_all_its_functions(exercises: Path) -> None:
    counter = exercises / "count"
    (exercises / "padding.py").write_text(f"open({str(counter)!r}, 'a').write('x')\n")
    assert len(checking.check_all(specs(["padding"]))) == len(specs(["padding"]))
    assert counter.read_text() == "x"


def test_an_undecorated_function_is_judged_too(exercises: Path) -> None:
    (exercises / "warmup.py").write_text("def invert_mask(mask):\n    return ~mask\n")
    assert check("invert_mask").passed


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_counts_functions_points_and_predictions(exercises: Path) -> None:
    (exercises / "warmup.py").write_text(WARMUP + "return ~mask")
    predictions.made["How much?"] = (3, 4)
    text = str(progress())
    points = sum(found.points for found in specs(["padding"]))
    assert "1 of  1 functions,  1 of  1 points" in text
    assert f"0 of {len(specs(['padding'])):2} functions,  0 of {points} points" in text
    assert "predictions: 3 of 4 answers and cells right, in 1 question" in text
    assert f"○ {len(specs(['padding']))} not attempted, the first: padding_mask" in text
    page = progress()._repr_mimebundle_()["text/html"]
    rows = [re.sub("<[^>]*>", "|", row) for row in page.split("<tr>")]
    cells = [[cell for cell in row.split("|") if cell] for row in rows]
    assert ["warmup", "█" * 20, "1 of 1", "1 of 1", "all passed"] in cells
    unwritten = f"○ {len(specs(['padding']))} not attempted, the first: padding_mask"
    assert ["padding", "░" * 20, f"0 of {len(specs(['padding']))}", f"0 of {points}", unwritten] in cells
    assert cells[-1][:3] == ["all", "░" * 20, f"1 of {len(specs())}"]
    assert cells[-1][-1] == "Predictions: 3 of 4 answers and cells right, in 1 question"


def test_a_bar_is_full_only_when_all_have_passed() -> None:
    one, none = (Verdict("padding.padding_mask", status, 0, 1) for status in ("passed", "wrong"))
    assert bar([one] * 99 + [none]) == "█" * 19 + "░"
    assert bar([one] * 99) == "█" * 20


def test_progress_of_one_topic_is_of_that_topic(exercises: Path) -> None:
    assert {verdict.exercise.partition(".")[0] for verdict in progress("warmup").verdicts} == {"warmup"}
    with pytest.raises(UnknownExercise, match="there is no topic 'nothing'"):
        progress("nothing")


def test_progress_names_the_misconception_that_is_in_the_way(exercises: Path) -> None:
    (exercises / "warmup.py").write_text(WARMUP + "return mask")
    assert "✗ invert_mask: returns its input" in str(progress("warmup"))


def test_progress_lists_a_few_and_counts_the_others(exercises: Path) -> None:
    source = re.sub(r"raise NotImplementedError\(.*\)", "return None", topic_source("padding"))
    (exercises / "padding.py").write_text(source, encoding="utf-8")
    open_ones = str(progress("padding")).splitlines()[1:]
    assert [line.split()[0] for line in open_ones] == ["✗"] * 4
    assert open_ones[3].strip() == f"✗ and {len(specs(['padding'])) - 3} more"


def test_wrong_code_that_is_given_and_untouched_is_no_mistake_of_the_learners(exercises: Path) -> None:
    (line,) = str(progress("capstone")).splitlines()[1:]
    assert line.strip() == "○ 7 not attempted, the first: encoder_forward"
    assert NOTHING_MENDED in {idea.name for found in specs(["capstone"]) for idea in found.misconceptions}


def test_the_first_that_is_open_is_the_first_of_the_notebook(exercises: Path) -> None:
    assert "the first: dependency_matrix" in str(progress("causal"))


def test_a_function_that_is_gone_is_not_asked_for_in_the_file(exercises: Path) -> None:
    (exercises / "warmup.py").write_text("")
    verdict = check("invert_mask")
    assert "`workbook reset warmup.invert_mask` brings it back" in as_plain_text(verdict)
    assert "Write it in" not in as_plain_text(verdict) + as_html(verdict)


# --- how a verdict shows itself --------------------------------------------------------------------------------------


def every_kind(exercises: Path) -> list[Verdict]:
    bodies = ["raise NotImplementedError('warmup.invert_mask')", "return ~mask", "return mask", "return mask.nothing"]
    bodies += ["return mask.logical_not_()", "return [~row for row in mask]", "return (~mask)[None]", "return 1 - mask"]
    found = []
    for body in bodies:
        (exercises / "warmup.py").write_text(WARMUP + body)
        found.append(check("invert_mask"))
    return [*found, Verdict("warmup.invert_mask", "timed out", 0, 1, reason="It was stopped after 1 seconds.")]


def test_each_kind_of_verdict_shows_its_reason_in_text_and_html(exercises: Path) -> None:
    shown = every_kind(exercises)
    assert {verdict.status for verdict in shown} == set(MARKS)
    for verdict in shown:
        bundle = verdict._repr_mimebundle_()
        assert bundle == {"text/html": as_html(verdict), "text/plain": as_plain_text(verdict)}
        text = " ".join(bundle["text/plain"].split())
        assert text.startswith(f"{MARKS[verdict.status][0]} warmup.invert_mask {verdict.points} of 1 point")
        assert " ".join(verdict.reason.split()) in text
        if verdict.misconception:
            assert f"Known as “{verdict.misconception}”" in text
            assert verdict.advice is not None
            assert " ".join(verdict.advice.split()) in text
        level = [f"Hint {number}: {kind}" for number, kind in enumerate(LEVELS, start=1)]
        if verdict.passed:
            assert text.endswith("Next: exercise 1.1, padding.padding_mask in workbook/exercises/padding.py")
            assert "<summary" in bundle["text/html"]
        else:
            assert text.endswith('A hint: hint("warmup.invert_mask")')
            assert re.findall("Hint [^<]*", bundle["text/html"]) == level
            assert all(html.escape(words.strip(), quote=False) in bundle["text/html"] for words in hints("invert_mask"))
        for place in ("<script", " id=", "http://", "https://", "None"):
            assert place not in bundle["text/html"].replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("colour", sorted({colour for _, _, colour in MARKS.values()}))
def test_a_mark_can_be_read_on_its_ground_and_the_ground_be_seen_on_every_page(colour: str) -> None:
    """As WCAG 2 counts contrast: 4.5 for letters, 3 for shapes. axe leaves single letters out."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05

    assert light("#ffffff") / light(colour) >= 4.5
    assert light(colour) / light("#111111") >= 3


def test_a_passed_function_is_compared_with_the_solution_or_else_the_oracle(
    exercises: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shown = as_html(check("padding_mask", function=lambda input_ids, pad_token_id: input_ids == pad_token_id))
    assert "the solution in solutions/padding.py" in shown
    assert "return input_ids == pad_token_id" in shown
    assert "def attention_mask_from_lengths" not in shown
    monkeypatch.setattr(course, "SOLUTIONS", tmp_path / "none")
    shown = as_html(check("padding_mask", function=lambda input_ids, pad_token_id: input_ids == pad_token_id))
    assert "in workbook/specs/padding.py" in shown
    assert "ids[b][k] == pad_token_id" in shown


def test_no_reference_shows_before_a_function_has_passed_nor_where_the_solutions_are_checked(
    exercises: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "the reference" not in as_html(check("padding_mask"))
    assert "the reference" not in as_html(check("padding_mask", function=lambda input_ids, pad_token_id: input_ids))
    monkeypatch.setenv("WORKBOOK_IMPLEMENTATION", "solutions")
    assert check("padding_mask").passed
    assert "the reference" not in as_html(check("padding_mask"))


def test_the_last_exercise_leads_nowhere() -> None:
    last = in_order()[-1]
    passed = Verdict(last.name, "passed", last.points, last.points)
    assert "That was the last exercise of the course." in as_plain_text(passed)
    assert "That was the last exercise of the course." in as_html(passed)


def test_a_students_report_has_no_hint_no_next_and_no_reference(tmp_path: Path) -> None:
    chosen = specs(["warmup"])
    passed = Verdict("warmup.invert_mask", "passed", 1, 1)
    write_reports(tmp_path, [GradedSubmission("ada", "ada", "graded", True, (passed,), 1)], chosen)
    pages = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert pages
    for page in pages:
        assert "warmup" in page
        assert not re.search(r"~mask|Hint \d|reference|Next:", page)


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_verdict_keeps_to_the_width_of_the_terminal(width: int) -> None:
    def rows_for_columns(attention_mask: Any, num_heads: int, query_length: int) -> Any:
        return attention_mask.bool()[:, None, :, None].expand(-1, num_heads, -1, attention_mask.shape[1])

    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(as_text(check("expand_padding_mask", function=rows_for_columns)))
    lines = capture.get().splitlines()
    assert max(map(text_cells, lines)) <= width
    told = lines[1 if width >= 80 else 2 :]  # after the name and the points
    assert all(line.startswith("  ") for line in told)  # what is wrapped hangs under its beginning
    drawn = [line.count("[") for line in lines if "[expected]" in line or "[yours]" in line]
    assert drawn == ([3] if width >= 80 else [1, 1]), "side by side where there is room"


def test_of_several_slices_the_drawing_says_which_it_is() -> None:
    def rows_for_columns(attention_mask: Any, num_heads: int, query_length: int) -> Any:
        return attention_mask.bool()[:, None, :, None].expand(-1, num_heads, -1, attention_mask.shape[1])

    assert "the first slice that differs: filled = seen" in as_html(
        check("expand_padding_mask", function=rows_for_columns)
    )
    assert ">filled = seen, hatched = hidden" in as_html(check("invert_mask", function=lambda mask: mask))


def test_what_a_submission_says_is_escaped_in_html() -> None:
    evil = "<script>alert(1)</script>"
    verdict = Verdict(
        "warmup.invert_mask",
        "raised",
        0,
        1,
        reason=evil,
        call=evil,
        wanted=evil,
        came=evil,
        misconception=evil,
        advice=evil,
    )
    assert "<script" not in as_html(verdict)
    assert as_html(verdict).count("&lt;script&gt;") == 6


def test_what_a_submission_says_is_no_markup_in_a_terminal() -> None:
    verdict = Verdict("warmup.invert_mask", "raised", 0, 1, reason="[bold red]x[/] [link=http://a]y[/link]", came="[3]")
    assert "[bold red]x[/] [link=http://a]y[/link]" in as_plain_text(verdict)
    assert "[3]" in as_plain_text(verdict)


def test_practice_is_marked(exercises: Path) -> None:
    practice = [found for found in specs() if found.practice]
    assert practice
    for found in practice:
        assert "(practice)" in as_plain_text(check(found.name))
    assert "(practice)" not in as_plain_text(check(spec("padding_mask").name))
