"""The shards of a job, done here one after the other, or in any order on the nodes of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from torch import nn

from hargcn.files import filling
from hargcn.pipeline.shards import Shards

Telling = Callable[[Callable[[float], None]], AbstractContextManager[None]]
"""While its block makes a shard, tells how many windows of it are done."""


class ShardWork(Protocol):
    """What it takes to make any shard of a job, here or in another process.

    Nodes of a cluster work in folders of their own: it names files wholly.
    """

    @property
    def shards(self) -> Shards:
        """Where they lie."""

    @property
    def network(self) -> nn.Module:
        """Whom they ask."""

    def size(self, number: int) -> int:
        """Return how many windows a shard has."""

    def __call__(self, number: int) -> Any:
        """Make a shard and write it; it may be returned, too."""


def do_shards(
    work: ShardWork,
    numbers: Sequence[int],
    label: str,
    *,
    engine: str = "local",
    address: str | None = None,
    progress: bool = True,
    telling: Telling | None = None,
    meet: Callable[[int, Any], None] | None = None,
) -> None:
    """Do those of some shards that are not done yet, under a bar of windows.

    Parameters
    ----------
    work
        What makes one.
    numbers
        Which.
    label
        The bar's.
    engine, address
        As for `explain`.
    progress
        Whether to show the bar.
    telling
        Moves it within a shard that is made here, where that is known.
    meet
        Gets what was made here, and its number.
    """
    left = [number for number in numbers if not work.shards.done(number)]
    whole = sum(map(work.size, numbers))
    with filling(label, whole, progress) as told:
        told(before := whole - sum(map(work.size, left)))
        if not left:
            return
        if engine == "ray":
            _on_cluster(work, left, before, told, address)
        else:
            _in_turn(work, left, before, told, telling if progress else None, meet)


def _in_turn(
    work: ShardWork,
    left: Sequence[int],
    before: int,
    told: Callable[[float], None],
    telling: Telling | None,
    meet: Callable[[int, Any], None] | None,
) -> None:
    """Do shards one after the other."""
    for number in left:
        size = work.size(number)

        def so_far(done: float, before: int = before, most: int = size) -> None:
            told(before + min(done, most))

        with nullcontext() if telling is None else telling(so_far):
            made = work(number)
        if meet is not None:
            meet(number, made)
        before += size
        told(before)


def _on_cluster(
    work: ShardWork,
    left: Sequence[int],
    before: int,
    told: Callable[[float], None],
    address: str | None,
) -> None:
    """Do shards on the nodes of a cluster, in any order."""
    from hargcn.pipeline.cluster import on_cluster

    work.shards.begin()
    work.shards.folder = work.shards.folder.absolute()
    ended = [before]

    def one_more(number: int) -> None:
        ended.append(work.size(number))
        told(sum(ended))

    gpu = any(each.is_cuda for each in work.network.parameters())
    on_cluster(work, left, one_more, address=address, gpu=gpu)
