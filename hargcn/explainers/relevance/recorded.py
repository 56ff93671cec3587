"""One forward pass that records a network, and one backward pass that carries relevance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hargcn.explainers.attribution.guided import RECTIFIERS
from hargcn.explainers.deepshap.plan import Plan
from hargcn.explainers.deepshap.propagation import Recorder
from hargcn.explainers.deepshap.rules import Operation, Step
from hargcn.explainers.deepshap.trace import Trace
from hargcn.explainers.relevance.book import boxed
from hargcn.explainers.relevance.maps import base_name
from hargcn.explainers.relevance.patterns import Pattern
from hargcn.explainers.relevance.roles import mark_rectified, role_of

Box = tuple[Tensor, Tensor]
"""Lowest and highest values of the input, each (n, ...)."""


class _Bounds(Trace):
    """The run of one corner of the input's box: what the first layers see of it."""

    def __init__(self, steps: Sequence[Step], first: Sequence[int]) -> None:
        super().__init__(steps)
        self.first, self.seen = frozenset(first), dict[int, Tensor]()

    def note(self, index: int, op: Operation) -> None:
        """Keep the argument of a first layer."""
        if index in self.first:
            self.seen[index] = op.background[0].clone()


class Recorded(Recorder):
    """The graph of some samples, through which relevance goes back from any output.

    Parameters
    ----------
    network
        What to explain, (n, ...) -> (n, outputs); its model must be frozen meanwhile.
    plan
        The plan of that network, with the rules of relevance.
    rows
        (n, ...) samples.

    Attributes
    ----------
    first
        Steps that are the first layers with weights behind the input.
    rectified
        Steps whose result goes into a rectifier, and the fixed scales and shifts in between.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], plan: Plan, rows: Tensor) -> None:
        super().__init__(network, plan, rows)
        self.network = network
        roles = {index: op.role for index, op in self.operations.items()}
        self.first = [index for index, role in roles.items() if role.first]
        between = {index: role.rectified for index, role in roles.items()}
        self.rectified = {index: ops for index, ops in between.items() if ops is not None}

    def apply(self, index: int, op: Operation, operands: list[Tensor]) -> Any:
        """Put the operation into the graph, with its role."""
        op.role = role_of(op, operands)
        if base_name(op) in RECTIFIERS:
            mark_rectified(operands[0])
        return super().apply(index, op, operands)

    def bound(self, box: Box) -> None:
        """Tell the first layers the bounds of what they see, from those of the input."""
        low, high = (self._corner(corner) for corner in box)
        for index in self.first:
            boxed(self.operations[index], low[index], high[index])

    def teach(self, patterns: Mapping[int, Pattern]) -> None:
        """Tell the operations, by step, their patterns."""
        for index, pattern in patterns.items():
            op = self.operations[index]
            op.role = replace(op.role, pattern=pattern)

    def _corner(self, corner: Tensor) -> dict[int, Tensor]:
        run, own = _Bounds(self.steps, self.first), corner.clone()
        with torch.no_grad(), run:
            self.network(own)
        run.end()
        return run.seen

    def relevance(self, columns: Tensor) -> Tensor:
        """Hand one output of each sample back to the input.

        Parameters
        ----------
        columns
            (n,) numbers of outputs.

        Returns
        -------
        Tensor of shape (n, ...)
            Relevance, in units of the outputs.
        """
        seed = torch.zeros_like(self.outputs)
        seed.scatter_(1, columns[:, None], self.outputs.gather(1, columns[:, None]))
        (found,) = torch.autograd.grad(self.graph, self.rows, seed, materialize_grads=True)
        return found
