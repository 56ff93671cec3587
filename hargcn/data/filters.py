"""What nobody saw, and the time axis of a recording: gaps, resampling and smoothing.

None of it mixes the stretches in which a person is there with those in which it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import numpy as np

from hargcn.data.recording import ABSENT, INTERPOLATED, OBSERVED, Recording
from hargcn.skeleton import Skeleton, hop_distance

Unseen = Literal["refuse", "parent"]


def stand_ins(recording: Recording, unseen: Unseen) -> Recording:
    """Give the joints that no frame shows the place of a neighbour, or refuse the recording.

    A stand-in is where the nearest joint towards the root of the bones is that was seen; where
    none was, the nearest along the bones. Its state is "interpolated": nobody saw it. The notes
    count recordings `without_<joint>`.

    Raises
    ------
    ValueError
        For "refuse", and persons of whom nothing was ever seen; names persons and joints.
    """
    lost = recording.never_seen
    if not lost.any():
        return recording
    joints, persons = recording.skeleton.joints, np.flatnonzero(lost.any(axis=0))
    named = {p: ", ".join(joints[joint] for joint in np.flatnonzero(lost[:, p])) for p in persons}
    gone = [int(person) for person in persons if lost[:, person].all()]
    if gone:
        raise ValueError(
            f"{recording.sample}: expected joints that are seen of person {gone[0]} (got none)"
        )
    if unseen == "refuse":
        said = "; ".join(f"{names} of person {person}" for person, names in named.items())
        raise ValueError(
            f"{recording.sample}: never observed: {said}. --set preprocess.unseen=parent puts such "
            "joints where their parents are, marked as not seen; --skip-broken leaves such "
            "recordings out"
        )
    positions, state = recording.positions.copy(), recording.state.copy()
    for joint, person in np.argwhere(lost):
        positions[:, :, joint, person] = positions[
            :, :, _neighbour(recording.skeleton, int(joint), ~lost[:, person]), person
        ]
        state[:, joint, person] = INTERPOLATED
    counts = {f"without_{joints[joint]}": 1 for joint in np.flatnonzero(lost.any(axis=1))}
    return replace(recording, positions=positions, state=state).noting(**counts)


def _neighbour(skeleton: Skeleton, joint: int, seen: np.ndarray) -> int:
    """Return the nearest seen joint towards the root, else the nearest along the bones."""
    at = joint
    while skeleton.parents[at] != at:
        at = skeleton.parents[at]
        if seen[at]:
            return at
    far = np.where(seen, hop_distance(skeleton)[joint], skeleton.n_joints)
    return int(far.argmin())


def fill_gaps(recording: Recording, max_gap: float) -> Recording:
    """Interpolate gaps of at most `max_gap` seconds linearly and drop frames in longer ones.

    A gap is a run of frames between two sights of a joint; a person who vanishes for a moment
    leaves one in every joint. Dropped frames are those in which some joint of a person stays
    unknown: the person counts as absent there. What is filled in has the state "interpolated".
    """
    observed, positions = recording.observed, recording.positions.copy()
    limit = max_gap * recording.fps + 1e-6
    known = observed.copy()
    for joint, person in np.argwhere(observed.any(axis=0) & ~observed.all(axis=0)):
        seen = np.flatnonzero(observed[:, joint, person])
        lengths = np.diff(seen) - 1
        for at in np.flatnonzero((lengths > 0) & (lengths <= limit)):
            before, after = seen[at], seen[at + 1]
            gap = np.arange(before + 1, after)
            share = (gap - before) / (after - before)
            first, last = positions[:, [before, after], joint, person].T
            positions[:, gap, joint, person] = np.outer(first, 1 - share) + np.outer(last, share)
            known[gap, joint, person] = True
    valid = np.asarray(known.all(axis=1))
    filled = int((known & ~observed & valid[:, None]).sum())
    dropped = int((recording.valid & ~valid).sum())
    if not valid.any():
        raise ValueError(
            f"{recording.sample}: no frame is left in which every joint is seen or lies in a gap "
            f"of at most {max_gap:g} s"
        )
    state = np.where(known & ~observed, INTERPOLATED, recording.state)
    filled_in = replace(recording, positions=positions, valid=valid, state=state)
    return filled_in.noting(interpolated=filled, dropped=dropped)


def resample(recording: Recording, grid: np.ndarray) -> Recording:
    """Interpolate a recording linearly at fractional frames.

    Parameters
    ----------
    recording
        Without NaN.
    grid
        (T',) frame numbers from 0 to T - 1, not necessarily whole.

    Returns
    -------
    Recording
        T' frames. A person is there where both neighbouring frames show it; a joint is observed
        where it was in both, and interpolated otherwise; masks take the nearest frame. `fps` is
        left to the caller.
    """
    from scipy.interpolate import make_interp_spline

    # Rounded, so that a whole frame number is exactly whole.
    grid = np.round(grid, 6).clip(0, recording.frames - 1)
    low, high = np.floor(grid).astype(int), np.ceil(grid).astype(int)
    share = grid - low
    nearest = np.floor(grid + 0.5).astype(int)
    positions = recording.positions
    if recording.frames > 1:
        spline = make_interp_spline(np.arange(recording.frames), positions, k=1, axis=1)
        positions = spline(grid)
    else:
        positions = positions[:, low]
    valid = recording.valid[low] & recording.valid[high]
    both = (recording.state[low] == OBSERVED) & (recording.state[high] == OBSERVED)
    confidence = recording.confidence
    if confidence is not None:
        far = share[:, None, None]
        confidence = (1 - far) * confidence[low] + far * confidence[high]
    return replace(
        recording,
        positions=positions,
        valid=valid,
        truth=None if recording.truth is None else recording.truth[nearest],
        distractor=None if recording.distractor is None else recording.distractor[nearest],
        state=np.where(both, OBSERVED, INTERPOLATED),
        confidence=confidence,
        time=(1 - share) * recording.time[low] + share * recording.time[high],
    )


def repeat(recording: Recording, frames: int) -> Recording:
    """Begin every person's movement anew until there are `frames` frames.

    A person who is there in the first frame is repeated from it to the last one they are in, gaps
    included; anybody else begins with their first frame and loses their gaps. A longer recording
    keeps its length. What was repeated has the state "interpolated"; time goes on.
    """
    length = max(frames, recording.frames)
    chosen = np.zeros((length, recording.persons), dtype=int)
    fresh = np.zeros_like(chosen, dtype=bool)
    valid = np.zeros_like(fresh)
    for person, there in enumerate(recording.valid.T):
        if there.any():
            shown = np.flatnonzero(there)
            own = np.arange(shown[-1] + 1) if there[0] else shown
            chosen[:, person] = own[np.arange(length) % len(own)]
            fresh[: len(own), person] = True
            valid[:, person] = there[chosen[:, person]]
    persons = np.arange(recording.persons)
    first = chosen[:, int(np.argmax(recording.valid.any(axis=0)))]
    state = recording.state[chosen, :, persons].transpose(0, 2, 1)
    confidence = recording.confidence
    if confidence is not None:
        confidence = confidence[chosen, :, persons].transpose(0, 2, 1)
    more = np.arange(1, length - recording.frames + 1) / recording.fps
    repeated = replace(
        recording,
        positions=recording.positions[:, chosen, :, persons].transpose(2, 0, 3, 1),
        valid=valid,
        truth=None if recording.truth is None else recording.truth[first],
        distractor=None if recording.distractor is None else recording.distractor[first],
        state=np.where(fresh[:, None] | (state == ABSENT), state, INTERPOLATED),
        confidence=confidence,
        time=np.concatenate([recording.time, recording.time[-1] + more]),
    )
    return repeated.noting(repeated=int((valid & ~fresh).any(axis=1).sum()))


def runs(flags: np.ndarray) -> Iterator[slice]:
    """Yield the stretches of a (T,) bool array that are True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2):
        yield slice(int(start), int(stop))


