"""Checks the learner's own functions in this process: for the notebook and for ``workbook check``."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any

from workbook.graded import without_reference
from workbook.grading import runner
from workbook.grading.judge import Here, examine
from workbook.grading.verdict import Verdict
from workbook.specs import spec, specs
from workbook.specs.specification import Spec
from workbook.topic_files import fault, load_topic, reaches_into_the_course, topic_file

#: The cases of a check are the same from one check to the next, so that a learner can follow one failing case; a
#: submission is graded on other ones.
CHECK_SEED = 0


def check(name: str, function: Callable[..., Any] | None = None, *, seed: int = CHECK_SEED) -> Verdict:
    """Judge the learner's function ``name`` as it is saved now; the verdict displays itself in a notebook.

    Args:
        name: as in ``"padding.padding_mask"``.
        function: judge this one instead, to try an idea without editing a file.
        seed: what the cases are drawn from.

    Raises:
        UnknownExercise: there is no such exercise.
    """
    found = spec(name)
    if function is not None:
        return examine(found, seed, Here(getattr(function, "__graded__", function)))
    return check_all([found], seed)[0]


def check_all(chosen: Iterable[Spec] | None = None, seed: int = CHECK_SEED) -> list[Verdict]:
    """Judge several functions, reading each topic file once; all of the course for ``None``."""
    chosen = specs() if chosen is None else tuple(chosen)
    modules: dict[str, Any] = {}
    verdicts = []
    with without_reference():
        for found in chosen:
            if found.topic not in modules:
                modules[found.topic] = load_saved(found.topic)
            verdicts.append(judge_saved(found, modules[found.topic], seed))
    return verdicts


def load_saved(topic: str) -> ModuleType | str:
    """Return the topic file as it is saved now, executed, or the sentence that says why it cannot be."""
    path = topic_file(topic)
    try:
        module = load_topic(path)
        return reaches_into_the_course(path) or module
    except FileNotFoundError:
        return f"{path.name} is not there; `workbook reset {topic}` brings it back."
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return fault(error, path)


def judge_saved(found: Spec, module: ModuleType | str, seed: int = CHECK_SEED) -> Verdict:
    """Judge one function of what ``load_saved`` returned; ``check_all`` does both, and keeps the reference out."""
    base = Verdict(found.name, "raised", 0, found.points, found.practice)
    if isinstance(module, str):
        return replace(base, reason=module)
    function = runner.undecorated(module, found.function)
    if function is None:
        reason = f"{found.topic}.py defines no function {found.function}; `workbook reset {found.name}` brings it back."
        return replace(base, status="not attempted", reason=reason)
    return examine(found, seed, Here(function, runner.named_tuples(module)))


class Progress:
    """How far the learner is, topic by topic; displays itself."""

    def __init__(self, verdicts: list[Verdict], predictions: dict[str, tuple[int, int]]) -> None:
        self.verdicts = verdicts
        self.predictions = predictions

    def __str__(self) -> str:
        from workbook.grading.feedback import progress_text

        return progress_text(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        from workbook.grading.feedback import progress_html

        return {"text/html": progress_html(self), "text/plain": str(self)}


def progress(topic: str | None = None) -> Progress:
    """Check every function, or those of one topic, and show how far they are.

    Raises:
        UnknownExercise: there is no such topic.
    """
    from workbook.predictions import made

    return Progress(check_all(specs(None if topic is None else [topic])), dict(made))
