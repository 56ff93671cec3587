"""What measures disturb one by one: joints, body parts, or the edges of a network's graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from torch import Tensor, nn

from hargcn.analysis.edges import edge_matrix, of_edges
from hargcn.checks import one_of
from hargcn.explainers.edges.graphs import graph_layers
from hargcn.explanation import Explanation
from hargcn.metrics.maps import Order, cells, check, check_sizes, joint_scores
from hargcn.metrics.runner import Runner
from hargcn.perturbation import EdgeEdit, Edit
from hargcn.skeleton import Skeleton

By = Literal["joint", "part"]


@dataclass(frozen=True)
class Units:
    """The joints, body parts, or edges, that an explanation ranks and an edit disturbs.

    Parameters
    ----------
    joints
        How many joints there are.
    edges
        (unit, 2) source and target joint of each edge, in whichever layers and partitions it is;
        None where joints are disturbed.
    parts
        The joints of each body part, by its name; together they have every joint once. Empty where
        joints are disturbed singly.
    """

    joints: int
    edges: np.ndarray | None = None
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        x: Tensor,
        explanations: Sequence[Explanation],
        edit: Edit,
        run: Runner,
        by: By = "joint",
    ) -> Units:
        """Return what explanations rank: the edges that the network has, joints, or body parts.

        Parameters
        ----------
        model, x, run
            The network, windows, and how it is run on them.
        explanations
            Of x, and of one kind.
        edit
            What will be done to the units.
        by
            "joint", or body "part": all joints of it at once, ranked by the sum of their scores, as
            `analysis.features` does.

        Raises
        ------
        ValueError
            For an edit of something else, explanations of edges and of joints together, those of
            other samples or joints than x, and for body parts without a skeleton or of edges.
        """
        one_of("by", by, get_args(By))
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
            return cls(x.shape[-2], parts=_parts(first, run.skeleton) if by == "part" else {})
        if by == "part":
            raise ValueError(f"Expected joints to rank by part (got {first.name!r} of edges)")
        layers = graph_layers(model, run.prepare(x[:1], np.arange(1)))
        joints = len(layers.joints)
        for each in explanations:
            check_sizes(each, len(x), joints, "source_joint")
        return cls(joints, np.argwhere(layers.present.any(dim=0).any(dim=0).cpu().numpy()))

    @property
    def name(self) -> str:
        """What the units are: "joints", "body parts" or "edges"."""
        if self.edges is not None:
            return "edges"
        return "body parts" if self.parts else "joints"

    def __len__(self) -> int:
        return len(self.parts) or self.joints if self.edges is None else len(self.edges)

    def scores(
        self,
        explanation: Explanation,
        order: Order = "signed",
        stretch: tuple[int, int, int] | None = None,
    ) -> np.ndarray:
        """Return (sample, unit) scores: of joints means, of edges sums over layers, partitions.

        Parameters
        ----------
        explanation
            What ranks the units.
        order
            Of "positive" joints only the positive parts of cells count (see `maps.joint_scores`).
        stretch
            From which frame to which, of how many, cells of joints count.
        """
        if self.edges is not None:
            sources, targets = self.edges.T
            return edge_matrix(explanation).to_numpy().astype(float)[:, sources, targets]
        if stretch is None:
            joints = joint_scores(explanation, order)
        else:
            start, stop, frames = stretch
            own = cells(explanation, frames)[:, start:stop]
            joints = (own.clip(min=0) if order == "positive" else own).mean(1)
        if not self.parts:
            return joints
        return np.stack([joints[:, list(part)].sum(1) for part in self.parts.values()], axis=1)

    def sets(self, chosen: np.ndarray) -> np.ndarray:
        """Lay chosen units (..., unit) out as an edit takes them.

        Returns
        -------
        numpy.ndarray
            (..., joint), or (..., source, target).
        """
        if self.parts:
            part_of = np.empty(self.joints, int)
            for number, part in enumerate(self.parts.values()):
                part_of[list(part)] = number
            return chosen[..., part_of]
        if self.edges is None:
            return chosen
        laid = np.zeros((*chosen.shape[:-1], self.joints, self.joints), chosen.dtype)
        sources, targets = self.edges.T
        laid[..., sources, targets] = chosen
        return laid


def _parts(explanation: Explanation, known: Skeleton | None) -> Mapping[str, tuple[int, ...]]:
    """Return the joints of the body parts, as the explanation or else the run knows them."""
    skeleton = explanation.skeleton or known
    if skeleton is None:
        raise ValueError(
            f"Expected a skeleton, to disturb body parts (got none with {explanation.name!r})"
        )
    return skeleton.parts
