"""What all class activation maps share, and one pass for all layers of all gradient methods.

All layers of all gradient methods of one call come from one forward and one backward pass, plus
one Hessian-vector product per layer for the ShapleyCAM trio. Maps are signed and unscaled; persons
have maps of their own.

[C]: Cai 2025, CAMs as Shapley Value-based Explainers.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, adapted, axis_labels, expect_axes, map_axes
from hargcn.explainers.base import Explainer, Need
from hargcn.explainers.cells import cell_frames, plane_of, stretches
from hargcn.explainers.finite import finite_input, finite_result
from hargcn.explainers.hooks import expect_fixed, plain, record
from hargcn.explainers.outputs import logits_of
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import Utility, scores_of
from hargcn.explainers.targets import class_numbers
from hargcn.explanation import Explanation
from hargcn.outputs import outputs_of
from hargcn.registry import settings

CAM_DIMS = ("sample", "time", "joint", "person")


class Maps:
    """What a rule may use of one layer.

    Attributes
    ----------
    activation, gradient
        A and G = ds/dA, (sample, person, feature, time, joint).
    head
        (classes, features) weights of a linear head behind the layer's global average, or None.
    target
        (sample,) class numbers.
    graph
        Whether A, G and what a rule makes of them can be differentiated, for a network that learns
        a map.
    """

    def __init__(
        self,
        at: ExplainableModel,
        layer: str,
        raw: Tensor,
        raw_gradient: Tensor,
        target: Tensor,
        graph: bool = False,
    ) -> None:
        self.layer, self.target, self.graph, self._at = layer, target, graph, at
        self._raw, self._raw_gradient = raw, raw_gradient
        self.activation = self._unfolded(raw if graph else raw.detach())
        self.gradient = self._unfolded(raw_gradient if graph else raw_gradient.detach())

    def _unfolded(self, tensor: Tensor) -> Tensor:
        return self._at.unfold(self.layer, tensor, len(self.target))

    @property
    def head(self) -> Tensor | None:
        """Weights (classes, features) of a linear head behind this layer's average."""
        head = self._at.linear_head(self.layer)
        return None if head is None else head[0]

    @cached_property
    def taylor(self) -> Tensor:
        """W = G - 1/2 H A, the second-order weight of ShapleyCAM ([C] algorithm 1).

        The Hessian H of one sample's score; samples share no entries, so one product serves all.
        """
        if not self._raw_gradient.requires_grad:  # linear behind the layer
            return self.gradient
        (product,) = torch.autograd.grad(
            self._raw_gradient,
            self._raw,
            self._raw if self.graph else self._raw.detach(),
            retain_graph=True,
            create_graph=self.graph,
            materialize_grads=True,
        )
        return self.gradient - self._unfolded(product) / 2


@settings
class ActivationMap(Explainer):
    """What all class activation maps share.

    The explanation has the axes (sample, time, joint, person), of a layer in a plane (sample, time,
    y, x, person); `time` holds the centre input frame of each cell, `y` and `x` its centre in the
    input's plane.

    Parameters
    ----------
    layer
        The layer whose activation is weighed.
    utility
        The score: logit z_c, prob p_c, logprob log p_c, or rest z_c + log p_c ([C] 16).
    relu
        Keep the positive part only, as the papers do when they plot or measure a map.
    """

    needs: ClassVar[tuple[Need, ...]] = ("layer",)
    over_input: ClassVar[bool] = False
    """Whether a map is brought to the input's cells, whose axes must have names then."""

    layer: Annotated[str, Field(exclude=True)]
    utility: Utility = "logit"
    relu: bool = False

    def supports(self, model: nn.Module, x: Tensor) -> str:
        """Return why not: no such layer, or an input whose axes need names and have none."""
        try:
            at = adapted(model, x)
            at.get_layer(self.layer)
            if self.over_input:
                map_axes(at, x)
        except ValueError as error:
            return str(error)
        return ""

    def at_layers(
        self, model: nn.Module, x: Tensor, target: Any, layers: Sequence[str]
    ) -> dict[str, Explanation]:
        """Explain at several layers; return the explanations by layer."""
        return {layer: replace(self, layer=layer)(model, x, target) for layer in layers}


@settings
class GradientCAM(ActivationMap):
    """A method that follows gradients: its `rule`."""

    second_order: ClassVar[bool] = False
    cost: ClassVar[str] = "F + B, all layers together"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return one pass forward and one backward, and a second of a Hessian product."""
        return Passes(1, 2 if self.second_order else 1)

    @property
    def tells_logits(self) -> bool:
        """Those of the one forward pass."""
        return True

    @abstractmethod
    def rule(self, maps: Maps) -> Tensor:
        """Return the signed map (sample, person, time, joint)."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation, from one forward and one backward pass."""
        return explain_all([self], model, x, target)[0]

    def at_layers(
        self, model: nn.Module, x: Tensor, target: Any, layers: Sequence[str]
    ) -> dict[str, Explanation]:
        """Explain at several layers from one forward and one backward pass."""
        each = [replace(self, layer=layer) for layer in layers]
        return dict(zip(layers, explain_all(each, model, x, target), strict=True))


