from __future__ import annotations

import pytest
import torch
from fixtures.small_model import small_model
from pydantic import ValidationError

from hargcn.networks.attention import Attention
from hargcn.networks.layers import TEMPORAL
from hargcn.networks.stgcn import ModelConfig, StreamConfig
from hargcn.skeleton import partitions


def window(model, samples=2, frames=16, persons=1, seed=0):
    channels = model.skeleton.ndim
    size = (samples, channels, frames, model.skeleton.n_joints, persons)
    return model.features(torch.randn(size, generator=torch.Generator().manual_seed(seed)))


@pytest.mark.parametrize("attention", ["ja", "fa", "ca", "pa", "stja", "none"])
@pytest.mark.parametrize("temporal", sorted(TEMPORAL))
def test_every_combination_runs_on_two_persons(attention, temporal):
    model = small_model("ntu25", attention=attention, temporal=temporal, main_temporal=temporal)
    assert model(window(model, persons=2)).shape == (2, 3)
    kinds = {type(model.get_layer(n)) for n in model.layer_names() if n.endswith("attention")}
    assert kinds == ({torch.nn.Identity} if attention == "none" else {Attention})


@pytest.mark.parametrize("normalised", ["columns", "symmetric"])
def test_graphs_are_normalised_as_the_card_says(normalised):
    """Equation 6 of Tempel et al. 2024 is symmetric; their code divides by columns."""
    model = small_model(normalised=normalised)
    for name, found in model.adjacency().items():
        expected = partitions(model.skeleton, len(found) - 1, normalised=normalised)
        torch.testing.assert_close(found, torch.from_numpy(expected), msg=name)
    assert symmetric(model.adjacency()) == (normalised == "symmetric")


def symmetric(graphs):
    return all(torch.allclose(graph, graph.mT) for graph in graphs.values())


def test_persons_are_averaged():
    """The head is linear: two persons have the mean of the logits of each alone."""
    model = small_model(attention="none")
    x = window(model, persons=2)
    alone = [model(x[..., i : i + 1]) for i in range(2)]
    torch.testing.assert_close(model(x), (alone[0] + alone[1]) / 2)
    assert float((alone[0] - alone[1]).detach().abs().max()) > 1e-3


@pytest.mark.parametrize("branches", [("J",), ("V", "B"), ("J", "V", "B", "A")])
def test_any_subset_of_branches(branches):
    model = small_model(branches=branches)
    x = window(model)
    assert x.shape[1] == len(branches)
    assert model(x).shape == (2, 3)
    assert {name.split(".")[0] for name in model.layer_names()} == {*branches, "main"}


def test_layer_names_are_stable():
    model = small_model(branches=("J", "V"))
    blocks = ["0.gcn", "0.tcn", "0.attention"]
    branch = ["init", "stem.gcn", "stem.tcn", *blocks]
    expected = [f"{b}.{layer}" for b in "JV" for layer in branch]
    expected += [f"main.{i}.{kind}" for i in (0, 1) for kind in ("gcn", "tcn", "attention")]
    assert list(model.layer_names()) == expected
    with pytest.raises(ValueError, match=r"Expected layer of J\.init"):
        model.get_layer("J.5.tcn")


def test_edges_with_a_sample_axis_equal_one_sample_at_a_time():
    model = small_model("ntu25")
    x = window(model, samples=3, persons=2)
    edges = {
        name: edge * torch.rand(3, *edge.shape, generator=torch.Generator().manual_seed(i))
        for i, (name, edge) in enumerate(model.edges().items())
    }
    before = {name: value.clone() for name, value in model.state_dict().items()}
    together = model(x, edges)
    for i in range(3):
        alone = model(x[i : i + 1], {name: edge[i] for name, edge in edges.items()})
        torch.testing.assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(together, model(x))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    torch.testing.assert_close(model(x, model.edges()), model(x))


def test_persons_may_change_places():
    model = small_model("ntu25")
    x = window(model, persons=2)
    torch.testing.assert_close(model(x.flip(-1)), model(x))


def test_unfold_puts_each_cell_where_it_belongs():
    model = small_model("ntu25", branch=StreamConfig(blocks=2, stride=2, window=3))
    x = window(model, samples=3, frames=16, persons=2)
    seen = {}
    for name in ("J.stem.tcn", "J.1.tcn", "main.1.attention"):
        model.get_layer(name).register_forward_hook(
            lambda _m, _i, out, name=name: seen.__setitem__(name, out)
        )
    model(x)
    for name, cells in (("J.stem.tcn", 16), ("J.1.tcn", 4), ("main.1.attention", 4)):
        maps = model.unfold(name, seen[name], 3)
        assert maps.shape[:2] == (3, 2)
        assert maps.shape[3:] == (cells, 25)
        torch.testing.assert_close(model.fold(name, maps), seen[name])
        step = 16 // cells
        assert model.cell_frames(name, cells, 16).tolist() == list(range(0, 16, step))
    # A sample's persons come from that sample.
    maps = model.unfold("J.1.tcn", seen["J.1.tcn"], 3)
    model(x[1:2])
    torch.testing.assert_close(seen["J.1.tcn"], maps[1], rtol=1e-4, atol=1e-5)


def test_the_last_layers_head_is_linear():
    model = small_model()
    seen = []
    model.get_layer("main.1.attention").register_forward_hook(lambda _m, _i, out: seen.append(out))
    logits = model(window(model))
    weight, bias = model.linear_head("main.1.attention")
    torch.testing.assert_close(seen[0].mean(dim=(2, 3)) @ weight.T + bias, logits)
    assert model.linear_head("main.0.attention") is None


def test_wrong_input_is_refused():
    model = small_model()
    with pytest.raises(ValueError, match=r"Expected input \(N, 4, 4, T, 19, M\)"):
        model(torch.zeros(1, 4, 4, 8, 20, 1))
    with pytest.raises(ValueError, match="Expected edges of"):
        model(window(model), {"main.0.gcn": torch.zeros(2, 5, 5)})


def test_settings_are_checked():
    with pytest.raises(ValidationError, match="odd window"):
        StreamConfig(window=4)
    with pytest.raises(ValidationError, match="at least one branch"):
        ModelConfig(branches=())
    with pytest.raises(ValidationError, match="extra"):
        ModelConfig(widht=3)
