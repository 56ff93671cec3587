"""Networks that know nothing of hargcn, and the few lines that let them be explained."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import hargcn
from hargcn.tap import Adapter


class PlainCNN(nn.Module):
    """A small image network as torchvision writes them: ReLU in place, a pool, a linear head."""

    def __init__(self, classes: int = 4, width: int = 6) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(2 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.drop(self.pool(self.features(x)).flatten(1)))


class GraphBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.gcn = nn.Conv2d(inputs, 2 * outputs, 1)
        self.tcn = nn.Sequential(
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, (3, 1), (stride, 1), (1, 0)),
            nn.BatchNorm2d(outputs),
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor, graph: Tensor) -> Tensor:
        rows, _, frames, joints = x.shape
        x = self.gcn(x).view(rows, 2, -1, frames, joints)
        return self.relu(self.tcn(torch.einsum("rkctv,kvw->rctw", x, graph).contiguous()))


class PlainSTGCN(nn.Module):
    """Yan et al. 2018 in small: (N, C, T, V, M), persons folded into the rows, no branches."""

    def __init__(self, joints: int, classes: int = 3) -> None:
        super().__init__()
        near = torch.diag(torch.ones(joints - 1), 1)
        self.register_buffer("graph", torch.stack([torch.eye(joints), near + near.T]))
        self.data_bn = nn.BatchNorm1d(3 * joints)
        self.blocks = nn.ModuleList([GraphBlock(3, 5), GraphBlock(5, 6, stride=2)])
        self.fcn = nn.Conv2d(6, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, frames, joints, persons = x.shape
        x = x.permute(0, 4, 3, 1, 2).reshape(n * persons, joints * channels, frames)
        x = self.data_bn(x).view(n * persons, joints, channels, frames).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x, self.graph)
        x = x.mean(dim=(2, 3)).view(n, persons, -1, 1, 1).mean(dim=1)
        return self.fcn(x).flatten(1)


def alive(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give a network parameters and statistics that are not trivial."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=generator)
            elif value.is_floating_point() and "graph" not in name:
                scale = 1 if value.ndim < 2 else value[0].numel() ** -0.5
                value.normal_(0.1, scale, generator=generator)
    return model.eval()


def adapted_cnn(seed: int = 0) -> Adapter:
    """Explain an image network: rows stand for time, columns for joints."""
    net = alive(PlainCNN(), seed)

    def head(layer: str) -> tuple[Tensor, Tensor] | None:
        last = layer in ("features", "features.6")
        return (net.fc.weight.detach(), net.fc.bias.detach()) if last else None

    return Adapter(net, linear_head=head)


def adapted_stgcn(seed: int = 0, skeleton: str = "inmotion19") -> Adapter:
    """Explain a skeleton network of another house: name its axes, and what lies in its rows."""
    layout = hargcn.skeleton(skeleton)
    net = alive(PlainSTGCN(layout.n_joints), seed)

    def head(layer: str) -> tuple[Tensor, Tensor] | None:
        if layer != "blocks.1":
            return None
        return net.fcn.weight.detach().flatten(1), net.fcn.bias.detach()

    return Adapter(
        net,
        input_dims=("sample", "channel", "time", "joint", "person"),
        linear_head=head,
        skeleton=layout,
    )


def image(n: int = 3, size: tuple[int, int] = (8, 6), seed: int = 1) -> Tensor:
    return torch.randn(n, 3, *size, generator=torch.Generator().manual_seed(seed))


def clips(n: int = 2, persons: int = 2, frames: int = 10, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 3, frames, 19, persons, generator=generator)


def branches(n: int = 2, persons: int = 2, frames: int = 12, seed: int = 1) -> Tensor:
    """Return input for `conftest.small_model()`: (N, I, C, T, V, M)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, 4, 4, frames, 19, persons, generator=generator)
