"""Groups of windows, such as a class, the wrong answers or a subject, and their mean bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hargcn.analysis.asked import class_name
from hargcn.analysis.edges import of_edges
from hargcn.analysis.features import feature_scores
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.explanation import Explanation

_RESAMPLES = 300  # an interval for every joint, group and method


def groups(explanations: Mapping[str, Explanation]) -> dict[str, Any] | None:
    """Return the mean attribution of every joint in groups of the windows.

    Parameters
    ----------
    explanations
        By name, of the same windows.

    Returns
    -------
    dict or None
        `names` and `counts` of the groups and, by the number of the method, `means`: of every group
        the mean over its windows of each joint's sum, with the `low` and `high` ends of its 95%
        interval (by subject where these are known; None where it has none); None of edges alone,
        and where all windows are one group.
    """
    named = _members(next(iter(explanations.values())))
    shown = {i: each for i, each in enumerate(explanations.values()) if not of_edges(each)}
    if len(named) < 2 or not shown:
        return None
    return {
        "names": list(named),
        "counts": [int(rows.sum()) for rows in named.values()],
        "means": {i: [_mean(each, rows) for rows in named.values()] for i, each in shown.items()},
    }


def _members(first: Explanation) -> dict[str, np.ndarray]:
    """Return (sample,) masks of the groups by name, without those that hold nobody."""
    found = {"all windows": np.ones(len(first), bool)}
    stored = {
        name: first.dataset[name].to_numpy()
        for name in ("label", "predicted", "group")
        if name in first.dataset
    }
    for key, said in (("label", "true class"), ("predicted", "predicted")):
        for number in np.unique(stored.get(key, np.array([], int))):
            if number >= 0:
                found[f"{said}: {class_name(first, int(number))}"] = stored[key] == number
    if {"label", "predicted"} <= set(stored):
        known = stored["label"] >= 0
        right = stored["label"] == stored["predicted"]
        found["right answers"], found["wrong answers"] = known & right, known & ~right
    for subject in np.unique(stored.get("group", np.array([], str)).astype(str)):
        found[f"subject {subject}"] = stored["group"].astype(str) == subject
    # A group of everybody is there once, under the first name.
    return {n: rows for n, rows in found.items() if n == "all windows" or 0 < rows.mean() < 1}


def _mean(explanation: Explanation, rows: np.ndarray) -> dict[str, list[float | None]]:
    scores = feature_scores(explanation, "joint").to_numpy()[rows]
    own = None
    if "group" in explanation.dataset:
        own = explanation.dataset["group"].to_numpy()[rows]
    found = cluster_bootstrap(scores, own, n=_RESAMPLES)
    return {
        name: [float(f"{value:.3g}") if np.isfinite(value) else None for value in ends]
        for name, ends in zip(("mean", "low", "high"), found, strict=True)
    }
