"""Which joints, or other features, matter most: orders, top sets, how steady a ranking is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike

from hargcn.analysis.edges import edge_scores, of_edges
from hargcn.analysis.features import feature_scores, feature_shares
from hargcn.analysis.grid import same_samples
from hargcn.analysis.observed import Cells
from hargcn.analysis.statistics import cluster_bootstrap, rank_correlation
from hargcn.explanation import Explanation
from hargcn.files import replacing

Order = Literal["signed", "magnitude"]


def ordering(scores: ArrayLike, by: Order = "signed") -> np.ndarray:
    """Order joints from the most to the least important.

    Parameters
    ----------
    scores
        (..., joint) attributions.
    by
        "signed": largest value first, so that evidence against the class comes last;
        "magnitude": largest absolute value first.

    Returns
    -------
    numpy.ndarray
        (..., joint) joint indices; of equal scores the earlier joint goes first, NaN goes last.
    """
    scores = np.asarray(scores, dtype=float)
    if by not in ("signed", "magnitude"):
        raise ValueError(f"Expected an order 'signed' or 'magnitude' (got {by!r})")
    return np.argsort(-(np.abs(scores) if by == "magnitude" else scores), axis=-1, kind="stable")


def common_order(orders: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Order features by their mean rank over several orders, the smallest first.

    Parameters
    ----------
    orders
        The same features, each time from the most to the least important; of equal means the one
        that the first order puts first goes first.
    """
    ranks = [{name: rank for rank, name in enumerate(order)} for order in orders]
    return tuple(sorted(orders[0], key=lambda name: sum(each[name] for each in ranks)))


def top_k_overlap(a: ArrayLike, b: ArrayLike, k: int, by: Order = "signed") -> np.ndarray:
    """Return the share of the k most important joints that two score arrays have in common.

    Parameters
    ----------
    a, b
        (..., joint) scores.
    k
        Size of the sets, 1 to the number of joints. Chance is k / joints.

    Returns
    -------
    numpy.ndarray
        (...) shares in [0, 1].
    """
    return (_top(a, k, by) & _top(b, k, by)).sum(axis=-1) / k


def _top(scores: ArrayLike, k: int, by: Order) -> np.ndarray:
    """Return (..., joint) bool: the k most important joints."""
    order = ordering(scores, by)
    if not 1 <= k <= order.shape[-1]:
        raise ValueError(f"Expected k from 1 to {order.shape[-1]} joints (got {k})")
    return np.argsort(order, axis=-1) < k


@dataclass(frozen=True, eq=False)
class Ranking:
    """The joints, or other features, of some samples by importance.

    Parameters
    ----------
    scores
        (sample, feature) signed attributions; the second axis is called like the feature.
    by
        What is important: the largest value ("signed") or the largest magnitude.
    name
        Where the scores come from, for tables and pictures.
    seen
        (feature,) share of the cells that was seen, where only these count: a feature without a
        score was never seen in a window.
    """

    scores: xr.DataArray
    by: Order = "signed"
    name: str = ""
    seen: xr.DataArray | None = None

    @classmethod
    def of(
        cls,
        explanation: Explanation,
        by: Order = "signed",
        cells: Cells = "all",
        feature: str = "joint",
    ) -> Ranking:
        """Rank the features of an explanation by their sums, or by means over observed cells.

        See `analysis.features.feature_scores`, which says what is refused. Of an explanation of
        edges these take the joints' place, by their sums over graphs.
        """
        if of_edges(explanation):
            if (feature, cells) != ("joint", "all"):
                raise ValueError(
                    f"Expected joints to rank by {feature}, {cells} cells (got "
                    f"{explanation.name!r} of edges)"
                )
            return cls(edge_scores(explanation), by, explanation.name)
        scores = feature_scores(explanation, feature, cells)
        if cells == "all":
            return cls(scores, by, explanation.name)
        seen = feature_shares(explanation, feature).to_numpy()
        return cls(scores, by, explanation.name, scores[0].drop_vars("sample").copy(data=seen))

    @property
    def feature(self) -> str:
        """What is ranked: the name of the scores' second axis."""
        return str(self.scores.dims[1])

    @property
    def order(self) -> np.ndarray:
        """(sample, feature) indices, the most important first."""
        return ordering(self.scores, self.by)

    @property
    def ranks(self) -> xr.DataArray:
        """(sample, feature) ranks; 1 is the most important, ties share their mean."""
        from scipy.stats import rankdata

        scores = abs(self.scores) if self.by == "magnitude" else self.scores
        return self.scores.copy(data=rankdata(-scores, axis=1, nan_policy="omit"))

    @property
    def features(self) -> tuple[str, ...]:
        """Names by the median over the samples, the most important first."""
        order = ordering(_quantiles(self.scores, 0.5)[0], self.by)
        return tuple(str(each) for each in self.scores[self.feature].to_numpy()[order])

    @property
    def medians(self) -> np.ndarray:
        """(feature,) median scores in the order of `features`."""
        return _quantiles(self.scores.sel({self.feature: list(self.features)}), 0.5)[0]

    def sizes(self, groups: ArrayLike | None = None, n: int = 1000, seed: int = 1234) -> xr.Dataset:
        """Return the mean magnitude of each feature's score, (feature,), as `mean`, `low`, `high`.

        Parameters
        ----------
        groups
            (sample,) subjects, by which the 95% interval is clustered; NaN limits of fewer than
            two.
        n, seed
            Resamples of the bootstrap and its seed.
        """
        found = cluster_bootstrap(abs(self.scores), groups, n=n, seed=seed)
        names = {self.feature: self.scores[self.feature].to_numpy()}
        return xr.Dataset(found.columns(self.feature), names)

    @property
    def largest(self) -> tuple[str, ...]:
        """Names by the mean magnitude over the samples, the largest first."""
        order = ordering(abs(self.scores).mean("sample"))
        return tuple(str(each) for each in self.scores[self.feature].to_numpy()[order])

    def top(self, k: int) -> xr.DataArray:
        """Return (sample, feature) bool: whether it is among the sample's k most important."""
        return self.scores.copy(data=_top(self.scores, k, self.by))

    def summary(
        self, groups: ArrayLike | None = None, n: int = 1000, seed: int = 1234
    ) -> xr.Dataset:
        """Describe every feature over the samples.

        Parameters
        ----------
        groups
            (sample,) subjects, for the interval of the mean.
        n, seed
            Resamples of the bootstrap and its seed.

        Returns
        -------
        xarray.Dataset
            Over (feature,), the most important first: `median`, `q1`, `q3`, `mean` with its 95%
            interval `mean_low`, `mean_high`, and `rank`, the mean rank over the samples; `seen`
            where only observed cells count.
        """
        q1, median, q3 = _quantiles(self.scores, 0.25, 0.5, 0.75)
        mean, low, high = cluster_bootstrap(self.scores, groups, n=n, seed=seed)
        columns = {"median": median, "q1": q1, "q3": q3}
        columns |= {"mean": mean, "mean_low": low, "mean_high": high}
        columns["rank"] = self.ranks.mean("sample").to_numpy()
        if self.seen is not None:
            columns["seen"] = self.seen.to_numpy()
        table = xr.Dataset(
            {name: (self.feature, column) for name, column in columns.items()},
            {self.feature: self.scores[self.feature].to_numpy()},
            {"name": self.name, "by": self.by, "n": self.scores.sizes["sample"]},
        )
        return table.sel({self.feature: list(self.features)})


