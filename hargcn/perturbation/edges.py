"""Changes of the edge importance of a network's graph layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from hargcn.checks import one_of
from hargcn.perturbation.drawing import as_keys, normal

Which = Literal["self", "incident", "all", "single"]
EdgeOp = Literal["away", "towards", "zero", "noise"]
Range = Literal["original", "recomputed"]


@dataclass(frozen=True)
class EdgeEdit:
    """A change of the edge importance E (K, V, V) of every graph layer at chosen joints or edges.

    Parameters
    ----------
    which
        "self": the diagonal entries of the chosen joints (the paper's choice); "incident": their
        rows and columns; "all": every entry, for samples with at least one chosen joint; "single":
        entries that are themselves chosen, from a source to a target joint.
    op
        "away": from zero by amount x range (an entry of 0 counts as positive); "towards": towards
        zero by as much, stopping there unless `cross`; "zero": to 0; "noise": plus Gaussian noise
        of standard deviation amount x range.
    amount
        Share of the range max - min of the ORIGINAL E of a partition; "zero" needs none. The paper
        uses 0.35 (NTU RGB+D) and 0.9 (CP). A partition whose entries are all equal has no range.
    partitions
        The hop partitions to edit; default the first for "self" and all otherwise.
    cross
        Whether "towards" may change the sign.
    range
        "original": the range is that of the E that was learnt, so that the order of the joints does
        not matter. "recomputed": joints are edited one after another, the first of the ranking
        first, and the range is taken anew before each, as the code published with the paper does;
        for comparison, and for "self" with an op that has a range only.
    """

    which: Which = "self"
    op: EdgeOp = "away"
    amount: float = 0.35
    partitions: tuple[int, ...] | None = None
    cross: bool = False
    range: Range = "original"

    def __post_init__(self) -> None:
        one_of("which", self.which, get_args(Which))
        one_of("op", self.op, get_args(EdgeOp))
        if not 0 <= self.amount < math.inf:
            raise ValueError(f"Expected an edge edit's amount >= 0 (got {self.amount})")
        if self.cross and self.op != "towards":
            raise ValueError(f"Expected cross with the op towards only (got {self.op})")
        one_of("range", self.range, get_args(Range))
        if self.ordered and (self.which != "self" or self.op == "zero"):
            raise ValueError(
                "Expected a recomputed range with edge:self and an op that has a range only "
                f"(got edge:{self.which}:{self.op})"
            )
        if self.partitions is not None and min(self.partitions, default=-1) < 0:
            raise ValueError(f"Expected partitions from 0 on (got {self.partitions})")

    def __str__(self) -> str:
        amount = "" if self.op == "zero" else f":{self.amount!r}"
        where = "" if self.partitions is None else "@" + ",".join(map(str, self.partitions))
        more = f"{':cross' if self.cross else ''}{':recomputed' if self.ordered else ''}"
        return f"edge:{self.which}:{self.op}{amount}{more}{where}"

    @property
    def drawn(self) -> bool:
        """Whether the edit draws random numbers."""
        return self.op == "noise"

    @property
    def ordered(self) -> bool:
        """Whether the order in which joints are edited matters."""
        return self.range == "recomputed"

    def apply(
        self,
        edges: Mapping[str, Tensor],
        joints: Tensor,
        seeds: Sequence[int] | np.ndarray | None = None,
    ) -> dict[str, Tensor]:
        """Return the edited edge importance of every layer, one per row.

        Parameters
        ----------
        edges
            Layer name -> the original E, (K, V, V).
        joints
            (N, V) bool: the joints to edit in each row; of an edit that is `ordered` int: 0 for
            joints to leave, 1 for the first to edit, 2 for the second, and so on. Of "single"
            edges (N, V, V) bool, sources in rows.
        seeds
            (N,) or (N, n) integers; rows of equal seeds draw equal noise. Default: 0..N-1.

        Returns
        -------
        dict
            Layer name -> (N, K, V, V).
        """
        keys = as_keys(seeds, len(joints))
        edited = {}
        for index, (layer, original) in enumerate(edges.items()):
            kept = original.detach()
            # Another layer draws other numbers, whatever the row's seed.
            noise = partial(normal, kept.shape, np.insert(keys, 0, index, axis=1), kept)
            now, turns = kept, joints.to(kept.device)
            for turn in self._turns(joints):
                chosen = turns == turn if self.ordered else turns.bool()
                entries = self._entries(kept, chosen, layer)
                now = torch.where(entries, self._changed(now, noise), now)
            edited[layer] = now
        return edited

    def _turns(self, joints: Tensor) -> Sequence[int]:
        """Return the turns in which joints are edited: all at once where the order is nothing."""
        if not self.ordered:
            return [1]
        if joints.dtype == torch.bool:
            raise ValueError(f"Expected the order of the joints to edit by {self} (got a mask)")
        return range(1, max(int(joints.max()), 1) + 1)

    def _changed(self, kept: Tensor, noise: Callable[[], Tensor]) -> Tensor:
        step = self.amount * (kept.amax((-2, -1), True) - kept.amin((-2, -1), True))
        sign = torch.where(kept < 0, -1.0, 1.0).to(kept)
        if self.op == "away":
            return kept + sign * step
        if self.op == "towards":
            size = kept.abs() - step
            return sign * (size if self.cross else size.clamp_min(0))
        return torch.zeros_like(kept) if self.op == "zero" else kept + step * noise()

    def _entries(self, original: Tensor, joints: Tensor, layer: str) -> Tensor:
        """Return which entries change, broadcastable to (N, K, V, V) bool."""
        hops, n_joints = original.shape[:2]
        axes = [n_joints] * (2 if self.which == "single" else 1)
        if [*joints.shape[1:]] != axes:
            raise ValueError(
                f"Expected {'edge' if self.which == 'single' else 'joint'} sets of shape "
                f"(rows, {', '.join(map(str, axes))}) for layer {layer} (got {tuple(joints.shape)})"
            )
        chosen = self.partitions
        if chosen is None:
            chosen = (0,) if self.which == "self" else tuple(range(hops))
        if max(chosen) >= hops:
            raise ValueError(
                f"Expected partitions below {hops} for layer {layer} (got {self.partitions})"
            )
        partition = torch.zeros(hops, dtype=torch.bool, device=joints.device)
        partition[list(chosen)] = True
        return partition[:, None, None] & self._pairs(joints)[:, None]

    def _pairs(self, joints: Tensor) -> Tensor:
        """Return from where to where edges change, (N, V, V) bool."""
        if self.which == "single":
            return joints
        if self.which == "self":
            return torch.diag_embed(joints)
        if self.which == "incident":
            return joints[:, :, None] | joints[:, None, :]
        size = joints.shape[1]
        return joints.any(1)[:, None, None].expand(-1, size, size)
