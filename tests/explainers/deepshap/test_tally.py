"""Sums over the background."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hargcn.explainers.deepshap.tally import Tally


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
def test_sums_are_weighted_whatever_the_chunks(weights):
    generator = np.random.default_rng(0)
    phi, outputs, w = generator.normal(size=(4, 3, 5)), generator.normal(size=4), np.array(weights)
    tally = Tally((1, 3, 5), ("sample", "time", "joint"), w, outputs[None])
    for start, stop in ((0, 1), (1, 4)):
        tally.add(0, start, torch.tensor(phi[start:stop]))
    mean = np.einsum("r,rtv->tv", w, phi)
    base = w @ outputs
    tally.close(np.array([base + mean.sum() + 0.5]))
    found = tally.variables()
    np.testing.assert_allclose(tally.values[0], mean)
    np.testing.assert_allclose(found["base_value"], [base])
    np.testing.assert_allclose(found["additivity_gap"], [-0.5])
    np.testing.assert_allclose(found["relative_gap"], [0.5 / abs(mean.sum() + 0.5)])
    spread = np.sqrt(np.einsum("r,rtv->tv", w**2, (phi - mean) ** 2) * 4 / 3)
    np.testing.assert_allclose(found["standard_error"][1][0], spread, rtol=1e-5)
    joints = phi.mean(1)
    spread = np.sqrt(np.einsum("r,rv->v", w**2, (joints - w @ joints) ** 2) * 4 / 3)
    np.testing.assert_allclose(found["joint_standard_error"][1][0], spread, rtol=1e-5)
    np.testing.assert_allclose(found["joint_by_background"][1][0], joints, rtol=1e-6)


@pytest.mark.parametrize("weights", [[0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
def test_small_spread_of_large_values_is_not_lost(weights):
    phi, w = np.array([[1000.0], [1000.01], [1000.02], [1000.03]]), np.array(weights)
    tally = Tally((1, 1), ("sample", "axis1"), w, np.zeros((1, 4)))
    for start, stop in ((0, 3), (3, 4)):
        tally.add(0, start, torch.tensor(phi[start:stop], dtype=torch.float32))
    tally.close(np.zeros(1))
    spread = np.sqrt((w**2 @ (phi[:, 0] - w @ phi[:, 0]) ** 2) * 4 / 3)
    np.testing.assert_allclose(tally.variables()["standard_error"][1][0], spread, rtol=0.02)


def test_gap_of_a_flat_score_is_relative_to_the_spread():
    tally = Tally((1, 2), ("sample", "axis1"), np.array([0.5, 0.5]), np.array([[-1.0, 1.0]]))
    tally.add(0, 0, torch.zeros(2, 2))
    tally.close(np.array([0.001]))
    np.testing.assert_allclose(tally.relative_gap, [0.1])


def test_rounding_is_no_gap_of_a_sample_that_equals_every_row():
    """Its score and their mean differ in the last digit, and nothing is left to add up."""
    rows = np.full((1, 3), 0.7)
    tally = Tally((1, 2), ("sample", "axis1"), np.full(3, 1 / 3), rows)
    tally.add(0, 0, torch.zeros(3, 2).double())
    tally.close(np.nextafter(rows[:, 0], 1))
    assert tally.additivity_gap != 0
    assert tally.relative_gap < 1e-5
    tally.close(rows[:, 0] + 1e-9)  # a difference that double precision does tell
    np.testing.assert_allclose(tally.relative_gap, [1.0], rtol=1e-5)


def test_means_add_up_to_the_mean():
    tally = Tally((1, 2), ("sample", "joint"), np.full(4, 0.25), np.zeros((1, 4)))
    tally.add_mean(0, torch.tensor([1.0, 3.0]), 0.25)
    tally.add_mean(0, torch.tensor([5.0, 7.0]), 0.75)
    tally.close(np.array([0.0]))
    np.testing.assert_allclose(tally.values, [[4.0, 6.0]])
    assert set(tally.variables()) == {"base_value", "additivity_gap", "relative_gap"}


def test_some_samples_are_replaced_by_better_ones():
    whole = Tally((3, 2), ("sample", "joint"), np.full(2, 0.5), np.array([[0.0, 1.0]] * 3))
    better = Tally((1, 2), ("sample", "joint"), np.full(2, 0.5), np.array([[0.0, 2.0]]))
    for i in range(3):
        whole.add(i, 0, torch.full((2, 2), float(i)))
    better.add(0, 0, torch.full((2, 2), 9.0).double())
    whole.close(np.array([0.5, 2.0, 4.0]))
    better.close(np.array([19.0]))
    assert not whole.variables()["double_precision"].any()
    whole.replace(np.array([1]), better)
    found = whole.variables()
    np.testing.assert_array_equal(whole.values, [[0, 0], [9, 9], [2, 2]])
    np.testing.assert_array_equal(whole.scores, [0.5, 19, 4])
    np.testing.assert_array_equal(found["base_value"], [0.5, 1, 0.5])
    np.testing.assert_array_equal(found["additivity_gap"], [0, 0, 0.5])
    np.testing.assert_array_equal(found["double_precision"], [False, True, False])
    np.testing.assert_array_equal(found["joint_by_background"][1][1], [[9, 9], [9, 9]])


def test_sums_are_judged_by_better_scores():
    tally = Tally((2, 2), ("sample", "joint"), np.full(2, 0.5), np.array([[0.0, 1.0]] * 2))
    for i in range(2):
        tally.add(i, 0, torch.full((2, 2), 1.0))
    tally.close(np.array([2.0, 2.0]))
    tally.judge(np.array([1]), np.array([2.25]), np.array([[0.25, 0.25]]))
    np.testing.assert_array_equal(tally.base_value, [0.5, 0.25])
    np.testing.assert_array_equal(tally.scores, [2, 2.25])
    np.testing.assert_array_equal(tally.additivity_gap, [0.5, 0])
    np.testing.assert_array_equal(tally.spread, [0.5, 0])
    np.testing.assert_array_equal(tally.values, np.ones((2, 2)))


def test_two_rows_have_an_error_and_one_has_none():
    for rows in (1, 2):
        tally = Tally((1, 3), ("sample", "joint"), np.full(rows, 1 / rows), np.zeros((1, rows)))
        tally.add(0, 0, torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 5.0]])[:rows])
        tally.close(np.zeros(1))
        found = tally.variables()
        for name in ("standard_error", "joint_standard_error"):
            assert (name in found) is (rows == 2)
        if rows == 2:  # half the difference: the deviation over sqrt(2)
            np.testing.assert_allclose(found["joint_standard_error"][1], [[1, 0, 1]], atol=1e-6)
            np.testing.assert_allclose(found["standard_error"][1], [[1, 0, 1]], atol=1e-6)
