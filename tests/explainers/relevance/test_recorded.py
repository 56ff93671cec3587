"""One recording of a network, and relevance from any of its outputs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from fixtures.recorded_networks import record
from torch import Tensor, testing

from hargcn.explainers.relevance.patterns import Pattern

W = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 1.0]]).double()
X = torch.tensor([[1.0, 2.0], [5.0, -1.0]]).double()


def test_relevance_of_an_output_of_each_sample() -> None:
    """Contributions to output 0 of (1, 2), and to output 2 of (5, -1): contributions x w."""
    graph, _ = record(lambda v: F.linear(v, W), X)
    testing.assert_close(graph.outputs, X @ W.T)
    found = graph.relevance(torch.tensor([0, 2]))
    testing.assert_close(found, torch.tensor([[1.0, 4.0], [15.0, -1.0]]).double())


def test_an_output_that_nothing_reaches_has_none() -> None:
    graph, _ = record(lambda v: torch.cat([v, torch.ones(len(v), 1).double()], 1), X)
    testing.assert_close(graph.relevance(torch.tensor([2, 2])), torch.zeros(2, 2).double())


def test_a_network_that_overwrites_its_input_leaves_the_samples() -> None:
    kept = X.clone()
    graph, _ = record(lambda v: v.mul_(2).add_(1), X)
    testing.assert_close(X, kept, rtol=0, atol=0)
    testing.assert_close(graph.outputs, 2 * kept + 1)
    # Of 2 x + 1 the shift is a bias, which keeps 1.
    expected = torch.tensor([[2.0, 0.0], [0.0, -2.0]]).double()
    testing.assert_close(graph.relevance(torch.tensor([0, 1])), expected)


def test_first_layers_learn_the_bounds_of_what_they_see() -> None:
    """The box 0 to (10, 20) seen through 1 - x and through 3 x; a later layer learns none."""
    square = W[:2]

    def formula(v: Tensor) -> Tensor:
        return F.linear(F.linear(1 - v, square).relu() + 3 * v @ square, square)

    graph, _ = record(formula, X)
    low = torch.zeros(2, 2).double()
    graph.bound((low, low + torch.tensor([10.0, 20.0])))
    boxes = {
        index: [corner[0].tolist() for corner in op.role.box]
        for index, op in graph.operations.items()
        if op.role.box is not None
    }
    assert [*boxes] == graph.first
    assert [*boxes.values()] == [[[-9, -19], [1, 1]], [[0, 0], [30, 60]]]


def test_an_operation_knows_what_was_learned_of_it() -> None:
    graph, _ = record(lambda v: F.linear(v, W).relu(), X)
    ((index, between),) = graph.rectified.items()
    assert graph.operations[index].step.name == "linear"
    assert between == ()
    pattern = Pattern(W, W, 0.0)
    graph.teach({index: pattern})
    assert [op.role.pattern for op in graph.operations.values()] == [pattern, None]
