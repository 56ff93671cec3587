"""Where in the input a layer's cells lie: in time measured, not assumed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode

from hargcn.explainers.adapter import Adapter, ExplainableModel, adapted
from hargcn.explainers.axes import Axes
from hargcn.explainers.hooks import plain, record, undisturbed
from hargcn.explainers.outputs import activation_of

Grid = tuple[float, float]
_GRIDS: WeakKeyDictionary[nn.Module, dict[Any, Grid | None]] = WeakKeyDictionary()


def cell_frames(at: ExplainableModel, layer: str, cells: int, x: Tensor) -> np.ndarray:
    """Return the centre input frame of each of a layer's time cells.

    An `Adapter` without `cell_frames` is measured, once per layer and input shape; where that
    tells nothing, because two cells see the whole window alike, equal stretches are assumed.

    Parameters
    ----------
    at, layer
        A network's answers, and the name of one of its layers.
    cells
        How many time cells the layer has.
    x
        The network's input.
    """
    frames = x.shape[at.input_dims.index("time")] if "time" in at.input_dims else cells
    measured = isinstance(at, Adapter) and not at.tells_frames(layer) and cells > 1
    if not isinstance(at, Adapter) or not measured or "time" not in at.input_dims:
        found = np.asarray(at.cell_frames(layer, cells, frames), float)
        if len(found) != cells or not found[-1] < frames:
            raise ValueError(
                f"layer {layer!r}: expected the centres of {cells} time cells within {frames} "
                f"frames, by cell_frames or strides (got {len(found)}, the last {found[-1:]})"
            )
        return found
    grid = _measured(at, layer, x)
    if grid is None:
        return at.cell_frames(layer, cells, frames)
    return grid[0] + grid[1] * np.arange(cells)


def _measured(at: Adapter, layer: str, x: Tensor) -> Grid | None:
    """Measure a layer's grid once for each shape of the input."""
    known = _GRIDS.setdefault(at.get_layer(layer), {})
    key = (layer, tuple(x.shape[1:]))
    if key not in known:
        with undisturbed(at):
            known[key] = grid_of(at, layer, x)
    return known[key]


def time_step(model: nn.Module, x: Tensor, layers: Sequence[str]) -> int | None:
    """Return how many input frames a network moves on by in all: its total stride in time.

    As the network says in an attribute `time_step`. Else of the layer of fewest cells of time, more
    than one and the last such: the distance of its cells, as somebody said or as measured (see
    `grid_of`).

    Parameters
    ----------
    model
        The network.
    x
        Its input.
    layers
        Names of its layers that can be explained.

    Returns
    -------
    int or None
        None where nobody said and nothing can be measured: without layers or an axis of time, where
        two cells see the whole window alike, or where their distance is no whole number.
    """
    at: Any = adapted(model, x)
    for each in (model, at, getattr(at, "model", None)):
        own = getattr(each, "time_step", None)
        if own is not None:
            return int(own)
    if "time" not in at.input_dims or not layers:
        return None
    with undisturbed(at), record(at, at, layers, grad=False) as seen:
        at(plain(x[:1]))
    cells = {layer: at.unfold(layer, seen[layer], 1).shape[3] for layer in layers}
    several = {layer: count for layer, count in cells.items() if count > 1}
    if not several:
        return None
    layer = min(reversed(several), key=several.__getitem__)
    if isinstance(at, Adapter) and not at.tells_frames(layer):
        grid = _measured(at, layer, x)
        return None if grid is None else int(grid[1])
    steps = np.diff(cell_frames(at, layer, several[layer], x))
    whole = np.ptp(steps) == 0 and float(steps[0]).is_integer() and steps[0] > 0
    return int(steps[0]) if whole else None


def plane_of(at: ExplainableModel, layer: str, x: Tensor) -> dict[str, int]:
    """Return how many cells a layer has along "y" and "x", nothing where its cells are joints.

    Parameters
    ----------
    at, layer
        A network's answers, and the name of one of its layers.
    x
        The network's input.
    """
    if not isinstance(at, Adapter):
        return {}
    axes = at.told_axes(layer)
    if not (isinstance(axes, Axes) and axes.plane):
        return {}
    with record(at, at, [layer], grad=False) as seen:
        at(plain(x[:1]))
    return {name: seen[layer].shape[axes.names.index(name)] for name in ("y", "x")}


def stretches(cells: int, size: int) -> np.ndarray:
    """Return the centres of equal stretches of an axis."""
    return (np.arange(cells) + 0.5) * size / cells - 0.5


