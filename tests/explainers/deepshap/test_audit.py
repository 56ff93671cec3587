"""Finding the operation that breaks the sum."""

from __future__ import annotations

import pytest
import torch
from fixtures.foreign_networks import FOREIGN, foreign

from hargcn.explainers.deepshap.audit import audit
from hargcn.explainers.deepshap.plan import make_plan
from hargcn.explainers.deepshap.rules import RULES, register_rule
from hargcn.explainers.hooks import undisturbed


@pytest.fixture
def restored_rules():
    """Give back the registered rules after the test."""
    before = dict(RULES)
    yield
    RULES.clear()
    RULES.update(before)


def findings(name):
    model, shape = foreign(name)
    model.double()
    rows = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1)).double()
    with undisturbed(model):
        steps = make_plan(model, model, rows).steps
        return audit(model, steps, rows[:1], rows[1:], 0)


@pytest.mark.parametrize("name", FOREIGN)
def test_sound_rules_pass(name):
    found = findings(name)
    assert len(found) > 5
    assert found[0].gap < 1e-12
    assert found == sorted(found, key=lambda finding: -finding.gap)


@pytest.mark.usefixtures("restored_rules")
@pytest.mark.parametrize(
    ("name", "operation", "path"),
    [
        ("functional", "hardswish", ""),
        ("self-attention", "gelu", "encoder.layers"),
        ("folded", "tanh", ""),
    ],
)
def test_blames_the_operation_and_its_module(name, operation, path):
    register_rule(operation)(lambda _op, grad: [0.5 * grad])
    worst = findings(name)[0]
    assert worst.name == operation
    assert worst.path.startswith(path)
    assert worst.gap > 1e-4
