from __future__ import annotations

import os
import pickle

import numpy as np
import pytest
from fixtures.command_line import done, refused
from fixtures.dataset_files import pyskl
from fixtures.mutants import mutants, refusals

from hargcn.data.readers import find_reader
from hargcn.data.readers.datasets.pyskl import Pyskl
from tests.fixtures.tracker_files import walking

NAMES = [f"S001C00{c}P00{p}R001A00{a}" for c, p, a in ((1, 1, 1), (2, 1, 2), (3, 2, 1), (1, 2, 2))]
SPLIT = {
    "xsub_train": NAMES[:2],
    "xsub_val": [*NAMES[2:], "S001C001P099R001A001"],
    "xview_train": [NAMES[1], NAMES[2]],
    "xview_val": [NAMES[0], NAMES[3]],
}


def written(path, persons=1, **changes):
    bodies = walking(5, 17, persons)[..., :2]
    return pyskl(path, {name: (bodies, i % 2) for i, name in enumerate(NAMES)}, SPLIT, **changes)


def test_every_annotation_is_a_recording(tmp_path) -> None:
    path = written(tmp_path / "ntu60_hrnet.pkl", persons=2)
    assert find_reader(path) is Pyskl
    found = Pyskl().recordings(tmp_path)
    assert found.classes == ("0", "1")
    recordings = list(found)
    assert [each.sample for each in recordings] == NAMES
    assert [each.group for each in recordings] == ["P001", "P001", "P002", "P002"]
    assert [each.label for each in recordings] == [0, 1, 0, 1]
    bodies = walking(5, 17, 2)[..., :2].astype(np.float16)
    np.testing.assert_array_equal(recordings[0].positions, bodies.transpose(3, 0, 2, 1))
    assert (recordings[0].confidence == 0.5).all()
    assert recordings[0].skeleton.name == "coco17"


def test_names_and_layouts_by_the_number_of_joints(tmp_path) -> None:
    path = pyskl(tmp_path / "a.pkl", {"x": (walking(3, 25), 1)}, {}, scores=False)
    found = Pyskl(classes=("sit", "stand")).recordings(path)
    assert found.classes == ("sit", "stand")
    recording = next(iter(found))
    assert (recording.skeleton.name, recording.group) == ("ntu25", "x")
    assert recording.confidence is None


def test_the_files_splits_go_by_name(tmp_path) -> None:
    path, out = written(tmp_path / "a.pkl"), tmp_path / "w.h5"
    said = done("prepare", path, "--set", "split=xsub", "--out", out)
    assert "train: 2 recordings of 1 groups" in said
    assert "test: 2 recordings of 1 groups" in said
    assert "split: those that the files hold" in done("formats", "pyskl")
    assert "split: those" not in done("formats", "ntu")
    said = done("prepare", path, "--set", "split=xview", "--force", "--out", out)
    assert "train: 2 recordings of 2 groups" in said
    assert "pyskl split of xsub, xview (got 'xset')" in refused(
        "prepare", path, "--set", "split=xset", "--force", "--out", out
    )


def test_a_pickle_that_calls_something_is_refused(tmp_path) -> None:
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'called'}",)

    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"annotations": [{"frame_dir": Call()}]}))
    assert find_reader(path) is Pyskl
    with pytest.raises(ValueError, match=r"a\.pkl: .*the name posix\.system"):
        Pyskl().recordings(path)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"keypoint": np.zeros((5, 17, 2))}, r"expected keypoint \(person, .*got \(5, 17, 2\)"),
        ({"keypoint": None, "raw_file": "x.pkl"}, "the name of a kpfile"),
        ({"keypoint": [[1]]}, "expected keypoint .*no array of numbers"),
        ({"keypoint_score": np.zeros((1, 4, 17))}, "a score for every key point"),
        ({"total_frames": 6}, "expected total_frames 5"),
        ({"keypoint": np.zeros((1, 5, 17, 2))}, "somebody in its frames"),
        ({"label": -1}, "annotation 0: expected a label of one class"),
        ({"label": [1, 2]}, "annotation 0: expected a label of one class"),
        ({"frame_dir": 3}, "annotation 0: expected a frame_dir"),
        ({"frame_dir": NAMES[1]}, "another one than any before"),
    ],
)
def test_defects_of_annotations(tmp_path, change, said) -> None:
    path = written(tmp_path / "a.pkl")
    content = pickle.loads(path.read_bytes())
    content["annotations"][0] |= change
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=rf"a\.pkl: .*{said}"):
        list(Pyskl().recordings(path))


@pytest.mark.parametrize(
    "content",
    [[], {}, 3, {"annotations": 1}, {"annotations": [1]}, {"annotations": [{}], "split": 1}],
)
def test_other_pickles(tmp_path, content) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(ValueError, match=r"a\.pkl: .*expected (annotations|a frame_dir)"):
        Pyskl().recordings(path)


def test_damaged_files_are_refused_in_a_line(tmp_path) -> None:
    path = written(tmp_path / "a.pkl")
    whole, noticed = path.read_bytes(), 0
    for mutant in mutants(whole, 100):
        path.write_bytes(mutant)
        noticed += bool(refusals(lambda: list(Pyskl().recordings(path)), mib=32))
    assert noticed > 30
