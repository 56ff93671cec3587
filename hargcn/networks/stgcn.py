"""The multi-branch spatio-temporal graph network and its layer names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator
from torch import Tensor, nn

from hargcn.checks import one_of
from hargcn.explanation import DIMS
from hargcn.networks.attention import attention
from hargcn.networks.branches import branches, channel_names, shared_channel_names
from hargcn.networks.heads import head, matrix
from hargcn.networks.layers import TEMPORAL, EdgeGraphConv, InputNorm
from hargcn.networks.network import SkeletonNetwork
from hargcn.outputs import Outputs
from hargcn.skeleton import Normalised, Skeleton, partitions

Temporal = Literal["basic", "bottleneck", "separable", "sandglass", "inverted", "shuffle"]


class StreamConfig(BaseModel):
    """Blocks of one stream: how many, how deep, and how far they look in time and graph.

    Parameters
    ----------
    blocks
        Number of blocks, each a graph convolution, temporal layers and attention.
    depth
        Temporal layers per block.
    stride
        Frames that the first temporal layer of a block moves on by: each block keeps one cell of so
        many.
    scale
        Channels of a block relative to the block before; rounded to a multiple of 16.
    window
        Frames that a temporal convolution sees (odd).
    hops
        The largest distance, in bones, of two joints that see each other in a graph convolution.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The limits keep a foreign card from asking for more than a machine has.
    blocks: int = Field(2, ge=1, le=16)
    depth: int = Field(1, ge=1, le=16)
    stride: int = Field(1, ge=1)
    scale: float = Field(1.0, gt=0, le=64)
    window: int = Field(5, ge=1, le=999)
    hops: int = Field(1, ge=0, le=8)

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError(f"Expected an odd window, so that cells have a centre (got {window})")
        return window


