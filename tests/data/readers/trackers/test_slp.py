"""SLEAP projects, written by sleap-io itself."""

from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest
import sleap_io
from fixtures.mutants import mutants, refusals

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.slp import SleapProject
from tests.fixtures.stick import STICK, stick
from tests.fixtures.tracker_files import project, walking


def test_every_video_of_a_file_is_a_recording(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(6, 5, 2)
    path = project(tmp_path / "p.slp", {"a/v1.mp4": bodies, "b/v2.mp4": bodies[:4]}, STICK)
    assert find_reader(path) is SleapProject
    found = list(SleapProject(layout, fps=30, persons=2).recordings(path))
    assert [each.sample for each in found] == ["p-v1", "p-v2"]
    for each, frames in zip(found, (6, 4), strict=True):
        np.testing.assert_array_equal(
            each.positions, bodies[:frames, ..., :2].transpose(3, 0, 2, 1)
        )
        assert (each.confidence == 0.5).all()
    with pytest.raises(ValueError, match=r"p\.slp: expected one video .got 2"):
        SleapProject(layout, fps=30).read(path)
    path = project(tmp_path / "q.slp", {"a/v.mp4": bodies, "b/v.mp4": bodies}, STICK)
    found = list(SleapProject(layout, fps=30).recordings(path))
    assert [each.sample for each in found] == ["q-v-0", "q-v-1"]
    assert found[0].notes["people_left_out"] == 6


def test_the_order_of_joints_is_that_of_the_first_skeletons_nodes(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(4, 5)
    order = [3, 1, 4, 0, 2]
    path = project(tmp_path / "v1.slp", {"v1.mp4": bodies[:, :, order]}, [STICK[i] for i in order])
    found = SleapProject(layout, fps=30).read(path)
    assert found.sample == "v1"
    np.testing.assert_array_equal(found.positions[..., 0], bodies[:, 0, :, :2].transpose(2, 0, 1))


def test_instances_without_a_track_are_followed(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(6, 5, 2)
    path = project(tmp_path / "v1.slp", {"v1.mp4": bodies}, STICK, tracks=False, swap=True)
    found = SleapProject(layout, fps=30, persons=2).read(path)
    np.testing.assert_array_equal(found.positions, bodies[..., :2].transpose(3, 0, 2, 1))


def test_what_people_corrected_takes_the_place_of_the_prediction(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(4, 5)
    path = project(tmp_path / "v1.slp", {"v1.mp4": bodies}, STICK, tracks=False, corrected=2)
    found = SleapProject(layout, fps=30, persons=1).read(path)
    np.testing.assert_array_equal(
        found.positions[:, 2, :, 0], bodies[2, 0, :, :2].T + 7, err_msg="moved by hand"
    )
    assert np.isnan(found.confidence[2]).all()
    assert (found.confidence[[0, 1, 3]] == 0.5).all()
    assert found.notes["people_left_out"] == 0


def test_frames_that_are_left_out_show_nobody(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(6, 5)
    bodies[2:4] = np.nan
    path = project(tmp_path / "v1.slp", {"v1.mp4": bodies}, STICK)
    found = SleapProject(layout, fps=30).read(path)
    assert found.frames == 6
    assert found.notes["frames_missing"] == 2


def test_without_the_package_a_line_says_what_to_install(tmp_path, monkeypatch) -> None:
    path = project(tmp_path / "v1.slp", {"v1.mp4": walking(4, 5)}, STICK)
    monkeypatch.setitem(sys.modules, "sleap_io.io", None)
    assert find_reader(path) is SleapProject
    with pytest.raises(ValueError, match=r"v1\.slp: expected the package .*'hargcn\[formats\]'"):
        SleapProject(stick(tmp_path), fps=30).read(path)


def test_the_package_is_imported_where_a_project_is_read(tmp_path) -> None:
    path = project(tmp_path / "v1.slp", {"v1.mp4": walking(4, 5)}, STICK)
    program = (
        "import sys; from hargcn.data.readers import READERS, find_reader; READERS.all(); "
        f"find_reader({str(path)!r}); import hargcn.cli; print('sleap_io' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "False"


def test_projects_without_instances_are_refused(tmp_path) -> None:
    path = project(tmp_path / "v1.slp", {"v1.mp4": np.full((4, 1, 5, 3), np.nan)}, STICK)
    with pytest.raises(ValueError, match=r"v1\.slp: recording 0: expected instances in its frames"):
        SleapProject(stick(tmp_path), fps=30).read(path)
    sleap_io.Labels().save(str(tmp_path / "empty.slp"))
    with pytest.raises(ValueError, match=r"empty\.slp: expected videos in the SLEAP project"):
        SleapProject(stick(tmp_path), fps=30).read(tmp_path / "empty.slp")


def test_labels_of_a_few_frames_are_no_video(tmp_path) -> None:
    bodies = walking(3, 5)
    path = project(tmp_path / "v1.slp", {"v1.mp4": bodies}, STICK, step=5000)
    with pytest.raises(ValueError, match="expected the frames of one video .got 3 of 10001"):
        SleapProject(stick(tmp_path), fps=30).read(path)


def test_damaged_projects_are_refused_in_a_line(tmp_path) -> None:
    layout = stick(tmp_path)
    path = project(tmp_path / "v1.slp", {"v1.mp4": walking(6, 5, 2)}, STICK)
    whole, noticed = path.read_bytes(), 0
    for mutant in mutants(whole, 40):
        path.write_bytes(mutant)
        noticed += bool(refusals(lambda: SleapProject(layout, fps=30).read(path)))
    assert noticed > 5
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file["pred_points"]
        file["pred_points"] = h5py.ExternalLink(str(tmp_path / "other.slp"), "pred_points")
    with pytest.raises(ValueError, match=r"v1\.slp: expected data of its own.*a link to"):
        SleapProject(layout, fps=30).read(path)
