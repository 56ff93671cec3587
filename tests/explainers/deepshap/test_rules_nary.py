"""Rules of operations on several inputs, of maxima and of softmax."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.rules_nary import cross_maximum


def draw(*shape: int, seed: int = 1, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def explained(formula: object, rows: Tensor, x: Tensor) -> np.ndarray:
    """Attributions of a formula's sum over everything but the samples, checked to add up."""
    model = Expression(lambda x: formula(x).reshape(len(x), -1).sum(1, keepdim=True))
    return DeepSHAP(rows, dtype=torch.float64, chunk=3)(model, x, 0).values.to_numpy()


A, B = slice(0, 2), slice(2, 4)
FORMULAS = {
    "mul": lambda x: x[:, A] * x[:, B].mean(-1, keepdim=True),
    "mul same": lambda x: x * x * x,
    "div": lambda x: x[:, A] / (x[:, B] ** 2 + 0.1),
    "rdiv": lambda x: 1 / (2 + x.tanh()),
    "div by itself": lambda x: x.div(x.abs() + 1),
    "matmul": lambda x: x[:, A] @ x[:, B].transpose(-2, -1),
    "bmm": lambda x: torch.bmm(x[:, 0], x[:, 1]),
    "einsum": lambda x: torch.einsum("nij,njk->nik", x[:, 0], x[:, 1]),
    "einsum of three": lambda x: torch.einsum("nij,njk,nkl->nil", x[:, 0], x[:, 1], x[:, 2]),
    "baddbmm": lambda x: torch.baddbmm(x[:, 0], x[:, 1], x[:, 2], alpha=0.5),
    "addcmul": lambda x: torch.addcmul(x[:, 0], x[:, 1], x[:, 2], value=2.0),
    "lerp": lambda x: torch.lerp(x[:, 0], x[:, 1], x[:, 2]),
    "var": lambda x: x.var((2, 3)),
    "var_mean": lambda x: torch.var_mean(x, 3)[0],
    "std": lambda x: x.std(-1),
    "atan2": lambda x: torch.atan2(x[:, A], x[:, B]),
    "maximum": lambda x: torch.maximum(x[:, A], x[:, B]),
    "max of two": lambda x: torch.max(x[:, A], x[:, B]),
    "pow of two": lambda x: x[:, A].abs() ** x[:, B].tanh(),
    "pow": lambda x: x.abs().pow(1.7) + x.pow(3) + x.pow(2) + (x.abs() + 0.1) ** -0.5,
    "logaddexp": lambda x: torch.logaddexp(x[:, A], 20 * x[:, B]),
    "max": lambda x: x.max(2).values,
    "min": lambda x: x.min(-1, keepdim=True)[0],
    "max of all": lambda x: x.flatten(1).amax(1),
    "amax": lambda x: x.amax((1, 3)),
    "amin": lambda x: x.amin(dim=(1, 2, 3)),
    "max_pool1d": lambda x: F.max_pool1d(x.flatten(1, 2), 3, stride=2, padding=1),
    "max_pool2d": lambda x: F.max_pool2d(x, 2, stride=1, ceil_mode=True),
    "max_pool2d indices": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "max_pool3d": lambda x: F.max_pool3d(x[:, None], 2),
    "adaptive_max_pool1d": lambda x: F.adaptive_max_pool1d(x.flatten(1, 2), 2),
    "adaptive_max_pool2d": lambda x: F.adaptive_max_pool2d(x, (2, 1)),
    "softmax": lambda x: x.softmax(-1) * x,
    "softmax 2": lambda x: torch.softmax(x, dim=1)[:, 0],
    "log_softmax": lambda x: F.log_softmax(x, 2)[:, :, 0],
    "logsumexp": lambda x: x.logsumexp(1),
    "logsumexp of two": lambda x: torch.logsumexp(x, (1, 2), keepdim=True),
    "masked softmax": lambda x: x.masked_fill(torch.eye(4) > 0, -torch.inf).softmax(3)[..., 0],
    "conv": lambda x: F.conv1d(x[:, 0], torch.ones(2, 4, 3, dtype=x.dtype)) ** 2,
    "bilinear": lambda x: F.bilinear(x[:, 0], x[:, 1], torch.ones(2, 4, 4, dtype=x.dtype)),
    "cross": lambda x: torch.linalg.cross(x[:, 0, :, :3], x[:, 1, :, :3]),
}  # fmt: skip


