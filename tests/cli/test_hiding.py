"""Methods that hide parts of the input, from the command line to pictures and measures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from fixtures.command_line import done, refused, run
from fixtures.interactions import together

from hargcn import Explanation
from hargcn.explainers import ShapleyGroups
from hargcn.pipeline.experiment_file import read_experiment
from hargcn.pipeline.explain import explain
from hargcn.pipeline.prepare import prepare

EXPERIMENTS = Path(__file__).resolve().parents[2] / "experiments"

SETTINGS = {
    "occlusion": ["-s", "by=joint-time", "-s", "bins=2"],
    "lime": ["-s", "by=part", "-s", "masks=20"],
    "rise": ["-s", "masks=20"],
    "mask": ["-s", "steps=5"],
    "shapley-groups": ["-s", "by=part"],
    "prediction-difference": ["--background", "2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("on", ["branches", pytest.param("positions", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", SETTINGS)
def test_explained_ranked_and_shown(checkpoint, waving, tmp_path, method, on):
    out = tmp_path / "e.h5"
    options = [*SETTINGS[method], "--on", on, "--limit", "2", "--out", out]
    done("explain", checkpoint, waving, "--method", method, *options)
    found = Explanation.open(out)
    assert (found.method, len(found)) == (method, 2)
    assert found.joint_scores().to_numpy().any()
    done("rank", out, "--out", tmp_path / "r.png")
    done("show", out, "--out", tmp_path / "s.png")


@pytest.mark.slow
@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=() if m == "mask" else pytest.mark.slow) for m in SETTINGS]
)
def test_in_shards_made_again_and_judged(checkpoint, waving, tmp_path, method):
    """Of the file alone, and the shards do not meet."""
    whole, parts = tmp_path / "whole.h5", tmp_path / "parts.h5"
    common = ["explain", checkpoint, waving, "--method", method, *SETTINGS[method], "--limit", "2"]
    done(*common, "--out", whole)
    done(*common, "--shard", "1", "--out", parts)
    one, two = (Explanation.open(path) for path in (whole, parts))
    np.testing.assert_array_equal(one.values, two.values)
    np.testing.assert_array_equal(one.score, two.score)
    done("reproduce", whole, "--checkpoint", checkpoint, "--windows", waving)
    out = tmp_path / "table.csv"
    done(
        "evaluate", checkpoint, waving, whole, "--metrics", "pgi,ris", "--top", 1, "--remake",
        "--out", out,
    )  # fmt: skip
    with out.open(encoding="utf-8") as stream:
        rows = {r["metric"]: r for r in csv.DictReader(stream) if r["method"] == one.name}
    assert {rows["pgi"]["n"], rows["ris"]["n"]} == {"2"}


@pytest.mark.slow
def test_what_acts_together_is_drawn_and_listed(checkpoint, waving, tmp_path):
    out, picture = tmp_path / "e.h5", tmp_path / "p.svg"
    by = ["-s", "by=part", "-s", "interactions=STII"]
    several = ["--limit", "2", "--shard", "1", "--out", out]
    done("explain", checkpoint, waving, "--method", "shapley-groups", *by, *several)
    said = done("interactions", out, "--top", "1", "--out", picture)
    matrix = Explanation.open(out).dataset["interaction"].mean("sample")
    first = abs(matrix - matrix * np.eye(len(matrix))).to_series().idxmax()
    assert " - ".join(first) in said
    assert said.count(" - ") == 1
    assert "mean of 2 windows" in picture.read_text("utf-8")
    line = refused("interactions", out, "--sample", "nobody", "--out", tmp_path / "q.png")
    assert "expected a window that was explained (got 'nobody')" in line


def test_a_mean_over_several_classes_is_told_beside_the_table(tmp_path):
    out = tmp_path / "e.h5"
    together([np.eye(2)] * 2).assign({"target": np.array([0, 1])}).save(out)
    ended = run("interactions", out, "--out", tmp_path / "p.svg")
    assert ended.code == 0
    assert "over 2 classes (1 of class 0, 1 of class 1); --class for one alone" in ended.err
    assert "the mean over" not in ended.out


@pytest.mark.slow
def test_a_killed_run_goes_on_with_what_acts_together(checkpoint, waving, tmp_path, monkeypatch):
    out, met, original = tmp_path / "e.h5", [], ShapleyGroups.explain
    by = {"by": "part", "interactions": "k-SII"}
    given = {"method": "shapley-groups", "settings": by, "limit": 3, "shard": 1, "progress": False}

    def killed(explainer, model, x, target):
        met.append(len(x))
        if len(met) == 3:
            raise KeyboardInterrupt("killed")
        return original(explainer, model, x, target)

    explain(checkpoint, waving, tmp_path / "whole.h5", **given)
    monkeypatch.setattr(ShapleyGroups, "explain", killed)
    with pytest.raises(KeyboardInterrupt, match="killed"):
        explain(checkpoint, waving, out, **given)
    line = refused("interactions", out, "--out", tmp_path / "p.png")
    assert "e.h5: no such explanation file" in line
    explain(checkpoint, waving, out, **given)
    assert met == [1] * 4  # the third window only
    one, two = (Explanation.open(path).dataset for path in (tmp_path / "whole.h5", out))
    for name in ("interaction", "interaction_error", "player_value", "base_value"):
        np.testing.assert_array_equal(one[name], two[name])
    assert one["interaction"].to_numpy().any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["utd_mhad", "mini_rgbd_planted"])
def test_groups_on_the_networks_of_real_recordings(data_root, tmp_path, name):
    own = read_experiment(EXPERIMENTS / name / "config.yaml")
    (arguments,) = [given for command, given in own.steps if command == "prepare"]
    prepare(data_root / own.recordings, tmp_path / "w.h5", own.extends, **arguments)
    parts = ["-s", "by=part", "-s", "interactions=k-SII"]
    chain = ["-s", "replace=chain", "-s", "budget=300", "--on", "positions"]
    for number, options in enumerate([parts, chain]):
        out = tmp_path / f"{number}.h5"
        method = ["--method", "shapley-groups", "--limit", "2", *options]
        ended = run("explain", own.checkpoint, tmp_path / "w.h5", *method, "--out", out)
        assert (ended.code, "2 samples x " in ended.err) == (0, True)
        found = Explanation.open(out)
        assert len(found) == 2
        assert float(abs(found.additivity_gap).max()) < 1e-9
        assert float(abs(found.dataset["player_value"]).max()) > 0
        assert ("interaction" in found.dataset) == (options is parts)
