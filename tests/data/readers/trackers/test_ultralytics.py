from __future__ import annotations

import json

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.ultralytics import Ultralytics
from tests.fixtures.motion_files import SIZE, ultralytics, ultralytics_json
from tests.fixtures.tracker_files import walking


def pixels(found: object) -> np.ndarray:
    """(T, M, V, 2)."""
    return found.positions.transpose(1, 3, 2, 0)


@pytest.mark.parametrize("confidence", [False, True])
@pytest.mark.parametrize("tracks", [False, True])
@pytest.mark.parametrize("visible", [False, True])
def test_lines_of_every_kind(tmp_path, visible, confidence, tracks) -> None:
    bodies = walking(6, 17, 2) / 4
    given = {"visible": visible, "confidence": confidence, "tracks": tracks}
    folder = ultralytics(tmp_path / "labels", bodies, **given)
    assert find_reader(tmp_path) is Ultralytics
    reader = Ultralytics(fps=30, size=SIZE, persons=2)
    (found,) = reader.recordings(tmp_path)
    assert found.sample == "walk"
    assert found.skeleton.name == "coco17"
    np.testing.assert_allclose(pixels(found), bodies[..., :2], rtol=1e-4)
    if visible:
        np.testing.assert_allclose(found.confidence, 0.125)
    else:
        assert found.confidence is None
    assert find_reader(folder / "walk_3.txt") is Ultralytics
    assert reader.read(folder / "walk_3.txt").frames == 6


def test_tracks_name_people_who_swap_places(tmp_path) -> None:
    bodies = walking(6, 17, 2) / 4
    folder = ultralytics(tmp_path / "labels", bodies, tracks=True)
    for at in (2, 4):  # lines and places swap, the numbers behind do not
        path = folder / f"walk_{at}.txt"
        first, second = path.read_text("utf-8").splitlines()
        swapped = f"{second.rpartition(' ')[0]} 1\n{first.rpartition(' ')[0]} 2\n"
        path.write_text(swapped, "utf-8")
    found = Ultralytics(fps=30, size=SIZE, persons=2).read(folder / "walk_1.txt")
    expected = bodies[..., :2].copy()
    expected[[1, 3]] = expected[[1, 3]][:, ::-1]
    np.testing.assert_allclose(pixels(found), expected, rtol=1e-4)


def test_frames_that_show_nobody_have_no_file(tmp_path) -> None:
    bodies = walking(6, 17)
    bodies[[0, 3]] = np.nan
    found = Ultralytics(fps=30).read(ultralytics(tmp_path, bodies) / "walk_2.txt")
    assert found.observed.all(axis=(1, 2)).tolist() == [True, True, False, True, True]
    assert found.notes["frames_missing"] == 1


def test_several_videos_and_names_with_signs(tmp_path) -> None:
    for video in ("a_1", "a_1_2", "b[1]"):
        ultralytics(tmp_path / "labels", walking(4, 17), video)
    found = [r.sample for r in Ultralytics(fps=30).recordings(tmp_path)]
    assert found == ["a_1", "a_1_2", "b[1]"]


def test_json_of_every_frame(tmp_path) -> None:
    bodies = walking(5, 17, 2)
    bodies[0] = np.nan
    folder = ultralytics_json(tmp_path, bodies)
    assert json.loads((folder / "walk_0.json").read_text("utf-8")) == []
    assert find_reader(folder) is Ultralytics
    found = Ultralytics(fps=30, persons=2).read(folder / "walk_1.json")
    np.testing.assert_allclose(pixels(found)[1:], bodies[1:, ..., :2], rtol=1e-6)
    assert found.notes["frames_without_people"] == 1
    assert (found.confidence[1:] == 0.5).all()


def test_a_layout_of_ones_own_says_how_many_joints(tmp_path) -> None:
    folder = ultralytics(tmp_path, walking(4, 33), confidence=True)
    with pytest.raises(ValueError, match=r"walk: expected lines of 5 .*17 or 21 joints.*got 105"):
        Ultralytics(fps=30).read(folder / "walk_1.txt")
    assert Ultralytics(fps=30, layout="mediapipe33").read(folder / "walk_1.txt").frames == 4


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("0 ", "person ", r"walk_2\.txt: line 1: expected numbers .*'person'"),
        ("\n", " 1 2 3 4\n", r"walk: expected lines of 5 numbers, 2 or 3 .*got 56 to 60"),
    ],
)
def test_defects(tmp_path, old, new, said) -> None:
    path = ultralytics(tmp_path, walking(3, 17)) / "walk_2.txt"
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=said):
        Ultralytics(fps=30).read(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "a list of people"),
        ([{"keypoints": {}}], "person 0: x: expected lists of numbers"),
        ([{"keypoints": {"x": [1, 2], "y": [1]}}], "as many x as y and visible"),
    ],
)
def test_defects_of_json(tmp_path, content, said) -> None:
    path = ultralytics_json(tmp_path, walking(3, 17)) / "walk_1.json"
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(ValueError, match=rf"walk_1\.json: .*{said}"):
        Ultralytics(fps=30).read(path)


def test_nobody_at_all_is_an_error(tmp_path) -> None:
    for at in range(3):
        (tmp_path / f"walk_{at}.json").write_text("[]", "utf-8")
    with pytest.raises(ValueError, match="walk: expected people of one number of joints .got nob"):
        Ultralytics(fps=30).read(tmp_path / "walk_0.json")
    (tmp_path / "walk_0.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"walk_0\.json: no such file"):
        Ultralytics(fps=30).read(tmp_path / "walk_0.json")


def test_other_text_is_not_taken_for_poses(tmp_path) -> None:
    for name, text in (("notes_1.txt", "said 3 4"), ("t_1.txt", "1 2 3"), ("t_2.txt", "")):
        (tmp_path / name).write_text(text, "utf-8")
    assert not Ultralytics.sniff(tmp_path)
