from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import xarray as xr
from fixtures.small_model import small_model
from fixtures.toy_networks import Line, Planted, explained, planted_windows, three_joints

from hargcn.explainers.baselines import Random
from hargcn.metrics.curves import curves_seconds, perturbation_curves, single_curves
from hargcn.metrics.faithfulness import pgi, pgu
from hargcn.metrics.runner import Runner
from hargcn.perturbation import EdgeEdit, InputEdit

AWAY = EdgeEdit("self", "away", 0.35)
FREEZE = InputEdit("freeze")
FREEZE_EARLY = InputEdit("freeze", frames=(0, 3))


def network():
    rng = np.random.default_rng(0)  # torch's own normal numbers follow the processor
    edge = torch.from_numpy(rng.random((2, 7, 7), np.float32))
    model = Line(rng.standard_normal(7).tolist(), edge)
    x = torch.from_numpy(rng.standard_normal((6, 2, 2, 9, 7, 1), np.float32) / 3)
    target = torch.tensor([0, 1] * 3)
    made = {f"random {seed}": Random(seed)(model, x, target) for seed in (1, 2)}
    return model, x, target, made


class Counting(Line):
    """Counts the rows that it scores."""

    rows = 0

    def forward(self, x, edges=None):
        self.rows += len(x)
        return super().forward(x, edges)


@pytest.mark.parametrize("options", [{}, {"segments": 2}, {"draws": 3, "top": 2}])
def test_the_forecast_knows_the_work(monkeypatch, options):
    """The clock ticks with every row: what is forecast is what will be scored."""
    plain, x, _, made = network()
    model = Counting(plain.weights.tolist(), plain.edge.detach())
    monkeypatch.setattr("hargcn.metrics.curves.time.perf_counter", lambda: model.rows)
    edit, run = InputEdit("noise", 0.1), Runner(batch=8)
    given = {"top": 5, "random": 6, "run": run, **options}
    forecast = curves_seconds(model, x, made, edit, **given)
    spent = model.rows
    model.rows = 0
    perturbation_curves(model, x, made, edit, **given)
    assert forecast == pytest.approx(model.rows, rel=0.1)
    assert spent < model.rows / 10  # two of eight orderings, of one window in six


@pytest.fixture(scope="module")
def known():
    return network()


