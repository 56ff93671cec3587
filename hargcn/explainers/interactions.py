"""Pairwise interactions of the players of a game, by shapiq (`pip install 'hargcn[interactions]'`).

k-SII: Bordt and von Luxburg 2023, From Shapley values to generalized additive models and back; its
pairs are Grabisch and Roubens' interaction index. STII: Sundararajan et al. 2020, The Shapley
Taylor interaction index. Both of order 2: single values and pairs add up to the game's worth.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

Index = Literal["k-SII", "STII"]

RUNS = 4
"""Independent estimates, from whose spread sampled interactions have their standard error."""


def available() -> None:
    """Refuse to go on without shapiq.

    Raises
    ------
    ValueError
        Says how to install it.
    """
    if importlib.util.find_spec("shapiq") is None:
        raise ValueError(
            "expected shapiq for interactions (not installed): pip install 'hargcn[interactions]'"
        )


def least(players: int) -> int:
    """Return the coalitions without which interactions of so many players are not sampled.

    Every run has to ask twice as many as there are unknowns: with less its regression is unstable.
    """
    return RUNS * 2 * (2 + players + math.comb(players, 2))


def exact_pairs(worths: Tensor, players: int, index: Index) -> Tensor:
    """Return a symmetric matrix (players, players) of interactions, single values its diagonal.

    Parameters
    ----------
    worths
        (2^players,) of `shapley.every_coalition`.
    players
        Number of players.
    index
        Which index.
    """
    import shapiq

    known = worths.double().cpu().numpy()
    bits = 2 ** np.arange(players)

    def worth(coalitions: np.ndarray) -> np.ndarray:
        return known[np.atleast_2d(coalitions).astype(int) @ bits] - known[0]

    if players < 2:
        return torch.full((players, players), float(known[-1] - known[0]), dtype=torch.float64)
    return _matrix(shapiq.ExactComputer(worth, players)(index=index, order=2), players)


def sampled_pairs(
    worth: Callable[[Tensor], Tensor], players: int, index: Index, budget: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Estimate interactions of many players: mean and standard error of `RUNS` runs.

    k-SII by KernelSHAP-IQ, a weighted regression (Fumagalli et al. 2024); STII by SHAP-IQ, whose
    estimates are unbiased (Fumagalli et al. 2023).

    Parameters
    ----------
    worth
        From coalitions (B, players) bool to their worths (B,).
    players
        Number of players.
    index
        Which index.
    budget
        Coalitions to ask in all.
    seed
        Of the coalitions.

    Returns
    -------
    mean, error
        Symmetric matrices (players, players); single values on the diagonal.
    """
    import shapiq

    nobody = worth(torch.zeros(1, players, dtype=torch.bool))

    def game(coalitions: np.ndarray) -> np.ndarray:
        asked = torch.from_numpy(np.atleast_2d(coalitions).astype(bool))
        return (worth(asked) - nobody).numpy()

    estimate: Any = shapiq.KernelSHAPIQ if index == "k-SII" else shapiq.SHAPIQ
    found = []
    for run in range(RUNS):
        drawing = estimate(n=players, max_order=2, index=index, random_state=seed + run)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it needs less than its budget
            found.append(_matrix(drawing.approximate(budget=budget // RUNS, game=game), players))
    runs = torch.stack(found)
    return runs.mean(dim=0), runs.std(dim=0) / math.sqrt(RUNS)


def _matrix(found: Any, players: int) -> Tensor:
    """Lay single values and pairs out as a symmetric matrix."""
    laid = np.zeros((players, players))
    for members, place in found.interaction_lookup.items():
        if members:
            laid[members[0], members[-1]] = laid[members[-1], members[0]] = found.values[place]
    return torch.from_numpy(laid)
