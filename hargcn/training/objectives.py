"""What a training makes small, for every kind of outputs, and the figure that people watch.

Outcomes that are not known (NaN) count neither in a loss nor in a figure.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hargcn.checks import one_of
from hargcn.data.windows import Windows
from hargcn.networks.heads import ValueHead
from hargcn.networks.stgcn import MultiBranchSTGCN
from hargcn.outputs import Kind, Outputs
from hargcn.training.optimisation import TrainConfig

log = logging.getLogger(__name__)

MONITORS: dict[Kind, tuple[str, ...]] = {
    "classes": ("accuracy", "balanced_accuracy", "roc_auc", "f1"),
    "regression": ("loss", "mae", "rmse", "r2", "spearman"),
    "ordinal": ("loss", "mae", "accuracy", "kappa", "spearman"),
    "multi-label": ("loss", "roc_auc", "f1", "exact_match"),
}
"""Validation figures that can choose an epoch, by the kind of outputs; a log shows them."""

LOWER = ("loss", "mae", "rmse")
"""Those of which less is better."""

_USUAL: dict[Kind, str] = {
    "classes": "accuracy", "regression": "loss", "ordinal": "mae", "multi-label": "roc_auc",
}  # fmt: skip


_VARIED = ("roc_auc", "f1", "r2", "spearman", "kappa")
"""Those that say nothing where all outcomes are alike."""


def monitored(config: TrainConfig, outputs: Outputs) -> str:
    """Return the validation figure that chooses an epoch.

    Raises
    ------
    ValueError
        For a figure that there is not for such outputs.
    """
    if config.monitor is None:
        two = outputs.kind == "classes" and len(outputs.columns) == 2
        return "roc_auc" if two else _USUAL[outputs.kind]
    return one_of(f"train.monitor for {outputs.kind}", config.monitor, MONITORS[outputs.kind])


def expect_monitored(monitor: str, val: Windows) -> None:
    """Refuse validation windows that leave a figure undefined, whatever a network says of them.

    Raises
    ------
    ValueError
        Says what they have in common, and what can be done.
    """
    wanted = val.wanted.reshape(len(val), -1).astype(float)
    known = ~np.isnan(wanted)
    kind = val.outputs.kind
    what = {"classes": "more than one class", "ordinal": "more than one level"}.get(
        kind, "different outcomes"
    )
    if monitor == "exact_match":
        fine, what = bool(known.all(axis=1).any()), "which every label is known"
    else:
        alike = [len(np.unique(each[own])) < 2 for each, own in zip(wanted.T, known.T, strict=True)]
        fine = monitor not in _VARIED or not all(alike)
    if fine:
        return
    other = next(name for name in MONITORS[kind] if name not in _VARIED)
    found = f"all of {val.classes[val.label[0]]!r}" if val.outputs.listed else "none"
    raise ValueError(
        f"{val.path}: expected validation windows of {what}, to choose the epoch by {monitor} (got "
        f"{len(val)}, {found}): set train.monitor={other}, or put others into the set val "
        "(hargcn prepare --val)"
    )


@dataclass(frozen=True)
class Objective:
    """A loss, and a figure of the training windows for the log.

    Attributes
    ----------
    loss
        From outputs (n, output) and what is wanted, (n,) or (n, output), to a mean over windows.
    figure
        The figure's name.
    good
        From the same to its sum over the windows.
    """

    loss: nn.Module
    figure: str
    good: Callable[[Tensor, Tensor], Tensor]


def objective(
    config: TrainConfig, model: MultiBranchSTGCN, train: Windows, new: bool = True
) -> Objective:
    """Return what a network is trained by; say which classes, levels or labels no window shows.

    Parameters
    ----------
    config, train
        How, and by which windows.
    model
        The network.
    new
        Let the head of a regression take its units from these windows; a network that learned
        others keeps them.

    Raises
    ------
    ValueError
        For too few windows, outcomes that do not differ, weights of the classes that do not fit.
    """
    if len(train) < 2:
        raise ValueError(f"{train.path}: expected at least 2 training windows (got {len(train)})")
    outputs, smoothing = model.outputs, config.label_smoothing
    if outputs.kind == "regression":
        _expect_spread(train, config)
        assert isinstance(model.head, ValueHead)
        if new:
            model.head.learn_units(torch.from_numpy(train.wanted).to(model.head.mean.device))
        return Objective(ValueLoss(model.head.scale), "mae", _absolute_errors)
    if outputs.kind == "multi-label":
        return Objective(LabelLoss(_label_weights(config, train), smoothing), "accuracy", _labels)
    weights = _class_weights(config, train, outputs.names)
    if outputs.kind == "ordinal":
        return Objective(LevelLoss(weights, smoothing), "accuracy", _levels)
    return Objective(nn.CrossEntropyLoss(weights, label_smoothing=smoothing), "accuracy", _hits)


class ValueLoss(nn.Module):
    """Huber's loss of errors in standard deviations of the outcomes: quadratic below one of them.

    A few outcomes far off pull less than squares would (Huber 1964).

    Parameters
    ----------
    scale
        (output,) standard deviations.
    """

    scale: Tensor

    def __init__(self, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.detach().clone())

    def forward(self, out: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean over what is known of (n, output)."""
        known = ~wanted.isnan()
        aim = torch.where(known, wanted, out.detach())
        each = functional.huber_loss(out / self.scale, aim / self.scale, reduction="none")
        return each.sum() / known.sum().clamp(min=1)


