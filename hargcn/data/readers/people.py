"""Who is who: people that a detector lists frame by frame, followed by where they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

REACH = 1.0
"""How far a body may move between two sightings and be the same, in its own size."""


def follow(
    frames: Sequence[np.ndarray],
    persons: int,
    identities: Sequence[Sequence[int | str | None]] | None = None,
) -> tuple[np.ndarray, dict[str, int]]:
    """Follow people through the frames of a video and keep those seen most often.

    The order in which detectors list people is no identity. Where the file names them, a name is
    believed; everybody else goes on with the track whose last pose is nearest, by the mean distance
    of the joints that both show (all pairs of a frame at once: the assignment of least total
    distance, Kuhn 1955), or begins a new one where none is within a body's size.

    Parameters
    ----------
    frames
        Per frame (person, joint, number): coordinates, and what belongs to them behind. The first
        two numbers place a joint; NaN where it was not seen.
    persons
        How many to keep.
    identities
        Per frame and person a name, or None.

    Returns
    -------
    bodies : numpy.ndarray
        (T, persons, V, number), NaN where somebody is not there; the one seen most often first.
    notes : dict
        `people_left_out` (sightings of people beyond `persons`), `frames_without_people`.
    """
    shape = next((each.shape[1:] for each in frames if each.size), (0, 0))
    tracks = _Tracks()
    for at, people in enumerate(frames):
        names = identities[at] if identities is not None else [None] * len(people)
        tracks.add(at, people, names)
    by_length = sorted(tracks.seen, key=lambda track: -len(tracks.seen[track]))
    bodies = np.full((len(frames), persons, *shape), np.nan)
    for place, track in enumerate(by_length[:persons]):
        for at, pose in tracks.seen[track].items():
            bodies[at, place] = pose
    return bodies, {
        "people_left_out": sum(len(tracks.seen[track]) for track in by_length[persons:]),
        "frames_without_people": sum(not len(people) for people in frames),
    }


class _Tracks:
    """People so far: where each was seen, by frame."""

    def __init__(self) -> None:
        self.seen: dict[int | str, dict[int, np.ndarray]] = {}
        self.last: dict[int | str, np.ndarray] = {}

    def add(self, at: int, people: np.ndarray, names: Sequence[int | str | None]) -> None:
        free = [track for track in self.last if track not in names]
        nameless = [i for i, name in enumerate(names) if name is None]
        own = dict(zip(nameless, self._assign(people[nameless], free), strict=True))
        for i, (name, pose) in enumerate(zip(names, people, strict=True)):
            track = own[i] if name is None else name
            if track is None:
                track = f"new {len(self.seen)}"
            self.seen.setdefault(track, {})[at] = pose
            self.last[track] = pose

    def _assign(self, people: np.ndarray, tracks: Sequence[int | str]) -> list[int | str | None]:
        """Return the track of each person, None for somebody new."""
        from scipy.optimize import linear_sum_assignment

        found: list[int | str | None] = [None] * len(people)
        if not len(people) or not tracks:
            return found
        far = np.array([[_distance(self.last[t], pose) for t in tracks] for pose in people])
        for i, j in zip(*linear_sum_assignment(np.minimum(far, 1e6)), strict=True):
            if far[i, j] <= REACH:
                found[i] = tracks[j]
        return found


def _distance(before: np.ndarray, now: np.ndarray) -> float:
    """Return the mean distance of joints that two poses share, in the size of the first."""
    shown = [np.isfinite(pose[:, :2]).all(axis=1) for pose in (before, now)]
    both = shown[0] & shown[1]
    if not both.any():
        return np.inf
    with np.errstate(over="ignore", invalid="ignore"):  # numbers too large to be places
        size = np.linalg.norm(np.ptp(before[shown[0], :2], axis=0))
        moved = np.linalg.norm(now[both, :2] - before[both, :2], axis=1).mean()
        far = moved / size if size > 0 else (np.inf if moved else 0)
    return float(far) if np.isfinite(far) else np.inf
