"""SHAP values: they add up, agree with paper and with other libraries, and leave no trace."""

from __future__ import annotations

import json
import warnings
from itertools import product

import numpy as np
import pytest
import torch
from fixtures.covering import pairwise
from fixtures.foreign_networks import FOREIGN, Expression, foreign
from fixtures.small_model import small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hargcn.explainers.deepshap import explainer, rules
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.rules import register_rule
from hargcn.networks.branches import PositionModel

ATTENTION = ("ja", "fa", "ca", "pa", "stja", "none")
ACTIVATION = ("relu", "relu6", "silu", "hardswish")
TEMPORAL = ("basic", "bottleneck", "separable", "sandglass", "inverted", "shuffle")
PERSONS = (1, 2)
COVERING = pairwise(ATTENTION, ACTIVATION, TEMPORAL, PERSONS)


def draw(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def live(model: nn.Module) -> nn.Module:
    """Give every weight the size at which signals keep theirs, as training does."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight)
    return model


def trained(model: nn.Module, persons: int) -> nn.Module:
    """Train a while, so that weights, edges and statistics are those of training."""
    live(model).train()
    x, y = draw(12, 4, 4, 9, 19, persons, seed=5), torch.arange(12) % 3
    for label in range(3):
        x[y == label, :, :, :, label] += 2
    optimiser, losses = torch.optim.Adam(model.parameters(), lr=0.01), []
    with torch.random.fork_rng():  # dropout
        torch.manual_seed(0)
        for _ in range(12):
            optimiser.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    optimiser.zero_grad()
    assert losses[-1] < losses[0]
    return model.eval()


@pytest.fixture
def restored_rules():
    """Give back the registered rules after the test."""
    before = dict(rules.RULES)
    yield
    rules.RULES.clear()
    rules.RULES.update(before)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(ATTENTION),
    st.sampled_from(ACTIVATION),
    st.sampled_from(TEMPORAL),
    st.sampled_from(PERSONS),
    st.integers(0, 1000),
)
def test_values_add_up_for_random_architectures(attention, activation, temporal, persons, seed):
    model = live(small_model("inmotion19", attention=attention, activation=activation,
                             temporal=temporal, main_temporal=temporal, seed=seed))  # fmt: skip
    background, x = draw(4, 4, 4, 9, 19, persons, seed=seed), draw(2, 4, 4, 9, 19, persons)
    single = DeepSHAP(background)(model, x, 1)
    double = DeepSHAP(background, dtype=torch.float64)(model, x, 1)
    assert float(double.relative_gap.max()) <= 1e-9
    assert float(single.relative_gap.max()) <= 1e-4


@pytest.mark.parametrize(
    ("attention", "activation", "temporal", "persons"),
    [
        pytest.param(*choice, marks=() if choice in COVERING[::12] else pytest.mark.slow)
        for choice in product(ATTENTION, ACTIVATION, TEMPORAL, PERSONS)
    ],
)
def test_values_add_up_for_every_trained_architecture(attention, activation, temporal, persons):
    model = trained(small_model("inmotion19", attention=attention, activation=activation,
                                temporal=temporal, main_temporal=temporal), persons)  # fmt: skip
    background, x = draw(8, 4, 4, 9, 19, persons), 2 * draw(3, 4, 4, 9, 19, persons, seed=2)
    single = DeepSHAP(background)(model, x, 1)
    double = DeepSHAP(background, dtype=torch.float64)(model, x, 1)
    assert float(double.relative_gap.max()) <= 1e-9
    assert float(single.relative_gap.max()) <= 1e-4


@pytest.mark.parametrize("formula", [
    lambda x: x.sum(2),
    lambda x: x.amax(axis=2) + x.softmax(axis=1).amin(axis=2) + x.logsumexp(axis=2),
])  # fmt: skip
def test_sums_first_and_axes_by_their_other_name(formula):
    got = DeepSHAP(draw(3, 4, 5))(Expression(formula), draw(2, 4, 5, seed=2), 1)
    assert float(got.relative_gap.max()) <= 1e-4


def test_what_overflows_single_precision_is_explained_in_double():
    model = Expression(lambda x: x.exp().sum(1, keepdim=True).log())
    x = torch.tensor([[100.0, 1, 2, 3], [0, 1, 2, 3]])
    got = DeepSHAP(draw(3, 4))(model, x, 0)
    assert got.dataset["double_precision"].to_numpy().tolist() == [True, False]
    assert float(got.relative_gap.max()) <= 1e-4


def test_the_bar_says_that_windows_are_explained_again(monkeypatch):
    bars = []

    def track(jobs, label, total, _):
        bars.append((label, total))
        return jobs

    monkeypatch.setattr(explainer, "track", track)
    model = Expression(lambda x: x.exp().sum(1, keepdim=True).log())
    x = torch.tensor([[100.0, 1, 2, 3], [0, 1, 2, 3]])
    DeepSHAP(draw(3, 4))(model, x, 0)
    assert bars == [("SHAP", 2), ("SHAP in double precision", 1)]


def large_offset(single_only: bool = False) -> nn.Module:
    """Build a network whose scores differ by 1 at a height of 1e4, where float32 steps by 1e-3."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 2))
    model[2].bias.data += 1e4
    return nn.Sequential(Expression(Tensor.float), model) if single_only else model


def test_a_gap_of_the_scores_own_rounding_is_told_by_plain_passes_in_double_precision():
    """At a height of 1e4 the sums are right and the scores are not: nothing is done again."""
    model, background, x = large_offset(), draw(8, 3), draw(4, 3, seed=2)
    x[3] = 1e6  # so far away that single precision suffices
    single = DeepSHAP(background, allow_gap=True)(model, x, 1)
    double = DeepSHAP(background, dtype=torch.float64)(model, x, 1)
    got = DeepSHAP(background)(model, x, 1)
    doubtful = single.relative_gap.to_numpy() > 1e-4
    assert doubtful[:3].any()
    assert not doubtful[3]
    assert not got.dataset["double_precision"].any()
    assert double.dataset["double_precision"].all()
    assert float(got.relative_gap.max()) <= 1e-5
    np.testing.assert_array_equal(got.values, single.values)
    np.testing.assert_allclose(got.values, double.values, rtol=1e-5, atol=1e-6)
    for name in ("score", "base_value"):
        a, b, c = (e.dataset[name].to_numpy() for e in (got, double, single))
        np.testing.assert_allclose(a[doubtful], b[doubtful], rtol=1e-12)
        np.testing.assert_array_equal(a[~doubtful], c[~doubtful])


def test_what_single_precision_cannot_add_up_is_explained_in_double():
    """Two branches of 1e4 that cancel: their attributions lose what is left."""

    def formula(x: Tensor) -> Tensor:
        return (1e4 * x.sin() - 1e4 * (x * (1 + 1e-4)).sin()).sum(1, keepdim=True)

    model, background, x = Expression(formula), draw(8, 3), draw(4, 3, seed=2)
    single = DeepSHAP(background, allow_gap=True)(model, x, 0)
    double = DeepSHAP(background, dtype=torch.float64)(model, x, 0)
    got = DeepSHAP(background)(model, x, 0)
    again = got.dataset["double_precision"].to_numpy()
    assert again.any()
    assert (single.relative_gap.to_numpy()[again] > 1e-4).all()
    assert not single.dataset["double_precision"].any()
    assert float(got.relative_gap.max()) <= 1e-4
    assert float(got.relative_gap[again].max()) <= 1e-9
    np.testing.assert_array_equal(got.values[again], double.values.astype("float32")[again])
    for name in ("score", "base_value", "standard_error"):
        a, b = (e.dataset[name].to_numpy() for e in (got, double))
        np.testing.assert_array_equal(a[again], b[again])


def test_a_model_of_single_precision_alone_keeps_its_gap():
    model, background, x = large_offset(single_only=True), draw(8, 3), draw(2, 3, seed=2)
    got = DeepSHAP(background, allow_gap=True)(model, x, 1)
    with (
        pytest.warns(UserWarning, match="additivity gaps above 1e-04 stay: .* same dtype"),
        pytest.raises(ValueError, match="expected SHAP values that add up") as error,
    ):
        DeepSHAP(background)(model, x, 1)
    assert f"{float(got.relative_gap.max()):.1e}" in str(error.value)


@pytest.mark.parametrize("utility", ["logit", "prob", "logprob"])
@pytest.mark.parametrize("name", FOREIGN)
def test_values_add_up_for_foreign_networks(name, utility):
    model, shape = foreign(name)
    background, x = draw(7, *shape), draw(3, *shape, seed=2)
    single = DeepSHAP(background, utility=utility)(model, x, 1)
    double = DeepSHAP(background, utility=utility, dtype=torch.float64)(model, x, 1)
    assert float(single.relative_gap.max()) <= 1e-4
    assert float(double.relative_gap.max()) <= 1e-9
    np.testing.assert_allclose(
        single.values, double.values, atol=2e-4 * np.abs(double.values).max()
    )
    model.eval()
    score = model(x)
    if utility != "logit":
        score = score.softmax(1) if utility == "prob" else score.log_softmax(1)
    np.testing.assert_allclose(single.score, score[:, 1].detach(), rtol=1e-4)


def test_linear_model_has_its_coefficients():
    model, background, x = nn.Linear(5, 3), draw(6, 5), draw(4, 5, seed=2)
    got = DeepSHAP(background)(model, x, torch.tensor([0, 1, 2, 0]))
    weight = model.weight.detach()[[0, 1, 2, 0]]
    np.testing.assert_allclose(got.values, weight * (x - background.mean(0)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        got.base_value, model(background).mean(0).detach()[[0, 1, 2, 0]], rtol=1e-5
    )


def test_product_of_two_has_its_shapley_values():
    """By hand: x = (3, 5) against r = (1, 2): phi_a = (3 - 1)(5 + 2)/2 = 7, phi_b = 3 * 4/2 = 6."""
    model = Expression(lambda x: x[:, :1] * x[:, 1:])
    got = DeepSHAP(torch.tensor([[1.0, 2.0]]))(model, torch.tensor([[3.0, 5.0]]), 0)
    np.testing.assert_allclose(got.values, [[7.0, 6.0]])
    assert got.score.item() == 15
    assert got.base_value.item() == 2


def test_weights_are_a_repeated_background():
    model, rows, x = foreign("functional")[0], draw(3, 3, 6, 5), draw(2, 3, 6, 5, seed=2)
    weighted = DeepSHAP(rows, weights=[1, 2, 1], chunk=2)(model, x, 0)
    repeated = DeepSHAP(rows[[0, 1, 1, 2]])(model, x, 0)
    np.testing.assert_allclose(weighted.values, repeated.values, atol=1e-6)
    np.testing.assert_allclose(weighted.base_value, repeated.base_value, atol=1e-6)


@pytest.mark.parametrize("name", ["functional", "folded"])
def test_chunks_and_order_change_nothing(name):
    model, shape = foreign(name)
    background, x = draw(100, *shape), draw(2, *shape, seed=2)
    whole = DeepSHAP(background, chunk=100)(model, x, 0)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    others = [DeepSHAP(background, chunk=20), DeepSHAP(background, chunk=7),
              DeepSHAP(background[order]), DeepSHAP(background, memory_limit=1e-9)]  # fmt: skip
    for other in others:
        got = other(model, x, 0)
        for variable in ("attribution", "base_value", "standard_error"):
            a, b = whole.dataset[variable].to_numpy(), got.dataset[variable].to_numpy()
            np.testing.assert_allclose(b, a, atol=1e-5 * np.abs(a).max())


def test_the_same_call_gives_the_same_bits():
    """Wherever its tensors lie in memory: other objects come and go in between."""
    model = small_model("coco17", attention="ca")
    background, x = draw(5, 4, 4, 8, 17, 1), draw(2, 4, 4, 8, 17, 1, seed=2)
    first, litter = DeepSHAP(background)(model, x, 1), []
    for i in range(4):
        litter += [torch.zeros(7 * i + j) for j in range(40)][::2]
        assert DeepSHAP(background)(model, x, 1).dataset.equals(first.dataset)


def test_standard_error_is_the_spread_over_the_background():
    model = small_model("coco17", attention="fa")
    background, x = draw(6, 4, 4, 8, 17, 1), draw(1, 4, 4, 8, 17, 1, seed=2)
    got = DeepSHAP(background)(model, x, 1)
    singles = [DeepSHAP(row[None], allow_gap=True)(model, x, 1) for row in background]
    each = np.stack([single.values[0] for single in singles])
    np.testing.assert_allclose(got.values[0], each.mean(0), atol=1e-4 * np.abs(each).max())
    expected = each.std(0, ddof=1) / np.sqrt(6)
    np.testing.assert_allclose(
        got.standard_error[0], expected, rtol=1e-2, atol=1e-3 * expected.max()
    )
    joints = np.stack([single.joint_scores()[0] for single in singles])
    np.testing.assert_allclose(got.dataset["joint_by_background"][0], joints, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(
        got.dataset["joint_standard_error"][0], joints.std(0, ddof=1) / np.sqrt(6), rtol=1e-3
    )


def test_attributions_by_row_make_the_explanation():
    model = small_model()
    x, rows = draw(2, 4, 4, 8, 19, 1), draw(5, 4, 4, 8, 19, 1, seed=2)
    shap = DeepSHAP(rows, weights=[1, 2, 3, 4, 5], chunk=2)
    whole = shap(model, x, [0, 2])
    found = shap.by_row(model, x, [0, 2])
    assert found.shape == (2, 5, 8, 19)
    wanted = whole.sum("branch", "channel", "person").values.to_numpy()
    np.testing.assert_allclose(
        np.average(found, axis=1, weights=[1, 2, 3, 4, 5]), wanted, atol=1e-5
    )
    joints = shap.by_row(model, x, [0, 2], kept=("joint",))
    np.testing.assert_allclose(joints, found.sum(axis=2), atol=1e-5)
    alone = DeepSHAP(rows[3:4])(model, x, [0, 2])
    mine = alone.sum("branch", "channel", "person").values.to_numpy()
    np.testing.assert_allclose(found[:, 3], mine, atol=1e-5)


@pytest.mark.parametrize("name", FOREIGN)
def test_members_of_the_background_and_absent_persons_add_up(name):
    model, shape = foreign(name)
    background = draw(4, *shape)
    if name == "folded":
        background[1:, ..., 1] = 0
    got = DeepSHAP(background, dtype=torch.float64)(model, background, 1)
    assert np.isfinite(got.values).all()
    assert float(got.relative_gap.max()) <= 1e-9


def test_several_classes_are_single_classes():
    model, shape = foreign("self-attention")
    background, x = draw(5, *shape), draw(2, *shape, seed=2)
    explainer = DeepSHAP(background)
    several = explainer.explain_classes(model, x, [2, 0])
    assert list(several) == [2, 0]
    for target, got in several.items():
        np.testing.assert_array_equal(got.values, explainer(model, x, target).values)
    assert np.abs(several[0].values - several[2].values).max() > 1e-3


def test_result_names_its_axes_and_travels(tmp_path):
    model = small_model("coco17")
    got = DeepSHAP(draw(3, 4, 4, 8, 17, 1))(model, draw(2, 4, 4, 8, 17, 1), 0)
    assert got.dims == ("sample", "branch", "channel", "time", "joint", "person")
    assert got.method == "shap"
    assert got.settings["background"]["shape"] == [3, 4, 4, 8, 17, 1]
    assert list(got.values["branch"]) == ["J", "V", "B", "A"]
    assert got.skeleton.name == "coco17"
    got.save(tmp_path / "shap.h5")
    np.testing.assert_array_equal(type(got).open(tmp_path / "shap.h5").values, got.values)
    other = DeepSHAP(draw(3, 5), dims=("sample", "marker"))(nn.Linear(5, 2), draw(1, 5), 0)
    assert other.dims == ("sample", "marker")
    assert DeepSHAP(draw(3, 5))(nn.Linear(5, 2), draw(1, 5), 0).dims == ("sample", "axis1")
    shap_values = got.to_shap()
    totals = shap_values.values.sum(1) + shap_values.base_values
    np.testing.assert_allclose(totals, got.score, atol=1e-5)


def test_carries_back_to_raw_coordinates():
    """Branches are functions of the positions: the sums over either must be the score's change."""
    model = live(small_model("coco17", attention="fa"))
    background, x = (draw(n, 2, 9, 17, 1, seed=n) for n in (5, 2))
    raw = DeepSHAP(background, dtype=torch.float64)(PositionModel(model), x, 1)
    made = DeepSHAP(model.features(background))(model, model.features(x), 1)
    assert raw.dims == ("sample", "channel", "time", "joint", "person")
    assert list(raw.values["channel"]) == ["x", "y"]
    assert float(raw.relative_gap.max()) < 1e-9
    np.testing.assert_allclose(raw.base_value, made.base_value, rtol=1e-4)
    np.testing.assert_allclose(raw.score, made.score, rtol=1e-4)


@pytest.mark.parametrize("attention", ["fa", "stja"])
def test_presence_is_credited_to_raw_coordinates(attention):
    """Who is absent, in the sample or in the background, has zeros: presence is part of them."""
    model = live(small_model("inmotion19", attention=attention))
    background, x = (draw(n, 2, 9, 19, 2, seed=n) for n in (5, 4))
    background[1, :, 6:] = 0  # a window that ends early
    background[2, ..., 1] = 0  # one person
    x[1] = 0  # nobody
    x[2, ..., 1] = 0
    x[3, :, 5:] = 0
    for windows in (background, x):
        some = (windows != 0).any(dim=1).any(dim=2)
        torch.testing.assert_close(model.features(windows), model.features(windows, some))
    got = DeepSHAP(background, dtype=torch.float64)(PositionModel(model), x, 1)
    assert float(got.relative_gap.max()) < 1e-9
    assert float(np.abs(got.values[2, ..., 1]).max()) > 0  # absent here, present there
    alone = DeepSHAP(background[2:3], dtype=torch.float64)(PositionModel(model), x[2:3], 1)
    assert float(np.abs(alone.values[0, ..., 1]).max()) == 0


@pytest.mark.parametrize("broken", [False, True])
def test_leaves_no_trace(broken):
    model, shape = foreign("functional")
    model.norm.eval()
    background, x = draw(4, *shape), draw(2, *shape, seed=2)
    copies = {k: v.clone() for k, v in model.state_dict().items()}
    flags = [
        (m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()
    ]
    inputs = background.clone(), x.clone()
    random = torch.random.get_rng_state()
    if broken:
        model.head = nn.Sequential(model.head, Expression(torch.special.bessel_j0))
        flags = [(m.training, 0, 0) for m in model.modules()]
        with pytest.raises(ValueError, match="'special_bessel_j0' in module 'head.1': no rule"):
            DeepSHAP(background)(model, x, 0)
    else:
        DeepSHAP(background)(model, x, 0)
    assert all(
        torch.equal(v, copies[k.replace("head.0.", "head.")]) for k, v in model.state_dict().items()
    )
    after = [
        (m.training, len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()
    ]
    assert after == flags
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert torch.equal(background, inputs[0])
    assert torch.equal(x, inputs[1])
    assert torch.equal(torch.random.get_rng_state(), random)


@pytest.mark.usefixtures("restored_rules")
def test_a_broken_rule_fails_and_is_named():
    model, shape = foreign("functional")

    @register_rule("hardswish")
    def gradient_instead(_op, grad):
        return [grad]

    with pytest.raises(
        ValueError, match="expected SHAP values that add up .* 'hardswish' in module"
    ):
        DeepSHAP(draw(4, *shape))(model, draw(2, *shape, seed=2), 0)
    got = DeepSHAP(draw(4, *shape), allow_gap=True)(model, draw(2, *shape, seed=2), 0)
    assert float(got.relative_gap.min()) > 1e-3


@pytest.mark.usefixtures("restored_rules")
def test_a_new_rule_takes_three_lines():
    model = Expression(lambda x: torch.special.bessel_j0(x).sum(1, keepdim=True))
    background, x = draw(4, 3), draw(2, 3, seed=2)
    with pytest.raises(ValueError, match="no rule for it"):
        DeepSHAP(background)(model, x, 0)

    @register_rule("special_bessel_j0")
    def bessel(op, grad):
        return [grad * (op.results[0] - op.outputs[0]) / (op.inputs[0] - op.background[0])]

    assert float(DeepSHAP(background)(model, x, 0).relative_gap.max()) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"chunk": 0}, r"^DeepSHAP: chunk: .*greater than or equal to 1 \(got 0\)$"),
        ({"engine": "captum"}, "^DeepSHAP: unknown key 'engine'; valid are background"),
        ({"utility": "odds"}, "utility: .*'logprob'"),
        ({"weights": [1, 2]}, "a weight for each"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        DeepSHAP(draw(3, 5), **arguments)


def test_wrong_inputs():
    explainer = DeepSHAP(draw(3, 5))
    with pytest.raises(ValueError, match=r"shaped like the background \(5,\)"):
        explainer(nn.Linear(4, 2), draw(2, 4), 0)
    with pytest.raises(ValueError, match=r"Expected targets 0 to 1 \(got 2 to 2\)"):
        explainer(nn.Linear(5, 2), draw(2, 5), 2)
    with pytest.raises(ValueError, match="Expected 2 dims"):
        DeepSHAP(draw(3, 5), dims=("sample",))(nn.Linear(5, 2), draw(2, 5), 0)


def test_forecast_knows_the_work():
    model, shape = foreign("functional")
    explainer = DeepSHAP(draw(10, *shape), chunk=4)
    forecast = explainer.forecast(model, draw(2, *shape), samples=1000)
    assert (forecast.samples, forecast.rows, forecast.chunk) == (1000, 10, 4)
    assert forecast.seconds > 0
    assert "1000 samples x 10 background rows in chunks of 4" in str(forecast)
    assert DeepSHAP(draw(10, *shape), memory_limit=1e-9).forecast(model, draw(2, *shape)).chunk == 1
    assert json.dumps(explainer.settings)


# -- other libraries


def supported(seed: int = 0) -> tuple[nn.Module, Tensor, Tensor]:
    """Build a network of what both libraries support."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 4, 3), nn.Sigmoid(), nn.Flatten(),
            nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3),
        ).eval()  # fmt: skip
    return model, draw(20, 2, 8, 6, seed=seed), draw(3, 2, 8, 6, seed=seed + 1)


@pytest.mark.parametrize("seed", [0, 1])
def test_agrees_with_the_shap_library(seed):
    import shap

    model, background, x = supported(seed)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="unrecognized nn.Module: Flatten")
        expected = shap.DeepExplainer(model, background).shap_values(
            x.clone(), check_additivity=False
        )[..., 1]
    got = DeepSHAP(background, chunk=7)(model, x, 1)
    np.testing.assert_allclose(got.values, expected, rtol=1e-4, atol=1e-6)


def test_agrees_with_captum():
    from captum.attr import DeepLiftShap

    # Captum's rule for max pooling misses the sum by 70% here; everything else agrees.
    model, background, x = supported()
    model[2] = nn.AvgPool2d(2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting forward, backward hooks")
        expected = DeepLiftShap(model).attribute(x, background, target=1).detach()
    got = DeepSHAP(background)(model, x, 1)
    np.testing.assert_allclose(got.values, expected, rtol=1e-4, atol=1e-6)


def test_samples_of_another_shape_than_the_backgrounds_are_refused():
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    explainer = DeepSHAP(torch.zeros(3, 3, 4))
    for x in (torch.zeros(2, 4, 3), torch.zeros(0, 3, 4), torch.zeros(2, 12)):
        assert "shaped like the background (3, 4) (got" in explainer.supports(model, x)
        with pytest.raises(ValueError, match=r"samples shaped like the background \(3, 4\) \(got"):
            explainer(model, x, 0)
    assert explainer.supports(model, torch.zeros(2, 3, 4)) == ""
