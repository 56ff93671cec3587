"""Shapley values of edges: what the score loses on the way from all edges to none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.edges.base import EdgeAttribution, Found
from hargcn.explainers.edges.graphs import ByEdges, GraphLayers, graph_layers
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import frozen
from hargcn.explainers.shapley import EXACT, exact, sampled
from hargcn.explanation import EDGE_DIMS
from hargcn.registry import settings


@settings
class EdgeShapley(EdgeAttribution):
    """Shapley values of a game of edges: a coalition's worth is the score with its edges only.

    Of an absent player the edge importances are 0 in every layer and partition; weights, biases and
    shortcuts stay. Up to 12 players every coalition is asked, more are asked in random orders. The
    values add up to score - base value, the score without edges. The explanation holds
    `standard_error`, 0 where exact, and `orders`, those that were drawn.

    Parameters
    ----------
    by
        The players. "edge": pairs of joints that see each other in any layer, in both directions,
        and each joint's edge to itself; a pair's value is shared by its directions. "joint": an
        edge is there where both its joints are; the explanation has an axis of joints then.
    orders
        Random orders of more players, in pairs of an order and its reverse.
    tolerance
        Stop once no standard error is larger.
    seed
        Of the orders; every sample gets the same.
    chunk
        Coalitions per pass. Changes the result by rounding.
    """

    name = "edge-shapley"
    label = "Shapley values of edges"
    source = "Shapley 1953; Castro et al. 2009; antithetic orders: Mitchell et al. 2022"
    promise = "adds up"
    cost = "F x 2^players, or F x orders x players"

    by: Literal["edge", "joint"] = "edge"
    orders: Annotated[int, Field(ge=4)] = 20
    tolerance: Annotated[float, Field(gt=0)] | None = None
    seed: int = 1234
    chunk: Annotated[int, Field(ge=1)] = 32

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: of every coalition, or of those along the orders."""
        count = len(self._players(graph_layers(model, x)))
        if count <= EXACT:
            return Passes(3 + 2**count)
        most = 3 + self.orders // 2 * 2 * (count + 1)
        if self.tolerance is None:
            return Passes(most)
        return Passes(min(most, 3 + max(self.chunk // 2, 2) * 2 * (count + 1)), most=most)

    def dims(self) -> Sequence[str]:
        """Return the axes of values: graphs' entries of all layers are one player."""
        return EDGE_DIMS[2:] if self.by == "edge" else ("joint",)

    def one(self, network: ByEdges, target: int) -> Found:
        """Return the players' values for one sample."""
        # Attention may leave each sample other edges than the first.
        players = self._players(graph_layers(network.model, network.x))
        with frozen(network, self.utility, network.whole, network.whole) as (score, whole, _):

            def worth(coalitions: Tensor) -> Tensor:
                there = self._there(players, coalitions, len(network.layers.joints))
                masks = there[:, None, None].to(whole)
                with torch.no_grad():
                    parts = masks.split(self.chunk)
                    wide = (part.expand(len(part), *whole.shape[1:]) for part in parts)
                    return torch.cat([score(part)[:, target] for part in wide])

            def along(orders: Tensor) -> Tensor:
                steps = torch.arange(len(players) + 1)[:, None]
                growing = orders.argsort(dim=1)[:, None] < steps
                return worth(growing.flatten(0, 1)).view(len(orders), -1)

            ends = worth(torch.tensor([[False], [True]]).expand(2, len(players))).double().cpu()
            if len(players) <= EXACT:
                found = exact(worth, len(players))
            else:
                generator = torch.Generator().manual_seed(self.seed)
                found = sampled(
                    along, len(players), self.orders, self.tolerance, True, generator, self.chunk
                )
        values, errors = (
            self._laid_out(players, each, len(network.layers.joints))
            for each in (found.values, found.errors)
        )
        base, gap = float(ends[0]), float(found.values.sum() - ends[1] + ends[0])
        return {
            "values": values, "standard_error": errors, "orders": found.orders,
            "base_value": base, "additivity_gap": gap,
        }  # fmt: skip

    def _players(self, layers: GraphLayers) -> Tensor:
        """Return the joints of each player: two of an edge, the same twice of one joint's."""
        pairs = layers.pairs if self.by == "edge" else [(j, j) for j in range(len(layers.joints))]
        return torch.tensor(pairs)

    def _there(self, players: Tensor, coalitions: Tensor, joints: int) -> Tensor:
        """Return which edges (B, source, target) coalitions (B, player) have."""
        if self.by == "joint":
            return coalitions[:, :, None] & coalitions[:, None, :]
        there = torch.zeros(len(coalitions), joints, joints, dtype=torch.bool)
        a, b = players.T
        there[:, a, b] = there[:, b, a] = coalitions
        return there

    def _laid_out(self, players: Tensor, values: Tensor, joints: int) -> np.ndarray:
        """Return values of players by joint, or shared by the two directions of their edge."""
        if self.by == "joint":
            return values.numpy()
        matrix = torch.zeros(joints, joints, dtype=values.dtype)
        a, b = players.T
        matrix[a, b] += values / 2
        matrix[b, a] += values / 2
        return matrix.numpy()
