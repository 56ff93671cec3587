"""What is known of torch's operations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor

from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.operations import (
    LINEAR,
    METADATA,
    drops_out,
    functional,
    name_of,
    python_body,
)
from hargcn.explainers.deepshap.rules import RULES


def test_names():
    assert name_of(torch.Tensor.__rmul__) == "rmul"
    assert name_of(torch.Tensor.T.__get__) == "T"
    assert name_of(torch.Tensor.relu_) == "relu_"
    assert name_of(F.silu) == "silu"


def test_functional_forms():
    assert functional(torch.Tensor.relu_, "relu_") == (torch.relu, "relu", True)
    assert functional(F.leaky_relu_, "leaky_relu_")[0] is F.leaky_relu
    assert functional(torch.Tensor.__setitem__, "setitem")[2]
    assert functional(torch.relu, "relu") == (torch.relu, "relu", False)
    x = torch.tensor([1.0, 2.0])
    assert torch.equal(functional(torch.Tensor.__ipow__, "ipow")[0](x, 2), torch.tensor([1.0, 4.0]))
    assert torch.equal(x, torch.tensor([1.0, 2.0]))


def test_opens_python_functions_only():
    assert python_body(torch.relu) is None
    assert python_body(test_names) is None
    body = python_body(F.normalize)
    x = torch.eye(3) * 3
    assert torch.equal(body(x, dim=1), F.normalize(x, dim=1))


def test_no_operation_is_both_linear_and_ruled():
    assert not LINEAR & set(RULES)
    assert not METADATA & (set(RULES) | LINEAR)


def test_dropout_at_work():
    assert drops_out("dropout", (), {"p": 0.5, "training": True})
    assert drops_out("dropout", (None, 0.5, True), {})
    assert not drops_out("dropout", (None, 0.5, False), {})
    assert not drops_out("relu", (None, 0.5, True), {})


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


INDEX = torch.tensor([2, 0, 1, 1])


def written(x: Tensor) -> Tensor:
    """Fill a constant buffer, through a view, in several in-place ways."""
    out = torch.zeros(len(x), 3, 4, dtype=x.dtype)
    out[:, 0] = x[:, 0]
    out[:, 1].copy_(x[:, 1])
    row = out[:, 2]
    row += x[:, 2]
    row.mul_(2)
    out[:, :, 0].zero_()
    return out


LINEAR_FORMULAS = {
    "views": lambda x: x.permute(0, 2, 1).reshape(len(x), -1).unflatten(1, (2, 8)).transpose(1, 2),
    "indexing": lambda x: x[:, INDEX][..., 1:, None] - x[:, [0]][..., :1, None],
    "pad and roll": lambda x: F.pad(x, (1, 2), mode="reflect").roll(1, -1).flip(1).cumsum(2),
    "cat and stack": lambda x: torch.cat([x, 2 * x], 1) + torch.stack([x, -x], 1).flatten(1, 2),
    "splits": lambda x: x.split(2, 1)[0] + x.chunk(2, -1)[1].mean() * 0 + x.unbind(1)[0][:, None],
    "where": lambda x: torch.where(torch.eye(4) > 0, x, 3.0).masked_fill(torch.eye(4) > 0, 1.0),
    "constant kernel": lambda x: F.conv1d(x, torch.ones(2, 4, 2, dtype=x.dtype)),
    "constant graph": lambda x: torch.einsum("nij,jk->nik", x, draw(4, 3)) @ x.new_ones(3),
    "pooling": lambda x: F.adaptive_avg_pool1d(F.avg_pool1d(x, 2), 2) / 3,
    "interpolation": lambda x: F.interpolate(x, 7, mode="linear"),
    "in place": written,
    "gather": lambda x: x.gather(1, INDEX.expand(len(x), 1, 4)) + x.index_select(2, INDEX),
    "differences": lambda x: torch.diff(x, dim=1).repeat(1, 2, 1).sum((1, 2)),
    "for loop": lambda x: sum(row.sum(-1) for row in x.transpose(0, 1)),
    "type": lambda x: x.to(torch.float64).type_as(x).contiguous().clone().expand(len(x), 4, 4),
}  # fmt: skip
LINEAR_FORMULAS["splits"] = lambda x: x.split(2, 1)[0] + x.chunk(2, 1)[1] + x.unbind(1)[0][:, None]


@pytest.mark.parametrize("name", LINEAR_FORMULAS)
def test_linear_operations_have_their_gradient(name):
    """For a linear network phi = gradient * (x - mean r), which float64 must meet exactly."""
    formula = LINEAR_FORMULAS[name]
    rows, x = draw(5, 4, 4), draw(2, 4, 4, seed=2)
    weights = draw(*formula(x)[:1].reshape(-1).shape, seed=3)
    model = Expression(lambda x: (formula(x).reshape(len(x), -1) @ weights)[:, None])
    got = DeepSHAP(rows)(model, x, 0)
    point = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(model(point).sum(), point)
    np.testing.assert_allclose(got.values, gradient * (x - rows.mean(0)), rtol=1e-6, atol=1e-6)
