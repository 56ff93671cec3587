from __future__ import annotations

import numpy as np
from fixtures.fake_explanations import explanation, shap_like

from hargcn.analysis.sizes import Sizes, feature_sizes


def test_the_speed_of_those_who_are_there_by_hand():
    """Joint a moves 3-4-5 in half a second, joint b is absent from the last frame."""
    positions = np.zeros((1, 2, 3, 2, 1))
    positions[0, :, 1:, 0, 0] = [[3, 3], [4, 4]]
    positions[0, 0, :, 1, 0] = [0, 1, 99]
    states = np.ones((1, 3, 2, 1), np.uint8)
    states[0, 2, 1] = 0
    made = explanation(np.ones((1, 3, 2)), ("sample", "time", "joint"), joint=["a", "b"]).assign(
        {
            "positions": (("sample", "space", "frame", "joint", "person"), positions),
            "state": (("sample", "frame", "joint", "person"), states),
            "seconds": (("sample", "frame"), [[0, 0.5, 1.0]]),
        }
    )
    assert feature_sizes(made, "joint").values.to_numpy().tolist() == [[5, 2]]
    gone = made.assign({"state": (("sample", "frame", "joint", "person"), 0 * states)})
    assert np.isnan(feature_sizes(gone, "joint").values).all()
    assert feature_sizes(gone, "joint").said(["a", "b"]) == ["", ""]


def test_nothing_is_known_of_what_is_not_stored():
    assert feature_sizes(shap_like(2), "joint") is None
    assert feature_sizes(shap_like(2), "branch") is None


def test_shades_run_from_a_rows_low_to_its_high():
    values = explanation(
        [[1.0, 5], [2, 5], [3, 5], [np.nan, 5]], ("sample", "joint"), joint=["a", "b"]
    ).values
    shades = Sizes(values, "speed", "m/s").shades(["b", "a"])
    np.testing.assert_allclose(shades, [[0.5, 0], [0.5, 0.5], [0.5, 1], [0.5, np.nan]])
    assert Sizes(values, "speed", "m/s").said(["a"]) == ["1.1 to 2.9"]
