from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import cam_like, explanation, shap_like
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau, spearmanr

from hargcn.analysis.agreement import agreement, correlate, correlation_layers
from hargcn.analysis.ranking import write_csv
from hargcn.explanation import Explanation

LAYERS = ["J.init", "J.0.tcn", "J.0.attention", "V.init", "V.0.tcn", "V.0.attention"]
MAIN = ["main.0.tcn", "main.1.tcn", "main.1.attention"]


def maps(seed, count=5, cells=6):
    names = [*LAYERS, *MAIN]
    return {
        name: cam_like(count, cells=24 if "init" in name else cells, seed=seed + i, layer=name)
        for i, name in enumerate(names)
    }


def test_the_matrix_is_scipys_spearman_and_kendall_over_the_cells():
    a, b = cam_like(5, seed=1), cam_like(5, seed=2)
    table = agreement({"a": a, "b": b}, n=100)
    rows = [each.values.to_numpy().reshape(5, -1) for each in (a, b)]
    for measure, peer in (("spearman", spearmanr), ("kendall", kendalltau)):
        by_hand = np.mean([peer(x, y).statistic for x, y in zip(*rows, strict=True)])
        got = table[measure].sel({"class": "all", "method": "a", "other": "b"})
        assert got == pytest.approx(by_hand)
    np.testing.assert_allclose(table["spearman"].to_numpy()[0].diagonal(), 1)
    np.testing.assert_array_equal(table["spearman"][0], table["spearman"][0].T)
    inside = (table["kendall_low"] <= table["kendall"]) & (
        table["kendall"] <= table["kendall_high"]
    )
    assert inside.all()


def test_classes_are_averaged_apart_and_together():
    a = cam_like(6, seed=1).assign({"target": [0, 0, 1, 1, 1, 1]}, classes='["wave", "kick"]')
    # The second explanation agrees in class wave and contradicts in class kick.
    sign = np.where(a.target == 0, 1.0, -1.0)[:, None, None, None]
    b = Explanation(a.dataset.assign(attribution=a.values * sign))
    pair = {"method": "a", "other": "b"}
    table = agreement({"a": a, "b": b}, n=50)["spearman"].sel(pair)
    assert list(table["class"].to_numpy()) == ["all", "wave", "kick"]
    np.testing.assert_allclose(table, [-1 / 3, 1, -1])
    assert list(agreement({"a": a, "b": b}, ["overlap"], n=50)["n"]) == [6, 2, 4]


def test_overlap_and_joint_level_use_the_joint_scores():
    a, b = shap_like(4), cam_like(4)
    table = agreement({"a": a, "b": b}, ["spearman", "overlap"], over="joints", k=3, n=50)
    x, y = (each.joint_scores().to_numpy() for each in (a, b))
    pair = {"class": "all", "method": "a", "other": "b"}
    rho = np.mean([spearmanr(p, q).statistic for p, q in zip(x, y, strict=True)])
    assert table["spearman"].sel(pair) == pytest.approx(rho)
    shared = [
        len(set(np.argsort(-p)[:3]) & set(np.argsort(-q)[:3])) / 3
        for p, q in zip(x, y, strict=True)
    ]
    assert table["overlap"].sel(pair) == pytest.approx(np.mean(shared))


def test_persons_are_compared_apart_and_absent_ones_not_at_all():
    one = cam_like(3, persons=2, seed=1)
    # Person 1 agrees, person 2 is noise far larger than person 1's map.
    other = one.values.to_numpy().copy()
    other[..., 1] = 100 * np.random.default_rng(0).normal(size=other.shape[:-1])
    two = Explanation(one.dataset.assign(attribution=(one.values.dims, other)))
    pair = {"class": "all", "method": "a", "other": "b"}

    def rho(a):
        return float(agreement({"a": a, "b": two}, ["spearman"], n=20)["spearman"].sel(pair))

    assert 0.4 < rho(one) < 0.6
    present = (("sample", "person"), np.array([[True, False]] * 3))
    assert rho(one.assign({"present": present})) == pytest.approx(1)


def test_constant_maps_have_no_correlation_and_do_not_count_as_zero():
    a = cam_like(4, seed=1)
    flat = a.values.to_numpy().copy()
    flat[0] = 3.0
    b = Explanation(a.dataset.assign(attribution=(a.values.dims, flat)))
    table = agreement({"a": a, "b": b}, ["spearman"], n=20)
    assert table["spearman"].sel({"class": "all", "method": "a", "other": "b"}) == 1


