"""Tables of the parts of an experiment, put together: its cases, each with several seeds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import xarray as xr
from pydantic import BaseModel, ConfigDict

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.checks import writable
from hargcn.data.windows import Windows
from hargcn.files import digest, replacing
from hargcn.metrics.paired import paired
from hargcn.metrics.table import samples_file
from hargcn.plots import plot_means, save_figure

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
        Its name in each of them, and in `out`; figures of `test` (.json) become a table.
    out
        Folder to write it to.
    """
    found = []
    for (case, seed), folder in parts.items():
        if (folder / table).is_file():
            read = pd.read_csv(folder / table).drop(columns="seconds", errors="ignore")
            found.append(_named(read, case=case, seed=seed))
        elif (figures := folder / Path(table).with_suffix(".json")).is_file():
            found.append(_named(_figures(figures), case=case, seed=seed))
    if found:
        _write(pd.concat(found), out / table)


def write_made(files: Mapping[tuple[str, str], tuple[Path, Path]], path: Path) -> None:
    """Write what the parts of an experiment worked on: digests of windows and of weights.

    Parameters
    ----------
    files
        A windows file and a checkpoint by case and seed; parts that lack one are left out.
    path
        The table to write (.csv).
    """
    rows = [
        {
            "case": case,
            "seed": seed,
            "windows": Windows.open(windows).digest,
            "network": digest(network)[:16],
        }
        for (case, seed), (windows, network) in files.items()
        if windows.is_file() and network.is_file()
    ]
    _write(pd.DataFrame(rows), path)


def draw_means(
    table: str | Path,
    out: str | Path,
    *,
    rows: str,
    columns: str,
    value: str,
    label: str = "",
    where: str = "",
    dpi: int = 110,
) -> Path:
    """Draw the means of a figure over the seeds of an experiment, with their spread.

    Parameters
    ----------
    table
        A table of all parts.
    out
        Picture to write.
    rows, columns, value, label
        As of `plots.plot_means`.
    where
        Which rows of the table, as a query of pandas; by default all.
    dpi
        Dots per inch of a PNG.

    Raises
    ------
    FileNotFoundError, ValueError
        Without the table, or one of its columns.
    """
    out = writable(out, table)
    if not Path(table).is_file():
        raise FileNotFoundError(f"{table}: no such table")
    read = pd.read_csv(table)
    figure, _ = plot_means(read.query(where) if where else read, rows, columns, value, label=label)
    save_figure(figure, out, dpi)
    return out


def compare_tables(
    tables: Sequence[str | Path],
    out: str | Path,
    *,
    value: str = "estimate",
    where: str = "",
    seed: int = 1234,
) -> pd.DataFrame:
    """Compare a figure of several networks with that of the first, seed by seed.

    Parameters
    ----------
    tables
        One per kind of network, each over the same cases and seeds, as joined tables are.
    out
        The table to write (.csv).
    value
        The figure: a column, or an expression of pandas such as "1 - estimate".
    where
        Which row of each case and seed, as a query of pandas.
    seed
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        A row per case and table: `network`, the table's name; `mean` over seeds with its 95%
        interval `low`, `high`; `more` than the first network of the same seed, with `more_low` and
        `more_high`; `seeds`.

    Raises
    ------
    FileNotFoundError
        Without one of the tables.
    ValueError
        For tables that have no or several rows of a case and seed, or other seeds than the first.
    """
    out = writable(out, *tables, suffix=".csv")
    found: dict[str, pd.Series] = {}
    for table in map(Path, tables):
        if not table.is_file():
            raise FileNotFoundError(f"{table}: no such table")
        read = pd.read_csv(table)
        rows = read.query(where) if where else read
        own = rows.eval(value).set_axis(pd.MultiIndex.from_frame(rows[["case", "seed"]]))
        first = next(iter(found.values()), own)
        if not len(own) or not own.index.is_unique or {*own.index} != {*first.index}:
            raise ValueError(
                f"{table}: expected one row of each case and seed as of {tables[0]} (got "
                f"{len(own)} rows)"
            )
        found[table.stem] = own.reindex(first.index)
    first, rows = next(iter(found.values())), []
    for case in dict.fromkeys(first.index.get_level_values("case")):
        for name, own in found.items():
            row: dict[str, object] = {"case": case, "network": name}
            for key, values in (("", own.loc[case]), ("more", (own - first).loc[case])):
                mean, low, high = map(float, cluster_bootstrap(values.to_numpy(), seed=seed))
                ends = (f"{key}_low", f"{key}_high") if key else ("low", "high")
                row |= {key or "mean": mean, ends[0]: low, ends[1]: high}
            rows.append(row | {"seeds": len(own.loc[case])})
    joined = pd.DataFrame(rows)
    _write(joined, out)
    return joined


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


def _figures(path: Path) -> pd.DataFrame:
    """Return the figures that `test` wrote, with their intervals over subjects."""
    read = json.loads(path.read_text(encoding="utf-8"))
    rows = []
    for level in ("windows", "recordings"):
        own = read.get(level, {})
        limits = own.get("interval", {})
        for name, value in own.items():
            if isinstance(value, int | float) and name not in ("n", "subjects"):
                low, high = limits.get(name) or (None, None)
                n, subjects = own.get("n"), own.get("subjects")
                rows.append((level, name, value, low, high, n, subjects))
    columns = ["of", "figure", "estimate", "low", "high", "n", "subjects"]
    return pd.DataFrame(rows, columns=columns)


def _named(table: pd.DataFrame, **columns: str) -> pd.DataFrame:
    """Return a table with more columns, in front."""
    return pd.concat([pd.DataFrame(columns, index=table.index), table], axis=1)


def _write(table: pd.DataFrame, path: Path) -> None:
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.4g")
