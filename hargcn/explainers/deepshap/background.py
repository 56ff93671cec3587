"""The background of a SHAP explanation: which samples stand for "nothing particular"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from hargcn.explanation import Explanation
from hargcn.files import replacing

SIZE = 100

ORDERS = ("random", "balanced", "herding")
"""Ways of choosing that are an order of the samples, of which a background takes the first."""


def choose(
    values: ArrayLike | Callable[[], ArrayLike],
    labels: ArrayLike,
    n: int = SIZE,
    method: str = "random",
    seed: int = 1234,
) -> np.ndarray:
    """Choose background samples.

    Parameters
    ----------
    values : (N, ...) array, or a function that gives it
        Samples, looked at by "medoids" only; for "herding" the network's outputs for them.
    labels : (N,) array
        Their classes; looked at by "balanced" only.
    n : int
        How many; all samples where there are fewer.
    method : {"random", "balanced", "herding", "medoids"}
        The first of an order (see `in_order`), or the samples nearest to the centres of k-means
        (see `medoids`).
    seed : int
        Of the draw.

    Returns
    -------
    (n,) array of int
        The chosen samples, ascending.

    Raises
    ------
    ValueError
        For an unknown method, or no samples.
    """
    labels = np.asarray(labels)
    if n < 1 or len(labels) < 1:
        raise ValueError(f"Expected at least one background sample (got {n} of {len(labels)})")
    if method == "medoids":
        return medoids(values() if callable(values) else values, n, seed)
    return np.sort(in_order(values, labels, method, seed)[:n])


def in_order(
    values: ArrayLike | Callable[[], ArrayLike],
    labels: ArrayLike,
    method: str = "random",
    seed: int = 1234,
) -> np.ndarray:
    """Order samples so that a background of n is the first n, whatever n is.

    Parameters
    ----------
    values, labels, seed
        As for `choose`.
    method : {"random", "balanced", "herding"}
        Without replacement; every class gives its first before any gives its second; or see
        `herding`.

    Returns
    -------
    (N,) array of int
        All samples.

    Raises
    ------
    ValueError
        For a method that is no order.
    """
    labels = np.asarray(labels)
    if method == "herding":
        return herding(values() if callable(values) else values, seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    if method == "random":
        return order
    if method == "balanced":
        return _in_turn(labels, order)
    raise ValueError(f"Expected a method of {', '.join(ORDERS)}, medoids (got {method!r})")


def herding(values: ArrayLike, seed: int = 1234) -> np.ndarray:
    """Order samples so that the first ones, however many, are spread as all of them are.

    Each next sample is the one that brings the energy distance (Szekely and Rizzo 2013) between
    those taken and all down the most: kernel herding (Chen, Welling and Smola 2010) with the
    kernel -|a - b|, which has no width to choose.

    Parameters
    ----------
    values : (N, ...) array
        What is compared, in units of its standard deviation; for a background the network's
        outputs, which cost a forward pass.
    seed : int
        Of the first sample.

    Returns
    -------
    (N,) array of int
        All samples.
    """
    from sklearn.metrics import pairwise_distances

    distance = pairwise_distances(standardised(values))
    far = distance.mean(axis=1)
    order = [int(np.random.default_rng(seed).integers(len(far)))]
    total = distance[order[0]].copy()
    left = np.full(len(far), True)
    while len(order) < len(far):
        left[order[-1]] = False
        gain = np.where(left, total / (len(order) + 1) - far, -np.inf)
        order.append(int(gain.argmax()))
        total += distance[order[-1]]
    return np.array(order)


def standardised(values: ArrayLike) -> np.ndarray:
    """Return samples (N, k), each column in units of its standard deviation, if it has one."""
    array = np.asarray(values, float)
    flat = array.reshape(len(array), -1)
    scale = flat.std(axis=0)
    return flat / np.where(scale > 0, scale, 1)


def _in_turn(labels: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Sort an order so that every class gives its first sample before any gives its second."""
    turn = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        turn[members] = np.arange(len(members))
    return order[np.argsort(turn[order], kind="stable")]


