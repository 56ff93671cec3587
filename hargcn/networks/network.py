"""What the commands ask of a network, whoever wrote it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hargcn.networks.branches import placed
from hargcn.outputs import Outputs
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    from hargcn.data.windows import Batch

_FRAMES = 64  # of windows that nobody described


class SkeletonNetwork(nn.Module, ABC):
    """A network that makes its own input from positions, and names its classes and layers.

    Attributes
    ----------
    input_dims
        Names of its input's axes, "sample" first.
    axis_names
        Names along axes and of the classes.
    skeleton
        The layout of the key points.
    outputs
        What its outputs are.
    card
        What is known about it: `weights`, a digest of what it is, and `input`, how the windows that
        it learned from were prepared.
    streams
        Names that layers' names begin with, where the same layers come in several streams.
    """

    input_dims: tuple[str, ...]
    axis_names: dict[str, Sequence[str]]
    skeleton: Skeleton
    outputs: Outputs
    card: dict[str, Any]
    streams: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """What each output is called: the classes' names, in the order of the logits."""
        return self.outputs.columns

    @classes.setter
    def classes(self, names: Sequence[str]) -> None:
        self.outputs = Outputs(self.outputs.kind, tuple(names))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(C, T, V, M) of a window that it takes; of 64 frames where its card does not tell."""
        frames = (self.card.get("input") or {}).get("frames") or _FRAMES
        return self.skeleton.ndim, frames, self.skeleton.n_joints, 1

    def inputs(self, batch: Batch) -> Tensor:
        """Return what the network takes for windows, on its device."""
        return self.features(*placed(batch, self))

    @abstractmethod
    def features(self, positions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn positions (N, C, T, V, M) into the network's input.

        Parameters
        ----------
        positions
            Key points.
        valid
            (N, T, M) bool, where a person is present; by default wherever any coordinate is not 0.
        """

    @abstractmethod
    def layer_names(self) -> tuple[str, ...]:
        """Return the names of the layers that can be explained, in the order they run."""

    @abstractmethod
    def get_layer(self, layer: str) -> nn.Module:
        """Return the module whose output is the named layer's activation."""

    @abstractmethod
    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint)."""

    def edges(self) -> Mapping[str, Tensor]:
        """Return the learnt edge importance (K, V, V) by layer, where there is any to perturb."""
        return {}

    def adjacency(self) -> Mapping[str, Tensor]:
        """Return the graph (K, V, V) that each edge importance weighs; all pairs without one."""
        return {}
