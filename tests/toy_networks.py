"""Networks so small that every number about them can be worked out on paper."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hargcn.explanation import Explanation


class Line(nn.Module):
    """One graph layer "g", then logits (sum over joints of w_v y_v, 0).

    y = the mean over time of x (N, I, C, T, V, M) times E, columns collecting; E is the identity
    unless given. With it the logit is sum_v w_v mean_t(x_v).
    """

    def __init__(self, weights: list[float], edge: Tensor | None = None) -> None:
        super().__init__()
        n = len(weights)
        self.weights = nn.Parameter(torch.tensor(weights))
        self.edge = nn.Parameter(torch.eye(n)[None] if edge is None else edge)
        self.drop = nn.Dropout(0.5)

    def edges(self) -> dict[str, Tensor]:
        return {"g": self.edge}

    def forward(self, x: Tensor, edges: dict[str, Tensor] | None = None) -> Tensor:
        edge = (edges or {}).get("g", self.edge)
        y = x.sum((1, 2, 5)).mean(1)[:, None]
        y = torch.matmul(y, edge.sum(-3))[:, 0]
        logit = self.drop(y @ self.weights)
        return torch.stack([logit, torch.zeros_like(logit)], 1)


class Planted(nn.Module):
    """Class 1 exactly where joint `joint` trembles: its evidence is known by construction.

    Logits -l, l of x (N, C, T, V, M), 2 l = scale * (mean over `frames` of |x_joint| - 0.5).
    """

    def __init__(self, joint: int, frames: slice, scale: float = 8.0) -> None:
        super().__init__()
        self.joint, self.frames = joint, frames
        self.scale = nn.Parameter(torch.tensor([0.5 * scale, 1.5 * scale]))

    def forward(self, x: Tensor) -> Tensor:
        size = x[:, :, self.frames, self.joint].abs().mean((1, 2, 3))
        half = self.scale.mean() * (size - 0.5) / 2
        return torch.stack([-half, half], 1)


def planted_windows(
    n: int = 24, frames: int = 12, joints: int = 6, joint: int = 2, where: slice = slice(4, 8)
) -> tuple[Tensor, Tensor, Tensor]:
    """Return windows (n, 2, T, V, 1) that start still, labels, and the truth (n, T, V)."""
    generator = torch.Generator().manual_seed(5)
    x = 0.1 * torch.randn(n, 2, frames, joints, 1, generator=generator) + 0.01
    x[:, :, 0] = 0.01
    label = torch.arange(n) % 2
    truth = torch.zeros(n, frames, joints, dtype=torch.bool)
    truth[:, where, joint] = True
    x[label == 1] = torch.where(truth[label == 1][:, None, :, :, None], 1.0, x[label == 1])
    return x, label, truth


def three_joints() -> tuple[Line, Tensor]:
    """Return the network of the hand-computed numbers and its one window.

    Means over time (2, 1, 1): the logit is 2 * 2 + 1 - 1 = 4; frozen at the first frame it is 2.
    """
    x = torch.tensor([[1.0, 1.0, 1.0], [3.0, 1.0, 1.0]])
    return Line([2.0, 1.0, -1.0]), x[None, None, None, :, :, None]


def explained(maps: Tensor, target: int | Tensor = 0, method: str = "toy") -> Explanation:
    """Wrap maps (N, T, V), or joint scores (N, V), as an explanation."""
    n = len(maps)
    dims = ("sample", "time", "joint") if maps.ndim == 3 else ("sample", "joint")
    coords = {"time": range(maps.shape[1])} if maps.ndim == 3 else {}
    classes = torch.as_tensor(target).expand(n).clone()
    return Explanation.build(
        maps, dims, method=method, target=classes, score=torch.zeros(n), coords=coords
    )
