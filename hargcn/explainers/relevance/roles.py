"""What a call of an operation is for, told by how its arguments were made.

Which factor of a product is the signal and which only gates it, and which layers are the first
behind the input: found on the recorded graph, so that no network has to say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from hargcn.explainers.deepshap.rules import Operation
from hargcn.explainers.relevance.maps import WEIGHTED, base_name
from hargcn.explainers.relevance.patterns import Pattern

_STRONG = frozenset(
    ("sigmoid", "expit", "hardsigmoid", "softmax", "rsqrt", "reciprocal", "rdiv", "rtruediv",
     "sign")
)  # fmt: skip
_WEAK = frozenset(("tanh",))
ELEMENTWISE = frozenset(
    ("mul", "multiply", "rmul", "div", "divide", "true_divide", "truediv", "add", "radd", "sub",
     "subtract", "rsub", "neg", "negative", "positive")
)  # fmt: skip
SUMS = frozenset(
    ("sum", "nansum", "mean", "cumsum", "fold", "trace", "index_add", "scatter_add", "interpolate",
     "upsample", *(f"{kind}avg_pool{k}d" for kind in ("", "adaptive_") for k in (1, 2, 3)))
)  # fmt: skip


@dataclass(frozen=True)
class Role:
    """What a call is for.

    Attributes
    ----------
    gate
        How much its result is a gate: 2 behind a sigmoid, softmax or reciprocal, 1 behind a tanh,
        0 otherwise; linear operations keep it.
    front
        Whether nothing but scales and shifts of single numbers lies between it and the input.
    first
        Whether it is a layer with weights whose argument is so.
    signal
        Which factor of a product takes the relevance; None where both are alike.
    box
        Lowest and highest values of the argument of a first layer, where a rule asks for them.
    rectified
        Where its result goes into a rectifier: the fixed scales and shifts in between.
    pattern
        What was learned of it from other samples, where a method does so.
    head
        Whether nothing but linear operations of one argument follow it ("inside"), and whether it
        is the first of these with weights ("last" on the way back). For rules that ask for it.
    """

    gate: int = 0
    front: bool = False
    first: bool = False
    signal: int | None = None
    box: tuple[Tensor, Tensor] | None = None
    rectified: tuple[Operation, ...] | None = None
    pattern: Pattern | None = None
    head: Literal["", "inside", "last"] = ""


def role_of(op: Operation, operands: Sequence[Tensor]) -> Role:
    """Return the role of an operation that is about to be recorded.

    Parameters
    ----------
    op
        The operation.
    operands
        Its arguments, with their history.
    """
    name = base_name(op)
    gates = [_gate(value) for value in operands]
    near = all(_front(value) for value in operands)
    linear = name in WEIGHTED or name in ELEMENTWISE or name in SUMS
    gate = min(gates) if linear else 2 if name in _STRONG else 1 if name in _WEAK else 0
    signal = None
    if len(operands) == 2 and gates[0] != gates[1]:
        signal = int(gates[0] > gates[1])
    elif len(operands) == 2 and name in ELEMENTWISE and operands[0].numel() != operands[1].numel():
        signal = int(operands[0].numel() < operands[1].numel())
    single = len(operands) == 1 and name in ELEMENTWISE
    return Role(gate, near and single, near and name in WEIGHTED, signal)


def mark_head(output: Tensor) -> None:
    """Give the operations that lie behind the last nonlinear one their role in the head."""
    found, node = list[Operation](), output.grad_fn
    while node is not None:
        op = _made(node)
        if op is not None and not _linear_of_one(op):
            break
        if op is not None:
            found.append(op)
        parents = _parents(node)
        node = parents[0] if len(parents) == 1 else None
    weighted = [k for k, op in enumerate(found) if base_name(op) in WEIGHTED]
    for k, op in enumerate(found[: weighted[-1] + 1] if weighted else []):
        op.role = replace(op.role, head="last" if k == weighted[-1] else "inside")


def mark_rectified(value: Tensor) -> None:
    """Tell the operation that makes the argument of a rectifier that it does.

    Fixed scales and shifts may lie in between, and views behind them: the sign of what a rectifier
    gets is then known from the operation's result alone.
    """
    between, node = list[Operation](), _maker(value)
    while (op := _made(node)) is not None and _keeps_places(op):
        between.insert(0, op)
        node = next(iter(_parents(node)), None)
    if op is not None:
        op.role = replace(op.role, rectified=tuple(between))


def _keeps_places(op: Operation) -> bool:
    """Tell whether an operation scales or shifts every number of its argument by itself."""
    alone = len(op.step.slots) == 1 and base_name(op) in ELEMENTWISE
    return alone and op.outputs[0].shape == op.background[0].shape


def _linear_of_one(op: Operation) -> bool:
    name = base_name(op)
    return len(op.step.slots) == 1 and (name in WEIGHTED or name in ELEMENTWISE or name in SUMS)


def _gate(value: Tensor) -> int:
    """Return how much a value is a gate."""
    op = _made(_maker(value))
    return 0 if op is None else op.role.gate


def _maker(value: Tensor) -> Any:
    """Return the node of the operation that made a value, read through views of it."""
    node: Any = value.grad_fn
    while node is not None and _made(node) is None:
        parents = _parents(node)
        node = parents[0] if len(parents) == 1 else None
    return node


def _front(value: Tensor) -> bool:
    """Tell whether only views, scales and shifts lie between a value and the input."""
    todo, seen = [value.grad_fn], set()
    while todo:
        node: Any = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        op = _made(node)
        if op is None:
            todo += _parents(node)
        elif not op.role.front:
            return False
    return True


def _made(node: Any) -> Operation | None:
    op = getattr(node, "op", None)
    return op if isinstance(op, Operation) else None


def _parents(node: Any) -> list[Any]:
    return [parent for parent, _ in node.next_functions if parent is not None]
