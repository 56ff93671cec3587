"""Where time cells lie: convolutions, pools and our own network, against paper."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.small_model import small_model
from torch import Tensor, nn

from hargcn.explainers import Adapter, GradCAM
from hargcn.explainers.cells import cell_frames, time_step
from hargcn.networks.stgcn import StreamConfig

DIMS = ("sample", "channel", "time", "joint")


class Head(nn.Module):
    """A layer, and something behind it."""

    def __init__(self, *layer: nn.Module) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.layer, self.head = nn.Sequential(*layer), nn.LazyLinear(3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, 3, T, 5) to (n, 3)."""
        return self.head(self.layer(x).mean((2, 3)))


def conv(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> nn.Module:
    return nn.LazyConv2d(6, (kernel, 1), (stride, 1), (padding, 0), (dilation, 1))


@pytest.mark.parametrize(
    ("layers", "first", "step"),
    [
        ([conv(9, 4, 4)], 0, 4),
        ([conv(5, 4)], 2, 4),
        ([conv(4, 2)], 1.5, 2),
        ([conv(3, 1, 0, 3)], 3, 1),
        ([conv(5, 2, 2, 1), nn.BatchNorm2d(6), nn.ReLU(), conv(3, 2, 1)], 0, 4),
        ([nn.AvgPool2d((4, 1))], 1.5, 4),
        ([nn.MaxPool2d((2, 1)), conv(3, 1, 1)], 0.5, 2),
        ([conv(5, 1, 2)], 0, 1),
        ([conv(1)], 0, 1),
    ],
)  # fmt: skip
def test_a_cell_lies_at_its_kernels_centre(layers, first, step):
    model = Head(*layers)
    x = torch.randn(2, 3, 48, 5, generator=torch.Generator().manual_seed(0))
    model(x)
    made = GradCAM("layer")(Adapter(model, DIMS), x, 1)
    cells = made.values.sizes["time"]
    np.testing.assert_array_equal(made.values["time"], first + step * np.arange(cells))


class Gated(nn.Module):
    """Temporal convolutions under a gate of everything, as squeeze and excitation has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.LazyConv2d(6, (5, 1), (2, 1), (2, 0)), nn.LazyLinear(6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).relu()
        return x * (0.1 * self.gate(x.mean((2, 3)))).sigmoid()[:, :, None, None]


@pytest.mark.parametrize(
    ("layer", "first", "step"),
    [
        (nn.MaxPool2d((3, 1), (2, 1), (1, 0)), 0, 2),
        (nn.Sequential(conv(3, 1, 1), nn.MaxPool2d((5, 1), (3, 1), (2, 0))), 0, 3),
        (nn.Sequential(nn.MaxPool2d((3, 1), (1, 1), (1, 0)), conv(3, 2, 1)), 0, 2),
        (Gated(), 0, 2),
        (nn.AdaptiveAvgPool2d((7, 5)), None, None),
    ],
)  # fmt: skip
def test_neither_the_chance_of_a_maximum_nor_a_gate_moves_a_cell(layer, first, step):
    """Which frame wins is chance, and what all cells see alike has no place."""
    model = Head(layer)
    x = torch.randn(2, 3, 24, 5, generator=torch.Generator().manual_seed(0))
    model(x)
    made = GradCAM("layer")(Adapter(model, DIMS), x, 1)
    cells = made.values.sizes["time"]
    if step is None:
        first, step = (24 / 7 - 1) / 2, 24 / 7  # a pool of unequal windows: equal stretches
    expected = first + step * np.arange(cells)
    np.testing.assert_allclose(made.values["time"], expected, rtol=1e-12)


def test_whoever_knows_says_it():
    model = Head(conv(9, 4, 4))
    x = torch.randn(2, 3, 48, 5)
    model(x)
    adapter = Adapter(model, DIMS, cell_frames=lambda _layer, cells, _frames: np.arange(cells) + 7)
    np.testing.assert_array_equal(GradCAM("layer")(adapter, x, 1).values["time"], np.arange(12) + 7)


def test_cells_that_see_everything_alike_are_equal_stretches():
    class Everywhere(nn.Module):
        def forward(self, x):
            return x.mean(2, keepdim=True).expand(-1, -1, 12, -1)

    model = Head(Everywhere())
    x = torch.randn(2, 3, 48, 5)
    model(x)
    found = GradCAM("layer")(Adapter(model, DIMS), x, 1).values["time"]
    np.testing.assert_array_equal(found, np.arange(12) * 4 + 1.5)


@pytest.mark.parametrize("attention", ["ca", "stja", "none"])
def test_our_networks_say_what_is_measured(attention):
    model = small_model("coco17", attention=attention)
    x = torch.randn(1, 4, 4, 48, 17, 1, generator=torch.Generator().manual_seed(0))
    measured = Adapter(model, model.input_dims, unfold=lambda a, n: model.unfold("", a, n))
    for layer, cells in {"J.stem.gcn": 48, "J.0.tcn": 24, "main.1.tcn": 24}.items():
        np.testing.assert_array_equal(
            cell_frames(measured, layer, cells, x), model.cell_frames(layer, cells, 48)
        )


def test_it_is_measured_once():
    model = Head(conv(3, 2, 1))
    x = torch.randn(2, 3, 48, 5)
    model(x)
    GradCAM("layer")(Adapter(model, DIMS), x, 1)
    passes = []
    model.register_forward_hook(lambda *_: passes.append(1))
    GradCAM("layer")(Adapter(model, DIMS), x, 1)
    assert len(passes) == 1


@pytest.mark.parametrize(
    ("layers", "step"),
    [
        ([conv(5, 2, 2), conv(5, 3, 2)], 6),
        ([conv(5, 1, 2), conv(9, 1, 4)], 1),
        ([conv(9, 4, 4), nn.AdaptiveAvgPool2d((1, 1))], 4),
    ],
)
def test_the_step_of_a_network_is_that_of_its_coarsest_cells(layers, step):
    model = Head(*layers)
    x = torch.randn(2, 3, 48, 5)
    model(x)
    names = [f"layer.{i}" for i in range(len(layers))]
    assert time_step(Adapter(model, DIMS), x, names) == step


def test_the_step_is_unknown_where_nobody_can_say_and_given_where_somebody_does():
    model = Head(nn.AdaptiveAvgPool2d((7, 5)))
    x = torch.randn(2, 3, 24, 5)
    model(x)
    assert time_step(Adapter(model, DIMS), x, ["layer"]) is None
    assert time_step(Adapter(model, DIMS), x, []) is None
    assert time_step(Adapter(model, ("sample", "channel", "y", "joint")), x, ["layer"]) is None
    pooled = Head(nn.AdaptiveAvgPool2d(1))
    pooled(x)
    assert time_step(Adapter(pooled, DIMS), x, ["layer"]) is None
    assert time_step(Adapter(model, DIMS, strides=3), x, ["layer"]) == 3
    assert time_step(Adapter(model, DIMS, strides=2.5), x, ["layer"]) is None
    model.time_step = 12
    assert time_step(Adapter(model, DIMS), x, ["layer"]) == 12


def test_our_networks_step_is_what_is_measured():
    model = small_model(
        branch=StreamConfig(blocks=2, depth=1, stride=3, window=3),
        main=StreamConfig(blocks=1, stride=2, window=3),
    )
    assert model.time_step == 18
    x = torch.randn(1, 4, 4, 90, 19, 1, generator=torch.Generator().manual_seed(0))
    assert time_step(model, x, model.layer_names()) == 18
    silent = small_model()
    assert silent.time_step == 2
    measured = Adapter(
        Silent(silent), silent.input_dims, unfold=lambda a, n: silent.unfold("", a, n)
    )
    assert time_step(measured, x, [f"inner.{name}" for name in ("J.0.tcn", "main.1.tcn")]) == 2


class Silent(nn.Module):
    """A network that says nothing of itself."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)
