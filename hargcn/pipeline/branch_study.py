"""What SHAP says of a network's branches, beside what networks without them lose."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from hargcn.analysis.statistics import rank_correlation
from hargcn.checks import writable
from hargcn.explainers.shapley import every_coalition, shapley_values
from hargcn.files import replacing
from hargcn.pipeline.parts import Parts
from hargcn.plots import plot_branches, save_figure

_SHARES = ("share", "signed")
_RHO = ("data", "seed", "branches", "share", "with", "rho", "n")
_LOSSES = ("lost", "alone", "shapley")


def branch_worths(
    parts: Parts,
    out: str | Path,
    *,
    tests: str = "test.json",
    shares: str = "shares.csv",
    dpi: int = 110,
) -> pd.DataFrame:
    """Compare the shares of branches with the accuracies of networks that lack them.

    Beside the table lie the rank correlations of both (`.rho.csv`), and a picture (.png).

    Parameters
    ----------
    parts
        Folders by case and seed. Cases are called "DATA BRANCHES", such as "UTD JV".
    out
        The table to write (.csv).
    tests, shares
        Names of what `test` and `shares_by` wrote in each folder; of the shares those of the first
        method, of all classes.
    dpi
        Dots per inch of the picture.

    Returns
    -------
    pandas.DataFrame
        A row per `data`, `seed`, `network` (its branches) and `branch` of it: the network's
        `accuracy`; `without`, that of the network of all other branches (of none: guessing), and
        `lost`, the difference; `alone`, that of the branch alone; `shapley`, what it adds on
        average over all orders in which branches can join; `share` and `signed`. NaN where a
        network is not there that a figure asks for.
    """
    out = writable(out, suffix=".csv")
    rows: list[dict[str, Any]] = []
    games: dict[tuple[str, str], dict[str, float]] = {}
    folders: dict[tuple[str, str, str], Path] = {}
    for (case, seed), folder in parts.items():
        data, _, own = case.rpartition(" ")
        game = games.setdefault((data, seed), {})
        game[own], game[""] = _accuracies(folder / tests)
        folders[data, seed, own] = folder
    for (data, seed, own), folder in folders.items():
        asked = _Game(games[data, seed])
        read = pd.read_csv(folder / shares).query("`class` == 'all'").groupby("feature").first()
        about = {"data": data, "seed": seed, "network": own, "accuracy": asked.worth(own)}
        for branch, worths in asked.worths(own).items():
            told = {name: read.loc[branch, name] for name in _SHARES}
            rows.append({**about, "branch": branch, **worths, **told})
    table = pd.DataFrame(rows)
    _written(_predicted(table), out.with_suffix(".rho.csv"))
    flat = [
        {"data": data, "seed": seed, "network": name, "accuracy": worth}
        for (data, seed), game in games.items()
        for name, worth in game.items()
    ]
    save_figure(plot_branches(pd.DataFrame(flat), table)[0], out.with_suffix(".png"), dpi)
    return _written(table, out)


def _accuracies(test: Path) -> tuple[float, float]:
    """Return a network's accuracy of windows, and that of guessing one of its classes."""
    own = json.loads(test.read_text(encoding="utf-8"))["windows"]
    return float(own["accuracy"]), 1 / len(own["confusion"])


class _Game:
    """Accuracies by sets of branches, whatever their order."""

    def __init__(self, accuracies: Mapping[str, float]) -> None:
        self._by_set = {frozenset(name): worth for name, worth in accuracies.items()}

    def worth(self, branches: Iterable[str]) -> float:
        """Return the accuracy of a network, NaN where it is not there."""
        return self._by_set.get(frozenset(branches), math.nan)

    def worths(self, own: str) -> dict[str, dict[str, float]]:
        """Return what every branch of a network is worth."""
        names = np.array([*own])
        worths = [self.worth(names[each]) for each in every_coalition(len(own)).numpy()]
        values = shapley_values(torch.tensor(worths).double(), len(own)).tolist()
        found = {}
        for branch, value in zip(own, values, strict=True):
            without = self.worth(own.replace(branch, ""))
            found[branch] = {
                "without": without, "lost": self.worth(own) - without,
                "alone": self.worth(branch), "shapley": value,
            }  # fmt: skip
        return found


def _predicted(table: pd.DataFrame) -> pd.DataFrame:
    """Correlate ranks of shares with those of losses, over the branches of networks of one size."""
    several = table[table["network"].str.len() > 1]
    size = several["network"].str.len().rename("branches")
    rows = [
        {"data": data, "seed": seed, "branches": count, "share": share, "with": loss,
         "rho": float(rank_correlation(own[share], own[loss])), "n": len(own)}
        for (data, seed, count), own in several.groupby(["data", "seed", size], sort=False)
        for share in _SHARES
        for loss in _LOSSES
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=[*_RHO]).dropna(subset="rho")


def _written(table: pd.DataFrame, out: Path) -> pd.DataFrame:
    with replacing(out) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
    return table
