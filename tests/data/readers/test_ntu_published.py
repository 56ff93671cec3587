"""The preparation of the published NTU networks, against numbers worked out on paper.

In the file joint 8 lies before joint 4 as seen from the right: the shoulders point to +z. The
shortest way from +z to +x is a quarter turn about y, (x, y, z) -> (z, y, -x).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures import ntu_files
from fixtures.ntu_files import ANNA, BERT, CARL

from hargcn.data.preprocess import PRESETS, preprocess
from hargcn.data.readers.ntu import NTU
from hargcn.data.windows import Batch
from hargcn.pipeline.prepare import prepare


def pose(at: float, spine: tuple[float, float, float] = (-1, 0, 0)) -> np.ndarray:
    """(25, 3) all joints at (at, 2, 3) but for shoulders that point to +z and a trunk."""
    joints = np.full((25, 3), (at, 2.0, 3.0))
    joints[8] += (0, 0, 2)
    joints[20] += spine
    return joints


def windows(tmp_path: Path, frames: list[list[tuple[str, np.ndarray]]]) -> Batch:
    """What one name asks for, from the command line's side."""
    folder = tmp_path / "ntu"
    folder.mkdir()
    ntu_files.write(folder, frames)
    made = prepare(folder, tmp_path / "w.h5", changes=["preprocess=ntu-published", "split=null"])
    assert (made.frames, len(made), made.rate) == (150, 1, 30)
    return made.read()


def test_one_name_asks_for_all_of_it(tmp_path) -> None:
    """A trunk that points to -x: turned to +z by the shoulders, then about x to +y.

    Both turns together: (x, y, z) -> (z, y, -x) -> (z, -x, -y). Frame t is t further along x, which
    becomes -y; joint 1 of the first frame is the origin.
    """
    batch = windows(tmp_path, [[(ANNA, pose(5 + t))] for t in range(160)])
    expected = np.zeros((3, 150, 25))
    expected[1] = -np.arange(150)[:, None]
    expected[0, :, 8] += 2  # (0, 0, 2)
    expected[1, :, 20] += 1  # (-1, 0, 0)
    np.testing.assert_allclose(batch.positions[0, ..., 0], expected, atol=1e-5)
    assert not batch.positions[0, ..., 1].any()
    assert not batch.valid[0, :, 1].any()
    assert (batch.state[0, ..., 0] == 1).all()


def test_the_second_turn_takes_the_shoulders_out_of_x(tmp_path) -> None:
    """A trunk of (0, 4, 3) is (3, 4, 0) behind the first turn.

    The shortest way from there to +y turns by the angle of cosine 4/5 and sine 3/5 in the plane:
    (x, y) -> (0.8 x - 0.6 y, 0.6 x + 0.8 y). The shoulders end at 2 (0.8, 0.6).
    """
    batch = windows(tmp_path, [[(ANNA, pose(0, spine=(0, 4, 3)))]] * 150)
    turned = batch.positions[0, :, 7, :, 0]
    np.testing.assert_allclose(turned[:, 20], (0, 5, 0), atol=1e-5)
    np.testing.assert_allclose(turned[:, 8], (1.6, 1.2, 0), atol=1e-5)


def heights(batch: Batch, person: int) -> np.ndarray:
    """(150,) how far each frame's joint 0 lies along the file's x; NaN where nobody is."""
    along = -batch.positions[0, 1, :, 0, person]
    return np.where(batch.valid[0, :, person], along, np.nan)


def test_a_short_recording_is_repeated_with_its_gaps(tmp_path) -> None:
    """Five frames, nobody in the fourth: x is 0 1 2 - 4 0 1 2 - 4 ..."""
    frames = [[(ANNA, pose(t))] if t != 3 else [] for t in range(5)]
    batch = windows(tmp_path, [*frames, [], []])
    np.testing.assert_allclose(heights(batch, 0), [0, 1, 2, np.nan, 4] * 30, atol=1e-5)
    assert not batch.positions[0, :, 3].any()
    states = batch.state[0, :, 0, 0]
    assert states[:10].tolist() == [1, 1, 1, 0, 1, 2, 2, 2, 0, 2]
    np.testing.assert_allclose(batch.time[0], np.arange(150) / 30)


