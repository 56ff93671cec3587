"""Windows and results at URLs: the same explanations as from files of this machine."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.command_line import done, refused, run
from fixtures.object_store import object_store

from hargcn import Explanation


def test_windows_from_a_server_are_explained_to_a_server(checkpoint, waving, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with object_store({"data/w.h5": waving.read_bytes()}) as store:
        here, there = tmp_path / "x.h5", store.url("made/x.h5")
        words = ("--split", "all", "--limit", 6, "--shard", 4, "--out")
        done("explain", checkpoint, waving, *words, here)
        done("explain", checkpoint, store.url("data/w.h5"), *words, there)
        assert [path.name for path in tmp_path.iterdir()] == ["x.h5"]
        one, other = Explanation.open(here), Explanation.open(there)
        np.testing.assert_array_equal(one.values, other.values)
        assert one.dataset.attrs["data"] == other.dataset.attrs["data"]
        again = run("explain", checkpoint, store.url("data/w.h5"), *words, there)
        assert "finished before, nothing to do" in again.err
        assert again.out.strip() == there
        assert [each for each in store.asked if each.startswith("PUT")] == ["PUT /made/x.h5"]
        done("rank", there, "--out", tmp_path / "rank.png")
        line = refused("explain", checkpoint, store.url("data/none.h5"), *words, there)
        assert line == f"{store.url('data/none.h5')}: no such windows file"
    line = refused("explain", checkpoint, "s3://bucket/w.h5", *words, here)
    assert line.startswith("s3://bucket/w.h5: expected a URL that can be opened (Install s3fs")


@pytest.mark.slow
def test_sums_of_joints_alone_are_kept(checkpoint, waving, tmp_path):
    words = ("explain", checkpoint, waving, "--method", "occlusion", "--limit", 2, "--keep")
    for keep in ("full", "joint"):
        done(*words, keep, "--out", tmp_path / f"{keep}.h5")
    whole, kept = (Explanation.open(tmp_path / f"{keep}.h5") for keep in ("full", "joint"))
    assert kept.dims == ("sample", "joint", "person")
    assert kept.dataset.attrs["kept"] == "joint"
    sums = whole.values.sum([dim for dim in whole.dims if dim not in kept.dims])
    np.testing.assert_allclose(kept.values, sums, rtol=1e-5, atol=1e-6)
    done("rank", tmp_path / "joint.h5", "--out", tmp_path / "rank.png")
    assert "same for 2 windows" in done(
        "reproduce", tmp_path / "joint.h5", "-c", checkpoint, "-w", waving
    )
