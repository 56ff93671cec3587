"""Windows that all files hold: which are kept, what is said of the others."""

from __future__ import annotations

import pytest
from fixtures.report_pages import explained

from hargcn.report.common import in_common


def names(explanation):
    return explanation.values["sample"].to_numpy().tolist()


def test_common_windows_are_kept_in_the_order_of_the_first():
    both = explained(names=list("abcdef"))
    cam = both["gradcam main.1.attention"].isel(sample=[5, 3, 0, 1])
    kept, lines = in_common({"shap": both["shap"].isel(sample=[0, 2, 3, 5]), cam.name: cam})
    assert [names(each) for each in kept.values()] == [["a", "d", "f"]] * 2
    assert (kept[cam.name].values == both[cam.name].values[[0, 3, 5]]).all()
    assert lines == [
        "SHAP: 3 of its 4 windows are in all files",
        "Grad-CAM main.1.attention: 3 of its 4 windows are in all files",
    ]


def test_equal_windows_are_left_as_they_are():
    both = explained()
    kept, lines = in_common(both)
    assert lines == []
    assert all(kept[name] is each for name, each in both.items())


def test_nothing_in_common_is_refused():
    one, other = (explained(names=names)["shap"] for names in (list("abcdef"), list("ghijkl")))
    with pytest.raises(ValueError, match="Expected explanations of common windows"):
        in_common({"one": one, "other": other})
