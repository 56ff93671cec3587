from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

import hargcn
from hargcn.networks.layers import TEMPORAL, EdgeGraphConv, NarrowPointwise
from hargcn.skeleton import partitions

ADJACENCY = torch.from_numpy(partitions(hargcn.skeleton("coco17"), 2))


def by_the_formula(layer, x, edge):
    """Sum over partitions of W_k x (A_k * E_k), written with loops."""
    weight = layer.conv.weight.view(3, -1, x.shape[1])
    bias = layer.conv.bias.view(3, -1)
    z = 0
    for k in range(3):
        mixed = torch.einsum("oc,rctv->rotv", weight[k], x) + bias[k][:, None, None]
        z = z + torch.einsum("rotv,vw->rotw", mixed, ADJACENCY[k] * edge[k])
    return layer.act(layer.bn(z)) + layer.residual(x)


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 9), (9, 4), (6, 6)])
def test_graph_convolution_is_its_formula_in_either_order(inputs, outputs):
    layer = EdgeGraphConv(inputs, outputs, ADJACENCY, "silu").eval()
    torch.nn.init.uniform_(layer.edge)
    x = torch.randn(2, inputs, 5, 17)
    torch.testing.assert_close(layer(x), by_the_formula(layer, x, layer.edge))


@pytest.mark.parametrize("frames", [7, 8])
def test_frames_are_taken_as_by_a_stride(frames):
    ours, theirs = NarrowPointwise(8, 12, 2).double(), nn.Conv2d(8, 12, 1, stride=(2, 1)).double()
    theirs.load_state_dict(ours.state_dict())
    # not channels last: theirs is right there
    x = torch.randn(3, 8, frames, 17).double()
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    found, expected = ours(inputs[0]), theirs(inputs[1])
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad)
    assert "every=2" in repr(ours)


NARROW = """
import torch, hargcn
from hargcn.networks.stgcn import ModelConfig, MultiBranchSTGCN
config = ModelConfig(width=8, min_width=8, max_width=8, last_width=8)
network = MultiBranchSTGCN(config, hargcn.skeleton("inmotion19"), ["a", "b"]).train()
for _ in range(3):
    network(torch.randn(4, 4, 4, 60, 19, 1)).sum().backward()
print(all(p.grad.isfinite().all() for p in network.parameters()))
"""


@pytest.mark.slow
def test_a_narrow_network_can_be_trained():
    """It ended the process: torch's strided convolution wrote beyond its memory."""
    run = [sys.executable, "-c", NARROW]
    done = subprocess.run(run, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


@pytest.mark.parametrize(("inputs", "outputs"), [(4, 9), (9, 4)])
def test_edges_with_a_row_axis_equal_one_row_at_a_time(inputs, outputs):
    layer = EdgeGraphConv(inputs, outputs, ADJACENCY, "relu").eval()
    x = torch.randn(4, inputs, 5, 17)
    edges = torch.rand(4, 3, 17, 17)
    batched = layer(x, edges)
    for i in range(4):
        torch.testing.assert_close(batched[i : i + 1], layer(x[i : i + 1], edges[i]))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", sorted(TEMPORAL))
def test_temporal_layers_keep_joints_apart_and_divide_time(kind, stride):
    layer = TEMPORAL[kind](8, 5, stride, "silu", reduce=2, expand=2, squeeze="multiply").eval()
    x = torch.randn(2, 8, 13, 17)
    y = layer(x)
    assert y.shape == (2, 8, -(-13 // stride), 17)
    moved = x.clone()
    moved[..., 3] += 1
    changed = (layer(moved) != y).any(dim=(0, 1, 2))
    if kind != "inverted":  # its squeeze sees all joints
        assert changed.nonzero().flatten().tolist() == [3]


@pytest.mark.parametrize("kind", ["basic", "bottleneck", "separable", "sandglass", "shuffle"])
def test_cell_i_is_centred_on_frame_i_times_stride(kind):
    layer = TEMPORAL[kind](4, 3, 2, "silu").double().eval()
    x = torch.zeros(1, 4, 15, 17, dtype=torch.float64, requires_grad=True)
    x.data.normal_(generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad(layer(x)[:, :, 3].sum(), x)
    frames = gradient.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert (frames[0] + frames[-1]) / 2 == 6
