"""What attributions to edges share: one function of the edges' mask per sample."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import axis_labels, input_axes
from hargcn.explainers.attribution.gradients import Attribution
from hargcn.explainers.edges.graphs import ByEdges, GraphLayers, graph_layers
from hargcn.explainers.hooks import plain, undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.scores import class_scores
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import EDGE_DIMS, Explanation
from hargcn.outputs import outputs_of
from hargcn.registry import settings

Found = Mapping[str, Any]
"""A sample's `values`, shaped like the explanation's without the samples, and numbers by name."""


@settings
class EdgeAttribution(Attribution):
    """Attributions to the edges of the graphs by which a network mixes its joints.

    Of a network that tells its edge importances E by `edges()`, the features are E; of any other
    the V x V operands of its products over joints, which attention computes from each sample.
    """

    def expect_features(self, model: nn.Module, x: Tensor) -> None:
        """Refuse an input without joints, and a network without graphs over them."""
        graph_layers(model, x)

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation, sample by sample."""
        x = self._placed(model, x)
        layers = graph_layers(model, x)
        with undisturbed(model), torch.no_grad():
            logits = logits_of(model(x.clone()))
        scores = class_scores(logits, self.utility, outputs_of(model))
        wanted = class_numbers(target, scores)
        found = [
            self._numbered(i, ByEdges(model, layers, x[i : i + 1]), int(column))
            for i, column in enumerate(wanted)
        ]
        return self._built(model, x, layers, found, wanted, scores)

    @abstractmethod
    def one(self, network: ByEdges, target: int) -> Found:
        """Explain one sample; called while nothing holds the network."""

    def dims(self) -> Sequence[str]:
        """Return the axes of values."""
        return EDGE_DIMS

    def _numbered(self, number: int, network: ByEdges, target: int) -> Found:
        """Explain a sample; an error says which it is."""
        try:
            return self.one(network, target)
        except ValueError as error:
            said = str(error).removeprefix("sample 0: ")  # each is explained alone
            raise ValueError(f"sample {number}: {said}") from error

    @staticmethod
    def _placed(model: nn.Module, x: Tensor) -> Tensor:
        first = next((p for p in model.parameters() if p.is_floating_point()), x)
        return plain(x).to(first.device, first.dtype)

    def _built(
        self,
        model: nn.Module,
        x: Tensor,
        layers: GraphLayers,
        found: Sequence[Found],
        target: Tensor,
        scores: Tensor,
    ) -> Explanation:
        sizes = dict(zip(input_axes(model, x), x.shape, strict=True))
        said = axis_labels(model, sizes)
        dims = ("sample", *self.dims())
        names = {
            "layer": layers.names,
            "partition": range(max(layers.partitions)),
            **dict.fromkeys(("joint", "source_joint", "target_joint"), layers.joints),
        }
        shaped = {"standard_error": dims}
        more = {key: np.stack([one[key] for one in found]) for key in found[0] if key != "values"}
        values = np.stack([np.asarray(one["values"]) for one in found])
        return Explanation.build(
            values.astype(str(x.dtype).removeprefix("torch.")),
            dims,
            method=self.name,
            label=self.label,
            target=target,
            score=scores.gather(1, target[:, None])[:, 0],
            predicted=scores.argmax(dim=1),
            utility=self.utility,
            settings=self.settings,
            variables={k: (shaped[k], v) if k in shaped else v for k, v in more.items()},
            frames=sizes.get("time"),
            coords={**axis_labels(model, {})["coords"], **{d: names[d] for d in self.dims()}},
            skeleton=said["skeleton"],
        )
