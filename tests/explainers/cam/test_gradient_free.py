from __future__ import annotations

import pytest
import torch
from fixtures.small_model import small_model
from torch import nn

from hargcn.explainers.cam.gradient_free import WeightedCAM

LAYER = "main.1.attention"


class FirstFeature(WeightedCAM):
    """Weighs the first feature map by 2 and all others by 0."""

    label = "first"
    source = "this test"

    def weights(self, model: nn.Module, at, layer, x, target):
        kept = []
        handle = at.get_layer(layer).register_forward_hook(lambda _m, _i, out: kept.append(out))
        model(x)
        handle.remove()
        activation = at.unfold(layer, kept[0], len(x))
        weight = torch.zeros(activation.shape[:3])
        weight[:, :, 0] = 2.0 if target is None else 2.0 * (target[:, None] == 1)
        return activation, weight


# Named only now, it is in no list of methods: tests beside this one print them.
FirstFeature.name = "first"


def test_the_map_is_the_weighted_sum_of_feature_maps():
    model = small_model("ntu25")
    x = torch.randn(2, 4, 6, 8, 25, 2, generator=torch.Generator().manual_seed(0))
    made = FirstFeature(LAYER)(model, x, 1)
    activation, _ = FirstFeature(LAYER).weights(model, model, LAYER, x, None)
    expected = 2 * activation[:, :, 0].permute(0, 2, 3, 1).detach()
    torch.testing.assert_close(torch.from_numpy(made.values.to_numpy()), expected)
    assert made.dataset["weight"].dims == ("sample", "person", "feature")
    assert made.dataset["weight"].sum().item() == 2 * 2 * 2  # two samples of two persons
    torch.testing.assert_close(
        torch.from_numpy(made.score.to_numpy()), model(x)[:, 1].detach(), rtol=1e-4, atol=1e-5
    )


def test_relu_keeps_the_positive_part():
    model = small_model()
    x = torch.randn(2, 4, 4, 8, 19, 1, generator=torch.Generator().manual_seed(0))
    signed = FirstFeature(LAYER)(model, x, 1).values
    assert (signed < 0).any()
    assert FirstFeature(LAYER, relu=True)(model, x, 1).values.equals(signed.clip(min=0))


def test_a_batch_must_be_positive():
    with pytest.raises(ValueError, match=r"batch: .*greater than or equal to 1 \(got 0\)"):
        FirstFeature(LAYER, batch=0)
