from __future__ import annotations

import numpy as np
import pytest
from fixtures.command_line import done
from fixtures.dataset_files import ctrgcn

from hargcn.data.readers import find_reader
from hargcn.data.readers.datasets.ctrgcn import CTRGCN
from tests.fixtures.tracker_files import walking

BODIES = walking(8, 25, 2)


def test_rows_become_recordings(tmp_path) -> None:
    one = BODIES[:5].copy()
    one[:, 1] = 0
    path = ctrgcn(tmp_path / "NTU60_CS.npz", [BODIES, one], [BODIES[:3]], [0, 2, 1], 3)
    assert find_reader(path) is CTRGCN
    found = CTRGCN().recordings(path)
    assert found.classes == ("0", "1", "2")
    recordings = list(found)
    assert [each.sample for each in recordings] == [
        "NTU60_CS-train-0", "NTU60_CS-train-1", "NTU60_CS-test-0",
    ]  # fmt: skip
    assert [each.label for each in recordings] == [0, 2, 1]
    assert [each.frames for each in recordings] == [8, 5, 3]  # zeros at the end are padding
    np.testing.assert_array_equal(recordings[0].positions, BODIES.transpose(3, 0, 2, 1))
    assert not recordings[1].valid[:, 1].any()


def test_the_parts_are_the_split(tmp_path) -> None:
    path = ctrgcn(tmp_path / "a.npz", [BODIES], [BODIES, BODIES], [0, 1, 0])
    said = done("prepare", path, "--set", "windows.length=8", "--out", tmp_path / "w.h5")
    assert "train: 1 recordings" in said
    assert "test: 2 recordings" in said


def test_an_empty_part(tmp_path) -> None:
    path = ctrgcn(tmp_path / "a.npz", [BODIES, BODIES], [], [0, 1])
    assert len(list(CTRGCN().recordings(path))) == 2
    said = done("prepare", path, "--set", "windows.length=8", "--out", tmp_path / "w.h5")
    assert "train: 2 recordings" in said


def test_other_layouts_and_numbers_as_labels(tmp_path) -> None:
    path = ctrgcn(tmp_path / "a.npz", [walking(4, 17)[..., :2]], [], [0])
    content = dict(np.load(path))
    np.savez_compressed(path, **{**content, "y_train": np.array([1])})
    found = list(CTRGCN(layout="coco17").recordings(path))
    assert (found[0].skeleton.name, found[0].label) == ("coco17", 1)
    with pytest.raises(
        ValueError, match=r"recording 0: expected people of 25 joints .got 34|got 34"
    ):
        list(CTRGCN().recordings(path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y_train": np.zeros((1, 3))}, "y_train one-hot or as numbers"),
        ({"y_train": np.array([-1])}, "y_train one-hot or as numbers"),
        ({"y_train": np.zeros((2, 3))}, r"a label for each \(got \(1, 300, 150\) and \(2, 3\)"),
        ({"x_train": np.zeros((1, 300, 2, 75))}, r"expected x_train \(recording, frame, number"),
        ({"x_train": np.zeros((1, 300, 150))}, "recording 0: expected somebody in its frames"),
        ({"x_train": np.array([None])}, "x_train: expected a NumPy array of numbers or text"),
        ({"y_test": None}, r"without y_test"),
    ],
)
def test_defects(tmp_path, change, said) -> None:
    path = ctrgcn(tmp_path / "a.npz", [BODIES], [], [0])
    content = {**dict(np.load(path)), **change}
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(ValueError, match=rf"a\.npz: .*({said})"):
        list(CTRGCN().recordings(path))


def test_files_that_are_cut_off_are_refused(tmp_path) -> None:
    path = ctrgcn(tmp_path / "a.npz", [BODIES], [], [0])
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"a\.npz: expected a whole \.npz of NumPy"):
        CTRGCN().recordings(path)
