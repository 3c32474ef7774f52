"""``who_moved``: which output positions depend on which input positions, seen from outside."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from workbook.probes import audit, how_far, who_moved
from workbook.specs.specification import attention_mask

LENGTH, DIM = 5, 4


def drawn(seed: int = 0, length: int = LENGTH, dim: int = DIM) -> Tensor:
    return torch.randn(length, dim, generator=torch.Generator().manual_seed(seed))


def seeded(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return make()


def attention(allowed: Tensor) -> Callable[[Tensor], Tensor]:
    def function(x: Tensor) -> Tensor:
        scores = (x @ x.T / math.sqrt(x.shape[1])).masked_fill(~allowed.to(x.device), -math.inf)
        return scores.softmax(-1) @ x

    return function


def by_jacobian(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    jacobian = torch.autograd.functional.jacobian(function, x)
    assert isinstance(jacobian, Tensor)
    return jacobian.abs().amax((1, 3)) > 0


ALL = torch.ones(LENGTH, LENGTH, dtype=torch.bool)
ALONE = torch.eye(LENGTH, dtype=torch.bool)


@pytest.mark.parametrize(
    ("function", "moved"),
    [
        (lambda x: x, ALONE),
        (lambda x: x * 0, ~ALL),
        (lambda x: x.cumsum(0), ALL.tril()),
        (lambda x: x.flip(0).cumsum(0).flip(0), ALL.triu()),
        (lambda x: x.mean(0).expand(LENGTH, -1), ALL),
        (lambda x: x.roll(1, 0), ALONE.roll(1, 0)),
        (lambda x: x.mean(0, keepdim=True), ALL[:1]),
        (lambda x: x[::2], ALONE[::2]),
        (lambda x: x.norm(dim=1), ALONE),  # one number a position
        (lambda x: x[:, None].expand(-1, 3, -1), ALONE),  # more than two axes
        (lambda x: torch.nn.functional.layer_norm(x, (DIM,)), ALONE),
        (lambda x: x.softmax(0), ALL),
        (lambda x: x.softmax(1), ALONE),
        (lambda x: x.argsort(0), ALL),
    ],
)
def test_known_functions_move_what_they_move(function: Callable[[Tensor], Tensor], moved: Tensor) -> None:
    assert torch.equal(who_moved(function, drawn()) | moved, moved)  # nothing moves that must not
    if function(drawn()).is_floating_point():
        assert torch.equal(who_moved(function, drawn()), moved)


@pytest.mark.parametrize("make", [lambda: nn.Linear(DIM, 7), lambda: nn.LayerNorm(DIM), nn.ReLU, nn.GELU])
def test_a_layer_that_works_on_each_position_mixes_nothing(make: Callable[[], nn.Module]) -> None:
    layer = seeded(make)
    if isinstance(layer, nn.ReLU):
        assert torch.equal(who_moved(layer, drawn()) & ~ALONE, ~ALL)
    else:
        assert torch.equal(who_moved(layer, drawn()), ALONE)


def test_batch_norm_mixes_all_positions_in_training_and_none_in_eval() -> None:
    layer = nn.BatchNorm1d(DIM, track_running_stats=False)
    assert torch.equal(who_moved(layer.train(), drawn()), ALL)
    tracking = nn.BatchNorm1d(DIM)
    tracking(drawn(1))
    assert torch.equal(who_moved(tracking.eval(), drawn()), ALONE)


@given(st.integers(0, 2**31), st.lists(st.booleans(), min_size=LENGTH, max_size=LENGTH).filter(any))
def test_attention_with_a_padding_mask_shows_the_mask(seed: int, real: list[bool]) -> None:
    """With the values alone depending on the input, what moves is exactly what may be attended to."""
    allowed = torch.tensor(real).expand(LENGTH, LENGTH)
    weights = drawn(seed, LENGTH, LENGTH).masked_fill(~allowed, -math.inf).softmax(-1)
    assert torch.equal(who_moved(lambda x: weights @ x, drawn(seed)), allowed)


@given(st.integers(0, 2**31))
def test_self_attention_moves_the_allowed_keys_and_the_asking_row(seed: int) -> None:
    allowed = attention_mask([3], LENGTH).bool().expand(LENGTH, LENGTH)
    x = drawn(seed)
    assert torch.equal(who_moved(attention(allowed), x) | ALONE, allowed | ALONE)


@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from(["linear", "tanh", "two layers", "causal"]))
def test_what_moved_is_what_the_jacobian_says(seed: int, length: int, kind: str) -> None:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.rand(length, length, generator=rng) < 0.5
    # Weights between 0.2 and 1.2, so that no dependence is too weak to be seen.
    mixing = torch.where(mask, torch.rand(length, length, generator=rng) + 0.2, 0.0).double()
    inner = torch.randn(DIM, DIM, generator=rng).double()

    def function(x: Tensor) -> Tensor:
        if kind == "causal":
            return (mixing.tril() @ x) @ inner
        mixed = mixing @ x @ inner
        if kind == "linear":
            return mixed
        if kind == "tanh":
            return torch.tanh(mixed / 20)
        return mixing @ torch.tanh(mixed / 20)

    x = torch.randn(length, DIM, generator=rng).double()
    assert torch.equal(who_moved(function, x), by_jacobian(function, x))


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4, 1e7])
def test_the_size_of_the_input_does_not_matter(scale: float) -> None:
    assert torch.equal(who_moved(lambda x: x.cumsum(0), drawn() * scale), ALL.tril())


def test_rounding_is_no_dependence() -> None:
    """A batch of another composition changes the last digit; that is not a leak."""

    def function(x: Tensor) -> Tensor:
        return x + x.sum() * 1e-9

    assert torch.equal(who_moved(function, drawn()), ALONE)


def test_the_input_is_left_as_it_was() -> None:
    x = drawn()
    before = x.clone()
    who_moved(lambda x: x.mul_(2), x)
    assert torch.equal(x, before)


def test_rows_of_nan_are_warned_of() -> None:
    allowed = ALL.clone()
    allowed[1] = allowed[3] = False
    with pytest.warns(UserWarning, match="output rows 1, 3 are NaN, so nothing can be seen to move them"):
        moved = who_moved(attention(allowed), drawn())
    assert not moved[[1, 3]].any()
    assert moved[[0, 2, 4]].all()


def test_a_row_that_turns_into_nan_has_moved() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.where(x != drawn(), math.nan, x)

    assert torch.equal(who_moved(function, drawn()), ALONE)


def test_without_nan_there_is_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        who_moved(lambda x: x, drawn())


def test_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"two answers for one input.*eval\(\)"):
        who_moved(nn.Dropout(0.5), drawn())
    assert torch.equal(who_moved(nn.Dropout(0.5).eval(), drawn()), ALONE)


@pytest.mark.parametrize("x", [torch.ones(3), torch.ones(1, 3, 2), torch.ones(3, 2).long(), torch.ones(3, 2).bool()])
def test_an_input_that_is_no_row_of_vectors_is_refused(x: Tensor) -> None:
    with pytest.raises(ValueError, match=r"x has to be a float tensor \[positions, dim\]"):
        who_moved(lambda x: x, x)


def test_a_function_that_returns_one_number_is_refused() -> None:
    with pytest.raises(ValueError, match="one row a position"):
        who_moved(lambda x: x.sum(), drawn())


def test_no_gradients_are_kept() -> None:
    weight = torch.ones(DIM, DIM, requires_grad=True)
    who_moved(lambda x: x @ weight, drawn())
    assert weight.grad is None


def test_how_far_is_the_largest_change_of_each_position() -> None:
    x = drawn()
    assert torch.allclose(how_far(lambda x: x.cumsum(0), x, 2, 3.0), torch.tensor([0.0, 0, 3, 3, 3]), atol=1e-5)
    nudge = torch.tensor([0.0, -5, 1, 0])
    assert torch.allclose(how_far(lambda x: x, x, 4, nudge), torch.tensor([0.0, 0, 0, 0, 5]), atol=1e-5)


@pytest.mark.cuda
@pytest.mark.parametrize("function", [lambda x: x.cumsum(0), attention(ALL.tril()), lambda x: x.softmax(0)])
def test_on_a_gpu_the_same_positions_move(function: Callable[[Tensor], Tensor]) -> None:
    moved = who_moved(function, drawn().cuda())
    assert moved.device.type == "cuda"
    assert torch.equal(moved.cpu(), who_moved(function, drawn()))


# --- every layer of a model ------------------------------------------------------------------------------------------

SENTENCE = torch.tensor([[3, 5, 6, 0, 0]])
WORDS = torch.tensor([[1, 1, 1, 0, 0]])
TRIANGLE = torch.ones(LENGTH, LENGTH, dtype=torch.bool).tril()
PADDING_STAYS = (WORDS[0] == 1) | (WORDS[0] == 0)[:, None]
SIZES: dict[str, Any] = {
    "vocab_size": 16,
    "hidden_size": 12,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}


class SelfAttention(nn.Module):
    """Attention over embedded words; what each may see is a function of the mask."""

    def __init__(self, allowed: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.project, self.out, self.allowed = nn.Linear(12, 36), nn.Linear(12, 12), allowed

    def forward(self, hidden: Tensor, attention_mask: Tensor) -> Tensor:
        query, key, value = self.project(hidden).chunk(3, dim=-1)
        scores = (query @ key.mT).masked_fill(~self.allowed(attention_mask), -torch.inf)
        return hidden + self.out(scores.softmax(-1) @ value)  # `out` is handed the leak, and is not to blame


class Layers(nn.Module):
    def __init__(self, *rules: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embed = nn.Embedding(16, 12)
        self.layers = nn.ModuleList([SelfAttention(rule) for rule in rules])

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
        hidden = self.embed(input_ids)
        for layer in self.layers:
            hidden = layer(hidden, attention_mask=attention_mask)
        return {"hidden": hidden}


def causal(attention_mask: Tensor) -> Tensor:
    return TRIANGLE


def no_padding(attention_mask: Tensor) -> Tensor:
    return (attention_mask == 1)[:, None, :]


def everything(attention_mask: Tensor) -> Tensor:
    return torch.ones(LENGTH, LENGTH, dtype=torch.bool)


@pytest.mark.parametrize(
    ("rules", "allowed", "first"),
    [
        ((causal, causal), TRIANGLE, None),
        ((everything, causal), TRIANGLE, "layers.0"),
        ((causal, everything, everything), TRIANGLE, "layers.1"),
        ((no_padding, no_padding), PADDING_STAYS, None),
        ((no_padding, everything), PADDING_STAYS, "layers.1"),
        ((everything, no_padding), PADDING_STAYS, "layers.0"),
    ],
)
def test_an_audit_names_the_first_layer_that_leaks(rules: Any, allowed: Tensor, first: str | None) -> None:
    model = Layers(*rules).eval()
    found = audit(model, SENTENCE, allowed, attention_mask=WORDS)
    assert found.first == first
    assert next(iter(found.moved)) == "embed"
    assert list(found.moved)[-1] == "(the model)"
    assert torch.equal(found.moved["embed"], torch.eye(LENGTH, dtype=torch.bool))
    finished = list(found.moved)
    for name in finished[
        : finished.index(first or "(the model)")
    ]:  # nothing leaks before, but in parts of who is to blame
        if not name.startswith(f"{first}."):
            assert found.leaks(name) == [], name
    if first is None:
        assert str(found).startswith(f"No leak: in none of {len(found.moved)} modules")
    else:
        q, k = found.leaks(first)[0]
        assert not allowed[q, k]
        assert f"{first} leaks first: position {q} moves when token {k} is changed" in str(found)


@pytest.mark.cuda
def test_an_audit_reads_a_model_on_another_device() -> None:
    rules = [lambda mask, rule=rule: rule(mask).to(mask.device) for rule in (causal, everything)]
    model = Layers(*rules).eval().cuda()
    inputs = {"attention_mask": WORDS.cuda()}
    for allowed in (TRIANGLE, TRIANGLE.cuda()):
        assert audit(model, SENTENCE.cuda(), allowed, **inputs).first == "layers.1"


def test_an_audit_moves_what_who_moved_moves() -> None:
    model = Layers(causal, no_padding).eval()
    moved = audit(model, SENTENCE, TRIANGLE, attention_mask=WORDS).moved["(the model)"]

    def from_embeddings(x: Tensor) -> Tensor:
        for layer in model.layers:
            x = layer(x[None], attention_mask=WORDS)[0]
        return x

    with torch.no_grad():
        assert torch.equal(moved, who_moved(from_embeddings, model.embed(SENTENCE)[0]))


@pytest.mark.parametrize("family", ["llama", "gpt2", "bert"])
def test_an_audit_works_on_models_of_transformers(family: str) -> None:
    from transformers import AutoModel, BertConfig, GPT2Config, LlamaConfig

    config: Any = {
        "llama": lambda: LlamaConfig(**SIZES),
        "gpt2": lambda: GPT2Config(vocab_size=16, n_embd=12, n_layer=2, n_head=3, bos_token_id=1, eos_token_id=2),
        "bert": lambda: BertConfig(**SIZES),
    }[family]()
    torch.manual_seed(0)
    model = AutoModel.from_config(config).eval()
    padding = audit(model, SENTENCE, PADDING_STAYS, attention_mask=WORDS)
    future = audit(model, SENTENCE, TRIANGLE, attention_mask=WORDS)
    assert padding.first is None
    assert len(padding.moved) > 10
    if family == "bert":
        assert future.first == "encoder.layer.0.attention.self"
        assert audit(model, SENTENCE, PADDING_STAYS).first == "encoder.layer.0.attention.self"
    else:
        assert future.first is None


def test_an_audit_blames_whoever_mixes_what_no_module_mixed() -> None:
    class Shifted(Layers):
        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> dict[str, Tensor]:
            return {"hidden": super().forward(input_ids, attention_mask)["hidden"].roll(-1, dims=1)}

    assert audit(Shifted(causal).eval(), SENTENCE, TRIANGLE, attention_mask=WORDS).first == "(the model)"


def test_a_module_that_is_used_twice_has_two_entries() -> None:
    model = Layers(causal, causal)
    model.layers[1] = model.layers[0]
    moved = audit(model.eval(), SENTENCE, TRIANGLE, attention_mask=WORDS).moved
    assert [name for name in moved if name.startswith("layers.0")] == [
        "layers.0.project",
        "layers.0.out",
        "layers.0",
        "layers.0.project (call 2)",
        "layers.0.out (call 2)",
        "layers.0 (call 2)",
    ]


def test_an_audit_leaves_no_hooks_behind_even_after_an_error() -> None:
    model = Layers(causal).eval()
    with pytest.raises(TypeError):
        audit(model, SENTENCE, TRIANGLE, mask=WORDS)
    audit(model, SENTENCE, TRIANGLE, attention_mask=WORDS)
    assert all(not module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda model: audit(model, SENTENCE[0], TRIANGLE, attention_mask=WORDS), r"\[1, S\]; its shape is \[5\]"),
        (lambda model: audit(model, SENTENCE.repeat(2, 1), TRIANGLE), r"its shape is \[2, 5\]"),
        (lambda model: audit(model, SENTENCE, TRIANGLE[:4]), r"allowed has to be bool \[5, 5\]"),
        (lambda model: audit(model, SENTENCE, TRIANGLE.long()), "it is torch.int64"),
        (lambda model: audit(model.train(), SENTENCE, TRIANGLE, attention_mask=WORDS), "call eval"),
        (lambda model: audit(nn.Flatten().eval(), SENTENCE, TRIANGLE), "no module of Flatten returns a float tensor"),
    ],
)
def test_an_audit_refuses_in_one_sentence(call: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call(Layers(causal).eval())