def explain_all(
    explainers: Sequence[GradientCAM], model: nn.Module, x: Tensor, target: Any
) -> list[Explanation]:
    """Compute several maps, of any gradient methods at any layers, from one forward pass.

    They share the backward pass as well, one for each utility.

    Returns
    -------
    list of Explanation
        One per explainer, in their order.
    """
    for each in explainers:
        each.expect_outputs(model)
    finite_input(x)
    expect_fixed(model, x)
    at = adapted(model, x)
    layers = list(dict.fromkeys(each.layer for each in explainers))
    found: dict[GradientCAM, tuple[Tensor, Tensor]] = {}
    with record(model, at, layers) as seen:
        x = plain(x)
        logits = logits_of(model(x))
        check_ran(layers, seen)
        wanted = class_numbers(target, logits)
        utilities = list(dict.fromkeys(each.utility for each in explainers))
        for utility in utilities:
            now = [each for each in explainers if each.utility == utility]
            score = scores_of(logits, wanted, utility, outputs_of(model))
            second = any(each.second_order for each in now)
            gradients = torch.autograd.grad(
                score.sum(),
                [seen[layer] for layer in layers],
                create_graph=second,
                retain_graph=second or utility != utilities[-1],
                materialize_grads=True,
            )
            by_layer = {
                layer: Maps(at, layer, seen[layer], gradient, wanted)
                for layer, gradient in zip(layers, gradients, strict=True)
            }
            for each in now:
                found[each] = each.rule(by_layer[each.layer]).detach(), score.detach()
    made = {
        each: cam_explanation(each, values, at, x, wanted, score, logits.detach())
        for each, (values, score) in found.items()
    }
    return [finite_result(made[each]) for each in explainers]


def check_ran(layers: Sequence[str], seen: Mapping[str, Tensor]) -> None:
    """Refuse layers that a pass has not met.

    Raises
    ------
    ValueError
        Names them.
    """
    silent = [layer for layer in layers if layer not in seen]
    if silent:
        raise ValueError(f"Expected layers that run (the network never called {silent})")


def cam_explanation(
    explainer: ActivationMap,
    values: Tensor,
    at: ExplainableModel,
    x: Tensor,
    target: Tensor,
    score: Tensor,
    logits: Tensor,
    variables: Mapping[str, Any] | None = None,
) -> Explanation:
    """Wrap a map (sample, person, time, joint) of a layer with its axes' names."""
    values = values.permute(0, 2, 3, 1)
    dims = at.input_dims
    frames = x.shape[dims.index("time")] if "time" in dims else values.shape[1]
    sizes = {"joint": values.shape[2], "person": values.shape[3]}
    plane = plane_of(at, explainer.layer, x)
    expect_axes(at, explainer.layer, sizes, x)
    whole = "joint" in dims and sizes["joint"] == x.shape[dims.index("joint")] and not plane
    known = axis_labels(at, {"joint": sizes["joint"]} if whole else {})
    cells = cell_frames(at, explainer.layer, values.shape[1], x)
    names, values = _in_plane(CAM_DIMS, values, plane)
    for name, size in plane.items():
        known["coords"][name] = stretches(size, x.shape[dims.index(name)] if name in dims else size)
    return Explanation.build(
        values.clamp(min=0) if explainer.relu else values,
        names,
        method=explainer.name,
        label=explainer.label,
        layer=explainer.layer,
        utility=explainer.utility,
        target=target,
        score=score,
        predicted=logits.argmax(dim=1),
        settings=explainer.settings,
        coords={"time": cells, **known["coords"]},
        frames=frames,
        skeleton=known["skeleton"],
        variables={
            name: _in_plane(value[0], value[1], plane) if isinstance(value, tuple) else value
            for name, value in (variables or {}).items()
        },
    )


def _in_plane(
    dims: Sequence[str], values: Tensor, plane: Mapping[str, int]
) -> tuple[tuple[str, ...], Tensor]:
    """Split the cells of a plane, which stand where joints do, into its two axes."""
    dims = tuple(dims)
    if not plane or "joint" not in dims:
        return dims, values
    place = dims.index("joint")
    dims = (*dims[:place], *plane, *dims[place + 1 :])
    return dims, values.unflatten(place, tuple(plane.values()))
