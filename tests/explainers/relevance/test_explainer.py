"""LRP of whole networks: identities, conservation, what is lost where, and what is refused."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.families import FAMILIES
from fixtures.foreign_networks import Expression, foreign
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import half_trained, small_model, traces
from torch import Tensor, nn

from hargcn.explainers import DeepSHAP, InputXGradient
from hargcn.explainers.base import make
from hargcn.explainers.relevance.book import OWN, register_relevance
from hargcn.explainers.relevance.explainer import LRP, DeepTaylor
from hargcn.explainers.relevance.recipes import COMPOSITES
from hargcn.explanation import Explanation
from hargcn.networks.branches import PositionModel

EXACT = {"epsilon": 1e-12}
WITHOUT_BOX = [name for name in COMPOSITES if not name.endswith("-box")]


def draw(n: int = 2, persons: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(n, 4, 4, 9, 19, persons, generator=torch.Generator().manual_seed(seed))


def unbiased(model: nn.Module) -> nn.Module:
    """Take every bias of a network away, and the means of its norms."""
    for module in model.modules():
        bias, mean = getattr(module, "bias", None), getattr(module, "running_mean", None)
        for value in (bias, mean):
            if isinstance(value, Tensor):
                nn.init.zeros_(value)
    return model


def close(found, expected, tolerance=1e-4) -> None:
    scale = float(abs(expected).max())
    assert scale > 0
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


def small_cnn(bias: bool = True) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1, bias=bias), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, bias=bias), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 5, bias=bias), nn.ReLU(), nn.Linear(5, 4, bias=bias),
        ).double()  # fmt: skip


def images(n: int = 3) -> Tensor:
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("bias", [True, False])
def test_epsilon_is_input_x_gradient_behind_rectifiers(bias) -> None:
    model, x, target = small_cnn(bias), images(), [0, 1, 3]
    found = LRP(**EXACT)(model, x, target)
    close(found.values, InputXGradient()(model, x, target).values, 1e-8)
    assert (float(found.relative_gap.max()) < 1e-8) != bias


@pytest.mark.parametrize("activation", ["relu"])
@pytest.mark.parametrize("temporal", ["basic", "bottleneck", "separable", "sandglass", "shuffle"])
def test_epsilon_is_input_x_gradient_in_our_networks(activation, temporal) -> None:
    model = small_model(
        activation=activation, attention="none", temporal=temporal, main_temporal=temporal
    ).double()
    x = draw(persons=2).double()
    close(LRP(**EXACT)(model, x, 1).values, InputXGradient()(model, x, 1).values, 1e-6)


def test_epsilon_is_deepshap_against_zero_without_biases() -> None:
    for model, x in (
        (small_cnn(bias=False), images()),
        (unbiased(small_model(activation="relu", attention="none")).double(), draw().double()),
    ):
        shap = DeepSHAP(torch.zeros_like(x[:1]))(model, x, 1)
        close(LRP(**EXACT)(model, x, 1).values, shap.values, 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("attention", "composite"),
    [
        pytest.param(*each, marks=() if i % 17 == 0 else pytest.mark.slow)
        for i, each in enumerate(product(["ja", "fa", "ca", "pa", "stja", "none"], WITHOUT_BOX))
    ],
)
def test_without_biases_the_score_is_conserved(attention, composite) -> None:
    """Rectified or not: SiLU, gates, residuals, graph products, norms."""
    for activation in ("relu", "silu"):
        model = unbiased(small_model(activation=activation, attention=attention)).double()
        found = LRP(composite=composite, epsilon=1e-9)(model, draw(persons=2).double(), 1)
        assert float(found.relative_gap.max()) < 1e-4


def test_single_precision_conserves_as_well() -> None:
    model = unbiased(small_model())
    for composite in ("epsilon", "epsilon-plus", "epsilon-gamma"):
        assert float(LRP(composite=composite)(model, draw(), 1).relative_gap.max()) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("composite", WITHOUT_BOX)
def test_what_is_lost_is_told_by_operation_module_and_reason(composite, tmp_path) -> None:
    model = small_model().double()
    found = LRP(composite=composite)(model, draw(3).double(), [0, 1, 2])
    lost = found.dataset["relevance_lost"]
    np.testing.assert_allclose(lost.sum("operation"), -found.additivity_gap, atol=1e-12)
    size = abs(found.score.to_numpy())
    np.testing.assert_allclose(lost.sel(operation="elsewhere") / size, 0, atol=1e-9)
    assert "main.1.attention: mul (gate takes none)" in lost["operation"].to_numpy()
    gates = [name for name in lost["operation"].to_numpy() if "gate" in name]
    np.testing.assert_allclose(lost.sel(operation=gates) / size[:, None], 0, atol=1e-9)
    head = float(model.head.bias[1].detach())
    if COMPOSITES[composite]["linear"] == "epsilon":
        np.testing.assert_allclose(lost.sel(operation="head: linear (bias)")[1], head, rtol=1e-4)
    found.save(tmp_path / "e.h5")
    again = Explanation.open(tmp_path / "e.h5")
    assert list(again.dataset["operation"].to_numpy()) == list(lost["operation"].to_numpy())


def test_dropped_values_are_lost_elsewhere() -> None:
    """A padded constant is nobody's: y = x + 0 beside 2 padded, whose sum is the score."""
    model = Expression(lambda x: F.pad(x, (0, 1), value=2.0).sum(1, keepdim=True))
    found = LRP()(model, torch.tensor([[3.0]]), 0)
    np.testing.assert_allclose(found.values, [[3]], rtol=1e-5)
    lost = found.dataset["relevance_lost"].sel(operation="elsewhere")
    np.testing.assert_allclose(lost, [2], rtol=1e-5)


