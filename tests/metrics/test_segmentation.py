from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import explained
from sklearn.metrics import accuracy_score, jaccard_score

from hargcn.metrics.segmentation import segmentation

TRUTH = np.array([[[True, True, False], [False, False, False]]])
DECOYS = np.array([[[False, False, True], [False, False, False]]])
# Two highest: one of the truth and the decoy. From half of 8: these and one more of the truth.
MAP = torch.tensor([[[8.0, 4.0, 5.0], [1.0, -9.0, 0.0]]])


def test_figures_by_hand():
    found = segmentation(explained(MAP), TRUTH, DECOYS)
    assert found["pixel_accuracy"].item() == pytest.approx(4 / 6)
    assert found["iou"].item() == pytest.approx(1 / 3)
    assert found["mean_iou"].item() == pytest.approx((1 / 3 + 3 / 5) / 2)
    assert found["decoy_iou"].item() == pytest.approx(1 / 2)
    assert found["half_pixel_accuracy"].item() == pytest.approx(5 / 6)
    assert found["half_iou"].item() == pytest.approx(2 / 3)
    assert found["half_mean_iou"].item() == pytest.approx((2 / 3 + 3 / 4) / 2)
    assert found["half_decoy_iou"].item() == pytest.approx(1 / 3)


def test_the_third_threshold_is_otsus():
    """Every split of the positive parts tried: the one of the largest variance between."""
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(6, 4, 5)) ** 3
    truth = rng.random((6, 4, 5)) < 0.3
    found = segmentation(explained(torch.from_numpy(maps)), truth)["otsu_iou"].to_numpy()
    for each, mask, iou in zip(maps, truth, found, strict=True):
        values = np.maximum(each, 0).ravel()

        def between(level, values=values):
            up, low = values[values >= level], values[values < level]
            return len(up) * len(low) * (up.mean() - low.mean()) ** 2 if len(low) else -1

        level = max(np.unique(values), key=between)
        assert iou == pytest.approx(jaccard_score(mask.ravel(), values >= level))


def test_accuracy_and_overlap_are_sklearns():
    rng = np.random.default_rng(0)
    maps, truth = rng.random((5, 6, 4)), rng.random((5, 6, 4)) < 0.3
    found = segmentation(explained(torch.from_numpy(maps)), truth)
    for at, (each, mask) in enumerate(zip(maps, truth, strict=True)):
        marked = (each >= each.max() / 2).ravel()
        assert found["half_pixel_accuracy"][at] == accuracy_score(mask.ravel(), marked)
        assert found["half_mean_iou"][at] == pytest.approx(
            jaccard_score(mask.ravel(), marked, average="macro")
        )


def test_the_truth_is_whole_and_a_map_without_contrast_at_chance():
    rng = np.random.default_rng(1)
    truth = rng.random((200, 6, 5)) < 0.2
    own = segmentation(explained(torch.from_numpy(truth.astype(float))), truth)
    for name in ("iou", "half_iou", "otsu_iou", "pixel_accuracy"):
        assert own[name].min() == 1, name
    flat = segmentation(explained(torch.ones(200, 6, 5)), truth)
    share = truth.mean((1, 2))
    assert flat["pixel_accuracy"].mean() == pytest.approx(
        (share**2 + (1 - share) ** 2).mean(), abs=0.02
    )
    np.testing.assert_allclose(flat["half_iou"], share)  # it marks everything
    np.testing.assert_allclose(flat["otsu_iou"], share)
    nothing = segmentation(explained(-torch.ones(200, 6, 5)), truth)
    assert nothing["half_iou"].max() == nothing["otsu_iou"].max() == 0


def test_only_cells_that_count_are_marked_and_samples_without_evidence_are_none():
    seen = np.array([[[True, True, False], [True, True, True]]])
    found = segmentation(explained(MAP), TRUTH, DECOYS, seen)
    assert found["iou"].item() == 1
    assert found["pixel_accuracy"].item() == 1
    assert np.isnan(found["decoy_iou"].item())
    assert np.isnan(segmentation(explained(MAP), TRUTH & False, DECOYS)["iou"].item())
