"""Clusters of maps: whether the windows of one class were recognised in several ways.

Lapuschkin et al. 2019, Unmasking Clever Hans predictors (spectral relevance analysis, SpRAy): maps
are made coarse, a graph joins each with those most alike, and where the spectrum of the graph's
Laplacian has a gap, it tells into how many groups they fall. A group may be a shortcut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigh

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Clusters:
    """Groups of windows.

    Parameters
    ----------
    labels
        (n,) the group of each.
    eigenvalues
        (k,) the smallest of the Laplacian, ascending; the first is 0.
    places
        (n, 2) where each lies by the second and third eigenvector, for a picture (Belkin and Niyogi
        2003, Laplacian eigenmaps): who are neighbours of each other lie together.
    """

    labels: np.ndarray
    eigenvalues: np.ndarray
    places: np.ndarray

    @property
    def count(self) -> int:
        """How many groups there are."""
        return len(np.unique(self.labels))


def coarse(maps: np.ndarray, bins: int) -> np.ndarray:
    """Return maps as rows of few numbers whose sizes add up to 1.

    Parameters
    ----------
    maps
        (n, T, ...), signed; their size differs from window to window and says nothing of where.
    bins
        Cells of time that are left; their borders are rounded to whole frames.

    Returns
    -------
    numpy.ndarray
        (n, bins * ...); a map of nothing but 0 stays so.

    Raises
    ------
    ValueError
        For more bins than frames.
    """
    frames = maps.shape[1]
    if not 1 <= bins <= frames:
        raise ValueError(f"Expected 1 to {frames} bins of {frames} frames (got {bins})")
    starts = np.round(np.arange(bins) * frames / bins).astype(int)
    sizes = np.diff([*starts, frames]).reshape(-1, *[1] * (maps.ndim - 2))
    rows = (np.add.reduceat(maps, starts, axis=1) / sizes).reshape(len(maps), -1)
    return rows / np.maximum(np.abs(rows).sum(axis=1, keepdims=True), _TINY)


def spectral_clusters(
    rows: np.ndarray,
    *,
    neighbours: int = 10,
    most: int = 8,
    count: int | None = None,
    seed: int = 1234,
) -> Clusters:
    """Group rows by the spectrum of the graph of their nearest neighbours.

    The normalised Laplacian of the symmetric graph of neighbours; as many groups as eigenvalues
    lie below the largest gap (von Luxburg 2007, A tutorial on spectral clustering, section 8.3);
    k-means of the rows of eigenvectors at length 1 (Ng, Jordan and Weiss 2001).

    Parameters
    ----------
    rows
        (n, ...) numbers.
    neighbours
        Whom each row is joined with.
    most
        Groups at most. The gap may lie behind the first eigenvalue: then there is one group.
    count
        So many groups, whatever the gap.
    seed
        Seed of k-means.

    Raises
    ------
    ValueError
        For no more rows than neighbours, or groups.
    """
    from sklearn.cluster import KMeans
    from sklearn.neighbors import kneighbors_graph

    if len(rows) <= max(neighbours, most, count or 1):
        raise ValueError(
            f"Expected more windows than neighbours ({neighbours}) and groups "
            f"({max(most, count or 1)}) of them (got {len(rows)})"
        )
    near = kneighbors_graph(rows, neighbours).toarray()
    near = (near + near.T) / 2
    root = 1 / np.sqrt(near.sum(axis=1))
    laplacian = np.eye(len(rows)) - root[:, None] * near * root
    values, vectors = eigh(laplacian, subset_by_index=(0, max(most, count or 1, 2)))
    found = int(np.argmax(np.diff(values[: most + 1]))) + 1 if count is None else count
    # An eigenvector may be turned about: its largest entry is to be positive.
    vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(len(values))])
    unit = vectors[:, :found]
    unit = unit / np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), _TINY)
    labels = KMeans(found, n_init=10, random_state=seed).fit_predict(unit)
    return Clusters(labels, values, root[:, None] * vectors[:, 1:3])


def told_apart(
    labels: np.ndarray, known: np.ndarray, draws: int = 1000, seed: int = 1234
) -> dict[str, float]:
    """Return how far groups are those that are known, beside the same of exchanged labels.

    Parameters
    ----------
    labels, known
        (n,) two groupings.
    draws
        Random orders of one of them.
    seed
        Seed of these.

    Returns
    -------
    dict
        `ari`, the adjusted Rand index (1 is the same grouping, 0 chance; Hubert and Arabie 1985);
        `nmi`, the normalised mutual information (0 to 1, arithmetic mean); `ari_chance` and
        `nmi_chance`, which 19 of 20 random orders do not exceed; `p`, the share of random orders,
        with this one, whose adjusted Rand index is as large.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    rng = np.random.default_rng(seed)
    orders = [rng.permutation(known) for _ in range(draws)]
    ari, *aris = (adjusted_rand_score(each, labels) for each in (known, *orders))
    nmi, *nmis = (normalized_mutual_info_score(each, labels) for each in (known, *orders))
    return {
        "ari": float(ari),
        "nmi": float(nmi),
        "ari_chance": float(np.quantile(aris, 0.95)),
        "nmi_chance": float(np.quantile(nmis, 0.95)),
        "p": float((1 + np.sum(np.array(aris) >= ari - _TINY)) / (1 + draws)),
    }
