from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hargcn
from hargcn.metrics.runner import blend
from hargcn.perturbation import InputEdit, tracker_noise
from hargcn.perturbation.bones import move_bones

SKELETON = hargcn.skeleton("inmotion19")
OPS = ["noise", "shift", "freeze", "mean", "interpolate", "origin", "parent", "speed", "angle"]
ONE = torch.zeros(2, 19, dtype=torch.bool)
ONE[:, 7] = True


def windows(frames: int = 8) -> torch.Tensor:
    return torch.randn(2, 2, frames, 19, 1, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("op", OPS)
def test_only_the_chosen_joint_inside_the_interval_moves(op):
    x = windows()
    edited = InputEdit(op, 0.8, (2, 6)).apply(x, ONE, skeleton=SKELETON)
    changed = (edited != x).any(1)[..., 0]
    # Joint 7, the right wrist, has nothing behind it.
    assert changed[:, :, 7].any()
    changed[:, 2:6, 7] = False
    assert not changed.any()


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(OPS), st.integers(0, 2**19 - 1))
def test_zero_edits_are_exactly_the_identity(op, bits):
    x = windows()
    joints = torch.tensor([[bool(bits >> j & 1) for j in range(19)]] * 2)
    if op in ("noise", "shift", "speed", "angle"):
        assert torch.equal(InputEdit(op, 0.0).apply(x, joints, skeleton=SKELETON), x)
    nothing = torch.zeros_like(joints)
    assert torch.equal(InputEdit(op, 0.7).apply(x, nothing, skeleton=SKELETON), x)


@pytest.mark.parametrize("op", OPS)
def test_nothing_given_is_changed_and_nothing_is_shared(op):
    x = windows()
    before = x.clone()
    edited = InputEdit(op, 0.5).apply(x, ONE, skeleton=SKELETON)
    edited.zero_()
    assert torch.equal(x, before)


def test_freeze_mean_and_line_are_what_they_say():
    x = windows()
    joints = torch.ones(2, 19, dtype=torch.bool)
    frozen, mean, line = (
        InputEdit(op, frames=(1, 6)).apply(x, joints)[:, :, 1:6]
        for op in ("freeze", "mean", "interpolate")
    )
    assert torch.equal(frozen, x[:, :, 1:2].expand_as(frozen))
    torch.testing.assert_close(mean, x[:, :, 1:6].mean(2, keepdim=True).expand_as(mean))
    torch.testing.assert_close(line[:, :, 0], x[:, :, 1])
    torch.testing.assert_close(line[:, :, -1], x[:, :, 5])
    torch.testing.assert_close(
        line.diff(n=2, dim=2), torch.zeros(2, 2, 3, 19, 1), atol=1e-6, rtol=0
    )


def test_at_the_origin_a_blend_is_the_product_with_a_map():
    x = windows()
    origin = InputEdit("origin").apply(x, torch.ones(2, 19, dtype=torch.bool))
    assert not origin.any()
    maps = torch.rand(2, 8, 19)
    torch.testing.assert_close(blend(x, origin, maps), x * maps[:, None, :, :, None])
    one = InputEdit("origin", frames=(1, 6)).apply(x, torch.eye(2, 19, dtype=torch.bool))
    assert not one[0, :, 1:6, 0].any()
    assert torch.equal(one[0, :, :, 1:], x[0, :, :, 1:])
    assert torch.equal(one[0, :, 6:], x[0, :, 6:])


def test_absent_frames_stay_absent_and_lend_no_pose():
    x = windows()
    x[:, :, :2] = 0
    everything = torch.ones(2, 19, dtype=torch.bool)
    for op in OPS:
        edited = InputEdit(op, 0.5).apply(x, everything, skeleton=SKELETON)
        assert not edited[:, :, :2].any()
    frozen = InputEdit("freeze").apply(x, everything)
    assert torch.equal(frozen[:, :, 5], x[:, :, 2])
    valid = torch.zeros(2, 8, 1, dtype=torch.bool)
    valid[:, 4:] = True
    marked = InputEdit("freeze").apply(x, everything, valid=valid)
    assert torch.equal(marked[:, :, 7], x[:, :, 4])
    assert torch.equal(marked[:, :, :4], x[:, :, :4])


