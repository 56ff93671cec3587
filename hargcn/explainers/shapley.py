"""Shapley values of a game with few players exactly, with many by sampling their orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

EXACT = 12
"""Players up to which every coalition is asked."""


@dataclass(frozen=True)
class ShapleyValues:
    """What each player adds.

    Attributes
    ----------
    values, errors : (players,)
        Shapley values and their standard errors, 0 where exact.
    orders : int
        Orders of the players that were sampled, 0 where exact.
    """

    values: Tensor
    errors: Tensor
    orders: int


def exact(worth: Callable[[Tensor], Tensor], players: int) -> ShapleyValues:
    """Ask every coalition.

    Parameters
    ----------
    worth
        From coalitions (B, players) bool to their worths (B,).
    players
        Number of players n; 2^n coalitions are asked.
    """
    values = shapley_values(worth(every_coalition(players)), players)
    return ShapleyValues(values, torch.zeros_like(values), 0)


def every_coalition(players: int) -> Tensor:
    """Return all coalitions (2^players, players) bool; player i is in those whose bit i is 1."""
    numbers, bits = torch.arange(2**players), 2 ** torch.arange(players)
    return (numbers[:, None] & bits) > 0


def shapley_values(worths: Tensor, players: int) -> Tensor:
    """Return phi_i = sum_S |S|! (n - |S| - 1)! / n! (v(S + i) - v(S)), (players,).

    Parameters
    ----------
    worths
        (2^players,) of `every_coalition`.
    players
        Number of players n.
    """
    coalitions, worths = every_coalition(players), worths.double().cpu()
    size = coalitions.sum(dim=1)
    shares = torch.tensor(
        [1 / (players * math.comb(players - 1, s)) for s in range(players)], dtype=torch.float64
    )
    numbers = torch.arange(len(coalitions))
    values = torch.zeros(players, dtype=torch.float64)
    for i in range(players):
        without = numbers[~coalitions[:, i]]
        values[i] = (shares[size[without]] * (worths[without + 2**i] - worths[without])).sum()
    return values


def along(worth: Callable[[Tensor], Tensor], order: Tensor) -> Tensor:
    """Return the worths (B, players + 1) of the growing coalitions of orders (B, players)."""
    players = order.shape[1]
    place = order.argsort(dim=1)
    present = place[:, None] < torch.arange(players + 1)[None, :, None]
    return worth(present.flatten(0, 1)).view(len(order), players + 1)


def sampled(
    along: Callable[[Tensor], Tensor],
    players: int,
    orders: int,
    tolerance: float | None,
    antithetic: bool,
    generator: torch.Generator,
    chunk: int,
) -> ShapleyValues:
    """Average what players add in random orders (Castro et al. 2009).

    An antithetic order is followed by its reverse; the error is that of the pairs' means (Mitchell
    et al. 2022).

    Parameters
    ----------
    along
        From orders (B, players) to the worths (B, players + 1) of their growing coalitions.
    players, orders
        Number of players, and the most orders to ask.
    tolerance
        Stop once no standard error is larger.
    antithetic
        Whether orders come in pairs.
    generator
        Source of the orders.
    chunk
        Orders per call of `along`.
    """
    per_draw = 2 if antithetic else 1
    draws = max(orders // per_draw, 2)
    total, squares = (torch.zeros(players, dtype=torch.float64) for _ in range(2))
    done = 0
    errors = torch.full_like(total, math.inf)
    while done < draws and not (tolerance is not None and float(errors.max()) <= tolerance):
        size = min(max(chunk // per_draw, 2), draws - done)
        order = torch.rand(size, players, generator=generator).argsort(dim=1)
        order = torch.cat([order, order.flip(1)]) if antithetic else order
        added = along(order).diff(dim=1).cpu()
        by_player = torch.empty_like(added).scatter_(1, order, added).double()
        draw = by_player.view(per_draw, size, players).mean(dim=0)
        total += draw.sum(dim=0)
        squares += (draw**2).sum(dim=0)
        done += size
        variance = (squares / done - (total / done) ** 2).clamp(min=0) * done / (done - 1)
        errors = (variance / done).sqrt()
    return ShapleyValues(total / done, errors, done * per_draw)
