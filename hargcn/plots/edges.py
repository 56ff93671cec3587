"""Edges drawn on the body: arrows between joints, rings at joints that an edge leads back to."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from hargcn.analysis.edges import by_class, edge_matrix
from hargcn.explanation import Explanation
from hargcn.plots.skeletons import draw_sides, layout_points, one_sample, said_of_sides, title
from hargcn.plots.style import LINE, SIGNED, STYLE, canvas, signed_bar, signed_norm, wrapped

MOST = 60
"""Arrows and rings drawn on a body, the largest; more would hide each other."""

_WIDEST = 4.5  # points, of the largest edge
_RING = 260.0  # square points, of the largest ring
_PANEL = (3.0, 4.0)  # inches
_ACROSS = 6  # bodies in a row


def plot_edges(
    explanation: Explanation,
    sample: str | int | None = None,
    ax: Axes | np.ndarray | None = None,
    limit: float | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw which edges speak for and against the class.

    An arrow leads from the joint whose features an edge brings to the joint that it brings them to,
    a ring stands for a joint's edge to itself. Colour and width follow the attribution summed over
    layers and partitions; white is 0.

    Parameters
    ----------
    explanation
        Of edges, with a skeleton.
    sample
        One window, by name or number; by default a body per class (or class rather than another),
        the mean over the windows that were explained for it.
    ax
        Axes to draw on, one per body; a new figure without.
    limit
        Magnitude at the ends of the scale, by default the largest drawn; all bodies share it.

    Raises
    ------
    ValueError
        For an explanation without edges or skeleton, and an unknown sample.
    """
    skeleton = explanation.skeleton
    if skeleton is None:
        raise ValueError(f"explanation {explanation.name!r}: expected a skeleton (got none)")
    if sample is None:
        named = {
            f"{asked} (n = {len(each)})": each.mean("sample").to_numpy()
            for asked, each in by_class(explanation).items()
        }
    else:
        one = one_sample(explanation, sample)
        named = {title(one): edge_matrix(one).to_numpy()[0]}
    named = {wrapped(said, _PANEL[0]): matrix for said, matrix in named.items()}
    points = layout_points(skeleton)
    norm = signed_norm(np.stack(list(named.values())), limit)
    across = min(len(named), _ACROSS)
    with mpl.rc_context(STYLE):
        lines = max(said.count("\n") for said in named)
        size = (_PANEL[0] * across + 1, (_PANEL[1] + LINE * lines) * -(-len(named) // across))
        figure, axes = canvas(ax, size, len(named), across)
        for axis, (said, matrix) in zip(axes, named.items(), strict=True):
            bones = points[np.array(skeleton.edges)]
            axis.add_collection(LineCollection(bones, colors="#d0d0d0", linewidths=1, zorder=1))
            axis.scatter(points[:, 0], points[:, 1], 8, "#8c8c8c", zorder=2)
            draw_edges(axis, points, matrix, norm)
            draw_sides(axis, points.T, skeleton)
            axis.set(aspect="equal", title=said)
            axis.margins(0.12)
            axis.set_axis_off()
        if handles := said_of_sides(skeleton):
            axes[0].legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0))
        low = min(float(each.min()) for each in named.values())
        signed_bar(figure, axes, norm, f"{explanation.title}, {explanation.utility}", low)
    return figure, axes


def draw_edges(
    ax: Axes, points: np.ndarray, matrix: np.ndarray, norm: TwoSlopeNorm, most: int = MOST
) -> None:
    """Draw a body's edges, the largest on top.

    Parameters
    ----------
    points
        (V, 2) places of the joints on the paper.
    matrix
        (source, target) attributions; 0 is not drawn.
    norm
        Scale of colours and widths.
    most
        How many edges are drawn.
    """
    size = np.abs(matrix)
    order = [i for i in np.argsort(size, axis=None)[::-1][:most] if size.flat[i] > 0]
    colours = mpl.colormaps[SIGNED]
    for place, flat in enumerate(reversed(order)):
        source, target = (int(each) for each in np.unravel_index(flat, matrix.shape))
        share = min(float(size.flat[flat] / norm.vmax), 1.0)
        colour, layer = colours(norm(matrix[source, target])), 3 + place / len(order)
        if source == target:
            x, y = points[source]
            ax.scatter(
                [x], [y], 30 + _RING * share, facecolors="none", edgecolors=[colour],
                linewidths=0.5 + _WIDEST * share / 1.5, zorder=layer,
            )  # fmt: skip
            continue
        ax.add_patch(
            FancyArrowPatch(
                points[source], points[target], connectionstyle="arc3,rad=0.18",
                arrowstyle="-|>", mutation_scale=5 + 6 * share, shrinkA=3, shrinkB=3,
                color=colour, linewidth=0.4 + _WIDEST * share, zorder=layer,
            )
        )  # fmt: skip
