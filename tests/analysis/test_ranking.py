from __future__ import annotations

import csv

import numpy as np
import pytest
import xarray as xr
from fixtures.fake_explanations import explanation, shap_like
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr

from hargcn.analysis.features import joint_names
from hargcn.analysis.ranking import (
    Ranking,
    common_order,
    convergence,
    ordering,
    sample_groups,
    top_k_overlap,
    write_csv,
)
from hargcn.analysis.statistics import cluster_bootstrap

SCORES = arrays(float, (3, 7), elements=st.integers(-9, 9), fill=st.nothing())


def test_signed_puts_evidence_against_last_and_magnitude_puts_it_first():
    scores = [[0.1, -5.0, 2.0, 0.0]]
    np.testing.assert_array_equal(ordering(scores), [[2, 0, 3, 1]])
    np.testing.assert_array_equal(ordering(scores, "magnitude"), [[1, 2, 0, 3]])


def test_ties_keep_the_order_of_the_joints_and_nan_comes_last():
    np.testing.assert_array_equal(ordering([1.0, np.nan, 1.0, 2.0]), [3, 0, 2, 1])


def test_an_unknown_order_is_named():
    with pytest.raises(ValueError, match="'signed' or 'magnitude'.*'ascending'"):
        ordering([1.0], "ascending")


def test_overlap_on_paper():
    a, b = [5.0, 4.0, 3.0, 2.0], [5.0, 0.0, 4.0, -9.0]
    assert top_k_overlap(a, b, 1) == 1.0
    assert top_k_overlap(a, b, 2) == 0.5
    assert top_k_overlap(a, b, 2, "magnitude") == 0.5
    assert top_k_overlap(a, b, 4) == 1.0
    with pytest.raises(ValueError, match="k from 1 to 4 joints"):
        top_k_overlap(a, b, 5)


def test_random_orders_overlap_by_chance():
    a, b = np.random.default_rng(0).normal(size=(2, 4000, 20))
    assert top_k_overlap(a, b, 5).mean() == pytest.approx(5 / 20, abs=0.01)


@given(SCORES, st.permutations(range(7)), st.sampled_from(["signed", "magnitude"]))
@settings(max_examples=30, deadline=None)
def test_relabelling_joints_relabels_the_ranking(scores, permutation, by):
    # Distinct scores: ties are broken by the order of the joints, which relabelling changes.
    scores = scores + np.linspace(0, 0.5, 7)
    permutation = np.array(permutation)
    np.testing.assert_array_equal(
        permutation[ordering(scores[:, permutation], by)], ordering(scores, by)
    )
    there = Ranking(xr.DataArray(scores, dims=("sample", "joint")), by)
    moved = Ranking(xr.DataArray(scores[:, permutation], dims=("sample", "joint")), by)
    np.testing.assert_array_equal(moved.ranks, there.ranks[:, permutation])
    np.testing.assert_array_equal(moved.top(3), there.top(3)[:, permutation])


