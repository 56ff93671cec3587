"""What all class activation maps share: scores, targets, and one pass for all layers.

All layers of all methods of one call come from one forward and one backward pass, plus one
Hessian-vector product per layer for the ShapleyCAM trio. Maps are signed and unscaled; persons
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

from hargcn.explanation import DIMS, Explanation
from hargcn.tap import Tappable, record, tappable

Utility = Literal["logit", "prob", "logprob", "rest"]
CAM_DIMS = ("sample", "time", "joint", "person")


def utility_score(logits: Tensor, target: Tensor, utility: str) -> Tensor:
    """Return the score (N,) that is explained: z_c, p_c, log p_c, or z_c + log p_c ("rest")."""
    rows = torch.arange(len(logits), device=logits.device)
    if utility == "logit":
        return logits[rows, target]
    log_p = torch.log_softmax(logits, dim=1)[rows, target]
    if utility == "prob":
        return log_p.exp()
    if utility == "logprob":
        return log_p
    if utility == "rest":
        return logits[rows, target] + log_p
    raise ValueError(f"Expected a utility of logit, prob, logprob, rest (got {utility!r})")


def targets_of(target: Any, x: Tensor) -> Tensor:
    """Return class numbers (N,) for one class or one per sample."""
    wanted = torch.as_tensor(target, device=x.device)
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
        self, at: Tappable, layer: str, raw: Tensor, raw_gradient: Tensor, target: Tensor
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


class GradientCAM(ABC):
    """What the gradient methods share; a method is a `rule`.

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
    second_order: ClassVar[bool] = False
    default_utility: ClassVar[Utility] = "logit"

    def __init__(
        self, layers: str | Sequence[str], utility: str | None = None, relu: bool = False
    ) -> None:
        self.layers = [layers] if isinstance(layers, str) else list(layers)
        self.utility = utility or self.default_utility
        self.relu = relu

    @property
    def label(self) -> str:
        """The method's name in files and tables."""
        return self.name

    @abstractmethod
    def rule(self, maps: Maps) -> Tensor:
        """Return the signed map (sample, person, time, joint)."""

    def __call__(
        self, model: nn.Module, x: Tensor, target: Any
    ) -> Explanation | dict[str, Explanation]:
        """Explain the score of `target` for every sample.

        Parameters
        ----------
        model
            Any network (see `hargcn.tap`).
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
        made = explain_all([self], model, x, target)[self.label]
        return made[self.layers[0]] if len(self.layers) == 1 else made


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
    at = tappable(model, x)
    wanted = targets_of(target, x)
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
    method: GradientCAM, maps: Maps, at: Tappable, x: Tensor, logits: Tensor, score: Tensor
) -> Explanation:
    values = method.rule(maps).detach()
    values = values.clamp(min=0) if method.relu else values
    return cam_explanation(
        values,
        at,
        x,
        method=method.label,
        layer=maps.layer,
        utility=method.utility,
        target=maps.target,
        score=score.detach(),
        predicted=logits.detach().argmax(dim=1),
        settings={"relu": method.relu},
    )


def cam_explanation(values: Tensor, at: Tappable, x: Tensor, **described: Any) -> Explanation:
    """Wrap a map (sample, person, time, joint) of a layer with its axes' names."""
    values = values.permute(0, 2, 3, 1)
    dims = at.input_dims
    frames = x.shape[dims.index("time")] if "time" in dims else values.shape[1]
    coords: dict[str, Any] = {
        "time": np.asarray(at.cell_frames(described["layer"], values.shape[1], frames), float)
    }
    joints = at.axis_names.get("joint", ())
    if len(joints) == values.shape[2]:
        coords["joint"] = list(joints)
    return Explanation.build(
        values,
        CAM_DIMS,
        coords=coords,
        frames=frames,
        skeleton=getattr(at, "skeleton", None) if at.input_dims == DIMS else None,
        **described,
    )
