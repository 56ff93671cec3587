"""Occlusion and prediction difference: what the score loses when one player is hidden."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.attribution.groups import Game, HidingGroups, Players, Replace
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, class_scores
from hargcn.outputs import Outputs
from hargcn.registry import settings


class OneByOne(HidingGroups):
    """Methods that hide one player at a time, all others shown."""

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: as it is, and without each player."""
        return Passes(1 + len(self.divided(model, x).names) * self.rows)


@settings
class Occlusion(OneByOne):
    """f(x) - f(x without the player): what the score loses with it.

    A player's value is shared equally by its cells, so that cells sum to it; the players' own
    values are the variable `player_value`. Of a linear network players' values add up to that of
    their union; elsewhere they do not, and two players that stand in for each other have none.

    Parameters
    ----------
    utility
        The score.
    """

    name = "occlusion"
    label = "occlusion"
    source = "Zeiler and Fergus 2014, section 4.2"
    cost = "F x players (x background, where it replaces)"

    utility: Utility = "logit"

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return each player's value."""
        lost, playing = without_each(game, players)
        whole = class_scores(game.whole, self.utility, outputs)[0, target]
        values = torch.zeros(len(players.names), dtype=torch.float64, device=whole.device)
        if len(lost):
            rest = game.worths(players, lost, target, self.utility, outputs)
            values[playing] = whole - rest
        return {"values": values}


@settings
class PredictionDifference(OneByOne):
    """How much more probable the class is with the player than without knowing it.

    Unknown is what the background says of it: p(c | x without i) = mean over background rows r of
    p(c | x, its cells i from r), the marginal of Robnik-Sikonja and Kononenko 2008, equation 3.
    Values are shared by cells as those of `occlusion`.

    Parameters
    ----------
    replace
        The background, always.
    scale
        "log-odds", the weight of evidence log2 odds(c | x) - log2 odds(c | x without i);
        "information", log2 p - log2 p; "difference", p - p.
    laplace
        Training samples N of the Laplace correction p <- (p N + 1) / (N + K), K classes, which
        keeps odds finite; 0 for none.
    """

    name = "prediction-difference"
    label = "prediction difference"
    source = "Zintgraf et al. 2017, section 3; Robnik-Sikonja and Kononenko 2008"
    needs = ("background",)
    cost = "F x players x background"
    kinds = ("classes", "ordinal", "multi-label")  # values have no odds

    replace: Replace = "background"
    scale: Literal["log-odds", "information", "difference"] = "log-odds"
    laplace: Annotated[int, Field(ge=0)] = 0

    def __post_init__(self) -> None:
        if self.replace != "background":
            raise ValueError(f"{self.name}: expected replace 'background' (got {self.replace!r})")
        super().__post_init__()

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return each player's value."""
        lost, playing = without_each(game, players)
        know = self._scaled(game.whole[None], game.weights.new_ones(1), target, outputs)
        values = torch.zeros(len(players.names), dtype=torch.float64, device=know.device)
        if len(lost):
            guess = self._scaled(game.logits(players, lost), game.weights, target, outputs)
            values[playing] = know - guess
        return {"values": values}

    def _scaled(self, logits: Tensor, weights: Tensor, target: int, outputs: Outputs) -> Tensor:
        """Return evidence (B,) of logits (B, rows, output), by logarithms: p may be nearly 1."""
        for_it, against = _log_probabilities(logits, target, outputs)
        log_w = weights.log()
        for_it, against = ((part + log_w).logsumexp(1) for part in (for_it, against))
        if self.laplace:
            classes = logits.shape[2] if outputs.kind == "classes" else 2
            total = math.log(self.laplace + classes)
            n, k = math.log(self.laplace), torch.tensor([1.0, classes - 1.0]).log().to(for_it)
            for_it = torch.logaddexp(for_it + n, k[0]) - total
            against = torch.logaddexp(against + n, k[1]) - total
        if self.scale == "difference":
            return for_it.exp()
        return (for_it - against if self.scale == "log-odds" else for_it) / math.log(2)


def _log_probabilities(logits: Tensor, target: int, outputs: Outputs) -> tuple[Tensor, Tensor]:
    """Return log p and log(1 - p) of an output, (B, rows)."""
    own = logits[..., target]
    if outputs.kind != "classes":
        return nn.functional.logsigmoid(own), nn.functional.logsigmoid(-own)
    others = [i for i in range(logits.shape[2]) if i != target]
    total = logits.logsumexp(2)
    return own - total, logits[..., others].logsumexp(2) - total


def without_each(game: Game, players: Players) -> tuple[Tensor, Tensor]:
    """Return coalitions of all but one of those who play, and the numbers of these."""
    playing = game.playing(players).nonzero()[:, 0]
    everyone = torch.ones(len(playing), len(players.names), device=game.x.device)
    return everyone.scatter_(1, playing[:, None], 0.0), playing
