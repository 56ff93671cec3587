from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Line, explained

from hargcn.explainers.baselines import Constant, Random
from hargcn.metrics.runner import Runner
from hargcn.metrics.stability import stability
from hargcn.perturbation import InputEdit

NOISE = InputEdit("noise", 0.05)


def windows(n: int = 6) -> torch.Tensor:
    return 1 + torch.rand(n, 1, 1, 5, 3, 1, generator=torch.Generator().manual_seed(0))


class Net(Line):
    """As `Line`, with a submodule "body" that passes the time means on."""

    def __init__(self) -> None:
        super().__init__([1.0, 1.0, 1.0])
        self.body = torch.nn.Identity()

    def forward(self, x, edges=None):
        return super().forward(self.body(x.mean(3, keepdim=True)), edges)


def proportional(model, x, target):
    """An explanation equal to the window changes exactly as much as the window does."""
    del model
    return explained(x[:, 0, 0, :, :, 0], target)


def test_an_explanation_that_is_the_input_has_ris_one():
    model, x = Net(), windows()
    each = proportional(model, x, torch.zeros(6, dtype=int))
    for relative in ("element", "norm"):
        found = stability(model, x, each, proportional, NOISE, layer="body", relative=relative)
        np.testing.assert_allclose(found["ris"], 1, rtol=1e-5)
        # The mean over time moves less than the frames do.
        assert (found["rrs"] > 1).all()
        assert set(found) == {"ris", "rrs", "ros"}


def test_norm_variants_carry_another_name():
    model, x = Net(), windows()
    each = proportional(model, x, torch.zeros(6, dtype=int))
    norm = stability(model, x, each, proportional, NOISE, relative="norm")
    element = stability(model, x, each, proportional, NOISE)
    assert "rrs" not in element
    assert not np.allclose(norm["ros"], element["ros"])


def test_a_constant_is_perfectly_stable_and_a_random_map_is_not():
    model, x = Net(), windows()
    values = {}
    for explainer in (Constant(), Random(2)):
        found = stability(model, x, explainer(model, x, 0), explainer, NOISE)
        values[explainer.name] = float(found["ris"].mean())
    assert values["constant"] == 0
    assert values["random"] > 10


def test_neighbours_of_another_class_do_not_count():
    model = Net()
    x = windows()
    x[0] -= 1.5
    each = proportional(model, x, torch.zeros(6, dtype=int))
    huge = stability(model, x, each, proportional, InputEdit("noise", 30.0), neighbours=1)
    prediction = Runner().logits(model, x).argmax(1)
    seeds = np.column_stack([np.full(6, 1234), np.arange(6), np.zeros(6, int)])
    moved = InputEdit("noise", 30.0).apply(x, torch.ones(6, 3, dtype=torch.bool), seeds=seeds)
    same = Runner().logits(model, moved).argmax(1) == prediction
    assert 0 < same.sum() < 6
    assert np.array_equal(np.isfinite(huge["ris"]), same)


def test_batches_do_not_matter_and_hooks_are_gone():
    model, x = Net(), windows()
    each = proportional(model, x, torch.zeros(6, dtype=int))
    few, many = (
        stability(model, x, each, proportional, NOISE, layer="body", run=Runner(batch=b))
        for b in (2, 6)
    )
    for name in few:
        np.testing.assert_allclose(few[name], many[name], rtol=1e-4)
    assert not model.body._forward_hooks


def test_a_neighbour_must_be_drawn():
    model, x = Net(), windows()
    with pytest.raises(ValueError, match="draws neighbours"):
        stability(model, x, proportional(model, x, torch.zeros(6)), proportional, InputEdit("mean"))


def test_the_worst_of_the_neighbours_counts():
    model, x = Net(), windows()
    each = proportional(model, x, torch.zeros(6, dtype=int))
    one, five = (
        stability(model, x, each, proportional, NOISE, neighbours=n, layer="body")["rrs"]
        for n in (1, 5)
    )
    assert (five >= one).all()
    assert (five > one).sum() >= 3


def test_the_unit_of_an_explanation_does_not_matter():
    model, x = Net(), windows()

    def small(model, x, target):
        del model
        return explained(1e-6 * x[:, 0, 0, :, :, 0], target)

    each = small(model, x, torch.zeros(6, dtype=int))
    for relative in ("element", "norm"):
        found = stability(model, x, each, small, NOISE, relative=relative)
        np.testing.assert_allclose(found["ris"], 1, rtol=1e-3)
