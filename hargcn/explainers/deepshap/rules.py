"""What an operation does with multipliers instead of gradients: the registry of DeepSHAP's rules.

A rule receives the intercepted `Operation` and the multipliers of its output, and returns the
multipliers of each input, so that ``sum m_out * (y - y0) = sum m_in * (x - x0)`` for every
background row: that, and nothing else, makes the attributions of a whole network add up. One for a
new operation takes three lines::

    @register_rule("special_erfcx")
    def erfcx(op, grad):
        return [grad * (op.results[0] - op.outputs[0]) / (op.inputs[0] - op.background[0])]

or one, ``register_rule("special_erfcx")(rescale)``: `rules_unary.rescale` is this rule, with the
gradient where the inputs differ by float noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import TreeSpec, tree_flatten, tree_unflatten

from hargcn.explainers.deepshap.alignment import Layout

Rule = Callable[["Operation", Tensor], Sequence["Tensor | None"]]
Choose = Callable[["Step", Callable[..., Any], str, dict[str, Any]], bool]


@dataclass(frozen=True)
class RuleBook:
    """What a method makes of each operation; DeepSHAP's is `operations.MULTIPLIERS`.

    Attributes
    ----------
    choose : callable
        Of a step, the function, its name out of place and its keyword arguments: sets rule or body
        of the step and says whether the operation is known.
    remedy : str
        What helps where it is not.
    strict : bool
        Whether samples that mix in an operation with a rule are refused by the plan. Otherwise such
        a step has no layouts, and its rule refuses what arrives there.
    """

    choose: Choose
    remedy: str
    strict: bool = True


_LEAVES = (Tensor, int, float, str, type(None), torch.dtype, torch.memory_format)


class Call(NamedTuple):
    """How to put arguments without containers together again: how many, and the other's names."""

    positional: int
    names: tuple[str, ...]


