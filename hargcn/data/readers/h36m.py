"""Human3.6M in NumPy files, as VideoPose3D and networks after it keep it: many videos in one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.arrays import members
from hargcn.data.readers.pickles import object_array
from hargcn.data.readers.videos import Sightings, Videos
from hargcn.registry import settings

_KINDS = ("positions_3d", "positions_2d")
_KEPT = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
"""The 17 of all 32 joints that move on their own."""


@settings
class H36M(Videos):
    """Reads the videos of a `.npz`: subject -> action -> (frame, joint, 3), in 2D one per camera.

    Recordings are named SUBJECT_ACTION, in 2D with `_cam0`, `_cam1`, ... behind. Without a table of
    outcomes the action is the class, without its number, and the subject is known. Of 32 joints the
    usual 17 are kept, unless the layout has 32. It is read without running any code inside it.
    """

    name = "h36m"
    label = "Human3.6M arrays"
    suffixes = (".npz",)
    source = "VideoPose3D, DATASETS.md and data/prepare_data_h36m.py: data_3d_*.npz, data_2d_*.npz"
    unknown = (
        "Frames per second must be given (50 in Human3.6M), and nobody says whether places are "
        "the camera's, as h36m17 takes them to be, or the room's with z up; nor their unit."
    )
    layouts = {17: "h36m17"}

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for positions in 2D or 3D."""
        try:
            return any(kind in members(file) for kind in _KINDS)
        except ValueError:
            return False

    @classmethod
    def files(cls, path: Path) -> list[Path]:
        """Return the videos of all files: FILE/SUBJECT/ACTION, in 2D /CAMERA."""
        return [path / key for path in super().files(path) for key in _videos(path)]

    def title(self, item: Path) -> str:
        """Return subject, action and camera."""
        _, keys = _place(item)
        camera = [f"cam{keys[2]}"] if len(keys) > 2 else []
        return "_".join([*keys[:2], *camera]).replace(" ", "_")

    def said(self, item: Path) -> Mapping[str, str]:
        """Return the action without its number, and the subject."""
        _, keys = _place(item)
        return {"outcome": re.sub(r"\s*\d*$", "", keys[1]) or keys[1], "subject": keys[0]}

    def sightings(self, item: Path) -> Sightings:
        """Read a video."""
        file, keys = _place(item)
        found = _videos(file)["/".join(keys)]
        points = np.asarray(found, dtype=float)
        if points.ndim != 3 or points.shape[2] not in (2, 3) or not points.size:
            raise ValueError(
                f"{item}: expected an array (frame, joint, 2 or 3) (got {points.shape})"
            )
        if points.shape[1] == 32 and self.layout is None:
            points = points[:, _KEPT]
        return Sightings(points[:, None], camera=int(keys[2]) if len(keys) > 2 else None)


def _place(item: Path) -> tuple[Path, list[str]]:
    """Return the file of a video, and its keys there."""
    file = next(each for each in item.parents if each.suffix.lower() == ".npz")
    return file, list(item.relative_to(file).parts)


def _videos(file: Path) -> dict[str, Any]:
    """Return the videos of a file by their keys."""
    return _read(file, file.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _read(file: Path, _changed: int) -> dict[str, Any]:
    held = members(file)
    kind = next((kind for kind in _KINDS if kind in held), None)
    if kind is None:
        raise ValueError(f"{file}: expected {' or '.join(_KINDS)} (got {shortened(str(held))})")
    array = object_array(file, kind)
    content = array[()] if array.shape == () else None
    if not isinstance(content, dict) or not all(isinstance(x, dict) for x in content.values()):
        raise ValueError(f"{file}: {kind}: expected subject -> action -> positions (got another)")
    found: dict[str, Any] = {}
    for subject, actions in content.items():
        for action, videos in actions.items():
            key = f"{_key(file, subject)}/{_key(file, action)}"
            if isinstance(videos, list | tuple):
                found |= {f"{key}/{camera}": video for camera, video in enumerate(videos)}
            else:
                found[key] = videos
    if not found:
        raise ValueError(f"{file}: {kind}: expected videos (got none)")
    return found


def _key(file: Path, name: Any) -> str:
    if not isinstance(name, str) or not re.fullmatch(r"[^/\\.\0][^/\\\0]{0,99}", name):
        raise ValueError(f"{file}: expected subjects and actions by name (got {name!r:.60})")
    return name
