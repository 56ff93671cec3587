"""Forward hooks that leave no trace: a network as it was, and its layers' activations."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import Adapter, ExplainableModel, held
from hargcn.explainers.outputs import activation_of, exchanged, rows_in

TWICE = "Expected a layer that runs once (got {layer!r}, which the network calls again)"


_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_NEW = threading.Lock()


def lock_of(model: nn.Module) -> threading.RLock:
    """Return the lock of a network: that of its first module with parameters, whoever wraps it."""
    modules = (m for m in model.modules() if next(m.parameters(recurse=False), None) is not None)
    with _NEW:
        return _LOCKS.setdefault(next(modules, model), threading.RLock())


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Run a network in evaluation mode with frozen parameters and leave no trace.

    Every module's training flag and every parameter's requires_grad come back, also after an
    exception. One thread at a time: others that want the same network wait. The caller's inference
    mode and automatic casts are off meanwhile, so that they change no value.
    """
    with lock_of(model), ordinary():
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
def ordinary() -> Iterator[None]:
    """Leave inference mode and automatic casts; gradients are recorded where they were before."""
    recorded = torch.is_grad_enabled()
    with ExitStack() as stack:
        if torch.is_inference_mode_enabled():
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.set_grad_enabled(recorded))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        yield


def watch(
    model: nn.Module,
    x: Tensor,
    modules: Iterable[nn.Module],
    note: Callable[[nn.Module, Any, Any], None],
) -> None:
    """Run a network once, undisturbed and without gradients, and see what some modules do.

    Parameters
    ----------
    model, x
        The network and its input.
    modules
        Those to watch.
    note
        Gets the module, its positional arguments and its output, whenever one of them ends.
    """
    with undisturbed(model), torch.no_grad(), ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(note).remove)
        model(x)


def plain(x: Tensor) -> Tensor:
    """Return a tensor without its history; a copy of one that was made in inference mode."""
    return x.clone() if x.is_inference() else x.detach()


def expect_fixed(model: nn.Module, x: Tensor) -> None:
    """Refuse a fixed argument of an `Adapter` that holds a row for each of these samples.

    Explainers run batches of other sizes and samples: they would meet the rows of others. Where an
    argument has as many rows as there are samples, a run on one sample tells.
    """
    at = held(model)
    names = rows_in(at.arguments, len(x)) if isinstance(at, Adapter) else []
    if not names:
        return
    with undisturbed(model), torch.no_grad():
        together = model(x)
        try:
            alone = torch.cat([model(x[:1]), model(x[-1:])])
        except (RuntimeError, ValueError, IndexError):
            alone = torch.full_like(together[:2], torch.nan)
        bound = 1e-3 * float(together.abs().max())
    if not float((alone - together[[0, -1]]).abs().max()) <= bound:
        raise ValueError(
            f"Expected arguments that are the same for every sample (got {len(x)} rows, one per "
            f"sample, in {', '.join(names)}); give the Adapter a function of the batch instead, "
            "such as lambda x: row.expand(len(x), -1)"
        )


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
        Layer names; of a module that returns several tensors "block[0]".
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
    TypeError
        If its name does not tell which of several tensors is meant.
    """
    seen: dict[str, Tensor] = {}

    def hook(name: str) -> Callable[[nn.Module, Any, Any], Any]:
        def keep(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            value = activation_of(name, output)
            if name in seen:
                raise ValueError(TWICE.format(layer=name))
            if grad:
                seen[name] = value if value.requires_grad else value.detach().requires_grad_()
            else:
                seen[name] = value.detach()
            # A copy goes on: an operation in place must not reach what was recorded.
            return exchanged(name, output, seen[name].clone())

        return keep

    # Hooks go before the network's turn ends: another thread must not meet them.
    with undisturbed(model), torch.set_grad_enabled(grad), ExitStack() as hooks:
        begin = model.register_forward_pre_hook(lambda _m, _x: seen.clear())
        hooks.callback(begin.remove)
        for name in dict.fromkeys(layers):
            hooks.callback(at.get_layer(name).register_forward_hook(hook(name)).remove)
        yield seen
