"""Maps that no network is asked for: what an explanation has to beat on planted evidence.

Where a figure of localisation does not tell an explanation from these, it says how unusual or how
typical the movement is, not what the network uses.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def acceleration(positions: np.ndarray, frames: int = 7) -> np.ndarray:
    """Return how strongly every joint accelerates around every frame.

    Parameters
    ----------
    positions
        (N, ..., T, V, M), at least 3 frames; the length of the second difference is taken over the
        axes between, and summed over persons.
    frames
        Length of the running mean: as coarse in time as a class activation map, and long enough
        for a tremor's turning points not to stand alone.

    Returns
    -------
    numpy.ndarray
        (N, T, V), in units of the positions per frame squared.

    Raises
    ------
    ValueError
        For fewer than 3 frames.
    """
    if positions.shape[-3] < 3:
        raise ValueError(f"Expected at least 3 frames (got {positions.shape[-3]})")
    second = np.diff(positions, n=2, axis=-3)
    size = np.sqrt(np.square(second, dtype=float).sum(axis=tuple(range(1, positions.ndim - 3))))
    each = np.pad(size.sum(axis=-1), ((0, 0), (1, 1), (0, 0)), mode="edge")
    padded = np.pad(each, ((0, 0), (frames // 2, (frames - 1) // 2), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, frames, axis=1).mean(axis=-1)


def joint_prior(batches: Iterable[tuple[np.ndarray, np.ndarray]], target: np.ndarray) -> np.ndarray:
    """Return how much livelier each joint is in a class than in the others.

    Parameters
    ----------
    batches
        Accelerations (n, T, V) and labels (n,) of training windows.
    target
        (N,) the classes that are asked for.

    Returns
    -------
    numpy.ndarray
        (N, V): the mean acceleration in windows of the class less that in the other windows.

    Raises
    ------
    ValueError
        For a class of which there is no training window, or none of another class.
    """
    sums: dict[int, np.ndarray] = {}
    counts: dict[int, int] = {}
    for lively, labels in batches:
        for label in np.unique(labels).tolist():
            rows = lively[labels == label].mean(axis=1)
            sums[label] = sums.get(label, 0) + rows.sum(axis=0)
            counts[label] = counts.get(label, 0) + len(rows)
    asked = np.unique(target).tolist()
    if len(counts) < 2 or not set(asked) <= set(counts):
        raise ValueError(
            f"Expected training windows of the classes {asked} and of others (got {sorted(counts)})"
        )
    total, n = sum(sums.values()), sum(counts.values())
    prior = {c: sums[c] / counts[c] - (total - sums[c]) / (n - counts[c]) for c in asked}
    return np.stack([prior[c] for c in np.asarray(target).tolist()])


def model_free(
    positions: np.ndarray, truth: np.ndarray, prior: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """Return maps (N, T, V) by name.

    Parameters
    ----------
    positions
        (N, ..., T, V, M) of the windows.
    truth
        (N, T, V) bool, where evidence was planted.
    prior
        (N, V) of `joint_prior`; without it the maps that need it are left out.

    Returns
    -------
    dict
        "sign's joints": 1 at all times on the joints that bear evidence, which nobody knows
        without the truth: the best that a map constant in time can do. "acceleration". "class
        prior": `joint_prior` at all times. "acceleration x prior": both, of the positive part.
    """
    constant = np.broadcast_to(truth.any(axis=1, keepdims=True), truth.shape)
    lively = acceleration(positions)
    maps = {"sign's joints": constant.astype(float), "acceleration": lively}
    if prior is not None:
        maps["class prior"] = np.broadcast_to(prior[:, None], truth.shape)
        maps["acceleration x prior"] = lively * np.maximum(prior, 0)[:, None]
    return maps
