"""Shares of features, worked out by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import explanation

from hargcn.pipeline.feature_shares import shares_by


@pytest.fixture
def file(tmp_path):
    """Two branches of two cells; windows of classes 0, 0, 1 and three subjects."""
    values = [[[3, -1], [0, 0]], [[1, 0], [1, 2]], [[-1, -1], [4, 2]]]
    made = explanation(values, ("sample", "branch", "time"), branch=["J", "V"], targets=[0, 0, 1])
    made.assign({"group": [*"abc"]}, classes='["walk", "run"]').save(tmp_path / "shap.h5")
    return tmp_path / "shap.h5"


def test_shares_are_of_sizes_and_of_sums(file, tmp_path):
    shares_by([file], tmp_path / "shares.csv")
    read = pd.read_csv(tmp_path / "shares.csv").set_index(["class", "feature"])
    # |.| of J: 4 of 4, 1 of 4, 2 of 8; sums of J: 2, 1, -2 of 10 altogether
    assert read.loc[("all", "J"), "share"] == pytest.approx((1 + 0.25 + 0.25) / 3)
    assert read.loc[("all", "J"), "signed"] == pytest.approx(1 / 10)
    assert read.loc[("all", "V"), "signed"] == pytest.approx(9 / 10)
    assert read.loc[("walk", "J"), "share"] == pytest.approx(0.625)
    assert read.loc[("walk", "J"), "signed"] == pytest.approx(3 / 6)
    assert read.loc[("run", "V"), "signed"] == pytest.approx(6 / 4)
    assert read["n"].to_dict() == {
        ("all", "J"): 3, ("all", "V"): 3, ("walk", "J"): 2, ("walk", "V"): 2,
        ("run", "J"): 1, ("run", "V"): 1,
    }  # fmt: skip
    row = read.loc[("all", "V")]
    assert row["share_low"] < row["share"] < row["share_high"]
    assert np.isnan(read.loc[("run", "V"), "share_low"])  # one subject says nothing of others


def test_what_has_no_branches_is_refused(tmp_path):
    explanation(np.ones((1, 2)), ("sample", "time")).save(tmp_path / "cam.h5")
    with pytest.raises(ValueError, match="expected an axis 'branch'"):
        shares_by([tmp_path / "cam.h5"], tmp_path / "shares.csv")
    with pytest.raises(ValueError, match="Expected by"):
        shares_by([tmp_path / "cam.h5"], tmp_path / "shares.csv", by="leg")