def test_the_signal_takes_all_or_half() -> None:
    """s = 3 x sigmoid(0 y + ln 3) = 9/4 x."""
    model = Expression(
        lambda v: (3 * v[:, :1] * torch.sigmoid(v[:, 1:] * 0 + np.log(3))).sum(1, keepdim=True)
    )
    x = torch.tensor([[2.0, 1.0]]).double()
    np.testing.assert_allclose(LRP()(model, x, 0).values, [[4.5, 0]], rtol=1e-5)
    half = LRP(gates="split")(model, x, 0)
    np.testing.assert_allclose(half.values, [[2.25, 0]], rtol=1e-5)
    lost = half.dataset["relevance_lost"]
    # Of the gate's half, 3/4 was 1/2 already at 0; the rest is the shift's, a constant.
    at_zero = "the model itself: sigmoid (value at 0)"
    np.testing.assert_allclose(lost.sel(operation=at_zero), [1.5], rtol=1e-5)
    constant = "the model itself: add (bias)"
    np.testing.assert_allclose(lost.sel(operation=constant), [0.75], rtol=1e-5)


@pytest.mark.parametrize(("formula", "expected"), [
    (lambda v: v.softmax(1) * v.relu(), "signal"),
    (lambda v: v.relu() * v.sigmoid().mean(1, keepdim=True), "signal"),
    (lambda v: torch.einsum("nuv,nv->nu", v[:, :, None].tanh() @ v[:, None].tanh(), v), "signal"),
    (lambda v: v.relu() / (1 + v.relu().sum(1, keepdim=True)), "denominator takes none"),
    (lambda v: v * v, "halves"),
    (lambda v: (v[:, None] @ v[:, :, None])[:, 0], "halves"),
])  # fmt: skip
def test_products_of_what_depends_on_the_input_conserve(formula, expected) -> None:
    model = Expression(lambda v: formula(v).sum(1, keepdim=True))
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(2)).double()
    found = LRP(**EXACT)(model, x, 0)
    np.testing.assert_allclose(found.relative_gap, 0, atol=1e-8)
    why = expected if expected != "signal" else "gate takes none"
    assert any(why in name for name in found.dataset["operation"].to_numpy())


def test_a_normalisation_is_a_gate() -> None:
    """Layer norm: relevance goes past the scale, and the sum is kept."""
    model = nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2, bias=False)).double()
    x = torch.randn(3, 6, generator=torch.Generator().manual_seed(2)).double()
    found = LRP(**EXACT)(model, x, 1)
    np.testing.assert_allclose(found.relative_gap, 0, atol=1e-8)


class SelfAttention(nn.Module):
    """torch's own attention behind a layer norm, and a residual around both."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, time, 8) to (n, 3)."""
        y = self.norm(x)
        return self.head((x + self.attention(y, y, y, need_weights=False)[0]).mean(1))


