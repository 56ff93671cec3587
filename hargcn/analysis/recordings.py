"""A whole recording's attribution: that of its windows, on the recording's own time axis."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from hargcn.analysis.asked import class_name
from hargcn.analysis.comb import with_comb
from hargcn.checks import nearest
from hargcn.explanation import Explanation

_START = re.compile(r"@(\d+)$")
_LOST = ("attribution", "standard_error", "relative_gap", "comb")  # which no mean has


def recordings(explanation: Explanation) -> np.ndarray:
    """Return (sample,) the recording that each window is of, as stored or as its name says."""
    if "recording" in explanation.dataset:
        return explanation.dataset["recording"].to_numpy().astype(str)
    names = explanation.values["sample"].to_numpy().astype(str)
    return np.array([name.rsplit("@", 1)[0] for name in names])


def of_recording(explanation: Explanation, name: str) -> Explanation:
    """Average the attributions of a recording's windows on the recording's time axis.

    Every window weighs 1 / n, and each of its cells goes to the one place of the recording that it
    is of: where windows overlap, their shares add up to a mean and no frame counts twice. That is
    the only weighing for which the values, with the mean base value, add up to a score: the mean
    score of the n windows. They do not add up to what the network would say of the whole recording.

    A frame that one window saw has 1 / n of that window's attribution: `windows` (sample, time)
    says how many windows saw each place.

    Parameters
    ----------
    explanation
        Of windows with names "recording@start"; their first frames say where they lie.
    name
        Of the recording.

    Returns
    -------
    Explanation
        Of one sample called like the recording. Time is counted from the first of the windows.
        Cells of a coarse map that lie between two places of the first window's are shared by both,
        so that sums stay. `score`, `base_value` and `additivity_gap` are means, `averaged` (an
        attribute) is n, and positions, states and times are those of the recording.

    Raises
    ------
    ValueError
        For a recording that no window is of (offers the nearest), windows explained for different
        classes or of different rates, and cells at uneven distances.
    """
    own = recordings(explanation)
    rows = np.flatnonzero(own == name)
    if not len(rows):
        known = list(dict.fromkeys(own.tolist()))
        raise ValueError(
            f"explanation {explanation.name!r}: expected one of its {len(known)} recordings, such "
            f"as {known[0]!r} (got {name!r}{nearest(name, known)})"
        )
    some = explanation.isel(sample=rows)
    _expect_alike(some, name)
    starts = _starts(some)
    values, seen = _averaged(some, starts)
    stored = some.dataset
    variables: dict[str, Any] = {}
    for key, variable in stored.data_vars.items():
        if "sample" in variable.dims and key not in _LOST and "time" not in variable.dims:
            kept = _stitched(variable, starts) if "frame" in variable.dims else _shared(variable)
            if kept is not None:
                variables[str(key)] = kept
    dataset = xr.Dataset({"attribution": values, **variables}, attrs=dict(stored.attrs))
    coords = {key: at for key, at in stored.coords.items() if not {"sample", "time"} & {*at.dims}}
    made = Explanation(dataset.assign_coords(coords))
    windows = {} if seen is None else {"windows": (("sample", "time"), seen[None])}
    attrs: dict[str, Any] = {"averaged": len(rows)}
    if "frames" in stored.attrs:
        attrs["frames"] = int(starts.max()) + int(stored.attrs["frames"])
    whole = made.assign(windows, {"sample": [name]}, **attrs)
    return with_comb(whole, stored.attrs.get("time_step"))


def said_of_recording(explanation: Explanation) -> list[str]:
    """Say of what score the values of a recording are; nothing of windows."""
    count = explanation.dataset.attrs.get("averaged")
    if count is None:
        return []
    if count == 1:
        return ["the file has one window of the recording, whose attribution this is"]
    mean = (
        f"the mean {explanation.utility} of its {count} windows in the file, "
        f"{float(explanation.score[0]):.3g}"
    )
    adds = (
        f"and the base value add up to {mean}"
        if "base_value" in explanation.dataset
        else f"is of {mean}"
    )
    return [f"the recording's attribution {adds}; nobody asked the network of all of it at once"]


def _expect_alike(some: Explanation, name: str) -> None:
    asked = np.unique(some.asked, axis=0)
    if len(asked) > 1:
        a, b = (
            " rather than ".join(class_name(some, int(c)) for c in pair if c >= 0)
            for pair in asked[:2]
        )
        raise ValueError(
            f"explanation {some.name!r}: expected the windows of {name} explained for one class "
            f"(got {a} and {b}): explain with --class NAME, or rank with --class"
        )
    rates = some.dataset["fps"].to_numpy() if "fps" in some.dataset else np.zeros(1)
    if len(some) > 1 and np.ptp(rates) > 0:
        raise ValueError(
            f"explanation {some.name!r}: expected the windows of {name} at one rate (got "
            f"{rates.min():g} to {rates.max():g} frames per second)"
        )


def _starts(some: Explanation) -> np.ndarray:
    """Return (window,) first frames, counted from the first window; one window lies at 0."""
    if len(some) == 1:
        return np.zeros(1, int)
    found = [_START.search(str(each)) for each in some.values["sample"].to_numpy()]
    if None in found:
        other = str(some.values["sample"].to_numpy()[found.index(None)])
        raise ValueError(
            f"explanation {some.name!r}: expected windows named recording@start (got {other!r})"
        )
    starts = np.array([int(each[1]) for each in found if each])
    return starts - starts.min()


def _averaged(some: Explanation, starts: np.ndarray) -> tuple[xr.DataArray, np.ndarray | None]:
    """Return (1, ...) values over the recording's places, and how many windows saw each."""
    values = some.values
    if "time" not in some.dims:
        return values.mean("sample", keepdims=True), None
    moved = values.transpose("sample", "time", ...)
    cells = moved["time"].to_numpy().astype(float)
    step = _step(cells, some.name)
    at = starts[:, None] / step + np.arange(len(cells))
    low = np.floor(at + 1e-9).astype(int)
    share = np.clip(at - low, 0, None)
    share[share < 1e-9] = 0
    places = int((low + (share > 0)).max()) + 1
    data = moved.to_numpy().astype(float)
    added = np.zeros((places, *data.shape[2:]))
    seen = np.zeros(places)
    for window, rows, high in zip(data, low, share, strict=True):
        weights = high.reshape(-1, *(1,) * (window.ndim - 1))
        np.add.at(added, rows, (1 - weights) * window)
        np.add.at(seen, rows, 1 - high)
        above = high > 0
        np.add.at(added, rows[above] + 1, (weights * window)[above])
        np.add.at(seen, rows[above] + 1, high[above])
    rest = {dim: moved[dim] for dim in moved.dims[2:] if dim in moved.coords}
    times = cells[0] + step * np.arange(places)
    made = xr.DataArray((added / len(data))[None], {**rest, "time": times}, moved.dims)
    return made.transpose(*values.dims), seen


