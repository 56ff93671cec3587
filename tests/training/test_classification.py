"""Classification figures against sklearn, hand-made tables and undefined cases."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from fixtures.moving_windows import moving_windows
from fixtures.small_model import small_model
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from hargcn.training.batches import Batches
from hargcn.training.classification import (
    by_recording,
    classification,
    classification_report,
    evaluation,
    predict,
    youden,
)
from hargcn.training.intervals import FIGURES


def certain(predicted: list[int], classes: int, sure: float = 0.9) -> np.ndarray:
    """Return probabilities whose largest stands where asked."""
    p = np.full((len(predicted), classes), (1 - sure) / (classes - 1))
    p[np.arange(len(predicted)), predicted] = sure
    return p


def test_two_classes_by_hand() -> None:
    # 4 sick: 3 found; 6 well: 4 seen as such.
    labels = np.array([1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
    p = certain([1, 1, 1, 0, 0, 0, 0, 0, 1, 1], 2)
    found = classification(labels, p, ["well", "sick"])
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["sensitivity"] == pytest.approx(3 / 4)
    assert found["specificity"] == pytest.approx(4 / 6)
    assert found["ppv"] == pytest.approx(3 / 5)
    assert found["npv"] == pytest.approx(4 / 5)
    assert found["f1"] == pytest.approx(2 * 3 / (2 * 3 + 2 + 1))
    assert found["balanced_accuracy"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found["confusion"] == [[4, 2], [1, 3]]
    assert found["loss"] == pytest.approx(-(7 * np.log(0.9) + 3 * np.log(0.1)) / 10)
    assert found["top5"] is None


def test_threshold_trades_sensitivity_for_specificity() -> None:
    labels = np.array([0, 0, 1, 1])
    p = np.array([[0.9, 0.1], [0.7, 0.3], [0.65, 0.35], [0.2, 0.8]])
    strict, loose = (classification(labels, p, "ab", t) for t in (0.5, 0.2))
    assert (strict["sensitivity"], strict["specificity"]) == (0.5, 1.0)
    assert (loose["sensitivity"], loose["specificity"]) == (1.0, 0.5)
    assert strict["roc_auc"] == loose["roc_auc"] == 1.0


def test_youden_takes_the_largest_threshold_of_the_best_sensitivity_and_specificity() -> None:
    """At 0.4: 3 of 3 with, 3 of 4 without; at 0.8 it is 2 of 3 and 4 of 4, which is less."""
    positive = np.array([0.1, 0.3, 0.4, 0.5, 0.2, 0.8, 0.9])
    labels = np.array([0, 0, 1, 0, 0, 1, 1])
    p = np.stack([1 - positive, positive], 1)
    assert youden(labels, p) == 0.4
    found = classification(labels, p, "ab", 0.4)
    assert (found["sensitivity"], found["specificity"]) == (1, 3 / 4)
    with pytest.raises(ValueError, match=r"both classes .* \(got 2 recordings of one\)"):
        youden(labels[:2], p[:2])
    with pytest.raises(ValueError, match=r"two classes with a threshold \(got 3\)"):
        youden(labels, certain(labels, 3))


def test_a_weighted_auc_counts_recordings_not_windows() -> None:
    """Four windows of a are wrong and one of b is right: 1/5 of the pairs, but half weighed."""
    labels = np.array([1, 1, 1, 1, 1, 0])
    positive = np.array([0.1, 0.1, 0.1, 0.1, 0.9, 0.5])
    names, p = np.array([*"aaaab", "c"]), np.stack([1 - positive, positive], 1)
    found = evaluation(labels, p, names, names, "xy", intervals=False)
    assert found.windows["roc_auc"] == pytest.approx(1 / 5)
    assert found.windows["roc_auc_weighted"] == pytest.approx(1 / 2)
    assert found.recordings["roc_auc"] == pytest.approx(1 / 2)
    assert "roc_auc_weighted" not in found.recordings


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), classes=st.integers(2, 9), n=st.integers(1, 40))
def test_figures_agree_with_sklearn(seed: int, classes: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    labels, p = rng.integers(0, classes, n), rng.dirichlet(np.ones(classes), n)
    found = classification(labels, p, [str(i) for i in range(classes)])
    predicted = p.argmax(axis=1)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    occur = np.unique(labels)
    recall = metrics.recall_score(labels, predicted, labels=occur, average=None, zero_division=0)
    assert found["balanced_accuracy"] == pytest.approx(recall.mean())
    assert found["loss"] == pytest.approx(metrics.log_loss(labels, p, labels=range(classes)))
    if classes == 2 and len(occur) == 2:
        assert found["roc_auc"] == pytest.approx(metrics.roc_auc_score(labels, p[:, 1]))
    if classes > 2 and len(occur) == classes:
        auc = metrics.roc_auc_score(labels, p, multi_class="ovr")
        assert found["roc_auc"] == pytest.approx(auc)
    if classes > 5:
        top5 = metrics.top_k_accuracy_score(labels, p, k=5, labels=range(classes))
        assert found["top5"] == pytest.approx(top5)


def test_a_class_that_does_not_occur_is_undefined_not_zero() -> None:
    found = classification(np.array([0, 0, 1]), certain([0, 0, 1], 3), "abc")
    missing = found["per_class"]["c"]
    assert missing["support"] == 0
    assert missing["sensitivity"] is missing["roc_auc"] is missing["ppv"] is missing["f1"] is None
    assert missing["specificity"] == 1.0
    assert found["sensitivity"] == found["balanced_accuracy"] == found["roc_auc"] == 1.0


def test_one_class_only_has_no_roc_auc() -> None:
    found = classification(np.zeros(3, int), certain([0, 0, 1], 2), "ab")
    assert found["roc_auc"] is None
    assert found["sensitivity"] is None
    assert found["specificity"] == pytest.approx(2 / 3)


def test_wrong_shapes_and_thresholds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Expected probabilities \(2, 3\)"):
        classification(np.zeros(2, int), certain([0], 3), "abc")
    with pytest.raises(ValueError, match="Expected two classes with a threshold"):
        classification(np.zeros(1, int), certain([0], 3), "abc", threshold=0.5)


def test_recordings_take_the_mean_or_the_median_of_their_windows() -> None:
    p = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.0, 1.0], [0.3, 0.7]])
    samples, labels = np.array(["b", "a", "b", "b", "a"]), np.array([1, 0, 1, 1, 0])
    names, recording_labels, mean = by_recording(samples, labels, p)
    assert names.tolist() == ["a", "b"]
    assert recording_labels.tolist() == [0, 1]
    np.testing.assert_allclose(mean[:, 1], [0.55, 1.9 / 3])
    _, _, median = by_recording(samples, labels, p, "median")
    np.testing.assert_allclose(median[:, 1], [0.55, 0.8])


def test_medians_are_scaled_to_probabilities() -> None:
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    _, _, median = by_recording(np.array(["a"] * 3), np.zeros(3, int), p, "median")
    np.testing.assert_allclose(median, [[1 / 3] * 3])


def test_windows_of_one_recording_with_two_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="one label per recording .* different ones in b"):
        by_recording(np.array(["a", "b", "b"]), np.array([0, 0, 1]), np.full((3, 2), 0.5))


def test_evaluating_does_not_depend_on_batches_and_restores_the_model(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5")
    model = small_model(dropout=0.5)
    model.main.train()
    before = {name: module.training for name, module in model.named_modules()}
    whole, parts = (classification_report(model, windows, size) for size in (64, 7))
    assert {name: module.training for name, module in model.named_modules()} == before
    np.testing.assert_allclose(whole.probabilities, parts.probabilities, atol=1e-6)
    np.testing.assert_allclose(whole.probabilities.sum(axis=1), 1)
    assert whole.windows["n"] == len(windows) == 48
    assert whole.recordings["n"] == 24


def test_probabilities_are_those_of_the_model(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2)
    model = small_model()
    with torch.no_grad():
        x = model.features(torch.from_numpy(windows.positions()), torch.from_numpy(windows.valid()))
        expected = torch.softmax(model(x).double(), dim=1).numpy()
    np.testing.assert_allclose(predict(model, Batches(windows), 5), expected, atol=1e-6)


def test_evaluation_is_plain_json(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2)
    found = json.loads(classification_report(small_model(), windows, aggregate="median").to_json())
    assert found["aggregate"] == "median"
    assert found["threshold"] is None
    assert set(found["windows"]["per_class"]) == {"class0", "class1", "class2"}


def test_foreign_windows_are_refused(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2)
    with pytest.raises(ValueError, match="model's skeleton coco17 with 17 joints .*inmotion19"):
        classification_report(small_model("coco17"), windows)
    with pytest.raises(ValueError, match="w.h5: expected the model's classes class0, class1 "):
        classification_report(small_model(classes=2), windows)


def test_intervals_are_left_out_where_nobody_asks(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2)
    whole, bare = (
        classification_report(small_model(), windows, intervals=each) for each in (True, False)
    )
    assert "interval" not in bare.windows
    for level in ("windows", "recordings"):
        found = whole.to_dict()[level]
        assert found["subjects"] == 2
        assert list(found["interval"]) == list(FIGURES)
        low, high = found["interval"]["accuracy"]
        assert low <= found["accuracy"] <= high
        assert {**found, **bare.to_dict()[level]} == found
    assert whole.groups.tolist() == windows.group.tolist()


def test_one_subject_has_no_interval(tmp_path: Path) -> None:
    windows = moving_windows(tmp_path / "w.h5", groups=2).subset("train")
    found = classification_report(small_model(), windows).recordings
    assert found["subjects"] == 1
    assert found["interval"] == dict.fromkeys(FIGURES)