def test_attention_of_transformers_is_a_gate() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = unbiased(SelfAttention()).double()
    nn.init.zeros_(model.attention.in_proj_bias)
    nn.init.zeros_(model.attention.out_proj.bias)
    x = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(2)).double()
    found = LRP(**EXACT)(model, x, [0, 1, 2])
    np.testing.assert_allclose(found.relative_gap, 0, atol=1e-7)
    names = " ".join(found.dataset["operation"].to_numpy())
    assert "matmul (gate takes none)" in names
    assert "halves" not in names


@pytest.mark.parametrize("key", FAMILIES)
def test_published_families(key) -> None:
    at, x = FAMILIES[key].adapted(), FAMILIES[key].inputs()
    for composite in ("epsilon", "epsilon-plus-flat"):
        found = LRP(composite=composite)(at, x, 1)
        lost = found.dataset["relevance_lost"].sum("operation")
        np.testing.assert_allclose(lost, -found.additivity_gap, atol=1e-6)
        assert float(abs(found.values).max()) > 0
        assert not any("halves" in name for name in found.dataset["operation"].to_numpy())


def test_functions_that_are_called_and_modules_used_twice() -> None:
    model, shape = foreign("functional")
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(2)).double()
    model.double().eval()
    found = LRP(**EXACT, gates="signal")(model, x, 1)
    lost = found.dataset["relevance_lost"]
    np.testing.assert_allclose(lost.sum("operation"), -found.additivity_gap, atol=1e-9)
    assert float(abs(lost.sel(operation="elsewhere")).max()) < 1e-9


def test_positions_persons_and_classes_instead_of_which() -> None:
    model = PositionModel(small_model(activation="relu")).double()
    x = torch.randn(2, 2, 9, 19, 2, generator=torch.Generator().manual_seed(3)).double()
    x[0, :, :, :, 1] = 0  # nobody
    for composite in ("epsilon", "epsilon-plus"):
        found = LRP(composite=composite)(model, x, [2, 1], [0, 2])
        assert found.dims == model.input_dims
        assert found.versus.values.tolist() == [0, 2]
        assert float(abs(found.values[0, ..., 1]).max()) == 0
        assert float(abs(found.values[1, ..., 1]).max()) > 0
        lost = found.dataset["relevance_lost"].sum("operation")
        np.testing.assert_allclose(lost, -found.additivity_gap, rtol=1e-6, atol=1e-9)


def test_a_contrast_is_the_difference_where_relevance_is_linear() -> None:
    model, x = small_model(activation="relu", attention="none").double(), draw(3).double()
    two, one, other = (LRP(**EXACT)(model, x, *asked).values for asked in ((1, 0), (1,), (0,)))
    close(two, one - other, 1e-6)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_output(kind) -> None:
    found = LRP(composite="epsilon-plus")(network(kind), draw(), 1)
    lost = found.dataset["relevance_lost"].sum("operation")
    np.testing.assert_allclose(lost, -found.additivity_gap, rtol=1e-4, atol=1e-4)


def test_samples_do_not_meet_and_the_network_stays_as_it_was() -> None:
    model, x = half_trained(small_model()), draw(3)
    before = traces(model)
    together = LRP(composite="epsilon-gamma")(model, x, [0, 1, 2])
    alone = LRP(composite="epsilon-gamma")(model, x[1:2], 1)
    close(together.values[1], alone.values[0], 1e-4)
    assert traces(model) == before


def test_relevance_of_the_input_needs_a_first_layer() -> None:
    model = PositionModel(small_model())
    with pytest.raises(ValueError, match="lrp: expected a layer .* behind the input .* 'flat'"):
        LRP(composite="epsilon-plus-flat")(model, torch.randn(1, 2, 9, 19, 1), 0)


