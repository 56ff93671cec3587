"""Every reader: what was lost, guessed or uncertain in the recording is so in the windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.dataset_files import ctrgcn, deeplabcut_hdf, kinetics, pyskl, stgcn
from fixtures.motion_files import SIZE, anipose, c3d, h36m, lightning_pose, ultralytics
from fixtures.tracker_files import (
    alphapose,
    coco_annotations,
    deeplabcut,
    mmpose,
    openpose,
    project,
    sleap,
    walking,
    written,
)
from scipy.io import savemat

import hargcn
from hargcn.data.preprocess import PreprocessConfig, preprocess
from hargcn.data.readers import READERS
from hargcn.data.recording import INTERPOLATED, OBSERVED
from hargcn.data.windows import Batch, WindowConfig, write_windows

FRAMES, LOST, JOINT = 6, 3, 9
"""In every sample joint 9 is not seen in frame 3; whatever has a confidence says 0.5 elsewhere."""

COCO = hargcn.skeleton("coco17").joints
NAN, ZERO = np.full(3, np.nan), np.zeros(3)


def lost(joints: int, as_: np.ndarray) -> np.ndarray:
    bodies = walking(FRAMES, joints)
    bodies[LOST, 0, JOINT] = as_
    return bodies


def ntu(folder: Path, state: int) -> Path:
    frames = ntu_files.together(
        FRAMES, ntu_files.track(ntu_files.standing(), range(FRAMES), 0.3, ntu_files.ANNA)
    )
    path = ntu_files.write(folder, frames)
    lines = path.read_text("ascii").splitlines()
    line = 1 + LOST * (3 + 25) + 3 + JOINT  # a count, a body and its number of joints in a frame
    lines[line] = f"{lines[line][:-1]}{state}"
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def utd(folder: Path) -> Path:
    joints = lost(20, ZERO)[:, 0].transpose(1, 2, 0)
    savemat(folder / "a1_s1_t1_skeleton.mat", {"d_skel": joints})
    return folder / "a1_s1_t1_skeleton.mat"


def keypoints(folder: Path) -> Path:
    header = [f"{joint}_{what}" for joint in COCO for what in ("x", "y", "likelihood")]
    rows = [",".join(header)]
    for frame in lost(17, NAN):
        rows.append(",".join("" if np.isnan(v) else f"{v:g}" for v in frame.ravel()))
    (folder / "v.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder / "v.csv"


def mediapipe(folder: Path, *, unlikely: bool) -> Path:
    bodies = lost(33, np.array([1, 1, 0.01]) if unlikely else NAN)[:, 0]
    landmarks = np.stack([*bodies.transpose(2, 0, 1)[:2], 0 * bodies[..., 0], bodies[..., 2]], -1)
    np.save(folder / "v.npy", landmarks)
    return folder / "v.npy"


def annotated(folder: Path) -> Path:
    """COCO's flags: 2 is visible, 1 labelled but not visible."""
    path = coco_annotations(folder / "v.json", walking(FRAMES, 17), list(COCO), "v_{0}.png")
    flag = f'"keypoints": [{_flat(LOST)}'
    text = path.read_text("utf-8")
    assert flag in text
    hidden = flag[: flag.rindex("2.0")] + "1.0"
    return _rewritten(path, text.replace(flag, hidden))


def _flat(frame: int) -> str:
    """The numbers of a frame's annotation up to the flag of the joint."""
    pose = np.column_stack([walking(FRAMES, 17)[frame, 0, :, :2], np.full(17, 2)])
    return ", ".join(map(str, pose.ravel()[: 3 * JOINT + 3].tolist()))


