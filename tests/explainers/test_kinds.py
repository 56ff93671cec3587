"""Outputs other than classes: every method explains those it says, refuses others in one line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.methods import CAMS, cam
from fixtures.outcomes import OUTPUTS, network

from hargcn.explainers import DeepSHAP, explain_all, methods
from hargcn.explainers.base import about
from hargcn.explainers.scores import class_scores
from hargcn.explainers.targets import named_classes
from hargcn.outputs import KINDS, Outputs

LAYER = "main.1.attention"
VALUES = "ordinal, multi-label"


def inputs(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("utility", ["logit", "prob", "logprob", "rest"])
def test_shap_adds_up_in_units_of_the_score(kind, utility) -> None:
    model, x, background = network(kind), inputs(), inputs(4, 1)
    explainer = DeepSHAP(background, utility=utility)
    if kind == "regression" and utility != "logit":
        with pytest.raises(ValueError, match="shap: Expected utility 'logit', the value itself"):
            explainer(model, x, 1)
        return
    with torch.no_grad():
        out, level = model(x), model(background)
    score = class_scores(out, utility, model.outputs)[:, 1]
    base = class_scores(level, utility, model.outputs)[:, 1].mean()
    found = explainer(model, x, 1)
    np.testing.assert_allclose(found.score, score, rtol=1e-5)
    np.testing.assert_allclose(found.base_value, base, rtol=1e-5)
    total = found.values.sum([dim for dim in found.dims if dim != "sample"])
    np.testing.assert_allclose(total + found.base_value, found.score, rtol=1e-4, atol=1e-4)
    if kind == "regression":
        assert abs(float(base) - 20) < 15  # points, not standard deviations of them


def test_attributions_of_all_levels_are_one_and_the_same() -> None:
    model, explainer = network("ordinal"), DeepSHAP(inputs(4, 1))
    mild, severe = (explainer(model, inputs(), column) for column in (0, 1))
    np.testing.assert_allclose(mild.values, severe.values, atol=1e-6)
    apart = model.head.thresholds.detach().diff().item()
    np.testing.assert_allclose(mild.score - severe.score, apart, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", OUTPUTS)
@pytest.mark.parametrize("name", CAMS)
def test_maps_of_every_kind_or_a_line(kind, name) -> None:
    model, x = network(kind), inputs(2)
    explainer = cam(name, LAYER)
    own = type(explainer)
    values = kind == "regression" and getattr(explainer, "utility", "logit") != "logit"
    if kind not in own.kinds:
        with pytest.raises(ValueError, match=rf"{name}.*: expected a network of classes, {VALUES}"):
            explainer(model, x, 0)
        return
    if values:
        with pytest.raises(ValueError, match=f"{name}: Expected utility 'logit'"):
            explainer(model, x, 0)
        explainer = own(LAYER, utility="logit")
    found = explainer(model, x, 0)
    with torch.no_grad():
        expected = class_scores(model(x), explainer.utility, model.outputs)[:, 0]
    np.testing.assert_allclose(found.score, expected, rtol=1e-5)
    assert np.abs(found.values).max() > 0


def test_maps_of_values_are_in_the_units_of_the_values() -> None:
    """Twice the spread of the outcomes gives a map twice as large, wherever their zero lies."""
    model, x = network("regression"), inputs(2)
    before = cam("gradcam", LAYER)(model, x, 1)
    model.head.scale *= 2
    model.head.mean += 100
    after = cam("gradcam", LAYER)(model, x, 1)
    np.testing.assert_allclose(after.values, 2 * before.values, rtol=1e-5, atol=1e-9)


def test_methods_that_mix_units_are_not_for_values() -> None:
    refusing = {name for name, cls in methods().items() if "regression" not in cls.kinds}
    assert refusing == {"scorecam", "ablationcam", "gradcam++", "prediction-difference"}
    assert about(methods()["scorecam"])["outputs"] == ["classes", "ordinal", "multi-label"]
    assert about(methods()["shap"])["outputs"] == list(KINDS)
    with pytest.raises(ValueError, match=r"gradcam\+\+: expected a network of classes"):
        explain_all([cam("gradcam++", LAYER)], network("regression"), inputs(1), 0)


LOGITS = torch.tensor([[-1.0, -3.0], [2.0, -1.0], [3.0, 1.0]])


@pytest.mark.parametrize(
    ("kind", "word", "expected"),
    [
        ("ordinal", "predicted", [0, 0, 1]),  # levels none, mild, severe
        ("ordinal", "label", [1, 0, 0]),
        ("ordinal", "severe", [1, 1, 1]),
        ("ordinal", "at least mild", [0, 0, 0]),
        ("multi-label", "predicted", [0, 0, 0]),
        ("multi-label", "ataxia", [1, 1, 1]),
        ("regression", "pain", [1, 1, 1]),
    ],
)
def test_words_for_outputs(kind, word, expected) -> None:
    found = named_classes(word, LOGITS, np.array([2, 0, 1]), OUTPUTS[kind])
    assert found.tolist() == expected


def test_the_only_value_needs_no_name() -> None:
    one = Outputs("regression", ("score",))
    assert named_classes("predicted", LOGITS[:, :1], np.full(3, -1), one).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("kind", "word", "match"),
    [
        ("regression", "predicted", "the name of an output of score, pain .*says nothing of reg"),
        ("regression", "label", "'label', which says nothing of regression outputs"),
        ("multi-label", "label", "'label', which says nothing of multi-label outputs"),
        ("ordinal", "label", "levels of all windows to explain them .missing for 1 of 3"),
        ("ordinal", "sever", "did you mean 'severe'"),
        ("ordinal", "none", "an output of at least mild, at least severe"),
        ("regression", "pian", "did you mean 'pain'"),
    ],
)
def test_words_that_say_nothing_are_refused(kind, word, match) -> None:
    with pytest.raises(ValueError, match=match):
        named_classes(word, LOGITS, np.array([2, -1, 1]), OUTPUTS[kind])
