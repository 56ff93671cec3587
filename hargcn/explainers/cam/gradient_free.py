"""What the gradient-free maps share: they run the network again, most to weigh feature maps."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, adapted
from hargcn.explainers.cam.base import ActivationMap, cam_explanation, check_ran
from hargcn.explainers.hooks import plain, record, undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.scores import scores_of
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.outputs import outputs_of
from hargcn.registry import settings


@settings
class GradientFreeCAM(ActivationMap):
    """A map found by running the network again; a method is its `maps`."""

    def maps_of(self, model: nn.Module, x: Tensor) -> Tensor:
        """Return the layer's activation (1, person, feature, time, joint) of the first sample."""
        at = adapted(model, x)
        with record(model, at, [self.layer], grad=False) as seen:
            model(plain(x[:1]))
            check_ran([self.layer], seen)
        return at.unfold(self.layer, seen[self.layer], 1)

    @abstractmethod
    def maps(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, dict[str, Any]]:
        """Return the map (sample, person, time, joint) of a layer, and variables to keep."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation."""
        at = adapted(model, x)
        with undisturbed(model), torch.no_grad():
            x = plain(x)
            logits = logits_of(model(x))
            wanted = class_numbers(target, logits)
            score = scores_of(logits, wanted, self.utility, outputs_of(model))
            values, kept = self.maps(model, at, self.layer, x, wanted)
        return cam_explanation(self, values, at, x, wanted, score, logits, kept)


@settings
class WeightedCAM(GradientFreeCAM):
    """sum_k w_k A_k without gradients; a method is its `weights`.

    The weights are kept as variable `weight` (sample, person, feature).

    Parameters
    ----------
    batch
        Rows per forward pass.
    """

    batch: Annotated[int, Field(ge=1)] = 64

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
