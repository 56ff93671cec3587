"""How well a network says numbers, levels and labels: figures per window and per recording."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, confusion_matrix, f1_score, roc_auc_score

from hargcn.analysis.statistics import Interval, cluster_bootstrap
from hargcn.data.windows import Windows
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import Kind, Outputs
from hargcn.training.batches import Batches, check
from hargcn.training.classification import (
    Aggregate,
    Evaluation,
    classification_report,
    plain_values,
    run,
)
from hargcn.training.intervals import limits

log = logging.getLogger(__name__)


def judge(
    model: SkeletonNetwork,
    windows: Windows | Batches,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    *,
    aggregate: Aggregate = "mean",
    threshold: float | None = None,
    intervals: bool = True,
    progress: bool = False,
) -> Evaluation:
    """Judge a network by windows of known outcome, whatever its outputs are.

    Parameters
    ----------
    model, windows, batch_size, device, aggregate, threshold, intervals, progress
        As for `classification_report`. A recording's outputs aggregate those of its windows: values
        of a regression, log-odds of levels, probabilities of labels.

    Raises
    ------
    ValueError
        As `classification_report`; for a threshold with other outputs than classes, and recordings
        whose windows have different outcomes.
    """
    outputs = model.outputs
    if outputs.kind == "classes":
        return classification_report(
            model, windows, batch_size, device,
            aggregate=aggregate, threshold=threshold, intervals=intervals, progress=progress,
        )  # fmt: skip
    if threshold is not None:
        raise ValueError(f"Expected two classes with a threshold (got {outputs.kind} outputs)")
    batches = windows if isinstance(windows, Batches) else Batches(windows)
    data = batches.windows
    check(model, data)
    said = run(model, batches, lambda out: out, batch_size, device, progress)
    said = expit(said) if outputs.kind == "multi-label" else said
    scale = (
        getattr(getattr(model, "head", None), "scale", torch.ones(len(outputs.names)))
        .double()
        .cpu()
        .numpy()
    )
    return outcome_evaluation(
        data.wanted, said, data.sample, data.group, outputs, scale,
        aggregate=aggregate, intervals=intervals,
    )  # fmt: skip


def outcome_evaluation(
    wanted: np.ndarray,
    said: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    outputs: Outputs,
    scale: np.ndarray,
    *,
    aggregate: Aggregate = "mean",
    intervals: bool = True,
) -> Evaluation:
    """Return the figures of windows and of their recordings, of other outputs than classes.

    Parameters
    ----------
    wanted, said
        Known outcomes, and what was said of them, as in `regression`, `ordinal`, `multi_label`.
    samples, groups
        (N,) the recording and the subject of every window.
    outputs
        What the outcomes are.
    scale
        (output,) standard deviations, the unit of a regression's loss.
    aggregate, intervals
        As for `judge`.

    Raises
    ------
    ValueError
        For a recording whose windows have different outcomes.
    """
    first, own, answers = outcomes_by_recording(samples, wanted, said, aggregate)
    levels = {"windows": (wanted, said, groups), "recordings": (own, answers, groups[first])}
    found = {}
    for level, (true, answered, who) in levels.items():
        found[level] = _FIGURES[outputs.kind](true, answered, outputs, scale)
        if intervals:
            limited = limits(_intervals(_ROWS[outputs.kind](true, answered), who))
            found[level] |= {"subjects": len(np.unique(who)), "interval": limited}
    return Evaluation(
        **found,
        labels=wanted,
        probabilities=said,
        samples=samples,
        groups=groups,
        settings={"aggregate": aggregate, "outputs": outputs.to_dict()},
    )


def mean_over_folds(
    wanted: np.ndarray, said: np.ndarray, outputs: Outputs, groups: np.ndarray, folds: np.ndarray
) -> dict[str, Any]:
    """Return the means of figures over the folds of a cross-fitting in which they are defined.

    Parameters
    ----------
    wanted, said, outputs
        As for `outcome_evaluation`.
    groups, folds
        (N,) subject and fold of every row.

    Returns
    -------
    dict
        Every figure but counts and the loss, None where undefined; `interval` of those that are
        means of rows, where a fold counts as often as its rows are drawn.
    """
    unit = np.ones(len(outputs.names))
    parts = [folds == fold for fold in np.unique(folds)]
    each = [_FIGURES[outputs.kind](wanted[own], said[own], outputs, unit) for own in parts]
    names = [n for n, one in each[0].items() if n not in ("n", "loss") and not _nested(one)]
    means = {}
    for name in names:
        defined = [one[name] for one in each if one[name] is not None]
        means[name] = float(np.mean(defined)) if defined else None
    sizes = {float(fold): int((folds == fold).sum()) for fold in np.unique(folds)}
    rows = {
        name: np.column_stack([values, folds])
        for name, values in _ROWS[outputs.kind](wanted, said).items()
        if not np.isnan(values).all()
    }
    found = {
        name: cluster_bootstrap(values, groups, partial(_mean_of_folds, sizes=sizes))
        for name, values in rows.items()
    }
    return {**means, "interval": limits(found)}


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)


def _mean_of_folds(rows: np.ndarray, *, axis: int, sizes: Mapping[float, int]) -> float:
    """Return the mean over folds (the last column), each weighed by how much of it was drawn."""
    found, weights = [], []
    for fold in np.unique(rows[:, -1]):
        own = rows[rows[:, -1] == fold, :-1]
        mean = _mean_of_means(own, axis=axis)
        if not math.isnan(mean):
            found.append(mean)
            weights.append(len(own) / sizes[float(fold)])
    return float(np.average(found, weights=weights)) if found else math.nan


def of_known_outcome(windows: Windows) -> Windows:
    """Return the windows that can teach or judge; of classes all, for each must have a label.

    Raises
    ------
    ValueError
        Where no outcome is known.
    """
    if windows.outputs.kind == "classes" or windows.known.all():
        return windows
    known = np.flatnonzero(windows.known)
    if not len(known):
        raise ValueError(f"{windows.path}: expected windows of known outcome (got none)")
    log.info("%s: %d windows of unknown outcome left out", windows.path, len(windows) - len(known))
    return windows.subset(known)


def regression(
    wanted: np.ndarray, said: np.ndarray, outputs: Outputs, scale: np.ndarray
) -> dict[str, Any]:
    """Return the usual measures of a regression.

    Parameters
    ----------
    wanted, said
        (N, output) outcomes, NaN where not known, and what the network says, in the same units.
    outputs
        Their names.
    scale
        (output,) standard deviations, the unit of the loss.

    Returns
    -------
    dict
        `n`, `loss` (Huber, errors in standard deviations), `mae`, `rmse`, `r2`, `pearson`,
        `spearman`; `per_output` (the same, and its own `n`). With several outputs the measures are
        means over those where they are defined. What is undefined (no two different outcomes) is
        None.
    """
    each = {
        name: _one_value(wanted[:, at].astype(float), said[:, at], float(scale[at]))
        for at, name in enumerate(outputs.names)
    }
    return plain_values({"n": len(wanted), **_means(each), "per_output": each})


def ordinal(
    wanted: np.ndarray, said: np.ndarray, outputs: Outputs, _scale: np.ndarray
) -> dict[str, Any]:
    """Return the usual measures of levels in order.

    Parameters
    ----------
    wanted, said
        (N,) levels, and (N, level - 1) log-odds that a level is reached.
    outputs
        Names of the levels.

    Returns
    -------
    dict
        `n`, `loss` (binary cross-entropy summed over levels, nats), `accuracy`, `mae` (in levels),
        `kappa` (Cohen's, weighted by the squared distance), `spearman` (of the score); `confusion`
        (rows: true).
    """
    levels = range(len(outputs.names))
    predicted = (said > 0).sum(axis=1)
    reached = wanted[:, None] > np.arange(said.shape[1])
    loss = np.logaddexp(0, np.where(reached, -said, said)).sum(axis=1)
    same = len(np.unique(np.concatenate([wanted, predicted]))) < 2
    return plain_values(
        {
            "n": len(wanted),
            "loss": float(loss.mean()),
            "accuracy": float((predicted == wanted).mean()),
            "mae": float(np.abs(predicted - wanted).mean()),
            "kappa": math.nan if same else float(_kappa(wanted, predicted, levels)),
            "spearman": _rank(wanted.astype(float), said[:, 0]),
            "confusion": confusion_matrix(wanted, predicted, labels=levels).tolist(),
        }
    )


def multi_label(
    wanted: np.ndarray, said: np.ndarray, outputs: Outputs, _scale: np.ndarray
) -> dict[str, Any]:
    """Return the usual measures of several labels at once.

    Parameters
    ----------
    wanted, said
        (N, label) 0 and 1, NaN where not known, and probabilities. A label is said from 0.5 on.
    outputs
        Names of the labels.

    Returns
    -------
    dict
        `n`, `loss` (binary cross-entropy, nats), `roc_auc`, `f1`, `accuracy`, `sensitivity`,
        `specificity` (means over the labels where they are defined), `micro_f1` (over all answers),
        `exact_match` (of windows of which every label is known); `per_output` (the same of every
        label, `n`, and `support`, how often it is there).
    """
    each = {name: _one_label(wanted[:, at], said[:, at]) for at, name in enumerate(outputs.names)}
    known, there = ~np.isnan(wanted), wanted == 1
    right = ((said >= 0.5) == there)[known.all(axis=1)].all(axis=1)
    micro = f1_score(there[known], said[known] >= 0.5, zero_division=np.nan)
    means = {name: value for name, value in _means(each).items() if name != "support"}
    whole = {
        "micro_f1": float(micro),
        "exact_match": float(right.mean()) if len(right) else math.nan,
    }
    return plain_values({"n": len(wanted), **means, **whole, "per_output": each})


_FIGURES: Mapping[Kind, Callable[..., dict[str, Any]]] = {
    "regression": regression,
    "ordinal": ordinal,
    "multi-label": multi_label,
}


def outcomes_by_recording(
    samples: np.ndarray, wanted: np.ndarray, said: np.ndarray, how: Aggregate
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aggregate windows to recordings, sorted by name.

    Parameters
    ----------
    samples
        (N,) the recording of every window.
    wanted, said
        As for `outcome_evaluation`.
    how
        "mean" or "median" of what is said.

    Returns
    -------
    tuple of numpy.ndarray
        The number (R,) of each recording's first window, its outcome, and what is said of it.

    Raises
    ------
    ValueError
        For a recording whose windows have different outcomes.
    """
    _, first, group = np.unique(samples, return_index=True, return_inverse=True)
    alike = (wanted == wanted[first][group]) | (
        np.isnan(wanted.astype(float)) & np.isnan(wanted[first][group].astype(float))
    )
    mixed = np.flatnonzero(~alike.reshape(len(alike), -1).all(axis=1))
    if len(mixed):
        raise ValueError(
            f"Expected one outcome per recording (got different ones in {samples[mixed[0]]})"
        )
    at = np.argsort(group, kind="stable")
    parts = np.split(said[at], np.cumsum(np.bincount(group))[:-1])
    return first, wanted[first], np.stack([getattr(np, how)(part, axis=0) for part in parts])


def _intervals(rows: Mapping[str, np.ndarray], groups: np.ndarray) -> dict[str, Interval]:
    """Return figures that are means of rows (N, output) with intervals clustered by subject."""
    return {
        name: cluster_bootstrap(each, groups, _mean_of_means)
        for name, each in rows.items()
        if not np.isnan(each).all()
    }


def _mean_of_means(rows: np.ndarray, *, axis: int) -> float:
    """Return the mean over outputs of their means over the rows that know them."""
    known = ~np.isnan(rows)
    count = known.sum(axis=axis)
    means = np.where(known, rows, 0).sum(axis=axis) / np.maximum(count, 1)
    return float(means[count > 0].mean()) if count.any() else math.nan


def _rows_of_values(wanted: np.ndarray, said: np.ndarray) -> dict[str, np.ndarray]:
    return {"mae": np.abs(said - wanted)}


def _rows_of_levels(wanted: np.ndarray, said: np.ndarray) -> dict[str, np.ndarray]:
    apart = np.abs((said > 0).sum(axis=1) - wanted)[:, None].astype(float)
    return {"accuracy": (apart == 0).astype(float), "mae": apart}


def _rows_of_labels(wanted: np.ndarray, said: np.ndarray) -> dict[str, np.ndarray]:
    unknown = np.isnan(wanted)
    right = np.where(unknown, np.nan, (said >= 0.5) == (wanted == 1))
    return {"accuracy": right, "exact_match": right.min(axis=1, keepdims=True)}


_ROWS: Mapping[Kind, Callable[..., dict[str, np.ndarray]]] = {
    "regression": _rows_of_values,
    "ordinal": _rows_of_levels,
    "multi-label": _rows_of_labels,
}


def _one_value(wanted: np.ndarray, said: np.ndarray, scale: float) -> dict[str, float]:
    known = ~np.isnan(wanted)
    wanted, error = wanted[known], (said - wanted)[known]
    if not len(wanted):
        nothing = ("loss", "mae", "rmse", "r2", "pearson", "spearman")
        return {"n": 0, **dict.fromkeys(nothing, math.nan)}
    size = np.abs(error) / scale
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    return {
        "n": len(wanted),
        "loss": float(np.where(size <= 1, size**2 / 2, size - 0.5).mean()),
        "mae": float(np.abs(error).mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "r2": 1 - float((error**2).sum()) / spread if spread else math.nan,
        "pearson": _linear(wanted, said[known]),
        "spearman": _rank(wanted, said[known]),
    }


def _one_label(wanted: np.ndarray, said: np.ndarray) -> dict[str, float]:
    known = ~np.isnan(wanted)
    there, p = wanted[known] == 1, said[known]
    own = np.maximum(np.where(there, p, 1 - p), np.finfo(float).tiny)
    right, positive = (p >= 0.5) == there, int(there.sum())
    both = 0 < positive < len(there)
    answered = positive + int((p >= 0.5).sum())
    return {
        "n": len(there),
        "support": positive,
        "loss": float(-np.log(own).mean()) if len(own) else math.nan,
        "accuracy": float(right.mean()) if len(own) else math.nan,
        "roc_auc": float(roc_auc_score(there, p)) if both else math.nan,
        "f1": 2 * float((right & there).sum()) / answered if answered else math.nan,
        "sensitivity": float(right[there].mean()) if positive else math.nan,
        "specificity": float(right[~there].mean()) if positive < len(there) else math.nan,
    }


def _means(each: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Return the means of figures over the outputs in which they are defined."""
    names = [name for name in next(iter(each.values())) if name != "n"]
    found = {}
    for name in names:
        values = [one[name] for one in each.values() if not math.isnan(one[name])]
        found[name] = float(np.mean(values)) if values else math.nan
    return found


def _kappa(wanted: np.ndarray, predicted: np.ndarray, levels: range) -> float:
    return cohen_kappa_score(wanted, predicted, labels=levels, weights="quadratic")


def _linear(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else math.nan


def _rank(a: np.ndarray, b: np.ndarray) -> float:
    return float(spearmanr(a, b).statistic) if np.ptp(a) and np.ptp(b) else math.nan
