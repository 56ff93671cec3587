"""The plan of a network: which operations depend on its input, and what each of them needs.

Made from three runs on two samples, together and each alone: an operation without a rule, a path
that depends on the values, and a network that mixes the samples of a batch are all noticed here.
Rounding, however much the network magnifies it, is no mixing: in doubt three more runs tell.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map

from hargcn.explainers.deepshap.alignment import Layout, exact_layout, find_layout
from hargcn.explainers.deepshap.decompositions import scale_and_shift
from hargcn.explainers.deepshap.operations import (
    FIXED_GRAPH,
    METADATA,
    MULTIPLIERS,
    STOPS,
    drops_out,
    functional,
    name_of,
)
from hargcn.explainers.deepshap.rules import Operation, RuleBook, Step, flatten
from hargcn.explainers.deepshap.rules_unary import loses, rescale_smooth
from hargcn.explainers.deepshap.trace import Trace, tensors

FOLDABLE = ("conv1d", "conv2d", "conv3d", "linear")


@dataclass
class Plan:
    """The steps of a network and what it costs.

    Attributes
    ----------
    steps : list of Step
        Every call of a torch function, in order.
    overwrites_input : bool
        Whether the network changes its input in place.
    bytes : int
        Memory one background row keeps until its backward passes are done (an upper estimate).
    largest : int
        Bytes of the largest tensor of one row.
    """

    steps: list[Step]
    overwrites_input: bool
    bytes: int
    largest: int


def make_plan(
    network: Callable[[Tensor], Tensor],
    model: nn.Module,
    rows: Tensor,
    book: RuleBook = MULTIPLIERS,
) -> Plan:
    """Plan a network from its runs on two inputs.

    Parameters
    ----------
    network : callable
        What to explain: calls the model.
    model : nn.Module
        Gives the names of modules; its parameters must be constant (`hooks.undisturbed`).
    rows : Tensor of shape (2, ...)
        Two different inputs.
    book : RuleBook
        What each operation does.

    Raises
    ------
    ValueError
        For an operation without a rule, or a network that mixes samples or branches on values.
    """
    planning = Planning(book)
    with named(model, planning.path), torch.enable_grad(), planning:
        planning.run(network, rows)
    planning.fold()
    places = _Places(network, rows, planning)
    for index, step in enumerate(planning.steps):
        try:
            step.layouts, step.output_layouts, step.guard_layouts = places.of(index)
        except ValueError:
            if book.strict:
                raise
    return planning.plan()


@contextmanager
def named(model: nn.Module, path: list[str]) -> Iterator[None]:
    """Keep ``path`` the stack of modules whose forward is running."""

    def enter(name: str) -> Callable[..., None]:
        return lambda *_: path.append(name)

    def leave(*_: object) -> None:
        path.pop()

    handles = []
    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter(name)))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
        path.clear()


Values3 = tuple[list[Tensor], list[Tensor], list[Tensor]]
"""Arguments, results and guards of a step."""


class Values(Trace):
    """A run that keeps arguments, results and guards of the steps that need a layout."""

    def __init__(self, steps: list[Step]) -> None:
        super().__init__(steps)
        self.values: dict[int, Values3] = {}

    def note(self, index: int, op: Operation) -> None:
        """Keep one operation."""
        copies = [[t.clone() for t in values] for values in (op.background, op.outputs)]
        self.values[index] = (copies[0], copies[1], [])

    def end(self) -> None:
        """Check the end and add the guards."""
        super().end()
        for index, values in self.guards.items():
            if self.steps[index].guards:
                arguments, results, _ = self.values.get(index, ([], [], []))
                self.values[index] = (arguments, results, values)


class _Places:
    """Where each step's tensors keep their samples."""

    def __init__(
        self, network: Callable[[Tensor], Tensor], rows: Tensor, planning: Planning
    ) -> None:
        self.network, self.rows, self.steps = network, rows, planning.steps
        folded = any(step.folded is not None and step.rule is not None for step in self.steps)
        # A convolution with a rule gave other values before it took over a batch norm.
        self.together = self._run([0, 1]) if folded else planning.values
        self.alone = [self._run([0]), self._run([1])]

    @cached_property
    def _pairs(self) -> list[dict[int, Values3]]:
        """Values of both inputs, and of each of them twice."""
        return [self._run(which) for which in ([0, 1], [0, 0], [1, 1])]

    def of(self, index: int) -> list[list[Layout]]:
        """Return the layouts of a step's arguments, results and guards.

        Raises
        ------
        ValueError
            If the network mixes the samples of a batch.
        """
        return [
            [self._layout(index, kind, k, three) for k, three in enumerate(zip(*each, strict=True))]
            for kind, each in enumerate(self._values([self.together, *self.alone], index))
        ]

    def _layout(
        self, index: int, kind: int, k: int, three: tuple[Tensor, Tensor, Tensor]
    ) -> Layout:
        found = find_layout(*three)
        if found is None:
            both, firsts, seconds = (run[k] for run in self._values(self._pairs, index)[kind])
            found = exact_layout(both, firsts, seconds, three[1])
        if found is None:
            raise ValueError(
                f"{self.steps[index].where}: expected values that stand apart for each sample (got "
                f"mixed samples, {tuple(three[0].shape)} for two samples and "
                f"{tuple(three[1].shape)} for one)"
            )
        return found

    @staticmethod
    def _values(runs: Sequence[dict[int, Values3]], index: int) -> list[tuple[list[Tensor], ...]]:
        """Return by kind (arguments, results, guards) a step's values in each of the runs."""
        empty: Values3 = ([], [], [])
        return list(zip(*[run.get(index, empty) for run in runs], strict=True))

    def _run(self, which: list[int]) -> dict[int, Values3]:
        run, x = Values(self.steps), self.rows[which]
        with torch.no_grad(), run:
            self.network(x)
        run.end()
        return run.values


