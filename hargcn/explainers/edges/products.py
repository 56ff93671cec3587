"""Watching the products by which a network mixes its joints, and masking their graphs.

A graph is a V x V operand of a matrix product or an `einsum` that is summed over along one of its
axes, the source joints, with the other operand; its other axis, the target joints, is new. Further
axes that are summed over are partitions; rows, channels and groups share a mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_MATMUL = {
    torch.matmul, torch.bmm, torch.mm, torch.Tensor.matmul, torch.Tensor.bmm, torch.Tensor.mm,
    torch.Tensor.__matmul__,
}  # fmt: skip


@dataclass(frozen=True)
class Graph:
    """Which operand of a product is a graph over joints, and what its axes are.

    Attributes
    ----------
    operand
        Its number.
    rest, partitions
        Its axes that share a mask, and those that are summed over besides the source joints.
    source, target
        Its axes over joints.
    """

    operand: int
    rest: tuple[int, ...]
    partitions: tuple[int, ...]
    source: int
    target: int

    @property
    def order(self) -> list[int]:
        """The graph's axes: the rest, partitions, source, target."""
        return [*self.rest, *self.partitions, self.source, self.target]

    def count(self, graph: Tensor) -> int:
        """Return how many partitions there are."""
        return math.prod(graph.shape[axis] for axis in self.partitions)

    def masked(self, graph: Tensor, masks: Tensor) -> Tensor:
        """Multiply a graph by masks (partition, source, target)."""
        own = [graph.shape[axis] for axis in self.partitions]
        wide = masks.to(graph).reshape(*[1] * len(self.rest), *own, *masks.shape[1:])
        order = self.order
        return graph * wide.permute([order.index(axis) for axis in range(graph.ndim)])

    def present(self, graph: Tensor) -> Tensor:
        """Return where a graph is not 0, (partition, source, target)."""
        joints = graph.shape[self.target]
        found = (graph.detach() != 0).permute(self.order)
        return found.reshape(-1, self.count(graph), joints, joints).any(dim=0)


class Products(TorchFunctionMode):
    """Finds the graphs of a pass one after the other, and hands each on as `change` returns it.

    Parameters
    ----------
    joints
        How many joints there are.
    change
        From the graph's description and the graph to what takes its place.
    """

    def __init__(self, joints: int, change: Callable[[Graph, Tensor], Tensor]) -> None:
        super().__init__()
        self.joints, self.change = joints, change

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        """Run a function of torch; of a product, with another graph."""
        del types
        kwargs, args = kwargs or {}, list(args)
        if func is torch.einsum and len(args) == 2 and isinstance(args[1], list | tuple):
            args = [args[0], *args[1]]
        first = 1 if func is torch.einsum else 0
        operands = args[first:]
        if all(isinstance(each, Tensor) for each in operands):
            graph = self._graph(func, args, operands)
            if graph is not None:
                args[first + graph.operand] = self.change(graph, operands[graph.operand])
        return func(*args, **kwargs)

    def _graph(self, func: Any, args: Sequence[Any], operands: Sequence[Tensor]) -> Graph | None:
        if func is torch.einsum:
            found = list(_in_einsum(args[0], operands, self.joints))
        elif func in _MATMUL and len(operands) == 2:
            found = list(_in_product(operands[0], operands[1], self.joints))
        else:
            return None
        if not found:
            return None
        least = min(operands[each.operand].ndim for each in found)
        graphs = [each for each in found if operands[each.operand].ndim == least]
        if len(graphs) > 1:
            sizes = " and ".join(str(tuple(each.shape)) for each in operands)
            raise ValueError(
                f"expected products that tell the graph over {self.joints} joints from what it "
                f"mixes (got {sizes}, either of which it may be): windows of another number of "
                "frames may help"
            )
        return graphs[0]


def _in_product(one: Tensor, other: Tensor, joints: int) -> Iterator[Graph]:
    """Yield the operands of a matrix product that may be a graph."""
    if min(one.ndim, other.ndim) < 2:
        return
    if one.shape[-2:] == (joints, joints):
        yield Graph(0, tuple(range(one.ndim - 2)), (), one.ndim - 1, one.ndim - 2)
    if other.shape[-2:] == (joints, joints):
        yield Graph(1, tuple(range(other.ndim - 2)), (), other.ndim - 2, other.ndim - 1)


def _in_einsum(equation: Any, operands: Sequence[Tensor], joints: int) -> Iterator[Graph]:
    """Yield the operands of an `einsum` that may be a graph."""
    terms, arrow, result = str(equation).replace(" ", "").partition("->")
    letters = terms.split(",")
    if not arrow or "." in terms or [*map(len, letters)] != [each.ndim for each in operands]:
        return
    for number, (own, operand) in enumerate(zip(letters, operands, strict=True)):
        others = "".join(letters[:number] + letters[number + 1 :])
        wide = [axis for axis, size in enumerate(operand.shape) if size == joints]
        sources = [i for i in wide if own[i] in others and own[i] not in result]
        targets = [i for i in wide if own[i] not in others and own[i] in result]
        if len(sources) == len(targets) == 1:
            (source,), (target,) = sources, targets
            more = [i for i in range(operand.ndim) if i not in (source, target)]
            summed = tuple(i for i in more if own[i] not in result)
            rest = tuple(i for i in more if own[i] in result)
            yield Graph(number, rest, summed, source, target)


class Running:
    """The name of the innermost module that runs, inside a `with` block.

    Parameters
    ----------
    model
        The network whose modules' names count.
    """

    def __init__(self, model: nn.Module) -> None:
        self._model, self._stack, self._hooks = model, [""], ExitStack()

    @property
    def name(self) -> str:
        """The module's name, "(network)" in the network's own forward."""
        return self._stack[-1] or "(network)"

    def __enter__(self) -> Running:
        for name, module in self._model.named_modules():
            before = module.register_forward_pre_hook(
                lambda _m, _x, own=name: self._stack.append(own)
            )
            after = module.register_forward_hook(lambda _m, _x, _y: self._left())
            self._hooks.callback(before.remove)
            self._hooks.callback(after.remove)
        return self

    def _left(self) -> None:
        self._stack.pop()

    def __exit__(self, *_: object) -> None:
        self._hooks.close()
