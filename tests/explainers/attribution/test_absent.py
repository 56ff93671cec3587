"""What stands for an absent joint's movement, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from hargcn.explainers import Adapter, make
from hargcn.explainers.attribution.absent import moved
from hargcn.skeleton import Skeleton

ARM = Skeleton.from_dict(
    {
        "name": "arm",
        "joints": ["shoulder", "elbow", "hand"],
        "edges": [["elbow", "shoulder"], ["hand", "elbow"]],
        "parts": {"arm": ["shoulder", "elbow", "hand"]},
        "ndim": 2,
    }
)
DIMS = ("sample", "channel", "time", "joint", "person")


def turning(frames: int = 5) -> torch.Tensor:
    """Return an arm whose shoulder goes right, whose elbow turns down and whose hand turns up.

    At frame t the shoulder is at (t, 0), the upper arm (length 2) points to -90 + 20 t degrees and
    the forearm (length 1) to 30 t degrees; (1, 2, T, 3, 1).
    """
    time = torch.arange(frames, dtype=torch.float64)

    def towards(degrees):
        angle = degrees * math.pi / 180
        return torch.stack([angle.cos(), angle.sin()])

    shoulder = torch.stack([time, 0 * time])
    elbow = shoulder + 2 * towards(-90 + 20 * time)
    hand = elbow + towards(30 * time)
    return torch.stack([shoulder, elbow, hand], dim=-1)[None, ..., None]


class Seen(nn.Module):
    """Keeps what it was shown; its logits are of no matter."""

    def forward(self, x):
        self.x = x.clone()
        return x.flatten(1)[:, :2]


def shown(present: list[float]) -> torch.Tensor:
    """Return (2, T, 3) the arm that a network sees with only some joints present."""
    network = Seen()
    at = Adapter(network, DIMS, skeleton=ARM)
    x = turning()
    explainer = make("occlusion", {"replace": "chain"})
    game = explainer._game(at, at, x, at(x), DIMS)
    players = explainer.divided(at, x)
    game.logits(players, torch.tensor([present]))
    return network.x[0, ..., 0]


def test_an_absent_hand_moves_rigidly_with_the_elbow():
    x, seen = turning()[0, ..., 0], shown([1, 1, 0])
    torch.testing.assert_close(seen[..., :2], x[..., :2])
    # Its bone keeps the first direction, (1, 0).
    along = torch.tensor([1.0, 0.0], dtype=torch.float64)[:, None].expand(2, 5)
    torch.testing.assert_close(seen[..., 2] - seen[..., 1], along)


def test_an_absent_elbow_carries_the_hand_which_keeps_turning():
    x, seen = turning()[0, ..., 0], shown([1, 0, 1])
    torch.testing.assert_close(seen[..., 0], x[..., 0])
    down = torch.tensor([0.0, -2.0], dtype=torch.float64)[:, None].expand(2, 5)
    torch.testing.assert_close(seen[..., 1] - seen[..., 0], down)
    torch.testing.assert_close(seen[..., 2] - seen[..., 1], x[..., 2] - x[..., 1])


def test_an_absent_root_stays_and_the_rest_moves_as_before():
    x, seen = turning()[0, ..., 0], shown([0, 1, 1])
    assert not seen[..., 0].any()  # where it was first
    torch.testing.assert_close(seen, x - x[..., :1])


@pytest.mark.parametrize("number", range(8))
def test_bones_keep_their_lengths_whoever_is_absent(number):
    seen = shown([float(number >> j & 1) for j in range(3)])
    lengths = (seen[..., 1:] - seen[..., :2]).norm(dim=0)
    torch.testing.assert_close(lengths, torch.tensor([2.0, 1.0]).double().expand(5, 2))
    if number == 0:
        torch.testing.assert_close(seen, seen[:, :1].expand_as(seen))  # a still body
    if number == 7:
        assert torch.equal(seen, turning()[0, ..., 0])


def test_held_and_straight_paths_are_of_each_joint_alone():
    x = turning()
    held, carry = moved(Seen(), x, DIMS, "freeze")
    assert carry is None
    torch.testing.assert_close(held, x[:, :, :1].expand_as(x))
    straight, _ = moved(Seen(), x, DIMS, "interpolate")
    share = torch.linspace(0, 1, 5).double().view(5, 1, 1)
    torch.testing.assert_close(straight, x[:, :, :1] + share * (x[:, :, -1:] - x[:, :, :1]))


def test_axes_in_any_order_and_frames_without_anybody():
    x = turning(7)
    x[:, :, 5:] = 0
    order = ("sample", "time", "joint", "channel")
    other = x[..., 0].permute(0, 2, 3, 1)
    for how in ("freeze", "interpolate", "chain"):
        model = Adapter(Seen(), DIMS, skeleton=ARM)
        expected = moved(model, x, DIMS, how)[0]
        found = moved(model, other, order, how)[0]
        torch.testing.assert_close(found, expected[..., 0].permute(0, 2, 3, 1))
        assert not expected[:, :, 5:].any()


def test_a_chain_needs_a_skeleton_that_fits():
    x = turning()
    with pytest.raises(ValueError, match="of 3 joints in 2 dimensions for replace 'chain' .got No"):
        moved(Seen(), x, DIMS, "chain")
    flat = torch.cat([x, x[:, :1]], dim=1)
    with pytest.raises(ValueError, match="of 3 joints in 3 dimensions .* .got arm"):
        moved(Adapter(Seen(), DIMS, skeleton=ARM), flat, DIMS, "chain")
    with pytest.raises(ValueError, match="positions over time and joints for replace 'freeze'"):
        moved(Seen(), x[:, None], ("sample", "branch", *DIMS[1:]), "freeze")
