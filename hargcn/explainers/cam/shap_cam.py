"""Shap-CAM: Shapley values of a feature map's cells.

[Z]: Zheng et al. 2022, Shap-CAM: Visual Explanations for CNNs based on Shapley Value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, adapted
from hargcn.explainers.cam.base import CAM_DIMS
from hargcn.explainers.cam.gradient_free import GradientFreeCAM
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, class_scores
from hargcn.explainers.shapley import EXACT, ShapleyValues, along, exact, sampled
from hargcn.explainers.tail import tail
from hargcn.outputs import Outputs, outputs_of
from hargcn.registry import settings

Players = Literal["cells", "joints", "joints-time", "parts"]
_NUMBERS = 8_000_000  # per chunk of orders


@settings
class ShapCAM(GradientFreeCAM):
    """Shapley values of cells: absent ones take their feature map's mean ([Z] 4-7).

    All persons' cells are players of one game, whose worth is the score; the values of a sample add
    up to the score of the whole map minus that of the means alone. A group of cells shares its
    value equally. Up to 12 players are exact; more are sampled, and the variable `standard_error`
    says how well. At a layer followed by a global average and a linear head, the worth of a growing
    coalition is a cumulative sum; elsewhere every coalition runs through the tail of the network.

    Parameters
    ----------
    utility
        The score; the paper's is "prob".
    players
        "cells" (time x joint), "joints", "joints-time" (joints in `bins` stretches of time) or
        "parts" (of the skeleton's body).
    permutations
        Most orders of the players per sample.
    tolerance
        Stop once no player's standard error is larger, in units of the score.
    antithetic
        Follow each order by its reverse.
    bins
        Stretches of time of "joints-time".
    seed
        Of the orders; every sample sees the same.
    batch
        Coalitions per run of the tail.
    """

    name = "shapcam"
    label = "Shap-CAM"
    source = "Zheng et al. 2022, equations 4-7"
    cost = "F + tail F per coalition"

    utility: Utility = "prob"
    players: Players = "cells"
    permutations: Annotated[int, Field(ge=4)] = 10_000
    tolerance: float | None = None
    antithetic: bool = True
    bins: Annotated[int, Field(ge=1)] = 4
    seed: int = 1234
    batch: Annotated[int, Field(ge=1)] = 64

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: no such layer, or no body parts where these play."""
        reason = super().supports(model, x)
        if not reason and self.players == "parts" and getattr(model, "skeleton", None) is None:
            return "expected a model with a skeleton for the players 'parts' (got none)"
        return reason

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: two as it is, and the tail for each coalition.

        A linear head behind the layer needs no passes; up to the `tolerance`, fewer may do.
        """
        at, maps = adapted(model, x), self.maps_of(model, x)
        if at.linear_head(self.layer) is not None:
            return Passes(2)
        players = int(_groups(at, self.layer, maps, self).max()) + 1
        if players <= EXACT:
            return Passes(2, tail=2**players)
        pairs = max(self.permutations // 2, 2) * 2 if self.antithetic else self.permutations
        tail = pairs * (players + 1)
        if self.tolerance is None:
            return Passes(2, tail=tail)
        return Passes(2, tail=4 * (players + 1), most=2 + tail)

    def maps(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the players' values on their cells, with standard errors and permutations."""
        with _games(model, at, layer, x, target, self) as (groups, games):
            found = [self._play(game, int(groups.max()) + 1) for game in games]
        groups = groups.cpu()  # as the players' values are
        sizes = torch.bincount(groups.flatten()).double()
        values, errors = (
            torch.stack([getattr(one, name) / sizes for one in found])[:, groups].to(x)
            for name in ("values", "errors")
        )
        kept = {
            "standard_error": (CAM_DIMS, errors.permute(0, 2, 3, 1)),
            "permutations": torch.tensor([one.orders for one in found]),
        }
        return values, kept

    def _play(self, game: _Game, players: int) -> ShapleyValues:
        if players <= EXACT:
            return exact(game.worth, players)
        return sampled(
            game.along,
            players,
            self.permutations,
            self.tolerance,
            self.antithetic,
            torch.Generator().manual_seed(self.seed),
            max(4, min(1000, _NUMBERS // (players * game.width))),
        )


@dataclass(frozen=True)
class _Game:
    """One sample's game: worths of coalitions, and along growing ones.

    `width` is how many numbers one coalition takes.
    """

    worth: Callable[[Tensor], Tensor]
    along: Callable[[Tensor], Tensor]
    width: int


@contextmanager
def _games(
    model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor, wanted: ShapCAM
) -> Iterator[tuple[Tensor, Iterator[_Game]]]:
    """Yield each cell's player (person, time, joint) and every sample's game."""
    head, outputs = at.linear_head(layer), outputs_of(model)
    with tail(model, at, layer, x) as (raw, run):
        maps = at.unfold(layer, raw, len(x))
        groups = _groups(at, layer, maps, wanted)
        mean = maps.mean(dim=(3, 4), keepdim=True)

        def linear(i: int) -> _Game:
            assert head is not None
            own = (maps[i] - mean[i]).transpose(0, 1).flatten(1) @ _members(groups, maps)
            steps = own.T @ head[0].T / groups.numel()
            start = mean[i].mean(dim=0).flatten() @ head[0].T + head[1]
            return _linear_game(steps, start, int(target[i]), wanted.utility, outputs)

        def behind(i: int) -> _Game:
            def worth(coalitions: Tensor) -> Tensor:
                found = []
                for part in coalitions.to(x.device).split(wanted.batch):
                    present = part[:, groups].unsqueeze(2)
                    rows = torch.full((len(part),), i, device=x.device)
                    shown = torch.where(present, maps[i], mean[i])
                    logits = run(at.fold(layer, shown), rows)
                    found.append(class_scores(logits, wanted.utility, outputs)[:, target[i]])
                return torch.cat(found)

            return _Game(worth, lambda order: along(worth, order), groups.numel())

        yield groups, (map(behind, range(len(x))) if head is None else map(linear, range(len(x))))


def _linear_game(
    steps: Tensor, start: Tensor, target: int, utility: str, outputs: Outputs
) -> _Game:
    """Return the game whose logits are `start` plus the present players' `steps`."""

    def score(logits: Tensor) -> Tensor:
        flat = class_scores(logits.flatten(0, -2), utility, outputs)
        return flat[:, target].view(logits.shape[:-1])

    def worth(coalitions: Tensor) -> Tensor:
        return score(start + coalitions.to(steps) @ steps)

    def grown(order: Tensor) -> Tensor:
        logits = start + steps[order.to(steps.device)].cumsum(dim=1)
        return score(torch.cat([start.expand(len(order), 1, -1), logits], dim=1))

    return _Game(worth, grown, steps.shape[1])


def _members(groups: Tensor, like: Tensor) -> Tensor:
    """Return (cells, players), 1 where the cell is the player's."""
    return nn.functional.one_hot(groups.flatten()).to(like)


def _groups(at: ExplainableModel, layer: str, maps: Tensor, wanted: ShapCAM) -> Tensor:
    """Return each cell's player (person, time, joint)."""
    persons, _, cells, joints = maps.shape[1:]
    time, joint = torch.arange(cells), torch.arange(joints)
    if wanted.players == "cells":
        own = time[:, None] * joints + joint
    elif wanted.players == "joints":
        own = joint.expand(cells, joints)
    elif wanted.players == "joints-time":
        bins = min(wanted.bins, cells)
        own = (time * bins // cells)[:, None] * joints + joint
    else:
        own = _parts(at, layer, joints).expand(cells, joints)
    each = int(own.max()) + 1
    groups = torch.arange(persons)[:, None, None] * each + own
    return groups.to(maps.device)


def _parts(at: ExplainableModel, layer: str, joints: int) -> Tensor:
    """Return the body part of each joint."""
    skeleton = getattr(at, "skeleton", None)
    if skeleton is None or skeleton.n_joints != joints:
        raise ValueError(
            f"layer {layer!r}: expected a model with a skeleton of {joints} joints for the players "
            f"'parts' (got {None if skeleton is None else skeleton.name})"
        )
    part_of = torch.empty(joints, dtype=torch.long)
    for number, members in enumerate(skeleton.parts.values()):
        part_of[list(members)] = number
    return part_of
