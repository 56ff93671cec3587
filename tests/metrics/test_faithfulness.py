from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Line, explained, three_joints

from hargcn.metrics.faithfulness import (
    area,
    efficiency_gap,
    gap_curve,
    infidelity,
    pgi,
    pgu,
    sensitivity_n,
)
from hargcn.metrics.runner import Runner
from hargcn.perturbation import EdgeEdit, InputEdit

# E is the identity: its range is 1, an edited joint counts 1.35 fold. With means (2, 1, 1) and
# weights (2, 1, -1) the logit is 4, and 4 + 0.35 * (4, 1, -1) summed over the edited joints.
AWAY = EdgeEdit("self", "away", 0.35)


def sigmoid(z: float) -> float:
    return 1 / (1 + np.exp(-z))


def ranked() -> tuple:
    model, x = three_joints()
    return model, x, explained(torch.tensor([[3.0, 2.0, 1.0]]))


def test_pgi_and_pgu_by_hand():
    p = sigmoid(4)
    important = [0, sigmoid(5.4) - p, sigmoid(5.75) - p, sigmoid(5.4) - p]
    others = [sigmoid(5.4) - p, 0, p - sigmoid(3.65), 0]
    np.testing.assert_allclose(gap_curve(*ranked(), AWAY)[0], important, atol=1e-6)
    np.testing.assert_allclose(gap_curve(*ranked(), AWAY, complement=True)[0], others, atol=1e-6)
    by_hand = (important[1] + important[2] + important[3] / 2) / 3
    assert pgi(*ranked(), AWAY).item() == pytest.approx(by_hand, abs=1e-6)
    by_hand = (others[0] / 2 + others[2]) / 3
    assert pgu(*ranked(), AWAY).item() == pytest.approx(by_hand, abs=1e-6)


def test_all_joints_are_the_complement_of_none():
    important = gap_curve(*ranked(), AWAY)
    complement = gap_curve(*ranked(), AWAY, complement=True)
    assert important[0, -1] == complement[0, 0]
    assert important[0, 0] == 0
    assert complement[0, -1] == 0


def test_the_gap_is_taken_before_the_mean_over_draws():
    """Noise moves the score both ways: its mean gap is not the gap of its mean."""
    gap = gap_curve(*ranked(), InputEdit("noise", 1.0), top=1, draws=40)
    model, x, each = ranked()
    joints = np.array([[[True, False, False]]])
    logits = Runner().edited(model, x, InputEdit("noise", 1.0), joints, draws=40)[0, 0]
    p = sigmoid(logits[:, 0] - logits[:, 1])
    assert gap[0, 1] == pytest.approx(np.abs(p - sigmoid(4)).mean(), abs=1e-6)
    assert gap[0, 1] > abs(p.mean() - sigmoid(4)) + 1e-3
    assert len(each) == 1


def test_area_is_trapezoids():
    assert area(np.array([0.0, 1.0, 1.0])) == 0.75


def test_exact_attributions_predict_every_effect_and_opposite_ones_none():
    """Of a small linear effect the attributions w_v (x_v - x0_v) are the whole story."""
    model = Line([0.02, 0.01, -0.03, 0.005])
    x = torch.rand(5, 1, 1, 6, 4, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    moved = (x - x[:, :, :, :1]).mean((1, 2, 3, 5))
    exact = moved * model.weights.detach()
    edit, run = InputEdit("freeze"), Runner()
    for sign, rho, error in ((1, 1, 0), (-1, -1, 1)):
        each = explained(sign * exact)
        np.testing.assert_allclose(sensitivity_n(model, x, each, edit, run=run), rho, atol=1e-3)
        np.testing.assert_allclose(infidelity(model, x, each, edit, run=run), error, atol=1e-3)


def test_random_and_constant_attributions_are_at_chance():
    model = Line([1.0, -1.0, 0.5, 0.2, -0.3, 0.1])
    x = torch.randn(80, 1, 1, 5, 6, 1, generator=torch.Generator().manual_seed(2))
    noise = explained(torch.randn(80, 6, generator=torch.Generator().manual_seed(3)))
    rho = sensitivity_n(model, x, noise, InputEdit("freeze"), size=2)
    assert abs(float(rho.mean())) < 0.1
    still = explained(torch.ones(80, 6))
    assert not sensitivity_n(model, x, still, InputEdit("freeze"), size=2).any()
    assert float(infidelity(model, x, noise, InputEdit("freeze")).mean()) > 0.6


def test_no_effect_is_not_measured():
    model, x = three_joints()
    still = x[:, :, :, :1].repeat(1, 1, 1, 4, 1, 1)
    each = explained(torch.tensor([[3.0, 2.0, 1.0]]))
    assert np.isnan(sensitivity_n(model, still, each, InputEdit("freeze"))).all()
    assert np.isnan(infidelity(model, still, each, InputEdit("freeze"))).all()


def test_efficiency_gap_is_what_is_stored():
    each = explained(torch.tensor([[3.0, 2.0]]))
    assert np.isnan(efficiency_gap(each)).all()
    assert efficiency_gap(each.assign({"relative_gap": [0.02]})).item() == 0.02


def test_a_map_that_says_nothing_explains_no_effect():
    model, x = three_joints()
    silent = explained(torch.zeros(1, 3))
    assert infidelity(model, x, silent, AWAY).item() == 1
    assert sensitivity_n(model, x, silent, AWAY).item() == 0


def test_the_gap_is_called_by_its_name_whether_stored_or_not():
    each = explained(torch.tensor([[3.0, 2.0]]))
    for stored in (each, each.assign({"relative_gap": [0.02]})):
        assert efficiency_gap(stored).name == "efficiency-gap"
