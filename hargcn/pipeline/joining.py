"""Joining HDF5 files along an axis, part by part: together they may be larger than memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hargcn import hdf5

_SCALES = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST")  # HDF5's own, of named axes


def join(
    files: Sequence[str | Path],
    out: str | Path,
    along: str,
    *,
    at: Sequence[np.ndarray] | None = None,
    without: Sequence[str] = (),
    columns: Mapping[str, np.ndarray] | None = None,
    attrs: Mapping[str, Any] | None = None,
) -> None:
    """Join flat files along a named axis; no more than one data set of one file in memory.

    Parameters
    ----------
    files
        Alike in everything but the length of that axis.
    out
        The file to write and to seal.
    along
        The axis' name. Data sets without it, and attributes, are those of the first file.
    at
        Where the rows of each file go, ascending; by default one file after the other.
    without
        Axes whose data sets are left out.
    columns
        More data sets (rows,).
    attrs
        Attributes instead of the first file's, or besides them.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        For a file unlike the first; names it.
    """
    columns = dict(columns or {})
    lengths = _lengths(files, along, without)
    parts = np.split(np.arange(sum(lengths)), np.cumsum(lengths)[:-1])
    with hdf5.writing(out) as sink, h5py.File(sink, "w", libver=hdf5.LIBVER) as made:
        with h5py.File(files[0], "r") as first:
            axes = {name: hdf5.axes(first[name]) for name in _kept(first, without)}
            for name, dims in axes.items():
                _begin(made, first[name], [n == along for n in dims], sum(lengths))
            for name, values in columns.items():
                made.create_dataset(name, data=values)
            hdf5.name_axes(made, {**axes, **dict.fromkeys(columns, (along,))})
            made.attrs.update({**first.attrs, **(attrs or {})})
        grown = [name for name, dims in axes.items() if along in dims]
        for file, rows in zip(files, parts if at is None else at, strict=True):
            with h5py.File(file, "r") as part:
                for name in grown:
                    axis = axes[name].index(along)
                    if _as_they_are(made[name], part[name], axis, rows):
                        _move(made[name], part[name], rows)
                    elif not hdf5.nothing_stored(part[name]):
                        _put(made[name], part[name][()], axis, rows)
            sink.expect_written()
    hdf5.seal(out)


def _as_they_are(data: h5py.Dataset, part: h5py.Dataset, axis: int, rows: np.ndarray) -> bool:
    """Whether packed chunks of a part are chunks of the whole, so that nothing is packed anew."""
    if axis or part.chunks is None or _packing(part) != _packing(data):
        return False
    size = part.chunks[0]
    inside = np.arange(len(rows)) % size
    firsts = np.repeat(rows[::size], size)[: len(rows)]
    # A chunk that is not full is one only at the end: elsewhere others share it.
    full = len(rows) % size == 0 or rows[-1] == len(data) - 1
    return full and bool((firsts % size == 0).all() and (rows - inside == firsts).all())


def _packing(data: h5py.Dataset) -> tuple[Any, ...]:
    return (data.chunks, data.compression, data.compression_opts, data.shuffle, data.fletcher32)


def _move(data: h5py.Dataset, part: h5py.Dataset, rows: np.ndarray) -> None:
    """Copy packed chunks, checksums and all, to where their rows go."""
    stored: list[tuple[int, ...]] = []
    part.id.chunk_iter(lambda chunk: stored.append(chunk.chunk_offset))
    for first, *others in stored:
        mask, packed = part.id.read_direct_chunk((first, *others))
        data.id.write_direct_chunk((int(rows[first]), *others), packed, mask)


def _put(data: h5py.Dataset, values: np.ndarray, axis: int, rows: np.ndarray) -> None:
    """Write values whose rows along an axis go to `rows`, each stretch of neighbours at once."""
    before = (slice(None),) * axis
    for stretch in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(rows) != 1) + 1):
        first, last = stretch[0], stretch[-1]
        where = slice(int(rows[first]), int(rows[last]) + 1)
        data[(*before, where)] = values[(*before, slice(first, last + 1))]


def _kept(file: h5py.File, without: Sequence[str]) -> list[str]:
    return [name for name, data in file.items() if not {*hdf5.axes(data)} & {*without}]


def _lengths(files: Sequence[str | Path], along: str, without: Sequence[str]) -> list[int]:
    """Return the length of an axis in each file; refuse one that differs in anything else."""
    first = _told(files[0], along, without)
    return [_length(file, first, files[0], along, without) for file in files]


def _length(
    file: str | Path,
    first: Mapping[str, _Told],
    like: str | Path,
    along: str,
    without: Sequence[str],
) -> int:
    part = first if file == like else _told(file, along, without)
    for name in sorted({*part, *first}):
        if name not in part or name not in first or not part[name].fits(first[name]):
            raise ValueError(f"{file}: expected {name!r} as in {like} (got another, or none)")
    lengths = {told.length for told in part.values() if told.length is not None}
    if len(lengths) != 1:
        raise ValueError(f"{file}: expected an axis {along!r} of one length (got {lengths})")
    return lengths.pop()


@dataclass(frozen=True)
class _Told:
    """What has to be the same of a data set in all files: without the axis, also its values."""

    dims: tuple[str, ...]
    dtype: np.dtype
    shape: tuple[int, ...]
    length: int | None
    values: np.ndarray | None

    def fits(self, first: _Told) -> bool:
        """Whether a data set can follow the first one, or is the same where it lacks the axis."""
        if (self.dims, self.dtype, self.shape) != (first.dims, first.dtype, first.shape):
            return False
        if self.values is None or first.values is None:
            return self.values is first.values
        floats = self.values.dtype.kind == "f"
        return np.array_equal(self.values, first.values, equal_nan=floats)


def _told(path: str | Path, along: str, without: Sequence[str]) -> dict[str, _Told]:
    found = {}
    with h5py.File(path, "r") as file:
        for name, data in file.items():
            dims = hdf5.axes(data)
            if {*dims} & {*without}:
                continue
            lengths = zip(dims, data.shape, strict=True)
            others = tuple(length for dim, length in lengths if dim != along)
            grows = along in dims
            length = int(data.shape[dims.index(along)]) if grows else None
            values = None if grows else hdf5.column(data)
            found[name] = _Told(dims, data.dtype, others, length, values)
    return found


def _begin(out: h5py.File, like: h5py.Dataset, grows: Sequence[bool], length: int) -> None:
    """Make a data set like another one, some of whose axes have another length; fill the others."""
    shape = tuple(length if each else n for each, n in zip(grows, like.shape, strict=True))
    packed = {**hdf5.FILTERS, "chunks": hdf5.chunks(shape, 8)} if like.chunks else {}
    name = like.name.strip("/")
    made = out.create_dataset(name, shape, like.dtype, fillvalue=like.fillvalue, **packed)
    made.attrs.update({key: value for key, value in like.attrs.items() if key not in _SCALES})
    if like.is_scale:
        made.make_scale(like.attrs["NAME"])
    if not any(grows) and not hdf5.nothing_stored(like):
        made[()] = like[()]
