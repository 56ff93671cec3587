"""The tail of a network: what lies behind a layer, run alone, again and again.

Finished modules return what they returned before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from hargcn.explainers.adapter import ExplainableModel
from hargcn.explainers.hooks import TWICE, undisturbed
from hargcn.explainers.outputs import activation_of, exchanged

Outputs = dict[nn.Module, list[Tensor]]
Tail = Callable[[Tensor, Tensor], Tensor]


@contextmanager
def tail(
    model: nn.Module, at: ExplainableModel, layer: str, x: Tensor
) -> Iterator[tuple[Tensor, Tail]]:
    """Cut a network behind a layer.

    Modules that have finished when the layer has are not run again: they return what they returned
    for `x`, where that holds the samples in contiguous rows (sample-major folding). A linear head
    behind a global average is computed as such.

    Parameters
    ----------
    model, at
        The network and its `ExplainableModel`.
    layer
        Name of the layer.
    x
        The input, samples first.

    Yields
    ------
    tuple
        The layer's activation for `x`, and a function that maps activations of B samples and the
        numbers (B,) of the samples of `x` they stand for to logits (B, classes).

    Raises
    ------
    ValueError
        If the network does not call the layer exactly once, or what lies behind the layer gives
        other logits alone.
    """
    module, head, samples = at.get_layer(layer), at.linear_head(layer), len(x)
    with undisturbed(model), torch.no_grad():
        output, finished = run_and_keep(model, layer, module, x)
        # Which outputs hold the samples in their rows, a run on another number of them tells.
        some = x[:1] if samples > 1 else x[[0, 0]]
        other, again = run_and_keep(model, layer, module, some)
        cut = _Cut(at, layer, output, other, samples, len(some))
        finished = {
            m: outputs
            for m, outputs in finished.items()
            if len(outputs) == len(again.get(m, []))
            and all(map(cut.holds_rows, outputs, again.get(m, [])))
        }
        first = torch.zeros(1, dtype=torch.long, device=x.device)
        own = cut.returned(cut.rows(first), first)
        idle = set() if head else unread(model, {module: [own]}, finished, x.detach())

        def average(changed: Tensor, rows: Tensor) -> Tensor:
            assert head is not None
            maps = at.unfold(layer, cut.shaped(changed), len(rows))
            return maps.mean(dim=(1, 3, 4)) @ head[0].T + head[1]

        def run(changed: Tensor, rows: Tensor) -> Tensor:
            given = {
                m: [(no_rows if m in idle else rows_of)(o, rows, samples) for o in outputs]
                for m, outputs in finished.items()
            }
            # A copy, because what lies behind may work in place.
            return replay(model, {**given, module: [cut.returned(changed.clone(), rows)]}, x[rows])

        behind = average if head else run
        _expect_same(layer, behind(cut.rows(first), first), model(x[:1]), head is not None)
        yield cut.activation, behind


@dataclass(frozen=True)
class _Cut:
    """A layer's output for all samples and, to tell what grows with them, for another number."""

    at: ExplainableModel
    layer: str
    output: Any
    other: Any
    samples: int
    others: int

    @property
    def activation(self) -> Tensor:
        """The tensor that the layer's name means."""
        return activation_of(self.layer, self.output)

    def holds_rows(self, one: Any, two: Any) -> bool:
        """Whether a tensor of all samples and one of the others hold them in their rows."""
        if not (isinstance(one, Tensor) and isinstance(two, Tensor) and one.ndim and two.ndim):
            return False
        return one.shape[1:] == two.shape[1:] and len(one) * self.others == len(two) * self.samples

    def rows(self, rows: Tensor) -> Tensor:
        """Return the activation of some samples."""
        if self.holds_rows(self.activation, activation_of(self.layer, self.other)):
            return rows_of(self.activation, rows, self.samples)
        maps = self.at.unfold(self.layer, self.activation, self.samples)
        return self.at.fold(self.layer, maps[rows])

    def shaped(self, changed: Tensor) -> Tensor:
        """Return a folded activation with all axes of the layer's."""
        if changed.ndim == self.activation.ndim:
            return changed
        return changed.reshape(-1, *self.activation.shape[1:])

    def returned(self, changed: Tensor, rows: Tensor) -> Any:
        """Return what the layer would for these samples, its activation changed."""
        changed = self.shaped(changed)
        if isinstance(self.output, Tensor):
            return changed

        def beside(one: Any, two: Any) -> Any:
            return rows_of(one, rows, self.samples) if self.holds_rows(one, two) else one

        return exchanged(self.layer, tree_map(beside, self.output, self.other), changed)


