"""NTU RGB+D `.skeleton` files: Kinect v2, 25 joints, up to six tracked bodies.

The clean-up of several bodies follows the preparation that is usual for this data set (Zhang et
al., "Semantics-Guided Neural Networks", CVPR 2020, whose code later work shares).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from hargcn.checks import shortened
from hargcn.data.readers.base import Found, Reader, Zeros, existing, marked_zeros
from hargcn.data.readers.ntu_grammar import JOINTS, read_bodies
from hargcn.data.readers.ntu_protocols import (
    CLASSES,
    OF_60,
    SPLITS,
    SampleName,
    check_counts,
    read_missing,
)
from hargcn.data.recording import INTERPOLATED, OBSERVED, OnError, Recording, Recordings
from hargcn.registry import settings
from hargcn.skeleton import skeleton

FPS = 30.0
_TRACKED = 2  # Kinect for Windows SDK 2.0, TrackingState: 0 not tracked, 1 inferred, 2 tracked
_SHORT = 11  # frames; bodies that stay no longer are noise
_WIDE = 0.8  # a frame is implausible where a body is wider than this share of its height
_WIDE_SHARE = 0.69754  # bodies with at least this share of such frames are furniture


@dataclass(frozen=True, eq=False)
class Body:
    """One tracked body: the frames that show it and its joints there, (t, 25, 3) in metres.

    `inferred` (t, 25) bool says which of them the sensor did not see.
    """

    frames: np.ndarray
    joints: np.ndarray
    inferred: np.ndarray

    @property
    def wide(self) -> np.ndarray:
        """(t,) bool: frames in which the body is implausibly wide."""
        extent = np.ptp(self.joints, axis=1)
        return np.asarray(extent[:, 0] > _WIDE * extent[:, 1])

    @property
    def motion(self) -> float:
        """Sum over x, y, z of the variance over frames and joints; of plausible frames if less."""

        def variance(joints: np.ndarray) -> float:
            return float(np.nanvar(joints.reshape(-1, 3), axis=0).sum())

        upright = self.joints[~self.wide]
        return min(variance(self.joints), variance(upright) if len(upright) else np.inf)

    @property
    def spread(self) -> float:
        """Sum over x, y, z of the standard deviation over frames and joints."""
        return float(np.nanstd(self.joints.reshape(-1, 3), axis=0).sum())


@settings
class NTU(Reader):
    """Reads `SsssCcccPpppRrrrAaaa.skeleton`.

    Bodies are followed by their identity through the slots of the file. Frames without a body stay:
    nobody is there then. Recordings are (3, T, 25, M) in metres (y up), group "Pppp", label
    action - 1, camera and setup. A joint whose tracking state is not 2 (tracked) stays where the
    sensor inferred it to be, and its state is interpolated: nobody saw it. Notes: `frames_empty`,
    `bodies_dropped`, `inferred` (joint positions); of a folder `other_actions`, `missing_list`.

    Parameters
    ----------
    persons
        How many to keep, those with the most motion first; fewer leave the rest empty.
    bodies
        Who is a person. "motion": a body, followed by its identity. "slots": whoever stands at the
        same place of the file's frames, first, second, ..., as in the published code; where some
        frame shows exactly two bodies the person with the largest sum of standard deviations comes
        first, and neither `clean` nor `join` is heeded.
    clean
        Whether to drop noise where there are several bodies: those of at most 11 frames, then those
        that are mostly wider than high.
    join
        Whether bodies that never share a frame become one person: the sensor gives a new identity
        to a body it lost.
    layout
        ntu25 or ntu25_alt, which differ in the bones of the hands.
    actions
        Read actions 1 to this one; by default 60 under the splits of NTU RGB+D 60, else 120.
    zeros
        What a joint that is exactly 0 in all coordinates is: "unseen", as trackers mark a lost
        joint, or "seen". One that is 0 in every frame is always seen.
    missing
        The official list of samples with missing skeletons; these are left out.
    """

    name = "ntu"
    label = "NTU RGB+D"
    suffixes = (".skeleton",)
    source = (
        'Shahroudy et al., "NTU RGB+D: A Large Scale Dataset for 3D Human Activity Analysis", CVPR '
        '2016; Liu et al., "NTU RGB+D 120", TPAMI 2020'
    )
    unknown = (
        "The files do not state frames per second (the sensor's 30 are assumed), nor that a body "
        "lost by the sensor came back."
    )
    defaults = {
        "preprocess": "ntu",
        "windows": {"mode": "whole", "length": 150, "fit": "pad"},
        "split": "xsub",
    }
    recipes = {
        "ntu-published": {
            "reader": {"bodies": "slots"},
            "windows": {"mode": "first", "length": 150},
        }
    }
    splits = SPLITS

    persons: Annotated[int, Field(ge=1)] = 2
    bodies: Literal["motion", "slots"] = "motion"
    clean: bool = True
    join: bool = False
    layout: Literal["ntu25", "ntu25_alt"] = "ntu25"
    actions: Annotated[int | None, Field(ge=1, le=len(CLASSES))] = None
    zeros: Zeros = "unseen"
    missing: Path | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the name."""
        return SampleName.fits(file.stem)

    def recordings(
        self,
        path: str | Path,
        published: str | None = None,
        on_error: OnError = "raise",
        progress: bool = False,
    ) -> Found:
        """Find the recordings; a whole data set must have the counts of a published split."""
        of_60 = published in OF_60 and self.actions is None
        reader = replace(self, actions=60) if of_60 else self
        found = super(NTU, reader).recordings(path, published, on_error, progress)
        if published is not None:
            check_counts([file.stem for file in found.items], published)
        return found

    def catalogue(self, path: Path) -> Recordings:
        """Leave out other actions and what the missing list names."""
        actions = self.actions or len(CLASSES)
        files = self.files(path)
        chosen = [file for file in files if _sample(file).action <= actions]
        listed = frozenset() if self.missing is None else read_missing(self.missing)
        kept = [file for file in chosen if file.stem not in listed]
        left_out = {
            "other_actions": len(files) - len(chosen),
            "missing_list": len(chosen) - len(kept),
        }
        return Recordings(kept, self.read, CLASSES[:actions], left_out)

    def read(self, path: str | Path) -> Recording:
        """Read one file; without any body it is an error."""
        path = Path(path)
        name = _sample(path)
        frames, bodies = _bodies(existing(path), self.bodies == "slots")
        if not bodies:
            raise ValueError(f"{path}: expected a body in some frame (got none in {frames} frames)")
        tracks = self._in_order(frames, bodies)
        positions = np.zeros((3, frames, JOINTS, self.persons), dtype=np.float32)
        valid = np.zeros((frames, self.persons), dtype=bool)
        state = np.full((frames, JOINTS, self.persons), OBSERVED)
        dropped = len(bodies) - len(tracks)
        for body in tracks:
            join = self.join and self.bodies == "motion"
            taken = valid[body.frames].any(axis=0) if join else valid.any(axis=0)
            if taken.all():
                dropped += 1
                continue
            person = int(np.argmin(taken))
            positions[..., person][:, body.frames] = body.joints.transpose(2, 0, 1)
            valid[body.frames, person] = True
            state[body.frames, :, person] = np.where(body.inferred, INTERPOLATED, OBSERVED)
        shown = {int(frame) for body in bodies for frame in body.frames}
        recording = Recording(
            positions=positions,
            valid=valid,
            fps=FPS,
            skeleton=skeleton(self.layout),
            sample=path.stem,
            group=name.group,
            label=name.action - 1,
            camera=name.camera,
            setup=name.setup,
            state=state,
            notes={
                "frames_empty": frames - len(shown),
                "bodies_dropped": dropped,
                "inferred": int((state == INTERPOLATED).sum()),
            },
        )
        return marked_zeros(recording, self.zeros)

    def _in_order(self, frames: int, bodies: list[Body]) -> list[Body]:
        """Return the bodies that may become persons, the first one first."""
        if self.bodies == "motion":
            kept = _cleaned(bodies) if self.clean else bodies
            if len(kept) == 1:  # as most files have: nothing to compare
                return kept
            return sorted(kept, key=lambda body: body.motion, reverse=True)
        kept = bodies[: self.persons]
        shown = np.zeros(frames, dtype=int)
        for body in bodies:
            shown[body.frames] += 1
        two = (shown == 2).any()
        return sorted(kept, key=lambda body: body.spread, reverse=True) if two else kept


