"""The explained outputs of a model."""

from __future__ import annotations

import pytest
import torch
from fixtures.foreign_networks import Expression
from fixtures.small_model import small_model
from torch import nn

from hargcn.explainers.scores import Score, axis_names, frozen, labels
from hargcn.explanation import DIMS


def test_utilities():
    x = torch.tensor([[1.0, 2.0, -1.0]])
    model = nn.Identity()
    assert torch.equal(Score(model, "logit")(x), x)
    assert torch.equal(Score(model, "prob")(x), x.softmax(1))
    assert torch.equal(Score(model, "logprob")(x), x.log_softmax(1))
    assert Score(Expression(lambda x: x.sum(1)), "logit")(x).shape == (1, 1)
    with pytest.raises(ValueError, match="'logit' for a model of one output"):
        Score(Expression(lambda x: x.sum(1)), "prob")(x)
    with pytest.raises(ValueError, match=r"\(n, classes\) \(got \(1, 3, 1\)\)"):
        Score(Expression(lambda x: x[..., None]), "logit")(x)


def test_another_precision_is_a_copy():
    model, x, rows = nn.Linear(2, 2), torch.zeros(1, 2), torch.zeros(3, 2)
    with frozen(model, "logit", x, rows, torch.float64) as (score, some, others):
        assert score.model.weight.dtype == some.dtype == others.dtype == torch.float64
        assert model.weight.dtype == torch.float32
        assert not model.training
        assert not score.model.weight.requires_grad
    with frozen(model, "prob", x, rows.double()) as (score, some, others):
        assert score.model is model
        assert some.dtype == others.dtype == torch.float32
    assert model.training
    assert model.weight.requires_grad


def test_labels_are_what_the_model_knows():
    model, dims = small_model("coco17"), ("sample", "branch", "channel", "time", "joint", "person")
    found = labels(model, torch.zeros(2, 4, 4, 9, 17, 1), dims)
    assert list(found["coords"]["branch"]) == ["J", "V", "B", "A"]
    assert len(found["coords"]["joint"]) == 17
    axes, table = found["coords"]["channel_name"]
    assert axes == ("branch", "channel")
    assert [row[0] for row in table] == [
        "x", "velocity x over 1 frame", "bone x", "acceleration x over 1 frame",
    ]  # fmt: skip
    assert (found["skeleton"].name, found["frames"]) == ("coco17", 9)
    assert labels(nn.Identity(), torch.zeros(2, 3), ("sample", "axis1")) == {
        "coords": {}, "skeleton": None, "frames": None,
    }  # fmt: skip


def test_axis_names():
    assert axis_names(nn.Identity(), torch.zeros(1, 2), None) == ("sample", "axis1")
    assert axis_names(nn.Identity(), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert axis_names(small_model("coco17"), torch.zeros(1, 1, 1, 1, 1, 1), None) == DIMS
    assert axis_names(nn.Identity(), torch.zeros(1, 2), ["sample", "a"]) == ("sample", "a")
    with pytest.raises(ValueError, match="Expected 2 dims"):
        axis_names(nn.Identity(), torch.zeros(1, 2), ["a", "sample"])
