"""Meaningful perturbation: the smallest smooth mask that deletes the score, or keeps it.

[F]: Fong and Vedaldi 2017, Interpretable explanations of black boxes by meaningful perturbation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.attribution.groups import Game, Hiding, Players, players_of
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, class_scores
from hargcn.outputs import Outputs
from hargcn.registry import settings

ROUNDING = 1e-5
"""Share of the score below which its difference is none."""


@settings
class MeaningfulMask(Hiding):
    """How much of each cell a mask hides to delete the score, or shows to keep it, from 0 to 1.

    A mask a over persons, joints and `bins` stretches of time is learnt for each sample. "delete"
    hides a share a of every cell ([F] 3), "keep" shows a share a and hides the rest ([F] 4), so
    that 1 is important in both; the values have no sign. The objective, as small as possible, is
    e(a) + sparse * mean(a) + smooth * mean |a_i - a_j| over bones + smooth_time * the same over
    neighbouring stretches. e is what the mask leaves of the score over that of a sample of which
    everything is hidden, to keep it what the mask loses, in units of the difference of these two:
    with `sparse` 1 a cell is worth its price where it bears more than an equal share. Masks begin
    at 1/2, follow the gradient by Adam within [0, 1], and the best one of all steps is taken.
    Nothing is drawn.

    The explanation is a map over time, joint and person; it keeps the curves `objective` and
    `step_score` (sample, step), and `masked_score` (sample), the score under the mask. Where nobody
    is, masks are 0. Without a skeleton, joints have no neighbours.

    Parameters
    ----------
    task
        "delete" the score, or "keep" it.
    bins
        Stretches of time.
    sparse
        Price of the mask's area.
    smooth
        Price of differences between the ends of bones.
    smooth_time
        Price of differences between neighbouring stretches of time.
    steps
        Steps of the optimisation.
    rate
        Change of a cell in the first step; later ones change less, linearly down to 0.
    utility
        The score; the paper's is "prob".
    """

    name = "mask"
    label = "meaningful mask"
    source = "Fong and Vedaldi 2017, equations 3 to 5; Zheng et al. 2022, tables 1-2"
    cost = "(F + B) x steps (x background, where it replaces)"

    task: Literal["delete", "keep"] = "delete"
    bins: Annotated[int, Field(ge=1)] = 8
    sparse: Annotated[float, Field(ge=0)] = 1.0
    smooth: Annotated[float, Field(ge=0)] = 0.5
    smooth_time: Annotated[float, Field(ge=0)] = 0.5
    steps: Annotated[int, Field(ge=1)] = 100
    rate: Annotated[float, Field(gt=0, le=1)] = 0.05
    utility: Utility = "logit"

    def divided(self, model: nn.Module, x: Tensor) -> Players:
        """Return joints in stretches of time as players; refuse an input without these axes."""
        return players_of(model, x, "joint-time", self.bins)

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: as it is, with everything hidden, and two for each step."""
        return Passes(1 + (1 + self.steps) * self.rows, self.steps * self.rows)

    def spread(self, players: Players, values: Tensor, x: Tensor) -> tuple[Tensor, tuple[str, ...]]:
        """Return a map over (sample, time, joint[, person])."""
        return players.map(values)

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the best mask, the curves of the steps, and the score under the mask."""
        whole, nothing = self._ends(game, players, target, outputs)
        unit = max(abs(whole - nothing), ROUNDING * abs(whole)) or 1.0
        price = Price(players, game.playing(players), self)
        deletes, adam = self.task == "delete", _Adam(self.rate, self.steps)
        mask = 0.5 * game.playing(players).double()
        masks, scores, prices = [], [], []
        for _step in range(self.steps):
            shown = 1 - mask if deletes else mask
            score, slope = score_and_slope(game, players, shown, target, self.utility, outputs)
            cost, rise = _value_and_slope(price, mask)
            masks.append(mask)
            scores.append(score)
            prices.append(cost)
            # Of both tasks: what the one wants to hide is what the other wants to show.
            mask = adam.moved(mask, rise - slope / unit).clamp(0, 1)
        seen = torch.stack(scores)
        error = seen - nothing if deletes else whole - seen
        objective = error / unit + torch.stack(prices)
        best = int(objective.argmin())
        return {
            "values": masks[best],
            "objective": objective,
            "step_score": seen,
            "masked_score": seen[best],
        }

    def _ends(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> tuple[float, float]:
        """Return the score of the sample, and where everything of it is hidden."""
        nobody = game.x.new_zeros(1, len(players.names))
        whole = class_scores(game.whole, self.utility, outputs)[0, target]
        return float(whole), float(game.worths(players, nobody, target, self.utility, outputs))


class _Adam:
    """Steps of Adam (Kingma and Ba 2015) whose rate falls linearly from `rate` to 0.

    torch's own would bring the compiler with it, which takes seconds to load.
    """

    def __init__(self, rate: float, steps: int) -> None:
        self.rate, self.steps, self.done = rate, steps, 0
        self.mean, self.square = torch.zeros(()), torch.zeros(())

    def moved(self, at: Tensor, gradient: Tensor) -> Tensor:
        """Return where a step leads."""
        rate = self.rate * (1 - self.done / self.steps)
        self.done += 1
        self.mean = 0.9 * self.mean.to(gradient) + 0.1 * gradient
        self.square = 0.999 * self.square.to(gradient) + 0.001 * gradient.square()
        mean = self.mean / (1 - 0.9**self.done)
        size = (self.square / (1 - 0.999**self.done)).sqrt()
        return at - rate * mean / (size + 1e-8)


class Price:
    """What a mask costs: its area, and its differences over bones and between stretches of time.

    Parameters
    ----------
    players
        Joints in stretches of time, of one or several persons.
    playing
        (player,) bool; others cost nothing and are nobody's neighbours.
    wanted
        The prices.
    """

    def __init__(self, players: Players, playing: Tensor, wanted: MeaningfulMask) -> None:
        self.area = wanted.sparse * playing.double() / playing.sum().clamp(min=1)
        self.terms = []
        for price, pairs in zip(
            (wanted.smooth, wanted.smooth_time), _neighbours(players), strict=True
        ):
            near = pairs.to(playing.device)
            near = near[playing[near].all(dim=1)]
            self.terms.append((price / max(len(near), 1), near))

    def __call__(self, mask: Tensor) -> Tensor:
        """Return the price () of a mask (player,)."""
        uneven = [price * mask[near].diff(dim=1).abs().sum() for price, near in self.terms]
        return self.area @ mask + sum(uneven)


def _neighbours(players: Players) -> tuple[Tensor, Tensor]:
    """Return pairs (n, 2) of players at the ends of bones, and of those that follow in time."""
    sizes = [players.sizes.get(dim, 1) for dim in ("person", "time", "joint")]
    numbers = torch.arange(len(players.names)).view(sizes)
    along_time = torch.stack([numbers[:, :-1].flatten(), numbers[:, 1:].flatten()], dim=1)
    skeleton = players.skeleton
    if skeleton is None or skeleton.n_joints != sizes[2]:
        return along_time[:0], along_time
    bones = numbers[..., torch.tensor(skeleton.edges)]
    return bones.view(-1, 2), along_time


def score_and_slope(
    game: Game, players: Players, shown: Tensor, target: int, utility: str, outputs: Outputs
) -> tuple[Tensor, Tensor]:
    """Return the mean score () over the rows that stand for hidden cells, and its gradient.

    Parameters
    ----------
    game, players
        The sample, and its cells.
    shown
        (player,) how much of each is shown, 0 to 1.
    target, utility, outputs
        The score.
    """

    def of_rows(fill: Tensor, weights: Tensor, share: Tensor) -> Tensor:
        keep = players.over(share[None]).to(game.x)
        logits = game.score(game.shown(keep, fill)).double()
        return class_scores(logits, utility, outputs)[:, target] @ weights

    parts = zip(game.fill.split(game.batch), game.weights.split(game.batch), strict=True)
    found = [_value_and_slope(partial(of_rows, *part), shown) for part in parts]
    values, slopes = zip(*found, strict=True)
    return torch.stack(values).sum(), torch.stack(slopes).sum(dim=0)


def _value_and_slope(function: Callable[[Tensor], Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
    """Return the value () of a function and its gradient, 0 where it does not depend on it."""
    with torch.enable_grad():
        leaf = at.detach().clone().requires_grad_()
        value = function(leaf)
        if not value.requires_grad:
            return value.detach(), torch.zeros_like(leaf)
        (slope,) = torch.autograd.grad(value, leaf, materialize_grads=True)
    return value.detach(), slope
