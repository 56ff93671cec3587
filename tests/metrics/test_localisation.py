from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Line, explained
from sklearn.metrics import roc_auc_score

from hargcn.explainers.baselines import Constant, FakeCAM, Random, Truth
from hargcn.metrics.localisation import (
    auroc,
    energy,
    localisation,
    mask_area,
    outside_inside,
    ratios,
)

TRUTH = np.array([[[True, False], [False, False]]])
MAP = torch.tensor([[[3.0, 1.0], [-2.0, 0.0]]])


def test_figures_by_hand():
    each = explained(MAP)
    assert energy(each, TRUTH).item() == 0.75
    assert energy(each, TRUTH, absolute=True).item() == 0.5
    assert auroc(each, TRUTH).item() == 1
    assert outside_inside(each, TRUTH).item() == pytest.approx((1 / 3) / 3)
    assert mask_area(TRUTH).tolist() == [0.25]
    among = np.array([[[True, True], [False, False]]])
    assert energy(each, TRUTH, among=among).item() == 0.75
    assert mask_area(TRUTH, among).tolist() == [0.5]


def test_ratios_of_positive_and_of_all_attributions_by_hand():
    distractor = np.array([[[False, False], [True, False]]])
    found = ratios(explained(MAP), TRUTH, distractor)
    assert found["outside_inside"].item() == pytest.approx((1 / 3) / 3)
    assert found["absolute_outside_inside"].item() == pytest.approx((3 / 3) / 3)
    assert found["distractor_outside_inside"].item() == 0
    assert found["distractor_absolute_outside_inside"].item() == pytest.approx(2 / 3)
    seen = np.array([[[True, False], [True, True]]])
    found = ratios(explained(MAP), TRUTH, seen=seen)
    assert set(found) == {"outside_inside", "absolute_outside_inside"}
    assert found["absolute_outside_inside"].item() == pytest.approx((2 / 2) / 3)


def test_auroc_is_sklearns():
    rng = np.random.default_rng(0)
    maps = torch.from_numpy(rng.integers(-3, 4, (3, 5, 4)).astype(float))
    truth = rng.random((3, 5, 4)) < 0.3
    for absolute in (False, True):
        scores = maps.abs() if absolute else maps
        expected = [
            roc_auc_score(t.ravel(), m.numpy().ravel()) for t, m in zip(truth, scores, strict=True)
        ]
        found = auroc(explained(maps), truth, absolute=absolute)
        np.testing.assert_allclose(found, expected)


def test_magnitude_finds_what_the_sign_denies():
    """A map that points at the evidence with the wrong sign: absolute figures do not notice."""
    each = explained(-torch.from_numpy(TRUTH.astype(float)))
    assert auroc(each, TRUTH).item() == 0
    assert auroc(each, TRUTH, absolute=True).item() == 1
    assert energy(each, TRUTH).item() == 0
    assert energy(each, TRUTH, absolute=True).item() == 1
    assert np.isinf(outside_inside(each, TRUTH)).all()


def baselines() -> tuple[np.ndarray, dict[str, object]]:
    rng = np.random.default_rng(1)
    truth = rng.random((40, 8, 6)) < 0.2
    x = torch.randn(40, 1, 1, 8, 6, 1, generator=torch.Generator().manual_seed(0))
    model = Line([1.0] * 6)
    made = (Random(1), Constant(), FakeCAM(), Truth(truth))
    return truth, {each.name: each(model, x, 0) for each in made}


def test_random_constant_and_fake_are_at_chance_and_the_truth_at_the_ceiling():
    truth, made = baselines()
    chance = mask_area(truth).mean()
    for name in ("random", "constant", "fakecam"):
        assert float(energy(made[name], truth).mean()) == pytest.approx(chance, abs=0.03)
        assert float(auroc(made[name], truth).mean()) == pytest.approx(0.5, abs=0.04)
        assert float(outside_inside(made[name], truth).median()) == pytest.approx(1, abs=0.15)
    assert energy(made["truth"], truth).min() == 1
    assert auroc(made["truth"], truth).min() == 1
    assert outside_inside(made["truth"], truth).max() == 0


def test_distractors_undo_a_map_of_unusual_movement():
    """A map that marks truth and distractor alike locates movement, not evidence."""
    distractor = np.array([[[False, False], [True, False]]])
    movement = explained(torch.from_numpy((TRUTH | distractor).astype(float)))
    found = localisation(movement, TRUTH, distractor)
    assert found["auroc"].item() == pytest.approx(5 / 6)
    assert found["distractor_auroc"].item() == 0.5
    assert found["distractor_energy"].item() == 0.5
    assert found["distractor_area"].item() == 0.5
    assert found["area"].item() == 0.25
    assert "distractor_auroc" not in localisation(movement, TRUTH)


def test_samples_without_evidence_are_not_measured():
    each = explained(MAP)
    empty = np.zeros_like(TRUTH)
    for figure in localisation(each, empty).values():
        assert np.isnan(figure).all()
    with pytest.raises(ValueError, match=r"Expected a truth mask \(1, frames, 2\)"):
        energy(each, np.zeros((2, 2, 2), bool))


def test_a_constant_joint_is_at_chance_within_the_evidences_joints():
    """It beats all distractors elsewhere (1.0), and knows nothing of when."""
    truth = np.zeros((1, 6, 3), bool)
    truth[:, 2:4, 1] = True
    elsewhere = np.zeros_like(truth)
    elsewhere[:, 2:4, 2] = True
    joint = explained(torch.from_numpy(truth.any(1, keepdims=True).repeat(6, 1).astype(float)))
    found = localisation(joint, truth, elsewhere)
    assert found["distractor_auroc"].item() == 1
    assert found["within_auroc"].item() == 0.5
    assert found["within_area"].item() == pytest.approx(2 / 6)
    assert "within_distractor_auroc" not in found
    own = elsewhere.copy()
    own[:, 5, 1] = True
    found = localisation(joint, truth, own)
    assert found["within_distractor_auroc"].item() == 0.5
    assert found["within_distractor_area"].item() == pytest.approx(2 / 3)
    assert found["distractor_auroc"].item() == pytest.approx((2 + 0.5) / 3)


def test_figures_within_joints_by_hand():
    """The bearing joint says (3, -2), so its evidence lies above; the other joint has no say."""
    found = localisation(explained(MAP), TRUTH)
    assert found["within_auroc"].item() == 1
    assert found["within_energy"].item() == 1
    assert found["within_energy_absolute"].item() == 0.6
    assert localisation(explained(-MAP), TRUTH)["within_auroc"].item() == 0


def test_only_what_was_seen_counts_where_it_is_asked():
    """Dropping the unseen cells from map and truth by hand gives the same figures."""
    rng = np.random.default_rng(2)
    maps, truth = rng.normal(size=(3, 6, 4)), rng.random((3, 6, 4)) < 0.4
    seen = np.ones_like(truth)
    seen[:, 4:] = False  # the last frames, so that what is left is a map again
    whole, kept = explained(torch.from_numpy(maps)), explained(torch.from_numpy(maps[:, :4]))
    decoys = rng.random(truth.shape) < 0.3
    truth[:, 4:] &= truth[:, :4].any(axis=1, keepdims=True)  # the same joints bear evidence
    found = localisation(whole, truth, decoys, seen)
    expected = localisation(kept, truth[:, :4], decoys[:, :4])
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], err_msg=str(name))
    everything = localisation(whole, truth, decoys, np.ones_like(seen))
    for name, figure in localisation(whole, truth, decoys).items():
        np.testing.assert_array_equal(everything[name], figure, err_msg=str(name))
