from __future__ import annotations

import pandas as pd
import torch
from fixtures.small_model import ours, traces
from torch import nn

from hargcn.explainers import GradCAM
from hargcn.explainers.base import make
from hargcn.pipeline.costs import costs, last_layer, passes


def x_of(model: nn.Module, n: int = 2) -> torch.Tensor:
    shape = model.shape
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return model.features(torch.randn(n, *shape))


def test_every_row_that_reaches_the_last_layer_counts():
    model = ours()
    x, target = x_of(model), torch.tensor([0, 1])
    joints = model.skeleton.n_joints
    before = traces(model)
    rows = {
        name: passes(make(name, settings, {}), model, x, target)
        for name, settings in {
            "saliency": {}, "smoothgrad": {"samples": 7}, "lime": {"masks": 30},
            "occlusion": {"by": "joint"},
        }.items()
    }  # fmt: skip
    assert rows["saliency"] == 2
    assert rows["smoothgrad"] in (2 * 7, 2 * 8)  # with or without the score of the window itself
    assert rows["lime"] == 2 * make("lime", {"masks": 30}, {}).passes(model, x).forward
    assert rows["occlusion"] == 2 * (joints + 1)
    assert passes(GradCAM("main.0.tcn"), model, x, target) == 2
    assert traces(model) == before


def test_the_last_layer_is_the_one_that_runs_last():
    class Backwards(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.second, self.first = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    model = Backwards()
    assert last_layer(model, torch.zeros(1, 4)) is model.second


def test_a_table_of_costs_has_a_row_per_explanation(gradcams, checkpoint, waving, tmp_path):
    table = costs(checkpoint, waving, list(gradcams), tmp_path / "costs.csv", limit=1)
    assert table["method"].tolist() == ["gradcam main.0.tcn", "gradcam main.0.attention"]
    assert (table["passes"] == 1).all()
    assert pd.read_csv(tmp_path / "costs.csv")["passes"].tolist() == [1, 1]