def _sample(path: Path) -> SampleName:
    try:
        return SampleName.parse(path.stem)
    except ValueError as error:
        raise ValueError(f"{path.parent}/{error}") from error


def _bodies(path: Path, slots: bool) -> tuple[int, list[Body]]:
    """Return the number of frames and the bodies, by identity in the order of their appearance.

    With `slots` by their place in the frames instead.
    """
    seen = read_bodies(path)
    tracks: dict[str, list[int]] = {}
    for row, key in enumerate(map(str, seen.slot) if slots else seen.identity):
        tracks.setdefault(key, []).append(row)
    bodies = []
    for key, rows in tracks.items():
        times, numbers = np.array(seen.frame)[rows], seen.joints[rows]
        if not np.diff(times).all():
            name = shortened(key)
            raise ValueError(f"{path}: expected each body once per frame (got {name} twice)")
        bodies.append(Body(times, numbers[..., :3], numbers[..., 11] != _TRACKED))
    return seen.frames, bodies


def _cleaned(bodies: list[Body]) -> list[Body]:
    """Drop noise bodies, but never the last body that is left."""
    if len(bodies) == 1:
        return bodies
    longest = max(bodies, key=lambda body: len(body.frames))
    kept = [body for body in bodies if len(body.frames) > _SHORT] or [longest]
    tallest = min(kept, key=lambda body: body.wide.mean())
    return [body for body in kept if body.wide.mean() < _WIDE_SHARE] or [tallest]
