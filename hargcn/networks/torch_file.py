"""Checkpoints that torch wrote, read without running code and without believing their sizes.

`torch.load(weights_only=True)` runs no foreign code, but unpacks whatever is packed, makes arrays
as large as a file says, and takes as many numbers from a piece of memory as a file says. Here all
of that is looked at first.
"""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

_MOST_PICKLE = 2**20  # bytes: a network of 5,000 tensors takes half of it
_MOST_TUPLES = 50  # how often a pickle may use a tuple again: tuples of tuples grow like 2^n
_GETS, _PUTS = ("GET", "BINGET", "LONG_BINGET"), ("PUT", "BINPUT", "LONG_BINPUT")
_KINDS = "Double Float Half BFloat16 Long Int Short Char Byte Bool"
_NAMES = {
    "numpy dtype",
    "numpy.core.multiarray scalar",
    "numpy._core.multiarray scalar",
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    "_codecs encode",
    *(f"torch {kind}Storage" for kind in _KINDS.split()),
}
_NUMBERS = ("f8", "f4", "i8", "i4", "b1")


class _NumberType:
    """Stands for numpy.dtype, which could describe numbers of any size."""

    def __init__(self, code: str, *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        pass


def _number(kind: _NumberType, data: bytes) -> Any:
    """Stand for numpy's constructor of numbers."""
    if kind.code not in _NUMBERS:
        raise ValueError(f"a number of type {kind.code}")
    return np.frombuffer(data, kind.code, 1)[0].item()


_STAND_INS: list[Any] = [
    (_number, "numpy.core.multiarray.scalar"),
    (_number, "numpy._core.multiarray.scalar"),
    (_NumberType, "numpy.dtype"),
]


def read_torch(path: Path) -> Any:
    """Return what a checkpoint holds: plain containers, numbers, text and tensors on the CPU.

    Parameters
    ----------
    path
        Written by torch 1.6 or later: a zip archive. Tensors are read when they are looked at.

    Raises
    ------
    ValueError
        For anything else, a damaged file, or one that says it holds more than its bytes can.
    """
    try:
        _look_at(path)
        with torch.serialization.safe_globals(_STAND_INS), warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns of pickles that it only half knows
            # Mapped, so that no tensor can reach beyond the end of the file.
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # zipfile and torch raise a dozen kinds for a damaged file
        said = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
        raise ValueError(
            f"{path}: expected a torch checkpoint of plain tensors and containers ({said})"
        ) from error


def is_stored(value: object, path: Path) -> bool:
    """Whether a value of a checkpoint is a tensor whose numbers the file can hold, each once.

    One number of a file can stand for a tensor of any shape.
    """
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and value.numel() * value.element_size() <= path.stat().st_size
    )


def _look_at(path: Path) -> None:
    """Refuse an archive that unpacks to more than it is, or whose pickle is no checkpoint's."""
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "no zip archive, as torch writes since 1.6; load an older file that you trust with "
            "torch.load(FILE, weights_only=False) and torch.save it again"
        )
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        packed = [each.filename for each in members if each.compress_type != zipfile.ZIP_STORED]
        total = sum(each.file_size for each in members)
        if packed or total > path.stat().st_size:
            found = f"{total} bytes, {len(packed)} members packed"
            raise ValueError(f"an archive of {found}; torch packs none")
        pickles = [each for each in members if each.filename.endswith(".pkl")]
        if sum(each.file_size for each in pickles) > _MOST_PICKLE:
            raise ValueError(f"more than {_MOST_PICKLE} bytes besides tensors")
        for each in pickles:
            _look_at_pickle(archive.read(each))


def _look_at_pickle(pickle: bytes) -> None:
    """Refuse names of other code than torch's for tensors, and tuples of tuples without end."""
    on_top, tuples, again = "", set(), 0
    for opcode, argument, _ in pickletools.genops(pickle):
        if "GLOBAL" in opcode.name and argument not in _NAMES:
            raise ValueError(f"the name {argument}")
        if opcode.name in _PUTS:
            tuples |= {argument} if on_top == "TUPLE" else set()
            continue
        if opcode.name in _GETS and argument in tuples:
            on_top, again = "TUPLE", again + 1
        else:
            on_top = opcode.name.rstrip("123")
    if again > _MOST_TUPLES:
        raise ValueError(f"tuples that are used again {again} times")
