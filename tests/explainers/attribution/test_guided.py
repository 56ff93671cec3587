"""Guided backprop and deconvnet: by hand, however a rectifier is written; captum where it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_cnn import (
    adapted_cnn,
    adapted_stgcn,
    alive,
    branches,
    clips,
    image,
    out_of_place,
)
from fixtures.small_model import ours, traces
from torch import nn

from hargcn.explainers import Deconvnet, GradCAM, GuidedBackprop, GuidedGradCAM, Saliency
from hargcn.explainers.adapter import Adapter
from hargcn.explanation import Explanation

WRITTEN = {
    "module": nn.ReLU(),
    "module in place": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": lambda x: F.relu(x, inplace=True),
    "keyword": lambda x: F.relu(input=x),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "method": lambda x: x.relu(),
    "method in place": lambda x: x.relu_(),
    "leaky without a leak": lambda x: F.leaky_relu(x, 0.0),
}


class TwoLayers(nn.Module):
    """v relu(W2 relu(W1 x)); one rectifier, called twice."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.first = nn.Linear(2, 3, bias=False)
        self.second = nn.Linear(3, 3, bias=False)
        self.last = nn.Linear(3, 1, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]))
            self.second.weight.copy_(
                torch.tensor([[1.0, -2.0, 3.0], [2.0, 0.0, 1.0], [-1.0, 1.0, 5.0]])
            )
            self.last.weight.copy_(torch.tensor([[1.0, -1.0, 4.0]]))

    def forward(self, x):
        return self.last(self.act(self.second(self.act(self.first(x)))))


@pytest.mark.parametrize("act", WRITTEN)
def test_by_hand(act):
    """x = (3, 1): W1 x = (3, 1, -3), of which (3, 1, 0); W2 of it (1, 6, -2), of which (1, 6, 0).

    The signal v = (1, -1, 4). Guided: (1, 0, 0) passes, W2^T of it (1, -2, 3), of which (1, 0, 0)
    is positive and active; W1^T of it (1, 0). Deconvnet: (1, 0, 4) passes, W2^T of it (-3, 2, 23),
    of which (0, 2, 23); W1^T of it (-23, 2). The gradient: (1, -1, 0), (-1, -2, 0), (-1, -2).
    """
    model, x = TwoLayers(WRITTEN[act]), torch.tensor([[3.0, 1.0]])
    before = x.clone()
    assert GuidedBackprop()(model, x, 0).values.to_numpy().tolist() == [[1, 0]]
    assert Deconvnet()(model, x, 0).values.to_numpy().tolist() == [[-23, 2]]
    assert Saliency(signed=True)(model, x, 0).values.to_numpy().tolist() == [[-1, -2]]
    assert float(GuidedBackprop()(model, x, 0).score[0]) == -5
    assert x.equal(before)


def test_an_input_that_is_rectified_first_in_place():
    x = torch.tensor([[-1.0, 2.0, 3.0]])
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[4.0, -5.0, 6.0]]))
    assert GuidedBackprop()(model, x, 0).values.to_numpy().tolist() == [[0, 0, 6]]
    assert Deconvnet()(model, x, 0).values.to_numpy().tolist() == [[4, 0, 6]]
    assert x.tolist() == [[-1, 2, 3]]


def test_who_reads_what_was_rectified_in_place_reads_the_rectified():
    class Both(nn.Module):
        def forward(self, x):
            y = 2 * x
            F.relu_(y)
            return (y + 3 * y).sum(1, keepdim=True)

    found = GuidedBackprop()(Both(), torch.tensor([[-1.0, 2.0]]), 0)
    assert found.values.to_numpy().tolist() == [[0, 8]]
    assert float(found.score[0]) == 16


@pytest.mark.parametrize("act", [F.silu, F.hardswish, F.gelu, nn.Mish(), nn.SiLU(inplace=True)])
def test_other_rectifiers_keep_their_slope_where_they_are_active(act):
    """sum_k w_k f(x_k), w = (1, 1, -1): f'(x) at x > 0 under a positive signal."""

    class One(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = act if isinstance(act, nn.Module) else nn.Identity()

        def forward(self, x):
            y = act(1 * x)
            return (y * torch.tensor([1.0, 1.0, -1.0])).sum(1, keepdim=True)

    x = torch.tensor([[1.5, -0.5, 2.0]])
    slope = float(Saliency(signed=True)(One(), x, 0).values[0, 0])
    np.testing.assert_allclose(GuidedBackprop()(One(), x, 0).values, [[slope, 0, 0]], rtol=1e-6)
    assert Deconvnet()(One(), x, 0).values.to_numpy().tolist() == [[1, 1, 0]]


def test_gates_keep_their_gradient():
    class Gated(nn.Module):
        def forward(self, x):
            return -(torch.sigmoid(x) * F.relu(x)).sum(1, keepdim=True)

    x = torch.tensor([[1.0, -1.0]])
    s = float(torch.sigmoid(torch.tensor(1.0)))
    # -s reaches the rectifier and ends there; the gate has -x s (1 - s).
    found = GuidedBackprop()(Gated(), x, 0)
    np.testing.assert_allclose(found.values, [[-s * (1 - s), 0]], rtol=1e-6)


def test_without_rectifiers_it_says_so():
    model = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2))
    for method in (GuidedBackprop(), Deconvnet()):
        with pytest.raises(ValueError, match=f"{method.name}: expected a network with rectifiers"):
            method(model, torch.ones(1, 3), 0)


