from __future__ import annotations

import json

import numpy as np
import pytest
from fixtures.command_line import done
from fixtures.dataset_files import kinetics

from hargcn.data.readers import find_reader
from hargcn.data.readers.datasets.kinetics import Kinetics
from tests.fixtures.tracker_files import walking, written


def standing(frames: int = 6, persons: int = 2) -> np.ndarray:
    """People of 18 joints within the picture."""
    bodies = walking(frames, 18, persons)
    return bodies * (0.1, 1, 1)


def test_people_are_followed_in_pixels(tmp_path) -> None:
    path = kinetics(tmp_path / "clips" / "v1.json", standing(), 1, "waving", swap=True)
    assert find_reader(path) is Kinetics
    assert find_reader(tmp_path / "clips") is Kinetics
    found = Kinetics().recordings(path)
    assert found.classes == ("0", "waving")
    one = next(iter(found))
    assert (one.sample, one.group, one.label, one.skeleton.name) == ("v1", "v1", 1, "openpose18")
    np.testing.assert_allclose(one.positions, standing()[..., :2].transpose(3, 0, 2, 1), atol=1e-3)
    assert (one.confidence == 0.5).all()
    large = Kinetics(size=(680, 512)).read(path)
    np.testing.assert_allclose(large.positions, 2 * one.positions, atol=1e-3)


def test_folders_are_the_split_and_lists_name_the_classes(tmp_path) -> None:
    for part, names in {"kinetics_train": "abc", "kinetics_val": "d"}.items():
        for name in names:
            kinetics(tmp_path / part / f"{name}.json", standing(), "abcd".index(name) % 2, "x")
        listed = {n: {"label": f"class {i}", "label_index": i} for i, n in enumerate("pq")}
        written(tmp_path / f"{part}_label.json", listed)
    assert find_reader(tmp_path) is Kinetics
    assert Kinetics().recordings(tmp_path).classes == ("class 0", "class 1")
    set_ = ("--set", "split=kinetics", "--set", "windows.length=6")
    said = done("prepare", tmp_path, *set_, "--out", tmp_path / "w.h5")
    assert "train: 3 recordings" in said
    assert "test: 1 recordings" in said


def test_frames_without_people(tmp_path) -> None:
    bodies = standing(6, 1)
    bodies[2:4] = np.nan
    found = Kinetics().read(kinetics(tmp_path / "v.json", bodies, 0, "x"))
    assert found.frames == 6
    assert found.notes["frames_without_people"] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"data": []}, "people of one number of joints .got nobody"),
        ({"data": 3}, "expected data, a list of frames"),
        ({"label_index": -1}, "expected a label_index from 0"),
        ({"label_index": 10**9}, "expected a label_index from 0"),
        ({"data": [{"frame_index": 1}]}, "frame 0: expected frame_index and skeleton"),
        ({"data": [{"frame_index": "1", "skeleton": []}]}, "frame 0: expected frame_index and"),
        ({"data": [{"frame_index": 1, "skeleton": [3]}]}, "people with pose and score"),
        (
            {"data": [{"frame_index": 1, "skeleton": [{"pose": [1], "score": [1]}]}]},
            "two numbers of pose for each score .got 1 and 1",
        ),
        (
            {"data": [{"frame_index": 1, "skeleton": [{"pose": ["a"], "score": [1]}]}]},
            "frame 0: pose: expected lists of numbers",
        ),
    ],
)
def test_defects(tmp_path, change, said) -> None:
    path = kinetics(tmp_path / "v.json", standing(), 0, "x")
    written(path, {**json.loads(path.read_text()), **change})
    with pytest.raises(ValueError, match=rf"v\.json: .*{said}"):
        list(Kinetics().recordings(path))


def test_damaged_lists_of_labels(tmp_path) -> None:
    kinetics(tmp_path / "clips" / "v.json", standing(), 0, "x")
    for content in ([1], {"v": 3}, {"v": {"label_index": "0"}}):
        listed = written(tmp_path / "clips_label.json", content)
        with pytest.raises(ValueError, match="clips_label.json: expected label and label_index"):
            Kinetics().recordings(tmp_path / "clips")
        listed.unlink()
