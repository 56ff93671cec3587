"""Writes `.skeleton` files in the official grammar of NTU RGB+D."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import hargcn

NAME = "S001C001P001R001A001"
ANNA, BERT, CARL = "72057594037931101", "72057594037931102", "72057594037931103"
# As float64 all three are the same number.

Frame = Sequence[tuple[str, np.ndarray]]


def standing(x: float = 0.0) -> np.ndarray:
    """(25, 3) a person taller than wide at a distance of 3 m, `x` to the right."""
    skeleton = hargcn.skeleton("ntu25")
    joints = np.zeros((25, 3))
    joints[:, 0] = x + np.linspace(-0.2, 0.2, 25)
    joints[:, 1] = np.linspace(-0.9, 0.8, 25)
    joints[:, 2] = 3
    for name, height in (("spine_base", 0.0), ("spine_mid", 0.25), ("spine_shoulder", 0.5)):
        joints[skeleton.index(name), :2] = x, height
    for side, across in (("left", -0.1), ("right", 0.1)):
        joints[skeleton.index(f"{side}_hip"), :2] = x + across, -0.02
    return joints


def lying(x: float = 0.0) -> np.ndarray:
    """(25, 3) something wider than high: a sofa, not a person."""
    return standing(x)[:, [1, 0, 2]]


def track(
    pose: np.ndarray, frames: range, amplitude: float, identity: str
) -> dict[int, tuple[str, np.ndarray]]:
    """One body that waves its right hand up and down with an amplitude in metres."""
    body = {}
    for frame in frames:
        joints = pose.copy()
        joints[11, 1] += amplitude * np.sin(frame / 2)
        body[frame] = (identity, joints)
    return body


def together(frames: int, *tracks: Mapping[int, tuple[str, np.ndarray]]) -> list[Frame]:
    """Frames that hold the bodies of several tracks, in the order of the tracks."""
    return [[track[frame] for track in tracks if frame in track] for frame in range(frames)]


def text(frames: Sequence[Frame]) -> str:
    """Frames in the grammar: counts, a line of 10 fields per body, 12 numbers per joint."""
    lines = [str(len(frames))]
    for frame in frames:
        lines.append(str(len(frame)))
        for identity, joints in frame:
            lines.append(f"{identity} 0 1 1 1 1 0 -0.1234 0.0521 2")
            lines.append(str(len(joints)))
            for x, y, z in joints:
                lines.append(f"{x:.7f} {y:.7f} {z:.7f} 280.1 190.2 970.3 420.4 0.1 0.2 0.9 0.3 2")
    return "\n".join(lines) + "\n"


def write(folder: Path, frames: Sequence[Frame], name: str = NAME) -> Path:
    """Write one file and return its path."""
    path = folder / f"{name}.skeleton"
    path.write_text(text(frames), encoding="ascii")
    return path
