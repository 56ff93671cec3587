"""The HDF5 windows file: its layout, how windows are appended and how a file is checked.

The file holds `positions` (window, space, frame, joint, person) float32, `valid` (window, frame,
person) bool, `state` (window, frame, joint, person) uint8 (0 absent, 1 observed, 2 interpolated),
`time` (window, frame) in seconds of the recording, per window `fps`, `label`, `sample`, `group`,
`start` and `split`; for regression and several labels `outcome` (window, output) float32, NaN where
not known; where known `confidence` (window, frame, joint, person) float32, `camera`,
`setup`; for planted data `truth` and `distractor` (window, frame, joint) bool. Attributes:
`format`, `skeleton_name`, `skeleton`, `classes` (or levels), `outputs` (other than classes),
`source`, `reader`, `preprocessing`, `windows`, `split_settings`, `quality` (JSON where not plain
text), `hargcn` (the version), the `digest` of `hargcn.hdf5`, and `content`, the digest of the data
sets, skeleton and outputs alone: whatever else is said of them, they are the same windows.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from hargcn import hdf5
from hargcn.data.cutting import Window
from hargcn.data.quality import Entry, Quality, report
from hargcn.data.recording import STATES, Recording
from hargcn.data.splits import SplitConfig, assign, strata_of
from hargcn.outputs import Outputs

_OTHER_SCALE = 3  # cameras nearer and farther, where nothing brings bodies to one size
_OTHER_UNIT = 20  # infants and adults differ by 4; metres and feet by 3, and centimetres by 100

_BLOCK = 2**22  # bytes of windows that are written at once

FORMAT = "hargcn-windows-2"
WHAT = "windows file"
MASKS = ("truth", "distractor")
COLUMNS = ("label", "sample", "group", "start", "split", "fps", "camera", "setup")
AXES = {
    "positions": ("window", "space", "frame", "joint", "person"),
    "valid": ("window", "frame", "person"),
    "state": ("window", "frame", "joint", "person"),
    "time": ("window", "frame"),
    "confidence": ("window", "frame", "joint", "person"),
    **{name: ("window", "frame", "joint") for name in MASKS},
    **{name: ("window",) for name in COLUMNS},
    "outcome": ("window", "output"),
}
"""Every data set's axes."""

_TEXT = h5py.string_dtype()
_KINDS = {
    **dict.fromkeys(("positions", "time", "confidence", "fps", "outcome"), "f"),
    **dict.fromkeys(("valid", *MASKS), "b"),
    **dict.fromkeys(("state", "label", "start", "camera", "setup"), "iu"),
    **dict.fromkeys(("sample", "group", "split"), "O"),
}
"""What the numbers of every data set are, as NumPy names kinds; "O" is text."""

_REQUIRED = ("positions", "valid", "state", "time", *COLUMNS[:6])
_NOTES: dict[str, dict[str, Any]] = {
    "time": {"units": "s"},
    "fps": {"units": "1/s"},
    "state": {
        "flag_values": np.arange(len(STATES), dtype=np.uint8),
        "flag_meanings": " ".join(STATES),
    },
}


