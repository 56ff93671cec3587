from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from hargcn.analysis.statistics import cluster_bootstrap, pair_bootstrap, rank_correlation

FLOATS = st.floats(-100, 100, allow_nan=False).map(lambda x: round(x, 2))


def test_the_estimate_is_the_plain_mean_of_the_rows_not_of_the_groups():
    values, groups = np.array([0.0, 0.0, 0.0, 8.0]), ["a", "a", "a", "b"]
    estimate, low, high = cluster_bootstrap(values, groups)
    assert estimate == 2.0
    # Two groups: percentiles 0 and 8, their distances times sqrt(2 / 1) 12.706 / 1.960.
    factor = np.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975)
    assert (low, high) == pytest.approx((2 - 2 * factor, 2 + 6 * factor))


def test_without_groups_it_is_nearly_scipys_percentile_bootstrap():
    values = np.random.default_rng(0).exponential(size=60)
    _, low, high = cluster_bootstrap(values, n=20_000)
    peer = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    wider = np.sqrt(60 / 59) * stats.t.ppf(0.975, 59) / stats.norm.ppf(0.975)
    expected = [values.mean() + wider * (limit - values.mean()) for limit in peer]
    assert (low, high) == pytest.approx(expected, abs=0.01)
    assert wider == pytest.approx(1.03, abs=0.01)


def coverage(groups: int, draw: str, studies: int, n: int, statistic=np.mean) -> float:
    """Simulate studies of 5 windows per subject, alike within a subject: how often 0 is inside."""
    rng = np.random.default_rng(groups)
    subjects = np.repeat(np.arange(groups), 5)

    def drawn(*shape: int) -> np.ndarray:
        return rng.normal(size=shape) if draw == "normal" else rng.exponential(size=shape) - 1

    values = drawn(groups, studies)[subjects] + 0.5 * drawn(5 * groups, studies)
    _, low, high = cluster_bootstrap(values, subjects, statistic, n=n)
    return float(np.mean((low < 0) & (high > 0)))


@pytest.mark.parametrize(
    ("groups", "draw", "least"),
    [(3, "normal", 0.88), (4, "normal", 0.9), (8, "normal", 0.9), (40, "normal", 0.92),
     (3, "skewed", 0.85), (4, "skewed", 0.86), (8, "skewed", 0.86)],
)  # fmt: skip
def test_few_subjects_cover_about_as_often_as_they_promise(groups, draw, least):
    """Plain percentiles of 3, 4 and 8 subjects cover 71, 78 and 87% (skewed 69, 77, 84)."""
    assert least <= coverage(groups, draw, studies=400, n=300) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(
    ("groups", "draw", "stated"),
    [(3, "normal", 0.94), (4, "normal", 0.94), (8, "normal", 0.95),
     (3, "skewed", 0.90), (4, "skewed", 0.90), (8, "skewed", 0.90)],
)  # fmt: skip
def test_the_coverage_is_the_one_stated(groups, draw, stated):
    assert coverage(groups, draw, studies=4000, n=1000) == pytest.approx(stated, abs=0.015)


@pytest.mark.slow
def test_other_statistics_cover_as_well():
    # The median of subjects' windows: symmetric, so that the true one is 0.
    assert 0.88 <= coverage(4, "normal", studies=400, n=300, statistic=np.median) <= 0.99


def test_windows_taken_singly_make_intervals_too_narrow():
    rng = np.random.default_rng(1)
    subjects = np.repeat(np.arange(40), 5)
    values = rng.normal(size=(40, 200))[subjects] + 0.3 * rng.normal(size=(200, 200))
    _, low, high = cluster_bootstrap(values, n=400)
    assert np.mean((low < 0) & (high > 0)) < 0.75


def test_what_is_alike_in_two_ways_is_drawn_in_both():
    """6 seeds x 4 subjects: ways that matter widen the interval; both together cover."""
    rng = np.random.default_rng(3)
    seed, subject = (each.ravel() for each in np.indices((6, 4)))
    values = (
        rng.normal(size=(6, 500))[seed]
        + rng.normal(size=(4, 500))[subject]
        + 0.5 * rng.normal(size=(24, 500))
    )

    def inside(groups: np.ndarray) -> float:
        _, low, high = cluster_bootstrap(values, groups, n=400)
        return float(np.mean((low < 0) & (high > 0)))

    assert inside(np.column_stack([seed, subject])) >= 0.93
    assert inside(seed) < 0.9
    # One way in two columns is one way.
    once = cluster_bootstrap(values, subject, n=50)
    np.testing.assert_allclose(cluster_bootstrap(values, subject[:, None], n=50), once)


def test_an_infinite_limit_stays_infinite():
    values = np.r_[np.ones(5), np.full(3, np.inf)]
    estimate, low, high = cluster_bootstrap(values, statistic=np.median, n=100)
    assert (estimate, low, high) == (1, 1, np.inf)


