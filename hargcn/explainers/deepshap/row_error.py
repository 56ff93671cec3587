"""How far SHAP values over some background rows are from those over all of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hargcn.explainers.deepshap.background import standardised


def standard_errors(
    by_row: ArrayLike, total: int, outputs: ArrayLike | None = None, pool: int | None = None
) -> np.ndarray:
    """Estimate the standard error of the mean over rows that were taken from more of them.

    Rows are taken without replacement: the error of n among N is sd sqrt(1/n - 1/N), and none where
    all are taken (Cochran 1977, section 2.6). Rows taken at random differ by their standard
    deviation. Those that `herding` spreads leave what differs between neighbours, half the mean
    square of the difference from the row whose outputs are nearest (a local variance, as of
    systematic samples: Wolter 2007, chapter 8).

    Parameters
    ----------
    by_row : (N, rows, ...) array
        Attributions of N samples against each row, as from `DeepSHAP.by_row`.
    total : int
        How many rows there are, these among them.
    outputs : (rows, k) array, optional
        The network's outputs for rows that herding chose by them; without, rows are random ones.
    pool : int, optional
        How many of all, drawn at random, herding chose among; by default all.

    Returns
    -------
    (N, ...) array
    """
    values = np.asarray(by_row, float)
    n = values.shape[1]
    if n == total:
        return np.zeros_like(values[:, 0])
    plain = values.var(axis=1, ddof=1)
    if outputs is None:
        return np.sqrt(plain * (1 / n - 1 / total))
    pool = pool or total
    local = ((values - values[:, _nearest(standardised(outputs))]) ** 2).mean(axis=1) / 2
    return np.sqrt(local * (1 / n - 1 / pool) + plain * (1 / pool - 1 / total))


def relative_error(by_row: ArrayLike, errors: ArrayLike) -> float:
    """Relate errors to the size of the attributions.

    The root mean square over samples of |errors| / |attributions|, Euclidean norms over all cells
    of a sample.

    Parameters
    ----------
    by_row : (N, rows, ...) array
        Attributions against each row; their mean is what the errors are of.
    errors : (N, ...) array
        As from `standard_errors`.
    """
    mean = np.asarray(by_row, float).mean(axis=1)
    noise, size = (
        (np.asarray(each, float) ** 2).reshape(len(mean), -1).sum(axis=1) for each in (errors, mean)
    )
    share = np.divide(noise, size, out=np.where(noise > 0, np.inf, 0.0), where=size > 0)
    return float(np.sqrt(share.mean()))


def _nearest(values: np.ndarray) -> np.ndarray:
    """Return the number of the nearest other row to each."""
    from sklearn.metrics import pairwise_distances

    distance = pairwise_distances(values)
    np.fill_diagonal(distance, np.inf)
    return distance.argmin(axis=1)
