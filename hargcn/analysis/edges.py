"""Which edges matter: attributions to edges, added up over the graphs of a network."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hargcn.analysis.asked import asked_name
from hargcn.explanation import EDGE_DIMS, Explanation

_JOINTS = EDGE_DIMS[2:]


def of_edges(explanation: Explanation) -> bool:
    """Say whether an explanation is of edges."""
    return set(_JOINTS) <= set(explanation.dims)


def edge_matrix(explanation: Explanation) -> xr.DataArray:
    """Return (sample, source_joint, target_joint): sums over layers and partitions.

    Raises
    ------
    ValueError
        For an explanation without edges.
    """
    if not of_edges(explanation):
        raise ValueError(
            f"explanation {explanation.name!r}: expected attributions to edges, of axes "
            f"{' and '.join(_JOINTS)} (got {', '.join(explanation.dims)})"
        )
    kept = ("sample", *_JOINTS)
    return explanation.values.sum([d for d in explanation.dims if d not in kept]).transpose(*kept)


def edge_scores(explanation: Explanation) -> xr.DataArray:
    """Return (sample, edge) of the directed edges that any sample has, "a -> b" by joints' names.

    Edges are those with any attribution: entries of a graph that joins no such pair have none.
    """
    matrix = edge_matrix(explanation)
    values = matrix.to_numpy()
    sources, targets = np.nonzero((values != 0).any(axis=0))
    names = [str(each) for each in matrix["source_joint"].to_numpy()]
    called = [f"{names[a]} -> {names[b]}" for a, b in zip(sources, targets, strict=True)]
    return xr.DataArray(
        values[:, sources, targets],
        {"sample": matrix["sample"], "edge": called},
        ("sample", "edge"),
    )


def by_class(explanation: Explanation) -> dict[str, xr.DataArray]:
    """Return `edge_matrix` of the windows explained for each class, or class rather than another.

    By what was asked, in words.
    """
    questions, number = np.unique(explanation.asked, axis=0, return_inverse=True)
    parts = [
        explanation.isel(sample=np.flatnonzero(number.ravel() == i)) for i in range(len(questions))
    ]
    return {asked_name(part): edge_matrix(part) for part in parts}