def test_any_statistic_agrees_with_the_fast_path_of_the_mean():
    rng = np.random.default_rng(2)
    values, groups = rng.normal(size=(30, 3)), rng.integers(0, 7, 30)
    fast = cluster_bootstrap(values, groups, n=200)
    slow = cluster_bootstrap(values, groups, lambda rows, axis: rows.mean(axis), n=200)
    for a, b in zip(fast, slow, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_median_is_a_statistic_too():
    values = np.r_[np.zeros(50), 1e6]
    estimate, low, high = cluster_bootstrap(values, statistic=np.median, n=200)
    assert estimate == low == high == 0


def test_missing_measurements_are_left_out_and_never_count_as_zero():
    values = np.array([[1.0, np.nan], [np.nan, np.nan], [3.0, 5.0]])
    estimate, low, high = cluster_bootstrap(values)
    np.testing.assert_array_equal(estimate, [2.0, 5.0])
    factor = np.sqrt(2) * stats.t.ppf(0.975, 1) / stats.norm.ppf(0.975)
    assert (low[0], high[0]) == pytest.approx((2 - factor, 2 + factor))
    assert np.isnan([low[1], high[1]]).all()


def test_nothing_measured_is_nan():
    interval = cluster_bootstrap([np.nan, np.nan])
    assert all(np.isnan(each) for each in interval)


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_one_subject_gives_no_interval(statistic):
    estimate, low, high = cluster_bootstrap([1.0, 2.0, 3.0], ["s1"] * 3, statistic, n=20)
    assert estimate == 2.0
    assert np.isnan(low)
    assert np.isnan(high)


@given(arrays(float, (8, 2), elements=FLOATS), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_intervals_are_reproducible_ordered_and_move_with_the_values(values, seed):
    groups = np.arange(8) // 2
    first = cluster_bootstrap(values, groups, n=50, seed=seed)
    again = cluster_bootstrap(values, groups, n=50, seed=seed)
    moved = cluster_bootstrap(2 * values + 1, groups, n=50, seed=seed)
    for a, b, c in zip(first, again, moved, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(2 * a + 1, c, atol=1e-9)
    assert (first.low <= first.high).all()


def global_state() -> str:
    """Return numpy's global generator as text: its numbers, and how many of them are used up."""
    state = np.random.get_bit_generator().state["state"]
    return f"{state['key'].tolist()} {state['pos']}"


def test_the_global_generator_is_left_alone():
    before = global_state()
    cluster_bootstrap(np.arange(5.0))
    assert global_state() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"values": []}, r"at least one sample \(got shape \(0,\)\)"),
        ({"values": [1.0], "level": 1.0}, "0 < level < 1"),
        ({"values": [1.0], "n": 0}, "n >= 1"),
        ({"values": [1.0, 2.0], "groups": ["a"]}, "Expected 2 groups"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        cluster_bootstrap(**arguments)


@pytest.mark.parametrize(("kind", "peer"), [("spearman", "spearmanr"), ("kendall", "kendalltau")])
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_rank_correlation_is_scipys(kind, peer, data):
    # Few distinct integers, so that ties are common.
    a, b = (data.draw(arrays(float, (3, 9), elements=st.integers(0, 5))) for _ in "ab")
    got = rank_correlation(a, b, kind)
    for x, y, value in zip(a, b, got, strict=True):
        if np.ptp(x) == 0 or np.ptp(y) == 0:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(getattr(stats, peer)(x, y).statistic, abs=1e-12)


@pytest.mark.parametrize("kind", ["spearman", "kendall"])
def test_rank_correlation_ignores_monotone_scaling_and_refuses_nan(kind):
    a = np.random.default_rng(3).normal(size=(2, 4, 12))
    np.testing.assert_allclose(rank_correlation(a, np.exp(a), kind), np.ones((2, 4)))
    np.testing.assert_allclose(rank_correlation(a, -a, kind), -np.ones((2, 4)))
    a[0, 0, 0] = np.nan
    assert np.isnan(rank_correlation(a, a, kind)).sum() == 1


def test_rank_correlation_names_its_bad_arguments():
    with pytest.raises(ValueError, match="one shape"):
        rank_correlation([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="got 'pearson'"):
        rank_correlation([1.0, 2.0], [1.0, 2.0], "pearson")


def test_one_resample_is_enough_to_run_and_none_is_not():
    estimate, low, high = cluster_bootstrap([1.0, 3.0], n=1)
    assert estimate == 2
    assert low == high
    with pytest.raises(ValueError, match="n 0"):
        cluster_bootstrap([1.0, 3.0], n=0)


def test_an_interval_is_three_columns_of_a_table():
    found = cluster_bootstrap(np.arange(8.0).reshape(4, 2), n=50)
    columns = found.columns("joint")
    assert list(columns) == ["mean", "low", "high"]
    for (dim, column), expected in zip(columns.values(), found, strict=True):
        assert dim == "joint"
        np.testing.assert_array_equal(column, expected)


def test_pairs_are_resampled_by_their_units():
    """Each unit's quality is the mean of its pairs: wider than if pairs were independent."""
    rng = np.random.default_rng(0)
    quality = rng.normal(size=12)
    pairs = quality[:, None] + quality[None]
    found = pair_bootstrap(pairs)
    rows, columns = np.triu_indices(12, 1)
    assert found.estimate == pytest.approx(pairs[rows, columns].mean())
    single = cluster_bootstrap(pairs[rows, columns])
    assert found.high - found.low > 1.5 * (single.high - single.low)
    # the mean over pairs is twice the mean of qualities, whose standard error is known
    error = 2 * quality.std(ddof=1) / np.sqrt(12)
    assert (found.high - found.low) / (2 * 2.201 * error) == pytest.approx(1, abs=0.2)


def test_pairs_of_one_unit_and_unknown_pairs_do_not_count():
    pairs = np.full((3, 3, 2), np.nan)
    pairs[0, 1] = pairs[1, 0] = [1, np.nan]
    pairs[0, 2] = pairs[2, 0] = [4, 4]
    pairs[[0, 1, 2], [0, 1, 2]] = 99
    assert pair_bootstrap(pairs).estimate == pytest.approx(3)
    assert np.isnan(pair_bootstrap(np.ones((2, 2))).low)
    with pytest.raises(ValueError, match="Expected values of pairs of units"):
        pair_bootstrap(np.ones((2, 3)))
