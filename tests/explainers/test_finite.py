"""What is no number is refused by name, whoever explains."""

from __future__ import annotations

import copy

import pytest
import torch
from fixtures.foreign_cnn import adapted_stgcn, clips, out_of_place
from fixtures.methods import CAMS, cam
from torch import nn

from hargcn.explainers import (
    Constant,
    DeepSHAP,
    Explainer,
    GradCAM,
    HiResCAM,
    HybridProduct,
    LibrarySHAP,
)
from hargcn.explainers.cam.base import explain_all

MAKERS = {
    **{name: lambda name=name: cam(name, "blocks.1") for name in CAMS},
    "shap": lambda: DeepSHAP(clips(3, seed=2)),
    "shap-library": lambda: LibrarySHAP(clips(3, seed=2)),
    "constant": Constant,
    "hybrid": lambda: HybridProduct(DeepSHAP(clips(3, seed=2)), GradCAM("blocks.1")),
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
def test_an_input_that_is_not_finite_is_refused(name, odd):
    x = clips(3)
    x[1, 0, 2, 3, 0] = odd
    with pytest.raises(ValueError, match=rf"^sample 1: expected finite input \(got {odd}\)$"):
        MAKERS[name]()(adapted_stgcn(), x, 0)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_weight_that_is_not_finite_is_noticed(name, odd):
    model = out_of_place(copy.deepcopy(adapted_stgcn()))
    with torch.no_grad():
        model.model.fcn.bias[0] = odd
    with pytest.raises(ValueError, match="every weight of the network finite"):
        MAKERS[name]()(model, clips(), 0)


def test_every_way_in_refuses():
    x = clips(3)
    x[2, 0, 2, 3, 0] = float("nan")
    said = r"^sample 2: expected finite input \(got nan\)$"
    with pytest.raises(ValueError, match=said):
        explain_all([GradCAM("blocks.1")], adapted_stgcn(), x, 0)
    with pytest.raises(ValueError, match=said):
        GradCAM("blocks.1").at_layers(adapted_stgcn(), x, 0, ["blocks.0"])
    with pytest.raises(ValueError, match=said):
        DeepSHAP(clips(3))(adapted_stgcn(), x, 0)
    with pytest.raises(ValueError, match=said):
        DeepSHAP(clips(3)).explain_classes(adapted_stgcn(), x, [0, 1])
    with pytest.raises(ValueError, match="background sample 2: expected finite input"):
        DeepSHAP(x)


def test_attributions_that_are_not_finite_are_refused():
    class Root(nn.Module):
        """sqrt of 0: a finite score without a finite gradient."""

        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x):
            return self.layer(x).sqrt().mean((2, 3))

    x = torch.ones(3, 2, 4, 4)
    x[1, 0] = 0
    with pytest.raises(ValueError, match="^sample 1: hirescam: expected finite attributions"):
        HiResCAM("layer")(Root(), x, 0)


def test_an_explainer_of_ones_own_is_checked_too():
    class Odd(Constant):
        def maps(self, asked):
            maps = super().maps(asked)
            maps[1, 0, 0] = float("nan")
            return maps

    assert issubclass(Odd, Explainer)
    with pytest.raises(ValueError, match="^sample 1: constant: expected finite attributions"):
        Odd()(adapted_stgcn(), clips(), 0)
