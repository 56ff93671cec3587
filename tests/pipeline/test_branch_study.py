"""What branches are worth, worked out by hand."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hargcn.pipeline.branch_study import branch_worths


def part(folder, accuracy, shares):
    """Write what two steps left in a folder: the accuracy for two classes, shares of branches."""
    folder.mkdir(parents=True)
    found = {"windows": {"accuracy": accuracy, "confusion": [[1, 0], [0, 1]]}}
    (folder / "test.json").write_text(json.dumps(found), encoding="utf-8")
    rows = [
        {"method": method, "class": said, "feature": branch, "share": value, "signed": value / 2}
        for method, said in (("shap", "all"), ("shap", "walk"), ("other", "all"))
        for branch, value in shares.items()
    ]
    rows = [row if row["class"] == "all" else {**row, "share": -1} for row in rows]
    pd.DataFrame(rows).to_csv(folder / "shares.csv", index=False)
    return folder


@pytest.fixture
def parts(tmp_path):
    return {
        ("body JV", "1"): part(tmp_path / "JV1", 0.9, {"J": 0.3, "V": 0.7}),
        ("body J", "1"): part(tmp_path / "J1", 0.6, {"J": 1.0}),
        ("body V", "1"): part(tmp_path / "V1", 0.8, {"V": 1.0}),
        ("body JA", "1"): part(tmp_path / "JA1", 0.7, {"J": 0.5, "A": 0.5}),  # A alone is not there
    }


def test_worths_are_differences_of_accuracies(parts, tmp_path):
    branch_worths(parts, tmp_path / "worths.csv")
    read = pd.read_csv(tmp_path / "worths.csv")
    assert read["network"].tolist() == ["JV", "JV", "J", "V", "JA", "JA"]
    assert set(read["data"]) == {"body"}
    own = read[read["network"] == "JV"].set_index("branch")
    assert own.loc["J", ["without", "lost", "alone"]].tolist() == pytest.approx([0.8, 0.1, 0.6])
    assert own.loc["V", ["without", "lost", "alone"]].tolist() == pytest.approx([0.6, 0.3, 0.8])
    # guessing 0.5: J adds 0.1 first and 0.1 last, V 0.3 and 0.3; together 0.9 - 0.5
    assert own["shapley"].to_dict() == pytest.approx({"J": 0.1, "V": 0.3})
    assert own["share"].to_dict() == pytest.approx({"J": 0.3, "V": 0.7})
    alone = read[read["network"] == "J"].iloc[0]
    assert (alone["without"], alone["lost"]) == pytest.approx((0.5, 0.1))
    half = read[read["network"] == "JA"].set_index("branch")  # A alone is not there
    assert half.loc["A", "lost"] == pytest.approx(0.1)
    assert half.loc["J", ["lost", "shapley"]].isna().all()
    assert (tmp_path / "worths.png").is_file()


def test_ranks_of_shares_and_losses_are_correlated_by_size(tmp_path):
    pairs = {"JV": (0.9, 0.3, 0.7), "JA": (0.7, 0.6, 0.4), "VA": (0.85, 0.8, 0.2)}
    parts = {
        (f"body {own}", "1"): part(tmp_path / own, accuracy, dict(zip(own, shares, strict=True)))
        for own, (accuracy, *shares) in pairs.items()
    }
    for own, accuracy in {"J": 0.6, "V": 0.8, "A": 0.5}.items():
        parts[f"body {own}", "1"] = part(tmp_path / own, accuracy, {own: 1.0})
    branch_worths(parts, tmp_path / "worths.csv")
    rho = pd.read_csv(tmp_path / "worths.rho.csv").set_index(["share", "with"])
    assert (rho["branches"] == 2).all()
    # shares .3 .7 .6 .4 .8 .2; lost .1 .3 .2 .1 .35 .05: the order is the same, two are tied
    assert rho.loc[("share", "lost"), "rho"] == pytest.approx(0.986, abs=1e-3)
    assert (rho["n"] == 6).all()
