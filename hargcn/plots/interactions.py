"""Which players act together: a matrix, and lines between the joints of a body."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch
from matplotlib.path import Path

from hargcn.analysis.interactions import Together
from hargcn.plots.skeletons import draw_sides, layout_points, said_of_sides
from hargcn.plots.style import SIGNED, STYLE, canvas, signed_bar, signed_norm, wrapped
from hargcn.skeleton import Skeleton

_FULL = 12  # players whose matrix has room for numbers
_LEAST = 0.1  # of the largest interaction: weaker ones are no lines
_NAMED = 4  # lines whose ends are named, on a body of many places
_BEND = 0.18  # of a line's length: bones are straight, lines are not
_WIDEST = 6.0  # points


@mpl.rc_context(STYLE)
def plot_interactions(
    together: Together,
    skeleton: Skeleton | None = None,
    *,
    title: str = "",
    limit: float | None = None,
    ax: Any = None,
) -> tuple[Figure, list[Axes]]:
    """Draw which players act together, as a matrix and between the joints of a body.

    Red: two give more together than each adds without the other; blue: one stands in for the other.
    White is zero. Lines add up what lies between two places, over branches and stretches of time;
    those below 10% of the largest are left out. The matrix' diagonal, a player alone, is grey.

    Parameters
    ----------
    together
        The interactions.
    skeleton
        The layout, for the body; without one, and where players are no parts of a body (branches),
        the matrix alone is drawn.
    title
        What is explained.
    limit
        Interaction at the ends of the matrix' colour scale; default the largest.
    ax
        Axes to draw on: one for the matrix, and one for the body where there is one.
    """
    places, between = together.between_joints()
    panels = 2 if skeleton is not None and len(places) > 1 else 1
    side = float(np.clip(2.2 + 0.24 * len(together.names), 3.6, 11))
    figure, axes = canvas(ax, (panels * (side + 1.0), side + 0.8), panels)
    apart = together.matrix.astype(float)
    np.fill_diagonal(apart, np.nan)
    norm = signed_norm(apart, limit)
    _draw_matrix(axes[0], apart, together.names, norm)
    signed_bar(
        figure,
        axes[0],
        norm,
        f"interaction ({together.index}, {together.utility})",
        float(norm.vmin or -1.0),
    )
    if panels == 2 and skeleton is not None:
        _draw_body(axes[1], places, between, skeleton)
        own = signed_norm(between)
        signed_bar(figure, axes[1], own, "between two places, summed", float(own.vmin or -1.0))
    count = f"mean of {together.windows} windows" if together.windows > 1 else "1 window"
    figure.suptitle(wrapped(f"{title} ({count})".strip(), panels * side), fontsize=10)
    return figure, axes


def _draw_matrix(ax: Axes, values: np.ndarray, names: tuple[str, ...], norm: TwoSlopeNorm) -> None:
    """Draw a square matrix; with few players with its numbers."""
    colours = mpl.colormaps[SIGNED].with_extremes(bad="#d0d0d0")
    ax.imshow(values, norm=norm, cmap=colours, aspect="auto")
    shown = [name.replace("_", " ") for name in names]
    ax.set_xticks(range(len(names)), shown, rotation=90)
    ax.set_yticks(range(len(names)), shown)
    size = float(np.clip(170 / len(names), 3, 8))
    ax.tick_params(length=0, labelsize=size)
    ax.spines[:].set_visible(False)
    if len(names) > _FULL:
        return
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            dark = abs(norm(value) - 0.5) > 0.35
            ax.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=6.5,
                    color="white" if dark else "black")  # fmt: skip


def _draw_body(
    ax: Axes, places: list[tuple[int, ...]], between: np.ndarray, skeleton: Skeleton
) -> None:
    """Draw a body in grey, and an arc between each two places that interact."""
    points = layout_points(skeleton)
    bones = points[np.array(skeleton.edges)]
    ax.add_collection(LineCollection(bones, colors="#cccccc", linewidths=1.4, zorder=1))
    ax.scatter(points[:, 0], points[:, 1], 8, color="#bbbbbb", zorder=1)
    draw_sides(ax, points.T, skeleton)
    centres = np.array([points[list(members)].mean(axis=0) for members in places])
    first, second = np.triu_indices(len(places), 1)
    values = between[first, second]
    largest = float(np.abs(values).max())
    order = np.argsort(np.abs(values))  # the strongest lie on top
    order = order[np.abs(values[order]) > _LEAST * largest]
    arcs = [PathPatch(_arc(centres[first[i]], centres[second[i]])) for i in order]
    share = np.abs(values[order]) / (largest or 1.0)
    ax.add_collection(
        PatchCollection(
            arcs,
            facecolors="none",
            edgecolors=mpl.colormaps[SIGNED](signed_norm(between)(values[order])),
            linewidths=_WIDEST * share,
            capstyle="round",
            zorder=2,
        )
    )
    strongest = order[-_NAMED:] if len(places) > _FULL else order
    named = sorted({*first[strongest].tolist(), *second[strongest].tolist()})
    x, y = centres[named].T
    ax.scatter(x, y, 26, color="white", ec="#333333", lw=0.8, zorder=3)
    for number in named:
        ax.annotate(
            _place_name(places[number], skeleton), centres[number], (4, 4),
            textcoords="offset points", fontsize=7.5, zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6},
        )  # fmt: skip
    ax.set(aspect="equal")
    ax.margins(0.12)
    ax.set_axis_off()
    if handles := said_of_sides(skeleton):
        ax.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0))


def _arc(start: np.ndarray, end: np.ndarray) -> Path:
    """Return a curve bent to one side, so that it does not lie on a bone."""
    along = end - start
    middle = (start + end) / 2 + _BEND * np.array([-along[1], along[0]])
    return Path(np.array([start, middle, end]), [Path.MOVETO, Path.CURVE3, Path.CURVE3])


def _place_name(members: tuple[int, ...], skeleton: Skeleton) -> str:
    """Return the name of a joint, of a part, or of the joints of one side."""
    if len(members) == 1:
        return skeleton.joints[members[0]].replace("_", " ")
    for name, joints in skeleton.parts.items():
        if set(joints) == set(members):
            return name.replace("_", " ")
    own = skeleton.joints[members[0]]
    return next((side for side in ("left", "right") if own.startswith(side)), "middle")
