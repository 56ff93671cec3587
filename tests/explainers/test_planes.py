"""Layers in a plane: y and x stay axes of the map, and of everything kept beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.methods import HEADLESS, cam
from scipy.interpolate import RegularGridInterpolator
from torch import nn

from hargcn.explainers import Adapter, DeepSHAP, GradCAM, ScoreCAM

VIDEO = ("sample", "joint", "time", "y", "x")
FRAMES = ("row", "feature", "time", "y", "x")


class Maps(nn.Module):
    """Key-point maps (N, joint, time, y, x), halved in every direction, to logits (N, 2)."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv3d(3, 4, 2, stride=2)
            self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3, 4)).sin())


def maps(n: int = 2, seed: int = 1):
    return torch.randn(n, 3, 6, 8, 4, generator=torch.Generator().manual_seed(seed))


def adapted(net=None, **given):
    return Adapter(net or Maps(), VIDEO, unfold={"conv": FRAMES}, **given)


@pytest.mark.parametrize("name", HEADLESS)
def test_a_map_keeps_the_plane(name):
    made = cam(name, "conv")(adapted(), maps(), 1)
    assert made.dims == ("sample", "time", "y", "x", "person")
    assert made.values.shape == (2, 3, 4, 2, 1)
    np.testing.assert_array_equal(made.values["time"], [0.5, 2.5, 4.5])
    np.testing.assert_array_equal(made.values["y"], [0.5, 2.5, 4.5, 6.5])
    np.testing.assert_array_equal(made.values["x"], [0.5, 2.5])
    if name == "shapcam":
        assert made.standard_error.dims == made.dims
    with pytest.raises(ValueError, match=r"joint scores: expected axes .* \(got 'y'\)"):
        made.joint_scores()


def test_grad_cam_in_a_plane_on_paper():
    """G_k = w_ck cos(mean A_k) / 24: the map is sum_k G_k A_k."""
    at, x = adapted(), maps()
    a = at.model.conv(x).detach()
    weights = at.model.head.weight[1].detach() * a.mean((2, 3, 4)).cos() / 24
    expected = torch.einsum("nk,nktyx->ntyx", weights, a)
    found = GradCAM("conv")(at, x, 1).values.isel(person=0)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_score_cam_masks_the_plane_of_every_joint_alike():
    at, x = adapted(), maps(1)
    a = at.model.conv(x).detach()[0].numpy()
    centres = tuple(2 * np.arange(n) + 0.5 for n in (3, 4, 2))
    fine = np.meshgrid(np.arange(6), np.arange(8), np.arange(4), indexing="ij")
    # Beyond the outermost centres the outermost cells hold.
    fine = np.stack([p.clip(c[0], c[-1]) for p, c in zip(fine, centres, strict=True)], axis=-1)
    shown = []
    for k in range(4):
        scaled = (a[k] - a[k].min()) / (a[k].max() - a[k].min())
        mask = RegularGridInterpolator(centres, scaled)(fine).astype(np.float32)
        shown.append(float(at(x * torch.from_numpy(mask)).detach()[0, 1]))
    expected = torch.tensor(shown).softmax(0)
    found = ScoreCAM("conv")(at, x, 1).dataset["weight"]
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-4)


def test_score_cam_needs_the_plane_in_the_input():
    class Drawn(nn.Module):
        """Draws joints (N, C, T, V) onto a plane by itself."""

        def __init__(self):
            super().__init__()
            self.net = Maps()

        def forward(self, x):
            return self.net(x.unflatten(3, (8, 4)))

    at = Adapter(Drawn(), ("sample", "channel", "time", "joint"), unfold={"net.conv": FRAMES})
    x = maps().flatten(3)
    made = GradCAM("net.conv")(at, x, 1)
    np.testing.assert_array_equal(made.values["y"], np.arange(4))  # cells: nobody said of what
    with pytest.raises(ValueError, match="with the plane's axes 'y' and, right behind it, 'x'"):
        ScoreCAM("net.conv")(at, x, 1)


def test_shap_of_maps_has_joints_and_a_plane():
    made = DeepSHAP(maps(3, seed=2))(adapted(), maps(), 1)
    assert made.dims == VIDEO
    assert float(made.relative_gap.max()) < 1e-5
    assert made.sum("y", "x").joint_scores().shape == (2, 3)


def test_a_video_that_nobody_named_is_refused():
    with pytest.raises(ValueError, match="layer 'conv': expected an activation .*`unfold`"):
        GradCAM("conv")(Adapter(Maps(), VIDEO), maps(), 1)
    with pytest.raises(ValueError, match="layer 'conv': expected an activation .*`unfold`"):
        GradCAM("conv")(Maps(), maps(), 1)
