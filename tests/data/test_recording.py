from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
from fixtures.recordings import drifting

from hargcn.data.recording import Recording, Recordings, list_files


def test_shapes_and_types_are_settled() -> None:
    recording = drifting(frames=7, persons=2)
    assert recording.positions.dtype == np.float32
    assert recording.valid.dtype == bool
    assert (recording.frames, recording.persons) == (7, 2)
    assert recording.observed.all()


def test_every_defect_is_in_one_error() -> None:
    with pytest.raises(ValueError, match="clip: ") as error:
        drifting(
            positions=np.zeros((3, 5, 4, 1)),
            valid=np.ones((4, 1)),
            truth=np.zeros((5, 19)),
            fps=-1,
            label=-1,
        )
    for defect in (
        "expected 2 coordinates of inmotion19 (got 3)",
        "expected 19 joints of inmotion19 (got 4)",
        "expected valid (5, 1) (got (4, 1))",
        "expected truth (5, 4) (got (5, 19))",
        "expected fps > 0 (got -1)",
        "expected label >= 0 or None (got -1)",
    ):
        assert defect in str(error.value)


def test_wrong_number_of_axes() -> None:
    with pytest.raises(ValueError, match=r"\(space, time, joint, person\) \(got 3 axes\)"):
        drifting(positions=np.zeros((2, 5, 19)))


def test_one_bad_coordinate_hides_the_joint_and_nothing_else() -> None:
    positions = drifting().positions.astype(np.float64)
    positions[0, 3, 5] = np.inf
    positions[1, 4, 6] = 1e300  # beyond float32
    recording = drifting(positions=positions)
    assert np.isnan(recording.positions[:, 3, 5]).all()
    assert np.isnan(recording.positions[:, 4, 6]).all()
    assert (~recording.observed).sum() == 2


def test_absent_persons_are_zero() -> None:
    valid = np.ones((60, 2))
    valid[:10, 1] = 0
    recording = drifting(persons=2, valid=valid)
    assert not recording.positions[:, :10, :, 1].any()
    assert recording.positions[:, 10:, :, 1].any()
    assert not recording.observed[:10, :, 1].any()


def test_the_callers_array_is_left_alone() -> None:
    positions = drifting().positions.copy()
    positions[0, 0, 0, 0] = np.nan
    kept = positions.copy()
    drifting(positions=positions)
    np.testing.assert_array_equal(positions, kept)


def test_joints_that_no_frame_shows_are_known() -> None:
    positions = drifting(persons=2).positions.copy()
    positions[:, :, 11, 1] = np.nan
    recording = drifting(positions=positions, persons=2)
    assert np.argwhere(recording.never_seen).tolist() == [[11, 1]]


def test_nobody_at_all() -> None:
    with pytest.raises(ValueError, match="at least one frame with a person"):
        drifting(valid=np.zeros((60, 1)))


def test_notes_add_up() -> None:
    recording = drifting(notes={"dropped": 2}).noting(dropped=3, gaps=1)
    assert recording.notes == {"dropped": 5, "gaps": 1}


def _load(item: str) -> Recording:
    if item == "bad":
        raise ValueError("bad: broken")
    return drifting(sample=item)


def test_recordings_are_read_lazily_and_mapped() -> None:
    recordings = Recordings(["a", "b"], _load, ("x",))
    assert len(recordings) == 2
    louder = recordings.map(lambda recording: recording.noting(loud=1))
    assert [(r.sample, r.notes["loud"]) for r in louder] == [("a", 1), ("b", 1)]
    assert [r.notes for r in recordings] == [{}, {}]


def test_unreadable_recordings_raise_or_are_listed() -> None:
    with pytest.raises(ValueError, match="bad: broken"):
        list(Recordings(["a", "bad"], _load, ()))
    lenient = Recordings(["a", "bad", "b"], _load, (), on_error="skip")
    for _ in range(2):  # going through it again does not list it twice
        assert [r.sample for r in lenient] == ["a", "b"]
    assert lenient.skipped == ["bad: broken"]


def test_a_refused_recording_leaves_no_bar_behind() -> None:
    """Its threads went on until somebody collected the error, which knew the bar."""
    before = threading.active_count()
    gc.disable()
    try:
        with pytest.raises(ValueError, match="bad: broken"):
            list(Recordings(["a", "bad"], _load, ("x",), progress=True))
        until = time.monotonic() + 5  # a busy machine lets a thread end late
        while threading.active_count() > before and time.monotonic() < until:
            time.sleep(0.01)
        assert threading.active_count() == before
    finally:
        gc.enable()


def test_list_files(tmp_path) -> None:
    with pytest.raises(FileNotFoundError, match="no such folder"):
        list_files(tmp_path / "none", "*.csv")
    with pytest.raises(ValueError, match=r"expected files named \*.csv \(got none\)"):
        list_files(tmp_path, "*.csv")
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).touch()
    assert [file.name for file in list_files(tmp_path, "*.csv")] == ["a.csv", "b.csv"]


def test_states_agree_with_the_positions() -> None:
    positions = drifting().positions.copy()
    positions[:, 5, 3] = np.nan
    valid = np.ones((60, 1))
    valid[50:] = 0
    recording = drifting(positions=positions, valid=valid, confidence=np.full((60, 19, 1), 0.7))
    expected = np.ones((60, 19, 1))
    expected[5, 3] = expected[50:] = 0
    np.testing.assert_array_equal(recording.state, expected)
    assert recording.state.dtype == np.uint8
    np.testing.assert_array_equal(np.isnan(recording.confidence), expected == 0)
    np.testing.assert_allclose(recording.time, np.arange(60) / 30)


def test_states_confidence_and_time_of_another_shape() -> None:
    with pytest.raises(ValueError, match="clip: ") as error:
        drifting(state=np.ones((2, 3)), confidence=np.ones(4), time=[3, 2, 1] * np.ones(3))
    for defect in (
        "expected state (60, 19, 1) (got (2, 3))",
        "expected confidence (60, 19, 1) (got (4,))",
        "expected time (60,) (got (3,))",
        "expected seconds in the order of the frames",
    ):
        assert defect in str(error.value)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (
            {"positions": np.ones((2, 4, 19, 1), complex)},
            "real numbers as positions .got complex128",
        ),
        ({"positions": np.full((2, 4, 19, 1), "a")}, "real numbers as positions .got <U1"),
        ({"positions": np.full((2, 4, 19, 1), None)}, "real numbers as positions .got object"),
        ({"fps": float("nan")}, "fps > 0 .got nan"),
        ({"fps": float("inf")}, "fps > 0 .got inf"),
        ({"label": -7}, "label >= 0 or None .got -7"),
        ({"label": float("nan")}, "label >= 0 or None .got nan"),
        ({"label": 2**40}, "label >= 0 or None"),
    ],
)
def test_numbers_that_cannot_be_are_refused(fields, said) -> None:
    given = {"frames": 4, "valid": np.ones((4, 1)), **fields}
    with pytest.raises(ValueError, match=f"^clip: expected {said}"):
        drifting(**given)
