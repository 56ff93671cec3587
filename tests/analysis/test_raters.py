from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, jaccard_score

from hargcn.analysis.raters import cohen_kappa, overlap, raters


def test_kappa_and_overlap_are_sklearns():
    rng = np.random.default_rng(0)
    a = rng.random((6, 5, 4)) < 0.3
    b = np.where(rng.random(a.shape) < 0.7, a, rng.random(a.shape) < 0.3)
    assert cohen_kappa(a, b) == pytest.approx(cohen_kappa_score(a.ravel(), b.ravel()))
    assert overlap(a, b) == pytest.approx(jaccard_score(a.ravel(), b.ravel()))
    assert cohen_kappa(a, a) == pytest.approx(1)
    chance = rng.random((400, 50, 4)) < 0.3
    assert cohen_kappa(chance, chance[::-1]) == pytest.approx(0, abs=0.02)


def test_nothing_marked_says_nothing():
    none = np.zeros((2, 3), bool)
    assert np.isnan(cohen_kappa(none, none))
    assert np.isnan(overlap(none, none))


def test_pairs_are_compared_where_both_looked_and_on_what_was_seen():
    a, b = np.zeros((2, 3, 2, 1), dtype=bool)
    a[:, 0], b[:, 0] = True, True
    b[2] = True  # a never looked at that window
    looked = {"a": np.array([True, True, False]), "b": np.array([True, True, True])}
    (row,) = raters({"a": a, "b": b}, looked).itertuples()
    assert (row.a, row.b, row.windows, row.kappa, row.iou) == ("a", "b", 2, 1, 1)
    assert (row.marked_a, row.marked_b) == (0.5, 0.5)
    a[0, 1] = True  # where nobody saw anything
    seen = np.ones_like(a)
    seen[0, 1] = False
    assert raters({"a": a, "b": b}, looked)["iou"].item() == pytest.approx(2 / 3)
    assert raters({"a": a, "b": b}, looked, seen)["iou"].item() == 1
    assert raters({"a": a}, looked).empty
    looked["a"][:] = False
    assert np.isnan(raters({"a": a, "b": b}, looked)["kappa"].item())
