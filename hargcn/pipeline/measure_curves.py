"""Measures as curves: over how many joints, or which share of cells, is kept, removed or summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import at_least, one_of, writable
from hargcn.explainers.baselines import Given, Random, Truth
from hargcn.explanation import Explanation
from hargcn.files import locked, replacing, track
from hargcn.metrics.faithfulness import foretold, set_effects
from hargcn.metrics.maps import cells, joint_scores
from hargcn.metrics.masking import masked, removal_curve, strongest
from hargcn.metrics.model_free import acceleration
from hargcn.metrics.negative import without_negative_cells, without_negative_joints
from hargcn.metrics.registry import Case
from hargcn.metrics.units import Units
from hargcn.perturbation import InputEdit, parse_edit
from hargcn.pipeline.case import ExplainedWindows
from hargcn.pipeline.located import maps_without_network

Found = Mapping[str, np.ndarray]
"""Figures (sample, x) by name."""


@dataclass(frozen=True)
class _Asked:
    """Explained windows, how they are changed, and the places of a curve."""

    opened: ExplainedWindows
    edit: InputEdit
    subsets: int
    at: Sequence[float]

    @property
    def base(self) -> tuple[Any, torch.Tensor]:
        """The network, and positions."""
        return self.opened.model, self.opened.positions

    @cached_property
    def effects(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Random sets of joints of each size, and their effects."""
        first, run = next(iter(self.opened.explanations.values())), self.opened.run
        units = Units.of(*self.base, [first], self.edit, run)
        return [
            set_effects(*self.base, first, self.edit, self.subsets, int(size), units, run)
            for size in self.at
        ]

    def explained(self, explainer: Any) -> Explanation:
        """Explain the windows by what knows nothing of the network."""
        target = next(iter(self.opened.explanations.values())).target.to_numpy()
        x = self.opened.run.prepare(self.opened.positions, np.arange(len(target)))
        return explainer(self.opened.model, x, torch.as_tensor(target))


def _sensitivity(asked: _Asked, each: Explanation) -> Found:
    scores = joint_scores(each)
    rho = [foretold(scores, chosen, effect) for chosen, effect in asked.effects]
    return {"sensitivity-n": np.stack(rho, axis=1)}


def _removal(insert: bool) -> Callable[[_Asked, Explanation], Found]:
    def found(asked: _Asked, each: Explanation) -> Found:
        curve = removal_curve(
            *asked.base, each, asked.edit, shares=asked.at, insert=insert, run=asked.opened.run
        )
        return {"insertion" if insert else "deletion": curve}

    return found


def _negative_cells(asked: _Asked, each: Explanation) -> Found:
    rise, removed = without_negative_cells(
        *asked.base, each, asked.at, asked.edit, run=asked.opened.run
    )
    return {"negative-cells": rise, "negative-cells:removed": removed}


def _negative_joints(asked: _Asked, each: Explanation) -> Found:
    counts = [int(count) for count in asked.at]
    rise, removed = without_negative_joints(
        *asked.base, each, counts, asked.edit, run=asked.opened.run
    )
    return {"negative-joints": rise, "negative-joints:removed": removed}


def _kept(asked: _Asked, each: Explanation) -> Found:
    maps, run = cells(each, asked.base[1].shape[-3]), asked.opened.run
    made = [asked.explained(Given(strongest(maps, share, run.seed))) for share in asked.at]
    found = [masked(*asked.base, one, asked.edit, run=run) for one in made]
    return {
        f"kept:{name}": np.stack([one[name].to_numpy() for one in found], axis=1)
        for name in ("average-drop", "increase")
    }


FIGURES: dict[str, Callable[[_Asked, Explanation], Found]] = {
    "sensitivity-n": _sensitivity,
    "deletion": _removal(insert=False),
    "insertion": _removal(insert=True),
    "negative-cells": _negative_cells,
    "negative-joints": _negative_joints,
    "kept": _kept,
}
"""What can be asked, and over what: joints that are summed (`metrics.faithfulness`), shares of
cells that are removed or put back (`metrics.masking`), shares of cells and numbers of joints that
are removed where they are negative (`metrics.negative`), shares of the positive cells that are all
that is kept of a map, for average drop and increase."""


