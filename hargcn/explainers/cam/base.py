"""What all class activation maps share: scores, targets, and one pass for all layers.

All layers of all gradient methods of one call come from one forward and one backward pass, plus
one Hessian-vector product per layer for the ShapleyCAM trio. Maps are signed and unscaled; persons
have maps of their own.

[C]: Cai 2025, CAMs as Shapley Value-based Explainers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import ExplainableModel, adapted
from hargcn.explainers.hooks import record
from hargcn.explanation import Explanation

Utility = Literal["logit", "prob", "logprob", "rest"]
UTILITIES: tuple[Utility, ...] = ("logit", "prob", "logprob", "rest")
CAM_DIMS = ("sample", "time", "joint", "person")


def class_scores(logits: Tensor, utility: str) -> Tensor:
    """Return every class's score (N, classes): z, p, log p, or z + log p ("rest", [C] 17)."""
    if utility == "logit":
        return logits
    log_p = torch.log_softmax(logits, dim=1)
    if utility == "prob":
        return log_p.exp()
    if utility == "logprob":
        return log_p
    if utility == "rest":
        return logits + log_p
    raise ValueError(f"Expected a utility of {', '.join(UTILITIES)} (got {utility!r})")


def utility_score(logits: Tensor, target: Tensor, utility: str) -> Tensor:
    """Return the score (N,) that is explained."""
    low, high = int(target.min()), int(target.max())
    if logits.ndim != 2 or low < 0 or high >= logits.shape[1]:
        raise ValueError(
            f"Expected logits (sample, class) and targets of those classes "
            f"(got logits {tuple(logits.shape)}, targets {low} to {high})"
        )
    return class_scores(logits, utility).gather(1, target[:, None])[:, 0]


def targets_of(target: Any, x: Tensor) -> Tensor:
    """Return class numbers (N,) for one class or one per sample."""
    wanted = torch.as_tensor(target, device=x.device)
    if wanted.is_floating_point() or wanted.is_complex():
        raise TypeError(f"Expected class numbers as targets (got {wanted.dtype})")
    if wanted.ndim == 0:
        wanted = wanted.expand(len(x))
    if wanted.shape != (len(x),):
        raise ValueError(f"Expected one target, or {len(x)} (got shape {tuple(wanted.shape)})")
    return wanted.long()


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
    """

    def __init__(
        self, at: ExplainableModel, layer: str, raw: Tensor, raw_gradient: Tensor, target: Tensor
    ) -> None:
        self.layer, self.target, self._at = layer, target, at
        self._raw, self._raw_gradient = raw, raw_gradient
        self.activation = self._unfolded(raw.detach())
        self.gradient = self._unfolded(raw_gradient.detach())

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
            self._raw.detach(),
            retain_graph=True,
            materialize_grads=True,
        )
        return self.gradient - self._unfolded(product) / 2


class ActivationMap(ABC):
    """What all class activation maps share.

    Parameters
    ----------
    layers
        A layer's name, or several.
    utility
        The score: logit z_c, prob p_c, logprob log p_c, or rest z_c + log p_c ([C] 17).
    relu
        Keep the positive part only, as the papers do when they plot or measure a map.
    """

    name: ClassVar[str]
    default_utility: ClassVar[Utility] = "logit"

    def __init__(
        self, layers: str | Sequence[str], utility: str | None = None, relu: bool = False
    ) -> None:
        self.layers = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
        self.utility = utility or self.default_utility
        self.relu = relu
        if not self.layers:
            raise ValueError("Expected at least one layer (got none)")
        if self.utility not in UTILITIES:
            raise ValueError(f"Expected a utility of {', '.join(UTILITIES)} (got {utility!r})")

    @property
    def label(self) -> str:
        """The method's name in files and tables."""
        return self.name

    @property
    def settings(self) -> dict[str, Any]:
        """What shapes the map besides layer and utility, as stored with it."""
        plain = (bool, int, float, str, type(None))
        kept = {k: v for k, v in vars(self).items() if isinstance(v, plain)}
        return {k: v for k, v in kept.items() if k != "utility" and not k.startswith("_")}

    @abstractmethod
    def explain(self, model: nn.Module, x: Tensor, target: Any) -> dict[str, Explanation]:
        """Return the Explanation of every layer."""

    def __call__(
        self, model: nn.Module, x: Tensor, target: Any
    ) -> Explanation | dict[str, Explanation]:
        """Explain the score of `target` for every sample.

        Parameters
        ----------
        model
            Any network (see `hargcn.explainers.adapter`).
        x
            Its input, samples first.
        target
            One class number, or one per sample.

        Returns
        -------
        Explanation or dict
            (sample, time, joint, person) for one layer, else one by layer name. `time` holds the
            centre input frame of each cell.
        """
        made = self.explain(model, x, target)
        return made[self.layers[0]] if len(self.layers) == 1 else made


