"""What a page says of all windows together: tables of what was explained, and how well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hargcn.analysis.agreement import agreement
from hargcn.analysis.asked import asked_name, class_name
from hargcn.analysis.edges import of_edges
from hargcn.analysis.ranking import Ranking, sample_groups
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.explanation import Explanation, titles

_TOP = 5
_MEASURES = {
    "spearman": "Rank correlation over all cells (1: the same order, 0: none)",
    "overlap": "Shared part of the {k} most important joints (chance {chance:.2f})",
}


class Bar(NamedTuple):
    """A joint's mean attribution by one method.

    Parameters
    ----------
    text
        The mean with its interval.
    rank
        The mean rank over the windows.
    left, width
        Of a bar from zero on, in percent of a scale on which zero is at 50.
    against
        Whether the mean is negative.
    """

    text: str
    rank: str
    left: float
    width: float
    against: bool


def said(explanations: Mapping[str, Explanation]) -> dict[str, Any]:
    """Return the tables of an overview by name, ready for the template.

    Joints are ranked of explanations that have them, and those compared that answer one question.

    Parameters
    ----------
    explanations
        By name, of the same windows and skeleton.
    """
    joints = {name: each for name, each in explanations.items() if not of_edges(each)}
    return {
        "methods": _methods(explanations),
        "right": _right(next(iter(explanations.values()))),
        "confusion": confusion(next(iter(explanations.values()))),
        "ranked": list(titles(joints).values()),
        "ranking": ranking(joints) if joints else [],
        "agreement": _agreement(_alike(joints)),
    }


def _methods(explanations: Mapping[str, Explanation]) -> list[dict[str, str]]:
    return [
        {
            "title": title,
            "layer": each.layer or "input",
            "asked": asked_name(each),
            "score": each.utility,
            "promise": promise(each),
            "held": how_kept(each),
        }
        for title, each in zip(titles(explanations).values(), explanations.values(), strict=True)
    ]


def promise(explanation: Explanation) -> str:
    """Say what the values of an explanation add up to, as far as it stores a promise."""
    if "base_value" in explanation.dataset or "additivity_gap" in explanation.dataset:
        return "values and base value add up to the score"
    return "no sum: values compare within a window"


def how_kept(explanation: Explanation) -> str:
    """Say how far an explanation kept its promise: its gaps and its standard errors."""
    found = []
    for name, what in (("additivity_gap", "gap"), ("relative_gap", "relative gap")):
        if name in explanation.dataset:
            sizes = np.abs(explanation.dataset[name].to_numpy())
            known = sizes[np.isfinite(sizes)]
            if len(known):
                found.append(f"{what} {np.median(known):.2g} (median), {known.max():.2g} (largest)")
    if "sum_standard_error" in explanation.dataset:
        error = float(np.nanmedian(explanation.dataset["sum_standard_error"].to_numpy()))
        found.append(f"standard error of the sum {error:.2g} (median)")
    return "; ".join(found) or "nothing stored"


def _right(explanation: Explanation) -> str:
    """Say which share of the windows was classified right, with its interval by subject."""
    known = _labelled(explanation)
    if known is None or not len(known[0]):
        return ""
    true, predicted, chosen = known
    groups = sample_groups(explanation)
    own = None if groups is None else groups[chosen]
    share, low, high = map(float, cluster_bootstrap((true == predicted).astype(float), own))
    of = f"{int((true == predicted).sum())} of {len(true)} windows ({share:.1%}"
    if not np.isfinite([low, high]).all():
        return f"{of})"
    who = "windows" if own is None else "subjects"
    return f"{of}; 95% interval {max(low, 0):.1%} to {min(high, 1):.1%}, of resampled {who})"


def _labelled(explanation: Explanation) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return true and predicted classes of the windows whose true class is known, and which."""
    if not {"label", "predicted"} <= set(explanation.dataset):
        return None
    true = explanation.label.to_numpy()
    chosen = true >= 0
    return true[chosen], explanation.predicted.to_numpy()[chosen], chosen


def confusion(explanation: Explanation) -> dict[str, Any] | None:
    """Count windows by true and predicted class, of the classes that occur.

    Returns
    -------
    dict or None
        `numbers` and `names` of the classes and `counts` (true, predicted); None where no true
        class is stored.
    """
    known = _labelled(explanation)
    if known is None or not len(known[0]):
        return None
    true, predicted, _ = known
    numbers = np.union1d(true, predicted)
    counts = np.zeros((len(numbers), len(numbers)), int)
    np.add.at(counts, (np.searchsorted(numbers, true), np.searchsorted(numbers, predicted)), 1)
    return {
        "numbers": numbers.tolist(),
        "names": [class_name(explanation, int(number)) for number in numbers],
        "counts": counts.tolist(),
    }


def ranking(explanations: Mapping[str, Explanation]) -> list[tuple[str, list[Bar]]]:
    """Rank the joints by every explanation, side by side, the best mean rank over all first."""
    tables = [
        Ranking.of(each).summary(sample_groups(each)).to_dataframe()
        for each in explanations.values()
    ]
    ranks = sum(table["rank"] for table in tables)
    joints = ranks.sort_values(kind="stable").index
    tables = [table.loc[joints] for table in tables]
    limits = [float(table["mean"].abs().max()) or 1.0 for table in tables]
    return [
        (str(joint), [_bar(table.loc[joint], m) for table, m in zip(tables, limits, strict=True)])
        for joint in joints
    ]


def _bar(row: Any, limit: float) -> Bar:
    mean, width = float(row["mean"]), 50 * abs(float(row["mean"])) / limit
    text = f"{mean:+.2g}"
    if np.isfinite([row["mean_low"], row["mean_high"]]).all():
        text += f" [{row['mean_low']:+.2g}, {row['mean_high']:+.2g}]"
    left = 50 - width if mean < 0 else 50.0
    return Bar(text, f"{row['rank']:.1f}", round(left, 2), round(width, 2), mean < 0)


def _alike(explanations: Mapping[str, Explanation]) -> dict[str, Explanation]:
    """Return those that explain the same classes as the first."""
    asked = [each.asked for each in explanations.values()]
    return {
        name: each
        for (name, each), own in zip(explanations.items(), asked, strict=True)
        if np.array_equal(own, asked[0])
    }


def _agreement(explanations: Mapping[str, Explanation]) -> list[dict[str, Any]]:
    """Return a table of pairs for each measure; none of a single explanation."""
    if len(explanations) < 2:
        return []
    joints = next(iter(explanations.values())).values.sizes["joint"]
    k = min(_TOP, joints)
    found = agreement(explanations, ("spearman", "overlap"), k=k).sel({"class": "all"})
    names = list(titles(explanations).values())
    return [
        {
            "caption": caption.format(k=k, chance=k / joints),
            "names": names,
            "rows": [
                [
                    "" if i == j else f"{found[measure].to_numpy()[i, j]:.2f}"
                    for j in range(len(names))
                ]
                for i in range(len(names))
            ],
        }
        for measure, caption in _MEASURES.items()
    ]
