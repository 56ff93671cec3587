from __future__ import annotations

import numpy as np
import pytest
import torch
from fixtures.toy_networks import Line, explained, three_joints

from hargcn.metrics.negative import without_negative_cells, without_negative_joints
from hargcn.metrics.runner import Runner


def moving() -> tuple[Line, torch.Tensor]:
    """Return a network whose logit is 2 a + b - c, joints that go from 1 to 3: the logit is 4."""
    x = torch.tensor([[1.0, 1.0, 1.0], [3.0, 3.0, 3.0]])
    return Line([2.0, 1.0, -1.0]), x[None, None, None, :, :, None]


def test_without_what_speaks_against_it_the_score_rises_by_hand():
    model, x = moving()
    right = explained(torch.tensor([[[0.0, 0, 0], [2, 1, -1]]]))
    wrong = explained(torch.tensor([[[0.0, 0, 0], [-2, -1, 1]]]))
    rise, removed = without_negative_cells(model, x, right, [0, 1 / 6, 1])
    np.testing.assert_allclose(rise, [[0, 1, 1]], atol=1e-6)  # c is frozen at 1
    np.testing.assert_allclose(removed, [[0, 1 / 6, 1 / 6]])
    rise, removed = without_negative_cells(model, x, wrong, [1 / 6, 2 / 6])
    np.testing.assert_allclose(rise, [[-2, -3]], atol=1e-6)
    np.testing.assert_allclose(removed, [[1 / 6, 2 / 6]])


def test_joints_are_edited_from_the_most_negative_one():
    model, x = moving()
    each = explained(torch.tensor([[-3.0, 1.0, -1.0]]))
    rise, removed = without_negative_joints(model, x, each, [1, 2, 3])
    np.testing.assert_allclose(rise, [[-2, -1, -1]], atol=1e-6)
    np.testing.assert_allclose(removed, [[1, 2, 2]])


def test_the_other_class_is_asked_by_its_own_logit():
    model, x = moving()
    each = explained(torch.tensor([[-3.0, 1.0, -1.0]]), target=1)
    assert without_negative_joints(model, x, each, [1])[0].item() == 0  # it is always 0


def test_a_map_without_negative_parts_removes_nothing():
    model, x = three_joints()
    each = explained(torch.ones(1, 2, 3))
    for found in (
        without_negative_cells(model, x, each, [0.5]),
        without_negative_joints(model, x, each, [2]),
    ):
        assert [part.item() for part in found] == [0, 0]


def test_explanations_of_other_windows_are_refused():
    model, x = three_joints()
    with pytest.raises(ValueError, match="of 1 samples and 3 joints"):
        without_negative_cells(model, x, explained(torch.ones(2, 2, 3)), [0.5], run=Runner())
