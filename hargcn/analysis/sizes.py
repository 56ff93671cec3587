"""How large a feature is in each window: what a swarm's colours stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from hargcn.analysis.features import by_feature
from hargcn.data.recording import ABSENT
from hargcn.explanation import Explanation

_ENDS = (5, 95)  # percentiles of the windows at the ends of a row's colours
_POSITIONS = ("sample", "space", "frame", "joint", "person")


@dataclass(frozen=True, eq=False)
class Sizes:
    """Sizes of features in windows.

    Parameters
    ----------
    values
        (sample, feature); NaN where nobody is there.
    what, unit
        What they are, and in which unit.
    """

    values: xr.DataArray
    what: str
    unit: str

    def shades(self, features: Sequence[str]) -> np.ndarray:
        """Return (sample, feature) in [0, 1]: from the row's low to its high; 0.5 without both."""
        values, (low, high) = self._of(features)
        span = np.where(high > low, high - low, 1)
        return np.where(high > low, ((values - low) / span).clip(0, 1), 0.5)

    def said(self, features: Sequence[str]) -> list[str]:
        """Return each row's low and high as text."""
        ends = self._of(features)[1].T
        return [f"{_short(a)} to {_short(b)}" if np.isfinite(a) else "" for a, b in ends]

    def _of(self, features: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return (sample, feature) values in order, and the (2, feature) ends of their colours."""
        values = self.values.sel({self.values.dims[1]: list(features)}).to_numpy()
        known = [column[np.isfinite(column)] for column in values.T]
        ends = [np.percentile(each, _ENDS) if len(each) else [np.nan] * 2 for each in known]
        return values, np.array(ends).T


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def feature_sizes(explanation: Explanation, feature: str) -> Sizes | None:
    """Return how large a feature is in every window, None where the explanation does not tell.

    Of joints and body parts the mean speed of those who are there, in units of the stored positions
    per second. Of branches and channels the mean absolute input of the network, stored as
    `input_size` (sample, branch, channel), in its units: those of a branch's channels may differ.
    """
    if feature in ("joint", "part"):
        speed = _speeds(explanation)
        if speed is None:
            return None
        values = by_feature(speed, explanation, feature, mean=True)
        return Sizes(values, "mean speed", "position units per second")
    stored = explanation.dataset.get("input_size")
    if stored is None or not {"sample", *feature.split(",")} <= {*stored.dims}:
        return None
    values = by_feature(stored, explanation, feature, mean=True)
    return Sizes(values, "mean |input|", "units of the input")


def _speeds(explanation: Explanation) -> xr.DataArray | None:
    """Return (sample, joint) mean speeds over steps at both ends of which the joint is there."""
    stored = explanation.dataset
    if not {"positions", "state", "seconds"} <= {*stored}:
        return None
    positions = stored["positions"].transpose(*_POSITIONS).to_numpy()
    there = stored["state"].transpose("sample", *_POSITIONS[2:]).to_numpy() != ABSENT
    seconds = stored["seconds"].transpose("sample", "frame").to_numpy()
    steps = np.linalg.norm(np.diff(positions, axis=2), axis=1)
    lasts = np.diff(seconds, axis=1)[..., None, None]
    both = there[:, 1:] & there[:, :-1] & (lasts > 0)
    sums = (np.where(both, steps, 0) / np.where(lasts > 0, lasts, 1)).sum(axis=(1, 3))
    counts = both.sum(axis=(1, 3))
    speeds = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    return xr.DataArray(speeds, dims=("sample", "joint"))
