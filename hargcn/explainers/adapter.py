"""Meeting a network: the names of its axes and of its layers' activations.

Explainers know no architecture. What they need is asked through `ExplainableModel`, which our
networks implement; `Adapter` gives any other module these answers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from hargcn.checks import nearest
from hargcn.explanation import DIMS
from hargcn.skeleton import Skeleton

Unfold = Callable[[Tensor, int], Tensor]


@runtime_checkable
class ExplainableModel(Protocol):
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
    """Any network with the answers of `ExplainableModel`.

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
    cell_frames
        From a layer's name, its number of time cells and that of the window's frames to the centre
        frame of each cell. By default measured (see `hargcn.explainers.cells`).
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
        cell_frames: Callable[[str, int, int], np.ndarray] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.skeleton = skeleton
        self.input_dims = tuple(input_dims)
        self.axis_names: dict[str, Sequence[str]] = dict(axis_names or {})
        if skeleton is not None:
            self.axis_names.setdefault("joint", skeleton.joints)
        self._unfold, self._fold, self._head = unfold, fold, linear_head
        self._frames = cell_frames

    @property
    def tells_frames(self) -> bool:
        """Whether somebody said where time cells lie."""
        return self._frames is not None

    @property
    def unfolds(self) -> bool:
        """Whether somebody said what an activation's axes are."""
        return self._unfold is not None

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
                f"Expected layer of {', '.join(known[:20])} (got {layer!r}{nearest(layer, known)})"
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
        """Return the centre frames as given, else those of equal stretches of the window."""
        if self._frames is not None:
            return self._frames(layer, cells, frames)
        return (np.arange(cells) + 0.5) * frames / cells - 0.5

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return (weight, bias) of the linear head behind a layer's global average, if known."""
        return self._head(layer) if self._head else None


def adapted(model: nn.Module, x: Tensor) -> ExplainableModel:
    """Return the network where it is an `ExplainableModel`, else one that reads its modules.

    Of a network that holds an `ExplainableModel` as its `adapter`, this one.
    """
    held = getattr(model, "adapter", None)
    if isinstance(held, nn.Module) and isinstance(held, ExplainableModel):
        model = held
    if isinstance(model, Adapter) and not model.input_dims:
        named = copy.copy(model)
        named.input_dims = input_axes(nn.Identity(), x)
        return named
    if isinstance(model, ExplainableModel):
        return model
    return Adapter(model, input_axes(model, x))


def map_axes(at: ExplainableModel, x: Tensor) -> tuple[int, int | None, int | None]:
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


def expect_axes(at: ExplainableModel, layer: str, maps: Mapping[str, int], x: Tensor) -> None:
    """Refuse maps whose joints and persons are not those of the input.

    Only whoever says by an `unfold` what an activation's axes are may have pooled an axis to one.

    Parameters
    ----------
    at, layer
        A network's answers, and the name of one of its layers.
    maps
        Size of the maps along "joint" and "person".
    x
        The network's input.
    """
    named = {d: x.shape[at.input_dims.index(d)] for d in maps if d in at.input_dims}
    said = not isinstance(at, Adapter) or at.unfolds
    if any(maps[d] != size and not (said and maps[d] == 1) for d, size in named.items()):
        wanted = " and ".join(f"{size} {d}s" for d, size in named.items())
        found = " and ".join(f"{maps[d]} {d}s" for d in named)
        raise ValueError(
            f"layer {layer!r}: expected maps of {wanted}, as the input has (got {found}); an "
            "Adapter's `unfold` says which axes of the activation they are"
        )


def input_axes(model: nn.Module, x: Tensor, dims: Sequence[str] | None = None) -> tuple[str, ...]:
    """Name the axes of ``x``: as given, as the model says, as `DIMS` for six axes, or by number."""
    if dims is not None:
        if len(dims) != x.ndim or dims[0] != "sample":
            raise ValueError(f"Expected {x.ndim} dims, the first 'sample' (got {tuple(dims)})")
        return tuple(dims)
    own = tuple(getattr(model, "input_dims", ()))
    if len(own) == x.ndim:
        return own
    return DIMS if x.ndim == len(DIMS) else ("sample", *(f"axis{i}" for i in range(1, x.ndim)))


def axis_labels(model: nn.Module | ExplainableModel, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Return the names that a model knows along axes of these sizes, and its skeleton.

    As `Explanation.build` takes them: `coords` and `skeleton`.
    """
    names: Mapping[str, Sequence[str]] = getattr(model, "axis_names", {})
    skeleton = getattr(model, "skeleton", None)
    coords: dict[str, Any] = {d: list(v) for d, v in names.items() if len(v) == sizes.get(d)}
    by_branch: Mapping[str, Sequence[str]] = getattr(model, "channel_names", {})
    if by_branch and {"branch", "channel"} <= coords.keys():
        rows = [list(by_branch[branch]) for branch in coords["branch"]]
        coords["channel_name"] = (("branch", "channel"), rows)
    return {
        "coords": coords,
        "skeleton": skeleton if isinstance(skeleton, Skeleton) and "joint" in sizes else None,
    }
