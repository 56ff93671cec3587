"""Where tensors keep their samples."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hargcn.explainers.deepshap.alignment import Layout, difference, exact_layout, find_layout


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4), st.integers(0, 99)
)
def test_finds_any_fold_and_spreads_accordingly(outer, inner, place, n, seed):
    """Stack known samples at any place, folded any way: the layout must take them apart again."""
    generator = torch.Generator().manual_seed(seed)
    shape = [2, 4]
    shape[place:place] = [outer, inner]
    samples = [torch.randn(shape, generator=generator) for _ in range(max(n, 2))]

    def fold(parts):
        return torch.stack(parts, place + 1).flatten(place, place + 2)

    both, first, second = fold(samples[:2]), fold(samples[:1]), fold(samples[1:2])
    layout = find_layout(both, first, second)
    assert (layout.outer, layout.inner) == (outer, inner)
    assert layout.axis == place - 3
    rows = layout.rows(fold(samples[:n]), n)
    assert all(
        torch.equal(row.reshape(shape), one) for row, one in zip(rows, samples[:n], strict=True)
    )
    assert torch.equal(layout.spread(first, n), fold(samples[:1] * n))


def test_sample_major_wins_where_both_fit():
    one = torch.ones(3, 2)
    layout = find_layout(torch.ones(6, 2), one, one)
    assert layout == Layout(-2, 1, 3)
    assert layout.folded


def test_tensor_of_no_sample():
    layout = find_layout(torch.eye(3), torch.eye(3), torch.eye(3))
    assert layout == Layout(None)
    assert torch.equal(layout.spread(torch.eye(3), 5), torch.eye(3))
    assert layout.rows(torch.eye(3), 5).shape == (5, 3, 3)


@pytest.mark.parametrize(
    "both",
    [
        torch.tensor([[1.0, 2.0], [3.0, 5.0]]),
        torch.tensor([1.0, 2.0]),
        torch.ones(2, 4),
        torch.ones(3, 2),
    ],
)
def test_mixed_samples_are_noticed(both):
    first, second = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    assert find_layout(both, first, second) is None


def test_a_sample_that_is_the_same_beside_any_other_stands_apart():
    """Alone it may differ by any rounding: the batch of one size decides, bit by bit."""
    one = torch.tensor([[1.0, 2.0]])
    both, twice = torch.tensor([[0.5, 2], [3, 4]]), torch.tensor([[0.5, 2], [0.4, 2]])
    other = torch.tensor([[3.1, 4], [3, 4]])
    assert exact_layout(both, twice, other, one) == Layout(-2)
    for place in ([0, 0], [1, 0]):
        moved = both.clone()
        moved[tuple(place)] += 1e-6
        assert exact_layout(moved, twice, other, one) is None
    assert exact_layout(one, one, one, one) == Layout(None)
    assert exact_layout(one, one, one + 1, one) is None


def test_difference_is_relative_to_the_largest_value():
    assert difference(torch.tensor([100.0, 1.0]), torch.tensor([100.0, 2.0])) == pytest.approx(0.01)
    assert difference(torch.tensor([]), torch.tensor([])) == 0
    assert difference(torch.tensor([1, 2]), torch.tensor([1, 3])) == math.inf
    assert difference(torch.tensor([1, 2]), torch.tensor([1, 2])) == 0


def test_difference_of_infinities_is_their_place():
    a = torch.tensor([1.0, -math.inf, math.nan])
    assert difference(a, a) == 0
    assert difference(a, torch.tensor([1.0, math.inf, math.nan])) == math.inf
    assert difference(a, torch.tensor([1.0, 5.0, math.nan])) == math.inf
