"""Work shared by several processes, whose results come in the order of the items."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any, TypeVar

from hargcn.allocator import keep_freed_memory

Item = TypeVar("Item")
Result = TypeVar("Result")

_BATCH = 8  # items that are sent at once
_AHEAD = 3  # batches per process that are sent or wait to be taken: they bound the memory


def cores() -> int:
    """Return how many processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_order(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[Result]:
    """Yield the function of every item, in their order, whoever is done first.

    Parameters
    ----------
    function
        Is sent to every process once, by pickle.
    items
        Are sent a few at a time, not all before the first result is taken.
    workers
        How many processes; with 1 it is this one.

    Raises
    ------
    ValueError
        For a function that cannot be pickled.
    ChildProcessError
        If a process dies, as one that takes more memory than there is.
    """
    if workers == 1:
        yield from map(function, items)
        return
    try:
        pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"Expected work that can be sent to {workers} processes ({error}): a function within a "
            "function cannot; --workers 1 does without them"
        ) from error
    # New processes: a fork would inherit locks that threads of ours hold, as of a progress bar.
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _begin, initargs=(function,)
    )
    waiting: deque[Future[list[Any]]] = deque()
    try:
        for start in range(0, len(items), _BATCH):
            with _interrupts_wait():
                waiting.append(pool.submit(_work, items[start : start + _BATCH]))
            if len(waiting) >= _AHEAD * workers:
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()
    except BrokenProcessPool as error:
        raise ChildProcessError(
            f"One of {workers} processes died that shared the work (killed, or short of memory); "
            "--workers 1 does without them"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Put Ctrl-C off while processes begin: it would end them before they can say otherwise.

    New processes inherit the mask; another thread of ours may be interrupted all the same.
    """
    usual = signal.getsignal(signal.SIGINT)
    main = threading.current_thread() is threading.main_thread()
    if os.name != "posix" or not main or not callable(usual):
        yield
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, usual)
        if came:
            signal.raise_signal(came[0])


_function: Callable[[Any], Any]


def _begin(function: Callable[[Any], Any]) -> None:
    """Set up a process: interrupts are for the one that began it, and it ends with that one."""
    global _function
    _function = function
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    keep_freed_memory()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(batch: Sequence[Any]) -> list[Any]:
    return [_function(item) for item in batch]
