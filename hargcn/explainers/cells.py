"""Where in the input a layer's cells lie: in time measured, not assumed."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from hargcn.explainers.adapter import Adapter, ExplainableModel
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
    known = _GRIDS.setdefault(at.get_layer(layer), {})
    key = (layer, tuple(x.shape[1:]))
    if key not in known:
        with undisturbed(at):
            known[key] = grid_of(at, layer, x)
    grid = known[key]
    if grid is None:
        return at.cell_frames(layer, cells, frames)
    return grid[0] + grid[1] * np.arange(cells)


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


def grid_of(at: Adapter, layer: str, x: Tensor) -> Grid | None:
    """Measure the frame of a layer's first cell, and the step from one cell to the next.

    From where in time the gradients of the two middle cells lie, while the weights are positive and
    random: padding at the borders does not reach these, and no trained kernel leans to one side.
    Kernels have their centres at frames or half way between: found to half a frame. None where the
    two cells do not lie apart by whole frames.
    """
    generator = torch.Generator().manual_seed(1234)

    def positive(like: Tensor) -> Tensor:
        return (torch.rand(like.shape, generator=generator) + 0.5).to(like)

    def simple(name: str, value: Tensor) -> Tensor:
        if name.endswith(("bias", "running_mean")):
            return torch.zeros_like(value)
        if name.endswith("running_var"):
            return torch.ones_like(value)
        return positive(value) / (value[0].numel() if value.ndim > 1 else 1)

    statistics = [b for b in at.named_buffers() if b[0].endswith(("running_mean", "running_var"))]
    weights = {name: simple(name, value) for name, value in [*at.named_parameters(), *statistics]}
    seen: list[Tensor] = []
    handle = at.get_layer(layer).register_forward_hook(
        lambda *call: seen.append(activation_of(layer, call[2]))
    )
    with torch.enable_grad():
        leaf = positive(x[:1]).requires_grad_()
        try:
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
    time = at.input_dims.index("time")
    others = [d for d in range(x.ndim) if d != time]
    centres = [_centre(each.abs().sum(others).double()) for each in gradients]
    step = round(centres[1] - centres[0])
    if step < 1 or abs(centres[1] - centres[0] - step) > 0.25:
        return None
    first = sum(centres) / 2 - (middle + 0.5) * step
    return round(2 * first) / 2, float(step)


def _centre(profile: Tensor) -> float:
    """Centroid of what stands out of what every frame has alike, such as a global average."""
    above = profile - profile.min()
    frames = torch.arange(len(profile), dtype=profile.dtype, device=profile.device)
    if not above.sum() > 1e-6 * profile.sum():  # nothing does
        above = torch.ones_like(profile)
    return float(above @ frames / above.sum())
