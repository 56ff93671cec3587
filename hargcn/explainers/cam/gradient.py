"""Class activation maps that follow gradients: each method is its rule and little more.

Sources, as in the docstrings: [T] Tempel et al. 2024, Choose Your Explanation; [C] Cai 2025, CAMs
as Shapley Value-based Explainers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor

from hargcn.explainers.cam.base import GradientCAM, Maps, Utility

_CELLS = (-2, -1)
_EPSILON = 1e-6


def _weighted(weights: Tensor, activation: Tensor) -> Tensor:
    """Sum the feature maps under weights per feature (or per cell)."""
    return (weights * activation).sum(dim=2)


class CAM(GradientCAM):
    """sum_k w_ck A_k, w the linear head behind a global average ([C] 1); refuses other heads."""

    name = "cam"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by the head's row of the target."""
        if maps.head is None:
            raise ValueError(
                f"cam: expected a layer followed by a global average and a linear head only "
                f"(got {maps.layer!r}); use gradcam"
            )
        weights = maps.head[maps.target][:, None, :, None, None]
        return _weighted(weights, maps.activation)


class GradCAM(GradientCAM):
    """sum_k mean(G_k) A_k ([T] 1-2, [C] 2), or with -G the counterfactual map ([T] 3)."""

    name = "gradcam"

    def __init__(
        self,
        layers: str | Sequence[str],
        negated: bool = False,
        utility: str | None = None,
        relu: bool = False,
    ) -> None:
        super().__init__(layers, utility, relu)
        self.negated = negated

    @property
    def label(self) -> str:
        """The method's name, with its sign."""
        return "gradcam-negated" if self.negated else "gradcam"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their mean gradient over the cells."""
        weights = maps.gradient.mean(dim=_CELLS, keepdim=True)
        return _weighted(-weights if self.negated else weights, maps.activation)


class HiResCAM(GradientCAM):
    """sum_k G_k A_k ([C] 3)."""

    name = "hirescam"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own gradient."""
        return _weighted(maps.gradient, maps.activation)


class GradCAMElementwise(GradientCAM):
    """sum_k ReLU(G_k A_k) ([C] 4)."""

    name = "gradcam-elementwise"

    def rule(self, maps: Maps) -> Tensor:
        """Keep the positive products only."""
        return (maps.gradient * maps.activation).clamp(min=0).sum(dim=2)


class LayerCAM(GradientCAM):
    """sum_k ReLU(G_k) A_k ([C] 5)."""

    name = "layercam"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own positive gradient."""
        return _weighted(maps.gradient.clamp(min=0), maps.activation)


class XGradCAM(GradientCAM):
    """sum_k [sum(G_k A_k) / sum(A_k)] A_k ([C] 6).

    Where a feature map's sum cancels to less than 1e-6 of its absolute sum the quotient means
    nothing; the mean gradient, to which it is equal for a constant gradient, takes its place.
    """

    name = "xgradcam"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their gradients, averaged under the activation."""
        a, g = maps.activation, maps.gradient
        total = a.sum(dim=_CELLS, keepdim=True)
        size = a.abs().sum(dim=_CELLS, keepdim=True)
        cancels = total.abs() <= _EPSILON * size
        quotient = (g * a).sum(dim=_CELLS, keepdim=True) / total.masked_fill(cancels, 1)
        return _weighted(torch.where(cancels, g.mean(dim=_CELLS, keepdim=True), quotient), a)


class GradCAMPlusPlus(GradientCAM):
    """w_k = sum(alpha ReLU(G_k)), alpha = G^2 / (2 G^2 + D) ([C] 2.1).

    Parameters
    ----------
    denominator
        "paper": D = sum(A_k) G^3. "library": D = sum(A_k G^3), as other codes read it.
    """

    name = "gradcam++"

    def __init__(
        self,
        layers: str | Sequence[str],
        utility: str | None = None,
        relu: bool = False,
        denominator: Literal["paper", "library"] = "paper",
    ) -> None:
        super().__init__(layers, utility, relu)
        self.denominator = denominator

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their positive gradients under alpha."""
        a, g = maps.activation, maps.gradient
        cubed = g**3
        d = (
            a.sum(dim=_CELLS, keepdim=True) * cubed
            if self.denominator == "paper"
            else (a * cubed).sum(dim=_CELLS, keepdim=True)
        )
        below = 2 * g**2 + d
        flat = (g == 0) | (below == 0)
        alpha = torch.where(flat, 0, g**2 / below.masked_fill(flat, 1))
        return _weighted((alpha * g.clamp(min=0)).sum(dim=_CELLS, keepdim=True), a)


class ShapleyCAM(GradientCAM):
    """sum_k mean(W_k) A_k, W = G - 1/2 H A ([C] algorithm 1); its own score is "rest"."""

    name = "shapleycam"
    second_order = True
    default_utility: ClassVar[Utility] = "rest"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their mean second-order weight."""
        return _weighted(maps.taylor.mean(dim=_CELLS, keepdim=True), maps.activation)


class ShapleyCAMH(ShapleyCAM):
    """sum_k W_k A_k ([C] algorithm 1)."""

    name = "shapleycam-h"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own second-order weight."""
        return _weighted(maps.taylor, maps.activation)


class ShapleyCAME(ShapleyCAM):
    """sum_k ReLU(W_k A_k) ([C] algorithm 1)."""

    name = "shapleycam-e"

    def rule(self, maps: Maps) -> Tensor:
        """Keep the positive products only."""
        return (maps.taylor * maps.activation).clamp(min=0).sum(dim=2)


class RandomCAM(GradientCAM):
    """sum_k u_k A_k, u uniform in [-1, 1] ([C] 4.1.3): the floor any method must beat.

    One draw serves all samples, so that a map does not depend on its batch: average over seeds.

    Parameters
    ----------
    seed
        Of the weights.
    """

    name = "randomcam"

    def __init__(
        self,
        layers: str | Sequence[str],
        utility: str | None = None,
        relu: bool = False,
        seed: int = 1234,
    ) -> None:
        super().__init__(layers, utility, relu)
        self.seed = seed

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features at random."""
        generator = torch.Generator().manual_seed(self.seed)
        weights = torch.rand(maps.activation.shape[2], generator=generator) * 2 - 1
        return _weighted(weights.to(maps.activation)[:, None, None], maps.activation)
