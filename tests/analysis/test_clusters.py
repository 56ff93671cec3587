"""Clusters of maps: graphs whose spectrum is known, and groupings whose figures are."""

from __future__ import annotations

import numpy as np
import pytest

from hargcn.analysis.clusters import coarse, spectral_clusters, told_apart


def blobs(*sizes, spread=0.1):
    """Points around corners of a simplex, and the number of each one's corner."""
    rng = np.random.default_rng(0)
    known = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(len(sizes))[known] * 10 + spread * rng.normal(
        size=(len(known), len(sizes))
    ), known


def test_a_map_becomes_means_over_bins_whatever_its_size():
    maps = np.array([[[1.0, 0], [3, 0], [0, -2], [0, -2]], np.zeros((4, 2))])
    rows = coarse(maps, 2)
    np.testing.assert_allclose(rows, [[0.5, 0, 0, -0.5], [0, 0, 0, 0]])  # means 2 and -2 of |4|
    np.testing.assert_allclose(coarse(7 * maps, 2), rows)
    np.testing.assert_allclose(coarse(np.array([[[1.0], [2], [6]]]), 2), [[0.2, 0.8]])  # 2 | 1, 4
    for bins in (0, 5):
        with pytest.raises(ValueError, match=f"Expected 1 to 4 bins of 4 frames .got {bins}."):
            coarse(maps, bins)


@pytest.mark.slow
def test_eigenvalues_are_those_of_known_graphs():
    """Cliques of 4 joined with all others of theirs: 0 once per clique, then 4/3 (Chung 1997)."""
    rows, known = blobs(4, 4, 4)
    found = spectral_clusters(rows, neighbours=3, most=5)
    np.testing.assert_allclose(found.eigenvalues, [0, 0, 0, 4 / 3, 4 / 3, 4 / 3], atol=1e-12)
    assert found.count == 3
    assert told_apart(found.labels, known)["ari"] == 1


@pytest.mark.slow
def test_groups_that_touch_are_told_apart_and_one_group_stays_one():
    draw = np.random.default_rng(1).normal(size=(80, 12))
    known = np.arange(80) >= 30
    apart = draw + 6 * known[:, None] * np.eye(12)[0]
    apart[0, 0] = 3  # between both: the graph hangs together
    found = spectral_clusters(apart, neighbours=25, most=6)
    assert found.eigenvalues[1] > 1e-6
    assert found.count == 2
    assert told_apart(found.labels, known)["ari"] > 0.85
    assert spectral_clusters(draw, neighbours=25, most=6).count == 1
    assert spectral_clusters(draw, neighbours=25, most=6, count=2).count == 2
    with pytest.raises(ValueError, match=r"more windows than neighbours \(10\) and groups \(8\)"):
        spectral_clusters(draw[:10])


@pytest.mark.slow
def test_figures_of_groupings_are_those_of_paper():
    """Of 1 1 0 0 and 1 0 0 0: 2 pairs agree in both of 6; (1 - 2 * 3 / 6) / (2.5 - 1) = 0."""
    labels, known = np.array([1, 1, 0, 0]), np.array([1, 0, 0, 0])
    found = told_apart(labels, known)
    assert found["ari"] == pytest.approx(0)
    # H(labels) = ln 2, H(known) = 0.5623, mutual information 0.2158.
    assert found["nmi"] == pytest.approx(0.2158 / ((np.log(2) + 0.5623) / 2), abs=1e-3)
    assert found["p"] == 1
    same = told_apart(np.repeat([3, 5], 20), np.repeat([True, False], 20), draws=99)
    assert (same["ari"], same["nmi"], same["p"]) == (1, pytest.approx(1), 0.01)
    assert same["ari_chance"] < 0.2
    assert same["nmi_chance"] < 0.2


def test_neighbours_lie_together_in_a_picture():
    rows, known = blobs(15, 25)
    places = spectral_clusters(rows, neighbours=12).places  # two graphs: constant in each
    assert places.shape == (40, 2)
    for each in (0, 1):
        np.testing.assert_allclose(places[known == each, 0], places[known == each, 0][0])
    assert np.ptp(places[:, 0]) > 0.01
