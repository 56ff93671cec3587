"""UTD-MHAD: 27 actions of 8 subjects, Kinect v1 skeletons of 20 joints in MATLAB files.

Source: Chen, Jafari and Kehtarnavaz, "UTD-MHAD: A Multimodal Dataset for Human Action Recognition
Utilizing a Depth Camera and a Wearable Inertial Sensor", ICIP 2015.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from hargcn.data.recording import OnError, Recording, Recordings, list_files
from hargcn.skeleton import skeleton

CLASSES = (
    "swipe left", "swipe right", "wave", "clap", "throw", "arm cross", "basketball shoot",
    "draw x", "draw circle cw", "draw circle ccw", "draw triangle", "bowling", "boxing",
    "baseball swing", "tennis swing", "arm curl", "tennis serve", "push", "knock", "catch",
    "pickup and throw", "jog", "walk", "sit to stand", "stand to sit", "lunge", "squat",
)  # fmt: skip

_NAME = re.compile(r"a(\d+)_s(\d+)_t(\d+)_skeleton")


def read(path: str | Path, fps: float = 30.0) -> Recording:
    """Read one `aA_sS_tT_skeleton.mat`.

    Parameters
    ----------
    path
        The file; action, subject and trial are in its name.
    fps
        Frames per second of the sensor; the files do not say.

    Returns
    -------
    Recording
        (3, T, 20, 1) in metres (x right, y up, z depth), group "sS", label A - 1.

    Raises
    ------
    ValueError
        For a file with another name, that is damaged, or that holds something else.
    """
    path = Path(path)
    name = _NAME.fullmatch(path.stem)
    if name is None or not 1 <= int(name[1]) <= len(CLASSES):
        raise ValueError(
            f"{path}: expected a name aA_sS_tT_skeleton.mat with action A 1..{len(CLASSES)}"
        )
    action, subject, trial = (int(part) for part in name.groups())
    joints = _load(path)
    return Recording(
        positions=joints.transpose(1, 2, 0)[..., None],
        valid=np.ones((joints.shape[2], 1)),
        fps=fps,
        skeleton=skeleton("kinect20"),
        sample=f"a{action}_s{subject}_t{trial}",
        group=f"s{subject}",
        label=action - 1,
    )


def read_folder(
    folder: str | Path, fps: float = 30.0, on_error: OnError = "raise", progress: bool = False
) -> Recordings:
    """Read every `*_skeleton.mat` of a folder (`raw/` below it is found too).

    Parameters
    ----------
    folder
        The folder of the files.
    fps
        Frames per second.
    on_error
        "raise" or "skip".
    progress
        Whether to show a progress bar.
    """
    folder = Path(folder)
    if (folder / "raw").is_dir():
        folder = folder / "raw"
    files = list_files(folder, "*_skeleton.mat")
    return Recordings(
        items=sorted(files, key=lambda file: [int(n) for n in re.findall(r"\d+", file.stem)]),
        load=partial(read, fps=fps),
        classes=CLASSES,
        on_error=on_error,
        progress=progress,
    )


def _load(path: Path) -> np.ndarray:
    """Return the array `d_skel` (20, 3, T) of a MATLAB file."""
    from scipy.io import loadmat

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = loadmat(path)
    except Exception as error:  # scipy raises a dozen kinds for a damaged file
        raise ValueError(f"{path}: expected a whole MATLAB file ({error})") from error
    if "d_skel" not in content:
        found = sorted(key for key in content if not key.startswith("__"))
        raise ValueError(f"{path}: expected the variable d_skel (got {found})")
    joints = content["d_skel"]
    if joints.ndim != 3 or joints.shape[:2] != (20, 3) or joints.dtype.kind not in "fiu":
        raise ValueError(f"{path}: expected d_skel (20, 3, frames) (got {joints.shape})")
    return np.asarray(joints)