def test_relu_compares_positive_parts_only():
    a = explanation([[1.0, 2.0, -1.0, -2.0]], ("sample", "joint"))
    b = explanation([[1.0, 2.0, -2.0, -1.0]], ("sample", "joint"))
    pair = {"class": "all", "method": "a", "other": "b"}
    assert agreement({"a": a, "b": b}, ["spearman"], n=5)["spearman"].sel(pair) < 1
    assert agreement({"a": a, "b": b}, ["spearman"], relu=True, n=5)["spearman"].sel(pair) == 1


def test_one_explanation_alone_agrees_with_nothing():
    with pytest.raises(ValueError, match=r"at least two explanations \(got \['a'\]\)"):
        agreement({"a": cam_like(2)})


@given(st.permutations(range(20)))
@settings(max_examples=10, deadline=None)
def test_relabelling_the_joints_of_both_changes_nothing(permutation):
    a, b = cam_like(3, seed=1), shap_like(3)
    moved = {"a": a.isel(joint=list(permutation)), "b": b.isel(joint=list(permutation))}
    measures = ["spearman", "overlap"]
    before, after = agreement({"a": a, "b": b}, measures, n=20), agreement(moved, measures, n=20)
    for name in before:
        np.testing.assert_allclose(before[name], after[name], atol=1e-12)


def test_the_layer_table_is_spearman_per_sample_against_the_reference():
    batch = maps(0)
    table = correlate([batch], "main.1.attention", n=100)
    assert "main.1.attention" not in table["layer"]
    x, y = (
        batch[name].values.to_numpy().reshape(5, -1) for name in ("J.0.tcn", "main.1.attention")
    )
    peer = [spearmanr(p, q).statistic for p, q in zip(x, y, strict=True)]
    np.testing.assert_allclose(table["rho"].sel(layer="J.0.tcn"), peer)
    row = table.sel(layer="J.0.tcn")
    assert row["mean"] == pytest.approx(np.mean(peer))
    assert row["low"] <= row["mean"] <= row["high"]
    assert row["n"] == 5


def test_pooled_is_spearman_over_all_cells_of_scaled_maps():
    batch = maps(0)
    table = correlate([batch], "main.1.attention", n=20)

    def scaled(name):
        rows = batch[name].values.to_numpy().reshape(5, -1)
        low = rows.min(axis=1, keepdims=True)
        return ((rows - low) / np.ptp(rows, axis=1, keepdims=True)).ravel()

    peer = spearmanr(scaled("J.0.tcn"), scaled("main.1.attention")).statistic
    assert float(table["pooled"].sel(layer="J.0.tcn")) == pytest.approx(peer, abs=1e-6)
    assert abs(peer - float(table["mean"].sel(layer="J.0.tcn"))) > 1e-3


def test_pooled_leaves_out_who_is_absent():
    one = cam_like(3, persons=2, seed=1, layer="main.0.attention")
    noise = 100 * np.random.default_rng(0).normal(size=one.values.shape[:-1])
    values = one.values.to_numpy().copy()
    values[..., 1] = noise
    two = Explanation(one.dataset.assign(attribution=(one.values.dims, values)))
    present = (("sample", "person"), np.array([[True, False]] * 3))
    batch = {"main.0.attention": one.assign({"present": present}), "main.0.tcn": two}
    table = correlate([batch], "main.0.attention", n=20)
    assert float(table["pooled"].sel(layer="main.0.tcn")) == pytest.approx(1)


def test_batches_give_the_same_table_as_one_pass():
    whole = maps(0, count=6)
    halves = [
        {name: each.isel(sample=part) for name, each in whole.items()}
        for part in (slice(0, 2), slice(2, 6))
    ]
    one, two = (correlate(b, "main.1.attention", n=50) for b in ([whole], iter(halves)))
    for name in ("rho", "mean", "low", "high", "pooled"):
        np.testing.assert_allclose(one[name], two[name])


