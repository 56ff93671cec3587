from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from fixtures.recordings import BODIES
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hargcn.data.planted.planting import PlantConfig
from hargcn.data.planted.signs import Sign
from hargcn.data.planted.synthetic import (
    SyntheticConfig,
    forward_kinematics,
    generate,
    moving_bodies,
    rest_pose,
)
from hargcn.data.recording import Recording
from hargcn.networks.branches import branches
from hargcn.skeleton import names, skeleton


def bones(recording: Recording) -> np.ndarray:
    """(T, bones, M) lengths."""
    joints, parents = np.array(recording.skeleton.bones).T
    positions = recording.positions.astype(np.float64)
    return np.linalg.norm(positions[:, :, joints] - positions[:, :, parents], axis=0)


@pytest.mark.parametrize("layout", BODIES)
def test_bones_are_rigid_on_every_layout(layout: str) -> None:
    config = SyntheticConfig(skeleton=layout, recordings=4, subjects=2, frames=(60, 80))
    made = list(generate(config))
    for one in made:
        assert 60 <= one.frames <= 80
        assert np.ptp(bones(one), axis=0).max() < 1e-5
        assert one.positions.std(axis=1).min() > 0
    np.testing.assert_allclose(bones(made[0])[0], bones(made[2])[0], atol=1e-5)  # same subject
    assert np.abs(bones(made[0])[0] - bones(made[1])[0]).max() > 1e-3


@pytest.mark.parametrize("layout", ["ntu25", "inmotion29"])
def test_a_statue_does_not_move(layout: str) -> None:
    one = next(moving_bodies(SyntheticConfig(skeleton=layout, recordings=1, movement=0)))
    np.testing.assert_allclose(one.positions, one.positions[:, :1].repeat(90, 1), atol=1e-6)


def test_unturned_bones_stand_as_the_rest_pose_and_drift_with_the_root() -> None:
    layout = skeleton("ntu25")
    pose = rest_pose(layout)
    offsets = pose - pose[list(layout.parents)]
    origin = pose[1] + np.arange(10)[:, None] * [0.1, 0, 0]
    places = forward_kinematics(layout, offsets, np.zeros((10, 25, 3)), origin)
    np.testing.assert_allclose(places[0], pose, atol=1e-12)
    velocity = np.diff(places, axis=0)
    np.testing.assert_allclose(velocity, np.broadcast_to([0.1, 0, 0], velocity.shape), atol=1e-12)


def test_a_constant_turn_moves_a_joint_on_a_circle_at_constant_speed() -> None:
    layout = skeleton("kinect20")
    pose = rest_pose(layout)
    offsets = pose - pose[list(layout.parents)]
    knee, hip = layout.index("left_knee"), layout.index("left_hip")
    turns = np.zeros((30, 20, 3))
    turns[:, knee, 2] = 0.1 * np.arange(30)
    places = forward_kinematics(layout, offsets, turns, np.zeros((30, 3)))
    arm = (places - places[:, [hip]])[..., :2]
    phase = np.unwrap(np.arctan2(arm[:, knee, 1], arm[:, knee, 0]))
    np.testing.assert_allclose(np.diff(phase), 0.1)
    shank = places[:, layout.index("left_ankle")] - places[:, knee]
    phase = np.unwrap(np.arctan2(shank[:, 1], shank[:, 0]))
    np.testing.assert_allclose(np.diff(phase), 0.1)  # turned along with the thigh
    still = [j for j, n in enumerate(layout.joints) if not n.startswith("left_")]
    assert np.ptp(places[:, still], axis=0).max() == 0


def test_bodies_are_drawn_the_right_way_up_and_round() -> None:
    for layout, up in (("ntu25", 1), ("inmotion29", -1)):
        pose = next(moving_bodies(SyntheticConfig(skeleton=layout, recordings=1))).positions.mean(
            1
        )[..., 0]
        index = skeleton(layout).index
        assert up * (pose[1, index("left_shoulder")] - pose[1, index("left_ankle")]) > 0
        assert pose[0, index("left_shoulder")] > pose[0, index("right_shoulder")]


