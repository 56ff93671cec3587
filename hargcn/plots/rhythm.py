"""Attributions by frequency: bars of bands, joints by bands, and bands over time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hargcn.analysis.asked import class_name
from hargcn.analysis.features import feature_names, joint_names
from hargcn.explanation import DIMS, Explanation
from hargcn.plots.heatmaps import body_parts, cell_edges
from hargcn.plots.skeletons import one_sample, title, unit_of
from hargcn.plots.style import (
    COLOURS,
    GREY,
    SIGNED,
    STYLE,
    canvas,
    signed_bar,
    signed_norm,
    wrapped,
)

_HEIGHTS = {"bars": 1.5, "joint": 0.17, "time": 1.5}  # inches, of joints a row's
_NAMED = 12  # most bands with a name each
_SHARES = {
    "positive": ("positive attribution", COLOURS[2]),
    "absolute": ("size of attribution", COLOURS[3]),
    "power": ("power of the movement", GREY),
}


def of_rhythm(explanation: Explanation) -> bool:
    """Say whether an explanation is by frequency."""
    return "frequency" in explanation.dims


@mpl.rc_context(STYLE)
def plot_rhythm(
    explanation: Explanation,
    sample: str | int | None = None,
    *,
    ax: Axes | np.ndarray | None = None,
) -> tuple[Figure, list[Axes]]:
    """Draw which rhythms, of which joints, speak for and against the class.

    A column per class, the mean over the windows that were explained for it: on top the sums of
    the bands, a bar for each branch; below them joints by bands, joints grouped by body part; and
    bands over time, where stretches of it are told apart. White is 0; columns share a scale.

    Parameters
    ----------
    explanation
        By frequency, of a network with joints.
    sample
        One window, by name or number, instead of the means.
    ax
        Axes to draw on, row by row; a new figure without.

    Raises
    ------
    ValueError
        For an explanation without frequencies or joints, and an unknown sample.
    """
    explanation.expect_axes("rhythm", (*DIMS, "frequency"))
    if not {"joint", "frequency"} <= {*explanation.dims}:
        raise ValueError(
            f"explanation {explanation.name!r}: expected axes 'joint' and 'frequency', as of "
            f"explain --method shap-rhythm (got {', '.join(explanation.dims)})"
        )
    columns = _columns(explanation, sample)
    bands = feature_names(explanation, "frequency")
    timed = "time" in explanation.dims
    width = float(np.clip(1 + 0.5 * len(bands), 2.6, 4.6))
    heights = [_HEIGHTS["bars"], _HEIGHTS["joint"] * explanation.values.sizes["joint"]]
    heights += [_HEIGHTS["time"]] * timed
    size = (width * len(columns) + 2.4, sum(heights) + 0.9 * len(heights))
    grid = {"height_ratios": heights}
    count = len(heights) * len(columns)
    figure, axes = canvas(ax, size, count, len(columns), gridspec_kw=grid)
    rows = [axes[at : at + len(columns)] for at in range(0, count, len(columns))]
    _bars(rows[0], list(columns.values()), bands)
    _joints(figure, rows[1], list(columns.values()), bands)
    if timed:
        _times(figure, rows[2], list(columns.values()), bands)
    for axis, said in zip(rows[0], columns, strict=True):
        axis.set_title(wrapped(said.replace("_", " "), width))
    return figure, axes


@mpl.rc_context(STYLE)
def plot_shares(
    table: pd.DataFrame, *, ax: Axes | np.ndarray | None = None
) -> tuple[Figure, list[Axes]]:
    """Draw which share of attribution, and of the movement's power, lies in each band.

    A column per case; above of all joints, below of the sign's. Bars are means over seeds, dots the
    seeds.

    Parameters
    ----------
    table
        Rows of `pipeline.rhythms` with columns `case` and `seed`.
    ax
        Axes to draw on, row by row; a new figure without.
    """
    cases, joints, bands = (list(table[name].unique()) for name in ("case", "joints", "band"))
    size = (2.3 * len(cases) + 1.4, 2.3 * len(joints) + 0.9)
    figure, axes = canvas(ax, size, len(cases) * len(joints), len(cases), sharey=True)
    for axis, (chosen, case) in zip(axes, product(joints, cases), strict=True):
        some = table[(table["case"] == case) & (table["joints"] == chosen)]
        for number, (share, (said, colour)) in enumerate(_SHARES.items()):
            own = some[some["share"] == share].pivot(index="seed", columns="band", values="mean")
            places = np.arange(len(bands)) + (number - 1) * 0.27
            axis.bar(places, own[bands].mean(), 0.25, color=colour, label=said)
            for row in own[bands].to_numpy():
                axis.scatter(places, row, 6, "black", zorder=3, linewidths=0)
        axis.set_xticks(range(len(bands)), bands)
        axis.set_title(wrapped(f"{case}: {chosen} joints", 2.3))
    for axis in axes[:: len(cases)]:
        axis.set_ylabel("share")
    names = axes[0].get_legend_handles_labels()
    figure.legend(*names, loc="outside lower center", ncols=len(_SHARES))
    return figure, axes


def _columns(explanation: Explanation, sample: str | int | None) -> dict[str, Explanation]:
    """Return what each column shows, by its title: a window, or the windows of a class."""
    if sample is not None:
        one = one_sample(explanation, sample)
        return {title(one): one}
    target = explanation.target.to_numpy()
    found = {}
    for number in np.unique(target):
        some = explanation.isel(sample=np.flatnonzero(target == number))
        found[f"{class_name(explanation, int(number))} (n = {len(some)})"] = some
    return found


def _mean(some: Explanation, *dims: str) -> np.ndarray:
    """Return the mean over windows of sums over all axes but these."""
    values = some.values.mean("sample")
    return values.sum([dim for dim in values.dims if dim not in dims]).transpose(*dims).to_numpy()


def _bars(axes: Sequence[Axes], columns: Sequence[Explanation], bands: Sequence[str]) -> None:
    """Draw the sum of every band, side by side for each branch."""
    named = "branch" in columns[0].dims
    branches = feature_names(columns[0], "branch") if named else [""]
    dims = ("branch", "frequency") if named else ("frequency",)
    tables = [np.atleast_2d(_mean(each, *dims)) for each in columns]
    wide = 0.8 / len(branches)
    for axis, table in zip(axes, tables, strict=True):
        for number, (branch, row) in enumerate(zip(branches, table, strict=True)):
            places = np.arange(len(bands)) + 0.1 + wide * (number + 0.5)
            axis.bar(places, row, wide, color=COLOURS[number % len(COLOURS)], label=branch)
        axis.axhline(0, color=GREY, linewidth=0.8)
        axis.set(xlim=(0, len(bands)), ylim=_span(np.stack(tables)))
        _name_bands(axis.xaxis, bands)
        axis.tick_params(axis="x", labelbottom=False)
    axes[0].set_ylabel(f"sum ({unit_of(columns[0])})")
    if len(branches) > 1:
        axes[-1].legend(title="branch", loc="upper left", bbox_to_anchor=(1, 1))


def _span(tables: np.ndarray) -> tuple[float, float]:
    """Return limits that all bars fit in."""
    low, high = min(float(tables.min()), 0.0), max(float(tables.max()), 0.0)
    room = 0.05 * (high - low) or 1.0
    return low - room * (low < 0), high + room


def _joints(
    figure: Figure, axes: Sequence[Axes], columns: Sequence[Explanation], bands: Sequence[str]
) -> None:
    """Draw joints by bands, grouped by body part."""
    first = columns[0]
    names = joint_names(first)
    order = [j for group in body_parts(first.skeleton, len(names)).values() for j in group]
    tables = [_mean(each, "joint", "frequency")[order] for each in columns]
    norm = signed_norm(np.stack(tables))
    for axis, table in zip(axes, tables, strict=True):
        axis.pcolormesh(table, norm=norm, cmap=SIGNED)
        axis.invert_yaxis()
        _name_bands(axis.xaxis, bands)
        axis.tick_params(length=0)
        axis.tick_params(axis="x", labelrotation=40)
        axis.set_yticks([])
    shown = [names[j].replace("_", " ") for j in order]
    axes[0].set_yticks(np.arange(len(names)) + 0.5, shown)
    low = min(float(each.min()) for each in tables)
    signed_bar(figure, axes, norm, f"{first.title}, {unit_of(first)}", low)


def _times(
    figure: Figure, axes: Sequence[Axes], columns: Sequence[Explanation], bands: Sequence[str]
) -> None:
    """Draw bands over time, the lowest at the bottom."""
    first = columns[0]
    frames = int(first.dataset.attrs["frames"])
    edges = cell_edges(first.values["time"].to_numpy().astype(float), frames)
    tables = [_mean(each, "frequency", "time") for each in columns]
    norm = signed_norm(np.stack(tables))
    for axis, table in zip(axes, tables, strict=True):
        axis.pcolormesh(edges, np.arange(len(bands) + 1), table, norm=norm, cmap=SIGNED)
        axis.set(xlabel="frame", yticks=[])
    _name_bands(axes[0].yaxis, bands)
    axes[0].tick_params(axis="y", length=0)
    low = min(float(each.min()) for each in tables)
    signed_bar(figure, axes, norm, unit_of(first), low)


def _name_bands(axis: mpl.axis.Axis, bands: Sequence[str]) -> None:
    """Name bands at their middles, of many every so many."""
    step = -(-len(bands) // _NAMED)
    axis.set_ticks(np.arange(0, len(bands), step) + 0.5, list(bands)[::step])
