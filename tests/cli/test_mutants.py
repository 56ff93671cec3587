"""Whatever a file holds, `hargcn prepare` reads it or ends in one short line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.command_line import done, refused, run
from fixtures.dataset_files import ctrgcn, kinetics, pyskl, stgcn
from fixtures.key_points import videos
from fixtures.motion_files import ATTACKED, attacked
from fixtures.mutants import mutants, text_mutants
from fixtures.tracker_files import (
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

LAYOUT = """\
name: stick5
ndim: 2
joints: [head, thorax, pelvis, left_hand, right_hand]
edges: [[head, thorax], [pelvis, thorax], [left_hand, thorax], [right_hand, thorax]]
parts: {torso: [head, thorax, pelvis], left_arm: [left_hand], right_arm: [right_hand]}
mirror: [[left_hand, right_hand]]
root: thorax
reference: head
centre: [pelvis]
trunk: [[pelvis], [thorax]]
up: -y
"""
SAMPLES = Path(__file__).parents[1] / "fixtures" / "samples"
KINDS = [
    "video", "outcomes", "layout", "experiment", "ntu", "mat", "mini-rgbd", "openpose", "coco",
    "mmpose", "mediapipe", "mediapipe-array", "deeplabcut", "deeplabcut-h5", "sleap", "slp",
    "pyskl", "ctrgcn", "stgcn", "stgcn-labels", "kinetics", *ATTACKED,
]  # fmt: skip
BINARY = (".mat", ".npy", ".h5", ".npz", ".c3d", ".slp", ".pkl")
EXPERIMENT = """\
prepare:
  format: keypoints
  reader: {layout: LAYOUT, outcomes: TABLE, fps: fps, likelihood: 0.2, classes: [low, high]}
  preprocess: {fps: 15, max_gap: 0.4, median: 3, lowpass: 0.5, centre: median, rotate: first,
               scale: trunk, jitter: 0.1}
  windows: {mode: slide, length: 8, overlap: 4, fit: pad, min_valid: 0.5}
  split: {test_share: 0.4, seed: 3}
