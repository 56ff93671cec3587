"""Files written whole or not at all, by one process at a time; their digests, and progress bars."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock, Timeout

from hargcn import remote
from hargcn.checks import writable

if TYPE_CHECKING:
    from rich.progress import Progress

Item = TypeVar("Item")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a temporary name beside `path` and rename it to `path` once the block has succeeded.

    A killed or failing block leaves an earlier file intact; what a killed process left behind under
    such a name is removed by the next one that writes `path`. The suffix is kept, so that writers
    which choose a format by suffix work. What has a URL is written here and uploaded whole.

    Parameters
    ----------
    path
        The file to write; its folder is created.

    Yields
    ------
    pathlib.Path
        The temporary file to write to.

    Raises
    ------
    ValueError
        For a folder, a device or a pipe: nothing but a file is ever replaced.
    OSError
        If it cannot be written, as on a full disk; names the file.
    """
    path = writable(path)
    here = at_hand(path)
    here.parent.mkdir(parents=True, exist_ok=True)
    sweep(here)
    temporary = temporary_name(here)
    try:
        yield temporary
        if remote.url(path):
            remote.upload(temporary, path)
        else:
            temporary.replace(path)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(out: str | Path, patience: float = 0) -> Iterator[None]:
    """Keep every other process from making the same result; the lock goes when the process does.

    What killed processes left of the result is removed first. What has a URL is kept from processes
    in the same working folder only: there are no locks elsewhere.

    Parameters
    ----------
    out
        The file to make; a lock of its name lies beside it meanwhile.
    patience
        Seconds to wait for somebody else who makes it; below 0 as long as it takes.

    Raises
    ------
    ValueError
        If somebody else makes it; says who.
    """
    out = at_hand(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    path = lock_beside(out)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=patience)
    except Timeout as error:
        holder = path.read_text(encoding="utf-8") if path.is_file() else ""
        raise ValueError(
            f"{out}: expected nobody else to make it ({holder or 'another process does'})"
        ) from error
    try:
        began = time.strftime("%Y-%m-%d %H:%M")
        said = f"process {os.getpid()} on {socket.gethostname()} does, since {began}"
        path.write_text(said, encoding="utf-8")
        sweep(out)
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is held: whoever waits for it takes a new file
        lock.release()


def lock_beside(out: Path) -> Path:
    """Return the lock that lies beside a file as long as somebody makes it."""
    return out.with_name(f".{out.name}.lock")


def at_hand(path: str | Path) -> Path:
    """Return a file itself, or the name in the working folder under which one with a URL is made.

    Results of the same name at different URLs have different ones.
    """
    if not (url := remote.url(path)):
        return Path(path)
    name = Path(path).name
    return Path(f"{hashlib.sha256(url.encode()).hexdigest()[:8]}.{name}")


def temporary_name(path: Path) -> Path:
    """Return the hidden name beside `path` under which this process writes it."""
    return path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")


def sweep(path: Path) -> None:
    """Remove what processes that are gone left under their `temporary_name` of a file or folder."""
    name = re.compile(rf"\.{re.escape(path.stem)}\.(\d+)\.tmp{re.escape(path.suffix)}")
    for each in list(path.parent.glob(".*.tmp*")):
        found = name.fullmatch(each.name)
        if found is None or _alive(int(found[1])):
            continue
        if each.is_dir():
            shutil.rmtree(each, ignore_errors=True)
        else:
            each.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    if os.name != "posix":  # no way to ask
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's, or no number that a process can have
        return True
    return True


def digest(path: str | Path) -> str:
    """Return the first 16 hexadecimal digits of a file's SHA-256."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:16]


def track(
    iterable: Iterable[Item], description: str, total: int | None = None, progress: bool = True
) -> Generator[Item, None, None]:
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
    with _bar() as bar:
        yield from bar.track(iterable, total=total, description=description)


@contextmanager
def filling(
    description: str, total: int, progress: bool = True
) -> Iterator[Callable[[float], None]]:
    """Show a progress bar that is told how much is done, up to a total; yield what tells it.

    Parameters
    ----------
    description, total, progress
        As for `track`.
    """
    if not progress:
        yield lambda _done: None
        return
    with _bar() as bar:
        task = bar.add_task(description, total=total)
        yield lambda done: bar.update(task, completed=done)


def _bar() -> Progress:
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
    return Progress(*columns, console=Console(stderr=True))
