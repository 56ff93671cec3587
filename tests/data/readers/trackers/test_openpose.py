from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.openpose import OpenPose
from tests.fixtures.tracker_files import openpose, walking, written


def test_the_frames_of_every_video_become_a_recording(tmp_path) -> None:
    bodies = walking(4, 25)
    openpose(tmp_path, bodies, "walk", first=10)
    openpose(tmp_path / "b", bodies[:3] + [5, 0, 0], "run_1")
    assert find_reader(tmp_path) is OpenPose
    found = list(OpenPose(fps=25).recordings(tmp_path))
    assert [each.sample for each in found] == ["run_1", "walk"]
    assert [each.frames for each in found] == [3, 4]
    assert found[1].skeleton.name == "openpose25"
    np.testing.assert_array_equal(
        found[1].positions[..., 0], bodies[:, 0, :, :2].transpose(2, 0, 1)
    )
    assert (found[1].confidence == 0.5).all()


def test_one_frame_names_its_video(tmp_path) -> None:
    openpose(tmp_path, walking(3, 18))
    frame = tmp_path / "walk_000000000001_keypoints.json"
    assert find_reader(frame) is OpenPose
    assert OpenPose(fps=30).read(frame).frames == 3


def test_two_people_stay_who_they_are(tmp_path) -> None:
    bodies = walking(6, 18, 2)
    openpose(tmp_path, bodies, swap=True)
    found = OpenPose(fps=30, persons=2).recordings(tmp_path)
    (one,) = found
    np.testing.assert_array_equal(one.positions, bodies[..., :2].transpose(3, 0, 2, 1))
    (first,) = OpenPose(fps=30).recordings(tmp_path)
    assert first.notes["people_left_out"] == 6


def test_what_was_not_found_is_not_observed(tmp_path) -> None:
    bodies = walking(4, 18)
    bodies[1, 0, 4] = 0
    bodies[2] = np.nan  # nobody
    openpose(tmp_path, bodies)
    (tmp_path / "walk_000000000000_keypoints.json").rename(
        tmp_path / "walk_000000000007_keypoints.json"
    )
    (one,) = OpenPose(fps=30).recordings(tmp_path)
    assert one.frames == 7
    assert np.flatnonzero(one.observed.all(axis=(1, 2))).tolist() == [2, 6]
    assert one.observed[0, :, 0].sum() == 17
    assert one.notes["frames_missing"] == 3
    assert one.notes["frames_without_people"] == 4


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "walk_000000000001_keypoints.json: expected whole JSON"),
        ("[" * 200_000, "expected whole JSON"),
        ([], "expected the people of a frame"),
        ({"people": [{"pose_keypoints_2d": [1, 2]}]}, "expected 3 numbers for each joint .got 2"),
        ({"people": [{"pose_keypoints_2d": ["a"] * 54}]}, "expected lists of numbers"),
        ({"people": [{"pose_keypoints_2d": [1] * 75}]}, "of one number of joints .got 18 and 25"),
    ],
)
def test_damaged_frames_are_refused_by_name(tmp_path, content, said) -> None:
    openpose(tmp_path, walking(3, 18))
    frame = tmp_path / "walk_000000000001_keypoints.json"
    if isinstance(content, str):
        frame.write_text(content)
    else:
        written(frame, content)
    with pytest.raises(ValueError, match=said):
        OpenPose(fps=30).read(frame)


def test_nobody_at_all(tmp_path) -> None:
    openpose(tmp_path, np.full((3, 1, 18, 3), np.nan))
    with pytest.raises(ValueError, match="walk: expected people of one number of joints .got nob"):
        list(OpenPose(fps=30).recordings(tmp_path))


def test_a_name_of_the_file_is_believed(tmp_path) -> None:
    bodies = walking(2, 18, 2)
    for at in range(2):
        people = [
            {"person_id": [(m + at) % 2], "pose_keypoints_2d": bodies[at, m].ravel().tolist()}
            for m in range(2)
        ]
        written(tmp_path / f"walk_{at:012d}_keypoints.json", {"people": people})
    (found,) = OpenPose(fps=30, persons=2).recordings(tmp_path)
    np.testing.assert_array_equal(found.positions[:, 1, 0, 0], bodies[1, 1, 0, :2])
