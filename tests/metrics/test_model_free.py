from __future__ import annotations

import numpy as np
import pytest

from hargcn.metrics.model_free import acceleration, joint_prior, model_free


def moved(*curves: list[float]) -> np.ndarray:
    """Return one window (1, 1, T, V, 1) whose joints move along the given curves."""
    return np.array(curves, dtype=float).T[None, None, :, :, None]


def test_acceleration_by_hand():
    still, even, jolt = [0.0] * 5, [0.0, 1, 2, 3, 4], [0.0, 0, 3, 0, 0]
    found = acceleration(moved(still, even, jolt), frames=1)[0]
    np.testing.assert_array_equal(found[:, 0], 0)
    np.testing.assert_array_equal(found[:, 1], 0)
    np.testing.assert_array_equal(found[:, 2], [3, 3, 6, 3, 3])
    mean = acceleration(moved(jolt), frames=3)[0, :, 0]
    np.testing.assert_allclose(mean, [3, 4, 4, 4, 3])


def test_acceleration_is_a_length_over_channels_and_a_sum_over_persons():
    x = np.zeros((1, 2, 3, 1, 2))
    x[0, :, 1, 0, 0] = 3, 4
    x[0, 0, 1, 0, 1] = 1
    np.testing.assert_array_equal(acceleration(x, frames=1)[0, :, 0], [12, 12, 12])
    with pytest.raises(ValueError, match=r"at least 3 frames \(got 2\)"):
        acceleration(x[:, :, :2])


def test_the_prior_is_the_difference_of_class_means_whatever_the_batches():
    lively = np.arange(4 * 2 * 3, dtype=float).reshape(4, 2, 3)
    labels = np.array([0, 1, 1, 2])
    means = lively.mean(1)
    expected = {
        0: means[0] - means[1:].mean(0),
        1: means[1:3].mean(0) - means[[0, 3]].mean(0),
    }
    for cuts in ([], [1], [1, 2, 3]):
        batches = zip(np.split(lively, cuts), np.split(labels, cuts), strict=True)
        found = joint_prior(batches, np.array([1, 0, 1]))
        np.testing.assert_allclose(found, [expected[1], expected[0], expected[1]])
    with pytest.raises(ValueError, match=r"windows of the classes \[5\] and of others \(got \[0,"):
        joint_prior([(lively, labels)], np.array([5]))


def test_maps_are_made_of_movement_truth_and_prior_only():
    x = moved([0.0, 0, 3, 0, 0], [0.0] * 5)
    truth = np.zeros((1, 5, 2), bool)
    truth[0, 2, 0] = True
    assert list(model_free(x, truth)) == ["sign's joints", "acceleration"]
    found = model_free(x, truth, np.array([[-2.0, 3.0]]))
    np.testing.assert_array_equal(found["sign's joints"][0], [[1, 0]] * 5)
    np.testing.assert_array_equal(found["class prior"][0], [[-2, 3]] * 5)
    np.testing.assert_array_equal(found["acceleration x prior"], 0)