def _expect_same(layer: str, alone: Tensor, whole: Tensor, linear: bool) -> None:
    """Refuse a tail that gives other logits than the network."""
    if float((alone - whole).abs().max()) <= 1e-3 * float(whole.abs().max()):
        return
    if linear:
        raise ValueError(
            f"layer {layer!r}: expected logits = weight @ mean(activation) + bias with its "
            "linear_head (got others)"
        )
    raise ValueError(
        f"layer {layer!r}: expected a rest of the network that runs alone (a module "
        "before it changes its input in place, or has a hook that changes its output)"
    )


def run_and_keep(model: nn.Module, name: str, layer: nn.Module, x: Tensor) -> tuple[Any, Outputs]:
    """Run once; return the layer's output and the tensors of modules that finished before it.

    Raises
    ------
    ValueError
        If the network does not call the layer exactly once.
    """
    log: list[tuple[nn.Module, Tensor]] = []
    starts: list[int] = []
    reached: list[Any] = []

    def begin(_module: nn.Module, _inputs: Any) -> None:
        starts.append(len(log))

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        start = starts.pop()
        if module is layer and reached:
            raise ValueError(TWICE.format(layer=name))
        if reached or not (module is layer or isinstance(output, Tensor)):
            return
        del log[start:]  # a module that returns what it returned does not call its children
        # Copies, because what follows may work in place.
        copy = tree_map(lambda leaf: leaf.clone() if isinstance(leaf, Tensor) else leaf, output)
        if module is layer:
            reached.append(copy)
        else:
            log.append((module, copy))

    with _hooks([m for m in model.modules() if m is not model], begin, keep):
        model(x)
    if not reached:
        raise ValueError(f"Expected a layer that runs (the network never called {name!r})")
    finished: Outputs = {}
    for module, output in log:
        finished.setdefault(module, []).append(output)
    return reached[0], finished


@contextmanager
def _hooks(
    modules: Sequence[nn.Module],
    before: Callable[[nn.Module, Any], None],
    after: Callable[[nn.Module, Any, Any], None],
) -> Iterator[None]:
    handles: list[Any] = []
    try:
        for module in modules:
            handles.append(module.register_forward_pre_hook(before))
            handles.append(module.register_forward_hook(after))
        yield
    finally:
        for handle in handles:
            handle.remove()


def unread(
    model: nn.Module, own: Mapping[nn.Module, list[Any]], finished: Outputs, x: Tensor
) -> set[nn.Module]:
    """Return the finished modules whose outputs do not reach the logits past the layer.

    No gradient reaches them, and the logits stay the same when they are not a number: what only
    steers (a comparison, an index) has no gradient.
    """
    first = torch.zeros(1, dtype=torch.long, device=x.device)
    with torch.enable_grad():
        leaves = {
            m: [rows_of(o, first, len(x)).requires_grad_(o.is_floating_point()) for o in outputs]
            for m, outputs in finished.items()
        }
        # Copies, because a leaf must not be changed in place.
        copies = {m: [leaf.clone() for leaf in outputs] for m, outputs in leaves.items()}
        logits = replay(model, {**copies, **own}, x[:1])
        flat = [(m, leaf) for m, outs in leaves.items() for leaf in outs if leaf.requires_grad]
        if not flat or not logits.requires_grad:
            return set()
        grads = torch.autograd.grad(logits.sum(), [leaf for _, leaf in flat], allow_unused=True)
    idle = {m for m, _ in flat} - {
        m for (m, _), g in zip(flat, grads, strict=True) if g is not None
    }
    given = {
        m: [(no_rows if m in idle else rows_of)(o, first, len(x)) for o in outputs]
        for m, outputs in finished.items()
    }
    try:
        again = replay(model, {**given, **own}, x[:1])
    except RuntimeError:  # an operation in place on what takes no memory
        return set()
    return idle if torch.equal(again, logits.detach()) else set()


def replay(model: nn.Module, outputs: Mapping[nn.Module, list[Any]], x: Tensor) -> Tensor:
    """Run the network while some modules return given outputs at their first calls."""

    def patched(module: nn.Module, given: list[Any]) -> Callable[..., Any]:
        original, left = module.forward, list(given)

        def forward(*args: Any, **kwargs: Any) -> Any:
            return left.pop(0) if left else original(*args, **kwargs)

        return forward

    own = {module: module.__dict__.get("forward") for module in outputs}
    try:
        for module, given in outputs.items():
            module.forward = patched(module, given)
        return model(x)
    finally:
        for module, forward in own.items():
            module.__dict__.pop("forward", None)
            if forward is not None:
                module.forward = forward


def rows_of(output: Tensor, rows: Tensor, samples: int) -> Tensor:
    """Select samples of an output whose first axis may fold more than the samples."""
    return output.reshape(samples, -1, *output.shape[1:])[rows].flatten(0, 1)


def no_rows(output: Tensor, rows: Tensor, samples: int) -> Tensor:
    """Return something of the right shape that takes no memory and is not a number."""
    nothing = output.new_full((1,), float("nan"))
    return nothing.expand(len(output) // samples * len(rows), *output.shape[1:])
