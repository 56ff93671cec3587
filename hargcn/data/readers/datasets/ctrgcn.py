"""CTR-GCN: a `.npz` of a whole data set, training and test parts in arrays of one length."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from hargcn.data.readers.arrays import mapped, members
from hargcn.data.readers.base import Part, existing
from hargcn.data.readers.datasets.labelled import Labelled, published
from hargcn.data.recording import Recording, Recordings
from hargcn.data.splits import SplitConfig
from hargcn.registry import settings
from hargcn.skeleton import skeleton

_SETS = ("train", "test")
_NEEDED = {f"{axis}_{which}" for axis in "xy" for which in _SETS}


@settings
class CTRGCN(Labelled):
    """Reads x_train, x_test (recording, frame, person * joint * space) and y_train, y_test.

    Labels are numbers or one-hot. Frames of zeros at the end are padding. Recordings are named
    `FILE-train-0` and so on and are groups of their own; the parts are `split=published`.

    Parameters
    ----------
    layout
        A layout's name or a skeleton.yaml: it says how a row is to be read.
    """

    name = "ctrgcn"
    label = "CTR-GCN arrays"
    suffixes = (".npz",)
    source = "CTR-GCN, data/ntu/seq_transformation.py and feeders/feeder_ntu.py"
    unknown = (
        "The files state neither frames per second (30 are assumed), nor who moved, nor the names "
        "of recordings."
    )
    defaults = {
        "preprocess": "ntu",
        "windows": {"mode": "whole", "length": 150, "fit": "pad"},
        "split": "published",
    }

    layout: str | Path = "ntu25"

    @classmethod
    def recognises(cls, file: Path) -> bool:
        """Look for the names of its arrays."""
        try:
            return set(members(file)) >= _NEEDED
        except ValueError:
            return False

    def published(self, path: str | Path) -> Mapping[str, SplitConfig]:
        """Return the file's parts."""
        parts: dict[str, list[str]] = {which: [] for which in _SETS}
        for file in self.files(Path(path)):
            for which, _, labels in _content(file):
                parts[which] += [f"{file.stem}-{which}-{i}" for i in range(len(labels))]
        return published(parts)

    def catalogue(self, path: Path) -> Recordings:
        """List the rows of the files."""
        items, labels = [], []
        for file in self.files(path):
            found = [number for _, _, each in _content(file) for number in each]
            items += [Part(file, number) for number in range(len(found))]
            labels += found
        return Recordings(items, self._recording, self.names_of(path, labels))

    def _recording(self, item: Part) -> Recording:
        which, poses, labels = _content(item.file)[0]
        at = item.number
        if at >= len(labels):
            at, (which, poses, labels) = at - len(labels), _content(item.file)[1]
        layout = skeleton(self.layout)
        size = layout.n_joints * layout.ndim
        row = np.asarray(poses[at], dtype=float)
        if row.shape[1] % size:
            raise ValueError(
                f"{item}: expected people of {layout.n_joints} joints of {layout.ndim} numbers, "
                f"those of {layout.name} (got {row.shape[1]} numbers): --set reader.layout=..."
            )
        bodies = row.reshape(len(row), -1, layout.n_joints, layout.ndim)
        name = f"{item.file.stem}-{which}-{at}"
        return self.recording(item, trimmed(bodies), None, name, labels[at])


def trimmed(bodies: np.ndarray) -> np.ndarray:
    """Return (T, M, V, C) without the zeros at its end, but never without a frame."""
    seen = np.flatnonzero(((bodies != 0) & np.isfinite(bodies)).any(axis=(1, 2, 3)))
    return bodies[: seen[-1] + 1 if len(seen) else 1]


def _content(file: Path) -> list[tuple[str, np.ndarray, list[int]]]:
    """Return name, rows and labels of both parts, as long as the file stays as it is."""
    about = existing(file).stat()
    return _loaded(file, about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=1)
def _loaded(file: Path, *_: int) -> list[tuple[str, np.ndarray, list[int]]]:
    lost = _NEEDED - set(members(file))
    if lost:
        raise ValueError(
            f"{file}: expected x_train, y_train, x_test, y_test (without {', '.join(sorted(lost))})"
        )
    parts: list[tuple[str, np.ndarray, list[int]]] = []
    for which in _SETS:
        poses, labels = mapped(file, f"x_{which}"), mapped(file, f"y_{which}")
        if not poses.size:  # a data set that is not divided leaves one part empty
            parts.append((which, poses, []))
            continue
        if poses.ndim != 3 or poses.dtype.kind not in "fiu" or labels.shape[:1] != poses.shape[:1]:
            raise ValueError(
                f"{file}: expected x_{which} (recording, frame, number) and a label for each (got "
                f"{poses.shape} and {labels.shape})"
            )
        parts.append((which, poses, _labels(file, which, labels)))
    return parts


def _labels(file: Path, which: str, given: np.ndarray) -> list[int]:
    """Return labels as numbers."""
    if given.ndim == 2 and given.dtype.kind in "fiub":
        given = np.asarray(given, dtype=float)
        if ((given == 1).sum(axis=1) == 1).all() and ((given == 0) | (given == 1)).all():
            return [int(number) for number in given.argmax(axis=1)]
    if given.ndim == 1 and given.dtype.kind in "iu" and (given >= 0).all():
        return [int(number) for number in given]
    raise ValueError(f"{file}: expected y_{which} one-hot or as numbers from 0")
