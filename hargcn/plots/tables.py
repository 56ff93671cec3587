"""Any table as lines: a figure over another one, a line per method, a panel per case."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from hargcn.plots.style import GREY, STYLE, canvas, looks, wrapped

_WIDTH = 3.1


@mpl.rc_context(STYLE)
def plot_table(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    line: str,
    panel: str,
    labels: tuple[str, str] | None = None,
    logarithmic: str = "",
    level: float | None = None,
    ax: Axes | np.ndarray | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw a figure of a table against another, means over the rows that share both.

    Parameters
    ----------
    table
        Rows of numbers, such as tables of an experiment joined over its cases and seeds.
    x, y
        Its columns across and up; several rows of one place, such as those of seeds, are averaged,
        and a bar spans the smallest to the largest of them.
    line, panel
        Columns whose values become lines, in their order, and panels.
    labels
        Of both axes, by default the columns' names.
    logarithmic
        "x", "y" or "xy": which axes.
    level
        What chance or a perfect map would reach, a grey line.
    ax
        Axes to draw on, one per panel; a new figure without.

    Raises
    ------
    ValueError
        For a column that the table lacks.
    """
    lost = [name for name in (x, y, line, panel) if name not in table]
    if lost:
        raise ValueError(f"Expected columns of {', '.join(map(str, table))} (got {lost[0]!r})")
    panels, lines = list(table[panel].unique()), [str(each) for each in table[line].unique()]
    across = min(len(panels), 3)
    down, columns = -(-len(panels) // across), max(2, int(across * _WIDTH / 1.9))
    size = (across * _WIDTH + 0.4, 2.9 * down + 0.2 * -(-len(lines) // columns))
    figure, axes = canvas(ax, size, len(panels), across, sharey=True)
    shown = looks(lines)
    for axis, chosen in zip(axes, panels, strict=True):
        own = table[table[panel] == chosen]
        for number, name in enumerate(lines):
            at = own[own[line].astype(str) == name].groupby(x)[y].agg(["mean", "min", "max"])
            at = at.dropna()
            look = shown[name]
            style = ("-", "--", ":")[number // 7 % 3]
            axis.plot(
                at.index, at["mean"], style, color=look.colour, marker="osD^vP*"[number % 7],
                markersize=3.5, linewidth=1.3, label=name,
            )  # fmt: skip
            axis.vlines(at.index, at["min"], at["max"], color=look.colour, linewidth=0.8, alpha=0.6)
        if level is not None:
            axis.axhline(level, color=GREY, linewidth=0.8, linestyle="--", zorder=0)
        _scale(axis, logarithmic, sorted(table[x].unique()))
        axis.set_title(wrapped(str(chosen), _WIDTH - 0.4))
        axis.set_xlabel((labels or (x, y))[0])
        axis.grid(color="#e5e5e5", linewidth=0.6)
    for axis in axes[::across]:
        axis.set_ylabel((labels or (x, y))[1])
    if ax is None:
        handles = axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=columns)
    return figure, axes


def _scale(ax: Axes, logarithmic: str, places: list[float]) -> None:
    """Make axes logarithmic, with numbers as labels: across those of the table."""
    if "y" in logarithmic:
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    if "x" in logarithmic:
        ax.set_xscale("log")
        ax.set_xticks(places, [f"{each:g}" for each in places])
        ax.minorticks_off()