def interpolation(
    centres: np.ndarray, size: int, how: Literal["linear", "nearest"] = "linear"
) -> Tensor:
    """Return the matrix (size, cells) that brings cells with these centres to an axis."""
    places = np.arange(size)
    if how == "nearest":
        near = np.abs(places[:, None] - centres).argmin(axis=1)
        return torch.from_numpy(np.eye(len(centres))[near])
    rows = [np.interp(places, centres, row) for row in np.eye(len(centres))]
    return torch.from_numpy(np.stack(rows, axis=1))


def grid_of(at: Adapter, layer: str, x: Tensor) -> Grid | None:
    """Measure the frame of a layer's first cell, and the step from one cell to the next.

    From where in time the gradients of the two middle cells lie, on an input that hardly changes
    over time and with weights that are positive and equal along kernels: padding at the borders
    does not reach these cells, and nothing leans to one side. What both see alike, such as a global
    average, cancels between them. Kernels have their centres at frames or half way between: found
    to half a frame. None where the two cells do not lie apart by whole frames.
    """
    generator = torch.Generator().manual_seed(1234)

    def positive(like: Tensor) -> Tensor:
        return (torch.rand(like.shape, generator=generator) + 0.5).to(like)

    def simple(name: str, value: Tensor) -> Tensor:
        if name.endswith(("bias", "running_mean")):
            return torch.zeros_like(value)
        if name.endswith("running_var"):
            return torch.ones_like(value)
        if value.ndim < 2:
            return positive(value)
        one = value.flatten(2)[..., 0] if value.ndim > 2 else value
        drawn = positive(one).reshape(*one.shape, *(1,) * (value.ndim - 2))
        return drawn.expand_as(value) / value[0].numel()

    statistics = [b for b in at.named_buffers() if b[0].endswith(("running_mean", "running_var"))]
    weights = {name: simple(name, value) for name, value in [*at.named_parameters(), *statistics]}
    time = at.input_dims.index("time")
    seen: list[Tensor] = []
    handle = at.get_layer(layer).register_forward_hook(
        lambda *call: seen.append(activation_of(layer, call[2]))
    )
    with torch.enable_grad():
        leaf = positive(x[:1].narrow(time, 0, 1)) + 0.05 * positive(x[:1])
        leaf.requires_grad_()
        try:
            with _MeanPools():
                functional_call(at, weights, (leaf,))
        finally:
            handle.remove()
        maps = at.unfold(layer, seen[0], 1)
        features = positive(maps[0, 0, :, 0, :1])
        middle = (maps.shape[3] - 1) // 2
        pair = [(maps[:, :, :, k] * features).sum() for k in (middle, middle + 1)]
        if not pair[0].requires_grad:
            return None
        gradients = [
            torch.autograd.grad(one, leaf, retain_graph=True, materialize_grads=True)[0]
            for one in pair
        ]
    others = [d for d in range(x.ndim) if d != time]
    found = _between(*[each.abs().sum(others).double().cpu() for each in gradients])
    if found is None:
        return None
    centre, step = found
    return round(2 * (centre - (middle + 0.5) * step)) / 2, float(step)


def _between(one: Tensor, other: Tensor) -> tuple[float, int] | None:
    """Return the frame half way between two cells, and how far apart they are.

    Of the difference of their profiles (frames,) the part above 0 is the one cell's, that below the
    other's: however they overlap, both lie as far from the middle. Moved by the distance, the one
    profile is the other.
    """
    change = one - other
    if not float(change.abs().max()) > 1e-6 * float(one.max()):  # the two see everything alike
        return None
    noise = 0.1 * change.abs().max()
    frames = torch.arange(len(one), dtype=one.dtype)
    parts = [torch.where(each > noise, each, 0) for each in (change, -change)]
    size = len(one)
    misfits = [
        float((one[: size - move] - other[move:]).square().mean()) for move in range(size // 2 + 2)
    ]
    step = min(range(len(misfits) - 1), key=misfits.__getitem__)
    if step < 1 or not all(float(part.sum()) > 0 for part in parts):
        return None
    before, here, after = misfits[step - 1 : step + 2]
    if abs(before - after) > 0.5 * (before - 2 * here + after):  # a fraction of a frame is left
        return None
    return sum(float(part @ frames / part.sum()) for part in parts) / 2, step


class _MeanPools(TorchFunctionMode):
    """Let maxima over windows be means: which frame wins is chance."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Carry out one call; named and called by torch."""
        kwargs = kwargs or {}
        pool = re.fullmatch(r"max_pool([123])d", getattr(func, "__name__", ""))
        if pool and kwargs.get("dilation", 1) in (1, (1,) * int(pool[1])):
            mean = getattr(torch.nn.functional, f"avg_pool{pool[1]}d")
            given = dict(zip(("input", "kernel_size", "stride", "padding"), args, strict=False))
            own = {k: v for k, v in kwargs.items() if k in ("kernel_size", "stride", "padding")}
            return mean(**given, **own)
        return func(*args, **kwargs)
