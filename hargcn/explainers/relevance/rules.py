"""Rules of relevance for operations that are linear in what depends on the input.

A rule gets the operation and the relevance R of its result and returns that of its arguments. With
contributions z_i = x_i w_i, their positive and negative sums P and N (each with the bias of its
sign) and y = P + N, the relevance of i is

    epsilon       z_i R / (y + epsilon)
    gamma         (z_i + gamma z_i') R / (y + gamma y')
    alpha-beta    (alpha z_i' / y' - beta z_i'' / y'') R
    z-plus        z_i' R / y', of contributions alone, without the bias

where ' means what has the sign of y and '' the other: for a neuron that is positive, as behind a
ReLU every one with relevance is, these are the published rules. Of one that is negative (layers
without a rectifier between them, SiLU) what made it so takes the part of the positive: it is what
its relevance is about. zennit's gamma does the same.

For the input, where a contribution of 0 may matter: flat (every weight that is not 0 alike), w2
(by the weights' squares), z-box (by the distance from the box's corner of least score).

Sources: Bach et al. 2015, equations 58-60 (epsilon, alpha-beta); Montavon et al. 2019, table 1
(gamma); Montavon et al. 2017, section 4 (z-plus, z-box, w2); Lapuschkin et al. 2019 (flat).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hargcn.explainers.deepshap.rules import Operation
from hargcn.explainers.deepshap.rules_unary import gradient
from hargcn.explainers.relevance.maps import bias_of, changed, of_sign, signed, turned

Shares = tuple[Tensor, Tensor]
"""Relevance per unit of positive and of negative contribution, shaped like the result."""


@dataclass(frozen=True)
class Sums:
    """Sums of an operation's contributions.

    Attributes
    ----------
    positive, negative
        Of either sign, without the bias.
    bias
        Broadcasts against them.
    """

    positive: Tensor
    negative: Tensor
    bias: Tensor

    @property
    def whole(self) -> tuple[Tensor, Tensor]:
        """Both sums, each with the bias of its sign."""
        return self.positive + self.bias.clamp(min=0), self.negative + self.bias.clamp(max=0)

    @property
    def up(self) -> Tensor:
        """Where the result is not negative."""
        return self.positive + self.negative + self.bias >= 0


def stabilised(value: Tensor, epsilon: float) -> Tensor:
    """Move a denominator away from 0 by epsilon."""
    return value + torch.where(value < 0, -epsilon, epsilon)


def epsilon(op: Operation, relevance: Tensor, eps: float) -> list[Tensor]:
    """Share in proportion to the contributions."""
    per_unit = relevance / stabilised(op.outputs[0], eps)
    found = gradient(op, op.background, per_unit)
    return [x * g for x, g in zip(op.background, found, strict=True)]


def gamma(sums: Sums, relevance: Tensor, eps: float, much: float) -> Shares:
    """Favour what has the sign of the result."""
    (positive, negative), up = sums.whole, sums.up
    same = torch.where(up, positive, negative)
    per_unit = relevance / stabilised(positive + negative + much * same, eps)
    return per_unit * torch.where(up, 1 + much, 1), per_unit * torch.where(up, 1, 1 + much)


def alpha_beta(sums: Sums, relevance: Tensor, eps: float, beta: float) -> Shares:
    """Weigh the two signs apart: alpha = 1 + beta.

    Where nothing speaks against a result, the published formula is 0 / 0: what speaks for it takes
    everything there.
    """
    return _apart(*sums.whole, sums.up, relevance, eps, beta)


def z_plus(sums: Sums, relevance: Tensor, eps: float) -> Shares:
    """Share among what has the sign of the result, the bias left out."""
    return _apart(sums.positive, sums.negative, sums.up, relevance, eps, 0)


def _apart(
    positive: Tensor, negative: Tensor, up: Tensor, relevance: Tensor, eps: float, beta: float
) -> Shares:
    same, other = torch.where(up, positive, negative), torch.where(up, negative, positive)
    against = -beta * relevance / stabilised(other, eps)
    # Alpha is 1 and what was taken from the others, which epsilon makes a little less than beta.
    for_it = (relevance - against * other) / stabilised(same, eps)
    return torch.where(up, for_it, against), torch.where(up, against, for_it)


def relative(sums: Sums, relevance: Tensor, eps: float, apart: bool) -> Shares:
    """Share among what has the sign of the result, and more of it among the others by their size.

    With `apart` negative relevance goes to the others alone.
    """
    up, positive, negative = sums.up, sums.positive, sums.negative
    same, other = torch.where(up, positive, negative), torch.where(up, negative, positive)
    direct = relevance / stabilised(same, eps)
    against = -relevance / stabilised(same - other, eps)
    if apart:
        away = relevance < 0
        against = against + torch.where(away, relevance / stabilised(other, eps), 0)
        direct = torch.where(away, 0, direct)
    return torch.where(up, direct, against), torch.where(up, against, direct)


def by_sign(
    op: Operation, relevance: Tensor, share: Callable[[Sums, Tensor], Shares]
) -> list[Tensor]:
    """Apply a rule that looks at the contributions of either sign."""
    turns = turned(op)
    zero = torch.zeros_like(op.outputs[0])
    sums: dict[int, Tensor] = {1: zero, -1: zero}
    parts: list[tuple[int, list[Tensor], Tensor]] = []
    with torch.enable_grad():
        for weight, run in signed(op):
            for side in (1, -1):
                values = [of_sign(x, side * t) for x, t in zip(op.background, turns, strict=True)]
                if not any(bool(value.any()) for value in values):
                    continue
                points = [value.requires_grad_() for value in values]
                z = run(points)
                sums[weight * side] = sums[weight * side] + z.detach()
                parts.append((weight * side, points, z))
    positive, negative = share(Sums(sums[1], sums[-1], bias_of(op)), relevance)
    found = [torch.zeros_like(x) for x in op.background]
    for sign, points, z in parts:
        per_unit = positive if sign > 0 else negative
        slopes = torch.autograd.grad(z, points, per_unit.expand_as(z), materialize_grads=True)
        found = [
            f + p.detach() * s for f, p, s in zip(found, points, slopes, strict=True)
        ]  # fmt: skip
    return found


def flat(op: Operation, relevance: Tensor, eps: float) -> list[Tensor]:
    """Share alike among everything that has a weight: 0 of a graph is no edge."""
    return _alike(op, relevance, eps, lambda weight: (weight != 0).to(weight.dtype))


def w_square(op: Operation, relevance: Tensor, eps: float) -> list[Tensor]:
    """Share by the squares of the weights."""
    return _alike(op, relevance, eps, torch.square)


def _alike(
    op: Operation, relevance: Tensor, eps: float, change: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    run, (x,) = changed(op, change), op.background
    with torch.enable_grad():
        ones = torch.ones_like(x).requires_grad_()
        total = run([ones])
        (found,) = torch.autograd.grad(total, ones, relevance / stabilised(total.detach(), eps))
    return [found]


def z_box(op: Operation, relevance: Tensor, eps: float, low: Tensor, high: Tensor) -> list[Tensor]:
    """Share by the distance from the corner of the box at which the result is least."""
    (x,) = op.background
    parts = signed(op)
    corners = {1: low, -1: high}
    with torch.enable_grad():
        points = [(x - corners[sign]).requires_grad_() for sign, _ in parts]
        runs = [run([point]) for (_, run), point in zip(parts, points, strict=True)]
    total = sum(z.detach() for z in runs)
    per_unit = relevance / stabilised(total + torch.zeros_like(relevance), eps)
    found = torch.zeros_like(x)
    for point, z in zip(points, runs, strict=True):
        (slope,) = torch.autograd.grad(z, point, per_unit)
        found = found + point.detach() * slope
    return [found]
