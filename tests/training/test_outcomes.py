"""Figures of numbers, levels and labels against scikit-learn and SciPy; unknown outcomes."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest
from fixtures.outcomes import OUTPUTS, network, outcome_windows
from scipy import stats
from scipy.special import expit
from sklearn import metrics

from hargcn.data.windows import Windows
from hargcn.outputs import Outputs
from hargcn.training.outcomes import judge, multi_label, of_known_outcome, ordinal, regression

DRAW = np.random.default_rng(0)
ONE = np.ones(1)


def test_figures_of_values() -> None:
    wanted = DRAW.uniform(0, 50, (40, 2))
    said = wanted + DRAW.normal(0, 5, wanted.shape)
    found = regression(wanted, said, OUTPUTS["regression"], np.array([10.0, 20.0]))
    for at, name in enumerate(("score", "pain")):
        a, b, own = wanted[:, at], said[:, at], found["per_output"][name]
        assert own["n"] == 40
        assert own["mae"] == pytest.approx(metrics.mean_absolute_error(a, b))
        assert own["rmse"] == pytest.approx(metrics.root_mean_squared_error(a, b))
        assert own["r2"] == pytest.approx(metrics.r2_score(a, b))
        assert own["pearson"] == pytest.approx(stats.pearsonr(a, b).statistic)
        assert own["spearman"] == pytest.approx(stats.spearmanr(a, b).statistic)
    for name in ("mae", "rmse", "r2", "pearson", "spearman", "loss"):
        each = [one[name] for one in found["per_output"].values()]
        assert found[name] == pytest.approx(np.mean(each))


def test_unknown_values_count_in_no_figure() -> None:
    one = Outputs("regression", ("score",))
    wanted, said = np.array([[10.0], [np.nan], [30.0]]), np.array([[12.0], [99.0], [27.0]])
    found = regression(wanted, said, one, ONE)
    assert found["n"] == 3
    assert found["per_output"]["score"]["n"] == 2
    assert found["mae"] == pytest.approx(2.5)
    nothing = regression(np.full((2, 1), np.nan), said[:2], one, ONE)
    assert nothing["mae"] is nothing["per_output"]["score"]["r2"] is None
    alike = regression(np.full((2, 1), 5.0), said[:2], one, ONE)
    assert alike["r2"] is alike["pearson"] is None


def test_figures_of_levels() -> None:
    wanted = DRAW.integers(0, 3, 60)
    score = wanted + DRAW.normal(0, 1, 60)
    said = score[:, None] - np.array([0.5, 1.5])
    level = (said > 0).sum(axis=1)
    found = ordinal(wanted, said, OUTPUTS["ordinal"], ONE)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(wanted, level))
    assert found["mae"] == pytest.approx(metrics.mean_absolute_error(wanted, level))
    kappa = metrics.cohen_kappa_score(wanted, level, weights="quadratic")
    assert found["kappa"] == pytest.approx(kappa)
    assert found["spearman"] == pytest.approx(stats.spearmanr(wanted, score).statistic)
    assert found["confusion"] == metrics.confusion_matrix(wanted, level).tolist()
    each = [metrics.log_loss(wanted > k, expit(said[:, k])) for k in range(2)]
    assert found["loss"] == pytest.approx(sum(each))
    assert ordinal(np.zeros(3, int), said[:3] - 9, OUTPUTS["ordinal"], ONE)["kappa"] is None


def test_figures_of_labels() -> None:
    wanted = DRAW.integers(0, 2, (50, 2)).astype(float)
    said = np.clip(wanted * 0.4 + DRAW.uniform(0, 0.6, wanted.shape), 0.01, 0.99)
    found = multi_label(wanted, said, OUTPUTS["multi-label"], ONE)
    predicted = said >= 0.5
    assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(wanted, said, average="macro"))
    assert found["f1"] == pytest.approx(metrics.f1_score(wanted, predicted, average="macro"))
    assert found["micro_f1"] == pytest.approx(metrics.f1_score(wanted, predicted, average="micro"))
    assert found["exact_match"] == pytest.approx(metrics.accuracy_score(wanted, predicted))
    own, y, p = found["per_output"]["ataxia"], wanted[:, 1], said[:, 1]
    assert own["support"] == y.sum()
    assert own["loss"] == pytest.approx(metrics.log_loss(y, p))
    assert own["sensitivity"] == pytest.approx(metrics.recall_score(y, predicted[:, 1]))
    assert own["specificity"] == pytest.approx(metrics.recall_score(1 - y, ~predicted[:, 1]))


def test_unknown_labels_count_in_no_figure() -> None:
    wanted = np.array([[1.0, 0.0], [0.0, np.nan], [1.0, 1.0]])
    said = np.array([[0.9, 0.1], [0.2, 0.9], [0.4, 0.8]])
    found = multi_label(wanted, said, OUTPUTS["multi-label"], ONE)
    assert found["per_output"]["ataxia"]["n"] == 2
    assert found["per_output"]["ataxia"]["accuracy"] == 1
    assert found["exact_match"] == 0.5  # of the two windows whose labels are all known
    assert found["micro_f1"] == pytest.approx(2 * 2 / (2 * 2 + 0 + 1))
    never = multi_label(wanted[:, ::-1] * 0, said * 0, OUTPUTS["multi-label"], ONE)
    assert never["roc_auc"] is never["f1"] is None


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Windows]:
    folder = tmp_path_factory.mktemp("outcomes")
    return {kind: outcome_windows(folder / f"{kind}.h5", kind, unknown=3) for kind in OUTPUTS}


@pytest.mark.parametrize("kind", OUTPUTS)
def test_a_network_is_judged_by_windows_and_recordings(files, kind, caplog) -> None:
    with caplog.at_level(logging.INFO):
        known = of_known_outcome(files[kind])
    assert len(known) == len(files[kind]) - 3
    assert "3 windows of unknown outcome left out" in caplog.text
    # Each recording twice: its figure is that of the mean of both, here of equal windows.
    twice = known.subset(np.repeat(np.arange(len(known)), 2))
    found = judge(network(kind), twice)
    assert found.windows["n"] == 2 * found.recordings["n"] == 2 * len(known)
    for name in ("loss", "mae", "exact_match"):
        if name in found.windows:
            assert found.recordings[name] == pytest.approx(found.windows[name])
    assert json.loads(found.to_json())["outputs"] == OUTPUTS[kind].to_dict()


def test_recordings_of_two_outcomes_and_thresholds_are_refused(files) -> None:
    windows = of_known_outcome(files["regression"])
    mixed = windows.subset([0, 1])
    mixed.sample[:] = mixed.sample[0]
    with pytest.raises(ValueError, match=r"one outcome per recording .*in v0"):
        judge(network("regression"), mixed)
    with pytest.raises(ValueError, match=r"threshold \(got regression outputs\)"):
        judge(network("regression"), windows, threshold=0.5)


def test_nothing_known_is_refused(files) -> None:
    windows = files["ordinal"]
    with pytest.raises(ValueError, match=r"ordinal\.h5: expected windows of known outcome"):
        of_known_outcome(windows.subset(np.flatnonzero(~windows.known)))


def test_intervals_hold_the_figure_and_resample_subjects(files) -> None:
    windows = of_known_outcome(files["regression"])
    found = judge(network("regression"), windows).recordings
    low, high = found["interval"]["mae"]
    assert found["subjects"] == 4
    assert low < found["mae"] < high
    assert "interval" not in judge(network("regression"), windows, intervals=False).windows
    one = windows.subset(windows.group == "g0")
    assert judge(network("regression"), one).windows["interval"] == {"mae": None}


def test_intervals_of_levels_and_labels(files) -> None:
    names = {"ordinal": {"accuracy", "mae"}, "multi-label": {"accuracy", "exact_match"}}
    for kind, expected in names.items():
        found = judge(network(kind), of_known_outcome(files[kind])).windows
        assert set(found["interval"]) == expected
        for name, (low, high) in found["interval"].items():
            assert low <= found[name] <= high
