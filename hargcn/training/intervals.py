"""Intervals of a classification's figures, by resampling of whole subjects, and exact ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import binomtest

from hargcn.analysis.statistics import Interval, cluster_bootstrap

FIGURES = ("accuracy", "balanced_accuracy", "roc_auc")
"""The figures that get an interval."""

_MOST = 200  # groups that are resampled one by one; of more, time and memory would be out of hand


@dataclass(frozen=True, eq=False)
class _Sums:
    """What the figures are sums of, by group: a resample only weighs the groups.

    Parameters
    ----------
    support, found
        (G, classes) rows of each class, and those of them that were predicted.
    wins
        (classes, G, G) pairs of a row of the class in one group and another class's row in another
        where the first has the higher probability of the class; ties count half.
    """

    support: np.ndarray
    found: np.ndarray
    wins: np.ndarray

    @classmethod
    def of(
        cls, labels: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, group: np.ndarray
    ) -> _Sums:
        count, k = group.max() + 1, probabilities.shape[1]
        support, found = np.zeros((count, k)), np.zeros((count, k))
        np.add.at(support, (group, labels), 1)
        np.add.at(found, (group, labels), predicted == labels)
        # Of two classes the second is the positive one.
        wins = [_wins(labels == i, probabilities[:, i], group) for i in range(k == 2, k)]
        return cls(support, found, np.stack(wins))

    def figures(self, drawn: np.ndarray) -> np.ndarray:
        """Return the figures (3,), each group counted as often as drawn (G,)."""
        support = drawn @ self.support
        positive = support[-len(self.wins) :]
        with np.errstate(invalid="ignore", divide="ignore"):
            recall = drawn @ self.found / support
            auc = (self.wins @ drawn) @ drawn / (positive * (support.sum() - positive))
            accuracy = (drawn @ self.found).sum() / support.sum()
        return np.array([accuracy, mean_defined(recall), mean_defined(auc)])


def intervals(
    labels: np.ndarray,
    predicted: np.ndarray,
    probabilities: np.ndarray,
    groups: np.ndarray,
    folds: np.ndarray | None = None,
    n: int = 1000,
    seed: int = 1234,
) -> dict[str, Interval]:
    """Return accuracy, balanced accuracy and ROC-AUC with 95% intervals clustered by group.

    Parameters
    ----------
    labels, predicted
        (N,) int.
    probabilities
        (N, classes).
    groups
        (N,) the subject of each row.
    folds
        (N,) which fold of a cross-fitting each row is of: the figures are means over the folds in
        which they are defined, and a fold counts as often as its subjects are drawn. Without it the
        figures are those of all rows at once.
    n, seed
        Number of resamples, and their seed.

    Returns
    -------
    dict
        By figure, as `classification` defines it; NaN where it is undefined. See
        `analysis.statistics.cluster_bootstrap`: of one group there is no interval. More than 200
        groups are put together at random into 200, which are drawn instead.
    """
    group = np.unique(groups, return_inverse=True)[1]
    if group.max() >= _MOST:
        group = np.random.default_rng(seed).permutation(group.max() + 1)[group] % _MOST
    parts = []
    for fold in np.unique(np.zeros(len(labels)) if folds is None else folds):
        own = np.full(len(labels), True) if folds is None else folds == fold
        members, inside = np.unique(group[own], return_inverse=True)
        parts.append((members, _Sums.of(labels[own], predicted[own], probabilities[own], inside)))

    def figures(drawn: np.ndarray) -> np.ndarray:
        weights = np.array([drawn[members].mean() for members, _ in parts])
        found = np.stack([sums.figures(drawn[members]) for members, sums in parts])
        known = np.isfinite(found) * weights[:, None]
        with np.errstate(invalid="ignore"):
            return np.where(known > 0, found, 0).T @ weights / known.sum(axis=0)

    count = group.max() + 1
    defined = np.isfinite(figures(np.ones(count)))

    def statistic(rows: np.ndarray, *, axis: int) -> np.ndarray:
        del axis  # cluster_bootstrap asks for the only one that rows have
        return figures(np.bincount(rows.astype(int), minlength=count))[defined]

    found = np.full((3, len(FIGURES)), np.nan)
    limited = cluster_bootstrap(np.arange(count), None, statistic, n, seed=seed)
    # Limits that are widened for few groups may lie where no share can be.
    found[:, defined] = np.clip(np.stack(limited), 0, 1)
    return {name: Interval(*found[:, i]) for i, name in enumerate(FIGURES)}


def clopper_pearson(confusion: np.ndarray) -> dict[str, Any]:
    """Return exact 95% intervals [low, high] (Clopper and Pearson 1934) of what is a share.

    They hold for rows that are independent, such as recordings of one subject each.

    Parameters
    ----------
    confusion
        (classes, classes) counts, rows: true. The second of two classes is the positive one.

    Returns
    -------
    dict
        Of `accuracy`; with two classes of `sensitivity`, `specificity`, `ppv` and `npv` too. None
        where a share is of nothing.
    """
    shares = {"accuracy": (np.trace(confusion), confusion.sum())}
    if len(confusion) == 2:
        (tn, fp), (fn, tp) = confusion
        shares |= {
            "sensitivity": (tp, tp + fn), "specificity": (tn, tn + fp),
            "ppv": (tp, tp + fp), "npv": (tn, tn + fn),
        }  # fmt: skip
    return {
        name: list(binomtest(int(k), int(n)).proportion_ci(method="exact")) if n else None
        for name, (k, n) in shares.items()
    }


def limits(found: dict[str, Interval]) -> dict[str, Any]:
    """Return [low, high] by figure; None where there is no interval."""
    return {
        name: [float(each.low), float(each.high)] if np.isfinite(each.low) else None
        for name, each in found.items()
    }


def mean_defined(values: np.ndarray) -> float:
    """Return the mean of what is finite, NaN where nothing is."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if len(defined) else np.nan


def _wins(positive: np.ndarray, score: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return (G, G) how many pairs of a positive and a negative row are in the right order."""
    count = group.max() + 1
    wins = np.zeros((count, count))
    for other in range(count):
        rest = np.sort(score[~positive & (group == other)])
        own = score[positive]
        below = (np.searchsorted(rest, own, "left") + np.searchsorted(rest, own, "right")) / 2
        wins[:, other] = np.bincount(group[positive], below, count)
    return wins
