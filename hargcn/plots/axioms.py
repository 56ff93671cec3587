"""Which axioms methods keep, as a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hargcn.plots.heatmaps import draw_matrix
from hargcn.plots.style import COLOURS, STYLE, canvas

if TYPE_CHECKING:
    import pandas as pd

_FILLS = {
    "pass": COLOURS[1],
    "fail": COLOURS[2],
    "figure": "#e4e4e4",
    "error": COLOURS[6],
    "not applicable": "white",
}
_KINDS = {
    "theorem": "theorems: kept, or not",
    "criterion": "criteria: a threshold of ours",
}


@mpl.rc_context(STYLE)
def plot_axioms(table: pd.DataFrame, *, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw methods x axioms: verdicts as colours and in words, with what was measured.

    Parameters
    ----------
    table
        What `pipeline.axioms.axioms` returned: a row per method and axiom.
    ax
        Axes to draw on.
    """
    methods, axioms = ([str(name) for name in table[key].unique()] for key in ("method", "axiom"))
    codes, texts = (
        np.full((len(methods), len(axioms)), np.nan),
        np.full((len(methods), len(axioms)), "", object),
    )
    for row in table.itertuples():
        cell = methods.index(str(row.method)), axioms.index(str(row.axiom))
        codes[cell] = list(_FILLS).index(str(row.verdict))
        texts[cell] = cell_text(str(row.verdict), float(row.figure))
    figure, (axis,) = canvas(ax, (2.4 + 0.82 * len(axioms), 2.1 + 0.24 * len(methods)))
    colours = ListedColormap(list(_FILLS.values()))
    draw_matrix(axis, codes, texts, methods, axioms, Normalize(-0.5, len(_FILLS) - 0.5), colours)
    axis.set_xticks(np.arange(len(axioms) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(methods) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="#bbbbbb", linewidth=0.5)
    axis.tick_params(which="both", length=0)
    axis.xaxis.tick_top()
    for tick in axis.get_xticklabels():
        tick.set(rotation=35, ha="left", rotation_mode="anchor")
    _name_kinds(axis, table, axioms)
    used = [name for name in _FILLS if (table["verdict"] == name).any()]
    handles = [Patch(facecolor=_FILLS[name], edgecolor="#bbbbbb", label=name) for name in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure, axis


def cell_text(verdict: str, figure: float) -> str:
    """Return a cell's verdict in words, with what was measured."""
    if verdict == "not applicable":
        return "-"
    return f"{verdict} {figure:.2g}" if np.isfinite(figure) else verdict


def _name_kinds(axis: Axes, table: pd.DataFrame, axioms: list[str]) -> None:
    """Part theorems from criteria by a line, and name both below."""
    kinds = table.drop_duplicates("axiom").set_index("axiom")["kind"][axioms].to_numpy()
    for kind, said in _KINDS.items():
        places = np.flatnonzero(kinds == kind)
        if len(places):
            middle = float(places.mean())
            axis.text(
                middle, -0.01, said, transform=axis.get_xaxis_transform(), ha="center", va="top"
            )
        if len(places) and places[-1] < len(axioms) - 1:
            axis.axvline(places[-1] + 0.5, color="black", linewidth=1.6)
