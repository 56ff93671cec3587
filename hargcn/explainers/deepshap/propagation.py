"""DeepSHAP's multipliers: one graph of the background, one backward pass per explained sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

from hargcn.explainers.deepshap.alignment import TOLERANCE, difference
from hargcn.explainers.deepshap.operations import FIXED_GRAPH
from hargcn.explainers.deepshap.plan import Plan
from hargcn.explainers.deepshap.rules import Operation
from hargcn.explainers.deepshap.trace import Trace


class Ruled(torch.autograd.Function):
    """An operation whose backward pass is its rule, for the sample it holds at that moment."""

    @staticmethod
    def forward(ctx: Any, op: Operation, form: list[Any], *operands: Tensor) -> tuple[Tensor, ...]:
        """Compute the operation; ``form`` takes the structure of its result."""
        ctx.op = op
        ctx.set_materialize_grads(False)
        results, spec = tree_flatten(op.call(*operands))
        form.append(spec)
        ctx.mark_non_differentiable(*[y for y in results if not y.is_floating_point()])
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        """Ask the rule, where anything arrives."""
        op: Operation = ctx.op
        if grads[0] is None:
            return (None,) * (2 + len(op.step.slots))
        rule = op.step.rule
        assert rule is not None
        found = rule(op, grads[0])
        return (None, None, *found)

    @classmethod
    def record(cls, op: Operation, operands: Sequence[Tensor]) -> Any:
        """Put an operation into the graph and note its results; returns them in their own form."""
        form: list[Any] = []
        results = cls.apply(op, form, *operands)
        op.outputs = Trace.keep(op.step, results)
        return tree_unflatten(results, form[0])


class Recorder(Trace):
    """A run that builds the graph through which multipliers, or relevance, go back.

    Parameters
    ----------
    network : callable
        (n, ...) -> (n, outputs); its model must be frozen meanwhile.
    plan : Plan
        The plan of that network.
    rows : Tensor of shape (n, ...)
        What to run it on.

    Attributes
    ----------
    rows : Tensor of shape (n, ...)
        The same as the leaf of the graph.
    graph, outputs : Tensor of shape (n, outputs)
        The network's outputs with and without their history.
    operations : dict
        By step what was put into the graph.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], plan: Plan, rows: Tensor) -> None:
        super().__init__(plan.steps)
        self.operations: dict[int, Operation] = {}
        self.rows = rows.detach().clone().requires_grad_()
        x = self.rows.clone() if plan.overwrites_input else self.rows
        with torch.enable_grad(), self:
            self.graph = network(x)
        self.end()
        self.outputs = self.graph.detach()

    def apply(self, index: int, op: Operation, operands: list[Tensor]) -> Any:
        """Put the operation into the graph."""
        op.n = len(self.rows)
        self.operations[index] = op
        return Ruled.record(op, operands)


class _Sample(Trace):
    """The run of one sample: hands what the operations saw to the background's."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__(recorder.steps)
        self.recorder = recorder

    def note(self, index: int, op: Operation) -> None:
        """Hand over one operation's values."""
        self.recorder.operations[index].sample = (op.background, op.outputs)

    def end(self) -> None:
        """Check the end, and that what has no gradient is the same as in the background."""
        super().end()
        n = len(self.recorder.rows)
        for index, values in self.guards.items():
            step = self.steps[index]
            others = self.recorder.guards[index]
            if step.reads:
                same = np.array_equal(np.asarray(values[0]), np.asarray(others[0]))
            else:
                pairs = zip(step.guard_layouts, values, others, strict=True)
                same = all(
                    difference(b, layout.spread(a, n)) <= TOLERANCE for layout, a, b in pairs
                )
            if not same:
                indices = [v for v in values if isinstance(v, Tensor) and v.dtype == torch.long]
                remedy = FIXED_GRAPH if indices else "write it with operations that have a rule"
                raise ValueError(
                    f"{step.where} uses values of the input without a gradient (a comparison, an "
                    "index, a detached or a Python value): expected the same for sample and "
                    f"background (got different ones); {remedy}"
                )


class Background:
    """The graph of some background rows, through which any number of samples can be explained.

    Parameters
    ----------
    network : callable
        What to explain, (n, ...) -> (n, outputs); its model must be frozen meanwhile.
    plan : Plan
        The plan of that network.
    rows : Tensor of shape (n, ...)
        Background rows.

    Attributes
    ----------
    outputs : Tensor of shape (n, outputs)
        The network's outputs for the background rows.
    """

    def __init__(self, network: Callable[[Tensor], Tensor], plan: Plan, rows: Tensor) -> None:
        self.network = network
        self.plan = plan
        self.recorder = Recorder(network, plan, rows)
        self.rows, self.graph = self.recorder.rows, self.recorder.graph
        self.outputs = self.recorder.outputs

    def multipliers(self, sample: Tensor, columns: Sequence[int]) -> list[Tensor]:
        """Multipliers m(x, r) of one sample x against every background row r.

        Parameters
        ----------
        sample : Tensor of shape (1, ...)
            The sample.
        columns : sequence of int
            The outputs to explain; they share the forward pass.

        Returns
        -------
        list of Tensor of shape (n, ...)
            One per output, with f(x) - f(r) = sum m(x, r) * (x - r).
        """
        run, own = _Sample(self.recorder), sample.detach().clone()
        with torch.no_grad(), run:
            self.network(own)
        run.end()
        found = []
        for column in columns:
            with torch.enable_grad():  # also of one who calls from no_grad
                output = self.graph[:, column].sum()
            (m,) = torch.autograd.grad(output, self.rows, retain_graph=True, materialize_grads=True)
            found.append(m)
        for op in self.recorder.operations.values():
            op.sample = ((), ())
        return found
