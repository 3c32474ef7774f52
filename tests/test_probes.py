"""``who_moved``: which output positions depend on which input positions, seen from outside."""

import math
import warnings
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from workbook.probes import how_far, who_moved
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
