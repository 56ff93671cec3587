from __future__ import annotations

import numpy as np
import pytest
from fixtures.stick import STICK, stick
from fixtures.tracker_files import deeplabcut, mmpose, walking

from hargcn.data.readers.trackers.deeplabcut import DeepLabCut
from hargcn.data.readers.trackers.mmpose import MMPose
from hargcn.data.readers.videos import Sightings, listed_people


def test_joints_go_by_name_with_their_confidence() -> None:
    bodies = walking(2, 3)
    found = Sightings(bodies[..., :2], bodies[..., 0], ("c", "a", "b")).in_order("ab", "file")
    np.testing.assert_array_equal(found.bodies, bodies[:, :, [1, 2], :2])
    np.testing.assert_array_equal(found.confidence, bodies[:, :, [1, 2], 0])
    assert found.joints == ("a", "b")


def test_joints_without_names_must_be_as_many() -> None:
    found = Sightings(walking(2, 3))
    assert found.in_order("abc", "file") is found
    with pytest.raises(ValueError, match="file: expected 2 joints .got 3"):
        found.in_order("ab", "file")


def test_outcomes_of_a_tracker_come_from_the_table_by_the_videos_name(tmp_path) -> None:
    layout, folder = stick(tmp_path), tmp_path / "poses"
    folder.mkdir()
    for name in ("v1", "v2"):
        deeplabcut(folder / f"{name}DLC_resnet50_x.csv", walking(3, 5), STICK)
    table = tmp_path / "outcomes.csv"
    table.write_text("video,outcome,subject,fps\nv2.mp4,low,B,50\nv1,high,A,25\n")
    found = DeepLabCut(layout, table).recordings(folder)
    assert [(r.sample, r.label, r.group, r.fps) for r in found] == [
        ("v1", 0, "A", 25),
        ("v2", 1, "B", 50),
    ]
    deeplabcut(folder / "v1DLC_other.csv", walking(3, 5), STICK)
    with pytest.raises(ValueError, match="expected one file per video .got more for v1"):
        DeepLabCut(layout, table).recordings(folder)


def test_people_are_there_from_first_to_last_sighting_a_single_one_always(tmp_path) -> None:
    bodies = walking(5, 17, 2)
    bodies[[0, 2], 1] = np.nan
    two = mmpose(tmp_path / "two.json", bodies)
    text = two.read_text().replace("NaN", "null")
    two.write_text(text)
    found = MMPose(fps=30, persons=2).read(two)
    assert found.valid.T.tolist() == [[True] * 5, [False, True, True, True, True]]
    alone = MMPose(fps=30).read(mmpose(tmp_path / "one.json", bodies[:, :1]))
    assert alone.valid.all()


def test_frames_that_nobody_lists_show_nobody(tmp_path) -> None:
    poses = walking(2, 4)[:, 0]
    found = listed_people(tmp_path, {0: [poses[0]], 3: [poses[1]]}, {0: [None], 3: [None]}, 1)
    assert np.isfinite(found.bodies).all(axis=(1, 2, 3)).tolist() == [True, False, False, True]
    assert found.notes["frames_missing"] == 2
    with pytest.raises(ValueError, match="the frames of one video .got 1 of 101"):
        listed_people(tmp_path, {100: [poses[0]]}, {100: [None]}, 1)


def test_a_layout_of_more_coordinates_than_the_file_has_is_refused(tmp_path) -> None:
    path = mmpose(tmp_path / "walk.json", walking(3, 17))
    with pytest.raises(ValueError, match="expected 3 coordinates, those of h36m17 .got 2"):
        MMPose(layout="h36m17", fps=30).read(path)
