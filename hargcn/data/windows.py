"""Windows: stretches of equal length cut from recordings, in one HDF5 file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike

from hargcn import hdf5
from hargcn.checks import nearest
from hargcn.data.cutting import WindowConfig, cut
from hargcn.data.recording import OBSERVED, Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.data.windows_file import (
    COLUMNS,
    FORMAT,
    MASKS,
    WHAT,
    WindowWriter,
    check,
    outputs_in,
    parsed,
)
from hargcn.files import replacing, track
from hargcn.outputs import Outputs
from hargcn.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class Batch:
    """Everything about some windows, in memory.

    Parameters
    ----------
    positions
        (n, C, T, V, M) float32; exactly 0 where a person is absent or the recording has ended.
    valid
        (n, T, M) bool: the person is there.
    state
        (n, T, V, M) uint8: a joint is absent (0), observed (1) or interpolated (2).
    confidence
        (n, T, V, M) float32 of what was observed, NaN elsewhere; None where nothing is known.
    time
        (n, T) seconds of each frame in its recording.
    fps
        (n,) frames per second.
    label
        (n,) int index into the classes, -1 where not known.
    sample, group
        (n,) str: the recording and the subject.
    start
        (n,) int first frame in the preprocessed recording.
    names
        (n,) str: the windows' names.
    truth, distractor
        (n, T, V) bool, where evidence and decoys were planted; None without planted data.
    """

    positions: np.ndarray
    valid: np.ndarray
    state: np.ndarray
    confidence: np.ndarray | None
    time: np.ndarray
    fps: np.ndarray
    label: np.ndarray
    sample: np.ndarray
    group: np.ndarray
    start: np.ndarray
    names: list[str]
    truth: np.ndarray | None
    distractor: np.ndarray | None

    def __len__(self) -> int:
        return len(self.positions)

    def __getitem__(self, some: slice) -> Batch:
        """Return neighbouring windows of these."""
        own = ((each.name, getattr(self, each.name)) for each in fields(self))
        taken: dict[str, Any] = {name: a if a is None else a[some] for name, a in own}
        return Batch(**taken)


@dataclass(frozen=True, eq=False)
class Windows:
    """A windows file: small columns in memory, positions read when asked for.

    Parameters
    ----------
    path
        The file.
    skeleton
        Layout of the joints.
    outputs
        What the outcomes are: classes, or others.
    attrs
        The file's other attributes: source, reader, preprocessing, windows, split_settings,
        quality, hargcn.
    shape
        (C, T, V, M) of every window.
    has
        Which of "confidence", "truth" and "distractor" the file has.
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
    fps
        (N,) frames per second: resampled windows have rates of their own.
    camera, setup
        (N,) int, -1 where not known.
    outcome
        (N, output) float32, NaN where not known; None for classes and levels, which have labels.
    """

    path: Path
    skeleton: Skeleton
    outputs: Outputs
    attrs: Mapping[str, Any]
    shape: tuple[int, int, int, int]
    has: tuple[str, ...]
    rows: np.ndarray
    label: np.ndarray
    sample: np.ndarray
    group: np.ndarray
    start: np.ndarray
    split: np.ndarray
    fps: np.ndarray
    camera: np.ndarray
    setup: np.ndarray
    outcome: np.ndarray | None = None

    @classmethod
    def open(cls, path: str | Path) -> Windows:
        """Open a windows file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged, something else, or of another version; says which.
        """
        path = Path(path)
        with hdf5.checked(path, WHAT, FORMAT, "prepare") as file:
            check(path, file)
            shape = file["positions"].shape
            unknown = np.full(shape[0], -1)
            columns = {
                name: hdf5.column(file[name]) if name in file else unknown.copy()
                for name in COLUMNS
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
                outputs=outputs_in(path, file),
                attrs={key: value for key, value in attrs.items() if key not in _DESCRIBED},
                shape=shape[1:],
                has=tuple(name for name in ("confidence", *MASKS) if name in file),
                rows=np.arange(shape[0]),
                outcome=file["outcome"][()] if "outcome" in file else None,
                **columns,
            )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels: of the classes, or of the levels."""
        return self.outputs.names if self.outputs.listed else ()

    @property
    def wanted(self) -> np.ndarray:
        """What a network should say: the labels (N,), or the outcomes (N, output)."""
        return self.label if self.outcome is None else self.outcome

    @property
    def known(self) -> np.ndarray:
        """(N,) bool: a label is known, or at least one of the outcomes."""
        return self.label >= 0 if self.outcome is None else ~np.isnan(self.outcome).all(axis=1)

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

    @property
    def rate(self) -> float | None:
        """The frames per second of all windows, None where they differ."""
        return float(self.fps[0]) if len(self) and np.ptp(self.fps) == 0 else None

    @property
    def preparation(self) -> dict[str, Any]:
        """What a network must be given to see such windows: `frames`, `fps`, `preprocessing`."""
        chain = self.attrs.get("preprocessing")
        return {"frames": self.frames, "fps": self.rate, "preprocessing": chain}

    @cached_property
    def digest(self) -> str:
        """The digest of skeleton, outputs and data sets, in 16 hexadecimal digits.

        Not of how they were made, when and by which hargcn: equal windows have equal ones.

        Raises
        ------
        ValueError
            For a file that hargcn did not finish, or that an earlier one wrote.
        """
        hdf5.sealed_digest(self.path)
        if "content" not in self.attrs:
            raise ValueError(
                f"{self.path}: expected the digest of its content (got none): an earlier hargcn "
                "wrote it, prepare it anew"
            )
        return str(self.attrs["content"])[:16]

    def read(self, index: ArrayLike | slice | None = None) -> Batch:
        """Read everything about some windows, opening the file once.

        Parameters
        ----------
        index
            Numbers of windows within this object, a slice or a mask; None for all.

        Raises
        ------
        ValueError
            For damaged chunks, or numbers that are not finite.
        """
        some = self if index is None else self.subset(index)
        stored = some._read("positions", "valid", "state", "time", *some.has)
        return Batch(
            positions=stored["positions"],
            valid=stored["valid"],
            state=stored["state"],
            confidence=stored.get("confidence"),
            time=stored["time"],
            fps=some.fps,
            label=some.label,
            sample=some.sample,
            group=some.group,
            start=some.start,
            names=some.names,
            truth=stored.get("truth"),
            distractor=stored.get("distractor"),
        )

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
        return self._one("positions", index)

    def valid(self, index: ArrayLike | slice | None = None) -> np.ndarray:
        """Read (n, T, M) bool: the person is there."""
        return self._one("valid", index)

    def time(self, index: ArrayLike | slice | None = None) -> np.ndarray:
        """Read (n, T) seconds of each frame in its recording."""
        return self._one("time", index)

    def observed(self, index: ArrayLike | slice | None = None) -> np.ndarray:
        """Read (n, T, V) bool: the joint of somebody was observed, not interpolated."""
        return (self._one("state", index) == OBSERVED).any(axis=-1)

    def truth(self, index: ArrayLike | slice | None = None) -> np.ndarray | None:
        """Read (n, T, V) bool, where evidence was planted; None without planted data."""
        return self._one("truth", index) if "truth" in self.has else None

    def distractor(self, index: ArrayLike | slice | None = None) -> np.ndarray | None:
        """Read (n, T, V) bool, where decoys were planted; None without planted data."""
        return self._one("distractor", index) if "distractor" in self.has else None

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
                near = nearest(which, sorted({*map(str, self.split), "all"}))
                raise ValueError(f"{self.path}: expected a set of {known} (got {which!r}{near})")
            which = np.flatnonzero(self.split == which)
        index = _index(which)
        chosen: dict[str, Any] = {
            name: np.atleast_1d(getattr(self, name)[index]) for name in ("rows", *COLUMNS)
        }
        if self.outcome is not None:
            chosen["outcome"] = np.atleast_2d(self.outcome[index])
        return replace(self, **chosen)

    def _one(self, name: str, index: ArrayLike | slice | None) -> np.ndarray:
        return (self if index is None else self.subset(index))._read(name)[name]

    def _read(self, *names: str) -> dict[str, np.ndarray]:
        """Read data sets, each stretch of neighbouring windows at once."""
        wanted, back = np.unique(self.rows, return_inverse=True)
        stretches = np.split(np.arange(len(wanted)), np.flatnonzero(np.diff(wanted) != 1) + 1)
        found = {}
        with hdf5.opened(self.path, WHAT) as file:
            for name in names:
                out = np.empty((len(wanted), *file[name].shape[1:]), file[name].dtype)
                for at in (stretch for stretch in stretches if len(stretch)):
                    rows = slice(wanted[at[0]], wanted[at[-1]] + 1)
                    out[at[0] : at[-1] + 1] = hdf5.read(self.path, file[name], rows)
                found[name] = out if np.array_equal(wanted, self.rows) else out[back]
        for name in {"positions", "time"} & found.keys():
            if not np.isfinite(found[name]).all():
                raise ValueError(f"{self.path}: expected finite {name} (got NaN or infinity)")
        return found


