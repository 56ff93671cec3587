"""The explained outputs of a model."""

from __future__ import annotations

import pytest
import torch
from fixtures.foreign_networks import Expression
from torch import nn

from hargcn.explainers.scores import Score, class_scores, frozen, scores_of


def test_scores_of_logits():
    logits = torch.tensor([[1.0, 3.0], [0.0, 0.0]])
    p = logits.softmax(1)
    table = {"logit": logits, "prob": p, "logprob": p.log(), "rest": logits + p.log()}
    target = torch.tensor([1, 0])
    for utility, expected in table.items():
        torch.testing.assert_close(class_scores(logits, utility), expected)
        own = expected[torch.arange(2), target]
        torch.testing.assert_close(scores_of(logits, target, utility), own)
    with pytest.raises(ValueError, match=r"Expected utility of logit, prob.* \(got 'loss'\)"):
        class_scores(logits, "loss")


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
