"""Networks written by strangers: what an explainer of any torch module has to cope with."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Expression(nn.Module):
    """A formula as a module."""

    def __init__(self, formula: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.formula = formula

    def forward(self, x: Tensor) -> Tensor:
        """Map whatever the formula takes."""
        return self.formula(x)


class Functional(nn.Module):
    """Functional calls, one module used twice, activations and sums in place, a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.act = nn.ReLU(inplace=True)
        self.gate = nn.Linear(6, 6)
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, 6, 5) to (n, 4)."""
        x = self.act(self.norm(self.first(x)))
        shortcut = x
        x = self.act(self.again(x))
        x = F.leaky_relu_(self.again(x), 0.2)
        x += shortcut
        x *= torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        x = F.max_pool2d(F.hardswish(x), 2)
        return self.head(F.adaptive_max_pool2d(x, 1).flatten(1))


class SelfAttention(nn.Module):
    """A transformer: fused attention, layer norm, GELU, sequence first, a masked token."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 2, 12, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.cross = nn.MultiheadAttention(width, 2)
        self.head = nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 5, 8) to (n, 3)."""
        mask = nn.Transformer.generate_square_subsequent_mask(x.shape[1])
        x = self.encoder(x, mask=mask.to(x), is_causal=True).transpose(0, 1)
        padded = torch.zeros(x.shape[1], x.shape[0], dtype=torch.bool)
        padded[:, -1] = True
        y, weights = self.cross(x, x, x, key_padding_mask=padded)
        x = x.transpose(0, 1)
        y = y.transpose(0, 1) + F.scaled_dot_product_attention(x, x, x)
        return F.log_softmax(
            self.head(F.normalize(y.mean(1), dim=-1) * weights.amax((1, 2))[:, None]), 1
        )


class Folded(nn.Module):
    """Persons folded into the batch with the person in front, pooled by their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(3, 5, 3, padding=1)
        self.norm = nn.GroupNorm(1, 5)
        self.mix = nn.Linear(5, 5)
        self.head = nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, 7, persons) to (n, 2)."""
        n, channels, frames, persons = x.shape
        x = x.permute(3, 0, 1, 2).reshape(persons * n, channels, frames)
        x = F.silu(self.norm(self.conv(x)))
        graph = torch.softmax(x.transpose(1, 2) @ x / 3, dim=-1)
        x = torch.einsum("rct,rts->rcs", x, graph).mean(-1)
        x = torch.tanh(self.mix(x)).view(persons, n, -1)
        return self.head(x.max(0).values - 0.3 * x.std(0, unbiased=False))


class Geometry(nn.Module):
    """Angles, lengths and speeds of points: quotients, roots, arc functions, an output in place."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 2, 6, 4) to (n, 3)."""
        bones = x[..., 1:] - x[..., :-1]
        length = bones.norm(dim=1).clamp(min=1e-6)
        cosine = (bones[..., 1:] * bones[..., :-1]).sum(1) / (length[..., 1:] * length[..., :-1])
        angle = torch.arccos(cosine.clamp(-0.999, 0.999))
        turn = torch.atan2(bones[:, 1], bones[:, 0])
        out = torch.zeros(len(x), 3, dtype=x.dtype)
        out[:, 0] = angle.mean((1, 2))
        out[:, 1] = turn.pow(2).mean((1, 2)).sqrt()
        out[:, 2] = (torch.diff(x, dim=2) ** 2).sum(1).sqrt().amax((1, 2)) / length.mean((1, 2))
        return out


FOREIGN: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "functional": (Functional, (3, 6, 5)),
    "self-attention": (SelfAttention, (5, 8)),
    "folded": (Folded, (3, 7, 2)),
    "geometry": (Geometry, (2, 6, 4)),
}


def foreign(name: str, seed: int = 0) -> tuple[nn.Module, tuple[int, ...]]:
    """Build one with live statistics, in training mode as it may arrive, and its input shape."""
    cls, shape = FOREIGN[name]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cls()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
    return model, shape
