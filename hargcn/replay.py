"""Running a network again from the middle: finished modules return what they returned before."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Outputs = dict[nn.Module, list[Tensor]]
TWICE = "Expected a layer that runs once (got {layer!r}, which the network calls again)"


def run_and_keep(
    model: nn.Module, name: str, layer: nn.Module, x: Tensor
) -> tuple[Tensor, Outputs]:
    """Run once; return the layer's output and those of the modules that finished before it.

    Raises
    ------
    ValueError
        If the network does not call the layer exactly once.
    """
    log: list[tuple[nn.Module, Tensor]] = []
    starts: list[int] = []
    reached: list[Tensor] = []

    def begin(_module: nn.Module, _inputs: Any) -> None:
        starts.append(len(log))

    def keep(module: nn.Module, _inputs: Any, output: Any) -> None:
        start = starts.pop()
        if module is layer and reached:
            raise ValueError(TWICE.format(layer=name))
        if reached or not isinstance(output, Tensor):
            return
        del log[start:]  # a module that returns what it returned does not call its children
        # Copies, because what follows may work in place.
        if module is layer:
            reached.append(output.clone())
        else:
            log.append((module, output.clone()))

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
    model: nn.Module, layer: nn.Module, activation: Tensor, finished: Outputs, x: Tensor
) -> set[nn.Module]:
    """Return the finished modules whose outputs do not reach the logits past the layer.

    No gradient reaches them, and the logits stay the same when they are not a number: what only
    steers (a comparison, an index) has no gradient.
    """
    first = torch.zeros(1, dtype=torch.long, device=x.device)
    own = {layer: [rows_of(activation, first, len(x))]}
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
        again = replay(model, {**given, layer: [rows_of(activation, first, len(x))]}, x[:1])
    except RuntimeError:  # an operation in place on what takes no memory
        return set()
    return idle if torch.equal(again, logits.detach()) else set()


def replay(model: nn.Module, outputs: Mapping[nn.Module, list[Tensor]], x: Tensor) -> Tensor:
    """Run the network while some modules return given outputs at their first calls."""

    def patched(module: nn.Module, given: list[Tensor]) -> Callable[..., Any]:
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
