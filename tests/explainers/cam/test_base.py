from __future__ import annotations

import copy
import gc

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, adapted_stgcn, branches, clips, image
from fixtures.methods import CAMS, HEADLESS, cam
from fixtures.small_model import half_trained, ours, small_model, traces
from torch import nn

from hargcn.explainers import (
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    ShapleyCAM,
    ShapleyCAMH,
    explain_all,
)
from hargcn.explainers.adapter import Adapter
from hargcn.explainers.base import make
from hargcn.explainers.scores import scores_of

LAYERS = ["J.0.attention", "main.0.tcn", "main.1.attention"]


@pytest.mark.parametrize("target", [-1, 4])
def test_a_class_the_network_does_not_have_is_refused(target):
    with pytest.raises(ValueError, match=r"Expected targets 0 to 3 \(got"):
        GradCAM("features")(adapted_cnn(), image(), target)


def test_a_map_has_the_layers_own_grid_with_names():
    made = GradCAM("J.0.attention").at_layers(ours(), branches(frames=12), 0, LAYERS)
    assert list(made) == LAYERS
    first = made["J.0.attention"]
    assert first.dims == ("sample", "time", "joint", "person")
    assert first.values.shape == (2, 6, 19, 2)
    np.testing.assert_array_equal(first.values.time, np.arange(6) * 2)
    assert tuple(first.values.joint.to_numpy()) == ours().skeleton.joints
    assert (first.layer, first.utility, first.skeleton.name) == (
        "J.0.attention",
        "logit",
        "inmotion19",
    )
    assert first.upsample().values.sizes["time"] == 12


def test_a_foreign_skeleton_network_keeps_names_and_skeleton():
    made = GradCAM("blocks.1")(adapted_stgcn(), clips(frames=10), 0)
    assert made.values.shape == (2, 5, 19, 2)
    np.testing.assert_array_equal(made.values.time, np.arange(5) * 2)
    assert made.skeleton.name == "inmotion19"


