"""A network as a function of the edges of its graphs, whoever made them.

A mask multiplies every graph: the edge importances of a network that tells them (`edges()`), else
whatever V x V operand the network multiplies its joints by, learned, or computed from the sample by
attention. Setting an entry to 0 cuts an edge, and where all are 1 the derivative by the mask is the
derivative by the graph times the graph.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from hargcn.explainers.adapter import Adapter, adapted, input_axes
from hargcn.explainers.edges.products import Graph, Products, Running
from hargcn.explainers.hooks import undisturbed
from hargcn.explainers.outputs import logits_of
from hargcn.outputs import Outputs, outputs_of


@dataclass(frozen=True)
class GraphLayers:
    """The graphs of a network.

    Attributes
    ----------
    names
        Of the layers, in the order in which they run.
    partitions
        Graphs of each layer that are summed over.
    joints
        Names of the joints, or their numbers.
    present
        (layer, partition, source, target) bool: where there are edges; False beyond a layer's
        partitions.
    """

    names: tuple[str, ...]
    partitions: tuple[int, ...]
    joints: tuple[str, ...]
    present: Tensor

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Joints (a, b), a <= b, with an edge in any layer and either direction."""
        some = self.present.any(dim=0).any(dim=0)
        return [(int(a), int(b)) for a, b in (some | some.T).triu().nonzero()]


def graph_layers(model: nn.Module, x: Tensor) -> GraphLayers:
    """Find the graphs of a network.

    Parameters
    ----------
    model
        A network whose `edges()` are edge importances (K, V, V) by layer, source joints in rows,
        which takes others as the argument `edges`, and may say by `adjacency()` what they weigh;
        or any other, whose products over joints are watched in one pass of one sample.
    x
        Its input, of named axes.

    Raises
    ------
    ValueError
        For an input without joints, a network without graphs, and one whose products do not say
        which operand is the graph.
    """
    dims = input_axes(model, x)
    if "joint" not in dims:
        raise ValueError(
            f"expected an input with an axis 'joint' (got {', '.join(dims)}); an Adapter's "
            "input_dims name the axes"
        )
    count = x.shape[dims.index("joint")]
    said: Mapping[str, Sequence[str]] = getattr(model, "axis_names", {})
    joints = tuple(map(str, said.get("joint", range(count))))
    teller = _teller(model)
    if teller is None:
        return _laid_out(_watched(model, x[:1], count), joints)
    graphs: Mapping[str, Tensor] = teller.adjacency() if hasattr(teller, "adjacency") else {}
    present = {k: graphs.get(k, torch.ones_like(e)) != 0 for k, e in teller.edges().items()}
    return _laid_out(present, joints)


def _teller(model: nn.Module) -> Any:
    """Return the module of a network that tells its edge importances, None where none does."""
    for module in model.modules():
        if callable(getattr(type(module), "edges", None)):
            teller: Any = module
            if teller.edges():
                return teller
    return None


def _watched(model: nn.Module, x: Tensor, count: int) -> dict[str, Tensor]:
    """Return where the graphs of each layer have edges, by the module that multiplies by them."""
    at: Any = adapted(model, x)
    found: dict[str, list[Tensor]] = {}

    def note(graph: Graph, operand: Tensor) -> Tensor:
        found.setdefault(running.name, []).append(graph.present(operand))
        return operand

    running = Running(at.model if isinstance(at, Adapter) else at)
    with undisturbed(model), torch.no_grad(), running, Products(count, note):
        model(x.clone())
    if not found:
        raise ValueError(
            f"expected a network that tells its edge importances by `edges()`, or multiplies its "
            f"{count} joints by a graph ({count} x {count}) with matmul or einsum (found neither)"
        )
    return {name: torch.cat(each) for name, each in found.items()}


def _laid_out(present: Mapping[str, Tensor], joints: tuple[str, ...]) -> GraphLayers:
    """Bring layers of different partitions into one array."""
    size = len(joints)
    for name, each in present.items():
        if each.shape[-2:] != (size, size):
            raise ValueError(
                f"layer {name!r}: expected edges of {size} joints, as the input has "
                f"(got {tuple(each.shape)})"
            )
    partitions = tuple(map(len, present.values()))
    whole = torch.zeros(len(present), max(partitions), size, size, dtype=torch.bool)
    for layer, each in enumerate(present.values()):
        whole[layer, : len(each)] = each
    return GraphLayers(tuple(present), partitions, joints, whole)