@pytest.mark.parametrize("scale", [1.0, 30.0])
@pytest.mark.parametrize("name", FORMULAS)
def test_every_rule_keeps_the_sum(name, scale):
    rows, x = draw(5, 4, 4, 4, scale=scale), draw(2, 4, 4, 4, seed=2, scale=scale)
    formula = FORMULAS[name]
    got = explained(formula, rows, x)
    change = (formula(x).reshape(2, -1).sum(1) - formula(rows).reshape(5, -1).sum(1).mean()).numpy()
    np.testing.assert_allclose(got.sum((1, 2, 3)), change, rtol=1e-9)


def test_quotient_has_its_shapley_values():
    """By hand, 6/2 against 1/1: above 5 (1/2 + 1)/2 = 3.75, below 7/2 (1/2 - 1) = -1.75."""
    got = explained(
        lambda x: x[:, 0] / x[:, 1], torch.ones(1, 2).double(), torch.tensor([[6.0, 2.0]])
    )
    np.testing.assert_allclose(got, [[3.75, -1.75]])


def test_function_of_two_has_its_shapley_values():
    rows, x = draw(1, 2), draw(1, 2, seed=2)
    got = explained(lambda x: torch.atan2(x[:, 0], x[:, 1]), rows, x)
    (a0, b0), (a, b) = rows[0].numpy(), x[0].numpy()
    first = np.arctan2(a, b0) - np.arctan2(a0, b0) + np.arctan2(a, b) - np.arctan2(a0, b)
    second = np.arctan2(a0, b) - np.arctan2(a0, b0) + np.arctan2(a, b) - np.arctan2(a, b0)
    np.testing.assert_allclose(got, [[first / 2, second / 2]])


def test_maximum_credits_what_made_the_change():
    """A rise belongs to the new winner, a fall to the old one; the rest is not involved."""
    rows = torch.tensor([[5.0, 1.0, 0.0]])
    np.testing.assert_allclose(
        explained(lambda x: x.amax(1), rows, torch.tensor([[4.0, 7.0, 6.0]])), [[0, 2, 0]]
    )
    np.testing.assert_allclose(
        explained(lambda x: x.amax(1), rows, torch.tensor([[2.0, 3.0, 0.5]])), [[-2, 0, 0]]
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_multipliers_of_a_maximum_lie_between_0_and_1(seed, largest):
    x, x0 = draw(6, 5, seed=seed).round(decimals=1), draw(6, 5, seed=seed + 1).round(decimals=1)
    find = torch.argmax if largest else torch.argmin
    indices = (find(t, -1, keepdim=True) for t in (x, x0))
    m = cross_maximum(x, x0, *indices, torch.ones(6, 1).double(), largest)
    assert ((m >= 0) & (m <= 1)).all()
    change = (x.amax(1) - x0.amax(1)) if largest else (x.amin(1) - x0.amin(1))
    torch.testing.assert_close((m * (x - x0)).sum(1), change)


def test_softmax_of_close_inputs_is_its_gradient():
    x = draw(1, 6)
    rows = x + 1e-6 * draw(1, 6, seed=2)
    got = explained(lambda x: x.softmax(1)[:, :2], rows, x)
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(point.softmax(1)[:, :2].sum(), point)
    np.testing.assert_allclose(got, gradient * (x - rows), rtol=1e-4)


def test_no_rule_for_a_rounded_quotient():
    with pytest.raises(ValueError, match="'div' .* no rule"):
        explained(lambda x: torch.div(x, x + 3, rounding_mode="floor"), draw(2, 3), draw(1, 3))


def test_an_infinite_slope_where_nothing_changes_credits_nobody():
    """A power 0.3 of a difference that is 0 before and after, though both its parts rose."""
    found = explained(
        lambda x: (x[:, 0] - x[:, 1]).pow(0.3)[:, None],
        torch.ones(1, 2).double(),
        2 * torch.ones(1, 2).double(),
    )
    np.testing.assert_array_equal(found, [[0, 0]])


@pytest.mark.parametrize("function", [torch.matmul, torch.div, torch.pow])
def test_arguments_that_are_named_in_any_order_add_up(function):
    """Rules of two arguments tell them by their order."""
    rows, x = draw(4, 3, 3), draw(2, 3, 3, seed=2)
    second = "exponent" if function is torch.pow else "other"

    def named(x: Tensor) -> Tensor:
        given = {second: x.tanh() + 2, "input": x.exp()}
        return function(**given).sum((1, 2))[:, None]

    got = DeepSHAP(rows, allow_gap=True)(Expression(named), x, 0)
    assert float(got.relative_gap.max()) < 1e-4
