"""The HDF5 windows file: its layout, how windows are appended and how a file is checked.

The file holds `positions` (window, space, time, joint, person) float32, `valid` (window, time,
person) bool, per window `label`, `sample`, `group`, `start` and `split`, where known `camera`,
`setup`, and for planted data `truth` and `distractor` (window, time, joint) bool. Attributes:
`skeleton_name`, `skeleton`, `classes`, `fps`, `source`, `preprocessing`, `windows`,
`split_settings`, `quality` (JSON where not plain text or a number), `format` and `format_version`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hargcn.data.cutting import Window
from hargcn.data.quality import Entry, Quality, report
from hargcn.data.recording import Recording
from hargcn.data.splits import SplitConfig, assign

FORMAT = "hargcn-windows"
VERSION = 1
MASKS = ("truth", "distractor")
COLUMNS = ("label", "sample", "group", "start", "split", "camera", "setup")
_REQUIRED = ("positions", "valid", *COLUMNS[:5])


class WindowWriter:
    """Takes one recording after the other; only their small columns stay in memory.

    Parameters
    ----------
    file
        Open for writing, empty.
    classes
        Names of the labels.
    """

    def __init__(self, file: h5py.File, classes: Sequence[str]) -> None:
        self.file = file
        self.classes = classes
        self.entries: list[Entry] = []
        self.starts: list[int] = []
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("sample", "group", "label", "camera", "setup")
        }
        self.kind: dict[str, Any] = {}
        self.samples: set[str] = set()

    def add(self, recording: Recording, windows: Sequence[Window]) -> None:
        """Append the windows of a recording.

        Raises
        ------
        ValueError
            If the recording does not fit the earlier ones or its label has no class.
        """
        self._check(recording)
        for name, column in self.columns.items():
            column.append(getattr(recording, name))
        self.starts += [window.start for window in windows]
        self.entries.append(Entry.of(recording, len(windows)))
        if not windows:
            return
        for name in windows[0].arrays:
            block = np.stack([window.arrays[name] for window in windows])
            stored = self._stored(name, block)
            stored.resize(len(self.starts), axis=0)
            stored[-len(windows) :] = block

    def finish(self, split: SplitConfig | None) -> Quality:
        """Assign the sets (see `assign`), write the columns and return the quality report.

        Raises
        ------
        ValueError
            If there is no window, or the split does not fit the recordings.
        """
        if not self.starts:
            raise ValueError(f"Expected at least one window (got {len(self.entries)} recordings)")
        sets = [""] * len(self.entries)
        if split is not None:
            sets = [str(name) for name in assign(self.columns, split)]
        repeats = [entry.windows for entry in self.entries]
        text = h5py.string_dtype()
        for name, column in {**self.columns, "split": sets}.items():
            if name in ("camera", "setup") and all(value is None for value in column):
                continue
            is_text = isinstance(column[0], str)
            values = column if is_text else [-1 if value is None else value for value in column]
            spread = np.repeat(np.array(values, dtype=object if is_text else np.int64), repeats)
            self.file.create_dataset(name, data=spread, dtype=text if is_text else None)
        self.file.create_dataset("start", data=np.array(self.starts, dtype=np.int64))
        return report(self.entries, sets, self.classes)

    def _stored(self, name: str, block: np.ndarray) -> h5py.Dataset:
        if name not in self.file:
            self.file.create_dataset(
                name,
                shape=(0, *block.shape[1:]),
                maxshape=(None, *block.shape[1:]),
                dtype=block.dtype,
                chunks=(1, *block.shape[1:]),  # windows are read one by one in any order
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
        return self.file[name]

    def _check(self, recording: Recording) -> None:
        """Refuse what does not fit; the first recording sets the skeleton, rate and persons."""
        name = recording.sample
        if name in self.samples:
            raise ValueError(f"{name}: expected one recording of this name (got another)")
        self.samples.add(name)
        if recording.label is not None and recording.label >= len(self.classes):
            raise ValueError(
                f"{name}: expected a label below {len(self.classes)} (got {recording.label})"
            )
        kind = {
            "skeleton": recording.skeleton.to_dict(),
            "fps": recording.fps,
            "persons": recording.persons,
            "truth": recording.truth is not None,
            "distractor": recording.distractor is not None,
        }
        if not self.kind:
            self.kind = kind
            self.file.attrs["skeleton"] = json.dumps(kind["skeleton"])
            self.file.attrs["skeleton_name"] = recording.skeleton.name
            self.file.attrs["fps"] = float(recording.fps)
        for what, value in kind.items():
            known = self.kind[what]
            if value != known:
                found = "" if what == "skeleton" else f": {known} (got {value})"
                first = self.columns["sample"][0]
                raise ValueError(f"{name}: expected the same {what} as {first}{found}")


@contextmanager
def open_windows_file(path: Path) -> Iterator[h5py.File]:
    """Open for reading; the file is closed again, so that workers may fork at any time."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such windows file")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ValueError(f"{path}: expected a whole HDF5 windows file ({error})") from error
    with file:
        yield file


def check(path: Path, file: h5py.File) -> None:
    """Refuse a file of another kind or version, or one that lacks something."""
    if file.attrs.get("format") != FORMAT:
        raise ValueError(f"{path}: expected a windows file of hargcn (got another HDF5 file)")
    version = file.attrs.get("format_version")
    if version != VERSION:
        raise ValueError(f"{path}: expected windows format version {VERSION} (got {version})")
    missing = [name for name in _REQUIRED if name not in file]
    missing += [name for name in ("skeleton", "classes", "fps") if name not in file.attrs]
    if missing:
        raise ValueError(f"{path}: expected {', '.join(missing)} (got none)")
    n, _, frames, joints, persons = file["positions"].shape
    shapes: dict[str, tuple[int, ...]] = {name: (n,) for name in COLUMNS}
    shapes |= {name: (n, frames, joints) for name in MASKS}
    shapes["valid"] = (n, frames, persons)
    for name, shape in shapes.items():
        if name in file and file[name].shape != shape:
            raise ValueError(f"{path}: expected {name} {shape} (got {file[name].shape})")


def column(stored: h5py.Dataset) -> np.ndarray:
    """Read a small column; text comes as str."""
    if h5py.check_string_dtype(stored.dtype):
        return np.asarray(stored.asstr()[()], dtype=np.str_)
    return np.asarray(stored[()])


def parsed(value: Any) -> Any:
    """Return an attribute as plain Python; JSON objects and lists are read."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value.item() if isinstance(value, np.generic) else value