def _step(cells: np.ndarray, name: str) -> float:
    """Return how many frames a map's cells lie apart."""
    steps = np.diff(cells)
    if not len(steps):
        return 1.0
    if np.ptp(steps) > 1e-6 * abs(steps[0]):
        raise ValueError(
            f"explanation {name!r}: expected cells at even distances to join windows (got "
            f"{steps.min():g} to {steps.max():g} frames)"
        )
    return float(steps[0])


def _stitched(variable: xr.DataArray, starts: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Return a variable of frames over the whole recording; of an overlap the first window's.

    Between windows that leave a gap times go on evenly, and everything else is 0: absent.
    """
    moved = variable.transpose("sample", "frame", ...)
    data = moved.to_numpy()
    length = data.shape[1]
    whole = np.zeros((int(starts.max()) + length, *data.shape[2:]), data.dtype)
    known = np.zeros(len(whole), bool)
    for row in np.argsort(-starts, kind="stable"):
        whole[starts[row] : starts[row] + length] = data[row]
        known[starts[row] : starts[row] + length] = True
    if variable.name == "seconds":
        whole = np.interp(np.arange(len(whole)), np.flatnonzero(known), whole[known])
    order = [moved.dims.index(dim) for dim in variable.dims]
    return tuple(map(str, variable.dims)), whole[None].transpose(order)


def _shared(variable: xr.DataArray) -> tuple[tuple[str, ...], np.ndarray] | None:
    """Return what all windows say alike, the mean of numbers otherwise, nothing of others."""
    data = variable.to_numpy()
    dims = tuple(map(str, variable.dims))
    if (data == data[:1]).all():
        return dims, data[:1]
    return (dims, data.mean(axis=0, keepdims=True)) if data.dtype.kind == "f" else None
