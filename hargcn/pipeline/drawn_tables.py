"""Pictures of tables: what an experiment joined over its cases and seeds, as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from hargcn.checks import writable
from hargcn.plots import plot_table, save_figure


def draw(
    names: str | Path,
    out: str | Path,
    *,
    x: str,
    y: str,
    line: str,
    panel: str = "case",
    where: str = "",
    only: Mapping[str, Sequence[str]] | None = None,
    labels: Sequence[str] = (),
    logarithmic: str = "",
    level: float | None = None,
    dpi: int = 110,
) -> Path:
    """Draw a table as lines, see `plots.plot_table`.

    Parameters
    ----------
    names
        The table (.csv).
    out
        Picture to write (.png, .svg, .pdf).
    x, y, line, panel, labels, logarithmic, level
        As for `plot_table`.
    where
        Which rows, as a query of pandas; by default all.
    only
        By column the values to draw, in this order.
    dpi
        Dots per inch of a PNG.

    Raises
    ------
    FileNotFoundError
        Without the table.
    ValueError
        For a column that it lacks, or where no row is left.
    """
    out = writable(out, names)
    table = pd.read_csv(names)
    rows = table.query(where) if where else table
    for column, values in (only or {}).items():
        order = {each: number for number, each in enumerate(values)}
        kept = rows[rows[column].isin(order)]
        rows = kept.sort_values(column, key=lambda own, order=order: own.map(order), kind="stable")
    if rows.empty:
        raise ValueError(f"{names}: expected rows of {where or only} (got none)")
    said = (labels[0], labels[1]) if labels else None
    figure, _ = plot_table(
        rows, x, y, line=line, panel=panel, labels=said, logarithmic=logarithmic, level=level
    )
    save_figure(figure, out, dpi)
    return out