def medoids(values: ArrayLike, n: int = SIZE, seed: int = 1234, components: int = 50) -> np.ndarray:
    """Choose the sample nearest to each of ``n`` k-means centres.

    Parameters
    ----------
    values : (N, ...) array
        The samples.
    n : int
        Clusters.
    seed : int
        Of k-means.
    components : int
        Principal components in which distances are measured.

    Returns
    -------
    (n,) array of int
        Ascending; fewer where one sample is nearest to two centres.
    """
    from sklearn.cluster import KMeans

    flat = _principal(values, components, seed)
    if n >= len(flat):
        return np.arange(len(flat))
    distance = KMeans(n, n_init=3, random_state=seed).fit(flat).transform(flat)
    return np.unique(distance.argmin(0))


def shares(values: ArrayLike, chosen: ArrayLike, components: int = 50) -> np.ndarray:
    """Weigh chosen samples by how many samples are nearest to each.

    Parameters
    ----------
    values : (N, ...) array
        All samples.
    chosen : (n,) array of int
        The background among them, as from `medoids`.
    components : int
        Principal components in which distances are measured.

    Returns
    -------
    (n,) array
        Weights that sum to 1, for `DeepSHAP`.
    """
    from sklearn.metrics import pairwise_distances_argmin

    flat = _principal(values, components, 0)
    nearest = pairwise_distances_argmin(flat, flat[np.asarray(chosen, int)])
    return np.bincount(nearest, minlength=len(np.asarray(chosen))) / len(flat)


def _principal(values: ArrayLike, components: int, seed: int) -> np.ndarray:
    """Flat samples, reduced to principal components where they have more axes; NaN counts as 0."""
    from sklearn.decomposition import PCA

    array = np.nan_to_num(np.asarray(values, np.float32))
    flat = array.reshape(len(array), -1)
    if min(flat.shape) <= components:
        return flat
    return PCA(components, svd_solver="randomized", random_state=seed).fit_transform(flat)


def save_background(path: str | Path, values: ArrayLike, weights: ArrayLike | None = None) -> None:
    """Write a background file.

    Parameters
    ----------
    path : path
        An .npz file.
    values : (n, ...) array
        Model inputs.
    weights : (n,) array, optional
        Equal where not given.
    """
    values = np.asarray(values)
    weights = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    with replacing(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, background=values, weights=weights / weights.sum())


def load_background(path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a background file: .npz of `save_background`, or .npy with the samples alone.

    Returns
    -------
    values : (n, ...) array
        Model inputs.
    weights : (n,) array
        Weights that sum to 1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds no background.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such background file")
    try:
        content = np.load(path, allow_pickle=False)
        values = content if isinstance(content, np.ndarray) else content["background"]
        given = None if isinstance(content, np.ndarray) else content.get("weights")
    except (ValueError, KeyError, OSError, EOFError) as error:
        raise ValueError(
            f"{path}: expected an array 'background' in a .npz file, or a .npy file "
            f"(got {str(error).splitlines()[0]})"
        ) from error
    weights = np.ones(len(values)) if given is None else np.asarray(given, float)
    if len(values) == 0 or weights.shape != (len(values),) or weights.sum() <= 0:
        raise ValueError(
            f"{path}: expected as many weights as samples (got {weights.shape}, {values.shape})"
        )
    return values, weights / weights.sum()


def by_size(
    explanation: Explanation, sizes: Sequence[int] | None = None, seed: int = 1234
) -> dict[int, Explanation]:
    """Give the joint scores that smaller backgrounds would have led to, from one SHAP explanation.

    Parameters
    ----------
    explanation
        A SHAP explanation with "joint_by_background".
    sizes
        Background sizes; by default 1, 2, 5, 10, 20, 50 ... and all.
    seed
        Of the order in which the background grows: each size contains the smaller ones.

    Returns
    -------
    dict
        Size -> explanation over (sample, joint), as `ranking.convergence` takes it.
    """
    if "joint_by_background" not in explanation.dataset:
        raise ValueError(f"explanation {explanation.name!r} holds no 'joint_by_background'")
    scores = explanation.dataset["joint_by_background"]
    total = scores.sizes["background"]
    usual = [k for k in (1, 2, 5, 10, 20, 50, 100, 200, 500) if k < total]
    order = np.random.default_rng(seed).permutation(total)
    rest = explanation.dataset.drop_dims(
        [str(d) for d in explanation.dataset.dims if d not in ("sample", "joint")]
    )
    return {
        size: Explanation(
            rest.assign(attribution=scores.isel(background=order[:size]).mean("background"))
        )
        for size in (sizes or [*usual, total])
    }
