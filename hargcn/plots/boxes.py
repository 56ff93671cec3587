"""Joint rankings as box plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hargcn.analysis.observed import Cells
from hargcn.analysis.ranking import Order, Ranking
from hargcn.explanation import Explanation, titles
from hargcn.plots.style import COLOURS, GREY, STYLE, canvas, wrapped
from hargcn.skeleton import Skeleton

"""Methods that lead the order of the joints."""


@mpl.rc_context(STYLE)
def plot_ranking(
    explanations: Explanation | Sequence[Explanation] | Mapping[str, Explanation],
    *,
    by: Order = "signed",
    top: int | None = None,
    cells: Cells = "all",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw the distribution of every joint's score over the samples, methods side by side.

    One panel per explanation, each on its own scale, joints sorted by the median of the first
    explanation that adds up, such as SHAP, or of the first (Tempel et al. 2024, figures 6 and 7).
    A box spans the quartiles, its line is the median, whiskers reach 1.5 interquartile ranges,
    circles lie outside; colours are body parts.

    Parameters
    ----------
    explanations
        One, several, or by name; of the same joints.
    by
        Sort by the signed median or by its magnitude.
    top
        Show the first so many joints only.
    cells
        "all", or only what was "observed": a window in which a joint was never seen is left out of
        its box.
    ax
        Axes to draw on, one per explanation.

    Returns
    -------
    matplotlib.figure.Figure, matplotlib.axes.Axes
        With several explanations an array of axes.

    Raises
    ------
    ValueError
        If there is nothing to draw or the joints differ.
    """
    named = _named(explanations)
    rankings = {name: Ranking.of(each, by, cells) for name, each in named.items()}
    sums = [n for n, each in named.items() if "base_value" in each.dataset]
    leader = next(iter(sums or named))
    joints = rankings[leader].joints[:top]
    for name, ranking in rankings.items():
        missing = set(joints) - set(ranking.scores["joint"].to_numpy())
        if missing:
            raise ValueError(
                f"explanation {name!r}: expected the joints of {leader!r} too "
                f"(missing {sorted(missing)})"
            )
    shown = titles(named)
    colours = _part_colours(named[leader].skeleton, joints)
    size = (1.7 + 2.8 * len(named), 1.7 + 0.21 * len(joints))
    figure, axes = canvas(ax, size, len(named), sharey=True)
    for panel, (name, ranking) in zip(axes, rankings.items(), strict=True):
        _boxes(panel, ranking, joints, [colours[joint][1] for joint in joints])
        panel.set_title(wrapped(shown[name], 2.6))
        count = ranking.scores.sizes["sample"]
        # Few ticks and a common power of ten: small attributions have long numbers.
        panel.locator_params(axis="x", nbins=4)
        panel.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3), useMathText=True)
        of = "" if cells == "all" else "of observed cells "
        panel.set_xlabel(f"mean attribution {of}({named[name].utility}), n = {count}")
    axes[0].set_yticks(range(len(joints)), [joint.replace("_", " ") for joint in joints])
    axes[0].set_ylim(len(joints) - 0.4, -0.6)
    parts = sorted(set(colours.values()))
    if len(parts) > 1:
        handles = [
            Patch(facecolor=colour, alpha=0.75, label=part.replace("_", " "))
            for part, colour in parts
        ]
        if ax is None:
            figure.legend(handles=handles, loc="outside lower center", ncols=3 * len(axes))
        else:
            axes[-1].legend(handles=handles)
    return figure, axes[0] if len(axes) == 1 else np.array(axes)


def _named(
    explanations: Explanation | Sequence[Explanation] | Mapping[str, Explanation],
) -> dict[str, Explanation]:
    """Return explanations by the title of their panel."""
    if isinstance(explanations, Mapping):
        named = dict(explanations)
    else:
        listed = [explanations] if isinstance(explanations, Explanation) else list(explanations)
        named = {e.name: e for e in listed}
        if len(named) != len(listed):
            raise ValueError(
                f"Expected different methods or layers, or names for them "
                f"(got {[each.name for each in listed]})"
            )
    if not named:
        raise ValueError("Expected at least one explanation (got none)")
    return named


def _part_colours(skeleton: Skeleton | None, joints: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return each joint's body part and its colour."""
    parts = skeleton.parts if skeleton else {"": ()}
    of = {
        skeleton.joints[joint]: (part, COLOURS[i % len(COLOURS)])
        for i, (part, members) in enumerate(parts.items())
        for joint in members
        if skeleton
    }
    return {joint: of.get(joint, ("", COLOURS[0])) for joint in joints}


def _boxes(ax: Axes, ranking: Ranking, joints: Sequence[str], colours: Sequence[str]) -> None:
    """Draw one panel, the first joint on top."""
    scores = ranking.scores.sel(joint=list(joints)).to_numpy()
    ax.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    drawn = ax.boxplot(
        [column[np.isfinite(column)] for column in scores.T],
        positions=range(len(joints)),
        widths=0.65,
        orientation="horizontal",
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": "black", "linewidth": 1.3},
        whiskerprops={"color": "#555555", "linewidth": 0.8},
        capprops={"color": "#555555", "linewidth": 0.8},
        flierprops={"marker": "o", "markersize": 2.5, "markeredgewidth": 0.5, "alpha": 0.6},
    )
    for box, flier, colour in zip(drawn["boxes"], drawn["fliers"], colours, strict=True):
        box.set(facecolor=colour, alpha=0.75, edgecolor="#333333", linewidth=0.7)
        flier.set(markeredgecolor=colour, markerfacecolor="none")
    ax.tick_params(axis="y", length=0)
