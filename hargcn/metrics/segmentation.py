"""Segmentation: a map cut at a threshold, beside the mask of the evidence."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hargcn.explanation import Explanation
from hargcn.metrics.faithfulness import per_sample
from hargcn.metrics.localisation import checked_cells
from hargcn.metrics.masking import places


def segmentation(
    explanation: Explanation,
    truth: np.ndarray,
    distractor: np.ndarray | None = None,
    seen: np.ndarray | None = None,
    *,
    seed: int = 1234,
    start: int = 0,
) -> xr.Dataset:
    """Return how far cells that a map marks are those of the evidence.

    Pixel accuracy and intersection over union (Choi, part 1; Nam et al. 2020, RAP, of positive
    attributions). Three thresholds: the highest cells, as many as the evidence has, ties by chance;
    at least half of the map's maximum; Otsu's, between positive parts. The first one knows the
    evidence's size, so that no method gains by marking more or less; the others know the map only.

    Parameters
    ----------
    truth, distractor
        (sample, time, joint) bool, the evidence, and changes without class information; samples
        without evidence, or without distractors for `decoy_iou`, are NaN.
    seen
        (sample, time, joint) bool: the only cells that count; default all.
    seed, start
        Of ties; the number of the first window.

    Returns
    -------
    xarray.Dataset
        (sample,) `pixel_accuracy`, the share of cells marked as the mask says; `iou` of the
        evidence; `mean_iou`, the mean of this and of the IoU of all else; with distractors
        `decoy_iou`, of the distractors with the same marks. The same as `half_...`, `otsu_...`.
    """
    maps, flat, counted = checked_cells(explanation, truth, seen)
    least = np.where(counted, maps, -np.inf)
    order = places(least, start + np.arange(len(maps)), seed)
    marks = {
        "": order < flat.sum(1, keepdims=True),
        "half_": _above(maps, counted, np.where(counted, maps, 0).max(1, initial=0) / 2),
        "otsu_": _above(maps, counted, np.array([*map(_otsu, maps, counted)])),
    }
    figures: dict[str, np.ndarray] = {}
    for prefix, marked in marks.items():
        known = (flat.any(1) & (counted & ~flat).any(1))[:, None]
        own, rest = _iou(marked, flat), _iou(counted & ~marked, counted & ~flat)
        right = (counted & (marked == flat)).sum(1) / np.maximum(counted.sum(1), 1)
        found = {"pixel_accuracy": right, "iou": own, "mean_iou": (own + rest) / 2}
        figures |= {prefix + name: np.where(known[:, 0], v, np.nan) for name, v in found.items()}
        if distractor is not None:
            decoys = np.asarray(distractor, bool).reshape(flat.shape) & counted
            there = known[:, 0] & decoys.any(1)
            figures[prefix + "decoy_iou"] = np.where(there, _iou(marked, decoys), np.nan)
    return xr.Dataset({name: per_sample(v, explanation, name) for name, v in figures.items()})


def _above(maps: np.ndarray, counted: np.ndarray, level: np.ndarray) -> np.ndarray:
    """Return the positive cells that reach a level (N,)."""
    return counted & (maps > 0) & (maps >= level[:, None])


def _iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over the union (N,) of sets of cells, 0 where both are empty."""
    return (a & b).sum(1) / np.maximum((a | b).sum(1), 1)


def _otsu(values: np.ndarray, counted: np.ndarray) -> float:
    """Return the least value of the upper class, of positive parts split as Otsu 1979 does."""
    ordered = np.sort(np.maximum(values[counted], 0))
    below = np.arange(1, len(ordered))
    split = ordered[1:] > ordered[:-1]
    if not split.any():
        return 0.0
    total = ordered.cumsum()
    low, high = total[:-1] / below, (total[-1] - total[:-1]) / below[::-1]
    between = np.where(split, below * below[::-1] * (high - low) ** 2, -1)
    return float(ordered[between.argmax() + 1])
