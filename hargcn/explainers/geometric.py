"""Skeletons, explanations and networks as torch_geometric (PyG) knows them.

PyG's explainers and measures (Fey and Lenssen 2019) reach a network by masks that they set on its
modules of message passing. `MessagePassingView` gives any network with graphs over joints one such
module, whose mask multiplies the edges.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from hargcn.analysis.edges import edge_matrix, of_edges
from hargcn.explainers.adapter import input_axes
from hargcn.explainers.edges.graphs import ByEdges, graph_layers
from hargcn.explainers.hooks import plain
from hargcn.explanation import Explanation
from hargcn.skeleton import Skeleton

if TYPE_CHECKING:
    from torch_geometric.data import Data
    from torch_geometric.explain import Explanation as GraphExplanation


def skeleton_graph(skeleton: Skeleton) -> Data:
    """Return a layout as a PyG graph.

    Returns
    -------
    torch_geometric.data.Data
        `edge_index` (2, 2E), every edge in both directions; `num_nodes`; `joints`, their names;
        `part` (V,), the number of each joint's body part, and `parts`, their names.
    """
    from torch_geometric.data import Data

    part = torch.empty(skeleton.n_joints, dtype=torch.long)
    for number, members in enumerate(skeleton.parts.values()):
        part[list(members)] = number
    return Data(
        edge_index=_both_ways(skeleton),
        num_nodes=skeleton.n_joints,
        joints=list(skeleton.joints),
        part=part,
        parts=list(skeleton.parts),
    )


def explanation_graph(
    explanation: Explanation, sample: str | int, x: Any = None
) -> GraphExplanation:
    """Return one sample of an explanation as PyG's.

    Values stay signed; PyG's measures want masks in [0, 1], such as `.threshold("topk_hard", k)`
    makes of them.

    Parameters
    ----------
    explanation
        Of joints, or of edges.
    sample
        Its name or number.
    x
        (V, F) features of the joints; by default the positions stored with the explanation,
        (V, space * frame * person), where there are any.

    Returns
    -------
    torch_geometric.explain.Explanation
        Of joints `node_mask` (V, F), the other axes in a row, or (V, 1), added up over them, where
        x has other features; `edge_index` is the skeleton then. Of edges `edge_mask` (E,), added up
        over layers and partitions, of the edges `edge_index` (2, E) that have any attribution in
        any sample. Both with `x` and `target`, the class explained.

    Raises
    ------
    ValueError
        For an unknown sample, and an explanation of neither, or without a skeleton.
    """
    from torch_geometric.explain import Explanation as GraphExplanation

    one = _one(explanation, sample)
    features = _features(one) if x is None else torch.as_tensor(x)
    given = {} if features is None else {"x": features}
    if of_edges(explanation):
        some = np.argwhere((edge_matrix(explanation).to_numpy() != 0).any(axis=0)).T
        mask = torch.from_numpy(edge_matrix(one).to_numpy()[0][tuple(some)])
        made = GraphExplanation(edge_index=torch.from_numpy(some), edge_mask=mask, **given)
    else:
        made = GraphExplanation(node_mask=_node_mask(one, features), **given)
        assert explanation.skeleton is not None
        made.edge_index = _both_ways(explanation.skeleton)
    made.target = torch.from_numpy(one.target.to_numpy()).long()
    made._model_args = []
    return made


def _one(explanation: Explanation, sample: str | int) -> Explanation:
    """Return the explanation of one sample, by name or number."""
    names = [str(name) for name in explanation.values["sample"].to_numpy()]
    number = names.index(sample) if sample in names else sample
    if not (isinstance(number, int) and -len(names) <= number < len(names)):
        raise ValueError(
            f"explanation {explanation.name!r}: expected one of its {len(names)} samples, such as "
            f"{names[0]!r} (got {sample!r})"
        )
    return explanation.isel(sample=[number])


def _features(one: Explanation) -> Tensor | None:
    """Return the stored positions (V, space * frame * person) of a single sample."""
    if "positions" not in one.dataset:
        return None
    positions = one.dataset["positions"].isel(sample=0).transpose("joint", ...).to_numpy()
    return torch.from_numpy(np.nan_to_num(positions).reshape(len(positions), -1)).float()


def _node_mask(one: Explanation, features: Tensor | None) -> Tensor:
    """Return attributions (V, F) of a single sample, added up where the features are others."""
    if one.skeleton is None or "joint" not in one.dims:
        raise ValueError(
            f"explanation {one.name!r}: expected joints or edges of a skeleton for PyG "
            f"(got axes {', '.join(one.dims)})"
        )
    values = one.values.isel(sample=0).transpose("joint", ...).to_numpy()
    mask = torch.from_numpy(values.reshape(len(values), -1).copy())
    fits = features is None or features.shape[1] == mask.shape[1]
    return mask if fits else mask.sum(dim=1, keepdim=True)


def _both_ways(skeleton: Skeleton) -> Tensor:
    edges = torch.tensor(skeleton.edges).T
    return torch.cat([edges, edges.flip(0)], dim=1)


class MessagePassingView(nn.Module):
    """A network as a function of its joints' features and edges, whose edges PyG can mask.

    It is called as PyG calls networks, `view(x, edge_index)`: an edge that `edge_index` lacks is
    cut in every layer and partition, a mask that PyG's explainers set multiplies the rest. With
    `view.edge_index`, and without a mask, it is the network. It holds a frozen copy: what an
    explainer learns changes nothing of the network.

    Parameters
    ----------
    model
        A network with graphs over joints (see `explainers.edges.graphs.graph_layers`).
    x
        (1, ...) a sample, which says what the input's axes are.

    Attributes
    ----------
    edge_index
        (2, E) every edge of any of its graphs, source joints first.

    Raises
    ------
    ValueError
        For a network without graphs.
    """

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        super().__init__()
        first = next((p for p in model.parameters() if p.is_floating_point()), x)
        x = plain(x[:1]).to(first.device, first.dtype)
        layers = graph_layers(model, x)
        self.network = ByEdges(copy.deepcopy(model), layers, x)
        self.masks = _mask_reader()
        self.edge_index = layers.present.any(dim=0).any(dim=0).nonzero().T.to(x.device)
        self._joint = input_axes(model, x).index("joint")
        self.requires_grad_(False).eval()

    def nodes(self, x: Tensor) -> Tensor:
        """Lay a sample (1, ...) out by joint, (V, features)."""
        return x[0].movedim(self._joint - 1, 0).flatten(1)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        """Map features (V, F) and edges (2, E) to outputs (1, output)."""
        own = self.network.x
        others = [size for axis, size in enumerate(own.shape[1:], 1) if axis != self._joint]
        sample = x.view(-1, *others).movedim(0, self._joint - 1)[None]
        weights = self.masks(edge_index, own.new_ones(len(x), 1))
        whole = own.new_zeros(len(x), len(x)).index_put(tuple(edge_index), weights)
        return self.network(whole.expand(1, *self.network.layers.present.shape), sample)


def _mask_reader() -> nn.Module:
    """Return a module of message passing that returns each edge's message instead of their sums.

    Messages are 1, times PyG's mask where one is set.
    """
    from torch_geometric.nn import MessagePassing

    class MaskReader(MessagePassing):
        def forward(self, edge_index: Tensor, ones: Tensor) -> Tensor:
            return self.propagate(edge_index, x=ones)[:, 0]

        def message(self, x_j: Tensor) -> Tensor:
            return x_j

        def aggregate(self, inputs: Tensor) -> Tensor:
            return inputs

    return MaskReader()