def test_a_shift_is_rigid_of_the_given_length_and_drawn_per_row():
    x = windows()
    shift = InputEdit("shift", 0.3).apply(x, ONE) - x
    torch.testing.assert_close(shift[:, :, :, 7].norm(dim=1), torch.full((2, 8, 1), 0.3))
    torch.testing.assert_close(shift, shift[:, :, :1].expand_as(shift), atol=1e-6, rtol=0)
    assert not torch.allclose(shift[0], shift[1])
    same = InputEdit("shift", 0.3).apply(x[1:], ONE[1:], seeds=[1]) - x[1:]
    assert torch.equal(same[0], shift[1])


def test_parent_collapses_the_bone():
    x = windows()
    edited = InputEdit("parent").apply(x, ONE, skeleton=SKELETON)
    assert torch.equal(edited[:, :, :, 7], x[:, :, :, SKELETON.parents[7]])


def test_noise_is_scaled_to_the_tracker():
    time = torch.linspace(0, 3, 400)[None, None, :, None, None]
    smooth = torch.sin(time).expand(1, 2, 400, 3, 1)
    noise = torch.randn(smooth.shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.tensor([0.01, 0.1, 1.0])[:, None]
    x = smooth + sigma * noise
    torch.testing.assert_close(tracker_noise(x)[0, 0, 0], sigma, rtol=0.15, atol=0)
    joints = torch.ones(1, 3, dtype=torch.bool)
    drawn = InputEdit("noise", 2.0, tracker=True).apply(x, joints) - x
    torch.testing.assert_close(drawn.std((0, 1, 2)), 2 * sigma, rtol=0.2, atol=0)


def test_too_few_frames_tell_no_noise():
    x, few = windows(), r"at least 4 frames .* \(got 3\)"
    assert tracker_noise(x[:, :, :4]).isfinite().all()
    with pytest.raises(ValueError, match=few):
        tracker_noise(x[:, :, :3])
    with pytest.raises(ValueError, match=few):
        InputEdit("noise", 0.1, tracker=True).apply(x[:, :, :3], ONE)


def test_branches_can_be_edited_directly():
    x = windows()[:, None].repeat(1, 4, 2, 1, 1, 1)
    frozen = InputEdit("freeze").apply(x, ONE)
    assert frozen.shape == x.shape
    assert torch.equal(frozen[:, 2, :, 5, 7], x[:, 2, :, 0, 7])


def test_what_is_missing_is_named():
    x = windows()
    with pytest.raises(ValueError, match="Expected a skeleton for the edit input:parent"):
        InputEdit("parent").apply(x, ONE)
    with pytest.raises(ValueError, match=r"Expected frames within 0-8 \(got 4-9\)"):
        InputEdit("freeze", frames=(4, 9)).apply(x, ONE)
    with pytest.raises(ValueError, match=r"joint sets \(N, V\)"):
        InputEdit("freeze").apply(x, ONE[:1])
    with pytest.raises(ValueError, match="one seed for each of 2 rows"):
        InputEdit("noise", 0.1).apply(x, ONE, seeds=np.arange(3))


def test_the_mean_of_one_frame_is_that_frame():
    x = windows()
    joints = torch.ones(2, 19, dtype=torch.bool)
    torch.testing.assert_close(InputEdit("mean", frames=(2, 3)).apply(x, joints), x)


@pytest.mark.parametrize("amount", [0.5, -0.25])
def test_an_amount_is_what_comes_on_top(amount):
    x = windows()
    frames = torch.ones(2, 8, 1, dtype=torch.bool)
    for op in ("speed", "angle"):
        edited = InputEdit(op, amount).apply(x, ONE, skeleton=SKELETON)
        moved = move_bones(x, ONE, SKELETON, frames, **{op: 1 + amount})
        torch.testing.assert_close(edited, moved)
