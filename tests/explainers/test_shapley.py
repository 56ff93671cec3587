from __future__ import annotations

import pytest
import torch

from hargcn.explainers.shapley import exact, sampled

# The glove game: players 0 and 1 own left gloves, player 2 a right one; a pair is worth 1.
GLOVES = torch.tensor([1 / 6, 1 / 6, 4 / 6], dtype=torch.float64)


def worth(coalitions):
    return ((coalitions[:, 0] | coalitions[:, 1]) & coalitions[:, 2]).float()


def along(order):
    present = order.argsort(dim=1)[:, None] < torch.arange(4)[None, :, None]
    return worth(present.flatten(0, 1)).view(len(order), 4)


def play(orders=4000, tolerance=None, antithetic=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return sampled(along, 3, orders, tolerance, antithetic, generator, chunk=100)


def test_the_glove_game_exactly():
    made = exact(worth, 3)
    torch.testing.assert_close(made.values, GLOVES)
    assert made.orders == 0
    assert made.errors.tolist() == [0, 0, 0]


@pytest.mark.parametrize("antithetic", [True, False])
def test_the_glove_game_sampled(antithetic):
    made = play(antithetic=antithetic)
    assert made.orders == 4000
    assert ((made.values - GLOVES).abs() < 4 * made.errors).all()
    assert made.values.sum().item() == pytest.approx(1)
    if not antithetic:  # a player's share is a coin of its own probability
        expected = (GLOVES * (1 - GLOVES) / 4000).sqrt()
        torch.testing.assert_close(made.errors, expected, rtol=0.1, atol=0)


def test_errors_are_those_of_many_runs():
    runs = [play(orders=100, seed=s) for s in range(60)]
    spread = torch.stack([run.values for run in runs]).std(dim=0)
    stated = torch.stack([run.errors for run in runs]).mean(dim=0)
    torch.testing.assert_close(stated, spread, rtol=0.35, atol=0)


def test_it_stops_at_the_tolerance():
    made = play(tolerance=0.02)
    assert made.orders < 4000
    assert made.errors.max() <= 0.02


def test_the_error_of_few_orders_is_unbiased():
    """Variance over n - 1: with four orders that is a third more."""
    asked = []

    def heard(order):
        asked.append(order)
        return along(order)

    generator = torch.Generator().manual_seed(3)
    made = sampled(heard, 3, 4, None, False, generator, chunk=100)
    order = torch.cat(asked)
    added = torch.empty(4, 3).scatter_(1, order, along(order).diff(dim=1)).double()
    torch.testing.assert_close(made.errors, added.std(dim=0, correction=1) / 2)
    assert made.errors.any()


@pytest.mark.parametrize("orders", [130, 260])
def test_no_more_orders_than_allowed_are_asked(orders):
    assert play(orders=orders).orders == orders
