from __future__ import annotations

import numpy as np
import pytest

import hargcn
from hargcn.data.readers import find_reader
from hargcn.data.readers.h36m import H36M
from tests.fixtures.motion_files import h36m


def poses(frames: int = 4, joints: int = 17, space: int = 3) -> np.ndarray:
    """(T, V, C) all numbers different."""
    return np.arange(1.0, frames * joints * space + 1).reshape(frames, joints, space)


def test_subjects_and_actions_are_known(tmp_path) -> None:
    videos = {"S1": {"Walking 1": poses(), "Sitting": poses() + 5}, "S5": {"Walking": poses(6)}}
    path = h36m(tmp_path / "data_3d_h36m.npz", videos)
    assert find_reader(tmp_path) is H36M
    found = H36M(fps=50).recordings(path)
    assert found.classes == ("Sitting", "Walking")
    read = list(found)
    assert [one.sample for one in read] == ["S1_Walking_1", "S1_Sitting", "S5_Walking"]
    assert [one.group for one in read] == ["S1", "S1", "S5"]
    assert [one.label for one in read] == [1, 0, 1]
    np.testing.assert_array_equal(read[0].positions[..., 0], poses().transpose(2, 0, 1))
    assert read[0].skeleton.name == "h36m17"
    assert read[0].fps == 50


def test_of_32_joints_the_usual_17_are_kept(tmp_path) -> None:
    path = h36m(tmp_path / "d.npz", {"S1": {"Eating": poses(joints=32)}})
    (found,) = H36M(fps=50).recordings(path)
    # The pelvis, the right hip ... and the right wrist of the 32.
    np.testing.assert_array_equal(found.positions[:, 0, 0, 0], poses(joints=32)[0, 0])
    np.testing.assert_array_equal(found.positions[:, 0, 4, 0], poses(joints=32)[0, 6])
    np.testing.assert_array_equal(found.positions[:, 0, 16, 0], poses(joints=32)[0, 27])


def test_pictures_come_camera_by_camera(tmp_path) -> None:
    cameras = [poses(4, 17, 2), poses(4, 17, 2) + 7]
    path = h36m(tmp_path / "data_2d_own.npz", {"S1": {"Eating": cameras}}, "positions_2d")
    found = list(H36M(fps=50, layout="coco17").recordings(path))
    assert [one.sample for one in found] == ["S1_Eating_cam0", "S1_Eating_cam1"]
    assert [one.camera for one in found] == [0, 1]
    np.testing.assert_array_equal(found[1].positions[..., 0], cameras[1].transpose(2, 0, 1))
    with pytest.raises(ValueError, match=r"S1/Eating/0: expected 3 coordinates, those of h36m17"):
        list(H36M(fps=50).recordings(path))


def test_a_table_of_outcomes_wins_and_a_rate_must_be_given(tmp_path) -> None:
    path = h36m(tmp_path / "d.npz", {"S1": {"Eating": poses()}})
    table = tmp_path / "outcomes.csv"
    table.write_text("video,outcome,subject\nS1_Eating,slow,anna\n", "utf-8")
    found = H36M(fps=50, outcomes=table).recordings(path)
    assert found.classes == ("slow",)
    assert next(iter(found)).group == "anna"
    with pytest.raises(ValueError, match=r"d\.npz: expected frames per second for every video"):
        H36M().recordings(path)


class Evil:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (print, ("this must never run",))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"S1": poses()}, "expected subject -> action -> positions"),
        ({}, "expected videos .got none"),
        ({"S1": {"../../etc": poses()}}, "expected subjects and actions by name"),
        ({"S1": {7: poses()}}, "expected subjects and actions by name .got 7"),
        ({"S1": {"Eating": poses()[0]}}, r"S1/Eating: expected an array .* \(got \(17, 3\)\)"),
        ({"S1": {"Eating": "text"}}, "S1/Eating: .*"),
        ({"S1": {"Eating": Evil()}}, "positions_3d: expected"),
    ],
)
def test_defects(tmp_path, capsys, content, said) -> None:
    path = h36m(tmp_path / "d.npz", content)
    with pytest.raises(ValueError, match=rf"d\.npz.*{said}"):
        list(H36M(fps=50).recordings(path))
    assert "this must never run" not in capsys.readouterr().out


def test_other_files_are_refused(tmp_path) -> None:
    np.savez(tmp_path / "a.npz", x=np.zeros(3))
    (tmp_path / "b.npz").write_bytes(b"nothing")
    assert not any(H36M.sniff(tmp_path / name) for name in ("a.npz", "b.npz"))
    for name in ("a.npz", "b.npz"):
        with pytest.raises(ValueError, match=rf"{name}: expected"):
            H36M(fps=50).recordings(tmp_path / name)
    assert hargcn.skeleton("h36m17").n_joints == 17