model: {width: 8, branch: {blocks: 1, window: 3}}
train: {epochs: 3, lr: 0.1, augment: null}
"""


@pytest.fixture
def attack(tmp_path):
    """Give every kind of file with the command that reads it."""
    joints = ("head", "thorax", "pelvis", "left_hand", "right_hand")
    table = videos(tmp_path / "videos", joints, count=4)
    layout, experiment = tmp_path / "own.yaml", tmp_path / "experiment.yaml"
    layout.write_text(LAYOUT, "utf-8")
    text = EXPERIMENT.replace("LAYOUT", str(layout)).replace("TABLE", str(table))
    experiment.write_text(text, "utf-8")
    (tmp_path / "ntu").mkdir()
    bodies = [[(ntu_files.ANNA, ntu_files.standing())]] * 12
    ntu_files.write(tmp_path / "ntu", bodies)
    mat = tmp_path / "a1_s1_t1_skeleton.mat"
    savemat(mat, {"d_skel": np.random.default_rng(0).normal(size=(20, 3, 12))})
    pixels = tmp_path / "result_pz101.csv"
    trackers = tmp_path / "trackers"
    frame = openpose(trackers, walking(12, 18, 2)) / "walk_000000000001_keypoints.json"
    coco = coco_annotations(
        tmp_path / "coco.json", walking(12, 17, 2), list(hargcn.skeleton("coco17").joints), "{}.png"
    )
    predictions = mmpose(tmp_path / "mmpose.json", walking(12, 17, 2))
    landmark = dict(zip(("x", "y", "z", "visibility"), (0.1, 0.2, 0.3, 0.9), strict=True))
    landmarks = written(
        tmp_path / "mediapipe.json",
        [[{**landmark, "x": 0.01 * i + 0.001 * t} for i in range(33)] for t in range(12)],
    )
    array = tmp_path / "mediapipe.npy"
    np.save(array, np.random.default_rng(0).uniform(size=(12, 33, 4)))
    predicted = deeplabcut(tmp_path / "dlc.csv", walking(12, 5), list(joints))
    frame_table = tmp_path / "dlc.h5"
    frame_table.write_bytes((SAMPLES / "deeplabcut_table_two.h5").read_bytes())
    sets = tmp_path / "sets"
    named = {"v1": (walking(12, 25, 2), 0), "v2": (walking(12, 25, 2), 1)}
    stacked = stgcn(sets, "train", named, 12)
    annotated = pyskl(tmp_path / "pyskl.pkl", named, {"train": ["v1"], "test": ["v2"]})
    sequences = ctrgcn(tmp_path / "ctrgcn.npz", [walking(12, 25, 2)], [walking(12, 25)], [0, 1])
    clip = kinetics(tmp_path / "clips" / "v1.json", walking(12, 18, 2), 0, "waving")
    labels = project(tmp_path / "v.slp", {"v.mp4": walking(12, 5, 2)}, list(joints))
    tracks = sleap(tmp_path / "sleap.h5", walking(12, 5), list(joints))
    names = hargcn.skeleton("minirgbd14").joints
    rows = [f"{i:05d}_rgb;" + ";".join(f"{i + j},{3 * j}" for j in range(14)) for i in range(30)]
    pixels.write_text("\n".join([";".join(("image", *names)), *rows]) + "\n", "utf-8")
    keypoints = (tmp_path / "videos", "--config", experiment)
    short = ("--set", "windows.length=8", "--set", "windows.overlap=4")
    seen = (*short, "--set", "reader.fps=30", "--set", "preprocess=none")
    own = ("--set", f"reader.layout={layout}")
    more = attacked(tmp_path, layout, list(joints)).items()
    four = ("--set", "windows.length=4", "--set", "windows.overlap=2")
    return {
        **{kind: (file, (*arguments, *seen)) for kind, (file, arguments) in more},
        "openpose": (frame, (trackers, *seen)),
        "coco": (coco, (coco, "--format", "coco", *seen)),
        "mmpose": (predictions, (predictions, "--format", "mmpose", *seen)),
        "mediapipe": (landmarks, (landmarks, "--format", "mediapipe", *seen)),
        "mediapipe-array": (array, (array, *seen)),
        "deeplabcut": (predicted, (predicted, "--format", "deeplabcut", *own, *seen)),
        "deeplabcut-h5": (frame_table, (frame_table, *own, *four, *seen[4:])),
        "pyskl": (annotated, (annotated, *short, "--set", "split=published")),
        "ctrgcn": (sequences, (sequences, *short)),
        "stgcn": (stacked, (sets, "--format", "stgcn", *short)),
        "stgcn-labels": (sets / "train_label.pkl", (sets, "--format", "stgcn", *short)),
        "kinetics": (clip, (clip, "--format", "kinetics", *short)),
        "slp": (labels, (labels, *own, *seen)),
        "sleap": (tracks, (tracks, *own, *seen)),
        "video": (tmp_path / "videos" / "v1.csv", keypoints),
        "outcomes": (table, keypoints),
        "layout": (layout, keypoints),
        "experiment": (experiment, keypoints),
        "ntu": (tmp_path / "ntu" / f"{ntu_files.NAME}.skeleton", (tmp_path / "ntu",)),
        "mat": (mat, (mat, "--set", "split=null")),
        "mini-rgbd": (pixels, (pixels, "--set", "reader.frames=null", *short)),
    }


def test_links_to_nowhere_and_pipes_are_no_recordings(tmp_path):
    folder, lost = tmp_path / "mats", "a2_s1_t1_skeleton.mat"
    folder.mkdir()
    savemat(folder / "a1_s1_t1_skeleton.mat", {"d_skel": np.ones((20, 3, 12)).cumsum(0)})
    (folder / lost).symlink_to("/nowhere")
    os.mkfifo(folder / "a3_s1_t1_skeleton.mat")
    prepare = ("prepare", folder, "--set", "split=null", "--out", tmp_path / "w.h5")
    assert refused(*prepare).endswith(f"{lost}: no such file")
    assert f"skipped: {folder / lost}: no such file" in done(*prepare, "--skip-broken")
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "x.csv").symlink_to("/nowhere")
    assert "it looks like none of them" in refused("prepare", tmp_path / "links", "--out", "x.h5")
    for command in (["train"], ["layouts"], ["layers"], ["verify"], ["prepare", "-o", "x.h5"]):
        link = tmp_path / "link.yaml"
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / "nowhere")
        assert f"{link}: no such " in refused(*command, link)


def test_bombs_end_in_a_short_line(tmp_path):
    file, empty = tmp_path / "x.yaml", tmp_path / "x.pth.tar"
    for text in ("train: " + "[" * 5000, "joints: true", "train: {epochs: 1e300}"):
        file.write_text(text, "utf-8")
        for command in (["train"], ["layouts"], ["prepare", tmp_path, "-o", "x.h5", "--config"]):
            assert len(refused(*command, file)) < 400
    layout = "name: a\nndim: 2\njoints: true\nedges: []\nparts: {}\n"
    file.write_text(layout, "utf-8")
    assert "expected a list of up to 500 joints as joints (got True)" in refused("layouts", file)
    empty.touch()
    convert = (
        "convert",
        "shapgcn",
        empty,
        "--skeleton",
        "ntu25",
        "--out",
        tmp_path / "m.safetensors",
    )
    assert "x.pth.tar: expected a torch checkpoint" in refused(*convert)


@pytest.mark.slow
@pytest.mark.parametrize("count", [400])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a number too large for arithmetic
def test_mutants_of_inputs_are_prepared_or_refused_in_a_line(attack, tmp_path, kind, count):
    path, arguments = attack[kind]
    whole, out = path.read_bytes(), tmp_path / "out.h5"
    assert run("prepare", *arguments, "--out", out).code == 0
    bad = list(mutants(whole, count // 2))
    if path.suffix not in BINARY:
        bad += [text.encode() for text in text_mutants(whole.decode(), count - count // 2)]
    noticed = 0
    for mutant in bad:
        path.write_bytes(mutant)
        ended = run("prepare", *arguments, "--force", "--out", out)
        said = [line for line in ended.err.splitlines() if "hargcn: " in line]
        assert ended.code == 2 * len(said), ended.err
        assert sum(map(len, said)) < 3000
        noticed += len(said)
    assert noticed
