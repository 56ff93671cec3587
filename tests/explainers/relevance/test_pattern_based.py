"""PatternNet and PatternAttribution of whole networks: what they keep, cost, say and refuse."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.families import FAMILIES
from fixtures.outcomes import OUTPUTS, network
from fixtures.small_model import half_trained, small_model, traces
from torch import Tensor, nn

from hargcn.explainers import methods
from hargcn.explainers.base import make
from hargcn.explainers.relevance import pattern_based
from hargcn.explainers.relevance.pattern_based import PatternAttribution, PatternNet
from hargcn.explanation import Explanation
from hargcn.networks.branches import PositionModel

METHODS = (PatternNet, PatternAttribution)


def draw(n: int = 2, persons: int = 1, seed: int = 1) -> Tensor:
    return torch.randn(n, 4, 4, 9, 19, persons, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def fits(monkeypatch) -> list[int]:
    """Return the number of background samples of every fit."""
    seen, real = [], pattern_based.learn_patterns

    def counted(network, plan, chunks, *rest):
        parts = list(chunks)
        seen.append(sum(map(len, parts)))
        return real(network, plan, parts, *rest)

    monkeypatch.setattr(pattern_based, "learn_patterns", counted)
    return seen


@pytest.mark.parametrize(
    "cls", [PatternNet, pytest.param(PatternAttribution, marks=pytest.mark.slow)]
)
def test_samples_do_not_meet_and_the_network_stays_as_it_was(cls) -> None:
    model, x = half_trained(small_model()), draw(3)
    before = traces(model)
    explainer = cls(background=draw(6, seed=2))
    together, alone = explainer(model, x, [0, 1, 2]), explainer(model, x[1:2], 1)
    scale = float(abs(alone.values).max())
    np.testing.assert_allclose(together.values[1], alone.values[0], atol=1e-4 * scale)
    assert traces(model) == before
    assert not any(p.grad is not None for p in model.parameters())


def test_what_is_lost_of_relevance_is_told(tmp_path) -> None:
    model = small_model().double()
    found = PatternAttribution(background=draw(8, seed=2).double())(model, draw(3).double(), 1)
    lost = found.dataset["relevance_lost"]
    np.testing.assert_allclose(lost.sum("operation"), -found.additivity_gap, atol=1e-12)
    size = abs(found.score.to_numpy())
    np.testing.assert_allclose(lost.sel(operation="elsewhere") / size, 0, atol=1e-5)
    names = [str(name) for name in lost["operation"].to_numpy()]
    closed = [name for name in names if name.endswith("(closed)")]
    assert "main.0.gcn.act: silu (closed)" in closed
    padded = [name for name in names if "conv" in name and name.endswith("(pattern)")]
    rest = [name for name in names if name not in (*closed, *padded)]
    np.testing.assert_allclose(lost.sel(operation=rest) / size[:, None], 0, atol=1e-5)
    found.save(tmp_path / "e.h5")
    again = Explanation.open(tmp_path / "e.h5").dataset["without_pattern"]
    assert float(again.sel(weighted="main.0.gcn: matmul")) == 0


def test_a_signal_promises_no_sum() -> None:
    found = PatternNet(background=draw(6, seed=2))(small_model(), draw(), 1)
    assert not {"relevance_lost", "additivity_gap", "relative_gap"} & {*found.dataset}
    assert "without_pattern" in found.dataset


def test_the_background_is_streamed(monkeypatch) -> None:
    """Few samples at a time give the patterns of all together."""
    model, x, rows = small_model().double(), draw().double(), draw(7, seed=2).double()
    whole = PatternAttribution(background=rows)(model, x, 1)
    monkeypatch.setattr(pattern_based, "rows_per_pass", lambda *_: 2)
    parts = PatternAttribution(background=rows)(model, x, 1)
    scale = float(abs(whole.values).max())
    np.testing.assert_allclose(parts.values, whole.values, atol=1e-9 * scale)


@pytest.mark.slow
def test_patterns_are_learned_once_for_a_network(fits) -> None:
    model, x = small_model(), draw()
    explainer = PatternNet(background=draw(5, seed=2))
    first = explainer(model, x, 1)
    again = explainer(model, x, 1)
    assert fits == [5]
    np.testing.assert_array_equal(first.values, again.values)
    with torch.no_grad():
        model.head.weight.mul_(-1)
    other = explainer(model, x, 1)
    assert fits == [5, 5]
    fresh = PatternNet(background=draw(5, seed=2))(model, x, 1)
    np.testing.assert_array_equal(other.values, fresh.values)


def test_a_forecast_counts_what_is_learned() -> None:
    """Two forward and one backward per sample, and of 6 background samples a share."""
    model, x = small_model(), draw()
    told = PatternAttribution(background=draw(6, seed=2)).forecast(model, x, 4)
    assert told.samples == 4
    assert (told.each.forward, told.each.backward) == (2 + 2, 1 + 4)
    assert str(told).startswith("4 samples x 9 passes (5 of them backward): about ")


def test_positions_persons_and_classes_instead_of_which() -> None:
    model = PositionModel(small_model(activation="relu")).double()
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(8, 2, 9, 19, 2, generator=generator).double()
    for cls in METHODS:
        found = cls(background=x[2:])(model, x[:2], [2, 1], [0, 2])
        assert found.dims == model.input_dims
        assert found.versus.values.tolist() == [0, 2]
        assert float(abs(found.values).max()) > 0


@pytest.mark.parametrize("key", FAMILIES)
def test_published_families(key) -> None:
    at, x = FAMILIES[key].adapted(), FAMILIES[key].inputs()
    noise = torch.Generator().manual_seed(4)
    rows = torch.cat([x, x + torch.randn(x.shape, generator=noise)])
    found = PatternAttribution(background=rows)(at, x, 1)
    lost = found.dataset["relevance_lost"].sum("operation")
    np.testing.assert_allclose(lost, -found.additivity_gap, atol=1e-6)
    assert float(abs(found.values).max()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
def test_every_kind_of_output(kind) -> None:
    for cls in METHODS:
        found = cls(background=draw(6, seed=2))(network(kind), draw(), 1)
        assert float(abs(found.values).max()) > 0


@pytest.mark.parametrize("name", ["pattern-net", "pattern-attribution"])
def test_refusals(name) -> None:
    assert methods()[name].needs == ("background",)
    with pytest.raises(ValueError, match=f"{name}: expected a background"):
        make(name, {})
    with pytest.raises(ValueError, match="two background samples or more .*got 1"):
        make(name, {}, {"background": draw(1)})
    with pytest.raises(ValueError, match="estimator.*'two-component'"):
        make(name, {"estimator": "positve"}, {"background": draw()})
    explainer = make(name, {}, {"background": draw(3)})
    with pytest.raises(ValueError, match=f"{name}: expected samples shaped like the background"):
        explainer(nn.Flatten(), torch.ones(2, 5), 0)
