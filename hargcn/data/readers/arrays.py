"""NumPy's `.npy` and `.npz` files: arrays stay in their file, and no size in it is believed."""

from __future__ import annotations

import io
import math
import mmap
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from hargcn.checks import one_of, shortened
from hargcn.data.readers.base import existing

MOST_UNPACKED = 2**31
"""Bytes of a packed array that are unpacked into memory; one that is not packed has no limit."""

_LONGEST_HEADER = 2**14
_RATIO = 1100  # deflate packs at most 1032 to 1
_LOCAL = struct.Struct("<4s22xHH")  # a member's own header in a zip file


@dataclass(frozen=True, eq=False)
class Stored:
    """An array as it lies in a file.

    Parameters
    ----------
    dtype, shape, fortran
        As its header says; Fortran's order or C's.
    data
        The bytes behind the header: its numbers, or for objects a pickle of them.
    """

    dtype: np.dtype
    shape: tuple[int, ...]
    fortran: bool
    data: memoryview

    def array(self) -> np.ndarray:
        """Return the numbers, still in the file, and not to be changed.

        Raises
        ------
        ValueError
            For objects, and where the file holds more or fewer bytes than it says.
        """
        size = math.prod(self.shape) * self.dtype.itemsize
        if self.dtype.kind not in "biufcSU" or not self.dtype.itemsize:
            raise ValueError(
                f"expected a NumPy array of numbers or text (got the type {self.dtype.str})"
            )
        if min(self.shape, default=0) < 0 or len(self.data) != size:
            raise ValueError(f"expected {size} bytes of numbers (got {len(self.data)})")
        flat = np.frombuffer(self.data, self.dtype)
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def mapped(path: Path, member: str | None = None) -> np.ndarray:
    """Return an array of numbers or text that stays in its file until somebody looks at it.

    Parameters
    ----------
    path
        A `.npy` file, or a `.npz`.
    member
        The array's name in a `.npz`. One that was packed is unpacked into memory.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another or a damaged file, objects, or a size that its bytes do not have.
    """
    found = stored(path, member)
    try:
        return found.array()
    except ValueError as error:
        raise ValueError(f"{_place(path, member)}: {error}") from error


def stored(path: Path, member: str | None = None) -> Stored:
    """Return an array as it lies in a file, whatever its type; parameters as for `mapped`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For another file or a damaged one.
    """
    try:
        content = view(path)
        if member is not None:
            content = _member(path, content, member)
        head = io.BytesIO(content[:_LONGEST_HEADER])
        read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
        version = npy.read_magic(head)
        shape, fortran, dtype = read[version](head, _LONGEST_HEADER)
    except FileNotFoundError:
        raise
    except Exception as error:  # NumPy reads the header as Python and raises what that does
        said = shortened(str(error).splitlines()[0]) if str(error) else type(error).__name__
        raise ValueError(f"{_place(path, member)}: expected a NumPy array ({said})") from error
    return Stored(dtype, shape, fortran, content[head.tell() :])


def members(path: Path) -> tuple[str, ...]:
    """Return the names of the arrays in a `.npz`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is none, or cut off.
    """
    file = existing(path)
    try:
        with zipfile.ZipFile(file) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())
    # zipfile's own word for most damage; a name that is no text; a version that it does not know.
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        said = shortened(str(error))
        raise ValueError(f"{path}: expected a whole .npz of NumPy ({said})") from error


def view(path: Path) -> memoryview:
    """Return the bytes of a file, read when somebody looks at them.

    Raises
    ------
    FileNotFoundError, ValueError
        Without the file, or for an empty one.
    """
    with existing(path).open("rb") as stream:
        return memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ))


def _member(path: Path, content: memoryview, member: str) -> memoryview:
    """Return the bytes of an array in a `.npz`: in place where they are not packed."""
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy"): name for name in archive.namelist()}
        info = archive.getinfo(names[one_of("an array", member, names)])
        if info.compress_type != zipfile.ZIP_STORED:
            size, packed = info.file_size, info.compress_size
            if info.compress_type != zipfile.ZIP_DEFLATED or packed > len(content):
                raise ValueError("packed as NumPy does not pack")
            if size > min(MOST_UNPACKED, _RATIO * packed):
                raise ValueError(
                    f"{packed} packed bytes of {size}; save it again with numpy.savez, which does "
                    "not pack"
                )
            return memoryview(archive.read(info))
    mark, *lengths = _LOCAL.unpack_from(content, info.header_offset)
    start = info.header_offset + _LOCAL.size + sum(lengths)
    data = content[start : start + info.file_size]
    if mark != b"PK\x03\x04" or len(data) != info.file_size or info.flag_bits & 1:
        raise ValueError("a damaged zip file")
    return data


def _place(path: Path, member: str | None) -> str:
    return str(path) if member is None else f"{path}: {member}"
