"""Joints and other features side by side for several methods: box plots, bee swarms, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hargcn.analysis.asked import asked_name
from hargcn.analysis.observed import Cells
from hargcn.analysis.ranking import Order, Ranking
from hargcn.checks import one_of
from hargcn.explanation import Explanation, titles
from hargcn.plots.panels import PANELS
from hargcn.plots.style import (
    COLOURS,
    STYLE,
    Look,
    PowerOfTen,
    all_drawn,
    canvas,
    looks,
    wrapped,
)
from hargcn.skeleton import Skeleton


@mpl.rc_context(STYLE)
def plot_ranking(
    explanations: Explanation | Sequence[Explanation] | Mapping[str, Explanation],
    *,
    by: Order = "signed",
    feature: str = "joint",
    picture: str = "boxes",
    top: int | None = None,
    cells: Cells = "all",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw how much is attributed to every joint, or other feature, methods side by side.

    One panel per explanation, each on its own scale, features sorted by what the first explanation
    that adds up, such as SHAP, shows of them, or the first (Tempel et al. 2024, figures 6 and 7).

    Parameters
    ----------
    explanations
        One, several, or by name; of the same features.
    by
        Sort by the signed median or by its magnitude.
    feature
        What is ranked: one of `analysis.features.FEATURES`.
    picture
        "boxes": the distribution over the windows. A box spans the quartiles, its line is the
        median, whiskers reach 1.5 interquartile ranges, circles lie outside; colours are body
        parts. Of a single window a bar. "beeswarm": a dot per window, coloured by how large the
        feature is in it (`analysis.sizes`) relative to the other windows. "bar": the mean size
        over the windows with its 95% interval, clustered by subject; sorted by it.
    top
        Show the first so many features only.
    cells
        "all", or only what was "observed": a window in which a feature was never seen is left out.
    ax
        Axes to draw on, one per explanation.

    Returns
    -------
    matplotlib.figure.Figure, matplotlib.axes.Axes
        With several explanations an array of axes.

    Raises
    ------
    ValueError
        If there is nothing to draw, or the features differ or are not there.
    """
    panel = PANELS[one_of("picture", picture, PANELS)]
    named = _named(explanations)
    rankings = {name: Ranking.of(each, by, cells, feature) for name, each in named.items()}
    sums = [n for n, each in named.items() if "base_value" in each.dataset]
    leader = next(iter(sums or named))
    features = panel.order(rankings[leader])[:top]
    for name, ranking in rankings.items():
        missing = set(features) - {str(each) for each in ranking.scores[feature].to_numpy()}
        if missing:
            raise ValueError(
                f"explanation {name!r}: expected the {feature}s of {leader!r} too "
                f"(missing {sorted(missing)})"
            )
    shown = titles(named)
    parts = _looks(named[leader].skeleton, feature, features)
    size = (
        1.7 + 0.9 * ("," in feature) + 2.8 * len(named),
        1.9 + 0.21 * len(features),
    )
    figure, axes = canvas(ax, size, len(named), sharey=True)
    for axis, (name, ranking) in zip(axes, rankings.items(), strict=True):
        one = named[name]
        panel.draw(axis, one, ranking, features, [parts[each][1] for each in features])
        asked = f"for {asked_name(one)}".replace("_", " ")
        axis.set_title(f"{wrapped(shown[name], 2.6)}\n{wrapped(asked, 2.6)}")
        axis.locator_params(axis="x", nbins=4, min_n_ticks=3)
        axis.xaxis.set_major_formatter(PowerOfTen())
        axis.set_xlabel(panel.label(one, ranking, cells))
    axes[0].set_yticks(range(len(features)), [each.replace("_", " ") for each in features])
    axes[0].set_ylim(len(features) - 0.4, -0.6)
    for axis in axes:
        axis.tick_params(axis="y", length=0)
    panel.finish(figure, axes, named[leader], rankings[leader], features)
    if panel.parted and feature == "joint":
        _legend(figure, axes, parts, ax is None)
    return figure, all_drawn(axes)


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


def _looks(
    skeleton: Skeleton | None, feature: str, features: Sequence[str]
) -> dict[str, tuple[str, Look]]:
    """Return each feature's body part and how it looks."""
    plain = "", Look(COLOURS[0], "", "o")
    if skeleton is None or feature not in ("joint", "part"):
        return dict.fromkeys(features, plain)
    own = looks(list(skeleton.parts))
    if feature == "part":
        return {part: (part, own[part]) for part in features}
    of = {skeleton.joints[j]: part for part, joints in skeleton.parts.items() for j in joints}
    return {each: (of[each], own[of[each]]) if each in of else plain for each in features}


def _legend(figure: Figure, axes: list[Axes], parts: dict[str, Any], own: bool) -> None:
    """Say which look is which body part."""
    handles = [
        Patch(facecolor=look.colour, hatch=look.hatch, alpha=0.75, label=part.replace("_", " "))
        for part, look in sorted(set(parts.values()))
    ]
    if len(handles) < 2:
        return
    if own:
        figure.legend(handles=handles, loc="outside lower center", ncols=3 * len(axes))
    else:
        axes[-1].legend(handles=handles)
