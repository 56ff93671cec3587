"""Clusters of explanations: whether they tell windows with planted decoys from those without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hargcn.analysis.clusters import coarse, spectral_clusters, told_apart
from hargcn.checks import at_least, writable
from hargcn.files import locked, replacing
from hargcn.metrics.maps import cells
from hargcn.metrics.model_free import acceleration
from hargcn.pipeline.opening import open_explanations, open_windows
from hargcn.plots import plot_clusters, save_figure
from hargcn.plots.clusters import ClusterPanel
from hargcn.plots.style import PICTURES


def cluster(
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    picture: str | Path | None = None,
    bins: int = 8,
    neighbours: int = 10,
    most: int = 8,
    draws: int = 1000,
    dpi: int = 110,
    seed: int = 1234,
) -> pd.DataFrame:
    """Group windows by their maps, and compare the groups with the windows that have decoys.

    Parameters
    ----------
    windows, explanations
        A file of planted windows, and explanation files of the same of them, of one class.
    out
        The table to write (.csv).
    picture
        A picture to write: every window where its map lies among the others.
    bins, neighbours, most
        See `analysis.clusters`.
    draws
        Random orders that tell chance.
    dpi
        Dots per inch of the picture.
    seed
        Seed of everything random.

    Returns
    -------
    pandas.DataFrame
        A row per method and, of the windows themselves, for "acceleration" and "positions":
        `n` windows, `decoys` in how many, `groups` as the largest gap says, `gap`, and the figures
        of `told_apart`; those with `_two` are of two groups, whatever the gap.

    Raises
    ------
    ValueError
        For windows without decoys, or all of which have some, explanations of different windows,
        and fewer windows than neighbours or groups.
    """
    at_least("draws", draws, 1)
    out = writable(out, windows, *explanations, suffix=".csv")
    if picture is not None:
        picture = writable(picture, windows, *explanations, suffix=PICTURES)
    named = open_explanations(explanations)
    lists = {
        name: [str(s) for s in each.dataset["sample"].to_numpy()] for name, each in named.items()
    }
    first = next(iter(lists.values()))
    if other := [name for name, samples in lists.items() if samples != first]:
        raise ValueError(f"Expected explanations of the same windows (not so: {other[0]!r})")
    data = open_windows(windows)
    rows = {name: row for row, name in enumerate(data.names)}
    if lost := [name for name in first if name not in rows]:
        raise ValueError(f"{windows}: expected the explained windows (it has no {lost[0]!r})")
    data = data.subset([rows[name] for name in first])
    planted = data.distractor()
    shape = (len(data), 1, 1)
    marked = np.any(np.zeros(shape, bool) if planted is None else planted, axis=(1, 2)).reshape(-1)
    if marked.all() or not marked.any():
        raise ValueError(
            f"{windows}: expected explained windows with and without decoys (got {marked.sum()} of "
            f"{len(marked)} with)"
        )
    positions = data.positions()
    maps = {name: cells(each, positions.shape[-3]) for name, each in named.items()}
    maps["acceleration"] = acceleration(positions)
    maps["positions"] = np.moveaxis(positions, -3, 1)
    with locked(out):
        found, panels = [], []
        for name, own in maps.items():
            near = coarse(own, bins)
            asked: dict[str, Any] = {"neighbours": neighbours, "most": most, "seed": seed}
            free = spectral_clusters(near, **asked)
            two = spectral_clusters(near, count=2, **asked)
            gap = float(np.diff(free.eigenvalues[: most + 1]).max())
            row = {"method": name, "n": len(marked), "decoys": int(marked.sum())}
            row |= {
                "groups": free.count,
                "gap": gap,
                **told_apart(free.labels, marked, draws, seed),
            }
            pair = told_apart(two.labels, marked, draws, seed)
            found.append(row | {f"{key}_two": each for key, each in pair.items()})
            title = f"{name}: ARI {row['ari']:.2f}"
            panels.append(ClusterPanel(title, free.places, free.labels))
        table = pd.DataFrame(found)
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
        if picture is not None:
            figure, _ = plot_clusters(panels, marked, names=("with decoys", "without"))
            save_figure(figure, picture, dpi)
    return table
