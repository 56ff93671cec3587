from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from fixtures.attribution_toys import Wrong, network, windows
from fixtures.small_model import ours
from torch import Tensor, nn

from hargcn.explainers import Constant, DeepSHAP, FakeCAM, GradCAM, HiResCAM, Random, make
from hargcn.explainers.attribution.integrated_gradients import (
    ExpectedGradients,
    IntegratedGradients,
)
from hargcn.metrics.axioms import AXIOMS, ROUNDING, check_axiom
from hargcn.metrics.trial import Trial
from hargcn.outputs import outputs_of

TARGET = torch.tensor([0, 1, 2])


def trial(explainer: Any, **other: Any) -> Trial:
    return Trial(
        **{"explainer": explainer, "model": network(), "x": windows(), "target": TARGET} | other
    )


def found(explainer: Any, axiom: str, **other: Any) -> Any:
    return check_axiom(axiom, trial(explainer, **other))


@pytest.mark.parametrize("axiom", AXIOMS)
def test_every_axiom_has_a_method_that_keeps_it_and_one_that_breaks_it(axiom):
    # Piecewise linear without biases: values sum to the score, by hand.
    kept, broken = found(Wrong(), axiom), found(Wrong(axiom), axiom)
    assert (kept.verdict, broken.verdict) == ("pass", "fail"), (kept, broken)
    assert kept.figure <= kept.threshold < broken.figure
    assert broken.why.startswith(AXIOMS[axiom].why)


@pytest.mark.parametrize("axiom", AXIOMS)
def test_a_forecast_knows_how_many_explanations_an_axiom_takes(axiom):
    method = Wrong()
    asked = trial(method)
    assert asked.ask() > 0
    assert method.calls == 1
    check_axiom(axiom, asked)
    asked_for = method.calls - 1
    # The cascade of a network of three modules with parameters is shorter than most.
    assert asked_for == 3 if axiom == "randomisation" else asked_for == AXIOMS[axiom].maps


def test_theorems_leave_room_for_rounding_only_and_criteria_say_their_reason():
    for name, axiom in AXIOMS.items():
        if axiom.kind == "theorem":
            assert (axiom.threshold, axiom.reason) == (ROUNDING, ""), name
        else:
            assert len(axiom.reason) > 20, name
            assert found(Wrong(name), name).why == f"{axiom.why}; {axiom.reason}"
            assert found(Wrong(), name).why == axiom.reason
    criteria = {name for name, axiom in AXIOMS.items() if axiom.kind == "criterion"}
    assert criteria == {"continuity", "class-sensitivity", "randomisation"}


def test_deepshap_keeps_all_axioms():
    shap = DeepSHAP(windows(4, 1))
    verdicts = {name: found(shap, name).verdict for name in AXIOMS}
    assert set(verdicts.values()) == {"pass"}, verdicts


class Rounded(Wrong):
    """A map that loses digits, and with them an axiom, unless in double precision."""

    def __call__(self, model: nn.Module, x: Tensor, target: Any) -> Any:
        made = super().__call__(model, x, target)
        lost = 1e4 * torch.finfo(x.dtype).eps * len(list(model.modules()))
        return made.__class__(made.dataset.assign(attribution=made.values * (1 + lost)))


def test_rounding_fails_nothing():
    asked = trial(Rounded())
    before = asked.model.state_dict()
    narrow, wide = asked.own.values, asked.doubled().own.values
    assert 1e-4 < float(abs(narrow - wide).max() / abs(wide).max()) < 0.1
    result = check_axiom("implementation-invariance", asked)
    assert (result.verdict, result.figure < 1e-6) == ("pass", True)
    assert all(value.dtype == torch.float32 for value in before.values() if value.ndim)


def test_deepshap_follows_the_function_and_not_its_operations():
    """Its secants of nearly equal inputs differ by more than 1e-3 in single precision."""
    model, x = ours(), torch.randn(2, *_shape(ours()), generator=torch.Generator().manual_seed(0))
    rows = torch.randn(2, *_shape(model), generator=torch.Generator().manual_seed(1))
    result = check_axiom(
        "implementation-invariance", Trial(DeepSHAP(rows), model, x, torch.tensor([0, 1]))
    )
    assert result.verdict == "pass", result


