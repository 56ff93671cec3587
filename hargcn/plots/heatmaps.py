"""Tables as heat maps: attribution over time and joints, agreement, correlation, confusion."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from hargcn.analysis.comb import own_step
from hargcn.analysis.features import joint_names
from hargcn.analysis.observed import cell_states, tells_seen
from hargcn.data.recording import ABSENT, INTERPOLATED, STATES
from hargcn.explanation import Explanation
from hargcn.plots.skeletons import frame_seconds, joint_map, one_sample, title, unit_of
from hargcn.plots.style import SIGNED, STYLE, canvas, fit_titles, inches, signed_bar, signed_norm
from hargcn.skeleton import Skeleton


@mpl.rc_context(STYLE)
def plot_heatmap(
    explanation: Explanation,
    sample: str | int,
    *,
    fps: float | None = None,
    person: int | None = None,
    limit: float | None = None,
    time_step: int | None = None,
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw one window's attributions over time and joints, joints grouped by body part.

    Cells that nobody saw are hatched: interpolated, or absent (away, or past the recording's end).

    Parameters
    ----------
    explanation
        With axes "time" and "joint"; a coarse map's cells cover the frames nearest to them.
    sample
        Its name or its number.
    fps
        Frames per second, for an axis in seconds besides the one in frames; default the stored
        time of each frame.
    person
        Number of one person; default all, one below the other.
    limit
        Magnitude at the ends of the colour scale; default the largest shown.
    time_step
        Frames whose attributions are added up; default the network's own step, 1 for single frames
        (see `analysis.comb`).
    ax
        Axes to draw on.

    Raises
    ------
    ValueError
        For an explanation without these axes, or an unknown sample or person.
    """
    explanation.expect_axes("heat map")
    if not {"time", "joint"} <= set(explanation.dims):
        raise ValueError(
            f"explanation {explanation.name!r}: expected axes 'time' and 'joint' "
            f"(got {explanation.dims})"
        )
    whole = one_sample(explanation, sample)
    one = own_step(whole, time_step)
    values, times = joint_map(one)
    if person is not None and not 0 <= person < values.shape[2]:
        raise ValueError(f"Expected a person from 0 to {values.shape[2] - 1} (got {person})")
    persons = range(values.shape[2]) if person is None else [person]
    groups = body_parts(one.skeleton, values.shape[1])
    order = [joint for members in groups.values() for joint in members]
    table = np.concatenate([values[:, order, p].T for p in persons])
    names = [joint_names(one)[joint].replace("_", " ") for joint in order]

    figure, (axis,) = canvas(ax, (7.2, 1.6 + 0.17 * len(table)))
    norm = signed_norm(table, limit)
    frames = int(one.dataset.attrs.get("frames", np.ceil(times[-1]) + 1))
    edges = cell_edges(times, frames)
    axis.pcolormesh(edges, np.arange(len(table) + 1), table, norm=norm, cmap=SIGNED)
    if tells_seen(one):
        states = cell_states(one)[0]
        _hatch(axis, edges, np.concatenate([states[:, order, p].T for p in persons]))
    axis.set_yticks(np.arange(len(table)) + 0.5, names * len(persons))
    axis.invert_yaxis()
    axis.tick_params(axis="y", length=0)
    starts = np.cumsum([0, *[len(members) for members in groups.values()]])
    for block, p in enumerate(persons):
        base = block * len(order)
        for start, stop, part in zip(starts, starts[1:], groups, strict=False):
            label = part.replace("_", " ") + (f"\nperson {p + 1}" if len(persons) > 1 else "")
            axis.axhline(base + start, color="#555555", linewidth=1.6 if start == 0 else 0.6)
            axis.text(
                1.01,
                base + (start + stop) / 2,
                label,
                va="center",
                transform=axis.get_yaxis_transform(),
                fontsize=8,
            )
    axis.set_xlabel(_frames_seen(whole))
    said = axis.set_title(title(one))
    seconds = frame_seconds(one, frames, fps)
    if seconds is not None and seconds[-1] > seconds[0]:
        count = np.arange(len(seconds))
        there_and_back = partial(_along, count, seconds), partial(_along, seconds, count)
        above = axis.secondary_xaxis("top", functions=there_and_back)
        above.set_xlabel("time (s)")
    signed_bar(figure, axis, norm, f"attribution ({unit_of(one)})", float(table.min()))
    fit_titles(figure, [said], grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_correlation(table: xr.Dataset, *, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw the correlation of layers with a reference layer (Tempel et al. 2024, table 1).

    Parameters
    ----------
    table
        What `agreement.correlate` returned: rows are branches, columns the kind of layer; each cell
        holds the mean and its 95% interval.
    ax
        Axes to draw on.
    """
    branches = list(dict.fromkeys(table["branch"].to_numpy().tolist()))
    branches.sort(key=_last)
    stages = _columns(table)
    columns = list(dict.fromkeys(stages))
    values = np.full((len(branches), len(columns)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for i, stage in enumerate(stages):
        cell = branches.index(str(table["branch"].to_numpy()[i])), columns.index(stage)
        mean, low, high = (float(table[name][i]) for name in ("mean", "low", "high"))
        values[cell] = mean
        texts[cell] = f"{mean:.2f}\n[{low:.2f}, {high:.2f}]".replace("-0.00", "0.00")
    rows = [
        {"sum": "sum of branches", "main": "main stream"}.get(b, f"branch {b}") for b in branches
    ]
    size = (2.6 + 1.15 * len(columns), 1.3 + 0.5 * len(branches))
    figure, (axis,) = canvas(ax, size)
    kind = {"spearman": "Spearman ρ", "kendall": "Kendall τ"}[table.attrs["kind"]]
    image = draw_matrix(axis, values, texts, rows, columns, signed_norm(values, 1.0), SIGNED)
    bar = figure.colorbar(image, ax=axis, label=kind, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    said = f"agreement with {table.attrs['reference']} (n = {int(table['n'].max())})"
    fit_titles(figure, [axis.set_title(said)], grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_means(
    table: pd.DataFrame,
    rows: str,
    columns: str,
    value: str,
    *,
    label: str = "",
    ax: Axes | None = None,
) -> tuple[Figure, Axes]:
    """Draw means of a figure over repetitions, such as seeds, with their standard deviations.

    Colours go from 0 to 1 or the largest mean, and as far below 0 where any mean is negative.

    Parameters
    ----------
    table
        A row per repetition.
    rows, columns, value
        Names of columns: what the rows and columns of the matrix are, and the figure.
    label
        What the figure is, beside its colours.
    ax
        Axes to draw on.

    Raises
    ------
    ValueError
        If the table lacks a column.
    """
    if lost := {rows, columns, value} - {*table}:
        raise ValueError(f"Expected the columns {rows}, {columns}, {value} (no {min(lost)!r})")
    grouped = table.groupby([rows, columns], sort=False)[value]
    names, heads = (list(dict.fromkeys(table[key].astype(str))) for key in (rows, columns))
    values = np.full((len(names), len(heads)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for (name, head), own in grouped:
        cell = names.index(str(name)), heads.index(str(head))
        values[cell] = own.mean()
        spread = f"\n± {own.std():.2f}" if len(own) > 1 else ""
        texts[cell] = f"{own.mean():.2f}{spread}".replace("-0.00", "0.00")
    size = (2.8 + 0.95 * len(heads), 1.3 + 0.42 * len(names))
    figure, (axis,) = canvas(ax, size)
    signed = np.nanmin(values) < 0
    norm = signed_norm(values, 1.0) if signed else Normalize(0, max(1, np.nanmax(values)))
    colours = SIGNED if signed else "Reds"
    image = draw_matrix(axis, values, texts, names, heads, norm, colours)
    bar = figure.colorbar(image, ax=axis, label=label or value, shrink=0.9, pad=0.02)
    bar.outline.set_visible(False)
    runs = grouped.size()
    said = str(runs.max()) if runs.min() == runs.max() else f"{runs.min()} to {runs.max()}"
    about = axis.set_title(f"mean ± standard deviation over {said} networks")
    fit_titles(figure, [about], grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_agreement(
    table: xr.Dataset, measure: str = "spearman", label: str = "all", *, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw how far methods agree, as a matrix.

    Parameters
    ----------
    table
        What `agreement.agreement` returned.
    measure
        One of its measures.
    label
        One of its classes, or "all".
    ax
        Axes to draw on.

    Raises
    ------
    ValueError
        For an unknown measure or class.
    """
    for name, known in ((measure, list(table)), (label, table["class"].to_numpy().tolist())):
        if name not in known:
            raise ValueError(f"Expected one of {known} (got {name!r})")
    chosen = table.sel({"class": label})
    values = chosen[measure].to_numpy()
    texts = _formatted(values, "{:.2f}")
    shown = json.loads(table.attrs.get("titles", "{}"))
    names = [shown.get(name, name) for name in chosen["method"].to_numpy().tolist()]
    norm = Normalize(0, 1) if measure == "overlap" else signed_norm(values, 1.0)
    figure, (axis,) = canvas(ax, (2.6 + 0.62 * len(names), 1.6 + 0.55 * len(names)))
    colours = "Reds" if measure == "overlap" else SIGNED
    image = draw_matrix(axis, values, texts, names, names, norm, colours)
    axis.tick_params(axis="x", labelrotation=40)
    for tick in axis.get_xticklabels():
        tick.set(ha="right", rotation_mode="anchor")
    unit = {
        "spearman": "Spearman ρ",
        "kendall": "Kendall τ",
        "overlap": f"shared top {table.attrs['k']} joints",
    }.get(measure, measure)
    figure.colorbar(image, ax=axis, label=unit, shrink=0.9, pad=0.02).outline.set_visible(False)
    said = f"agreement, {label if label != 'all' else 'all classes'} (n = {int(chosen['n'])})"
    fit_titles(figure, [axis.set_title(said)], grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_confusion(
    matrix: Any, classes: Sequence[str], *, ax: Axes | None = None
) -> tuple[Figure, Axes]:
    """Draw a confusion matrix: counts, coloured by their share of the true class.

    Parameters
    ----------
    matrix
        (true class, predicted class) counts.
    classes
        Class names.
    ax
        Axes to draw on.

    Raises
    ------
    ValueError
        If the matrix is not square, or not one row per class.
    """
    counts = np.asarray(matrix)
    n = len(classes)
    if counts.shape != (n, n):
        raise ValueError(f"Expected a matrix {(n, n)}, a row per class (got {counts.shape})")
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    texts = np.where(counts == 0, "", _formatted(counts, "{:g}"))
    names = [str(name).replace("_", " ") for name in classes]
    side = 1.2 + 0.3 * n + max(1.0, *(inches(name, 8) for name in names))
    figure, (axis,) = canvas(ax, (side + 0.8, side))
    image = draw_matrix(axis, shares, texts, names, names, Normalize(0, 1), "Blues")
    axis.tick_params(axis="x", labelrotation=90)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    bar = figure.colorbar(image, ax=axis, label="share of the true class", shrink=0.8, pad=0.02)
    bar.outline.set_visible(False)
    accuracy = np.trace(counts) / max(counts.sum(), 1)
    said = axis.set_title(f"accuracy {accuracy:.3f} (n = {int(counts.sum())})")
    fit_titles(figure, [said], grow=ax is None)
    return figure, axis


_HATCHES = {INTERPOLATED: "//////", ABSENT: "xxxx"}


def _hatch(ax: Axes, edges: np.ndarray, states: np.ndarray) -> None:
    """Hatch the cells (row, cell) that nobody saw, runs of one state at once, and say so below."""
    handles = []
    for state, hatch in _HATCHES.items():
        padded = np.pad(states == state, ((0, 0), (1, 1))).astype(int)
        rows, starts = np.nonzero(np.diff(padded, axis=1) == 1)
        stops = np.nonzero(np.diff(padded, axis=1) == -1)[1]
        if not len(rows):
            continue
        boxes = [
            [(edges[a], row), (edges[b], row), (edges[b], row + 1), (edges[a], row + 1)]
            for row, a, b in zip(rows, starts, stops, strict=True)
        ]
        looks: dict[str, Any] = {
            "hatch": hatch,
            "facecolor": "none",
            "edgecolor": "#777777",
            "linewidth": 0,
        }
        ax.add_collection(PolyCollection(boxes, **looks))
        handles.append(Patch(label=f"{STATES[state]}: nobody saw the joint", **looks))
    if handles:
        ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(0, -0.5 / len(states) - 0.06))


def draw_matrix(
    ax: Axes,
    values: np.ndarray,
    texts: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    norm: Normalize,
    colours: str | Colormap,
) -> Any:
    """Draw a matrix with a text in every cell, black or white, whichever reads better."""
    image = ax.imshow(values, norm=norm, cmap=colours, aspect="auto")
    ax.set_xticks(range(len(columns)), columns)
    ax.set_yticks(range(len(rows)), rows)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    small = 6.5 if len(columns) > 12 else 8
    for (i, j), text in np.ndenumerate(texts):
        red, green, blue, _ = image.cmap(norm(values[i, j]))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        colour = "white" if dark and np.isfinite(values[i, j]) else "black"
        ax.text(j, i, text, ha="center", va="center", color=colour, fontsize=small)
    return image


def _formatted(values: np.ndarray, form: str) -> np.ndarray:
    """Return the values as text, nothing for NaN."""
    texts = [
        form.format(v).replace("-0.00", "0.00") if np.isfinite(v) else "" for v in values.ravel()
    ]
    return np.array(texts, dtype=object).reshape(values.shape)


def _frames_seen(one: Explanation) -> str:
    """Call the axis of frames; of a recording say how many windows saw each."""
    count, seen = one.dataset.attrs.get("averaged", 1), one.dataset.get("windows")
    if count == 1 or seen is None:
        return "frame"
    return f"frame, seen by {float(seen.min()):g} to {float(seen.max()):g} of {count} windows"


def body_parts(skeleton: Skeleton | None, joints: int) -> dict[str, Sequence[int]]:
    """Return joints by body part, one nameless part without a skeleton."""
    return dict(skeleton.parts) if skeleton else {"": range(joints)}


def cell_edges(times: np.ndarray, frames: int) -> np.ndarray:
    """Return the frames where cells begin and end: halfway between centres, the window's ends."""
    between = (times[1:] + times[:-1]) / 2
    return np.concatenate([[min(-0.5, times[0])], between, [frames - 0.5]])


def _along(x: np.ndarray, y: np.ndarray, at: Any) -> np.ndarray:
    """Interpolate the rising line through (x, y), which goes on beyond its ends."""
    at = np.asarray(at, float)
    beyond = np.minimum(at - x[0], 0) + np.maximum(at - x[-1], 0)
    return np.interp(at, x, y) + beyond * (y[-1] - y[0]) / (x[-1] - x[0])


def _last(branch: str) -> int:
    """Sort the sum over branches and the main stream behind the branches."""
    return {"sum": 1, "main": 2}.get(branch, 0)


def _columns(table: xr.Dataset) -> list[str]:
    """Return each layer's column: its kind (init, tcn, ...) unless a branch has several of it."""
    stages = [
        str(stage).replace("tcn", "TCN").replace("gcn", "GCN") for stage in table["stage"].data
    ]
    kinds = [stage.rpartition(".")[2] for stage in stages]
    pairs = list(zip(table["branch"].to_numpy().tolist(), kinds, strict=True))
    return stages if len(set(pairs)) < len(pairs) else kinds
