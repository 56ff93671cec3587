"""The background of SHAP, chosen among windows by number, class and subject."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from hargcn.checks import one_of
from hargcn.data.windows import Windows
from hargcn.explainers.deepshap.background import ORDERS, choose, shares
from hargcn.explainers.hooks import undisturbed
from hargcn.networks.branches import PositionModel
from hargcn.networks.network import SkeletonNetwork
from hargcn.pipeline.opening import of_classes

Network = SkeletonNetwork | PositionModel

WAYS = (*ORDERS, "medoids")

POOL = 2000
"""Most windows that herding chooses among: it holds their distances from each other."""


def choose_background(
    network: Network,
    data: Windows,
    wanted: str,
    how: str,
    seed: int,
    classes: Sequence[str] = (),
    groups: Sequence[str] = (),
) -> tuple[Windows, np.ndarray | None]:
    """Return the background, drawn from the training set or a file's, and its weights.

    Parameters
    ----------
    network
        Whose outputs "herding" compares.
    data
        Windows whose training set is drawn from.
    wanted
        A number of windows, or a windows file.
    how, seed
        "random", "balanced", "herding" or "medoids", and the seed of the draw.
    classes, groups
        Draw from windows of these classes and of these subjects only.

    Raises
    ------
    ValueError
        For an unknown way, class or subject, or a file of other windows.
    """
    if not wanted.isdigit():
        return _of_file(data, wanted, classes, groups), None
    way = one_of("--background-by", how, WAYS)
    if way == "balanced" and not data.outputs.listed:
        raise ValueError(
            f"--background-by: expected {', '.join(way for way in WAYS if way != 'balanced')} for "
            f"{data.outputs.kind} outcomes (got 'balanced', which needs classes)"
        )
    train = candidates(data, classes, groups)
    if way == "herding":
        train = herding_pool(train, seed)
        rows = choose(answers(network, train), train.label, int(wanted), way, seed)
        return train.subset(rows), None
    rows = choose(train.positions, train.label, int(wanted), way, seed)
    weights = shares(train.positions(), rows) if way == "medoids" else None
    return train.subset(rows), weights


def candidates(data: Windows, classes: Sequence[str] = (), groups: Sequence[str] = ()) -> Windows:
    """Return the training windows, of these classes and subjects only where some are named."""
    train = data.subset("train")
    train = of_classes(train, classes) if classes else train
    return _of_groups(train, groups) if groups else train


def herding_pool(train: Windows, seed: int) -> Windows:
    """Return windows that herding may choose among: all, or so many drawn with a seed."""
    if len(train) <= POOL:
        return train
    return train.subset(choose([], train.label, POOL, "random", seed))


def answers(network: Network, windows: Windows, batch: int = 64) -> np.ndarray:
    """Return a network's outputs (N, outputs) for windows."""
    parts = (windows.subset(slice(at, at + batch)) for at in range(0, len(windows), batch))
    with undisturbed(network), torch.inference_mode():
        found = [network(network.inputs(part.read())).cpu().numpy() for part in parts]
    return np.concatenate(found)


def _of_file(data: Windows, path: str, classes: Sequence[str], groups: Sequence[str]) -> Windows:
    for option, given in (("class", classes), ("group", groups)):
        if given:
            raise ValueError(f"--background-{option}: expected a number of windows (got {path!r})")
    windows = Windows.open(path)
    if (windows.skeleton, windows.shape) != (data.skeleton, data.shape):
        raise ValueError(
            f"--background: expected windows like those of {data.path}, {data.skeleton.name} "
            f"{data.shape} (got {windows.skeleton.name} {windows.shape})"
        )
    return windows


def _of_groups(train: Windows, groups: Sequence[str]) -> Windows:
    """Return the training windows of these subjects."""
    own = train.group.astype(str)
    wanted = [one_of("--background-group", name, sorted(set(own))) for name in groups]
    return train.subset(np.flatnonzero(np.isin(own, wanted)))
