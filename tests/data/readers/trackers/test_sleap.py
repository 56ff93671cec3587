from __future__ import annotations

import h5py
import numpy as np
import pytest

from hargcn.data.readers import find_reader
from hargcn.data.readers.trackers.sleap import Sleap
from tests.fixtures.stick import STICK, stick
from tests.fixtures.tracker_files import sleap, walking


def test_tracks_become_people(tmp_path) -> None:
    layout, bodies = stick(tmp_path), walking(5, 5, 3)
    bodies[1:, 1] = np.nan
    bodies[4] = np.nan
    path = sleap(tmp_path / "v1.analysis.h5", bodies, STICK)
    assert find_reader(path) is Sleap
    found = Sleap(layout, fps=30, persons=2).read(path)
    assert found.sample == "v1"
    np.testing.assert_array_equal(
        found.positions[:, :4], bodies[:4][:, [0, 2], :, :2].transpose(3, 0, 2, 1)
    )
    assert not found.valid[4].any()
    assert found.notes["people_left_out"] == 1
    assert found.notes["frames_without_people"] == 1


def test_scores_are_kept_where_there_are_some(tmp_path) -> None:
    layout = stick(tmp_path)
    path = sleap(tmp_path / "v1.h5", walking(5, 5), STICK)
    assert (Sleap(layout, fps=30).read(path).confidence == 0.5).all()
    with h5py.File(path, "r+") as file:
        del file["point_scores"]
    assert Sleap(layout, fps=30).read(path).confidence is None


def test_links_out_of_the_file_are_not_followed(tmp_path) -> None:
    layout = stick(tmp_path)
    path = sleap(tmp_path / "v1.h5", walking(5, 5), STICK)
    other = sleap(tmp_path / "other.h5", walking(5, 5), STICK)
    with h5py.File(path, "r+") as file:
        del file["tracks"]
        file["tracks"] = h5py.ExternalLink(other, "tracks")
    with pytest.raises(ValueError, match=r"v1\.h5: expected data of its own.*a link to"):
        Sleap(layout, fps=30).read(path)


def test_defects(tmp_path) -> None:
    layout = stick(tmp_path)
    path = sleap(tmp_path / "v1.h5", walking(5, 5), STICK)
    with h5py.File(path, "r+") as file:
        tracks = file["tracks"][()]
        del file["tracks"]
        file["tracks"] = tracks.T  # as another program writes it
    with pytest.raises(ValueError, match=r"v1\.h5: expected tracks .track, 2, 5 nodes, frame"):
        Sleap(layout, fps=30).read(path)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"v1\.h5: expected a whole HDF5 analysis file of SLEAP"):
        Sleap(layout, fps=30).read(path)
