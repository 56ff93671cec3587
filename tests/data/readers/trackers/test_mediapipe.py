from __future__ import annotations

import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.mediapipe import MediaPipe
from tests.fixtures.tracker_files import written

AXES = ("x", "y", "z", "visibility")


def landmarks(frames: int = 4) -> np.ndarray:
    """(frame, 33, 4): shares of the picture, every one another; visibility 0.75."""
    points = np.linspace(0.1, 0.9, frames * 33 * 4).reshape(frames, 33, 4)
    points[..., 3] = 0.75
    return points


def as_json(frames: np.ndarray) -> list[list[dict[str, float]]]:
    return [[dict(zip(AXES, map(float, one), strict=True)) for one in frame] for frame in frames]


@pytest.mark.parametrize("holder", ["bare", "landmark", "pose_landmarks"])
def test_json_as_people_save_it(tmp_path, holder) -> None:
    frames = as_json(landmarks())
    content = {
        "bare": frames,
        "landmark": [{"landmark": frame} for frame in frames],
        "pose_landmarks": [{"pose_landmarks": [frame]} for frame in frames],
    }[holder]
    path = written(tmp_path / "walk.json", content)
    assert find_reader(path) is MediaPipe
    found = MediaPipe(fps=30, size=(640, 480)).read(path)
    expected = landmarks()[..., :2] * [640, 480]
    np.testing.assert_allclose(found.positions[..., 0], expected.transpose(2, 0, 1), rtol=1e-6)
    assert (found.confidence == 0.75).all()


@pytest.mark.parametrize(("name", "first"), [("{axis}{i}", 0), ("{axis}{i}", 1), ("{axis}_{i}", 0)])
def test_tables_as_people_save_them(tmp_path, name, first) -> None:
    frames = landmarks()
    header = [
        name.format(axis=axis, i=first + i) for i in range(33) for axis in ("x", "y", "z", "v")
    ]
    rows = [",".join(["0", *map(repr, map(float, frame.ravel()))]) for frame in frames]
    path = tmp_path / "walk.csv"
    path.write_text("\n".join([",".join(["time", *header]), *rows]) + "\n")
    assert find_reader(path) is MediaPipe
    found = MediaPipe(fps=30, layout="mediapipe33_3d").read(path)
    np.testing.assert_allclose(
        found.positions[..., 0], frames[..., :3].transpose(2, 0, 1), rtol=1e-6
    )
    path.write_text(path.read_text().replace("0.75", "no", 1))
    with pytest.raises(ValueError, match="line 2: expected a number in"):
        MediaPipe(fps=30).read(path)


def test_a_table_of_fewer_landmarks_is_refused(tmp_path) -> None:
    path = tmp_path / "walk.csv"
    path.write_text(
        ",".join(f"{axis}{i}" for i in range(32) for axis in "xy") + "\n" + "1," * 63 + "1"
    )
    with pytest.raises(ValueError, match=r"walk\.csv: expected columns x0, y0.* of 33 landmarks"):
        MediaPipe(fps=30).read(path)


def test_an_array_that_says_to_be_larger_than_its_file_is_refused(tmp_path) -> None:
    path = tmp_path / "walk.npy"
    np.save(path, landmarks())
    path.write_bytes(path.read_bytes().replace(b"(4, 33, 4)", b"(9**9,3,4)"))
    with pytest.raises(ValueError, match=r"walk\.npy: expected a NumPy array"):
        MediaPipe(fps=30).read(path)
    with pytest.raises(ValueError, match="looks like none of them"):
        find_reader(path)


def test_arrays(tmp_path) -> None:
    path = tmp_path / "walk.npy"
    np.save(path, landmarks())
    assert find_reader(path) is MediaPipe
    assert MediaPipe(fps=30).read(path).positions.shape == (2, 4, 33, 1)
    np.save(path, landmarks()[:, :17])
    with pytest.raises(ValueError, match="frames of 33 landmarks x, y, z, visibility .got .4, 17"):
        MediaPipe(fps=30).read(path)
    np.save(path, np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="expected a NumPy array of numbers"):
        MediaPipe(fps=30).read(path)


def test_frames_that_show_nobody(tmp_path) -> None:
    content = [*as_json(landmarks()), None, []]
    found = MediaPipe(fps=30).read(written(tmp_path / "walk.json", content))
    assert found.observed.all(axis=(1, 2)).tolist() == [True] * 4 + [False] * 2
    assert found.notes["frames_without_people"] == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "a list of frames"),
        ([[{"x": 1}]], "frame 0: expected 33 landmarks"),
        ([[{"x": "a"}] * 33], "frame 0: expected numbers"),
        ([[{"x": 1}] * 32 + [5]], "frame 0: expected numbers"),
    ],
)
def test_defects(tmp_path, content, said) -> None:
    with pytest.raises(ValueError, match=rf"a\.json: .*{said}"):
        MediaPipe(fps=30).read(written(tmp_path / "a.json", content))
