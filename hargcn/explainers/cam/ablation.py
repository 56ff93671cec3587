"""AblationCAM and LiftCAM: what the score owes to each feature map, from the tail of a network.

[C]: Cai 2025, CAMs as Shapley Value-based Explainers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel
from hargcn.explainers.cam.gradient_free import WeightedCAM
from hargcn.explainers.deepshap.explainer import DeepSHAP
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import class_scores, scores_of
from hargcn.explainers.tail import Tail, tail
from hargcn.outputs import outputs_of

_EPSILON = 1e-6


class AblationCAM(WeightedCAM):
    """sum_k w_k A_k, w_k = (s - s with A_k = 0) / s ([C] 2.1).

    The quotient means nothing where |s| is below 1e-6: there the drop itself is the weight. Only
    what lies behind the layer runs, a batch of ablations at a time.
    """

    name = "ablationcam"
    label = "Ablation-CAM"
    source = "Cai 2025, section 2.1"
    cost = "F + tail F per feature map"
    kinds = ("classes", "ordinal", "multi-label")  # a share of a value depends on its zero

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: two as it is, and the tail for each feature map."""
        maps = self.maps_of(model, x)
        return Passes(2, tail=1 + maps.shape[1] * maps.shape[2])

    def weights(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (activation, weights) from the scores without each feature map."""
        outputs = outputs_of(model)
        with tail(model, at, layer, x) as (raw, run):
            maps = at.unfold(layer, raw, len(x))
            features = maps.shape[1] * maps.shape[2]

            def score(numbers: Tensor) -> Tensor:
                rows = numbers // features
                without = maps[rows].flatten(1, 2)
                without[torch.arange(len(rows)), numbers % features] = 0
                logits = run(at.fold(layer, without.view(len(rows), *maps.shape[1:])), rows)
                return scores_of(logits, target[rows], self.utility, outputs)

            everything = torch.arange(len(x) * features, device=x.device)
            ablated = torch.cat([score(part) for part in everything.split(self.batch)])
            whole = run(raw, torch.arange(len(x), device=x.device))
            full = scores_of(whole, target, self.utility, outputs)
        drop = full[:, None] - ablated.view(len(x), features)
        flat = full.abs() <= _EPSILON
        return maps, (drop / full.masked_fill(flat, 1)[:, None]).view(maps.shape[:3])


class LiftCAM(WeightedCAM):
    """sum_k w_k A_k, w_k the sum of A_k's DeepLIFT attributions, reference 0 ([C] 2.1).

    The weights of a sample add up to s(A) - s(0) over features and persons: DeepLIFT with the rules
    of `hargcn.explainers.DeepSHAP`, which hold for gates and smooth activations too.
    """

    name = "liftcam"
    label = "LIFT-CAM"
    source = "Cai 2025, section 2.1"
    cost = "F + tail (F + B)"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: two as it is; the tail of it and of zeros, and back."""
        return Passes(2, tail=4)

    def weights(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (activation, weights) from the attributions of the activation."""
        found = []
        with tail(model, at, layer, x) as (raw, run):
            maps = at.unfold(layer, raw, len(x))
            for i in range(len(x)):
                behind = _Behind(model, at, layer, run, i, self.utility)
                explain = DeepSHAP(torch.zeros_like(maps[:1]), allow_gap=True)
                with torch.enable_grad():
                    values = explain(behind, maps[i : i + 1], target[i : i + 1]).values
                found.append(torch.from_numpy(values.to_numpy()).to(maps).sum(dim=(3, 4)))
        return maps, torch.cat(found)


class _Behind(nn.Module):
    """The tail of one sample: activations (B, person, feature, time, joint) -> class scores."""

    def __init__(
        self,
        model: nn.Module,
        at: ExplainableModel,
        layer: str,
        run: Tail,
        sample: int,
        utility: str,
    ) -> None:
        super().__init__()
        self.model = model
        self._ask = (at.fold, run, layer, sample, utility)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the scores of every class."""
        fold, run, layer, sample, utility = self._ask
        rows = torch.full((len(maps),), sample, dtype=torch.long, device=maps.device)
        return class_scores(run(fold(layer, maps), rows), utility, outputs_of(self.model))