class ModelConfig(BaseModel):
    """Everything that shapes a network besides its skeleton and classes.

    The defaults are hargcn's; the published networks (Tempel et al. 2024) are in `configs/`.

    Parameters
    ----------
    branches
        What a network sees of a movement, each in a stream of its own: positions "J", velocities
        "V", bones "B", accelerations "A".
    width
        Channels of the first block (the stem) of a branch.
    min_width
        Least channels of the other blocks of a branch.
    max_width
        Most channels of the blocks of the main stream.
    last_width
        Channels of its last block, which the head sees.
    activation
        Follows every convolution.
    attention
        Ends every block but the stems: "ja" weights joints, "fa" frames, "ca" channels, "pa" body
        parts, "stja" frames and joints; "none".
    bounded
        Whether "fa" ends in a sigmoid; the published one does not.
    temporal
        Kind of the temporal layers of the branches.
    main_temporal
        Kind of the temporal layers of the main stream.
    expand
        Inner channels relative to the outer ones, in "separable" and "inverted" layers.
    reduce
        Outer channels relative to the inner ones, in "bottleneck", "sandglass" and "shuffle" layers
        and in the attentions "pa" and "stja".
    squeeze
        What the squeezed vector of an "inverted" layer does to the map: "multiply" gates it, as in
        MobileNet; "replace" takes its place, as in the published code.
    dropout
        Share of the pooled features that is left out at a time in training.
    strategy
        How neighbours are told apart: by their "distance", or also by whether they are nearer to
        the root ("spatial": Yan et al. 2018, ST-GCN, section 3.3).
    reach
        Distance over which the adjacency is normalised; None for `hops`. The published networks
        normalise over 3.
    normalised
        By the joints' degrees within that reach: its "columns" (the published code), or "symmetric"
        (Tempel et al. 2024, equation 6).
    input_norm
        Batch norm of a branch over each "channel", or over each channel of each joint
        ("channel-joint").
    smooth_acceleration
        Whether velocities are low-pass filtered before branch A differentiates them.
    rescale
        Whether each quantity of a window, such as its velocities over one frame, is stretched to
        [-1, 1] (the published code's "min-max"). Its z-scores are what an `input_norm` learns.
    branch
        The blocks of each branch.
    main
        The blocks of the main stream, behind the branches put together.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    branches: tuple[Literal["J", "V", "B", "A"], ...] = ("J", "V", "B", "A")
    width: int = Field(48, ge=4, le=4096)
    min_width: int = Field(32, ge=1, le=4096)
    max_width: int = Field(128, ge=1, le=4096)
    last_width: int = Field(48, ge=1, le=4096)
    activation: Literal["relu", "relu6", "silu", "hardswish"] = "silu"
    attention: Literal["ja", "fa", "ca", "pa", "stja", "none"] = "ca"
    bounded: bool = True
    temporal: Temporal = "separable"
    main_temporal: Temporal = "basic"
    expand: float = Field(2.0, gt=0, le=64)
    reduce: float = Field(2.0, gt=0, le=64)
    squeeze: Literal["multiply", "replace"] = "multiply"
    dropout: float = Field(0.1, ge=0, lt=1)
    strategy: Literal["distance", "spatial"] = "distance"
    reach: int | None = None
    normalised: Normalised = "columns"
    input_norm: Literal["channel", "channel-joint"] = "channel-joint"
    smooth_acceleration: bool = False
    rescale: bool = False
    branch: StreamConfig = StreamConfig(blocks=1, depth=2, stride=2)
    main: StreamConfig = StreamConfig(blocks=2, window=5)

    @field_validator("branches")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if not names or len(set(names)) != len(names):
            raise ValueError(f"Expected at least one branch and each once (got {names})")
        return names


class Block(nn.Module):
    """Graph convolution, temporal layers, attention."""

    def __init__(self, gcn: nn.Module, tcn: nn.Module, attention: nn.Module | None = None) -> None:
        super().__init__()
        self.gcn = gcn
        self.tcn = tcn
        self.attention = attention

    def forward(self, x: Tensor, edge: Tensor | None = None) -> Tensor:
        """Map (R, C, T, V) to (R, C', T', V)."""
        x = self.tcn(self.gcn(x, edge))
        return x if self.attention is None else self.attention(x)


class Stream(nn.Module):
    """Blocks in sequence, after an optional input normalisation and stem."""

    def __init__(
        self, blocks: Sequence[Block], init: nn.Module | None = None, stem: Block | None = None
    ) -> None:
        super().__init__()
        if init is not None:
            self.init = init
        if stem is not None:
            self.stem = stem
        for i, block in enumerate(blocks):
            self.add_module(str(i), block)

    def forward(self, x: Tensor, edges: Mapping[str, Tensor]) -> Tensor:
        """Map (R, C, T, V); `edges` by block name replace the learnt edge importance."""
        for name, module in self.named_children():
            x = module(x) if name == "init" else module(x, edges.get(name))
        return x


class MultiBranchSTGCN(SkeletonNetwork):
    """Branches J, V, B, A -> fused main stream -> mean over time, joints, persons -> linear head.

    Submodule paths are the layer names: `J.init`, `J.stem.gcn`, `J.0.tcn`, `J.0.attention`,
    `main.1.tcn`, `main.1.attention`. Persons are folded into the rows, sample-major
    (row = sample * M + person). (Song et al. 2022, EfficientGCN; Tempel et al. 2024, AutoGCN.)

    Parameters
    ----------
    config
        The architecture.
    skeleton
        The layout of the key points.
    classes
        Class names in the order of the logits, or what else the outputs are.
    """

    input_dims = DIMS

    def __init__(
        self, config: ModelConfig, skeleton: Skeleton, classes: Sequence[str] | Outputs
    ) -> None:
        super().__init__()
        self.config = config
        self.skeleton = skeleton
        self.outputs = Outputs.of(classes)
        self.streams = config.branches
        self.card: dict[str, Any] = {}
        channels = 2 * skeleton.ndim
        self.axis_names: dict[str, Sequence[str]] = {
            "branch": config.branches,
            "joint": skeleton.joints,
            "channel": shared_channel_names(skeleton.ndim),
            "class": self.classes,
        }
        self.channel_names = channel_names(config.branches, skeleton.ndim)
        width = 0
        for branch in config.branches:
            stream, width = self._branch(channels)
            self.add_module(branch, stream)
        self.main, width = self._main(width * len(config.branches))
        self.dropout = nn.Dropout(config.dropout)
        self.head = head(width, self.outputs)

    # -- building --------------------------------------------------------------------------------

    def _adjacency(self, hops: int) -> Tensor:
        c = self.config
        return torch.from_numpy(partitions(self.skeleton, hops, c.strategy, c.reach, c.normalised))

    def _temporal(self, kind: str, channels: int, window: int, stride: int) -> nn.Module:
        c = self.config
        extra = {"expand": c.expand, "reduce": c.reduce, "squeeze": c.squeeze}
        return TEMPORAL[kind](channels, window, stride, c.activation, **extra)

    def _attention(self, channels: int) -> nn.Module:
        c = self.config
        part_of = [
            next(i for i, part in enumerate(self.skeleton.parts.values()) if joint in part)
            for joint in range(self.skeleton.n_joints)
        ]
        return attention(c.attention, channels, c.activation, part_of, c.reduce, c.bounded)

    def _block(self, inputs: int, outputs: int, stream: StreamConfig, temporal: str) -> Block:
        tcn = nn.Sequential(
            *(
                self._temporal(temporal, outputs, stream.window, stream.stride if i == 0 else 1)
                for i in range(stream.depth)
            )
        )
        gcn = EdgeGraphConv(inputs, outputs, self._adjacency(stream.hops), self.config.activation)
        return Block(gcn, tcn, self._attention(outputs))

    def _branch(self, channels: int) -> tuple[Stream, int]:
        c = self.config
        per_joint = c.input_norm == "channel-joint"
        init = InputNorm(channels, self.skeleton.n_joints, per_joint)
        gcn = EdgeGraphConv(channels, c.width, self._adjacency(c.branch.hops), c.activation)
        stem = Block(gcn, self._temporal("basic", c.width, c.branch.window, 1))
        blocks, last = [], c.width
        for _ in range(c.branch.blocks):
            width = max(16 * round(last * c.branch.scale / 16), c.min_width)
            blocks.append(self._block(last, width, c.branch, c.temporal))
            last = width
        return Stream(blocks, init, stem), last

    def _main(self, channels: int) -> tuple[Stream, int]:
        c = self.config
        blocks, last = [], channels
        for i in range(c.main.blocks):
            width = min(max(16 * round(last * c.main.scale / 16), 16), c.max_width)
            width = c.last_width if i == c.main.blocks - 1 else width
            blocks.append(self._block(last, width, c.main, c.main_temporal))
            last = width
        return Stream(blocks), last

    # -- running ---------------------------------------------------------------------------------

    def features(self, positions: Tensor, valid: Tensor | None = None) -> Tensor:
        """Turn positions (N, C, T, V, M) into this network's input (N, I, 2C, T, V, M)."""
        c = self.config
        return branches(
            positions, self.skeleton, c.branches, valid, c.smooth_acceleration, c.rescale
        )

    def forward(self, x: Tensor, edges: Mapping[str, Tensor] | None = None) -> Tensor:
        """Return logits (N, classes), or values (N, output) of a regression.

        Parameters
        ----------
        x
            (N, I, 2C, T, V, M) branches.
        edges
            By graph layer name, (K, V, V) or (N, K, V, V), used instead of the learnt edge
            importance; the model itself is not changed.
        """
        self._check(x)
        persons = x.shape[-1]
        rows = x.permute(0, 5, 1, 2, 3, 4).flatten(0, 1)
        by_stream = self._edges_by_stream(edges or {}, persons)
        fused = torch.cat(
            [
                self.get_submodule(name)(rows[:, i], by_stream.get(name, {}))
                for i, name in enumerate(self.config.branches)
            ],
            dim=1,
        )
        out = self.main(fused, by_stream.get("main", {}))
        pooled = out.mean(dim=(2, 3)).view(len(x), persons, -1).mean(dim=1)
        return self.head(self.dropout(pooled))

    def _check(self, x: Tensor) -> None:
        expected = (len(self.config.branches), 2 * self.skeleton.ndim, self.skeleton.n_joints)
        if x.ndim != 6 or (x.shape[1], x.shape[2], x.shape[4]) != expected:
            raise ValueError(
                f"Expected input (N, {expected[0]}, {expected[1]}, T, {expected[2]}, M) "
                f"(got {tuple(x.shape)})"
            )

    def _edges_by_stream(
        self, edges: Mapping[str, Tensor], persons: int
    ) -> dict[str, dict[str, Tensor]]:
        known = self.edges()
        sorted_out: dict[str, dict[str, Tensor]] = {}
        for name, edge in edges.items():
            if name not in known or edge.shape[-3:] != known[name].shape:
                raise ValueError(
                    f"Expected edges of {sorted(known)}, shaped "
                    f"{tuple(known[name].shape) if name in known else '(K, V, V)'} "
                    f"(got {name!r} {tuple(edge.shape)})"
                )
            stream, block, _ = name.split(".")
            if edge.ndim == 4 and persons > 1:
                edge = edge.repeat_interleave(persons, dim=0)
            sorted_out.setdefault(stream, {})[block] = edge
        return sorted_out

    # -- what explainers ask (explainers.adapter) -------------------------------------------------

    def layer_names(self) -> tuple[str, ...]:
        """Return the names of the layers that can be explained, in the order they run."""
        wanted = {"init", "gcn", "tcn", "attention"}
        return tuple(
            name
            for name, _ in self.named_modules()
            if name.split(".")[-1] in wanted and name.count(".") <= 2
        )

    def get_layer(self, layer: str) -> nn.Module:
        """Return the module whose output is the named layer's activation."""
        return self.get_submodule(one_of("layer", layer, self.layer_names()))

    def edges(self) -> dict[str, Tensor]:
        """Return the learnt edge importance (K, V, V) of every graph layer by name."""
        return {
            name: module.edge.detach()
            for name, module in self.named_modules()
            if isinstance(module, EdgeGraphConv)
        }

    def adjacency(self) -> dict[str, Tensor]:
        """Return the graph (K, V, V) that each edge importance weighs, by graph layer."""
        return {
            name: module.adjacency
            for name, module in self.named_modules()
            if isinstance(module, EdgeGraphConv)
        }

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation (N*M, F, T', V) as (sample, person, feature, time, joint)."""
        return activation.view(samples, -1, *activation.shape[1:])

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`."""
        return maps.flatten(0, 1)

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centre input frame of each time cell: strides are padded symmetrically."""
        return np.arange(cells, dtype=float) * self._stride(layer)

    @property
    def time_step(self) -> int:
        """Frames that the last cells lie apart: the total stride in time."""
        return self._stride(self.layer_names()[-1])

    def _stride(self, layer: str) -> int:
        stream, *block = layer.split(".")
        at = self.config.main if stream == "main" else self.config.branch
        before = 1 if stream != "main" else self.config.branch.stride**self.config.branch.blocks
        if block[0] in ("init", "stem"):
            return 1
        passed = int(block[0]) + (block[1] != "gcn")
        return before * at.stride**passed

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return (weight, bias) where logits = weight @ mean(activation) + bias, else None."""
        last = self.config.main.blocks - 1
        is_last = layer == f"main.{last}.attention"
        return matrix(self.head) if is_last else None
