"""One place that brings explanations of any axes and time grid to cells (sample, time, joint)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from torch import Tensor

from hargcn.explanation import Explanation

Order = Literal["signed", "positive", "magnitude"]
"""The largest first; the largest positive parts, of which many are 0 and tie; the largest sizes."""


def cells(explanation: Explanation, frames: int) -> np.ndarray:
    """Return the signed map over (sample, time, joint), averaged over branch, channel and person.

    Coarse time cells are interpolated to frames; an explanation without time holds at every frame.
    """
    explanation.expect_axes("map over time and joints")
    if "joint" not in explanation.dims:
        raise ValueError(f"Expected an explanation with an axis 'joint' (got {explanation.dims})")
    kept = ("sample", "time", "joint")
    reduced = explanation.mean(*(dim for dim in explanation.dims if dim not in kept))
    if "time" not in reduced.dims:
        values = reduced.values.transpose("sample", "joint").to_numpy()
        return np.repeat(values[:, None], frames, axis=1).astype(float)
    if reduced.values.sizes["time"] != frames:
        reduced = reduced.upsample(frames)
    return reduced.values.transpose(*kept).to_numpy().astype(float)


def unit(maps: np.ndarray) -> np.ndarray:
    """Scale each sample's map (N, ...) to [0, 1] by its own minimum and maximum.

    A map without contrast has no such scale: it keeps everything (1) if positive, else nothing (0).
    """
    flat = maps.reshape(len(maps), -1)
    low, span = flat.min(1, keepdims=True), np.ptp(flat, axis=1)[:, None]
    scaled = np.where(span > 0, (flat - low) / np.where(span > 0, span, 1), flat > 0)
    return scaled.reshape(maps.shape)


def ordering(
    scores: np.ndarray, order: Order = "signed", seed: int = 1234, start: int = 0
) -> np.ndarray:
    """Return (N, V) joint indices, the most important first, ties in random order.

    Breaking ties by joint number would lend a map without any contrast the evidence of whichever
    joints happen to come first. The seed and the number of a window, from `start` on, say how its
    ties fall.
    """
    if order not in get_args(Order):
        raise ValueError(f"Expected an order of {', '.join(get_args(Order))} (got {order!r})")
    keys = {"signed": scores, "positive": scores.clip(min=0), "magnitude": np.abs(scores)}
    key = keys[order]
    numbers = range(start, start + len(scores))
    chance = np.stack([np.random.default_rng([seed, n]).random(scores.shape[1]) for n in numbers])
    return np.lexsort((chance, -key), axis=1)


def joint_scores(explanation: Explanation, order: Order = "signed") -> np.ndarray:
    """Return the (sample, joint) scores of an explanation as a bare array, its means over time.

    Of the order "positive" means over the positive parts of cells of time, as class activation maps
    are often cut off at 0: what speaks against the class at one time takes nothing away from what
    speaks for it at another.
    """
    if "joint" not in explanation.dims:
        raise ValueError(f"Expected an explanation with an axis 'joint' (got {explanation.dims})")
    if order != "positive":
        return explanation.joint_scores().to_numpy().astype(float)
    explanation.expect_axes("joint scores")
    kept = ("sample", "time", "joint")
    cut = explanation.mean(*(d for d in explanation.dims if d not in kept)).values.clip(min=0)
    scores = cut.mean([d for d in cut.dims if d == "time"]).transpose("sample", "joint")
    return scores.to_numpy().astype(float)


def check(x: Tensor, explanation: Explanation) -> None:
    """Refuse an explanation of other samples or joints than x (N, ..., T, V, M)."""
    if "joint" not in explanation.dims:
        raise ValueError(
            f"Expected an explanation of joints to measure (got {explanation.name!r} over "
            f"{', '.join(explanation.dims)})"
        )
    check_sizes(explanation, len(x), x.shape[-2])


def check_sizes(explanation: Explanation, samples: int, joints: int, axis: str = "joint") -> None:
    """Refuse an explanation of other samples, or of another number of joints along an axis."""
    found = (len(explanation), explanation.values.sizes[axis])
    if found != (samples, joints):
        raise ValueError(
            f"Expected an explanation of {samples} samples and {joints} joints, as x has "
            f"(got {found[0]} and {found[1]} from {explanation.name!r})"
        )
