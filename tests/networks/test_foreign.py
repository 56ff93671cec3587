from __future__ import annotations

import pytest
import torch
from fixtures.small_model import small_model
from torch import Tensor, nn

import hargcn
from hargcn.explainers import Adapter, DeepSHAP, GradCAM
from hargcn.networks.branches import POSITION_DIMS, PositionModel, branches
from hargcn.networks.foreign import ForeignNetwork

COCO = hargcn.skeleton("coco17")
SHAPE = (2, 12, 17, 2)
CLASSES = ("sit", "stand", "wave")


class Stream(nn.Module):
    """(sample, channel, time, joint, person), or with other axes put into this order first."""

    def __init__(self, channels: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, (3, 1), padding=(1, 0))
        self.act = nn.ReLU()
        self.pooled = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.permute(0, 4, 1, 2, 3).flatten(0, 1)
        maps = self.act(self.act(self.conv(rows)))
        return self.head(self.pooled(maps).view(len(x), -1, 4).mean(1))


class Ordered(nn.Module):
    def __init__(self, order: tuple[int, ...], channels: int = 2) -> None:
        super().__init__()
        self.order, self.stream = order, Stream(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.stream(x.permute(self.order))


def positions(generator, persons: int = 2) -> Tensor:
    return torch.randn(3, *SHAPE[:3], persons, generator=generator)


def test_positions_come_in_the_order_asked_for(generator):
    x, network = positions(generator), Ordered((0, 4, 2, 3, 1))
    dims = ("sample", "person", "time", "joint", "channel")
    foreign = ForeignNetwork(network, COCO, CLASSES, SHAPE, input_dims=dims)
    made = foreign.features(x)
    assert made.shape == (3, 2, 12, 17, 2)
    assert made.is_contiguous()
    torch.testing.assert_close(foreign(made), network.stream(x))
    assert foreign.input_dims == dims
    assert foreign.axis_names["channel"] == ["x", "y"]
    torch.testing.assert_close(PositionModel(foreign)(x), network.stream(x))


def test_who_is_absent_is_zero(generator):
    x, foreign = positions(generator), ForeignNetwork(Stream(), COCO, CLASSES, SHAPE)
    valid = torch.ones(3, 12, 2, dtype=torch.bool)
    valid[1, 4:, 1] = False
    made = foreign.features(x, valid)
    assert (made[1, :, 4:, :, 1] == 0).all()
    assert torch.equal(made[:, :, :4], x[:, :, :4])


def test_one_person_needs_no_axis(generator):
    dims = ("sample", "time", "joint", "channel")

    class Three(Stream):
        def forward(self, x):
            return super().forward(x.permute(0, 3, 1, 2)[..., None])

    foreign = ForeignNetwork(Three(), COCO, CLASSES, (*SHAPE[:3], 1), input_dims=dims)
    assert foreign.features(positions(generator, 1)).shape == (3, 12, 17, 2)
    with pytest.raises(ValueError, match=r"Expected windows of one person.*\(got 2\)"):
        foreign.features(positions(generator))


def test_our_branches_where_they_are_asked_for(generator):
    class TwoStream(nn.Module):
        def __init__(self):
            super().__init__()
            self.j, self.b = Stream(4), Stream(4)

        def forward(self, x):
            return self.j(x[:, 0]) + self.b(x[:, 1])

    x = positions(generator)
    foreign = ForeignNetwork(TwoStream(), COCO, CLASSES, SHAPE, branches=("J", "B"))
    assert torch.equal(foreign.features(x), branches(x, COCO, ("J", "B")))
    found = DeepSHAP(foreign.features(x))(foreign, foreign.features(x), 0)
    assert found.dims == ("sample", "branch", "channel", "time", "joint", "person")
    assert list(found.values["branch"].to_numpy()) == ["J", "B"]
    assert found.values["channel_name"].sel(branch="B").to_numpy().tolist()[0] == "bone x"
    assert foreign.layer_names() == ("j.conv", "b.conv")


def test_layers_are_what_runs_once_with_maps_of_the_joints():
    """Not the activation that runs twice, nor what is pooled, nor the head."""
    foreign = ForeignNetwork(Stream(), COCO, CLASSES, SHAPE)
    assert foreign.layer_names() == ("conv",)
    with pytest.raises(ValueError, match=r"Expected layer of conv \(got 'head'\)"):
        foreign.get_layer("head")


def test_layers_come_in_the_order_they_run():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(4, 3)
            self.last = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
            self.first = nn.Conv2d(2, 4, 1)

        def forward(self, x):
            maps = self.last(self.first(x.permute(0, 4, 1, 2, 3).flatten(0, 1)))
            return self.head(maps.mean((2, 3)).view(len(x), -1, 4).mean(1))

    foreign = ForeignNetwork(Backwards(), COCO, CLASSES, SHAPE)
    assert foreign.layer_names() == ("first", "last.0", "last.1", "last")


def test_an_adapter_says_what_it_knows(generator):
    """Channels last: only its `unfold` says where the maps are."""

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.mix, self.head = nn.Linear(2, 4), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.mix(x.permute(0, 4, 2, 3, 1)).relu().mean((1, 2, 3)))

    network = Last().eval()
    assert ForeignNetwork(network, COCO, CLASSES, SHAPE).layer_names() == ()
    adapter = Adapter(
        network,
        POSITION_DIMS,
        unfold=lambda a, _: a.permute(0, 1, 4, 2, 3),
        fold=lambda m: m.permute(0, 1, 3, 4, 2),
        axis_names={"channel": ["right", "up"]},
    )
    foreign = ForeignNetwork(adapter, COCO, CLASSES, SHAPE)
    assert foreign.layer_names() == ("mix",)
    assert foreign.axis_names["channel"] == ["right", "up"]
    x = positions(generator)
    mine, theirs = (GradCAM("mix")(each, x, 1) for each in (foreign, adapter))
    assert (mine.values.to_numpy() == theirs.values.to_numpy()).all()
    assert list(mine.values["joint"].to_numpy()) == list(COCO.joints)
    with pytest.raises(ValueError, match="as the network says of itself"):
        ForeignNetwork(adapter, COCO, CLASSES, SHAPE, input_dims=POSITION_DIMS[::-1])


