"""Groups of windows: who is in them, and means worked out by hand."""

from __future__ import annotations

import numpy as np
from fixtures.report_pages import edges_explained, explained

from hargcn.report.groups import groups


def test_groups_are_classes_outcomes_and_subjects():
    found = groups(explained())
    assert dict(zip(found["names"], found["counts"], strict=True)) == {
        "all windows": 6, "true class: wave": 3, "true class: jog": 3, "predicted: wave": 4,
        "predicted: jog": 2, "right answers": 5, "wrong answers": 1, "subject s0": 3,
        "subject s1": 3,
    }  # fmt: skip
    assert list(found["means"]) == [0, 1]


def test_a_mean_is_that_of_the_windows_sums_with_its_interval():
    cam = explained()["gradcam main.1.attention"]
    values = cam.values.copy(data=np.zeros(cam.values.shape))
    values[:, :, 7, 0] = np.arange(6)[:, None]  # six cells: sums 0, 6, 12, 18, 24, 30
    found = groups({"cam": type(cam)(cam.dataset.assign(attribution=values))})
    mean = dict(zip(found["names"], found["means"][0], strict=True))
    assert mean["all windows"]["mean"][7] == 15
    assert mean["true class: wave"]["mean"][7] == 12  # windows 0, 2 and 4
    assert mean["wrong answers"]["mean"][7] == 6
    assert mean["all windows"]["low"][7] < 15 < mean["all windows"]["high"][7]
    assert mean["wrong answers"]["low"][7] is None, "one subject has no interval"
    assert mean["all windows"]["mean"][3] == 0


def test_edges_alone_and_a_single_group_have_none():
    assert groups({"edges": edges_explained()}) is None
    assert list(groups({"e": edges_explained(), **explained()})["means"]) == [1, 2]
    alike = explained()["shap"].dataset.drop_vars(["label", "predicted", "group"])
    assert groups({"shap": type(explained()["shap"])(alike)}) is None
