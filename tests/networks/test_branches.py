from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model

import hargcn
from hargcn.networks.branches import (
    PositionModel,
    branches,
    channel_names,
    shared_channel_names,
)

COCO = hargcn.skeleton("coco17")


def line(frames=12, persons=1, ndim=2, speed=0.5):
    """Every joint moves on a straight line at constant speed."""
    joints = torch.arange(17, dtype=torch.float64)
    start = torch.stack([joints, joints**2, joints + 1][:ndim])[:, None] + 1
    steps = speed * torch.arange(frames, dtype=torch.float64)[None, :, None]
    return (start + steps)[None, ..., None].expand(-1, -1, -1, -1, persons).clone()


def test_constant_speed_has_constant_velocity_and_no_acceleration():
    x = branches(line(), COCO)
    velocity, acceleration = x[0, 1], x[0, 3]
    torch.testing.assert_close(velocity[:2, :-1], torch.full_like(velocity[:2, :-1], 0.5))
    torch.testing.assert_close(velocity[2:, :-2], torch.full_like(velocity[2:, :-2], 0.5))
    assert (velocity[:2, -1] == 0).all()
    assert (velocity[2:, -2:] == 0).all()
    assert acceleration.abs().max() < 1e-12


def test_rescaled_quantities_reach_from_minus_one_to_one_in_every_window():
    """Absent frames neither count nor change."""
    positions = torch.randn(3, 2, 9, 17, 2, dtype=torch.float64)
    positions[0, :, 5:, :, 1] = 0
    positions[2] = 0
    plain, x = (branches(positions, COCO, rescale=each) for each in (False, True))
    mask = (positions.abs().sum((1, 3)) > 0)[:, None, :, None].expand(3, 2, 9, 17, 2)
    for sample in (0, 1):
        for branch in range(4):
            for half in (slice(0, 2), slice(2, 4)):
                before, after = plain[sample, branch, half], x[sample, branch, half]
                seen = mask[sample]
                low, high = before[seen].min(), before[seen].max()
                expected = -1 + 2 * (before[seen] - low) / (high - low)
                torch.testing.assert_close(after[seen], expected)
                assert (after[~seen] == 0).all()
    assert (x[2] == 0).all()


def test_what_never_changes_is_rescaled_to_minus_one():
    still = torch.ones(1, 2, 4, 17, 1, dtype=torch.float64)
    x = branches(still, COCO, ["J", "V"], rescale=True)
    assert (x == -1).all()


def test_joint_branch_subtracts_the_reference():
    positions = line()
    joints = branches(positions, COCO, ["J"])[0, 0]
    torch.testing.assert_close(joints[:2], positions[0])
    assert (joints[2:, :, COCO.reference] == 0).all()
    torch.testing.assert_close(joints[2, :, 5], positions[0, 0, :, 5] - positions[0, 0, :, 0])


def test_bones_and_their_angles_by_hand():
    positions = torch.ones(1, 2, 1, 17, 1, dtype=torch.float64)
    elbow, shoulder = COCO.index("left_elbow"), COCO.index("left_shoulder")
    positions[0, :, 0, elbow, 0] = positions[0, :, 0, shoulder, 0] + torch.tensor([3.0, 4.0])
    bones = branches(positions, COCO, ["B"])[0, 0, :, 0, elbow, 0]
    expected = [3, 4, np.arccos(3 / 5.0001), np.arccos(4 / 5.0001)]
    np.testing.assert_allclose(bones, expected, rtol=1e-12)


def test_absent_persons_and_missing_frames_stay_exactly_zero():
    positions = line(persons=2)
    positions[..., 1] = 0
    positions[:, :, 9:] = 0
    x = branches(positions, COCO)
    assert (x[..., 1] == 0).all()
    assert (x[:, :, :, 9:] == 0).all()
    # Nothing jumps where the person leaves.
    assert (x[0, 1, :2, 8, :, 0] == 0).all()
    assert x[0, 3].abs().max() < 1e-12


def test_validity_can_be_given():
    positions = line()
    valid = torch.ones(1, 12, 1, dtype=torch.bool)
    valid[:, 5:] = False
    padded = positions.clone()
    padded[:, :, 5:] = 0
    torch.testing.assert_close(branches(positions, COCO, valid=valid), branches(padded, COCO))


