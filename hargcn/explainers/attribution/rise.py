"""RISE: the score under random masks that are smooth over the skeleton and over time."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import input_axes
from hargcn.explainers.attribution.groups import Game, Hiding, Players, players_of
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility
from hargcn.outputs import Outputs
from hargcn.registry import settings
from hargcn.skeleton import Skeleton


@settings
class Rise(Hiding):
    """How much higher the score is where a cell is shown: E[f M] / E[M] - E[f].

    Masks M draw 0 or 1 for every joint at `bins` + 1 points in time, are averaged over a joint and
    its neighbours in the skeleton `hops` times, and interpolated between the points. Means are
    those over the masks drawn. The paper's map is E[f M] / E[M]: the same but for a constant, which
    would make every cell of a high score important. The explanation is a map over time, joint and
    person; without a skeleton, joints have no neighbours.

    Parameters
    ----------
    masks
        How many are drawn.
    shown
        Probability that a joint is shown at a point in time.
    bins
        Stretches of time between the points.
    hops
        How often masks are averaged over neighbours; 0 for joints of their own.
    seed
        Of the masks; every sample sees the same.
    utility
        The score; the paper's is "prob".
    """

    name = "rise"
    label = "RISE"
    source = "Petsiuk et al. 2018, equation 6"
    cost = "F x masks (x background, where it replaces)"

    masks: Annotated[int, Field(ge=2)] = 500
    shown: Annotated[float, Field(gt=0, lt=1)] = 0.5
    bins: Annotated[int, Field(ge=1)] = 4
    hops: Annotated[int, Field(ge=0)] = 1
    seed: int = 1234
    utility: Utility = "logit"

    def divided(self, model: nn.Module, x: Tensor) -> Players:
        """Return the cells of an input as players, and refuse one without time or joints."""
        frames = dict(zip(input_axes(model, x), x.shape, strict=True)).get("time", 1)
        return players_of(model, x, "joint-time", frames)

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: the sample as it is, and every mask."""
        return Passes(1 + self.masks * self.rows)

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the cells' values; 0 where nobody is."""
        masks = self._drawn(players).to(game.x.device)
        worths = game.worths(players, masks, target, self.utility, outputs)
        values = (worths - worths.mean()) @ masks / masks.sum(dim=0).clamp(min=1e-12)
        return {"values": torch.where(game.playing(players), values, 0.0)}

    def _drawn(self, players: Players) -> Tensor:
        """Draw masks (masks, player) in double precision."""
        persons, frames, joints = (players.sizes.get(d, 1) for d in ("person", "time", "joint"))
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.masks, persons, joints, self.bins + 1)
        points = (torch.rand(shape, generator=generator) < self.shown).double()
        points = _neighbours(players.skeleton, joints).matrix_power(self.hops) @ points
        fine = nn.functional.interpolate(
            points.flatten(0, 1), size=frames, mode="linear", align_corners=True
        )
        return fine.view(*shape[:3], frames).transpose(2, 3).flatten(1)

    def spread(self, players: Players, values: Tensor, x: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        """Return a map over (sample, time, joint[, person])."""
        return players.map(values)


def _neighbours(skeleton: Skeleton | None, joints: int) -> Tensor:
    """Return the matrix (V, V) that averages over each joint and its neighbours."""
    near = torch.eye(joints, dtype=torch.float64)
    if skeleton is not None and skeleton.n_joints == joints:
        a, b = torch.tensor(skeleton.edges).T
        near[a, b] = near[b, a] = 1
    return near / near.sum(dim=1, keepdim=True)
