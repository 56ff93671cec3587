"""The axes of a layer's activation, by their names: how it becomes maps, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

from torch import Tensor

MAP_DIMS = ("sample", "person", "feature", "time", "joint")
"""The axes of maps, as rules of class activation maps see them."""


@dataclass(frozen=True)
class Axes:
    """Names of an activation's axes, in its own order.

    Parameters
    ----------
    names
        Of `MAP_DIMS`; an axis that is not there has size 1. "row" stands for persons folded into
        the samples (row = sample * persons + person), "y", "x" for places of a plane instead of
        joints.
    """

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        known = (*MAP_DIMS, "row", "y", "x")
        wrong = [name for name in self.names if name not in known]
        if wrong or len(set(self.names)) < len(self.names):
            raise ValueError(
                f"Expected different axes of {', '.join(known)} (got {', '.join(self.names)})"
            )
        if ("row" in self.names) == ("sample" in self.names) or {"row", "person"} <= {*self.names}:
            raise ValueError(
                "Expected either 'sample' or, with the persons in it, 'row' among an activation's "
                f"axes (got {', '.join(self.names)})"
            )
        whole = self.plane and "joint" not in self.names and self.names[0] in ("sample", "row")
        if {"y", "x"} & {*self.names} and not whole:
            raise ValueError(
                "Expected 'y' and, right behind it, 'x' instead of 'joint', and the samples first "
                f"(got {', '.join(self.names)})"
            )

    @property
    def plane(self) -> bool:
        """Whether cells have a place in a plane instead of a joint."""
        return ("y", "x") in pairwise(self.names)

    @property
    def _unfolded(self) -> list[str]:
        """Names of `MAP_DIMS` in the order of the activation's axes."""
        whole = {"row": ["sample", "person"], "y": ["joint"], "x": []}
        return [name for own in self.names for name in whole.get(own, [own])]

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as `MAP_DIMS`.

        Raises
        ------
        ValueError
            For an activation of other axes.
        """
        if activation.ndim != len(self.names):
            raise ValueError(
                f"layer {layer!r}: expected an activation ({', '.join(self.names)}) "
                f"(got {tuple(activation.shape)})"
            )
        if self.plane:
            activation = activation.flatten(self.names.index("y"), self.names.index("y") + 1)
        if "row" in self.names:
            activation = activation.unflatten(self.names.index("row"), (samples, -1))
        own = self._unfolded
        maps = activation.permute([own.index(name) for name in MAP_DIMS if name in own])
        for place, name in enumerate(MAP_DIMS):
            if name not in own:
                maps = maps.unsqueeze(place)
        return maps

    def fold(self, maps: Tensor) -> Tensor:
        """Undo `unfold`, but for the two axes of a plane, which stay one."""
        own = self._unfolded
        here = [name for name in MAP_DIMS if name in own]
        maps = maps.squeeze([i for i, name in enumerate(MAP_DIMS) if name not in own])
        folded = maps.permute([here.index(name) for name in own])
        if "row" in self.names:
            folded = folded.flatten(own.index("sample"), own.index("sample") + 1)
        return folded


def default_axes(activation: Tensor, samples: int) -> Axes | None:
    """Name the axes of an activation that nobody named, where its form says them."""
    if activation.ndim in (3, 4) and len(activation) % samples == 0:
        return Axes(("row", "feature", "time", "joint")[: activation.ndim])
    if activation.ndim == 5 and len(activation) == samples:
        return Axes(MAP_DIMS)
    return None


def for_layer(given: Any, layer: str) -> Any:
    """Return what was given for a layer: the same for all, or from a mapping.

    A key of the mapping is the layer's name, or a pattern such as "blocks.*".
    """
    if not isinstance(given, Mapping):
        return given
    if layer in given:
        return given[layer]
    return next((value for key, value in given.items() if fnmatchcase(layer, key)), None)


def named_axes(given: Any) -> Any:
    """Turn names of axes into `Axes`, alone and in mappings; functions stay."""
    if isinstance(given, Mapping):
        return {key: named_axes(value) for key, value in given.items()}
    return Axes(tuple(given)) if isinstance(given, Sequence) else given
