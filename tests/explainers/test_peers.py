"""Our maps are torch-cam's and pytorch-grad-cam's, signed and unscaled; where not, it says how."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_cnn import adapted_cnn, image
from fixtures.methods import cam
from fixtures.peer_packages import grad_cam, raw_map

from hargcn import explainers
from hargcn.explainers import GradCAM, GradCAMPlusPlus, ScoreCAM, ShapleyCAM

LAYERS = {"features.3": "features.3", "features.4": "features.4"}
TARGET = [2, 0, 1]


def ours(explainer, x=None):
    x = image() if x is None else x
    return explainer(adapted_cnn(), x, TARGET).values.to_numpy()[..., 0]


def same(mine, theirs, rtol=1e-4):
    scale = np.abs(theirs).max(axis=(1, 2), keepdims=True)
    assert scale.max() > 0
    scale[scale == 0] = 1
    np.testing.assert_allclose(mine / scale, theirs / scale, rtol=rtol, atol=1e-5)


@pytest.fixture(scope="module")
def torchcam():
    return pytest.importorskip("torchcam.methods", reason="needs torchcam")


def theirs_torchcam(cls, layer, relu=False, **settings):
    """Return torch-cam's map before its ReLU and scaling."""
    net = adapted_cnn().model
    with cls(net, layer, **settings) as theirs:
        theirs._relu = relu
        scores = net(image().requires_grad_())
        (found,) = theirs(TARGET, scores, normalized=False)
    return found.detach().numpy()


def theirs_grad_cam(name, layer, **settings):
    package = grad_cam()
    net = adapted_cnn().model
    with getattr(package, name)(net, [net.get_submodule(layer)]) as theirs:
        for key, value in settings.items():
            setattr(theirs, key, value)
        return raw_map(theirs, image(), TARGET)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("gradcam", "GradCAM"),
        ("layercam", "LayerCAM"),
        ("xgradcam", "XGradCAM"),
        ("scorecam", "ScoreCAM"),
    ],
)
def test_equal_to_torch_cam(torchcam, mine, theirs, layer):
    expected = theirs_torchcam(getattr(torchcam, theirs), layer)
    same(ours(cam(mine, layer)), expected)


def test_cam_is_torch_cams(torchcam):
    expected = theirs_torchcam(torchcam.CAM, "features", fc_layer="fc")
    same(ours(explainers.CAM("features")), expected)


def test_torch_cams_gradcam_plus_plus_has_no_denominator(torchcam):
    # It divides a copy (`alpha[idx][mask].div_`), so that alpha = G^2 and w = sum(G^2 ReLU(G)).
    expected = theirs_torchcam(torchcam.GradCAMpp, "features.4")
    for denominator in ("paper", "library"):
        mine = ours(GradCAMPlusPlus("features.4", denominator=denominator))
        assert np.corrcoef(mine.ravel(), expected.ravel())[0, 1] < 0.999
    net, x = adapted_cnn(), image()
    seen = []
    handle = net.get_layer("features.4").register_forward_hook(
        lambda *a: seen.append(a[2].clone()) or seen[0]
    )
    score = net(x)[torch.arange(3), torch.tensor(TARGET)].sum()
    handle.remove()
    (g,) = torch.autograd.grad(score, seen)
    weights = (g**2 * g.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
    same((weights * seen[0]).sum(dim=1).detach().numpy(), expected)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("gradcam", "GradCAM"),
        ("hirescam", "HiResCAM"),
        ("layercam", "LayerCAM"),
        ("gradcam-elementwise", "GradCAMElementWise"),
        ("xgradcam", "XGradCAM"),
    ],
)
def test_equal_to_grad_cam(mine, theirs, layer):
    same(ours(cam(mine, layer)), theirs_grad_cam(theirs, layer))


def test_ablationcam_is_grad_cams_where_zero_is_nothing():
    same(ours(explainers.AblationCAM("features.6")), theirs_grad_cam("AblationCAM", "features.6"))
    # Where activations may be negative, it ablates to their minimum minus 1e7, not to zero.
    theirs = theirs_grad_cam("AblationCAM", "features.4")
    assert np.abs(theirs).max() > 1e4 * np.abs(ours(explainers.AblationCAM("features.4"))).max()


def test_grad_cams_plus_plus_adds_a_constant_to_the_denominator():
    # 1e-6; without it the paper's alpha, which is ours.
    expected = theirs_grad_cam("GradCAMPlusPlus", "features.4")
    net, x = adapted_cnn(), image()
    seen = []
    handle = net.get_layer("features.4").register_forward_hook(lambda *a: seen.append(a[2]))
    score = net(x)[torch.arange(3), torch.tensor(TARGET)].sum()
    handle.remove()
    (g,) = torch.autograd.grad(score, seen)
    a = seen[0].detach()
    below = 2 * g**2 + a.sum(dim=(2, 3), keepdim=True) * g**3
    maps = []
    for constant in (1e-6, 0.0):
        alpha = torch.where(g != 0, g**2 / (below + constant), 0)
        weights = (alpha * g.clamp(min=0)).sum(dim=(2, 3), keepdim=True)
        maps.append((weights * a).sum(dim=1).numpy())
    same(maps[0], expected, rtol=1e-3)
    same(maps[1], ours(GradCAMPlusPlus("features.4")), rtol=1e-3)


def test_grad_cams_scorecam_interpolates_between_the_corners():
    # Its masks align the corners of map and input; ours, as torch-cam's, the cells' centres. At a
    # layer with the input's own grid there is nothing to interpolate and they are equal.
    same(ours(ScoreCAM("features.2")), theirs_grad_cam("ScoreCAM", "features.2"))
    coarse, theirs = ours(ScoreCAM("features.4")), theirs_grad_cam("ScoreCAM", "features.4")
    assert np.abs(coarse - theirs).max() > 1e-4 * np.abs(theirs).max()


def test_grad_cams_shapleycam_explains_the_logit_unless_asked():
    # Its Hessian-vector product runs on the sum over the batch, which is the same thing in
    # evaluation mode.
    expected = theirs_grad_cam("ShapleyCAM", "features.4")
    expected = expected.detach().numpy() if hasattr(expected, "detach") else expected
    same(ours(ShapleyCAM("features.4", utility="logit")), expected)


def test_their_maps_are_clipped_and_scaled_ours_are_not():
    package = grad_cam()
    net = adapted_cnn().model
    with package.GradCAM(net, [net.features[4]]) as cam:
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        shown = cam(image(), [ClassifierOutputTarget(t) for t in TARGET])
    assert shown.min() == 0
    assert ours(GradCAM("features.4")).min() < 0
