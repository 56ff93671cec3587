"""How far annotators agree: the ceiling of what an explanation can agree with them."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def cohen_kappa(a: np.ndarray, b: np.ndarray) -> float:
    """Return the agreement of two markings beyond chance.

    Cohen 1960, A coefficient of agreement for nominal scales, equation 1.

    Parameters
    ----------
    a, b
        Bool of one shape: what each of them marked.

    Returns
    -------
    float
        1 where they are the same, 0 at chance; NaN where both mark everything or nothing.
    """
    agreed = (a == b).mean()
    chance = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    return float((agreed - chance) / (1 - chance)) if chance < 1 else float("nan")


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the intersection of two markings over their union; NaN where nothing is marked."""
    union = (a | b).sum()
    return float((a & b).sum() / union) if union else float("nan")


def raters(
    marks: Mapping[str, np.ndarray],
    looked: Mapping[str, np.ndarray],
    seen: np.ndarray | None = None,
) -> pd.DataFrame:
    """Compare every two annotators, cell by cell, over the windows that both looked at.

    Parameters
    ----------
    marks
        By annotator (N, T, V) bool.
    looked
        By annotator (N,) bool: which windows they looked at.
    seen
        (N, T, V) bool: the only cells that count; default all.

    Returns
    -------
    pandas.DataFrame
        A row per pair: `a`, `b`, `windows`, `kappa`, `iou`, and `marked_a`, `marked_b`, the shares
        of cells that they marked.
    """
    import pandas as pd

    rows = []
    for a, b in combinations(marks, 2):
        both = looked[a] & looked[b]
        counted = np.ones_like(marks[a][both]) if seen is None else seen[both]
        one, other = marks[a][both][counted], marks[b][both][counted]
        known = bool(one.size)
        rows.append(
            {
                "a": a,
                "b": b,
                "windows": int(both.sum()),
                "kappa": cohen_kappa(one, other) if known else np.nan,
                "iou": overlap(one, other),
                "marked_a": one.mean() if known else np.nan,
                "marked_b": other.mean() if known else np.nan,
            }
        )
    columns = ["a", "b", "windows", "kappa", "iou", "marked_a", "marked_b"]
    return pd.DataFrame(rows, columns=columns)
