"""The mask lens with its sliders and switches, and what happens when one is moved."""

from typing import Any, get_args

import ipywidgets

from workbook.figures import Picture
from workbook.figures.flow import attend
from workbook.figures.lens import LARGEST
from workbook.figures.lens_widget import LensWidget, lens_state
from workbook.figures.style import PADDING_TOKEN
from workbook.lens_masks import Made, Pattern, Sentence, Settings, Side, make, mask_shape, place

_LOOK: dict[str, Any] = {"style": {"description_width": "86px"}, "layout": {"width": "232px"}}
_SWITCHES = {
    "flip_polarity": "polarity flipped: True now means “may not”",
    "swap_axes": "axes swapped: rows are hidden instead of columns",
}


class Lens(ipywidgets.VBox):
    """Controls above, the card with the grid and its panels below. Its display holds its first state as a picture, too."""

    def __init__(self, sentence: Sentence, settings: Settings, made: Made, picture: Picture) -> None:
        self.sentence = sentence
        self.picture = picture
        self.controls = _controls(sentence, settings)
        self.view = LensWidget(row=settings.row)
        self.clear = ipywidgets.Button(description="clear my clicks", disabled=True, layout={"width": "auto"})
        self._clicks: dict[tuple[int, int], bool] = {}  # cells changed by hand, whatever the mask says
        self._settings = settings
        self._allowed = made.allowed
        self._functions = made.functions
        self._show(made)
        for name, control in self.controls.items():
            if name != "row":
                control.observe(self._moved, "value")
        self.clear.on_click(lambda _: self._forget_clicks())
        self.view.on_msg(lambda _, message, __: self._heard(message))
        # Linked in the browser: a change of row needs no kernel.
        self._link = ipywidgets.jslink((self.controls["row"], "value"), (self.view, "row"))
        super().__init__([*_rows(self.controls, self.clear), self.view])

    def __repr__(self) -> str:
        return str(self.picture)

    def _repr_mimebundle_(self, **keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        data, metadata = self.picture._repr_mimebundle_()
        return {**super()._repr_mimebundle_(**keywords), **data}, metadata

    def _moved(self, change: Any) -> None:
        """Answer a control. A slider of something that is switched off switches it on, and so comes here again."""
        controls = self.controls
        for name, switch, choice in (
            ("window", "pattern", "window"),
            ("prefix", "pattern", "prefix"),
            ("padded", "padding", "right"),
        ):
            is_off = controls[switch].value == "none" if name == "padded" else controls[switch].value != choice
            if change.owner is controls[name] and is_off:
                controls[switch].value = choice
                return
        self._step()

    def _step(self) -> None:
        values = {name: control.value for name, control in self.controls.items()}
        settings = Settings(**{"head": 0, **values})
        made = make(self.sentence, settings)
        if made.allowed is not None:
            self._settings, self._allowed, self._functions = settings, made.allowed, made.functions
        self._show(made)

    def _show(self, made: Made) -> None:
        """Send the last good mask, with the cells changed by hand, and what there is to say, in one message."""
        settings = self._settings
        placed = place(self.sentence, settings)
        assert self._allowed is not None
        shown = self._allowed.clone()
        for cell, may in self._clicks.items():
            shown[cell] = may
        attention = attend(placed.scores, shown, placed.values, placed.tokens, placed.tokens, LARGEST)
        kept = " The picture is still the one before." if made.allowed is None else ""
        self.clear.disabled = not self._clicks
        clicked = shown != self._allowed
        shape = mask_shape(settings, by_hand=bool(clicked.any()))
        self.view.state = {
            **lens_state(attention, shape, self.sentence.as_fractions, self.sentence.title),
            "clicked": clicked.tolist(),
            "broken": [words for switch, words in _SWITCHES.items() if getattr(settings, switch)],
            "functions": f"The mask: {self._functions}",
            "problem": f"{made.problem}{kept}",
            "printed": made.printed.strip(),
        }

    def _heard(self, message: dict[str, Any]) -> None:
        """Answer the browser: it asks whether anybody is there, or a cell was clicked."""
        if message["kind"] == "click":
            cell, may = (message["row"], message["column"]), message["may"]
            self._clicks.pop(cell, None)
            if self._allowed is not None and bool(self._allowed[cell]) != may:
                self._clicks[cell] = may
            self._step()
        self.view.send({"kind": "here"})

    def _forget_clicks(self) -> None:
        self._clicks.clear()
        self._step()


def _controls(sentence: Sentence, settings: Settings) -> dict[str, Any]:
    """One control for each field of the settings; a head is chosen where there are several."""
    length = sentence.length
    own_padding = sum(token == PADDING_TOKEN for token in sentence.tokens)
    controls: dict[str, Any] = {"row": _slider("row", settings.row, 0, length - 1, "the query that the panels follow")}
    if sentence.heads > 1:
        controls["head"] = _slider("head", settings.head, 0, sentence.heads - 1, "whose scores are shown")
    return {
        **controls,
        "pattern": _choice("who is seen", settings.pattern, get_args(Pattern), "which keys a query may see"),
        "window": _slider("window", settings.window, 1, length, "how many keys a query sees, its own included"),
        "prefix": _slider("prefix", settings.prefix, 0, length, "how many tokens are read both ways"),
        "padding": _choice("hide padding", settings.padding, get_args(Side), "on which side the padding is"),
        "padded": _slider("how many", settings.padded, max(own_padding, 1), length, "how many tokens are padding"),
        "second_text": _slider(
            "2nd text at", settings.second_text, 0, length - 1, "where a second text begins; 0 = none"
        ),
        "flip_polarity": _switch("flip polarity", settings.flip_polarity, "break it: ■ and ⬚ change places"),
        "swap_axes": _switch("swap axes", settings.swap_axes, "break it: queries and keys change places"),
    }


def _rows(controls: dict[str, Any], clear: ipywidgets.Button) -> list[ipywidgets.HBox]:
    wrapped = {"flex_flow": "row wrap", "align_items": "center"}
    rows = (
        [controls[name] for name in ("row", "head", "pattern", "window", "prefix") if name in controls],
        [controls[name] for name in ("padding", "padded", "second_text")],
        [controls["flip_polarity"], controls["swap_axes"], clear],
    )
    return [ipywidgets.HBox(row, layout=wrapped).add_class("workbook-lens-controls") for row in rows]


def _slider(description: str, value: int, low: int, high: int, tooltip: str) -> ipywidgets.IntSlider:
    return ipywidgets.IntSlider(value=value, min=low, max=high, description=description, tooltip=tooltip, **_LOOK)


def _choice(description: str, value: str, options: tuple[str, ...], tooltip: str) -> ipywidgets.Dropdown:
    return ipywidgets.Dropdown(value=value, options=options, description=description, tooltip=tooltip, **_LOOK)


def _switch(description: str, value: bool, tooltip: str) -> ipywidgets.Checkbox:
    layout = {"width": "auto", "margin": "2px 16px 2px 2px"}
    return ipywidgets.Checkbox(value=value, description=description, tooltip=tooltip, indent=False, layout=layout)
