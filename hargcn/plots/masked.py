"""Bodies of which a map kept a part, beside what it left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from hargcn.plots.skeletons import View, facing, project
from hargcn.plots.style import STYLE, all_drawn, canvas, wrapped
from hargcn.skeleton import Skeleton

_WHOLE, _SHOWN = "#c4c4c4", "#0072b2"


class MaskedPanel(NamedTuple):
    """A title and positions (C, T, V, M)."""

    title: str
    positions: np.ndarray


@mpl.rc_context(STYLE)
def plot_masked(
    panels: Sequence[MaskedPanel],
    whole: np.ndarray,
    skeleton: Skeleton,
    across: int,
    *,
    frames: int = 3,
    view: View = "front",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw what is left of a movement, over the whole one in grey.

    Parameters
    ----------
    panels
        What each panel shows.
    whole
        (C, T, V, M) the movement as it was.
    skeleton
        For the bones.
    across
        Panels in a row.
    frames
        Bodies side by side in a panel, at equal distances of time.
    view
        See `skeletons.project`; bodies are turned so that their front is in front.
    ax
        Axes to draw on, one per panel.

    Raises
    ------
    ValueError
        For axes that are not one per panel.
    """
    at = np.linspace(0, whole.shape[1] - 1, 2 * frames + 1).round().astype(int)[1::2]
    rows = -(-len(panels) // across)
    figure, axes = canvas(
        ax, (2.3 * across, 1.75 * rows), len(panels), across, sharex=True, sharey=True
    )
    turn = facing(_shown(whole), skeleton)
    base = project(_shown(whole[:, at]), skeleton.up, view, turn)
    apart = 1.15 * float(np.nanmax(base[0]) - np.nanmin(base[0]))
    for axis, panel in zip(axes, panels, strict=True):
        shown = project(_shown(panel.positions[:, at]), skeleton.up, view, turn)
        for points, colour, width in ((base, _WHOLE, 2.2), (shown, _SHOWN, 1.2)):
            lines = [
                points[:, place, list(edge), person].T + [place * apart, 0]
                for place in range(len(at))
                for edge in skeleton.edges
                for person in range(points.shape[-1])
            ]
            drawn = [line for line in lines if np.isfinite(line).all()]
            axis.add_collection(LineCollection(drawn, colors=colour, linewidths=width))
        axis.autoscale_view()
        axis.set_aspect("equal")
        axis.set_axis_off()
        axis.set_title(wrapped(panel.title, 2.2, 8), fontsize=8)
    return figure, all_drawn(axes)


def _shown(positions: np.ndarray) -> np.ndarray:
    """Return positions (C, T, V, M) with NaN where a person is absent."""
    absent = (positions == 0).all(axis=(0, 1, 2), keepdims=True)
    return np.where(absent, np.nan, positions.astype(float))