@pytest.mark.parametrize(
    ("mine", "theirs"), [(GuidedBackprop, "GuidedBackprop"), (Deconvnet, "Deconvolution")]
)
@pytest.mark.filterwarnings("ignore:Setting backward hooks")
def test_captum_where_every_rectifier_is_a_module_out_of_place(mine, theirs):
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    net, x = out_of_place(adapted_cnn().model), image()
    target = torch.tensor([2, 0, 1])
    expected = getattr(attr, theirs)(net).attribute(x.clone().requires_grad_(), target=target)
    found = mine()(net, x, target)
    size = float(abs(expected).max())
    np.testing.assert_allclose(found.values, expected.detach(), atol=1e-5 * size)


@pytest.mark.filterwarnings("ignore:Setting backward hooks")
def test_captum_gives_a_network_of_silu_its_plain_gradient():
    attr = pytest.importorskip("captum.attr", reason="needs captum")
    model, x = alive(nn.Sequential(nn.Linear(4, 5), nn.SiLU(), nn.Linear(5, 2))), torch.ones(1, 4)
    theirs = attr.GuidedBackprop(model).attribute(x.clone().requires_grad_(), target=1).detach()
    np.testing.assert_allclose(theirs, Saliency(signed=True)(model, x, 1).values, rtol=1e-5)
    assert float(abs(GuidedBackprop()(model, x, 1).values - theirs.numpy()).max()) > 0.1


def test_nothing_is_left_after_an_error():
    class Broken(TwoLayers):
        def forward(self, x):
            super().forward(x)
            raise RuntimeError("broken")

    model = Broken(nn.ReLU()).train()
    before = traces(model)
    with pytest.raises(RuntimeError, match="broken"):
        GuidedBackprop()(model, torch.ones(1, 2), 0)
    assert traces(model) == before
    x = torch.tensor([-1.0], requires_grad=True)
    (slope,) = torch.autograd.grad(-F.relu(-x).sum(), x)
    assert slope.item() == 1  # a negative signal passes again


@pytest.mark.parametrize("interpolation", ["linear", "nearest"])
def test_guided_gradcam_is_the_product(interpolation):
    at, x = adapted_stgcn(), clips()
    found = GuidedGradCAM("blocks.1", relu=False, interpolation=interpolation)(at, x, [1, 0])
    guided = GuidedBackprop()(at, x, [1, 0]).values.to_numpy()
    cam = GradCAM("blocks.1")(at, x, [1, 0])
    if interpolation == "linear":
        wide = cam.upsample().values.to_numpy()
    else:  # cells of a stride of 2 lie at the even frames; those half way go to the earlier
        wide = cam.values.to_numpy()[:, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]]
    assert cam.values.time.to_numpy().tolist() == [0, 2, 4, 6, 8]
    np.testing.assert_allclose(found.values, guided * wide[:, None], rtol=1e-5, atol=1e-12)
    assert (found.layer, found.title) == ("blocks.1", "Guided Grad-CAM blocks.1")
    assert found.settings["interpolation"] == interpolation
    positive = GuidedGradCAM("blocks.1", interpolation=interpolation)(at, x, [1, 0])
    kept = Explanation(cam.dataset.assign(attribution=cam.values.clip(min=0)))  # before it is wide
    wide = kept.upsample().values.to_numpy() if interpolation == "linear" else wide.clip(min=0)
    np.testing.assert_allclose(positive.values, guided * wide[:, None], rtol=1e-5, atol=1e-12)


def test_guided_gradcam_of_an_image():
    """Rows and columns are interpolated alike, between the centres of the pooled cells."""
    at, x = adapted_cnn(), image(1)
    found = GuidedGradCAM("features.4", relu=False)(at, x, 1)
    guided = GuidedBackprop()(at, x, 1).values.to_numpy()
    cam = torch.from_numpy(GradCAM("features.4")(at, x, 1).values.to_numpy()[..., 0])
    wide = F.interpolate(cam[None], x.shape[2:], mode="bilinear", align_corners=False)[0]
    np.testing.assert_allclose(found.values, guided * wide[:, None].numpy(), rtol=1e-4, atol=1e-9)


def test_guided_gradcam_of_several_layers_and_ours():
    maps = GuidedGradCAM("main.1.tcn").at_layers(ours(), branches(2), 1, ["J.init", "main.1.tcn"])
    assert list(maps) == ["J.init", "main.1.tcn"]
    assert {each.dims[1] for each in maps.values()} == {"branch"}


def test_guided_gradcam_needs_an_axis_for_every_axis_of_the_map():
    at = adapted_stgcn()
    flat = Adapter(nn.Sequential(nn.Flatten(), nn.Linear(6, 2), nn.ReLU()))
    with pytest.raises(ValueError, match="guided-gradcam: Expected layer of"):
        GuidedGradCAM("nowhere")(at, clips(), 0)
    with pytest.raises(ValueError, match="guided-gradcam: Expected an Adapter whose input_dims"):
        GuidedGradCAM("1")(flat, torch.ones(2, 6), 0)
