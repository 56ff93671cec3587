"""Rules of functions of one input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor

from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.rules import RULES
from hargcn.explainers.deepshap.rules_unary import rescale, rescale_smooth

# Functions whose name in torch is not that of the rule, or that need more than one argument.
SPECIAL = {
    "threshold": lambda x: F.threshold(x, 0.3, -1.0),
    "prelu": lambda x: F.prelu(x, torch.tensor([0.2], dtype=x.dtype)),
    "rpow": lambda x: 1.7**x,
    "clamp": lambda x: x.clamp(-0.4, torch.inf),
    "clip": lambda x: torch.clip(x, max=0.7),
    "clamp_min": lambda x: x.clamp_min(torch.tensor(0.2, dtype=x.dtype)),
    "clamp_max": lambda x: x.clamp_max(0.2),
    "rrelu": lambda x: F.rrelu(x, 0.1, 0.3),
    "square": torch.square,
    "log_sigmoid": F.logsigmoid,
    "expit": torch.special.expit,
}
POSITIVE = {"log", "log1p", "log2", "log10", "sqrt", "rsqrt", "lgamma", "digamma", "reciprocal"}
INSIDE = {"asin", "acos", "arcsin", "arccos", "atanh", "arctanh", "erfinv", "logit"}
BEYOND_ONE = {"acosh", "arccosh"}
ELEMENTWISE = sorted(
    n for n, e in RULES.items() if e.arity == 1 and e.rule.__module__.endswith("rules_unary")
)


def domain(name: str, x: Tensor) -> Tensor:
    """Squeeze normal numbers into a function's domain."""
    if name in POSITIVE:
        return x.abs() + 0.1
    if name in INSIDE:
        return x.sigmoid() * 0.9 + 0.05
    return x.abs() + 1.1 if name in BEYOND_ONE else x


def function(name: str) -> object:
    return SPECIAL.get(name) or getattr(torch, name, None) or getattr(F, name)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_change_is_credited_element_by_element(name):
    """Of f(x1) + 2 f(x2), input i has (f(x_i) - f(r_i)) times its factor, for any function."""
    generator = torch.Generator().manual_seed(0)
    rows, x = (domain(name, 2 * torch.randn(n, 2, generator=generator).double()) for n in (5, 3))
    # One background row shares a value with the sample, another nearly: the gradient's case.
    rows[0, 0], rows[1, 1] = x[0, 0], x[1, 1] * (1 + 1e-15)
    f, factor = function(name), torch.tensor([1.0, 2.0], dtype=torch.float64)
    model = Expression(lambda x: (f(x) * factor).sum(1, keepdim=True))
    got = DeepSHAP(rows, dtype=torch.float64)(model, x, 0)
    expected = factor * (f(x) - f(rows).mean(0))
    np.testing.assert_allclose(got.values, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("function", [torch.tanh, torch.exp])
@pytest.mark.parametrize("distance", [3e-4, 1e-3, 4e-3, 1.6e-2])
def test_small_differences_have_their_secant(function, distance):
    """The tangent at the background would miss by f'' / 2 f' of the distance: 0.76 and 0.5."""
    row = torch.linspace(0.8, 1.2, 50)[None]
    x = row * (1 + distance)
    model = Expression(lambda x: function(x).sum(1, keepdim=True))
    got = DeepSHAP(row, allow_gap=True)(model, x, 0).values.to_numpy()
    exact = (function(x.double()) - function(row.double())).numpy()
    assert abs(got / exact - 1).max() < max(0.1 * distance, 1e-6 / distance)


@pytest.mark.parametrize("size", [50, 5000])  # torch's passes, and the compiled loop
@pytest.mark.parametrize("distance", [1e-6, 1e-5, 9e-5])
def test_the_smallest_differences_keep_their_digits(size, distance):
    """Quotients of single precision would miss by 6e-8 / distance: 6%, 0.6%, 0.07%."""
    row = torch.linspace(0.5, 1.5, size)[None].repeat(20, 1)
    x = row[:1] + distance
    model = Expression(lambda x: torch.tanh(x).sum(1, keepdim=True))
    got = DeepSHAP(row, allow_gap=True)(model, x, 0).values.to_numpy()
    a, b = x.double(), row[:1].double()
    np.testing.assert_allclose(got, a.tanh() - b.tanh(), rtol=3e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_and_close_inputs_of_a_large_map_add_up(dtype):
    x = torch.randn(1, 9000, generator=torch.Generator().manual_seed(0), dtype=dtype)
    rows = x.repeat(20, 1)
    rows[:, 3000:6000] += 1e-5
    rows[:, 6000:] = rows[:, :3000]
    got = DeepSHAP(rows)(Expression(lambda x: F.silu(x).sum(1, keepdim=True)), x, 0)
    assert float(got.relative_gap.max()) < 1e-4


@pytest.mark.parametrize("rule", [rescale, rescale_smooth])
def test_equal_inputs_take_the_gradient(rule):
    """Behind a mixing layer equal values still pass on what made them equal."""
    from hargcn.explainers.deepshap.rules import register_rule

    before = RULES["tanh"]
    register_rule("tanh", arity=1)(rule)
    try:
        model = Expression(lambda x: torch.tanh(x[:, :1] + x[:, 1:]))
        got = DeepSHAP(torch.tensor([[0.1, 0.2]]))(model, torch.tensor([[0.2, 0.1]]), 0)
    finally:
        RULES["tanh"] = before
    slope = 1 - np.tanh(0.3) ** 2
    np.testing.assert_allclose(got.values, [[0.1 * slope, -0.1 * slope]], rtol=1e-4)


def test_many_equal_inputs_take_the_gradient():
    x = torch.randn(1, 300, generator=torch.Generator().manual_seed(0))
    rows = torch.cat([x, x.flip(1)])
    rows[1, :200] = x[0, :200]
    model = Expression(lambda x: F.silu(x).mean(1, keepdim=True))
    got = DeepSHAP(rows)(model, x, 0)
    assert np.isfinite(got.values).all()
    assert got.relative_gap.max() < 1e-5


def test_roots_at_zero_stay_finite():
    model = Expression(lambda x: x.square().sum(1, keepdim=True).sqrt())
    rows = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    got = DeepSHAP(rows)(model, torch.tensor([[0.0, 0.0], [6.0, 8.0]]), 0)
    assert np.isfinite(got.values).all()
    np.testing.assert_allclose(got.values.sum("axis1"), [-2.5, 7.5], rtol=1e-6)
