"""SmoothGrad is the mean gradient under noise of a known size."""

from __future__ import annotations

import numpy as np
import torch
from fixtures.foreign_cnn import branches
from fixtures.small_model import ours
from torch import nn

from hargcn.explainers import Saliency, SmoothGrad, SmoothGradSquared
from hargcn.explanation import DIMS


class Cube(nn.Module):
    """sum x^3 of (N, 4): its gradient is 3 x^2, under noise 3 (x^2 + sigma^2) in the mean."""

    def forward(self, x):
        return (x**3).sum(1, keepdim=True)


X = torch.tensor([[0.0, 1.0, 2.0, 4.0], [1.0, 1.0, 1.0, 2.0]])  # ranges 4 and 1


def test_by_hand():
    found = SmoothGrad(noise=0.25, samples=1000)(Cube(), X, 0)
    expected = 3 * (X**2 + torch.tensor([[1.0], [0.0625]]))
    z = (found.values - expected.numpy()) / found.standard_error
    assert float(abs(z).max()) < 4
    assert 0.1 < float(found.standard_error[0, 0]) < 0.17  # 3 sqrt(2 / 1000) = 0.134
    # Of 9 (x + e)^4: 9 (x^4 + 6 x^2 s^2 + 3 s^4).
    square = SmoothGradSquared(noise=0.25, samples=1000)(Cube(), X, 0)
    s = torch.tensor([[1.0], [0.25]])
    expected = 9 * (X**4 + 6 * X**2 * s**2 + 3 * s**4)
    assert float(abs((square.values - expected.numpy()) / square.standard_error).max()) < 4
    assert float(square.values.min()) > 0


def test_little_noise_is_the_gradient():
    model, x = ours(), branches(2)
    plain = Saliency(signed=True)(model, x, 1).values
    size = float(abs(plain).max())
    found = SmoothGrad(noise=1e-5, samples=2)(model, x, 1)
    np.testing.assert_allclose(found.values, plain, atol=1e-3 * size)
    squared = SmoothGradSquared(noise=1e-5, samples=2)(model, x, 1)
    np.testing.assert_allclose(squared.values, plain**2, atol=2e-3 * size**2)


def test_noise_is_in_the_range_of_each_branch_and_channel_and_only_where_somebody_is():
    x = torch.zeros(1, 2, 2, 3, 4, 2)
    x[0, :, :, :, 0, 0] = 1
    x[0, 1, 0, 0, 1, 0] = 9
    size = SmoothGrad(noise=0.1).deviation(x, DIMS)
    shown = size[0, :, :, :, 0, 0]
    np.testing.assert_allclose(shown[..., 0], [[0.1, 0.1], [0.9, 0.1]], rtol=1e-6)
    assert float(size[..., 1].max()) == 0


def test_a_seed_is_another_draw():
    model, x = ours(), branches(1)
    one, two = (SmoothGrad(samples=3, seed=seed)(model, x, 1).values for seed in (1, 2))
    assert float(abs(one - two).max()) > 0
    np.testing.assert_array_equal(one, SmoothGrad(samples=3, seed=1)(model, x, 1).values)
