"""Tables of shares: how much of the attribution lies on each branch, joint or other feature."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hargcn.analysis.asked import class_name
from hargcn.analysis.features import FEATURES, by_feature, feature_scores
from hargcn.analysis.ranking import sample_groups
from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import one_of, writable
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.pipeline.opening import open_explanations


def shares_by(
    explanations: Sequence[str | Path], out: str | Path, *, by: str = "branch", seed: int = 1234
) -> pd.DataFrame:
    """Measure which share of a window's attribution lies on each branch, joint or other feature.

    Parameters
    ----------
    explanations
        Explanation files.
    out
        The table to write (.csv).
    by
        One of `analysis.features.FEATURES`.
    seed
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        A row per `method`, `class` ("all" and every explained one) and `feature`: `share` of the
        sum of |attribution| over cells, mean over the windows, and `signed`, the sum of signed
        attributions over windows as a share of the sum over all features; each with its 95%
        interval, clustered by subject (`_low`, `_high`); `n`, windows.

    Raises
    ------
    ValueError
        For explanations without the feature.
    """
    one_of("by", by, FEATURES)
    out = writable(out, *explanations, suffix=".csv")
    named = open_explanations(explanations)
    rows = [row for name, each in named.items() for row in _shares(name, each, by, seed)]
    table = pd.DataFrame(rows)
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def _shares(name: str, explanation: Explanation, by: str, seed: int) -> Iterator[dict[str, Any]]:
    signed = feature_scores(explanation, by)
    sizes = by_feature(abs(explanation.values), explanation, by).to_numpy()
    shares = sizes / sizes.sum(1, keepdims=True)
    groups, target = sample_groups(explanation), explanation.target.to_numpy()
    classes = {"all": np.ones(len(target), bool)}
    classes |= {class_name(explanation, int(each)): target == each for each in np.unique(target)}
    for said, chosen in classes.items():
        who = None if groups is None else groups[chosen]
        own = cluster_bootstrap(shares[chosen], who, seed=seed)
        net = cluster_bootstrap(signed.to_numpy()[chosen], who, _of_all, seed=seed)
        for number, feature in enumerate(signed[by].to_numpy()):
            figures = {
                word + end: limits[number]
                for word, found in (("share", own), ("signed", net))
                for end, limits in zip(("", "_low", "_high"), found, strict=True)
            }
            about = {"method": name, "class": said, "feature": str(feature)}
            yield about | figures | {"n": int(chosen.sum())}


def _of_all(rows: np.ndarray, axis: int) -> np.ndarray:
    """Return the sums of features (sample, feature) as shares of the sum of everything."""
    return rows.sum(axis) / rows.sum()
