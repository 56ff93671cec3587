"""How well networks of several branches classify, beside what SHAP says of each branch."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hargcn.plots.style import COLOURS, GREY, STYLE, canvas, wrapped

_BARS = {
    "share": ("SHAP: share of |attribution|", COLOURS[0]),
    "signed": ("SHAP: signed share", COLOURS[1]),
    "alone": ("accuracy alone", COLOURS[4]),
    "shapley": ("accuracy it adds on average", COLOURS[3]),
    "lost": ("accuracy lost without it", COLOURS[2]),
}


@mpl.rc_context(STYLE)
def plot_branches(
    accuracies: pd.DataFrame, worths: pd.DataFrame, *, ax: Axes | np.ndarray | None = None
) -> tuple[Figure, list[Axes]]:
    """Draw the accuracy of every set of branches, and of the largest what each branch is worth.

    Bars are means over seeds, dots the seeds. A row per data set.

    Parameters
    ----------
    accuracies
        Columns `data`, `seed`, `network` and `accuracy`; that of the network "" is chance, a line.
    worths
        The table of `pipeline.branch_study.branch_worths`.
    ax
        Axes to draw on, two per data set; a new figure without.
    """
    names = [*dict.fromkeys(accuracies["data"])]
    size = (10.5, 3.0 * len(names) + 0.3)
    figure, axes = canvas(ax, size, 2 * len(names), 2, width_ratios=[1.25, 1])
    for data, left, right in zip(names, axes[::2], axes[1::2], strict=True):
        _sets(left, accuracies[accuracies["data"] == data])
        own = worths[worths["data"] == data]
        whole = max(own["network"], key=len)
        _worth(right, own[own["network"] == whole])
        left.set_title(wrapped(f"{data}: accuracy by branches".removeprefix(": "), 5.2))
        right.set_title(f"branches of the network {whole}")
    if ax is None:
        figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    else:
        axes[1].legend()
    return figure, axes


def _sets(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw a bar per set of branches, the smallest sets first, and chance."""
    networks = sorted(filter(None, rows["network"].unique()), key=len)
    table = rows.pivot(index="seed", columns="network", values="accuracy")
    colours = [COLOURS[(0, 1, 4, 3)[(len(each) - 1) % 4]] for each in networks]
    _bars(ax, np.arange(len(networks)), table[networks], 0.75, color=colours)
    if "" in table:
        ax.axhline(table[""].mean(), color=GREY, linestyle="--", linewidth=0.9)
    ax.set_xticks(range(len(networks)), networks)
    ax.set_ylabel("accuracy")


def _worth(ax: Axes, rows: pd.DataFrame) -> None:
    """Draw side by side for each branch its shares and, where known, what it is worth."""
    branches = [*dict.fromkeys(rows["branch"])]
    known = {name: each for name, each in _BARS.items() if rows[name].notna().any()}
    wide = 0.8 / len(known)
    for number, (column, (said, colour)) in enumerate(known.items()):
        table = rows.pivot(index="seed", columns="branch", values=column)[branches]
        places = np.arange(len(branches)) + (number - (len(known) - 1) / 2) * wide
        _bars(ax, places, table, 0.95 * wide, color=colour, label=said)
    ax.axhline(0, color=GREY, linewidth=0.8)
    ax.set_xticks(range(len(branches)), branches)


def _bars(ax: Axes, places: np.ndarray, table: pd.DataFrame, wide: float, **looks: Any) -> None:
    """Draw means of columns as bars, and their rows as dots."""
    ax.bar(places, table.mean().to_numpy(), wide, **looks)
    for row in table.to_numpy():
        ax.scatter(places, row, 6, "black", zorder=3, linewidths=0)
