"""What was seen of a recording, carried from windows to explanations."""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
import xarray as xr
from fixtures.command_line import done, refused
from fixtures.recordings import drifting

from hargcn import Explanation
from hargcn.data.cutting import WindowConfig
from hargcn.data.windows import write_windows
from hargcn.pipeline.explain import explain
from hargcn.pipeline.pictures import rank, show


def test_explanations_hold_states_and_confidence(checkpoint, tmp_path):
    confidence = np.full((16, 19, 1), 0.75)
    confidence[3, 2] = np.nan
    state = np.where(np.isnan(confidence), 2, 1)
    recording = drifting(16, confidence=confidence, state=state)
    windows = tmp_path / "w.h5"
    write_windows(windows, [recording], ["class0"], WindowConfig(length=16, overlap=0))
    explain(checkpoint, windows, tmp_path / "e.h5", split="all", other_preparation=True)
    found = Explanation.open(tmp_path / "e.h5").dataset
    assert found["confidence"].dims == ("sample", "frame", "joint", "person")
    np.testing.assert_array_equal(found["confidence"][0], confidence)
    np.testing.assert_array_equal(found["state"][0], state)


def guessed(source, out, share, joint=3):
    """Copy explanations: a joint that nobody saw has a share of the positive attribution."""
    found = Explanation.open(source)
    values = xr.zeros_like(found.values)
    values[{"joint": joint, "time": 0}] = share
    values[{"joint": 5, "time": -1}] = 1 - share
    state = found.dataset["state"].copy()
    state[:] = 1
    state[{"joint": joint}] = 2
    dataset = found.dataset.assign(attribution=values, state=state)
    Explanation(dataset).save(out)
    return out


@pytest.mark.parametrize("share", [0.19, 0.21])
@pytest.mark.slow
def test_rank_and_show_warn_beyond_a_fifth(gradcams, tmp_path, share):
    path = guessed(gradcams[0], tmp_path / "g.h5", share)
    for draw in (
        lambda: rank([path], tmp_path / "r.png", dpi=40),
        lambda: show(path, tmp_path / "s.png", dpi=40),
        lambda: show(path, tmp_path / "m.png", heatmap=True, dpi=40),
    ):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            draw()
        expected = [] if share < 0.2 else ["21% of the positive attribution lies on cells that"]
        assert [e for e in expected if e not in str(said[0].message)] == []
        assert len(said) == len(expected)


@pytest.mark.slow
def test_ranks_of_observed_cells_leave_out_what_was_interpolated(gradcams, tmp_path):
    path = guessed(gradcams[0], tmp_path / "g.h5", 0.9)
    layout = Explanation.open(path).skeleton.joints
    with pytest.warns(UserWarning, match=rf"90% of .* most of it on {layout[3]} 90%"):
        found = rank([path], tmp_path / "r.png", dpi=40)
    assert next(iter(found.values())).features[0] == layout[3]
    found = rank([path], tmp_path / "r.png", cells="observed", dpi=40)  # and does not warn
    assert next(iter(found.values())).features[0] == layout[5]
    said = done("rank", path, "--cells", "observed", "--top", 20, "--out", tmp_path / "r.png")
    assert f"{layout[3]} - (0%)" in said
    assert re.search(rf"1 +│ +{layout[5]} \+\S+ \(100%\)", said)
    wrong = refused("rank", path, "--cells", "seen", "--out", tmp_path / "x.png")
    assert wrong == "Expected --cells of all, observed (got 'seen')"


def test_explanations_that_do_not_tell_what_was_seen_are_refused_in_one_line(gradcams, tmp_path):
    bare = tmp_path / "bare.h5"
    Explanation(Explanation.open(gradcams[0]).dataset.drop_vars("state")).save(bare)
    done("rank", bare, "--out", tmp_path / "r.png")
    wrong = refused("rank", bare, "--cells", "observed", "--out", tmp_path / "r.png")
    assert "'gradcam main.0.tcn': expected joints and what was seen of them" in wrong


def test_explain_warns_of_padded_frames_over_all_shards(checkpoint, tmp_path):
    """Bodies that are there for 2 of 16 frames: nearly all of a map lies where nobody is."""
    recordings = [drifting(2, sample=f"clip{i}") for i in range(3)]
    windows = tmp_path / "w.h5"
    config = WindowConfig(mode="whole", fit="pad", length=16)
    write_windows(windows, recordings, ["class0"], config)
    run = {"split": "all", "other_preparation": True, "shard": 2, "settings": ["relu=true"]}
    with pytest.warns(UserWarning, match=r"e\.h5: \d\d% of the positive attribution lies on cells"):
        explain(checkpoint, windows, tmp_path / "e.h5", **run)
