"""Readers: one module per family of formats; each yields `Recording`s.

Every module has `read(path, ...) -> Recording` and `read_folder(folder, ...) -> Recordings`.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

NAMES = ("ntu", "keypoints", "utd-mhad", "mini-rgbd")


def reader(name: str) -> ModuleType:
    """Return the reader of a family of formats; it is imported only now.

    Raises
    ------
    ValueError
        For a name that is not one of `NAMES`.
    """
    if name not in NAMES:
        raise ValueError(f"Expected a reader of {', '.join(NAMES)} (got {name!r})")
    return import_module(f"hargcn.data.readers.{name.replace('-', '_')}")
