"""Measures of outputs other than classes: what p_c is there, and what is not defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.outcomes import OUTPUTS, network
from scipy.special import expit

from hargcn.explainers.baselines import Random
from hargcn.metrics.curves import perturbation_curves
from hargcn.metrics.faithfulness import gap_curve
from hargcn.metrics.registry import METRICS, Case, expect_defined
from hargcn.metrics.runner import Runner, probability, same_answer
from hargcn.metrics.table import metric_table
from hargcn.outputs import Outputs
from hargcn.perturbation import EdgeEdit, InputEdit

AWAY = EdgeEdit("self", "away", 0.35)


def inputs(n: int = 4) -> torch.Tensor:
    return torch.randn(n, 4, 4, 12, 19, 1, generator=torch.Generator().manual_seed(0))


def explained(kind: str, target: int = 0):
    model, x = network(kind), inputs()
    return model, x, Random(1)(model, x, target), Runner().logits(model, x)


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_gap_is_a_change_of_the_value_or_of_the_probability(kind) -> None:
    model, x, explanation, before = explained(kind, 1)
    after = Runner().edited(model, x, AWAY, np.ones((len(x), 1, 19), bool))[:, 0, 0]
    said = (lambda v: v) if kind == "regression" else expit
    expected = np.abs(said(after[:, 1]) - said(before[:, 1]))
    assert expected.max() > 0
    # The order of sums follows the processor: some roundings of the scores that are subtracted.
    atol = 16 * np.finfo(np.float32).eps * np.abs(after).max()
    found = gap_curve(model, x, explanation, AWAY)[:, -1]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=atol)
    np.testing.assert_allclose(
        probability(before, np.ones(4, int), OUTPUTS[kind]), said(before[:, 1])
    )


def test_curves_of_values_say_their_mean_error_where_the_outcome_is_known() -> None:
    model, x, explanation, before = explained("regression", 1)
    wanted = before + 3
    wanted[0, 1] = np.nan
    found = perturbation_curves(
        model, x, {"a": explanation}, AWAY, labels=wanted, top=2, random=2, groups=list("abcd")
    ).dataset
    assert "accuracy" not in found
    start = found.sel(k=0, set="important", explanation="a")
    assert start["mae"].item() == pytest.approx(3, rel=1e-5)
    assert start["score"].item() == pytest.approx(before[:, 1].mean(), rel=1e-5)
    assert np.isnan(start["sample_error"][0])
    assert found.attrs["outputs"] == "regression"
    # Nobody knows an outcome: the error is left out, the gap stays.
    for unknown in (None, np.full((4, 2), np.nan)):
        found = perturbation_curves(
            model, x, {"a": explanation}, AWAY, labels=unknown, top=1, random=1
        ).dataset
        assert "mae" not in found
        assert found["gap"].notnull().all()


def test_curves_of_a_label_say_its_accuracy_and_auc() -> None:
    model, x, explanation, before = explained("multi-label")
    wanted = np.column_stack([np.argsort(np.argsort(before[:, 0])) >= 2, np.full(4, np.nan)])
    found = perturbation_curves(
        model, x, {"a": explanation}, AWAY, labels=wanted.astype(float), top=1, random=1
    ).dataset.sel(k=0, set="important", explanation="a")
    assert found["auc"].item() == 1
    assert found["accuracy"].item() == ((before[:, 0] > 0) == wanted[:, 0]).mean()


def test_curves_of_levels_say_how_often_the_level_is_right() -> None:
    model, x, explanation, before = explained("ordinal")
    level = (before > 0).sum(axis=1)
    level[0] = -1  # not known
    found = perturbation_curves(
        model, x, {"a": explanation}, AWAY, labels=level, top=1, random=1
    ).dataset.sel(k=0, set="important", explanation="a")
    assert found["accuracy"].item() == 1
    assert "auc" not in found


def test_answers_are_the_same_class_level_or_labels() -> None:
    a, b = np.array([[1.0, -1], [2, 1], [0.2, 0.1]]), np.array([[3.0, -5], [2, -1], [0.1, 0.2]])
    pair = ("a", "b")
    assert same_answer(a, b, Outputs("classes", pair)).tolist() == [True, True, False]
    assert same_answer(a, b, Outputs("multi-label", pair)).tolist() == [True, False, True]
    assert same_answer(a, b, Outputs("regression", pair)).tolist() == [True, True, True]


def test_every_measure_that_is_defined_for_values_can_be_computed() -> None:
    model, x, explanation, _ = explained("regression")
    case = Case(model, x, explanation, Random(1), edit=AWAY, substrate=InputEdit("freeze"))
    defined = [name for name, one in METRICS.items() if "regression" in one.kinds and not one.truth]
    assert {"pgi", "deletion", "infidelity", "ris"} <= set(defined)
    for name in {
        "pgi",
        "pgu",
        "deletion",
        "insertion",
        "sensitivity-n",
        "infidelity",
        "complexity",
    }:
        assert np.isfinite(METRICS[name].compute(case)).all(), name
    for name in {name for name, one in METRICS.items() if not one.truth} - set(defined):
        with pytest.raises(ValueError, match=f"{name}: expected a network of classes, .*got regr"):
            metric_table(case, {"a": explanation}, [name])


def test_levels_have_one_map_so_no_other_class_to_compare_with() -> None:
    with pytest.raises(ValueError, match="class-sensitivity: .* classes, multi-label outputs"):
        expect_defined(["pgi", "class-sensitivity"], network("ordinal"))
    expect_defined(list(METRICS), network("multi-label"))
