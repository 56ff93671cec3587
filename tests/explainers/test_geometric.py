"""Explanations, skeletons and networks in PyG: its explainers and measures see our edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.families import FAMILIES
from fixtures.graph_networks import SOURCE, TARGET_JOINT, one_edge, windows
from fixtures.small_model import ours, traces
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks
from torch_geometric.explain.metric import fidelity, unfaithfulness

from hargcn.explainers import Saliency, make
from hargcn.explainers.geometric import MessagePassingView, skeleton_graph
from hargcn.explanation import Explanation
from hargcn.skeleton import skeleton

EDGES = {
    "explanation_type": "model",
    "edge_mask_type": "object",
    "model_config": {
        "mode": "multiclass_classification", "task_level": "graph", "return_type": "raw",
    },
}  # fmt: skip


def inputs(n: int = 1) -> torch.Tensor:
    return torch.randn(n, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(0))


def masked(view, x, mask):
    """Return the outputs under a mask that PyG sets."""
    set_masks(view, mask, view.edge_index, apply_sigmoid=False)
    with torch.no_grad():
        out = view(view.nodes(x), view.edge_index)
    clear_masks(view)
    return out


NETWORKS = {
    "ours": (ours, inputs),
    "agcn": (FAMILIES["agcn"].adapted, lambda: FAMILIES["agcn"].inputs()[:1]),
    "ctrgcn": (FAMILIES["ctrgcn"].adapted, lambda: FAMILIES["ctrgcn"].inputs()[:1]),
}


@pytest.mark.parametrize("key", NETWORKS)
def test_a_mask_of_ones_is_the_network_and_one_of_zeros_is_another(key):
    model, x = (make() for make in NETWORKS[key])
    view = MessagePassingView(model, x)
    with torch.no_grad():
        expected = model(x)
        plainly = view(view.nodes(x), view.edge_index)
    ones, zeros = (
        masked(view, x, fill(view.edge_index.shape[1])) for fill in (torch.ones, torch.zeros)
    )
    torch.testing.assert_close(plainly, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(ones, expected, rtol=1e-5, atol=1e-6)
    assert float((zeros - expected).abs().max()) > 1e-3


def test_a_mask_multiplies_edge_importances():
    model, x = ours(), inputs()
    view = MessagePassingView(model, x)
    mask = torch.rand(view.edge_index.shape[1], generator=torch.Generator().manual_seed(1))
    whole = torch.zeros(19, 19)
    whole[tuple(view.edge_index)] = mask
    with torch.no_grad():
        expected = model(x, edges={name: e * whole for name, e in model.edges().items()})
    torch.testing.assert_close(masked(view, x, mask), expected, rtol=1e-5, atol=1e-6)
    # an edge that is not there is cut
    some = mask > 0.5
    with torch.no_grad():
        fewer = view(view.nodes(x), view.edge_index[:, some])
    torch.testing.assert_close(fewer, masked(view, x, some.float()))


@pytest.mark.parametrize("foreign", [False, True])
def test_pygs_explainer_finds_the_edge_that_the_answer_needs(foreign):
    model, x = one_edge(foreign), windows(1)
    before = traces(model)
    view = MessagePassingView(model, x)
    torch.manual_seed(0)
    explainer = Explainer(view, GNNExplainer(epochs=60, lr=0.1), **EDGES)
    found = explainer(view.nodes(x), view.edge_index)
    a, b = found.edge_index[:, found.edge_mask.argmax()].tolist()
    assert (a, b) == (SOURCE, TARGET_JOINT)
    assert traces(model) == before
    assert found.prediction.detach().allclose(model(x).detach(), atol=1e-6)


def test_pygs_measures_judge_our_edges():
    """With the one edge alone the answer stays, without it it does not; of another the reverse."""
    model, x = one_edge(True), windows(1)
    view = MessagePassingView(model, x)
    explainer = Explainer(view, GNNExplainer(epochs=1), **EDGES)
    found = make("edge-gradient", {})(model, x, 1).to_pyg(0, view.nodes(x))
    assert found.validate()
    top = found.threshold("topk_hard", 1)
    assert fidelity(explainer, top) == (1.0, 0.0)
    assert unfaithfulness(explainer, top) == pytest.approx(0, abs=1e-6)
    other = top.clone()
    other.edge_mask = 1 - top.edge_mask
    assert fidelity(explainer, other) == (0.0, 1.0)
    assert unfaithfulness(explainer, other) > 0.05


def test_edges_of_a_sample_are_sums_over_graphs():
    model, x = ours(), inputs(2)
    made = make("edge-gradient", {})(model, x, [0, 1])
    found = made.to_pyg(1)
    sums = made.values[1].sum(["layer", "partition"]).to_numpy()
    np.testing.assert_allclose(found.edge_mask, sums[tuple(found.edge_index.numpy())], rtol=1e-6)
    assert float(found.edge_mask.sum()) == pytest.approx(float(made.values[1].sum()), rel=1e-4)
    assert found.target.tolist() == [1]
    graph = model.adjacency()["main.0.gcn"].any(0)
    assert {tuple(e) for e in found.edge_index.T.tolist()} <= {
        tuple(e) for e in graph.nonzero().tolist()
    }
    assert "x" not in found


def test_joints_of_a_sample_with_features_of_the_network_or_their_sums_on_positions():
    model, x = ours(), inputs(2)
    made = Saliency(signed=True)(model, x, 1)
    view = MessagePassingView(model, x)
    found = made.to_pyg("1", view.nodes(x[1:]))
    assert found.validate()
    assert found.node_mask.shape == found.x.shape == (19, 4 * 4 * 12)
    values = made.values[1].transpose("joint", ...).to_numpy().reshape(19, -1)
    np.testing.assert_array_equal(found.node_mask, values)
    assert found.edge_index.shape == (2, 2 * 18)
    positions = np.random.default_rng(0).normal(size=(2, 2, 12, 19, 1))
    positions[1, :, 3] = np.nan
    dims = ("sample", "space", "frame", "joint", "person")
    stored = made.assign({"positions": (dims, positions)})
    found = stored.to_pyg(1)
    assert found.validate()
    assert found.x.shape == (19, 2 * 12)
    assert found.x[4, 12 + 3] == 0
    assert found.x[4, 12 + 2] == pytest.approx(positions[1, 1, 2, 4, 0])
    np.testing.assert_allclose(found.node_mask[:, 0], values.sum(1), rtol=1e-5)


def test_what_has_no_joints_is_refused():
    made = Explanation.build(
        np.ones((1, 4)), ("sample", "time"), method="m", target=[0], score=[0.0]
    )
    with pytest.raises(ValueError, match=r"'m': expected joints or edges of a skeleton for PyG"):
        made.to_pyg(0)
    for unknown in ("nobody", 1):
        with pytest.raises(ValueError, match=f"one of its 1 samples, such as '0' .got {unknown!r}"):
            made.to_pyg(unknown)


def test_a_skeleton_is_a_graph():
    layout = skeleton("ntu25")
    found = skeleton_graph(layout)
    assert found.validate()
    assert (found.num_nodes, found.num_edges) == (25, 48)
    assert found.is_undirected()
    assert found.joints == list(layout.joints)
    pairs = {tuple(edge) for edge in found.edge_index.T.tolist()}
    assert pairs == {*layout.edges} | {(b, a) for a, b in layout.edges}
    arm = next(number for number, part in enumerate(found.parts) if "left_arm" in part)
    assert int(found.part[layout.index("left_wrist")]) == arm
