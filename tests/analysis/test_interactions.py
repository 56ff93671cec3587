from __future__ import annotations

import numpy as np
import pytest
from fixtures.fake_explanations import shap_like
from fixtures.interactions import together

from hargcn.analysis.interactions import Together
from hargcn.explanation import Explanation


def test_means_over_windows_and_how_many_agree():
    found = Together.of(together([[[9, 1], [1, 9]], [[9, 3], [3, 9]], [[9, -1], [-1, 9]]]))
    assert (found.names, found.windows, found.index) == (("p0", "p1"), 3, "STII")
    np.testing.assert_allclose(found.matrix, [[9, 1], [1, 9]])
    np.testing.assert_allclose(found.agreeing, [[1, 2 / 3], [2 / 3, 1]])


def test_the_strongest_pairs_come_first_whatever_their_sign():
    matrix = np.zeros((3, 3))
    matrix[0, 1], matrix[0, 2], matrix[1, 2] = 1, -3, 2
    found = Together.of(together([matrix + matrix.T + np.diag([8, 8, 8])]))
    assert found.pairs == [(0, 2), (1, 2), (0, 1)]


def test_places_add_up_over_time_and_branches_within_each_person():
    """Players 0 and 1 are joint 0 at two times, 2 is joint 1; 3 is joint 1 of somebody else."""
    matrix = np.arange(16.0).reshape(4, 4)
    matrix = matrix + matrix.T
    made = together([matrix], joints=[[1, 0], [1, 0], [0, 1], [0, 1]],
                    persons=[[1, 0], [1, 0], [1, 0], [0, 1]])  # fmt: skip
    places, between = Together.of(made).between_joints()
    assert places == [(0,), (1,)]
    total = matrix[0, 2] + matrix[1, 2]
    np.testing.assert_allclose(between, [[0, total], [total, 0]])


def test_branches_are_no_places():
    made = together([np.ones((2, 2))], joints=np.ones((2, 5)))
    places, between = Together.of(made).between_joints()
    assert (len(places), between.tolist()) == (1, [[0]])


def test_an_explanation_without_interactions_is_refused():
    with pytest.raises(ValueError, match="expected interactions .got none.: explain with --method"):
        Together.of(shap_like(2))


def test_where_nobody_tells_joints_players_are_no_places():
    made = together([np.ones((2, 2))])
    rest = made.dataset.drop_vars(["player_joint", "player_person"])
    found = Together.of(Explanation(rest))
    assert found.joints.tolist() == [[True], [True]]
    assert len(found.between_joints()[0]) == 1
