from __future__ import annotations

import numpy as np
import pytest
from fixtures.recordings import BODIES

from hargcn.data.planted.signs import KINDS, Change, Sign, apply_change, carried
from hargcn.data.planted.synthetic import SyntheticConfig, moving_bodies
from hargcn.skeleton import skeleton

FPS = 30.0


def moving(layout: str, frames: int = 60) -> np.ndarray:
    """(C, T, V) of a body that moves all its joints."""
    recording = next(
        moving_bodies(SyntheticConfig(skeleton=layout, recordings=1, frames=(frames,) * 2))
    )
    return recording.positions[..., 0].astype(np.float64)


def lengths(positions: np.ndarray, layout: str) -> np.ndarray:
    joints, parents = np.array(skeleton(layout).bones).T
    return np.linalg.norm(positions[:, :, joints] - positions[:, :, parents], axis=0)


def arm(angle: np.ndarray) -> np.ndarray:
    """(3, T, 20) a body at rest whose right upper arm points down, turned by (T,) radians."""
    layout = skeleton("kinect20")
    positions = np.zeros((3, len(angle), 20))
    places = {
        "hip_center": (0, 0, 3),
        "spine": (0, 0.25, 3),
        "shoulder_center": (0, 0.5, 3),
        "left_shoulder": (0.2, 0.5, 3),
        "right_shoulder": (-0.2, 0.5, 3),
    }
    for joint, place in places.items():
        positions[:, :, layout.index(joint)] = np.array(place)[:, None]
    down = np.stack([-np.sin(angle), -np.cos(angle), np.zeros_like(angle)])
    for at, joint in enumerate(["elbow", "wrist", "hand"], start=1):
        shoulder = positions[:, :, layout.index("right_shoulder")]
        positions[:, :, layout.index(f"right_{joint}")] = shoulder + 0.25 * at * down
    return positions


def angles(positions: np.ndarray) -> np.ndarray:
    """(T,) how far the right upper arm is lifted from hanging, towards the person's right."""
    layout = skeleton("kinect20")
    elbow, shoulder = layout.index("right_elbow"), layout.index("right_shoulder")
    bone = positions[:, :, elbow] - positions[:, :, shoulder]
    return np.arctan2(-bone[0], -bone[1])


def whole(sign: Sign, frames: int, joint: str = "right_elbow", **fields: object) -> Change:
    at = skeleton("kinect20").index(joint)
    return Change(sign, at, 0, frames, fade_in=False, fade_out=False, **fields)


