"""What patterns make of each operation, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor, nn

from hargcn.explainers.relevance.pattern_based import PatternAttribution, PatternNet

METHODS = (PatternNet, PatternAttribution)


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def explain(cls, formula, x: Tensor, **given):
    rows = draw(12, *x.shape[1:], seed=9)
    return cls(background=rows, **given)(Expression(formula), x, 0)


@pytest.mark.parametrize("activation", [F.relu, F.silu, F.hardswish, F.gelu, F.leaky_relu, F.elu])
def test_a_closed_rectifier_stops_what_arrives(activation) -> None:
    """Whatever it lets through below 0: half of the score arrives at each number."""
    x = torch.tensor([[2.0, -1.0], [-3.0, 0.5]]).double()
    found = explain(PatternAttribution, lambda v: activation(v).sum(1, keepdim=True), x)
    score = activation(x).sum(1).numpy()
    np.testing.assert_allclose(found.values, [[score[0] / 2, 0], [0, score[1] / 2]])
    (name,) = [n for n in found.dataset["operation"].to_numpy() if n.endswith("(closed)")]
    np.testing.assert_allclose(found.dataset["relevance_lost"].sel(operation=name), score / 2)


def test_a_function_that_is_flat_stops_it_too() -> None:
    x = torch.tensor([[2.0, -1.0]]).double()
    found = explain(PatternAttribution, lambda v: v.clamp(min=0).sum(1, keepdim=True), x)
    np.testing.assert_allclose(found.values, [[1, 0]], rtol=1e-5)


def test_means_and_sums_give_all_places_the_same() -> None:
    """The signal of a mean is that of each place, and of a sum a part; relevance is shared."""
    x = torch.tensor([[1.0, 2.0, 6.0, 3.0]]).double()
    for formula, signal in (
        (lambda v: v.mean(1, keepdim=True), 3),
        (lambda v: v.sum(1, keepdim=True), 3),
        (lambda v: F.avg_pool1d(v[:, None], 2)[:, 0].mean(1, keepdim=True), 3),
    ):
        np.testing.assert_allclose(explain(PatternNet, formula, x).values, np.full((1, 4), signal))
        shared = explain(PatternAttribution, formula, x)
        each = float(formula(x)) / 4
        np.testing.assert_allclose(shared.values, np.full((1, 4), each))


def test_a_place_in_two_means_has_the_mean_of_their_signals() -> None:
    """Means of (a, b) and (b, c), of which the first is the score 3: b has half of it."""
    x = torch.tensor([[2.0, 4.0, 6.0]]).double()
    found = explain(PatternNet, lambda v: F.avg_pool1d(v[:, None], 2, 1)[:, 0], x)
    np.testing.assert_allclose(found.values, [[3, 1.5, 0]])


def test_a_fixed_scale_is_undone_and_a_shift_changes_no_signal() -> None:
    """y = 2 x + 1 over x = (3, 5) and 0 x: the first is the score 7."""
    scale = torch.tensor([2.0, 0.0]).double()
    x = torch.tensor([[3.0, 5.0]]).double()
    signal = explain(PatternNet, lambda v: v * scale + 1, x)
    np.testing.assert_allclose(signal.values, [[3.5, 0]])
    shared = explain(PatternAttribution, lambda v: v * scale + 1, x)
    np.testing.assert_allclose(shared.values, [[7, 0]])
    divided = explain(PatternNet, lambda v: v / 4, x)
    np.testing.assert_allclose(divided.values, [[3, 0]])


def test_the_maximum_takes_all() -> None:
    x = torch.tensor([[3.0, 5.0]]).double()
    for cls in METHODS:
        found = explain(cls, lambda v: v.amax(1, keepdim=True), x)
        np.testing.assert_allclose(found.values, [[0, 5]])


def test_a_gate_takes_nothing_and_its_signal_all() -> None:
    """x1 sigmoid(x2): or half each, as other relevance."""
    x = torch.tensor([[4.0, 0.0]]).double()

    def gated(v: Tensor) -> Tensor:
        return v[:, :1] * v[:, 1:].sigmoid()

    for cls in METHODS:
        np.testing.assert_allclose(explain(cls, gated, x).values, [[2, 0]])
    # Of its half sigmoid(0) = 1/2 is there without any input.
    half = explain(PatternAttribution, gated, x, gates="split")
    np.testing.assert_allclose(half.values, [[1, 0]], atol=1e-5)


def test_attention_has_the_pattern_of_independent_inputs() -> None:
    """Weights w = (3/4, 1/4) that a sample makes: w / (w^T w), and w^2 / (w^T w) of relevance."""
    x = torch.tensor([[5.0, 1.0, np.log(3), 0.0]]).double()

    def attended(v: Tensor) -> Tensor:
        return (v[:, None, :2] @ v[:, 2:].softmax(1)[:, :, None])[:, 0]

    signal = explain(PatternNet, attended, x, epsilon=1e-12)
    np.testing.assert_allclose(signal.values, [[4 * 1.2, 4 * 0.4, 0, 0]], rtol=1e-9)
    shared = explain(PatternAttribution, attended, x, epsilon=1e-12)
    np.testing.assert_allclose(shared.values, [[4 * 0.9, 4 * 0.1, 0, 0]], rtol=1e-9)
    np.testing.assert_allclose(shared.relative_gap, 0, atol=1e-9)


def test_two_alike_have_half_each() -> None:
    x = torch.tensor([[2.0, 3.0]]).double()
    found = explain(PatternAttribution, lambda v: (v[:, None] @ v[:, :, None])[:, 0], x)
    np.testing.assert_allclose(found.values, [[4, 9]], rtol=1e-6)


def test_what_has_no_rule_is_refused() -> None:
    x = draw(2, 4)
    for formula in (
        lambda v: torch.einsum("ni,ni,ni->ni", v, v, v),
        lambda v: v.index_add(1, torch.tensor([0, 1]), v[:, 2:] * 1),
        lambda v: v.var(1, keepdim=True),
    ):
        with pytest.raises(ValueError, match="expected a rule for its relevance"):
            explain(PatternNet, formula, x)


@pytest.mark.parametrize("cls", METHODS)
def test_without_rectifiers_weights_and_patterns_conserve(cls) -> None:
    """Relevance of layers, a residual, a norm and a mean adds up to the score."""
    torch.manual_seed(0)
    one, two = (
        layer.double().requires_grad_(False) for layer in (nn.Conv1d(2, 4, 1), nn.Linear(4, 3))
    )
    model = Expression(lambda v: two((one(v) + one(v).roll(1, 2)).mean(2)))
    rows, x = draw(40, 2, 6, seed=3), draw(3, 2, 6, seed=2)
    found = cls(background=rows)(model, x, 1)
    total = found.values.sum(("axis1", "axis2"))
    assert bool(np.allclose(total, found.score, rtol=1e-9)) == (cls is PatternAttribution)
