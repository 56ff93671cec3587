"""What calls are for, told by how their arguments were made."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from fixtures.recorded_networks import operations, record
from torch import Tensor

from hargcn.explainers.relevance.roles import mark_head

WEIGHT = torch.tensor([[1.0, 2.0, -1.0], [0.5, -1.0, 1.0], [1.0, 1.0, 1.0]]).double()


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


X = draw(2, 3)


@pytest.mark.parametrize(
    ("gate", "strength"),
    [
        (lambda v: v.sigmoid(), 2),
        (lambda v: v.softmax(1), 2),
        (lambda v: v.tanh(), 1),
        (lambda v: v.relu(), 0),
        (lambda v: 1 - 2 * F.linear(v.sigmoid(), WEIGHT), 2),  # linear operations keep it
        (lambda v: v.sigmoid().relu(), 0),  # others do not
        (lambda v: v.sigmoid() + v, 0),  # of two the weaker
        (lambda v: v.sigmoid()[:, [2, 1, 0]].reshape(-1, 3), 2),  # read through views
    ],
)
def test_how_much_a_value_is_a_gate(gate, strength) -> None:
    found = operations(lambda v: gate(v).neg(), X)["neg"]
    assert found.role.gate == strength


@pytest.mark.parametrize(
    ("product", "signal"),
    [
        (lambda v: v * v.sigmoid(), 0),
        (lambda v: v.sigmoid() * v, 1),
        (lambda v: v.sigmoid() * v.tanh(), 1),
        (lambda v: v.relu() * v.relu(), None),
        (lambda v: v.sigmoid() * v.softmax(1), None),
        (lambda v: v.mean(1, keepdim=True) * v, 1),  # the larger of two alike
        (lambda v: v * v.mean(1, keepdim=True), 0),
    ],
)
def test_which_factor_is_the_signal(product, signal) -> None:
    assert operations(lambda v: product(v).sum(1, keepdim=True), X)["mul"].role.signal == signal


def test_a_matrix_product_has_no_signal_by_size() -> None:
    """A query of one token times three keys: neither is a gate of the other."""
    op = operations(lambda v: (v.relu()[:, :, None] @ v.relu()[:, None, :1])[..., 0], X)["matmul"]
    assert op.background[0].numel() > op.background[1].numel()
    assert op.role.signal is None


def test_the_first_layers_are_behind_scales_and_shifts_only() -> None:
    def formula(v: Tensor) -> Tensor:
        near = F.linear((v * 2 - 1).view(-1, 3), WEIGHT)
        other = v @ WEIGHT
        return F.conv1d((near + other).relu()[..., None], WEIGHT[..., None])[..., 0]

    found = operations(formula, X)
    first = {name for name, op in found.items() if op.role.first}
    assert first == {"linear", "matmul"}
    front = {name for name, op in found.items() if op.role.front}
    assert front == {"mul", "sub"}


def test_the_head_is_what_is_linear_behind_the_last_rectifier() -> None:
    """relu -> linear -> mean -> matmul -> neg: the first of them is the last on the way back."""

    def formula(v: Tensor) -> Tensor:
        hidden = F.linear(F.conv1d(v[..., None], WEIGHT[..., None])[..., 0].relu(), WEIGHT)
        return -(hidden.reshape(-1, 3, 1).mean(2) @ WEIGHT)

    graph, _ = record(formula, X)
    mark_head(graph.graph)
    heads = {op.step.name: op.role.head for op in graph.operations.values()}
    assert heads == {
        "conv1d": "", "relu": "", "linear": "last", "mean": "inside", "matmul": "inside",
        "neg": "inside",
    }  # fmt: skip


def test_a_head_without_weights_is_not_marked() -> None:
    graph, _ = record(lambda v: v.relu().sum(1, keepdim=True), X)
    mark_head(graph.graph)
    assert not any(op.role.head for op in graph.operations.values())


@pytest.mark.parametrize(
    ("behind", "between"),
    [
        (lambda v: v.relu(), []),
        (lambda v: v.reshape(-1, 3, 1)[..., 0].relu(), []),
        (lambda v: (v * 3 + 1).relu(), ["mul", "add"]),
        (lambda v: (v * 3)[:, [2, 1, 0]].relu(), ["mul"]),
        (lambda v: (v[..., None] * 3).relu()[..., 0], None),  # a view in between
        (lambda v: (v * torch.ones(4, 1, 3).double()).relu().sum(0), None),  # more places
        (lambda v: v.tanh().relu(), None),
    ],
)
def test_what_goes_into_a_rectifier(behind, between) -> None:
    """Through fixed scales and shifts, and views behind them."""
    found = operations(lambda v: behind(F.linear(v, WEIGHT)), X)["linear"].role.rectified
    names = None if found is None else [op.step.name for op in found]
    assert names == between
