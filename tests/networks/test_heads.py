"""Heads: one matrix whatever they say, units of the outcomes, thresholds in order."""

from __future__ import annotations

import pytest
import torch
from fixtures.outcomes import OUTPUTS, network

from hargcn.networks.checkpoint import load_model, save_model
from hargcn.networks.heads import OrdinalHead, ValueHead, head, matrix

POOLED = torch.randn(5, 7, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_head_is_one_matrix_and_one_bias(kind) -> None:
    made = head(7, OUTPUTS[kind])
    weight, bias = matrix(made)
    assert weight.shape == (len(OUTPUTS[kind].columns), 7)
    torch.testing.assert_close(POOLED @ weight.T + bias, made(POOLED))


def test_values_come_in_the_units_of_the_outcomes() -> None:
    made = ValueHead(7, 2)
    plain = made(POOLED)
    made.learn_units(torch.tensor([[10.0, 1.0], [30.0, 1.0], [float("nan"), 1.0]]))
    assert made.mean.tolist() == [20, 1]
    assert made.scale.tolist() == [10, 1]  # equal outcomes have no spread of their own
    torch.testing.assert_close(made(POOLED), plain * torch.tensor([10.0, 1]) + made.mean)


def test_no_level_is_more_probable_than_a_lower_one() -> None:
    made = OrdinalHead(7, 6)
    torch.testing.assert_close(made.thresholds, torch.arange(5.0) - 2)
    with torch.no_grad():
        made.first.fill_(3)
        made.steps.copy_(torch.tensor([-40.0, -1, 0, 5]))
    assert (made.thresholds.diff() >= 0).all()
    assert (made(POOLED).diff(dim=1) <= 0).all()
    # One score behind all levels: they differ by the same constants in every sample.
    torch.testing.assert_close(made(POOLED).diff(dim=1), (-made.thresholds.diff()).expand(5, -1))


def test_two_levels_have_one_threshold() -> None:
    assert OrdinalHead(7, 2)(POOLED).shape == (5, 1)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_checkpoint_brings_the_outputs_back(tmp_path, kind) -> None:
    made = network(kind)
    x = torch.randn(2, 4, 4, 16, 19, 1, generator=torch.Generator().manual_seed(1))
    found = load_model(save_model(made, tmp_path / "model.safetensors"))
    assert found.outputs == OUTPUTS[kind]
    assert torch.equal(found(x), made(x))


def test_a_card_of_odd_outputs_is_refused(tmp_path) -> None:
    path = save_model(network("regression"), tmp_path / "model.safetensors")
    card = path.with_suffix(".json")
    card.write_text(card.read_text().replace('"kind": "regression"', '"kind": "sums"'))
    with pytest.raises(ValueError, match="Expected kind of outputs of classes, regression"):
        load_model(path)
