"""Clusters of maps in a plane: colours are groups, markers what is known of the windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hargcn.plots.style import GREY, STYLE, canvas, looks, wrapped

_WIDTH = 2.6


class ClusterPanel(NamedTuple):
    """A title, places (n, 2) and groups (n,) of windows."""

    title: str
    places: np.ndarray
    labels: np.ndarray


@mpl.rc_context(STYLE)
def plot_clusters(
    panels: Sequence[ClusterPanel],
    marked: np.ndarray,
    *,
    names: tuple[str, str] = ("with", "without"),
    across: int = 4,
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw windows where their maps lie.

    Parameters
    ----------
    panels
        One per kind of map.
    marked
        (n,) bool: filled discs, the others are crosses.
    names
        What both are called.
    across
        Panels in a row.
    ax
        Axes to draw on, one per panel.
    """
    across = min(across, len(panels))
    size = (across * _WIDTH, -(-len(panels) // across) * (_WIDTH + 0.2) + 0.3)
    figure, axes = canvas(ax, size, len(panels), across)
    for axis, panel in zip(axes, panels, strict=True):
        groups = np.unique(panel.labels)
        colours = looks([str(each) for each in groups])
        for each in groups:
            own, colour = panel.labels == each, colours[str(each)].colour
            for some, marker in ((own & marked, "o"), (own & ~marked, "x")):
                x, y = panel.places[some].T
                axis.scatter(x, y, s=14, c=colour, marker=marker, linewidths=0.9)
        axis.set(xticks=[], yticks=[])
        axis.set_title(wrapped(panel.title, _WIDTH - 0.3))
    if ax is None:
        handles = [
            mpl.lines.Line2D([], [], color=GREY, linestyle="", marker=marker, markersize=4)
            for marker in "ox"
        ]
        figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure, axes
