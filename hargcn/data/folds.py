"""Folds of a cross-fitting: every subject is held out once, by whole subjects, never by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from hargcn.data.splits import SplitConfig, assign

By = Literal["group", "camera", "setup"]


class Fold(BaseModel):
    """What one network of a cross-fitting must not see: its card carries this.

    Parameters
    ----------
    number, of
        Which fold, counted from 1, and how many there are.
    by
        What `test` names: groups (subjects), cameras or set-ups.
    test
        Who is held out.
    val
        The groups that choose the epoch, of those that are not held out. All others train.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    of: int
    by: By
    test: tuple[str, ...]
    val: tuple[str, ...] = ()

    def sets(self, columns: Mapping[str, Any]) -> np.ndarray:
        """Return the set of each window (N,): "train", "val" or "test".

        Parameters
        ----------
        columns
            `group`, and what `by` names; a value per window.
        """
        ids, group = (np.asarray(columns[name]).astype(str) for name in (self.by, "group"))
        sets = np.where(np.isin(group, self.val), "val", "train")
        return np.where(np.isin(ids, self.test), "test", sets)


def deal(
    columns: Mapping[str, Any],
    count: int,
    by: By = "group",
    val_share: float = 0,
    seed: int = 1234,
) -> list[Fold]:
    """Deal subjects to folds, every class in proportion.

    They are shuffled, sorted by their most frequent class and dealt like cards: folds, and in them
    the subjects of a class, differ in number by one at most. Where outcomes are numbers, subjects
    are sorted by their mean, and every fold gets some of all sizes.

    Parameters
    ----------
    columns
        `group`, `label` (-1 where not known), or instead of it a number `stratum` (NaN where not
        known), and what `by` names; a value per window.
    count
        How many folds; as many as there are subjects holds out one at a time.
    by
        What is held out as a whole.
    val_share
        Share of each fold's other groups to draw for validation.
    seed
        Seed of the shuffling and of the draw.

    Raises
    ------
    ValueError
        For fewer than two folds, fewer subjects than folds, windows that do not state theirs, or
        too few to draw from.
    """
    ids = np.asarray(columns[by]).astype(str)
    lost = int((ids == ("" if by == "group" else "-1")).sum())
    if lost:
        raise ValueError(f"Expected windows that state their {by} (got {lost} without)")
    known = np.unique(ids)
    if not 2 <= count <= len(known):
        raise ValueError(f"Expected 2 to {len(known)} folds, as there are {by}s (got {count})")
    usual = {each: _usual(columns, ids == each) for each in known}
    shuffled = np.random.default_rng(seed).permutation(known)
    dealt = sorted(shuffled.tolist(), key=lambda each: usual[each])
    folds = []
    for number in range(1, count + 1):
        test = tuple(sorted(dealt[number - 1 :: count]))
        split = SplitConfig(by=by, test=test, val_share=val_share, seed=seed)
        sets = assign({**columns, by: ids.tolist()}, split)
        val = np.unique(np.asarray(columns["group"]).astype(str)[sets == "val"])
        folds.append(Fold(number=number, of=count, by=by, test=test, val=tuple(val.tolist())))
    return folds


def _usual(columns: Mapping[str, Any], own: np.ndarray) -> float:
    """Return the most frequent label of some windows, or the mean of their numbers."""
    if "stratum" not in columns:
        return float(np.bincount(np.asarray(columns["label"])[own] + 1).argmax())
    numbers = np.asarray(columns["stratum"], dtype=float)[own]
    numbers = numbers[~np.isnan(numbers)]
    return float(numbers.mean()) if len(numbers) else -np.inf