class GradientCAM(ActivationMap):
    """A method that follows gradients: its `rule`."""

    second_order: ClassVar[bool] = False

    @abstractmethod
    def rule(self, maps: Maps) -> Tensor:
        """Return the signed map (sample, person, time, joint)."""

    def explain(self, model: nn.Module, x: Tensor, target: Any) -> dict[str, Explanation]:
        """Return the Explanation of every layer, from one forward and one backward pass."""
        return explain_all([self], model, x, target)[self.label]


def explain_all(
    methods: Sequence[GradientCAM], model: nn.Module, x: Tensor, target: Any
) -> dict[str, dict[str, Explanation]]:
    """Compute several methods at all their layers from one forward and one backward pass.

    Methods that explain another utility need a backward pass of their own.

    Returns
    -------
    dict
        Method label -> layer -> Explanation.
    """
    at, x = adapted(model, x), x.detach()
    wanted = targets_of(target, x)
    if len({method.label for method in methods}) < len(methods):
        raise ValueError(f"Expected each method once (got {[m.label for m in methods]})")
    layers = list(dict.fromkeys(layer for method in methods for layer in method.layers))
    made: dict[str, dict[str, Explanation]] = {}
    with record(model, at, layers) as seen:
        logits = model(x)
        _check_ran(layers, seen)
        utilities = list(dict.fromkeys(method.utility for method in methods))
        for utility in utilities:
            score = utility_score(logits, wanted, utility)
            second = any(m.second_order for m in methods if m.utility == utility)
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
            for method in methods:
                if method.utility == utility:
                    made[method.label] = {
                        layer: _explanation(method, by_layer[layer], at, x, logits, score)
                        for layer in method.layers
                    }
    return made


def _check_ran(layers: Sequence[str], seen: Mapping[str, Tensor]) -> None:
    silent = [layer for layer in layers if layer not in seen]
    if silent:
        raise ValueError(f"Expected layers that run (the network never called {silent})")


def _explanation(
    method: GradientCAM, maps: Maps, at: ExplainableModel, x: Tensor, logits: Tensor, score: Tensor
) -> Explanation:
    values = method.rule(maps).detach()
    return cam_explanation(method, values, at, x, maps.layer, maps.target, score, logits)


def cam_explanation(
    method: ActivationMap,
    values: Tensor,
    at: ExplainableModel,
    x: Tensor,
    layer: str,
    target: Tensor,
    score: Tensor,
    logits: Tensor,
    variables: Mapping[str, Any] | None = None,
) -> Explanation:
    """Wrap a map (sample, person, time, joint) of a layer with its axes' names."""
    values = values.permute(0, 2, 3, 1)
    dims = at.input_dims
    frames = x.shape[dims.index("time")] if "time" in dims else values.shape[1]
    coords: dict[str, Any] = {
        "time": np.asarray(at.cell_frames(layer, values.shape[1], frames), float)
    }
    joints = at.axis_names.get("joint", ())
    if len(joints) == values.shape[2]:
        coords["joint"] = list(joints)
    return Explanation.build(
        values.clamp(min=0) if method.relu else values,
        CAM_DIMS,
        method=method.label,
        layer=layer,
        utility=method.utility,
        target=target,
        score=score,
        predicted=logits.argmax(dim=1),
        settings=method.settings,
        coords=coords,
        frames=frames,
        skeleton=getattr(at, "skeleton", None) if "joint" in dims else None,
        variables=variables,
    )
