"""Joints and other features side by side for several methods: box plots, bee swarms, bars."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from hargcn.analysis.asked import asked_name
from hargcn.analysis.observed import Cells
from hargcn.analysis.ranking import Order, Ranking, common_order
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
    sort: str = "mean",
    top: int | None = None,
    cells: Cells = "all",
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw how much is attributed to every joint, or other feature, methods side by side.

    One panel per explanation, each on its own scale, features in one order for all of them (Tempel
    et al. 2024, figures 6 and 7).

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
    sort
        "mean": by the mean over the explanations of the ranks that their panels show; or the name
        of one of them, in whose order all are.
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
    named = _named(explanations)
    ordered = _order(named, by, feature, picture, sort, top, cells)
    figure, axes = canvas(ax, _size(feature, len(ordered.features), named), len(named), sharey=True)
    ordered.draw(figure, axes)
    if ordered.panel.parted and feature == "joint":
        _legend(figure, axes, ordered.looks, ax is None)
    return figure, all_drawn(axes)


@mpl.rc_context(STYLE)
def plot_rankings(
    rows: Sequence[Mapping[str, Explanation]],
    *,
    by: Order = "signed",
    feature: str = "joint",
    picture: str = "boxes",
    sort: str = "mean",
    top: int | None = None,
    cells: Cells = "all",
) -> tuple[Figure, Any]:
    """Draw several rankings below each other, a row each with its own order, such as of classes.

    Parameters
    ----------
    rows
        For each row explanations by name, as many in every row.
    by, feature, picture, sort, top, cells
        As of `plot_ranking`.

    Returns
    -------
    matplotlib.figure.Figure, numpy.ndarray
        The figure and its (row, explanation) axes.

    Raises
    ------
    ValueError
        As `plot_ranking`.
    """
    ordered = [_order(named, by, feature, picture, sort, top, cells) for named in rows]
    wide, high = _size(feature, max(len(each.features) for each in ordered), rows[0])
    figure, axes = canvas(
        None, (wide, high * len(rows)), len(rows) * len(rows[0]), len(rows[0]), sharey="row"
    )
    grid = [axes[i : i + len(rows[0])] for i in range(0, len(axes), len(rows[0]))]
    for own, line in zip(ordered, grid, strict=True):
        own.draw(figure, line)
    if ordered[0].panel.parted and feature == "joint":
        _legend(figure, grid[0], {k: v for own in ordered for k, v in own.looks.items()}, True)
    return figure, np.array(grid, dtype=object)


@mpl.rc_context(STYLE)
def plot_mean_ranks(
    table: pd.DataFrame, *, ax: Axes | Sequence[Axes] | None = None
) -> tuple[Figure, Any]:
    """Draw the mean ranks of joints over several networks, with their intervals.

    A row per class, sorted by the first method; a panel per method. Rank 1, the most important, is
    on the right, so that pictures read as those of scores.

    Parameters
    ----------
    table
        Rows of `pipeline.multiplicity`: `case`, `class`, `method`, `joint`, `rank`, `low`, `high`
        and `networks`.
    ax
        Axes to draw on, one per class and method, row by row.

    Returns
    -------
    matplotlib.figure.Figure, numpy.ndarray
        The figure and its axes in rows.
    """
    rows = list(dict.fromkeys(zip(table["case"], table["class"], strict=True)))
    methods = list(table["method"].unique())
    joints, colours = table["joint"].nunique(), [look.colour for look in looks(methods).values()]
    size = 1.7 + 2.8 * len(methods), (1.0 + 0.16 * joints) * len(rows)
    figure, axes = canvas(ax, size, len(rows) * len(methods), len(methods), sharey="row")
    for number, (case, class_) in enumerate(rows):
        own = table[(table["case"] == case) & (table["class"] == class_)]
        order = list(own[own["method"] == methods[0]].sort_values("rank")["joint"])
        line = axes[number * len(methods) : (number + 1) * len(methods)]
        for axis, method, colour in zip(line, methods, colours, strict=True):
            some = own[own["method"] == method].set_index("joint").loc[order]
            places = np.arange(len(order))
            axis.hlines(places, some["low"], some["high"], color=colour, linewidth=1.4)
            axis.plot(some["rank"], places, "o", color=colour, markersize=3.5)
            title = f"{class_}: {method.replace(' ', ', ')}, n = {some['networks'].max()}"
            axis.set_title(wrapped(title, 2.6))
            axis.set_xlim(joints + 0.5, 0.5)
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axis.grid(color="#e5e5e5", linewidth=0.6)
        line[0].set_yticks(range(len(order)), [each.replace("_", " ") for each in order])
        line[0].set_ylim(len(order) - 0.4, -0.6)
    for axis in axes[-len(methods) :]:
        axis.set_xlabel("mean rank, 95% interval over n networks")
    return figure, np.array(axes, dtype=object).reshape(len(rows), -1)


@dataclass(frozen=True, eq=False)
class _Ordered:
    """Explanations side by side, with the features in one order; the leader knows their sizes."""

    named: Mapping[str, Explanation]
    rankings: Mapping[str, Ranking]
    leader: str
    features: Sequence[str]
    looks: Mapping[str, tuple[str, Look]]
    panel: Any
    cells: Cells
    sort: str

    def draw(self, figure: Figure, axes: list[Axes]) -> None:
        """Draw a panel for each explanation."""
        shown = titles(self.named)
        colours = [self.looks[each][1] for each in self.features]
        for axis, (name, ranking) in zip(axes, self.rankings.items(), strict=True):
            one = self.named[name]
            self.panel.draw(axis, one, ranking, self.features, colours)
            asked = f"for {asked_name(one)}".replace("_", " ")
            axis.set_title(f"{wrapped(shown[name], 2.6)}\n{wrapped(asked, 2.6)}")
            axis.locator_params(axis="x", nbins=4, min_n_ticks=3)
            axis.xaxis.set_major_formatter(PowerOfTen())
            axis.set_xlabel(self.panel.label(one, ranking, self.cells))
            axis.tick_params(axis="y", length=0)
        names = [each.replace("_", " ") for each in self.features]
        axes[0].set_yticks(range(len(names)), names)
        axes[0].set_ylim(len(names) - 0.4, -0.6)
        if len(shown) > 1:
            axes[0].set_ylabel(
                "sorted by the mean rank"
                if self.sort == "mean"
                else wrapped(f"sorted by {shown[self.sort]}", 0.2 * len(names) + 1, 9)
            )
        leader = self.named[self.leader], self.rankings[self.leader]
        self.panel.finish(figure, axes, *leader, self.features)


def _order(
    named: Mapping[str, Explanation],
    by: Order,
    feature: str,
    picture: str,
    sort: str,
    top: int | None,
    cells: Cells,
) -> _Ordered:
    """Rank features by all explanations or as one of them does."""
    one_of("sort", sort, ["mean", *named])
    panel = PANELS[one_of("picture", picture, PANELS)]
    rankings = {name: Ranking.of(each, by, cells, feature) for name, each in named.items()}
    sums = [n for n, each in named.items() if "base_value" in each.dataset]
    leader = next(iter(sums or named))
    leader = leader if sort == "mean" else sort
    known = set(panel.order(rankings[leader]))
    for name, ranking in rankings.items():
        if missing := known - {str(each) for each in ranking.scores[feature].to_numpy()}:
            raise ValueError(
                f"explanation {name!r}: expected the {feature}s of {leader!r} too "
                f"(missing {sorted(missing)})"
            )
    chosen = [leader, *sorted({*rankings} - {leader})] if sort == "mean" else [leader]
    orders = [[each for each in panel.order(rankings[name]) if each in known] for name in chosen]
    features = common_order(orders)[:top]
    look = _looks(named[leader].skeleton, feature, features)
    return _Ordered(named, rankings, leader, features, look, panel, cells, sort)


def _size(feature: str, features: int, named: Mapping[str, Explanation]) -> tuple[float, float]:
    """Return width and height of a row of panels in inches."""
    return 1.7 + 0.9 * ("," in feature) + 0.2 * (len(named) > 1) + 2.8 * len(
        named
    ), 1.9 + 0.21 * features


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


def _legend(figure: Figure, axes: list[Axes], parts: Mapping[str, Any], own: bool) -> None:
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