class LabelLoss(nn.Module):
    """Binary cross-entropy of every label by itself.

    Parameters
    ----------
    weights
        (label,) how much more a label that is there counts; None for 1.
    smoothing
        Share of the aim that is spread over both answers.
    """

    weight: Tensor | None

    def __init__(self, weights: Tensor | None, smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weight", weights)
        self.smoothing = smoothing

    def forward(self, out: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean over what is known of (n, label)."""
        known = ~wanted.isnan()
        aim = torch.where(known, wanted, 0) * (1 - self.smoothing) + self.smoothing / 2
        each = functional.binary_cross_entropy_with_logits(
            out, aim, reduction="none", pos_weight=self.weight
        )
        return torch.where(known, each, 0).sum() / known.sum().clamp(min=1)


class LevelLoss(nn.Module):
    """Binary cross-entropy of "this level is reached", summed over levels (Cao et al. 2020, eq. 4).

    Parameters
    ----------
    weights
        (level,) how much windows of a level count; None for 1.
    smoothing
        Share of the aim that is spread over both answers.
    """

    weight: Tensor | None

    def __init__(self, weights: Tensor | None, smoothing: float) -> None:
        super().__init__()
        self.register_buffer("weight", weights)
        self.smoothing = smoothing

    def forward(self, out: Tensor, wanted: Tensor) -> Tensor:
        """Return the mean over windows of (n, level - 1) log-odds against (n,) levels."""
        reached = wanted[:, None] > torch.arange(out.shape[1], device=out.device)
        aim = reached.to(out) * (1 - self.smoothing) + self.smoothing / 2
        each = functional.binary_cross_entropy_with_logits(out, aim, reduction="none").sum(dim=1)
        if self.weight is None:
            return each.mean()
        weight = self.weight[wanted]
        return (weight * each).sum() / weight.sum()


def _hits(out: Tensor, wanted: Tensor) -> Tensor:
    return (out.argmax(dim=1) == wanted).sum()


def _levels(out: Tensor, wanted: Tensor) -> Tensor:
    return ((out > 0).sum(dim=1) == wanted).sum()


def _labels(out: Tensor, wanted: Tensor) -> Tensor:
    return _mean_of_known((out > 0) == (wanted > 0.5), wanted)


def _absolute_errors(out: Tensor, wanted: Tensor) -> Tensor:
    return _mean_of_known((out - wanted).abs(), wanted)


def _mean_of_known(each: Tensor, wanted: Tensor) -> Tensor:
    """Return the sum over windows of the mean over their known outputs."""
    known = ~wanted.isnan()
    return (torch.where(known, each, 0).sum(dim=1) / known.sum(dim=1).clamp(min=1)).sum()


def _expect_spread(train: Windows, config: TrainConfig) -> None:
    if config.class_weights is not None:
        raise ValueError("Expected no class_weights for a regression, which has no classes")
    for name, column in zip(train.outputs.names, train.wanted.T, strict=True):
        known = np.unique(column[~np.isnan(column)])
        if len(known) < 2:
            found = f"{known[0]:g} only" if len(known) else "none"
            raise ValueError(
                f"{train.path}: expected training windows of different {name!r} (got {found})"
            )


def _label_weights(config: TrainConfig, train: Windows) -> Tensor | None:
    """Return how much more each label counts where it is there."""
    names, known = train.outputs.names, ~np.isnan(train.wanted)
    there = (train.wanted == 1).sum(axis=0)
    absent = known.sum(axis=0) - there
    same = [name for name, a, b in zip(names, there, absent, strict=True) if not (a and b)]
    if len(same) == len(names):
        raise ValueError(
            f"{train.path}: expected training windows with and without a label "
            f"(all are alike in {', '.join(same)})"
        )
    if same:
        log.warning("%s: all training windows are alike in %s", train.path, ", ".join(same))
    if config.class_weights is None:
        return None
    if config.class_weights == "balanced":
        ratio = np.where(there * absent, absent / np.maximum(there, 1), 1.0)
        return torch.tensor(ratio, dtype=torch.float32)
    return _given(config, names)


def _class_weights(config: TrainConfig, train: Windows, classes: tuple[str, ...]) -> Tensor | None:
    """Return the weights of the classes in the loss; say which classes no window shows."""
    counts = np.bincount(train.label, minlength=len(classes))
    absent = [name for name, count in zip(classes, counts, strict=True) if not count]
    if 0 < len(absent) == len(classes) - 1:
        raise ValueError(
            f"{train.path}: expected windows of at least 2 of the {len(classes)} classes in the "
            f"set train (got {len(train)}, all of {classes[train.label[0]]!r})"
        )
    if absent:
        log.warning("%s: no training window of class %s", train.path, ", ".join(absent))
    if config.class_weights is None:
        return None
    if config.class_weights == "balanced":
        present = np.maximum(counts, 1) * (counts > 0).sum()
        return torch.tensor(np.where(counts, len(train) / present, 0), dtype=torch.float32)
    return _given(config, classes)


def _given(config: TrainConfig, names: tuple[str, ...]) -> Tensor:
    weights = config.class_weights or ()
    if len(weights) != len(names):
        raise ValueError(
            f"Expected one class weight for each of {len(names)} classes (got {len(weights)})"
        )
    return torch.tensor([float(weight) for weight in weights], dtype=torch.float32)
