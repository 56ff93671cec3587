"""What a panel of a ranking shows of each feature: a box, a swarm of windows, or a bar."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from hargcn.analysis.ranking import Ranking, sample_groups
from hargcn.analysis.sizes import Sizes, feature_sizes
from hargcn.explanation import Explanation
from hargcn.plots.style import GREY, Look

_ROOM = 0.42  # half a row, which a swarm may fill
_DOTS = 60  # dots side by side across a panel
_COLOURS = "cividis"  # told apart with any colour vision, and in grey


@dataclass(frozen=True)
class Panel:
    """A way to draw a ranking.

    Parameters
    ----------
    draw
        Draws on axes the features, in order, of an explanation and its ranking; with their looks.
    label
        Says what the values are.
    order
        The features by what the panel shows of them.
    finish
        What is drawn once for all panels.
    parted
        Whether colours are body parts.
    """

    draw: Callable[[Axes, Explanation, Ranking, Sequence[str], Sequence[Look]], None]
    label: Callable[[Explanation, Ranking, str], str]
    order: Callable[[Ranking], tuple[str, ...]]
    finish: Callable[..., None] = lambda *_: None
    parted: bool = True


def _zero(ax: Axes) -> None:
    ax.axvline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.6)


def _values(ranking: Ranking, features: Sequence[str]) -> np.ndarray:
    """Return (sample, feature) scores in order."""
    return ranking.scores.sel({ranking.feature: list(features)}).to_numpy()


def _what(explanation: Explanation, ranking: Ranking, cells: str) -> str:
    """Say what values are: shares of the score where they add up to it less a base value."""
    adds_up = {"base_value", "additivity_gap"} & {*explanation.dataset}
    what = "share of the score" if adds_up else "summed attribution"
    kind = what if cells == "all" else f"mean {what.removeprefix('summed ')} per observed cell"
    of = explanation.dataset.attrs.get("averaged", 1)
    count = ranking.scores.sizes["sample"]
    return f"{kind} ({explanation.utility}),\n" + (
        f"n = {count}" if of == 1 else f"mean of {of} windows"
    )


def _boxes(
    ax: Axes,
    _explanation: Explanation,
    ranking: Ranking,
    features: Sequence[str],
    looks: Sequence[Look],
) -> None:
    """Draw one panel, the first feature on top."""
    _zero(ax)
    scores = _values(ranking, features)
    if len(scores) == 1:
        bars = ax.barh(range(len(features)), scores[0], 0.65)
        _dress(bars.patches, looks)
        return
    drawn = ax.boxplot(
        [column[np.isfinite(column)] for column in scores.T],
        positions=range(len(features)),
        widths=0.65,
        orientation="horizontal",
        patch_artist=True,
        manage_ticks=False,
        medianprops={"color": "black", "linewidth": 1.3},
        whiskerprops={"color": "#555555", "linewidth": 0.8},
        capprops={"color": "#555555", "linewidth": 0.8},
        flierprops={"marker": "o", "markersize": 2.5, "markeredgewidth": 0.5, "alpha": 0.6},
    )
    _dress(drawn["boxes"], looks)
    for flier, look in zip(drawn["fliers"], looks, strict=True):
        flier.set(markeredgecolor=look.colour, markerfacecolor="none")


def _dress(patches: Sequence[Any], looks: Sequence[Look]) -> None:
    for patch, look in zip(patches, looks, strict=True):
        patch.set(facecolor=look.colour, alpha=0.75, edgecolor="#333333", linewidth=0.7)
        patch.set_hatch(look.hatch)


def _bars(
    ax: Axes,
    explanation: Explanation,
    ranking: Ranking,
    features: Sequence[str],
    looks: Sequence[Look],
) -> None:
    """Draw the mean size of each feature, and the interval of that mean where there is one."""
    table = ranking.sizes(sample_groups(explanation)).sel({ranking.feature: list(features)})
    mean, low, high = (table[name].to_numpy() for name in ("mean", "low", "high"))
    ax.grid(axis="x", color="#e5e5e5", linewidth=0.6)
    rows = np.arange(len(features))
    _dress(ax.barh(rows, mean, 0.65).patches, looks)
    known = np.isfinite(low) & np.isfinite(high)
    if known.any():
        distances = np.stack([mean - low, high - mean])[:, known].clip(min=0)
        style: dict[str, Any] = {"fmt": "none", "ecolor": "black", "elinewidth": 0.9, "capsize": 2}
        ax.errorbar(mean[known], rows[known], xerr=distances, **style)
    ax.set_xlim(left=0)


def _bar_label(explanation: Explanation, ranking: Ranking, cells: str) -> str:
    if len(explanation) == 1:
        return f"|{_what(explanation, ranking, cells).replace(' (', '| (', 1)}"
    groups = sample_groups(explanation)
    count = ranking.scores.sizes["sample"]
    subjects = count if groups is None else len(np.unique(groups))
    who = "windows" if groups is None else "subjects"
    interval = (
        f"95% interval over {subjects} {who}" if subjects > 1 else f"no interval: 1 {who[:-1]}"
    )
    said = _what(explanation, ranking, cells).split(" (")[0]
    return f"mean |{said}| ({explanation.utility}),\nn = {count}, {interval}"


def _swarm(
    ax: Axes,
    explanation: Explanation,
    ranking: Ranking,
    features: Sequence[str],
    _looks: Sequence[Look],
) -> None:
    """Draw a dot per window and feature, those of like values beside each other."""
    _zero(ax)
    ax.grid(axis="y", color="#efefef", linewidth=0.6)
    scores = _values(ranking, features)
    sizes = feature_sizes(explanation, ranking.feature)
    shades = None if sizes is None else sizes.shades(features)
    span = float(np.ptp(scores[np.isfinite(scores)])) or 1.0
    for row, values in enumerate(scores.T):
        seen = np.isfinite(values)
        x, offsets = values[seen], _spread(values[seen], span)
        colour: dict[str, Any] = {"color": GREY}
        if shades is not None:
            shade = shades[seen, row]
            colour = {"c": shade, "cmap": _COLOURS, "norm": Normalize(0, 1), "plotnonfinite": True}
        ax.scatter(x, row + offsets, 9, **colour, edgecolors="#444444", linewidths=0.25)


def _spread(values: np.ndarray, span: float) -> np.ndarray:
    """Return how far above or below its row each dot lies: the first of a place in the middle."""
    places = np.round(values / span * _DOTS).astype(int)
    offsets = np.zeros(len(values))
    step = 0.2
    for place in np.unique(places):
        there = np.flatnonzero(places == place)
        there = there[np.argsort(values[there], kind="stable")]
        number = np.arange(len(there))
        offsets[there] = (number + 1) // 2 * np.where(number % 2, 1, -1)
        step = min(step, _ROOM / max(len(there) // 2, 1))
    return offsets * step


def _colour_bar(
    figure: Figure,
    axes: list[Axes],
    leader: Explanation,
    ranking: Ranking,
    features: Sequence[str],
) -> None:
    """Say what colours are, and beside each row which values its ends stand for."""
    sizes: Sizes | None = feature_sizes(leader, ranking.feature)
    if sizes is None:
        return
    right = axes[-1].secondary_yaxis("right")
    right.set_yticks(range(len(features)), sizes.said(features), fontsize=7)
    right.tick_params(length=0)
    right.spines[:].set_visible(False)
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), _COLOURS), ax=axes, orientation="horizontal",
        shrink=0.7, aspect=35, pad=0.02,
    )  # fmt: skip
    bar.set_ticks([0, 1], labels=["low", "high"])
    bar.set_label(f"{sizes.what} in the window, from low to high of its row\n({sizes.unit}: right)")
    bar.outline.set_linewidth(0.5)


PANELS = {
    "boxes": Panel(_boxes, _what, lambda ranking: ranking.features),
    "beeswarm": Panel(_swarm, _what, lambda ranking: ranking.features, _colour_bar, False),
    "bar": Panel(_bars, _bar_label, lambda ranking: ranking.largest),
}
"""Pictures of a ranking by name."""
