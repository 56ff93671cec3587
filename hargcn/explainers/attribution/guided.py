"""Guided backpropagation, deconvnet and Guided Grad-CAM: gradients whose negative parts are cut.

The rules are about rectifiers, wherever the network calls one: as a module, as a function, in
place, a module used twice. captum's `GuidedBackprop` and `Deconvolution` hook modules of the class
`nn.ReLU` and leave every other rectifier its plain gradient, without a word.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import torch
import xarray as xr
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hargcn.explainers.adapter import ExplainableModel, adapted, map_axes
from hargcn.explainers.attribution.gradients import InputAttribution, gradients
from hargcn.explainers.cam.base import ActivationMap
from hargcn.explainers.cam.gradient import GradCAM
from hargcn.explainers.cells import interpolation, stretches
from hargcn.explainers.passes import Passes
from hargcn.explainers.scores import frozen
from hargcn.explanation import Explanation
from hargcn.registry import settings

RECTIFIERS = frozenset(
    ("relu", "relu6", "leaky_relu", "prelu", "rrelu", "elu", "selu", "celu", "gelu", "silu", "mish",
     "hardswish", "softplus")
)  # fmt: skip
"""Functions that pass what is positive, about as it is, and stop what is negative, more or less."""

Slope = Callable[[Tensor, Tensor], Tensor]


@settings
class RectifierRule(InputAttribution):
    """What the two rules share: another backward pass at every rectifier.

    Rectifiers are ReLU and its like (`RECTIFIERS`: SiLU, hardswish, GELU ...). Gates (sigmoid,
    tanh, softmax), maxima and everything else keep their gradient.
    """

    cost: ClassVar[str] = "F + B"

    @abstractmethod
    def slope(self, a: Tensor, derivative: Tensor) -> Tensor:
        """Return what the positive part of the signal is weighed by at a rectifier.

        Parameters
        ----------
        a, derivative
            The rectifier's input and its derivative there.
        """

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return one pass forward and one backward."""
        return Passes(1, 1)

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the explanation, from one forward and one backward pass.

        Raises
        ------
        ValueError
            For a network without rectifiers, of which the rule says nothing.
        """
        with frozen(model, self.utility, x, x) as (score, samples, _):
            rule = _Rectifiers(self.slope)

            def ruled(rows: Tensor) -> Tensor:
                with rule:
                    return score(rows)

            found, scores, wanted = gradients(ruled, samples, target)
        if not rule.met:
            raise ValueError(
                f"{self.name}: expected a network with rectifiers, such as ReLU or SiLU, which the "
                "rule is about (got none); saliency is the same without them"
            )
        return self.built(model, found, wanted, scores)


class GuidedBackprop(RectifierRule):
    """At every rectifier 1[a > 0] 1[R > 0] R f'(a): the positive signal into what is active.

    Of ReLU, whose derivative is 1 there, this is the published rule. For SiLU, hardswish, GELU and
    their like it is this library's extension: what is not positive is closed as by ReLU, what is
    keeps the function's own slope.
    """

    name = "guided-backprop"
    label = "guided backprop"
    source = "Springenberg et al. 2015, section 3.4"

    def slope(self, a: Tensor, derivative: Tensor) -> Tensor:
        """Return the derivative where the input is positive."""
        return torch.where(a > 0, derivative, 0)


class Deconvnet(RectifierRule):
    """At every rectifier 1[R > 0] R: the positive signal, whatever was active."""

    name = "deconvnet"
    label = "deconvnet"
    source = "Zeiler and Fergus 2014, section 2.1"

    def slope(self, a: Tensor, derivative: Tensor) -> Tensor:
        """Return ones."""
        return torch.ones_like(a)


@settings
class GuidedGradCAM(ActivationMap):
    """Guided backprop times Grad-CAM, brought to the input's cells: the axes are the input's.

    Parameters
    ----------
    relu
        Keep the positive part of Grad-CAM only, as the paper does.
    interpolation
        How Grad-CAM comes to the input's frames: linearly between its cells' centres, or that of
        the nearest cell.
    """

    name = "guided-gradcam"
    label = "Guided Grad-CAM"
    source = "Selvaraju et al. 2017, section 3.2"
    cost = "2 (F + B)"
    over_input: ClassVar[bool] = True

    relu: bool = True
    interpolation: Literal["linear", "nearest"] = "linear"

    def passes(self, model: nn.Module, x: Tensor) -> Passes:
        """Return those of guided backprop and of Grad-CAM."""
        return Passes(2, 2)

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> Explanation:
        """Return the product."""
        guided = GuidedBackprop(utility=self.utility)(model, x, target)
        cam = GradCAM(self.layer, utility=self.utility, relu=self.relu)(model, x, target)
        weight = self._over_input(cam, adapted(model, x), x, guided.dims)
        values = (guided.values * weight).transpose(*guided.dims).astype(guided.values.dtype)
        return Explanation(guided.dataset.assign(attribution=values)).assign(
            method=self.name,
            method_label=self.label,
            layer=self.layer,
            settings=json.dumps(self.settings),
        )

    def _over_input(
        self, cam: Explanation, at: ExplainableModel, x: Tensor, dims: tuple[str, ...]
    ) -> xr.DataArray:
        """Return a map whose cells are the input's, along those axes of it that a map has."""
        axes = dict(zip(("time", "joint", "person"), map_axes(at, x), strict=True))
        axes |= {dim: at.input_dims.index(dim) for dim in ("y", "x") if dim in at.input_dims}
        array, names = torch.from_numpy(cam.values.to_numpy()).double(), ["sample"]
        for place, dim in enumerate(cam.dims[1:], 1):
            axis, cells = axes.get(dim), array.shape[place]
            if axis is None and cells > 1:
                raise ValueError(
                    f"layer {self.layer!r}: expected an input with the map's axis {dim!r} (got "
                    f"{', '.join(dims)})"
                )
            size = 1 if axis is None else x.shape[axis]
            timed = dim == "time" and "time" in at.input_dims
            centres = cam.values[dim].to_numpy() if timed else stretches(cells, size)
            matrix = interpolation(centres, size, self.interpolation)
            array = torch.tensordot(matrix, array, ([1], [place])).movedim(0, place)
            names.append(dim if axis is None else dims[axis])
        wide = xr.DataArray(array.numpy(), dims=names)
        return wide.squeeze([name for name in names if name not in dims], drop=True)


