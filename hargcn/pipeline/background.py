"""The background of SHAP, chosen among windows by number, class and subject."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hargcn.checks import one_of
from hargcn.data.windows import Windows
from hargcn.explainers.deepshap.background import choose, shares
from hargcn.pipeline.opening import of_classes


def choose_background(
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
    data
        Windows whose training set is drawn from.
    wanted
        A number of windows, or a windows file.
    how, seed
        "random", "balanced" or "medoids", and the seed of the draw.
    classes, groups
        Draw from windows of these classes and of these subjects only.

    Raises
    ------
    ValueError
        For an unknown way, class or subject, or a file of other windows.
    """
    if not wanted.isdigit():
        return _of_file(data, wanted, classes, groups), None
    way = one_of("--background-by", how, ("random", "balanced", "medoids"))
    train = data.subset("train")
    if way == "balanced" and not data.outputs.listed:
        raise ValueError(
            f"--background-by: expected random or medoids for {data.outputs.kind} outcomes (got "
            "'balanced', which needs classes)"
        )
    train = of_classes(train, classes) if classes else train
    train = _of_groups(train, groups) if groups else train
    rows = choose(train.positions, train.label, int(wanted), way, seed)
    weights = shares(train.positions(), rows) if way == "medoids" else None
    return train.subset(rows), weights


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
