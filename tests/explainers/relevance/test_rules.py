"""Rules of one layer, against loops over its contributions and against paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor, nn

from hargcn.explainers.relevance.explainer import LRP

RULES = ("epsilon", "gamma", "alpha1-beta0", "alpha2-beta1", "z-plus")


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(rule, z, bias, relevance, gamma=0.25):
    """Return the relevance (i,) of contributions z (i, j) to results z.sum(0) + bias (j,)."""
    found = np.zeros(len(z))
    for j, received in enumerate(relevance):
        own, b = z[:, j], float(bias[j])
        y = own.sum() + b
        sign = 1.0 if y >= 0 else -1.0
        same = np.where(own * sign > 0, own, 0.0)
        other = own - same
        whole = same.sum() + (b if b * sign > 0 else 0.0)
        against = other.sum() + (b if b * sign < 0 else 0.0)
        if rule == "epsilon":
            part = own / y
        elif rule == "gamma":
            part = (own + gamma * same) / (y + gamma * whole)
        elif rule == "z-plus":
            part = same / same.sum()
        else:
            alpha, beta = {"alpha1-beta0": (1, 0), "alpha2-beta1": (2, 1)}[rule]
            part = alpha * same / whole - beta * other / against
        found += part * received
    return found


class Layer(nn.Module):
    """A layer whose results are summed up: each receives itself as its relevance."""

    def __init__(self, layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """Map to (n, 1)."""
        return self.layer(x).flatten(1).sum(1, keepdim=True)


def lrp(model, x, rule, **given):
    recipe = {kind: rule for kind in ("linear", "convolution", "graph")}
    explainer = LRP(composite=recipe, epsilon=1e-13, **given)
    return explainer(model, x, 0).values.to_numpy()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("bias", [True, False])
def test_a_matrix(rule, bias) -> None:
    weight, shift = draw(4, 6), draw(4, seed=2) if bias else torch.zeros(4).double()
    model = Layer(Expression(lambda x: F.linear(x, weight, shift if bias else None)))
    x = draw(3, 6, seed=3)
    results = F.linear(x, weight, shift)
    assert bool((results < 0).any())
    assert bool((results > 0).any())
    expected = [
        by_loops(rule, (row[:, None] * weight.T).numpy(), shift, received.numpy())
        for row, received in zip(x, results, strict=True)
    ]
    np.testing.assert_allclose(lrp(model, x, rule), expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("form", ["matmul", "einsum", "einsum of two", "conv1d", "addmm"])
def test_the_same_matrix_in_other_words(rule, form) -> None:
    """Also the graph product with an adjacency and its edges' importance."""
    weight, edge, x = draw(6, 4), draw(6, 4, seed=2), draw(3, 6, seed=3)
    if form == "einsum of two":
        model, full = lambda x: torch.einsum("ni,ij,ij->nj", x, weight, edge), weight * edge
    else:
        forms = {
            "matmul": lambda x: x @ weight,
            "einsum": lambda x: torch.einsum("ni,ij->nj", x, weight),
            "conv1d": lambda x: F.conv1d(x[..., None], weight.T[..., None])[..., 0],
            "addmm": lambda x: torch.addmm(torch.zeros(4).double(), x, weight),
        }
        model, full = forms[form], weight
    plain = Layer(Expression(lambda x: F.linear(x, full.T)))
    found = lrp(Layer(Expression(model)), x, rule)
    np.testing.assert_allclose(found, lrp(plain, x, rule), rtol=1e-8, atol=1e-10)


def test_on_paper() -> None:
    """y = 3 x1 - x2 + 1 at (2, 1): contributions 6 and -1, score 6."""
    layer = nn.Linear(2, 1).double()
    with torch.no_grad():
        layer.weight[:], layer.bias[:] = torch.tensor([[3.0, -1.0]]), 1.0
    x = torch.tensor([[2.0, 1.0]]).double()
    expected = {
        "epsilon": [6, -1],
        "gamma": [6 * (6 + 1.5) / 7.75, 6 * -1 / 7.75],
        "alpha1-beta0": [6 * 6 / 7, 0],
        "alpha2-beta1": [2 * 6 * 6 / 7, -6],
        "z-plus": [6, 0],
    }
    for rule, values in expected.items():
        np.testing.assert_allclose(lrp(layer, x, rule)[0], values, rtol=1e-9)


