from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.small_model import ours
from torch import nn

from hargcn.explainers import AblationCAM, LiftCAM

CASES = [
    (ours, branches, "main.1.tcn"),
    (ours, branches, "J.0.attention"),
    (adapted_cnn, image, "features.3"),
    (adapted_stgcn, clips, "blocks.0"),
]


def without(model, layer, x, feature=None):
    """Run the network with one feature map, or all of them, set to zero."""

    def cut(_module, _inputs, out):
        out = out.clone()
        out[:, slice(None) if feature is None else feature] = 0
        return out

    handle = model.get_layer(layer).register_forward_hook(cut)
    with torch.no_grad():
        logits = model(x)
    handle.remove()
    return logits


@pytest.mark.parametrize(("build", "inputs", "layer"), CASES)
def test_ablation_weights_are_the_scores_of_runs_without_a_map(build, inputs, layer):
    model, x = build(), inputs()[..., :1] if inputs is not image else inputs()
    made = AblationCAM(layer, batch=5)(model, x, 1)
    weight = made.dataset["weight"].to_numpy()
    for feature in (0, weight.shape[2] - 1):
        score = made.score.to_numpy()
        expected = (score - without(model, layer, x, feature)[:, 1].numpy()) / score
        np.testing.assert_allclose(weight[:, 0, feature], expected, rtol=1e-3, atol=1e-5)


def test_a_score_of_zero_leaves_the_drop():
    net = nn.Sequential(nn.Identity(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 1))
    with torch.no_grad():
        net[3].weight.copy_(torch.tensor([[1.0, -1.0]]))
        net[3].bias.zero_()
    made = AblationCAM("0")(net, torch.full((1, 2, 2, 2), 3.0), 0)
    np.testing.assert_allclose(made.dataset["weight"][0, 0], [3, -3])


@pytest.mark.parametrize("utility", ["logit", "prob", "rest"])
@pytest.mark.parametrize(("build", "inputs", "layer"), CASES)
def test_lift_weights_add_up_to_the_score_over_that_of_nothing(build, inputs, layer, utility):
    from hargcn.explainers.scores import class_scores

    model, x = build(), inputs()
    made = LiftCAM(layer, utility=utility)(model, x, 1)
    nothing = class_scores(without(model, layer, x), utility)[:, 1].numpy()
    total = made.score.to_numpy() - nothing
    assert abs(total).max() > 1e-3
    found = made.dataset["weight"].sum(["person", "feature"])
    np.testing.assert_allclose(found, total, rtol=1e-3, atol=1e-5)
