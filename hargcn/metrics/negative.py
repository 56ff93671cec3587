"""Negative attributions: whether the score rises without what is said to speak against the class.

Nothing above 0 is removed: a map that says nothing negative removes nothing, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor, nn

from hargcn.explanation import Explanation
from hargcn.metrics.maps import cells, check, ordering
from hargcn.metrics.masking import FROZEN, places
from hargcn.metrics.runner import Runner, substrate
from hargcn.metrics.units import Units
from hargcn.perturbation import Edit, InputEdit


def without_negative_cells(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    shares: Sequence[float],
    edit: InputEdit = FROZEN,
    *,
    run: Runner | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Replace the most negative cells by the substrate (Choi, part 1; Nam et al. 2020, RAP).

    Parameters
    ----------
    shares
        Of all cells, how many are replaced at most: only those below 0 are.

    Returns
    -------
    rise
        (sample, share) by how much the logit of the explained class rises.
    removed
        (sample, share) the share of cells that were replaced.
    """
    check(x, explanation)
    run = run or Runner()
    maps = cells(explanation, x.shape[-3])

    def taken(block: np.ndarray) -> np.ndarray:
        place = places(-maps[block], run.start + block, run.seed)[:, None]
        most = np.round(np.reshape(shares, (-1, 1)) * place.shape[-1])
        negative = maps[block].reshape(len(block), 1, -1) < 0
        return ((place < most) & negative).reshape(len(block), len(shares), *maps.shape[1:])

    still = substrate(x, edit, run)
    after = run.blended(model, x, still, lambda block: ~taken(block), len(shares), "negative")
    return _rise(model, x, explanation, run, after), taken(np.arange(len(x))).mean((2, 3))


def without_negative_joints(
    model: nn.Module,
    x: Tensor,
    explanation: Explanation,
    counts: Sequence[int],
    edit: Edit = FROZEN,
    *,
    run: Runner | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Edit the joints, or edges, of the most negative mean attributions.

    Parameters
    ----------
    counts
        How many are edited at most: only those below 0 are.

    Returns
    -------
    rise
        (sample, count) by how much the logit of the explained class rises.
    removed
        (sample, count) how many were edited.
    """
    run = run or Runner()
    units = Units.of(model, x, [explanation], edit, run)
    scores = units.scores(explanation)
    ranks = ordering(-scores, seed=run.seed, start=run.start).argsort(1)[:, None]
    chosen = (ranks < np.reshape(counts, (-1, 1))) & (scores < 0)[:, None]
    after = run.edited(model, x, edit, units.sets(chosen)).mean(2)
    return _rise(model, x, explanation, run, after), chosen.sum(2).astype(float)


def _rise(
    model: nn.Module, x: Tensor, explanation: Explanation, run: Runner, after: np.ndarray
) -> np.ndarray:
    """Return how much the explained output of (sample, set, output) is above that of x."""
    before, target = run.logits(model, x), explanation.target.to_numpy().astype(int)
    rows = np.arange(len(x))
    return after[rows, :, target] - before[rows, target][:, None]
