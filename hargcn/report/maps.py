"""Which maps a page holds of a method: joints or edges, branches, and what was planted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hargcn.analysis.edges import edge_matrix, of_edges
from hargcn.explanation import Explanation

BRANCHES = {"J": "positions", "V": "velocities", "B": "bones", "A": "accelerations"}
"""What the branches of our networks are, for people who never saw one."""


@dataclass(frozen=True, eq=False)
class WindowMaps:
    """Maps of all windows: rows over the cells of time.

    Parameters
    ----------
    kind
        "joint", "edge", "branch" or "truth".
    names
        Of the rows.
    times
        (cell,) centre frames.
    values
        (sample, cell, row, person) attributions, added up over all other axes; of "truth" 1 where
        evidence was planted.
    edges
        Of "edge": pairs of joints (source, target), one per row.
    """

    kind: str
    names: tuple[str, ...]
    times: np.ndarray
    values: np.ndarray
    edges: tuple[tuple[int, int], ...] = ()

    def about(self) -> dict[str, Any]:
        """Return what the page must know to read and to draw it."""
        _, cells, rows, persons = self.values.shape
        said = {"kind": self.kind, "names": self.names, "times": self.times.tolist()}
        return {**said, "cells": cells, "rows": rows, "persons": persons, "edges": self.edges}


def maps_of(explanation: Explanation) -> list[WindowMaps]:
    """Return the maps that a page holds of an explanation, the one on the body first.

    Edges have no time: a single cell in the middle of the window. Branches are there where the
    explanation tells several apart.
    """
    if of_edges(explanation):
        return [_edges(explanation)]
    joints = _over(explanation, "joint")
    known = tuple(map(str, explanation.skeleton.joints if explanation.skeleton else ()))
    times = _times(explanation)
    found = [WindowMaps("joint", known, times, joints)]
    if explanation.values.sizes.get("branch", 1) > 1:
        values = explanation.values
        names = map(str, values["branch"].to_numpy())
        branches = tuple(f"{name} {BRANCHES.get(name, '')}".strip() for name in names)
        over = _over(explanation, "branch", persons=False)
        found.append(WindowMaps("branch", branches, times, over))
    return found


def planted(explanation: Explanation) -> WindowMaps | None:
    """Return where evidence was planted, frame by frame; None where nothing is known of it."""
    truth = explanation.dataset.get("truth")
    if truth is None or explanation.skeleton is None:
        return None
    values = truth.transpose("sample", "frame", "joint").to_numpy()[..., None].astype(float)
    times = np.arange(values.shape[1], dtype=float)
    return WindowMaps("truth", explanation.skeleton.joints, times, values)


def _edges(explanation: Explanation) -> WindowMaps:
    matrix = edge_matrix(explanation)
    values = matrix.to_numpy()
    sources, targets = np.nonzero((values != 0).any(axis=0))
    joints = [str(name) for name in matrix["source_joint"].to_numpy()]
    names = tuple(f"{joints[a]} → {joints[b]}" for a, b in zip(sources, targets, strict=True))
    middle = np.array([(explanation.dataset.sizes.get("frame", 1) - 1) / 2])
    pairs = tuple((int(a), int(b)) for a, b in zip(sources, targets, strict=True))
    return WindowMaps("edge", names, middle, values[:, None, sources, targets, None], pairs)


def _over(explanation: Explanation, row: str, persons: bool = True) -> np.ndarray:
    """Return (sample, cell, row, person) sums over all other axes."""
    axes = ("sample", "time", row, *(["person"] if persons else []))
    kept = [dim for dim in axes if dim in explanation.dims]
    values = explanation.values.sum([dim for dim in explanation.dims if dim not in kept])
    array = values.transpose(*kept).to_numpy().astype(float)
    shape = [values.sizes.get(dim, 1) for dim in ("sample", "time", row, "person")]
    return array.reshape(shape)


def _times(explanation: Explanation) -> np.ndarray:
    return (
        explanation.values["time"].to_numpy().astype(float)
        if "time" in explanation.dims
        else np.zeros(1)
    )
