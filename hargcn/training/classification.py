"""How well a network classifies: the usual measures, per window and per recording."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from sklearn.metrics import (
    confusion_matrix,
    multilabel_confusion_matrix,
    roc_auc_score,
    roc_curve,
)
from torch import Tensor

from hargcn.data.windows import Windows
from hargcn.files import track
from hargcn.networks.network import SkeletonNetwork
from hargcn.training.batches import Batches, check, steps
from hargcn.training.intervals import clopper_pearson, limits, mean_defined
from hargcn.training.intervals import intervals as bootstrapped

Aggregate = Literal["mean", "median"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network's probabilities for some windows and how good they are.

    Parameters
    ----------
    windows, recordings
        The figures of `classification` (or of `training.outcomes`), once over windows, once over
        recordings, where a recording's probabilities aggregate those of its windows; with
        `subjects` and their `interval` [low, high] by figure (see `training.intervals`), unless
        left out. Windows of classes have `roc_auc_weighted` too, in which every recording weighs
        the same however many windows it has; recordings their `exact_interval`.
    labels
        (N,) int, one per window; outcomes (N, output) of a regression and of several labels.
    probabilities
        (N, classes); values of a regression, log-odds of levels, probabilities of several labels.
    samples, groups
        (N,) the recording and the subject of every window.
    settings
        Aggregate and threshold.
    """

    windows: dict[str, Any]
    recordings: dict[str, Any]
    labels: np.ndarray
    probabilities: np.ndarray
    samples: np.ndarray
    groups: np.ndarray
    settings: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and figures as plain JSON values; undefined ones are None."""
        return {**self.settings, "windows": self.windows, "recordings": self.recordings}

    def to_json(self) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), indent=1)


def classification_report(
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
    """Judge a network by labelled windows.

    Parameters
    ----------
    model
        The network; it is moved to `device`, its training flags are restored.
    windows
        What to classify.
    batch_size
        Windows per forward pass.
    device
        Where to compute.
    aggregate
        How a recording's probabilities come from those of its windows.
    threshold
        With two classes, the probability from which on the second class is predicted; by default
        the more probable class is.
    intervals
        Whether to compute intervals.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        No windows, another skeleton or other classes than the network's, missing labels.
    """
    batches = windows if isinstance(windows, Batches) else Batches(windows)
    data = batches.windows
    check(model, data)
    p = predict(model, batches, batch_size, device, progress)
    return evaluation(
        data.label,
        p,
        data.sample,
        data.group,
        model.classes,
        aggregate=aggregate,
        threshold=threshold,
        intervals=intervals,
    )


def chosen_threshold(
    model: SkeletonNetwork,
    windows: Windows,
    device: str | torch.device = "cpu",
    aggregate: Aggregate = "mean",
    progress: bool = False,
) -> float:
    """Return the threshold that suits the recordings of labelled windows best, by `youden`.

    Parameters
    ----------
    model, windows, device, aggregate, progress
        As for `classification_report`; other windows than those that the threshold shall judge.

    Raises
    ------
    ValueError
        As `classification_report` and `youden`; for other outputs than classes.
    """
    if model.outputs.kind != "classes":
        raise ValueError(
            f"Expected two classes with a threshold (got {model.outputs.kind} outputs)"
        )
    batches = Batches(windows)
    check(model, windows)
    p = predict(model, batches, device=device, progress=progress)
    _, labels, probabilities = by_recording(windows.sample, windows.label, p, aggregate)
    return youden(labels, probabilities)


def evaluation(
    labels: np.ndarray,
    probabilities: np.ndarray,
    samples: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    *,
    aggregate: Aggregate = "mean",
    threshold: float | None = None,
    intervals: bool = True,
) -> Evaluation:
    """Return the figures of windows and of their recordings.

    Parameters
    ----------
    labels
        (N,) int, one per window.
    probabilities
        (N, classes).
    samples, groups
        (N,) the recording and the subject of every window.
    classes
        Their names.
    aggregate, threshold, intervals
        As for `classification_report`.
    """
    _, first = np.unique(samples, return_index=True)
    _, recording_labels, recording_p = by_recording(samples, labels, probabilities, aggregate)
    levels = {
        "windows": (labels, probabilities, groups),
        "recordings": (recording_labels, recording_p, groups[first]),
    }
    found = {}
    for level, (true, p, subjects) in levels.items():
        found[level] = classification(true, p, classes, threshold)
        if intervals:
            limited = limits(bootstrapped(true, _predicted(p, threshold), p, subjects))
            found[level] |= {"subjects": len(np.unique(subjects)), "interval": limited}
    _, recording, count = np.unique(samples, return_inverse=True, return_counts=True)
    weighted = _aucs(labels, probabilities, 1 / count[recording])
    found["windows"]["roc_auc_weighted"] = plain_values(_summary(weighted))
    if intervals:
        confusion = np.array(found["recordings"]["confusion"])
        found["recordings"]["exact_interval"] = clopper_pearson(confusion)
    return Evaluation(
        **found,
        labels=labels,
        probabilities=probabilities,
        samples=samples,
        groups=groups,
        settings={"aggregate": aggregate, "threshold": threshold},
    )


def predict(
    model: SkeletonNetwork,
    batches: Batches,
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Return the probabilities (N, classes) of all windows, in float64."""
    return run(model, batches, partial(torch.softmax, dim=1), batch_size, device, progress)


