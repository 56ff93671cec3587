"""What all readers share: they are found by a look, list files, and say what they skipped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures import ntu_files, toy_format
from fixtures.key_points import videos
from fixtures.recordings import drifting
from scipy.io import savemat

import hargcn
from hargcn.data.readers import READERS, Reader, find_reader
from hargcn.data.readers.base import marked_zeros
from hargcn.data.readers.videos import Videos
from hargcn.data.splits import SplitConfig
from hargcn.pipeline.config import read_config
from hargcn.registry import fields_of, meanings

OURS = ("keypoints", "mini-rgbd", "ntu", "utd-mhad")


def test_ours_are_known() -> None:
    assert set(OURS) <= set(READERS.all())
    with pytest.raises(ValueError, match=r"Expected format of .*ntu.* \(got 'ntuu'; did you mean"):
        READERS.find("ntuu")


@pytest.mark.parametrize("name", sorted(READERS.all()))
def test_every_reader_says_what_it_reads_and_what_it_cannot_know(name: str) -> None:
    reader = READERS.find(name)
    assert reader.name == name
    assert reader.label
    assert reader.source
    assert all(suffix.startswith(".") for suffix in reader.suffixes)
    assert re.fullmatch(r"[A-Z].*\.", reader.unknown)  # whole sentences
    assert set(fields_of(reader)) == set(meanings(reader))  # no option without a meaning
    prepare = read_config(None, defaults={"prepare": {"format": name, **reader.defaults}}).prepare
    if prepare.split is not None and reader.published is Reader.published:
        assert reader.split(prepare.split).train


def write(kind: str, folder: Path) -> Path:
    """Write a small folder of a format; return one of its files."""
    if kind == "keypoints":
        videos(folder, hargcn.skeleton("inmotion19").joints, frames=3)
        return folder / "v1.csv"
    folder.mkdir()
    if kind == "ntu":
        body = ntu_files.track(ntu_files.standing(), range(3), 0.1, ntu_files.ANNA)
        return ntu_files.write(folder, ntu_files.together(3, body))
    name, text = {
        "mini-rgbd": ("result_pz101.csv", "image;head;right_hand\n"),
        "utd-mhad": ("a1_s1_t1_skeleton.mat", "MATLAB 5.0 MAT-file"),
    }[kind]
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("kind", OURS)
def test_a_format_is_found_by_a_look(kind: str, tmp_path: Path) -> None:
    file = write(kind, tmp_path / "raw")
    assert find_reader(file).name == kind
    assert find_reader(tmp_path / "raw").name == kind
    assert find_reader(tmp_path).name == kind  # in raw/ below it


def test_no_format_and_several(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    (tmp_path / "table.csv").write_text("video,outcome\na,b\n")
    listed = ", ".join(READERS.all())
    with pytest.raises(ValueError, match=rf"formats? of {listed} \(.*none of them\); .*--format"):
        find_reader(tmp_path)
    file = write("ntu", tmp_path / "mixed")
    (file.parent / "a1_s1_t1_skeleton.mat").write_text("MATLAB")
    with pytest.raises(ValueError, match=r"looks like ntu and utd-mhad\); name it with --format"):
        find_reader(tmp_path / "mixed")
    with pytest.raises(FileNotFoundError, match="none: no such file or folder"):
        find_reader(tmp_path / "none")


def test_files_come_in_natural_order_also_from_raw(toy, tmp_path: Path) -> None:
    found = toy().recordings(toy_format.files(tmp_path))
    assert [r.sample for r in found] == [f"v{at}" for at in range(1, 13)]
    assert found.classes == ("still",)
    single = toy(height=2).recordings(tmp_path / "raw" / "v3.toy")
    assert [(r.sample, float(r.positions[:, 0].max())) for r in single] == [("v3", 2.0)]


def test_folders_without_such_files(toy, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected files of Toy sequences, \.toy \(got none\)"):
        toy().recordings(tmp_path)
    with pytest.raises(FileNotFoundError, match="none: no such file or folder"):
        toy().recordings(tmp_path / "none")
    utd = READERS.find("utd-mhad")
    with pytest.raises(ValueError, match=r"files of UTD-MHAD, \*_skeleton\.mat \(got none\)"):
        utd().recordings(tmp_path)


def test_what_is_skipped_stays_known_when_the_stream_is_changed(toy, tmp_path: Path) -> None:
    toy_format.files(tmp_path, 3)
    (tmp_path / "raw" / "v2.toy").write_text("many")
    with pytest.raises(ValueError, match=r"v2.toy: expected numbers"):
        list(toy().recordings(tmp_path))
    found = toy().recordings(tmp_path, on_error="skip")
    twice = found.map(lambda r: replace(r, label=None)).through(
        lambda stream: (replace(r, sample=f"{r.sample}{end}") for r in stream for end in "ab")
    )
    again = twice.through(reversed_order)
    assert [(r.sample, r.label) for r in again] == [
        ("v3b", None), ("v3a", None), ("v1b", None), ("v1a", None),
    ]  # fmt: skip
    assert len(again.skipped) == 1
    assert "v2.toy" in again.skipped[0]


def reversed_order(stream):
    return list(stream)[::-1]


def test_to_read_nothing_at_all_is_an_error(toy, tmp_path: Path) -> None:
    toy_format.files(tmp_path, 2)
    for file in (tmp_path / "raw").iterdir():
        file.write_text("many")
    message = r"a recording that can be read \(got none of 2; .*v1.toy: expected numbers"
    with pytest.raises(ValueError, match=message):
        list(toy().recordings(tmp_path, on_error="skip"))
    (tmp_path / "raw" / "v1.toy").write_text("")
    with pytest.raises(ValueError, match="v1.toy: .*at least 1 frame"):
        list(toy().recordings(tmp_path))


def test_published_splits_go_by_name(toy) -> None:
    assert toy.split("halves").train == ("v1", "v3", "v99")
    given = SplitConfig(published="halves", val_share=0.5, seed=7)
    made = toy.split(given)
    assert (made.partial, made.published, made.val_share, made.seed) == (True, None, 0.5, 7)
    own = SplitConfig(test=("a",))
    assert toy.split(own) is own
    with pytest.raises(ValueError, match=r"toy split of halves \(got 'halfs'; did you mean"):
        toy.split("halfs")
    with pytest.raises(ValueError, match="key points has no published split"):
        READERS.find("keypoints").split("halves")


def test_exact_zeros_are_lost_joints_but_not_where_a_joint_is_always_zero():
    away = drifting(frames=6, persons=2).positions + 10
    recording = drifting(persons=2, valid=[[1, 1]] * 5 + [[1, 0]], positions=away)
    positions = recording.positions.copy()
    positions[:, 2:4, 1, 0] = 0  # lost twice
    positions[0, 4, 1, 0] = 0  # in one coordinate only
    positions[:, :, 2, 0] = 0  # the root of centred data
    positions[:, 0, 2, 0] = np.nan
    positions[:, 1, :, 1] = 0  # a whole person
    given = replace(recording, positions=positions)
    found = marked_zeros(given, "unseen")
    lost = {tuple(map(int, at)) for at in np.argwhere(~found.observed & found.valid[:, None])}
    joints = range(recording.skeleton.n_joints)
    assert lost == {(2, 1, 0), (3, 1, 0), (0, 2, 0), *((1, joint, 1) for joint in joints)}
    assert found.notes == {"zeros_unseen": 2 + len(joints), "joints_always_zero": 1}
    assert (found.state[2:4, 1, 0] == 0).all()
    assert marked_zeros(given, "seen") is given
    assert marked_zeros(recording, "unseen").notes == {}


@pytest.mark.parametrize("name", ["keypoints", "ntu", "utd-mhad"])
def test_readers_of_trackers_take_zeros_for_lost_joints_unless_told_otherwise(name, tmp_path):
    joints = np.random.default_rng(0).uniform(1, 2, (20, 25, 3))
    joints[5:8, 4] = 0
    reader = READERS.find(name)
    options = {"layout": "kinect20", "fps": 30} if name == "keypoints" else {}
    path = {"keypoints": "v.csv", "ntu": f"{ntu_files.NAME}.skeleton"}.get(
        name, "a1_s1_t1_skeleton.mat"
    )
    if name == "ntu":
        frames = [[(ntu_files.ANNA, pose)] for pose in joints]
        ntu_files.write(tmp_path, frames)
    elif name == "utd-mhad":
        savemat(tmp_path / path, {"d_skel": joints[:, :20].transpose(1, 2, 0)})
    else:
        header = ",".join(
            f"{j}_{axis}" for j in hargcn.skeleton("kinect20").joints for axis in "xyz"
        )
        cells = joints[:, :20].reshape(20, -1)
        np.savetxt(tmp_path / path, cells, "%.3f", ",", header=header, comments="")
    found = reader(**options).read(tmp_path / path)
    assert found.notes["zeros_unseen"] == 3
    assert np.argwhere(found.state[..., 0] == 0).tolist() == [[5, 4], [6, 4], [7, 4]]
    seen = reader(**options, zeros="seen").read(tmp_path / path)
    assert "zeros_unseen" not in seen.notes
    assert seen.state[..., 0].all()


@pytest.mark.parametrize("name", READERS.all())
def test_every_format_says_what_it_cannot_know(name):
    """Frames per second, classes and scales are what users are surprised by."""
    reader = READERS.find(name)
    assert reader.unknown.endswith(".")
    assert "per second" in reader.unknown or reader.states_rate
    if issubclass(reader, Videos):
        assert any(word in reader.unknown for word in ("large", "unit", "markers"))