class Edges(Wrong):
    """A share of the edge detector in an honest map."""

    def __init__(self, share: float) -> None:
        super().__init__("randomisation")
        self.share = share

    def __call__(self, model: nn.Module, x: Tensor, target: Any) -> Any:
        edges, honest = super().__call__(model, x, target), Wrong()(model, x, target)
        size = float(abs(honest.values).max()) / float(abs(edges.values).max())
        mixed = self.share * size * edges.values + (1 - self.share) * honest.values
        return edges.__class__(edges.dataset.assign(attribution=mixed))


def test_the_cascade_is_judged_by_its_whole_curve():
    blind = found(Wrong("randomisation"), "randomisation")
    np.testing.assert_allclose(blind.curve, 1)
    honest = found(Wrong(), "randomisation")
    assert len(honest.curve) == len(blind.curve) == 3  # head, norm and convolution
    assert honest.figure == pytest.approx(np.mean(honest.curve))
    assert honest.curve[0] < 0.9  # the head alone changes it
    figures = [found(Edges(share), "randomisation").figure for share in (0.1, 0.5, 0.9)]
    assert honest.figure < figures[0] < figures[1] < figures[2] < 1
    assert found(Edges(0.9), "randomisation").verdict == "fail"


class Breaks(Wrong):
    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def __call__(self, *_asked: Any) -> Any:
        self.calls += 1
        raise self.error


def test_a_broken_promise_that_the_method_notices_itself_is_a_failure():
    refused = Breaks(ValueError("Expected a relative gap of at most 1e-3 (got 0.2)"))
    gap = found(refused, "completeness")
    assert (gap.verdict, "gap of at most 1e-3" in gap.why) == ("fail", True)
    assert found(refused, "continuity").verdict == "not applicable"  # nothing of it was seen


@pytest.mark.parametrize(
    "error", [RuntimeError("out of memory"), NotImplementedError("no rule"), MemoryError()]
)
def test_a_method_that_breaks_is_an_error_of_every_axiom_and_is_asked_once(error):
    method = Breaks(error)
    asked = trial(method)
    results = [check_axiom(name, asked) for name in ("completeness", "null-player", "continuity")]
    assert {result.verdict for result in results} == {"error"}
    assert results[0].why == f"{type(error).__name__}: {error}".removesuffix(": ")
    assert method.calls == 1
    assert np.isnan(results[0].figure)


def test_an_interrupt_passes():
    with pytest.raises(KeyboardInterrupt):
        found(Breaks(KeyboardInterrupt()), "linearity")


def test_the_base_of_a_sum_is_the_methods_own():
    """Integrated gradients begin at the score of the mean window, not at the mean score."""
    rows = 3 * windows(6)
    model = network(bias=True)
    with torch.no_grad():
        scores = model(rows).mean(0), model(rows.mean(0, keepdim=True))[0]
    assert (scores[0] - scores[1]).abs().max() > 0.01
    result = found(IntegratedGradients(rows), "completeness", model=model)
    assert result.verdict == "pass"


@dataclass
class Drawn(Wrong):
    """Input x gradient from draws: every cell with one error, known, and the same for all cells."""

    seed: int
    error: float = 0.01
    bias: float = 0.0
    mistake = ""
    calls = 0

    def __post_init__(self) -> None:
        self.draw = np.random.default_rng(self.seed).normal()

    def more(self, maps: Tensor) -> dict[str, Any]:
        maps += self.error * self.draw + self.bias * self.error
        sums = np.full(len(maps), self.error * maps[0].numel())
        own = (("sample", "channel", "time", "joint", "person"), np.full(maps.shape, self.error))
        return {"variables": {"standard_error": own, "sum_standard_error": sums}}


def test_what_is_drawn_widens_an_axiom_in_its_own_units():
    # One error in all 120 cells: that of the sum is 120 of a cell's, not one relative to the map.
    results = [found(Drawn(seed), "completeness") for seed in range(40)]
    assert {result.verdict for result in results} == {"pass"}
    assert sum(result.figure > ROUNDING for result in results) > 35
    x, model = windows(), network()
    with torch.no_grad():
        score = model(x).gather(1, TARGET[:, None])[:, 0].abs()
    each = 4 * 120 * 0.01 / score.numpy()
    assert min(abs(each - (results[0].threshold - ROUNDING))) < 1e-4
    assert found(Drawn(0, bias=6), "completeness").verdict == "fail"
    # A joint that nobody reads has the error of a cell, and a mistake of ten is one.
    assert found(Drawn(1), "null-player").verdict == "pass"
    assert found(Drawn(1, bias=10), "null-player").verdict == "fail"
    # The same draws on both sides: nothing to allow for.
    assert found(Drawn(1), "linearity").threshold == ROUNDING


