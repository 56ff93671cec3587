"""Meeting a network: its axes, its layers' activations, and the part of it behind a layer.

Explainers know no architecture. What they need is asked through `Tappable`, which our networks
implement; `Adapter` gives any other module these answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explanation import DIMS
from hargcn.replay import TWICE, no_rows, replay, rows_of, run_and_keep, unread
from hargcn.skeleton import Skeleton

Unfold = Callable[[Tensor, int], Tensor]
Tail = Callable[[Tensor, Tensor], Tensor]


@runtime_checkable
class Tappable(Protocol):
    """What explainers ask of a network.

    Attributes
    ----------
    input_dims
        Names of the input's axes, "sample" first.
    axis_names
        Names along axes ("joint", "branch", "channel") and of the classes ("class").
    """

    input_dims: tuple[str, ...]

    @property
    def axis_names(self) -> Mapping[str, Sequence[str]]:
        """Names along axes and of the classes."""

    def get_layer(self, layer: str) -> nn.Module:
        """Return the module whose output is the named layer's activation."""

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`, up to a last axis of one joint."""

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centre input frame of each of a layer's time cells."""

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return (weight, bias) where logits = weight @ mean(activation) + bias, else None."""


class Adapter(nn.Module):
    """Any network with the answers of `Tappable`.

    Parameters
    ----------
    model
        The network; called with the input, it returns logits (sample, classes).
    input_dims
        Names of the input's axes; by default "sample", "axis1", ...
    unfold, fold
        From an activation and the number of samples to (sample, person, feature, time, joint), and
        back. By default activations (row, feature, time, joint) and (row, feature, time) are
        understood, whose rows are samples or persons folded into them (row = sample * M + person);
        an image's rows take the place of time.
    axis_names
        Names along axes and of classes.
    linear_head
        From a layer's name to (weight, bias) of the linear head behind its global average, or None.
    skeleton
        The key-point layout, where there is one; pictures need it.
    """

    def __init__(
        self,
        model: nn.Module,
        input_dims: Sequence[str] = (),
        unfold: Unfold | None = None,
        fold: Callable[[Tensor], Tensor] | None = None,
        axis_names: Mapping[str, Sequence[str]] | None = None,
        linear_head: Callable[[str], tuple[Tensor, Tensor] | None] | None = None,
        skeleton: Skeleton | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.skeleton = skeleton
        self.input_dims = tuple(input_dims)
        self.axis_names: dict[str, Sequence[str]] = dict(axis_names or {})
        if skeleton is not None:
            self.axis_names.setdefault("joint", skeleton.joints)
        self._unfold, self._fold, self._head = unfold, fold, linear_head

    def forward(self, x: Tensor) -> Tensor:
        """Return the network's logits."""
        return self.model(x)

    def get_layer(self, layer: str) -> nn.Module:
        """Return a submodule by its path."""
        try:
            return self.model.get_submodule(layer)
        except AttributeError as error:
            known = [name for name, _ in self.model.named_modules() if name]
            raise ValueError(
                f"Expected a layer of {', '.join(known[:20])} (got {layer!r})"
            ) from error

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""
        if self._unfold is not None:
            return self._unfold(activation, samples)
        if activation.ndim not in (3, 4) or len(activation) % samples:
            raise ValueError(
                f"layer {layer!r}: expected an activation (row, feature, time[, joint]) whose rows "
                f"are {samples} samples or their persons, or an Adapter with `unfold` "
                f"(got {tuple(activation.shape)})"
            )
        maps = activation.reshape(samples, -1, *activation.shape[1:])
        return maps if activation.ndim == 4 else maps.unsqueeze(-1)

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`, up to a last axis of one joint."""
        if self._fold is not None:
            return self._fold(maps)
        if self._unfold is not None:
            raise ValueError(f"layer {layer!r}: expected an Adapter with `fold` beside `unfold`")
        return maps.flatten(0, 1)

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centres of `cells` equal stretches of the window."""
        return (np.arange(cells) + 0.5) * frames / cells - 0.5

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return (weight, bias) of the linear head behind a layer's global average, if known."""
        return self._head(layer) if self._head else None


def tappable(model: nn.Module, x: Tensor) -> Tappable:
    """Return the network itself where it answers `Tappable`, else one that reads its modules."""
    if isinstance(model, Adapter) and not model.input_dims:
        named = copy.copy(model)
        named.input_dims = _default_dims(x)
        return named
    if isinstance(model, Tappable):
        return model
    return Adapter(model, _default_dims(x))


def map_axes(at: Tappable, x: Tensor) -> tuple[int, int | None, int | None]:
    """Return which of the input's axes a map's time, joint and person follow.

    By their names; an input that names no time is an image or a series, (sample, channel, rows[,
    columns]), whose last axes they are.
    """
    dims = at.input_dims
    if "time" in dims:
        joint, person = (dims.index(d) if d in dims else None for d in ("joint", "person"))
        return dims.index("time"), joint, person
    if x.ndim not in (3, 4):
        raise ValueError(f"Expected an Adapter whose input_dims name 'time' (got {dims})")
    return 2, (3 if x.ndim == 4 else None), None


def _default_dims(x: Tensor) -> tuple[str, ...]:
    return DIMS if x.ndim == len(DIMS) else ("sample", *(f"axis{i}" for i in range(1, x.ndim)))


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
    model: nn.Module, at: Tappable, layers: Sequence[str], grad: bool = True
) -> Iterator[dict[str, Tensor]]:
    """Collect the activations of named layers during the forward passes inside the block.

    With `grad`, the graph begins at the earliest of the layers: nothing before it is
    differentiated. Later layers keep their place in the graph, so that one backward pass reaches
    all of them. Hooks are gone at the end of the block, also after an exception.

    Parameters
    ----------
    model, at
        The network and its `Tappable`.
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


@contextmanager
def tail(model: nn.Module, at: Tappable, layer: str, x: Tensor) -> Iterator[tuple[Tensor, Tail]]:
    """Cut a network behind a layer.

    Modules that have finished when the layer has are not run again: they return what they returned
    for `x`. A linear head behind a global average is computed as such. Rows of samples must be
    contiguous in every activation (sample-major folding).

    Parameters
    ----------
    model, at
        The network and its `Tappable`.
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
        activation, finished = run_and_keep(model, layer, module, x)
        idle = set() if head else unread(model, module, activation, finished, x.detach())

        def average(changed: Tensor, rows: Tensor) -> Tensor:
            assert head is not None
            maps = at.unfold(layer, changed, len(rows))
            return maps.mean(dim=(1, 3, 4)) @ head[0].T + head[1]

        def run(changed: Tensor, rows: Tensor) -> Tensor:
            given = {
                m: [(no_rows if m in idle else rows_of)(o, rows, samples) for o in outputs]
                for m, outputs in finished.items()
            }
            # A copy, because what lies behind may work in place.
            own = changed.clone().reshape(-1, *activation.shape[1:])
            return replay(model, {**given, module: [own]}, x[rows])

        if head is None:
            first = torch.zeros(1, dtype=torch.long, device=x.device)
            alone, whole = run(rows_of(activation, first, samples), first), model(x[:1])
            if float((alone - whole).abs().max()) > 1e-3 * float(whole.abs().max()):
                raise ValueError(
                    f"layer {layer!r}: expected a rest of the network that runs alone (a module "
                    "before it changes its input in place, or has a hook that changes its output)"
                )
        yield activation, average if head else run