def write_windows(
    path: str | Path,
    recordings: Iterable[Recording],
    classes: Sequence[str] | Outputs,
    config: WindowConfig | None = None,
    source: str = "",
    preprocessing: Mapping[str, Any] | None = None,
    split: SplitConfig | None = None,
    progress: bool = False,
    reader: str = "",
) -> Windows:
    """Cut recordings into windows and write them, one recording in memory at a time.

    Parameters
    ----------
    path
        The file to write; it appears when whole.
    recordings
        Preprocessed recordings of one skeleton and number of persons, and of one frame rate unless
        each becomes one resampled window.
    classes
        Names of the labels, or what else the outcomes are.
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
    reader
        Name of what read the recordings.

    Returns
    -------
    Windows
        The file, opened.

    Warns
    -----
    UserWarning
        For bodies of very different sizes, where the preprocessing does not scale.

    Raises
    ------
    ValueError
        For recordings that do not fit together (bodies of different units among them), a label
        without a class, sliding windows longer than every recording, no window at all, or a split
        that does not fit; nothing is written then.
    """
    config, outputs = config or WindowConfig(), Outputs.of(classes)
    one_rate = (config.mode, config.fit) != ("whole", "resample")
    with replacing(path) as temporary:
        with hdf5.writing(temporary) as sink, h5py.File(sink, "w", libver=hdf5.LIBVER) as file:
            writer = WindowWriter(file, outputs, one_rate)
            for recording in track(recordings, "writing windows", progress=progress):
                writer.add(recording, list(cut(recording, config)))
                sink.expect_written()
            _check_length(writer, config)
            if (preprocessing or {}).get("scale", "none") == "none":
                writer.warn_of_scales()
            quality = writer.finish(split)
            if isinstance(recordings, Recordings):
                quality = replace(
                    quality,
                    notes=dict(recordings.notes),
                    skipped=list(recordings.skipped),
                    rates=dict(recordings.rates),
                    remarks=list(recordings.remarks),
                )
            file.attrs.update(
                format=FORMAT,
                classes=json.dumps(list(outputs.names) if outputs.listed else []),
                source=source,
                reader=reader,
                preprocessing=json.dumps(preprocessing or {}),
                windows=config.model_dump_json(),
                split_settings=split.model_dump_json() if split else "{}",
                quality=json.dumps(quality.to_dict()),
                hargcn=version("hargcn"),
            )
            if outputs.kind != "classes":
                file.attrs["outputs"] = json.dumps(outputs.to_dict())
        hdf5.seal(temporary)
    return Windows.open(path)


def _check_length(writer: WindowWriter, config: WindowConfig) -> None:
    """Refuse sliding windows that no recording fills: they would all end in absent frames."""
    longest = max((entry.frames for entry in writer.entries), default=config.length)
    if config.mode == "slide" and longest < config.length:
        raise ValueError(
            f"Expected windows of at most {longest} frames, as the longest of "
            f"{len(writer.entries)} recordings has (got length {config.length}): set "
            "windows.length and windows.overlap, or windows.mode=whole"
        )


_DESCRIBED = ("classes", "outputs")  # attributes that `Windows.outputs` holds


def _index(which: ArrayLike | slice) -> Any:
    return which if isinstance(which, slice) else np.asarray(which)