class WindowWriter:
    """Takes one recording after the other; only their small columns stay in memory.

    Parameters
    ----------
    file
        Open for writing, empty.
    outputs
        What the outcomes are; names of classes for short.
    one_rate
        Whether all recordings must have the same frames per second: a length in frames would mean
        other seconds otherwise.
    """

    def __init__(
        self, file: h5py.File, outputs: Outputs | Sequence[str], one_rate: bool = True
    ) -> None:
        self.file = file
        self.outputs = Outputs.of(outputs)
        self.one_rate = one_rate
        self.entries: list[Entry] = []
        self.starts: list[int] = []
        self.rates: list[float] = []
        self.columns: dict[str, list[Any]] = {
            name: [] for name in ("sample", "group", "label", "camera", "setup")
        }
        self.outcomes: list[np.ndarray] = []
        self.kind: dict[str, Any] = {}
        self.samples: set[str] = set()
        self.sizes: dict[float, str] = {}
        self.content: dict[str, Any] = {}
        self.waiting: list[Window] = []
        self.bytes = self.written = 0

    def add(self, recording: Recording, windows: Sequence[Window]) -> None:
        """Append the windows of a recording.

        Raises
        ------
        ValueError
            If the recording does not fit the earlier ones, its body's size among them, or its
            label has no class.
        """
        self._check(recording)
        self._check_size(recording)
        for name, column in self.columns.items():
            column.append(getattr(recording, name))
        if not self.outputs.listed:
            unknown = np.full(len(self.outputs.names), np.nan, np.float32)
            self.outcomes.append(unknown if recording.outcome is None else recording.outcome)
        self.starts += [window.start for window in windows]
        self.rates += [window.fps for window in windows]
        self.entries.append(Entry.of(recording, len(windows)))
        self.waiting += windows
        self.bytes += sum(array.nbytes for window in windows for array in window.arrays.values())
        if self.bytes >= _BLOCK:
            self._flush()

    def _flush(self) -> None:
        """Write the windows that wait: many at once, because each call of HDF5 has its price."""
        waiting, self.waiting, self.bytes = self.waiting, [], 0
        before, self.written = self.written, self.written + len(waiting)
        names = {name: None for window in waiting for name in window.arrays}
        if waiting and "confidence" in self.file:
            names["confidence"] = None
        for name in names:
            block = np.stack([_array(window, name) for window in waiting])
            stored = self._stored(name, block, before)
            stored.resize(self.written, axis=0)
            stored[before:] = block
            self.content[name].update(block.tobytes())

    def finish(self, split: SplitConfig | None) -> Quality:
        """Assign the sets (see `assign`), write the columns and return the quality report.

        Raises
        ------
        ValueError
            If there is no window, or the split does not fit the recordings.
        """
        if not self.starts:
            raise ValueError(f"Expected at least one window (got {len(self.entries)} recordings)")
        self._flush()
        sets = [""] * len(self.entries)
        if split is not None:
            strata = strata_of(self.outputs, np.array(self.outcomes))
            sets = [str(name) for name in assign({**self.columns, **strata}, split)]
        repeats = [entry.windows for entry in self.entries]
        for name, column in {**self.columns, "split": sets}.items():
            if name in ("camera", "setup") and all(value is None for value in column):
                continue
            is_text = isinstance(column[0], str)
            values = column if is_text else [-1 if value is None else value for value in column]
            spread = np.repeat(np.array(values, dtype=object if is_text else np.int64), repeats)
            self.file.create_dataset(name, data=spread, dtype=_TEXT if is_text else None)
        if self.outcomes:
            names = np.array(self.outputs.names, object)
            self.file.create_dataset("output", data=names, dtype=_TEXT)
            spread = np.repeat(np.stack(self.outcomes), repeats, axis=0)
            self.file.create_dataset("outcome", data=spread)
        self.file.create_dataset("start", data=np.array(self.starts, dtype=np.int64))
        self.file.create_dataset("fps", data=np.array(self.rates, dtype=np.float64))
        hdf5.name_axes(self.file, {k: dims for k, dims in AXES.items() if k in self.file})
        for name, notes in _NOTES.items():
            self.file[name].attrs.update(notes)
        self.file.attrs["content"] = self._digest()
        return report(self.entries, sets, self.outputs)

    def _digest(self) -> str:
        """Return the digest of what the windows are."""
        parts = {name: found.hexdigest() for name, found in self.content.items()}
        columns = {
            name: hdf5.column(self.file[name]).tolist()
            for name in (*COLUMNS, "outcome")
            if name in self.file
        }
        whole = [self.kind["skeleton"], self.outputs.to_dict(), parts, columns]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def _stored(self, name: str, block: np.ndarray, before: int) -> h5py.Dataset:
        if name not in self.file:
            stored = self.file.create_dataset(
                name,
                shape=(before, *block.shape[1:]),
                maxshape=(None, *block.shape[1:]),
                dtype=block.dtype,
                # Small: windows are read one by one in any order.
                chunks=hdf5.chunks((2**14, *block.shape[1:]), block.itemsize),
                **hdf5.FILTERS,
            )
            self.content[name] = hashlib.sha256(str((block.dtype, block.shape[1:])).encode())
            for row in range(before):  # only some recordings know their confidence
                stored[row] = np.nan
                self.content[name].update(stored[row].tobytes())
        return self.file[name]

    def _check(self, recording: Recording) -> None:
        """Refuse what does not fit; the first recording sets the skeleton, rate and persons."""
        name = recording.sample
        if name in self.samples:
            raise ValueError(f"{name}: expected one recording of this name (got another)")
        self.samples.add(name)
        self._check_outcome(recording)
        kind = {
            "skeleton": recording.skeleton.to_dict(),
            "fps": recording.fps if self.one_rate else None,
            "persons": recording.persons,
            "truth": recording.truth is not None,
            "distractor": recording.distractor is not None,
        }
        if not self.kind:
            self.kind = kind
            self.file.attrs["skeleton"] = json.dumps(kind["skeleton"])
            self.file.attrs["skeleton_name"] = recording.skeleton.name
            names = {"joint": recording.skeleton.joints, "space": "xyz"[: recording.skeleton.ndim]}
            for axis, along in names.items():
                self.file.create_dataset(axis, data=np.array(list(along), object), dtype=_TEXT)
        for what, value in kind.items():
            known = self.kind[what]
            if value != known:
                found = "" if what == "skeleton" else f": {known} (got {value})"
                first = self.columns["sample"][0]
                raise ValueError(f"{name}: expected the same {what} as {first}{found}")

    def _check_outcome(self, recording: Recording) -> None:
        """Refuse a label without a class, and outcomes that are not those of the others."""
        known = len(self.outputs.names)
        if recording.label is not None and recording.label >= (known if self.outputs.listed else 0):
            limit = known if self.outputs.listed else 0
            raise ValueError(
                f"{recording.sample}: expected a label below {limit} (got {recording.label})"
            )
        found = 0 if recording.outcome is None else len(recording.outcome)
        if found and found != (0 if self.outputs.listed else known):
            raise ValueError(
                f"{recording.sample}: expected {self.outputs.kind} outcomes of "
                f"{', '.join(self.outputs.names)} (got {found} values)"
            )

    def _check_size(self, recording: Recording) -> None:
        """Refuse a body so much larger or smaller than an earlier one that its unit is another."""
        size = _extent(recording)
        if not size > 0:
            return
        self.sizes[size] = recording.sample
        small, large = min(self.sizes), max(self.sizes)
        if large > _OTHER_UNIT * small:
            raise ValueError(
                f"{self.sizes[large]}: expected a body of the size of the others, in the same unit "
                f"(got {large:g} from joint to joint at most, where {self.sizes[small]} has "
                f"{small:g}): bring them to one unit, or set preprocess.scale=trunk"
            )
        self.sizes = {each: self.sizes[each] for each in (small, large)}

    def warn_of_scales(self) -> None:
        """Warn where bodies differ so much in size that a network would learn the camera.

        Warns
        -----
        UserWarning
            Names the two recordings that differ most, and the remedy.
        """
        small, large = min(self.sizes, default=1.0), max(self.sizes, default=1.0)
        if large > _OTHER_SCALE * small:
            warnings.warn(
                f"{self.sizes[large]}: its body is {large / small:.2g} times as large as that of "
                f"{self.sizes[small]}, and no step of the preprocessing brings them to one size: "
                "is that the camera's distance? Then set preprocess.scale=trunk",
                stacklevel=3,
            )


