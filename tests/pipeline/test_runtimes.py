"""How long explanations take."""

from __future__ import annotations

import time

import pandas as pd
import pytest

from hargcn.pipeline.runtimes import _in_turns, _table, machine, runtimes

METHODS = [
    {"method": "gradcam", "layer": ["tcn"]},
    {"method": "shap", "background": 4},
    {"method": "integrated-gradients", "background": 2, "settings": {"steps": 4}},
]


@pytest.mark.slow
def test_a_row_for_a_pass_and_for_every_method(checkpoint, waving, tmp_path):
    out = tmp_path / "runtimes.csv"
    found = runtimes(checkpoint, waving, out, methods=METHODS, limit=2, rounds=1)
    read = pd.read_csv(out, keep_default_na=False)
    assert read["method"].tolist() == ["one forward pass", *(each["method"] for each in METHODS)]
    assert read["rows"].tolist() == [0, 0, 4, 2]
    assert (found["first"] > 0).all()
    assert found["ratio"].iloc[1] == 1 or found["further"].iloc[1] == 0  # a small network's noise
    assert set(found["machine"]) == {machine()}
    assert "thread" in machine()


def test_figures_follow_from_the_seconds():
    """First 2 s, three windows 6 s: 2 s each further one."""
    one = {1: [0.5], 3: [1.5]}
    shap = {1: [2, 3, 2], 3: [6, 7, 10]}
    took = {("pass", "", 0): one, ("gradcam", "tcn", 0): one, ("shap", "", 20): shap}
    row = _table(took, 3, 316, 100).iloc[2]
    assert row["first"] == row["further"] == row["fastest"] == 2
    assert (row["slowest"], row["forwards"], row["ratio"]) == (4, 4, 4)
    assert row["hours"] == pytest.approx(5 * (2 + 315 * 2) / 3600)


def test_what_is_divided_by_nothing_is_missing():
    """Two windows take no longer than one: nothing is known of a further one's share."""
    took = {(name, "", 0): {1: [1.0], 2: [1.0 + more]} for name, more in (("a", 0), ("b", 0.5))}
    table = _table(took, 2, 10, 10)
    assert table["further"].tolist() == [0, 0.5]
    assert table["forwards"].isna().all()
    assert table["ratio"].tolist()[1:] == [1]


def test_calls_take_turns_behind_one_round_that_warms_up():
    seen = []
    calls = {name: lambda few, name=name: seen.append((name, few)) for name in "ab"}
    found = _in_turns(calls, 3, 2, "cpu", False)
    assert seen == 3 * [("a", 1), ("a", 3), ("b", 1), ("b", 3)]
    assert [len(times) for times in found["a"].values()] == 2 * [2]


def test_a_processor_that_waits_is_not_paid():
    found = _in_turns({"a": lambda few: time.sleep(0.02 * few)}, 2, 3, "cpu", False)["a"]
    assert max(found[2]) < 0.02


@pytest.mark.parametrize(
    ("methods", "limit", "message"),
    [
        ([{"layer": ["tcn"]}], 2, "Expected method, layer, settings and background"),
        ([{"method": "gradcam", "rows": 3}], 2, "Expected method, layer, settings and background"),
        ([{"method": "gradcan"}], 2, "gradcam"),
        (METHODS, 1, "limit"),
        ([], 2, "methods"),
    ],
)
def test_what_cannot_be_timed_is_refused(checkpoint, waving, tmp_path, methods, limit, message):
    with pytest.raises(ValueError, match=message):
        runtimes(checkpoint, waving, tmp_path / "r.csv", methods=methods, limit=limit)
    assert not (tmp_path / "r.csv").exists()
