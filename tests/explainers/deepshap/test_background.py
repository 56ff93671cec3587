"""Choice of the background."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.explainers.deepshap import background
from hargcn.explainers.deepshap.background import (
    by_size,
    choose,
    herding,
    in_order,
    load_background,
    medoids,
    save_background,
)
from hargcn.explanation import Explanation

LABELS = np.array([0] * 50 + [1] * 5 + [2] * 20)


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(["random", "balanced"]), st.integers(1, 90), st.integers(0, 99))
def test_draws_different_samples_by_seed_alone(method, n, seed):
    chosen = choose(lambda: pytest.fail("values are not needed"), LABELS, n, method, seed)
    assert len(chosen) == min(n, len(LABELS))
    assert (np.diff(chosen) > 0).all()
    assert chosen[-1] < len(LABELS)
    np.testing.assert_array_equal(chosen, choose([], LABELS, n, method, seed))


def test_seeds_differ():
    assert (choose([], LABELS, 10, seed=1) != choose([], LABELS, 10, seed=2)).any()


@pytest.mark.parametrize(("n", "counts"), [(9, [3, 3, 3]), (35, [15, 5, 15]), (70, [45, 5, 20])])
def test_balanced_gives_every_class_its_share(n, counts):
    chosen = choose([], LABELS, n, "balanced")
    np.testing.assert_array_equal(np.bincount(LABELS[chosen]), counts)


def clusters(dimensions: int = 3) -> np.ndarray:
    """Three clusters of 10, 20 and 30 samples around far points."""
    generator = np.random.default_rng(0)
    centres = np.repeat(100 * np.eye(3, dimensions), [10, 20, 30], 0)
    return (centres + generator.normal(size=centres.shape)).reshape(60, 1, dimensions)


@pytest.mark.parametrize("dimensions", [3, 80])
def test_medoids_stand_for_clusters(dimensions):
    values = clusters(dimensions)
    chosen = choose(lambda: values, np.zeros(60), 3, "medoids")
    np.testing.assert_array_equal(np.digitize(chosen, [10, 30]), [0, 1, 2])
    np.testing.assert_allclose(background.shares(values, chosen), np.array([1, 2, 3]) / 6)
    np.testing.assert_array_equal(medoids(values[:4], 9), np.arange(4))


def test_herding_by_hand():
    """From 0 on the line of 0, 1, 2, 3, 8.

    Mean distances are 2.8, 2.2, 2, 2.2, 5.2. Of 1, 2, 3, 8 the second has the largest of |x| / 2
    less these, -1.7, -1, -0.7, -1.2; the third that of (|x| + |x - 3|) / 3: 1, 2, 8 have -1.2, -1,
    -0.87.
    """
    line = np.array([0.0, 1, 2, 3, 8])
    seed = next(s for s in range(99) if np.random.default_rng(s).integers(5) == 0)
    np.testing.assert_array_equal(herding(line, seed)[:3], [0, 3, 4])
    assert sorted(herding(line, seed)) == [0, 1, 2, 3, 4]


def energy(values: np.ndarray, chosen: np.ndarray) -> float:
    """Return the energy distance between some of the values and all, on the line."""
    some = values[chosen]
    across = np.abs(some[:, None] - values).mean()
    own = np.abs(some[:, None] - some).mean() + np.abs(values[:, None] - values).mean()
    return float(2 * across - own)


@pytest.mark.parametrize("n", [10, 23, 40])
def test_every_beginning_of_a_herding_order_is_spread_as_all_are(n):
    values = np.random.default_rng(2).gamma(0.5, size=300)
    herded = [energy(values, herding(values, seed)[:n]) for seed in range(5)]
    drawn = [energy(values, in_order([], values, "random", seed)[:n]) for seed in range(50)]
    assert max(herded) < 0.3 * np.median(drawn)


def test_herding_begins_by_seed_and_knows_no_units():
    values = np.random.default_rng(0).normal(size=(30, 2))
    values = np.column_stack([values, np.full(30, 7.0)])
    order = herding(values, 1)
    np.testing.assert_array_equal(order, herding(values * [1000, 1, 1], 1))
    assert (order != herding(values, 2)).any()


@pytest.mark.parametrize("method", ["random", "balanced", "herding"])
def test_a_smaller_background_is_the_beginning_of_a_larger_one(method):
    values = np.random.default_rng(0).normal(size=(len(LABELS), 2))
    order = in_order(lambda: values, LABELS, method)
    assert sorted(order) == list(range(len(LABELS)))
    for n in (1, 10, 99):
        np.testing.assert_array_equal(choose(values, LABELS, n, method), np.sort(order[:n]))


def test_wrong_choices():
    with pytest.raises(ValueError, match="method of random, balanced, herding, medoids"):
        in_order([], LABELS, "medoids")
    with pytest.raises(ValueError, match="method of random, balanced, herding, medoids"):
        choose([], LABELS, 3, "best")
    with pytest.raises(ValueError, match="at least one background sample"):
        choose([], LABELS, 0)


def test_files(tmp_path):
    values = np.random.default_rng(0).normal(size=(4, 2, 3))
    save_background(tmp_path / "rows.npz", values, [1, 2, 3, 4])
    read, weights = load_background(tmp_path / "rows.npz")
    np.testing.assert_array_equal(read, values)
    np.testing.assert_allclose(weights, [0.1, 0.2, 0.3, 0.4])
    np.save(tmp_path / "rows.npy", values)
    read, weights = load_background(tmp_path / "rows.npy")
    np.testing.assert_array_equal(read, values)
    np.testing.assert_allclose(weights, 0.25)


def test_wrong_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such background file"):
        load_background(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(ValueError, match="text.npz: expected an array 'background'"):
        load_background(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", something=np.ones(3))
    with pytest.raises(ValueError, match="other.npz: expected an array 'background'"):
        load_background(tmp_path / "other.npz")
    np.savez(tmp_path / "short.npz", background=np.ones((3, 2)), weights=np.ones(2))
    with pytest.raises(ValueError, match="short.npz: expected as many weights"):
        load_background(tmp_path / "short.npz")


def explanation(scores: np.ndarray) -> Explanation:
    return Explanation.build(
        scores.mean(1)[:, None], ("sample", "time", "joint"), method="shap",
        target=np.zeros(len(scores)), score=np.zeros(len(scores)),
        variables={"joint_by_background": (("sample", "background", "joint"), scores)},
    )  # fmt: skip


def test_scores_by_background_size():
    scores = np.random.default_rng(0).normal(size=(3, 30, 5))
    found = by_size(explanation(scores))
    assert list(found) == [1, 2, 5, 10, 20, 30]
    np.testing.assert_allclose(found[30].joint_scores(), scores.mean(1))
    # A single row is one of the background's, and every size contains the smaller ones.
    first = found[1].joint_scores().to_numpy()
    row = int(np.abs(scores[0] - first[0]).sum(1).argmin())
    np.testing.assert_allclose(scores[:, row], first)
    assert found[2].dims == ("sample", "joint")
    assert list(by_size(explanation(scores), [3])) == [3]


def test_scores_by_background_size_need_them():
    bare = Explanation.build(
        np.ones((1, 2)), ("sample", "joint"), method="gradcam", target=[0], score=[0]
    )
    with pytest.raises(ValueError, match="holds no 'joint_by_background'"):
        by_size(bare)
