"""MediaPipe Pose: 33 landmarks as people save them, in JSON, CSV or NumPy files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.arrays import mapped
from hargcn.data.readers.base import first_line
from hargcn.data.readers.tables import numbers_of, read_table
from hargcn.data.readers.trackers.json_files import read_json, start_of
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings

LANDMARKS = 33
_AXES = ("x", "y", "z", "visibility")
_HOLDERS = ("landmark", "landmarks", "pose_landmarks", "pose_world_landmarks", "poseLandmarks")
_COLUMN = re.compile(r"(x|y|z|v|visibility)_?(\d{1,4})")


@settings
class MediaPipe(Videos):
    """Reads the landmarks of one video.

    MediaPipe has no file format of its own. Read are: JSON, a list of frames, each a list of 33
    `{x, y, z, visibility}` (or an object with these under `landmark`, `landmarks`,
    `pose_landmarks`; null or an empty list where nobody was found); a CSV with a row per frame and
    columns `x0, y0, z0, v0, ...` (or `x_0`, from 0 or from 1); a NumPy array
    (frame, 33, 2 to 5) of x, y, z, visibility. Landmarks of the picture are shares of its width and
    height: give `size`, or bodies are stretched by its aspect ratio.

    Parameters
    ----------
    size
        Width and height of the video in pixels, for landmarks of the picture; none for pixels or
        world landmarks.
    """

    name = "mediapipe"
    label = "MediaPipe Pose"
    suffixes = (".json", ".csv", ".npy")
    source = "MediaPipe, solutions/pose.md: 33 landmarks with visibility"
    unknown = (
        "Without a table of outcomes it knows no class and no subject; frames per second must be "
        "given, and the size of the picture (`size`) where landmarks are its shares; how large "
        "bodies are in it differs with the camera."
    )
    layouts = {LANDMARKS: "mediapipe33"}

    size: tuple[int, int] | None = None

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for 33 landmarks."""
        kind = file.suffix.lower()
        if kind == ".json":
            start = start_of(file)
            return '"visibility":' in start and '"x":' in start
        if kind == ".csv":
            return len({joint for joint, _ in _columns(first_line(file)).values()}) == LANDMARKS
        try:
            return mapped(file).shape[1:2] == (LANDMARKS,)
        except ValueError:
            return False

    def sightings(self, item: Path) -> Sightings:
        """Read the landmarks of a video."""
        kind = item.suffix.lower()
        read = {".json": _from_json, ".csv": _from_table}.get(kind, _array)
        frames = read(item)
        if frames.ndim != 3 or frames.shape[1] != LANDMARKS or not 2 <= frames.shape[2] <= 5:
            raise ValueError(
                f"{item}: expected frames of 33 landmarks x, y, z, visibility (got {frames.shape})"
            )
        visibility = frames[:, None, :, 3] if frames.shape[2] > 3 else None
        bodies = frames[:, None, :, :3].copy()
        if self.size is not None:
            # z has about the scale of x.
            scale = np.array([self.size[0], self.size[1], self.size[0]], dtype=float)
            bodies *= scale[: bodies.shape[-1]]
        empty = int(np.isnan(bodies).all(axis=(1, 2, 3)).sum())
        return Sightings(bodies, visibility, notes={"frames_without_people": empty})


def _columns(header: str) -> dict[int, tuple[int, str]]:
    """Return landmark and axis of the columns that hold one; counted from 0 or from 1."""
    found = {}
    for place, name in enumerate(header.split(",")):
        match = _COLUMN.fullmatch(name.strip().strip('"').lower())
        if match:
            found[place] = (int(match[2]), match[1][0])
    first = min((joint for joint, _ in found.values()), default=0)
    return {
        place: (joint - first, axis)
        for place, (joint, axis) in found.items()
        if joint - first < LANDMARKS
    }


def _from_table(file: Path) -> np.ndarray:
    """Return (frame, 33, 4) of a CSV; what it has no column for is NaN."""
    table = read_table(file)
    columns = _columns(",".join(table.columns))
    if len({joint for joint, _ in columns.values()}) != LANDMARKS:
        raise ValueError(f"{file}: expected columns x0, y0, z0, v0, ... of 33 landmarks")
    frames = np.full((len(table), LANDMARKS, len(_AXES)), np.nan)
    numbers = numbers_of(file, table, [table.columns[place] for place in columns])
    for values, (joint, axis) in zip(numbers.T, columns.values(), strict=True):
        frames[:, joint, "xyzv".index(axis)] = values
    return frames


def _from_json(file: Path) -> np.ndarray:
    """Return (frame, 33, 4), NaN where nobody was found."""
    content = read_json(file)
    content = content.get("frames", content) if isinstance(content, dict) else content
    if not isinstance(content, list) or not content:
        raise ValueError(f"{file}: expected a list of frames of landmarks")
    nobody = np.full((LANDMARKS, len(_AXES)), np.nan)
    return np.stack(
        [
            _pose(file, place, landmarks) if landmarks else nobody
            for place, landmarks in enumerate(map(_landmarks, content))
        ]
    )


def _landmarks(frame: Any) -> Any:
    """Return a frame's list of landmarks, of the first person where several are listed."""
    while isinstance(frame, dict) or (isinstance(frame, list) and frame and not _is_one(frame[0])):
        if isinstance(frame, dict):
            held = [frame[key] for key in _HOLDERS if key in frame]
            frame = held[0] if held else None
        else:
            frame = frame[0]
    return frame


def _is_one(value: Any) -> bool:
    return isinstance(value, dict) and "x" in value


def _pose(file: Path, place: int, landmarks: Any) -> np.ndarray:
    if not isinstance(landmarks, list) or len(landmarks) != LANDMARKS:
        raise ValueError(f"{file}: frame {place}: expected 33 landmarks x, y, z, visibility")
    try:
        return np.array([[each.get(axis, np.nan) for axis in _AXES] for each in landmarks], float)
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        said = shortened(str(error))
        raise ValueError(f"{file}: frame {place}: expected numbers ({said})") from error


def _array(file: Path) -> np.ndarray:
    found = mapped(file)
    if found.dtype.kind not in "fiu":
        raise ValueError(f"{file}: expected a NumPy array of numbers (got {found.dtype})")
    return np.asarray(found, dtype=float)
