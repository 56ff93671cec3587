"""Files elsewhere, named by a URL: read by ranges, and written by uploading them whole.

fsspec opens them: `http://` and `https://` with what comes with hargcn, `s3://`, `gs://` and others
with packages of their own, which a message names where they are missing.
"""

from __future__ import annotations

import gc
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

# pathlib makes one slash of the two: either is a URL. One letter is a drive of Windows.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/{1,2}([^/].*)")

BLOCK = 2**18
"""Bytes of a range: what a chunk and its neighbours in the index take, and no more."""

_KEPT = 32  # blocks of a file that is open


def url(path: str | Path) -> str:
    """Return the URL that a name is; nothing for a file of this machine."""
    found = _URL.fullmatch(str(path))
    return f"{found[1]}://{found[2]}" if found else ""


def is_file(path: str | Path) -> bool:
    """Whether there is a file, here or elsewhere.

    Raises
    ------
    OSError, ValueError
        As `stream`.
    """
    if not url(path):
        return Path(path).is_file()
    try:
        with _explained(path):
            files, name = _opened(path)
            return bool(files.info(name)["type"] == "file")
    except FileNotFoundError:
        return False


def size(path: str | Path) -> int:
    """Return the bytes of a file, here or elsewhere."""
    with stream(path) as opened:
        return opened.seek(0, 2)


@contextmanager
def stream(path: str | Path) -> Iterator[BinaryIO]:
    """Open a file for reading; elsewhere only the ranges that are read are fetched.

    Parameters
    ----------
    path
        A file, or its URL.

    Raises
    ------
    OSError
        If it is not there or cannot be read, or its server sends whole files only.
    ValueError
        Where no package is there that opens such URLs; names it.
    """
    if not url(path):
        with Path(path).open("rb") as opened:
            yield opened
        return
    with _explained(path):
        files, name = _opened(path)
        ranges = {"cache_type": "blockcache", "cache_options": {"maxblocks": _KEPT}}
        found = files.open(name, "rb", block_size=BLOCK, **ranges)
    if getattr(found, "size", 0) is None:
        raise OSError(f"{url(path)}: expected ranges of it (its server sends whole files only)")
    with found:
        yield cast("BinaryIO", _Ranges(path, found))


class _Ranges(io.RawIOBase):
    """A file elsewhere whose errors are those of files."""

    def __init__(self, path: str | Path, file: Any) -> None:
        self.path, self.file = path, file

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self.file.seek(offset, whence))

    def tell(self) -> int:
        return int(self.file.tell())

    def readinto(self, into: Any) -> int:
        # fsspec reads in a thread of its own. Were objects of HDF5 collected there, it would wait
        # for HDF5's lock, which this thread holds while it waits for fsspec.
        collects = gc.isenabled()
        gc.disable()
        try:
            with _explained(self.path):
                return int(self.file.readinto(into))
        finally:
            if collects:
                gc.enable()


@contextmanager
def source(path: str | Path) -> Iterator[Any]:
    """Give what h5py and xarray open: a file's name, or a `stream` of one elsewhere."""
    if not url(path):
        yield path
        return
    with stream(path) as opened:
        yield opened


def upload(file: Path, to: str | Path) -> None:
    """Copy a file to a URL; whoever looks there finds the whole of it or what was there before.

    Raises
    ------
    OSError
        If it cannot be written; names the URL.
    ValueError
        As `stream`.
    """
    with _explained(to):
        files, name = _opened(to)
        how = {"method": "put"} if url(to).startswith("http") else {}
        files.put_file(str(file), name, **how)


def _opened(path: str | Path) -> tuple[Any, str]:
    """Return the file system of a URL, and what it calls the file."""
    import fsspec

    return fsspec.url_to_fs(url(path))


@contextmanager
def _explained(path: str | Path) -> Iterator[None]:
    """Say in a line what fsspec and its file systems raise of many kinds."""
    try:
        yield
    except (ImportError, ValueError) as error:
        raise ValueError(f"{url(path)}: expected a URL that can be opened ({error})") from error
    except Exception as error:
        # fsspec's http says of every failure that there is no file, and keeps what it was.
        cause = error.__cause__ or error
        failed = isinstance(cause, OSError) or getattr(cause, "status", 404) != 404
        if isinstance(error, FileNotFoundError) and (cause is error or not failed):
            raise FileNotFoundError(f"{url(path)}: no such file") from error
        said = str(cause) or type(cause).__name__
        raise OSError(f"{url(path)}: expected to be let at it ({said})") from error
