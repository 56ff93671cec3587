"""How good answers are, from figures of groups that add up: rates of a confusion, and ROC-AUC.

Both are written so that resampling whole groups needs the groups' figures only, not the samples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

RATES = ("sensitivity", "specificity", "ppv", "npv", "f1")
"""What `rates` returns: of the second of two classes, else means over the classes."""


def counts(answers: np.ndarray, labels: np.ndarray, classes: int, groups: np.ndarray) -> np.ndarray:
    """Count answers per group and class.

    Parameters
    ----------
    answers
        (..., sample, draw) the class that was answered.
    labels
        (sample,) the true one.
    classes
        How many there are.
    groups
        (sample,) numbers of the groups, from 0 on without a gap.

    Returns
    -------
    numpy.ndarray
        (group, ..., class, 4): samples of which the class is rightly answered, answered, and true,
        and all samples; shares of the draws, where there are several.
    """
    member = np.eye(groups.max() + 1)[groups]  # (sample, group)
    per_class = []
    for each in range(classes):
        said, true = (answers == each).mean(-1), (labels == each).astype(float)
        shape = (*said.shape[:-1], member.shape[1])
        given = [np.broadcast_to(v @ member, shape) for v in (true, np.ones(len(labels)))]
        per_class.append(np.stack([(said * true) @ member, said @ member, *given], axis=-1))
    return np.moveaxis(np.stack(per_class, axis=-2), -3, 0)


def rates(counted: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the `RATES` (..., rate) of counts that are added up over an axis of groups.

    With two classes the second is the positive one. With more, each class is taken against the
    rest, and its figures are averaged over the classes in which they are defined (macro average):
    one that does not occur has no sensitivity, one that is never answered no PPV. NaN where no
    class has it.
    """
    right, said, true, everything = np.moveaxis(np.asarray(counted, float).sum(axis), -1, 0)
    other, missed = said - right, true - right
    none = everything - said - missed
    with np.errstate(invalid="ignore"):
        each = [
            right / true,
            none / (none + other),
            right / said,
            none / (none + missed),
            2 * right / (2 * right + other + missed),
        ]
    return np.stack([v[..., 1] if v.shape[-1] == 2 else _mean(v) for v in each], axis=-1)


def concordance(scores: xr.DataArray, labels: np.ndarray, groups: np.ndarray) -> xr.DataArray:
    """Compare scores of samples of a class with those of all others, per pair of groups.

    Parameters
    ----------
    scores
        (..., sample, class), `class` holding the numbers of classes.
    labels, groups
        (sample,) the true class, and the number of the group, from 0 on without a gap.

    Returns
    -------
    xarray.DataArray
        (group, ..., class, figure), for `auc`: of the group's samples of the class how often they
        are above (ties: half) the others of each group; how many these are, how many others the
        group has, and which group it is.
    """
    member = np.eye(groups.max() + 1)[groups]
    size = member.shape[1]
    data = scores.transpose(..., "sample", "class")
    found = []
    for column, each in enumerate(data["class"].to_numpy()):
        own = labels == each
        rows = data.to_numpy()[..., column].reshape(-1, len(labels))
        pairs = np.stack([_above(row[own], row[~own], member[own], member[~own]) for row in rows])
        about = np.column_stack([member[own].sum(0), member[~own].sum(0), np.eye(size)])
        about = np.broadcast_to(about, (len(rows), *about.shape))
        found.append(np.concatenate([pairs, about], axis=-1))
    shape = [data.sizes[dim] for dim in data.dims[:-2]]
    stacked = np.stack(found, axis=2).reshape(*shape, size, len(found), -1)
    named = xr.DataArray(stacked, dims=(*data.dims[:-2], "group", "class", "figure"))
    return named.transpose("group", ..., "class", "figure")


def auc(figures: np.ndarray, axis: int = 0) -> np.ndarray:
    """Return the ROC-AUC (...) of what `concordance` says of groups, each as often as it is there.

    The mean over the classes, each against all others, in which it is defined.
    """
    total = np.asarray(figures).sum(axis)
    size = (total.shape[-1] - 2) // 2
    above = (total[..., :size] * total[..., size + 2 :]).sum(-1)
    with np.errstate(invalid="ignore"):
        return _mean(above / (total[..., size] * total[..., size + 1]))


def numbered(groups: Sequence[str] | np.ndarray | None, samples: int) -> np.ndarray:
    """Return the number of each sample's group; without groups each is its own."""
    if groups is None:
        return np.arange(samples)
    return np.unique(np.asarray(groups), return_inverse=True)[1]


def _above(own: np.ndarray, other: np.ndarray, mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return (group, group) how often scores are above others, where members (n, group) are."""
    pairs = (own[:, None] > other) + 0.5 * (own[:, None] == other)
    return np.asarray(mine.T @ pairs @ theirs)


def _mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis of what is defined, NaN where nothing is."""
    known = np.isfinite(values)
    count = known.sum(-1)
    total = np.where(known, values, 0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
