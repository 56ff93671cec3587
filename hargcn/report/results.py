"""What other commands measured, ready for a page: tables of `evaluate`, curves of `perturb`."""

from __future__ import annotations

import json
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("metric", "method", "estimate", "low", "high", "n", "chance", "ceiling", "better")
"""Columns of a table of `evaluate` that a page needs."""

_ENDS = ("random", "truth")
_LEADING = ("amount", "segment")
_SAID = {
    "gap": "prediction gap",
    "accuracy": "accuracy",
    "score": "mean score",
    "auc": "ROC-AUC",
    "mae": "mean absolute error",
}


class Dot(NamedTuple):
    """A measured figure of a method.

    Parameters
    ----------
    text
        The figure with its interval.
    n
        Windows that it was measured in.
    at, low, high, chance
        Where figure, ends of the interval and chance lie on a scale from 0 to 100 that a measure's
        methods share; None where there is none.
    """

    text: str
    n: int
    at: float | None
    low: float | None
    high: float | None
    chance: float | None


def measured(table: pd.DataFrame) -> dict[str, Any]:
    """Lay a table of `evaluate` out: a row per measure, a column per method.

    Parameters
    ----------
    table
        With the columns `COLUMNS`.

    Returns
    -------
    dict
        `methods`, names, without the random explanation and the truth, which every row holds as
        chance and `ceiling`; `rows`, without those that are no measure but a reference: of each
        measure `metric`, `better`, `source`, `ceiling` (a text) and `dots`, one per method or None.
    """
    shown = table[~table["method"].isin(_ENDS) & table["better"].isin(("higher", "lower"))]
    methods = list(dict.fromkeys(shown["method"]))
    rows = []
    for metric, own in shown.groupby("metric", sort=False):
        place = _scale(own)
        dots = {str(row.method): _dot(row, place) for row in own.itertuples()}
        ceiling = own["ceiling"].iloc[0]
        rows.append(
            {
                "metric": str(metric),
                "better": str(own["better"].iloc[0]),
                "source": str(own["source"].iloc[0]) if "source" in own else "",
                "ceiling": f"{ceiling:.3g}" if np.isfinite(ceiling) else "",
                "dots": [dots.get(str(method)) for method in methods],
            }
        )
    return {"methods": methods, "rows": rows}


def curve_charts(name: str, curves: xr.Dataset) -> list[dict[str, Any]]:
    """Lay perturbation curves out for drawing: a chart per measure and, if several, amount or part.

    Parameters
    ----------
    name
        Of the file.
    curves
        The dataset of a `metrics.gap_curve.GapCurve`.

    Returns
    -------
    list of dict
        `title`, `y` (what is measured), `x` (what is perturbed), `k` numbers, and `panels`, per set
        of joints a `title`, the `band` of the random orderings (low, high) and `lines` of methods
        (`name`, `mean`, `low`, `high`).
    """
    measures = [each for each in ("gap", "accuracy", "mae", "auc", "score") if each in curves]
    leading = [dim for dim in _LEADING if dim in curves.dims]
    charts = []
    for chosen in product(*(curves[dim].to_numpy().tolist() for dim in leading)):
        at = dict(zip(leading, chosen, strict=True))
        part = curves.sel(at) if at else curves
        where = "".join(f", {dim} {value}" for dim, value in at.items())
        charts += [_chart(f"{name}{where}", part, measure) for measure in measures]
    return charts


def _chart(title: str, curves: xr.Dataset, measure: str) -> dict[str, Any]:
    shown = json.loads(curves.attrs.get("titles", "{}"))
    units = curves.attrs.get("units", "joints")
    sets = {
        "important": f"most important {units} perturbed",
        "unimportant": f"least important {units} perturbed",
        "complement": "all but the most important perturbed",
    }
    panels = []
    for name in curves["set"].to_numpy().tolist():
        own = curves.sel(set=name)
        lines = [
            {
                "name": shown.get(method, method),
                **{
                    key: _numbers(own[measure + end].sel(explanation=method))
                    for key, end in (("mean", ""), ("low", "_low"), ("high", "_high"))
                },
            }
            for method in own["explanation"].to_numpy().tolist()
        ]
        band = [
            _numbers(own[f"{measure}_band_{end}"]) if f"{measure}_band_{end}" in own else []
            for end in ("low", "high")
        ]
        panels.append({"title": sets.get(name, name), "band": band, "lines": lines})
    k = curves["k"].to_numpy().tolist()
    y, x = _SAID[measure], f"number of {units} perturbed"
    return {"title": title, "y": y, "x": x, "k": k, "panels": panels}


def _numbers(values: xr.DataArray) -> list[float | None]:
    found = values.to_numpy().astype(float).tolist()
    return [float(f"{value:.4g}") if np.isfinite(value) else None for value in found]


def _scale(own: pd.DataFrame) -> tuple[float, float]:
    """Return the smallest of a measure's numbers and how far they reach."""
    known = own[["estimate", "low", "high", "chance"]].to_numpy(float)
    known = known[np.isfinite(known)]
    if not len(known):
        return 0.0, 1.0
    return float(known.min()), float(np.ptp(known)) or 1.0


def _dot(row: Any, scale: tuple[float, float]) -> Dot:
    def at(value: float) -> float | None:
        return round(5 + 90 * (value - scale[0]) / scale[1], 2) if np.isfinite(value) else None

    text = "not measured"
    if row.n:
        text = f"{row.estimate:.3g}"
        if np.isfinite([row.low, row.high]).all():
            text += f" [{row.low:.3g}, {row.high:.3g}]"
    return Dot(text, int(row.n), *map(at, (row.estimate, row.low, row.high, row.chance)))


def expect_columns(table: pd.DataFrame, path: Any) -> None:
    """Refuse a table that `evaluate` did not write; names what is missing."""
    if lost := [name for name in COLUMNS if name not in table]:
        raise ValueError(
            f"{path}: expected a table of `hargcn evaluate` (got no column {', '.join(lost)})"
        )
