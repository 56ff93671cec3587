from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import FRAMES, cam_like, explanation, shap_like

from hargcn.analysis.features import FEATURES, feature_scores, feature_shares
from hargcn.analysis.ranking import Ranking


def named_channels(made):
    """SHAP-like attributions whose channels have names of their own in each branch."""
    channels = [f"c{i}" for i in range(made.values.sizes["channel"])]
    rows = [[f"{branch} of {each}" for each in channels] for branch in "JV"]
    coords = {"channel": channels, "channel_name": (("branch", "channel"), rows)}
    return made.assign(coords=coords)


def by_bands(made):
    """Attributions over three bands instead of time."""
    values = np.random.default_rng(1).normal(size=(*made.values.isel(time=0).shape, 3))
    dims = (*(dim for dim in made.dims if dim != "time"), "frequency")
    dataset = made.dataset.drop_dims("time", errors="ignore").assign(attribution=(dims, values))
    return type(made)(dataset.assign_coords(frequency=["slow", "4-6 Hz", "rest"]))


BY_BANDS = [feature for feature in FEATURES if "frequency" in feature]
OTHERS = [feature for feature in FEATURES if "frequency" not in feature]


@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("persons", [1, 2])
def test_sums_of_every_feature_add_up_to_the_whole(feature, persons):
    made = named_channels(shap_like(4, persons=persons))
    made = by_bands(made) if feature in BY_BANDS else made
    scores = feature_scores(made, feature)
    assert scores.dims == ("sample", feature)
    whole = made.values.to_numpy().sum(axis=(1, 2, 3, 4, 5))
    np.testing.assert_allclose(scores.sum(feature), whole, rtol=0, atol=1e-6 * abs(whole).max())


def test_sums_by_hand():
    """Two branches, two channels, one frame, two joints: 1 to 8, with other signs."""
    values = np.array([1, -2, 3, 4, -5, 6, 7, 8.0]).reshape(1, 2, 2, 1, 2)
    made = explanation(
        values, ("sample", "branch", "channel", "time", "joint"), branch=["J", "V"],
        channel=["x", "y"], joint=["a", "b"],
        channel_name=(("branch", "channel"), [["x", "y"], ["vx", "vy"]]),
    )  # fmt: skip
    assert feature_scores(made, "joint").to_series().tolist() == [6, 16]
    assert feature_scores(made, "branch").to_series().tolist() == [6, 16]
    assert feature_scores(made, "channel").to_series().tolist() == [0, 22]
    pairs = feature_scores(made, "branch,channel")
    assert pairs["branch,channel"].to_numpy().tolist() == ["J: x", "J: y", "V: vx", "V: vy"]
    assert pairs.to_series().tolist() == [-1, 7, 1, 15]
    assert Ranking.of(made, feature="branch,channel").features == ("V: vy", "J: y", "V: vx", "J: x")
    by_size = Ranking.of(
        explanation([[1.0, -9, 3]], ("sample", "branch")), "magnitude", "all", "branch"
    )
    assert by_size.features == ("1", "2", "0")


def test_parts_are_those_of_the_skeleton_also_of_a_map():
    made = cam_like(3)
    scores = feature_scores(made, "part")
    joints = feature_scores(made, "joint")
    for part, members in made.skeleton.parts.items():
        expected = joints.to_numpy()[:, list(members)].sum(axis=1)
        np.testing.assert_allclose(scores.sel(part=part), expected)


def test_bands_are_named_by_branch_and_joint_and_by_their_hertz():
    values = np.array([1, -2, 3, 4.0]).reshape(1, 2, 1, 2)
    names = {"branch": ["J", "V"], "joint": ["a"], "frequency": [0.0, 1.8751]}
    made = explanation(values, ("sample", "branch", "joint", "frequency"), **names)
    pairs = feature_scores(made, "branch,frequency")
    expected = {"J: 0 Hz": 1, "J: 1.875 Hz": -2, "V: 0 Hz": 3, "V: 1.875 Hz": 4}
    assert pairs[0].to_series().to_dict() == expected
    assert feature_scores(made, "frequency")[0].to_series().to_dict() == {"0 Hz": 4, "1.875 Hz": 2}
    assert feature_scores(made, "joint").to_series().tolist() == [6]
    joints = feature_scores(made, "joint,frequency")
    assert joints["joint,frequency"].to_numpy().tolist() == ["a: 0 Hz", "a: 1.875 Hz"]