def test_expected_gradients_are_judged_by_the_error_of_their_sum():
    rows, asked = windows(6, 1), {"model": network(bias=True)}
    for seed in range(5):
        result = found(ExpectedGradients(rows, samples=30, seed=seed), "completeness", **asked)
        assert result.verdict == "pass", result
    assert result.threshold > ROUNDING
    large = found(ExpectedGradients(rows, samples=3000), "completeness", **asked)
    assert large.threshold < result.threshold / 5


@pytest.mark.parametrize("cam", [GradCAM, HiResCAM])
def test_cams_have_no_promise_of_a_sum(cam):
    one = found(cam(layer="act"), "completeness")
    assert one.verdict == "figure"
    assert one.why == "the method promises no sum"
    assert found(cam(layer="act"), "linearity").verdict == "pass"
    assert found(cam(layer="act", relu=True), "linearity").verdict == "fail"
    assert found(cam(layer="act"), "relabelling").verdict == "pass"
    # A convolution of one cell: joints that move alike have the same cells.
    assert found(cam(layer="act"), "symmetry").verdict == "pass"


def test_maps_without_content_fail_as_theory_says():
    for cheat in (Constant(), FakeCAM()):
        for axiom in ("null-player", "class-sensitivity", "randomisation", "linearity"):
            assert found(cheat, axiom).verdict == "fail", (cheat.name, axiom)
    assert found(Constant(), "continuity").verdict == "pass"
    for axiom in ("null-player", "symmetry", "linearity", "continuity"):
        assert found(Random(1), axiom).verdict == "fail", axiom


def test_what_an_axiom_cannot_say_is_not_a_failure():
    class Nameless(nn.Flatten):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x)[:, :3]

    nobody = found(DeepSHAP(windows(2, 1)), "swapped-persons", model=Nameless())
    assert (nobody.verdict, nobody.why) == ("not applicable", "the input names no axis 'person'")
    prob = found(GradCAM(layer="act", utility="prob"), "linearity")
    assert prob.verdict == "not applicable"
    assert np.isnan(prob.figure)
    one = found(Wrong(), "class-sensitivity", model=network(outputs=1), target=0 * TARGET)
    assert (one.verdict, one.why) == ("not applicable", "the network has one output")


@pytest.mark.parametrize(
    ("method", "verdict"),
    [("gradcam", "pass"), ("hirescam", "pass"), ("inputxgradient", "pass"), ("shap", "pass"),
     ("guided-backprop", "fail"), ("deconvnet", "fail")],
)  # fmt: skip
def test_the_same_function_in_other_operations(method, verdict):
    """What follows derivatives stays; what has rules for single operations need not."""
    explainer = make(method, {}, {"layer": "act", "background": windows(4, 1)})
    result = found(explainer, "implementation-invariance", model=network(bias=True))
    assert result.verdict == verdict, result


def test_the_users_network_stays_as_it_was():
    model = network(bias=True)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    hooks = [len(module._forward_hooks) for module in model.modules()]
    for axiom in AXIOMS:
        found(GradCAM(layer="act"), axiom, model=model)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert [len(module._forward_hooks) for module in model.modules()] == hooks


def test_a_skeleton_is_numbered_anew_with_its_joints():
    """Players that are parts of the body are equivariant if the body is renumbered with them."""
    model = ours()
    x = torch.randn(1, *_shape(model), generator=torch.Generator().manual_seed(0))
    occlusion = make("occlusion", {"by": "part"}, {"background": x})
    result = check_axiom("relabelling", Trial(occlusion, model, x, torch.tensor([1])))
    assert result.verdict == "pass", result


def _shape(model: Any) -> tuple[int, ...]:
    assert outputs_of(model).columns
    return len(model.streams), 2 * model.skeleton.ndim, 8, model.skeleton.n_joints, 2
