"""Batches: windows checked against a network, and read in batches, from memory where they fit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from hargcn.data.windows import Windows
from hargcn.networks.network import SkeletonNetwork

IN_MEMORY = 2 * 1024**3
"""Windows of fewer bytes than this are kept in memory; others are read batch by batch."""

Tensors = tuple[Tensor, Tensor, Tensor]


class Batches(Dataset[Tensors]):
    """Windows as tensors (positions (n, C, T, V, M), valid (n, T, M), label (n,)).

    Instead of a label a regression, and several labels, have outcomes (n, output).

    Parameters
    ----------
    windows
        What to read.
    workers
        Processes that read ahead, where the windows are not kept in memory.
    """

    def __init__(self, windows: Windows, workers: int = 0) -> None:
        self.windows = windows
        self.kept: Tensors | None = None
        if 4 * len(windows) * math.prod(windows.shape) < IN_MEMORY:
            self.kept = self._read(np.arange(len(windows)))
        self.workers = 0 if self.kept else workers

    def __len__(self) -> int:
        return len(self.windows)

    def draw(self, generator: torch.Generator) -> None:
        """Choose what an epoch sees: all windows as they are."""

    def __getitems__(self, index: Sequence[int]) -> Tensors:
        """Return the windows of these numbers."""
        if self.kept is None:
            return self._read(np.asarray(index))
        positions, valid, label = self.kept
        return positions[index], valid[index], label[index]

    def _read(self, index: np.ndarray) -> Tensors:
        return (
            torch.from_numpy(self.windows.positions(index)),
            torch.from_numpy(self.windows.valid(index)),
            _tensor(self.windows.wanted[index]),
        )

    def in_order(self, order: Sequence[int] | np.ndarray, batch_size: int) -> Iterator[Tensors]:
        """Yield batches in the order given, as equal in size as can be.

        Equal, because a last batch of one window has no batch statistics.

        Parameters
        ----------
        order
            Numbers of windows.
        batch_size
            The largest size of a batch.
        """
        yield from DataLoader(
            self,
            batch_sampler=[part.tolist() for part in parts(order, batch_size)],
            collate_fn=_as_read,
            num_workers=self.workers,
            generator=torch.Generator(),  # else the loader draws from the global one
        )


def steps(n: int, batch_size: int) -> int:
    """Return how many batches `n` windows make."""
    return math.ceil(n / batch_size)


def parts(order: Sequence[int] | np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Return the numbers of the windows of each batch, as `Batches.in_order` yields them."""
    return np.array_split(np.asarray(order), steps(len(order), batch_size))


def check(model: SkeletonNetwork, windows: Windows) -> None:
    """Refuse windows that a network cannot take, or whose labels it cannot be taught or judged by.

    Raises
    ------
    ValueError
        No windows, another skeleton, other classes or outcomes than the network's, missing labels.
    """
    if not len(windows):
        raise ValueError(f"{windows.path}: expected at least one window (got none)")
    if windows.skeleton != model.skeleton:
        raise ValueError(
            f"{windows.path}: expected windows of the model's skeleton {_named(model)} "
            f"(got {_named(windows)})"
        )
    expect_outputs(model, windows)
    if windows.outcome is not None:
        return
    wrong = np.flatnonzero((windows.label < 0) | (windows.label >= len(windows.classes)))
    if len(wrong):
        raise ValueError(
            f"{windows.path}: expected a label 0..{len(windows.classes) - 1} for every window "
            f"(got {len(wrong)} without, first {windows.names[wrong[0]]} "
            f"with {windows.label[wrong[0]]})"
        )


def _named(owner: SkeletonNetwork | Windows) -> str:
    return f"{owner.skeleton.name} with {owner.skeleton.n_joints} joints"


def expect_outputs(model: SkeletonNetwork, windows: Windows) -> None:
    """Refuse windows of other classes or outcomes than those a network knows.

    Raises
    ------
    ValueError
        Names both.
    """
    mine, theirs = model.outputs, windows.outputs
    if mine != theirs:
        found = ", ".join(theirs.names)
        found = found if mine.kind == theirs.kind else f"{theirs.kind} {found}"
        raise ValueError(
            f"{windows.path}: expected the model's {mine.kind} {', '.join(mine.names)} "
            f"(got {found})"
        )


def _tensor(wanted: np.ndarray) -> Tensor:
    found = torch.from_numpy(wanted)
    return found if found.is_floating_point() else found.long()


def _as_read(batch: Any) -> Any:
    return batch
