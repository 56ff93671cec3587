"""Runs along a plan."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hargcn.explainers.deepshap.rules import Step
from hargcn.explainers.deepshap.trace import Trace, fold, tensors


def test_follows_the_plan():
    run, x = Trace([Step("exp"), Step("add")]), torch.zeros(2)
    with run:
        y = torch.exp(x) + 1
    run.end()
    assert torch.equal(y, torch.full((2,), 2.0))


def test_another_path_is_noticed():
    x = torch.zeros(2)
    with pytest.raises(ValueError, match="expected operation 'add' .* .got 'mul'"):
        follow([Step("exp"), Step("add", "head")], lambda: torch.exp(x) * 2)
    with pytest.raises(ValueError, match="expected its end .got 'sin'"):
        follow([], lambda: x.sin())
    with pytest.raises(ValueError, match="expected operation 'exp' .* .got its end"):
        follow([Step("exp")], lambda: None)


def follow(steps, network):
    run = Trace(steps)
    with run:
        network()
    run.end()


def test_notes_what_must_not_differ():
    run = Trace([Step("where", guards=(0,)), Step("sum"), Step("item", reads=True)])
    chosen, ones = torch.tensor([True, False]), torch.ones(2)
    with run:
        torch.where(chosen, ones, 0.0).sum().item()
    assert torch.equal(run.guards[0][0], chosen)
    assert run.guards[2] == [1.0]


def test_finds_nested_tensors():
    a, b = torch.zeros(1), torch.ones(1)
    assert [t.item() for t in tensors({"x": [a, (b, 3)], "y": None})] == [0, 1]


@pytest.mark.parametrize("bias", [True, False])
def test_folds_a_batch_norm_into_a_convolution(bias):
    generator = torch.Generator().manual_seed(0)
    conv = nn.Conv2d(3, 4, 2, bias=bias)
    scale, shift = (torch.randn(4, generator=generator) for _ in range(2))
    x = torch.randn(2, 3, 5, 5, generator=generator)
    expected = conv(x) * scale.view(-1, 1, 1) + shift.view(-1, 1, 1)
    norm, weight, bias_of = (scale, shift), conv.weight, conv.bias
    for args, kwargs in (
        fold(norm, x, weight, bias_of, (1, 1), (0, 0)),
        fold(norm, x, weight, bias=bias_of, stride=(1, 1)),
        fold(norm, x, weight=weight, bias=bias_of),
    ):
        torch.testing.assert_close(F.conv2d(*args, **kwargs), expected)