def test_series_have_maps_too():
    net = nn.Sequential(
        nn.Conv1d(2, 3, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    ).eval()
    x = torch.randn(2, 2, 7, generator=torch.Generator().manual_seed(0))
    for name in HEADLESS:
        assert make(name, {}, {"layer": "1"})(net, x, 1).values.shape == (2, 7, 1, 1)


@pytest.mark.parametrize("name", HEADLESS)
def test_a_batch_is_its_samples_one_by_one(name):
    model, x, target = ours(), branches(n=2), [2, 0]
    together = cam(name, "main.1.tcn")(model, x, target)
    for i in range(2):
        alone = cam(name, "main.1.tcn")(model, x[i : i + 1], target[i])
        np.testing.assert_allclose(
            together.values[i],
            alone.values[0],
            rtol=1e-3,
            atol=1e-5 * float(abs(alone.values).max()),
        )


# Shapcam's orders are drawn for places: see test_shapcam.
@pytest.mark.parametrize("name", sorted(set(HEADLESS) - {"shapcam"}))
def test_swapping_the_persons_swaps_their_maps(name):
    model, x = ours(), branches()
    straight = cam(name, "main.1.tcn")(model, x, 1).values
    swapped = cam(name, "main.1.tcn")(model, x.flip(-1), 1).values
    assert float(abs(straight[..., 0] - straight[..., 1]).max()) > 0
    np.testing.assert_allclose(
        swapped.to_numpy()[..., ::-1], straight, rtol=1e-3, atol=1e-5 * float(abs(straight).max())
    )


@pytest.mark.parametrize(
    "name", ["gradcam", "gradcam++", "shapleycam", "shapleycam-h", "ablationcam"]
)
def test_several_layers_from_one_pass_are_each_alone(name):
    model, x = ours(), branches()
    together = cam(name, LAYERS[0]).at_layers(model, x, 1, LAYERS)
    for layer in LAYERS:
        alone = cam(name, layer)(model, x, 1)
        np.testing.assert_allclose(
            together[layer].values,
            alone.values,
            rtol=1e-3,
            atol=1e-5 * float(abs(alone.values).max()),
        )


def test_several_methods_and_utilities_share_a_pass():
    model, x = adapted_cnn(), image()
    passes = []
    handle = model.model.register_forward_hook(lambda *_: passes.append(1))
    methods = [GradCAM("features.3"), HiResCAM("features"), ShapleyCAM("features", utility="prob")]
    made = explain_all(methods, model, x, 1)
    assert len(passes) == 1
    handle.remove()
    for one, found in zip(methods, made, strict=True):
        assert (found.method, found.layer, found.utility) == (one.name, one.layer, one.utility)
        np.testing.assert_allclose(found.values, one(model, x, 1).values, rtol=1e-4, atol=1e-6)


class Smooth(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 3, 1)
        self.second = nn.Conv2d(3, 3, (2, 1))
        self.fc = nn.Linear(3, 2)

    def behind(self, activation):
        return self.fc(torch.tanh(self.second(torch.sigmoid(activation))).mean(dim=(2, 3)))

    def forward(self, x):
        return self.behind(self.first(x))


@pytest.mark.parametrize("utility", ["logit", "prob", "rest"])
def test_second_order_weights_are_those_of_the_dense_hessian(utility):
    torch.manual_seed(0)
    net = Smooth().double().eval()
    x = torch.randn(2, 2, 3, 2, dtype=torch.float64)
    made = ShapleyCAMH("first", utility=utility)(net, x, torch.tensor([1, 0])).values
    for i, target in enumerate((1, 0)):
        activation = net.first(x[i : i + 1]).detach()

        def score(a, target=target):
            return scores_of(net.behind(a), torch.tensor([target]), utility)[0]

        gradient = torch.autograd.functional.jacobian(score, activation)
        hessian = torch.autograd.functional.hessian(score, activation).view(18, 18)
        assert hessian.abs().max() > 1e-4
        product = (hessian @ activation.flatten()).view_as(activation)
        expected = ((gradient - product / 2) * activation).sum(dim=1)[0].detach()
        np.testing.assert_allclose(made[i, :, :, 0], expected, rtol=1e-8)


@pytest.mark.parametrize("name", CAMS)
def test_no_trace_of_an_explanation_is_left(name):
    model, x = half_trained(adapted_stgcn()), clips().requires_grad_()
    state, kept, before = copy.deepcopy(model.state_dict()), x.detach().clone(), traces(model)
    randomness = torch.get_rng_state()
    cam(name, "blocks.1")(model, x, [0, 2])
    assert traces(model) == before
    assert all(value.equal(state[key]) for key, value in model.state_dict().items())
    assert x.detach().equal(kept)
    assert x.grad is None
    assert torch.get_rng_state().equal(randomness)


@pytest.mark.parametrize("name", CAMS)
def test_nor_is_one_after_an_exception(name):
    class Fails(nn.Conv2d):
        def forward(self, _x):
            raise RuntimeError("no head")

    model = half_trained(adapted_stgcn())
    model.model.fcn = Fails(1, 1, 1)
    before = traces(model)
    with pytest.raises(RuntimeError, match="no head"):
        cam(name, "blocks.1")(model, clips(), 0)
    assert traces(model) == before


def test_no_graph_outlives_its_explanation():
    model, x = adapted_cnn(), image()

    def graphs():
        gc.collect()
        return sum(1 for o in gc.get_objects() if type(o) is torch.Tensor and o.grad_fn is not None)

    before = graphs()
    made = explain_all([GradCAM("features"), ShapleyCAM("features")], model, x, 0)
    assert graphs() == before
    assert len(made) == 2


def test_settings_are_stored():
    made = GradCAMPlusPlus("features", relu=True, denominator="library")(adapted_cnn(), image(), 0)
    assert made.settings == {"utility": "logit", "relu": True, "denominator": "library"}


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(ValueError, match="^GradCAM: expected a value for 'layer'"):
        GradCAM()
    with pytest.raises(ValueError, match="^GradCAM: utility: .*'prob'.* \\(got 'loss'\\)"):
        GradCAM("features", utility="loss")
    with pytest.raises(ValueError, match="^gradcam: Expected layer of J"):
        GradCAM("nowhere")(small_model(), branches(), 0)
    silent = Adapter(nn.Sequential(nn.Flatten(), nn.Linear(144, 2)))
    silent.model.unused = nn.Identity()
    silent.model.forward = lambda x: silent.model[1](silent.model[0](x))
    with pytest.raises(ValueError, match="never called \\['unused'\\]"):
        GradCAM("unused")(silent, image(), 0)


def test_hirescam_adds_up_to_gradient_times_activation():
    model, x = adapted_cnn(), image()
    made = HiResCAM("features.3")(model, x, 1).values.to_numpy().sum(axis=(1, 2, 3))
    seen = []
    handle = model.get_layer("features.3").register_forward_hook(lambda *a: seen.append(a[2]))
    score = model(x)[:, 1].sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, seen)
    expected = (gradient * seen[0]).sum(dim=(1, 2, 3)).detach()
    np.testing.assert_allclose(made, expected, rtol=1e-4)
