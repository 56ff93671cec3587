"""The explained outputs of a model."""

from __future__ import annotations

import pytest
import torch
from conftest import small_model
from foreign_networks import Expression
from torch import nn

from hargcn.explainers.score import Score, axis_names, converted
from hargcn.explanation import DIMS


def test_utilities():
    x = torch.tensor([[1.0, 2.0, -1.0]])
    model = nn.Identity()
    assert torch.equal(Score(model, "logit")(x), x)
    assert torch.equal(Score(model, "prob")(x), x.softmax(1))
    assert torch.equal(Score(model, "logprob")(x), x.log_softmax(1))
    assert Score(Expression(lambda x: x.sum(1)), "logit")(x).shape == (1, 1)
    with pytest.raises(ValueError, match=r"\(n, classes\) \(got \(1, 3, 1\)\)"):
        Score(Expression(lambda x: x[..., None]), "logit")(x)


def test_converted_is_a_copy():
    model = nn.Linear(2, 2)
    copy = converted(model, torch.float64)
    assert copy.weight.dtype == torch.float64
    assert model.weight.dtype == torch.float32


def test_axis_names():
    assert axis_names(nn.Identity(), torch.zeros(1, 2), None) == ("sample", "axis1")
    assert axis_names(nn.Identity(), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert axis_names(small_model("coco17"), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert axis_names(nn.Identity(), torch.zeros(1, 2), ["sample", "a"]) == ("sample", "a")
    with pytest.raises(ValueError, match="Expected 2 dims"):
        axis_names(nn.Identity(), torch.zeros(1, 2), ["a", "sample"])
