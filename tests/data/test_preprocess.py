from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fixtures.recordings import body, drifting
from hypothesis import given, settings
from hypothesis import strategies as st

import hargcn
from hargcn.data.preprocess import PRESETS, PreprocessConfig, preprocess
from hargcn.data.recording import Recording

LAYOUTS = ("inmotion29", "minirgbd14", "coco17", "ntu25", "kinect20")


def trunk(recording: Recording) -> np.ndarray:
    """(C, T, M) from the lower to the upper end of the trunk."""
    lower, upper = recording.skeleton.trunk
    ends = [recording.positions[:, :, list(group)].mean(axis=2) for group in (lower, upper)]
    return ends[1] - ends[0]


def turned(recording: Recording, matrix: np.ndarray, shift: float = 0.0) -> Recording:
    positions = np.einsum("ij,jtvm->itvm", matrix, recording.positions) + shift
    return drifting(
        frames=recording.frames,
        layout=recording.skeleton.name,
        persons=recording.persons,
        positions=positions,
    )


def rotation(angle: float, ndim: int) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    plane = np.array([[c, -s], [s, c]])
    if ndim == 2:
        return plane
    about_z, about_x = np.eye(3), np.eye(3)
    about_z[:2, :2] = plane
    about_x[1:, 1:] = plane
    return about_z @ about_x


def test_defaults_change_nothing() -> None:
    recording = drifting()
    np.testing.assert_array_equal(
        preprocess(recording, PreprocessConfig()).positions, recording.positions
    )


def test_unknown_and_impossible_settings() -> None:
    with pytest.raises(ValueError, match="center"):
        PreprocessConfig(center="median")
    with pytest.raises(ValueError, match=r"Expected an odd width or 0 \(got 4\)"):
        PreprocessConfig(median=4)
    with pytest.raises(ValueError, match="less than 1"):
        PreprocessConfig(lowpass=1.5)


@pytest.mark.parametrize("fps", [15, 25, 30, 59.94])
def test_speed_in_units_per_second_survives_a_new_rate(fps) -> None:
    out = preprocess(drifting(frames=90, fps=fps, speed=2), PreprocessConfig(fps=30))
    assert out.fps == 30
    assert out.frames == int(89 / fps * 30 + 1e-6) + 1
    np.testing.assert_allclose(np.diff(out.positions[0, :, 3, 0]) * 30, 2, atol=1e-3)
    assert out.notes.get("resampled", 0) == (fps != 30)


def test_gaps_are_filled_before_the_rate_changes() -> None:
    positions = drifting(fps=60).positions.copy()
    positions[:, 21, 4] = np.nan
    out = preprocess(drifting(fps=60, positions=positions), PreprocessConfig(fps=30))
    assert out.valid.all()
    assert out.notes["interpolated"] == 1


