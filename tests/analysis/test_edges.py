"""Sums of edges over graphs, by name and by class."""

from __future__ import annotations

import numpy as np
import pytest

from hargcn.analysis.edges import by_class, edge_matrix, edge_scores, of_edges
from hargcn.analysis.ranking import Ranking
from hargcn.explanation import EDGE_DIMS, Explanation

VALUES = np.zeros((3, 2, 2, 3, 3))
VALUES[:, 0, 0, 0, 1], VALUES[:, 1, 1, 0, 1], VALUES[:, 0, 1, 2, 2] = [1, 2, 6], [3, 2, 0], -1


def edges(values=VALUES, dims=EDGE_DIMS) -> Explanation:
    names = dict.fromkeys(EDGE_DIMS[2:], ["a", "b", "c"])
    return Explanation.build(
        values, ("sample", *dims), method="m", target=[0, 1, 0], score=[0.0] * 3, coords=names
    )


def test_edges_are_added_up_over_layers_and_partitions():
    found = edge_matrix(edges())
    assert found.dims == ("sample", "source_joint", "target_joint")
    assert found[:, 0, 1].to_numpy().tolist() == [4, 4, 6]
    scores = edge_scores(edges())
    assert scores["edge"].to_numpy().tolist() == ["a -> b", "c -> c"]
    assert scores.to_numpy().tolist() == [[4, -1], [4, -1], [6, -1]]


def test_axes_in_any_order_are_the_same():
    turned = edges(VALUES.transpose(0, 4, 2, 1, 3), [EDGE_DIMS[i] for i in (3, 1, 0, 2)])
    np.testing.assert_array_equal(edge_matrix(turned), edge_matrix(edges()))


def test_windows_by_class():
    found = by_class(edges())
    assert {key: each[:, 0, 1].to_numpy().tolist() for key, each in found.items()} == {
        "class 0": [4, 6], "class 1": [4],
    }  # fmt: skip


def test_a_class_rather_than_another_is_not_the_class():
    """Windows of one class, against several others, were one mean that said the class alone."""
    both = by_class(edges().assign({"target": [0, 0, 0], "versus": [1, 2, 1]}))
    assert {key: each[:, 0, 1].to_numpy().tolist() for key, each in both.items()} == {
        "class 0 rather than class 1": [4, 6], "class 0 rather than class 2": [4],
    }  # fmt: skip


def test_a_ranking_of_edges():
    found = Ranking.of(edges())
    assert found.features == ("a -> b", "c -> c")
    assert found.medians.tolist() == [4, -1]


def test_what_is_not_of_edges():
    assert of_edges(edges())
    joints = Explanation.build(
        np.ones((1, 3)), ("sample", "joint"), method="m", target=[0], score=[0.0]
    )
    assert not of_edges(joints)
    with pytest.raises(ValueError, match="expected attributions to edges"):
        edge_matrix(joints)
