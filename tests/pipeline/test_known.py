from __future__ import annotations

import numpy as np
import torch

from hargcn import Explanation
from hargcn.pipeline.known import input_size


def test_the_input_is_as_large_as_while_somebody_is_there():
    """Two frames of two persons, of which one is there in one frame only."""
    x = torch.zeros(1, 2, 1, 2, 3, 2)  # sample, branch, channel, time, joint, person
    x[0, 0, 0, 0, :, 0] = torch.tensor([3.0, -6, 0])
    x[0, 1, 0, 0, :, 0] = -2
    valid = np.array([[[True, False], [False, False]]])
    dims = ("sample", "branch", "channel", "time", "joint", "person")
    found = input_size(dims, x, valid)
    assert found["input_size"][0] == ("sample", "branch", "channel")
    assert found["input_size"][1].tolist() == [[[3.0], [2.0]]]
    assert not input_size(dims, 0 * x, np.zeros_like(valid))["input_size"][1].any()


def test_other_orders_of_axes_and_inputs_without_channels():
    x = torch.arange(6.0).reshape(1, 3, 2)
    found = input_size(("sample", "time", "channel"), x, np.ones((1, 3, 1), bool))
    assert found["input_size"][0] == ("sample", "channel")
    assert found["input_size"][1].tolist() == [[2, 3]]
    assert input_size(("sample", "time", "joint"), x, np.ones((1, 3, 1), bool)) == {}


def test_files_hold_it_and_shards_are_joined(shap, gradcams):
    for path in (shap, gradcams[0]):
        stored = Explanation.open(path).dataset["input_size"]
        assert stored.dims == ("sample", "branch", "channel")
        assert (stored > 0).all()
