"""Joining HDF5 files along an axis, part by part: together they may be larger than memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np

from hargcn import hdf5

_SCALES = ("CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST")  # HDF5's own, of named axes


def join(files: Sequence[str | Path], out: str | Path, along: str) -> None:
    """Join flat files along a named axis; no more than one data set of one file in memory.

    Parameters
    ----------
    files
        Alike in everything but the length of that axis.
    out
        The file to write and to seal.
    along
        The axis' name. Data sets without it, and attributes, are those of the first file.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        For a file unlike the first; names it.
    """
    lengths = [_length(file, files[0], along) for file in files]
    with hdf5.writing(out) as sink, h5py.File(sink, "w", libver=hdf5.LIBVER) as made:
        with h5py.File(files[0], "r") as first:
            axes = {name: hdf5.axes(data) for name, data in first.items()}
            for name, dims in axes.items():
                _begin(made, first[name], [n == along for n in dims], sum(lengths))
            hdf5.name_axes(made, axes)
            made.attrs.update(first.attrs)
        grown = [name for name, dims in axes.items() if along in dims]
        for file, stop, length in zip(files, np.cumsum(lengths), lengths, strict=True):
            with h5py.File(file, "r") as part:
                for name in grown:
                    rows = slice(stop - length, stop)
                    if not hdf5.nothing_stored(part[name]):
                        where = [rows if dim == along else slice(None) for dim in axes[name]]
                        made[name][tuple(where)] = part[name][()]
            sink.expect_written()
    hdf5.seal(out)


def _length(file: str | Path, like: str | Path, along: str) -> int:
    """Return the length of an axis in a file; refuse one that differs in anything else."""
    with h5py.File(file, "r") as part, h5py.File(like, "r") as first:
        lengths = set()
        for name in sorted({*part, *first}):
            if name not in part or name not in first or not _alike(part[name], first[name], along):
                raise ValueError(f"{file}: expected {name!r} as in {like} (got another, or none)")
            dims = hdf5.axes(part[name])
            lengths |= {part[name].shape[dims.index(along)]} if along in dims else set()
    if len(lengths) != 1:
        raise ValueError(f"{file}: expected an axis {along!r} of one length (got {lengths})")
    return int(lengths.pop())


def _alike(data: h5py.Dataset, first: h5py.Dataset, along: str) -> bool:
    """Whether a data set can follow the first one, or is the same where it lacks the axis."""
    dims = hdf5.axes(data)
    if dims != hdf5.axes(first) or data.dtype != first.dtype:
        return False
    if along not in dims:
        mine, theirs = hdf5.column(data), hdf5.column(first)
        return np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f")
    lengths = zip(dims, data.shape, first.shape, strict=True)
    return all(mine == theirs for dim, mine, theirs in lengths if dim != along)


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
