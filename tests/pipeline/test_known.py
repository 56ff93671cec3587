from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fixtures.fake_explanations import explanation
from torch import nn

import hargcn
from hargcn import Explanation
from hargcn.analysis.comb import comb_share, own_step
from hargcn.explainers import make
from hargcn.networks.branches import PositionModel
from hargcn.networks.foreign import ForeignNetwork
from hargcn.pipeline.known import input_size, with_input


def test_the_input_is_as_large_as_while_somebody_is_there():
    """Two frames of two persons, of which one is there in one frame only."""
    x = torch.zeros(1, 2, 1, 2, 3, 2)  # sample, branch, channel, time, joint, person
    x[0, 0, 0, 0, :, 0] = torch.tensor([3.0, -6, 0])
    x[0, 1, 0, 0, :, 0] = -2
    valid = np.array([[[True, False], [False, False]]])
    dims = ("sample", "branch", "channel", "time", "joint", "person")
    found = input_size(dims, x, valid)
    assert found["input_size"][0] == ("sample", "branch", "channel")
    assert found["input_size"][1].tolist() == [[[3.0], [2.0]]]
    assert not input_size(dims, 0 * x, np.zeros_like(valid))["input_size"][1].any()


def test_other_orders_of_axes_and_inputs_without_channels():
    x = torch.arange(6.0).reshape(1, 3, 2)
    found = input_size(("sample", "time", "channel"), x, np.ones((1, 3, 1), bool))
    assert found["input_size"][0] == ("sample", "channel")
    assert found["input_size"][1].tolist() == [[2, 3]]
    assert input_size(("sample", "time", "joint"), x, np.ones((1, 3, 1), bool)) == {}


def test_files_hold_it_and_shards_are_joined(shap, gradcams):
    for path in (shap, gradcams[0]):
        stored = Explanation.open(path).dataset["input_size"]
        assert stored.dims == ("sample", "branch", "channel")
        assert (stored > 0).all()


@pytest.mark.parametrize("method", ["shap", "inputxgradient"])
def test_a_committed_network_leaves_a_comb_that_its_own_step_does_not_show(method):
    """Bodies drift slowly: whatever alternates from frame to frame is the network's."""
    checkpoints = Path(hargcn.__file__).parents[1] / "checkpoints"
    model = hargcn.load_model(checkpoints / "utd_mhad.safetensors")
    assert model.time_step == 2
    generator = torch.Generator().manual_seed(0)
    shape = (3, model.skeleton.ndim, 1, model.skeleton.n_joints, 1)
    phase, size, place = (torch.rand(shape, generator=generator) for _ in range(3))
    time = torch.linspace(0, 6.28, 64).reshape(1, 1, -1, 1, 1)
    x = model.features(place + 0.2 * size * torch.sin(time + 6.28 * phase))
    made = make(method, {}, {"background": x[1:]})(model, x[:1], 0).assign(frames=64, time_step=2)
    assert comb_share(made, 2) > 0.5
    binned = own_step(made)
    assert binned.values.sizes["time"] == 32
    assert comb_share(binned, 2) < 0.25  # less than noise has
    whole = float(made.values.astype(float).sum())
    assert float(binned.values.astype(float).sum()) == pytest.approx(whole, abs=1e-6)


def test_files_say_the_networks_step_and_its_comb(shap, gradcams):
    made = Explanation.open(shap)
    assert made.dataset.attrs["time_step"] == 2
    np.testing.assert_allclose(made.dataset["comb"], comb_share(made, 2))
    coarse = Explanation.open(gradcams[0])
    assert coarse.dataset.attrs["time_step"] == 2
    assert "comb" not in coarse.dataset


class Strided(nn.Module):
    """Somebody's network, which moves on by 3 frames and says nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.first = nn.Conv2d(3, 8, (5, 1), (3, 1), (2, 0))
            self.second = nn.Conv2d(8, 8, 1)
            self.head = nn.Linear(8, 2)

    def forward(self, x):
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3)))


@pytest.mark.parametrize("wrapped", [False, True])
def test_the_step_of_somebodys_network_is_measured(wrapped):
    layout = hargcn.skeleton("kinect20")
    dims = ("sample", "channel", "time", "joint")
    own = ForeignNetwork(Strided(), layout, ["a", "b"], (3, 24, 20, 1), input_dims=dims)
    positions = torch.randn(2, 3, 24, 20, 1, generator=torch.Generator().manual_seed(0))
    network = PositionModel(own) if wrapped else own
    x = positions if wrapped else own.features(positions)
    batch = SimpleNamespace(valid=np.ones((2, 24, 1), bool))
    made = explanation(np.ones((2, 3, 24, 20)), ("sample", "channel", "time", "joint"))
    (made,) = with_input({"": made}, network, x, batch).values()
    assert made.dataset.attrs["time_step"] == 3
    assert made.dataset["comb"].shape == (2,)
