"""The comb that a network's stride leaves in attributions of frames, and maps without it.

Frames that a strided convolution skips, or that fewer of its windows reach, get other gradients
than their neighbours, again in every step of the network. In a map over frames that looks like a
tremor, at the frame rate over the stride, and often is none; but a movement as fast as that lies in
the same band, and nobody can tell them apart there. Sums over the network's own steps show neither,
and still add up.
"""

from __future__ import annotations

import numpy as np

from hargcn.explanation import Explanation

_LEAST = 4  # steps in a window, below which its spectrum does not tell a comb from slow change


def comb_share(explanation: Explanation, step: int) -> np.ndarray:
    """Return which share of the energy over time lies at 1 / step cycles per frame and multiples.

    Of each joint and person (branches and channels added up, as in pictures) the squared magnitudes
    of the discrete Fourier transform over the first whole steps of the window, added up over joints
    and persons. The share is the energy at frequencies at most 1 / (4 step) away from a multiple
    m / step, m >= 1, over that at all frequencies but 0: bands, because a comb whose height changes
    slowly is no line. A pure comb has 1, slow change about 0, white noise (step - 1) / (2 step):
    0.25 of step 2, 0.44 of step 9.

    Parameters
    ----------
    explanation
        Over the frames of the input.
    step
        Frames of the network's own step (`explainers.cells.time_step`); of 1 there is no comb.

    Returns
    -------
    numpy.ndarray
        (sample,) shares; 0 without change over time, NaN of windows of less than four steps.
    """
    added = explanation.values.sum(
        [dim for dim in explanation.dims if dim not in ("sample", "time", "joint", "person")]
    )
    values = added.transpose("sample", "time", ...).to_numpy().astype(float)
    values = values.reshape(*values.shape[:2], -1)
    frames = values.shape[1] // step * step
    if step == 1:
        return np.zeros(len(values))
    if frames < _LEAST * step:
        return np.full(len(values), np.nan)
    energy = (np.abs(np.fft.rfft(values[:, :frames], axis=1)) ** 2).sum(axis=2)
    # In steps of 1 / frames, so that the borders of the bands are met exactly.
    place = np.arange(energy.shape[1])
    teeth = np.rint(place * step / frames)
    near = (teeth >= 1) & (4 * step * np.abs(place - teeth * frames / step) <= frames * (1 + 1e-9))
    # Both signs of a frequency; 0 and the highest of an even number have one.
    energy *= np.where((place == 0) | (2 * place == frames), 1, 2)
    total = energy[:, 1:].sum(axis=1)
    changes = total > 1e-20 * energy[:, 0]  # by more than rounding
    return np.where(changes, energy[:, near].sum(axis=1) / np.where(changes, total, 1), 0)


def own_step(explanation: Explanation, step: int | None = None) -> Explanation:
    """Add attributions of frames up over the network's own time step; others stay as they are.

    Parameters
    ----------
    explanation
        An explanation. It is over frames where it has a cell for each.
    step
        Frames per cell: by default the stored `time_step` of the network, 1 for frames.

    Returns
    -------
    Explanation
        Of the same sums, with the attribute `summed`, the frames per cell; the last cell may have
        fewer, and its time is that which a whole one would have.

    Raises
    ------
    ValueError
        For a step below 1 or longer than the window, and one of an explanation that is not over
        frames.
    """
    over_frames = is_over_frames(explanation)
    if step is not None and over_frames and step > (frames := explanation.values.sizes["time"]):
        raise ValueError(
            f"explanation {explanation.name!r}: expected a time step of 1 to {frames} frames, as "
            f"the window has (got {step})"
        )
    if step is None:
        step = int(explanation.dataset.attrs.get("time_step", 1)) if over_frames else 1
    if step == 1:
        return explanation
    if not over_frames:
        raise ValueError(
            f"explanation {explanation.name!r}: expected attributions of frames to add up over "
            f"{step} of them (got axes {', '.join(explanation.dims)})"
        )
    binned = explanation.bin(time=step)
    centres = step * np.arange(binned.values.sizes["time"]) + (step - 1) / 2
    return binned.assign(coords={"time": centres}, summed=step)


def is_over_frames(explanation: Explanation) -> bool:
    """Whether an explanation has a cell of time for every frame of the window."""
    if "time" not in explanation.dims or "frames" not in explanation.dataset.attrs:
        return False
    times = explanation.values["time"].to_numpy().astype(float)
    frames = int(explanation.dataset.attrs["frames"])
    return len(times) == frames and np.array_equal(times, np.arange(frames))


def said_of_comb(explanation: Explanation) -> list[str]:
    """Say how much of the energy over time lies at the network's stride; nothing where not known.

    It does not say whose it is: a movement as fast as the stride lies there too.
    """
    stored = explanation.dataset.get("comb")
    step = int(explanation.dataset.attrs.get("time_step", 1))
    known = np.array([]) if stored is None else stored.to_numpy()[np.isfinite(stored.to_numpy())]
    if step == 1 or not len(known):
        return []
    noise = (step - 1) / (2 * step)
    return [
        f"{known.mean():.0%} of the energy over time is at the network's step of {step} frames "
        f"(of noise {noise:.0%}): the comb of its stride, or movement as fast, which cannot be "
        "told apart; pictures add up over the step"
    ]


def with_comb(explanation: Explanation, step: int | None) -> Explanation:
    """Return an explanation with the network's `time_step` and, over frames, its share `comb`.

    Parameters
    ----------
    explanation
        With the attribute `frames`.
    step
        The network's step; None where nobody knows it, and nothing is stored then.
    """
    if step is None:
        return explanation
    shares: dict[str, np.ndarray] = {}
    if is_over_frames(explanation):
        shares = {"comb": comb_share(explanation, step)}
    return explanation.assign(shares, time_step=step)
