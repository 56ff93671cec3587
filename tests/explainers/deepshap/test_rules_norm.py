"""The rule of layer norms is what the spelled-out operations give, whatever the form."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression
from torch import Tensor

from hargcn.explainers.deepshap import decompositions
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.deepshap.plan import make_plan
from hargcn.explainers.hooks import undisturbed


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


W, B = draw(8, seed=5), draw(8, seed=6)
FORMS: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "last axis": (lambda x: x, (8,)),
    "two axes": (lambda x: x, (6, 8)),
    "persons in front": (lambda x: x.transpose(0, 1).flatten(0, 1), (8,)),
    "persons behind": (lambda x: x.flatten(0, 1), (8,)),
    "channels first": (lambda x: x.movedim(-1, 1).contiguous().movedim(1, -1), (8,)),
}


def score(form: str, norm: Callable[..., Tensor], weight: Tensor | None, shift: Tensor | None):
    prepare, shape = FORMS[form]
    scale = None if weight is None else weight.expand(shape)
    level = None if shift is None else shift.expand(shape)

    def formula(x: Tensor) -> Tensor:
        y = norm(prepare(x), shape, scale, level, 1e-3).tanh()
        y = y.unflatten(0, (3, -1)).transpose(0, 1) if form == "persons in front" else y
        return y.reshape(len(x), -1).cumsum(1).mean(1, keepdim=True)

    return Expression(formula)


@pytest.mark.parametrize("large", [False, True])  # torch's passes, and the compiled loop
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("form", FORMS)
def test_says_what_the_operations_spelled_out_say(form, weighted, large):
    size = (3, 60, 6, 8) if large else (3, 2, 6, 8)
    rows, x = draw(10, *size), draw(2, *size, seed=2)
    given = (W, B) if weighted else (None, None)
    one = DeepSHAP(rows)(score(form, F.layer_norm, *given), x, 0)
    many = DeepSHAP(rows)(score(form, decompositions.layer_norm, *given), x, 0)
    assert float(one.relative_gap.max()) < 1e-9
    bound = 1e-9 * float(abs(many.values).max())
    np.testing.assert_allclose(one.values, many.values, rtol=0, atol=bound)


def test_a_norm_with_computed_weights_is_spelled_out():
    rows, x = draw(4, 6, 8), draw(2, 6, 8, seed=2)
    model = Expression(
        lambda x: F.layer_norm(x, (8,), x.mean((0, 1)) * 0 + W, B).square().sum((1, 2))[:, None]
    )
    with undisturbed(model):
        plan = make_plan(model, model, rows[:2])
    (step,) = (step for step in plan.steps if step.name == "layer_norm")
    assert step.body is decompositions.layer_norm
    assert step.rule is None
    assert float(DeepSHAP(rows)(model, x, 0).relative_gap.max()) < 1e-9


def test_statistics_of_the_background_are_taken_once(monkeypatch):
    from hargcn.explainers.deepshap import rules_norm

    taken, right = [], rules_norm._statistics
    monkeypatch.setattr(
        rules_norm, "_statistics", lambda x, eps: taken.append(len(x)) or right(x, eps)
    )
    DeepSHAP(draw(5, 8))(Expression(lambda x: F.layer_norm(x, (8,), W)), draw(3, 8, seed=2), 0)
    assert taken == [5, 1, 1, 1]
