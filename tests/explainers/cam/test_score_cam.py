from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_cnn import adapted_cnn, branches, image
from fixtures.small_model import ours

from hargcn.explainers import ScoreCAM
from hargcn.explainers.hooks import record


def scaled(maps):
    low = maps.amin(dim=(-2, -1), keepdim=True)
    return (maps - low) / (maps.amax(dim=(-2, -1), keepdim=True) - low)


@pytest.mark.parametrize("utility", ["logit", "prob"])
def test_weights_are_the_softmax_of_the_masked_scores(utility):
    model, x = adapted_cnn(), image(n=2)
    made = ScoreCAM("features.4", utility=utility, batch=5)(model, x, 1)
    with record(model, model, ["features.4"], grad=False) as seen:
        model(x)
        masks = F.interpolate(scaled(seen["features.4"]), x.shape[2:], mode="bilinear")
        logits = torch.stack([model(x * masks[:, k : k + 1]) for k in range(masks.shape[1])], 1)
    scores = logits if utility == "logit" else logits.softmax(2)
    expected = scores[..., 1].softmax(1)
    np.testing.assert_allclose(made.dataset["weight"][:, 0], expected, rtol=1e-4)


def test_what_a_mask_hides_becomes_the_baseline():
    model, x = adapted_cnn(), image(n=2)
    baseline = torch.ones(1, 3, 1, 1)
    moved = adapted_cnn()
    moved.model.features[0].register_forward_pre_hook(lambda _m, inputs: (inputs[0] + 1,))
    # At the first layer the shifted network has the same maps for x - 1, whose zero is our one.
    conv = moved.model.features[0]
    conv.padding_mode, model.model.features[0].padding_mode = "replicate", "replicate"
    for net in (conv, model.model.features[0]):
        net._reversed_padding_repeated_twice = [1, 1, 1, 1]
    mine = ScoreCAM("features.4", baseline=baseline)(model, x, 1)
    theirs = ScoreCAM("features.4")(moved, x - 1, 1)
    np.testing.assert_allclose(mine.values, theirs.values, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("utility", ["logit", "prob"])  # persons add up in logits alone
def test_a_persons_masks_leave_the_other_as_it_is(utility):
    model, x = ours(), branches(n=1)
    layer = "main.1.attention"
    made = ScoreCAM(layer, utility=utility)(model, x, 1)
    with record(model, model, [layer], grad=False) as seen:
        model(x)
        maps = scaled(model.unfold(layer, seen[layer], 1))[0]
        frames = torch.arange(x.shape[3]) / 2  # cells lie on every second frame
        low = frames.floor().long().clamp(max=maps.shape[2] - 1)
        high = (low + 1).clamp(max=maps.shape[2] - 1)
        share = (frames - low)[:, None]
        fine = maps[:, :, low] * (1 - share) + maps[:, :, high] * share
        for person in range(2):
            scores = []
            for mask in fine[person]:
                shown = x.clone()
                shown[..., person] = x[..., person] * mask
                logits = model(shown)[0]
                scores.append((logits if utility == "logit" else logits.softmax(0))[1])
            expected = torch.stack(scores).softmax(0)
            np.testing.assert_allclose(made.dataset["weight"][0, person], expected, rtol=1e-4)
