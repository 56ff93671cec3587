"""Edges as what measures disturb: cut one by one, in networks that tell them and in others."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from fixtures.graph_networks import SOURCE, Chosen, Mix, Told, one_edge, windows
from fixtures.small_model import small_model
from fixtures.toy_networks import Line, explained, three_joints
from torch import nn

from hargcn.analysis.ranking import Ranking
from hargcn.explainers import Adapter, make
from hargcn.explainers.edges.graphs import ByEdges, graph_layers
from hargcn.explanation import Explanation
from hargcn.metrics.curves import perturbation_curves
from hargcn.metrics.faithfulness import gap_curve, infidelity, pgi, pgu, sensitivity_n
from hargcn.metrics.runner import Runner
from hargcn.metrics.units import Units
from hargcn.perturbation import EdgeEdit, InputEdit
from hargcn.skeleton import skeleton

CUT = EdgeEdit("single", "zero")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def of_edges(model, x, target=1, method="edge-gradient"):
    return make(method, {})(model, x, target)


class AllTold(Told):
    """Tells 2 x 16 weights, and needs the edges to every joint."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.edge.data = 0.3 * torch.randn(self.edge.shape, generator=generator)

    def forward(self, x, edges=None):
        graph = (self.edge if edges is None else edges["mix"]).sum(-3)
        y = torch.matmul(x.mean((1, 2))[:, None], graph)[:, 0]
        return torch.stack([y[:, 0] * y[:, 1], y[:, 2] - y[:, 3] ** 2], 1)


class AllWatched(Chosen):
    """Tells nothing, and needs each of its three edges."""

    def forward(self, x):
        y = self.mix(x).mean((1, 2))
        return torch.stack([y[:, 0] * y[:, 1], y[:, 3] - y[:, 1]], 1)


class Attentive(nn.Module):
    """A graph that is computed from the sample, then one that is learned."""

    input_dims = Chosen.input_dims

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(2)
        self.head = nn.Parameter(torch.randn(4, 3, generator=generator))
        self.second = Mix("einsum", torch.randn(4, 4, generator=generator))

    def forward(self, x):
        mean = x.mean(1)
        graph = torch.softmax(torch.einsum("ntv,ntw->nvw", mean, mean), 1)
        y = torch.einsum("ntv,nvw->ntw", mean, graph).tanh()
        return self.second(y[:, None]).mean((1, 2)) @ self.head


@pytest.mark.parametrize("foreign", [False, True])
def test_cutting_the_edge_that_the_answer_needs_leaves_nothing(foreign):
    """Without it both logits are 0; any other edge may go. Of U edges a random one is it in 1/U."""
    model, x = one_edge(foreign), windows(4)
    each = of_edges(model, x)
    p = sigmoid(model(x)[:, 1].detach().numpy())
    edges = 3 if foreign else 16  # who tells no adjacency joins all pairs
    found = gap_curve(model, x, each, CUT)
    assert found.shape == (4, edges + 1)
    np.testing.assert_allclose(found[:, 1:], np.tile(p - 0.5, (edges, 1)).T, atol=1e-6)
    assert not found[:, 0].any()
    others = gap_curve(model, x, each, CUT, complement=True)
    assert np.abs(others[:, 1:]).max() < 1e-6
    np.testing.assert_allclose(pgi(model, x, each, CUT), (p - 0.5) * (1 - 0.5 / edges), atol=1e-6)
    np.testing.assert_allclose(pgu(model, x, each, CUT), (p - 0.5) * 0.5 / edges, atol=1e-6)

    curves = perturbation_curves(
        model, x, {"edges": each}, CUT, labels=[1] * 4, top=2, random=200
    ).dataset
    accuracy = curves["accuracy"].sel(explanation="edges")
    assert accuracy.sel(set="important").to_numpy().tolist() == [1, 0, 0]  # of equal logits the 0th
    assert accuracy.sel(set="unimportant").to_numpy().tolist() == [1, 1, 1]
    chance = curves["accuracy"].sel(explanation="random", set="important")
    np.testing.assert_allclose(chance, 1 - np.arange(3) / edges, atol=0.06)
    assert curves.attrs["units"] == "edges"


@pytest.mark.parametrize("kind", [AllTold, AllWatched, Attentive])
def test_curves_are_loops_over_single_windows_and_cuts(kind):
    model, x = (kind() if kind is not AllWatched else kind("channels")), windows(3)
    each = of_edges(model, x, torch.tensor([0, 1, 0]))
    curves = perturbation_curves(
        model, x, {"edges": each}, CUT, top=2, random=1, run=Runner(batch=5)
    ).dataset
    summed = each.values.sum(["layer", "partition"]).to_numpy()
    target = each.target.to_numpy()
    for i in range(3):
        one, layers = x[i : i + 1], graph_layers(model, x[i : i + 1])
        network = ByEdges(model, layers, one)
        there = np.argwhere(layers.present.any(0).any(0).numpy())
        scores = summed[i][tuple(there.T)]
        order = np.argsort(-scores)
        ends = np.sort(scores)[[0, 1, 2, -3, -2, -1]]  # nothing ties with the two at either end
        assert len({*ends.tolist()}) >= min(len(scores), 5)
        for k, name in product(range(3), curves["set"].to_numpy()):
            chosen = {
                "important": order[:k], "unimportant": order[len(order) - k :],
                "complement": order[k:],
            }[str(name)]  # fmt: skip
            mask = network.whole.clone()
            for a, b in there[chosen]:
                mask[..., a, b] = 0
            with torch.no_grad():
                p = float(network(mask).softmax(1)[0, target[i]])
            got = curves["sample_score"].sel(explanation="edges", set=name, k=k)[i]
            assert float(got) == pytest.approx(p, abs=1e-6)
    assert float(curves["sample_gap"].sel(explanation="edges", k=2, set="important").min()) > 1e-3


