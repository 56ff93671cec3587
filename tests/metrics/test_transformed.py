from __future__ import annotations

import pytest
import torch
from fixtures.attribution_toys import network, windows
from fixtures.small_model import ours
from torch import nn

from hargcn.metrics.transformed import Around, renumbered, rewritten


def test_the_same_function_written_differently():
    model, x = network(bias=True), windows()
    other, changed = rewritten(model, x)
    torch.testing.assert_close(other(x), model(x))
    assert changed == {
        "batch norms folded into the layer before": 1, "linear layers as two": 1,
        "ReLU as a limit": 1, "the input as 2 (x / 2)": 1,
    }  # fmt: skip
    kinds = {type(module) for module in other.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.ReLU}


def test_a_network_of_ours_folds_what_it_can():
    model = ours()
    x = torch.randn(1, len(model.streams), 2 * model.skeleton.ndim, 8, model.skeleton.n_joints, 1)
    other, changed = rewritten(model, x)
    torch.testing.assert_close(other(x), model(x), rtol=1e-4, atol=1e-4)
    assert changed["batch norms folded into the layer before"] > 3
    assert changed["batch norms as a scale and a shift"] > 3  # behind a graph product


class Shared(nn.Module):
    """A layer and a norm that run twice, or whose output goes past the norm, too."""

    def __init__(self, twice: bool) -> None:
        super().__init__()
        self.twice, self.layer, self.norm = twice, nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.norm.running_mean.fill_(2.0)

    def forward(self, x):
        y = self.layer(x)
        return self.norm(self.layer(self.norm(y))) if self.twice else self.norm(y) + y


@pytest.mark.parametrize("twice", [True, False])
def test_what_others_use_too_is_not_folded(twice):
    model, x = Shared(twice).eval(), torch.randn(4, 3)
    other, changed = rewritten(model, x)
    assert changed["batch norms as a scale and a shift"] == 1
    assert "batch norms folded into the layer before" not in changed
    torch.testing.assert_close(other(x), model(x))


def test_batch_norms_of_training_statistics_only_stay():
    model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3, track_running_stats=False)).eval()
    x = torch.randn(4, 3)
    other, changed = rewritten(model, x)
    assert set(changed) == {"linear layers as two", "the input as 2 (x / 2)"}
    torch.testing.assert_close(other(x), model(x))


def test_nothing_to_rewrite_is_said():
    assert rewritten(nn.Sequential(nn.Tanh()), torch.ones(1, 2))[1] == {}


def test_a_renumbered_body_is_the_same_body():
    body = ours().skeleton
    order = torch.randperm(body.n_joints, generator=torch.Generator().manual_seed(1))
    again = renumbered(body, order)
    assert again.joints == tuple(body.joints[old] for old in order)
    for name in ("edges", "mirror"):
        here, there = (
            {frozenset(s.joints[j] for j in pair) for pair in getattr(s, name)}
            for s in (body, again)
        )
        assert here == there
    assert {body.joints[j]: body.joints[p] for j, p in enumerate(body.parents)} == {
        again.joints[j]: again.joints[p] for j, p in enumerate(again.parents)
    }
    assert renumbered(again, order.argsort()) == body


def test_around_mixes_outputs_and_tells_joints_in_the_new_order():
    model, x = ours(), None
    x = torch.randn(1, len(model.streams), 2 * model.skeleton.ndim, 8, model.skeleton.n_joints, 1)
    mix = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
    plain = model(x)
    torch.testing.assert_close(Around(model, x, mix=mix)(x), plain[:, [1, 0, 2]] * mix.sum(1))
    order = torch.arange(model.skeleton.n_joints - 1, -1, -1)
    told = Around(model, x, joints=order)
    assert tuple(told.axis_names["joint"]) == model.skeleton.joints[::-1] == told.skeleton.joints
    maps = torch.arange(float(model.skeleton.n_joints)).expand(1, 2, 3, -1)
    folded = told.fold("main.0.tcn", told.unfold("main.0.tcn", maps, 1))
    torch.testing.assert_close(folded, maps)