def curves(
    checkpoint: str | Path,
    windows: str | Path,
    explanations: Sequence[str | Path],
    out: str | Path,
    *,
    figures: Mapping[str, Sequence[float]],
    edit: str = "input:freeze",
    subsets: int = 50,
    random: int = 3,
    limit: int | None = None,
    limit_seed: int | None = None,
    device: str = "cpu",
    seed: int = 1234,
    progress: bool = False,
) -> pd.DataFrame:
    """Measure explanations along curves, beside random maps and maps that no network made.

    Parameters
    ----------
    checkpoint, windows, explanations
        The network, a windows file, and explanation files of the same windows and classes.
    out
        The table to write (.csv).
    figures
        Of `FIGURES`, the places x; numbers of joints that the body does not have are left out.
    edit
        Input edit that takes the place of what is removed.
    subsets
        Random sets of joints of sensitivity-n.
    random
        Random maps, averaged per window.
    limit, limit_seed
        Of the explained windows the first so many, or so many drawn with a seed.
    device
        "cpu", "cuda" or "cuda:N".
    seed
        Seed of everything random.
    progress
        Whether to show a bar.

    Returns
    -------
    pandas.DataFrame
        A row per figure, method and `x`: `estimate`, `low`, `high` over subjects, `n` windows for
        which it is defined. Methods are the explanations, the maps of `metrics.model_free` (without
        planted evidence "acceleration" alone), "random", and where it is known "truth".

    Raises
    ------
    ValueError
        For an unknown figure, an edit of edges, or files that do not fit together.
    """
    for name in figures:
        one_of("figures", name, FIGURES)
    at_least("random", random, 1)
    removing = parse_edit(edit)
    if not isinstance(removing, InputEdit):
        raise ValueError(f"Expected an edit of the input (got {edit!r})")
    out = writable(out, checkpoint, windows, *explanations, suffix=".csv")
    with locked(out):
        opened = ExplainedWindows.open(
            checkpoint, windows, explanations, device=device, seed=seed, limit=limit,
            limit_seed=limit_seed, progress=False,
        )  # fmt: skip
        asked = {
            name: _Asked(opened, removing, subsets, _places(name, at, opened.positions.shape[-2]))
            for name, at in figures.items()
        }
        made = _beside(next(iter(asked.values())), random)
        rows: list[dict[str, Any]] = []
        for name, each in track(asked.items(), "curves", len(asked), progress):
            for method, repeated in made.items():
                found = [FIGURES[name](each, one) for one in repeated]
                for figure in found[0]:
                    values = np.mean([one[figure] for one in found], axis=0)
                    rows += _rows(figure, method, each.at, values, opened.windows.group, seed)
        table = pd.DataFrame(rows)
        with replacing(out) as temporary:
            table.to_csv(temporary, index=False, float_format="%.4g")
    return table


def _places(name: str, at: Sequence[float], joints: int) -> list[float]:
    """Return the places of a curve that there are."""
    counted = name in ("sensitivity-n", "negative-joints")
    return [place for place in at if not counted or place < joints]


def _beside(asked: _Asked, random: int) -> dict[str, list[Explanation]]:
    """Return explanations, and what they stand beside, by method; random ones repeatedly."""
    opened, truth = asked.opened, asked.opened.windows.truth()
    if truth is None:
        maps = {"acceleration": acceleration(opened.windows.positions())}
    else:
        first = next(iter(opened.explanations.values()))
        case = Case(opened.model, opened.positions, first, truth=truth, run=opened.run)
        maps = maps_without_network(opened, case)
    made = {name: [each] for name, each in opened.explanations.items()}
    made |= {name: [asked.explained(Given(each))] for name, each in maps.items()}
    seeds = range(opened.run.seed, opened.run.seed + random)
    made["random"] = [asked.explained(Random(each)) for each in seeds]
    if truth is not None:
        made["truth"] = [asked.explained(Truth(truth))]
    return made


def _rows(
    figure: str,
    method: str,
    at: Sequence[float],
    values: np.ndarray,
    groups: np.ndarray,
    seed: int,
) -> list[dict[str, Any]]:
    """Return a row for each place, over the windows where the figure is defined."""
    rows = []
    for x, own in zip(at, values.T, strict=True):
        known = ~np.isnan(own)
        found: Any = (np.nan,) * 3
        if known.any():
            found = cluster_bootstrap(own[known], groups[known], seed=seed)
        limits = dict(zip(("estimate", "low", "high"), map(float, found), strict=True))
        rows.append({"figure": figure, "method": method, "x": x, **limits, "n": int(known.sum())})
    return rows