def test_sums_add_the_branches_that_share_a_stage():
    batch = maps(0)
    table = correlate([batch], "main.1.attention", scale_sums=False, n=20)
    assert [n for n in table["layer"].to_numpy() if n.startswith("sum")] == [
        "sum.init",
        "sum.0.tcn",
        "sum.0.attention",
    ]
    total = batch["J.0.tcn"].values.to_numpy() + batch["V.0.tcn"].values.to_numpy()
    reference = batch["main.1.attention"].values.to_numpy()
    peer = [
        spearmanr(p.ravel(), q.ravel()).statistic for p, q in zip(total, reference, strict=True)
    ]
    np.testing.assert_allclose(table["rho"].sel(layer="sum.0.tcn"), peer)


def test_scaled_sums_let_branches_count_alike():
    batch = {k: v for k, v in maps(0).items() if k in ("J.init", "V.init", "main.1.attention")}
    loud = batch["J.init"]
    louder = Explanation(loud.dataset.assign(attribution=loud.values * 1e6))
    reference = "main.1.attention"

    def summed(first, scale):
        made = {**batch, "J.init": first}
        return correlate([made], reference, scale_sums=scale, n=5)["rho"].sel(layer="sum.init")

    np.testing.assert_allclose(summed(loud, True), summed(louder, True))
    assert not np.allclose(summed(loud, False), summed(louder, False))


def test_subjects_stored_with_the_maps_widen_the_interval():
    batch = maps(0, count=12)
    stored = {k: v.assign({"group": np.repeat(["s1", "s2"], 6)}) for k, v in batch.items()}
    alone = correlate([stored], "main.1.attention", n=200)
    given_too = correlate([batch], "main.1.attention", groups=np.repeat([1, 2], 6), n=200)
    np.testing.assert_array_equal(alone["low"], given_too["low"])
    assert not np.allclose(alone["low"], correlate([batch], "main.1.attention", n=200)["low"])


def test_an_identical_layer_correlates_fully_and_the_csv_has_a_row_per_layer(tmp_path):
    batch = maps(0)
    batch["main.1.tcn"] = batch["main.1.attention"]
    table = correlate([batch], "main.1.attention", n=20)
    assert table["mean"].sel(layer="main.1.tcn") == 1
    write_csv(table, tmp_path / "correlation.csv")
    lines = (tmp_path / "correlation.csv").read_text().splitlines()
    assert len(lines) == 1 + table.sizes["layer"]
    assert "main.1.tcn,1,1,1,5,1,main,1.tcn" in lines


def test_missing_references_are_named():
    with pytest.raises(ValueError, match="reference layer 'main.9.tcn'"):
        correlate([maps(0)], "main.9.tcn")
    with pytest.raises(ValueError, match="at least one batch"):
        correlate([], "main.1.attention")


def test_the_papers_layers_are_the_last_of_each_kind():
    names = ["J.init", "J.0.gcn", "J.0.tcn", "J.0.attention", "J.1.tcn", "J.1.attention", *MAIN]
    expected = ["J.init", "J.1.tcn", "J.1.attention", "main.1.tcn", "main.1.attention"]
    assert correlation_layers(names) == expected
    assert correlation_layers(names, "J.init")[-1] == "J.init"
    assert correlation_layers(["J.init", "main.0.tcn"]) == ["J.init", "main.0.tcn"]
    with pytest.raises(ValueError, match="main stream"):
        correlation_layers(["J.init"])


def test_scaled_sums_scale_every_person_by_themselves():
    rng = np.random.default_rng(4)
    # In one branch the second person's values are a hundred times as large as the first one's.
    values = {name: rng.normal(size=(1, 6, 5, 2)) for name in ("J.init", "V.init", "main.0.tcn")}
    values["J.init"][..., 1] *= 100
    dims = ("sample", "time", "joint", "person")
    made = {name: explanation(v, dims, layer=name, time=range(6)) for name, v in values.items()}
    table = correlate([made], "main.0.tcn", n=5)

    def unit(v):
        return (v - v.min((1, 2), keepdims=True)) / np.ptp(v, axis=(1, 2), keepdims=True)

    both = unit(values["J.init"]) + unit(values["V.init"])
    rows = zip(both[0].reshape(-1, 2).T, values["main.0.tcn"][0].reshape(-1, 2).T, strict=True)
    by_hand = np.mean([spearmanr(a, b).statistic for a, b in rows])
    assert table["rho"].sel(layer="sum.init").item() == pytest.approx(by_hand)
