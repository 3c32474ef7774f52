"""The widget of a prediction: radio buttons or a grid of cells, over the state that ``workbook.predictions`` keeps."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets

from workbook.figures.widget import STATIC, joined

if TYPE_CHECKING:
    from workbook.predictions import Prediction

_OWN = Path(__file__).parent / "static"


class ChoiceWidget(anywidget.AnyWidget):
    """A question with radio buttons. All that it shows is in its traits, so that a saved notebook can show it again."""

    _esm = joined(STATIC / "widget.js", _OWN / "prediction.js")
    _css = joined(_OWN / "prediction.css")

    asked = traitlets.Dict().tag(sync=True)  # the question and its possible answers
    given = traitlets.Any(None, allow_none=True).tag(sync=True)  # the browser writes these two ...
    committed = traitlets.Bool(False).tag(sync=True)
    run = traitlets.Any(None, allow_none=True).tag(sync=True)  # ... and the kernel those
    marks = traitlets.Any(None, allow_none=True).tag(sync=True)
    outcome = traitlets.Unicode().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)

    def __init__(self, prediction: "Prediction") -> None:
        self.prediction = prediction
        self.seen = False  # whether a browser has drawn it; under nbconvert none does
        super().__init__(**prediction.state())
        self.on_msg(self._heard)
        self.observe(self._answered, ["given", "committed"])

    def show(self, prediction: "Prediction") -> None:
        """Show how things stand with a question (asked again, the question is another object)."""
        self.prediction = prediction
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in prediction.state().items():
                setattr(self, name, value)

    def _answered(self, change: Any) -> None:
        self.prediction.take(self.given, self.committed)

    def _heard(self, widget: Any, content: dict[str, Any], buffers: Any) -> None:
        self.seen = True
        self.send({"heard": True})  # so that a browser without a kernel can say that it has none


class CellsWidget(ChoiceWidget):
    """A question with a grid of cells."""

    _esm = joined(STATIC / "widget.js", STATIC / "grid.js", _OWN / "prediction.js")
    _css = joined(STATIC / "grid.css", _OWN / "prediction.css")