def _rewritten(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def mmpose_without_scores(folder: Path) -> Path:
    people = [
        {"frame_id": at, "instances": [{"keypoints": pose[0, :, :2].tolist()}]}
        for at, pose in enumerate(walking(FRAMES, 17))
    ]
    people[LOST]["instances"][0]["keypoints"][JOINT] = [None, None]
    return written(folder / "v.json", people)


def tracked_states(folder: Path) -> Path:
    how = "{joints: coco17, columns: [x, y, state], rows: joint}"
    (folder / "table.yaml").write_text(how, encoding="utf-8")
    cells = walking(FRAMES, 17)[:, 0]
    cells[..., 2] = 2
    cells[LOST, JOINT, 2] = 0
    rows = [" ".join(map(repr, row)) for row in cells.reshape(-1, 3).tolist()]
    return _rewritten(folder / "v.txt", "\n".join(rows) + "\n")


SAYS_NOTHING = {
    "bvh": "a motion turns every joint of a skeleton in every frame",
    "mini-rgbd": "a rendered body has a pixel for every joint in every frame",
}
"""Formats that cannot say that a joint was lost, and why."""

SAMPLES = {
    "lightning-pose: empty cells": (
        "lightning-pose",
        lambda folder: lightning_pose(folder / "v.csv", lost(17, NAN), list(COCO)),
        {"layout": "coco17"},
        0.5,
    ),
    "anipose: empty cells": (
        "anipose",
        lambda folder: anipose(folder / "v.csv", lost(17, NAN)[:, 0], list(COCO)),
        {"layout": "coco17"},
        0.75,
    ),
    "ultralytics: zeros": (
        "ultralytics",
        lambda folder: ultralytics(folder, lost(17, ZERO)),
        {"size": SIZE},
        0.5,
    ),
    "c3d: a residual of -1": (
        "c3d",
        lambda folder: c3d(folder / "v.c3d", lost(17, NAN)[:, 0], list(COCO)),
        {"layout": "coco17"},
        None,
    ),
    "h36m: no number": (
        "h36m",
        lambda folder: h36m(folder / "v.npz", {"S1": {"Walking": lost(17, NAN)[:, 0]}}),
        {},
        None,
    ),
    "table: a state of 0": ("table", tracked_states, {"layout": "coco17", "table": None}, None),
    "ntu: inferred": ("ntu", lambda folder: ntu(folder, 1), {}, None),
    "ntu: not tracked": ("ntu", lambda folder: ntu(folder, 0), {}, None),
    "utd-mhad: zeros": ("utd-mhad", utd, {}, None),
    "keypoints: empty cells": ("keypoints", keypoints, {"layout": "coco17"}, 0.5),
    "deeplabcut: empty cells": (
        "deeplabcut",
        lambda folder: deeplabcut(folder / "v.csv", lost(17, NAN), list(COCO)),
        {"layout": "coco17"},
        0.5,
    ),
    "deeplabcut: no number in HDF5": (
        "deeplabcut",
        lambda folder: deeplabcut_hdf(folder / "v.h5", lost(17, NAN), list(COCO)),
        {"layout": "coco17"},
        0.5,
    ),
    "slp: no point": (
        "slp",
        lambda folder: project(folder / "v.slp", {"v.mp4": lost(17, NAN)}, list(COCO)),
        {"layout": "coco17"},
        0.5,
    ),
    "pyskl: zeros": (
        "pyskl",
        lambda folder: pyskl(folder / "v.pkl", {"v": (lost(17, ZERO)[..., :2], 0)}, {}),
        {},
        0.5,
    ),
    "ctrgcn: zeros": (
        "ctrgcn",
        lambda folder: ctrgcn(folder / "v.npz", [lost(25, ZERO)], [], [0]),
        {},
        None,
    ),
    "stgcn: zeros": (
        "stgcn",
        lambda folder: stgcn(folder, "train", {"v": (lost(18, ZERO), 0)}),
        {},
        0.5,
    ),
    "kinetics: zeros": (
        "kinetics",
        lambda folder: kinetics(folder / "v.json", lost(18, ZERO), 0, "x"),
        {},
        0.5,
    ),
    "sleap: no point": (
        "sleap",
        lambda folder: sleap(folder / "v.h5", lost(17, NAN), list(COCO)),
        {"layout": "coco17"},
        0.5,
    ),
    "openpose: zeros": ("openpose", lambda folder: openpose(folder, lost(25, ZERO)), {}, 0.5),
    "coco results: zeros": (
        "coco",
        lambda folder: alphapose(folder / "v.json", lost(17, ZERO)),
        {},
        0.5,
    ),
    "coco annotations: not visible": ("coco", annotated, {}, None),
    "mmpose: unlikely": (
        "mmpose",
        lambda folder: mmpose(folder / "v.json", lost(17, np.array([3, 3, 0.01]))),
        {"likelihood": 0.1},
        0.5,
    ),
    "mmpose without scores": ("mmpose", mmpose_without_scores, {}, None),
    "mediapipe: no landmark": ("mediapipe", lambda f: mediapipe(f, unlikely=False), {}, 0.5),
    "mediapipe: invisible": (
        "mediapipe",
        lambda folder: mediapipe(folder, unlikely=True),
        {"likelihood": 0.1},
        0.5,
    ),
}


def windows_of(folder: Path, name: str) -> Batch:
    reader, make, options, _ = SAMPLES[name]
    kind = READERS.find(reader)
    if "table" in options:
        options = {**options, "table": folder / "table.yaml"}
    rate = {} if reader in ("ntu", "utd-mhad") else {"fps": 30}
    found = kind(**options, **rate).recordings(make(folder))
    ready = found.map(lambda recording: preprocess(recording, PreprocessConfig()))
    classes = found.classes or ("x",)
    return write_windows(
        folder / "windows.h5", ready, classes, WindowConfig(length=FRAMES, overlap=0)
    ).read()


def test_every_reader_has_a_sample_or_a_reason() -> None:
    sampled = {reader for reader, *_ in SAMPLES.values()}
    own = {name for name, kind in READERS.all().items() if kind.__module__.startswith("hargcn.")}
    assert own == sampled | set(SAYS_NOTHING)
    assert not sampled & set(SAYS_NOTHING)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_nobody_saw_is_interpolated_in_the_windows(tmp_path, name) -> None:
    made = windows_of(tmp_path, name)
    expected = np.full(made.state[0, ..., 0].shape, OBSERVED)
    expected[LOST, JOINT] = INTERPOLATED
    np.testing.assert_array_equal(made.state[0, ..., 0], expected)


@pytest.mark.parametrize("name", SAMPLES)
def test_confidence_is_that_of_the_file_and_made_up_nowhere(tmp_path, name) -> None:
    made, known = windows_of(tmp_path, name), SAMPLES[name][3]
    if known is None:
        assert made.confidence is None
    else:
        expected = np.full(made.state[0, ..., 0].shape, known)
        expected[LOST, JOINT] = np.nan
        np.testing.assert_array_equal(made.confidence[0, ..., 0], expected)


def test_the_places_that_a_sensor_inferred_stay(tmp_path) -> None:
    """The usual preparation takes them: only their state says that nobody saw them."""
    kept = READERS.find("ntu")().read(ntu(tmp_path, 2))
    inferred = READERS.find("ntu")().read(ntu(tmp_path, 1))
    np.testing.assert_array_equal(inferred.positions, kept.positions)
    assert (kept.notes["inferred"], inferred.notes["inferred"]) == (0, 1)
