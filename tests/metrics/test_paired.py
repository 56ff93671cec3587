from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import xarray as xr

from hargcn.metrics.paired import paired


def run(
    values: Mapping[str, list[float]], windows: list[str], figure: str = "localisation:auroc"
) -> xr.Dataset:
    """Single values of a table; a window's subject is the first letter of its name."""
    return xr.Dataset(
        {figure: (("explanation", "sample"), np.array(list(values.values()), float))},
        {
            "explanation": list(values),
            "sample": windows,
            "group": ("sample", [name[0] for name in windows]),
        },
    )


def test_a_difference_is_told_where_intervals_overlap():
    """Windows differ by far more than the methods, but one is above the other in all of them."""
    rng = np.random.default_rng(0)
    hard = rng.uniform(0, 1, 40)
    windows = [f"{'abcd'[at % 4]}{at}" for at in range(40)]
    table = paired({"1": run({"one": hard, "other": hard + 0.05}, windows)}, ["one"],
                   ["localisation:auroc"])  # fmt: skip
    (row,) = table.to_dict("records")
    assert (row["reference"], row["method"], row["better"]) == ("one", "other", "higher")
    assert row["difference"] == pytest.approx(0.05)
    assert row["low"] == pytest.approx(0.05)
    assert row["high"] == pytest.approx(0.05)
    assert (row["windows"], row["subjects"], row["runs"]) == (40, 4, 1)


def test_runs_are_averaged_window_by_window_before_subjects_are_drawn():
    first = run({"m": [1, 2, 3], "r": [0, 0, 0]}, ["a1", "a2", "b1"])
    second = run({"m": [3, 9], "r": [0, 1]}, ["a1", "c1"])
    (row,) = paired({"1": first, "2": second}, ["r"], ["localisation:auroc"]).to_dict("records")
    # a1: 2 of both runs; a2: 2, b1: 3, c1: 8 of one run each.
    assert row["difference"] == pytest.approx((2 + 2 + 3 + 8) / 4)
    assert (row["windows"], row["subjects"], row["runs"]) == (4, 3, 2)
    assert row["low"] < row["difference"] < row["high"]


def test_what_a_method_has_no_figure_for_is_left_out():
    nan = np.nan
    table = paired({"1": run({"m": [1, nan], "r": [0, 0], "none": [nan, nan]}, ["a1", "b1"])},
                   ["r"], ["localisation:auroc"])  # fmt: skip
    found = table.set_index("method")
    assert (found.loc["m", "difference"], found.loc["m", "windows"]) == (1, 1)
    assert np.isnan(found.loc["m", "low"])  # one subject says nothing of how subjects differ
    assert found.loc["none", "windows"] == 0
    assert np.isnan(found.loc["none", "difference"])


def test_a_measure_that_is_better_when_small_says_so():
    runs = {"1": run({"m": [0.1, 0.2], "r": [0.5, 0.5]}, ["a1", "b1"], "deletion")}
    assert paired(runs, ["r"], ["deletion"])["better"].tolist() == ["lower"]


def test_what_is_not_there_is_named():
    runs = {"7": run({"m": [0.1, 0.2]}, ["a1", "b1"])}
    with pytest.raises(ValueError, match="Expected a method of m .got 'r'"):
        paired(runs, ["r"], ["localisation:auroc"])
    with pytest.raises(ValueError, match="7: expected the figure 'pgi'"):
        paired(runs, ["m"], ["pgi"])
