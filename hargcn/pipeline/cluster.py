"""Work in numbered pieces on a Ray cluster (`pip install 'hargcn[ray]'`), which Ray schedules.

Every piece is a task that writes its own result to storage which all nodes share. Ray does it again
where a worker or a node dies; the program that asks keeps few of them waiting at a time.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from hargcn.allocator import keep_freed_memory
from hargcn.checks import one_of
from hargcn.pipeline.job import package

ENGINES = ("local", "ray")
"""Where shards are worked on: in this process, or on the nodes of a Ray cluster."""

RETRIES = 5
"""How often a piece is done again whose worker or node died."""

_AHEAD = 2  # tasks for each that can run at once: no worker waits for the next one

Work = Callable[[int], object]


def check_engine(engine: str, address: str | None) -> None:
    """Refuse an unknown engine, and an address of a cluster without one.

    Raises
    ------
    ValueError
        Says what was expected.
    """
    one_of("--engine", engine, ENGINES)
    if address is not None and engine != "ray":
        raise ValueError(f"--address: expected --engine ray (got {engine})")


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Give Ray, connected as long as the block lasts, or as somebody connected it before.

    Parameters
    ----------
    address
        As for `on_cluster`.

    Raises
    ------
    ValueError
        Without Ray or the cluster.
    """
    try:
        import ray
    except ImportError as error:
        raise ValueError(
            "--engine ray: expected the package ray (not installed): pip install 'hargcn[ray]'"
        ) from error
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    own: Any = {"num_cpus": os.cpu_count(), "include_dashboard": False} if address is None else {}
    try:
        ray.init(
            address=address or "local", log_to_driver=False, logging_level=logging.ERROR, **own
        )
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        where = f"--address {address}" if address else "--engine ray"
        raise ValueError(f"{where}: expected a Ray cluster that answers ({said})") from error
    try:
        yield ray
    finally:
        ray.shutdown()


def on_cluster(
    work: Work,
    numbers: Sequence[int],
    told: Callable[[int], None],
    *,
    address: str | None = None,
    gpu: bool = False,
) -> None:
    """Do pieces of work on a cluster, each with as many threads as torch has here.

    Parameters
    ----------
    work
        Called with a number where that is done. It travels to the nodes once; names of files must
        lead to the same ones there.
    numbers
        The pieces.
    told
        Gets each number that is done.
    address
        Of a cluster: "auto" for the one of this machine, HOST:PORT. None starts one of the cores of
        this machine for as long as it takes.
    gpu
        Whether a piece needs a GPU.

    Raises
    ------
    ValueError
        Without Ray or the cluster, for another hargcn on a node, and what the work itself raises.
    OSError
        For a piece whose workers died again and again.
    """
    threads = torch.get_num_threads()
    with connected(address) as ray:
        needs = {"num_cpus": threads, "num_gpus": int(gpu)}
        task = ray.remote(_done).options(
            **needs, max_retries=RETRIES, scheduling_strategy="SPREAD", name="hargcn"
        )
        shared, to_do = ray.put(work), iter(numbers)
        flying: dict[Any, int] = {}
        while True:
            for number in _some(to_do, _room(ray, needs) - len(flying)):
                flying[task.remote(shared, number, threads, package())] = number
            if not flying:
                return
            for each in ray.wait([*flying])[0]:
                number = flying.pop(each)
                with _plainly(ray, number):
                    ray.get(each)
                told(number)


def _done(work: Work, number: int, threads: int, code: str) -> None:
    """Do a piece; runs on a node."""
    if package() != code:
        raise ValueError(f"{os.uname().nodename}: expected the hargcn of the other nodes there")
    keep_freed_memory()
    torch.set_num_threads(threads)
    work(number)


def _some(numbers: Iterator[int], count: int) -> Iterator[int]:
    return (number for _, number in zip(range(count), numbers, strict=False))


def _room(ray: Any, needs: dict[str, int]) -> int:
    """Return how many tasks may wait or run: nodes come and go."""
    there = ray.cluster_resources()
    names = {"num_cpus": "CPU", "num_gpus": "GPU"}
    at_once = min(there.get(names[key], 0) // least for key, least in needs.items() if least)
    return max(1, int(at_once)) * _AHEAD


@contextmanager
def _plainly(ray: Any, number: int) -> Iterator[None]:
    """Raise what a task raised as if it had been raised here."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        raise error.cause from error
    except ray.exceptions.RayError as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise OSError(
            f"piece {number}: expected a worker that ends it (tried {RETRIES + 1} times: {said})"
        ) from error