def test_infants_fit_the_picture() -> None:
    config = SyntheticConfig(skeleton="inmotion29", recordings=20)
    positions = np.concatenate([one.positions for one in moving_bodies(config)], axis=1)
    inside = ((positions > -0.1) & (positions < 1.1)).mean()
    assert inside > 0.99


def test_movement_is_smooth() -> None:
    one = next(moving_bodies(SyntheticConfig(recordings=1, frames=(300, 300))))
    path = one.positions[:, :, skeleton("ntu25").index("left_wrist"), 0]
    window = np.hanning(300)
    power = np.abs(np.fft.rfft((path - path.mean(axis=1, keepdims=True)) * window)) ** 2
    fast = np.fft.rfftfreq(300, 1 / 30) > 4
    assert power[:, fast].sum() < 1e-3 * power.sum()


def test_persons_stand_side_by_side_and_the_first_bears_the_sign() -> None:
    config = SyntheticConfig(recordings=4, persons=2)
    for plain, one in zip(moving_bodies(config), generate(config), strict=True):
        np.testing.assert_array_equal(plain.positions[..., 1], one.positions[..., 1])
        assert (plain.positions[..., 0] != one.positions[..., 0]).any()
        apart = one.positions[0].mean(axis=(0, 1))
        assert apart[1] > apart[0]


def test_the_seed_decides_everything() -> None:
    config = SyntheticConfig(recordings=6, frames=(60, 90))
    first, again = list(generate(config)), list(generate(config))
    for one, same in zip(first, again, strict=True):
        assert one.positions.tobytes() == same.positions.tobytes()
        np.testing.assert_array_equal(one.truth, same.truth)
    other = list(generate(config.model_copy(update={"seed": 1})))
    assert first[0].positions.tobytes() != other[0].positions.tobytes()
    other_signs = generate(config.model_copy(update={"seed": 1, "frames": (90, 90)}))
    same_length = generate(config.model_copy(update={"frames": (90, 90)}))
    pairs = list(zip(same_length, other_signs, strict=True))
    assert any((one.distractor != two.distractor).any() for one, two in pairs)


# What a linear probe sees of a joint: mean squared acceleration for a tremor, spread for a swing,
# mean height for a raised arm.
def liveliness(one: Recording) -> np.ndarray:
    return np.log(np.square(np.diff(one.positions[..., 0], n=2, axis=1)).mean(axis=(0, 1)))


def speed(one: Recording) -> np.ndarray:
    return np.log(np.square(np.diff(one.positions[..., 0], axis=1)).mean(axis=(0, 1)))


def height(one: Recording) -> np.ndarray:
    vertical = one.positions[1, :, :, 0]
    return (vertical - vertical[:, [one.skeleton.reference]]).mean(axis=0)


def probed(columns: np.ndarray, made: list[Recording]) -> float:
    """Return a linear probe's accuracy on subjects that it has not seen."""
    labels = np.array([one.label for one in made])
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1))
    groups = [one.group for one in made]
    told = cross_val_predict(probe, columns, labels, groups=groups, cv=GroupKFold(5))
    return float((told == labels).mean())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "kind", "share", "see"),
    [
        ("ntu25", "tremor", 0.3, liveliness),
        ("inmotion29", "tremor", 0.3, liveliness),
        ("ntu25", "amplitude", 1.0, speed),
        ("inmotion29", "raise", 1.0, height),
    ],
)
def test_a_linear_probe_finds_the_class_at_the_truth_and_nowhere_else(
    layout: str, kind: str, share: float, see: Callable[[Recording], np.ndarray]
) -> None:
    plant = PlantConfig(classes={"without": None, "with": Sign(kind=kind)}, share=share)
    made = list(generate(SyntheticConfig(skeleton=layout, frames=(60, 60), plant=plant)))
    features = np.array([see(one) for one in made])
    true = np.any([one.truth.any(axis=0) for one in made], axis=0)
    assert probed(features[:, true], made) > 0.75
    half = 1.96 * 0.5 / np.sqrt(len(made))
    assert abs(probed(features[:, ~true], made) - 0.5) < half


