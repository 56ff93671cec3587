"""Frequencies: bands in Hz that a user names, the bins that belong to them, stretches of time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

REST = "rest"
"""What belongs to no band."""

_RANGE = re.compile(r"\s*(\d+\.?\d*|\.\d+)?\s*-\s*(\d+\.?\d*|\.\d+)?\s*")


@dataclass(frozen=True)
class Band:
    """Frequencies from `low` to below `high`, in Hz."""

    name: str
    low: float
    high: float


def bands_of(given: str | Mapping[str, str]) -> tuple[Band, ...]:
    """Read bands: a frequency belongs to the one that holds it, low <= f < high.

    Parameters
    ----------
    given
        "0-2,2-4,6-" or names {"tremor": "4-6"}; an end that is not there is open. Without names
        they are called "0-2 Hz", "from 6 Hz". Of frequencies in no band `rest` is made.

    Returns
    -------
    tuple of Band
        By frequency; `rest` (NaN to NaN) is last, where the others leave something out.

    Raises
    ------
    ValueError
        For what is no range, bands that overlap, and names that are taken.
    """
    if isinstance(given, str):
        pairs = [("", each.strip()) for each in given.split(",")]
    else:
        pairs = [*given.items()]
    found = sorted((_band(*pair) for pair in pairs), key=lambda band: (band.low, band.high))
    if not found:
        raise ValueError("expected bands, such as 0-2,2-4,4-6,6- (got none)")
    for below, above in pairwise(found):
        if above.low < below.high:
            raise ValueError(
                f"expected bands that do not overlap (got {below.name!r} and {above.name!r})"
            )
    if any(band.name == REST for band in found):
        raise ValueError(f"expected another name than {REST!r}, which is what is in no band")
    ends = [0.0, *(band.high for band in found)]
    whole = [*(band.low for band in found), np.inf]
    return tuple(found) if ends == whole else (*found, Band(REST, np.nan, np.nan))


def _band(name: str, text: Any) -> Band:
    match = _RANGE.fullmatch(str(text))
    low, high = (match[1], match[2]) if match else (None, None)
    start, end = float(low or 0), float(high or np.inf)
    if low is high is None or not start < end:
        raise ValueError(f"expected a band low-high in Hz, such as 4-6 or 6- (got {str(text)!r})")
    own = f"{low}-{high}" if low and high else f"from {low}" if low else f"to {high}"
    return Band(name or f"{own} Hz", start, end)


def bins(frames: int, rate: float) -> np.ndarray:
    """Return the frequencies in Hz of the discrete Fourier transform of so many frames, (K,)."""
    return np.arange(frames // 2 + 1) * rate / frames


def shared_out(bands: tuple[Band, ...], frequencies: np.ndarray) -> np.ndarray:
    """Return (band, K) 1 where a frequency belongs to a band; each belongs to one.

    Raises
    ------
    ValueError
        For a band, but `rest`, without any of the frequencies.
    """
    inside = np.array([[b.low <= f < b.high for f in frequencies] for b in bands])
    for band, row in zip(bands, inside, strict=True):
        if band.name != REST and not row.any():
            raise ValueError(
                f"expected a band with a frequency of the window, which has one every "
                f"{frequencies[1:2].sum():.3g} Hz up to {frequencies[-1]:.3g} (got {band.name!r})"
            )
    if bands[-1].name == REST:
        inside[-1] = ~inside[:-1].any(axis=0)
    return inside.astype(float)


def folded(frames: int) -> np.ndarray:
    """Return the weights (K,) with which products of transforms sum to those over time.

    sum_t a_t b_t = sum_k weight_k Re(conj(A_k) B_k): k and -k are one bin, 1/T of each; 0 and, of
    an even number of frames, the highest have no other side (Parseval).
    """
    k = np.arange(frames // 2 + 1)
    return np.where((k == 0) | (2 * k == frames), 1, 2) / frames


def time_windows(frames: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return windows (count, frames) that sum to 1 everywhere, and their centres, in frames.

    Raised cosines, each from the centre of the one before to that of the one behind; the first and
    the last are 1 up to the ends.
    """
    number = np.arange(count)
    place = ((np.arange(frames) + 0.5) * count / frames - 0.5).clip(0, count - 1)
    away = np.abs(place - number[:, None])
    return np.cos(np.pi / 2 * away.clip(max=1)) ** 2, (number + 0.5) * frames / count - 0.5
