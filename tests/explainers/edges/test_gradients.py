"""Edges of networks whose answer needs one known edge, worked out on paper and by differences."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.families import FAMILIES, JOINTS
from fixtures.foreign_cnn import adapted_cnn, image
from fixtures.graph_networks import SOURCE, TARGET_JOINT, Chosen, one_edge, windows
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import half_trained, ours, small_model, traces
from torch import nn

from hargcn.analysis.asked import asked_name
from hargcn.explainers import Adapter, make
from hargcn.explainers.edges.graphs import ByEdges, graph_layers
from hargcn.networks.branches import PositionModel
from hargcn.networks.stgcn import StreamConfig

NAMES = ("edge-gradient", "edge-integrated-gradients", "edge-shapley")
GRAPHS = ["stgcn", "agcn", "ctrgcn", "stgcn++", "dgstgcn", "efficientgcn", "infogcn"]


def inputs(n: int = 2, persons: int = 1) -> torch.Tensor:
    return torch.randn(n, 4, 4, 12, 19, persons, generator=torch.Generator().manual_seed(0))


def spatial():
    """Branches of 5 partitions, a main stream of 2, joint attention: as the published networks."""
    return small_model(
        strategy="spatial", attention="ja",
        branch=StreamConfig(blocks=1, stride=2, window=3, hops=2),
        main=StreamConfig(blocks=2, window=3, hops=0),
    )  # fmt: skip


def flat(found) -> np.ndarray:
    """Return (sample, source, target): sums over layers and partitions."""
    return found.values.sum([d for d in found.dims if d in ("layer", "partition")]).to_numpy()


@pytest.mark.parametrize("foreign", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_one_edge_that_the_answer_needs_is_found(name, foreign):
    """z = w E[a, b] mean_t(x_a): the edge is the score, other edges are 0, and z(E = 0) = 0."""
    model, x = one_edge(foreign), windows()
    found = make(name, {})(model, x, 1)
    expected = np.zeros((len(x), 4, 4))
    score = model(x)[:, 1].detach().numpy()
    assert np.abs(score).min() > 0.1
    expected[:, SOURCE, TARGET_JOINT] = score
    if name == "edge-shapley":  # shared by the two directions of the pair
        expected = (expected + expected.transpose(0, 2, 1)) / 2
    np.testing.assert_allclose(flat(found), expected, atol=1e-5)
    np.testing.assert_allclose(found.score, score, rtol=1e-6)


@pytest.mark.parametrize("kind", ["matmul", "left", "einsum", "channels", "partitions"])
def test_products_of_every_form_say_from_where_to_where(kind):
    model, x = Chosen(kind), windows()
    found = make("edge-gradient", {})(Adapter(model, model.input_dims), x, 1)
    expected = np.zeros((len(x), 4, 4))
    expected[:, SOURCE, TARGET_JOINT] = model(x)[:, 1].detach()
    np.testing.assert_allclose(flat(found), expected, atol=1e-5)
    assert found.values.sizes["partition"] == (2 if kind == "partitions" else 1)
    assert found.dataset["layer"].to_numpy().tolist() == ["mix"]


def test_gradient_x_edge_by_finite_differences():
    model, x, step = small_model().double(), inputs(1).double(), 1e-5
    found = make("edge-gradient", {})(model, x, 1)
    assert asked_name(found) == model.classes[1]
    assert found.dims == ("sample", "layer", "partition", "source_joint", "target_joint")
    assert found.dataset["source_joint"].to_numpy().tolist() == list(model.skeleton.joints)
    edges = {name: edge.detach() for name, edge in model.edges().items()}
    assert found.dataset["layer"].to_numpy().tolist() == list(edges)
    rng = np.random.default_rng(1)
    for layer, edge in edges.items():
        own = found.values.sel(layer=layer)[0, : len(edge)].to_numpy()
        assert not found.values.sel(layer=layer)[0, len(edge) :].any()
        some = np.argwhere(own != 0)
        for k, a, b in rng.permutation(some)[:4]:
            scores = []
            for sign in (1, -1):
                moved = edge.clone()
                moved[k, a, b] *= 1 + sign * step
                with torch.no_grad():
                    scores.append(float(model(x, edges={**edges, layer: moved})[0, 1]))
            assert own[k, a, b] == pytest.approx((scores[0] - scores[1]) / (2 * step), rel=1e-5)


def test_an_edge_that_the_graph_does_not_have_has_nothing():
    model = ours()
    found = make("edge-gradient", {})(model, inputs(1), 0).values
    for layer, graph in model.adjacency().items():
        own = found.sel(layer=layer)[0, : len(graph)].to_numpy()
        assert not own[graph.numpy() == 0].any()


@pytest.mark.parametrize(("build", "persons"), [(ours, 1), (ours, 2), (spatial, 1)])
def test_integrated_gradients_add_up_to_what_edges_bring(build, persons):
    model, x = build(), inputs(2, persons)
    found = make("edge-integrated-gradients", {})(model, x, [0, 2])
    none = model(x, edges={name: torch.zeros_like(e) for name, e in model.edges().items()})
    base = none.detach().numpy()[[0, 1], [0, 2]]
    np.testing.assert_allclose(found.base_value, base, rtol=1e-5)
    total = flat(found).sum((1, 2))
    change = found.score.to_numpy() - base
    assert np.abs(change).min() > 0.01
    np.testing.assert_allclose(total, change, rtol=1e-3)
    assert float(found.relative_gap.max()) <= 1e-3
    np.testing.assert_allclose(found.additivity_gap, total - change, atol=1e-4)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_outputs_other_than_classes_add_up_too(kind):
    model, x = network(kind), inputs(1)
    found = make("edge-integrated-gradients", {})(model, x, 1)
    np.testing.assert_allclose(found.score, model(x)[:, 1].detach(), rtol=1e-5)
    np.testing.assert_allclose(
        found.values.sum(found.dims[1:]) + found.base_value, found.score, rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("key", GRAPHS)
def test_adjacency_of_foreign_networks_by_scaling_all_of_it(key):
    """d score / d a, all graphs times a, is the sum of gradient x graph."""
    at, x = FAMILIES[key].adapted().double(), FAMILIES[key].inputs().double()
    found = make("edge-gradient", {})(at, x, 1)
    assert found.values.shape[-2:] == (JOINTS, JOINTS)
    one = x[:1]
    network = ByEdges(at, graph_layers(at, one), one)
    with torch.no_grad():
        ends = [float(network(network.whole * (1 + sign * 1e-6))[0, 1]) for sign in (1, -1)]
        assert float(network(network.whole)[0, 1]) == pytest.approx(float(at(one)[0, 1]), rel=1e-9)
    total = float(found.values[0].sum())
    assert abs(total) > 1e-4
    assert total == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_attention_computes_another_graph_for_every_sample():
    at, x = FAMILIES["infogcn"].adapted(), FAMILIES["infogcn"].inputs()
    found = make("edge-gradient", {})(at, x, 1).values
    assert float(abs(found[0] - found[1]).max()) > 1e-3
    alone = make("edge-gradient", {})(at, x[1:], 1).values
    np.testing.assert_allclose(alone[0], found[1], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
def test_what_has_no_graph_is_refused_with_a_reason(name):
    with pytest.raises(ValueError, match=f"^{name}: expected an input with an axis 'joint'"):
        make(name, {})(adapted_cnn(), image(1), 0)
    at, x = FAMILIES["heatmaps"].adapted(), FAMILIES["heatmaps"].inputs()
    with pytest.raises(ValueError, match=r"multiplies its 7 joints by a graph .* \(found neither"):
        make(name, {})(at, x, 0)


def test_a_product_that_may_mix_either_is_refused():
    """As many frames as joints: either operand of x (T x V) @ E (V x V) may be the graph."""
    model = Chosen("matmul")
    with pytest.raises(ValueError, match="edge-gradient: expected products that tell the graph"):
        make("edge-gradient", {})(Adapter(model, model.input_dims), windows(frames=4), 1)


@pytest.mark.parametrize("name", NAMES)
def test_positions_and_contrasts_are_explained_and_nothing_is_left(name):
    model = half_trained(small_model())
    before = traces(model)
    small = {"edge-shapley": {"by": "joint", "orders": 4}}.get(name, {})
    positions = torch.randn(1, 2, 12, 19, 1, generator=torch.Generator().manual_seed(1))
    rather = make(name, small)(PositionModel(model), positions, 0, 2)
    each = [make(name, small)(model, model.features(positions), c).values for c in (0, 2)]
    np.testing.assert_allclose(rather.values, each[0] - each[1], atol=2e-3)
    assert rather.versus.to_numpy().tolist() == [2]
    assert traces(model) == before


def test_what_decides_by_values_is_run_mask_by_mask():
    """A network that cannot be mapped over masks gives the same."""

    class Asks(Chosen):
        def forward(self, x):
            logits = super().forward(x)
            return logits if logits[0, 1].detach().item() > -1e9 else -logits

    x = windows()
    asks, plain = (cls("einsum") for cls in (Asks, Chosen))
    found = [
        make("edge-integrated-gradients", {})(Adapter(each, each.input_dims), x, 1).values
        for each in (asks, plain)
    ]
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_an_error_names_the_sample():
    class Jumps(Chosen):
        def forward(self, x):
            return (super().forward(x) > 0.01).to(x) + 0 * super().forward(x)

    model, x = Jumps("einsum"), windows()
    x[0] = 0  # whose score is 0 with edges and without
    explainer = make("edge-integrated-gradients", {"max_steps": 64})
    with pytest.raises(ValueError, match="^sample 1: expected integrated gradients that add"):
        explainer(Adapter(model, model.input_dims), x, 1)


def test_layers_of_other_joints_are_refused():
    class Other(nn.Module):
        input_dims = ("sample", "channel", "time", "joint")

        def edges(self):
            return {"g": torch.ones(1, 5, 5)}

        def forward(self, x, edges=None):
            return x.mean((1, 2)) + (0 if edges is None else edges["g"].sum())

    with pytest.raises(ValueError, match=r"layer 'g': expected edges of 4 joints.*\(1, 5, 5\)"):
        make("edge-gradient", {})(Other(), windows(), 1)


@pytest.mark.parametrize("name", ["edge-gradient", "edge-integrated-gradients"])
def test_one_class_rather_than_another_is_the_difference_of_both(name):
    model, x = small_model(classes=3), inputs()
    one, other = torch.tensor([0, 1]), torch.tensor([1, 2])
    found = make(name, {})(model, x, one, other)
    single = [make(name, {})(model, x, each).values.to_numpy() for each in (one, other)]
    size = np.abs(single).max()
    np.testing.assert_allclose(found.values, single[0] - single[1], atol=1e-5 * size)
    assert found.versus.to_numpy().tolist() == [1, 2]
    assert np.abs(found.values - single[0]).max() > 0.1 * size