def run(
    model: SkeletonNetwork,
    batches: Batches,
    last: Callable[[Tensor], Tensor],
    batch_size: int = 64,
    device: str | torch.device = "cpu",
    progress: bool = False,
) -> np.ndarray:
    """Return what a last step makes of the outputs (N, output) of all windows, in float64."""
    training = [module for module in model.modules() if module.training]
    model.to(device).eval()
    order = np.arange(len(batches))
    rows = []
    try:
        with torch.inference_mode():
            for positions, valid, _ in track(
                batches.in_order(order, batch_size),
                "classifying",
                steps(len(order), batch_size),
                progress,
            ):
                x = model.features(positions.to(device), valid.to(device))
                rows.append(last(model(x).double()).cpu().numpy())
    finally:
        for module in training:
            module.training = True
    return np.concatenate(rows)


def by_recording(
    samples: np.ndarray, labels: np.ndarray, probabilities: np.ndarray, how: Aggregate = "mean"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Aggregate windows to recordings.

    Parameters
    ----------
    samples
        (N,) the recording of every window.
    labels
        (N,) int.
    probabilities
        (N, classes).
    how
        Mean of the probabilities, or their median scaled to a sum of 1.

    Returns
    -------
    tuple of numpy.ndarray
        Names (R,), labels (R,) and probabilities (R, classes) of the recordings, sorted by name.

    Raises
    ------
    ValueError
        If two windows of a recording have different labels.
    """
    names, first, group = np.unique(samples, return_index=True, return_inverse=True)
    mixed = np.flatnonzero(labels != labels[first][group])
    if len(mixed):
        raise ValueError(
            f"Expected one label per recording (got different ones in {samples[mixed[0]]})"
        )
    at = np.argsort(group, kind="stable")
    parts = np.split(probabilities[at], np.cumsum(np.bincount(group))[:-1])
    scores = np.stack([getattr(np, how)(part, axis=0) for part in parts])
    return names, labels[first], scores / scores.sum(axis=1, keepdims=True)


def classification(
    labels: np.ndarray,
    probabilities: np.ndarray,
    classes: Sequence[str],
    threshold: float | None = None,
) -> dict[str, Any]:
    """Return the usual measures of a classification.

    Parameters
    ----------
    labels
        (N,) int.
    probabilities
        (N, classes), rows sum to 1.
    classes
        Their names.
    threshold
        With two classes, the probability from which on the second class is predicted.

    Returns
    -------
    dict
        `n`, `accuracy`, `top5` (more than five classes), `balanced_accuracy` (over the classes that
        occur), `loss` (cross-entropy, nats), `roc_auc`, `sensitivity`, `specificity`, `ppv`,
        `npv`, `f1`; `per_class` (the same one-vs-rest, and `support`) and `confusion` (rows: true).
        With two classes the second is the positive one; with more, the measures are means over the
        classes in which they are defined. What is undefined (a class does not occur, or is never
        predicted) is None.

    Raises
    ------
    ValueError
        If shapes do not match, or a threshold is given for other than two classes.
    """
    n, k = probabilities.shape
    if len(labels) != n or k != len(classes) or not n:
        raise ValueError(
            f"Expected probabilities ({len(labels)}, {len(classes)}) (got {probabilities.shape})"
        )
    if threshold is not None and k != 2:
        raise ValueError(f"Expected two classes with a threshold (got {k})")
    predicted = _predicted(probabilities, threshold)
    per_class = _one_vs_rest(labels, predicted, probabilities)
    summary = {name: _summary(values) for name, values in per_class.items() if name != "support"}
    own = probabilities[np.arange(n), labels]
    better = (probabilities > own[:, None]).sum(axis=1)
    figures = {
        "n": n,
        "accuracy": float((predicted == labels).mean()),
        "top5": float((better < 5).mean()) if k > 5 else math.nan,
        "balanced_accuracy": mean_defined(per_class["sensitivity"]),
        "loss": float(-np.log(np.maximum(own, np.finfo(float).tiny)).mean()),
        **summary,
        "per_class": {
            name: {measure: values[i] for measure, values in per_class.items()}
            for i, name in enumerate(classes)
        },
        "confusion": confusion_matrix(labels, predicted, labels=range(k)).tolist(),
    }
    return plain_values(figures)


def youden(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Return the threshold with the largest sensitivity + specificity - 1 (Youden 1950).

    Parameters
    ----------
    labels
        (N,) int, 1 for the positive class.
    probabilities
        (N, 2).

    Returns
    -------
    float
        A probability of the positive class; of several equally good ones the largest. It is chosen
        on these rows and says nothing about them: judge others by it.

    Raises
    ------
    ValueError
        For other than two classes, and where one of them does not occur.
    """
    if probabilities.shape[1] != 2:
        raise ValueError(f"Expected two classes with a threshold (got {probabilities.shape[1]})")
    if len(np.unique(labels)) != 2:
        raise ValueError(
            f"Expected both classes in the windows that choose a threshold (got {len(labels)} "
            "recordings of one)"
        )
    wrong, right, thresholds = roc_curve(labels, probabilities[:, 1], drop_intermediate=False)
    return float(thresholds[1:][np.argmax((right - wrong)[1:])])


def _predicted(probabilities: np.ndarray, threshold: float | None) -> np.ndarray:
    if threshold is None:
        return probabilities.argmax(axis=1)
    return (probabilities[:, 1] >= threshold).astype(int)


def _one_vs_rest(
    labels: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray
) -> dict[str, np.ndarray]:
    """Return every measure of each class against the rest, (classes,), NaN where undefined."""
    k = probabilities.shape[1]
    counts = multilabel_confusion_matrix(labels, predicted, labels=range(k)).astype(float)
    (tn, fp), (fn, tp) = counts.transpose(1, 2, 0)
    with np.errstate(invalid="ignore"):
        return {
            "support": (tp + fn).astype(int),
            "roc_auc": _aucs(labels, probabilities),
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "ppv": tp / (tp + fp),
            "npv": tn / (tn + fn),
            "f1": 2 * tp / (2 * tp + fp + fn),
        }


def _aucs(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray | None = None
) -> np.ndarray:
    """Return the ROC-AUC of each class against the rest, (classes,), NaN where undefined."""
    ones = [labels == i for i in range(probabilities.shape[1])]
    return np.array(
        [
            roc_auc_score(one, p, sample_weight=weights) if 0 < one.sum() < len(one) else math.nan
            for one, p in zip(ones, probabilities.T, strict=True)
        ]
    )


def _summary(values: np.ndarray) -> float:
    """Return a measure of all classes: that of the second of two, else the mean."""
    return float(values[1]) if len(values) == 2 else mean_defined(values)


def plain_values(value: Any) -> Any:
    """Return plain Python values, None for NaN."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value
