from __future__ import annotations

import h5py
import numpy as np
import pytest
import yaml

import hargcn
from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.anipose import Anipose
from tests.fixtures.motion_files import anipose, points3d
from tests.fixtures.stick import STICK, stick


def stick3d(folder):
    """The stick in three coordinates."""
    path = stick(folder)
    layout = yaml.safe_load(path.read_text("utf-8")) | {"ndim": 3}
    path.write_text(yaml.safe_dump(layout), "utf-8")
    return path


def points(frames: int = 6) -> np.ndarray:
    """(T, V, 3) all numbers different."""
    return np.arange(frames * 5 * 3, dtype=float).reshape(frames, 5, 3) + 1


def test_parts_go_by_name_and_empty_cells_were_not_seen(tmp_path) -> None:
    layout, given = stick3d(tmp_path), points()
    given[2, 1] = np.nan
    path = anipose(tmp_path / "v1.csv", given[:, ::-1], STICK[::-1])
    assert find_reader(path) is Anipose
    found = Anipose(layout, fps=30).read(path)
    np.testing.assert_array_equal(found.positions[..., 0], given.transpose(2, 0, 1))
    assert np.argwhere(~found.observed[..., 0]).tolist() == [[2, 1]]
    assert np.nanmax(found.confidence) == 0.75


def test_large_errors_and_frames_left_out_are_counted(tmp_path) -> None:
    layout, path = stick3d(tmp_path), anipose(tmp_path / "v.csv", points(), STICK)
    rows = path.read_text("utf-8").splitlines()
    cells = rows[1].split(",")
    cells[3] = "9.5"  # the head's error
    path.write_text("\n".join([rows[0], ",".join(cells), *rows[3:]]) + "\n", "utf-8")
    found = Anipose(layout, fps=30, error=5).read(path)
    assert found.notes["large_error"] == 1
    assert found.notes["frames_missing"] == 1
    assert not found.observed[0, 0, 0]
    assert not found.observed[1].any()
    assert found.observed[2:].all()
    assert Anipose(layout, fps=30).read(path).observed[0, 0, 0]


def test_points3d_keeps_the_tracks_seen_most(tmp_path) -> None:
    layout = stick3d(tmp_path)
    tracks = np.stack([points(), points() + 100, points() + 200], axis=1)
    tracks[1:, 0] = np.nan
    for session in ("s1", "s2"):
        (tmp_path / session).mkdir()
        points3d(tmp_path / session / "points3d.h5", tracks)
    assert find_reader(tmp_path) is Anipose
    reader = Anipose(layout, fps=30, persons=2)
    found = {recording.sample: recording for recording in reader.recordings(tmp_path)}
    assert list(found) == ["s1", "s2"]
    np.testing.assert_array_equal(found["s1"].positions, tracks[:, 1:].transpose(3, 0, 2, 1))
    assert found["s1"].notes["people_left_out"] == 1
    with pytest.raises(ValueError, match=r"points3d\.h5: expected 25 joints \(got 5\)"):
        Anipose("ntu25", fps=30).read(tmp_path / "s1" / "points3d.h5")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("fnum", "frame", "expected columns <part>_x, _y, _z, _error, _score and fnum"),
        ("_error", "_err", "missing head, pelvis|missing head"),
        ("2.0,3.0,0.75", "two,3.0,0.75", r"line 2: expected a number in head_error \(got 'two'\)"),
        ("0.0,0.0\n", "0.0,0.5\n", "growing whole numbers"),
        ("head_y", "hed_y", "expected the joints of the layout; missing head"),
    ],
)
def test_defects(tmp_path, old, new, said) -> None:
    layout, path = stick3d(tmp_path), anipose(tmp_path / "v.csv", points(), STICK)
    path.write_text(path.read_text("utf-8").replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=rf"v\.csv: .*({said})"):
        Anipose(layout, fps=30, error=1).read(path)


def test_files_of_others_are_not_taken_for_it(tmp_path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["tracks"] = np.zeros((3, 2, 5, 4))
    (tmp_path / "b.h5").write_bytes(b"nothing")
    (tmp_path / "c.csv").write_text("head_x,head_y\n1,2\n", "utf-8")
    assert not any(Anipose.sniff(tmp_path / name) for name in ("a.h5", "b.h5", "c.csv"))
    with pytest.raises(ValueError, match=r"a\.h5: expected tracks .frame, track, node, 3. .got .3"):
        Anipose("coco17", fps=30).read(tmp_path / "a.h5")
    assert hargcn.skeleton("coco17").ndim == 2
