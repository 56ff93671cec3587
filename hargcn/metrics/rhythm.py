"""Where attributions by frequency lie: shares of bands, beside the movement's own power in them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from hargcn.explainers.bands import bands_of, bins, folded, shared_out
from hargcn.explanation import DIMS, Explanation

_STORED = ("positions", "state", "fps", "truth")


def band_shares(explanation: Explanation) -> xr.Dataset:
    """Return which share of attribution, and of the movement's power, lies in each band.

    Attributions are added up over branches, channels, persons and stretches of time first, as in
    pictures. Power is of velocities, differences of positions from frame to frame while somebody
    is there: what moves at once and fast has much, whatever a network has learned. So a share of
    attribution says something only beside that of power, and that of a network that cannot have
    learned the sign.

    Parameters
    ----------
    explanation
        By bands, of joints, with stored positions, states, frame rates and planted truth.

    Returns
    -------
    xarray.Dataset
        Over (sample, joints, frequency), where `joints` is "all" or the "sign's": `positive`, of
        the positive attribution; `absolute`, of magnitudes; `power`; `bins`, how many of the
        frequencies. Each sums to 1 over the bands; NaN where there is nothing, and of windows
        without a sign.

    Raises
    ------
    ValueError
        For an explanation without named bands or what is stored of planted windows.
    """
    explanation.expect_axes("shares of bands", (*DIMS, "frequency"))
    given = explanation.settings.get("bands")
    lost = [name for name in _STORED if name not in explanation.dataset]
    if not given or not {"joint", "frequency"} <= {*explanation.dims} or lost:
        raise ValueError(
            f"explanation {explanation.name!r}: expected bands of joints of planted windows (got "
            f"axes {', '.join(explanation.dims)}, bands {given!r}, no {', '.join(lost) or 'gaps'})"
        )
    kept = ("sample", "joint", "frequency")
    added = explanation.values.sum([dim for dim in explanation.dims if dim not in kept])
    maps = added.transpose(*kept).to_numpy().astype(float)
    truth = explanation.dataset["truth"].any("frame").transpose("sample", "joint")
    signed = truth.to_numpy().astype(float)
    power, counts = _power(explanation)
    figures = {"positive": maps.clip(min=0), "absolute": np.abs(maps), "power": power}
    figures["bins"] = np.broadcast_to(counts[:, None], power.shape)
    whole = np.ones_like(signed) * signed.max(axis=1, keepdims=True)
    chosen = {"all": whole, "sign's": signed}
    dims = ("sample", "joints", "frequency")
    data = {
        name: (dims, np.stack([_shares(each * on[..., None]) for on in chosen.values()], axis=1))
        for name, each in figures.items()
    }
    coords = {"sample": added["sample"], "frequency": added["frequency"], "joints": [*chosen]}
    return xr.Dataset(data, coords)


def _shares(values: np.ndarray) -> np.ndarray:
    """Return (sample, frequency) shares of sums over joints."""
    sums = values.sum(axis=1)
    total = sums.sum(axis=1, keepdims=True)
    return np.divide(sums, total, out=np.full_like(sums, np.nan), where=total > 0)


def _power(explanation: Explanation) -> tuple[np.ndarray, np.ndarray]:
    """Return the power of velocities (sample, joint, frequency), and how many bins bands have."""
    stored = explanation.dataset
    axes = ("sample", "frame", "joint", "person")
    positions = stored["positions"].transpose("sample", "space", *axes[1:]).to_numpy().astype(float)
    there = stored["state"].transpose(*axes).to_numpy() > 0
    speeds = np.zeros_like(positions)
    both = (there[:, 1:] & there[:, :-1])[:, None]
    speeds[:, :, 1:] = np.diff(positions, axis=2) * both
    frames = positions.shape[2]
    spectrum = (np.abs(np.fft.rfft(speeds, axis=2)) ** 2).sum(axis=(1, 4))  # sample, bin, joint
    spectrum *= folded(frames)[:, None]
    bands = bands_of(explanation.settings["bands"])
    tables = np.stack([shared_out(bands, bins(frames, rate)) for rate in stored["fps"].to_numpy()])
    return np.einsum("nkv,nbk->nvb", spectrum, tables), tables.sum(axis=2)
