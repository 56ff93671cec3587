"""NTU RGB+D `.skeleton` files: Kinect v2, 25 joints, up to six tracked bodies.

The clean-up of several bodies follows the preparation that is usual for this data set (Zhang et
al., "Semantics-Guided Neural Networks", CVPR 2020, whose code later work shares).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np

from hargcn.data.readers.ntu_protocols import (
    CLASSES,
    Protocol,
    SampleName,
    check_counts,
    read_missing,
)
from hargcn.data.recording import OnError, Recording, Recordings, list_files
from hargcn.skeleton import skeleton

__all__ = ["CLASSES", "Protocol", "check_counts", "read", "read_folder", "read_missing"]

FPS = 30.0
_JOINTS = 25
_SHORT = 11  # frames; bodies that stay no longer are noise
_WIDE = 0.8  # a frame is implausible where a body is wider than this share of its height
_WIDE_SHARE = 0.69754  # bodies with at least this share of such frames are furniture


@dataclass(frozen=True, eq=False)
class Body:
    """One tracked body: the frames that show it and its joints there, (t, 25, 3) in metres."""

    frames: np.ndarray
    joints: np.ndarray

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


def read(
    path: str | Path,
    persons: int = 2,
    clean: bool = True,
    join: bool = False,
    layout: str = "ntu25",
) -> Recording:
    """Read one `SsssCcccPpppRrrrAaaa.skeleton`.

    Bodies are followed by their identity through the slots of the file. Frames without a body stay:
    nobody is there then.

    Parameters
    ----------
    path
        The file.
    persons
        How many bodies to keep, those with the most motion first; fewer leave the rest empty.
    clean
        Whether to drop noise where there are several bodies: those of at most 11 frames, then those
        that are mostly wider than high.
    join
        Whether bodies that never share a frame become one person: the sensor gives a new identity
        to a body it lost.
    layout
        "ntu25" or "ntu25_alt", which differ in the bones of the hands.

    Returns
    -------
    Recording
        (3, T, 25, M) in metres (y up), group "Pppp", label action - 1, camera and setup. Notes:
        `frames_empty`, `bodies_dropped`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another name, a truncated file, a wrong number of joints, or no body at all.
    """
    path = Path(path)
    try:
        name = SampleName.parse(path.stem)
    except ValueError as error:
        raise ValueError(f"{path.parent}/{error}") from error
    frames, bodies = _parse(path)
    if not bodies:
        raise ValueError(f"{path}: expected a body in some frame (got none in {frames} frames)")
    tracks = _cleaned(bodies) if clean else bodies
    tracks = sorted(tracks, key=lambda body: body.motion, reverse=True)
    positions = np.zeros((3, frames, _JOINTS, persons), dtype=np.float32)
    valid = np.zeros((frames, persons), dtype=bool)
    dropped = len(bodies) - len(tracks)
    for body in tracks:
        taken = valid[body.frames].any(axis=0) if join else valid.any(axis=0)
        if taken.all():
            dropped += 1
            continue
        person = int(np.argmin(taken))
        positions[..., person][:, body.frames] = body.joints.transpose(2, 0, 1)
        valid[body.frames, person] = True
    shown = {int(frame) for body in bodies for frame in body.frames}
    return Recording(
        positions=positions,
        valid=valid,
        fps=FPS,
        skeleton=skeleton(layout),
        sample=path.stem,
        group=f"P{name.performer:03d}",
        label=name.action - 1,
        camera=name.camera,
        setup=name.setup,
        notes={"frames_empty": frames - len(shown), "bodies_dropped": dropped},
    )


def read_folder(
    folder: str | Path,
    persons: int = 2,
    clean: bool = True,
    join: bool = False,
    layout: str = "ntu25",
    actions: int | None = None,
    missing: str | Path | None = None,
    protocol: Protocol | None = None,
    on_error: OnError = "raise",
    progress: bool = False,
) -> Recordings:
    """Read every `.skeleton` file of a folder.

    Parameters
    ----------
    folder
        The folder of the files.
    persons, clean, join, layout
        As in `read`.
    actions
        Read actions 1 to this one; by default 60 under the protocols of NTU RGB+D 60, else 120.
    missing
        The official list of samples with missing skeletons; these are left out.
    protocol
        Check the numbers of this split before reading anything.
    on_error
        "raise" or "skip".
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        For a file with another name, or a whole data set whose numbers are not the published ones.
    """
    if actions is None:
        actions = 60 if protocol in ("xsub", "xview") else len(CLASSES)
    if not 1 <= actions <= len(CLASSES):
        raise ValueError(f"Expected actions 1..{len(CLASSES)} (got {actions})")
    files = list_files(folder, "*.skeleton")
    chosen = [file for file in files if SampleName.parse(file.stem).action <= actions]
    listed = read_missing(missing) if missing is not None else frozenset()
    kept = [file for file in chosen if file.stem not in listed]
    if protocol is not None:
        check_counts([file.stem for file in kept], protocol)
    return Recordings(
        items=kept,
        load=partial(read, persons=persons, clean=clean, join=join, layout=layout),
        classes=CLASSES[:actions],
        notes={"other_actions": len(files) - len(chosen), "missing_list": len(chosen) - len(kept)},
        on_error=on_error,
        progress=progress,
    )


def _parse(path: Path) -> tuple[int, list[Body]]:
    """Return the number of frames and the bodies in the order of their appearance."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    tokens = iter(path.read_text(encoding="ascii", errors="replace").split())
    tracks: dict[str, tuple[list[int], list[list[float]]]] = {}
    frames, frame = None, 0
    try:
        frames = int(next(tokens))
        for frame in range(frames):
            for identity, joints in _frame(tokens):
                times, poses = tracks.setdefault(identity, ([], []))
                times.append(frame)
                poses.append(joints)
    except (StopIteration, _EarlyEnd):
        found = "an empty file" if frames is None else f"{frame} whole ones before the end"
        expected = "a number of frames" if frames is None else f"{frames} frames"
        raise ValueError(f"{path}: expected {expected} (got {found})") from None
    except ValueError as error:
        raise ValueError(f"{path}: frame {frame} is not in the grammar: {error}") from None
    twice = [identity for identity, (times, _) in tracks.items() if len(set(times)) < len(times)]
    if twice:
        raise ValueError(f"{path}: expected each body once per frame (got {twice[0]} twice)")
    if next(tokens, None) is not None:
        raise ValueError(f"{path}: expected the end after {frames} frames (got more numbers)")
    bodies = [
        Body(np.array(times), np.array(poses).reshape(-1, _JOINTS, 12)[..., :3])
        for times, poses in tracks.values()
    ]
    return frames, bodies


class _EarlyEnd(Exception):
    """The tokens ran out."""


def _frame(tokens: Iterator[str]) -> Iterator[tuple[str, list[float]]]:
    """Yield the bodies of one frame: identity as text (64 bits do not fit a float) and joints."""
    for _ in range(int(_take(tokens, 1)[0])):
        identity = _take(tokens, 10)[0]
        joints = int(_take(tokens, 1)[0])
        if joints != _JOINTS:
            raise ValueError(f"expected {_JOINTS} joints (got {joints})")
        yield identity, [float(token) for token in _take(tokens, _JOINTS * 12)]


def _take(tokens: Iterator[str], count: int) -> list[str]:
    taken = list(islice(tokens, count))
    if len(taken) < count:
        raise _EarlyEnd
    return taken


def _cleaned(bodies: list[Body]) -> list[Body]:
    """Drop noise bodies, but never the last body that is left."""
    if len(bodies) == 1:
        return bodies
    longest = max(bodies, key=lambda body: len(body.frames))
    kept = [body for body in bodies if len(body.frames) > _SHORT] or [longest]
    tallest = min(kept, key=lambda body: body.wide.mean())
    return [body for body in kept if body.wide.mean() < _WIDE_SHARE] or [tallest]