def test_what_makes_a_negative_neuron_speaks_for_the_result() -> None:
    """y = -(x1 - 2 x2) in two layers at (1, 1): x2 alone speaks for the score 1."""
    first, second = nn.Linear(2, 1, bias=False).double(), nn.Linear(1, 1, bias=False).double()
    with torch.no_grad():
        first.weight[:], second.weight[:] = torch.tensor([[1.0, -2.0]]), -1.0
    x = torch.ones(1, 2).double()
    found = lrp(nn.Sequential(first, second), x, "alpha1-beta0")
    np.testing.assert_allclose(found, [[0, 1]], atol=1e-9)


@pytest.mark.parametrize("rule", ["alpha1-beta0", "z-plus"])
def test_z_plus_of_inputs_that_are_not_negative_is_the_published_one(rule) -> None:
    """R_i = x_i sum_j w+_ij R_j / sum_i x_i w+_ij; and alpha1-beta0 is the same."""
    weight, x = draw(4, 6), draw(5, 6, seed=3).abs()
    model = Layer(Expression(lambda x: F.linear(x, weight).relu()))
    plus, received = weight.clamp(min=0), F.linear(x, weight).relu()
    expected = x * ((received / (x @ plus.T)).nan_to_num(0) @ plus)
    np.testing.assert_allclose(lrp(model, x, rule), expected, rtol=1e-8, atol=1e-10)


def test_nothing_against_a_result_leaves_alpha2_beta1_its_sum() -> None:
    """The formula is 0 / 0 there."""
    weight, x = draw(4, 6).abs(), draw(2, 6, seed=3).abs()
    model = Layer(Expression(lambda x: F.linear(x, weight)))
    found = lrp(model, x, "alpha2-beta1")
    np.testing.assert_allclose(found.sum(1), F.linear(x, weight).sum(1), rtol=1e-9)
    np.testing.assert_allclose(found, lrp(model, x, "epsilon"), rtol=1e-9)


class Rectified(nn.Module):
    """A first layer and a second one."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 6) to (n, 1)."""
        return F.linear(x, self.weight).relu().sum(1, keepdim=True)


@pytest.mark.parametrize("rule", ["flat", "w2", "z-box"])
def test_rules_of_the_input(rule) -> None:
    weight, x = draw(4, 6), draw(3, 6, seed=3)
    weight[1, 2] = 0  # no edge
    background = draw(20, 6, seed=4) * 3
    low, high = (torch.minimum(background.amin(0), x), torch.maximum(background.amax(0), x))
    received = F.linear(x, weight).relu()
    if rule == "z-box":
        z = (
            x[:, None] * weight
            - low[:, None] * weight.clamp(min=0)
            - high[:, None] * weight.clamp(max=0)
        )
    else:
        z = {"flat": (weight != 0).double(), "w2": weight**2}[rule].expand(3, 4, 6)
    expected = (z / z.sum(2, keepdim=True) * received[..., None]).sum(1)
    given = {"background": background} if rule == "z-box" else {}
    explainer = LRP(composite={"input": rule}, epsilon=1e-13, **given)
    made = explainer(Rectified(weight), x, 0)
    np.testing.assert_allclose(made.values, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(made.relative_gap, 0, atol=1e-9)


def test_a_box_goes_through_scales_and_shifts_before_the_first_layer() -> None:
    """A norm and a layer are the one layer that they make: also where the scale is negative."""
    scale, weight, x = draw(6, seed=5), draw(4, 6), draw(3, 6, seed=3)
    assert float(scale.min()) < 0 < float(scale.max())
    background = draw(20, 6, seed=4) * 3
    explainer = LRP(composite={"input": "z-box"}, background=background, epsilon=1e-13)
    apart = Expression(lambda x: F.linear(x * scale + 0.3, weight).relu().sum(1, keepdim=True))
    shift = (weight * 0.3).sum(1)
    one = Expression(lambda x: F.linear(x, weight * scale, shift).relu().sum(1, keepdim=True))
    np.testing.assert_allclose(
        explainer(apart, x, 0).values, explainer(one, x, 0).values, rtol=1e-8, atol=1e-10
    )
