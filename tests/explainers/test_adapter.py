from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import branches, image
from fixtures.methods import HEADLESS, cam
from fixtures.small_model import ours, small_model
from torch import nn

from hargcn.analysis.asked import asked_name
from hargcn.explainers import DeepSHAP, GradCAM
from hargcn.explainers.adapter import Adapter, adapted, axis_labels, input_axes, map_axes
from hargcn.explainers.base import make
from hargcn.explainers.baselines import Random
from hargcn.explanation import DIMS


def test_our_networks_answer_for_themselves_and_others_are_adapted():
    model, x = ours(), branches()
    assert adapted(model, x) is model
    plain = nn.Sequential(nn.Conv2d(3, 2, 1))
    assert adapted(plain, image()).input_dims == ("sample", "axis1", "axis2", "axis3")
    assert adapted(plain, x).input_dims == DIMS


def test_an_adapter_without_names_takes_each_inputs_and_keeps_none():
    adapter = Adapter(nn.Flatten())
    assert adapted(adapter, image()).input_dims == ("sample", "axis1", "axis2", "axis3")
    assert adapted(adapter, torch.zeros(2, 3, 4)).input_dims == ("sample", "axis1", "axis2")
    assert adapter.input_dims == ()


@pytest.mark.parametrize(
    ("shape", "unfolded"),
    [((4, 5, 6, 7), (2, 2, 5, 6, 7)), ((4, 5, 6), (2, 2, 5, 6, 1))],
)
def test_an_adapter_unfolds_rows_into_persons_and_back(shape, unfolded):
    adapter, activation = Adapter(nn.Identity()), torch.arange(4 * 5 * 6 * 7.0)
    activation = activation[: torch.Size(shape).numel()].view(shape)
    maps = adapter.unfold("x", activation, 2)
    assert maps.shape == unfolded
    assert maps[1, 0].flatten().equal(activation[2].flatten())
    assert adapter.fold("x", maps).view(shape).equal(activation)


def test_what_an_adapter_cannot_know_it_says():
    adapter = Adapter(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError, match=r"Expected layer of 0 \(got 'nothing'\)"):
        adapter.get_layer("nothing")
    with pytest.raises(ValueError, match="or an Adapter with `unfold`"):
        adapter.unfold("x", torch.zeros(4, 5), 4)
    with pytest.raises(ValueError, match="or an Adapter with `unfold`"):
        adapter.unfold("x", torch.zeros(5, 3, 2, 2), 4)
    with pytest.raises(ValueError, match="with `fold` beside `unfold`"):
        Adapter(nn.ReLU(), unfold=lambda a, _: a).fold("x", torch.zeros(1))


@pytest.mark.parametrize(
    "method",
    [
        GradCAM("0"), DeepSHAP(torch.zeros(1, 2, 4, 3)), make("inputxgradient", {}), Random(0),
        make("shapley-groups", {"by": "joint"}),
    ],
    ids=lambda method: method.name,
)  # fmt: skip
def test_names_of_classes_are_those_of_pictures(method):
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    names = {"class": ["sit", "wave"], "channel": ["x", "y"]}
    adapter = Adapter(network, ("sample", "channel", "time", "joint"), axis_names=names)
    found = method(adapter, torch.randn(2, 2, 4, 3), 1)
    assert asked_name(found) == "wave"
    assert "class" not in found.dataset.coords


DIMS_OF_CLIPS = ("sample", "channel", "time", "joint", "person")


class Tokens(nn.Module):
    """Tokens (sample, feature, time, person x joint) and rows (sample, person x joint)."""

    def __init__(self):
        super().__init__()
        self.tokens, self.rows, self.pooled = nn.Identity(), nn.Identity(), nn.Identity()
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        x = self.tokens(x.transpose(3, 4).flatten(3))
        rows = self.rows(x.permute(0, 1, 3, 2).flatten(1, 2))
        x = rows.view(len(x), 3, -1, x.shape[2]).mean(2)
        return self.head(self.pooled(x).mean(2))


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ("tokens", "48 joints and 1 persons"),
        ("rows", "1 joints and 1 persons"),
        ("pooled", "1 joints and 1 persons"),
    ],
)
@pytest.mark.parametrize("method", HEADLESS)
def test_maps_of_other_joints_and_persons_are_refused(layer, found, method):
    x = torch.randn(2, 3, 8, 24, 2, generator=torch.Generator().manual_seed(0))
    wanted = f"layer '{layer}': expected maps of 24 joints and 2 persons, .*got {found}.*`unfold`"
    with pytest.raises(ValueError, match=wanted):
        cam(method, layer)(Adapter(Tokens(), DIMS_OF_CLIPS), x, 1)


def test_an_unfold_says_what_tokens_are_and_what_was_pooled():
    def unfold(activation, _samples):
        if activation.ndim == 3:
            return activation[:, None, :, :, None]
        return activation.unflatten(3, (2, 24)).permute(0, 3, 1, 2, 4)

    x = torch.randn(2, 3, 8, 24, 2, generator=torch.Generator().manual_seed(0))
    at = Adapter(Tokens(), DIMS_OF_CLIPS, unfold, axis_names={"joint": [str(i) for i in range(24)]})
    made = GradCAM("tokens")(at, x, 1)
    assert made.values.shape == (2, 8, 24, 2)
    weights = at.model.head.weight[1].detach() / (8 * 24 * 2)
    expected = torch.einsum("f,nftvm->ntvm", weights, x)
    np.testing.assert_allclose(made.values, expected, rtol=1e-4, atol=1e-7)
    pooled = GradCAM("pooled")(at, x, 1)
    assert pooled.values.shape == (2, 8, 1, 1)
    wrong = Adapter(Tokens(), DIMS_OF_CLIPS, lambda a, _: a[:, None, :, :, :23])
    with pytest.raises(ValueError, match="got 23 joints and 1 persons"):
        GradCAM("tokens")(wrong, x, 1)


def test_maps_follow_named_axes_or_the_last_ones():
    assert map_axes(ours(), branches()) == (3, 4, 5)
    assert map_axes(adapted(nn.ReLU(), image()), image()) == (2, 3, None)
    series = torch.zeros(2, 3, 9)
    assert map_axes(adapted(nn.ReLU(), series), series) == (2, None, None)
    table = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="whose input_dims name 'time'"):
        map_axes(adapted(nn.ReLU(), table), table)


def test_labels_are_what_the_model_knows():
    model = small_model("coco17")
    found = axis_labels(model, dict(zip(DIMS, (2, 4, 4, 9, 17, 1), strict=True)))
    assert list(found["coords"]["branch"]) == ["J", "V", "B", "A"]
    assert len(found["coords"]["joint"]) == 17
    axes, names = found["coords"]["channel_name"]
    assert axes == ("branch", "channel")
    assert [row[0] for row in names] == [
        "x", "velocity x over 1 frame", "bone x", "acceleration x over 1 frame",
    ]  # fmt: skip
    assert found["skeleton"].name == "coco17"
    assert axis_labels(nn.Identity(), {"sample": 2, "axis1": 3}) == {"coords": {}, "skeleton": None}


def test_input_axes():
    assert input_axes(nn.Identity(), torch.zeros(1, 2), None) == ("sample", "axis1")
    assert input_axes(nn.Identity(), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert input_axes(small_model("coco17"), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert input_axes(nn.Identity(), torch.zeros(1, 2), ["sample", "a"]) == ("sample", "a")
    with pytest.raises(ValueError, match="Expected 2 dims"):
        input_axes(nn.Identity(), torch.zeros(1, 2), ["a", "sample"])
