"""Heads: the last, linear layer of a network, for every kind of outputs.

A head is one matrix and one bias of the pooled features whatever it says, so that every method
explains it as it explains classes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hargcn.outputs import Outputs


class ValueHead(nn.Linear):
    """Numbers in the units of the outcomes: weights and bias are in standard deviations of them.

    Attributes
    ----------
    mean, scale
        (output,) mean and standard deviation of the outcomes learned from.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, features: int, outputs: int) -> None:
        super().__init__(features, outputs)
        self.register_buffer("mean", torch.zeros(outputs))
        self.register_buffer("scale", torch.ones(outputs))

    @torch.no_grad()
    def learn_units(self, outcomes: Tensor) -> None:
        """Take mean and scale of outcomes (N, output), NaN where not known; 1 of equal ones."""
        known = ~outcomes.isnan()
        count = known.sum(dim=0).clamp(min=1)
        mean = torch.where(known, outcomes, 0).sum(dim=0) / count
        spread = (torch.where(known, outcomes - mean, 0).square().sum(dim=0) / count).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(spread > 0, spread, 1))

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return weight (output, feature) and bias (output,) in the units of the outcomes."""
        return self.weight * self.scale[:, None], self.bias * self.scale + self.mean

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the values (N, output)."""
        return nn.functional.linear(pooled, *self.matrix())


class OrdinalHead(nn.Module):
    """Log-odds that each level but the lowest is reached: one score less growing thresholds.

    The score has one set of weights for all levels (Cao et al. 2020, CORAL, section 3.3); the
    thresholds grow by construction, each by a softplus of a parameter, so that a higher level is
    never more probable than a lower one, also before the training ends.

    Parameters
    ----------
    features
        Pooled features.
    levels
        Number of levels K.
    """

    def __init__(self, features: int, levels: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1, bias=False)
        self.first = nn.Parameter(torch.full((1,), 1 - levels / 2))
        # The softplus of this is 1: thresholds one apart, around 0.
        self.steps = nn.Parameter(torch.full((levels - 2,), 1.0).expm1().log())

    @property
    def thresholds(self) -> Tensor:
        """(K - 1,) scores at which each level but the lowest is as probable as not."""
        return torch.cat([self.first, nn.functional.softplus(self.steps)]).cumsum(dim=0)

    def matrix(self) -> tuple[Tensor, Tensor]:
        """Return weight (K - 1, feature), the same row for all, and bias (K - 1,)."""
        bias = -self.thresholds
        return self.score.weight.expand(len(bias), -1), bias

    def forward(self, pooled: Tensor) -> Tensor:
        """Return the log-odds (N, K - 1), falling from level to level."""
        return nn.functional.linear(pooled, *self.matrix())


Head = nn.Linear | ValueHead | OrdinalHead


def head(features: int, outputs: Outputs) -> Head:
    """Return a new head for some outputs."""
    if outputs.kind == "regression":
        return ValueHead(features, len(outputs.columns))
    if outputs.kind == "ordinal":
        return OrdinalHead(features, len(outputs.names))
    return nn.Linear(features, len(outputs.columns))


def matrix(head: Head) -> tuple[Tensor, Tensor]:
    """Return weight (output, feature) and bias (output,) of a head, without their gradients."""
    weight, bias = (
        head.matrix() if isinstance(head, ValueHead | OrdinalHead) else (head.weight, head.bias)
    )
    return weight.detach(), bias.detach()