def _quantiles(scores: xr.DataArray, *shares: float) -> np.ndarray:
    """Return (share, feature) quantiles over the samples in which a feature has a score."""
    columns = [column[np.isfinite(column)] for column in scores.transpose(..., "sample").to_numpy()]
    unknown = np.full(len(shares), np.nan)
    return np.stack([np.quantile(c, shares) if len(c) else unknown for c in columns], axis=1)


def convergence(
    explanations: Mapping[int, Explanation],
    groups: ArrayLike | None = None,
    n: int = 1000,
    seed: int = 1234,
) -> xr.Dataset:
    """Compare the joint ranking at growing background sizes with that of the largest.

    Parameters
    ----------
    explanations
        By background size; of the same samples.

    Returns
    -------
    xarray.Dataset
        Over (background,), ascending: the Spearman correlation of the joint scores with those of
        the largest background, as `mean` with its 95% interval `low`, `high`; `rho`
        (background, sample) holds the single values.
    """
    sizes = sorted(explanations)
    full = explanations[sizes[-1]]
    full.expect_axes("convergence")
    for size in sizes:
        same_samples(f"background {size}", explanations[size], full)
    reference = full.joint_scores()
    rho = [rank_correlation(explanations[size].joint_scores(), reference) for size in sizes]
    found = cluster_bootstrap(np.stack(rho, 1), sample_groups(full, groups), n=n, seed=seed)
    return xr.Dataset(
        {**found.columns("background"), "rho": (("background", "sample"), np.stack(rho))},
        {"background": sizes, "sample": full.values["sample"].to_numpy()},
        {"name": full.title},
    )


def write_csv(table: xr.Dataset, path: str | Path) -> None:
    """Write a result's summary (everything without an axis "sample") as CSV, a row per entry."""
    frame = table.drop_dims("sample", errors="ignore").to_dataframe().reset_index()
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g")


def write_rankings(
    rows: Sequence[Mapping[str, Explanation]],
    classes: Sequence[str],
    feature: str,
    cells: Cells,
    path: str | Path,
) -> None:
    """Write what `Ranking.summary` says of every explanation of every class as CSV.

    Parameters
    ----------
    rows
        For each class explanations by name; a single row where classes are not told apart.
    classes
        Their names; "" is written where there are none.
    feature, cells
        As of `Ranking.of`.
    path
        The table to write; intervals are of resampled subjects, where they are stored.
    """
    tables = []
    for i, row in enumerate(rows):
        for name, each in row.items():
            found = Ranking.of(each, cells=cells, feature=feature).summary(sample_groups(each))
            frame = found.to_dataframe().reset_index().assign(n=found.attrs["n"])
            about = {"class": classes[i] if classes else "", "method": name}
            tables.append(pd.concat([pd.DataFrame(about, index=frame.index), frame], axis=1))
    with replacing(path) as temporary:
        pd.concat(tables).to_csv(temporary, index=False, float_format="%.6g")


def sample_groups(explanation: Explanation, groups: ArrayLike | None = None) -> np.ndarray | None:
    """Return the given subjects, else those stored as variable `group`, else none."""
    if groups is None and "group" in explanation.dataset:
        return explanation.dataset["group"].to_numpy()
    return None if groups is None else np.asarray(groups)
