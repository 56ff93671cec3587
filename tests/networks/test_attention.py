from __future__ import annotations

import pytest
import torch

from hargcn.networks.attention import attention

PARTS = [0, 0, 1, 1, 2, 2]
SHAPES = {
    "ja": (3, 1, 1, 6),
    "fa": (3, 1, 7, 1),
    "ca": (3, 8, 1, 1),
    "pa": (3, 8, 1, 6),
    "stja": (3, 8, 7, 6),
}


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_gates_have_the_axes_they_weigh(kind):
    layer = attention(kind, 8, "relu", PARTS).eval()
    x = torch.randn(3, 8, 7, 6)
    gate = layer.gate(x)
    assert gate.shape == SHAPES[kind]
    torch.testing.assert_close(layer(x), torch.relu(layer.bn(x * gate)) + x)
    assert (gate > 0).all()
    assert (gate <= 1).all()


def test_joint_weights_add_up_to_one():
    gate = attention("ja", 8, "relu", PARTS).eval().gate(torch.randn(3, 8, 7, 6))
    torch.testing.assert_close(gate.sum(dim=3), torch.ones(3, 1, 1))


def test_joints_of_a_part_share_their_weight():
    gate = attention("pa", 8, "relu", PARTS).eval().gate(torch.randn(3, 8, 7, 6))
    assert (gate[..., 0] == gate[..., 1]).all()
    torch.testing.assert_close(gate[..., ::2].sum(dim=3), torch.ones(3, 8, 1))


def test_the_published_frame_gate_has_no_bound():
    gate = attention("fa", 8, "relu", PARTS, bounded=False).eval().gate
    x = torch.randn(3, 8, 7, 6)
    assert (gate(100 * x).abs() > 1).any()
    torch.testing.assert_close(gate(x)[:, 0, :, 0], gate.conv(_stacked(x))[:, 0, :, 0])


def _stacked(x):
    return torch.stack([x.mean(dim=(1, 3)), x.amax(dim=(1, 3))], dim=1)[..., None]


def test_none_lets_everything_through():
    x = torch.randn(3, 8, 7, 6)
    assert attention("none", 8, "relu", PARTS)(x) is x
