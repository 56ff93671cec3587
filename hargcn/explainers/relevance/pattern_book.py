"""Rules of PatternNet and PatternAttribution: a pattern, or weights times it, instead of weights.

What arrives at a neuron is its signal (PatternNet) or its relevance (PatternAttribution). With the
weights w and the pattern a of a neuron (see `patterns`) its input i receives

    PatternNet            a_i s
    PatternAttribution    w_i a_i R, of which the sum is R, since w^T a = 1

A rectifier stops what arrives where it is closed. Where no pattern can be learned, the one of
independent inputs of equal variance serves, w / (w^T w): of means, whose places are alike, and of
weights that each sample makes for itself (attention).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from hargcn.explainers.attribution.guided import RECTIFIERS
from hargcn.explainers.deepshap.rules import Operation
from hargcn.explainers.deepshap.rules_unary import gradient, reduce_to
from hargcn.explainers.relevance import rules
from hargcn.explainers.relevance.book import Book, Found, refuse
from hargcn.explainers.relevance.maps import Linear, alone, base_name, changed, merged, signed
from hargcn.explainers.relevance.patterns import Pattern


@dataclass
class PatternBook(Book):
    """The rules of one explanation by patterns.

    Attributes
    ----------
    attribution
        Whether relevance is handed back, instead of a signal.
    """

    attribution: bool = True

    def _shares(self, op: Operation, relevance: Tensor) -> Tensor:
        """Return what the inputs of an operation's neurons receive per unit."""
        pattern: Pattern = op.role.pattern
        if pattern.without == 1 and bool(relevance.any()):
            raise ValueError(
                f"{op.step.where}: expected a background for which its results vary (got none that "
                "do, so that no covariance says what they stand for); give more samples, and others"
            )
        return pattern.shares if self.attribution else pattern.values

    def _weighted(self, op: Operation, relevance: Tensor) -> Found:
        if op.role.pattern is None:
            return refuse(op, relevance)
        run = merged(op)[1](self._shares(op, relevance))
        return self._note(op, "pattern", relevance, [_back(run, op.background[0], relevance)])

    def _weighted_product(self, op: Operation, relevance: Tensor) -> Found:
        """Treat the gate as weights of inputs that are independent: w / (w^T w)."""
        if len(op.step.slots) > 2:
            return refuse(op, relevance)
        signal = self._signal(op)
        taking = (0, 1) if signal is None else (signal,)
        found: Found = [None, None]
        for k in taking:
            found[k] = self._independent(alone(op, k), relevance / len(taking))
        return self._note(op, "halves" if signal is None else "gate takes none", relevance, found)

    def _independent(self, op: Operation, relevance: Tensor) -> Tensor:
        if self.attribution:
            return rules.w_square(op, relevance, self.epsilon)[0]
        (x,) = op.background
        squares = changed(op, torch.square)([torch.ones_like(x)])
        run = changed(op, torch.clone)
        return _back(run, x, relevance / rules.stabilised(squares, self.epsilon))

    def _sum(self, op: Operation, relevance: Tensor) -> Found:
        if op.role.pattern is not None:
            parts = zip(self._shares(op, relevance), op.background, strict=True)
            return self._note(
                op, "pattern", relevance, [reduce_to(relevance * a, x) for a, x in parts]
            )
        if len(op.step.slots) > 1:
            return refuse(op, relevance)
        return self._note(op, "alike", relevance, [self._alike(op, relevance)])

    def _alike(self, op: Operation, relevance: Tensor) -> Tensor:
        """Give all places of a sum or mean the same: of a signal the mean of those they are in."""
        ((_, run),), (x,) = signed(op), op.background
        total = run([torch.ones_like(x)])
        found = _back(run, x, _over(relevance, total))
        if self.attribution:
            return found
        return _over(found, _back(run, x, torch.ones_like(relevance)))

    def _scale(self, op: Operation, relevance: Tensor) -> Found:
        """Undo a fixed scale of a signal; relevance has no unit."""
        if self.attribution:
            return super()._scale(op, relevance)
        (x,) = op.background
        return [reduce_to(_over(relevance, op.call(torch.ones_like(x))), x)]

    def _shift(self, op: Operation, relevance: Tensor) -> Found:
        return [reduce_to(relevance, op.background[0])]

    def _function(self, op: Operation, relevance: Tensor) -> Found:
        """Stop what arrives where a rectifier is closed, and a function flat."""
        if len(op.step.slots) > 1:
            return refuse(op, relevance)
        (x,) = op.background
        if base_name(op) in RECTIFIERS:
            found: Found = [torch.where(x > 0, relevance, 0)]
            return self._note(op, "closed", relevance, found)
        (slope,) = gradient(op, [x], torch.ones_like(relevance))
        return super()._function(op, torch.where(slope == 0, 0, relevance))


def _over(value: Tensor, by: Tensor) -> Tensor:
    """Divide, and give 0 where nothing was weighed."""
    return torch.where(by == 0, 0, value / torch.where(by == 0, 1, by))


def _back(run: Linear, like: Tensor, arriving: Tensor) -> Tensor:
    """Return what a linear map hands back of what arrives at its results."""
    with torch.enable_grad():
        point = torch.zeros_like(like).requires_grad_()
        (found,) = torch.autograd.grad(run([point]), point, arriving)
    return found
