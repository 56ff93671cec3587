"""The additivity gap is an independent witness: whatever is wrong in the graph, it shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from torch import Tensor

from hargcn.explainers.deepshap import propagation, trace
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.hooks import undisturbed
from hargcn.explanation import Explanation

BY_SAMPLE = (1, 2, 3, 4, 5)


def draw(n: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, 4, 9, 17, 1, generator=generator, dtype=torch.float64)


def test_stored_values_of_a_float64_network_add_up(tmp_path):
    """Read back and asked of the network itself, not of what the file says of its gap."""
    model, rows, x = small_model("coco17", attention="stja").double(), draw(5), draw(3, seed=2)
    DeepSHAP(rows)(model, x, 1).save(tmp_path / "shap.h5")
    stored = Explanation.open(tmp_path / "shap.h5")
    with undisturbed(model), torch.no_grad():
        change = (model(x)[:, 1] - model(rows)[:, 1].mean()).numpy()
    assert stored.values.dtype == "float64"
    total = stored.values.to_numpy().sum(axis=BY_SAMPLE)
    assert abs(total - change).max() / abs(change).max() < 1e-9
    told = stored.values.to_numpy().sum(axis=BY_SAMPLE) + stored.base_value - stored.score
    assert float(abs(told).max() / abs(change).max()) < 1e-9
    np.testing.assert_allclose(stored.dataset["additivity_gap"], told, atol=1e-12)


def wrong_multipliers(monkeypatch):
    right = propagation.Background.multipliers
    monkeypatch.setattr(
        propagation.Background,
        "multipliers",
        lambda *asked: [1.01 * m for m in right(*asked)],
    )


def wrong_fold(monkeypatch):
    """Sample and background run through the same wrong network: they agree with each other."""
    right = trace.fold

    def fold(norm, *rest):
        return right((1.05 * norm[0], norm[1]), *rest)

    monkeypatch.setattr(trace, "fold", fold)


@pytest.mark.parametrize("corrupt", [wrong_multipliers, wrong_fold])
def test_what_is_corrupted_shows_as_a_gap(corrupt, monkeypatch):
    model, rows, x = small_model("coco17").double(), draw(4), draw(2, seed=2)
    right = DeepSHAP(rows)(model, x, 1)
    corrupt(monkeypatch)
    wrong = DeepSHAP(rows, allow_gap=True)(model, x, 1)
    np.testing.assert_array_equal(wrong.score, right.score)
    np.testing.assert_array_equal(wrong.base_value, right.base_value)
    assert float(wrong.relative_gap.min()) > 1e-3
    with pytest.raises(ValueError, match="expected SHAP values that add up"):
        DeepSHAP(rows)(model, x, 1)