def test_signs_stand_in_the_branches_they_are_said_to() -> None:
    def shown(kind: str, summary: Callable[..., np.ndarray]) -> dict[str, float]:
        """Probe each branch's summary over time at the joints of a sign that lasts throughout."""
        plant = PlantConfig(classes={"without": None, "with": Sign(kind=kind)}, share=1)
        made = list(generate(SyntheticConfig(recordings=160, frames=(60, 60), plant=plant)))
        joints = np.any([one.truth.any(axis=0) for one in made], axis=0)
        positions = torch.tensor(np.stack([one.positions for one in made]))
        values = branches(positions, made[0].skeleton).numpy()[..., :56, joints, 0]
        seen = summary(values, axis=3).reshape(160, 4, -1)
        return {name: probed(seen[:, at], made) for at, name in enumerate("JVBA")}

    tremor = shown("tremor", lambda values, axis: np.log(values.std(axis=axis) + 1e-6))
    assert tremor["A"] > 0.9
    assert max(tremor["J"], tremor["B"]) < 0.6 < tremor["V"]
    bend = shown("bend", np.mean)
    assert bend["B"] > 0.9 > bend["J"]
    assert max(bend["V"], bend["A"]) < 0.65


def test_layouts_with_other_joints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bird.yaml"
    layout = yaml.safe_dump(skeleton("coco17").to_dict())
    path.write_text(layout.replace("nose", "beak"))
    with pytest.raises(ValueError, match=r"as in ntu25 or inmotion29 .got coco17 with beak\)"):
        SyntheticConfig(skeleton=str(path))


@pytest.mark.parametrize("name", sorted(set(names()) - set(BODIES)))
def test_faces_and_fingers_are_refused_in_a_line(name: str) -> None:
    with pytest.raises(ValueError, match=rf"without face and fingers.*got {name} with .* more"):
        rest_pose(skeleton(name))


def test_frames_must_be_in_order() -> None:
    with pytest.raises(ValueError, match=r"Expected frames \(fewest, most\)"):
        SyntheticConfig(frames=(90, 60))


@pytest.mark.parametrize("name", BODIES)
def test_a_body_at_rest_has_human_proportions(name: str) -> None:
    layout = skeleton(name)
    pose = dict(zip(layout.joints, rest_pose(layout), strict=True))
    for joint, parent in layout.bones:
        ends = pose[layout.joints[joint]], pose[layout.joints[parent]]
        assert 0 < np.linalg.norm(ends[0] - ends[1]) < 0.6  # metres; the trunk is the longest
    downwards = [
        ("nose", "left_shoulder"), ("left_eye", "left_shoulder"), ("head", "left_shoulder"),
        ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"), ("left_wrist", "left_hand"),
        ("left_hand", "left_hand_tip"), ("left_hip", "left_knee"), ("left_knee", "left_ankle"),
        ("left_ankle", "left_foot"), ("left_ankle", "left_heel"), ("left_heel", "left_big_toe"),
    ]  # fmt: skip
    for above, below in downwards:
        if above in pose and below in pose:
            assert pose[above][1] > pose[below][1], (above, below)
    for joint, place in pose.items():
        if joint.startswith("left_"):
            np.testing.assert_allclose(pose[joint.replace("left_", "right_")], place * [-1, 1, 1])
            assert place[0] > 0
        elif layout.ndim == 3:
            assert abs(place[0]) < 1e-9 or joint.startswith("right_")
    if layout.ndim == 3:  # z to the back: feet point forwards, as the face does
        for toes in {"left_foot", "left_foot_index"} & set(pose):
            assert pose[toes][2] < pose["left_ankle"][2]


def test_movement_has_the_waves_that_are_promised() -> None:
    """Five waves of 0.1 to 0.9 Hz, a third faster or slower by the person's pace."""
    fast, total = 0.0, 0.0
    for one in moving_bodies(SyntheticConfig(recordings=12, subjects=12, frames=(900, 900))):
        path = one.positions[:, :, skeleton("ntu25").index("left_elbow"), 0]
        turned = (path - path.mean(axis=1, keepdims=True)) * np.hanning(900)
        power = (np.abs(np.fft.rfft(turned)) ** 2).sum(axis=0)
        frequency = np.fft.rfftfreq(900, 1 / 30)
        fast += power[frequency > 1].sum()
        total += power.sum()
    assert 0.001 < fast / total < 0.1
