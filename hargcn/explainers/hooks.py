"""Forward hooks that leave no trace: a network as it was, and its layers' activations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel

TWICE = "Expected a layer that runs once (got {layer!r}, which the network calls again)"


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a network in evaluation mode with frozen parameters and leave no trace.

    Every module's training flag and every parameter's requires_grad come back, also after an
    exception.
    """
    training = [module for module in model.modules() if module.training]
    learning = [p for p in model.parameters() if p.requires_grad]
    try:
        model.eval()
        for p in learning:
            p.requires_grad_(False)
        yield
    finally:
        for module in training:
            module.training = True
        for p in learning:
            p.requires_grad_(True)


@contextmanager
def record(
    model: nn.Module, at: ExplainableModel, layers: Sequence[str], grad: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Collect the activations of named layers during the forward passes inside the block.

    With `grad`, the graph begins at the earliest of the layers: nothing before it is
    differentiated. Later layers keep their place in the graph, so that one backward pass reaches
    all of them. Hooks are gone at the end of the block, also after an exception.

    Parameters
    ----------
    model, at
        The network and its `ExplainableModel`.
    layers
        Layer names.
    grad
        Whether gradients will be asked for.

    Yields
    ------
    dict
        Layer name -> activation, filled anew by every forward pass.

    Raises
    ------
    ValueError
        If a layer runs more than once in a forward pass, so that its activation is ambiguous.
    """
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], Tensor]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> Tensor:
            if not isinstance(output, Tensor):
                raise TypeError(
                    f"layer {name!r}: expected one tensor (got {type(output).__name__})"
                )
            if name in seen:
                raise ValueError(TWICE.format(layer=name))
            if grad:
                seen[name] = output if output.requires_grad else output.detach().requires_grad_()
            else:
                seen[name] = output.detach()
            # A copy goes on: an operation in place must not reach what was recorded.
            return seen[name].clone()

        return keep

    handles: list[Any] = []
    try:
        with undisturbed(model), torch.set_grad_enabled(grad):
            handles.append(model.register_forward_pre_hook(lambda _m, _x: seen.clear()))
            for name in dict.fromkeys(layers):
                handles.append(at.get_layer(name).register_forward_hook(hook(name)))
            yield seen
    finally:
        for handle in handles:
            handle.remove()