@pytest.mark.parametrize("feature", ["frequency", "joint,frequency"])
@pytest.mark.parametrize("made", [cam_like(2), shap_like(2)], ids=["map", "shap"])
def test_a_finished_map_has_no_frequencies(made, feature):
    said = (
        "expected an axis 'frequency' to rank by .*; a finished map has none, and class activation "
        "maps nothing to form them from: explain --method shap-rhythm forms them for every "
    )
    with pytest.raises(ValueError, match=said):
        feature_scores(made, feature)


@pytest.mark.parametrize("feature", ["branch", "channel", "branch,channel"])
def test_a_map_has_no_branches_and_channels(feature):
    said = (
        r"expected an axis '(branch|channel)' to rank by .* \(got sample, time, joint, person; cla"
    )
    with pytest.raises(ValueError, match=r"explanation 'gradcam main.1.attention': " + said):
        feature_scores(cam_like(2), feature)


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(ValueError, match=r"Expected feature of joint, .*did you mean 'joint'"):
        feature_scores(cam_like(2), "joints")
    with pytest.raises(ValueError, match="expected a skeleton to rank by part"):
        feature_scores(explanation(np.zeros((1, 2)), ("sample", "joint")), "part")
    with pytest.raises(ValueError, match="expected joints and what was seen of them"):
        feature_scores(explanation(np.zeros((1, 2)), ("sample", "branch")), "branch", "observed")


def seen_partly(made, hidden):
    """States in which one joint was never seen in the first sample, and half in the second."""
    shape = (len(made), FRAMES, made.values.sizes["joint"], made.values.sizes["person"])
    states = np.ones(shape, dtype=np.uint8)
    states[0, :, hidden] = 2
    states[1, ::2, hidden] = 2
    return made.assign({"state": (("sample", "frame", "joint", "person"), states)})


@pytest.mark.parametrize("feature", OTHERS)
def test_where_all_was_seen_means_are_sums_by_cells(feature):
    made = named_channels(shap_like(2))
    shape = (2, FRAMES, 20, 1)
    whole = made.assign(
        {"state": (("sample", "frame", "joint", "person"), np.ones(shape, np.uint8))}
    )
    sums = feature_scores(whole, feature)
    sizes = [len(joints) for joints in made.skeleton.parts.values()]
    joints = {"joint": 1, "part": np.array(sizes)}.get(feature, 20)
    means = feature_scores(whole, feature, "observed")
    np.testing.assert_allclose(means, sums / (FRAMES * joints), atol=1e-12)
    assert np.allclose(feature_shares(whole, feature), 1)


def test_observed_cells_only_count_for_every_feature():
    made = seen_partly(shap_like(2), hidden=7)
    values = made.values.to_numpy()[..., 0]  # sample, branch, channel, time, joint
    part = next(p for p, joints in made.skeleton.parts.items() if 7 in joints)
    others = [j for j in made.skeleton.parts[part] if j != 7]
    own = values.sum(axis=(1, 2))
    found = feature_scores(made, "part", "observed").sel(part=part)
    assert float(found[0]) == pytest.approx(own[0][:, others].mean())
    odd = own[1][1::2, 7].sum()
    cells = FRAMES * len(others) + FRAMES / 2
    assert float(found[1]) == pytest.approx((own[1][:, others].sum() + odd) / cells)
    branch = feature_scores(made, "branch", "observed").sel(branch="V")
    rest = [j for j in range(20) if j != 7]
    assert float(branch[0]) == pytest.approx(values[0, 1].sum(axis=0)[:, rest].mean())
    joint = feature_scores(made, "joint", "observed").to_numpy()
    assert np.isnan(joint[0, 7])
    share = feature_shares(made, "part").sel(part=part)
    assert float(share) == pytest.approx(1 - 0.75 / len(made.skeleton.parts[part]))
    assert feature_shares(made, "branch").to_numpy() == pytest.approx([1 - 0.75 / 20] * 2)


@pytest.mark.parametrize("feature", [each for each in FEATURES if "frequency" not in each])
def test_observed_cells_of_which_nobody_saw_any_are_refused(feature):
    made = named_channels(shap_like(2))
    states = np.full((2, FRAMES, 20, 1), 2, np.uint8)
    unseen = made.assign({"state": (("sample", "frame", "joint", "person"), states)})
    with pytest.raises(ValueError, match=r"'shap': expected cells that .*none in its 2 windows"):
        feature_scores(unseen, feature, "observed")
