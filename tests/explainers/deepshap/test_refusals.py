"""What DeepSHAP refuses, by what name, and what it must not take for mixed samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.foreign_networks import Expression
from torch import Tensor, nn

from hargcn.explainers.deepshap.explainer import DeepSHAP


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda x: x * (x > 0), "without a gradient .* expected the same for"),
        (lambda x: x - x.detach() * 0.5, "'sub' .* without a gradient"),
        (lambda x: x * x.sum().item(), "'item' .* a Python value"),
        (lambda x: x.exp() if x[0, 0] > 0 else x.sin(), "path depends on|without a grad"),
        (lambda x: (x - x.mean(0)).exp(), "stand apart for each sample"),
        (lambda x: torch.dropout(x, 0.5, True), "no dropout"),
        (lambda x: x.sort(1).values, "'sort' .* no rule"),
        (lambda x: torch.ones(len(x), 2), "does not depend on the input"),
        (lambda x: (x, x), "Expected the model to return"),
    ],
)  # fmt: skip
def test_what_has_no_rule_is_refused(formula, message):
    background = torch.tensor([[-1.0, 2.5, 0.3], [-0.5, -3.0, 1.0]])
    with pytest.raises(ValueError, match=message):
        DeepSHAP(background)(Expression(formula), torch.tensor([[2.0, -1.0, 0.7]]), 0)


class Saturated(nn.Module):
    """A softmax of steep scores in single precision, behind a batch norm that is folded."""

    def __init__(self, mixing: float = 0) -> None:
        super().__init__()
        self.mixing = mixing
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv, self.norm = nn.Conv1d(3, 4, 3, padding=1), nn.BatchNorm1d(4)
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.1, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, T) to (n, 4)."""
        y = self.norm(self.conv(x))
        y = (torch.cos(y) * (1e8 * y.float()).softmax(2)).sum(2)
        return y + self.mixing * y.mean(0).tanh() if self.mixing else y


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rounding_that_a_saturated_softmax_magnifies_is_no_mixing(dtype):
    model = Saturated()
    x = draw(6, 3, 40)
    x[:, :, 20:] = x[:, :, :20] * (1 + 1e-7 * draw(20))  # ties, which rounding breaks
    got = DeepSHAP(x[:4], dtype=dtype, allow_gap=True)(model, x[4:], 1)
    assert np.isfinite(got.values).all()


@pytest.mark.parametrize("share", [1.0, 1e-2])
def test_mixing_is_refused_behind_a_saturated_softmax_too(share):
    x = draw(6, 3, 40)
    with pytest.raises(ValueError, match="stand apart for each sample"):
        DeepSHAP(x[:4])(Saturated(mixing=share), x[4:], 1)


def by_topk(distance: Tensor) -> Tensor:
    return distance.topk(2, -1).indices


def by_argmax(distance: Tensor) -> Tensor:
    return distance.argmax(-1, keepdim=True)


@pytest.mark.parametrize("choice", [by_topk, by_argmax])
def test_a_graph_of_nearest_neighbours_is_told_what_helps(choice):
    def neighbours(x: Tensor) -> Tensor:
        near = choice(-((x[:, :, None] - x[:, None]) ** 2) + torch.eye(5) * -9)
        return x.unsqueeze(1).expand(-1, 5, -1).gather(2, near).sum(2)

    with pytest.raises(ValueError, match="graph that depends on the input .* with the graph fixed"):
        DeepSHAP(draw(4, 5))(Expression(neighbours), draw(2, 5, seed=2), 1)


class BatchAttention(nn.Module):
    """Every sample looks at the others."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3) to (n, 3)."""
        return torch.softmax(x @ x.T, 1) @ x


def test_samples_that_look_at_each_other_are_refused():
    with pytest.raises(ValueError, match="stand apart for each sample"):
        DeepSHAP(draw(4, 3))(BatchAttention(), draw(2, 3, seed=2), 1)
    with pytest.raises(ValueError, match="stand apart for each sample"):
        DeepSHAP(draw(4, 3))(Expression(lambda x: x.cumsum(0).exp()), draw(2, 3, seed=2), 1)


def test_hidden_functions_are_refused():
    class Hidden(torch.autograd.Function):
        @staticmethod
        def forward(_ctx, x):
            return x.exp()

        @staticmethod
        def backward(_ctx, grad):
            return grad

    with pytest.raises(ValueError, match="'HiddenBackward', which interception cannot see"):
        DeepSHAP(draw(2, 3))(Expression(Hidden.apply), draw(1, 3), 0)
