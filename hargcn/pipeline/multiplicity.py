"""Equally good networks, explained alike or not: beside differences of windows and classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hargcn.analysis.asked import class_name
from hargcn.analysis.features import by_feature, joint_names
from hargcn.analysis.ranking import ordering, sample_groups, top_k_overlap
from hargcn.analysis.statistics import (
    Interval,
    cluster_bootstrap,
    pair_bootstrap,
    rank_correlation,
)
from hargcn.checks import writable
from hargcn.explanation import Explanation
from hargcn.files import replacing
from hargcn.pipeline.opening import open_explanations
from hargcn.pipeline.parts import Parts
from hargcn.plots import plot_mean_ranks, save_figure

_BETWEEN = ("networks", "windows of a class", "windows of other classes")


def multiplicity(
    parts: Parts,
    out: str | Path,
    *,
    files: Sequence[str] = ("shap.h5", "gradcam.h5"),
    top: int = 5,
    classes: Sequence[str] = (),
    seed: int = 1234,
    dpi: int = 110,
) -> pd.DataFrame:
    """Compare the explanations of networks that differ by their training's seed alone.

    Only windows count that the network, or both of a pair, recognise: they explain the same, right
    class.

    Parameters
    ----------
    parts
        Folders by case and seed.
    files
        Explanation files in each of them, of the same windows and their predicted classes.
    out
        The table to write (.csv). Beside it lie `.joints.csv`: by joint its share of a window's
        sum of |joint score|, averaged over the windows of a class, with the standard deviations
        `over_networks` (mean over classes) and `over_classes` (mean over networks); `.ranks.csv`:
        by class and joint the mean rank over windows (1 is the most important), its mean over
        networks with its 95% interval over networks, and the share of networks that rank it first;
        and a picture of these (.png).
    top
        Size of the sets of most important joints.
    classes
        Whose ranks are drawn, by default all that were explained.
    seed
        Of the intervals.
    dpi
        Dots per inch of the picture.

    Returns
    -------
    pandas.DataFrame
        A row per `case`, `method`, `between` and `figure`. Between "networks": the same window,
        explained by two of them; "windows of a class" and "windows of other classes": of one
        network. Spearman correlations of scores of joints and of cells (joints x time), and the
        share of the `top` joints that both have (by chance `top` / joints). `mean`; 95% intervals
        over networks (`networks_low`, `networks_high`, of resampled networks) and over subjects
        (`subjects_low`, `subjects_high`); how many `networks`, and how many `windows` are in it.
        Of a single network nothing is said about networks.

    Raises
    ------
    ValueError
        For explanations of different windows.
    """
    out = writable(out, suffix=".csv")
    studies = {
        (case, name): _Study.of([each[name] for each in own])
        for case, own in _opened(parts, files).items()
        for name in own[0]
    }
    tables: dict[str, list[dict[str, Any]]] = {"": [], ".joints": [], ".ranks": []}
    for (case, method), study in studies.items():
        about = {"case": case, "method": method}
        tables[""] += [about | row for row in study.compared(top, seed)]
        tables[".joints"] += [about | row for row in study.shares()]
        tables[".ranks"] += [about | row for row in study.ranks(seed)]
    made = {ending: pd.DataFrame(rows) for ending, rows in tables.items()}
    for ending, table in made.items():
        with replacing(out.with_suffix(f"{ending}.csv")) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    ranks = made[".ranks"]
    drawn = ranks[ranks["class"].isin(classes)] if classes else ranks
    save_figure(plot_mean_ranks(drawn)[0], out.with_suffix(".png"), dpi)
    return made[""]


def _opened(parts: Parts, files: Sequence[str]) -> dict[str, list[dict[str, Explanation]]]:
    """Return for each case, for each network, its explanations by name."""
    found: dict[str, list[dict[str, Explanation]]] = {}
    for (case, _), folder in parts.items():
        found.setdefault(case, []).append(open_explanations([folder / each for each in files]))
    for own in found.values():
        for name, first in own[0].items():
            for each in own[1:]:
                same_windows(name, each[name], first)
    return found


def same_windows(name: str, other: Explanation, first: Explanation) -> None:
    """Refuse explanations of other windows; their classes may differ, as networks decide."""
    mine, theirs = (each.dataset["sample"].to_numpy() for each in (first, other))
    if mine.tolist() != theirs.tolist():
        raise ValueError(f"{name}: expected explanations of the same windows by all networks")


@dataclass(frozen=True)
class _Study:
    """What networks S say of windows N by one method."""

    joints: np.ndarray  # (S, N, joint)
    cells: np.ndarray  # (S, N, cell)
    right: np.ndarray  # (S, N) whether the true class was decided, and explained
    label: np.ndarray  # (N,)
    group: np.ndarray | None
    names: Sequence[str]
    classes: Mapping[int, str]

    @classmethod
    def of(cls, explanations: Sequence[Explanation]) -> _Study:
        first = explanations[0]
        label = first.dataset["label"].to_numpy()
        return cls(
            np.stack([by_feature(e.values, e, "joint").to_numpy() for e in explanations]),
            np.stack([_cells(e) for e in explanations]),
            np.stack([e.target.to_numpy() == label for e in explanations]),
            label, sample_groups(first), joint_names(first),
            {int(each): class_name(first, int(each)) for each in np.unique(label)},
        )  # fmt: skip

    def compared(self, top: int, seed: int) -> Iterator[dict[str, Any]]:
        """Yield how far explanations agree."""
        figures: dict[str, Callable[[Any, Any], np.ndarray]] = {
            "rho of joints": lambda a, b: rank_correlation(self.joints[a], self.joints[b]),
            "rho of cells": lambda a, b: rank_correlation(self.cells[a], self.cells[b]),
            f"top {top} joints": lambda a, b: top_k_overlap(self.joints[a], self.joints[b], top),
        }
        for figure, alike in figures.items():
            if len(self.joints) > 1:
                pairs = self._between_networks(alike)
                over, by_window = pair_bootstrap(pairs, seed=seed), _over_pairs(pairs)
                yield self._row(_BETWEEN[0], figure, over, by_window, seed)
            for between, same in zip(_BETWEEN[1:], (True, False), strict=True):
                own = self._between_windows(alike, same)
                over = cluster_bootstrap(_means(own, 1), seed=seed)
                yield self._row(between, figure, over, _means(own, 0), seed)

    def _row(
        self, between: str, figure: str, networks: Interval, by_window: np.ndarray, seed: int
    ) -> dict[str, Any]:
        subjects = cluster_bootstrap(by_window, self.group, seed=seed)
        return {
            "between": between, "figure": figure, "mean": float(networks.estimate),
            "networks_low": float(networks.low), "networks_high": float(networks.high),
            "subjects_low": float(subjects.low), "subjects_high": float(subjects.high),
            "networks": len(self.joints), "windows": int(np.isfinite(by_window).sum()),
        }  # fmt: skip

    def _between_networks(self, alike: Callable[[Any, Any], np.ndarray]) -> np.ndarray:
        """Return (S, S, N) agreement of networks about a window, NaN where one is wrong."""
        count, windows = self.right.shape
        found = np.full((count, count, windows), np.nan)
        for a, b in combinations(range(count), 2):
            found[a, b] = np.where(self.right[a] & self.right[b], alike(a, b), np.nan)
            found[b, a] = found[a, b]
        return found

    def _between_windows(self, alike: Callable[[Any, Any], np.ndarray], same: bool) -> np.ndarray:
        """Return (S, N) a network's mean agreement about a window and others, NaN where wrong."""
        count, windows = self.right.shape
        a, b = np.triu_indices(windows, 1)
        of_class = (self.label[a] == self.label[b]) == same
        a, b = a[of_class], b[of_class]
        found = np.full((count, windows), np.nan)
        for number, right in enumerate(self.right):
            kept = right[a] & right[b]
            own = np.full((windows, windows), np.nan)
            first, second = a[kept], b[kept]
            own[first, second] = alike((number, first), (number, second))
            own[second, first] = own[first, second]
            found[number] = _means(own, 1)
        return found

    @cached_property
    def by_class(self) -> dict[int, np.ndarray]:
        """(S, joint) mean share of each joint in a network's windows of each class."""
        sizes = np.abs(self.joints).sum(-1, keepdims=True)
        shares = self.joints / np.where(sizes > 0, sizes, 1)
        return {each: self._mean(shares, each) for each in self.classes}

    def _mean(self, values: np.ndarray, label: int) -> np.ndarray:
        """Return (S, ...) means over the windows of a class that a network recognises."""
        kept = self.right & (self.label == label)
        return _means(np.where(kept[..., None], values, np.nan), 1)

    def shares(self) -> Iterator[dict[str, Any]]:
        """Yield how a joint's share spreads over networks and over classes."""
        table = np.stack(list(self.by_class.values()))  # (class, S, joint)
        over_networks, over_classes = (_means(_spread(table, axis), 0) for axis in (1, 0))
        mean = _means(table.reshape(-1, table.shape[-1]), 0)
        for number, name in enumerate(self.names):
            yield {
                "joint": name, "share": mean[number], "over_networks": over_networks[number],
                "over_classes": over_classes[number],
            }  # fmt: skip

    def ranks(self, seed: int) -> Iterator[dict[str, Any]]:
        """Yield by class the mean rank of every joint."""
        ranks = ordering(self.joints).argsort(-1) + 1.0
        for label, said in self.classes.items():
            own = self._mean(ranks, label)
            known = own[np.isfinite(own).all(1)]
            if len(known):
                mean, low, high = cluster_bootstrap(known, seed=seed)
                first = (known == known.min(1, keepdims=True)).mean(0)
                for number in np.argsort(mean):
                    yield {
                        "class": said, "joint": self.names[number], "rank": mean[number],
                        "low": low[number], "high": high[number], "first": first[number],
                        "networks": len(known), "windows": int((self.label == label).sum()),
                    }  # fmt: skip


def _cells(explanation: Explanation) -> np.ndarray:
    """Return (N, cell) sums by time and joint."""
    dims = [each for each in explanation.dims if each not in ("sample", "time", "joint")]
    values = explanation.values.sum(dims).transpose("sample", "time", "joint").to_numpy()
    return values.reshape(len(values), -1)


def _over_pairs(pairs: np.ndarray) -> np.ndarray:
    """Return (N,) means of (S, S, N)."""
    return _means(pairs.reshape(-1, pairs.shape[-1]), 0)


def _spread(values: np.ndarray, axis: int) -> np.ndarray:
    """Return the standard deviations of what is known, NaN of less than two."""
    known = np.isfinite(values).sum(axis, keepdims=True)
    far = values - np.expand_dims(_means(values, axis), axis)
    squares = np.expand_dims(_means(far**2, axis), axis)
    several = np.where(known > 1, known - 1, np.nan)
    return np.asarray(np.sqrt(squares * known / several).squeeze(axis))


def _means(values: np.ndarray, axis: int) -> np.ndarray:
    """Return means of what is known, NaN where nothing is."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(known, values, 0).sum(axis) / known.sum(axis))
