from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from fixtures.toy_networks import Line
from torch import nn

from hargcn.explainers import Adapter, make

WEIGHTS = [1.0, 2.0, -1.0]
AXES = ("sample", "person", "time", "joint", "channel")


def windows(n: int = 3) -> torch.Tensor:
    return torch.randn(n, 1, 1, 5, 3, 1, generator=torch.Generator().manual_seed(0))


def test_of_a_linear_network_it_is_its_coefficients_and_the_fit_is_perfect():
    x = windows()
    found = make("lime", {"replace": "zero", "ridge": 0, "masks": 40})(Line(WEIGHTS), x, 0)
    expected = x.sum((1, 2, 5)).mean(1) * torch.tensor(WEIGHTS)
    np.testing.assert_allclose(found.dataset["player_value"], expected, atol=1e-5)
    np.testing.assert_allclose(found.dataset["r2"], 1, atol=1e-6)
    shrunk = make("lime", {"replace": "zero", "ridge": 100, "masks": 40})(Line(WEIGHTS), x, 0)
    assert float(abs(shrunk.dataset["player_value"]).sum()) < 0.9 * float(abs(expected).sum())


def test_an_interaction_is_not_linear_and_the_fit_says_so():
    class Odd(nn.Module):
        """The product of joint 0 and 1, of opposite signs where either is hidden."""

        def forward(self, x):
            a, b = (x[:, 0, :, v, 0].mean(1) for v in (0, 1))
            y = (2 * a - 1) * (2 * b - 1)
            return torch.stack([y, -y], 1)

    at, x = Adapter(Odd(), AXES), torch.ones(1, 2, 4, 2, 1)
    x[:, 1] = 0  # nobody
    found = make("lime", {"replace": "zero", "masks": 400, "width": 100.0})(at, x, 0)
    assert float(found.dataset["r2"][0]) < 0.1
    assert not found.values[:, 1].any()


def test_it_depends_on_the_seed_and_on_nothing_beside():
    model = small_model("inmotion19")
    x = torch.randn(3, 4, 4, 9, 19, 1, generator=torch.Generator().manual_seed(0))

    def values(x=x, **given):
        return make("lime", {"masks": 30, "by": "part", **given})(model, x, 1).values.to_numpy()

    whole = values()
    assert np.array_equal(whole, values())
    assert np.array_equal(whole[1:2], values(x[1:2]))
    np.testing.assert_allclose(whole, values(batch=7), atol=1e-6)
    assert not np.allclose(whole, values(seed=2))


def test_a_background_replaces():
    x, rows = windows(), windows(5)[3:]
    given = {"replace": "background", "ridge": 0, "masks": 20}
    found = make("lime", given, {"background": rows})(Line(WEIGHTS), x, 0)
    level = rows.sum((1, 2, 5)).mean(1).mean(0)
    expected = (x.sum((1, 2, 5)).mean(1) - level) * torch.tensor(WEIGHTS)
    np.testing.assert_allclose(found.dataset["player_value"], expected, atol=1e-5)


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match="lime: masks: Input should be greater than or equal to 2"):
        make("lime", {"masks": 1})
