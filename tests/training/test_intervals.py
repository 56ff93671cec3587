"""Intervals of figures: the figures themselves, resamples by hand, and how often they hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.training.classification import classification
from hargcn.training.intervals import FIGURES, clopper_pearson, intervals, limits


def guesses(
    seed: int, n: int = 60, classes: int = 2, groups: int = 6
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities with ties, and groups."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    p = rng.integers(1, 9, (n, classes)).astype(float)
    p[np.arange(n), labels] += 2
    return labels, p / p.sum(axis=1, keepdims=True), rng.integers(0, groups, n)


def plain(labels: np.ndarray, p: np.ndarray) -> dict[str, float]:
    found = classification(labels, p, [str(i) for i in range(p.shape[1])])
    return {name: np.nan if found[name] is None else found[name] for name in FIGURES}


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 5), n=st.integers(1, 30))
def test_estimates_are_the_figures_of_the_classification(seed: int, classes: int, n: int) -> None:
    labels, p, groups = guesses(seed, n, classes)
    found = intervals(labels, p.argmax(axis=1), p, groups)
    for name, value in plain(labels, p).items():
        assert float(found[name].estimate) == pytest.approx(value, nan_ok=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_limits_are_those_of_drawing_the_rows_themselves(classes: int) -> None:
    """The sums by group stand for rows: the same draws of rows give the same limits."""
    labels, p, groups = guesses(3, classes=classes)

    def rows(values: np.ndarray, axis: int) -> np.ndarray:
        assert axis == 0
        return np.array(list(plain(values[:, 0].astype(int), values[:, 1:]).values()))

    expected = cluster_bootstrap(np.column_stack([labels, p]), groups, rows, 100)
    found = intervals(labels, p.argmax(axis=1), p, groups, n=100)
    for i, name in enumerate(FIGURES):
        assert float(found[name].low) == pytest.approx(expected.low[i])
        assert float(found[name].high) == pytest.approx(expected.high[i])


def test_a_share_has_no_limit_that_no_share_can_be() -> None:
    """Widened for four subjects, the limits of 0.95 would lie beyond 1."""
    groups = np.repeat(np.arange(4), 20)
    labels = np.tile([0, 1], 40)
    predicted = np.where(np.isin(np.arange(80), [0, 1, 2, 20]), 1 - labels, labels)
    p = np.where(predicted[:, None] == [0, 1], 0.9, 0.1)
    for each in intervals(labels, predicted, p, groups).values():
        assert 0 <= each.low <= each.estimate <= each.high == 1


def test_windows_of_alike_subjects_do_not_narrow_an_interval() -> None:
    labels, p, groups = guesses(5)
    once = intervals(labels, p.argmax(axis=1), p, groups)
    often = intervals(*(np.tile(each, 4) for each in (labels, p.argmax(axis=1))),
                      np.tile(p, (4, 1)), np.tile(groups, 4))  # fmt: skip
    assert limits(often)["roc_auc"] == pytest.approx(limits(once)["roc_auc"])


def test_very_many_groups_are_drawn_in_bundles_and_give_the_same_width() -> None:
    labels, p, _ = guesses(4, n=3000)
    groups = np.arange(3000) // 2
    found = limits(intervals(labels, p.argmax(axis=1), p, groups))["accuracy"]
    single = cluster_bootstrap(p.argmax(axis=1) == labels, groups)
    assert np.ptp(found) == pytest.approx(single.high - single.low, rel=0.2)
    assert np.mean(found) == pytest.approx(float(single.estimate), abs=0.003)


def test_over_folds_the_figures_are_means_of_those_of_the_folds() -> None:
    labels, p, groups = guesses(11, n=90)
    folds = groups % 3
    p = p * np.where(folds == 0, 0.2, 1)[:, None] ** np.array([0, 1])  # a network of its own scale
    p = p / p.sum(axis=1, keepdims=True)
    found = intervals(labels, p.argmax(axis=1), p, groups, folds)
    each = [plain(labels[folds == f], p[folds == f]) for f in range(3)]
    for name in FIGURES:
        assert float(found[name].estimate) == pytest.approx(np.mean([e[name] for e in each]))
        assert found[name].low < found[name].estimate < found[name].high
    pooled = intervals(labels, p.argmax(axis=1), p, groups)
    assert pooled["roc_auc"].estimate < found["roc_auc"].estimate


def test_a_fold_without_a_class_has_no_auc_and_is_left_out_of_the_mean() -> None:
    labels, p, _ = guesses(2, n=40)
    folds = np.where(np.arange(40) < 20, 0, 1)
    labels[folds == 1] = 1
    found = intervals(labels, p.argmax(axis=1), p, np.arange(40) // 2, folds)
    expected = plain(labels[:20], p[:20])["roc_auc"]
    assert float(found["roc_auc"].estimate) == pytest.approx(expected)


def test_what_is_undefined_has_no_interval() -> None:
    labels, p, groups = np.ones(8, int), np.full((8, 2), 0.5), np.arange(8)
    found = limits(intervals(labels, p.argmax(axis=1), p, groups))
    assert found == {"accuracy": [0, 0], "balanced_accuracy": [0, 0], "roc_auc": None}


@pytest.mark.slow
def test_intervals_hold_as_often_as_they_say() -> None:
    """Subjects differ in how well they are classified; the truth is that of very many."""

    def drawn(seed: int, subjects: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rng = np.random.default_rng(seed)
        labels = np.tile([0, 1, 0, 1, 0, 1], subjects)
        shift = np.repeat(rng.normal(1, 0.7, subjects), 6) * (2 * labels - 1)
        one = 1 / (1 + np.exp(-(shift + rng.normal(0, 1, len(labels)))))
        return labels, np.stack([1 - one, one], axis=1), np.repeat(np.arange(subjects), 6)

    many = drawn(0, 4000)
    truth = plain(*many[:2])
    held = []
    for seed in range(1, 201):
        labels, p, groups = drawn(seed, 12)
        found = limits(intervals(labels, p.argmax(axis=1), p, groups))
        held.append([found[name][0] <= truth[name] <= found[name][1] for name in FIGURES])
    covered = dict(zip(FIGURES, np.mean(held, axis=0), strict=True))
    assert all(0.9 <= share <= 0.99 for share in covered.values()), covered


def test_exact_intervals_are_those_of_the_beta_distribution():
    """Clopper and Pearson 1934; 0 of n has its upper limit at 1 - (0.025)^(1/n)."""
    found = clopper_pearson(np.array([[4, 2], [0, 3]]))
    for name, (k, n) in {
        "accuracy": (7, 9), "sensitivity": (3, 3), "specificity": (4, 6), "ppv": (3, 5),
        "npv": (4, 4),
    }.items():  # fmt: skip
        high = beta.ppf(0.975, k + 1, n - k) if k < n else 1
        assert found[name] == pytest.approx([beta.ppf(0.025, k, n - k + 1), high])
    none = clopper_pearson(np.array([[0, 0], [5, 0]]))
    assert none["sensitivity"] == pytest.approx([0, 1 - 0.025 ** (1 / 5)])
    assert none["specificity"] is none["ppv"] is None
    assert list(clopper_pearson(np.eye(3, dtype=int))) == ["accuracy"]