def test_refusals() -> None:
    x = torch.randn(2, 5, generator=torch.Generator().manual_seed(2))
    for formula, name in ((torch.log_softmax, "log_softmax"), (torch.var, "var")):
        model = Expression(lambda v, f=formula: f(v, 1).reshape(len(v), -1))
        with pytest.raises(
            ValueError, match=f"'{name}' in module .* expected a rule for its relevance"
        ):
            LRP()(model, x, 0)
    three = Expression(lambda v: torch.einsum("ni,ni,ni->ni", v, v, v))
    with pytest.raises(ValueError, match="'einsum' in module .* expected a rule"):
        LRP()(three, x, 0)
    floored = Expression(lambda v: torch.div(v * 9, 2, rounding_mode="floor"))
    with pytest.raises(ValueError, match="'div' in module .* expected a rule"):
        LRP()(floored, x, 0)
    with pytest.raises(ValueError, match="'log' in module .* expected a rule for its relevance"):
        LRP()(Expression(lambda v: (v.abs() + 1).log()), x, 0)
    with pytest.raises(ValueError, match="'cumprod'.*no rule for it"):
        LRP()(Expression(lambda v: v.cumprod(1)), x, 0)
    with pytest.raises(ValueError, match="utility: .*'logit'"):
        LRP(utility="prob")


def test_what_no_relevance_reaches_is_not_refused() -> None:
    model = Expression(lambda v: torch.cat([v, v.var(1, keepdim=True)], 1))
    found = LRP()(model, torch.ones(1, 3), 0)
    np.testing.assert_allclose(found.values, [[1, 0, 0]])
    with pytest.raises(ValueError, match="'var' in module"):
        LRP()(model, torch.arange(3.0)[None], 3)


def test_samples_that_mix_are_refused_where_relevance_meets_them() -> None:
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(2))
    mixed = Expression(lambda v: v * 2 - v.mean(0))
    with pytest.raises(
        ValueError, match="'sub' .* expected values that stand apart for each sample"
    ):
        LRP()(mixed, x, 0)
    beside = Expression(lambda v: (v * 2, v.mean())[0])
    np.testing.assert_allclose(LRP()(beside, x, 0).values[:, 0], 2 * x[:, 0])


def test_an_operation_of_ones_own() -> None:
    @register_relevance("cummax")
    def rule(_op, relevance):
        return [relevance]

    try:
        model = Expression(lambda v: v.cummax(1)[0])
        found = LRP()(model, torch.tensor([[1.0, 2.0]]), 1)
    finally:
        del OWN["cummax"]
    np.testing.assert_allclose(found.values, [[0, 2]])


def test_recipes_are_data_and_mistakes_are_named() -> None:
    own = LRP(composite={"convolution": "gamma"}, gamma=0.5)
    assert own.settings["composite"] == {"convolution": "gamma"}
    with pytest.raises(ValueError, match="composite of .*did you mean 'epsilon-plus'"):
        LRP(composite="epsilon-pluss")
    with pytest.raises(ValueError, match="kind of operation of linear, .*'conv'"):
        LRP(composite={"conv": "gamma"})
    with pytest.raises(ValueError, match="rule of 'graph' of .*'flat'"):
        LRP(composite={"graph": "flat"})
    with pytest.raises(ValueError, match="expected a background"):
        make("lrp", {"composite": "epsilon-gamma-box"})
    made = make("lrp", {"composite": "epsilon-gamma-box"}, {"background": draw()})
    assert float(abs(made(small_model(), draw(seed=2), 1).values).max()) > 0


def test_deep_taylor_shares_among_what_speaks_for_a_score() -> None:
    """Positive relevance for a positive score of a network without biases, all of it."""
    model, x = unbiased(small_model(activation="relu", attention="none")).double(), draw(4).double()
    with torch.no_grad():
        best = model(x).argmax(1)
    found = DeepTaylor(background=3 * draw(6, seed=3).double(), **EXACT)(model, x, best)
    up = found.score.to_numpy() > 0
    assert up.any()
    assert float(found.values[up].min()) >= -1e-12
    assert float(found.relative_gap.max()) < 1e-6


def test_deep_taylor_needs_samples_of_its_shape() -> None:
    with pytest.raises(ValueError, match="shaped like the background"):
        DeepTaylor(background=draw()[..., :5, :])(small_model(), draw(), 0)
    with pytest.raises(ValueError, match="deep-taylor: expected a background"):
        make("deep-taylor", {})


def test_the_forecast_is_of_the_whole_run() -> None:
    told = LRP().forecast(small_model(), draw(), 500)
    assert told.samples == 500
    assert "500 samples" in str(told)
