"""Tables of the parts of an experiment, put together: its cases, each with several seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict

from hargcn.files import replacing
from hargcn.metrics.paired import paired
from hargcn.metrics.table import samples_file

_KEPT = ("metric", "method", "estimate", "low", "high", "n")

Parts = Mapping[tuple[str, str], Path]
"""Folders by case and seed."""


class Compare(BaseModel):
    """What the tables of `evaluate` are asked for, over all cases.

    Parameters
    ----------
    figures
        Names in their column `metric`; a case that lacks one, such as decoys on the sign's own
        joint, is without it. Where several tables have a figure the first one counts.
    references
        Methods that all others are compared with, by paired differences.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    figures: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


def join_tables(parts: Parts, table: str, out: Path) -> None:
    """Write a table of all parts that have it, with columns `case` and `seed`, without times.

    Parameters
    ----------
    parts
        Folders of the parts.
    table
        Its name in each of them, and in `out`.
    out
        Folder to write it to.
    """
    found = [
        _named(
            pd.read_csv(folder / table).drop(columns="seconds", errors="ignore"),
            case=case,
            seed=seed,
        )
        for (case, seed), folder in parts.items()
        if (folder / table).is_file()
    ]
    if found:
        _write(pd.concat(found), out / table)


def compare(parts: Parts, tables: Sequence[str], out: Path, asked: Compare) -> None:
    """Put tables of `evaluate` together, and write paired differences of their methods.

    Parameters
    ----------
    parts
        Folders of the parts.
    tables
        Names of the tables in each of them; single values lie beside.
    out
        Folder to write to: `measures.csv`, the figures that are asked for of all parts, and
        `paired.csv`, where windows are averaged over the seeds of a case and its subjects resampled
        (`metrics.paired`).
    asked
        Figures and references.
    """
    measures, differences = [], []
    for case in dict.fromkeys(case for case, _ in parts):
        wanted = list(asked.figures)
        for table in tables:
            there = {
                seed: folder / table
                for (of, seed), folder in parts.items()
                if of == case and (folder / table).is_file()
            }
            runs = {seed: xr.load_dataset(samples_file(file)) for seed, file in there.items()}
            figures = [
                each for each in wanted if runs and all(each in run for run in runs.values())
            ]
            wanted = [each for each in wanted if each not in figures]
            for seed, file in there.items():
                read = pd.read_csv(file)
                kept = read.loc[read["metric"].isin(figures), [*_KEPT]]
                measures.append(_named(kept, case=case, seed=seed))
            if figures and asked.references:
                made = paired(runs, asked.references, figures)
                differences.append(_named(made[made["windows"] > 0], case=case))
    for found, name in ((measures, "measures.csv"), (differences, "paired.csv")):
        if found:
            _write(pd.concat(found), out / name)


def _named(table: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """Return a table with more columns, in front."""
    return pd.concat([pd.DataFrame(columns, index=table.index), table], axis=1)


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
