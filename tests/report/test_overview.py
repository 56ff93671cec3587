"""The overview's tables: counted by hand."""

from __future__ import annotations

import numpy as np
from fixtures.fake_explanations import explanation
from fixtures.report_pages import explained

from hargcn.report.overview import confusion, how_kept, promise, ranking, said
from hargcn.skeleton import skeleton


def test_the_windows_are_counted_by_class():
    """Six windows, of which the second is taken for the first class."""
    one = explained()["shap"]
    found = confusion(one)
    assert found["names"] == ["wave", "jog"]
    assert found["counts"] == [[3, 0], [1, 2]]
    assert said({"shap": one})["right"].startswith("5 of 6 windows (83.3%; 95% interval ")
    assert "of resampled subjects" in said({"shap": one})["right"]


def test_windows_without_a_true_class_are_left_out():
    one = explained()["shap"].assign({"label": np.array([0, -1, 0, 1, -1, -1])})
    assert confusion(one)["counts"] == [[2, 0], [0, 1]]
    assert said({"shap": one})["right"].startswith("3 of 3 windows")
    nobody = one.assign({"label": np.full(6, -1)})
    assert confusion(nobody) is None
    assert said({"shap": nobody})["right"] == ""


def test_a_promise_is_said_with_what_became_of_it():
    both = explained()
    shap, cam = both["shap"], both["gradcam main.1.attention"]
    assert promise(shap) == "values and base value add up to the score"
    kept = "gap 1e-06 (median), 1e-06 (largest); relative gap 1e-06 (median), 0.05 (largest)"
    assert how_kept(shap) == kept
    assert promise(cam).startswith("no sum")
    assert how_kept(cam) == "nothing stored"
    errors = shap.assign({"sum_standard_error": np.full(6, 0.25)})
    assert how_kept(errors).endswith("standard error of the sum 0.25 (median)")


def test_joints_are_ranked_side_by_side():
    layout = skeleton("kinect20")
    values = np.zeros((4, layout.n_joints))
    values[:, 7], values[:, 2], values[:, 4] = 4, 2, -1
    one = explanation(values, ("sample", "joint"), skeleton=layout)
    other = explanation(-values, ("sample", "joint"), method="gradcam", skeleton=layout)
    table = ranking({"shap": one})
    assert [joint for joint, _ in table[:2]] == [layout.joints[7], layout.joints[2]]
    assert table[-1][0] == layout.joints[4]
    first, last = table[0][1][0], table[-1][1][0]
    assert (first.left, first.width, first.against, first.rank) == (50, 50, False, "1.0")
    assert (last.left, last.width, last.against) == (37.5, 12.5, True)
    assert first.text.startswith("+4 [")
    both = dict(ranking({"shap": one, "gradcam": other}))
    assert [bar.rank for bar in both[layout.joints[7]]] == ["1.0", "20.0"]


def test_methods_are_compared_only_where_there_are_several():
    both = explained()
    assert said({"shap": both["shap"]})["agreement"] == []
    tables = said(both)["agreement"]
    assert [table["names"] for table in tables] == [["SHAP", "Grad-CAM main.1.attention"]] * 2
    same = said({"one": both["shap"], "two": both["shap"]})["agreement"]
    assert [table["rows"] for table in same] == [[["", "1.00"], ["1.00", ""]]] * 2
