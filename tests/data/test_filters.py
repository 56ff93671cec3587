from __future__ import annotations

import numpy as np
import pytest
from fixtures.recordings import drifting
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.data.filters import fill_gaps, lowpass_filter, median_filter, repeat, resample, runs
from hargcn.data.recording import ABSENT, INTERPOLATED, OBSERVED


def without(frames: list[int], joint: int | slice = slice(None), **fields) -> object:
    """A drifting body without some joints in some frames."""
    recording = drifting(**fields)
    positions = recording.positions.copy()
    positions[:, frames, joint] = np.nan
    return drifting(**{**fields, "positions": positions})


def test_a_gap_in_a_drift_is_filled_exactly() -> None:
    filled = fill_gaps(without([20, 21, 22], joint=4), max_gap=0.1)
    np.testing.assert_allclose(filled.positions, drifting().positions, atol=1e-6)
    assert filled.valid.all()
    assert filled.notes == {"interpolated": 3, "dropped": 0}


def test_longer_gaps_are_dropped() -> None:
    filled = fill_gaps(without([20, 21, 22, 23], joint=4), max_gap=0.1)
    assert np.flatnonzero(~filled.valid[:, 0]).tolist() == [20, 21, 22, 23]
    assert not filled.positions[:, 20:24].any()
    assert filled.notes == {"interpolated": 0, "dropped": 4}


def test_what_is_filled_in_dropped_frames_is_not_counted() -> None:
    positions = drifting().positions.copy()
    positions[:, 20:30, 4] = np.nan
    positions[:, 22:24, 5] = np.nan
    filled = fill_gaps(drifting(positions=positions), max_gap=0.1)
    assert filled.notes == {"interpolated": 0, "dropped": 10}


def test_ends_are_never_guessed() -> None:
    filled = fill_gaps(without([0, 58, 59], joint=4), max_gap=1)
    assert np.flatnonzero(~filled.valid[:, 0]).tolist() == [0, 58, 59]


def test_a_person_gone_for_a_moment_is_filled_in_and_a_late_one_is_not() -> None:
    valid = np.ones((60, 2))
    valid[30:33] = 0
    valid[:10, 1] = 0
    filled = fill_gaps(drifting(persons=2, valid=valid), max_gap=0.1)
    assert filled.valid[:, 0].all()
    assert np.flatnonzero(~filled.valid[:, 1]).tolist() == list(range(10))
    assert filled.notes == {"interpolated": 2 * 3 * 19, "dropped": 0}
    np.testing.assert_allclose(filled.positions[..., 0], drifting().positions[..., 0], atol=1e-6)


def test_nothing_left() -> None:
    positions = drifting().positions.copy()
    positions[:, ::2, 3] = np.nan
    positions[:, 1::2, 4] = np.nan
    with pytest.raises(ValueError, match=r"clip: no frame is left .* at most 0 s"):
        fill_gaps(drifting(positions=positions), max_gap=0)


@settings(max_examples=25, deadline=None)
@given(st.floats(5, 120), st.floats(-3, 3), st.integers(2, 90))
def test_constant_speed_survives_resampling(fps, speed, frames) -> None:
    recording = drifting(frames=frames, speed=speed)
    grid = np.arange(int((frames - 1) * fps / 30) + 1) * 30 / fps
    moved = resample(recording, grid)
    x = moved.positions[0, :, 0, 0].astype(np.float64)
    np.testing.assert_allclose(np.diff(x), speed / fps, atol=2e-6)
    assert moved.valid.all()


def test_resampling_at_whole_frames_copies_them() -> None:
    recording = drifting()
    np.testing.assert_array_equal(
        resample(recording, np.arange(0, 60, 2)).positions, recording.positions[:, ::2]
    )
    assert resample(drifting(frames=1), np.zeros(3)).frames == 3


def test_resampling_keeps_absence_and_masks_in_place() -> None:
    valid = np.ones((60, 1))
    valid[30:] = 0
    truth = np.zeros((60, 19))
    truth[10:20, 7] = 1
    recording = drifting(valid=valid, truth=truth, distractor=1 - truth)
    moved = resample(recording, np.arange(119) / 2)
    assert np.flatnonzero(moved.valid[:, 0]).tolist() == list(range(59))  # frame 29 is the last
    assert not moved.positions[:, 59:].any()
    assert moved.truth[:, 7].sum() == 20
    assert np.flatnonzero(moved.truth[:, 7]).tolist() == list(range(19, 39))
    np.testing.assert_array_equal(moved.distractor, ~moved.truth)


def test_median_removes_a_glitch_and_keeps_a_drift() -> None:
    positions = drifting().positions.copy()
    positions[:, 30, 4] += 100
    smooth = median_filter(drifting(positions=positions), 5)
    expected = drifting().positions
    np.testing.assert_allclose(smooth.positions[:, :28], expected[:, :28], atol=0.07)
    np.testing.assert_allclose(smooth.positions[:, 2:-2], expected[:, 2:-2], atol=0.07)
    others = [joint for joint in range(19) if joint != 4]
    np.testing.assert_allclose(
        smooth.positions[:, 2:-2][:, :, others], expected[:, 2:-2][:, :, others], atol=1e-6
    )


def sine(hertz: float) -> object:
    positions = drifting(frames=300, speed=0).positions.copy()
    positions[0, :, 4, 0] = np.sin(2 * np.pi * hertz * np.arange(300) / 30)
    return drifting(positions=positions, frames=300)


