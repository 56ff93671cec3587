"""A table of shares: what is measured, over which windows, and its picture."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import explanation
from PIL import Image

from hargcn import Explanation
from hargcn.pipeline.rhythms import draw_shares, rhythms

BANDS = {"slow": "0-4", "tremor": "4-6"}


@pytest.fixture
def planted(tmp_path):
    """A file of six windows of three subjects, of which five bear a sign."""
    rng = np.random.default_rng(2)
    values = np.abs(rng.normal(size=(6, 3, 3)))
    values[:, 1, 1] += 5
    made = explanation(
        values, ("sample", "joint", "frequency"), method="shap-rhythm", frames=20,
        joint=["a", "b", "c"], frequency=[*BANDS, "rest"],
    )  # fmt: skip
    truth = np.zeros((6, 20, 3), bool)
    truth[:5, 3:9, 1] = True
    said = {
        "positions": (("sample", "space", "frame", "joint", "person"),
                      rng.normal(size=(6, 2, 20, 3, 1))),
        "state": (("sample", "frame", "joint", "person"), np.ones((6, 20, 3, 1), np.uint8)),
        "truth": (("sample", "frame", "joint"), truth),
        "fps": np.full(6, 20.0), "group": [*"aabbcc"], "predicted": [0, 0, 0, 1, 0, 1],
    }  # fmt: skip
    path = tmp_path / "shap-rhythm.h5"
    made.assign(said, settings=json.dumps({"bands": BANDS})).save(path)
    return path, values


def test_windows_with_a_sign_are_measured(planted, tmp_path):
    path, values = planted
    found = rhythms([path], tmp_path / "rhythms.csv")
    read = pd.read_csv(tmp_path / "rhythms.csv")
    assert read.columns.tolist() == [
        "method", "share", "joints", "band", "mean", "low", "high", "n", "recognised",
    ]  # fmt: skip
    assert len(read) == len(found) == 4 * 2 * 3
    assert set(read["n"]) == {5}
    assert read["recognised"].tolist() == [pytest.approx(0.8)] * 24
    at = read.set_index(["share", "joints", "band"])
    shares = values[:5, 1] / values[:5, 1].sum(axis=1, keepdims=True)
    assert at.loc[("positive", "sign's", "tremor"), "mean"] == pytest.approx(
        shares[:, 1].mean(), 1e-3
    )
    row = at.loc[("positive", "all", "tremor")]
    assert row["low"] < row["mean"] < row["high"]
    sums = read.groupby(["share", "joints"])["mean"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-3)


def test_windows_without_any_sign_are_refused(planted, tmp_path):
    path, _ = planted
    bare = tmp_path / "bare.h5"
    Explanation.open(path).isel(sample=[5]).save(bare)
    with pytest.raises(ValueError, match="expected windows with a planted sign .got none"):
        rhythms([bare], tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_joined_tables_are_drawn(planted, tmp_path):
    table = rhythms([planted[0]], tmp_path / "own.csv")
    joined = pd.concat([table.assign(case="one", seed=seed) for seed in (1, 2)])
    joined.to_csv(tmp_path / "rhythms.csv", index=False)
    draw_shares([tmp_path / "rhythms.csv", tmp_path / "nothing.csv"])
    with Image.open(tmp_path / "rhythms.png") as picture:
        assert min(picture.size) > 200
    assert not (tmp_path / "nothing.png").exists()
