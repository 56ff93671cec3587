from __future__ import annotations

import json

import numpy as np
import pytest

import hargcn
from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.mmpose import MMPose
from tests.fixtures.tracker_files import mmpose, walking, written

COCO = list(hargcn.skeleton("coco17").joints)


@pytest.mark.parametrize("joints", [None, COCO], ids=["inferencer", "demo"])
def test_both_kinds_of_predictions(tmp_path, joints) -> None:
    bodies = walking(5, 17, 2)
    path = mmpose(tmp_path / "walk.json", bodies, joints)
    assert find_reader(path) is MMPose
    found = MMPose(fps=30, persons=2).read(path)
    np.testing.assert_array_equal(found.positions, bodies[..., :2].transpose(3, 0, 2, 1))
    assert (found.confidence == 0.5).all()
    assert MMPose(fps=30, persons=2, likelihood=0.4).read(path).observed.all()
    with pytest.raises(ValueError, match="expected at least one frame with a person"):
        MMPose(fps=30, persons=2, likelihood=0.6).read(path)


def test_joints_go_by_their_names(tmp_path) -> None:
    bodies = walking(3, 17)
    path = mmpose(tmp_path / "walk.json", bodies[:, :, ::-1], COCO[::-1])
    found = MMPose(fps=30).read(path)
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :, :2].transpose(2, 0, 1))
    path = mmpose(path, bodies, [name.replace("nose", "noze") for name in COCO])
    with pytest.raises(ValueError, match="missing nose; did you mean 'noze'"):
        MMPose(fps=30).read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"meta_info": {}}, "a list of frames"),
        ([{"frame_id": 0}], "frame 0: expected frame_id and instances"),
        ([{"frame_id": 0, "instances": [{}]}], "frame 0: expected instances with keypoints"),
        ([{"frame_id": 0, "instances": [{"keypoints": [1, 2]}]}], "keypoints .joint, 2."),
        ([{"frame_id": 0, "instances": []}], "got nobody"),
    ],
)
def test_defects(tmp_path, content, said) -> None:
    with pytest.raises(ValueError, match=rf"a\.json: .*{said}"):
        MMPose(fps=30).read(written(tmp_path / "a.json", content))


def test_frames_go_by_frame_id_and_count_where_there_is_none(tmp_path) -> None:
    bodies = walking(4, 17)
    path = mmpose(tmp_path / "walk.json", bodies)
    content = json.loads(path.read_text())
    for frame in content:
        frame["frame_id"] = 10 + 2 * frame["frame_id"]
    found = MMPose(fps=30).read(written(path, content))
    assert found.frames == 7
    assert np.flatnonzero(found.observed.all(axis=(1, 2))).tolist() == [0, 2, 4, 6]
    assert found.notes["frames_missing"] == 3
    for frame in content:
        del frame["frame_id"]
    assert MMPose(fps=30).read(written(path, content)).frames == 4


def test_a_name_of_the_file_is_believed(tmp_path) -> None:
    bodies = walking(2, 17, 2)
    path = mmpose(tmp_path / "walk.json", bodies)
    content = json.loads(path.read_text())
    for at, frame in enumerate(content):
        for m, person in enumerate(frame["instances"]):
            person["track_id"] = (m + at) % 2
    found = MMPose(fps=30, persons=2).read(written(path, content))
    np.testing.assert_array_equal(found.positions[:, 1, 0, 0], bodies[1, 1, 0, :2])


def test_whole_bodies_have_a_layout_and_their_names(tmp_path) -> None:
    layout = hargcn.skeleton("coco133")
    bodies = walking(3, 133)
    found = MMPose(fps=30).read(mmpose(tmp_path / "a.json", bodies))
    assert found.skeleton == layout
    named = mmpose(tmp_path / "b.json", bodies, list(layout.joints))
    found = MMPose("coco17", fps=30).read(named)
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :17, :2].transpose(2, 0, 1))
