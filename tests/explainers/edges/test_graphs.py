"""A network as a function of its edges: told or watched, masked, mapped over masks or not."""

from __future__ import annotations

import pytest
import torch
from fixtures.graph_networks import SOURCE, TARGET_JOINT, Chosen, Told, one_edge, windows
from torch import nn

from hargcn.explainers import Adapter, make
from hargcn.explainers.edges.graphs import ByEdges, graph_layers


def by_edges(model: nn.Module, x: torch.Tensor) -> ByEdges:
    return ByEdges(model, graph_layers(model, x), x)


def masks(count: int, network: ByEdges) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.rand(count, *network.layers.present.shape, generator=generator)


class Counted(Chosen):
    """Counts its passes, and may do something in each."""

    def __init__(self, act=lambda _passes, _logits: None):
        super().__init__("einsum")
        self.act, self.passes = act, 0

    def forward(self, x):
        self.passes += 1
        logits = super().forward(x)
        self.act(self.passes, logits)
        return logits


class TwoLayers(nn.Module):
    """Logit sum_t (1, 2, 3, 4) (x A_0 / 4 + 3 x A_1 / 4) B: two partitions, then one."""

    input_dims = ("sample", "channel", "time", "joint")

    def __init__(self) -> None:
        super().__init__()
        self.first = Chosen("partitions").mix
        self.second = Chosen("left").mix
        nn.init.constant_(self.second.graph, 0.5)
        with torch.no_grad():
            self.second.graph[3, 0] = 0

    def forward(self, x):
        y = self.second(self.first(x)).mean((1, 2))
        return y @ torch.tensor([[0.0, 1], [0, 2], [0, 3], [0, 4]])


def test_a_network_that_tells_its_edges_and_one_that_is_watched_agree():
    """Told has a second partition of zeros: masks of the first are those of the watched one."""
    told, watched = (by_edges(one_edge(foreign), windows(1)) for foreign in (False, True))
    some = masks(3, told)
    assert (told.layers.names, watched.layers.names) == (("mix",), ("mix",))
    assert (told.layers.partitions, watched.layers.partitions) == ((2,), (1,))
    with torch.no_grad():
        found = [told(some), watched(some[:, :, :1])]
    torch.testing.assert_close(found[0], found[1])
    assert len({round(float(each), 5) for each in found[0][:, 1]}) == 3


@pytest.mark.parametrize("foreign", [False, True])
def test_a_mask_is_a_weight_and_0_a_cut_edge(foreign):
    model, x = one_edge(foreign), windows(1)
    network = by_edges(model, x)
    cut, half, other = (network.whole.clone() for _ in range(3))
    cut[..., SOURCE, TARGET_JOINT], half[..., SOURCE, TARGET_JOINT] = 0, 0.5
    other[..., TARGET_JOINT, SOURCE] = 0  # the other direction is another edge
    with torch.no_grad():
        score = float(model(x)[0, 1])
        found = network(torch.cat([network.whole, cut, half, other]))[:, 1]
    assert abs(score) > 0.1
    torch.testing.assert_close(found, torch.tensor([score, 0, score / 2, score]))


def test_layers_of_fewer_partitions_are_padded_with_what_means_nothing():
    model, x = TwoLayers(), windows(1)
    network = by_edges(model, x)
    layers = network.layers
    assert (layers.names, layers.partitions) == (("first", "second"), (2, 1))
    assert layers.present.shape == (2, 2, 4, 4)
    assert layers.present[1, 0].sum() == 15
    assert not layers.present[1, 0, 3, 0]
    assert not layers.present[1, 1].any()
    some = masks(1, network)
    with torch.no_grad():
        graphs = [model.first.graph * each for each in some[0, 0]]
        y = torch.einsum("nctv,vw->nctw", x, graphs[0] / 4 + graphs[1] * 3 / 4)
        y = torch.einsum("nctv,vw->nctw", y, model.second.graph * some[0, 1, 0])
        expected = float(y.mean((1, 2))[0] @ torch.tensor([1.0, 2, 3, 4]))
        assert float(network(some)[0, 1]) == pytest.approx(expected, rel=1e-5)
        some[0, 1, 1] = 7
        assert float(network(some)[0, 1]) == pytest.approx(expected, rel=1e-5)


def test_pairs_are_joints_with_an_edge_in_either_direction():
    assert graph_layers(one_edge(True), windows(1)).pairs == [(0, 2), (1, 1), (1, 3)]


def test_masks_are_run_together_where_a_network_can_be_mapped():
    model = Counted()
    network = by_edges(model, windows(1))
    model.passes = 0
    network(masks(5, network))
    assert model.passes == 1


def test_a_network_that_cannot_be_mapped_is_tried_once():
    """It was tried again, and failed half-way, in every one of thousands of calls."""
    model, plain = Counted(lambda _passes, logits: logits[0, 1].item()), Counted()
    network, mapped = (by_edges(each, windows(1)) for each in (model, plain))
    some = masks(3, network)
    model.passes = 0
    first, second = network(some), network(some)
    assert model.passes == 1 + 3 + 3
    torch.testing.assert_close(first, mapped(some))
    torch.testing.assert_close(second, first)


def test_one_mask_is_one_pass_of_any_network():
    model = Counted(lambda _passes, logits: logits[0, 1].item())
    network = by_edges(model, windows(1))
    model.passes = 0
    network(network.whole)
    assert model.passes == 1


@pytest.mark.parametrize(
    ("error", "passes"), [(RuntimeError, 2), (torch.OutOfMemoryError, 1), (ValueError, 1)]
)
def test_an_error_of_the_network_is_its_own(error, passes):
    """What is wrong with every mask is not hidden; want of memory is not met by going on."""

    def fail(number, _logits):
        if number > 1:  # the first pass finds the graphs
            raise error("of the network")

    model = Counted(fail)
    network = by_edges(model, windows(1))
    with pytest.raises(error, match="of the network"):
        network(masks(3, network))
    assert model.passes == 1 + passes


def test_other_products_than_those_that_were_found_are_refused():
    class Twice(Chosen):
        more = False

        def forward(self, x):
            return super().forward(self.mix(x) if self.more else x)

    model = Twice("einsum")
    network = by_edges(model, windows(1))
    model.more = True
    with pytest.raises(ValueError, match=r"expected the same products in every pass \(layer 'mix'"):
        network(network.whole)


@pytest.mark.parametrize("foreign", [False, True])
def test_a_network_that_works_in_place_alters_no_sample(foreign):
    """The caller's samples were altered by one mask, and several were an error."""
    base = Chosen if foreign else Told

    class InPlace(base):
        def forward(self, x, *args, **kwargs):
            x -= 0.5
            return super().forward(x, *args, **kwargs)

    model, x = (InPlace("einsum") if foreign else InPlace()), windows()
    before = x.clone()
    score = model(x.clone())[:, 1].detach().numpy()
    for name in ("edge-gradient", "edge-integrated-gradients"):
        found = make(name, {})(model, x, 1)
        assert torch.equal(x, before)
        assert found.values.sum(found.dims[1:]).to_numpy() == pytest.approx(score, abs=1e-5)


def test_an_adapter_is_watched_by_the_names_of_its_network():
    model = Chosen("einsum")
    layers = graph_layers(Adapter(model, model.input_dims), windows(1))
    assert layers.names == ("mix",)
    assert layers.joints == ("0", "1", "2", "3")
