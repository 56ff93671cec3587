from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fixtures.recordings import drifting
from scipy import stats

from hargcn.data.cutting import WindowConfig
from hargcn.data.planted.planting import PlantConfig, plant, shuffle_labels
from hargcn.data.planted.signs import Sign
from hargcn.data.planted.synthetic import SyntheticConfig, moving_bodies
from hargcn.data.recording import Recording
from hargcn.outputs import Outputs

BOTH_WAYS = ({"without": None, "with": Sign()}, {"with": Sign(), "without": None})


def movers(n: int = 80, layout: str = "ntu25", labels: int = 3, subjects: int = 4) -> list:
    """Return recordings of moving bodies with labels of their own."""
    made = moving_bodies(SyntheticConfig(skeleton=layout, recordings=n, subjects=subjects))
    return [replace(one, label=at // subjects % labels) for at, one in enumerate(made)]


def change(before: Recording, after: Recording) -> np.ndarray:
    """(T, V) how far the first person's joints were moved."""
    return np.linalg.norm(after.positions - before.positions, axis=0)[..., 0]


@pytest.fixture(scope="module")
def pairs() -> list[tuple[Recording, Recording]]:
    before = movers(240)
    return list(zip(before, plant(before, PlantConfig()), strict=True))


@pytest.fixture(scope="module")
def planted(pairs: list) -> list[Recording]:
    return [after for _, after in pairs]


def test_classes_are_balanced_within_subjects_and_original_labels(pairs: list) -> None:
    strata = Counter((b.group, b.label, a.label) for b, a in pairs)
    for group, label, _ in strata:
        assert abs(strata[group, label, 0] - strata[group, label, 1]) <= 1
    subjects = Counter((a.group, a.label) for _, a in pairs)
    assert {abs(subjects[g, 0] - subjects[g, 1]) for g, _ in subjects} <= {0, 1}


def test_a_subject_with_one_recording_per_label_is_balanced_too() -> None:
    before = [drifting(layout="kinect20", sample=str(at), label=at) for at in range(11)]
    labels = Counter(one.label for one in plant(before, PlantConfig()))
    assert sorted(labels.values()) == [5, 6]


def test_the_original_label_is_kept_in_the_notes(pairs: list) -> None:
    for before, after in pairs:
        assert after.notes[f"label_{before.label}"] == 1
        assert after.notes["planted"] == after.label


@pytest.mark.parametrize("layout", ["ntu25", "inmotion29"])
def test_twins_of_two_classes_differ_in_the_truth_only(layout: str) -> None:
    before = movers(24, layout)
    twins = [list(plant(before, PlantConfig(classes=classes))) for classes in BOTH_WAYS]
    for one, other in zip(*twins, strict=True):
        truth = one.truth | other.truth
        assert one.truth.any() != other.truth.any()
        differs = change(one, other)
        assert differs[~truth].max() == 0
        assert np.median(differs[truth]) > 0
        np.testing.assert_array_equal(one.distractor, other.distractor)


def test_nothing_but_the_masks_is_touched(pairs: list) -> None:
    for before, after in pairs:
        moved = change(before, after)
        assert moved[~(after.truth | after.distractor)].max() == 0
        assert after.truth.any() == (after.label == 1)


def test_decoys_keep_off_the_sign_in_joints_and_in_time(planted: list[Recording]) -> None:
    for one in planted:
        assert not (one.truth & one.distractor).any()
        assert not (one.truth.any(axis=1) & one.distractor.any(axis=1)).any()
        assert one.distractor.any(axis=1).sum() == 2 * 27  # two intervals of 0.3 x 90 frames


def test_decoys_are_equally_frequent_in_every_class(planted: list[Recording]) -> None:
    where = np.array([one.distractor.any(axis=0) for one in planted])
    labels = np.array([one.label for one in planted])
    shares = np.array([where[labels == label].mean(axis=0) for label in (0, 1)])
    # 12 strata of 20 recordings: no block is broken, and blocks share their decoys.
    np.testing.assert_array_equal(shares[0], shares[1])
    names = planted[0].skeleton.joints
    decoys = {names[j] for j in np.flatnonzero(where.any(axis=0))}
    assert {"left_wrist", "left_ankle", "right_ankle"} <= decoys
    assert not {"right_wrist", "right_hand", "right_elbow", "head"} & decoys
    for joint in ("left_wrist", "left_ankle", "right_ankle"):
        assert where[:, names.index(joint)].mean() == pytest.approx(2 / 3, abs=0.1)


def test_time_tells_nothing(planted: list[Recording]) -> None:
    share = {label: [] for label in (0, 1)}
    for one in planted:
        share[one.label].append(np.flatnonzero(one.distractor.any(axis=1))[0])
    assert stats.ks_2samp(share[0], share[1]).pvalue > 0.05
    signs = [np.flatnonzero(one.truth.any(axis=1))[0] for one in planted if one.label]
    assert min(signs) == 0
    assert max(signs) > 55


def test_decoys_are_as_large_as_signs(pairs: list) -> None:
    size: dict[str, list[float]] = {"sign": [], "decoy": []}
    for before, after in pairs:
        joints = before.skeleton.joints
        moved = change(before, after)
        for name in ("left_wrist", "left_ankle", "right_ankle"):
            at = joints.index(name)
            if after.distractor[:, at].any():
                size["decoy"].append(np.sqrt((moved[after.distractor[:, at], at] ** 2).mean()))
        if after.label:
            at = joints.index("right_wrist")
            size["sign"].append(np.sqrt((moved[after.truth[:, at], at] ** 2).mean()))
    assert np.mean(size["decoy"]) == pytest.approx(np.mean(size["sign"]), rel=0.05)


def test_movement_outside_the_truth_is_as_lively_in_every_class(planted: list[Recording]) -> None:
    joints = planted[0].skeleton.joints
    elsewhere = [j for j, name in enumerate(joints) if name not in
                 ("right_wrist", "right_hand", "right_hand_tip", "right_thumb")]  # fmt: skip
    energy: dict[int, list[float]] = {0: [], 1: []}
    for one in planted:
        pace = np.diff(one.positions[:, :, elsewhere, 0], n=2, axis=1)
        energy[one.label].append(float(np.square(pace).mean()))
    assert stats.ks_2samp(energy[0], energy[1]).pvalue > 0.05


def test_seeds_decide_everything() -> None:
    before = movers(12)
    first, again = (list(plant(before, PlantConfig(seed=5))) for _ in range(2))
    for one, same in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.positions, same.positions)
        assert one.label == same.label
    other = list(plant(before, PlantConfig(seed=6)))
    assert any((a.positions != b.positions).any() for a, b in zip(first, other, strict=True))


def test_several_classes_each_with_a_sign() -> None:
    classes = {
        "still": None,
        "trembling": Sign(kind="tremor"),
        "raised": Sign(kind="raise", joint="left_elbow"),
    }
    config = PlantConfig(classes=classes, distractors=1, share=0.15)
    made = list(plant(movers(36, labels=1), config))
    assert Counter(one.label for one in made) == {0: 12, 1: 12, 2: 12}
    names = made[0].skeleton.joints
    for one in made:
        moved = {names[j] for j in np.flatnonzero(one.truth.any(axis=0))}
        assert not moved & {names[j] for j in np.flatnonzero(one.distractor.any(axis=0))}
        assert ("right_wrist" in moved) == (one.label == 1)
        assert ("left_elbow" in moved) == (one.label == 2)


def test_changes_of_whole_recordings_coincide_in_time() -> None:
    config = PlantConfig(classes={"usual": None, "slow": Sign(kind="amplitude")}, share=1)
    for one in plant(movers(8), config):
        assert one.distractor.any(axis=1).all()
        assert one.truth.any(axis=1).all() == (one.label == 1)
        assert not (one.truth & one.distractor).any()


def test_decoys_go_where_they_are_asked_to() -> None:
    config = PlantConfig(distractor_joints=("left_wrist",), distractors=1)
    names = movers(1)[0].skeleton.joints
    for one in plant(movers(6), config):
        where = [names[j] for j in np.flatnonzero(one.distractor.any(axis=0))]
        assert set(where) == {"left_wrist", "left_hand", "left_hand_tip", "left_thumb"}


def test_the_person_seen_longest_bears_everything_while_seen() -> None:
    both = drifting(frames=90, layout="kinect20", persons=2)
    valid = np.ones((90, 2), dtype=bool)
    valid[:20, 1] = valid[40:50, 0] = False
    before = [replace(both, valid=valid, sample=str(at)) for at in range(4)]
    for was, now in zip(before, plant(before, PlantConfig()), strict=True):
        np.testing.assert_array_equal(now.positions[..., 0], was.positions[..., 0])
        moved = (now.positions[..., 1] != was.positions[..., 1]).any(axis=(0, 2))
        assert not moved[:20].any()
        assert moved[20:].any()
        assert not (now.truth | now.distractor)[:20].any()


def test_long_recordings_are_cut_before_classes_are_dealt() -> None:
    long = [drifting(frames=200, layout="minirgbd14", sample=name) for name in "ab"]
    config = PlantConfig(clip=WindowConfig(length=100, overlap=50))
    made = list(plant(long, config))
    assert [one.sample for one in made] == ["a@0", "a@50", "a@100", "b@0", "b@50", "b@100"]
    assert {one.frames for one in made} == {100}
    assert Counter(one.label for one in made) == {0: 3, 1: 3}


@pytest.mark.parametrize(
    ("config", "frames", "message"),
    [
        (PlantConfig(), 20, "clip: expected frames for 3 changes of at least 8 frames, .*got 20"),
        (
            PlantConfig(classes={"a": None, "b": Sign(frequency=15)}),
            60,
            "expected a tremor below half the 30 frames per second .*got 15 Hz",
        ),
        (PlantConfig(distractors=4), 60, "Expected 4 joints of kinect20 for distractors"),
        (
            PlantConfig(distractor_joints=("right_elbow", "left_wrist")),
            60,
            r"got \['left_wrist'\]",
        ),
        (PlantConfig(distractor_joints=("tail",)), 60, "Expected a joint of skeleton kinect20"),
    ],
)
def test_what_cannot_be_planted_is_refused(config: PlantConfig, frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(plant([drifting(frames=frames, layout="kinect20")] * 2, config))


SHOWN = WindowConfig(mode="whole", length=30)  # of 60 frames at 30 a second: 29 in 59 / 30 s


@pytest.mark.parametrize(
    ("given", "windows", "said"),
    [
        ({"rhythms": (2.0,)}, SHOWN, "got 10 Hz"),
        ({"rhythms": (1.4,)}, SHOWN, ""),  # 7 Hz, below 29 / 59 x 30 / 2 = 7.4
        ({"rhythms": (2.0,), "decoy_chance": 1e-9}, SHOWN, "got 10 Hz"),  # not one of them is there
        ({"rhythms": (2.0,), "aliasing": "keep"}, SHOWN, ""),
        ({"rhythms": (2.0,)}, WindowConfig(mode="whole", length=60), ""),
        ({"rhythms": (2.0,)}, WindowConfig(mode="first", length=30), ""),
        ({"rhythms": (2.0,)}, WindowConfig(mode="slide", length=30), ""),
        ({"rhythms": (2.0,)}, WindowConfig(mode="whole", length=400, fit="pad"), ""),
        ({"classes": {"a": None, "b": Sign(frequency=8)}}, SHOWN, "got 8 Hz"),
        ({"classes": {"a": None, "b": Sign(kind="still", frequency=8)}}, SHOWN, ""),
        ({"classes": {"a": None, "b": Sign(frequency=16)}}, WindowConfig(mode="whole", length=90),
         "30 frames per second .*got 16 Hz"),  # what is stretched shows no more than was seen
    ],
)  # fmt: skip
def test_a_tremor_that_windows_would_show_slower_is_refused(given, windows, said) -> None:
    planting = plant([drifting(frames=60)] * 2, PlantConfig(share=0.2, **given), windows)
    if not said:
        assert len(list(planting)) == 2
        return
    with pytest.raises(ValueError, match=f"clip: expected a tremor below half the .*{said}"):
        list(planting)


@pytest.mark.parametrize(
    "classes", [{"a": None}, {"a": None, "b": None}, {"a": Sign(), "b": Sign(kind="tremor")}]
)
def test_classes_must_differ(classes: dict[str, Sign | None]) -> None:
    with pytest.raises(ValueError, match="at least two classes with different signs"):
        PlantConfig(classes=classes)


def test_labels_are_shuffled_within_subjects(planted: list[Recording]) -> None:
    shuffled = shuffle_labels(planted, seed=3)
    counts = Counter((one.group, one.label) for one in planted)
    assert Counter((one.group, one.label) for one in shuffled) == counts
    same = np.mean([a.label == b.label for a, b in zip(planted, shuffled, strict=True)])
    assert 0.4 < same < 0.6
    for was, now in zip(planted, shuffled, strict=True):
        np.testing.assert_array_equal(was.truth, now.truth)
        assert was.sample == now.sample
    again = [one.label for one in shuffle_labels(planted, seed=3)]
    assert [one.label for one in shuffled] == again


@pytest.mark.data
@pytest.mark.parametrize("kind", ["tremor", "raise", "amplitude"])
def test_real_bodies_keep_their_bones(data_root: Path, kind: str) -> None:
    from hargcn.data.readers.utd_mhad import UTDMHAD

    files = [f"a{a}_s{s}_t{t}_skeleton.mat" for a in (3, 24) for s in (1, 2) for t in (1, 2)]
    before = [UTDMHAD().read(data_root / "utd_mhad" / "raw" / file) for file in files]
    config = PlantConfig(classes={"without": None, "with": Sign(kind=kind)}, share=0.25)
    joints, parents = np.array(before[0].skeleton.bones).T
    after = list(plant(before, config))
    assert Counter((one.group, one.label) for one in after) == {
        ("s1", 0): 2, ("s1", 1): 2, ("s2", 0): 2, ("s2", 1): 2,
    }  # fmt: skip
    for was, now in zip(before, after, strict=True):
        bones = [
            np.linalg.norm(one.positions[:, :, joints] - one.positions[:, :, parents], axis=0)
            for one in (was, now)
        ]
        np.testing.assert_allclose(bones[0], bones[1], atol=1e-5)
        assert change(was, now)[now.truth | now.distractor].any()


@pytest.mark.data
def test_real_images_of_infants_take_a_sign(data_root: Path) -> None:
    from hargcn.data.readers.mini_rgbd import MiniRGBD

    config = PlantConfig(clip=WindowConfig(length=150, overlap=75))
    recordings = MiniRGBD().recordings(data_root / "mini_rgbd_2d")
    first = next(iter(recordings))
    made = list(plant([first], config))
    assert len(made) == 13
    assert abs(sum(one.label == 1 for one in made) - 6.5) < 1
    assert all(np.isfinite(one.positions).all() for one in made)


OWN = PlantConfig(rhythms=(0.4, 2.0), share=0.25)


def test_decoys_fall_on_the_signs_own_joint_at_other_times_in_every_class() -> None:
    made = list(plant(movers(80), OWN))
    hand = made[0].skeleton.joints.index("right_hand")
    for one in made:
        own, sign = one.distractor[:, hand], one.truth[:, hand]
        length = round(0.25 * 90)
        assert own.sum() == 2 * length
        assert sign.sum() == one.label * length
        assert not (own & sign).any()
        assert one.distractor.any(axis=0).sum() > 4  # the other limbs have theirs as well
    first = [np.flatnonzero(one.distractor[:, hand])[0] for one in made]
    labels = np.array([one.label for one in made])
    by_class = [np.array(first)[labels == label] for label in (0, 1)]
    assert stats.ks_2samp(*by_class).pvalue > 0.05


def test_a_decoy_on_the_signs_own_joint_has_another_rhythm() -> None:
    """A statue, so that all that moves is planted: count the sign's and the decoy's periods."""
    still = SyntheticConfig(recordings=8, movement=0, frames=(240, 240), subjects=2)
    before = [replace(one, label=0) for one in moving_bodies(still)]
    config = PlantConfig(rhythms=(2.0,), distractors=0, share=0.4)
    hand = before[0].skeleton.joints.index("right_hand")
    for was, now in zip(before, plant(before, config), strict=True):
        shift = (now.positions - was.positions)[:, :, hand, 0]
        for mask, hertz in ((now.distractor, 10), (now.truth, 5))[: 1 + now.label]:
            moved = shift[:, mask[:, hand]]
            power = np.square(np.abs(np.fft.rfft(moved, axis=1))).sum(axis=0)
            found = np.fft.rfftfreq(moved.shape[1], 1 / now.fps)[power[1:].argmax() + 1]
            assert found == pytest.approx(hertz, abs=0.5)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"classes": {"a": None, "b": Sign(kind="raise")}}, "tremors only with rhythms.*'raise'"),
        (
            {"classes": {"a": Sign(), "b": Sign(frequency=10)}},
            r"rhythms and decoys that are no sign \(got .*frequency=10",
        ),
    ],
)
def test_rhythms_must_tell_decoys_from_signs(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PlantConfig(rhythms=(2.0,), **given)


def test_decoys_on_the_signs_own_joint_need_time_of_their_own() -> None:
    with pytest.raises(ValueError, match="3 of them one after the other .*36 for each"):
        list(plant(movers(2), PlantConfig(rhythms=(0.4, 2.0), share=0.4)))


def moved_more(pairs: list, joint: str) -> np.ndarray:
    """Return how far a joint was moved at most, per recording."""
    at = pairs[0][0].skeleton.index(joint)
    return np.array([change(before, after)[:, at].max() for before, after in pairs])


def test_the_outcome_of_a_regression_is_the_size_of_its_sign() -> None:
    sign = Sign(kind="bend", joint="right_wrist", size=0.2)
    config = PlantConfig(
        kind="regression", classes={"score": sign}, between=(0, 50), distractors=1, share=0.4
    )
    before = movers(24)
    pairs = list(zip(before, plant(before, config), strict=True))
    values = np.array([after.outcome[0] for _, after in pairs])
    assert config.outputs == Outputs("regression", ("score",))
    assert 0 < values.min() < 10
    assert 40 < values.max() < 50
    size = moved_more(pairs, "right_wrist")
    assert stats.spearmanr(values, size).statistic > 0.95
    decoys = moved_more(pairs, "left_wrist") + moved_more(pairs, "left_ankle")
    decoys += moved_more(pairs, "right_ankle")
    assert abs(stats.spearmanr(values, decoys).statistic) < 0.5
    for _, after in pairs:
        assert after.label is None
        assert after.truth[:, after.skeleton.index("right_wrist")].any()


def test_labels_are_there_by_themselves_each_with_its_own_sign() -> None:
    signs = {name: Sign(joint=f"{name}_wrist", size=0.3) for name in ("left", "right")}
    config = PlantConfig(kind="multi-label", classes=signs, distractors=1, share=0.2)
    before = movers(40)
    pairs = list(zip(before, plant(before, config), strict=True))
    there = np.array([after.outcome for _, after in pairs])
    assert len(np.unique(there, axis=0)) == 4
    for at, name in enumerate(signs):
        np.testing.assert_array_equal(moved_more(pairs, f"{name}_wrist") > 0, there[:, at] == 1)
    assert [after.notes["planted"] for _, after in pairs] == there.sum(axis=1).tolist()


def test_levels_are_planted_as_classes_are() -> None:
    signs = {"none": None, "mild": Sign(size=0.1), "severe": Sign(size=0.3)}
    before = movers(24)
    classes, levels = (
        list(plant(before, PlantConfig(kind=kind, classes=signs)))
        for kind in ("classes", "ordinal")
    )
    for one, other in zip(classes, levels, strict=True):
        assert one.label == other.label
        np.testing.assert_array_equal(one.positions, other.positions)
    assert PlantConfig(kind="ordinal", classes=signs).outputs.columns[0] == "at least mild"


def test_values_and_labels_need_a_sign_each() -> None:
    for kind in ("regression", "multi-label"):
        with pytest.raises(ValueError, match="a sign for every output"):
            PlantConfig(kind=kind, classes={"a": None, "b": Sign()})


def test_shuffled_outcomes_stay_within_their_subject() -> None:
    config = PlantConfig(kind="regression", classes={"a": Sign()}, distractors=0)
    planted = list(plant(movers(24), config))
    shuffled = shuffle_labels(planted)
    for group in {one.group for one in planted}:
        before, after = (
            sorted(float(one.outcome[0]) for one in some if one.group == group)
            for some in (planted, shuffled)
        )
        assert before == after
    assert any(a.outcome[0] != b.outcome[0] for a, b in zip(planted, shuffled, strict=True))


BESIDE = {
    "tempo": {"size": 1.7},
    "amplitude": {"size": 1.8},
    "still": {"size": 2.0},
    "asymmetry": {"kind": "amplitude", "both": True},
}


@pytest.mark.parametrize("kind", BESIDE)
def test_a_sign_of_any_kind_can_have_a_decoy_on_its_own_joint(kind: str) -> None:
    classes = {"without": None, "with": {"kind": kind}}
    config = PlantConfig(classes=classes, decoys=(BESIDE[kind],), distractors=1)
    before = movers(16)
    for one, after in zip(before, plant(before, config), strict=True):
        arm = [one.skeleton.index(f"{side}_elbow") for side in ("right", "left")]
        own, mirror = after.distractor[:, arm].T
        assert own.sum() == 27
        assert not (own & after.truth[:, arm[0]]).any()
        assert change(one, after)[own, arm[0]].max() > 0
        if kind == "asymmetry":
            np.testing.assert_array_equal(own, mirror)
            assert change(one, after)[own, arm[1]].max() > 0


@pytest.mark.parametrize("left_out", ["sign", "decoys"])
def test_what_is_left_out_is_all_that_differs(left_out: str) -> None:
    before, config = movers(16), PlantConfig(rhythms=(2.0,))
    whole = list(plant(before, config))
    part = list(plant(before, config.model_copy(update={"leave_out": left_out})))
    for original, one, other in zip(before, whole, part, strict=True):
        assert (one.sample, one.label) == (other.sample, other.label)
        np.testing.assert_array_equal(one.truth, other.truth)
        np.testing.assert_array_equal(one.distractor, other.distractor)
        gone, kept = one.truth, one.distractor
        if left_out == "decoys":
            gone, kept = kept, gone
        np.testing.assert_array_equal(other.positions[:, gone], original.positions[:, gone])
        np.testing.assert_array_equal(other.positions[:, ~gone], one.positions[:, ~gone])
        assert not kept.any() or change(original, other)[kept].max() > 0


def test_a_decoy_that_is_the_sign_is_refused() -> None:
    classes = {"without": None, "with": Sign(kind="tempo")}
    with pytest.raises(ValueError, match="rhythms and decoys that are no sign .got kind='tempo'"):
        PlantConfig(classes=classes, decoys=({"size": 0.3},))


def test_a_decoy_on_both_sides_needs_two() -> None:
    classes = {"without": None, "with": Sign(joint="head")}
    config = PlantConfig(classes=classes, decoys=({"frequency": 9.0, "both": True},),
                         distractor_joints=("left_wrist", "left_ankle"))  # fmt: skip
    with pytest.raises(ValueError, match="Expected a joint of ntu25 with a mirror image"):
        next(plant(movers(1), config))


def test_decoys_can_be_there_by_chance_whatever_the_class() -> None:
    before = movers(120)
    always = list(plant(before, PlantConfig(rhythms=(2.0,))))
    made = list(plant(before, PlantConfig(rhythms=(2.0,), decoy_chance=0.5)))
    number = np.array([one.distractor.any(axis=0).sum() for one in made])
    labels = np.array([one.label for one in made])
    assert stats.ks_2samp(number[labels == 0], number[labels == 1]).pvalue > 0.05
    left = [one.distractor.sum() / full.distractor.sum()
            for one, full in zip(made, always, strict=True)]  # fmt: skip
    assert min(left) == 0
    assert max(left) == 1
    assert np.mean(left) == pytest.approx(0.5, abs=0.07)
    for one, full in zip(made, always, strict=True):
        assert not (one.distractor & ~full.distractor).any()
        np.testing.assert_array_equal(one.truth, full.truth)


def test_a_decoy_of_one_class_is_a_shortcut_there_and_absent_elsewhere() -> None:
    before = movers(80)
    tied = {"joint": "left_ankle", "classes": ("with",), "chance": 0.5}
    made = list(plant(before, PlantConfig(distractors=0, decoys=(tied,))))
    swapped = tied | {"classes": ("without",), "chance": 1.0}
    other = list(plant(before, PlantConfig(distractors=0, decoys=(swapped,))))
    bare = list(plant(before, PlantConfig(distractors=0, decoys=(tied,), leave_out="decoys")))
    ankle = made[0].skeleton.index("left_ankle")
    has = np.array([one.distractor[:, ankle].any() for one in made])
    labels = np.array([one.label for one in made])
    assert not has[labels == 0].any()
    assert has[labels == 1].mean() == pytest.approx(0.5, abs=0.2)
    for one, moved, plain in zip(made, other, bare, strict=True):
        assert moved.distractor.any() == (moved.label == 0)
        assert (one.label, moved.label) == (plain.label, plain.label)
        np.testing.assert_array_equal(one.truth, moved.truth)
        assert change(plain, one)[~one.distractor].max() == 0
        assert one.distractor.any() == (change(plain, one).max() > 0)
        assert change(plain, moved)[~moved.distractor].max() == 0


def test_a_decoy_can_be_another_change_of_another_joint() -> None:
    tied = {"kind": "raise", "joint": "left_elbow", "size": 0.3}
    config = PlantConfig(distractors=0, decoys=(tied,))
    before = movers(4)
    for one, after in zip(before, plant(before, config), strict=True):
        arm = [one.skeleton.index(f"left_{name}") for name in ("elbow", "wrist")]
        assert change(one, after)[after.distractor.any(axis=1)][:, arm].max(axis=0).min() > 0
        assert not after.distractor[:, one.skeleton.index("right_wrist")].any()


def test_decoys_of_classes_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a class of plant.decoys of without, with \(got 'wth'"):
        PlantConfig(decoys=({"joint": "left_ankle", "classes": ("wth",)},))
    with pytest.raises(ValueError, match="decoys of a regression without classes .got 'size'"):
        PlantConfig(kind="regression", classes={"size": Sign()},
                    decoys=({"joint": "left_ankle", "classes": ("size",)},))  # fmt: skip
