"""JSON as trackers write it: whole or refused, and lists of numbers as joints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hargcn.checks import shortened
from hargcn.data.readers.base import existing

LARGEST = 2**29
"""Bytes of a file that is read: half an hour of video with a few people is a tenth of it."""

_START = 2**16


def start_of(file: Path) -> str:
    """Return the first part of a file, without the space between its words."""
    with file.open("rb") as stream:
        return "".join(stream.read(_START).decode("utf-8", "replace").split())


def read_json(file: Path) -> Any:
    """Read a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no JSON, cut off, or larger than `LARGEST`.
    """
    size = existing(file).stat().st_size
    if size > LARGEST:
        raise ValueError(f"{file}: expected at most {LARGEST} bytes (got {size})")
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        said = shortened(str(error)) or type(error).__name__
        raise ValueError(f"{file}: expected whole JSON ({said})") from error


def joints(file: Path, where: str, values: Any) -> np.ndarray:
    """Return a flat list x, y, c, x, y, c, ... as (joint, 3).

    Raises
    ------
    ValueError
        For anything but numbers, or too many or few; names the file and the place.
    """
    found = array(file, where, values)
    if found.ndim != 1 or not found.size or found.size % 3:
        raise ValueError(f"{file}: {where}: expected 3 numbers for each joint (got {found.size})")
    return found.reshape(-1, 3)


def array(file: Path, where: str, values: Any) -> np.ndarray:
    """Return nested lists of numbers as an array; null is NaN.

    Raises
    ------
    ValueError
        For anything else; names the file and the place.
    """
    try:
        found = np.array(values if isinstance(values, Sequence) else None, dtype=float)
    except (TypeError, ValueError, OverflowError) as error:
        said = shortened(str(error))
        raise ValueError(f"{file}: {where}: expected lists of numbers ({said})") from error
    if isinstance(values, str) or found.ndim == 0:
        raise ValueError(f"{file}: {where}: expected lists of numbers (got {str(values)[:40]!r})")
    return found
