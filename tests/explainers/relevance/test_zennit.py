"""LRP against zennit, on networks whose every operation is a module that it knows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.peer_packages import zennit
from torch import Tensor, nn

from hargcn.explainers.relevance.explainer import LRP


def network(norms: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8) if norms else nn.Identity(), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4),
        ).double().eval()  # fmt: skip
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    return model


def images() -> Tensor:
    return torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()


def theirs(composite, model: nn.Module, x: Tensor, target: int) -> Tensor:
    leaf = x.clone().requires_grad_()
    with composite.context(model) as ruled:
        out = ruled(leaf)
        seed = torch.zeros_like(out)
        seed[:, target] = out[:, target].detach()
        (found,) = torch.autograd.grad(out, leaf, seed)
    return found


@pytest.mark.parametrize("norms", [False, True])
@pytest.mark.parametrize(
    ("mine", "name"),
    [
        ("epsilon-plus", "EpsilonPlus"),
        ("epsilon-plus-flat", "EpsilonPlusFlat"),
        ("epsilon-alpha2-beta1", "EpsilonAlpha2Beta1"),
        ("epsilon-alpha2-beta1-flat", "EpsilonAlpha2Beta1Flat"),
        ("epsilon-gamma-box", "EpsilonGammaBox"),
    ],
)
def test_composites_are_zennits(mine, name, norms) -> None:
    package, model, x = zennit(), network(norms), images()
    canonizers = [package.canonizers.SequentialMergeBatchNorm()]
    given, box = {}, {}
    if mine.endswith("box"):
        low, high = x.amin((0, 1, 2, 3), keepdim=True) - 1, x.amax((0, 1, 2, 3), keepdim=True) + 1
        box = {"low": low.expand_as(x), "high": high.expand_as(x)}
        given = {"background": torch.cat([low.expand_as(x), high.expand_as(x)])}
    composite = getattr(package.composites, name)(canonizers=canonizers, **box)
    expected = theirs(composite, model, x, 1)
    found = LRP(composite=mine, **given)(model, x, 1).values.to_numpy()
    assert float(expected.abs().max()) > 1e-3
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("mine", "name"),
    [("epsilon", "Epsilon"), ("gamma", "Gamma"), ("flat", "Flat"), ("w2", "WSquare")],
)
def test_rules_are_zennits(mine, name) -> None:
    """Rule by rule: for all weights, or for the first layer."""
    package, model, x = zennit(), network(), images()
    rule = getattr(package.rules, name)
    rest = package.rules.Epsilon if mine in ("flat", "w2") else rule
    types, known = package.types, package.composites
    # Theirs of the squares counts the bias.
    first = [(types.Linear, rule(zero_params="bias") if mine == "w2" else rule())]
    layers = [(types.Activation, package.rules.Pass()), (types.AvgPool, package.rules.Norm()),
              (types.Linear, rest())]  # fmt: skip
    composite = known.SpecialFirstLayerMapComposite(layer_map=layers, first_map=first)
    recipe = (
        {"input": mine}
        if mine in ("flat", "w2")
        else dict.fromkeys(("linear", "convolution"), mine)
    )
    found = LRP(composite=recipe)(model, x, 2).values.to_numpy()
    np.testing.assert_allclose(found, theirs(composite, model, x, 2), rtol=1e-5, atol=1e-7)
