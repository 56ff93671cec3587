"""Recordings whose answers are known: bodies that stand, drift at constant speed or tremble."""

from __future__ import annotations

from typing import Any

import numpy as np

import hargcn
from hargcn.recording import Recording


def body(layout: str = "inmotion19") -> np.ndarray:
    """(C, V) joints at distinct places; the trunk points up and has length 1."""
    skeleton = hargcn.skeleton(layout)
    joints = np.random.default_rng(0).uniform(-1, 1, (skeleton.ndim, skeleton.n_joints))
    lower, upper = skeleton.trunk
    joints[:, list(lower)] = 0
    joints[:, list(upper)] = 0
    joints[1, list(upper)] = -1 if skeleton.up == "-y" else 1
    return joints


def drifting(
    frames: int = 60,
    layout: str = "inmotion19",
    persons: int = 1,
    fps: float = 30.0,
    speed: float = 1.0,
    **fields: Any,
) -> Recording:
    """Return bodies that drift along x at `speed` units per second."""
    joints = body(layout)
    positions = np.repeat(joints[:, None, :, None], frames, axis=1).repeat(persons, axis=3)
    positions[0] += (np.arange(frames) / fps * speed)[:, None, None]
    defaults: dict[str, Any] = {
        "valid": np.ones((frames, persons)),
        "skeleton": hargcn.skeleton(layout),
        "sample": "clip",
        "group": "anna",
        "label": 0,
    }
    return Recording(
        positions=fields.pop("positions", positions), fps=fps, **{**defaults, **fields}
    )
