"""A student that learns what a larger network says, and where it looks.

Zheng et al. 2022, Shap-CAM, section 4.5 (after Chattopadhay et al. 2018, Grad-CAM++): beside the
loss of the labels, a student's map of the true class is to be the teacher's; and, as usual, its
softened probabilities those of the teacher (Hinton et al. 2015, Distilling the Knowledge).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from torch import Tensor, nn
from torch.nn import functional

from hargcn.checks import one_of
from hargcn.data.windows import Windows
from hargcn.explainers.adapter import adapted
from hargcn.explainers.base import METHODS
from hargcn.explainers.cam.base import GradientCAM, Maps
from hargcn.explainers.hooks import record
from hargcn.explainers.scores import scores_of
from hargcn.networks.checkpoint import load_model
from hargcn.networks.stgcn import MultiBranchSTGCN

SHAPLEY = "shapcam"
_NO_GRADIENT = ("cam", "randomcam")  # their weights of the features teach a network nothing
# Shap-CAM's cumulative sums are of a linear head. And torch's third derivatives through the batch
# statistics of a network that learns, as of ShapleyCAM's Hessian, are wrong: by a factor of 2 in
# one weight, against finite differences.
_LAST = (SHAPLEY, "shapleycam", "shapleycam-h", "shapleycam-e")
_TINY = 1e-12


class DistilConfig(BaseModel):
    """What a network learns from another one, beside its labels.

    Parameters
    ----------
    teacher
        A checkpoint; a relative path is relative to where hargcn runs. It has the same skeleton
        and classes, and learned from windows prepared in the same way.
    weight
        Of the usual distillation loss, T^2 KL(teacher || student) of probabilities at temperature
        T (Hinton et al. 2015, section 2); 0 for none.
    temperature
        Divides the logits of both.
    maps
        A method whose maps of the true class are compared: one of the class activation maps that
        follow gradients, such as gradcam, gradcam++, layercam or hirescam, at any layer; or
        shapleycam and "shapcam" (sampled Shapley values of cells) at the last. None for none.
    maps_weight
        Of the distance of these maps: half the squared distance of both at length 1, 1 - cosine.
    layer
        Whose maps they are, of both networks; None for the last one of each.
    orders
        Random orders of the cells, and their reverses, that "shapcam" averages over in each step;
        teacher and student are asked in the same ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    teacher: Path
    weight: float = Field(1.0, ge=0)
    temperature: float = Field(4.0, gt=0)
    maps: str | None = None
    maps_weight: float = Field(1.0, gt=0)
    layer: str | None = None
    orders: int = Field(2, ge=1)

    @field_validator("maps")
    @classmethod
    def _differentiable(cls, name: str | None) -> str | None:
        return name if name is None else one_of("train.distil.maps", name, differentiable())

    @model_validator(mode="after")
    def _asks_something(self) -> DistilConfig:
        if not self.weight and self.maps is None:
            raise ValueError("Expected a weight above 0 or maps for train.distil (got neither)")
        return self


def differentiable() -> list[str]:
    """Return the names of the methods whose maps a student can learn."""
    found = (name for name, cls in METHODS.all().items() if issubclass(cls, GradientCAM))
    return [*(name for name in found if name not in _NO_GRADIENT), SHAPLEY]


MapOf = Callable[[Any, str, Tensor, Tensor, Tensor], Tensor]
"""From a network, a layer, what both said, and classes, to maps (n, person, time, joint)."""


