"""Tables that pandas wrote into HDF5 (`DataFrame.to_hdf`), read without pandas and PyTables.

Both of its layouts: "fixed", an array a block of columns, and "table", a row a record. What pandas
pickles, the names of columns, goes through `hargcn.data.readers.pickles`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hargcn import hdf5
from hargcn.data.readers.pickles import unpickled

_WHAT = "table of pandas"


@dataclass(frozen=True, eq=False)
class Table:
    """A table of numbers.

    Parameters
    ----------
    columns
        The names of each column, level by level.
    rows
        (row,) the numbers of its rows; None where they are text or have several levels.
    values
        (row, column).
    """

    columns: list[tuple[str, ...]]
    rows: np.ndarray | None
    values: np.ndarray


def is_table(path: Path) -> bool:
    """Say whether a file holds one table that pandas wrote."""
    try:
        with hdf5.opened(path, _WHAT) as file:
            return len(_keys(file)) == 1
    except ValueError:
        return False


def read_hdf_table(path: Path) -> Table:
    """Read the table of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it holds none or several, for a damaged file, or for columns of other than numbers.
    """
    with hdf5.opened(path, _WHAT) as file:
        keys = _keys(file)
        if len(keys) != 1:
            held = ", ".join(keys) or "none"
            raise ValueError(f"{path}: expected one table that pandas wrote (got {held[:80]})")
        kind = _text(file[keys[0]].attrs["pandas_type"])
        read = _fixed if kind == "frame" else _records
        blocks, rows = read(path, file, keys[0])
    columns = [name for names, _ in blocks for name in names]
    for names, values in blocks:
        if values.ndim != 2 or values.shape[1] != len(names) or values.dtype.kind not in "fiu":
            raise ValueError(
                f"{path}: expected {len(names)} columns of numbers (got {values.dtype} of shape "
                f"{values.shape})"
            )
    levels = sorted({len(name) for name in columns})
    if len(levels) != 1 or not all(isinstance(part, str) for name in columns for part in name):
        raise ValueError(f"{path}: expected names of text for every column, of as many levels")
    values = np.concatenate([np.asarray(values, dtype=float) for _, values in blocks], axis=1)
    if rows is not None and rows.shape != (len(values),):
        raise ValueError(f"{path}: expected a number for each of {len(values)} rows")
    return Table(columns, rows, values)


_Blocks = list[tuple[list[tuple[str, ...]], np.ndarray]]


def _keys(file: h5py.File) -> list[str]:
    """Return the groups in which pandas says to have stored a table."""
    links = {name: file.get(name, getlink=True) for name in file}
    own = [name for name, link in links.items() if isinstance(link, h5py.HardLink)]
    kinds = {name: file[name].attrs.get("pandas_type") for name in own}
    return [name for name, kind in kinds.items() if _text(kind) in ("frame", "frame_table")]


def _fixed(path: Path, file: h5py.File, key: str) -> tuple[_Blocks, np.ndarray | None]:
    count = int(file[key].attrs["nblocks"])
    if not 1 <= count <= len(file[key]):
        raise ValueError(f"expected blocks of columns (got {count})")
    blocks = []
    for block in range(count):
        names = _levels(path, file, f"{key}/block{block}_items")
        values = hdf5.own(path, file, f"{key}/block{block}_values")
        found = values[()]
        blocks.append((names, found if values.attrs.get("transposed", 1) else found.T))
    if "axis1" not in file[key]:
        return blocks, None  # rows of several levels
    rows = hdf5.own(path, file, f"{key}/axis1")
    return blocks, rows[()] if _text(rows.attrs["kind"]) == "integer" else None


def _levels(path: Path, file: h5py.File, name: str) -> list[tuple[str, ...]]:
    """Return the names of a block's columns: per level what occurs, and per column its place."""
    levels = int(file[name.partition("/")[0]].attrs[f"{name.rpartition('/')[2]}_nlevels"])
    parts = []
    for level in range(min(levels, len(file[name.partition("/")[0]]))):
        known = [_text(each) for each in hdf5.own(path, file, f"{name}_level{level}")[()]]
        places = hdf5.own(path, file, f"{name}_label{level}")[()]
        if places.dtype.kind not in "iu" or places.ndim != 1 or (places >= len(known)).any():
            raise ValueError("expected the places of names as whole numbers")
        # pandas writes -1 for a name that is not there, as DeepLabCut's scorer may be.
        parts.append([known[place] if place >= 0 else "" for place in places])
    return list(zip(*parts, strict=True))


def _records(path: Path, file: h5py.File, key: str) -> tuple[_Blocks, np.ndarray | None]:
    table = hdf5.own(path, file, f"{key}/table")
    content = table[()]
    blocks = []
    for field in content.dtype.names or ():
        if re.fullmatch(r"values_block_\d+", field):
            names = unpickled(_bytes(table.attrs[f"{field}_kind"]), f"{path}: names of columns")
            if not isinstance(names, list) or not all(isinstance(name, tuple) for name in names):
                raise ValueError("expected names of columns with several levels")
            blocks.append((names, content[field]))
    if not blocks:
        raise ValueError("expected blocks of columns (got none)")
    rows = "index" in (content.dtype.names or ()) and _text(table.attrs["index_kind"]) == "integer"
    return blocks, content["index"] if rows else None


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("expected pickled names of columns")
    return bytes(value)


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
