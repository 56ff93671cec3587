from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.recordings import drifting
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.data.cutting import WindowConfig, cut


def windows(recording, **choices) -> list:
    return list(cut(recording, WindowConfig(**choices)))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 80), st.integers(1, 30), st.data())
def test_sliding_windows_cover_every_frame_and_are_copies_of_it(frames, length, data) -> None:
    overlap = data.draw(st.integers(0, length - 1))
    recording = drifting(frames=frames)
    covered = np.zeros(frames, dtype=bool)
    found = windows(recording, length=length, overlap=overlap)
    for window in found:
        stop = min(window.start + length, frames)
        here = window.arrays["positions"][:, : stop - window.start]
        np.testing.assert_array_equal(here, recording.positions[:, window.start : stop])
        covered[window.start : stop] = True
    assert covered.all()
    starts = [window.start for window in found]
    assert starts[-1] == max(0, frames - length)  # right-aligned
    assert set(np.diff(starts)[:-1]) <= {length - overlap}
    assert all(0 < step <= length - overlap for step in np.diff(starts))


def test_the_papers_windows() -> None:
    found = windows(drifting(frames=1000))
    assert [window.start for window in found] == [*range(0, 826, 75), 850]


def test_a_short_recording_is_padded_with_absence() -> None:
    truth = np.ones((60, 19))
    (window,) = windows(drifting(truth=truth), length=100, overlap=50)
    assert window.arrays["positions"].shape == (2, 100, 19, 1)
    assert not window.arrays["positions"][:, 60:].any()
    assert window.arrays["valid"][:, 0].tolist() == [True] * 60 + [False] * 40
    assert window.arrays["truth"].sum() == 60 * 19
    assert "distractor" not in window.arrays


def test_whole_resampled_runs_from_first_to_last_sight() -> None:
    valid = np.zeros((60, 1))
    valid[10:51] = 1
    (window,) = windows(drifting(valid=valid), mode="whole", length=81)
    assert window.start == 10
    assert window.arrays["valid"].all()
    x = window.arrays["positions"][0, :, 0, 0]
    original = drifting().positions[0, :, 0, 0]
    np.testing.assert_allclose(x[[0, 40, 80]], original[[10, 30, 50]], atol=1e-6)
    np.testing.assert_allclose(np.diff(x), 0.5 / 30, atol=1e-6)


def test_whole_padded() -> None:
    valid = np.zeros((60, 1))
    valid[10:51] = 1
    (window,) = windows(drifting(valid=valid), mode="whole", fit="pad", length=80)
    assert window.start == 10
    np.testing.assert_array_equal(
        window.arrays["positions"][:, :41], drifting().positions[:, 10:51]
    )
    assert window.arrays["valid"].sum() == 41
    assert not window.arrays["positions"][:, 41:].any()
    (longer,) = windows(drifting(), mode="whole", fit="pad", length=30)
    np.testing.assert_allclose(
        longer.arrays["positions"][:, [0, -1]], drifting().positions[:, [0, -1]], atol=1e-6
    )
    (exact,) = windows(drifting(), mode="whole", fit="pad", length=60)
    np.testing.assert_array_equal(exact.arrays["positions"], drifting().positions)


def test_empty_windows_and_those_with_too_little_are_left_out() -> None:
    valid = np.ones((60, 1))
    valid[15:50] = 0
    recording = drifting(valid=valid)
    sliding = {"length": 10, "overlap": 0}
    assert [w.start for w in windows(recording, **sliding)] == [0, 10, 50]
    assert [w.start for w in windows(recording, min_valid=0.5, **sliding)] == [0, 10, 50]
    assert [w.start for w in windows(recording, min_valid=0.6, **sliding)] == [0, 50]


def test_gaps_are_refused() -> None:
    positions = drifting().positions.copy()
    positions[:, 5, 3] = np.nan
    with pytest.raises(ValueError, match=r"clip: expected positions without gaps \(got NaN\)"):
        windows(replace(drifting(), positions=positions))


def test_windows_must_move() -> None:
    with pytest.raises(ValueError, match=r"an overlap below the length 50 \(got 75\)"):
        WindowConfig(length=50, overlap=75)
    assert (WindowConfig(length=51).shared, WindowConfig(length=1).shared) == (25, 0)
    assert WindowConfig(mode="whole", length=50).length == 50


def test_a_resampled_window_has_its_own_rate_and_keeps_its_seconds() -> None:
    """32 frames at 15 per second last 31/15 s, however many frames a window makes of them."""
    (window,) = windows(drifting(frames=32, fps=15), mode="whole", length=48)
    seconds = window.arrays["time"]
    assert seconds[0] == 0
    assert seconds[-1] == pytest.approx(31 / 15, abs=1e-9)
    assert seconds[-1] != pytest.approx(3.13, abs=0.05)  # 47 frames at the recording's rate
    assert window.fps == pytest.approx(47 / (31 / 15))
    np.testing.assert_allclose(np.diff(seconds), 1 / window.fps, atol=1e-6)


def test_seconds_count_from_the_start_of_the_recording() -> None:
    found = windows(drifting(frames=60, fps=20), length=20, overlap=10)
    for window in found:
        np.testing.assert_allclose(window.arrays["time"], (window.start + np.arange(20)) / 20)
        assert window.fps == 20
    (padded,) = windows(drifting(frames=5, fps=20), length=8, overlap=0)
    np.testing.assert_allclose(padded.arrays["time"], np.arange(8) / 20)


def test_states_and_confidence_are_cut_alike_and_absent_past_the_end() -> None:
    state, confidence = np.ones((12, 19, 1)), np.full((12, 19, 1), 0.5)
    state[3, 4] = 2
    recording = drifting(frames=12, state=state, confidence=confidence)
    (window,) = windows(recording, length=16, overlap=0)
    assert window.arrays["state"][3, 4, 0] == 2
    assert (window.arrays["state"][12:] == 0).all()
    assert np.isnan(window.arrays["confidence"][12:]).all()
    assert window.arrays["confidence"][2, 4, 0] == 0.5
    assert "confidence" not in windows(drifting(), length=20, overlap=0)[0].arrays


def test_a_single_frame_resampled_lasts_no_time() -> None:
    (window,) = windows(drifting(frames=1, fps=25), mode="whole", length=4)
    assert window.arrays["time"].tolist() == [0, 0, 0, 0]
    assert window.fps == 25


def test_first_takes_the_first_frames_once() -> None:
    config = WindowConfig(mode="first", length=20)
    (window,) = cut(drifting(frames=50, speed=2), config)
    assert window.start == 0
    np.testing.assert_array_equal(
        window.arrays["positions"], drifting(frames=50, speed=2).positions[:, :20]
    )
    (window,) = cut(drifting(frames=8), config)
    assert window.arrays["valid"].any(axis=1).tolist() == [True] * 8 + [False] * 12
