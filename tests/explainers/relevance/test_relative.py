"""Sums and shares of single samples, by hand."""

from __future__ import annotations

import torch
from fixtures.recorded_networks import operations
from torch import Tensor, testing

from hargcn.explainers.deepshap.alignment import Layout
from hargcn.explainers.relevance.relative import sample_sums, shared_by_size, shifted


def double(*rows: list[float]) -> Tensor:
    return torch.tensor([*rows]).double()


def test_sums_of_samples_wherever_they_are() -> None:
    rows = double([1, 2], [3, 5])
    assert sample_sums(rows, Layout(-2), 2).tolist() == [3, 8]
    assert sample_sums(rows, Layout(-1), 2).tolist() == [4, 7]
    folded = torch.arange(12.0).view(6, 2)  # 2 samples, each of 3 persons, sample by sample
    assert sample_sums(folded, Layout(-2, 1, 3), 2).tolist() == [15, 51]
    persons_first = Layout(-2, 3, 1)
    assert sample_sums(folded, persons_first, 2).tolist() == [1 + 9 + 17, 5 + 13 + 21]
    assert sample_sums(rows, Layout(None), 2).tolist() == [5.5, 5.5]  # each has its part


def test_single_precision_is_summed_in_double() -> None:
    values = torch.tensor([[1e8, 1.0, -1e8]])
    assert sample_sums(values, Layout(-2), 1).tolist() == [1.0]


X = double([1, -2, 3], [4, 0, -1])
LAYER = operations(lambda v: v @ torch.ones(3, 1).double(), X)["matmul"]


def test_shares_by_size_are_of_either_sign() -> None:
    found = shared_by_size(LAYER, double([12], [-10]), double([1, -2, 3], [4, 0, -1]))
    testing.assert_close(found, double([2, 4, 6], [-8, 0, -2]))


def test_a_sample_without_contributions_receives_nothing() -> None:
    found = shared_by_size(LAYER, double([12], [5]), double([0, 0, 0], [4, 0, -1]))
    testing.assert_close(found, double([0, 0, 0], [4, 0, 1]))


def test_the_same_is_taken_from_all_that_has_any() -> None:
    """3 too much among three, and 4 too little among two: 0 stays 0."""
    found = shifted(LAYER, double([9], [7]), double([6, 2, 4], [4, 0, -1]))
    testing.assert_close(found, double([5, 1, 3], [6, 0, 1]))


def test_nothing_is_taken_where_there_is_none() -> None:
    found = shifted(LAYER, double([9], [3]), double([0, 0, 0], [4, 0, -1]))
    testing.assert_close(found, double([0, 0, 0], [4, 0, -1]))