@pytest.mark.parametrize("layout", BODIES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sign_moves_its_mask_only_and_keeps_bone_lengths(layout: str, kind: str) -> None:
    bones, sign = skeleton(layout), Sign(kind=kind)
    change = Change(sign, sign.joint_of(bones), 20, 45, phase=1.0, axis=(0.3, -0.5, 0.8))
    before = moving(layout)
    after = apply_change(before, change, bones, FPS)
    mask = change.mask(bones, 60)
    moved = np.linalg.norm(after - before, axis=0)
    assert moved[~mask].max() == 0
    middle = moved[25:40, carried(bones, change.joint)]
    assert (middle.max(axis=0) > 1e-3 * lengths(before, layout).mean()).all()
    np.testing.assert_allclose(lengths(after, layout), lengths(before, layout), atol=1e-12)


@pytest.mark.parametrize("layout", ["ntu25", "inmotion29"])
@pytest.mark.parametrize(
    "sign",
    [
        Sign(kind="tremor", size=0),
        Sign(kind="raise", size=0),
        Sign(kind="bend", size=0),
        Sign(kind="tempo", size=1),
        Sign(kind="amplitude", size=1),
        Sign(kind="still", size=1),
        Sign(kind="asymmetry", size=1e9),
    ],
    ids=KINDS,
)
def test_a_sign_without_size_changes_nothing(layout: str, sign: Sign) -> None:
    before = moving(layout)
    change = Change(sign, sign.joint_of(skeleton(layout)), 5, 50)
    after = apply_change(before, change, skeleton(layout), FPS)
    np.testing.assert_allclose(after, before, atol=1e-7)


def test_tremor_has_the_frequency_and_the_arc_it_is_given() -> None:
    still = arm(np.zeros(120))
    tremor = whole(Sign(kind="tremor", size=0.1, frequency=5), 120, phase=np.pi / 2)
    swing = angles(apply_change(still, tremor, skeleton("kinect20"), FPS))
    # Trunk 0.5, bone 0.25: an arc of 0.1 trunk lengths is 0.2 radians.
    assert np.abs(swing).max() == pytest.approx(0.2, rel=1e-6)
    spectrum = np.abs(np.fft.rfft(swing))
    assert np.fft.rfftfreq(120, 1 / FPS)[spectrum.argmax()] == 5


def test_raise_lifts_the_whole_arm_outwards_as_far_as_asked() -> None:
    still = arm(np.zeros(40))
    layout = skeleton("kinect20")
    raised = apply_change(still, whole(Sign(kind="raise", size=0.3), 40), layout, FPS)
    np.testing.assert_allclose(angles(raised), 0.6, atol=1e-9)
    hand = raised[:, :, layout.index("right_hand")] - still[:, :, layout.index("right_hand")]
    assert (hand[0] < -0.3).all()
    assert (hand[1] > 0.1).all()
    mirrored = apply_change(
        still * np.array([-1, 1, 1])[:, None, None],
        whole(Sign(kind="raise", size=0.3), 40),
        layout,
        FPS,
    )
    np.testing.assert_allclose(mirrored[0], -raised[0], atol=1e-9)


def test_raise_stops_at_a_right_angle() -> None:
    raised = apply_change(
        arm(np.zeros(20)), whole(Sign(kind="raise", size=9), 20), skeleton("kinect20"), FPS
    )
    np.testing.assert_allclose(angles(raised), np.pi / 2)


def test_raise_in_the_image_plane_goes_up() -> None:
    layout, before = skeleton("inmotion29"), moving("inmotion29")
    before[:] = before[:, :1]
    joint = layout.index("right_elbow")
    after = apply_change(before, Change(Sign(kind="raise"), joint, 10, 50), layout, FPS)
    assert (after[1, 25:35, joint] < before[1, 25:35, joint]).all()


def test_bend_turns_one_bone_and_carries_the_rest_unturned() -> None:
    layout, still = skeleton("kinect20"), arm(np.zeros(30))
    bent = apply_change(still, whole(Sign(kind="bend", size=0.3), 30), layout, FPS)
    np.testing.assert_allclose(angles(bent), 0.6, atol=1e-9)
    wrist, hand = layout.index("right_wrist"), layout.index("right_hand")
    np.testing.assert_allclose(
        bent[:, :, hand] - bent[:, :, wrist], still[:, :, hand] - still[:, :, wrist], atol=1e-12
    )


@pytest.mark.parametrize("pace", [0.4, 1.5])
def test_tempo_multiplies_a_constant_angular_speed(pace: float) -> None:
    turning = arm(np.linspace(-0.8, 0.8, 61))
    change = whole(Sign(kind="tempo", size=pace), 61)
    slower = angles(apply_change(turning, change, skeleton("kinect20"), FPS))
    middle = slice(12, 49)  # a faster limb runs back and forth at the ends
    np.testing.assert_allclose(np.diff(slower)[middle], pace * 1.6 / 60, rtol=1e-2)
    assert slower[30] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("factor", [0.0, 0.25, 2.0])
def test_amplitude_multiplies_swing_and_speed(factor: float) -> None:
    swing = 0.3 * np.sin(np.linspace(0, 4 * np.pi, 81))
    change = whole(Sign(kind="amplitude", size=factor), 81)
    scaled = angles(apply_change(arm(swing), change, skeleton("kinect20"), FPS))
    np.testing.assert_allclose(scaled, factor * swing, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_observed_stays_so_and_spreads_nowhere(kind: str) -> None:
    layout, positions = skeleton("kinect20"), moving("kinect20")
    positions[:, 25:30, layout.index("right_wrist")] = np.nan
    change = Change(Sign(kind=kind), layout.index("right_elbow"), 10, 50)
    after = apply_change(positions, change, layout, FPS)
    np.testing.assert_array_equal(np.isnan(after), np.isnan(positions))
    assert not np.allclose(after[:, 12:20], positions[:, 12:20])


def test_still_takes_the_fast_movement_away_and_leaves_the_slow_one() -> None:
    time = np.arange(240) / FPS
    slow, fast = 0.4 * np.sin(2 * np.pi * 0.25 * time), 0.05 * np.sin(2 * np.pi * 4 * time)
    layout, middle = skeleton("kinect20"), slice(30, 210)  # the smoothing reads beyond the ends
    bare = whole(Sign(kind="still", frequency=1), 240)
    left = angles(apply_change(arm(slow + fast), bare, layout, FPS))
    # A quarter of the cut-off passes by exp(-ln(2) / 32), four times the cut-off by exp(-8 ln 2).
    np.testing.assert_allclose(left[middle], (0.5 ** (1 / 32) * slow)[middle], atol=2e-3)
    half = whole(Sign(kind="still", size=0.5, frequency=1), 240)
    both = angles(apply_change(arm(fast), half, layout, FPS))
    np.testing.assert_allclose(both[middle], 0.5 * fast[middle], atol=1e-3)


def two_arms(right: np.ndarray, left: np.ndarray) -> np.ndarray:
    """(3, T, 20) a body whose arms hang down and are turned by (T,) radians each."""
    layout, positions = skeleton("kinect20"), arm(right)
    mirror = arm(left) * np.array([-1, 1, 1])[:, None, None]
    for joint in ("elbow", "wrist", "hand"):
        own, other = layout.index(f"left_{joint}"), layout.index(f"right_{joint}")
        positions[:, :, own] = mirror[:, :, other]
    return positions


@pytest.mark.parametrize(
    ("mirror", "left"), [(0.5, 0.1), (1.0, 0.2), (2.0, 0.4), (9.0, 1.0)], ids=str
)
def test_asymmetry_is_a_relation_between_the_two_sides(mirror: float, left: float) -> None:
    """The swing that is left is 0.2 times that of the other side, and never more than before."""
    swing = 0.15 * np.sin(np.linspace(0, 4 * np.pi, 81))
    body = two_arms(swing, mirror * swing)
    lame = whole(Sign(kind="asymmetry", size=0.2), 81)
    after = apply_change(body, lame, skeleton("kinect20"), FPS)
    np.testing.assert_allclose(angles(after), left * swing, atol=1e-6)


def test_an_asymmetry_needs_another_side() -> None:
    with pytest.raises(ValueError, match="Expected a joint of ntu25 with a mirror.*'head'"):
        Sign(kind="asymmetry", joint="head").joint_of(skeleton("ntu25"))


def test_a_weaker_asymmetry_allows_more_swing() -> None:
    sign = Sign(kind="asymmetry", size=0.25)
    assert [sign.times(share).size for share in (1, 0.5, 0)] == [0.25, 0.5, np.inf]


def test_a_sign_grows_and_fades_only_inside_a_recording() -> None:
    sign = Sign()
    inside = Change(sign, 7, 10, 40).weight()
    assert inside.min() > 0
    assert inside.max() == 1
    np.testing.assert_allclose(inside, inside[::-1])
    at_the_start = Change(sign, 7, 0, 30, fade_in=False).weight()
    assert (at_the_start[:15] == 1).all()
    assert at_the_start[-1] < 0.1


def test_carried_joints_follow_their_parents() -> None:
    layout = skeleton("ntu25")
    wrist = [layout.joints[j] for j in carried(layout, layout.index("right_wrist"))]
    assert wrist == ["right_wrist", "right_hand", "right_thumb", "right_hand_tip"]


@pytest.mark.parametrize(
    ("layout", "joint"),
    [
        ("minirgbd14", "head"),
        ("ntu25", "spine_base"),
        ("coco17", "left_hip"),
        ("ntu25", "spine_mid"),
    ],
)
def test_a_sign_must_not_carry_the_whole_body(layout: str, joint: str) -> None:
    with pytest.raises(ValueError, match=f"Expected a joint of a limb of {layout}.*'{joint}'"):
        Sign(joint=joint).joint_of(skeleton(layout))


def test_unknown_joints_are_named() -> None:
    with pytest.raises(ValueError, match="right_wirst.*did you mean 'right_wrist'"):
        Sign(joint="right_wirst").joint_of(skeleton("ntu25"))


def test_sizes_have_defaults_and_bounds() -> None:
    assert Sign(kind="tempo").size < 1
    assert Sign(kind="tremor", size=0.2).size == 0.2
    assert [Sign(kind=kind).frequency for kind in ("tremor", "still")] == [5, 1]
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        Sign(size=-1)


def test_a_joint_without_a_partner_can_be_raised() -> None:
    layout = skeleton("ntu25")
    sign, before = Sign(kind="raise", joint="head"), moving("ntu25")
    after = apply_change(before, Change(sign, sign.joint_of(layout), 20, 45), layout, FPS)
    assert np.abs(after - before)[:, 25:40, layout.index("head")].max() > 0.01
    np.testing.assert_allclose(lengths(after, "ntu25"), lengths(before, "ntu25"), atol=1e-12)