def test_somebody_who_comes_later_moves_to_the_front(tmp_path) -> None:
    """Bert is there in frames 2, 3, 5: he begins with 2, without the gap, and is repeated alone.

    Anna moves more, so that her frame 0 is the origin of both.
    """
    frames = [[(ANNA, pose(4.0 * t))] for t in range(6)]
    for t in (2, 3, 5):
        frames[t].append((BERT, pose(100 + t)))
    batch = windows(tmp_path, frames)
    np.testing.assert_allclose(heights(batch, 0), [0, 4, 8, 12, 16, 20] * 25, atol=1e-4)
    np.testing.assert_allclose(heights(batch, 1), [102, 103, 105] * 50, atol=1e-4)
    assert batch.state[0, :4, 0, 1].tolist() == [1, 1, 1, 2]


def test_empty_first_frames_are_dropped(tmp_path) -> None:
    frames = [[], [], *[[(ANNA, pose(7 + t))] for t in range(3)], [], [(ANNA, pose(12))]]
    batch = windows(tmp_path, frames)
    # 7, 8, 9, 12 as seen from 7.
    np.testing.assert_allclose(heights(batch, 0)[:8], [0, 1, 2, 5, 0, 1, 2, 5], atol=1e-5)


def test_two_slots_are_kept_whoever_stands_there_and_the_livelier_leads(tmp_path) -> None:
    """Carl, third in the frames with three, is in the second slot once Bert has left.

    Slot 1 is at x 0, 0, 0, 0; slot 2 at 10, 11, 50, 51: it spreads more and some frame shows two
    bodies, so it leads: its first frame is the origin, and slot 1 lies 10 below.
    """
    frames = [
        [(ANNA, pose(0)), (BERT, pose(10 + t)), (CARL, pose(900 + 100 * t))] for t in range(2)
    ] + [[(ANNA, pose(0)), (CARL, pose(50 + t))] for t in range(2)]
    batch = windows(tmp_path, frames)
    np.testing.assert_allclose(heights(batch, 0)[:5], [0, 1, 40, 41, 0], atol=1e-4)
    np.testing.assert_allclose(heights(batch, 1)[:5], [-10] * 5, atol=1e-4)


def test_without_a_frame_of_exactly_two_the_order_is_the_files(tmp_path) -> None:
    frames = [[(ANNA, pose(0)), (BERT, pose(10 + t)), (CARL, pose(30))] for t in range(4)]
    recording = NTU(bodies="slots").read(ntu_files.write(tmp_path, frames))
    np.testing.assert_allclose(recording.positions[0, :, 1, 0], 0, atol=1e-5)
    np.testing.assert_allclose(recording.positions[0, :, 1, 1], [10, 11, 12, 13], atol=1e-5)
    assert recording.notes["bodies_dropped"] == 1


def test_what_is_said_beside_the_name_wins(tmp_path) -> None:
    folder = tmp_path / "ntu"
    folder.mkdir()
    ntu_files.write(folder, [[(ANNA, pose(t))] for t in range(5)])
    changes = ["preprocess=ntu-published", "split=null", "windows.length=12"]
    made = prepare(folder, tmp_path / "w.h5", changes=changes)
    assert made.frames == 12
    made = prepare(folder, tmp_path / "w.h5", changes=["split=null"], force=True)
    assert made.attrs["preprocessing"]["repeat"] == 0  # ours


def test_shoulders_that_point_away_stay_and_a_body_without_any_is_refused(tmp_path) -> None:
    away = pose(0, spine=(0, 1, 0))
    away[8] = away[4] - (2, 0, 0)
    path = ntu_files.write(tmp_path, [[(ANNA, away)]])
    found = preprocess(NTU(bodies="slots").read(path), PRESETS["ntu-published"])
    np.testing.assert_allclose(found.positions[:, 0, 8, 0], (-2, 0, 0), atol=1e-6)
    away[8] = away[4]
    path = ntu_files.write(tmp_path, [[(ANNA, away)]])
    with pytest.raises(ValueError, match="shoulders and a trunk with a direction in the first"):
        preprocess(NTU(bodies="slots").read(path), PRESETS["ntu-published"])
