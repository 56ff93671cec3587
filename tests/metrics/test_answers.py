from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from sklearn.metrics import roc_auc_score

from hargcn.analysis.statistics import cluster_bootstrap
from hargcn.metrics.answers import RATES, auc, concordance, counts, numbered, rates
from hargcn.training.classification import classification


def answers(classes, samples=60, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(classes, size=samples - classes)])
    p = rng.dirichlet(np.ones(classes), size=(3, samples))
    return labels, p, rng.integers(5, size=samples)


@pytest.mark.parametrize("classes", [2, 4])
def test_rates_and_auc_are_those_of_the_command_test(classes):
    """Whole, that is all groups once, they are what `hargcn test` says of the same answers."""
    labels, p, groups = answers(classes)
    found = rates(counts(p.argmax(-1)[..., None], labels, classes, groups))
    scores = xr.DataArray(p, {"class": np.arange(classes)}, ("k", "sample", "class"))
    if classes == 2:
        scores = scores.sel({"class": [1]})
    ranked = auc(concordance(scores, labels, groups).to_numpy())
    for row, rate, area in zip(p, found, ranked, strict=True):
        known = classification(labels, row, [f"c{i}" for i in range(classes)])
        np.testing.assert_allclose(rate, [known[name] for name in RATES])
        assert area == pytest.approx(known["roc_auc"])


def test_what_is_undefined_is_left_out_of_the_mean_and_unknown_where_nothing_else_is():
    labels = np.array([0, 0, 1, 1])
    said = np.array([[0, 0, 0, 0], [0, 1, 1, 1]])[..., None]
    never, some = rates(counts(said, labels, 2, np.zeros(4, int)))
    assert np.isnan(never[RATES.index("ppv")])
    assert never[RATES.index("npv")] == 0.5
    assert some.tolist() == [1, 0.5, 2 / 3, 1, 0.8]
    three = rates(counts(said, labels, 3, np.zeros(4, int)))
    # Of three classes one never occurs and is never said: it has a specificity of 1 alone.
    assert three[1, RATES.index("sensitivity")] == pytest.approx((0.5 + 1) / 2)
    assert three[1, RATES.index("specificity")] == pytest.approx((1 + 0.5 + 1) / 3)
    # All answers are the first class: its PPV is all that there is.
    assert three[0, RATES.index("ppv")] == 0.5


def test_resampling_groups_is_resampling_their_samples():
    """The limits of the figures of groups are those of a bootstrap of whole rows."""
    labels, p, groups = answers(2)
    scores = xr.DataArray(p[..., 1:], {"class": [1]}, ("k", "sample", "class"))
    rows = np.stack([np.moveaxis(p[..., 1], 1, 0), np.repeat(labels[:, None], 3, 1)], -1)

    def by_rows(rows, axis=0):
        assert axis == 0
        return np.array([roc_auc_score(rows[:, k, 1], rows[:, k, 0]) for k in range(3)])

    own = cluster_bootstrap(concordance(scores, labels, groups), None, auc, n=40)
    same = cluster_bootstrap(rows, groups, by_rows, n=40)
    np.testing.assert_allclose(own, same)


def test_draws_share_an_answer():
    """Half of the draws say so: half a sample."""
    said = np.array([[[0, 1], [1, 1]]])
    (found,) = rates(counts(said, np.array([0, 1]), 2, np.zeros(2, int)))
    assert found.tolist() == pytest.approx([1, 0.5, 2 / 3, 1, 0.8])


def test_groups_are_numbered_and_without_them_every_sample_is_its_own():
    assert numbered(["b", "a", "b"], 3).tolist() == [1, 0, 1]
    assert numbered(None, 3).tolist() == [0, 1, 2]