class Planning(TorchFunctionMode):
    """The first run: finds out what depends on the input, and chooses a rule for each such call."""

    def __init__(self, book: RuleBook = MULTIPLIERS) -> None:
        super().__init__()
        self.book = book
        self.steps: list[Step] = []
        self.values: dict[int, Values3] = {}
        self.path: list[str] = []
        # By id, and thereby kept alive: an id or an address then stands for one tensor only.
        self.dependent: dict[int, Tensor] = {}
        self.derived: dict[int, Tensor] = {}
        self.users: dict[int, list[Step]] = {}
        self.overwritten: set[int] = set()
        self.input = 0
        self.uses: Counter[int] = Counter()
        self.convolutions: dict[int, Step] = {}
        self.norms: list[tuple[Tensor, Step, tuple[Tensor, Tensor]]] = []
        self.beside = 0  # bytes that rules keep of a row besides inputs and results

    def run(self, network: Callable[[Tensor], Tensor], rows: Tensor) -> None:
        """Run the network once."""
        with torch._C.DisableTorchFunction():
            leaf = rows.detach().clone().requires_grad_()
            x = leaf.clone()
            self.input = x.untyped_storage().data_ptr()
            self.dependent[id(x)] = x
        out = network(x)
        with torch._C.DisableTorchFunction():
            self._origin(Step("the output"), [out])
            if not out.requires_grad:
                raise ValueError("the output does not depend on the input by any gradient")

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Plan and carry out one call; named and called by torch."""
        kwargs = kwargs or {}
        step = Step(name_of(func), self.path[-1] if self.path else "")
        self.steps.append(step)
        leaves, _ = flatten(args, kwargs)
        inputs = [(i, leaf) for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
        if step.name not in METADATA:
            # Of what is kept alive only: the next tensor may get the id of one that is gone.
            self.uses.update(id(leaf) for _, leaf in inputs if id(leaf) in self.dependent)
        step.slots = tuple(i for i, leaf in inputs if leaf.requires_grad)
        derived = tuple(i for i, leaf in inputs if id(leaf) in self.derived)
        if step.name in METADATA or not (step.slots or derived):
            step.slots = ()
            return func(*args, **kwargs)
        self._origin(step, [leaves[i] for i in step.slots])
        _, base, inplace = functional(func, step.name)
        if drops_out(base, args, kwargs):
            raise ValueError(f"{step.where}: expected no dropout in evaluation (got it at work)")
        known = True
        if step.slots:
            step.guards = derived
            known = self.book.choose(step, func, base, kwargs)
        if step.body is not None:
            return self._spell_out(step, func, args, kwargs)
        target = None
        if inplace or kwargs.get("inplace"):
            target = args[0] if args else kwargs.get("input")
        before = self._before(step, leaves, target)
        out = func(*args, **kwargs)
        if step.rule is not None and target is None and torch.is_grad_enabled():
            out = tree_map(_differentiable, out)
        results = tensors(out) if target is None else [target]
        step.reads = not results
        if not known and base not in STOPS and any(t.is_floating_point() for t in results):
            raise ValueError(f"{step.where}: {_no_rule(results, self.book.remedy)}")
        self._after(step, before, results, target)
        if step.name in FOLDABLE and step.slots == (0,) and _per_channel(args, kwargs, out):
            self.convolutions[id(out)] = step
        return out

    def _before(self, step: Step, leaves: list[Any], target: Tensor | None) -> Values3:
        """Copy the arguments of a step, and note what it keeps and overwrites."""
        if target is not None:
            step.overwritten = True
            self._overwrite(target)
        operands = [leaves[i] for i in step.slots] if step.rule else []
        if target is None:
            self._used(step, operands)
        guards = [leaves[i].detach().clone() for i in step.guards]
        return [x.detach().clone() for x in operands], [], guards

    def _after(
        self, step: Step, before: Values3, results: list[Tensor], target: Tensor | None
    ) -> None:
        """Copy the results of a step, and remember which tensors depend on the input."""
        if step.rule is not None and target is None:
            self._used(step, results)
        if step.rule is rescale_smooth and loses(step.name, results[0]):
            self.beside += results[0].nbytes // 2
        if step.rule is not None or step.guards:
            after = [t.detach().clone() for t in results] if step.rule else []
            self.values[len(self.steps) - 1] = (before[0], after, before[2])
        for result in results:
            kind = self.dependent if result.requires_grad else self.derived
            kind[id(result)] = result
            if result._base is not None and result._base.requires_grad:
                self.dependent[id(result._base)] = result._base

    def _spell_out(self, step: Step, func: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run the body of an operation, and note a batch norm that a convolution may take over."""
        assert step.body is not None
        step.guards = ()
        index = len(self.steps)
        if (
            func is F.batch_norm
            and len(args) > 2
            and id(args[0]) in self.convolutions
            and args[1] is not None
        ):
            given = {k: kwargs.get(k) for k in ("weight", "bias")}
            norm = scale_and_shift(args[1], args[2], **given, eps=kwargs.get("eps", 1e-5))
            self.norms.append((args[0], step, norm))
        with self:
            out = step.body(*args, **kwargs)
        step.children = len(self.steps) - index
        return out

    def fold(self) -> None:
        """Let convolutions do the work of the batch norms that are their only users."""
        for x, norm, values in self.norms:
            # The body of the batch norm is a use as well.
            if self.uses[id(x)] == 2:
                self.convolutions[id(x)].folded = values
                norm.skipped = True

    def _origin(self, step: Step, values: list[Tensor]) -> None:
        """Check that every tensor with a gradient came from a call that was seen."""
        for value in values:
            if value.requires_grad and id(value) not in self.dependent:
                raise ValueError(
                    f"{step.where}: expected arguments made by torch functions of the input (got "
                    f"one of '{type(value.grad_fn).__name__}', which interception cannot see)"
                )

    def _used(self, step: Step, values: list[Tensor]) -> None:
        """Note which memory a ruled step keeps."""
        for value in values:
            self.users.setdefault(value.untyped_storage().data_ptr(), []).append(step)

    def _overwrite(self, target: Tensor) -> None:
        """Let the earlier steps that keep this memory copy it."""
        address = target.untyped_storage().data_ptr()
        self.overwritten.add(address)
        for step in self.users.pop(address, []):
            step.overwritten = True

    def plan(self) -> Plan:
        """Give the finished plan; two rows were run."""
        sizes = {
            t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() // 2
            for t in itertools.chain(self.dependent.values(), self.derived.values())
        }
        largest = max(sizes.values())
        kept = sum(sizes.values()) + self.beside
        return Plan(self.steps, self.input in self.overwritten, kept, largest)


def _no_rule(results: list[Tensor], remedy: str) -> str:
    """Say what helps an operation without a rule; indices cannot have one."""
    if all(t.is_floating_point() for t in results):
        return f"no rule for it ({remedy})"
    return (
        "no rule for it; one could be registered for its values, but none for its indices: "
        f"{FIXED_GRAPH}"
    )


def _differentiable(value: Any) -> Any:
    """Let a result with a rule depend on the input even if torch knows no derivative."""
    if isinstance(value, Tensor) and value.is_floating_point() and not value.requires_grad:
        return value.detach().requires_grad_().clone()
    return value


def _per_channel(args: tuple[Any, ...], kwargs: dict[str, Any], out: Tensor) -> bool:
    """Tell whether a convolution's channels are where a batch norm looks for them."""
    weight = args[1] if len(args) > 1 else kwargs["weight"]
    # A matrix that is applied at each place has its channels last.
    return bool(args) and weight.ndim == out.ndim and weight.shape[0] == out.shape[1]
