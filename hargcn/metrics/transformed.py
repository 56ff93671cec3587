"""Networks changed in ways whose effect on an explanation is known; the user's stays as it is."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from hargcn.explainers.adapter import ExplainableModel, adapted
from hargcn.explainers.hooks import undisturbed, watch
from hargcn.explainers.outputs import logits_of
from hargcn.outputs import Outputs, outputs_of
from hargcn.skeleton import Skeleton


class Around(nn.Module):
    """A network between a change of its input and a mixture of its outputs, with the same layers.

    Parameters
    ----------
    model
        Any network, held and not copied.
    x
        An input of it, which says what its axes are.
    before
        What the input goes through first.
    mix
        (outputs, outputs): new outputs are `outputs @ mix.T`.
    joints
        New place -> old place of every joint: the layers' activations, the joints' names and the
        skeleton are told in this order.
    """

    def __init__(
        self,
        model: nn.Module,
        x: Tensor,
        before: Callable[[Tensor], Tensor] | None = None,
        mix: Tensor | None = None,
        joints: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self._at: ExplainableModel = adapted(model, x)
        self._before, self._mix, self._joints = before, mix, joints
        self.input_dims = self._at.input_dims
        known = getattr(self._at, "skeleton", None)
        self.skeleton = known if known is None or joints is None else renumbered(known, joints)

    @property
    def axis_names(self) -> Mapping[str, Sequence[str]]:
        """Names along axes and of the classes, the joints' in the new order."""
        names = dict(self._at.axis_names)
        if self._joints is not None and "joint" in names:
            names["joint"] = [names["joint"][old] for old in self._joints.tolist()]
        return names

    @property
    def outputs(self) -> Outputs:
        """What the network's outputs are."""
        return outputs_of(self.model)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mixed outputs of the changed input."""
        logits = logits_of(self.model(x if self._before is None else self._before(x)))
        return logits if self._mix is None else logits @ self._mix.to(logits).T

    def get_layer(self, layer: str) -> nn.Module:
        """Return the network's own layer."""
        return self._at.get_layer(layer)

    def unfold(self, layer: str, activation: Tensor, samples: int) -> Tensor:
        """View an activation as (sample, person, feature, time, joint), joints in the new order."""
        found = self._at.unfold(layer, activation, samples)
        return found[..., self._joints] if self._moves(found) else found

    def fold(self, layer: str, maps: Tensor) -> Tensor:
        """Undo `unfold`."""
        if self._joints is not None and self._moves(maps):
            maps = maps[..., self._joints.argsort()]
        return self._at.fold(layer, maps)

    def cell_frames(self, layer: str, cells: int, frames: int) -> np.ndarray:
        """Return the centre input frame of each of a layer's time cells."""
        return self._at.cell_frames(layer, cells, frames)

    def linear_head(self, layer: str) -> tuple[Tensor, Tensor] | None:
        """Return the head behind a layer's average, mixed as the outputs are."""
        head = self._at.linear_head(layer)
        if head is None or self._mix is None:
            return head
        mix = self._mix.to(head[0])
        return mix @ head[0], mix @ head[1]

    def _moves(self, maps: Tensor) -> bool:
        return self._joints is not None and maps.shape[-1] == len(self._joints)


