from __future__ import annotations

import copy

import numpy as np
import torch
from fixtures.attribution_toys import network
from fixtures.attribution_toys import windows as two_persons
from fixtures.toy_networks import Line, explained

from hargcn.explainers.baselines import Random
from hargcn.metrics.sanity import cascade, class_sensitivity, randomisation

WEIGHTS = [2.0, -1.0, 0.5, 3.0, -2.0, 0.1]


def windows(n: int = 30) -> torch.Tensor:
    return torch.randn(n, 1, 1, 5, 6, 1, generator=torch.Generator().manual_seed(0))


def gradient_times_input(model, x, target):
    """Attribute the logit of `Line`, the exact explanation of a linear model."""
    sign = torch.where(torch.as_tensor(target) == 0, 1.0, -1.0)[:, None, None]
    total = model.edge.sum((0, 2)) * model.weights
    return explained(sign * (x[:, 0, 0, :, :, 0] * total).detach(), target)


def movement(model, x, target):
    """Look at the window only: the same map for every model and every class."""
    del model
    return explained(x[:, 0, 0, :, :, 0].abs(), target)


def test_what_the_model_learnt_shows_in_the_cascade():
    model, x = (
        Line(WEIGHTS, torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(1))),
        windows(),
    )
    target = torch.zeros(30, dtype=int)
    state = copy.deepcopy(model.state_dict())
    honest = randomisation(
        model, x, gradient_times_input(model, x, target), gradient_times_input, stages=2
    )
    assert honest.dims == ("sample", "stage")
    assert float(honest.isel(stage=-1).mean()) < 0.9
    blind = randomisation(model, x, movement(model, x, target), movement)
    np.testing.assert_allclose(blind, 1)
    random = randomisation(model, x, Random(1)(model, x, target), Random(1))
    assert abs(float(random.mean())) < 0.1
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_the_cascade_reaches_the_edge_importance():
    model, x = (
        Line([1.0] * 6, torch.rand(1, 6, 6, generator=torch.Generator().manual_seed(1))),
        windows(),
    )
    target = torch.zeros(30, dtype=int)
    # All weights equal: their randomisation by mean and spread changes nothing, that of E does.
    found = randomisation(model, x, gradient_times_input(model, x, target), gradient_times_input)
    assert float(found.mean()) < 1


def test_magnitudes_hide_a_sign_that_flips():
    model, x = Line([1.0] * 6), windows()
    target = torch.zeros(30, dtype=int)

    def opposite(model, x, target):
        return explained(-gradient_times_input(model, x, target).values.to_numpy(), target[0])

    each = gradient_times_input(model, x, target)
    signed = randomisation(model, x, each, opposite, stages=1)
    absolute = randomisation(model, x, each, opposite, stages=1, absolute=True)
    assert float(signed.max()) < float(absolute.min())


def test_two_classes_of_a_linear_model_are_opposites():
    model, x = Line(WEIGHTS), windows()
    target = torch.tensor([0, 1] * 15)
    np.testing.assert_allclose(
        class_sensitivity(model, x, gradient_times_input(model, x, target), gradient_times_input),
        -1,
    )
    np.testing.assert_allclose(class_sensitivity(model, x, movement(model, x, target), movement), 1)
    random = class_sensitivity(model, x, Random(1)(model, x, target), Random(1))
    assert abs(float(random.mean())) < 0.1


def test_the_cascade_goes_from_the_output_down_whatever_the_order_of_registration():
    model = network(bias=True)  # registered head first
    names = ("head", "norm", "conv")
    before = {name: model.model.get_submodule(name).weight.clone() for name in names}
    state = copy.deepcopy(model.state_dict())
    changed = []
    for share, broken in cascade(model, two_persons(1), 3, seed=0):
        weights = {name: broken.model.get_submodule(name).weight for name in names}
        changed.append((share, [n for n in names if not torch.equal(weights[n], before[n])]))
    assert changed == [(1 / 3, ["head"]), (2 / 3, ["head", "norm"]), (1, ["head", "norm", "conv"])]
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())


def test_a_module_that_is_only_read_goes_with_the_one_that_reads_it():
    class Reads(torch.nn.Module):
        def __init__(self, below):
            super().__init__()
            self.below, self.held = below, torch.nn.Linear(2, 2)

        def forward(self, x):
            return self.below(x) @ self.held.weight

    below = torch.nn.Linear(2, 2)
    model = Reads(below)
    _, first = next(cascade(model, torch.ones(1, 2), 2, seed=0))
    assert torch.equal(first.below.weight, below.weight)
    assert not torch.equal(first.held.weight, model.held.weight)
