"""A trial: a method, a network and windows, asked once, changed and compared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from fixtures.attribution_toys import DIMS, Wrong, network, windows
from torch import Tensor, nn

from hargcn.explainers import DeepSHAP, make
from hargcn.metrics.trial import (
    ERRORS,
    Inapplicable,
    Trial,
    attributions,
    flattened,
    norm,
    relative_to,
)

TARGET = torch.tensor([0, 1, 2])


def trial(explainer: Any = None, **other: Any) -> Trial:
    given = {"explainer": explainer or Wrong(), "model": network(), "x": windows()}
    return Trial(**given | {"target": TARGET} | other)


class Breaks(Wrong):
    """Notes the call, and breaks."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def __call__(self, *_asked: Any) -> Any:
        self.calls += 1
        raise self.error


def test_a_method_is_asked_once_whoever_asks_first():
    asked = trial()
    seconds = asked.ask()
    assert seconds > 0
    assert asked.own is asked.own
    assert (asked.explainer.calls, asked.ask()) == (1, seconds)
    asked.map()  # another explanation is asked for anew
    assert asked.explainer.calls == 2


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("no"), KeyError("x")])
def test_what_breaks_it_is_kept_and_raised_by_whoever_needs_the_answer(error):
    asked = trial(Breaks(error))
    assert asked.ask() > 0  # the forecast goes on
    for _again in range(2):
        with pytest.raises(type(error), match=str(error)) as raised:
            _ = asked.own
        assert raised.value is error
    assert asked.explainer.calls == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt("stop"), SystemExit(3)])
def test_whoever_stops_the_program_is_obeyed(error):
    with pytest.raises(type(error), match=str(error)):
        trial(Breaks(error)).ask()


def test_axes_go_by_name_and_one_that_is_not_there_has_nothing_to_say():
    asked = trial()
    assert asked.dims == DIMS
    assert (asked.axis("joint"), asked.axis("person")) == (3, 4)
    with pytest.raises(Inapplicable, match="^the input names no axis 'branch'$"):
        asked.axis("branch")
    assert issubclass(Inapplicable, ValueError)


def test_scores_are_those_that_the_method_explains_and_leave_no_trace():
    x, model = windows(), network()
    model.train()
    with torch.no_grad():
        logits = network().eval()(x).double()
    for given, expected in (
        (Wrong(), logits),
        (make("gradcam", {"utility": "prob"}, {"layer": "act"}), logits.softmax(1)),
    ):
        found = trial(given, model=model).scores(x)
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert model.training


def test_a_change_reaches_the_background_and_nothing_that_was_given():
    rows = windows(4, 1)
    before = rows.clone(), windows()
    asked = trial(DeepSHAP(rows))
    again = asked.changed(lambda x: 2 * x + 1)
    assert again.x.equal(2 * before[1] + 1)
    assert again.explainer.background.equal(2 * before[0] + 1)
    assert asked.x.equal(before[1])
    assert asked.explainer.background.equal(before[0])
    assert again.target is asked.target
    assert trial().changed(torch.neg).x.equal(-before[1])  # a method without a background


def test_double_precision_is_that_of_a_copy():
    asked = trial(DeepSHAP(windows(4, 1)))
    wide = asked.doubled()
    assert wide.x.dtype == wide.explainer.background.dtype == torch.float64
    assert {p.dtype for p in wide.model.parameters()} == {torch.float64}
    assert {p.dtype for p in asked.model.parameters()} == {torch.float32}
    difference = attributions(wide.own) - attributions(asked.own)
    assert 0 < relative_to(difference, attributions(asked.own)) < 1e-4


def test_one_output_cannot_be_compared_with_another():
    assert trial().outputs == 3
    with pytest.raises(Inapplicable, match="^the network has one output$"):
        _ = trial(model=network(outputs=1)).outputs


class Draws(Wrong):
    """Input x gradient that claims to be drawn, with an error of 0.25 in every cell."""

    seed = 3

    def more(self, maps: Tensor) -> dict[str, Any]:
        return {"variables": {"standard_error": (DIMS, np.full(maps.shape, 0.25))}}


def test_only_what_draws_may_err():
    drawn, fixed = trial(Draws()), trial()
    errors = drawn.errors(drawn.own)
    assert errors.shape == drawn.own.values.shape
    assert (errors == ERRORS * 0.25).all()
    assert not fixed.errors(fixed.own).any()
    shap = trial(DeepSHAP(windows(4, 1)))  # the error of its background is no draw of its own
    assert "standard_error" in shap.own.dataset
    assert not shap.errors(shap.own).any()


def test_joints_come_second_whatever_the_order_of_axes():
    asked = trial()
    made = asked.own
    found = asked.by_joint(made)
    assert found.shape == (3, 5, 2 * 6 * 2)
    values = made.values.to_numpy()
    np.testing.assert_array_equal(found[1, 4], values[1, :, :, 4].reshape(-1))
    counted = np.arange(values.size).reshape(values.shape)
    assert asked.by_joint(made, counted)[2, 3, 0] == counted[2, 0, 0, 3, 0]
    coarse = made.isel(joint=slice(2))
    with pytest.raises(Inapplicable, match="^the map has no axis of the input's joints$"):
        asked.by_joint(coarse)


def test_a_map_without_joints_has_nothing_to_say_of_them():
    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3))

    asked = Trial(make("gradcam", {}, {"layer": "0"}), Mean(), torch.ones(2, 3, 4, 5), TARGET[:2])
    with pytest.raises(Inapplicable, match="names no axis 'joint'"):
        asked.by_joint(trial().own)


def test_sizes_by_hand():
    values = np.array([[[3.0], [4.0]], [[0.0], [0.0]]])
    assert flattened(values).tolist() == [[3, 4], [0, 0]]
    assert norm(values).tolist() == [5, 0]
    assert relative_to(values, np.array([-8.0, 2.0])) == 0.5
    assert relative_to(0 * values, 0 * values) == 0
    assert relative_to(values, 0 * values) > 1e29
