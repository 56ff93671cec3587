from __future__ import annotations

import pickle

import numpy as np
import pytest
from fixtures.command_line import done
from fixtures.dataset_files import stgcn

from hargcn.data.readers import find_reader
from hargcn.data.readers.datasets.stgcn import STGCN
from tests.fixtures.tracker_files import walking

BODIES = walking(8, 25, 2)
NAMES = ("S001C001P001R001A001.skeleton", "S001C002P002R001A002.skeleton")


def test_arrays_and_labels_become_recordings(tmp_path) -> None:
    path = stgcn(tmp_path, "train", {NAMES[0]: (BODIES, 0), NAMES[1]: (BODIES[:3], 4)}, 30)
    assert find_reader(path) is STGCN
    assert find_reader(tmp_path) is STGCN
    found = STGCN().recordings(tmp_path)
    assert found.classes == ("0", "1", "2", "3", "4")
    one, two = found
    assert (one.sample, one.group, two.camera, two.label) == (NAMES[0][:-9], "P001", 2, 4)
    assert (one.frames, two.frames) == (8, 3)
    np.testing.assert_array_equal(one.positions, BODIES.transpose(3, 0, 2, 1))


def test_parts_are_the_split_and_bones_are_left_alone(tmp_path) -> None:
    folder = tmp_path / "xsub"
    stgcn(folder, "train", {"a": (BODIES, 0), "b": (BODIES, 1)}, 30)
    stgcn(folder, "val", {"c": (BODIES, 0)}, 30)
    (folder / "train_data.npy").rename(folder / "train_data_joint.npy")
    np.save(folder / "train_data_bone.npy", np.zeros((2, 3, 30, 25, 2)))
    set_ = ("--set", "split=published", "--set", "windows.length=8")
    said = done("prepare", folder, *set_, "--out", tmp_path / "w.h5")
    assert "train: 2 recordings" in said
    assert "test: 1 recordings" in said


def test_a_third_number_in_2d_is_the_confidence(tmp_path) -> None:
    path = stgcn(tmp_path, "kinetics_train", {"x": (walking(5, 18), 0)}, 30)
    found = STGCN().read(path)
    assert found.skeleton.name == "openpose18"
    assert (found.confidence[..., 0] == 0.5).all()


def test_a_large_array_stays_in_its_file(tmp_path) -> None:
    """2 GiB of zeros, which take no room on the disk: only one recording of it is read."""
    import tracemalloc

    path = stgcn(tmp_path, "train", {"x": (BODIES, 0)}, 30)
    count = 1_200
    header = np.lib.format.header_data_from_array_1_0(np.load(path, mmap_mode="r"))
    with path.open("wb") as stream:
        shape = (count, 3, 300, 25, 2)
        np.lib.format.write_array_header_1_0(
            stream, {**header, "shape": shape, "fortran_order": False}
        )
        stream.write(BODIES.astype("f4").tobytes())
        start = stream.tell() - BODIES.size * 4
        stream.truncate(start + count * 3 * 300 * 25 * 2 * 4)
    labels = ([f"v{i}" for i in range(count)], [0] * count)
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(labels))
    tracemalloc.start()
    found = STGCN().recordings(path)
    assert next(iter(found)).sample == "v0"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24 < path.stat().st_size / 10


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ((["a"], [0]), r"expected 2 names and as many labels .*got 1 and 1"),
        ((["a", "b"], [0, -1]), "as many labels from 0"),
        ((["a", 3], [0, 1]), "2 names"),
        ((["a", "a"], [0, 1]), "each name once .got a again"),
        ([1, 2], "got 0 and 0"),
        ({"a": 1}, "got 0 and 0"),
    ],
)
def test_defects_of_labels(tmp_path, labels, said) -> None:
    path = stgcn(tmp_path, "train", {"a": (BODIES, 0), "b": (BODIES, 1)}, 30)
    (tmp_path / "train_label.pkl").write_bytes(pickle.dumps(labels))
    with pytest.raises(ValueError, match=rf"train_label\.pkl: .*({said})"):
        STGCN().recordings(path)


def test_defects_of_arrays(tmp_path) -> None:
    path = stgcn(tmp_path, "train", {"a": (BODIES, 0)}, 30)
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(ValueError, match=r"train_data\.npy: expected 18000 bytes of numbers"):
        STGCN().recordings(path)
    np.save(path, np.zeros((1, 3, 30, 25)))
    with pytest.raises(ValueError, match=r"train_data\.npy: expected numbers .recording, space"):
        STGCN().recordings(path)
    np.save(path, np.zeros((1, 3, 30, 25, 2)))
    with pytest.raises(ValueError, match=r"train_data\.npy: recording 0: expected somebody"):
        list(STGCN().recordings(path))
    (tmp_path / "train_label.pkl").unlink()
    with pytest.raises(FileNotFoundError, match=r"train_label\.pkl: no such file"):
        STGCN().recordings(path)
