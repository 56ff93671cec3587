"""LIME: a linear model of the score on players that are there or hidden."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.attribution.groups import Game, HidingGroups, Players
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, class_scores
from hargcn.outputs import Outputs
from hargcn.registry import settings


@settings
class Lime(HidingGroups):
    """Coefficients of a weighted ridge regression of the score on random groups of players.

    Each player is there with probability 1/2; near the whole sample weighs more, by
    exp(-d^2 / width^2), d the cosine distance of a mask to that of everybody. `r2` (sample) is the
    weighted share of the score's variance that the linear model explains: near 0, the values say
    little. A player's value is shared equally by its cells; `player_value` holds it whole.

    Parameters
    ----------
    masks
        Groups that are asked, the first of them everybody.
    width
        Of the kernel, in cosine distance.
    ridge
        Penalty of the squared coefficients; 0 for least squares.
    seed
        Of the groups; every sample sees the same.
    utility
        The score.
    """

    name = "lime"
    label = "LIME"
    source = "Ribeiro et al. 2016, section 3"
    cost = "F x masks (x background, where it replaces)"

    masks: Annotated[int, Field(ge=2)] = 500
    width: Annotated[float, Field(gt=0)] = 0.25
    ridge: Annotated[float, Field(ge=0)] = 1.0
    seed: int = 1234
    utility: Utility = "logit"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: the sample as it is, and every group but the whole."""
        return Passes(1 + (self.masks - 1) * self.rows)

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the players' coefficients and the fit's R2."""
        playing = game.playing(players).cpu()
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.masks - 1, len(players.names))
        drawn = (torch.rand(shape, generator=generator, dtype=torch.float64) < 0.5).double()
        drawn[:, ~playing] = 1
        worths = game.worths(players, drawn, target, self.utility, outputs)
        whole = class_scores(game.whole, self.utility, outputs)[:, target]
        values = torch.zeros(len(players.names), dtype=torch.float64)
        r2 = torch.ones((), dtype=torch.float64)
        if bool(playing.any()):
            masks = torch.cat([torch.ones(1, shape[1]).double(), drawn])[:, playing].numpy()
            found, r2 = self._fitted(masks, torch.cat([whole, worths]).cpu().numpy())
            values[playing] = found
        return {"values": values, "r2": r2}

    def _fitted(self, masks: np.ndarray, scores: np.ndarray) -> tuple[Tensor, Tensor]:
        from sklearn.linear_model import Ridge

        distance = 1 - np.sqrt(masks.mean(axis=1))  # to all ones; of nobody 1
        weights = np.exp(-((distance / self.width) ** 2))
        model = Ridge(alpha=self.ridge).fit(masks, scores, sample_weight=weights)
        fit = model.score(masks, scores, sample_weight=weights)
        return torch.from_numpy(model.coef_), torch.tensor(fit, dtype=torch.float64)
