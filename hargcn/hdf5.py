"""HDF5 files that notice damage: what windows and explanation files share.

A file is flat: data sets and attributes, no groups and nothing that lies elsewhere. Any program
that knows HDF5 opens it. Three digests guard it:

* every chunk carries a checksum (HDF5's `fletcher32`), checked whenever it is read;
* the attribute `digest` covers names, types, shapes, filters, axes and attributes, and the content
  of the data sets without chunks (small columns, text); it is checked on opening;
* the last line, behind the part that HDF5 knows, covers every byte before it; `verify` checks it,
  and so does opening a file of up to `QUICK` bytes.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import h5py
import numpy as np

from hargcn import remote
from hargcn.files import track

LIBVER = "v110"
"""HDF5 version that files are written for: the first (2016) with checksums in all its indices."""

FILTERS = {"compression": "gzip", "compression_opts": 1, "shuffle": True, "fletcher32": True}
"""How arrays are stored, as h5py takes it."""

_KNOWN = {1, 2, 3, 32000}  # HDF5's numbers of the filters gzip, shuffle, fletcher32 and lzf
_COUNTED = 2**14  # chunks of a data set, of usually 16 KiB, up to which all are looked at
_RATIO = 1100  # deflate packs at most 1032 to 1, lzf less
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable. {:10d}"
_TRAILER = re.compile(rb"\nsha256 ([0-9a-f]{64})\n")
_TRAILER_BYTES = 73
_BLOCK = 2**24

QUICK = 2**28
"""Bytes that are read in less than a second: files up to this size are checked whole on opening."""


def chunks(shape: tuple[int, ...], itemsize: int, size: int = 2**14) -> tuple[int, ...]:
    """Return chunks of whole rows, of about `size` bytes where a row is smaller than that."""
    row = itemsize * max(1, math.prod(shape[1:]))
    return (max(1, min(shape[0], size // row)), *shape[1:])


class Sink(io.FileIO):
    """A file to write HDF5 to, which from its first error on keeps in memory what is written.

    HDF5 crashes the process where a write fails, as on a full disk: it must not learn of it.
    """

    error: OSError | None = None

    def __init__(self, path: str | Path, mode: str) -> None:
        super().__init__(path, mode)
        self.kept: list[tuple[int, bytes]] = []

    def write(self, data: Any) -> int:
        """Write all of some bytes, or keep them."""
        rest = whole = memoryview(data).cast("B")
        while len(rest) and self.error is None:
            rest = rest[self._tried(super().write, rest) :]
        if len(rest):
            self.kept.append((self.tell(), bytes(rest)))
            self.seek(len(rest), io.SEEK_CUR)
        return len(whole)

    def readinto(self, into: Any) -> int:
        """Read what was written, or kept."""
        view, start = memoryview(into).cast("B"), self.tell()
        count = super().readinto(view) or 0
        view[count:] = bytes(len(view) - count)
        for at, data in self.kept:
            first, last = max(at, start), min(at + len(data), start + len(view))
            if first < last:
                view[first - start : last - start] = data[first - at : last - at]
                count = max(count, last - start)
        self.seek(start + count)
        return count

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; the end is that of what was written or kept."""
        found = super().seek(offset, whence)
        ends = [at + len(data) for at, data in self.kept if whence == io.SEEK_END]
        return super().seek(max(found, *ends)) if ends else found

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file, or keep the error."""
        return self._tried(super().truncate, size) or size or 0

    def expect_written(self) -> None:
        """Raise the error, if there was one; names the file."""
        if self.error is not None:
            raise OSError(self.error.errno, self.error.strerror, str(self.name))

    def _tried(self, act: Callable[[Any], int | None], given: Any) -> int:
        try:
            return act(given) or 0 if self.error is None else 0
        except OSError as error:
            self.error = error
            return 0


_CALLED = {each.__code__ for each in (Sink.write, Sink.readinto, Sink.seek, Sink.truncate)}


def is_inside(frame: FrameType | None) -> bool:
    """Tell whether HDF5 called a frame: an exception there leaves it a broken file, or a crash."""
    while frame is not None and frame.f_code not in _CALLED:
        frame = frame.f_back
    return frame is not None


@contextmanager
def writing(path: str | Path, mode: Literal["w+", "r+"] = "w+") -> Iterator[Sink]:
    """Open a file for HDF5 to write to.

    Parameters
    ----------
    path
        The file.
    mode
        "w+" for a new one, "r+" to change one.

    Yields
    ------
    Sink
        What h5py.File and xarray take instead of a name. A long job asks it from time to time
        whether all was written (`expect_written`).

    Raises
    ------
    OSError
        If something could not be written; names the file.
    """
    with Sink(path, mode) as sink:
        yield sink
        sink.expect_written()


@contextmanager
def opened(path: str | Path, what: str) -> Iterator[h5py.File]:
    """Open a file for reading.

    Parameters
    ----------
    path
        The file.
    what
        What it should be, for messages: "windows file".

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For whatever HDF5 finds wrong, now or inside the block; names the file.
    """
    path = remote.url(path) or path
    if not remote.is_file(path):
        raise FileNotFoundError(f"{path}: no such {what}")
    try:
        with remote.source(path) as source, h5py.File(source, "r") as file:
            yield file
    except (OSError, RuntimeError, KeyError, TypeError, ValueError, OverflowError) as error:
        if (said := str(error)).startswith(f"{path}: "):
            raise
        raise ValueError(
            f"{path}: expected a whole HDF5 {what}, found something else or a damaged file "
            f"({said.splitlines()[0] if said else type(error).__name__})"
        ) from error


@contextmanager
def checked(path: str | Path, what: str, form: str, command: str) -> Iterator[h5py.File]:
    """Open a file and check everything but its chunks, in small files all bytes.

    Parameters
    ----------
    path, what
        As for `opened`.
    form
        What its attribute `format` must say ("hargcn-windows-2").
    command
        The command that makes such files anew.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        For a file of another format, one that points elsewhere, or one that was changed; names the
        file, what was expected and what was found.
    """
    # Before HDF5 sees it: damaged text can keep HDF5 busy for ever. Of URLs only ranges are read.
    if Path(path).is_file() and Path(path).stat().st_size <= QUICK:
        _compare(path)
    with opened(path, what) as file:
        found = file.attrs.get("format")
        if found != form:
            ours = isinstance(found, str) and found.startswith(form.rpartition("-")[0])
            hint = f": make it anew with `hargcn {command}`" if ours else ""
            got = repr(found) if isinstance(found, str) else "another HDF5 file"
            raise ValueError(f"{path}: expected a {what} of format {form} (got {got}){hint}")
        _refuse_foreign(path, file)
        if file.attrs.get("digest") != _structure(file):
            raise ValueError(
                f"{path}: expected the attributes and columns that its digest was made of "
                "(got others): it was changed or damaged after hargcn wrote it"
            )
        sealed_digest(path)
        yield file


def seal(path: str | Path) -> None:
    """Add the digests to a file that is written and closed."""
    with writing(path, "r+") as sink, h5py.File(sink, "r+") as file:
        file.attrs["digest"] = _structure(file)
    with Path(path).open("r+b") as stream:
        whole = hashlib.file_digest(stream, "sha256").hexdigest()
        stream.write(f"\nsha256 {whole}\n".encode())


def sealed_digest(path: str | Path) -> str:
    """Return the SHA-256 of a whole file as `seal` found it; nothing but the last line is read.

    Raises
    ------
    ValueError
        If the file has no such line.
    """
    found = _last_line(path)
    if not found:
        raise ValueError(
            f"{path}: expected the digest of the whole file in its last line (got none): "
            "it was changed or cut after hargcn wrote it, or an earlier hargcn did (make it anew)"
        )
    return found


def verify(path: str | Path, what: str, progress: bool = False) -> None:
    """Read every chunk and every byte of a file and compare with its checksums.

    Parameters
    ----------
    path, what
        As for `opened`.
    progress
        Whether to show a progress bar.

    Raises
    ------
    ValueError
        Names the data set whose chunks are damaged, or says that the damage is elsewhere.
    """
    with opened(path, what) as file:
        _refuse_foreign(path, file)
        blocks = [
            (name, slice(row, row + rows))
            for name in file
            if file[name].fletcher32
            for rows in [max(1, _BLOCK * len(file[name]) // max(1, file[name].nbytes))]
            for row in range(0, len(file[name]), rows)
        ]
        for name, rows in track(blocks, "reading chunks", progress=progress):
            read(path, file[name], rows)
    _compare(path, progress)
    sealed_digest(path)


def read(path: str | Path, dataset: h5py.Dataset, rows: Any) -> np.ndarray:
    """Return rows of a data set; a damaged chunk is refused by name.

    Raises
    ------
    ValueError
        Names the file and the data set.
    """
    try:
        return dataset[rows]
    except OSError as error:
        raise ValueError(
            f"{path}: expected the chunks that were written (got a damaged one in "
            f"{dataset.name.strip('/')}: {str(error).splitlines()[0]})"
        ) from error


def own(path: str | Path, file: h5py.File, name: str) -> h5py.Dataset:
    """Return a data set of a file that others wrote, also in a group, and also of records.

    Raises
    ------
    ValueError
        If it is not there, lies elsewhere, or cannot be stored in a file of this size.
    """
    groups = [name[: each.start()] for each in re.finditer("/", name)]
    if not all(isinstance(file.get(group, getlink=True), h5py.HardLink) for group in groups) or (
        name not in file and file.get(name, getlink=True) is None
    ):
        raise ValueError(f"{path}: expected a data set {name!r} (got {', '.join(file)[:80]})")
    _refuse_foreign(path, file, [name], records=True)
    return file[name]


def column(dataset: h5py.Dataset) -> np.ndarray:
    """Read a small column; text comes as str."""
    if h5py.check_string_dtype(dataset.dtype):
        return np.asarray(dataset.asstr()[()], dtype=np.str_)
    return np.asarray(dataset[()])


def axes(data: h5py.Dataset) -> tuple[str, ...]:
    """Return the names of a data set's axes; coordinates lie along their own."""
    named = tuple(scale.name.strip("/") for dim in data.dims for scale in dim.values())
    return named or (data.name.strip("/"),) * data.ndim


