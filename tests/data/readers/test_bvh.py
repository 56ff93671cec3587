"""BVH by hand: the body of `fixtures.motion_files`, whose bones are a few units long."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hargcn.data.readers import find_reader
from hargcn.data.readers.bvh import BVH
from tests.fixtures.motion_files import CHANNELS, bvh

# Places of channels in a line: Hips 0-5, Chest 6, Neck 9, LeftArm 12, RightArm 15, RightHand 18.
REST = {
    "Hips": (0, 0, 0), "Chest": (0, 5, 0), "Neck": (0, 7, 0), "Neck_end": (0, 8, 0),
    "LeftArm": (2, 6, 0), "LeftArm_end": (5, 6, 0), "RightArm": (-2, 6, 0),
    "RightHand": (-5, 6, 0), "RightHand_end": (-5, 6, 1), "LeftLeg": (1, -1, 0),
    "LeftLeg_end": (1, -7, 0), "RightLeg": (-1, -1, 0), "RightLeg_end": (-1, -7, 0),
}  # fmt: skip


def places(found: object, frame: int = 0) -> dict[str, tuple[float, ...]]:
    poses = found.positions[:, frame, :, 0].T.round(4)
    return {name: tuple(p + 0.0) for name, p in zip(found.skeleton.joints, poses, strict=True)}


def turned(tmp_path, **angles: float) -> dict[str, tuple[float, ...]]:
    """Where joints are with some channels set, by name `c<place>`."""
    motion = np.zeros((2, CHANNELS))
    for name, angle in angles.items():
        motion[0, int(name[1:])] = angle
    return places(BVH().read(bvh(tmp_path / "a.bvh", motion)))


def test_without_turns_offsets_add_up(tmp_path) -> None:
    path = bvh(tmp_path / "walk.bvh", np.zeros((3, CHANNELS)))
    assert find_reader(path) is BVH
    found = BVH().read(path)
    assert places(found, 2) == REST
    assert found.fps == 30  # 0.033333 s
    assert found.sample == "walk"


def test_a_root_that_passes_through_zero_was_seen_there(tmp_path) -> None:
    motion = np.zeros((3, CHANNELS))
    motion[:, 0] = (-1, 0, 1)
    assert BVH().read(bvh(tmp_path / "a.bvh", motion)).observed.all()


def test_the_root_moves_everything(tmp_path) -> None:
    expected = {name: (x + 1, y + 2, z + 3) for name, (x, y, z) in REST.items()}
    assert turned(tmp_path, c0=1, c1=2, c2=3) == expected


def test_a_quarter_turn_of_the_chest_about_z(tmp_path) -> None:
    """(x, y) -> (-y, x) about the chest at (0, 5): the arm at (2, 1) goes to (-1, 2)."""
    found = turned(tmp_path, c6=90)
    assert found["LeftArm"] == (-1, 7, 0)
    assert found["LeftArm_end"] == (-1, 10, 0)
    assert found["Neck"] == (-2, 5, 0)
    assert found["LeftLeg_end"] == REST["LeftLeg_end"]


def test_channels_turn_in_the_order_of_their_line(tmp_path) -> None:
    """The right arm is Y Z X: with Y and Z at 90 its hand, at (-3, 0, 0), is Ry(Rz(...)).

    Rz: (x, y, z) -> (-y, x, z) gives (0, -3, 0); Ry keeps that: 3 below the arm. In the other order
    Ry would give (0, 0, 3) first, which Rz keeps.
    """
    found = turned(tmp_path, c15=90, c16=90)
    assert found["RightHand"] == (-2, 3, 0)
    # The hand's end at (0, 0, 1): Rz keeps it, Ry: (x, y, z) -> (z, y, -x) gives (1, 0, 0).
    assert found["RightHand_end"] == (-1, 3, 0)


def test_random_turns_agree_with_scipy(tmp_path) -> None:
    motion = np.random.default_rng(0).uniform(-180, 180, (5, CHANNELS))
    motion[:, :3] = 0
    found = BVH().read(bvh(tmp_path / "a.bvh", motion))
    hips = Rotation.from_euler("ZXY", motion[:, 3:6], degrees=True)
    chest = hips * Rotation.from_euler("ZXY", motion[:, 6:9], degrees=True)
    arm = chest * Rotation.from_euler("YZX", motion[:, 15:18], degrees=True)
    hand = hips.apply([0, 5, 0]) + chest.apply([-2, 1, 0]) + arm.apply([-3, 0, 0])
    at = found.skeleton.index("RightHand")
    np.testing.assert_allclose(found.positions[:, :, at, 0].T, hand, atol=1e-4)


def test_positions_of_other_joints_replace_their_offset(tmp_path) -> None:
    path = bvh(tmp_path / "a.bvh", np.zeros((1, CHANNELS)))
    six = "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"
    text = path.read_text("utf-8").replace("OFFSET 0 0 0", "OFFSET 0 10 0")
    head, _, tail = text.partition("CHANNELS 3 Zrotation Xrotation Yrotation")
    text = f"{head}{six}{tail}".replace("MOTION", "MOTION ")
    *lines, row = text.rstrip().splitlines()
    cells = row.split()
    path.write_text("\n".join([*lines, " ".join([*cells[:6], "0", "4", "0", *cells[6:]])]), "utf-8")
    found = places(BVH().read(path))
    assert found["Hips"] == (0, 10, 0)
    assert found["Chest"] == (0, 14, 0)


def test_the_hierarchy_is_the_layout(tmp_path) -> None:
    path = bvh(tmp_path / "a.bvh", np.zeros((1, CHANNELS)))
    own = BVH().read(path).skeleton
    named = {part: [own.joints[at] for at in joints] for part, joints in own.parts.items()}
    assert named == {
        "torso": ["Hips", "Chest"],
        "Neck": ["Neck", "Neck_end"],
        "LeftArm": ["LeftArm", "LeftArm_end"],
        "RightArm": ["RightArm", "RightHand", "RightHand_end"],
        "LeftLeg": ["LeftLeg", "LeftLeg_end"],
        "RightLeg": ["RightLeg", "RightLeg_end"],
    }
    pairs = [(own.joints[left], own.joints[right]) for left, right in own.mirror]
    assert ("LeftArm", "RightArm") in pairs
    assert ("LeftLeg_end", "RightLeg_end") in pairs
    assert own.ends == ((0,), (1,))
    few = BVH(ends=False).read(path)
    assert few.skeleton.joints == ("Hips", "Chest", "Neck", "LeftArm", "RightArm", "RightHand",
                                   "LeftLeg", "RightLeg")  # fmt: skip


def test_a_layout_of_ones_own_takes_joints_by_name(tmp_path) -> None:
    path = bvh(tmp_path / "a.bvh", np.zeros((1, CHANNELS)))
    layout = tmp_path / "skeleton.yaml"
    layout.write_text(
        "{name: own, ndim: 3, joints: [Chest, Hips], edges: [[Chest, Hips]], "
        "parts: {all: [Chest, Hips]}}",
        "utf-8",
    )
    assert places(BVH(layout=layout).read(path)) == {"Chest": (0, 5, 0), "Hips": (0, 0, 0)}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("HIERARCHY", "HIERARCY", r"line 1: expected HIERARCHY \(got 'HIERARCY'\)"),
        ("OFFSET 0 5 0", "OFFSET 0 five 0", "line 8: expected a number as offset .got 'five'"),
        ("OFFSET 0 5 0", "OFFSET 0 nan 0", "line 8: expected a number as offset .got 'nan'"),
        ("Zrotation", "Wrotation", "line 5: expected a channel such as Xrotation .got 'Wrot"),
        ("CHANNELS 3", "CHANNELS 9", "line 9: expected up to 6 channels .got '9'"),
        ("JOINT Neck", "JOINT Chest", "line 10: expected up to 500 joints, each name once"),
        ("JOINT Neck", "BONE Neck", "line 10: expected OFFSET, CHANNELS, JOINT, End Site or }"),
        ("Frames: 4", "Frames: 5", "expected 5 lines of frames .got 4"),
        ("Frames: 4", "Frames: 0", "expected a number of frames from 1 .got '0'"),
        ("Time: 0.033333", "Time: 0", "expected seconds of a frame from 0.0001 .got '0'"),
        ("0.500000", "", "expected 27 numbers, one per channel .got '26 of them'"),
        ("0.500000", "half", "line 65: expected numbers .got 'half"),
        ("MOTION", "", "line 63: expected MOTION .got 'Frames:'"),
    ],
)
def test_defects_name_file_and_line(tmp_path, old, new, said) -> None:
    path = bvh(tmp_path / "a.bvh", np.full((4, CHANNELS), 0.5))
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(ValueError, match=rf"a\.bvh: .*{said}"):
        BVH().read(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path) -> None:
    path = bvh(tmp_path / "a.bvh", np.full((4, CHANNELS), 0.5))
    whole = path.read_text("utf-8")
    for end in (0, 9, 60, 300, len(whole) - 400):
        path.write_text(whole[:end], "utf-8")
        with pytest.raises(ValueError, match=r"a\.bvh: .*expected"):
            BVH().read(path)
