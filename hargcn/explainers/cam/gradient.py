"""Class activation maps that follow gradients: each method is its rule and little more.

Sources, as in the docstrings: [T] Tempel et al. 2024, Choose Your Explanation; [C] Cai 2025, CAMs
as Shapley Value-based Explainers.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import adapted
from hargcn.explainers.cam.base import GradientCAM, Maps
from hargcn.explainers.scores import Utility
from hargcn.registry import settings

_CELLS = (-2, -1)
_EPSILON = 1e-6


def _weighted(weights: Tensor, activation: Tensor) -> Tensor:
    """Sum the feature maps under weights per feature (or per cell)."""
    return (weights * activation).sum(dim=2)


class CAM(GradientCAM):
    """sum_k w_ck A_k, w the linear head behind a global average ([C] 1); refuses other heads."""

    name = "cam"
    label = "CAM"
    source = "Cai 2025, equation 1"

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: no such layer, or another head behind it."""
        reason = super().supports(model, x)
        if reason or adapted(model, x).linear_head(self.layer) is not None:
            return reason
        return (
            "expected a layer followed by a global average and a linear head only "
            f"(got {self.layer!r}); use gradcam"
        )

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by the head's row of the target."""
        assert maps.head is not None
        weights = maps.head[maps.target][:, None, :, None, None]
        return _weighted(weights, maps.activation)


class GradCAM(GradientCAM):
    """sum_k mean(G_k) A_k ([T] 1-2, [C] 2)."""

    name = "gradcam"
    label = "Grad-CAM"
    source = "Tempel et al. 2024, equations 1-2; Cai 2025, equation 2"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their mean gradient over the cells."""
        return _weighted(maps.gradient.mean(dim=_CELLS, keepdim=True), maps.activation)


class NegatedGradCAM(GradCAM):
    """sum_k mean(-G_k) A_k, the counterfactual map ([T] 3).

    Of signed maps it is the reverse order by construction; the paper shows its positive part.
    """

    name = "gradcam-negated"
    label = "negated Grad-CAM"
    source = "Tempel et al. 2024, equation 3"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their negative mean gradient over the cells."""
        return -super().rule(maps)


class HiResCAM(GradientCAM):
    """sum_k G_k A_k ([C] 3)."""

    name = "hirescam"
    label = "HiResCAM"
    source = "Cai 2025, equation 3"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own gradient."""
        return _weighted(maps.gradient, maps.activation)


class GradCAMElementwise(GradientCAM):
    """sum_k ReLU(G_k A_k) ([C] 4)."""

    name = "gradcam-elementwise"
    label = "element-wise Grad-CAM"
    source = "Cai 2025, equation 4"

    def rule(self, maps: Maps) -> Tensor:
        """Keep the positive products only."""
        return (maps.gradient * maps.activation).clamp(min=0).sum(dim=2)


class LayerCAM(GradientCAM):
    """sum_k ReLU(G_k) A_k ([C] 5)."""

    name = "layercam"
    label = "LayerCAM"
    source = "Cai 2025, equation 5"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own positive gradient."""
        return _weighted(maps.gradient.clamp(min=0), maps.activation)


class XGradCAM(GradientCAM):
    """sum_k [sum(G_k A_k) / sum(A_k)] A_k ([C] 6).

    Where a feature map's sum cancels to less than 1e-6 of its absolute sum the quotient means
    nothing; the mean gradient, to which it is equal for a constant gradient, takes its place.
    """

    name = "xgradcam"
    label = "XGradCAM"
    source = "Cai 2025, equation 6"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their gradients, averaged under the activation."""
        a, g = maps.activation, maps.gradient
        total = a.sum(dim=_CELLS, keepdim=True)
        size = a.abs().sum(dim=_CELLS, keepdim=True)
        cancels = total.abs() <= _EPSILON * size
        quotient = (g * a).sum(dim=_CELLS, keepdim=True) / total.masked_fill(cancels, 1)
        return _weighted(torch.where(cancels, g.mean(dim=_CELLS, keepdim=True), quotient), a)


@settings
class GradCAMPlusPlus(GradientCAM):
    """w_k = sum(alpha ReLU(G_k)), alpha = G^2 / (2 G^2 + D) ([C] 2.1).

    Parameters
    ----------
    denominator
        "paper": D = sum(A_k) G^3. "library": D = sum(A_k G^3), as other codes read it.
    """

    name = "gradcam++"
    label = "Grad-CAM++"
    source = "Cai 2025, section 2.1"
    kinds = (
        "classes",
        "ordinal",
        "multi-label",
    )  # it adds powers of the gradient, which have units

    denominator: Literal["paper", "library"] = "paper"

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


@settings
class ShapleyCAM(GradientCAM):
    """sum_k mean(W_k) A_k, W = G - 1/2 H A ([C] algorithm 1); its own score is "rest"."""

    name = "shapleycam"
    label = "ShapleyCAM"
    source = "Cai 2025, algorithm 1"
    second_order: ClassVar[bool] = True
    cost = "F + B + a Hessian product per layer"

    utility: Utility = "rest"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features by their mean second-order weight."""
        return _weighted(maps.taylor.mean(dim=_CELLS, keepdim=True), maps.activation)


class ShapleyCAMH(ShapleyCAM):
    """sum_k W_k A_k ([C] algorithm 1)."""

    name = "shapleycam-h"
    label = "ShapleyCAM-H"
    source = "Cai 2025, algorithm 1"

    def rule(self, maps: Maps) -> Tensor:
        """Weigh every cell by its own second-order weight."""
        return _weighted(maps.taylor, maps.activation)


class ShapleyCAME(ShapleyCAM):
    """sum_k ReLU(W_k A_k) ([C] algorithm 1)."""

    name = "shapleycam-e"
    label = "ShapleyCAM-E"
    source = "Cai 2025, algorithm 1"

    def rule(self, maps: Maps) -> Tensor:
        """Keep the positive products only."""
        return (maps.taylor * maps.activation).clamp(min=0).sum(dim=2)


@settings
class RandomCAM(GradientCAM):
    """sum_k u_k A_k, u uniform in [-1, 1] ([C] 4.1.3): the floor any method must beat.

    One draw serves all samples, so that a map does not depend on its batch: average over seeds.

    Parameters
    ----------
    seed
        Of the weights.
    """

    name = "randomcam"
    label = "RandomCAM"
    source = "Cai 2025, section 4.1.3"

    seed: int = 1234

    def rule(self, maps: Maps) -> Tensor:
        """Weigh the features at random."""
        generator = torch.Generator().manual_seed(self.seed)
        weights = torch.rand(maps.activation.shape[2], generator=generator) * 2 - 1
        return _weighted(weights.to(maps.activation)[:, None, None], maps.activation)
