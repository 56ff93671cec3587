"""See every torch function a network calls, wherever it is called: the base of DeepSHAP's runs.

Modules used twice, functional calls, operators and in-place forms are all torch functions, which a
`torch.overrides.TorchFunctionMode` sees. The first run makes a plan, a list of `Step`
(plan.py); every later run follows it call by call (`Trace`), so that it needs no decisions of its
own. Parameters are constants in all of them (`hooks.undisturbed`), so that ``requires_grad`` means
"depends on the input".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten

from hargcn.explainers.deepshap.operations import functional, name_of
from hargcn.explainers.deepshap.rules import Operation, Step, flatten


def tensors(value: Any) -> list[Tensor]:
    """All tensors in a nested structure."""
    if isinstance(value, Tensor):
        return [value]
    return [leaf for leaf in tree_flatten(value)[0] if isinstance(leaf, Tensor)]


class Trace(TorchFunctionMode):
    """One run of the network along the steps of a plan; subclasses say what a ruled step does.

    After the run ``guards`` holds, by step, the values that must be the same for every input:
    arguments derived from the input without a gradient, and values read into Python.
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self.steps = steps
        self.index = 0
        self.guards: dict[int, list[Any]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Carry out one call; named and called by torch."""
        kwargs = kwargs or {}
        index, name = self.index, name_of(func)
        self.index += 1
        self._follow(index, name)
        step = self.steps[index]
        if step.skipped:
            self.index += step.children
            return args[0]
        if step.body is not None:
            with self:
                return step.body(*args, **kwargs)
        if step.guards:
            leaves = flatten(args, kwargs)[0]
            self.guards[index] = [leaves[i].detach().clone() for i in step.guards]
        if step.folded is not None:
            args, kwargs = fold(step.folded, *args, **kwargs)
        if step.rule is not None:
            return self._ruled(index, func, args, kwargs)
        out = func(*args, **kwargs)
        if step.reads:
            self.guards[index] = [out]
        return out

    def _ruled(self, index: int, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run a step that has a rule, out of place, and write back what was in place."""
        step = self.steps[index]
        plain, _, inplace = functional(func, step.name)
        if kwargs.get("inplace"):
            kwargs, inplace = {**kwargs, "inplace": False}, True
        leaves, spec = flatten(args, kwargs)
        operands = [leaves[i] for i in step.slots]
        rest = [None if i in step.slots else leaf for i, leaf in enumerate(leaves)]
        op = Operation(step, plain, rest, spec, self.keep(step, operands))
        out = self.apply(index, op, operands)
        if not inplace:
            return out
        target = args[0] if args else kwargs["input"]
        target.copy_(out)
        return target

    def apply(self, index: int, op: Operation, operands: list[Tensor]) -> Any:
        """Compute the operation on ``operands`` and note what it saw."""
        out = op.call(*operands)
        op.outputs = self.keep(op.step, tensors(out))
        self.note(index, op)
        return out

    def note(self, index: int, op: Operation) -> None:
        """Take up an operation whose ``background`` and ``outputs`` hold this run's values."""

    @staticmethod
    def keep(step: Step, values: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Values of a step without their history, copied if they are overwritten later."""
        return tuple(v.detach().clone() if step.overwritten else v.detach() for v in values)

    def _follow(self, index: int, name: str) -> None:
        """Check that the network still calls what it called before; the empty name is its end."""
        expected = self.steps[index] if index < len(self.steps) else None
        if (expected.name if expected else "") != name:
            wanted = expected.where if expected else "its end"
            raise ValueError(
                f"the network's path depends on the values of its input: expected {wanted} (got "
                f"{repr(name) if name else 'its end'}); one backward pass cannot explain that"
            )

    def end(self) -> None:
        """Check that the network called everything it called before."""
        self._follow(self.index, "")


def fold(
    norm: tuple[Tensor, Tensor],
    x: Tensor,
    /,
    weight: Tensor,
    bias: Tensor | None = None,
    *rest: Any,
    **named: Any,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Give the arguments of a convolution that also does the work of the batch norm behind it."""
    scale, shift = norm
    weight = weight * scale.view(-1, *(1,) * (weight.ndim - 1))
    return (x, weight, shift if bias is None else bias * scale + shift, *rest), named
