"""ScoreCAM: a feature map matters as much as the score of the input it lets through.

[C]: Cai 2025, CAMs as Shapley Value-based Explainers.
"""

from __future__ import annotations

from functools import reduce
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, map_axes
from hargcn.explainers.cam.gradient_free import WeightedCAM
from hargcn.explainers.cells import cell_frames, interpolation, plane_of, stretches
from hargcn.explainers.hooks import record
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import scores_of
from hargcn.outputs import outputs_of
from hargcn.registry import settings


@settings
class ScoreCAM(WeightedCAM):
    """sum_k w_k A_k, w = softmax over k of s(x * mask_k) - s(baseline) ([C] 2.1).

    A mask is a feature map scaled to [0, 1] and brought to the input's cells by linear
    interpolation between the cells' centres. What it hides becomes the baseline; a person's masks
    leave the other persons as they are. Costs one forward pass per feature and person.

    Parameters
    ----------
    baseline
        Input without evidence, broadcast against `x`; zero by default.
    batch
        Masked inputs per forward pass.
    """

    name = "scorecam"
    label = "Score-CAM"
    source = "Cai 2025, section 2.1"
    cost = "F per feature map and person"
    kinds = ("classes", "ordinal", "multi-label")  # a softmax of values depends on their unit

    over_input: ClassVar[bool] = True

    baseline: Tensor | None = None
    batch: Annotated[int, Field(ge=1)] = 16

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return the passes per sample: two as it is, and one for each feature map."""
        maps = self.maps_of(model, x)
        return Passes(2 + maps.shape[1] * maps.shape[2])

    def weights(
        self, model: nn.Module, at: ExplainableModel, layer: str, x: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return (activation, weights) from the scores of the masked inputs."""
        with record(model, at, [layer], grad=False) as seen:
            model(x)
            maps = at.unfold(layer, seen[layer], len(x))
        empty = torch.zeros_like(x[:1]) if self.baseline is None else self.baseline.to(x)
        empty = empty.expand_as(x)
        axes = map_axes(at, x)
        shown = _Masks(maps, axes, x, at, layer)
        features = maps.shape[1] * maps.shape[2]

        def score(numbers: Tensor) -> Tensor:
            rows = numbers // features
            masked = torch.lerp(empty[rows], x[rows], shown(rows, numbers % features))
            return scores_of(model(masked), target[rows], self.utility, outputs_of(model))

        everything = torch.arange(len(x) * features, device=x.device)
        shown_scores = torch.cat([score(part) for part in everything.split(self.batch)])
        # The baseline's score is the same for all features: the softmax does not see it.
        return maps, shown_scores.view(len(x), maps.shape[1], -1).softmax(dim=2)


class _Masks:
    """Feature maps as masks over the input, made when they are asked for."""

    def __init__(
        self,
        maps: Tensor,
        axes: tuple[int, int | None, int | None],
        x: Tensor,
        at: ExplainableModel,
        layer: str,
    ) -> None:
        time, joint, self.person = axes
        self.sizes = [1] * x.ndim
        self.sizes[time] = x.shape[time]
        self.persons = 1 if self.person is None else x.shape[self.person]
        if maps.shape[1] not in (1, self.persons):
            raise ValueError(
                f"layer {layer!r}: expected one map, or one for each of {self.persons} persons "
                f"(got {maps.shape[1]})"
            )
        low = maps.amin(dim=(3, 4), keepdim=True)
        span = maps.amax(dim=(3, 4), keepdim=True) - low
        self.maps = ((maps - low) / span.masked_fill(span == 0, 1)).flatten(1, 2)
        self.features = maps.shape[2]
        cells = cell_frames(at, layer, maps.shape[3], x)
        cells = cells if "time" in at.input_dims else stretches(maps.shape[3], x.shape[time])
        self.over_time = interpolation(cells, x.shape[time]).to(x)
        plane = plane_of(at, layer, x)
        if plane and ("y", "x") not in pairwise(at.input_dims):
            raise ValueError(
                f"layer {layer!r}: expected an input with the plane's axes 'y' and, right behind "
                f"it, 'x' (got {', '.join(at.input_dims)})"
            )
        places = [(at.input_dims.index(name), size) for name, size in plane.items()]
        if not plane and joint is not None:
            places = [(joint, maps.shape[4])]
        over = []
        for axis, size in places:
            self.sizes[axis] = x.shape[axis]
            over.append(interpolation(stretches(size, x.shape[axis]), x.shape[axis]).to(x))
        self.over_joints = reduce(torch.kron, over) if over else None
        self.joint_first = bool(places) and places[0][0] < time

    def __call__(self, rows: Tensor, numbers: Tensor) -> Tensor:
        """Return masks (B, ...) that broadcast against B inputs."""
        fine = self.over_time @ self.maps[rows, numbers]
        fine = fine.mean(dim=2) if self.over_joints is None else fine @ self.over_joints.T
        fine = fine.transpose(1, 2) if self.joint_first else fine
        masks = fine.reshape(len(rows), *self.sizes[1:])
        if self.person is None or self.persons == 1 or self.maps.shape[1] == self.features:
            return masks
        other = (
            torch.arange(self.persons, device=rows.device) != (numbers // self.features)[:, None]
        )
        shape = [1] * masks.ndim
        shape[0], shape[self.person] = len(rows), self.persons
        return torch.where(other.view(shape), 1.0, masks)
