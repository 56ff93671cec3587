"""Edges from the command line: explained, ranked, drawn, and refused by what needs cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from fixtures.command_line import done, refused
from fixtures.own_networks import own_network
from PIL import Image

from hargcn import Explanation
from hargcn.metrics.gap_curve import GapCurve
from hargcn.pipeline import explain_windows as module
from hargcn.pipeline.explain import explain

METHODS = ("edge-gradient", "edge-integrated-gradients", "edge-shapley")


@pytest.fixture(scope="module")
def edges(checkpoint, waving):
    """Gradient x edge of the first six test windows."""
    path = waving.with_name("edges.h5")
    done(
        "explain", checkpoint, waving, "--method", "edge-gradient", "--limit", 6, "--shard", 4,
        "--class", "label", "--out", path,
    )  # fmt: skip
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_one_command_makes_a_file_that_opens_again(name, checkpoint, waving, tmp_path):
    out = tmp_path / "edges.h5"
    small = ("--set", "orders=4") if name == "edge-shapley" else ()
    done("explain", checkpoint, waving, "--method", name, *small, "--limit", 2, "--out", out)
    found = Explanation.open(out)
    assert found.values.sizes["source_joint"] == found.values.sizes["target_joint"] == 19
    assert found.dataset["source_joint"].to_numpy().tolist() == list(found.skeleton.joints)
    assert abs(found.values).max() > 0
    assert "the same for 2 windows" in done("reproduce", out, "-c", checkpoint, "-w", waving)


@pytest.mark.slow
def test_a_killed_run_goes_on(checkpoint, waving, edges, tmp_path, monkeypatch):
    out, calls = tmp_path / "edges.h5", []
    own = module.explain_batch

    def killed(*given, **named):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return own(*given, **named)

    command = (
        "explain", checkpoint, waving, "--method", "edge-gradient", "--limit", 6, "--shard", 4,
        "--class", "label", "--out", out,
    )  # fmt: skip
    monkeypatch.setattr(module, "explain_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        explain(checkpoint, waving, out, method="edge-gradient", limit=6, target="label", shard=4)
    assert len(list(out.with_name("edges.h5.parts").glob("*.done"))) == 1
    calls.clear()
    calls.extend([1, 1])
    done(*command)
    assert len(calls) == 3  # the second shard only
    np.testing.assert_array_equal(Explanation.open(out).values, Explanation.open(edges).values)


@pytest.mark.slow
def test_ranked_they_are_bodies_and_a_table(edges, tmp_path):
    said = done("rank", edges, "--top", 3, "--out", tmp_path / "r.svg")
    assert "edges by median sum" in said
    found = Explanation.open(edges)
    sums = found.values.sum(["layer", "partition"]).median("sample")
    sums = sums.where((found.values != 0).any(["sample", "layer", "partition"]))  # of the graph
    a, b = np.unravel_index(np.nanargmax(sums.to_numpy()), sums.shape)
    joints = found.skeleton.joints
    assert f"{joints[a]} -> {joints[b]} {float(sums.max()):+.3g}" in said.replace("\n", " ")
    drawn = (tmp_path / "r.svg").read_text("utf-8")
    assert drawn.count("(n = ") == len(np.unique(found.target))
    one = done("rank", edges, "--class", "class1", "--out", tmp_path / "one.svg")
    assert one.endswith("one.svg\n")
    assert (tmp_path / "one.svg").read_text("utf-8").count("(n = ") == 1


@pytest.mark.slow
def test_one_window_is_drawn(edges, tmp_path):
    name = str(Explanation.open(edges).dataset["sample"].to_numpy()[1])
    done("show", edges, "--sample", name, "--out", tmp_path / "w.svg")
    assert name in (tmp_path / "w.svg").read_text("utf-8")
    done("show", edges, "--dpi", 60, "--out", tmp_path / "w.png")
    with Image.open(tmp_path / "w.png") as picture:
        assert picture.size[0] > 100


@pytest.mark.slow
def test_what_needs_joints_or_time_refuses_them_in_a_line(
    edges, gradcams, checkpoint, waving, earlier
):
    told = "(got 'edge-gradient' over sample, layer, partition, source_joint, target_joint)"
    common = (checkpoint, waving, edges)
    table = ("--out", earlier.with_suffix(".csv"))
    assert told in refused("evaluate", *common, "--metrics", "deletion", *table)
    for command in (
        ("evaluate", *common, "--metrics", "pgi", *table),
        ("perturb", *common, "--out", earlier),
        ("perturb", *common, "--edit", "input:freeze", "--out", earlier),
    ):
        line = refused(*command)
        assert "an edit of single edges, such as edge:single:zero, for the explanation of" in line
    cut = ("--edit", "edge:single:zero", "--out", earlier)
    assert "an explanation of edges for edge:single" in refused(
        "perturb", checkpoint, waving, gradcams[0], *cut
    )
    assert "one segment of explanations of edges" in refused(
        "perturb", *common, "--segments", 2, *cut
    )
    assert "of edges, which have no time" in refused("show", edges, "--heatmap", "-o", earlier)
    assert "of edges, which have no time" in refused("show", edges, "--frames", "1", "-o", earlier)
    line = refused("rank", edges, gradcams[0], "--out", earlier)
    assert line.startswith("Expected one explanation of edges alone to rank (got edge-gradient,")
    line = refused("rank", edges, "--cells", "observed", "--out", earlier)
    assert line == "Expected joints to rank by joint, observed cells (got 'edge-gradient' of edges)"
    line = refused(
        "explain", checkpoint, waving, "--method", "edge-gradient", "--limit", 2, "--keep",
        "joint-time", "--out", earlier,
    )  # fmt: skip
    assert "Expected an explanation over time and joints to keep its sums" in line


def test_edges_are_cut_in_their_order_beside_random_ones(edges, checkpoint, waving, tmp_path):
    out = tmp_path / "cut.h5"
    few = ("--edit", "edge:single:zero", "--top", 3, "--random", 2, "--limit", 3)
    said = done("perturb", checkpoint, waving, edges, *few, "--out", out)
    assert "mean |change of p| over k = 0..3, edge:single:zero" in said
    assert "edge-gradient complement" in said
    found = GapCurve.open(out).dataset
    assert found.attrs["units"] == "edges"
    gap = found["gap"].sel(explanation="edge-gradient")
    assert float(gap.sel(set="important", k=0)) < 1e-6 < 1e-4 < float(gap.sel(set="important", k=3))
    assert {"accuracy", "mae"} & {*found.data_vars} == {"accuracy"}
    assert (tmp_path / "cut.gap.png").stat().st_size > 1000


@pytest.mark.slow
def test_measures_that_are_of_edges_judge_them_beside_random_ones(
    edges, checkpoint, waving, tmp_path
):
    out = tmp_path / "table.csv"
    few = ("--edit", "edge:single:zero", "--top", 4, "--limit", 2)
    done("evaluate", checkpoint, waving, edges, *few, "--metrics", "all", "--out", out)
    found = pd.read_csv(out).set_index(["metric", "method"])
    assert [*dict.fromkeys(found.index.get_level_values(0))] == [
        "pgi", "pgu", "sensitivity-n", "infidelity", "efficiency-gap",
    ]  # fmt: skip
    assert set(found.index.get_level_values(1)) == {"edge-gradient", "random"}
    assert (found.loc[["pgi", "pgu", "infidelity"], "n"] == 2).all()
    assert (found.loc["efficiency-gap", "n"] == 0).all()  # neither promises a sum


@pytest.mark.slow
def test_a_network_that_tells_no_edges_is_watched_and_cut(waving, tmp_path):
    network = own_network(tmp_path, waving)
    edges, out = tmp_path / "edges.h5", tmp_path / "cut.h5"
    done("explain", network, waving, "--method", "edge-gradient", "--limit", 3, "--out", edges)
    few = ("--top", 3, "--random", 2, "--out", out)
    done("perturb", network, waving, edges, "--edit", "edge:single:zero", *few)
    gap = GapCurve.open(out).dataset["sample_gap"].sel(explanation="edge-gradient", k=3)
    assert float(gap.sel(set="important").min()) > 1e-4
    line = refused("perturb", network, waving, edges, "--edit", "edge:single:away:0.1", *few)
    assert "edge:single:zero for a network that tells no edge weights" in line