def median_filter(recording: Recording, width: int) -> Recording:
    """Return the running median over `width` frames; the ends repeat their last frame."""
    from scipy import ndimage

    return _along_runs(
        recording, lambda run: ndimage.median_filter(run, size=(1, width, 1), mode="nearest")
    )


def lowpass_filter(recording: Recording, cutoff: float, order: int) -> Recording:
    """Return the recording behind a zero-phase Butterworth filter.

    Parameters
    ----------
    recording
        Without NaN.
    cutoff
        Share of the Nyquist frequency.
    order
        The filter's order; going forth and back applies it twice.
    """
    from scipy.signal import butter, sosfiltfilt

    sections = butter(order, cutoff, output="sos")
    pad = 3 * (2 * len(sections) + 1)  # scipy's own default, which short stretches undercut

    def smooth(run: np.ndarray) -> np.ndarray:
        return sosfiltfilt(sections, run, axis=1, padlen=min(pad, run.shape[1] - 1))

    return _along_runs(recording, smooth)


def _along_runs(recording: Recording, smooth: Callable[[np.ndarray], np.ndarray]) -> Recording:
    """Apply a filter along time to each stretch in which a person stays, (C, t, V) at a time."""
    positions = recording.positions.astype(np.float64)
    for person in range(recording.persons):
        for run in runs(recording.valid[:, person]):
            positions[:, run, :, person] = smooth(positions[:, run, :, person])
    return replace(recording, positions=positions)
