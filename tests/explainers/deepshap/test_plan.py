"""Plans of networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from fixtures.foreign_networks import Expression, foreign
from torch import Tensor, nn

from hargcn.explainers import DeepSHAP
from hargcn.explainers.deepshap.alignment import Layout
from hargcn.explainers.deepshap.plan import Plan, make_plan
from hargcn.explainers.deepshap.rules_unary import rescale_smooth
from hargcn.explainers.hooks import undisturbed


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def trained_norm(norm: nn.Module) -> nn.Module:
    """Return a batch norm that scales and shifts."""
    size = norm.num_features
    norm.running_mean, norm.running_var = draw(size), draw(size, seed=1).exp()
    return norm.eval()


def plan_of(model: nn.Module, *shape: int) -> Plan:
    rows = torch.randn(2, *shape, generator=torch.Generator().manual_seed(0))
    with undisturbed(model):
        return make_plan(model, model, rows)


def test_knows_rules_modules_and_places():
    plan = plan_of(nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.SiLU(), nn.Linear(3, 2))), 4)
    ruled = [step for step in plan.steps if step.rule]
    assert [(step.name, step.path) for step in ruled] == [("silu", "1.0")]
    assert ruled[0].rule is rescale_smooth
    assert ruled[0].layouts == ruled[0].output_layouts == [Layout(-2)]
    assert not plan.overwrites_input
    # Input (and its copy), hidden layer, its activation and what that lost, output, in float32.
    assert plan.largest == 4 * 4
    assert plan.bytes == 4 * (4 + 3 + 3 + 3 + 2)


def test_persons_in_front_of_the_samples_are_found():
    model, shape = foreign("folded")
    steps = [step for step in plan_of(model, *shape).steps if step.name == "silu"]
    assert steps[0].layouts == [Layout(-3, 2, 1)]


def test_persons_behind_the_samples_are_found():
    def folded(x: Tensor) -> Tensor:
        rows = torch.tanh(x.transpose(1, 2).flatten(0, 1))
        return rows.reshape(len(x), -1)

    steps = [step for step in plan_of(Expression(folded), 4, 3).steps if step.rule]
    assert steps[0].layouts == [Layout(-2, 1, 3)]


def test_convolutions_take_over_their_batch_norms():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv1d(2, 3, 1), nn.BatchNorm1d(3)

        def forward(self, x):
            y = self.conv(x)
            return (self.norm(y) + (y if self.shared else 0)).mean(2)

    model = Shared()
    for model.shared in (False, True):
        steps = {step.name: step for step in plan_of(model, 2, 5).steps if step.path}
        assert (steps["conv1d"].folded is None) is model.shared
        assert steps["batch_norm"].skipped is not model.shared


@pytest.mark.parametrize("named", [(), ("bias",), ("weight", "bias")])
def test_convolutions_whose_arguments_are_named_take_over_theirs_too(named):
    """By keyword the bias was given twice, and a weight was not seen."""
    norm, x = trained_norm(nn.BatchNorm2d(4)), draw(3, 3, 5, 5)
    given = {"weight": draw(4, 3, 2, 2), "bias": draw(4)}
    kwargs = {name: given.pop(name) for name in named}
    model = nn.Sequential(
        Expression(lambda x: F.conv2d(x, *given.values(), **kwargs)), norm, nn.SiLU(), nn.Flatten()
    ).double()
    with undisturbed(model):
        (step,) = (step for step in make_plan(model, model, x).steps if step.name == "conv2d")
    assert step.folded is not None
    found = DeepSHAP(draw(4, 3, 5, 5, seed=1))(model, x, 1)
    assert float(found.relative_gap.max()) < 1e-9


def test_a_matrix_at_each_place_does_not_take_over_the_norm_of_the_places():
    """As many places as features: its channels are last, those of the norm are not."""
    model = nn.Sequential(nn.Linear(4, 5), trained_norm(nn.BatchNorm1d(5)), nn.SiLU(), nn.Flatten())
    x = draw(3, 5, 4)
    found = DeepSHAP(draw(4, 5, 4, seed=1))(model.double(), x, 1)
    assert float(found.relative_gap.max()) < 1e-9


def test_a_tensor_that_is_gone_is_no_use_of_the_next_at_its_address():
    """Counted by id, it kept a batch norm from being folded now and then: other rounding."""

    class Littered(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv1d(2, 2, 1) for _ in range(20))
            self.norms = nn.ModuleList(nn.BatchNorm1d(2) for _ in range(20))

        def forward(self, x):
            for conv, norm in zip(self.convs, self.norms, strict=True):
                for _ in range(10):
                    torch.zeros(2).add(1).mul(2)
                x = norm(conv(x))
            return x.mean(2)

    steps = plan_of(Littered(), 2, 5).steps
    assert [step.folded is None for step in steps if step.name == "conv1d"] == [False] * 20


def test_what_is_overwritten_is_copied():
    def relu_in_place(x: Tensor) -> Tensor:
        y = torch.sigmoid(x)
        z = y.tanh()
        y += 1
        return (y * z).sin_()

    plan = plan_of(Expression(relu_in_place), 3)
    copied = {step.name: step.overwritten for step in plan.steps if step.rule}
    assert copied == {"sigmoid": True, "tanh": True, "mul": True, "sin_": True}
    assert plan_of(Expression(lambda x: x.relu_()), 3).overwrites_input


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (lambda x: x.relu().cumprod(1), "'cumprod' in module 'the model itself': no rule"),
        (lambda x: torch.addcdiv(x, x, x), "'addcdiv' .* no rule"),
        (lambda x: x.clamp(x.mean(1, keepdim=True)), "at most 1 arguments .*got 2"),
    ],
)  # fmt: skip
def test_unknown_operations_are_refused(formula, message):
    with pytest.raises(ValueError, match=message):
        plan_of(Expression(formula), 3)