def flatten(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[list[Any], TreeSpec | Call]:
    """Return all arguments of a call as a list, and how to put them together again.

    The numbers are those of `tree_flatten`, which takes ten times as long; a named "input" comes
    first, as where it has no name: rules tell arguments by their order.
    """
    if not args and "input" in kwargs:
        kwargs = {"input": kwargs["input"], **kwargs}
    leaves = [*args, *kwargs.values()]
    if all(isinstance(leaf, _LEAVES) for leaf in leaves):
        return leaves, Call(len(args), tuple(kwargs))
    return tree_flatten((args, dict(kwargs)))


@dataclass
class Step:
    """One call of a torch function, the same in every run of the network.

    Attributes
    ----------
    name : str
        Name of the function (see `operations.name_of`).
    path : str
        Module in whose forward it is called; "" is the model itself.
    body : callable, optional
        Spells the operation out in simpler ones, which are steps of their own.
    rule : callable, optional
        Replaces the gradient. With neither body nor rule the operation runs as it is.
    slots : tuple of int
        Which arguments (flattened) depend on the input of the network.
    layouts, output_layouts : list of Layout
        Where these arguments, and the results, keep their samples. Only for steps with a rule.
    guards : tuple of int
        Arguments derived from the input without a gradient (comparisons, indices, detached values);
        they must be equal for sample and background.
    guard_layouts : list of Layout
        Where those keep their samples.
    reads : bool
        Whether the call reads values of the input into Python.
    overwritten : bool
        Whether arguments or results are changed in place later, so that they must be copied.
    children : int
        Steps of the body that follow in the list.
    folded : pair of Tensor, optional
        Scale and shift per output channel of the batch norm that alone uses this convolution: its
        weights take them over, and the batch norm, whose ``skipped`` is set, returns its input.
    skipped : bool
        Whether the step returns its first argument instead of running.
    """

    name: str
    path: str = ""
    body: Callable[..., Any] | None = None
    rule: Rule | None = None
    slots: tuple[int, ...] = ()
    layouts: list[Layout] = field(default_factory=list)
    output_layouts: list[Layout] = field(default_factory=list)
    guards: tuple[int, ...] = ()
    guard_layouts: list[Layout] = field(default_factory=list)
    reads: bool = False
    overwritten: bool = False
    children: int = 0
    folded: tuple[Tensor, Tensor] | None = None
    skipped: bool = False

    @property
    def where(self) -> str:
        """The operation and its module, for messages."""
        return f"operation '{self.name}' in module '{self.path or 'the model itself'}'"


@dataclass
class Operation:
    """One call of a torch function on the background rows, and what the explained sample did there.

    Attributes
    ----------
    step : Step
        Which call of the network it is.
    func : callable
        The function, out of place.
    leaves : list
        Its arguments, flattened; ``None`` where they depend on the input.
    spec : TreeSpec or Call
        How to unflatten them.
    background, outputs : tuple of Tensor
        The arguments that depend on the input and the results, for the ``n`` background rows.
    n : int
        Number of background rows.
    sample : pair of tuples of Tensor
        The same two for the explained sample alone; set before each backward pass.
    role : object, optional
        What a rule book notes of this call when it is recorded.
    kept : object, optional
        What a rule computed of the background, which is the same for every sample.
    """

    step: Step
    func: Callable[..., Any]
    leaves: list[Any]
    spec: TreeSpec | Call
    background: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...] = ()
    n: int = 1
    sample: tuple[tuple[Tensor, ...], tuple[Tensor, ...]] = ((), ())
    role: Any = None
    kept: Any = None

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The sample's inputs, repeated to the shapes of ``background``."""
        pairs = zip(self.step.layouts, self.sample[0], strict=True)
        return tuple(layout.spread(x, self.n) for layout, x in pairs)

    @property
    def results(self) -> tuple[Tensor, ...]:
        """The sample's results, repeated to the shapes of ``outputs``."""
        pairs = zip(self.step.output_layouts, self.sample[1], strict=True)
        return tuple(layout.spread(y, self.n) for layout, y in pairs)

    @property
    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments; those that depend on the input are ``None``."""
        return self.unflatten(self.leaves)

    def argument(self, name: str, position: int, default: Any = None) -> Any:
        """One argument by keyword or position."""
        args, kwargs = self.arguments
        for alias in (name, "axis") if name == "dim" else (name,):
            if alias in kwargs:
                return kwargs[alias]
        return args[position] if len(args) > position else default

    def call(self, *operands: Tensor) -> Any:
        """Compute the operation for other values of the arguments that depend on the input."""
        leaves = list(self.leaves)
        for slot, operand in zip(self.step.slots, operands, strict=True):
            leaves[slot] = operand
        args, kwargs = self.unflatten(leaves)
        return self.func(*args, **kwargs)

    def unflatten(self, leaves: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Put arguments together again, as of a call of the function."""
        if isinstance(self.spec, Call):
            n, names = self.spec
            return tuple(leaves[:n]), dict(zip(names, leaves[n:], strict=True))
        args, kwargs = tree_unflatten(leaves, self.spec)
        return args, kwargs


@dataclass(frozen=True)
class RegisteredRule:
    """A rule, how many arguments it can handle, and the test that says when it is not needed."""

    rule: Rule
    arity: int | None = None
    linear_when: Callable[[tuple[int, ...]], bool] | None = None


RULES: dict[str, RegisteredRule] = {}


def register_rule(
    *names: str,
    arity: int | None = None,
    linear_when: Callable[[tuple[int, ...]], bool] | None = None,
) -> Callable[[Rule], Rule]:
    """Make a function the rule of the torch functions of these names.

    Parameters
    ----------
    *names : str
        Names as torch writes them ("silu", "linalg_vector_norm"), without in-place underscores.
    arity : int, optional
        Largest number of arguments that may depend on the input at once; more are an error.
    linear_when : callable, optional
        Of the numbers of those arguments: True where the operation is linear in them together, so
        that its gradient serves; for instance a product with a constant.

    Returns
    -------
    callable
        Decorator that registers a rule ``(op: Operation, grad: Tensor) -> multipliers`` and returns
        it. A later rule for the same name replaces the earlier one.
    """

    def add(rule: Rule) -> Rule:
        for name in names:
            RULES[name] = RegisteredRule(rule, arity, linear_when)
        return rule

    return add