class Distillation:
    """What a student is asked beside its labels: a teacher's answers to every batch.

    Parameters
    ----------
    config
        What is asked.
    student
        The network that learns.
    windows
        What it learns from.

    Raises
    ------
    FileNotFoundError
        Without the teacher.
    ValueError
        For other outcomes than classes, a teacher of another skeleton, other classes or windows,
        and a layer or a method that do not fit the networks.
    """

    def __init__(self, config: DistilConfig, student: MultiBranchSTGCN, windows: Windows) -> None:
        self.config = config
        device = next(student.parameters()).device
        self.teacher = _teacher(config.teacher, student, windows).to(device).eval()
        self.layers = {
            name: config.layer or model.layer_names()[-1]
            for name, model in (("student", student), ("teacher", self.teacher))
        }
        for name, model in (("student", student), ("teacher", self.teacher)):
            one_of(f"train.distil.layer of the {name}", self.layers[name], model.layer_names())
            if config.maps in _LAST and model.linear_head(self.layers[name]) is None:
                raise ValueError(
                    f"Expected the last layer of the {name} for train.distil.maps={config.maps} "
                    f"(got {self.layers[name]!r}, behind which is more than an average and a head)"
                )

    @contextmanager
    def heard(self, student: MultiBranchSTGCN) -> Iterator[dict[str, Tensor]]:
        """Collect the activation of the student's layer during its pass inside the block."""
        seen: dict[str, Tensor] = {}

        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            seen["activation"] = output

        handle = student.get_layer(self.layers["student"]).register_forward_hook(keep)
        try:
            yield seen
        finally:
            handle.remove()

    def __call__(
        self,
        student: MultiBranchSTGCN,
        activation: Tensor,
        logits: Tensor,
        positions: Tensor,
        valid: Tensor,
        labels: Tensor,
        draw: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return the losses that are asked for by name, means over a batch, without weights.

        Parameters
        ----------
        student, activation, logits
            The network, what its layer and itself said of the batch.
        positions, valid, labels
            The batch as the student has seen it: (n, C, T, V, M), (n, T, M), (n,).
        draw
            Source of the orders of "shapcam".
        """
        c = self.config
        map_of = None if c.maps is None else _map_of(c.maps, c.orders, draw)
        theirs, their_map = self._asked(positions, valid, labels, map_of)
        losses = {}
        if c.weight:
            losses["distil"] = softened(logits, theirs, c.temperature)
        if map_of is not None and their_map is not None:
            own = map_of(student, self.layers["student"], activation, logits, labels)
            losses["maps"] = distance(own, their_map)
        return losses

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss."""
        return {"distil": self.config.weight, "maps": self.config.maps_weight}

    def _asked(
        self, positions: Tensor, valid: Tensor, labels: Tensor, map_of: MapOf | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the teacher's logits, and its maps where they are wanted; without a graph."""
        layer, x = self.layers["teacher"], self.teacher.features(positions, valid)
        if map_of is None:
            with torch.no_grad():
                return self.teacher(x), None
        with record(self.teacher, adapted(self.teacher, x), [layer]) as seen:
            logits = self.teacher(x)
            found = map_of(self.teacher, layer, seen[layer], logits, labels)
        return logits.detach(), found.detach()


def softened(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T^2 KL(teacher || student) of softened probabilities, the mean over a batch."""
    own = (student / temperature).log_softmax(dim=1)
    theirs = (teacher.detach() / temperature).log_softmax(dim=1)
    apart = functional.kl_div(own, theirs, reduction="batchmean", log_target=True)
    return temperature**2 * apart


def distance(own: Tensor, theirs: Tensor) -> Tensor:
    """Return how far maps lie apart, whatever their size: 1 - cosine, the mean over a batch.

    Of maps with different cells of time the finer is averaged over the coarser's. A map of nothing
    but 0 has no direction: its cosine is 0.

    Parameters
    ----------
    own, theirs
        (n, person, time, joint), signed.
    """
    cells = (min(own.shape[2], theirs.shape[2]), own.shape[3])
    one, other = (functional.adaptive_avg_pool2d(each, cells).flatten(1) for each in (own, theirs))
    return (1 - functional.cosine_similarity(one, other, dim=1, eps=_TINY)).mean()


def gradient_map(
    rule: GradientCAM,
    model: Any,
    layer: str,
    raw: Tensor,
    logits: Tensor,
    labels: Tensor,
) -> Tensor:
    """Return the maps (n, person, time, joint) of a method, with a graph through its gradients.

    Parameters
    ----------
    rule
        The method, with its score.
    model, layer, raw, logits
        A network, a layer of it, and what both said of a batch; with a graph from one to the other.
    labels
        (n,) the classes explained.
    """
    score = scores_of(logits, labels, rule.utility, model.outputs)
    (gradient,) = torch.autograd.grad(score.sum(), raw, create_graph=True)
    return rule.rule(Maps(model, layer, raw, gradient, labels, graph=True))


def shapley_map(
    model: MultiBranchSTGCN,
    layer: str,
    raw: Tensor,
    logits: Tensor,
    labels: Tensor,
    orders: Tensor,
) -> Tensor:
    """Return sampled Shapley values of cells (n, person, time, joint), with a graph.

    As `ShapCAM` with utility "prob", at a layer before the global average: absent cells have their
    feature map's mean, so that the logits of a growing coalition are cumulative sums.

    Parameters
    ----------
    model, layer, raw, logits, labels
        As for `gradient_map`.
    orders
        (orders, cells) permutations of the cells (person, time, joint), the same for all samples.
    """
    assert isinstance(model.head, nn.Linear)  # as of classes
    weight, bias = model.head.weight, model.head.bias  # `linear_head` gives them without a graph
    maps = model.unfold(layer, raw, len(labels))
    mean = maps.mean(dim=(3, 4), keepdim=True)
    steps = (maps - mean).transpose(1, 2).flatten(2).mT @ weight.T / orders.shape[1]
    start = mean.mean(dim=1).flatten(1) @ weight.T + bias
    worths = []
    for order in orders.to(steps.device):
        grown = start[:, None] + steps[:, order].cumsum(dim=1)
        logits = torch.cat([start[:, None], grown], dim=1)
        wanted = labels[:, None, None].expand(-1, logits.shape[1], 1)
        own = logits.softmax(dim=2).gather(2, wanted)
        worths.append(own[..., 0].diff(dim=1)[:, order.argsort()])
    return torch.stack(worths).mean(dim=0).view(maps[:, :, 0].shape)


def _map_of(name: str, orders: int, draw: torch.Generator) -> MapOf:
    """Return what makes the maps of a method: twice, for two networks, in the same way."""
    if name != SHAPLEY:
        kind: Any = METHODS.find(name)

        def by_gradient(model: Any, layer: str, *rest: Tensor) -> Tensor:
            return gradient_map(kind(layer), model, layer, *rest)

        return by_gradient
    drawn: dict[int, Tensor] = {}

    def by_shapley(model: Any, layer: str, raw: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        cells = raw[0, 0].numel() * len(raw) // len(labels)
        if cells not in drawn:
            some = [torch.randperm(cells, generator=draw) for _ in range(orders)]
            drawn[cells] = torch.stack([*some, *(each.flip(0) for each in some)])
        return shapley_map(model, layer, raw, logits, labels, drawn[cells])

    return by_shapley


def _teacher(path: Path, student: MultiBranchSTGCN, windows: Windows) -> MultiBranchSTGCN:
    """Open a teacher, and refuse one that answers other questions than the student's."""
    teacher = load_model(path)
    if student.outputs.kind != "classes":
        raise ValueError(
            f"{path}: expected classes for train.distil (got {student.outputs.kind} outputs)"
        )
    said = teacher.card.get("input") or {}
    for what, mine, found in (
        ("skeleton", student.skeleton, teacher.skeleton),
        ("classes", student.outputs, teacher.outputs),
        *((f"windows' {name}", own, said.get(name)) for name, own in windows.preparation.items()),
    ):
        if found is not None and mine != found:
            raise ValueError(f"{path}: expected a teacher of the student's {what} (got another)")
    for parameter in teacher.parameters():
        parameter.requires_grad_(False)
    return teacher
