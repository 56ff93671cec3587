"""Clusters of explanations: maps that mark planted decoys find them, others do not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.fake_explanations import explanation

from hargcn.data.windows import Windows
from hargcn.pipeline.clusters import cluster
from hargcn.pipeline.prepare import synthesise

DIMS = ("sample", "time", "joint")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Windows of which half of one class have a decoy; maps of the decoys, and of noise."""
    folder = tmp_path_factory.mktemp("planted")
    plant = {
        "distractors": 0,
        "decoys": [{"joint": "left_ankle", "classes": ["with"], "chance": 0.5}],
    }
    made = synthesise(
        folder / "w.h5",
        {"synthetic": {"recordings": 80, "frames": [48, 48], "plant": plant},
         "windows": {"mode": "whole", "length": 48}},
    )  # fmt: skip
    own = made.subset(np.flatnonzero(made.label == 1))
    marks = own.distractor().astype(float)
    noise = np.random.default_rng(0).normal(size=marks.shape)
    for name, values in (("marks", marks + 0.01 * noise), ("noise", noise)):
        found = explanation(values, DIMS, method=name, skeleton=own.skeleton, frames=48)
        found.assign(coords={"sample": own.names}).save(folder / f"{name}.h5")
    return folder


@pytest.mark.slow
def test_what_marks_the_decoys_tells_them_apart_and_noise_does_not(files, tmp_path):
    out, picture = tmp_path / "clusters.csv", tmp_path / "clusters.svg"
    maps = [files / "marks.h5", files / "noise.h5"]
    table = cluster(files / "w.h5", maps, out, neighbours=6, draws=99, picture=picture)
    pd.testing.assert_frame_equal(pd.read_csv(out), table, check_dtype=False, rtol=1e-3, atol=1e-9)
    assert picture.stat().st_size > 1000
    rows = table.set_index("method")
    assert [*rows.index] == ["marks", "noise", "acceleration", "positions"]
    windows = Windows.open(files / "w.h5")
    held = windows.distractor().any(axis=(1, 2))
    assert (rows["n"] == (windows.label == 1).sum()).all()
    assert (rows["decoys"] == held.sum()).all()  # the other class has none
    assert rows.loc["marks", "ari_two"] > 0.8
    assert rows.loc["marks", "p_two"] == 0.01
    assert abs(rows.loc["noise", "ari_two"]) < 0.2


def test_what_cannot_be_compared_is_refused(files, tmp_path):
    out, maps = tmp_path / "c.csv", [files / "marks.h5"]
    with pytest.raises(ValueError, match="Expected draws of at least 1"):
        cluster(files / "w.h5", maps, out, draws=0)
    plain = synthesise(tmp_path / "plain.h5", {"synthetic": {"recordings": 40}})
    with pytest.raises(ValueError, match="expected the explained windows .it has no"):
        cluster(plain.path, maps, out)
    with pytest.raises(ValueError, match=r"more windows than neighbours \(50\)"):
        cluster(files / "w.h5", maps, out, neighbours=50)
    assert not out.exists()
