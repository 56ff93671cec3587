"""Windows: stretches of equal length cut from recordings, in one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from hargcn.data.cutting import WindowConfig, cut
from hargcn.data.recording import Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.data.windows_file import (
    COLUMNS,
    FORMAT,
    MASKS,
    VERSION,
    WindowWriter,
    check,
    column,
    open_windows_file,
    parsed,
)
from hargcn.files import digest, replacing, track
from hargcn.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Windows:
    """A windows file: small columns in memory, positions read when asked for.

    Parameters
    ----------
    path
        The file.
    skeleton
        Layout of the joints.
    fps
        Frames per second of the recordings the windows were cut from.
    classes
        Names of the labels.
    attrs
        The file's other attributes: source, preprocessing, windows, split_settings, quality.
    shape
        (C, T, V, M) of every window.
    masks
        Which of "truth" and "distractor" the file has.
    rows
        Which windows of the file these are.
    label
        (N,) int index into `classes`, -1 where not known.
    sample, group
        (N,) str: the recording and the subject.
    start
        (N,) int first frame in the preprocessed recording.
    split
        (N,) str: "train", "val", "test" or "".
    camera, setup
        (N,) int, -1 where not known.
    """

    path: Path
    skeleton: Skeleton
    fps: float
    classes: tuple[str, ...]
    attrs: Mapping[str, Any]
    shape: tuple[int, int, int, int]
    masks: tuple[str, ...]
    rows: np.ndarray
    label: np.ndarray
    sample: np.ndarray
    group: np.ndarray
    start: np.ndarray
    split: np.ndarray
    camera: np.ndarray
    setup: np.ndarray

    @classmethod
    def open(cls, path: str | Path) -> Windows:
        """Open a windows file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is truncated, something else, or of another version; says which.
        """
        path = Path(path)
        with open_windows_file(path) as file:
            check(path, file)
            shape = file["positions"].shape
            unknown = np.full(shape[0], -1)
            columns = {
                name: column(file[name]) if name in file else unknown.copy() for name in COLUMNS
            }
            attrs = {key: parsed(value) for key, value in file.attrs.items()}
            skeleton = Skeleton.from_dict(attrs.pop("skeleton"), str(path))
            found = (shape[1], shape[3])
            if found != (skeleton.ndim, skeleton.n_joints):
                raise ValueError(
                    f"{path}: expected {skeleton.ndim} coordinates and {skeleton.n_joints} joints "
                    f"of {skeleton.name} (got {found[0]} and {found[1]})"
                )
            return cls(
                path=path,
                skeleton=skeleton,
                fps=float(attrs.pop("fps")),
                classes=tuple(attrs.pop("classes")),
                attrs=attrs,
                shape=shape[1:],
                masks=tuple(name for name in MASKS if name in file),
                rows=np.arange(shape[0]),
                **columns,
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_channels(self) -> int:
        """Coordinates C per joint."""
        return self.shape[0]

    @property
    def frames(self) -> int:
        """Frames T per window."""
        return self.shape[1]

    @property
    def persons(self) -> int:
        """Persons M per window, present or not."""
        return self.shape[3]

    @property
    def names(self) -> list[str]:
        """One name per window: the recording and the first frame."""
        return [f"{sample}@{start}" for sample, start in zip(self.sample, self.start, strict=True)]

    @cached_property
    def digest(self) -> str:
        """The digest of the whole file."""
        return digest(self.path)

    def positions(self, index: ArrayLike | slice | None = None) -> np.ndarray:
        """Read positions.

        Parameters
        ----------
        index
            Numbers of windows within this object, a slice or a mask; None for all.

        Returns
        -------
        numpy.ndarray
            (n, C, T, V, M) float32; exactly 0 where a person is absent or the recording has ended.

        Raises
        ------
        ValueError
            If the file holds numbers that are not finite.
        """
        read = self._read("positions", index)
        if not np.isfinite(read).all():
            raise ValueError(f"{self.path}: expected finite positions (got NaN or infinity)")
        return read

    def valid(self, index: ArrayLike | slice | None = None) -> np.ndarray:
        """Read (n, T, M) bool: the person is there."""
        return self._read("valid", index)

    def truth(self, index: ArrayLike | slice | None = None) -> np.ndarray | None:
        """Read (n, T, V) bool, where evidence was planted; None without planted data."""
        return self._read("truth", index) if "truth" in self.masks else None

    def distractor(self, index: ArrayLike | slice | None = None) -> np.ndarray | None:
        """Read (n, T, V) bool, where decoys were planted; None without planted data."""
        return self._read("distractor", index) if "distractor" in self.masks else None

    def subset(self, which: str | ArrayLike | slice) -> Windows:
        """Return some of the windows: a set by name, or by number, slice or mask.

        Raises
        ------
        ValueError
            For a set that no window belongs to.
        """
        if isinstance(which, str):
            if which not in self.split:
                known = ", ".join(sorted({str(name) for name in self.split if name}))
                known = known or "all, because it was prepared without a split"
                raise ValueError(f"{self.path}: expected a set of {known} (got {which!r})")
            which = np.flatnonzero(self.split == which)
        index = _index(which)
        chosen: dict[str, Any] = {
            name: np.atleast_1d(getattr(self, name)[index]) for name in ("rows", *COLUMNS)
        }
        return replace(self, **chosen)

    def _read(self, name: str, index: ArrayLike | slice | None) -> np.ndarray:
        """Read rows of a data set, each stretch of neighbours at once."""
        rows = self.rows if index is None else np.atleast_1d(self.rows[_index(index)])
        wanted, back = np.unique(rows, return_inverse=True)
        with open_windows_file(self.path) as file:
            stored = file[name]
            out = np.empty((len(wanted), *stored.shape[1:]), stored.dtype)
            new = np.ones(len(wanted), dtype=bool)
            new[1:] = np.diff(wanted) != 1
            for stretch in np.split(np.arange(len(wanted)), np.flatnonzero(new)[1:]):
                if len(stretch):
                    low, high = stretch[0], stretch[-1] + 1
                    out[low:high] = stored[wanted[low] : wanted[low] + high - low]
        in_order = len(rows) == len(wanted) and bool((np.diff(rows) > 0).all())
        return out if in_order else out[back]


def write_windows(
    path: str | Path,
    recordings: Iterable[Recording],
    classes: Sequence[str],
    config: WindowConfig | None = None,
    source: str = "",
    preprocessing: Mapping[str, Any] | None = None,
    split: SplitConfig | None = None,
    progress: bool = False,
) -> Windows:
    """Cut recordings into windows and write them, one recording in memory at a time.

    Parameters
    ----------
    path
        The file to write; it appears when whole.
    recordings
        Preprocessed recordings of one skeleton, frame rate and number of persons.
    classes
        Names of the labels.
    config
        How windows are cut.
    source
        Where the recordings come from, in words.
    preprocessing
        Settings of the preprocessing, for the record.
    split
        How to assign the sets; None leaves them empty.
    progress
        Whether to show a progress bar (`Recordings` have their own).

    Returns
    -------
    Windows
        The file, opened.

    Raises
    ------
    ValueError
        For recordings that do not fit together, a label without a class, no window at all, or a
        split that does not fit; nothing is written then.
    """
    config = config or WindowConfig()
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        writer = WindowWriter(file, tuple(classes))
        for recording in track(recordings, "writing windows", progress=progress):
            writer.add(recording, list(cut(recording, config)))
        notes: dict[str, float] = {}
        skipped: list[str] = []
        if isinstance(recordings, Recordings):
            notes, skipped = dict(recordings.notes), list(recordings.skipped)
        quality = replace(writer.finish(split), notes=notes, skipped=skipped)
        file.attrs.update(
            format=FORMAT,
            format_version=VERSION,
            classes=json.dumps(list(classes)),
            source=source,
            preprocessing=json.dumps(preprocessing or {}),
            windows=config.model_dump_json(),
            split_settings=split.model_dump_json() if split else "{}",
            quality=json.dumps(quality.to_dict()),
        )
    return Windows.open(path)


def _index(which: ArrayLike | slice) -> Any:
    return which if isinstance(which, slice) else np.asarray(which)
