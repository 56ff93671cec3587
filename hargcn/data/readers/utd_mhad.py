"""UTD-MHAD: 27 actions of 8 subjects, Kinect v1 skeletons of 20 joints in MATLAB files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from hargcn.data.readers.base import MOST_FPS, Reader, Zeros, existing, marked_zeros
from hargcn.data.readers.matlab import read_array
from hargcn.data.recording import Recording
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings
from hargcn.skeleton import skeleton

CLASSES = (
    "swipe left", "swipe right", "wave", "clap", "throw", "arm cross", "basketball shoot",
    "draw x", "draw circle cw", "draw circle ccw", "draw triangle", "bowling", "boxing",
    "baseball swing", "tennis swing", "arm curl", "tennis serve", "push", "knock", "catch",
    "pickup and throw", "jog", "walk", "sit to stand", "stand to sit", "lunge", "squat",
)  # fmt: skip

_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_skeleton")


@settings
class UTDMHAD(Reader):
    """Reads `aA_sS_tT_skeleton.mat`: action, subject and trial are in the name.

    Recordings are (3, T, 20, 1) in metres (x right, y up, z depth), group "sS", label A - 1.

    Parameters
    ----------
    fps
        Frames per second of the sensor.
    zeros
        What a joint that is exactly 0 in all coordinates is: "unseen", as trackers mark a lost
        joint, or "seen". One that is 0 in every frame is always seen.
    """

    name = "utd-mhad"
    label = "UTD-MHAD"
    suffixes = (".mat",)
    pattern = "*_skeleton.mat"
    source = (
        'Chen, Jafari and Kehtarnavaz, "UTD-MHAD: A Multimodal Dataset for Human Action '
        'Recognition Utilizing a Depth Camera and a Wearable Inertial Sensor", ICIP 2015'
    )
    unknown = "The files do not state frames per second: the sensor's 30 are assumed."
    defaults = {
        "preprocess": "utd-mhad",
        "windows": {"mode": "whole", "length": 64},
        "split": "cross-subject",
    }
    splits = {
        "cross-subject": SplitConfig(train=("s1", "s3", "s5", "s7"), test=("s2", "s4", "s6", "s8"))
    }
    class_names = CLASSES

    fps: Annotated[float, Field(gt=0, le=MOST_FPS)] = 30.0
    zeros: Zeros = "unseen"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Go by the name."""
        return _NAME.fullmatch(file.stem) is not None

    def read(self, path: str | Path) -> Recording:
        """Read one file."""
        path = Path(path)
        name = _NAME.fullmatch(path.stem)
        if name is None or not 1 <= int(name[1]) <= len(CLASSES):
            raise ValueError(
                f"{path}: expected a name aA_sS_tT_skeleton.mat with action A 1..{len(CLASSES)}"
            )
        action, subject, trial = (int(part) for part in name.groups())
        joints = _load(existing(path))
        recording = Recording(
            positions=joints.transpose(1, 2, 0)[..., None],
            valid=np.ones((joints.shape[2], 1)),
            fps=self.fps,
            skeleton=skeleton("kinect20"),
            sample=f"a{action}_s{subject}_t{trial}",
            group=f"s{subject}",
            label=action - 1,
        )
        return marked_zeros(recording, self.zeros)


def _load(path: Path) -> np.ndarray:
    """Return the array `d_skel` (20, 3, T) of a MATLAB file."""
    joints = read_array(path, "d_skel")
    if joints.ndim != 3 or joints.shape[:2] != (20, 3):
        raise ValueError(f"{path}: expected d_skel (20, 3, frames) (got {joints.shape})")
    return joints
