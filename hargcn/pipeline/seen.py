"""A warning where explanations point at what nobody saw."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

import xarray as xr

from hargcn.analysis.observed import said_of_unseen, tells_seen, unseen
from hargcn.explanation import Explanation


def warn_unseen(name: str, explanations: Iterable[Explanation]) -> None:
    """Warn where much of the positive attribution lies on cells that nobody saw.

    Parameters
    ----------
    name
        What the explanations are of or in, for the message.
    explanations
        Of different windows, by one method. One that does not hold what was seen says nothing.

    Warns
    -----
    UserWarning
        Beyond `analysis.observed.MOST`, with the share and the joints that have most of it.
    """
    shares = [unseen(each) for each in explanations if tells_seen(each)]
    said = said_of_unseen(xr.concat(shares, "sample")) if shares else ""
    if said:
        warnings.warn(f"{name}: {said}", stacklevel=3)


def pieces(path: str | Path, samples: int) -> Iterator[Explanation]:
    """Yield the explanations of a file, so many samples in memory at a time."""
    with xr.open_dataset(path, engine="h5netcdf") as stored:
        for start in range(0, stored.sizes["sample"], samples):
            rows = slice(start, start + samples)
            yield Explanation(stored.isel(sample=rows).load())
