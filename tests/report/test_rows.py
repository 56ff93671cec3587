"""What a page says of single windows: facts as stored, checks with known answers."""

from __future__ import annotations

import json

import numpy as np
from fixtures.report_pages import explained

from hargcn.report.rows import about_windows, asked_by_window, checks, drawn


def test_a_window_is_described_as_far_as_anything_is_known():
    both = explained(names=["r0@0", "r0@12", "r1@0", "odd", "r2@4", "r2@8"])
    rows = about_windows(both)
    assert (rows[1]["recording"], rows[1]["start"]) == ("r0", 12)
    assert (rows[3]["recording"], rows[3]["start"]) == ("odd", None)
    assert (rows[1]["label"], rows[1]["predicted"], rows[1]["subject"]) == (1, 0, "s1")
    assert rows[0]["scores"] == [1.5, 1.5]
    assert rows[0]["second"] is None
    bare = both["shap"].dataset.drop_vars(["label", "group", "probability", "fps"])
    bare = type(both["shap"])(bare.assign(probability=("sample", np.full(6, np.nan))))
    row = about_windows({"shap": bare})[0]
    assert [row[key] for key in ("label", "subject", "probability", "fps")] == [None] * 4


def test_the_second_class_is_said_where_somebody_asked_for_it():
    both = explained()
    request = json.dumps({"target": "predicted", "versus": "second"})
    rather = both["shap"].assign({"versus": np.array([1, 1, 1, 0, 1, 1])}, request=request)
    rows = about_windows({"gradcam": both["gradcam main.1.attention"], "shap": rather})
    assert [row["second"] for row in rows] == [1, 1, 1, 0, 1, 1]
    assert rows[0]["asked"] == ["wave", "wave rather than jog"]
    assert asked_by_window(both["shap"])[0] == "wave"


def test_a_sum_that_misses_the_score_fails():
    shap = explained()["shap"]
    found = checks(shap)
    assert [each[0]["failed"] for each in found] == [False] * 5 + [True]
    assert found[-1][0]["text"] == "values miss the score by 5.0%"
    assert found[0][0]["text"].startswith("values add up to the score (gap 1e-06")
    sampled = shap.assign(
        {"additivity_gap": np.full(6, 0.1), "sum_standard_error": np.full(6, 0.05)}
    )
    assert not checks(sampled)[-1][0]["failed"], "within three standard errors"
    unmeasured = shap.assign({"relative_gap": np.full(6, np.nan)})
    assert checks(unmeasured) == [[]] * 6


def test_attribution_where_nobody_saw_anything_fails():
    """All of it on joint 4, which is interpolated in frame 1 of 24 only, then in all frames."""
    cam = explained()["gradcam main.1.attention"]
    values = cam.values.copy(data=np.zeros(cam.values.shape))
    values[:, 2, 4] = 1
    state = cam.dataset["state"].copy()
    state[0, :, 4] = 2
    made = type(cam)(cam.dataset.assign(attribution=values, state=state))
    found = checks(made)
    assert found[0] == [
        {
            "text": "100% of the positive attribution lies where nobody saw the joint",
            "failed": True,
        }
    ]
    assert found[1:] == [[]] * 5


def test_absent_joints_and_persons_are_not_drawn():
    one = explained(persons=2)["shap"]
    positions = one.dataset["positions"].to_numpy()[0].copy()
    positions[..., 1] = 0
    state = drawn(positions, one.dataset["state"].to_numpy()[0])
    assert not state[..., 1].any()
    assert (state[3, 0, 0], state[4, 1, 0], state[5, 2, 0]) == (0, 2, 1)
    assert drawn(positions, None)[5, 2, 0] == 1
