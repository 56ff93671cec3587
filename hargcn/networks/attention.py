"""Attention gates: which joints, frames, channels or body parts a block lets through."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from hargcn.networks.layers import ACTIVATIONS


def _squeeze(inputs: int, inner: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inner, 1),
        nn.BatchNorm2d(inner),
        nn.ReLU(),
        nn.Conv2d(inner, outputs, 1),
    )


class JointGate(nn.Module):
    """Softmax weight of each joint from its mean activation, (R, 1, 1, V)."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.net = _squeeze(joints, joints // 2, joints)

    def forward(self, x: Tensor) -> Tensor:
        """Weights of maps (R, C, T, V)."""
        per_joint = x.mean(dim=(1, 2))[:, :, None, None]
        return torch.softmax(self.net(per_joint), dim=1).transpose(1, 3)


class FrameGate(nn.Module):
    """Weight of each frame from its mean and maximum, (R, 1, T, 1).

    The published gate has no bound; `bounded` passes it through a sigmoid.
    """

    def __init__(self, bounded: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, (9, 1), padding=(4, 0))
        self.bound = nn.Sigmoid() if bounded else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Weights of maps (R, C, T, V)."""
        mean = x.mean(dim=(1, 3))
        peak = x.amax(dim=(1, 3))
        return self.bound(self.conv(torch.stack([mean, peak], dim=1).unsqueeze(-1)))


class ChannelGate(nn.Module):
    """Sigmoid weight of each channel from its mean, (R, C, 1, 1) (Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.net = _squeeze(channels, channels // 4, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Weights of maps (R, C, T, V)."""
        return torch.sigmoid(self.net(x.mean(dim=(2, 3), keepdim=True)))


class PartGate(nn.Module):
    """Softmax weight of each body part per channel, (R, C, 1, V) (Song et al. 2020, PA-ResGCN)."""

    part_of: Tensor

    def __init__(self, channels: int, inner: int, part_of: Sequence[int]) -> None:
        super().__init__()
        self.parts = max(part_of) + 1
        self.net = _squeeze(channels, inner, channels * self.parts)
        self.register_buffer("part_of", torch.as_tensor(part_of), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Weights of maps (R, C, T, V)."""
        weights = self.net(x.mean(dim=(2, 3), keepdim=True))
        weights = torch.softmax(weights.view(len(x), -1, 1, self.parts), dim=-1)
        return weights.index_select(-1, self.part_of)


class SpatioTemporalJointGate(nn.Module):
    """Product of a frame gate and a joint gate per channel, (R, C, T, V) (ST-JointAtt)."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, inner, 1), nn.BatchNorm2d(inner), nn.Hardswish()
        )
        self.time = nn.Conv2d(inner, channels, 1)
        self.joint = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Weights of maps (R, C, T, V)."""
        frames, joints = x.shape[2:]
        over_joints = x.mean(dim=3, keepdim=True)
        over_time = x.mean(dim=2, keepdim=True).transpose(2, 3)
        cells = self.squeeze(torch.cat([over_joints, over_time], dim=2))
        time, joint = cells.split([frames, joints], dim=2)
        return torch.sigmoid(self.time(time)) * torch.sigmoid(self.joint(joint.transpose(2, 3)))


class Attention(nn.Module):
    """act(bn(x * gate(x))) + x."""

    def __init__(self, gate: nn.Module, channels: int, activation: str) -> None:
        super().__init__()
        self.gate = gate
        self.bn = nn.BatchNorm2d(channels)
        self.act = ACTIVATIONS[activation]()

    def forward(self, x: Tensor) -> Tensor:
        """Map (R, C, T, V) to the same shape."""
        return self.act(self.bn(x * self.gate(x))) + x


def attention(
    kind: str,
    channels: int,
    activation: str,
    part_of: Sequence[int],
    reduce: float = 2,
    bounded: bool = True,
) -> nn.Module:
    """Build an attention layer.

    Parameters
    ----------
    kind
        "ja" joint, "fa" frame, "ca" channel, "pa" part, "stja" spatio-temporal joint, "none".
    channels, activation
        Of the maps that pass through.
    part_of
        The body part of each joint.
    reduce
        Channels are divided by it inside part and spatio-temporal attention.
    bounded
        Whether the frame gate ends in a sigmoid.
    """
    inner = max(int(channels / reduce), 1)
    gates: dict[str, Callable[[], nn.Module]] = {
        "ja": lambda: JointGate(len(part_of)),
        "fa": lambda: FrameGate(bounded),
        "ca": lambda: ChannelGate(channels),
        "pa": lambda: PartGate(channels, inner, part_of),
        "stja": lambda: SpatioTemporalJointGate(channels, inner),
    }
    if kind == "none":
        return nn.Identity()
    return Attention(gates[kind](), channels, activation)
