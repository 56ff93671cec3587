from __future__ import annotations

import numpy as np
import torch
from fixtures.small_model import small_model
from fixtures.toy_networks import Line

from hargcn.explainers import make

WEIGHTS = [1.0, 2.0, -1.0]


def test_of_a_linear_network_it_is_the_covariance_with_the_mask():
    """With two points the mask of frame t is b0 (1 - t) + b1 t, of mean p and joints apart."""
    x = torch.randn(1, 1, 1, 5, 3, 1, generator=torch.Generator().manual_seed(0))
    given = {"replace": "zero", "masks": 20000, "bins": 1, "shown": 0.4}
    found = make("rise", {**given, "batch": 5000})(Line(WEIGHTS), x, 0)
    assert found.dims == ("sample", "time", "joint", "person")
    t = np.linspace(0, 1, 5)
    together = np.outer(1 - t, 1 - t) + np.outer(t, t)  # in units of the variance p (1 - p)
    expected = 0.6 * together @ (x[0, 0, 0, :, :, 0].numpy() * np.array(WEIGHTS) / 5)
    np.testing.assert_allclose(found.values[0, :, :, 0], expected, atol=0.02)


def test_it_depends_on_the_seed_and_on_nothing_beside():
    model = small_model("inmotion19")
    x = torch.randn(2, 4, 4, 9, 19, 2, generator=torch.Generator().manual_seed(0))
    x[1, ..., 1] = 0  # nobody

    def values(x=x, **given):
        return make("rise", {"masks": 20, **given})(model, x, 1).values.to_numpy()

    whole = values()
    assert np.array_equal(whole[1:], values(x[1:]))
    np.testing.assert_allclose(whole, values(batch=7), atol=1e-5)
    assert not np.allclose(whole, values(seed=2))
    assert not whole[1, ..., 1].any()
    assert whole[1, ..., 0].any()