def test_a_network_that_answers_for_itself_is_believed(generator):
    """One of ours, as somebody's: it makes its branches, names its layers and their frames."""
    ours, x = small_model("coco17"), positions(generator)
    foreign = ForeignNetwork(ours, COCO, CLASSES, SHAPE)
    ready = foreign.features(x)
    assert torch.equal(ready, ours.features(x))
    assert foreign.layer_names() == ours.layer_names()
    mine, theirs = (GradCAM("main.0.tcn")(each, ready, 2) for each in (foreign, ours))
    assert (mine.values.to_numpy() == theirs.values.to_numpy()).all()
    assert (mine.values["time"].to_numpy() == theirs.values["time"].to_numpy()).all()
    assert foreign.axis_names == ours.axis_names
    assert foreign.edges() == {}


class Speeds(Adapter):
    def features(self, positions, valid=None):
        return positions.diff(dim=2) if valid is None else positions.diff(dim=2) * 0


def test_an_adapter_may_make_the_input(generator):
    adapter = Speeds(Stream(), POSITION_DIMS, axis_names={"channel": ["vx", "vy"]})
    foreign, x = ForeignNetwork(adapter, COCO, CLASSES, SHAPE), positions(generator)
    assert torch.equal(foreign.features(x), x.diff(dim=2))
    assert foreign.axis_names["channel"] == ["vx", "vy"]
    assert foreign.layer_names() == ("conv",)


def test_a_submodule_is_no_method(generator):
    class Named(Stream):
        def __init__(self):
            super().__init__()
            self.features, self.inputs = nn.Identity(), nn.Identity()

    x = positions(generator)
    assert torch.equal(ForeignNetwork(Named(), COCO, CLASSES, SHAPE).features(x), x)


def test_numbers_come_in_the_networks_type(generator):
    foreign = ForeignNetwork(Stream().double(), COCO, CLASSES, SHAPE)
    assert foreign(foreign.features(positions(generator))).dtype == torch.float64


def test_a_network_without_weights_is_one(generator):
    class Fixed(nn.Module):
        def forward(self, x):
            return x.mean((1, 2, 3, 4))[:, None] * torch.tensor([1.0, 2.0, 3.0])

    foreign = ForeignNetwork(Fixed(), COCO, CLASSES, SHAPE)
    assert foreign(foreign.features(positions(generator))).shape == (3, 3)
    assert foreign.layer_names() == ()


def test_nothing_is_left_behind():
    network = Stream().train()
    foreign = ForeignNetwork(network, COCO, CLASSES, SHAPE)
    assert not foreign.training
    assert not any(m._forward_hooks for m in network.modules())
    assert all(p.requires_grad for p in network.parameters())


class Handing(nn.Module):
    """Hands a graph on beside its maps, takes a flag, and returns its loss first."""

    def __init__(self) -> None:
        super().__init__()
        self.stream, self.block = Stream(), Beside()

    def forward(self, x: Tensor, size: Tensor, test: bool = False) -> tuple[Tensor, Tensor]:
        if not test:
            raise RuntimeError("no labels")
        rows, _ = self.block(self.stream.conv((x * size).permute(0, 4, 1, 2, 3).flatten(0, 1)))
        logits = self.stream.head(rows.mean((2, 3)).view(len(x), -1, 4).mean(1))
        return logits.mean(), logits


class Beside(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.tanh(), torch.eye(3)


def test_what_an_adapter_says_of_packing_holds(generator):
    """Outputs, arguments and layers that return several tensors; a row per sample is refused."""
    x, net = positions(generator), Handing()
    at = Adapter(net, POSITION_DIMS, output=1, args=[torch.tensor(2.0)], kwargs={"test": True})
    foreign = ForeignNetwork(at, COCO, CLASSES, SHAPE)
    assert foreign.layer_names() == ("stream.conv", "block[0]")
    found = GradCAM("block[0]")(foreign, x, 1)
    assert found.values.sizes["joint"] == 17
    assert found.values.equals(GradCAM("block[0]")(foreign.adapter, x, 1).values)
    at.arguments[0] = torch.arange(3.0).view(3, 1, 1, 1, 1)
    with pytest.raises(ValueError, match="one per sample, in 0"):
        GradCAM("block[0]")(foreign, x, 1)
    with pytest.raises(
        ValueError, match=r"Expected an input \(sample, channel, time, joint, person"
    ):
        DeepSHAP(x[..., 0])(foreign, x[..., 0], 1)
