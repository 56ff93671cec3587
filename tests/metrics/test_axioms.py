from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hargcn.explainers import Adapter, Constant, DeepSHAP, FakeCAM, GradCAM, HiResCAM, Random
from hargcn.explainers.attribution.integrated_gradients import IntegratedGradients
from hargcn.explanation import Explanation
from hargcn.metrics.axioms import AXIOMS, Trial, check_axiom
from hargcn.metrics.transformed import rewritten

DIMS = ("sample", "channel", "time", "joint")


class Wrong:
    """Input x gradient with one mistake: each breaks an axiom. Not registered as a method."""

    name, label, promise = "wrong", "wrong", "adds up"
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, mistake: str = "") -> None:
        self.mistake, self.calls = mistake, 0

    def supports(self, _model: nn.Module, _x: Tensor) -> str:
        return ""

    def __call__(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        if self.mistake == "refusal":
            raise ValueError("Expected a relative gap of at most 1e-3 (got 0.2)")
        self.calls += 1
        x = x.clone().requires_grad_()
        logits = model(x)
        score = logits.gather(1, target[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(score.sum(), x)
        maps = (x * gradient).detach()
        places = torch.arange(1.0, x.shape[3] + 1)
        changes = {
            "": lambda: maps,
            "completeness": lambda: 2 * maps,
            "null-player": lambda: maps + 0.1,
            "symmetry": lambda: maps * places,
            "linearity": lambda: maps.clamp(min=0),
            "implementation-invariance": lambda: maps * len(list(model.modules())),
            "continuity": lambda: maps * (1 + (x.detach() * 1e4).sin()),
            "class-sensitivity": lambda: x.detach(),
            "randomisation": lambda: x.detach(),
            "relabelling": lambda: maps * places,
        }
        return Explanation.build(
            changes[self.mistake](), DIMS, method=self.name, target=target, score=score.detach()
        )


def network(bias: bool = False) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        inner = nn.Sequential(
            nn.Conv2d(2, 4, 1, bias=bias), nn.BatchNorm2d(4), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3, bias=bias),
        )  # fmt: skip
    return Adapter(inner.eval(), DIMS, linear_head={"2": inner[5]})


def windows(rows: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(rows, 2, 6, 5, generator=torch.Generator().manual_seed(seed))


def found(explainer: Any, axiom: str) -> Any:
    return check_axiom(axiom, Trial(explainer, network(), windows(), torch.tensor([0, 1, 2])))


@pytest.mark.parametrize("axiom", [name for name in AXIOMS if name != "swapped-persons"])
def test_input_x_gradient_keeps_what_each_mistake_breaks(axiom):
    # Piecewise linear without biases: values sum to the score, by hand.
    assert found(Wrong(), axiom).verdict == "pass"
    broken = found(Wrong(axiom), axiom)
    assert (broken.verdict, broken.why) == ("fail", AXIOMS[axiom].why)
    assert broken.figure > broken.threshold


def test_deepshap_keeps_all_axioms():
    shap = DeepSHAP(windows(4, 1))
    verdicts = {name: found(shap, name).verdict for name in AXIOMS if name != "swapped-persons"}
    assert set(verdicts.values()) == {"pass"}, verdicts


def test_a_broken_promise_that_the_method_notices_itself_is_a_failure():
    x = torch.rand(2, 2, 5, 4)
    trial = Trial(Wrong("refusal"), network(), x, torch.tensor([0, 1]))
    found = check_axiom("completeness", trial)
    assert (found.verdict, "gap of at most 1e-3" in found.why) == ("fail", True)
    assert check_axiom("continuity", trial).verdict == "not applicable"  # nothing of it was seen


def test_the_base_of_a_sum_is_the_methods_own():
    """Integrated gradients begin at the score of the mean window, not at the mean score."""
    rows = 3 * torch.randn(6, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    method = IntegratedGradients(rows)
    trial = Trial(method, network(bias=True), torch.rand(2, 2, 5, 4), torch.tensor([0, 1]))
    with torch.no_grad():
        scores = trial.model(rows).mean(0), trial.model(rows.mean(0, keepdim=True))[0]
    assert (scores[0] - scores[1]).abs().max() > 0.01
    assert check_axiom("completeness", trial).verdict == "pass"


@pytest.mark.parametrize("cam", [GradCAM, HiResCAM])
def test_cams_have_no_promise_of_a_sum(cam):
    one = found(cam(layer="2"), "completeness")
    assert one.verdict == "figure"
    assert "has no promise of a sum" in one.why
    assert found(cam(layer="2"), "linearity").verdict == "pass"
    assert found(cam(layer="2", relu=True), "linearity").verdict == "fail"
    assert found(cam(layer="2"), "relabelling").verdict == "pass"
    # A convolution of one cell: joints that move alike have the same cells.
    assert found(cam(layer="2"), "symmetry").verdict == "pass"


def test_maps_without_content_fail_as_theory_says():
    for cheat in (Constant(), FakeCAM()):
        for axiom in ("null-player", "class-sensitivity", "randomisation", "linearity"):
            assert found(cheat, axiom).verdict == "fail", (cheat.name, axiom)
    assert found(Constant(), "continuity").verdict == "pass"
    for axiom in ("null-player", "symmetry", "linearity"):
        assert found(Random(1), axiom).verdict == "fail", axiom


def test_what_an_axiom_cannot_say_is_not_a_failure():
    nobody = found(GradCAM(layer="2"), "swapped-persons")
    assert (nobody.verdict, nobody.why) == ("not applicable", "the input names no axis 'person'")
    prob = found(GradCAM(layer="2", utility="prob"), "linearity")
    assert prob.verdict == "not applicable"
    assert np.isnan(prob.figure)


def test_the_same_function_written_differently_and_the_users_as_it_was():
    model, x = network(bias=True), windows()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    other, changed = rewritten(model)
    assert changed == 3
    torch.testing.assert_close(other(x), model(x))
    for axiom in AXIOMS:
        check_axiom(axiom, Trial(GradCAM(layer="2"), model, x, torch.tensor([0, 1, 2])))
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
