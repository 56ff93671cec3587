"""A recording: the key points of one video, with who moved, when they were seen, and how fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hargcn.files import track
from hargcn.outputs import Outputs
from hargcn.processes import map_in_order
from hargcn.skeleton import Skeleton

ABSENT, OBSERVED, INTERPOLATED = range(3)
STATES = ("absent", "observed", "interpolated")
"""What the numbers in `Recording.state` mean."""


@dataclass(frozen=True, eq=False)
class Recording:
    """The key points of one video or sequence.

    Coordinates that are not finite mean "this joint was not observed": the whole joint becomes NaN
    in that frame, and in all of them where the picture ends above the feet. Persons that are absent
    (`valid` False) are exactly zero.

    Parameters
    ----------
    positions
        (C, T, V, M) space, time, joint, person; kept as float32.
    valid
        (T, M) whether the person is there.
    fps
        Frames per second.
    skeleton
        The layout of the joints.
    sample
        The recording's name.
    group
        Who moved: the unit that splits must keep together.
    label
        Index into the classes, or into the levels, None where it is not known.
    camera, setup
        Numbers of the view and of the set-up, where the data set has them.
    truth, distractor
        (T, V) where the evidence of the class was planted, and where a decoy was.
    state
        (T, V, M) whether a joint is absent (0: not seen, or its person is away), observed (1) or
        interpolated (2); by default every position that is there was observed.
    confidence
        (T, V, M) the detector's confidence in what it observed, NaN elsewhere; None where no
        confidence is known.
    time
        (T,) seconds of each frame since the first one recorded; by default frames by `fps`.
    notes
        Counters of the reader and the preprocessing, for the quality report.
    outcome
        (output,) values of a regression, or 0 and 1 of several labels; NaN where one is not known.
        None for classes and levels.

    Raises
    ------
    ValueError
        Names the recording and lists every defect at once.
    """

    positions: np.ndarray
    valid: np.ndarray
    fps: float
    skeleton: Skeleton
    sample: str
    group: str
    label: int | None = None
    camera: int | None = None
    setup: int | None = None
    truth: np.ndarray | None = None
    distractor: np.ndarray | None = None
    state: np.ndarray = field(default_factory=lambda: np.empty(0))
    confidence: np.ndarray | None = None
    time: np.ndarray = field(default_factory=lambda: np.empty(0))
    notes: Mapping[str, int | float] = field(default_factory=dict)
    outcome: np.ndarray | None = None

    def __post_init__(self) -> None:
        given = np.asarray(self.positions)
        if given.dtype.kind not in "fiub":
            raise ValueError(
                f"{self.sample}: expected real numbers as positions (got {given.dtype})"
            )
        with np.errstate(over="ignore"):  # too large for float32 is as unusable as inf
            positions = np.array(given, dtype=np.float32)
        object.__setattr__(self, "positions", positions)
        if self.outcome is not None:
            object.__setattr__(self, "outcome", np.array(self.outcome, dtype=np.float32))
        for name in ("valid", "truth", "distractor"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.array(getattr(self, name), dtype=bool))
        defects = _shape_defects(self)
        if not defects:
            seen = np.isfinite(positions).all(axis=0)
            positions[:, ~seen] = np.nan
            positions[:, ~np.broadcast_to(self.valid[:, None], seen.shape)] = 0
            _settle(self)
            if not self.valid.any():
                defects = ["expected at least one frame with a person (got none)"]
        if defects:
            raise ValueError(f"{self.sample}: " + "; ".join(defects))

    @property
    def frames(self) -> int:
        """The number of frames T."""
        return int(self.positions.shape[1])

    @property
    def persons(self) -> int:
        """The number of persons M."""
        return int(self.positions.shape[3])

    @property
    def observed(self) -> np.ndarray:
        """(T, V, M) bool: the person is there and the joint was seen."""
        return np.isfinite(self.positions).all(axis=0) & self.valid[:, None]

    @property
    def never_seen(self) -> np.ndarray:
        """(V, M) bool: no frame shows the joint, though the person is there."""
        return np.asarray(~self.observed.any(axis=0) & self.valid.any(axis=0))

    def noting(self, **counts: int | float) -> Recording:
        """Return the recording with counters added to its notes."""
        notes = dict(self.notes)
        for name, count in counts.items():
            notes[name] = notes.get(name, 0) + count
        return replace(self, notes=notes)


def _settle(recording: Recording) -> None:
    """Fill in states and times that were left out, and make states agree with the positions."""
    observed, state = recording.observed, recording.state
    state = np.where(observed, np.maximum(state, OBSERVED) if state.size else OBSERVED, ABSENT)
    object.__setattr__(recording, "state", state.astype(np.uint8))
    if recording.confidence is not None:
        known = np.where(state == OBSERVED, recording.confidence, np.nan)
        object.__setattr__(recording, "confidence", known.astype(np.float32))
    time = recording.time if recording.time.size else np.arange(recording.frames) / recording.fps
    object.__setattr__(recording, "time", np.array(time, dtype=np.float64))


def _shape_defects(recording: Recording) -> list[str]:
    """List what is wrong with the fields of a recording before its values are looked at."""
    shape, skeleton = recording.positions.shape, recording.skeleton
    defects = []
    if len(shape) != 4:
        return [f"expected positions (space, time, joint, person) (got {len(shape)} axes)"]
    space, frames, joints, persons = shape
    if space != skeleton.ndim:
        defects.append(f"expected {skeleton.ndim} coordinates of {skeleton.name} (got {space})")
    if joints != skeleton.n_joints:
        defects.append(f"expected {skeleton.n_joints} joints of {skeleton.name} (got {joints})")
    if frames < 1 or persons < 1:
        defects.append(f"expected at least 1 frame and 1 person (got {frames} and {persons})")
    cells = (frames, joints, persons)
    shapes = {"valid": cells[::2], "truth": cells[:2], "distractor": cells[:2], "state": cells}
    for name, shape in {**shapes, "confidence": cells, "time": cells[:1]}.items():
        given = getattr(recording, name)
        left_out = given is None or (name in ("state", "time") and not given.size)
        if not left_out and given.shape != shape:
            defects.append(f"expected {name} {shape} (got {given.shape})")
    if not (np.diff(recording.time) >= 0).all():
        defects.append("expected seconds in the order of the frames as time")
    if not (np.isfinite(recording.fps) and recording.fps > 0):
        defects.append(f"expected fps > 0 (got {recording.fps})")
    if recording.label is not None and not 0 <= recording.label < 2**31:
        defects.append(f"expected label >= 0 or None (got {recording.label})")
    return defects + _outcome_defects(recording.outcome)


def _outcome_defects(outcome: np.ndarray | None) -> list[str]:
    if outcome is not None and outcome.ndim != 1:
        return [f"expected outcome (output,) (got {outcome.shape})"]
    if outcome is not None and np.isinf(outcome).any():
        return ["expected outcomes that are finite, or NaN (got infinity)"]
    return []


OnError = Literal["raise", "skip"]


@dataclass(frozen=True, eq=False)
class Recordings:
    """A data set on disk: its recordings are read one by one as somebody iterates over them.

    Parameters
    ----------
    items
        What `load` takes, one per recording (usually paths).
    load
        Reads one recording.
    classes
        Names of the labels, in order.
    notes
        Counters of what was left out before reading, for the quality report.
    on_error
        "raise", or "skip" to leave out recordings that cannot be read; they are listed in
        `skipped`, one line each.
    progress
        Whether to show a progress bar.
    skipped
        What could not be read, a line each.
    remarks
        What a person should know of the data set, a line each, for the quality report.
    changes
        Applied in turn to what `load` has read.
    rates
        Frames per second as read, before any change: how many recordings have them.
    outputs
        What the outcomes are, where they are no classes.
    workers
        How many processes read and change; the recordings come in the same order.
    """

    items: Sequence[Any]
    load: Callable[[Any], Recording]
    classes: tuple[str, ...]
    notes: Mapping[str, int] = field(default_factory=dict)
    on_error: OnError = "raise"
    progress: bool = False
    skipped: list[str] = field(default_factory=list)
    remarks: Sequence[str] = ()
    changes: tuple[Callable[[Recording], Recording], ...] = ()
    rates: dict[str, int] = field(default_factory=dict)
    outputs: Outputs | None = None
    workers: int = 1

    def map(self, change: Callable[[Recording], Recording]) -> Recordings:
        """Return the data set with every recording changed after reading, e.g. preprocessed."""
        return replace(self, changes=(*self.changes, change), skipped=[], rates={})

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Recording]:
        self.skipped.clear()
        self.rates.clear()
        attempts = map_in_order(
            partial(_attempt, self.load, self.changes), self.items, self.workers
        )
        # Closed here: an error that is raised below keeps this frame, and with it the bar.
        with closing(track(attempts, "reading", len(self), self.progress)) as shown:
            for item, (found, rate) in zip(self.items, shown, strict=True):
                if isinstance(found, Recording):
                    self.rates[rate] = self.rates.get(rate, 0) + 1
                    yield found
                elif self.on_error == "raise":
                    raise found
                else:
                    self.skipped.append(_naming(item, found))


def _attempt(
    load: Callable[[Any], Recording], changes: Sequence[Callable[[Recording], Recording]], item: Any
) -> tuple[Recording | ValueError | OSError, str]:
    """Return a recording and its rate as read, or what is wrong with it."""
    try:
        recording = load(item)
        rate = f"{recording.fps:g}"
        for change in changes:
            recording = change(recording)
    except OSError as error:
        return error, ""
    except ValueError as error:
        named = ValueError(_naming(item, error))
        named.__cause__ = error
        return named, ""
    return recording, rate


def _naming(item: Any, error: Exception) -> str:
    return str(error) if str(item) in str(error) else f"{item}: {error}"


def list_files(folder: str | Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match a pattern, sorted by name.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If it holds no such file.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    found = sorted(folder.glob(pattern))
    if not found:
        raise ValueError(f"{folder}: expected files named {pattern} (got none)")
    return found
