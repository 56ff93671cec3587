"""Joints that a whole video never shows: refused by name, or their neighbours stand in."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures.recordings import drifting

import hargcn
from hargcn.data.preprocess import PRESETS, PreprocessConfig, preprocess
from hargcn.data.recording import INTERPOLATED, OBSERVED, Recording

COCO = hargcn.skeleton("coco17")
PARENT = PreprocessConfig(unseen="parent")


def lacking(*joints: str, persons: int = 1, person: int = 0) -> Recording:
    positions = drifting(layout="coco17", persons=persons).positions.copy()
    positions[:, :, [COCO.index(joint) for joint in joints], person] = np.nan
    return drifting(
        layout="coco17", persons=persons, positions=positions,
        confidence=np.full((60, 17, persons), 0.9),
    )  # fmt: skip


def test_it_is_refused_with_every_joint_and_the_remedy() -> None:
    said = (
        r"clip: never observed: left_ankle, right_ankle of person 1\. --set "
        r"preprocess\.unseen=parent .*--skip-broken"
    )
    with pytest.raises(ValueError, match=said):
        preprocess(lacking("left_ankle", "right_ankle", persons=2, person=1), PreprocessConfig())


@pytest.mark.parametrize(
    ("gone", "source"),
    [
        (("left_ankle",), "left_knee"),
        (("left_ankle", "left_knee"), "left_hip"),
        (("left_wrist", "left_elbow"), "left_shoulder"),
    ],
)
def test_the_nearest_seen_parent_stands_in_and_nobody_saw_it(gone, source) -> None:
    made = preprocess(lacking(*gone), PARENT)
    for joint in gone:
        at, parent = COCO.index(joint), COCO.index(source)
        np.testing.assert_array_equal(made.positions[:, :, at], made.positions[:, :, parent])
        assert (made.state[:, at] == INTERPOLATED).all()
        assert made.confidence is not None
        assert np.isnan(made.confidence[:, at]).all()
        assert made.notes[f"without_{joint}"] == 1
    others = [at for at, joint in enumerate(COCO.joints) if joint not in gone]
    assert (made.state[:, others] == OBSERVED).all()


def test_without_a_seen_parent_the_nearest_along_the_bones_stands_in() -> None:
    root = COCO.joints[COCO.root]
    children = [joint for joint, parent in COCO.bones if parent == COCO.root]
    made = preprocess(lacking(root), PARENT)
    places = made.positions[:, :, [COCO.root]]
    assert any((places == made.positions[:, :, [child]]).all() for child in children)
    assert (made.state[:, COCO.root] == INTERPOLATED).all()


def test_gaps_of_whoever_stands_in_are_filled_alike() -> None:
    recording = lacking("left_ankle")
    recording.positions[:, 5, COCO.index("left_knee")] = np.nan
    made = preprocess(Recording(**{**vars(recording), "state": np.empty(0)}), PARENT)
    ankle, knee = COCO.index("left_ankle"), COCO.index("left_knee")
    np.testing.assert_array_equal(made.positions[:, :, ankle], made.positions[:, :, knee])
    assert (made.state[:, ankle] == INTERPOLATED).all()
    assert made.state[5, knee, 0] == INTERPOLATED


def test_steps_behind_keep_it_unseen() -> None:
    chain = PRESETS["cp"].model_copy(update={"unseen": "parent", "fps": 25.0})
    made = preprocess(lacking("left_ankle"), chain)
    assert (made.state[:, COCO.index("left_ankle")] == INTERPOLATED).all()


def test_a_body_of_which_nothing_is_seen_has_no_stand_ins() -> None:
    with pytest.raises(ValueError, match=r"joints that are seen of person 1 \(got none\)"):
        preprocess(lacking(*COCO.joints, persons=2, person=1), PARENT)