@given(SCORES, st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_the_top_set_holds_k_joints_none_worse_than_those_outside(scores, k):
    top = Ranking(xr.DataArray(scores, dims=("sample", "joint"))).top(k).to_numpy()
    assert (top.sum(axis=1) == k).all()
    inside = np.where(top, scores, np.inf).min(axis=1)
    outside = np.where(top, -np.inf, scores).max(axis=1)
    assert (inside >= outside).all()


def test_scores_are_signed_sums_over_all_other_axes():
    made = shap_like(3)
    ranking = Ranking.of(made)
    np.testing.assert_allclose(ranking.scores, made.values.to_numpy().sum((1, 2, 3, 5)))
    assert ranking.features[0] in made.skeleton.joints
    assert ranking.name == "shap"


def test_the_summary_is_sorted_by_the_median_and_its_mean_lies_in_its_interval():
    made = explanation([[0, 3, 1], [0, 5, 1], [0, 40, -50]], ("sample", "joint"), joint=list("abc"))
    table = Ranking.of(made).summary(n=200)
    assert list(table["joint"].to_numpy()) == ["b", "c", "a"]
    np.testing.assert_array_equal(table["median"], [5, 1, 0])
    np.testing.assert_array_equal(table["rank"], [1, 7 / 3, 8 / 3])
    assert (table["mean_low"] <= table["mean"]).all()
    assert (table["mean"] <= table["mean_high"]).all()
    np.testing.assert_array_equal(Ranking.of(made).medians, [5, 1, 0])
    by_size = Ranking.of(made, "magnitude")
    np.testing.assert_array_equal(by_size.order[2], [2, 1, 0])


def test_an_explanation_without_joints_cannot_be_ranked():
    with pytest.raises(ValueError, match=r"axis 'joint' to rank by joint \(got sample, time\)"):
        Ranking.of(explanation(np.zeros((2, 3)), ("sample", "time")))


def test_sizes_are_mean_magnitudes_with_an_interval_by_subject():
    made = explanation([[3, -1], [-5, 1], [4, 2]], ("sample", "joint"), joint=list("ab"))
    ranking = Ranking.of(made)
    table = ranking.sizes(["s1", "s1", "s2"], n=200)
    assert table["mean"].to_numpy().tolist() == [4, pytest.approx(4 / 3)]
    expected = cluster_bootstrap([[3, 1], [5, 1], [4, 2]], ["s1", "s1", "s2"], n=200)
    np.testing.assert_array_equal(table["low"], expected.low)
    np.testing.assert_array_equal(table["high"], expected.high)
    assert np.isnan(ranking.sizes(["s1"] * 3)["low"]).all()
    assert ranking.largest == ("a", "b")
    assert Ranking.of(explanation([[1.0, -9.0]], ("sample", "joint"))).largest == ("1", "0")


def test_convergence_is_spearman_against_the_largest_background():
    runs = {n: shap_like(6, seed=n) for n in (100, 5, 20)}
    table = convergence(runs, n=100)
    assert list(table["background"].to_numpy()) == [5, 20, 100]
    a, b = (runs[n].joint_scores().to_numpy() for n in (5, 100))
    peer = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(table["rho"].sel(background=5), peer)
    assert table["mean"].sel(background=5) == pytest.approx(np.mean(peer))
    assert float(table["mean"].sel(background=100)) == 1


def test_names_come_from_coordinates_then_the_skeleton_then_numbers():
    made = shap_like(2)
    assert joint_names(made)[0] == "head"
    assert joint_names(explanation(np.zeros((1, 2)), ("sample", "joint"))) == ["0", "1"]
    assert sample_groups(made) is None
    stored = made.assign({"group": np.array(["s1", "s2"])})
    assert list(sample_groups(stored)) == ["s1", "s2"]
    assert list(sample_groups(stored, [7, 8])) == [7, 8]


def test_csv_holds_a_row_per_entry_without_the_single_samples(tmp_path):
    table = convergence({5: shap_like(3), 9: shap_like(3, seed=2)}, n=50)
    write_csv(table, tmp_path / "new" / "table.csv")
    with (tmp_path / "new" / "table.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["background"] for row in rows] == ["5", "9"]
    assert set(rows[0]) == {"background", "mean", "low", "high"}
    assert float(rows[0]["mean"]) == pytest.approx(float(table["mean"][0]), rel=1e-5)


def test_quartiles_by_hand():
    scores = np.array([[0.0], [1.0], [2.0], [3.0], [40.0]])
    table = Ranking(xr.DataArray(scores, {"joint": ["a"]}, ("sample", "joint"))).summary(n=20)
    assert (table["q1"].item(), table["median"].item(), table["q3"].item()) == (1, 2, 3)


def test_the_seed_of_a_convergence_is_that_of_its_intervals():
    runs = {n: shap_like(6, seed=n) for n in (5, 20)}
    one, same, other = (convergence(runs, n=20, seed=seed) for seed in (1, 1, 2))
    xr.testing.assert_identical(one, same)
    assert float(one["low"][0]) != float(other["low"][0])


def test_a_common_order_is_by_mean_rank_and_of_equal_ones_as_the_first():
    assert common_order(["abcd", "dabc", "cabd"]) == ("a", "b", "c", "d")  # ranks 4 7 8 11, less 3
    assert common_order(["ab", "ba"]) == ("a", "b")
    assert common_order(["ba", "ab"]) == ("b", "a")
    assert common_order(["cab"]) == ("c", "a", "b")
