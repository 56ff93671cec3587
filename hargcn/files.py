"""Files written whole or not at all, their digests, and progress bars."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

Item = TypeVar("Item")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` and rename it to `path` once the block has succeeded.

    A killed or failing block leaves an earlier file intact. The suffix is kept, so that writers
    which choose a format by suffix work.

    Parameters
    ----------
    path
        The file to write; its folder is created.

    Yields
    ------
    pathlib.Path
        The temporary file to write to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def digest(path: str | Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def track(
    iterable: Iterable[Item], description: str, total: int | None = None, progress: bool = True
) -> Iterator[Item]:
    """Yield the items of `iterable` under a progress bar with the remaining time.

    Parameters
    ----------
    iterable
        What to go through.
    description
        The bar's label.
    total
        The number of items, where `iterable` has no length.
    progress
        Whether to show the bar at all; bars go to standard error.
    """
    if not progress:
        yield from iterable
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield from bar.track(iterable, total=total, description=description)
