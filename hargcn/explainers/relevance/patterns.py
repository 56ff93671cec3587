"""Patterns: what direction of its input a neuron's result stands for, learned from samples.

Of an input x = signal + distractor a neuron y = w^T x sees the signal alone: w turns away from the
distractor, and so does not look like the signal. The pattern a does: with s = a y the rest of x no
longer varies with y, so that a = cov(x, y) / var(y), and w^T a = 1. It is found from sums over
background samples and, of weights that are shared, over places. With y = w^T x without its bias,

    linear          a = (E[x y] - E[x] E[y]) / (E[y y] - E[y] E[y])
    two-component   a = (E+[x y] - E+[x] E[y+]) / (E+[y y] - E+[y] E[y+])
    positive        a = (E+[x y] - E+[x] E+[y]) / (E+[y y] - E+[y] E+[y])

where E+ is over the samples and places at which the neuron, with its bias, is positive, and y+ is y
there and 0 elsewhere. The last two are for neurons whose own result is rectified, behind a batch
norm too; the others, such as outputs, have the linear pattern. A sum of two tensors is a neuron
too: the two are its inputs, with the same pattern at all places.

No input is unfolded: the sum of x y over all places where a weight is used is the gradient by that
weight of the sum of y w^T x, y held fixed.

Source: Kindermans et al. 2018, section 4; E[y+] as in the authors' code, innvestigate (Alber et al.
2019).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hargcn.explainers.deepshap.plan import Plan
from hargcn.explainers.deepshap.rules import Operation, Step
from hargcn.explainers.deepshap.trace import Trace
from hargcn.explainers.relevance.maps import BIASED, base_name, merged, weights_of

Estimator = Literal["two-component", "positive", "linear"]

FLAT = 1e-10
"""Variance, relative to the mean square, below which a neuron is taken to be constant."""

TWO = frozenset(("add", "radd", "sub", "subtract", "rsub"))
"""Sums of two tensors."""


@dataclass(frozen=True)
class Pattern:
    """What was found for one operation.

    Attributes
    ----------
    weights
        The weights w that the pattern is of; of a sum of two tensors their factors (2,).
    values
        The pattern a, shaped like them; 0 where there is none.
    without
        Share of the weights that have none: their neuron is never positive, or constant.
    """

    weights: Tensor
    values: Tensor
    without: float

    @property
    def shares(self) -> Tensor:
        """Give w * a, in proportion to which a neuron's inputs share: they sum to 1."""
        return self.weights * self.values


Between = Mapping[int, Sequence[Operation]]
"""By step the fixed scales and shifts that its result goes through."""


def learn_patterns(
    network: Callable[[Tensor], Tensor],
    plan: Plan,
    chunks: Iterable[Tensor],
    rectified: Between,
    estimator: Estimator,
) -> dict[int, Pattern]:
    """Find the patterns of a network's operations.

    Parameters
    ----------
    network
        (n, ...) -> (n, outputs); its model must be frozen meanwhile.
    plan
        The plan of that network, with rules of relevance.
    chunks
        Background samples (n, ...), some at a time: what is kept of them are sums.
    rectified
        Steps whose result goes into a rectifier, and what lies in between.
    estimator
        For these steps, see above; the others have the linear one.

    Returns
    -------
    dict
        By step.
    """
    run = _Fit(plan.steps, rectified if estimator != "linear" else {})
    for rows in chunks:
        own = rows.clone()
        run.index, run.guards = 0, {}
        with torch.no_grad(), run:
            network(own)
        run.end()
    return {
        index: _pattern(op, run.sums[index], estimator if index in run.one_sided else "linear")
        for index, op in run.last.items()
    }


def has_pattern(op: Operation) -> bool:
    """Tell whether an operation has one: a product with weights, or a sum of two tensors."""
    count = len(op.step.slots)
    return count == 1 if weights_of(op) else count == 2 and base_name(op) in TWO


Sums = Mapping[str, Tensor]
"""Sums over samples and places, each of which broadcasts against the weights."""


