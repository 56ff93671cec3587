"""What the names of joints say: checked against the layouts that come with hargcn."""

from __future__ import annotations

import pytest
import yaml

import hargcn
from hargcn.checks import OPEN
from hargcn.pipeline.layout_guess import Guess, joint
from hargcn.skeleton import Skeleton, names

# Points of faces and hands are numbered more than named: theirs are left to complete.
BODIES = [name for name in names() if hargcn.skeleton(name).n_joints <= 40 and name != "hand21"]


@pytest.mark.parametrize("name", BODIES)
def test_known_layouts_are_whole_from_their_names(name, tmp_path) -> None:
    known = hargcn.skeleton(name)
    guess = Guess(known.joints)
    path = tmp_path / "skeleton.yaml"
    path.write_text(guess.text(name, known.ndim), encoding="utf-8")
    found = hargcn.skeleton(path)
    pairs = {tuple(known.joints[j] for j in pair) for pair in known.mirror}
    assert {tuple(pair) for pair in guess.mirror} == pairs
    sides = {part for part in known.parts if part.startswith(("left", "right"))}
    assert sides <= set(found.parts)
    for part in sides - {"left_arm", "right_arm"} if name == "smpl24" else sides:
        assert {found.joints[j] for j in found.parts[part]} == {
            known.joints[j] for j in known.parts[part]
        }
    assert bool(found.trunk[0])
    assert (found.ndim, found.up) == (known.ndim, "-y" if known.ndim == 2 else "y")


@pytest.mark.parametrize("name", BODIES)
def test_bones_of_the_limbs_are_those_that_people_drew(name) -> None:
    known = hargcn.skeleton(name)
    above = Guess(known.joints).edges
    limbs = {"elbow", "wrist", "knee", "ankle"}
    drawn = {known.joints[a]: known.joints[b] for a, b in known.bones}
    checked = [each for each in known.joints if each.split("_")[-1] in limbs]
    assert {each: above[each] for each in checked} == {each: drawn[each] for each in checked}


@pytest.mark.parametrize(
    ("name", "side", "stem"),
    [
        ("LHip", "left", "hip"),
        ("left_hip", "left", "hip"),
        ("hip-R", "right", "hip"),
        ("rightear", "right", "ear"),
        ("RightElbow", "right", "elbow"),
        ("wrist_left", "left", "wrist"),
        ("lknee", "left", "knee"),
        ("nose", "", "nose"),
        ("rib", "", "rib"),
        ("Left", "", "left"),
    ],
)
def test_sides(name, side, stem) -> None:
    found = joint(name)
    assert (found.side, found.stem) == (side, stem)


def test_joints_of_an_animal_and_one_that_no_name_explains(tmp_path) -> None:
    guess = Guess(("snout", "leftear", "rightear", "tailbase", "implant"))
    assert guess.edges == {
        "leftear": "snout", "rightear": "snout", "tailbase": "snout", "implant": OPEN,
    }  # fmt: skip
    path = tmp_path / "skeleton.yaml"
    path.write_text(guess.text("mouse", 2), encoding="utf-8")
    with pytest.raises(ValueError, match=r"skeleton.yaml: complete edges \(implant\) \(now \?{3}"):
        hargcn.skeleton(path)
    path.write_text(path.read_text("utf-8").replace("'???'", "snout"), encoding="utf-8")
    mouse = hargcn.skeleton(path)
    assert mouse.trunk == ((3,), (0,))
    assert mouse.mirror == ((1, 2),)


def test_joints_without_names_are_all_to_complete() -> None:
    guess = Guess(tuple(f"joint_{at:02d}" for at in range(4)))
    assert list(guess.edges.values()) == [OPEN] * 3
    layout = yaml.safe_load(guess.text("count", 3))
    assert "trunk" not in layout
    with pytest.raises(ValueError, match="is no joint"):
        Skeleton.from_dict(layout)


def test_numbered_joints_form_a_chain() -> None:
    above = Guess(("pelvis", "spine1", "spine2", "spine3", "neck", "tail1", "tail2")).edges
    assert (above["spine1"], above["spine2"], above["spine3"]) == ("pelvis", "spine1", "spine2")
    assert above["tail2"] == "tail1"
    assert above["neck"].startswith("spine")