def test_curves_start_at_the_unperturbed_score_and_meet_where_the_sets_do(known):
    model, x, target, made = known
    data = perturbation_curves(model, x, made, AWAY, top=7, random=3).dataset
    logits = Runner().logits(model, x)
    p = np.exp(logits)[np.arange(6), target] / np.exp(logits).sum(1)
    start = data["sample_score"].sel(k=0)
    for kind in ("important", "unimportant"):
        np.testing.assert_allclose(start.sel(set=kind), np.tile(p, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(data["gap"].sel(k=0, set="important"), 0, atol=1e-7)
    important, others = (data["sample_gap"].sel(set=s) for s in ("important", "complement"))
    np.testing.assert_allclose(important.sel(k=7), others.sel(k=0), atol=1e-7)
    np.testing.assert_allclose(others.sel(k=7), 0, atol=1e-7)


def test_areas_are_pgi_and_pgu(known):
    model, x, _, made = known
    data = perturbation_curves(model, x, made, AWAY, top=5, random=2).dataset
    for name, each in made.items():
        for kind, measure in (("important", pgi), ("complement", pgu)):
            single = float(measure(model, x, each, AWAY, top=5).mean())
            assert data["area"].sel(explanation=name, set=kind).item() == pytest.approx(
                single, abs=1e-6
            )


def test_batches_and_blocks_do_not_matter(known):
    model, x, _, made = known
    one, many = (
        perturbation_curves(
            model,
            x,
            made,
            EdgeEdit("all", "noise", 0.3),
            top=3,
            random=2,
            draws=2,
            run=Runner(batch=b),
        ).dataset
        for b in (1, 64)
    )
    for name in ("sample_score", "sample_gap", "gap_band_low"):
        np.testing.assert_allclose(one[name], many[name], atol=1e-5)


def test_a_network_is_bit_identical_afterwards_edges_and_movements_alike():
    model = small_model("inmotion19", branches=("V",), classes=2)
    positions = torch.randn(2, 2, 9, 19, 1, generator=torch.Generator().manual_seed(0))
    made = {"one": Random()(model, model.features(positions), 0)}
    state, before = copy.deepcopy(model.state_dict()), positions.clone()
    run = Runner(model.features, skeleton=model.skeleton)
    for edit in (AWAY, InputEdit("angle", 0.5)):
        perturbation_curves(model, positions, made, edit, top=1, random=1, segments=2, run=run)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert torch.equal(positions, before)


def test_accuracy_by_hand():
    """The logit 4 of class 0 falls below 0 once the first two joints are frozen away."""
    model, x = three_joints()
    x = x - 2
    # Means (0, -1, -1): logit 0 - 1 + 1 = 0; frozen at the first frame (-1, -1, -1): logit -2.
    x[:, :, :, 1, 0] += 1
    each = {"toy": explained(torch.tensor([[3.0, 2.0, 1.0]]))}
    data = perturbation_curves(model, x, each, FREEZE, labels=[0], top=3, random=1).dataset
    accuracy = data["accuracy"].sel(explanation="toy", set="important")
    assert accuracy.to_numpy().tolist() == [1, 0, 0, 0]


def test_truth_beats_random_and_its_negation_on_planted_evidence():
    x, label, truth = planted_windows()
    model = Planted(2, slice(4, 8))
    x, truth = x[label == 1], truth[label == 1]
    made = {
        "truth": explained(truth.float(), 1),
        "constant": explained(torch.ones(len(x), 12, 6), 1),
        "negated": explained(-truth.float(), 1),
    }
    groups = np.arange(len(x)) // 2
    data = perturbation_curves(model, x, made, FREEZE, top=6, groups=groups).dataset
    area = data["area"].sel(set="important")
    low, high = data["area_low"].sel(set="important"), data["area_high"].sel(set="important")
    assert low.sel(explanation="truth") > high.sel(explanation="random")
    assert high.sel(explanation="negated") < low.sel(explanation="random")
    assert (
        low.sel(explanation="constant")
        < area.sel(explanation="random")
        < high.sel(explanation="constant")
    )
    others = data["area"].sel(set="complement")
    assert (
        others.sel(explanation="truth")
        < others.sel(explanation="random")
        < others.sel(explanation="negated")
    )
    assert data["gap"].sel(explanation="truth", set="important", k=1) > data["gap_band_high"].sel(
        set="important", k=1
    )


def test_segments_are_ranked_and_perturbed_separately():
    """Two joints carry the class one after the other: each segment has its own first joint."""
    model = Line([1.0, 1.0, 0.0])
    x = torch.ones(4, 1, 1, 8, 3, 1)
    x[:, :, :, 1:4, 0] = 5
    x[:, :, :, 5:, 1] = 5
    maps = torch.zeros(4, 8, 3)
    maps[:, :4, 0], maps[:, 4:, 1] = 1, 1
    each = {"toy": explained(maps)}
    data = perturbation_curves(model, x, each, FREEZE, top=1, random=1, segments=2).dataset
    assert data["segment"].to_numpy().tolist() == ["0-4", "4-8"]
    score = data["score"].sel(explanation="toy", set="important")

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    full = 2.5 + 2.5
    np.testing.assert_allclose(score.sel(k=0), sigmoid(full), rtol=1e-6)
    # Joint 0 frozen at its first frame in 0-4; joint 1 at frame 4 in 4-8.
    np.testing.assert_allclose(score.sel(k=1), sigmoid(full - 1.5), rtol=1e-6)
    edges = perturbation_curves(model, x, each, AWAY, top=1, random=1, segments=2).dataset
    # An edge has no time: the stretch is cut out and starts at its own score, (4, 1) and (1, 4).
    start = edges["score"].sel(explanation="toy", set="important", k=0)
    np.testing.assert_allclose(start, sigmoid(5.0), rtol=1e-6)
    after = edges["score"].sel(explanation="toy", set="important", k=1)
    np.testing.assert_allclose(after, sigmoid(5.0 + 0.35 * 4), rtol=1e-6)


def test_two_classes_have_a_roc_curve(known):
    model, x, _, made = known
    labels = [0, 1, 1, 0, 1, 0]
    data = perturbation_curves(model, x, made, AWAY, labels=labels, top=2, random=2).dataset
    logits = Runner().logits(model, x)
    margin = logits[:, 1] - logits[:, 0]
    pairs = [margin[i] > margin[j] for i in (1, 2, 4) for j in (0, 3, 5)]
    start = data["auc"].sel(k=0, set="important")
    np.testing.assert_allclose(start, np.mean(pairs), atol=1e-9)
    single = perturbation_curves(model, x, made, AWAY, labels=[0] * 6, top=1, random=1)
    assert "auc" not in single.dataset


def test_what_cannot_be_compared_is_refused(known):
    model, x, target, made = known
    other = {**made, "other": Random(1)(model, x, 1 - target)}
    with pytest.raises(ValueError, match="explanations of the same classes"):
        perturbation_curves(model, x, other, AWAY)
    with pytest.raises(ValueError, match="of 5 samples and 7 joints"):
        perturbation_curves(model, x[:5], made, AWAY)
    with pytest.raises(ValueError, match="top from 1 to 7"):
        perturbation_curves(model, x, made, AWAY, top=20)
    with pytest.raises(ValueError, match="at least one random ordering"):
        perturbation_curves(model, x, made, AWAY, top=2, random=0)
    with pytest.raises(ValueError, match="1 to 9 segments"):
        perturbation_curves(model, x, made, AWAY, top=2, segments=10)
    with pytest.raises(ValueError, match="none of them 'random'"):
        perturbation_curves(model, x, {"random": made["random 1"]}, AWAY)
    with pytest.raises(ValueError, match="whole windows to cut"):
        perturbation_curves(model, x, made, FREEZE_EARLY, top=2, segments=2)
    with pytest.raises(ValueError, match="Expected sets of"):
        perturbation_curves(model, x, made, AWAY, top=2, sets=["best"])


def test_the_unimportant_are_the_k_last_by_hand():
    model, x = three_joints()
    each = {"toy": explained(torch.tensor([[3.0, 2.0, 1.0]]))}
    data = perturbation_curves(model, x, each, AWAY, top=3, random=1).dataset
    score = data["score"].sel(explanation="toy", set="unimportant")
    # The logit is 4; joints 2, 1, 0 add 0.35 * (-1, 1, 4) one after the other.
    by_hand = 1 / (1 + np.exp(-np.array([4, 3.65, 4, 5.4])))
    np.testing.assert_allclose(score, by_hand, atol=1e-6)


def test_random_is_the_mean_of_all_random_orderings():
    model, x = three_joints()
    each = {"toy": explained(torch.tensor([[3.0, 2.0, 1.0]]))}
    data = perturbation_curves(model, x, each, AWAY, top=1, random=600).dataset
    score = data["score"].sel(explanation="random", set="important", k=1).item()
    single = 1 / (1 + np.exp(-np.array([5.4, 4.35, 3.65])))
    assert score == pytest.approx(single.mean(), abs=4 * single.std() / 600**0.5)


def test_a_recomputed_range_follows_the_ranking_in_every_set(known):
    """Edit by edit as the published code does, each joint alone with the original range."""
    model, x, target, made = known
    again = EdgeEdit("self", "away", 0.35, range="recomputed")
    data = perturbation_curves(model, x, made, again, top=3, random=1).dataset
    plain = perturbation_curves(model, x, made, AWAY, top=3, random=1).dataset
    best_first = np.argsort(-made["random 1"].joint_scores().to_numpy(), axis=1)
    sets = {
        "important": best_first[:, :3],
        "unimportant": best_first[:, ::-1][:, :3],
        "complement": best_first[:, 3:],
    }
    for kind, order in sets.items():
        edges = model.edges()["g"].detach().repeat(len(x), 1, 1, 1)
        for joints in order.T:
            chosen = torch.zeros(len(x), 7, dtype=torch.bool)
            chosen[range(len(x)), joints.copy()] = True
            edges = torch.stack(
                [
                    AWAY.apply({"g": each}, row[None])["g"][0]
                    for each, row in zip(edges, chosen, strict=True)
                ]
            )
        logits = model.eval()(x, {"g": edges}).detach().softmax(1).numpy()
        expected = logits[np.arange(len(x)), target]
        at = {"explanation": "random 1", "set": kind, "k": 3}
        np.testing.assert_allclose(data["sample_score"].sel(at), expected, atol=1e-6)
        assert not np.allclose(plain["sample_score"].sel(at), expected, atol=1e-6)
    for k in (0, 1):
        at = {"set": "important", "k": k}
        np.testing.assert_allclose(data["gap"].sel(at), plain["gap"].sel(at), atol=1e-6)


def test_amounts_are_an_axis_and_each_is_an_edit_of_its_own(known):
    model, x, _, made = known
    options = {"top": 3, "random": 2}
    swept = perturbation_curves(model, x, made, AWAY, amounts=[0.1, 0.9], **options)
    assert swept.dataset["area"].dims == ("amount", "explanation", "set")
    assert swept.dataset.attrs["edit"] == "edge:self:away:0.1, edge:self:away:0.9"
    for amount in (0.1, 0.9):
        own = perturbation_curves(model, x, made, EdgeEdit("self", "away", amount), **options)
        for name in ("area", "accuracy_low", "gap_band_high"):
            one = swept.dataset[name].sel(amount=amount)
            np.testing.assert_allclose(one, own.dataset[name], atol=1e-7)
    assert set(swept.areas()["amount"]) == {0.1, 0.9}
    assert len(swept.table()) == 2 * 3 * 3 * 4
    both = perturbation_curves(model, x, made, AWAY, amounts=[0.1, 0.9], segments=3, **options)
    assert both.dataset["gap"].dims == ("amount", "segment", "explanation", "set", "k")
    with pytest.raises(ValueError, match=r"an edit that has an amount, .*got input:freeze"):
        perturbation_curves(model, x, made, FREEZE, amounts=[0.1], **options)
    with pytest.raises(ValueError, match=r"an edit that has an amount, .*got edge:self:zero"):
        perturbation_curves(model, x, made, EdgeEdit("self", "zero"), amounts=[0.1], **options)


def test_what_orderings_have_in_common_is_scored_once():
    """Of four joints there are sixteen sets: no ordering makes a seventeenth."""
    plain, x, _, _ = network()
    model = Counting(plain.weights[:4].tolist(), plain.edge.detach()[:, :4, :4])
    x = x[..., :4, :]
    made = {"one": Random(1)(model, x, torch.tensor([0, 1] * 3))}
    model.rows = 0
    perturbation_curves(model, x, made, FREEZE, top=4, random=30)
    assert model.rows == 6 + 6 * 16  # as they are, and every set


def test_answers_have_rates(known):
    """With every joint left alone they are those of the network's own answers."""
    model, x, _, made = known
    labels = [0, 1, 1, 0, 1, 0]
    data = perturbation_curves(model, x, made, AWAY, labels=labels, top=2, random=2).dataset
    said = Runner().logits(model, x).argmax(1)
    right = {each: [s == each for s, t in zip(said, labels, strict=True) if t == each]
             for each in (0, 1)}  # fmt: skip
    start = data.sel(explanation="random 1", set="important", k=0)
    assert start["sensitivity"].item() == pytest.approx(np.mean(right[1]))
    assert start["specificity"].item() == pytest.approx(np.mean(right[0]))


def test_by_default_ten_joints_or_all_where_there_are_fewer(known):
    model, x, _, made = known
    data = perturbation_curves(model, x, made, AWAY, random=1).dataset
    assert data["k"].to_numpy().tolist() == [*range(8)]


@pytest.mark.parametrize("edit", [AWAY, InputEdit("noise", 0.4)], ids=str)
def test_parts_of_the_windows_have_the_curves_that_all_have(known, edit):
    """Draws and ties go by the number of a window among all; a class may be absent from a part."""
    model, x, _, made = known
    labels, groups = np.array([0, 0, 1, 1, 0, 1]), np.array(list("aabbcc"))
    tied = made["random 1"]  # no contrast: all ranks are by chance
    made = {**made, "flat": type(tied)(tied.dataset.assign(attribution=tied.values * 0))}
    options = {"top": 4, "random": 3, "draws": 2, "amounts": [0.2, 0.7]}
    whole = single_curves(model, x, made, edit, labels=labels, groups=groups, **options)
    parts = [
        single_curves(
            model, x[some], {name: each.isel(sample=some) for name, each in made.items()}, edit,
            labels=labels[some], groups=groups[some], classes=labels,
            run=Runner().part(some, 6), **options,
        )
        for some in (slice(0, 2), slice(2, 5), slice(5, 6))
    ]  # fmt: skip
    joined = xr.concat(parts, "sample", data_vars="minimal", coords="minimal", compat="override")
    xr.testing.assert_allclose(joined, whole, atol=1e-6)
    assert joined.attrs == whole.attrs
