from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import hargcn
from hargcn.perturbation.bones import carry_along, first_and_last, held_bones, move_bones
from hargcn.skeleton import Skeleton

CHAIN = Skeleton.from_dict(
    {
        "name": "chain",
        "joints": ["hip", "knee", "foot"],
        "edges": [["knee", "hip"], ["foot", "knee"]],
        "parts": {"leg": ["hip", "knee", "foot"]},
        "ndim": 2,
    }
)


def swing(amplitude: float, frames: int = 9) -> torch.Tensor:
    """Return a leg whose upper bone swings around straight down; (1, 2, T, 3, 1)."""
    time = torch.arange(frames, dtype=torch.float64)
    angle = amplitude * torch.sin(2 * math.pi * time / (frames - 1))
    knee = torch.stack([2 * angle.sin(), -2 * angle.cos()])
    foot = knee + torch.tensor([[0.0], [-1.0]])
    return torch.stack([torch.zeros_like(knee), knee, foot], dim=-1)[None, ..., None]


def everything(x: torch.Tensor) -> torch.Tensor:
    return torch.ones(x.shape[0], x.shape[2], x.shape[4], dtype=torch.bool)


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0])
def test_a_swing_is_widened_by_the_angle_and_carries_the_foot_along(factor):
    x = swing(0.4)
    moved = move_bones(x, torch.tensor([[False, True, False]]), CHAIN, everything(x), angle=factor)
    torch.testing.assert_close(moved, swing(0.4 * factor), atol=1e-7, rtol=0)


def test_double_speed_runs_there_and_back():
    x = swing(0.4)
    moved = move_bones(x, torch.tensor([[False, True, False]]), CHAIN, everything(x), speed=2.0)
    torch.testing.assert_close(moved[:, :, :5], x[:, :, ::2])
    torch.testing.assert_close(moved[:, :, 4:], x[:, :, ::2].flip(2))


@settings(max_examples=15, deadline=None)
@given(st.floats(0, 3), st.floats(0, 3), st.integers(0, 2**19 - 1), st.integers(0, 9))
def test_bones_keep_their_lengths(speed, angle, bits, seed):
    skeleton = hargcn.skeleton("inmotion19")
    x = torch.randn(2, 2, 7, 19, 1, generator=torch.Generator().manual_seed(seed)).double()
    joints = torch.tensor([[bool(bits >> j & 1) for j in range(19)]] * 2)
    moved = move_bones(x, joints, skeleton, everything(x), speed=speed, angle=angle)
    parents = list(skeleton.parents)
    torch.testing.assert_close(
        (moved - moved[:, :, :, parents]).norm(dim=1), (x - x[:, :, :, parents]).norm(dim=1)
    )


def test_frames_outside_stay():
    x = swing(0.4)
    frames = everything(x)
    frames[:, :3] = False
    moved = move_bones(x, torch.ones(1, 3, dtype=torch.bool), CHAIN, frames, angle=3.0)
    assert torch.equal(moved[:, :, :3], x[:, :, :3])
    assert not torch.equal(moved[:, :, 3:], x[:, :, 3:])


def test_first_and_last_frame():
    frames = torch.tensor([[0, 1, 1, 0], [1, 0, 0, 1]], dtype=torch.bool)[:, :, None]
    first, last = first_and_last(frames)
    assert first.tolist() == [[1], [0]]
    assert last.tolist() == [[2], [3]]


def test_bones_need_coordinates():
    with pytest.raises(ValueError, match="C = 2 or 3 to move bones"):
        move_bones(torch.zeros(1, 4, 3, 3, 1), torch.ones(1, 3), CHAIN, torch.ones(1, 3, 1))


def test_all_bones_held_are_a_still_body():
    x = swing(0.4) + torch.linspace(0, 3, 9).double()[:, None, None]
    still = x + carry_along(held_bones(x, CHAIN, everything(x)), CHAIN)
    torch.testing.assert_close(still, x[:, :, :1].expand_as(x))


def test_what_a_bone_held_adds_is_its_own():
    """Taken alone and carry_along along, it is the bone at speed 0."""
    x = swing(0.4)
    held = held_bones(x, CHAIN, everything(x))
    for joint in (1, 2):
        chosen = torch.zeros(1, 3, dtype=torch.bool)
        chosen[0, joint] = True
        expected = move_bones(x, chosen, CHAIN, everything(x), speed=0.0)
        torch.testing.assert_close(
            x + carry_along(held * chosen[0, :, None], CHAIN), expected, atol=1e-12, rtol=0
        )