class _Ruled(torch.autograd.Function):
    """A rectifier whose backward pass is the positive part of the signal times a slope."""

    @staticmethod
    def forward(ctx: Any, _a: Tensor, value: Tensor, slope: Tensor) -> Tensor:
        """Hand on the value."""
        ctx.save_for_backward(slope)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, signal: Tensor) -> tuple[Tensor, None, None]:
        """Apply the rule."""
        (slope,) = ctx.saved_tensors
        return signal.clamp(min=0) * slope, None, None


class _Rectifiers(TorchFunctionMode):
    """Give every rectifier that is called the rule of a slope; `met` counts them."""

    def __init__(self, slope: Slope) -> None:
        super().__init__()
        self.slope = slope
        self.met = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Carry out one call; named and called by torch."""
        kwargs = dict(kwargs or {})
        if str(getattr(func, "__name__", "")).rstrip("_") not in RECTIFIERS:
            return func(*args, **kwargs)
        a, rest = (args[0], args[1:]) if args else (kwargs.pop("input"), ())
        if not a.requires_grad:  # of weights, not of the input
            return func(a, *rest, **kwargs)
        self.met += 1
        before = a.detach().clone()
        leaf = before.clone().requires_grad_()
        given = leaf.clone()
        with torch.enable_grad():
            value = func(given, *rest, **kwargs)
            (derivative,) = torch.autograd.grad(value.sum(), leaf)
        ruled = _Ruled.apply(a, value.detach(), self.slope(before, derivative))
        return a.copy_(ruled) if value is given else ruled