class _Fit(Trace):
    """A run of background samples: every operation that has a pattern adds up what it needs."""

    def __init__(self, steps: Sequence[Step], one_sided: Between) -> None:
        super().__init__(steps)
        self.one_sided = one_sided
        self.sums: dict[int, dict[str, Tensor]] = {}
        self.last: dict[int, Operation] = {}

    def note(self, index: int, op: Operation) -> None:
        """Take up one operation."""
        if not has_pattern(op):
            return
        active = torch.ones_like(op.outputs[0], dtype=torch.float64)
        if index in self.one_sided:
            active = _behind(self.one_sided[index], op.outputs[0]).gt(0).double()
        sums = self.sums.setdefault(index, {})
        for name, more in (_product if weights_of(op) else _two)(op, active).items():
            sums[name] = sums[name] + more if name in sums else more
        self.last[index] = op


def _behind(between: Sequence[Operation], value: Tensor) -> Tensor:
    """Return what scales and shifts make of a value."""
    for op in between:
        value = op.call(value)
    return value


def _product(op: Operation, active: Tensor) -> Sums:
    """Return the sums of a product with weights."""
    weights, run = merged(op)
    x, w = op.background[0].double(), weights.detach().double().requires_grad_()
    with torch.enable_grad():
        z = run(w)([x])
        y = z.detach()
        of_x = {
            name: torch.autograd.grad(z, w, value, retain_graph=True)[0]
            for name, value in (("x", active), ("xy", active * y))
        }
        each = {"active": active, "y": active * y, "yy": active * y * y}
        each["places"] = torch.ones_like(y)
        if base_name(op) in BIASED:
            return of_x | {name: _by_neuron(op, w, value) for name, value in each.items()}
        # Each weight meets a neuron's result as often as an input of ones: nothing is padded here.
        ones = run(w)([torch.ones_like(x)])
        return of_x | {
            name: torch.autograd.grad(ones, w, value, retain_graph=True)[0]
            for name, value in each.items()
        }


def _by_neuron(op: Operation, weights: Tensor, value: Tensor) -> Tensor:
    """Sum over everything but neurons, shaped against the weights of a layer."""
    if weights.ndim == 1:
        return value.sum()
    behind = weights.ndim - 2
    channel = value.ndim - 1 - (0 if base_name(op) == "linear" else behind)
    total = value.movedim(channel, 0).flatten(1).sum(1)
    if "transpose" not in base_name(op):
        return total.view(-1, *(1,) * (weights.ndim - 1))
    groups = int(op.argument("groups", 6, 1))
    each = total.view(groups, -1).repeat_interleave(len(weights) // groups, 0)
    return each.view(*each.shape, *(1,) * behind)


def _two(op: Operation, active: Tensor) -> Sums:
    """Return the sums of a sum of two tensors, (2,) where they are about its inputs."""
    operands = [x.double().expand_as(active) for x in op.background]
    factors = _factors(op).double()
    y = sum(f * x for f, x in zip(factors, operands, strict=True))
    assert isinstance(y, Tensor)
    return {
        "x": torch.stack([(active * x).sum() for x in operands]),
        "xy": torch.stack([(active * x * y).sum() for x in operands]),
        "active": active.sum(),
        "y": (active * y).sum(),
        "yy": (active * y * y).sum(),
        "places": torch.ones_like(y).sum(),
    }


def _factors(op: Operation) -> Tensor:
    """Return what each of two tensors is multiplied with before they are added."""
    zeros = [torch.zeros_like(x) for x in op.background]
    found = [op.call(*[z + (i == k) for i, z in enumerate(zeros)]) for k in (0, 1)]
    return torch.stack([each.flatten()[0] for each in found])


def _pattern(op: Operation, sums: Sums, estimator: Estimator) -> Pattern:
    """Return the pattern that the sums of all samples give."""
    weights = merged(op)[0] if weights_of(op) else _factors(op)
    x, y, xy, yy = (sums[name] / sums["active"].clamp(min=1) for name in ("x", "y", "xy", "yy"))
    mean = sums["y"] / sums["places"].clamp(min=1) if estimator == "two-component" else y
    varies = yy - y * mean  # w^T of what is above it, since w^T x = y
    some = varies > FLAT * yy
    values = torch.where(some, (xy - x * mean) / torch.where(some, varies, 1), 0)
    if base_name(op) not in BIASED:
        values = torch.where(weights != 0, values, 0)  # 0 of a graph is no edge
    known = some.expand_as(weights)[weights != 0].double()
    without = float(1 - known.mean()) if len(known) else 0.0
    dtype = op.outputs[0].dtype
    return Pattern(weights.to(dtype), values.to(dtype), without)
