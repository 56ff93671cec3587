"""Several processes that train one network, each on its share of every batch (`torchrun`).

Each has the whole network. All of them read and change a batch alike, compute with their own rows
of it, and add their gradients up before the weights move.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """Which of how many processes this one is; the first one validates, writes and speaks.

    Parameters
    ----------
    rank
        Its number, from 0.
    count
        How many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the one that validates, writes and speaks."""
        return self.rank == 0

    def share(self, rows: Tensor) -> Tensor:
        """Return this process' rows of a batch."""
        return rows[self.rank :: self.count]

    def wrapped(self, network: nn.Module) -> nn.Module:
        """Return a network whose gradients are the mean over all processes."""
        return network if self.count == 1 else DistributedDataParallel(network)

    def summed(self, sums: Mapping[str, Any]) -> dict[str, Any]:
        """Return sums over the rows of all processes."""
        if self.count == 1:
            return dict(sums)
        together = torch.stack([each.double() for each in sums.values()])
        distributed.all_reduce(together)
        return dict(zip(sums, together.unbind(), strict=True))

    def agreed(self, value: Value) -> Value:
        """Return what the first process has; of the others it does not count."""
        if self.count == 1:
            return value
        told: list[Any] = [value]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def agree(self, network: nn.Module) -> None:
        """Give a network the weights and batch statistics that it has in the first process."""
        if self.count > 1:
            for each in network.state_dict().values():
                distributed.broadcast(each, src=0)


def launched() -> bool:
    """Whether torchrun started this process as one of several."""
    return distributed.is_torchelastic_launched() and int(os.environ["WORLD_SIZE"]) > 1


def is_first() -> bool:
    """Whether this process is the only one, or the first of those that torchrun started."""
    return not launched() or os.environ["RANK"] == "0"


@contextmanager
def together(device: torch.device) -> Iterator[Processes]:
    """Join the processes that torchrun started, as long as the block lasts; alone without it."""
    if distributed.is_initialized() or not launched():
        yield _joined()
        return
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield _joined()
    finally:
        # What still holds the group (a wrapped network) would end it with the interpreter's lock
        # held, for which the group's own threads may wait.
        gc.collect()
        distributed.destroy_process_group()


def _joined() -> Processes:
    if not distributed.is_initialized():
        return Processes()
    return Processes(distributed.get_rank(), distributed.get_world_size())
