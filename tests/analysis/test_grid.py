from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like

from hargcn.analysis.grid import common_grid


def test_frames_go_to_the_coarse_cells_they_lie_nearest_to():
    fine = shap_like(2)
    coarse = cam_like(2, cells=6)
    grid = common_grid({"shap": fine, "cam": coarse})
    assert grid["shap"].dims == grid["cam"].dims == ("sample", "time", "joint", "person")
    np.testing.assert_array_equal(grid["cam"], coarse.values)
    by_hand = fine.values.to_numpy().mean((1, 2)).reshape(2, 6, FRAMES // 6, 20, 1).mean(2)
    np.testing.assert_allclose(grid["shap"], by_hand)
    np.testing.assert_array_equal(grid["shap"].time, coarse.values.time)


def test_cells_are_placed_by_their_centres_not_by_their_number():
    a, b = np.zeros((1, 4)), np.array([[1.0, 0.0, 4.0, 2.0]])
    grid = common_grid(
        {
            "a": explanation(a, ("sample", "time"), time=[1, 3, 5, 7]),
            "b": explanation(b, ("sample", "time"), time=[3, 5, 7, 9]),
        }
    )
    # Nothing of b lies nearest to frame 1, which takes its nearest; frames 7 and 9 share a cell.
    np.testing.assert_array_equal(grid["b"], [[1, 1, 0, 3]])


def test_equal_grids_pass_through_and_shared_feature_axes_stay():
    one, other = shap_like(2), shap_like(2, seed=5)
    grid = common_grid({"one": one, "other": other})
    np.testing.assert_array_equal(grid["other"], other.values)


def test_foreign_axes_are_compared_where_they_are_shared():
    one = explanation(np.ones((2, 3, 4)), ("sample", "axis1", "axis2"))
    other = explanation(np.ones((2, 4)), ("sample", "axis2"))
    assert common_grid({"a": one, "b": other})["a"].dims == ("sample", "axis2")


def test_what_cannot_be_compared_is_refused():
    one = shap_like(3)
    with pytest.raises(ValueError, match=r"'few'.*\(got 2 against 3"):
        common_grid({"all": one, "few": shap_like(2)})
    with pytest.raises(ValueError, match="same explained class"):
        common_grid({"all": one, "odd": one.assign({"target": [0, 0, 1]})})
    with pytest.raises(ValueError, match="equal axes"):
        common_grid({"one": one, "two": shap_like(3, persons=2)})