def expect_said(path: str | Path, attrs: Mapping[str, Any], forms: Mapping[str, type]) -> None:
    """Refuse attributes that say nothing of their form: JSON lists and mappings, counts from 1.

    Parameters
    ----------
    path
        The file, for messages.
    attrs
        Its attributes; those that are empty or not there are not looked at.
    forms
        `dict`, `list` (of texts) or `int` by name.
    """
    for name, form in forms.items():
        said = attrs.get(name, "")
        if isinstance(said, str) and not said:
            continue
        if form is int:
            if not isinstance(said, int | np.integer) or said < 1:
                raise ValueError(f"{path}: expected a number from 1 in {name!r} (got {said})")
            continue
        try:
            content: Any = json.loads(str(said))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: expected JSON in attribute {name!r} ({error})") from error
        fits = isinstance(content, form)
        if not fits or (form is list and not all(isinstance(each, str) for each in content)):
            what = "a mapping" if form is dict else "a list of texts"
            raise ValueError(
                f"{path}: expected {what} in attribute {name!r} (got {str(said)[:60]})"
            )


def nothing_stored(dataset: h5py.Dataset) -> bool:
    """Whether a data set only stands for an axis without coordinates."""
    return bool(dataset.is_scale and dataset.chunks is None and dataset.id.get_storage_size() == 0)


