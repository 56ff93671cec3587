"""Gradient x edge, and integrated gradients from a network without edges."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.attribution.gradients import gradients
from hargcn.explainers.attribution.integrated_gradients import IntegratedGradients
from hargcn.explainers.base import Promise
from hargcn.explainers.edges.base import EdgeAttribution, Found
from hargcn.explainers.edges.graphs import ByEdges
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import frozen
from hargcn.registry import settings

_TOLD = ("base_value", "additivity_gap", "relative_gap", "steps", "double_precision")


@settings
class EdgeGradient(EdgeAttribution):
    """E * ds/dE: each edge's share of the score, were the score linear in the edges.

    Of graphs that the network computes, the same at the product by which they mix joints: the graph
    times the derivative by it, as it is for this sample; over rows, channels and groups that share
    an edge it is added up.
    """

    name = "edge-gradient"
    label = "gradient x edge"
    source = "Shrikumar et al. 2016, section 2, of edge importances (Yan et al. 2018, section 3.4)"
    cost = "F + B"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return one pass forward and one backward, behind one for the scores."""
        return Passes(2, 1)

    def one(self, network: ByEdges, target: int) -> Found:
        """Return the derivative by the mask, where nothing is cut."""
        with frozen(network, self.utility, network.whole, network.whole) as (score, whole, _):
            found, _, _ = gradients(score, whole, target)
        return {"values": found[0].cpu().numpy()}


@settings
class EdgeIntegratedGradients(EdgeAttribution):
    """E times the mean of ds/dE on the straight path from E = 0 to E.

    The values add up to the score less that of the network without edges, whose joints know only
    what shortcuts around the graphs bring: `base_value`. The path is divided, and told about, as by
    `integrated-gradients`. Of graphs that the network computes, all are scaled together, so that a
    later one is computed from what the earlier, weaker ones let through.

    The gap is that of the sum. Single values are known less well where errors of either sign cancel
    in it, and as steps are chosen for each score, so is the difference of two classes' values.

    Parameters
    ----------
    tolerance
        Largest gap relative to |score - base value|.
    steps
        Gauss-Legendre points per stretch of the path.
    max_steps
        Gradients per sample, and again in double precision, after which the gap is an error.
    allow_gap
        Accept whatever gap is left.
    chunk
        Rows per pass. Changes the result by rounding.
    """

    name = "edge-integrated-gradients"
    label = "integrated gradients of edges"
    source = "Sundararajan et al. 2017, section 3, of edge importances (Yan et al. 2018)"
    promise: ClassVar[Promise] = "adds up"
    cost = "(F + B) x steps, chosen per sample"

    tolerance: Annotated[float, Field(gt=0, lt=1)] = 1e-3
    steps: Annotated[int, Field(ge=1, le=64)] = 4
    max_steps: Annotated[int, Field(ge=1)] = 8192
    allow_gap: bool = False
    chunk: Annotated[int, Field(ge=1)] = 32

    def one(self, network: ByEdges, target: int) -> Found:
        """Return the integrated gradients of the mask, from all cut to none."""
        whole = self._along().explain(network, network.whole, target)
        told = {name: whole.dataset[name].to_numpy()[0] for name in _TOLD}
        return {"values": np.asarray(whole.values)[0], **told}

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return those of integrated gradients, behind one for the scores."""
        return Passes(1) + self._along().passes(model, x)

    def _along(self) -> IntegratedGradients:
        """Return the method whose input is the mask."""
        return IntegratedGradients(
            baseline="zero", tolerance=self.tolerance, steps=self.steps, max_steps=self.max_steps,
            allow_gap=self.allow_gap, chunk=self.chunk, utility=self.utility,
        )  # fmt: skip
