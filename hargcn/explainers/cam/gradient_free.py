"""What the gradient-free maps share: they run the network again, most to weigh feature maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, adapted
from hargcn.explainers.cam.base import (
    ActivationMap,
    cam_explanation,
    class_scores,
    targets_of,
    utility_score,
)
from hargcn.explainers.hooks import undisturbed
from hargcn.explanation import Explanation


def scores_of(logits: Tensor, target: Tensor, utility: str) -> Tensor:
    """Return the score (B,) of one class per row."""
    return class_scores(logits, utility).gather(1, target[:, None])[:, 0]


class GradientFreeCAM(ActivationMap):
    """A map found by running the network again; a method is its `maps`."""

    @abstractmethod
    def maps(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the map (sample, person, time, joint) of a layer, and variables to keep."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> dict[str, Explanation]:
        """Return the Explanation of every layer."""
        at, x = adapted(model, x), x.detach()
        wanted = targets_of(target, x)
        made = {}
        with undisturbed(model), torch.no_grad():
            logits = model(x)
            score = utility_score(logits, wanted, self.utility)
            for layer in self.layers:
                values, kept = self.maps(model, at, layer, x, wanted)
                made[layer] = cam_explanation(
                    self, values, at, x, layer, wanted, score, logits, kept
                )
        return made


class WeightedCAM(GradientFreeCAM):
    """sum_k w_k A_k without gradients; a method is its `weights`.

    The weights are kept as variable `weight` (sample, person, feature).

    Parameters
    ----------
    layers, utility, relu
        See `hargcn.explainers.cam.base.ActivationMap`.
    batch
        Rows per forward pass.
    """

    def __init__(
        self,
        layers: str | Sequence[str],
        utility: str | None = None,
        relu: bool = False,
        batch: int = 64,
    ) -> None:
        super().__init__(layers, utility, relu)
        if batch < 1:
            raise ValueError(f"Expected a positive batch (got {batch})")
        self.batch = batch

    @abstractmethod
    def weights(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the unfolded activation and weights (sample, person, feature)."""

    def maps(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the weighted sum (sample, person, time, joint), and the weights to keep."""
        activation, weight = self.weights(model, at, layer, x, target)
        kept = {"weight": (("sample", "person", "feature"), weight)}
        return torch.einsum("npk,npktv->nptv", weight, activation), kept