def test_our_network_is_cut_at_its_own_edges_whatever_it_is_given():
    """On positions, for which features are made; as if its edge importances were 0 there."""
    model = small_model("inmotion19", branches=("V",), classes=2)
    positions = torch.randn(2, 2, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    run = Runner(model.features, skeleton=model.skeleton)
    x = model.features(positions)
    each = of_edges(model, x, 1)
    curves = perturbation_curves(model, positions, {"e": each}, CUT, top=4, random=1, run=run)
    weighed = sum((g != 0).any(0) for g in model.adjacency().values()) > 0
    units = Units.of(model, positions, [each], CUT, run)
    assert len(units) == int(weighed.sum()) < 19 * 19
    for i in range(2):
        order = np.argsort(-units.scores(each)[i])
        for k in range(5):
            edges = {name: e.detach().clone() for name, e in model.edges().items()}
            for a, b in units.edges[order[:k]]:
                for e in edges.values():
                    e[:, a, b] = 0
            with torch.no_grad():
                p = model(x[i : i + 1], edges=edges).softmax(1)[0, 1]
            got = curves.dataset["sample_score"].sel(explanation="e", set="important", k=k)[i]
            assert float(got) == pytest.approx(float(p), abs=1e-6)
    assert float(curves.dataset["sample_gap"].sel(explanation="e", k=4).max()) > 1e-4


def test_exact_attributions_to_edges_predict_every_effect():
    """Of a small score that is linear in its edges, E ds/dE is the whole story."""
    model = Line([0.02, 0.01, -0.03])
    model.input_dims = ("sample", "branch", "channel", "time", "joint", "person")
    generator = torch.Generator().manual_seed(1)
    model.edge.data = torch.randn(2, 3, 3, generator=generator)
    x = torch.rand(5, 1, 1, 6, 3, 1, generator=generator)
    each = of_edges(model, x, 0)
    np.testing.assert_allclose(sensitivity_n(model, x, each, CUT), 1, atol=1e-3)
    np.testing.assert_allclose(infidelity(model, x, each, CUT), 0, atol=1e-3)


def test_edges_of_a_told_network_are_weakened_too():
    """0.8 of a range of 2.3 falls by 0.1 x 2.3: the logit is 2 x 0.57 m instead of 2 x 0.8 m."""
    model, x = Told(), windows(2)
    found = gap_curve(model, x, of_edges(model, x), EdgeEdit("single", "towards", 0.1), top=1)
    mean = x[..., SOURCE].mean((1, 2)).numpy()
    expected = sigmoid(1.6 * mean) - sigmoid(2 * 0.57 * mean)
    np.testing.assert_allclose(found[:, 1], expected, atol=1e-6)


def test_a_network_in_an_adapter_is_cut_like_the_network():
    model, x = Told(), windows(2)
    wrapped = Adapter(model, model.input_dims)
    found = gap_curve(wrapped, x, of_edges(model, x), CUT, top=3)
    np.testing.assert_allclose(found, gap_curve(model, x, of_edges(model, x), CUT, top=3))
    assert found[:, 1].min() > 0.1


def test_the_network_and_its_input_stay_as_they_were():
    for foreign in (False, True):
        model, x = one_edge(foreign), windows(2)
        each, before = of_edges(model, x), {k: v.clone() for k, v in model.state_dict().items()}
        hooks, given = [len(m._forward_pre_hooks) for m in model.modules()], x.clone()
        gap_curve(model, x, each, CUT)
        assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
        assert [len(m._forward_pre_hooks) for m in model.modules()] == hooks
        assert torch.equal(x, given)


def test_what_does_not_fit_is_refused_in_a_line():
    model, x = Told(), windows(2)
    each = of_edges(model, x)
    with pytest.raises(
        ValueError, match=r"edit of single edges, such as edge:single:zero, .*'edge-gradient' "
        r"\(got edge:self:away:0.35\)"
    ):  # fmt: skip
        gap_curve(model, x, each, EdgeEdit())
    with pytest.raises(ValueError, match=r"single edges, .* \(got input:freeze\)"):
        gap_curve(model, x, each, InputEdit("freeze"))
    line, three = three_joints()
    joints = explained(torch.tensor([[3.0, 2.0, 1.0]]))
    with pytest.raises(
        ValueError, match=r"explanation of edges for edge:single:zero \(got 'toy' over sample, "
    ):
        pgi(line, three, joints, CUT)
    with pytest.raises(ValueError, match=r"explanations of edges alone, or of joints alone"):
        perturbation_curves(model, x, {"a": each, "b": joints}, CUT, top=1)
    with pytest.raises(ValueError, match=r"of 2 samples and 4 joints, as x has \(got 1 and 4 from"):
        gap_curve(model, x, each.isel(sample=[0]), CUT)
    with pytest.raises(ValueError, match=r"top from 1 to 16 edges \(got 17\)"):
        perturbation_curves(model, x, {"a": each}, CUT, top=17)
    with pytest.raises(
        ValueError, match=r"one segment of explanations of edges, which .*\(got 2\)"
    ):
        perturbation_curves(model, x, {"a": each}, CUT, top=1, segments=2)
    watched = one_edge(True)
    with pytest.raises(
        ValueError, match=r"edge:single:zero for a network that tells no edge .*0.5"
    ):
        gap_curve(watched, x, of_edges(watched, x), EdgeEdit("single", "away", 0.5))


def test_units_of_joints_are_what_they_were():
    model, x = three_joints()
    each = explained(torch.tensor([[3.0, 2.0, 1.0]]))
    units = Units.of(model, x, [each], EdgeEdit(), Runner())
    assert (len(units), units.name, units.edges) == (3, "joints", None)
    chosen = np.array([[[True, False, True]]])
    assert units.sets(chosen) is chosen
    np.testing.assert_array_equal(units.scores(each), [[3, 2, 1]])


def body(values):
    """Return an explanation (sample, time, joint) that knows its skeleton, one window or more."""
    layout = skeleton("inmotion19")
    return Explanation.build(
        np.asarray(values, float), ("sample", "time", "joint"), method="toy", skeleton=layout,
        target=[0] * len(values), score=[0.0] * len(values), coords={"joint": list(layout.joints)},
    )  # fmt: skip


def test_body_parts_are_ranked_by_their_sums_and_disturbed_whole():
    layout = skeleton("inmotion19")
    values = np.random.default_rng(0).normal(size=(2, 4, 19))
    each = body(values)
    x = torch.ones(2, 1, 2, 4, 19, 1)
    units = Units.of(Line([1.0] * 19), x, [each], EdgeEdit(), Runner(), "part")
    assert (len(units), units.name) == (len(layout.parts), "body parts")
    joints = values.mean(1)
    sums = np.stack([joints[:, list(part)].sum(1) for part in layout.parts.values()], axis=1)
    np.testing.assert_allclose(units.scores(each), sums)
    ranked = Ranking.of(each, feature="part").scores.to_numpy()
    assert (np.argsort(sums, 1) == np.argsort(ranked, 1)).all()  # as `rank --by part`
    stretch = units.scores(each, "positive", (0, 2, 4))
    late = values[:, :2].clip(min=0).mean(1)
    first = next(iter(layout.parts.values()))
    np.testing.assert_allclose(stretch[:, 0], late[:, list(first)].sum(1))
    for number, part in enumerate(layout.parts.values()):
        chosen = np.zeros(len(units), bool)
        chosen[number] = True
        assert np.flatnonzero(units.sets(chosen)).tolist() == sorted(part)


def test_curves_of_parts_freeze_all_joints_of_the_first():
    """One part moves, and is the first: without it nothing is left to see."""
    layout = skeleton("inmotion19")
    part = list(next(reversed(layout.parts.values())))
    x = torch.ones(1, 1, 1, 4, 19, 1)
    x[..., 1:, part, :] = 5
    values = np.zeros((1, 4, 19))
    values[..., part] = 1
    weights = np.zeros(19)
    weights[part] = 1.0
    made = {"toy": body(values)}
    data = perturbation_curves(
        Line(weights.tolist()), x, made, InputEdit("freeze"), by="part", random=1
    ).dataset
    assert data["k"].to_numpy().tolist() == list(range(len(layout.parts) + 1))
    assert data.attrs["units"] == "body parts"
    score = data["score"].sel(explanation="toy", set="important")
    np.testing.assert_allclose(score.sel(k=0), sigmoid(4.0 * len(part)), rtol=1e-6)
    np.testing.assert_allclose(score.sel(k=1), sigmoid(1.0 * len(part)), rtol=1e-6)


def test_parts_need_a_skeleton_and_joints():
    line, three = three_joints()
    joints = {"toy": explained(torch.tensor([[3.0, 2.0, 1.0]]))}
    with pytest.raises(ValueError, match=r"Expected a skeleton, to disturb body parts .*'toy'"):
        perturbation_curves(line, three, joints, InputEdit("freeze"), by="part")
    model, x = one_edge(False), windows(2)
    with pytest.raises(ValueError, match=r"joints to rank by part \(got 'edge-gradient' of edges"):
        perturbation_curves(model, x, {"a": of_edges(model, x)}, CUT, by="part")
    with pytest.raises(ValueError, match=r"Expected by of joint, part \(got 'limb'\)"):
        perturbation_curves(line, three, joints, InputEdit("freeze"), by="limb")