def test_centre_median_puts_the_pelvis_at_the_origin() -> None:
    out = preprocess(drifting(frames=61), PreprocessConfig(centre="median"))
    pelvis = out.positions[:, :, out.skeleton.centre[0], 0]
    np.testing.assert_allclose(np.median(pelvis, axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(pelvis[0, [0, -1]], [-1, 1], atol=1e-6)


def test_centre_first_uses_the_first_real_frame_of_the_first_person() -> None:
    valid = np.ones((60, 2))
    valid[:12, 0] = 0
    recording = drifting(layout="ntu25", persons=2, valid=valid)
    out = preprocess(recording, PRESETS["ntu"])
    mid = out.skeleton.index("spine_mid")
    np.testing.assert_allclose(out.positions[:, 12, mid, 0], 0, atol=1e-6)
    # The other person moves along, so that the two keep their distance, and absence stays zero.
    np.testing.assert_allclose(out.positions[0, 0, mid, 1], -12 / 30, atol=1e-6)
    assert not out.positions[:, :12, :, 0].any()


def test_centre_frame_follows_every_person() -> None:
    out = preprocess(drifting(persons=2), PreprocessConfig(centre="frame"))
    lower, upper = out.skeleton.trunk
    middle = out.positions[:, :, [lower[0], upper[0]]].mean(axis=2)
    np.testing.assert_allclose(middle, 0, atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_scale_makes_the_trunk_half_a_unit(layout) -> None:
    recording = drifting(layout=layout)
    big = drifting(layout=layout, positions=recording.positions * 7.5)
    out = preprocess(big, PreprocessConfig(scale="trunk"))
    np.testing.assert_allclose(np.linalg.norm(trunk(out), axis=0), 0.5, atol=1e-5)


def test_a_trunk_without_length() -> None:
    flat = drifting(positions=np.ones((2, 60, 19, 1)))
    with pytest.raises(ValueError, match=r"clip: expected a trunk longer than 0 \(got 0\)"):
        preprocess(flat, PreprocessConfig(scale="trunk"))
    for when in ("first", "median", "frame"):
        with pytest.raises(ValueError, match="clip: expected a trunk with a direction"):
            preprocess(flat, PreprocessConfig(rotate=when))


@pytest.mark.parametrize("when", ["first", "median", "frame"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_rotation_undoes_any_turn_and_keeps_distances(layout, when) -> None:
    upright = preprocess(drifting(layout=layout, speed=0), PreprocessConfig(rotate=when))
    sign = -1 if upright.skeleton.up == "-y" else 1
    np.testing.assert_allclose(trunk(upright)[1], sign, atol=1e-5)
    for angle in (0.3, 2.5, -1.5):
        matrix = rotation(angle, upright.skeleton.ndim)
        other = preprocess(
            turned(drifting(layout=layout, speed=0), matrix), PreprocessConfig(rotate=when)
        )
        np.testing.assert_allclose(other.positions, upright.positions, atol=1e-5)
    np.testing.assert_allclose(
        np.linalg.norm(upright.positions, axis=0),
        np.linalg.norm(drifting(layout=layout, speed=0).positions, axis=0),
        atol=1e-5,
    )


@pytest.mark.parametrize("layout", ["ntu25", "kinect20"])
def test_rotation_in_3d_lays_the_hips_along_x(layout) -> None:
    recording = drifting(layout=layout, speed=0)
    out = preprocess(turned(recording, rotation(0.7, 3)), PreprocessConfig(rotate="first"))
    left, right = out.skeleton.index("left_hip"), out.skeleton.index("right_hip")
    hips = (out.positions[:, :, right] - out.positions[:, :, left])[:, 0, 0]
    assert hips[0] > 0
    assert abs(hips[2]) < 1e-5
    # Left and right are not exchanged: the turn is a rotation, not a mirror.
    before, after = (
        np.linalg.det(r.positions[:, 0, [left, right, 5], 0]) for r in (recording, out)
    )
    assert before == pytest.approx(after, abs=1e-5)


def test_a_body_upright_already_stays() -> None:
    """In 2D nothing but the trunk counts, and `body` stands upright."""
    recording = drifting()
    out = preprocess(recording, PreprocessConfig(rotate="frame"))
    np.testing.assert_allclose(out.positions, recording.positions, atol=1e-6)


def test_rotation_in_3d_needs_hips() -> None:
    layout = hargcn.skeleton("kinect20").to_dict()
    layout["mirror"] = []
    positions = np.repeat(body("kinect20")[:, None, :, None], 5, axis=1)
    recording = Recording(
        positions, np.ones((5, 1)), 30, hargcn.Skeleton.from_dict(layout), "clip", "anna"
    )
    with pytest.raises(ValueError, match="kinect20: expected a mirror pair of joints named hip"):
        preprocess(recording, PreprocessConfig(rotate="first"))


def test_jitter_is_bounded_repeatable_and_differs_between_recordings() -> None:
    config = PreprocessConfig(jitter=0.5)
    one, again = (preprocess(drifting(), config).positions for _ in range(2))
    np.testing.assert_array_equal(one, again)
    noise = one - drifting().positions
    assert 0.45 < np.abs(noise).max() <= 0.5 + 1e-6
    other = preprocess(drifting(sample="other"), config).positions
    reseeded = preprocess(drifting(), PreprocessConfig(jitter=0.5, seed=1)).positions
    assert not np.allclose(one, other)
    assert not np.allclose(one, reseeded)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - {"ntu-published"}))  # that one repeats
def test_presets_keep_absence_zero_and_leave_no_gap(name) -> None:
    valid = np.ones((90, 2))
    valid[:20, 1] = valid[60:, 0] = 0
    layout = "ntu25" if name in ("ntu", "utd-mhad") else "inmotion29"
    recording = drifting(frames=90, layout=layout, persons=2, valid=valid, fps=30)
    positions = recording.positions.copy()
    positions[:, 30:33, 4] = np.nan
    out = preprocess(
        drifting(frames=90, layout=layout, persons=2, valid=valid, positions=positions),
        PRESETS[name],
    )
    assert np.isfinite(out.positions).all()
    np.testing.assert_array_equal(out.valid, recording.valid)
    assert not out.positions[:, :20, :, 1].any()
    assert not out.positions[:, 60:, :, 0].any()


@settings(max_examples=10, deadline=None)
@given(st.floats(0.5, 20), st.floats(-50, 50))
def test_the_cp_chain_forgets_size_and_place(size, shift) -> None:
    recording = drifting(layout="inmotion29")
    moved = drifting(layout="inmotion29", positions=recording.positions * size + shift)
    one, other = (preprocess(r, PRESETS["cp"]).positions for r in (recording, moved))
    np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_cp_chains_differ_in_settings_only() -> None:
    assert PRESETS["cp"].fps == PRESETS["cp-butterworth"].fps == 30
    assert (PRESETS["cp"].median, PRESETS["cp"].centre) == (5, "median")
    second = PRESETS["cp-butterworth"]
    assert (second.lowpass, second.lowpass_order, second.centre) == (0.5, 8, "frame")


def test_more_frames_than_memory_holds_are_refused() -> None:
    slow = drifting(fps=1e-3)
    with pytest.raises(
        ValueError, match=r"clip: expected at most 1000000 frames at 30 per second \(got"
    ):
        preprocess(slow, PreprocessConfig(fps=30))
    for setting in ("fps", "jitter", "max_gap"):
        for value in (float("inf"), float("nan")):
            with pytest.raises(ValueError, match=setting):
                PreprocessConfig(**{setting: value})


def test_a_layout_without_a_trunk_is_named_where_one_is_needed() -> None:
    layout = replace(hargcn.skeleton("inmotion19"), name="own", trunk=((), ()))
    recording = replace(drifting(), skeleton=layout)
    for step in ({"scale": "trunk"}, {"rotate": "first"}, {"centre": "frame"}):
        with pytest.raises(ValueError, match=r"layout with a trunk, .*\(skeleton 'own' has none\)"):
            preprocess(recording, PreprocessConfig(**step))
    assert preprocess(recording, PreprocessConfig(centre="median")).frames == 60


def test_shoulders_turn_bodies_of_three_coordinates_only() -> None:
    with pytest.raises(ValueError, match="expected 3 coordinates to turn by the shoulders"):
        preprocess(drifting(layout="inmotion29"), PRESETS["ntu-published"])


@pytest.mark.parametrize(("up", "axis", "sign"), [("y", 1, 1), ("-y", 1, -1), ("z", 2, 1)])
def test_by_the_shoulders_the_trunk_points_up_wherever_that_is(up, axis, sign) -> None:
    layout = hargcn.Skeleton.from_dict(hargcn.skeleton("ntu25").to_dict() | {"up": up})
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(3, 1, 25, 2)).repeat(4, axis=1)
    recording = Recording(positions, np.ones((4, 2)), 30, layout, "clip", "anna")
    out = preprocess(recording, PreprocessConfig(rotate="shoulders"))
    expected = np.zeros(3)
    expected[axis] = sign * np.linalg.norm(trunk(recording)[:, 0, 0])
    np.testing.assert_allclose(trunk(out)[:, 0, 0], expected, atol=1e-5)
    for person in range(2):  # one rotation for both, without a mirror
        before, after = (r.positions[:, 0, :3, person] for r in (recording, out))
        np.testing.assert_allclose(before.T @ before, after.T @ after, atol=1e-4)
        assert np.linalg.det(before) == pytest.approx(np.linalg.det(after), abs=1e-4)


def test_frames_without_the_person_do_not_move_the_centre() -> None:
    valid = np.ones((60, 1))
    valid[20:] = 0
    far = drifting(positions=drifting().positions + 5, valid=valid)
    out = preprocess(far, PreprocessConfig(centre="median"))
    pelvis = out.positions[:, :20, out.skeleton.centre[0], 0]
    np.testing.assert_allclose(np.median(pelvis, axis=1), 0, atol=1e-6)


def test_a_trunk_is_turned_upright_along_z_where_z_is_up() -> None:
    layout = hargcn.Skeleton.from_dict(hargcn.skeleton("ntu25").to_dict() | {"up": "z"})
    recording = Recording(
        drifting(layout="ntu25", speed=0).positions, np.ones((60, 1)), 30, layout, "clip", "anna"
    )
    for when in ("first", "frame"):
        out = preprocess(recording, PreprocessConfig(rotate=when))
        np.testing.assert_allclose(trunk(out)[:, 0, 0], [0, 0, 1], atol=1e-5)
        left, right = layout.index("left_hip"), layout.index("right_hip")
        hips = (out.positions[:, :, right] - out.positions[:, :, left])[:, 0, 0]
        assert hips[0] > 0
        assert abs(hips[1]) < 1e-5
        before, after = (
            np.linalg.det(r.positions[:, 0, [left, right, 5], 0]) for r in (recording, out)
        )
        assert before == pytest.approx(after, abs=1e-5)


def test_a_pelvis_of_two_hips_is_their_middle() -> None:
    skeleton = hargcn.skeleton("coco17")
    assert len(skeleton.centre) == 2
    recording = drifting(layout="coco17", positions=drifting(layout="coco17").positions + 3)
    out = preprocess(recording, PreprocessConfig(centre="median"))
    middle = out.positions[:, :, list(skeleton.centre), 0].mean(axis=2)
    np.testing.assert_allclose(np.median(middle, axis=1), 0, atol=1e-5)


def test_fewer_joints_are_found_by_name_and_keep_all_that_is_known_of_them() -> None:
    """Tempel et al. 2024 write of 19 key points of NTU RGB+D, whose code has all 25."""
    whole = drifting(layout="ntu25")
    marks = np.zeros((whole.frames, 25), bool)
    marks[3:, 8] = True  # right shoulder
    confidence = np.broadcast_to(np.arange(25)[:, None] / 25, whole.state.shape)
    whole = replace(whole, truth=marks, confidence=confidence)
    fewer = preprocess(whole, PreprocessConfig(layout="ntu19", centre="first"))
    kept = preprocess(whole, PreprocessConfig(centre="first"))
    assert fewer.skeleton == hargcn.skeleton("ntu19")
    for place, joint in enumerate(fewer.skeleton.joints):
        at = whole.skeleton.joints.index(joint)
        np.testing.assert_array_equal(fewer.positions[:, :, place], kept.positions[:, :, at])
        np.testing.assert_array_equal(fewer.state[:, place], kept.state[:, at])
        np.testing.assert_array_equal(fewer.confidence[:, place], kept.confidence[:, at])
    assert fewer.truth.sum() == marks.sum()
    assert fewer.truth[3:, fewer.skeleton.joints.index("right_shoulder")].all()


@pytest.mark.parametrize(
    ("layout", "said"),
    [
        ("coco17", "with the joints of layout coco17 .got no nose"),
        ("ntu18", "did you mean 'ntu19'"),
    ],
)
def test_joints_that_a_recording_lacks_are_refused(layout, said) -> None:
    with pytest.raises(ValueError, match=said):
        preprocess(drifting(layout="ntu25"), PreprocessConfig(layout=layout))
