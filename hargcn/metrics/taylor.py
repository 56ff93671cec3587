"""How far the second-order values of ShapleyCAM are from the Shapley values they stand for.

Of a score that is quadratic in an activation they are the same (Cai 2025, theorem 2): the player
that holds the entries A_p of A, absent ones being 0, has g . A_p - A_p . H A / 2 with gradient g
and Hessian H at A. Of other scores nothing but asking every coalition tells.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import xarray as xr
from torch import Tensor, nn

from hargcn.checks import at_least, one_of
from hargcn.explainers.adapter import adapted
from hargcn.explainers.scores import scores_of
from hargcn.explainers.shapley import EXACT, every_coalition, shapley_values
from hargcn.explainers.tail import tail
from hargcn.outputs import outputs_of

_AXES = {"feature": 1, "time": 2, "joint": 3}
_ROWS = 64  # coalitions per pass


def taylor_values(
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    layer: str,
    utility: str = "rest",
    players: str = "feature",
    most: int = 10,
) -> xr.Dataset:
    """Ask every coalition of a layer's features, frames or joints, and compare.

    Parameters
    ----------
    model, x, target
        A network, its input and the class (N,) of each sample.
    layer
        Whose activation A the players share; absent ones are 0.
    utility
        The score, as of class activation maps.
    players
        What a player holds: one of the features, cells of time or joints; where they are more than
        `most`, neighbours play together.
    most
        Players at most, up to 12: 2^players passes through what lies behind the layer.

    Returns
    -------
    xarray.Dataset
        Over (sample, player): `shapley`, all coalitions asked; `second`, g . A_p - A_p . H A / 2
        (ShapleyCAM); `first`, g . A_p (HiResCAM); `quadratic`, all coalitions asked of the
        polynomial s + g . d + d . H d / 2 instead of the score.

    Raises
    ------
    ValueError
        For unknown players, or more than can be asked.
    """
    axis = _AXES[one_of("players", players, _AXES)]
    at_least("most", most, 1)
    if most > EXACT:
        raise ValueError(f"Expected at most {EXACT} players, 2^{EXACT} coalitions (got {most})")
    at, found = adapted(model, x), []
    with tail(model, at, layer, x) as (raw, run):
        # Torch's second derivatives go wrong for a batch of one whose channels lie last in memory.
        maps = at.unfold(layer, raw, len(x)).contiguous()
        size = maps.shape[1:][axis]
        count = min(most, size)
        own = (torch.arange(size, device=maps.device) * count // size).view(
            [-1 if each == axis else 1 for each in range(4)]
        )
        member = torch.stack([(own == player).to(maps) for player in range(count)])
        coalitions = every_coalition(count)

        def score(sample: int, shown: Tensor) -> Tensor:
            rows = torch.full((len(shown),), sample, dtype=torch.long, device=shown.device)
            logits = run(at.fold(layer, shown), rows)
            return scores_of(logits, target[rows], utility, outputs_of(model))

        for sample in range(len(x)):
            parts = (maps[sample] * member).contiguous()
            worths = torch.cat(
                [
                    score(sample, torch.einsum("bp,p...->b...", some.to(parts), parts))
                    for some in coalitions.split(_ROWS)
                ]
            )
            with torch.enable_grad():
                gradient, hessian = _derivatives(partial(score, sample), parts)
            absent = (~coalitions).double()
            around = -absent @ gradient + ((absent @ hessian) * absent).sum(1) / 2
            found.append(
                {
                    "shapley": shapley_values(worths, count),
                    "second": gradient - hessian.sum(1) / 2,
                    "first": gradient,
                    "quadratic": shapley_values(around, count),
                }
            )
    return xr.Dataset(
        {
            name: (("sample", "player"), torch.stack([each[name] for each in found]).numpy())
            for name in found[0]
        }
    )


def taylor_errors(values: xr.Dataset) -> xr.Dataset:
    """Return how far values are from the Shapley values, (sample,) each.

    Parameters
    ----------
    values
        What `taylor_values` returned.

    Returns
    -------
    xarray.Dataset
        `second`, `first`: the sum of |value - Shapley value| over players, a share of the sum of
        |Shapley value|; `theorem`: the same between `second` and `quadratic`, nothing but rounding.
    """

    def apart(name: str, exact: str) -> xr.DataArray:
        return abs(values[name] - values[exact]).sum("player") / abs(values[exact]).sum("player")

    return xr.Dataset(
        {
            "second": apart("second", "shapley"),
            "first": apart("first", "shapley"),
            "theorem": apart("second", "quadratic"),
        }
    )


def _derivatives(score: Callable[[Tensor], Tensor], parts: Tensor) -> tuple[Tensor, Tensor]:
    """Return g . A_p (players,) and A_p . H A_q (players, players) at the sum A of the parts."""
    whole = parts.sum(0, keepdim=True).requires_grad_()
    (gradient,) = torch.autograd.grad(score(whole).sum(), whole, create_graph=True)
    first = torch.einsum("p...,...->p", parts, gradient[0].detach()).double().cpu()
    second = torch.zeros(len(parts), len(parts), dtype=torch.float64)
    if gradient.requires_grad:  # else the score is linear in A
        for player, part in enumerate(parts):
            (product,) = torch.autograd.grad(
                gradient, whole, part[None], retain_graph=True, materialize_grads=True
            )
            second[player] = torch.einsum("p...,...->p", parts, product[0]).double().cpu()
    return first, second
