"""What measures disturb one by one: joints, or the edges of a network's graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from hargcn.analysis.edges import edge_matrix, of_edges
from hargcn.explainers.edges.graphs import graph_layers
from hargcn.explanation import Explanation
from hargcn.metrics.maps import check, check_sizes, joint_scores
from hargcn.metrics.runner import Runner
from hargcn.perturbation import EdgeEdit, Edit


@dataclass(frozen=True)
class Units:
    """The joints, or edges, that an explanation ranks and an edit disturbs.

    Parameters
    ----------
    joints
        How many joints there are.
    edges
        (unit, 2) source and target joint of each edge, in whichever layers and partitions it is;
        None where joints are disturbed.
    """

    joints: int
    edges: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        model: nn.Module,
        x: Tensor,
        explanations: Sequence[Explanation],
        edit: Edit,
        run: Runner,
    ) -> Units:
        """Return what explanations rank: the edges that the network has, or joints.

        Parameters
        ----------
        model, x, run
            The network, windows, and how it is run on them.
        explanations
            Of x, and of one kind.
        edit
            What will be done to the units.

        Raises
        ------
        ValueError
            For an edit of something else, explanations of edges and of joints together, and those
            of other samples or joints than x.
        """
        edges = [of_edges(each) for each in explanations]
        if any(edges) != all(edges):
            raise ValueError(
                "Expected explanations of edges alone, or of joints alone (got "
                f"{', '.join(each.name for each in explanations)})"
            )
        single = isinstance(edit, EdgeEdit) and edit.which == "single"
        first = explanations[0]
        if single and not edges[0]:
            raise ValueError(
                f"Expected an explanation of edges for {edit} (got {first.name!r} over "
                f"{', '.join(first.dims)})"
            )
        if edges[0] and not single:
            raise ValueError(
                f"Expected an edit of single edges, such as edge:single:zero, for the explanation "
                f"of edges {first.name!r} (got {edit})"
            )
        if not single:
            for each in explanations:
                check(x, each)
            return cls(x.shape[-2])
        layers = graph_layers(model, run.prepare(x[:1], np.arange(1)))
        joints = len(layers.joints)
        for each in explanations:
            check_sizes(each, len(x), joints, "source_joint")
        return cls(joints, np.argwhere(layers.present.any(dim=0).any(dim=0).cpu().numpy()))

    @property
    def name(self) -> str:
        """What the units are: "joints" or "edges"."""
        return "joints" if self.edges is None else "edges"

    def __len__(self) -> int:
        return self.joints if self.edges is None else len(self.edges)

    def scores(self, explanation: Explanation) -> np.ndarray:
        """Return (sample, unit) scores: of joints means, of edges sums over layers, partitions."""
        if self.edges is None:
            return joint_scores(explanation)
        sources, targets = self.edges.T
        return edge_matrix(explanation).to_numpy().astype(float)[:, sources, targets]

    def sets(self, chosen: np.ndarray) -> np.ndarray:
        """Lay chosen units (..., unit) out as an edit takes them.

        Returns
        -------
        numpy.ndarray
            (..., joint), or (..., source, target).
        """
        if self.edges is None:
            return chosen
        laid = np.zeros((*chosen.shape[:-1], self.joints, self.joints), chosen.dtype)
        sources, targets = self.edges.T
        laid[..., sources, targets] = chosen
        return laid
