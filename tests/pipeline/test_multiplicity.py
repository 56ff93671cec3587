"""Networks compared: agreement that is known by hand, and what does not count."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import explanation

from hargcn.pipeline.multiplicity import multiplicity

CLASSES = '["walk", "run"]'
UP, DOWN = [1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0]


def network(folder, scores, targets=(0, 0, 1, 1), samples=("a", "b", "c", "d")):
    """Write what a network says of four windows, two of a class: (window, joint) in frame 0."""
    values = np.zeros((4, 2, 4))
    values[:, 0] = scores
    made = explanation(
        values, ("sample", "time", "joint"), joint=["head", "hand", "knee", "foot"],
        targets=list(targets), sample=list(samples),
    )  # fmt: skip
    folder.mkdir()
    made.assign({"group": [*"pqpq"], "label": [0, 0, 1, 1]}, classes=CLASSES).save(
        folder / "shap.h5"
    )
    return folder


def study(tmp_path, *networks, **options) -> dict[str, pd.DataFrame]:
    parts = {("body", str(n)): each for n, each in enumerate(networks)}
    multiplicity(parts, tmp_path / "m.csv", files=["shap.h5"], top=2, **options)
    assert (tmp_path / "m.png").is_file()
    tables = {end: pd.read_csv(tmp_path / f"m{end}.csv") for end in ("", ".joints", ".ranks")}
    tables[""] = tables[""].set_index(["between", "figure"])
    return tables


def test_networks_windows_and_classes_are_compared(tmp_path):
    """Two networks agree; the third says the opposite of everything but the last window."""
    alike = [UP, UP, DOWN, DOWN]
    made = [
        network(tmp_path / "1", alike),
        network(tmp_path / "2", alike),
        network(tmp_path / "3", [DOWN, DOWN, UP, DOWN]),
    ]
    table = study(tmp_path, *made)[""]
    # pairs 1-2: 1, 1, 1, 1; 1-3 and 2-3: -1, -1, -1, 1
    assert table.loc[("networks", "rho of joints"), "mean"] == pytest.approx((4 - 4) / 12)
    assert table.loc[("networks", "top 2 joints"), "mean"] == pytest.approx((4 + 2) / 12)
    # windows of a class: 1 in networks 1 and 2; in 3 they agree (walk) and do not (run)
    own = table.loc[("windows of a class", "rho of joints")]
    assert own["mean"] == pytest.approx((4 + 4 + (1 + 1 - 1 - 1)) / 12, abs=1e-3)
    other = table.loc[("windows of other classes", "rho of joints")]
    # -1 in networks 1 and 2; in 3 the last window agrees with both of the other class
    assert other["mean"] == pytest.approx((-4 - 4 + (0 + 0 - 1 + 1)) / 12, abs=1e-3)
    assert set(table["networks"]) == {3}
    assert set(table["windows"]) == {4}
    assert own["networks_low"] < own["mean"] < own["networks_high"]


def test_what_a_network_takes_for_another_class_does_not_count(tmp_path):
    made = [
        network(tmp_path / "1", [UP] * 4),
        network(tmp_path / "2", [UP, DOWN, UP, UP], targets=(0, 1, 1, 1)),
    ]
    tables = study(tmp_path, *made)
    assert tables[""].loc[("networks", "rho of joints"), "mean"] == pytest.approx(1)
    assert tables[""].loc[("networks", "rho of joints"), "windows"] == 3
    assert np.isnan(tables[""].loc[("networks", "rho of joints"), "networks_low"])  # a single pair
    ranks = tables[".ranks"].set_index(["class", "joint"])
    assert ranks.loc[("walk", "foot"), "rank"] == 1
    assert ranks.loc[("walk", "head"), ["rank", "first", "networks"]].tolist() == [4, 0, 2]


def test_a_joint_spreads_over_networks_and_classes(tmp_path):
    """Shares of the head are 1/10 (UP) and 4/10 (DOWN)."""
    made = [
        network(tmp_path / "1", [UP, UP, DOWN, DOWN]),
        network(tmp_path / "2", [UP, UP, UP, UP]),
    ]
    tables = study(tmp_path, *made, classes=["run"])
    head = tables[".joints"].set_index("joint").loc["head"]
    spread = np.std([0.1, 0.4], ddof=1)
    assert head["share"] == pytest.approx((0.1 + 0.4 + 0.1 + 0.1) / 4)
    assert head["over_networks"] == pytest.approx((0 + spread) / 2, rel=1e-3)
    assert head["over_classes"] == pytest.approx((spread + 0) / 2, rel=1e-3)
    ranks = tables[".ranks"].set_index(["class", "joint"])
    assert ranks.loc[("run", "head"), "rank"] == pytest.approx((1 + 4) / 2)
    assert ranks.loc[("run", "head"), "first"] == pytest.approx(0.5)


def test_a_single_network_says_nothing_of_networks(tmp_path):
    tables = study(tmp_path, network(tmp_path / "1", [UP, UP, DOWN, DOWN]))
    between = {*tables[""].index.get_level_values("between")}
    assert between == {"windows of a class", "windows of other classes"}
    assert tables[""].loc[("windows of a class", "rho of joints"), "mean"] == pytest.approx(1)
    assert tables[".joints"]["over_networks"].isna().all()
    assert tables[".joints"]["over_classes"].notna().all()


def test_other_windows_are_refused(tmp_path):
    one = network(tmp_path / "1", [UP] * 4)
    other = network(tmp_path / "2", [UP] * 4, samples=("a", "b", "c", "e"))
    with pytest.raises(ValueError, match="shap: expected explanations of the same windows"):
        multiplicity(
            {("body", "1"): one, ("body", "2"): other}, tmp_path / "m.csv", files=["shap.h5"]
        )