def test_lowpass_passes_slow_and_stops_fast_movement_without_delay() -> None:
    """Half of the Nyquist frequency of 30 Hz is 7.5 Hz, where forth and back halves a sine."""
    middle = slice(100, 200)

    def amplitude(hertz: float) -> float:
        kept = lowpass_filter(sine(hertz), 0.5, 8).positions[0, middle, 4, 0]
        return float(kept.std() / np.std(sine(hertz).positions[0, middle, 4, 0]))

    assert amplitude(2) == pytest.approx(1, abs=1e-3)
    assert amplitude(7.5) == pytest.approx(0.5, abs=0.02)
    assert amplitude(12) < 1e-3
    slow = sine(2)
    kept = lowpass_filter(slow, 0.5, 8)
    np.testing.assert_allclose(kept.positions[:, middle], slow.positions[:, middle], atol=2e-3)
    np.testing.assert_allclose(
        lowpass_filter(drifting(), 0.5, 8).positions, drifting().positions, atol=1e-4
    )


@pytest.mark.parametrize(
    "smooth", [lambda r: median_filter(r, 5), lambda r: lowpass_filter(r, 0.5, 8)]
)
def test_filters_do_not_leak_over_an_absence(smooth) -> None:
    """What a body does after an absence must not change what it did before."""
    valid = np.ones((60, 1))
    valid[30] = 0
    far = drifting().positions.copy()
    far[:, 31:] += 1000
    near = smooth(drifting(valid=valid))
    moved = smooth(drifting(valid=valid, positions=far))
    np.testing.assert_array_equal(near.positions[:, :31], moved.positions[:, :31])
    assert not near.positions[:, 30].any()


def test_filters_bear_stretches_of_one_frame() -> None:
    valid = np.zeros((60, 1))
    valid[[3, 40]] = 1
    recording = drifting(valid=valid)
    np.testing.assert_allclose(
        lowpass_filter(recording, 0.5, 8).positions, recording.positions, atol=1e-6
    )


@given(st.lists(st.booleans(), min_size=1, max_size=30))
def test_runs_are_the_true_stretches(flags) -> None:
    array = np.array(flags)
    found = np.zeros_like(array)
    last = -1
    for run in runs(array):
        assert run.start > last  # a gap between any two
        assert array[run].all()
        found[run] = True
        last = run.stop
    np.testing.assert_array_equal(found, array)


def test_what_a_gap_is_filled_with_is_interpolated() -> None:
    filled = fill_gaps(without([20, 21, 22], joint=4, confidence=np.full((60, 19, 1), 0.9)), 0.1)
    expected = np.ones((60, 19, 1))
    expected[20:23, 4] = INTERPOLATED
    np.testing.assert_array_equal(filled.state, expected)
    assert np.isnan(filled.confidence[expected == INTERPOLATED]).all()
    np.testing.assert_allclose(filled.confidence[expected == OBSERVED], 0.9, rtol=1e-6)
    dropped = fill_gaps(without(list(range(20, 30)), joint=4), max_gap=0.1)
    assert (dropped.state[20:30] == ABSENT).all()


def test_resampled_joints_are_observed_where_both_neighbours_were() -> None:
    state, confidence = np.ones((60, 19, 1)), np.ones((60, 19, 1))
    state[10, 4] = INTERPOLATED
    confidence[20] = 0.5
    valid = np.ones((60, 1))
    valid[50:] = 0
    moved = resample(drifting(state=state, confidence=confidence, valid=valid), np.arange(119) / 2)
    assert np.flatnonzero(moved.state[:99, 4, 0] == INTERPOLATED).tolist() == [19, 20, 21]
    assert (np.delete(moved.state[:99], 4, axis=1) == OBSERVED).all()
    assert (moved.state[99:] == ABSENT).all()
    np.testing.assert_allclose(moved.confidence[38:43, 0, 0], [1, 0.75, 0.5, 0.75, 1])
    np.testing.assert_allclose(moved.time, np.arange(119) / 60)


def test_repetition_keeps_everything_else_in_step() -> None:
    """Frames 0 1 2 3 of a person, 0 1 2 3 0 1 2 of the result; the second person is never there."""
    valid = np.zeros((4, 2))
    valid[:, 0] = 1
    state, confidence = np.ones((4, 19, 2)), np.full((4, 19, 2), 0.5)
    state[1, 5, 0] = INTERPOLATED
    confidence[2] = 0.9
    truth = np.zeros((4, 19))
    truth[3] = 1
    fields = {"state": state, "confidence": confidence, "truth": truth, "distractor": ~(truth > 0)}
    found = repeat(drifting(frames=4, persons=2, valid=valid, fps=10, **fields), 7)
    before = drifting(frames=4).positions
    np.testing.assert_allclose(found.positions[1:, 4:7, :, 0], before[1:, :3, :, 0])
    assert found.valid[:, 0].all()
    assert not found.valid[:, 1].any()
    assert not found.positions[..., 1].any()
    assert found.state[:, 5, 0].tolist() == [1, 2, 1, 1, 2, 2, 2]
    assert (found.state[..., 1] == ABSENT).all()
    np.testing.assert_allclose(
        found.confidence[:, 0, 0], [0.5, 0.5, 0.9, 0.5, np.nan, np.nan, np.nan], rtol=1e-6
    )
    assert found.truth[:, 0].tolist() == [False] * 3 + [True] + [False] * 3
    assert found.distractor[:, 0].tolist() == [True] * 3 + [False] + [True] * 3
    np.testing.assert_allclose(found.time, np.arange(7) / 10)
    assert found.notes["repeated"] == 3


def test_a_long_recording_is_repeated_up_to_its_own_length_only() -> None:
    valid = np.ones((6, 2))
    valid[:4, 1] = 0
    found = repeat(drifting(frames=6, persons=2, valid=valid), 3)
    assert found.frames == 6
    assert found.valid.all()
    np.testing.assert_allclose(
        found.positions[0, :, 0, 1], drifting(frames=6).positions[0, [4, 5] * 3, 0, 0]
    )
