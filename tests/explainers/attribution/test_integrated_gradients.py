"""Integrated gradients are complete, expected gradients in the mean: by hand and by promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.small_model import ours
from torch import nn

from hargcn.explainers import ExpectedGradients, IntegratedGradients
from hargcn.networks.branches import PositionModel

A, B = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([3.0, 0.0, -1.0])


class Quadratic(nn.Module):
    """Logits (sum a x^2 + b x, 0) of (N, 3)."""

    def forward(self, x):
        score = (A.to(x) * x**2 + B.to(x) * x).sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def positions(n, seed=1):
    generator = torch.Generator().manual_seed(seed)
    pose = torch.randn(1, 2, 1, 19, 1, generator=torch.Generator().manual_seed(0))
    return pose + 0.1 * torch.randn(n, 2, 12, 19, 1, generator=generator)


def total(found):
    return found.values.sum(found.dims[1:]).to_numpy()


def test_a_quadratic_by_hand():
    """The mean of 2 a x + b on the path from r to x is a (x + r) + b: one stretch is exact."""
    x, rows = torch.tensor([[1.0, 2.0, -2.0], [0.0, 1.0, 4.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    found = IntegratedGradients(rows)(Quadratic(), x, 0)
    expected = (x - rows) * (A * (x + rows) + B)
    np.testing.assert_allclose(found.values, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.base_value, [1 + 3 + 0.5 - 1] * 2)
    assert found.dataset["steps"].to_numpy().tolist() == [4, 4]
    zero = IntegratedGradients(baseline="zero")(Quadratic(), x, 0)
    np.testing.assert_allclose(zero.values, A * x**2 + B * x, rtol=1e-5, atol=1e-6)
    assert float(abs(zero.base_value).max()) == 0


def test_the_baseline_is_the_backgrounds_weighted_mean():
    rows, x = torch.tensor([[0.0, 0.0, 0.0], [4.0, 8.0, 0.0]]), torch.ones(1, 3)
    found = IntegratedGradients(rows, weights=[3, 1])(Quadratic(), x, 0)
    own = IntegratedGradients(torch.tensor([[1.0, 2.0, 0.0]]))(Quadratic(), x, 0)
    np.testing.assert_allclose(found.values, own.values, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "x", "rows"),
    [
        (ours, branches(3), branches(5, seed=3)),
        (adapted_stgcn, clips(1), clips(20, seed=3)),
        (adapted_cnn, image(3), image(5, seed=3)),
        (lambda: PositionModel(ours()), positions(3), positions(5, seed=2)),
    ],
    ids=["ours", "stgcn", "cnn", "positions"],
)
def test_complete(build, x, rows):
    model = build()
    found = IntegratedGradients(rows)(model, x, 1)
    gap = total(found) + found.base_value - found.score
    assert float(found.relative_gap.max()) <= 1e-3
    np.testing.assert_allclose(gap, found.additivity_gap, atol=1e-6)
    with torch.no_grad():
        np.testing.assert_allclose(found.score, model(x)[:, 1], rtol=1e-4, atol=1e-6)
        base = model(rows.double().mean(0, keepdim=True).float())[:, 1]
    np.testing.assert_allclose(found.base_value, base.expand(len(x)), rtol=1e-4, atol=1e-6)
    assert (found.dataset["steps"] >= 4).all()


def test_captum_with_many_points_says_the_same():
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    model, x, rows = adapted_cnn(), image(2), image(1, seed=3)
    expected = attr.IntegratedGradients(model).attribute(x, rows, target=1, n_steps=600)
    found = IntegratedGradients(rows, tolerance=1e-4)(model, x, 1)
    size = float(abs(expected).max())
    np.testing.assert_allclose(found.values, expected, atol=2e-3 * size)


class Kink(nn.Module):
    """ReLU(x0 + x1 - 1.3) + 0.01 x0: flat on most of the way from 0, steep at its end."""

    def forward(self, x):
        return (x.sum(1, keepdim=True) - 1.3).relu() + 0.01 * x[:, :1]


def test_the_path_is_divided_where_the_gap_is():
    """From 0 to (1, 1) the kink is at 0.65: the gradient is (1, 1) on 0.35 of the path."""
    x = torch.ones(1, 2)
    found = IntegratedGradients(baseline="zero")(Kink(), x, 0)
    np.testing.assert_allclose(found.values, [[0.36, 0.35]], atol=1e-3)
    finer = IntegratedGradients(baseline="zero", tolerance=1e-6)(Kink(), x, 0)
    np.testing.assert_allclose(finer.values, [[0.36, 0.35]], atol=1e-6)
    assert 4 < int(found.dataset["steps"][0]) < int(finer.dataset["steps"][0]) < 300


class Jump(nn.Module):
    def forward(self, x):
        return x.sum(1, keepdim=True) + (x[:, :1] > 0.3).to(x)


def test_what_cannot_be_complete_is_refused_or_accepted():
    x = torch.ones(2, 2)
    said = "sample 0: expected integrated gradients that add up .* the score jumps there"
    with pytest.raises(ValueError, match=said):
        IntegratedGradients(baseline="zero")(Jump(), x, 0)
    with pytest.raises(ValueError, match="after 24 steps.*max_steps may mend it"):
        IntegratedGradients(baseline="zero", max_steps=12)(Jump(), x, 0)
    found = IntegratedGradients(baseline="zero", allow_gap=True)(Jump(), x, 0)
    np.testing.assert_allclose(found.additivity_gap, [-1, -1], atol=1e-5)


def test_single_precision_that_does_not_suffice_is_double():
    class Offset(nn.Module):
        def forward(self, x):
            return x.sum(1, keepdim=True) * 1e-4 + 1000

    found = IntegratedGradients(baseline="zero")(Offset(), torch.ones(1, 2), 0)
    assert found.dataset["double_precision"].to_numpy().tolist() == [True]
    assert float(found.relative_gap[0]) < 1e-6
    assert float(found.score[0] - found.base_value[0]) == pytest.approx(2e-4)


def test_nobody_is_credited_where_nobody_is():
    """Of two persons the second leaves after frame 7: the path does not bring them back."""
    model = PositionModel(ours())
    x = torch.cat([positions(2), positions(2, seed=7)], dim=4)
    x[0, :, 7:, :, 1] = 0
    found = IntegratedGradients(torch.cat([positions(4, seed=2)] * 2, dim=4))(model, x, 1)
    assert float(found.relative_gap.max()) <= 1e-3
    assert float(abs(found.values[0, :, 7:, :, 1]).max()) == 0
    assert float(abs(found.values[1, :, 7:, :, 1]).max()) > 0
    assert found.base_value[0] != found.base_value[1]


def test_settings_that_do_not_fit():
    with pytest.raises(ValueError, match="Expected a background for its mean, or baseline='zero'"):
        IntegratedGradients()
    with pytest.raises(ValueError, match="Expected a background and a weight for each"):
        IntegratedGradients(torch.ones(2, 3), weights=[1])
    with pytest.raises(ValueError, match=r"Expected a background \(got none\)"):
        ExpectedGradients()
    with pytest.raises(ValueError, match="background sample 0: expected finite input"):
        ExpectedGradients(torch.full((1, 3), float("nan")))
    with pytest.raises(ValueError, match=r"shaped like the background \(4,\) \(got \(2, 3\)\)"):
        IntegratedGradients(torch.ones(1, 4))(Quadratic(), torch.ones(2, 3), 0)


def test_expected_gradients_of_a_quadratic():
    """Over rows r and places: (x - r) (a (x + r) + b), that is f_i(x) - mean f_i(r)."""
    generator = torch.Generator().manual_seed(3)
    rows, x = torch.randn(10, 3, generator=generator), torch.tensor([[1.0, 2.0, -2.0]])
    weights = torch.arange(1.0, 11) / 55
    parts = A * x**2 + B * x - weights @ (A * rows**2 + B * rows)
    z = []
    for seed in range(12):
        few = ExpectedGradients(rows, weights=weights, samples=200, seed=seed)(Quadratic(), x, 0)
        z.append((few.values - parts.numpy()) / few.standard_error)
    assert 0.6 < float(np.sqrt(np.mean(np.square(z)))) < 1.4
    many = ExpectedGradients(rows, weights=weights, samples=20_000, chunk=5000)(Quadratic(), x, 0)
    np.testing.assert_allclose(many.values, parts, atol=0.2)
    assert float(few.standard_error.max() / many.standard_error.max()) == pytest.approx(10, rel=0.3)
    np.testing.assert_allclose(
        many.base_value, (weights @ (A * rows**2 + B * rows)).sum(), rtol=1e-5
    )
    np.testing.assert_allclose(
        many.additivity_gap, total(many) + many.base_value - many.score, atol=1e-5
    )


def test_expected_gradients_take_a_seed_and_any_chunk():
    model, x, rows = ours(), branches(2), branches(5, seed=3)
    one = ExpectedGradients(rows, samples=12)(model, x, 1)
    same = ExpectedGradients(rows, samples=12, chunk=5)(model, x, 1)
    other = ExpectedGradients(rows, samples=12, seed=1)(model, x, 1)
    size = float(abs(one.values).max())
    np.testing.assert_allclose(one.values, same.values, atol=1e-5 * size)
    assert float(abs(one.values - other.values).max()) > 0.01 * size
    assert one.standard_error.dims == one.dims
