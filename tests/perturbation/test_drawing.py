from __future__ import annotations

import numpy as np
import pytest
import torch

from hargcn.perturbation.drawing import as_keys, normal


def test_a_row_draws_by_its_key_whatever_the_batch():
    like = torch.zeros(1, dtype=torch.float64)
    keys = np.array([[3, 1], [3, 2], [3, 1]])
    together = normal((2, 5), keys, like)
    assert together.dtype == torch.float64
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[1], normal((2, 5), keys[1:2], like)[0])


def test_keys_default_to_the_row_number():
    assert as_keys(None, 2).tolist() == [[0], [1]]
    with pytest.raises(ValueError, match="one seed for each of 3 rows"):
        as_keys([1], 3)