def test_relabelling_joints_permutes_the_branches():
    order = torch.randperm(17, generator=torch.Generator().manual_seed(1)).tolist()
    layout = COCO.to_dict()
    layout["joints"] = [COCO.joints[i] for i in order]
    layout["parents"] = [COCO.joints[COCO.parents[i]] for i in order]
    moved = type(COCO).from_dict(layout)
    positions = torch.randn(2, 2, 6, 17, 1, generator=torch.Generator().manual_seed(0))
    x = branches(positions[:, :, :, order], moved)
    torch.testing.assert_close(x, branches(positions, COCO)[..., order, :])


@pytest.mark.parametrize("enters", [0, 20])
def test_smoothing_is_scipys_zero_phase_filter(enters):
    """Of V as the network sees it: coming into view is no movement that the filter may smear."""
    from scipy.signal import butter, sosfiltfilt

    positions = torch.randn(1, 2, 60, 17, 1, dtype=torch.float64)
    positions[:, :, :enters] = 0
    velocity = branches(positions, COCO, ["V"])[0, 0, :2].numpy()
    smooth = sosfiltfilt(butter(8, 0.5, output="sos"), velocity, axis=1)
    ours = branches(positions, COCO, ["A"], smooth=True)[0, 0, :2]
    expected = np.diff(smooth, axis=1)[:, enters:-1]
    np.testing.assert_allclose(ours[:, enters:-2], expected, atol=1e-10)


def test_features_are_differentiable_at_the_root_and_at_rest():
    positions = line(speed=0.0).requires_grad_()
    x = branches(positions, COCO)
    (gradient,) = torch.autograd.grad(x.square().sum(), positions)
    assert gradient.isfinite().all()


def test_position_model_is_features_and_network():
    model = small_model("coco17")
    positions = torch.randn(2, 2, 16, 17, 1)
    whole = PositionModel(model)
    torch.testing.assert_close(whole(positions), model(model.features(positions)))
    assert whole.axis_names["channel"] == ["x", "y"]
    assert whole.axis_names["joint"] == COCO.joints


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match="17 joints of skeleton coco17"):
        branches(torch.zeros(1, 2, 5, 19, 1), COCO)
    with pytest.raises(ValueError, match="Expected positions"):
        branches(torch.zeros(1, 4, 5, 17, 1), COCO)
    with pytest.raises(ValueError, match=r"\['X'\]"):
        branches(line(), COCO, ["X"])


def test_channels_are_what_their_names_say():
    names = channel_names("JVBA", 2)
    assert names["J"] == ["x", "y", "relative x", "relative y"]
    assert names["B"] == ["bone x", "bone y", "bone angle x", "bone angle y"]
    x = dict(zip("JVBA", branches(line(), COCO)[0], strict=True))
    at = {branch: dict(zip(named, x[branch], strict=True)) for branch, named in names.items()}
    torch.testing.assert_close(at["J"]["y"], line()[0, 1])
    assert (at["J"]["relative x"][:, COCO.reference] == 0).all()
    torch.testing.assert_close(
        at["V"]["velocity y over 2 frames"][:-2], line()[0, 1, :-2] * 0 + 0.5
    )
    assert at["B"]["bone angle x"].max() <= np.pi
    assert len(names["A"]) == len(shared_channel_names(2)) == 4
    assert len(set(shared_channel_names(3))) == 6


def test_a_batch_comes_to_the_network_in_its_own_type(tmp_path):
    windows = moving_windows(tmp_path / "w.h5", groups=2, per_group=1)
    model, batch = small_model().double(), windows.read([3, 1])
    positions = torch.from_numpy(batch.positions).double()
    expected = model.features(positions, torch.from_numpy(batch.valid))
    torch.testing.assert_close(model.inputs(batch), expected, rtol=0, atol=0)
    assert torch.equal(PositionModel(model).inputs(batch), positions)
    assert model(model.inputs(batch)).dtype == torch.float64


def test_a_window_of_one_frame_has_no_differences() -> None:
    skeleton = hargcn.skeleton("inmotion19")
    found = branches(torch.randn(2, 2, 1, 19, 1), skeleton)
    assert found.shape == (2, 4, 4, 1, 19, 1)
    assert found[:, 0].any()
    assert not found[:, [1, 3]].any()
