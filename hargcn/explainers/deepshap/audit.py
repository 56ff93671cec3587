"""Which operation breaks the sum: DeepSHAP's check of every step of a network, one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hargcn.explainers.deepshap.alignment import Layout
from hargcn.explainers.deepshap.operations import WRITING_OPERATORS
from hargcn.explainers.deepshap.propagation import Ruled
from hargcn.explainers.deepshap.rules import Operation, Rule, Step
from hargcn.explainers.deepshap.rules_unary import gradient
from hargcn.explainers.deepshap.trace import Trace, tensors


@dataclass(frozen=True)
class Finding:
    """How far one operation's multipliers miss the change of its output.

    Attributes
    ----------
    name, path : str
        The operation and its module.
    gap : float
        |sum m_out * (y - y0) - sum m_in * (x - x0)|, in units of the explained output.
    """

    name: str
    path: str
    gap: float


def audit(
    network: Callable[[Tensor], Tensor],
    steps: Sequence[Step],
    row: Tensor,
    sample: Tensor,
    column: int,
) -> list[Finding]:
    """Check each operation's multipliers of one sample against one background row.

    Linear operations are checked like those with a rule; operations in place and views are not.

    Parameters
    ----------
    network : callable
        What is explained; its model must be frozen meanwhile.
    steps : sequence of Step
        Its plan.
    row, sample : Tensor of shape (1, ...)
        A background row and the explained sample.
    column : int
        The explained output.

    Returns
    -------
    list of Finding
        The worst first.
    """
    findings: list[Finding] = []
    checked = [_checked(step, findings) for step in steps]
    leaf, own = row.detach().clone().requires_grad_(), sample.detach().clone()
    recorder = _Recorder(checked)
    x = leaf.clone()
    with torch.enable_grad(), recorder:
        output = network(x)
    with torch.no_grad(), _Sample(checked, recorder.operations):
        network(own)
    torch.autograd.grad(output[:, column].sum(), leaf)
    return sorted(findings, key=lambda finding: -finding.gap)


def _checked(step: Step, findings: list[Finding]) -> Step:
    """Let a step note its gap whenever its multipliers are computed."""
    writes = step.name.endswith("_") or step.name in WRITING_OPERATORS
    if step.body is not None or not step.slots or writes:
        return step
    rule: Rule = step.rule or (lambda op, grad: gradient(op, op.background, grad))

    def check(op: Operation, grad: Tensor) -> Sequence[Tensor | None]:
        found = rule(op, grad)
        credited = sum(
            float((m.double() * (x.double() - x0.double())).nan_to_num().sum())
            for m, x, x0 in zip(found, op.sample[0], op.background, strict=True)
            if m is not None
        )
        change = op.sample[1][0].double() - op.outputs[0].double()
        gap = abs(float((grad.double() * change).nan_to_num().sum()) - credited)
        findings.append(Finding(step.name, step.path, gap))
        return found

    missing = [Layout(None)] * (0 if step.layouts else len(step.slots))
    # Linear operations keep nothing otherwise: theirs may be overwritten without notice.
    return replace(step, rule=check, layouts=step.layouts or missing, overwritten=True)


class _Recorder(Trace):
    """The run of the background row."""

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__(steps)
        self.operations: dict[int, Operation] = {}

    def apply(self, index: int, op: Operation, operands: list[Tensor]) -> Any:
        """Put the operation into the graph, except a view, which stays as it is."""
        plain = op.call(*operands)
        homes = {x.untyped_storage().data_ptr() for x in operands}
        if any(y.untyped_storage().data_ptr() in homes for y in tensors(plain)):
            return plain
        self.operations[index] = op
        return Ruled.record(op, operands)


class _Sample(Trace):
    """The run of the sample."""

    def __init__(self, steps: Sequence[Step], operations: dict[int, Operation]) -> None:
        super().__init__(steps)
        self.operations = operations

    def note(self, index: int, op: Operation) -> None:
        """Hand over one operation's values."""
        if index in self.operations:
            self.operations[index].sample = (op.background, op.outputs)