def name_axes(file: h5py.File, axes: dict[str, tuple[str, ...]]) -> None:
    """Name the axes of data sets, so that xarray knows them too.

    Parameters
    ----------
    file
        Open for writing.
    axes
        By data set, the names of its axes. A data set of an axis' name holds its coordinates.
    """
    for name, dims in axes.items():
        for axis, dim in enumerate(dims):
            if dim not in file:
                size = file[name].shape[axis]
                file.create_dataset(dim, shape=(size,), dtype=">f4")
                file[dim].make_scale(_NO_VARIABLE.format(size))
            elif not file[dim].is_scale:
                file[dim].make_scale(dim)
            if dim != name:
                file[name].dims[axis].attach_scale(file[dim])


def _last_line(path: str | Path) -> str:
    """Return the digest in the last line, nothing where there is none."""
    with remote.stream(path) as stream:
        stream.seek(max(0, stream.seek(0, io.SEEK_END) - _TRAILER_BYTES))
        found = _TRAILER.fullmatch(stream.read())
    return found[1].decode() if found else ""


def _compare(path: str | Path, progress: bool = False) -> None:
    """Compare every byte with the digest in the last line, where there is one."""
    size, expected = remote.size(path) - _TRAILER_BYTES, _last_line(path)
    if not expected:
        return
    whole = hashlib.sha256()
    with remote.stream(path) as stream:
        starts = range(0, size, _BLOCK)
        for start in track(starts, "reading bytes", len(starts), progress):
            whole.update(stream.read(min(_BLOCK, size - start)))
    if whole.hexdigest() != expected:
        raise ValueError(
            f"{path}: expected the bytes that the digest in its last line was made of "
            "(got others): it was damaged after hargcn wrote it"
        )


