from __future__ import annotations

import shutil

import numpy as np
import pytest
from scipy.io import savemat

from hargcn.data.readers.utd_mhad import CLASSES, UTDMHAD
from hargcn.data.splits import assign


@pytest.fixture
def joints() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(20, 3, 9))


def test_axes_and_names(tmp_path, joints) -> None:
    path = tmp_path / "a27_s8_t4_skeleton.mat"
    savemat(path, {"d_skel": joints})
    recording = UTDMHAD().read(path)
    assert recording.positions.shape == (3, 9, 20, 1)
    assert recording.positions[2, 5, 7, 0] == np.float32(joints[7, 2, 5])
    assert (recording.sample, recording.group, recording.label) == ("a27_s8_t4", "s8", 26)
    assert CLASSES[recording.label] == "squat"
    assert recording.fps == 30
    assert recording.skeleton.name == "kinect20"


def test_folder_goes_in_the_order_of_actions(tmp_path, joints) -> None:
    for name in ("a10_s1_t1", "a2_s1_t1", "a2_s1_t2"):
        savemat(tmp_path / f"{name}_skeleton.mat", {"d_skel": joints})
    recordings = UTDMHAD().recordings(tmp_path)
    assert [r.sample for r in recordings] == ["a2_s1_t1", "a2_s1_t2", "a10_s1_t1"]
    assert recordings.classes == CLASSES
    assert len(set(recordings.classes)) == 27


@pytest.mark.parametrize("name", ["a28_s1_t1_skeleton.mat", "a0_s1_t1_skeleton.mat", "walk.mat"])
def test_foreign_names(tmp_path, name) -> None:
    with pytest.raises(ValueError, match=f"{name}: expected a name aA_sS_tT_skeleton.mat"):
        UTDMHAD().read(tmp_path / name)


def test_absent_file(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        UTDMHAD().read(tmp_path / "a1_s1_t1_skeleton.mat")


def test_damaged_and_foreign_files(tmp_path, joints) -> None:
    path = tmp_path / "a1_s1_t1_skeleton.mat"
    savemat(path, {"d_skel": joints})
    whole = path.read_bytes()
    for part in (b"", b"hello", whole[: len(whole) // 2]):
        path.write_bytes(part)
        with pytest.raises(
            ValueError, match="a1_s1_t1_skeleton.mat: expected a whole MATLAB 5 file"
        ):
            UTDMHAD().read(path)
    savemat(path, {"d_iner": joints})
    with pytest.raises(ValueError, match=r"expected the variable d_skel \(got \['d_iner'\]\)"):
        UTDMHAD().read(path)
    savemat(path, {"d_skel": joints[:19]})
    with pytest.raises(ValueError, match=r"\(20, 3, frames\) \(got \(19, 3, 9\)\)"):
        UTDMHAD().read(path)


def test_the_published_split_goes_by_subjects() -> None:
    found = {"group": [f"s{i}" for i in range(1, 9)]}
    sets = assign(found, UTDMHAD.split("cross-subject"))
    assert list(sets) == ["train", "test"] * 4


@pytest.mark.data
def test_all_real_files(data_root) -> None:
    recordings = list(UTDMHAD().recordings(data_root / "utd_mhad"))
    assert len(recordings) == 861
    assert {r.group for r in recordings} == {f"s{i}" for i in range(1, 9)}
    frames = [r.frames for r in recordings]
    assert (min(frames), np.median(frames), max(frames)) == (41, 67, 125)
    assert sum(r.group in ("s1", "s3", "s5", "s7") for r in recordings) == 431
    counts = np.bincount([r.label for r in recordings], minlength=27)
    assert list(np.flatnonzero(counts == 31)) == [7, 22, 26]
    assert set(counts) == {31, 32}
    for recording in recordings:
        head, hips = recording.positions[1, :, 0, 0], recording.positions[1, :, 3, 0]
        assert np.median(head - hips) > 0.2  # y is up, in metres


@pytest.mark.data
def test_raw_folder_is_found(data_root, tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    shutil.copy(data_root / "utd_mhad/raw/a1_s1_t1_skeleton.mat", tmp_path / "raw")
    assert len(UTDMHAD().recordings(tmp_path)) == 1


def test_the_27_actions_in_the_order_of_the_data_set() -> None:
    assert ", ".join(CLASSES) == (
        "swipe left, swipe right, wave, clap, throw, arm cross, basketball shoot, draw x, "
        "draw circle cw, draw circle ccw, draw triangle, bowling, boxing, baseball swing, "
        "tennis swing, arm curl, tennis serve, push, knock, catch, pickup and throw, jog, walk, "
        "sit to stand, stand to sit, lunge, squat"
    )
