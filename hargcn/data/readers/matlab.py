"""Arrays from MATLAB files that nobody vouches for: every size is checked before it is used.

SciPy's reader believes the headers: a damaged byte can end the process, and 3 MB unpack to 3 GiB.
What a data set needs of the format (MathWorks, "MAT-File Format", level 5) is little.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_FILE_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15  # types of elements
_INT32 = 5
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_NUMBERS = range(6, 16)  # classes of arrays: double, single, and whole numbers
_COMPLEX = 0x800
_BEFORE_NUMBERS = 2**10  # bytes of an array's class, shape and name, and to spare
_MOST_BYTES, _MOST_VARIABLES = 2**24, 1000


def read_array(path: Path, name: str) -> np.ndarray:
    """Return a variable of a MATLAB 5 file.

    Parameters
    ----------
    path
        The file, of at most 16 MiB.
    name
        The variable: an array of real numbers, of at most 16 MiB.

    Returns
    -------
    numpy.ndarray
        Of the type that it was stored as.

    Raises
    ------
    ValueError
        For another format or a damaged file, without that variable, or for another kind of it.
    """
    if path.stat().st_size > _MOST_BYTES:
        raise ValueError(f"{path}: expected at most {_MOST_BYTES} bytes (got more)")
    others = []
    try:
        content = path.read_bytes()
        order = _byte_order(content)
        for element in _elements(memoryview(content), order):
            _, _, found, _ = _head(_unpacked(element, _BEFORE_NUMBERS, order), order)
            if found == name:
                return _numbers(_unpacked(element, _MOST_BYTES, order), order)
            others.append(found)
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{path}: expected a whole MATLAB 5 file ({error})") from error
    raise ValueError(f"{path}: expected the variable {name} (got {sorted(others)[:8]})")


def _byte_order(content: bytes) -> str:
    """Return the order of bytes as `struct` writes it."""
    known = {b"\x00\x01IM": "<", b"\x01\x00MI": ">"}
    if content[124:_FILE_HEADER] in (b"\x00\x02IM", b"\x02\x00MI"):
        raise ValueError("it is of version 7.3: in MATLAB, load it and save(FILE, '-v7')")
    if content[124:_FILE_HEADER] not in known:
        raise ValueError("its header is another one")
    return known[content[124:_FILE_HEADER]]


def _elements(content: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """Yield type and content of the variables."""
    at = _FILE_HEADER
    for _ in range(_MOST_VARIABLES):
        if at == len(content):
            return
        kind, size = struct.unpack_from(f"{order}II", content, at)
        data = content[at + 8 : at + 8 + size]
        if len(data) < size or kind not in (_MATRIX, _COMPRESSED):
            raise ValueError(f"element of type {kind} and {size} bytes at byte {at}")
        yield kind, data
        at += 8 + size
    raise ValueError(f"more than {_MOST_VARIABLES} variables")


def _unpacked(element: tuple[int, memoryview], most: int, order: str) -> memoryview:
    """Return the content of an array, at most so many bytes of it."""
    kind, data = element
    if kind == _MATRIX:
        return data[:most]
    stream = zlib.decompressobj()
    whole = stream.decompress(data, 8 + most + 1)
    kind, size = struct.unpack_from(f"{order}II", whole)
    if kind != _MATRIX or size > _MOST_BYTES:
        raise ValueError(f"packed element of type {kind} and {size} bytes")
    if size <= most and not (stream.eof and len(whole) == 8 + size):
        raise ValueError(f"expected {size} packed bytes and their checksum")
    return memoryview(whole)[8 : 8 + most]


def _head(body: memoryview, order: str) -> tuple[tuple[int, ...], int, str, int]:
    """Return an array's shape, its flags with its class, its name, and where its numbers are."""
    _, flags, at = _part(body, 0, order)
    kind, sizes, at = _part(body, at, order)
    _, name, at = _part(body, at, order)
    if len(flags) != 8 or kind != _INT32 or len(sizes) % 4:
        raise ValueError("an array without class or shape")
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    return shape, struct.unpack_from(f"{order}I", flags)[0], str(name, "latin-1"), at


def _numbers(body: memoryview, order: str) -> np.ndarray:
    shape, flags, name, at = _head(body, order)
    if flags & 0xFF not in _NUMBERS or flags & _COMPLEX:
        what = "complex numbers" if flags & _COMPLEX else f"MATLAB's class {flags & 0xFF}"
        raise ValueError(f"{name} of real numbers expected, got {what}")
    kind, data, _ = _part(body, at, order)
    stored = np.dtype(order + _STORED.get(kind, "V1"))
    if stored.kind == "V" or min(shape) < 0 or math.prod(shape) * stored.itemsize != len(data):
        raise ValueError(f"{name} of shape {shape} in {len(data)} bytes of type {kind}")
    return np.frombuffer(data, stored).reshape(shape, order="F")


def _part(body: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """Return a part's type and bytes, and where the next one begins."""
    (kind,) = struct.unpack_from(f"{order}I", body, at)
    if kind >> 16:  # up to four bytes lie in the tag itself
        size, start, end = kind >> 16, at + 4, at + 8
    else:
        (size,) = struct.unpack_from(f"{order}I", body, at + 4)
        start, end = at + 8, at + 8 + size + -size % 8
    if size > end - start or start + size > len(body):
        raise ValueError(f"part of {size} bytes at byte {at}")
    return kind & 0xFFFF, body[start : start + size], end
