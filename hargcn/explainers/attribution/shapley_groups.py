"""Shapley values of groups of an input's cells, and which of them act together."""

from __future__ import annotations

from functools import partial
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.attribution.groups import Game, HidingGroups, Players
from hargcn.explainers.base import Promise
from hargcn.explainers.interactions import Index, available, exact_pairs, least, sampled_pairs
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, class_scores
from hargcn.explainers.shapley import (
    ShapleyValues,
    along,
    every_coalition,
    sampled,
    shapley_values,
)
from hargcn.outputs import Outputs
from hargcn.registry import settings

_CHUNK = 64  # orders between two looks at the errors
_LEAST = 4  # orders: two antithetic pairs have a standard error


@settings
class ShapleyGroups(HidingGroups):
    """Shapley values of a game whose players are joints, parts, sides, branches or persons.

    The worth of a coalition is the score of the sample in which the others are absent (`replace`).
    Absent players are an intervention: the network is asked about a body that moves otherwise, not
    what it expects given the rest. While 2^players x rows stays within `budget` (rows: those of a
    background that replaces, else 1), every coalition is asked and values are exact; else orders of
    the players are sampled in antithetic pairs, and `player_error` (sample, player) is the standard
    error. Either way the values and the base value, the score where everybody is absent, add up to
    the score; `additivity_gap` is the rounding. A player's value is shared equally by its cells;
    `player_value` holds it whole. `passes` and `orders` (0: exact) say what was asked.

    Parameters
    ----------
    budget
        Most inputs to run through the network per sample; as many again for interactions of more
        players than can be asked exactly.
    tolerance
        Stop to sample once no standard error is a larger share of |score - base value|.
    interactions
        "k-SII" or "STII" (Shapley-Taylor), of order 2: how much more two players give together than
        each on its own, as `interaction` (sample, player, player_b), which is symmetric; with what
        a player gives alone on the diagonal. Diagonal, upper triangle and base value add up to the
        score; of k-SII, a player's row with half of each pair is its Shapley value. Needs shapiq
        (`pip install 'hargcn[interactions]'`).
    utility
        The score.
    seed
        Of the orders; every sample sees the same.
    """

    name = "shapley-groups"
    label = "groupShapley"
    source = "Shapley 1953; of groups, Jullum et al. 2021; interactions, Bordt and von Luxburg 2023"
    cost = "F x 2^players (x background, where it replaces), or F x budget"
    promise: ClassVar[Promise] = "adds up"

    budget: Annotated[int, Field(ge=1)] = 20_000
    tolerance: Annotated[float, Field(ge=0)] = 0.01
    interactions: Literal["none", "k-SII", "STII"] = "none"
    utility: Utility = "logit"
    seed: int = 1234

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.interactions != "none":
            available()

    def exact(self, players: int) -> bool:
        """Tell whether every coalition of so many players is asked."""
        return players < 2 or 2**players * self.rows <= self.budget

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not; a budget that is too small to sample among them."""
        reason = super().supports(model, x)
        if reason:
            return reason
        players = len(self.divided(model, x).names)
        needed = 1 + self.rows * (1 + _LEAST * (players - 1))
        if self.interactions != "none":
            needed = max(needed, self.rows * least(players))
        if self.exact(players) or needed <= self.budget:
            return ""
        return (
            f"expected a budget of at least {needed} passes for {players} players and {self.rows} "
            f"rows (got {self.budget})"
        )

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample; sampled, they are as many as the errors ask for."""
        players = len(self.divided(model, x).names)
        if self.exact(players):
            return Passes(1 + (2**players - 1) * self.rows)
        orders, more = self._orders(players), self.budget if self.interactions != "none" else 0

        def asked(orders: int) -> int:
            return 1 + self.rows * (1 + orders * (players - 1))

        return Passes(asked(min(orders, _CHUNK)), most=asked(orders) + more)

    def _orders(self, players: int) -> int:
        """Return how many orders of so many players the budget allows; two make a pair."""
        pairs = (self.budget - 1 - self.rows) // (2 * self.rows * (players - 1))
        return 2 * pairs

    def played(
        self, game: Game, players: Players, target: int, outputs: Outputs
    ) -> dict[str, Tensor]:
        """Return the players' values and errors, and what the sum of them promises."""
        playing = game.playing(players).nonzero()[:, 0].cpu()
        worth = _Worth(self, game, players, playing, target, outputs)
        index = None if self.interactions == "none" else self.interactions
        values, pairs, errors = self._solved(worth, len(playing), index)
        count = len(players.names)
        found = {name: torch.zeros(count, dtype=torch.float64) for name in ("values", "errors")}
        found["values"][playing], found["errors"][playing] = values.values, values.errors
        gap = values.values.sum() + worth.nothing - worth.whole
        size = (worth.whole - worth.nothing).abs()
        kept = {
            "values": found["values"],
            "player_error": found["errors"],
            "base_value": worth.nothing,
            "additivity_gap": gap,
            "relative_gap": gap.abs() / torch.where(size > 0, size, 1.0),
            "orders": torch.tensor(values.orders),
            "passes": torch.tensor(1 + worth.asked * self.rows),
        }
        return kept | _laid_out(pairs, errors, playing, count)

    def _solved(
        self, worth: _Worth, players: int, index: Index | None
    ) -> tuple[ShapleyValues, Tensor | None, Tensor | None]:
        """Return values, and interactions with their errors where an index is asked for."""
        if self.exact(players):
            worths = worth(every_coalition(players))
            known = shapley_values(worths, players)
            exactly = ShapleyValues(known, torch.zeros_like(known), 0)
            pairs = None if index is None else exact_pairs(worths, players, index)
            return exactly, pairs, None if pairs is None else torch.zeros_like(pairs)
        values = sampled(
            partial(along, worth),
            players,
            self._orders(players),
            self.tolerance * float((worth.whole - worth.nothing).abs()),
            True,
            torch.Generator().manual_seed(self.seed),
            chunk=_CHUNK,
        )
        if index is None:
            return values, None, None
        return values, *sampled_pairs(worth, players, index, self.budget // self.rows, self.seed)


class _Worth:
    """Worths of coalitions of those who play; those of all and of nobody are asked once.

    Attributes
    ----------
    whole, nothing
        The score of the sample, and of one in which everybody is absent.
    asked
        Coalitions so far.
    """

    def __init__(
        self,
        explainer: ShapleyGroups,
        game: Game,
        players: Players,
        playing: Tensor,
        target: int,
        outputs: Outputs,
    ) -> None:
        self._explainer, self._game, self._players = explainer, game, players
        self._playing, self._target, self._outputs = playing, target, outputs
        self.asked = 0
        scores = class_scores(game.whole, explainer.utility, outputs)
        self.whole = scores[0, target].cpu()
        self.nothing = self.whole
        if len(playing):
            self.nothing = self._ask(torch.zeros(1, len(playing), dtype=torch.bool))[0]

    def __call__(self, coalitions: Tensor) -> Tensor:
        """Return worths (B,) of coalitions (B, playing) bool, on the CPU."""
        size = coalitions.sum(dim=1)
        found = torch.where(size == 0, self.nothing, self.whole)
        inner = (size > 0) & (size < coalitions.shape[1])
        if bool(inner.any()):
            found[inner] = self._ask(coalitions[inner])
        return found

    def _ask(self, coalitions: Tensor) -> Tensor:
        self.asked += len(coalitions)
        everyone = torch.ones(len(coalitions), len(self._players.names))
        everyone[:, self._playing] = coalitions.to(everyone)
        worths = self._game.worths(
            self._players,
            everyone.to(self._game.x.device),
            self._target,
            self._explainer.utility,
            self._outputs,
        )
        return worths.cpu()


def _laid_out(
    pairs: Tensor | None, errors: Tensor | None, playing: Tensor, players: int
) -> dict[str, Tensor]:
    """Return interactions of all players, 0 of those who do not play."""
    given = {"interaction": pairs, "interaction_error": errors}
    laid = {}
    for name, own in given.items():
        if own is not None:
            laid[name] = torch.zeros(players, players, dtype=torch.float64)
            laid[name][playing[:, None], playing] = own
    return laid
