"""Curves: perturbation, convergence of a ranking, training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hargcn.plots.style import COLOURS, GREY, STYLE, all_drawn, canvas, fit_titles

_MEASURES = {
    "accuracy": "accuracy",
    "auc": "ROC-AUC",
    "mae": "mean absolute error",
    "score": "mean probability of the class",
    "gap": "prediction gap\n(change of the probability)",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
}
_MACRO = ("auc", "sensitivity", "specificity", "ppv", "npv", "f1")
_OF_VALUES = {"score": "mean value", "gap": "change of the value"}
_SETS = {
    "important": "most important {} perturbed",
    "unimportant": "least important {} perturbed",
    "complement": "all but the most important perturbed",
}
# Blue, vermilion, green, ...: neighbours in the palette would be hard to tell apart as lines.
_LINES = tuple(COLOURS[i] for i in (0, 2, 4, 5, 1, 3))
_ASIDE = 0.25  # of the distance between points: bars of several methods stand side by side
_MARKERS = "osD^vP"


@mpl.rc_context(STYLE)
def plot_curves(
    curves: xr.Dataset,
    measure: str | Sequence[str] = "accuracy",
    *,
    sets: Sequence[str] | None = None,
    segment: str | None = None,
    amount: float | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw measures against the number of perturbed joints, parts or edges.

    As in Tempel et al. 2024, figures 4 and 5. A row of panels per measure, in it one per set of
    them, one line per method with a bar of its 95% interval at every point; methods stand a little
    beside each other there. The grey band holds 95% of the random orderings, the grey line is their
    mean.

    Parameters
    ----------
    curves
        The dataset of a `GapCurve`: `<measure>` (explanation, set, k) with `_low`, `_high`, and
        `<measure>_band_low`, `_band_high` (set, k); the explanation "random" is the baseline.
    measure
        One or several of "accuracy", "auc", "sensitivity", "specificity", "ppv", "npv", "f1",
        "score", "gap", or "mae".
    sets
        Sets to draw; default all.
    segment, amount
        The stretch of time, where windows were cut, and the amount, where there are several.
    ax
        Axes to draw on, one per measure and set.

    Returns
    -------
    matplotlib.figure.Figure, matplotlib.axes.Axes
        With several panels an array of axes.

    Raises
    ------
    ValueError
        For an unknown measure or set, or where a segment or amount must be chosen.
    """
    measures = [measure] if isinstance(measure, str) else list(measure)
    known = {str(name) for name in curves if f"{name}_low" in curves} - {"area"}
    if not measures or set(measures) - known:
        raise ValueError(f"Expected a measure of {sorted(known)} (got {measure!r})")
    curves = _chosen(curves, segment=segment, amount=amount)
    sets = _sets(curves, sets)
    width, columns = _widths(curves, sets)
    rows = -(-(curves.sizes["explanation"] + 2) // columns)
    units = curves.attrs.get("units", "joints")  # files before edges do not say
    size = (width, (3.0 if len(measures) == 1 else 1.9) * len(measures) + 0.2 * rows)
    figure, axes = canvas(ax, size, len(measures) * len(sets), len(sets), sharey="row")
    panels = [(each, chosen) for each in measures for chosen in sets]
    for number, (panel, (each, chosen)) in enumerate(zip(axes, panels, strict=True)):
        _curves(panel, curves.sel(set=chosen), each)
        if number < len(sets):
            panel.set_title(_SETS.get(chosen, chosen).format(units))
        if number >= len(panels) - len(sets):
            panel.set_xlabel(f"number k of {units}")
        if chosen == sets[0]:
            panel.set_ylabel(_said_of(each, curves))
    _legend(figure, axes, columns, ax is None)
    return figure, all_drawn(axes)


@mpl.rc_context(STYLE)
def plot_sweep(
    curves: xr.Dataset,
    *,
    sets: Sequence[str] | None = None,
    segment: str | None = None,
    ax: Axes | Sequence[Axes] | None = None,
) -> tuple[Figure, Any]:
    """Draw the area of the prediction gap (PGI, PGU) against the amount of the edit.

    Parameters
    ----------
    curves
        The dataset of a `GapCurve` with an axis `amount`.
    sets, segment, ax
        As for `plot_curves`; a panel per set.

    Returns
    -------
    matplotlib.figure.Figure, matplotlib.axes.Axes
        With several sets an array of axes.

    Raises
    ------
    ValueError
        For curves of one amount, an unknown set, or where a segment must be chosen.
    """
    if "amount" not in curves.dims:
        axes = sorted(map(str, curves.dims))
        raise ValueError(f"Expected curves of several amounts (got axes {axes})")
    curves = _chosen(curves, segment=segment, amount=curves["amount"].to_numpy())
    sets = _sets(curves, sets)
    width, columns = _widths(curves, sets)
    rows = -(-(curves.sizes["explanation"] + 1) // columns)
    figure, panels = canvas(ax, (width, 3.0 + 0.2 * rows), len(sets), sharey=True)
    units = curves.attrs.get("units", "joints")
    for panel, chosen in zip(panels, sets, strict=True):
        _lines(panel, curves.sel(set=chosen), "area", "amount", 0.015)
        panel.set_title(_SETS.get(chosen, chosen).format(units))
        panel.set_xlabel("amount of the edit")
        panel.grid(color="#e5e5e5", linewidth=0.6)
    panels[0].set_ylabel(f"mean gap over k = 0 to {curves['k'].to_numpy().max()}")
    _legend(figure, panels, columns, ax is None)
    return figure, all_drawn(panels)


def _chosen(curves: xr.Dataset, **wanted: Any) -> xr.Dataset:
    """Choose along the axes that lead curves, where they are there."""
    for name, label in wanted.items():
        if name in curves.dims:
            labels = curves[name].to_numpy().tolist()
            if np.ndim(label) == 0 and label not in labels:
                article = "an" if name[0] in "aeiou" else "a"
                raise ValueError(f"Expected {article} {name} of {labels} (got {label!r})")
            curves = curves.sel({name: label})
    return curves


def _sets(curves: xr.Dataset, wanted: Sequence[str] | None) -> list[str]:
    """Return the sets to draw, by default all."""
    available = curves["set"].to_numpy().tolist()
    sets = available if wanted is None else list(wanted)
    if not sets or set(sets) - set(available):
        raise ValueError(f"Expected sets of {available} (got {sets})")
    return sets


def _widths(curves: xr.Dataset, sets: Sequence[str]) -> tuple[float, int]:
    """Return how many inches wide panels side by side are, and the legend's columns below them."""
    width = 1.0 + 2.8 * len(sets)
    # As many columns as the longest name leaves: a line sample and about 0.07 inch a letter.
    shown = json.loads(curves.attrs.get("titles", "{}"))
    names = [shown.get(str(name), str(name)) for name in curves["explanation"].to_numpy()]
    return width, max(1, int(width / (0.6 + 0.07 * max(20, *map(len, names)))))


def _legend(figure: Figure, axes: list[Axes], columns: int, own: bool) -> None:
    handles, names = axes[0].get_legend_handles_labels()
    if own:
        figure.legend(handles, names, loc="outside lower center", ncols=columns)
    else:
        axes[0].legend(handles, names)


def _said_of(measure: str, curves: xr.Dataset) -> str:
    """Return the label of a measure's axis."""
    if curves.attrs.get("outputs") == "regression" and measure in _OF_VALUES:
        return _OF_VALUES[measure]
    several = curves.attrs.get("classes", 2) > 2 and "outputs" not in curves.attrs
    mean = "\n(mean over classes)" if several and measure in _MACRO else ""
    return _MEASURES.get(measure, measure) + mean


def _curves(ax: Axes, curves: xr.Dataset, measure: str) -> None:
    """Draw one panel over k, the random band below the lines; bands of methods would bury them."""
    k = curves["k"].to_numpy()
    if f"{measure}_band_low" in curves:
        low, high = (curves[f"{measure}_band_{end}"].to_numpy() for end in ("low", "high"))
        ax.fill_between(k, low, high, color="#d9d9d9", linewidth=0, label="95% of random orders")
    _lines(ax, curves, measure, "k", _ASIDE)
    _tidy(ax)


def _lines(ax: Axes, curves: xr.Dataset, measure: str, over: str, aside: float) -> None:
    """Draw the lines of one panel, the random baseline below the others."""
    x = curves[over].to_numpy()
    methods = curves["explanation"].to_numpy().tolist()
    shown = json.loads(curves.attrs.get("titles", "{}"))
    values = curves.transpose(..., over)
    if "random" in methods:
        mean = values[measure].sel(explanation="random").to_numpy()
        ax.plot(x, mean, color=GREY, linestyle="--", linewidth=1.2, label="random")
    own = [method for method in methods if method != "random"]
    known = False
    asides = np.linspace(-aside, aside, len(own) + 2)[1:-1]
    for i, (method, shift) in enumerate(zip(own, asides, strict=True)):
        line = values.sel(explanation=method)
        colour, marker = _LINES[i % len(_LINES)], _MARKERS[i % len(_MARKERS)]
        low, high = (line[f"{measure}_{end}"].to_numpy() for end in ("low", "high"))
        ax.vlines(x + shift, low, high, color=colour, linewidth=0.9, alpha=0.7)
        known = known or bool(np.isfinite(high).any())
        ax.plot(
            x + shift,
            line[measure].to_numpy(),
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=1.4,
            label=shown.get(method, method),
        )
    if known:
        bar: dict[str, Any] = {"marker": "|", "markersize": 10, "linestyle": "none"}
        ax.plot([], [], color=GREY, label="95% interval of a method", **bar)


@mpl.rc_context(STYLE)
def plot_convergence(table: xr.Dataset, *, ax: Axes | None = None) -> tuple[Figure, Axes]:
    """Draw how a joint ranking settles as the background grows.

    Parameters
    ----------
    table
        What `ranking.convergence` returned.
    ax
        Axes to draw on.
    """
    figure, (axis,) = canvas(ax, (4.2, 3.0))
    sizes = table["background"].to_numpy()
    mean, low, high = (table[name].to_numpy() for name in ("mean", "low", "high"))
    axis.fill_between(sizes, low, high, color=COLOURS[0], alpha=0.18, linewidth=0)
    axis.plot(sizes, mean, color=COLOURS[0], marker="o", markersize=4, label="mean, 95% interval")
    axis.set_xscale("log")
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.minorticks_off()
    axis.set_xlabel("background windows")
    axis.set_ylabel(f"Spearman ρ with {sizes[-1]} windows")
    said = axis.set_title(f"joint ranking of {table.attrs.get('name', '')}")
    axis.grid(color="#e5e5e5", linewidth=0.6)
    axis.legend(loc="lower right")
    fit_titles(figure, [said], grow=ax is None)
    return figure, axis


@mpl.rc_context(STYLE)
def plot_history(
    rows: Sequence[Mapping[str, Any]], *, ax: Sequence[Axes] | None = None
) -> tuple[Figure, Any]:
    """Draw a training run: losses on the left, accuracies and the like on the right.

    Parameters
    ----------
    rows
        One per epoch, as in `log.csv`: `epoch`, and any columns `train_<name>`, `val_<name>`.
    ax
        Two axes to draw on.

    Returns
    -------
    matplotlib.figure.Figure, numpy.ndarray
        The two axes.

    Raises
    ------
    ValueError
        Without rows, or rows without an epoch.
    """
    if not rows or "epoch" not in rows[0]:
        raise ValueError("Expected at least one row with a column 'epoch'")
    epochs = [int(row["epoch"]) for row in rows]
    columns = [name for name in rows[0] if name.startswith(("train_", "val_"))]
    kinds = list(dict.fromkeys(name.partition("_")[2] for name in columns))
    figure, axes = canvas(ax, (7.2, 2.9), 2)
    for column in columns:
        part, _, kind = column.partition("_")
        others = [each for each in kinds if each != "loss"]
        colour = _LINES[0 if kind == "loss" else others.index(kind) % len(_LINES)]
        axes[kind != "loss"].plot(
            epochs,
            [_number(row.get(column)) for row in rows],
            color=colour,
            linestyle="-" if part == "val" else ":",
            marker="o" if len(rows) == 1 else "",
            label=f"{'validation' if part == 'val' else 'training'} {kind.replace('_', ' ')}",
        )
    errors = {"mae", "rmse"} & set(kinds)
    for axis, label in zip(axes, ("loss", "figure" if errors else "share"), strict=True):
        axis.set_ylabel(label)
        axis.set_xlabel("epoch")
        _tidy(axis)
        if axis.lines:
            axis.legend()
    return figure, np.array(axes)


def _number(value: Any) -> float:
    """Return a log's entry as a number; an empty one is missing."""
    return np.nan if value in (None, "") else float(value)


def _tidy(ax: Axes) -> None:
    ax.grid(color="#e5e5e5", linewidth=0.6)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