def _refuse_foreign(
    path: str | Path, file: h5py.File, names: Iterable[str] | None = None, records: bool = False
) -> None:
    size = remote.size(path)
    for name in file if names is None else names:
        defect = _foreign(file, name, records) or _oversized(file[name], size)
        if defect:
            raise ValueError(f"{path}: expected data of its own, as hargcn writes (got {defect})")


def _foreign(file: h5py.File, name: str, records: bool) -> str:
    """Say what lies elsewhere, or is nothing that hargcn writes."""
    link = file.get(name, getlink=True)
    if isinstance(link, h5py.ExternalLink):
        return f"{name!r}, a link to {link.path!r} in the file {link.filename!r}"
    if isinstance(link, h5py.SoftLink):
        return f"{name!r}, a link to {link.path!r}"
    node = file[name]
    if not isinstance(node, h5py.Dataset):
        return f"{name!r}, a {type(node).__name__.lower()}"
    if node.is_virtual:
        return f"{name!r}, a virtual data set"
    if node.external:
        return f"{name!r}, stored in the file {node.external[0][0]!r}"
    if not _is_plain(node.dtype, records):
        return f"{name!r} of type {node.dtype}"
    plan = node.id.get_create_plist()
    unknown = {plan.get_filter(i)[0] for i in range(plan.get_nfilters())} - _KNOWN
    return f"{name!r} behind a filter {min(unknown)} of HDF5" if unknown else ""


def _is_plain(kind: np.dtype, records: bool) -> bool:
    """Whether a type is one of numbers or text, or of records of these."""
    if records and kind.names is not None:
        return all(_is_plain(kind[name].base, records) for name in kind.names)
    return kind.kind in "iufb" or h5py.check_string_dtype(kind) is not None


def _oversized(dataset: h5py.Dataset, size: int) -> str:
    """Say where a declared shape cannot have been stored in a file of this size."""
    if nothing_stored(dataset) or 0 in dataset.shape:
        return ""
    shape, chunk = dataset.shape, dataset.chunks or dataset.shape
    pieces = math.prod(-(-length // part) for length, part in zip(shape, chunk, strict=True))
    # Counted first: HDF5 goes through all pieces to say what they take.
    stored = min(dataset.id.get_storage_size(), size) if pieces <= _COUNTED else size
    packed = _RATIO if dataset.compression else 1
    cells = max(math.prod(shape), math.prod(chunk))
    if pieces > size or cells * dataset.dtype.itemsize > stored * packed:
        return f"{dataset.name.strip('/')!r} of shape {shape} in {stored} bytes"
    return ""


def _structure(file: h5py.File) -> str:
    """Return the digest of everything but the content of chunks."""
    parts = {
        name: {
            "dtype": "text" if h5py.check_string_dtype(data.dtype) else str(data.dtype),
            "shape": [data.shape, data.maxshape, data.chunks],
            "filters": [data.compression, data.compression_opts, data.shuffle, data.fletcher32],
            "axes": [[scale.name for scale in dim.values()] for dim in data.dims],
            "attributes": _attributes(data),
            "content": _content(data),
        }
        for name, data in file.items()
    }
    whole = {"attributes": _attributes(file), "data": parts}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def _attributes(node: Any) -> dict[str, Any]:
    """Return attributes as JSON takes them; axes are described by their names instead."""
    own = ("digest", "DIMENSION_LIST", "REFERENCE_LIST")
    return {name: _plain(value) for name, value in node.attrs.items() if name not in own}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return [str(value.dtype), repr(value.tolist())]
    return value if isinstance(value, str) else repr(value)


def _content(dataset: h5py.Dataset) -> str | None:
    """Return the digest of a data set that no chunk's checksum guards."""
    if nothing_stored(dataset):
        return None
    if h5py.check_string_dtype(dataset.dtype):
        return hashlib.sha256(json.dumps(column(dataset).tolist()).encode()).hexdigest()
    return None if dataset.fletcher32 else hashlib.sha256(dataset[()].tobytes()).hexdigest()
