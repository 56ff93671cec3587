from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import explained

from hargcn.explanation import DIMS, Explanation
from hargcn.metrics.maps import cells, check, joint_scores, ordering, unit


def test_every_axis_but_time_and_joint_is_averaged():
    values = np.arange(2 * 2 * 2 * 4 * 3 * 2, dtype=float).reshape(2, 2, 2, 4, 3, 2)
    each = Explanation.build(
        values, DIMS, method="shap", target=[0, 0], score=[0, 0], coords={"time": range(4)}
    )
    np.testing.assert_allclose(cells(each, 4), values.mean((1, 2, 5)))


def test_coarse_time_is_interpolated_and_absent_time_repeated():
    coarse = Explanation.build(
        np.array([[[0.0], [4.0]]]),
        ("sample", "time", "joint"),
        method="cam",
        target=[0],
        score=[0],
        coords={"time": [0.0, 2.0]},
    )
    np.testing.assert_allclose(cells(coarse, 4)[0, :, 0], [0, 2, 4, 4])
    still = explained(torch.tensor([[1.0, 2.0]]))
    np.testing.assert_allclose(cells(still, 3), [[[1, 2]] * 3])


def test_unit_scales_each_sample_and_settles_maps_without_contrast():
    maps = np.array([[[-1.0, 3.0]], [[2.0, 2.0]], [[0.0, 0.0]], [[-2.0, -2.0]]])
    np.testing.assert_allclose(unit(maps)[:, 0], [[0, 1], [1, 1], [0, 0], [0, 0]])


def test_ordering_is_descending_signed_or_by_magnitude():
    scores = np.array([[0.1, -5.0, 2.0]])
    assert ordering(scores).tolist() == [[2, 0, 1]]
    assert ordering(scores, "magnitude").tolist() == [[1, 2, 0]]
    assert ordering(scores, "positive").tolist() == [[2, 0, 1]]
    with pytest.raises(ValueError, match="order of signed, positive, magnitude"):
        ordering(scores, "upwards")


def test_ties_fall_at_random_not_by_joint_number():
    first = ordering(np.zeros((600, 4)))[:, 0]
    share = np.bincount(first, minlength=4) / 600
    np.testing.assert_allclose(share, 0.25, atol=0.06)


def test_joints_and_samples_must_fit():
    each = explained(torch.tensor([[1.0, 2.0]]))
    np.testing.assert_allclose(joint_scores(each), [[1, 2]])
    with pytest.raises(ValueError, match="of 1 samples and 3 joints, as x has"):
        check(torch.zeros(1, 2, 4, 3, 1), each)
    flat = Explanation.build(
        np.ones((1, 2)), ("sample", "branch"), method="m", target=[0], score=[0]
    )
    with pytest.raises(ValueError, match="axis 'joint'"):
        cells(flat, 3)
    with pytest.raises(ValueError, match="axis 'joint'"):
        joint_scores(flat)


def test_persons_count_alike_in_a_joint_score_and_a_map():
    values = np.array([[[[1.0, 5.0], [2.0, -8.0]]]])  # one sample, one frame
    dims = ("sample", "time", "joint", "person")
    made = Explanation.build(
        values, dims, method="toy", target=[0], score=[0], coords={"time": [0]}
    )
    np.testing.assert_array_equal(joint_scores(made), [[3, -3]])
    np.testing.assert_array_equal(cells(made, 1), [[[3, -3]]])


def test_positive_parts_count_by_themselves_and_their_ties_are_in_random_order():
    """The first joint speaks for the class once and against it later, the last two never for it."""
    maps = torch.tensor([[[4.0, 1.0, -1.0, -9.0], [-5.0, 1.0, -1.0, -9.0]]])
    each = explained(maps)
    np.testing.assert_allclose(joint_scores(each), [[-0.5, 1, -1, -9]])
    cut = joint_scores(each, "positive")
    np.testing.assert_allclose(cut, [[2, 1, 0, 0]])
    last = {tuple(ordering(cut, "positive", seed)[0, 2:]) for seed in range(20)}
    assert last == {(2, 3), (3, 2)}
    still = explained(torch.tensor([[1.0, -2.0]]))
    np.testing.assert_allclose(joint_scores(still, "positive"), [[1, 0]])
