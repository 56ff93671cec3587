"""Relative attributing propagation, by loops over contributions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.families import FAMILIES
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import small_model
from torch import nn

from hargcn.explainers.relevance.explainer import RAP
from hargcn.networks.branches import PositionModel


def inputs(n: int = 2, persons: int = 1, seed: int = 1) -> torch.Tensor:
    return torch.randn(n, 4, 4, 9, 19, persons, generator=torch.Generator().manual_seed(seed))


def share(some, total):
    return some / total if total else some


def layer(z, received, apart):
    """Return the relevance (i,) of contributions z (i, j) to results that are not negative."""
    found = np.zeros(len(z))
    for j, r in enumerate(received):
        up, down = z[:, j].clip(min=0), -z[:, j].clip(max=0)
        first = down if apart and r < 0 else up
        found += r * (share(first, first.sum()) + share(down, up.sum() + down.sum()))
    some = found != 0
    return found - some * (found.sum() - received.sum()) / some.sum()


@pytest.mark.parametrize("form", ["linear", "convolution"])
def test_by_loops(form) -> None:
    """Three layers: relevance of either sign reaches the first."""
    torch.manual_seed(0)
    one, two = nn.Conv1d(6, 7, 1).double(), nn.Conv1d(7, 5, 1).double()
    head = nn.Linear(5, 3).double()
    for each in (one, two):  # no sample is without features
        nn.init.constant_(each.bias, 0.5)
    first, second = one.weight.detach()[..., 0], two.weight.detach()[..., 0]
    if form == "linear":
        flat = [nn.Linear(6, 7).double(), nn.Linear(7, 5).double()]
        for made, given in zip(flat, (one, two), strict=True):
            made.load_state_dict({"weight": given.weight[..., 0], "bias": given.bias})
        model = nn.Sequential(flat[0], nn.ReLU(), flat[1], nn.ReLU(), head)
    else:
        model = nn.Sequential(one, nn.ReLU(), two, nn.ReLU(), nn.Flatten(), head)
    x = torch.rand(4, 6).double()
    given = x if form == "linear" else x[..., None]
    made = RAP(epsilon=1e-13)(model, given, [0, 1, 2, 0])
    negative = False
    for i, target in enumerate([0, 1, 2, 0]):
        a = (x[i] @ first.T + one.bias).relu()
        b = (a @ second.T + two.bias).relu()
        score = float(head(b)[target].detach())
        sizes = (b * head.weight[target]).abs().detach().numpy()
        received = sizes / sizes.sum() * score
        below = layer((a[:, None] * second.T).detach().numpy(), received, form != "linear")
        negative = negative or (below < 0).any()
        expected = layer((x[i][:, None] * first.T).numpy(), below, form != "linear")
        np.testing.assert_allclose(made.values[i].to_numpy().ravel(), expected, rtol=1e-8)
        np.testing.assert_allclose(made.values[i].sum(), score, rtol=1e-8)
    assert negative


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "silu"])
@pytest.mark.parametrize("attention", ["ca", "stja", "none"])
def test_the_score_is_conserved_with_biases_too(activation, attention) -> None:
    model = small_model(activation=activation, attention=attention).double()
    found = RAP()(model, inputs(3, persons=2).double(), [0, 1, 2])
    lost = found.dataset["relevance_lost"].sum("operation")
    np.testing.assert_allclose(lost, -found.additivity_gap, atol=1e-9)
    assert float(found.relative_gap.max()) < 1e-3
    assert float(found.values.min()) < 0 < float(found.values.max())


def test_samples_do_not_meet() -> None:
    model, x = small_model().double(), inputs(3).double()
    together, alone = RAP()(model, x, [0, 1, 2]), RAP()(model, x[1:2], 1)
    np.testing.assert_allclose(together.values[1], alone.values[0], rtol=1e-6, atol=1e-9)


def test_a_contrast_begins_at_the_features_of_the_head() -> None:
    """Differences of logits are one head: its weights are the differences."""
    torch.manual_seed(0)
    body, head = nn.Sequential(nn.Linear(6, 7), nn.ReLU()).double(), nn.Linear(7, 3).double()
    one = nn.Linear(7, 1).double()
    state = head.state_dict()
    one.load_state_dict({name: value[1:2] - value[2:] for name, value in state.items()})
    x = torch.rand(4, 6).double()
    found = RAP()(nn.Sequential(body, head), x, 1, 2)
    expected = RAP()(nn.Sequential(body, one), x, 0)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-9)


def test_positions_and_families() -> None:
    model = PositionModel(small_model()).double()
    x = torch.randn(2, 2, 9, 19, 2, generator=torch.Generator().manual_seed(3)).double()
    found = RAP()(model, x, [2, 1])
    assert found.dims == model.input_dims
    assert float(abs(found.values).max()) > 0
    for key in ("ctrgcn", "efficientgcn", "skateformer"):
        at, rows = FAMILIES[key].adapted(), FAMILIES[key].inputs()
        assert float(abs(RAP()(at, rows, 1).values).max()) > 0


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_output(kind) -> None:
    assert float(abs(RAP()(network(kind), inputs(), 1).values).max()) > 0