class ScaleAndShift(nn.Module):
    """A batch norm of evaluation mode, its statistics folded into one product and one sum."""

    def __init__(self, norm: _BatchNorm) -> None:
        super().__init__()
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = (norm.running_var + norm.eps).rsqrt()
        shift = -norm.running_mean * scale
        if norm.affine:
            scale, shift = scale * norm.weight, shift * norm.weight + norm.bias
        self.scale, self.shift = nn.Parameter(scale.detach()), nn.Parameter(shift.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Map (n, channel, ...)."""
        shape = (1, -1, *[1] * (x.ndim - 2))
        return x * self.scale.view(shape) + self.shift.view(shape)


class TwoLinear(nn.Module):
    """A linear layer as two: half of it, and twice the identity."""

    def __init__(self, whole: nn.Linear) -> None:
        super().__init__()
        self.first, self.second = copy.deepcopy(whole), nn.Linear(whole.out_features, 1, bias=False)
        with torch.no_grad():
            for parameter in self.first.parameters():
                parameter.div_(2)
            eye = 2 * torch.eye(whole.out_features)
            self.second.weight = nn.Parameter(eye.to(whole.weight))

    @property
    def weight(self) -> Tensor:
        """The weight of the whole."""
        return 2 * self.first.weight

    @property
    def bias(self) -> Tensor | None:
        """The bias of the whole."""
        return None if self.first.bias is None else 2 * self.first.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., inputs) to (..., outputs)."""
        return self.second(self.first(x))


class ProductSiLU(nn.Module):
    """SiLU as a product of two operations."""

    def forward(self, x: Tensor) -> Tensor:
        """Return x sigmoid(x)."""
        return x * torch.sigmoid(x)


class ClampReLU(nn.Module):
    """ReLU as a limit from below."""

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return x.clamp(min=0)


def renumbered(skeleton: Skeleton, order: Tensor) -> Skeleton:
    """Return the same body with its joints in another order, new place -> old place."""
    said = skeleton.to_dict()
    lists = {key: [said[key][old] for old in order.tolist()] for key in ("joints", "parents")}
    return Skeleton.from_dict({**said, **lists})


def _another(module: nn.Module) -> tuple[str, nn.Module] | None:
    """Return a module of the same function and what it is, None where we know none."""
    if isinstance(module, _BatchNorm) and module.running_mean is not None:
        return "batch norms as a scale and a shift", ScaleAndShift(module)
    if type(module) is nn.Linear:
        return "linear layers as two", TwoLinear(module)
    if isinstance(module, nn.SiLU):
        return "SiLU as x sigmoid(x)", ProductSiLU()
    return ("ReLU as a limit", ClampReLU()) if isinstance(module, nn.ReLU) else None


def rewritten(model: nn.Module, x: Tensor) -> tuple[nn.Module, dict[str, int]]:
    """Return a copy of the same function written differently, and how often what changed.

    A batch norm behind a convolution or a linear layer is folded into it, other modules are
    exchanged one by one, and the input goes in as 2 (x / 2).

    Parameters
    ----------
    model
        Any network; it stays as it is.
    x
        An input of it: running it tells which batch norm follows which layer.
    """
    again, folded = _folded(model, x)
    changed = Counter({"batch norms folded into the layer before": folded} if folded else {})
    for parent in list(again.modules()):
        for name, child in list(parent.named_children()):
            other = _another(child)
            if other is not None:
                setattr(parent, name, other[1].eval())
                changed[other[0]] += 1
    if changed:
        changed["the input as 2 (x / 2)"] = 1
    return Around(again, x, lambda rows: 2 * (rows / 2)), dict(changed)


def _folded(model: nn.Module, x: Tensor) -> tuple[nn.Module, int]:
    """Return a copy whose batch norms are folded into the layers before, and how many are.

    None are where somebody else takes such a layer's output as well: the function would change.
    """
    again = copy.deepcopy(model).eval()
    pairs = _followed(again, x)
    for layer, norm in pairs:
        _fold(again, layer, norm)
    with undisturbed(model), undisturbed(again), torch.no_grad():
        before, after = (logits_of(each(x)) for each in (model, again))
    if torch.allclose(before, after, rtol=1e-3, atol=1e-3 * float(before.abs().max())):
        return again, len(pairs)
    return copy.deepcopy(model).eval(), 0


def _followed(model: nn.Module, x: Tensor) -> list[tuple[nn.Module, _BatchNorm]]:
    """Return layers and the batch norm that takes their output as it is, both run once."""
    outputs: list[tuple[nn.Module, Tensor]] = []
    takes: list[tuple[_BatchNorm, Tensor]] = []

    def note(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            takes.append((module, given[0]))
        else:
            outputs.append((module, output))

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, _BatchNorm)
    watch(model, x, (m for m in model.modules() if isinstance(m, kinds)), note)
    runs = Counter(module for module, _ in [*outputs, *takes])
    return [
        (layer, norm)
        for norm, taken in takes
        for layer, output in outputs
        if output is taken and runs[layer] == runs[norm] == 1
    ]


def _fold(model: nn.Module, layer: Any, norm: _BatchNorm) -> None:
    """Give a layer the scale and shift of the batch norm behind it, which becomes the identity."""
    same = ScaleAndShift(norm)
    with torch.no_grad():
        bias = torch.zeros_like(same.shift) if layer.bias is None else layer.bias
        scale = same.scale.view(-1, *[1] * (layer.weight.ndim - 1))
        layer.weight = nn.Parameter(layer.weight * scale)
        layer.bias = nn.Parameter(bias * same.scale + same.shift)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if child is norm:
                setattr(parent, name, nn.Identity())
