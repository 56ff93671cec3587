"""The registry of rules."""

from __future__ import annotations

import pytest
import torch
from torch.utils._pytree import tree_flatten

from hargcn.explainers.deepshap.alignment import Layout
from hargcn.explainers.deepshap.rules import RULES, Operation, Step, register_rule


def operation(n: int = 2) -> Operation:
    """One clamp of (n, 3) rows with a constant bound."""
    leaves, spec = tree_flatten(((None,), {"min": 0.5, "max": None}))
    step = Step("clamp", "head.act", slots=(0,), layouts=[Layout(-2)], output_layouts=[Layout(-2)])
    return Operation(step, torch.clamp, leaves, spec, (torch.zeros(n, 3),), (torch.zeros(n, 3),), n)


def test_registers_under_every_name_and_replaces():
    before = dict(RULES)
    try:
        rule = register_rule("fancy", "fancier", arity=1, linear_when=lambda slots: not slots)(
            lambda _op, grad: [grad]
        )
        assert RULES["fancy"].rule is RULES["fancier"].rule is rule
        assert RULES["fancy"].arity == 1
        assert RULES["fancy"].linear_when(())
        other = register_rule("fancy")(lambda op, grad: [grad, op])
        assert RULES["fancy"].rule is other
    finally:
        RULES.clear()
        RULES.update(before)


def test_operation_calls_with_other_operands():
    op = operation()
    assert torch.equal(op.call(torch.tensor([0.1, 0.9])), torch.tensor([0.5, 0.9]))
    assert op.argument("min", 1) == 0.5
    assert op.argument("absent", 7, "default") == "default"
    assert op.argument("input", 0) is None


def test_operation_repeats_the_sample():
    op = operation(n=4)
    op.sample = ((torch.ones(1, 3),), (torch.full((1, 3), 2.0),))
    assert torch.equal(op.inputs[0], torch.ones(4, 3))
    assert torch.equal(op.results[0], torch.full((4, 3), 2.0))


@pytest.mark.parametrize(("path", "named"), [("head.act", "head.act"), ("", "the model itself")])
def test_step_says_where_it_is(path, named):
    assert Step("exp", path).where == f"operation 'exp' in module '{named}'"
