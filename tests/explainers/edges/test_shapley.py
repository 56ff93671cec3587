"""Shapley values of edges: by brute force over all orders, by their sum, and from random orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from fixtures.graph_networks import windows
from fixtures.small_model import ours
from torch import nn

from hargcn.explainers import make
from hargcn.explainers.edges.graphs import graph_layers


class Products(nn.Module):
    """Logit 0 = tanh(x_0 E_01) + E_01 E_12 x_1 + |E_22| E_13 x_3: 4 edges, all of them felt."""

    input_dims = ("sample", "joint")

    def __init__(self) -> None:
        super().__init__()
        self.edge = nn.Parameter(torch.zeros(1, 4, 4))
        with torch.no_grad():
            for (a, b), value in {(0, 1): 0.7, (1, 2): -1.2, (2, 2): 0.5, (1, 3): 2.0}.items():
                self.edge[0, a, b] = value

    def edges(self):
        return {"g": self.edge}

    def adjacency(self):
        return {"g": (self.edge != 0).to(self.edge)}

    def forward(self, x, edges=None):
        e = (edges or {"g": self.edge})["g"].expand(len(x), 1, 4, 4)[:, 0]
        z = torch.tanh(x[:, 0] * e[:, 0, 1]) + e[:, 0, 1] * e[:, 1, 2] * x[:, 1]
        z = z + e[:, 2, 2].abs() * e[:, 1, 3] * x[:, 3]
        return torch.stack([z, -z], 1)


PAIRS = [(0, 1), (1, 2), (1, 3), (2, 2)]


def brute(model, x, players, present):
    """Average what each player adds over all orders."""

    def worth(some):
        with torch.no_grad():
            return float(model(x, {"g": model.edge * present(some)})[0, 0])

    values = np.zeros(len(players))
    orders = list(permutations(range(len(players))))
    for order in orders:
        there: list[int] = []
        before = worth([])
        for player in order:
            there.append(player)
            after = worth([players[i] for i in there])
            values[player] += (after - before) / len(orders)
            before = after
    return values


def test_exact_values_are_those_of_all_orders():
    def present(pairs):
        mask = torch.zeros(4, 4)
        for a, b in pairs:
            mask[a, b] = mask[b, a] = 1
        return mask

    model, x = Products(), torch.tensor([[0.9, -0.4, 2.0, 0.6], [0.1, 0.2, 0.3, 0.4]])
    explainer = make("edge-shapley", {})
    assert explainer.passes(model, x).forward == 3 + 2**4
    found = explainer(model, x, 0)
    for row in range(2):
        expected = brute(model, x[[row]], PAIRS, present)
        assert np.abs(expected).min() > 1e-3
        both = found.values.to_numpy()[row] + found.values.to_numpy()[row].T
        own = [both[a, b] / (2 if a == b else 1) for a, b in PAIRS]
        np.testing.assert_allclose(own, expected, atol=1e-6)
    total = found.values.sum(found.dims[1:])
    np.testing.assert_allclose(total + found.base_value, found.score, atol=1e-6)
    assert not found.standard_error.any()
    assert found.dataset["orders"].to_numpy().tolist() == [0, 0]


def test_a_joint_is_all_of_its_edges():
    def present(joints):
        there = torch.zeros(4)
        there[joints] = 1
        return there[:, None] * there

    model, x = Products(), torch.tensor([[0.9, -0.4, 2.0, 0.6]])
    found = make("edge-shapley", {"by": "joint"})(model, x, 0)
    assert found.dims == ("sample", "joint")
    np.testing.assert_allclose(found.values[0], brute(model, x, range(4), present), atol=1e-6)


def test_random_orders_come_near_with_errors_that_say_how_near():
    model = ours()
    x = torch.randn(1, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(0))
    few, many = (make("edge-shapley", {"by": "joint", "orders": n})(model, x, 1) for n in (8, 64))
    assert make("edge-shapley", {"by": "joint", "orders": 8}).passes(model, x).forward == 3 + 8 * 20
    assert many.dataset["orders"].item() == 64
    assert 0 < float(many.standard_error.mean()) < float(few.standard_error.mean())
    off = abs(few.values - many.values).to_numpy()[0]
    assert (off <= 5 * (few.standard_error + many.standard_error).to_numpy()[0] + 1e-6).all()
    total = many.values.sum() + many.base_value
    assert total.item() == pytest.approx(many.score.item(), abs=1e-4)
    none = model(x, edges={name: torch.zeros_like(e) for name, e in model.edges().items()})
    assert many.base_value.item() == pytest.approx(none[0, 1].item(), abs=1e-5)
    again = make("edge-shapley", {"by": "joint", "orders": 8})(model, x, 1)
    np.testing.assert_array_equal(again.values, few.values)


def test_a_tolerance_ends_the_draws():
    x = torch.randn(1, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(0))
    settings = {"by": "joint", "orders": 400, "tolerance": 0.1, "chunk": 8}
    found = make("edge-shapley", settings)(ours(), x, 1)
    assert found.dataset["orders"].item() < 400
    assert float(found.standard_error.max()) <= 0.1


class Rectified(nn.Module):
    """Joints mixed by a rectified product of their own means: each sample has other edges."""

    input_dims = ("sample", "channel", "time", "joint")

    def forward(self, x):
        means = x.mean((1, 2))
        graph = torch.relu(means[:, :, None] * torch.sin(5 * means)[:, None])
        mixed = torch.tanh(torch.einsum("nctv,nvw->nctw", x, graph))
        z = (10 * mixed + mixed**2).mean((1, 2, 3))
        return torch.stack([0 * z, z], 1)


def test_each_sample_plays_with_its_own_edges():
    """The first sample's were everybody's: others' values missed the score, and told no gap."""
    model, x = Rectified(), windows(3) - 1
    supports = [graph_layers(model, one).pairs for one in x.split(1)]
    assert len({tuple(each) for each in supports}) == 3
    found = make("edge-shapley", {})(model, x, 1)
    total = (found.values.sum(found.dims[1:]) + found.base_value).to_numpy()
    np.testing.assert_allclose(total, found.score, rtol=1e-4)
    alone = make("edge-shapley", {})(model, x[2:], 1)
    np.testing.assert_allclose(found.values[2], alone.values[0], rtol=1e-4, atol=1e-8)
