"""Bringing maps of different axes and time grids together, so that they can be compared."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr

from hargcn.explanation import DIMS, Explanation


def common_grid(explanations: Mapping[str, Explanation]) -> dict[str, xr.DataArray]:
    """Bring the attributions of the same samples to the axes and time cells they share.

    Axes that one of them lacks are averaged out of the others. On the time axis everything goes to
    the coarsest grid among them: a cell takes the mean of what lies nearest to its centre frame.
    (Stretching coarse maps instead would repeat values and tie their ranks.)

    Parameters
    ----------
    explanations
        By name; all of the same samples and targets.

    Returns
    -------
    dict of str to xarray.DataArray
        Attributions of equal shape, axes in the order of `DIMS`.

    Raises
    ------
    ValueError
        If samples, explained classes or joints differ.
    """
    first = next(iter(explanations.values()))
    shared = set(first.dims).intersection(*(each.dims for each in explanations.values()))
    dims = list(dict.fromkeys(dim for dim in (*DIMS, *first.dims) if dim in shared))
    for name, each in explanations.items():
        each.expect_axes(f"comparison with {name!r}")
        same_samples(name, each, first)
    values = {
        name: each.values.mean([d for d in each.dims if d not in dims]).transpose(*dims)
        for name, each in explanations.items()
    }
    if "time" in dims:
        cells = min((v["time"].to_numpy() for v in values.values()), key=len)
        values = {name: _to_cells(v, cells) for name, v in values.items()}
    sizes = {name: dict(v.sizes) for name, v in values.items()}
    if any(size != sizes[next(iter(sizes))] for size in sizes.values()):
        raise ValueError(f"Expected explanations of equal axes (got {sizes})")
    return values


def same_samples(name: str, one: Explanation, other: Explanation) -> None:
    """Refuse to compare explanations of different samples or classes."""
    samples = [list(each.values["sample"].to_numpy()) for each in (one, other)]
    if samples[0] != samples[1]:
        odd = next((a for a in samples[0] if a not in samples[1]), "another order")
        raise ValueError(
            f"explanation {name!r}: expected the same samples in the same order "
            f"(got {len(samples[0])} against {len(samples[1])}; first difference {odd})"
        )
    if not np.array_equal(one.asked, other.asked):
        raise ValueError(f"explanation {name!r}: expected the same explained class per sample")


def _to_cells(values: xr.DataArray, cells: np.ndarray) -> xr.DataArray:
    """Average over time what lies nearest to each cell's centre frame."""
    own = values["time"].to_numpy()
    if np.array_equal(own, cells):
        return values.assign_coords(time=cells)
    distance = np.abs(own[:, None] - cells)
    weights = np.eye(len(cells))[distance.argmin(axis=1)].T
    # Grids of equal length but other centres can leave a cell empty: it takes its nearest.
    empty = weights.sum(axis=1) == 0
    weights[empty] = np.eye(len(own))[distance.argmin(axis=0)[empty]]
    weights /= weights.sum(axis=1, keepdims=True)
    data = np.moveaxis(
        np.tensordot(weights, values, (1, values.dims.index("time"))), 0, values.dims.index("time")
    )
    moved = values.isel(time=np.zeros(len(cells), int)).assign_coords(time=cells)
    return moved.copy(data=data)