class ByEdges(nn.Module):
    """The outputs of a network for one sample, as a function of the mask of its edges.

    Parameters
    ----------
    model
        The network.
    layers
        Its `graph_layers`.
    x
        (1, ...) the sample.
    """

    x: Tensor

    def __init__(self, model: nn.Module, layers: GraphLayers, x: Tensor) -> None:
        super().__init__()
        self.model, self.layers, self._mappable = model, layers, True
        self.register_buffer("x", x, persistent=False)

    @property
    def outputs(self) -> Outputs:
        """What the network's outputs are."""
        return outputs_of(self.model)

    @property
    def whole(self) -> Tensor:
        """The mask (1, layer, partition, source, target) that cuts nothing."""
        return self.x.new_ones(1, *self.layers.present.shape)

    def forward(self, masks: Tensor, x: Tensor | None = None) -> Tensor:
        """Map masks (n, layer, partition, source, target) to outputs (n, output).

        Parameters
        ----------
        masks
            What multiplies the graphs.
        x
            (1, ...) another sample in the place of its own.
        """
        x = self.x if x is None else x
        if _teller(self.model) is not None:
            with _weighed(self.model, self.layers, masks):
                # A copy: a network may begin with an operation in place.
                return logits_of(self.model(x.repeat(len(masks), *[1] * (x.ndim - 1))))
        # A graph without rows of its own has no place for several masks: map over them.
        if self._mappable and len(masks) > 1:
            try:
                return torch.vmap(partial(self._masked, x))(masks)[:, 0]
            except torch.OutOfMemoryError:
                raise
            except RuntimeError:  # by what its values decide; a defect of its own shows below
                self._mappable = False
        return torch.cat([self._masked(x, mask) for mask in masks])

    def _masked(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the outputs (1, output) with the graphs of a pass masked one after the other."""
        parts, names = self.layers.partitions, self.layers.names
        used = dict.fromkeys(names, 0)

        def change(graph: Graph, operand: Tensor) -> Tensor:
            name, count = running.name, graph.count(operand)
            start = used.get(name, 0)
            if name not in used or start + count > parts[names.index(name)]:
                raise ValueError(f"expected the same products in every pass (layer {name!r})")
            used[name] = start + count
            return graph.masked(operand, mask[names.index(name), start : start + count])

        at: Any = adapted(self.model, x)
        running = Running(at.model if isinstance(at, Adapter) else at)
        with running, Products(len(self.layers.joints), change):
            return logits_of(self.model(x.clone()))


class Telling(nn.Module):
    """Any network with graphs as one that tells edge importances, of 1: to be cut by a 0.

    Parameters
    ----------
    model
        The network.
    layers
        Its `graph_layers`.
    """

    def __init__(self, model: nn.Module, layers: GraphLayers) -> None:
        super().__init__()
        self.model, self.layers = model, layers

    def edges(self) -> dict[str, Tensor]:
        """Return 1 for every edge, (K, V, V) by layer."""
        size = len(self.layers.joints)
        return {
            name: torch.ones(count, size, size)
            for name, count in zip(self.layers.names, self.layers.partitions, strict=True)
        }

    def forward(self, x: Tensor, edges: Mapping[str, Tensor]) -> Tensor:
        """Map rows (n, ...) and what multiplies their graphs, (n, K, V, V) by layer, to outputs.

        Rows of one sample that follow one another go through the network together.
        """
        masks = x.new_ones(len(x), *self.layers.present.shape)
        for number, (name, count) in enumerate(
            zip(self.layers.names, self.layers.partitions, strict=True)
        ):
            masks[:, number, :count] = edges[name].to(masks)
        others = (x[1:] != x[:-1]).flatten(1).any(dim=1)
        sizes = torch.arange(len(x)).tensor_split(1 + others.nonzero()[:, 0].cpu())
        return torch.cat(
            [ByEdges(self.model, self.layers, x[rows[:1]])(masks[rows]) for rows in sizes]
        )


@contextmanager
def _weighed(model: nn.Module, layers: GraphLayers, masks: Tensor) -> Iterator[None]:
    """Have a network run with its edge importances times masks, one per row."""
    teller = _teller(model)
    own: Mapping[str, Tensor] = teller.edges()

    def weigh(_module: nn.Module, args: Any, kwargs: Any) -> Any:
        edges = {
            name: own[name].detach() * masks[:, number, : layers.partitions[number]]
            for number, name in enumerate(layers.names)
        }
        return args, {**kwargs, "edges": edges}

    hook = teller.register_forward_pre_hook(weigh, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()