def _array(window: Window, name: str) -> np.ndarray:
    """Return an array of a window; only some recordings know their confidence."""
    found = window.arrays.get(name)
    return np.full(window.arrays["state"].shape, np.nan, np.float32) if found is None else found


def _extent(recording: Recording) -> float:
    """Return the median diagonal of the box around a person, 0 where nobody is there."""
    with np.errstate(over="ignore"):
        diagonals = np.linalg.norm(np.ptp(recording.positions, axis=2), axis=0)
    return float(np.median(diagonals[recording.valid])) if recording.valid.any() else 0.0


def check(path: Path, file: h5py.File) -> None:
    """Refuse a file that lacks something, or whose shapes do not fit together."""
    missing = [name for name in _REQUIRED if name not in file]
    missing += [name for name in ("skeleton", "classes") if name not in file.attrs]
    if missing:
        raise ValueError(f"{path}: expected {', '.join(missing)} (got none)")
    if file["positions"].ndim != len(AXES["positions"]):
        raise ValueError(f"{path}: expected positions with 5 axes (got {file['positions'].shape})")
    axes = dict(zip(AXES["positions"], file["positions"].shape, strict=True))
    axes["output"] = len(outputs_in(path, file).names)
    for name, dims in AXES.items():
        shape = tuple(axes[dim] for dim in dims)
        if name in file and file[name].shape != shape:
            raise ValueError(f"{path}: expected {name} {shape} (got {file[name].shape})")
        if name in file and file[name].dtype.kind not in _KINDS[name]:
            what = "text" if _KINDS[name] == "O" else f"numbers of kind {_KINDS[name]!r}"
            raise ValueError(f"{path}: expected {what} as {name} (got {file[name].dtype})")
    _check_values(path, file)


def outputs_in(path: Path, file: h5py.File) -> Outputs:
    """Return what the outcomes of a file are: classes where it says nothing else.

    Raises
    ------
    ValueError
        For a damaged description, or one that does not fit what the file holds; names the file.
    """
    classes = parsed(file.attrs["classes"])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise ValueError(f"{path}: expected a list of names as classes (got another)")
    if "outputs" not in file.attrs:
        return Outputs("classes", tuple(classes))
    outputs = Outputs.from_dict(parsed(file.attrs["outputs"]), str(path))
    if outputs.listed != ("outcome" not in file) or (
        outputs.listed and list(outputs.names) != classes
    ):
        what = "classes of these names" if outputs.listed else "outcome"
        raise ValueError(f"{path}: expected {what} for {outputs.kind} outputs (got another)")
    return outputs


def _check_values(path: Path, file: h5py.File) -> None:
    """Refuse rates that are none, labels (but -1) without a class, and infinite outcomes."""
    classes = parsed(file.attrs["classes"])
    labels, rates = hdf5.column(file["label"]), hdf5.column(file["fps"])
    wrong = labels[(labels < -1) | (labels >= len(classes))]
    if len(wrong):
        raise ValueError(
            f"{path}: expected labels from -1 to {len(classes) - 1} (got {int(wrong[0])})"
        )
    if "outcome" in file and np.isinf(file["outcome"][()]).any():
        raise ValueError(f"{path}: expected finite outcomes, or NaN (got infinity)")
    wrong = rates[~(np.isfinite(rates) & (rates > 0))]
    if len(wrong):
        raise ValueError(f"{path}: expected finite fps > 0 (got {wrong[0]:g})")


def parsed(value: Any) -> Any:
    """Return an attribute as plain Python; JSON objects and lists are read."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return json.loads(value)
    return value.item() if isinstance(value, np.generic) else value
