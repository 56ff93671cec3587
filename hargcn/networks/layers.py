"""Building blocks: graph convolution with edge importance, and what surrounds it in a block.

All maps are (row, channel, time, joint), where a row is one person of one sample.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "silu": nn.SiLU,
    "hardswish": nn.Hardswish,
}


_NARROW = 16


class NarrowPointwise(nn.Conv2d):
    """1x1 convolution of every `stride`-th frame, which takes the frames first.

    With a stride torch's own writes beyond its memory, in the backward pass of fewer than 16
    channels that lie channels last (torch 2.13, oneDNN on AVX-512). Wider ones keep theirs: sums in
    another order would give other trained weights, by rounding.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.every = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C', T / stride, V)."""
        return super().forward(x[:, :, :: self.every])

    def extra_repr(self) -> str:
        """Say what a printed network shows of it."""
        return f"{super().extra_repr()}, every={self.every}"


def pointwise(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """1x1 convolution and batch norm."""
    narrow = stride > 1 and min(inputs, outputs) < _NARROW
    conv = NarrowPointwise(inputs, outputs, stride) if narrow else None
    return nn.Sequential(
        conv or nn.Conv2d(inputs, outputs, 1, stride=(stride, 1)), nn.BatchNorm2d(outputs)
    )


def depthwise(channels: int, window: int, stride: int = 1) -> nn.Sequential:
    """Temporal convolution per channel and batch norm."""
    return nn.Sequential(
        temporal_conv(channels, channels, window, stride, groups=channels),
        nn.BatchNorm2d(channels),
    )


def temporal_conv(
    inputs: int, outputs: int, window: int, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """Convolution over `window` frames (odd); cell i is centred on frame i * stride."""
    return nn.Conv2d(inputs, outputs, (window, 1), (stride, 1), (window // 2, 0), groups=groups)


def shortcut(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return the identity, or 1x1 convolution + batch norm where channels or stride change."""
    if inputs == outputs and stride == 1:
        return nn.Identity()
    return pointwise(inputs, outputs, stride)


class InputNorm(nn.Module):
    """Batch norm of a branch over its channels, or over every channel of every joint."""

    def __init__(self, channels: int, joints: int, per_joint: bool) -> None:
        super().__init__()
        self.per_joint = per_joint
        self.bn: nn.Module
        self.bn = nn.BatchNorm1d(channels * joints) if per_joint else nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (R, C, T, V)."""
        if not self.per_joint:
            return self.bn(x)
        rows, channels, frames, joints = x.shape
        flat = x.transpose(2, 3).reshape(rows, channels * joints, frames)
        return self.bn(flat).view(rows, channels, joints, frames).transpose(2, 3)


class EdgeGraphConv(nn.Module):
    """Graph convolution whose adjacency A is weighted by a learnable edge importance E.

    y = act(bn(sum_k W_k x (A_k * E_k))) + shortcut(x) (Yan et al. 2018, ST-GCN, section 3.3; edge
    importance: section 3.4; Tempel et al. 2024, section 3.3).

    Parameters
    ----------
    inputs, outputs
        Channels.
    adjacency
        (K, V, V) partitions; row = source joint, column = target joint.
    activation
        Name of the activation.
    """

    adjacency: Tensor

    def __init__(self, inputs: int, outputs: int, adjacency: Tensor, activation: str) -> None:
        super().__init__()
        self.register_buffer("adjacency", adjacency.clone())
        self.edge = nn.Parameter(torch.ones_like(adjacency))
        self.conv = nn.Conv2d(inputs, outputs * len(adjacency), 1)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = ACTIVATIONS[activation]()
        self.residual = shortcut(inputs, outputs)
        self.graph_first = inputs < outputs

    def forward(self, x: Tensor, edge: Tensor | None = None) -> Tensor:
        """Map (R, C, T, V) to (R, C', T, V).

        Parameters
        ----------
        x
            Input maps.
        edge
            (K, V, V) or (R, K, V, V) used instead of the learnt edge importance.
        """
        graph = self.adjacency * (self.edge if edge is None else edge)
        # Channels last: the graph product is then one small matrix times every frame as it lies.
        x = x.contiguous(memory_format=torch.channels_last)
        z = self._spread_then_mix(x, graph) if self.graph_first else self._mix_then_spread(x, graph)
        return self.act(self.bn(z)) + self.residual(x)

    def _mix_then_spread(self, x: Tensor, graph: Tensor) -> Tensor:
        """Sum over source joints and partitions at once."""
        mixed = self.conv(x).permute(0, 2, 3, 1).unflatten(-1, (graph.shape[-3], -1)).flatten(2, 3)
        spread = graph.transpose(-1, -3).flatten(-2)  # (target, source * partition)
        return _at_every_frame(spread, mixed).permute(0, 3, 1, 2)

    def _spread_then_mix(self, x: Tensor, graph: Tensor) -> Tensor:
        """Do the same with the graph product where there are fewer channels."""
        parts, joints = graph.shape[-3:-1]
        assert self.conv.bias is not None
        weight = self.conv.weight.view(parts, -1, x.shape[1]).transpose(0, 1).flatten(1)
        # The convolution's bias spreads over the graph too.
        bias = graph.sum(dim=-2).transpose(-1, -2) @ self.conv.bias.view(parts, -1)
        spread = graph.movedim(-1, -3).flatten(-3, -2)  # (target * partition, source)
        cells = _at_every_frame(spread, x.permute(0, 2, 3, 1))
        mixed = nn.functional.linear(cells.unflatten(2, (joints, parts)).flatten(3), weight)
        return (mixed + (bias if bias.ndim == 2 else bias.unsqueeze(1))).permute(0, 3, 1, 2)


def _at_every_frame(matrix: Tensor, cells: Tensor) -> Tensor:
    """Multiply cells (R, T, b, C) by a matrix (a, b), or by one for each row (R, a, b)."""
    if matrix.ndim == 2:
        return torch.matmul(matrix, cells)
    # Row by row: one product of all would first copy each row's matrix to every frame.
    return torch.stack([torch.matmul(*row) for row in zip(matrix, cells, strict=True)])


class Basic(nn.Module):
    """act(bn(conv(x))) + shortcut(x), one full temporal convolution."""

    def __init__(self, channels: int, window: int, stride: int, activation: str, **_: Any) -> None:
        super().__init__()
        self.conv = temporal_conv(channels, channels, window, stride)
        self.bn = nn.BatchNorm2d(channels)
        self.act = ACTIVATIONS[activation]()
        self.residual = shortcut(channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V)."""
        return self.act(self.bn(self.conv(x))) + self.residual(x)


class Bottleneck(nn.Module):
    """Reduce the channels, convolve over time, expand again; activation after the shortcut."""

    def __init__(
        self,
        channels: int,
        window: int,
        stride: int,
        activation: str,
        reduce: float = 2,
        **_: Any,
    ) -> None:
        super().__init__()
        inner = int(channels / reduce)
        self.reduce = pointwise(channels, inner)
        self.act1 = ACTIVATIONS[activation]()
        self.conv = nn.Sequential(
            temporal_conv(inner, inner, window, stride), nn.BatchNorm2d(inner)
        )
        self.act2 = ACTIVATIONS[activation]()
        self.expand = pointwise(inner, channels)
        self.residual = shortcut(channels, channels, stride)
        self.act3 = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V)."""
        y = self.act2(self.conv(self.act1(self.reduce(x))))
        return self.act3(self.expand(y) + self.residual(x))


class Separable(nn.Module):
    """Expanded separable convolution (EfficientGCN: "EpSep", "Sep")."""

    def __init__(
        self,
        channels: int,
        window: int,
        stride: int,
        activation: str,
        expand: float = 2,
        **_: Any,
    ) -> None:
        super().__init__()
        inner = int(channels * expand) or channels
        self.expand = pointwise(channels, inner) if expand else nn.Identity()
        self.act1 = ACTIVATIONS[activation]() if expand else nn.Identity()
        self.depth = depthwise(inner, window, stride)
        self.act2 = ACTIVATIONS[activation]()
        self.point = pointwise(inner, channels)
        self.residual = shortcut(channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V)."""
        y = self.act2(self.depth(self.act1(self.expand(x))))
        return self.point(y) + self.residual(x)


class Sandglass(nn.Module):
    """Depthwise at full width around a narrow waist (EfficientGCN: "SG")."""

    def __init__(
        self,
        channels: int,
        window: int,
        stride: int,
        activation: str,
        reduce: float = 2,
        **_: Any,
    ) -> None:
        super().__init__()
        inner = int(channels / reduce)
        self.depth1 = depthwise(channels, window)
        self.act1 = ACTIVATIONS[activation]()
        self.point1 = pointwise(channels, inner)
        self.point2 = pointwise(inner, channels)
        self.act2 = ACTIVATIONS[activation]()
        self.depth2 = depthwise(channels, window, stride)
        self.residual = shortcut(channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V)."""
        y = self.act2(self.point2(self.point1(self.act1(self.depth1(x)))))
        return self.depth2(y) + self.residual(x)


class InvertedResidual(nn.Module):
    """MobileNet-V3 block: expand, depthwise, squeeze-excite, project ("V3").

    With `squeeze="replace"`, as in the published networks, the squeezed vector replaces the map;
    with "multiply" it gates the map through a sigmoid (Hu et al. 2018).
    """

    def __init__(
        self,
        channels: int,
        window: int,
        stride: int,
        activation: str,
        expand: float = 2,
        squeeze: str = "multiply",
        **_: Any,
    ) -> None:
        super().__init__()
        inner = int(channels * expand)
        self.expand = pointwise(channels, inner)
        self.act1 = ACTIVATIONS[activation]()
        self.depth = depthwise(inner, window, stride)
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inner, inner // 4, 1, bias=False),
            nn.BatchNorm2d(inner // 4),
            nn.ReLU(),
            nn.Conv2d(inner // 4, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU() if squeeze == "replace" else nn.Sigmoid(),
        )
        self.replace = squeeze == "replace"
        self.point = pointwise(inner, channels)
        self.act2 = ACTIVATIONS[activation]()
        self.residual = shortcut(channels, channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V)."""
        y = self.depth(self.act1(self.expand(x)))
        y = self.squeeze(y) if self.replace else y * self.squeeze(y)
        return self.act2(self.point(y)) + self.residual(x)


class Shuffle(nn.Module):
    """Pointwise, channel shuffle, depthwise, pointwise (ShuffleNet)."""

    def __init__(
        self,
        channels: int,
        window: int,
        stride: int,
        activation: str,
        reduce: float = 2,
        **_: Any,
    ) -> None:
        super().__init__()
        inner = int(channels / reduce)
        self.point = pointwise(channels, inner)
        self.depth = depthwise(inner, window, stride)
        self.expand = pointwise(inner, channels)
        self.residual = shortcut(channels, channels, stride)
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to (R, C, ceil(T / stride), V).

        The published shuffle uses as many groups as channels, which leaves their order as it is.
        """
        return self.act(self.expand(self.depth(self.point(x))) + self.residual(x))


TEMPORAL: dict[str, Callable[..., nn.Module]] = {
    "basic": Basic,
    "bottleneck": Bottleneck,
    "separable": Separable,
    "sandglass": Sandglass,
    "inverted": InvertedResidual,
    "shuffle": Shuffle,
}
