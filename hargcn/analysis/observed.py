"""What was seen: how much of every cell, and how much attribution lies where nobody saw anything.

A cell is a joint of a person at one place of an explanation's own time. A coarse map's cell covers
the frames nearest to its centre; it was seen for the share of them in which the joint was observed.
Padded frames, absent persons, interpolated and repeated frames were not.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import xarray as xr

from hargcn.data.recording import ABSENT, INTERPOLATED, OBSERVED
from hargcn.explanation import DIMS, Explanation

Cells = Literal["all", "observed"]

MOST = 0.2
"""Share of the positive attribution on cells that nobody saw, beyond which somebody should know."""

_NAMED = 3  # joints in a warning
_STORED = ("sample", "frame", "joint", "person")
_GRID = ("time", "frame")


def tells_seen(explanation: Explanation) -> bool:
    """Say whether an explanation holds what was seen, for cells that have joints."""
    if "state" not in explanation.dataset or "joint" not in explanation.dims:
        return False
    stored = set(explanation.dataset["state"].dims)
    return stored == set(_STORED) and set(explanation.dims) <= set(DIMS)


def seen(explanation: Explanation, state: int = OBSERVED) -> xr.DataArray:
    """Return for which share of its frames every cell was observed, or in another state.

    Parameters
    ----------
    explanation
        With an axis "joint" and the stored states of its windows.
    state
        0 absent, 1 observed, 2 interpolated.

    Returns
    -------
    xarray.DataArray
        Over sample, joint, and those of time and person that the explanation has. Without persons
        those who are there at all count alike.

    Raises
    ------
    ValueError
        For an explanation of other axes, or without states.
    """
    if not tells_seen(explanation):
        raise ValueError(
            f"explanation {explanation.name!r}: expected joints and what was seen of them (got "
            f"axes {', '.join(explanation.dims)} and "
            f"{'states of other axes' if 'state' in explanation.dataset else 'no states'})"
        )
    states = explanation.dataset["state"].transpose(*_STORED)
    flags = (states == state).astype(float)
    cells = flags.mean("frame")
    if "time" in explanation.dims:
        times = explanation.values["time"]
        members = xr.DataArray(_members(times.to_numpy(), states.sizes["frame"]), dims=_GRID)
        cells = xr.dot(flags, members, dim="frame").assign_coords(time=times)
    if "person" not in explanation.dims:
        cells = cells.weighted(_present(explanation)).mean("person")
    return cells.transpose(*(dim for dim in explanation.dims if dim in cells.dims))


def cell_states(explanation: Explanation) -> np.ndarray:
    """Return what most frames of every cell are, (sample, cell, V, M); half observed is observed.

    Cells and persons that the explanation does not tell apart are one.
    """
    shares = [seen(explanation, state) for state in (ABSENT, OBSERVED, INTERPOLATED)]
    absent, observed, interpolated = (_as_map(share) for share in shares)
    unseen = np.where(interpolated >= absent, INTERPOLATED, ABSENT)
    return np.where(observed >= 0.5, OBSERVED, unseen)


def joint_shares(explanation: Explanation) -> xr.DataArray:
    """Return (joint,): the share of the cells of those who are there at all that was seen."""
    shares = seen(explanation)
    if "person" in shares.dims:
        shares = shares.weighted(_present(explanation)).mean("person")
    return shares.mean([dim for dim in shares.dims if dim != "joint"])


def unseen(explanation: Explanation) -> xr.DataArray:
    """Return which share of the positive attribution lies on cells of each joint that nobody saw.

    Contributions of branches and channels are added up first, as in pictures.

    Returns
    -------
    xarray.DataArray
        (sample, joint); the sum over joints is the window's share. NaN in a window without any
        positive attribution.
    """
    shares = seen(explanation)
    added = explanation.values.sum([d for d in explanation.dims if d not in shares.dims])
    positive = added.clip(min=0)
    others = [dim for dim in shares.dims if dim not in ("sample", "joint")]
    total = positive.sum([*others, "joint"])
    return ((positive * (1 - shares)).sum(others) / total.where(total > 0)).transpose(
        "sample", "joint"
    )


def said_of_unseen(shares: xr.DataArray) -> str:
    """Say how much lies on what nobody saw, and on which joints; nothing up to `MOST`.

    Parameters
    ----------
    shares
        (sample, joint) of `unseen`; the mean over the windows counts.
    """
    known = shares.to_numpy()[np.isfinite(shares.to_numpy()).all(axis=1)]
    if not len(known) or not known.sum(axis=1).mean() > MOST:
        return ""
    each = known.mean(axis=0)
    worst = [at for at in np.argsort(-each, kind="stable")[:_NAMED] if each[at] > 0]
    names = shares["joint"].to_numpy()
    listed = ", ".join(f"{names[at]} {each[at]:.0%}" for at in worst)
    return (
        f"{each.sum():.0%} of the positive attribution lies on cells that nobody saw (interpolated "
        f"or absent), most of it on {listed}"
    )


def _members(times: np.ndarray, frames: int) -> np.ndarray:
    """Return (cell, frame) shares of the frames nearest to each cell; rows add up to 1."""
    nearest = np.abs(np.arange(frames) - times[:, None]).argmin(axis=0)
    member = nearest == np.arange(len(times))[:, None]
    empty = np.flatnonzero(~member.any(axis=1))  # finer cells than frames
    member[empty, times[empty].round().clip(0, frames - 1).astype(int)] = True
    return member / member.sum(axis=1, keepdims=True)


def _present(explanation: Explanation) -> xr.DataArray:
    """Return (sample, person) 1 for whoever is there in some frame, everybody where nobody is."""
    there = (explanation.dataset["state"] != ABSENT).any(["frame", "joint"])
    return (there | ~there.any("person")).astype(float)


def _as_map(shares: xr.DataArray) -> np.ndarray:
    """Return (sample, cell, V, M)."""
    lost = {dim: 1 for dim in ("time", "person") if dim not in shares.dims}
    return shares.expand_dims(lost).transpose("sample", "time", "joint", "person").to_numpy()
